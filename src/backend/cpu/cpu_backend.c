/* cpu_backend.c - the CPU as a backend: opens programs and workers, lays out a worker's memory,
 * walks the steps. All memory of a run is taken when the worker opens. Refuses arithmetic: that
 * lies in worker_*.c and below. */
#define _DEFAULT_SOURCE /* madvise */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernel.h"
#include "backend/cpu/limits.h"
#include "backend/cpu/worker.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/limits.h"
#include "ops/run.h"

/* ---- program ---------------------------------------------------------------------------- */

static void program_close(puna_program *program)
{
    if (!program)
        return;
    puna_steps_free(&program->fused);
    puna_steps_free(&program->plain);
    puna_packed_free(&program->packed);
    free(program);
}

static puna_status allowed_isa(const char *name, uint32_t *allowed, puna_error *err)
{
    int known = 1;
    *allowed = puna_cpu_have() & puna_cpu_level(name, &known);
    if (known)
        return PUNA_OK;
    puna_fail(err, PUNA_ERR_ARGUMENT, "option isa: got %s, expected the name of an instruction set", name);
    return puna_hint(err, PUNA_ERR_ARGUMENT, "--isa scalar is always known; without it the best is used");
}

static puna_status program_open(puna_program **out, const puna_plan *plan, const puna_program_options *options,
                                puna_error *err)
{
    uint32_t allowed;
    *out = NULL;
    TRY(allowed_isa(options->isa, &allowed, err));
    puna_program *program = calloc(1, sizeof *program);
    if (!program)
        return puna_fail_memory(err, "program", sizeof *program);
    program->plan = plan;
    program->allowed = allowed;
    program->vector = puna_vector_choose(allowed);
    program->attention = puna_attention_choose(allowed);
    program->attention_batch = puna_attention_choose_batch(allowed);
    puna_status status = puna_steps_compile(&program->fused, plan, allowed, true, err);
    if (status == PUNA_OK)
        status = puna_steps_compile(&program->plain, plan, allowed, false, err);
    if (status == PUNA_OK)
        status = puna_packed_make(&program->packed, plan, allowed, options->repack, err);
    if (status != PUNA_OK) {
        program_close(program);
        return status;
    }
    puna_packed_use(&program->packed, &program->fused);
    puna_packed_use(&program->packed, &program->plain);
    *out = program;
    return PUNA_OK;
}

/* Appends "what name x n" to the line at *at. */
static void append_count(char *text, size_t capacity, size_t *at, const char *what, const char *name,
                         int32_t count)
{
    if (*at >= capacity)
        return;
    const int n = snprintf(text + *at, capacity - *at, "%s%s%s%s x %d", *at ? ", " : "", what,
                           *name ? " " : "", name, (int)count);
    *at += n > 0 ? (size_t)n : 0;
}

/* One line over the formats without kernels, as a new one is, and over what only the reference computes:
 * "linear q9_0 x 12, moe_ffn x 3". */
static int32_t n_fallback(const puna_program *program, char *text, size_t capacity)
{
    int32_t formats[PUNA_FORMAT_COUNT_MAX] = { 0 }, ops[PUNA_OP_COUNT] = { 0 }, total = 0;
    const char *names[PUNA_FORMAT_COUNT_MAX];
    for (int32_t s = 0; s < program->plain.n_steps; s++) {
        const puna_step *step = &program->plain.steps[s];
        ops[step->last->op] += step->kind == PUNA_STEP_REFERENCE;
        total += step->kind == PUNA_STEP_REFERENCE;
        for (int32_t i = 0; i < step->n_linears; i++)
            if (step->linears[i].linear.reference) {
                const puna_format_info *format = step->linears[i].linear.weight->format;
                names[format->id] = format->name;
                formats[format->id]++;
                total++;
            }
    }
    if (capacity)
        text[0] = '\0';
    size_t at = 0;
    for (uint32_t f = 0; f < PUNA_FORMAT_COUNT_MAX; f++)
        if (formats[f] > 0)
            append_count(text, capacity, &at, "linear", names[f], formats[f]);
    for (size_t op = 0; op < PUNA_OP_COUNT; op++)
        if (ops[op] > 0)
            append_count(text, capacity, &at, puna_op_name((puna_op)op), "", ops[op]);
    return total;
}

/* ---- memory ----------------------------------------------------------------------------- */

enum { WORKER_PAGE = 4096, WORKER_HUGE = 2 << 20 };

/* Carves one block of memory; with base NULL it only measures. */
typedef struct carver {
    unsigned char *base;
    size_t used;
    bool failed;
} carver;

