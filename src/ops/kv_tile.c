/* kv_tile.c - what lies in a tile: the encodings of a head's keys and values in one block. Owns the
 * layouts and their exact scalar reading and writing; backends read the same bytes faster.
 *
 * With d a dimension and j a slot:
 *   F32 F16 BF16   K[dim][32]   V[32][dim]
 * Quantised tiles are a row of chunks of PUNA_KV_CHUNK dimensions, the last maybe shorter. A chunk
 * has codes and then scale[32], bfloat16, one per slot; the number is scale[j] * code. With D = the
 * chunk's dimensions rounded up to 8:
 *   Q8_0   K[D / 4][32][4], V[8][D][4]   int8: K (d / 4, j, d % 4), V (j / 4, d, j % 4)
 *   Q4_0   K[D / 8][32][4]               the low 4 of 6 bits: (d / 8, j, d % 4), shifted by 4 when
 *                                        d / 4 is odd; then
 *           [D / 8][2][32]               the high 2: (d / 8, j / 16, j % 8 * 4 + d % 4), shifted by
 *                                        4 when j / 8 is odd plus 2 when d / 4 is
 *          V[4][D][4]                    4 bits: (j / 8, d, j % 4), shifted by 4 when j / 4 is odd
 * Four neighbours of what a product sums over lie together, as integer multiply-adds want them.
 * Q4_0's codes are odd, 2 u - 63 or 2 u - 15 of the u stored: as many on both sides of zero. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "ops/kv.h"
#include "quant/half.h"

enum { BLOCK = PUNA_KV_BLOCK, KEY_BITS = 6, VALUE_BITS = 4 };

/* Bytes of a quantised chunk's codes. */
static size_t code_bytes(puna_format format, size_t padded, bool key)
{
    return padded * BLOCK / 8 * (format == PUNA_FORMAT_Q8_0 ? 8 : key ? KEY_BITS : VALUE_BITS);
}

size_t puna_kv_chunk_bytes(puna_format format, int32_t dim, bool key)
{
    return dim ? code_bytes(format, puna_kv_padded(dim), key) + BLOCK * sizeof(uint16_t) : 0;
}

bool puna_kv_tile_bytes(puna_format format, int32_t dim, bool key, size_t *bytes)
{
    switch (format) {
    case PUNA_FORMAT_F32:
        return puna_mul_size((size_t)dim, BLOCK * sizeof(float), bytes);
    case PUNA_FORMAT_F16:
    case PUNA_FORMAT_BF16:
        return puna_mul_size((size_t)dim, BLOCK * sizeof(uint16_t), bytes);
    case PUNA_FORMAT_Q8_0:
    case PUNA_FORMAT_Q4_0:
        return puna_mul_size((size_t)(dim / PUNA_KV_CHUNK), puna_kv_chunk_bytes(format, PUNA_KV_CHUNK, key),
                             bytes) &&
               puna_add_size(*bytes, puna_kv_chunk_bytes(format, dim % PUNA_KV_CHUNK, key), bytes);
    default:
        return false;
    }
}

void puna_kv_rotate(float *x, int32_t dim)
{
    const size_t n = (size_t)dim & (~(size_t)dim + 1);
    const float scale = 1 / sqrtf((float)n);
    for (float *run = x; run < x + dim; run += n) {
        for (size_t half = 1; half < n; half *= 2)
            for (size_t i = 0; i < n; i += 2 * half)
                for (size_t k = i; k < i + half; k++) {
                    const float a = run[k], b = run[k + half];
                    run[k] = a + b;
                    run[k + half] = a - b;
                }
        for (size_t i = 0; i < n; i++)
            run[i] *= scale;
    }
}

/* ---- codes ------------------------------------------------------------------------------ */

/* A NaN or an infinity becomes a NaN, so that it reaches the output. */
static float largest(const float *x, int32_t dim)
{
    float most = 0, bad = 0;
    for (int32_t d = 0; d < dim; d++) {
        most = fabsf(x[d]) > most ? fabsf(x[d]) : most;
        bad += x[d] * 0;
    }
    return most + bad;
}

/* The nearest of the levels 2 u + 1 - n for u in 0 .. n - 1, as u; n is a power of two. */
static int32_t level(float x, int32_t n)
{
    const float u = floorf(x * 0.5f) + (float)(n / 2);
    return u < 0 ? 0 : u > (float)(n - 1) ? n - 1 : (int32_t)u;
}

static float error_of(const float *x, int32_t dim, float scale, int32_t n)
{
    float sum = 0;
    for (int32_t d = 0; d < dim; d++) {
        const float e = x[d] - scale * (float)(2 * level(x[d] / scale, n) + 1 - n);
        sum += e * e;
    }
    return sum;
}

