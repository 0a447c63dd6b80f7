/* packed_run.h - the loops around the kernels of packed weights, whatever the instruction set.
 * Owns how panels, chunks and strips are passed; refuses to know formats and vectors.
 *
 * A chunk is up to 24 blocks of 32 of a panel, whose codes and scales stay in the first-level
 * cache while all strips of activations pass. A format is some functions: scales_fn turns the
 * chunk's scales into floats once, a micro_fn multiplies for 1 to 4 rows of activations, or for a
 * whole strip by two panels. Where reading codes is dear, unpack_fn makes bytes of them once for many
 * rows, which another micro_fn multiplies with whole strips. One row may pass a panel in one go, its scales read
 * where they stand (row). The order of additions for a row must be
 * that of its blocks and then its rest (kernel.h), whatever else is computed beside it. */
#ifndef PUNA_BACKEND_CPU_PACKED_RUN_H
#define PUNA_BACKEND_CPU_PACKED_RUN_H

#include "backend/cpu/kernel.h"
#include "backend/cpu/pack.h"

enum {
    PACKED_CHUNK = 24, /* blocks, at most */
    PACKED_CHUNK_SHORT = 16,
    PACKED_ROWS = 64,  /* rows of activations that stay in the second-level cache */
    PACKED_MANY = 8,   /* from this many rows on codes are unpacked once */
    PACKED_BLOCK = 512 /* bytes of a block's codes when they are: [lane][row][4] */
};

/* Of a block, for its 16 rows. */
typedef struct packed_scales {
    float d[PUNA_PANEL_ROWS], m[PUNA_PANEL_ROWS]; /* value = d * (code - offset) + m */
} packed_scales;

/* A chunk of a panel. */
typedef struct packed_chunk {
    const uint8_t *units; /* from the chunk's first on */
    const packed_scales *scales; /* PACKED_CHUNK for a panel; aligned to 64 */
    const uint8_t *codes;        /* unpacked, PACKED_CHUNK blocks for a panel, or NULL */
    int32_t first, n;            /* blocks: counted from `units` on, of these the first and how many */
    size_t panel_bytes;          /* from a unit to the same of the next panel */
    int32_t widest;              /* for `row`: the block that `rest` belongs to; -1: there is no rest */
    const uint8_t *rest;         /* of one row of activations */
} packed_chunk;

typedef void scales_fn(const uint8_t *units, int32_t n, packed_scales *scales);

/* act: a strip of T rows from block `first` on. acc: [T][16] sums, continued, those of a second panel
 * PACKED_ROWS rows behind; aligned to 64. */
typedef void micro_fn(const packed_chunk *chunk, const uint8_t *act, float *acc);

typedef void unpack_fn(const uint8_t *units, int32_t n, uint8_t *codes);

typedef struct packed_kernel {
    scales_fn *scales;
    micro_fn *micro[PUNA_STRIP_ROWS];
    unpack_fn *unpack;    /* NULL: reading the codes is cheap enough */
    micro_fn *whole;      /* 4 rows, of unpacked codes */
    micro_fn *two_panels; /* 4 rows, of unpacked codes where there is `unpack`; or NULL */
    micro_fn *row;        /* one row by a whole panel, whose scales it makes itself, and its rest; or NULL */
    int32_t unit_blocks; /* 1 or 8 */
    size_t unit_bytes;
} packed_kernel;

void puna_packed_run(const puna_linear_call *call, const packed_kernel *kernel);

/* The row of kernels.def from scales_<format> and micro_<format>_1 to _4. */
#define PACKED_KERNEL(format, isa, blocks, layout, unpack, whole, two_panels, row)              \
    void puna_packed_##format##_##isa(const puna_linear_call *call)                             \
    {                                                                                           \
        static const packed_kernel kernel = {                                                   \
            scales_##format,                                                                    \
            { micro_##format##_1, micro_##format##_2, micro_##format##_3, micro_##format##_4 }, \
            unpack,                                                                             \
            whole,                                                                              \
            two_panels,                                                                         \
            row,                                                                                \
            blocks,                                                                             \
            sizeof(layout)                                                                      \
        };                                                                                      \
        puna_packed_run(call, &kernel);                                                         \
    }

#endif
