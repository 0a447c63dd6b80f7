/* status.h - how failures travel: a puna_status returned, a puna_error filled.
 * Owns the one function that writes messages and the macro that forwards them. */
#ifndef PUNA_BASE_STATUS_H
#define PUNA_BASE_STATUS_H

#include "puna.h"

#if defined(__GNUC__)
#define PUNA_PRINTF(fmt_index, first) __attribute__((format(printf, fmt_index, first)))
#else
#define PUNA_PRINTF(fmt_index, first)
#endif

/* Fills err (which may be NULL) with a one-line message and an empty hint; returns code, so
 * that a failing function ends in `return puna_fail(err, PUNA_ERR_FORMAT, "...")`. Control
 * bytes in the formatted text are replaced by '?': names from files reach terminals. */
puna_status puna_fail(puna_error *err, puna_status code, const char *format, ...) PUNA_PRINTF(3, 4);

/* Sets the hint of an error already filled (may be NULL); returns its code. */
puna_status puna_hint(puna_error *err, puna_status code, const char *format, ...) PUNA_PRINTF(3, 4);

/* The message for a failed allocation of size_bytes for `what`. */
puna_status puna_fail_memory(puna_error *err, const char *what, size_t size_bytes);

#define TRY(expr)                                   \
    do {                                            \
        puna_status try_status_ = (expr);           \
        if (try_status_ != PUNA_OK)                 \
            return try_status_;                     \
    } while (0)

#endif
