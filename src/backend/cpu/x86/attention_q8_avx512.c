/* attention_q8_avx512.c - q k^T and p v over tiles of Q8_0 in integers, four dimensions (or positions) of
 * 16 columns at a time (vpdpbusd).
 *
 * That instruction multiplies unsigned bytes with signed ones, and the codes of a tile are signed. The
 * 16-bit codes of queries and weights are therefore unsigned, cut into high and low bytes that lie apart, and
 * summed apart. Weights are never negative; queries are made so by 32768, and 32768 times the sum of a
 * key's codes, which is one for all queries, is taken from their sums. A chunk's sum is exact; scales are applied to it once. */
#include <float.h>
#include <math.h>

#include "backend/cpu/x86/attention_avx512.h"
#include "backend/cpu/x86/avx512.h"

enum { BLOCK = PUNA_KV_BLOCK, Q8_CHUNK_BYTES = PUNA_KV_CHUNK * BLOCK + BLOCK * 2, BIAS = 32768 };

/* Sums of up to 8 queries and 4 vectors of columns, over the high and the low bytes of their codes. */
typedef struct byte_sums {
    __m512i high[STRIP][4], low[STRIP][4];
} byte_sums;

/* A sum stays in the register that it is in: left alone, gcc copies each into another and back. */
#define KEEP(v) __asm__ volatile("" : "+v"(v))

INLINE void clear(int M, int NV, byte_sums *sum)
{
    UNROLL
    for (int i = 0; i < M; i++) {
        UNROLL
        for (int j = 0; j < NV; j++)
            sum->high[i][j] = sum->low[i][j] = _mm512_setzero_si512();
    }
}

/* Adds the four products of each column with the codes at a[i]; the low bytes lie low_at further. */
INLINE void multiply(int M, int NV, byte_sums *sum, const uint8_t *a, size_t a_stride, size_t low_at,
                     const __m512i columns[4])
{
    UNROLL
    for (int i = 0; i < M; i++) {
        const __m512i high = broadcast_lane(a + (size_t)i * a_stride);
        const __m512i low = broadcast_lane(a + (size_t)i * a_stride + low_at);
        UNROLL
        for (int j = 0; j < NV; j++) {
            sum->high[i][j] = _mm512_dpbusd_epi32(sum->high[i][j], high, columns[j]);
            KEEP(sum->high[i][j]);
            sum->low[i][j] = _mm512_dpbusd_epi32(sum->low[i][j], low, columns[j]);
            KEEP(sum->low[i][j]);
        }
    }
}

INLINE __m512i whole_sum(__m512i high, __m512i low)
{
    return _mm512_add_epi32(_mm512_slli_epi32(high, 8), low);
}

/* NV vectors of columns, the last of n lanes. Asks for the lines at the same place of the next tile. */
INLINE void load_columns(int NV, size_t n, const int8_t *codes, const int8_t *next, __m512i columns[4])
{
    UNROLL
    for (int j = 0; j < NV; j++) {
        columns[j] = _mm512_maskz_loadu_epi32(first_lanes(j + 1 < NV ? 16 : n), codes + 64 * j);
        _mm_prefetch((const char *)next + 64 * j, _MM_HINT_T1);
    }
}

INLINE __m512 load_scales(const uint16_t *scales)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_256(scales)), 16));
}

/* The second bytes of codes and, low_at further, the first ones. */
INLINE void store_codes(uint8_t *high, size_t low_at, __mmask16 lanes, __m512i codes)
{
    _mm512_mask_cvtepi32_storeu_epi8(high, lanes, _mm512_srli_epi32(codes, 8));
    _mm512_mask_cvtepi32_storeu_epi8(high + low_at, lanes, codes);
}

