/* t5.c - T5 (Raffel et al. 2020, arXiv 1910.10683) with its likes (Flan, mT5, umT5): an encoder reads a text, a decoder
 * writes another while it looks at what was read; and the encoder alone. Positions count by their distance, in buckets
 * that widen; scores are not scaled.
 *
 * The encoder's plan ends in the keys and values that the decoder's layers look at, in caches that both plans list: one
 * that the encoder's layers share, then those, then the decoder's own. */
#include <math.h>

#include "model/network.h"

#define TINY { .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 4, .head_dim = 16, .n_ff = 96, .n_vocab = 128 }

enum { ENCODER_CACHE = 0, CROSS_CACHES = 1 };

static void add_cache(puna_network *net, int32_t il)
{
    const puna_hparams *hp = &net->hp;
    p_cache(&net->plan, &(puna_cache_layout){ .n_head = hp->layers[il].n_head_kv,
                                              .head_dim_k = hp->head_dim_k,
                                              .head_dim_v = hp->head_dim_v });
}

static void add_caches(puna_network *net)
{
    add_cache(net, 0);
    for (int32_t il = 0; il < net->hp.n_layer; il++)
        add_cache(net, il);
    for (int32_t il = 0; il < net->hp.n_layer; il++)
        add_cache(net, il);
}

static puna_value attend(puna_network *net, puna_value q, int32_t il, int32_t cache, puna_mask mask, const puna_tensor *buckets)
{
    const puna_hparams *hp = &net->hp;
    return p_attention(&net->plan, q,
                       &(puna_attention_params){ .n_head = hp->layers[il].n_head, .n_head_kv = hp->layers[il].n_head_kv,
                                                 .head_dim = hp->head_dim_k, .head_dim_v = hp->head_dim_v, .cache = cache,
                                                 .mask = mask, .scale = 1, .n_buckets = buckets ? hp->n_buckets : 0 },
                       NULL, buckets);
}

/* Up to the output matrix. What distances count is said once, in the first layer, or in each. */
static puna_value attend_itself(puna_network *net, puna_value x, int32_t il, int32_t cache, puna_mask mask)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const puna_tensor *buckets = l->buckets ? l->buckets : net->layers[0].buckets;
    puna_value h = puna_build_norm(net, x, l->attn_norm, NULL);
    puna_value q = p_linear(g, h, l->wq, NULL);
    p_kv_store(g, p_linear(g, h, l->wk, NULL), p_linear(g, h, l->wv, NULL), cache);
    if (!buckets && !g->status)
        g->status = puna_fail(&g->error, PUNA_ERR_FORMAT, "tensor attn_rel_b.weight: got none in the first layer, expected one");
    return attend(net, q, il, cache, mask, buckets);
}

/* Later versions have a gate, the first has none. */
static puna_value feed_forward(puna_network *net, puna_value x, int32_t il)
{
    const puna_layer *l = &net->layers[il];
    net->hp.activation = l->ffn_gate ? PUNA_ACT_GELU : PUNA_ACT_RELU;
    return p_add(&net->plan, x, puna_build_dense(net, puna_build_norm(net, x, l->ffn_norm, NULL), il));
}

/* net->layers are the encoder's. */
static puna_value encode(puna_network *net, int32_t n_layer, const puna_tensor *norm)
{
    puna_plan *g = &net->plan;
    p_layer(g, -1);
    puna_value x = puna_build_embed(net);
    for (int32_t il = 0; il < n_layer; il++) {
        p_layer(g, il);
        puna_value o = attend_itself(net, x, il, ENCODER_CACHE, PUNA_MASK_ALL);
        x = feed_forward(net, p_add(g, x, p_linear(g, o, net->layers[il].wo, NULL)), il);
    }
    p_layer(g, -1);
    return puna_build_norm(net, x, norm, NULL);
}

static void build_vector(puna_network *net, int32_t n_layer, const puna_tensor *norm)
{
    add_cache(net, 0);
    puna_build_end(net, puna_build_needed_rows(net, encode(net, n_layer, norm)));
}

static void build_encoder(puna_network *net)
{
    puna_plan *g = &net->plan;
    puna_layer *decoder = net->layers;
    add_caches(net);
    net->layers = net->encoder_layers;
    puna_value x = encode(net, net->hp.n_encoder, net->encoder_norm);
    net->layers = decoder;
    for (int32_t il = 0; il < net->hp.n_layer; il++) {
        p_layer(g, il);
        p_kv_store(g, p_linear(g, x, decoder[il].cross_k, NULL), p_linear(g, x, decoder[il].cross_v, NULL), CROSS_CACHES + il);
    }
    if (g->status)
        return;
    net->encoder = *g;
    *g = (puna_plan){ 0 };
}

