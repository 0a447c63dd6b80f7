/* tests.c - what may stand behind `is`. */
#include <string.h>

#include "chat/jinja/ast.h"
#include "chat/jinja/unicode.h"

static puna_jv divides(puna_jvm *vm, puna_jv v, puna_jv by, int64_t rest)
{
    return puna_jv_bool(puna_jv_equal(vm, puna_jv_binary(vm, PUNA_JT_MOD, v, by), puna_jv_int(rest)));
}

static puna_jv test_odd(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    return divides(vm, v, puna_jv_int(2), 1);
}

static puna_jv test_even(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    return divides(vm, v, puna_jv_int(2), 0);
}

static puna_jv test_divisibleby(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    return divides(vm, v, args->slot[0], 0);
}

#define TYPE_TEST(name, expression)                                                                          \
    static puna_jv test_##name(puna_jvm *vm, puna_jv v, puna_jargs *args)                                    \
    {                                                                                                        \
        (void)vm;                                                                                            \
        (void)args;                                                                                          \
        return puna_jv_bool(expression);                                                                     \
    }

TYPE_TEST(defined, v.type != PUNA_J_UNDEFINED)
TYPE_TEST(undefined, v.type == PUNA_J_UNDEFINED)
TYPE_TEST(none, v.type == PUNA_J_NONE)
TYPE_TEST(boolean, v.type == PUNA_J_BOOL)
TYPE_TEST(true, v.type == PUNA_J_BOOL && v.u.i)
TYPE_TEST(false, v.type == PUNA_J_BOOL && !v.u.i)
TYPE_TEST(integer, v.type == PUNA_J_INT)
TYPE_TEST(float, v.type == PUNA_J_FLOAT)
TYPE_TEST(number, puna_jv_is_number(v))
TYPE_TEST(string, v.type == PUNA_J_STR)
TYPE_TEST(mapping, v.type == PUNA_J_DICT)
TYPE_TEST(iterable, puna_jv_is_iterable(v) || v.type == PUNA_J_LOOP)
TYPE_TEST(escaped, v.type == PUNA_J_STR && v.flag)
TYPE_TEST(callable, v.type == PUNA_J_UNDEFINED || (v.type >= PUNA_J_MACRO && v.type <= PUNA_J_LOOP) ||
                        v.type == PUNA_J_JOINER)
/* Undefined has a length but refuses to give items, which Python's test takes for a sequence. */
TYPE_TEST(sequence, v.type == PUNA_J_STR || v.type == PUNA_J_LIST || v.type == PUNA_J_TUPLE ||
                        v.type == PUNA_J_DICT || v.type == PUNA_J_RANGE || v.type == PUNA_J_UNDEFINED)

static puna_jv is_case(puna_jvm *vm, puna_jv v, bool upper)
{
    bool any = false;
    v = puna_jv_to_str(vm, v);
    if (v.type != PUNA_J_STR)
        return puna_jv_bool(false);
    for (size_t i = 0; i < v.u.s->n;) {
        int32_t c;
        i += (size_t)puna_utf8_decode(v.u.s->data + i, v.u.s->n - i, &c);
        bool is_upper = puna_junicode_is_upper(c), is_lower = puna_junicode_is_lower(c);
        if (upper ? is_lower : is_upper)
            return puna_jv_bool(false);
        if (puna_junicode_is_title(c))
            return puna_jv_bool(false);
        any |= upper ? is_upper : is_lower;
    }
    return puna_jv_bool(any);
}

static puna_jv test_lower(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    return is_case(vm, v, false);
}

static puna_jv test_upper(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    return is_case(vm, v, true);
}

/* Whether v may be a key: asking a table of names for anything else is an error. */
static bool may_be_name(puna_jvm *vm, puna_jv v)
{
    bool hashable;
    puna_jv_hash(vm, v, &hashable);
    if (!hashable)
        puna_jvm_fail(vm, "unhashable type: '%s'", puna_jv_type_name(v));
    return hashable;
}

static puna_jv test_filter(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    return puna_jv_bool(may_be_name(vm, v) && v.type == PUNA_J_STR &&
                        puna_jbuiltin_filter(v.u.s->data, v.u.s->n));
}

static puna_jv test_test(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    return puna_jv_bool(may_be_name(vm, v) && v.type == PUNA_J_STR &&
                        puna_jbuiltin_test(v.u.s->data, v.u.s->n));
}

static puna_jv test_sameas(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)vm;
    return puna_jv_bool(puna_jv_same(v, args->slot[0]));
}

static puna_jv test_in(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    return puna_jv_bool(puna_jv_contains(vm, args->slot[0], v));
}

static puna_jv test_eq(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    return puna_jv_bool(puna_jv_equal(vm, v, args->slot[0]));
}

static puna_jv test_ne(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    return puna_jv_bool(!puna_jv_equal(vm, v, args->slot[0]));
}

static puna_jv test_lt(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    return puna_jv_bool(puna_jv_compare(vm, v, args->slot[0], "<") == -1);
}

static puna_jv test_gt(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    return puna_jv_bool(puna_jv_compare(vm, v, args->slot[0], ">") == 1);
}

static puna_jv test_le(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    int order = puna_jv_compare(vm, v, args->slot[0], "<=");
    return puna_jv_bool(order == -1 || order == 0);
}

static puna_jv test_ge(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    int order = puna_jv_compare(vm, v, args->slot[0], ">=");
    return puna_jv_bool(order == 1 || order == 0);
}

const puna_jbuiltin *puna_jbuiltin_test(const char *name, size_t n)
{
    static const puna_jbuiltin rows[] = {
        { "odd", test_odd, "" },
        { "even", test_even, "" },
        { "divisibleby", test_divisibleby, "num" },
        { "defined", test_defined, "" },
        { "undefined", test_undefined, "" },
        { "filter", test_filter, "" },
        { "test", test_test, "" },
        { "none", test_none, "" },
        { "boolean", test_boolean, "" },
        { "true", test_true, "" },
        { "false", test_false, "" },
        { "integer", test_integer, "" },
        { "float", test_float, "" },
        { "lower", test_lower, "" },
        { "upper", test_upper, "" },
        { "string", test_string, "" },
        { "mapping", test_mapping, "" },
        { "number", test_number, "" },
        { "sequence", test_sequence, "" },
        { "iterable", test_iterable, "" },
        { "callable", test_callable, "" },
        { "sameas", test_sameas, "other" },
        { "escaped", test_escaped, "" },
        { "in", test_in, "seq" },
        { "==", test_eq, "other" },
        { "eq", test_eq, "other" },
        { "equalto", test_eq, "other" },
        { "!=", test_ne, "other" },
        { "ne", test_ne, "other" },
        { ">", test_gt, "other" },
        { "gt", test_gt, "other" },
        { "greaterthan", test_gt, "other" },
        { ">=", test_ge, "other" },
        { "ge", test_ge, "other" },
        { "<", test_lt, "other" },
        { "lt", test_lt, "other" },
        { "lessthan", test_lt, "other" },
        { "<=", test_le, "other" },
        { "le", test_le, "other" },
    };
    return puna_jbuiltin_find(rows, sizeof rows / sizeof *rows, name, n);
}
