/* moe_window.c - mixtures of experts with a sliding window in some layers: EXAONE MoE, Trinity (AFMoE), SmallThinker
 * (arXiv 2507.20984), Mellum, Laguna, Maple; and those whose files say by a router which layers have experts:
 * Hunyuan V3, MiMo V2, Step 3.5. */
#include <stddef.h>

#include "model/network.h"

#define TINY                                                                                                 \
    {                                                                                                        \
        .n_layer = 4, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128, \
        .window = 8                                                                                          \
    }

#define MOE           (PUNA_SETS_ATTENTION | PUNA_SET(FFN_NORM) | PUNA_SETS_EXPERTS)
#define DENSE_AND_MOE (PUNA_SETS_DENSE | PUNA_SETS_EXPERTS)

/* Layers with a window are not scaled to longer contexts. */
static void unscaled_window(puna_hparams *hp)
{
    hp->rope_window.scale = 1;
    hp->rope_window.yarn_ext = 0;
    hp->rope_window.magnitude = 1;
}

/* Experts are where a router is. */
static void routers(puna_hparams *hp, puna_keys *k)
{
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].experts = hp->n_expert > 0 && puna_key_tensor(k, i, "ffn_gate_inp.weight");
}

/* Only layers with a window rotate. */
static void window_rotates(puna_hparams *hp)
{
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].no_rope = hp->layers[i].window == 0;
}

static void exaone_moe_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "attention.sliding_window");
    puna_key_window(k, hp, 0, 4, false);
    window_rotates(hp);
    hp->n_rot_window = hp->n_rot;
    puna_key_experts(k, hp,
                     &(puna_expert_keys){ .gating_key = true,
                                          .scaled = true,
                                          .norm_key = true,
                                          .own_ff = true,
                                          .leading = true,
                                          .n_shared = -1 });
    puna_key_shared(k, hp, hp->n_ff_expert);
}

const puna_arch puna_arch_exaone_moe = {
    .name = "exaone-moe",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = DENSE_AND_MOE | PUNA_SETS_QK_NORM | PUNA_SETS_SHARED,
    .may = PUNA_SET(CHOICE_BIAS) | PUNA_SET(ROPE_FACTORS),
    .adjust = exaone_moe_keys,
    .tiny = TINY,
};

/* What a head saw is gated; every fourth layer knows no positions. */
static void afmoe_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "attention.sliding_window");
    puna_key_window(k, hp, 0, 4, false);
    hp->rope_base_window = puna_key_real(k, "rope.freq_base_swa", hp->rope_base);
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].no_rope = (i + 1) % 4 == 0;
    puna_key_experts(k, hp,
                     &(puna_expert_keys){ .gating_key = true,
                                          .gating = PUNA_GATING_SIGMOID,
                                          .scaled = true,
                                          .norm_key = true,
                                          .own_ff = true,
                                          .leading = true,
                                          .n_shared = 0 });
}

const puna_arch puna_arch_afmoe = {
    .name = "afmoe",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .attn_gate = PUNA_ACT_SIGMOID,
    .traits = PUNA_TRAIT_EMBEDDING_SQRT,
    .defaults = { .rms_eps = 1e-5f },
    .needs = DENSE_AND_MOE | PUNA_SETS_QK_NORM | PUNA_SETS_POST_NORMS | PUNA_SET(ATTN_GATE) |
             PUNA_SET(CHOICE_BIAS) | PUNA_SETS_SHARED,
    .adjust = afmoe_keys,
    .tiny = TINY,
};

/* The window is always as long. The first of every four layers sees all and knows no positions, but a model of four
 * layers rotates in each. */
static void smallthinker_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_window(k, hp, 0, 4, true);
    hp->rope_base_window = puna_key_real(k, "rope.freq_base_swa", hp->rope_base);
    for (int32_t i = 0; i < hp->n_layer; i++) {
        puna_layer_hparams *l = &hp->layers[i];
        l->window = l->window > 0 ? 4096 : 0;
        l->no_rope = hp->window > 0 && hp->n_layer != 4 && i % 4 == 0;
    }
    puna_key_experts(
        k, hp, &(puna_expert_keys){ .gating_key = true, .normalise = true, .own_ff = true, .n_shared = -1 });
}

/* Experts are chosen by what the layer began with, before attention. */
static puna_value smallthinker_feed_forward(puna_network *net, puna_value h, puna_value x, puna_value y,
                                            int32_t il)
{
    (void)y;
    if (!net->hp.layers[il].experts)
        return puna_build_dense(net, h, il);
    return puna_build_experts(net, h, p_linear(&net->plan, x, net->layers[il].router, NULL), il);
}

const puna_arch puna_arch_smallthinker = {
    .name = "smallthinker",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_RELU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = MOE,
    .adjust = smallthinker_keys,
    .feed_forward = smallthinker_feed_forward,
    .tiny = TINY,
};

