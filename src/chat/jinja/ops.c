/* ops.c - operators, attributes, items and slices as Python computes them, on 64-bit integers:
 * a result beyond 64 bits is an error. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "base/utf8.h"
#include "chat/jinja/ast.h"

static const char *symbol(uint8_t op)
{
    switch (op) {
    case PUNA_JT_ADD:
        return "+";
    case PUNA_JT_SUB:
        return "-";
    case PUNA_JT_MUL:
        return "*";
    case PUNA_JT_DIV:
        return "/";
    case PUNA_JT_FLOORDIV:
        return "//";
    case PUNA_JT_MOD:
        return "%";
    default:
        return "**";
    }
}

static puna_jv mismatch(puna_jvm *vm, uint8_t op, puna_jv a, puna_jv b)
{
    return puna_jvm_fail(vm, "unsupported operand types for %s: '%s' and '%s'", symbol(op),
                         puna_jv_type_name(a), puna_jv_type_name(b));
}

static puna_jv too_large(puna_jvm *vm)
{
    return puna_jvm_fail(vm, "integer result beyond 64 bits");
}

static puna_jv zero_division(puna_jvm *vm)
{
    return puna_jvm_fail(vm, "division by zero");
}

static puna_jv power(puna_jvm *vm, int64_t base, int64_t exponent)
{
    int64_t result = 1;
    bool overflow = false;
    if (exponent < 0) {
        if (!base)
            return puna_jvm_fail(vm, "0.0 cannot be raised to a negative power");
        return puna_jv_float(pow((double)base, (double)exponent));
    }
    while (exponent && !overflow) {
        if (exponent & 1)
            overflow = __builtin_mul_overflow(result, base, &result);
        exponent >>= 1;
        if (exponent && __builtin_mul_overflow(base, base, &base))
            overflow = true;
    }
    return overflow ? too_large(vm) : puna_jv_int(result);
}

static puna_jv integers(puna_jvm *vm, uint8_t op, int64_t a, int64_t b)
{
    int64_t r;
    switch (op) {
    case PUNA_JT_ADD:
        return __builtin_add_overflow(a, b, &r) ? too_large(vm) : puna_jv_int(r);
    case PUNA_JT_SUB:
        return __builtin_sub_overflow(a, b, &r) ? too_large(vm) : puna_jv_int(r);
    case PUNA_JT_MUL:
        return __builtin_mul_overflow(a, b, &r) ? too_large(vm) : puna_jv_int(r);
    case PUNA_JT_DIV:
        return b ? puna_jv_float((double)a / (double)b) : zero_division(vm);
    case PUNA_JT_POW:
        return power(vm, a, b);
    default:
        break;
    }
    if (!b)
        return zero_division(vm);
    if (b == -1) /* INT64_MIN / -1 traps */
        return op == PUNA_JT_MOD ? puna_jv_int(0) : integers(vm, PUNA_JT_SUB, 0, a);
    int64_t quotient = a / b, rest = a % b;
    if (rest && (rest < 0) != (b < 0)) {
        quotient--;
        rest += b;
    }
    return puna_jv_int(op == PUNA_JT_MOD ? rest : quotient);
}

/* Python's float // and %: the quotient is floored, the rest has the divisor's sign. */
static puna_jv floor_division(uint8_t op, double a, double b)
{
    double rest = fmod(a, b), quotient = (a - rest) / b;
    if (rest != 0) {
        if ((b < 0) != (rest < 0)) {
            rest += b;
            quotient -= 1;
        }
    } else {
        rest = copysign(0, b);
    }
    if (op == PUNA_JT_MOD)
        return puna_jv_float(rest);
    if (quotient == 0)
        return puna_jv_float(copysign(0, a / b));
    double floored = floor(quotient);
    return puna_jv_float(quotient - floored > 0.5 ? floored + 1 : floored);
}

