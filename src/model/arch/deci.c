/* deci.c - DeciLM and Nemotron models from architecture search (arXiv 2411.19146): a layer may lack attention, have
 * one matrix in its place, or do nothing at all. */
#include "model/network.h"

/* A norm that a layer of this kind must have. */
static puna_value needed_norm(puna_network *net, puna_value x, const puna_tensor *weight, int32_t il, const char *name)
{
    if (!weight && !net->plan.status)
        net->plan.status = puna_fail(&net->plan.error, PUNA_ERR_FORMAT, "tensor blk.%d.%s: got none, expected one",
                                     (int)il, name);
    return puna_build_norm(net, x, weight, NULL);
}

static puna_value deci_layer(puna_network *net, puna_value x, int32_t il, bool last)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const puna_layer_hparams *lh = &net->hp.layers[il];
    puna_value y = x;
    if (lh->n_ff > 0 && lh->n_head_kv > 0 && l->attn_norm)
        return puna_build_layer(net, x, il, last);
    p_layer(g, il);
    if (lh->n_ff > 0) { /* without it, what attention makes is dropped too */
        if (lh->n_head > 0)
            y = p_add(g, x, p_linear(g, needed_norm(net, x, l->attn_norm, il, "attn_norm.weight"), l->wo, NULL));
        y = p_add(g, y, puna_build_dense(net, needed_norm(net, y, l->ffn_norm, il, "ffn_norm.weight"), il));
    }
    return last ? p_select_rows(g, y) : y;
}

static void deci_build(puna_network *net)
{
    p_layer(&net->plan, -1);
    puna_value x = puna_build_embed(net);
    for (int32_t il = 0; il < net->hp.n_layer; il++)
        x = deci_layer(net, x, il, il == net->hp.n_layer - 1);
    puna_build_output(net, x);
}

const puna_arch puna_arch_deci = {
    .name = "deci",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .traits = PUNA_TRAIT_PARTS,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SET(EMBEDDING) | PUNA_SET(OUTPUT_NORM) | PUNA_SET(QKV) | PUNA_SET(O) | PUNA_SET(FFN_NORM) |
             PUNA_SETS_GATED,
    .may = PUNA_SET(ATTN_NORM) | PUNA_SET(O_BIAS) | PUNA_SETS_FFN_BIAS | PUNA_SET(ROPE_FACTORS) |
           PUNA_SET(ROPE_LONG_SHORT),
    .build = deci_build,
    .tiny = { .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 },
};
