/* engine.h - what the files of engine/ share: the insides of puna.h's opaque types. */
#ifndef PUNA_ENGINE_ENGINE_H
#define PUNA_ENGINE_ENGINE_H

#include <jansson.h>

#include "base/options.h"
#include "chat/jinja/jinja.h"
#include "engine/scheduler.h"
#include "gguf/container.h"
#include "model/network.h"
#include "ops/backend.h"
#include "puna.h"
#include "token/vocab.h"

struct puna_params {
    puna_option_value values[PUNA_N_OPTIONS];
    char *texts[PUNA_N_OPTIONS]; /* every value as it was given */
};

static inline int64_t puna_params_int(const puna_params *p, int key)
{
    return p->values[key].integer;
}

static inline float puna_params_float(const puna_params *p, int key)
{
    return (float)p->values[key].real;
}

struct puna_model {
    puna_container *container; /* NULL for a tokenizer file */
    puna_vocab *vocab;
    bool has_weights;
    puna_network net;          /* when has_weights, like the two below */
    const puna_backend *backend;
    puna_program *program;
    puna_program *encoder;     /* of net.encoder, or NULL */
    char *chat_template;       /* NULL: none */
    puna_template *compiled;   /* of chat_template; NULL when it does not compile, see template_error */
    puna_error template_error;
    char name[128];
    char fingerprint[17];
};

/* What a sync wants of a session, while it runs. */
typedef struct puna_request {
    bool active;
    const int32_t *tokens;
    int32_t n, from;       /* tokens wanted; held when the sync began */
    int32_t n_encoded;     /* of those wanted */
    puna_session *donor;   /* will hold the first n_donated of them: not evaluated twice; NULL: nobody */
    int32_t n_donated;
} puna_request;

/* States as they were after n_tokens, to go back to; logits: those after it, or NULL. */
typedef struct puna_checkpoint {
    int32_t n_tokens, slot;
    float *logits;
} puna_checkpoint;

enum { PUNA_CHECKPOINTS = 6 }; /* of a session */

struct puna_session {
    const puna_model *model;
    puna_scheduler *scheduler; /* shared with the sessions beside this one */
    puna_session *next;        /* in the scheduler's list */
    int32_t n_tokens;          /* evaluated */
    int32_t n_encoded;         /* tokens at the beginning that an encoder reads; 0: the model has none */
    int32_t n_logits;          /* logits are those after this many tokens; 0 = none */
    int32_t *tokens;           /* [n_ctx] */
    int32_t *blocks, n_blocks; /* [blocks of n_ctx]; held: as many as the tokens take, between calls */
    float *logits;             /* [plan.n_output], or the vector */
    int32_t slot;              /* of its states; -1: the model has none */
    puna_checkpoint checkpoints[PUNA_CHECKPOINTS]; /* by n_tokens */
    int32_t n_checkpoints;
    puna_request request;
    puna_progress_fn *progress;
    void *progress_user;
};

/* The cache's encoding for a value of kv_type; "auto" is decided by the model. Only with weights. */
puna_format puna_session_kv_format(const puna_model *model, const char *wanted);

/* Evaluates one more token; the caller knows that the context has room. Allocates nothing. */
puna_status puna_session_extend(puna_session *session, int32_t token, puna_error *err);

/* Of a model with an encoder: how many tokens are for it, those before the first that the decoder's begin with. */
int32_t puna_session_boundary(const puna_session *session, const int32_t *tokens, size_t n_tokens);

/* Everything that a caller may get wrong about tokens. */
puna_status puna_session_check(const puna_session *session, const int32_t *tokens, size_t n_tokens, puna_error *err);

/* ---- checkpoints.c: going back, where what was computed cannot be taken back by position ---------- */

/* Of the first n tokens, how many can be gone back to; with logits: so that the logits after them are there, or
 * at least one of n is left to evaluate. */
int32_t puna_session_restorable(const puna_session *session, int32_t n);
/* Notes the states of now, and the logits if they are those of now. */
void puna_session_checkpoint(puna_session *session);
/* Brings back the states after n tokens, which puna_session_restorable gave, and forgets later ones. */
void puna_session_restore(puna_session *session, int32_t n);
/* Whether the logits after n tokens are at hand, or come back with the states. */
bool puna_session_has_logits(const puna_session *session, int32_t n);
/* A slot for a session that opens; all of them for one that ends. */
puna_status puna_session_take_slot(puna_session *session, puna_error *err);
void puna_session_drop_slots(puna_session *session);

/* Drops all but the first n tokens, which puna_session_restorable gave. */
void puna_session_truncate(puna_session *session, int32_t n);

/* Takes blocks for the positions up to n, so that those from n_tokens on can be written; leaves out the
 * blocks of positions up to `donated`, a multiple of PUNA_KV_BLOCK or 0: another session will give them. On failure nothing
 * has changed. puna_session_trim gives back what was not used. */
puna_status puna_session_reserve(puna_session *session, int32_t donated, int32_t n, puna_error *err);
void puna_session_trim(puna_session *session);

/* json as text in fresh memory; takes the reference. */
puna_status puna_json_text(json_t *json, char **text, puna_error *err);

#endif
