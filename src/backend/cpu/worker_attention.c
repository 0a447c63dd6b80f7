/* worker_attention.c - the attention step: rotate, store keys and values, attend.
 *
 * When every sequence of the batch has one row, the job of a key/value head stores that head's
 * key and value itself and attends: one phase. Otherwise keys and values are stored in a phase
 * before, a block and a head at a time.
 *
 * Keys are summed in the order of a tree over positions (attention.h). With few rows its nodes of one
 * level are work for several threads, and who finishes last merges them: results are the same. */
#include "backend/cpu/worker.h"

#include <string.h>

/* One head through its norms and rotations, in place. */
static void apply(const puna_worker *w, const puna_head_ops *ops, size_t row, int32_t dim, float *x)
{
    const puna_vector_kernels *vector = w->program->vector;
    for (int32_t i = 0; i < ops->n; i++) {
        const puna_node *node = ops->node[i];
        if (node->op == PUNA_OP_NORM) {
            vector->norm(&node->p.norm, node->weight ? node->weight->data : NULL,
                         node->bias ? node->bias->data : NULL, x, x, (size_t)dim);
            continue;
        }
        const puna_rope_params *p = &node->p.rope;
        const float *cosines = w->angles[puna_steps_rope(w->steps, node)] + row * (size_t)p->n_rot;
        vector->rope(p->pairing, p->n_rot, cosines, cosines + p->n_rot / 2, x);
    }
}

/* ---- storing ---------------------------------------------------------------------------- */

/* x is scratch, and maybe rotated. */
static void put_key(const puna_worker *w, const puna_worker_thread *own, void *tile, int32_t slot,
                    int32_t dim, float *x)
{
    if (w->kv->format == PUNA_FORMAT_F16) {
        uint16_t *to = (uint16_t *)tile + slot;
        w->program->vector->narrow(x, own->half, (size_t)dim);
        for (size_t d = 0; d < (size_t)dim; d++)
            to[d * PUNA_KV_BLOCK] = own->half[d];
        return;
    }
    if (puna_kv_is_rotated(w->kv->format))
        w->program->attention->rotate(x, dim);
    puna_kv_put_key(w->kv->format, tile, dim, slot, x);
}

static void put_value(const puna_worker *w, void *tile, int32_t slot, int32_t dim, const float *v,
                      float *scratch)
{
    if (w->kv->format == PUNA_FORMAT_F16) {
        w->program->vector->narrow(v, (uint16_t *)tile + slot * dim, (size_t)dim);
        return;
    }
    if (puna_kv_is_rotated(w->kv->format)) {
        v = memcpy(scratch, v, (size_t)dim * sizeof *v);
        w->program->attention->rotate(scratch, dim);
    }
    puna_kv_put_value(w->kv->format, tile, dim, slot, v);
}

/* Rows [first, first + n) of a span into the one block they belong to, for one head. */
static void store(const puna_worker *w, int thread, const puna_step *step, const puna_worker_piece *piece,
                  int32_t head)
{
    const puna_worker_thread *own = &w->threads[thread];
    const puna_span *span = &w->batch->spans[piece->span];
    int32_t cache = step->store->p.cache, block = span->blocks[(span->pos + piece->first) / PUNA_KV_BLOCK];
    const puna_cache_layout *layout = &w->program->plan->caches[cache];
    size_t dk = (size_t)layout->head_dim_k, dv = (size_t)layout->head_dim_v;
    void *k = puna_kv_k(w->kv, cache, block, head), *v = puna_kv_v(w->kv, cache, block, head);
    for (int32_t i = piece->first; i < piece->first + piece->n; i++) {
        size_t row = (size_t)(span->first + i);
        int32_t slot = (span->pos + i) % PUNA_KV_BLOCK;
        memcpy(own->head, puna_worker_row(w, step->k.in, row) + (size_t)head * dk, dk * sizeof(float));
        apply(w, &step->k, row, (int32_t)dk, own->head);
        put_key(w, own, k, slot, (int32_t)dk, own->head);
        put_value(w, v, slot, (int32_t)dv, puna_worker_row(w, step->v, row) + (size_t)head * dv, own->head);
    }
}

static void store_all(puna_worker *w, int thread, const puna_step *step, puna_worker_phase *phase)
{
    int32_t n_head = w->program->plan->caches[step->store->p.cache].n_head, n = w->n_stores * n_head;
    int32_t begin, end, taken = 0;
    for (; puna_worker_take(w, phase, n, 8, &begin, &end); taken += end - begin)
        for (int32_t u = begin; u < end; u++)
            store(w, thread, step, &w->stores[u / n_head], u % n_head);
    puna_worker_finish(w, phase, n, taken);
}

