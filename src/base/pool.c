/* pool.c - persistent threads and how they wait. Every wait is the same: spin for a short time, then
 * sleep, so that short phases cost no system call and a neighbour who takes a core costs one sleep, not
 * a core. Sleeping is a futex on Linux and a condition variable elsewhere (PUNA_POOL_PORTABLE compiles
 * that one, for its test); all else is C11 atomics. */
#define _GNU_SOURCE
#include "base/pool.h"

#include <assert.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"

#if defined(__linux__) && !defined(PUNA_POOL_PORTABLE)
#define USE_FUTEX 1
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#define USE_FUTEX 0
#endif

/* A phase of a small model takes 5 to 50 us and waking a sleeper about as long. Between two tokens
 * the caller samples, which takes longer, and a sleeper is often woken on the caller's processor and
 * takes it away for as long as the system's balancing needs, so members wait longer there. Who has
 * spun for YIELD_NS lets others on: the one it waits for may be queued behind it. */
enum { SPIN_NS = 50000, BETWEEN_SPIN_NS = 500000, YIELD_NS = 5000, SPINS_PER_LOOK = 64 };

/* Those who wait for some word to change and have stopped spinning. */
typedef struct bed {
    alignas(64) atomic_int n_sleepers;
    _Atomic uint32_t n_rings; /* changes when sleepers are to look again */
#if !USE_FUTEX
    pthread_mutex_t lock;
    pthread_cond_t rung;
#endif
} bed;

/* A member's invitation is twice the number of a run while it may still come, and one more when it has
 * come or the caller has stopped waiting: whoever makes it odd decides which. */
typedef struct member {
    alignas(64) puna_pool_word invitation;
    bed bed; /* for the invitation */
    puna_pool *pool;
    int thread;
    pthread_t handle;
} member;

struct puna_pool {
    alignas(64) puna_pool_word n_finished; /* members, in this run */
    bed bed;                               /* inside a run, and for its end */
    alignas(64) atomic_bool spins;         /* in this run and after it */
    int n_threads, n_started, most_spinning;
    uint64_t n_runs;
    member *members; /* [n_threads], the first unused */
    /* of the run: written before the invitations */
    bool stop;
    int n_running;
    puna_pool_fn *fn;
    void *user;
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- sleeping --------------------------------------------------------------------------- */

static void bed_init(bed *b)
{
    atomic_init(&b->n_sleepers, 0);
    atomic_init(&b->n_rings, 0);
#if !USE_FUTEX
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->rung, NULL);
#endif
}

static void bed_destroy(bed *b)
{
#if USE_FUTEX
    (void)b;
#else
    pthread_cond_destroy(&b->rung);
    pthread_mutex_destroy(&b->lock);
#endif
}

/* Sleeps while n_rings is `rings`; may return early. */
static void bed_doze(bed *b, uint32_t rings)
{
#if USE_FUTEX
    syscall(SYS_futex, &b->n_rings, FUTEX_WAIT_PRIVATE, rings, NULL, NULL, 0);
#else
    pthread_mutex_lock(&b->lock);
    while (atomic_load(&b->n_rings) == rings)
        pthread_cond_wait(&b->rung, &b->lock);
    pthread_mutex_unlock(&b->lock);
#endif
}

/* A sleeper announces itself before it looks at its word again, and who changes a word does so
 * before it looks for sleepers; all of it is sequentially consistent, so one of them sees. */
