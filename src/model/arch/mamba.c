/* mamba.c - Mamba (arXiv 2312.00752) and Mamba-2 (arXiv 2405.21060), and those that have them beside attention: Jamba
 * (arXiv 2403.19887), PLaMo 2 (arXiv 2509.04897), Granite 4, Nemotron-H (arXiv 2504.03624), Falcon-H1 (arXiv 2507.22448). */
#include <math.h>
#include <stdio.h>

#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

#define MAMBA_BASE (PUNA_SET(EMBEDDING) | PUNA_SET(OUTPUT_NORM) | PUNA_SET(ATTN_NORM))
#define MAMBA_1    (PUNA_SET(SSM) | PUNA_SET(SSM_CONV_BIAS) | PUNA_SET(SSM_X))
#define MAMBA_2    (PUNA_SET(SSM) | PUNA_SET(SSM_CONV_BIAS) | PUNA_SET(SSM_NORM))

/* ---- Mamba ------------------------------------------------------------------------------ */

/* An RMS norm, with a weight or, where all are normalised, without. */
static puna_value inner_norm(puna_network *net, puna_value x, const puna_tensor *weight)
{
    if (!weight && !net->hp.state.norm_bare)
        return x;
    return p_norm(&net->plan, x, weight, NULL, PUNA_NORM_RMS, net->hp.norm_eps);
}

static puna_value mamba_1(puna_network *net, puna_value h, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_ssm *l = &net->layers[il].ssm;
    const puna_state_hparams *s = &net->hp.state;
    const puna_ssm_params scan = { .n_head = s->n_inner, .n_group = 1, .n_state = s->n_state };
    puna_value in = puna_build_linear(net, h, l->in, l->in_scale, NULL);
    puna_value x = p_columns(g, in, 1, 0, s->n_inner), z = p_columns(g, in, 1, s->n_inner, s->n_inner);
    x = p_conv1d(g, x, l->conv, l->conv_bias, PUNA_ACT_SILU);
    puna_value y = p_linear(g, x, l->x, NULL);
    puna_value dt = inner_norm(net, p_columns(g, y, 1, 0, s->n_rank), l->dt_norm);
    puna_value b = inner_norm(net, p_columns(g, y, 1, s->n_rank, s->n_state), l->b_norm);
    puna_value c = inner_norm(net, p_columns(g, y, 1, s->n_rank + s->n_state, s->n_state), l->c_norm);
    dt = p_linear(g, dt, l->dt, l->dt_bias);
    y = p_ssm_scan(g, x, dt, p_join(g, b, c, 1), l->a, NULL, l->d, &scan);
    return p_glu(g, z, y, &(puna_glu_params){ .activation = PUNA_ACT_SILU });
}

static void mamba_1_keys(puna_hparams *hp, puna_keys *k)
{
    puna_state_hparams *s = &hp->state;
    puna_key_ssm(k, hp, false);
    s->n_in = 2 * s->n_inner;
    s->n_x = s->n_rank + 2 * s->n_state;
    s->n_channels = s->n_inner;
}

/* Layers that have nothing but a state. */
static void states_alone(puna_hparams *hp)
{
    for (int32_t i = 0; i < hp->n_layer; i++) {
        hp->layers[i].recurrent = true;
        hp->layers[i].attends = false;
        hp->layers[i].n_ff = 0;
    }
}

static void mamba_keys(puna_hparams *hp, puna_keys *k)
{
    mamba_1_keys(hp, k);
    hp->state.norm_bare = puna_key_flag(k, "ssm.dt_b_c_rms", false);
    states_alone(hp);
}

const puna_arch puna_arch_mamba = {
    .name = "mamba",
    .traits = PUNA_TRAIT_PARTS,
    .defaults = { .rms_eps = 1e-5f },
    .needs = MAMBA_BASE | MAMBA_1,
    .may = PUNA_SET(SSM_SCALE),
    .adjust = mamba_keys,
    .mixer = mamba_1,
    .tiny = TINY,
};

