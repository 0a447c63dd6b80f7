/* cmd_bench.c - `puna bench`: tokens per second of prefill and decode, beside what the machine's
 * memory and multipliers allow, and a hash of the last logits that tells whether two builds
 * computed the same. Tokens are fixed, so that runs compare. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/progress.h"
#include "cli/synthetic.h"
#include "cli/table.h"

enum { MAX_REPEAT = 1000, MAX_LENGTH = 1 << 20 };

typedef struct limits {
    double read_gb_per_s, int8_gmac_per_s;
    double multiplies_per_token, bytes_per_token, kv_bytes_per_token;
} limits;

typedef struct bench {
    puna_cli *cli;
    puna_model *model;
    void *memory; /* of a made-up model, or NULL */
    puna_session *session;
    puna_progress progress;
    int32_t *tokens;
    size_t n_tokens;
    int64_t repeat;
    double *speeds; /* [repeat] tok/s */
    limits limit;
    json_t *results;
    size_t n_steps, n_done; /* of the progress line */
} bench;

typedef struct lengths {
    int32_t *values;
    size_t n;
} lengths;

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

/* The share of the machine's limit at a speed: prefill multiplies by every matrix once a token,
 * decode reads the weights once a token and the cache up to its position. */
static double share_of_limit(const bench *b, bool prefill, int32_t n, int32_t depth, double tok_per_s)
{
    const limits *l = &b->limit;
    if (prefill)
        return l->int8_gmac_per_s > 0 ? l->multiplies_per_token * tok_per_s / (l->int8_gmac_per_s * 1e9) : 0;
    double bytes = l->bytes_per_token + l->kv_bytes_per_token * (depth + n / 2.0);
    return l->read_gb_per_s > 0 ? bytes * tok_per_s / (l->read_gb_per_s * 1e9) : 0;
}

static puna_status add_result(bench *b, bool prefill, int32_t n, int32_t depth, puna_error *err)
{
    size_t count = (size_t)b->repeat;
    qsort(b->speeds, count, sizeof *b->speeds, order);
    double median = count % 2 ? b->speeds[count / 2] : (b->speeds[count / 2 - 1] + b->speeds[count / 2]) / 2;
    char hash[24];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)hash_logits(puna_session_logits(b->session),
                                                                          (size_t)puna_model_n_vocab(b->model)));
    json_t *row = json_pack("{s:s, s:i, s:i, s:f, s:f, s:f, s:f, s:s}", "test", prefill ? "prefill" : "decode",
                            "tokens", (int)n, "depth", (int)depth, "median_tok_per_s", median, "min", b->speeds[0],
                            "max", b->speeds[count - 1], "limit_share", share_of_limit(b, prefill, n, depth, median),
                            "logits_hash", hash);
    if (json_array_append_new(b->results, row) != 0)
        return puna_fail(err, PUNA_ERR_MEMORY, "out of memory: results");
    return PUNA_OK;
}

/* One timed pass: back to `depth` tokens, then n more at once (prefill) or one by one (decode). */
static puna_status pass(bench *b, bool prefill, int32_t n, int32_t depth, double *tok_per_s, puna_error *err)
{
    size_t from = (size_t)depth, to = from + (size_t)n;
    TRY(puna_session_sync(b->session, b->tokens, from, err));
    double start = puna_clock_ms();
    if (prefill) {
        TRY(puna_session_sync(b->session, b->tokens, to, err));
    } else {
        for (size_t i = from + 1; i <= to; i++) {
            TRY(puna_session_sync(b->session, b->tokens, i, err));
            if (puna_interrupt_seen())
                return puna_fail(err, PUNA_ERR_INTERRUPTED, "bench: interrupted");
        }
    }
    double ms = puna_clock_ms() - start;
    *tok_per_s = ms > 0 ? n * 1000.0 / ms : 0;
    puna_progress_show(&b->progress, (double)++b->n_done, (double)b->n_steps);
    if (puna_interrupt_seen())
        return puna_fail(err, PUNA_ERR_INTERRUPTED, "bench: interrupted");
    return PUNA_OK;
}

static puna_status measure(bench *b, bool prefill, int32_t n, int32_t depth, puna_error *err)
{
    double warm;
    if (n == 0)
        return PUNA_OK;
    TRY(pass(b, prefill, n, depth, &warm, err));
    for (int64_t i = 0; i < b->repeat; i++)
        TRY(pass(b, prefill, n, depth, &b->speeds[i], err));
    return add_result(b, prefill, n, depth, err);
}

