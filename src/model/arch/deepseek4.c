/* deepseek4.c - DeepSeek-V4: one vector per token that is key and value of all heads, looked at through a window; blocks
 * of tokens before it as one vector each, all of them or those an indexer chooses; several residual streams. */
#include <math.h>
#include <stddef.h>

#include "model/network.h"

/* ---- keys ------------------------------------------------------------------------------- */

enum { OVERLAPPING = 4, WIDE = 128 }; /* tokens of a block: with the block before it and an indexer, or without both */

static int32_t needed(puna_keys *k, const char *suffix, int32_t least, int32_t most)
{
    puna_key_need(k, suffix);
    return puna_key_int(k, suffix, least, least, most);
}

static void attention_keys(puna_hparams *hp, puna_keys *k)
{
    hp->n_lora_q = needed(k, "attention.q_lora_rank", 1, 1 << 16);
    hp->n_out_group = needed(k, "attention.output_group_count", 1, 1 << 13);
    hp->n_lora_o = needed(k, "attention.output_lora_rank", 1, 1 << 16);
    hp->window = needed(k, "attention.sliding_window", 1, 1 << 24);
    puna_key_need(k, "attention.compress_rope_freq_base");
    hp->rope_base_compress = puna_key_real(k, "attention.compress_rope_freq_base", 10000);
    if (!(hp->rope_base_compress > 0))
        puna_key_mistake(k, "attention.compress_rope_freq_base", 0, "more than 0");
    puna_key_need(k, "attention.compress_ratios");
    puna_key_layers_int(k, hp, "attention.compress_ratios", offsetof(puna_layer_hparams, compress), 0, WIDE);
    for (int32_t i = 0; i < hp->n_layer; i++) {
        puna_layer_hparams *l = &hp->layers[i];
        l->window = hp->window;
        l->indexer = l->compress == OVERLAPPING ? PUNA_INDEXER_OWN : PUNA_INDEXER_NONE;
        if (l->compress != 0 && l->compress != OVERLAPPING && l->compress != WIDE)
            puna_key_mistake(k, "attention.compress_ratios", l->compress, "0, 4 or 128");
        if (l->n_head < 1 || l->n_head % hp->n_out_group)
            puna_key_mistake(k, "attention.head_count", l->n_head, "a multiple of output_group_count");
        if (l->n_head_kv != 1)
            puna_key_mistake(k, "attention.head_count_kv", l->n_head_kv, "1");
    }
    if (hp->head_dim_k != hp->head_dim_v || hp->n_rot > hp->head_dim_k)
        puna_key_mistake(k, "attention.value_length", hp->head_dim_v, "attention.key_length, and no less than rope.dimension_count");
    hp->indexer.key_block = OVERLAPPING;
    puna_key_indexer(k, hp, PUNA_ROPE_NORMAL, 0);
}

static void deepseek4_keys(puna_hparams *hp, puna_keys *k)
{
    attention_keys(hp, k);
    puna_key_experts(k, hp, &(puna_expert_keys){ .gating_key = true, .norm_key = true, .scaled = true, .own_ff = true,
                                                 .n_shared = 1 });
    if (hp->route.gating != PUNA_GATING_SQRT_SOFTPLUS)
        puna_key_mistake(k, "expert_gating_func", (int32_t)hp->route.gating, "4");
    puna_key_need(k, "swiglu_clamp_exp");
    puna_key_layers_real(k, hp, "swiglu_clamp_exp", offsetof(puna_layer_hparams, expert_limit));
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].ff_limit = hp->layers[i].expert_limit;
    puna_key_layers_real(k, hp, "swiglu_clamp_shexp", offsetof(puna_layer_hparams, ff_limit));
    hp->early_limit = hp->ff_early_limit = true;
    hp->n_expert_table = needed(k, "hash_layer_count", 0, hp->n_layer);
    puna_key_hyper(k, hp);
    hp->hyper.n_balance = needed(k, "hyper_connection.sinkhorn_iterations", 1, 1 << 10);
    if (hp->n_predict > 0 && !puna_key_tensor(k, hp->n_layer, "nextn.eh_proj.weight"))
        puna_key_mistake(k, "nextn_predict_layers", hp->n_predict, "layers that have nextn.eh_proj.weight");
}

