/* build.c - the decoder that dense architectures share, as straight-line code over a layer.
 * What differs between them is data: which tensors are bound, and the traits. */
#include <math.h>

#include "model/network.h"

static puna_value norm(puna_network *net, puna_value x, const puna_tensor *weight)
{
    return weight ? p_norm(&net->plan, x, weight, NULL, net->hp.norm_kind, net->hp.norm_eps) : x;
}

static puna_value rope(puna_network *net, puna_value x, const puna_layer_hparams *lh, int32_t n_head)
{
    puna_rope_params p = net->hp.rope;
    p.pairing = net->arch->pairing;
    p.n_head = n_head;
    p.head_dim = net->hp.head_dim_k;
    p.n_rot = net->hp.n_rot;
    p.base = lh->window ? net->hp.rope_base_window : net->hp.rope_base;
    if (lh->window && net->hp.rope_scale_window > 0)
        p.scale = net->hp.rope_scale_window;
    return p_rope(&net->plan, x, &p, net->rope_factors);
}

/* The attention branch of layer il, up to its output projection. */
static puna_value attention(puna_network *net, puna_value h, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_hparams *hp = &net->hp;
    const puna_layer *l = &net->layers[il];
    const puna_layer_hparams *lh = &hp->layers[il];
    puna_value q = norm(net, p_linear(g, h, l->wq, l->bq), l->q_norm);
    puna_value k = norm(net, p_linear(g, h, l->wk, l->bk), l->k_norm);
    puna_value v = p_linear(g, h, l->wv, l->bv);
    puna_cache_layout layout = { lh->n_head_kv, hp->head_dim_k, hp->head_dim_v, lh->window };
    puna_attention_params p = {
        .n_head = lh->n_head, .n_head_kv = lh->n_head_kv,
        .head_dim = hp->head_dim_k, .head_dim_v = hp->head_dim_v,
        .cache = p_cache(g, &layout), .window = lh->window,
        .scale = hp->attention_scale > 0 ? hp->attention_scale : 1 / sqrtf((float)hp->head_dim_k),
        .softcap = hp->attention_softcap,
    };
    q = rope(net, q, lh, lh->n_head);
    k = rope(net, k, lh, lh->n_head_kv);
    p_kv_store(g, k, v, p.cache);
    return p_attention(g, q, &p);
}

static puna_value feed_forward(puna_network *net, puna_value h, const puna_layer *l)
{
    puna_plan *g = &net->plan;
    puna_value gate = p_linear(g, h, l->ffn_gate, NULL), up = p_linear(g, h, l->ffn_up, NULL);
    return p_linear(g, p_glu(g, gate, up, net->arch->activation), l->ffn_down, NULL);
}

void puna_build_decoder(puna_network *net)
{
    puna_plan *g = &net->plan;
    const puna_hparams *hp = &net->hp;
    p_layer(g, -1);
    float scale = net->arch->traits & PUNA_TRAIT_EMBEDDING_SQRT ? sqrtf((float)hp->n_embd) : 1;
    puna_value x = p_embed(g, net->embedding, scale);
    for (int32_t il = 0; il < hp->n_layer; il++) {
        const puna_layer *l = &net->layers[il];
        p_layer(g, il);
        puna_value o = attention(net, norm(net, x, l->attn_norm), il);
        if (il == hp->n_layer - 1) { /* from here on only rows that get logits matter */
            x = p_select_rows(g, x);
            o = p_select_rows(g, o);
        }
        o = p_linear(g, o, l->wo, l->bo);
        x = p_add(g, x, norm(net, o, l->attn_post_norm));
        o = feed_forward(net, norm(net, x, l->ffn_norm), l);
        x = p_add(g, x, norm(net, o, l->ffn_post_norm));
    }
    p_layer(g, -1);
    x = norm(net, x, net->output_norm);
    p_logits(g, x, net->output, hp->logit_scale > 0 ? hp->logit_scale : 1, hp->logit_softcap);
}
