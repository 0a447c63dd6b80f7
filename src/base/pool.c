/* pool.c - persistent threads, the barrier between phases, and the count of usable processors.
 * Every wait is the same: spin for at most SPIN_NS, then sleep on a condition variable, so that
 * short phases cost no system call and a neighbour who takes a core costs one sleep, not a core.
 * All synchronisation is C11 atomics and pthreads. Refuses: pinning threads to processors. */
#define _GNU_SOURCE
#include "base/pool.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"

/* A phase of a small model takes 5 to 50 us and waking a sleeper about as long. */
enum { SPIN_NS = 50000, SPINS_PER_LOOK = 64 };

/* Those who wait for some word to change and have stopped spinning. */
typedef struct bed {
    alignas(64) atomic_int n_sleepers;
    pthread_mutex_t lock;
    pthread_cond_t changed;
} bed;

typedef struct member {
    puna_pool *pool;
    int thread;
    pthread_t handle;
} member;

struct puna_pool {
    alignas(64) puna_pool_word begun;  /* runs */
    bed between;                       /* for the next run */
    alignas(64) puna_pool_word passed; /* barriers */
    bed inside;                        /* a run: for barriers and words */
    alignas(64) atomic_int arrived;    /* at the current barrier */
    int n_threads, n_started;
    bool stop; /* these are written before begun */
    puna_pool_fn *fn;
    void *user;
    member *members;
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void bed_init(bed *b)
{
    atomic_init(&b->n_sleepers, 0);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
}

static void bed_destroy(bed *b)
{
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
}

/* A sleeper announces itself before it looks at its word again, and who changes a word does so
 * before it looks for sleepers; all of it is sequentially consistent, so one of them sees. */
static void bed_wake(bed *b)
{
    if (atomic_load(&b->n_sleepers) == 0)
        return;
    pthread_mutex_lock(&b->lock);
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

/* Whether the wait for a word is over: until it is `value`, or until it is no longer. */
static inline bool over(uint64_t word, uint64_t value, bool equal)
{
    return (word == value) == equal;
}

static void bed_sleep(bed *b, puna_pool_word *word, uint64_t value, bool equal)
{
    pthread_mutex_lock(&b->lock);
    atomic_fetch_add(&b->n_sleepers, 1);
    while (!over(atomic_load(word), value, equal))
        pthread_cond_wait(&b->changed, &b->lock);
    atomic_fetch_sub(&b->n_sleepers, 1);
    pthread_mutex_unlock(&b->lock);
}

static void wait_for(bed *b, puna_pool_word *word, uint64_t value, bool equal)
{
    int64_t end = 0;
    for (int i = 1;; i++) {
        if (over(atomic_load_explicit(word, memory_order_acquire), value, equal))
            return;
        relax();
        if (i % SPINS_PER_LOOK != 0)
            continue;
        int64_t now = puna_clock_ns();
        if (end == 0)
            end = now + SPIN_NS;
        else if (now >= end)
            break;
    }
    bed_sleep(b, word, value, equal);
}

void puna_pool_wait(puna_pool *pool, puna_pool_word *word, uint64_t value)
{
    wait_for(&pool->inside, word, value, true);
}

void puna_pool_wake(puna_pool *pool)
{
    bed_wake(&pool->inside);
}

void puna_pool_barrier(puna_pool *pool, int thread)
{
    (void)thread;
    if (pool->n_threads == 1)
        return;
    uint64_t seen = atomic_load_explicit(&pool->passed, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&pool->arrived, 1, memory_order_acq_rel) + 1 == pool->n_threads) {
        atomic_store_explicit(&pool->arrived, 0, memory_order_relaxed);
        atomic_fetch_add(&pool->passed, 1);
        bed_wake(&pool->inside);
    } else {
        wait_for(&pool->inside, &pool->passed, seen, false);
    }
}

static void *member_main(void *argument)
{
    member *self = argument;
    puna_pool *pool = self->pool;
    for (uint64_t seen = 0;; seen++) {
        wait_for(&pool->between, &pool->begun, seen, false);
        if (pool->stop)
            return NULL;
        pool->fn(pool->user, self->thread, pool->n_threads);
        puna_pool_barrier(pool, self->thread);
    }
}

void puna_pool_run(puna_pool *pool, puna_pool_fn *fn, void *user)
{
    if (pool->n_threads > 1) {
        pool->fn = fn;
        pool->user = user;
        atomic_fetch_add(&pool->begun, 1);
        bed_wake(&pool->between);
    }
    fn(user, 0, pool->n_threads);
    puna_pool_barrier(pool, 0);
}

puna_status puna_pool_open(puna_pool **out, int n_threads, puna_error *err)
{
    *out = NULL;
    if (n_threads < 1 || n_threads > PUNA_MAX_THREADS)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "threads: got %d, expected 1 to %d", n_threads,
                         PUNA_MAX_THREADS);
    puna_pool *pool = aligned_alloc(alignof(puna_pool), sizeof *pool);
    member *members = calloc((size_t)n_threads, sizeof *members);
    if (!pool || !members) {
        free(pool);
        free(members);
        return puna_fail_memory(err, "thread pool", sizeof *pool);
    }
    memset(pool, 0, sizeof *pool);
    pool->members = members;
    pool->n_threads = n_threads;
    pool->n_started = 1;
    bed_init(&pool->between);
    bed_init(&pool->inside);
    for (int i = 1; i < n_threads; i++) {
        members[i] = (member){ .pool = pool, .thread = i };
        int failed = pthread_create(&members[i].handle, NULL, member_main, &members[i]);
        if (failed) {
            puna_pool_close(pool);
            puna_fail(err, PUNA_ERR_MEMORY, "threads: could not start thread %d of %d: %s", i + 1, n_threads,
                      strerror(failed));
            return puna_hint(err, PUNA_ERR_MEMORY, "use fewer threads");
        }
        pool->n_started++;
    }
    *out = pool;
    return PUNA_OK;
}

