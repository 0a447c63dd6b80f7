/* test_pool.c - every thread runs once per run, no thread passes a barrier early, an idle pool
 * takes no processor time. Run under BUILD=tsan as well. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <time.h>

#include "base/limits.h"
#include "base/pool.h"
#include "harness.h"

enum { MAX_THREADS = 8, PHASES = 100 };

typedef struct shared {
    puna_pool *pool;
    int cells[MAX_THREADS]; /* plain memory: only the barrier orders it */
    int runs[MAX_THREADS];
    atomic_int wrong;
} shared;

static void ring(void *user, int thread, int n_threads)
{
    shared *s = user;
    s->runs[thread]++;
    for (int phase = 0; phase < PHASES; phase++) {
        s->cells[thread] = phase;
        puna_pool_barrier(s->pool, thread);
        if (s->cells[(thread + 1) % n_threads] != phase)
            atomic_fetch_add(&s->wrong, 1);
        puna_pool_barrier(s->pool, thread);
    }
}

static void barriers_hold_with_any_number_of_threads(void)
{
    for (int n = 1; n <= MAX_THREADS; n++) {
        puna_error err = { 0 };
        shared s = { 0 };
        if (!CHECK_OK(puna_pool_open(&s.pool, n, &err), err))
            return;
        CHECK_INT(puna_pool_threads(s.pool), n);
        puna_pool_run(s.pool, ring, &s);
        puna_pool_run(s.pool, ring, &s);
        for (int i = 0; i < n; i++)
            CHECK_INT(s.runs[i], 2);
        CHECK_INT(atomic_load(&s.wrong), 0);
        puna_pool_close(s.pool);
    }
}

static void count(void *user, int thread, int n_threads)
{
    (void)n_threads;
    ((shared *)user)->runs[thread]++;
}

static void many_short_runs_all_finish(void)
{
    puna_error err = { 0 };
    shared s = { 0 };
    if (!CHECK_OK(puna_pool_open(&s.pool, 4, &err), err))
        return;
    for (int i = 1; i <= 3000; i++) {
        puna_pool_run(s.pool, count, &s);
        for (int t = 0; t < 4; t++)
            if (s.runs[t] != i) {
                CHECK_INT(s.runs[t], i);
                i = 3000;
            }
    }
    puna_pool_close(s.pool);
}

static double processor_ms(void)
{
    return (double)clock() * 1e3 / CLOCKS_PER_SEC;
}

static void sleepers_wake_and_idle_takes_nothing(void)
{
    puna_error err = { 0 };
    shared s = { 0 };
    if (!CHECK_OK(puna_pool_open(&s.pool, 4, &err), err))
        return;
    const struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };
    puna_pool_run(s.pool, count, &s);
    nanosleep(&(struct timespec){ .tv_nsec = 20 * 1000 * 1000 }, NULL);
    double before = processor_ms();
    for (int i = 0; i < 4; i++)
        nanosleep(&pause, NULL);
    CHECK(processor_ms() - before < 5);
    puna_pool_run(s.pool, count, &s);
    for (int t = 0; t < 4; t++)
        CHECK_INT(s.runs[t], 2);
    puna_pool_close(s.pool);
}

static void wrong_counts_are_refused(void)
{
    puna_error err = { 0 };
    puna_pool *pool;
    CHECK_INT(puna_pool_open(&pool, 0, &err), PUNA_ERR_ARGUMENT);
    CHECK_TEXT(err.message, "threads: got 0, expected 1 to 256");
    CHECK_INT(puna_pool_open(&pool, PUNA_MAX_THREADS + 1, &err), PUNA_ERR_ARGUMENT);
    CHECK(pool == NULL);
    puna_pool_close(NULL);
    CHECK(puna_pool_processors() >= 1 && puna_pool_processors() <= PUNA_MAX_THREADS);
}

int main(int argc, char **argv)
{
    const test_case cases[] = {
        TEST(barriers_hold_with_any_number_of_threads),
        TEST(many_short_runs_all_finish),
        TEST(sleepers_wake_and_idle_takes_nothing),
        TEST(wrong_counts_are_refused),
    };
    return test_main("pool", cases, sizeof cases / sizeof *cases, argc, argv);
}
