/* linear.h - y = W x on the CPU, for every encoding that has kernel rows in kernels.def.
 * Owns the encodings of activations and the choice of kernels; refuses threads and memory: callers
 * divide output rows among themselves, and say where a packed copy of a weight lies.
 *
 * A weight row is dotted either with float activations (PUNA_ACT_F32) or with activations
 * quantised to int8 in blocks of 32, which the caller makes once per input row and shares between
 * all weights that read it: row by row (PUNA_ACT_Q8), or, for packed weights, four rows side by side
 * (PUNA_ACT_STRIP). Many rows at once may be read as bfloat16, sixteen side by side (PUNA_ACT_TILE). */
#ifndef PUNA_BACKEND_CPU_LINEAR_H
#define PUNA_BACKEND_CPU_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quant/tensor.h"

typedef enum puna_act { PUNA_ACT_F32, PUNA_ACT_Q8, PUNA_ACT_STRIP, PUNA_ACT_TILE, PUNA_ACT_KINDS } puna_act;

/* A weight with its kernels chosen. */
typedef struct puna_linear puna_linear;
struct puna_linear {
    const puna_tensor *weight;  /* [n_in, n_out] */
    const void *packed;         /* its panels (pack.h), or NULL: read as it lies in the file */
    puna_act act;               /* what it wants to read, or for many rows may: puna_linear_act */
    int32_t n_in, n_out;
    int32_t chunk;              /* output rows are best divided in multiples of this */
    bool reference;             /* no kernel row: dequantised row by row */
    bool uniform;               /* a row's bits are the same for every number of rows in a call */
    const void *kernel[4];      /* chosen rows of kernels.def; private to linear.c */
};

/* Chooses kernels: the best rows with (needs & allowed) == needs. Never fails: the last resort
 * dequantises through quant/. */
puna_linear puna_linear_choose(const puna_tensor *weight, uint32_t allowed);

/* Whether a packed copy of the weight would be used. */
bool puna_linear_packs(const puna_tensor *weight, uint32_t allowed);

/* From now on the product reads packed, the puna_packed_bytes(weight) of all its panels. What `act` is
 * may change. Only where puna_linear_packs. */
void puna_linear_use(puna_linear *linear, const void *packed);

/* What a product of n_rows reads. uniform: so that what a row gives does not depend on their number. */
puna_act puna_linear_act(const puna_linear *linear, int32_t n_rows, bool uniform);

/* Bytes of one row of activations of width n_in in an encoding (a multiple of 64). */
size_t puna_act_bytes(puna_act act, int32_t n_in);

/* Encodes one row; x[n_in] float. Copies for PUNA_ACT_F32. */
void puna_act_encode(puna_act act, const float *x, int32_t n_in, void *row, uint32_t allowed);

/* Encodes row r of n_rows into the memory of all of them. Rows may be encoded in any order and by
 * different threads. */
void puna_act_encode_row(puna_act act, const float *x, int32_t n_in, void *rows, int32_t r, int32_t n_rows,
                         uint32_t allowed);

/* Bytes of private scratch that one thread needs for any call with this weight and up to n_rows rows. */
size_t puna_linear_scratch_bytes(const puna_linear *linear, int32_t n_rows);

/* y[r * y_stride + o] = sum_i W[o][i] x[r][i] for r in [0, n_rows), o in [begin, end).
 * rows: n_rows rows encoded as act, which is linear->act or what puna_linear_act says, puna_act_bytes apart; a part of a larger batch
 * begins at a multiple of 16. Thread-safe for disjoint ranges. */
void puna_linear_run(const puna_linear *linear, puna_act act, const void *rows, int32_t n_rows, float *y,
                     size_t y_stride, int32_t begin, int32_t end, void *scratch);

#endif
