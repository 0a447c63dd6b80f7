/* test_cpu_backend.c - random small models through the CPU backend and the scalar oracle: the
 * same logits for every trait, batch shape, number of threads, with and without fusion. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/steps.h"
#include "base/rng.h"
#include "harness.h"
#include "ops/backend.h"
#include "random_plan.h"

/* ---- running ---------------------------------------------------------------------------- */

enum { MAX_SEQUENCES = 6, BLOCKS_PER_SEQUENCE = 80, MAX_ROWS = 512 };

/* An engine in small: a backend, caches, and where each sequence's blocks lie (scattered). */
typedef struct runner {
    const puna_backend *backend;
    const model *m;
    puna_program *program;
    puna_worker *worker;
    puna_kv kv;
    int32_t blocks[MAX_SEQUENCES][BLOCKS_PER_SEQUENCE];
    int32_t length[MAX_SEQUENCES];
} runner;

typedef struct config {
    int n_threads;
    bool no_fusion, deterministic;
    puna_format kv; /* F32 unless it is said */
    const char *isa;
    puna_trace_fn *trace;
    void *user;
    puna_repack repack;
} config;

static bool open_runner(runner *r, const puna_backend *backend, const model *m, config c)
{
    puna_error err = { 0 };
    *r = (runner){ .backend = backend, .m = m };
    int32_t n = MAX_SEQUENCES * BLOCKS_PER_SEQUENCE;
    for (int32_t i = 0; i < n; i++)
        r->blocks[i % MAX_SEQUENCES][i / MAX_SEQUENCES] = (i * 7 + 3) % n;
    puna_backend_options options = { .n_threads = c.n_threads ? c.n_threads : 2,
                                     .max_tokens = MAX_ROWS,
                                     .max_outputs = MAX_ROWS,
                                     .fusion = !c.no_fusion,
                                     .deterministic = c.deterministic,
                                     .trace = c.trace,
                                     .trace_user = c.user };
    return CHECK_OK(puna_kv_open(&r->kv, &m->plan, n, MAX_SEQUENCES, c.kv, &err), err) &&
           CHECK_OK(backend->program_open(&r->program, &m->plan,
                                          &(puna_program_options){ .isa = c.isa, .repack = c.repack }, &err),
                    err) &&
           CHECK_OK(backend->worker_open(&r->worker, r->program, &options, &err), err);
}

static void close_runner(runner *r)
{
    r->backend->worker_close(r->worker);
    r->backend->program_close(r->program);
    puna_kv_close(&r->kv);
}

/* The next n[s] tokens of each sequence s in one batch; logits of all rows, in order. */
static void step(runner *r, int32_t n_sequences, const int32_t *n, const int32_t *const *tokens,
                 float *logits)
{
    puna_error err = { 0 };
    static int32_t ids[MAX_ROWS], positions[MAX_ROWS], outputs[MAX_ROWS];
    static float *rows[MAX_ROWS];
    puna_span spans[MAX_SEQUENCES];
    puna_batch b = {
        .tokens = ids, .positions = positions, .spans = spans, .output_rows = outputs, .logits = rows
    };
    for (int32_t s = 0; s < n_sequences; s++) {
        if (n[s] == 0)
            continue;
        spans[b.n_spans++] =
            (puna_span){ .first = b.n_tokens, .n = n[s], .pos = r->length[s], .blocks = r->blocks[s] };
        for (int32_t i = 0; i < n[s]; i++) {
            rows[b.n_outputs] = logits + (size_t)b.n_outputs * (size_t)r->m->plan.n_output;
            outputs[b.n_outputs++] = b.n_tokens;
            positions[b.n_tokens] = r->length[s];
            ids[b.n_tokens++] = tokens[s][r->length[s]++];
        }
    }
    CHECK_OK(r->backend->run(r->worker, &b, &r->kv, &err), err);
}

static void tokens_of(int32_t *tokens, int32_t n, int32_t n_vocab, uint64_t seed)
{
    puna_rng rng = puna_rng_make(seed);
    for (int32_t i = 0; i < n; i++)
        tokens[i] = (int32_t)(puna_rng_next(&rng) % (uint64_t)n_vocab);
}

