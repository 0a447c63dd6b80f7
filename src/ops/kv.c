/* kv.c - memory of the key/value caches: one mapping, pages taken when first touched. */
#define _DEFAULT_SOURCE
#include "ops/kv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"

static bool block_bytes(puna_format format, int32_t dim, bool key, int32_t n_head, size_t *out)
{
    return puna_kv_tile_bytes(format, dim, key, out) && puna_mul_size(*out, (size_t)n_head, out);
}

static bool sizes(puna_kv_cache *cache, int32_t n_blocks, puna_format format, size_t *total)
{
    size_t k, v;
    const puna_cache_layout *l = &cache->layout;
    return block_bytes(format, l->head_dim_k, true, l->n_head, &cache->k_block_bytes) &&
           block_bytes(format, l->head_dim_v, false, l->n_head, &cache->v_block_bytes) &&
           puna_mul_size(cache->k_block_bytes, (size_t)n_blocks, &k) &&
           puna_mul_size(cache->v_block_bytes, (size_t)n_blocks, &v) && puna_add_size(*total, k, total) &&
           puna_add_size(*total, v, total);
}

puna_status puna_kv_open(puna_kv *kv, const puna_plan *plan, int32_t n_blocks, puna_format format,
                         puna_error *err)
{
    *kv = (puna_kv){ .n_caches = plan->n_caches, .n_blocks = n_blocks, .format = format };
    kv->caches = calloc((size_t)plan->n_caches + 1, sizeof *kv->caches);
    if (!kv->caches)
        return puna_fail_memory(err, "key/value cache", (size_t)plan->n_caches * sizeof *kv->caches);
    for (int32_t i = 0; i < plan->n_caches; i++) {
        kv->caches[i].layout = plan->caches[i];
        if (!sizes(&kv->caches[i], n_blocks, format, &kv->size_bytes)) {
            puna_kv_close(kv);
            return puna_fail_memory(err, "key/value cache", SIZE_MAX);
        }
    }
    if (kv->size_bytes == 0)
        return PUNA_OK;
    unsigned char *at = mmap(NULL, kv->size_bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
        size_t wanted = kv->size_bytes;
        kv->size_bytes = 0;
        puna_kv_close(kv);
        puna_fail_memory(err, "key/value cache", wanted);
        return puna_hint(err, PUNA_ERR_MEMORY, "a smaller context: --ctx N");
    }
    for (int32_t i = 0; i < plan->n_caches; i++) {
        kv->caches[i].k = at;
        at += kv->caches[i].k_block_bytes * (size_t)n_blocks;
        kv->caches[i].v = at;
        at += kv->caches[i].v_block_bytes * (size_t)n_blocks;
    }
    return PUNA_OK;
}

void puna_kv_close(puna_kv *kv)
{
    if (kv->size_bytes && kv->n_caches)
        munmap(kv->caches[0].k, kv->size_bytes);
    free(kv->caches);
    *kv = (puna_kv){ 0 };
}

void puna_kv_copy(puna_kv *kv, int32_t to, int32_t from)
{
    for (int32_t i = 0; i < kv->n_caches; i++) {
        const puna_kv_cache *c = &kv->caches[i];
        memcpy(c->k + (size_t)to * c->k_block_bytes, c->k + (size_t)from * c->k_block_bytes, c->k_block_bytes);
        memcpy(c->v + (size_t)to * c->v_block_bytes, c->v + (size_t)from * c->v_block_bytes, c->v_block_bytes);
    }
}
