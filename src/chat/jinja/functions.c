/* functions.c - the global functions, and the methods of values that are not strings. */
#define _GNU_SOURCE /* strftime_l, newlocale */
#include <locale.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "chat/jinja/ast.h"
#include "chat/jinja/methods.h"

const puna_jbuiltin *puna_jbuiltin_find(const puna_jbuiltin *rows, size_t n_rows, const char *name, size_t n)
{
    for (size_t i = 0; i < n_rows; i++)
        if (strlen(rows[i].name) == n && memcmp(rows[i].name, name, n) == 0)
            return &rows[i];
    return NULL;
}

/* ---- global functions ------------------------------------------------------------------- */

static bool want_integer(puna_jvm *vm, puna_jv v, int64_t *out)
{
    if (puna_jv_is_integer(v)) {
        *out = v.u.i;
        return true;
    }
    if (!puna_jv_refuse_undefined(vm, v))
        puna_jvm_fail(vm, "'%s' object cannot be interpreted as an integer", puna_jv_type_name(v));
    return false;
}

static puna_jv make_range(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)self;
    int64_t part[3] = { 0, 0, 1 };
    for (int i = 0; i < 3; i++)
        if (args->slot[i].type != PUNA_J_MISSING && !want_integer(vm, args->slot[i], &part[i]))
            return puna_jv_undefined(vm, NULL);
    if (args->slot[1].type == PUNA_J_MISSING)
        return puna_jrange_new(vm, 0, part[0], 1);
    return puna_jrange_new(vm, part[0], part[1], part[2]);
}

static void fill_dict(puna_jvm *vm, puna_jv dict, puna_jv from)
{
    if (from.type == PUNA_J_DICT) {
        for (size_t i = 0; i < from.u.dict->n && !vm->failed; i++)
            puna_jv_set(vm, dict, from.u.dict->entries[i].key, from.u.dict->entries[i].value);
        return;
    }
    puna_jiter *iter = puna_jv_refuse_undefined(vm, from) ? NULL : puna_jiter_new(vm, from);
    while (iter && !vm->failed) {
        puna_jv item = puna_jiter_next(vm, iter);
        if (item.type == PUNA_J_MISSING)
            break;
        puna_jv pair = puna_jv_to_list(vm, item);
        if (vm->failed)
            break;
        if (pair.u.list->n != 2)
            puna_jvm_fail(vm, "dict(): got an item of length %zu, expected 2", pair.u.list->n);
        else
            puna_jv_set(vm, dict, pair.u.list->items[0], pair.u.list->items[1]);
    }
}

static puna_jv make_dict(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)self;
    puna_jv dict = puna_jv_dict(vm);
    if (args->n > 1)
        return puna_jvm_fail(vm, "dict() takes at most 1 positional argument, got %zu", args->n);
    if (args->n)
        fill_dict(vm, dict, args->positional[0]);
    for (size_t i = 0; i < args->n_keywords; i++)
        puna_jv_set(vm, dict, (puna_jv){ .type = PUNA_J_STR, .u.s = args->names[i] }, args->keywords[i]);
    return dict;
}

static puna_jv make_namespace(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    puna_jv v = make_dict(vm, self, args);
    if (v.type != PUNA_J_DICT)
        return v;
    for (size_t i = 0; i < v.u.dict->n; i++) {
        puna_jv key = v.u.dict->entries[i].key;
        if (key.type == PUNA_J_STR && key.u.s->n && key.u.s->data[0] == '_')
            return puna_jvm_fail(vm, "a namespace takes no names that start with an underscore");
    }
    v.type = PUNA_J_NAMESPACE;
    return v;
}

static puna_jv make_cycler(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)self;
    puna_jcycler *cycler = puna_jvm_alloc(vm, 1, sizeof *cycler);
    puna_jv items = puna_jv_list(vm, args->n);
    if (!args->n || args->n_keywords)
        return puna_jvm_fail(vm, "cycler() takes one or more items");
    for (size_t i = 0; i < args->n; i++)
        puna_jv_append(vm, items, args->positional[i]);
    if (!cycler || vm->failed)
        return puna_jv_undefined(vm, NULL);
    cycler->items = items.u.list;
    return (puna_jv){ .type = PUNA_J_CYCLER, .u.cycler = cycler };
}

static puna_jv make_joiner(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)self;
    puna_jcycler *joiner = puna_jvm_alloc(vm, 1, sizeof *joiner);
    puna_jv items = puna_jv_list(vm, 1);
    puna_jv_append(vm, items,
                   args->slot[0].type == PUNA_J_MISSING ? puna_jv_literal(vm, ", ") : args->slot[0]);
    if (!joiner || vm->failed)
        return puna_jv_undefined(vm, NULL);
    joiner->items = items.u.list;
    return (puna_jv){ .type = PUNA_J_JOINER, .u.cycler = joiner };
}

