/* packed_avx512.h - what the kernels of packed weights share. Only packed_*_avx512.c includes it.
 *
 * A lane of a panel is one vector; four activations, broadcast from memory by the instruction that
 * multiplies (vpdpbusd), meet its 16 rows. Codes are unsigned: what a format's codes are above its
 * values is taken from where the integer sums start. A sum and a result of a row of activations
 * take a register each, so that two panels share what a strip of activations (4 rows) broadcasts: 6 loads
 * for 8 products, where 8 rows by one panel take 9, more than a core with one load of 64 bytes a cycle can do. */
#ifndef PUNA_BACKEND_CPU_X86_PACKED_AVX512_H
#define PUNA_BACKEND_CPU_X86_PACKED_AVX512_H

#include "backend/cpu/packed_run.h"
#include "backend/cpu/table.h"
#include "backend/cpu/x86/avx512.h"

enum {
    PACKED_SUMS = 2 * PUNA_STRIP_ROWS, /* the most that a kernel takes: [panel][row of activations] */
    PACKED_AHEAD_L2 = 16384,           /* bytes */
    PACKED_AHEAD_L1 = 8192,
    PACKED_NEAR = 8192
};

/* Asks for the lines `bytes` of which T rows will be multiplied with a few microseconds later (T = 0: for nothing).
 * What the hardware fetches ahead is not enough to keep one thread at the memory's speed. Asked for one by one
 * between products: many at once would wait for each other, and nothing be under way while the products are
 * computed. Where few rows leave the time to the memory, each is asked for into the first-level cache too: products
 * that wait for a load fill the scheduler within some ten lines, and what stands behind them asks for nothing. */
INLINE void fetch_ahead(int T, const void *from, size_t bytes)
{
    if (T == 0)
        return;
    UNROLL
    for (size_t i = 0; i < bytes; i += 64) {
        _mm_prefetch((const char *)from + PACKED_AHEAD_L2 + i, _MM_HINT_T1);
        if (T <= 2)
            _mm_prefetch((const char *)from + PACKED_AHEAD_L1 + i, _MM_HINT_T0);
    }
}

/* Asks for the line that is PACKED_NEAR further on, where one row reads lines in order (packed_classic_avx512.c). */
INLINE void fetch_near(bool near, const void *line)
{
    if (near)
        _mm_prefetch((const char *)line + PACKED_NEAR, _MM_HINT_T0);
}

/* Lane g of row i of a block of a strip of T rows. */
INLINE __m512i act_codes(int T, const uint8_t *act, int i, int g)
{
    return broadcast_lane(act + 4 * (g * T + i));
}

INLINE const uint8_t *act_d(int T, const uint8_t *act, int i)
{
    return act + puna_strip_d(T) + 4 * i;
}

INLINE const uint8_t *act_s(int T, const uint8_t *act, int i)
{
    return act + puna_strip_s(T) + 4 * i;
}

INLINE const uint8_t *act_sums(int T, const uint8_t *act, int i)
{
    return act + puna_strip_sums(T) + 8 * i;
}

/* Where the sums of a chunk's blocks start: minus `offset` times the activations' sums, one for a row or
 * (halves) one for each half. Made ahead of the products, so that those only broadcast them. */
typedef struct packed_starts {
    int32_t at[PACKED_CHUNK][2 * PUNA_STRIP_ROWS];
} packed_starts;

/* Of a block of a whole strip. */
INLINE void make_strip_starts(const uint8_t *act, int offset, bool halves, int32_t *to)
{
    const __m256i all =
        _mm256_mullo_epi32(load_256(act_sums(PUNA_STRIP_ROWS, act, 0)), _mm256_set1_epi32(offset));
    if (halves)
        _mm256_storeu_si256((__m256i *)(void *)to, all);
    else
        _mm_storeu_si128((__m128i *)(void *)to,
                         _mm_hadd_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1)));
}

INLINE void make_starts(int T, const packed_chunk *chunk, const uint8_t *act, int offset, bool halves,
                        packed_starts *starts)
{
    for (int32_t b = chunk->first; b < chunk->first + chunk->n; b++, act += T * PUNA_STRIP_BLOCK) {
        int32_t *to = starts->at[b];
        if (T == PUNA_STRIP_ROWS) {
            make_strip_starts(act, offset, halves, to);
            continue;
        }
        UNROLL
        for (int i = 0; i < T; i++) {
            int32_t sums[2];
            memcpy(sums, act_sums(T, act, i), sizeof sums);
            to[halves ? 2 * i : i] = offset * (halves ? sums[0] : sums[0] + sums[1]);
            if (halves)
                to[2 * i + 1] = offset * sums[1];
        }
    }
}

