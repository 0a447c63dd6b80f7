/* iquant.c - reading the IQ types: groups of 8 (IQ3: 4) values looked up in a codebook, with signs
 * and sub-block scales beside them. The order of the multiplications is part of the definition.
 * IQ4 types store nibbles that index 16 uneven steps. */
#include "quant/iquant_tables.h"
#include "quant/reference.h"

/* n (4 or 8) codebook magnitudes with their signs, times db. */
static void write_signed(uint64_t grid, uint32_t signs, int n, float db, float *restrict values)
{
    for (int j = 0; j < n; j++) {
        const float v = db * (float)(grid >> 8 * j & 255);
        values[j] = signs >> j & 1 ? -v : v;
    }
}

void puna_iq2_xxs_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_iq2_xxs *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++) {
        const float d = puna_load_f16(b->d);
        for (int s = 0; s < 8; s++) {
            const uint8_t *indices = b->qs + s * 8;
            const uint32_t signs = puna_load_u32(indices + 4);
            const float db = d * (0.5f + (float)(signs >> 28)) * 0.25f;
            for (int g = 0; g < 4; g++, values += 8)
                write_signed(puna_iq2_xxs_grid[indices[g]], puna_iq_signs(signs >> 7 * g & 127), 8,
                             db, values);
        }
    }
}

void puna_iq2_xs_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_iq2_xs *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++) {
        const float d = puna_load_f16(b->d);
        for (int g = 0; g < 32; g++, values += 8) {
            const int scale = b->scales[g / 4] >> (g / 2 % 2 * 4) & 15;
            const float db = d * (0.5f + (float)scale) * 0.25f;
            const uint16_t code = puna_load_u16(b->qs + g * 2);
            write_signed(puna_iq2_xs_grid[code & 511], puna_iq_signs(code >> 9), 8, db, values);
        }
    }
}

void puna_iq2_s_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_iq2_s *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++) {
        const float d = puna_load_f16(b->d);
        for (int g = 0; g < 32; g++, values += 8) {
            const int scale = b->scales[g / 4] >> (g / 2 % 2 * 4) & 15;
            const float db = d * (0.5f + (float)scale) * 0.25f;
            const int high = b->qh[g / 4] >> (g % 4 * 2) & 3;
            write_signed(puna_iq2_s_grid[b->qs[g] | high << 8], b->signs[g], 8, db, values);
        }
    }
}

void puna_iq3_xxs_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_iq3_xxs *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++) {
        const float d = puna_load_f16(b->d);
        for (int s = 0; s < 8; s++) {
            const uint32_t packed = puna_load_u32(b->signs + s * 4);
            const float db = d * (0.5f + (float)(packed >> 28)) * 0.5f;
            for (int g = 0; g < 4; g++, values += 8) {
                const uint8_t *indices = b->qs + s * 8 + g * 2;
                const uint32_t signs = puna_iq_signs(packed >> 7 * g & 127);
                write_signed(puna_iq3_xxs_grid[indices[0]], signs, 4, db, values);
                write_signed(puna_iq3_xxs_grid[indices[1]], signs >> 4, 4, db, values + 4);
            }
        }
    }
}

void puna_iq3_s_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_iq3_s *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++) {
        const float d = puna_load_f16(b->d);
        for (int g = 0; g < 64; g++, values += 4) {
            const int scale = b->scales[g / 16] >> (g / 8 % 2 * 4) & 15;
            const float db = d * (float)(1 + 2 * scale);
            const int high = b->qh[g / 8] >> (g % 8) & 1;
            const uint32_t signs = (uint32_t)b->signs[g / 2] >> (g % 2 * 4);
            write_signed(puna_iq3_s_grid[b->qs[g] | high << 8], signs, 4, db, values);
        }
    }
}

/* Eight values of -1, 0, 1, all shifted by an eighth one way or the other. */
static void write_shifted(uint64_t grid, bool down, float dl, float *restrict values)
{
    const float shift = down ? -0.125f : 0.125f;
    for (int j = 0; j < 8; j++)
        values[j] = dl * ((float)(int8_t)(grid >> 8 * j & 255) + shift);
}

void puna_iq1_s_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_iq1_s *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++) {
        const float d = puna_load_f16(b->d);
        for (int g = 0; g < 32; g++, values += 8) {
            const uint16_t qh = puna_load_u16(b->qh + g / 4 * 2);
            const float dl = d * (float)(2 * (qh >> 12 & 7) + 1);
            const int high = qh >> (g % 4 * 3) & 7;
            write_shifted(puna_iq1_grid[b->qs[g] | high << 8], qh >> 15, dl, values);
        }
    }
}

void puna_iq1_m_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_iq1_m *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++) {
        /* The f16 scale is cut into the top nibbles of the four words of scales. */
        const float d = puna_f16_to_f32((uint16_t)(
            b->scales[1] >> 4 | (b->scales[3] & 0xf0) | (b->scales[5] & 0xf0) << 4 |
            (b->scales[7] & 0xf0) << 8));
        for (int g = 0; g < 32; g++, values += 8) {
            const int scale = puna_load_u16(b->scales + g / 8 * 2) >> (g / 2 % 4 * 3) & 7;
            const float dl = d * (float)(2 * scale + 1);
            const int qh = b->qh[g / 2] >> (g % 2 * 4);
            write_shifted(puna_iq1_grid[b->qs[g] | (qh & 7) << 8], qh & 8, dl, values);
        }
    }
}

void puna_iq4_nl_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_iq4_nl *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b++, values += 32) {
        const float d = puna_load_f16(b->d);
        for (int j = 0; j < 16; j++) {
            values[j] = d * (float)puna_iq4_values[b->qs[j] & 15];
            values[j + 16] = d * (float)puna_iq4_values[b->qs[j] >> 4];
        }
    }
}

void puna_iq4_xs_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_iq4_xs *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++) {
        const float d = puna_load_f16(b->d);
        const uint16_t high = puna_load_u16(b->scales_h);
        for (int s = 0; s < 8; s++, values += 32) {
            const int low = b->scales_l[s / 2] >> (s % 2 * 4) & 15;
            const float dl = d * (float)((low | (high >> 2 * s & 3) << 4) - 32);
            const uint8_t *qs = b->qs + s * 16;
            for (int j = 0; j < 16; j++) {
                values[j] = dl * (float)puna_iq4_values[qs[j] & 15];
                values[j + 16] = dl * (float)puna_iq4_values[qs[j] >> 4];
            }
        }
    }
}