/* With few levels it pays to cut off the largest values: the best of some scales. */
static uint16_t scale_of(const float *x, int32_t dim, int32_t n)
{
    enum { TRIES = 8 };
    const float most = largest(x, dim);
    uint16_t best = puna_f32_to_bf16(most / (float)(n - 1));
    if (!(most > 0) || most > 3e38f || n > 64)
        return best;
    float least = INFINITY;
    for (int t = 0; t < TRIES; t++) {
        const float from = n > 16 ? 0.9f : 0.65f;
        const uint16_t candidate =
            puna_f32_to_bf16(most / (float)(n - 1) * (from + (1.06f - from) * (float)t / (TRIES - 1)));
        const float scale = puna_bf16_to_f32(candidate),
                    e = scale > 0 ? error_of(x, dim, scale, n) : INFINITY;
        if (e < least) {
            least = e;
            best = candidate;
        }
    }
    return best;
}

static float inverse_of(uint16_t scale)
{
    const float s = puna_bf16_to_f32(scale);
    return s > 0 ? 1 / s : 0;
}

/* ---- Q8_0 ------------------------------------------------------------------------------- */

/* Rounded up, so that no code exceeds 127. */
static uint16_t scale_q8(const float *x, int32_t dim)
{
    const float most = largest(x, dim) / 127;
    uint16_t scale = puna_f32_to_bf16(most);
    return puna_bf16_to_f32(scale) < most ? (uint16_t)(scale + 1) : scale;
}

static int8_t code_q8(float x)
{
    const float rounded = rintf(x);
    return (int8_t)(rounded > 127 ? 127 : rounded > -127 ? (int32_t)rounded : -127);
}

static size_t at_key_q8(size_t d, size_t slot)
{
    return (d / 4 * BLOCK + slot) * 4 + d % 4;
}

static size_t at_value_q8(size_t padded, size_t d, size_t slot)
{
    return (slot / 4 * padded + d) * 4 + slot % 4;
}

/* ---- Q4_0 ------------------------------------------------------------------------------- */

/* Where the bits of an element lie: a byte and a shift. */
typedef struct place {
    size_t byte;
    unsigned shift;
} place;

static place key_low(size_t d, size_t slot)
{
    return (place){ (d / 8 * BLOCK + slot) * 4 + d % 4, (unsigned)(d / 4 % 2 * 4) };
}

static place key_high(size_t padded, size_t d, size_t slot)
{
    const size_t lane = slot % 8 * 4 + d % 4;
    return (place){ padded * BLOCK / 2 + d / 8 * 64 + slot / 16 * 32 + lane,
                    (unsigned)(slot / 8 % 2 * 4 + d / 4 % 2 * 2) };
}

static place value_low(size_t padded, size_t d, size_t slot)
{
    return (place){ (slot / 8 * padded + d) * 4 + slot % 4, (unsigned)(slot / 4 % 2 * 4) };
}

static void set_bits(uint8_t *codes, place p, uint32_t mask, uint32_t bits)
{
    codes[p.byte] = (uint8_t)((codes[p.byte] & ~(mask << p.shift)) | (bits & mask) << p.shift);
}

static uint32_t get_bits(const uint8_t *codes, place p, uint32_t mask)
{
    return (uint32_t)codes[p.byte] >> p.shift & mask;
}

static int32_t key_q4(const uint8_t *codes, size_t padded, size_t d, size_t slot)
{
    const uint32_t u = get_bits(codes, key_low(d, slot), 15) | get_bits(codes, key_high(padded, d, slot), 3)
                                                                   << 4;
    return 2 * (int32_t)u - 63;
}

static int32_t value_q4(const uint8_t *codes, size_t padded, size_t d, size_t slot)
{
    return 2 * (int32_t)get_bits(codes, value_low(padded, d, slot), 15) - 15;
}

/* ---- all -------------------------------------------------------------------------------- */

static void put_plain(puna_format format, void *tile, size_t i, float value)
{
    if (format == PUNA_FORMAT_F32)
        ((float *)tile)[i] = value;
    else
        ((uint16_t *)tile)[i] = format == PUNA_FORMAT_F16 ? puna_f32_to_f16(value) : puna_f32_to_bf16(value);
}

static float get_plain(puna_format format, const void *tile, size_t i)
{
    if (format == PUNA_FORMAT_F32)
        return ((const float *)tile)[i];
    const uint16_t half = ((const uint16_t *)tile)[i];
    return format == PUNA_FORMAT_F16 ? puna_f16_to_f32(half) : puna_bf16_to_f32(half);
}

/* One chunk of a quantised tile: its codes, and how many dimensions it has. */
typedef struct chunk {
    uint8_t *codes;
    uint16_t *scales; /* [BLOCK] */
    size_t padded;
    int32_t dim;
} chunk;

/* The chunk in which dimension d lies. */
static chunk chunk_of(puna_format format, const void *tile, int32_t dim, bool key, int32_t d)
{
    const int32_t first = d / PUNA_KV_CHUNK * PUNA_KV_CHUNK;
    chunk c = { .dim = dim - first < PUNA_KV_CHUNK ? dim - first : PUNA_KV_CHUNK };
    c.padded = puna_kv_padded(c.dim);
    c.codes = (uint8_t *)(uintptr_t)tile +
              (size_t)(d / PUNA_KV_CHUNK) * puna_kv_chunk_bytes(format, PUNA_KV_CHUNK, key);
    c.scales = (uint16_t *)(void *)(c.codes + code_bytes(format, c.padded, key));
    return c;
}

