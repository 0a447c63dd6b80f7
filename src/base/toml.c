/* toml.c - the reader: lines of keys and tables. Values are read by toml_value.c. */
#include "base/toml.h"

#include <stdio.h>
#include <string.h>

#include "base/toml_reader.h"
#include "base/utf8.h"

/* How a table came to be decides what may still be added to it. */
enum {
    IMPLIED, /* by a longer header: may be given its own header once */
    HEADER,  /* [a]: not again */
    DOTTED,  /* by a dotted key: only dotted keys of the same table add to it */
    CLOSED   /* an inline table or array: nothing does */
};

puna_status puna_toml_fail(puna_toml_reader *r, const char *what)
{
    if (!r->status)
        r->status = puna_fail(r->err, PUNA_ERR_FORMAT, "%s: line %d: %s", r->name, r->line, what);
    return r->status;
}

puna_toml *puna_toml_new(puna_toml_reader *r, puna_toml_kind kind)
{
    puna_toml *node = puna_arena_alloc(r->arena, sizeof *node);
    if (!node) {
        r->status = puna_fail_memory(r->err, r->name, sizeof *node);
        return NULL;
    }
    node->kind = kind;
    node->line = r->line;
    return node;
}

void puna_toml_append(puna_toml *parent, puna_toml *child)
{
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
}

static puna_toml *find(const puna_toml *table, const char *key, size_t n)
{
    for (puna_toml *m = table->first; m; m = m->next)
        if (m->n_key == n && memcmp(m->key, key, n) == 0)
            return m;
    return NULL;
}

const puna_toml *puna_toml_get(const puna_toml *table, const char *key)
{
    return table && table->kind == PUNA_TOML_TABLE ? find(table, key, strlen(key)) : NULL;
}

/* ---- white space ------------------------------------------------------------------------ */

int puna_toml_peek(const puna_toml_reader *r)
{
    return r->at < r->end ? (unsigned char)*r->at : -1;
}

bool puna_toml_take(puna_toml_reader *r, char c)
{
    if (puna_toml_peek(r) != (unsigned char)c)
        return false;
    r->at++;
    return true;
}

void puna_toml_blanks(puna_toml_reader *r)
{
    while (puna_toml_peek(r) == ' ' || puna_toml_peek(r) == '\t')
        r->at++;
}

bool puna_toml_newline(puna_toml_reader *r)
{
    if (r->at + 1 < r->end && r->at[0] == '\r' && r->at[1] == '\n')
        r->at++;
    if (!puna_toml_take(r, '\n'))
        return false;
    r->line++;
    return true;
}

static bool is_control(int c)
{
    return (c >= 0 && c < 32 && c != '\t') || c == 127;
}

/* A comment up to the end of its line. */
static void comment(puna_toml_reader *r)
{
    if (!puna_toml_take(r, '#'))
        return;
    while (r->at < r->end && *r->at != '\n' && !(*r->at == '\r' && r->at + 1 < r->end && r->at[1] == '\n')) {
        if (is_control(puna_toml_peek(r))) {
            puna_toml_fail(r, "got a control character in a comment");
            return;
        }
        r->at++;
    }
}

void puna_toml_lines(puna_toml_reader *r)
{
    do {
        puna_toml_blanks(r);
        comment(r);
    } while (!r->status && puna_toml_newline(r));
}

static void end_of_line(puna_toml_reader *r)
{
    puna_toml_blanks(r);
    comment(r);
    if (!r->status && r->at < r->end && !puna_toml_newline(r))
        puna_toml_fail(r, "got more, expected the end of the line");
}

/* ---- keys ------------------------------------------------------------------------------- */

