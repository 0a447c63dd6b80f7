/* table.h - columns of text. Owns widths, cutting to the terminal, and headings in bold.
 * Off a terminal nothing is cut, so that scripts get every byte. */
#ifndef PUNA_CLI_TABLE_H
#define PUNA_CLI_TABLE_H

#include "cli/cli.h"

enum { PUNA_TABLE_COLUMNS = 12 };

typedef struct puna_table {
    size_t n_columns, n_cells, capacity;
    char **cells;                       /* row by row; the first row is the heading */
    bool right[PUNA_TABLE_COLUMNS];     /* align to the right: numbers */
    size_t flexible;                    /* the column that is cut when the terminal is narrow */
    bool failed;
} puna_table;

/* headings: separated by '|'; one that begins with '>' is aligned to the right, with '~' is the
 * flexible one. */
puna_table puna_table_make(const char *headings);
/* The next cell; rows fill from left to right. Control bytes become '?'. */
void puna_table_add(puna_table *table, const char *format, ...) PUNA_PRINTF(2, 3);
/* Prints and frees. */
puna_status puna_table_print(puna_table *table, puna_cli *cli, puna_error *err);
void puna_table_free(puna_table *table);

/* An array of JSON objects as a table, the first object's keys as headings. */
puna_status puna_table_of_objects(puna_cli *cli, const json_t *rows, puna_error *err);
/* A JSON object as lines of name and value, nested ones as name.name. */
puna_status puna_table_of_values(puna_cli *cli, const json_t *object, puna_error *err);

/* 1234567 -> "1.18 MiB"; text is at least 16 bytes. Returns text. */
const char *puna_size_text(char *text, double bytes);

#endif
