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

/* Scale s of eight, -32..31. */
static inline int puna_iq4_xs_scale(const puna_block_iq4_xs *w, int s)
{
    const int low = w->scales_l[s / 2] >> (s % 2 * 4) & 15, high = puna_load_u16(w->scales_h) >> 2 * s & 3;
    return (low | high << 4) - 32;
}

#endif