/* Logits of n tokens of one sequence: a batch of `first`, then batches of at most `chunk`. */
static float *evaluate(const puna_backend *backend, const model *m, config c, int32_t n, int32_t first,
                       int32_t chunk)
{
    static runner r;
    int32_t *tokens = calloc((size_t)n, sizeof *tokens);
    float *logits = calloc((size_t)n * (size_t)m->plan.n_output, sizeof *logits);
    tokens_of(tokens, n, m->t.n_vocab, 5);
    if (tokens && logits && open_runner(&r, backend, m, c))
        for (int32_t i = 0, count = first; i < n; i += count, count = n - i < chunk ? n - i : chunk) {
            step(&r, 1, &count, (const int32_t *const[]){ tokens },
                 logits + (size_t)i * (size_t)m->plan.n_output);
        }
    close_runner(&r);
    free(tokens);
    return logits;
}

/* The largest difference relative to the largest value. */
static double difference(const float *a, const float *b, size_t n)
{
    double most = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        most = d > most || d != d ? d : most;
        largest = fmax(largest, fabs((double)b[i]));
    }
    return most / largest;
}

static void compare(const char *what, const float *a, const float *b, const model *m, int32_t n,
                    double tolerance)
{
    double d = difference(a, b, (size_t)n * (size_t)m->plan.n_output);
    if (getenv("SHOW"))
        printf("%-14s %-12s %.3g\n", m->t.name, what, d);
    if (!(d <= tolerance))
        test_fail(__FILE__, __LINE__, "%s, %s: differs by %.3g, expected at most %g", m->t.name, what, d,
                  tolerance);
}

/* ---- cases ------------------------------------------------------------------------------ */

#define LLAMA                                                                                              \
    .width = 64, .n_layers = 2, .n_head = 6, .n_head_kv = 2, .head_dim = 16, .head_dim_v = 16, .n_ff = 96, \
    .n_vocab = 83, .format = PUNA_FORMAT_F32

static const traits variants[] = {
    { .name = "llama", LLAMA, .n_rot = 16 },
    { .name = "qwen", LLAMA, .n_rot = 16, .pairing = PUNA_ROPE_NEOX, .bias = true },
    { .name = "qk-norm", LLAMA, .n_rot = 16, .pairing = PUNA_ROPE_NEOX, .qk_norm = true },
    { .name = "gemma",
      LLAMA,
      .n_rot = 16,
      .pairing = PUNA_ROPE_NEOX,
      .qk_norm = true,
      .post_norm = true,
      .activation = PUNA_ACT_GELU,
      .window = 20,
      .softcap = 5,
      .logit_cap = 3 },
    { .name = "parallel",
      LLAMA,
      .n_rot = 8,
      .norm = PUNA_NORM_LAYER,
      .bias = true,
      .parallel = true,
      .activation = PUNA_ACT_RELU },
    { .name = "row norm", LLAMA, .n_rot = 16, .qk_norm = true, .full_norm = true, .yarn = 1 },
    { .name = "no rotation", LLAMA, .window = 7, .late_select = true },
    { .name = "early", LLAMA, .n_rot = 16, .early_select = true },
    { .name = "streams", LLAMA, .n_rot = 16, .streams = true },
    { .name = "borrowed",
      .width = 64,
      .n_layers = 5,
      .n_head = 6,
      .n_head_kv = 2,
      .head_dim = 16,
      .head_dim_v = 16,
      .n_ff = 96,
      .n_vocab = 83,
      .format = PUNA_FORMAT_F32,
      .n_rot = 16,
      .window = 20,
      .borrows = true },
    { .name = "stories",
      .width = 64,
      .n_layers = 3,
      .n_head = 8,
      .n_head_kv = 4,
      .head_dim = 8,
      .head_dim_v = 8,
      .n_ff = 172,
      .n_vocab = 512,
      .format = PUNA_FORMAT_F32,
      .n_rot = 8 },
    { .name = "odd",
      .width = 37,
      .n_layers = 2,
      .n_head = 7,
      .n_head_kv = 1,
      .head_dim = 10,
      .head_dim_v = 13,
      .n_ff = 41,
      .n_vocab = 59,
      .format = PUNA_FORMAT_F32,
      .n_rot = 6 },
    { .name = "wide heads",
      .width = 40,
      .n_layers = 1,
      .n_head = 4,
      .n_head_kv = 4,
      .head_dim = 128,
      .head_dim_v = 136,
      .n_ff = 24,
      .n_vocab = 31,
      .format = PUNA_FORMAT_F32,
      .n_rot = 128 },
    { .name = "sinks", LLAMA, .n_rot = 16, .sinks = true, .window = 33 },
    { .name = "alibi", LLAMA, .alibi = 8, .softcap = 4, .bias = true, .norm = PUNA_NORM_LAYER },
    { .name = "chunks", LLAMA, .n_rot = 16, .mask = PUNA_MASK_CHUNK, .window = 40, .temperature = 0.3f },
    { .name = "erf", LLAMA, .n_rot = 16, .activation = PUNA_ACT_GELU_ERF },
};

