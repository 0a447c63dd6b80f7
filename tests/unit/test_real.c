/* test_real.c - real models against the exact answer: the 20 best log-probabilities at every 8th
 * of 3 x 256 positions, computed in float32 from the dequantised weights
 * (tools/reference/exact_compare.py). Skipped where `make models` did not fetch the models. */
#include <stdlib.h>

#include "harness.h"
#include "puna.h"

enum { MAX_LINE = 1 << 14, N_TEXT = 256, N_BEST = 20, N_ORACLE = 64 };

typedef struct comparison {
    FILE *file;             /* the golden lines of this text */
    char line[MAX_LINE];
    int32_t n_vocab;
    double worst;      /* largest difference of a log-probability above -10 */
    double divergence; /* KL(exact || got) with all tokens but the best 20 as one: a lower bound of the full one */
    int n, n_same_best, n_excused;
} comparison;

static void compare_line(comparison *c, const float *logits)
{
    char *at = c->line;
    int n_read = 0;
    double rest = 1, got_rest = 1;
    float first = 0, second = 0;
    int32_t best = -1, got_best;
    float logprob;
    strtol(at + 3, &at, 10);
    for (int k = 0; k < N_BEST; k++, at += n_read) {
        int token;
        float want;
        if (sscanf(at, " %d:%f%n", &token, &want, &n_read) != 2)
            break;
        double got = (double)puna_logprob(logits, (size_t)c->n_vocab, token);
        if (want > -10)
            c->worst = fmax(c->worst, fabs(got - (double)want));
        c->divergence += exp((double)want) * ((double)want - got);
        rest -= exp((double)want);
        got_rest -= exp(got);
        if (k == 0) {
            best = token;
            first = want;
        } else if (k == 1)
            second = want;
    }
    if (rest > 1e-6 && got_rest > 1e-6)
        c->divergence += rest * log(rest / got_rest);
    puna_top_logprobs(logits, (size_t)c->n_vocab, 1, &got_best, &logprob);
    c->n++;
    c->n_same_best += got_best == best;
    c->n_excused += got_best != best && first - second <= 2e-3f;
}

static int each(void *user, size_t position, const float *logits)
{
    comparison *c = user;
    if (position % 8 != 7)
        return 0;
    CHECK(fgets(c->line, sizeof c->line, c->file) && strncmp(c->line, "at ", 3) == 0);
    CHECK_INT(strtol(c->line + 3, NULL, 10), position);
    compare_line(c, logits);
    return 0;
}

static void run(const char *name, const char *backend, int n_texts, int n_tokens, comparison *c)
{
    puna_error err = { 0 };
    puna_params *params = puna_params_new();
    puna_model *model = NULL;
    puna_session *session = NULL;
    char golden[64];
    int32_t tokens[N_TEXT];
    snprintf(golden, sizeof golden, "real/%s.txt", name);
    puna_params_set(params, "ctx", "256", &err);
    puna_params_set(params, "backend", backend, &err);
    c->file = fopen(test_data(golden), "r");
    if (CHECK(c->file) && CHECK_OK(puna_model_open(&model, test_model(name), params, &err), err) &&
        CHECK_OK(puna_session_open(&session, model, params, &err), err)) {
        c->n_vocab = puna_model_n_vocab(model);
        for (int t = 0; t < n_texts; t++) {
            CHECK(fgets(c->line, sizeof c->line, c->file) && strncmp(c->line, "text ", 5) == 0);
            char *at = c->line + 5;
            for (int i = 0; i < N_TEXT; i++)
                tokens[i] = (int32_t)strtol(at, &at, 10);
            CHECK_OK(puna_session_each(session, tokens, (size_t)n_tokens, each, c, &err), err);
        }
        CHECK_INT(c->n, n_texts * n_tokens / 8);
    }
    if (c->file)
        fclose(c->file);
    puna_session_free(session);
    puna_model_free(model);
    puna_params_free(params);
}

/* The oracle is the exact answer but for the order of float sums. It is slow: 64 positions here, all
 * 768 with tools/reference/exact_compare.py. */
static void ref_is_exact(const char *name)
{
    static comparison c;
    if (!test_model(name)) {
        test_skip("needs the real model: make models check-model");
        return;
    }
    c = (comparison){ 0 };
    run(name, "ref", 1, N_ORACLE, &c);
    CHECK_NEAR(c.worst, 0, 2e-3);
    CHECK_INT(c.n_same_best + c.n_excused, c.n);
}

/* The bounds are what llama.cpp (llama-cpp-python 0.3.36) shows on the same files and tokens. */
static void cpu_is_near(const char *name, double divergence, double same_best)
{
    static comparison c;
    if (!test_model(name)) {
        test_skip("needs the real model: make models check-model");
        return;
    }
    c = (comparison){ 0 };
    run(name, "cpu", 3, N_TEXT, &c);
    printf("  %s: divergence %.2e, same best %.1f %%\n", name, c.divergence / c.n, 100.0 * c.n_same_best / c.n);
    CHECK(c.divergence / c.n <= divergence);
    CHECK((double)c.n_same_best / c.n >= same_best);
}

static void smollm2_ref(void)
{
    ref_is_exact("smollm2");
}

static void gemma3_ref(void)
{
    ref_is_exact("gemma3");
}

static void smollm2_cpu(void)
{
    cpu_is_near("smollm2", 4.3e-3, 0.93);
}

static void gemma3_cpu(void)
{
    cpu_is_near("gemma3", 7.8e-3, 0.93);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = { TEST(smollm2_cpu), TEST(gemma3_cpu), TEST(smollm2_ref), TEST(gemma3_ref) };
    return test_main("real", cases, sizeof cases / sizeof *cases, argc, argv);
}
