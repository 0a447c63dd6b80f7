/* steps.h - a plan compiled for the executor: a linear list of steps, each of which waits for the
 * one before. Owns fusion (which nodes share a step) and the placement of the values that pass from one
 * step to another; refuses threads and batches.
 *
 * A llama layer is five steps: [norm, encode, q k v], [rotate, store, attend], [encode, wo, add],
 * [norm, encode, gate up, glu], [encode, down, add]. Norms after wo or down move into the next
 * step's chain. Without fusion every node is its own step. */
#ifndef PUNA_BACKEND_CPU_STEPS_H
#define PUNA_BACKEND_CPU_STEPS_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/cpu/linear.h"
#include "ops/plan.h"

enum { PUNA_STEP_CHAIN = 6, PUNA_STEP_LINEARS = 4, PUNA_STEP_HEAD_OPS = 3 };

typedef enum puna_step_kind {
    PUNA_STEP_ROWS,      /* the chain alone */
    PUNA_STEP_LINEAR,    /* chain, encode, products */
    PUNA_STEP_STORE,     /* keys and values into the cache */
    PUNA_STEP_ATTENTION, /* maybe with the store before it */
    PUNA_STEP_REFERENCE  /* a node that only the scalar reference computes */
} puna_step_kind;

/* A row-wise node run in order with others on one row while it is in the first-level cache. */
typedef struct puna_chain_op {
    const puna_node *node;
    int8_t from[2]; /* an earlier op of the chain, or -1: a value of an earlier step */
    bool kept;      /* later steps read it */
} puna_chain_op;

typedef struct puna_step_linear {
    puna_linear linear;
    const float *bias; /* NULL: none */
    puna_value out;    /* -1: the batch's logits */
} puna_step_linear;

/* Norms and rotations of single heads on the way to the cache or into attention. */
typedef struct puna_head_ops {
    puna_value in;
    int32_t n;
    const puna_node *node[PUNA_STEP_HEAD_OPS];
} puna_head_ops;

typedef struct puna_step {
    puna_step_kind kind;
    bool per_output;
    int32_t n_chain;
    puna_chain_op chain[PUNA_STEP_CHAIN];
    int32_t chain_in; /* LINEAR: the op of the chain whose result is encoded */
    puna_value in;    /* what is encoded, by its name: read from memory when the chain is empty */
    int32_t n_linears;
    puna_step_linear linears[PUNA_STEP_LINEARS];
    const puna_node *glu; /* the two products are gate and up of it */
    puna_value glu_out;
    puna_value residual;     /* added to the only product; -1: none */
    const puna_node *logits; /* the node, for its scale and cap */
    const puna_node *attention, *store;
    puna_head_ops q, k;
    puna_value v;
    const puna_node *last; /* without fusion: the node this step is, for tracing */
} puna_step;

/* A distinct set of rotation angles. */
typedef struct puna_rope_table {
    puna_rope_params params;
    const float *factors;
} puna_rope_table;

typedef struct puna_steps {
    puna_step *steps;
    int32_t n_steps;
    int32_t *step_of;        /* per node of the plan: the step that runs it */
    puna_value_info *values; /* the plan's, with offsets for these steps */
    size_t row_floats;
    puna_rope_table *ropes;
    int32_t n_ropes;
} puna_steps;

puna_status puna_steps_compile(puna_steps *out, const puna_plan *plan, uint32_t allowed, bool fusion,
                               puna_error *err);
void puna_steps_free(puna_steps *steps);

/* Which table a ROPE node reads. */
int32_t puna_steps_rope(const puna_steps *steps, const puna_node *node);

#endif
