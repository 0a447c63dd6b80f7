/* sets.h - the words of tensors.def: what its shapes and its sets of tensors are called. Part of network.h. */
#ifndef PUNA_MODEL_SETS_H
#define PUNA_MODEL_SETS_H

#include <stdint.h>

/* Names of the tensor shapes' dimensions, resolved for each layer. */
typedef enum puna_dim {
    PUNA_DIM_ONE,
    PUNA_DIM_ANY, /* checked when it is used */
    PUNA_DIM_EMBD,
    PUNA_DIM_VOCAB,
    PUNA_DIM_Q2,     /* twice the next */
    PUNA_DIM_Q,      /* n_head * head_dim_k */
    PUNA_DIM_K,      /* n_head_kv * head_dim_k */
    PUNA_DIM_V,      /* n_head_kv * head_dim_v */
    PUNA_DIM_QKV,    /* the three of them */
    PUNA_DIM_O,      /* n_head * head_dim_v */
    PUNA_DIM_HEADS,  /* n_head */
    PUNA_DIM_FF,
    PUNA_DIM_FF2, /* twice n_ff */
    PUNA_DIM_EXPERTS,
    PUNA_DIM_FF_EXPERT,
    PUNA_DIM_FF_EXPERT2,
    PUNA_DIM_FF_SHARED,
    PUNA_DIM_FF_SHARED2,
    PUNA_DIM_STATE_IN, /* n_in of puna_state_hparams, and so on */
    PUNA_DIM_STATE_X,
    PUNA_DIM_STATE_INNER,
    PUNA_DIM_STATE_CHANNELS,
    PUNA_DIM_STATE_HEADS, /* n_rank */
    PUNA_DIM_LORA_Q,
    PUNA_DIM_LORA_KV,
    PUNA_DIM_KV_A,        /* the latent vector and the key that is rotated */
    PUNA_DIM_KV_B,        /* all heads' keys (without rotation) and values */
    PUNA_DIM_NOPE,
    PUNA_DIM_HEAD_V,
    PUNA_DIM_INDEX_HEADS,
    PUNA_DIM_INDEX,       /* of a head of the indexer */
    PUNA_DIM_INDEX_Q,
    PUNA_DIM_STREAMS,     /* all streams of hyper-connections side by side */
    PUNA_DIM_STREAM,      /* how many there are */
    PUNA_DIM_HYPER,       /* numbers that a branch has of them */
    PUNA_DIM_HYPER_SCALES,
    PUNA_DIM_HYPER_LOW,   /* columns that what a branch reads goes through */
    PUNA_DIM_NGRAM_TAPS,
    PUNA_DIM_LORA_O,
    PUNA_DIM_COMPRESS,    /* tokens of a block that becomes one vector */
    PUNA_DIM_COMPRESS_K,  /* what such a vector is made of, for each token; twice as much in overlapping blocks */
    PUNA_DIM_COMPRESS_INDEX,
    PUNA_DIM_INPUT,  /* n_layer_input */
    PUNA_DIM_INPUTS, /* of all layers */
    PUNA_DIM_CHUNKS,
    PUNA_DIM_FF_CHUNK
} puna_dim;

/* The sets of tensors.def. */
#define PUNA_SETS(X)                                                                                              \
    X(EMBEDDING) X(EMBEDDING_NORM) X(EMBEDDING_NORM_BIAS) X(POSITIONS) X(TOKEN_TYPES) X(OUTPUT_NORM)              \
    X(OUTPUT_NORM_BIAS) X(OUTPUT) X(OUTPUT_BIAS) X(ROPE_FACTORS) X(ROPE_LONG_SHORT)                               \
    X(ATTN_NORM) X(ATTN_NORM_BIAS) X(ATTN_NORM_2) X(QKV) X(QKV_BIAS) X(QKV_SCALE) X(QKV_FUSED) X(QKV_FUSED_BIAS)  \
    X(QKV_FUSED_SCALE) X(Q_NORM) X(Q_NORM_BIAS) X(K_NORM) X(K_NORM_BIAS) X(SINKS) X(ATTN_SUB_NORM) X(ATTN_GATE)   \
    X(O) X(O_BIAS) X(O_SCALE) X(ATTN_POST_NORM) X(ATTN_POST_NORM_BIAS)                                            \
    X(FFN_NORM) X(FFN_NORM_BIAS) X(GATE) X(GATE_BIAS) X(UP) X(UP_BIAS) X(GATE_UP) X(GATE_UP_BIAS) X(DOWN)         \
    X(DOWN_BIAS) X(FFN_SCALE) X(ACT_SCALE) X(FFN_SUB_NORM) X(FFN_POST_NORM) X(FFN_POST_NORM_BIAS)                 \
    X(ROUTER) X(ROUTER_BIAS) X(CHOICE_BIAS) X(EXPERT_NORM) X(EXPERT_GATE) X(EXPERT_UP) X(EXPERT_GATE_UP)          \
    X(EXPERT_DOWN) X(EXPERT_BIAS) X(EXPERT_SCALE) X(SHARED) X(SHARED_GATE_UP) X(SHARED_DOWN) X(SHARED_SCALE)      \
    X(SHARED_WEIGHT) X(SHARED_UP) X(EXPERT_LATENT) X(EXPERT_PLAIN) X(LAYER_INPUT) X(LAYER_SCALE) X(BESIDE_EXPERTS) \
    X(ALTUP) X(LOW_INIT) X(CHUNK) X(HEAD) X(CROSS) X(BUCKETS)                                                                                 \
    X(SSM) X(SSM_CONV_BIAS) X(SSM_X) X(SSM_NORM) X(SSM_INNER_NORMS) X(SSM_SCALE) X(Q_GATED) X(Q_GATED_BIAS)       \
    X(DELTA) X(DELTA_QKV) X(DELTA_IN) X(DELTA_BA) X(DELTA_BETA) X(DELTA_SCALE) X(SHORTCONV) X(KDA) X(KDA_LOW)     \
    X(LIGHTNING) X(WKV) X(WKV_LERP) X(WKV_LERPS) X(WKV_NORM) X(WKV6) X(WKV6_FIRST) X(WKV6_BIAS) X(WKV7)           \
    X(WKV7_GATE) X(CHANNEL_MIX) X(CHANNEL_MIX_GATE)                                                               \
    X(LORA_Q) X(LORA_KV) X(KV_B) X(LATENT_HEADS) X(INDEXER) X(HYPER) X(HYPER_HEAD) X(INDEXER_DIRECT)              \
    X(INDEX_QUERY) X(KV_ONE)                                                                                      \
    X(LORA_O) X(COMPRESSOR) X(INDEX_COMPRESSOR) X(EXPERT_TABLE)                                                   \
    X(KDA_PACE) X(KDA_PACE_ROW) X(INDEX_POOL) X(HYPER_LOW) X(NGRAM)

