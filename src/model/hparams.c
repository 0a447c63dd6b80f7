/* hparams.c - metadata keys to numbers. */
#include "model/hparams.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"

typedef enum key_kind { INTEGER, REAL } key_kind;

typedef struct key_row {
    const char *suffix;
    key_kind kind;
    size_t offset;
    bool required;
    double least, most;
} key_row;

#define AT(field) offsetof(puna_hparams, field)

/* Bounds keep every later product of two of them within int32. */
static const key_row keys[] = {
    { "block_count", INTEGER, AT(n_layer), true, 1, PUNA_MAX_LAYERS },
    { "embedding_length", INTEGER, AT(n_embd), true, 1, 1 << 20 },
    { "context_length", INTEGER, AT(n_ctx_train), true, 1, PUNA_MAX_CONTEXT },
    { "attention.key_length", INTEGER, AT(head_dim_k), false, 1, 1 << 13 },
    { "attention.value_length", INTEGER, AT(head_dim_v), false, 1, 1 << 13 },
    { "attention.layer_norm_rms_epsilon", REAL, AT(norm_eps), false, 0, 1 },
    { "rope.dimension_count", INTEGER, AT(n_rot), false, 2, 1 << 13 },
    { "rope.freq_base", REAL, AT(rope_base), false, 1, 1e12 },
    { "rope.freq_base_swa", REAL, AT(rope_base_window), false, 1, 1e12 },
    { "attention.sliding_window", INTEGER, AT(window), false, 0, PUNA_MAX_CONTEXT },
    { "attention.scale", REAL, AT(attention_scale), false, 0, 1e6 },
    { "attn_logit_softcapping", REAL, AT(attention_softcap), false, 0, 1e6 },
    { "final_logit_softcapping", REAL, AT(logit_softcap), false, 0, 1e6 },
    { "expert_count", INTEGER, AT(n_expert), false, 0, 1 << 16 },
};

/* "<arch>.<suffix>", or NULL when the file has none. */
static const puna_meta *look_up(const puna_container *c, const char *arch, const char *suffix, char key[256])
{
    snprintf(key, 256, "%s.%s", arch, suffix);
    return puna_container_meta(c, key);
}

static puna_status read_key(puna_hparams *hp, const puna_container *c, const char *arch, const key_row *row,
                            puna_error *err)
{
    char key[256];
    const puna_meta *meta = look_up(c, arch, row->suffix, key);
    if (!meta && row->required)
        return puna_fail(err, PUNA_ERR_FORMAT, "metadata %s: got none, expected a number", key);
    if (!meta)
        return PUNA_OK;
    double value;
    if (!puna_meta_f64(meta, 0, &value) || meta->type == PUNA_META_ARRAY)
        return puna_fail(err, PUNA_ERR_FORMAT, "metadata %s: expected a number", key);
    if (!(value >= row->least && value <= row->most) || (row->kind == INTEGER && value != floor(value)))
        return puna_fail(err, PUNA_ERR_FORMAT, "metadata %s: got %.9g, expected %s in %.9g..%.9g", key, value,
                         row->kind == INTEGER ? "an integer" : "a number", row->least, row->most);
    if (row->kind == INTEGER)
        *(int32_t *)(void *)((char *)hp + row->offset) = (int32_t)value;
    else
        *(float *)(void *)((char *)hp + row->offset) = (float)value;
    return PUNA_OK;
}

/* A key that holds one number for all layers or an array with one for each. */
static puna_status read_per_layer(puna_hparams *hp, const puna_container *c, const char *arch, const char *suffix,
                                  size_t offset, bool required, int64_t least, int64_t most, puna_error *err)
{
    char key[256];
    const puna_meta *meta = look_up(c, arch, suffix, key);
    if (!meta && !required)
        return PUNA_OK;
    if (!meta)
        return puna_fail(err, PUNA_ERR_FORMAT, "metadata %s: got none, expected a number", key);
    bool array = meta->type == PUNA_META_ARRAY;
    if (array && meta->n < (uint64_t)hp->n_layer)
        return puna_fail(err, PUNA_ERR_FORMAT, "metadata %s: got %llu values, expected %d", key,
                         (unsigned long long)meta->n, (int)hp->n_layer);
    for (int32_t i = 0; i < hp->n_layer; i++) {
        int64_t value;
        if (!puna_meta_i64(meta, array ? (uint64_t)i : 0, &value))
            return puna_fail(err, PUNA_ERR_FORMAT, "metadata %s: expected integers", key);
        if (value < least || value > most)
            return puna_fail(err, PUNA_ERR_FORMAT, "metadata %s: got %lld, expected %lld..%lld", key,
                             (long long)value, (long long)least, (long long)most);
        *(int32_t *)(void *)((char *)&hp->layers[i] + offset) = (int32_t)value;
    }
    return PUNA_OK;
}

