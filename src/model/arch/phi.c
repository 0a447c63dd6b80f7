/* phi.c - Phi-3 (arXiv 2404.14219) and Phi-3.5-MoE: gate and up in one tensor, factors of wavelengths for short
 * and for long contexts (LongRoPE, arXiv 2402.13753). */
#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

const puna_arch puna_arch_phi3 = {
    .name = "phi3",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_ATTENTION | PUNA_SET(FFN_NORM) | PUNA_SET(GATE_UP) | PUNA_SET(DOWN),
    .may = PUNA_SET(ROPE_LONG_SHORT),
    .tiny = TINY,
};

static void phimoe_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_experts(
        k, hp,
        &(puna_expert_keys){
            .gating = PUNA_GATING_SOFTMAX, .normalise = true, .n_ff = hp->layers[0].n_ff, .n_shared = -1 });
}

const puna_arch puna_arch_phimoe = {
    .name = "phimoe",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_LAYER_NORM_BIAS | PUNA_SET(O_BIAS) | PUNA_SET(OUTPUT_BIAS) |
             PUNA_SETS_EXPERTS,
    .may = PUNA_SET(ROPE_LONG_SHORT),
    .adjust = phimoe_keys,
    .tiny = TINY,
};
