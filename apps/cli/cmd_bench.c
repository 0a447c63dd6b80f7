/* cmd_bench.c - `puna bench`: tokens per second of prefill, decode and small batches, beside what the
 * machine's memory and multipliers allow, and a hash of the last logits that tells whether two builds
 * computed the same. Tokens are fixed, so that runs compare; the context is filled once per depth. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/limits.h"
#include "cli/progress.h"
#include "cli/synthetic.h"
#include "cli/table.h"

enum { MAX_REPEAT = 1000, MAX_LENGTH = 1 << 20 };

typedef enum kind { PREFILL, DECODE, BATCH } kind; /* BATCH: a few rows at once, as prefill */
static const char *const kind_names[] = { "prefill", "decode", "batch" };

typedef struct bench {
    puna_cli *cli;
    puna_model *model;
    void *memory; /* of a made-up model, or NULL */
    puna_session *session;
    puna_progress progress;
    int32_t *tokens;
    size_t n_tokens;
    int32_t n_batch;
    int64_t repeat;
    double *speeds; /* [repeat] tok/s */
    puna_limits limit;
    json_t *results;
    size_t n_steps, n_done; /* of the progress line */
} bench;

typedef struct lengths {
    int32_t *values;
    size_t n;
} lengths;

/* What to measure at every depth, by kind. */
typedef struct tests {
    lengths of[3], depth;
} tests;

static puna_status read_lengths(const puna_cli *cli, puna_flag_id flag, const char *absent, lengths *out,
                                puna_error *err)
{
    const char *text = cli->flags[flag] ? cli->flags[flag] : absent;
    char what[32];
    snprintf(what, sizeof what, "--%s", puna_flags[flag].key);
    return puna_numbers_parse(text, strlen(text), what, 0, MAX_LENGTH, &out->values, &out->n, err);
}

static int32_t largest(const lengths *list)
{
    int32_t most = 0;
    for (size_t i = 0; i < list->n; i++)
        if (list->values[i] > most)
            most = list->values[i];
    return most;
}

/* FNV-1a of the bytes of the logits. */
static uint64_t hash_logits(const float *logits, size_t n)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; logits && i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &logits[i], sizeof bits);
        for (int b = 0; b < 32; b += 8)
            hash = (hash ^ (bits >> b & 0xff)) * 0x100000001b3u;
    }
    return hash;
}

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static puna_status add_result(bench *b, kind what, int32_t n, int32_t depth, puna_error *err)
{
    size_t count = (size_t)b->repeat;
    qsort(b->speeds, count, sizeof *b->speeds, order);
    double median = count % 2 ? b->speeds[count / 2] : (b->speeds[count / 2 - 1] + b->speeds[count / 2]) / 2;
    char hash[24];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)hash_logits(puna_session_logits(b->session),
                                                                          (size_t)puna_model_n_vocab(b->model)));
    json_t *row = json_pack("{s:s, s:i, s:i, s:f, s:f, s:f, s:s}", "test", kind_names[what], "tokens", (int)n, "depth",
                            (int)depth, "median_tok_per_s", median, "min", b->speeds[0], "max", b->speeds[count - 1],
                            "logits_hash", hash);
    if (json_array_append_new(b->results, row) != 0)
        return puna_fail(err, PUNA_ERR_MEMORY, "out of memory: results");
    return PUNA_OK;
}

/* One evaluation: back to `depth` tokens, then n more at once or (DECODE) one by one, timed. */
static puna_status evaluate(bench *b, kind what, int32_t n, int32_t depth, double *ms, puna_error *err)
{
    size_t from = (size_t)depth, to = from + (size_t)n;
    TRY(puna_session_sync(b->session, b->tokens, from, err));
    double start = puna_clock_ms();
    for (size_t i = what == DECODE ? from + 1 : to; i <= to; i++) {
        TRY(puna_session_sync(b->session, b->tokens, i, err));
        if (puna_interrupt_seen())
            return puna_fail(err, PUNA_ERR_INTERRUPTED, "bench: interrupted");
    }
    *ms += puna_clock_ms() - start;
    return PUNA_OK;
}

