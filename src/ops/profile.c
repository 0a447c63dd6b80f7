/* profile.c - counting what runs have to read and multiply. */
#include "ops/profile.h"

#include <stdlib.h>
#include <string.h>

#include "ops/backend.h"

puna_status puna_profile_open(puna_profile *p, const puna_plan *plan, puna_error *err)
{
    size_t n = (size_t)plan->n_nodes + 1;
    *p = (puna_profile){ .plan = plan, .n_steps = plan->n_nodes };
    p->step_of = calloc(n, sizeof *p->step_of);
    p->step_ns = calloc(n, sizeof *p->step_ns);
    p->bytes = calloc(n, sizeof *p->bytes);
    p->multiplies = calloc(n, sizeof *p->multiplies);
    if (!p->step_of || !p->step_ns || !p->bytes || !p->multiplies) {
        puna_profile_close(p);
        return puna_fail_memory(err, "profile", n * 4 * sizeof *p->bytes);
    }
    for (int32_t i = 0; i < plan->n_nodes; i++)
        p->step_of[i] = i;
    return PUNA_OK;
}

void puna_profile_close(puna_profile *p)
{
    free(p->step_of);
    free(p->step_ns);
    free(p->bytes);
    free(p->multiplies);
    *p = (puna_profile){ 0 };
}

void puna_profile_reset(puna_profile *p)
{
    size_t n = (size_t)p->plan->n_nodes;
    memset(p->step_ns, 0, n * sizeof *p->step_ns);
    memset(p->bytes, 0, n * sizeof *p->bytes);
    memset(p->multiplies, 0, n * sizeof *p->multiplies);
    p->n_runs = p->n_rows = 0;
}

uint64_t puna_kv_position_bytes(const puna_kv *kv, int32_t cache)
{
    const puna_kv_cache *c = &kv->caches[cache];
    return (c->k_block_bytes + c->v_block_bytes) / PUNA_KV_BLOCK;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Every span reads the positions that any of its rows sees once; every row multiplies with its own. */
static void count_attention(puna_profile *p, int32_t i, const puna_batch *batch, const puna_kv *kv)
{
    const puna_attention_params *a = &p->plan->nodes[i].p.attention;
    uint64_t window = a->window ? (uint64_t)a->window : UINT64_MAX, positions = 0, pairs = 0;
    for (int32_t s = 0; s < batch->n_spans; s++) {
        uint64_t n = (uint64_t)batch->spans[s].n, pos = (uint64_t)batch->spans[s].pos;
        positions += least(pos, window - 1) + n;
        for (uint64_t row = 0; row < n; row++)
            pairs += least(pos + row + 1, window);
    }
    p->bytes[i] += positions * puna_kv_position_bytes(kv, a->cache);
    p->multiplies[i] += pairs * (uint64_t)a->n_head * (uint64_t)(a->head_dim + a->head_dim_v);
}

void puna_profile_count(puna_profile *p, const puna_batch *batch, const puna_kv *kv)
{
    uint64_t tokens = (uint64_t)batch->n_tokens, outputs = (uint64_t)batch->n_outputs;
    p->n_runs++;
    p->n_rows += tokens;
    for (int32_t i = 0; i < p->plan->n_nodes; i++) {
        const puna_node *node = &p->plan->nodes[i];
        const bool per_output =
            node->op == PUNA_OP_LOGITS || (node->out >= 0 && p->plan->values[node->out].per_output);
        const uint64_t n_rows = per_output ? outputs : tokens;
        if (node->op == PUNA_OP_KV_STORE)
            p->bytes[i] += tokens * puna_kv_position_bytes(kv, node->p.cache);
        else if (node->op == PUNA_OP_ATTENTION)
            count_attention(p, i, batch, kv);
        else {
            p->bytes[i] += puna_node_bytes(node, n_rows);
            p->multiplies[i] += n_rows * puna_node_multiplies(node);
        }
    }
}
