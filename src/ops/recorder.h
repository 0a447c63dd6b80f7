/* recorder.h - what the p_* functions are made of. Private to the files that record nodes. */
#ifndef PUNA_OPS_RECORDER_H
#define PUNA_OPS_RECORDER_H

#include "ops/plan.h"

/* Makes room for one more element; arrays move within the arena and double, so at most twice the
 * memory is spent. NULL sets the sticky error. */
void *puna_plan_grown(puna_plan *g, void *array, int32_t n, int32_t *capacity, size_t size);

/* Appends a node; width > 0 gives it an output of that width. */
puna_value puna_plan_record(puna_plan *g, puna_node node, int32_t width, bool per_output);

/* The first mistake of a plan: something of a tensor (NULL: of the plan itself). */
void puna_plan_mistake(puna_plan *g, const puna_tensor *w, const char *what, uint64_t got, uint64_t expected);

/* False, with the sticky error set, when the value does not exist. */
bool puna_plan_usable(puna_plan *g, puna_value v);

/* A weight of n_mats matrices that take n_in values (0: any); its n_out goes to *n_out. */
bool puna_plan_matrix(puna_plan *g, const puna_tensor *w, uint64_t n_in, uint64_t n_mats, int32_t *n_out);

/* n float32 values in any shape; NULL is none, and allowed. */
bool puna_plan_vector(puna_plan *g, const puna_tensor *w, uint64_t n);

static inline int32_t puna_plan_width(const puna_plan *g, puna_value v)
{
    return g->values[v].width;
}

/* False, with the sticky error set, when the plan has no such cache. */
bool puna_plan_cache_known(puna_plan *g, int32_t cache);

/* Both exist and have as many rows. */
bool puna_plan_beside(puna_plan *g, puna_value a, puna_value b);

#endif
