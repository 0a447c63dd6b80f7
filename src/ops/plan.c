/* plan.c - the recorder: checks shapes, appends nodes, keeps the first mistake. Here: what every
 * transformer has. */
#include "ops/plan.h"

#include <string.h>

#include "ops/recorder.h"

const char *puna_op_name(puna_op op)
{
    static const char *const names[] = {
#define OP(ID, name, n_inputs, in_place) #name,
#include "ops/ops.def"
#undef OP
    };
    return names[op];
}

/* Bytes or values of all experts' three matrices. */
static uint64_t sum_experts(const puna_node *node, bool bytes)
{
    const puna_tensor *const weights[] = { node->weight, node->more[PUNA_EXPERTS_UP],
                                           node->more[PUNA_EXPERTS_DOWN] };
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
        if (weights[i])
            sum += bytes ? weights[i]->size_bytes : weights[i]->ne[0] * puna_tensor_rows(weights[i]);
    return sum;
}

uint64_t puna_node_bytes(const puna_node *node, uint64_t n_rows)
{
    if (n_rows == 0)
        return 0;
    if (node->op == PUNA_OP_EMBED)
        return n_rows * puna_tensor_row_bytes(node->weight);
    if (node->op == PUNA_OP_NGRAM)
        return n_rows * puna_tensor_row_bytes(node->weight) *
               (uint64_t)((node->p.ngram.n_gram - 1) * node->p.ngram.n_each);
    if (node->op != PUNA_OP_MOE_FFN)
        return node->weight ? node->weight->size_bytes : 0;
    const uint64_t n_expert = node->more[PUNA_EXPERTS_DOWN]->ne[2],
                   n = n_rows * (uint64_t)node->p.experts.n_used;
    return sum_experts(node, true) / n_expert * (n < n_expert ? n : n_expert);
}

uint64_t puna_node_multiplies(const puna_node *node)
{
    if (node->op == PUNA_OP_MOE_FFN)
        return sum_experts(node, false) / node->more[PUNA_EXPERTS_DOWN]->ne[2] *
               (uint64_t)node->p.experts.n_used;
    const bool product =
        node->op == PUNA_OP_LINEAR || node->op == PUNA_OP_LINEAR_HEADS || node->op == PUNA_OP_LOGITS;
    return product ? node->weight->ne[0] * puna_tensor_rows(node->weight) : 0;
}

void puna_plan_free(puna_plan *g)
{
    puna_arena_free(&g->arena);
    *g = (puna_plan){ 0 };
}

void p_layer(puna_plan *g, int32_t layer)
{
    g->layer = layer;
}

void *puna_plan_grown(puna_plan *g, void *array, int32_t n, int32_t *capacity, size_t size)
{
    if (g->status)
        return NULL;
    if (n < *capacity)
        return array;
    int32_t larger = *capacity ? *capacity * 2 : 64;
    void *copy = puna_arena_array(&g->arena, (size_t)larger, size);
    if (!copy) {
        g->status = puna_fail_memory(&g->error, "plan", (size_t)larger * size);
        return NULL;
    }
    if (n)
        memcpy(copy, array, (size_t)n * size);
    *capacity = larger;
    return copy;
}

void puna_plan_mistake(puna_plan *g, const puna_tensor *w, const char *what, uint64_t got, uint64_t expected)
{
    if (!g->status)
        g->status = puna_fail(&g->error, PUNA_ERR_FORMAT, "tensor %s: %s: got %llu, expected %llu",
                              w ? w->name : "(none)", what, (unsigned long long)got,
                              (unsigned long long)expected);
}

bool puna_plan_usable(puna_plan *g, puna_value v)
{
    if (g->status)
        return false;
    if (v >= 0 && v < g->n_values)
        return true;
    g->status = puna_fail(&g->error, PUNA_ERR_FAILED, "plan: layer %d: an operation lacks its input", (int)g->layer);
    return false;
}

static const int n_inputs[] = {
#define OP(ID, name, n_inputs, in_place) n_inputs,
#include "ops/ops.def"
#undef OP
};

