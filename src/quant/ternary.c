/* ternary.c - TQ1_0 and TQ2_0: -1, 0 or 1 times one scale per 256 values. The quantisers take the
 * largest magnitude as the scale, exact for weights that are ternary already. */
#include <math.h>

#include "quant/reference.h"

/* A byte of TQ1_0 holds up to five digits of base 3 as the fraction digits / 243, rounded up, in
 * 256ths: multiplying by 3^k modulo 256 brings digit k (the most significant first) to the top,
 * and three times the rest is the digit. `lanes` bytes hold value k * lanes + j as digit k of j. */
static void unpack_digits(const uint8_t *restrict qs, int lanes, int digits, float d,
                          float *restrict values)
{
    uint8_t power = 1;
    for (int k = 0; k < digits; k++) {
        for (int j = 0; j < lanes; j++) {
            const uint8_t rest = (uint8_t)(qs[j] * power);
            values[k * lanes + j] = d * (float)((rest * 3 >> 8) - 1);
        }
        power = (uint8_t)(power * 3);
    }
}

static void pack_digits(const uint8_t *restrict codes, int lanes, int digits, uint8_t *restrict qs)
{
    for (int j = 0; j < lanes; j++) {
        int value = 0;
        for (int k = 0; k < 5; k++)
            value = value * 3 + (k < digits ? codes[k * lanes + j] : 0);
        qs[j] = (uint8_t)((value * 256 + 242) / 243);
    }
}

/* Codes 0, 1, 2 of 256 values; returns the scale. */
static float ternary_codes(const float *restrict x, uint8_t codes[256])
{
    float d = 0.0f;
    for (int j = 0; j < 256; j++)
        d = fabsf(x[j]) > d ? fabsf(x[j]) : d;
    const float id = d == 0.0f ? 0.0f : 1.0f / d;
    for (int j = 0; j < 256; j++)
        codes[j] = (uint8_t)(puna_code_clamp(roundf(x[j] * id), -1, 1) + 1);
    return d;
}

void puna_tq1_0_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_tq1_0 *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++, values += 256) {
        const float d = puna_load_f16(b->d);
        unpack_digits(b->qs, 32, 5, d, values);
        unpack_digits(b->qs + 32, 16, 5, d, values + 160);
        unpack_digits(b->qh, 4, 4, d, values + 240);
    }
}

void puna_tq1_0_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_tq1_0 *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++, values += 256) {
        uint8_t codes[256];
        puna_store_f16(b->d, ternary_codes(values, codes));
        pack_digits(codes, 32, 5, b->qs);
        pack_digits(codes + 160, 16, 5, b->qs + 32);
        pack_digits(codes + 240, 4, 4, b->qh);
    }
}

/* Bytes 32 * h + j hold values 128 * h + 32 * k + j at bits 2 * k. */
void puna_tq2_0_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_tq2_0 *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++) {
        const float d = puna_load_f16(b->d);
        for (int g = 0; g < 8; g++, values += 32) {
            for (int j = 0; j < 32; j++)
                values[j] = d * (float)((b->qs[g / 4 * 32 + j] >> (g % 4 * 2) & 3) - 1);
        }
    }
}

void puna_tq2_0_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_tq2_0 *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++, values += 256) {
        uint8_t codes[256];
        puna_store_f16(b->d, ternary_codes(values, codes));
        for (int j = 0; j < 64; j++) {
            const uint8_t *c = codes + j / 32 * 128 + j % 32;
            b->qs[j] = (uint8_t)(c[0] | c[32] << 2 | c[64] << 4 | c[96] << 6);
        }
    }
}
