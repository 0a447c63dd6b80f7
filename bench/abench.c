/* abench.c - the speed of attention over each encoding of the cache, one thread.
 * abench [part of an encoding's name]
 * Decode: one position with 8, 3 or 1 query heads per key/value head over 512 MiB of keys and values,
 * beyond the caches. Prefill: 64 queries at once over 4,096 positions. Prints the best of several
 * passes: billions of bytes of cache, or of multiply-adds, per second of processor time. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/cpu/attention.h"
#include "backend/cpu/cpu.h"
#include "backend/cpu/vector.h"
#include "base/rng.h"

enum { LARGE = 512 << 20, PASSES = 5, QUERIES = 64, PREFILL_BLOCKS = 128, MAX_DIM = 256 };

typedef struct bench {
    puna_kv kv;
    puna_kv_cache cache;
    puna_attention_params params;
    int32_t *blocks;
    size_t bytes_per_block;
    float *part, *y;
    puna_attention_job job;
} bench;

/* Of this thread alone: other programs on the machine disturb less. */
static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void fill(bench *b, int32_t dim)
{
    puna_rng rng = puna_rng_make(1);
    float x[MAX_DIM];
    for (int32_t j = 0; j < b->kv.n_blocks * PUNA_KV_BLOCK; j++) {
        if (j >= PUNA_KV_BLOCK) { /* further blocks are copies of the first */
            const size_t block = (size_t)j / PUNA_KV_BLOCK;
            memcpy(b->cache.k + block * b->cache.k_block_bytes, b->cache.k, b->cache.k_block_bytes);
            memcpy(b->cache.v + block * b->cache.v_block_bytes, b->cache.v, b->cache.v_block_bytes);
            j += PUNA_KV_BLOCK - 1;
            continue;
        }
        for (int key = 0; key < 2; key++) {
            for (int32_t d = 0; d < dim; d++)
                x[d] = (float)(puna_rng_uniform(&rng) - 0.5);
            (key ? puna_kv_put_key : puna_kv_put_value)(b->kv.format, key ? b->cache.k : b->cache.v, dim, j,
                                                        x);
        }
    }
}

static void *room(size_t n, size_t size)
{
    void *at = aligned_alloc(64, (n * size + 127) / 64 * 64);
    if (!at)
        exit(1);
    memset(at, 0, (n * size + 127) / 64 * 64);
    return at;
}

static void open_bench(bench *b, puna_format format, int32_t dim)
{
    const size_t width = puna_kv_padded(dim), part = QUERIES * (width + 2);
    *b = (bench){ .params = { .n_head_kv = 1, .head_dim = dim, .head_dim_v = dim },
                  .cache.layout = { 1, dim, dim, 0 } };
    puna_kv_tile_bytes(format, dim, true, &b->cache.k_block_bytes);
    puna_kv_tile_bytes(format, dim, false, &b->cache.v_block_bytes);
    b->bytes_per_block = b->cache.k_block_bytes + b->cache.v_block_bytes;
    b->kv = (puna_kv){ &b->cache, 1, (int32_t)(LARGE / b->bytes_per_block), format, 0 };
    b->cache.k = room((size_t)b->kv.n_blocks, b->cache.k_block_bytes);
    b->cache.v = room((size_t)b->kv.n_blocks, b->cache.v_block_bytes);
    b->blocks = room((size_t)b->kv.n_blocks, sizeof *b->blocks);
    for (int32_t i = 0; i < b->kv.n_blocks; i++)
        b->blocks[i] = i;
    b->part = room(part, sizeof(float));
    b->y = room(QUERIES * width, sizeof(float));
    b->job = (puna_attention_job){ .kernels = puna_attention_choose(puna_cpu_have()),
                                   .batch = puna_attention_choose_batch(puna_cpu_have()),
                                   .p = &b->params,
                                   .blocks = b->blocks,
                                   .kv = &b->kv,
                                   .q = room(QUERIES * width, sizeof(float)),
                                   .codes = room(QUERIES * width, sizeof(int16_t)),
                                   .q_scale = room(QUERIES, sizeof(float)),
                                   .scores = room((size_t)PUNA_ATTENTION_BATCH * PUNA_ATTENTION_TILE,
                                                  sizeof(float)),
                                   .unpacked = room(puna_attention_unpacked_bytes(dim, dim), 1),
                                   .stack = room(PUNA_ATTENTION_LEVELS * part, sizeof(float)),
                                   .softcap = puna_vector_choose(puna_cpu_have())->softcap };
    fill(b, dim);
}

static void close_bench(bench *b)
{
    free(b->cache.k);
    free(b->cache.v);
    free(b->blocks);
    free(b->part);
    free(b->y);
    free(b->job.q);
    free(b->job.codes);
    free(b->job.q_scale);
    free(b->job.scores);
    free(b->job.unpacked);
    free(b->job.stack);
}

/* Milliseconds of n_rows positions, the last in block n_blocks - 1, with `group` queries each. */
static double measure(bench *b, int32_t group, int32_t n_rows, int32_t n_blocks)
{
    puna_attention_job job = b->job;
    double best = 1e30;
    b->params.n_head = group;
    job.n_group = group;
    job.n_rows = n_rows;
    job.pos = n_blocks * PUNA_KV_BLOCK - n_rows;
    const double warm = cpu_ms();
    while (cpu_ms() - warm < 20)
        puna_attention_absorb(&job, 0, PREFILL_BLOCKS, b->part);
    for (int pass = 0; pass < PASSES; pass++) {
        for (int32_t i = 0; i < n_rows * group * b->params.head_dim; i++)
            job.q[i] = (float)(i % 17 - 8) * 0.02f;
        const double start = cpu_ms();
        puna_attention_queries(&job);
        puna_attention_absorb(&job, 0, n_blocks, b->part);
        puna_attention_end(&job, b->part, b->y, (size_t)(group * b->params.head_dim));
        const double ms = cpu_ms() - start;
        best = ms < best ? ms : best;
    }
    return best;
}

int main(int argc, char **argv)
{
    static const puna_format formats[] = { PUNA_FORMAT_F32, PUNA_FORMAT_F16, PUNA_FORMAT_BF16,
                                           PUNA_FORMAT_Q8_0, PUNA_FORMAT_Q4_0 };
    static const int32_t dims[] = { 64, 128, 256 }, groups[] = { 8, 3, 1 };
    printf("attention, 1 thread   decode GB/s: 8 queries       3       1   prefill GMAC/s\n");
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
        const char *name = puna_format_get(formats[f])->name;
        if (argc > 1 && !strstr(name, argv[1]))
            continue;
        for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
            static bench b;
            open_bench(&b, formats[f], dims[d]);
            printf("%-8s head_dim %3d                ", name, dims[d]);
            for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
                printf(" %7.1f", (double)b.bytes_per_block * b.kv.n_blocks * 1e-6 /
                                     measure(&b, groups[g], 1, b.kv.n_blocks));
            const double macs = 2.0 * QUERIES * PREFILL_BLOCKS * PUNA_KV_BLOCK * dims[d];
            printf("   %14.1f\n", macs * 1e-6 / measure(&b, 8, QUERIES / 8, PREFILL_BLOCKS));
            fflush(stdout);
            close_bench(&b);
        }
    }
    return 0;
}
