/* lfm2.c - LFM2 (arXiv 2511.23404): most layers have a gated filter over a few rows in place of attention. */
#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

/* Rows are gated, filtered, and gated again. */
static puna_value short_conv(puna_network *net, puna_value h, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_ssm *l = &net->layers[il].ssm;
    const int32_t n = net->hp.n_embd;
    const puna_glu_params times = { .activation = PUNA_ACT_IDENTITY };
    puna_value in = p_linear(g, h, l->in, NULL);
    puna_value x = p_glu(g, p_columns(g, in, 1, 0, n), p_columns(g, in, 1, 2 * n, n), &times);
    return p_glu(g, p_columns(g, in, 1, n, n), p_conv1d(g, x, l->conv, NULL, PUNA_ACT_IDENTITY), &times);
}

static void lfm2_layers(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "shortconv.l_cache");
    puna_key_int(k, "shortconv.l_cache", 3, 2, 1 << 10); /* the filters' shape says it too */
    hp->state.n_in = 3 * hp->n_embd;
    puna_key_recurrent_heads(k, hp);
    if (!puna_key_flag(k, "attention.causal", true))
        puna_key_mistake(k, "attention.causal", 0, "1: filters that see later rows are not supported");
}

static void lfm2_keys(puna_hparams *hp, puna_keys *k)
{
    lfm2_layers(hp, k);
    hp->window = puna_key_int(k, "attention.sliding_window", 0, 0, 1 << 24);
    hp->n_rot_window = hp->n_rot;
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].window = hp->layers[i].attends ? hp->window : 0;
}

static void lfm2moe_keys(puna_hparams *hp, puna_keys *k)
{
    lfm2_layers(hp, k);
    puna_key_need(k, "expert_feed_forward_length");
    puna_key_experts(
        k, hp, &(puna_expert_keys){ .gating_key = true, .normalise = true, .own_ff = true, .leading = true, .n_shared = -1 });
}

/* The last norm is named as if it stood after the embedding. */
static const puna_alias lfm2_names[] = { { "token_embd_norm.weight", "output_norm.weight" }, { NULL, NULL } };

const puna_arch puna_arch_lfm2 = {
    .name = "lfm2",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_QK_NORM | PUNA_SET(SHORTCONV),
    .aliases = lfm2_names,
    .adjust = lfm2_keys,
    .mixer = short_conv,
    .tiny = TINY,
};

const puna_arch puna_arch_lfm2moe = {
    .name = "lfm2moe",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs =
        PUNA_SETS_DENSE | PUNA_SETS_QK_NORM | PUNA_SET(SHORTCONV) | PUNA_SETS_EXPERTS | PUNA_SET(CHOICE_BIAS),
    .aliases = lfm2_names,
    .adjust = lfm2moe_keys,
    .mixer = short_conv,
    .tiny = TINY,
};