/* Lanes [begin, end) of a block of P panels for T rows: sum[p * T + i] = start[i * step] (NULL: zeros) + codes *
 * activations. Few rows get two sums each, since a product takes four cycles and another can begin every cycle. CODES
 * is lane g of panel p. */
#define ADD_PRODUCTS(P, T, act, start, step, begin, end, CODES, sum)                                    \
    do {                                                                                                \
        __m512i second_[PACKED_SUMS];                                                                   \
        const int32_t *start_ = (start);                                                                \
        UNROLL                                                                                          \
        for (int i_ = 0; i_ < (P) * (T); i_++) {                                                        \
            (sum)[i_] = start_ ? _mm512_set1_epi32(start_[i_ % (T) * (step)]) : _mm512_setzero_si512(); \
            second_[i_] = _mm512_setzero_si512();                                                       \
        }                                                                                               \
        UNROLL                                                                                          \
        for (int g = (begin); g < (end); g++) {                                                         \
            __m512i codes_[2];                                                                          \
            UNROLL                                                                                      \
            for (int p = 0; p < (P); p++)                                                               \
                codes_[p] = (CODES);                                                                    \
            UNROLL                                                                                      \
            for (int i_ = 0; i_ < (T); i_++) {                                                          \
                const __m512i act_ = act_codes((T), (act), i_, g);                                      \
                UNROLL                                                                                  \
                for (int p = 0; p < (P); p++) {                                                         \
                    __m512i *to_ = (P) * (T) <= 2 && g % 2 ? &second_[i_] : &(sum)[p * (T) + i_];       \
                    *to_ = _mm512_dpbusd_epi32(*to_, codes_[p], act_);                                  \
                }                                                                                       \
            }                                                                                           \
        }                                                                                               \
        if ((P) * (T) <= 2) {                                                                           \
            UNROLL                                                                                      \
            for (int i_ = 0; i_ < (T); i_++)                                                            \
                (sum)[i_] = _mm512_add_epi32((sum)[i_], second_[i_]);                                   \
        }                                                                                               \
    } while (0)

/* acc += d * (activations' d * sums) + m * activations' s, for T rows of each panel. */
INLINE void add_scaled(int P, int T, const uint8_t *act, const packed_scales *scales, bool minima,
                       const __m512i *sum, __m512 *acc)
{
    UNROLL
    for (int p = 0; p < P; p++, scales += PACKED_CHUNK, sum += T, acc += T) {
        const __m512 d = _mm512_load_ps(scales->d);
        UNROLL
        for (int i = 0; i < T; i++)
            acc[i] = _mm512_fmadd_ps(
                d, _mm512_mul_ps(_mm512_cvtepi32_ps(sum[i]), broadcast_float(act_d(T, act, i))), acc[i]);
        if (minima) {
            const __m512 m = _mm512_load_ps(scales->m);
            UNROLL
            for (int i = 0; i < T; i++)
                acc[i] = _mm512_fmadd_ps(m, broadcast_float(act_s(T, act, i)), acc[i]);
        }
    }
}

/* acc + d * (activations' d * sum) + m * activations' s, as add_scaled; m: NULL where there are no minima. */
INLINE __m512 add_scaled_row(const uint8_t *act, __m512 d, const __m512 *m, __m512i sum, __m512 acc)
{
    acc = _mm512_fmadd_ps(d, _mm512_mul_ps(_mm512_cvtepi32_ps(sum), broadcast_float(act_d(1, act, 0))), acc);
    return m ? _mm512_fmadd_ps(*m, broadcast_float(act_s(1, act, 0)), acc) : acc;
}

/* offset times minus the sum of half h of a block of one row of activations; h < 0: of both. */
INLINE __m512i start_of_row(const uint8_t *act, int offset, int h)
{
    int32_t sums[2];
    memcpy(sums, act_sums(1, act, 0), sizeof sums);
    return _mm512_set1_epi32(offset * (h < 0 ? sums[0] + sums[1] : sums[h]));
}

/* Four lanes of one row of activations, from lane g on. Broadcast one after the other: a processor that does two a
 * cycle does one when loads of 64 bytes stand between them. */
