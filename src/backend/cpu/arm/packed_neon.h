/* packed_neon.h - the loops over chunks, panels and strips that the kernels of packed weights share.
 *
 * A chunk is up to 16 blocks of 32 of a panel, whose codes and scales stay in the first-level
 * cache while all strips of activations pass. A format is a scales_fn, which turns the chunk's
 * scales into floats once, and a micro_fn for each number of rows of activations (packed_micro.h).
 * The rest of a row (kernel.h) is added behind its blocks. */
#ifndef PUNA_BACKEND_CPU_ARM_PACKED_NEON_H
#define PUNA_BACKEND_CPU_ARM_PACKED_NEON_H

#include <assert.h>

#include "backend/cpu/kernel.h"
#include "backend/cpu/pack.h"

enum {
    PACKED_CHUNK = 16, /* blocks */
    PACKED_ROWS = 64   /* rows of activations that stay in the second-level cache */
};

/* Of a block, for its 16 rows. */
typedef struct packed_scales {
    float d[PUNA_PANEL_ROWS], m[PUNA_PANEL_ROWS]; /* value = d * (code - offset) + m */
} packed_scales;

/* A chunk of a panel. */
typedef struct packed_chunk {
    const uint8_t *units; /* from the chunk's first on */
    const packed_scales *scales;
    int32_t first, n; /* blocks: counted from `units` on, of these the first and how many */
} packed_chunk;

typedef void scales_fn(const uint8_t *units, int32_t n, packed_scales *scales);

/* act: a strip of T rows from block `first` on, and another one `next` bytes further for two_strips. acc:
 * [T][16] sums, continued. */
typedef void micro_fn(const packed_chunk *chunk, const uint8_t *act, size_t next, float *acc);

typedef struct packed_kernel {
    scales_fn *scales;
    micro_fn *micro[PUNA_STRIP_ROWS];
    int32_t unit_blocks; /* 1 or 8 */
    size_t unit_bytes;
    micro_fn *two_strips; /* or NULL */
} packed_kernel;

void puna_packed_run_neon(const puna_linear_call *call, const packed_kernel *kernel);

/* The kernels with sdot, which those with smmla use for what does not come in pairs. */
extern const packed_kernel puna_packed_kernel_Q4_0, puna_packed_kernel_Q4_1, puna_packed_kernel_Q5_0,
    puna_packed_kernel_Q5_1, puna_packed_kernel_Q8_0, puna_packed_kernel_IQ4_NL, puna_packed_kernel_MXFP4,
    puna_packed_kernel_Q4_K, puna_packed_kernel_Q5_K, puna_packed_kernel_Q6_K, puna_packed_kernel_IQ4_XS;

/* The row of kernels.def and its kernel from scales_<format> and micro_<format>_1 to _4. */
#define PACKED_ROW(format, blocks, layout)                                                           \
    const packed_kernel puna_packed_kernel_##format = {                                              \
        .scales = scales_##format,                                                                   \
        .micro = { micro_##format##_1, micro_##format##_2, micro_##format##_3, micro_##format##_4 }, \
        .unit_blocks = blocks,                                                                       \
        .unit_bytes = sizeof(layout),                                                                \
    };                                                                                               \
    void puna_packed_##format##_neon(const puna_linear_call *call)                                   \
    {                                                                                                \
        puna_packed_run_neon(call, &puna_packed_kernel_##format);                                    \
    }

#endif
