/* params.h - the numbers that operations take beside their inputs and weights. Part of plan.h. */
#ifndef PUNA_OPS_PARAMS_H
#define PUNA_OPS_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

/* L2 divides by the root of the sum of squares, or by eps where that is less. */
typedef enum puna_norm_kind { PUNA_NORM_RMS, PUNA_NORM_LAYER, PUNA_NORM_L2 } puna_norm_kind;

/* Rotated pairs: NORMAL (2i, 2i+1), NEOX (i, i + n_rot/2). */
typedef enum puna_rope_pairing { PUNA_ROPE_NORMAL, PUNA_ROPE_NEOX } puna_rope_pairing;

typedef enum puna_activation {
    PUNA_ACT_SILU,
    PUNA_ACT_GELU, /* tanh form */
    PUNA_ACT_RELU,
    PUNA_ACT_GELU_ERF,
    PUNA_ACT_GELU_QUICK, /* x * sigmoid(1.702 x) */
    PUNA_ACT_RELU_SQUARED,
    PUNA_ACT_SIGMOID,
    PUNA_ACT_TANH,
    PUNA_ACT_SOFTPLUS,
    PUNA_ACT_IDENTITY,
    PUNA_ACT_EXP,
    PUNA_ACT_XIELU,      /* arXiv 2411.13010; a: alpha_n, alpha_p, beta, eps */
    PUNA_ACT_SIGNED_ROOT /* of the magnitude, or of a[0] where that is more; 0 stays 0 */
} puna_activation;

typedef struct puna_act_params {
    puna_activation kind;
    float a[4];
} puna_act_params;

typedef struct puna_glu_params {
    puna_activation activation;
    float limit;     /* the gate is at most this, up within +- it; 0 = no limit */
    bool late_limit; /* for the gate: after its activation */
    float up_offset; /* added to up after the limit */
} puna_glu_params;

typedef struct puna_norm_params {
    puna_norm_kind kind;
    float eps;
    int32_t group; /* the norm runs over groups of this many values: the width, or one head */
} puna_norm_params;

typedef enum puna_embed_source { PUNA_EMBED_TOKEN, PUNA_EMBED_POSITION, PUNA_EMBED_FIRST, PUNA_EMBED_CYCLE } puna_embed_source;

typedef struct puna_embed_params {
    puna_embed_source source; /* which row: the token's, the position's (plus offset), always `offset`, the position's modulo rows */
    int32_t offset;
    float scale;
} puna_embed_params;

typedef struct puna_rope_params {
    puna_rope_pairing pairing;
    int32_t n_head, head_dim;
    int32_t n_rot;      /* the first n_rot values of each head rotate */
    float base;
    float scale;        /* position scale: 1 / factor for linear scaling */
    float yarn_ext;     /* YaRN mix, 0 = off */
    float yarn_beta_fast, yarn_beta_slow;
    float magnitude;    /* cos and sin are multiplied by it */
    int32_t n_ctx_orig;
    int32_t position_block; /* positions count as the first of their block of so many; 0: as they are */
    bool back;              /* the rotation that undoes this one */
    int32_t still_period,
        still_from; /* of as many pairs, those from the second on do not rotate; 0: all do */
} puna_rope_params;

/* Which keys a query sees. A chunk: those of its own run of `window` positions. Encoded: those of what was encoded
 * before its sequence began to be written, and nothing else; the others see nothing of that. */
typedef enum puna_mask { PUNA_MASK_CAUSAL, PUNA_MASK_CHUNK, PUNA_MASK_ALL, PUNA_MASK_ENCODED } puna_mask;

