/* classic.c - one scale (and perhaps one minimum) per short block: Q1_0, Q2_0, Q4_0, Q4_1, Q5_0,
 * Q5_1, Q8_0, Q8_1. The quantisers are the round-to-nearest ones that define these formats, bit
 * for bit those of the `gguf` package (Q1_0, Q8_1: of ggml): a file written here is the file
 * that everyone else writes. Refuses: searching for better scales (kquantize.c does). */
#include <math.h>

#include "quant/reference.h"

/* 1 / d, or 0 for a block of zeros. */
static float inverse(float d)
{
    return d == 0.0f ? 0.0f : 1.0f / d;
}

/* The first value of largest magnitude, with its sign. */
static float extreme(const float *x, int n)
{
    float best = x[0];
    for (int j = 1; j < n; j++) {
        if (fabsf(x[j]) > fabsf(best))
            best = x[j];
    }
    return best;
}

static void range(const float *x, int n, float *min, float *max)
{
    *min = *max = x[0];
    for (int j = 1; j < n; j++) {
        *min = x[j] < *min ? x[j] : *min;
        *max = x[j] > *max ? x[j] : *max;
    }
}

static void pack_nibbles(const uint8_t codes[32], uint8_t qs[16])
{
    for (int j = 0; j < 16; j++)
        qs[j] = (uint8_t)((codes[j] & 15) | (codes[j + 16] & 15) << 4);
}

static void pack_fifth_bits(const uint8_t codes[32], uint8_t qh[4])
{
    uint32_t bits = 0;
    for (int j = 0; j < 32; j++)
        bits |= (uint32_t)(codes[j] >> 4) << j;
    puna_store_u32(qh, bits);
}

void puna_q1_0_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_q1_0 *b = blocks;
    for (size_t i = 0; i < n / 128; i++, b++, values += 128) {
        const float d = puna_load_f16(b->d);
        for (int j = 0; j < 128; j++)
            values[j] = b->qs[j / 8] >> (j % 8) & 1 ? d : -d;
    }
}

/* d is the mean magnitude: the best scale for signs alone. */
void puna_q1_0_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_q1_0 *b = blocks;
    for (size_t i = 0; i < n / 128; i++, b++, values += 128) {
        float sum = 0.0f;
        memset(b->qs, 0, sizeof b->qs);
        for (int j = 0; j < 128; j++) {
            sum += fabsf(values[j]);
            b->qs[j / 8] |= (uint8_t)((values[j] >= 0.0f) << (j % 8));
        }
        puna_store_f16(b->d, sum / 128.0f);
    }
}

void puna_q2_0_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_q2_0 *b = blocks;
    for (size_t i = 0; i < n / 64; i++, b++, values += 64) {
        const float d = puna_load_f16(b->d);
        for (int j = 0; j < 64; j++)
            values[j] = d * (float)((b->qs[j / 4] >> (j % 4 * 2) & 3) - 1);
    }
}

/* Only -1, 0 and 1 are written: the format is made for ternary weights. */
void puna_q2_0_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_q2_0 *b = blocks;
    for (size_t i = 0; i < n / 64; i++, b++, values += 64) {
        const float d = fabsf(extreme(values, 64)), id = inverse(d);
        memset(b->qs, 0, sizeof b->qs);
        for (int j = 0; j < 64; j++) {
            const int code = puna_code_clamp(roundf(values[j] * id), -1, 1) + 1;
            b->qs[j / 4] |= (uint8_t)(code << (j % 4 * 2));
        }
        puna_store_f16(b->d, d);
    }
}

void puna_q4_0_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_q4_0 *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b++, values += 32) {
        const float d = puna_load_f16(b->d);
        for (int j = 0; j < 16; j++) {
            values[j] = d * (float)((b->qs[j] & 15) - 8);
            values[j + 16] = d * (float)((b->qs[j] >> 4) - 8);
        }
    }
}

void puna_q4_0_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_q4_0 *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b++, values += 32) {
        const float d = extreme(values, 32) / -8.0f, id = inverse(d);
        uint8_t codes[32];
        for (int j = 0; j < 32; j++)
            codes[j] = (uint8_t)puna_code_clamp(values[j] * id + 8.5f, 0, 15);
        puna_store_f16(b->d, d);
        pack_nibbles(codes, b->qs);
    }
}

