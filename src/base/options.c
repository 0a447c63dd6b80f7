/* options.c - options.def as a table; parsing of values. */
#define _POSIX_C_SOURCE 200809L
#include "base/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/suggest.h"

const puna_option puna_options[PUNA_N_OPTIONS] = {
#define O(key, type, preset, least, most, scope, help) \
    { #key, PUNA_OPTION_##type, preset, least, most, PUNA_SCOPE_##scope, help },
#include "base/options.def"
#undef O
};

static bool same_key(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b && !(*a == '-' && *b == '_'))
            return false;
    return *a == *b;
}

int puna_option_find(const char *key)
{
    for (int i = 0; i < PUNA_N_OPTIONS; i++)
        if (same_key(key, puna_options[i].key))
            return i;
    return -1;
}

static puna_status parse_int(const puna_option *o, const char *text, puna_option_value *value, puna_error *err)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    bool outside = errno || n < strtoll(o->least, NULL, 10) || n > strtoll(o->most, NULL, 10);
    if (end == text || *end || outside)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "option %s: got %.64s, expected an integer in %s..%s", o->key, text,
                         o->least, o->most);
    value->integer = n;
    return PUNA_OK;
}

static puna_status parse_float(const puna_option *o, const char *text, puna_option_value *value, puna_error *err)
{
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end || !(x >= strtod(o->least, NULL) && x <= strtod(o->most, NULL)))
        return puna_fail(err, PUNA_ERR_ARGUMENT, "option %s: got %.64s, expected a number in %s..%s", o->key, text,
                         o->least, o->most);
    value->real = x;
    return PUNA_OK;
}

static puna_status parse_bool(const puna_option *o, const char *text, puna_option_value *value, puna_error *err)
{
    static const char *const words[] = { "off", "on", "false", "true", "no", "yes", "0", "1" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0) {
            value->integer = (int64_t)(i & 1);
            return PUNA_OK;
        }
    return puna_fail(err, PUNA_ERR_ARGUMENT, "option %s: got %.64s, expected on or off", o->key, text);
}

static puna_status parse_text(const puna_option *o, const char *text, puna_error *err)
{
    size_t n = strlen(text);
    if (!*o->most)
        return PUNA_OK;
    for (const char *at = o->most; at; at = strchr(at, '|')) {
        at += *at == '|';
        if (n && strncmp(at, text, n) == 0 && (at[n] == '\0' || at[n] == '|'))
            return PUNA_OK;
    }
    return puna_fail(err, PUNA_ERR_ARGUMENT, "option %s: got %.64s, expected one of %s", o->key, text, o->most);
}

puna_status puna_option_parse(const puna_option *option, const char *text, puna_option_value *value,
                              puna_error *err)
{
    switch (option->type) {
    case PUNA_OPTION_INT:
        return parse_int(option, text, value, err);
    case PUNA_OPTION_FLOAT:
        return parse_float(option, text, value, err);
    case PUNA_OPTION_BOOL:
        return parse_bool(option, text, value, err);
    case PUNA_OPTION_TEXT:
        return parse_text(option, text, err);
    }
    return PUNA_ERR_ARGUMENT;
}

puna_status puna_option_unknown(const char *key, puna_error *err)
{
    const char *keys[PUNA_N_OPTIONS];
    for (int i = 0; i < PUNA_N_OPTIONS; i++)
        keys[i] = puna_options[i].key;
    const char *near = puna_suggest(key, keys, PUNA_N_OPTIONS);
    puna_fail(err, PUNA_ERR_ARGUMENT, "unknown option: %.64s", key);
    return near ? puna_hint(err, PUNA_ERR_ARGUMENT, "did you mean %s?", near)
                : puna_hint(err, PUNA_ERR_ARGUMENT, "puna help options");
}
