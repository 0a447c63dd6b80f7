/* packed_avx512.h - what the kernels of packed weights share. Only packed_*_avx512.c includes it.
 *
 * A lane of a panel is one vector; four activations, broadcast from memory by the instruction that
 * multiplies (vpdpbusd), meet its 16 rows. Codes are unsigned: what a format's codes are above its
 * values is taken from where the integer sums start. A sum and a result of a row of activations
 * take a register each, so that two strips of activations (8 rows) share every code. */
#ifndef PUNA_BACKEND_CPU_X86_PACKED_AVX512_H
#define PUNA_BACKEND_CPU_X86_PACKED_AVX512_H

#include "backend/cpu/packed_run.h"
#include "backend/cpu/table.h"
#include "backend/cpu/x86/avx512.h"

enum {
    PACKED_TOKENS = 2 * PUNA_STRIP_ROWS, /* the most rows of activations that a kernel takes */
    PACKED_AHEAD_L2 = 16384,             /* bytes */
    PACKED_AHEAD_L1 = 8192
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

/* Where a block of T rows of activations lies: in one strip, or in two whole ones. */
typedef struct act_block {
    const uint8_t *strip[2];
} act_block;

INLINE act_block act_first(int T, const packed_chunk *chunk, const uint8_t *act)
{
    return (act_block){ { act, T > PUNA_STRIP_ROWS ? act + chunk->strip_bytes : act } };
}

INLINE act_block act_next(int T, act_block act, int n)
{
    const int bytes = n * PUNA_STRIP_BLOCK * (T > PUNA_STRIP_ROWS ? PUNA_STRIP_ROWS : T);
    return (act_block){ { act.strip[0] + bytes, act.strip[1] + bytes } };
}

/* Lane g of row i of T. */
INLINE __m512i act_codes(int T, act_block act, int i, int g)
{
    const int width = T > PUNA_STRIP_ROWS ? PUNA_STRIP_ROWS : T;
    return broadcast_lane(act.strip[i / PUNA_STRIP_ROWS] + 4 * (g * width + i % PUNA_STRIP_ROWS));
}

INLINE const uint8_t *act_d(int T, act_block act, int i)
{
    const int width = T > PUNA_STRIP_ROWS ? PUNA_STRIP_ROWS : T;
    return act.strip[i / PUNA_STRIP_ROWS] + puna_strip_d(width) + 4 * (i % PUNA_STRIP_ROWS);
}

INLINE const uint8_t *act_s(int T, act_block act, int i)
{
    const int width = T > PUNA_STRIP_ROWS ? PUNA_STRIP_ROWS : T;
    return act.strip[i / PUNA_STRIP_ROWS] + puna_strip_s(width) + 4 * (i % PUNA_STRIP_ROWS);
}

INLINE const uint8_t *act_sums(int T, act_block act, int i)
{
    const int width = T > PUNA_STRIP_ROWS ? PUNA_STRIP_ROWS : T;
    return act.strip[i / PUNA_STRIP_ROWS] + puna_strip_sums(width) + 8 * (i % PUNA_STRIP_ROWS);
}

/* Where the sums of a chunk's blocks start: minus `offset` times the activations' sums, one for a row or
 * (halves) one for each half. Made ahead of the products, so that those only broadcast them. */
typedef struct packed_starts {
    int32_t at[PACKED_CHUNK][2 * PACKED_TOKENS];
} packed_starts;

/* Of a block of one or two whole strips. */
INLINE void make_strip_starts(int T, act_block act, int offset, bool halves, int32_t *to)
{
    const __m256i times = _mm256_set1_epi32(offset);
    const __m256i a = _mm256_mullo_epi32(load_256(act_sums(T, act, 0)), times);
    if (halves)
        _mm256_storeu_si256((__m256i *)(void *)to, a);
    if (T == PUNA_STRIP_ROWS) {
        if (!halves)
            _mm_storeu_si128((__m128i *)(void *)to,
                             _mm_hadd_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1)));
        return;
    }
    const __m256i b = _mm256_mullo_epi32(load_256(act_sums(T, act, PUNA_STRIP_ROWS)), times);
    if (halves)
        _mm256_storeu_si256((__m256i *)(void *)(to + 8), b);
    else
        _mm256_storeu_si256((__m256i *)(void *)to, _mm256_permute4x64_epi64(_mm256_hadd_epi32(a, b), 0xd8));
}

