/* talkie.c - Talkie: norms without weights, a gain for each head's queries, and after every layer a share of the
 * normalised embeddings again. */
#include "model/network.h"

static void talkie_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "logit_scale");
    hp->logit_scale = puna_key_real(k, "logit_scale", 0);
}

/* One value for each head, as the weights of a norm over heads: as many times as a head has values. */
static const puna_tensor *for_heads(puna_network *net, const puna_tensor *gain, int32_t n_head,
                                    int32_t head_dim)
{
    const size_t n = (size_t)n_head * (size_t)head_dim;
    puna_tensor *wide = puna_arena_alloc(&net->arena, sizeof *wide);
    float *values = puna_arena_array(&net->arena, n, sizeof *values);
    if (!wide || !values || gain->ne[0] * puna_tensor_rows(gain) != (uint64_t)n_head) {
        if (!net->plan.status)
            net->plan.status = puna_fail(
                &net->plan.error, PUNA_ERR_FORMAT, "tensor %s: values: got %llu, expected %d", gain->name,
                (unsigned long long)(gain->ne[0] * puna_tensor_rows(gain)), (int)n_head);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        values[i] = ((const float *)gain->data)[i / (size_t)head_dim];
    *wide = *gain;
    wide->ne[0] = (uint64_t)head_dim;
    wide->ne[1] = (uint64_t)n_head;
    wide->data = values;
    wide->size_bytes = n * sizeof *values;
    return wide;
}

static puna_value talkie_attention(puna_network *net, puna_value h, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const puna_layer_hparams *lh = &net->hp.layers[il];
    const int32_t head_dim = net->hp.head_dim_k;
    const puna_norm_params heads = { .kind = net->hp.norm_kind, .eps = net->hp.norm_eps, .group = head_dim };
    puna_value q = puna_build_linear(net, h, l->wq, l->sq, l->bq),
               k = puna_build_linear(net, h, l->wk, l->sk, l->bk);
    puna_value v = puna_build_linear(net, h, l->wv, l->sv, l->bv);
    q = p_norm_groups(g, puna_build_rope(net, q, il, lh->n_head, head_dim),
                      for_heads(net, l->q_norm, lh->n_head, head_dim), NULL, &heads);
    k = p_norm_groups(g, puna_build_rope(net, k, il, lh->n_head_kv, head_dim), NULL, NULL, &heads);
    return puna_build_attend(net, q, k, v, il);
}

static void talkie_build(puna_network *net)
{
    puna_plan *g = &net->plan;
    p_layer(g, -1);
    puna_value first = puna_build_norm(net, puna_build_embed(net), NULL, NULL), x = first;
    for (int32_t il = 0; il < net->hp.n_layer; il++) {
        const bool last = il == net->hp.n_layer - 1;
        puna_layer *l = &net->layers[il];
        l->ffn_gate_scale = l->ffn_up_scale =
            NULL; /* files with one for the last matrix have no use for others */
        x = puna_build_layer(net, x, il, last);
        x = p_add(g, x, p_affine(g, last ? p_select_rows(g, first) : first, 1, l->layer_scale, NULL, 0));
    }
    puna_build_output(net, x);
}

const puna_arch puna_arch_talkie = {
    .name = "talkie",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .traits = PUNA_TRAIT_BARE_NORMS,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SET(EMBEDDING) | PUNA_SET(QKV) | PUNA_SET(Q_NORM) | PUNA_SET(O) | PUNA_SETS_GATED |
             PUNA_SET(LAYER_SCALE),
    .may = PUNA_SET(FFN_SCALE),
    .adjust = talkie_keys,
    .attention = talkie_attention,
    .build = talkie_build,
    .tiny = { .n_layer = 2,
              .n_embd = 64,
              .n_head = 4,
              .n_head_kv = 2,
              .head_dim = 16,
              .n_ff = 96,
              .n_vocab = 128 },
};
