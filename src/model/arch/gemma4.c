/* gemma4.c - Gemma 3n and Gemma 4: every layer gets a share of the tokens' embeddings of its own, the last layers
 * read the keys and values of earlier ones, values are normalised. Gemma 3n carries several streams from layer to
 * layer (AltUp, arXiv 2301.13310) and adds a matrix of low rank beside attention (LAuReL, arXiv 2411.07501); in
 * Gemma 4 heads are wider on layers without a window, and experts may stand beside the feed-forward part. */
#include <math.h>
#include <stddef.h>

#include "base/limits.h"
#include "model/network.h"

#define TINY                                                                                                          \
    { .n_layer = 7, .n_embd = 48, .n_head = 4, .n_head_kv = 1, .head_dim = 32, .n_ff = 64, .n_vocab = 128, .window = 8 }

static void mistake(puna_network *net, int32_t il, const char *what)
{
    puna_plan *g = &net->plan;
    if (!g->status)
        g->status = puna_fail(&g->error, PUNA_ERR_FORMAT, "layer %d: %s", (int)il, what);
}

/* ---- what both have --------------------------------------------------------------------- */

/* From n_own_kv on, a layer reads the last cache of its own kind. */
static puna_value borrowed(puna_network *net, puna_value q, int32_t il)
{
    const puna_hparams *hp = &net->hp;
    const int32_t of = hp->n_own_kv - (hp->layers[il].window > 0 ? 2 : 1);
    if (of < 0 || hp->layers[of].window != hp->layers[il].window)
        mistake(net, il, "got the keys of a layer of another kind, expected a window on both or on neither");
    return puna_build_attend_over(net, q, of, il);
}

static puna_value gemma_attention(puna_network *net, puna_value h, int32_t il)
{
    const puna_hparams *hp = &net->hp;
    const puna_layer *l = &net->layers[il];
    const puna_layer_hparams *lh = &hp->layers[il];
    const int32_t dim_k = puna_head_dim_k(hp, lh);
    const puna_norm_params heads = { .kind = hp->norm_kind, .eps = hp->norm_eps, .group = puna_head_dim_v(hp, lh) };
    puna_value q = puna_build_norm(net, puna_build_linear(net, h, l->wq, l->sq, l->bq), l->q_norm, NULL);
    q = puna_build_rope(net, q, il, lh->n_head, dim_k);
    if (hp->n_own_kv > 0 && il >= hp->n_own_kv)
        return borrowed(net, q, il);
    if (!l->k_norm)
        mistake(net, il, "tensor attn_k_norm.weight: got none, expected one");
    puna_value k = puna_build_linear(net, h, l->wk, l->sk, l->bk), v = k;
    if (l->wv) /* else values are keys before norm and rotation */
        v = puna_build_linear(net, h, l->wv, l->sv, l->bv);
    k = puna_build_rope(net, puna_build_norm(net, k, l->k_norm, NULL), il, lh->n_head_kv, dim_k);
    v = p_norm_groups(&net->plan, v, NULL, NULL, &heads);
    return puna_build_attend(net, q, k, v, il);
}

/* Of all layers side by side: half a table of their own, half the embeddings. */
static puna_value layer_inputs(puna_network *net, puna_value x)
{
    puna_plan *g = &net->plan;
    const puna_hparams *hp = &net->hp;
    const puna_norm_params each = { .kind = hp->norm_kind, .eps = hp->norm_eps, .group = hp->n_layer_input };
    const float half = 1 / sqrtf(2);
    puna_value own = p_embed(g, net->layer_embedding, &(puna_embed_params){ .scale = sqrtf((float)hp->n_layer_input) });
    puna_value all = p_affine(g, p_linear(g, x, net->layer_proj, NULL), 1 / sqrtf((float)hp->n_embd), NULL, NULL, 0);
    if (!net->layer_proj_norm)
        mistake(net, -1, "tensor per_layer_proj_norm.weight: got none, expected one");
    return p_add_scaled(g, p_norm_groups(g, all, net->layer_proj_norm, NULL, &each), half, own, half);
}

/* What x makes of the layer's share; only for rows that get logits if x has no others. */
static puna_value layer_input(puna_network *net, puna_value x, puna_value inputs, int32_t il, bool selected)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const int32_t n = net->hp.n_layer_input;
    puna_value own = p_columns(g, inputs, 1, il * n, n);
    own = p_glu(g, p_linear(g, x, l->input_gate, NULL), selected ? p_select_rows(g, own) : own,
                &(puna_glu_params){ .activation = PUNA_ACT_GELU });
    if (!l->input_post_norm)
        mistake(net, il, "tensor post_norm.weight: got none, expected one");
    return puna_build_norm(net, p_linear(g, own, l->input_proj, NULL), l->input_post_norm, NULL);
}

