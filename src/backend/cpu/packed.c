/* packed.c - packed copies of weights. The copy is as large as the weight; the file's pages are
 * given back on the way, so that the most memory ever used is about one copy. */
#define _DEFAULT_SOURCE
#include "backend/cpu/packed.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "backend/cpu/pack.h"
#include "base/checked.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/pool.h"
#include "base/threads.h"

enum {
    HUGE_PAGE = 2 << 20,
    JOB_BYTES = 1 << 20,     /* copied by a thread at once */
    THREAD_BYTES = 16 << 20, /* starting a thread costs as much as copying a few of these */
    NODE_WEIGHTS = 3         /* matrices of a node, at most */
};

static int by_address(const void *a, const void *b)
{
    const puna_tensor *x = ((const puna_packed_weight *)a)->weight, *y = ((const puna_packed_weight *)b)->weight;
    return (x > y) - (x < y);
}

/* The matrices of all experts: whole panels must belong to one, and to its gate or its up. */
static bool experts_pack(const puna_node *node, const puna_tensor *weight, uint32_t allowed)
{
    const uint64_t n_rows =
        node->p.experts.fused && weight == node->weight ? weight->ne[1] / 2 : weight->ne[1];
    return n_rows % PUNA_PANEL_ROWS == 0 && puna_linear_packs(weight, allowed);
}

/* The matrices of a plan that can be packed, each once. */
static void collect(puna_packed *packed, const puna_plan *plan, uint32_t allowed)
{
    int32_t n = 0;
    for (int32_t i = 0; i < plan->n_nodes; i++) {
        const puna_node *node = &plan->nodes[i];
        if ((node->op == PUNA_OP_LINEAR || node->op == PUNA_OP_LOGITS) && puna_linear_packs(node->weight, allowed))
            packed->weights[n++].weight = node->weight;
        if (node->op != PUNA_OP_MOE_FFN)
            continue;
        const puna_tensor *all[] = { node->weight, node->more[PUNA_EXPERTS_UP],
                                     node->more[PUNA_EXPERTS_DOWN] };
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            if (all[k] && experts_pack(node, all[k], allowed))
                packed->weights[n++].weight = all[k];
    }
    qsort(packed->weights, (size_t)n, sizeof *packed->weights, by_address);
    for (int32_t i = 0; i < n; i++)
        if (i == 0 || packed->weights[i].weight != packed->weights[i - 1].weight)
            packed->weights[packed->n_weights++] = packed->weights[i];
}

/* ---- copying ---------------------------------------------------------------------------- */

typedef struct copying {
    puna_packed *packed;
    _Atomic int64_t next; /* job */
} copying;

static int32_t panels_of(const puna_tensor *t)
{
    return (int32_t)((puna_tensor_rows(t) + PUNA_PANEL_ROWS - 1) / PUNA_PANEL_ROWS);
}

static int32_t panels_of_job(const puna_tensor *t)
{
    uint64_t bytes = puna_tensor_row_bytes(t) * PUNA_PANEL_ROWS, n = bytes ? JOB_BYTES / bytes : 1;
    return n < 1 ? 1 : n > 1024 ? 1024 : (int32_t)n;
}

static void copy_panels(const puna_packed_weight *w, int32_t begin, int32_t end)
{
    const puna_tensor *t = w->weight;
    const size_t row_bytes = (size_t)puna_tensor_row_bytes(t), panel_bytes = row_bytes * PUNA_PANEL_ROWS;
    const int64_t n_rows = (int64_t)puna_tensor_rows(t);
    puna_pack_fn *pack = puna_pack_of(t->format->id);
    for (int32_t i = begin; i < end; i++) {
        const int64_t left = n_rows - (int64_t)i * PUNA_PANEL_ROWS;
        pack((const uint8_t *)t->data + (size_t)i * panel_bytes, row_bytes,
             left < PUNA_PANEL_ROWS ? (int32_t)left : PUNA_PANEL_ROWS, (int32_t)(t->ne[0] / t->format->block_elems),
             w->panels + (size_t)i * panel_bytes);
    }
}

/* Gives back all that is mapped of a weight: a fault maps up to 2 MiB around it, beyond the panels of a job and beyond
 * the weight. What another thread still reads comes back. */
static void release(const puna_tensor *t)
{
    if (t->mapped)
        puna_file_release(t->data, (size_t)(puna_tensor_rows(t) * puna_tensor_row_bytes(t)));
}

