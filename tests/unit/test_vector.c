/* test_vector.c - the row functions (vector.h) of every level that this processor can run: their accuracy, their
 * ends, and that they agree with the scalar ones. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/vector.h"
#include "base/rng.h"
#include "harness.h"

static float normal(puna_rng *rng)
{
    double sum = 0;
    for (int i = 0; i < 6; i++)
        sum += puna_rng_uniform(rng) - 0.5;
    return (float)(sum * 1.4142135623730951);
}

static double relative(double got, double want)
{
    return fabs(got - want) / fmax(fabs(want), 1e-30);
}

/* Every level that this processor can run, not only the one it would choose. */
static void at_every_level(void (*check)(const puna_vector_kernels *v))
{
    static const uint32_t levels[] = { 0, PUNA_CPU_NEON, PUNA_CPU_AVX2,
                                       PUNA_CPU_AVX2 | PUNA_CPU_AVX512_VNNI };
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if ((levels[i] & puna_cpu_have()) == levels[i])
            check(puna_vector_choose(levels[i]));
}

static double exactly(puna_activation kind, double x)
{
    switch (kind) {
    case PUNA_ACT_SILU:
        return x / (1 + exp(-x));
    case PUNA_ACT_GELU:
        return x / (1 + exp(-2 * 0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    case PUNA_ACT_GELU_ERF:
        return 0.5 * x * erfc(-x * 0.70710678118654752440);
    case PUNA_ACT_GELU_QUICK:
        return x / (1 + exp(-1.702 * x));
    case PUNA_ACT_RELU_SQUARED:
        return x > 0 ? x * x : 0;
    case PUNA_ACT_SIGMOID:
        return 1 / (1 + exp(-x));
    case PUNA_ACT_TANH:
        return tanh(x);
    case PUNA_ACT_RELU:
        return x > 0 ? x : 0;
    default:
        return x;
    }
}

static const struct {
    puna_activation kind;
    float lowest; /* below, the argument of exp is large and single precision itself ends */
    double bound;
} activations[] = {
    { PUNA_ACT_SILU, -20, 2e-6 },       { PUNA_ACT_GELU, -5.2f, 3e-6 }, { PUNA_ACT_GELU_ERF, -12.5f, 1e-6 },
    { PUNA_ACT_GELU_QUICK, -12, 2e-6 }, { PUNA_ACT_RELU, -20, 0 },      { PUNA_ACT_RELU_SQUARED, -20, 1e-7 },
    { PUNA_ACT_SIGMOID, -20, 2e-6 },    { PUNA_ACT_TANH, -20, 1e-6 },   { PUNA_ACT_IDENTITY, -20, 0 },
};
enum { N_ACTIVATIONS = sizeof activations / sizeof *activations };

static void check_activations(const puna_vector_kernels *v)
{
    double worst_tanh = 0;
    for (int i = 0; i < N_ACTIVATIONS; i++) {
        double worst = 0;
        for (float x = activations[i].lowest; x < 20; x += 0.00137f) {
            const puna_glu_params p = { .activation = activations[i].kind };
            float one = 1, y, gated;
            v->act(activations[i].kind, &x, &y, 1);
            v->glu(&p, &x, &one, &gated, 1);
            CHECK(memcmp(&y, &gated, sizeof y) == 0);
            worst = fmax(worst, relative((double)y, exactly(activations[i].kind, (double)x)));
        }
        if (getenv("SHOW"))
            printf("%s: activation %d %.3g\n", v->name, (int)activations[i].kind, worst);
        CHECK(worst <= activations[i].bound);
    }
    for (float x = -20; x < 20; x += 0.00137f) {
        float cap = x;
        v->softcap(1, 3, &cap, 1);
        worst_tanh = fmax(worst_tanh, relative((double)cap, 3 * tanh((double)x / 3)));
    }
    CHECK(worst_tanh < 1e-6);
}

/* What is not a number stays so, far values stay what they are. */
static void check_edges(const puna_vector_kernels *v)
{
    for (int i = 0; i < N_ACTIVATIONS; i++) {
        const bool relu =
            activations[i].kind == PUNA_ACT_RELU || activations[i].kind == PUNA_ACT_RELU_SQUARED;
        const float x[3] = { NAN, 1e4f, -1e4f };
        float y[3];
        v->act(activations[i].kind, x, y, 3);
        CHECK(relu || isnan(y[0]));
        CHECK_NEAR((double)y[1], exactly(activations[i].kind, 1e4), 1e-6 * fabs((double)y[1]));
        CHECK_NEAR((double)y[2], exactly(activations[i].kind, -1e4), 1e-6 * fabs((double)y[2]) + 1e-30);
    }
}

static void activations_are_accurate(void)
{
    at_every_level(check_activations);
    at_every_level(check_edges);
}

/* A row cut anywhere gives the same bits: tails are not computed differently. */
static void check_cuts(const puna_vector_kernels *v)
{
    enum { N = PUNA_VECTOR_SOME + 43 };
    const puna_glu_params p = { .activation = PUNA_ACT_GELU, .limit = 3, .up_offset = 1 };
    puna_rng rng = puna_rng_make(21);
    float gate[N], up[N], whole[N], cut[N + 1];
    for (int i = 0; i < N; i++) {
        gate[i] = 4 * normal(&rng);
        up[i] = normal(&rng);
    }
    for (size_t at = 1; at < N; at++) {
        cut[N] = 77;
        v->glu(&p, gate, up, whole, N);
        v->glu(&p, gate, up, cut, at);
        v->glu(&p, gate + at, up + at, cut + at, N - at);
        v->softcap(1, 2, whole, N);
        v->softcap(1, 2, cut, at);
        v->softcap(1, 2, cut + at, N - at);
        CHECK(memcmp(whole, cut, sizeof whole) == 0 && cut[N] == 77);
    }
}

static void cuts_change_no_bit(void)
{
    at_every_level(check_cuts);
}

enum { LONGEST = 83 };

/* n values near the scalar ones, and nothing behind them written. */
static void check_near(const puna_vector_kernels *v, const char *what, const float *got, const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= 4e-6 * (1 + fabs((double)want[i]))))
            test_fail(__FILE__, __LINE__, "%s %s: value %zu of %zu: got %.9g, scalar %.9g", v->name, what, i, n,
                      (double)got[i], (double)want[i]);
    for (size_t i = n; i < LONGEST; i++)
        CHECK(got[i] == 77);
}

