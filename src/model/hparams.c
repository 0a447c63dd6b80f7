/* hparams.c - metadata keys to numbers. */
#include "model/hparams.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"

/* ---- single keys ------------------------------------------------------------------------ */

/* "<arch>.<suffix>", or NULL when the file has none. */
static const puna_meta *look_up(const puna_keys *k, const char *suffix, char key[256])
{
    snprintf(key, 256, "%s.%s", k->arch, suffix);
    return puna_container_meta(k->container, key);
}

/* What an architecture's file says of it. */
static bool given(const puna_keys *k, const char *suffix, double *value)
{
    const puna_toml *v = puna_toml_get(k->numbers, suffix);
    if (v && v->kind == PUNA_TOML_INTEGER)
        *value = (double)v->integer;
    else if (v && v->kind == PUNA_TOML_REAL && isfinite(v->real))
        *value = v->real;
    else if (v && v->kind == PUNA_TOML_FLAG)
        *value = v->flag;
    else
        return false;
    return true;
}

bool puna_key_has(const puna_keys *k, const char *suffix)
{
    char key[256];
    double value;
    return given(k, suffix, &value) || look_up(k, suffix, key) != NULL;
}

void puna_key_need(puna_keys *k, const char *suffix)
{
    char key[256];
    if (!puna_key_has(k, suffix) && look_up(k, suffix, key) == NULL && !k->status)
        k->status = puna_fail(&k->error, PUNA_ERR_FORMAT, "metadata %s: got none, expected a number", key);
}

/* False when there is none or something is wrong. Of an array, the first: some writers make one of every number. */
static bool number(puna_keys *k, const char *suffix, double *value)
{
    char key[256];
    const puna_meta *meta = look_up(k, suffix, key);
    if (given(k, suffix, value))
        return true;
    if (!meta || k->status)
        return false;
    if (puna_meta_f64(meta, 0, value) && isfinite(*value))
        return true;
    k->status = puna_fail(&k->error, PUNA_ERR_FORMAT, "metadata %s: expected a number", key);
    return false;
}

int32_t puna_key_int(puna_keys *k, const char *suffix, int32_t absent, int32_t least, int32_t most)
{
    double value;
    if (!number(k, suffix, &value))
        return absent;
    if (value >= least && value <= most && value == floor(value))
        return (int32_t)value;
    k->status =
        puna_fail(&k->error, PUNA_ERR_FORMAT, "metadata %s.%s: got %.9g, expected an integer in %d..%d",
                  k->arch, suffix, value, (int)least, (int)most);
    return absent;
}

float puna_key_real(puna_keys *k, const char *suffix, float absent)
{
    double value;
    if (!number(k, suffix, &value))
        return absent;
    if (fabs(value) <= 1e12)
        return (float)value;
    k->status =
        puna_fail(&k->error, PUNA_ERR_FORMAT, "metadata %s.%s: got %.9g, expected a number in -1e12..1e12",
                  k->arch, suffix, value);
    return absent;
}

bool puna_key_flag(puna_keys *k, const char *suffix, bool absent)
{
    char key[256];
    double value;
    bool flag;
    if (given(k, suffix, &value))
        return value != 0;
    if (!k->status && puna_meta_bool(look_up(k, suffix, key), 0, &flag))
        return flag;
    return number(k, suffix, &value) ? value != 0 : absent;
}

bool puna_key_text_is(const puna_keys *k, const char *suffix, const char *want)
{
    char key[256];
    const char *text;
    size_t n;
    return puna_meta_text(look_up(k, suffix, key), &text, &n) && n == strlen(want) &&
           memcmp(text, want, n) == 0;
}

/* ---- keys of layers --------------------------------------------------------------------- */

/* Flags are 0 and 1. */
static bool number_at(const puna_meta *meta, uint64_t i, double *value)
{
    bool flag;
    if (!puna_meta_bool(meta, i, &flag))
        return puna_meta_f64(meta, i, value) && isfinite(*value);
    *value = flag;
    return true;
}