puna_value puna_plan_record(puna_plan *g, puna_node node, int32_t width, bool per_output)
{
    puna_node *nodes = puna_plan_grown(g, g->nodes, g->n_nodes, &g->capacity_nodes, sizeof *nodes);
    if (!nodes)
        return -1;
    g->nodes = nodes;
    node.layer = g->layer;
    node.out = -1;
    for (int i = n_inputs[node.op]; i < PUNA_NODE_INPUTS; i++)
        node.in[i] = -1;
    if (width > 0) {
        puna_value_info *values =
            puna_plan_grown(g, g->values, g->n_values, &g->capacity_values, sizeof *values);
        if (!values)
            return -1;
        g->values = values;
        values[g->n_values] =
            (puna_value_info){ .width = width, .per_output = per_output, .first = g->n_nodes, .last = g->n_nodes };
        node.out = g->n_values++;
    }
    for (int i = 0; i < PUNA_NODE_INPUTS; i++)
        if (node.in[i] >= 0)
            g->values[node.in[i]].last = g->n_nodes;
    nodes[g->n_nodes++] = node;
    return node.out;
}

bool puna_plan_matrix(puna_plan *g, const puna_tensor *w, uint64_t n_in, uint64_t n_mats, int32_t *n_out)
{
    if (g->status)
        return false;
    if (!w)
        g->status = puna_fail(&g->error, PUNA_ERR_FAILED, "plan: layer %d: an operation lacks its weight", (int)g->layer);
    else if (n_in && w->ne[0] != n_in)
        puna_plan_mistake(g, w, "dim[0]", w->ne[0], n_in);
    else if (w->ne[0] > INT32_MAX || puna_tensor_rows(w) > INT32_MAX)
        puna_plan_mistake(g, w, "rows", puna_tensor_rows(w), INT32_MAX);
    else if (w->ne[2] != n_mats || w->ne[3] != 1)
        puna_plan_mistake(g, w, "dim[2]", w->ne[2], n_mats);
    else
        *n_out = (int32_t)w->ne[1];
    return !g->status;
}

bool puna_plan_vector(puna_plan *g, const puna_tensor *w, uint64_t n)
{
    if (g->status || !w)
        return !g->status;
    if (w->format->id != PUNA_FORMAT_F32)
        puna_plan_mistake(g, w, "encoding", (uint64_t)w->format->id, PUNA_FORMAT_F32);
    else if (w->ne[0] * puna_tensor_rows(w) != n)
        puna_plan_mistake(g, w, "values", w->ne[0] * puna_tensor_rows(w), n);
    return !g->status;
}

bool puna_plan_beside(puna_plan *g, puna_value a, puna_value b)
{
    if (!puna_plan_usable(g, a) || !puna_plan_usable(g, b))
        return false;
    if (g->values[a].per_output != g->values[b].per_output)
        puna_plan_mistake(g, NULL, "rows", g->values[b].per_output, g->values[a].per_output);
    return !g->status;
}

puna_value p_embed(puna_plan *g, const puna_tensor *table, const puna_embed_params *p)
{
    int32_t n_rows;
    if (!puna_plan_matrix(g, table, 0, 1, &n_rows))
        return -1;
    if (p->source != PUNA_EMBED_TOKEN && (p->offset < 0 || p->offset >= n_rows)) {
        puna_plan_mistake(g, table, "rows", (uint64_t)n_rows, (uint64_t)p->offset + 1);
        return -1;
    }
    puna_node node = { .op = PUNA_OP_EMBED, .weight = table, .p.embed = *p };
    return puna_plan_record(g, node, (int32_t)table->ne[0], false);
}

puna_value p_norm(puna_plan *g, puna_value x, const puna_tensor *weight, const puna_tensor *bias,
                  puna_norm_kind kind, float eps)
{
    if (!puna_plan_usable(g, x))
        return -1;
    const int32_t width = puna_plan_width(g, x);
    puna_norm_params p = { .kind = kind, .eps = eps, .group = width };
    /* A weight narrower than the value is one weight for every head. */
    if (weight && weight->ne[0] > 0 && weight->ne[0] < (uint64_t)width && (uint64_t)width % weight->ne[0] == 0)
        p.group = (int32_t)weight->ne[0];
    return p_norm_groups(g, x, weight, bias, &p);
}

