/* llama4.c - Llama 4 (Scout, Maverick): layers see their own run of 8192 positions only, but every fourth sees all
 * and knows no positions; experts, in every layer or every other, are given their weighted input. */
#include "base/limits.h"
#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 4, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

enum { CHUNK = 8192, NO_ROPE_PERIOD = 4, UNNORMED_EXPERTS = 128 };

static void llama4_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "expert_count");
    puna_key_int(k, "expert_count", 1, 1, 1 << 16);
    if (puna_key_int(k, "attention.sliding_window", CHUNK, 1, PUNA_MAX_CONTEXT) > 0)
        puna_key_window(k, hp, CHUNK, NO_ROPE_PERIOD, false);
    hp->mask = PUNA_MASK_CHUNK; /* as long for all, whatever the file says */
    hp->rope_base_window = puna_key_real(k, "rope.freq_base_swa", hp->rope_base);
    hp->temperature = 0.1f;
    hp->temperature_offset = 1;
    hp->temperature_length = CHUNK;
    hp->temperature_unrotated = true;
    puna_key_experts(k, hp,
                     &(puna_expert_keys){ .gating = PUNA_GATING_SIGMOID, .own_ff = true, .n_shared = 1 });
    hp->n_ff_shared = hp->n_ff_expert;
    hp->route.by_score = true;
    hp->weight_first = true;
    puna_key_need(k, "interleave_moe_layer_step");
    const int32_t step = puna_key_int(k, "interleave_moe_layer_step", 0, 0, PUNA_MAX_LAYERS);
    for (int32_t i = 0; i < hp->n_layer; i++) {
        puna_layer_hparams *l = &hp->layers[i];
        l->window = l->window > 0 ? CHUNK : 0;
        l->no_rope = (i + 1) % NO_ROPE_PERIOD == 0;
        l->experts = hp->n_expert > 0 && step > 0 && (i + 1) % step == 0;
    }
}

static puna_value turned(puna_network *net, puna_value x, int32_t il, int32_t n_head)
{
    const puna_hparams *hp = &net->hp;
    if (hp->layers[il].no_rope)
        return x;
    x = puna_build_rope(net, x, il, n_head, hp->head_dim_k);
    if (hp->n_expert == UNNORMED_EXPERTS)
        return x;
    return p_norm_groups(
        &net->plan, x, NULL, NULL,
        &(puna_norm_params){ .kind = PUNA_NORM_RMS, .eps = hp->rms_eps, .group = hp->head_dim_k });
}

/* Heads of q and k are normalised, without weights, after they are rotated. */
static puna_value attention(puna_network *net, puna_value h, int32_t il)
{
    const puna_layer *l = &net->layers[il];
    const puna_layer_hparams *lh = &net->hp.layers[il];
    puna_value q = turned(net, puna_build_linear(net, h, l->wq, l->sq, l->bq), il, lh->n_head);
    puna_value k = turned(net, puna_build_linear(net, h, l->wk, l->sk, l->bk), il, lh->n_head_kv);
    return puna_build_attend(net, q, k, puna_build_linear(net, h, l->wv, l->sv, l->bv), il);
}

const puna_arch puna_arch_llama4 = {
    .name = "llama4",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_EXPERTS | PUNA_SETS_SHARED,
    .may = PUNA_SET(ROPE_FACTORS),
    .adjust = llama4_keys,
    .attention = attention,
    .tiny = TINY,
};
