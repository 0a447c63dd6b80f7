/* bitnet.c - BitNet b1.58 (arXiv 2402.17764): ternary weights with a scale for each matrix, and norms before the last
 * matrix of each branch. */
#include "model/network.h"

const puna_arch puna_arch_bitnet = {
    .name = "bitnet",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE | PUNA_SET(ATTN_SUB_NORM) | PUNA_SET(FFN_SUB_NORM),
    .may = PUNA_SET(FFN_SCALE),
    .tiny = { .n_layer = 2,
              .n_embd = 64,
              .n_head = 4,
              .n_head_kv = 2,
              .head_dim = 16,
              .n_ff = 96,
              .n_vocab = 128 },
};
