/* test_states.c - models with states: however a list of tokens comes to be held (at once, token by token, by going back
 * and on, beside other sessions, from saved bytes), the logits after it are the same. The models are made up here: one
 * for each kind of operation with a state, most with attention beside it. */
#define _DEFAULT_SOURCE
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "engine/engine.h"
#include "gguf/gguf_write.h"
#include "harness.h"
#include "ops/run.h"

enum { VOCAB = 48, LONGEST = 90, SAID = 60, MAX_LAYERS = 3, MAX_NUMBERS = 26, MAX_LISTS = 6 };

/* ---- making models ---------------------------------------------------------------------- */

typedef struct number {
    const char *key; /* without "<arch>." */
    float value;
    bool real;
} number;

/* Integers of 64 bits, or of 32. */
typedef struct list {
    const char *key;
    bool wide;
    size_t n;
    uint64_t values[4];
} list;

typedef struct weight {
    int layers; /* bits of the layers that have it; 0: of the model */
    const char *name;
    uint64_t ne[4];
    float mean, spread;
} weight;

typedef struct recipe {
    const char *arch;
    int32_t n_layer;
    int32_t kv_heads[MAX_LAYERS];
    number numbers[MAX_NUMBERS];
    list lists[MAX_LISTS];
    weight weights[64];
    float says[4]; /* the first logits after SAID tokens by llama.cpp (tools/reference/arch_logits.c); 0: it cannot run it */
} recipe;

#define ENDS { 0, "token_embd.weight", { 16, VOCAB }, 0, 1 }, { 0, "output.weight", { 16, VOCAB }, 0, 0.5f }
#define NORM(bits, name) { bits, name, { 16 }, 1, 0.3f }
#define ATTENTION(bits)                                                                               \
    { bits, "attn_q.weight", { 16, 16 }, 0, 0.4f }, { bits, "attn_k.weight", { 16, 8 }, 0, 0.4f },    \
    { bits, "attn_v.weight", { 16, 8 }, 0, 0.4f }, { bits, "attn_output.weight", { 16, 16 }, 0, 0.4f }
#define GATED(bits)                                                                                   \
    { bits, "ffn_gate.weight", { 16, 24 }, 0, 0.4f }, { bits, "ffn_up.weight", { 16, 24 }, 0, 0.4f }, \
    { bits, "ffn_down.weight", { 24, 16 }, 0, 0.4f }

static const recipe mamba2_and_attention = {
    .arch = "granitehybrid", .n_layer = 3, .kv_heads = { 0, 1, 0 },
    .numbers = { { "ssm.conv_kernel", 4, false }, { "ssm.inner_size", 32, false }, { "ssm.state_size", 5, false },
                 { "ssm.time_step_rank", 4, false }, { "ssm.group_count", 2, false } },
    .weights = { ENDS, NORM(0, "output_norm.weight"), NORM(7, "attn_norm.weight"), NORM(7, "ffn_norm.weight"), ATTENTION(2),
                 GATED(7), { 5, "ssm_in.weight", { 16, 88 }, 0, 0.4f }, { 5, "ssm_conv1d.weight", { 4, 52 }, 0, 0.5f },
                 { 5, "ssm_conv1d.bias", { 52 }, 0, 0.2f }, { 5, "ssm_dt.bias", { 4 }, 0, 0.5f }, { 5, "ssm_a", { 1, 4 }, -0.6f, 0.5f },
                 { 5, "ssm_d", { 1, 4 }, 0.5f, 0.5f }, { 5, "ssm_norm.weight", { 16, 2 }, 1, 0.3f },
                 { 5, "ssm_out.weight", { 32, 16 }, 0, 0.4f } },
    .says = { 1.097572f, -1.717039f, -0.5043469f, 0.1026497f },
};

static const recipe mamba_alone = {
    .arch = "mamba", .n_layer = 2, .kv_heads = { 0, 0 },
    .numbers = { { "ssm.conv_kernel", 3, false }, { "ssm.inner_size", 32, false }, { "ssm.state_size", 4, false },
                 { "ssm.time_step_rank", 2, false } },
    .weights = { ENDS, NORM(0, "output_norm.weight"), NORM(3, "attn_norm.weight"), { 3, "ssm_in.weight", { 16, 64 }, 0, 0.4f },
                 { 3, "ssm_conv1d.weight", { 3, 32 }, 0, 0.5f }, { 3, "ssm_conv1d.bias", { 32 }, 0, 0.2f },
                 { 3, "ssm_x.weight", { 32, 10 }, 0, 0.4f }, { 3, "ssm_dt.weight", { 2, 32 }, 0, 0.4f },
                 { 3, "ssm_dt.bias", { 32 }, 0, 0.5f }, { 3, "ssm_a", { 4, 32 }, -0.6f, 0.5f }, { 3, "ssm_d", { 32 }, 0.5f, 0.5f },
                 { 3, "ssm_out.weight", { 32, 16 }, 0, 0.4f } },
    .says = { 0.5990999f, -0.7824929f, 0.8139866f, 1.046219f },
};

static const recipe delta_and_attention = {
    .arch = "qwen35", .n_layer = 2, .kv_heads = { 1, 1 },
    .numbers = { { "ssm.conv_kernel", 4, false }, { "ssm.inner_size", 32, false }, { "ssm.state_size", 8, false },
                 { "ssm.time_step_rank", 4, false }, { "ssm.group_count", 2, false }, { "full_attention_interval", 2, false },
                 { "rope.dimension_sections", 4, false } },
    .weights = { ENDS, NORM(0, "output_norm.weight"), NORM(3, "attn_norm.weight"), NORM(3, "post_attention_norm.weight"), GATED(3),
                 { 2, "attn_q.weight", { 16, 32 }, 0, 0.4f }, { 2, "attn_k.weight", { 16, 8 }, 0, 0.4f },
                 { 2, "attn_v.weight", { 16, 8 }, 0, 0.4f }, { 2, "attn_output.weight", { 16, 16 }, 0, 0.4f },
                 { 2, "attn_q_norm.weight", { 8 }, 1, 0.3f }, { 2, "attn_k_norm.weight", { 8 }, 1, 0.3f },
                 { 1, "attn_qkv.weight", { 16, 64 }, 0, 0.4f }, { 1, "attn_gate.weight", { 16, 32 }, 0, 0.4f },
                 { 1, "ssm_conv1d.weight", { 4, 64 }, 0, 0.5f }, { 1, "ssm_dt.bias", { 4 }, 0, 0.5f }, { 1, "ssm_a", { 4 }, -0.3f, 0.3f },
                 { 1, "ssm_beta.weight", { 16, 4 }, 0, 0.4f }, { 1, "ssm_alpha.weight", { 16, 4 }, 0, 0.4f },
                 { 1, "ssm_norm.weight", { 8 }, 1, 0.3f }, { 1, "ssm_out.weight", { 32, 16 }, 0, 0.4f } },
    .says = { -0.7618535f, -0.7445599f, 0.600062f, -0.7521584f },
};

