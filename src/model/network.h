/* network.h - a model's weights bound to names, and the plan recorded over them. Owns binding
 * and building; refuses files (gguf/), tokens (token/) and computing (backends). Immutable. */
#ifndef PUNA_MODEL_NETWORK_H
#define PUNA_MODEL_NETWORK_H

#include "model/hparams.h"
#include "model/sets.h"

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

/* What hyper-connections have for a branch: a matrix that reads all streams, and what is done to its results. */
typedef struct puna_hyper_tensors {
    const puna_tensor *fn, *base, *scale;
} puna_hyper_tensors;

/* The same in other hyper-connections (qwen4.c): what a branch reads goes through few columns. */
typedef struct puna_hyper_low {
    const puna_tensor *norm, *down, *up, *inject;
} puna_hyper_low;

/* What a layer does with rows by the last tokens. */
typedef struct puna_ngram_tensors {
    const puna_tensor *key, *value, *norm_key, *norm_query, *norm_conv, *conv;
} puna_ngram_tensors;

/* What makes one vector of a block of tokens (DeepSeek-V4). */
typedef struct puna_compressor {
    const puna_tensor *kv, *gate, *positions, *norm;
} puna_compressor;

/* Weights of one layer of a decoder; NULL when the architecture or the file has none. */
typedef struct puna_layer {
    const puna_tensor *attn_norm, *attn_norm_bias, *attn_norm_2, *attn_norm_2_bias;
    const puna_tensor *wq, *wk, *wv, *bq, *bk, *bv, *sq, *sk, *sv; /* weights, biases, scales */
    const puna_tensor *wqkv, *bqkv, *sqkv;
    const puna_tensor *q_norm, *q_norm_bias, *k_norm, *k_norm_bias, *sinks, *attn_sub_norm, *attn_gate;
    const puna_tensor *wo, *bo, *so, *attn_post_norm, *attn_post_norm_bias;
    const puna_tensor *ffn_norm, *ffn_norm_bias, *ffn_sub_norm, *ffn_post_norm, *ffn_post_norm_bias,
        *ffn_act_scale;
    const puna_tensor *ffn_gate, *ffn_gate_bias, *ffn_gate_scale, *ffn_up, *ffn_up_bias, *ffn_up_scale;
    const puna_tensor *ffn_gate_up, *ffn_gate_up_bias, *ffn_down, *ffn_down_bias, *ffn_down_scale;
    const puna_tensor *router, *router_bias, *choice_bias, *expert_norm, *expert_gate_up;
    puna_experts experts, chunk_experts;
    const puna_tensor *latent_down, *latent_up; /* around experts */
    puna_ssm ssm;
    puna_delta delta;
    puna_rwkv rwkv;
    const puna_tensor *shared_gate, *shared_gate_scale, *shared_up, *shared_up_scale, *shared_gate_up, *shared_down,
        *shared_down_scale, *shared_weight;
    const puna_tensor *q_a, *q_a_norm, *q_b, *kv_a, *kv_a_norm, *kv_b, *k_b, *v_b; /* of latent attention */
    puna_hyper_tensors hyper_attn, hyper_ffn;
    puna_hyper_low hyper_low_attn, hyper_low_ffn;
    puna_ngram_tensors ngram;
    const puna_tensor *wo_a, *expert_table;
    puna_compressor compressor, index_compressor;
    const puna_tensor *index_q, *index_q_norm, *index_k, *index_k_norm, *index_k_norm_bias, *index_weights;
    const puna_tensor *router_scale, *ffn_pre_norm_2, *ffn_post_norm_1, *ffn_post_norm_2, *layer_scale;
    const puna_tensor *input_gate, *input_proj, *input_post_norm; /* for its share of the model's inputs */
    const puna_tensor *altup_router, *altup_router_norm, *altup_predict, *altup_correct, *altup_correct_scale;
    const puna_tensor *laurel_l, *laurel_r, *laurel_post_norm;
    const puna_tensor *buckets, *cross_norm, *cross_q, *cross_k, *cross_v, *cross_o;
} puna_layer;

typedef struct puna_arch puna_arch;

typedef struct puna_network {
    const puna_arch *arch;
    puna_hparams hp;
    const puna_tensor *embedding, *embedding_norm, *embedding_norm_bias, *positions, *token_types;
    const puna_tensor *output_norm, *output_norm_bias, *output, *output_bias;
    const puna_tensor *rope_factors, *rope_long, *rope_short;
    puna_hyper_tensors hyper_head;
    puna_hyper_low hyper_low_head;
    const puna_tensor *ngram_table;
    const puna_tensor *layer_embedding, *layer_proj, *layer_proj_norm; /* inputs of all layers side by side */
    const puna_tensor *altup_proj, *altup_unembd, *low_init;
    const puna_tensor *head, *head_bias, *head_norm, *head_output, *head_output_bias, *dense_2, *dense_3;
    puna_layer *layers;
    puna_value selected; /* keys that the last layer with an indexer chose; -1: none did. While recording */
    puna_plan plan;
    puna_value first_v; /* what the first layer made and others read, where there is such (rwkv.c) */
    /* Of models that read a text before they write one: what reads it, over the same caches; without nodes: none. */
    const puna_tensor *encoder_norm;
    puna_layer *encoder_layers;
    puna_plan encoder;
    uint64_t n_parameters;
    uint32_t n_unused; /* tensors of the file that nothing reads */
    const char *unused; /* the first of them, or NULL */
    puna_arena arena;
} puna_network;

