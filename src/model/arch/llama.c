/* llama.c - LLaMA (Touvron et al. 2023, arXiv 2302.13971) and what differs from it by a tensor, an
 * activation or the way positions are rotated: Llama 2 and 3, Mistral, Mixtral, TinyLlama, SmolLM; Qwen2
 * (arXiv 2407.10671); Baichuan, Xverse, InternLM2, EXAONE, Pangu, Arcee, SmolLM3, Seed-OSS, Maincoder, Refact. */
#include <math.h>
#include <stddef.h>

#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

#define LLAMA_MAY                                                                           \
    (PUNA_SET(O_BIAS) | PUNA_SETS_FFN_BIAS | PUNA_SET(FFN_SCALE) | PUNA_SET(EXPERT_SCALE) | \
     PUNA_SET(ROPE_FACTORS) | PUNA_SET(ROPE_LONG_SHORT))

/* Mixtral (arXiv 2401.04088): experts as wide as a dense layer would be. */
static void with_experts(puna_hparams *hp, puna_keys *k)
{
    puna_key_experts(
        k, hp,
        &(puna_expert_keys){
            .gating = PUNA_GATING_SOFTMAX, .normalise = true, .n_ff = hp->layers[0].n_ff, .n_shared = -1 });
}

const puna_arch puna_arch_llama = {
    .name = "llama",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE | PUNA_SET(ROUTER) | PUNA_SET(EXPERT_UP) | PUNA_SET(EXPERT_DOWN),
    .may = LLAMA_MAY | PUNA_SET(EXPERT_GATE),
    .adjust = with_experts,
    .tiny = TINY,
};

/* Mistral 3: scores grow with the logarithm of positions beyond those the model was trained with. */
static void mistral3_keys(puna_hparams *hp, puna_keys *k)
{
    hp->temperature = puna_key_real(k, "attention.temperature_scale", 0);
    hp->temperature_length = hp->rope.n_ctx_orig;
    puna_key_yarn(k, hp, 32, 1, 0);
    hp->rope_window = hp->rope;
    with_experts(hp, k);
}

const puna_arch puna_arch_mistral3 = {
    .name = "mistral3",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE | PUNA_SET(ROUTER) | PUNA_SET(EXPERT_UP) | PUNA_SET(EXPERT_DOWN),
    .may = LLAMA_MAY | PUNA_SET(EXPERT_GATE),
    .adjust = mistral3_keys,
    .tiny = TINY,
};

/* Biases to q, k and v, and pairs half a head apart. */
const puna_arch puna_arch_qwen2 = {
    .name = "qwen2",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE,
    .may = PUNA_SET(OUTPUT_BIAS),
    .tiny = TINY,
};

const puna_arch puna_arch_arcee = {
    .name = "arcee",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_RELU_SQUARED,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_ATTENTION | PUNA_SET(FFN_NORM) | PUNA_SETS_PLAIN,
    .may = PUNA_SET(ROPE_FACTORS),
    .tiny = TINY,
};

const puna_arch puna_arch_internlm2 = {
    .name = "internlm2",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE,
    .tiny = TINY,
};

const puna_arch puna_arch_xverse = {
    .name = "xverse",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE,
    .tiny = TINY,
};

/* The 7B (32 layers) rotates, the 13B (40) has ALiBi; no other was made. */
static void baichuan_keys(puna_hparams *hp, puna_keys *k)
{
    (void)k;
    hp->alibi = hp->n_layer == 40 ? 8 : 0;
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].no_rope = hp->n_layer != 32;
}

const puna_arch puna_arch_baichuan = {
    .name = "baichuan",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE,
    .adjust = baichuan_keys,
    .tiny = TINY,
};

const puna_arch puna_arch_exaone = {
    .name = "exaone",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE,
    .may = PUNA_SET(ROPE_FACTORS),
    .tiny = TINY,
};

/* Every fourth layer knows no positions (NoPE). */
static void smollm3_keys(puna_hparams *hp, puna_keys *k)
{
    (void)k;
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].no_rope = (i + 1) % 4 == 0;
}

const puna_arch puna_arch_smollm3 = {
    .name = "smollm3",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE,
    .adjust = smollm3_keys,
    .tiny = TINY,
};

/* Files name the second norm after where it stands. */
static const puna_alias norm_after_attention[] = { { "post_attention_norm.weight", "ffn_norm.weight" },
                                                   { NULL, NULL } };

const puna_arch puna_arch_seed_oss = {
    .name = "seed_oss",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE,
    .aliases = norm_after_attention,
    .tiny = TINY,
};

const puna_arch puna_arch_pangu_embedded = {
    .name = "pangu-embedded",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE | PUNA_SET(O_BIAS),
    .tiny = TINY,
};

const puna_arch puna_arch_maincoder = {
    .name = "maincoder",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .traits = PUNA_TRAIT_QK_NORM_LATE,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_QK_NORM,
    .tiny = TINY,
};

/* RefactAI: no rotation, ALiBi. */
static void refact_keys(puna_hparams *hp, puna_keys *k)
{
    (void)k;
    hp->alibi = 8;
    for (int32_t i = 0; i < hp->n_layer; i++) {
        hp->layers[i].no_rope = true;
        hp->layers[i].experts = hp->n_expert > 0;
    }
}

/* Files with experts are run as llama.cpp runs them: their activation is all that is left of this part. */
static puna_value refact_feed_forward(puna_network *net, puna_value h, puna_value x, puna_value y, int32_t il)
{
    (void)x;
    (void)y;
    return net->hp.layers[il].experts ? p_act(&net->plan, h, &(puna_act_params){ .kind = PUNA_ACT_SILU })
                                      : puna_build_dense(net, h, il);
}

const puna_arch puna_arch_refact = {
    .name = "refact",
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE,
    .adjust = refact_keys,
    .feed_forward = refact_feed_forward,
    .tiny = TINY,
};