static void *carve(carver *c, size_t n, size_t size)
{
    size_t bytes, end;
    if (!puna_mul_size(n, size, &bytes) || !puna_add_size(c->used, bytes, &end) ||
        !puna_add_size(end, 63, &end)) {
        c->failed = true;
        return NULL;
    }
    void *at = c->base ? c->base + c->used : NULL;
    c->used = end & ~(size_t)63;
    return at;
}

/* What follows begins a page: the system places pages on the memory node of the thread that first
 * writes them, so what threads have for themselves must not share pages with others. */
static void to_page(carver *c)
{
    c->failed |= !puna_add_size(c->used, WORKER_PAGE - 1, &c->used);
    c->used &= ~(size_t)(WORKER_PAGE - 1);
}

/* The largest of everything a plan's steps ask for. */
typedef struct needs {
    size_t act[PUNA_ACT_KINDS], linear, part_floats, queries, part, unpacked;
    int32_t width, head, n_head_kv, group;
} needs;

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void need_linears(needs *n, const puna_step *step, int32_t n_rows, bool deterministic)
{
    for (int32_t i = 0; i < step->n_linears; i++) {
        const puna_linear *l = &step->linears[i].linear;
        const puna_act kinds[2] = { l->act, puna_linear_act(l, n_rows, deterministic) };
        for (int k = 0; k < 2; k++)
            n->act[kinds[k]] = larger(n->act[kinds[k]], puna_act_bytes(kinds[k], l->n_in));
        n->linear = larger(n->linear, puna_linear_scratch_bytes(l, n_rows));
    }
}

static int32_t rows_of_group(const puna_worker *w, int32_t group)
{
    const bool batches = w->program->attention_batch && !w->options.deterministic;
    const int32_t queries = batches ? PUNA_WORKER_BATCH_QUERIES : PUNA_WORKER_QUERIES;
    return group >= queries ? 1 : queries / group;
}

static needs measure(const puna_worker *w)
{
    needs n = { .width = 1, .head = 1, .n_head_kv = 1, .group = 1 };
    const puna_plan *plan = w->program->plan;
    int32_t n_rows = w->options.max_tokens < PUNA_WORKER_ROWS ? w->options.max_tokens : PUNA_WORKER_ROWS;
    for (int32_t v = 0; v < plan->n_values; v++)
        n.width = plan->values[v].width > n.width ? plan->values[v].width : n.width;
    for (int32_t i = 0; i < plan->n_caches; i++) {
        const puna_cache_layout *c = &plan->caches[i];
        n.head = c->head_dim_k > n.head ? c->head_dim_k : n.head;
        n.head = c->head_dim_v > n.head ? c->head_dim_v : n.head;
    }
    for (int32_t s = 0; s < w->steps->n_steps; s++) {
        const puna_step *step = &w->steps->steps[s];
        need_linears(&n, step, n_rows, w->options.deterministic);
        if (!step->attention)
            continue;
        const puna_attention_params *p = &step->attention->p.attention;
        n.part_floats = larger(n.part_floats, puna_worker_part_floats(p));
        n.n_head_kv = p->n_head_kv > n.n_head_kv ? p->n_head_kv : n.n_head_kv;
        n.group = p->n_head / p->n_head_kv > n.group ? p->n_head / p->n_head_kv : n.group;
    }
    n.queries = (size_t)rows_of_group(w, n.group) * (size_t)n.group;
    for (int32_t s = 0; s < w->steps->n_steps; s++) {
        if (!w->steps->steps[s].attention)
            continue;
        const puna_attention_params *p = &w->steps->steps[s].attention->p.attention;
        n.part = larger(n.part, puna_attention_part_floats(p, n.queries));
        n.unpacked = larger(n.unpacked, puna_attention_unpacked_bytes(p->head_dim, p->head_dim_v));
    }
    return n;
}

static void carve_thread(carver *c, puna_worker_thread *t, const needs *n)
{
    t->chain = carve(c, (size_t)PUNA_STEP_CHAIN * (size_t)n->width, sizeof(float));
    for (int kind = 0; kind < PUNA_ACT_KINDS; kind++)
        t->act[kind] = carve(c, n->act[kind], 1);
    t->tile = carve(c, PUNA_WORKER_TILE, sizeof(float));
    t->linear = carve(c, n->linear, 1);
    t->q = carve(c, n->queries * (size_t)n->head, sizeof(float));
    t->codes = carve(c, n->queries * puna_kv_padded(n->head), sizeof *t->codes);
    t->q_scale = carve(c, n->queries, sizeof(float));
    t->scores = carve(c, (size_t)PUNA_ATTENTION_BATCH * PUNA_ATTENTION_TILE, sizeof(float));
    t->unpacked = carve(c, n->unpacked, 1);
    t->part = carve(c, n->part, sizeof(float));
    t->stack = carve(c, PUNA_ATTENTION_LEVELS * n->part, sizeof(float));
    t->head = carve(c, (size_t)n->head, sizeof(float));
    t->half = carve(c, (size_t)n->head, sizeof(uint16_t));
}

