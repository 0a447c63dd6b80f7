/* exaone.c - EXAONE 4 (arXiv 2507.11407): norms after the branches, and in the large model layers with a window
 * that rotate between layers that do neither. */
#include "model/network.h"

/* The 32B (64 layers) has windows, the 1.2B none. */
static void exaone4_keys(puna_hparams *hp, puna_keys *k)
{
    if (hp->n_layer != 64)
        return;
    puna_key_window(k, hp, 4096, 4, false);
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].no_rope = hp->window > 0 && hp->layers[i].window == 0;
}

const puna_arch puna_arch_exaone4 = {
    .name = "exaone4",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SET(EMBEDDING) | PUNA_SET(OUTPUT_NORM) | PUNA_SET(QKV) | PUNA_SET(O) | PUNA_SETS_QK_NORM |
             PUNA_SETS_POST_NORMS | PUNA_SETS_GATED,
    .may = PUNA_SET(ROPE_FACTORS),
    .adjust = exaone4_keys,
    .tiny = { .n_layer = 2,
              .n_embd = 64,
              .n_head = 4,
              .n_head_kv = 2,
              .head_dim = 16,
              .n_ff = 96,
              .n_vocab = 128 },
};
