/* attention_neon.c - q k^T and p v as small matrix products held in registers: up to 24 sums of
 * four, for 6 queries by 16 columns or 3 by 32. Keys and values are widened from binary16 as they
 * are loaded. */
#define STRIP 6
#include "backend/cpu/attention_strip.h"

#include "backend/cpu/arm/math_neon.h"
#include "backend/cpu/arm/neon.h"

enum { MOST_VECTORS = 8 };
typedef float32x4_t strip_sums[STRIP][MOST_VECTORS];

/* Vectors of columns for M queries. */
INLINE int vectors_for(int M)
{
    return M <= 3 ? 8 : 4;
}

/* Four values at element `at`. */
INLINE float32x4_t load4(const void *values, size_t at, puna_format format)
{
    if (format == PUNA_FORMAT_F32)
        return vld1q_f32((const float *)values + at);
    if (format == PUNA_FORMAT_F16)
        return halves_to_floats((const uint8_t *)values + at * sizeof(uint16_t));
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16((const uint16_t *)values + at), 16));
}

/* Fewer than four; nothing behind them is read. */
static float32x4_t load_some(const void *values, size_t at, size_t n, puna_format format)
{
    if (format == PUNA_FORMAT_F32)
        return puna_neon_load((const float *)values + at, n);
    uint16_t some[4] = { 0 };
    memcpy(some, (const uint16_t *)values + at, n * sizeof *some);
    return load4(some, 0, format);
}

/* sum[i] += a[i * a_stride] * b[at ..] for M by 4 * NV results. The fewer factors are held and the
 * others pass, so that 24 sums fit into 32 registers beside them. */
INLINE void accumulate(int M, int NV, strip_sums sum, const float *a, size_t a_stride, const void *b,
                       size_t at, puna_format format)
{
    if (M <= NV) {
        float held[MOST_VECTORS];
        UNROLL
        for (int i = 0; i < M; i++)
            held[i] = a[(size_t)i * a_stride];
        UNROLL
        for (int j = 0; j < NV; j++) {
            const float32x4_t passing = load4(b, at + 4 * (size_t)j, format);
            UNROLL
            for (int i = 0; i < M; i++)
                sum[i][j] = vfmaq_n_f32(sum[i][j], passing, held[i]);
        }
    } else {
        float32x4_t held[MOST_VECTORS];
        UNROLL
        for (int j = 0; j < NV; j++)
            held[j] = load4(b, at + 4 * (size_t)j, format);
        UNROLL
        for (int i = 0; i < M; i++) {
            const float passing = a[(size_t)i * a_stride];
            UNROLL
            for (int j = 0; j < NV; j++)
                sum[i][j] = vfmaq_n_f32(sum[i][j], held[j], passing);
        }
    }
}

INLINE void store_sums(int M, int NV, strip_sums sum, float *y, size_t stride)
{
    UNROLL
    for (int i = 0; i < M; i++) {
        UNROLL
        for (int j = 0; j < NV; j++)
            vst1q_f32(y + (size_t)i * stride + 4 * (size_t)j, sum[i][j]);
    }
}

INLINE void scores_strip(int M, const float_scores *c, puna_format format)
{
    const int NV = vectors_for(M);
    for (size_t at = 0; at < PUNA_KV_BLOCK; at += 4 * (size_t)NV) {
        strip_sums sum;
        UNROLL
        for (int i = 0; i < M; i++) {
            UNROLL
            for (int j = 0; j < NV; j++)
                sum[i][j] = vdupq_n_f32(0);
        }
        for (size_t d = 0; d < c->dim; d++)
            accumulate(M, NV, sum, c->q + d, c->q_stride, c->k, d * PUNA_KV_BLOCK + at, format);
        store_sums(M, NV, sum, c->s + at, c->s_stride);
    }
}

static float softmax(float *s, int32_t n, float *highest, float *total)
{
    float32x4_t most = vdupq_n_f32(*highest), sum = vdupq_n_f32(0);
    for (int32_t j = 0; j < n; j += 4)
        most = vmaxq_f32(most, vld1q_f32(s + j));
    const float top = vmaxvq_f32(most);
    const float32x4_t tops = vdupq_n_f32(top);
    for (int32_t j = 0; j < n; j += 4) {
        const float32x4_t e = puna_neon_exp(vsubq_f32(vld1q_f32(s + j), tops));
        sum = vaddq_f32(sum, e);
        vst1q_f32(s + j, e);
    }
    float factor = 1;
    if (top != *highest)
        factor = vgetq_lane_f32(puna_neon_exp(vdupq_n_f32(*highest - top)), 0);
    *highest = top;
    *total = *total * factor + vaddvq_f32(sum);
    return factor;
}

