/* attention_avx2.c - q k^T and p v as small matrix products held in registers: up to 6 queries by
 * 16 columns, fewer queries by more columns. Keys and values are widened from binary16 as they are
 * loaded (F16C), or from bfloat16. */
#include "backend/cpu/attention.h"

#include <string.h>

#include "backend/cpu/x86/attention_avx2.h"
#include "backend/cpu/x86/avx2.h"
#include "backend/cpu/x86/math_avx2.h"

/* Eight values at element `at`. */
INLINE __m256 load8(const void *values, size_t at, puna_format format)
{
    if (format == PUNA_FORMAT_F32)
        return _mm256_loadu_ps((const float *)values + at);
    const __m128i halves = load_128((const uint16_t *)values + at);
    if (format == PUNA_FORMAT_F16)
        return _mm256_cvtph_ps(halves);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

/* Fewer than eight; nothing behind them is read. */
static __m256 load_some(const void *values, size_t at, size_t n, puna_format format)
{
    if (format == PUNA_FORMAT_F32)
        return puna_avx2_load((const float *)values + at, n);
    uint16_t some[8] = { 0 };
    memcpy(some, (const uint16_t *)values + at, n * sizeof *some);
    return load8(some, 0, format);
}

/* sum[i] += a[i * a_stride] * b[at ..] for M by 8 * NV results. The fewer factors are held and the
 * others pass, so that 12 sums fit into 16 registers beside them. */
INLINE void accumulate(int M, int NV, __m256 sum[][8], const float *a, size_t a_stride, const void *b,
                       size_t at, puna_format format)
{
    __m256 held[4];
    if (M <= NV) {
        UNROLL
        for (int i = 0; i < M; i++)
            held[i] = _mm256_broadcast_ss(a + (size_t)i * a_stride);
        UNROLL
        for (int j = 0; j < NV; j++) {
            __m256 passing = load8(b, at + 8 * (size_t)j, format);
            UNROLL
            for (int i = 0; i < M; i++)
                sum[i][j] = _mm256_fmadd_ps(held[i], passing, sum[i][j]);
        }
    } else {
        UNROLL
        for (int j = 0; j < NV; j++)
            held[j] = load8(b, at + 8 * (size_t)j, format);
        UNROLL
        for (int i = 0; i < M; i++) {
            __m256 passing = _mm256_broadcast_ss(a + (size_t)i * a_stride);
            UNROLL
            for (int j = 0; j < NV; j++)
                sum[i][j] = _mm256_fmadd_ps(passing, held[j], sum[i][j]);
        }
    }
}

INLINE void store_sums(int M, int NV, __m256 sum[][8], float *y, size_t stride)
{
    UNROLL
    for (int i = 0; i < M; i++) {
        UNROLL
        for (int j = 0; j < NV; j++)
            _mm256_storeu_ps(y + (size_t)i * stride + 8 * (size_t)j, sum[i][j]);
    }
}

/* M queries by 8 * NV keys. */
INLINE void scores_piece(int M, int NV, const float_scores *c, size_t at, puna_format format)
{
    __m256 sum[STRIP][8];
    UNROLL
    for (int i = 0; i < M; i++) {
        UNROLL
        for (int j = 0; j < NV; j++)
            sum[i][j] = _mm256_setzero_ps();
    }
    for (size_t d = 0; d < c->dim; d++)
        accumulate(M, NV, sum, c->q + d, c->q_stride, c->k, d * PUNA_KV_BLOCK + at, format);
    store_sums(M, NV, sum, c->s + at, c->s_stride);
}

INLINE void scores_strip(int M, const float_scores *c, puna_format format)
{
    const int NV = M <= 3 ? 4 : 2;
    for (size_t at = 0; at < PUNA_KV_BLOCK; at += 8 * (size_t)NV)
        scores_piece(M, NV, c, at, format);
}

static float softmax(float *s, int32_t n, float *highest, float *total)
{
    __m256 most = _mm256_set1_ps(*highest), sum = _mm256_setzero_ps();
    for (int32_t j = 0; j < n; j += 8)
        most = _mm256_max_ps(_mm256_loadu_ps(s + j), most);
    float top = puna_avx2_max(most);
    const __m256 tops = _mm256_set1_ps(top);
    for (int32_t j = 0; j < n; j += 8) {
        __m256 e = puna_avx2_exp(_mm256_sub_ps(_mm256_loadu_ps(s + j), tops));
        sum = _mm256_add_ps(sum, e);
        _mm256_storeu_ps(s + j, e);
    }
    float factor = 1;
    if (top != *highest)
        factor = _mm256_cvtss_f32(puna_avx2_exp(_mm256_set1_ps(*highest - top)));
    *highest = top;
    *total = *total * factor + puna_avx2_sum(sum);
    return factor;
}

/* M queries by 8 * NV dimensions from `at`. */
INLINE void weigh_piece(int M, int NV, const float_sums *w, size_t at, puna_format format)
{
    __m256 sum[STRIP][8];
    UNROLL
    for (int i = 0; i < M; i++) {
        const float *sums = w->sums + (size_t)i * w->sums_stride + at;
        UNROLL
        for (int j = 0; j < NV; j++)
            sum[i][j] =
                _mm256_mul_ps(_mm256_broadcast_ss(w->factor + i), _mm256_loadu_ps(sums + 8 * (size_t)j));
    }
    for (size_t first = 0; first < w->n_keys; first += PUNA_KV_BLOCK) {
        const void *v = w->v[first / PUNA_KV_BLOCK];
        size_t n = w->n_keys - first < PUNA_KV_BLOCK ? w->n_keys - first : PUNA_KV_BLOCK;
        for (size_t k = 0; k < n; k++)
            accumulate(M, NV, sum, w->p + first + k, w->p_stride, v, k * w->dim + at, format);
    }
    store_sums(M, NV, sum, w->sums + at, w->sums_stride);
}

/* The last n < 8 dimensions. */
static void weigh_some(int32_t m, const float_sums *w, size_t at, size_t n, puna_format format)
{
    for (size_t i = 0; i < (size_t)m; i++) {
        float *sums = w->sums + i * w->sums_stride + at;
        __m256 sum = _mm256_mul_ps(_mm256_broadcast_ss(w->factor + i), puna_avx2_load(sums, n));
        for (size_t k = 0; k < w->n_keys; k++) {
            __m256 value = load_some(w->v[k / PUNA_KV_BLOCK], k % PUNA_KV_BLOCK * w->dim + at, n, format);
            sum = _mm256_fmadd_ps(_mm256_broadcast_ss(w->p + i * w->p_stride + k), value, sum);
        }
        puna_avx2_store(sums, n, sum);
    }
}

INLINE void weigh_strip(int M, const float_sums *w, puna_format format)
{
    const int widest = M == 1 ? 8 : M <= 3 ? 4 : 2;
    size_t at = 0;
    for (; at + 8 * (size_t)widest <= w->dim; at += 8 * (size_t)widest)
        weigh_piece(M, widest, w, at, format);
    for (; at + 8 <= w->dim; at += 8)
        weigh_piece(M, 1, w, at, format);
    if (at < w->dim)
        weigh_some(M, w, at, w->dim - at, format);
}

FLOAT_KERNELS

static void mix(float *sums, float a, const float *other, float b, size_t n)
{
    const __m256 va = _mm256_set1_ps(a), vb = _mm256_set1_ps(b);
    for (size_t d = 0; d < n; d += 8) {
        const __m256 scaled = _mm256_mul_ps(vb, _mm256_loadu_ps(other + d));
        _mm256_storeu_ps(sums + d, _mm256_fmadd_ps(va, _mm256_loadu_ps(sums + d), scaled));
    }
}

const puna_attention_kernels puna_attention_avx2 = { .strip = STRIP,
                                                     .scores = scores,
                                                     .softmax = softmax,
                                                     .weigh = weigh,
                                                     .quantize = puna_attention_quantize__avx2,
                                                     .scores_q8 = puna_attention_scores_q8__avx2,
                                                     .weigh_q8 = puna_attention_weigh_q8__avx2,
                                                     .unpack = puna_attention_unpack__avx2,
                                                     .rotate = puna_attention_rotate__avx2,
                                                     .mix = mix };
