/* toml_value.c - values of TOML: strings, numbers, dates, arrays, inline tables. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/toml_reader.h"
#include "base/utf8.h"

enum { CLOSED = 3, MAX_TEXT = 1 << 24, MAX_WORD = 128 };

static bool starts_with(const puna_toml_reader *r, const char *text)
{
    const size_t n = strlen(text);
    return (size_t)(r->end - r->at) >= n && memcmp(r->at, text, n) == 0;
}

/* ---- strings ---------------------------------------------------------------------------- */

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void unicode(puna_toml_reader *r, puna_buf *buf, int n_digits)
{
    int32_t code = 0;
    char bytes[4];
    for (int i = 0; i < n_digits; i++) {
        const int digit = hex_digit(puna_toml_peek(r));
        if (digit < 0 || code > 0x10ffff) {
            puna_toml_fail(r, "expected hexadecimal digits of a character");
            return;
        }
        code = code * 16 + digit;
        r->at++;
    }
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        puna_toml_fail(r, "got a number that is no character");
    else
        puna_buf_add(buf, bytes, (size_t)puna_utf8_encode(code, bytes));
}

/* After a backslash. */
static void escape(puna_toml_reader *r, puna_buf *buf, bool several)
{
    static const char names[] = "btnfr\"\\", values[] = "\b\t\n\f\r\"\\";
    const int c = puna_toml_peek(r);
    const char *name = c > 0 ? strchr(names, c) : NULL;
    if (name) {
        puna_buf_add_byte(buf, values[name - names]);
        r->at++;
        return;
    }
    if (c == 'u' || c == 'U') {
        r->at++;
        unicode(r, buf, c == 'u' ? 4 : 8);
        return;
    }
    puna_toml_blanks(r);
    if (!several || !puna_toml_newline(r)) {
        puna_toml_fail(r, "got a backslash before what it does not go with");
        return;
    }
    do
        puna_toml_blanks(r);
    while (puna_toml_newline(r));
}

/* One character inside of quotes. */
static void character(puna_toml_reader *r, puna_buf *buf, char quote, bool several)
{
    const int c = puna_toml_peek(r);
    if (c == '\\' && quote == '"') {
        r->at++;
        escape(r, buf, several);
    } else if (several && (c == '\n' || (c == '\r' && starts_with(r, "\r\n")))) {
        puna_toml_newline(r);
        puna_buf_add_byte(buf, '\n');
    } else if (c < 0 || (c < 32 && c != '\t') || c == 127) {
        puna_toml_fail(r, c < 0 || c == '\n' ? "got the end, expected a closing quote"
                                             : "got a control character in a string");
    } else {
        puna_buf_add_byte(buf, (char)c);
        r->at++;
    }
}

/* Up to the closing quotes; of five quotes the first two belong to the text. */
static void quoted(puna_toml_reader *r, puna_buf *buf, const char *close, bool several)
{
    const size_t n = strlen(close);
    while (!r->status && !starts_with(r, close))
        character(r, buf, close[0], several);
    if (r->status)
        return;
    for (int i = 0; n == 3 && i < 2 && r->end - r->at > 3 && r->at[3] == close[0]; i++) {
        puna_buf_add_byte(buf, close[0]);
        r->at++;
    }
    r->at += n;
}

puna_status puna_toml_text(puna_toml_reader *r, bool several, const char **text, size_t *n)
{
    puna_buf buf = puna_buf_make(MAX_TEXT);
    const bool literal = puna_toml_peek(r) == '\'', three = starts_with(r, literal ? "'''" : "\"\"\"");
    if (three && several) {
        r->at += 3;
        puna_toml_newline(r);
        quoted(r, &buf, literal ? "'''" : "\"\"\"", true);
    } else {
        r->at++;
        quoted(r, &buf, literal ? "'" : "\"", false);
    }
    if (!r->status && buf.failed)
        puna_toml_fail(r, "got a string that is too long");
    *n = buf.n;
    *text = r->status ? NULL : puna_arena_copy(r->arena, buf.data ? buf.data : "", buf.n);
    if (!r->status && !*text)
        r->status = puna_fail_memory(r->err, r->name, buf.n);
    puna_buf_free(&buf);
    return r->status;
}