/* M queries by 4 * NV dimensions from `at`. */
INLINE void weigh_piece(int M, int NV, const float_sums *w, size_t at, puna_format format)
{
    strip_sums sum;
    UNROLL
    for (int i = 0; i < M; i++) {
        const float *sums = w->sums + (size_t)i * w->sums_stride + at;
        UNROLL
        for (int j = 0; j < NV; j++)
            sum[i][j] = vmulq_n_f32(vld1q_f32(sums + 4 * (size_t)j), w->factor[i]);
    }
    for (size_t first = 0; first < w->n_keys; first += PUNA_KV_BLOCK) {
        const void *v = w->v[first / PUNA_KV_BLOCK];
        size_t n = w->n_keys - first < PUNA_KV_BLOCK ? w->n_keys - first : PUNA_KV_BLOCK;
        for (size_t k = 0; k < n; k++)
            accumulate(M, NV, sum, w->p + first + k, w->p_stride, v, k * w->dim + at, format);
    }
    store_sums(M, NV, sum, w->sums + at, w->sums_stride);
}

/* The last n < 4 dimensions. */
static void weigh_some(int32_t m, const float_sums *w, size_t at, size_t n, puna_format format)
{
    for (size_t i = 0; i < (size_t)m; i++) {
        float *sums = w->sums + i * w->sums_stride + at;
        float32x4_t sum = vmulq_n_f32(puna_neon_load(sums, n), w->factor[i]);
        for (size_t k = 0; k < w->n_keys; k++) {
            const float32x4_t value =
                load_some(w->v[k / PUNA_KV_BLOCK], k % PUNA_KV_BLOCK * w->dim + at, n, format);
            sum = vfmaq_n_f32(sum, value, w->p[i * w->p_stride + k]);
        }
        puna_neon_store(sums, n, sum);
    }
}

INLINE void weigh_strip(int M, const float_sums *w, puna_format format)
{
    const size_t widest = 4 * (size_t)vectors_for(M);
    size_t at = 0;
    for (; at + widest <= w->dim; at += widest)
        weigh_piece(M, vectors_for(M), w, at, format);
    for (; at + 4 <= w->dim; at += 4)
        weigh_piece(M, 1, w, at, format);
    if (at < w->dim)
        weigh_some(M, w, at, w->dim - at, format);
}

FLOAT_KERNELS

static void mix(float *sums, float a, const float *other, float b, size_t n)
{
    for (size_t d = 0; d < n; d += 4)
        vst1q_f32(sums + d, vfmaq_n_f32(vmulq_n_f32(vld1q_f32(other + d), b), vld1q_f32(sums + d), a));
}

/* ---- quantised caches: the portable functions, until there are better ones --------------- */

static float quantize(const float *q, int32_t dim, int16_t *codes)
{
    return puna_attention_scalar.quantize(q, dim, codes);
}

static void scores_q8(int32_t m, const int16_t *q, size_t q_stride, const float *q_scale, const void *k,
                      const void *next, int32_t dim, float *s, size_t s_stride)
{
    puna_attention_scalar.scores_q8(m, q, q_stride, q_scale, k, next, dim, s, s_stride);
}

static void weigh_q8(int32_t m, const float *p, size_t p_stride, const float *factor, const void *const *v,
                     const void *const *next, int32_t n_keys, int32_t dim, float *sums, size_t sums_stride)
{
    puna_attention_scalar.weigh_q8(m, p, p_stride, factor, v, next, n_keys, dim, sums, sums_stride);
}

const puna_attention_kernels puna_attention_neon = { .strip = STRIP,
                                                     .scores = scores,
                                                     .softmax = softmax,
                                                     .weigh = weigh,
                                                     .quantize = quantize,
                                                     .scores_q8 = scores_q8,
                                                     .weigh_q8 = weigh_q8,
                                                     .unpack = puna_kv_unpack,
                                                     .rotate = puna_kv_rotate,
                                                     .mix = mix };
