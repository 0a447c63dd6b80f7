/* puna.h - the public interface of libpuna, and the only header a program needs.
 *
 *   puna_error err = { PUNA_OK, "", "" };
 *   puna_params *params = puna_params_new();
 *   puna_model *model = NULL;
 *   puna_session *session = NULL;
 *   puna_params_set(params, "ctx", "4096", &err);
 *   if (puna_model_open(&model, "model.gguf", params, &err) ||
 *       puna_session_open(&session, model, params, &err))
 *       fprintf(stderr, "%s\n", err.message);
 *
 * Two nouns: a puna_model (immutable after opening, may be shared by threads) and a
 * puna_session (one token timeline; one thread at a time). Everything that can fail returns
 * a puna_status and fills an optional puna_error. The library never prints, exits or aborts.
 * This header compiles alone as C99, C11, C17 and C++17.
 */
#ifndef PUNA_H
#define PUNA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PUNA_API __attribute__((visibility("default")))
#else
#define PUNA_API
#endif

/* ---- Status and errors ------------------------------------------------------------- */

/* Values 0 to 5 are also the exit codes of the command line. */
typedef enum puna_status {
    PUNA_OK = 0,
    PUNA_ERR_FAILED = 1,       /* an operation failed (I/O, system) */
    PUNA_ERR_ARGUMENT = 2,     /* the caller's argument or option is wrong */
    PUNA_ERR_NOT_FOUND = 3,    /* no such model, file, token, key */
    PUNA_ERR_FORMAT = 4,       /* the file is malformed or of a kind not supported */
    PUNA_ERR_MEMORY = 5,       /* out of memory */
    PUNA_ERR_CONTEXT = 6,      /* more tokens than the context holds */
    PUNA_ERR_INTERRUPTED = 7   /* a callback asked to stop */
} puna_status;

/* What went wrong. Owned by the caller, filled on failure, always terminated. Pass NULL when
 * only the status matters. */
typedef struct puna_error {
    puna_status code;
    char message[512]; /* one line: WHAT: WHERE: got X, expected Y */
    char hint[192];    /* one command or sentence to try, or "" */
} puna_error;

typedef struct puna_params puna_params; /* see Parameters, below */

/* ---- Versions and descriptions ------------------------------------------------------ */

/* "0.1.0". Static. */
PUNA_API const char *puna_version(void);
/* Grows when functions are added; nothing is removed or changed within a major version. */
PUNA_API int puna_api_version(void);

/* What this build and machine offer, as one JSON document in fresh memory (puna_free). Topics:
 * "formats" (architectures, containers, encodings), "options", "machine" (processor, ISA, topology,
 * threads and why, memory, huge pages), "limits" (measured for about a second: read bandwidth, int8
 * rate). params: the isa and threads to describe, NULL for the defaults. */
PUNA_API puna_status puna_describe(const char *topic, const puna_params *params, char **json, puna_error *err);

/* Frees what a function of this header handed out as "fresh memory". NULL is allowed. */
PUNA_API void puna_free(void *memory);

/* ---- Parameters --------------------------------------------------------------------- */

/* A set of options by key. Unknown keys and values out of range are PUNA_ERR_ARGUMENT, with the
 * nearest key as the hint. "puna help options" lists all keys. '-' and '_' are the same. */

/* Every option at its default, then the environment's PUNA_<KEY> where set. NULL: out of memory. */
PUNA_API puna_params *puna_params_new(void);
PUNA_API void puna_params_free(puna_params *params);
PUNA_API puna_status puna_params_set(puna_params *params, const char *key, const char *value, puna_error *err);
/* The value of a key as text, owned by params until the next set of that key; NULL: no such key. */
PUNA_API const char *puna_params_get(const puna_params *params, const char *key);

/* ---- Models ------------------------------------------------------------------------- */

/* Immutable once open; any number of threads and sessions may share one. */
typedef struct puna_model puna_model;

