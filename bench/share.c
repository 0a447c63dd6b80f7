/* share.c - decode's share of the memory's speed on a machine where that jumps from second to second: one token and one
 * pass over 512 MiB by turns, each token beside the passes before and after it.
 * share MODEL [THREADS] [TOKENS]
 * Prints medians, and the quarters around them. A small model is read from memory too, since each pass takes its place
 * in the caches. The weights' bytes count, not the KV cache's: the context stays below 256. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/cpu/limits.h"
#include "base/clock.h"
#include "puna.h"

enum { MOST_TOKENS = 4096, CONTEXT = 256 };

typedef struct bench {
    puna_params *params;
    puna_model *model;
    puna_session *session;
    puna_reader *reader;
    double bytes_per_token;
    double reads[MOST_TOKENS], rates[MOST_TOKENS], shares[MOST_TOKENS]; /* GB/s; of 1 */
} bench;

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_quarters(const char *what, double *values, size_t n)
{
    qsort(values, n, sizeof *values, order);
    printf("%-24s %7.3f [%.3f..%.3f]\n", what, values[n / 2], values[n / 4], values[n - 1 - n / 4]);
}

static puna_status open_all(bench *b, const char *path, const char *threads, puna_error *err)
{
    char *summary = NULL;
    puna_status status = puna_params_set(b->params, "threads", threads, err);
    if (!status)
        status = puna_params_set(b->params, "ctx", "256", err);
    if (!status)
        status = puna_model_open(&b->model, path, b->params, err);
    if (!status)
        status = puna_session_open(&b->session, b->model, b->params, err);
    if (!status)
        status = puna_model_describe(b->model, "summary", &summary, err);
    if (!status)
        status = puna_reader_open(&b->reader, UINT32_MAX, (int)strtol(threads, NULL, 10), err);
    json_t *json = summary ? json_loads(summary, 0, NULL) : NULL;
    b->bytes_per_token = json_number_value(json_object_get(json, "bytes_per_token"));
    json_decref(json);
    puna_free(summary);
    return status;
}

static puna_status measure(bench *b, size_t n, puna_error *err)
{
    int32_t tokens[CONTEXT];
    size_t length = 0;
    for (size_t i = 0; i < CONTEXT; i++)
        tokens[i] = (int32_t)(i * 7919 % (size_t)puna_model_n_vocab(b->model));
    puna_status status = puna_session_sync(b->session, tokens, ++length, err);
    double before = puna_reader_gb_per_s(b->reader);
    for (size_t i = 0; i < n && !status; i++) {
        if (length == CONTEXT)
            status = puna_session_sync(b->session, tokens, length = 1, err);
        double start = puna_clock_ms();
        if (!status)
            status = puna_session_sync(b->session, tokens, ++length, err);
        b->rates[i] = b->bytes_per_token / (puna_clock_ms() - start) * 1e-6;
        b->reads[i] = puna_reader_gb_per_s(b->reader);
        b->shares[i] = b->rates[i] / ((before + b->reads[i]) / 2);
        before = b->reads[i];
    }
    return status;
}

int main(int argc, char **argv)
{
    static bench b;
    puna_error err = { 0 };
    const long n = argc > 3 ? strtol(argv[3], NULL, 10) : 100;
    if (argc < 2 || n < 1 || n > MOST_TOKENS) {
        fprintf(stderr, "share: got %d arguments, %ld tokens, expected share MODEL [THREADS] [1..%d TOKENS]\n", argc - 1, n, MOST_TOKENS);
        return 1;
    }
    b.params = puna_params_new();
    puna_status status = b.params ? open_all(&b, argv[1], argc > 2 ? argv[2] : "2", &err) : PUNA_ERR_MEMORY;
    if (!status)
        status = measure(&b, (size_t)n, &err);
    if (status)
        fprintf(stderr, "share: %s\n", err.message);
    else {
        print_quarters("memory, GB/s", b.reads, (size_t)n);
        print_quarters("decode, GB/s", b.rates, (size_t)n);
        print_quarters("share, beside each other", b.shares, (size_t)n);
    }
    puna_reader_close(b.reader);
    puna_session_free(b.session);
    puna_model_free(b.model);
    puna_params_free(b.params);
    return status != PUNA_OK;
}
