/* tokens.c - how fast a text becomes token ids, on one thread.
 * tokens VOCAB TEXT [SECONDS]
 * The whole text in one call, over and over; prints the fastest and the median, in millions of bytes per second, and
 * the sum of the ids so that programs can be seen to agree. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "token/vocab.h"

enum { MOST_ROUNDS = 4096 };

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static puna_status measure(const puna_vocab *v, const char *text, size_t n, double seconds, puna_error *err)
{
    static double rounds[MOST_ROUNDS];
    size_t count = 0, n_ids = 0;
    long long sum = 0;
    double begin = puna_clock_ms();
    while (count < 3 || (count < MOST_ROUNDS && puna_clock_ms() - begin < seconds * 1e3)) {
        int32_t *ids = NULL;
        double start = puna_clock_ms();
        TRY(puna_vocab_encode(v, text, n, 0, &ids, &n_ids, err));
        rounds[count++] = puna_clock_ms() - start;
        sum = 0;
        for (size_t i = 0; i < n_ids; i++)
            sum += ids[i];
        free(ids);
    }
    qsort(rounds, count, sizeof *rounds, order);
    printf("%zu bytes, %zu tokens (sum %lld): best %.1f MB/s, median %.1f MB/s of %zu rounds\n", n, n_ids,
           sum, (double)n / rounds[0] * 1e-3, (double)n / rounds[count / 2] * 1e-3, count);
    return PUNA_OK;
}

int main(int argc, char **argv)
{
    puna_error err = { 0 };
    puna_vocab *v = NULL;
    char *text = NULL;
    size_t n = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: tokens VOCAB TEXT [SECONDS]\n");
        return 1;
    }
    puna_status status = puna_vocab_open(&v, argv[1], &err);
    if (!status)
        status = puna_file_read(&text, &n, argv[2], 1 << 30, &err);
    if (!status)
        status = measure(v, text, n, argc > 3 ? strtod(argv[3], NULL) : 3, &err);
    if (status)
        fprintf(stderr, "tokens: %s\n", err.message);
    free(text);
    puna_vocab_free(v);
    return status ? 1 : 0;
}
