/* vector_avx512.c - the row functions sixteen floats at a time. The ends of rows are masked. */
#include "backend/cpu/vector.h"

#include <math.h>
#include <string.h>

#include "backend/cpu/x86/avx512.h"
#include "backend/cpu/x86/math_avx512.h"

INLINE __m512 load_some(const float *x, size_t n)
{
    return _mm512_maskz_loadu_ps(first_lanes(n), x);
}

INLINE void store_some(float *y, size_t n, __m512 v)
{
    _mm512_mask_storeu_ps(y, first_lanes(n), v);
}

static float sum_of(const float *x, size_t n)
{
    __m512 a = _mm512_setzero_ps(), b = a;
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        a = _mm512_add_ps(a, _mm512_loadu_ps(x + i));
        b = _mm512_add_ps(b, _mm512_loadu_ps(x + i + 16));
    }
    for (; i < n; i += 16)
        a = _mm512_add_ps(a, load_some(x + i, n - i));
    return _mm512_reduce_add_ps(_mm512_add_ps(a, b));
}

static float square_of(const float *x, float mean, size_t n)
{
    const __m512 m = _mm512_set1_ps(mean);
    __m512 sums[4] = { _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps() };
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        UNROLL
        for (size_t j = 0; j < 4; j++) {
            const __m512 v = _mm512_sub_ps(_mm512_loadu_ps(x + i + 16 * j), m);
            sums[j] = _mm512_fmadd_ps(v, v, sums[j]);
        }
    }
    for (; i < n; i += 16) {
        const __m512 v = _mm512_maskz_sub_ps(first_lanes(n - i), load_some(x + i, n - i), m);
        sums[0] = _mm512_fmadd_ps(v, v, sums[0]);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])));
}

static void norm_group(const puna_norm_params *p, const float *weight, const float *bias, const float *x,
                       float *y)
{
    const size_t n = (size_t)p->group;
    const float mean = p->kind == PUNA_NORM_LAYER ? sum_of(x, n) / (float)n : 0;
    const float scale = puna_norm_scale(p, square_of(x, mean, n), (float)n);
    const __m512 m = _mm512_set1_ps(mean), s = _mm512_set1_ps(scale);
    for (size_t i = 0; i < n; i += 16) {
        __m512 v = _mm512_mul_ps(_mm512_sub_ps(load_some(x + i, n - i), m), s);
        if (weight)
            v = _mm512_mul_ps(v, load_some(weight + i, n - i));
        if (bias)
            v = _mm512_add_ps(v, load_some(bias + i, n - i));
        store_some(y + i, n - i, v);
    }
}

static void norm(const puna_norm_params *p, const float *weight, const float *bias, const float *x, float *y,
                 size_t n)
{
    for (size_t i = 0; i < n; i += (size_t)p->group)
        norm_group(p, weight, bias, x + i, y + i);
}

/* (a, b) -> (a cos - b sin, a sin + b cos) */
static void rope_halves(size_t half, const float *cosines, const float *sines, float *x)
{
    for (size_t i = 0; i < half; i += 16) {
        const size_t n = half - i;
        const __m512 c = load_some(cosines + i, n), s = load_some(sines + i, n);
        const __m512 a = load_some(x + i, n), b = load_some(x + half + i, n);
        store_some(x + i, n, _mm512_fnmadd_ps(b, s, _mm512_mul_ps(a, c)));
        store_some(x + half + i, n, _mm512_fmadd_ps(b, c, _mm512_mul_ps(a, s)));
    }
}

/* Pairs lie side by side: each angle is doubled, and the pair swapped for the sine's part. */
static void rope_pairs(size_t half, const float *cosines, const float *sines, float *x)
{
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    for (size_t i = 0; i < half; i += 8) {
        const size_t n = half - i < 8 ? half - i : 8;
        const __m512 c = _mm512_permutexvar_ps(twice, load_some(cosines + i, n));
        const __m512 s = _mm512_permutexvar_ps(twice, load_some(sines + i, n));
        const __m512 v = load_some(x + 2 * i, 2 * n), swapped = _mm512_permute_ps(v, 0xb1);
        store_some(x + 2 * i, 2 * n, _mm512_fmaddsub_ps(v, c, _mm512_mul_ps(swapped, s)));
    }
}

