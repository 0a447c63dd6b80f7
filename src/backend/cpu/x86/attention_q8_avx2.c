/* attention_q8_avx2.c - q k^T and p v over tiles of Q8_0 in integers: 8-bit codes are widened once
 * for up to 6 queries, whose 16-bit codes meet four dimensions (or positions) at a time by
 * vpmaddwd. A chunk's sum is exact; scales are applied to it once. */
#include <string.h>

#include "backend/cpu/x86/attention_avx2.h"
#include "backend/cpu/x86/avx2.h"
#include "backend/cpu/x86/math_avx2.h"

enum { BLOCK = PUNA_KV_BLOCK, Q8_CHUNK_BYTES = PUNA_KV_CHUNK * BLOCK + BLOCK * 2 };

/* Four 16-bit codes for every quarter of a vector. */
INLINE __m256i load_quad(const int16_t *at)
{
    int64_t quad;
    memcpy(&quad, at, sizeof quad);
    return _mm256_set1_epi64x(quad);
}

/* sum[i][j] += the four products of each of 4 * NV columns of codes with the quad at a[i]. */
INLINE void multiply(int M, int NV, __m256i sum[][4], const int16_t *a, size_t a_stride, const int8_t *codes)
{
    __m256i wide[4];
    UNROLL
    for (int j = 0; j < NV; j++)
        wide[j] = _mm256_cvtepi8_epi16(load_128(codes + 16 * j));
    UNROLL
    for (int i = 0; i < M; i++) {
        const __m256i quad = load_quad(a + (size_t)i * a_stride);
        UNROLL
        for (int j = 0; j < NV; j++) {
            sum[i][j] = _mm256_add_epi32(sum[i][j], _mm256_madd_epi16(wide[j], quad));
            KEEP(sum[i][j]);
        }
    }
}

/* Asks for the line in which the codes of the next tile lie that are now being read in this one. */
INLINE void fetch(int NV, const int8_t *next)
{
    if (NV == 4 || ((uintptr_t)next & 32) == 0)
        _mm_prefetch((const char *)next, _MM_HINT_T0);
}

INLINE void clear(int M, int NV, __m256i sum[][4])
{
    UNROLL
    for (int i = 0; i < M; i++) {
        UNROLL
        for (int j = 0; j < NV; j++)
            sum[i][j] = _mm256_setzero_si256();
    }
}

/* Pairs of halves of 4 + 4 columns to eight columns in order. */
INLINE __m256 join(__m256i low, __m256i high)
{
    return _mm256_cvtepi32_ps(_mm256_permute4x64_epi64(_mm256_hadd_epi32(low, high), 0xd8));
}

INLINE __m256 load_scales(const uint16_t *scales)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_128(scales)), 16));
}

/* ---- queries ---------------------------------------------------------------------------- */

/* x * scale as 16-bit codes, in order. */
INLINE void store_codes(int16_t *codes, __m256 low, __m256 high, __m256 scale)
{
    const __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(low, scale));
    const __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(high, scale));
    _mm256_storeu_si256((__m256i *)(void *)codes, _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8));
}

/* A NaN or an infinity makes the scale a NaN. */
float puna_attention_quantize__avx2(const float *q, int32_t dim, int16_t *codes)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    const size_t n = (size_t)dim, padded = puna_kv_padded(dim);
    __m256 most = _mm256_setzero_ps(), bad = most;
    for (size_t d = 0; d < padded; d += 8) {
        const __m256 x = puna_avx2_load(q + d, n - d);
        most = _mm256_max_ps(_mm256_andnot_ps(sign, x), most);
        bad = _mm256_fmadd_ps(x, _mm256_setzero_ps(), bad);
    }
    const float top = puna_avx2_max(most), wrong = puna_avx2_sum(bad);
    const __m256 scale = _mm256_set1_ps(top > 0 && wrong == 0 ? (float)INT16_MAX / top : 0);
    for (size_t d = 0; d < padded; d += 8) {
        const __m256i x = _mm256_cvtps_epi32(_mm256_mul_ps(puna_avx2_load(q + d, n - d), scale));
        const __m128i packed = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
        _mm_storeu_si128((__m128i *)(void *)(codes + d), packed);
    }
    return top / (float)INT16_MAX + wrong;
}

