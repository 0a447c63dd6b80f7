/* test_archs.c - every architecture that has been compared with another engine, on a model made up from its
 * descriptor: the logits that llama.cpp gives for the same file (tests/data/model/archs.txt, made by
 * tools/reference/arch_golden.py), and the same from one batch, token by token, after going back, and beside
 * another sequence.
 *
 * usage: test_archs --write FOLDER   writes the files, for the oracle */
#include <stdlib.h>

#include "harness.h"
#include "puna.h"
#include "tiny_arch.h"

enum { N_TOKENS = 24, N_BEFORE = 15 };

/* As tools/reference/arch_logits.c has them for seed 1. */
static void fill_tokens(int32_t *tokens, int n)
{
    for (long long i = 0; i < n; i++)
        tokens[i] = (int32_t)((2 * 7919 + i * 104729 + i * i * 31) % TINY_VOCAB);
}

static double difference(const float *got, const float *want)
{
    double error = 0, size = 0;
    for (int i = 0; i < TINY_VOCAB; i++) {
        const double d = (double)got[i] - (double)want[i];
        error += d * d;
        size += (double)want[i] * (double)want[i];
    }
    return error / size;
}

static void near(const char *name, const char *what, const float *got, const float *want, double most)
{
    const double d = got ? difference(got, want) : INFINITY;
    if (!(d <= most))
        test_fail(__FILE__, __LINE__, "%s: %s: got a difference of %.2e, expected at most %.0e", name, what,
                  d, most);
}

static puna_session *open_session(puna_model **model, const gguf_builder *b, const char *backend,
                                  const char *batch, puna_error *err)
{
    puna_session *session = NULL;
    puna_params *params = puna_params_new();
    puna_params_set(params, "backend", backend, err);
    puna_params_set(params, "batch", batch, err);
    puna_params_set(params, "threads", "1", err);
    puna_params_set(params, "ctx_total", "256", err);
    if (puna_model_open_memory(model, b->file.data, b->file.n, "tiny.gguf", params, err) == PUNA_OK)
        puna_session_open(&session, *model, params, err);
    puna_params_free(params);
    return session;
}

/* Forward, back, forward again, and beside a sequence that is as long. */
static void go_back(const char *name, puna_session *s, const int32_t *tokens, const float *want)
{
    puna_error err = { 0 };
    puna_session *other = NULL;
    int32_t changed[N_TOKENS];
    memcpy(changed, tokens, sizeof changed);
    changed[N_BEFORE] = (tokens[N_BEFORE] + 1) % TINY_VOCAB;
    CHECK_OK(puna_session_sync(s, changed, N_TOKENS, &err), err);
    CHECK_OK(puna_session_sync(s, tokens, N_TOKENS, &err), err);
    near(name, "after going back", puna_session_logits(s), want, 1e-10);
    if (!CHECK_OK(puna_session_open_beside(&other, s, &err), err))
        return;
    puna_session *const both[] = { s, other };
    const int32_t *const lists[] = { changed, tokens };
    const size_t n[] = { N_TOKENS, N_TOKENS };
    CHECK_OK(puna_sessions_sync(both, lists, n, 2, &err), err);
    near(name, "beside another", puna_session_logits(other), want, 1e-10);
    puna_session_free(other);
}

static void run_backend(const char *name, const gguf_builder *b, const char *backend, const float *want,
                        double most)
{
    int32_t tokens[N_TOKENS];
    float whole[TINY_VOCAB];
    puna_error err = { 0 };
    puna_model *model = NULL;
    fill_tokens(tokens, N_TOKENS);
    puna_session *s = open_session(&model, b, backend, "64", &err);
    if (!s) {
        test_fail(__FILE__, __LINE__, "%s: %s", name, err.message);
        puna_model_free(model);
        return;
    }
    CHECK_OK(puna_session_sync(s, tokens, N_TOKENS, &err), err);
    near(name, backend, puna_session_logits(s), want, most);
    memcpy(whole, puna_session_logits(s), sizeof whole);
    go_back(name, s, tokens, whole);
    puna_session_free(s);
    puna_model_free(model);
    model = NULL;
    s = open_session(&model, b, backend, "1", &err);
    if (s && puna_session_sync(s, tokens, N_TOKENS, &err) == PUNA_OK)
        near(name, "token by token", puna_session_logits(s), whole, 1e-10);
    else if (!strstr(err.message, "reads them all at once"))
        test_fail(__FILE__, __LINE__, "%s: token by token: %s", name, err.message);
    puna_session_free(s);
    puna_model_free(model);
}

static const puna_arch *find(const char *name, bool *experts)
{
    size_t n = strlen(name);
    *experts = n > 4 && strcmp(name + n - 4, ":moe") == 0;
    return puna_arch_find(name, *experts ? n - 4 : n);
}

static void all_agree(void)
{
    static gguf_builder b;
    char name[64];
    float want[TINY_VOCAB];
    int n_archs = 0;
    FILE *file = fopen(test_data("model/archs.txt"), "r");
    while (CHECK(file) && fscanf(file, "%63s", name) == 1) {
        bool experts;
        const puna_arch *arch = find(name, &experts);
        for (int i = 0; i < TINY_VOCAB; i++)
            CHECK(fscanf(file, "%f", &want[i]) == 1);
        if (!arch || !tiny_arch_build(&b, arch, experts)) {
            test_fail(__FILE__, __LINE__, "%s: no such architecture, or its numbers do not fit", name);
            continue;
        }
        run_backend(name, &b, "ref", want, 1e-6);
        run_backend(name, &b, "cpu", want, 1e-5);
        gguf_free(&b);
        n_archs++;
    }
    if (file)
        fclose(file);
    printf("  %d architectures\n", n_archs);
}

static int write_all(const char *folder)
{
    static gguf_builder b;
    char path[1024];
    for (size_t i = 0; puna_arch_at(i); i++)
        for (int experts = 0; experts < 2; experts++) {
            const puna_arch *arch = puna_arch_at(i);
            if (!tiny_arch_has(arch, experts) || !tiny_arch_build(&b, arch, experts))
                continue;
            snprintf(path, sizeof path, "%s/%s%s.gguf", folder, arch->name, experts ? ":moe" : "");
            FILE *file = fopen(path, "wb");
            if (!file || fwrite(b.file.data, 1, b.file.n, file) != b.file.n || fclose(file))
                return fprintf(stderr, "%s: cannot be written\n", path), 1;
            gguf_free(&b);
        }
    return 0;
}

int main(int argc, char **argv)
{
    static const test_case cases[] = { TEST(all_agree) };
    if (argc == 3 && strcmp(argv[1], "--write") == 0)
        return write_all(argv[2]);
    return test_main("architectures", cases, sizeof cases / sizeof *cases, argc, argv);
}
