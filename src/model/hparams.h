/* hparams.h - the numbers that shape a model, read from metadata and range-checked. Owns the
 * table of keys; refuses defaults that differ by architecture (those stand in descriptors). */
#ifndef PUNA_MODEL_HPARAMS_H
#define PUNA_MODEL_HPARAMS_H

#include "base/arena.h"
#include "gguf/container.h"
#include "ops/plan.h"

/* What may differ from layer to layer. */
typedef struct puna_layer_hparams {
    int32_t n_head, n_head_kv, n_ff;
    int32_t window;  /* 0 = full attention */
} puna_layer_hparams;

typedef struct puna_hparams {
    int32_t n_layer, n_embd, n_ctx_train, n_vocab;
    int32_t head_dim_k, head_dim_v;
    float norm_eps;
    puna_norm_kind norm_kind;
    int32_t n_rot;
    float rope_base, rope_base_window; /* the second is used on layers with a window */
    puna_rope_params rope;             /* scaling: copied per layer, base and heads filled in */
    float rope_scale_window;
    int32_t window, window_pattern;    /* pattern n: layers with i % n < n - 1 have the window; 0: none has */
    float attention_scale;             /* 0 = 1 / sqrt(head_dim_k) */
    float attention_softcap, logit_softcap, logit_scale, embedding_scale;
    int32_t n_expert;
    puna_layer_hparams *layers;        /* [n_layer], in the arena */
} puna_hparams;

/* Reads "<arch>.<key>" for every key of the table. hp comes with the architecture's defaults in
 * place of keys that are absent. Errors name the key, what it is and what it may be. */
puna_status puna_hparams_read(puna_hparams *hp, const puna_container *container, const char *arch,
                              puna_arena *arena, puna_error *err);

#endif