void puna_pool_close(puna_pool *pool)
{
    if (!pool)
        return;
    pool->stop = true;
    atomic_fetch_add(&pool->begun, 1);
    bed_wake(&pool->between);
    for (int i = 1; i < pool->n_started; i++)
        pthread_join(pool->members[i].handle, NULL);
    bed_destroy(&pool->between);
    bed_destroy(&pool->inside);
    free(pool->members);
    free(pool);
}

int puna_pool_threads(const puna_pool *pool)
{
    return pool->n_threads;
}

/* ---- processors ------------------------------------------------------------------------- */

static bool read_line(const char *path, char *line, int capacity)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool ok = fgets(line, capacity, file) != NULL;
    fclose(file);
    return ok;
}

/* Processors a control group's quota allows, rounded up; 0 = no limit. */
static long quota_processors(long long quota, long long period)
{
    return quota > 0 && period > 0 ? (long)((quota + period - 1) / period) : 0;
}

/* Version 2: "<quota or max> <period>" in one file. */
static long quota_v2(const char *folder)
{
    char path[4200], line[64];
    long long quota, period;
    int n = snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (n < 0 || n >= (int)sizeof path || !read_line(path, line, sizeof line))
        return 0;
    return sscanf(line, "%lld %lld", &quota, &period) == 2 ? quota_processors(quota, period) : 0;
}

/* Version 1: two files; -1 is no limit. */
static long quota_v1(const char *folder)
{
    char path[4200], line[64];
    int n = snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    if (n < 0 || n >= (int)sizeof path || !read_line(path, line, sizeof line))
        return 0;
    long long quota = strtoll(line, NULL, 10);
    n = snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    if (n < 0 || n >= (int)sizeof path || !read_line(path, line, sizeof line))
        return 0;
    return quota_processors(quota, strtoll(line, NULL, 10));
}

static long smaller_limit(long a, long b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The smallest quota of this process's group and the groups above it, walking up its path. */
static long quota_of_path(const char *root, const char *group, long (*quota)(const char *folder))
{
    char folder[4100];
    int n = snprintf(folder, sizeof folder, "%s%s", root, group);
    if (n < 0 || n >= (int)sizeof folder)
        return quota(root);
    long limit = 0;
    for (size_t length = (size_t)n; length >= strlen(root);) {
        folder[length] = '\0';
        limit = smaller_limit(limit, quota(folder));
        while (length > 0 && folder[length - 1] != '/')
            length--;
        if (length == 0)
            break;
        length--;
    }
    return limit;
}

/* Lines of /proc/self/cgroup are "<number>:<controllers>:<path>"; 0:: is version 2. */
static long quota_limit(void)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file)
        return 0;
    char line[4096];
    long limit = 0;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        controllers++;
        if (controllers[0] == '\0')
            limit = smaller_limit(limit, quota_of_path("/sys/fs/cgroup", group, quota_v2));
        else if (strcmp(controllers, "cpu") == 0 || strcmp(controllers, "cpu,cpuacct") == 0 ||
                 strcmp(controllers, "cpuacct,cpu") == 0)
            limit = smaller_limit(limit, quota_of_path("/sys/fs/cgroup/cpu", group, quota_v1));
    }
    fclose(file);
    return limit;
}

int puna_pool_processors(void)
{
    long n = 0;
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        n = CPU_COUNT(&allowed);
    n = smaller_limit(quota_limit(), n);
    return n < 1 ? 1 : n > PUNA_MAX_THREADS ? PUNA_MAX_THREADS : (int)n;
}