/* ---- attending -------------------------------------------------------------------------- */

enum { UNITS = 8 }; /* of a thread, so that none waits long for another */

/* How the keys of a single row are divided: nodes [first, first + n) of 2^level leaves each. */
typedef struct ranges {
    int32_t begin, end; /* blocks that it sees */
    int32_t node_blocks, first, n;
} ranges;

/* Into as few ranges as keep all threads busy: the first keys of each come from memory unasked for. */
static ranges divide(const puna_worker *w, const puna_attention_params *p, const puna_span *span)
{
    ranges r = { .node_blocks = PUNA_ATTENTION_LEAF_BLOCKS };
    const int32_t heads = p->n_head_kv * w->n_tiles, enough = (UNITS * w->n_threads + heads - 1) / heads;
    const int32_t most = enough < PUNA_WORKER_SPLITS ? enough : PUNA_WORKER_SPLITS;
    puna_attention_range(p, span, span->pos, 1, &r.begin, &r.end);
    for (;; r.node_blocks *= 2) {
        r.first = r.begin / r.node_blocks;
        r.n = (r.end - 1) / r.node_blocks + 1 - r.first;
        if (r.n <= most)
            return r;
    }
}

static puna_attention_job make_job(const puna_worker *w, int thread, const puna_step *step,
                                   const puna_worker_piece *tile, int32_t head_kv)
{
    const puna_attention_params *p = &step->attention->p.attention;
    const puna_span *span = &w->batch->spans[tile->span];
    const puna_worker_thread *own = &w->threads[thread];
    const int32_t n_group = p->n_head / p->n_head_kv, first_head = head_kv * n_group;
    for (int32_t i = 0; p->alibi > 0 && i < n_group; i++)
        own->slopes[i] = puna_alibi_slope(p->alibi, first_head + i, p->n_head);
    return (puna_attention_job){
        .kernels = w->program->attention,
        .batch = w->options.deterministic ? NULL : w->program->attention_batch,
        .p = p,
        .kv = w->kv,
        .blocks = span->blocks,
        .span = span,
        .sinks = step->attention->weight ? (const float *)step->attention->weight->data + first_head : NULL,
        .slopes = p->alibi > 0 ? own->slopes : NULL,
        .head_kv = head_kv,
        .pos = span->pos + tile->first,
        .n_rows = tile->n,
        .n_group = n_group,
        .q = own->q,
        .codes = own->codes,
        .q_scale = own->q_scale,
        .scores = own->scores,
        .unpacked = own->unpacked,
        .stack = own->stack,
        .softcap = w->program->vector->softcap,
    };
}

/* The job's queries: copied, normalised, rotated, scaled (also by the temperature of their positions), encoded. */
static void load_queries(const puna_worker *w, const puna_step *step, puna_attention_job *job,
                         int32_t first_row)
{
    size_t dim = (size_t)job->p->head_dim;
    for (int32_t i = 0; i < job->n_rows * job->n_group; i++) {
        size_t row = (size_t)(first_row + i / job->n_group);
        size_t head = (size_t)(job->head_kv * job->n_group + i % job->n_group);
        float *q = job->q + (size_t)i * dim;
        memcpy(q, puna_worker_row(w, step->q.in, row) + head * dim, dim * sizeof *q);
        apply(w, &step->q, row, (int32_t)dim, q);
        const int32_t pos = job->pos + i / job->n_group;
        w->program->vector->scale(job->p->scale * puna_temperature(job->p, pos), q, q, dim);
    }
    puna_attention_queries(job);
}

static float *output(const puna_worker *w, const puna_attention_job *job, const puna_step *step,
                     int32_t first_row)
{
    return puna_worker_row(w, step->attention->out, (size_t)first_row) +
           (size_t)(job->head_kv * job->n_group) * (size_t)job->p->head_dim_v;
}

static size_t output_stride(const puna_attention_job *job)
{
    return (size_t)job->p->n_head * (size_t)job->p->head_dim_v;
}

static void attend_tile(puna_worker *w, int thread, const puna_step *step, const puna_worker_piece *tile,
                        int32_t head_kv)
{
    puna_attention_job job = make_job(w, thread, step, tile, head_kv);
    float *part = w->threads[thread].part;
    int32_t begin, end, first_row = w->batch->spans[tile->span].first + tile->first;
    puna_attention_range(job.p, job.span, job.pos, job.n_rows, &begin, &end);
    load_queries(w, step, &job, first_row);
    puna_attention_absorb(&job, begin, end, part);
    puna_attention_end(&job, part, output(w, &job, step, first_row), output_stride(&job));
}