enum { /* traits of the shared decoder: each is needed by two architectures or more */
    PUNA_TRAIT_EMBEDDING_SQRT = 1 << 0, /* embeddings times sqrt(n_embd) */
    PUNA_TRAIT_PARALLEL = 1 << 1,       /* both branches read the layer's input; without a norm of its own, the second
                                           reads the first's */
    PUNA_TRAIT_BARE_NORMS = 1 << 2,     /* norms without weights */
    PUNA_TRAIT_QK_NORM_LATE = 1 << 3,   /* q and k are normalised after they are rotated */
    PUNA_TRAIT_DENSE_TOO = 1 << 4,      /* layers with experts have the other feed-forward tensors too */
    PUNA_TRAIT_PARTS = 1 << 5,          /* a layer may lack attention (no heads) or the feed-forward part (no width) */
    PUNA_TRAIT_ALL_ROWS = 1 << 6,       /* the feed-forward part has a state: the last layer runs for all rows */
};

/* A tensor that an architecture's files call otherwise. */
typedef struct puna_alias {
    /* "post_attention_norm.weight" for "ffn_norm.weight", of several the first in the file; {} in it: the layer's
     * number, in place of "blk.N." */
    const char *name, *of;
} puna_alias;

/* The smallest random model of an architecture, for the tests that run every one. */
typedef struct puna_tiny {
    int32_t n_layer, n_embd, n_head, n_head_kv, head_dim, n_ff, n_vocab, window;
} puna_tiny;

struct puna_arch {
    const char *name;
    puna_rope_pairing pairing;
    puna_activation activation;
    puna_activation attn_gate; /* of attn_gate.weight; of delta nets, too */
    uint32_t traits;
    puna_hparams defaults;     /* what absent keys mean */
    puna_sets needs, may;      /* tensors; those of experts in layers that have any */
    puna_sets never;           /* of PUNA_SETS_ALWAYS: not read if they are there */
    const char *blocks, *encoder_blocks; /* what layers are called; NULL: "blk", and none */
    const puna_alias *aliases; /* ended by a NULL name; may be NULL */
    /* After the shared keys: those of the architecture. May be NULL. */
    void (*adjust)(puna_hparams *hp, puna_keys *keys);
    /* What a layer's branches compute, where it is not what build.c says. h: the branch's normalised input. */
    puna_value (*attention)(puna_network *net, puna_value h, int32_t il);
    /* In layers with a state, in place of attention: what goes through ssm.out; where the layer attends too, the sum of
     * both branches. */
    puna_value (*mixer)(puna_network *net, puna_value h, int32_t il);
    /* x: what the layer began with, y: what attention left, both without norm. */
    puna_value (*feed_forward)(puna_network *net, puna_value h, puna_value x, puna_value y, int32_t il);
    void (*build)(puna_network *net); /* NULL: puna_build_decoder */
    puna_tiny tiny;
};

/* The descriptor of a general.architecture value, or NULL. */
const puna_arch *puna_arch_find(const char *name, size_t n);
const puna_arch *puna_arch_at(size_t i); /* in arch.def's order; NULL past the end */

/* Binds and records, for contexts of n_ctx tokens (0: as the model was trained) and for logits or
 * vectors, as the file at arch_file describes
 * (NULL or "": as the container's architecture is known). The container outlives the network. */
puna_status puna_network_open(puna_network *net, const puna_container *container, const char *arch_file,
                              int32_t n_ctx, puna_pooling pooling, puna_error *err);
/* The same with a descriptor, and numbers in place of metadata (NULL: none), which outlive the network too. */
puna_status puna_network_open_as(puna_network *net, const puna_container *container, const puna_arch *arch,
                                 const puna_toml *numbers, int32_t n_ctx, puna_pooling pooling,
                                 puna_error *err);
void puna_network_close(puna_network *net);

/* Binds every tensor that the architecture names. */
puna_status puna_network_bind(puna_network *net, const puna_container *container, puna_error *err);

/* Whether tensors.def has a tensor of that name. */
bool puna_tensor_is_known(const char *name);

/* Calls for every tensor that a file of an architecture with these numbers may have, those that stand in place of
 * others too: name and shape; 0 where any size goes. */
typedef void puna_shape_fn(void *user, const char *name, const uint64_t ne[3]);
void puna_arch_shapes(const puna_arch *arch, const puna_hparams *hp, puna_shape_fn *each, void *user);

