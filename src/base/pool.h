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

#endif
