/* openelm.c - OpenELM (arXiv 2404.14619): the number of heads and the width of the feed-forward part grow from layer
 * to layer. */
#include "model/network.h"

const puna_arch puna_arch_openelm = {
    .name = "openelm",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_QK_NORM,
    .never = PUNA_SET(QKV_FUSED_SCALE) | PUNA_SET(QKV_FUSED_BIAS),
    .tiny = { .n_layer = 2,
              .n_embd = 64,
              .n_head = 4,
              .n_head_kv = 2,
              .head_dim = 16,
              .n_ff = 96,
              .n_vocab = 128 },
};
