/* worker_attention.c - the attention step: rotate, store keys and values, attend.
 *
 * When every sequence of the batch has one row, the job of a key/value head stores that head's
 * key and value itself and attends: one phase. Otherwise keys and values are stored in a phase
 * before, a block and a head at a time.
 *
 * A single row's keys are absorbed in ranges whose ends depend on its position only; with few
 * rows the ranges are work for several threads, and who finishes last merges them in order. A
 * deterministic worker has no ranges: a row of a larger batch has none. */
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

/* A key becomes column `slot` of its tile. */
static void put_key(const puna_worker *w, const puna_worker_thread *own, void *tile, size_t slot, size_t dim)
{
    if (w->kv->format == PUNA_FORMAT_F16) {
        uint16_t *to = (uint16_t *)tile + slot;
        w->program->vector->narrow(own->head, own->half, dim);
        for (size_t d = 0; d < dim; d++)
            to[d * PUNA_KV_BLOCK] = own->half[d];
    } else {
        float *to = (float *)tile + slot;
        for (size_t d = 0; d < dim; d++)
            to[d * PUNA_KV_BLOCK] = own->head[d];
    }
}

static void put_value(const puna_worker *w, void *tile, size_t slot, size_t dim, const float *v)
{
    if (w->kv->format == PUNA_FORMAT_F16)
        w->program->vector->narrow(v, (uint16_t *)tile + slot * dim, dim);
    else
        memcpy((float *)tile + slot * dim, v, dim * sizeof *v);
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
        size_t row = (size_t)(span->first + i), slot = (size_t)(span->pos + i) % PUNA_KV_BLOCK;
        memcpy(own->head, puna_worker_row(w, step->k.in, row) + (size_t)head * dk, dk * sizeof(float));
        apply(w, &step->k, row, (int32_t)dk, own->head);
        put_key(w, own, k, slot, dk);
        put_value(w, v, slot, dv, puna_worker_row(w, step->v, row) + (size_t)head * dv);
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

/* Blocks of one key range when a query sees n of them. */
static int32_t range_blocks(int32_t n)
{
    int32_t least = (n + PUNA_WORKER_SPLITS - 1) / PUNA_WORKER_SPLITS;
    return least > PUNA_WORKER_SPLIT_BLOCKS ? least : PUNA_WORKER_SPLIT_BLOCKS;
}

static puna_attention_job make_job(const puna_worker *w, int thread, const puna_step *step,
                                   const puna_worker_piece *tile, int32_t head_kv)
{
    const puna_attention_params *p = &step->attention->p.attention;
    const puna_span *span = &w->batch->spans[tile->span];
    const puna_worker_thread *own = &w->threads[thread];
    return (puna_attention_job){
        .kernels = w->program->attention,
        .p = p,
        .kv = w->kv,
        .blocks = span->blocks,
        .head_kv = head_kv,
        .pos = span->pos + tile->first,
        .n_rows = tile->n,
        .n_group = p->n_head / p->n_head_kv,
        .q = own->q,
        .sums = own->sums,
        .highest = own->highest,
        .total = own->total,
        .scores = own->scores,
        .softcap = w->program->vector->softcap,
    };
}

/* The job's queries: copied, normalised, rotated, scaled. */
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
        w->program->vector->scale(job->p->scale, q, q, dim);
    }
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

/* A single query row's range number `part` into the thread's part_* memory or, for the first of
 * several that this thread sums itself, anywhere job points to. */
static void absorb_range(puna_attention_job *job, int32_t begin, int32_t end, int32_t size, int32_t part)
{
    int32_t from = begin + part * size, to = from + size < end ? from + size : end;
    puna_attention_begin(job);
    puna_attention_absorb(job, from, to);
}

static void attend_tile(puna_worker *w, int thread, const puna_step *step, const puna_worker_piece *tile,
                        int32_t head_kv)
{
    puna_attention_job job = make_job(w, thread, step, tile, head_kv), part;
    int32_t begin, end, first_row = w->batch->spans[tile->span].first + tile->first;
    puna_attention_range(job.p->window, job.pos, job.n_rows, &begin, &end);
    load_queries(w, step, &job, first_row);
    bool ranges = job.n_rows == 1 && !w->options.deterministic;
    int32_t size = ranges ? range_blocks(end - begin) : end - begin;
    absorb_range(&job, begin, end, size, 0);
    part = job;
    part.sums = w->threads[thread].part_sums;
    part.highest = w->threads[thread].part_highest;
    part.total = w->threads[thread].part_total;
    for (int32_t i = 1; begin + i * size < end; i++) {
        absorb_range(&part, begin, end, size, i);
        puna_attention_merge(&job, part.sums, part.highest, part.total);
    }
    puna_attention_end(&job, output(w, &job, step, first_row), output_stride(&job));
}

