/* test_kernels.c - kcheck: every row of kernels.def that this machine can run, against a
 * float64 dot product of dequantised weights and decoded activations. Rows it cannot run print
 * SKIP. Weights end at a page that must not be read; results lie between canaries.
 * PUNA_SEED=n repeats a run. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/cpu/kernel.h"
#include "backend/cpu/pack.h"
#include "base/rng.h"
#include "harness.h"
#include "quant/half.h"

#define MAX_IN   2304
#define MAX_OUT  35
#define MAX_ROWS 130
#define CANARY   -12345.678f

static uint64_t seed = 20240607;

/* Memory whose end is followed by a page without access. */
typedef struct guarded {
    uint8_t *map, *end;
    size_t size_bytes;
} guarded;

static guarded guarded_make(size_t size_bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (size_bytes + page - 1) / page * page;
    guarded g = { .size_bytes = whole + page };
    g.map = mmap(NULL, g.size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.map == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    g.end = g.map + whole;
    mprotect(g.end, page, PROT_NONE);
    return g;
}

static void guarded_free(guarded *g)
{
    munmap(g->map, g->size_bytes);
}

/* Where a format's 16-bit floats lie in its block; the rest is codes. */
static const struct halves {
    uint32_t format;
    int at[2];
} halves[] = {
    { PUNA_FORMAT_Q4_0, { 0, -1 } },    { PUNA_FORMAT_Q4_1, { 0, 2 } },    { PUNA_FORMAT_Q5_0, { 0, -1 } },
    { PUNA_FORMAT_Q5_1, { 0, 2 } },     { PUNA_FORMAT_Q8_0, { 0, -1 } },   { PUNA_FORMAT_Q2_K, { 80, 82 } },
    { PUNA_FORMAT_Q3_K, { 108, -1 } },  { PUNA_FORMAT_Q4_K, { 0, 2 } },    { PUNA_FORMAT_Q5_K, { 0, 2 } },
    { PUNA_FORMAT_Q6_K, { 208, -1 } },  { PUNA_FORMAT_IQ4_NL, { 0, -1 } }, { PUNA_FORMAT_IQ4_XS, { 0, -1 } },
    { PUNA_FORMAT_TQ1_0, { 52, -1 } },  { PUNA_FORMAT_TQ2_0, { 64, -1 } }, { PUNA_FORMAT_Q1_0, { 0, -1 } },
    { PUNA_FORMAT_Q2_0, { 0, -1 } },    { PUNA_FORMAT_Q8_1, { 0, -1 } },   { PUNA_FORMAT_IQ1_S, { 0, -1 } },
    { PUNA_FORMAT_IQ2_XXS, { 0, -1 } }, { PUNA_FORMAT_IQ2_XS, { 0, -1 } }, { PUNA_FORMAT_IQ2_S, { 0, -1 } },
    { PUNA_FORMAT_IQ3_XXS, { 0, -1 } }, { PUNA_FORMAT_IQ3_S, { 0, -1 } },
};

enum { WEIGHT_RANDOM, WEIGHT_ONES, WEIGHT_ZEROS, WEIGHT_LARGE, WEIGHT_TINY, WEIGHT_KINDS };
enum { ACT_NORMAL, ACT_EXTREMES, ACT_POSITIVE, ACT_ZEROS, ACT_SPARSE, ACT_LARGE, ACT_TINY, ACT_KINDS };

static double symmetric(puna_rng *rng)
{
    return 2.0 * puna_rng_uniform(rng) - 1.0;
}

static float scale_of(puna_rng *rng, int kind)
{
    const double u = symmetric(rng);
    if (kind == WEIGHT_LARGE)
        return (float)(u * 60000.0);
    if (kind == WEIGHT_TINY)
        return (float)(u * 6e-5); /* half subnormals */
    return (float)(u * 0.1);
}

/* Integers have no scale of their own: large ones are as large as the type allows, but for i64, whose
 * sums would leave float's range. */
static int64_t integer_of(puna_rng *rng, int kind, size_t size)
{
    const int shift = kind == WEIGHT_TINY ? 62 : size == 8 ? 24 : 64 - 8 * (int)size;
    return kind == WEIGHT_ZEROS ? 0 : kind == WEIGHT_ONES ? -1 : (int64_t)puna_rng_next(rng) >> shift;
}

static void fill_plain(uint8_t *data, size_t n, const puna_format_info *format, int kind, puna_rng *rng)
{
    for (size_t i = 0; i < n; i++, data += format->block_bytes) {
        const float v = kind == WEIGHT_ZEROS ? 0.0f : scale_of(rng, kind);
        if (format->quantize)
            format->quantize(&v, data, 1);
        else {
            const uint64_t bits = (uint64_t)integer_of(rng, kind, format->block_bytes);
            for (uint32_t j = 0; j < format->block_bytes; j++)
                data[j] = (uint8_t)(bits >> 8 * j);
        }
    }
}

/* Writes v as place i of a block's float scales. False: there is no such place. */
static bool store_scale(uint8_t *block, uint32_t format, int i, float v)
{
    if (format == PUNA_FORMAT_Q8_K && i == 0) {
        puna_store_f32(block, v);
        return true;
    }
    if (format == PUNA_FORMAT_IQ1_M && i == 0) {
        const uint16_t half = puna_f32_to_f16(v);
        for (int k = 0; k < 4; k++)
            block[49 + 2 * k] = (uint8_t)((block[49 + 2 * k] & 15) | (half >> 4 * k & 15) << 4);
        return true;
    }
    for (size_t k = 0; k < sizeof halves / sizeof *halves; k++) {
        if (halves[k].format == format && halves[k].at[i] >= 0) {
            puna_store_f16(block + halves[k].at[i], v);
            return true;
        }
    }
    return false;
}

static void fill_weights(uint8_t *data, const puna_format_info *format, size_t n_blocks, int kind,
                         puna_rng *rng)
{
    if (format->block_elems == 1) {
        fill_plain(data, n_blocks, format, kind, rng);
        return;
    }
    const bool bytes = format->id == PUNA_FORMAT_Q8_0 || format->id == PUNA_FORMAT_Q8_1 ||
                       format->id == PUNA_FORMAT_Q8_K;
    for (size_t b = 0; b < n_blocks; b++, data += format->block_bytes) {
        for (uint32_t i = 0; i < format->block_bytes; i++)
            data[i] = kind == WEIGHT_ONES ? 0xff : kind == WEIGHT_ZEROS ? 0 : (uint8_t)puna_rng_next(rng);
        if (bytes && kind == WEIGHT_ONES)
            memset(data, b % 2 ? 0x80 : 0x7f, format->block_bytes);
        if (format->id == PUNA_FORMAT_MXFP4)
            data[0] = (uint8_t)(118 + puna_rng_next(rng) % 16);
        for (int i = 0; i < 2; i++)
            store_scale(data, format->id, i, scale_of(rng, kind));
    }
}

static void fill_activations(float *x, int32_t n, int kind, puna_rng *rng)
{
    for (int32_t i = 0; i < n; i++) {
        const double u = symmetric(rng);
        x[i] = (float)u;
        if (kind == ACT_EXTREMES)
            x[i] = u < 0 ? -3.0f : 3.0f;
        else if (kind == ACT_POSITIVE)
            x[i] = 1.5f;
        else if (kind == ACT_ZEROS)
            x[i] = 0.0f;
        else if (kind == ACT_SPARSE)
            x[i] = puna_rng_next(rng) % 97 ? (float)(u * 0.01) : (float)(u * 100.0);
        else if (kind == ACT_LARGE)
            x[i] = (float)(u * 1e25);
        else if (kind == ACT_TINY)
            x[i] = (float)(u * 1e-22);
    }
}

/* A strip of one row. */
static void decode_strip(const uint8_t *strip, int32_t n_in, float *x)
{
    const uint8_t *rest = strip + puna_strip_rest(n_in, 1);
    int32_t widest;
    for (int32_t i = 0; i < n_in; i++) {
        const uint8_t *block = strip + i / PUNA_ACT_BLOCK * PUNA_STRIP_BLOCK;
        float d;
        memcpy(&d, block + puna_strip_d(1), sizeof d);
        x[i] = d * (float)(int8_t)block[i % PUNA_ACT_BLOCK];
    }
    memcpy(&widest, rest + PUNA_STRIP_BLOCK, sizeof widest);
    assert(widest >= -1 && widest < n_in / PUNA_ACT_BLOCK);
    for (int32_t i = 0; widest >= 0 && i < PUNA_ACT_BLOCK; i++) {
        float d;
        memcpy(&d, rest + puna_strip_d(1), sizeof d);
        x[widest * PUNA_ACT_BLOCK + i] += d * (float)(int8_t)rest[i];
    }
}

/* What a kernel reads, decoded. */
static void decode(puna_act act, const void *row, int32_t n_in, float *x)
{
    if (act == PUNA_ACT_F32) {
        memcpy(x, row, (size_t)n_in * sizeof(float));
        return;
    }
    if (act == PUNA_ACT_TILE) {
        for (int32_t i = 0; i < n_in; i++)
            x[i] = puna_bf16_to_f32(((const uint16_t *)row)[i]);
        return;
    }
    if (act == PUNA_ACT_STRIP) {
        decode_strip(row, n_in, x);
        return;
    }
    const puna_act_view a = puna_act_at(row, n_in);
    for (int32_t i = 0; i < n_in; i++)
        x[i] = a.d[i / PUNA_ACT_BLOCK] * (float)a.q[i];
}

/* One weight matrix, its activations and the exact result. */
typedef struct problem {
    const puna_format_info *format;
    puna_act act;
    bool nan; /* expected where exact is one */
    int32_t n_in, n_out, n_rows;
    size_t row_bytes, act_bytes;
    guarded weights, rows;
    uint8_t *weight, *encoded;
    float *raw, *decoded; /* [n_rows][n_in] */
    double *exact, *size; /* [n_rows][n_out]; size: sum of magnitudes of products */
} problem;

/* Where the codes start in a block of a format whose weights are d * q + m; else 0. */
static size_t codes_at(uint32_t format)
{
    if (format == PUNA_FORMAT_Q4_1 || format == PUNA_FORMAT_Q5_1)
        return 4;
    return format == PUNA_FORMAT_Q2_K || format == PUNA_FORMAT_Q4_K || format == PUNA_FORMAT_Q5_K ? 16 : 0;
}

/* Weights d * q + m are summed as two terms, so rounding errors are relative to |d * q| + |m| and
 * not to a weight that happens to be near zero. m is what the block gives for codes 0. */
static void magnitudes(const problem *p, const uint8_t *row, const float *w, float *size)
{
    static uint8_t copy[4 * MAX_IN];
    static float m[MAX_IN];
    const size_t at = codes_at(p->format->id), bytes = p->format->block_bytes;
    memset(m, 0, sizeof m);
    if (at) {
        memcpy(copy, row, p->row_bytes);
        for (size_t block = 0; block < p->row_bytes; block += bytes)
            memset(copy + block + at, 0, p->format->id == PUNA_FORMAT_Q2_K ? 64 : bytes - at);
        p->format->dequantize(copy, m, (size_t)p->n_in);
    }
    for (int32_t i = 0; i < p->n_in; i++)
        size[i] = fabsf(w[i] - m[i]) + fabsf(m[i]);
}

static void problem_solve(problem *p)
{
    static float w[MAX_IN], w_size[MAX_IN];
    for (int32_t o = 0; o < p->n_out; o++) {
        p->format->dequantize(p->weight + (size_t)o * p->row_bytes, w, (size_t)p->n_in);
        magnitudes(p, p->weight + (size_t)o * p->row_bytes, w, w_size);
        for (int32_t r = 0; r < p->n_rows; r++) {
            const float *x = p->decoded + (size_t)r * (size_t)p->n_in;
            double sum = 0.0, size = 0.0;
            for (int32_t i = 0; i < p->n_in; i++) {
                sum += (double)w[i] * (double)x[i];
                size += (double)w_size[i] * fabs((double)x[i]);
            }
            p->exact[r * p->n_out + o] = sum;
            p->size[r * p->n_out + o] = size;
        }
    }
}

static problem problem_make(const puna_format_info *format, puna_act act, int32_t n_in, int32_t n_out,
                            int32_t n_rows, int weights, int activations, puna_rng *rng)
{
    problem p = { .format = format, .act = act, .n_in = n_in, .n_out = n_out, .n_rows = n_rows };
    const size_t n_blocks = (size_t)n_in / format->block_elems, n_results = (size_t)(n_rows * n_out);
    p.row_bytes = n_blocks * format->block_bytes;
    p.act_bytes = puna_act_bytes(act, n_in);
    p.weights = guarded_make(p.row_bytes * (size_t)n_out);
    p.weight = p.weights.end - p.row_bytes * (size_t)n_out;
    p.rows = guarded_make(p.act_bytes * (size_t)n_rows);
    p.encoded = p.rows.end - p.act_bytes * (size_t)n_rows;
    p.raw = malloc((size_t)(n_rows * n_in) * sizeof(float));
    p.decoded = malloc((size_t)(n_rows * n_in) * sizeof(float));
    p.exact = malloc(n_results * sizeof(double));
    p.size = malloc(n_results * sizeof(double));
    fill_weights(p.weight, format, n_blocks * (size_t)n_out, weights, rng);
    for (int32_t r = 0; r < n_rows; r++) {
        float *x = p.raw + (size_t)r * (size_t)n_in;
        fill_activations(x, n_in, activations, rng);
        puna_act_encode(act, x, n_in, p.encoded + (size_t)r * p.act_bytes, 0);
        decode(act, p.encoded + (size_t)r * p.act_bytes, n_in, p.decoded + (size_t)r * (size_t)n_in);
    }
    problem_solve(&p);
    return p;
}

static void problem_free(problem *p)
{
    guarded_free(&p->weights);
    guarded_free(&p->rows);
    free(p->raw);
    free(p->decoded);
    free(p->exact);
    free(p->size);
}

/* y of [begin, end) is near the exact result, and nothing else was written. */
static bool problem_check(const problem *p, const float *y, size_t stride, int32_t n_rows, int32_t begin,
                          int32_t end, double max_err, const char *what)
{
    for (int32_t r = 0; r < n_rows; r++) {
        for (int32_t o = 0; o < (int32_t)stride; o++) {
            const double got = (double)y[(size_t)r * stride + (size_t)o];
            if (o < begin || o >= end) {
                if (y[(size_t)r * stride + (size_t)o] != CANARY)
                    return test_fail(__FILE__, __LINE__, "%s: wrote outside at row %d output %d", what, r, o);
                continue;
            }
            const double exact = p->exact[r * p->n_out + o], size = p->size[r * p->n_out + o];
            if (p->nan && isnan(exact) && isnan(got))
                continue;
            if (!(fabs(got - exact) <= max_err * size))
                return test_fail(
                    __FILE__, __LINE__,
                    "%s, seed %llu: %d inputs, row %d of %d, output %d of [%d, %d): got %.9g, exact %.9g, "
                    "error %.3g of %.3g",
                    what, (unsigned long long)seed, p->n_in, r, n_rows, o, begin, end, got, exact,
                    fabs(got - exact) / size, max_err);
        }
    }
    return true;
}

/* The panels of a problem's weights, ending at a page that must not be read. */
static guarded panels_of(const problem *p)
{
    const int32_t n_panels = (p->n_out + PUNA_PANEL_ROWS - 1) / PUNA_PANEL_ROWS;
    const size_t bytes = PUNA_PANEL_ROWS * p->row_bytes;
    guarded g = guarded_make(bytes * (size_t)n_panels);
    for (int32_t i = 0; i < n_panels; i++) {
        const int32_t left = p->n_out - i * PUNA_PANEL_ROWS;
        puna_pack_of(p->format->id)(p->weight + (size_t)i * bytes, p->row_bytes,
                                    left < PUNA_PANEL_ROWS ? left : PUNA_PANEL_ROWS,
                                    p->n_in / (int32_t)p->format->block_elems, g.end - bytes * (size_t)(n_panels - i));
    }
    return g;
}

/* The first n_rows activations side by side (strips or tiles), ending at such a page too. */
static guarded rows_of(const problem *p, puna_act act, int32_t n_rows, uint8_t **rows)
{
    const size_t bytes = puna_act_bytes(act, p->n_in) * (size_t)n_rows;
    guarded g = guarded_make(bytes);
    *rows = g.end - bytes;
    for (int32_t r = 0; r < n_rows; r++)
        puna_act_encode_row(act, p->raw + (size_t)r * (size_t)p->n_in, p->n_in, *rows, r, n_rows, 0);
    return g;
}

/* Bytes, a multiple of 64, so that what ends at a page begins aligned. */
static size_t scratch_of(const puna_kernel *k)
{
    return k->op == PUNA_KERNEL_batch ? PUNA_BATCH_SCRATCH : PUNA_TILE_SCRATCH;
}

static bool reads_panels(const puna_kernel *k)
{
    return k->op == PUNA_KERNEL_packed || k->op == PUNA_KERNEL_batch;
}

static bool run_call(const puna_kernel *k, const problem *p, puna_linear_call call)
{
    const size_t stride = (size_t)p->n_out + 5;
    const int32_t n_rows = call.n_rows, begin = call.begin, end = call.end;
    const size_t scratch_bytes = scratch_of(k);
    guarded scratch = guarded_make(scratch_bytes);
    float *y = malloc((size_t)n_rows * stride * sizeof *y);
    char what[64];
    for (size_t i = 0; i < (size_t)n_rows * stride; i++)
        y[i] = CANARY;
    call.y = y;
    call.y_stride = stride;
    call.scratch = scratch.end - scratch_bytes;
    k->run(&call);
    snprintf(what, sizeof what, "%s %s %s", puna_kernel_op_name(k->op), p->format->name, k->isa);
    const bool good = problem_check(p, y, stride, n_rows, begin, end, k->max_err, what);
    free(y);
    guarded_free(&scratch);
    return good;
}

/* Kernels of panels begin at whole panels. */
static bool run_kernel(const puna_kernel *k, const problem *p, int32_t n_rows, int32_t begin, int32_t end)
{
    puna_linear_call call = { .weight = p->weight,
                              .row_bytes = p->row_bytes,
                              .n_in = p->n_in,
                              .act = p->encoded,
                              .act_bytes = p->act_bytes,
                              .n_rows = n_rows,
                              .begin = begin,
                              .end = end };
    if (!reads_panels(k))
        return run_call(k, p, call);
    uint8_t *rows;
    guarded panels = panels_of(p), acts = rows_of(p, puna_kernel_act(k), n_rows, &rows);
    const size_t n_panels = (size_t)(p->n_out + PUNA_PANEL_ROWS - 1) / PUNA_PANEL_ROWS;
    call.begin = begin / PUNA_PANEL_ROWS * PUNA_PANEL_ROWS;
    call.weight = panels.end - n_panels * PUNA_PANEL_ROWS * p->row_bytes;
    call.act = rows;
    call.act_bytes = puna_act_bytes(puna_kernel_act(k), p->n_in);
    const bool good = run_call(k, p, call);
    guarded_free(&panels);
    guarded_free(&acts);
    return good;
}

/* Widths: single blocks, odd counts, the edges of a panel's slice, and beyond. */
static const int32_t *widths_of(const puna_format_info *format)
{
    static const int32_t plain[] = { 1, 7, 64, 172, 513, 0 }, of_32[] = { 32, 96, 160, 576, 1568, 0 },
                         of_64[] = { 64, 192, 320, 1600, 0 }, of_128[] = { 128, 384, 1664, 0 },
                         of_256[] = { 256, 768, 2048, 0 };
    switch (format->block_elems) {
    case 1:
        return plain;
    case 32:
        return of_32;
    case 64:
        return of_64;
    case 128:
        return of_128;
    default:
        return of_256;
    }
}

static bool check_row(const puna_kernel *k, puna_rng *rng)
{
    const puna_format_info *format = puna_format_get(k->format);
    bool good = true;
    for (const int32_t *n_in = widths_of(format); *n_in && good; n_in++) {
        for (int weights = 0; weights < WEIGHT_KINDS && good; weights++) {
            const int activations = (int)(puna_rng_next(rng) % ACT_KINDS);
            problem p = problem_make(format, puna_kernel_act(k), *n_in, 19, 9, weights, activations, rng);
            for (int32_t n_rows = 1; n_rows <= 9 && good; n_rows++)
                good = run_kernel(k, &p, n_rows, n_rows % 3, 19 - n_rows % 2);
            problem_free(&p);
        }
    }
    for (int activations = 0; activations < ACT_KINDS && good; activations++) {
        problem p = problem_make(format, puna_kernel_act(k), widths_of(format)[1], MAX_OUT, 33,
                                 activations % WEIGHT_LARGE, activations, rng);
        good = run_kernel(k, &p, 16, 0, 16) && run_kernel(k, &p, 33, 1, MAX_OUT) &&
               run_kernel(k, &p, 33, 16, 32);
        problem_free(&p);
    }
    return good;
}

static void kernels_match_float64(void)
{
    size_t n;
    const puna_kernel *kernels = puna_kernel_list(&n);
    const uint32_t have = puna_cpu_have();
    puna_rng rng = puna_rng_make(seed);
    for (size_t i = 0; i < n; i++) {
        if ((kernels[i].needs & have) != kernels[i].needs)
            printf("SKIP %s %s\n", puna_format_get(kernels[i].format)->name, kernels[i].isa);
        else
            CHECK(check_row(&kernels[i], &rng));
    }
}

/* More activations than one block of the cache, and slices of a wide row. */
static void many_rows_match_float64(void)
{
    size_t n;
    const puna_kernel *kernels = puna_kernel_list(&n);
    puna_rng rng = puna_rng_make(seed + 1);
    for (size_t i = 0; i < n; i++) {
        if (kernels[i].op == PUNA_KERNEL_dot || (kernels[i].needs & puna_cpu_have()) != kernels[i].needs)
            continue;
        const puna_format_info *format = puna_format_get(kernels[i].format);
        const int32_t n_in = format->block_elems == 1 ? 259 : MAX_IN;
        problem p = problem_make(format, puna_kernel_act(&kernels[i]), n_in, 18, MAX_ROWS, WEIGHT_RANDOM,
                                 ACT_NORMAL, &rng);
        CHECK(run_kernel(&kernels[i], &p, MAX_ROWS, 0, 18));
        problem_free(&p);
    }
}

/* More rows and outputs than a batch kernel keeps sums of at once. */
static void large_batches_match_float64(void)
{
    size_t n;
    const puna_kernel *kernels = puna_kernel_list(&n);
    puna_rng rng = puna_rng_make(seed + 7);
    for (size_t i = 0; i < n; i++) {
        if (kernels[i].op != PUNA_KERNEL_batch || (kernels[i].needs & puna_cpu_have()) != kernels[i].needs)
            continue;
        const puna_format_info *format = puna_format_get(kernels[i].format);
        problem p = problem_make(format, puna_kernel_act(&kernels[i]), 768, 299, 550, WEIGHT_RANDOM,
                                 ACT_NORMAL, &rng);
        CHECK(run_kernel(&kernels[i], &p, 550, 0, 299));
        problem_free(&p);
    }
}

/* bfloat16 of the nearest value, to even between two, wherever a row lies in a tile. */
static void tiles_hold_the_nearest(void)
{
    enum { N_IN = 96, N = 21 };
    static float x[N][N_IN];
    static uint16_t tiles[N * N_IN] __attribute__((aligned(64)));
    puna_rng rng = puna_rng_make(seed + 8);
    if (!(puna_cpu_have() & PUNA_CPU_AMX)) {
        printf("SKIP tiles\n");
        return;
    }
    for (int32_t r = 0; r < N; r++) {
        fill_activations(x[r], N_IN, r % ACT_TINY, &rng);
        x[r][5] = INFINITY;
        x[r][6] = 1.00390625f; /* between two */
        puna_act_encode_row(PUNA_ACT_TILE, x[r], N_IN, tiles, r, N, 0);
    }
    for (int32_t r = 0; r < N; r++)
        for (int32_t i = 0; i < N_IN; i++) {
            const int32_t slots = r < 16 ? 16 : N - 16;
            const uint16_t *tile = tiles + r / 16 * 16 * N_IN + i / 32 * 32 * slots;
            CHECK_INT(tile[r % 16 * 32 + i % 32], puna_f32_to_bf16(x[r][i]));
        }
}

/* What a kernel of panels gives for a row of activations is the same bits alone and beside others. */
static void check_neighbours(const puna_kernel *k, const problem *p)
{
    enum { ROWS = 19 };
    const puna_act act = puna_kernel_act(k);
    float alone[ROWS][PUNA_PANEL_ROWS], y[ROWS][PUNA_PANEL_ROWS];
    const size_t act_bytes = puna_act_bytes(act, p->n_in);
    guarded panels = panels_of(p), scratch = guarded_make(scratch_of(k));
    uint8_t *rows = aligned_alloc(64, ROWS * act_bytes);
    puna_linear_call call = { .weight = panels.end - PUNA_PANEL_ROWS * p->row_bytes,
                              .row_bytes = p->row_bytes,
                              .n_in = p->n_in,
                              .act = rows,
                              .act_bytes = act_bytes,
                              .y_stride = PUNA_PANEL_ROWS,
                              .end = PUNA_PANEL_ROWS,
                              .scratch = scratch.end - scratch_of(k) };
    for (int32_t first = 0; first < ROWS; first++) {
        puna_act_encode_row(act, p->raw + first * p->n_in, p->n_in, rows, 0, 1, 0);
        call.n_rows = 1;
        call.y = alone[first];
        k->run(&call);
    }
    for (call.n_rows = 2, call.y = y[0]; call.n_rows <= ROWS; call.n_rows++) {
        for (int32_t r = 0; r < call.n_rows; r++)
            puna_act_encode_row(act, p->raw + r * p->n_in, p->n_in, rows, r, call.n_rows, 0);
        k->run(&call);
        for (int32_t r = 0; r < call.n_rows; r++)
            if (memcmp(y[r], alone[r], sizeof y[r]) != 0)
                test_fail(__FILE__, __LINE__, "%s %s %s: row %d of %d differs from that row alone",
                          puna_kernel_op_name(k->op), p->format->name, k->isa, r, call.n_rows);
    }
    free(rows);
    guarded_free(&panels);
    guarded_free(&scratch);
}

static void neighbours_change_no_bit(void)
{
    size_t n;
    const puna_kernel *kernels = puna_kernel_list(&n);
    puna_rng rng = puna_rng_make(seed + 5);
    for (size_t i = 0; i < n; i++) {
        if (!reads_panels(&kernels[i]) || (kernels[i].needs & puna_cpu_have()) != kernels[i].needs)
            continue;
        const puna_format_info *format = puna_format_get(kernels[i].format);
        problem p =
            problem_make(format, puna_kernel_act(&kernels[i]), 768, 16, 19, WEIGHT_RANDOM, ACT_NORMAL, &rng);
        check_neighbours(&kernels[i], &p);
        problem_free(&p);
    }
}

/* Strips of 1 to 4 rows, of which the last is written: the same bytes by two encoders. */
static void check_strips(const puna_encoder *a, const puna_encoder *b, const float *x)
{
    const size_t bytes = puna_act_bytes(PUNA_ACT_STRIP, MAX_IN) * PUNA_STRIP_ROWS;
    uint8_t *expected = aligned_alloc(64, bytes), *got = aligned_alloc(64, bytes);
    for (int n = 1; n <= PUNA_STRIP_ROWS; n++) {
        memset(expected, 0xaa, bytes);
        memset(got, 0xaa, bytes);
        a->strip(x, MAX_IN, expected, n - 1, n);
        b->strip(x, MAX_IN, got, n - 1, n);
        CHECK(memcmp(expected, got, bytes) == 0);
    }
    free(expected);
    free(got);
}

/* The integers are those of the scalar encoder, whatever the instruction set. */
static void encoders_agree(void)
{
    static float x[MAX_IN];
    size_t n;
    const puna_encoder *encoders = puna_encoder_list(&n);
    const size_t bytes = puna_act_bytes(PUNA_ACT_Q8, MAX_IN);
    uint8_t *expected = aligned_alloc(64, bytes), *got = aligned_alloc(64, bytes);
    puna_rng rng = puna_rng_make(seed + 2);
    for (int kind = 0; kind < ACT_KINDS + 1; kind++) {
        fill_activations(x, MAX_IN, kind % ACT_KINDS, &rng);
        if (kind == ACT_KINDS) {
            x[3] = NAN;
            x[40] = -INFINITY;
            x[77] = 3e38f;
            x[101] = 1e-44f;
            memset(x + 128, 0, 32 * sizeof *x);
            x[140] = -1e-38f;
        }
        memset(expected, 0xaa, bytes);
        encoders[0].run(x, MAX_IN, expected);
        for (size_t i = 1; i < n; i++) {
            if ((encoders[i].needs & puna_cpu_have()) != encoders[i].needs) {
                printf("SKIP encode %s\n", encoders[i].isa);
                continue;
            }
            memset(got, 0x55, bytes);
            encoders[i].run(x, MAX_IN, got);
            CHECK(memcmp(expected, got, bytes) == 0);
            check_strips(&encoders[0], &encoders[i], x);
        }
    }
    const puna_act_view a = puna_act_at(expected, MAX_IN);
    CHECK(isnan(a.d[0]) && isnan(a.d[1]) && a.q[3] == 0 && isnan(a.s[0]));
    CHECK(a.d[4] == 0.0f && a.q[140] == 0);
    CHECK(a.q[77] == 127);
    free(expected);
    free(got);
}

/* Every value within half a step, sums right, the largest value exactly 127 steps. */
static void encoding_is_as_near_as_can_be(void)
{
    enum { N = 1056 };
    static float x[N];
    uint8_t *row = aligned_alloc(64, puna_act_bytes(PUNA_ACT_Q8, N));
    puna_rng rng = puna_rng_make(seed + 3);
    fill_activations(x, N, ACT_SPARSE, &rng);
    puna_act_encode(PUNA_ACT_Q8, x, N, row, puna_cpu_have());
    const puna_act_view a = puna_act_at(row, N);
    for (int b = 0; b < N / 32; b++) {
        int sums[2] = { 0, 0 }, largest = 0;
        for (int i = 32 * b; i < 32 * b + 32; i++) {
            CHECK_NEAR(a.d[b] * (float)a.q[i], x[i], 0.50001 * (double)a.d[b]);
            sums[i % 32 / 16] += a.q[i];
            largest = abs(a.q[i]) > largest ? abs(a.q[i]) : largest;
        }
        CHECK_INT(largest, 127);
        CHECK_INT(a.sums[2 * b], sums[0]);
        CHECK_INT(a.sums[2 * b + 1], sums[1]);
        CHECK_NEAR(a.s[b], a.d[b] * (float)(sums[0] + sums[1]), 1e-9);
    }
    for (int b = N / 32; b < (N / 32 + 7) / 8 * 8; b++)
        CHECK(a.d[b] == 0.0f && a.s[b] == 0.0f && a.sums[2 * b] == 0 && a.sums[2 * b + 1] == 0);
    free(row);
}

/* The block that a value far beyond the others is in is read as if codes had sixteen bits, wherever its row lies in a
 * strip; rows of equal blocks have no rest. */
static void outliers_keep_their_block(void)
{
    enum { N = 192, ROWS = 3, AT = 40 };
    uint8_t *strip = aligned_alloc(64, ROWS * puna_act_bytes(PUNA_ACT_STRIP, N));
    float x[N], flat[N];
    puna_rng rng = puna_rng_make(seed + 9);
    fill_activations(x, N, ACT_NORMAL, &rng);
    for (int i = 0; i < N; i++)
        flat[i] = i % 2 ? -1.0f : 1.0f;
    x[AT] = 50.0f;
    for (int r = 0; r < ROWS; r++)
        puna_act_encode_row(PUNA_ACT_STRIP, r == 1 ? x : flat, N, strip, r, ROWS, puna_cpu_have());
    const uint8_t *rest = strip + puna_strip_rest(N, ROWS);
    int32_t widest[ROWS];
    memcpy(widest, rest + ROWS * PUNA_STRIP_BLOCK, sizeof widest);
    CHECK_INT(widest[0], -1);
    CHECK_INT(widest[1], AT / 32);
    CHECK_INT(widest[2], -1);
    puna_rests rests;
    puna_strip_rests(rest, ROWS, &rests);
    CHECK_INT(rests.n, 1);
    CHECK_INT(rests.rest[0].block, AT / 32);
    CHECK(rests.rest[0].act == rest);
    puna_act_encode(PUNA_ACT_STRIP, x, N, strip, puna_cpu_have());
    decode_strip(strip, N, flat);
    for (int i = 0; i < 32; i++)
        CHECK_NEAR(flat[AT / 32 * 32 + i], x[AT / 32 * 32 + i], 50.0 / 127 / 2 / 127 / 2 * 1.01);
    free(strip);
}

/* A scale that is not a number spoils its own output and no other; so does an activation its row. */
static void not_a_number_stays_where_it_is(void)
{
    enum { N_OUT = 19, N_ROWS = 6, BAD = 5 };
    size_t n;
    const puna_kernel *kernels = puna_kernel_list(&n);
    puna_rng rng = puna_rng_make(seed + 5);
    for (size_t i = 0; i < n; i++) {
        const puna_format_info *format = puna_format_get(kernels[i].format);
        if (format->block_elems == 1 || (kernels[i].needs & puna_cpu_have()) != kernels[i].needs)
            continue;
        const int32_t n_in = widths_of(format)[1];
        const puna_act act = puna_kernel_act(&kernels[i]);
        problem p = problem_make(format, act, n_in, N_OUT, N_ROWS, WEIGHT_RANDOM, ACT_NORMAL, &rng);
        store_scale(p.weight + BAD * p.row_bytes + format->block_bytes, format->id, 0, NAN);
        p.raw[2 * n_in - 1] = NAN;
        puna_act_encode(act, p.raw + n_in, n_in, p.encoded + p.act_bytes, 0);
        decode(act, p.encoded + p.act_bytes, n_in, p.decoded + n_in);
        problem_solve(&p);
        p.nan = true;
        CHECK(isnan(p.exact[N_OUT]) && !isnan(p.exact[0]));
        run_kernel(&kernels[i], &p, N_ROWS, 0, N_OUT);
        problem_free(&p);
    }
}

/* puna_linear_*: any format, exactly the scratch that was asked for, any division of the rows. */
static void check_linear(const puna_format_info *format, uint32_t allowed, puna_rng *rng)
{
    const int32_t n_in = widths_of(format)[1], n_out = 35;
    char what[64];
    puna_tensor tensor = {
        .name = "w", .format = format, .n_dims = 2, .ne = { (uint64_t)n_in, (uint64_t)n_out, 1, 1 }
    };
    puna_linear linear = puna_linear_choose(&tensor, allowed);
    problem p = problem_make(format, linear.act, n_in, n_out, 7, WEIGHT_RANDOM, ACT_NORMAL, rng);
    tensor.data = p.weight;
    snprintf(what, sizeof what, "linear %s%s", format->name, allowed ? "" : " scalar");
    CHECK_INT(linear.n_in, n_in);
    CHECK_INT(linear.n_out, n_out);
    CHECK(linear.chunk > 0);
    for (int32_t n_rows = 1; n_rows <= 7; n_rows++) {
        float y[7 * 40];
        void *scratch = malloc(puna_linear_scratch_bytes(&linear, n_rows));
        for (int i = 0; i < 7 * 40; i++)
            y[i] = CANARY;
        puna_linear_run(&linear, linear.act, p.encoded, n_rows, y, 40, 0, 16, scratch);
        puna_linear_run(&linear, linear.act, p.encoded, n_rows, y, 40, 16, 16, scratch);
        puna_linear_run(&linear, linear.act, p.encoded, n_rows, y, 40, 16, 35, scratch);
        problem_check(&p, y, 40, n_rows, 0, 35, 2e-6, what);
        free(scratch);
    }
    problem_free(&p);
}

static void every_format_multiplies(void)
{
    size_t n;
    const puna_format_info *formats = puna_format_list(&n);
    puna_rng rng = puna_rng_make(seed + 4);
    for (size_t i = 0; i < n; i++) {
        check_linear(&formats[i], puna_cpu_have(), &rng);
        check_linear(&formats[i], 0, &rng);
    }
}

/* An encoding that has no row of kernels.def, as a new one has none. */
static void a_format_without_kernels_multiplies(void)
{
    puna_format_info format = *puna_format_get(PUNA_FORMAT_F16);
    puna_rng rng = puna_rng_make(seed + 6);
    puna_tensor tensor = { .name = "w", .format = &format, .n_dims = 2, .ne = { 256, 8, 1, 1 } };
    CHECK(!puna_linear_choose(&tensor, puna_cpu_have()).reference);
    format.id = PUNA_FORMAT_COUNT_MAX - 1;
    const puna_linear linear = puna_linear_choose(&tensor, puna_cpu_have());
    CHECK(linear.reference && linear.act == PUNA_ACT_F32);
    check_linear(&format, puna_cpu_have(), &rng);
    check_linear(&format, 0, &rng);
}

static void levels_have_names(void)
{
    int known = 0;
    char text[64], two[2];
    CHECK(puna_cpu_level(NULL, &known) == UINT32_MAX && known);
    CHECK(puna_cpu_level("", &known) == UINT32_MAX && known);
    CHECK(puna_cpu_level("scalar", &known) == 0 && known);
    CHECK(puna_cpu_level("AVX2", &known) == PUNA_CPU_AVX2 && known);
    CHECK(puna_cpu_level("avx512", &known) ==
              (PUNA_CPU_AVX2 | PUNA_CPU_AVX512_VNNI | PUNA_CPU_FOLLOWS | PUNA_CPU_NEAR) &&
          known);
    CHECK((puna_cpu_level("amx", &known) & PUNA_CPU_AMX) && known);
    CHECK(puna_cpu_level("sse9", &known) == 0 && !known);
    CHECK_TEXT(puna_cpu_describe(0, text, 64), "scalar");
    CHECK_TEXT(puna_cpu_describe(PUNA_CPU_AVX2 | PUNA_CPU_AVX512_VNNI, text, 64), "avx2 avx512_vnni");
    CHECK_TEXT(puna_cpu_describe(PUNA_CPU_AVX2, two, 2), "a");
    CHECK(puna_cpu_have() == puna_cpu_have());
}

static const test_case cases[] = {
    TEST(levels_have_names),
    TEST(encoders_agree),
    TEST(encoding_is_as_near_as_can_be),
    TEST(kernels_match_float64),
    TEST(many_rows_match_float64),
    TEST(every_format_multiplies),
    TEST(neighbours_change_no_bit),
    TEST(large_batches_match_float64),
    TEST(tiles_hold_the_nearest),
    TEST(outliers_keep_their_block),
    TEST(not_a_number_stays_where_it_is),
    TEST(a_format_without_kernels_multiplies),
};

int main(int argc, char **argv)
{
    if (getenv("PUNA_SEED"))
        seed = strtoull(getenv("PUNA_SEED"), NULL, 10);
    return test_main("kernels", cases, sizeof cases / sizeof *cases, argc, argv);
}