static const recipe filter_and_attention = {
    .arch = "lfm2", .n_layer = 2, .kv_heads = { 0, 1 },
    .numbers = { { "shortconv.l_cache", 3, false }, { "attention.sliding_window", 7, false } },
    .weights = { ENDS, NORM(0, "token_embd_norm.weight"), NORM(3, "attn_norm.weight"), NORM(3, "ffn_norm.weight"), GATED(3), ATTENTION(2),
                 { 2, "attn_q_norm.weight", { 8 }, 1, 0.3f }, { 2, "attn_k_norm.weight", { 8 }, 1, 0.3f },
                 { 1, "shortconv.in_proj.weight", { 16, 48 }, 0, 0.5f }, { 1, "shortconv.conv.weight", { 3, 16 }, 0, 0.6f },
                 { 1, "shortconv.out_proj.weight", { 16, 16 }, 0, 0.5f } },
    .says = { -0.4079675f, 0.7160304f, 1.650603f, 1.325117f },
};

static const recipe both_mixers = {
    .arch = "falcon-h1", .n_layer = 2, .kv_heads = { 1, 1 },
    .numbers = { { "ssm.conv_kernel", 4, false }, { "ssm.inner_size", 24, false }, { "ssm.state_size", 3, false },
                 { "ssm.time_step_rank", 6, false }, { "ssm.group_count", 1, false } },
    .weights = { ENDS, NORM(0, "output_norm.weight"), NORM(3, "attn_norm.weight"), NORM(3, "ffn_norm"), ATTENTION(3), GATED(3),
                 { 3, "ssm_in.weight", { 16, 60 }, 0, 0.4f }, { 3, "ssm_conv1d.weight", { 4, 30 }, 0, 0.5f },
                 { 3, "ssm_conv1d.bias", { 30 }, 0, 0.2f }, { 3, "ssm_dt.bias", { 6 }, 0, 0.5f }, { 3, "ssm_a", { 1, 6 }, -0.6f, 0.5f },
                 { 3, "ssm_d", { 1, 6 }, 0.5f, 0.5f }, { 3, "ssm_out.weight", { 24, 16 }, 0, 0.4f } },
    .says = { -1.195874f, -1.635928f, 1.214015f, 0.6779869f },
};

#define WKV(name, ...) { 3, "time_mix_" name ".weight", { __VA_ARGS__ }, 0, 0.4f }
#define RWKV_NORMS                                                                                              \
    NORM(0, "token_embd_norm.weight"), { 0, "token_embd_norm.bias", { 16 }, 0, 0.2f }, NORM(0, "output_norm.weight"), \
    { 0, "output_norm.bias", { 16 }, 0, 0.2f }, NORM(3, "attn_norm.weight"), { 3, "attn_norm.bias", { 16 }, 0, 0.2f },  \
    NORM(3, "attn_norm_2.weight"), { 3, "attn_norm_2.bias", { 16 }, 0, 0.2f }, NORM(3, "time_mix_ln.weight"),           \
    { 3, "time_mix_ln.bias", { 16 }, 0, 0.2f }
#define RWKV_MATRICES WKV("receptance", 16, 16), WKV("key", 16, 16), WKV("value", 16, 16), WKV("output", 16, 16)
#define CHANNEL_MIX                                                                                              \
    { 3, "channel_mix_lerp_k.weight", { 16 }, 0.5f, 0.4f }, { 3, "channel_mix_key.weight", { 16, 24 }, 0, 0.4f },  \
    { 3, "channel_mix_value.weight", { 24, 16 }, 0, 0.4f }

static const recipe rwkv6_model = {
    .arch = "rwkv6", .n_layer = 2, .kv_heads = { 0, 0 },
    .numbers = { { "wkv.head_size", 8, false }, { "time_mix_extra_dim", 3, false }, { "time_decay_extra_dim", 2, false }, { "rescale_every_n_layers", 1, false } },
    .weights = { ENDS, RWKV_NORMS, RWKV_MATRICES, CHANNEL_MIX, WKV("w1", 16, 15), WKV("w2", 3, 16, 5), WKV("lerp_x", 16), WKV("lerp_w", 16),
                 WKV("lerp_k", 16), WKV("lerp_v", 16), WKV("lerp_r", 16), WKV("lerp_g", 16), WKV("decay", 16), WKV("decay_w1", 16, 2),
                 WKV("decay_w2", 2, 16), WKV("gate", 16, 16), WKV("first", 8, 2), { 3, "channel_mix_lerp_r.weight", { 16 }, 0.5f, 0.4f },
                 { 3, "channel_mix_receptance.weight", { 16, 16 }, 0, 0.4f } },
    .says = { 0.3523695f, -0.02861941f, 0.7947927f, 0.2387114f },
};

static const recipe rwkv7_model = {
    .arch = "rwkv7", .n_layer = 2, .kv_heads = { 0, 0 },
    .numbers = { { "wkv.head_size", 8, false }, { "attention.decay_lora_rank", 2, false }, { "attention.iclr_lora_rank", 3, false },
                 { "attention.value_residual_mix_lora_rank", 2, false }, { "attention.gate_lora_rank", 4, false } },
    .weights = { ENDS, RWKV_NORMS, RWKV_MATRICES, CHANNEL_MIX, WKV("w0", 16), WKV("w1", 16, 2), WKV("w2", 2, 16), WKV("a0", 16),
                 WKV("a1", 16, 3), WKV("a2", 3, 16), WKV("v0", 16), WKV("v1", 16, 2), WKV("v2", 2, 16), WKV("g1", 16, 4), WKV("g2", 4, 16),
                 WKV("lerp_fused", 16, 1, 1, 6), WKV("k_k", 16), WKV("k_a", 16), WKV("r_k", 16) },
};

static const recipe kda_and_latent = {
    .arch = "kimi-linear", .n_layer = 2, .kv_heads = { 0, 1 },
    .numbers = { { "ssm.conv_kernel", 4, false }, { "kda.head_dim", 6, false }, { "attention.key_length_mla", 8, false },
                 { "attention.value_length_mla", 8, false }, { "attention.kv_lora_rank", 10, false }, { "rope.dimension_count", 2, false },
                 { "expert_count", 4, false }, { "expert_used_count", 2, false }, { "expert_feed_forward_length", 12, false },
                 { "attention.key_length", 12, false }, { "attention.value_length", 10, false }, { "expert_shared_count", 1, false }, { "expert_gating_func", 2, false }, { "leading_dense_block_count", 1, false } },
    .weights = { ENDS, NORM(0, "output_norm.weight"), NORM(3, "attn_norm.weight"), NORM(3, "ffn_norm.weight"), GATED(1),
                 { 1, "attn_q.weight", { 16, 12 }, 0, 0.4f }, { 1, "attn_k.weight", { 16, 12 }, 0, 0.4f },
                 { 1, "attn_v.weight", { 16, 12 }, 0, 0.4f }, { 1, "ssm_conv1d_q.weight", { 4, 1, 12 }, 0, 0.5f },
                 { 1, "ssm_conv1d_k.weight", { 4, 1, 12 }, 0, 0.5f }, { 1, "ssm_conv1d_v.weight", { 4, 1, 12 }, 0, 0.5f },
                 { 1, "ssm_f_a.weight", { 16, 6 }, 0, 0.4f }, { 1, "ssm_f_b.weight", { 6, 12 }, 0, 0.4f },
                 { 1, "ssm_g_a.weight", { 16, 6 }, 0, 0.4f }, { 1, "ssm_g_b.weight", { 6, 12 }, 0, 0.4f },
                 { 1, "ssm_beta.weight", { 16, 2 }, 0, 0.4f }, { 1, "ssm_a", { 1, 2 }, -0.3f, 0.3f }, { 1, "ssm_dt.bias", { 12 }, 0, 0.4f },
                 { 1, "ssm_norm.weight", { 6 }, 1, 0.3f }, { 1, "attn_output.weight", { 12, 16 }, 0, 0.4f },
                 { 2, "attn_q.weight", { 16, 16 }, 0, 0.4f }, { 2, "attn_kv_a_mqa.weight", { 16, 12 }, 0, 0.4f },
                 { 2, "attn_kv_a_norm.weight", { 10 }, 1, 0.3f }, { 2, "attn_k_b.weight", { 6, 10, 2 }, 0, 0.4f },
                 { 2, "attn_v_b.weight", { 10, 8, 2 }, 0, 0.4f }, { 2, "attn_output.weight", { 16, 16 }, 0, 0.4f },
                 { 2, "ffn_gate_inp.weight", { 16, 4 }, 0, 0.4f }, { 2, "exp_probs_b.bias", { 4 }, 0, 0.4f },
                 { 2, "ffn_gate_exps.weight", { 16, 12, 4 }, 0, 0.4f }, { 2, "ffn_up_exps.weight", { 16, 12, 4 }, 0, 0.4f },
                 { 2, "ffn_down_exps.weight", { 12, 16, 4 }, 0, 0.4f }, { 2, "ffn_gate_shexp.weight", { 16, 12 }, 0, 0.4f },
                 { 2, "ffn_up_shexp.weight", { 16, 12 }, 0, 0.4f }, { 2, "ffn_down_shexp.weight", { 12, 16 }, 0, 0.4f } },
    .says = { 0.551395f, -1.083866f, 0.8482724f, -0.2912309f },
};

