/* math_avx512.h - exp and tanh of sixteen floats, by the series of math_avx2.h. Inline, for *_avx512.c
 * files only. */
#ifndef PUNA_BACKEND_CPU_MATH_AVX512_H
#define PUNA_BACKEND_CPU_MATH_AVX512_H

#include <immintrin.h>

/* e^r - 1 for the reduced argument, and 2^n. x must be in [-87.3, 88.3] or NaN. */
static inline __m512 puna_avx512_reduced_expm1(__m512 x, __m512 *power)
{
    const __m512i n = _mm512_cvtps_epi32(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)));
    const __m512 whole = _mm512_cvtepi32_ps(n);
    __m512 r = _mm512_fnmadd_ps(whole, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(whole, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(1.0f / 5040);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 720));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(_mm512_mul_ps(p, r), r, r);
    *power = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127)), 23));
    return p;
}

/* min and max return their second operand when one is NaN, which therefore stays. */
static inline __m512 puna_avx512_exp(__m512 x)
{
    const __m512 low = _mm512_set1_ps(-87.3f), high = _mm512_set1_ps(88.3f);
    __m512 power, limited = _mm512_min_ps(high, _mm512_max_ps(low, x));
    const __m512 p = puna_avx512_reduced_expm1(limited, &power);
    const __mmask16 kept = _mm512_cmp_ps_mask(x, low, _CMP_NLT_UQ);
    return _mm512_maskz_mov_ps(kept, _mm512_fmadd_ps(p, power, power));
}

/* e^x in half the instructions, for weights of a softmax: x is at most 0 or NaN. 2^t with t = x / ln 2 is
 * 2^floor t times a polynomial in the rest, 1 where that is 0, whose error is below 1.5e-7; rounding t
 * adds |x| 2^-24, which the smallness of e^x outweighs. */
static inline __m512 puna_avx512_exp_below_1(__m512 x)
{
    const __mmask16 kept = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.3f), _CMP_NLT_UQ);
    const __m512 t = _mm512_mul_ps(x, _mm512_set1_ps(1.44269504f));
    const __m512 rest = _mm512_reduce_ps(t, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    __m512 p = _mm512_set1_ps(0.00186713005f);
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.00901703071f));
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.0557999127f));
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.240164444f));
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.693151295f));
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(1));
    return _mm512_maskz_scalef_ps(kept, p, t);
}

/* tanh x = E / (E + 2) with E = e^2x - 1, which keeps its relative accuracy near zero. */
static inline __m512 puna_avx512_tanh(__m512 x)
{
    const __m512 limit = _mm512_set1_ps(10);
    __m512 power, x2 = _mm512_min_ps(limit, _mm512_max_ps(_mm512_sub_ps(_mm512_setzero_ps(), limit), x));
    x2 = _mm512_add_ps(x2, x2);
    const __m512 p = puna_avx512_reduced_expm1(x2, &power);
    const __m512 e = _mm512_fmadd_ps(p, power, _mm512_sub_ps(power, _mm512_set1_ps(1)));
    return _mm512_div_ps(e, _mm512_add_ps(e, _mm512_set1_ps(2)));
}

#endif
