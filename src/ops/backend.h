/* backend.h - what runs a plan. A backend is one const table of functions; it sees plans,
 * batches and caches, never a model. Two objects: a program (a plan prepared for the backend,
 * immutable, shared by sessions: repacked weights live there) and a worker (scratch memory and
 * threads of one session, used by one thread at a time). */
#ifndef PUNA_OPS_BACKEND_H
#define PUNA_OPS_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "ops/kv.h"
#include "ops/plan.h"
#include "ops/profile.h"

/* Rows [first, first + n) of a batch: the consecutive positions pos .. pos + n - 1 of one
 * sequence. Position p lies in slot p % PUNA_KV_BLOCK of block blocks[p / PUNA_KV_BLOCK];
 * blocks covers 0 .. pos + n - 1 (entries that a window has passed may be -1). */
typedef struct puna_span {
    int32_t first, n, pos;
    const int32_t *blocks;
    int32_t
        slot; /* of the sequence's states: the first span of a sequence, at position 0, finds zeros there */
} puna_span;

struct puna_batch {
    int32_t n_tokens;           /* 1 .. the worker's max_tokens */
    const int32_t *tokens;      /* [n_tokens], each checked against the vocabulary by the engine */
    const int32_t *positions;   /* [n_tokens] */
    int32_t n_spans;
    const puna_span *spans;     /* disjoint, in order, covering all rows */
    int32_t n_outputs;
    const int32_t *output_rows; /* [n_outputs], ascending; rows that get logits */
    float *const *logits;       /* [n_outputs] rows of plan->n_vocab each, written by LOGITS */
};

enum { PUNA_PREFILL_ROWS = 8 }; /* from here on a run is limited by arithmetic, not by memory */

/* Called after each node with the rows of its output (NULL when it has none); for tracing. */
typedef void puna_trace_fn(void *user, const puna_node *node, const float *rows, int32_t n_rows,
                           int32_t width);

/* Whether a program may copy weights into an order that is faster to compute with. AUTO: when the
 * memory is there. */
typedef enum puna_repack { PUNA_REPACK_AUTO, PUNA_REPACK_ON, PUNA_REPACK_OFF } puna_repack;

typedef struct puna_program_options {
    const char *isa; /* the highest instruction set to use by name; NULL or "" for the best */
    puna_repack repack;
} puna_program_options;

typedef struct puna_backend_options {
    int32_t n_threads;         /* 0 = choose */
    int32_t n_threads_prefill; /* of runs of PUNA_PREFILL_ROWS and more; 0 = n_threads, or choose */
    bool pin;                  /* threads to processors */
    bool deterministic;        /* a row's logits are the same bits whatever else is in its batch */
    int32_t max_tokens;     /* rows of the largest batch */
    int32_t max_outputs;    /* rows of logits of the largest batch */
    bool fusion;            /* false: one step per node */
    puna_trace_fn *trace;   /* may be NULL; turns fusion off */
    void *trace_user;
    puna_profile *profile;  /* opened for the program's plan, filled by runs; NULL: nothing is timed */
} puna_backend_options;

typedef struct puna_program puna_program;
typedef struct puna_worker puna_worker;

/* What the hardware can do at most, measured with the best access pattern, on all threads. */
typedef struct puna_backend_limits {
    double read_gb_per_s;   /* 1e9 bytes of memory read per second, beyond the caches */
    double int8_gmac_per_s; /* 1e9 int8 multiply-adds per second, by the fastest instructions there are */
    const char *int8_way;   /* which instructions those were, for people; static */
    int32_t n_threads;
    uint64_t read_bytes, read_huge_bytes; /* of the memory that was read; how much lay on huge pages */
} puna_backend_limits;

typedef struct puna_backend {
    const char *name;
    /* The plan and its weights outlive the program. Backends ignore options that mean nothing to them. */
    puna_status (*program_open)(puna_program **out, const puna_plan *plan, const puna_program_options *options,
                                puna_error *err);
    void (*program_close)(puna_program *program);
    puna_status (*worker_open)(puna_worker **out, const puna_program *program,
                               const puna_backend_options *options, puna_error *err);
    void (*worker_close)(puna_worker *worker);
    /* Runs the whole plan over one batch. Allocates nothing. The keys and values of the batch's
     * positions are in kv afterwards. */
    puna_status (*run)(puna_worker *worker, const puna_batch *batch, puna_kv *kv, puna_error *err);
    /* Nodes of the program that run through the scalar reference, of all its nodes; why goes to
     * text (one line, e.g. "linear iq3_s x 12"). */
    int32_t (*n_fallback)(const puna_program *program, char *text, size_t capacity);

    /* About the machine, for people; NULL where a backend has nothing to say. */
    void (*describe)(const char *isa, char *text, size_t capacity); /* "avx2" */
    bool (*has_kernel)(puna_format format);                  /* matrix products without the reference */
    /* Takes about a second; n_threads 0 = as many as the process may use. */
    puna_status (*measure)(const char *isa, int n_threads, puna_backend_limits *limits, puna_error *err);
} puna_backend;

extern const puna_backend puna_backend_ref; /* ops/ref: the scalar oracle */
extern const puna_backend puna_backend_cpu; /* backend/cpu */

#endif