static puna_jv floats(puna_jvm *vm, uint8_t op, double a, double b)
{
    double r;
    switch (op) {
    case PUNA_JT_ADD:
        return puna_jv_float(a + b);
    case PUNA_JT_SUB:
        return puna_jv_float(a - b);
    case PUNA_JT_MUL:
        return puna_jv_float(a * b);
    case PUNA_JT_DIV:
        return b != 0 ? puna_jv_float(a / b) : zero_division(vm);
    case PUNA_JT_POW:
        r = pow(a, b);
        if (a == 0 && b < 0)
            return puna_jvm_fail(vm, "0.0 cannot be raised to a negative power");
        if ((isnan(r) && !isnan(a) && !isnan(b)) || (isinf(r) && !isinf(a) && !isinf(b)))
            return puna_jvm_fail(vm, "the power is no finite real number");
        return puna_jv_float(r);
    default:
        return b != 0 ? floor_division(op, a, b) : zero_division(vm);
    }
}

static puna_jv repeat(puna_jvm *vm, puna_jv v, int64_t times)
{
    size_t n = v.type == PUNA_J_STR ? v.u.s->n : v.u.list->n, total;
    size_t count = times > 0 ? (size_t)times : 0;
    size_t most = v.type == PUNA_J_STR ? vm->limits.output_bytes : vm->limits.memory_bytes / sizeof(puna_jv);
    if (!puna_mul_size(n, count, &total) || total > most)
        return puna_jvm_fail(vm, "repeating makes %s of more than %zu %s",
                             v.type == PUNA_J_STR ? "a text" : "a list", most,
                             v.type == PUNA_J_STR ? "bytes" : "items");
    if (v.type == PUNA_J_STR) {
        char *data = puna_jvm_alloc(vm, total, 1);
        for (size_t i = 0; data && n && i < count; i++)
            memcpy(data + i * n, v.u.s->data, n);
        puna_jv text = data ? puna_jv_borrow(vm, data, total) : puna_jv_undefined(vm, NULL);
        text.flag = v.flag;
        return text;
    }
    puna_jv list = v.type == PUNA_J_LIST ? puna_jv_list(vm, total) : puna_jv_tuple(vm, total);
    for (size_t i = 0; i < total && !vm->failed; i++)
        puna_jv_append(vm, list, v.u.list->items[i % n]);
    return list;
}

static puna_jv join_lists(puna_jvm *vm, puna_jv a, puna_jv b)
{
    size_t total;
    if (!puna_add_size(a.u.list->n, b.u.list->n, &total))
        return too_large(vm);
    puna_jv list = a.type == PUNA_J_LIST ? puna_jv_list(vm, total) : puna_jv_tuple(vm, total);
    for (size_t i = 0; i < total && !vm->failed; i++)
        puna_jv_append(vm, list, i < a.u.list->n ? a.u.list->items[i] : b.u.list->items[i - a.u.list->n]);
    return list;
}

static puna_jv join_strings(puna_jvm *vm, puna_jv a, puna_jv b)
{
    bool safe = a.flag || b.flag;
    a = puna_jv_soft_escape(vm, a, safe);
    b = puna_jv_soft_escape(vm, b, safe);
    if (vm->failed)
        return puna_jv_undefined(vm, NULL);
    puna_jv v = puna_jv_concat(vm, a, b);
    v.flag = v.type == PUNA_J_STR ? safe : v.flag;
    return v;
}

static bool is_repeatable(puna_jv v)
{
    return v.type == PUNA_J_STR || v.type == PUNA_J_LIST || v.type == PUNA_J_TUPLE;
}

