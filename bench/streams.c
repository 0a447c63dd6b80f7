/* streams.c - tokens per second of many sequences at once, through the library call that a server makes.
 * streams [-m MODEL] [-npl 1,2,4,8,16] [-npp 128] [-ntg 128] [-r REPEATS] [--json] [--OPTION VALUE]...
 * N sequences with prompts of npp different random tokens each, then ntg tokens each, greedy unless --temp says
 * otherwise, all sequences in every batch. S is all tokens, read and written, by all time, sampling included: the "S t/s" of
 * llama-batched-bench, which does not sample. Medians of the repeats. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "puna.h"

enum { MAX_STREAMS = 256, MAX_COUNTS = 16, MAX_REPEATS = 64 };

typedef struct bench {
    puna_params *params;
    puna_model *model;
    puna_session *sessions[MAX_STREAMS];
    int32_t *lists; /* [MAX_STREAMS, n_prompt + n_new] */
    const char *path;
    size_t counts[MAX_COUNTS], n_counts, n_prompt, n_new, n_repeats;
    int json;
} bench;

typedef struct timing {
    double prompt_ms, new_ms;
} timing;

static size_t number(const char *text, size_t least, size_t most)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    return (*end && *end != ',') || n < least || n > most ? 0 : n;
}

static int parse_counts(bench *b, const char *text)
{
    b->n_counts = 0;
    for (; text && b->n_counts < MAX_COUNTS; text = strchr(text, ',') ? strchr(text, ',') + 1 : NULL)
        if ((b->counts[b->n_counts++] = number(text, 1, MAX_STREAMS)) == 0)
            return 0;
    return b->n_counts > 0 && !text;
}

/* One flag with its value; 0: not understood. */
static int parse_flag(bench *b, const char *flag, const char *value, puna_error *err)
{
    if (strcmp(flag, "-m") == 0)
        return (b->path = value) != NULL;
    if (strcmp(flag, "-npl") == 0)
        return parse_counts(b, value);
    if (strcmp(flag, "-npp") == 0)
        return (b->n_prompt = number(value, 1, 1 << 20)) > 0;
    if (strcmp(flag, "-ntg") == 0)
        return (b->n_new = number(value, 1, 1 << 20)) > 0;
    if (strcmp(flag, "-r") == 0)
        return (b->n_repeats = number(value, 1, MAX_REPEATS)) > 0;
    return strncmp(flag, "--", 2) == 0 && puna_params_set(b->params, flag + 2, value, err) == PUNA_OK;
}

static puna_status parse(bench *b, int argc, char **argv, puna_error *err)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            b->json = 1;
            continue;
        }
        if (i + 1 == argc || !parse_flag(b, argv[i], argv[i + 1], err)) {
            if (!err->message[0])
                snprintf(err->message, sizeof err->message, "streams: got %s, expected the flags that its source begins with", argv[i]);
            return PUNA_ERR_ARGUMENT;
        }
        i++;
    }
    return PUNA_OK;
}

/* As many sessions as the largest count, and a cache for all of their tokens. */
static puna_status open_sessions(bench *b, puna_error *err)
{
    char text[32];
    size_t n = 0, length = b->n_prompt + b->n_new;
    for (size_t i = 0; i < b->n_counts; i++)
        n = b->counts[i] > n ? b->counts[i] : n;
    b->lists = calloc(n * length, sizeof *b->lists);
    if (!b->lists)
        return PUNA_ERR_MEMORY;
    snprintf(text, sizeof text, "%zu", length);
    puna_status status = puna_params_set(b->params, "ctx", text, err);
    snprintf(text, sizeof text, "%zu", n * ((length + 31) / 32 * 32)); /* a session takes whole blocks of 32 */
    if (!status)
        status = puna_params_set(b->params, "ctx_total", text, err);
    if (!status)
        status = puna_model_open(&b->model, b->path, b->params, err);
    if (!status)
        status = puna_session_open(&b->sessions[0], b->model, b->params, err);
    for (size_t i = 1; i < n && !status; i++)
        status = puna_session_open_beside(&b->sessions[i], b->sessions[0], err);
    return status;
}

