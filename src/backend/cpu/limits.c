/* limits.c - measures read bandwidth and the int8 multiply-add rate with the best access pattern
 * this processor has kernels for: the denominators of `limit_share`. */
#define _DEFAULT_SOURCE
#include "backend/cpu/limits.h"

#include <string.h>
#include <sys/mman.h>

#include "backend/cpu/cpu.h"
#include "base/clock.h"
#include "base/pool.h"

enum { N_REPEATS = 5 };
static const size_t BUFFER_BYTES = (size_t)512 << 20; /* far beyond any cache */
static const uint64_t INT8_ROUNDS = 4000000;

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

typedef struct measuring {
    unsigned char *buffer;
    puna_read_fn *read;
    puna_int8_fn *int8;
    uint64_t per_round;
    uint64_t sinks[PUNA_LIMIT_THREADS]; /* results are kept so that no work can be left out */
} measuring;

static void read_part(void *user, int thread, int n_threads)
{
    measuring *m = user;
    size_t part = BUFFER_BYTES / (size_t)n_threads / 4096 * 4096;
    m->sinks[thread % PUNA_LIMIT_THREADS] = m->read(m->buffer + part * (size_t)thread, part);
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

static double fastest_ns(puna_pool *pool, puna_pool_fn *fn, measuring *m)
{
    double best = 0;
    for (int i = 0; i < N_REPEATS; i++) {
        int64_t start = puna_clock_ns();
        puna_pool_run(pool, fn, m);
        double took = (double)(puna_clock_ns() - start);
        if (i == 0 || took < best)
            best = took;
    }
    return best;
}

puna_status puna_limits_measure(puna_backend_limits *limits, uint32_t allowed, int n_threads, puna_error *err)
{
    puna_pool *pool = NULL;
    measuring m = { .read = puna_limit_read__scalar, .int8 = puna_limit_int8__scalar };
#if defined(__x86_64__)
    if (puna_cpu_have() & allowed & PUNA_CPU_AVX2) {
        m.read = puna_limit_read__avx2;
        m.int8 = puna_limit_int8__avx2;
    }
#elif defined(__aarch64__)
    const uint32_t usable = puna_cpu_have() & allowed;
    if (usable & PUNA_CPU_NEON) {
        m.read = puna_limit_read__neon;
        m.int8 = usable & PUNA_CPU_I8MM ? puna_limit_int8__i8mm : puna_limit_int8__neon;
    }
#else
    (void)allowed;
#endif
    TRY(puna_pool_open(&pool, n_threads > 0 ? n_threads : puna_pool_processors(), err));
    m.buffer = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m.buffer == MAP_FAILED) {
        puna_pool_close(pool);
        return puna_fail_memory(err, "buffer to read", BUFFER_BYTES);
    }
    madvise(m.buffer, BUFFER_BYTES, MADV_HUGEPAGE);
    memset(m.buffer, 1, BUFFER_BYTES);
    int n = puna_pool_threads(pool);
    limits->n_threads = n;
    limits->read_gb_per_s = (double)(BUFFER_BYTES / (size_t)n / 4096 * 4096 * (size_t)n) / fastest_ns(pool, read_part, &m);
    double took = fastest_ns(pool, multiply, &m);
    limits->int8_gmac_per_s = (double)(m.per_round * INT8_ROUNDS * (uint64_t)n) / took;
    munmap(m.buffer, BUFFER_BYTES);
    puna_pool_close(pool);
    return PUNA_OK;
}
