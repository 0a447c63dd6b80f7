/* filters.c - filters on text and numbers. tojson is the one of transformers: no HTML escapes,
 * not ASCII only, and with json.dumps' options. */
#include "chat/jinja/filters.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/jinja/ast.h"
#include "chat/jinja/methods.h"
#include "chat/jinja/numbers.h"
#include "chat/jinja/unicode.h"

bool puna_jfilters_integer(puna_jvm *vm, puna_jv v, int64_t fallback, int64_t *out)
{
    *out = fallback;
    if (v.type == PUNA_J_MISSING)
        return true;
    if (!puna_jv_is_integer(v)) {
        if (!puna_jv_refuse_undefined(vm, v))
            puna_jvm_fail(vm, "'%s' object cannot be interpreted as an integer", puna_jv_type_name(v));
        return false;
    }
    *out = v.u.i;
    return true;
}

static bool is_given(puna_jv v)
{
    return v.type != PUNA_J_MISSING && v.type != PUNA_J_NONE;
}

static puna_jv filter_default(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    if (v.type != PUNA_J_UNDEFINED && !(puna_jv_true(args->slot[1]) && !puna_jv_true(v)))
        return v;
    return args->slot[0].type == PUNA_J_MISSING ? puna_jv_literal(vm, "") : args->slot[0];
}

static puna_jv filter_upper(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    return puna_jstr_upper(vm, puna_jv_to_str(vm, v));
}

static puna_jv filter_lower(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    return puna_jstr_lower(vm, puna_jv_to_str(vm, v));
}

static puna_jv filter_capitalize(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    return puna_jstr_capitalize(vm, puna_jv_to_str(vm, v));
}

static bool separates_words(int32_t c)
{
    return puna_junicode_is_space(c) || (c > 0 && c < 128 && strchr("-({[<", (char)c));
}

/* Jinja's own title: a word starts behind space or one of -({[< only. */
static puna_jv filter_title(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    v = puna_jv_to_str(vm, v);
    if (vm->failed)
        return v;
    puna_buf buf = puna_jv_buf(vm);
    const puna_jstr *s = v.u.s;
    for (size_t i = 0; i < s->n;) {
        int32_t c;
        size_t n = (size_t)puna_utf8_decode(s->data + i, s->n - i, &c);
        size_t end = i + n;
        if (separates_words(c)) {
            puna_buf_add(&buf, s->data + i, n);
            i = end;
            continue;
        }
        puna_junicode_map(&buf, c, PUNA_JU_UPPER);
        size_t rest = end;
        while (end < s->n) {
            n = (size_t)puna_utf8_decode(s->data + end, s->n - end, &c);
            if (separates_words(c))
                break;
            end += n;
        }
        puna_junicode_lower(&buf, s->data + rest, end - rest);
        i = end;
    }
    return puna_jv_take(vm, &buf);
}

static puna_jv filter_trim(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    return puna_jstr_strip(vm, puna_jv_to_str(vm, v), args->slot[0], true, true);
}

static puna_jv filter_string(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    return puna_jv_to_str(vm, v);
}

static puna_jv filter_replace(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    int64_t count = -1;
    if (is_given(args->slot[2]) && !puna_jfilters_integer(vm, args->slot[2], -1, &count))
        return v;
    v = puna_jv_to_str(vm, v);
    puna_jv from = puna_jv_to_str(vm, args->slot[0]), to = puna_jv_to_str(vm, args->slot[1]);
    if (vm->failed)
        return v;
    v.flag = 0; /* str() of a marked string is a plain one */
    return puna_jstr_replace(vm, v, from, to, count);
}

static puna_jv filter_center(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    int64_t width;
    v = puna_jv_to_str(vm, v);
    if (vm->failed || !puna_jfilters_integer(vm, args->slot[0], 80, &width))
        return v;
    return puna_jstr_pad(vm, v, width, puna_jv_of(PUNA_J_MISSING), 'c');
}