/* ---- scores ----------------------------------------------------------------------------- */

/* One chunk of keys for M queries; the first writes s, later ones add to it. */
typedef struct scoring {
    const int16_t *q;
    size_t q_stride;
    const float *q_scale;
    const int8_t *codes, *next;
    const uint16_t *scales;
    size_t padded;
    bool add;
    float *s;
    size_t s_stride;
} scoring;

/* 4 * NV positions from `at`. */
INLINE void scores_piece(int M, int NV, const scoring *c, size_t at)
{
    __m256i sum[STRIP][4];
    clear(M, NV, sum);
    for (size_t d = 0; d < c->padded; d += 4) {
        const size_t place = (d / 4 * BLOCK + at) * 4;
        fetch(NV, c->next + place);
        multiply(M, NV, sum, c->q + d, c->q_stride, c->codes + place);
    }
    UNROLL
    for (int j = 0; j < NV; j += 2) {
        const __m256 scales = load_scales(c->scales + at + 4 * (size_t)j);
        UNROLL
        for (int i = 0; i < M; i++) {
            float *s = c->s + (size_t)i * c->s_stride + at + 4 * (size_t)j;
            const __m256 x = join(sum[i][j], sum[i][j + 1]);
            const __m256 scale = _mm256_mul_ps(_mm256_broadcast_ss(c->q_scale + i), scales);
            _mm256_storeu_ps(s, c->add ? _mm256_fmadd_ps(x, scale, _mm256_loadu_ps(s))
                                       : _mm256_mul_ps(x, scale));
        }
    }
}

INLINE void scores_strip(int M, const scoring *c)
{
    if (M <= 2)
        for (size_t at = 0; at < BLOCK; at += 16)
            scores_piece(M, 4, c, at);
    else
        for (size_t at = 0; at < BLOCK; at += 8)
            scores_piece(M, 2, c, at);
}

void puna_attention_scores_q8__avx2(int32_t m, const int16_t *q, size_t q_stride, const float *q_scale,
                                    const void *k, const void *next, int32_t dim, float *s, size_t s_stride)
{
    const size_t n = puna_kv_padded(dim);
    const int8_t *codes = k, *ahead = next;
    for (size_t first = 0; first < n;
         first += PUNA_KV_CHUNK, codes += Q8_CHUNK_BYTES, ahead += Q8_CHUNK_BYTES) {
        scoring c = { q + first, q_stride, q_scale, codes, ahead, NULL, n - first, first > 0, s, s_stride };
        c.padded = c.padded < PUNA_KV_CHUNK ? c.padded : PUNA_KV_CHUNK;
        c.scales = (const uint16_t *)(const void *)(codes + c.padded * BLOCK);
#define RUN(M, with) scores_strip(M, &c)
        EACH_M(m, RUN, )
#undef RUN
    }
}

/* ---- values ----------------------------------------------------------------------------- */

/* One chunk of values for M queries. */
typedef struct weighing {
    const int16_t *w; /* [M][PUNA_ATTENTION_TILE], zero behind the last key */
    const float *scale, *factor;
    const void *const *v, *const *next;
    size_t skipped; /* bytes of chunks before this one, in each tile */
    size_t n_keys, padded;
    float *sums;
    size_t sums_stride;
} weighing;

/* Weights times the scales of the values, as codes; returns their scale. */
static float encode_weights(const weighing *c, const float *p, int16_t *codes)
{
    __m256 w[PUNA_ATTENTION_TILE / 8], most = _mm256_setzero_ps(), bad = most;
    const size_t n = (c->n_keys + 15) / 16 * 16;
    for (size_t j = 0; j < n; j += 8) {
        const uint8_t *tile = (const uint8_t *)c->v[j / BLOCK] + c->skipped + c->padded * BLOCK;
        const size_t left = c->n_keys > j ? c->n_keys - j : 0;
        __m256 y = _mm256_mul_ps(puna_avx2_load(p + j, left),
                                 load_scales((const uint16_t *)(const void *)tile + j % BLOCK));
        if (left < 8) /* behind the last key anything may lie */
            y = _mm256_and_ps(y, _mm256_castsi256_ps(puna_avx2_mask(left)));
        w[j / 8] = y;
        most = _mm256_max_ps(y, most);
        bad = _mm256_fmadd_ps(y, _mm256_setzero_ps(), bad);
    }
    const float top = puna_avx2_max(most), wrong = puna_avx2_sum(bad);
    const __m256 scale = _mm256_set1_ps(top > 0 && wrong == 0 ? (float)INT16_MAX / top : 0);
    for (size_t j = 0; j < n; j += 16)
        store_codes(codes + j, w[j / 8], w[j / 8 + 1], scale);
    return top / (float)INT16_MAX + wrong;
}

