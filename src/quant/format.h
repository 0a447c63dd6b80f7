/* format.h - tensor encodings: one row of formats.def each, and what every one can do.
 * A row of a tensor is a whole number of blocks; a block holds block_elems values in
 * block_bytes bytes. Functions here are the exact scalar reference: fast kernels live in
 * backend/ and are checked against these. */
#ifndef PUNA_QUANT_FORMAT_H
#define PUNA_QUANT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* PUNA_FORMAT_<ID>, numbered as the GGUF file format numbers its tensor types. */
typedef enum puna_format {
#define F(ID, name, number, elems, block, dequantize, quantize) PUNA_FORMAT_##ID = number,
#include "quant/formats.def"
#undef F
    PUNA_FORMAT_COUNT_MAX = 256 /* every number is below this */
} puna_format;

/* n values (a multiple of block_elems) from the blocks at `blocks` (any alignment). */
typedef void puna_dequantize_fn(const void *blocks, float *values, size_t n);

/* n values (a multiple of block_elems) into blocks. Values must be finite. */
typedef void puna_quantize_fn(const float *values, void *blocks, size_t n);

typedef struct puna_format_info {
    puna_format id;
    const char *name;        /* lower case, as users write it: "q4_k" */
    uint32_t block_elems;
    uint32_t block_bytes;
    puna_dequantize_fn *dequantize;
    puna_quantize_fn *quantize; /* NULL: cannot be written */
} puna_format_info;

/* The format of a GGUF type number, or NULL when the number is not known. */
const puna_format_info *puna_format_get(uint32_t number);

/* The format of a name, any case, or NULL. */
const puna_format_info *puna_format_find(const char *name);

/* All formats in formats.def's order; *n gets how many. */
const puna_format_info *puna_format_list(size_t *n);

/* Bytes of n_rows rows of n_elems values. False on overflow, or when n_elems is not a whole
 * number of blocks. */
bool puna_format_size(const puna_format_info *format, uint64_t n_elems, uint64_t n_rows,
                      uint64_t *size_bytes);

#endif