/* As long as one group, or as all. */
static bool norm_vector(puna_plan *g, const puna_tensor *w, int32_t group, int32_t width)
{
    const uint64_t n = w ? w->ne[0] * puna_tensor_rows(w) : 0;
    return puna_plan_vector(g, w, n == (uint64_t)width ? (uint64_t)width : (uint64_t)group);
}

puna_value p_norm_groups(puna_plan *g, puna_value x, const puna_tensor *weight, const puna_tensor *bias,
                         const puna_norm_params *p)
{
    if (!puna_plan_usable(g, x))
        return -1;
    const int32_t width = puna_plan_width(g, x);
    if (p->group < 1 || width % p->group) {
        puna_plan_mistake(g, weight, "norm group", (uint64_t)p->group, (uint64_t)width);
        return -1;
    }
    if (!norm_vector(g, weight, p->group, width) || !norm_vector(g, bias, p->group, width))
        return -1;
    puna_node node = { .op = PUNA_OP_NORM, .in = { x }, .weight = weight, .bias = bias, .p.norm = *p };
    return puna_plan_record(g, node, width, g->values[x].per_output);
}

puna_value p_linear(puna_plan *g, puna_value x, const puna_tensor *w, const puna_tensor *bias)
{
    int32_t n_out;
    if (!puna_plan_usable(g, x) || !puna_plan_matrix(g, w, (uint64_t)puna_plan_width(g, x), 1, &n_out) ||
        !puna_plan_vector(g, bias, (uint64_t)n_out))
        return -1;
    puna_node node = { .op = PUNA_OP_LINEAR, .in = { x }, .weight = w, .bias = bias };
    return puna_plan_record(g, node, n_out, g->values[x].per_output);
}

puna_value p_linear_heads(puna_plan *g, puna_value x, const puna_tensor *w)
{
    int32_t n_out;
    if (!puna_plan_usable(g, x))
        return -1;
    const uint64_t width = (uint64_t)puna_plan_width(g, x), n_in = w ? w->ne[0] : 0;
    if (!puna_plan_matrix(g, w, n_in, n_in ? width / n_in : 0, &n_out))
        return -1;
    if (width % n_in || (uint64_t)n_out * w->ne[2] > INT32_MAX) {
        puna_plan_mistake(g, w, "dim[0]", n_in, width / w->ne[2]);
        return -1;
    }
    puna_node node = { .op = PUNA_OP_LINEAR_HEADS, .in = { x }, .weight = w };
    return puna_plan_record(g, node, n_out * (int32_t)w->ne[2], g->values[x].per_output);
}

puna_value p_rope(puna_plan *g, puna_value x, const puna_rope_params *p, const puna_tensor *factors)
{
    if (!puna_plan_usable(g, x) || !puna_plan_vector(g, factors, (uint64_t)p->n_rot / 2))
        return -1;
    if (p->n_head * p->head_dim != puna_plan_width(g, x) || p->n_rot > p->head_dim || p->n_rot % 2 ||
        p->n_rot < 2) {
        puna_plan_mistake(g, NULL, "rope dimensions", (uint64_t)p->n_rot, (uint64_t)p->head_dim);
        return -1;
    }
    puna_node node = { .op = PUNA_OP_ROPE, .in = { x }, .weight = factors, .p.rope = *p };
    return puna_plan_record(g, node, puna_plan_width(g, x), false);
}

int32_t p_cache(puna_plan *g, const puna_cache_layout *layout)
{
    puna_cache_layout *caches =
        puna_plan_grown(g, g->caches, g->n_caches, &g->capacity_caches, sizeof *caches);
    if (!caches)
        return -1;
    g->caches = caches;
    caches[g->n_caches] = *layout;
    return g->n_caches++;
}

int32_t p_state(puna_plan *g, int32_t n_floats)
{
    int32_t *states = puna_plan_grown(g, g->states, g->n_states, &g->capacity_states, sizeof *states);
    if (!states)
        return -1;
    if (n_floats < 1) {
        puna_plan_mistake(g, NULL, "values of a state", (uint64_t)n_floats, 1);
        return -1;
    }
    g->states = states;
    states[g->n_states] = n_floats;
    return g->n_states++;
}

bool puna_plan_cache_known(puna_plan *g, int32_t cache)
{
    if (!g->status && (cache < 0 || cache >= g->n_caches))
        g->status = puna_fail(&g->error, PUNA_ERR_FAILED, "plan: layer %d: no such cache", (int)g->layer);
    return !g->status;
}