/* 4 * NV dimensions from `at`. */
INLINE void weigh_piece(int M, int NV, const weighing *c, size_t at)
{
    __m256i sum[STRIP][4];
    clear(M, NV, sum);
    for (size_t first = 0; first < c->n_keys; first += BLOCK) {
        const int8_t *codes = (const int8_t *)c->v[first / BLOCK] + c->skipped + at * 4;
        const size_t n = c->n_keys - first < BLOCK ? c->n_keys - first : BLOCK;
        const int8_t *next = (const int8_t *)c->next[first / BLOCK] + c->skipped + at * 4;
        for (size_t j = 0; j < n; j += 4) {
            fetch(NV, next + j * c->padded);
            multiply(M, NV, sum, c->w + first + j, PUNA_ATTENTION_TILE, codes + j * c->padded);
        }
    }
    UNROLL
    for (int i = 0; i < M; i++) {
        const __m256 scale = _mm256_broadcast_ss(c->scale + i), factor = _mm256_broadcast_ss(c->factor + i);
        UNROLL
        for (int j = 0; j < NV; j += 2) {
            float *out = c->sums + (size_t)i * c->sums_stride + at + 4 * (size_t)j;
            const __m256 old = _mm256_mul_ps(factor, _mm256_loadu_ps(out));
            _mm256_storeu_ps(out, _mm256_fmadd_ps(scale, join(sum[i][j], sum[i][j + 1]), old));
        }
    }
}

INLINE void weigh_strip(int M, const weighing *c)
{
    size_t at = 0;
    if (M <= 2)
        for (; at + 16 <= c->padded; at += 16)
            weigh_piece(M, 4, c, at);
    for (; at < c->padded; at += 8)
        weigh_piece(M, 2, c, at);
}

void puna_attention_weigh_q8__avx2(int32_t m, const float *p, size_t p_stride, const float *factor,
                                   const void *const *v, const void *const *next, int32_t n_keys, int32_t dim,
                                   float *sums, size_t sums_stride)
{
    int16_t codes[STRIP * PUNA_ATTENTION_TILE];
    float scale[STRIP];
    const size_t n = puna_kv_padded(dim);
    weighing c = { codes, scale, factor, v, next, 0, (size_t)n_keys, 0, sums, sums_stride };
    for (size_t first = 0; first < n; first += PUNA_KV_CHUNK) {
        c.padded = n - first < PUNA_KV_CHUNK ? n - first : PUNA_KV_CHUNK;
        c.sums = sums + first;
        for (int32_t i = 0; i < m; i++)
            scale[i] = encode_weights(&c, p + (size_t)i * p_stride, codes + i * PUNA_ATTENTION_TILE);
#define RUN(M, with) weigh_strip(M, &c)
        EACH_M(m, RUN, )
#undef RUN
        c.skipped += Q8_CHUNK_BYTES;
    }
}

/* ---- Q4_0 ------------------------------------------------------------------------------- */

INLINE void store_256(int8_t *at, __m256i v)
{
    _mm256_storeu_si256((__m256i *)(void *)at, v);
}

/* 2 u - offset of the bytes u of low four and, in place 4 and 5, high bits. */
INLINE __m256i odd(__m256i low, __m256i high, int offset)
{
    const __m256i u = _mm256_or_si256(low, high);
    return _mm256_sub_epi8(_mm256_add_epi8(u, u), _mm256_set1_epi8((char)offset));
}

