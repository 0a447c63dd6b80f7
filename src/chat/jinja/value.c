/* value.c - making, comparing and looking into values, with Python's rules: True == 1 == 1.0,
 * dicts keep their order, strings are counted in code points. */
#define _GNU_SOURCE /* memmem */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "base/map.h"
#include "base/utf8.h"
#include "chat/jinja/vm.h"

enum { SMALL_DICT = 8 };

/* ---- strings ---------------------------------------------------------------------------- */

puna_jv puna_jv_borrow(puna_jvm *vm, const char *data, size_t n)
{
    puna_jstr *s = puna_jvm_alloc(vm, 1, sizeof *s);
    if (!s)
        return puna_jv_undefined(vm, NULL);
    *s = (puna_jstr){ .data = data, .n = n, .n_chars = SIZE_MAX };
    return (puna_jv){ .type = PUNA_J_STR, .u.s = s };
}

puna_jv puna_jv_text(puna_jvm *vm, const char *data, size_t n)
{
    char *copy = puna_jvm_alloc(vm, n, 1);
    if (!copy)
        return puna_jv_undefined(vm, NULL);
    if (n)
        memcpy(copy, data, n);
    return puna_jv_borrow(vm, copy, n);
}

puna_jv puna_jv_literal(puna_jvm *vm, const char *text)
{
    return puna_jv_borrow(vm, text, strlen(text));
}

puna_buf puna_jv_buf(puna_jvm *vm)
{
    return puna_buf_make(vm->limits.output_bytes);
}

puna_jv puna_jv_take(puna_jvm *vm, puna_buf *buf)
{
    if (buf->failed)
        puna_jvm_fail(vm, "made a text longer than %zu bytes", vm->limits.output_bytes);
    puna_jv v = vm->failed ? puna_jv_undefined(vm, NULL) : puna_jv_text(vm, buf->data, buf->n);
    puna_buf_free(buf);
    return v;
}

/* Where a text that ends at `end` goes on, or NULL: no room is known there. */
static struct puna_jtail *tail_at(puna_jvm *vm, const char *end, size_t n)
{
    for (size_t i = 0; i < sizeof vm->tails / sizeof *vm->tails; i++)
        if (vm->tails[i].end == end && vm->tails[i].room >= n)
            return &vm->tails[i];
    return NULL;
}

/* The tail to give up for a new one: that with the least room, which grew the least or is full. */
static struct puna_jtail *least_tail(puna_jvm *vm)
{
    struct puna_jtail *least = vm->tails;
    for (size_t i = 1; i < sizeof vm->tails / sizeof *vm->tails; i++)
        if (vm->tails[i].room < least->room)
            least = &vm->tails[i];
    return least;
}

/* Repeated `text = text + more` grows in place: the newest concatenations keep spare room behind
 * them, and shorter strings that share their start stay valid. */
puna_jv puna_jv_concat(puna_jvm *vm, puna_jv a, puna_jv b)
{
    if (vm->failed)
        return a;
    size_t na = a.u.s->n, nb = b.u.s->n;
    if (!nb || !na)
        return nb ? b : a;
    if (nb > vm->limits.output_bytes || na > vm->limits.output_bytes - nb)
        return puna_jvm_fail(vm, "made a text longer than %zu bytes", vm->limits.output_bytes);
    const char *data = a.u.s->data;
    struct puna_jtail *tail = tail_at(vm, data + na, nb);
    if (tail) {
        if (!puna_jvm_charge(vm, nb))
            return puna_jv_undefined(vm, NULL);
    } else {
        size_t capacity = na + nb < 32 ? 64 : 2 * (na + nb);
        char *copy = puna_jvm_alloc(vm, capacity, 1);
        if (!copy)
            return puna_jv_undefined(vm, NULL);
        memcpy(copy, data, na);
        data = copy;
        tail = least_tail(vm);
        *tail = (struct puna_jtail){ .end = copy + na, .room = capacity - na };
    }
    memcpy(tail->end, b.u.s->data, nb);
    tail->end += nb;
    tail->room -= nb;
    puna_jv v = puna_jv_borrow(vm, data, na + nb);
    if (v.type == PUNA_J_STR && a.u.s->n_chars != SIZE_MAX && b.u.s->n_chars != SIZE_MAX)
        v.u.s->n_chars = a.u.s->n_chars + b.u.s->n_chars;
    return v;
}