void p_kv_store(puna_plan *g, puna_value k, puna_value v, int32_t cache)
{
    if (!puna_plan_usable(g, k) || !puna_plan_usable(g, v) || !puna_plan_cache_known(g, cache))
        return;
    const puna_cache_layout *c = &g->caches[cache];
    if (c->v_in_k || puna_plan_width(g, k) != c->n_head * c->head_dim_k ||
        puna_plan_width(g, v) != c->n_head * c->head_dim_v) {
        puna_plan_mistake(g, NULL, "width of keys", (uint64_t)puna_plan_width(g, k),
                          (uint64_t)(c->n_head * c->head_dim_k));
        return;
    }
    puna_node node = { .op = PUNA_OP_KV_STORE, .in = { k, v }, .p.cache = cache };
    puna_plan_record(g, node, 0, false);
}

puna_value p_attention(puna_plan *g, puna_value q, const puna_attention_params *p, const puna_tensor *sinks,
                       const puna_tensor *bias)
{
    if (!puna_plan_usable(g, q) || !puna_plan_cache_known(g, p->cache) ||
        !puna_plan_vector(g, sinks, (uint64_t)p->n_head) ||
        !puna_plan_vector(g, bias, (uint64_t)p->n_head * (uint64_t)p->n_buckets))
        return -1;
    const puna_cache_layout *c = &g->caches[p->cache];
    if (p->n_head_kv < 1 || p->n_head % p->n_head_kv || c->n_head != p->n_head_kv ||
        c->head_dim_k != p->head_dim || c->head_dim_v != p->head_dim_v ||
        puna_plan_width(g, q) != p->n_head * p->head_dim) {
        puna_plan_mistake(g, NULL, "attention heads", (uint64_t)p->n_head, (uint64_t)p->n_head_kv);
        return -1;
    }
    puna_node node = {
        .op = PUNA_OP_ATTENTION, .in = { q, -1 }, .weight = sinks, .bias = bias, .p.attention = *p
    };
    node.p.attention.v_in_k = c->v_in_k;
    g->whole |= p->mask == PUNA_MASK_ALL;
    return puna_plan_record(g, node, p->n_head * p->head_dim_v, false);
}

puna_value p_select_rows(puna_plan *g, puna_value x)
{
    if (!puna_plan_usable(g, x))
        return -1;
    puna_node node = { .op = PUNA_OP_SELECT_ROWS, .in = { x } };
    return puna_plan_record(g, node, puna_plan_width(g, x), true);
}

void p_logits(puna_plan *g, puna_value x, const puna_tensor *w, const puna_tensor *bias, float scale,
              float softcap)
{
    int32_t n_out;
    if (!puna_plan_usable(g, x) || !puna_plan_matrix(g, w, (uint64_t)puna_plan_width(g, x), 1, &n_out) ||
        !puna_plan_vector(g, bias, (uint64_t)n_out))
        return;
    puna_node node = { .op = PUNA_OP_LOGITS, .in = { x }, .weight = w, .bias = bias };
    node.p.logits.scale = scale;
    node.p.logits.softcap = softcap;
    g->n_output = n_out;
    puna_plan_record(g, node, 0, false);
}

puna_value p_pool(puna_plan *g, puna_value x, puna_pool_kind kind)
{
    if (!puna_plan_usable(g, x))
        return -1;
    if (g->values[x].per_output) {
        puna_plan_mistake(g, NULL, "rows to pool", 1, 0);
        return -1;
    }
    puna_node node = { .op = PUNA_OP_POOL, .in = { x }, .p.pool = kind };
    g->whole = true;
    return puna_plan_record(g, node, puna_plan_width(g, x), true);
}

void p_output(puna_plan *g, puna_value x)
{
    if (!puna_plan_usable(g, x))
        return;
    if (!g->values[x].per_output) {
        puna_plan_mistake(g, NULL, "rows of output", 0, 1);
        return;
    }
    g->n_output = puna_plan_width(g, x);
    g->vectors = true;
    puna_plan_record(g, (puna_node){ .op = PUNA_OP_OUTPUT, .in = { x } }, 0, false);
}
