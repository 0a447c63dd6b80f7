/* blocks_avx2.h - from blocks of several 32s to panels: what the encodings share whose dot kernels
 * read whole blocks. Only linear_*_avx2.c includes it. */
#ifndef PUNA_BACKEND_CPU_X86_BLOCKS_AVX2_H
#define PUNA_BACKEND_CPU_X86_BLOCKS_AVX2_H

#include "backend/cpu/x86/tile_avx2.h"

/* A block's codes as the microkernel wants them, and two scales for each 32: both for all 32, or
 * one for each 16 for the microkernels of halves. */
typedef void read_block_fn(const uint8_t *block, __m256i codes[8], float scales[8][2]);

/* Blocks of `per` 32s. first and n are multiples of it. */
INLINE void unpack_blocks(const panel_source *source, int32_t first, int32_t n, uint8_t *panel, size_t bytes,
                          int per, read_block_fn *read)
{
    for (int32_t b = 0; b < n; b += per, panel += (size_t)per * PANEL_STRIDE) {
        const size_t at = (size_t)((first + b) / per) * bytes;
        for (int half = 0; half < 2; half++) {
            __m256i codes[8][8];
            float scales[8][8][2];
            for (int i = 0; i < 8; i++)
                read(source->row[8 * half + i] + at, codes[i], scales[i]);
            for (int s = 0; s < per; s++) {
                uint8_t *block = panel + (size_t)s * PANEL_STRIDE;
                panel_scales *out = panel_scales_at(block);
                __m256i v[8];
                UNROLL
                for (int i = 0; i < 8; i++) {
                    v[i] = codes[i][s];
                    out->d[8 * half + i] = scales[i][s][0];
                    out->m[8 * half + i] = scales[i][s][1];
                }
                transpose_8x8(v);
                store_codes(block, half, 0, v, 8);
            }
        }
    }
}

/* The kernels of a format from a dot product of n blocks with a row of activations and the reading
 * of one block of `per` 32s. */
#define BLOCK_KERNELS(format, name, per, dot, read, micro)                                                   \
    INLINE float dot_row_##name(const uint8_t *w, const void *act, int32_t n_in)                             \
    {                                                                                                        \
        return dot(w, puna_act_at(act, n_in), n_in / (per * PUNA_ACT_BLOCK));                                \
    }                                                                                                        \
    void puna_dot_##format##_avx2(const puna_linear_call *call)                                              \
    {                                                                                                        \
        dot_all(call, dot_row_##name);                                                                       \
    }                                                                                                        \
    BLOCK_TILE(format, name, per, read, micro)

/* The tile kernel alone. */
#define BLOCK_TILE(format, name, per, read, micro)                                                           \
    static void unpack_##name(const panel_source *source, int32_t first, int32_t n, uint8_t *panel)          \
    {                                                                                                        \
        unpack_blocks(source, first, n, panel, sizeof(puna_block_##name), per, read);                        \
    }                                                                                                        \
    void puna_tile_##format##_avx2(const puna_linear_call *call)                                             \
    {                                                                                                        \
        puna_tile_all_avx2(call, unpack_##name, micro);                                                      \
    }

#endif