size_t puna_jv_chars(puna_jv string)
{
    puna_jstr *s = string.u.s;
    if (s->n_chars == SIZE_MAX) {
        size_t n = 0;
        for (size_t i = 0; i < s->n; i++)
            n += ((unsigned char)s->data[i] & 0xc0) != 0x80;
        s->n_chars = n;
    }
    return s->n_chars;
}

size_t puna_jv_byte_of(puna_jv string, size_t i_char)
{
    const puna_jstr *s = string.u.s;
    if (puna_jv_chars(string) == s->n)
        return i_char;
    size_t at = 0;
    for (size_t i = 0; at < s->n; at++)
        if (((unsigned char)s->data[at] & 0xc0) != 0x80 && i++ == i_char)
            break;
    return at;
}

puna_jv puna_jv_undefined(puna_jvm *vm, const char *hint)
{
    puna_jv v = { .type = PUNA_J_UNDEFINED, .flag = PUNA_J_NO_HINT };
    if (hint && !vm->failed) {
        puna_jv text = puna_jv_literal(vm, hint);
        if (text.type == PUNA_J_STR)
            v.u.s = text.u.s;
    }
    return v;
}

bool puna_jv_refuse_undefined(puna_jvm *vm, puna_jv v)
{
    if (v.type != PUNA_J_UNDEFINED)
        return false;
    int n = v.u.s ? (v.u.s->n < 120 ? (int)v.u.s->n : 120) : 0;
    const char *name = v.u.s ? v.u.s->data : "";
    const char *of = puna_jv_type_name(puna_jv_of((puna_jtype)v.of));
    if (v.flag == PUNA_J_NO_NAME)
        puna_jvm_fail(vm, "'%.*s' is undefined", n, name);
    else if (v.flag == PUNA_J_NO_ATTRIBUTE)
        puna_jvm_fail(vm, "'%s' object has no attribute or item '%.*s'", of, n, name);
    else if (v.flag == PUNA_J_UNSAFE)
        puna_jvm_fail(vm, "access to attribute '%.*s' of '%s' object is unsafe", n, name, of);
    else
        puna_jvm_fail(vm, "%.*s", n ? n : 24, n ? name : "the value is undefined");
    return true;
}

/* ---- lists ------------------------------------------------------------------------------ */

puna_jv puna_jv_list(puna_jvm *vm, size_t capacity)
{
    puna_jlist *list = puna_jvm_alloc(vm, 1, sizeof *list);
    if (!list)
        return puna_jv_undefined(vm, NULL);
    if (capacity) {
        list->items = puna_jvm_alloc(vm, capacity, sizeof *list->items);
        list->capacity = list->items ? capacity : 0;
    }
    return (puna_jv){ .type = PUNA_J_LIST, .u.list = list };
}

puna_jv puna_jv_tuple(puna_jvm *vm, size_t capacity)
{
    puna_jv v = puna_jv_list(vm, capacity);
    if (v.type == PUNA_J_LIST)
        v.type = PUNA_J_TUPLE;
    return v;
}

void puna_jv_append(puna_jvm *vm, puna_jv v, puna_jv item)
{
    if (vm->failed || (v.type != PUNA_J_LIST && v.type != PUNA_J_TUPLE))
        return;
    puna_jlist *list = v.u.list;
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 8;
        puna_jv *items = puna_jvm_alloc(vm, capacity, sizeof *items);
        if (!items)
            return;
        if (list->n)
            memcpy(items, list->items, list->n * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->n++] = item;
}

puna_jv puna_jv_pair(puna_jvm *vm, puna_jv a, puna_jv b)
{
    puna_jv v = puna_jv_tuple(vm, 2);
    puna_jv_append(vm, v, a);
    puna_jv_append(vm, v, b);
    return v;
}

/* ---- dicts ------------------------------------------------------------------------------ */

