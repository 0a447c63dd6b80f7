/* random_plan.h - plans of decoders with random weights and any mixture of traits, for test_cpu_backend.c alone. */
#ifndef PUNA_TESTS_RANDOM_PLAN_H
#define PUNA_TESTS_RANDOM_PLAN_H

#include <stdlib.h>
#include "backend/cpu/cpu.h"
#include "backend/cpu/steps.h"
#include "base/rng.h"
#include "harness.h"
#include "ops/backend.h"

typedef struct traits {
    const char *name;
    int32_t width, n_layers, n_head, n_head_kv, head_dim, head_dim_v, n_ff, n_vocab;
    puna_format format;
    puna_norm_kind norm;
    puna_rope_pairing pairing;
    puna_activation activation;
    int32_t n_rot, window;
    float softcap, logit_cap, yarn;
    bool bias, qk_norm, full_norm, post_norm, parallel, factors, late_select, early_select;
    bool borrows;    /* from the third layer on, keys and values are those of two layers before */
    bool streams;    /* what a layer adds is weighted by what it read, and as long */
    puna_mask mask;
    bool sinks;
    float alibi, temperature;
    int32_t n_expert, n_used, n_group; /* a mixture */
    puna_gating gating;
    bool plain_experts, fused, expert_bias, expert_scale, weight_first, choice_bias;
    float limit, up_offset;
    bool no_kernels; /* weights in an encoding that kernels.def does not know */
} traits;

static const traits plain = {
    .name = "llama",
    .width = 64,
    .n_layers = 2,
    .n_head = 6,
    .n_head_kv = 2,
    .head_dim = 16,
    .head_dim_v = 16,
    .n_ff = 96,
    .n_vocab = 83,
    .format = PUNA_FORMAT_F32,
    .n_rot = 16,
};

typedef struct model {
    traits t;
    puna_arena arena;
    puna_rng rng;
    puna_plan plan;
} model;

static float normal(puna_rng *rng)
{
    double sum = 0;
    for (int i = 0; i < 6; i++)
        sum += puna_rng_uniform(rng) - 0.5;
    return (float)(sum * 1.4142135623730951);
}

static puna_tensor *tensor(model *m, puna_format format, int32_t n_in, int32_t n_out, float mean,
                           float spread)
{
    const puna_format_info *info = puna_format_get((uint32_t)format);
    puna_tensor *t = puna_arena_alloc(&m->arena, sizeof *t);
    size_t n = (size_t)n_in * (size_t)n_out;
    float *values = puna_arena_array(&m->arena, n, sizeof *values);
    *t = (puna_tensor){
        .name = "random", .format = info, .n_dims = 2, .ne = { (uint64_t)n_in, (uint64_t)n_out, 1, 1 }
    };
    for (size_t i = 0; i < n; i++)
        values[i] = mean + spread * normal(&m->rng);
    t->size_bytes = puna_tensor_row_bytes(t) * (uint64_t)n_out;
    t->data = values;
    if (format == PUNA_FORMAT_F32)
        return t;
    void *blocks = puna_arena_alloc(&m->arena, t->size_bytes);
    info->quantize(values, blocks, n);
    t->data = blocks;
    return t;
}

static puna_tensor *matrices(model *m, int32_t n_in, int32_t n_out, int32_t n)
{
    puna_tensor *t = tensor(m, m->t.format, n_in, n_out * n, 0, 1 / sqrtf((float)n_in));
    t->ne[1] = (uint64_t)n_out;
    t->ne[2] = (uint64_t)n;
    if (m->t.no_kernels) {
        puna_format_info *info = puna_arena_alloc(&m->arena, sizeof *info);
        *info = *t->format;
        info->id = PUNA_FORMAT_COUNT_MAX - 1;
        t->format = info;
    }
    return t;
}

static puna_tensor *matrix(model *m, int32_t n_in, int32_t n_out)
{
    return matrices(m, n_in, n_out, 1);
}

static puna_tensor *vector(model *m, int32_t n, float mean)
{
    return tensor(m, PUNA_FORMAT_F32, n, 1, mean, 0.2f);
}

