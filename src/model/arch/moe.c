/* moe.c - mixtures of experts whose attention is that of LLaMA, with or without norms over q and k: DeepSeek V1
 * (arXiv 2401.06066), dots.llm1 (arXiv 2506.05767), Ling (arXiv 2503.05139) and Ling 2, ERNIE 4.5, Hunyuan (arXiv
 * 2411.02265), MiniMax M2, DBRX, Arctic; and two that are no chains of guesses but see all tokens: LLaDA-MoE (arXiv
 * 2509.24389) and RND1. */
#include "base/limits.h"
#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

#define MOE           (PUNA_SETS_ATTENTION | PUNA_SET(FFN_NORM) | PUNA_SETS_EXPERTS)
#define DENSE_AND_MOE (PUNA_SETS_DENSE | PUNA_SETS_EXPERTS)

static void deepseek_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_experts(
        k, hp,
        &(puna_expert_keys){
            .gating = PUNA_GATING_SOFTMAX, .scaled = true, .own_ff = true, .leading = true, .n_shared = 0 });
}

const puna_arch puna_arch_deepseek = {
    .name = "deepseek",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = DENSE_AND_MOE | PUNA_SETS_SHARED,
    .adjust = deepseek_keys,
    .tiny = TINY,
};

static void dots1_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_experts(k, hp,
                     &(puna_expert_keys){ .gating_key = true,
                                          .scaled = true,
                                          .norm_key = true,
                                          .own_ff = true,
                                          .leading = true,
                                          .n_shared = 0 });
}

const puna_arch puna_arch_dots1 = {
    .name = "dots1",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = DENSE_AND_MOE | PUNA_SETS_QK_NORM | PUNA_SETS_SHARED,
    .may = PUNA_SET(CHOICE_BIAS),
    .adjust = dots1_keys,
    .tiny = TINY,
};

static void bailingmoe_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_experts(
        k, hp,
        &(puna_expert_keys){
            .gating = PUNA_GATING_SOFTMAX, .scaled = true, .norm_key = true, .own_ff = true, .n_shared = 0 });
}

const puna_arch puna_arch_bailingmoe = {
    .name = "bailingmoe",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = MOE | PUNA_SETS_SHARED,
    .adjust = bailingmoe_keys,
    .tiny = TINY,
};

/* The key is for one shared expert, of which there may be several. */
static void bailingmoe2_keys(puna_hparams *hp, puna_keys *k)
{
    dots1_keys(hp, k);
    const int32_t n_ff = puna_key_int(k, "expert_shared_feed_forward_length", 0, 0, 1 << 20);
    const int32_t n_shared = puna_key_int(k, "expert_shared_count", 0, 0, 1 << 10);
    if (n_ff > 0)
        hp->n_ff_shared = n_ff * n_shared;
}

const puna_arch puna_arch_bailingmoe2 = {
    .name = "bailingmoe2",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = DENSE_AND_MOE | PUNA_SETS_QK_NORM | PUNA_SETS_SHARED,
    .may = PUNA_SET(CHOICE_BIAS),
    .adjust = bailingmoe2_keys,
    .tiny = TINY,
};

/* Experts after the leading layers, in every layer or every n-th. */
static void ernie_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_experts(k, hp,
                     &(puna_expert_keys){ .gating = PUNA_GATING_SOFTMAX,
                                          .normalise = true,
                                          .own_ff = true,
                                          .leading = true,
                                          .n_shared = -1 });
    puna_key_shared(k, hp, 0);
    puna_key_need(k, "interleave_moe_layer_step");
    const int32_t step = puna_key_int(k, "interleave_moe_layer_step", 1, 1, PUNA_MAX_LAYERS);
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].experts &= (i + 1) % step == 0;
}

const puna_arch puna_arch_ernie4_5_moe = {
    .name = "ernie4_5-moe",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs =
        PUNA_SETS_DENSE | PUNA_SET(ROUTER) | PUNA_SET(EXPERT_UP) | PUNA_SET(EXPERT_DOWN) | PUNA_SETS_SHARED,
    .may = PUNA_SET(EXPERT_GATE) | PUNA_SET(CHOICE_BIAS),
    .adjust = ernie_keys,
    .tiny = TINY,
};