uint32_t puna_jv_hash(puna_jvm *vm, puna_jv v, bool *hashable)
{
    *hashable = true;
    switch (v.type) {
    case PUNA_J_STR:
        if (!v.u.s->hash) {
            puna_jvm_charge(vm, v.u.s->n);
            v.u.s->hash = puna_hash(v.u.s->data, v.u.s->n) | 1;
        }
        return v.u.s->hash;
    case PUNA_J_FLOAT:
        if (v.u.f >= -9e18 && v.u.f <= 9e18 && v.u.f == floor(v.u.f))
            v.u.i = (int64_t)v.u.f;
        return puna_hash(&v.u.i, sizeof v.u.i);
    case PUNA_J_BOOL:
    case PUNA_J_INT:
        return puna_hash(&v.u.i, sizeof v.u.i);
    case PUNA_J_TUPLE: {
        uint32_t hash = 17;
        if (!puna_jvm_enter(vm))
            return 0;
        for (size_t i = 0; i < v.u.list->n && *hashable && puna_jvm_step(vm); i++)
            hash = hash * 31 + puna_jv_hash(vm, v.u.list->items[i], hashable);
        puna_jvm_leave(vm);
        return hash;
    }
    case PUNA_J_LIST:
    case PUNA_J_DICT:
    case PUNA_J_VIEW:
        *hashable = false;
        return 0;
    case PUNA_J_NONE:
    case PUNA_J_UNDEFINED:
        return v.type;
    default:
        return (uint32_t)v.type * 31u + (uint32_t)((uintptr_t)v.u.dict >> 4);
    }
}

puna_jv puna_jv_dict(puna_jvm *vm)
{
    puna_jdict *dict = puna_jvm_alloc(vm, 1, sizeof *dict);
    if (!dict)
        return puna_jv_undefined(vm, NULL);
    return (puna_jv){ .type = PUNA_J_DICT, .u.dict = dict };
}

static puna_jentry *find_entry(puna_jvm *vm, const puna_jdict *dict, puna_jv key, uint32_t hash)
{
    if (!dict->index) {
        for (size_t i = 0; i < dict->n; i++)
            if (dict->entries[i].hash == hash && puna_jv_equal(vm, dict->entries[i].key, key))
                return &dict->entries[i];
        return NULL;
    }
    size_t mask = dict->index_size - 1;
    for (size_t i = hash & mask; dict->index[i]; i = (i + 1) & mask) {
        puna_jentry *entry = &dict->entries[dict->index[i] - 1];
        if (entry->hash == hash && puna_jv_equal(vm, entry->key, key))
            return entry;
    }
    return NULL;
}

static void index_entry(puna_jdict *dict, size_t i_entry)
{
    size_t mask = dict->index_size - 1, i = dict->entries[i_entry].hash & mask;
    while (dict->index[i])
        i = (i + 1) & mask;
    dict->index[i] = (uint32_t)i_entry + 1;
}

static bool grow_dict(puna_jvm *vm, puna_jdict *dict)
{
    size_t capacity = dict->capacity ? dict->capacity * 2 : 4;
    if (capacity > UINT32_MAX / 2) {
        puna_jvm_fail(vm, "dict with too many entries");
        return false;
    }
    puna_jentry *entries = puna_jvm_alloc(vm, capacity, sizeof *entries);
    if (!entries)
        return false;
    if (dict->n)
        memcpy(entries, dict->entries, dict->n * sizeof *entries);
    dict->entries = entries;
    dict->capacity = capacity;
    if (capacity <= SMALL_DICT)
        return true;
    dict->index = puna_jvm_alloc(vm, capacity * 2, sizeof *dict->index);
    if (!dict->index)
        return false;
    dict->index_size = capacity * 2;
    for (size_t i = 0; i < dict->n; i++)
        index_entry(dict, i);
    return true;
}