static void unpack_keys(const uint8_t *from, size_t padded, int8_t *to)
{
    const __m256i mask = _mm256_set1_epi8(0x30);
    const uint8_t *bits = from + padded * BLOCK / 2;
    for (size_t g = 0; g < padded / 8; g++, from += 128, bits += 64, to += 256)
        for (size_t half = 0; half < 2; half++) {
            const __m256i b = load_256(bits + 32 * half);
            const __m256i x = load_256(from + 64 * half), y = load_256(from + 64 * half + 32);
            int8_t *at = to + 64 * half;
            store_256(at, odd(low_nibbles(x), _mm256_and_si256(_mm256_slli_epi16(b, 4), mask), 63));
            store_256(at + 128, odd(high_nibbles(x), _mm256_and_si256(_mm256_slli_epi16(b, 2), mask), 63));
            store_256(at + 32, odd(low_nibbles(y), _mm256_and_si256(b, mask), 63));
            store_256(at + 160, odd(high_nibbles(y), _mm256_and_si256(_mm256_srli_epi16(b, 2), mask), 63));
        }
}

static void unpack_values(const uint8_t *from, size_t padded, int8_t *to)
{
    const __m256i none = _mm256_setzero_si256();
    for (size_t g = 0; g < BLOCK / 8; g++, to += 8 * padded)
        for (size_t d = 0; d < 4 * padded; d += 32) {
            const __m256i x = load_256(from + g * 4 * padded + d);
            store_256(to + d, odd(low_nibbles(x), none, 15));
            store_256(to + 4 * padded + d, odd(high_nibbles(x), none, 15));
        }
}

void puna_attention_unpack__avx2(const void *tile, int32_t dim, bool key, void *q8)
{
    const size_t n = puna_kv_padded(dim);
    const uint8_t *from = tile;
    int8_t *to = q8;
    for (size_t first = 0; first < n; first += PUNA_KV_CHUNK) {
        const size_t padded = n - first < PUNA_KV_CHUNK ? n - first : PUNA_KV_CHUNK;
        if (key)
            unpack_keys(from, padded, to);
        else
            unpack_values(from, padded, to);
        from += padded * BLOCK / 8 * (key ? 6 : 4);
        to += padded * BLOCK;
        memcpy(to, from, BLOCK * sizeof(uint16_t));
        from += BLOCK * sizeof(uint16_t);
        to += BLOCK * sizeof(uint16_t);
    }
}

/* ---- rotation --------------------------------------------------------------------------- */

/* Steps of distance 1, 2 and 4 inside a vector: sums where the sign is +, differences where it is -. */
INLINE __m256 rotate_8(__m256 x)
{
    const __m256 s1 = _mm256_setr_ps(0, -0.0f, 0, -0.0f, 0, -0.0f, 0, -0.0f);
    const __m256 s2 = _mm256_setr_ps(0, 0, -0.0f, -0.0f, 0, 0, -0.0f, -0.0f);
    const __m256 s4 = _mm256_setr_ps(0, 0, 0, 0, -0.0f, -0.0f, -0.0f, -0.0f);
    x = _mm256_add_ps(_mm256_permute_ps(x, 0xb1), _mm256_xor_ps(x, s1));
    x = _mm256_add_ps(_mm256_permute_ps(x, 0x4e), _mm256_xor_ps(x, s2));
    return _mm256_add_ps(_mm256_permute2f128_ps(x, x, 1), _mm256_xor_ps(x, s4));
}

void puna_attention_rotate__avx2(float *x, int32_t dim)
{
    const size_t n = (size_t)dim & (~(size_t)dim + 1);
    if (n < 8) {
        puna_kv_rotate(x, dim);
        return;
    }
    const __m256 scale = _mm256_set1_ps(1 / __builtin_sqrtf((float)n));
    for (float *run = x; run < x + dim; run += n) {
        for (size_t i = 0; i < n; i += 8)
            _mm256_storeu_ps(run + i, _mm256_mul_ps(rotate_8(_mm256_loadu_ps(run + i)), scale));
        for (size_t half = 8; half < n; half *= 2)
            for (size_t i = 0; i < n; i += 2 * half)
                for (size_t k = i; k < i + half; k += 8) {
                    const __m256 a = _mm256_loadu_ps(run + k), b = _mm256_loadu_ps(run + k + half);
                    _mm256_storeu_ps(run + k, _mm256_add_ps(a, b));
                    _mm256_storeu_ps(run + k + half, _mm256_sub_ps(a, b));
                }
    }
}
