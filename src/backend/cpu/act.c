/* act.c - rows of activations: their size and the portable encoder. The encoders of all
 * instruction sets give the same bytes. Refuses -128: codes are -127..127, on which the kernels'
 * 16-bit sums rely. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "backend/cpu/kernel.h"
#include "quant/half.h"

size_t puna_act_bytes(puna_act act, int32_t n_in)
{
    size_t bytes = (size_t)n_in * sizeof(float);
    if (act == PUNA_ACT_Q8)
        bytes = (size_t)n_in + 3 * puna_act_array_bytes(n_in);
    else if (act == PUNA_ACT_STRIP)
        bytes = puna_strip_rest(n_in, 1) + PUNA_STRIP_BLOCK + sizeof(int32_t);
    else if (act == PUNA_ACT_TILE)
        bytes = (size_t)n_in * sizeof(uint16_t);
    return (bytes + 63) / 64 * 64;
}

/* One block of 32; sums gets the sums of both halves. Returns d. Magnitudes are compared as
 * integers, by which a NaN is the largest. A block below 2^-120 has no usable reciprocal and is 0. */
static float encode_block(const float *x, int8_t *q, int16_t *sums)
{
    uint32_t largest = 0;
    sums[0] = sums[1] = 0;
    for (int i = 0; i < PUNA_ACT_BLOCK; i++) {
        const uint32_t magnitude = puna_f32_bits(x[i]) & 0x7fffffffu;
        largest = magnitude > largest ? magnitude : largest;
    }
    const float max = puna_f32_make(largest);
    if (!(max >= 0x1p-120f && max <= FLT_MAX)) {
        memset(q, 0, PUNA_ACT_BLOCK);
        return max < 1.0f ? 0.0f : NAN;
    }
    const float inverse = 127.0f / max;
    for (int i = 0; i < PUNA_ACT_BLOCK; i++) {
        q[i] = (int8_t)lrintf(x[i] * inverse);
        sums[i / 16] = (int16_t)(sums[i / 16] + q[i]);
    }
    return max / 127.0f;
}

void puna_encode_q8_scalar(const float *x, int32_t n_in, void *row)
{
    const size_t array = puna_act_array_bytes(n_in);
    int8_t *q = row;
    uint8_t *arrays = (uint8_t *)row + n_in;
    float *d = (float *)(void *)arrays, *s = (float *)(void *)(arrays + array);
    int16_t *sums = (int16_t *)(void *)(arrays + 2 * array);
    memset(arrays, 0, puna_act_bytes(PUNA_ACT_Q8, n_in) - (size_t)n_in);
    for (int32_t b = 0; b < n_in / PUNA_ACT_BLOCK; b++) {
        d[b] = encode_block(x + b * PUNA_ACT_BLOCK, q + b * PUNA_ACT_BLOCK, sums + 2 * b);
        s[b] = d[b] * (float)(sums[2 * b] + sums[2 * b + 1]);
    }
}

static void put_block(uint8_t *block, int slot, int n_slots, const float *x)
{
    int8_t q[PUNA_ACT_BLOCK];
    int16_t halves[2];
    int32_t pairs[4] = { 0 };
    const float d = encode_block(x, q, halves);
    for (int i = 0; i < PUNA_ACT_BLOCK; i++)
        pairs[i / 16 * 2 + i % 4 / 2] += q[i];
    puna_strip_put(block, slot, n_slots, q, d, pairs);
}

void puna_encode_strip_scalar(const float *x, int32_t n_in, void *strip, int slot, int n_slots)
{
    uint8_t *block = strip;
    for (int32_t b = 0; b < n_in / PUNA_ACT_BLOCK; b++, block += (size_t)n_slots * PUNA_STRIP_BLOCK)
        put_block(block, slot, n_slots, x + b * PUNA_ACT_BLOCK);
}

/* ---- rests ------------------------------------------------------------------------------ */

static float scale_at(const uint8_t *block, int slot, int n_slots)
{
    float d;
    memcpy(&d, block + puna_strip_d(n_slots) + sizeof d * (size_t)slot, sizeof d);
    return d;
}

/* The block with the largest scale, if a quarter of what the codes lose is lost there (it goes with the square of the
 * scales); else -1: the rest would cost as much and be worth little. */
static int32_t widest_block(const uint8_t *strip, int32_t n_blocks, int slot, int n_slots)
{
    int32_t widest = -1;
    float most = 0, sum = 0;
    for (int32_t b = 0; b < n_blocks; b++) {
        const float d = scale_at(strip + (size_t)(b * n_slots) * PUNA_STRIP_BLOCK, slot, n_slots);
        sum += d * d;
        if (d > most) {
            most = d;
            widest = b;
        }
    }
    return most * most >= 0.25f * sum ? widest : -1;
}

