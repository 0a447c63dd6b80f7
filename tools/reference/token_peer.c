/* token_peer.c - lets token_compare.py ask llama.cpp: texts on stdin, ids and decoded bytes on stdout, each with a
 * little-endian 32-bit length before it.
 *
 * usage: token_peer VOCAB.gguf FLAGS        FLAGS: 2 reads special tokens in the texts
 *        token_peer VOCAB.gguf time TEXT    prints the speed, to be put beside bench/tokens
 *
 * Needs libllama and its llama.h, which are not part of this project. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "llama.h"

static void quiet(enum ggml_log_level level, const char *text, void *user)
{
    (void)user;
    if (level >= GGML_LOG_LEVEL_ERROR)
        fputs(text, stderr);
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int measure(const struct llama_vocab *v, const char *path)
{
    enum { MOST = 1 << 26 };
    char *text = malloc(MOST);
    int32_t *ids = malloc(MOST * sizeof *ids);
    FILE *file = fopen(path, "rb");
    if (!text || !ids || !file)
        return 1;
    int n = (int)fread(text, 1, MOST, file), n_ids = 0;
    double best = 1e30;
    for (int i = 0; i < 5; i++) {
        double start = now_ms();
        n_ids = llama_tokenize(v, text, n, ids, MOST, false, false);
        double took = now_ms() - start;
        best = took < best ? took : best;
    }
    long long sum = 0;
    for (int i = 0; i < n_ids; i++)
        sum += ids[i];
    printf("%d bytes, %d tokens (sum %lld): best %.1f MB/s\n", n, n_ids, sum, n / best * 1e-3);
    return 0;
}

static int put(const void *data, int n, size_t size)
{
    uint32_t count = n > 0 ? (uint32_t)n : 0;
    return fwrite(&count, 4, 1, stdout) == 1 && fwrite(data, size, count, stdout) == count;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 1;
    llama_log_set(quiet, NULL);
    llama_backend_init();
    struct llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    struct llama_model *model = llama_model_load_from_file(argv[1], params);
    if (!model)
        return 1;
    const struct llama_vocab *v = llama_model_get_vocab(model);
    if (argc > 3)
        return measure(v, argv[3]);
    int special = atoi(argv[2]) & 2, ok = 1;
    for (uint32_t n; ok && fread(&n, 4, 1, stdin) == 1;) {
        int room = (int)n * 8 + 1024;
        char *text = malloc((size_t)n + 1), *out = malloc((size_t)room * 8);
        int32_t *ids = malloc((size_t)room * sizeof *ids);
        ok = text && out && ids && fread(text, 1, n, stdin) == n;
        int n_ids = ok ? llama_tokenize(v, text, (int)n, ids, room, false, special) : 0;
        ok = ok && put(ids, n_ids, 4) &&
             put(out, llama_detokenize(v, ids, n_ids, out, room * 8, false, special), 1);
        free(text);
        free(out);
        free(ids);
    }
    return ok ? 0 : 1;
}