/* ---- numbers ---------------------------------------------------------------------------- */

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* Digits of a base, single underscores between them, into word; false when there are none. */
static bool digits(const char **at, int base, char **word)
{
    const char *from = *at;
    for (;; (*at)++) {
        const int digit = hex_digit((unsigned char)**at);
        if (digit >= 0 && digit < base)
            *(*word)++ = **at;
        else if (**at != '_' || *at == from || (*at)[-1] == '_')
            break;
    }
    return *at > from && (*at)[-1] != '_';
}

static bool integer(puna_toml *v, const char *text, int base)
{
    char *end;
    errno = 0;
    v->kind = PUNA_TOML_INTEGER;
    v->integer = strtoll(text, &end, base);
    return errno == 0 && *end == '\0';
}

/* 0x, 0o, 0b; no sign. */
static bool based(puna_toml *v, const char *text)
{
    char word[MAX_WORD], *to = word;
    const int base = text[1] == 'x' ? 16 : text[1] == 'o' ? 8 : 2;
    const char *at = text + 2;
    if (!digits(&at, base, &to) || *at)
        return false;
    *to = '\0';
    return integer(v, word, base);
}

static bool number(puna_toml *v, const char *text)
{
    char word[MAX_WORD], *to = word;
    const char *at = text;
    bool real = false;
    if (*at == '+' || *at == '-')
        *to++ = *at++;
    if (strcmp(at, "inf") == 0 || strcmp(at, "nan") == 0) {
        v->kind = PUNA_TOML_REAL;
        v->real = *at == 'i' ? (double)INFINITY : (double)NAN;
        v->real = word[0] == '-' && to > word ? -v->real : v->real;
        return true;
    }
    const char *whole = at;
    if (!digits(&at, 10, &to) || (*whole == '0' && at - whole > 1))
        return false;
    if (*at == '.') {
        real = true;
        *to++ = *at++;
        if (!digits(&at, 10, &to))
            return false;
    }
    if (*at == 'e' || *at == 'E') {
        real = true;
        *to++ = *at++;
        if (*at == '+' || *at == '-')
            *to++ = *at++;
        if (!digits(&at, 10, &to))
            return false;
    }
    *to = '\0';
    if (*at)
        return false;
    if (!real)
        return integer(v, word, 10);
    v->kind = PUNA_TOML_REAL;
    v->real = strtod(word, NULL);
    return true;
}

/* ---- dates ------------------------------------------------------------------------------ */

/* n digits at text, between least and most. */
static bool field(const char **at, int n, int least, int most, int *value)
{
    *value = 0;
    for (int i = 0; i < n; i++, (*at)++) {
        if (!is_digit((unsigned char)**at))
            return false;
        *value = *value * 10 + (**at - '0');
    }
    return *value >= least && *value <= most;
}

static bool take(const char **at, char c)
{
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

static bool date(const char **at)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int year, month, day;
    if (!field(at, 4, 0, 9999, &year) || !take(at, '-') || !field(at, 2, 1, 12, &month) || !take(at, '-') ||
        !field(at, 2, 1, 31, &day))
        return false;
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (month == 2 && leap);
}

static bool time_of_day(const char **at)
{
    int value;
    if (!field(at, 2, 0, 23, &value) || !take(at, ':') || !field(at, 2, 0, 59, &value) || !take(at, ':') ||
        !field(at, 2, 0, 60, &value))
        return false;
    if (!take(at, '.'))
        return true;
    const char *from = *at;
    while (is_digit((unsigned char)**at))
        (*at)++;
    return *at > from;
}

static bool offset(const char **at)
{
    int value;
    if (take(at, 'Z') || take(at, 'z'))
        return true;
    (*at)++;
    return field(at, 2, 0, 23, &value) && take(at, ':') && field(at, 2, 0, 59, &value);
}

static bool datetime(puna_toml *v, const char *text)
{
    const char *at = text;
    if (!(is_digit((unsigned char)text[2]) && is_digit((unsigned char)text[3]))) {
        v->kind = PUNA_TOML_LOCAL_TIME;
        return time_of_day(&at) && !*at;
    }
    v->kind = PUNA_TOML_LOCAL_DATE;
    if (!date(&at))
        return false;
    if (!*at)
        return true;
    v->kind = PUNA_TOML_LOCAL_DATETIME;
    if ((*at != 'T' && *at != 't' && *at != ' ') || (at++, !time_of_day(&at)))
        return false;
    if (!*at)
        return true;
    v->kind = PUNA_TOML_DATETIME;
    return (*at == 'Z' || *at == 'z' || *at == '+' || *at == '-') && offset(&at) && !*at;
}

