/* test_pool.c - every thread runs once per run, words order what was written, who comes late is not
 * waited for, an idle pool takes no processor time. Run under BUILD=tsan as well. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/pool.h"
#include "harness.h"

enum { MAX_THREADS = 8 };

typedef struct shared {
    puna_pool *pool;
    int runs[MAX_THREADS];
} shared;

enum { LINKS = 400 };

typedef struct chain {
    puna_pool *pool;
    puna_pool_word word;
    int value; /* plain memory: only the word orders it */
} chain;

/* Link i is made by one thread, in turn; the others only wait for it. */
static void pass_on(void *user, int thread, int n_threads)
{
    chain *c = user;
    for (uint64_t i = 0; i < LINKS; i++) {
        if ((int)(i % (uint64_t)n_threads) != thread)
            continue;
        puna_pool_wait(c->pool, &c->word, i);
        c->value += (int)i;
        atomic_store(&c->word, i + 1);
        puna_pool_wake(c->pool);
    }
    puna_pool_wait(c->pool, &c->word, LINKS);
}

static void words_order_what_was_written(void)
{
    for (int n = 1; n <= 4; n++) {
        puna_error err = { 0 };
        chain c = { 0 };
        if (!CHECK_OK(puna_pool_open(&c.pool, n, &err), err))
            return;
        puna_pool_run(c.pool, pass_on, &c);
        CHECK_INT(c.value, LINKS * (LINKS - 1) / 2);
        puna_pool_close(c.pool);
    }
}

static void count(void *user, int thread, int n_threads)
{
    (void)n_threads;
    ((shared *)user)->runs[thread]++;
}

static void many_short_runs_all_finish(void)
{
    for (int n = 1; n <= MAX_THREADS; n++) {
        puna_error err = { 0 };
        shared s = { 0 };
        if (!CHECK_OK(puna_pool_open(&s.pool, n, &err), err))
            return;
        CHECK_INT(puna_pool_threads(s.pool), n);
        puna_pool_limit_spin(s.pool, n == 3 ? 2 : n);
        int wrong = 0;
        for (int i = 1; i <= 1000; i++) {
            puna_pool_run(s.pool, count, &s);
            for (int t = 0; t < n; t++)
                wrong += s.runs[t] != i;
        }
        CHECK_INT(wrong, 0);
        puna_pool_close(s.pool);
    }
}

enum { PIECES = 40 };

typedef struct work {
    atomic_int next, n_ran;
    int done[PIECES];
    int most_threads;
} work;

static void take(void *user, int thread, int n_threads)
{
    work *w = user;
    if (thread >= n_threads || n_threads > w->most_threads)
        atomic_fetch_add(&w->n_ran, 1000);
    atomic_fetch_add(&w->n_ran, 1);
    for (int i; (i = atomic_fetch_add(&w->next, 1)) < PIECES;)
        w->done[i]++;
}

/* Runs of changing size, short enough that members often come too late. */
static void shared_work_is_done_once_by_whoever_comes(void)
{
    puna_error err = { 0 };
    puna_pool *pool;
    if (!CHECK_OK(puna_pool_open(&pool, 4, &err), err))
        return;
    int n_late = 0, n_wrong = 0;
    for (int i = 0; i < 5000; i++) {
        work w = { .most_threads = i % 4 + 1 };
        if (i % 500 == 0)
            nanosleep(&(struct timespec){ .tv_nsec = 1000 * 1000 }, NULL);
        puna_pool_share(pool, w.most_threads, take, &w);
        for (int k = 0; k < PIECES; k++)
            n_wrong += w.done[k] != 1;
        int n_ran = atomic_load(&w.n_ran);
        n_wrong += n_ran < 1 || n_ran > w.most_threads;
        n_late += n_ran < w.most_threads;
    }
    CHECK_INT(n_wrong, 0);
    CHECK(n_late > 0);
    puna_pool_close(pool);
}

static void nothing(void *user, int thread, int n_threads)
{
    (void)n_threads;
    (void)thread;
    (void)user;
}

static void late_members_are_not_waited_for(void)
{
    puna_error err = { 0 };
    puna_pool *pool;
    if (!CHECK_OK(puna_pool_open(&pool, MAX_THREADS, &err), err))
        return;
    double best = 1e9;
    for (int i = 0; i < 20; i++) {
        nanosleep(&(struct timespec){ .tv_nsec = 1000 * 1000 }, NULL); /* asleep by now */
        double start = puna_clock_ms();
        puna_pool_share(pool, 2, nothing, NULL);
        double took = puna_clock_ms() - start;
        best = took < best ? took : best;
    }
    CHECK(best < 1);
    puna_pool_close(pool);
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
}

static void where(void *user, int thread, int n_threads)
{
    (void)n_threads;
    ((shared *)user)->runs[thread] = sched_getcpu();
}

static void members_run_where_they_are_pinned(void)
{
    puna_error err = { 0 };
    shared s = { 0 };
    cpu_set_t mask;
    CPU_ZERO(&mask);
    if (!CHECK_OK(puna_pool_open(&s.pool, 3, &err), err))
        return;
    CHECK_INT(sched_getaffinity(0, sizeof mask, &mask), 0);
    int32_t last = 0;
    for (int32_t i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET((size_t)i, &mask))
            last = i;
    CHECK_INT(puna_pool_pin(s.pool, (const int32_t[]){ 0, last, last }, 3), 2);
    for (int i = 0; i < 20; i++) {
        puna_pool_run(s.pool, where, &s);
        CHECK(s.runs[1] == last && s.runs[2] == last);
    }
    cpu_set_t after;
    CPU_ZERO(&after);
    sched_getaffinity(0, sizeof after, &after);
    CHECK(CPU_EQUAL(&mask, &after)); /* the caller's own thread stays free */
    CHECK_INT(puna_pool_pin(s.pool, (const int32_t[]){ 0, CPU_SETSIZE + 5, last }, 3), 1);
    puna_pool_close(s.pool);
}

int main(int argc, char **argv)
{
    const test_case cases[] = {
        TEST(words_order_what_was_written),
        TEST(many_short_runs_all_finish),
        TEST(shared_work_is_done_once_by_whoever_comes),
        TEST(late_members_are_not_waited_for),
        TEST(members_run_where_they_are_pinned),
        TEST(sleepers_wake_and_idle_takes_nothing),
        TEST(wrong_counts_are_refused),
    };
    return test_main("pool", cases, sizeof cases / sizeof *cases, argc, argv);
}