static void mellum_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_window(k, hp, 0, 4, false);
    unscaled_window(hp);
    hp->n_rot_window = hp->n_rot;
    puna_key_experts(k, hp,
                     &(puna_expert_keys){
                         .gating = PUNA_GATING_SOFTMAX, .normalise = true, .own_ff = true, .n_shared = -1 });
}

const puna_arch puna_arch_mellum = {
    .name = "mellum",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = MOE | PUNA_SETS_QK_NORM,
    .may = PUNA_SET(EXPERT_SCALE),
    .adjust = mellum_keys,
    .tiny = TINY,
};

/* The gate of what a head saw is one number, or one for each value. */
static void laguna_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_window(k, hp, 0, 4, true);
    unscaled_window(hp);
    hp->rope_base_window = puna_key_real(k, "rope.freq_base_swa", hp->rope_base);
    puna_key_need(k, "leading_dense_block_count");
    puna_key_experts(k, hp,
                     &(puna_expert_keys){ .gating_key = true,
                                          .gating = PUNA_GATING_SIGMOID,
                                          .scaled = true,
                                          .norm_key = true,
                                          .own_ff = true,
                                          .leading = true,
                                          .n_shared = 1 });
    puna_key_shared(k, hp, hp->n_ff_shared);
}

const puna_arch puna_arch_laguna = {
    .name = "laguna",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .attn_gate = PUNA_ACT_SOFTPLUS,
    .defaults = { .rms_eps = 1e-6f },
    .needs =
        DENSE_AND_MOE | PUNA_SETS_QK_NORM | PUNA_SET(ATTN_GATE) | PUNA_SET(CHOICE_BIAS) | PUNA_SETS_SHARED,
    .adjust = laguna_keys,
    .tiny = TINY,
};

static void maple_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "attention.sliding_window");
    puna_key_need(k, "attention.sliding_window_pattern");
    puna_key_need(k, "swiglu_clamp_exp");
    puna_key_window(k, hp, 0, 1, false);
    window_rotates(hp);
    hp->rope_base_window = puna_key_real(k, "rope.freq_base_swa", hp->rope_base);
    puna_key_experts(k, hp,
                     &(puna_expert_keys){
                         .gating = PUNA_GATING_SOFTMAX, .normalise = true, .own_ff = true, .n_shared = -1 });
    hp->early_limit = true;
    puna_key_layers_real(k, hp, "swiglu_clamp_exp", offsetof(puna_layer_hparams, expert_limit));
}

const puna_arch puna_arch_maple = {
    .name = "maple",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = MOE | PUNA_SETS_QK_NORM,
    .adjust = maple_keys,
    .tiny = TINY,
};

/* ---- experts where a router is ---------------------------------------------------------- */

static void hy_v3_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_experts(k, hp,
                     &(puna_expert_keys){ .gating_key = true,
                                          .gating = PUNA_GATING_SIGMOID,
                                          .scaled = true,
                                          .norm_key = true,
                                          .own_ff = true,
                                          .n_shared = -1 });
    puna_key_shared(k, hp, hp->n_ff_expert);
    routers(hp, k);
}

static const puna_alias hy_v3_aliases[] = { { "exp_probs_b", "exp_probs_b.bias" }, { NULL, NULL } };

const puna_arch puna_arch_hy_v3 = {
    .name = "hy_v3",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = DENSE_AND_MOE | PUNA_SETS_QK_NORM | PUNA_SETS_SHARED,
    .may = PUNA_SET(CHOICE_BIAS) | PUNA_SET(EXPERT_GATE_UP) | PUNA_SET(EXPERT_SCALE) |
           PUNA_SET(SHARED_SCALE) | PUNA_SET(FFN_SCALE),
    .aliases = hy_v3_aliases,
    .adjust = hy_v3_keys,
    .tiny = TINY,
};

/* Keys and bases of layers with a window; what is scaled for longer contexts are the others. */
static void pattern_of_file(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "attention.sliding_window");
    puna_key_need(k, "attention.sliding_window_pattern");
    puna_key_window(k, hp, 0, 1, false);
    hp->rope_base_window = puna_key_real(k, "rope.freq_base_swa", 10000);
    hp->rope_window.scale = 1;
    hp->rope_window.yarn_ext = 0;
    hp->rope_window.magnitude = puna_key_real(k, "rope.scaling.attn_factor", 1);
}

static void mimo2_keys(puna_hparams *hp, puna_keys *k)
{
    pattern_of_file(hp, k);
    hp->n_rot = hp->n_rot_window = hp->layers[0].window > 0 ? hp->n_rot_window : hp->n_rot;
    hp->value_scale = puna_key_real(k, "attention.value_scale", 0);
    puna_key_experts(k, hp,
                     &(puna_expert_keys){
                         .gating = PUNA_GATING_SIGMOID, .normalise = true, .own_ff = true, .n_shared = -1 });
    routers(hp, k);
}

