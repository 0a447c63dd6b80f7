/* kv.h - the key/value caches of a session, paged in blocks of PUNA_KV_BLOCK positions, so that
 * sequences can share, grow and drop them. Owns the memory and its layout; which block holds
 * which position of which sequence is decided in engine/ and told to a run by puna_span.
 *
 * Within a block keys are stored transposed, values as rows:
 *   K[block][head][dim][slot]    V[block][head][slot][dim]
 * so that a block is, for one head, a ready tile for q k^T and for p v: both products then run
 * along the contiguous dimension without sums across a vector. */
#ifndef PUNA_OPS_KV_H
#define PUNA_OPS_KV_H

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
    puna_format format;    /* F16 or F32 */
    size_t size_bytes;     /* address space; memory is taken only when touched */
} puna_kv;

/* Room for n_blocks blocks in every cache of the plan. */
puna_status puna_kv_open(puna_kv *kv, const puna_plan *plan, int32_t n_blocks, puna_format format,
                         puna_error *err);
void puna_kv_close(puna_kv *kv);

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

#endif