static void jamba_keys(puna_hparams *hp, puna_keys *k)
{
    mamba_1_keys(hp, k);
    puna_key_recurrent_heads(k, hp);
    puna_key_experts(
        k, hp,
        &(puna_expert_keys){ .gating = PUNA_GATING_SOFTMAX, .n_ff = hp->layers[0].n_ff, .n_shared = -1 });
    for (int32_t i = 0; i < hp->n_layer; i++) {
        hp->layers[i].no_rope = true;
        hp->layers[i].experts &= puna_key_tensor(k, i, "ffn_gate_inp.weight");
    }
}

const puna_arch puna_arch_jamba = {
    .name = "jamba",
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_EXPERTS | MAMBA_1 | PUNA_SET(SSM_INNER_NORMS),
    .may = PUNA_SET(SSM_SCALE),
    .adjust = jamba_keys,
    .mixer = mamba_1,
    .tiny = TINY,
};

/* ---- PLaMo 2 ---------------------------------------------------------------------------- */

/* Of Mamba, but with as few heads as Mamba-2 has; the parts of a head lie beside each other. */
static puna_value plamo2_mixer(puna_network *net, puna_value h, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_ssm *l = &net->layers[il].ssm;
    const puna_state_hparams *s = &net->hp.state;
    const int32_t n = s->n_inner / s->n_rank, n_dt = s->n_x - 2 * s->n_state;
    const puna_ssm_params scan = { .n_head = s->n_rank, .n_group = 1, .n_state = s->n_state };
    puna_value in = p_linear(g, h, l->in, NULL);
    puna_value z = p_columns(g, in, s->n_rank, 0, n);
    puna_value x = p_conv1d(g, p_columns(g, in, s->n_rank, n, n), l->conv, NULL, PUNA_ACT_SILU);
    puna_value y = p_linear(g, x, l->x, NULL);
    puna_value b = inner_norm(net, p_columns(g, y, 1, 0, s->n_state), l->b_norm);
    puna_value c = inner_norm(net, p_columns(g, y, 1, s->n_state, s->n_state), l->c_norm);
    puna_value dt = inner_norm(net, p_columns(g, y, 1, 2 * s->n_state, n_dt), l->dt_norm);
    dt = p_linear(g, dt, l->dt, l->dt_bias);
    y = p_ssm_scan(g, x, dt, p_join(g, b, c, 1), l->a, NULL, l->d, &scan);
    return p_glu(g, z, y, &(puna_glu_params){ .activation = PUNA_ACT_SILU });
}

static void plamo2_keys(puna_hparams *hp, puna_keys *k)
{
    puna_state_hparams *s = &hp->state;
    const int32_t n_group = puna_key_int(k, "ssm.group_count", 0, 0, 1 << 13);
    puna_key_ssm(k, hp, false);
    puna_key_recurrent_heads(k, hp);
    s->n_in = 2 * s->n_inner;
    s->n_x = (hp->n_embd / 16 > 64 ? hp->n_embd / 16 : 64) + 2 * s->n_state;
    s->n_channels = s->n_inner;
    if (n_group != 0)
        puna_key_mistake(k, "ssm.group_count", n_group, "0");
    if (s->n_inner % s->n_rank)
        puna_key_mistake(k, "ssm.time_step_rank", s->n_rank, "a divisor of ssm.inner_size");
    hp->attention_scale = hp->head_dim_v > 0 ? 1 / sqrtf((float)hp->head_dim_v) : 0;
}

static const puna_alias plamo2_names[] = {
    { "ssm_dt_norm", "ssm_dt_norm.weight" },     { "ssm_b_norm", "ssm_b_norm.weight" },
    { "ssm_c_norm", "ssm_c_norm.weight" },       { "post_attention_norm", "post_attention_norm.weight" },
    { "post_ffw_norm", "post_ffw_norm.weight" }, { NULL, NULL },
};

