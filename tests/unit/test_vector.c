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
    static const uint32_t levels[] = { 0, PUNA_CPU_AVX2, PUNA_CPU_AVX2 | PUNA_CPU_AVX512_VNNI };
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if ((levels[i] & puna_cpu_have()) == levels[i])
            check(puna_vector_choose(levels[i]));
}

static void check_activations(const puna_vector_kernels *v)
{
    double worst_silu = 0, worst_gelu = 0, worst_tanh = 0;
    for (float x = -20; x < 20; x += 0.00137f) {
        float one = 1, y, cap = x;
        double d = (double)x;
        v->glu(PUNA_ACT_SILU, &x, &one, &y, 1);
        worst_silu = fmax(worst_silu, relative((double)y, d / (1 + exp(-d))));
        double u = 0.79788456080286535588 * (d + 0.044715 * d * d * d);
        v->glu(PUNA_ACT_GELU, &x, &one, &y, 1);
        if (u > -8) /* below, the argument of exp is large and single precision itself ends */
            worst_gelu = fmax(worst_gelu, relative((double)y, d / (1 + exp(-2 * u))));
        v->softcap(1, 3, &cap, 1);
        worst_tanh = fmax(worst_tanh, relative((double)cap, 3 * tanh(d / 3)));
    }
    if (getenv("SHOW"))
        printf("%s: silu %.3g gelu %.3g tanh %.3g\n", v->name, worst_silu, worst_gelu, worst_tanh);
    CHECK(worst_silu < 2e-6 && worst_gelu < 3e-6 && worst_tanh < 1e-6);
}

static void activations_are_accurate(void)
{
    at_every_level(check_activations);
}

/* A row cut anywhere gives the same bits: tails are not computed differently. */
static void check_cuts(const puna_vector_kernels *v)
{
    enum { N = 43 };
    puna_rng rng = puna_rng_make(21);
    float gate[N], up[N], whole[N], cut[N + 1];
    for (int i = 0; i < N; i++) {
        gate[i] = 4 * normal(&rng);
        up[i] = normal(&rng);
    }
    for (size_t at = 1; at < N; at++) {
        cut[N] = 77;
        v->glu(PUNA_ACT_GELU, gate, up, whole, N);
        v->glu(PUNA_ACT_GELU, gate, up, cut, at);
        v->glu(PUNA_ACT_GELU, gate + at, up + at, cut + at, N - at);
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
    static const puna_activation activations[] = { PUNA_ACT_SILU, PUNA_ACT_GELU, PUNA_ACT_RELU };
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
        for (int i = 0; i < 3; i++) {
            BOTH("glu", k->glu(activations[i], a, b, y, n))
        }
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