typedef struct puna_attention_params {
    int32_t n_head, n_head_kv, head_dim, head_dim_v;
    int32_t cache;    /* index into plan->caches */
    puna_mask mask;
    int32_t
        window; /* key j is visible to p iff p - j < window; 0 = all up to p. ALL: iff |p - j| <= window / 2 */
    float scale;
    float softcap;    /* 0 = none: s = cap * tanh(s / cap) */
    float alibi;      /* largest slope exponent of ALiBi (arXiv 2108.12409), 8 as a rule; 0 = none */
    int32_t n_buckets; /* of the relative position bias, which is the node's bias; 0 = none */
    float temperature; /* scores times 1 + temperature * log(1 + floor((p + offset) / length)); 0 = off */
    int32_t temperature_length;
    float temperature_offset;
    bool far;                   /* blocks that have ended are seen too: each as a key of another cache, at its last
                                   position. Selected keys are among those then */
    int32_t far_cache;
    int32_t n_lists, key_block; /* of far or selected keys, as in puna_select_params */
    bool v_in_k;                /* the cache's; set by the recorder */
} puna_attention_params;

/* Keys are chosen in blocks of consecutive positions, the first at 0. A block is worth what the best of its keys is
 * that the query sees: sum over heads of q k, or rectified of max(q k, 0), and with weights of weight * max(q k, 0).
 * Lists divide the heads. */
typedef struct puna_select_params {
    int32_t n_head, head_dim;
    int32_t cache;     /* of one head's keys alone */
    int32_t n_lists, n_top;
    int32_t key_block; /* positions of a block */
    int32_t n_local;   /* the query's own block and those before it that are chosen whatever they score */
    float scale;       /* of weights */
    bool rectified;
    bool ended;        /* a block has one key, at its last position */
    bool tail;         /* and the query's own block is chosen beside the others as long as it has not ended */
} puna_select_params;

/* The cache keeps values and then scores of each row. A result is the sum over a block's rows of values, weighted by a
 * softmax of scores, each column for itself. Overlapping: rows have twice the columns; of the block before the first
 * half counts, of the block itself the second. Rows that end no block get zeros. */
typedef struct puna_compress_params {
    int32_t cache, n_out, block;
    bool overlaps;
} puna_compress_params;

/* What a sequence's rows are made into one by: their mean, or the first of them. */
typedef enum puna_pool_kind { PUNA_POOL_MEAN, PUNA_POOL_FIRST } puna_pool_kind;

/* Numbered as in GGUF. */
typedef enum puna_gating {
    PUNA_GATING_SOFTMAX = 1,
    PUNA_GATING_SIGMOID = 2,
    PUNA_GATING_SOFTMAX_USED = 3, /* softmax over the chosen experts only */
    PUNA_GATING_SQRT_SOFTPLUS = 4
} puna_gating;

typedef struct puna_route_params {
    puna_gating gating;
    int32_t n_used;                /* experts of a token */
    int32_t n_group, n_group_used; /* experts are chosen from the best groups only; 0 = no groups */
    bool by_score;                 /* chosen by the scores themselves, whatever the gate makes of them */
    int32_t chunk;  /* so many neighbours share an expert of their number divided by this; 0 = none do */
    bool normalise; /* the weights' sum becomes 1 */
    float scale;    /* of the weights, afterwards */
} puna_route_params;

typedef struct puna_experts_params {
    int32_t n_used;
    bool gated, fused;   /* gate and up; both in one tensor, gate first */
    bool weight_first;   /* the input is weighted, not the result */
    puna_glu_params glu; /* without a gate: its activation */
} puna_experts_params;

/* A hash of the last n tokens t, newest first: all t[i] * factors[i], xor. For each n from 2 to n_gram it chooses n_each
 * rows, number h of all being row hash % count[h] + first[h]; they lie side by side. From an `end` on, and before the
 * first, all earlier tokens count as `end`. What is pointed to outlives the plan. */
enum { PUNA_NGRAM_TOKENS = 8, PUNA_NGRAM_ROWS = 64 }; /* at most */
typedef struct puna_ngram_params {
    int32_t n_gram, n_each, end, state;
    const uint64_t *factors;       /* [n_gram] */
    const uint32_t *first, *count; /* [(n_gram - 1) * n_each] */
} puna_ngram_params;

typedef struct puna_conv_params {
    puna_activation activation;
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

#endif
