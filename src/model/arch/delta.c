/* delta.c - gated delta nets (arXiv 2412.06464) beside attention with a gate: Qwen3-Next, Qwen3.5. */
#include <math.h>

#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

/* ---- attention -------------------------------------------------------------------------- */

puna_value puna_build_gated_attention(puna_network *net, puna_value h, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const int32_t n_head = net->hp.layers[il].n_head, n_head_kv = net->hp.layers[il].n_head_kv,
                  dim = net->hp.head_dim_k;
    puna_value both = puna_build_linear(net, h, l->wq, l->sq, l->bq);
    puna_value q = p_columns(g, both, n_head, 0, dim), gate = p_columns(g, both, n_head, dim, dim);
    puna_value k = puna_build_linear(net, h, l->wk, l->sk, l->bk),
               v = puna_build_linear(net, h, l->wv, l->sv, l->bv);
    q = puna_build_rope(net, puna_build_norm(net, q, l->q_norm, NULL), il, n_head, dim);
    k = puna_build_rope(net, puna_build_norm(net, k, l->k_norm, NULL), il, n_head_kv, dim);
    return p_glu(g, gate, puna_build_attend(net, q, k, v, il),
                 &(puna_glu_params){ .activation = PUNA_ACT_SIGMOID });
}

/* ---- delta nets ------------------------------------------------------------------------- */

typedef struct delta_inputs {
    puna_value qkv, gate, beta, alpha;
} delta_inputs;

/* From products that make a head's parts beside each other: [q k v gate] and [beta alpha] of each head of keys. */
static delta_inputs next_inputs(puna_network *net, puna_value h, const puna_layer *l)
{
    puna_plan *g = &net->plan;
    const puna_state_hparams *s = &net->hp.state;
    const int32_t n = s->n_state, each = s->n_rank / s->n_group;
    delta_inputs in;
    puna_value ba = p_linear(g, h, l->delta.ba, NULL);
    in.beta = p_columns(g, ba, s->n_group, 0, each);
    in.alpha = p_columns(g, ba, s->n_group, each, each);
    if (l->delta.qkv) {
        in.qkv = p_linear(g, h, l->delta.qkv, NULL);
        in.gate = p_linear(g, h, l->delta.gate, NULL);
        return in;
    }
    puna_value all = p_linear(g, h, l->ssm.in, NULL);
    puna_value q = p_columns(g, all, s->n_group, 0, n), k = p_columns(g, all, s->n_group, n, n);
    in.qkv = p_join(g, p_join(g, q, k, 1), p_columns(g, all, s->n_group, 2 * n, each * n), 1);
    in.gate = p_columns(g, all, s->n_group, (2 + each) * n, each * n);
    return in;
}

static delta_inputs apart_inputs(puna_network *net, puna_value h, const puna_layer *l)
{
    const puna_delta *d = &l->delta;
    return (delta_inputs){
        .qkv = puna_build_linear(net, h, d->qkv, d->qkv_scale, NULL),
        .gate = puna_build_linear(net, h, d->gate, d->gate_scale, NULL),
        .beta = puna_build_linear(net, h, d->beta, d->beta_scale, NULL),
        .alpha = puna_build_linear(net, h, d->alpha, d->alpha_scale, NULL),
    };
}

static puna_value delta_net(puna_network *net, const delta_inputs *in, const puna_layer *l, bool tiled)
{
    puna_plan *g = &net->plan;
    const puna_state_hparams *s = &net->hp.state;
    const int32_t n = s->n_state, n_keys = n * s->n_group;
    /* A root mean square over n values is their root of squares over sqrt(n). */
    const puna_norm_params unit = { .kind = PUNA_NORM_RMS, .eps = net->hp.norm_eps / (float)n, .group = n };
    const puna_norm_params norm = { .kind = PUNA_NORM_RMS, .eps = net->hp.norm_eps, .group = n };
    const puna_memory_params p = { .rule = PUNA_MEMORY_DELTA,
                                   .n_head = s->n_rank,
                                   .n_head_k = s->n_group,
                                   .tiled = tiled,
                                   .scale = 1 / (float)n };
    puna_value beta = p_act(g, in->beta, &(puna_act_params){ .kind = PUNA_ACT_SIGMOID });
    puna_value decay = p_affine(g, in->alpha, 1, NULL, l->ssm.dt_bias, 0);
    decay =
        p_affine(g, p_act(g, decay, &(puna_act_params){ .kind = PUNA_ACT_SOFTPLUS }), 1, l->ssm.a, NULL, 0);
    puna_value qkv = p_conv1d(g, in->qkv, l->ssm.conv, NULL, PUNA_ACT_SILU);
    puna_value q = p_norm_groups(g, p_columns(g, qkv, 1, 0, n_keys), NULL, NULL, &unit);
    puna_value k = p_norm_groups(g, p_columns(g, qkv, 1, n_keys, n_keys), NULL, NULL, &unit);
    k = p_affine(g, k, 1 / sqrtf((float)n), NULL, NULL, 0);
    puna_value v = p_columns(g, qkv, 1, 2 * n_keys, s->n_inner);
    puna_value o = p_memory_scan(g, &(puna_memory_inputs){ q, k, v, decay, beta, -1 }, NULL, &p);
    o = p_norm_groups(g, o, l->ssm.norm, NULL, &norm);
    return p_glu(g, in->gate, o, &(puna_glu_params){ .activation = net->arch->attn_gate });
}

static puna_value next_mixer(puna_network *net, puna_value h, int32_t il)
{
    const delta_inputs in = next_inputs(net, h, &net->layers[il]);
    return delta_net(net, &in, &net->layers[il], false);
}

