/* llama.c - LLaMA (Touvron et al. 2023, arXiv 2302.13971) and what shares its shape under the
 * same name: Llama 2 and 3, Mistral, TinyLlama, SmolLM. Also Qwen2 (arXiv 2407.10671), which adds
 * biases to q, k, v and pairs rotated dimensions half a head apart. */
#include "model/network.h"

#define T(field, name, d0, d1, required) \
    { name, offsetof(puna_layer, field), { PUNA_DIM_##d0, PUNA_DIM_##d1 }, required }

static const puna_binding layer[] = {
    T(attn_norm, "attn_norm.weight", EMBD, ONE, true),
    T(wq, "attn_q.weight", EMBD, Q, true),
    T(wk, "attn_k.weight", EMBD, K, true),
    T(wv, "attn_v.weight", EMBD, V, true),
    T(wo, "attn_output.weight", O, EMBD, true),
    T(bq, "attn_q.bias", Q, ONE, false),
    T(bk, "attn_k.bias", K, ONE, false),
    T(bv, "attn_v.bias", V, ONE, false),
    T(bo, "attn_output.bias", EMBD, ONE, false),
    T(ffn_norm, "ffn_norm.weight", EMBD, ONE, true),
    T(ffn_gate, "ffn_gate.weight", EMBD, FF, true),
    T(ffn_up, "ffn_up.weight", EMBD, FF, true),
    T(ffn_down, "ffn_down.weight", FF, EMBD, true),
    { NULL, 0, { PUNA_DIM_ONE, PUNA_DIM_ONE }, false },
};

const puna_arch puna_arch_llama = {
    .name = "llama",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .norm_eps = 1e-5f, .rope_base = 10000 },
    .layer = layer,
    .tiny = { .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 },
};

const puna_arch puna_arch_qwen2 = {
    .name = "qwen2",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .norm_eps = 1e-6f, .rope_base = 10000 },
    .layer = layer,
    .tiny = { .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 },
};
