/* attention_amx.c - q k^T and p v of 16 queries at a time in tile registers, as bfloat16 (TDPBF16PS). Keys and values of a
 * tile are made pairs of bfloat16 once for all queries of a job: pairs of dimensions for keys, of positions
 * for values. */
#include "backend/cpu/attention.h"
#include "backend/cpu/x86/amx.h"
#include "backend/cpu/x86/avx512.h"

enum { PAIRS = 16, BLOCK = PUNA_KV_BLOCK, QUERIES = PUNA_ATTENTION_BATCH };

/* Registers: 0 and 1 sums, 4 queries or weights, 5 and 6 keys or values. */
static void enter(int32_t m)
{
    amx_config config = { .palette = 1 };
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.n_rows[i] = i <= 4 ? (uint8_t)m : PAIRS;
    }
    amx_configure(&config);
}

static void leave(void)
{
    _tile_release();
}

/* ---- conversion ------------------------------------------------------------------------- */

INLINE __m512 load16(const void *values, size_t at, puna_format format)
{
    const __m256i halves = load_256((const uint16_t *)values + at);
    if (format == PUNA_FORMAT_F16)
        return _mm512_cvtph_ps(halves);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

/* a and b in turn. */
INLINE __m512i pairs_of(__m512 a, __m512 b)
{
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                           5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(b, a));
}

/* Rows of `width` values, in pairs, to tiles of 16 columns: those of a pair of rows lie `apart` bytes from each other. */
INLINE void convert(const void *rows, size_t n_rows, size_t width, puna_format format, size_t apart, uint8_t *to)
{
    for (size_t r = 0; r < n_rows; r += 2, to += 64)
        for (size_t c = 0; c < width; c += 16)
            _mm512_storeu_si512(to + c / 16 * apart, pairs_of(load16(rows, r * width + c, format),
                                                              load16(rows, (r + 1) * width + c, format)));
}

/* [dim / 32][2] tiles: of 32 dimensions, for 16 keys. */
static void convert_keys(const void *k, int32_t dim, puna_format format, void *to)
{
    uint8_t *tiles = to;
    for (size_t d = 0; d < (size_t)dim; d += 2 * PAIRS, tiles += 2 * AMX_TILE_BYTES) {
        const uint16_t *rows = (const uint16_t *)k + d * BLOCK;
        if (format == PUNA_FORMAT_F16)
            convert(rows, 2 * PAIRS, BLOCK, PUNA_FORMAT_F16, AMX_TILE_BYTES, tiles);
        else
            convert(rows, 2 * PAIRS, BLOCK, PUNA_FORMAT_BF16, AMX_TILE_BYTES, tiles);
    }
}

/* [dim / 16] tiles: of a block's keys, for 16 dimensions. What lies behind n_keys might be no number. */
static void convert_values(const void *v, int32_t n_keys, int32_t dim, puna_format format, void *to)
{
    const size_t n = (size_t)n_keys / 2 * 2, width = (size_t)dim;
    if (format == PUNA_FORMAT_F16)
        convert(v, n, width, PUNA_FORMAT_F16, AMX_TILE_BYTES, to);
    else
        convert(v, n, width, PUNA_FORMAT_BF16, AMX_TILE_BYTES, to);
    for (size_t r = n; r < BLOCK; r += 2)
        for (size_t c = 0; c < width; c += 16) {
            const __m512 last = (size_t)n_keys > r ? format == PUNA_FORMAT_F16 ? load16(v, r * width + c, PUNA_FORMAT_F16)
                                                                               : load16(v, r * width + c, PUNA_FORMAT_BF16)
                                                   : _mm512_setzero_ps();
            _mm512_storeu_si512((uint8_t *)to + c / 16 * AMX_TILE_BYTES + r / 2 * 64,
                                pairs_of(last, _mm512_setzero_ps()));
        }
}

static void narrow(const float *x, int32_t n, int16_t *to)
{
    for (int32_t i = 0; i < n; i += 32) {
        const __m512bh v = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + i + 16), _mm512_loadu_ps(x + i));
        memcpy(to + i, &v, sizeof v);
    }
}

/* ---- products --------------------------------------------------------------------------- */

static void scores(const int16_t *q, size_t q_stride, const void *k, int32_t n_blocks, int32_t dim, float *s,
                   size_t s_stride)
{
    const uint8_t *keys = k;
    for (int32_t b = 0; b < n_blocks; b++, s += BLOCK) {
        _tile_zero(0);
        _tile_zero(1);
        for (int32_t d = 0; d < dim; d += 2 * PAIRS, keys += 2 * AMX_TILE_BYTES) {
            _tile_loadd(4, q + d, q_stride * sizeof *q);
            _tile_loadd(5, keys, 64);
            _tile_dpbf16ps(0, 4, 5);
            _tile_loadd(6, keys + AMX_TILE_BYTES, 64);
            _tile_dpbf16ps(1, 4, 6);
        }
        _tile_stored(0, s, s_stride * sizeof *s);
        _tile_stored(1, s + 16, s_stride * sizeof *s);
    }
}

/* 32 dimensions of all blocks, whose values lie block_bytes apart. */
static void weigh_32(const int16_t *weights, const uint8_t *values, size_t block_bytes, int32_t n_blocks, float *sums,
                     size_t sums_bytes)
{
    _tile_loadd(0, sums, sums_bytes);
    _tile_loadd(1, sums + 16, sums_bytes);
    for (int32_t b = 0; b < n_blocks; b++, values += block_bytes) {
        _tile_loadd(4, weights + b * BLOCK, PUNA_ATTENTION_TILE * sizeof *weights);
        _tile_loadd(5, values, 64);
        _tile_dpbf16ps(0, 4, 5);
        _tile_loadd(6, values + AMX_TILE_BYTES, 64);
        _tile_dpbf16ps(1, 4, 6);
    }
    _tile_stored(0, sums, sums_bytes);
    _tile_stored(1, sums + 16, sums_bytes);
}

static void weigh(int32_t m, const float *p, size_t p_stride, const float *factor, const void *v, int32_t n_blocks,
                  int32_t dim, float *sums, size_t sums_stride)
{
    int16_t weights[QUERIES][PUNA_ATTENTION_TILE];
    const size_t block_bytes = (size_t)dim / 16 * AMX_TILE_BYTES;
    for (int32_t i = 0; i < m; i++) {
        float *row = sums + (size_t)i * sums_stride;
        narrow(p + (size_t)i * p_stride, n_blocks * BLOCK, weights[i]);
        for (int32_t d = 0; factor[i] != 1 && d < dim; d += 16)
            _mm512_storeu_ps(row + d, _mm512_mul_ps(_mm512_set1_ps(factor[i]), _mm512_loadu_ps(row + d)));
    }
    for (int32_t d = 0; d < dim; d += 32)
        weigh_32(weights[0], (const uint8_t *)v + d / 16 * AMX_TILE_BYTES, block_bytes, n_blocks, sums + d,
                 sums_stride * sizeof *sums);
}

const puna_attention_batch puna_attention_amx = { .enter = enter,
                                                  .leave = leave,
                                                  .narrow = narrow,
                                                  .convert_keys = convert_keys,
                                                  .convert_values = convert_values,
                                                  .scores = scores,
                                                  .weigh = weigh };