/* Small batches are over so soon that one pass is several of them. */
static puna_status pass(bench *b, kind what, int32_t n, int32_t depth, double *tok_per_s, puna_error *err)
{
    int times = what == BATCH && n <= 32 ? 4 : 1;
    double ms = 0;
    for (int i = 0; i < times; i++)
        TRY(evaluate(b, what, n, depth, &ms, err));
    *tok_per_s = ms > 0 ? n * times * 1000.0 / ms : 0;
    puna_progress_show(&b->progress, (double)++b->n_done, (double)b->n_steps);
    return PUNA_OK;
}

static puna_status measure(bench *b, kind what, int32_t n, int32_t depth, puna_error *err)
{
    double warm;
    if (n == 0)
        return PUNA_OK;
    TRY(pass(b, what, n, depth, &warm, err));
    for (int64_t i = 0; i < b->repeat; i++)
        TRY(pass(b, what, n, depth, &b->speeds[i], err));
    return add_result(b, what, n, depth, err);
}

static puna_status measure_all(bench *b, const tests *t, puna_error *err)
{
    puna_status status = PUNA_OK;
    for (int what = PREFILL; what <= BATCH; what++)
        b->n_steps += t->of[what].n * t->depth.n * (size_t)(b->repeat + 1);
    b->progress = puna_progress_make(b->cli, "measuring");
    for (size_t d = 0; d < t->depth.n; d++)
        for (int what = PREFILL; what <= BATCH; what++)
            for (size_t i = 0; i < t->of[what].n && status == PUNA_OK; i++)
                status = measure(b, (kind)what, t->of[what].values[i], t->depth.values[d], err);
    puna_progress_end(&b->progress);
    return status;
}

