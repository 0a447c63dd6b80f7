/* plan.c - the recorder: checks shapes, appends nodes, keeps the first mistake. */
#include "ops/plan.h"

#include <string.h>

void puna_plan_free(puna_plan *g)
{
    puna_arena_free(&g->arena);
    *g = (puna_plan){ 0 };
}

void p_layer(puna_plan *g, int32_t layer)
{
    g->layer = layer;
}

/* Makes room for one more element; arrays move within the arena and double, so at most twice the
 * memory is spent. NULL sets the sticky error. */
static void *grown(puna_plan *g, void *array, int32_t n, int32_t *capacity, size_t size)
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

static void mistake(puna_plan *g, const puna_tensor *w, const char *what, uint64_t got, uint64_t expected)
{
    if (!g->status)
        g->status = puna_fail(&g->error, PUNA_ERR_FORMAT, "tensor %s: %s: got %llu, expected %llu",
                              w ? w->name : "(none)", what, (unsigned long long)got,
                              (unsigned long long)expected);
}

static bool usable(puna_plan *g, puna_value v)
{
    if (g->status)
        return false;
    if (v >= 0 && v < g->n_values)
        return true;
    g->status = puna_fail(&g->error, PUNA_ERR_FAILED, "plan: layer %d: an operation lacks its input", (int)g->layer);
    return false;
}

static int32_t width_of(const puna_plan *g, puna_value v)
{
    return g->values[v].width;
}

/* Appends a node; width > 0 gives it an output of that width. */
static puna_value record(puna_plan *g, puna_node node, int32_t width, bool per_output)
{
    puna_node *nodes = grown(g, g->nodes, g->n_nodes, &g->capacity_nodes, sizeof *nodes);
    if (!nodes)
        return -1;
    g->nodes = nodes;
    node.layer = g->layer;
    node.out = -1;
    if (width > 0) {
        puna_value_info *values = grown(g, g->values, g->n_values, &g->capacity_values, sizeof *values);
        if (!values)
            return -1;
        g->values = values;
        values[g->n_values] =
            (puna_value_info){ .width = width, .per_output = per_output, .first = g->n_nodes, .last = g->n_nodes };
        node.out = g->n_values++;
    }
    for (int i = 0; i < 2; i++)
        if (node.in[i] >= 0)
            g->values[node.in[i]].last = g->n_nodes;
    nodes[g->n_nodes++] = node;
    return node.out;
}

/* A weight matrix that takes n_in values; its n_out goes to *n_out. */
static bool matrix(puna_plan *g, const puna_tensor *w, uint64_t n_in, int32_t *n_out)
{
    if (g->status)
        return false;
    if (!w)
        g->status = puna_fail(&g->error, PUNA_ERR_FAILED, "plan: layer %d: an operation lacks its weight", (int)g->layer);
    else if (n_in && w->ne[0] != n_in)
        mistake(g, w, "dim[0]", w->ne[0], n_in);
    else if (w->ne[0] > INT32_MAX || puna_tensor_rows(w) > INT32_MAX)
        mistake(g, w, "rows", puna_tensor_rows(w), INT32_MAX);
    else if (w->ne[2] != 1 || w->ne[3] != 1)
        mistake(g, w, "dim[2]", w->ne[2], 1);
    else
        *n_out = (int32_t)w->ne[1];
    return !g->status;
}

/* A vector of float32; NULL is allowed when it is optional. */
static bool vector(puna_plan *g, const puna_tensor *w, uint64_t n)
{
    if (g->status || !w)
        return !g->status;
    if (w->format->id != PUNA_FORMAT_F32)
        mistake(g, w, "encoding", (uint64_t)w->format->id, PUNA_FORMAT_F32);
    else if (w->ne[0] != n)
        mistake(g, w, "dim[0]", w->ne[0], n);
    else if (puna_tensor_rows(w) != 1)
        mistake(g, w, "dim[1]", puna_tensor_rows(w), 1);
    return !g->status;
}

puna_value p_embed(puna_plan *g, const puna_tensor *table, float scale)
{
    int32_t n_rows;
    if (!matrix(g, table, 0, &n_rows))
        return -1;
    puna_node node = { .op = PUNA_OP_EMBED, .in = { -1, -1 }, .weight = table };
    node.p.scale = scale;
    return record(g, node, (int32_t)table->ne[0], false);
}

puna_value p_norm(puna_plan *g, puna_value x, const puna_tensor *weight, const puna_tensor *bias,
                  puna_norm_kind kind, float eps)
{
    if (!usable(g, x))
        return -1;
    int32_t width = width_of(g, x), group = width;
    /* A weight narrower than the value is one weight for every head. */
    if (weight && weight->ne[0] > 0 && weight->ne[0] < (uint64_t)width && (uint64_t)width % weight->ne[0] == 0)
        group = (int32_t)weight->ne[0];
    if (!vector(g, weight, (uint64_t)group) || !vector(g, bias, (uint64_t)group))
        return -1;
    puna_node node = { .op = PUNA_OP_NORM, .in = { x, -1 }, .weight = weight, .bias = bias };
    node.p.norm = (puna_norm_params){ .kind = kind, .eps = eps, .group = group };
    return record(g, node, width, g->values[x].per_output);
}