static puna_status measure_all(bench *b, const lengths *prefill, const lengths *decode, const lengths *depth,
                               puna_error *err)
{
    b->n_steps = (prefill->n + decode->n) * depth->n * (size_t)(b->repeat + 1);
    b->progress = puna_progress_make(b->cli, "measuring");
    puna_status status = PUNA_OK;
    for (size_t d = 0; d < depth->n; d++) {
        for (size_t i = 0; i < prefill->n && status == PUNA_OK; i++)
            status = measure(b, true, prefill->values[i], depth->values[d], err);
        for (size_t i = 0; i < decode->n && status == PUNA_OK; i++)
            status = measure(b, false, decode->values[i], depth->values[d], err);
    }
    puna_progress_end(&b->progress);
    return status;
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static puna_status read_limits(bench *b, json_t **machine, puna_error *err)
{
    char *text = NULL;
    json_t *measured = NULL, *summary = NULL;
    TRY(puna_describe("machine", b->cli->params, &text, err));
    TRY(puna_cli_json_take(text, machine, err));
    TRY(puna_describe("limits", b->cli->params, &text, err));
    TRY(puna_cli_json_take(text, &measured, err));
    b->limit.read_gb_per_s = number(measured, "read_gb_per_s");
    b->limit.int8_gmac_per_s = number(measured, "int8_gmac_per_s");
    json_decref(measured);
    TRY(puna_model_describe(b->model, "summary", &text, err));
    TRY(puna_cli_json_take(text, &summary, err));
    b->limit.multiplies_per_token = number(summary, "multiplies_per_token");
    b->limit.bytes_per_token = number(summary, "bytes_per_token");
    b->limit.kv_bytes_per_token = number(json_object_get(summary, "memory"), "kv_bytes_per_token");
    json_decref(summary);
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
    return puna_session_open(&b->session, b->model, b->cli->params, err);
}

static int threads_used(const puna_cli *cli, const json_t *machine)
{
    int threads = (int)puna_cli_setting(cli, PUNA_KEY_threads);
    return threads ? threads : (int)json_integer_value(json_object_get(machine, "threads"));
}

static puna_status print_json(bench *b, const json_t *machine, puna_error *err)
{
    const char *name = puna_model_name(b->model);
    json_t *about = json_pack("{s:O, s:O, s:i, s:f, s:f}", "cpu", json_object_get(machine, "cpu"), "isa",
                              json_object_get(machine, "isa"), "threads", threads_used(b->cli, machine),
                              "read_gb_per_s", b->limit.read_gb_per_s, "int8_gmac_per_s", b->limit.int8_gmac_per_s);
    json_t *document = json_pack("{s:o, s:s, s:s, s:o, s:O}", "model", puna_cli_json_text(name, strlen(name)),
                                 "fingerprint", puna_model_fingerprint(b->model), "version", puna_version(), "machine",
                                 about, "results", b->results);
    return puna_out_json(b->cli, document, err);
}

static puna_status print_table(bench *b, const json_t *machine, puna_error *err)
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
    puna_out_printf(b->cli, "%s (%s)\n%s, %s, %d threads, reads %.1f GB/s, %.0f G int8 multiply-adds/s\n\n",
                    puna_model_name(b->model), puna_model_fingerprint(b->model),
                    json_string_value(json_object_get(machine, "cpu")),
                    json_string_value(json_object_get(machine, "isa")), threads_used(b->cli, machine),
                    b->limit.read_gb_per_s, b->limit.int8_gmac_per_s);
    return puna_table_print(&table, b->cli, err);
}

static puna_status open_model(bench *b, puna_error *err)
{
    const char *recipe = b->cli->flags[PUNA_FLAG_synthetic];
    if (recipe && b->cli->flags[PUNA_FLAG_model])
        return puna_fail(err, PUNA_ERR_ARGUMENT, "bench: got both -m and --synthetic, expected one model");
    if (!recipe && b->cli->flags[PUNA_FLAG_save])
        return puna_fail(err, PUNA_ERR_ARGUMENT, "--save: got no --synthetic, expected one to save");
    return recipe ? puna_synthetic_open(b->cli, &b->model, &b->memory, err)
                  : puna_input_model(b->cli, NULL, &b->model, err);
}

static puna_status run(bench *b, const lengths *prefill, const lengths *decode, const lengths *depth,
                       puna_error *err)
{
    json_t *machine = NULL;
    int32_t n = largest(prefill) > largest(decode) ? largest(prefill) : largest(decode);
    TRY(open_model(b, err));
    puna_status status = prepare(b, n + largest(depth), err);
    if (status == PUNA_OK)
        status = read_limits(b, &machine, err);
    if (status == PUNA_OK)
        status = measure_all(b, prefill, decode, depth, err);
    if (status == PUNA_OK)
        status = b->cli->json ? print_json(b, machine, err) : print_table(b, machine, err);
    json_decref(machine);
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
    bench b = { .cli = cli };
    lengths prefill = { 0 }, decode = { 0 }, depth = { 0 };
    TRY(puna_cli_number(cli, PUNA_FLAG_repeat, 5, 1, MAX_REPEAT, &b.repeat, err));
    puna_status status = read_lengths(cli, PUNA_FLAG_prefill, "512", &prefill, err);
    if (status == PUNA_OK)
        status = read_lengths(cli, PUNA_FLAG_decode, "64", &decode, err);
    if (status == PUNA_OK)
        status = read_lengths(cli, PUNA_FLAG_depth, "0", &depth, err);
    if (status == PUNA_OK)
        status = run(&b, &prefill, &decode, &depth, err);
    free(prefill.values);
    free(decode.values);
    free(depth.values);
    return status;
}