static puna_status run(bench *b, size_t n, timing *t, puna_error *err)
{
    const int32_t *tokens[MAX_STREAMS];
    size_t n_tokens[MAX_STREAMS] = { 0 }, length = b->n_prompt + b->n_new;
    puna_rng rng = puna_rng_make(n);
    for (size_t i = 0; i < n; i++) {
        tokens[i] = b->lists + i * length;
        for (size_t k = 0; k < b->n_prompt; k++)
            b->lists[i * length + k] = (int32_t)(puna_rng_next(&rng) % (uint64_t)puna_model_n_vocab(b->model));
    }
    puna_status status = puna_sessions_sync(b->sessions, tokens, n_tokens, n, err);
    for (size_t i = 0; i < n; i++)
        n_tokens[i] = b->n_prompt;
    double start = puna_clock_ms();
    if (!status)
        status = puna_sessions_sync(b->sessions, tokens, n_tokens, n, err);
    double read = puna_clock_ms();
    for (size_t step = 0; step < b->n_new && !status; step++) {
        for (size_t i = 0; i < n && !status; i++)
            status = puna_session_sample(b->sessions[i], b->params, &b->lists[i * length + n_tokens[i]++], err);
        if (!status)
            status = puna_sessions_sync(b->sessions, tokens, n_tokens, n, err);
    }
    *t = (timing){ .prompt_ms = read - start, .new_ms = puna_clock_ms() - read };
    return status;
}

static int by_total(const void *a, const void *b)
{
    const timing *x = a, *y = b;
    double p = x->prompt_ms + x->new_ms, q = y->prompt_ms + y->new_ms;
    return (p > q) - (p < q);
}

static void print_row(const bench *b, size_t n, timing t, int first)
{
    double prompt = (double)(n * b->n_prompt) / t.prompt_ms * 1e3, new = (double)(n * b->n_new) / t.new_ms * 1e3;
    double all = (double)(n * (b->n_prompt + b->n_new)) / (t.prompt_ms + t.new_ms) * 1e3;
    if (b->json)
        printf("%s{\"n_streams\": %zu, \"n_prompt\": %zu, \"n_new\": %zu, \"prompt_ms\": %.3f, \"new_ms\": %.3f, \"tokens_per_s\": %.2f}",
               first ? "[" : ",\n ", n, b->n_prompt, b->n_new, t.prompt_ms, t.new_ms, all);
    else
        printf("%s%7zu %7zu %7zu %12.1f %12.1f %12.1f\n", first ? "streams  prompt     new  prompt t/s     new t/s       S t/s\n" : "", n,
               b->n_prompt, b->n_new, prompt, new, all);
    fflush(stdout);
}

static puna_status measure(bench *b, puna_error *err)
{
    timing all[MAX_REPEATS];
    puna_status status = open_sessions(b, err);
    for (size_t i = 0; i < b->n_counts && !status; i++) {
        for (size_t r = 0; r < b->n_repeats && !status; r++)
            status = run(b, b->counts[i], &all[r], err);
        if (status)
            break;
        qsort(all, b->n_repeats, sizeof *all, by_total);
        print_row(b, b->counts[i], all[b->n_repeats / 2], i == 0);
    }
    if (b->json && !status)
        printf("]\n");
    return status;
}

int main(int argc, char **argv)
{
    puna_error err = { PUNA_OK, "", "" };
    bench b = { .params = puna_params_new(), .path = "builtin:stories260K", .counts = { 1, 2, 4, 8, 16 }, .n_counts = 5,
                .n_prompt = 128, .n_new = 128, .n_repeats = 1 };
    puna_status status = b.params ? puna_params_set(b.params, "temp", "0", &err) : PUNA_ERR_MEMORY;
    if (!status)
        status = parse(&b, argc, argv, &err);
    if (!status)
        status = measure(&b, &err);
    if (status)
        fprintf(stderr, "%s\n%s\n", err.message[0] ? err.message : "streams: out of memory", err.hint);
    for (size_t i = 0; i < MAX_STREAMS; i++)
        puna_session_free(b.sessions[i]);
    puna_model_free(b.model);
    puna_params_free(b.params);
    free(b.lists);
    return (int)status;
}
