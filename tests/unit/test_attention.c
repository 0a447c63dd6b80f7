/* test_attention.c - tiles of keys and values, and the kernels over them: the encodings against
 * what they were given, every instruction set against the portable kernels, and jobs that are cut
 * in other ways against each other, bit for bit. */
#include <math.h>
#include <stdlib.h>

#include "backend/cpu/attention.h"
#include "backend/cpu/cpu.h"
#include "backend/cpu/vector.h"
#include "base/rng.h"
#include "harness.h"
#include "quant/half.h"

enum { MAX_DIM = 264, N_TILES = PUNA_ATTENTION_TILE_BLOCKS, KEYS = PUNA_ATTENTION_TILE };

static const puna_format formats[] = { PUNA_FORMAT_F32, PUNA_FORMAT_F16, PUNA_FORMAT_BF16, PUNA_FORMAT_Q8_0,
                                       PUNA_FORMAT_Q4_0 };
enum { N_FORMATS = sizeof formats / sizeof *formats };
static const int32_t dims[] = { 1, 8, 13, 64, 72, 80, 128, 136, 256, 264 };
enum { N_DIMS = sizeof dims / sizeof *dims };

static float normal(puna_rng *rng)
{
    double sum = 0;
    for (int i = 0; i < 6; i++)
        sum += puna_rng_uniform(rng) - 0.5;
    return (float)(sum * 1.4142135623730951);
}

static void fill(float *x, size_t n, puna_rng *rng)
{
    for (size_t i = 0; i < n; i++)
        x[i] = normal(rng);
}

