/* diffusion.c - Dream (arXiv 2508.15487) and LLaDA (arXiv 2502.09992): text is denoised, not continued, so every
 * token sees all the others. What the logits are used for is not here. */
#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

const puna_arch puna_arch_dream = {
    .name = "dream",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f, .mask = PUNA_MASK_ALL },
    .needs = PUNA_SETS_DENSE,
    .tiny = TINY,
};

const puna_arch puna_arch_llada = {
    .name = "llada",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f, .mask = PUNA_MASK_ALL },
    .needs = PUNA_SETS_DENSE,
    .tiny = TINY,
};
