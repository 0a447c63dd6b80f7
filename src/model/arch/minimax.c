/* minimax.c - MiniMax-01 (arXiv 2501.08313): seven of eight layers have linear attention, which forgets at a pace that
 * each head and layer is given. What a branch adds to is its own normalised input. */
#include <math.h>

#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

/* Logarithms of what each head keeps: slopes as ALiBi's, flatter towards the last layer. */
static const puna_tensor *decay(puna_network *net, int32_t n_head, int32_t il)
{
    const int32_t last = net->hp.n_layer > 1 ? net->hp.n_layer - 1 : 1;
    const double pace = 1 - (double)il / last + 1e-5;
    puna_tensor *t = puna_build_vector(net, (uint64_t)n_head);
    float *to = t ? (float *)(uintptr_t)t->data : NULL;
    for (int32_t h = 0; to && h < n_head; h++)
        to[h] = (float)(-pace * exp2(-8.0 / n_head * (h + 1)));
    return t;
}

static puna_value lightning_attention(puna_network *net, puna_value h, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const int32_t n_head = net->hp.layers[il].n_head, dim = net->hp.head_dim_k;
    const puna_memory_params p = {
        .rule = PUNA_MEMORY_ADD, .n_head = n_head, .n_head_k = n_head, .scale = 1
    };
    puna_value qkv =
        p_act(g, p_linear(g, h, l->delta.qkv, NULL), &(puna_act_params){ .kind = PUNA_ACT_SILU });
    puna_memory_inputs in = { .decay = -1, .a = -1, .b = -1 };
    in.q = p_columns(g, qkv, n_head, 0, dim);
    in.k = p_columns(g, qkv, n_head, dim, dim);
    in.v = p_columns(g, qkv, n_head, 2 * dim, dim);
    puna_value o = puna_build_norm(net, p_memory_scan(g, &in, decay(net, n_head, il), &p), l->ssm.norm, NULL);
    return p_glu(g, p_linear(g, h, l->delta.gate, NULL), o,
                 &(puna_glu_params){ .activation = PUNA_ACT_SIGMOID });
}

static puna_value minimax_layer(puna_network *net, puna_value x, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const bool recurrent = net->hp.layers[il].recurrent;
    p_layer(g, il);
    puna_value h = puna_build_norm(net, x, l->attn_norm, NULL);
    puna_value o = recurrent ? lightning_attention(net, h, il) : puna_build_attention(net, h, il);
    if (il == net->hp.n_layer - 1) {
        h = p_select_rows(g, h);
        o = p_select_rows(g, o);
    }
    o = recurrent ? p_linear(g, o, l->ssm.out, NULL) : puna_build_linear(net, o, l->wo, l->so, NULL);
    h = puna_build_norm(net, p_add_scaled(g, o, 1, h, net->hp.residual_scale), l->ffn_norm, NULL);
    return p_add_scaled(g, puna_build_feed_forward(net, h, il), 1, h, net->hp.residual_scale);
}

static void build(puna_network *net)
{
    p_layer(&net->plan, -1);
    puna_value x = puna_build_embed(net);
    for (int32_t il = 0; il < net->hp.n_layer; il++)
        x = minimax_layer(net, x, il);
    puna_build_output(net, x);
}

static void minimax_keys(puna_hparams *hp, puna_keys *k)
{
    puna_state_hparams *s = &hp->state;
    puna_key_need(k, "residual_scale");
    hp->residual_scale = puna_key_real(k, "residual_scale", 1);
    puna_key_recurrent_layers(k, hp, 8);
    if (hp->n_expert < 1)
        puna_key_mistake(k, "expert_count", hp->n_expert, "more than 0");
    puna_key_experts(
        k, hp,
        &(puna_expert_keys){
            .gating = PUNA_GATING_SOFTMAX, .normalise = true, .n_ff = hp->layers[0].n_ff, .n_shared = -1 });
    s->n_inner = hp->layers[0].n_head * hp->head_dim_k;
    s->n_channels = 3 * s->n_inner;
}

const puna_arch puna_arch_minimax_01 = {
    .name = "minimax-01",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_ATTENTION | PUNA_SET(FFN_NORM) | PUNA_SET(ROUTER) | PUNA_SET(EXPERT_UP) |
             PUNA_SET(EXPERT_DOWN) | PUNA_SET(DELTA_QKV) | PUNA_SET(LIGHTNING),
    .may = PUNA_SET(EXPERT_GATE),
    .adjust = minimax_keys,
    .build = build,
    .tiny = TINY,
};
