/* plan.h - a model's computation as a linear list of operations, recorded once and run for
 * every batch. Owns: values (activations), nodes, cache layouts, the recorder. Refuses: views,
 * strides, general graphs; and anything that depends on the number of tokens, which is
 * symbolic: a value is rows x width, and the rows are those of the batch that is run.
 *
 * Recording checks every shape. The first mistake is kept in plan->error and turns later calls
 * into no-ops, so that a model's build function has no error handling:
 *
 *   h = p_norm(g, x, l->attn_norm, eps);
 *   x = p_add(g, x, p_linear(g, h, l->wo, NULL));
 *
 * Functions of the recorder are named p_<op>, so that a model file reads like the paper. */
#ifndef PUNA_OPS_PLAN_H
#define PUNA_OPS_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "quant/tensor.h"

typedef enum puna_op {
#define OP(ID, name, n_inputs, in_place) PUNA_OP_##ID,
#include "ops/ops.def"
#undef OP
    PUNA_OP_COUNT
} puna_op;

/* Index into plan->values; -1 is no value. */
typedef int32_t puna_value;

typedef struct puna_value_info {
    int32_t width;      /* float32 per row */
    bool per_output;    /* one row per output row instead of one per token */
    int32_t first, last; /* the node that makes it, the last node that reads it */
    size_t offset;      /* floats per row before it in the scratch memory, set by puna_plan_place */
} puna_value_info;

typedef enum puna_norm_kind { PUNA_NORM_RMS, PUNA_NORM_LAYER } puna_norm_kind;

/* Rotated pairs: NORMAL (2i, 2i+1), NEOX (i, i + n_rot/2). */
typedef enum puna_rope_pairing { PUNA_ROPE_NORMAL, PUNA_ROPE_NEOX } puna_rope_pairing;

typedef enum puna_activation { PUNA_ACT_SILU, PUNA_ACT_GELU /* tanh form */, PUNA_ACT_RELU } puna_activation;

typedef struct puna_norm_params {
    puna_norm_kind kind;
    float eps;
    int32_t group; /* the norm runs over groups of this many values: the width, or one head */
} puna_norm_params;

typedef struct puna_rope_params {
    puna_rope_pairing pairing;
    int32_t n_head, head_dim;
    int32_t n_rot;      /* the first n_rot values of each head rotate */
    float base;
    float scale;        /* position scale: 1 / factor for linear scaling */
    float yarn_ext;     /* YaRN mix, 0 = off */
    float yarn_beta_fast, yarn_beta_slow;
    float magnitude;    /* cos and sin are multiplied by it */
    int32_t n_ctx_orig;
} puna_rope_params;

typedef struct puna_attention_params {
    int32_t n_head, n_head_kv, head_dim, head_dim_v;
    int32_t cache;    /* index into plan->caches */
    int32_t window;   /* key j is visible to p iff p - j < window; 0 = all up to p */
    float scale;
    float softcap;    /* 0 = none: s = cap * tanh(s / cap) */
} puna_attention_params;

typedef struct puna_node {
    puna_op op;
    int32_t layer; /* -1 outside of layers */
    puna_value in[2], out;
    const puna_tensor *weight, *bias; /* bias, norm weights and rope factors are always F32 */
    union {
        float scale; /* EMBED */
        puna_norm_params norm;
        puna_rope_params rope;
        puna_attention_params attention;
        puna_activation activation;
        int32_t cache; /* KV_STORE */
        struct {
            float scale, softcap;
        } logits;
    } p;
} puna_node;

/* What one layer keeps for each token. */
typedef struct puna_cache_layout {
    int32_t n_head, head_dim_k, head_dim_v;
    int32_t window; /* rows older than this are never read; 0 = all are */
} puna_cache_layout;

typedef struct puna_plan {
    puna_arena arena;
    puna_node *nodes;
    puna_value_info *values;
    puna_cache_layout *caches;
    int32_t n_nodes, n_values, n_caches;
    int32_t capacity_nodes, capacity_values, capacity_caches;
    int32_t layer;     /* recorded into nodes */
    int32_t n_vocab;   /* width of the logits */
    size_t row_floats; /* scratch floats per row, set by puna_plan_place */
    puna_status status;
    puna_error error;  /* the first mistake */
} puna_plan;

void puna_plan_free(puna_plan *g);

/* Ends recording: computes lifetimes, gives every value its place in the scratch memory so that
 * values whose lifetimes do not meet share it, or (share false: the oracle for placement) none
 * does. Returns the recorder's status. */
puna_status puna_plan_place(puna_plan *g, bool share, puna_error *err);

/* ---- the recorder; T = tokens of the batch ---------------------------------------------- */

void p_layer(puna_plan *g, int32_t layer);
puna_value p_embed(puna_plan *g, const puna_tensor *table, float scale);           /* -> [T, width] */
puna_value p_norm(puna_plan *g, puna_value x, const puna_tensor *weight, const puna_tensor *bias,
                  puna_norm_kind kind, float eps);                                  /* [T, w] -> same */
puna_value p_linear(puna_plan *g, puna_value x, const puna_tensor *w, const puna_tensor *bias);
puna_value p_rope(puna_plan *g, puna_value x, const puna_rope_params *p, const puna_tensor *factors);
int32_t p_cache(puna_plan *g, const puna_cache_layout *layout);                     /* -> cache index */
void p_kv_store(puna_plan *g, puna_value k, puna_value v, int32_t cache);
puna_value p_attention(puna_plan *g, puna_value q, const puna_attention_params *p); /* -> [T, n_head*head_dim_v] */
puna_value p_glu(puna_plan *g, puna_value gate, puna_value up, puna_activation activation);
puna_value p_add(puna_plan *g, puna_value x, puna_value y);
puna_value p_select_rows(puna_plan *g, puna_value x);                               /* [T, w] -> [n_out, w] */
void p_logits(puna_plan *g, puna_value x, const puna_tensor *w, float scale, float softcap);

#endif