static void rope(puna_rope_pairing pairing, int32_t n_rot, const float *cosines, const float *sines, float *x)
{
    if (pairing == PUNA_ROPE_NORMAL)
        rope_pairs((size_t)n_rot / 2, cosines, sines, x);
    else
        rope_halves((size_t)n_rot / 2, cosines, sines, x);
}

INLINE __m512 logistic_times(__m512 x, __m512 z)
{
    const __m512 e = puna_avx512_exp(_mm512_sub_ps(_mm512_setzero_ps(), z));
    return _mm512_div_ps(x, _mm512_add_ps(_mm512_set1_ps(1), e));
}

INLINE __m512 silu(__m512 x)
{
    return logistic_times(x, x);
}

/* 0.5 (1 + tanh u) is the logistic function of 2 u, u = sqrt(2 / pi) (x + 0.044715 x^3). */
INLINE __m512 gelu(__m512 x)
{
    const __m512 x3 = _mm512_mul_ps(_mm512_mul_ps(x, x), x);
    return logistic_times(x, _mm512_mul_ps(_mm512_fmadd_ps(x3, _mm512_set1_ps(0.044715f), x),
                                           _mm512_set1_ps(1.5957691216057308f)));
}

INLINE __m512 relu(__m512 x)
{
    return _mm512_max_ps(x, _mm512_setzero_ps());
}

INLINE __m512 gelu_quick(__m512 x)
{
    return logistic_times(x, _mm512_mul_ps(x, _mm512_set1_ps(1.702f)));
}

INLINE __m512 sigmoid(__m512 x)
{
    return logistic_times(_mm512_set1_ps(1), x);
}

INLINE __m512 relu_squared(__m512 x)
{
    const __m512 above = relu(x);
    return _mm512_mul_ps(above, above);
}

/* x times the normal distribution function, by vector.h's series; rounding of a square is made good, for below zero
 * it decides all digits. */
INLINE __m512 gelu_erf(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1), half = _mm512_set1_ps(0.5f), two = _mm512_set1_ps(2);
    const __m512 a = _mm512_min_ps(_mm512_set1_ps(16), _mm512_abs_ps(x));
    const __m512 square = _mm512_mul_ps(a, a), lost = _mm512_fmsub_ps(a, a, square);
    __m512 e = puna_avx512_exp(_mm512_mul_ps(square, _mm512_set1_ps(-0.5f)));
    e = _mm512_fnmadd_ps(_mm512_mul_ps(e, lost), half, e);
    const __m512 z = _mm512_mul_ps(a, _mm512_set1_ps(0.70710678f));
    const __m512 q = _mm512_div_ps(_mm512_sub_ps(z, two), _mm512_add_ps(z, two));
    __m512 p = _mm512_set1_ps(-0.000397101716f);
    p = _mm512_fmadd_ps(p, q, _mm512_set1_ps(-0.00121833558f));
    p = _mm512_fmadd_ps(p, q, _mm512_set1_ps(0.00132086173f));
    p = _mm512_fmadd_ps(p, q, _mm512_set1_ps(0.00862425586f));
    p = _mm512_fmadd_ps(p, q, _mm512_set1_ps(-0.0080669186f));
    p = _mm512_fmadd_ps(p, q, _mm512_set1_ps(-0.0542031091f));
    p = _mm512_fmadd_ps(p, q, _mm512_set1_ps(0.164056983f));
    p = _mm512_fmadd_ps(p, q, _mm512_set1_ps(-0.166031454f));
    p = _mm512_fmadd_ps(p, q, _mm512_set1_ps(-0.0927640722f));
    p = _mm512_fmadd_ps(p, q, _mm512_set1_ps(1.27697839f));
    const __m512 tail = _mm512_div_ps(_mm512_mul_ps(_mm512_mul_ps(e, half), p), _mm512_fmadd_ps(z, two, one));
    const __mmask16 above = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GE_OQ);
    return _mm512_mul_ps(x, _mm512_mask_sub_ps(tail, above, one, tail));
}

#define ACT(activate)                  \
    for (size_t i = 0; i < n; i += 16) \
    store_some(y + i, n - i, activate(load_some(x + i, n - i)))