void puna_jv_set(puna_jvm *vm, puna_jv v, puna_jv key, puna_jv value)
{
    bool hashable;
    if (vm->failed || !v.u.dict)
        return;
    puna_jdict *dict = v.u.dict;
    uint32_t hash = puna_jv_hash(vm, key, &hashable);
    if (!hashable) {
        puna_jvm_fail(vm, "unhashable type: '%s'", puna_jv_type_name(key));
        return;
    }
    puna_jentry *entry = find_entry(vm, dict, key, hash);
    if (entry) {
        entry->value = value;
        return;
    }
    if (dict->n == dict->capacity && !grow_dict(vm, dict))
        return;
    dict->entries[dict->n] = (puna_jentry){ .key = key, .value = value, .hash = hash };
    if (dict->index)
        index_entry(dict, dict->n);
    dict->n++;
}

puna_jv puna_jv_get(puna_jvm *vm, puna_jv v, puna_jv key)
{
    bool hashable;
    if (vm->failed)
        return puna_jv_of(PUNA_J_MISSING);
    uint32_t hash = puna_jv_hash(vm, key, &hashable);
    const puna_jentry *entry = hashable ? find_entry(vm, v.u.dict, key, hash) : NULL;
    return entry ? entry->value : puna_jv_of(PUNA_J_MISSING);
}

puna_jv puna_jv_from_json(puna_jvm *vm, const json_t *json)
{
    puna_jv v = puna_jv_of(PUNA_J_NONE);
    if (!puna_jvm_enter(vm))
        return v;
    switch (json_typeof(json)) {
    case JSON_OBJECT: {
        const char *key;
        json_t *value;
        v = puna_jv_dict(vm);
        json_object_foreach((json_t *)(uintptr_t)json, key, value)
        {
            if (vm->failed)
                break;
            puna_jv name = puna_jv_literal(vm, key);
            puna_jv_set(vm, v, name, puna_jv_from_json(vm, value));
        }
        break;
    }
    case JSON_ARRAY:
        v = puna_jv_list(vm, json_array_size(json));
        for (size_t i = 0; i < json_array_size(json) && !vm->failed; i++)
            puna_jv_append(vm, v, puna_jv_from_json(vm, json_array_get(json, i)));
        break;
    case JSON_STRING:
        v = puna_jv_borrow(vm, json_string_value(json), json_string_length(json));
        break;
    case JSON_INTEGER:
        v = puna_jv_int(json_integer_value(json));
        break;
    case JSON_REAL:
        v = puna_jv_float(json_real_value(json));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        v = puna_jv_bool(json_is_true(json));
        break;
    case JSON_NULL:
        break;
    }
    puna_jvm_leave(vm);
    return v;
}

/* ---- questions -------------------------------------------------------------------------- */

const char *puna_jv_type_name(puna_jv v)
{
    static const char *const names[] = { "missing",  "Undefined", "NoneType",    "bool",      "int",
                                         "float",    "str",       "list",        "tuple",     "dict",
                                         "range",    "dict view", "generator",   "Namespace", "Macro",
                                         "function", "method",    "LoopContext", "Cycler",    "Joiner" };
    return v.type == PUNA_J_STR && v.flag ? "Markup" : names[v.type];
}

int64_t puna_jv_length(puna_jv v)
{
    switch (v.type) {
    case PUNA_J_UNDEFINED:
        return 0;
    case PUNA_J_STR:
        return (int64_t)puna_jv_chars(v);
    case PUNA_J_LIST:
    case PUNA_J_TUPLE:
        return (int64_t)v.u.list->n;
    case PUNA_J_DICT:
    case PUNA_J_VIEW:
        return (int64_t)v.u.dict->n;
    case PUNA_J_RANGE:
        return (int64_t)v.u.range->n;
    default:
        return -1;
    }
}

bool puna_jv_true(puna_jv v)
{
    switch (v.type) {
    case PUNA_J_MISSING:
    case PUNA_J_UNDEFINED:
    case PUNA_J_NONE:
        return false;
    case PUNA_J_BOOL:
    case PUNA_J_INT:
        return v.u.i != 0;
    case PUNA_J_FLOAT:
        return v.u.f != 0;
    case PUNA_J_STR:
        return v.u.s->n != 0;
    case PUNA_J_LOOP:
        return true;
    default: {
        int64_t n = puna_jv_length(v);
        return n != 0;
    }
    }
}

