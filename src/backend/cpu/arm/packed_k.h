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

/* Sub-block b of Q4_K or Q5_K; odd: it is. */
INLINE void block_k(product how, code_kind kind, bool odd, int T, const packed_chunk *chunk, int32_t b,
                    int row, strips a, float_sums acc)
{
    const size_t bytes = kind == NIBBLE_5 ? sizeof(puna_panel_q5_k) : sizeof(puna_panel_q4_k);
    const uint8_t *unit = chunk->units + (size_t)(b / 8) * bytes;
    const packed_scales *scales = chunk->scales + b;
    code_place place = { .low = unit + LANE_BYTES * 8 * (size_t)(b % 8 / 2) + 4 * row,
                         .top = unit + offsetof(puna_panel_q5_k, qh) + 4 * row,
                         .high = odd,
                         .shift = 4 - b % 8 };
    int_sums sum;
    LOAD_AGAIN(place);
    start_block(how, T, a, 0, sum);
    add_products(how, kind, T, &place, a, 0, 8, sum);
    add_scaled(how, T, a, scales->d + row, scales->m + row, sum, acc);
}

INLINE void micro_k(product how, code_kind kind, int T, const packed_chunk *chunk, strips act, float *sums)
{
    for (int row = 0; row < PUNA_PANEL_ROWS; row += 4 * groups_of(T)) {
        strips a = act;
        float_sums acc;
        load_acc(how, T, sums + row, acc);
        for (int32_t b = chunk->first; b < chunk->first + chunk->n; b++, a.act += PUNA_STRIP_BLOCK * T) {
            if (b % 2)
                block_k(how, kind, true, T, chunk, b, row, a, acc);
            else
                block_k(how, kind, false, T, chunk, b, row, a, acc);
        }
        store_acc(how, T, sums + row, acc);
    }
}

/* Sub-block b of Q6_K, quarter q of a half: 16 values with the scales d, 16 with m. */
INLINE void block_6(product how, code_kind kind, int q, int T, const packed_chunk *chunk, int32_t b, int row,
                    strips a, float_sums acc)
{
    const puna_panel_q6_k *unit = (const puna_panel_q6_k *)chunk->units + b / 8;
    const int upper = b % 8 / 4;
    const float *scales[2] = { chunk->scales[b].d + row, chunk->scales[b].m + row };
    code_place place = { .low = unit->ql[2 * upper + q % 2][0][row],
                         .top = unit->qh[upper][0][row],
                         .high = q >= 2,
                         .shift = 4 - 2 * q };
    LOAD_AGAIN(place);
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
        add_products(how, kind, T, &place, a, 4 * part, 4, sum);
        add_scaled(how, T, a, scales[part], NULL, sum, acc);
    }
}

INLINE void micro_6(product how, code_kind kind, int T, const packed_chunk *chunk, strips act, float *sums)
{
    for (int row = 0; row < PUNA_PANEL_ROWS; row += 4 * groups_of(T)) {
        strips a = act;
        float_sums acc;
        load_acc(how, T, sums + row, acc);
        for (int32_t b = chunk->first; b < chunk->first + chunk->n; b++, a.act += PUNA_STRIP_BLOCK * T) {
            switch (b % 4) {
            case 0:
                block_6(how, kind, 0, T, chunk, b, row, a, acc);
                break;
            case 1:
                block_6(how, kind, 1, T, chunk, b, row, a, acc);
                break;
            case 2:
                block_6(how, kind, 2, T, chunk, b, row, a, acc);
                break;
            default:
                block_6(how, kind, 3, T, chunk, b, row, a, acc);
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
        for (int32_t b = chunk->first; b < chunk->first + chunk->n; b++, a.act += PUNA_STRIP_BLOCK * T) {
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
