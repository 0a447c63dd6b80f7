/* options.h - the table of options.def, and the one way to look a key up and read a value.
 * Owns names, ranges and messages; refuses to know who reads an option. */
#ifndef PUNA_BASE_OPTIONS_H
#define PUNA_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum puna_option_type { PUNA_OPTION_INT, PUNA_OPTION_FLOAT, PUNA_OPTION_BOOL, PUNA_OPTION_TEXT } puna_option_type;
typedef enum puna_option_scope {
    PUNA_SCOPE_MODEL,
    PUNA_SCOPE_SESSION,
    PUNA_SCOPE_REQUEST,
    PUNA_SCOPE_DEBUG
} puna_option_scope;

typedef struct puna_option {
    const char *key;
    puna_option_type type;
    const char *preset, *least, *most; /* as text; for TEXT most lists the values, or is "" */
    puna_option_scope scope;
    const char *help;
} puna_option;

/* PUNA_KEY_<key>: the index of an option. */
enum {
#define O(key, type, preset, least, most, scope, help) PUNA_KEY_##key,
#include "base/options.def"
#undef O
    PUNA_N_OPTIONS
};

extern const puna_option puna_options[PUNA_N_OPTIONS];

/* The index of a key ('-' and '_' are the same), or -1. */
int puna_option_find(const char *key);

typedef union puna_option_value {
    int64_t integer; /* INT; BOOL as 0 or 1 */
    double real;
} puna_option_value;

/* Checks text against an option's type and range; *value gets the number (nothing for TEXT). */
puna_status puna_option_parse(const puna_option *option, const char *text, puna_option_value *value,
                              puna_error *err);

/* PUNA_ERR_ARGUMENT for a key that is not in the table, with the nearest as the hint. */
puna_status puna_option_unknown(const char *key, puna_error *err);

#endif
