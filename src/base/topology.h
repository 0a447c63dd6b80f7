/* topology.h - the processors that this process may really use: affinity and cpuset, the quota of its
 * control groups, which of them share a core, which are slow cores, and which memory node each belongs
 * to. Owns reading that from /proc and /sys; refuses to decide what to do with it (threads.h). */
#ifndef PUNA_BASE_TOPOLOGY_H
#define PUNA_BASE_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"

typedef struct puna_processor {
    int16_t id;    /* the system's number */
    int16_t core;  /* the number of the first processor on the same core */
    int16_t node;  /* of memory; 0 when the system does not say */
    int16_t speed; /* 1 to 1024, the fastest of those usable */
    bool slow;     /* an efficiency core, beside faster ones */
    bool sibling;  /* an earlier usable processor is on the same core */
} puna_processor;

typedef struct puna_topology {
    int32_t n;            /* processors that may be used, at least 1 */
    int32_t n_online;     /* in the machine */
    int32_t n_cores;      /* among the n, siblings counted once */
    int32_t n_slow;       /* of n_cores */
    int32_t n_nodes;      /* of memory, that the n belong to */
    int32_t quota_millis; /* thousandths of a processor's time that control groups allow; 0 = no limit */
    puna_processor processors[PUNA_MAX_PROCESSORS]; /* [n], ascending */
} puna_topology;

/* Never fails: what cannot be read is taken for the plainest case. root: the folder under which proc
 * and sys lie, "" for this machine's own. Does not allocate. */
void puna_topology_read(puna_topology *topology, const char *root);

/* The usable processors in the order threads should take them: fast cores, slow cores, siblings.
 * ids[topology->n]. */
void puna_topology_order(const puna_topology *topology, int32_t *ids);

#endif