static puna_jv raise_exception(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)self;
    puna_jv text = puna_jv_to_str(vm, args->slot[0]);
    char message[400] = "";
    if (text.type == PUNA_J_STR) {
        size_t n = text.u.s->n < sizeof message - 1 ? text.u.s->n : sizeof message - 1;
        memcpy(message, text.u.s->data, n);
        message[puna_utf8_complete(message, n)] = '\0';
    }
    puna_jvm_fail_status(vm, PUNA_ERR_ARGUMENT, message);
    return puna_jv_undefined(vm, NULL);
}

/* The C library's format for a time without a zone and without parts of a second: %Z and %z are
 * empty, whatever flags they carry, and %f is zero. Returns the length. */
static size_t plain_format(char *out, const puna_jstr *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        size_t end = i + 1;
        if (s->data[i] == '%')
            while (end < s->n && s->data[end] && strchr("-_0^#123456789EO", s->data[end]))
                end++;
        if (s->data[i] == '%' && end < s->n && (s->data[end] == 'Z' || s->data[end] == 'z')) {
            i = end;
        } else if (s->data[i] == '%' && i + 1 < s->n && s->data[i + 1] == 'f') {
            memcpy(out + n, "000000", 6);
            n += 6;
            i++;
        } else {
            out[n++] = s->data[i];
            if (s->data[i] == '%' && i + 1 < s->n && s->data[i + 1] == '%')
                out[n++] = s->data[++i];
        }
    }
    return n;
}

static puna_jv strftime_now(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)self;
    char format[4 * 256], text[4096];
    time_t seconds = (time_t)vm->now;
    struct tm tm = { 0 };
    if (args->slot[0].type != PUNA_J_STR)
        return puna_jvm_fail(vm, "strftime_now() takes a format string");
    const puna_jstr *s = args->slot[0].u.s;
    if (s->n > 255 || memchr(s->data, '\0', s->n) || !gmtime_r(&seconds, &tm))
        return puna_jvm_fail(vm, "strftime_now(): the format is longer than 255 bytes or has a NUL");
    size_t n_format = plain_format(format, s);
    format[n_format] = '.'; /* so that an empty result is told from one that does not fit */
    format[n_format + 1] = '\0';
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!plain)
        return puna_jvm_fail(vm, "strftime_now(): no C locale");
    size_t n = strftime_l(text, sizeof text, format, &tm, plain);
    freelocale(plain);
    if (!n)
        return puna_jvm_fail(vm, "strftime_now(): the result is longer than %zu bytes", sizeof text);
    return puna_jv_text(vm, text, n - 1);
}

const puna_jbuiltin *puna_jbuiltin_function(const char *name, size_t n)
{
    static const puna_jbuiltin rows[] = {
        { "range", make_range, "/ start stop? step?" },
        { "dict", make_dict, "*" },
        { "namespace", make_namespace, "*" },
        { "cycler", make_cycler, "*" },
        { "joiner", make_joiner, "sep?" },
        { "raise_exception", raise_exception, "message" },
        { "strftime_now", strftime_now, "format" },
    };
    return puna_jbuiltin_find(rows, sizeof rows / sizeof *rows, name, n);
}

/* ---- methods of containers -------------------------------------------------------------- */

static puna_jv view(puna_jv self, uint8_t which)
{
    self.type = PUNA_J_VIEW;
    self.flag = which;
    return self;
}

static puna_jv dict_keys(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)vm;
    (void)args;
    return view(self, PUNA_J_KEYS);
}

static puna_jv dict_values(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)vm;
    (void)args;
    return view(self, PUNA_J_VALUES);
}

static puna_jv dict_items(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)vm;
    (void)args;
    return view(self, PUNA_J_ITEMS);
}

static puna_jv dict_get(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    bool hashable;
    puna_jv_hash(vm, args->slot[0], &hashable);
    if (!hashable)
        return puna_jvm_fail(vm, "unhashable type: '%s'", puna_jv_type_name(args->slot[0]));
    puna_jv v = puna_jv_get(vm, self, args->slot[0]);
    if (v.type != PUNA_J_MISSING)
        return v;
    return args->slot[1].type == PUNA_J_MISSING ? puna_jv_of(PUNA_J_NONE) : args->slot[1];
}

static puna_jv dict_copy(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)args;
    puna_jv dict = puna_jv_dict(vm);
    fill_dict(vm, dict, self);
    return dict;
}

static puna_jv dict_fromkeys(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)self;
    puna_jv dict = puna_jv_dict(vm);
    puna_jv value = args->slot[1].type == PUNA_J_MISSING ? puna_jv_of(PUNA_J_NONE) : args->slot[1];
    puna_jiter *iter = puna_jiter_new(vm, args->slot[0]);
    while (iter && !vm->failed) {
        puna_jv key = puna_jiter_next(vm, iter);
        if (key.type == PUNA_J_MISSING)
            break;
        puna_jv_set(vm, dict, key, value);
    }
    return dict;
}

