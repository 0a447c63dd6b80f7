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
#include "ops/params.h"
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

enum { PUNA_NODE_INPUTS = 6, PUNA_NODE_TENSORS = 8 };

typedef struct puna_node {
    puna_op op;
    int32_t layer; /* -1 outside of layers */
    puna_value in[PUNA_NODE_INPUTS], out; /* -1: none */
    const puna_tensor *weight, *bias; /* bias, norm weights and rope factors are always F32 */
    const puna_tensor *more[PUNA_NODE_TENSORS];
    union {
        puna_embed_params embed;
        puna_norm_params norm;
        puna_rope_params rope;
        puna_attention_params attention;
        puna_select_params select;
        puna_compress_params compress;
        puna_act_params act;
        puna_glu_params glu;
        puna_route_params route;
        puna_experts_params experts;
        puna_conv_params conv;
        puna_ngram_params ngram;
        puna_ssm_params ssm;
        puna_memory_params memory;
        int32_t state; /* SHIFT */
        int32_t cache; /* KV_STORE */
        puna_pool_kind pool;
        struct {
            float x, y;
        } add;
        struct {
            float scale, limit; /* limit: results are within +- it; 0 = no limit */
        } affine;
        struct {
            int32_t n_group, from;
            bool repeat; /* every group is all of x */
        } columns; /* JOIN, MIX: n_group */
        struct {
            int32_t n_rounds;
            float eps; /* added to every number after a softmax of columns, and to sums */
        } balance;
        struct {
            float scale, softcap;
        } logits;
    } p;
} puna_node;

/* Where the tensors of MOE_FFN are: weight is the gate (or gate and up), then these. */
enum {
    PUNA_EXPERTS_UP,
    PUNA_EXPERTS_DOWN,
    PUNA_EXPERTS_GATE_BIAS,
    PUNA_EXPERTS_UP_BIAS,
    PUNA_EXPERTS_DOWN_BIAS,
    PUNA_EXPERTS_GATE_SCALE,
    PUNA_EXPERTS_UP_SCALE,
    PUNA_EXPERTS_DOWN_SCALE
};

/* What one layer keeps for each token. */
typedef struct puna_cache_layout {
    int32_t n_head, head_dim_k, head_dim_v;
    int32_t window; /* rows older than this are never read; 0 = all are */
    bool v_in_k;    /* no values are kept: they are the first head_dim_v of each key's */
} puna_cache_layout;

typedef struct puna_plan {
    puna_arena arena;
    puna_node *nodes;
    puna_value_info *values;
    puna_cache_layout *caches;
    int32_t *states; /* float32 of each: what a sequence keeps beside caches, whatever its length */
    int32_t n_nodes, n_values, n_caches, n_states;
    int32_t capacity_nodes, capacity_values, capacity_caches, capacity_states;
    int32_t layer;     /* recorded into nodes */
    int32_t n_output;  /* width of what each output row gives: logits, or a vector */
    bool vectors;      /* it is a vector */
    int32_t n_ctx_most; /* the plan is right for contexts up to this; 0: for all */
    bool whole;        /* every row depends on all of its sequence: nothing can be evaluated in parts */
    size_t row_floats; /* scratch floats per row, set by puna_plan_place */
    puna_status status;
    puna_error error;  /* the first mistake */
} puna_plan;

/* "linear" */
const char *puna_op_name(puna_op op);

/* Of a node's weights: bytes that n_rows rows read, and multiplications of one row. Of experts, as many as the
 * rows can ask for. */
uint64_t puna_node_bytes(const puna_node *node, uint64_t n_rows);
uint64_t puna_node_multiplies(const puna_node *node);

void puna_plan_free(puna_plan *g);

/* Ends recording: computes lifetimes, gives every value its place in the scratch memory so that
 * values whose lifetimes do not meet share it, or (share false: the oracle for placement) none
 * does. Returns the recorder's status. */
puna_status puna_plan_place(puna_plan *g, bool share, puna_error *err);

/* ---- the recorder; T = tokens of the batch ---------------------------------------------- */

void p_layer(puna_plan *g, int32_t layer);
puna_value p_embed(puna_plan *g, const puna_tensor *table, const puna_embed_params *p); /* -> [T, width] */
puna_value p_norm(puna_plan *g, puna_value x, const puna_tensor *weight, const puna_tensor *bias,
                  puna_norm_kind kind, float eps);                                  /* [T, w] -> same */
/* Over groups of `group` values; weight and bias have as many values, or w. */
puna_value p_norm_groups(puna_plan *g, puna_value x, const puna_tensor *weight, const puna_tensor *bias,
                         const puna_norm_params *p);
puna_value p_linear(puna_plan *g, puna_value x, const puna_tensor *w, const puna_tensor *bias);
puna_value p_linear_heads(puna_plan *g, puna_value x,
                          const puna_tensor *w); /* [T, h * n_in] -> [T, h * n_out] */
puna_value p_rope(puna_plan *g, puna_value x, const puna_rope_params *p, const puna_tensor *factors);
int32_t p_cache(puna_plan *g, const puna_cache_layout *layout);                     /* -> cache index */
int32_t p_state(puna_plan *g, int32_t n_floats);                                    /* -> state index */
void p_kv_store(puna_plan *g, puna_value k, puna_value v, int32_t cache);
void p_k_store(puna_plan *g, puna_value k, int32_t cache);                          /* into one with v_in_k */
/* -> [T, n_lists * n_top] (with `tail` one more of each list): numbers of blocks, ascending, -1 after the last;
 * weights [T, n_head], -1: none. */
