/* glm.c - ChatGLM (arXiv 2406.12793), GLM-4, whose norms come before and after each branch, and the text part of
 * CogVLM (arXiv 2311.03079). Gate and up lie in one tensor, half of each head rotates. */
#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

#define GLM (PUNA_SETS_ATTENTION | PUNA_SET(FFN_NORM) | PUNA_SET(GATE_UP) | PUNA_SET(DOWN))

const puna_arch puna_arch_chatglm = {
    .name = "chatglm",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = GLM,
    .tiny = TINY,
};

/* Models that see have positions in sections, and pairs half a head apart. */
static void glm4_keys(puna_hparams *hp, puna_keys *k)
{
    if (puna_key_sections(k, hp))
        hp->pairing = PUNA_ROPE_NEOX;
}

const puna_arch puna_arch_glm4 = {
    .name = "glm4",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = GLM | PUNA_SETS_POST_NORMS,
    .adjust = glm4_keys,
    .tiny = TINY,
};

/* What files say of positions is not heeded, there or here. */
static void cogvlm_keys(puna_hparams *hp, puna_keys *k)
{
    (void)k;
    hp->rope_base = 10000;
    hp->n_rot = hp->head_dim_k;
    hp->rope = (puna_rope_params){ .scale = 1, .magnitude = 1 };
}

const puna_arch puna_arch_cogvlm = {
    .name = "cogvlm",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE,
    .never = PUNA_SET(QKV_FUSED_SCALE) | PUNA_SET(QKV_FUSED_BIAS),
    .adjust = cogvlm_keys,
    .tiny = TINY,
};