const puna_arch puna_arch_plamo2 = {
    .name = "plamo2",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_ATTENTION | PUNA_SETS_QK_NORM | PUNA_SETS_POST_NORMS | PUNA_SET(FFN_NORM) |
             PUNA_SET(GATE_UP) | PUNA_SET(DOWN) | PUNA_SET(SSM) | PUNA_SET(SSM_X) | PUNA_SET(SSM_INNER_NORMS),
    .never = PUNA_SET(QKV_SCALE) | PUNA_SET(QKV_FUSED_SCALE) | PUNA_SET(QKV_BIAS) | PUNA_SET(QKV_FUSED_BIAS),
    .aliases = plamo2_names,
    .adjust = plamo2_keys,
    .mixer = plamo2_mixer,
    .tiny = TINY,
};

/* ---- Mamba-2 ---------------------------------------------------------------------------- */

static puna_value mamba_2(puna_network *net, puna_value h, int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_ssm *l = &net->layers[il].ssm;
    const puna_state_hparams *s = &net->hp.state;
    const puna_ssm_params scan = { .n_head = s->n_rank, .n_group = s->n_group, .n_state = s->n_state };
    const puna_norm_params norm = { .kind = PUNA_NORM_RMS,
                                    .eps = net->hp.norm_eps,
                                    .group = s->n_inner / s->n_group };
    puna_value in = puna_build_linear(net, h, l->in, l->in_scale, NULL);
    puna_value z = p_columns(g, in, 1, 0, s->n_inner);
    puna_value dt = p_columns(g, in, 1, s->n_inner + s->n_channels, s->n_rank);
    puna_value xbc =
        p_conv1d(g, p_columns(g, in, 1, s->n_inner, s->n_channels), l->conv, l->conv_bias, PUNA_ACT_SILU);
    puna_value x = p_columns(g, xbc, 1, 0, s->n_inner),
               bc = p_columns(g, xbc, 1, s->n_inner, s->n_channels - s->n_inner);
    puna_value y = p_ssm_scan(g, x, dt, bc, l->a, l->dt_bias, l->d, &scan);
    y = p_glu(g, z, y, &(puna_glu_params){ .activation = PUNA_ACT_SILU });
    return l->norm ? p_norm_groups(g, y, l->norm, NULL, &norm) : y;
}

static void mamba_2_keys(puna_hparams *hp, puna_keys *k)
{
    puna_state_hparams *s = &hp->state;
    puna_key_ssm(k, hp, true);
    s->n_channels = s->n_inner + 2 * s->n_group * s->n_state;
    s->n_in = s->n_inner + s->n_channels + s->n_rank;
    if (s->n_inner % s->n_group)
        puna_key_mistake(k, "ssm.group_count", s->n_group, "a divisor of ssm.inner_size");
}

static void mamba2_keys(puna_hparams *hp, puna_keys *k)
{
    mamba_2_keys(hp, k);
    states_alone(hp);
}

const puna_arch puna_arch_mamba2 = {
    .name = "mamba2",
    .traits = PUNA_TRAIT_PARTS,
    .defaults = { .rms_eps = 1e-5f },
    .needs = MAMBA_BASE | MAMBA_2,
    .may = PUNA_SET(SSM_SCALE),
    .adjust = mamba2_keys,
    .mixer = mamba_2,
    .tiny = TINY,
};

/* Both mixers read the same rows and are added. */
static puna_value falcon_h1_mixer(puna_network *net, puna_value h, int32_t il)
{
    const puna_ssm *l = &net->layers[il].ssm;
    puna_value attention = puna_build_attention_out(net, h, il);
    return p_add(&net->plan, attention,
                 puna_build_linear(net, mamba_2(net, h, il), l->out, l->out_scale, NULL));
}

