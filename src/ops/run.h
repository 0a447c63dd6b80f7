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
    float *row;       /* one row of the widest weight, for dequantising: ops/ref only */
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

/* cos and sin of the n_rot / 2 angles of one position, magnitude included; factors may be NULL.
 * YaRN as in Peng et al. 2023 (arXiv 2309.00071). */
void puna_rope_angles(const puna_rope_params *p, const float *factors, int32_t position, float *cosines,
                      float *sines);

#endif