puna_value puna_build_delta_net(puna_network *net, puna_value h, int32_t il)
{
    const delta_inputs in = apart_inputs(net, h, &net->layers[il]);
    return delta_net(net, &in, &net->layers[il], true);
}

/* ---- keys ------------------------------------------------------------------------------- */

static void delta_keys(puna_hparams *hp, puna_keys *k)
{
    puna_state_hparams *s = &hp->state;
    puna_key_ssm(k, hp, true);
    puna_key_recurrent_layers(k, hp, 4);
    if ((int64_t)s->n_state * s->n_rank != s->n_inner)
        puna_key_mistake(k, "ssm.inner_size", s->n_inner, "ssm.state_size times ssm.time_step_rank");
    s->n_channels = 2 * s->n_state * s->n_group + s->n_inner;
    s->n_in = 2 * s->n_state * s->n_group + 2 * s->n_inner;
    s->n_x = 2 * s->n_rank;
}

static void expert_keys(puna_hparams *hp, puna_keys *k)
{
    if (hp->n_expert < 1)
        puna_key_mistake(k, "expert_count", hp->n_expert, "more than 0");
    puna_key_experts(k, hp,
                     &(puna_expert_keys){
                         .gating = PUNA_GATING_SOFTMAX, .normalise = true, .own_ff = true, .n_shared = -1 });
    hp->n_ff_shared = puna_key_int(k, "expert_shared_feed_forward_length", 0, 0, 1 << 24);
    if (hp->n_ff_shared == 0)
        hp->n_ff_shared = hp->layers[0].n_ff;
}

static void qwen3next_keys(puna_hparams *hp, puna_keys *k)
{
    delta_keys(hp, k);
    expert_keys(hp, k);
}

/* Pairs take turns between the three positions of a picture, as long as each's section lasts; those beyond do not
 * rotate for text. */
static void turning_sections(puna_hparams *hp, puna_keys *k)
{
    int32_t n[4];
    if (!puna_key_ints(k, "rope.dimension_sections", n, 4, 1 << 13))
        return;
    const int32_t period = n[0] + n[1] + n[2] + n[3];
    for (int32_t i = 0; i < hp->n_rot / 2; i++) {
        const int32_t at = period > 0 ? i % period : i;
        if (at >= 3 * n[at % 3])
            puna_key_mistake(k, "rope.dimension_sections", n[at % 3],
                             "sections for all pairs: still ones are not supported");
    }
}

static void qwen35_keys(puna_hparams *hp, puna_keys *k)
{
    delta_keys(hp, k);
    turning_sections(hp, k);
}

void puna_key_delta_experts(puna_hparams *hp, puna_keys *k)
{
    qwen35_keys(hp, k);
    expert_keys(hp, k);
}

/* Files name the second norm after where it stands. */
static const puna_alias norm_after_attention[] = { { "post_attention_norm.weight", "ffn_norm.weight" },
                                                   { NULL, NULL } };

#define DELTA_BASE                                                                            \
    (PUNA_SET(EMBEDDING) | PUNA_SET(OUTPUT_NORM) | PUNA_SET(ATTN_NORM) | PUNA_SET(FFN_NORM) | \
     PUNA_SET(Q_GATED) | PUNA_SETS_QK_NORM | PUNA_SET(O) | PUNA_SET(DELTA) | PUNA_SET(DELTA_QKV))
#define DELTA_EXPERTS     (PUNA_SETS_EXPERTS | PUNA_SETS_SHARED | PUNA_SET(SHARED_WEIGHT))
#define DELTA_EXPERTS_MAY (PUNA_SET(EXPERT_GATE_UP) | PUNA_SET(EXPERT_SCALE) | PUNA_SET(SHARED_SCALE))
#define NOT_PLAIN                                                                          \
    (PUNA_SET(QKV) | PUNA_SET(QKV_BIAS) | PUNA_SET(QKV_FUSED) | PUNA_SET(QKV_FUSED_BIAS) | \
     PUNA_SET(QKV_FUSED_SCALE))

const puna_arch puna_arch_qwen3next = {
    .name = "qwen3next",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = DELTA_BASE | PUNA_SET(DELTA_BA) | DELTA_EXPERTS,
    .may = PUNA_SET(Q_GATED_BIAS) | PUNA_SET(DELTA_IN) | DELTA_EXPERTS_MAY,
    .never = NOT_PLAIN,
    .aliases = norm_after_attention,
    .adjust = qwen3next_keys,
    .attention = puna_build_gated_attention,
    .mixer = next_mixer,
    .tiny = TINY,
};

const puna_arch puna_arch_qwen35 = {
    .name = "qwen35",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = DELTA_BASE | PUNA_SET(DELTA_BETA) | PUNA_SETS_GATED,
    .may = PUNA_SET(Q_GATED_BIAS) | PUNA_SET(DELTA_SCALE) | PUNA_SET(FFN_SCALE),
    .never = NOT_PLAIN,
    .aliases = norm_after_attention,
    .adjust = qwen35_keys,
    .attention = puna_build_gated_attention,
    .mixer = puna_build_delta_net,
    .tiny = TINY,
};

const puna_arch puna_arch_qwen35moe = {
    .name = "qwen35moe",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = DELTA_BASE | PUNA_SET(DELTA_BETA) | DELTA_EXPERTS,
    .may = PUNA_SET(Q_GATED_BIAS) | PUNA_SET(DELTA_SCALE) | DELTA_EXPERTS_MAY,
    .never = NOT_PLAIN,
    .aliases = norm_after_attention,
    .adjust = puna_key_delta_experts,
    .attention = puna_build_gated_attention,
    .mixer = puna_build_delta_net,
    .tiny = TINY,
};