/* Biases and scales of q, k and v that files may have are for nothing. */
static puna_value mimo2_attention(puna_network *net, puna_value h, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const puna_hparams *hp = &net->hp;
    puna_value q =
        puna_build_rope(net, p_linear(g, h, l->wq, NULL), il, hp->layers[il].n_head, hp->head_dim_k);
    puna_value k =
        puna_build_rope(net, p_linear(g, h, l->wk, NULL), il, hp->layers[il].n_head_kv, hp->head_dim_k);
    return puna_build_attend(net, q, k, p_linear(g, h, l->wv, NULL), il);
}

const puna_arch puna_arch_mimo2 = {
    .name = "mimo2",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = DENSE_AND_MOE,
    .may = PUNA_SET(CHOICE_BIAS) | PUNA_SET(SINKS),
    .adjust = mimo2_keys,
    .attention = mimo2_attention,
    .tiny = TINY,
};

/* Layers that see all rotate half as many values, with factors for their wavelengths. */
static void step35_keys(puna_hparams *hp, puna_keys *k)
{
    pattern_of_file(hp, k);
    hp->n_rot /= 2;
    puna_key_experts(k, hp,
                     &(puna_expert_keys){ .gating_key = true,
                                          .gating = PUNA_GATING_SIGMOID,
                                          .scaled = true,
                                          .norm_key = true,
                                          .own_ff = true,
                                          .n_shared = -1 });
    puna_key_need(k, "expert_shared_feed_forward_length");
    hp->n_ff_shared = puna_key_int(k, "expert_shared_feed_forward_length", 1, 1, 1 << 24);
    puna_key_layers_real(k, hp, "swiglu_clamp_exp", offsetof(puna_layer_hparams, expert_limit));
    puna_key_layers_real(k, hp, "swiglu_clamp_shexp", offsetof(puna_layer_hparams, ff_limit));
    routers(hp, k);
}

static puna_value step35_turned(puna_network *net, puna_value x, int32_t il, int32_t n_head,
                                const puna_tensor *norm)
{
    const puna_hparams *hp = &net->hp;
    if (norm)
        x = puna_build_norm(net, x, norm, NULL);
    if (hp->layers[il].window == 0)
        return puna_build_rope(net, x, il, n_head, hp->head_dim_k);
    puna_rope_params p = hp->rope_window;
    p.pairing = hp->pairing;
    p.n_head = n_head;
    p.head_dim = hp->head_dim_k;
    p.n_rot = hp->n_rot_window;
    p.base = hp->rope_base_window;
    return p_rope(&net->plan, x, &p, NULL);
}

static puna_value step35_attention(puna_network *net, puna_value h, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const puna_layer_hparams *lh = &net->hp.layers[il];
    puna_value q = puna_build_linear(net, h, l->wq, l->sq, l->bq),
               k = puna_build_linear(net, h, l->wk, l->sk, l->bk);
    q = step35_turned(net, q, il, lh->n_head, l->q_norm);
    k = step35_turned(net, k, il, lh->n_head_kv, l->k_norm);
    puna_value o = puna_build_attend(net, q, k, puna_build_linear(net, h, l->wv, l->sv, l->bv), il);
    if (!l->attn_gate)
        return o;
    return p_glu(g, p_linear(g, h, l->attn_gate, NULL), o,
                 &(puna_glu_params){ .activation = PUNA_ACT_SIGMOID });
}

/* Files have factors for the layers that rotate most; others take as many of them as they need. */
static void shorten_factors(puna_network *net, const puna_tensor **factors)
{
    const puna_hparams *hp = &net->hp;
    const int32_t most = hp->n_rot > hp->n_rot_window ? hp->n_rot : hp->n_rot_window;
    if (!*factors || (*factors)->ne[0] != (uint64_t)most / 2) /* what does not fit, the recorder refuses */
        return;
    puna_tensor *part = puna_arena_alloc(&net->arena, sizeof *part);
    if (!part) {
        net->plan.status = puna_fail_memory(&net->plan.error, "factors", sizeof *part);
        return;
    }
    *part = **factors;
    part->ne[0] = (uint64_t)hp->n_rot / 2;
    part->size_bytes = part->ne[0] * sizeof(float);
    *factors = part;
}

static void step35_build(puna_network *net)
{
    shorten_factors(net, &net->rope_factors);
    shorten_factors(net, &net->rope_long);
    shorten_factors(net, &net->rope_short);
    puna_build_decoder(net);
}

const puna_arch puna_arch_step35 = {
    .name = "step35",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = DENSE_AND_MOE | PUNA_SETS_SHARED,
    .may = PUNA_SETS_QK_NORM | PUNA_SET(ATTN_GATE) | PUNA_SET(CHOICE_BIAS) | PUNA_SET(ROPE_FACTORS) |
           PUNA_SET(ROPE_LONG_SHORT),
    .adjust = step35_keys,
    .attention = step35_attention,
    .build = step35_build,
    .tiny = TINY,
};
