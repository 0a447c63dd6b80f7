/* granite.c - Granite and MiniCPM (arXiv 2404.06395): embeddings, branches and logits are scaled (muP). Granite
 * has a mixture of experts, with or without one that all tokens go through, and layers with a window and sinks. */
#include <math.h>

#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

#define GRANITE_MAY                                                                               \
    (PUNA_SET(O_BIAS) | PUNA_SETS_FFN_BIAS | PUNA_SET(ROPE_FACTORS) | PUNA_SET(ROPE_LONG_SHORT) | \
     PUNA_SET(EXPERT_GATE))
#define GRANITE_NEEDS (PUNA_SETS_DENSE | PUNA_SET(ROUTER) | PUNA_SET(EXPERT_UP) | PUNA_SET(EXPERT_DOWN))

static void scales(puna_hparams *hp, puna_keys *k, float embedding, float residual, float logits)
{
    hp->embedding_scale = puna_key_real(k, "embedding_scale", embedding);
    hp->residual_scale = puna_key_real(k, "residual_scale", residual);
    logits = puna_key_real(k, "logit_scale", logits);
    hp->logit_scale = logits != 0 ? 1 / logits : 0;
    puna_key_experts(
        k, hp,
        &(puna_expert_keys){
            .gating = PUNA_GATING_SOFTMAX, .normalise = true, .n_ff = hp->layers[0].n_ff, .n_shared = -1 });
}

static void granitemoe_keys(puna_hparams *hp, puna_keys *k)
{
    scales(hp, k, 0, 0, 0);
    hp->attention_scale = puna_key_real(k, "attention.scale", 0);
    hp->n_ff_shared = puna_key_int(k, "expert_shared_feed_forward_length", 0, 0, 1 << 24);
}

/* Some rotate nothing; the key says so by another name. */
static void granite_keys(puna_hparams *hp, puna_keys *k)
{
    granitemoe_keys(hp, k);
    const bool rope = puna_key_flag(k, "rope.scaling.finetuned", true);
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].no_rope = !rope;
}

const puna_arch puna_arch_granite = {
    .name = "granite",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = GRANITE_NEEDS | PUNA_SETS_SHARED,
    .may = GRANITE_MAY,
    .adjust = granite_keys,
    .tiny = TINY,
};

const puna_arch puna_arch_granitemoe = {
    .name = "granitemoe",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = GRANITE_NEEDS | PUNA_SETS_SHARED,
    .may = GRANITE_MAY,
    .adjust = granitemoe_keys,
    .tiny = TINY,
};

static void granite_swa_keys(puna_hparams *hp, puna_keys *k)
{
    granitemoe_keys(hp, k);
    puna_key_window(k, hp, 0, 1, false);
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].rotates = 1;
    puna_key_layers_int(k, hp, "attention.rope_pattern", offsetof(puna_layer_hparams, rotates), 0, 1);
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].no_rope = !hp->layers[i].rotates;
}

const puna_arch puna_arch_granite_swa = {
    .name = "granite_swa",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = GRANITE_NEEDS | PUNA_SET(SINKS) | PUNA_SET(SHARED_GATE_UP) | PUNA_SET(SHARED_DOWN),
    .may = GRANITE_MAY | PUNA_SET(EXPERT_GATE_UP),
    .adjust = granite_swa_keys,
    .tiny = TINY,
};

static void minicpm_keys(puna_hparams *hp, puna_keys *k)
{
    scales(hp, k, 12, 1.4f / sqrtf((float)hp->n_layer), 256 / (float)hp->n_embd);
}

const puna_arch puna_arch_minicpm = {
    .name = "minicpm",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = GRANITE_NEEDS,
    .may = GRANITE_MAY,
    .adjust = minicpm_keys,
    .tiny = TINY,
};