static puna_status read_layers(puna_hparams *hp, const puna_container *c, const char *arch, puna_error *err)
{
    TRY(read_per_layer(hp, c, arch, "attention.head_count", offsetof(puna_layer_hparams, n_head), true, 1, 1 << 13, err));
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].n_head_kv = hp->layers[i].n_head;
    TRY(read_per_layer(hp, c, arch, "attention.head_count_kv", offsetof(puna_layer_hparams, n_head_kv), false, 1, 1 << 13, err));
    TRY(read_per_layer(hp, c, arch, "feed_forward_length", offsetof(puna_layer_hparams, n_ff), true, 1, 1 << 24, err));
    for (int32_t i = 0; i < hp->n_layer; i++) {
        const puna_layer_hparams *l = &hp->layers[i];
        if (l->n_head % l->n_head_kv)
            return puna_fail(err, PUNA_ERR_FORMAT, "metadata %s.attention.head_count: got %d, expected a multiple of head_count_kv %d",
                             arch, (int)l->n_head, (int)l->n_head_kv);
    }
    return PUNA_OK;
}

/* An array of booleans per layer, or a period. */
static void read_window_pattern(puna_hparams *hp, const puna_container *c, const char *arch)
{
    char key[256];
    int64_t period = hp->window_pattern;
    const puna_meta *meta = look_up(c, arch, "attention.sliding_window_pattern", key);
    if (meta && meta->type != PUNA_META_ARRAY && puna_meta_i64(meta, 0, &period) && (period < 0 || period > hp->n_layer))
        period = hp->n_layer + 1;
    for (int32_t i = 0; i < hp->n_layer; i++) {
        int64_t flag = period > 0 && i % period < period - 1;
        if (meta && meta->type == PUNA_META_ARRAY)
            puna_meta_i64(meta, (uint64_t)i, &flag);
        hp->layers[i].window = flag ? hp->window : 0;
    }
}

static bool text_is(const puna_meta *meta, const char *want)
{
    const char *text;
    size_t n;
    return puna_meta_text(meta, &text, &n) && n == strlen(want) && memcmp(text, want, n) == 0;
}

static double number(const puna_container *c, const char *arch, const char *suffix, double absent)
{
    char key[256];
    double value;
    return puna_meta_f64(look_up(c, arch, suffix, key), 0, &value) && isfinite(value) ? value : absent;
}

/* Position scaling: none, linear, YaRN. Others are refused where they would change results. */
static puna_status read_rope_scaling(puna_hparams *hp, const puna_container *c, const char *arch, puna_error *err)
{
    char key[256];
    const puna_meta *type = look_up(c, arch, "rope.scaling.type", key);
    double factor = number(c, arch, "rope.scaling.factor", number(c, arch, "rope.scale_linear", 0));
    puna_rope_params *r = &hp->rope;
    bool yarn = text_is(type, "yarn");
    r->scale = factor > 0 ? (float)(1 / factor) : 1;
    r->magnitude = 1;
    if (text_is(type, "none"))
        r->scale = 1;
    else if (type && !yarn && !text_is(type, "linear"))
        return puna_fail(err, PUNA_ERR_FORMAT, "metadata %s: this kind of position scaling is not supported", key);
    if (yarn) {
        double original = number(c, arch, "rope.scaling.original_context_length", hp->n_ctx_train);
        r->n_ctx_orig = original >= 1 && original <= PUNA_MAX_CONTEXT ? (int32_t)original : hp->n_ctx_train;
        r->yarn_ext = 1;
        r->yarn_beta_fast = (float)number(c, arch, "rope.scaling.yarn_beta_fast", 32);
        r->yarn_beta_slow = (float)number(c, arch, "rope.scaling.yarn_beta_slow", 1);
        r->magnitude = factor > 1 ? (float)(0.1 * log(factor) + 1) : 1;
    }
    r->magnitude *= (float)number(c, arch, "rope.scaling.attn_factor", 1);
    return PUNA_OK;
}

puna_status puna_hparams_read(puna_hparams *hp, const puna_container *container, const char *arch,
                              puna_arena *arena, puna_error *err)
{
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        TRY(read_key(hp, container, arch, &keys[i], err));
    hp->layers = puna_arena_array(arena, (size_t)hp->n_layer, sizeof *hp->layers);
    if (!hp->layers)
        return puna_fail_memory(err, "layers", (size_t)hp->n_layer * sizeof *hp->layers);
    TRY(read_layers(hp, container, arch, err));
    int32_t n_head = hp->layers[0].n_head;
    if (!hp->head_dim_k && hp->n_embd % n_head)
        return puna_fail(err, PUNA_ERR_FORMAT, "metadata %s.embedding_length: got %d, expected a multiple of head_count %d",
                         arch, (int)hp->n_embd, (int)n_head);
    if (!hp->head_dim_k)
        hp->head_dim_k = hp->n_embd / n_head;
    if (!hp->head_dim_v)
        hp->head_dim_v = hp->n_embd % n_head ? hp->head_dim_k : hp->n_embd / n_head;
    if (hp->head_dim_k < 1 || hp->head_dim_v < 1)
        return puna_fail(err, PUNA_ERR_FORMAT, "metadata %s.attention.head_count: got %d heads for an embedding of %d",
                         arch, (int)n_head, (int)hp->n_embd);
    if (!hp->n_rot)
        hp->n_rot = hp->head_dim_k;
    if (hp->rope_base_window <= 0)
        hp->rope_base_window = hp->rope_base;
    read_window_pattern(hp, container, arch);
    return read_rope_scaling(hp, container, arch, err);
}
