/* state.h - operations with a state: what a sequence keeps beside caches, whatever its length. Their rows are those of a
 * sequence in order, over all its batches. Owns their parameters and their part of the recorder; plan.h has the rest. */
#ifndef PUNA_OPS_STATE_H
#define PUNA_OPS_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "quant/tensor.h"

typedef struct puna_plan puna_plan;
typedef int32_t puna_value;

typedef struct puna_conv_params {
    int32_t n_taps, state;
} puna_conv_params;

/* h = exp(d a) h + d x b; y = h c + D x, with d = softplus(dt + bias): arXiv 2312.00752, 2405.21060. */
typedef struct puna_ssm_params {
    int32_t n_head, n_group, n_state; /* values of a channel's state; heads of a group share b and c */
    int32_t state;
} puna_ssm_params;

/* What a row does with a head's matrix M, n_value x n_key, before y = M q is read. w: exp(decay), along keys. */
typedef enum puna_memory_rule {
    PUNA_MEMORY_ADD,   /* M = M w + v k^T */
    PUNA_MEMORY_BONUS, /* the same, but y = (M + v (u k)^T) q with the M before: RWKV-6, arXiv 2404.05892 */
    PUNA_MEMORY_DELTA, /* M = M w, then M += beta (v - M k) k^T: gated delta nets, arXiv 2412.06464 */
    PUNA_MEMORY_RANK1  /* M = M w + (M a) b^T + v k^T: RWKV-7, arXiv 2503.14456 */
} puna_memory_rule;

typedef struct puna_memory_params {
    puna_memory_rule rule;
    int32_t n_head, n_head_k; /* heads of values; of queries and keys, for as many heads of values each */
    bool tiled;  /* head h of values has queries and keys h % n_head_k, not h / (n_head / n_head_k) */
    float scale; /* of y */
    int32_t state;
} puna_memory_params;

/* ---- the recorder: each makes the state that it needs ---------------------------------- */

/* w {n_taps, width}, the last for the row itself; bias may be NULL. */
puna_value p_conv1d(puna_plan *g, puna_value x, const puna_tensor *w, const puna_tensor *bias);
/* [T, w] -> the row before, zeros before the first. */
puna_value p_shift(puna_plan *g, puna_value x);
/* x [T, n_head * n]; dt [T, n_head]; bc [T, 2 * n_group * n_state]: all of b, then c. a [n_head] or {n_state, n_head};
 * bias of dt and d [n_head] may be NULL. p->state is not read. */
puna_value p_ssm_scan(puna_plan *g, puna_value x, puna_value dt, puna_value bc, const puna_tensor *a,
                      const puna_tensor *bias, const puna_tensor *d, const puna_ssm_params *p);

typedef struct puna_memory_inputs {
    puna_value q, k, v; /* [T, n_head_k * n_key], the same, [T, n_head * n_value] */
    puna_value decay;   /* [T, n_head] or [T, n_head * n_key], logarithms; -1: those of the tensor */
    puna_value a, b;    /* DELTA: beta [T, n_head]; RANK1: [T, n_head_k * n_key] each; else -1 */
} puna_memory_inputs;
/* w: BONUS: u [n_head_k * n_key]; without decay: one for each head; else NULL. p->state is not read. */
puna_value p_memory_scan(puna_plan *g, const puna_memory_inputs *in, const puna_tensor *w,
                         const puna_memory_params *p);

#endif