/* ---- Gemma 3n --------------------------------------------------------------------------- */

/* Every model has its keys and values in the first 20 layers, and few of the gates' values in the first 10. */
enum { OWN_KV = 20, SPARSE = 10, MOST_STREAMS = 16 };

/* Of a normal distribution's values, 5 in 100 are as far above the mean: those that the sparse gates leave. */
static const double SPARSE_DEVIATIONS = 1.6448533535003662;

static void gemma3n_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "attention.sliding_window");
    puna_key_window(k, hp, 0, 5, false);
    hp->rope_base_window = puna_key_real(k, "rope.freq_base_swa", 10000);
    hp->rope_window.scale = 1;
    hp->attention_scale = 1;
    hp->logit_softcap = 30;
    hp->n_layer_input = puna_key_int(k, "embedding_length_per_layer_input", 256, 1, 1 << 16);
    hp->n_own_kv = hp->n_layer > OWN_KV ? OWN_KV : 0;
}

/* Matrix i of a tensor that has several. */
static const puna_tensor *matrix(puna_network *net, const puna_tensor *t, int32_t i)
{
    puna_tensor *one = puna_arena_alloc(&net->arena, sizeof *one);
    if (!one || (uint64_t)i >= t->ne[2]) {
        mistake(net, -1, "altup_proj.weight, altup_unembd_proj.weight: got fewer matrices than streams");
        return NULL;
    }
    *one = *t;
    one->ne[2] = 1;
    one->data = puna_tensor_row(t, (uint64_t)i * t->ne[1]);
    one->size_bytes = t->ne[1] * puna_tensor_row_bytes(t);
    return one;
}

/* n values: the first, then the other. */
static const puna_tensor *constants(puna_network *net, float first, float others, int32_t n)
{
    puna_tensor *t = puna_arena_alloc(&net->arena, sizeof *t);
    float *values = puna_arena_array(&net->arena, (size_t)n, sizeof *values);
    if (!t || !values) {
        mistake(net, -1, "out of memory");
        return NULL;
    }
    for (int32_t i = 0; i < n; i++)
        values[i] = i ? others : first;
    *t = (puna_tensor){ .name = "(constant)", .format = puna_format_get(PUNA_FORMAT_F32), .n_dims = 1,
                        .ne = { (uint64_t)n, 1, 1, 1 }, .data = values, .size_bytes = (size_t)n * sizeof *values };
    return t;
}

/* As long as `size` says. */
static puna_value resized(puna_network *net, puna_value x, puna_value size)
{
    puna_value unit = p_norm(&net->plan, x, NULL, NULL, PUNA_NORM_L2, 1e-30f);
    return p_glu(&net->plan, size, unit, &(puna_glu_params){ .activation = PUNA_ACT_IDENTITY });
}

/* Streams beside the embeddings: each turned by a matrix, and as long. */
static puna_value streams(puna_network *net, puna_value x, int32_t n)
{
    puna_plan *g = &net->plan;
    puna_value size = p_divisor(g, x, PUNA_NORM_L2, 0), all = x;
    for (int32_t i = 1; i < n; i++)
        all = p_join(g, all, resized(net, p_linear(g, x, matrix(net, net->altup_proj, i - 1), NULL), size), 1);
    return all;
}

/* Their mean, each turned back. */
static puna_value merged(puna_network *net, puna_value all, int32_t n)
{
    puna_plan *g = &net->plan;
    const int32_t n_embd = net->hp.n_embd;
    puna_value x = p_columns(g, all, 1, 0, n_embd), size = p_divisor(g, x, PUNA_NORM_L2, 0);
    for (int32_t i = 1; i < n; i++) {
        puna_value y = p_columns(g, all, 1, i * n_embd, n_embd);
        y = p_linear(g, y, matrix(net, net->altup_unembd, i - 1), NULL);
        x = p_add(g, x, resized(net, y, size));
    }
    return p_affine(g, x, 1 / (float)n, NULL, NULL, 0);
}

/* What decides how streams mix. */
static puna_value modalities(puna_network *net, puna_value x, const puna_layer *l)
{
    puna_plan *g = &net->plan;
    x = p_affine(g, puna_build_norm(net, x, l->altup_router_norm, NULL), 1 / (float)net->hp.n_embd, NULL, NULL, 0);
    return p_act(g, p_linear(g, x, l->altup_router, NULL), &(puna_act_params){ .kind = PUNA_ACT_TANH });
}

