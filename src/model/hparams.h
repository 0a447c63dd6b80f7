/* hparams.h - the numbers that shape a model, read from metadata and range-checked. Owns the keys
 * that all architectures share and the ways to read others; refuses defaults that differ by
 * architecture (those stand in descriptors). */
#ifndef PUNA_MODEL_HPARAMS_H
#define PUNA_MODEL_HPARAMS_H

#include "base/arena.h"
#include "base/toml.h"
#include "gguf/container.h"
#include "ops/plan.h"

/* What may differ from layer to layer. */
typedef struct puna_layer_hparams {
    int32_t n_head, n_head_kv, n_ff;
    int32_t window;  /* 0 = full attention */
    int32_t rotates; /* as files say it */
    bool no_rope;
    bool attends;    /* has attention; true unless the architecture says otherwise */
    bool recurrent;  /* has what puna_arch.mixer records, in place of attention or beside it */
    bool experts;    /* a mixture of experts in place of the feed-forward part, or beside it */
    float expert_limit, ff_limit; /* puna_glu_params.limit */
    int32_t indexer;              /* puna_indexer_kind */
    int32_t compress;             /* so many tokens become one key too; 0: none do */
    float act[4];                 /* puna_act_params.a */
} puna_layer_hparams;

/* Of layers with a state. */
typedef struct puna_state_hparams {
    int32_t n_taps;  /* rows that a filter sees */
    int32_t n_inner; /* width inside of the layer */
    int32_t n_state, n_group;
    int32_t n_rank;                /* heads; in Mamba, the width of what time steps are made of */
    int32_t head_dim;              /* of delta nets and RWKV, where files say it apart */
    int32_t n_in, n_x, n_channels; /* widths of projections, and of what is filtered */
    bool norm_bare;                /* what time steps, b and c are made of is normalised without weights */
    float decay_limit;             /* logarithms of decay are above it; 0: any */
    bool decay_below;              /* ssm.a is below 0 where there is a limit, too */
    float unit_eps;                /* of the norms of queries and keys; 0: norm_eps */
    int32_t rescale_every;         /* layers; 0: never */
} puna_state_hparams;
/* What a model makes of a text: logits, or vectors: one of each token (NONE), or one for all: the mean of theirs, the
 * first's, the last's. RANK: what a classifier makes of that. AUTO is a wish: as the file and the architecture say. */
typedef enum puna_pooling {
    PUNA_POOLING_OFF,
    PUNA_POOLING_NONE, /* from here on numbered as in GGUF, and one more */
    PUNA_POOLING_MEAN,
    PUNA_POOLING_CLS,
    PUNA_POOLING_LAST,
    PUNA_POOLING_RANK,
    PUNA_POOLING_AUTO
} puna_pooling;

/* Latent attention: keys and values of all heads are made of one vector. */
typedef struct puna_latent {
    int32_t n_lora, n_nope; /* of the vector; of a head without rotation */
    int32_t head_dim_k, head_dim_v;
} puna_latent;

/* What chooses the keys that a layer looks at: nothing, its own indexer, that of the last layer that has one. */
typedef enum puna_indexer_kind { PUNA_INDEXER_NONE, PUNA_INDEXER_OWN, PUNA_INDEXER_SHARED } puna_indexer_kind;

typedef struct puna_indexer {
    int32_t n_head, head_dim;
    int32_t n_lists, n_top, key_block, n_local; /* as in puna_select_params */
    puna_rope_pairing pairing;
    bool rotates_last; /* the last n_rot values of a head, not the first */
    bool pooled;       /* a block has one key, and that which has not ended is always looked at */
    float eps;         /* of its keys' layer norm */
    int32_t
        n_idle; /* more than 0: contexts up to this, the longest, have no more keys than it would choose: nobody
                          need ask it */
} puna_indexer;

/* Hyper-connections: several residual streams, from which each branch reads a sum and to which it writes. */
typedef struct puna_hyper {
    int32_t n;         /* streams; 0: one, without these */
    int32_t n_balance; /* rounds in which the matrix that mixes streams is balanced; 0: they are not mixed */
    float eps, magnitude; /* magnitude: of what is written */
    int32_t n_low;        /* what a branch reads of the streams is made through so few columns (qwen4.c) */
} puna_hyper;

/* Rows of a table by the last tokens, as in puna_ngram_params, that a layer adds to what it reads. */
typedef struct puna_ngrams {
    int32_t layer, n_gram, n_each, end;
    int32_t n_taps; /* of a filter, over every n_gram-th row */
    uint64_t factors[PUNA_NGRAM_TOKENS];
    uint32_t first[PUNA_NGRAM_ROWS], count[PUNA_NGRAM_ROWS];
} puna_ngrams;