/* The same of 64 codes. Packing leaves their fours in the order of 128-bit lanes. */
INLINE void store_64(uint8_t *high, size_t low_at, const __m512i codes[4])
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i a = _mm512_packus_epi32(codes[0], codes[1]), b = _mm512_packus_epi32(codes[2], codes[3]);
    const __m512i byte = _mm512_set1_epi16(255);
    const __m512i highs = _mm512_packus_epi16(_mm512_srli_epi16(a, 8), _mm512_srli_epi16(b, 8));
    const __m512i lows = _mm512_packus_epi16(_mm512_and_si512(a, byte), _mm512_and_si512(b, byte));
    _mm512_storeu_si512(high, _mm512_permutexvar_epi32(order, highs));
    _mm512_storeu_si512(high + low_at, _mm512_permutexvar_epi32(order, lows));
}

/* ---- queries ---------------------------------------------------------------------------- */

/* Codes are [2][padded] bytes, high ones first. A NaN or an infinity makes the scale a NaN. */
float puna_attention_quantize__avx512(const float *q, int32_t dim, int16_t *codes)
{
    const size_t n = (size_t)dim, padded = puna_kv_padded(dim);
    __m512 most = _mm512_setzero_ps(), bad = most;
    for (size_t d = 0; d < n; d += 16) {
        const __m512 x = _mm512_maskz_loadu_ps(first_lanes(n - d), q + d);
        most = _mm512_max_ps(_mm512_abs_ps(x), most);
        bad = _mm512_fmadd_ps(x, _mm512_setzero_ps(), bad);
    }
    const float top = _mm512_reduce_max_ps(most), wrong = _mm512_reduce_add_ps(bad);
    const __m512 scale = _mm512_set1_ps(top > 0 && wrong == 0 ? (float)INT16_MAX / top : 0);
    for (size_t d = 0; d < padded; d += 16) {
        const __m512 x = _mm512_maskz_loadu_ps(first_lanes(d < n ? n - d : 0), q + d);
        const __m512i signed_codes = _mm512_cvtps_epi32(_mm512_mul_ps(x, scale));
        store_codes((uint8_t *)codes + d, padded, first_lanes(padded - d),
                    _mm512_add_epi32(signed_codes, _mm512_set1_epi32(BIAS)));
    }
    return top / (float)INT16_MAX + wrong;
}

/* ---- scores ----------------------------------------------------------------------------- */

/* One chunk of keys for M queries; the first writes s, later ones add to it. */
typedef struct scoring {
    const uint8_t *q;
    size_t q_stride, low_at; /* bytes */
    const float *q_scale;
    const int8_t *codes, *next;
    const uint16_t *scales;
    size_t padded;
    bool add;
    float *s;
    size_t s_stride;
} scoring;

/* 16 * NV positions from `at`. */
INLINE void scores_piece(int M, int NV, const scoring *c, size_t at)
{
    byte_sums sum;
    __m512i of_keys[2] = { _mm512_setzero_si512(), _mm512_setzero_si512() };
    clear(M, NV, &sum);
    for (size_t d = 0; d < c->padded; d += 4) {
        const size_t place = (d / 4 * BLOCK + at) * 4;
        __m512i columns[4];
        load_columns(NV, 16, c->codes + place, c->next + place, columns);
        UNROLL
        for (int j = 0; j < NV; j++)
            of_keys[j] = _mm512_dpbusd_epi32(of_keys[j], _mm512_set1_epi8(1), columns[j]);
        multiply(M, NV, &sum, c->q + d, c->q_stride, c->low_at, columns);
    }
    UNROLL
    for (int j = 0; j < NV; j++) {
        const __m512 scales = load_scales(c->scales + at + 16 * (size_t)j);
        const __m512i bias = _mm512_slli_epi32(of_keys[j], 15);
        UNROLL
        for (int i = 0; i < M; i++) {
            float *s = c->s + (size_t)i * c->s_stride + at + 16 * (size_t)j;
            const __m512 x = _mm512_cvtepi32_ps(_mm512_sub_epi32(whole_sum(sum.high[i][j], sum.low[i][j]), bias));
            const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(c->q_scale[i]), scales);
            _mm512_storeu_ps(s, c->add ? _mm512_fmadd_ps(x, scale, _mm512_loadu_ps(s)) : _mm512_mul_ps(x, scale));
        }
    }
}

