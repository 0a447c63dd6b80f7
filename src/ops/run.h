/* run.h - what a node sees while a plan runs on the host: the batch, the caches, and where its
 * values lie. Shared by ops/ref and backend/cpu. */
#ifndef PUNA_OPS_RUN_H
#define PUNA_OPS_RUN_H

#include "ops/backend.h"

typedef struct puna_run {
    const puna_plan *plan;
    const puna_batch *batch;
    puna_kv *kv;
    float *scratch;   /* plan->row_floats * max_rows */
    int32_t max_rows;
    float *row; /* puna_ref_row_floats(plan) of scratch */
} puna_run;

/* The rows of a value: [rows, width], contiguous. */
static inline float *puna_run_value(const puna_run *run, puna_value v)
{
    return run->scratch + run->plan->values[v].offset * (size_t)run->max_rows;
}

static inline int32_t puna_run_n_rows(const puna_run *run, puna_value v)
{
    return run->plan->values[v].per_output ? run->batch->n_outputs : run->batch->n_tokens;
}

/* The scalar references, puna_ref_<name>(run, node). */
#define OP(ID, name, n_inputs, in_place) void puna_ref_##name(const puna_run *run, const puna_node *node);
#include "ops/ops.def"
#undef OP

typedef void puna_ref_fn(const puna_run *run, const puna_node *node);
extern puna_ref_fn *const puna_ref_functions[PUNA_OP_COUNT];

/* Floats of scratch that any of a plan's references needs. */
size_t puna_ref_row_floats(const puna_plan *plan);

/* The row of the table that a row of the batch wants; the last where there are fewer positions. */
int32_t puna_embed_row(const puna_embed_params *p, const puna_tensor *table, const puna_batch *batch,
                       int32_t row);

/* One value; in double. */
float puna_activate(const puna_act_params *p, float x);

/* y[n] = activation(gate) * up; each of n_gate gates is for n / n_gate values. y may be up. */
void puna_glu_row(const puna_glu_params *p, const float *gate, size_t n_gate, const float *up, float *y,
                  size_t n);

/* One row of AFFINE, COLUMNS, JOIN and BALANCE: n values of y. Of POOL: x has all the batch's rows, `row` is the
 * output's. */
void puna_affine_row(const puna_node *node, const float *x, float *y, size_t n);
void puna_columns_row(const puna_node *node, const float *x, size_t n_in, float *y, size_t n);
void puna_join_row(const puna_node *node, const float *a, size_t n_a, const float *b, float *y, size_t n);
void puna_balance_row(const puna_node *node, const float *x, float *y, size_t n);

void puna_pooled_row(puna_pool_kind kind, const puna_batch *batch, const float *x, int32_t row, float *y,
                     size_t n);
/* One row of DIVISOR and MIX; weights NULL: the mean. */
float puna_divisor(const puna_norm_params *p, const float *x);
void puna_mix_row(const puna_node *node, const float *x, size_t n_in, const float *weights, float *y,
                  size_t n);

/* The experts of one row, of n: route[2 * n_used] as p_moe_route says. given: their numbers, or NULL where scores
 * choose. probs, choice: n floats of scratch each. */
void puna_route_row(const puna_route_params *p, const float *scores, const float *bias, const int32_t *given,
                    int32_t n, float *probs, float *choice, float *route);

/* What an attention node does beside products: the slope of a head's bias, the row of the table of relative
 * positions, the keys [*from, *to) that the query at pos sees, the factor of its scores. */
float puna_alibi_slope(float largest, int32_t head, int32_t n_head);
int32_t puna_relative_bucket(int32_t pos, int32_t j, int32_t n_buckets, bool both_ways);
void puna_visible(const puna_attention_params *p, const puna_span *span, int32_t pos, int32_t *from,
                  int32_t *to);
float puna_temperature(const puna_attention_params *p, int32_t pos);

/* cos and sin of the n_rot / 2 angles of one position, magnitude included; factors may be NULL.
 * YaRN as in Peng et al. 2023 (arXiv 2309.00071). */
void puna_rope_angles(const puna_rope_params *p, const float *factors, int32_t position, float *cosines,
                      float *sines);

#endif
