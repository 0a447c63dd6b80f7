/* test_route.c - which experts a row gets and with which weights (ops/ref/experts.c), against numbers worked out by
 * hand; and what the recorder refuses. */
#include <math.h>

#include "harness.h"
#include "ops/run.h"

enum { N = 8, MOST = 4 };

static void route(const puna_route_params *p, const float *scores, const float *bias, float *y)
{
    float probs[N], choice[N];
    puna_route_row(p, scores, bias, N, probs, choice, y);
}

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

static const float scores[N] = { 0.5f, -1, 2, 0, 1.5f, 3, -2, 1 };

static void softmax_takes_the_best(void)
{
    puna_route_params p = { .gating = PUNA_GATING_SOFTMAX, .n_used = 3, .scale = 1 };
    float y[2 * MOST];
    double total = 0;
    for (int i = 0; i < N; i++)
        total += exp((double)scores[i]);
    route(&p, scores, NULL, y);
    CHECK_INT(y[0], 5);
    CHECK_INT(y[1], 2);
    CHECK_INT(y[2], 4);
    CHECK_NEAR(y[3], exp(3) / total, 1e-6);
    CHECK_NEAR(y[5], exp(1.5) / total, 1e-6);
    p.normalise = true;
    p.scale = 2;
    route(&p, scores, NULL, y);
    CHECK_NEAR(y[3] + y[4] + y[5], 2, 1e-6);
    p.gating = PUNA_GATING_SOFTMAX_USED;
    p.normalise = false;
    p.scale = 1;
    route(&p, scores, NULL, y);
    CHECK_NEAR(y[3], exp(3) / (exp(3) + exp(2) + exp(1.5)), 1e-6);
}

/* A bias decides who is chosen, not how much it weighs. */
static void a_bias_only_chooses(void)
{
    static const float bias[N] = { 0, 0, 0, 0, 0, 0, 1, 0 };
    const puna_route_params p = { .gating = PUNA_GATING_SIGMOID, .n_used = 2, .scale = 1 };
    float y[2 * MOST];
    route(&p, scores, bias, y);
    CHECK_INT(y[0], 6);
    CHECK_INT(y[1], 5);
    CHECK_NEAR(y[2], logistic(-2), 1e-6);
    CHECK_NEAR(y[3], logistic(3), 1e-6);
}

/* Groups are worth the sum of their two best: one that is good alone may be out. */
static void groups_limit_the_choice(void)
{
    const puna_route_params p = {
        .gating = PUNA_GATING_SIGMOID, .n_used = 3, .n_group = 4, .n_group_used = 2, .scale = 1
    };
    float y[2 * MOST];
    route(&p, scores, NULL, y);
    CHECK_INT(y[0], 5);
    CHECK_INT(y[1], 2);
    CHECK_INT(y[2], 4);
    static const float alone[N] = { 3, 0, 1, 0.9f, 4, -9, 2, 1.9f };
    route(&p, alone, NULL, y); /* gates of 4 and 5 together are 0.98, those of 0 and 1 1.45 */
    CHECK_INT(y[0], 0);
    CHECK_INT(y[1], 6);
    CHECK_INT(y[2], 7);
}

/* Gates that are 1 to the last bit still leave an order. */
static void scores_may_choose(void)
{
    static const float high[N] = { 30, 31, 32, 33, 37, 36, 35, 34 };
    const puna_route_params p = { .gating = PUNA_GATING_SIGMOID, .n_used = 2, .by_score = true, .scale = 1 };
    float y[2 * MOST];
    route(&p, high, NULL, y);
    CHECK_INT(y[0], 4);
    CHECK_INT(y[1], 5);
    CHECK_NEAR(y[2], 1, 0);
}

/* Neighbours share one: its number is half of theirs, and so is the number of the weight; it may come twice. */
static void neighbours_share(void)
{
    const puna_route_params p = {
        .gating = PUNA_GATING_SOFTMAX, .n_used = 3, .chunk = 2, .normalise = true, .scale = 1
    };
    float y[2 * MOST];
    route(&p, scores, NULL, y);
    CHECK_INT(y[0], 2); /* of 5 */
    CHECK_INT(y[1], 1); /* of 2 */
    CHECK_INT(y[2], 2); /* of 4 */
    const double total = 2 * exp(2) + exp(-1);
    CHECK_NEAR(y[3], exp(2) / total, 1e-6);
    CHECK_NEAR(y[4], exp(-1) / total, 1e-6);
    CHECK_NEAR(y[5], exp(2) / total, 1e-6);
}

static void what_is_no_number_harms_nothing(void)
{
    const float bad[N] = { NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN };
    const puna_route_params p = { .gating = PUNA_GATING_SOFTMAX, .n_used = 4, .chunk = 2, .scale = 1 };
    float y[2 * MOST];
    route(&p, bad, NULL, y);
    for (int k = 0; k < 4; k++) {
        CHECK(y[k] >= 0 && y[k] < 4);
        CHECK(isnan(y[4 + k]));
    }
}

static bool recorded(const puna_route_params *p)
{
    float values[4 * N] = { 0 };
    const puna_tensor table = { .name = "table",
                                .format = puna_format_get(PUNA_FORMAT_F32),
                                .ne = { N, 4, 1, 1 },
                                .data = values,
                                .size_bytes = sizeof values };
    puna_plan g = { 0 };
    p_moe_route(&g, p_embed(&g, &table, &(puna_embed_params){ .scale = 1 }), NULL, p);
    const bool good = g.status == PUNA_OK;
    puna_plan_free(&g);
    return good;
}

static void the_recorder_checks(void)
{
    CHECK(recorded(&(puna_route_params){ .n_used = 8 }));
    CHECK(!recorded(&(puna_route_params){ .n_used = 9 }));
    CHECK(!recorded(&(puna_route_params){ .n_used = 0 }));
    CHECK(recorded(&(puna_route_params){ .n_used = 4, .chunk = 2 }));
    CHECK(!recorded(&(puna_route_params){ .n_used = 5, .chunk = 2 }));
    CHECK(!recorded(&(puna_route_params){ .n_used = 2, .chunk = 3 }));
    CHECK(recorded(&(puna_route_params){ .n_used = 2, .n_group = 4, .n_group_used = 1 }));
    CHECK(!recorded(&(puna_route_params){ .n_used = 3, .n_group = 4, .n_group_used = 1 }));
    CHECK(!recorded(&(puna_route_params){ .n_used = 2, .n_group = 3, .n_group_used = 1 }));
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(softmax_takes_the_best), TEST(a_bias_only_chooses), TEST(groups_limit_the_choice),
        TEST(scores_may_choose),      TEST(neighbours_share),    TEST(what_is_no_number_harms_nothing),
        TEST(the_recorder_checks),
    };
    return test_main("route", cases, sizeof cases / sizeof *cases, argc, argv);
}
