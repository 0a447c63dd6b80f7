/* vector_neon.c - the row functions four floats at a time. */
#include "backend/cpu/vector.h"

#include <math.h>
#include <string.h>

#include "backend/cpu/arm/math_neon.h"

static float sum_of(const float *x, size_t n)
{
    float32x4_t a = vdupq_n_f32(0), b = a;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        a = vaddq_f32(a, vld1q_f32(x + i));
        b = vaddq_f32(b, vld1q_f32(x + i + 4));
    }
    for (; i < n; i += 4)
        a = vaddq_f32(a, puna_neon_load(x + i, n - i));
    return vaddvq_f32(vaddq_f32(a, b));
}

static float square_of(const float *x, float mean, size_t n)
{
    const float32x4_t m = vdupq_n_f32(mean);
    float32x4_t sum[4] = { vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0) };
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 4; j++) {
            const float32x4_t v = vsubq_f32(vld1q_f32(x + i + 4 * j), m);
            sum[j] = vfmaq_f32(sum[j], v, v);
        }
    for (; i + 4 <= n; i += 4) {
        const float32x4_t v = vsubq_f32(vld1q_f32(x + i), m);
        sum[0] = vfmaq_f32(sum[0], v, v);
    }
    float total = vaddvq_f32(vaddq_f32(vaddq_f32(sum[0], sum[1]), vaddq_f32(sum[2], sum[3])));
    for (; i < n; i++)
        total += (x[i] - mean) * (x[i] - mean);
    return total;
}

static void norm_group(const puna_norm_params *p, const float *weight, const float *bias, const float *x,
                       float *y)
{
    size_t n = (size_t)p->group;
    float mean = p->kind == PUNA_NORM_LAYER ? sum_of(x, n) / (float)n : 0;
    float scale = puna_norm_scale(p, square_of(x, mean, n), (float)n);
    const float32x4_t m = vdupq_n_f32(mean);
    for (size_t i = 0; i < n; i += 4) {
        float32x4_t v = vmulq_n_f32(vsubq_f32(puna_neon_load(x + i, n - i), m), scale);
        if (weight)
            v = vmulq_f32(v, puna_neon_load(weight + i, n - i));
        if (bias)
            v = vaddq_f32(v, puna_neon_load(bias + i, n - i));
        puna_neon_store(y + i, n - i, v);
    }
}

static void norm(const puna_norm_params *p, const float *weight, const float *bias, const float *x, float *y,
                 size_t n)
{
    for (size_t i = 0; i < n; i += (size_t)p->group)
        norm_group(p, weight, bias, x + i, y + i);
}

/* (a, b) -> (a cos - b sin, a sin + b cos) */
static inline void rotate(float32x4_t *a, float32x4_t *b, float32x4_t c, float32x4_t s)
{
    const float32x4_t u = *a, v = *b;
    *a = vfmsq_f32(vmulq_f32(u, c), v, s);
    *b = vfmaq_f32(vmulq_f32(u, s), v, c);
}

static void rope_halves(size_t half, const float *cosines, const float *sines, float *x)
{
    for (size_t i = 0; i < half; i += 4) {
        const size_t n = half - i;
        float32x4_t a = puna_neon_load(x + i, n), b = puna_neon_load(x + half + i, n);
        rotate(&a, &b, puna_neon_load(cosines + i, n), puna_neon_load(sines + i, n));
        puna_neon_store(x + i, n, a);
        puna_neon_store(x + half + i, n, b);
    }
}

/* Pairs lie side by side. */
static void rope_pairs(size_t half, const float *cosines, const float *sines, float *x)
{
    for (size_t i = 0; i < half; i += 4) {
        const size_t n = half - i < 4 ? half - i : 4;
        const float32x4_t low = puna_neon_load(x + 2 * i, 2 * n),
                          high = n > 2 ? puna_neon_load(x + 2 * i + 4, 2 * n - 4) : low;
        float32x4_t a = vuzp1q_f32(low, high), b = vuzp2q_f32(low, high);
        rotate(&a, &b, puna_neon_load(cosines + i, n), puna_neon_load(sines + i, n));
        puna_neon_store(x + 2 * i, 2 * n, vzip1q_f32(a, b));
        if (n > 2)
            puna_neon_store(x + 2 * i + 4, 2 * n - 4, vzip2q_f32(a, b));
    }
}

static void rope(puna_rope_pairing pairing, int32_t n_rot, const float *cosines, const float *sines, float *x)
{
    if (pairing == PUNA_ROPE_NORMAL)
        rope_pairs((size_t)n_rot / 2, cosines, sines, x);
    else
        rope_halves((size_t)n_rot / 2, cosines, sines, x);
}

static inline float32x4_t logistic_times(float32x4_t x, float32x4_t z)
{
    return vdivq_f32(x, vaddq_f32(vdupq_n_f32(1), puna_neon_exp(vnegq_f32(z))));
}

static inline float32x4_t silu(float32x4_t x)
{
    return logistic_times(x, x);
}

/* 0.5 (1 + tanh u) is the logistic function of 2 u, u = sqrt(2 / pi) (x + 0.044715 x^3). */
static inline float32x4_t gelu(float32x4_t x)
{
    const float32x4_t x3 = vmulq_f32(vmulq_f32(x, x), x);
    return logistic_times(x, vmulq_n_f32(vfmaq_f32(x, x3, vdupq_n_f32(0.044715f)), 1.5957691216057308f));
}

static inline float32x4_t relu(float32x4_t x)
{
    return vmaxnmq_f32(x, vdupq_n_f32(0)); /* 0 for NaN, as x > 0 ? x : 0 */
}

static inline float32x4_t gelu_quick(float32x4_t x)
{
    return logistic_times(x, vmulq_n_f32(x, 1.702f));
}

