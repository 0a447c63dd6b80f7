/* table.h - small scales and codebooks that scalar and vector kernels read alike. */
#ifndef PUNA_BACKEND_CPU_TABLE_H
#define PUNA_BACKEND_CPU_TABLE_H

#include "backend/cpu/kernel.h"
#include "quant/blocks.h"
#include "quant/half.h"
#include "quant/iquant_tables.h"

/* E2M1 values times two. */
static const int8_t puna_e2m1_doubled[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

/* The scale of doubled E2M1 values: 2^(e - 128). The two smallest are subnormal floats. */
static inline float puna_mxfp4_scale(uint8_t e)
{
    return puna_f32_make(e < 2 ? 0x200000u << e : (uint32_t)(e - 1) << 23);
}

/* The scale of doubled E2M1 values in units of 2^-10: an E4M3 of bias 7 without its sign, whose NaN
 * is 0. Up to 245,760. */
static inline int32_t puna_nvfp4_scale(uint8_t x)
{
    const int e = x >> 3 & 15, m = x & 7;
    return x == 0x7f ? 0 : e == 0 ? m : (8 + m) << (e - 1);
}

/* The scale of a superblock, cut into the top nibbles of its four words of small scales. */
static inline float puna_iq1_m_d(const puna_block_iq1_m *w)
{
    return puna_f16_to_f32((uint16_t)(w->scales[1] >> 4 | (w->scales[3] & 0xf0) | (w->scales[5] & 0xf0) << 4 |
                                      (w->scales[7] & 0xf0) << 8));
}

/* Scale s of eight, -32..31. */
static inline int puna_iq4_xs_scale(const puna_block_iq4_xs *w, int s)
{
    const int low = w->scales_l[s / 2] >> (s % 2 * 4) & 15, high = puna_load_u16(w->scales_h) >> 2 * s & 3;
    return (low | high << 4) - 32;
}

#endif
