/* packed_avx2.h - what the kernels of packed weights share: lanes, sums, and how sums become
 * results. Only packed_*_avx2.c includes it. */
#ifndef PUNA_BACKEND_CPU_X86_PACKED_AVX2_H
#define PUNA_BACKEND_CPU_X86_PACKED_AVX2_H

#include "backend/cpu/packed_run.h"
#include "backend/cpu/table.h"
#include "backend/cpu/x86/avx2.h"

enum { PACKED_AHEAD_L2 = 24576, PACKED_AHEAD_L1 = 12288 }; /* bytes */

/* What was loaded before is loaded again after it: left alone, gcc keeps codes that two blocks share
 * on the stack, which is where they are dearer than where they came from. */
#define LOAD_AGAIN() __asm__ volatile("" ::: "memory")

/* Lines that will be read a few microseconds later: what the hardware fetches ahead is not enough to
 * keep one thread at the memory's speed. Where few rows leave the time to the memory, each is asked for twice, into the
 * second-level cache and nearer: products that wait for a load fill the scheduler, and what stands behind them asks for
 * nothing. At most some ten lines in a call: what has no place among the loads under way holds up those of the products. */
INLINE void prefetch_unit(int T, const void *unit, size_t bytes)
{
    if (T == PUNA_STRIP_ROWS)
        return;
    UNROLL
    for (size_t i = 0; i < bytes; i += 64) {
        if (T <= 2)
            _mm_prefetch((const char *)unit + PACKED_AHEAD_L2 + i, _MM_HINT_T1);
        _mm_prefetch((const char *)unit + PACKED_AHEAD_L1 + i, _MM_HINT_T0);
    }
}

INLINE __m256i broadcast_lane(const uint8_t *at)
{
    return _mm256_set1_epi32(load_i32(at));
}

/* Lane g, half h of a block of unpacked codes. */
INLINE uint8_t *byte_codes(uint8_t *block, int g, int h)
{
    return block + 64 * g + 32 * h;
}

INLINE __m256i load_bytes(const uint8_t *block, int g, int h)
{
    return _mm256_load_si256((const __m256i *)(const void *)(block + 64 * g + 32 * h));
}

INLINE __m256 halves_to_floats(const uint8_t *at)
{
    return _mm256_cvtph_ps(load_128(at));
}

/* Sums in both 16-bit halves of 8 lanes start at -offset (0, 8, 12 or 16) times the activations' sums. */
INLINE void start_sums(int T, const uint8_t *act, int offset, __m256i sum[][2])
{
    UNROLL
    for (int i = 0; i < T; i++) {
        const uint8_t *pairs = act + puna_strip_pairs(T) + 8 * i;
        __m256i start = _mm256_setzero_si256();
        if (offset)
            start = _mm256_add_epi16(broadcast_lane(pairs), broadcast_lane(pairs + 4));
        if (offset == 8)
            start = _mm256_srai_epi16(start, 1);
        else if (offset == 12)
            start = _mm256_sub_epi16(start, _mm256_srai_epi16(start, 2));
        sum[i][0] = sum[i][1] = start;
    }
}

/* One scale or sum of each row of activations. */
INLINE __m256 broadcast_float(const uint8_t *at)
{
    return _mm256_broadcast_ss((const float *)(const void *)at);
}

/* acc += d * (activations' d * sums) + m * activations' s, for T rows and both halves of the panel. */
INLINE void add_scaled(int T, const uint8_t *act, const packed_scales *scales, bool minima, __m256i sum[][2],
                       __m256 acc[][2])
{
    UNROLL
    for (int i = 0; i < T; i++) {
        const __m256 d = broadcast_float(act + puna_strip_d(T) + 4 * i);
        UNROLL
        for (int h = 0; h < 2; h++)
            acc[i][h] = _mm256_fmadd_ps(_mm256_loadu_ps(scales->d + 8 * h),
                                        _mm256_mul_ps(_mm256_cvtepi32_ps(sum[i][h]), d), acc[i][h]);
    }
    if (!minima)
        return;
    UNROLL
    for (int i = 0; i < T; i++) {
        const __m256 s = broadcast_float(act + puna_strip_s(T) + 4 * i);
        UNROLL
        for (int h = 0; h < 2; h++)
            acc[i][h] = _mm256_fmadd_ps(_mm256_loadu_ps(scales->m + 8 * h), s, acc[i][h]);
    }
}

