/* latent.c - attention whose keys and values are all made of one low-rank vector per token (DeepSeek-V2, arXiv
 * 2405.04434), with or without an indexer that chooses which of them are looked at (DeepSeek-V3.2). Owns its keys and
 * its part of a decoder; what architectures of the family differ in stands in arch/latent.c. */
#include <math.h>

#include "base/limits.h"
#include "model/network.h"

/* ---- keys ------------------------------------------------------------------------------- */

static int32_t needed(puna_keys *k, const char *suffix, int32_t least, int32_t most)
{
    puna_key_need(k, suffix);
    return puna_key_int(k, suffix, least, least, most);
}

void puna_key_latent(puna_keys *k, puna_hparams *hp, const puna_latent_keys *may)
{
    enum { WIDEST = 1 << 16, HEAD = 1 << 13 };
    puna_latent *m = &hp->latent, *w = &hp->latent_window;
    const int32_t head_k = puna_key_int(k, "attention.key_length_mla", 0, 0, HEAD);
    const int32_t head_v = puna_key_int(k, "attention.value_length_mla", 0, 0, HEAD);
    hp->absorbed = may->absorbed && head_k > 0 && head_v > 0;
    if (!hp->absorbed && !may->expanded)
        puna_key_mistake(k, "attention.key_length_mla", head_k,
                         "the sizes of heads of keys and values, more than 0");
    hp->n_lora_q = may->no_lora_q ? 0 : needed(k, "attention.q_lora_rank", 1, WIDEST);
    m->n_lora = needed(k, "attention.kv_lora_rank", 1, WIDEST);
    m->head_dim_k = hp->absorbed ? head_k : hp->head_dim_k;
    m->head_dim_v = hp->absorbed ? head_v : hp->head_dim_v;
    *w = *m;
    if (may->window) {
        w->n_lora = needed(k, "attention.kv_lora_rank_swa", 1, WIDEST);
        w->head_dim_k = needed(k, "attention.key_length_mla_swa", 1, HEAD);
        w->head_dim_v = needed(k, "attention.value_length_mla_swa", 1, HEAD);
    }
    m->n_nope = m->head_dim_k - hp->n_rot;
    w->n_nope = w->head_dim_k - hp->n_rot_window;
    if (m->n_nope < 0 || w->n_nope < 0 || hp->n_rot % 2 || hp->n_rot_window % 2 ||
        (hp->absorbed && m->n_nope * w->n_nope == 0))
        puna_key_mistake(k, "rope.dimension_count", hp->n_rot, "an even number below the size of a head");
    for (int32_t i = 0; i < hp->n_layer; i++)
        if (hp->layers[i].attends && hp->layers[i].n_head < 1)
            puna_key_mistake(k, "attention.head_count", hp->layers[i].n_head, "1 or more");
}

void puna_key_indexer(puna_keys *k, puna_hparams *hp, puna_rope_pairing pairing, float eps)
{
    puna_indexer *x = &hp->indexer;
    x->n_head = needed(k, "attention.indexer.head_count", 1, 1 << 13);
    x->head_dim = needed(k, "attention.indexer.key_length", 1, 1 << 13);
    x->n_top = needed(k, "attention.indexer.top_k", 1, INT32_MAX);
    x->pairing = pairing;
    x->eps = eps;
    x->n_lists = x->n_lists > 0 ? x->n_lists : 1;
    x->key_block = x->key_block > 0 ? x->key_block : 1;
    if (x->pooled && x->n_top % x->key_block)
        puna_key_mistake(k, "attention.indexer.top_k", x->n_top, "a multiple of a block's tokens");
    x->n_top /= x->pooled ? x->key_block : 1;
    const int64_t n_keys = (int64_t)x->n_top * x->key_block,
                  n_ctx = k->n_ctx > 0 ? k->n_ctx : hp->n_ctx_train;
    x->n_idle = n_keys < n_ctx ? 0 : (int32_t)(n_keys < INT32_MAX ? n_keys : INT32_MAX);
    if (x->head_dim < hp->n_rot)
        puna_key_mistake(k, "attention.indexer.key_length", x->head_dim, "rope.dimension_count or more");
    int32_t first = 0;
    while (first < hp->n_layer - 1 && !hp->layers[first].attends)
        first++;
    if (hp->layers[first].indexer == PUNA_INDEXER_SHARED)
        puna_key_mistake(k, "attention.indexer.types", 0, "an indexer in the first layer that attends");
}

/* ---- parts of a layer ------------------------------------------------------------------- */

/* As the layer's positions are, if it knows any. */
static puna_value rope(puna_network *net, puna_value x, int32_t il, int32_t n_head, int32_t n_rot)
{
    return net->hp.layers[il].no_rope ? x : puna_build_rope(net, x, il, n_head, n_rot);
}