static puna_value decoder_layer(puna_network *net, puna_value x, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    p_layer(g, il);
    puna_value o = attend_itself(net, x, il, CROSS_CACHES + net->hp.n_layer + il, PUNA_MASK_CAUSAL);
    x = p_add(g, x, p_linear(g, o, l->wo, NULL));
    puna_value q = p_linear(g, puna_build_norm(net, x, l->cross_norm, NULL), l->cross_q, NULL);
    o = attend(net, q, il, CROSS_CACHES + il, PUNA_MASK_ENCODED, NULL);
    if (il == net->hp.n_layer - 1) {
        x = puna_build_needed_rows(net, x);
        o = puna_build_needed_rows(net, o);
    }
    return feed_forward(net, p_add(g, x, p_linear(g, o, l->cross_o, NULL)), il);
}

static void t5_build(puna_network *net)
{
    puna_plan *g = &net->plan;
    if (net->hp.decoder_start >= net->hp.n_vocab) {
        g->status = puna_fail(&g->error, PUNA_ERR_FORMAT, "metadata t5.decoder_start_token_id: got %d, expected 0..%d",
                              (int)net->hp.decoder_start, (int)net->hp.n_vocab - 1);
        return;
    }
    if (net->hp.pooling != PUNA_POOLING_OFF) {
        net->layers = net->encoder_layers;
        build_vector(net, net->hp.n_encoder, net->encoder_norm);
        return;
    }
    build_encoder(net);
    if (g->status)
        return;
    add_caches(net);
    p_layer(g, -1);
    puna_value x = puna_build_embed(net);
    for (int32_t il = 0; il < net->hp.n_layer; il++)
        x = decoder_layer(net, x, il);
    p_layer(g, -1);
    if (net->output == net->embedding) /* one matrix for both: its rows are too long for logits */
        net->hp.logit_scale = 1 / sqrtf((float)net->hp.n_embd);
    puna_build_end(net, puna_build_norm(net, x, net->output_norm, NULL));
}

static void encoder_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "attention.layer_norm_rms_epsilon");
    puna_key_need(k, "attention.relative_buckets_count");
    hp->n_buckets = puna_key_int(k, "attention.relative_buckets_count", 32, 4, 255); /* they end at a distance of 128 */
}

static void t5_keys(puna_hparams *hp, puna_keys *k)
{
    encoder_keys(hp, k);
    hp->n_encoder = hp->n_layer;
    hp->n_layer = puna_key_int(k, "decoder_block_count", hp->n_layer, 1, hp->n_layer);
    hp->decoder_start = puna_key_int(k, "decoder_start_token_id", 0, 0, INT32_MAX);
}

static const puna_alias t5_names[] = {
    { "attn_o.weight", "attn_output.weight" },
    { "dec.output_norm.weight", "output_norm.weight" },
    { NULL, NULL },
};

const puna_arch puna_arch_t5 = {
    .name = "t5",
    .activation = PUNA_ACT_GELU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_ATTENTION | PUNA_SET(FFN_NORM) | PUNA_SETS_PLAIN | PUNA_SET(CROSS),
    .may = PUNA_SET(GATE) | PUNA_SET(BUCKETS),
    .aliases = t5_names,
    .blocks = "dec.blk",
    .encoder_blocks = "enc.blk",
    .adjust = t5_keys,
    .build = t5_build,
    .tiny = TINY,
};

static const puna_alias t5encoder_names[] = {
    { "attn_o.weight", "attn_output.weight" },
    { "enc.output_norm.weight", "output_norm.weight" },
    { NULL, NULL },
};

static void t5encoder_build(puna_network *net)
{
    build_vector(net, net->hp.n_layer, net->output_norm);
}

const puna_arch puna_arch_t5encoder = {
    .name = "t5encoder",
    .activation = PUNA_ACT_GELU,
    .defaults = { .rms_eps = 1e-6f, .mask = PUNA_MASK_ALL, .pooling = PUNA_POOLING_MEAN },
    .needs = PUNA_SETS_ATTENTION | PUNA_SET(FFN_NORM) | PUNA_SETS_PLAIN,
    .may = PUNA_SET(GATE) | PUNA_SET(BUCKETS),
    .aliases = t5encoder_names,
    .blocks = "enc.blk",
    .adjust = encoder_keys,
    .build = t5encoder_build,
    .tiny = TINY,
};