static puna_value norm(model *m, puna_value x, int32_t n)
{
    bool layer = m->t.norm == PUNA_NORM_LAYER;
    return p_norm(&m->plan, x, vector(m, n, 1), layer ? vector(m, n, 0) : NULL, m->t.norm, 1e-5f);
}

static puna_value linear(model *m, puna_value x, int32_t n_in, int32_t n_out)
{
    return p_linear(&m->plan, x, matrix(m, n_in, n_out), m->t.bias ? vector(m, n_out, 0) : NULL);
}

static puna_value rotate(model *m, puna_value x, int32_t n_head, int32_t layer)
{
    const traits *t = &m->t;
    puna_rope_params p = { .pairing = t->pairing,
                           .n_head = n_head,
                           .head_dim = t->head_dim,
                           .n_rot = t->n_rot,
                           .base = layer % 2 ? 1e6f : 1e4f,
                           .scale = t->yarn > 0 ? 0.25f : 1,
                           .yarn_ext = t->yarn,
                           .yarn_beta_fast = 32,
                           .yarn_beta_slow = 1,
                           .magnitude = 1,
                           .n_ctx_orig = 64 };
    return p_rope(&m->plan, x, &p, NULL);
}

static puna_value heads(model *m, puna_value h, int32_t n_head, int32_t layer)
{
    const traits *t = &m->t;
    puna_value x = linear(m, h, t->width, n_head * t->head_dim);
    if (t->qk_norm)
        x = norm(m, x, t->full_norm ? n_head * t->head_dim : t->head_dim);
    return t->n_rot ? rotate(m, x, n_head, layer) : x;
}

static puna_value attention(model *m, puna_value h, int32_t layer)
{
    const traits *t = &m->t;
    puna_plan *g = &m->plan;
    int32_t window = layer % 2 == 0 ? t->window : 0;
    const bool borrows = t->borrows && layer >= 2;
    int32_t cache = borrows ? layer % 2
                            : p_cache(g, &(puna_cache_layout){ .n_head = t->n_head_kv, .head_dim_k = t->head_dim,
                                                                .head_dim_v = t->head_dim_v, .window = window });
    puna_attention_params p = { .n_head = t->n_head,
                                .n_head_kv = t->n_head_kv,
                                .head_dim = t->head_dim,
                                .head_dim_v = t->head_dim_v,
                                .cache = cache,
                                .window = window,
                                .scale = 1 / sqrtf((float)t->head_dim),
                                .softcap = t->softcap,
                                .mask = t->mask,
                                .alibi = t->alibi,
                                .temperature = t->temperature,
                                .temperature_length = 9 };
    const puna_tensor *sinks = t->sinks ? vector(m, t->n_head, 0.5f) : NULL;
    puna_value q = heads(m, h, t->n_head, layer);
    if (borrows)
        return p_attention(g, q, &p, sinks, NULL);
    puna_value k = heads(m, h, t->n_head_kv, layer);
    puna_value v = linear(m, h, t->width, t->n_head_kv * t->head_dim_v);
    p_kv_store(g, k, v, cache);
    return p_attention(g, q, &p, sinks, NULL);
}

/* Routers are F32, and their scores far apart: where two were as good, errors would choose. */
static puna_value mixture(model *m, puna_value h)
{
    const traits *t = &m->t;
    const int32_t n = t->n_expert, n_gate = t->fused ? 2 * t->n_ff : t->n_ff;
    const puna_route_params route = { .gating = t->gating ? t->gating : PUNA_GATING_SOFTMAX,
                                      .n_used = t->n_used,
                                      .n_group = t->n_group,
                                      .n_group_used = t->n_group / 2,
                                      .normalise = t->n_used > 1,
                                      .scale = 1.5f };
    const puna_experts_params p = {
        .n_used = t->n_used,
        .gated = !t->plain_experts,
        .fused = t->fused,
        .weight_first = t->weight_first,
        .glu = { .activation = t->activation, .limit = t->limit, .up_offset = t->up_offset },
    };
    puna_value scores =
        p_linear(&m->plan, h, tensor(m, PUNA_FORMAT_F32, t->width, n, 0, 4 / sqrtf((float)t->width)), NULL);
    puna_experts e = { .down = matrices(m, t->n_ff, t->width, n) };
    if (p.gated)
        e.gate = matrices(m, t->width, n_gate, n);
    if (!p.fused)
        e.up = matrices(m, t->width, t->n_ff, n);
    if (t->expert_bias) {
        e.gate_bias = p.gated ? vector(m, n_gate * n, 0) : NULL;
        e.up_bias = p.fused ? NULL : vector(m, t->n_ff * n, 0);
        e.down_bias = vector(m, t->width * n, 0);
    }
    if (t->expert_scale) {
        e.gate_scale = p.gated ? vector(m, n, 1) : NULL;
        e.up_scale = p.fused ? NULL : vector(m, n, 1);
        e.down_scale = vector(m, n, 1);
    }
    return p_moe_ffn(&m->plan, h,
                     p_moe_route(&m->plan, scores, t->choice_bias ? vector(m, n, 0) : NULL, &route), &e, &p);
}