puna_jv puna_jv_binary(puna_jvm *vm, uint8_t op, puna_jv a, puna_jv b)
{
    if (!puna_jvm_step(vm))
        return puna_jv_undefined(vm, NULL);
    if (puna_jv_is_integer(a) && puna_jv_is_integer(b))
        return integers(vm, op, a.u.i, b.u.i);
    if (puna_jv_is_number(a) && puna_jv_is_number(b))
        return floats(vm, op, puna_jv_number(a), puna_jv_number(b));
    if (op == PUNA_JT_MOD && a.type == PUNA_J_STR)
        return puna_jv_printf(vm, a, b);
    if (puna_jv_refuse_undefined(vm, a) || puna_jv_refuse_undefined(vm, b))
        return puna_jv_undefined(vm, NULL);
    if (op == PUNA_JT_ADD && a.type == PUNA_J_STR && b.type == PUNA_J_STR)
        return join_strings(vm, a, b);
    if (op == PUNA_JT_ADD && a.type == b.type && (a.type == PUNA_J_LIST || a.type == PUNA_J_TUPLE))
        return join_lists(vm, a, b);
    if (op == PUNA_JT_MUL && is_repeatable(a) && puna_jv_is_integer(b))
        return repeat(vm, a, b.u.i);
    if (op == PUNA_JT_MUL && is_repeatable(b) && puna_jv_is_integer(a))
        return repeat(vm, b, a.u.i);
    return mismatch(vm, op, a, b);
}

puna_jv puna_jv_negate(puna_jvm *vm, puna_jv v, bool minus)
{
    if (v.type == PUNA_J_FLOAT)
        return puna_jv_float(minus ? -v.u.f : v.u.f);
    if (puna_jv_is_integer(v))
        return minus ? integers(vm, PUNA_JT_SUB, 0, v.u.i) : puna_jv_int(v.u.i);
    if (puna_jv_refuse_undefined(vm, v))
        return v;
    return puna_jvm_fail(vm, "bad operand type for unary %c: '%s'", minus ? '-' : '+', puna_jv_type_name(v));
}

/* ---- attributes and items --------------------------------------------------------------- */

static puna_jv lacking(puna_jvm *vm, puna_jv v, puna_jv name, uint8_t why)
{
    puna_jv text = name.type == PUNA_J_STR ? name : puna_jv_to_str(vm, name);
    puna_jv missing = { .type = PUNA_J_UNDEFINED, .flag = why, .of = v.type };
    if (text.type == PUNA_J_STR)
        missing.u.s = text.u.s;
    return missing;
}

static bool is_text(puna_jv name, const char *text)
{
    size_t n = strlen(text);
    return name.u.s->n == n && memcmp(name.u.s->data, text, n) == 0;
}

/* Data attributes of numbers and ranges; MISSING when the name is none. */
static puna_jv data_attribute(puna_jv v, puna_jv name)
{
    if (v.type == PUNA_J_RANGE) {
        if (is_text(name, "start"))
            return puna_jv_int(v.u.range->start);
        if (is_text(name, "stop"))
            return puna_jv_int(v.u.range->stop);
        if (is_text(name, "step"))
            return puna_jv_int(v.u.range->step);
    } else if (puna_jv_is_number(v)) {
        if (is_text(name, "real"))
            return v.type == PUNA_J_FLOAT ? v : puna_jv_int(v.u.i);
        if (is_text(name, "imag"))
            return v.type == PUNA_J_FLOAT ? puna_jv_float(0) : puna_jv_int(0);
    }
    return puna_jv_of(PUNA_J_MISSING);
}

/* A method, or what a tuple of groupby and a macro name; MISSING when there is none. */
static puna_jv native_attribute(puna_jvm *vm, puna_jv v, puna_jv name)
{
    if (v.type == PUNA_J_LOOP)
        return puna_jloop_attribute(vm, v, name);
    if (v.type == PUNA_J_TUPLE && v.flag && v.u.list->n == 2 && is_text(name, "grouper"))
        return v.u.list->items[0];
    if (v.type == PUNA_J_TUPLE && v.flag && v.u.list->n == 2 && is_text(name, "list"))
        return v.u.list->items[1];
    if (v.type == PUNA_J_MACRO && is_text(name, "name") && v.u.macro->name)
        return puna_jv_borrow(vm, v.u.macro->name->data, v.u.macro->name->n);
    if (v.type == PUNA_J_CYCLER && is_text(name, "current"))
        return v.u.cycler->items->items[v.u.cycler->at];
    puna_jv data = data_attribute(v, name);
    if (data.type != PUNA_J_MISSING)
        return data;
    if (puna_jbuiltin_is_mutator(v, name.u.s->data, name.u.s->n))
        return lacking(vm, v, name, PUNA_J_UNSAFE);
    const puna_jbuiltin *builtin = puna_jbuiltin_method(v, name.u.s->data, name.u.s->n);
    if (!builtin)
        return puna_jv_of(PUNA_J_MISSING);
    puna_jmethod *method = puna_jvm_alloc(vm, 1, sizeof *method);
    if (!method)
        return puna_jv_undefined(vm, NULL);
    *method = (puna_jmethod){ .self = v, .builtin = builtin };
    return (puna_jv){ .type = PUNA_J_METHOD, .u.method = method };
}

