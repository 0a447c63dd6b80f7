/* math_avx2.h - exp and tanh of eight floats, and loads and stores of fewer than eight. Inline,
 * for *_avx2.c files only.
 *
 * exp: x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor series to r^7, whose remainder
 * r^8 / 8! is below 6e-9; ln 2 in two parts (Cody and Waite 1980) so that n ln 2 is exact. */
#ifndef PUNA_BACKEND_CPU_MATH_AVX2_H
#define PUNA_BACKEND_CPU_MATH_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

/* The first n lanes, for n in 0 .. 8. */
static inline __m256i puna_avx2_mask(size_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

static inline __m256 puna_avx2_load(const float *x, size_t n)
{
    return n >= 8 ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, puna_avx2_mask(n));
}

static inline void puna_avx2_store(float *y, size_t n, __m256 v)
{
    if (n >= 8)
        _mm256_storeu_ps(y, v);
    else
        _mm256_maskstore_ps(y, puna_avx2_mask(n), v);
}

static inline float puna_avx2_sum(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static inline float puna_avx2_max(__m256 v)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

/* e^r - 1 for the reduced argument, and 2^n. x must be in [-87.3, 88.3] or NaN. */
static inline __m256 puna_avx2_reduced_expm1(__m256 x, __m256 *power)
{
    __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
    __m256 p = _mm256_set1_ps(1.0f / 5040);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 720));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(_mm256_mul_ps(p, r), r, r);
    __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    *power = _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
    return p;
}

/* min and max return their second operand when one is NaN, which therefore stays. */
static inline __m256 puna_avx2_exp(__m256 x)
{
    const __m256 low = _mm256_set1_ps(-87.3f), high = _mm256_set1_ps(88.3f);
    __m256 power, limited = _mm256_min_ps(high, _mm256_max_ps(low, x));
    __m256 p = puna_avx2_reduced_expm1(limited, &power);
    __m256 y = _mm256_fmadd_ps(p, power, power);
    return _mm256_andnot_ps(_mm256_cmp_ps(x, low, _CMP_LT_OQ), y);
}

/* tanh x = E / (E + 2) with E = e^2x - 1, which keeps its relative accuracy near zero. */
static inline __m256 puna_avx2_tanh(__m256 x)
{
    const __m256 limit = _mm256_set1_ps(10);
    __m256 power, x2 = _mm256_min_ps(limit, _mm256_max_ps(_mm256_sub_ps(_mm256_setzero_ps(), limit), x));
    x2 = _mm256_add_ps(x2, x2);
    __m256 p = puna_avx2_reduced_expm1(x2, &power);
    __m256 e = _mm256_fmadd_ps(p, power, _mm256_sub_ps(power, _mm256_set1_ps(1)));
    return _mm256_div_ps(e, _mm256_add_ps(e, _mm256_set1_ps(2)));
}

#endif