typedef enum puna_set_number {
#define X(name) PUNA_SET_NUMBER_##name,
    PUNA_SETS(X)
#undef X
        PUNA_N_SETS
} puna_set_number;

__extension__ typedef unsigned __int128 puna_sets;
#define PUNA_SET(name) ((puna_sets)1 << PUNA_SET_NUMBER_##name)
_Static_assert(PUNA_N_SETS <= 128, "sets of tensors fill 128 bits");

#define PUNA_SETS_QKV                                                                 \
    (PUNA_SET(QKV) | PUNA_SET(QKV_BIAS) | PUNA_SET(QKV_SCALE) | PUNA_SET(QKV_FUSED) | \
     PUNA_SET(QKV_FUSED_BIAS) | PUNA_SET(QKV_FUSED_SCALE))
/* What any architecture may have; a fused form stands for the separate ones. */
#define PUNA_SETS_ALWAYS (PUNA_SET(OUTPUT) | PUNA_SETS_QKV | PUNA_SET(O_SCALE))
/* What most architectures need: norms before both branches, separate matrices, a gate. */
#define PUNA_SETS_ATTENTION \
    (PUNA_SET(EMBEDDING) | PUNA_SET(OUTPUT_NORM) | PUNA_SET(ATTN_NORM) | PUNA_SET(QKV) | PUNA_SET(O))
#define PUNA_SETS_PLAIN   (PUNA_SET(UP) | PUNA_SET(DOWN))
#define PUNA_SETS_GATED   (PUNA_SET(GATE) | PUNA_SETS_PLAIN)
#define PUNA_SETS_DENSE   (PUNA_SETS_ATTENTION | PUNA_SET(FFN_NORM) | PUNA_SETS_GATED)
#define PUNA_SETS_QK_NORM (PUNA_SET(Q_NORM) | PUNA_SET(K_NORM))
#define PUNA_SETS_EXPERTS \
    (PUNA_SET(ROUTER) | PUNA_SET(EXPERT_GATE) | PUNA_SET(EXPERT_UP) | PUNA_SET(EXPERT_DOWN))
#define PUNA_SETS_SHARED     (PUNA_SET(SHARED) | PUNA_SET(SHARED_DOWN))
#define PUNA_SETS_POST_NORMS (PUNA_SET(ATTN_POST_NORM) | PUNA_SET(FFN_POST_NORM))
#define PUNA_SETS_LAYER_NORM_BIAS \
    (PUNA_SET(ATTN_NORM_BIAS) | PUNA_SET(FFN_NORM_BIAS) | PUNA_SET(OUTPUT_NORM_BIAS))
#define PUNA_SETS_FFN_BIAS (PUNA_SET(GATE_BIAS) | PUNA_SET(UP_BIAS) | PUNA_SET(DOWN_BIAS))

/* Of layers with a state only. */
#define PUNA_SETS_RECURRENT                                                                                         \
    (PUNA_SET(SSM) | PUNA_SET(SSM_CONV_BIAS) | PUNA_SET(SSM_X) | PUNA_SET(SSM_NORM) | PUNA_SET(SSM_INNER_NORMS) |   \
     PUNA_SET(SSM_SCALE) | PUNA_SET(DELTA) | PUNA_SET(DELTA_QKV) | PUNA_SET(DELTA_IN) | PUNA_SET(DELTA_BA) |        \
     PUNA_SET(DELTA_BETA) | PUNA_SET(DELTA_SCALE) | PUNA_SET(SHORTCONV) | PUNA_SET(KDA) | PUNA_SET(KDA_LOW) |       \
     PUNA_SET(KDA_PACE) | PUNA_SET(KDA_PACE_ROW) | PUNA_SET(LIGHTNING) | PUNA_SET(WKV) | PUNA_SET(WKV_LERP) |       \
     PUNA_SET(WKV_LERPS) | PUNA_SET(WKV_NORM) |                                                                     \
     PUNA_SET(WKV6) | PUNA_SET(WKV6_FIRST) | PUNA_SET(WKV6_BIAS) | PUNA_SET(WKV7) | PUNA_SET(WKV7_GATE))

#endif