static const recipe linear_attention = {
    .arch = "minimax-01", .n_layer = 2, .kv_heads = { 1, 1 },
    .numbers = { { "residual_scale", 2, true }, { "full_attention_interval", 2, false }, { "expert_count", 3, false },
                 { "expert_used_count", 2, false } },
    .weights = { ENDS, NORM(0, "output_norm.weight"), NORM(3, "attn_norm.weight"), NORM(3, "ffn_norm.weight"), ATTENTION(2),
                 NORM(1, "attn_norm_2.weight"), { 1, "attn_qkv.weight", { 16, 48 }, 0, 0.4f }, { 1, "attn_gate.weight", { 16, 16 }, 0, 0.4f },
                 { 1, "attn_output.weight", { 16, 16 }, 0, 0.4f }, { 3, "ffn_gate_inp.weight", { 16, 3 }, 0, 0.4f },
                 { 3, "ffn_gate_exps.weight", { 16, 24, 3 }, 0, 0.4f }, { 3, "ffn_up_exps.weight", { 16, 24, 3 }, 0, 0.4f },
                 { 3, "ffn_down_exps.weight", { 24, 16, 3 }, 0, 0.4f } },
    .says = { 0.03970319f, -0.1782874f, 1.443625f, 0.1885397f },
};

#define EXPERTS(bits, ff)                                                                                               \
    { bits, "ffn_gate_inp.weight", { 16, 4 }, 0, 0.4f }, { bits, "ffn_gate_exps.weight", { 16, ff, 4 }, 0, 0.4f },      \
    { bits, "ffn_up_exps.weight", { 16, ff, 4 }, 0, 0.4f }, { bits, "ffn_down_exps.weight", { ff, 16, 4 }, 0, 0.4f }
#define SHARED(bits, ff)                                                                                                \
    { bits, "ffn_gate_shexp.weight", { 16, ff }, 0, 0.4f }, { bits, "ffn_up_shexp.weight", { 16, ff }, 0, 0.4f },       \
    { bits, "ffn_down_shexp.weight", { ff, 16 }, 0, 0.4f }

static const recipe delta_in_one = {
    .arch = "qwen3next", .n_layer = 2, .kv_heads = { 1, 1 },
    .numbers = { { "ssm.conv_kernel", 4, false }, { "ssm.inner_size", 32, false }, { "ssm.state_size", 8, false },
                 { "ssm.time_step_rank", 4, false }, { "ssm.group_count", 2, false }, { "full_attention_interval", 2, false },
                 { "expert_count", 4, false }, { "expert_used_count", 2, false }, { "expert_feed_forward_length", 12, false },
                 { "expert_shared_feed_forward_length", 10, false } },
    .weights = { ENDS, NORM(0, "output_norm.weight"), NORM(3, "attn_norm.weight"), NORM(3, "post_attention_norm.weight"), EXPERTS(3, 12),
                 SHARED(3, 10), { 3, "ffn_gate_inp_shexp.weight", { 16 }, 0, 0.4f },
                 { 2, "attn_q.weight", { 16, 32 }, 0, 0.4f }, { 2, "attn_k.weight", { 16, 8 }, 0, 0.4f },
                 { 2, "attn_v.weight", { 16, 8 }, 0, 0.4f }, { 2, "attn_output.weight", { 16, 16 }, 0, 0.4f },
                 { 2, "attn_q_norm.weight", { 8 }, 1, 0.3f }, { 2, "attn_k_norm.weight", { 8 }, 1, 0.3f },
                 { 1, "ssm_in.weight", { 16, 96 }, 0, 0.4f }, { 1, "ssm_ba.weight", { 16, 8 }, 0, 0.4f },
                 { 1, "ssm_conv1d.weight", { 4, 64 }, 0, 0.5f }, { 1, "ssm_dt.bias", { 4 }, 0, 0.5f }, { 1, "ssm_a", { 4 }, -0.3f, 0.3f },
                 { 1, "ssm_norm.weight", { 8 }, 1, 0.3f }, { 1, "ssm_out.weight", { 32, 16 }, 0, 0.4f } },
    .says = { -0.5824125f, 0.05048227f, 2.47064f, -0.6947747f },
};

static const recipe plamo2_model = {
    .arch = "plamo2", .n_layer = 2, .kv_heads = { 1, 0 },
    .numbers = { { "ssm.conv_kernel", 4, false }, { "ssm.inner_size", 32, false }, { "ssm.state_size", 5, false },
                 { "ssm.time_step_rank", 4, false }, { "ssm.group_count", 0, false } },
    .weights = { ENDS, NORM(0, "output_norm.weight"), NORM(3, "attn_norm.weight"), NORM(3, "ffn_norm.weight"),
                 NORM(3, "post_attention_norm"), NORM(3, "post_ffw_norm"), { 3, "ffn_up.weight", { 16, 48 }, 0, 0.4f },
                 { 3, "ffn_down.weight", { 24, 16 }, 0, 0.4f }, { 1, "attn_qkv.weight", { 16, 32 }, 0, 0.4f },
                 { 1, "attn_q_norm.weight", { 8, 2 }, 1, 0.3f }, { 1, "attn_k_norm.weight", { 8, 1 }, 1, 0.3f },
                 { 1, "attn_output.weight", { 16, 16 }, 0, 0.4f }, { 2, "ssm_in.weight", { 16, 64 }, 0, 0.4f },
                 { 2, "ssm_conv1d.weight", { 4, 32 }, 0, 0.5f }, { 2, "ssm_x.weight", { 32, 74 }, 0, 0.4f },
                 { 2, "ssm_dt.weight", { 64, 4 }, 0, 0.2f }, { 2, "ssm_dt.bias", { 4 }, 0, 0.5f }, { 2, "ssm_a", { 4 }, -0.6f, 0.5f },
                 { 2, "ssm_d", { 4 }, 0.5f, 0.5f }, { 2, "ssm_dt_norm", { 64 }, 1, 0.3f }, { 2, "ssm_b_norm", { 5 }, 1, 0.3f },
                 { 2, "ssm_c_norm", { 5 }, 1, 0.3f }, { 2, "ssm_out.weight", { 32, 16 }, 0, 0.4f } },
    .says = { 1.363441f, 0.3799344f, 0.5913194f, -1.194073f },
};