void puna_q4_1_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_q4_1 *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b++, values += 32) {
        const float d = puna_load_f16(b->d), m = puna_load_f16(b->m);
        for (int j = 0; j < 16; j++) {
            values[j] = d * (float)(b->qs[j] & 15) + m;
            values[j + 16] = d * (float)(b->qs[j] >> 4) + m;
        }
    }
}

void puna_q4_1_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_q4_1 *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b++, values += 32) {
        float min, max;
        range(values, 32, &min, &max);
        const float d = (max - min) / 15.0f, id = inverse(d);
        uint8_t codes[32];
        for (int j = 0; j < 32; j++)
            codes[j] = (uint8_t)puna_code_clamp((values[j] - min) * id + 0.5f, 0, 15);
        puna_store_f16(b->d, d);
        puna_store_f16(b->m, min);
        pack_nibbles(codes, b->qs);
    }
}

void puna_q5_0_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_q5_0 *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b++, values += 32) {
        const float d = puna_load_f16(b->d);
        const uint32_t high = puna_load_u32(b->qh);
        for (int j = 0; j < 16; j++) {
            const int q0 = (b->qs[j] & 15) | (int)(high >> j << 4 & 16);
            const int q1 = b->qs[j] >> 4 | (int)(high >> (j + 16) << 4 & 16);
            values[j] = d * (float)(q0 - 16);
            values[j + 16] = d * (float)(q1 - 16);
        }
    }
}

void puna_q5_0_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_q5_0 *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b++, values += 32) {
        const float d = extreme(values, 32) / -16.0f, id = inverse(d);
        uint8_t codes[32];
        for (int j = 0; j < 32; j++)
            codes[j] = (uint8_t)puna_code_clamp(values[j] * id + 16.5f, 0, 31);
        puna_store_f16(b->d, d);
        pack_fifth_bits(codes, b->qh);
        pack_nibbles(codes, b->qs);
    }
}

void puna_q5_1_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_q5_1 *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b++, values += 32) {
        const float d = puna_load_f16(b->d), m = puna_load_f16(b->m);
        const uint32_t high = puna_load_u32(b->qh);
        for (int j = 0; j < 16; j++) {
            const int q0 = (b->qs[j] & 15) | (int)(high >> j << 4 & 16);
            const int q1 = b->qs[j] >> 4 | (int)(high >> (j + 16) << 4 & 16);
            values[j] = d * (float)q0 + m;
            values[j + 16] = d * (float)q1 + m;
        }
    }
}

void puna_q5_1_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_q5_1 *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b++, values += 32) {
        float min, max;
        range(values, 32, &min, &max);
        const float d = (max - min) / 31.0f, id = inverse(d);
        uint8_t codes[32];
        for (int j = 0; j < 32; j++)
            codes[j] = (uint8_t)puna_code_clamp((values[j] - min) * id + 0.5f, 0, 31);
        puna_store_f16(b->d, d);
        puna_store_f16(b->m, min);
        pack_fifth_bits(codes, b->qh);
        pack_nibbles(codes, b->qs);
    }
}

void puna_q8_0_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_q8_0 *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b++, values += 32) {
        const float d = puna_load_f16(b->d);
        for (int j = 0; j < 32; j++)
            values[j] = d * (float)b->qs[j];
    }
}

void puna_q8_0_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_q8_0 *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b++, values += 32) {
        const float d = fabsf(extreme(values, 32)) / 127.0f, id = inverse(d);
        for (int j = 0; j < 32; j++)
            b->qs[j] = (int8_t)puna_code_clamp(roundf(values[j] * id), -127, 127);
        puna_store_f16(b->d, d);
    }
}

void puna_q8_1_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_q8_1 *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b++, values += 32) {
        const float d = puna_load_f16(b->d);
        for (int j = 0; j < 32; j++)
            values[j] = d * (float)b->qs[j];
    }
}

void puna_q8_1_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_q8_1 *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b++, values += 32) {
        const float d = fabsf(extreme(values, 32)) / 127.0f, id = inverse(d);
        int sum = 0;
        for (int j = 0; j < 32; j++) {
            b->qs[j] = (int8_t)puna_code_clamp(roundf(values[j] * id), -127, 127);
            sum += b->qs[j];
        }
        puna_store_f16(b->d, d);
        puna_store_f16(b->s, (float)sum * d);
    }
}
