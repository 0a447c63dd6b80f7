/* vector.h - the element-wise half of a transformer on float rows: norm, rotation, activations,
 * sums, narrowing to 16 bits. Owns the table of functions of one ISA level; refuses threads and
 * plans. The last elements of a row get the same arithmetic as the others, so that a result does
 * not depend on where a row is cut. */
#ifndef PUNA_BACKEND_CPU_VECTOR_H
#define PUNA_BACKEND_CPU_VECTOR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "ops/plan.h"

/* Every output may be an input. Thread-safe. Relative error of exp and tanh is below 1e-6, of the activations
 * below 3e-6; NaN and infinities pass without trapping. */
typedef struct puna_vector_kernels {
    const char *name;
    /* n is a multiple of p->group; weight and bias have p->group values or are NULL. */
    void (*norm)(const puna_norm_params *p, const float *weight, const float *bias, const float *x, float *y,
                 size_t n);
    /* Rotates the first n_rot values of one head by the n_rot / 2 angles, in place. */
    void (*rope)(puna_rope_pairing pairing, int32_t n_rot, const float *cosines, const float *sines,
                 float *x);
    /* Those that puna_vector_has. */
    void (*act)(puna_activation activation, const float *x, float *y, size_t n);
    /* y = activation(gate) * up, with the limits and the offset of p; y may be either. */
    void (*glu)(const puna_glu_params *p, const float *gate, const float *up, float *y, size_t n);
    /* y += factor * x */
    void (*accumulate)(float factor, const float *x, float *y, size_t n);
    void (*add)(const float *a, const float *b, float *y, size_t n);
    void (*scale)(float factor, const float *x, float *y, size_t n);
    /* x = cap * tanh(x * factor / cap); cap 0: x * factor */
    void (*softcap)(float factor, float cap, float *x, size_t n);
    /* To binary16, to nearest even. */
    void (*narrow)(const float *x, uint16_t *y, size_t n);
} puna_vector_kernels;

extern const puna_vector_kernels puna_vector_scalar;
extern const puna_vector_kernels puna_vector_avx2, puna_vector_avx512, puna_vector_neon;

enum { PUNA_VECTOR_SOME = 256 }; /* values that glu activates at a time */

/* Other activations are computed one by one. GELU by the error function, x P(x) with P the normal distribution
 * function: with z = |x| / sqrt 2, half of erfc z is P(x) below zero and what it lacks to 1 above, and
 * erfc z = e^-z^2 p(q) / (1 + 2 z), q = (z - 2) / (z + 2), where p is a polynomial of degree 9, fitted
 * (Chebyshev) to 3e-8. */
static inline bool puna_vector_has(puna_activation activation)
{
    return activation != PUNA_ACT_SOFTPLUS && activation != PUNA_ACT_XIELU && activation != PUNA_ACT_EXP &&
           activation != PUNA_ACT_SIGNED_ROOT;
}

/* What a group of n values is multiplied with; square: the sum of squares around the mean. */
static inline float puna_norm_scale(const puna_norm_params *p, float square, float n)
{
    const float root = sqrtf(square);
    if (p->kind == PUNA_NORM_L2)
        return 1 / (root > p->eps ? root : p->eps);
    return 1 / sqrtf(square / n + p->eps);
}

/* The best level of `allowed`. */
const puna_vector_kernels *puna_vector_choose(uint32_t allowed);

#endif
