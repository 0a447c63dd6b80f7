/* gemma.c - Gemma (arXiv 2403.08295), Gemma 2 (arXiv 2408.00118) and Gemma 3 (arXiv 2503.19786): scaled
 * embeddings and a gate of GELU; from the second on a norm before and after each branch and layers with a
 * sliding window between those without; in the third norms over the heads of q and k. The
 * weights of norms are stored with the 1 that the papers add already in them. */
#include <math.h>

#include "model/network.h"

#define TINY                                                                                                 \
    {                                                                                                        \
        .n_layer = 7, .n_embd = 48, .n_head = 4, .n_head_kv = 1, .head_dim = 32, .n_ff = 64, .n_vocab = 128, \
        .window = 8                                                                                          \
    }

const puna_arch puna_arch_gemma = {
    .name = "gemma",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_GELU,
    .traits = PUNA_TRAIT_EMBEDDING_SQRT,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE,
    .tiny = TINY,
};

/* The largest model of each generation scales queries by the width of a head's share of the embedding. */
static void scale_of_largest(puna_hparams *hp, int32_t n_layer)
{
    if (hp->n_layer == n_layer)
        hp->attention_scale = 1 / sqrtf((float)(hp->n_embd / hp->layers[0].n_head));
}

static void gemma2_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_window(k, hp, 4096, 2, false);
    hp->rope_base_window = puna_key_real(k, "rope.freq_base_swa", hp->rope_base);
    hp->attention_softcap = puna_key_real(k, "attn_logit_softcapping", 50);
    hp->logit_softcap = puna_key_real(k, "final_logit_softcapping", 30);
    scale_of_largest(hp, 46);
}

const puna_arch puna_arch_gemma2 = {
    .name = "gemma2",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_GELU,
    .traits = PUNA_TRAIT_EMBEDDING_SQRT,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_POST_NORMS,
    .adjust = gemma2_keys,
    .tiny = TINY,
};

/* Layers with a window keep short wavelengths and are not scaled. */
static void gemma3_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_window(k, hp, 0, 6, false);
    hp->rope_base_window = puna_key_real(k, "rope.freq_base_swa", 10000);
    hp->rope_window.scale = 1;
    hp->logit_softcap = puna_key_real(k, "final_logit_softcapping", 0);
    hp->attention_scale = puna_key_real(k, "attention.scale", 0);
    if (!(hp->attention_scale > 0))
        scale_of_largest(hp, 62);
}

const puna_arch puna_arch_gemma3 = {
    .name = "gemma3",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_GELU,
    .traits = PUNA_TRAIT_EMBEDDING_SQRT,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_QK_NORM | PUNA_SETS_POST_NORMS,
    .adjust = gemma3_keys,
    .tiny = TINY,
};
