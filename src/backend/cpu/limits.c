/* limits.c - measures read bandwidth and the int8 multiply-add rate with the best access pattern
 * this processor has kernels for: the denominators of `limit_share`. */
#define _DEFAULT_SOURCE
#include "backend/cpu/limits.h"

#include <stdatomic.h>
#include <stdlib.h>
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

struct puna_reader {
    puna_pool *pool;
    unsigned char *buffer;
    puna_read_fn *read;
    _Atomic size_t next;                /* the first byte that no thread has taken */
    uint64_t sinks[PUNA_LIMIT_THREADS]; /* results are kept so that no work can be left out */
};

/* Threads take the next piece, so that a disturbed one does not hold the others up. */
static void read_all(void *user, int thread, int n_threads)
{
    puna_reader *r = user;
    (void)n_threads;
    for (size_t at; (at = atomic_fetch_add(&r->next, PIECE_BYTES)) < BUFFER_BYTES;)
        r->sinks[thread % PUNA_LIMIT_THREADS] ^= r->read(r->buffer + at, PIECE_BYTES);
}

static puna_read_fn *read_with(uint32_t can)
{
#if defined(__x86_64__)
    if (can & PUNA_CPU_FOLLOWS)
        return puna_limit_read__avx512_order;
    if (can & PUNA_CPU_AVX512_VNNI)
        return puna_limit_read__avx512;
    if (can & PUNA_CPU_AVX2)
        return puna_limit_read__avx2;
#elif defined(__aarch64__)
    if (can & PUNA_CPU_NEON)
        return puna_limit_read__neon;
#endif
    (void)can;
    return puna_limit_read__scalar;
}

puna_status puna_reader_open(puna_reader **reader, uint32_t allowed, int n_threads, puna_error *err)
{
    puna_reader *r = *reader = calloc(1, sizeof *r);
    if (!r)
        return puna_fail_memory(err, "reader", sizeof *r);
    r->read = read_with(puna_cpu_have() & allowed);
    r->buffer = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    puna_status status =
        r->buffer == MAP_FAILED
            ? puna_fail_memory(err, "buffer to read", BUFFER_BYTES)
            : puna_pool_open(&r->pool, n_threads > 0 ? n_threads : puna_threads_usable(), err);
    if (status != PUNA_OK) {
        puna_reader_close(r);
        *reader = NULL;
        return status;
    }
    madvise(r->buffer, BUFFER_BYTES, MADV_HUGEPAGE);
    memset(r->buffer, 1, BUFFER_BYTES);
    return PUNA_OK;
}

double puna_reader_gb_per_s(puna_reader *r)
{
    atomic_store(&r->next, 0);
    int64_t start = puna_clock_ns();
    puna_pool_run(r->pool, read_all, r);
    return (double)BUFFER_BYTES / (double)(puna_clock_ns() - start);
}

void puna_reader_close(puna_reader *r)
{
    if (!r)
        return;
    if (r->buffer != MAP_FAILED)
        munmap(r->buffer, BUFFER_BYTES);
    puna_pool_close(r->pool);
    free(r);
}

/* The best of LEAST_PASSES to MOST_PASSES. */
static double best_read(puna_reader *r)
{
    double best = 0, all_ns = 0;
    for (int i = 0; i < LEAST_PASSES || (all_ns < READ_NS && i < MOST_PASSES); i++) {
        double rate = puna_reader_gb_per_s(r);
        all_ns += (double)BUFFER_BYTES / rate;
        best = rate > best ? rate : best;
    }
    return best;
}

typedef struct multiplying {
    puna_int8_fn *int8;
    uint64_t per_round, sinks[PUNA_LIMIT_THREADS];
} multiplying;

static void multiply(void *user, int thread, int n_threads)
{
    multiplying *m = user;
    int32_t sink = 0;
    (void)n_threads;
    uint64_t per_round = m->int8(INT8_ROUNDS, &sink);
    m->sinks[thread % PUNA_LIMIT_THREADS] = (uint64_t)(uint32_t)sink;
    if (thread == 0)
        m->per_round = per_round;
}

static double fastest_ns(puna_pool *pool, multiplying *m)
{
    double best = 0, all = 0;
    for (int i = 0; i < LEAST_PASSES || (all < INT8_NS && i < MOST_PASSES); i++) {
        int64_t start = puna_clock_ns();
        puna_pool_run(pool, multiply, m);
        double took = (double)(puna_clock_ns() - start);
        all += took;
        if (i == 0 || took < best)
            best = took;
    }
    return best;
}

static void measure_int8(puna_pool *pool, uint32_t can, puna_backend_limits *limits)
{
    multiplying m = { 0 };
    for (size_t i = 0; i < sizeof int8_ways / sizeof *int8_ways; i++) {
        if ((int8_ways[i].needs & can) != int8_ways[i].needs)
            continue;
        m.int8 = int8_ways[i].run;
        double took = fastest_ns(pool, &m);
        double rate = (double)(m.per_round * INT8_ROUNDS * (uint64_t)limits->n_threads) / took;
        if (rate > limits->int8_gmac_per_s) {
            limits->int8_gmac_per_s = rate;
            limits->int8_way = int8_ways[i].name;
        }
    }
}

puna_status puna_limits_measure(puna_backend_limits *limits, uint32_t allowed, int n_threads, puna_error *err)
{
    puna_reader *reader;
    TRY(puna_reader_open(&reader, allowed, n_threads, err));
    *limits =
        (puna_backend_limits){ .n_threads = puna_pool_threads(reader->pool), .read_bytes = BUFFER_BYTES };
    limits->read_gb_per_s = best_read(reader);
    measure_int8(reader->pool, puna_cpu_have() & allowed, limits);
    puna_pages_on_huge("", reader->buffer, BUFFER_BYTES, &limits->read_huge_bytes);
    puna_reader_close(reader);
    return PUNA_OK;
}
