/* kv.c - memory of the key/value caches: one mapping, pages taken when first touched. */
#define _DEFAULT_SOURCE
#include "ops/kv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"

/* Values that lie in the keys take no room. */
static bool block_bytes(puna_format format, int32_t dim, bool key, int32_t n_head, size_t *out)
{
    return puna_kv_tile_bytes(format, dim, key, out) && puna_mul_size(*out, (size_t)n_head, out);
}

static bool sizes(puna_kv_cache *cache, int32_t n_blocks, puna_format format, size_t *total)
{
    size_t k, v;
    const puna_cache_layout *l = &cache->layout;
    return block_bytes(format, l->head_dim_k, true, l->n_head, &cache->k_block_bytes) &&
           block_bytes(format, l->v_in_k ? 0 : l->head_dim_v, false, l->n_head, &cache->v_block_bytes) &&
           puna_mul_size(cache->k_block_bytes, (size_t)n_blocks, &k) &&
           puna_mul_size(cache->v_block_bytes, (size_t)n_blocks, &v) && puna_add_size(*total, k, total) &&
           puna_add_size(*total, v, total);
}

/* Pages of zeros that are there when they are touched. */
static void *map(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* Slots begin pages, so that each can be given back. */
static puna_status open_states(puna_kv *kv, const puna_plan *plan, int32_t n_slots, puna_error *err)
{
    enum { PAGE_FLOATS = 1024 };
    size_t bytes;
    if (plan->n_states == 0)
        return PUNA_OK;
    kv->state_at = calloc((size_t)plan->n_states, sizeof *kv->state_at);
    if (!kv->state_at)
        return puna_fail_memory(err, "states", (size_t)plan->n_states * sizeof *kv->state_at);
    for (int32_t i = 0; i < plan->n_states; i++) {
        kv->state_at[i] = kv->slot_floats;
        kv->slot_floats += ((size_t)plan->states[i] + 15) & ~(size_t)15;
    }
    kv->slot_floats = (kv->slot_floats + PAGE_FLOATS - 1) / PAGE_FLOATS * PAGE_FLOATS;
    if (puna_mul_size(kv->slot_floats * sizeof(float), (size_t)n_slots, &bytes))
        kv->states = map(bytes);
    if (!kv->states)
        return puna_fail_memory(err, "states", kv->slot_floats * sizeof(float) * (size_t)n_slots);
    kv->n_slots = n_slots;
    return PUNA_OK;
}

static puna_status open_caches(puna_kv *kv, const puna_plan *plan, puna_error *err)
{
    for (int32_t i = 0; i < plan->n_caches; i++) {
        kv->caches[i].layout = plan->caches[i];
        if (!sizes(&kv->caches[i], kv->n_blocks, kv->format, &kv->size_bytes))
            return puna_fail_memory(err, "key/value cache", SIZE_MAX);
    }
    if (kv->size_bytes == 0)
        return PUNA_OK;
    unsigned char *at = map(kv->size_bytes);
    if (!at) {
        puna_fail_memory(err, "key/value cache", kv->size_bytes);
        kv->size_bytes = 0;
        return puna_hint(err, PUNA_ERR_MEMORY, "a smaller context: --ctx N");
    }
    for (int32_t i = 0; i < plan->n_caches; i++) {
        kv->caches[i].k = at;
        at += kv->caches[i].k_block_bytes * (size_t)kv->n_blocks;
        kv->caches[i].v = at;
        at += kv->caches[i].v_block_bytes * (size_t)kv->n_blocks;
    }
    return PUNA_OK;
}

puna_status puna_kv_open(puna_kv *kv, const puna_plan *plan, int32_t n_blocks, int32_t n_slots,
                         puna_format format, puna_error *err)
{
    *kv = (puna_kv){ .n_caches = plan->n_caches, .n_blocks = n_blocks, .format = format };
    kv->caches = calloc((size_t)plan->n_caches + 1, sizeof *kv->caches);
    if (!kv->caches)
        return puna_fail_memory(err, "key/value cache", (size_t)plan->n_caches * sizeof *kv->caches);
    puna_status status = open_caches(kv, plan, err);
    if (!status)
        status = open_states(kv, plan, n_slots, err);
    if (status)
        puna_kv_close(kv);
    return status;
}

void puna_kv_close(puna_kv *kv)
{
    if (kv->size_bytes && kv->n_caches && kv->caches[0].k)
        munmap(kv->caches[0].k, kv->size_bytes);
    if (kv->states)
        munmap(kv->states, (size_t)kv->n_slots * kv->slot_floats * sizeof(float));
    free(kv->state_at);
    free(kv->caches);
    *kv = (puna_kv){ 0 };
}

static float *slot_of(const puna_kv *kv, int32_t slot)
{
    return kv->states + (size_t)slot * kv->slot_floats;
}

void puna_kv_state_clear(puna_kv *kv, int32_t slot)
{
    if (kv->states)
        memset(slot_of(kv, slot), 0, kv->slot_floats * sizeof(float));
}

void puna_kv_state_drop(puna_kv *kv, int32_t slot)
{
    if (kv->states)
        madvise(slot_of(kv, slot), kv->slot_floats * sizeof(float), MADV_DONTNEED);
}

void puna_kv_state_copy(puna_kv *kv, int32_t to, int32_t from)
{
    if (kv->states)
        memcpy(slot_of(kv, to), slot_of(kv, from), kv->slot_floats * sizeof(float));
}

void puna_kv_copy(puna_kv *kv, int32_t to, int32_t from)
{
    for (int32_t i = 0; i < kv->n_caches; i++) {
        const puna_kv_cache *c = &kv->caches[i];
        memcpy(c->k + (size_t)to * c->k_block_bytes, c->k + (size_t)from * c->k_block_bytes, c->k_block_bytes);
        memcpy(c->v + (size_t)to * c->v_block_bytes, c->v + (size_t)from * c->v_block_bytes, c->v_block_bytes);
    }
}