/* Everything a run touches; called twice, first to measure. */
static void carve_worker(carver *c, puna_worker *w, const needs *n)
{
    size_t tokens = (size_t)w->options.max_tokens;
    size_t n_threads = (size_t)puna_pool_threads(w->pool);
    size_t value_floats;
    c->failed |= !puna_mul_size(w->steps->row_floats, tokens, &value_floats);
    w->values = carve(c, value_floats, sizeof(float));
    w->reference_row = carve(c, puna_ref_row_floats(w->program->plan), sizeof(float));
    for (int kind = 0; kind < PUNA_ACT_KINDS; kind++)
        w->act[kind] = carve(c, tokens, n->act[kind]);
    w->phases = carve(c, 2 * (size_t)w->steps->n_steps + 1, sizeof *w->phases);
    w->merges = carve(c, (size_t)PUNA_WORKER_SPLIT_TILES * (size_t)n->n_head_kv, sizeof *w->merges);
    w->parts = carve(c, n->part_floats, sizeof(float));
    w->tiles = carve(c, tokens, sizeof *w->tiles);
    w->stores = carve(c, tokens, sizeof *w->stores);
    w->angles = carve(c, (size_t)w->steps->n_ropes, sizeof *w->angles);
    w->threads = carve(c, n_threads, sizeof *w->threads);
    for (int32_t i = 0; i < w->steps->n_ropes; i++) {
        float *table = carve(c, tokens * (size_t)w->steps->ropes[i].params.n_rot, sizeof(float));
        if (c->base)
            w->angles[i] = table;
    }
    puna_worker_thread measured;
    for (size_t i = 0; i < n_threads; i++) {
        to_page(c);
        carve_thread(c, c->base ? &w->threads[i] : &measured, n);
    }
}

/* ---- worker ----------------------------------------------------------------------------- */

static void worker_close(puna_worker *w)
{
    if (!w)
        return;
    puna_pool_close(w->pool);
    free(w->memory);
    free(w);
}

static puna_status take_memory(puna_worker *w, puna_error *err)
{
    needs n = measure(w);
    carver c = { 0 };
    w->max_width = n.width;
    w->tile_rows = rows_of_group(w, n.group);
    carve_worker(&c, w, &n);
    /* Rows of a product lie kilobytes apart: with small pages finding them takes longer than they do. */
    const size_t align = c.used >= WORKER_HUGE ? WORKER_HUGE : WORKER_PAGE;
    if (!c.failed)
        w->memory = aligned_alloc(align, (c.used + align - 1) / align * align);
    if (!w->memory)
        return puna_fail_memory(err, "activations", c.used);
    if (align == WORKER_HUGE)
        madvise(w->memory, c.used, MADV_HUGEPAGE);
    c = (carver){ .base = w->memory };
    carve_worker(&c, w, &n);
    for (int32_t i = 0; i < PUNA_WORKER_SPLIT_TILES * n.n_head_kv; i++)
        atomic_init(&w->merges[i].n, 0);
    for (int32_t i = 0; i <= 2 * w->steps->n_steps; i++) {
        atomic_init(&w->phases[i].next, 0);
        atomic_init(&w->phases[i].done, 0);
    }
    return PUNA_OK;
}

static uint64_t weight_bytes(const puna_plan *plan)
{
    uint64_t bytes = 0;
    for (int32_t i = 0; i < plan->n_nodes; i++)
        if (puna_node_multiplies(&plan->nodes[i]) > 0)
            bytes += puna_node_bytes(&plan->nodes[i], 1);
    return bytes;
}

/* Threads of a run. Waiting for each other costs more than it saves when a step is only a few
 * microseconds of work, so what was not asked for is also bounded by the work there is. */
static int32_t threads_for(const puna_worker *w, int32_t n_tokens)
{
    bool prefill = n_tokens >= PUNA_PREFILL_ROWS;
    int32_t n = prefill ? w->choice.prefill : w->choice.decode;
    if (w->options.n_threads > 0 || (prefill && w->options.n_threads_prefill > 0))
        return n;
    uint64_t useful = 1 + w->weight_bytes * (uint64_t)n_tokens / PUNA_WORKER_THREAD_BYTES;
    return useful < (uint64_t)n ? (int32_t)useful : n;
}

