/* container.h - a model file seen as metadata and tensors, whatever its format on disk
 * (GGUF v2/v3 in one file or split, llama2.c v0/v1/v2). Owns the mapping and the directory;
 * refuses to interpret: what a key means is decided in model/ and token/.
 * Everything here was bounds-checked when the container was opened: every tensor's bytes lie
 * in the file, every string and array in the header. Immutable, so threads may share it. */
#ifndef PUNA_GGUF_CONTAINER_H
#define PUNA_GGUF_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "quant/tensor.h"

/* Numbered as GGUF numbers them. */
typedef enum puna_meta_type {
    PUNA_META_U8 = 0,
    PUNA_META_I8 = 1,
    PUNA_META_U16 = 2,
    PUNA_META_I16 = 3,
    PUNA_META_U32 = 4,
    PUNA_META_I32 = 5,
    PUNA_META_F32 = 6,
    PUNA_META_BOOL = 7,
    PUNA_META_STRING = 8,
    PUNA_META_ARRAY = 9,
    PUNA_META_U64 = 10,
    PUNA_META_I64 = 11,
    PUNA_META_F64 = 12
} puna_meta_type;

/* One key. For an array, `element` is its element type (not ARRAY: nested arrays are refused)
 * and `n` its length; for a scalar, element == type and n == 1. */
typedef struct puna_meta {
    const char *key; /* terminated */
    puna_meta_type type, element;
    uint64_t n;
    const unsigned char *data; /* the encoded value(s) */
    size_t size_bytes;
} puna_meta;

typedef struct puna_container puna_container;

/* A tensor's bytes are aligned to 4 bytes at least (in GGUF to 8) when a file was opened, or
 * memory that is so aligned itself.
 *
 * Opens the model file at path (for a split model: any of its parts; the others must lie
 * beside it). The format is found by content, not by name. */
puna_status puna_container_open(puna_container **out, const char *path, puna_error *err);

/* The same over memory that the caller keeps alive and unchanged until close. `name` is used
 * in messages. */
puna_status puna_container_open_memory(puna_container **out, const void *data, size_t size_bytes,
                                       const char *name, puna_error *err);

void puna_container_close(puna_container *container);

/* "gguf v3", "llama2.c v1", ... */
const char *puna_container_kind(const puna_container *container);
uint64_t puna_container_size_bytes(const puna_container *container); /* all parts together */

size_t puna_container_n_meta(const puna_container *container);
const puna_meta *puna_container_meta_at(const puna_container *container, size_t i);
const puna_meta *puna_container_meta(const puna_container *container, const char *key); /* or NULL */

size_t puna_container_n_tensors(const puna_container *container);
const puna_tensor *puna_container_tensor_at(const puna_container *container, size_t i);
const puna_tensor *puna_container_tensor(const puna_container *container, const char *name); /* or NULL */

/* Element i (0 for a scalar) of a value, converted without loss; false when meta is NULL, i is
 * past the end, the type cannot hold such a value, or it is out of range. Strings point into the
 * container and are NOT terminated. Bool accepts only type bool; u64 and i64 accept every
 * integer type and bool; f64 accepts floats and integers. */
bool puna_meta_u64(const puna_meta *meta, uint64_t i, uint64_t *value);
bool puna_meta_i64(const puna_meta *meta, uint64_t i, int64_t *value);
bool puna_meta_f64(const puna_meta *meta, uint64_t i, double *value);
bool puna_meta_bool(const puna_meta *meta, uint64_t i, bool *value);

/* A scalar string. */
bool puna_meta_text(const puna_meta *meta, const char **text, size_t *n);

/* Walks an array of strings in order: start with a zeroed *at. False at the end. */
typedef struct puna_meta_cursor {
    uint64_t i;
    size_t offset;
} puna_meta_cursor;
bool puna_meta_next_text(const puna_meta *meta, puna_meta_cursor *at, const char **text, size_t *n);

#endif
