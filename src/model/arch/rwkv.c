/* rwkv.c - RWKV-6 (arXiv 2404.05892) and RWKV-7 (arXiv 2503.14456), and their time mixing in the place of a
 * transformer's attention (arXiv 2505.03005). A row is mixed with the one before it, which is a state too. */
#include <math.h>

#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

static const puna_act_params sigmoid = { .kind = PUNA_ACT_SIGMOID }, hyperbolic = { .kind = PUNA_ACT_TANH },
                             exponential = { .kind = PUNA_ACT_EXP };
static const puna_glu_params times = { .activation = PUNA_ACT_IDENTITY },
                             times_sigmoid = { .activation = PUNA_ACT_SIGMOID },
                             times_silu = { .activation = PUNA_ACT_SILU };

/* What the row before has more than this one. */
static puna_value change(puna_network *net, puna_value x)
{
    return p_add_scaled(&net->plan, p_shift(&net->plan, x), 1, x, -1);
}

static puna_value lerp(puna_network *net, puna_value x, puna_value change, const puna_tensor *w)
{
    return p_add(&net->plan, x, p_affine(&net->plan, change, 1, w, NULL, 0));
}

/* Through few columns and back, plus a bias. */
static puna_value low_rank(puna_network *net, puna_value x, const puna_tensor *w1, const puna_act_params *act,
                           const puna_tensor *w2, const puna_tensor *bias)
{
    puna_plan *g = &net->plan;
    puna_value y = p_linear(g, x, w1, NULL);
    return p_linear(g, act ? p_act(g, y, act) : y, w2, bias);
}

/* Part i of n of a vector for all, as a vector of its own. */
static const puna_tensor *part(puna_network *net, const puna_tensor *all, int32_t i, int32_t n)
{
    const uint64_t width = (uint64_t)net->hp.n_embd, n_all = all->ne[0] * puna_tensor_rows(all);
    puna_tensor *t = puna_arena_alloc(&net->arena, sizeof *t);
    if (!t || n_all != width * (uint64_t)n) {
        if (!net->plan.status)
            net->plan.status =
                t ? puna_fail(&net->plan.error, PUNA_ERR_FORMAT, "tensor %s: values: got %llu, expected %llu",
                              all->name, (unsigned long long)n_all, (unsigned long long)width * (unsigned)n)
                  : puna_fail_memory(&net->plan.error, all->name, sizeof *t);
        return all;
    }
    *t = *all;
    t->ne[0] = width;
    t->ne[1] = t->ne[2] = t->ne[3] = 1;
    t->data = (const float *)all->data + width * (uint64_t)i;
    t->size_bytes = width * sizeof(float);
    return t;
}

/* Each head with weights of its own. */
static puna_value head_norm(puna_network *net, puna_value y, const puna_rwkv *l)
{
    const puna_norm_params p = { .kind = PUNA_NORM_LAYER, .eps = 64e-5f, .group = net->hp.state.head_dim };
    return l->norm ? p_norm_groups(&net->plan, y, l->norm, l->norm_bias, &p) : y;
}

/* ---- RWKV-6 ----------------------------------------------------------------------------- */

enum { MIX_W, MIX_K, MIX_V, MIX_R, MIX_G, N_MIX };

/* The row mixed with the one before it in five ways, how much of it decided by the row itself. */
static void mix_6(puna_network *net, puna_value a, const puna_rwkv *l, puna_value x[N_MIX])
{
    puna_plan *g = &net->plan;
    const puna_tensor *const apart[] = { l->lerp_w, l->lerp_k, l->lerp_v, l->lerp_r, l->lerp_g };
    puna_value s = change(net, a);
    puna_value m = p_act(g, p_linear(g, lerp(net, a, s, l->lerp_x), l->mix_1, NULL), &hyperbolic);
    m = p_linear_heads(g, m, l->mix_2);
    for (int32_t i = 0; i < N_MIX; i++) {
        puna_value much = p_columns(g, m, 1, i * net->hp.n_embd, net->hp.n_embd);
        much = p_affine(g, much, 1, NULL, l->lerp ? part(net, l->lerp, i, N_MIX) : apart[i], 0);
        x[i] = p_add(g, a, p_glu(g, much, s, &times));
    }
}

/* Logarithms of what a key's memory keeps. */
static puna_value decay_6(puna_network *net, puna_value x, const puna_rwkv *l)
{
    puna_value w = low_rank(net, x, l->decay_1, &hyperbolic, l->decay_2, l->decay);
    return p_affine(&net->plan, p_act(&net->plan, w, &exponential), -1, NULL, NULL, 0);
}