/* Every token sees all of its sequence, which comes in one batch. */
static const traits whole[] = {
    { .name = "all", LLAMA, .n_rot = 16, .mask = PUNA_MASK_ALL },
    { .name = "all near", LLAMA, .mask = PUNA_MASK_ALL, .window = 24, .alibi = 8, .sinks = true },
};

#define MIXTURE LLAMA, .n_rot = 16, .n_expert = 8, .n_used = 3

static const traits mixtures[] = {
    { .name = "experts", MIXTURE },
    { .name = "odd experts",
      .width = 37,
      .n_layers = 2,
      .n_head = 3,
      .n_head_kv = 1,
      .head_dim = 8,
      .head_dim_v = 8,
      .n_ff = 41,
      .n_vocab = 59,
      .n_expert = 5,
      .n_used = 2,
      .gating = PUNA_GATING_SIGMOID,
      .choice_bias = true },
    { .name = "plain experts",
      MIXTURE,
      .plain_experts = true,
      .activation = PUNA_ACT_RELU_SQUARED,
      .expert_bias = true },
    { .name = "fused experts",
      MIXTURE,
      .fused = true,
      .expert_bias = true,
      .sinks = true,
      .gating = PUNA_GATING_SOFTMAX_USED,
      .activation = PUNA_ACT_GELU_QUICK,
      .limit = 0.5f,
      .up_offset = 1 },
    { .name = "scaled experts",
      MIXTURE,
      .expert_scale = true,
      .expert_bias = true,
      .n_group = 4,
      .early_select = true },
    { .name = "weighted input",
      LLAMA,
      .n_rot = 16,
      .n_expert = 4,
      .n_used = 2,
      .weight_first = true,
      .gating = PUNA_GATING_SIGMOID,
      .activation = PUNA_ACT_SOFTPLUS },
    { .name = "one expert", LLAMA, .n_rot = 16, .n_expert = 6, .n_used = 1, .weight_first = true },
};
enum {
    N_VARIANTS = sizeof variants / sizeof *variants,
    N_WHOLE = sizeof whole / sizeof *whole,
    N_MIXTURES = sizeof mixtures / sizeof *mixtures,
    LENGTH = 75
};

static void every_trait_agrees_with_the_oracle(void)
{
    for (int i = 0; i < N_VARIANTS + N_MIXTURES; i++) {
        model m;
        if (!build(&m, i < N_VARIANTS ? &variants[i] : &mixtures[i - N_VARIANTS], 11))
            return;
        float *want = evaluate(&puna_backend_ref, &m, (config){ 0 }, LENGTH, LENGTH, LENGTH);
        float *got = evaluate(&puna_backend_cpu, &m, (config){ 0 }, LENGTH, LENGTH, LENGTH);
        compare("prefill", got, want, &m, LENGTH, 1e-5);
        free(got);
        got = evaluate(&puna_backend_cpu, &m, (config){ 0 }, LENGTH, LENGTH - 12, 1);
        compare("one by one", got, want, &m, LENGTH, 1e-5);
        free(got);
        got = evaluate(&puna_backend_cpu, &m, (config){ 0 }, LENGTH, 17, 17);
        compare("in pieces", got, want, &m, LENGTH, 1e-5);
        free(got);
        free(want);
        drop(&m);
    }
}