static puna_jv filter_indent(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    bool first = puna_jv_true(args->slot[1]), blank = puna_jv_true(args->slot[2]);
    int64_t width = 4;
    if (v.type != PUNA_J_STR)
        return puna_jv_refuse_undefined(vm, v)
                   ? v
                   : puna_jvm_fail(vm, "indent takes str, not %s", puna_jv_type_name(v));
    puna_jv by = args->slot[0];
    if (by.type != PUNA_J_STR) {
        if (!puna_jfilters_integer(vm, by, 4, &width))
            return v;
        by = puna_jstr_pad(vm, puna_jv_literal(vm, ""), width, puna_jv_of(PUNA_J_MISSING), 'l');
    }
    puna_jv end = puna_jv_literal(vm, "\n"), lines;
    if (vm->failed)
        return v;
    lines = puna_jstr_lines(vm, puna_jv_concat(vm, v, end), false);
    puna_buf buf = puna_jv_buf(vm);
    for (size_t i = 0; !vm->failed && !buf.failed && i < lines.u.list->n; i++) {
        puna_jv line = lines.u.list->items[i];
        if (i)
            puna_buf_add_byte(&buf, '\n');
        if (i ? (blank || line.u.s->n) : first)
            puna_jv_write_str(vm, &buf, by);
        puna_jv_write_str(vm, &buf, line);
    }
    puna_jv text = puna_jv_take(vm, &buf);
    if (text.type == PUNA_J_STR)
        text.flag = v.flag;
    return text;
}

static puna_jv filter_truncate(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    int64_t length, leeway = 5;
    puna_jv end = args->slot[2].type == PUNA_J_MISSING ? puna_jv_literal(vm, "...") : args->slot[2];
    if (!puna_jfilters_integer(vm, args->slot[0], 255, &length) ||
        (is_given(args->slot[3]) && !puna_jfilters_integer(vm, args->slot[3], 5, &leeway)))
        return v;
    int64_t n_end = puna_jv_length(end), n_chars = puna_jv_length(v);
    if (n_end < 0 || length < n_end || leeway < 0)
        return puna_jvm_fail(vm, "truncate: expected length >= %lld and leeway >= 0", (long long)n_end);
    if (n_chars >= 0 && (n_chars <= length || n_chars - length <= leeway))
        return v; /* a short list too, as in Jinja2 */
    if (v.type != PUNA_J_STR || end.type != PUNA_J_STR)
        return puna_jvm_fail(vm, "truncate takes str, not %s", puna_jv_type_name(v));
    size_t n = puna_jv_byte_of(v, (size_t)(length - n_end));
    if (!puna_jv_true(args->slot[1]))
        for (size_t i = n; i-- > 0;)
            if (v.u.s->data[i] == ' ') {
                n = i;
                break;
            }
    puna_jv head = puna_jv_borrow(vm, v.u.s->data, n);
    return vm->failed ? v : puna_jv_concat(vm, head, end);
}

static puna_jv filter_wordcount(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    int64_t count = 0;
    bool inside = false;
    v = puna_jv_to_str(vm, v);
    for (size_t i = 0; !vm->failed && i < v.u.s->n;) {
        int32_t c;
        i += (size_t)puna_utf8_decode(v.u.s->data + i, v.u.s->n - i, &c);
        /* Python's \w has no combining marks. */
        bool word = c == '_' || puna_junicode_is_alpha(c) || puna_junicode_is_numeric(c);
        count += word && !inside;
        inside = word;
    }
    return puna_jv_int(count);
}

/* ---- HTML and URLs ---------------------------------------------------------------------- */

static puna_jv filter_escape(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    return puna_jv_escape(vm, v);
}

static puna_jv filter_forceescape(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    v = puna_jv_to_str(vm, v);
    if (v.type == PUNA_J_STR)
        v.flag = 0;
    return puna_jv_escape(vm, v);
}

static puna_jv filter_safe(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    v = puna_jv_to_str(vm, v);
    if (v.type == PUNA_J_STR)
        v.flag = 1;
    return v;
}

