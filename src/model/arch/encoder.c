/* encoder.c - encoders whose norms stand before the branches, as in decoders: ModernBERT (Warner et al. 2024, arXiv
 * 2412.13663), EuroBERT (arXiv 2503.05500), NeoBERT (arXiv 2502.19587), LLaMA as an encoder. */
#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 4, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }
#define ENCODER .mask = PUNA_MASK_ALL, .pooling = PUNA_POOLING_MEAN

/* The gate's activation, by the names that files give it. */
static puna_activation activation_of(const puna_keys *k)
{
    static const struct {
        const char *name;
        puna_activation activation;
    } names[] = { { "silu", PUNA_ACT_SILU },
                  { "swish", PUNA_ACT_SILU },
                  { "swiglu", PUNA_ACT_SILU },
                  { "reglu", PUNA_ACT_RELU } };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (puna_key_text_is(k, "hidden_activation", names[i].name))
            return names[i].activation;
    return PUNA_ACT_GELU;
}

/* Layers that see all alternate with pairs that see a window, each kind with wavelengths of its own. */
static void modern_bert_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "attention.layer_norm_epsilon");
    puna_key_window(k, hp, 0, 3, true);
    hp->rope_base_window = puna_key_real(k, "rope.freq_base_swa", 10000);
    hp->rope_window.scale = 1;
    hp->activation = activation_of(k);
    hp->rank_activation = PUNA_ACT_GELU;
    if (hp->rank && !puna_key_has(k, "classifier.pooling_type"))
        hp->pooling = PUNA_POOLING_MEAN;
    if (puna_key_int(k, "decision.block_count", 0, 0, 1 << 12) > 0 && !k->status)
        k->status = puna_fail(&k->error, PUNA_ERR_FORMAT,
                              "metadata %s.decision.block_count: got some, expected 0: blocks of "
                              "decisions are not supported",
                              k->arch);
}

/* Only the first layer may do without a norm: embeddings have just had one. */
static void modern_bert_build(puna_network *net)
{
    for (int32_t i = 1; i < net->hp.n_layer && !net->plan.status; i++)
        if (!net->layers[i].attn_norm)
            net->plan.status = puna_fail(&net->plan.error, PUNA_ERR_FORMAT,
                                         "tensor blk.%d.attn_norm.weight: got none, expected one", (int)i);
    puna_build_decoder(net);
}

const puna_arch puna_arch_modern_bert = {
    .name = "modern-bert",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_GELU,
    .defaults = { ENCODER, .norm_kind = PUNA_NORM_LAYER },
    .needs = PUNA_SET(EMBEDDING) | PUNA_SET(EMBEDDING_NORM) | PUNA_SET(OUTPUT_NORM) | PUNA_SET(QKV) |
             PUNA_SET(O) | PUNA_SET(FFN_NORM) | PUNA_SET(GATE_UP) | PUNA_SET(DOWN),
    .may = PUNA_SET(ATTN_NORM) | PUNA_SET(HEAD),
    .adjust = modern_bert_keys,
    .build = modern_bert_build,
    .tiny = { .n_layer = 4,
              .n_embd = 64,
              .n_head = 4,
              .n_head_kv = 4,
              .head_dim = 16,
              .n_ff = 96,
              .n_vocab = 128,
              .window = 8 },
};

static void rms_keys(puna_hparams *hp, puna_keys *k)
{
    (void)hp;
    puna_key_need(k, "attention.layer_norm_rms_epsilon");
}

const puna_arch puna_arch_eurobert = {
    .name = "eurobert",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { ENCODER },
    .needs = PUNA_SETS_DENSE,
    .adjust = rms_keys,
    .tiny = TINY,
};

static const puna_alias neo_bert_names[] = {
    { "enc.output_norm.weight", "output_norm.weight" },
    { NULL, NULL },
};

const puna_arch puna_arch_neo_bert = {
    .name = "neo-bert",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { ENCODER },
    .needs = PUNA_SETS_ATTENTION | PUNA_SET(FFN_NORM) | PUNA_SET(GATE_UP) | PUNA_SET(DOWN),
    .may = PUNA_SET(HEAD),
    .aliases = neo_bert_names,
    .adjust = rms_keys,
    .tiny = TINY,
};