/* The pool has the threads that the largest run can use. */
static puna_status start_threads(puna_worker *w, puna_error *err)
{
    puna_topology topology;
    puna_topology_read(&topology, "");
    puna_threads_choose(&w->choice, &topology, w->options.n_threads, w->options.n_threads_prefill);
    w->weight_bytes = weight_bytes(w->program->plan);
    int32_t prefill = threads_for(w, w->options.max_tokens), decode = threads_for(w, 1);
    if (w->options.max_tokens >= PUNA_PREFILL_ROWS) /* the largest run below it may use more than one row's */
        decode = threads_for(w, PUNA_PREFILL_ROWS - 1);
    w->n_threads = prefill > decode ? prefill : decode;
    TRY(puna_pool_open(&w->pool, w->n_threads, err));
    puna_pool_limit_spin(w->pool, w->choice.n_busy);
    if (w->options.pin) {
        int32_t order[PUNA_MAX_PROCESSORS];
        puna_topology_order(&topology, order);
        puna_pool_pin(w->pool, order, topology.n);
    }
    return PUNA_OK;
}

static void describe_steps(const puna_worker *w)
{
    puna_profile *profile = w->options.profile;
    profile->n_steps = w->steps->n_steps;
    memcpy(profile->step_of, w->steps->step_of, (size_t)w->program->plan->n_nodes * sizeof *profile->step_of);
}

static puna_status worker_open(puna_worker **out, const puna_program *program,
                               const puna_backend_options *options, puna_error *err)
{
    *out = NULL;
    if (options->max_tokens < 1 || options->max_tokens > PUNA_MAX_BATCH)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "batch: got %d tokens, expected 1 to %d",
                         (int)options->max_tokens, PUNA_MAX_BATCH);
    puna_worker *w = calloc(1, sizeof *w);
    if (!w)
        return puna_fail_memory(err, "worker", sizeof *w);
    w->program = program;
    w->options = *options;
    w->steps = options->fusion && !options->trace ? &program->fused : &program->plain;
    w->reference_plan = *program->plan;
    w->reference_plan.values = w->steps->values;
    puna_status status = start_threads(w, err);
    if (status == PUNA_OK)
        status = take_memory(w, err);
    if (status == PUNA_OK && options->profile)
        describe_steps(w);
    if (status != PUNA_OK) {
        worker_close(w);
        return status;
    }
    *out = w;
    return PUNA_OK;
}

/* ---- running ---------------------------------------------------------------------------- */

/* Angles of the batch's positions; returns how many of the units this thread did. */
static int32_t fill_angles(puna_worker *w)
{
    int32_t n_tokens = w->batch->n_tokens, begin, end, taken = 0;
    puna_worker_phase *phase = &w->phases[2 * w->steps->n_steps];
    for (; puna_worker_take(w, phase, w->steps->n_ropes * n_tokens, 16, &begin, &end); taken += end - begin)
        for (int32_t u = begin; u < end; u++) {
            const puna_rope_table *table = &w->steps->ropes[u / n_tokens];
            size_t n_rot = (size_t)table->params.n_rot, row = (size_t)(u % n_tokens);
            float *cosines = w->angles[u / n_tokens] + row * n_rot;
            puna_rope_angles(&table->params, table->factors, w->batch->positions[row], cosines,
                             cosines + n_rot / 2);
        }
    return taken;
}

static void run_step(puna_worker *w, int thread, int32_t number)
{
    switch (w->steps->steps[number].kind) {
    case PUNA_STEP_ROWS:
        puna_worker_rows(w, thread, number);
        break;
    case PUNA_STEP_LINEAR:
        puna_worker_linear(w, thread, number);
        break;
    case PUNA_STEP_STORE:
    case PUNA_STEP_ATTENTION:
        puna_worker_attention(w, thread, number);
        break;
    case PUNA_STEP_REFERENCE:
        puna_worker_reference(w, thread, number);
        break;
    }
}

/* The first step has no rotation to do: nothing was computed before it. Its wait covers the angles. */
static void run_first(puna_worker *w, int thread)
{
    int32_t taken = fill_angles(w);
    run_step(w, thread, 0);
    puna_worker_finish(w, &w->phases[2 * w->steps->n_steps], w->steps->n_ropes * w->batch->n_tokens, taken);
}

static void run_all(void *user, int thread, int n_threads)
{
    (void)n_threads;
    puna_worker *w = user;
    if (w->steps->n_steps > 0)
        run_first(w, thread);
    for (int32_t s = 1; s < w->steps->n_steps; s++)
        run_step(w, thread, s);
}

