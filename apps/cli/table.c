/* table.c - columns of text. */
#define _POSIX_C_SOURCE 200809L
#include "cli/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { MAX_CELL = 4096, MAX_DEPTH = 8 };

/* Columns that the terminal shows: code points, near enough for names of models and tensors. */
static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void add_cell(puna_table *table, const char *text)
{
    if (table->n_cells == table->capacity) {
        size_t capacity = table->capacity ? table->capacity * 2 : 64;
        char **cells = realloc(table->cells, capacity * sizeof *cells);
        if (!cells) {
            table->failed = true;
            return;
        }
        table->cells = cells;
        table->capacity = capacity;
    }
    char *copy = strdup(text);
    if (!copy) {
        table->failed = true;
        return;
    }
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    table->cells[table->n_cells++] = copy;
}

puna_table puna_table_make(const char *headings)
{
    puna_table table = { .flexible = PUNA_TABLE_COLUMNS };
    char heading[128];
    while (*headings && table.n_columns < PUNA_TABLE_COLUMNS) {
        size_t n = strcspn(headings, "|"), column = table.n_columns++, skip = 0;
        table.right[column] = headings[0] == '>';
        if (headings[0] == '~')
            table.flexible = column;
        skip = headings[0] == '>' || headings[0] == '~';
        snprintf(heading, sizeof heading, "%.*s", (int)(n - skip), headings + skip);
        add_cell(&table, heading);
        headings += n + (headings[n] == '|');
    }
    return table;
}

void puna_table_add(puna_table *table, const char *format, ...)
{
    char text[MAX_CELL];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    add_cell(table, text);
}

static void find_widths(const puna_table *table, const puna_cli *cli, size_t *widths)
{
    size_t total = 0;
    for (size_t i = 0; i < table->n_cells; i++) {
        size_t n = width_of(table->cells[i]), column = i % table->n_columns;
        if (n > widths[column])
            widths[column] = n;
    }
    for (size_t i = 0; i < table->n_columns; i++)
        total += widths[i] + (i ? 2 : 0);
    if (cli->width == 0 || total <= (size_t)cli->width || table->flexible >= table->n_columns)
        return;
    size_t over = total - (size_t)cli->width, *flexible = &widths[table->flexible];
    *flexible = *flexible > over + 8 ? *flexible - over : 8;
}

/* The cell, cut to `width` columns with an ellipsis when the terminal is too narrow. */
static void print_cell(puna_cli *cli, const char *text, size_t width, bool right, bool last)
{
    size_t n = width_of(text);
    if (cli->width && n > width) {
        size_t bytes = 0;
        for (size_t shown = 0; text[bytes]; bytes++) {
            shown += ((unsigned char)text[bytes] & 0xc0) != 0x80;
            if (shown > width - 1)
                break;
        }
        puna_out_write(cli, text, bytes);
        puna_out_text(cli, "\xe2\x80\xa6");
        return;
    }
    if (right)
        puna_out_printf(cli, "%*s", (int)(width - n), "");
    puna_out_text(cli, text);
    if (!right && !last)
        puna_out_printf(cli, "%*s", (int)(width - n), "");
}

void puna_table_free(puna_table *table)
{
    for (size_t i = 0; i < table->n_cells; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (puna_table){ 0 };
}

puna_status puna_table_print(puna_table *table, puna_cli *cli, puna_error *err)
{
    size_t widths[PUNA_TABLE_COLUMNS] = { 0 };
    if (!table->failed) {
        find_widths(table, cli, widths);
        for (size_t i = 0; i < table->n_cells; i++) {
            size_t column = i % table->n_columns;
            bool last = column == table->n_columns - 1, heading = i < table->n_columns && cli->out_color;
            if (heading)
                puna_out_text(cli, "\033[1m");
            print_cell(cli, table->cells[i], widths[column], table->right[column], last);
            if (heading)
                puna_out_text(cli, "\033[0m");
            puna_out_text(cli, last ? "\n" : "  ");
        }
    }
    bool failed = table->failed;
    puna_table_free(table);
    return failed ? puna_fail(err, PUNA_ERR_MEMORY, "out of memory: a table") : PUNA_OK;
}

const char *puna_size_text(char *text, double bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    size_t unit = 0;
    for (; bytes >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        bytes /= 1024;
    snprintf(text, 16, unit && bytes < 100 ? "%.2f %s" : "%.0f %s", bytes, units[unit]);
    return text;
}

/* A JSON value in words, on one line. */
static void value_text(puna_buf *out, const json_t *value)
{
    size_t index;
    const json_t *item;
    switch (json_typeof(value)) {
    case JSON_STRING:
        puna_buf_add_text(out, json_string_value(value));
        break;
    case JSON_INTEGER:
        puna_buf_printf(out, "%lld", (long long)json_integer_value(value));
        break;
    case JSON_REAL:
        puna_buf_printf(out, "%.6g", json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        puna_buf_add_text(out, json_is_true(value) ? "yes" : "no");
        break;
    case JSON_NULL:
        puna_buf_add_text(out, "-");
        break;
    case JSON_ARRAY:
        json_array_foreach(value, index, item) {
            if (index)
                puna_buf_add_text(out, json_is_number(item) ? "," : ", ");
            if (index == 64) {
                puna_buf_printf(out, "... (%zu)", json_array_size(value));
                break;
            }
            if (!json_is_array(item) && !json_is_object(item))
                value_text(out, item);
        }
        break;
    case JSON_OBJECT:
        puna_buf_printf(out, "%zu entries", json_object_size(value));
        break;
    }
}

static void add_value(puna_table *table, const json_t *value)
{
    puna_buf text = puna_buf_make(MAX_CELL);
    if (value)
        value_text(&text, value);
    add_cell(table, text.data ? text.data : "");
    puna_buf_free(&text);
}

puna_status puna_table_of_objects(puna_cli *cli, const json_t *rows, puna_error *err)
{
    puna_buf headings = puna_buf_make(1024);
    const char *keys[PUNA_TABLE_COLUMNS] = { 0 };
    size_t n_keys = 0, index;
    const char *key;
    const json_t *value, *row;
    json_object_foreach(json_array_get(rows, 0), key, value) {
        if (n_keys == PUNA_TABLE_COLUMNS)
            break;
        const char *mark = json_is_number(value) ? ">" : n_keys ? "" : "~";
        puna_buf_printf(&headings, "%s%s%s", n_keys ? "|" : "", mark, key);
        keys[n_keys++] = key;
    }
    puna_table table = puna_table_make(headings.data ? headings.data : "");
    puna_buf_free(&headings);
    json_array_foreach(rows, index, row) {
        for (size_t i = 0; i < n_keys; i++)
            add_value(&table, json_object_get(row, keys[i]));
    }
    return puna_table_print(&table, cli, err);
}

static void add_values(puna_table *table, const json_t *object, const char *prefix, int depth)
{
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        char name[512];
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", key);
        if (json_is_object(value) && depth < MAX_DEPTH) {
            add_values(table, value, name, depth + 1);
            continue;
        }
        add_cell(table, name);
        add_value(table, value);
    }
}

puna_status puna_table_of_values(puna_cli *cli, const json_t *object, puna_error *err)
{
    puna_table table = puna_table_make("NAME|~VALUE");
    add_values(&table, object, "", 0);
    return puna_table_print(&table, cli, err);
}