/* Value i of a key that holds one number or an array. */
static bool layer_value(puna_keys *k, const char *suffix, int32_t i, int32_t n_layer, double *value)
{
    char key[256];
    const puna_meta *meta = look_up(k, suffix, key);
    if (given(k, suffix, value))
        return true;
    if (!meta || k->status)
        return false;
    const bool array = meta->type == PUNA_META_ARRAY;
    if (array && meta->n < (uint64_t)n_layer)
        k->status = puna_fail(&k->error, PUNA_ERR_FORMAT, "metadata %s: got %llu values, expected %d", key,
                              (unsigned long long)meta->n, (int)n_layer);
    else if (!number_at(meta, array ? (uint64_t)i : 0, value))
        k->status = puna_fail(&k->error, PUNA_ERR_FORMAT, "metadata %s: expected numbers", key);
    return !k->status;
}

bool puna_key_ints(puna_keys *k, const char *suffix, int32_t *values, int32_t n, int32_t most)
{
    double value;
    puna_key_need(k, suffix);
    for (int32_t i = 0; i < n; i++) {
        if (!layer_value(k, suffix, i, n, &value))
            return false;
        if (!(value >= 0 && value <= most && value == floor(value))) {
            k->status =
                puna_fail(&k->error, PUNA_ERR_FORMAT, "metadata %s.%s: got %.9g, expected integers in 0..%d",
                          k->arch, suffix, value, (int)most);
            return false;
        }
        values[i] = (int32_t)value;
    }
    return true;
}

bool puna_key_u64s(puna_keys *k, const char *suffix, uint64_t *values, int32_t n)
{
    char key[256];
    const puna_meta *meta = look_up(k, suffix, key);
    puna_key_need(k, suffix);
    for (int32_t i = 0; i < n && !k->status; i++)
        if (!meta || meta->type != PUNA_META_ARRAY || !puna_meta_u64(meta, (uint64_t)i, &values[i]))
            k->status = puna_fail(&k->error, PUNA_ERR_FORMAT,
                                  "metadata %s: expected %d integers that are not below 0", key, (int)n);
    return !k->status;
}

uint64_t puna_key_count(const puna_keys *k, const char *suffix)
{
    char key[256];
    const puna_meta *meta = look_up(k, suffix, key);
    if (!meta)
        return 0;
    return meta->type == PUNA_META_ARRAY ? meta->n : 1;
}

void puna_key_layers_int(puna_keys *k, puna_hparams *hp, const char *suffix, size_t offset, int32_t least,
                         int32_t most)
{
    double value;
    for (int32_t i = 0; i < hp->n_layer && layer_value(k, suffix, i, hp->n_layer, &value); i++) {
        if (value >= least && value <= most && value == floor(value))
            *(int32_t *)(void *)((char *)&hp->layers[i] + offset) = (int32_t)value;
        else
            k->status =
                puna_fail(&k->error, PUNA_ERR_FORMAT, "metadata %s.%s: got %.9g, expected integers in %d..%d",
                          k->arch, suffix, value, (int)least, (int)most);
    }
}

void puna_key_layers_real(puna_keys *k, puna_hparams *hp, const char *suffix, size_t offset)
{
    double value;
    for (int32_t i = 0; i < hp->n_layer && layer_value(k, suffix, i, hp->n_layer, &value); i++)
        *(float *)(void *)((char *)&hp->layers[i] + offset) = (float)value;
}

void puna_key_window(puna_keys *k, puna_hparams *hp, int32_t window, int32_t period, bool first_full)
{
    char key[256];
    const char *const name = "attention.sliding_window_pattern";
    const puna_meta *pattern = look_up(k, name, key);
    const bool flags = pattern && pattern->type == PUNA_META_ARRAY;
    hp->window = puna_key_int(k, "attention.sliding_window", window, 0, PUNA_MAX_CONTEXT);
    if (pattern && !flags)
        period = puna_key_int(k, name, period, 0, PUNA_MAX_LAYERS);
    for (int32_t i = 0; i < hp->n_layer; i++) {
        const int32_t at = period > 0 ? i % period : 0;
        double flag = period == 0 || (first_full ? at != 0 : at < period - 1);
        if (flags && !layer_value(k, name, i, hp->n_layer, &flag))
            return;
        hp->layers[i].window = flag != 0 ? hp->window : 0;
    }
}

