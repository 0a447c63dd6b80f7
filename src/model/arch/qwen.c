/* qwen.c - Qwen (arXiv 2309.16609), Qwen3 (arXiv 2505.09388) and their mixtures of experts and text parts of
 * models that also see. */
#include <math.h>

#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

/* The file's feed_forward_length counts gate and up together. */
static void qwen_keys(puna_hparams *hp, puna_keys *k)
{
    (void)k;
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].n_ff /= 2;
}

const puna_arch puna_arch_qwen = {
    .name = "qwen",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE,
    .adjust = qwen_keys,
    .tiny = TINY,
};

const puna_arch puna_arch_qwen2vl = {
    .name = "qwen2vl",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE,
    .tiny = TINY,
};

const puna_arch puna_arch_qwen3 = {
    .name = "qwen3",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_QK_NORM,
    .may = PUNA_SET(FFN_SCALE),
    .tiny = TINY,
};

const puna_arch puna_arch_qwen3vl = {
    .name = "qwen3vl",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_QK_NORM,
    .tiny = TINY,
};

/* One expert that every token goes through, as much as a gate of its own says. */
static void qwen2moe_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_experts(k, hp,
                     &(puna_expert_keys){ .gating = PUNA_GATING_SOFTMAX, .own_ff = true, .n_shared = -1 });
    hp->n_ff_shared = puna_key_int(k, "expert_shared_feed_forward_length", 0, 0, 1 << 24);
    if (hp->n_ff_shared == 0)
        hp->n_ff_shared = hp->layers[0].n_ff;
}

const puna_arch puna_arch_qwen2moe = {
    .name = "qwen2moe",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_EXPERTS | PUNA_SETS_SHARED | PUNA_SET(SHARED_WEIGHT),
    .adjust = qwen2moe_keys,
    .tiny = TINY,
};

static void qwen3moe_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_experts(k, hp,
                     &(puna_expert_keys){
                         .gating = PUNA_GATING_SOFTMAX, .normalise = true, .own_ff = true, .n_shared = -1 });
}

const puna_arch puna_arch_qwen3moe = {
    .name = "qwen3moe",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_QK_NORM | PUNA_SETS_EXPERTS,
    .may = PUNA_SET(EXPERT_SCALE),
    .adjust = qwen3moe_keys,
    .tiny = TINY,
};

const puna_arch puna_arch_qwen3vlmoe = {
    .name = "qwen3vlmoe",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_QK_NORM | PUNA_SETS_EXPERTS,
    .adjust = qwen3moe_keys,
    .tiny = TINY,
};

/* The part of Qwen3-TTS that makes codes of sound from text. */
const puna_arch puna_arch_qwen3tts = {
    .name = "qwen3tts",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_QK_NORM,
    .tiny = TINY,
};
