/* plain.c - floats and integers stored one by one: read as float (rounded to nearest where float
 * has fewer bits), and floats written. Integers are not written: they carry no scale. */
#include "quant/reference.h"

/* The readers of floats go in runs of a fixed 16, which compilers turn into vectors as they are. */

void puna_f32_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const uint8_t *b = blocks;
    for (; n >= 16; n -= 16, b += 16 * 4, values += 16) {
        for (int j = 0; j < 16; j++)
            values[j] = puna_load_f32(b + 4 * j);
    }
    for (size_t i = 0; i < n; i++)
        values[i] = puna_load_f32(b + 4 * i);
}

void puna_f32_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_4 *restrict b = blocks;
    for (size_t i = 0; i < n; i++)
        puna_store_f32(b[i].v, values[i]);
}

void puna_f16_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const uint8_t *b = blocks;
    for (; n >= 16; n -= 16, b += 16 * 2, values += 16) {
        for (int j = 0; j < 16; j++)
            values[j] = puna_load_f16(b + 2 * j);
    }
    for (size_t i = 0; i < n; i++)
        values[i] = puna_load_f16(b + 2 * i);
}

void puna_f16_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_2 *restrict b = blocks;
    for (size_t i = 0; i < n; i++)
        puna_store_f16(b[i].v, values[i]);
}

void puna_bf16_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const uint8_t *b = blocks;
    for (; n >= 16; n -= 16, b += 16 * 2, values += 16) {
        for (int j = 0; j < 16; j++)
            values[j] = puna_bf16_to_f32(puna_load_u16(b + 2 * j));
    }
    for (size_t i = 0; i < n; i++)
        values[i] = puna_bf16_to_f32(puna_load_u16(b + 2 * i));
}

void puna_bf16_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_2 *restrict b = blocks;
    for (size_t i = 0; i < n; i++)
        puna_store_u16(b[i].v, puna_f32_to_bf16(values[i]));
}

void puna_f64_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_8 *restrict b = blocks;
    for (size_t i = 0; i < n; i++) {
        const uint64_t bits = puna_load_u64(b[i].v);
        double value;
        memcpy(&value, &bits, sizeof value);
        values[i] = (float)value;
    }
}

void puna_f64_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_8 *restrict b = blocks;
    for (size_t i = 0; i < n; i++) {
        const double value = (double)values[i];
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        puna_store_u64(b[i].v, bits);
    }
}

void puna_i8_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_1 *restrict b = blocks;
    for (size_t i = 0; i < n; i++)
        values[i] = (float)(int8_t)b[i].v[0];
}

void puna_i16_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_2 *restrict b = blocks;
    for (size_t i = 0; i < n; i++)
        values[i] = (float)(int16_t)puna_load_u16(b[i].v);
}

void puna_i32_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_4 *restrict b = blocks;
    for (size_t i = 0; i < n; i++)
        values[i] = (float)(int32_t)puna_load_u32(b[i].v);
}

void puna_i64_dequantize(const void *restrict blocks, float *restrict values, size_t n)
{
    const puna_block_8 *restrict b = blocks;
    for (size_t i = 0; i < n; i++)
        values[i] = (float)(int64_t)puna_load_u64(b[i].v);
}
