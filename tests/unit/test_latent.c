/* test_latent.c - what test_archs.c is too short for: contexts in which long blocks of tokens end and many keys are not
 * chosen, caches that hold keys only in every encoding, contexts in which an indexer has nothing to choose. */
#include <math.h>

#include "harness.h"
#include "puna.h"
#include "tiny_arch.h"

enum { N_TOKENS = 150, N_BEFORE = 131 };

static void fill_tokens(int32_t *tokens)
{
    for (int32_t i = 0; i < N_TOKENS; i++)
        tokens[i] = (i * 31 + i * i * 7 + 3) % TINY_VOCAB;
}

static double difference(const float *got, const float *want)
{
    double error = 0, size = 0;
    for (int i = 0; i < TINY_VOCAB; i++) {
        error += pow((double)got[i] - (double)want[i], 2);
        size += pow((double)want[i], 2);
    }
    return error / size;
}

/* How a session is opened, and what it is told. */
typedef struct way {
    const char *backend, *batch, *kv_type;
    bool back; /* after other tokens */
} way;

/* False, and an error, when something fails. */
static bool evaluate(const gguf_builder *b, const way *how, const int32_t *tokens, size_t n, float *logits)
{
    puna_error err = { 0 };
    puna_model *model = NULL;
    puna_session *session = NULL;
    int32_t changed[N_TOKENS];
    puna_params *params = puna_params_new();
    memcpy(changed, tokens, n * sizeof *changed);
    changed[n / 2] = (tokens[n / 2] + 1) % TINY_VOCAB;
    puna_params_set(params, "backend", how->backend, &err);
    puna_params_set(params, "batch", how->batch, &err);
    puna_params_set(params, "kv_type", how->kv_type, &err);
    puna_params_set(params, "threads", "1", &err);
    bool good =
        puna_model_open_memory(&model, b->file.data, b->file.n, "tiny.gguf", params, &err) == PUNA_OK &&
        puna_session_open(&session, model, params, &err) == PUNA_OK &&
        (!how->back || puna_session_sync(session, changed, n, &err) == PUNA_OK) &&
        puna_session_sync(session, tokens, n, &err) == PUNA_OK;
    if (good)
        memcpy(logits, puna_session_logits(session), TINY_VOCAB * sizeof *logits);
    else
        test_fail(__FILE__, __LINE__, "%s: %s", how->backend, err.message);
    puna_session_free(session);
    puna_model_free(model);
    puna_params_free(params);
    return good;
}

static const puna_arch *arch_of(const char *name)
{
    return puna_arch_find(name, strlen(name));
}

static void all_ways_agree(void)
{
    static const char *const names[] = { "deepseek4", "deepseek32", "minimax-m3", "dots3note" };
    static const way ways[] = { { "cpu", "64", "f32", false },
                                { "cpu", "1", "f32", false },
                                { "ref", "7", "f32", false },
                                { "cpu", "64", "f32", true },
                                { "ref", "64", "f32", true } };
    static gguf_builder b;
    int32_t tokens[N_TOKENS];
    float want[TINY_VOCAB], got[TINY_VOCAB];
    fill_tokens(tokens);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!CHECK(tiny_arch_build(&b, arch_of(names[i]), true)) ||
            !evaluate(&b, &(way){ "ref", "256", "f32", false }, tokens, N_TOKENS, want))
            continue;
        for (size_t k = 0; k < sizeof ways / sizeof *ways; k++)
            if (evaluate(&b, &ways[k], tokens, N_TOKENS, got) && !(difference(got, want) <= 1e-9))
                test_fail(__FILE__, __LINE__, "%s: way %zu: got a difference of %.1e", names[i], k,
                          difference(got, want));
        gguf_free(&b);
    }
}

static void keys_alone_may_be_small(void)
{
    static const struct {
        const char *name;
        double most;
    } types[] = { { "f16", 1e-5 }, { "bf16", 1e-3 }, { "q8_0", 1e-3 }, { "q4_0", 0.05 } };
    static gguf_builder b;
    int32_t tokens[N_TOKENS];
    float want[TINY_VOCAB], got[TINY_VOCAB];
    fill_tokens(tokens);
    if (!CHECK(tiny_arch_build(&b, arch_of("deepseek2"), true)) ||
        !evaluate(&b, &(way){ "ref", "64", "f32", false }, tokens, N_TOKENS, want))
        return;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (evaluate(&b, &(way){ "cpu", "64", types[i].name, false }, tokens, N_TOKENS, got) &&
            !(difference(got, want) <= types[i].most))
            test_fail(__FILE__, __LINE__, "%s: got a difference of %.1e", types[i].name,
                      difference(got, want));
    gguf_free(&b);
}

/* A context of no more tokens than the indexer chooses has a plan without it, and no session may be longer. */
static void nothing_to_choose(void)
{
    static gguf_builder b;
    puna_error err = { 0 };
    puna_model *model = NULL;
    puna_session *session = NULL;
    puna_params *params = puna_params_new();
    CHECK(tiny_arch_build(&b, arch_of("deepseek32"), true));
    puna_params_set(params, "ctx", "5", &err);
    CHECK_OK(puna_model_open_memory(&model, b.file.data, b.file.n, "tiny.gguf", params, &err), err);
    CHECK_OK(puna_session_open(&session, model, params, &err), err);
    puna_session_free(session);
    puna_params_set(params, "ctx", "6", &err);
    CHECK_INT(puna_session_open(&session, model, params, &err), PUNA_ERR_ARGUMENT);
    CHECK_TEXT(err.message, "option ctx: got 6, expected at most 5");
    puna_model_free(model);
    puna_params_free(params);
    gguf_free(&b);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = { TEST(all_ways_agree), TEST(keys_alone_may_be_small),
                                       TEST(nothing_to_choose) };
    return test_main("latent attention", cases, sizeof cases / sizeof *cases, argc, argv);
}
