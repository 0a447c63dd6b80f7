/* spark.c - iFLYTEK Spark 2.5: each head has a gate, layers with a window and those without rotate differently. */
#include "model/network.h"

static void spark_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "attention.sliding_window");
    puna_key_need(k, "attention.sliding_window_pattern");
    puna_key_window(k, hp, 0, 1, false);
    hp->rope_base_window = puna_key_real(k, "rope.freq_base_swa", hp->rope_base);
}

const puna_arch puna_arch_spark2_5 = {
    .name = "spark2_5",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_GELU,
    .attn_gate = PUNA_ACT_SIGMOID,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE | PUNA_SET(ATTN_GATE),
    .adjust = spark_keys,
    .tiny = { .n_layer = 2,
              .n_embd = 64,
              .n_head = 4,
              .n_head_kv = 2,
              .head_dim = 16,
              .n_ff = 96,
              .n_vocab = 128,
              .window = 8 },
};