static puna_jv namespace_attribute(puna_jvm *vm, puna_jv v, puna_jv name)
{
    puna_jv value = puna_jv_get(vm, v, name);
    if (value.type == PUNA_J_MISSING)
        return lacking(vm, v, name, PUNA_J_NO_ATTRIBUTE);
    return name.u.s->n && name.u.s->data[0] == '_' ? lacking(vm, v, name, PUNA_J_UNSAFE) : value;
}

puna_jv puna_jv_attribute(puna_jvm *vm, puna_jv v, puna_jv name)
{
    if (vm->failed || puna_jv_refuse_undefined(vm, v))
        return v;
    if (v.type == PUNA_J_NAMESPACE)
        return namespace_attribute(vm, v, name);
    puna_jv value = native_attribute(vm, v, name);
    if (value.type == PUNA_J_MISSING && v.type == PUNA_J_DICT)
        value = puna_jv_get(vm, v, name);
    return value.type == PUNA_J_MISSING ? lacking(vm, v, name, PUNA_J_NO_ATTRIBUTE) : value;
}

static bool resolve_index(int64_t i, int64_t n, size_t *out)
{
    if (i < 0)
        i += n;
    if (i < 0 || i >= n)
        return false;
    *out = (size_t)i;
    return true;
}

static puna_jv char_at(puna_jvm *vm, puna_jv v, size_t i)
{
    size_t from = puna_jv_byte_of(v, i);
    int32_t c;
    puna_jvm_charge(vm, from);
    int n = puna_utf8_decode(v.u.s->data + from, v.u.s->n - from, &c);
    puna_jv one = puna_jv_borrow(vm, v.u.s->data + from, (size_t)n);
    if (one.type == PUNA_J_STR)
        one.flag = v.flag;
    return one;
}

puna_jv puna_jv_item(puna_jvm *vm, puna_jv v, puna_jv key)
{
    size_t i;
    if (vm->failed || puna_jv_refuse_undefined(vm, v))
        return v;
    if (v.type == PUNA_J_DICT) {
        puna_jv value = puna_jv_get(vm, v, key);
        if (value.type != PUNA_J_MISSING || vm->failed)
            return value.type == PUNA_J_MISSING ? puna_jv_undefined(vm, NULL) : value;
    } else if (puna_jv_is_integer(key)) {
        switch (v.type) {
        case PUNA_J_LIST:
        case PUNA_J_TUPLE:
            if (resolve_index(key.u.i, (int64_t)v.u.list->n, &i))
                return v.u.list->items[i];
            break;
        case PUNA_J_STR:
            if (resolve_index(key.u.i, (int64_t)puna_jv_chars(v), &i))
                return char_at(vm, v, i);
            break;
        case PUNA_J_RANGE:
            if (resolve_index(key.u.i, (int64_t)v.u.range->n, &i))
                return puna_jv_int(puna_jrange_at(v.u.range, i));
            break;
        default:
            break;
        }
    }
    if (key.type == PUNA_J_STR) {
        if (v.type == PUNA_J_NAMESPACE)
            return namespace_attribute(vm, v, key);
        puna_jv value = native_attribute(vm, v, key);
        if (value.type != PUNA_J_MISSING)
            return value;
    }
    return lacking(vm, v, key, PUNA_J_NO_ATTRIBUTE);
}