static puna_value time_mix_6(puna_network *net, puna_value a, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_rwkv *l = &net->layers[il].rwkv;
    const int32_t n_head = net->hp.n_embd / net->hp.state.head_dim;
    const puna_memory_params p = {
        .rule = PUNA_MEMORY_BONUS, .n_head = n_head, .n_head_k = n_head, .scale = 1
    };
    puna_value x[N_MIX];
    mix_6(net, a, l, x);
    puna_memory_inputs in = { .a = -1, .b = -1 };
    in.q = p_linear(g, x[MIX_R], l->wr, NULL);
    in.k = p_linear(g, x[MIX_K], l->wk, NULL);
    in.v = p_linear(g, x[MIX_V], l->wv, NULL);
    in.decay = decay_6(net, x[MIX_W], l);
    puna_value y = head_norm(net, p_memory_scan(g, &in, l->first, &p), l);
    return p_glu(g, p_linear(g, x[MIX_G], l->wg, NULL), y, &times_silu);
}

/* Heads of keys or values for as many of queries each. */
static puna_value repeated(puna_network *net, puna_value x, int32_t n_head_kv, int32_t n)
{
    puna_value y = x;
    for (int32_t i = 1; i < n; i++)
        y = p_join(&net->plan, y, x, n_head_kv);
    return y;
}

static puna_value time_mix_6_qwen2(puna_network *net, puna_value a, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_rwkv *l = &net->layers[il].rwkv;
    const int32_t dim = net->hp.state.head_dim, n_head = net->hp.n_embd / dim,
                  n_kv = net->hp.layers[il].n_head_kv;
    const puna_memory_params p = {
        .rule = PUNA_MEMORY_ADD, .n_head = n_head, .n_head_k = n_head, .scale = 1 / sqrtf((float)dim)
    };
    const puna_glu_params rest = { .activation = PUNA_ACT_IDENTITY, .up_offset = 1 };
    puna_value x[N_MIX];
    mix_6(net, a, l, x);
    puna_memory_inputs in = { .a = -1, .b = -1 };
    in.q = p_linear(g, x[MIX_R], l->wr, l->br);
    in.k = p_linear(g, x[MIX_K], l->wk, l->bk);
    in.v = p_linear(g, x[MIX_V], l->wv, l->bv);
    if (n_kv > 0 && n_kv != n_head) {
        in.k = repeated(net, in.k, n_kv, n_head / n_kv);
        in.v = repeated(net, in.v, n_kv, n_head / n_kv);
    }
    in.decay = decay_6(net, x[MIX_W], l);
    puna_value kept = p_act(g, in.decay, &exponential);
    in.k = p_glu(g, in.k, p_affine(g, kept, -1, NULL, NULL, 0), &rest); /* k (1 - w) */
    return p_glu(g, p_linear(g, x[MIX_G], l->wg, NULL), p_memory_scan(g, &in, NULL, &p), &times_sigmoid);
}

static puna_value channel_mix_6(puna_network *net, puna_value h, puna_value x, puna_value y, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_rwkv *l = &net->layers[il].rwkv;
    (void)x, (void)y;
    puna_value s = change(net, h);
    puna_value k = p_linear(g, lerp(net, h, s, l->ff_lerp_k), l->ff_key, NULL);
    k = p_linear(g, p_act(g, k, &(puna_act_params){ .kind = PUNA_ACT_RELU_SQUARED }), l->ff_value, NULL);
    return p_glu(g, p_linear(g, lerp(net, h, s, l->ff_lerp_r), l->ff_receptance, NULL), k, &times_sigmoid);
}

/* Halves values every few layers, so that they fit into half precision. */
static void build_6(puna_network *net)
{
    const int32_t every = net->hp.state.rescale_every;
    p_layer(&net->plan, -1);
    puna_value x = puna_build_embed(net);
    for (int32_t il = 0; il < net->hp.n_layer; il++) {
        x = puna_build_layer(net, x, il, il == net->hp.n_layer - 1);
        if (every > 0 && (il + 1) % every == 0)
            x = p_affine(&net->plan, x, 0.5f, NULL, NULL, 0);
    }
    puna_build_output(net, x);
}

/* ---- RWKV-7 ----------------------------------------------------------------------------- */

/* Values lean on those of the first layer. */
static puna_value value_7(puna_network *net, puna_value x, const puna_rwkv *l, int32_t il)
{
    puna_plan *g = &net->plan;
    puna_value v = p_linear(g, x, l->wv, NULL);
    if (il == 0)
        return net->first_v = v;
    puna_value much = low_rank(net, x, l->value_1, NULL, l->value_2, l->value);
    return p_add(g, v, p_glu(g, much, p_add_scaled(g, net->first_v, 1, v, -1), &times_sigmoid));
}

