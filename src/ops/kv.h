/* kv.h - the key/value caches of a session, paged in blocks of PUNA_KV_BLOCK positions, so that
 * sequences can share, grow and drop them. Owns the memory and its layout; which block holds
 * which position of which sequence is decided in engine/ and told to a run by puna_span.
 *
 * Within a block keys are stored transposed, values as rows:
 *   K[block][head][dim][slot]    V[block][head][slot][dim]
 * so that a block is, for one head, a ready tile for q k^T and for p v: both products then run
 * along the contiguous dimension without sums across a vector. Encodings of 8 bits and fewer keep
 * rotated vectors (puna_kv_rotate) and interleave four elements of what is summed over; the
 * layouts stand in kv_tile.c, the reasons in ADR 0007.
 *
 * Beside the caches lie states, which belong to a sequence and not to a position: float32, rewritten by
 * every batch. They are kept in slots, one for each sequence and each copy that is to be gone back to. */
#ifndef PUNA_OPS_KV_H
#define PUNA_OPS_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "ops/plan.h"

enum { PUNA_KV_BLOCK = 32 };

typedef struct puna_kv_cache {
    puna_cache_layout layout;
    unsigned char *k, *v;      /* n_blocks blocks each, 64-byte aligned */
    size_t k_block_bytes, v_block_bytes;
} puna_kv_cache;

typedef struct puna_kv {
    puna_kv_cache *caches; /* plan->n_caches */
    int32_t n_caches, n_blocks;
    puna_format format;    /* F32, F16, BF16, Q8_0 or Q4_0 */
    size_t size_bytes;     /* address space of caches; memory is taken only when touched */
    float *states;         /* [n_slots, slot_floats], also taken when touched; NULL: the plan has none */
    size_t slot_floats, *state_at; /* of a slot; where each state begins in it */
    int32_t n_slots;
} puna_kv;

/* Room for n_blocks blocks in every cache of the plan, and for n_slots slots of states if it has any. */
puna_status puna_kv_open(puna_kv *kv, const puna_plan *plan, int32_t n_blocks, int32_t n_slots,
                         puna_format format, puna_error *err);
void puna_kv_close(puna_kv *kv);

static inline float *puna_kv_state(const puna_kv *kv, int32_t state, int32_t slot)
{
    return kv->states + (size_t)slot * kv->slot_floats + kv->state_at[state];
}

/* A sequence that begins has states of zeros; a slot that is not needed gives its memory back. */
void puna_kv_state_clear(puna_kv *kv, int32_t slot);
void puna_kv_state_drop(puna_kv *kv, int32_t slot);
void puna_kv_state_copy(puna_kv *kv, int32_t to, int32_t from);

/* What block `from` holds, in every cache, also into block `to`. */
void puna_kv_copy(puna_kv *kv, int32_t to, int32_t from);

/* The tile of one head in one block. */
static inline void *puna_kv_k(const puna_kv *kv, int32_t cache, int32_t block, int32_t head)
{
    const puna_kv_cache *c = &kv->caches[cache];
    return c->k + (size_t)block * c->k_block_bytes + (size_t)head * (c->k_block_bytes / (size_t)c->layout.n_head);
}

static inline void *puna_kv_v(const puna_kv *kv, int32_t cache, int32_t block, int32_t head)
{
    const puna_kv_cache *c = &kv->caches[cache];
    return c->v + (size_t)block * c->v_block_bytes + (size_t)head * (c->v_block_bytes / (size_t)c->layout.n_head);
}

/* ---- tiles: one head in one block --------------------------------------------------------- */

/* Dimensions of a quantised key or value that share a scale, at most. */
enum { PUNA_KV_CHUNK = 64 };

/* Rows of quantised tiles are padded to whole vectors. */
static inline size_t puna_kv_padded(int32_t dim)
{
    return ((size_t)dim + 7) / 8 * 8;
}

/* False when the encoding cannot be a cache's. */
bool puna_kv_tile_bytes(puna_format format, int32_t dim, bool key, size_t *bytes);

/* Whether the cache keeps rotated keys and values: queries are then rotated too, and so is the
 * weighted sum of values, which rotates it back. */
static inline bool puna_kv_is_rotated(puna_format format)
{
    return format == PUNA_FORMAT_Q8_0 || format == PUNA_FORMAT_Q4_0;
}

/* A Walsh-Hadamard transform, in place, of each run of the largest power of two that divides dim;
 * scaled so that it is its own inverse and keeps dot products. It spreads what a few dimensions
 * hold over all of them. */
void puna_kv_rotate(float *x, int32_t dim);

/* Writes x[dim] into a slot of a tile; a cache that keeps rotated vectors is given such. */
void puna_kv_put_key(puna_format format, void *tile, int32_t dim, int32_t slot, const float *x);
void puna_kv_put_value(puna_format format, void *tile, int32_t dim, int32_t slot, const float *x);

/* One element, as the encoding has it. */
float puna_kv_key(puna_format format, const void *tile, int32_t dim, int32_t slot, int32_t d);
float puna_kv_value(puna_format format, const void *tile, int32_t dim, int32_t slot, int32_t d);

/* A tile of Q4_0 as the tile of Q8_0 that holds the same numbers. */
void puna_kv_unpack(const void *tile, int32_t dim, bool key, void *q8);

/* Bytes of one chunk of a quantised tile, of dim <= PUNA_KV_CHUNK dimensions. */
size_t puna_kv_chunk_bytes(puna_format format, int32_t dim, bool key);

#endif