/* Opens a model file (GGUF, split GGUF, llama2.c), a tokenizer (tokenizer.json, tokenizer.model),
 * a folder with a tokenizer, or "builtin:stories260K". params may be NULL. On success the caller owns *out;
 * it must outlive its sessions. */
PUNA_API puna_status puna_model_open(puna_model **out, const char *path, const puna_params *params,
                                     puna_error *err);
/* The same for the bytes of a model file, which must stay as they are until puna_model_free. `name` is used in
 * messages. */
PUNA_API puna_status puna_model_open_memory(puna_model **out, const void *data, size_t size_bytes, const char *name,
                                            const puna_params *params, puna_error *err);
PUNA_API void puna_model_free(puna_model *model);

/* A JSON document in fresh memory. Topics: "summary" (architecture, parameters, bytes, encoding
 * mix, context, memory for a context), "metadata", "tensors". */
PUNA_API puna_status puna_model_describe(const puna_model *model, const char *topic, char **json,
                                         puna_error *err);

PUNA_API const char *puna_model_name(const puna_model *model);        /* general.name or the file's */
PUNA_API const char *puna_model_fingerprint(const puna_model *model); /* 16 hex digits of directory and weights */
PUNA_API int32_t puna_model_n_vocab(const puna_model *model);         /* width of the logits; of the vocabulary when it has no weights */
PUNA_API int32_t puna_model_n_ctx_train(const puna_model *model);
/* How many numbers the vector has that this model gives for a text in place of logits; 0: it gives logits. Encoders and
 * files that say how they are pooled give vectors; the option `pooling` decides otherwise. Syncing texts of several
 * sessions at once (puna_sessions_sync) is the way to many vectors. */
PUNA_API int32_t puna_model_n_embedding(const puna_model *model);
PUNA_API int puna_model_has_weights(const puna_model *model);
/* The chat template's source, or NULL when the model has none. Owned by the model. */
PUNA_API const char *puna_model_chat_template(const puna_model *model);

/* Makes up a model for measuring, as the bytes of a GGUF file handed out in order: `recipe` is SHAPE:FORMAT, such as
 * "llama-1b:q4_k_m" or "layers=4,embd=512,ff=1024,heads=8:q8_0"; puna_describe("formats") lists the names. Weights
 * are random, the same on every machine. size_bytes is that of the whole file; non-zero stops with PUNA_ERR_INTERRUPTED. */
typedef int puna_bytes_fn(void *user, const void *bytes, size_t n, uint64_t size_bytes);
PUNA_API puna_status puna_synthesize(const char *recipe, puna_bytes_fn *each, void *user, puna_error *err);

/* ---- Tokens ------------------------------------------------------------------------- */

enum {
    PUNA_TOKENS_ADD_SPECIAL = 1,  /* begin/end tokens as the model's metadata says; behind a text for an encoder, the token
                                     with which its decoder begins to write: tokens before the first of those are encoded */
    PUNA_TOKENS_PARSE_SPECIAL = 2 /* special tokens in the text are read as such, not as text */
};

/* n bytes of text (need not be terminated or valid UTF-8) to ids in fresh memory. */
PUNA_API puna_status puna_tokenize(const puna_model *model, const char *text, size_t n, unsigned flags,
                                   int32_t **tokens, size_t *n_tokens, puna_error *err);
/* ids to exactly the bytes they stand for, in fresh memory, terminated (the terminator is not
 * counted). special != 0 writes special tokens as their text, else they are left out. */
PUNA_API puna_status puna_detokenize(const puna_model *model, const int32_t *tokens, size_t n_tokens,
                                     int special, char **text, size_t *n, puna_error *err);
/* The bytes of one token as they stand inside a text (special tokens as their text), in fresh memory. */
PUNA_API puna_status puna_token_piece(const puna_model *model, int32_t token, char **text, size_t *n,
                                      puna_error *err);
