/* baidu.c - ERNIE 4.5, dense, and the text part of PaddleOCR-VL (arXiv 2510.14528), which is one. */
#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

const puna_arch puna_arch_ernie4_5 = {
    .name = "ernie4_5",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE,
    .tiny = TINY,
};

static void paddleocr_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_sections(k, hp);
}

const puna_arch puna_arch_paddleocr = {
    .name = "paddleocr",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE,
    .may = PUNA_SET(O_BIAS),
    .adjust = paddleocr_keys,
    .tiny = TINY,
};
