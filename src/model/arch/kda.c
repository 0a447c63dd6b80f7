/* kda.c - Kimi Delta Attention (arXiv 2510.26692): delta nets in which every column of a key decays at its own pace,
 * beside layers of latent attention: Kimi-Linear, Ling 3; and beside latent attention to chosen blocks of tokens, with
 * several residual streams: GLM-5.3. */
#include <math.h>
#include <stddef.h>

#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

/* Logarithms of what each column keeps: any, or between a limit and 0. */
static puna_value decay(puna_network *net, puna_value h, const puna_layer *l)
{
    puna_plan *g = &net->plan;
    const puna_state_hparams *s = &net->hp.state;
    const puna_tensor *pace = puna_build_repeated(net, l->ssm.a, s->head_dim);
    puna_value f = p_linear(g, h, l->delta.decay_a, NULL);
    if (l->delta.decay_b)
        f = p_linear(g, f, l->delta.decay_b, NULL);
    f = p_affine(g, f, 1, NULL, l->ssm.dt_bias, 0);
    if (s->decay_limit >= 0)
        return p_affine(g, p_act(g, f, &(puna_act_params){ .kind = PUNA_ACT_SOFTPLUS }), 1, pace, NULL, 0);
    f = p_affine(g, f, s->decay_below ? -1 : 1, pace, NULL, 0);
    f = p_act(g, f, &(puna_act_params){ .kind = PUNA_ACT_SIGMOID });
    return p_affine(g, f, s->decay_limit, NULL, NULL, 0);
}

static puna_value kda_mixer(puna_network *net, puna_value h, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const puna_delta *d = &l->delta;
    const puna_state_hparams *s = &net->hp.state;
    const int32_t n = s->head_dim;
    const float unit_eps = s->unit_eps > 0 ? s->unit_eps : net->hp.norm_eps;
    /* A root mean square over n values is their root of squares over sqrt(n). */
    const puna_norm_params unit = { .kind = PUNA_NORM_RMS, .eps = unit_eps / (float)n, .group = n };
    const puna_norm_params norm = { .kind = PUNA_NORM_RMS, .eps = net->hp.norm_eps, .group = n };
    const puna_memory_params p = {
        .rule = PUNA_MEMORY_DELTA, .n_head = s->n_rank, .n_head_k = s->n_rank, .scale = 1 / (float)n
    };
    puna_memory_inputs in = { .b = -1 };
    in.q = p_norm_groups(g, p_conv1d(g, p_linear(g, h, d->q, NULL), d->conv_q, NULL, PUNA_ACT_SILU), NULL,
                         NULL, &unit);
    in.k = p_norm_groups(g, p_conv1d(g, p_linear(g, h, d->k, NULL), d->conv_k, NULL, PUNA_ACT_SILU), NULL,
                         NULL, &unit);
    in.k = p_affine(g, in.k, 1 / sqrtf((float)n), NULL, NULL, 0);
    in.v = p_conv1d(g, p_linear(g, h, d->v, NULL), d->conv_v, NULL, PUNA_ACT_SILU);
    in.decay = decay(net, h, l);
    in.a = p_act(g, p_linear(g, h, d->beta, NULL), &(puna_act_params){ .kind = PUNA_ACT_SIGMOID });
    puna_value o = p_norm_groups(g, p_memory_scan(g, &in, NULL, &p), l->ssm.norm, NULL, &norm);
    puna_value gate = p_linear(g, h, d->gate_a, NULL);
    if (d->gate_b)
        gate = p_linear(g, gate, d->gate_b, NULL);
    return p_glu(g, gate, o, &(puna_glu_params){ .activation = PUNA_ACT_SIGMOID });
}

/* ---- keys ------------------------------------------------------------------------------- */

static void kda_keys(puna_hparams *hp, puna_keys *k, bool lora_q)
{
    static const char *const needed[] = {
        "attention.key_length_mla",   "attention.value_length_mla", "ssm.conv_kernel", "kda.head_dim",
        "expert_feed_forward_length", "expert_shared_count"
    };
    puna_state_hparams *s = &hp->state;
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        puna_key_need(k, needed[i]);
    puna_key_recurrent_heads(k, hp);
    puna_key_latent(k, hp, &(puna_latent_keys){ .no_lora_q = !lora_q, .absorbed = true });
    s->head_dim = puna_key_int(k, "kda.head_dim", 1, 1, 1 << 13);
    s->n_rank = hp->layers[0].n_head;
    s->n_inner = s->n_rank * s->head_dim;
    if (s->n_rank < 1)
        puna_key_mistake(k, "attention.head_count", s->n_rank, "heads of the first layer");
}

