/* plamo.c - PLaMo, whose branches read the same norm, and PLaMo 3 with norms before and after each and layers with a
 * window. */
#include "model/network.h"

#define TINY                                                                                                 \
    {                                                                                                        \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128, \
        .window = 8                                                                                          \
    }

const puna_arch puna_arch_plamo = {
    .name = "plamo",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .traits = PUNA_TRAIT_PARALLEL,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_ATTENTION | PUNA_SETS_GATED,
    .tiny = TINY,
};

/* Layers with a window keep short wavelengths and are not scaled. */
static void plamo3_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_window(k, hp, 0, 8, false);
    hp->rope_base_window = puna_key_real(k, "rope.freq_base_swa", 10000);
    hp->rope_window.scale = 1;
}

static const puna_alias plamo3_names[] = { { "post_attention_norm", "post_attention_norm.weight" },
                                           { "post_ffw_norm", "post_ffw_norm.weight" },
                                           { NULL, NULL } };

const puna_arch puna_arch_plamo3 = {
    .name = "plamo3",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_ATTENTION | PUNA_SETS_QK_NORM | PUNA_SETS_POST_NORMS | PUNA_SET(FFN_NORM) |
             PUNA_SET(GATE_UP) | PUNA_SET(DOWN),
    .never = PUNA_SET(QKV_FUSED_SCALE) | PUNA_SET(QKV_FUSED_BIAS),
    .aliases = plamo3_names,
    .adjust = plamo3_keys,
    .tiny = TINY,
};
