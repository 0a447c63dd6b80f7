/* kbench.c - the speed of every kernel row that this machine can run, one thread.
 * kbench [part of a format's name] [inputs] [MiB]
 * One and two rows of activations read 512 MiB of weights, beyond the caches (or the given amount, to see what a
 * kernel could do without the memory); more a matrix of 1,024 rows. Prints the best of several passes: billions of multiply-adds and, for one row, of weight
 * bytes per second of processor time. */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "backend/cpu/kernel.h"
#include "backend/cpu/pack.h"
#include "base/rng.h"

enum { MAX_ROWS = 512, LARGE = 512 << 20, PASSES = 7, HUGE_PAGE = 2 << 20 };

static const int32_t row_counts[] = { 1, 2, 4, 16, 32, MAX_ROWS };

typedef struct bench {
    uint8_t *weights, *rows, *scratch, *packed;
    float *x, *y;
    size_t size_bytes; /* of weights for few rows */
} bench;

/* Of this thread alone: other programs on the machine disturb less. */
static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* Random codes and scales that are numbers: bytes with their second bit clear make no NaN in binary16. */
static void fill(uint8_t *data, size_t n, puna_rng *rng)
{
    for (size_t i = 0; i + 8 <= n; i += 8) {
        const uint64_t bits = puna_rng_next(rng) & 0xbfbfbfbfbfbfbfbfu;
        memcpy(data + i, &bits, 8);
    }
}

static void measure(const bench *b, const puna_kernel *k, const puna_format_info *format, int32_t n_in,
                    int32_t n_rows)
{
    const puna_act act = puna_kernel_act(k);
    const size_t row_bytes = (size_t)n_in / format->block_elems * format->block_bytes;
    const int32_t n_out = n_rows <= 2 ? (int32_t)(b->size_bytes / row_bytes / 16 * 16) : 1024;
    double best = 1e30;
    for (int32_t r = 0; r < n_rows; r++)
        puna_act_encode_row(act, b->x, n_in, b->rows, r, n_rows, 0);
    const bool panels = k->op == PUNA_KERNEL_packed || k->op == PUNA_KERNEL_batch;
    for (int32_t o = 0; panels && o < n_out; o += PUNA_PANEL_ROWS)
        puna_pack_of(format->id)(b->weights + (size_t)o * row_bytes, row_bytes, PUNA_PANEL_ROWS,
                                 n_in / (int32_t)format->block_elems, b->packed + (size_t)o * row_bytes);
    for (int pass = 0; pass < (n_rows <= 2 ? PASSES : PASSES * 3); pass++) {
        const puna_linear_call call = { .weight = panels ? b->packed : b->weights,
                                        .row_bytes = row_bytes,
                                        .n_in = n_in,
                                        .act = b->rows,
                                        .act_bytes = puna_act_bytes(act, n_in),
                                        .n_rows = n_rows,
                                        .y = b->y,
                                        .y_stride = (size_t)n_out,
                                        .begin = 0,
                                        .end = n_out,
                                        .scratch = b->scratch };
        const double start = cpu_ms();
        k->run(&call);
        const double ms = cpu_ms() - start;
        best = ms < best ? ms : best;
    }
    const double macs = (double)n_in * n_out * n_rows / best * 1e-6;
    printf(" %7.1f", macs);
    if (n_rows == 1)
        printf(" (%4.1f GB/s)", (double)row_bytes * n_out / best * 1e-6);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    size_t n;
    const puna_kernel *kernels = puna_kernel_list(&n);
    const int32_t n_in = argc > 2 ? (int32_t)strtol(argv[2], NULL, 10) : 2048;
    if (n_in <= 0 || n_in % 256 || n_in > 65536) {
        fprintf(stderr, "kbench: inputs: got %d, expected a multiple of 256 up to 65536\n", n_in);
        return 1;
    }
    if (argc > 3 && (strtol(argv[3], NULL, 10) < 1 || strtol(argv[3], NULL, 10) > LARGE >> 20)) {
        fprintf(stderr, "kbench: MiB: got %s, expected 1 to %d\n", argv[3], LARGE >> 20);
        return 1;
    }
    const size_t row_bytes = puna_act_bytes(PUNA_ACT_F32, n_in) + 4096;
    const bench b = { .weights = aligned_alloc(HUGE_PAGE, LARGE),
                      .packed = aligned_alloc(HUGE_PAGE, LARGE),
                      .rows =
                          aligned_alloc(HUGE_PAGE, row_bytes * MAX_ROWS / HUGE_PAGE * HUGE_PAGE + HUGE_PAGE),
                      .scratch = aligned_alloc(HUGE_PAGE, HUGE_PAGE),
                      .x = malloc((size_t)n_in * sizeof(float)),
                      .y = aligned_alloc(HUGE_PAGE, LARGE),
                      .size_bytes = argc > 3 ? (size_t)strtol(argv[3], NULL, 10) << 20 : LARGE };
    if (!b.weights || !b.packed || !b.rows || !b.scratch || !b.y || !b.x)
        return 1;
    madvise(b.weights, LARGE, MADV_HUGEPAGE);
    madvise(b.packed, LARGE, MADV_HUGEPAGE);
    madvise(b.y, LARGE, MADV_HUGEPAGE);
    madvise(b.scratch, HUGE_PAGE, MADV_HUGEPAGE);
    madvise(b.rows, row_bytes * MAX_ROWS / HUGE_PAGE * HUGE_PAGE + HUGE_PAGE, MADV_HUGEPAGE);
    memset(b.packed, 0, LARGE);
    puna_rng rng = puna_rng_make(1);
    fill(b.weights, LARGE, &rng);
    memset(b.y, 0, LARGE);
    for (int32_t i = 0; i < n_in; i++)
        b.x[i] = (float)(puna_rng_uniform(&rng) - 0.5);
    printf("%-24s", "GMAC/s, 1 thread");
    for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++)
        printf(" %7d%s", row_counts[i], i ? "" : "            ");
    printf("\n");
    for (size_t i = 0; i < n; i++) {
        const puna_format_info *format = puna_format_get(kernels[i].format);
        if ((kernels[i].needs & puna_cpu_have()) != kernels[i].needs ||
            (argc > 1 && !strstr(format->name, argv[1])))
            continue;
        printf("%-6s %-8s %-8s", puna_kernel_op_name(kernels[i].op), format->name, kernels[i].isa);
        const bool slow = kernels[i].needs == 0;
        for (size_t c = 0; c < sizeof row_counts / sizeof *row_counts - (slow ? 3 : 0); c++)
            measure(&b, &kernels[i], format, n_in, row_counts[c]);
        printf("\n");
    }
    free(b.weights);
    free(b.rows);
    free(b.packed);
    free(b.scratch);
    free(b.y);
    free(b.x);
    return 0;
}