static bool looks_like_date(const char *text)
{
    int n = 0;
    while (is_digit((unsigned char)text[n]))
        n++;
    return (n == 4 && text[n] == '-') || (n == 2 && text[n] == ':');
}

/* ---- values ----------------------------------------------------------------------------- */

static bool ends_word(int c)
{
    return c < 0 || c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',' || c == ']' || c == '}' ||
           c == '#' || c == '=';
}

/* What stands up to white space or punctuation; a date may have a space before its time. */
static bool word(puna_toml_reader *r, char text[MAX_WORD])
{
    size_t n = 0;
    while (n + 1 < MAX_WORD) {
        const bool time_follows = n == 10 && puna_toml_peek(r) == ' ' && r->end - r->at > 3 &&
                                  is_digit((unsigned char)r->at[1]) && is_digit((unsigned char)r->at[2]) &&
                                  r->at[3] == ':';
        text[n] = '\0';
        if (ends_word(puna_toml_peek(r)) && !(time_follows && looks_like_date(text)))
            return n > 0;
        text[n++] = *r->at++;
    }
    return false;
}

static void scalar(puna_toml_reader *r, puna_toml *v)
{
    char text[MAX_WORD];
    bool good = word(r, text);
    if (good && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)) {
        v->kind = PUNA_TOML_FLAG;
        v->flag = text[0] == 't';
    } else if (good && looks_like_date(text)) {
        good = datetime(v, text);
        v->n_text = strlen(text);
        if (v->n_text > 10 && (text[10] == ' ' || text[10] == 't'))
            text[10] = 'T';
        v->text = puna_arena_copy(r->arena, text, v->n_text);
        good = good && v->text;
    } else if (good && text[0] == '0' && text[1] && strchr("xob", text[1]))
        good = based(v, text);
    else
        good = good && number(v, text);
    if (!good)
        puna_toml_fail(r, "expected a value: a string, a number, true, false, a date, an array or a table");
}

static void array(puna_toml_reader *r, puna_toml *v)
{
    v->kind = PUNA_TOML_ARRAY;
    v->origin = CLOSED;
    for (puna_toml_lines(r); !r->status && !puna_toml_take(r, ']'); puna_toml_lines(r)) {
        puna_toml *element = puna_toml_value(r);
        if (!element)
            return;
        puna_toml_append(v, element);
        puna_toml_lines(r);
        if (!r->status && !puna_toml_take(r, ',') && puna_toml_peek(r) != ']')
            puna_toml_fail(r, "expected ',' or ']' in an array");
    }
}

/* Nothing is added later, neither to it nor to what dotted keys made in it. */
static void close_tables(puna_toml *v)
{
    v->origin = CLOSED;
    for (puna_toml *m = v->first; m; m = m->next)
        if (m->kind == PUNA_TOML_TABLE && m->origin != CLOSED)
            close_tables(m);
}

static void inline_table(puna_toml_reader *r, puna_toml *v)
{
    puna_toml_blanks(r);
    if (!puna_toml_take(r, '}'))
        do {
            puna_toml_blanks(r);
            puna_toml_pair(r, v);
            puna_toml_blanks(r);
            if (!r->status && puna_toml_take(r, '}'))
                break;
            if (!r->status && !puna_toml_take(r, ','))
                puna_toml_fail(r, "expected ',' or '}' in a table on one line");
        } while (!r->status);
    close_tables(v);
}

puna_toml *puna_toml_value(puna_toml_reader *r)
{
    puna_toml *v = puna_toml_new(r, PUNA_TOML_TABLE);
    const int c = puna_toml_peek(r);
    if (!v)
        return NULL;
    if (++r->depth > PUNA_TOML_DEPTH)
        puna_toml_fail(r, "got arrays or tables nested too deeply");
    else if (c == '"' || c == '\'') {
        v->kind = PUNA_TOML_TEXT;
        puna_toml_text(r, true, &v->text, &v->n_text);
    } else if (puna_toml_take(r, '['))
        array(r, v);
    else if (puna_toml_take(r, '{'))
        inline_table(r, v);
    else
        scalar(r, v);
    r->depth--;
    return r->status ? NULL : v;
}
