/* vector_avx2.c - the row functions eight floats at a time (AVX2, FMA, F16C). */
#include "backend/cpu/vector.h"

#include <math.h>
#include <string.h>

#include "backend/cpu/x86/math_avx2.h"

static float sum_of(const float *x, size_t n)
{
    __m256 a = _mm256_setzero_ps(), b = a;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        a = _mm256_add_ps(a, _mm256_loadu_ps(x + i));
        b = _mm256_add_ps(b, _mm256_loadu_ps(x + i + 8));
    }
    for (; i < n; i += 8)
        a = _mm256_add_ps(a, puna_avx2_load(x + i, n - i));
    return puna_avx2_sum(_mm256_add_ps(a, b));
}

static float square_of(const float *x, float mean, size_t n)
{
    const __m256 m = _mm256_set1_ps(mean);
    __m256 a = _mm256_setzero_ps(), b = a, c = a, d = a;
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256 v0 = _mm256_sub_ps(_mm256_loadu_ps(x + i), m),
               v1 = _mm256_sub_ps(_mm256_loadu_ps(x + i + 8), m);
        __m256 v2 = _mm256_sub_ps(_mm256_loadu_ps(x + i + 16), m),
               v3 = _mm256_sub_ps(_mm256_loadu_ps(x + i + 24), m);
        a = _mm256_fmadd_ps(v0, v0, a);
        b = _mm256_fmadd_ps(v1, v1, b);
        c = _mm256_fmadd_ps(v2, v2, c);
        d = _mm256_fmadd_ps(v3, v3, d);
    }
    for (; i < n; i += 8) {
        __m256 in = _mm256_castsi256_ps(puna_avx2_mask(n - i));
        __m256 v = _mm256_and_ps(in, _mm256_sub_ps(puna_avx2_load(x + i, n - i), m));
        a = _mm256_fmadd_ps(v, v, a);
    }
    return puna_avx2_sum(_mm256_add_ps(_mm256_add_ps(a, b), _mm256_add_ps(c, d)));
}

static void norm_group(const puna_norm_params *p, const float *weight, const float *bias, const float *x,
                       float *y)
{
    size_t n = (size_t)p->group;
    float mean = p->kind == PUNA_NORM_LAYER ? sum_of(x, n) / (float)n : 0;
    float scale = puna_norm_scale(p, square_of(x, mean, n), (float)n);
    const __m256 m = _mm256_set1_ps(mean), s = _mm256_set1_ps(scale);
    for (size_t i = 0; i < n; i += 8) {
        __m256 v = _mm256_mul_ps(_mm256_sub_ps(puna_avx2_load(x + i, n - i), m), s);
        if (weight)
            v = _mm256_mul_ps(v, puna_avx2_load(weight + i, n - i));
        if (bias)
            v = _mm256_add_ps(v, puna_avx2_load(bias + i, n - i));
        puna_avx2_store(y + i, n - i, v);
    }
}

static void norm(const puna_norm_params *p, const float *weight, const float *bias, const float *x, float *y,
                 size_t n)
{
    for (size_t i = 0; i < n; i += (size_t)p->group)
        norm_group(p, weight, bias, x + i, y + i);
}

/* (a, b) -> (a cos - b sin, a sin + b cos) */
static void rope_halves(int32_t half, const float *cosines, const float *sines, float *x)
{
    for (int32_t i = 0; i < half; i += 8) {
        size_t n = (size_t)(half - i);
        __m256 c = puna_avx2_load(cosines + i, n), s = puna_avx2_load(sines + i, n);
        __m256 a = puna_avx2_load(x + i, n), b = puna_avx2_load(x + half + i, n);
        puna_avx2_store(x + i, n, _mm256_fnmadd_ps(b, s, _mm256_mul_ps(a, c)));
        puna_avx2_store(x + half + i, n, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)));
    }
}

