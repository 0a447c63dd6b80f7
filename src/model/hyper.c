/* hyper.c - decoders with hyper-connections (Zhu et al. 2024, arXiv 2409.19606): several residual streams instead of
 * one. A branch reads a weighted sum of them, with weights that each token makes of its own streams, and its result is
 * added to every stream with a weight of its own. Owns their keys and the decoder around the branches. */

#include "model/network.h"

void puna_key_hyper(puna_keys *k, puna_hparams *hp)
{
    puna_hyper *p = &hp->hyper;
    puna_key_need(k, "hyper_connection.count");
    puna_key_need(k, "hyper_connection.epsilon");
    p->n = puna_key_int(k, "hyper_connection.count", 1, 1, 64);
    p->eps = puna_key_real(k, "hyper_connection.epsilon", 0);
    p->magnitude = 2;
}

/* A vector in the network's arena; NULL with the plan's error set. */
static const puna_tensor *vector(puna_network *net, const puna_tensor *of, uint64_t from, uint64_t n)
{
    puna_tensor *t = puna_arena_alloc(&net->arena, sizeof *t);
    if (!t) {
        if (!net->plan.status)
            net->plan.status = puna_fail_memory(&net->plan.error, of->name, sizeof *t);
        return NULL;
    }
    *t = *of;
    t->ne[0] = n;
    t->data = (const float *)of->data + from;
    t->size_bytes = n * sizeof(float);
    return t;
}

/* magnitude * sigmoid(scale x + base) + eps for the n numbers from `from` on; number is that of their scale. */
static puna_value weights(puna_network *net, puna_value x, const puna_hyper_tensors *t, int32_t from,
                          int32_t number, float magnitude, const puna_tensor *eps)
{
    puna_plan *g = &net->plan;
    const int32_t n = net->hp.hyper.n;
    const puna_tensor *base = vector(net, t->base, (uint64_t)from, (uint64_t)n);
    puna_value y =
        p_affine(g, p_columns(g, x, 1, from, n), ((const float *)t->scale->data)[number], NULL, base, 0);
    y = p_act(g, y, &(puna_act_params){ .kind = PUNA_ACT_SIGMOID });
    return p_affine(g, y, magnitude, NULL, eps, 0);
}

/* What the streams' numbers are made of. */
static puna_value read_streams(puna_network *net, puna_value streams, const puna_hyper_tensors *t)
{
    puna_plan *g = &net->plan;
    return p_linear(g, p_norm(g, streams, NULL, NULL, PUNA_NORM_RMS, net->hp.rms_eps), t->fn, NULL);
}

static const puna_tensor *constant(puna_network *net, float value)
{
    const puna_tensor *t = puna_build_vector(net, 1);
    if (t)
        *(float *)(uintptr_t)t->data = value;
    return t;
}

/* One of a layer's branches: what it reads, and where its result goes. */
typedef struct branch {
    puna_value in, post, comb; /* comb: how streams are mixed before; -1: not */
} branch;

static branch enter(puna_network *net, puna_value streams, const puna_hyper_tensors *t,
                    const puna_tensor *eps)
{
    puna_plan *g = &net->plan;
    const puna_hyper *p = &net->hp.hyper;
    const puna_value numbers = read_streams(net, streams, t);
    const puna_value pre = weights(net, numbers, t, 0, 0, 1, eps);
    branch b = { .in = p_mix(g, streams, pre, p->n), .comb = -1 };
    b.post = weights(net, numbers, t, p->n, 1, p->magnitude, p->n_balance > 0 ? NULL : eps);
    if (p->n_balance > 0) {
        const int32_t n = p->n * p->n;
        const puna_tensor *base = vector(net, t->base, 2 * (uint64_t)p->n, (uint64_t)n);
        puna_value z = p_columns(g, numbers, 1, 2 * p->n, n);
        z = p_affine(g, z, ((const float *)t->scale->data)[2], NULL, base, 0);
        b.comb = p_balance(g, z, p->n_balance, p->eps);
    }
    return b;
}

static puna_value leave(puna_network *net, puna_value streams, branch b, puna_value result)
{
    puna_plan *g = &net->plan;
    const int32_t n = net->hp.hyper.n;
    return p_add(g, b.comb >= 0 ? p_mix(g, streams, b.comb, n) : streams, p_mix(g, result, b.post, 1));
}

static puna_value layer(puna_network *net, puna_value streams, int32_t il, const puna_tensor *eps)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    p_layer(g, il);
    branch b = enter(net, streams, &l->hyper_attn, eps);
    const puna_value h = puna_build_norm(net, b.in, l->attn_norm, l->attn_norm_bias);
    const bool recurrent = net->hp.layers[il].recurrent;
    puna_value o = recurrent ? net->arch->mixer(net, h, il) : net->arch->attention(net, h, il);
    if (il == net->hp.n_layer - 1) { /* from here on only rows that get logits matter */
        streams = p_select_rows(g, streams);
        b.post = p_select_rows(g, b.post);
        b.comb = b.comb >= 0 ? p_select_rows(g, b.comb) : -1;
        o = p_select_rows(g, o);
    }
    o = recurrent ? p_linear(g, o, l->ssm.out, NULL) : p_linear(g, o, l->wo, l->bo);
    streams = leave(net, streams, b, o);
    b = enter(net, streams, &l->hyper_ffn, eps);
    o = puna_build_feed_forward(net, puna_build_norm(net, b.in, l->ffn_norm, l->ffn_norm_bias), il);
    return leave(net, streams, b, o);
}

void puna_build_hyper(puna_network *net)
{
    puna_plan *g = &net->plan;
    const puna_hparams *hp = &net->hp;
    const puna_tensor *eps = constant(net, hp->hyper.eps);
    p_layer(g, -1);
    puna_value streams = p_repeat(g, puna_build_embed(net), hp->hyper.n);
    for (int32_t il = 0; il < hp->n_layer; il++)
        streams = layer(net, streams, il, eps);
    p_layer(g, -1);
    if (!net->hyper_head.fn) {
        puna_build_output(net, p_mean(g, streams, hp->hyper.n));
        return;
    }
    const puna_value numbers = read_streams(net, streams, &net->hyper_head);
    const puna_value pre = weights(net, numbers, &net->hyper_head, 0, 0, 1, eps);
    puna_build_output(net, p_mix(g, streams, pre, hp->hyper.n));
}