/* Signs alternate: a mean near all values of a group would leave little but its rounding. */
static void check_norms(const puna_vector_kernels *v, const float *any, const float *weight, const float *bias)
{
    float x[LONGEST];
    for (int i = 0; i < LONGEST; i++)
        x[i] = (i % 2 ? 1 : -1) * (0.5f + fabsf(any[i]));
    for (int32_t group = 1; group <= LONGEST; group++)
        for (int kind = 0; kind < 4; kind++) {
            const puna_norm_params p = { .kind = kind % 2 ? PUNA_NORM_LAYER : PUNA_NORM_RMS, .group = group, .eps = 1e-5f };
            const size_t n = (size_t)(LONGEST / group * group);
            float got[LONGEST], want[LONGEST];
            for (int i = 0; i < LONGEST; i++)
                got[i] = 77;
            v->norm(&p, kind < 2 ? weight : NULL, kind == 1 ? bias : NULL, x, got, n);
            puna_vector_scalar.norm(&p, kind < 2 ? weight : NULL, kind == 1 ? bias : NULL, x, want, n);
            check_near(v, "norm", got, want, n);
        }
}

static void check_ropes(const puna_vector_kernels *v, const float *x)
{
    float cosines[LONGEST], sines[LONGEST], got[LONGEST], want[LONGEST];
    for (int i = 0; i < LONGEST; i++) {
        cosines[i] = cosf((float)i);
        sines[i] = sinf((float)i);
    }
    for (int32_t n = 2; n <= LONGEST; n += 2)
        for (int pairing = 0; pairing < 2; pairing++) {
            for (int i = 0; i < LONGEST; i++)
                got[i] = want[i] = i < n ? x[i] : 77;
            v->rope(pairing ? PUNA_ROPE_NORMAL : PUNA_ROPE_NEOX, n, cosines, sines, got);
            puna_vector_scalar.rope(pairing ? PUNA_ROPE_NORMAL : PUNA_ROPE_NEOX, n, cosines, sines, want);
            check_near(v, "rope", got, want, (size_t)n);
        }
}

static void check_element_wise(const puna_vector_kernels *v, const float *a, const float *b)
{
    float got[LONGEST], want[LONGEST];
    uint16_t half[LONGEST + 1], half_want[LONGEST];
#define BOTH(what, CALL)                                                                                     \
    for (int j = 0; j < LONGEST; j++)                                                                        \
        got[j] = 77;                                                                                         \
    {                                                                                                        \
        const puna_vector_kernels *k = v;                                                                    \
        float *y = got;                                                                                      \
        CALL;                                                                                                \
        k = &puna_vector_scalar;                                                                             \
        y = want;                                                                                            \
        CALL;                                                                                                \
    }                                                                                                        \
    check_near(v, what, got, want, n);
    for (size_t n = 0; n <= LONGEST; n++) {
        for (int i = 0; i < N_ACTIVATIONS; i++) {
            puna_glu_params p = { .activation = activations[i].kind };
            BOTH("act", k->act(p.activation, a, y, n))
            BOTH("glu", k->glu(&p, a, b, y, n))
            p = (puna_glu_params){
                .activation = p.activation, .limit = 0.8f, .late_limit = n % 2, .up_offset = 0.5f
            };
            BOTH("glu with limits", k->glu(&p, a, b, y, n))
        }
        BOTH("accumulate", (memcpy(y, b, n * sizeof *y), k->accumulate(0.3f, a, y, n)))
        BOTH("add", k->add(a, b, y, n))
        BOTH("scale", k->scale(0.3f, a, y, n))
        BOTH("softcap", (memcpy(y, a, n * sizeof *y), k->softcap(0.5f, 2, y, n)))
        BOTH("softcap off", (memcpy(y, a, n * sizeof *y), k->softcap(0.5f, 0, y, n)))
        half[n] = 1234;
        v->narrow(a, half, n);
        puna_vector_scalar.narrow(a, half_want, n);
        CHECK(memcmp(half, half_want, n * sizeof *half) == 0 && half[n] == 1234);
    }
#undef BOTH
}

static void check_level(const puna_vector_kernels *v)
{
    puna_rng rng = puna_rng_make(22);
    float a[LONGEST], b[LONGEST], c[LONGEST];
    for (int i = 0; i < LONGEST; i++) {
        a[i] = 3 * normal(&rng);
        b[i] = normal(&rng);
        c[i] = normal(&rng);
    }
    check_norms(v, a, b, c);
    check_ropes(v, a);
    check_element_wise(v, a, b);
}

static void levels_agree_with_the_scalar_one(void)
{
    at_every_level(check_level);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(activations_are_accurate),
        TEST(cuts_change_no_bit),
        TEST(levels_agree_with_the_scalar_one),
    };
    return test_main("vector", cases, sizeof cases / sizeof *cases, argc, argv);
}
