/* threads.h - how many threads compute, and why. Owns the rules; refuses to read the system
 * (topology.h) and to start threads (pool.h).
 *
 * Prefill multiplies: one thread per core, slow cores too unless they are three times slower than the
 * fastest, because the last piece of a phase would wait for them. Processors that share a core share
 * its multipliers, so they are left out; with one or two cores they are used, where filling the gaps
 * of a core's waiting for memory is worth more than the share of its caches costs.
 * Decode waits for memory: fast cores, and slow ones only where there are fewer than four fast.
 * A quota of control groups bounds both, rounded up: a thread beyond it only makes the kernel stop
 * all of them for the rest of the period. */
#ifndef PUNA_BASE_THREADS_H
#define PUNA_BASE_THREADS_H

#include "base/topology.h"

typedef struct puna_threads {
    int32_t prefill, decode; /* 1 to PUNA_MAX_THREADS */
    int32_t n_busy;          /* processors that waiting threads may keep busy */
    char why_prefill[120], why_decode[120];
} puna_threads;

/* wanted, wanted_prefill: as the options threads and threads_batch; 0 = choose. */
void puna_threads_choose(puna_threads *out, const puna_topology *topology, int32_t wanted,
                         int32_t wanted_prefill);

/* This machine's choice for work limited by arithmetic. */
int32_t puna_threads_usable(void);

#endif
