/* threads.c - the rules of threads.h, with their reasons in words. */
#include "base/threads.h"

#include <stdio.h>

enum { ENOUGH_FAST = 4, FEW_CORES = 2 };

/* At most what quota and limits allow. */
static int32_t bounded(const puna_topology *t, int32_t n)
{
    int32_t quota = (t->quota_millis + 999) / 1000;
    if (quota > 0 && n > quota)
        n = quota;
    return n < 1 ? 1 : n > PUNA_MAX_THREADS ? PUNA_MAX_THREADS : n;
}

/* Adds the quota to a reason that it changes. */
static void add_quota(const puna_topology *t, int32_t before, int32_t after, char *why, size_t capacity)
{
    if (after < before && t->quota_millis > 0 && after == bounded(t, PUNA_MAX_THREADS))
        snprintf(why, capacity, "the control group's quota of %.1f processors, of %d usable",
                 t->quota_millis / 1000.0, (int)t->n);
}

static int32_t for_prefill(const puna_topology *t, char *why, size_t capacity)
{
    int32_t n = 0;
    for (int32_t i = 0; i < t->n; i++)
        n += !t->processors[i].sibling && (!t->processors[i].slow || t->processors[i].speed * 3 >= 1024);
    if (t->n_cores <= FEW_CORES && t->n > t->n_cores) {
        snprintf(why, capacity, "all %d processors of %d core%s", (int)t->n, (int)t->n_cores,
                 t->n_cores == 1 ? "" : "s");
        return t->n;
    }
    if (n < t->n_cores)
        snprintf(why, capacity, "one per core, without %d that would be waited for", (int)(t->n_cores - n));
    else if (t->n > n)
        snprintf(why, capacity, "one per core: processors that share a core share its multipliers");
    else
        snprintf(why, capacity, "the processors that this process may use, of %d in the machine",
                 (int)t->n_online);
    return n;
}

static int32_t for_decode(const puna_topology *t, char *why, size_t capacity)
{
    int32_t fast = t->n_cores - t->n_slow, n = fast;
    if (t->n_cores <= FEW_CORES && t->n > t->n_cores) {
        snprintf(why, capacity, "all %d processors of %d core%s", (int)t->n, (int)t->n_cores,
                 t->n_cores == 1 ? "" : "s");
        return t->n;
    }
    if (t->n_slow > 0 && fast < ENOUGH_FAST) {
        n = t->n_cores < ENOUGH_FAST ? t->n_cores : ENOUGH_FAST;
        snprintf(why, capacity, "%d fast cores and %d slow ones: too few fast ones for the memory", (int)fast,
                 (int)(n - fast));
    } else if (t->n_slow > 0) {
        snprintf(why, capacity, "the fast cores: memory is the limit, and slow ones hold the others up");
    } else if (t->n > n) {
        snprintf(why, capacity, "one per core: memory is the limit");
    } else {
        snprintf(why, capacity, "the processors that this process may use, of %d in the machine",
                 (int)t->n_online);
    }
    return n;
}

void puna_threads_choose(puna_threads *out, const puna_topology *t, int32_t wanted, int32_t wanted_prefill)
{
    *out = (puna_threads){ .n_busy = bounded(t, t->n) };
    int32_t prefill = for_prefill(t, out->why_prefill, sizeof out->why_prefill);
    int32_t decode = for_decode(t, out->why_decode, sizeof out->why_decode);
    out->prefill = bounded(t, prefill);
    out->decode = bounded(t, decode);
    add_quota(t, prefill, out->prefill, out->why_prefill, sizeof out->why_prefill);
    add_quota(t, decode, out->decode, out->why_decode, sizeof out->why_decode);
    if (wanted > 0) {
        out->prefill = out->decode = wanted;
        snprintf(out->why_decode, sizeof out->why_decode, "asked for with --threads or PUNA_THREADS");
        snprintf(out->why_prefill, sizeof out->why_prefill, "asked for with --threads or PUNA_THREADS");
    }
    if (wanted_prefill > 0) {
        out->prefill = wanted_prefill;
        snprintf(out->why_prefill, sizeof out->why_prefill,
                 "asked for with --threads-batch or PUNA_THREADS_BATCH");
    }
}

int32_t puna_threads_usable(void)
{
    puna_topology topology;
    puna_threads threads;
    puna_topology_read(&topology, "");
    puna_threads_choose(&threads, &topology, 0, 0);
    return threads.prefill;
}