static void shared_width(puna_hparams *hp)
{
    if (hp->n_expert > 0 && hp->n_ff_shared == 0)
        hp->n_ff_shared = hp->n_ff_expert;
}

static void kimi_linear_keys(puna_hparams *hp, puna_keys *k)
{
    kda_keys(hp, k, false);
    puna_key_experts(k, hp,
                     &(puna_expert_keys){ .gating_key = true,
                         .normalise = true, .scaled = true, .own_ff = true, .leading = true, .n_shared = 1 });
    shared_width(hp);
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].no_rope = true;
}

/* Where a picture's positions have sections, pairs lie half a head apart. Those of a fourth do not rotate for text. */
static void sections(puna_hparams *hp, puna_keys *k)
{
    const char *const name = "rope.dimension_sections";
    int32_t n[4];
    if (!puna_key_has(k, name) || !puna_key_ints(k, name, n, 4, 1 << 13) || n[0] == 0 || n[1] == 0)
        return;
    hp->pairing = PUNA_ROPE_NEOX;
    if (n[3] > 0 && hp->n_rot / 2 > n[0] + n[1] + n[2])
        puna_key_mistake(k, name, n[3], "sections for all pairs: still ones are not supported");
}

static void bailingmoe3_keys(puna_hparams *hp, puna_keys *k)
{
    kda_keys(hp, k, puna_key_int(k, "attention.q_lora_rank", 0, 0, 1 << 16) > 0);
    puna_key_need(k, "kda.gate_lower_bound");
    hp->state.decay_limit = puna_key_real(k, "kda.gate_lower_bound", -1);
    if (!(hp->state.decay_limit < 0) || !puna_key_flag(k, "kda.safe_gate", true))
        puna_key_mistake(k, "kda.gate_lower_bound", (int32_t)hp->state.decay_limit,
                         "less than 0, and kda.safe_gate");
    puna_key_experts(k, hp,
                     &(puna_expert_keys){ .gating_key = true,
                         .norm_key = true, .scaled = true, .own_ff = true, .leading = true, .n_shared = 1 });
    const int32_t n_ff_shared = puna_key_int(k, "expert_shared_feed_forward_length", 0, 0, 1 << 24);
    hp->n_ff_shared = n_ff_shared > 0 ? n_ff_shared : hp->n_ff_shared;
    shared_width(hp);
    puna_key_layers_real(k, hp, "swiglu_clamp_exp", offsetof(puna_layer_hparams, expert_limit));
    puna_key_layers_real(k, hp, "swiglu_clamp_shexp", offsetof(puna_layer_hparams, ff_limit));
    sections(hp, k);
}

/* A block of the indexer, and what is so in all files of the architecture. */
static void pool_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "attention.indexer.kpool");
    const int32_t block = puna_key_int(k, "attention.indexer.kpool", 2, 2, 1 << 10);
    if (!puna_key_flag(k, "attention.indexer.kpool_select_tail", true))
        puna_key_mistake(k, "attention.indexer.kpool_select_tail", 0,
                         "true: tokens that see none are not supported");
    hp->indexer.pooled = true;
    hp->indexer.key_block = block;
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].indexer = 1;
    puna_key_layers_int(k, hp, "attention.indexer.types", offsetof(puna_layer_hparams, indexer), 0, 1);
    for (int32_t i = 0; i < hp->n_layer; i++) {
        puna_layer_hparams *l = &hp->layers[i];
        if (l->recurrent)
            l->indexer = PUNA_INDEXER_NONE;
        else
            l->indexer = l->indexer ? PUNA_INDEXER_OWN : PUNA_INDEXER_SHARED;
        l->compress = l->indexer == PUNA_INDEXER_OWN ? block : 0;
    }
    puna_key_indexer(k, hp, PUNA_ROPE_NEOX, hp->layer_eps);
}

