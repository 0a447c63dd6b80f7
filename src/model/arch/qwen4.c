/* qwen4.c - Qwen3.8-Flash-Next: the gated delta nets and the gated attention of delta.c, which looks at chosen blocks of
 * tokens, between several residual streams; and rows of a large table, by hashes of the last tokens, that one layer
 * adds to the streams. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "model/network.h"

/* ---- keys ------------------------------------------------------------------------------- */

static int32_t needed(puna_keys *k, const char *suffix, int32_t least, int32_t most)
{
    puna_key_need(k, suffix);
    return puna_key_int(k, suffix, least, least, most);
}

/* Layers with a ratio have an indexer, whose keys are of so many tokens each; it is the same for all. */
static void block_keys(puna_hparams *hp, puna_keys *k)
{
    const char *const name = "attention.compress_ratios";
    int32_t block = 0;
    bool any = false;
    puna_key_layers_int(k, hp, name, offsetof(puna_layer_hparams, compress), 0, 1 << 10);
    for (int32_t i = 0; i < hp->n_layer; i++) {
        puna_layer_hparams *l = &hp->layers[i];
        if (l->compress == 1 || (l->compress > 0 && block > 0 && l->compress != block))
            puna_key_mistake(k, name, l->compress, "0, or the same number above 1 for all layers");
        block = l->compress > 0 ? l->compress : block;
        l->compress = l->recurrent ? 0 : l->compress;
        l->indexer = l->compress > 0 ? PUNA_INDEXER_OWN : PUNA_INDEXER_NONE;
        any |= l->compress > 0;
    }
    if (!any)
        return;
    hp->indexer.pooled = true;
    hp->indexer.key_block = block;
    puna_key_indexer(k, hp, PUNA_ROPE_NEOX, 0);
}

/* Which rows of the table a hash is for. */
static void range_keys(puna_keys *k, puna_ngrams *n, int32_t n_rows)
{
    uint64_t first[PUNA_NGRAM_ROWS], count[PUNA_NGRAM_ROWS];
    if (!puna_key_u64s(k, "ple.layer_multipliers", n->factors, n->n_gram) ||
        !puna_key_u64s(k, "ple.head_offsets", first, n_rows) ||
        !puna_key_u64s(k, "ple.head_vocab_sizes", count, n_rows))
        return;
    for (int32_t i = 0; i < n_rows; i++) {
        if (count[i] < 1 || count[i] > INT32_MAX || first[i] > INT32_MAX - count[i]) {
            k->status =
                puna_fail(&k->error, PUNA_ERR_FORMAT,
                          "metadata %s.ple.head_vocab_sizes: number %d: got %llu rows from %llu on, "
                          "expected some, and the last before 2147483648",
                          k->arch, (int)i, (unsigned long long)count[i], (unsigned long long)first[i]);
            return;
        }
        n->first[i] = (uint32_t)first[i];
        n->count[i] = (uint32_t)count[i];
    }
}

static void ngram_keys(puna_hparams *hp, puna_keys *k)
{
    const uint64_t n_layers = puna_key_count(k, "ple.layers");
    if (n_layers == 0 || k->status)
        return;
    puna_ngrams *n = puna_arena_alloc(k->arena, sizeof *n);
    if (!n) {
        k->status = puna_fail_memory(&k->error, "ple", sizeof *n);
        return;
    }
    if (n_layers > 1)
        puna_key_mistake(k, "ple.layers", (int32_t)(n_layers < INT32_MAX ? n_layers : INT32_MAX),
                         "one layer");
    puna_key_ints(k, "ple.layers", &n->layer, 1, hp->n_layer - 1);
    n->n_gram = needed(k, "ple.ngram_size", 2, PUNA_NGRAM_TOKENS);
    n->n_each = needed(k, "ple.heads_per_ngram", 1, PUNA_NGRAM_ROWS);
    n->n_taps = needed(k, "ple.conv_kernel", 2, 64);
    n->end = needed(k, "ple.eos_token_id", 0, INT32_MAX);
    hp->n_layer_input = needed(k, "embedding_length_per_layer_input", 1, 1 << 20);
    const int32_t n_rows = (n->n_gram - 1) * n->n_each;
    if (n_rows > PUNA_NGRAM_ROWS)
        puna_key_mistake(k, "ple.heads_per_ngram", n->n_each, "no more than 64 rows for a token");
    else if ((int64_t)n_rows * hp->n_layer_input != hp->n_embd)
        puna_key_mistake(k, "embedding_length_per_layer_input", hp->n_layer_input,
                         "embedding_length divided by the rows of a token");
    else
        range_keys(k, n, n_rows);
    hp->ngrams = n;
}

