/* build.c - the decoder that most architectures share, as straight-line code over a layer.
 * What differs between them is data: which tensors are bound, the numbers, and the traits. */
#include <math.h>

#include "model/network.h"

puna_value puna_build_norm(puna_network *net, puna_value x, const puna_tensor *weight,
                           const puna_tensor *bias)
{
    if (!weight && !(net->arch->traits & PUNA_TRAIT_BARE_NORMS))
        return x;
    return p_norm(&net->plan, x, weight, bias, net->hp.norm_kind, net->hp.norm_eps);
}

/* One that only files with its weights have. */
static puna_value norm_if(puna_network *net, puna_value x, const puna_tensor *weight, const puna_tensor *bias)
{
    return weight ? puna_build_norm(net, x, weight, bias) : x;
}

/* After a branch. */
static puna_value post_norm(puna_network *net, puna_value x, const puna_tensor *weight,
                            const puna_tensor *bias)
{
    const puna_hparams *hp = &net->hp;
    const float eps = hp->post_norm_eps > 0 ? hp->post_norm_eps : hp->norm_eps;
    return weight ? p_norm(&net->plan, x, weight, bias, hp->norm_kind, eps) : x;
}

puna_value puna_build_linear(puna_network *net, puna_value x, const puna_tensor *w, const puna_tensor *scale,
                             const puna_tensor *bias)
{
    if (!scale)
        return p_linear(&net->plan, x, w, bias);
    return p_affine(&net->plan, p_linear(&net->plan, x, w, NULL), 1, scale, bias, 0);
}

/* In the feed-forward part the bias is scaled too. */
static puna_value linear_scaled(puna_network *net, puna_value x, const puna_tensor *w,
                                const puna_tensor *bias, const puna_tensor *scale)
{
    puna_value y = p_linear(&net->plan, x, w, bias);
    return scale ? p_affine(&net->plan, y, 1, scale, NULL, 0) : y;
}

/* ---- attention -------------------------------------------------------------------------- */

puna_value puna_build_rope(puna_network *net, puna_value x, int32_t il, int32_t n_head, int32_t head_dim)
{
    return puna_build_rope_paired(net, x, il, n_head, head_dim, net->hp.pairing, 0);
}

puna_value puna_build_rope_paired(puna_network *net, puna_value x, int32_t il, int32_t n_head,
                                  int32_t head_dim, puna_rope_pairing pairing, int32_t block)
{
    const puna_hparams *hp = &net->hp;
    const bool window = hp->layers[il].window > 0;
    puna_rope_params p = window ? hp->rope_window : hp->rope;
    const puna_tensor *factors = net->rope_factors;
    if (window && hp->window_plain)
        factors = NULL;
    else if (!factors)
        factors = hp->long_factors ? net->rope_long : net->rope_short;
    p.pairing = pairing;
    p.n_head = n_head;
    p.head_dim = head_dim;
    p.n_rot = window ? hp->n_rot_window : hp->n_rot;
    p.base = window ? hp->rope_base_window : hp->rope_base;
    p.position_block = block;
    return p_rope(&net->plan, x, &p, factors);
}

int32_t puna_build_cache(puna_network *net, int32_t il)
{
    const puna_layer_hparams *lh = &net->hp.layers[il];
    const puna_cache_layout layout = { .n_head = lh->n_head_kv,
                                       .head_dim_k = puna_head_dim_k(&net->hp, lh),
                                       .head_dim_v = puna_head_dim_v(&net->hp, lh),
                                       .window = net->hp.mask == PUNA_MASK_ALL ? 0 : lh->window };
    return p_cache(&net->plan, &layout);
}