static void act(puna_activation activation, const float *x, float *y, size_t n)
{
    switch (activation) {
    case PUNA_ACT_SILU:
        ACT(silu);
        break;
    case PUNA_ACT_GELU:
        ACT(gelu);
        break;
    case PUNA_ACT_GELU_ERF:
        ACT(gelu_erf);
        break;
    case PUNA_ACT_GELU_QUICK:
        ACT(gelu_quick);
        break;
    case PUNA_ACT_RELU:
        ACT(relu);
        break;
    case PUNA_ACT_RELU_SQUARED:
        ACT(relu_squared);
        break;
    case PUNA_ACT_SIGMOID:
        ACT(sigmoid);
        break;
    case PUNA_ACT_TANH:
        ACT(puna_avx512_tanh);
        break;
    default:
        if (y != x)
            memcpy(y, x, n * sizeof *y);
    }
}

/* The activations of some values at a time, then what they are multiplied with. min and max return their second
 * operand when one is not a number, which therefore stays. */
static void glu(const puna_glu_params *p, const float *gate, const float *up, float *y, size_t n)
{
    const float limit = p->limit > 0 ? p->limit : INFINITY;
    const __m512 most = _mm512_set1_ps(limit), least = _mm512_set1_ps(-limit),
                 offset = _mm512_set1_ps(p->up_offset);
    const __m512 early = _mm512_set1_ps(p->late_limit ? INFINITY : limit),
                 late = _mm512_set1_ps(p->late_limit ? limit : INFINITY);
    float some[PUNA_VECTOR_SOME];
    for (size_t at = 0; at < n; at += PUNA_VECTOR_SOME) {
        const size_t m = n - at < PUNA_VECTOR_SOME ? n - at : PUNA_VECTOR_SOME;
        for (size_t i = 0; i < m; i += 16)
            store_some(some + i, m - i, _mm512_min_ps(early, load_some(gate + at + i, m - i)));
        act(p->activation, some, some, m);
        for (size_t i = 0; i < m; i += 16) {
            const __m512 u = _mm512_max_ps(least, _mm512_min_ps(most, load_some(up + at + i, m - i)));
            const __m512 a = _mm512_min_ps(late, load_some(some + i, m - i));
            store_some(y + at + i, m - i, _mm512_mul_ps(a, _mm512_add_ps(u, offset)));
        }
    }
}

static void add(const float *a, const float *b, float *y, size_t n)
{
    for (size_t i = 0; i < n; i += 16)
        store_some(y + i, n - i, _mm512_add_ps(load_some(a + i, n - i), load_some(b + i, n - i)));
}

static void accumulate(float factor, const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i += 16)
        store_some(y + i, n - i,
                   _mm512_fmadd_ps(_mm512_set1_ps(factor), load_some(x + i, n - i), load_some(y + i, n - i)));
}

static void scale(float factor, const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i += 16)
        store_some(y + i, n - i, _mm512_mul_ps(load_some(x + i, n - i), _mm512_set1_ps(factor)));
}

static void softcap(float factor, float cap, float *x, size_t n)
{
    if (!(cap > 0)) {
        scale(factor, x, x, n);
        return;
    }
    const __m512 f = _mm512_set1_ps(factor), c = _mm512_set1_ps(cap);
    for (size_t i = 0; i < n; i += 16) {
        const __m512 v = _mm512_div_ps(_mm512_mul_ps(load_some(x + i, n - i), f), c);
        store_some(x + i, n - i, _mm512_mul_ps(c, puna_avx512_tanh(v)));
    }
}

static void narrow(const float *x, uint16_t *y, size_t n)
{
    for (size_t i = 0; i < n; i += 16)
        _mm256_mask_storeu_epi16(y + i, first_lanes(n - i),
                                 _mm512_maskz_cvtps_ph((__mmask16)0xffff, load_some(x + i, n - i),
                                                       _MM_FROUND_TO_NEAREST_INT));
}

const puna_vector_kernels puna_vector_avx512 = {
    .name = "avx512",
    .norm = norm,
    .rope = rope,
    .act = act,
    .glu = glu,
    .accumulate = accumulate,
    .add = add,
    .scale = scale,
    .softcap = softcap,
    .narrow = narrow,
};
