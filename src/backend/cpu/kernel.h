/* kernel.h - what a row of kernels.def is: the call every kernel gets, the rows of activations it
 * reads, and the expansion into prototypes. Private to backend/cpu.
 *
 * Four operations on a weight:
 *   packed  interleaved panels (pack.h) against strips of activations: the fast way at every
 *           number of rows, for the formats that can be packed;
 *   batch   the same panels made bfloat16 against tiles of bfloat16 activations: faster still for many rows,
 *           where a processor multiplies matrices;
 *   dot     one weight row against one row of activations at a time, in the file's layout;
 *   tile    panels of weight rows in the file's layout unpacked once and multiplied with all rows
 *           of activations: bound by arithmetic.
 * All compute the same sums of products; a row of any kind is correct for every n_rows. What
 * packed gives for a row of activations does not depend on the other rows, bit for bit. */
#ifndef PUNA_BACKEND_CPU_KERNEL_H
#define PUNA_BACKEND_CPU_KERNEL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/linear.h"

#define PUNA_ACT_BLOCK 32 /* activations that share a scale */

/* y[r * y_stride + o] = W[o] . act[r]; W[o] lies at weight + o * row_bytes, at any alignment. For
 * packed and batch, weight is panel 0, begin a multiple of 16, and act strips or tiles. */
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
    uint8_t *
        scratch; /* PUNA_TILE_SCRATCH bytes aligned to 64 for tile and packed, PUNA_BATCH_SCRATCH for batch */
} puna_linear_call;

typedef void puna_linear_fn(const puna_linear_call *call);
typedef void puna_encode_fn(const float *x, int32_t n_in, void *row);
/* The blocks; the rest is made by puna_act_encode_row. */
typedef void puna_encode_strip_fn(const float *x, int32_t n_in, void *strip, int slot, int n_slots);

/* What one thread's panels need, whatever the shape. */
#define PUNA_TILE_SCRATCH ((size_t)96 * 1024)

/* The same for batch. */
#define PUNA_BATCH_SCRATCH ((size_t)576 * 1024)

/* Rows of a panel: divisions of the output at multiples of this waste nothing. */
#define PUNA_TILE_ROWS 16

typedef enum puna_kernel_op {
    PUNA_KERNEL_dot,
    PUNA_KERNEL_tile,
    PUNA_KERNEL_packed,
    PUNA_KERNEL_batch,
    PUNA_KERNEL_OPS
} puna_kernel_op;

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
    puna_encode_strip_fn *strip;
} puna_encoder;

/* Every row that was compiled in, in kernels.def's order. */
const puna_kernel *puna_kernel_list(size_t *n);
const puna_encoder *puna_encoder_list(size_t *n);

/* The last row for op and format with (needs & allowed) == needs, or NULL. */
const puna_kernel *puna_kernel_select(puna_kernel_op op, uint32_t format, uint32_t allowed);

/* A format read as float activations, not as PUNA_ACT_Q8. */
bool puna_kernel_is_float(uint32_t format);

/* What a kernel reads. */
puna_act puna_kernel_act(const puna_kernel *kernel);

/* "dot", for people. */
const char *puna_kernel_op_name(puna_kernel_op op);

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

/* A strip: up to 4 rows of activations side by side, for kernels that multiply each weight with
 * all of them. With T rows, a block of 32 is 56 * T bytes:
 *   codes [8 lanes][T][4]    int8
 *   d     [T]                float   the scale
 *   s     [T]                float   d * sum of the codes
 *   sums  [T][2]             int32   minus the sums of codes 0-15 and 16-31
 *   pairs [T][2][2]          int16   per half, -16 times the sums of the codes 4i, 4i + 1 and of 4i + 2, 4i + 3:
 *                                    what a kernel that adds codes in two 16-bit halves of a lane
 *                                    starts from to take an offset of 16 from every weight
 * After the n_in / 32 blocks comes one more, the rest: what the codes of each row's widest block, that with the
 * largest d, left over, encoded in its turn, and int32 [T] behind it: which blocks these are. Few values of a row are
 * far larger than the others, so that one block often has half of what eight bits lose of it. Where it has less than a
 * quarter, there is no rest: zeros, and -1.
 * Row r of n is in strip r / 4, which begins at r / 4 * 4 * row bytes and has min(4, n - r / 4 * 4) rows. */