puna_value puna_build_attend_over(puna_network *net, puna_value q, int32_t cache, int32_t il)
{
    const puna_hparams *hp = &net->hp;
    const puna_layer_hparams *lh = &hp->layers[il];
    const int32_t head_dim = puna_head_dim_k(hp, lh);
    puna_attention_params p = {
        .n_head = lh->n_head,
        .n_head_kv = lh->n_head_kv,
        .head_dim = head_dim,
        .head_dim_v = puna_head_dim_v(hp, lh),
        .cache = cache,
        .mask = hp->mask,
        .window = lh->window,
        .scale = hp->attention_scale > 0 ? hp->attention_scale : 1 / sqrtf((float)head_dim),
        .softcap = hp->attention_softcap,
        .alibi = hp->alibi,
    };
    if (hp->temperature != 0 && (lh->no_rope || !hp->temperature_unrotated)) {
        p.temperature = hp->temperature;
        p.temperature_length = hp->temperature_length;
        p.temperature_offset = hp->temperature_offset;
    }
    if (net->selected >= 0) {
        p.n_lists = hp->indexer.n_lists;
        p.key_block = hp->indexer.key_block;
        return p_attention_selected(&net->plan, q, net->selected, &p, net->layers[il].sinks);
    }
    return p_attention(&net->plan, q, &p, net->layers[il].sinks, NULL);
}

puna_value puna_build_attend(puna_network *net, puna_value q, puna_value k, puna_value v, int32_t il)
{
    const int32_t cache = puna_build_cache(net, il);
    p_kv_store(&net->plan, k, v, cache);
    return puna_build_attend_over(net, q, cache, il);
}

static puna_value qkv(puna_network *net, puna_value h, const puna_tensor *w, const puna_tensor *scale,
                      const puna_tensor *bias)
{
    puna_value y = puna_build_linear(net, h, w, scale, bias);
    return net->hp.clamp_qkv > 0 ? p_affine(&net->plan, y, 1, NULL, NULL, net->hp.clamp_qkv) : y;
}

/* A query or key through norm and rotation, in the architecture's order. */
static puna_value turned(puna_network *net, puna_value x, int32_t il, int32_t n_head,
                         const puna_tensor *weight, const puna_tensor *bias)
{
    const bool late = net->arch->traits & PUNA_TRAIT_QK_NORM_LATE;
    if (!late)
        x = norm_if(net, x, weight, bias);
    if (!net->hp.layers[il].no_rope)
        x = puna_build_rope(net, x, il, n_head, puna_head_dim_k(&net->hp, &net->hp.layers[il]));
    return late ? norm_if(net, x, weight, bias) : x;
}

puna_value puna_build_attention(puna_network *net, puna_value h, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const puna_layer_hparams *lh = &net->hp.layers[il];
    puna_value q = qkv(net, h, l->wq, l->sq, l->bq), k = qkv(net, h, l->wk, l->sk, l->bk);
    puna_value v = qkv(net, h, l->wv, l->sv, l->bv);
    q = turned(net, q, il, lh->n_head, l->q_norm, l->q_norm_bias);
    k = turned(net, k, il, lh->n_head_kv, l->k_norm, l->k_norm_bias);
    puna_value o = puna_build_attend(net, q, k, v, il);
    if (l->attn_gate)
        o = p_glu(g, p_linear(g, h, l->attn_gate, NULL), o,
                  &(puna_glu_params){ .activation = net->arch->attn_gate });
    return norm_if(net, o, l->attn_sub_norm, NULL);
}

/* ---- feed forward ----------------------------------------------------------------------- */

puna_value puna_build_dense(puna_network *net, puna_value h, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const puna_activation activation = net->hp.activation;
    const puna_glu_params p = { .activation = activation,
                                .limit = net->hp.layers[il].ff_limit,
                                .late_limit = !net->hp.ff_early_limit,
                                .up_offset = net->hp.ff_up_offset };
    puna_value gate = -1, y;
    if (l->ffn_gate)
        gate = linear_scaled(net, h, l->ffn_gate, l->ffn_gate_bias, l->ffn_gate_scale);
    y = linear_scaled(net, h, l->ffn_up, l->ffn_up_bias, l->ffn_up_scale);
    y = l->ffn_gate ? p_glu(g, gate, y, &p) : p_act(g, y, &(puna_act_params){ .kind = activation });
    if (l->ffn_act_scale)
        y = p_affine(g, y, 1, l->ffn_act_scale, NULL, 0);
    y = norm_if(net, y, l->ffn_sub_norm, NULL);
    return linear_scaled(net, y, l->ffn_down, l->ffn_down_bias, l->ffn_down_scale);
}