static const recipe time_mixing_in_qwen2 = {
    .arch = "rwkv6qwen2", .n_layer = 2, .kv_heads = { 1, 1 },
    .numbers = { { "wkv.head_size", 8, false }, { "time_mix_extra_dim", 3, false }, { "time_decay_extra_dim", 2, false },
                 { "token_shift_count", 1, false } },
    .weights = { ENDS, NORM(0, "output_norm.weight"), NORM(3, "attn_norm.weight"), NORM(3, "ffn_norm.weight"), GATED(3),
                 WKV("receptance", 16, 16), WKV("key", 16, 8), WKV("value", 16, 8), WKV("output", 16, 16), WKV("w1", 16, 15),
                 WKV("w2", 3, 16, 5), WKV("lerp_x", 16), WKV("lerp_fused", 16, 1, 1, 5), WKV("decay", 16), WKV("decay_w1", 16, 2),
                 WKV("decay_w2", 2, 16), WKV("gate", 16, 16), { 3, "time_mix_key.bias", { 8 }, 0, 0.4f } },
    .says = { 0.9342982f, -0.02054633f, 0.8856596f, -1.707001f },
};

/* Three layers: one with a state, one that chooses blocks of tokens, one that looks at what that chose. */
static const recipe kda_and_blocks = {
    .arch = "glm5-next", .n_layer = 3, .kv_heads = { 0, 1, 1 },
    .numbers = { { "ssm.conv_kernel", 4, false }, { "kda.head_dim", 6, false }, { "kda.gate_lower_bound", -0.3f, true },
                 { "attention.key_length_mla", 8, false }, { "attention.value_length_mla", 6, false }, { "attention.q_lora_rank", 12, false },
                 { "attention.kv_lora_rank", 10, false }, { "rope.dimension_count", 0, false }, { "attention.key_length", 10, false },
                 { "attention.value_length", 10, false }, { "expert_count", 4, false }, { "expert_used_count", 2, false },
                 { "expert_feed_forward_length", 12, false }, { "expert_shared_count", 1, false }, { "expert_weights_scale", 1.5f, true },
                 { "leading_dense_block_count", 1, false }, { "swiglu_clamp_exp", 0.4f, true }, { "attention.indexer.head_count", 12, false },
                 { "attention.indexer.key_length", 8, false }, { "attention.indexer.top_k", 16, false }, { "attention.indexer.kpool", 4, false },
                 { "hyper_connection.count", 4, false }, { "hyper_connection.sinkhorn_iterations", 3, false },
                 { "hyper_connection.epsilon", 1e-3f, true } },
    .lists = { { "attention.indexer.types", false, 3, { 0, 1, 0 } } },
    .weights = { ENDS, NORM(0, "output_norm.weight"), NORM(7, "attn_norm.weight"), NORM(7, "ffn_norm.weight"), GATED(1),
                 { 7, "hc_attn_fn.weight", { 64, 24 }, 0, 0.3f }, { 7, "hc_attn_base.weight", { 24 }, 0, 0.5f },
                 { 7, "hc_attn_scale.weight", { 3 }, 0.5f, 0.4f }, { 7, "hc_ffn_fn.weight", { 64, 24 }, 0, 0.3f },
                 { 7, "hc_ffn_base.weight", { 24 }, 0, 0.5f }, { 7, "hc_ffn_scale.weight", { 3 }, 0.5f, 0.4f },
                 { 1, "attn_q.weight", { 16, 12 }, 0, 0.4f }, { 1, "attn_k.weight", { 16, 12 }, 0, 0.4f },
                 { 1, "attn_v.weight", { 16, 12 }, 0, 0.4f }, { 1, "ssm_conv1d_q.weight", { 4, 1, 12 }, 0, 0.5f },
                 { 1, "ssm_conv1d_k.weight", { 4, 1, 12 }, 0, 0.5f }, { 1, "ssm_conv1d_v.weight", { 4, 1, 12 }, 0, 0.5f },
                 { 1, "ssm_f_a.weight", { 16, 6 }, 0, 0.4f }, { 1, "ssm_f_b.weight", { 6, 12 }, 0, 0.4f },
                 { 1, "ssm_g_a.weight", { 16, 6 }, 0, 0.4f }, { 1, "ssm_g_b.weight", { 6, 12 }, 0, 0.4f },
                 { 1, "ssm_beta.weight", { 16, 2 }, 0, 0.4f }, { 1, "ssm_a", { 2 }, -0.6f, 0.3f }, { 1, "ssm_dt.bias", { 12 }, 0, 0.4f },
                 { 1, "ssm_norm.weight", { 6 }, 1, 0.3f }, { 1, "attn_output.weight", { 12, 16 }, 0, 0.4f },
                 { 6, "attn_q_a.weight", { 16, 12 }, 0, 0.4f }, { 6, "attn_q_a_norm.weight", { 12 }, 1, 0.3f },
                 { 6, "attn_q_b.weight", { 12, 16 }, 0, 0.4f }, { 6, "attn_kv_a_mqa.weight", { 16, 10 }, 0, 0.4f },
                 { 6, "attn_kv_a_norm.weight", { 10 }, 1, 0.3f }, { 6, "attn_k_b.weight", { 8, 10, 2 }, 0, 0.4f },
                 { 6, "attn_v_b.weight", { 10, 6, 2 }, 0, 0.4f }, { 6, "attn_output.weight", { 12, 16 }, 0, 0.6f },
                 { 2, "indexer.attn_k.weight", { 16, 8 }, 0, 0.4f }, { 2, "indexer.k_norm.weight", { 8 }, 1, 0.3f },
                 { 2, "indexer.k_norm.bias", { 8 }, 0, 0.3f }, { 2, "indexer.proj.weight", { 16, 12 }, 0, 0.4f },
                 { 2, "indexer.attn_q_b.weight", { 12, 96 }, 0, 0.4f }, { 2, "indexer_compressor_gate.weight", { 16, 8 }, 0, 0.5f },
                 { 2, "indexer_compressor_ape.weight", { 8, 4 }, 0, 0.5f }, EXPERTS(6, 12), SHARED(6, 12),
                 { 6, "exp_probs_b.bias", { 4 }, 0, 0.4f } },
    .says = { -2.130521f, -1.051908f, 0.7159563f, 1.486428f },
};

