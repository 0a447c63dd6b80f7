/* toml_reader.h - what toml.c and toml_value.c share. Private to them. */
#ifndef PUNA_BASE_TOML_READER_H
#define PUNA_BASE_TOML_READER_H

#include "base/toml.h"

enum { PUNA_TOML_DEPTH = 64 }; /* of arrays and inline tables in each other */

typedef struct puna_toml_reader {
    puna_arena *arena;
    const char *name, *at, *end;
    int line, depth;
    puna_status status; /* the first mistake stays */
    puna_error *err;
} puna_toml_reader;

/* Notes a mistake on this line; returns the status. */
puna_status puna_toml_fail(puna_toml_reader *r, const char *what);

/* NULL when memory is out. */
puna_toml *puna_toml_new(puna_toml_reader *r, puna_toml_kind kind);
void puna_toml_append(puna_toml *parent, puna_toml *child);

int puna_toml_peek(const puna_toml_reader *r); /* -1 at the end */
bool puna_toml_take(puna_toml_reader *r, char c);
void puna_toml_blanks(puna_toml_reader *r); /* spaces and tabs */
bool puna_toml_newline(puna_toml_reader *r);
void puna_toml_lines(puna_toml_reader *r); /* blanks, comments and ends of lines */

/* A quoted string; several: three quotes are allowed, and lines in them. */
puna_status puna_toml_text(puna_toml_reader *r, bool several, const char **text, size_t *n);
puna_toml *puna_toml_value(puna_toml_reader *r);            /* NULL sets the status */
void puna_toml_pair(puna_toml_reader *r, puna_toml *table); /* key = value */

#endif
