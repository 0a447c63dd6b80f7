/* packed_k.h - packed superblocks of 256: Q4_K, Q5_K, Q6_K, IQ4_XS: the loops over a chunk's
 * sub-blocks. Only packed_*_neon.c and packed_*_i8mm.c include it. */
#ifndef PUNA_BACKEND_CPU_ARM_PACKED_K_H
#define PUNA_BACKEND_CPU_ARM_PACKED_K_H

#include "backend/cpu/arm/packed_micro.h"

/* Codes of neighbouring sub-blocks lie in the same bytes. They are to be loaded again: kept from one
 * to the next, they would be kept in memory. */
#define LOAD_AGAIN(place) __asm__ volatile("" : "+r"((place).low), "+r"((place).top))

/* K(format, loop, kind of codes, layout) */
#define K_FORMATS(K)                 \
    K(Q4_K, micro_k, NIBBLE_4, q4_k) \
    K(Q5_K, micro_k, NIBBLE_5, q5_k) \
    K(Q6_K, micro_6, NIBBLE_6, q6_k) \
    K(IQ4_XS, micro_table, SPLIT_IQ4, iq4_xs)

INLINE void micro_k(product how, code_kind kind, int T, const packed_chunk *chunk, strips act, float *sums)
{
    const size_t bytes = kind == NIBBLE_5 ? sizeof(puna_panel_q5_k) : sizeof(puna_panel_q4_k);
    for (int row = 0; row < PUNA_PANEL_ROWS; row += 4 * groups_of(T)) {
        strips a = act;
        float_sums acc;
        load_acc(how, T, sums + row, acc);
        for (int32_t b = 0; b < chunk->n; b += 2) {
            const uint8_t *unit = chunk->units + (size_t)(b / 8) * bytes;
            code_place place = { .low = unit + LANE_BYTES * 8 * (size_t)(b % 8 / 2) + 4 * row,
                                 .top = unit + offsetof(puna_panel_q5_k, qh) + 4 * row };
            UNROLL
            for (int odd = 0; odd < 2; odd++, a.act += PUNA_STRIP_BLOCK * T) {
                const packed_scales *scales = chunk->scales + b + odd;
                int_sums sum;
                place.high = odd;
                place.shift = 4 - b % 8 - odd;
                LOAD_AGAIN(place);
                start_block(how, T, a, 0, sum);
                add_products(how, kind, T, &place, a, 0, 8, sum);
                add_scaled(how, T, a, scales->d + row, scales->m + row, sum, acc);
            }
        }
        store_acc(how, T, sums + row, acc);
    }
}

/* A quarter of one half of a superblock: 16 values with the scales d, 16 with m. */
INLINE void block_6(product how, code_kind kind, int T, const code_place *place, strips a,
                    const float *scales[2], float_sums acc)
{
    UNROLL
    for (int part = 0; part < 2; part++) {
        int_sums sum;
        UNROLL
        for (int i = 0; i < strips_of(how); i++) {
            const uint8_t *sums = a.act + (i ? a.next : 0) + puna_strip_sums(T);
            const int32x4_t first = load_ints(sums), last = T > 2 ? load_ints(sums + 16) : first;
            const int32x4_t of_part = part ? vuzp2q_s32(first, last) : vuzp1q_s32(first, last);
            start_sums(how, T, vshlq_n_s32(of_part, 5), sum + i * T);
        }
        add_products(how, kind, T, place, a, 4 * part, 4, sum);
        add_scaled(how, T, a, scales[part], NULL, sum, acc);
    }
}

INLINE void micro_6(product how, code_kind kind, int T, const packed_chunk *chunk, strips act, float *sums)
{
    for (int row = 0; row < PUNA_PANEL_ROWS; row += 4 * groups_of(T)) {
        strips a = act;
        float_sums acc;
        load_acc(how, T, sums + row, acc);
        for (int32_t b = 0; b < chunk->n; b += 4) {
            const puna_panel_q6_k *unit = (const puna_panel_q6_k *)chunk->units + b / 8;
            const int upper = b % 8 / 4;
            UNROLL
            for (int q = 0; q < 4; q++, a.act += PUNA_STRIP_BLOCK * T) {
                code_place place = { .low = unit->ql[2 * upper + q % 2][0][row],
                                     .top = unit->qh[upper][0][row],
                                     .high = q >= 2,
                                     .shift = 4 - 2 * q };
                LOAD_AGAIN(place);
                const float *scales[2] = { chunk->scales[b + q].d + row, chunk->scales[b + q].m + row };
                block_6(how, kind, T, &place, a, scales, acc);
            }
        }
        store_acc(how, T, sums + row, acc);
    }
}

INLINE void micro_table(product how, code_kind kind, int T, const packed_chunk *chunk, strips act,
                        float *sums)
{
    for (int row = 0; row < PUNA_PANEL_ROWS; row += 4 * groups_of(T)) {
        strips a = act;
        float_sums acc;
        load_acc(how, T, sums + row, acc);
        for (int32_t b = 0; b < chunk->n; b++, a.act += PUNA_STRIP_BLOCK * T) {
            const puna_panel_iq4_xs *unit = (const puna_panel_iq4_xs *)chunk->units + b / 8;
            const code_place place = { .low = unit->qs[b % 8][0][row] };
            int_sums sum;
            start_block(how, T, a, 0, sum);
            add_products(how, kind, T, &place, a, 0, 8, sum);
            add_scaled(how, T, a, chunk->scales[b].d + row, NULL, sum, acc);
        }
        store_acc(how, T, sums + row, acc);
    }
}

#endif