puna_value puna_build_shared(puna_network *net, puna_value h, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const puna_glu_params p = { .activation = net->hp.activation,
                                .limit = net->hp.layers[il].ff_limit,
                                .late_limit = !net->hp.ff_early_limit,
                                .up_offset = net->hp.ff_up_offset };
    puna_value gate = -1, y;
    if (l->shared_gate)
        gate = linear_scaled(net, h, l->shared_gate, NULL, l->shared_gate_scale);
    y = linear_scaled(net, h, l->shared_up, NULL, l->shared_up_scale);
    y = l->shared_gate ? p_glu(g, gate, y, &p) : p_act(g, y, &(puna_act_params){ .kind = p.activation });
    y = linear_scaled(net, y, l->shared_down, NULL, l->shared_down_scale);
    if (l->shared_weight)
        y = p_glu(g, p_linear(g, h, l->shared_weight, NULL), y,
                  &(puna_glu_params){ .activation = PUNA_ACT_SIGMOID });
    return y;
}

puna_value puna_build_experts(puna_network *net, puna_value h, puna_value scores, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_hparams *hp = &net->hp;
    const puna_layer *l = &net->layers[il];
    puna_experts e = l->experts;
    puna_experts_params p = {
        .n_used = hp->route.n_used,
        .weight_first = hp->weight_first,
        .fused = l->expert_gate_up != NULL,
        .glu = { .activation = net->hp.activation,
                 .limit = hp->layers[il].expert_limit,
                 .late_limit = !hp->early_limit,
                 .up_offset = hp->expert_up_offset },
    };
    if (p.fused)
        e.gate = l->expert_gate_up;
    p.gated = e.gate != NULL;
    puna_value route = l->expert_table ? p_moe_route_tokens(g, scores, l->expert_table, &hp->route)
                                       : p_moe_route(g, scores, l->choice_bias, &hp->route);
    puna_value y = p_moe_ffn(g, h, route, &e, &p);
    if (!l->shared_up)
        return y;
    const float part = hp->shared_mean ? 0.5f : 1;
    return p_add_scaled(g, y, part, puna_build_shared(net, h, il), part);
}

puna_value puna_build_feed_forward(puna_network *net, puna_value h, int32_t il)
{
    const puna_layer *l = &net->layers[il];
    if (!net->hp.layers[il].experts)
        return puna_build_dense(net, h, il);
    return puna_build_experts(net, h, p_linear(&net->plan, h, l->router, l->router_bias), il);
}

/* ---- the end ---------------------------------------------------------------------------- */

puna_value puna_build_needed_rows(puna_network *net, puna_value x)
{
    if (net->hp.pooling == PUNA_POOLING_MEAN)
        return x;
    return net->hp.pooling == PUNA_POOLING_CLS ? p_pool(&net->plan, x, PUNA_POOL_FIRST)
                                               : p_select_rows(&net->plan, x);
}

/* Scores of a text, or of a query beside a document. */
static puna_value classify(puna_network *net, puna_value x)
{
    puna_plan *g = &net->plan;
    if (!net->head && !net->head_output && !g->status)
        g->status = puna_fail(&g->error, PUNA_ERR_FORMAT,
                              "pooling: got rank, expected another: the model has no classifier "
                              "(tensor cls.weight or cls.output.weight)");
    if (net->head)
        x = p_act(g, p_linear(g, x, net->head, net->head_bias),
                  &(puna_act_params){ .kind = net->hp.rank_activation });
    x = norm_if(net, x, net->head_norm, NULL);
    return net->head_output ? p_linear(g, x, net->head_output, net->head_output_bias) : x;
}