/* Keys as they are written; to_a, to_b: what the memory forgets of itself. */
static puna_value key_7(puna_network *net, puna_value k, puna_value rate, const puna_rwkv *l,
                        puna_value *to_a, puna_value *to_b)
{
    puna_plan *g = &net->plan;
    const puna_norm_params unit = { .kind = PUNA_NORM_L2, .eps = 1e-12f, .group = net->hp.state.head_dim };
    puna_value kk = p_norm_groups(g, p_affine(g, k, 1, l->k_k, NULL, 0), NULL, NULL, &unit);
    puna_value ka = p_affine(g, k, 1, l->k_a, NULL, 0);
    *to_a = p_affine(g, kk, -1, NULL, NULL, 0);
    *to_b = p_glu(g, rate, kk, &times);
    return p_add(g, k, p_add_scaled(g, p_glu(g, rate, ka, &times), 1, ka, -1));
}

/* For each head: as much of its value as its key and query fit. */
static puna_value bonus_7(puna_network *net, const puna_memory_inputs *in, const puna_rwkv *l)
{
    puna_plan *g = &net->plan;
    puna_tensor *heads = puna_arena_alloc(&net->arena, sizeof *heads);
    const uint64_t dim = (uint64_t)net->hp.state.head_dim;
    if (!heads)
        return -1;
    *heads = *l->r_k;
    heads->ne[2] = l->r_k->ne[0] * puna_tensor_rows(l->r_k) / dim;
    heads->ne[0] = dim;
    heads->ne[1] = heads->ne[3] = 1;
    puna_value fit = p_linear_heads(g, p_glu(g, in->k, in->q, &times), heads);
    return p_glu(g, fit, in->v, &times);
}

static puna_value time_mix_7(puna_network *net, puna_value a, int32_t il)
{
    enum { R, W, K, V, A, G };
    puna_plan *g = &net->plan;
    const puna_rwkv *l = &net->layers[il].rwkv;
    const int32_t n_head = net->hp.n_embd / net->hp.state.head_dim, n = l->gate_1 && l->gate_2 ? 6 : 5;
    const puna_memory_params p = {
        .rule = PUNA_MEMORY_RANK1, .n_head = n_head, .n_head_k = n_head, .scale = 1
    };
    puna_value s = change(net, a), x[6];
    for (int32_t i = 0; i < n; i++)
        x[i] = lerp(net, a, s, part(net, l->lerp, i, n));
    puna_memory_inputs in = { .q = p_linear(g, x[R], l->wr, NULL) };
    puna_value w = p_act(g, low_rank(net, x[W], l->decay_1, &hyperbolic, l->decay_2, l->decay), &sigmoid);
    in.decay = p_affine(g, w, -0.606531f, NULL, NULL, 0); /* exp(-0.5) */
    in.v = value_7(net, x[V], l, il);
    puna_value rate = p_act(g, low_rank(net, x[A], l->rate_1, NULL, l->rate_2, l->rate), &sigmoid);
    in.k = key_7(net, p_linear(g, x[K], l->wk, NULL), rate, l, &in.a, &in.b);
    puna_value y = head_norm(net, p_memory_scan(g, &in, NULL, &p), l);
    y = p_add(g, y, bonus_7(net, &in, l));
    return n < 6 ? y : p_glu(g, low_rank(net, x[G], l->gate_1, &sigmoid, l->gate_2, NULL), y, &times);
}

static puna_value channel_mix_7(puna_network *net, puna_value h, puna_value x, puna_value y, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_rwkv *l = &net->layers[il].rwkv;
    (void)x, (void)y;
    puna_value k = p_linear(g, lerp(net, h, change(net, h), l->ff_lerp_k), l->ff_key, NULL);
    return p_linear(g, p_act(g, k, &(puna_act_params){ .kind = PUNA_ACT_RELU_SQUARED }), l->ff_value, NULL);
}

/* ---- keys ------------------------------------------------------------------------------- */

/* n_shift: how many branches of a layer mix rows. */
static void wkv_keys(puna_hparams *hp, puna_keys *k, int32_t n_shift)
{
    puna_state_hparams *s = &hp->state;
    puna_key_need(k, "wkv.head_size");
    s->head_dim = puna_key_int(k, "wkv.head_size", 64, 1, 1 << 13);
    if (hp->n_embd % s->head_dim)
        puna_key_mistake(k, "wkv.head_size", s->head_dim, "a divisor of embedding_length");
    const int32_t said = puna_key_int(k, "token_shift_count", 2, 0, 8);
    if (said != n_shift)
        puna_key_mistake(k, "token_shift_count", said, n_shift == 1 ? "1" : "2");
    for (int32_t i = 0; i < hp->n_layer; i++) {
        hp->layers[i].recurrent = true;
        hp->layers[i].attends = false;
    }
}

