/* grok.c - Grok 1 and 2: norms before and after both branches, soft caps, embeddings and logits scaled; beside the
 * experts there may be a part that every token goes through. */
#include <math.h>

#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

/* How much of YaRN there is, and what cosines and sines are multiplied by, have keys of their own. */
static void read_yarn(puna_hparams *hp, puna_keys *k)
{
    puna_rope_params *r = &hp->rope;
    const float mix = puna_key_real(k, "rope.scaling.yarn_ext_factor", -1);
    if (mix >= 0)
        r->yarn_ext = mix;
    r->magnitude = puna_key_real(k, "rope.scaling.attn_factor", 1);
    if (r->yarn_ext == 0)
        r->magnitude *= puna_key_real(k, "rope.scaling.yarn_attn_factor", 1);
    else if (r->scale < 1)
        r->magnitude *= 1 - 0.1f * logf(r->scale);
    puna_key_yarn(k, hp, 8, 1, 0);
}

static void grok_keys(puna_hparams *hp, puna_keys *k)
{
    hp->logit_scale = puna_key_real(k, "logit_scale", 0.57735026f);
    hp->embedding_scale = puna_key_real(k, "embedding_scale", 78.38367f);
    hp->attention_scale = puna_key_real(k, "attention.output_scale", 0.088388348f);
    hp->attention_softcap = puna_key_real(k, "attn_logit_softcapping", 30);
    hp->logit_softcap = puna_key_real(k, "final_logit_softcapping", 0);
    read_yarn(hp, k);
    puna_key_experts(k, hp,
                     &(puna_expert_keys){ .gating = PUNA_GATING_SOFTMAX,
                                          .normalise = true,
                                          .n_ff = hp->layers[0].n_ff,
                                          .own_ff = true,
                                          .n_shared = -1 });
}

static puna_value feed_forward(puna_network *net, puna_value h, puna_value x, puna_value y, int32_t il)
{
    (void)x, (void)y;
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    if (!net->hp.layers[il].experts)
        return puna_build_dense(net, h, il);
    const puna_value experts = puna_build_experts(net, h, p_linear(g, h, l->router, NULL), il);
    if (!l->ffn_up)
        return experts;
    const float half = sqrtf(0.5f);
    return p_add_scaled(g, puna_build_dense(net, h, il), half, experts, half);
}

static const puna_alias aliases[] = {
    { "attn_output_norm.weight", "post_attention_norm.weight" },
    { "layer_output_norm.weight", "post_ffw_norm.weight" },
    { "post_ffw_norm.weight", "post_ffw_norm.weight" },
    { NULL, NULL },
};

const puna_arch puna_arch_grok = {
    .name = "grok",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_GELU,
    .traits = PUNA_TRAIT_DENSE_TOO,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_ATTENTION | PUNA_SET(FFN_NORM) | PUNA_SETS_POST_NORMS | PUNA_SET(ROUTER) |
             PUNA_SET(EXPERT_UP) | PUNA_SET(EXPERT_DOWN),
    .may = PUNA_SETS_GATED | PUNA_SET(EXPERT_GATE),
    .aliases = aliases,
    .adjust = grok_keys,
    .feed_forward = feed_forward,
    .tiny = TINY,
};