static void bed_wake(bed *b)
{
    if (atomic_load(&b->n_sleepers) == 0)
        return;
#if USE_FUTEX
    atomic_fetch_add(&b->n_rings, 1);
    syscall(SYS_futex, &b->n_rings, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
#else
    pthread_mutex_lock(&b->lock);
    atomic_fetch_add(&b->n_rings, 1);
    pthread_cond_broadcast(&b->rung);
    pthread_mutex_unlock(&b->lock);
#endif
}

/* Whether the wait for a word is over: until it is `value`, or until it is no longer. */
static inline bool over(uint64_t word, uint64_t value, bool equal)
{
    return (word == value) == equal;
}

static void bed_sleep(bed *b, puna_pool_word *word, uint64_t value, bool equal)
{
    atomic_fetch_add(&b->n_sleepers, 1);
    for (;;) {
        uint32_t rings = atomic_load(&b->n_rings);
        if (over(atomic_load(word), value, equal))
            break;
        bed_doze(b, rings);
    }
    atomic_fetch_sub(&b->n_sleepers, 1);
}

static void wait_for(puna_pool *pool, bed *b, puna_pool_word *word, uint64_t value, bool equal,
                     int64_t spin_ns)
{
    int64_t begin = 0;
    if (!atomic_load_explicit(&pool->spins, memory_order_relaxed))
        spin_ns = 0;
    for (int i = 1; spin_ns > 0; i++) {
        if (over(atomic_load_explicit(word, memory_order_acquire), value, equal))
            return;
        relax();
        if (i % SPINS_PER_LOOK != 0)
            continue;
        int64_t now = puna_clock_ns();
        if (begin == 0)
            begin = now;
        else if (now - begin >= spin_ns)
            break;
        else if (now - begin >= YIELD_NS)
            sched_yield();
    }
    bed_sleep(b, word, value, equal);
}

void puna_pool_wait(puna_pool *pool, puna_pool_word *word, uint64_t value)
{
    wait_for(pool, &pool->bed, word, value, true, SPIN_NS);
}

void puna_pool_wake(puna_pool *pool)
{
    bed_wake(&pool->bed);
}

/* ---- running ---------------------------------------------------------------------------- */

static void *member_main(void *argument)
{
    member *self = argument;
    puna_pool *pool = self->pool;
    for (uint64_t seen = 1;;) {
        wait_for(pool, &self->bed, &self->invitation, seen, false, BETWEEN_SPIN_NS);
        seen = atomic_load_explicit(&self->invitation, memory_order_acquire);
        if (seen % 2 != 0) /* too late */
            continue;
        uint64_t expected = seen++;
        if (!atomic_compare_exchange_strong(&self->invitation, &expected, seen)) {
            seen = expected | 1; /* which may be the next run's invitation already */
            continue;
        }
        if (pool->stop)
            return NULL;
        pool->fn(pool->user, self->thread, pool->n_running);
        atomic_fetch_add(&pool->n_finished, 1);
        bed_wake(&pool->bed);
    }
}

static void invite(puna_pool *pool, int n)
{
    uint64_t run = 2 * ++pool->n_runs;
    for (int i = 1; i < n; i++)
        atomic_store(&pool->members[i].invitation, run);
    for (int i = 1; i < n; i++)
        bed_wake(&pool->members[i].bed);
}

/* Members that have come, when none can come any more. */
static uint64_t close_door(puna_pool *pool, int n)
{
    uint64_t n_came = 0;
    for (int i = 1; i < n; i++) {
        uint64_t run = 2 * pool->n_runs;
        n_came += !atomic_compare_exchange_strong(&pool->members[i].invitation, &run, run + 1);
    }
    return n_came;
}

static void run(puna_pool *pool, int n, bool all, puna_pool_fn *fn, void *user)
{
    if (n > 1) {
        pool->fn = fn;
        pool->user = user;
        pool->n_running = n;
        atomic_store_explicit(&pool->n_finished, 0, memory_order_relaxed);
        atomic_store_explicit(&pool->spins, n <= pool->most_spinning, memory_order_relaxed);
        invite(pool, n);
    }
    fn(user, 0, n);
    if (n > 1) {
        uint64_t n_came = all ? (uint64_t)n - 1 : close_door(pool, n);
        wait_for(pool, &pool->bed, &pool->n_finished, n_came, true, SPIN_NS);
    }
}

void puna_pool_run(puna_pool *pool, puna_pool_fn *fn, void *user)
{
    run(pool, pool->n_threads, true, fn, user);
}

void puna_pool_share(puna_pool *pool, int n_threads, puna_pool_fn *fn, void *user)
{
    assert(n_threads >= 1 && n_threads <= pool->n_threads);
    run(pool, n_threads, false, fn, user);
}

/* ---- opening ---------------------------------------------------------------------------- */

puna_status puna_pool_open(puna_pool **out, int n_threads, puna_error *err)
{
    *out = NULL;
    if (n_threads < 1 || n_threads > PUNA_MAX_THREADS)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "threads: got %d, expected 1 to %d", n_threads,
                         PUNA_MAX_THREADS);
    puna_pool *pool = aligned_alloc(alignof(puna_pool), sizeof *pool);
    member *members = aligned_alloc(alignof(member), (size_t)n_threads * sizeof *members);
    if (!pool || !members) {
        free(pool);
        free(members);
        return puna_fail_memory(err, "thread pool", sizeof *pool);
    }
    memset(pool, 0, sizeof *pool);
    memset(members, 0, (size_t)n_threads * sizeof *members);
    pool->members = members;
    pool->n_threads = pool->most_spinning = n_threads;
    pool->n_started = 1;
    atomic_init(&pool->spins, true);
    bed_init(&pool->bed);
    for (int i = 1; i < n_threads; i++) {
        members[i].pool = pool;
        members[i].thread = i;
        atomic_init(&members[i].invitation, 1);
        bed_init(&members[i].bed);
        int failed = pthread_create(&members[i].handle, NULL, member_main, &members[i]);
        if (failed) {
            bed_destroy(&members[i].bed);
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
    invite(pool, pool->n_started);
    for (int i = 1; i < pool->n_started; i++) {
        pthread_join(pool->members[i].handle, NULL);
        bed_destroy(&pool->members[i].bed);
    }
    bed_destroy(&pool->bed);
    free(pool->members);
    free(pool);
}

int puna_pool_threads(const puna_pool *pool)
{
    return pool->n_threads;
}

void puna_pool_limit_spin(puna_pool *pool, int n_threads)
{
    pool->most_spinning = n_threads;
}

int puna_pool_pin(puna_pool *pool, const int32_t *processors, int n)
{
    int n_pinned = 0;
#if defined(__linux__)
    for (int i = 1; i < pool->n_threads && i < n; i++) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET((size_t)processors[i], &one);
        n_pinned += pthread_setaffinity_np(pool->members[i].handle, sizeof one, &one) == 0;
    }
#else
    (void)pool;
    (void)processors;
    (void)n;
#endif
    return n_pinned;
}