static void whole_sequences_agree_with_the_oracle(void)
{
    for (int i = 0; i < N_WHOLE; i++)
        for (int32_t n = 1; n <= LENGTH; n += n < 3 ? 1 : 24) {
            model m;
            if (!build(&m, &whole[i], 26))
                return;
            float *want = evaluate(&puna_backend_ref, &m, (config){ 0 }, n, n, n);
            float *got = evaluate(&puna_backend_cpu, &m, (config){ 0 }, n, n, n);
            compare("whole", got, want, &m, n, 1e-5);
            free(want);
            want = evaluate(&puna_backend_cpu, &m, (config){ .n_threads = 3, .no_fusion = true }, n, n, n);
            compare("whole, threads", got, want, &m, n, 0);
            free(got);
            free(want);
            drop(&m);
        }
}

/* A key on the edge between two codes may be rounded the other way: its numbers differ by 1e-7
 * before that. The bounds are some of a code's steps. */
static void caches_of_every_encoding_agree_with_the_oracle(void)
{
    static const struct {
        puna_format format;
        double tolerance;
    } kinds[] = { { PUNA_FORMAT_F16, 1e-3 },
                  { PUNA_FORMAT_BF16, 2e-3 },
                  { PUNA_FORMAT_Q8_0, 2e-3 },
                  { PUNA_FORMAT_Q4_0, 1e-2 } };
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (int i = 0; i < N_VARIANTS; i++) {
            model m;
            if (!build(&m, &variants[i], 12))
                return;
            const config c = { .kv = kinds[k].format }, scalar = { .kv = kinds[k].format, .isa = "scalar" };
            float *want = evaluate(&puna_backend_ref, &m, c, LENGTH, LENGTH, LENGTH);
            float *got = evaluate(&puna_backend_cpu, &m, c, LENGTH, LENGTH, LENGTH);
            compare("prefill", got, want, &m, LENGTH, kinds[k].tolerance);
            free(got);
            got = evaluate(&puna_backend_cpu, &m, c, LENGTH, LENGTH - 12, 1);
            compare("one by one", got, want, &m, LENGTH, kinds[k].tolerance);
            free(got);
            got = evaluate(&puna_backend_cpu, &m, scalar, LENGTH, LENGTH - 12, 1);
            compare("scalar", got, want, &m, LENGTH, kinds[k].tolerance);
            free(got);
            free(want);
            drop(&m);
        }
}

/* Bit for bit: nodes run through the same functions on the same rows, and no sum depends on how
 * work was divided. */
static void fusion_and_threads_change_no_bit(void)
{
    const config configs[] = { { .n_threads = 1 }, { .n_threads = 3 }, { .no_fusion = true } };
    enum { PREFIX = 37, SOME = PREFIX + 5 };
    for (int i = 0; i < N_VARIANTS + N_MIXTURES; i++) {
        model m;
        if (!build(&m, i < N_VARIANTS ? &variants[i] : &mixtures[i - N_VARIANTS], 13))
            return;
        float *want = evaluate(&puna_backend_cpu, &m, (config){ 0 }, SOME, PREFIX, 1);
        for (size_t k = 0; k < sizeof configs / sizeof *configs; k++) {
            float *got = evaluate(&puna_backend_cpu, &m, configs[k], SOME, PREFIX, 1);
            compare("same bits", got, want, &m, SOME, 0);
            free(got);
        }
        free(want);
        drop(&m);
    }
}