/* Only the gates' values that are far above their mean are left. */
static puna_value sparse(puna_network *net, puna_value gate, int32_t n)
{
    puna_plan *g = &net->plan;
    const float eps = 1e-30f, least = (float)(SPARSE_DEVIATIONS * sqrt((double)n / (n > 1 ? n - 1 : 1)));
    puna_value unit = p_norm(g, gate, NULL, NULL, PUNA_NORM_LAYER, eps), size = p_divisor(g, gate, PUNA_NORM_LAYER, eps);
    gate = p_glu(g, size, unit, &(puna_glu_params){ .activation = PUNA_ACT_IDENTITY, .up_offset = -least });
    return p_act(g, gate, &(puna_act_params){ .kind = PUNA_ACT_RELU });
}

/* Attention and the feed-forward part, both added to x, which is one stream. */
static puna_value gemma3n_branches(puna_network *net, puna_value x, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const float half = 1 / sqrtf(2);
    puna_value h = puna_build_norm(net, x, l->attn_norm, NULL);
    puna_value o = puna_build_linear(net, gemma_attention(net, h, il), l->wo, l->so, NULL);
    puna_value low = p_linear(g, p_linear(g, h, l->laurel_l, NULL), l->laurel_r, NULL);
    low = p_add(g, puna_build_norm(net, low, l->laurel_post_norm, NULL), h);
    puna_value y = p_add(g, puna_build_norm(net, o, l->attn_post_norm, NULL), x);
    y = p_add_scaled(g, y, half, low, half);
    h = puna_build_norm(net, y, l->ffn_norm, NULL);
    puna_value gate = p_linear(g, h, l->ffn_gate, NULL);
    gate = il < SPARSE ? sparse(net, gate, net->hp.layers[il].n_ff) : gate;
    h = p_glu(g, gate, p_linear(g, h, l->ffn_up, NULL), &(puna_glu_params){ .activation = PUNA_ACT_GELU });
    return p_add(g, puna_build_norm(net, p_linear(g, h, l->ffn_down, NULL), l->ffn_post_norm, NULL), y);
}

/* All streams are predicted, the first is computed, and how far it is from the prediction corrects the others. */
static puna_value gemma3n_layer(puna_network *net, puna_value all, puna_value inputs, int32_t il, int32_t n)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const int32_t n_embd = net->hp.n_embd;
    p_layer(g, il);
    puna_value weights = p_linear(g, modalities(net, p_columns(g, all, 1, 0, n_embd), l), l->altup_predict, NULL);
    all = p_add(g, p_mix(g, all, weights, n), all);
    puna_value first = p_columns(g, all, 1, 0, n_embd), y = gemma3n_branches(net, first, il);
    weights = p_linear(g, modalities(net, y, l), l->altup_correct, NULL);
    weights = p_affine(g, weights, 1, NULL, constants(net, 1, 1, 1), 0);
    all = p_add(g, p_mix(g, p_add_scaled(g, y, 1, first, -1), weights, 1), all);
    first = p_affine(g, p_columns(g, all, 1, 0, n_embd), 1, l->altup_correct_scale, NULL, 0);
    /* The first stream does without what the layer's input adds. */
    weights = p_affine(g, weights, 0, NULL, constants(net, 0, 1, n), 0);
    return p_add(g, all, p_mix(g, layer_input(net, first, inputs, il, false), weights, 1));
}

static void gemma3n_build(puna_network *net)
{
    puna_plan *g = &net->plan;
    const uint64_t n = net->altup_proj->ne[2] + 1;
    if (n > MOST_STREAMS) {
        mistake(net, -1, "tensor altup_proj.weight: dim[2]: got more than 15");
        return;
    }
    p_layer(g, -1);
    puna_value x = puna_build_embed(net), inputs = layer_inputs(net, x);
    x = streams(net, x, (int32_t)n);
    for (int32_t il = 0; il < net->hp.n_layer && !g->status; il++)
        x = gemma3n_layer(net, x, inputs, il, (int32_t)n);
    p_layer(g, -1);
    puna_build_output(net, p_select_rows(g, merged(net, x, (int32_t)n)));
}

const puna_arch puna_arch_gemma3n = {
    .name = "gemma3n",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_GELU,
    .traits = PUNA_TRAIT_EMBEDDING_SQRT,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_QK_NORM | PUNA_SETS_POST_NORMS | PUNA_SET(LAYER_INPUT) | PUNA_SET(ALTUP),
    .adjust = gemma3n_keys,
    .build = gemma3n_build,
    .tiny = TINY,
};