static void encode_rest(const float *x, int32_t n_in, uint8_t *strip, int slot, int n_slots)
{
    const size_t bytes = (size_t)n_slots * PUNA_STRIP_BLOCK;
    const int32_t widest = widest_block(strip, n_in / PUNA_ACT_BLOCK, slot, n_slots);
    uint8_t *rest = strip + puna_strip_rest(n_in, n_slots);
    float left[PUNA_ACT_BLOCK] = { 0 };
    if (widest >= 0) {
        const uint8_t *block = strip + (size_t)widest * bytes;
        const float d = scale_at(block, slot, n_slots);
        for (int i = 0; i < PUNA_ACT_BLOCK; i++)
            left[i] = x[widest * PUNA_ACT_BLOCK + i] -
                      d * (float)(int8_t)block[(i / 4 * n_slots + slot) * 4 + i % 4];
    }
    put_block(rest, slot, n_slots, left);
    memcpy(rest + bytes + sizeof widest * (size_t)slot, &widest, sizeof widest);
}

/* The rows whose widest block is that of row i. */
static void rest_of(const uint8_t *from, int n_slots, const int32_t *blocks, int i, puna_rest *rest)
{
    bool all = true; /* what has no rest is zeros */
    for (int j = 0; j < n_slots; j++)
        all = all && (blocks[j] == blocks[i] || blocks[j] < 0);
    rest->block = blocks[i];
    rest->act = from;
    if (all)
        return;
    rest->act = memcpy(rest->copy, from, (size_t)n_slots * PUNA_STRIP_BLOCK);
    for (int j = 0; j < n_slots; j++)
        if (blocks[j] != blocks[i]) {
            memset(rest->copy + puna_strip_d(n_slots) + sizeof(float) * (size_t)j, 0, sizeof(float));
            memset(rest->copy + puna_strip_s(n_slots) + sizeof(float) * (size_t)j, 0, sizeof(float));
        }
}

void puna_strip_rests(const uint8_t *from, int n_slots, puna_rests *rests)
{
    int32_t blocks[PUNA_STRIP_ROWS] = { 0 };
    rests->n = 0;
    memcpy(blocks, from + (size_t)n_slots * PUNA_STRIP_BLOCK, sizeof *blocks * (size_t)n_slots);
    for (int i = 0; i < n_slots; i++) {
        bool found = blocks[i] < 0;
        for (int j = 0; j < i; j++)
            found = found || blocks[j] == blocks[i];
        if (!found)
            rest_of(from, n_slots, blocks, i, &rests->rest[rests->n++]);
    }
}

void puna_call_rests(const puna_linear_call *call, int32_t first, int32_t last, puna_rests *rests)
{
    for (int32_t r = first; r < last; r += PUNA_STRIP_ROWS) {
        const int32_t n = last - r < PUNA_STRIP_ROWS ? last - r : PUNA_STRIP_ROWS;
        puna_strip_rests(puna_call_act(call, r) + puna_strip_rest(call->n_in, n), n,
                         &rests[(r - first) / PUNA_STRIP_ROWS]);
    }
}

/* ---- any kind of row -------------------------------------------------------------------- */

static const puna_encoder *encoder_of(uint32_t allowed)
{
    size_t n;
    const puna_encoder *encoders = puna_encoder_list(&n);
    while (n > 1 && (encoders[n - 1].needs & allowed) != encoders[n - 1].needs)
        n--;
    return &encoders[n - 1];
}

void puna_act_encode_row(puna_act act, const float *x, int32_t n_in, void *rows, int32_t r, int32_t n_rows,
                         uint32_t allowed)
{
    const int32_t n_beside = act == PUNA_ACT_STRIP  ? PUNA_STRIP_ROWS
                             : act == PUNA_ACT_TILE ? PUNA_TILE_SLOTS
                                                    : 1;
    const int32_t first = r / n_beside * n_beside,
                  n_slots = n_rows - first < n_beside ? n_rows - first : n_beside;
    uint8_t *to = (uint8_t *)rows + (size_t)first * puna_act_bytes(act, n_in);
    if (act == PUNA_ACT_STRIP) {
        encoder_of(allowed)->strip(x, n_in, to, r - first, n_slots);
        encode_rest(x, n_in, to, r - first, n_slots);
    }
#if defined(__x86_64__)
    else if (act == PUNA_ACT_TILE)
        puna_encode_tile_amx(x, n_in, to, r - first, n_slots);
#endif
    else
        puna_act_encode(act, x, n_in, to, allowed);
}

void puna_act_encode(puna_act act, const float *x, int32_t n_in, void *row, uint32_t allowed)
{
    if (act == PUNA_ACT_STRIP || act == PUNA_ACT_TILE) {
        puna_act_encode_row(act, x, n_in, row, 0, 1, allowed);
        return;
    }
    if (act == PUNA_ACT_F32) {
        const size_t used = (size_t)n_in * sizeof(float);
        memcpy(row, x, used);
        memset((uint8_t *)row + used, 0, puna_act_bytes(act, n_in) - used);
        return;
    }
    encoder_of(allowed)->run(x, n_in, row);
}