/* ---- attention -------------------------------------------------------------------------- */

/* Of the last n_rot values of each head. block: positions are those of the first token of a block. */
static puna_value turn(puna_network *net, puna_value x, int32_t il, int32_t n_head, int32_t head_dim, int32_t block, bool back)
{
    puna_plan *g = &net->plan;
    const puna_hparams *hp = &net->hp;
    const bool compresses = hp->layers[il].compress > 0;
    const int32_t n_nope = head_dim - hp->n_rot;
    puna_rope_params p = hp->rope;
    p.pairing = hp->pairing;
    p.n_head = n_head;
    p.head_dim = p.n_rot = hp->n_rot;
    p.base = compresses ? hp->rope_base_compress : hp->rope_base;
    p.magnitude = 1;
    p.position_block = block;
    p.back = back;
    if (!compresses) {
        p.scale = 1;
        p.yarn_ext = 0;
    }
    if (n_nope == 0)
        return p_rope(g, x, &p, NULL);
    puna_value turned = p_rope(g, p_columns(g, x, n_head, n_nope, hp->n_rot), &p, NULL);
    return p_join(g, p_columns(g, x, n_head, 0, n_nope), turned, n_head);
}

/* Blocks of tokens as vectors of n values, in a cache of their own, each at its last token. */
static int32_t compressed(puna_network *net, puna_value h, int32_t il, const puna_compressor *c, int32_t n, int32_t n_v)
{
    puna_plan *g = &net->plan;
    const int32_t block = net->hp.layers[il].compress;
    const bool overlaps = block == OVERLAPPING;
    const puna_cache_layout rows = { .n_head = 1, .head_dim_k = (overlaps ? 4 : 2) * n, .v_in_k = true };
    const puna_cache_layout keys = { .n_head = 1, .head_dim_k = n, .head_dim_v = n_v, .v_in_k = true };
    const puna_compress_params p = { .cache = p_cache(g, &rows), .n_out = n, .block = block, .overlaps = overlaps };
    const int32_t cache = p_cache(g, &keys);
    puna_value scores = p_embed(g, c->positions, &(puna_embed_params){ .source = PUNA_EMBED_CYCLE, .scale = 1 });
    scores = p_add(g, p_linear(g, h, c->gate, NULL), scores);
    p_k_store(g, p_join(g, p_linear(g, h, c->kv, NULL), scores, 1), p.cache);
    puna_value key = p_norm(g, p_compress(g, &p), c->norm, NULL, PUNA_NORM_RMS, net->hp.rms_eps);
    p_k_store(g, turn(net, key, il, 1, n, block, false), cache);
    return cache;
}

static puna_value choose(puna_network *net, puna_value h, puna_value lora_q, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const puna_indexer *x = &net->hp.indexer;
    if (net->hp.layers[il].indexer == PUNA_INDEXER_NONE || x->n_idle > 0)
        return -1;
    const puna_select_params p = { .n_head = x->n_head, .head_dim = x->head_dim, .n_lists = 1, .n_top = x->n_top,
                                   .key_block = x->key_block, .ended = true,
                                   .scale = 1 / sqrtf((float)x->head_dim * (float)x->n_head),
                                   .cache = compressed(net, h, il, &l->index_compressor, x->head_dim, 0) };
    puna_value q = turn(net, p_linear(g, lora_q, l->index_q, NULL), il, x->n_head, x->head_dim, 0, false);
    return p_select_keys(g, q, p_linear(g, h, l->index_weights, NULL), &p);
}

