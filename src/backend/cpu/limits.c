/* limits.c - measures read bandwidth and the int8 multiply-add rate with the best access pattern
 * this processor has kernels for: the denominators of `limit_share`. */
#define _DEFAULT_SOURCE
#include "backend/cpu/limits.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "backend/cpu/cpu.h"
#include "base/clock.h"
#include "base/pages.h"
#include "base/pool.h"
#include "base/threads.h"

enum { LEAST_PASSES = 5, MOST_PASSES = 20 };
static const double READ_NS = 4e8, INT8_NS = 1e8; /* spent at least, unless MOST_PASSES come first */
static const size_t BUFFER_BYTES = (size_t)512 << 20; /* far beyond any cache */
static const size_t PIECE_BYTES = (size_t)2 << 20;    /* taken by a thread at once: a huge page */
static const uint64_t INT8_ROUNDS = 400000;

uint64_t puna_limit_read__scalar(const void *bytes, size_t n)
{
    const uint64_t *p = bytes;
    uint64_t a = 0, b = 0, c = 0, d = 0;
    for (size_t i = 0; i < n / sizeof *p; i += 4) {
        a ^= p[i];
        b ^= p[i + 1];
        c ^= p[i + 2];
        d ^= p[i + 3];
    }
    return a ^ b ^ c ^ d;
}

uint64_t puna_limit_int8__scalar(uint64_t n_rounds, int32_t *sink)
{
    int32_t sums[4] = { 1, 2, 3, 4 };
    for (uint64_t i = 0; i < n_rounds; i++)
        for (int j = 0; j < 4; j++)
            sums[j] += (int8_t)sums[j] * (int8_t)(i + (uint64_t)j);
    *sink = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
    return 4;
}

/* The ways to multiply, widest last; the fastest of those that the processor has is the limit. */
static const struct int8_way {
    const char *name;
    uint32_t needs;
    puna_int8_fn *run;
} int8_ways[] = {
    { "scalar", 0, puna_limit_int8__scalar },
#if defined(__x86_64__)
    { "avx2 maddubs, madd, add", PUNA_CPU_AVX2, puna_limit_int8__avx2 },
    { "avx2 maddubs summed in 16 bits", PUNA_CPU_AVX2, puna_limit_int8_sums__avx2 },
    { "avx512 vpdpbusd", PUNA_CPU_AVX512_VNNI, puna_limit_int8__avx512 },
    { "amx tdpbusd", PUNA_CPU_AMX, puna_limit_int8__amx },
#elif defined(__aarch64__)
    { "neon sdot", PUNA_CPU_NEON, puna_limit_int8__neon },
    { "i8mm smmla", PUNA_CPU_NEON | PUNA_CPU_I8MM, puna_limit_int8__i8mm },
#endif
};

typedef struct measuring {
    unsigned char *buffer;
    puna_read_fn *read;
    puna_int8_fn *int8;
    uint64_t per_round;
    _Atomic size_t next;                /* the first byte that no thread has taken */
    uint64_t sinks[PUNA_LIMIT_THREADS]; /* results are kept so that no work can be left out */
} measuring;

/* Threads take the next piece, so that a disturbed one does not hold the others up. */
static void read_all(void *user, int thread, int n_threads)
{
    measuring *m = user;
    (void)n_threads;
    for (size_t at; (at = atomic_fetch_add(&m->next, PIECE_BYTES)) < BUFFER_BYTES;)
        m->sinks[thread % PUNA_LIMIT_THREADS] ^= m->read(m->buffer + at, PIECE_BYTES);
}

static void multiply(void *user, int thread, int n_threads)
{
    measuring *m = user;
    int32_t sink = 0;
    (void)n_threads;
    uint64_t per_round = m->int8(INT8_ROUNDS, &sink);
    m->sinks[thread % PUNA_LIMIT_THREADS] = (uint64_t)(uint32_t)sink;
    if (thread == 0)
        m->per_round = per_round;
}

static double fastest_ns(puna_pool *pool, puna_pool_fn *fn, measuring *m, double least_ns)
{
    double best = 0, all = 0;
    for (int i = 0; i < LEAST_PASSES || (all < least_ns && i < MOST_PASSES); i++) {
        atomic_store(&m->next, 0);
        int64_t start = puna_clock_ns();
        puna_pool_run(pool, fn, m);
        double took = (double)(puna_clock_ns() - start);
        all += took;
        if (i == 0 || took < best)
            best = took;
    }
    return best;
}

static void measure_int8(puna_pool *pool, measuring *m, uint32_t can, puna_backend_limits *limits)
{
    for (size_t i = 0; i < sizeof int8_ways / sizeof *int8_ways; i++) {
        if ((int8_ways[i].needs & can) != int8_ways[i].needs)
            continue;
        m->int8 = int8_ways[i].run;
        double took = fastest_ns(pool, multiply, m, INT8_NS);
        double rate = (double)(m->per_round * INT8_ROUNDS * (uint64_t)limits->n_threads) / took;
        if (rate > limits->int8_gmac_per_s) {
            limits->int8_gmac_per_s = rate;
            limits->int8_way = int8_ways[i].name;
        }
    }
}

puna_status puna_limits_measure(puna_backend_limits *limits, uint32_t allowed, int n_threads, puna_error *err)
{
    puna_pool *pool = NULL;
    measuring m = { .read = puna_limit_read__scalar };
    uint32_t can = puna_cpu_have() & allowed;
#if defined(__x86_64__)
    if (can & PUNA_CPU_AVX2)
        m.read = puna_limit_read__avx2;
    if (can & PUNA_CPU_AVX512_VNNI)
        m.read = puna_limit_read__avx512;
#elif defined(__aarch64__)
    if (can & PUNA_CPU_NEON)
        m.read = puna_limit_read__neon;
#endif
    TRY(puna_pool_open(&pool, n_threads > 0 ? n_threads : puna_threads_usable(), err));
    m.buffer = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m.buffer == MAP_FAILED) {
        puna_pool_close(pool);
        return puna_fail_memory(err, "buffer to read", BUFFER_BYTES);
    }
    madvise(m.buffer, BUFFER_BYTES, MADV_HUGEPAGE);
    memset(m.buffer, 1, BUFFER_BYTES);
    *limits = (puna_backend_limits){ .n_threads = puna_pool_threads(pool), .read_bytes = BUFFER_BYTES };
    limits->read_gb_per_s = (double)BUFFER_BYTES / fastest_ns(pool, read_all, &m, READ_NS);
    measure_int8(pool, &m, can, limits);
    puna_pages_on_huge("", m.buffer, BUFFER_BYTES, &limits->read_huge_bytes);
    munmap(m.buffer, BUFFER_BYTES);
    puna_pool_close(pool);
    return PUNA_OK;
}
