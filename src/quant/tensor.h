/* tensor.h - an immutable weight: name, encoding, shape, bytes. Owns nothing: the bytes belong
 * to the file that was opened. ne[0] is the contiguous (input) dimension, as in GGUF. */
#ifndef PUNA_QUANT_TENSOR_H
#define PUNA_QUANT_TENSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "quant/format.h"

typedef struct puna_tensor {
    const char *name; /* terminated */
    const puna_format_info *format;
    uint32_t n_dims;
    uint64_t ne[4]; /* unused ones are 1 */
    const void *data;
    uint64_t size_bytes;
    bool mapped; /* the bytes are pages of a file that puna_file_release may give back */
} puna_tensor;

static inline uint64_t puna_tensor_rows(const puna_tensor *t)
{
    return t->ne[1] * t->ne[2] * t->ne[3];
}

static inline uint64_t puna_tensor_row_bytes(const puna_tensor *t)
{
    return t->ne[0] / t->format->block_elems * t->format->block_bytes;
}

/* Row i of the tensor seen as a matrix of rows of ne[0] values. */
static inline const void *puna_tensor_row(const puna_tensor *t, uint64_t i)
{
    return (const unsigned char *)t->data + i * puna_tensor_row_bytes(t);
}

#endif