static bool is_bare(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static bool key(puna_toml_reader *r, const char **text, size_t *n)
{
    const int c = puna_toml_peek(r);
    if (c == '"' || c == '\'')
        return puna_toml_text(r, false, text, n) == PUNA_OK;
    const char *from = r->at;
    while (is_bare(puna_toml_peek(r)))
        r->at++;
    *n = (size_t)(r->at - from);
    *text = puna_arena_copy(r->arena, from, *n);
    if (*n == 0)
        puna_toml_fail(r, "expected a key");
    else if (!*text)
        r->status = puna_fail_memory(r->err, r->name, *n);
    return !r->status;
}

/* The member called key of a table, made as an empty table of that origin when there is none. */
static puna_toml *member(puna_toml_reader *r, puna_toml *table, const char *text, size_t n, uint8_t origin)
{
    puna_toml *m = find(table, text, n);
    if (m)
        return m;
    m = puna_toml_new(r, PUNA_TOML_TABLE);
    if (!m)
        return NULL;
    m->key = text;
    m->n_key = n;
    m->origin = origin;
    puna_toml_append(table, m);
    return m;
}

/* One step along the dotted part of a key; NULL sets the error. */
static puna_toml *into_dotted(puna_toml_reader *r, puna_toml *table, const char *text, size_t n)
{
    puna_toml *m = member(r, table, text, n, DOTTED);
    if (m && (m->kind != PUNA_TOML_TABLE || m->origin != DOTTED)) {
        puna_toml_fail(r, "got a key inside of what is no table, or is complete");
        return NULL;
    }
    return m;
}

/* Along a header; arrays of tables are entered at their last. */
static puna_toml *into_header(puna_toml_reader *r, puna_toml *table, const char *text, size_t n)
{
    puna_toml *m = member(r, table, text, n, IMPLIED);
    if (m && m->kind == PUNA_TOML_ARRAY && m->origin != CLOSED)
        m = m->last;
    if (m && (m->kind != PUNA_TOML_TABLE || m->origin == CLOSED)) {
        puna_toml_fail(r, "got a table inside of what is none, or is complete");
        return NULL;
    }
    return m;
}

/* key = value in a table. */
void puna_toml_pair(puna_toml_reader *r, puna_toml *table)
{
    const char *text;
    size_t n;
    while (key(r, &text, &n)) {
        puna_toml_blanks(r);
        if (puna_toml_take(r, '=')) {
            puna_toml_blanks(r);
            if (find(table, text, n)) {
                puna_toml_fail(r, "got a key a second time");
                return;
            }
            puna_toml *value = puna_toml_value(r);
            if (!value)
                return;
            value->key = text;
            value->n_key = n;
            puna_toml_append(table, value);
            return;
        }
        if (!puna_toml_take(r, '.')) {
            puna_toml_fail(r, "expected '=' after a key");
            return;
        }
        puna_toml_blanks(r);
        table = into_dotted(r, table, text, n);
        if (!table)
            return;
    }
}

/* ---- tables ----------------------------------------------------------------------------- */

static puna_toml *begin_table(puna_toml_reader *r, puna_toml *parent, const char *text, size_t n)
{
    puna_toml *m = find(parent, text, n);
    if (m && (m->kind != PUNA_TOML_TABLE || m->origin != IMPLIED)) {
        puna_toml_fail(r, "got a table a second time");
        return NULL;
    }
    m = member(r, parent, text, n, IMPLIED);
    if (m)
        m->origin = HEADER;
    return m;
}

static puna_toml *begin_element(puna_toml_reader *r, puna_toml *parent, const char *text, size_t n)
{
    puna_toml *m = find(parent, text, n);
    if (m && (m->kind != PUNA_TOML_ARRAY || m->origin == CLOSED)) {
        puna_toml_fail(r, "got an array of tables that is already something else");
        return NULL;
    }
    if (!m) {
        m = member(r, parent, text, n, HEADER);
        if (!m)
            return NULL;
        m->kind = PUNA_TOML_ARRAY;
    }
    puna_toml *element = puna_toml_new(r, PUNA_TOML_TABLE);
    if (element) {
        element->origin = HEADER;
        puna_toml_append(m, element);
    }
    return element;
}

/* [a.b] or [[a.b]]; the table that follows. */
static puna_toml *header(puna_toml_reader *r, puna_toml *table)
{
    const bool array = puna_toml_take(r, '[');
    const char *text;
    size_t n;
    puna_toml_blanks(r);
    while (table && key(r, &text, &n)) {
        puna_toml_blanks(r);
        if (puna_toml_take(r, '.')) {
            puna_toml_blanks(r);
            table = into_header(r, table, text, n);
            continue;
        }
        if (!puna_toml_take(r, ']') || (array && !puna_toml_take(r, ']'))) {
            puna_toml_fail(r, "expected ']' after the name of a table");
            return NULL;
        }
        return array ? begin_element(r, table, text, n) : begin_table(r, table, text, n);
    }
    return NULL;
}

static puna_status read_all(puna_toml_reader *r, puna_toml *root)
{
    puna_toml *table = root;
    for (puna_toml_lines(r); !r->status && r->at < r->end; puna_toml_lines(r)) {
        if (puna_toml_take(r, '['))
            table = header(r, root);
        else
            puna_toml_pair(r, table);
        if (!r->status)
            end_of_line(r);
    }
    return r->status;
}

/* The whole text is checked before, so that what is quoted from it is text. */
static puna_status check_utf8(puna_toml_reader *r)
{
    for (const char *at = r->at; at < r->end;) {
        int32_t code;
        at += puna_utf8_decode(at, (size_t)(r->end - at), &code);
        if (code < 0)
            return puna_toml_fail(r, "got bytes that are not UTF-8");
        r->line += code == '\n';
    }
    r->line = 1;
    return PUNA_OK;
}

puna_status puna_toml_read(puna_toml **root, puna_arena *arena, const char *name, const char *text, size_t n,
                           puna_error *err)
{
    puna_toml_reader r = { .arena = arena, .name = name, .at = text, .end = text + n, .line = 1, .err = err };
    *root = puna_toml_new(&r, PUNA_TOML_TABLE);
    if (!*root)
        return r.status;
    (*root)->origin = HEADER;
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        r.at += 3;
    TRY(check_utf8(&r));
    return read_all(&r, *root);
}