static void hunyuan_keys(puna_hparams *hp, puna_keys *k)
{
    const int32_t n_ff = hp->layers[0].n_ff;
    puna_key_experts(k, hp,
                     &(puna_expert_keys){
                         .gating = PUNA_GATING_SOFTMAX, .normalise = true, .n_ff = n_ff, .n_shared = -1 });
    puna_key_shared(k, hp, n_ff);
}

const puna_arch puna_arch_hunyuan_moe = {
    .name = "hunyuan-moe",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .traits = PUNA_TRAIT_QK_NORM_LATE,
    .defaults = { .rms_eps = 1e-5f },
    .needs = MOE | PUNA_SETS_QK_NORM | PUNA_SETS_SHARED,
    .adjust = hunyuan_keys,
    .tiny = TINY,
};

/* Norms run over all heads of q and of k. */
static void minimax_m2_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_experts(k, hp,
                     &(puna_expert_keys){
                         .gating_key = true, .normalise = true, .n_ff = hp->layers[0].n_ff, .n_shared = -1 });
}

const puna_arch puna_arch_minimax_m2 = {
    .name = "minimax-m2",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = MOE | PUNA_SETS_QK_NORM | PUNA_SET(CHOICE_BIAS),
    .adjust = minimax_m2_keys,
    .tiny = TINY,
};

static void dbrx_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "attention.clamp_kqv");
    hp->clamp_qkv = puna_key_real(k, "attention.clamp_kqv", 0);
    puna_key_experts(
        k, hp,
        &(puna_expert_keys){
            .gating = PUNA_GATING_SOFTMAX, .normalise = true, .n_ff = hp->layers[0].n_ff, .n_shared = -1 });
}

static const puna_alias dbrx_aliases[] = { { "attn_output_norm.weight", "ffn_norm.weight" }, { NULL, NULL } };

const puna_arch puna_arch_dbrx = {
    .name = "dbrx",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .layer_eps = 1e-5f, .norm_kind = PUNA_NORM_LAYER },
    .needs = MOE,
    .aliases = dbrx_aliases,
    .adjust = dbrx_keys,
    .tiny = TINY,
};

/* A dense part as wide as the embedding, beside experts that read what the layer began with. */
static void arctic_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_experts(
        k, hp,
        &(puna_expert_keys){
            .gating = PUNA_GATING_SOFTMAX, .normalise = true, .n_ff = hp->layers[0].n_ff, .n_shared = -1 });
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].n_ff = hp->n_embd;
}

static puna_value arctic_feed_forward(puna_network *net, puna_value h, puna_value x, puna_value y, int32_t il)
{
    (void)y;
    const puna_layer *l = &net->layers[il];
    const puna_value dense = puna_build_dense(net, h, il);
    if (!net->hp.layers[il].experts)
        return dense;
    x = puna_build_norm(net, x, l->expert_norm, NULL);
    return p_add(&net->plan, puna_build_experts(net, x, p_linear(&net->plan, x, l->router, NULL), il), dense);
}

const puna_arch puna_arch_arctic = {
    .name = "arctic",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .traits = PUNA_TRAIT_DENSE_TOO,
    .defaults = { .rms_eps = 1e-5f },
    .needs = DENSE_AND_MOE | PUNA_SET(EXPERT_NORM),
    .adjust = arctic_keys,
    .feed_forward = arctic_feed_forward,
    .tiny = TINY,
};

static void llada_moe_keys(puna_hparams *hp, puna_keys *k)
{
    hp->mask = PUNA_MASK_ALL;
    puna_key_experts(k, hp,
                     &(puna_expert_keys){ .gating = PUNA_GATING_SOFTMAX, .own_ff = true, .n_shared = -1 });
}

const puna_arch puna_arch_llada_moe = {
    .name = "llada-moe",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = MOE | PUNA_SETS_QK_NORM,
    .adjust = llada_moe_keys,
    .tiny = TINY,
};

static void rnd1_keys(puna_hparams *hp, puna_keys *k)
{
    hp->mask = PUNA_MASK_ALL;
    puna_key_experts(k, hp,
                     &(puna_expert_keys){
                         .gating = PUNA_GATING_SOFTMAX, .normalise = true, .own_ff = true, .n_shared = -1 });
}

const puna_arch puna_arch_rnd1 = {
    .name = "rnd1",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = MOE | PUNA_SETS_QK_NORM,
    .adjust = rnd1_keys,
    .tiny = TINY,
};