static double norm(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* |a - b| / |b| */
static double distance(const float *a, const float *b, size_t n)
{
    double sum = 0, of = 1e-30;
    for (size_t i = 0; i < n; i++) {
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        of += (double)b[i] * (double)b[i];
    }
    return sqrt(sum / of);
}

/* ---- tiles ------------------------------------------------------------------------------ */

static void *new_tile(puna_format format, int32_t dim, bool key)
{
    size_t bytes = 0;
    CHECK(puna_kv_tile_bytes(format, dim, key, &bytes));
    return calloc(1, bytes + 64);
}

/* What a slot holds after all were written, in another order, and one of them twice. */
static void slots_hold_what_they_were_given(void)
{
    static const double bounds[N_FORMATS] = { 0, 0x1p-11, 0x1p-8, 8e-3, 0.14 };
    static float x[PUNA_KV_BLOCK][MAX_DIM], y[MAX_DIM];
    puna_rng rng = puna_rng_make(1);
    for (int f = 0; f < N_FORMATS; f++)
        for (int i = 0; i < N_DIMS; i++)
            for (int key = 0; key < 2; key++) {
                void *tile = new_tile(formats[f], dims[i], key);
                for (int n = 0; n <= PUNA_KV_BLOCK; n++) {
                    int32_t slot = n * 5 % PUNA_KV_BLOCK;
                    fill(x[slot], (size_t)dims[i], &rng);
                    (key ? puna_kv_put_key : puna_kv_put_value)(formats[f], tile, dims[i], slot, x[slot]);
                }
                double worst = 0;
                for (int32_t slot = 0; slot < PUNA_KV_BLOCK; slot++) {
                    for (int32_t d = 0; d < dims[i]; d++)
                        y[d] = (key ? puna_kv_key : puna_kv_value)(formats[f], tile, dims[i], slot, d);
                    worst = fmax(worst, distance(y, x[slot], (size_t)dims[i]));
                }
                if (!(worst <= bounds[f]))
                    test_fail(__FILE__, __LINE__, "%s, dim %d, key %d: differs by %.3g, expected at most %g",
                              puna_format_get(formats[f])->name, dims[i], key, worst, bounds[f]);
                free(tile);
            }
}

static void zeros_and_numbers_that_are_none_are_kept(void)
{
    for (int f = 0; f < N_FORMATS; f++)
        for (int key = 0; key < 2; key++) {
            float x[16] = { 0 };
            void *tile = new_tile(formats[f], 16, key);
            (key ? puna_kv_put_key : puna_kv_put_value)(formats[f], tile, 16, 3, x);
            CHECK((key ? puna_kv_key : puna_kv_value)(formats[f], tile, 16, 3, 5) == 0);
            x[7] = NAN;
            (key ? puna_kv_put_key : puna_kv_put_value)(formats[f], tile, 16, 3, x);
            CHECK(isnan((key ? puna_kv_key : puna_kv_value)(formats[f], tile, 16, 3, 7)));
            free(tile);
        }
}

static void caches_shrink_as_promised(void)
{
    static const double bits[N_FORMATS] = { 32, 16, 16, 8.25, 5.25 };
    for (int f = 0; f < N_FORMATS; f++) {
        size_t k = 0, v = 0;
        CHECK(puna_kv_tile_bytes(formats[f], 64, true, &k) && puna_kv_tile_bytes(formats[f], 64, false, &v));
        CHECK((double)(k + v) * 8 / (2 * 64 * PUNA_KV_BLOCK) == bits[f]);
        CHECK(k % 64 == 0 && v % 64 == 0);
    }
    size_t bytes;
    CHECK(!puna_kv_tile_bytes(PUNA_FORMAT_Q4_K, 64, true, &bytes));
}

static void rotating_twice_changes_nothing_and_keeps_products(void)
{
    static float x[MAX_DIM], y[MAX_DIM], x2[MAX_DIM], y2[MAX_DIM];
    puna_rng rng = puna_rng_make(2);
    for (int i = 0; i < N_DIMS; i++) {
        const size_t n = (size_t)dims[i];
        fill(x, n, &rng);
        fill(y, n, &rng);
        memcpy(x2, x, sizeof x);
        memcpy(y2, y, sizeof y);
        puna_kv_rotate(x2, dims[i]);
        puna_kv_rotate(y2, dims[i]);
        double want = 0, got = 0;
        for (size_t d = 0; d < n; d++) {
            want += (double)x[d] * (double)y[d];
            got += (double)x2[d] * (double)y2[d];
        }
        CHECK(fabs(want - got) < 1e-5 * (double)n);
        CHECK(dims[i] % 2 || distance(x2, x, n) > 0.1);
        puna_kv_rotate(x2, dims[i]);
        CHECK(distance(x2, x, n) < 1e-6);
    }
    float one[8] = { 1 };
    puna_kv_rotate(one, 8);
    for (int d = 0; d < 8; d++)
        CHECK(fabsf(one[d] - 0.35355339f) < 1e-7f);
}

/* ---- kernels ---------------------------------------------------------------------------- */

/* A sequence of KEYS positions in one head, and queries. */
typedef struct bench {
    puna_format format;
    int32_t dim;
    void *k[N_TILES], *v[N_TILES];
    float q[PUNA_ATTENTION_STRIP * MAX_DIM], p[PUNA_ATTENTION_STRIP * KEYS];
    int16_t codes[PUNA_ATTENTION_STRIP * MAX_DIM];
    float scale[PUNA_ATTENTION_STRIP];
} bench;

static void open_bench(bench *b, puna_format format, int32_t dim, puna_rng *rng)
{
    static float x[MAX_DIM];
    b->format = format;
    b->dim = dim;
    for (int t = 0; t < N_TILES; t++) {
        b->k[t] = new_tile(format, dim, true);
        b->v[t] = new_tile(format, dim, false);
        for (int32_t slot = 0; slot < PUNA_KV_BLOCK; slot++) {
            fill(x, (size_t)dim, rng);
            puna_kv_put_key(format, b->k[t], dim, slot, x);
            fill(x, (size_t)dim, rng);
            puna_kv_put_value(format, b->v[t], dim, slot, x);
        }
    }
    fill(b->q, sizeof b->q / sizeof *b->q, rng);
    for (size_t i = 0; i < sizeof b->p / sizeof *b->p; i++)
        b->p[i] = expf(3 * normal(rng));
}

static void close_bench(bench *b)
{
    for (int t = 0; t < N_TILES; t++) {
        free(b->k[t]);
        free(b->v[t]);
    }
}

/* scores of m queries in every tile, then sums with given weights. */
static void run_kernels(const puna_attention_kernels *k, bench *b, int32_t m, int32_t n_keys, float *s,
                        float *sums)
{
    const size_t dim = (size_t)b->dim, padded = puna_kv_padded(b->dim);
    const float factor[PUNA_ATTENTION_STRIP] = { 0.5f, 1, 0, 2, 0.25f, 1, 0.125f, 3 };
    for (size_t i = 0; i < (size_t)m * padded; i++)
        sums[i] = (float)(i % 7);
    if (!puna_kv_is_rotated(b->format)) {
        for (int t = 0; t < N_TILES; t++)
            k->scores(m, b->q, dim, b->k[t], b->k[t], b->dim, b->format, s + t * PUNA_KV_BLOCK, KEYS);
        k->weigh(m, b->p, KEYS, factor, (const void *const *)b->v, (const void *const *)b->v, n_keys, b->dim,
                 b->format, sums, padded);
        return;
    }
    for (size_t i = 0; i < (size_t)m; i++)
        b->scale[i] = k->quantize(b->q + i * dim, b->dim, b->codes + i * padded);
    const void *keys[N_TILES], *values[N_TILES];
    for (int t = 0; t < N_TILES; t++) {
        keys[t] = b->k[t];
        values[t] = b->v[t];
        if (b->format == PUNA_FORMAT_Q4_0) {
            void *to = new_tile(PUNA_FORMAT_Q8_0, b->dim, true),
                 *to_v = new_tile(PUNA_FORMAT_Q8_0, b->dim, false);
            k->unpack(b->k[t], b->dim, true, to);
            k->unpack(b->v[t], b->dim, false, to_v);
            keys[t] = to;
            values[t] = to_v;
        }
        k->scores_q8(m, b->codes, padded, b->scale, keys[t], keys[t], b->dim, s + t * PUNA_KV_BLOCK, KEYS);
    }
    k->weigh_q8(m, b->p, KEYS, factor, values, values, n_keys, b->dim, sums, padded);
    for (int t = 0; t < N_TILES && b->format == PUNA_FORMAT_Q4_0; t++) {
        free((void *)(uintptr_t)keys[t]);
        free((void *)(uintptr_t)values[t]);
    }
}

/* In double, from what the tiles hold. */
static void exact(const bench *b, int32_t m, int32_t n_keys, float *s, float *sums)
{
    const float factor[PUNA_ATTENTION_STRIP] = { 0.5f, 1, 0, 2, 0.25f, 1, 0.125f, 3 };
    const size_t padded = puna_kv_padded(b->dim);
    for (int32_t i = 0; i < m; i++) {
        for (int32_t j = 0; j < KEYS; j++) {
            double sum = 0;
            for (int32_t d = 0; d < b->dim; d++)
                sum += (double)b->q[i * b->dim + d] *
                       (double)puna_kv_key(b->format, b->k[j / 32], b->dim, j % 32, d);
            s[i * KEYS + j] = (float)sum;
        }
        for (int32_t d = 0; d < b->dim; d++) {
            double sum = (double)factor[i] * (double)(((size_t)i * padded + (size_t)d) % 7);
            for (int32_t j = 0; j < n_keys; j++)
                sum += (double)b->p[i * KEYS + j] *
                       (double)puna_kv_value(b->format, b->v[j / 32], b->dim, j % 32, d);
            sums[(size_t)i * padded + (size_t)d] = (float)sum;
        }
    }
}

/* A sum may cancel: its error is measured against the norm of its factors, all values being about 1. */
static void check_rows(const bench *b, bool scores, const char *what, const float *got, const float *want,
                       int32_t m, size_t stride, size_t n, double bound)
{
    for (int32_t i = 0; i < m; i++) {
        const float *a = got + (size_t)i * stride, *c = want + (size_t)i * stride;
        const double factors = scores ? norm(b->q + i * b->dim, (size_t)b->dim) : norm(b->p + i * KEYS, KEYS);
        const double d = distance(a, c, n) * norm(c, n) / (factors * sqrt((double)n));
        if (!(d <= bound))
            test_fail(__FILE__, __LINE__,
                      "%s, %s, dim %d, query %d of %d: differs by %.3g, expected at most %g",
                      puna_format_get(b->format)->name, what, b->dim, i, m, d, bound);
    }
}

enum { N_LEVELS = 3 };

/* The levels that this machine can run, each once. */
static int take_levels(const puna_attention_kernels *levels[N_LEVELS])
{
    const uint32_t masks[N_LEVELS] = { 0, puna_cpu_have() & (PUNA_CPU_AVX2 | PUNA_CPU_NEON),
                                       puna_cpu_have() };
    int n = 0;
    for (int i = 0; i < N_LEVELS; i++) {
        levels[n] = puna_attention_choose(masks[i]);
        n += n == 0 || levels[n] != levels[n - 1];
    }
    return n;
}

/* Also: a query's results do not depend on how many come with it. */
static void kernels_compute_what_the_tiles_hold(void)
{
    static bench b;
    static float s[2][PUNA_ATTENTION_STRIP * KEYS], sums[2][PUNA_ATTENTION_STRIP * MAX_DIM];
    static float all_s[PUNA_ATTENTION_STRIP * KEYS], all_sums[PUNA_ATTENTION_STRIP * MAX_DIM];
    const puna_attention_kernels *levels[N_LEVELS];
    const int n_levels = take_levels(levels);
    puna_rng rng = puna_rng_make(3);
    for (int f = 0; f < N_FORMATS; f++)
        for (int i = 0; i < N_DIMS; i++) {
            open_bench(&b, formats[f], dims[i], &rng);
            const size_t dim = (size_t)b.dim, padded = puna_kv_padded(b.dim);
            for (int l = 0; l < n_levels; l++)
                for (int32_t m = levels[l]->strip; m > 0; m--) {
                    const int32_t n_keys = i % 3 ? KEYS : 1 + (int32_t)(puna_rng_next(&rng) % KEYS);
                    exact(&b, m, n_keys, s[0], sums[0]);
                    run_kernels(levels[l], &b, m, n_keys, s[1], sums[1]);
                    /* 16-bit codes of queries and weights: half a step of each of many, mostly */
                    check_rows(&b, true, "scores", s[1], s[0], m, KEYS, KEYS, 5e-5);
                    check_rows(&b, false, "sums", sums[1], sums[0], m, padded, dim, 4e-4);
                    if (i % 3 == 0)
                        continue;
                    if (m == levels[l]->strip) {
                        memcpy(all_s, s[1], sizeof all_s);
                        memcpy(all_sums, sums[1], sizeof all_sums);
                    }
                    check_rows(&b, true, "scores of fewer", s[1], all_s, m, KEYS, KEYS, 0);
                    check_rows(&b, false, "sums of fewer", sums[1], all_sums, m, padded, dim, 0);
                }
            close_bench(&b);
        }
}

static void check_helpers(const puna_attention_kernels *best)
{
    static float x[MAX_DIM], y[MAX_DIM];
    static int16_t a[MAX_DIM], b[MAX_DIM];
    puna_rng rng = puna_rng_make(4);
    for (int i = 0; i < N_DIMS; i++) {
        const int32_t dim = dims[i];
        fill(x, (size_t)dim, &rng);
        CHECK(best->quantize(x, dim, a) == puna_attention_scalar.quantize(x, dim, b));
        memcpy(y, x, sizeof y);
        best->rotate(y, dim);
        puna_kv_rotate(x, dim);
        CHECK(distance(y, x, (size_t)dim) < 1e-6);
        for (int key = 0; key < 2; key++) {
            size_t bytes = 0;
            puna_kv_tile_bytes(PUNA_FORMAT_Q8_0, dim, key, &bytes);
            void *tile = new_tile(PUNA_FORMAT_Q4_0, dim, key);
            void *one = new_tile(PUNA_FORMAT_Q8_0, dim, key), *two = new_tile(PUNA_FORMAT_Q8_0, dim, key);
            for (int32_t slot = 0; slot < PUNA_KV_BLOCK; slot++) {
                fill(x, (size_t)dim, &rng);
                (key ? puna_kv_put_key : puna_kv_put_value)(PUNA_FORMAT_Q4_0, tile, dim, slot, x);
            }
            best->unpack(tile, dim, key, one);
            puna_kv_unpack(tile, dim, key, two);
            CHECK(memcmp(one, two, bytes) == 0);
            free(tile);
            free(one);
            free(two);
        }
    }
    x[3] = NAN;
    CHECK(isnan(best->quantize(x, 8, a)) && isnan(puna_attention_scalar.quantize(x, 8, a)));
    x[3] = INFINITY;
    CHECK(isnan(best->quantize(x, 8, a)) && isnan(puna_attention_scalar.quantize(x, 8, a)));
}

static void helpers_of_every_level_agree(void)
{
    const puna_attention_kernels *levels[N_LEVELS];
    const int n = take_levels(levels);
    for (int i = 0; i < n; i++)
        check_helpers(levels[i]);
}

/* Against double; hidden keys (minus infinity) weigh exactly nothing, and a NaN stays. */
static void softmax_of_every_level_is_near(void)
{
    const puna_attention_kernels *levels[N_LEVELS];
    const int n = take_levels(levels);
    puna_rng rng = puna_rng_make(6);
    for (int l = 0; l < n; l++)
        for (int32_t width = 32; width <= KEYS; width += 32) {
            float s[KEYS], x[KEYS], highest = -1, total = 2;
            double sum = 0, top = -1;
            for (int32_t j = 0; j < width; j++) {
                x[j] = s[j] = j % 5 == 0 ? -INFINITY : 12 * normal(&rng);
                top = fmax(top, (double)x[j]);
            }
            const float factor = levels[l]->softmax(s, width, &highest, &total);
            for (int32_t j = 0; j < width; j++) {
                const double want = exp((double)x[j] - top);
                sum += want;
                /* the argument is rounded twice, and the result once more */
                const double bound = ((top - (double)x[j]) * 0x1p-23 + 5e-7) * want + 1e-37;
                CHECK(x[j] > -INFINITY ? fabs((double)s[j] - want) <= bound : s[j] == 0);
            }
            CHECK(highest == (float)top);
            CHECK_NEAR(factor, exp(-1 - top), 2e-6);
            CHECK_NEAR(total, 2 * exp(-1 - top) + sum, 1e-5 * sum);
            s[3] = NAN;
            levels[l]->softmax(s, width, &highest, &total);
            CHECK(isnan(total));
        }
}

/* ---- jobs ------------------------------------------------------------------------------- */

enum {
    POSITIONS = 2100,
    N_BLOCKS = POSITIONS / PUNA_KV_BLOCK + 1,
    JOB_DIM = 24,
    JOB_GROUP = 3,
    JOB_ROWS = 7
};

/* A cache of one head, whose blocks lie backwards. */
typedef struct cache {
    puna_kv kv;
    puna_kv_cache one;
    int32_t blocks[N_BLOCKS];
    puna_attention_params p;
} cache;

static void open_cache(cache *c, puna_format format, int32_t window)
{
    puna_rng rng = puna_rng_make(5);
    float x[JOB_DIM];
    *c = (cache){ .p = { .n_head = JOB_GROUP,
                         .n_head_kv = 1,
                         .head_dim = JOB_DIM,
                         .head_dim_v = JOB_DIM,
                         .window = window } };
    c->one.layout = (puna_cache_layout){ .n_head = 1, .head_dim_k = JOB_DIM, .head_dim_v = JOB_DIM, .window = window };
    puna_kv_tile_bytes(format, JOB_DIM, true, &c->one.k_block_bytes);
    puna_kv_tile_bytes(format, JOB_DIM, false, &c->one.v_block_bytes);
    c->one.k = calloc(N_BLOCKS, c->one.k_block_bytes);
    c->one.v = calloc(N_BLOCKS, c->one.v_block_bytes);
    c->kv = (puna_kv){ .caches = &c->one, .n_caches = 1, .n_blocks = N_BLOCKS, .format = format };
    for (int32_t b = 0; b < N_BLOCKS; b++)
        c->blocks[b] = N_BLOCKS - 1 - b;
    for (int32_t j = 0; j < POSITIONS; j++) {
        fill(x, JOB_DIM, &rng);
        puna_kv_put_key(format, puna_kv_k(&c->kv, 0, c->blocks[j / 32], 0), JOB_DIM, j % 32, x);
        fill(x, JOB_DIM, &rng);
        puna_kv_put_value(format, puna_kv_v(&c->kv, 0, c->blocks[j / 32], 0), JOB_DIM, j % 32, x);
    }
}

static void close_cache(cache *c)
{
    free(c->one.k);
    free(c->one.v);
}

/* Rows pos .. pos + n - 1; with cut > 0 a single row whose keys come in nodes of that many blocks. */
static void run_job(cache *c, int32_t pos, int32_t n, int32_t cut, float *y)
{
    enum { QUERIES = JOB_ROWS * JOB_GROUP, PART = QUERIES * (JOB_DIM + 2), MAX_PARTS = N_BLOCKS / 8 + 1 };
    static float q[QUERIES * JOB_DIM], q_scale[QUERIES], scores[PUNA_ATTENTION_STRIP * KEYS];
    static float stack[PUNA_ATTENTION_LEVELS * PART], parts[MAX_PARTS][PART];
    static int16_t codes[QUERIES * JOB_DIM];
    unsigned char *unpacked = malloc(puna_attention_unpacked_bytes(JOB_DIM, JOB_DIM));
    const puna_span span = { .pos = pos, .n = n };
    puna_attention_job job = { .kernels = puna_attention_choose(puna_cpu_have()),
                               .p = &c->p,
                               .kv = &c->kv,
                               .blocks = c->blocks,
                               .span = &span,
                               .pos = pos,
                               .n_rows = n,
                               .n_group = JOB_GROUP,
                               .q = q,
                               .codes = codes,
                               .q_scale = q_scale,
                               .scores = scores,
                               .unpacked = unpacked,
                               .stack = stack,
                               .softcap = puna_vector_choose(puna_cpu_have())->softcap };
    for (int32_t i = 0; i < n; i++) {
        puna_rng rng = puna_rng_make((uint64_t)(pos + i)); /* a row's queries depend on its position */
        fill(q + i * JOB_GROUP * JOB_DIM, (size_t)JOB_GROUP * JOB_DIM, &rng);
    }
    int32_t begin, end;
    puna_attention_range(&c->p, &span, pos, n, &begin, &end);
    puna_attention_queries(&job);
    if (!cut) {
        puna_attention_absorb(&job, begin, end, parts[0]);
    } else {
        int32_t first = begin / cut, n_parts = (end - 1) / cut + 1 - first;
        for (int32_t i = 0; i < n_parts; i++) {
            int32_t from = (first + i) * cut, to = from + cut;
            puna_attention_absorb(&job, from > begin ? from : begin, to < end ? to : end, parts[i]);
        }
        puna_attention_merge_nodes(&job, parts[0], PART, first, n_parts);
    }
    puna_attention_end(&job, parts[0], y, (size_t)JOB_GROUP * JOB_DIM);
    free(unpacked);
}

/* ---- batches ---------------------------------------------------------------------------- */

/* n_rows rows of 3 queries from position pos on over a cache in which nothing behind the last is a number, with
 * and without the batch. */
static void check_batch(puna_format format, int32_t dim, int32_t pos, int32_t n_rows, int32_t window,
                        float softcap)
{
    enum { GROUP = 3, ROWS = 17, BLOCKS = 12, DIM = 96, QUERIES = ROWS * GROUP, PART = QUERIES * (DIM + 2) };
    static float q[QUERIES * DIM], scores[PUNA_ATTENTION_BATCH * KEYS], part[PART], y[2][QUERIES * DIM];
    static float stack[PUNA_ATTENTION_LEVELS * PART], x[DIM];
    static int16_t codes[QUERIES * DIM];
    puna_attention_params p = { .n_head = GROUP, .n_head_kv = 1, .head_dim = dim, .head_dim_v = dim };
    puna_kv_cache one = { .layout = { .n_head = 1, .head_dim_k = dim, .head_dim_v = dim, .window = window } };
    puna_kv kv = { .caches = &one, .n_caches = 1, .n_blocks = BLOCKS, .format = format };
    int32_t blocks[BLOCKS], begin, end;
    puna_rng rng = puna_rng_make((uint64_t)(pos * 31 + dim));
    p.window = window;
    p.softcap = softcap;
    puna_kv_tile_bytes(format, dim, true, &one.k_block_bytes);
    puna_kv_tile_bytes(format, dim, false, &one.v_block_bytes);
    one.k = calloc(BLOCKS, one.k_block_bytes);
    one.v = calloc(BLOCKS, one.v_block_bytes);
    for (int32_t b = 0; b < BLOCKS; b++)
        blocks[b] = b * 5 % BLOCKS;
    for (int32_t j = 0; j < BLOCKS * PUNA_KV_BLOCK; j++)
        for (int key = 0; key < 2; key++) {
            fill(x, (size_t)dim, &rng);
            for (int32_t d = 0; d < dim && j >= pos + n_rows; d++)
                x[d] = NAN;
            (key ? puna_kv_put_key : puna_kv_put_value)(
                format, (key ? puna_kv_k : puna_kv_v)(&kv, 0, blocks[j / PUNA_KV_BLOCK], 0), dim,
                j % PUNA_KV_BLOCK, x);
        }
    unsigned char *unpacked = malloc(puna_attention_unpacked_bytes(dim, dim));
    const puna_span span = { .pos = pos, .n = n_rows };
    puna_attention_job job = { .kernels = puna_attention_choose(puna_cpu_have()),
                               .p = &p,
                               .kv = &kv,
                               .blocks = blocks,
                               .span = &span,
                               .pos = pos,
                               .n_rows = n_rows,
                               .n_group = GROUP,
                               .q = q,
                               .codes = codes,
                               .scores = scores,
                               .unpacked = unpacked,
                               .stack = stack,
                               .softcap = puna_vector_choose(puna_cpu_have())->softcap };
    const size_t n = (size_t)(n_rows * GROUP * dim);
    for (size_t i = 0; i < n; i++)
        q[i] = 2 * normal(&rng) / sqrtf((float)dim);
    puna_attention_range(&p, &span, pos, n_rows, &begin, &end);
    for (int i = 0; i < 2; i++) {
        job.batch = i ? puna_attention_choose_batch(puna_cpu_have()) : NULL;
        puna_attention_queries(&job);
        puna_attention_absorb(&job, begin, end, part);
        puna_attention_end(&job, part, y[i], (size_t)(GROUP * dim));
    }
    const double differs = distance(y[1], y[0], n);
    if (!(differs < 6e-3 && (differs > 0 || n_rows * GROUP < PUNA_ATTENTION_BATCH)))
        test_fail(__FILE__, __LINE__, "%s, dim %d, %d rows at %d, window %d: a batch differs by %g",
                  puna_format_get(format)->name, dim, n_rows, pos, window, differs);
    free(unpacked);
    free(one.k);
    free(one.v);
}

static void batches_are_near_what_single_queries_give(void)
{
    static const int32_t dims_of_batches[] = { 32, 64, 96 };
    if (!puna_attention_choose_batch(puna_cpu_have())) {
        printf("SKIP batches\n");
        return;
    }
    for (int f = 1; f <= 2; f++)
        for (int i = 0; i < 3; i++)
            for (int32_t pos = 0; pos < 340; pos += 41)
                for (int32_t n_rows = 5; n_rows <= 17; n_rows += 6) {
                    check_batch(formats[f], dims_of_batches[i], pos, n_rows, 0, 0);
                    check_batch(formats[f], dims_of_batches[i], pos, n_rows, 50, 0);
                    check_batch(formats[f], dims_of_batches[i], pos, n_rows, 0, 5);
                }
}

/* A row's result depends on its position alone: not on the rows beside it, not on how its keys are
 * divided among threads. */
static void rows_are_the_same_bits_however_they_are_cut(void)
{
    static cache c;
    static float want[JOB_ROWS * JOB_GROUP * JOB_DIM], got[JOB_GROUP * JOB_DIM];
    static const int32_t positions[] = { 0,   3,   29,   125,  250,  255,
                                         500, 700, 1020, 1300, 2047, POSITIONS - JOB_ROWS };
    for (int f = 0; f < N_FORMATS; f++)
        for (int32_t window = 0; window <= 600; window += 300) {
            open_cache(&c, formats[f], window);
            for (size_t i = 0; i < sizeof positions / sizeof *positions; i++) {
                run_job(&c, positions[i], JOB_ROWS, 0, want);
                for (int32_t r = 0; r < JOB_ROWS; r++)
                    for (int32_t cut = 0; cut <= 64; cut = cut ? 2 * cut : PUNA_ATTENTION_LEAF_BLOCKS) {
                        run_job(&c, positions[i] + r, 1, cut, got);
                        if (memcmp(got, want + r * JOB_GROUP * JOB_DIM, sizeof got) != 0)
                            test_fail(__FILE__, __LINE__,
                                      "%s, window %d, position %d, nodes of %d: other bits than in a batch",
                                      puna_format_get(formats[f])->name, window, positions[i] + r, cut);
                    }
            }
            close_cache(&c);
        }
}

int main(int argc, char **argv)
{
    const test_case cases[] = {
        TEST(slots_hold_what_they_were_given),
        TEST(zeros_and_numbers_that_are_none_are_kept),
        TEST(caches_shrink_as_promised),
        TEST(rotating_twice_changes_nothing_and_keeps_products),
        TEST(kernels_compute_what_the_tiles_hold),
        TEST(helpers_of_every_level_agree),
        TEST(softmax_of_every_level_is_near),
        TEST(rows_are_the_same_bits_however_they_are_cut),
        TEST(batches_are_near_what_single_queries_give),
    };
    return test_main("attention", cases, sizeof cases / sizeof *cases, argc, argv);
}
