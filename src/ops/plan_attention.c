/* plan_attention.c - the recorder of caches without values and of attention over chosen keys. */
#include "ops/recorder.h"

void p_k_store(puna_plan *g, puna_value k, int32_t cache)
{
    if (!puna_plan_usable(g, k) || !puna_plan_cache_known(g, cache))
        return;
    const puna_cache_layout *c = &g->caches[cache];
    if (!c->v_in_k || c->head_dim_v > c->head_dim_k || puna_plan_width(g, k) != c->n_head * c->head_dim_k) {
        puna_plan_mistake(g, NULL, "width of keys alone", (uint64_t)puna_plan_width(g, k),
                          (uint64_t)(c->n_head * c->head_dim_k));
        return;
    }
    puna_node node = { .op = PUNA_OP_KV_STORE, .in = { k, -1 }, .p.cache = cache };
    puna_plan_record(g, node, 0, false);
}

puna_value p_select_keys(puna_plan *g, puna_value q, puna_value weights, const puna_select_params *p)
{
    if (!puna_plan_usable(g, q) || (weights >= 0 && !puna_plan_beside(g, q, weights)) ||
        !puna_plan_cache_known(g, p->cache))
        return -1;
    const puna_cache_layout *c = &g->caches[p->cache];
    if (!c->v_in_k || c->n_head != 1 || c->head_dim_k != p->head_dim || p->n_head < 1 ||
        puna_plan_width(g, q) != p->n_head * p->head_dim ||
        (weights >= 0 && puna_plan_width(g, weights) != p->n_head)) {
        puna_plan_mistake(g, NULL, "heads that select", (uint64_t)puna_plan_width(g, q),
                          (uint64_t)(p->n_head * p->head_dim));
        return -1;
    }
    const int32_t n_tail = p->tail ? 1 : 0;
    if (p->n_lists < 1 || p->n_head % p->n_lists || p->n_top < 1 ||
        p->n_top > INT32_MAX / p->n_lists - n_tail || p->key_block < 1 || p->n_local < 0 ||
        (p->tail && !p->ended)) {
        puna_plan_mistake(g, NULL, "selected keys", (uint64_t)p->n_top, 1);
        return -1;
    }
    puna_node node = { .op = PUNA_OP_SELECT_KEYS, .in = { q, weights }, .p.select = *p };
    return puna_plan_record(g, node, p->n_lists * (p->n_top + n_tail), false);
}

puna_value p_compress(puna_plan *g, const puna_compress_params *p)
{
    if (!puna_plan_cache_known(g, p->cache))
        return -1;
    const puna_cache_layout *c = &g->caches[p->cache];
    const int32_t n_parts = p->overlaps ? 4 : 2;
    if (!c->v_in_k || c->n_head != 1 || p->block < 1 || p->n_out < 1 || c->head_dim_k % n_parts ||
        c->head_dim_k / n_parts != p->n_out) {
        puna_plan_mistake(g, NULL, "columns to compress", (uint64_t)c->head_dim_k,
                          (uint64_t)n_parts * (uint64_t)p->n_out);
        return -1;
    }
    puna_node node = { .op = PUNA_OP_COMPRESS, .p.compress = *p };
    return puna_plan_record(g, node, p->n_out, false);
}

/* The other cache is of the same kind. */
static bool far_fits(puna_plan *g, const puna_attention_params *p)
{
    if (!p->far)
        return true;
    if (!puna_plan_cache_known(g, p->cache) || !puna_plan_cache_known(g, p->far_cache))
        return false;
    const puna_cache_layout *a = &g->caches[p->cache], *b = &g->caches[p->far_cache];
    if (a->n_head != b->n_head || a->head_dim_k != b->head_dim_k || a->head_dim_v != b->head_dim_v ||
        a->v_in_k != b->v_in_k)
        puna_plan_mistake(g, NULL, "width of far keys", (uint64_t)b->head_dim_k, (uint64_t)a->head_dim_k);
    return !g->status;
}

puna_value p_attention_selected(puna_plan *g, puna_value q, puna_value selected,
                                const puna_attention_params *p, const puna_tensor *sinks)
{
    if (!puna_plan_usable(g, q) || (!(p->far && selected == -1) && !puna_plan_beside(g, q, selected)) ||
        !far_fits(g, p))
        return -1;
    if (p->n_lists < 1 || (selected >= 0 && puna_plan_width(g, selected) % p->n_lists) || p->key_block < 1 ||
        p->n_head_kv < 1 || p->n_head_kv % p->n_lists || p->mask != PUNA_MASK_CAUSAL) {
        puna_plan_mistake(g, NULL, "lists of keys", (uint64_t)p->n_lists, (uint64_t)p->n_head_kv);
        return -1;
    }
    puna_value out = p_attention(g, q, p, sinks, NULL);
    if (g->status || selected < 0)
        return out;
    puna_node *node = &g->nodes[g->n_nodes - 1];
    node->in[1] = selected;
    g->values[selected].last = g->n_nodes - 1;
    return out;
}