/* As run_all; thread 0 notes when each step ended: threads leave a step together. The first begins
 * when the run does, for the others may be through with it before thread 0 gets a processor. */
static void run_timed(void *user, int thread, int n_threads)
{
    (void)n_threads;
    puna_worker *w = user;
    int64_t before = w->started_ns;
    for (int32_t s = 0; s < w->steps->n_steps; s++) {
        if (s == 0)
            run_first(w, thread);
        else
            run_step(w, thread, s);
        if (thread != 0)
            continue;
        int64_t now = puna_clock_ns();
        w->options.profile->step_ns[s] += (uint64_t)(now - before);
        before = now;
    }
}

static void run_one(void *user, int thread, int n_threads)
{
    (void)n_threads;
    puna_worker *w = user;
    if (w->trace_step == 0)
        run_first(w, thread);
    else
        run_step(w, thread, w->trace_step);
}

static void run_traced(puna_worker *w)
{
    for (w->trace_step = 0; w->trace_step < w->steps->n_steps; w->trace_step++) {
        puna_pool_share(w->pool, w->n_threads, run_one, w);
        const puna_node *node = w->steps->steps[w->trace_step].last;
        bool has = node->out >= 0;
        w->options.trace(w->options.trace_user, node, has ? puna_worker_row(w, node->out, 0) : NULL,
                         has ? puna_worker_n_rows(w, w->steps->values[node->out].per_output) : 0,
                         has ? w->steps->values[node->out].width : 0);
    }
}

/* Divides the spans into jobs of queries, and into rows that share a block. */
static void cut_spans(puna_worker *w)
{
    w->n_tiles = w->n_stores = 0;
    w->single = true;
    for (int32_t s = 0; s < w->batch->n_spans; s++) {
        const puna_span *span = &w->batch->spans[s];
        w->single &= span->n == 1;
        for (int32_t i = 0; i < span->n; i += w->tile_rows)
            w->tiles[w->n_tiles++] = (puna_worker_piece){
                .span = s, .first = i, .n = span->n - i < w->tile_rows ? span->n - i : w->tile_rows
            };
        for (int32_t i = 0; i < span->n;) {
            int32_t room = PUNA_KV_BLOCK - (span->pos + i) % PUNA_KV_BLOCK,
                    n = span->n - i < room ? span->n - i : room;
            w->stores[w->n_stores++] = (puna_worker_piece){ .span = s, .first = i, .n = n };
            i += n;
        }
    }
}

static puna_status run(puna_worker *w, const puna_batch *batch, puna_kv *kv, puna_error *err)
{
    if (batch->n_tokens < 1 || batch->n_tokens > w->options.max_tokens)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "batch: got %d tokens, expected 1 to %d",
                         (int)batch->n_tokens, (int)w->options.max_tokens);
    if (batch->n_outputs < 0 || batch->n_outputs > w->options.max_outputs ||
        batch->n_outputs > batch->n_tokens)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "batch: got %d outputs, expected 0 to %d",
                         (int)batch->n_outputs, (int)w->options.max_outputs);
    w->batch = batch;
    w->kv = kv;
    cut_spans(w);
    w->epoch = w->epoch == UINT32_MAX ? 1 : w->epoch + 1;
    w->n_threads = threads_for(w, batch->n_tokens);
    w->started_ns = w->options.profile ? puna_clock_ns() : 0;
    if (w->options.trace)
        run_traced(w);
    else
        puna_pool_share(w->pool, w->n_threads, w->options.profile ? run_timed : run_all, w);
    if (w->options.profile)
        puna_profile_count(w->options.profile, batch, kv);
    return PUNA_OK;
}

static void describe(const char *isa, char *text, size_t capacity)
{
    uint32_t allowed = 0;
    allowed_isa(isa, &allowed, NULL);
    puna_cpu_describe(allowed, text, (int)capacity);
}

static bool has_kernel(puna_format format)
{
    return puna_kernel_select(PUNA_KERNEL_dot, format, puna_cpu_have()) != NULL;
}

static puna_status measure_limits(const char *isa, int n_threads, puna_backend_limits *limits, puna_error *err)
{
    uint32_t allowed = 0;
    TRY(allowed_isa(isa, &allowed, err));
    return puna_limits_measure(limits, allowed, n_threads, err);
}

const puna_backend puna_backend_cpu = {
    .name = "cpu",
    .program_open = program_open,
    .program_close = program_close,
    .worker_open = worker_open,
    .worker_close = worker_close,
    .run = run,
    .n_fallback = n_fallback,
    .describe = describe,
    .has_kernel = has_kernel,
    .measure = measure_limits,
};