static void read_heads(puna_keys *k, puna_hparams *hp)
{
    puna_key_need(k, "attention.head_count");
    puna_key_layers_int(k, hp, "attention.head_count", offsetof(puna_layer_hparams, n_head), 0, 1 << 13);
    for (int32_t i = 0; i < hp->n_layer; i++) {
        hp->layers[i].n_head_kv = hp->layers[i].n_head;
        hp->layers[i].attends = true;
    }
    puna_key_layers_int(k, hp, "attention.head_count_kv", offsetof(puna_layer_hparams, n_head_kv), 0,
                        1 << 13);
    puna_key_layers_int(k, hp, "feed_forward_length", offsetof(puna_layer_hparams, n_ff), 0, 1 << 24);
    for (int32_t i = 0; i < hp->n_layer && !k->status; i++) {
        const puna_layer_hparams *l = &hp->layers[i];
        if (l->n_head_kv && l->n_head % l->n_head_kv)
            k->status =
                puna_fail(&k->error, PUNA_ERR_FORMAT,
                          "metadata %s.attention.head_count: got %d, expected a multiple of head_count_kv %d",
                          k->arch, (int)l->n_head, (int)l->n_head_kv);
    }
}

/* ---- positions -------------------------------------------------------------------------- */

/* YaRN multiplies cosines and sines by 0.1 ln(factor) + 1; with a multiplier, by the ratio of two such numbers. */
static float yarn_magnitude(float factor, float multiplier)
{
    return factor > 1 ? 0.1f * multiplier * logf(factor) + 1 : 1;
}

void puna_key_yarn(puna_keys *k, puna_hparams *hp, float beta_fast, float beta_slow, float log_multiplier)
{
    puna_rope_params *r = &hp->rope;
    const float factor = r->scale > 0 ? 1 / r->scale : 1;
    r->yarn_beta_fast = puna_key_real(k, "rope.scaling.yarn_beta_fast", beta_fast);
    r->yarn_beta_slow = puna_key_real(k, "rope.scaling.yarn_beta_slow", beta_slow);
    log_multiplier = puna_key_real(k, "rope.scaling.yarn_log_multiplier", log_multiplier);
    if (r->yarn_ext != 0 && log_multiplier != 0)
        r->magnitude /= yarn_magnitude(factor, log_multiplier);
}

/* Position scaling: none, linear, YaRN, and factors for long contexts. */
static void read_rope_scaling(puna_keys *k, puna_hparams *hp)
{
    puna_rope_params *r = &hp->rope;
    const bool yarn = puna_key_text_is(k, "rope.scaling.type", "yarn");
    float factor = puna_key_real(k, "rope.scale_linear", 0);
    factor = puna_key_real(k, "rope.scaling.factor", factor);
    r->scale = factor > 0 && !puna_key_text_is(k, "rope.scaling.type", "none") ? 1 / factor : 1;
    r->magnitude = 1;
    r->n_ctx_orig =
        puna_key_int(k, "rope.scaling.original_context_length", hp->n_ctx_train, 0, PUNA_MAX_CONTEXT);
    if (r->n_ctx_orig < 1)
        r->n_ctx_orig = hp->n_ctx_train;
    hp->long_factors = (k->n_ctx > 0 ? k->n_ctx : hp->n_ctx_train) > r->n_ctx_orig;
    char key[256];
    if (look_up(k, "rope.scaling.type", key) && !yarn && !puna_key_text_is(k, "rope.scaling.type", "none") &&
        !puna_key_text_is(k, "rope.scaling.type", "linear") &&
        !puna_key_text_is(k, "rope.scaling.type", "longrope") && !k->status)
        k->status = puna_fail(&k->error, PUNA_ERR_FORMAT,
                              "metadata %s: this kind of position scaling is not supported", key);
    if (yarn) {
        r->yarn_ext = 1;
        r->yarn_beta_fast = 32;
        r->yarn_beta_slow = 1;
        r->magnitude = yarn_magnitude(factor, 1);
    }
    r->magnitude *= puna_key_real(k, "rope.scaling.attn_factor", 1);
    hp->rope_window = *r;
}