static void wkv6_keys(puna_hparams *hp, puna_keys *k, int32_t n_shift)
{
    wkv_keys(hp, k, n_shift);
    puna_key_need(k, "time_mix_extra_dim");
    hp->state.n_in = puna_key_int(k, "time_mix_extra_dim", 1, 1, 1 << 16);
    hp->state.n_x = N_MIX * hp->state.n_in;
}

static void rwkv6_keys(puna_hparams *hp, puna_keys *k)
{
    wkv6_keys(hp, k, 2);
    hp->state.rescale_every = puna_key_int(k, "rescale_every_n_layers", 0, 0, 1 << 12);
}

static void rwkv6qwen2_keys(puna_hparams *hp, puna_keys *k)
{
    wkv6_keys(hp, k, 1);
    const int32_t n_head = hp->n_embd / hp->state.head_dim;
    for (int32_t i = 0; i < hp->n_layer; i++)
        if (hp->layers[i].n_head_kv > 0 && n_head % hp->layers[i].n_head_kv)
            puna_key_mistake(k, "attention.head_count_kv", hp->layers[i].n_head_kv, "a divisor of the heads");
}

static void rwkv7_keys(puna_hparams *hp, puna_keys *k)
{
    wkv_keys(hp, k, 2);
}

static void arwkv7_keys(puna_hparams *hp, puna_keys *k)
{
    wkv_keys(hp, k, 1);
}

static const puna_alias rwkv_names[] = {
    { "attn_norm_2.weight", "ffn_norm.weight" },
    { "attn_norm_2.bias", "ffn_norm.bias" },
    { NULL, NULL },
};

#define RWKV_BASE                                                                          \
    (PUNA_SET(EMBEDDING) | PUNA_SET(EMBEDDING_NORM) | PUNA_SET(EMBEDDING_NORM_BIAS) |      \
     PUNA_SET(OUTPUT_NORM) | PUNA_SET(OUTPUT) | PUNA_SET(ATTN_NORM) | PUNA_SET(FFN_NORM) | \
     PUNA_SETS_LAYER_NORM_BIAS | PUNA_SET(WKV) | PUNA_SET(WKV_NORM) | PUNA_SET(CHANNEL_MIX))
#define ROWS_BASE                                                                           \
    (PUNA_SET(EMBEDDING) | PUNA_SET(OUTPUT_NORM) | PUNA_SET(OUTPUT) | PUNA_SET(ATTN_NORM) | \
     PUNA_SET(FFN_NORM) | PUNA_SETS_GATED | PUNA_SET(WKV) | PUNA_SET(WKV_LERP))

const puna_arch puna_arch_rwkv6 = {
    .name = "rwkv6",
    .traits = PUNA_TRAIT_ALL_ROWS,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs =
        RWKV_BASE | PUNA_SET(WKV6) | PUNA_SET(WKV6_FIRST) | PUNA_SET(WKV_LERPS) | PUNA_SET(CHANNEL_MIX_GATE),
    .may = PUNA_SET(WKV_LERP),
    .aliases = rwkv_names,
    .adjust = rwkv6_keys,
    .mixer = time_mix_6,
    .feed_forward = channel_mix_6,
    .build = build_6,
    .tiny = TINY,
};

const puna_arch puna_arch_rwkv6qwen2 = {
    .name = "rwkv6qwen2",
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = ROWS_BASE | PUNA_SET(WKV6),
    .may = PUNA_SET(OUTPUT_NORM_BIAS) | PUNA_SET(WKV6_BIAS),
    .adjust = rwkv6qwen2_keys,
    .mixer = time_mix_6_qwen2,
    .tiny = TINY,
};

const puna_arch puna_arch_rwkv7 = {
    .name = "rwkv7",
    .traits = PUNA_TRAIT_ALL_ROWS,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = RWKV_BASE | PUNA_SET(WKV_LERP) | PUNA_SET(WKV7) | PUNA_SET(WKV7_GATE),
    .aliases = rwkv_names,
    .adjust = rwkv7_keys,
    .mixer = time_mix_7,
    .feed_forward = channel_mix_7,
    .tiny = TINY,
};

const puna_arch puna_arch_arwkv7 = {
    .name = "arwkv7",
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = ROWS_BASE | PUNA_SET(WKV7),
    .may = PUNA_SET(WKV7_GATE) | PUNA_SET(WKV_NORM),
    .adjust = arwkv7_keys,
    .mixer = time_mix_7,
    .tiny = TINY,
};
