/* vector.c - the portable row functions, and the choice between levels. */
#include "backend/cpu/vector.h"

#include <math.h>

#include "backend/cpu/cpu.h"
#include "quant/half.h"

static void norm_group(const puna_norm_params *p, const float *weight, const float *bias, const float *x,
                       float *y)
{
    size_t n = (size_t)p->group;
    double mean = 0, square = 0;
    if (p->kind == PUNA_NORM_LAYER) {
        for (size_t i = 0; i < n; i++)
            mean += (double)x[i];
        mean /= (double)n;
    }
    for (size_t i = 0; i < n; i++)
        square += ((double)x[i] - mean) * ((double)x[i] - mean);
    double scale = p->kind == PUNA_NORM_L2 ? 1 / fmax(sqrt(square), (double)p->eps)
                                           : 1 / sqrt(square / (double)n + (double)p->eps);
    for (size_t i = 0; i < n; i++) {
        double v = ((double)x[i] - mean) * scale;
        y[i] = (float)(weight ? v * (double)weight[i] : v) + (bias ? bias[i] : 0);
    }
}

static void norm(const puna_norm_params *p, const float *weight, const float *bias, const float *x, float *y,
                 size_t n)
{
    for (size_t i = 0; i < n; i += (size_t)p->group)
        norm_group(p, weight, bias, x + i, y + i);
}

static void rope(puna_rope_pairing pairing, int32_t n_rot, const float *cosines, const float *sines, float *x)
{
    int32_t half = n_rot / 2;
    for (int32_t i = 0; i < half; i++) {
        int32_t a = pairing == PUNA_ROPE_NORMAL ? 2 * i : i;
        int32_t b = pairing == PUNA_ROPE_NORMAL ? 2 * i + 1 : i + half;
        float u = x[a], v = x[b];
        x[a] = u * cosines[i] - v * sines[i];
        x[b] = u * sines[i] + v * cosines[i];
    }
}

static float logistic(float x)
{
    return 1 / (1 + expf(-x));
}

static float activate(puna_activation activation, float x)
{
    switch (activation) {
    case PUNA_ACT_SILU:
        return x * logistic(x);
    case PUNA_ACT_GELU: /* 0.5 (1 + tanh u) is the logistic function of 2 u */
        return x * logistic(1.5957691216057308f * (x + 0.044715f * x * x * x));
    case PUNA_ACT_GELU_ERF:
        return (float)(0.5 * (double)x * erfc((double)x * -0.70710678118654752440));
    case PUNA_ACT_GELU_QUICK:
        return x * logistic(1.702f * x);
    case PUNA_ACT_RELU:
        return x > 0 ? x : 0;
    case PUNA_ACT_RELU_SQUARED:
        return x > 0 ? x * x : 0;
    case PUNA_ACT_SIGMOID:
        return logistic(x);
    case PUNA_ACT_TANH:
        return tanhf(x);
    default:
        return x;
    }
}

static void act(puna_activation activation, const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = activate(activation, x[i]);
}

/* Comparisons with what is not a number leave it. */
static void glu(const puna_glu_params *p, const float *gate, const float *up, float *y, size_t n)
{
    const float limit = p->limit > 0 ? p->limit : INFINITY;
    const float early = p->late_limit ? INFINITY : limit, late = p->late_limit ? limit : INFINITY;
    for (size_t i = 0; i < n; i++) {
        const float a = activate(p->activation, gate[i] > early ? early : gate[i]);
        const float u = up[i] > limit ? limit : up[i] < -limit ? -limit : up[i];
        y[i] = (a > late ? late : a) * (u + p->up_offset);
    }
}

static void accumulate(float factor, const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += factor * x[i];
}

static void add(const float *a, const float *b, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

static void scale(float factor, const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * factor;
}

static void softcap(float factor, float cap, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = cap > 0 ? cap * tanhf(x[i] * factor / cap) : x[i] * factor;
}

static void narrow(const float *x, uint16_t *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = puna_f32_to_f16(x[i]);
}

const puna_vector_kernels puna_vector_scalar = {
    .name = "scalar",
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

const puna_vector_kernels *puna_vector_choose(uint32_t allowed)
{
#if defined(__x86_64__)
    if (allowed & PUNA_CPU_AVX512_VNNI)
        return &puna_vector_avx512;
    if (allowed & PUNA_CPU_AVX2)
        return &puna_vector_avx2;
#elif defined(__aarch64__)
    if (allowed & PUNA_CPU_NEON)
        return &puna_vector_neon;
#else
    (void)allowed;
#endif
    return &puna_vector_scalar;
}