/* sum[i] += codes * activations, lane g, for both halves; sums of 16 bits. */
INLINE void add_products_16(int T, const uint8_t *act, int g, const __m256i codes[2], __m256i sum[][2])
{
    UNROLL
    for (int i = 0; i < T; i++) {
        const __m256i a = broadcast_lane(act + 4 * (g * T + i));
        UNROLL
        for (int h = 0; h < 2; h++) {
            sum[i][h] = _mm256_add_epi16(sum[i][h], _mm256_maddubs_epi16(codes[h], a));
            KEEP(sum[i][h]);
        }
    }
}

/* Sums of 16 bits to sums of lanes, or (not first) added to them. */
INLINE void widen_sums(int T, bool first, __m256i sum[][2], __m256i wide[][2])
{
    UNROLL
    for (int i = 0; i < T; i++) {
        UNROLL
        for (int h = 0; h < 2; h++) {
            const __m256i p = _mm256_madd_epi16(sum[i][h], _mm256_set1_epi16(1));
            wide[i][h] = first ? p : _mm256_add_epi32(wide[i][h], p);
        }
    }
}

INLINE void load_acc(int T, const float *from, __m256 acc[][2])
{
    UNROLL
    for (int i = 0; i < T; i++) {
        acc[i][0] = _mm256_load_ps(from + 16 * i);
        acc[i][1] = _mm256_load_ps(from + 16 * i + 8);
    }
}

INLINE void store_acc(int T, float *to, __m256 acc[][2])
{
    UNROLL
    for (int i = 0; i < T; i++) {
        _mm256_store_ps(to + 16 * i, acc[i][0]);
        _mm256_store_ps(to + 16 * i + 8, acc[i][1]);
    }
}

/* Lane g of half h, as numbers -128..127. table: nibbles that index puna_iq4_values. */
INLINE __m256i packed_signed_codes(bool table, const uint8_t *unit, int g, int h)
{
    if (!table)
        return load_256(unit + 64 * g + 32 * h);
    const __m256i packed = load_256(unit + 64 * (g % 4) + 32 * h);
    return _mm256_shuffle_epi8(load_2x128(puna_iq4_values, puna_iq4_values),
                               g < 4 ? low_nibbles(packed) : high_nibbles(packed));
}

INLINE void packed_unpack_signed(bool table, const uint8_t *unit, size_t unit_bytes, int32_t n, uint8_t *codes)
{
    for (int32_t b = 0; b < n; b++, unit += unit_bytes, codes += PACKED_BLOCK) {
        UNROLL
        for (int g = 0; g < 8; g++) {
            UNROLL
            for (int h = 0; h < 2; h++)
                _mm256_store_si256((__m256i *)(void *)byte_codes(codes, g, h), packed_signed_codes(table, unit, g, h));
        }
    }
}

/* Sums of one block of 32; table: nibbles that index puna_iq4_values. */
INLINE void packed_signed_block(bool table, int T, const uint8_t *unit, const uint8_t *act,
                                const packed_scales *scales, __m256 acc[][2])
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sum[PUNA_STRIP_ROWS][2];
    UNROLL
    for (int g = 0; g < 8; g++) {
        if (table && g == 4)
            LOAD_AGAIN();
        const __m256i codes[2] = { packed_signed_codes(table, unit, g, 0), packed_signed_codes(table, unit, g, 1) };
        const __m256i magnitude[2] = { _mm256_abs_epi8(codes[0]), _mm256_abs_epi8(codes[1]) };
        UNROLL
        for (int i = 0; i < T; i++) {
            const __m256i a = broadcast_lane(act + 4 * (g * T + i));
            UNROLL
            for (int h = 0; h < 2; h++) {
                const __m256i p =
                    _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude[h], _mm256_sign_epi8(a, codes[h])), ones);
                sum[i][h] = g == 0 ? p : _mm256_add_epi32(sum[i][h], p);
                KEEP(sum[i][h]);
            }
        }
    }
    add_scaled(T, act, scales, false, sum, acc);
}

#endif
