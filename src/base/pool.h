/* pool.h - a persistent thread pool: one caller and n - 1 members run the same function. Owns threads,
 * how they wait for each other, and where they are pinned. Refuses queues and tasks: a run is one
 * function on several threads at once. */
#ifndef PUNA_BASE_POOL_H
#define PUNA_BASE_POOL_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/status.h"

typedef struct puna_pool puna_pool;

typedef void puna_pool_fn(void *user, int thread, int n_threads);

puna_status puna_pool_open(puna_pool **out, int n_threads, puna_error *err);
void puna_pool_close(puna_pool *pool);
int puna_pool_threads(const puna_pool *pool);

/* Waiting of runs with more threads than this does not spin: there are not the processors for it. */
void puna_pool_limit_spin(puna_pool *pool, int n_threads);

/* Pins member i to processors[i], for i from 1 on; thread 0 is the caller's own and stays as it is.
 * Returns how many could be pinned. */
int puna_pool_pin(puna_pool *pool, const int32_t *processors, int n);

/* Runs fn on every thread (the caller is thread 0) and returns when all have finished. Allocates
 * nothing. Members spin shortly for the next run, then sleep: an idle pool takes no CPU. */
void puna_pool_run(puna_pool *pool, puna_pool_fn *fn, void *user);

/* The same on the caller and at most n_threads - 1 members; the others go on sleeping. For work that
 * whoever is there takes: a member that has not come when the caller is through is not waited for,
 * and does not run fn at all. */
void puna_pool_share(puna_pool *pool, int n_threads, puna_pool_fn *fn, void *user);

/* A number that threads of a run may wait for. It needs only those threads that have work, so that one
 * whose processor was taken away holds nobody up. */
typedef _Atomic uint64_t puna_pool_word;

/* Inside a run: returns when *word == value, with all that was written before it became so. */
void puna_pool_wait(puna_pool *pool, puna_pool_word *word, uint64_t value);

/* Inside a run, after a (sequentially consistent) change of a word that others may wait for. */
void puna_pool_wake(puna_pool *pool);

#endif