bool puna_key_sections(puna_keys *k, puna_hparams *hp)
{
    char key[256];
    double sum = 0, n[4] = { 0 };
    const puna_meta *meta = look_up(k, "rope.dimension_sections", key);
    for (uint64_t i = 0; meta && meta->type == PUNA_META_ARRAY && i < 4 && i < meta->n; i++) {
        if (!puna_meta_f64(meta, i, &n[i]) || !(n[i] >= 0 && n[i] <= 1 << 13)) {
            if (!k->status)
                k->status =
                    puna_fail(&k->error, PUNA_ERR_FORMAT, "metadata %s: expected numbers in 0..8192", key);
            return false;
        }
        sum += n[i];
    }
    if (n[0] <= 0 || n[1] <= 0)
        return false;
    hp->rope.still_period = (int32_t)sum;
    hp->rope.still_from = (int32_t)(sum - n[3]);
    hp->rope_window = hp->rope;
    return true;
}

/* ---- states ----------------------------------------------------------------------------- */

void puna_key_ssm(puna_keys *k, puna_hparams *hp, bool groups)
{
    static const char *const needed[] = { "ssm.conv_kernel", "ssm.inner_size", "ssm.state_size",
                                          "ssm.time_step_rank" };
    puna_state_hparams *s = &hp->state;
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        puna_key_need(k, needed[i]);
    s->n_taps = puna_key_int(k, needed[0], 2, 2, 1 << 10);
    s->n_inner = puna_key_int(k, needed[1], 1, 1, 1 << 20);
    s->n_state = puna_key_int(k, needed[2], 1, 1, 1 << 13);
    s->n_rank = puna_key_int(k, needed[3], 1, 1, 1 << 20);
    s->n_group = 1;
    if (!groups)
        return;
    puna_key_need(k, "ssm.group_count");
    s->n_group = puna_key_int(k, "ssm.group_count", 1, 1, 1 << 13);
    if (s->n_inner % s->n_rank || s->n_rank % s->n_group)
        puna_key_mistake(k, "ssm.time_step_rank", s->n_rank,
                         "a divisor of ssm.inner_size and a multiple of ssm.group_count");
}

void puna_key_recurrent_heads(puna_keys *k, puna_hparams *hp)
{
    (void)k;
    for (int32_t i = 0; i < hp->n_layer; i++) {
        hp->layers[i].recurrent = hp->layers[i].n_head_kv == 0;
        hp->layers[i].attends = !hp->layers[i].recurrent;
    }
}

void puna_key_recurrent_layers(puna_keys *k, puna_hparams *hp, int32_t period)
{
    const char *const name = "attention.recurrent_layers";
    period = puna_key_int(k, "full_attention_interval", period, 1, PUNA_MAX_LAYERS);
    const bool said = puna_key_has(k, name);
    for (int32_t i = 0; i < hp->n_layer; i++) {
        double flag = (i + 1) % period != 0;
        if (said && !layer_value(k, name, i, hp->n_layer, &flag))
            return;
        hp->layers[i].recurrent = flag != 0;
        hp->layers[i].attends = flag == 0;
    }
}

/* ---- experts ---------------------------------------------------------------------------- */

