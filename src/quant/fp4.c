/* fp4.c - 4-bit floats (E2M1: 0, 1/2, 1, 3/2, 2, 3, 4, 6 and their negatives) with a shared scale:
 * MXFP4 (a power of two for 32 values; OCP Microscaling Formats 1.0) and NVFP4 (an unsigned E4M3
 * for 16). Codes are read as twice their value, an integer, and the scale as half of its. */
#include <math.h>

#include "quant/reference.h"

static const int8_t e2m1_doubled[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

/* 2^(e - 128); the two smallest are subnormal floats. */
static float e8m0_half(uint8_t e)
{
    return puna_f32_make(e < 2 ? 0x200000u << e : (uint32_t)(e - 1) << 23);
}

/* Half of an E4M3 of bias 7 whose sign bit is ignored; 0x7f, its NaN, reads as zero (0xff does
 * not: that is what the format's writers defined). */
static float ue4m3_half(uint8_t x)
{
    const uint32_t e = x >> 3 & 15, m = x & 7;
    if (x == 0x7f)
        return 0.0f;
    if (e == 0)
        return (float)m * 0x1p-10f;
    return puna_f32_make((e + 127 - 8) << 23 | m << 20);
}

void puna_mxfp4_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_mxfp4 *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b++, values += 32) {
        const float d = e8m0_half(b->e);
        for (int j = 0; j < 16; j++) {
            values[j] = d * (float)e2m1_doubled[b->qs[j] & 15];
            values[j + 16] = d * (float)e2m1_doubled[b->qs[j] >> 4];
        }
    }
}

/* The first code whose value is nearest. */
static int nearest_code(float x, float d)
{
    int best = 0;
    float best_error = fabsf(x);
    for (int c = 1; c < 16; c++) {
        const float error = fabsf(d * (float)e2m1_doubled[c] - x);
        if (error < best_error) {
            best = c;
            best_error = error;
        }
    }
    return best;
}

/* The scale brings the largest magnitude into [4, 8). Its exponent is taken from log2f, as others
 * do, so that a value a hair below a power of two counts as that power. */
void puna_mxfp4_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_mxfp4 *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b++, values += 32) {
        float max = 0.0f;
        for (int j = 0; j < 32; j++)
            max = fabsf(values[j]) > max ? fabsf(values[j]) : max;
        b->e = (uint8_t)(max > 0.0f ? puna_code_clamp(floorf(log2f(max)) - 2.0f + 127.0f, 0, 254) : 0);
        const float d = e8m0_half(b->e);
        for (int j = 0; j < 16; j++)
            b->qs[j] = (uint8_t)(nearest_code(values[j], d) | nearest_code(values[j + 16], d) << 4);
    }
}

void puna_nvfp4_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_nvfp4 *b = blocks;
    for (size_t i = 0; i < n / 64; i++, b++) {
        for (int s = 0; s < 4; s++, values += 16) {
            const float d = ue4m3_half(b->d[s]);
            for (int j = 0; j < 8; j++) {
                values[j] = d * (float)e2m1_doubled[b->qs[s * 8 + j] & 15];
                values[j + 8] = d * (float)e2m1_doubled[b->qs[s * 8 + j] >> 4];
            }
        }
    }
}

/* Codes of 16 values for one scale; returns the squared error. Ties go towards zero. */
static float nvfp4_codes(const float *restrict x, float d, uint8_t codes[16])
{
    static const float middles[7] = { 0.5f, 1.5f, 2.5f, 3.5f, 5.0f, 7.0f, 10.0f };
    const float inv = d > 0.0f ? 1.0f / d : 0.0f;
    float error = 0.0f;
    for (int j = 0; j < 16; j++) {
        const float magnitude = fabsf(x[j]) * inv;
        uint8_t code = 0;
        for (int k = 0; k < 7; k++)
            code = (uint8_t)(code + (magnitude > middles[k]));
        codes[j] = x[j] < 0.0f ? code | 8 : code;
        const float r = d * (float)e2m1_doubled[codes[j]] - x[j];
        error += r * r;
    }
    return error;
}

/* The scale with the least squared error among those around extreme value / 6. */
static uint8_t nvfp4_fit(const float *restrict x, uint8_t codes[16])
{
    enum { largest = 0x7e, around = 4 };
    float max = 0.0f;
    for (int j = 0; j < 16; j++)
        max = fabsf(x[j]) > max ? fabsf(x[j]) : max;
    int middle = 0;
    while (middle < largest && ue4m3_half((uint8_t)middle) * 12.0f < max)
        middle++;
    int best = 0;
    float least = nvfp4_codes(x, 0.0f, codes);
    for (int s = middle > around ? middle - around : 0; s <= middle + around && s <= largest; s++) {
        const float error = nvfp4_codes(x, ue4m3_half((uint8_t)s), codes);
        if (error < least) {
            least = error;
            best = s;
        }
    }
    nvfp4_codes(x, ue4m3_half((uint8_t)best), codes);
    return (uint8_t)best;
}

/* Values are taken as they are: a tensor whose values are far from 1 wants a scale of its own,
 * which the caller divides out first. */
void puna_nvfp4_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_nvfp4 *b = blocks;
    for (size_t i = 0; i < n / 64; i++, b++) {
        for (int s = 0; s < 4; s++, values += 16) {
            uint8_t codes[16];
            b->d[s] = nvfp4_fit(values, codes);
            for (int j = 0; j < 8; j++)
                b->qs[s * 8 + j] = (uint8_t)(codes[j] | codes[j + 8] << 4);
        }
    }
}
