/* packed_classic.h - packed weights with one scale for 32 values: the loop over a chunk's blocks.
 * Only packed_*_neon.c and packed_*_i8mm.c include it. */
#ifndef PUNA_BACKEND_CPU_ARM_PACKED_CLASSIC_H
#define PUNA_BACKEND_CPU_ARM_PACKED_CLASSIC_H

#include "backend/cpu/arm/packed_micro.h"

/* K(format, kind of codes, what is taken from every code, whether there are minima, layout) */
#define CLASSIC_FORMATS(K)               \
    K(Q4_0, SPLIT_4, 8, false, q4_0)     \
    K(Q4_1, SPLIT_4, 0, true, q4_1)      \
    K(Q5_0, SPLIT_5, 16, false, q5_0)    \
    K(Q5_1, SPLIT_5, 0, true, q5_1)      \
    K(Q8_0, WHOLE_8, 0, false, q8_0)     \
    K(IQ4_NL, SPLIT_IQ4, 0, false, q4_0) \
    K(MXFP4, SPLIT_E2M1, 0, false, mxfp4)

INLINE void micro_classic(product how, code_kind kind, int offset, bool minima, int T, size_t unit_bytes,
                          const packed_chunk *chunk, strips act, float *sums)
{
    for (int row = 0; row < PUNA_PANEL_ROWS; row += 4 * groups_of(T)) {
        const uint8_t *unit = chunk->units + 4 * row;
        strips a = act;
        float_sums acc;
        load_acc(how, T, sums + row, acc);
        for (int32_t b = 0; b < chunk->n; b++, unit += unit_bytes, a.act += PUNA_STRIP_BLOCK * T) {
            const code_place place = { .low = unit, .top = unit + 4 * LANE_BYTES };
            const packed_scales *scales = chunk->scales + b;
            int_sums sum;
            start_block(how, T, a, offset, sum);
            add_products(how, kind, T, &place, a, 0, 8, sum);
            add_scaled(how, T, a, scales->d + row, minima ? scales->m + row : NULL, sum, acc);
        }
        store_acc(how, T, sums + row, acc);
    }
}

#endif
