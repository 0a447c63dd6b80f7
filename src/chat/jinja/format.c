/* format.c - Python's two ways to format: "..." % values and "...".format(values). Widths and
 * precisions are bounded. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/jinja/ast.h"
#include "chat/jinja/methods.h"
#include "chat/jinja/unicode.h"

enum { MAX_WIDTH = 100000, MAX_PRECISION = 300 };

/* ---- shared: one formatted field -------------------------------------------------------- */

typedef struct spec {
    char fill[4];
    size_t n_fill;
    char align; /* < > ^ =, or 0 */
    char sign;  /* + - space, or 0 */
    bool alternate, zero;
    bool no_negative_zero; /* what rounds to zero has no minus */
    char group;     /* , _ or 0 */
    long width;     /* 0: none */
    long precision; /* -1: none */
    char type;      /* 0: none */
} spec;

static void pad_to(puna_buf *out, const spec *s, size_t n)
{
    for (size_t i = 0; i < n && !out->failed; i++)
        puna_buf_add(out, s->fill, s->n_fill);
}

static size_t chars_in(const char *text, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

/* Writes sign, prefix and body with the padding where the alignment puts it. */
static void write_padded(puna_buf *out, const spec *s, const char *head, const char *body, size_t n_body,
                         char default_align)
{
    size_t n = strlen(head) + chars_in(body, n_body), width = s->width > 0 ? (size_t)s->width : 0;
    size_t pad = width > n ? width - n : 0;
    char align = s->align ? s->align : default_align;
    if (align == '>' || align == '^')
        pad_to(out, s, align == '^' ? pad / 2 : pad);
    puna_buf_add_text(out, head);
    if (align == '=')
        pad_to(out, s, pad);
    puna_buf_add(out, body, n_body);
    if (align == '<' || align == '^')
        pad_to(out, s, align == '^' ? pad - pad / 2 : pad);
}

/* Inserts separators into the digits before the point; zero padding counts as digits. */
static void write_grouped(puna_buf *out, const spec *s, const char *head, const char *digits, int every)
{
    size_t n_int = strspn(digits, "0123456789abcdefABCDEF");
    const char *rest = digits + n_int;
    if (every == 3)
        n_int = strspn(digits, "0123456789"), rest = digits + n_int;
    puna_buf body = puna_buf_make(MAX_WIDTH * 4);
    size_t want = n_int;
    if (s->align == '=' && s->n_fill == 1 && s->fill[0] == '0')
        while (strlen(head) + want + (want - 1) / (size_t)every + strlen(rest) <
               (size_t)(s->width > 0 ? s->width : 0))
            want++;
    for (size_t i = 0; i < want && want; i++) {
        size_t left = want - i;
        if (i && left % (size_t)every == 0)
            puna_buf_add_byte(&body, s->group);
        puna_buf_add_byte(&body, left > n_int ? '0' : digits[n_int - left]);
    }
    puna_buf_add_text(&body, rest);
    if (body.data)
        write_padded(out, s, head, body.data, body.n, '>');
    puna_buf_free(&body);
}

static const char *sign_text(const spec *s, bool negative)
{
    return negative ? "-" : s->sign == '+' ? "+" : s->sign == ' ' ? " " : "";
}

static void digits_in_base(uint64_t value, unsigned base, bool upper, char out[72])
{
    char reversed[72];
    int n = 0;
    do {
        unsigned digit = (unsigned)(value % base);
        reversed[n++] = (char)(digit < 10 ? '0' + digit : (upper ? 'A' : 'a') + digit - 10);
        value /= base;
    } while (value);
    for (int i = 0; i < n; i++)
        out[i] = reversed[n - 1 - i];
    out[n] = '\0';
}

static void write_integer(puna_buf *out, const spec *s, int64_t value, long min_digits)
{
    char digits[72], head[8], body[MAX_PRECISION + 80];
    unsigned base = s->type == 'b' ? 2 : s->type == 'o' ? 8 : s->type == 'x' || s->type == 'X' ? 16 : 10;
    bool negative = value < 0;
    digits_in_base(negative ? 0 - (uint64_t)value : (uint64_t)value, base, s->type == 'X', digits);
    snprintf(head, sizeof head, "%s%s", sign_text(s, negative),
             !s->alternate || base == 10 ? ""
             : base == 2                 ? "0b"
             : base == 8                 ? "0o"
             : s->type == 'X'            ? "0X"
                                         : "0x");
    size_t n = strlen(digits), zeros = min_digits > (long)n ? (size_t)min_digits - n : 0;
    memset(body, '0', zeros);
    memcpy(body + zeros, digits, n + 1);
    if (s->group)
        write_grouped(out, s, head, body, base == 10 ? 3 : 4);
    else
        write_padded(out, s, head, body, zeros + n, '>');
}

/* Adds `more` to a text where it fits whole. */
static void append(char *text, size_t capacity, const char *more)
{
    size_t n = strlen(text);
    if (n + strlen(more) < capacity)
        memcpy(text + n, more, strlen(more) + 1);
}

/* Without a type: as 'g', but with a digit behind the point, whose place counts too. */
static void plain_digits(char *text, size_t capacity, const spec *s, double size)
{
    int precision = s->precision > 0 ? (int)s->precision : 1;
    snprintf(text, capacity, s->alternate ? "%#.*e" : "%.*e", precision - 1, size);
    char *mark = strchr(text, 'e'), *end = mark;
    long exponent = strtol(mark + 1, NULL, 10);
    if (exponent >= -4 && exponent < precision - 1) {
        snprintf(text, capacity, s->alternate ? "%#.*g" : "%.*g", precision, size);
        if (!strchr(text, '.'))
            append(text, capacity, ".0");
        return;
    }
    if (s->alternate || !strchr(text, '.'))
        return;
    while (end[-1] == '0')
        end--;
    end -= end[-1] == '.';
    memmove(end, mark, strlen(mark) + 1);
}

static void write_float(puna_buf *out, const spec *s, double value)
{
    char pattern[8], body[700], type = s->type;
    bool percent = type == '%', plain = !type;
    double size = fabs(percent ? value * 100 : value);
    long precision = s->precision;
    if (isnan(value) || isinf(value)) {
        bool upper = type && isupper((unsigned char)type);
        snprintf(body, sizeof body, "%s", isnan(value) ? (upper ? "NAN" : "nan") : upper ? "INF" : "inf");
    } else if (plain && precision < 0) {
        puna_buf repr = puna_buf_make(64);
        puna_jv_write_float(&repr, size);
        snprintf(body, sizeof body, "%s", repr.data ? repr.data : "");
        puna_buf_free(&repr);
    } else if (plain) {
        plain_digits(body, sizeof body, s, size);
    } else {
        type = percent ? 'f' : type == 'n' ? 'g' : type;
        if (precision < 0)
            precision = 6;
        snprintf(pattern, sizeof pattern, "%%%s.*%c", s->alternate ? "#" : "", type);
        snprintf(body, sizeof body, pattern, (int)precision, size);
    }
    if (percent)
        append(body, sizeof body, "%");
    bool is_zero = strcspn(body, "123456789in") >= strcspn(body, "e%") && !isinf(value);
    const char *head = sign_text(s, !isnan(value) && signbit(value) && !(is_zero && s->no_negative_zero));
    if (s->group)
        write_grouped(out, s, head, body, 3);
    else
        write_padded(out, s, head, body, strlen(body), '>');
}

static void write_string(puna_buf *out, const spec *s, const puna_jstr *text)
{
    size_t n = 0;
    for (long count = 0; n < text->n && (s->precision < 0 || count < s->precision); count++) {
        int32_t c;
        n += (size_t)puna_utf8_decode(text->data + n, text->n - n, &c);
    }
    write_padded(out, s, "", text->data, n, '<');
}

/* ---- "..." % values --------------------------------------------------------------------- */

typedef struct cursor {
    const char *at, *end;
    puna_jv values;
    size_t next;  /* of a tuple's items */
    bool by_name; /* a mapping key was used: nothing is left over */
} cursor;

static puna_jv next_value(puna_jvm *vm, cursor *c)
{
    if (c->values.type == PUNA_J_TUPLE && c->next < c->values.u.list->n)
        return c->values.u.list->items[c->next++];
    if (c->values.type != PUNA_J_TUPLE && c->next++ == 0)
        return c->values;
    return puna_jvm_fail(vm, "not enough arguments for the format string");
}

/* A number or '*'. */
static bool read_number(puna_jvm *vm, cursor *c, long most, long *out)
{
    if (c->at < c->end && *c->at == '*') {
        c->at++;
        puna_jv v = next_value(vm, c);
        if (!puna_jv_is_integer(v) || v.u.i > most || v.u.i < -most) {
            puna_jvm_fail(vm, "'*' in a format needs an integer up to %ld", most);
            return false;
        }
        *out = (long)v.u.i;
        return true;
    }
    if (c->at >= c->end || !isdigit((unsigned char)*c->at))
        return true;
    long value = 0;
    for (; c->at < c->end && isdigit((unsigned char)*c->at); c->at++)
        if ((value = value * 10 + (*c->at - '0')) > most) {
            puna_jvm_fail(vm, "width or precision beyond %ld in a format", most);
            return false;
        }
    *out = value;
    return true;
}

static puna_jv read_key(puna_jvm *vm, cursor *c)
{
    const char *start = ++c->at;
    int open = 1;
    for (; c->at < c->end; c->at++) {
        open += *c->at == '(' ? 1 : *c->at == ')' ? -1 : 0;
        if (!open)
            break;
    }
    if (c->at >= c->end)
        return puna_jvm_fail(vm, "incomplete format key");
    puna_jv key = puna_jv_borrow(vm, start, (size_t)(c->at++ - start));
    if (c->values.type != PUNA_J_DICT)
        return puna_jvm_fail(vm, "format requires a mapping");
    puna_jv v = puna_jv_get(vm, c->values, key);
    c->by_name = true;
    return v.type == PUNA_J_MISSING && !vm->failed
               ? puna_jvm_fail(vm, "the format names a key that is not there")
               : v;
}

static void print_number(puna_jvm *vm, puna_buf *out, spec *s, puna_jv v)
{
    if (puna_jv_refuse_undefined(vm, v))
        return;
    if (strchr("eEfFgG", s->type)) {
        if (!puna_jv_is_number(v))
            puna_jvm_fail(vm, "%%%c needs a number, not %s", s->type, puna_jv_type_name(v));
        else
            write_float(out, s, puna_jv_number(v));
        return;
    }
    bool whole = strchr("diu", s->type) != NULL;
    if (v.type == PUNA_J_FLOAT && whole && !(fabs(v.u.f) < 9.2e18)) {
        puna_jvm_fail(vm, "%%%c of a float beyond 64 bits", s->type);
        return;
    }
    if (v.type == PUNA_J_FLOAT && whole)
        v = puna_jv_int((int64_t)v.u.f);
    if (!puna_jv_is_integer(v)) {
        puna_jvm_fail(vm, "%%%c needs an integer, not %s", s->type, puna_jv_type_name(v));
        return;
    }
    if (whole)
        s->type = 'd';
    write_integer(out, s, v.u.i, s->precision);
}

static void print_char(puna_jvm *vm, puna_buf *out, const spec *s, puna_jv v)
{
    char bytes[4];
    if (puna_jv_is_integer(v) && v.u.i >= 0 && v.u.i <= 0x10ffff && !(v.u.i >= 0xd800 && v.u.i <= 0xdfff))
        write_padded(out, s, "", bytes, (size_t)puna_utf8_encode((int32_t)v.u.i, bytes), '>');
    else if (v.type == PUNA_J_STR && puna_jv_chars(v) == 1)
        write_padded(out, s, "", v.u.s->data, v.u.s->n, '>');
    else
        puna_jvm_fail(vm, "%%c needs a character");
}

static void print_one(puna_jvm *vm, puna_buf *out, cursor *c, bool safe)
{
    spec s = { .fill = " ", .n_fill = 1, .precision = -1 };
    puna_jv v = puna_jv_of(PUNA_J_MISSING);
    bool left = false;
    if (c->at < c->end && *c->at == '%') {
        puna_buf_add_byte(out, *c->at++);
        return;
    }
    if (c->at < c->end && *c->at == '(')
        v = read_key(vm, c);
    for (; c->at < c->end && *c->at && strchr("#0- +", *c->at); c->at++) {
        s.alternate |= *c->at == '#';
        s.zero |= *c->at == '0';
        left |= *c->at == '-';
        if (*c->at == '+' || (*c->at == ' ' && !s.sign))
            s.sign = *c->at;
    }
    if (vm->failed || !read_number(vm, c, MAX_WIDTH, &s.width))
        return;
    if (s.width < 0) {
        left = true;
        s.width = -s.width;
    }
    if (c->at < c->end && *c->at == '.') {
        c->at++;
        s.precision = 0;
        if (!read_number(vm, c, MAX_PRECISION, &s.precision))
            return;
    }
    while (c->at < c->end && (*c->at == 'l' || *c->at == 'h' || *c->at == 'L'))
        c->at++;
    s.type = c->at < c->end ? *c->at++ : '\0';
    if (!s.type || !strchr("diuoxXeEfFgGcrsa", s.type)) {
        puna_jvm_fail(vm, "unsupported or incomplete format character");
        return;
    }
    if (v.type == PUNA_J_MISSING)
        v = next_value(vm, c);
    s.align = left ? '<' : '>';
    if (vm->failed)
        return;
    if (s.type == 's' || s.type == 'r' || s.type == 'a') {
        puna_buf text = puna_jv_buf(vm);
        if (s.type == 's')
            puna_jv_write_str(vm, &text, v);
        else if (s.type == 'a')
            puna_jv_write_ascii(vm, &text, v);
        else
            puna_jv_write_repr(vm, &text, v);
        bool was_safe = s.type == 's' && v.type == PUNA_J_STR && v.flag;
        v = puna_jv_take(vm, &text);
        v.flag = was_safe;
        v = puna_jv_soft_escape(vm, v, safe);
        if (!vm->failed)
            write_string(out, &s, v.u.s);
        return;
    }
    if (s.zero && !left && s.type != 'c') {
        s.fill[0] = '0';
        s.align = '=';
    }
    if (s.type == 'c')
        print_char(vm, out, &s, v);
    else
        print_number(vm, out, &s, v);
}

puna_jv puna_jv_printf(puna_jvm *vm, puna_jv format, puna_jv values)
{
    cursor c = { .at = format.u.s->data, .end = format.u.s->data + format.u.s->n, .values = values };
    puna_buf out = puna_jv_buf(vm);
    while (c.at < c.end && !vm->failed && !out.failed) {
        const char *percent = memchr(c.at, '%', (size_t)(c.end - c.at));
        puna_buf_add(&out, c.at, (size_t)((percent ? percent : c.end) - c.at));
        c.at = percent ? percent + 1 : c.end;
        if (percent)
            print_one(vm, &out, &c, format.flag);
        puna_jvm_step(vm);
    }
    size_t n_values = values.type == PUNA_J_TUPLE ? values.u.list->n : 1;
    /* Python leaves what it could have used as a mapping. */
    bool may_be_left = c.by_name || values.type == PUNA_J_DICT || values.type == PUNA_J_LIST ||
                       values.type == PUNA_J_RANGE || values.type == PUNA_J_UNDEFINED;
    if (!vm->failed && c.next < n_values && !may_be_left)
        puna_jvm_fail(vm, "not all arguments were converted during string formatting");
    puna_jv text = puna_jv_take(vm, &out);
    if (text.type == PUNA_J_STR)
        text.flag = format.flag;
    return text;
}

/* ---- "...".format(values) --------------------------------------------------------------- */

static bool parse_spec(puna_jvm *vm, const char *text, size_t n, spec *s)
{
    size_t i = 0;
    *s = (spec){ .fill = " ", .n_fill = 1, .precision = -1 };
    if (n) {
        int32_t c;
        size_t first = (size_t)puna_utf8_decode(text, n, &c);
        if (first < n && strchr("<>=^", text[first]) && text[first]) {
            memcpy(s->fill, text, first);
            s->n_fill = first;
            s->align = text[first];
            i = first + 1;
        } else if (text[0] && strchr("<>=^", text[0])) {
            s->align = text[i++];
        }
    }
    if (i < n && text[i] && strchr("+- ", text[i]))
        s->sign = text[i++];
    if (i < n && text[i] == 'z')
        s->no_negative_zero = text[i++] == 'z';
    if (i < n && text[i] == '#')
        s->alternate = text[i++] == '#';
    if (i < n && text[i] == '0') {
        s->zero = true;
        i++;
        if (!s->align) {
            s->align = '=';
            s->fill[0] = '0';
        }
    }
    for (; i < n && isdigit((unsigned char)text[i]) && s->width <= MAX_WIDTH; i++)
        s->width = s->width * 10 + (text[i] - '0');
    if (i < n && (text[i] == ',' || text[i] == '_'))
        s->group = text[i++];
    if (i < n && text[i] == '.') {
        size_t start = ++i;
        for (s->precision = 0; i < n && isdigit((unsigned char)text[i]) && s->precision <= MAX_PRECISION; i++)
            s->precision = s->precision * 10 + (text[i] - '0');
        if (i == start)
            i = n + 1;
    }
    if (i < n)
        s->type = text[i++];
    if (i != n || s->width > MAX_WIDTH || s->precision > MAX_PRECISION)
        puna_jvm_fail(vm, "invalid format specifier");
    return !vm->failed;
}

static void format_value(puna_jvm *vm, puna_buf *out, puna_jv v, const char *text, size_t n)
{
    spec s;
    if (!n) {
        puna_jv_write_str(vm, out, v);
        return;
    }
    if (!parse_spec(vm, text, n, &s))
        return;
    bool as_text = v.type == PUNA_J_STR && (!s.type || s.type == 's') && !s.sign && !s.group &&
                   !s.alternate && !s.no_negative_zero;
    if (as_text && s.align != '=') {
        write_string(out, &s, v.u.s);
    } else if (as_text && s.zero) {
        s.align = '<';
        write_string(out, &s, v.u.s);
    } else if (puna_jv_is_number(v) && s.type && strchr("eEfFgG%", s.type)) {
        write_float(out, &s, puna_jv_number(v));
    } else if (puna_jv_is_integer(v) && s.type == 'c') {
        print_char(vm, out, &s, v);
    } else if (puna_jv_is_integer(v) && s.precision < 0 && !s.no_negative_zero &&
               (!s.type || strchr(s.group == ',' ? "d"
                                  : s.group      ? "bdoxX"
                                                 : "bdoxXn",
                                  s.type))) {
        write_integer(out, &s, v.u.i, 0);
    } else if (v.type == PUNA_J_FLOAT && (!s.type || s.type == 'n')) {
        write_float(out, &s, v.u.f);
    } else {
        puna_jvm_fail(vm, "invalid format specifier '%.*s' for '%s'", n < 40 ? (int)n : 40, text,
                      puna_jv_type_name(v));
    }
}

/* How fields are numbered so far: a count of automatic ones, or one of these. */
#define NUMBERED (SIZE_MAX - 1)
#define MIXED    SIZE_MAX

/* What a replacement field names: "", "0", "name", then .attr and [item] parts. */
static puna_jv field_value(puna_jvm *vm, const char *name, size_t n, const puna_jargs *args, size_t *next)
{
    size_t head = 0, index = 0;
    puna_jv v = puna_jv_of(PUNA_J_MISSING);
    while (head < n && name[head] != '.' && name[head] != '[')
        head++;
    bool number = head > 0 && head < 9;
    for (size_t i = 0; i < head && number; i++) {
        number = isdigit((unsigned char)name[i]) != 0;
        index = index * 10 + (size_t)(name[i] - '0');
    }
    if (!head || number) {
        if (*next != NUMBERED && head)
            *next = *next ? MIXED : NUMBERED;
        else if (!head && *next == NUMBERED)
            *next = MIXED;
        if (*next == MIXED)
            return puna_jvm_fail(vm, "a format numbers its fields either by itself or not at all");
        index = head ? index : (*next)++;
        if (index < args->n)
            v = args->positional[index];
    }
    for (size_t k = 0; head && !number && k < args->n_keywords; k++)
        if (args->names[k]->n == head && memcmp(args->names[k]->data, name, head) == 0)
            v = args->keywords[k];
    if (v.type == PUNA_J_MISSING)
        return puna_jvm_fail(vm, "the format names an argument that was not given");
    for (size_t i = head; i < n && !vm->failed;) {
        bool item = name[i++] == '[';
        size_t start = i;
        while (i < n && (item ? name[i] != ']' : name[i] != '.' && name[i] != '['))
            i++;
        puna_jv key = puna_jv_borrow(vm, name + start, i - start);
        if (item && i >= n)
            return puna_jvm_fail(vm, "expected ']' in a format");
        bool digits = i > start && i - start < 9;
        int64_t value = 0;
        for (size_t k = start; k < i && digits; k++) {
            digits = isdigit((unsigned char)name[k]) != 0;
            value = value * 10 + (name[k] - '0');
        }
        i += item;
        v = !item ? puna_jv_attribute(vm, v, key) : puna_jv_item(vm, v, digits ? puna_jv_int(value) : key);
    }
    return v;
}

static void format_field(puna_jvm *vm, puna_buf *out, const char *text, size_t n, const puna_jargs *args,
                         size_t *next, bool safe);

/* A specifier may hold fields of its own, one level deep. */
static puna_jv expand_spec(puna_jvm *vm, const char *text, size_t n, const puna_jargs *args, size_t *next)
{
    puna_buf buf = puna_jv_buf(vm);
    for (size_t i = 0; i < n && !vm->failed; i++) {
        if (text[i] != '{') {
            puna_buf_add_byte(&buf, text[i]);
            continue;
        }
        size_t start = ++i;
        while (i < n && text[i] != '}')
            i++;
        if (memchr(text + start, '{', i - start))
            puna_jvm_fail(vm, "format fields nested too deeply");
        else
            format_field(vm, &buf, text + start, i - start, args, next, false);
    }
    return puna_jv_take(vm, &buf);
}

static void format_field(puna_jvm *vm, puna_buf *out, const char *text, size_t n, const puna_jargs *args,
                         size_t *next, bool safe)
{
    size_t name = 0;
    bool bracket = false;
    while (name < n && (bracket || (text[name] != '!' && text[name] != ':'))) {
        bracket = text[name] == '[' || (bracket && text[name] != ']');
        name++;
    }
    puna_jv v = field_value(vm, text, name, args, next);
    size_t at = name;
    if (vm->failed)
        return;
    if (at < n && text[at] == '!') {
        char conversion = at + 1 < n ? text[at + 1] : '\0';
        puna_buf buf = puna_jv_buf(vm);
        if (conversion == 'r')
            puna_jv_write_repr(vm, &buf, v);
        else if (conversion == 'a')
            puna_jv_write_ascii(vm, &buf, v);
        else if (conversion == 's')
            puna_jv_write_str(vm, &buf, v);
        else
            puna_jvm_fail(vm, "unknown conversion in a format");
        v = puna_jv_take(vm, &buf);
        at += 2;
    }
    if (at < n && text[at] != ':')
        puna_jvm_fail(vm, "expected ':' in a format");
    at += at < n;
    puna_jv specifier = expand_spec(vm, text + (at < n ? at : n), at < n ? n - at : 0, args, next);
    if (vm->failed)
        return;
    if (!safe) {
        format_value(vm, out, v, specifier.u.s->data, specifier.u.s->n);
        return;
    }
    puna_buf buf = puna_jv_buf(vm);
    format_value(vm, &buf, v, specifier.u.s->data, specifier.u.s->n);
    puna_jv made = puna_jv_take(vm, &buf);
    made.flag = v.type == PUNA_J_STR && v.flag;
    puna_jv_write_str(vm, out, puna_jv_escape(vm, made));
}

puna_jv puna_jv_format(puna_jvm *vm, puna_jv format, const puna_jargs *args)
{
    const char *text = format.u.s->data;
    size_t n = format.u.s->n, next = 0;
    puna_buf out = puna_jv_buf(vm);
    for (size_t i = 0; i < n && puna_jvm_step(vm); i++) {
        char c = text[i];
        if (c != '{' && c != '}') {
            puna_buf_add_byte(&out, c);
            continue;
        }
        if (i + 1 < n && text[i + 1] == c) {
            puna_buf_add_byte(&out, c);
            i++;
            continue;
        }
        size_t start = ++i;
        int open = 1;
        for (; i < n && c == '{'; i++) {
            open += text[i] == '{' ? 1 : text[i] == '}' ? -1 : 0;
            if (!open)
                break;
        }
        if (c == '}' || i >= n) {
            puna_jvm_fail(vm, "single '%c' in a format", c);
            break;
        }
        format_field(vm, &out, text + start, i - start, args, &next, format.flag);
    }
    puna_jv made = puna_jv_take(vm, &out);
    if (made.type == PUNA_J_STR)
        made.flag = format.flag;
    return made;
}