/* One bound of a slice, clamped as Python does for the direction. */
static bool clamp(puna_jvm *vm, puna_jv bound, int64_t n, bool down, bool is_start, int64_t *out)
{
    int64_t low = down ? -1 : 0, high = down ? n - 1 : n;
    if (bound.type == PUNA_J_NONE || bound.type == PUNA_J_MISSING) {
        *out = is_start == down ? high : low;
        return true;
    }
    if (!puna_jv_is_integer(bound)) {
        if (!puna_jv_refuse_undefined(vm, bound))
            puna_jvm_fail(vm, "slice indices must be integers or None, not %s", puna_jv_type_name(bound));
        return false;
    }
    int64_t i = bound.u.i;
    if (i < 0)
        i = i < -n ? low : i + n;
    *out = i < low ? low : i > high ? high : i;
    return true;
}

static puna_jv slice_string(puna_jvm *vm, puna_jv v, int64_t start, int64_t step, size_t count)
{
    if (step == 1) {
        size_t from = puna_jv_byte_of(v, (size_t)start), to = puna_jv_byte_of(v, (size_t)start + count);
        if (puna_jv_chars(v) != v.u.s->n)
            puna_jvm_charge(vm, to);
        return puna_jv_borrow(vm, v.u.s->data + from, to - from);
    }
    puna_buf buf = puna_jv_buf(vm);
    for (size_t k = 0; k < count && !vm->failed; k++) {
        puna_jv c = char_at(vm, v, (size_t)(start + (int64_t)k * step));
        if (c.type == PUNA_J_STR)
            puna_buf_add(&buf, c.u.s->data, c.u.s->n);
    }
    return puna_jv_take(vm, &buf);
}

puna_jv puna_jv_slice(puna_jvm *vm, puna_jv v, const puna_jv bound[3])
{
    int64_t n = puna_jv_length(v), start, stop, step = 1;
    if (vm->failed || puna_jv_refuse_undefined(vm, v))
        return v;
    if (v.type != PUNA_J_STR && v.type != PUNA_J_LIST && v.type != PUNA_J_TUPLE && v.type != PUNA_J_RANGE)
        return puna_jvm_fail(vm, "'%s' object cannot be sliced", puna_jv_type_name(v));
    if (puna_jv_is_integer(bound[2]))
        step = bound[2].u.i;
    else if (bound[2].type != PUNA_J_NONE && bound[2].type != PUNA_J_MISSING)
        return puna_jvm_fail(vm, "slice indices must be integers or None, not %s",
                             puna_jv_type_name(bound[2]));
    if (!step)
        return puna_jvm_fail(vm, "slice step cannot be zero");
    if (step < -n - 1 || step > n + 1)
        step = step < 0 ? -n - 1 : n + 1;
    if (!clamp(vm, bound[0], n, step < 0, true, &start) || !clamp(vm, bound[1], n, step < 0, false, &stop))
        return puna_jv_undefined(vm, NULL);
    size_t count = 0;
    if (step > 0 && start < stop)
        count = (size_t)((stop - start - 1) / step + 1);
    else if (step < 0 && start > stop)
        count = (size_t)((start - stop - 1) / -step + 1);
    if (v.type == PUNA_J_STR) {
        puna_jv text = count ? slice_string(vm, v, start, step, count) : puna_jv_literal(vm, "");
        if (text.type == PUNA_J_STR)
            text.flag = v.flag;
        return text;
    }
    if (v.type == PUNA_J_RANGE) {
        int64_t first = puna_jrange_at(v.u.range, (size_t)(start > 0 ? start : 0)), by, last;
        if (__builtin_mul_overflow(v.u.range->step, step, &by) ||
            __builtin_mul_overflow((int64_t)count, by, &last) || __builtin_add_overflow(first, last, &last))
            return too_large(vm);
        return puna_jrange_new(vm, first, last, by);
    }
    puna_jv list = v.type == PUNA_J_LIST ? puna_jv_list(vm, count) : puna_jv_tuple(vm, count);
    for (size_t k = 0; k < count && !vm->failed; k++)
        puna_jv_append(vm, list, v.u.list->items[start + (int64_t)k * step]);
    return list;
}