/* Rotates the last n_rot values of every head, whose others are n_nope. */
static puna_value turn(puna_network *net, puna_value x, int32_t il, int32_t n_head, int32_t n_nope)
{
    puna_plan *g = &net->plan;
    const int32_t n_rot = net->hp.layers[il].window > 0 ? net->hp.n_rot_window : net->hp.n_rot;
    if (n_nope == 0)
        return rope(net, x, il, n_head, n_rot);
    puna_value turned = rope(net, p_columns(g, x, n_head, n_nope, n_rot), il, n_head, n_rot);
    return p_join(g, p_columns(g, x, n_head, 0, n_nope), turned, n_head);
}

/* A query or key of the indexer; block: as in puna_rope_params. */
static puna_value turn_index(puna_network *net, puna_value x, int32_t il, int32_t n_head, int32_t block)
{
    puna_plan *g = &net->plan;
    const puna_indexer *p = &net->hp.indexer;
    const int32_t n_nope = p->head_dim - net->hp.n_rot;
    if (net->hp.n_rot == 0)
        return x;
    if (!p->rotates_last || n_nope == 0)
        return puna_build_rope_paired(net, x, il, n_head, p->head_dim, p->pairing, block);
    puna_value turned = p_columns(g, x, n_head, n_nope, net->hp.n_rot);
    turned = puna_build_rope_paired(net, turned, il, n_head, net->hp.n_rot, p->pairing, block);
    return p_join(g, p_columns(g, x, n_head, 0, n_nope), turned, n_head);
}

/* The key of the block that ends with a row: a sum that is weighted by what another product says of the block's rows
 * and by their places in it. */
static puna_value pooled_key(puna_network *net, puna_value k, puna_value h, const puna_compressor *c)
{
    puna_plan *g = &net->plan;
    const puna_indexer *x = &net->hp.indexer;
    const puna_cache_layout rows = { .n_head = 1, .head_dim_k = 2 * x->head_dim, .v_in_k = true };
    const puna_compress_params p = { .cache = p_cache(g, &rows),
                                     .n_out = x->head_dim,
                                     .block = x->key_block };
    puna_value scores =
        p_embed(g, c->positions, &(puna_embed_params){ .source = PUNA_EMBED_CYCLE, .scale = 1 });
    scores = p_add(g, p_linear(g, h, c->gate, NULL), scores);
    p_k_store(g, p_join(g, k, scores, 1), p.cache);
    return p_compress(g, &p);
}

/* Or their mean. */
static puna_value mean_key(puna_network *net, puna_value k)
{
    const puna_indexer *x = &net->hp.indexer;
    const uint64_t n = (uint64_t)x->key_block, width = (uint64_t)x->head_dim;
    puna_tensor *taps = puna_build_vector(net, n * width);
    float *to = taps ? (float *)(uintptr_t)taps->data : NULL;
    for (uint64_t i = 0; to && i < n * width; i++)
        to[i] = 1 / (float)n;
    if (taps) {
        taps->ne[0] = n;
        taps->ne[1] = width;
    }
    return p_conv1d(&net->plan, k, taps, NULL, PUNA_ACT_IDENTITY);
}

static puna_value index_key(puna_network *net, puna_value h, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const puna_indexer *x = &net->hp.indexer;
    const puna_norm_params norm = { .kind = PUNA_NORM_LAYER, .eps = x->eps, .group = x->head_dim };
    const bool weighted = l->index_compressor.gate != NULL;
    puna_value k = p_linear(g, h, l->index_k, NULL);
    k = x->pooled && !weighted ? mean_key(net, k) : k;
    k = l->index_q_norm ? puna_build_norm(net, k, l->index_k_norm, NULL)
                        : p_norm_groups(g, k, l->index_k_norm, l->index_k_norm_bias, &norm);
    k = x->pooled && weighted ? pooled_key(net, k, h, &l->index_compressor) : k;
    return turn_index(net, k, il, 1, x->pooled ? x->key_block : 0);
}

/* Files rotate what the indexer compares by a Hadamard matrix for the
 * sake of small encodings, which changes no product: caches here do it when theirs is one. */
puna_value puna_build_select(puna_network *net, puna_value h, puna_value from, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const puna_indexer *x = &net->hp.indexer;
    const int32_t kind = net->hp.layers[il].indexer;
    if (kind == PUNA_INDEXER_NONE || x->n_idle > 0)
        return -1;
    if (kind == PUNA_INDEXER_SHARED)
        return net->selected;
    puna_cache_layout layout = { .n_head = 1, .head_dim_k = x->head_dim, .v_in_k = true };
    puna_select_params p = { .n_head = x->n_head,
                             .head_dim = x->head_dim,
                             .cache = p_cache(g, &layout),
                             .n_lists = x->n_lists,
                             .n_top = x->n_top,
                             .key_block = x->key_block,
                             .n_local = x->n_local,
                             .rectified = x->pooled,
                             .ended = x->pooled,
                             .tail = x->pooled,
                             .scale = 1 / sqrtf((float)x->head_dim * (float)x->n_head) };
    puna_value q = p_linear(g, from, l->index_q, NULL);
    q = l->index_q_norm ? puna_build_norm(net, q, l->index_q_norm, NULL) : q;
    p_k_store(g, index_key(net, h, il), p.cache);
    puna_value weights = l->index_weights ? p_linear(g, h, l->index_weights, NULL) : -1;
    net->selected = p_select_keys(g, turn_index(net, q, il, x->n_head, 0), weights, &p);
    return net->selected;
}

