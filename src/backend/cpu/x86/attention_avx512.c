/* attention_avx512.c - q k^T and p v as small matrix products held in registers: up to 8 queries by
 * 32 columns. Keys and values are widened from binary16 or bfloat16 as they are loaded. Tiles of Q4_0 are unpacked and
 * vectors rotated as with AVX2. */
#include "backend/cpu/attention.h"

#include "backend/cpu/x86/attention_avx512.h"
#include "backend/cpu/x86/avx512.h"
#include "backend/cpu/x86/math_avx512.h"

/* The first n of sixteen values at element `at`; nothing behind them is read. */
INLINE __m512 load16(const void *values, size_t at, size_t n, puna_format format)
{
    const __mmask16 lanes = first_lanes(n);
    if (format == PUNA_FORMAT_F32)
        return _mm512_maskz_loadu_ps(lanes, (const float *)values + at);
    const __m256i halves = _mm256_maskz_loadu_epi16(lanes, (const uint16_t *)values + at);
    if (format == PUNA_FORMAT_F16)
        return _mm512_cvtph_ps(halves);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

/* sum[i] += a[i * a_stride] * b[at ..] for M by 16 * NV results, of which the last vector has `last`. Asks for
 * the lines at the same place of `next`. */
INLINE void accumulate(int M, int NV, __m512 sum[][4], const float *a, size_t a_stride, const void *b,
                       const void *next, size_t at, size_t last, puna_format format)
{
    const size_t size = format == PUNA_FORMAT_F32 ? 4 : 2;
    __m512 held[4];
    UNROLL
    for (size_t byte = 0; byte < 16 * size * (size_t)NV; byte += 64)
        _mm_prefetch((const char *)next + at * size + byte, _MM_HINT_T1);
    UNROLL
    for (int j = 0; j < NV; j++)
        held[j] = load16(b, at + 16 * (size_t)j, j + 1 < NV ? 16 : last, format);
    UNROLL
    for (int i = 0; i < M; i++) {
        const __m512 passing = _mm512_set1_ps(a[(size_t)i * a_stride]);
        UNROLL
        for (int j = 0; j < NV; j++)
            sum[i][j] = _mm512_fmadd_ps(passing, held[j], sum[i][j]);
    }
}

INLINE void scores_strip(int M, const float_scores *c, puna_format format)
{
    __m512 sum[STRIP][4];
    UNROLL
    for (int i = 0; i < M; i++)
        sum[i][0] = sum[i][1] = _mm512_setzero_ps();
    for (size_t d = 0; d < c->dim; d++)
        accumulate(M, 2, sum, c->q + d, c->q_stride, c->k, c->next, d * PUNA_KV_BLOCK, 16, format);
    UNROLL
    for (int i = 0; i < M; i++) {
        _mm512_storeu_ps(c->s + (size_t)i * c->s_stride, sum[i][0]);
        _mm512_storeu_ps(c->s + (size_t)i * c->s_stride + 16, sum[i][1]);
    }
}

/* Two vectors at a time, whose chains of additions do not wait for each other. */
static float softmax(float *s, int32_t n, float *highest, float *total)
{
    __m512 most[2], sum[2] = { _mm512_setzero_ps(), _mm512_setzero_ps() };
    most[0] = most[1] = _mm512_set1_ps(*highest);
    for (int32_t j = 0; j < n; j += 32) {
        UNROLL
        for (int i = 0; i < 2; i++)
            most[i] = _mm512_max_ps(_mm512_loadu_ps(s + j + 16 * i), most[i]);
    }
    const float top = _mm512_reduce_max_ps(_mm512_max_ps(most[0], most[1]));
    const __m512 tops = _mm512_set1_ps(top);
    for (int32_t j = 0; j < n; j += 32) {
        UNROLL
        for (int i = 0; i < 2; i++) {
            float *at = s + j + 16 * i;
            const __m512 e = puna_avx512_exp_below_1(_mm512_sub_ps(_mm512_loadu_ps(at), tops));
            sum[i] = _mm512_add_ps(sum[i], e);
            _mm512_storeu_ps(at, e);
        }
    }
    float factor = 1;
    if (top != *highest)
        factor = _mm512_cvtss_f32(puna_avx512_exp_below_1(_mm512_set1_ps(*highest - top)));
    *highest = top;
    *total = *total * factor + _mm512_reduce_add_ps(_mm512_add_ps(sum[0], sum[1]));
    return factor;
}

/* M queries by 16 * NV dimensions from `at`, of which the last vector has `last`. */
INLINE void weigh_piece(int M, int NV, const float_sums *w, size_t at, size_t last, puna_format format)
{
    __m512 sum[STRIP][4];
    UNROLL
    for (int i = 0; i < M; i++) {
        const float *sums = w->sums + (size_t)i * w->sums_stride + at;
        const __m512 factor = _mm512_set1_ps(w->factor[i]);
        UNROLL
        for (int j = 0; j < NV; j++)
            sum[i][j] = _mm512_mul_ps(factor, load16(sums, 16 * (size_t)j, j + 1 < NV ? 16 : last, PUNA_FORMAT_F32));
    }
    for (size_t first = 0; first < w->n_keys; first += PUNA_KV_BLOCK) {
        const void *v = w->v[first / PUNA_KV_BLOCK], *next = w->next[first / PUNA_KV_BLOCK];
        const size_t n = w->n_keys - first < PUNA_KV_BLOCK ? w->n_keys - first : PUNA_KV_BLOCK;
        for (size_t k = 0; k < n; k++)
            accumulate(M, NV, sum, w->p + first + k, w->p_stride, v, next, k * w->dim + at, last, format);
    }
    UNROLL
    for (int i = 0; i < M; i++) {
        float *sums = w->sums + (size_t)i * w->sums_stride + at;
        UNROLL
        for (int j = 0; j < NV; j++)
            _mm512_mask_storeu_ps(sums + 16 * (size_t)j, first_lanes(j + 1 < NV ? 16 : last), sum[i][j]);
    }
}

INLINE void weigh_strip(int M, const float_sums *w, puna_format format)
{
    const int widest = M <= 2 ? 4 : 2;
    size_t at = 0;
    for (; at + 16 * (size_t)widest <= w->dim; at += 16 * (size_t)widest)
        weigh_piece(M, widest, w, at, 16, format);
    for (; at < w->dim; at += 16)
        weigh_piece(M, 1, w, at, w->dim - at < 16 ? w->dim - at : 16, format);
}

FLOAT_KERNELS

static void mix(float *sums, float a, const float *other, float b, size_t n)
{
    const __m512 va = _mm512_set1_ps(a), vb = _mm512_set1_ps(b);
    for (size_t d = 0; d < n; d += 16) {
        const __mmask16 lanes = first_lanes(n - d);
        const __m512 scaled = _mm512_mul_ps(vb, _mm512_maskz_loadu_ps(lanes, other + d));
        _mm512_mask_storeu_ps(sums + d, lanes, _mm512_fmadd_ps(va, _mm512_maskz_loadu_ps(lanes, sums + d), scaled));
    }
}

const puna_attention_kernels puna_attention_avx512 = { .strip = STRIP,
                                                       .fetches = true,
                                                       .scores = scores,
                                                       .softmax = softmax,
                                                       .weigh = weigh,
                                                       .quantize = puna_attention_quantize__avx512,
                                                       .scores_q8 = puna_attention_scores_q8__avx512,
                                                       .weigh_q8 = puna_attention_weigh_q8__avx512,
                                                       .unpack = puna_attention_unpack__avx2,
                                                       .rotate = puna_attention_rotate__avx2,
                                                       .mix = mix };
