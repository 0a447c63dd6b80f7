/* recurrent.h - layers with a state: their weights, the sets of tensors that they alone have, and parts of a decoder
 * that architectures with such layers share. Owned by network.h, which it is a part of. */
#ifndef PUNA_MODEL_RECURRENT_H
#define PUNA_MODEL_RECURRENT_H

#include "ops/plan.h"

typedef struct puna_network puna_network;

/* Weights of a layer with a state, by the names of Mamba (arXiv 2312.00752); delta nets have some of them. */
typedef struct puna_ssm {
    const puna_tensor *in, *in_scale, *conv, *conv_bias, *x, *dt, *dt_bias, *dt_norm, *b_norm, *c_norm, *a, *d;
    const puna_tensor *norm, *out, *out_scale;
} puna_ssm;

/* And what only delta nets have. */
typedef struct puna_delta {
    const puna_tensor *qkv, *qkv_scale, *gate, *gate_scale, *ba, *beta, *beta_scale, *alpha, *alpha_scale;
    const puna_tensor *q, *k, *v, *conv_q, *conv_k, *conv_v, *decay_a, *decay_b, *gate_a, *gate_b;
} puna_delta;

/* Of RWKV: lerp_*: how much of the row before is mixed in; *_1, *_2: products through few columns; the last row: the
 * feed-forward part's. */
typedef struct puna_rwkv {
    const puna_tensor *lerp, *lerp_x, *lerp_w, *lerp_k, *lerp_v, *lerp_r, *lerp_g, *mix_1, *mix_2;
    const puna_tensor *decay, *decay_1, *decay_2, *first, *rate, *rate_1, *rate_2, *value, *value_1, *value_2;
    const puna_tensor *gate_1, *gate_2, *k_k, *k_a, *r_k, *norm, *norm_bias;
    const puna_tensor *wr, *wk, *wv, *wg, *br, *bk, *bv;
    const puna_tensor *ff_lerp_k, *ff_lerp_r, *ff_key, *ff_value, *ff_receptance;
} puna_rwkv;

/* Of layers with a state only. */
#define PUNA_SETS_RECURRENT                                                                                         \
    (PUNA_SET(SSM) | PUNA_SET(SSM_CONV_BIAS) | PUNA_SET(SSM_X) | PUNA_SET(SSM_NORM) | PUNA_SET(SSM_INNER_NORMS) |   \
     PUNA_SET(SSM_SCALE) | PUNA_SET(DELTA) | PUNA_SET(DELTA_QKV) | PUNA_SET(DELTA_IN) | PUNA_SET(DELTA_BA) |        \
     PUNA_SET(DELTA_BETA) | PUNA_SET(DELTA_SCALE) | PUNA_SET(SHORTCONV) | PUNA_SET(KDA) | PUNA_SET(KDA_LOW) |       \
     PUNA_SET(LIGHTNING) | PUNA_SET(WKV) | PUNA_SET(WKV_LERP) | PUNA_SET(WKV_LERPS) | PUNA_SET(WKV_NORM) |          \
     PUNA_SET(WKV6) | PUNA_SET(WKV6_FIRST) | PUNA_SET(WKV6_BIAS) | PUNA_SET(WKV7) | PUNA_SET(WKV7_GATE))

/* The activation of a causal filter. */
puna_value puna_build_filter(puna_network *net, puna_value x, const puna_tensor *w, const puna_tensor *bias);
/* Attention of a layer, with its output matrix. */
puna_value puna_build_attention_out(puna_network *net, puna_value h, int32_t il);
/* n values of a tensor that no file has, in the network's memory; NULL sets the plan's error. */
puna_tensor *puna_build_vector(puna_network *net, uint64_t n);
/* Each value of w n times. */
const puna_tensor *puna_build_repeated(puna_network *net, const puna_tensor *w, int32_t n);

#endif