void puna_key_experts(puna_keys *k, puna_hparams *hp, const puna_expert_keys *absent)
{
    puna_route_params *r = &hp->route;
    if (hp->n_expert == 0)
        return;
    const int32_t n_ff = hp->layers[0].n_ff, most = 1 << 24;
    hp->n_ff_expert =
        absent->own_ff ? puna_key_int(k, "expert_feed_forward_length", 0, 0, most) : absent->n_ff;
    if (hp->n_ff_expert == 0)
        hp->n_ff_expert = absent->n_ff ? absent->n_ff : n_ff / (r->n_used > 0 ? r->n_used : 1);
    if (absent->n_shared >= 0) {
        const int32_t n = puna_key_int(k, "expert_shared_count", absent->n_shared, 0, 1 << 10);
        hp->n_ff_shared = hp->n_ff_expert <= most / (n > 0 ? n : 1) ? hp->n_ff_expert * n : most;
    }
    r->gating = absent->gating_key
                    ? (puna_gating)puna_key_int(k, "expert_gating_func", 0, 0, PUNA_GATING_SQRT_SOFTPLUS)
                    : absent->gating;
    if (r->gating == 0)
        r->gating = absent->gating;
    r->normalise =
        absent->norm_key ? puna_key_flag(k, "expert_weights_norm", absent->normalise) : absent->normalise;
    r->scale = absent->scaled ? puna_key_real(k, "expert_weights_scale", 1) : 1;
    r->scale = r->scale == 0 ? 1 : r->scale;
    const int32_t lead =
        absent->leading ? puna_key_int(k, "leading_dense_block_count", 0, 0, PUNA_MAX_LAYERS) : 0;
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].experts = i >= lead;
    if (r->gating == 0 && !k->status)
        k->status = puna_fail(&k->error, PUNA_ERR_FORMAT,
                              "metadata %s.expert_gating_func: got none, expected 1..4", k->arch);
}

void puna_key_shared(puna_keys *k, puna_hparams *hp, int32_t absent)
{
    hp->n_ff_shared = puna_key_int(k, "expert_shared_feed_forward_length", 0, 0, 1 << 24);
    if (hp->n_ff_shared == 0)
        hp->n_ff_shared = absent;
}

static void read_experts(puna_keys *k, puna_hparams *hp)
{
    puna_route_params *r = &hp->route;
    hp->n_expert = puna_key_int(k, "expert_count", 0, 0, 1 << 16);
    r->n_used = puna_key_int(k, "expert_used_count", 0, 0, 1 << 16);
    r->n_group = puna_key_int(k, "expert_group_count", 0, 0, 1 << 16);
    r->n_group_used = puna_key_int(k, "expert_group_used_count", 0, 0, 1 << 16);
    r->scale = 1;
    if (hp->n_expert > 0 && (r->n_used < 1 || r->n_used > hp->n_expert) && !k->status)
        k->status =
            puna_fail(&k->error, PUNA_ERR_FORMAT, "metadata %s.expert_used_count: got %d, expected 1..%d",
                      k->arch, (int)r->n_used, (int)hp->n_expert);
}

/* ---- vectors ---------------------------------------------------------------------------- */

/* What the file names by its number; `absent` for none, and for the largest number, which some files have in its place. */
static puna_pooling pooling_of(puna_keys *k, const char *suffix, puna_pooling absent)
{
    double value;
    if (!number(k, suffix, &value) || value == UINT32_MAX)
        return absent;
    const puna_pooling pooling =
        (puna_pooling)(puna_key_int(k, suffix, 0, 0, PUNA_POOLING_RANK - 1) + PUNA_POOLING_NONE);
    return absent == PUNA_POOLING_OFF && pooling == PUNA_POOLING_NONE ? PUNA_POOLING_OFF : pooling;
}

/* A decoder gives vectors when its file says how to pool them. */
static void read_pooling(puna_keys *k, puna_hparams *hp)
{
    const bool encoder = hp->pooling != PUNA_POOLING_OFF;
    if (!puna_key_flag(k, "attention.causal", true))
        hp->mask = PUNA_MASK_ALL;
    hp->pooling = k->pooling == PUNA_POOLING_AUTO ? pooling_of(k, "pooling_type", hp->pooling) : k->pooling;
    if (encoder && hp->pooling == PUNA_POOLING_OFF && !k->status)
        k->status = puna_fail(&k->error, PUNA_ERR_ARGUMENT,
                              "pooling: got off, expected another: models of architecture %s give "
                              "vectors, not logits",
                              k->arch);
    hp->rank_activation = PUNA_ACT_TANH;
    hp->rank = hp->pooling == PUNA_POOLING_RANK;
    if (hp->rank)
        hp->pooling = pooling_of(k, "classifier.pooling_type",
                                 hp->mask == PUNA_MASK_ALL ? PUNA_POOLING_CLS : PUNA_POOLING_LAST);
    if (hp->rank && (hp->pooling == PUNA_POOLING_RANK || hp->pooling == PUNA_POOLING_NONE))
        hp->pooling = PUNA_POOLING_CLS;
}