static puna_jv list_count(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    int64_t n = 0;
    puna_jv list = puna_jv_to_list(vm, self);
    for (size_t i = 0; !vm->failed && i < list.u.list->n; i++)
        n += puna_jv_equal(vm, list.u.list->items[i], args->slot[0]);
    return puna_jv_int(n);
}

static puna_jv list_index(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    puna_jv list = puna_jv_to_list(vm, self);
    int64_t from = 0, to = INT64_MAX;
    if ((args->slot[1].type != PUNA_J_MISSING && !want_integer(vm, args->slot[1], &from)) ||
        (args->slot[2].type != PUNA_J_MISSING && !want_integer(vm, args->slot[2], &to)) || vm->failed)
        return puna_jv_undefined(vm, NULL);
    int64_t n = (int64_t)list.u.list->n;
    from = from < 0 ? (from + n < 0 ? 0 : from + n) : from;
    to = to < 0 ? to + n : to;
    for (int64_t i = from; i < n && i < to && !vm->failed; i++)
        if (puna_jv_equal(vm, list.u.list->items[i], args->slot[0]))
            return puna_jv_int(i);
    return puna_jvm_fail(vm, "index(): the value is not in the %s", puna_jv_type_name(self));
}

static puna_jv list_copy(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)args;
    return puna_jv_to_list(vm, self);
}

static puna_jv cycler_next(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)vm;
    (void)args;
    puna_jcycler *cycler = self.u.cycler;
    puna_jv v = cycler->items->items[cycler->at];
    cycler->at = (cycler->at + 1) % cycler->items->n;
    return v;
}

static puna_jv cycler_reset(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)vm;
    (void)args;
    self.u.cycler->at = 0;
    return puna_jv_of(PUNA_J_NONE);
}

static puna_jv float_is_integer(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)vm;
    (void)args;
    return puna_jv_bool(!isinf(self.u.f) && self.u.f == floor(self.u.f));
}

static puna_jv int_bit_length(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)vm;
    (void)args;
    uint64_t size = self.u.i < 0 ? 0 - (uint64_t)self.u.i : (uint64_t)self.u.i;
    return puna_jv_int(size ? 64 - __builtin_clzll(size) : 0);
}

const puna_jbuiltin *puna_jbuiltin_method(puna_jv self, const char *name, size_t n)
{
    static const puna_jbuiltin of_dict[] = {
        { "get", dict_get, "/ key default?" },
        { "keys", dict_keys, "" },
        { "values", dict_values, "" },
        { "items", dict_items, "" },
        { "copy", dict_copy, "" },
        { "fromkeys", dict_fromkeys, "/ iterable value?" },
    };
    static const puna_jbuiltin of_list[] = {
        { "count", list_count, "/ value" },
        { "index", list_index, "/ value start? stop?" },
        { "copy", list_copy, "" },
    };
    static const puna_jbuiltin of_cycler[] = { { "next", cycler_next, "" }, { "reset", cycler_reset, "" } };
    static const puna_jbuiltin of_float[] = { { "is_integer", float_is_integer, "" } };
    static const puna_jbuiltin of_int[] = { { "bit_length", int_bit_length, "" } };
    switch (self.type) {
    case PUNA_J_STR:
        return puna_jmethods_string(name, n);
    case PUNA_J_DICT:
        return puna_jbuiltin_find(of_dict, 6, name, n);
    case PUNA_J_LIST:
        return puna_jbuiltin_find(of_list, 3, name, n);
    case PUNA_J_TUPLE:
    case PUNA_J_RANGE:
        return puna_jbuiltin_find(of_list, 2, name, n);
    case PUNA_J_CYCLER:
        return puna_jbuiltin_find(of_cycler, 2, name, n);
    case PUNA_J_FLOAT:
        return puna_jbuiltin_find(of_float, 1, name, n);
    case PUNA_J_INT:
    case PUNA_J_BOOL:
        return puna_jbuiltin_find(of_int, 1, name, n);
    case PUNA_J_FUNCTION:
        return strcmp(self.u.function->name, "dict") == 0 ? puna_jbuiltin_find(of_dict + 5, 1, name, n)
                                                          : NULL;
    default:
        return NULL;
    }
}

bool puna_jbuiltin_is_mutator(puna_jv self, const char *name, size_t n)
{
    static const char *const of_dict[] = { "clear", "pop", "popitem", "setdefault", "update", NULL };
    static const char *const of_list[] = { "append", "clear",  "pop",    "reverse", "insert",
                                           "sort",   "extend", "remove", NULL };
    const char *const *names = self.type == PUNA_J_DICT ? of_dict : self.type == PUNA_J_LIST ? of_list : NULL;
    for (; names && *names; names++)
        if (strlen(*names) == n && memcmp(*names, name, n) == 0)
            return true;
    return false;
}
