/* gpt.c - decoders with layer norms: GPT-2 and StarCoder, GPT-NeoX (arXiv 2204.06745), StarCoder 2 (arXiv
 * 2402.19173), Falcon (arXiv 2311.16867), MPT, BLOOM (arXiv 2211.05100), StableLM, CodeShell, Jais (arXiv
 * 2308.16149), Orion, Phi-2, Nemotron (arXiv 2402.16819). */
#include <math.h>

#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 4, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

/* Layer norms and no gate, all with biases. */
#define GPT                                                                                    \
    (PUNA_SETS_ATTENTION | PUNA_SET(FFN_NORM) | PUNA_SETS_LAYER_NORM_BIAS | PUNA_SET(O_BIAS) | \
     PUNA_SETS_PLAIN | PUNA_SET(UP_BIAS) | PUNA_SET(DOWN_BIAS))

static void no_rope(puna_hparams *hp)
{
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].no_rope = true;
}

/* Positions are learned. */
static void gpt2_keys(puna_hparams *hp, puna_keys *k)
{
    (void)k;
    no_rope(hp);
}

const puna_arch puna_arch_gpt2 = {
    .name = "gpt2",
    .activation = PUNA_ACT_GELU,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = GPT | PUNA_SET(POSITIONS),
    .adjust = gpt2_keys,
    .tiny = TINY,
};

const puna_arch puna_arch_starcoder = {
    .name = "starcoder",
    .activation = PUNA_ACT_GELU,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = GPT | PUNA_SET(POSITIONS),
    .adjust = gpt2_keys,
    .tiny = TINY,
};

const puna_arch puna_arch_starcoder2 = {
    .name = "starcoder2",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_GELU,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = GPT,
    .tiny = TINY,
};

const puna_arch puna_arch_codeshell = {
    .name = "codeshell",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_GELU,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = GPT,
    .tiny = TINY,
};

/* Both branches may read the layer's input, each through its own norm. */
static void gptneox_keys(puna_hparams *hp, puna_keys *k)
{
    hp->parallel = puna_key_flag(k, "use_parallel_residual", true);
}

const puna_arch puna_arch_gptneox = {
    .name = "gptneox",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_GELU,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = GPT,
    .adjust = gptneox_keys,
    .tiny = TINY,
};

/* One norm for both branches; the 40B has another for attention. */
const puna_arch puna_arch_falcon = {
    .name = "falcon",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_GELU,
    .traits = PUNA_TRAIT_PARALLEL,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = PUNA_SETS_ATTENTION | PUNA_SET(ATTN_NORM_BIAS) | PUNA_SET(OUTPUT_NORM_BIAS) | PUNA_SETS_PLAIN,
    .may = PUNA_SET(ATTN_NORM_2),
    .tiny = TINY,
};

/* Files without biases of norms are as common as those with. */
static void mpt_keys(puna_hparams *hp, puna_keys *k)
{
    no_rope(hp);
    hp->clamp_qkv = puna_key_real(k, "attention.clamp_kqv", 0);
    hp->alibi = puna_key_real(k, "attention.max_alibi_bias", 0);
}

/* Activations are divided by what the file has of them. */
static const puna_tensor *reciprocal(puna_network *net, const puna_tensor *t)
{
    puna_tensor *inverse = puna_arena_alloc(&net->arena, sizeof *inverse);
    float *values = puna_arena_array(&net->arena, t->ne[0], sizeof *values);
    if (!inverse || !values)
        return NULL;
    for (uint64_t i = 0; i < t->ne[0]; i++)
        values[i] = 1 / ((const float *)t->data)[i];
    *inverse = *t;
    inverse->data = values;
    return inverse;
}

static void mpt_build(puna_network *net)
{
    for (int32_t i = 0; i < net->hp.n_layer; i++) {
        puna_layer *l = &net->layers[i];
        if (l->ffn_act_scale && !(l->ffn_act_scale = reciprocal(net, l->ffn_act_scale)))
            net->plan.status =
                puna_fail_memory(&net->plan.error, "scales", sizeof(float) * (size_t)net->hp.layers[i].n_ff);
    }
    puna_build_decoder(net);
}

const puna_arch puna_arch_mpt = {
    .name = "mpt",
    .activation = PUNA_ACT_GELU,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = PUNA_SETS_ATTENTION | PUNA_SET(FFN_NORM) | PUNA_SETS_PLAIN,
    .may = GPT | PUNA_SET(POSITIONS) | PUNA_SET(ACT_SCALE),
    .adjust = mpt_keys,
    .build = mpt_build,
    .tiny = TINY,
};

static void bloom_keys(puna_hparams *hp, puna_keys *k)
{
    (void)k;
    no_rope(hp);
    hp->alibi = 8;
}

const puna_arch puna_arch_bloom = {
    .name = "bloom",
    .activation = PUNA_ACT_GELU,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = GPT | PUNA_SET(EMBEDDING_NORM) | PUNA_SET(EMBEDDING_NORM_BIAS),
    .adjust = bloom_keys,
    .tiny = TINY,
};

/* Without a second norm both branches read the first. */
static void stablelm_keys(puna_hparams *hp, puna_keys *k)
{
    hp->parallel = !puna_key_tensor(k, 0, "ffn_norm.weight");
}

const puna_arch puna_arch_stablelm = {
    .name = "stablelm",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = PUNA_SETS_ATTENTION | PUNA_SET(ATTN_NORM_BIAS) | PUNA_SET(OUTPUT_NORM_BIAS) | PUNA_SETS_GATED,
    .may = PUNA_SET(FFN_NORM) | PUNA_SET(FFN_NORM_BIAS) | PUNA_SETS_QK_NORM,
    .adjust = stablelm_keys,
    .tiny = TINY,
};

const puna_arch puna_arch_orion = {
    .name = "orion",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_LAYER_NORM_BIAS,
    .tiny = TINY,
};

/* Scores by the width of a head, not its root (muP). */
static void jais_keys(puna_hparams *hp, puna_keys *k)
{
    no_rope(hp);
    hp->alibi = puna_key_real(k, "attention.max_alibi_bias", 0);
    hp->attention_scale = 1 / (float)hp->head_dim_k;
}

const puna_arch puna_arch_jais = {
    .name = "jais",
    .activation = PUNA_ACT_SILU,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = GPT | PUNA_SETS_GATED | PUNA_SETS_FFN_BIAS,
    .adjust = jais_keys,
    .tiny = TINY,
};

const puna_arch puna_arch_jais2 = {
    .name = "jais2",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_RELU_SQUARED,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = GPT,
    .tiny = TINY,
};

const puna_arch puna_arch_phi2 = {
    .name = "phi2",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_GELU,
    .traits = PUNA_TRAIT_PARALLEL,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = PUNA_SETS_ATTENTION | PUNA_SET(ATTN_NORM_BIAS) | PUNA_SET(OUTPUT_NORM_BIAS) | PUNA_SET(O_BIAS) |
             PUNA_SETS_PLAIN | PUNA_SET(UP_BIAS) | PUNA_SET(DOWN_BIAS) | PUNA_SET(OUTPUT_BIAS),
    .tiny = TINY,
};

const puna_arch puna_arch_nemotron = {
    .name = "nemotron",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_RELU_SQUARED,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = PUNA_SETS_ATTENTION | PUNA_SET(FFN_NORM) | PUNA_SETS_LAYER_NORM_BIAS | PUNA_SETS_PLAIN,
    .may = PUNA_SET(O_BIAS) | PUNA_SET(UP_BIAS) | PUNA_SET(DOWN_BIAS),
    .tiny = TINY,
};