/* The id of a role ("bos", "eos", "eot", "unk", "pad", "sep", "cls", "mask"); -1 when there is none. */
PUNA_API int32_t puna_token_of_role(const puna_model *model, const char *role);
/* Whether the token ends a reply. */
PUNA_API int puna_token_is_end(const puna_model *model, int32_t token);

/* ---- Chat --------------------------------------------------------------------------- */

typedef struct puna_message {
    const char *role;    /* "system", "user", "assistant", "tool" */
    const char *content; /* UTF-8 */
} puna_message;

/* Renders messages through the model's chat template to the text of a prompt (tokenize it with
 * PUNA_TOKENS_PARSE_SPECIAL, and without ADD_SPECIAL when it begins with the begin token's text).
 * add_generation_prompt != 0 ends it where the assistant's reply begins. PUNA_ERR_NOT_FOUND when
 * the model has no template. */
PUNA_API puna_status puna_chat_prompt(const puna_model *model, const puna_message *messages, size_t n_messages,
                                      int add_generation_prompt, char **text, size_t *n, puna_error *err);

/* Renders any template over a JSON object. now: seconds since 1970 for strftime_now, -1 = the clock's. */
PUNA_API puna_status puna_template_run(const char *source, const char *context_json, int64_t now, char **text,
                                       size_t *n, puna_error *err);
/* What a template uses and where it fails, as JSON. */
PUNA_API puna_status puna_template_inspect(const char *source, char **json, puna_error *err);

/* ---- Sessions ----------------------------------------------------------------------- */

/* One token timeline over a model. One thread at a time; other sessions are independent. */
typedef struct puna_session puna_session;

PUNA_API puna_status puna_session_open(puna_session **out, const puna_model *model, const puna_params *params,
                                       puna_error *err);
/* A further session with the options of `first`, sharing its threads and cache memory: what many at once
 * need (puna_sessions_sync). Together they hold ctx_total tokens, each at most ctx; where their tokens begin
 * alike, those count and are evaluated once. Sessions beside each other belong to one thread at a time, all of
 * them; any may be freed first. */
PUNA_API puna_status puna_session_open_beside(puna_session **out, puna_session *first, puna_error *err);
PUNA_API void puna_session_free(puna_session *session);
PUNA_API int32_t puna_session_n_ctx(const puna_session *session);

/* Makes the session's state equal to having evaluated exactly these tokens: what it already holds
 * of them is kept, the rest is dropped or evaluated. Afterwards puna_session_logits is that of the
 * last token. PUNA_ERR_CONTEXT when n_tokens exceeds the context: nothing is truncated, and the
 * state is unchanged. On any other failure the state is a shorter, valid prefix. */
PUNA_API puna_status puna_session_sync(puna_session *session, const int32_t *tokens, size_t n_tokens,
                                       puna_error *err);
/* The same for n_sessions sessions opened beside each other at once: sessions[i] is to hold tokens[i][n_tokens[i]].
 * What they lack is evaluated in common batches, one pass over the weights for all: the way to advance many
 * texts by a token each, or to read a prompt meanwhile. PUNA_ERR_CONTEXT as above, for the list of any. PUNA_ERR_MEMORY
 * when the shared cache has no room: nothing is evaluated, and each keeps what it has in common with
 * its list; free or shorten another session, and try again. On any other failure each is a shorter, valid prefix. */
PUNA_API puna_status puna_sessions_sync(puna_session *const *sessions, const int32_t *const *tokens,
                                        const size_t *n_tokens, size_t n_sessions, puna_error *err);
/* Called between batches of a long prompt with how much of it is evaluated; non-zero stops with
 * PUNA_ERR_INTERRUPTED, keeping what is done. fn NULL: none. */
typedef int puna_progress_fn(void *user, size_t n_done, size_t n_total);
PUNA_API void puna_session_set_progress(puna_session *session, puna_progress_fn *fn, void *user);