/* Rows by the last tokens in the first layer; the second chooses blocks, the third looks at all. */
static const recipe delta_and_blocks = {
    .arch = "qwen4exp", .n_layer = 3, .kv_heads = { 1, 1, 1 },
    .numbers = { { "ssm.conv_kernel", 4, false }, { "ssm.inner_size", 32, false }, { "ssm.state_size", 8, false },
                 { "ssm.time_step_rank", 4, false }, { "ssm.group_count", 2, false }, { "rope.dimension_sections", 4, false },
                 { "expert_count", 4, false }, { "expert_used_count", 2, false }, { "expert_feed_forward_length", 12, false },
                 { "expert_shared_feed_forward_length", 10, false }, { "hyper_connection.count", 4, false },
                 { "hyper_connection.low_rank", 5, false }, { "attention.indexer.head_count", 4, false },
                 { "attention.indexer.key_length", 12, false }, { "attention.indexer.top_k", 12, false }, { "ple.ngram_size", 3, false },
                 { "ple.heads_per_ngram", 2, false }, { "ple.conv_kernel", 3, false }, { "ple.eos_token_id", 4, false },
                 { "embedding_length_per_layer_input", 4, false } },
    .lists = { { "attention.recurrent_layers", false, 3, { 1, 0, 0 } }, { "attention.compress_ratios", false, 3, { 0, 4, 0 } },
               { "ple.layers", false, 1, { 0 } },
               { "ple.layer_multipliers", true, 3, { 35184372088891, 19088743920117, 0xfedcba9876543211 } },
               { "ple.head_offsets", true, 4, { 0, 11, 24, 41 } }, { "ple.head_vocab_sizes", true, 4, { 11, 13, 17, 19 } } },
    .weights = { ENDS, { 0, "per_layer_token_embd.weight", { 4, 64 }, 0, 1 }, { 0, "output_hc_norm.weight", { 16, 4 }, 1, 0.3f },
                 { 0, "output_hc_down.weight", { 64, 5 }, 0, 0.4f }, { 0, "output_hc_up.weight", { 5, 64 }, 0, 0.5f },
                 { 7, "hc_attn_norm.weight", { 16, 4 }, 1, 0.3f }, { 7, "hc_attn_down.weight", { 64, 5 }, 0, 0.4f },
                 { 7, "hc_attn_up.weight", { 5, 64 }, 0, 0.5f }, { 7, "hc_attn_inject.weight", { 64, 4 }, 0, 0.4f },
                 { 7, "hc_ffn_norm.weight", { 16, 4 }, 1, 0.3f }, { 7, "hc_ffn_down.weight", { 64, 5 }, 0, 0.4f },
                 { 7, "hc_ffn_up.weight", { 5, 64 }, 0, 0.5f }, { 7, "hc_ffn_inject.weight", { 64, 4 }, 0, 0.4f },
                 EXPERTS(7, 12), SHARED(7, 10), { 7, "ffn_gate_inp_shexp.weight", { 16 }, 0, 0.4f },
                 { 1, "ple_key.weight", { 16, 64 }, 0, 0.4f }, { 1, "ple_value.weight", { 16, 16 }, 0, 0.5f },
                 { 1, "ple_norm_key.weight", { 16, 4 }, 1, 0.3f }, { 1, "ple_norm_query.weight", { 16, 4 }, 1, 0.3f },
                 { 1, "ple_norm_conv.weight", { 16, 4 }, 1, 0.3f }, { 1, "ple_conv1d.weight", { 3, 64 }, 0, 0.5f },
                 { 6, "attn_q.weight", { 16, 32 }, 0, 0.6f }, { 6, "attn_k.weight", { 16, 8 }, 0, 0.6f },
                 { 6, "attn_v.weight", { 16, 8 }, 0, 0.6f }, { 6, "attn_output.weight", { 16, 16 }, 0, 0.8f },
                 { 6, "attn_q_norm.weight", { 8 }, 1, 0.3f }, { 6, "attn_k_norm.weight", { 8 }, 1, 0.3f },
                 { 6, "indexer.q_proj.weight", { 16, 48 }, 0, 0.4f }, { 6, "indexer.k_proj.weight", { 16, 12 }, 0, 0.4f },
                 { 6, "indexer.q_norm.weight", { 12 }, 1, 0.3f }, { 6, "indexer.k_norm.weight", { 12 }, 1, 0.3f },
                 { 1, "attn_qkv.weight", { 16, 64 }, 0, 0.4f }, { 1, "attn_gate.weight", { 16, 32 }, 0, 0.4f },
                 { 1, "ssm_conv1d.weight", { 4, 64 }, 0, 0.5f }, { 1, "ssm_dt.bias", { 4 }, 0, 0.5f }, { 1, "ssm_a", { 4 }, -0.3f, 0.3f },
                 { 1, "ssm_beta.weight", { 16, 4 }, 0, 0.4f }, { 1, "ssm_alpha.weight", { 16, 4 }, 0, 0.4f },
                 { 1, "ssm_norm.weight", { 8 }, 1, 0.3f }, { 1, "ssm_out.weight", { 32, 16 }, 0, 0.4f } },
    .says = { -0.3649413f, -0.7467543f, 0.6702124f, 0.7061896f },
};

static puna_status to_buf(void *user, const void *bytes, size_t n, puna_error *err)
{
    puna_buf *buf = user;
    puna_buf_add(buf, bytes, n);
    return buf->failed ? puna_fail_memory(err, "test", n) : PUNA_OK;
}

/* As few pieces as there are tokens; no text is read here. */
static void add_vocab(puna_gguf_writer *w)
{
    static char texts[VOCAB][8];
    const char *pieces[VOCAB];
    float scores[VOCAB];
    int32_t types[VOCAB];
    for (int32_t i = 0; i < VOCAB; i++) {
        snprintf(texts[i], sizeof texts[i], i == 0 ? "<unk>" : "t%d", (int)i);
        pieces[i] = texts[i];
        scores[i] = (float)-i;
        types[i] = i == 0 ? 2 : 1;
    }
    puna_gguf_add_text(w, "tokenizer.ggml.model", "llama");
    puna_gguf_add_texts(w, "tokenizer.ggml.tokens", pieces, VOCAB);
    puna_gguf_add_f32s(w, "tokenizer.ggml.scores", scores, VOCAB);
    puna_gguf_add_i32s(w, "tokenizer.ggml.token_type", types, VOCAB);
}

static void add_lists(puna_gguf_writer *w, const recipe *r)
{
    for (const list *l = r->lists; l < r->lists + MAX_LISTS && l->key; l++) {
        char key[96];
        int32_t narrow[4];
        for (size_t i = 0; i < l->n; i++)
            narrow[i] = (int32_t)l->values[i];
        snprintf(key, sizeof key, "%s.%s", r->arch, l->key);
        if (l->wide)
            puna_gguf_add_meta(w, &(puna_meta){ .key = key,
                                                .type = PUNA_META_ARRAY,
                                                .element = PUNA_META_U64,
                                                .n = l->n,
                                                .data = (const unsigned char *)l->values,
                                                .size_bytes = l->n * sizeof *l->values });
        else
            puna_gguf_add_i32s(w, key, narrow, l->n);
    }
}

