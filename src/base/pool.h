/* pool.h - a persistent thread pool: one caller and n - 1 workers run the same function, with a
 * cheap barrier between phases. Owns threads, barrier, and the count of processors this process
 * may use. Refuses queues and tasks: a run is one function on all threads at once. */
#ifndef PUNA_BASE_POOL_H
#define PUNA_BASE_POOL_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/status.h"

typedef struct puna_pool puna_pool;

typedef void puna_pool_fn(void *user, int thread, int n_threads);

/* Processors this process may really run on: affinity mask and cgroup quota (v2 and v1); >= 1. */
int puna_pool_processors(void);

puna_status puna_pool_open(puna_pool **out, int n_threads, puna_error *err);
void puna_pool_close(puna_pool *pool);
int puna_pool_threads(const puna_pool *pool);

/* Runs fn on every thread (the caller is thread 0) and returns when all have finished. Allocates
 * nothing. Workers spin shortly for the next run, then sleep: an idle pool takes no CPU. */
void puna_pool_run(puna_pool *pool, puna_pool_fn *fn, void *user);

/* Inside a run, called by every thread the same number of times: none passes before all came. */
void puna_pool_barrier(puna_pool *pool, int thread);

/* A number that threads of a run may wait for: unlike a barrier it needs only those threads that
 * have work, so that one whose processor was taken away holds nobody up. */
typedef _Atomic uint64_t puna_pool_word;

/* Inside a run: returns when *word == value, with all that was written before it became so. */
void puna_pool_wait(puna_pool *pool, puna_pool_word *word, uint64_t value);

/* Inside a run, after a (sequentially consistent) change of a word that others may wait for. */
void puna_pool_wake(puna_pool *pool);

#endif
