/* kquant.c - reading the K types: 256 values as sub-blocks of 16 or 32 whose small integer scales
 * (and minima) are multiples of the block's 16-bit ones. kquantize.c writes them. */
#include "quant/reference.h"

void puna_q2_k_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_q2_k *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++) {
        const float d = puna_load_f16(b->d), dmin = puna_load_f16(b->dmin);
        for (int s = 0; s < 16; s++, values += 16) {
            const float scale = d * (float)(b->scales[s] & 15);
            const float min = dmin * (float)(b->scales[s] >> 4);
            const uint8_t *qs = b->qs + s / 8 * 32 + s % 2 * 16;
            const int shift = s % 8 / 2 * 2;
            for (int j = 0; j < 16; j++)
                values[j] = scale * (float)(qs[j] >> shift & 3) - min;
        }
    }
}

void puna_q3_k_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_q3_k *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++) {
        const float d = puna_load_f16(b->d);
        int8_t scales[16];
        puna_q3_k_scales(b->scales, scales);
        for (int s = 0; s < 16; s++, values += 16) {
            const float scale = d * (float)scales[s];
            const uint8_t *qs = b->qs + s / 8 * 32 + s % 2 * 16;
            const uint8_t *high = b->hmask + s % 2 * 16;
            const int shift = s % 8 / 2 * 2;
            for (int j = 0; j < 16; j++) {
                const int q = (qs[j] >> shift & 3) + ((high[j] >> (s / 2) & 1) << 2) - 4;
                values[j] = scale * (float)q;
            }
        }
    }
}

void puna_q4_k_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_q4_k *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++) {
        const float d = puna_load_f16(b->d), dmin = puna_load_f16(b->dmin);
        uint8_t scales[8], minima[8];
        puna_q4_k_scales(b->scales, scales, minima);
        for (int s = 0; s < 8; s++, values += 32) {
            const float scale = d * (float)scales[s], min = dmin * (float)minima[s];
            const uint8_t *qs = b->qs + s / 2 * 32;
            const int shift = s % 2 * 4;
            for (int j = 0; j < 32; j++)
                values[j] = scale * (float)(qs[j] >> shift & 15) - min;
        }
    }
}

void puna_q5_k_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_q5_k *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++) {
        const float d = puna_load_f16(b->d), dmin = puna_load_f16(b->dmin);
        uint8_t scales[8], minima[8];
        puna_q4_k_scales(b->scales, scales, minima);
        for (int s = 0; s < 8; s++, values += 32) {
            const float scale = d * (float)scales[s], min = dmin * (float)minima[s];
            const uint8_t *qs = b->qs + s / 2 * 32;
            const int shift = s % 2 * 4;
            for (int j = 0; j < 32; j++) {
                const int q = (qs[j] >> shift & 15) | (b->qh[j] >> s & 1) << 4;
                values[j] = scale * (float)q - min;
            }
        }
    }
}

void puna_q6_k_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_q6_k *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++) {
        const float d = puna_load_f16(b->d);
        for (int s = 0; s < 16; s++, values += 16) {
            const float scale = d * (float)b->scales[s];
            const uint8_t *ql = b->ql + s / 8 * 64 + s % 4 * 16;
            const uint8_t *qh = b->qh + s / 8 * 32 + s % 2 * 16;
            const int low_shift = s % 8 / 4 * 4, high_shift = s % 8 / 2 * 2;
            for (int j = 0; j < 16; j++) {
                const int q = (ql[j] >> low_shift & 15) | (qh[j] >> high_shift & 3) << 4;
                values[j] = scale * (float)(q - 32);
            }
        }
    }
}

void puna_q8_k_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_q8_k *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++, values += 256) {
        const float d = puna_load_f32(b->d);
        for (int j = 0; j < 256; j++)
            values[j] = d * (float)b->qs[j];
    }
}