/* Sequences of different lengths advance by different numbers of tokens in one batch. */
static void sequences_in_one_batch_do_not_meet(void)
{
    enum { N = 5, TOTAL = 60 };
    model m;
    static runner together, alone;
    if (!build(&m, &variants[3], 14) || !open_runner(&together, &puna_backend_cpu, &m, (config){ 0 }))
        return;
    static int32_t tokens[N][TOTAL];
    const int32_t *lists[N];
    for (int s = 0; s < N; s++) {
        tokens_of(tokens[s], TOTAL, m.t.n_vocab, (uint64_t)s + 100);
        lists[s] = tokens[s];
    }
    const int32_t plan_of[][N] = { { 33, 1, 0, 7, 2 },  { 1, 1, 1, 1, 1 }, { 1, 0, 1, 0, 0 },
                                   { 1, 12, 0, 1, 40 }, { 1, 1, 1, 1, 1 }, { 0, 1, 0, 1, 0 } };
    size_t vocab = (size_t)m.t.n_vocab;
    float *logits = calloc(MAX_ROWS * vocab, sizeof *logits),
          *single = calloc(MAX_ROWS * vocab, sizeof *single);
    for (size_t b = 0; b < sizeof plan_of / sizeof *plan_of; b++) {
        int32_t before[N];
        memcpy(before, together.length, sizeof before);
        step(&together, N, plan_of[b], lists, logits);
        size_t row = 0;
        for (int s = 0; s < N; s++) {
            if (plan_of[b][s] == 0 || !open_runner(&alone, &puna_backend_cpu, &m, (config){ 0 }))
                continue;
            if (before[s])
                step(&alone, 1, &before[s], (const int32_t *const[]){ tokens[s] }, single);
            step(&alone, 1, &plan_of[b][s], (const int32_t *const[]){ tokens[s] }, single);
            compare("batched", logits + row * vocab, single, &m, plan_of[b][s], 1e-5);
            row += (size_t)plan_of[b][s];
            close_runner(&alone);
        }
    }
    free(logits);
    free(single);
    close_runner(&together);
    drop(&m);
}

/* Long enough for key ranges that several threads share; few heads, so that ranges are used. */
static void long_contexts_are_split_and_merged(void)
{
    enum { LONG = 1500, TAIL = 4 };
    traits t = plain;
    t.n_layers = 1;
    t.n_head = 2;
    t.n_head_kv = 1;
    t.width = 16;
    t.n_ff = 16;
    for (int window = 0; window <= 900; window += 900) {
        model m;
        t.window = window;
        if (!build(&m, &t, 15))
            return;
        static int32_t tokens[LONG + TAIL];
        static runner r[3];
        float logits[3][TAIL * 83];
        static float rest[MAX_ROWS * 83];
        tokens_of(tokens, LONG + TAIL, t.n_vocab, 3);
        const config configs[3] = { { 0 }, { .n_threads = 2 }, { .n_threads = 3 } };
        for (int k = 0; k < 3; k++) {
            if (!open_runner(&r[k], k ? &puna_backend_cpu : &puna_backend_ref, &m, configs[k]))
                return;
            for (int32_t n = 500, i = 0; i < LONG; i += n)
                step(&r[k], 1, &n, (const int32_t *const[]){ tokens }, rest);
            for (int32_t n = 1, i = 0; i < TAIL; i++)
                step(&r[k], 1, &n, (const int32_t *const[]){ tokens }, logits[k] + i * 83);
            close_runner(&r[k]);
        }
        compare("long", logits[1], logits[0], &m, TAIL, 1e-5);
        compare("long, threads", logits[2], logits[1], &m, TAIL, 0);
        drop(&m);
    }
}

static void quantised_weights_agree_within_their_error(void)
{
    const struct {
        puna_format format;
        double tolerance;
    } formats[] = { { PUNA_FORMAT_F16, 1e-3 },  { PUNA_FORMAT_BF16, 1e-3 }, { PUNA_FORMAT_Q8_0, 3e-2 },
                    { PUNA_FORMAT_Q4_0, 3e-2 },  { PUNA_FORMAT_Q4_K, 3e-2 }, { PUNA_FORMAT_Q6_K, 3e-2 },
                    { PUNA_FORMAT_NVFP4, 3e-2 }, { PUNA_FORMAT_TQ1_0, 3e-2 }, { PUNA_FORMAT_Q1_0, 3e-2 } };
    for (size_t k = 0; k < 2 * sizeof formats / sizeof *formats; k++) {
        const size_t i = k / 2;
        traits t = plain;
        t.n_expert = t.n_used = k % 2 ? 3 : 0; /* all of them, for errors may choose others */
        t.fused = i % 2;
        t.name = puna_format_get((uint32_t)formats[i].format)->name;
        t.format = formats[i].format;
        t.width = 256;
        t.n_ff = 512;
        t.n_head = 4;
        t.head_dim = t.head_dim_v = 64;
        t.n_rot = 64;
        model m;
        if (!build(&m, &t, 16))
            return;
        float *want = evaluate(&puna_backend_ref, &m, (config){ 0 }, 24, 24, 24);
        float *got = evaluate(&puna_backend_cpu, &m, (config){ 0 }, 24, 24, 24);
        compare("prefill", got, want, &m, 24, formats[i].tolerance);
        float *other =
            evaluate(&puna_backend_cpu, &m, (config){ .n_threads = 3, .no_fusion = true }, 24, 24, 24);
        compare("same bits", other, got, &m, 24, 0);
        free(other);
        other = evaluate(&puna_backend_cpu, &m, (config){ 0 }, 24, 18, 1);
        compare("one by one", other, want, &m, 24, formats[i].tolerance);
        free(other);
        free(got);
        free(want);
        drop(&m);
    }
}