INLINE void make_starts(int T, const packed_chunk *chunk, const uint8_t *first, int offset, bool halves,
                        packed_starts *starts)
{
    act_block act = act_first(T, chunk, first);
    for (int32_t b = 0; b < chunk->n; b++, act = act_next(T, act, 1)) {
        int32_t *to = starts->at[b];
        if (T >= PUNA_STRIP_ROWS) {
            make_strip_starts(T, act, offset, halves, to);
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

/* Lanes [begin, end) of a block for T rows: sum[i] = start[i * step] (NULL: zeros) + codes * activations. Few rows
 * get two sums each, since a product takes four cycles and another can begin every cycle. CODES
 * is lane g. */
#define ADD_PRODUCTS(T, act, start, step, begin, end, CODES, sum)                                            \
    do {                                                                                                     \
        __m512i second_[PACKED_TOKENS];                                                                      \
        const int32_t *start_ = (start);                                                                     \
        UNROLL                                                                                               \
        for (int i_ = 0; i_ < (T); i_++) {                                                                   \
            (sum)[i_] = start_ ? _mm512_set1_epi32(start_[i_ * (step)]) : _mm512_setzero_si512();            \
            second_[i_] = _mm512_setzero_si512();                                                            \
        }                                                                                                    \
        UNROLL                                                                                               \
        for (int g = (begin); g < (end); g++) {                                                              \
            const __m512i codes_ = (CODES);                                                                  \
            UNROLL                                                                                           \
            for (int i_ = 0; i_ < (T); i_++) {                                                               \
                __m512i *to_ = (T) <= 2 && g % 2 ? &second_[i_] : &(sum)[i_];                                \
                *to_ = _mm512_dpbusd_epi32(*to_, codes_, act_codes((T), (act), i_, g));                      \
            }                                                                                                \
        }                                                                                                    \
        if ((T) <= 2) {                                                                                      \
            UNROLL                                                                                           \
            for (int i_ = 0; i_ < (T); i_++)                                                                 \
                (sum)[i_] = _mm512_add_epi32((sum)[i_], second_[i_]);                                        \
        }                                                                                                    \
    } while (0)

/* acc += d * (activations' d * sums) + m * activations' s, for T rows. */
INLINE void add_scaled(int T, act_block act, const packed_scales *scales, bool minima, const __m512i *sum,
                       __m512 *acc)
{
    const __m512 d = _mm512_load_ps(scales->d);
    UNROLL
    for (int i = 0; i < T; i++)
        acc[i] = _mm512_fmadd_ps(d, _mm512_mul_ps(_mm512_cvtepi32_ps(sum[i]), broadcast_float(act_d(T, act, i))),
                                 acc[i]);
    if (minima) {
        const __m512 m = _mm512_load_ps(scales->m);
        UNROLL
        for (int i = 0; i < T; i++)
            acc[i] = _mm512_fmadd_ps(m, broadcast_float(act_s(T, act, i)), acc[i]);
    }
}

INLINE void load_acc(int T, const float *from, __m512 *acc)
{
    UNROLL
    for (int i = 0; i < T; i++)
        acc[i] = _mm512_load_ps(from + 16 * i);
}

INLINE void store_acc(int T, float *to, const __m512 *acc)
{
    UNROLL
    for (int i = 0; i < T; i++)
        _mm512_store_ps(to + 16 * i, acc[i]);
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

/* The functions of a format for every number of rows, and its row of kernels.def; each gets
 * CALL, which names T, chunk, act and sums. */
#define MICRO(format, name, n, CALL)                                                                         \
    static void micro_##format##_##name(const packed_chunk *chunk, const uint8_t *act, float *sums)          \
    {                                                                                                        \
        enum { T = n };                                                                                      \
        CALL;                                                                                                \
    }

#define PACKED(format, layout, blocks, CALL)                                                                 \
    MICRO(format, 1, 1, CALL)                                                                                \
    MICRO(format, 2, 2, CALL)                                                                                \
    MICRO(format, 3, 3, CALL)                                                                                \
    MICRO(format, 4, 4, CALL)                                                                                \
    MICRO(format, two, PACKED_TOKENS, CALL)                                                                  \
    PACKED_KERNEL(format, avx512, blocks, puna_panel_##layout, NULL, NULL, micro_##format##_two)

#endif
