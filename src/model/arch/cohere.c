/* cohere.c - Command R and Command A (arXiv 2504.00698): layer norms without bias, both branches read the same
 * norm, logits are scaled; and a mixture of experts. */
#include "base/limits.h"
#include "model/network.h"

#define TINY                                                                                                 \
    {                                                                                                        \
        .n_layer = 4, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128, \
        .window = 8                                                                                          \
    }

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

/* Experts after some dense layers; those rotate too. Some files have norms by the root of the mean square. */
static void cohere2moe_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "logit_scale");
    hp->logit_scale = puna_key_real(k, "logit_scale", 0);
    if (hp->rms_eps != 0)
        hp->norm_kind = PUNA_NORM_RMS;
    puna_key_need(k, "attention.sliding_window");
    puna_key_window(k, hp, 0, 4, true);
    hp->n_rot_window = hp->n_rot;
    puna_key_experts(k, hp,
                     &(puna_expert_keys){ .gating_key = true,
                                          .gating = PUNA_GATING_SIGMOID,
                                          .scaled = true,
                                          .norm_key = true,
                                          .n_ff = hp->layers[0].n_ff,
                                          .own_ff = true,
                                          .leading = true,
                                          .n_shared = 0 });
    if (hp->n_ff_shared > 0)
        puna_key_shared(k, hp, hp->n_ff_shared);
    hp->shared_mean = true;
    const int32_t n_lead = puna_key_int(k, "leading_dense_block_count", 0, 0, PUNA_MAX_LAYERS);
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].no_rope = hp->layers[i].window == 0 && i >= n_lead;
}

const puna_arch puna_arch_cohere2moe = {
    .name = "cohere2moe",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .traits = PUNA_TRAIT_PARALLEL,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = PUNA_SETS_ATTENTION | PUNA_SETS_GATED | PUNA_SETS_EXPERTS | PUNA_SETS_SHARED,
    .may = PUNA_SET(EXPERT_GATE_UP) | PUNA_SET(EXPERT_SCALE) | PUNA_SET(SHARED_SCALE) | PUNA_SET(FFN_SCALE),
    .adjust = cohere2moe_keys,
    .tiny = TINY,
};