/* What a new encoding gets before it has kernels: the reference, and a line that says so. */
static void weights_without_kernels_are_slow_right_and_named(void)
{
    traits t = plain;
    t.format = PUNA_FORMAT_F16;
    t.no_kernels = true;
    model m;
    char text[64], two[2];
    puna_program *program = NULL;
    puna_error err = { 0 };
    if (!build(&m, &t, 21) ||
        !CHECK_OK(puna_backend_cpu.program_open(&program, &m.plan, &(puna_program_options){ 0 }, &err), err))
        return;
    CHECK_INT(puna_backend_cpu.n_fallback(program, text, sizeof text), 2 * 7 + 1);
    CHECK_TEXT(text, "linear f16 x 15");
    CHECK_INT(puna_backend_cpu.n_fallback(program, two, sizeof two), 15);
    CHECK_TEXT(two, "l");
    puna_backend_cpu.program_close(program);
    float *want = evaluate(&puna_backend_ref, &m, (config){ 0 }, 24, 24, 24);
    float *got = evaluate(&puna_backend_cpu, &m, (config){ 0 }, 24, 18, 1);
    compare("no kernels", got, want, &m, 24, 1e-4);
    free(got);
    free(want);
    drop(&m);
}

/* Batches of all, some and single rows, on 1 to 3 threads: the same bits. */
static void check_one_way(const model *m, const char *isa, bool f16, puna_repack repack, int32_t n)
{
    const struct {
        int n_threads;
        int32_t first, chunk;
    } ways[] = { { 1, 1, 1 },  { 2, 7, 7 }, { 3, 512, 512 }, { 2, n < 512 ? n - 9 : 500, 1 },
                 { 3, 33, 2 }, { 1, 5, 64 } };
    config c = { .n_threads = 2,
                 .kv = f16 ? PUNA_FORMAT_F16 : PUNA_FORMAT_F32,
                 .isa = isa,
                 .repack = repack,
                 .deterministic = true };
    float *want = evaluate(&puna_backend_cpu, m, c, n, n < 512 ? n : 512, 512);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        c.n_threads = ways[i].n_threads;
        c.no_fusion = i % 2;
        float *got =
            evaluate(&puna_backend_cpu, m, c, n, ways[i].first < n ? ways[i].first : n, ways[i].chunk);
        char what[64];
        snprintf(what, sizeof what, "%s, %d threads, %d rows", isa, ways[i].n_threads, (int)ways[i].chunk);
        compare(what, got, want, m, n, 0);
        free(got);
    }
    free(want);
}

/* Races do not depend on the encoding, and the sanitizer that looks for them makes each take seconds. */
#ifdef __SANITIZE_THREAD__
enum { FORMAT_STEP = 6 };
#else
enum { FORMAT_STEP = 1 };
#endif

