/* gemma3.c - Gemma 3 text models (arXiv 2503.19786): a norm before and after each branch, norms
 * over the heads of q and k, and five layers with a sliding window for each one without. The
 * weights of norms are stored with the 1 that the paper adds already in them. */
#include <math.h>

#include "model/network.h"

#define T(field, name, d0, d1, required) \
    { name, offsetof(puna_layer, field), { PUNA_DIM_##d0, PUNA_DIM_##d1 }, required }

static const puna_binding layer[] = {
    T(attn_norm, "attn_norm.weight", EMBD, ONE, true),
    T(wq, "attn_q.weight", EMBD, Q, true),
    T(wk, "attn_k.weight", EMBD, K, true),
    T(wv, "attn_v.weight", EMBD, V, true),
    T(wo, "attn_output.weight", O, EMBD, true),
    T(q_norm, "attn_q_norm.weight", HEAD, ONE, true),
    T(k_norm, "attn_k_norm.weight", HEAD, ONE, true),
    T(attn_post_norm, "post_attention_norm.weight", EMBD, ONE, true),
    T(ffn_norm, "ffn_norm.weight", EMBD, ONE, true),
    T(ffn_gate, "ffn_gate.weight", EMBD, FF, true),
    T(ffn_up, "ffn_up.weight", EMBD, FF, true),
    T(ffn_down, "ffn_down.weight", FF, EMBD, true),
    T(ffn_post_norm, "post_ffw_norm.weight", EMBD, ONE, true),
    { NULL, 0, { PUNA_DIM_ONE, PUNA_DIM_ONE }, false },
};

/* The 27B model, alone, scales queries by the width of a head's share of the embedding. */
static void adjust(puna_hparams *hp)
{
    if (hp->n_layer == 62 && !(hp->attention_scale > 0))
        hp->attention_scale = 1 / sqrtf((float)hp->n_embd / (float)hp->layers[0].n_head);
}

const puna_arch puna_arch_gemma3 = {
    .name = "gemma3",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_GELU,
    .traits = PUNA_TRAIT_EMBEDDING_SQRT,
    .defaults = { .norm_eps = 1e-6f, .rope_base = 1000000, .rope_base_window = 10000, .rope_scale_window = 1,
                  .window_pattern = 6 },
    .layer = layer,
    .adjust = adjust,
    .tiny = { .n_layer = 7, .n_embd = 48, .n_head = 4, .n_head_kv = 1, .head_dim = 32, .n_ff = 64, .n_vocab = 128,
              .window = 8 },
};