bool puna_jv_same(puna_jv a, puna_jv b)
{
    if (a.type != b.type)
        return false;
    switch (a.type) {
    case PUNA_J_NONE:
        return true;
    case PUNA_J_BOOL:
    case PUNA_J_INT:
        return a.u.i == b.u.i;
    case PUNA_J_FLOAT:
        return a.u.f == b.u.f;
    case PUNA_J_STR: /* Python shares equal constants and single characters */
        return a.u.s == b.u.s || (a.u.s->n == b.u.s->n && memcmp(a.u.s->data, b.u.s->data, a.u.s->n) == 0);
    default:
        return a.u.dict == b.u.dict;
    }
}

/* An integer against a float, exactly; 2 for not-a-number. */
static int order_mixed(int64_t i, double f)
{
    if (isnan(f))
        return 2;
    if (f >= 9223372036854775808.0 || f < -9223372036854775808.0)
        return f > 0 ? -1 : 1;
    int64_t whole = (int64_t)f;
    double rest = f - (double)whole;
    return i < whole ? -1 : i > whole ? 1 : rest > 0 ? -1 : rest < 0;
}

static int order_numbers(puna_jv a, puna_jv b)
{
    if (a.type != PUNA_J_FLOAT && b.type != PUNA_J_FLOAT)
        return a.u.i < b.u.i ? -1 : a.u.i > b.u.i;
    if (b.type != PUNA_J_FLOAT) {
        int order = order_mixed(b.u.i, a.u.f);
        return order == 2 ? 2 : -order;
    }
    if (a.type != PUNA_J_FLOAT)
        return order_mixed(a.u.i, b.u.f);
    return a.u.f < b.u.f ? -1 : a.u.f > b.u.f ? 1 : a.u.f == b.u.f ? 0 : 2;
}

static bool equal_lists(puna_jvm *vm, const puna_jlist *a, const puna_jlist *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!puna_jv_equal(vm, a->items[i], b->items[i]))
            return false;
    return true;
}

static bool equal_dicts(puna_jvm *vm, const puna_jdict *a, puna_jv b)
{
    if (a->n != b.u.dict->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        puna_jv other = puna_jv_get(vm, b, a->entries[i].key);
        if (other.type == PUNA_J_MISSING || !puna_jv_equal(vm, a->entries[i].value, other))
            return false;
    }
    return true;
}

static bool equal_views(puna_jvm *vm, puna_jv a, puna_jv b)
{
    if (a.flag != b.flag || a.flag == PUNA_J_VALUES || a.u.dict->n != b.u.dict->n)
        return a.flag == b.flag && a.u.dict == b.u.dict && a.flag != PUNA_J_VALUES;
    puna_jv other = b;
    other.type = PUNA_J_DICT;
    for (size_t i = 0; i < a.u.dict->n; i++) {
        puna_jv value = puna_jv_get(vm, other, a.u.dict->entries[i].key);
        if (value.type == PUNA_J_MISSING ||
            (a.flag == PUNA_J_ITEMS && !puna_jv_equal(vm, a.u.dict->entries[i].value, value)))
            return false;
    }
    return true;
}

bool puna_jv_equal(puna_jvm *vm, puna_jv a, puna_jv b)
{
    if (!puna_jvm_step(vm))
        return false;
    if (puna_jv_is_number(a) && puna_jv_is_number(b))
        return order_numbers(a, b) == 0;
    if (a.type != b.type)
        return false;
    bool equal = false;
    switch (a.type) {
    case PUNA_J_UNDEFINED:
    case PUNA_J_NONE:
        return true;
    case PUNA_J_STR:
        if (a.u.s == b.u.s)
            return true;
        return a.u.s->n == b.u.s->n && puna_jvm_charge(vm, a.u.s->n) &&
               memcmp(a.u.s->data, b.u.s->data, a.u.s->n) == 0;
    case PUNA_J_RANGE:
        return a.u.range->n == b.u.range->n &&
               (!a.u.range->n || (a.u.range->start == b.u.range->start &&
                                  (a.u.range->n == 1 || a.u.range->step == b.u.range->step)));
    case PUNA_J_METHOD:
        return a.u.method->builtin == b.u.method->builtin && puna_jv_same(a.u.method->self, b.u.method->self);
    case PUNA_J_LIST:
    case PUNA_J_TUPLE:
    case PUNA_J_DICT:
    case PUNA_J_VIEW:
        if (!puna_jvm_enter(vm))
            return false;
        equal = a.type == PUNA_J_DICT   ? equal_dicts(vm, a.u.dict, b)
                : a.type == PUNA_J_VIEW ? equal_views(vm, a, b)
                                        : equal_lists(vm, a.u.list, b.u.list);
        puna_jvm_leave(vm);
        return equal;
    default:
        return a.u.dict == b.u.dict;
    }
}