void puna_build_end(puna_network *net, puna_value x)
{
    puna_plan *g = &net->plan;
    const puna_hparams *hp = &net->hp;
    if (hp->pooling == PUNA_POOLING_OFF) {
        p_logits(g, x, net->output, net->output_bias, hp->logit_scale != 0 ? hp->logit_scale : 1,
                 hp->logit_softcap);
        return;
    }
    if (hp->pooling == PUNA_POOLING_MEAN)
        x = p_pool(g, x, PUNA_POOL_MEAN);
    if (hp->rank)
        x = classify(net, x);
    x = net->dense_2 ? p_linear(g, x, net->dense_2, NULL) : x;
    x = net->dense_3 ? p_linear(g, x, net->dense_3, NULL) : x;
    p_output(g, x);
}

/* ---- the whole -------------------------------------------------------------------------- */

puna_value puna_build_embed(puna_network *net)
{
    puna_plan *g = &net->plan;
    const puna_hparams *hp = &net->hp;
    float scale = hp->embedding_scale != 0 ? hp->embedding_scale : 1;
    if (net->arch->traits & PUNA_TRAIT_EMBEDDING_SQRT)
        scale = sqrtf((float)hp->n_embd);
    puna_value x = p_embed(g, net->embedding, &(puna_embed_params){ .scale = scale });
    if (net->token_types) /* texts have one part, and its number is 0 */
        x = p_add(
            g, x,
            p_embed(g, net->token_types, &(puna_embed_params){ .source = PUNA_EMBED_FIRST, .scale = 1 }));
    if (net->positions)
        x = p_add(
            g, x,
            p_embed(g, net->positions, &(puna_embed_params){ .source = PUNA_EMBED_POSITION, .scale = 1 }));
    return norm_if(net, x, net->embedding_norm, net->embedding_norm_bias);
}

/* x plus what a branch made of it. */
static puna_value add_branch(puna_network *net, puna_value x, puna_value branch)
{
    return p_add_scaled(&net->plan, x, 1, branch, net->hp.residual_scale != 0 ? net->hp.residual_scale : 1);
}

/* The rows that the rest of the plan needs: in the last layer only those that get logits. */
static puna_value needed_rows(puna_network *net, puna_value x, bool last)
{
    return last && !(net->arch->traits & PUNA_TRAIT_ALL_ROWS) ? puna_build_needed_rows(net, x) : x;
}

puna_value puna_build_attention_out(puna_network *net, puna_value h, int32_t il)
{
    const puna_layer *l = &net->layers[il];
    return puna_build_linear(net, puna_build_attention(net, h, il), l->wo, l->so, l->bo);
}

/* Attention, or what stands in its place; *x becomes the rows that matter from here on. */
static puna_value mixer_branch(puna_network *net, puna_value h, int32_t il, bool last, puna_value *x)
{
    const puna_layer *l = &net->layers[il];
    const puna_layer_hparams *lh = &net->hp.layers[il];
    puna_value o;
    if (lh->recurrent)
        o = net->arch->mixer(net, h, il);
    else
        o = net->arch->attention ? net->arch->attention(net, h, il) : puna_build_attention(net, h, il);
    *x = needed_rows(net, *x, last);
    o = needed_rows(net, o, last);
    if (!lh->recurrent)
        o = puna_build_linear(net, o, l->wo, l->so, l->bo);
    else if (!lh->attends)
        o = puna_build_linear(net, o, l->ssm.out, l->ssm.out_scale, NULL);
    if (net->hp.value_scale != 0 && net->hp.value_scale != 1)
        o = p_affine(&net->plan, o, net->hp.value_scale, NULL, NULL, 0);
    return post_norm(net, o, l->attn_post_norm, l->attn_post_norm_bias);
}

