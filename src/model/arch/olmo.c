/* olmo.c - OLMo (arXiv 2402.00838), whose norms have no weights; OLMo 2 and 3 (arXiv 2501.00656), whose norms
 * come after the branches and run over all heads of q and k; OLMoE (arXiv 2409.02060). */
#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 4, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

static void olmo_keys(puna_hparams *hp, puna_keys *k)
{
    hp->clamp_qkv = puna_key_real(k, "attention.clamp_kqv", 0);
}

const puna_arch puna_arch_olmo = {
    .name = "olmo",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .traits = PUNA_TRAIT_BARE_NORMS,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = PUNA_SET(EMBEDDING) | PUNA_SET(QKV) | PUNA_SET(O) | PUNA_SETS_GATED,
    .adjust = olmo_keys,
    .tiny = TINY,
};

/* Only layers without a window are scaled to longer contexts. */
static void olmo2_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_window(k, hp, 0, 4, false);
    hp->rope_window.scale = 1;
    hp->rope_window.yarn_ext = 0;
    hp->rope_window.magnitude = 1;
}

const puna_arch puna_arch_olmo2 = {
    .name = "olmo2",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SET(EMBEDDING) | PUNA_SET(OUTPUT_NORM) | PUNA_SET(QKV) | PUNA_SET(O) | PUNA_SETS_QK_NORM |
             PUNA_SETS_POST_NORMS | PUNA_SETS_GATED,
    .adjust = olmo2_keys,
    .tiny = TINY,
};

static void olmoe_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_experts(
        k, hp,
        &(puna_expert_keys){ .gating = PUNA_GATING_SOFTMAX, .n_ff = hp->layers[0].n_ff, .n_shared = -1 });
}

const puna_arch puna_arch_olmoe = {
    .name = "olmoe",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_QK_NORM | PUNA_SETS_EXPERTS,
    .adjust = olmoe_keys,
    .tiny = TINY,
};