static void add_numbers(puna_gguf_writer *w, const recipe *r)
{
    static const number shared[] = {
        { "context_length", 128, false },
        { "embedding_length", 16, false },
        { "feed_forward_length", 24, false },
        { "attention.head_count", 2, false },
        { "attention.layer_norm_rms_epsilon", 1e-5f, true },
        { "attention.layer_norm_epsilon", 1e-5f, true },
    };
    char key[96];
    puna_gguf_add_text(w, "general.architecture", r->arch);
    for (size_t i = 0; i < sizeof shared / sizeof *shared + MAX_NUMBERS; i++) {
        const number *n =
            i < sizeof shared / sizeof *shared ? &shared[i] : &r->numbers[i - sizeof shared / sizeof *shared];
        if (!n->key)
            break;
        snprintf(key, sizeof key, "%s.%s", r->arch, n->key);
        if (strcmp(n->key, "rope.dimension_sections") == 0)
            puna_gguf_add_i32s(w, key, (int32_t[]){ 2, 1, 1, 0 }, 4);
        else if (n->real)
            puna_gguf_add_f32(w, key, n->value);
        else
            puna_gguf_add_u32(w, key, (uint32_t)n->value);
    }
    add_lists(w, r);
    snprintf(key, sizeof key, "%s.block_count", r->arch);
    puna_gguf_add_u32(w, key, (uint32_t)r->n_layer);
    snprintf(key, sizeof key, "%s.attention.head_count_kv", r->arch);
    puna_gguf_add_i32s(w, key, r->kv_heads, (size_t)r->n_layer);
}

/* Calls each for every tensor: its layer (-1: the model's) and its weight. */
static void add_tensors(puna_gguf_writer *w, const recipe *r)
{
    char name[96];
    for (const weight *t = r->weights; t->name; t++)
        for (int32_t il = 0; il < (t->layers ? r->n_layer : 1); il++) {
            uint32_t n_dims = 1;
            while (n_dims < 4 && t->ne[n_dims])
                n_dims++;
            if (t->layers && !(t->layers >> il & 1))
                continue;
            snprintf(name, sizeof name, t->layers ? "blk.%d.%s" : "%.0d%s", t->layers ? (int)il : 0, t->name);
            puna_gguf_add_tensor(w, name, puna_format_get(PUNA_FORMAT_F32), n_dims, t->ne);
        }
}

static puna_status add_values(puna_gguf_writer *w, const recipe *r, puna_error *err)
{
    uint32_t seed = 7;
    for (const weight *t = r->weights; t->name; t++)
        for (int32_t il = 0; il < (t->layers ? r->n_layer : 1); il++) {
            uint64_t n = 1;
            for (int d = 0; d < 4 && t->ne[d]; d++)
                n *= t->ne[d];
            for (uint64_t i = 0; (!t->layers || t->layers >> il & 1) && i < n; i++) {
                seed = seed * 1664525u + 1013904223u;
                const float value = t->mean + t->spread * ((float)(seed >> 8) / 8388608.0f - 1);
                TRY(puna_gguf_tensor_bytes(w, &value, sizeof value, err));
            }
        }
    return PUNA_OK;
}

/* The recipe's file; false when it could not be made. */
static bool write_model(const recipe *r, char path[32])
{
    puna_gguf_writer *w = NULL;
    puna_error err = { 0 };
    uint64_t size_bytes;
    puna_buf buf = puna_buf_make(1 << 22);
    snprintf(path, 32, "/tmp/puna-states-XXXXXX");
    const int fd = mkstemp(path);
    if (!CHECK(fd >= 0) || !CHECK_OK(puna_gguf_writer_open(&w, 0, &err), err))
        return false;
    add_numbers(w, r);
    add_vocab(w);
    add_tensors(w, r);
    bool good = CHECK_OK(puna_gguf_begin(w, to_buf, &buf, &size_bytes, &err), err) &&
                CHECK_OK(add_values(w, r, &err), err) && CHECK_OK(puna_gguf_end(w, &err), err) &&
                CHECK(write(fd, buf.data, buf.n) == (ssize_t)buf.n);
    puna_gguf_writer_close(w);
    puna_buf_free(&buf);
    close(fd);
    return good;
}

/* ---- a model and what is right ----------------------------------------------------------- */

typedef struct bench {
    puna_params *params;
    puna_model *model;
    int32_t tokens[LONGEST];
    float right[LONGEST + 1][VOCAB]; /* logits after n tokens, each from the reference, at once */
    double tolerance;
} bench;

static int keep_row(void *user, size_t i, const float *logits)
{
    bench *b = user;
    memcpy(b->right[i + 1], logits, sizeof b->right[0]);
    return 0;
}

static bool open_model(bench *b, const char *path, const char *const *options)
{
    puna_error err = { 0 };
    b->params = puna_params_new();
    for (size_t i = 0; options[i]; i += 2)
        CHECK_OK(puna_params_set(b->params, options[i], options[i + 1], &err), err);
    return CHECK_OK(puna_model_open(&b->model, path, b->params, &err), err);
}

static void close_model(bench *b)
{
    puna_model_free(b->model);
    puna_params_free(b->params);
    b->model = NULL;
    b->params = NULL;
}

/* What the reference says after every number of tokens. */
static bool find_right(bench *b, const char *path)
{
    static const char *const on_ref[] = { "backend", "ref", "ctx", "100", NULL };
    puna_session *s = NULL;
    puna_error err = { 0 };
    for (int i = 0; i < LONGEST; i++) /* as tools/reference/arch_logits.c has them for seed 1 */
        b->tokens[i] = (2 * 7919 + i * 104729 + i * i * 31) % VOCAB;
    bool good = open_model(b, path, on_ref) &&
                CHECK_OK(puna_session_open(&s, b->model, b->params, &err), err) &&
                CHECK_OK(puna_session_each(s, b->tokens, LONGEST, keep_row, b, &err), err);
    puna_session_free(s);
    close_model(b);
    return good;
}

/* The session holds the first n tokens of the list, and the logits after them. */
static void check(const bench *b, const puna_session *s, int32_t n, const char *how)
{
    const float *got = puna_session_logits(s);
    size_t n_held;
    double most = 0;
    puna_session_tokens(s, &n_held);
    CHECK_INT(n_held, n);
    bool same = got != NULL;
    for (int v = 0; got && v < VOCAB; v++) {
        const double away = fabs((double)got[v] - (double)b->right[n][v]);
        same &= away <= b->tolerance; /* false of what is no number */
        most = fmax(most, away);
    }
    if (!same)
        test_fail(__FILE__, __LINE__, "%s: logits after %d tokens: got %g away, expected at most %g", how,
                  (int)n, got ? most : NAN, b->tolerance);
}

static void hold(const bench *b, puna_session *s, int32_t n, const char *how)
{
    puna_error err = { 0 };
    if (CHECK_OK(puna_session_sync(s, b->tokens, (size_t)n, &err), err))
        check(b, s, n, how);
}

static puna_session *open_session(const bench *b)
{
    puna_session *s = NULL;
    puna_error err = { 0 };
    CHECK_OK(puna_session_open(&s, b->model, b->params, &err), err);
    return s;
}

/* ---- ways to hold a list ------------------------------------------------------------------ */

/* Token by token, in uneven pieces, and back to places with and without a copy of the states, more than are kept. */
static void back_and_on(const bench *b)
{
    static const int32_t ends[] = { 1,  2, 3, 5,  8,  40, 13, 14, 41, 7, 90, 60, 59,
                                    61, 1, 4, 90, 89, 33, 32, 31, 64, 5, 6,  90 };
    puna_session *s = open_session(b);
    for (int32_t n = 1; s && n <= 20; n++)
        hold(b, s, n, "token by token");
    for (size_t i = 0; s && i < sizeof ends / sizeof *ends; i++)
        hold(b, s, ends[i], "back and on");
    puna_session_free(s);
}

