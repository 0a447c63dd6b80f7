/* kernel.h - what a row of kernels.def is: the call every kernel gets, the rows of activations it
 * reads, and the expansion into prototypes. Private to backend/cpu.
 *
 * Two operations on a weight of any format:
 *   dot   one weight row against one row of activations at a time, in the file's layout: the
 *         decoding of single tokens, bound by memory;
 *   tile  panels of weight rows unpacked once and multiplied with all rows of activations: bound
 *         by arithmetic.
 * Both compute the same sums of products; a row of either kind is correct for every n_rows. */
#ifndef PUNA_BACKEND_CPU_KERNEL_H
#define PUNA_BACKEND_CPU_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/linear.h"

#define PUNA_ACT_BLOCK 32 /* activations that share a scale */

/* y[r * y_stride + o] = W[o] . act[r]; W[o] lies at weight + o * row_bytes, at any alignment. */
typedef struct puna_linear_call {
    const uint8_t *weight;
    size_t row_bytes;
    int32_t n_in;
    const uint8_t *act; /* aligned to 64 */
    size_t act_bytes;
    int32_t n_rows;
    float *y;
    size_t y_stride;
    int32_t begin, end;
    uint8_t *scratch; /* PUNA_TILE_SCRATCH bytes aligned to 64, for tile */
} puna_linear_call;

typedef void puna_linear_fn(const puna_linear_call *call);
typedef void puna_encode_fn(const float *x, int32_t n_in, void *row);

/* What one thread's panels need, whatever the shape. */
#define PUNA_TILE_SCRATCH ((size_t)96 * 1024)

/* Rows of a panel: divisions of the output at multiples of this waste nothing. */
#define PUNA_TILE_ROWS 16

typedef enum puna_kernel_op { PUNA_KERNEL_dot, PUNA_KERNEL_tile, PUNA_KERNEL_OPS } puna_kernel_op;

typedef struct puna_kernel {
    puna_kernel_op op;
    uint32_t format; /* puna_format */
    const char *isa;
    uint32_t needs; /* PUNA_CPU_ bits */
    double max_err; /* of |y - exact| / sum |w x|, exact for the encoded activations */
    puna_linear_fn *run;
} puna_kernel;

typedef struct puna_encoder {
    const char *isa;
    uint32_t needs;
    puna_encode_fn *run;
} puna_encoder;

/* Every row that was compiled in, in kernels.def's order. */
const puna_kernel *puna_kernel_list(size_t *n);
const puna_encoder *puna_encoder_list(size_t *n);

/* The last row for op and format with (needs & allowed) == needs, or NULL. */
const puna_kernel *puna_kernel_select(puna_kernel_op op, uint32_t format, uint32_t allowed);

/* A format read as float activations, not as PUNA_ACT_Q8. */
bool puna_kernel_is_float(uint32_t format);

/* A row of PUNA_ACT_Q8: n_in codes, then per block of 32 the scale d, d * (sum of codes), and
 * the sums of its two halves. Arrays are padded with zeros to whole groups of 8 blocks. A block
 * with a NaN or an infinity has d = NaN and codes 0. */
typedef struct puna_act_view {
    const int8_t *q;
    const float *d;
    const float *s;
    const int16_t *sums;
} puna_act_view;

/* Bytes of one of the arrays after the codes. */
static inline size_t puna_act_array_bytes(int32_t n_in)
{
    return ((size_t)n_in / PUNA_ACT_BLOCK + 7) / 8 * 8 * sizeof(float);
}

static inline puna_act_view puna_act_at(const void *row, int32_t n_in)
{
    const uint8_t *p = row;
    const size_t array = puna_act_array_bytes(n_in);
    p += (size_t)n_in;
    return (puna_act_view){ .q = row,
                            .d = (const float *)(const void *)p,
                            .s = (const float *)(const void *)(p + array),
                            .sums = (const int16_t *)(const void *)(p + 2 * array) };
}

static inline const uint8_t *puna_call_row(const puna_linear_call *call, int32_t o)
{
    return call->weight + (size_t)o * call->row_bytes;
}

static inline const uint8_t *puna_call_act(const puna_linear_call *call, int32_t r)
{
    return call->act + (size_t)r * call->act_bytes;
}

#define K(op, format, isa, needs, max_err) puna_linear_fn puna_##op##_##format##_##isa;
#define E(isa, needs)                      puna_encode_fn puna_encode_q8_##isa;
#include "backend/cpu/kernels.def"
#undef K
#undef E

#endif