static void quote(puna_buf *out, const puna_jstr *s, bool for_query)
{
    for (size_t i = 0; i < s->n && !out->failed; i++) {
        char c = s->data[i], low = (char)(c | 32);
        bool plain = (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || (c && strchr("_.-~", c));
        if (plain || (c == '/' && !for_query))
            puna_buf_add_byte(out, c);
        else if (c == ' ' && for_query)
            puna_buf_add_byte(out, '+');
        else
            puna_buf_printf(out, "%%%02X", (unsigned)(unsigned char)c);
    }
}

static void quote_value(puna_jvm *vm, puna_buf *out, puna_jv v, bool for_query)
{
    v = puna_jv_to_str(vm, v);
    if (!vm->failed)
        quote(out, v.u.s, for_query);
}

static puna_jv filter_urlencode(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    puna_buf buf = puna_jv_buf(vm);
    if (v.type == PUNA_J_STR || !puna_jv_is_iterable(v)) {
        quote_value(vm, &buf, v, false);
        return puna_jv_take(vm, &buf);
    }
    if (v.type == PUNA_J_DICT)
        v = (puna_jv){ .type = PUNA_J_VIEW, .flag = PUNA_J_ITEMS, .u.dict = v.u.dict };
    puna_jiter *iter = puna_jiter_new(vm, v);
    while (iter && !vm->failed) {
        puna_jv item = puna_jiter_next(vm, iter);
        if (item.type == PUNA_J_MISSING)
            break;
        puna_jv pair = puna_jv_to_list(vm, item);
        if (!vm->failed && pair.u.list->n != 2)
            puna_jvm_fail(vm, "urlencode: expected pairs");
        if (vm->failed)
            break;
        if (buf.n)
            puna_buf_add_byte(&buf, '&');
        quote_value(vm, &buf, pair.u.list->items[0], true);
        puna_buf_add_byte(&buf, '=');
        quote_value(vm, &buf, pair.u.list->items[1], true);
    }
    return puna_jv_take(vm, &buf);
}

static puna_jv filter_xmlattr(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    bool autospace = args->slot[0].type == PUNA_J_MISSING || puna_jv_true(args->slot[0]);
    if (v.type != PUNA_J_DICT)
        return puna_jv_refuse_undefined(vm, v)
                   ? v
                   : puna_jvm_fail(vm, "xmlattr takes a dict, not %s", puna_jv_type_name(v));
    puna_buf buf = puna_jv_buf(vm);
    for (size_t i = 0; i < v.u.dict->n && !vm->failed; i++) {
        const puna_jentry *entry = &v.u.dict->entries[i];
        if (entry->value.type == PUNA_J_NONE || entry->value.type == PUNA_J_UNDEFINED)
            continue;
        if (entry->key.type != PUNA_J_STR) {
            puna_jvm_fail(vm, "xmlattr: attribute names must be str");
            break;
        }
        for (size_t k = 0; k < entry->key.u.s->n; k++)
            if (entry->key.u.s->data[k] && strchr(" \t\n\r\f\v/>=", entry->key.u.s->data[k]))
                puna_jvm_fail(vm, "xmlattr: invalid character in an attribute name");
        if (buf.n || autospace)
            puna_buf_add_byte(&buf, ' ');
        puna_jv_write_str(vm, &buf, puna_jv_escape(vm, entry->key));
        puna_buf_add_text(&buf, "=\"");
        puna_jv_write_str(vm, &buf, puna_jv_escape(vm, entry->value));
        puna_buf_add_byte(&buf, '"');
    }
    return puna_jv_take(vm, &buf);
}

/* ---- numbers ---------------------------------------------------------------------------- */

static puna_jv filter_abs(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    if (v.type == PUNA_J_FLOAT)
        return puna_jv_float(fabs(v.u.f));
    if (puna_jv_is_integer(v))
        return v.u.i < 0 ? puna_jv_negate(vm, v, true) : puna_jv_int(v.u.i);
    return puna_jv_refuse_undefined(vm, v)
               ? v
               : puna_jvm_fail(vm, "abs takes a number, not %s", puna_jv_type_name(v));
}

/* The whole part of f; the fallback for what is no number. */
static puna_jv truncate_float(puna_jvm *vm, double f, puna_jv fallback)
{
    if (isnan(f))
        return fallback;
    if (!(f > -9223372036854775808.0 && f < 9223372036854775808.0))
        return puna_jvm_fail(vm, "int: the integer is beyond 64 bits");
    return puna_jv_int((int64_t)f);
}

static puna_jv filter_int(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    int64_t base, value;
    double f;
    puna_jv out = args->slot[0].type == PUNA_J_MISSING ? puna_jv_int(0) : args->slot[0];
    if (puna_jv_refuse_undefined(vm, v) || !puna_jfilters_integer(vm, args->slot[1], 10, &base))
        return v;
    if (puna_jv_is_integer(v))
        return puna_jv_int(v.u.i);
    if (v.type == PUNA_J_STR && puna_jnumbers_integer(v.u.s->data, v.u.s->n, (int)base, &value))
        return puna_jv_int(value);
    if (v.type == PUNA_J_FLOAT)
        return truncate_float(vm, v.u.f, out);
    if (v.type == PUNA_J_STR && puna_jnumbers_float(v.u.s->data, v.u.s->n, &f))
        return isinf(f) ? out : truncate_float(vm, f, out);
    return out;
}

static puna_jv filter_float(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    double f;
    if (puna_jv_refuse_undefined(vm, v))
        return v;
    if (puna_jv_is_number(v))
        return puna_jv_float(puna_jv_number(v));
    if (v.type == PUNA_J_STR && puna_jnumbers_float(v.u.s->data, v.u.s->n, &f))
        return puna_jv_float(f);
    return args->slot[0].type == PUNA_J_MISSING ? puna_jv_float(0) : args->slot[0];
}

/* Rounds to `precision` decimals through decimal text, which the C library rounds exactly. */
static double round_decimals(double f, int64_t precision)
{
    char text[512];
    if (isnan(f) || isinf(f) || precision > 330)
        return f;
    if (precision < -308)
        return copysign(0, f);
    if (precision >= 0) {
        snprintf(text, sizeof text, "%.*f", (int)precision, f);
        return strtod(text, NULL);
    }
    double scale = pow(10, (double)-precision);
    return nearbyint(f / scale) * scale;
}

static puna_jv round_integer(puna_jvm *vm, int64_t i, int64_t precision)
{
    int64_t scale = 1;
    if (precision >= 0)
        return puna_jv_int(i);
    for (; precision < 0; precision++)
        if (__builtin_mul_overflow(scale, (int64_t)10, &scale))
            return puna_jv_int(0);
    int64_t rest = i % scale, down = i - rest, half = scale / 2;
    if (rest < 0) {
        rest += scale;
        down -= scale;
    }
    bool up = rest > half || (rest == half && (down / scale) % 2 != 0);
    return up ? puna_jv_binary(vm, PUNA_JT_ADD, puna_jv_int(down), puna_jv_int(scale)) : puna_jv_int(down);
}

static puna_jv filter_round(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    static const char *const methods[] = { "common", "ceil", "floor" };
    int64_t precision;
    size_t method = 0;
    if (args->slot[1].type == PUNA_J_STR) {
        const puna_jstr *name = args->slot[1].u.s;
        while (method < 3 &&
               (strlen(methods[method]) != name->n || memcmp(methods[method], name->data, name->n) != 0))
            method++;
    } else if (args->slot[1].type != PUNA_J_MISSING) {
        method = 3;
    }
    if (method == 3)
        return puna_jvm_fail(vm, "round: the method must be common, ceil or floor");
    if (puna_jv_refuse_undefined(vm, v) || !puna_jfilters_integer(vm, args->slot[0], 0, &precision))
        return v;
    if (!puna_jv_is_number(v))
        return puna_jvm_fail(vm, "round takes a number, not %s", puna_jv_type_name(v));
    if (method == 0)
        return puna_jv_is_integer(v) ? round_integer(vm, v.u.i, precision)
                                     : puna_jv_float(round_decimals(v.u.f, precision));
    double scale = pow(10, (double)precision), scaled = puna_jv_number(v) * scale;
    if (isnan(scaled) || isinf(scaled) || scale == 0)
        return puna_jvm_fail(vm, "round: the result is not finite");
    return puna_jv_float((method == 1 ? ceil(scaled) : floor(scaled)) / scale + 0.0); /* never -0.0 */
}

static puna_jv filter_filesizeformat(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    static const char letters[] = "kMGTPEZY";
    bool binary = puna_jv_true(args->slot[0]);
    double size = 0, base = binary ? 1024 : 1000;
    if (puna_jv_refuse_undefined(vm, v))
        return v;
    if (puna_jv_is_number(v))
        size = puna_jv_number(v);
    else if (v.type != PUNA_J_STR || !puna_jnumbers_float(v.u.s->data, v.u.s->n, &size))
        return puna_jvm_fail(vm, "filesizeformat takes a number, not %s", puna_jv_type_name(v));
    puna_buf buf = puna_jv_buf(vm);
    if (size == 1) {
        puna_buf_add_text(&buf, "1 Byte");
    } else if (size < base) {
        puna_buf_printf(&buf, "%.0f Bytes", trunc(size) + 0.0);
    } else {
        double unit = base * base;
        int i = 0;
        /* The double nearest to 1e24 lies below it, and Python compares with the exact power. */
        while (i < 7 && !(size < unit || (size == unit && unit == 1e24))) {
            unit *= base;
            i++;
        }
        char letter = binary && i == 0 ? 'K' : letters[i];
        puna_buf_printf(&buf, "%.1f %c%sB", base * size / unit, letter, binary ? "i" : "");
    }
    return puna_jv_take(vm, &buf);
}

/* ---- formats ---------------------------------------------------------------------------- */

static puna_jv filter_format(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    v = puna_jv_to_str(vm, v);
    if (vm->failed)
        return v;
    if (args->n && args->n_keywords)
        return puna_jvm_fail(vm, "format takes positional or keyword arguments, not both");
    puna_jv values = args->n_keywords ? puna_jv_dict(vm) : puna_jv_tuple(vm, args->n);
    for (size_t i = 0; i < args->n; i++)
        puna_jv_append(vm, values, args->positional[i]);
    for (size_t i = 0; i < args->n_keywords; i++)
        puna_jv_set(vm, values, (puna_jv){ .type = PUNA_J_STR, .u.s = args->names[i] }, args->keywords[i]);
    return vm->failed ? v : puna_jv_printf(vm, v, values);
}

static puna_jv filter_tojson(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    puna_jjson style = {
        .ensure_ascii = puna_jv_true(args->slot[0]),
        .pretty = is_given(args->slot[1]),
        .sort_keys = puna_jv_true(args->slot[3]),
        .indent = args->slot[1],
    };
    if (style.pretty && style.indent.type != PUNA_J_STR) {
        int64_t width;
        if (!puna_jfilters_integer(vm, style.indent, 0, &width))
            return v;
        style.indent = puna_jstr_pad(vm, puna_jv_literal(vm, ""), width, puna_jv_of(PUNA_J_MISSING), 'l');
    }
    style.item_separator = puna_jv_literal(vm, style.pretty ? "," : ", ");
    style.key_separator = puna_jv_literal(vm, ": ");
    if (is_given(args->slot[2])) {
        puna_jv pair = puna_jv_to_list(vm, args->slot[2]);
        if (vm->failed)
            return v;
        if (pair.u.list->n != 2 || pair.u.list->items[0].type != PUNA_J_STR ||
            pair.u.list->items[1].type != PUNA_J_STR)
            return puna_jvm_fail(vm, "tojson: separators must be two strings");
        style.item_separator = pair.u.list->items[0];
        style.key_separator = pair.u.list->items[1];
    }
    if (vm->failed)
        return v;
    puna_buf buf = puna_jv_buf(vm);
    puna_jv_write_json(vm, &buf, v, &style, 0);
    return puna_jv_take(vm, &buf);
}

const puna_jbuiltin *puna_jbuiltin_filter(const char *name, size_t n)
{
    static const puna_jbuiltin rows[] = {
        { "abs", filter_abs, "" },
        { "capitalize", filter_capitalize, "" },
        { "center", filter_center, "width?" },
        { "d", filter_default, "default_value? boolean?" },
        { "default", filter_default, "default_value? boolean?" },
        { "e", filter_escape, "" },
        { "escape", filter_escape, "" },
        { "filesizeformat", filter_filesizeformat, "binary?" },
        { "float", filter_float, "default?" },
        { "forceescape", filter_forceescape, "" },
        { "format", filter_format, "*" },
        { "indent", filter_indent, "width? first? blank?" },
        { "int", filter_int, "default? base?" },
        { "lower", filter_lower, "" },
        { "replace", filter_replace, "old new count?" },
        { "round", filter_round, "precision? method?" },
        { "safe", filter_safe, "" },
        { "string", filter_string, "" },
        { "title", filter_title, "" },
        { "tojson", filter_tojson, "ensure_ascii? indent? separators? sort_keys?" },
        { "trim", filter_trim, "chars?" },
        { "truncate", filter_truncate, "length? killwords? end? leeway?" },
        { "upper", filter_upper, "" },
        { "urlencode", filter_urlencode, "" },
        { "wordcount", filter_wordcount, "" },
        { "xmlattr", filter_xmlattr, "autospace?" },
    };
    const puna_jbuiltin *row = puna_jbuiltin_find(rows, sizeof rows / sizeof *rows, name, n);
    return row ? row : puna_jfilters_sequence(name, n);
}