/* Pairs lie side by side: each angle is doubled, and the pair swapped for the sine's part. */
static void rope_pairs(int32_t half, const float *cosines, const float *sines, float *x)
{
    const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    for (int32_t i = 0; i < half; i += 4) {
        size_t n = half - i < 4 ? (size_t)(half - i) : 4;
        __m256 c = _mm256_permutevar8x32_ps(puna_avx2_load(cosines + i, n), twice);
        __m256 s = _mm256_permutevar8x32_ps(puna_avx2_load(sines + i, n), twice);
        __m256 v = puna_avx2_load(x + 2 * i, 2 * n);
        __m256 swapped = _mm256_permute_ps(v, 0xb1);
        puna_avx2_store(x + 2 * i, 2 * n, _mm256_fmaddsub_ps(v, c, _mm256_mul_ps(swapped, s)));
    }
}

static void rope(puna_rope_pairing pairing, int32_t n_rot, const float *cosines, const float *sines, float *x)
{
    if (pairing == PUNA_ROPE_NORMAL)
        rope_pairs(n_rot / 2, cosines, sines, x);
    else
        rope_halves(n_rot / 2, cosines, sines, x);
}

static inline __m256 logistic_times(__m256 x, __m256 z)
{
    const __m256 one = _mm256_set1_ps(1);
    __m256 e = puna_avx2_exp(_mm256_sub_ps(_mm256_setzero_ps(), z));
    return _mm256_div_ps(x, _mm256_add_ps(one, e));
}

static inline __m256 silu(__m256 x)
{
    return logistic_times(x, x);
}

/* 0.5 (1 + tanh u) is the logistic function of 2 u, u = sqrt(2 / pi) (x + 0.044715 x^3). */
static inline __m256 gelu(__m256 x)
{
    __m256 x3 = _mm256_mul_ps(_mm256_mul_ps(x, x), x);
    __m256 z =
        _mm256_mul_ps(_mm256_fmadd_ps(x3, _mm256_set1_ps(0.044715f), x), _mm256_set1_ps(1.5957691216057308f));
    return logistic_times(x, z);
}

static inline __m256 relu(__m256 x)
{
    return _mm256_max_ps(x, _mm256_setzero_ps());
}

static inline __m256 gelu_quick(__m256 x)
{
    return logistic_times(x, _mm256_mul_ps(x, _mm256_set1_ps(1.702f)));
}

static inline __m256 sigmoid(__m256 x)
{
    return logistic_times(_mm256_set1_ps(1), x);
}

static inline __m256 relu_squared(__m256 x)
{
    const __m256 above = relu(x);
    return _mm256_mul_ps(above, above);
}

/* x times the normal distribution function, by vector.h's series; rounding of a square is made good, for below zero
 * it decides all digits. */
static inline __m256 gelu_erf(__m256 x)
{
    const __m256 one = _mm256_set1_ps(1), half = _mm256_set1_ps(0.5f), two = _mm256_set1_ps(2);
    const __m256 a = _mm256_min_ps(_mm256_set1_ps(16), _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x));
    const __m256 square = _mm256_mul_ps(a, a), lost = _mm256_fmsub_ps(a, a, square);
    __m256 e = puna_avx2_exp(_mm256_mul_ps(square, _mm256_set1_ps(-0.5f)));
    e = _mm256_fnmadd_ps(_mm256_mul_ps(e, lost), half, e);
    const __m256 z = _mm256_mul_ps(a, _mm256_set1_ps(0.70710678f));
    const __m256 q = _mm256_div_ps(_mm256_sub_ps(z, two), _mm256_add_ps(z, two));
    __m256 p = _mm256_set1_ps(-0.000397101716f);
    p = _mm256_fmadd_ps(p, q, _mm256_set1_ps(-0.00121833558f));
    p = _mm256_fmadd_ps(p, q, _mm256_set1_ps(0.00132086173f));
    p = _mm256_fmadd_ps(p, q, _mm256_set1_ps(0.00862425586f));
    p = _mm256_fmadd_ps(p, q, _mm256_set1_ps(-0.0080669186f));
    p = _mm256_fmadd_ps(p, q, _mm256_set1_ps(-0.0542031091f));
    p = _mm256_fmadd_ps(p, q, _mm256_set1_ps(0.164056983f));
    p = _mm256_fmadd_ps(p, q, _mm256_set1_ps(-0.166031454f));
    p = _mm256_fmadd_ps(p, q, _mm256_set1_ps(-0.0927640722f));
    p = _mm256_fmadd_ps(p, q, _mm256_set1_ps(1.27697839f));
    const __m256 tail = _mm256_div_ps(_mm256_mul_ps(_mm256_mul_ps(e, half), p), _mm256_fmadd_ps(z, two, one));
    const __m256 above = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GE_OQ);
    return _mm256_mul_ps(x, _mm256_blendv_ps(tail, _mm256_sub_ps(one, tail), above));
}

