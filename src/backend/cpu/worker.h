/* worker.h - one session's executor: the memory and threads of a run, and the functions that run
 * one step on one thread. Owns how a step's work is divided; refuses to choose kernels.
 *
 * A step is one or more phases of work. Work is taken from a phase in pieces that shrink towards
 * the end, and a phase is over when all its pieces are done, not when all threads have come: a
 * thread whose processor is taken away delays the others by the piece it holds, or not at all.
 * Who holds no piece may therefore read none of the phase's inputs. What a piece computes does not
 * depend on who takes it or where it was cut: results are the same bits for every number of
 * threads. */
#ifndef PUNA_BACKEND_CPU_WORKER_H
#define PUNA_BACKEND_CPU_WORKER_H

#include <stdalign.h>
#include <stdatomic.h>

#include "backend/cpu/attention.h"
#include "backend/cpu/packed.h"
#include "backend/cpu/steps.h"
#include "backend/cpu/vector.h"
#include "base/pool.h"
#include "base/threads.h"
#include "ops/backend.h"

enum {
    PUNA_WORKER_THREAD_BYTES = 4 << 20, /* of weights for each further thread */
    PUNA_WORKER_ROWS = 512,             /* rows of activations that one product reads at a time */
    PUNA_WORKER_TILE = 131072,          /* floats of a thread for one piece of a gated activation */
    PUNA_WORKER_QUERIES = 32,           /* queries of an attention job, more for larger groups */
    PUNA_WORKER_BATCH_QUERIES = 64,     /* the same where they are computed in batches */
    PUNA_WORKER_SPLITS = 16,            /* key ranges of one query, at most */
    PUNA_WORKER_SPLIT_TILES = 4,        /* batches of more queries are not split */
    PUNA_WORKER_PHASES = 6              /* of a step, at most */
};

struct puna_program {
    const puna_plan *plan;
    uint32_t allowed;
    puna_steps fused, plain;
    puna_packed packed;
    const puna_vector_kernels *vector;
    const puna_attention_kernels *attention;
    const puna_attention_batch *attention_batch; /* or NULL */
};

/* What one thread may write without asking. */
typedef struct puna_worker_thread {
    float *chain;          /* [PUNA_STEP_CHAIN, widest value] */
    unsigned char *act[PUNA_ACT_KINDS]; /* one encoded row, or one for each expert of a row */
    float *tile;           /* [PUNA_WORKER_TILE] */
    void *linear;          /* scratch of puna_linear_run */
    float *q, *q_scale, *scores, *slopes; /* of an attention job, like the next four */
    int16_t *codes;
    unsigned char *unpacked;
    float *part, *stack;
    float *head;    /* one head's keys or values */
    uint16_t *half; /* the same, narrowed */
    float *reference; /* scratch of a scalar reference */
} puna_worker_thread;

/* How far a phase is, in units: taken and done. The high halves name the run they belong to, so
 * that nothing needs to be reset. */
typedef struct puna_worker_phase {
    alignas(64) puna_pool_word next;
    puna_pool_word done;
} puna_worker_phase;

/* A counter in a cache line of its own. */
typedef struct puna_worker_counter {
    alignas(64) atomic_int n;
} puna_worker_counter;

/* The rows of a batch by the experts that they were sent to: a pair is a row and the k-th of its experts, its number
 * row * n_used + k; those of one expert are neighbours, in the order of rows. */
typedef struct puna_worker_groups {
    int32_t *pairs;  /* [max pairs] which pair lies at a place */
    int32_t *places; /* [max pairs] and where a pair lies */
    int32_t *starts; /* [experts + 1] the first place of each expert */
    int32_t *active; /* [experts] those that any row was sent to */
    int32_t n_active;
    float *hidden;  /* [max pairs, n_ff] in order of places */
    float *results; /* [max pairs, n_out] the same, of batches of several rows */
} puna_worker_groups;

/* Rows [first, first + n) of a span: a job's queries, or rows stored into one block. */
typedef struct puna_worker_piece {
    int32_t span, first, n;
} puna_worker_piece;

