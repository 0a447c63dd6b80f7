/* act_avx2.c - the encoder of activations: the same bytes as act.c's, 32 values at a time,
 * row by row or into strips. */
#include <float.h>
#include <math.h>

#include "backend/cpu/x86/avx2.h"

/* The largest magnitude of 32 values, compared as integers, by which a NaN is the largest. */
INLINE float largest_magnitude(const __m256 v[4])
{
    const __m256i mask = _mm256_set1_epi32(0x7fffffff);
    __m256i max = _mm256_and_si256(_mm256_castps_si256(v[0]), mask);
    UNROLL
    for (int i = 1; i < 4; i++)
        max = _mm256_max_epu32(max, _mm256_and_si256(_mm256_castps_si256(v[i]), mask));
    __m128i m = _mm_max_epu32(_mm256_castsi256_si128(max), _mm256_extracti128_si256(max, 1));
    m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0xb1));
    return _mm_cvtss_f32(_mm_castsi128_ps(m));
}

INLINE __m256i codes_of(const __m256 v[4], float inverse)
{
    const __m256 scale = _mm256_set1_ps(inverse);
    __m256i c[4];
    UNROLL
    for (int i = 0; i < 4; i++)
        c[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], scale));
    const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(c[0], c[1]), _mm256_packs_epi32(c[2], c[3]));
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

void puna_encode_q8_avx2(const float *x, int32_t n_in, void *row)
{
    const size_t array = puna_act_array_bytes(n_in);
    int8_t *q = row;
    uint8_t *arrays = (uint8_t *)row + n_in;
    float *d = (float *)(void *)arrays, *s = (float *)(void *)(arrays + array);
    int16_t *sums = (int16_t *)(void *)(arrays + 2 * array);
    memset(arrays, 0, puna_act_bytes(PUNA_ACT_Q8, n_in) - (size_t)n_in);
    for (int32_t b = 0; b < n_in / PUNA_ACT_BLOCK; b++, x += PUNA_ACT_BLOCK, q += PUNA_ACT_BLOCK) {
        const __m256 v[4] = { _mm256_loadu_ps(x), _mm256_loadu_ps(x + 8), _mm256_loadu_ps(x + 16),
                              _mm256_loadu_ps(x + 24) };
        const float max = largest_magnitude(v);
        if (!(max >= 0x1p-120f && max <= FLT_MAX)) {
            memset(q, 0, PUNA_ACT_BLOCK);
            d[b] = s[b] = max < 1.0f ? 0.0f : NAN;
            continue;
        }
        const __m256i codes = codes_of(v, 127.0f / max);
        const __m256i fours =
            _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), codes), _mm256_set1_epi16(1));
        __m256i pairs = _mm256_hadd_epi32(fours, fours);
        pairs = _mm256_hadd_epi32(pairs, pairs);
        _mm256_storeu_si256((__m256i *)(void *)q, codes);
        sums[2 * b] = (int16_t)_mm256_extract_epi32(pairs, 0);
        sums[2 * b + 1] = (int16_t)_mm256_extract_epi32(pairs, 4);
        d[b] = max / 127.0f;
        s[b] = d[b] * (float)(sums[2 * b] + sums[2 * b + 1]);
    }
}

/* The four 16-bit sums that puna_strip_put calls pairs, in the dwords 0 and 4. */
INLINE __m256i pair_sums(__m256i codes)
{
    __m256i p = _mm256_maddubs_epi16(_mm256_set1_epi8(1), codes);
    p = _mm256_add_epi16(p, _mm256_shuffle_epi32(p, 0x4e));
    return _mm256_add_epi16(p, _mm256_shuffle_epi32(p, 0xb1));
}

INLINE void put_block(uint8_t *block, int slot, int n_slots, __m256i codes, float d)
{
    const __m256i pairs = pair_sums(codes), wide = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    const __m256i less = _mm256_sub_epi16(_mm256_setzero_si256(), _mm256_slli_epi16(pairs, 4));
    const int32_t sums[2] = { -_mm256_extract_epi32(wide, 0), -_mm256_extract_epi32(wide, 4) };
    const int32_t starts[2] = { _mm256_extract_epi32(less, 0), _mm256_extract_epi32(less, 4) };
    const float s = d * (float)-(sums[0] + sums[1]);
    const size_t at = (size_t)slot, n = (size_t)n_slots;
    if (n_slots == 1) {
        _mm256_storeu_si256((__m256i *)(void *)block, codes);
    } else {
        int32_t lanes[8];
        _mm256_storeu_si256((__m256i *)(void *)lanes, codes);
        UNROLL
        for (size_t g = 0; g < 8; g++)
            memcpy(block + (g * n + at) * 4, &lanes[g], 4);
    }
    memcpy(block + puna_strip_d(n_slots) + at * 4, &d, 4);
    memcpy(block + puna_strip_s(n_slots) + at * 4, &s, 4);
    memcpy(block + puna_strip_sums(n_slots) + at * 8, sums, 8);
    memcpy(block + puna_strip_pairs(n_slots) + at * 8, starts, 8);
}

void puna_encode_strip_avx2(const float *x, int32_t n_in, void *strip, int slot, int n_slots)
{
    uint8_t *block = strip;
    for (int32_t b = 0; b < n_in / PUNA_ACT_BLOCK; b++, x += PUNA_ACT_BLOCK) {
        const __m256 v[4] = { _mm256_loadu_ps(x), _mm256_loadu_ps(x + 8), _mm256_loadu_ps(x + 16),
                              _mm256_loadu_ps(x + 24) };
        const float max = largest_magnitude(v);
        if (!(max >= 0x1p-120f && max <= FLT_MAX))
            put_block(block, slot, n_slots, _mm256_setzero_si256(), max < 1.0f ? 0.0f : NAN);
        else
            put_block(block, slot, n_slots, codes_of(v, 127.0f / max), max / 127.0f);
        block += (size_t)n_slots * PUNA_STRIP_BLOCK;
    }
}