static int compare_lists(puna_jvm *vm, const puna_jlist *a, const puna_jlist *b, const char *op)
{
    for (size_t i = 0; i < a->n && i < b->n; i++)
        if (!puna_jv_equal(vm, a->items[i], b->items[i]))
            return puna_jv_compare(vm, a->items[i], b->items[i], op);
    return a->n < b->n ? -1 : a->n > b->n;
}

int puna_jv_compare(puna_jvm *vm, puna_jv a, puna_jv b, const char *op)
{
    if (!puna_jvm_step(vm))
        return 0;
    if (puna_jv_is_number(a) && puna_jv_is_number(b))
        return order_numbers(a, b);
    if (puna_jv_refuse_undefined(vm, a) || puna_jv_refuse_undefined(vm, b))
        return 0;
    if (a.type == PUNA_J_STR && b.type == PUNA_J_STR) { /* UTF-8 orders as code points do */
        size_t n = a.u.s->n < b.u.s->n ? a.u.s->n : b.u.s->n;
        if (!puna_jvm_charge(vm, n))
            return 0;
        int c = n ? memcmp(a.u.s->data, b.u.s->data, n) : 0;
        return c ? (c < 0 ? -1 : 1) : a.u.s->n < b.u.s->n ? -1 : a.u.s->n > b.u.s->n;
    }
    if ((a.type == PUNA_J_LIST || a.type == PUNA_J_TUPLE) && a.type == b.type) {
        if (!puna_jvm_enter(vm))
            return 0;
        int c = compare_lists(vm, a.u.list, b.u.list, op);
        puna_jvm_leave(vm);
        return c;
    }
    puna_jvm_fail(vm, "'%s' not supported between '%s' and '%s'", op, puna_jv_type_name(a),
                  puna_jv_type_name(b));
    return 0;
}

static bool find_text(puna_jvm *vm, const puna_jstr *in, const puna_jstr *what)
{
    if (!puna_jvm_charge(vm, in->n) || what->n > in->n)
        return false;
    return !what->n || memmem(in->data, in->n, what->data, what->n) != NULL;
}

bool puna_jv_contains(puna_jvm *vm, puna_jv container, puna_jv item)
{
    if (container.type == PUNA_J_STR) {
        if (item.type == PUNA_J_STR)
            return find_text(vm, container.u.s, item.u.s);
        puna_jvm_fail(vm, "'in <string>' requires string as left operand, not %s", puna_jv_type_name(item));
        return false;
    }
    if (container.type == PUNA_J_DICT || (container.type == PUNA_J_VIEW && container.flag == PUNA_J_KEYS)) {
        bool hashable;
        puna_jv_hash(vm, item, &hashable);
        if (!hashable)
            puna_jvm_fail(vm, "unhashable type: '%s'", puna_jv_type_name(item));
        container.type = PUNA_J_DICT;
        return !vm->failed && puna_jv_get(vm, container, item).type != PUNA_J_MISSING;
    }
    if (!puna_jv_is_iterable(container)) {
        puna_jvm_fail(vm, "argument of type '%s' is not iterable", puna_jv_type_name(container));
        return false;
    }
    puna_jiter *iter = puna_jiter_new(vm, container);
    while (iter && !vm->failed) {
        puna_jv v = puna_jiter_next(vm, iter);
        if (v.type == PUNA_J_MISSING)
            break;
        if (puna_jv_same(v, item) || puna_jv_equal(vm, v, item))
            return true;
    }
    return false;
}