/* Lists that part: what another list left in the states is gone. */
static void another_list(const bench *b)
{
    puna_session *s = open_session(b);
    int32_t other[LONGEST];
    puna_error err = { 0 };
    for (int32_t same = 0; s && same < 50; same += 7) {
        memcpy(other, b->tokens, sizeof other);
        for (int32_t i = same; i < LONGEST; i++)
            other[i] = (other[i] + 1) % VOCAB;
        hold(b, s, 55, "after another list");
        CHECK_OK(puna_session_sync(s, other, 70, &err), err);
        hold(b, s, same + 3, "after another list");
    }
    puna_session_free(s);
}

/* Two and more in the same batches, at different places, one going back while another goes on. */
static void beside(const bench *b)
{
    static const size_t steps[][3] = { { 40, 3, 1 },  { 41, 90, 2 }, { 20, 31, 64 },
                                       { 1, 32, 65 }, { 2, 33, 0 },  { 50, 33, 12 } };
    puna_session *s[3] = { open_session(b), NULL, NULL };
    const int32_t *lists[3] = { b->tokens, b->tokens, b->tokens };
    puna_error err = { 0 };
    for (int i = 1; i < 3 && s[0]; i++)
        CHECK_OK(puna_session_open_beside(&s[i], s[0], &err), err);
    for (size_t i = 0; s[1] && s[2] && i < sizeof steps / sizeof *steps; i++) {
        CHECK_OK(puna_sessions_sync(s, lists, steps[i], 3, &err), err);
        for (int j = 0; j < 3; j++)
            if (steps[i][j])
                check(b, s[j], (int32_t)steps[i][j], "beside others");
    }
    for (int i = 2; i >= 0; i--)
        puna_session_free(s[i]);
}

/* From saved bytes, in a session that held something else; and what is damaged leaves an empty session that works. */
static void saved(const bench *b)
{
    puna_session *s = open_session(b), *to = open_session(b);
    void *data = NULL;
    size_t n = 0;
    puna_error err = { 0 };
    if (s && to) {
        hold(b, s, 37, "before saving");
        hold(b, to, 11, "before loading");
        CHECK_OK(puna_session_save(s, &data, &n, &err), err);
        if (CHECK_OK(puna_session_load(to, data, n, &err), err)) {
            check(b, to, 37, "loaded");
            hold(b, to, 38, "loaded");
            hold(b, to, 60, "loaded");
            hold(b, to, 37, "loaded and back");
            hold(b, to, 20, "loaded and back");
        }
        CHECK(puna_session_load(to, data, n - 1, &err) != PUNA_OK);
        hold(b, to, 9, "after a load that failed");
        memset((unsigned char *)data + 48, 0xff, sizeof *b->tokens); /* the first token, behind the header */
        CHECK(puna_session_load(to, data, n, &err) != PUNA_OK);
        CHECK_OK(puna_session_extend(to, b->tokens[0], &err), err);
        check(b, to, 1, "after a load that failed half-way");
    }
    puna_free(data);
    puna_session_free(s);
    puna_session_free(to);
}

static void every_way(const recipe *r)
{
    static const char *const on_ref[] = { "backend", "ref", "ctx", "100", "ctx_total", "400", NULL };
    static const char *const on_cpu[] = { "threads", "2", "ctx", "100", "ctx_total", "400", NULL };
    static const char *const small[] = {
        "threads", "2", "batch", "6", "ctx", "100", "ctx_total", "400", NULL
    };
    static const char *const plain[] = { "threads", "1",   "fusion",    "off", "batch", "17",
                                         "ctx",     "100", "ctx_total", "400", NULL };
    static const char *const *const ways[] = { on_ref, on_cpu, small, plain };
    static bench b;
    char path[32];
    const bool good = write_model(r, path) && find_right(&b, path);
    for (int i = 0; good && i < 4 && r->says[0] != 0; i++)
        CHECK_NEAR(b.right[SAID][i], r->says[i], 1e-4 * (1 + fabs((double)r->says[i])));
    if (good)
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            b.tolerance = i == 0 ? 0 : 1e-4;
            if (open_model(&b, path, ways[i])) {
                CHECK(b.model->net.plan.n_states > 0);
                back_and_on(&b);
                another_list(&b);
                beside(&b);
                saved(&b);
            }
            close_model(&b);
        }
    unlink(path);
}

static void mamba(void)
{
    every_way(&mamba_alone);
}

static void mamba2(void)
{
    every_way(&mamba2_and_attention);
}

static void delta_net(void)
{
    every_way(&delta_and_attention);
}

static void short_filter(void)
{
    every_way(&filter_and_attention);
}

static void mixers_beside_each_other(void)
{
    every_way(&both_mixers);
}

static void rwkv6(void)
{
    every_way(&rwkv6_model);
}

static void rwkv7(void)
{
    every_way(&rwkv7_model);
}

static void kimi_delta_attention(void)
{
    every_way(&kda_and_latent);
}

static void delta_net_in_one(void)
{
    every_way(&delta_in_one);
}

static void plamo2(void)
{
    every_way(&plamo2_model);
}

static void rwkv6_in_qwen2(void)
{
    every_way(&time_mixing_in_qwen2);
}

static void lightning_attention(void)
{
    every_way(&linear_attention);
}

static void kda_beside_blocks(void)
{
    every_way(&kda_and_blocks);
}

static void delta_net_beside_blocks(void)
{
    every_way(&delta_and_blocks);
}

/* Where a sum of products is nearly or exactly nothing. */
static void signed_roots(void)
{
    const puna_act_params p = { .kind = PUNA_ACT_SIGNED_ROOT, .a = { 1e-6f } };
    static const float pairs[][2] = { { 4, 2 }, { -9, -3 }, { 1e-8f, 1e-3f }, { -1e-8f, -1e-3f }, { 0, 0 } };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        CHECK_NEAR(puna_activate(&p, pairs[i][0]), pairs[i][1], 1e-7);
}

/* ---- what the recorder refuses ----------------------------------------------------------- */

static puna_tensor vector(const float *values, uint64_t n, uint64_t rows)
{
    return (puna_tensor){ .name = "test",
                          .format = puna_format_get(PUNA_FORMAT_F32),
                          .ne = { n, rows, 1, 1 },
                          .data = values,
                          .size_bytes = n * rows * sizeof *values };
}

/* A fresh plan with a value of `width` in x, and the same selected; then what() must leave its mistake. */
static void refused(void (*what)(puna_plan *g, puna_value x, puna_value selected, const puna_tensor *v),
                    const char *name)
{
    static const float values[256];
    const puna_tensor table = vector(values, 8, 4), v = vector(values, 8, 1);
    puna_plan g = { 0 };
    puna_value x = p_embed(&g, &table, &(puna_embed_params){ .scale = 1 }), selected = p_select_rows(&g, x);
    CHECK_INT(g.status, PUNA_OK);
    what(&g, x, selected, &v);
    if (g.status == PUNA_OK)
        test_fail(__FILE__, __LINE__, "%s: got a plan, expected a mistake", name);
    puna_plan_free(&g);
}

#define REFUSED(name, ...)                                                                  \
    static void name(puna_plan *g, puna_value x, puna_value selected, const puna_tensor *v) \
    {                                                                                       \
        (void)x, (void)selected, (void)v;                                                   \
        __VA_ARGS__;                                                                        \
    }