static void qwen4exp_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_delta_experts(hp, k);
    if (hp->head_dim_k != hp->head_dim_v)
        puna_key_mistake(k, "attention.value_length", hp->head_dim_v, "attention.key_length");
    hp->hyper.n = needed(k, "hyper_connection.count", 2, 64);
    hp->hyper.n_low = needed(k, "hyper_connection.low_rank", 1, 1 << 16);
    block_keys(hp, k);
    ngram_keys(hp, k);
}

/* ---- streams ---------------------------------------------------------------------------- */

/* Each stream by itself, with weights of its own. */
static puna_value norm_streams(puna_network *net, puna_value x, const puna_tensor *w)
{
    puna_plan *g = &net->plan;
    const puna_norm_params p = { .kind = PUNA_NORM_RMS, .eps = net->hp.rms_eps, .group = net->hp.n_embd };
    const uint64_t n = w->ne[0] * puna_tensor_rows(w),
                   all = (uint64_t)net->hp.hyper.n * (uint64_t)net->hp.n_embd;
    if (n != all && !g->status)
        g->status = puna_fail(&g->error, PUNA_ERR_FORMAT, "tensor %s: got %llu values, expected %llu",
                              w->name, (unsigned long long)n, (unsigned long long)all);
    return p_norm_groups(g, x, w, NULL, &p);
}

/* What a branch reads, and how much of its result each stream gets. */
typedef struct branch {
    puna_value in, inject;
} branch;

static branch enter(puna_network *net, puna_value streams, const puna_hyper_low *t)
{
    puna_plan *g = &net->plan;
    const int32_t n = net->hp.hyper.n;
    const puna_value x = norm_streams(net, streams, t->norm);
    puna_value low = p_affine(g, p_linear(g, x, t->down, NULL), 1 / (float)n, NULL, NULL, 0);
    low = p_act(g, low, &(puna_act_params){ .kind = PUNA_ACT_SILU });
    branch b = { .inject = t->inject ? p_linear(g, x, t->inject, NULL) : -1 };
    b.in = p_glu(g, p_linear(g, low, t->up, NULL), x, &(puna_glu_params){ .activation = PUNA_ACT_SIGMOID });
    b.in = p_mean(g, b.in, n);
    return b;
}

static puna_value leave(puna_network *net, puna_value streams, branch b, puna_value result)
{
    puna_plan *g = &net->plan;
    puna_value w = p_affine(g, b.inject, 1 / (float)net->hp.hyper.n, NULL, NULL, 0);
    w = p_affine(g, p_act(g, w, &(puna_act_params){ .kind = PUNA_ACT_SIGMOID }), 2, NULL, NULL, 0);
    return p_add(g, streams, p_mix(g, result, w, 1));
}

static puna_value attention(puna_network *net, puna_value h, int32_t il)
{
    net->selected = puna_build_select(net, h, h, il);
    return puna_build_gated_attention(net, h, il);
}

static puna_value layer(puna_network *net, puna_value streams, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    branch b = enter(net, streams, &l->hyper_low_attn);
    const bool recurrent = net->hp.layers[il].recurrent;
    puna_value o = recurrent ? puna_build_delta_net(net, b.in, il) : attention(net, b.in, il);
    if (il == net->hp.n_layer - 1) { /* from here on only rows that get logits matter */
        streams = p_select_rows(g, streams);
        b.inject = p_select_rows(g, b.inject);
        o = p_select_rows(g, o);
    }
    o = recurrent ? puna_build_linear(net, o, l->ssm.out, l->ssm.out_scale, NULL)
                  : puna_build_linear(net, o, l->wo, l->so, NULL);
    streams = leave(net, streams, b, o);
    b = enter(net, streams, &l->hyper_low_ffn);
    return leave(net, streams, b, puna_build_feed_forward(net, b.in, il));
}

/* ---- rows by the last tokens ------------------------------------------------------------ */

static puna_value table_rows(puna_network *net)
{
    const puna_ngrams *n = net->hp.ngrams;
    return p_ngram(&net->plan, net->ngram_table,
                   &(puna_ngram_params){ .n_gram = n->n_gram,
                                         .n_each = n->n_each,
                                         .end = n->end,
                                         .factors = n->factors,
                                         .first = n->first,
                                         .count = n->count });
}

/* A matrix for each stream that sums it, as scores of attention are scaled. */
static const puna_tensor *sums(puna_network *net)
{
    const uint64_t n_embd = (uint64_t)net->hp.n_embd, n = (uint64_t)net->hp.hyper.n;
    puna_tensor *t = puna_build_vector(net, n_embd * n);
    float *to = t ? (float *)(uintptr_t)t->data : NULL;
    for (uint64_t i = 0; to && i < n_embd * n; i++)
        to[i] = 1 / sqrtf((float)n_embd);
    if (t) {
        t->ne[0] = n_embd;
        t->ne[2] = n;
    }
    return t;
}