static inline float32x4_t sigmoid(float32x4_t x)
{
    return logistic_times(vdupq_n_f32(1), x);
}

static inline float32x4_t relu_squared(float32x4_t x)
{
    const float32x4_t above = relu(x);
    return vmulq_f32(above, above);
}

/* x times the normal distribution function, by vector.h's series; rounding of a square is made good, for below zero
 * it decides all digits. */
static inline float32x4_t gelu_erf(float32x4_t x)
{
    const float32x4_t one = vdupq_n_f32(1), two = vdupq_n_f32(2),
                      a = vminq_f32(vdupq_n_f32(16), vabsq_f32(x));
    const float32x4_t square = vmulq_f32(a, a), lost = vnegq_f32(vfmsq_f32(square, a, a));
    float32x4_t e = puna_neon_exp(vmulq_n_f32(square, -0.5f));
    e = vfmsq_f32(e, vmulq_f32(e, lost), vdupq_n_f32(0.5f));
    const float32x4_t z = vmulq_n_f32(a, 0.70710678f);
    const float32x4_t q = vdivq_f32(vsubq_f32(z, two), vaddq_f32(z, two));
    float32x4_t p = vdupq_n_f32(-0.000397101716f);
    p = vfmaq_f32(vdupq_n_f32(-0.00121833558f), p, q);
    p = vfmaq_f32(vdupq_n_f32(0.00132086173f), p, q);
    p = vfmaq_f32(vdupq_n_f32(0.00862425586f), p, q);
    p = vfmaq_f32(vdupq_n_f32(-0.0080669186f), p, q);
    p = vfmaq_f32(vdupq_n_f32(-0.0542031091f), p, q);
    p = vfmaq_f32(vdupq_n_f32(0.164056983f), p, q);
    p = vfmaq_f32(vdupq_n_f32(-0.166031454f), p, q);
    p = vfmaq_f32(vdupq_n_f32(-0.0927640722f), p, q);
    p = vfmaq_f32(vdupq_n_f32(1.27697839f), p, q);
    const float32x4_t tail = vdivq_f32(vmulq_f32(vmulq_n_f32(e, 0.5f), p), vfmaq_f32(one, z, two));
    return vmulq_f32(x, vbslq_f32(vcgeq_f32(x, vdupq_n_f32(0)), vsubq_f32(one, tail), tail));
}

#define ACT(activate)                 \
    for (size_t i = 0; i < n; i += 4) \
    puna_neon_store(y + i, n - i, activate(puna_neon_load(x + i, n - i)))

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
        ACT(puna_neon_tanh);
        break;
    default:
        if (y != x)
            memcpy(y, x, n * sizeof *y);
    }
}

/* The activations of some values at a time, then what they are multiplied with. min and max return what
 * is not a number when an operand is. */
static void glu(const puna_glu_params *p, const float *gate, const float *up, float *y, size_t n)
{
    const float limit = p->limit > 0 ? p->limit : INFINITY;
    const float32x4_t most = vdupq_n_f32(limit), least = vdupq_n_f32(-limit),
                      offset = vdupq_n_f32(p->up_offset);
    const float32x4_t early = vdupq_n_f32(p->late_limit ? INFINITY : limit),
                      late = vdupq_n_f32(p->late_limit ? limit : INFINITY);
    float some[PUNA_VECTOR_SOME];
    for (size_t at = 0; at < n; at += PUNA_VECTOR_SOME) {
        const size_t m = n - at < PUNA_VECTOR_SOME ? n - at : PUNA_VECTOR_SOME;
        for (size_t i = 0; i < m; i += 4)
            puna_neon_store(some + i, m - i, vminq_f32(early, puna_neon_load(gate + at + i, m - i)));
        act(p->activation, some, some, m);
        for (size_t i = 0; i < m; i += 4) {
            const float32x4_t u = vmaxq_f32(least, vminq_f32(most, puna_neon_load(up + at + i, m - i)));
            const float32x4_t a = vminq_f32(late, puna_neon_load(some + i, m - i));
            puna_neon_store(y + at + i, m - i, vmulq_f32(a, vaddq_f32(u, offset)));
        }
    }
}

static void add(const float *a, const float *b, float *y, size_t n)
{
    for (size_t i = 0; i < n; i += 4)
        puna_neon_store(y + i, n - i, vaddq_f32(puna_neon_load(a + i, n - i), puna_neon_load(b + i, n - i)));
}

static void accumulate(float factor, const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i += 4)
        puna_neon_store(y + i, n - i,
                        vfmaq_n_f32(puna_neon_load(y + i, n - i), puna_neon_load(x + i, n - i), factor));
}

static void scale(float factor, const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i += 4)
        puna_neon_store(y + i, n - i, vmulq_n_f32(puna_neon_load(x + i, n - i), factor));
}

static void softcap(float factor, float cap, float *x, size_t n)
{
    if (!(cap > 0)) {
        scale(factor, x, x, n);
        return;
    }
    const float32x4_t c = vdupq_n_f32(cap);
    for (size_t i = 0; i < n; i += 4) {
        const float32x4_t v = vdivq_f32(vmulq_n_f32(puna_neon_load(x + i, n - i), factor), c);
        puna_neon_store(x + i, n - i, vmulq_f32(c, puna_neon_tanh(v)));
    }
}

static void narrow(const float *x, uint16_t *y, size_t n)
{
    for (size_t i = 0; i < n; i += 4) {
        const uint16x4_t half = vreinterpret_u16_f16(vcvt_f16_f32(puna_neon_load(x + i, n - i)));
        memcpy(y + i, &half, (n - i < 4 ? n - i : 4) * sizeof *y);
    }
}

const puna_vector_kernels puna_vector_neon = {
    .name = "neon",
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