static void limit_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_layers_real(k, hp, "swiglu_clamp_exp", offsetof(puna_layer_hparams, expert_limit));
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].ff_limit = hp->layers[i].expert_limit;
    puna_key_layers_real(k, hp, "swiglu_clamp_shexp", offsetof(puna_layer_hparams, ff_limit));
    hp->early_limit = hp->ff_early_limit = true;
}

/* Nothing is rotated: delta nets know where tokens are. */
static void glm5_next_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "rope.dimension_count");
    hp->n_rot = hp->n_rot_window = puna_key_int(k, "rope.dimension_count", 0, 0, 0);
    kda_keys(hp, k, true);
    hp->state.decay_limit = puna_key_real(k, "kda.gate_lower_bound", 0);
    hp->state.decay_below = true;
    hp->state.unit_eps = 1e-6f;
    if (hp->state.decay_limit > 0)
        puna_key_mistake(k, "kda.gate_lower_bound", (int32_t)hp->state.decay_limit, "less than 0");
    for (int32_t i = 0; i < hp->n_layer; i++)
        if (hp->layers[i].n_head != hp->state.n_rank)
            puna_key_mistake(k, "attention.head_count", hp->layers[i].n_head, "as many in all layers");
    pool_keys(hp, k);
    puna_key_experts(k, hp,
                     &(puna_expert_keys){ .gating = PUNA_GATING_SIGMOID,
                                          .gating_key = true,
                                          .norm_key = true,
                                          .scaled = true,
                                          .own_ff = true,
                                          .leading = true,
                                          .n_shared = 1 });
    limit_keys(hp, k);
    puna_key_hyper(k, hp);
    puna_key_need(k, "hyper_connection.sinkhorn_iterations");
    hp->hyper.n_balance = puna_key_int(k, "hyper_connection.sinkhorn_iterations", 1, 1, 1 << 10);
}

#define KDA_BASE                                                                                            \
    (PUNA_SET(EMBEDDING) | PUNA_SET(OUTPUT_NORM) | PUNA_SET(ATTN_NORM) | PUNA_SET(FFN_NORM) | PUNA_SET(O) | \
     PUNA_SET(LORA_KV) | PUNA_SET(LATENT_HEADS) | PUNA_SET(KDA) | PUNA_SETS_GATED | PUNA_SETS_EXPERTS |     \
     PUNA_SETS_SHARED | PUNA_SET(CHOICE_BIAS))
#define QKV_EXTRAS                                                                               \
    (PUNA_SET(QKV_BIAS) | PUNA_SET(QKV_SCALE) | PUNA_SET(QKV_FUSED) | PUNA_SET(QKV_FUSED_BIAS) | \
     PUNA_SET(QKV_FUSED_SCALE))

const puna_arch puna_arch_kimi_linear = {
    .name = "kimi-linear",
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = KDA_BASE | PUNA_SET(OUTPUT) | PUNA_SET(KDA_LOW) | PUNA_SET(KDA_PACE),
    .never = QKV_EXTRAS,
    .adjust = kimi_linear_keys,
    .attention = puna_build_latent,
    .mixer = kda_mixer,
    .tiny = TINY,
};

const puna_arch puna_arch_bailingmoe3 = {
    .name = "bailingmoe3",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = KDA_BASE | PUNA_SET(LORA_Q) | PUNA_SET(ATTN_GATE) | PUNA_SET(KDA_PACE),
    .never = QKV_EXTRAS | PUNA_SET(O_SCALE),
    .adjust = bailingmoe3_keys,
    .attention = puna_build_latent,
    .mixer = kda_mixer,
    .tiny = TINY,
};

const puna_arch puna_arch_glm5_next = {
    .name = "glm5-next",
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f, .layer_eps = 1e-6f },
    .needs = KDA_BASE | PUNA_SET(OUTPUT) | PUNA_SET(KDA_LOW) | PUNA_SET(KDA_PACE_ROW) | PUNA_SET(LORA_Q) |
             PUNA_SET(INDEXER) | PUNA_SET(INDEX_QUERY) | PUNA_SET(INDEX_POOL) | PUNA_SET(HYPER),
    .never = QKV_EXTRAS | PUNA_SET(QKV) | PUNA_SET(O_SCALE),
    .adjust = glm5_next_keys,
    .attention = puna_build_latent,
    .mixer = kda_mixer,
    .build = puna_build_hyper,
    .tiny = TINY,
};