static int stop_filling(void *user, size_t n_done, size_t n_total)
{
    (void)user;
    (void)n_done;
    (void)n_total;
    return puna_interrupt_seen();
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* The limits, now that they have been measured before and after. */
static puna_status add_shares(bench *b, puna_error *err)
{
    size_t index;
    json_t *row;
    json_array_foreach(b->results, index, row) {
        bool decode = strcmp(json_string_value(json_object_get(row, "test")), kind_names[DECODE]) == 0;
        int32_t n = (int32_t)number(row, "tokens"), depth = (int32_t)number(row, "depth");
        double share = puna_limits_share(&b->limit, n, decode ? 1 : b->n_batch, depth, n / number(row, "median_tok_per_s"));
        if (json_object_set_new(row, "limit_share", json_real(share)) != 0)
            return puna_fail(err, PUNA_ERR_MEMORY, "out of memory: results");
    }
    return PUNA_OK;
}

/* Tokens of a fixed sequence over the whole vocabulary, and a context that holds them. */
static puna_status prepare(bench *b, int32_t n, puna_error *err)
{
    char text[24];
    uint32_t state = 1;
    uint32_t n_vocab = (uint32_t)puna_model_n_vocab(b->model);
    b->n_tokens = (size_t)n;
    b->tokens = malloc((b->n_tokens + 1) * sizeof *b->tokens);
    b->speeds = malloc((size_t)b->repeat * sizeof *b->speeds);
    b->results = json_array();
    if (!b->tokens || !b->speeds || !b->results)
        return puna_fail_memory(err, "tokens", b->n_tokens * sizeof *b->tokens);
    for (size_t i = 0; i < b->n_tokens && n_vocab; i++) {
        state = state * 1664525u + 1013904223u;
        b->tokens[i] = (int32_t)((state >> 8) % n_vocab);
    }
    snprintf(text, sizeof text, "%d", (int)(n > 1 ? n : 1));
    if (puna_cli_setting(b->cli, PUNA_KEY_ctx) == 0)
        TRY(puna_params_set(b->cli->params, "ctx", text, err));
    b->n_batch = (int32_t)puna_cli_setting(b->cli, PUNA_KEY_batch);
    TRY(puna_session_open(&b->session, b->model, b->cli->params, err));
    puna_session_set_progress(b->session, stop_filling, NULL);
    return PUNA_OK;
}

static puna_status print_json(bench *b, puna_error *err)
{
    const char *name = puna_model_name(b->model);
    json_t *document = json_pack("{s:o, s:s, s:s, s:o, s:O}", "model", puna_cli_json_text(name, strlen(name)),
                                 "fingerprint", puna_model_fingerprint(b->model), "version", puna_version(), "machine",
                                 puna_limits_json(&b->limit), "results", b->results);
    return puna_out_json(b->cli, document, err);
}

static puna_status print_table(bench *b, puna_error *err)
{
    puna_table table = puna_table_make("TEST|>TOKENS|>DEPTH|>TOK/S|>MIN|>MAX|>OF LIMIT|LOGITS");
    size_t index;
    const json_t *row;
    json_array_foreach(b->results, index, row) {
        puna_table_add(&table, "%s", json_string_value(json_object_get(row, "test")));
        puna_table_add(&table, "%d", (int)number(row, "tokens"));
        puna_table_add(&table, "%d", (int)number(row, "depth"));
        puna_table_add(&table, "%.1f", number(row, "median_tok_per_s"));
        puna_table_add(&table, "%.1f", number(row, "min"));
        puna_table_add(&table, "%.1f", number(row, "max"));
        puna_table_add(&table, "%.1f %%", 100 * number(row, "limit_share"));
        puna_table_add(&table, "%s", json_string_value(json_object_get(row, "logits_hash")));
    }
    puna_out_printf(b->cli, "%s (%s)\n", puna_model_name(b->model), puna_model_fingerprint(b->model));
    puna_limits_print(&b->limit, b->cli);
    return puna_table_print(&table, b->cli, err);
}

static puna_status run(bench *b, const tests *t, puna_error *err)
{
    int32_t n = 0;
    for (int what = PREFILL; what <= BATCH; what++)
        n = largest(&t->of[what]) > n ? largest(&t->of[what]) : n;
    TRY(puna_synthetic_or_input(b->cli, &b->model, &b->memory, err));
    puna_status status = prepare(b, n + largest(&t->depth), err);
    if (status == PUNA_OK)
        status = puna_limits_read(&b->limit, b->cli, b->session, b->model, err);
    if (status == PUNA_OK)
        status = measure_all(b, t, err);
    if (status == PUNA_OK)
        status = puna_limits_again(&b->limit, b->cli, err);
    if (status == PUNA_OK)
        status = add_shares(b, err);
    if (status == PUNA_OK)
        status = b->cli->json ? print_json(b, err) : print_table(b, err);
    puna_limits_free(&b->limit);
    json_decref(b->results);
    free(b->tokens);
    free(b->speeds);
    puna_session_free(b->session);
    puna_model_free(b->model);
    free(b->memory);
    return status;
}

puna_status puna_command_bench(puna_cli *cli, puna_error *err)
{
    static const struct {
        puna_flag_id flag;
        const char *absent;
    } rows[] = { { PUNA_FLAG_prefill, "512" }, { PUNA_FLAG_decode, "64" }, { PUNA_FLAG_rows, "0" } };
    bench b = { .cli = cli };
    tests t = { 0 };
    TRY(puna_cli_number(cli, PUNA_FLAG_repeat, 5, 1, MAX_REPEAT, &b.repeat, err));
    puna_status status = read_lengths(cli, PUNA_FLAG_depth, "0", &t.depth, err);
    for (int what = PREFILL; what <= BATCH && status == PUNA_OK; what++)
        status = read_lengths(cli, rows[what].flag, rows[what].absent, &t.of[what], err);
    if (status == PUNA_OK)
        status = run(&b, &t, err);
    for (int what = PREFILL; what <= BATCH; what++)
        free(t.of[what].values);
    free(t.depth.values);
    return status;
}
