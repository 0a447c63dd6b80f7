/* act_avx512.c - the encoder of activations: the same bytes as act.c's, 32 values at a time,
 * row by row or into strips. */
#include <float.h>
#include <math.h>

#include "backend/cpu/x86/avx512.h"

/* The largest magnitude of 32 values, compared as integers, by which a NaN is the largest. */
INLINE float largest_magnitude(const __m512 v[2])
{
    const __m512i mask = _mm512_set1_epi32(0x7fffffff);
    const __m512i m = _mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(v[0]), mask),
                                       _mm512_and_si512(_mm512_castps_si512(v[1]), mask));
    const __m256i half = _mm256_max_epu32(_mm512_castsi512_si256(m), _mm512_extracti64x4_epi64(m, 1));
    __m128i last = _mm_max_epu32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    last = _mm_max_epu32(last, _mm_shuffle_epi32(last, 0x4e));
    last = _mm_max_epu32(last, _mm_shuffle_epi32(last, 0xb1));
    return _mm_cvtss_f32(_mm_castsi128_ps(last));
}

INLINE __m128i codes_of(__m512 v, float inverse)
{
    return _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(v, _mm512_set1_ps(inverse))));
}

/* Sums of the codes 4i and 4i + 1 (low half of every dword) and of 4i + 2 and 4i + 3 of 16 codes. */
INLINE int32_t pair_sums(__m128i codes)
{
    __m128i p = _mm_maddubs_epi16(_mm_set1_epi8(1), codes);
    p = _mm_add_epi16(p, _mm_shuffle_epi32(p, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi16(p, _mm_shuffle_epi32(p, 0xb1)));
}

/* 32 values as codes, and their scale; a block with a NaN or an infinity is NaN, one that is too small 0. */
INLINE float encode_block(const float *x, __m128i codes[2])
{
    const __m512 v[2] = { _mm512_loadu_ps(x), _mm512_loadu_ps(x + 16) };
    const float max = largest_magnitude(v);
    if (!(max >= 0x1p-120f && max <= FLT_MAX)) {
        codes[0] = codes[1] = _mm_setzero_si128();
        return max < 1.0f ? 0.0f : NAN;
    }
    codes[0] = codes_of(v[0], 127.0f / max);
    codes[1] = codes_of(v[1], 127.0f / max);
    return max / 127.0f;
}

void puna_encode_q8_avx512(const float *x, int32_t n_in, void *row)
{
    const size_t array = puna_act_array_bytes(n_in);
    uint8_t *q = row, *arrays = (uint8_t *)row + n_in;
    float *d = (float *)(void *)arrays, *s = (float *)(void *)(arrays + array);
    int16_t *sums = (int16_t *)(void *)(arrays + 2 * array);
    memset(arrays, 0, puna_act_bytes(PUNA_ACT_Q8, n_in) - (size_t)n_in);
    for (int32_t b = 0; b < n_in / PUNA_ACT_BLOCK; b++, x += PUNA_ACT_BLOCK, q += PUNA_ACT_BLOCK) {
        __m128i codes[2];
        d[b] = encode_block(x, codes);
        for (int h = 0; h < 2; h++) {
            const int32_t pairs = pair_sums(codes[h]);
            _mm_storeu_si128((__m128i *)(void *)(q + 16 * h), codes[h]);
            sums[2 * b + h] = (int16_t)((int16_t)pairs + (pairs >> 16));
        }
        s[b] = d[b] * (float)(sums[2 * b] + sums[2 * b + 1]);
    }
}

void puna_encode_strip_avx512(const float *x, int32_t n_in, void *strip, int slot, int n_slots)
{
    uint8_t *block = strip;
    for (int32_t b = 0; b < n_in / PUNA_ACT_BLOCK; b++, x += PUNA_ACT_BLOCK) {
        __m128i codes[2];
        int8_t q[PUNA_ACT_BLOCK];
        int32_t pairs[4];
        const float d = encode_block(x, codes);
        UNROLL
        for (int h = 0; h < 2; h++) {
            const int32_t both = pair_sums(codes[h]);
            _mm_storeu_si128((__m128i *)(void *)(q + 16 * h), codes[h]);
            pairs[2 * h] = (int16_t)both;
            pairs[2 * h + 1] = both >> 16;
        }
        puna_strip_put(block, slot, n_slots, q, d, pairs);
        block += (size_t)n_slots * PUNA_STRIP_BLOCK;
    }
}