static void deterministic_logits_do_not_depend_on_batches(void)
{
    static const char *const levels[] = { "scalar", "" };
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < N_VARIANTS + N_MIXTURES; i++) {
            model m;
            if (!build(&m, i < N_VARIANTS ? &variants[i] : &mixtures[i - N_VARIANTS], 22))
                return;
            check_one_way(&m, levels[k], i % 2, PUNA_REPACK_AUTO, LENGTH);
            drop(&m);
        }
    size_t n_formats;
    const puna_format_info *formats = puna_format_list(&n_formats);
    for (size_t f = 0; f < n_formats; f += FORMAT_STEP) {
        traits t = plain;
        t.name = formats[f].name;
        t.format = formats[f].id;
        t.n_layers = 1;
        t.width = t.n_ff = 256;
        t.n_head = 4;
        t.head_dim = t.head_dim_v = 64;
        t.n_rot = 64;
        model m;
        for (int k = 0; k < 8 && formats[f].quantize; k++) {
            t.n_expert = k < 4 ? 0 : 5;
            t.n_used = 2;
            t.n_ff = k < 4 ? 256 : 512;
            if (!build(&m, &t, 23))
                return;
            check_one_way(&m, levels[k % 2], k % 4, k % 4 < 2 ? PUNA_REPACK_ON : PUNA_REPACK_OFF, 24);
            drop(&m);
        }
    }
}

/* Past several tiles of blocks and past where single rows are else divided into ranges, with and without a window. */
static void deterministic_logits_hold_in_long_contexts(void)
{
    traits t = plain;
    t.n_layers = 1;
    t.n_head = 2;
    t.n_head_kv = 1;
    t.width = t.n_ff = 16;
    for (int window = 0; window <= 300; window += 150) {
        model m;
        t.window = window;
        if (!build(&m, &t, 24))
            return;
        check_one_way(&m, "", true, PUNA_REPACK_AUTO, 700);
        drop(&m);
    }
}

/* The rows of one sequence alone and beside others that advance by other numbers of tokens. */
static void deterministic_logits_do_not_depend_on_neighbours(void)
{
    enum { N = 3, TOTAL = 130 };
    static const int32_t counts[][N] = { { 40, 3, 17 }, { 1, 1, 1 }, { 7, 0, 1 },
                                         { 1, 90, 1 },  { 1, 0, 0 }, { 60, 1, 33 } };
    static int32_t tokens[N][TOTAL];
    const int32_t *lists[N];
    for (int s = 0; s < N; s++) {
        tokens_of(tokens[s], TOTAL, variants[3].n_vocab, (uint64_t)s + 200);
        lists[s] = tokens[s];
    }
    for (int k = 0; k < 2; k++) {
        traits t = variants[3];
        t.format = k ? PUNA_FORMAT_Q8_0 : PUNA_FORMAT_F32;
        model m;
        static runner together;
        const config c = { .deterministic = true, .kv = k ? PUNA_FORMAT_F16 : PUNA_FORMAT_F32 };
        if (!build(&m, &t, 25) || !open_runner(&together, &puna_backend_cpu, &m, c))
            return;
        size_t vocab = (size_t)t.n_vocab, row = 0;
        float *logits = calloc(MAX_ROWS * vocab, sizeof *logits);
        static runner alone;
        float *single = calloc(MAX_ROWS * vocab, sizeof *single);
        for (size_t b = 0; b < sizeof counts / sizeof *counts; b++) {
            int32_t before[N];
            memcpy(before, together.length, sizeof before);
            step(&together, N, counts[b], lists, logits);
            row = 0;
            for (int s = 0; s < N; s++) {
                if (counts[b][s] == 0 || !open_runner(&alone, &puna_backend_cpu, &m, c))
                    continue;
                int32_t all = before[s] + counts[b][s];
                step(&alone, 1, &all, (const int32_t *const[]){ tokens[s] }, single);
                compare("neighbours", logits + row * vocab, single + (size_t)before[s] * vocab, &m,
                        counts[b][s], 0);
                row += (size_t)counts[b][s];
                close_runner(&alone);
            }
        }
        free(single);
        free(logits);
        close_runner(&together);
        drop(&m);
    }
}

static void scalar_level_agrees_with_the_oracle(void)
{
    for (int i = 0; i < N_VARIANTS; i++) {
        model m;
        if (!build(&m, &variants[i], 17))
            break;
        float *want = evaluate(&puna_backend_ref, &m, (config){ .kv = PUNA_FORMAT_F16 }, 40, 30, 10);
        float *got =
            evaluate(&puna_backend_cpu, &m, (config){ .kv = PUNA_FORMAT_F16, .isa = "scalar" }, 40, 30, 10);
        compare("scalar", got, want, &m, 40, 1e-3);
        free(got);
        free(want);
        drop(&m);
    }
}

