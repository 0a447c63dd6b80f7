/* regex.h - regular expressions of tokenizer.json that split_pattern.c does not know by their parts, matched by
 * backtracking: the order of alternatives and greed are Oniguruma's and PCRE's. Slower than the scanners of split.c.
 * Refuses, with the place: back references, look-behind of more than one character, repeats of what may be empty,
 * properties it has no table of, programs above a size. A run that takes too many steps fails instead of going on. */
#ifndef PUNA_TOKEN_REGEX_H
#define PUNA_TOKEN_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

typedef struct puna_regex puna_regex;

/* Compiles a terminated pattern into the arena. */
puna_status puna_regex_compile(puna_arena *arena, const char *pattern, const puna_regex **out,
                               puna_error *err);

/* What one thread needs while matching. Zeroed at first; freed by puna_regex_run_free. */
typedef struct puna_regex_run {
    struct puna_regex_state *stack;
    size_t n, capacity;
    uint64_t steps;   /* since the run began */
    uint64_t allowed; /* puna_regex_allow */
    bool failed;      /* memory is out, or too many steps */
} puna_regex_run;

/* Allows the steps that a text of n bytes should need at most. */
void puna_regex_allow(puna_regex_run *run, size_t n);
void puna_regex_run_free(puna_regex_run *run);

enum { PUNA_REGEX_NONE = -1 };

/* Where the match that begins exactly at `at` of the n bytes of text ends, or PUNA_REGEX_NONE. */
ptrdiff_t puna_regex_match(const puna_regex *regex, puna_regex_run *run, const char *text, size_t n,
                           size_t at);

#endif