/* A filter that sees every n-th row: zeros between. */
static const puna_tensor *spread(puna_network *net, const puna_tensor *w, int32_t n)
{
    const uint64_t n_taps = w->ne[0], n_all = (n_taps - 1) * (uint64_t)n + 1, n_rows = puna_tensor_rows(w);
    puna_tensor *t = puna_build_vector(net, n_all * n_rows);
    float *to = t ? (float *)(uintptr_t)t->data : NULL;
    for (uint64_t r = 0; to && r < n_rows; r++)
        for (uint64_t i = 0; i < n_all; i++)
            to[r * n_all + i] = i % (uint64_t)n ? 0 : ((const float *)w->data)[r * n_taps + i / (uint64_t)n];
    if (t) {
        t->ne[0] = n_all;
        t->ne[1] = n_rows;
    }
    return t;
}

/* Each stream gets as much of the rows' value as it agrees with their key, and what a filter makes of that. */
static puna_value add_rows(puna_network *net, puna_value streams, puna_value rows,
                           const puna_ngram_tensors *t)
{
    puna_plan *g = &net->plan;
    const float least = 1e-6f; /* of what a root is drawn of */
    const puna_value key = norm_streams(net, p_linear(g, rows, t->key, NULL), t->norm_key);
    const puna_value query = norm_streams(net, streams, t->norm_query);
    puna_value gate = p_glu(g, key, query, &(puna_glu_params){ .activation = PUNA_ACT_IDENTITY });
    gate = p_linear_heads(g, gate, sums(net));
    gate = p_act(g, gate, &(puna_act_params){ .kind = PUNA_ACT_SIGNED_ROOT, .a = { least } });
    gate = p_act(g, gate, &(puna_act_params){ .kind = PUNA_ACT_SIGMOID });
    const puna_value value = p_mix(g, p_linear(g, rows, t->value, NULL), gate, 1);
    const puna_tensor *taps = spread(net, t->conv, net->hp.ngrams->n_gram);
    const puna_value filtered =
        p_conv1d(g, norm_streams(net, value, t->norm_conv), taps, NULL, PUNA_ACT_SILU);
    return p_add(g, streams, p_add(g, value, filtered));
}

/* ---- the whole -------------------------------------------------------------------------- */

static void build(puna_network *net)
{
    puna_plan *g = &net->plan;
    const puna_hparams *hp = &net->hp;
    p_layer(g, -1);
    puna_value streams = p_repeat(g, puna_build_embed(net), hp->hyper.n), rows = -1;
    if (hp->ngrams)
        rows = table_rows(net);
    for (int32_t il = 0; il < hp->n_layer; il++) {
        p_layer(g, il);
        if (hp->ngrams && il == hp->ngrams->layer)
            streams = add_rows(net, streams, rows, &net->layers[il].ngram);
        streams = layer(net, streams, il);
    }
    p_layer(g, -1);
    puna_build_end(net, enter(net, streams, &net->hyper_low_head).in);
}

const puna_arch puna_arch_qwen4exp = {
    .name = "qwen4exp",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .attn_gate = PUNA_ACT_SIGMOID,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SET(EMBEDDING) | PUNA_SET(HYPER_LOW) | PUNA_SET(Q_GATED) | PUNA_SETS_QK_NORM | PUNA_SET(O) |
             PUNA_SET(INDEXER_DIRECT) | PUNA_SET(DELTA) | PUNA_SET(DELTA_QKV) | PUNA_SET(DELTA_BETA) |
             PUNA_SETS_EXPERTS | PUNA_SETS_SHARED | PUNA_SET(SHARED_WEIGHT) | PUNA_SET(NGRAM),
    .may = PUNA_SET(DELTA_SCALE) | PUNA_SET(EXPERT_GATE_UP) | PUNA_SET(EXPERT_SCALE) | PUNA_SET(SHARED_SCALE),
    .never = PUNA_SET(QKV) | PUNA_SET(QKV_BIAS) | PUNA_SET(QKV_FUSED) | PUNA_SET(QKV_FUSED_BIAS) |
             PUNA_SET(QKV_FUSED_SCALE),
    .adjust = qwen4exp_keys,
    .build = build,
    .tiny = { .n_layer = 2,
              .n_embd = 64,
              .n_head = 4,
              .n_head_kv = 2,
              .head_dim = 16,
              .n_ff = 96,
              .n_vocab = 128 },
};