static void put_chunk_key(puna_format format, const chunk *c, size_t slot, const float *x)
{
    const bool q8 = format == PUNA_FORMAT_Q8_0;
    c->scales[slot] = q8 ? scale_q8(x, c->dim) : scale_of(x, c->dim, 1 << KEY_BITS);
    const float inverse = inverse_of(c->scales[slot]);
    for (size_t d = 0; d < (size_t)c->dim; d++)
        if (q8) {
            ((int8_t *)c->codes)[at_key_q8(d, slot)] = code_q8(x[d] * inverse);
        } else {
            const uint32_t u = (uint32_t)level(x[d] * inverse, 1 << KEY_BITS);
            set_bits(c->codes, key_low(d, slot), 15, u);
            set_bits(c->codes, key_high(c->padded, d, slot), 3, u >> 4);
        }
}

static void put_chunk_value(puna_format format, const chunk *c, size_t slot, const float *x)
{
    const bool q8 = format == PUNA_FORMAT_Q8_0;
    c->scales[slot] = q8 ? scale_q8(x, c->dim) : scale_of(x, c->dim, 1 << VALUE_BITS);
    const float inverse = inverse_of(c->scales[slot]);
    for (size_t d = 0; d < (size_t)c->dim; d++)
        if (q8)
            ((int8_t *)c->codes)[at_value_q8(c->padded, d, slot)] = code_q8(x[d] * inverse);
        else
            set_bits(c->codes, value_low(c->padded, d, slot), 15,
                     (uint32_t)level(x[d] * inverse, 1 << VALUE_BITS));
}

void puna_kv_put_key(puna_format format, void *tile, int32_t dim, int32_t slot, const float *x)
{
    if (!puna_kv_is_rotated(format)) {
        for (size_t d = 0; d < (size_t)dim; d++)
            put_plain(format, tile, d * BLOCK + (size_t)slot, x[d]);
        return;
    }
    for (int32_t d = 0; d < dim; d += PUNA_KV_CHUNK) {
        const chunk c = chunk_of(format, tile, dim, true, d);
        put_chunk_key(format, &c, (size_t)slot, x + d);
    }
}

void puna_kv_put_value(puna_format format, void *tile, int32_t dim, int32_t slot, const float *x)
{
    if (!puna_kv_is_rotated(format)) {
        for (size_t d = 0; d < (size_t)dim; d++)
            put_plain(format, tile, (size_t)slot * (size_t)dim + d, x[d]);
        return;
    }
    for (int32_t d = 0; d < dim; d += PUNA_KV_CHUNK) {
        const chunk c = chunk_of(format, tile, dim, false, d);
        put_chunk_value(format, &c, (size_t)slot, x + d);
    }
}

float puna_kv_key(puna_format format, const void *tile, int32_t dim, int32_t slot, int32_t d)
{
    const size_t i = (size_t)(d % PUNA_KV_CHUNK), j = (size_t)slot;
    if (!puna_kv_is_rotated(format))
        return get_plain(format, tile, (size_t)d * BLOCK + j);
    const chunk c = chunk_of(format, tile, dim, true, d);
    const int32_t code = format == PUNA_FORMAT_Q8_0 ? ((const int8_t *)c.codes)[at_key_q8(i, j)]
                                                    : key_q4(c.codes, c.padded, i, j);
    return puna_bf16_to_f32(c.scales[j]) * (float)code;
}

float puna_kv_value(puna_format format, const void *tile, int32_t dim, int32_t slot, int32_t d)
{
    const size_t i = (size_t)(d % PUNA_KV_CHUNK), j = (size_t)slot;
    if (!puna_kv_is_rotated(format))
        return get_plain(format, tile, j * (size_t)dim + (size_t)d);
    const chunk c = chunk_of(format, tile, dim, false, d);
    const int32_t code = format == PUNA_FORMAT_Q8_0 ? ((const int8_t *)c.codes)[at_value_q8(c.padded, i, j)]
                                                    : value_q4(c.codes, c.padded, i, j);
    return puna_bf16_to_f32(c.scales[j]) * (float)code;
}

void puna_kv_unpack(const void *tile, int32_t dim, bool key, void *q8)
{
    for (int32_t first = 0; first < dim; first += PUNA_KV_CHUNK) {
        const chunk from = chunk_of(PUNA_FORMAT_Q4_0, tile, dim, key, first);
        const chunk to = chunk_of(PUNA_FORMAT_Q8_0, q8, dim, key, first);
        for (size_t d = 0; d < from.padded; d++)
            for (size_t j = 0; j < BLOCK; j++)
                if (key)
                    ((int8_t *)to.codes)[at_key_q8(d, j)] = (int8_t)key_q4(from.codes, from.padded, d, j);
                else
                    ((int8_t *)to.codes)[at_value_q8(from.padded, d, j)] =
                        (int8_t)value_q4(from.codes, from.padded, d, j);
        memcpy(to.scales, from.scales, BLOCK * sizeof *to.scales);
    }
}