typedef struct puna_hparams {
    int32_t n_layer, n_embd, n_ctx_train, n_vocab;
    int32_t n_encoder;     /* layers of an encoder before them; 0: none */
    int32_t decoder_start; /* the token that what is written begins with */
    int32_t
        n_predict; /* layers at the end of the file that guess tokens further ahead: not run; n_layer is without */
    int32_t head_dim_k, head_dim_v;
    int32_t head_dim_k_window, head_dim_v_window; /* on layers with a window; 0: as on others */
    float rms_eps, layer_eps, norm_eps;           /* norm_eps: that of norm_kind */
    float post_norm_eps;                          /* of norms after branches; 0: norm_eps */
    puna_norm_kind norm_kind;
    /* Positions. */
    int32_t n_rot, n_rot_window; /* the second is used on layers with a window, like the two below */
    float rope_base, rope_base_window;
    puna_rope_params rope, rope_window; /* scaling: copied per layer, base and heads filled in */
    puna_rope_pairing pairing;
    bool window_plain; /* layers with a window have no frequency factors */
    bool long_factors; /* the context is longer than the one the frequency factors called short are for */
    float alibi;
    /* Attention. */
    puna_mask mask;
    int32_t window;
    float attention_scale;             /* 0 = 1 / sqrt(head_dim_k) */
    int32_t n_buckets;                 /* of positions relative to each other */
    float attention_softcap, clamp_qkv, value_scale;
    float temperature, temperature_offset;
    int32_t temperature_length;
    bool temperature_unrotated; /* only in layers without rotation */
    /* Rows. */
    float embedding_scale, residual_scale; /* 0 = 1 */
    float logit_scale, logit_softcap;      /* 0 = 1, 0 = none */
    bool parallel;                         /* as PUNA_TRAIT_PARALLEL */
    puna_state_hparams state;
    puna_activation activation;            /* of the feed-forward part */
    /* A vector in place of logits. A default other than OFF is that of an architecture without logits. */
    puna_pooling pooling; /* never RANK: then the rows that the classifier is for */
    bool rank;
    puna_activation rank_activation;
    /* Experts. */
    int32_t n_expert, n_ff_expert, n_ff_shared;
    puna_route_params route;
    bool weight_first; /* experts' inputs are weighted, not what they make of them */
    bool early_limit;  /* expert_limit is for the gate before its activation */
    float expert_up_offset;
    bool ff_early_limit; /* the same two for dense layers and shared experts */
    float ff_up_offset;
    int32_t n_lora_q;                  /* 0: queries are made in one step */
    puna_latent latent, latent_window; /* n_lora 0: no latent attention; the second on layers with a window */
    bool absorbed; /* keys and values of heads are never made: queries go to where the vector is */
    puna_indexer indexer;
    puna_hyper hyper;
    const puna_ngrams *ngrams;     /* NULL: none */
    float rope_base_compress;      /* of layers that compress */
    int32_t n_out_group, n_lora_o; /* heads' results are projected in groups, each to so many numbers */
    int32_t n_expert_table;        /* so many layers at the beginning know a token's experts by a table */
    bool shared_mean; /* the mean of routed and shared experts, not their sum */
    /* Layers that use others' weights or keys and values. */
    int32_t n_loops;                /* times that all layers run; 0 = 1 */
    bool loops_bare;                /* without the last norm between two times */
    int32_t n_stage, n_high, n_low; /* layers of a stack, times that the high and the low one run (hrm.c) */
    int32_t n_layer_input;          /* width of what each layer gets of the model's inputs */
    int32_t n_own_kv;               /* layers from there on read the caches of the two before; 0: none do */
    int32_t n_chunk, n_ff_chunk;    /* experts that neighbours share, beside their own */
    float chunk_scale;
    puna_layer_hparams *layers;        /* [n_layer], in the arena */
} puna_hparams;

static inline int32_t puna_head_dim_k(const puna_hparams *hp, const puna_layer_hparams *l)
{
    return l->window > 0 && hp->head_dim_k_window > 0 ? hp->head_dim_k_window : hp->head_dim_k;
}

static inline int32_t puna_head_dim_v(const puna_hparams *hp, const puna_layer_hparams *l)
{
    return l->window > 0 && hp->head_dim_v_window > 0 ? hp->head_dim_v_window : hp->head_dim_v;
}

/* A file's keys of one architecture: "<arch>.<suffix>". The first mistake is kept and turns later reads into
 * no-ops, as in a plan. */