/* The file's matrices of groups, one after another. */
static puna_value project_groups(puna_network *net, puna_value o, const puna_tensor *w)
{
    const uint64_t n_group = (uint64_t)net->hp.n_out_group, n_lora = (uint64_t)net->hp.n_lora_o;
    puna_tensor *t = puna_arena_alloc(&net->arena, sizeof *t);
    if (!t || puna_tensor_rows(w) != n_group * n_lora) {
        if (!net->plan.status)
            net->plan.status = t ? puna_fail(&net->plan.error, PUNA_ERR_FORMAT, "tensor %s: rows: got %llu, expected %llu",
                                             w->name, (unsigned long long)puna_tensor_rows(w),
                                             (unsigned long long)(n_group * n_lora))
                                 : puna_fail_memory(&net->plan.error, w->name, sizeof *t);
        return -1;
    }
    *t = *w;
    t->ne[1] = n_lora;
    t->ne[2] = n_group;
    return p_linear_heads(&net->plan, o, t);
}

static puna_value attention(puna_network *net, puna_value h, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_hparams *hp = &net->hp;
    const puna_layer *l = &net->layers[il];
    const puna_layer_hparams *lh = &hp->layers[il];
    const int32_t d = hp->head_dim_k;
    const puna_cache_layout layout = { .n_head = 1, .head_dim_k = d, .head_dim_v = d, .window = lh->window, .v_in_k = true };
    puna_attention_params p = { .n_head = lh->n_head, .n_head_kv = 1, .head_dim = d, .head_dim_v = d, .mask = hp->mask,
                                .window = lh->window, .scale = 1 / sqrtf((float)d), .cache = p_cache(g, &layout) };
    const puna_norm_params bare = { .kind = PUNA_NORM_RMS, .eps = hp->rms_eps, .group = d };
    puna_value lora_q = puna_build_norm(net, p_linear(g, h, l->q_a, NULL), l->q_a_norm, NULL);
    puna_value q = p_norm_groups(g, p_linear(g, lora_q, l->q_b, NULL), NULL, NULL, &bare);
    q = turn(net, q, il, lh->n_head, d, 0, false);
    puna_value kv = puna_build_norm(net, p_linear(g, h, l->kv_a, NULL), l->kv_a_norm, NULL), o;
    p_k_store(g, turn(net, kv, il, 1, d, 0, false), p.cache);
    if (lh->compress > 0) {
        p.far = true;
        p.far_cache = compressed(net, h, il, &l->compressor, d, d);
        p.n_lists = 1;
        p.key_block = lh->compress;
        o = p_attention_selected(g, q, choose(net, h, lora_q, il), &p, l->sinks);
    } else
        o = p_attention(g, q, &p, l->sinks, NULL);
    return project_groups(net, turn(net, o, il, lh->n_head, d, 0, true), l->wo_a);
}

const puna_arch puna_arch_deepseek4 = {
    .name = "deepseek4",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SET(EMBEDDING) | PUNA_SET(OUTPUT_NORM) | PUNA_SET(OUTPUT) | PUNA_SET(ATTN_NORM) | PUNA_SET(FFN_NORM) |
             PUNA_SET(SINKS) | PUNA_SET(LORA_Q) | PUNA_SET(KV_ONE) | PUNA_SET(LORA_O) | PUNA_SET(COMPRESSOR) |
             PUNA_SET(INDEX_QUERY) | PUNA_SET(INDEX_COMPRESSOR) | PUNA_SET(HYPER) | PUNA_SET(HYPER_HEAD) |
             PUNA_SETS_EXPERTS | PUNA_SETS_SHARED | PUNA_SET(CHOICE_BIAS) | PUNA_SET(EXPERT_TABLE),
    .never = PUNA_SETS_QKV | PUNA_SET(O_SCALE),
    .adjust = deepseek4_keys,
    .attention = attention,
    .build = puna_build_hyper,
    .tiny = { .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 1, .head_dim = 16, .n_ff = 96, .n_vocab = 128 },
};
