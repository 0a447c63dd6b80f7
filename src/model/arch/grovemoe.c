/* grovemoe.c - GroveMoE (arXiv 2508.07785): beside its experts a token goes through smaller ones that neighbours
 * share, which read what the chosen experts made. */
#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

static void grovemoe_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_experts(k, hp,
                     &(puna_expert_keys){
                         .gating = PUNA_GATING_SOFTMAX, .normalise = true, .own_ff = true, .n_shared = -1 });
    hp->route.by_score = true;
    puna_key_need(k, "expert_group_scale");
    puna_key_need(k, "experts_per_group");
    hp->chunk_scale = puna_key_real(k, "expert_group_scale", 0);
    const int32_t chunk = puna_key_int(k, "experts_per_group", 1, 1, 1 << 16);
    hp->n_ff_chunk = puna_key_int(k, "expert_chunk_feed_forward_length", 0, 0, 1 << 24);
    if (hp->n_ff_chunk == 0)
        hp->n_ff_chunk = hp->head_dim_k;
    hp->n_chunk = hp->n_expert / chunk;
    if ((hp->n_expert % chunk || hp->n_chunk < hp->route.n_used) && !k->status)
        k->status = puna_fail(
            &k->error, PUNA_ERR_FORMAT,
            "metadata %s.experts_per_group: got %d, expected a divisor of %d experts that leaves %d groups",
            k->arch, (int)chunk, (int)hp->n_expert, (int)hp->route.n_used);
}

static puna_value feed_forward(puna_network *net, puna_value h, puna_value x, puna_value y, int32_t il)
{
    (void)x, (void)y;
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const puna_hparams *hp = &net->hp;
    if (!hp->layers[il].experts)
        return puna_build_dense(net, h, il);
    const puna_value scores = p_linear(g, h, l->router, NULL), own = puna_build_experts(net, h, scores, il);
    puna_route_params route = hp->route;
    route.chunk = hp->n_expert / hp->n_chunk;
    const puna_experts_params p = { .n_used = route.n_used,
                                    .gated = true,
                                    .glu = { .activation = PUNA_ACT_SILU } };
    const puna_value shared = p_moe_ffn(g, own, p_moe_route(g, scores, NULL, &route), &l->chunk_experts, &p);
    return p_add_scaled(g, own, 1, shared, hp->chunk_scale);
}

const puna_arch puna_arch_grovemoe = {
    .name = "grovemoe",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_QK_NORM | PUNA_SETS_EXPERTS | PUNA_SET(CHUNK),
    .adjust = grovemoe_keys,
    .feed_forward = feed_forward,
    .tiny = TINY,
};
