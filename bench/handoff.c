/* handoff.c - what threads cost each other: a phase whose pieces take no time, and waking members.
 * handoff [threads]
 * Per phase: every thread takes its pieces and waits for all of them, as the steps of a token do; a
 * SmolLM2 token has about 150 phases. Per run: how long after a pause a member begins, and what the
 * caller pays for starting a run. Medians and the best of several rounds, in microseconds. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/cpu/worker.h"
#include "base/clock.h"

enum { PHASES = 2000, ROUNDS = 21, UNITS = 16, RUNS = 200 };

typedef struct handoff {
    puna_worker worker;
    int64_t unit_ns;    /* of work */
    int64_t began[256]; /* by thread */
} handoff;

static void spin(int64_t ns)
{
    for (int64_t end = puna_clock_ns() + ns; ns > 0 && puna_clock_ns() < end;)
        ;
}

static void phases(void *user, int thread, int n_threads)
{
    handoff *h = user;
    (void)n_threads;
    (void)thread;
    for (int i = 0; i < PHASES; i++) {
        int32_t begin, end, taken = 0;
        puna_worker_phase *phase = &h->worker.phases[i];
        for (; puna_worker_take(&h->worker, phase, UNITS, UNITS, &begin, &end); taken += end - begin)
            spin(h->unit_ns * (end - begin));
        puna_worker_finish(&h->worker, phase, UNITS, taken);
    }
}

static void begin(void *user, int thread, int n_threads)
{
    (void)n_threads;
    ((handoff *)user)->began[thread] = puna_clock_ns();
}

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const char *what, double *values, size_t n)
{
    qsort(values, n, sizeof *values, order);
    printf("  %-44s %8.2f us  (best %.2f, 90 %% below %.2f)\n", what, values[n / 2], values[0],
           values[n * 9 / 10]);
}

static void time_phases(handoff *h, int64_t unit_ns)
{
    double values[ROUNDS];
    char what[64];
    h->unit_ns = unit_ns;
    for (int i = 0; i < ROUNDS; i++) {
        h->worker.epoch++;
        int64_t start = puna_clock_ns();
        puna_pool_run(h->worker.pool, phases, h);
        values[i] = (double)(puna_clock_ns() - start) / 1e3 / PHASES;
    }
    snprintf(what, sizeof what, "a phase of %d pieces of %d ns", UNITS, (int)unit_ns);
    print(what, values, ROUNDS);
}

static void time_runs(handoff *h, int pause_us)
{
    double members[RUNS], caller[RUNS];
    char what[64];
    for (int i = 0; i < RUNS; i++) {
        spin(pause_us * (int64_t)1000);
        int64_t start = puna_clock_ns();
        puna_pool_run(h->worker.pool, begin, h);
        int64_t last = 0;
        for (int t = 1; t < h->worker.n_threads; t++)
            last = h->began[t] > last ? h->began[t] : last;
        members[i] = (double)(last - start) / 1e3;
        caller[i] = (double)(h->began[0] - start) / 1e3;
    }
    snprintf(what, sizeof what, "until the last member begins, after %d us", pause_us);
    print(what, members, RUNS);
    snprintf(what, sizeof what, "until the caller begins, after %d us", pause_us);
    print(what, caller, RUNS);
}

int main(int argc, char **argv)
{
    handoff h = { .worker = { .n_threads = argc > 1 ? (int32_t)strtol(argv[1], NULL, 10) : 2, .epoch = 1 } };
    puna_error err = { 0 };
    h.worker.phases = aligned_alloc(64, PHASES * sizeof *h.worker.phases);
    if (!h.worker.phases || puna_pool_open(&h.worker.pool, h.worker.n_threads, &err) != PUNA_OK) {
        fprintf(stderr, "handoff: %s\n", err.message);
        free(h.worker.phases);
        return 1;
    }
    memset(h.worker.phases, 0, PHASES * sizeof *h.worker.phases);
    printf("%d threads\n", (int)h.worker.n_threads);
    time_phases(&h, 0);
    time_phases(&h, 1000);
    if (h.worker.n_threads > 1)
        for (int pause_us = 0; pause_us <= 2000; pause_us = pause_us ? pause_us * 10 : 20)
            time_runs(&h, pause_us);
    puna_pool_close(h.worker.pool);
    free(h.worker.phases);
    return 0;
}