static void falcon_h1_keys(puna_hparams *hp, puna_keys *k)
{
    mamba_2_keys(hp, k);
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].recurrent = true;
}

static const puna_alias falcon_h1_names[] = { { "ffn_norm", "ffn_norm.weight" }, { NULL, NULL } };

const puna_arch puna_arch_falcon_h1 = {
    .name = "falcon-h1",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE | PUNA_SET(SSM) | PUNA_SET(SSM_CONV_BIAS),
    .may = PUNA_SETS_FFN_BIAS | PUNA_SET(SSM_NORM) | PUNA_SET(SSM_SCALE),
    .aliases = falcon_h1_names,
    .adjust = falcon_h1_keys,
    .mixer = falcon_h1_mixer,
    .tiny = TINY,
};

static void granitehybrid_keys(puna_hparams *hp, puna_keys *k)
{
    mamba_2_keys(hp, k);
    puna_key_recurrent_heads(k, hp);
    hp->embedding_scale = puna_key_real(k, "embedding_scale", 0);
    hp->residual_scale = puna_key_real(k, "residual_scale", 0);
    hp->attention_scale = puna_key_real(k, "attention.scale", 0);
    const float logits = puna_key_real(k, "logit_scale", 0);
    hp->logit_scale = logits != 0 ? 1 / logits : 0;
    puna_key_experts(
        k, hp,
        &(puna_expert_keys){
            .gating = PUNA_GATING_SOFTMAX, .normalise = true, .n_ff = hp->layers[0].n_ff, .n_shared = -1 });
    hp->n_ff_shared = puna_key_int(k, "expert_shared_feed_forward_length", 0, 0, 1 << 24);
    const bool rope = puna_key_flag(k, "rope.scaling.finetuned", true);
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].no_rope = !rope;
}

const puna_arch puna_arch_granitehybrid = {
    .name = "granitehybrid",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE | PUNA_SET(ROUTER) | PUNA_SET(EXPERT_UP) | PUNA_SET(EXPERT_DOWN) |
             PUNA_SETS_SHARED | MAMBA_2,
    .may = PUNA_SET(O_BIAS) | PUNA_SETS_FFN_BIAS | PUNA_SET(ROPE_FACTORS) | PUNA_SET(EXPERT_GATE) |
           PUNA_SET(SSM_SCALE),
    .adjust = granitehybrid_keys,
    .mixer = mamba_2,
    .tiny = TINY,
};

/* ---- Nemotron-H ------------------------------------------------------------------------- */

/* Experts may work on fewer columns than the rest of the layer. */
static puna_value nemotron_h_feed_forward(puna_network *net, puna_value h, puna_value x, puna_value y,
                                          int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const puna_experts_params p = { .n_used = net->hp.route.n_used,
                                    .glu = { .activation = PUNA_ACT_RELU_SQUARED } };
    (void)x, (void)y;
    if (!l->router)
        return puna_build_dense(net, h, il);
    puna_value route = p_moe_route(g, p_linear(g, h, l->router, NULL), l->choice_bias, &net->hp.route);
    puna_value e =
        p_moe_ffn(g, l->latent_down ? p_linear(g, h, l->latent_down, NULL) : h, route, &l->experts, &p);
    if (l->latent_up)
        e = p_linear(g, e, l->latent_up, NULL);
    return l->shared_up ? p_add(g, e, puna_build_shared(net, h, il)) : e;
}

/* A file may say a number for each layer, but layers with experts must have the same. */
static void same_in_layers(puna_hparams *hp, puna_keys *k, const char *suffix, int32_t value)
{
    char key[256];
    double said;
    snprintf(key, sizeof key, "%s.%s", k->arch, suffix);
    const puna_meta *meta = puna_container_meta(k->container, key);
    for (int32_t i = 0; meta && meta->type == PUNA_META_ARRAY && i < hp->n_layer; i++)
        if (hp->layers[i].experts && puna_meta_f64(meta, (uint64_t)i, &said) && said != value)
            puna_key_mistake(k, suffix, (int32_t)fmin(fmax(said, INT32_MIN), INT32_MAX),
                             "the same number for all layers");
}