#define ACT(activate)                 \
    for (size_t i = 0; i < n; i += 8) \
    puna_avx2_store(y + i, n - i, activate(puna_avx2_load(x + i, n - i)))

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
        ACT(puna_avx2_tanh);
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
    const __m256 most = _mm256_set1_ps(limit), least = _mm256_set1_ps(-limit),
                 offset = _mm256_set1_ps(p->up_offset);
    const __m256 early = _mm256_set1_ps(p->late_limit ? INFINITY : limit),
                 late = _mm256_set1_ps(p->late_limit ? limit : INFINITY);
    float some[PUNA_VECTOR_SOME];
    for (size_t at = 0; at < n; at += PUNA_VECTOR_SOME) {
        const size_t m = n - at < PUNA_VECTOR_SOME ? n - at : PUNA_VECTOR_SOME;
        for (size_t i = 0; i < m; i += 8)
            puna_avx2_store(some + i, m - i, _mm256_min_ps(early, puna_avx2_load(gate + at + i, m - i)));
        act(p->activation, some, some, m);
        for (size_t i = 0; i < m; i += 8) {
            const __m256 u = _mm256_max_ps(least, _mm256_min_ps(most, puna_avx2_load(up + at + i, m - i)));
            const __m256 a = _mm256_min_ps(late, puna_avx2_load(some + i, m - i));
            puna_avx2_store(y + at + i, m - i, _mm256_mul_ps(a, _mm256_add_ps(u, offset)));
        }
    }
}

static void add(const float *a, const float *b, float *y, size_t n)
{
    for (size_t i = 0; i < n; i += 8)
        puna_avx2_store(y + i, n - i,
                        _mm256_add_ps(puna_avx2_load(a + i, n - i), puna_avx2_load(b + i, n - i)));
}

static void accumulate(float factor, const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i += 8)
        puna_avx2_store(y + i, n - i,
                        _mm256_fmadd_ps(_mm256_set1_ps(factor), puna_avx2_load(x + i, n - i),
                                        puna_avx2_load(y + i, n - i)));
}

static void scale(float factor, const float *x, float *y, size_t n)
{
    const __m256 f = _mm256_set1_ps(factor);
    for (size_t i = 0; i < n; i += 8)
        puna_avx2_store(y + i, n - i, _mm256_mul_ps(puna_avx2_load(x + i, n - i), f));
}

static void softcap(float factor, float cap, float *x, size_t n)
{
    if (!(cap > 0)) {
        scale(factor, x, x, n);
        return;
    }
    const __m256 f = _mm256_set1_ps(factor), c = _mm256_set1_ps(cap);
    for (size_t i = 0; i < n; i += 8) {
        __m256 v = _mm256_div_ps(_mm256_mul_ps(puna_avx2_load(x + i, n - i), f), c);
        puna_avx2_store(x + i, n - i, _mm256_mul_ps(c, puna_avx2_tanh(v)));
    }
}

static void narrow(const float *x, uint16_t *y, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        __m128i half = _mm256_cvtps_ph(puna_avx2_load(x + i, n - i), _MM_FROUND_TO_NEAREST_INT);
        if (n - i >= 8)
            _mm_storeu_si128((__m128i *)(void *)(y + i), half);
        else
            memcpy(y + i, &half, (n - i) * sizeof *y);
    }
}

const puna_vector_kernels puna_vector_avx2 = {
    .name = "avx2",
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