static size_t part_floats(const puna_attention_params *p)
{
    return puna_attention_part_floats(p, (size_t)(p->n_head / p->n_head_kv));
}

size_t puna_worker_part_floats(const puna_attention_params *p)
{
    return PUNA_WORKER_SPLIT_TILES * (size_t)p->n_head_kv * PUNA_WORKER_SPLITS * part_floats(p);
}

/* Node number `part` of a single row's ranges; the last of them to finish merges all. */
static void attend_range(puna_worker *w, int thread, const puna_step *step, int32_t tile, int32_t head_kv,
                         int32_t part, const ranges *r)
{
    puna_attention_job job = make_job(w, thread, step, &w->tiles[tile], head_kv);
    const int32_t first_row = w->batch->spans[w->tiles[tile].span].first + w->tiles[tile].first;
    const int32_t from = (r->first + part) * r->node_blocks, to = from + r->node_blocks;
    load_queries(w, step, &job, first_row);
    size_t unit = (size_t)(tile * job.p->n_head_kv + head_kv), stride = part_floats(job.p);
    float *parts = w->parts + unit * PUNA_WORKER_SPLITS * stride;
    puna_attention_absorb(&job, from > r->begin ? from : r->begin, to < r->end ? to : r->end,
                          parts + (size_t)part * stride);
    atomic_int *done = &w->merges[unit].n;
    if (atomic_fetch_add_explicit(done, 1, memory_order_acq_rel) + 1 < r->n)
        return;
    atomic_store_explicit(done, 0, memory_order_relaxed);
    puna_attention_merge_nodes(&job, parts, stride, r->first, r->n);
    puna_attention_end(&job, parts, output(w, &job, step, first_row), output_stride(&job));
}

static ranges ranges_of(const puna_worker *w, const puna_attention_params *p, int32_t tile)
{
    return divide(w, p, &w->batch->spans[w->tiles[tile].span]);
}

/* Unit u of few single rows: tiles in order, heads in order, ranges in order. The range that holds
 * the row's own position also stores it: nobody else reads that block. */
static void attend_split(puna_worker *w, int thread, const puna_step *step, int32_t u)
{
    const puna_attention_params *p = &step->attention->p.attention;
    int32_t tile = 0;
    ranges r = ranges_of(w, p, 0);
    while (u >= r.n * p->n_head_kv) {
        u -= r.n * p->n_head_kv;
        r = ranges_of(w, p, ++tile);
    }
    if (step->store && u % r.n == r.n - 1)
        store(w, thread, step, &w->tiles[tile], u / r.n);
    if (r.n == 1)
        attend_tile(w, thread, step, &w->tiles[tile], u);
    else
        attend_range(w, thread, step, tile, u / r.n, u % r.n, &r);
}

/* Later queries see more keys: the long jobs go first. */
static void attend_unit(puna_worker *w, int thread, const puna_step *step, int32_t u)
{
    int32_t n_head = step->attention->p.attention.n_head_kv;
    const puna_worker_piece *tile = &w->tiles[w->n_tiles - 1 - u / n_head];
    if (step->store && w->single)
        store(w, thread, step, tile, u % n_head);
    attend_tile(w, thread, step, tile, u % n_head);
}

void puna_worker_attention(puna_worker *w, int thread, int32_t number)
{
    const puna_step *step = &w->steps->steps[number];
    puna_worker_phase *phases = puna_worker_phases(w, number);
    if (step->store && (step->kind == PUNA_STEP_STORE || !w->single))
        store_all(w, thread, step, &phases[0]);
    if (step->kind == PUNA_STEP_STORE)
        return;
    const puna_attention_params *p = &step->attention->p.attention;
    bool split = w->single && w->n_tiles <= PUNA_WORKER_SPLIT_TILES;
    int32_t n = w->n_tiles * p->n_head_kv, begin, end, taken = 0;
    if (split) {
        n = 0;
        for (int32_t i = 0; i < w->n_tiles; i++)
            n += ranges_of(w, p, i).n * p->n_head_kv;
    }
    for (; puna_worker_take(w, &phases[1], n, 1, &begin, &end); taken++) {
        if (split)
            attend_split(w, thread, step, begin);
        else
            attend_unit(w, thread, step, begin);
    }
    puna_worker_finish(w, &phases[1], n, taken);
}
