/* ref_backend.c - the oracle as a backend: one node after the other, one thread, no SIMD.
 * What every other backend is compared with; kept simple before fast. */
#include <stdio.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/clock.h"
#include "ops/run.h"

puna_ref_fn *const puna_ref_functions[PUNA_OP_COUNT] = {
#define OP(ID, name, n_inputs, in_place) [PUNA_OP_##ID] = puna_ref_##name,
#include "ops/ops.def"
#undef OP
};

struct puna_program {
    const puna_plan *plan;
};

struct puna_worker {
    puna_run run;
    puna_backend_options options;
};

static puna_status program_open(puna_program **out, const puna_plan *plan, const puna_program_options *options,
                                puna_error *err)
{
    (void)options;
    puna_program *program = calloc(1, sizeof *program);
    if (!program)
        return puna_fail_memory(err, "program", sizeof *program);
    program->plan = plan;
    *out = program;
    return PUNA_OK;
}

static void program_close(puna_program *program)
{
    free(program);
}

/* Floats of run->row that a node needs: a row of its weight, a query beside a head in double, a head on
 * its way to the cache, the angles of a position, what experts make of a row. */
static size_t scratch_of(const puna_plan *plan, const puna_node *node)
{
    const size_t row = node->weight ? node->weight->ne[0] : 0;
    const puna_attention_params *p = &node->p.attention;
    switch (node->op) {
    case PUNA_OP_ATTENTION:
        return (size_t)p->head_dim + 2 + 2 * (size_t)(p->v_in_k ? p->head_dim : p->head_dim_v);
    case PUNA_OP_SELECT_KEYS:
        return (size_t)node->p.select.head_dim + 2 * (size_t)node->p.select.n_top;
    case PUNA_OP_KV_STORE: {
        const puna_cache_layout *c = &plan->caches[node->p.cache];
        return (size_t)(c->head_dim_k > c->head_dim_v ? c->head_dim_k : c->head_dim_v);
    }
    case PUNA_OP_COMPRESS: /* a row of the cache; of each column the highest score, the sum of weights, that of values */
        return (size_t)plan->caches[node->p.compress.cache].head_dim_k + 1 + 6 * (size_t)node->p.compress.n_out;
    case PUNA_OP_ROPE:
        return (size_t)node->p.rope.n_rot;
    case PUNA_OP_MOE_ROUTE:
        return 2 * (size_t)plan->values[node->in[0]].width;
    case PUNA_OP_MOE_FFN: {
        const puna_tensor *down = node->more[PUNA_EXPERTS_DOWN];
        const size_t n_in = (size_t)plan->values[node->in[0]].width, n_ff = down->ne[0];
        return (n_in > n_ff ? n_in : n_ff) + 2 * n_ff + n_in + down->ne[1];
    }
    default:
        return row;
    }
}

size_t puna_ref_row_floats(const puna_plan *plan)
{
    size_t most = 1;
    for (int32_t i = 0; i < plan->n_nodes; i++) {
        const size_t n = scratch_of(plan, &plan->nodes[i]);
        most = n > most ? n : most;
    }
    return most;
}

static void worker_close(puna_worker *worker)
{
    if (!worker)
        return;
    free(worker->run.scratch);
    free(worker->run.row);
    free(worker);
}

static puna_status worker_open(puna_worker **out, const puna_program *program, const puna_backend_options *options,
                               puna_error *err)
{
    puna_worker *worker = calloc(1, sizeof *worker);
    if (!worker)
        return puna_fail_memory(err, "worker", sizeof *worker);
    size_t n;
    bool fits = puna_mul_size(program->plan->row_floats, (size_t)options->max_tokens, &n);
    worker->options = *options;
    worker->run = (puna_run){ .plan = program->plan, .max_rows = options->max_tokens };
    worker->run.scratch = fits ? calloc(n + 1, sizeof(float)) : NULL;
    worker->run.row = calloc(puna_ref_row_floats(program->plan), sizeof(float));
    if (!worker->run.scratch || !worker->run.row) {
        worker_close(worker);
        return puna_fail_memory(err, "activations", n);
    }
    *out = worker;
    return PUNA_OK;
}

static puna_status run_plan(puna_worker *worker, const puna_batch *batch, puna_kv *kv, puna_error *err)
{
    (void)err;
    puna_run *run = &worker->run;
    run->batch = batch;
    run->kv = kv;
    for (int32_t i = 0; i < run->plan->n_nodes; i++) {
        const puna_node *node = &run->plan->nodes[i];
        puna_profile *profile = worker->options.profile;
        int64_t start = profile ? puna_clock_ns() : 0;
        puna_ref_functions[node->op](run, node);
        if (profile)
            profile->step_ns[i] += (uint64_t)(puna_clock_ns() - start);
        if (!worker->options.trace)
            continue;
        bool has = node->out >= 0;
        worker->options.trace(worker->options.trace_user, node, has ? puna_run_value(run, node->out) : NULL,
                              has ? puna_run_n_rows(run, node->out) : 0,
                              has ? run->plan->values[node->out].width : 0);
    }
    if (worker->options.profile)
        puna_profile_count(worker->options.profile, batch, kv);
    return PUNA_OK;
}

static int32_t n_fallback(const puna_program *program, char *text, size_t capacity)
{
    (void)program;
    if (capacity)
        text[0] = '\0';
    return 0;
}

const puna_backend puna_backend_ref = {
    .name = "ref",
    .program_open = program_open,
    .program_close = program_close,
    .worker_open = worker_open,
    .worker_close = worker_close,
    .run = run_plan,
    .n_fallback = n_fallback,
};