static void not_a_number_ends_in_not_a_number(void)
{
    model m;
    if (!build(&m, &variants[3], 18))
        return;
    for (int32_t i = 0; i < m.plan.n_nodes; i++)
        if (m.plan.nodes[i].op == PUNA_OP_LINEAR && i % 3 == 0)
            ((float *)(uintptr_t)m.plan.nodes[i].weight->data)[i] = i % 2 ? NAN : -INFINITY;
    float *got = evaluate(&puna_backend_cpu, &m, (config){ .kv = PUNA_FORMAT_F16 }, LENGTH, 20, 20);
    CHECK(!isfinite(got[LENGTH * 83 - 1]));
    free(got);
    drop(&m);
}

/* ---- tracing and steps ------------------------------------------------------------------ */

typedef struct record {
    const puna_node *node;
    int32_t n_rows, width;
    double sum;
} record;

typedef struct recorder {
    record records[256];
    int n;
} recorder;

static void trace(void *user, const puna_node *node, const float *rows, int32_t n_rows, int32_t width)
{
    recorder *r = user;
    record *at = &r->records[r->n++ % 256];
    *at = (record){ .node = node, .n_rows = n_rows, .width = width };
    for (int32_t i = 0; rows && i < n_rows * width; i++)
        at->sum += fabs((double)rows[i]);
}

static void tracing_shows_every_node(void)
{
    model m;
    static recorder want, got;
    if (!build(&m, &variants[3], 19))
        return;
    free(evaluate(&puna_backend_ref, &m, (config){ .trace = trace, .user = &want }, 30, 30, 30));
    free(evaluate(&puna_backend_cpu, &m, (config){ .trace = trace, .user = &got }, 30, 30, 30));
    CHECK_INT(want.n, m.plan.n_nodes);
    CHECK_INT(got.n, want.n);
    for (int i = 0; i < want.n; i++) {
        CHECK(got.records[i].node == want.records[i].node);
        CHECK_INT(got.records[i].n_rows, want.records[i].n_rows);
        CHECK_INT(got.records[i].width, want.records[i].width);
        CHECK_NEAR(got.records[i].sum, want.records[i].sum, 1e-4 * want.records[i].sum);
    }
    drop(&m);
}

/* Barriers are what small models wait for. */
static void a_layer_is_five_steps(void)
{
    const int which[] = { 0, 1, 2, 3, 7 };
    for (int i = 0; i < 5; i++) {
        int32_t n[2];
        for (int k = 0; k < 2; k++) {
            model m;
            puna_steps steps;
            puna_error err = { 0 };
            traits t = variants[which[i]];
            t.n_layers = 3 + k;
            if (!build(&m, &t, 20) || !CHECK_OK(puna_steps_compile(&steps, &m.plan, 0, true, &err), err))
                return;
            n[k] = steps.n_steps;
            puna_steps_free(&steps);
            drop(&m);
        }
        CHECK_INT(n[0], 3 * 5 + 1); /* the last products, norm and logits are one more */
        CHECK_INT(n[1], 4 * 5 + 1);
    }
}

int main(int argc, char **argv)
{
    const test_case cases[] = {
        TEST(every_trait_agrees_with_the_oracle),
        TEST(whole_sequences_agree_with_the_oracle),
        TEST(caches_of_every_encoding_agree_with_the_oracle),
        TEST(fusion_and_threads_change_no_bit),
        TEST(sequences_in_one_batch_do_not_meet),
        TEST(long_contexts_are_split_and_merged),
        TEST(quantised_weights_agree_within_their_error),
        TEST(weights_without_kernels_are_slow_right_and_named),
        TEST(deterministic_logits_do_not_depend_on_batches),
        TEST(deterministic_logits_hold_in_long_contexts),
        TEST(deterministic_logits_do_not_depend_on_neighbours),
        TEST(scalar_level_agrees_with_the_oracle),
        TEST(not_a_number_ends_in_not_a_number),
        TEST(tracing_shows_every_node),
        TEST(a_layer_is_five_steps),
    };
    return test_main("cpu_backend", cases, sizeof cases / sizeof *cases, argc, argv);
}
