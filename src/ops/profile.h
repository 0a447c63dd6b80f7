/* profile.h - where the time of runs goes. Owned by who opens a worker (options.profile), filled by
 * the backend: time by step, the steps being whatever the backend fused nodes to; and what each
 * node has to read and multiply at least, so that time can be compared with the machine's limits.
 * One thread at a time, like the worker. Refuses: names and printing. */
#ifndef PUNA_OPS_PROFILE_H
#define PUNA_OPS_PROFILE_H

#include "ops/kv.h"
#include "ops/plan.h"

typedef struct puna_batch puna_batch;

typedef struct puna_profile {
    const puna_plan *plan;
    int32_t n_steps;
    int32_t *step_of;     /* [n_nodes] the step that runs a node */
    uint64_t *step_ns;    /* [n_steps] from a step's beginning to the next one's */
    uint64_t *bytes;      /* [n_nodes] of weights and caches, read once a run */
    uint64_t *multiplies; /* [n_nodes] multiply-adds of products and attention */
    uint64_t n_runs, n_rows;
} puna_profile;

/* Room for a plan, everything zero, a step for every node until the backend says otherwise. */
puna_status puna_profile_open(puna_profile *profile, const puna_plan *plan, puna_error *err);
void puna_profile_close(puna_profile *profile);
/* Forgets what was counted. */
void puna_profile_reset(puna_profile *profile);

/* Counts one run: bytes and multiply-adds; times are added by the backend. */
void puna_profile_count(puna_profile *profile, const puna_batch *batch, const puna_kv *kv);

/* Bytes of keys and values that a position takes in one cache. */
uint64_t puna_kv_position_bytes(const puna_kv *kv, int32_t cache);

#endif
