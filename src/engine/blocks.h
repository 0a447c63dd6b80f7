/* blocks.h - the blocks of a key/value cache that several sessions share. Owns the cache, who holds
 * which block, and which are free; refuses to know what lies in them (session.c).
 *
 * A block is held by one session, or by several whose tokens begin alike. Only a block with one
 * holder may be written. */
#ifndef PUNA_ENGINE_BLOCKS_H
#define PUNA_ENGINE_BLOCKS_H

#include "ops/kv.h"

typedef struct puna_blocks {
    puna_kv kv;
    int32_t *holders; /* [kv.n_blocks]: sessions that hold each */
    int32_t *free;    /* [kv.n_blocks]: the first n_free are free, the last of them is taken next: memory
                         that was touched is used again before more is */
    int32_t n_free;
    int32_t *free_slots, n_free_slots; /* the same of slots of states; none where a plan has no states */
} puna_blocks;

/* Blocks that n tokens take. */
static inline int32_t puna_blocks_of(int32_t n_tokens)
{
    return (n_tokens + PUNA_KV_BLOCK - 1) / PUNA_KV_BLOCK;
}

puna_status puna_blocks_open(puna_blocks *b, const puna_plan *plan, int32_t n_blocks, int32_t n_slots,
                             puna_format format, puna_error *err);
void puna_blocks_close(puna_blocks *b);

/* A free block, with one holder now; the caller knows that there is one. */
int32_t puna_blocks_take(puna_blocks *b);
/* A taken block of the same content. */
int32_t puna_blocks_copy(puna_blocks *b, int32_t block);
/* One holder more, one less; without any it is free. */
void puna_blocks_hold(puna_blocks *b, int32_t block);
void puna_blocks_drop(puna_blocks *b, int32_t block);

/* A free slot of states, or -1 when there is none; and back. */
int32_t puna_blocks_take_slot(puna_blocks *b);
void puna_blocks_drop_slot(puna_blocks *b, int32_t slot);

#endif
