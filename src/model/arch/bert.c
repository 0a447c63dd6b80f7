/* bert.c - encoders whose norms follow the sums: BERT (Devlin et al. 2018, arXiv 1810.04805) with RoBERTa and its
 * likes, Nomic Embed (arXiv 2402.01613) and its mixture of experts (arXiv 2502.07972), Jina Embeddings 2 (arXiv
 * 2310.19923) and 3 (arXiv 2409.10173). Every token sees all others; what is left is a vector. */
#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 4, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

/* The norms after both branches have other names here. */
static const puna_alias norms[] = {
    { "attn_output_norm.weight", "post_attention_norm.weight" },
    { "attn_output_norm.bias", "post_attention_norm.bias" },
    { "layer_output_norm.weight", "post_ffw_norm.weight" },
    { "layer_output_norm.bias", "post_ffw_norm.bias" },
    { NULL, NULL },
};

#define BERT                                                                                          \
    (PUNA_SET(EMBEDDING) | PUNA_SET(EMBEDDING_NORM) | PUNA_SET(EMBEDDING_NORM_BIAS) | PUNA_SET(QKV) | \
     PUNA_SET(O) | PUNA_SETS_POST_NORMS | PUNA_SET(ATTN_POST_NORM_BIAS) | PUNA_SET(FFN_POST_NORM_BIAS))
#define BERT_MAY (PUNA_SET(TOKEN_TYPES) | PUNA_SET(O_BIAS))
#define ENCODER  .norm_kind = PUNA_NORM_LAYER, .mask = PUNA_MASK_ALL, .pooling = PUNA_POOLING_MEAN

static puna_value layer(puna_network *net, puna_value x, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    p_layer(g, il);
    puna_value o = puna_build_attention(net, x, il);
    if (il == net->hp.n_layer - 1) {
        x = puna_build_needed_rows(net, x);
        o = puna_build_needed_rows(net, o);
    }
    o = p_add(g, puna_build_linear(net, o, l->wo, l->so, l->bo), x);
    puna_value h = puna_build_norm(net, o, l->attn_post_norm, l->attn_post_norm_bias);
    if (l->attn_norm_2)
        h = puna_build_norm(net, p_add(g, h, x), l->attn_norm_2, l->attn_norm_2_bias);
    puna_value f = puna_build_feed_forward(net, h, il);
    return puna_build_norm(net, p_add(g, f, h), l->ffn_post_norm, l->ffn_post_norm_bias);
}

static void build(puna_network *net)
{
    p_layer(&net->plan, -1);
    puna_value x = puna_build_embed(net);
    for (int32_t il = 0; il < net->hp.n_layer; il++)
        x = layer(net, x, il);
    p_layer(&net->plan, -1);
    puna_build_end(net, x);
}

static void no_rope(puna_hparams *hp)
{
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].no_rope = true;
}

/* Positions are learned. */
static void bert_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "attention.layer_norm_epsilon");
    no_rope(hp);
}

const puna_arch puna_arch_bert = {
    .name = "bert",
    .activation = PUNA_ACT_GELU,
    .defaults = { ENCODER },
    .needs = BERT | PUNA_SET(POSITIONS) | PUNA_SETS_PLAIN,
    .may = BERT_MAY | PUNA_SET(UP_BIAS) | PUNA_SET(DOWN_BIAS) | PUNA_SET(HEAD),
    .aliases = norms,
    .adjust = bert_keys,
    .build = build,
    .tiny = TINY,
};

static void nomic_keys(puna_hparams *hp, puna_keys *k)
{
    (void)hp;
    puna_key_need(k, "attention.layer_norm_epsilon");
}

const puna_arch puna_arch_nomic_bert = {
    .name = "nomic-bert",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { ENCODER },
    .needs = BERT | PUNA_SETS_GATED,
    .may = BERT_MAY,
    .aliases = norms,
    .adjust = nomic_keys,
    .build = build,
    .tiny = TINY,
};

/* Every so many layers one with experts, the second of them. */
static void nomic_moe_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "attention.layer_norm_epsilon");
    const int32_t every = puna_key_int(k, "moe_every_n_layers", 0, 0, 1 << 12);
    puna_key_experts(
        k, hp,
        &(puna_expert_keys){ .gating = PUNA_GATING_SOFTMAX, .n_ff = hp->layers[0].n_ff, .n_shared = -1 });
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].experts = hp->n_expert > 0 && every > 0 && i % every == 1;
}

const puna_arch puna_arch_nomic_bert_moe = {
    .name = "nomic-bert-moe",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_GELU,
    .defaults = { ENCODER },
    .needs = BERT | PUNA_SETS_PLAIN | PUNA_SET(ROUTER) | PUNA_SET(EXPERT_UP) | PUNA_SET(EXPERT_DOWN),
    .may = BERT_MAY | PUNA_SET(UP_BIAS) | PUNA_SET(DOWN_BIAS),
    .aliases = norms,
    .adjust = nomic_moe_keys,
    .build = build,
    .tiny = TINY,
};

/* Distances count in place of positions. */
static void jina2_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "attention.layer_norm_epsilon");
    no_rope(hp);
    hp->alibi = 8;
}

/* A gate of its own, in front of what it gates, or none. */
const puna_arch puna_arch_jina_bert_v2 = {
    .name = "jina-bert-v2",
    .activation = PUNA_ACT_GELU,
    .defaults = { ENCODER },
    .needs = BERT | PUNA_SET(TOKEN_TYPES) | PUNA_SET(O_BIAS) | PUNA_SETS_PLAIN | PUNA_SET(DOWN_BIAS),
    .may = PUNA_SETS_QK_NORM | PUNA_SET(Q_NORM_BIAS) | PUNA_SET(K_NORM_BIAS) | PUNA_SET(ATTN_NORM_2) |
           PUNA_SET(GATE) | PUNA_SET(GATE_UP) | PUNA_SET(GATE_UP_BIAS) | PUNA_SET(UP_BIAS) | PUNA_SET(HEAD),
    .aliases = norms,
    .adjust = jina2_keys,
    .build = build,
    .tiny = TINY,
};

const puna_arch puna_arch_jina_bert_v3 = {
    .name = "jina-bert-v3",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_GELU,
    .defaults = { ENCODER },
    .needs = BERT | PUNA_SETS_PLAIN,
    .may = BERT_MAY | PUNA_SET(UP_BIAS) | PUNA_SET(DOWN_BIAS),
    .aliases = norms,
    .adjust = nomic_keys,
    .build = build,
    .tiny = TINY,
};