/* ---- all -------------------------------------------------------------------------------- */

void puna_key_mistake(puna_keys *k, const char *suffix, int32_t got, const char *expected)
{
    if (!k->status)
        k->status = puna_fail(&k->error, PUNA_ERR_FORMAT, "metadata %s.%s: got %d, expected %s", k->arch,
                              suffix, (int)got, expected);
}

/* Sizes of heads; layers without attention have none. */
static void read_head_sizes(puna_keys *k, puna_hparams *hp)
{
    int32_t n_head = 0;
    for (int32_t i = 0; i < hp->n_layer && n_head == 0; i++)
        n_head = hp->layers[i].n_head;
    const int32_t least = n_head > 0 ? 1 : 0, own = n_head > 0 ? hp->n_embd / n_head : 0;
    hp->head_dim_k =
        puna_key_int(k, "attention.key_length", hp->head_dim_k ? hp->head_dim_k : own, 0, 1 << 13);
    hp->head_dim_v =
        puna_key_int(k, "attention.value_length", hp->head_dim_v ? hp->head_dim_v : own, 0, 1 << 13);
    if (hp->head_dim_k < least || hp->head_dim_v < least)
        puna_key_mistake(k, "attention.head_count", n_head, "heads that the embedding is wide enough for");
    hp->n_rot = puna_key_int(k, "rope.dimension_count", hp->n_rot, 0, 1 << 13);
    if (hp->n_rot == 0)
        hp->n_rot = hp->head_dim_k;
    hp->n_rot_window = puna_key_int(k, "rope.dimension_count_swa", hp->n_rot, 0, 1 << 13);
    hp->head_dim_k_window = puna_key_int(k, "attention.key_length_swa", 0, 0, 1 << 13);
    hp->head_dim_v_window = puna_key_int(k, "attention.value_length_swa", 0, 0, 1 << 13);
}

void puna_hparams_read(puna_hparams *hp, puna_keys *k, puna_arena *arena)
{
    static const char *const needed[] = { "block_count", "embedding_length", "context_length" };
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        puna_key_need(k, needed[i]);
    const int32_t n_all = puna_key_int(k, "block_count", 1, 1, PUNA_MAX_LAYERS);
    hp->n_predict = puna_key_int(k, "nextn_predict_layers", 0, 0, n_all - 1);
    hp->n_layer = n_all - hp->n_predict;
    k->arena = arena;
    hp->n_embd = puna_key_int(k, "embedding_length", 1, 1, 1 << 20);
    hp->n_ctx_train = puna_key_int(k, "context_length", 1, 1, PUNA_MAX_CONTEXT);
    hp->layers = k->status ? NULL : puna_arena_array(arena, (size_t)hp->n_layer, sizeof *hp->layers);
    if (!hp->layers) {
        if (!k->status)
            k->status = puna_fail_memory(&k->error, "layers", (size_t)hp->n_layer * sizeof *hp->layers);
        return;
    }
    read_heads(k, hp);
    read_head_sizes(k, hp);
    read_experts(k, hp);
    hp->rms_eps = puna_key_real(k, "attention.layer_norm_rms_epsilon", hp->rms_eps);
    hp->layer_eps = puna_key_real(k, "attention.layer_norm_epsilon", hp->layer_eps);
    hp->rope_base = puna_key_real(k, "rope.freq_base", hp->rope_base > 0 ? hp->rope_base : 10000);
    hp->rope_base_window = hp->rope_base;
    read_rope_scaling(k, hp);
    read_pooling(k, hp);
    if (!(hp->rope_base > 0))
        puna_key_mistake(k, "rope.freq_base", 0, "more than 0");
}