/* Whether a layer of the file has a tensor. */
bool puna_key_tensor(const puna_keys *k, int32_t layer, const char *name);

/* ---- parts of a decoder, for those that build their own -------------------------------------- */

/* Records the decoder with the traits of net->arch into net->plan. */
void puna_build_decoder(puna_network *net);

/* n values of a tensor that no file has, in the network's memory; NULL sets the plan's error. */
puna_tensor *puna_build_vector(puna_network *net, uint64_t n);
/* Each value of w n times. */
const puna_tensor *puna_build_repeated(puna_network *net, const puna_tensor *w, int32_t n);

/* Once the last layer has attended: the rows that are still needed. The mean needs all to the end. */
puna_value puna_build_needed_rows(puna_network *net, puna_value x);
/* The end of a plan: logits of normalised rows, or the vector that the model makes of them. */
void puna_build_end(puna_network *net, puna_value x);
puna_value puna_build_norm(puna_network *net, puna_value x, const puna_tensor *weight,
                           const puna_tensor *bias);
/* scale W x + bias; scale and bias may be NULL. */
puna_value puna_build_linear(puna_network *net, puna_value x, const puna_tensor *w, const puna_tensor *scale,
                             const puna_tensor *bias);
/* Of tokens, and of types and positions where they are learned, scaled and normalised. */
puna_value puna_build_embed(puna_network *net);
/* A layer of the shared decoder; after the last only rows that are needed are left. */
puna_value puna_build_layer(puna_network *net, puna_value x, int32_t il, bool last);
/* The last norm and the end. */
void puna_build_output(puna_network *net, puna_value x);
/* Rotated as the layer's positions are; n_head heads of head_dim values. */
puna_value puna_build_rope(puna_network *net, puna_value x, int32_t il, int32_t n_head, int32_t head_dim);
puna_value puna_build_rope_paired(puna_network *net, puna_value x, int32_t il, int32_t n_head,
                                  int32_t head_dim, puna_rope_pairing pairing, int32_t block);
/* Attention of a layer, up to its output matrix; and with it. */
puna_value puna_build_attention(puna_network *net, puna_value h, int32_t il);
puna_value puna_build_attention_out(puna_network *net, puna_value h, int32_t il);
/* Queries, keys and values of a layer's own kind, rotated, to what the heads saw: without the output matrix. */
puna_value puna_build_attend(puna_network *net, puna_value q, puna_value k, puna_value v, int32_t il);
/* Its two halves: a cache as layer il needs, and attention over one that some layer has filled. */
int32_t puna_build_cache(puna_network *net, int32_t il);
puna_value puna_build_attend_over(puna_network *net, puna_value q, int32_t cache, int32_t il);
/* The feed-forward part without experts, and that with. */
puna_value puna_build_dense(puna_network *net, puna_value h, int32_t il);
puna_value puna_build_experts(puna_network *net, puna_value h, puna_value scores, int32_t il);
puna_value puna_build_shared(puna_network *net, puna_value h, int32_t il); /* the expert of all tokens */
puna_value puna_build_feed_forward(puna_network *net, puna_value h, int32_t il);

/* ---- latent attention ------------------------------------------------------------------------ */

/* What a file must say of it: sizes of vectors and heads, and how the tensors are laid out. */
typedef struct puna_latent_keys {
    bool no_lora_q;          /* queries are made in one step */
    bool expanded, absorbed; /* layouts that the architecture's files may have */
    bool window;             /* layers with a window have sizes of their own */
} puna_latent_keys;
void puna_key_latent(puna_keys *k, puna_hparams *hp, const puna_latent_keys *may);

/* The indexer of layers with attention over chosen keys; in most files all have one: `types` says which otherwise. */
void puna_key_indexer(puna_keys *k, puna_hparams *hp, puna_rope_pairing pairing, float eps);

/* The keys that the layer may look at; -1: all. Queries of the indexer are made of `from`. */
puna_value puna_build_select(puna_network *net, puna_value h, puna_value from, int32_t il);

/* For puna_arch.attention. */
puna_value puna_build_latent(puna_network *net, puna_value h, int32_t il);

/* ---- delta nets ------------------------------------------------------------------------------ */

/* For puna_arch.adjust of those with experts. */
void puna_key_delta_experts(puna_hparams *hp, puna_keys *k);
/* For puna_arch.attention: the query's matrix makes a gate for what each head saw, too. */
puna_value puna_build_gated_attention(puna_network *net, puna_value h, int32_t il);
/* For puna_arch.mixer. */
puna_value puna_build_delta_net(puna_network *net, puna_value h, int32_t il);

/* ---- hyper-connections ----------------------------------------------------------------------- */

/* "hyper_connection.*". */
void puna_key_hyper(puna_keys *k, puna_hparams *hp);

/* For puna_arch.build: a decoder with several residual streams, of the architecture's own attention and mixer and
 * build.c's feed-forward part; without a head that weighs the streams, their mean is its result. */
void puna_build_hyper(puna_network *net);

#endif
