/* text.c - values as text: Python's str() and repr(), and json.dumps with transformers' defaults. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/jinja/ast.h"
#include "chat/jinja/unicode.h"

/* The shortest digits that read back as f, in Python's layout: exponents from 1e16 and below 1e-4. */
void puna_jv_write_float(puna_buf *out, double f)
{
    char digits[32];
    if (isnan(f) || isinf(f)) {
        puna_buf_add_text(out, isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
        return;
    }
    for (int precision = 0; precision < 17; precision++) {
        snprintf(digits, sizeof digits, "%.*e", precision, f);
        if (strtod(digits, NULL) == f)
            break;
    }
    char *mark = strchr(digits, 'e');
    int exponent = (int)strtol(mark + 1, NULL, 10), n = 0;
    char plain[32];
    bool negative = digits[0] == '-';
    for (const char *p = digits + negative; p < mark; p++)
        if (*p >= '0' && *p <= '9')
            plain[n++] = *p;
    if (negative)
        puna_buf_add_byte(out, '-');
    if (exponent < -4 || exponent >= 16) {
        puna_buf_add(out, plain, 1);
        if (n > 1) {
            puna_buf_add_byte(out, '.');
            puna_buf_add(out, plain + 1, (size_t)n - 1);
        }
        puna_buf_printf(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    if (exponent < 0) {
        puna_buf_add_text(out, "0.");
        for (int i = -1; i > exponent; i--)
            puna_buf_add_byte(out, '0');
        puna_buf_add(out, plain, (size_t)n);
        return;
    }
    for (int i = 0; i <= exponent; i++)
        puna_buf_add_byte(out, i < n ? plain[i] : '0');
    puna_buf_add_byte(out, '.');
    if (n > exponent + 1)
        puna_buf_add(out, plain + exponent + 1, (size_t)(n - exponent - 1));
    else
        puna_buf_add_byte(out, '0');
}

static const char *escape_form(int32_t c)
{
    return c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
}

static void repr_string(puna_buf *out, const puna_jstr *s)
{
    bool has_single = memchr(s->data, '\'', s->n) != NULL, has_double = memchr(s->data, '"', s->n) != NULL;
    char quote = has_single && !has_double ? '"' : '\'';
    puna_buf_add_byte(out, quote);
    for (size_t i = 0; i < s->n && !out->failed;) {
        int32_t c;
        int n = puna_utf8_decode(s->data + i, s->n - i, &c);
        if (c == quote || c == '\\')
            puna_buf_printf(out, "\\%c", (char)c);
        else if (c == '\n' || c == '\r' || c == '\t')
            puna_buf_printf(out, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (c < 0 || !puna_junicode_is_printable(c))
            puna_buf_printf(out, escape_form(c), (unsigned)(c < 0 ? -1 - c : c));
        else
            puna_buf_add(out, s->data + i, (size_t)n);
        i += (size_t)n;
    }
    puna_buf_add_byte(out, quote);
}

static void repr_list(puna_jvm *vm, puna_buf *out, const puna_jlist *list, const char *open,
                      const char *close)
{
    puna_buf_add_text(out, open);
    for (size_t i = 0; i < list->n && !vm->failed && !out->failed; i++) {
        if (i)
            puna_buf_add_text(out, ", ");
        puna_jv_write_repr(vm, out, list->items[i]);
    }
    puna_buf_add_text(out, close);
}

static void repr_dict(puna_jvm *vm, puna_buf *out, const puna_jdict *dict)
{
    puna_buf_add_byte(out, '{');
    for (size_t i = 0; i < dict->n && !vm->failed && !out->failed; i++) {
        if (i)
            puna_buf_add_text(out, ", ");
        puna_jv_write_repr(vm, out, dict->entries[i].key);
        puna_buf_add_text(out, ": ");
        puna_jv_write_repr(vm, out, dict->entries[i].value);
    }
    puna_buf_add_byte(out, '}');
}

static void repr_view(puna_jvm *vm, puna_buf *out, puna_jv v)
{
    static const char *const open[] = { "dict_keys([", "dict_values([", "dict_items([" };
    puna_jv items = puna_jv_to_list(vm, v);
    if (!vm->failed)
        repr_list(vm, out, items.u.list, open[v.flag], "])");
}

/* Things whose repr in Python holds an address show their kind only. */
static void repr_object(puna_jvm *vm, puna_buf *out, puna_jv v)
{
    switch (v.type) {
    case PUNA_J_RANGE:
        puna_buf_printf(out, v.u.range->step == 1 ? "range(%lld, %lld)" : "range(%lld, %lld, %lld)",
                        (long long)v.u.range->start, (long long)v.u.range->stop, (long long)v.u.range->step);
        break;
    case PUNA_J_NAMESPACE:
        puna_buf_add_text(out, "<Namespace ");
        repr_dict(vm, out, v.u.dict);
        puna_buf_add_byte(out, '>');
        break;
    case PUNA_J_MACRO:
        puna_buf_add_text(out, "<Macro ");
        if (v.u.macro->name)
            repr_string(out, v.u.macro->name);
        else
            puna_buf_add_text(out, "anonymous");
        puna_buf_add_byte(out, '>');
        break;
    case PUNA_J_LOOP: {
        puna_jv length = puna_jloop_attribute(vm, v, puna_jv_literal(vm, "length"));
        puna_buf_printf(out, "<LoopContext %lld/%lld>", (long long)v.u.loop->index0 + 1,
                        (long long)length.u.i);
        break;
    }
    case PUNA_J_ITER:
        puna_buf_printf(out, "<generator object %s>", v.u.iter->name);
        break;
    case PUNA_J_METHOD:
        puna_buf_printf(out, "<built-in method %s of %s object>", v.u.method->builtin->name,
                        puna_jv_type_name(v.u.method->self));
        break;
    case PUNA_J_FUNCTION:
        puna_buf_printf(out, "<function %s>", v.u.function->name);
        break;
    default:
        puna_buf_printf(out, "<%s object>", puna_jv_type_name(v));
    }
}

static void repr_container(puna_jvm *vm, puna_buf *out, puna_jv v)
{
    if (!puna_jvm_enter(vm))
        return;
    if (v.type == PUNA_J_LIST)
        repr_list(vm, out, v.u.list, "[", "]");
    else if (v.type == PUNA_J_TUPLE)
        repr_list(vm, out, v.u.list, "(", v.u.list->n == 1 ? ",)" : ")");
    else if (v.type == PUNA_J_DICT)
        repr_dict(vm, out, v.u.dict);
    else if (v.type == PUNA_J_VIEW)
        repr_view(vm, out, v);
    else
        repr_object(vm, out, v);
    puna_jvm_leave(vm);
}

void puna_jv_write_repr(puna_jvm *vm, puna_buf *out, puna_jv v)
{
    if (!puna_jvm_step(vm))
        return;
    switch (v.type) {
    case PUNA_J_MISSING:
    case PUNA_J_UNDEFINED:
        puna_buf_add_text(out, "Undefined");
        break;
    case PUNA_J_NONE:
        puna_buf_add_text(out, "None");
        break;
    case PUNA_J_BOOL:
        puna_buf_add_text(out, v.u.i ? "True" : "False");
        break;
    case PUNA_J_INT:
        puna_buf_printf(out, "%lld", (long long)v.u.i);
        break;
    case PUNA_J_FLOAT:
        puna_jv_write_float(out, v.u.f);
        break;
    case PUNA_J_STR:
        if (!puna_jvm_charge(vm, v.u.s->n))
            return;
        if (v.flag)
            puna_buf_add_text(out, "Markup(");
        repr_string(out, v.u.s);
        if (v.flag)
            puna_buf_add_byte(out, ')');
        break;
    default:
        repr_container(vm, out, v);
    }
}

void puna_jv_write_ascii(puna_jvm *vm, puna_buf *out, puna_jv v)
{
    puna_buf repr = puna_jv_buf(vm);
    puna_jv_write_repr(vm, &repr, v);
    puna_jv text = puna_jv_take(vm, &repr);
    for (size_t i = 0; !vm->failed && !out->failed && i < text.u.s->n;) {
        int32_t c;
        i += (size_t)puna_utf8_decode(text.u.s->data + i, text.u.s->n - i, &c);
        if (c < 0x80)
            puna_buf_add_byte(out, (char)c);
        else
            puna_buf_printf(out, escape_form(c), (unsigned)c);
    }
}

void puna_jv_write_str(puna_jvm *vm, puna_buf *out, puna_jv v)
{
    if (v.type == PUNA_J_STR) {
        if (puna_jvm_charge(vm, v.u.s->n))
            puna_buf_add(out, v.u.s->data, v.u.s->n);
    } else if (v.type == PUNA_J_UNDEFINED) {
        puna_jvm_step(vm);
    } else {
        puna_jv_write_repr(vm, out, v);
    }
}

puna_jv puna_jv_to_str(puna_jvm *vm, puna_jv v)
{
    if (v.type == PUNA_J_STR)
        return v;
    puna_buf buf = puna_jv_buf(vm);
    puna_jv_write_str(vm, &buf, v);
    return puna_jv_take(vm, &buf);
}

/* ---- HTML ------------------------------------------------------------------------------- */

puna_jv puna_jv_escape(puna_jvm *vm, puna_jv v)
{
    v = puna_jv_to_str(vm, v);
    if (v.type != PUNA_J_STR || v.flag)
        return v;
    puna_buf buf = puna_jv_buf(vm);
    for (size_t i = 0; i < v.u.s->n; i++) {
        char c = v.u.s->data[i];
        const char *entity = c == '&'    ? "&amp;"
                             : c == '<'  ? "&lt;"
                             : c == '>'  ? "&gt;"
                             : c == '\'' ? "&#39;"
                             : c == '"'  ? "&#34;"
                                         : NULL;
        if (entity)
            puna_buf_add_text(&buf, entity);
        else
            puna_buf_add_byte(&buf, c);
    }
    v = puna_jv_take(vm, &buf);
    v.flag = v.type == PUNA_J_STR;
    return v;
}

puna_jv puna_jv_soft_escape(puna_jvm *vm, puna_jv v, bool needed)
{
    return needed ? puna_jv_escape(vm, v) : v;
}

/* ---- JSON ------------------------------------------------------------------------------- */

static void write_string(puna_buf *out, const puna_jstr *s, bool ensure_ascii)
{
    static const char named[] = "\"\\\n\r\t\f\b", letters[] = "\"\\nrtfb";
    puna_buf_add_byte(out, '"');
    for (size_t i = 0; i < s->n && !out->failed;) {
        int32_t c;
        int n = puna_utf8_decode(s->data + i, s->n - i, &c);
        const char *escape = c > 0 && c < 128 ? strchr(named, (char)c) : NULL;
        if (escape)
            puna_buf_printf(out, "\\%c", letters[escape - named]);
        else if ((c >= 0 && c < 0x20) || (ensure_ascii && c >= 0x7f && c < 0x10000))
            puna_buf_printf(out, "\\u%04x", (unsigned)c);
        else if (ensure_ascii && c >= 0x10000)
            puna_buf_printf(out, "\\u%04x\\u%04x", 0xd7c0u + ((unsigned)c >> 10),
                            0xdc00u + ((unsigned)c & 0x3ff));
        else
            puna_buf_add(out, s->data + i, (size_t)n);
        i += (size_t)n;
    }
    puna_buf_add_byte(out, '"');
}

static void write_newline(puna_buf *out, const puna_jjson *style, size_t level)
{
    if (!style->pretty)
        return;
    puna_buf_add_byte(out, '\n');
    for (size_t i = 0; i < level; i++)
        puna_buf_add(out, style->indent.u.s->data, style->indent.u.s->n);
}

static void write_separator(puna_buf *out, puna_jv separator)
{
    puna_buf_add(out, separator.u.s->data, separator.u.s->n);
}

static void write_key(puna_jvm *vm, puna_buf *out, puna_jv key, const puna_jjson *style)
{
    if (key.type == PUNA_J_STR) {
        write_string(out, key.u.s, style->ensure_ascii);
    } else if (puna_jv_is_number(key) || key.type == PUNA_J_NONE) {
        puna_buf_add_byte(out, '"');
        puna_jv_write_json(vm, out, key, style, 0);
        puna_buf_add_byte(out, '"');
    } else {
        puna_jvm_fail(vm, "tojson: keys must be str, int, float, bool or None, not %s",
                      puna_jv_type_name(key));
    }
}

static void sort_entries(puna_jvm *vm, puna_jentry *entries, size_t n)
{
    if (n < 2)
        return;
    puna_jentry *other = puna_jvm_alloc(vm, n, sizeof *other);
    for (size_t width = 1; other && width < n; width *= 2) {
        for (size_t from = 0; from < n && !vm->failed; from += 2 * width) {
            size_t a = from, middle = from + width < n ? from + width : n, b = middle;
            size_t to = from + 2 * width < n ? from + 2 * width : n;
            for (size_t k = from; k < to; k++) {
                bool right =
                    a >= middle || (b < to && puna_jv_compare(vm, entries[b].key, entries[a].key, "<") < 0);
                other[k] = entries[right ? b++ : a++];
            }
        }
        memcpy(entries, other, n * sizeof *entries);
    }
}

static void write_dict(puna_jvm *vm, puna_buf *out, const puna_jdict *dict, const puna_jjson *style,
                       size_t level)
{
    const puna_jentry *entries = dict->entries;
    if (!dict->n) {
        puna_buf_add_text(out, "{}");
        return;
    }
    if (style->sort_keys) {
        puna_jentry *sorted = puna_jvm_alloc(vm, dict->n, sizeof *sorted);
        if (!sorted)
            return;
        memcpy(sorted, entries, dict->n * sizeof *sorted);
        sort_entries(vm, sorted, dict->n);
        entries = sorted;
    }
    puna_buf_add_byte(out, '{');
    for (size_t i = 0; i < dict->n && !vm->failed && !out->failed; i++) {
        if (i)
            write_separator(out, style->item_separator);
        write_newline(out, style, level + 1);
        write_key(vm, out, entries[i].key, style);
        write_separator(out, style->key_separator);
        puna_jv_write_json(vm, out, entries[i].value, style, level + 1);
    }
    write_newline(out, style, level);
    puna_buf_add_byte(out, '}');
}

static void write_list(puna_jvm *vm, puna_buf *out, const puna_jlist *list, const puna_jjson *style,
                       size_t level)
{
    puna_buf_add_byte(out, '[');
    for (size_t i = 0; i < list->n && !vm->failed && !out->failed; i++) {
        if (i)
            write_separator(out, style->item_separator);
        write_newline(out, style, level + 1);
        puna_jv_write_json(vm, out, list->items[i], style, level + 1);
    }
    if (list->n)
        write_newline(out, style, level);
    puna_buf_add_byte(out, ']');
}

void puna_jv_write_json(puna_jvm *vm, puna_buf *out, puna_jv v, const puna_jjson *style, size_t level)
{
    if (!puna_jvm_step(vm))
        return;
    switch (v.type) {
    case PUNA_J_NONE:
        puna_buf_add_text(out, "null");
        return;
    case PUNA_J_BOOL:
        puna_buf_add_text(out, v.u.i ? "true" : "false");
        return;
    case PUNA_J_INT:
        puna_buf_printf(out, "%lld", (long long)v.u.i);
        return;
    case PUNA_J_FLOAT:
        if (isnan(v.u.f) || isinf(v.u.f))
            puna_buf_add_text(out, isnan(v.u.f) ? "NaN" : v.u.f < 0 ? "-Infinity" : "Infinity");
        else
            puna_jv_write_float(out, v.u.f);
        return;
    case PUNA_J_STR:
        if (puna_jvm_charge(vm, v.u.s->n))
            write_string(out, v.u.s, style->ensure_ascii);
        return;
    case PUNA_J_LIST:
    case PUNA_J_TUPLE:
    case PUNA_J_DICT:
        if (!puna_jvm_enter(vm))
            return;
        if (v.type == PUNA_J_DICT)
            write_dict(vm, out, v.u.dict, style, level);
        else
            write_list(vm, out, v.u.list, style, level);
        puna_jvm_leave(vm);
        return;
    default:
        puna_jvm_fail(vm, "tojson: object of type %s is not JSON serializable", puna_jv_type_name(v));
    }
}