static puna_value feed_forward_branch(puna_network *net, puna_value h, puna_value x, puna_value y, int32_t il)
{
    const puna_layer *l = &net->layers[il];
    puna_value f = net->arch->feed_forward ? net->arch->feed_forward(net, h, x, y, il)
                                           : puna_build_feed_forward(net, h, il);
    return post_norm(net, f, l->ffn_post_norm, l->ffn_post_norm_bias);
}

/* Which of its branches a layer has. */
static bool mixes(const puna_network *net, const puna_layer_hparams *l)
{
    const bool none = net->arch->traits & PUNA_TRAIT_PARTS && l->n_head == 0;
    return l->recurrent || (l->attends && !none);
}

static bool feeds(const puna_network *net, const puna_layer_hparams *l)
{
    return !(net->arch->traits & PUNA_TRAIT_PARTS) || l->n_ff > 0 || l->experts;
}

puna_value puna_build_layer(puna_network *net, puna_value x, int32_t il, bool last)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    p_layer(g, il);
    puna_value h = x, o = -1, rows = x, y;
    if (mixes(net, &net->hp.layers[il])) {
        h = puna_build_norm(net, x, l->attn_norm, l->attn_norm_bias);
        o = mixer_branch(net, norm_if(net, l->attn_norm_2 ? x : h, l->attn_norm_2, l->attn_norm_2_bias), il, last,
                         &rows);
    } else
        rows = needed_rows(net, x, last);
    if (net->arch->traits & PUNA_TRAIT_PARALLEL || net->hp.parallel) {
        h = l->ffn_norm ? puna_build_norm(net, rows, l->ffn_norm, l->ffn_norm_bias) : needed_rows(net, h, last);
        return p_add(g, add_branch(net, rows, feed_forward_branch(net, h, rows, rows, il)), o);
    }
    y = o >= 0 ? add_branch(net, rows, o) : rows;
    if (!feeds(net, &net->hp.layers[il]))
        return y;
    h = puna_build_norm(net, y, l->ffn_norm, l->ffn_norm_bias);
    return add_branch(net, y, feed_forward_branch(net, h, rows, y, il));
}

void puna_build_output(puna_network *net, puna_value x)
{
    p_layer(&net->plan, -1);
    if (net->arch->traits & PUNA_TRAIT_ALL_ROWS)
        x = puna_build_needed_rows(net, x);
    puna_build_end(net, puna_build_norm(net, x, net->output_norm, net->output_norm_bias));
}

void puna_build_decoder(puna_network *net)
{
    p_layer(&net->plan, -1);
    puna_value x = puna_build_embed(net);
    for (int32_t il = 0; il < net->hp.n_layer; il++)
        x = puna_build_layer(net, x, il, il == net->hp.n_layer - 1);
    puna_build_output(net, x);
}

/* ---- tensors that no file has ----------------------------------------------------------- */

puna_tensor *puna_build_vector(puna_network *net, uint64_t n)
{
    puna_tensor *t = puna_arena_alloc(&net->arena, sizeof *t);
    float *values = puna_arena_array(&net->arena, n, sizeof *values);
    if (!t || !values) {
        if (!net->plan.status)
            net->plan.status = puna_fail_memory(&net->plan.error, "vector", n * sizeof *values);
        return NULL;
    }
    *t = (puna_tensor){ .name = "(computed)",
                        .format = puna_format_get(PUNA_FORMAT_F32),
                        .ne = { n, 1, 1, 1 },
                        .data = values,
                        .size_bytes = n * sizeof *values };
    return t;
}

const puna_tensor *puna_build_repeated(puna_network *net, const puna_tensor *w, int32_t n)
{
    const uint64_t n_w = w->ne[0] * puna_tensor_rows(w);
    puna_tensor *t = puna_build_vector(net, n_w * (uint64_t)n);
    float *to = t ? (float *)(uintptr_t)t->data : NULL;
    for (uint64_t i = 0; to && i < n_w * (uint64_t)n; i++)
        to[i] = ((const float *)w->data)[i / (uint64_t)n];
    return t;
}