/* Floats of one range's result: sums, highest, total of a group. */
static size_t part_stride(const puna_attention_params *p)
{
    return (size_t)(p->n_head / p->n_head_kv) * ((size_t)p->head_dim_v + 2);
}

size_t puna_worker_part_floats(const puna_attention_params *p)
{
    return PUNA_WORKER_SPLIT_TILES * (size_t)p->n_head_kv * PUNA_WORKER_SPLITS * part_stride(p);
}

/* One of n_parts ranges of a single row; the last of them to finish merges all in order. */
static void attend_range(puna_worker *w, int thread, const puna_step *step, int32_t tile, int32_t head_kv,
                         int32_t part, int32_t n_parts)
{
    puna_attention_job job = make_job(w, thread, step, &w->tiles[tile], head_kv);
    int32_t begin, end, first_row = w->batch->spans[w->tiles[tile].span].first + w->tiles[tile].first;
    puna_attention_range(job.p->window, job.pos, 1, &begin, &end);
    load_queries(w, step, &job, first_row);
    size_t n = (size_t)job.n_group, sums = n * (size_t)job.p->head_dim_v;
    size_t unit = (size_t)(tile * job.p->n_head_kv + head_kv);
    float *parts = w->parts + unit * PUNA_WORKER_SPLITS * part_stride(job.p);
    float *own = parts + (size_t)part * part_stride(job.p);
    job.sums = own;
    job.highest = own + sums;
    job.total = own + sums + n;
    absorb_range(&job, begin, end, range_blocks(end - begin), part);
    atomic_int *done = &w->merges[unit].n;
    if (atomic_fetch_add_explicit(done, 1, memory_order_acq_rel) + 1 < n_parts)
        return;
    atomic_store_explicit(done, 0, memory_order_relaxed);
    job.sums = parts;
    job.highest = parts + sums;
    job.total = parts + sums + n;
    for (int32_t i = 1; i < n_parts; i++) {
        const float *other = parts + (size_t)i * part_stride(job.p);
        puna_attention_merge(&job, other, other + sums, other + sums + n);
    }
    puna_attention_end(&job, output(w, &job, step, first_row), output_stride(&job));
}

/* Ranges that the row of a tile is divided into. */
static int32_t n_ranges(const puna_worker *w, const puna_attention_params *p, int32_t tile)
{
    int32_t begin, end;
    puna_attention_range(p->window, w->batch->spans[w->tiles[tile].span].pos, 1, &begin, &end);
    int32_t size = range_blocks(end - begin);
    return (end - begin + size - 1) / size;
}

/* Unit u of few single rows: tiles in order, heads in order, ranges in order. The range that holds
 * the row's own position also stores it: nobody else reads that block. */
static void attend_split(puna_worker *w, int thread, const puna_step *step, int32_t u)
{
    const puna_attention_params *p = &step->attention->p.attention;
    int32_t tile = 0, n = n_ranges(w, p, 0);
    while (u >= n * p->n_head_kv) {
        u -= n * p->n_head_kv;
        n = n_ranges(w, p, ++tile);
    }
    if (step->store && u % n == n - 1)
        store(w, thread, step, &w->tiles[tile], u / n);
    if (n == 1)
        attend_tile(w, thread, step, &w->tiles[tile], u);
    else
        attend_range(w, thread, step, tile, u / n, u % n, n);
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
    puna_worker_phase *phases = &w->phases[2 * number];
    if (step->store && (step->kind == PUNA_STEP_STORE || !w->single))
        store_all(w, thread, step, &phases[0]);
    if (step->kind == PUNA_STEP_STORE)
        return;
    const puna_attention_params *p = &step->attention->p.attention;
    bool split = w->single && w->n_tiles <= PUNA_WORKER_SPLIT_TILES && !w->options.deterministic;
    int32_t n = w->n_tiles * p->n_head_kv, begin, end, taken = 0;
    if (split) {
        n = 0;
        for (int32_t i = 0; i < w->n_tiles; i++)
            n += n_ranges(w, p, i) * p->n_head_kv;
    }
    for (; puna_worker_take(w, &phases[1], n, 1, &begin, &end); taken++) {
        if (split)
            attend_split(w, thread, step, begin);
        else
            attend_unit(w, thread, step, begin);
    }
    puna_worker_finish(w, &phases[1], n, taken);
}
