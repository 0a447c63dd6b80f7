/* toml.h - TOML 1.0 documents (toml.io/en/v1.0.0) as a tree. Owns reading and its checks; refuses writing, and
 * to know what keys mean. */
#ifndef PUNA_BASE_TOML_H
#define PUNA_BASE_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

typedef enum puna_toml_kind {
    PUNA_TOML_TABLE,
    PUNA_TOML_ARRAY,
    PUNA_TOML_TEXT,
    PUNA_TOML_INTEGER,
    PUNA_TOML_REAL,
    PUNA_TOML_FLAG,
    PUNA_TOML_DATETIME, /* with an offset; text as in the file, with T between date and time */
    PUNA_TOML_LOCAL_DATETIME,
    PUNA_TOML_LOCAL_DATE,
    PUNA_TOML_LOCAL_TIME
} puna_toml_kind;

typedef struct puna_toml {
    puna_toml_kind kind;
    const char *key; /* in its table, terminated; NULL in an array and at the root */
    size_t n_key;
    int line;         /* where it stands, from 1 */
    const char *text; /* terminated; TEXT and dates */
    size_t n_text;
    int64_t integer;
    double real;
    bool flag;
    struct puna_toml *first, *last, *next; /* members of a TABLE or an ARRAY, in the order of the file */
    uint8_t origin;                        /* how a table came to be: private to the reader */
} puna_toml;

/* The tree lies in the arena. name is for messages: "NAME: line 3: got ..., expected ...". */
puna_status puna_toml_read(puna_toml **root, puna_arena *arena, const char *name, const char *text, size_t n,
                           puna_error *err);

/* The member of a table, or NULL. */
const puna_toml *puna_toml_get(const puna_toml *table, const char *key);

#endif
