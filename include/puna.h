/* puna.h - the public interface of libpuna, and the only header a program needs.
 *
 *   puna_error err = {0};
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

#ifdef __cplusplus
}
#endif
#endif /* PUNA_H */