static puna_value feed_forward(model *m, puna_value h)
{
    const traits *t = &m->t;
    if (t->n_expert)
        return mixture(m, h);
    puna_value gate = linear(m, h, t->width, t->n_ff), up = linear(m, h, t->width, t->n_ff);
    return linear(m, p_glu(&m->plan, gate, up, &(puna_glu_params){ .activation = t->activation }), t->n_ff,
                  t->width);
}

/* Two sums of x and y, weighted by what x says, of which the second is made as long as y and the first is added. */
static puna_value mixed(model *m, puna_value x, puna_value y)
{
    puna_plan *g = &m->plan;
    const int32_t width = m->t.width;
    puna_value sums = p_mix(g, p_join(g, x, y, 1), linear(m, x, width, 4), 2);
    puna_value second = p_norm(g, p_columns(g, sums, 1, width, width), NULL, NULL, PUNA_NORM_L2, 1e-6f);
    second = p_glu(g, p_divisor(g, y, PUNA_NORM_L2, 0), second, &(puna_glu_params){ .activation = PUNA_ACT_IDENTITY });
    puna_value spread = p_divisor(g, second, PUNA_NORM_LAYER, 1e-5f);
    second = p_glu(g, spread, second, &(puna_glu_params){ .activation = PUNA_ACT_TANH, .up_offset = 0.5f });
    return p_add(g, second, p_columns(g, sums, 1, 0, width));
}

static puna_value layer(model *m, puna_value x, int32_t i)
{
    const traits *t = &m->t;
    puna_plan *g = &m->plan;
    p_layer(g, i);
    puna_value h = norm(m, x, t->width);
    puna_value a = attention(m, h, i);
    if (t->early_select && i == t->n_layers - 1) {
        a = p_select_rows(g, a);
        x = p_select_rows(g, x);
    }
    a = linear(m, a, t->n_head * t->head_dim_v, t->width);
    if (t->parallel)
        return p_add(g, p_add(g, x, a), feed_forward(m, h));
    x = p_add(g, x, t->post_norm ? norm(m, a, t->width) : a);
    puna_value d = feed_forward(m, norm(m, x, t->width));
    if (t->streams)
        d = mixed(m, x, d);
    return p_add(g, t->post_norm ? norm(m, d, t->width) : d, x);
}

static bool build(model *m, const traits *t, uint64_t seed)
{
    puna_error err = { 0 };
    *m = (model){ .t = *t, .rng = puna_rng_make(seed) };
    puna_plan *g = &m->plan;
    puna_value x =
        p_embed(g, tensor(m, t->format, t->width, t->n_vocab, 0, 0.5f), &(puna_embed_params){ .scale = 2 });
    for (int32_t i = 0; i < t->n_layers; i++)
        x = layer(m, x, i);
    p_layer(g, -1);
    if (!t->early_select && !t->late_select)
        x = p_select_rows(g, x);
    x = norm(m, x, t->width);
    if (t->late_select)
        x = p_select_rows(g, x);
    p_logits(g, x, matrix(m, t->width, t->n_vocab), NULL, t->logit_cap > 0 ? 0.7f : 1, t->logit_cap);
    return CHECK_OK(puna_plan_place(g, true, &err), err);
}

static void drop(model *m)
{
    puna_plan_free(&m->plan);
    puna_arena_free(&m->arena);
}

#endif