/* Jobs are numbered through all weights. */
static void copy_all(void *user, int thread, int n_threads)
{
    (void)thread;
    (void)n_threads;
    copying *c = user;
    int64_t first = 0, job = atomic_fetch_add(&c->next, 1);
    for (int32_t i = 0; i < c->packed->n_weights; i++) {
        const puna_packed_weight *w = &c->packed->weights[i];
        const int32_t n_panels = panels_of(w->weight), size = panels_of_job(w->weight);
        const int64_t n_jobs = (n_panels + size - 1) / size;
        for (; job < first + n_jobs; job = atomic_fetch_add(&c->next, 1)) {
            const int32_t begin = (int32_t)(job - first) * size;
            copy_panels(w, begin, n_panels - begin < size ? n_panels : begin + size);
            release(w->weight);
            if (i > 0)
                release(w[-1].weight);
        }
        first += n_jobs;
    }
}

static puna_status copy(puna_packed *packed, size_t bytes, puna_error *err)
{
    puna_pool *pool = NULL;
    copying c = { .packed = packed };
    size_t useful = 1 + bytes / THREAD_BYTES, most = (size_t)puna_threads_usable();
    TRY(puna_pool_open(&pool, (int)(useful < most ? useful : most), err));
    puna_pool_run(pool, copy_all, &c);
    puna_pool_close(pool);
    return PUNA_OK;
}

/* ---- memory ----------------------------------------------------------------------------- */

static bool sum_bytes(const puna_packed *packed, size_t *bytes)
{
    *bytes = HUGE_PAGE;
    for (int32_t i = 0; i < packed->n_weights; i++)
        if (!puna_add_size(*bytes, (puna_packed_bytes(packed->weights[i].weight) + 63) / 64 * 64, bytes))
            return false;
    return true;
}

static puna_status take_memory(puna_packed *packed, size_t bytes, puna_error *err)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return puna_fail_memory(err, "packed weights", bytes);
    packed->mapping = at;
    packed->mapping_bytes = bytes;
    uint8_t *begin = (uint8_t *)at + (HUGE_PAGE - (uintptr_t)at % HUGE_PAGE) % HUGE_PAGE;
    madvise(begin, bytes - (size_t)(begin - (uint8_t *)at), MADV_HUGEPAGE);
    for (int32_t i = 0; i < packed->n_weights; i++) {
        packed->weights[i].panels = begin;
        begin += (puna_packed_bytes(packed->weights[i].weight) + 63) / 64 * 64;
    }
    return PUNA_OK;
}

puna_status puna_packed_make(puna_packed *packed, const puna_plan *plan, uint32_t allowed, puna_repack repack,
                             puna_error *err)
{
    size_t bytes;
    *packed = (puna_packed){ 0 };
    if (repack == PUNA_REPACK_OFF)
        return PUNA_OK;
    packed->weights = calloc(NODE_WEIGHTS * (size_t)plan->n_nodes + 1, sizeof *packed->weights);
    if (!packed->weights)
        return puna_fail_memory(err, "packed weights",
                                NODE_WEIGHTS * (size_t)plan->n_nodes * sizeof *packed->weights);
    collect(packed, plan, allowed);
    puna_status status = PUNA_OK;
    if (!sum_bytes(packed, &bytes))
        status = puna_fail_memory(err, "packed weights", SIZE_MAX);
    else if (packed->n_weights && (repack == PUNA_REPACK_ON || bytes < puna_memory_available() / 10 * 9))
        status = take_memory(packed, bytes, err);
    else
        packed->n_weights = 0;
    if (status == PUNA_OK && packed->n_weights)
        status = copy(packed, bytes, err);
    if (status != PUNA_OK || !packed->n_weights)
        puna_packed_free(packed);
    return status;
}

void puna_packed_free(puna_packed *packed)
{
    if (packed->mapping)
        munmap(packed->mapping, packed->mapping_bytes);
    free(packed->weights);
    *packed = (puna_packed){ 0 };
}

void puna_packed_use(const puna_packed *packed, puna_steps *steps)
{
    for (int32_t s = 0; packed->n_weights && s < steps->n_steps; s++)
        for (int32_t i = 0; i < steps->steps[s].n_linears; i++) {
            puna_linear *linear = &steps->steps[s].linears[i].linear;
            const puna_packed_weight key = { .weight = linear->weight }, *found;
            found = bsearch(&key, packed->weights, (size_t)packed->n_weights, sizeof key, by_address);
            if (found)
                puna_linear_use(linear, found->panels);
        }
}
