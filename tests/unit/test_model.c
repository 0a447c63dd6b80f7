/* test_model.c - every supported architecture and position scaling on tiny random models, against
 * the logits that `transformers` computed for them (tools/reference/tiny_models.py). */
#include <stdlib.h>

#include "harness.h"
#include "puna.h"

enum { MAX_TOKENS = 64, MAX_VOCAB = 128 };

typedef struct expected {
    char name[64];
    int n_tokens, n_vocab;
    int32_t tokens[MAX_TOKENS];
    float last[MAX_VOCAB], middle[MAX_VOCAB];
} expected;

static bool read_case(FILE *file, expected *e)
{
    if (fscanf(file, "%63s %d %d", e->name, &e->n_tokens, &e->n_vocab) != 3)
        return false;
    CHECK(e->n_tokens <= MAX_TOKENS && e->n_vocab <= MAX_VOCAB);
    for (int i = 0; i < e->n_tokens; i++)
        CHECK(fscanf(file, "%d", &e->tokens[i]) == 1);
    for (int i = 0; i < e->n_vocab; i++)
        CHECK(fscanf(file, "%f", &e->last[i]) == 1);
    for (int i = 0; i < e->n_vocab; i++)
        CHECK(fscanf(file, "%f", &e->middle[i]) == 1);
    return true;
}

static void compare(const char *name, const float *got, const float *want, int n, double tolerance)
{
    for (int i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= tolerance)) {
            test_fail(__FILE__, __LINE__, "%s: logit %d: got %.7g, expected %.7g within %g", name, i, (double)got[i],
                      (double)want[i], tolerance);
            return;
        }
}

static void run_case(const expected *e, const char *backend, const char *kv_type, double tolerance)
{
    char file[128];
    puna_error err = { 0 };
    puna_model *model = NULL;
    puna_session *session = NULL;
    puna_params *params = puna_params_new();
    snprintf(file, sizeof file, "model/%s.gguf", e->name);
    CHECK_OK(puna_params_set(params, "backend", backend, &err), err);
    CHECK_OK(puna_params_set(params, "kv_type", kv_type, &err), err);
    if (CHECK_OK(puna_model_open(&model, test_data(file), params, &err), err) &&
        CHECK_OK(puna_session_open(&session, model, params, &err), err)) {
        CHECK_OK(puna_session_sync(session, e->tokens, (size_t)e->n_tokens, &err), err);
        compare(e->name, puna_session_logits(session), e->last, e->n_vocab, tolerance);
        CHECK_OK(puna_session_sync(session, e->tokens, (size_t)e->n_tokens / 2 + 1, &err), err);
        compare(e->name, puna_session_logits(session), e->middle, e->n_vocab, tolerance);
    }
    puna_session_free(session);
    puna_model_free(model);
    puna_params_free(params);
}

static void all_cases(const char *backend, const char *kv_type, double tolerance)
{
    static expected e;
    int n = 0;
    FILE *file = fopen(test_data("model/expected.txt"), "r");
    while (CHECK(file) && read_case(file, &e)) {
        run_case(&e, backend, kv_type, tolerance);
        n++;
    }
    CHECK_INT(n, 7);
    if (file)
        fclose(file);
}

static void ref_matches_transformers(void)
{
    all_cases("ref", "f32", 1e-4);
}

static void cpu_matches_transformers(void)
{
    all_cases("cpu", "f32", 1e-4);
}

static void cpu_with_f16_cache_is_near(void)
{
    all_cases("cpu", "f16", 5e-2);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = { TEST(ref_matches_transformers), TEST(cpu_matches_transformers),
                                       TEST(cpu_with_f16_cache_is_near) };
    return test_main("model", cases, sizeof cases / sizeof *cases, argc, argv);
}