/* ---- Gemma 4 ---------------------------------------------------------------------------- */

static void gemma4_keys(puna_hparams *hp, puna_keys *k)
{
    static const char *const needed[] = { "attention.sliding_window", "attention.sliding_window_pattern",
                                          "attention.key_length_swa", "attention.value_length_swa",
                                          "embedding_length_per_layer_input" };
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        puna_key_need(k, needed[i]);
    puna_key_window(k, hp, 0, 1, false);
    hp->rope_base_window = puna_key_real(k, "rope.freq_base_swa", 10000);
    hp->rope_window.scale = 1;
    hp->window_plain = true;
    hp->attention_scale = 1;
    hp->logit_softcap = puna_key_real(k, "final_logit_softcapping", 30);
    hp->n_layer_input = puna_key_int(k, "embedding_length_per_layer_input", 0, 0, 1 << 16);
    const int32_t n_borrow = puna_key_int(k, "attention.shared_kv_layers", 0, 0, hp->n_layer - 1);
    hp->n_own_kv = n_borrow > 0 ? hp->n_layer - n_borrow : 0;
    puna_key_experts(k, hp, &(puna_expert_keys){ .gating = PUNA_GATING_SOFTMAX, .normalise = true, .own_ff = true,
                                                 .n_shared = -1 });
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].experts = puna_key_tensor(k, i, "ffn_gate_inp.weight");
}

/* The experts and the usual part, each with norms of its own, side by side; the router reads what attention left. */
static puna_value gemma4_feed_forward(puna_network *net, puna_value h, puna_value x, puna_value y, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_hparams *hp = &net->hp;
    const puna_layer *l = &net->layers[il];
    (void)x;
    puna_value usual = puna_build_dense(net, h, il);
    if (!hp->layers[il].experts)
        return usual;
    usual = puna_build_norm(net, usual, l->ffn_post_norm_1, NULL);
    puna_value scores = p_affine(g, p_norm(g, y, NULL, NULL, hp->norm_kind, hp->norm_eps), 1 / sqrtf((float)hp->n_embd),
                                 l->router_scale, NULL, 0);
    scores = p_linear(g, scores, l->router, NULL);
    puna_value f = puna_build_experts(net, puna_build_norm(net, y, l->ffn_pre_norm_2, NULL), scores, il);
    return p_add(g, usual, puna_build_norm(net, f, l->ffn_post_norm_2, NULL));
}

static void gemma4_build(puna_network *net)
{
    puna_plan *g = &net->plan;
    const puna_hparams *hp = &net->hp;
    p_layer(g, -1);
    puna_value x = puna_build_embed(net), inputs = hp->n_layer_input > 0 ? layer_inputs(net, x) : -1;
    for (int32_t il = 0; il < hp->n_layer; il++) {
        const bool last = il == hp->n_layer - 1;
        const puna_layer *l = &net->layers[il];
        if (hp->layers[il].window == 0 && !net->rope_factors)
            mistake(net, il, "tensor rope_freqs.weight: got none, expected one for layers without a window");
        x = puna_build_layer(net, x, il, last);
        if (hp->n_layer_input > 0)
            x = p_add(g, x, layer_input(net, x, inputs, il, last));
        if (l->layer_scale)
            x = p_affine(g, x, 1, l->layer_scale, NULL, 0);
    }
    puna_build_output(net, x);
}

const puna_arch puna_arch_gemma4 = {
    .name = "gemma4",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_GELU,
    .traits = PUNA_TRAIT_EMBEDDING_SQRT | PUNA_TRAIT_DENSE_TOO,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SET(EMBEDDING) | PUNA_SET(OUTPUT_NORM) | PUNA_SET(ATTN_NORM) | PUNA_SET(O) | PUNA_SET(Q_NORM) |
             PUNA_SETS_POST_NORMS | PUNA_SET(FFN_NORM) | PUNA_SETS_GATED | PUNA_SETS_EXPERTS | PUNA_SET(BESIDE_EXPERTS),
    .may = PUNA_SET(QKV) | PUNA_SET(K_NORM) | PUNA_SET(FFN_SCALE) | PUNA_SET(ROPE_FACTORS) | PUNA_SET(LAYER_INPUT) |
           PUNA_SET(LAYER_SCALE) | PUNA_SET(EXPERT_GATE_UP) | PUNA_SET(EXPERT_SCALE),
    .adjust = gemma4_keys,
    .attention = gemma_attention,
    .feed_forward = gemma4_feed_forward,
    .build = gemma4_build,
    .tiny = TINY,
};