puna_value p_select_keys(puna_plan *g, puna_value q, puna_value weights, const puna_select_params *p);
/* sinks [n_head]: a score that takes weight and gives no value; bias {n_head, n_buckets}; both may be NULL. */
puna_value p_attention(puna_plan *g, puna_value q, const puna_attention_params *p, const puna_tensor *sinks,
                       const puna_tensor *bias);                                    /* -> [T, n_head*head_dim_v] */
puna_value p_compress(puna_plan *g, const puna_compress_params *p);                 /* -> [T, n_out] */
/* Over the keys that p_select_keys chose (-1: all far ones); each list is for as many heads of keys and values. */
puna_value p_attention_selected(puna_plan *g, puna_value q, puna_value selected, const puna_attention_params *p,
                                const puna_tensor *sinks);
puna_value p_act(puna_plan *g, puna_value x, const puna_act_params *p);
/* The gate may be narrower than up: each of its values is for as many of up. */
puna_value p_glu(puna_plan *g, puna_value gate, puna_value up, const puna_glu_params *p);
puna_value p_add(puna_plan *g, puna_value x, puna_value y);
puna_value p_add_scaled(puna_plan *g, puna_value x, float x_factor, puna_value y, float y_factor);
/* weight and bias may be NULL, and shorter than x: they begin again. */
puna_value p_affine(puna_plan *g, puna_value x, float scale, const puna_tensor *weight,
                    const puna_tensor *bias, float limit);
/* Of each of n_group parts of x, the n columns from `from` on. */
puna_value p_columns(puna_plan *g, puna_value x, int32_t n_group, int32_t from, int32_t n);
puna_value p_repeat(puna_plan *g, puna_value x, int32_t times); /* [T, w] -> [T, times * w] */
/* [T, w] -> [T, 1]: what p_norm would divide by. */
puna_value p_divisor(puna_plan *g, puna_value x, puna_norm_kind kind, float eps);
/* x: n parts side by side; weights [T, m * n] -> m parts: y_j = sum_i weights[j * n + i] x_i. */
puna_value p_mix(puna_plan *g, puna_value x, puna_value weights, int32_t n);
puna_value p_mean(puna_plan *g, puna_value x, int32_t n); /* of n parts side by side */
/* Each of n_group parts of x, followed by that of y. */
puna_value p_join(puna_plan *g, puna_value x, puna_value y, int32_t n_group);
puna_value p_balance(puna_plan *g, puna_value x, int32_t n_rounds, float eps); /* [T, n * n], columns together -> rows together */
/* As p_moe_route, but the experts are those that the table [n_used, n_vocab] has for the token. */
puna_value p_moe_route_tokens(puna_plan *g, puna_value scores, const puna_tensor *table, const puna_route_params *p);
/* scores [T, n_expert] -> [T, 2 * n_used]: the experts' numbers, best first, then their weights. bias [n_expert]
 * is added for choosing only. */
puna_value p_moe_route(puna_plan *g, puna_value scores, const puna_tensor *bias, const puna_route_params *p);

typedef struct puna_experts {
    const puna_tensor *gate, *up, *down;                   /* {n_in, n_out, n_expert} */
    const puna_tensor *gate_bias, *up_bias, *down_bias;    /* {n_out, n_expert}, or NULL */
    const puna_tensor *gate_scale, *up_scale, *down_scale; /* [n_expert], or NULL; before the bias */
} puna_experts;
puna_value p_moe_ffn(puna_plan *g, puna_value x, puna_value route, const puna_experts *e,
                     const puna_experts_params *p);

/* ---- with a state: the rows of a sequence are read in order, over all its batches; each makes the state it needs */

/* w {n_taps, width}, the last for the row itself; bias may be NULL. */
puna_value p_conv1d(puna_plan *g, puna_value x, const puna_tensor *w, const puna_tensor *bias,
                    puna_activation activation);
/* -> [T, rows * width of the table]; p->state is not read. */
puna_value p_ngram(puna_plan *g, const puna_tensor *table, const puna_ngram_params *p);
/* [T, w] -> the row before, zeros before the first. */
puna_value p_shift(puna_plan *g, puna_value x);
/* x [T, n_head * n]; dt [T, n_head]; bc [T, 2 * n_group * n_state]: all of b, then c. a [n_head] or {n_state, n_head};
 * bias of dt and d [n_head] may be NULL. p->state is not read. */
puna_value p_ssm_scan(puna_plan *g, puna_value x, puna_value dt, puna_value bc, const puna_tensor *a,
                      const puna_tensor *bias, const puna_tensor *d, const puna_ssm_params *p);

typedef struct puna_memory_inputs {
    puna_value q, k, v; /* [T, n_head_k * n_key], the same, [T, n_head * n_value] */
    puna_value decay;   /* [T, n_head] or [T, n_head * n_key], logarithms; -1: those of the tensor */
    puna_value a, b;    /* DELTA: beta [T, n_head]; RANK1: [T, n_head_k * n_key] each; else -1 */
} puna_memory_inputs;
/* w: BONUS: u [n_head_k * n_key]; without decay: one for each head; else NULL. p->state is not read. */
puna_value p_memory_scan(puna_plan *g, const puna_memory_inputs *in, const puna_tensor *w,
                         const puna_memory_params *p);

puna_value p_select_rows(puna_plan *g, puna_value x);                               /* [T, w] -> [n_out, w] */
/* Over the rows of the output row's sequence, which come in one batch. */
puna_value p_pool(puna_plan *g, puna_value x, puna_pool_kind kind); /* [T, w] -> [n_out, w] */
/* One of these ends a plan. */
void p_logits(puna_plan *g, puna_value x, const puna_tensor *w, const puna_tensor *bias, float scale,
              float softcap);
void p_output(puna_plan *g, puna_value x);

#endif
