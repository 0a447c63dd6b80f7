/* test_sample.c - every sampler of the chain against what its definition says, and the
 * distribution that comes out of a long run. */
#include <stdlib.h>

#include "harness.h"
#include "sample/sample.h"

enum { N = 8 };
static const float logits[N] = { 1.0f, 3.0f, 2.0f, 0.0f, 3.0f, -1.0f, 2.5f, -INFINITY };
static const puna_sampling plain = { .temperature = 1, .top_p = 1, .repeat_penalty = 1, .repeat_last_n = 4, .seed = 7 };

static puna_sampler opened(void)
{
    puna_sampler s;
    puna_error err = { 0 };
    CHECK_OK(puna_sampler_open(&s, N, &err), err);
    return s;
}

static void greedy_takes_the_lowest_of_equals(void)
{
    puna_sampling p = plain;
    p.temperature = 0;
    puna_sampler s = opened();
    for (size_t i = 0; i < 5; i++)
        CHECK_INT(puna_sampler_draw(&s, &p, NULL, i, logits), 1);
    puna_sampler_close(&s);
}

/* How often each token is drawn, with the expected shares. */
static void distribution(puna_sampling p, const double *expected)
{
    enum { DRAWS = 40000 };
    int counts[N] = { 0 };
    puna_sampler s = opened();
    for (size_t i = 0; i < DRAWS; i++)
        counts[puna_sampler_draw(&s, &p, NULL, i, logits)]++;
    for (int i = 0; i < N; i++) {
        CHECK_NEAR((double)counts[i] / DRAWS, expected[i], 0.012);
        CHECK(expected[i] > 0 || counts[i] == 0);
    }
    puna_sampler_close(&s);
}

/* Softmax at a temperature over the tokens of `kept`. */
static void softmax(double temperature, unsigned kept, double *out)
{
    double total = 0;
    for (int i = 0; i < N; i++)
        total += out[i] = kept >> i & 1 ? exp((double)logits[i] / temperature) : 0;
    for (int i = 0; i < N; i++)
        out[i] /= total;
}

static void draws_follow_the_softmax(void)
{
    double want[N];
    puna_sampling p = plain;
    softmax(1, 0xff, want);
    distribution(p, want);
    p.temperature = 0.5f;
    softmax(0.5, 0xff, want);
    distribution(p, want);
}

static void top_k_keeps_the_best(void)
{
    double want[N];
    puna_sampling p = plain;
    p.top_k = 3; /* 1, 4, 6 */
    softmax(1, 1 << 1 | 1 << 4 | 1 << 6, want);
    distribution(p, want);
    p.top_k = 1;
    softmax(1, 1 << 1, want);
    distribution(p, want);
}

static void top_p_keeps_the_smallest_set(void)
{
    double all[N], want[N];
    softmax(1, 0xff, all);
    puna_sampling p = plain;
    p.top_p = (float)(all[1] + all[4] + all[6] * 0.5); /* reached within the third */
    softmax(1, 1 << 1 | 1 << 4 | 1 << 6, want);
    distribution(p, want);
    p.top_p = 0; /* never nothing */
    softmax(1, 1 << 1, want);
    distribution(p, want);
}

static void min_p_is_relative_to_the_best(void)
{
    double want[N];
    puna_sampling p = plain;
    p.min_p = 0.3f; /* logits above 3 + ln 0.3 = 1.796 */
    softmax(1, 1 << 1 | 1 << 2 | 1 << 4 | 1 << 6, want);
    distribution(p, want);
}

/* What the penalties make of one token's logit: the draw has no other choice, and leaves it. */
static float penalised(puna_sampling p, int32_t token, const int32_t *before, size_t n)
{
    float alone[N];
    puna_sampler s = opened();
    for (int32_t i = 0; i < N; i++)
        alone[i] = i == token ? logits[i] : NAN;
    CHECK_INT(puna_sampler_draw(&s, &p, before, n, alone), token);
    float value = s.candidates[0].logit;
    CHECK_INT(puna_sampler_draw(&s, &p, before, n, alone), token); /* nothing is left of the first draw */
    CHECK(s.candidates[0].logit == value);
    puna_sampler_close(&s);
    return value;
}