puna_value p_linear(puna_plan *g, puna_value x, const puna_tensor *w, const puna_tensor *bias)
{
    int32_t n_out;
    if (!usable(g, x) || !matrix(g, w, (uint64_t)width_of(g, x), &n_out) || !vector(g, bias, (uint64_t)n_out))
        return -1;
    puna_node node = { .op = PUNA_OP_LINEAR, .in = { x, -1 }, .weight = w, .bias = bias };
    return record(g, node, n_out, g->values[x].per_output);
}

puna_value p_rope(puna_plan *g, puna_value x, const puna_rope_params *p, const puna_tensor *factors)
{
    if (!usable(g, x) || !vector(g, factors, (uint64_t)p->n_rot / 2))
        return -1;
    if (p->n_head * p->head_dim != width_of(g, x) || p->n_rot > p->head_dim || p->n_rot % 2 || p->n_rot < 2) {
        mistake(g, NULL, "rope dimensions", (uint64_t)p->n_rot, (uint64_t)p->head_dim);
        return -1;
    }
    puna_node node = { .op = PUNA_OP_ROPE, .in = { x, -1 }, .weight = factors };
    node.p.rope = *p;
    return record(g, node, width_of(g, x), false);
}

int32_t p_cache(puna_plan *g, const puna_cache_layout *layout)
{
    puna_cache_layout *caches = grown(g, g->caches, g->n_caches, &g->capacity_caches, sizeof *caches);
    if (!caches)
        return -1;
    g->caches = caches;
    caches[g->n_caches] = *layout;
    return g->n_caches++;
}

static bool cache_known(puna_plan *g, int32_t cache)
{
    if (!g->status && (cache < 0 || cache >= g->n_caches))
        g->status = puna_fail(&g->error, PUNA_ERR_FAILED, "plan: layer %d: no such cache", (int)g->layer);
    return !g->status;
}

void p_kv_store(puna_plan *g, puna_value k, puna_value v, int32_t cache)
{
    if (!usable(g, k) || !usable(g, v) || !cache_known(g, cache))
        return;
    const puna_cache_layout *c = &g->caches[cache];
    if (width_of(g, k) != c->n_head * c->head_dim_k || width_of(g, v) != c->n_head * c->head_dim_v) {
        mistake(g, NULL, "width of keys", (uint64_t)width_of(g, k), (uint64_t)(c->n_head * c->head_dim_k));
        return;
    }
    puna_node node = { .op = PUNA_OP_KV_STORE, .in = { k, v } };
    node.p.cache = cache;
    record(g, node, 0, false);
}

puna_value p_attention(puna_plan *g, puna_value q, const puna_attention_params *p)
{
    if (!usable(g, q) || !cache_known(g, p->cache))
        return -1;
    const puna_cache_layout *c = &g->caches[p->cache];
    if (p->n_head_kv < 1 || p->n_head % p->n_head_kv || c->n_head != p->n_head_kv ||
        c->head_dim_k != p->head_dim || c->head_dim_v != p->head_dim_v ||
        width_of(g, q) != p->n_head * p->head_dim) {
        mistake(g, NULL, "attention heads", (uint64_t)p->n_head, (uint64_t)p->n_head_kv);
        return -1;
    }
    puna_node node = { .op = PUNA_OP_ATTENTION, .in = { q, -1 } };
    node.p.attention = *p;
    return record(g, node, p->n_head * p->head_dim_v, false);
}

static bool same_width(puna_plan *g, puna_value a, puna_value b)
{
    if (!usable(g, a) || !usable(g, b))
        return false;
    if (width_of(g, a) != width_of(g, b) || g->values[a].per_output != g->values[b].per_output)
        mistake(g, NULL, "width", (uint64_t)width_of(g, b), (uint64_t)width_of(g, a));
    return !g->status;
}

puna_value p_glu(puna_plan *g, puna_value gate, puna_value up, puna_activation activation)
{
    if (!same_width(g, gate, up))
        return -1;
    puna_node node = { .op = PUNA_OP_GLU, .in = { gate, up } };
    node.p.activation = activation;
    return record(g, node, width_of(g, gate), g->values[gate].per_output);
}

puna_value p_add(puna_plan *g, puna_value x, puna_value y)
{
    if (!same_width(g, x, y))
        return -1;
    puna_node node = { .op = PUNA_OP_ADD, .in = { x, y } };
    return record(g, node, width_of(g, x), g->values[x].per_output);
}

puna_value p_select_rows(puna_plan *g, puna_value x)
{
    if (!usable(g, x))
        return -1;
    puna_node node = { .op = PUNA_OP_SELECT_ROWS, .in = { x, -1 } };
    return record(g, node, width_of(g, x), true);
}

void p_logits(puna_plan *g, puna_value x, const puna_tensor *w, float scale, float softcap)
{
    int32_t n_out;
    if (!usable(g, x) || !matrix(g, w, (uint64_t)width_of(g, x), &n_out))
        return;
    puna_node node = { .op = PUNA_OP_LOGITS, .in = { x, -1 }, .weight = w };
    node.p.logits.scale = scale;
    node.p.logits.softcap = softcap;
    g->n_vocab = n_out;
    record(g, node, 0, false);
}
