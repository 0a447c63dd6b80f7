/* toml_tagged.c - a TOML document on standard input as the tagged JSON that the toml-test suite compares:
 *   toml-test test -decoder toml_tagged -toml 1.0
 * (github.com/toml-lang/toml-test, not part of this project). Exit status 1: not TOML. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/toml.h"

static void text(const char *s, size_t n)
{
    putchar('"');
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 32 || c == 127)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void tagged(const char *type, const char *value, size_t n)
{
    printf("{\"type\":\"%s\",\"value\":", type);
    text(value, n);
    putchar('}');
}

static void print(const puna_toml *v)
{
    static const char *const dates[] = { "datetime", "datetime-local", "date-local", "time-local" };
    char number[64];
    int n;
    switch (v->kind) {
    case PUNA_TOML_TABLE:
    case PUNA_TOML_ARRAY:
        putchar(v->kind == PUNA_TOML_TABLE ? '{' : '[');
        for (const puna_toml *m = v->first; m; m = m->next) {
            if (v->kind == PUNA_TOML_TABLE) {
                text(m->key, m->n_key);
                putchar(':');
            }
            print(m);
            if (m->next)
                putchar(',');
        }
        putchar(v->kind == PUNA_TOML_TABLE ? '}' : ']');
        break;
    case PUNA_TOML_TEXT:
        tagged("string", v->text, v->n_text);
        break;
    case PUNA_TOML_INTEGER:
        n = snprintf(number, sizeof number, "%lld", (long long)v->integer);
        tagged("integer", number, (size_t)n);
        break;
    case PUNA_TOML_REAL:
        n = isnan(v->real) ? snprintf(number, sizeof number, "nan")
                           : snprintf(number, sizeof number, "%.17g", v->real);
        tagged("float", number, (size_t)n);
        break;
    case PUNA_TOML_FLAG:
        tagged("bool", v->flag ? "true" : "false", v->flag ? 4 : 5);
        break;
    default:
        tagged(dates[v->kind - PUNA_TOML_DATETIME], v->text, v->n_text);
    }
}

int main(void)
{
    puna_error err = { 0 };
    puna_arena arena = { 0 };
    puna_toml *root;
    char *data = NULL;
    size_t n = 0;
    if (puna_file_read(&data, &n, "-", (size_t)1 << 28, &err) ||
        puna_toml_read(&root, &arena, "input", data, n, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    print(root);
    puna_arena_free(&arena);
    free(data);
    return 0;
}
