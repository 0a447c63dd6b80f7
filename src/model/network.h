/* network.h - a model's weights bound to names, and the plan recorded over them. Owns binding
 * and building; refuses files (gguf/), tokens (token/) and computing (backends). Immutable. */
#ifndef PUNA_MODEL_NETWORK_H
#define PUNA_MODEL_NETWORK_H

#include "model/hparams.h"

/* Weights of one layer of a decoder; NULL when the architecture or the file has none. */
typedef struct puna_layer {
    const puna_tensor *attn_norm, *wq, *wk, *wv, *wo;
    const puna_tensor *bq, *bk, *bv, *bo;
    const puna_tensor *q_norm, *k_norm, *attn_post_norm;
    const puna_tensor *ffn_norm, *ffn_gate, *ffn_up, *ffn_down, *ffn_post_norm;
} puna_layer;

typedef struct puna_arch puna_arch;

typedef struct puna_network {
    const puna_arch *arch;
    puna_hparams hp;
    const puna_tensor *embedding, *output_norm, *output, *rope_factors;
    puna_layer *layers;
    puna_plan plan;
    uint64_t n_parameters;
    uint32_t n_unused; /* tensors of the file that nothing reads */
    const char *unused; /* the first of them, or NULL */
    puna_arena arena;
} puna_network;

/* Names of the tensor shapes' dimensions, resolved for each layer. */
typedef enum puna_dim {
    PUNA_DIM_ONE,
    PUNA_DIM_EMBD,
    PUNA_DIM_VOCAB,
    PUNA_DIM_Q,      /* n_head * head_dim_k */
    PUNA_DIM_K,      /* n_head_kv * head_dim_k */
    PUNA_DIM_V,      /* n_head_kv * head_dim_v */
    PUNA_DIM_O,      /* n_head * head_dim_v */
    PUNA_DIM_HEAD,   /* head_dim_k */
    PUNA_DIM_FF,
    PUNA_DIM_ROT     /* n_rot / 2 */
} puna_dim;

/* Where a tensor goes and what shape it must have. PUNA_DIM_ONE in dims[1] makes it a vector,
 * which is bound as F32 whatever its encoding. */
typedef struct puna_binding {
    const char *name;  /* without "blk.N." for layers */
    size_t offset;     /* in puna_network or puna_layer */
    puna_dim dims[2];
    bool required;
} puna_binding;

enum { /* traits of the shared decoder: each is needed by two architectures or more */
    PUNA_TRAIT_EMBEDDING_SQRT = 1 << 0, /* embeddings times sqrt(n_embd) */
};

/* The smallest random model of an architecture, for the tests that run every one. */
typedef struct puna_tiny {
    int32_t n_layer, n_embd, n_head, n_head_kv, head_dim, n_ff, n_vocab, window;
} puna_tiny;

struct puna_arch {
    const char *name;
    puna_rope_pairing pairing;
    puna_activation activation;
    uint32_t traits;
    puna_hparams defaults;               /* what absent keys mean */
    const puna_binding *layer;           /* ended by a NULL name */
    void (*adjust)(puna_hparams *hp);    /* after reading; may be NULL */
    void (*build)(puna_network *net);    /* NULL: puna_build_decoder */
    puna_tiny tiny;
};

/* The descriptor of a general.architecture value, or NULL. */
const puna_arch *puna_arch_find(const char *name, size_t n);
const puna_arch *puna_arch_at(size_t i); /* in arch.def's order; NULL past the end */

/* Binds and records. The container outlives the network. */
puna_status puna_network_open(puna_network *net, const puna_container *container, puna_error *err);
void puna_network_close(puna_network *net);

/* Binds every tensor that the architecture names. */
puna_status puna_network_bind(puna_network *net, const puna_container *container, puna_error *err);

/* Records the dense decoder with the traits of net->arch into net->plan. */
void puna_build_decoder(puna_network *net);

#endif