INLINE void scores_strip(int M, const scoring *c)
{
    if (M <= 4) {
        scores_piece(M, 2, c, 0);
    } else {
        scores_piece(M, 1, c, 0);
        scores_piece(M, 1, c, 16);
    }
}

void puna_attention_scores_q8__avx512(int32_t m, const int16_t *q, size_t q_stride, const float *q_scale,
                                      const void *k, const void *next, int32_t dim, float *s, size_t s_stride)
{
    const size_t n = puna_kv_padded(dim);
    const int8_t *codes = k, *ahead = next;
    for (size_t first = 0; first < n; first += PUNA_KV_CHUNK, codes += Q8_CHUNK_BYTES, ahead += Q8_CHUNK_BYTES) {
        const size_t padded = n - first < PUNA_KV_CHUNK ? n - first : PUNA_KV_CHUNK;
        const scoring c = { .q = (const uint8_t *)q + first,
                            .q_stride = q_stride * sizeof *q,
                            .low_at = n,
                            .q_scale = q_scale,
                            .codes = codes,
                            .next = ahead,
                            .scales = (const uint16_t *)(const void *)(codes + padded * BLOCK),
                            .padded = padded,
                            .add = first > 0,
                            .s = s,
                            .s_stride = s_stride };
#define RUN(M, with) scores_strip(M, &c)
        EACH_M(m, RUN, )
#undef RUN
    }
}

/* ---- values ----------------------------------------------------------------------------- */

/* One chunk of values for M queries. */
typedef struct weighing {
    const uint8_t *w; /* [M][2][PUNA_ATTENTION_TILE] */
    const float *scale, *factor;
    const void *const *v, *const *next;
    size_t skipped; /* bytes of chunks before this one, in each tile */
    size_t n_keys, padded;
    const float *scales; /* [PUNA_ATTENTION_TILE], of the values */
    float *sums;
    size_t sums_stride;
} weighing;

/* Weights times the scales of the values, as codes; returns their scale. */
INLINE float encode_weights(bool all, const weighing *c, const float *p, uint8_t *codes)
{
    __m512 w[PUNA_ATTENTION_TILE / 16];
    __m512i most = _mm512_setzero_si512(), code[PUNA_ATTENTION_TILE / 16];
    UNROLL
    for (size_t j = 0; j < PUNA_ATTENTION_TILE / 16; j++) {
        /* behind the last key anything may lie */
        const __mmask16 lanes = all ? 0xffff : first_lanes(c->n_keys > 16 * j ? c->n_keys - 16 * j : 0);
        w[j] = _mm512_maskz_mul_ps(lanes, _mm512_loadu_ps(p + 16 * j), _mm512_loadu_ps(c->scales + 16 * j));
        most = _mm512_max_epu32(most, _mm512_castps_si512(w[j])); /* by which a NaN is the largest */
    }
    const float top = puna_f32_make(_mm512_reduce_max_epu32(most));
    const __m512 scale = _mm512_set1_ps(top > 0 && top <= FLT_MAX ? (float)UINT16_MAX / top : 0);
    UNROLL
    for (size_t j = 0; j < PUNA_ATTENTION_TILE / 16; j++)
        code[j] = _mm512_cvtps_epi32(_mm512_mul_ps(w[j], scale));
    UNROLL
    for (size_t j = 0; j < PUNA_ATTENTION_TILE / 64; j++)
        store_64(codes + 64 * j, PUNA_ATTENTION_TILE, code + 4 * j);
    return top <= FLT_MAX ? top / (float)UINT16_MAX : NAN;
}

