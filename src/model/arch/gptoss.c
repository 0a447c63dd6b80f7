/* gptoss.c - gpt-oss (arXiv 2508.10925): experts with biases and a clamped gate, weighted among those that were
 * chosen; every other layer has a window, every head a score that takes weight and gives nothing (a sink). */
#include "model/network.h"

#define TINY                                                                                                 \
    {                                                                                                        \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128, \
        .window = 8                                                                                          \
    }

static void gpt_oss_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "attention.sliding_window");
    puna_key_window(k, hp, 0, 2, false);
    hp->rope_base_window = puna_key_real(k, "rope.freq_base_swa", hp->rope_base);
    puna_key_experts(
        k, hp, &(puna_expert_keys){ .gating = PUNA_GATING_SOFTMAX_USED, .own_ff = true, .n_shared = -1 });
    hp->early_limit = true;
    hp->expert_up_offset = 1;
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].expert_limit = 7;
}

static const puna_alias aliases[] = { { "post_attention_norm.weight", "ffn_norm.weight" }, { NULL, NULL } };

const puna_arch puna_arch_gpt_oss = {
    .name = "gpt-oss",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_GELU_QUICK,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_ATTENTION | PUNA_SET(O_BIAS) | PUNA_SET(SINKS) | PUNA_SET(FFN_NORM) |
             PUNA_SET(ROUTER_BIAS) | PUNA_SETS_EXPERTS | PUNA_SET(EXPERT_BIAS),
    .aliases = aliases,
    .adjust = gpt_oss_keys,
    .tiny = TINY,
};
