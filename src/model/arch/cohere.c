/* cohere.c - Command R and Command A (arXiv 2504.00698): layer norms without bias, both branches read the same
 * norm, logits are scaled. */
#include "model/network.h"

#define TINY                                                                                                          \
    { .n_layer = 4, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128, .window = 8 }

static void command_r_keys(puna_hparams *hp, puna_keys *k)
{
    hp->logit_scale = puna_key_real(k, "logit_scale", 0);
}

const puna_arch puna_arch_command_r = {
    .name = "command-r",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .traits = PUNA_TRAIT_PARALLEL,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = PUNA_SETS_ATTENTION | PUNA_SETS_GATED,
    .may = PUNA_SETS_QK_NORM,
    .adjust = command_r_keys,
    .tiny = TINY,
};

/* Only layers with a window rotate. */
static void cohere2_keys(puna_hparams *hp, puna_keys *k)
{
    hp->logit_scale = puna_key_real(k, "logit_scale", 0);
    puna_key_window(k, hp, 4096, 4, false);
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].no_rope = hp->layers[i].window == 0;
}

const puna_arch puna_arch_cohere2 = {
    .name = "cohere2",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .traits = PUNA_TRAIT_PARALLEL,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = PUNA_SETS_ATTENTION | PUNA_SETS_GATED,
    .may = PUNA_SET(FFN_SCALE),
    .adjust = cohere2_keys,
    .tiny = TINY,
};