enum { PUNA_STRIP_ROWS = 4, PUNA_STRIP_BLOCK = 56 };

static inline size_t puna_strip_d(int n_slots)
{
    return 32 * (size_t)n_slots;
}

static inline size_t puna_strip_s(int n_slots)
{
    return 36 * (size_t)n_slots;
}

static inline size_t puna_strip_sums(int n_slots)
{
    return 40 * (size_t)n_slots;
}

static inline size_t puna_strip_pairs(int n_slots)
{
    return 48 * (size_t)n_slots;
}

static inline size_t puna_strip_rest(int32_t n_in, int n_slots)
{
    return (size_t)(n_in / PUNA_ACT_BLOCK) * PUNA_STRIP_BLOCK * (size_t)n_slots;
}

/* The rest of the rows of a strip whose widest block is the same. */
typedef struct puna_rest {
    int32_t block;
    const uint8_t *act; /* a block of the strip, in which the other rows are zeros */
    uint8_t copy[PUNA_STRIP_ROWS * PUNA_STRIP_BLOCK];
} puna_rest;

/* All of a strip's, at most one for each row. They stay where they are made: act may be the copy. */
typedef struct puna_rests {
    int n;
    puna_rest rest[PUNA_STRIP_ROWS];
} puna_rests;

/* Those of a strip; from: where its rest begins. */
void puna_strip_rests(const uint8_t *from, int n_slots, puna_rests *rests);

/* Those of the call's rows [first, last), a strip after the other; first: a multiple of 4. */
void puna_call_rests(const puna_linear_call *call, int32_t first, int32_t last, puna_rests *rests);

/* Writes one encoded block into a strip's; what every encoder ends with. */
static inline void puna_strip_put(uint8_t *block, int slot, int n_slots, const int8_t q[PUNA_ACT_BLOCK], float d,
                                  const int32_t pairs[4])
{
    const size_t at = (size_t)slot, n = (size_t)n_slots;
    const int32_t sums[2] = { -(pairs[0] + pairs[1]), -(pairs[2] + pairs[3]) };
    const float s = d * (float)-(sums[0] + sums[1]);
    int16_t less[4];
    for (size_t g = 0; g < 8; g++)
        memcpy(block + (g * n + at) * 4, q + 4 * g, 4);
    for (int i = 0; i < 4; i++)
        less[i] = (int16_t)(-16 * pairs[i]);
    memcpy(block + puna_strip_d(n_slots) + at * 4, &d, 4);
    memcpy(block + puna_strip_s(n_slots) + at * 4, &s, 4);
    memcpy(block + puna_strip_sums(n_slots) + at * 8, sums, 8);
    memcpy(block + puna_strip_pairs(n_slots) + at * 8, less, 8);
}

/* A tile: up to 16 rows of activations in bfloat16, block after block of 32 inputs, in each [row][32]. Row r of n is in tile
 * r / 16, which begins at r / 16 * 16 * row bytes and has min(16, n - r / 16 * 16) rows. Only kernels that
 * need PUNA_CPU_AMX read it, so only such a processor encodes it: x[n_in] as row `slot` of a tile of n_slots. */
enum { PUNA_TILE_SLOTS = 16 };
void puna_encode_tile_amx(const float *x, int32_t n_in, void *tile, int slot, int n_slots);

static inline const uint8_t *puna_call_row(const puna_linear_call *call, int32_t o)
{
    return call->weight + (size_t)o * call->row_bytes;
}

static inline const uint8_t *puna_call_act(const puna_linear_call *call, int32_t r)
{
    return call->act + (size_t)r * call->act_bytes;
}

#define K(op, format, isa, needs, max_err) puna_linear_fn puna_##op##_##format##_##isa;
#define E(isa, needs)                      \
    puna_encode_fn puna_encode_q8_##isa;   \
    puna_encode_strip_fn puna_encode_strip_##isa;
#include "backend/cpu/kernels.def"
#undef K
#undef E

#endif