typedef struct puna_keys {
    const puna_container *container;
    const char *arch;
    const puna_toml *numbers; /* come before the container's; NULL: none */
    int32_t n_ctx;            /* that will be asked for; 0 = what the model was trained with */
    puna_pooling pooling;     /* that is asked for */
    puna_arena *arena;        /* for what is read: set by puna_hparams_read */
    puna_status status;
    puna_error error;
} puna_keys;

bool puna_key_has(const puna_keys *k, const char *suffix);

/* The number, or `absent` where there is none; outside of least .. most is a mistake. */
int32_t puna_key_int(puna_keys *k, const char *suffix, int32_t absent, int32_t least, int32_t most);
float puna_key_real(puna_keys *k, const char *suffix, float absent);
bool puna_key_flag(puna_keys *k, const char *suffix, bool absent);

/* The first n numbers of an array; false, and a mistake, when it is shorter or they are not in 0..most. */
bool puna_key_ints(puna_keys *k, const char *suffix, int32_t *values, int32_t n, int32_t most);
/* The same, whatever they are; and how many numbers a key has: 0 where it is missing. */
bool puna_key_u64s(puna_keys *k, const char *suffix, uint64_t *values, int32_t n);
uint64_t puna_key_count(const puna_keys *k, const char *suffix);
bool puna_key_text_is(const puna_keys *k, const char *suffix, const char *want);

/* Must be there. */
void puna_key_need(puna_keys *k, const char *suffix);

/* A number for all layers or an array with one for each, into a field of puna_layer_hparams. */
void puna_key_layers_int(puna_keys *k, puna_hparams *hp, const char *suffix, size_t offset, int32_t least,
                         int32_t most);
void puna_key_layers_real(puna_keys *k, puna_hparams *hp, const char *suffix, size_t offset);

/* "attention.sliding_window" (or `window`), and which layers have it: "attention.sliding_window_pattern" as flags or
 * as a period, or `period`: layers with i % n < n - 1; first_full: those with i % n != 0. A period of 1: none, 0: all. */
void puna_key_window(puna_keys *k, puna_hparams *hp, int32_t window, int32_t period, bool first_full);

/* "ssm.conv_kernel", "ssm.inner_size", "ssm.state_size", "ssm.time_step_rank" and, if it is wanted, "ssm.group_count". */
void puna_key_ssm(puna_keys *k, puna_hparams *hp, bool groups);

/* Which layers have a state in place of attention: those without heads of keys; or "attention.recurrent_layers", and
 * without it all but every period-th, by "full_attention_interval". */
void puna_key_recurrent_heads(puna_keys *k, puna_hparams *hp);
void puna_key_recurrent_layers(puna_keys *k, puna_hparams *hp, int32_t period);

/* A mistake that an architecture's own checks found: "got N, expected TEXT". */
void puna_key_mistake(puna_keys *k, const char *suffix, int32_t got, const char *expected);

/* What puna_key_experts takes where the file says nothing. */
typedef struct puna_expert_keys {
    puna_gating gating; /* 0: the file must say it */
    bool gating_key, norm_key,
        scaled; /* "expert_gating_func", "expert_weights_norm", "expert_weights_scale" are read */
    bool normalise;
    int32_t n_ff;     /* of an expert; 0: feed_forward_length / experts of a token */
    bool own_ff;      /* "expert_feed_forward_length" is read */
    bool leading;     /* "leading_dense_block_count" */
    int32_t n_shared; /* of "expert_shared_count", by the width of an expert; -1: no shared experts */
} puna_expert_keys;

/* Which layers have experts, their sizes and how they are chosen. */
void puna_key_experts(puna_keys *k, puna_hparams *hp, const puna_expert_keys *absent);

/* The width of the shared experts together: "expert_shared_feed_forward_length", or `absent`. */
void puna_key_shared(puna_keys *k, puna_hparams *hp, int32_t absent);

/* Scaling of positions by YaRN with an architecture's own names and numbers. log_multiplier 0: none. */
void puna_key_yarn(puna_keys *k, puna_hparams *hp, float beta_fast, float beta_slow, float log_multiplier);

/* "rope.dimension_sections", where text's positions do not turn the pairs of the fourth; false where there are none. */
bool puna_key_sections(puna_keys *k, puna_hparams *hp);

/* The keys that all architectures have. hp comes with the architecture's defaults in place of keys that are
 * absent. Errors name the key, what it is and what it may be. */
void puna_hparams_read(puna_hparams *hp, puna_keys *keys, puna_arena *arena);

#endif