struct puna_worker {
    const puna_program *program;
    const puna_steps *steps;
    puna_backend_options options;
    puna_pool *pool;
    puna_threads choice;
    uint64_t weight_bytes; /* that a token reads */
    int32_t n_threads;     /* of the run */
    void *memory;
    /* of the plan */
    puna_plan reference_plan; /* the plan, with this worker's places of values */
    int32_t tile_rows, max_width;
    float *values;         /* [steps->row_floats, max_tokens] */
    unsigned char *act[PUNA_ACT_KINDS]; /* [max_tokens, or pairs] encoded rows */
    puna_worker_groups groups;
    float **angles;        /* per rope table [max_tokens, n_rot]: cosines, then sines */
    puna_worker_thread *threads;
    puna_worker_phase *phases;   /* PUNA_WORKER_PHASES per step, one for the angles */
    puna_worker_counter *merges; /* [PUNA_WORKER_SPLIT_TILES, key/value heads] */
    float *parts;                /* what the ranges of split queries leave for merging */
    /* of the batch */
    const puna_batch *batch;
    puna_kv *kv;
    puna_worker_piece *tiles, *stores; /* [max_tokens] */
    int32_t n_tiles, n_stores;
    bool single;    /* every span has one row */
    uint32_t epoch; /* of the run */
    int32_t trace_step;
    int64_t started_ns; /* of the run, when it is timed */
};

static inline float *puna_worker_row(const puna_worker *w, puna_value v, size_t row)
{
    const puna_value_info *info = &w->steps->values[v];
    return w->values + info->offset * (size_t)w->options.max_tokens + row * (size_t)info->width;
}

static inline puna_worker_phase *puna_worker_phases(const puna_worker *w, int32_t number)
{
    return &w->phases[PUNA_WORKER_PHASES * (size_t)number];
}

static inline int32_t puna_worker_n_rows(const puna_worker *w, bool per_output)
{
    return per_output ? w->batch->n_outputs : w->batch->n_tokens;
}

/* Takes [*begin, *end) of a phase's n units; at most `most` of them. False when none are left. */
bool puna_worker_take(const puna_worker *w, puna_worker_phase *phase, int32_t n, int32_t most, int32_t *begin,
                      int32_t *end);

/* After a thread has done `taken` units: returns when all n are done. */
void puna_worker_finish(puna_worker *w, puna_worker_phase *phase, int32_t n, int32_t taken);

/* One thread's part of a step; all threads call it. */
void puna_worker_rows(puna_worker *w, int thread, int32_t number);
void puna_worker_linear(puna_worker *w, int thread, int32_t number);
void puna_worker_experts(puna_worker *w, int thread, int32_t number);
void puna_worker_attention(puna_worker *w, int thread, int32_t number);
void puna_worker_output(puna_worker *w, int32_t number);
void puna_worker_reference(puna_worker *w, int thread, int32_t number);

/* Outputs in a unit of work: enough weight bytes that taking it costs nothing beside. */
int32_t puna_worker_unit(const puna_linear *linear, int32_t n_rows);

/* The most outputs of one piece, so that a piece of all rows stays in the second-level cache. Where matrices are
 * multiplied by the processor that is large, and reading activations is what takes time: once for more outputs. */
int32_t puna_worker_most_outputs(int32_t n_rows, bool batch);

/* n encoded rows by outputs [begin, end) of a matrix. */
void puna_worker_product(const puna_worker *w, int thread, const puna_linear *linear, puna_act act,
                         const unsigned char *rows, int32_t n, int32_t begin, int32_t end, float *y,
                         size_t stride);

/* Where a product whose first output is `begin` must think its rows start, to fill memory from y on. */
static inline float *puna_worker_shifted(float *y, size_t begin)
{
    return (float *)((uintptr_t)y - (uintptr_t)begin * sizeof *y);
}

/* Floats of parts that a plan's attention needs. */
size_t puna_worker_part_floats(const puna_attention_params *p);

#endif