/* The tokens held; owned by the session, valid until its next call. */
PUNA_API const int32_t *puna_session_tokens(const puna_session *session, size_t *n_tokens);
/* Logits [n_vocab] after the last token; NULL when there is none. Valid until the next call. */
PUNA_API const float *puna_session_logits(const puna_session *session);
/* Of a model that gives vectors: that of the tokens held, [puna_model_n_embedding], as it is, not brought to length 1; NULL
 * when there is none. Valid until the next call. */
PUNA_API const float *puna_session_embedding(const puna_session *session);

/* Like sync from an empty state, and calls `each` with the logits [n_vocab] (or the vector) after every token,
 * in order; non-zero from it stops with PUNA_ERR_INTERRUPTED. */
typedef int puna_logits_fn(void *user, size_t position, const float *logits);
PUNA_API puna_status puna_session_each(puna_session *session, const int32_t *tokens, size_t n_tokens,
                                       puna_logits_fn *each, void *user, puna_error *err);

/* The k most probable of n logits as log-probabilities, most probable first. Returns how many
 * were written: min(k, n). tokens[k] and logprobs[k] are the caller's. */
PUNA_API size_t puna_top_logprobs(const float *logits, size_t n, size_t k, int32_t *tokens, float *logprobs);
/* log-probability of one token of n logits. */
PUNA_API float puna_logprob(const float *logits, size_t n, int32_t token);

/* A JSON document in fresh memory. Topics: "cache" (what a position costs), "profile" (with the option profile on: the
 * time, bytes and multiply-adds of every step since the last such call). */
PUNA_API puna_status puna_session_describe(puna_session *session, const char *topic, char **json, puna_error *err);

/* The whole state as bytes in fresh memory, and back. Loading checks the model's fingerprint and
 * every length; on failure the session is empty. */
PUNA_API puna_status puna_session_save(const puna_session *session, void **data, size_t *size_bytes, puna_error *err);
PUNA_API puna_status puna_session_load(puna_session *session, const void *data, size_t size_bytes, puna_error *err);

/* ---- Generating --------------------------------------------------------------------- */

/* Draws the token to follow from the session's logits, and changes nothing: sync with it appended goes on. params: the
 * REQUEST options, NULL for the defaults. A seed gives the same token after the same number of tokens
 * for the same logits. Allocates nothing when params is given. */
PUNA_API puna_status puna_session_sample(puna_session *session, const puna_params *params, int32_t *token,
                                         puna_error *err);

typedef enum puna_finish {
    PUNA_FINISH_STOP = 0,       /* the model ended */
    PUNA_FINISH_LENGTH = 1,     /* n_predict or the context is reached */
    PUNA_FINISH_INTERRUPTED = 2 /* the callback asked to stop */
} puna_finish;

typedef struct puna_result {
    puna_finish finish;
    int32_t n_tokens;      /* sampled, the end token included */
    double first_token_ms; /* from the call to the first sampled token */
    double decode_ms;      /* from the first sampled token to the last */
} puna_result;

/* Called for each sampled token (the end token excepted) with the text that became complete by
 * it: text[n] never splits a UTF-8 sequence and may be empty; at the end once more with token -1 and what
 * was held back, if anything was. Non-zero stops. */
typedef int puna_text_fn(void *user, int32_t token, const char *text, size_t n);

/* Samples from the session's state on until the model ends, n_predict tokens, or the context is
 * full. Every sampled token but the last is evaluated: the next sync picks up from there. The
 * session must hold logits (after a sync). params: the REQUEST options, NULL for the defaults.
 * `each` may be NULL. The result is filled in whatever happens. Allocates nothing per token. */
PUNA_API puna_status puna_generate(puna_session *session, const puna_params *params, puna_text_fn *each,
                                   void *user, puna_result *result, puna_error *err);

#ifdef __cplusplus
}
#endif
#endif /* PUNA_H */