REFUSED(selected_conv, puna_tensor w = *v; w.ne[1] = 2; p_conv1d(g, selected, &w, NULL, PUNA_ACT_SILU))
REFUSED(selected_shift, p_shift(g, selected))
REFUSED(conv_of_one_tap, p_conv1d(g, x, &(puna_tensor){ .format = v->format, .ne = { 1, 8, 1, 1 }, .data = v->data }, NULL, PUNA_ACT_SILU))
REFUSED(conv_too_narrow, p_conv1d(g, x, v, NULL, PUNA_ACT_SILU))
REFUSED(conv_without_weight, p_conv1d(g, x, NULL, NULL, PUNA_ACT_SILU))
REFUSED(scan_heads, p_ssm_scan(g, x, x, x, v, NULL, NULL, &(puna_ssm_params){ .n_head = 3, .n_group = 1, .n_state = 4 }))
REFUSED(scan_groups, p_ssm_scan(g, x, x, x, v, NULL, NULL, &(puna_ssm_params){ .n_head = 8, .n_group = 3, .n_state = 1 }))
REFUSED(scan_bc, p_ssm_scan(g, x, x, x, v, NULL, NULL, &(puna_ssm_params){ .n_head = 8, .n_group = 1, .n_state = 3 }))
REFUSED(scan_no_a, p_ssm_scan(g, x, x, x, NULL, NULL, NULL, &(puna_ssm_params){ .n_head = 8, .n_group = 1, .n_state = 4 }))
REFUSED(scan_selected, p_ssm_scan(g, x, selected, x, v, NULL, NULL, &(puna_ssm_params){ .n_head = 8, .n_group = 1, .n_state = 4 }))
REFUSED(scan_huge, p_ssm_scan(g, x, x, x, v, NULL, NULL, &(puna_ssm_params){ .n_head = 8, .n_group = 1, .n_state = INT32_MAX }))
REFUSED(memory_heads, p_memory_scan(g, &(puna_memory_inputs){ x, x, x, x, x, x }, NULL, &(puna_memory_params){ .n_head = 3, .n_head_k = 3 }))
REFUSED(memory_shares, p_memory_scan(g, &(puna_memory_inputs){ x, x, x, x, x, x }, NULL, &(puna_memory_params){ .n_head = 2, .n_head_k = 4 }))
REFUSED(memory_no_decay, p_memory_scan(g, &(puna_memory_inputs){ x, x, x, -1, -1, -1 }, NULL, &(puna_memory_params){ .n_head = 8, .n_head_k = 8 }))
REFUSED(memory_no_beta, p_memory_scan(g, &(puna_memory_inputs){ x, x, x, x, -1, -1 }, NULL,
                                      &(puna_memory_params){ .rule = PUNA_MEMORY_DELTA, .n_head = 8, .n_head_k = 8 }))
REFUSED(memory_no_first, p_memory_scan(g, &(puna_memory_inputs){ x, x, x, x, -1, -1 }, NULL,
                                       &(puna_memory_params){ .rule = PUNA_MEMORY_BONUS, .n_head = 8, .n_head_k = 8 }))
REFUSED(memory_no_b, p_memory_scan(g, &(puna_memory_inputs){ x, x, x, x, x, -1 }, NULL,
                                   &(puna_memory_params){ .rule = PUNA_MEMORY_RANK1, .n_head = 8, .n_head_k = 8 }))
REFUSED(memory_selected, p_memory_scan(g, &(puna_memory_inputs){ x, selected, x, x, -1, -1 }, NULL, &(puna_memory_params){ .n_head = 8, .n_head_k = 8 }))
REFUSED(mean_parts, p_mean(g, x, 3))
REFUSED(tail_of_keys, p_select_keys(g, x, -1, &(puna_select_params){ .n_head = 1, .head_dim = 8, .n_lists = 1, .n_top = 1, .key_block = 2, .tail = true,
                      .cache = p_cache(g, &(puna_cache_layout){ .n_head = 1, .head_dim_k = 8, .v_in_k = true }) }))

/* Four rows at most; the table has four. */
static void ngram(puna_plan *g, const puna_tensor *v, int32_t n_gram, int32_t n_each, uint32_t first, uint32_t count)
{
    static const uint64_t factors[PUNA_NGRAM_TOKENS + 1] = { 1 };
    uint32_t firsts[PUNA_NGRAM_ROWS + 1], counts[PUNA_NGRAM_ROWS + 1];
    puna_tensor table = *v;
    table.ne[1] = 4;
    for (int i = 0; i <= PUNA_NGRAM_ROWS; i++) {
        firsts[i] = i == 1 ? first : 0;
        counts[i] = i == 1 ? count : 4;
    }
    p_ngram(g, &table, &(puna_ngram_params){ n_gram, n_each, 0, 0, factors, firsts, counts });
}
REFUSED(ngram_of_one, ngram(g, v, 1, 2, 0, 4))
REFUSED(ngram_too_long, ngram(g, v, PUNA_NGRAM_TOKENS + 1, 2, 0, 4))
REFUSED(ngram_without_rows, ngram(g, v, 2, 0, 0, 4))
REFUSED(ngram_of_many_rows, ngram(g, v, 2, PUNA_NGRAM_ROWS + 1, 0, 4))
REFUSED(ngram_empty_range, ngram(g, v, 2, 2, 0, 0))
REFUSED(ngram_past_the_table, ngram(g, v, 2, 2, 1, 4))
REFUSED(ngram_far_past_the_table, ngram(g, v, 2, 2, UINT32_MAX, UINT32_MAX))

static void wrong_shapes_are_refused(void)
{
#define TRY_IT(name) refused(name, #name)
    TRY_IT(selected_conv);
    TRY_IT(selected_shift);
    TRY_IT(conv_of_one_tap);
    TRY_IT(conv_too_narrow);
    TRY_IT(conv_without_weight);
    TRY_IT(scan_heads);
    TRY_IT(scan_groups);
    TRY_IT(scan_bc);
    TRY_IT(scan_no_a);
    TRY_IT(scan_selected);
    TRY_IT(scan_huge);
    TRY_IT(memory_heads);
    TRY_IT(memory_shares);
    TRY_IT(memory_no_decay);
    TRY_IT(memory_no_beta);
    TRY_IT(memory_no_first);
    TRY_IT(memory_no_b);
    TRY_IT(memory_selected);
    TRY_IT(mean_parts);
    TRY_IT(tail_of_keys);
    TRY_IT(ngram_of_one);
    TRY_IT(ngram_too_long);
    TRY_IT(ngram_without_rows);
    TRY_IT(ngram_of_many_rows);
    TRY_IT(ngram_empty_range);
    TRY_IT(ngram_past_the_table);
    TRY_IT(ngram_far_past_the_table);
#undef TRY_IT
}

static const test_case cases[] = {
    TEST(mamba),
    TEST(mamba2),
    TEST(delta_net),
    TEST(short_filter),
    TEST(mixers_beside_each_other),
    TEST(rwkv6),
    TEST(rwkv7),
    TEST(kimi_delta_attention),
    TEST(lightning_attention), TEST(delta_net_in_one), TEST(plamo2),
    TEST(rwkv6_in_qwen2),
    TEST(kda_beside_blocks),
    TEST(delta_net_beside_blocks),
    TEST(signed_roots),
    TEST(wrong_shapes_are_refused),
};

int main(int argc, char **argv)
{
    return test_main("states", cases, sizeof cases / sizeof *cases, argc, argv);
}