/* 16 * NV dimensions from `at`, of which the last vector has `last`. */
INLINE void weigh_piece(int M, int NV, const weighing *c, size_t at, size_t last)
{
    byte_sums sum;
    clear(M, NV, &sum);
    for (size_t first = 0; first < c->n_keys; first += BLOCK) {
        const int8_t *codes = (const int8_t *)c->v[first / BLOCK] + c->skipped + at * 4;
        const int8_t *next = (const int8_t *)c->next[first / BLOCK] + c->skipped + at * 4;
        const size_t n = c->n_keys - first < BLOCK ? c->n_keys - first : BLOCK;
        for (size_t j = 0; j < n; j += 4) {
            __m512i columns[4];
            load_columns(NV, last, codes + j * c->padded, next + j * c->padded, columns);
            multiply(M, NV, &sum, c->w + first + j, (size_t)2 * PUNA_ATTENTION_TILE, PUNA_ATTENTION_TILE, columns);
        }
    }
    UNROLL
    for (int i = 0; i < M; i++) {
        const __m512 scale = _mm512_set1_ps(c->scale[i]), factor = _mm512_set1_ps(c->factor[i]);
        UNROLL
        for (int j = 0; j < NV; j++) {
            const __mmask16 lanes = first_lanes(j + 1 < NV ? 16 : last);
            float *out = c->sums + (size_t)i * c->sums_stride + at + 16 * (size_t)j;
            const __m512 old = _mm512_mul_ps(factor, _mm512_maskz_loadu_ps(lanes, out));
            const __m512 x = _mm512_cvtepi32_ps(whole_sum(sum.high[i][j], sum.low[i][j]));
            _mm512_mask_storeu_ps(out, lanes, _mm512_fmadd_ps(scale, x, old));
        }
    }
}

INLINE void weigh_strip(int M, const weighing *c)
{
    const int widest = M <= 2 ? 4 : M <= 4 ? 2 : 1;
    size_t at = 0;
    for (; at + 16 * (size_t)widest <= c->padded; at += 16 * (size_t)widest)
        weigh_piece(M, widest, c, at, 16);
    for (; at < c->padded; at += 16)
        weigh_piece(M, 1, c, at, c->padded - at < 16 ? c->padded - at : 16);
}

void puna_attention_weigh_q8__avx512(int32_t m, const float *p, size_t p_stride, const float *factor,
                                     const void *const *v, const void *const *next, int32_t n_keys, int32_t dim,
                                     float *sums, size_t sums_stride)
{
    uint8_t codes[STRIP * 2 * PUNA_ATTENTION_TILE];
    float scale[STRIP];
    const size_t n = puna_kv_padded(dim);
    float of_values[PUNA_ATTENTION_TILE] = { 0 };
    weighing c = { codes, scale, factor, v, next, 0, (size_t)n_keys, 0, of_values, sums, sums_stride };
    for (size_t first = 0; first < n; first += PUNA_KV_CHUNK) {
        c.padded = n - first < PUNA_KV_CHUNK ? n - first : PUNA_KV_CHUNK;
        c.sums = sums + first;
        for (size_t j = 0; j < c.n_keys; j += 16) {
            const uint8_t *tile = (const uint8_t *)v[j / BLOCK] + c.skipped + c.padded * BLOCK;
            _mm512_storeu_ps(of_values + j, load_scales((const uint16_t *)(const void *)tile + j % BLOCK));
        }
        for (int32_t i = 0; i < m; i++)
            scale[i] = n_keys == PUNA_ATTENTION_TILE
                           ? encode_weights(true, &c, p + (size_t)i * p_stride, codes + i * 2 * PUNA_ATTENTION_TILE)
                           : encode_weights(false, &c, p + (size_t)i * p_stride, codes + i * 2 * PUNA_ATTENTION_TILE);
#define RUN(M, with) weigh_strip(M, &c)
        EACH_M(m, RUN, )
#undef RUN
        c.skipped += Q8_CHUNK_BYTES;
    }
}