static void penalties_look_at_the_last_tokens(void)
{
    static const int32_t recent[] = { 6, 1, 1, 5, 2, 2 }; /* the last four: 1 5 2 2 */
    puna_sampling p = plain;
    p.repeat_penalty = 2;
    CHECK_NEAR(penalised(p, 1, recent, 6), 1.5, 1e-6);
    CHECK_NEAR(penalised(p, 5, recent, 6), -2, 1e-6);
    CHECK_NEAR(penalised(p, 6, recent, 6), 2.5, 1e-6);
    p.repeat_penalty = 1;
    p.frequency_penalty = 0.25f;
    p.presence_penalty = 1;
    CHECK_NEAR(penalised(p, 2, recent, 6), 2 - 0.5 - 1, 1e-6);
    CHECK_NEAR(penalised(p, 1, recent, 6), 3 - 0.25 - 1, 1e-6);
    CHECK_NEAR(penalised(p, 0, recent, 6), 1, 1e-6);
}

static void bad_logits_do_not_break_it(void)
{
    float all_nan[N], none[N], one[N];
    for (int i = 0; i < N; i++) {
        all_nan[i] = NAN;
        none[i] = -INFINITY;
        one[i] = i == 5 ? 1.0f : NAN;
    }
    puna_sampling p = plain;
    p.top_k = 3;
    p.top_p = 0.9f;
    p.min_p = 0.1f;
    puna_sampler s = opened();
    for (int greedy = 0; greedy < 2; greedy++) {
        p.temperature = greedy ? 0 : 1;
        int32_t token = puna_sampler_draw(&s, &p, NULL, 0, all_nan);
        CHECK(token >= 0 && token < N);
        token = puna_sampler_draw(&s, &p, NULL, 0, none);
        CHECK(token >= 0 && token < N);
        CHECK_INT(puna_sampler_draw(&s, &p, NULL, 0, one), 5);
    }
    puna_sampler_close(&s);
}

/* The short ways that greedy and top_k draws take, against the chain, on logits longer than a vector. */
static void short_ways_equal_the_chain(void)
{
    enum { LONG = 1003 };
    static const int32_t before[200];
    float x[LONG];
    puna_error err = { 0 };
    puna_sampler s;
    puna_rng rng = puna_rng_make(3);
    puna_sampling p = plain, chained = plain;
    chained.presence_penalty = 1e-30f; /* takes the chain, changes nothing */
    CHECK_OK(puna_sampler_open(&s, LONG, &err), err);
    for (int pass = 0; pass < 200; pass++) {
        for (int i = 0; i < LONG; i++)
            x[i] = (float)(puna_rng_next(&rng) % 900) - 500;
        x[puna_rng_next(&rng) % LONG] = pass % 3 ? NAN : INFINITY;
        p.temperature = chained.temperature = pass % 2 ? 0 : 80;
        p.top_k = chained.top_k = 1 + pass * 5;
        CHECK_INT(puna_sampler_draw(&s, &p, before, (size_t)pass, x), puna_sampler_draw(&s, &chained, before, (size_t)pass, x));
    }
    puna_sampler_close(&s);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(greedy_takes_the_lowest_of_equals), TEST(draws_follow_the_softmax),    TEST(top_k_keeps_the_best),
        TEST(top_p_keeps_the_smallest_set),      TEST(min_p_is_relative_to_the_best),
        TEST(penalties_look_at_the_last_tokens), TEST(bad_logits_do_not_break_it),
        TEST(short_ways_equal_the_chain),
    };
    return test_main("sample", cases, sizeof cases / sizeof *cases, argc, argv);
}
