/* chameleon.c - Chameleon (arXiv 2405.09818): LLaMA with layer norms over the heads of q and k, and in its large form
 * (Swin) with norms after both branches instead of before. Text only: the tokens that stand for parts of pictures are
 * read but never written, as in the published implementation. */
#include <float.h>

#include "model/network.h"

enum { FIRST_IMAGE = 4, AFTER_IMAGES = 8196 }; /* fixed by the model's picture tokenizer: 8192 codes */

static void chameleon_keys(puna_hparams *hp, puna_keys *k)
{
    hp->layer_eps = 1e-5f; /* of q and k; files do not say it */
    /* Only files whose norms come after the branches say how those divide. */
    hp->post_norm_eps = puna_key_flag(k, "swin_norm", false) ? hp->rms_eps : 0;
    if (!(hp->rms_eps > 0))
        puna_key_mistake(k, "attention.layer_norm_rms_epsilon", 0, "more than 0");
}

static puna_value turned(puna_network *net, puna_value x, const puna_tensor *weight, const puna_tensor *bias,
                         int32_t il, int32_t n_head)
{
    const int32_t n = net->hp.head_dim_k;
    const puna_norm_params p = { .kind = PUNA_NORM_LAYER, .eps = net->hp.layer_eps, .group = n };
    return puna_build_rope(net, p_norm_groups(&net->plan, x, weight, bias, &p), il, n_head, n);
}

static puna_value chameleon_attention(puna_network *net, puna_value h, int32_t il)
{
    const puna_layer *l = &net->layers[il];
    const puna_layer_hparams *lh = &net->hp.layers[il];
    puna_value q = puna_build_linear(net, h, l->wq, l->sq, l->bq);
    puna_value k = puna_build_linear(net, h, l->wk, l->sk, l->bk);
    puna_value v = puna_build_linear(net, h, l->wv, l->sv, l->bv);
    q = turned(net, q, l->q_norm, l->q_norm_bias, il, lh->n_head);
    k = turned(net, k, l->k_norm, l->k_norm_bias, il, lh->n_head_kv);
    return puna_build_attend(net, q, k, v, il);
}

static void move_norms(puna_layer *l)
{
    l->attn_post_norm = l->attn_norm;
    l->ffn_post_norm = l->ffn_norm;
    l->attn_norm = l->ffn_norm = NULL;
}

/* The least float32 can say, added to logits of picture tokens. */
static void leave_out_images(puna_network *net)
{
    puna_tensor *bias = puna_build_vector(net, (uint64_t)net->hp.n_vocab);
    float *values = bias ? (float *)(uintptr_t)bias->data : NULL;
    for (int32_t i = 0; values && i < net->hp.n_vocab; i++)
        values[i] = i >= FIRST_IMAGE && i < AFTER_IMAGES ? -FLT_MAX : 0;
    net->output_bias = bias;
}

static void chameleon_build(puna_network *net)
{
    for (int32_t i = 0; net->hp.post_norm_eps > 0 && i < net->hp.n_layer; i++)
        move_norms(&net->layers[i]);
    if (net->hp.n_vocab >= AFTER_IMAGES)
        leave_out_images(net);
    puna_build_decoder(net);
}

const puna_arch puna_arch_chameleon = {
    .name = "chameleon",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_QK_NORM,
    .may = PUNA_SET(Q_NORM_BIAS) | PUNA_SET(K_NORM_BIAS),
    .adjust = chameleon_keys,
    .attention = chameleon_attention,
    .build = chameleon_build,
    .tiny = { .n_layer = 2,
              .n_embd = 64,
              .n_head = 4,
              .n_head_kv = 2,
              .head_dim = 16,
              .n_ff = 96,
              .n_vocab = 128 },
};
