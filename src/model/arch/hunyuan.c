/* hunyuan.c - Hunyuan (Tencent), dense, and the text part of the model that also sees: q and k are normalised after
 * they are rotated, long contexts stretch the longest wavelength. */
#include <math.h>

#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

/* The base grows so that the last pair turns alpha times slower ("NTK-aware"). */
static void hunyuan_keys(puna_hparams *hp, puna_keys *k)
{
    const float alpha = puna_key_real(k, "rope.scaling.alpha", 0), dim = (float)hp->head_dim_k;
    if (alpha > 0 && dim > 2)
        hp->rope_base *= powf(alpha, dim / (dim - 2));
    hp->rope_base_window = hp->rope_base;
}

const puna_arch puna_arch_hunyuan_dense = {
    .name = "hunyuan-dense",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .traits = PUNA_TRAIT_QK_NORM_LATE,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_QK_NORM,
    .adjust = hunyuan_keys,
    .tiny = TINY,
};

static void hunyuan_vl_keys(puna_hparams *hp, puna_keys *k)
{
    hunyuan_keys(hp, k);
    puna_key_sections(k, hp);
}

const puna_arch puna_arch_hunyuan_vl = {
    .name = "hunyuan_vl",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .traits = PUNA_TRAIT_QK_NORM_LATE,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_QK_NORM,
    .adjust = hunyuan_vl_keys,
    .tiny = TINY,
};