static puna_attention_params attention_params(const puna_network *net, int32_t il, const puna_latent *m)
{
    const puna_hparams *hp = &net->hp;
    puna_attention_params p = {
        .n_head = hp->layers[il].n_head,
        .mask = hp->mask,
        .window = hp->layers[il].window,
        .scale = hp->attention_scale > 0 ? hp->attention_scale : 1 / sqrtf((float)m->head_dim_k),
    };
    if (hp->temperature != 0) {
        p.temperature = hp->temperature;
        p.temperature_length = hp->temperature_length;
    }
    return p;
}

/* One head's keys, which hold the values too; queries go to the latent space and results come back from it. */
static puna_value attend_absorbed(puna_network *net, puna_value q, puna_value c, puna_value k_pe,
                                  puna_value selected, int32_t il, const puna_latent *m)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    puna_attention_params p = attention_params(net, il, m);
    const int32_t n_rot = m->head_dim_k - m->n_nope;
    puna_cache_layout layout = { .n_head = 1,
                                 .head_dim_k = m->n_lora + n_rot,
                                 .head_dim_v = m->n_lora,
                                 .window = p.window,
                                 .v_in_k = true };
    p.n_head_kv = 1;
    p.head_dim = layout.head_dim_k;
    p.head_dim_v = layout.head_dim_v;
    p.cache = p_cache(g, &layout);
    puna_value q_nope = p_linear_heads(g, n_rot > 0 ? p_columns(g, q, p.n_head, 0, m->n_nope) : q, l->k_b);
    if (n_rot > 0) {
        puna_value q_pe = rope(net, p_columns(g, q, p.n_head, m->n_nope, n_rot), il, p.n_head, n_rot);
        q = p_join(g, q_nope, q_pe, p.n_head);
        c = p_join(g, c, k_pe, 1);
    } else
        q = q_nope;
    p_k_store(g, c, p.cache);
    puna_value o;
    if (selected >= 0) {
        p.n_lists = 1;
        p.key_block = net->hp.indexer.key_block;
        o = p_attention_selected(g, q, selected, &p, l->sinks);
    } else
        o = p_attention(g, q, &p, l->sinks, NULL);
    return p_linear_heads(g, o, l->v_b);
}

/* Every head's keys and values. */
static puna_value attend_expanded(puna_network *net, puna_value q, puna_value c, puna_value k_pe, int32_t il,
                                  const puna_latent *m)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    puna_attention_params p = attention_params(net, il, m);
    puna_cache_layout layout = {
        .n_head = p.n_head, .head_dim_k = m->head_dim_k, .head_dim_v = m->head_dim_v, .window = p.window
    };
    p.n_head_kv = p.n_head;
    p.head_dim = layout.head_dim_k;
    p.head_dim_v = layout.head_dim_v;
    p.cache = p_cache(g, &layout);
    puna_value kv = p_linear(g, c, l->kv_b, NULL), k = p_repeat(g, k_pe, p.n_head);
    if (m->n_nope > 0)
        k = p_join(g, p_columns(g, kv, p.n_head, 0, m->n_nope), k, p.n_head);
    puna_value v = m->n_nope > 0 ? p_columns(g, kv, p.n_head, m->n_nope, m->head_dim_v) : kv;
    p_kv_store(g, k, v, p.cache);
    return p_attention(g, turn(net, q, il, p.n_head, m->n_nope), &p, l->sinks, NULL);
}

puna_value puna_build_latent(puna_network *net, puna_value h, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const puna_latent *m = net->hp.layers[il].window > 0 ? &net->hp.latent_window : &net->hp.latent;
    const int32_t n_rot = m->head_dim_k - m->n_nope;
    puna_value lora_q = h, q;
    if (l->q_a)
        lora_q = puna_build_norm(net, p_linear(g, h, l->q_a, NULL), l->q_a_norm, NULL);
    q = p_linear(g, lora_q, l->q_a ? l->q_b : l->wq, NULL);
    puna_value kv = p_linear(g, h, l->kv_a, NULL), k_pe = -1;
    puna_value c = n_rot > 0 ? p_columns(g, kv, 1, 0, m->n_lora) : kv;
    c = puna_build_norm(net, c, l->kv_a_norm, NULL);
    if (n_rot > 0) {
        k_pe = p_columns(g, kv, 1, m->n_lora, n_rot);
        k_pe = l->k_norm ? puna_build_norm(net, k_pe, l->k_norm, NULL) : k_pe;
        k_pe = rope(net, k_pe, il, 1, n_rot);
    }
    puna_value o = net->hp.absorbed
                       ? attend_absorbed(net, q, c, k_pe, puna_build_select(net, h, lora_q, il), il, m)
                       : attend_expanded(net, q, c, k_pe, il, m);
    if (!l->attn_gate)
        return o;
    return p_glu(g, p_linear(g, h, l->attn_gate, NULL), o,
                 &(puna_glu_params){ .activation = PUNA_ACT_SIGMOID });
}
