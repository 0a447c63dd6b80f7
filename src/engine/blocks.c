/* blocks.c - taking, sharing and giving back the blocks of a cache. */
#include "engine/blocks.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

puna_status puna_blocks_open(puna_blocks *b, const puna_plan *plan, int32_t n_blocks, int32_t n_slots,
                             puna_format format, puna_error *err)
{
    *b = (puna_blocks){ 0 };
    TRY(puna_kv_open(&b->kv, plan, n_blocks, n_slots, format, err));
    b->holders = calloc((size_t)n_blocks, sizeof *b->holders);
    b->free = calloc((size_t)n_blocks, sizeof *b->free);
    b->free_slots = calloc((size_t)n_slots, sizeof *b->free_slots);
    if (!b->holders || !b->free || !b->free_slots) {
        puna_blocks_close(b);
        return puna_fail_memory(err, "key/value cache", (size_t)n_blocks * sizeof *b->free);
    }
    while (b->n_free < n_blocks) { /* the lowest is taken first */
        b->free[b->n_free] = n_blocks - 1 - b->n_free;
        b->n_free++;
    }
    for (int32_t slot = b->kv.n_slots - 1; slot >= 0; slot--)
        b->free_slots[b->n_free_slots++] = slot;
    return PUNA_OK;
}

void puna_blocks_close(puna_blocks *b)
{
    if (b->kv.caches)
        puna_kv_close(&b->kv);
    free(b->holders);
    free(b->free);
    free(b->free_slots);
    *b = (puna_blocks){ 0 };
}

int32_t puna_blocks_take(puna_blocks *b)
{
    assert(b->n_free > 0);
    int32_t block = b->free[--b->n_free];
    b->holders[block] = 1;
    return block;
}

int32_t puna_blocks_copy(puna_blocks *b, int32_t block)
{
    int32_t copy = puna_blocks_take(b);
    puna_kv_copy(&b->kv, copy, block);
    return copy;
}

void puna_blocks_hold(puna_blocks *b, int32_t block)
{
    b->holders[block]++;
}

void puna_blocks_drop(puna_blocks *b, int32_t block)
{
    assert(b->holders[block] > 0);
    if (--b->holders[block] == 0)
        b->free[b->n_free++] = block;
}

int32_t puna_blocks_take_slot(puna_blocks *b)
{
    return b->n_free_slots > 0 ? b->free_slots[--b->n_free_slots] : -1;
}

void puna_blocks_drop_slot(puna_blocks *b, int32_t slot)
{
    puna_kv_state_drop(&b->kv, slot);
    b->free_slots[b->n_free_slots++] = slot;
}