INLINE void broadcast_four(const uint8_t *act, int g, __m512i *to)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        to[i] = act_codes(1, act, 0, g + i);
    __asm__("" : "+v"(to[0]), "+v"(to[1]), "+v"(to[2]), "+v"(to[3]));
}

/* Lane g of block b of panel p, unpacked. */
INLINE __m512i unpacked(const packed_chunk *chunk, int32_t b, size_t p, int g)
{
    return load_512(chunk->codes + (p * PACKED_CHUNK + (size_t)b) * PACKED_BLOCK + 64 * (size_t)g);
}

INLINE void load_acc(int P, int T, const float *from, __m512 *acc)
{
    UNROLL
    for (int i = 0; i < P * T; i++)
        acc[i] = _mm512_load_ps(from + 16 * (i / T * PACKED_ROWS + i % T));
}

INLINE void store_acc(int P, int T, float *to, const __m512 *acc)
{
    UNROLL
    for (int i = 0; i < P * T; i++)
        _mm512_store_ps(to + 16 * (i / T * PACKED_ROWS + i % T), acc[i]);
}

INLINE __m512i low_nibbles(__m512i v)
{
    return _mm512_and_si512(v, _mm512_set1_epi8(15));
}

INLINE __m512i high_nibbles(__m512i v)
{
    return _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(15));
}

/* low | (high & mask) in one instruction. */
INLINE __m512i with_bits(__m512i low, __m512i high, int mask)
{
    return _mm512_ternarylogic_epi32(low, high, _mm512_set1_epi8((char)mask), 0xf8);
}

/* The compiler no longer knows where a pointer comes from: left alone, it keeps vectors that several
 * sub-blocks read in registers which the sums need. */
#define READ_AGAIN(pointer) __asm__("" : "+r"(pointer))

/* Nibbles as the bytes of a table of 16. */
INLINE __m512i look_up(const int8_t table[16], int above, __m512i nibbles)
{
    const __m128i bytes = _mm_add_epi8(load_128(table), _mm_set1_epi8((char)above));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(bytes), nibbles);
}

/* The functions of a format, each from code that names P (panels), T, chunk, act and sums: CALL for any number of rows,
 * ROW, which names NEAR besides, for one row in order. */
#define MICRO(format, name, panels, rows, CALL)                                                     \
    static void micro_##format##_##name(const packed_chunk *chunk, const uint8_t *act, float *sums) \
    {                                                                                               \
        enum { P = panels, T = rows };                                                              \
        CALL;                                                                                       \
    }

#define ORDER(format, name, near, ROW)                                                              \
    static void micro_##format##_##name(const packed_chunk *chunk, const uint8_t *act, float *sums) \
    {                                                                                               \
        enum { NEAR = near };                                                                       \
        ROW;                                                                                        \
    }

#define MICROS(format, CALL, ROW) \
    MICRO(format, 1, 1, 1, CALL)  \
    MICRO(format, 2, 1, 2, CALL)  \
    MICRO(format, 3, 1, 3, CALL)  \
    MICRO(format, 4, 1, 4, CALL)  \
    ORDER(format, order, 0, ROW)  \
    ORDER(format, near, 1, ROW)

/* The rows of kernels.def. */
#define KERNEL(format, isa, layout, blocks, unpack, whole, row) \
    PACKED_KERNEL(format, isa, blocks, puna_panel_##layout, unpack, whole, micro_##format##_two, row)
#define KERNELS(format, layout, blocks, unpack, whole)                                  \
    KERNEL(format, avx512, layout, blocks, unpack, whole, NULL)                         \
    KERNEL(format, avx512_order, layout, blocks, unpack, whole, micro_##format##_order) \
    KERNEL(format, avx512_near, layout, blocks, unpack, whole, micro_##format##_near)

#define PACKED(format, layout, blocks, CALL, ROW) \
    MICROS(format, CALL, ROW)                     \
    MICRO(format, two, 2, PUNA_STRIP_ROWS, CALL)  \
    KERNELS(format, layout, blocks, NULL, NULL)

/* Of a format whose codes are dear to read: WHOLE reads them unpacked. */
#define PACKED_DEAR(format, layout, blocks, CALL, WHOLE, ROW) \
    MICROS(format, CALL, ROW)                                 \
    MICRO(format, whole, 1, PUNA_STRIP_ROWS, WHOLE)           \
    MICRO(format, two, 2, PUNA_STRIP_ROWS, WHOLE)             \
    KERNELS(format, layout, blocks, unpack_##format, micro_##format##_whole)

#endif