/* Every layer has one of the three: a state, attention, or a feed-forward part. */
static void nemotron_h_keys(puna_hparams *hp, puna_keys *k)
{
    int32_t n_ff = 0;
    mamba_2_keys(hp, k);
    if (!(hp->rms_eps > 0))
        hp->rms_eps = hp->layer_eps;
    for (int32_t i = 0; i < hp->n_layer; i++) {
        puna_layer_hparams *l = &hp->layers[i];
        l->recurrent = l->n_head_kv == 0 && l->n_ff == 0;
        l->attends = !l->recurrent && l->n_ff == 0;
        l->no_rope = true;
        n_ff = n_ff > 0 ? n_ff : l->n_ff;
    }
    puna_key_experts(k, hp,
                     &(puna_expert_keys){ .gating_key = true, .gating = PUNA_GATING_SIGMOID,
                                          .scaled = true,
                                          .norm_key = true,
                                          .own_ff = true,
                                          .n_ff = n_ff / (hp->route.n_used > 0 ? hp->route.n_used : 1),
                                          .n_shared = -1 });
    hp->route.gating = PUNA_GATING_SIGMOID;
    hp->n_ff_shared = puna_key_int(k, "expert_shared_feed_forward_length", 0, 0, 1 << 24);
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].experts &= hp->layers[i].n_ff > 0;
    same_in_layers(hp, k, "expert_used_count", hp->route.n_used);
    same_in_layers(hp, k, "expert_feed_forward_length", hp->n_ff_expert);
}

/* The only norm of a layer stands before its only branch. */
static const puna_alias nemotron_h_names[] = { { "attn_norm.weight", "ffn_norm.weight" }, { NULL, NULL } };

#define NEMOTRON_H_NEEDS                                                                       \
    (PUNA_SETS_ATTENTION | PUNA_SET(FFN_NORM) | PUNA_SETS_PLAIN | MAMBA_2 | PUNA_SET(ROUTER) | \
     PUNA_SET(EXPERT_PLAIN) | PUNA_SET(CHOICE_BIAS) | PUNA_SET(SHARED_UP) | PUNA_SET(SHARED_DOWN))
#define NEMOTRON_H_MAY                                                                  \
    (PUNA_SET(O_BIAS) | PUNA_SET(UP_BIAS) | PUNA_SET(DOWN_BIAS) | PUNA_SET(SSM_SCALE) | \
     PUNA_SET(FFN_SCALE) | PUNA_SET(EXPERT_SCALE) | PUNA_SET(SHARED_SCALE) | PUNA_SET(EXPERT_LATENT))

const puna_arch puna_arch_nemotron_h = {
    .name = "nemotron_h",
    .activation = PUNA_ACT_RELU_SQUARED,
    .traits = PUNA_TRAIT_PARTS,
    .needs = NEMOTRON_H_NEEDS,
    .may = NEMOTRON_H_MAY,
    .aliases = nemotron_h_names,
    .adjust = nemotron_h_keys,
    .mixer = mamba_2,
    .feed_forward = nemotron_h_feed_forward,
    .tiny = TINY,
};

const puna_arch puna_arch_nemotron_h_moe = {
    .name = "nemotron_h_moe",
    .activation = PUNA_ACT_RELU_SQUARED,
    .traits = PUNA_TRAIT_PARTS,
    .needs = NEMOTRON_H_NEEDS,
    .may = NEMOTRON_H_MAY,
    .aliases = nemotron_h_names,
    .adjust = nemotron_h_keys,
    .mixer = mamba_2,
    .feed_forward = nemotron_h_feed_forward,
    .tiny = TINY,
};
