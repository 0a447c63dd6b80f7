/* methods.c - the methods of Python's str, on code points. */
#define _GNU_SOURCE /* memmem, memrchr */
#include "chat/jinja/methods.h"

#include <string.h>

#include "chat/jinja/unicode.h"

static puna_jv keep_flag(puna_jv result, puna_jv from)
{
    if (result.type == PUNA_J_STR)
        result.flag = from.flag;
    return result;
}

static bool want_string(puna_jvm *vm, puna_jv v, const char *what)
{
    if (v.type == PUNA_J_STR)
        return true;
    if (!puna_jv_refuse_undefined(vm, v))
        puna_jvm_fail(vm, "%s must be str, not %s", what, puna_jv_type_name(v));
    return false;
}

static bool want_integer(puna_jvm *vm, puna_jv v, int64_t fallback, int64_t *out)
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

/* ---- case ------------------------------------------------------------------------------- */

static puna_jv map_all(puna_jvm *vm, puna_jv v, puna_junicode_case to)
{
    puna_buf buf = puna_jv_buf(vm);
    const puna_jstr *s = v.u.s;
    for (size_t i = 0; i < s->n;) {
        int32_t c;
        i += (size_t)puna_utf8_decode(s->data + i, s->n - i, &c);
        puna_junicode_map(&buf, c, to);
    }
    return keep_flag(puna_jv_take(vm, &buf), v);
}

puna_jv puna_jstr_upper(puna_jvm *vm, puna_jv v)
{
    return v.type == PUNA_J_STR ? map_all(vm, v, PUNA_JU_UPPER) : v;
}

puna_jv puna_jstr_lower(puna_jvm *vm, puna_jv v)
{
    if (v.type != PUNA_J_STR)
        return v;
    puna_buf buf = puna_jv_buf(vm);
    puna_junicode_lower(&buf, v.u.s->data, v.u.s->n);
    return keep_flag(puna_jv_take(vm, &buf), v);
}

puna_jv puna_jstr_capitalize(puna_jvm *vm, puna_jv v)
{
    if (v.type != PUNA_J_STR || !v.u.s->n)
        return v;
    puna_buf buf = puna_jv_buf(vm);
    int32_t c;
    size_t first = (size_t)puna_utf8_decode(v.u.s->data, v.u.s->n, &c);
    puna_junicode_map(&buf, c, PUNA_JU_TITLE);
    puna_junicode_lower(&buf, v.u.s->data + first, v.u.s->n - first);
    return keep_flag(puna_jv_take(vm, &buf), v);
}

static puna_jv method_upper(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)args;
    return puna_jstr_upper(vm, self);
}

static puna_jv method_lower(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)args;
    return puna_jstr_lower(vm, self);
}

static puna_jv method_casefold(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)args;
    return map_all(vm, self, PUNA_JU_FOLD);
}

static puna_jv method_capitalize(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)args;
    return puna_jstr_capitalize(vm, self);
}

static bool is_cased(int32_t c)
{
    return puna_junicode_is_lower(c) || puna_junicode_is_upper(c) || puna_junicode_is_title(c);
}

static puna_jv method_title(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)args;
    puna_buf buf = puna_jv_buf(vm);
    const puna_jstr *s = self.u.s;
    bool inside = false;
    for (size_t i = 0; i < s->n;) {
        int32_t c;
        size_t n = (size_t)puna_utf8_decode(s->data + i, s->n - i, &c);
        if (inside)
            puna_junicode_lower_at(&buf, s->data, s->n, i, c);
        else
            puna_junicode_map(&buf, c, PUNA_JU_TITLE);
        inside = is_cased(c);
        i += n;
    }
    return keep_flag(puna_jv_take(vm, &buf), self);
}

static puna_jv method_swapcase(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)args;
    puna_buf buf = puna_jv_buf(vm);
    const puna_jstr *s = self.u.s;
    for (size_t i = 0; i < s->n;) {
        int32_t c;
        size_t n = (size_t)puna_utf8_decode(s->data + i, s->n - i, &c);
        if (puna_junicode_is_upper(c))
            puna_junicode_lower_at(&buf, s->data, s->n, i, c);
        else if (puna_junicode_is_lower(c))
            puna_junicode_map(&buf, c, PUNA_JU_UPPER);
        else
            puna_buf_add(&buf, s->data + i, n);
        i += n;
    }
    return keep_flag(puna_jv_take(vm, &buf), self);
}

/* ---- stripping -------------------------------------------------------------------------- */

static bool in_set(const puna_jstr *set, int32_t c)
{
    if (!set)
        return puna_junicode_is_space(c);
    for (size_t i = 0; i < set->n;) {
        int32_t one;
        i += (size_t)puna_utf8_decode(set->data + i, set->n - i, &one);
        if (one == c)
            return true;
    }
    return false;
}

puna_jv puna_jstr_strip(puna_jvm *vm, puna_jv v, puna_jv chars, bool left, bool right)
{
    if (v.type != PUNA_J_STR)
        return v;
    const puna_jstr *s = v.u.s, *set = NULL;
    if (chars.type != PUNA_J_MISSING && chars.type != PUNA_J_NONE) {
        if (!want_string(vm, chars, "strip argument"))
            return puna_jv_undefined(vm, NULL);
        set = chars.u.s;
    }
    size_t from = 0, to = s->n;
    int32_t c;
    while (left && from < to && !vm->failed) {
        size_t n = (size_t)puna_utf8_decode(s->data + from, to - from, &c);
        if (!in_set(set, c))
            break;
        from += n;
        if (set)
            puna_jvm_charge(vm, set->n);
    }
    while (right && to > from && !vm->failed) {
        size_t n = (size_t)puna_junicode_before(s->data + from, to - from, &c);
        if (!in_set(set, c))
            break;
        to -= n;
        if (set)
            puna_jvm_charge(vm, set->n);
    }
    if (!puna_jvm_charge(vm, s->n - (to - from)))
        return puna_jv_undefined(vm, NULL);
    return from == 0 && to == s->n ? v : keep_flag(puna_jv_borrow(vm, s->data + from, to - from), v);
}

static puna_jv method_strip(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    return puna_jstr_strip(vm, self, args->slot[0], true, true);
}

static puna_jv method_lstrip(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    return puna_jstr_strip(vm, self, args->slot[0], true, false);
}

static puna_jv method_rstrip(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    return puna_jstr_strip(vm, self, args->slot[0], false, true);
}

static bool has_prefix(const puna_jstr *s, const puna_jstr *prefix)
{
    return prefix->n <= s->n && memcmp(s->data, prefix->data, prefix->n) == 0;
}

static bool has_suffix(const puna_jstr *s, const puna_jstr *suffix)
{
    return suffix->n <= s->n && memcmp(s->data + s->n - suffix->n, suffix->data, suffix->n) == 0;
}

static puna_jv method_removeprefix(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    if (!want_string(vm, args->slot[0], "prefix"))
        return puna_jv_undefined(vm, NULL);
    const puna_jstr *s = self.u.s, *prefix = args->slot[0].u.s;
    if (!has_prefix(s, prefix))
        return self;
    return keep_flag(puna_jv_borrow(vm, s->data + prefix->n, s->n - prefix->n), self);
}

static puna_jv method_removesuffix(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    if (!want_string(vm, args->slot[0], "suffix"))
        return puna_jv_undefined(vm, NULL);
    const puna_jstr *s = self.u.s, *suffix = args->slot[0].u.s;
    if (!has_suffix(s, suffix))
        return self;
    return keep_flag(puna_jv_borrow(vm, s->data, s->n - suffix->n), self);
}

/* ---- searching -------------------------------------------------------------------------- */

/* self[start:end] by code points, as the searching methods take it; *offset gets start. */
static bool window(puna_jvm *vm, puna_jv self, const puna_jv bounds[2], puna_jstr *out, int64_t *offset)
{
    int64_t n = (int64_t)puna_jv_chars(self), part[2] = { 0, n };
    for (int i = 0; i < 2; i++) {
        if (bounds[i].type == PUNA_J_NONE)
            continue;
        if (!want_integer(vm, bounds[i], part[i], &part[i]))
            return false;
        if (part[i] < 0)
            part[i] = part[i] + n < 0 ? 0 : part[i] + n;
    }
    if (part[1] > n)
        part[1] = n;
    *offset = part[0];
    if (part[0] > part[1]) {
        *out = (puna_jstr){ .data = NULL };
        return true;
    }
    size_t from = puna_jv_byte_of(self, (size_t)part[0]), to = puna_jv_byte_of(self, (size_t)part[1]);
    *out = (puna_jstr){ .data = self.u.s->data + from, .n = to - from };
    return puna_jvm_charge(vm, self.u.s->n);
}

static puna_jv match_end(puna_jvm *vm, puna_jv self, puna_jargs *args, bool at_start)
{
    puna_jstr in;
    int64_t offset;
    puna_jv what = args->slot[0];
    if (!window(vm, self, args->slot + 1, &in, &offset))
        return puna_jv_undefined(vm, NULL);
    if (what.type == PUNA_J_STR)
        return puna_jv_bool(in.data && (at_start ? has_prefix(&in, what.u.s) : has_suffix(&in, what.u.s)));
    if (what.type != PUNA_J_TUPLE) {
        want_string(vm, what, at_start ? "startswith argument" : "endswith argument");
        return puna_jv_undefined(vm, NULL);
    }
    for (size_t i = 0; i < what.u.list->n && puna_jvm_step(vm); i++) {
        puna_jv one = what.u.list->items[i];
        if (!want_string(vm, one, at_start ? "startswith argument" : "endswith argument"))
            break;
        if (in.data && (at_start ? has_prefix(&in, one.u.s) : has_suffix(&in, one.u.s)))
            return puna_jv_bool(true);
    }
    return puna_jv_bool(false);
}

static puna_jv method_startswith(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    return match_end(vm, self, args, true);
}

static puna_jv method_endswith(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    return match_end(vm, self, args, false);
}

static const char *find_first(const char *data, size_t n, const puna_jstr *what)
{
    if (!what->n)
        return data;
    return what->n > n ? NULL : memmem(data, n, what->data, what->n);
}

static const char *find_last(const char *data, size_t n, const puna_jstr *what)
{
    if (!what->n)
        return data + n;
    for (size_t left = n; left >= what->n;) {
        const char *at = memrchr(data, what->data[0], left - what->n + 1);
        if (!at)
            return NULL;
        if (memcmp(at, what->data, what->n) == 0)
            return at;
        left = (size_t)(at - data) + what->n - 1;
    }
    return NULL;
}

static int64_t find(puna_jvm *vm, puna_jv self, puna_jargs *args, bool last)
{
    puna_jstr in;
    int64_t index;
    if (!want_string(vm, args->slot[0], "the text to find") ||
        !window(vm, self, args->slot + 1, &in, &index) || !in.data)
        return -1;
    const char *at =
        last ? find_last(in.data, in.n, args->slot[0].u.s) : find_first(in.data, in.n, args->slot[0].u.s);
    if (!at)
        return -1;
    for (const char *p = in.data; p < at; p++)
        index += ((unsigned char)*p & 0xc0) != 0x80;
    return index;
}

static puna_jv method_find(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    return puna_jv_int(find(vm, self, args, false));
}

static puna_jv method_rfind(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    return puna_jv_int(find(vm, self, args, true));
}

static puna_jv must_find(puna_jvm *vm, puna_jv self, puna_jargs *args, bool last)
{
    int64_t i = find(vm, self, args, last);
    return i < 0 ? puna_jvm_fail(vm, "substring not found") : puna_jv_int(i);
}

static puna_jv method_index(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    return must_find(vm, self, args, false);
}

static puna_jv method_rindex(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    return must_find(vm, self, args, true);
}

static puna_jv method_count(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    puna_jstr in;
    int64_t offset, n = 0;
    if (!want_string(vm, args->slot[0], "the text to count") ||
        !window(vm, self, args->slot + 1, &in, &offset))
        return puna_jv_undefined(vm, NULL);
    const puna_jstr *what = args->slot[0].u.s;
    if (!in.data)
        return puna_jv_int(0);
    if (!what->n) {
        for (size_t i = 0; i < in.n; i++)
            n += ((unsigned char)in.data[i] & 0xc0) != 0x80;
        return puna_jv_int(n + 1);
    }
    const char *at = in.data, *end = in.data + in.n;
    while ((at = find_first(at, (size_t)(end - at), what)) != NULL) {
        n++;
        at += what->n;
    }
    return puna_jv_int(n);
}

puna_jv puna_jstr_replace(puna_jvm *vm, puna_jv v, puna_jv from, puna_jv to, int64_t count)
{
    if (v.type != PUNA_J_STR || !want_string(vm, from, "replace() argument 1") ||
        !want_string(vm, to, "replace() argument 2"))
        return puna_jv_undefined(vm, NULL);
    from = puna_jv_soft_escape(vm, from, v.flag);
    to = puna_jv_soft_escape(vm, to, v.flag);
    if (vm->failed)
        return v;
    const puna_jstr *s = v.u.s, *what = from.u.s, *by = to.u.s;
    puna_buf buf = puna_jv_buf(vm);
    size_t at = 0;
    while (count != 0 && !buf.failed) {
        const char *found = find_first(s->data + at, s->n - at, what);
        if (!found)
            break;
        size_t i = (size_t)(found - s->data);
        puna_buf_add(&buf, s->data + at, i - at);
        puna_buf_add(&buf, by->data, by->n);
        at = i + what->n;
        count -= count > 0;
        if (!what->n) { /* between all characters, and at the end */
            int32_t c;
            if (at >= s->n)
                break;
            size_t n = (size_t)puna_utf8_decode(s->data + at, s->n - at, &c);
            puna_buf_add(&buf, s->data + at, n);
            at += n;
        }
    }
    if (at <= s->n)
        puna_buf_add(&buf, s->data + at, s->n - at);
    puna_jvm_charge(vm, s->n);
    return keep_flag(puna_jv_take(vm, &buf), v);
}

static puna_jv method_replace(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    int64_t count;
    if (!want_integer(vm, args->slot[2], -1, &count))
        return puna_jv_undefined(vm, NULL);
    return puna_jstr_replace(vm, self, args->slot[0], args->slot[1], count);
}

/* ---- splitting and joining -------------------------------------------------------------- */

static void push(puna_jvm *vm, puna_jv list, puna_jv from, size_t a, size_t b)
{
    puna_jv_append(vm, list, keep_flag(puna_jv_borrow(vm, from.u.s->data + a, b - a), from));
}

static void split_space(puna_jvm *vm, puna_jv self, int64_t most, puna_jv list)
{
    const puna_jstr *s = self.u.s;
    size_t at = puna_junicode_leading_space(s->data, s->n);
    while (at < s->n && !vm->failed) {
        size_t end = at;
        if (most-- == 0) {
            push(vm, list, self, at, s->n); /* the rest keeps its trailing space */
            return;
        }
        while (end < s->n) {
            int32_t c;
            size_t n = (size_t)puna_utf8_decode(s->data + end, s->n - end, &c);
            if (puna_junicode_is_space(c))
                break;
            end += n;
        }
        push(vm, list, self, at, end);
        at = end + puna_junicode_leading_space(s->data + end, s->n - end);
    }
}

static void reverse(puna_jlist *list)
{
    for (size_t i = 0; i < list->n / 2; i++) {
        puna_jv v = list->items[i];
        list->items[i] = list->items[list->n - 1 - i];
        list->items[list->n - 1 - i] = v;
    }
}

static void rsplit_space(puna_jvm *vm, puna_jv self, int64_t most, puna_jv list)
{
    const puna_jstr *s = self.u.s;
    size_t end = s->n - puna_junicode_trailing_space(s->data, s->n);
    while (end > 0 && !vm->failed) {
        size_t at = end;
        if (most-- == 0) {
            push(vm, list, self, 0, end);
            break;
        }
        while (at > 0) {
            int32_t c;
            size_t n = (size_t)puna_junicode_before(s->data, at, &c);
            if (puna_junicode_is_space(c))
                break;
            at -= n;
        }
        push(vm, list, self, at, end);
        end = at - puna_junicode_trailing_space(s->data, at);
    }
    if (!vm->failed)
        reverse(list.u.list);
}

static puna_jv split(puna_jvm *vm, puna_jv self, puna_jargs *args, bool from_right)
{
    int64_t most;
    puna_jv list = puna_jv_list(vm, 4);
    puna_jv separator = args->slot[0];
    const puna_jstr *s = self.u.s;
    if (!want_integer(vm, args->slot[1], -1, &most) || !puna_jvm_charge(vm, s->n))
        return list;
    if (separator.type == PUNA_J_MISSING || separator.type == PUNA_J_NONE) {
        if (from_right)
            rsplit_space(vm, self, most, list);
        else
            split_space(vm, self, most, list);
        return list;
    }
    if (!want_string(vm, separator, "the separator"))
        return list;
    const puna_jstr *by = separator.u.s;
    if (!by->n)
        return puna_jvm_fail(vm, "empty separator");
    size_t from = 0, to = s->n;
    while (most != 0 && !vm->failed) {
        const char *found =
            from_right ? find_last(s->data, to, by) : find_first(s->data + from, s->n - from, by);
        if (!found)
            break;
        size_t at = (size_t)(found - s->data);
        push(vm, list, self, from_right ? at + by->n : from, from_right ? to : at);
        from = from_right ? from : at + by->n;
        to = from_right ? at : to;
        most -= most > 0;
    }
    push(vm, list, self, from, to);
    if (from_right && !vm->failed)
        reverse(list.u.list);
    return list;
}

static puna_jv method_split(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    return split(vm, self, args, false);
}

static puna_jv method_rsplit(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    return split(vm, self, args, true);
}

static puna_jv partition(puna_jvm *vm, puna_jv self, puna_jargs *args, bool last)
{
    if (!want_string(vm, args->slot[0], "the separator"))
        return puna_jv_undefined(vm, NULL);
    const puna_jstr *s = self.u.s, *by = args->slot[0].u.s;
    if (!by->n)
        return puna_jvm_fail(vm, "empty separator");
    puna_jvm_charge(vm, s->n);
    const char *found = last ? find_last(s->data, s->n, by) : find_first(s->data, s->n, by);
    size_t at = found ? (size_t)(found - s->data) : last ? 0 : s->n, behind = found ? at + by->n : at;
    puna_jv parts = puna_jv_tuple(vm, 3);
    push(vm, parts, self, 0, at);
    push(vm, parts, self, at, behind);
    push(vm, parts, self, behind, s->n);
    return parts;
}

static puna_jv method_partition(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    return partition(vm, self, args, false);
}

static puna_jv method_rpartition(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    return partition(vm, self, args, true);
}

puna_jv puna_jstr_lines(puna_jvm *vm, puna_jv v, bool keep_ends)
{
    puna_jv list = puna_jv_list(vm, 4);
    if (vm->failed)
        return list;
    const puna_jstr *s = v.u.s;
    size_t from = 0;
    for (size_t i = 0; i < s->n && !vm->failed;) {
        int32_t c;
        size_t at = i;
        i += (size_t)puna_utf8_decode(s->data + i, s->n - i, &c);
        if (!puna_junicode_is_line_end(c))
            continue;
        if (c == '\r' && i < s->n && s->data[i] == '\n')
            i++;
        push(vm, list, v, from, keep_ends ? i : at);
        from = i;
    }
    puna_jvm_charge(vm, s->n);
    if (from < s->n)
        push(vm, list, v, from, s->n);
    return list;
}

static puna_jv method_splitlines(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    return puna_jstr_lines(vm, self, puna_jv_true(args->slot[0]));
}

puna_jv puna_jstr_join(puna_jvm *vm, puna_jv separator, puna_jv items, bool strict)
{
    puna_jiter *iter = vm->failed ? NULL : puna_jiter_new(vm, items);
    puna_buf buf = puna_jv_buf(vm);
    bool safe = strict && separator.flag;
    for (size_t i = 0; iter && !vm->failed && !buf.failed; i++) {
        puna_jv item = puna_jiter_next(vm, iter);
        if (item.type == PUNA_J_MISSING)
            break;
        if (strict && item.type != PUNA_J_STR)
            puna_jvm_fail(vm, "join(): item %zu: expected str, got %s", i, puna_jv_type_name(item));
        if (i)
            puna_jv_write_str(vm, &buf, separator);
        puna_jv_write_str(vm, &buf, safe ? puna_jv_escape(vm, item) : item);
    }
    puna_jv text = puna_jv_take(vm, &buf);
    if (text.type == PUNA_J_STR)
        text.flag = safe;
    return text;
}

static puna_jv method_join(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    return puna_jstr_join(vm, self, args->slot[0], true);
}

/* ---- padding ---------------------------------------------------------------------------- */

puna_jv puna_jstr_pad(puna_jvm *vm, puna_jv v, int64_t width, puna_jv fill, char side)
{
    if (vm->failed)
        return v;
    int64_t n = (int64_t)puna_jv_chars(v), left = 0;
    if (fill.type != PUNA_J_MISSING && (fill.type != PUNA_J_STR || puna_jv_chars(fill) != 1))
        return puna_jvm_fail(vm, "the fill character must be exactly one character long");
    if (width <= n)
        return v;
    if ((uint64_t)width > vm->limits.output_bytes)
        return puna_jvm_fail(vm, "made a text longer than %zu bytes", vm->limits.output_bytes);
    int64_t pad = width - n;
    if (side == 'r')
        left = pad;
    else if (side == 'c')
        left = pad / 2 + (pad & width & 1); /* where the odd one goes is Python's choice */
    const char *text = fill.type == PUNA_J_STR ? fill.u.s->data : " ";
    size_t n_text = fill.type == PUNA_J_STR ? fill.u.s->n : 1;
    puna_buf buf = puna_jv_buf(vm);
    for (int64_t i = 0; i < left && !buf.failed; i++)
        puna_buf_add(&buf, text, n_text);
    puna_buf_add(&buf, v.u.s->data, v.u.s->n);
    for (int64_t i = left; i < pad && !buf.failed; i++)
        puna_buf_add(&buf, text, n_text);
    return keep_flag(puna_jv_take(vm, &buf), v);
}

static puna_jv pad(puna_jvm *vm, puna_jv self, puna_jargs *args, char side)
{
    int64_t width;
    if (!want_integer(vm, args->slot[0], 0, &width))
        return puna_jv_undefined(vm, NULL);
    return puna_jstr_pad(vm, self, width, args->slot[1], side);
}

static puna_jv method_ljust(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    return pad(vm, self, args, 'l');
}

static puna_jv method_rjust(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    return pad(vm, self, args, 'r');
}

static puna_jv method_center(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    return pad(vm, self, args, 'c');
}

static puna_jv method_zfill(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    int64_t width;
    const puna_jstr *s = self.u.s;
    if (!want_integer(vm, args->slot[0], 0, &width))
        return puna_jv_undefined(vm, NULL);
    size_t sign = s->n && (s->data[0] == '+' || s->data[0] == '-');
    puna_jv digits = puna_jv_borrow(vm, s->data + sign, s->n - sign);
    if (vm->failed)
        return digits;
    digits = puna_jstr_pad(vm, digits, width - (int64_t)sign, puna_jv_literal(vm, "0"), 'r');
    puna_jv head = puna_jv_borrow(vm, s->data, sign);
    return vm->failed ? digits : keep_flag(puna_jv_concat(vm, head, digits), self);
}

static puna_jv method_expandtabs(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    int64_t size, column = 0;
    const puna_jstr *s = self.u.s;
    if (!want_integer(vm, args->slot[0], 8, &size))
        return puna_jv_undefined(vm, NULL);
    puna_buf buf = puna_jv_buf(vm);
    for (size_t i = 0; i < s->n && !buf.failed; i++) {
        char c = s->data[i];
        if (c == '\t') {
            int64_t n = size > 0 ? size - column % size : 0;
            column += n;
            for (; n > 0 && !buf.failed; n--)
                puna_buf_add_byte(&buf, ' ');
            continue;
        }
        column = c == '\n' || c == '\r' ? 0 : column + (((unsigned char)c & 0xc0) != 0x80);
        puna_buf_add_byte(&buf, c);
    }
    return keep_flag(puna_jv_take(vm, &buf), self);
}

/* ---- questions -------------------------------------------------------------------------- */

static puna_jv all_chars(puna_jvm *vm, puna_jv self, bool (*is)(int32_t), bool if_empty)
{
    const puna_jstr *s = self.u.s;
    puna_jvm_charge(vm, s->n);
    for (size_t i = 0; i < s->n;) {
        int32_t c;
        i += (size_t)puna_utf8_decode(s->data + i, s->n - i, &c);
        if (!is(c))
            return puna_jv_bool(false);
    }
    return puna_jv_bool(s->n || if_empty);
}

static bool is_alnum(int32_t c)
{
    return puna_junicode_is_alpha(c) || puna_junicode_is_numeric(c);
}

static bool is_ascii(int32_t c)
{
    return c >= 0 && c < 128;
}

#define CLASS_METHOD(name, is, if_empty)                                                                     \
    static puna_jv method_##name(puna_jvm *vm, puna_jv self, puna_jargs *args)                               \
    {                                                                                                        \
        (void)args;                                                                                          \
        return all_chars(vm, self, is, if_empty);                                                            \
    }

CLASS_METHOD(isalpha, puna_junicode_is_alpha, false)
CLASS_METHOD(isdigit, puna_junicode_is_digit, false)
CLASS_METHOD(isdecimal, puna_junicode_is_decimal, false)
CLASS_METHOD(isnumeric, puna_junicode_is_numeric, false)
CLASS_METHOD(isalnum, is_alnum, false)
CLASS_METHOD(isspace, puna_junicode_is_space, false)
CLASS_METHOD(isprintable, puna_junicode_is_printable, true)
CLASS_METHOD(isascii, is_ascii, true)

static puna_jv method_isidentifier(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)args;
    int32_t c = 0;
    if (!self.u.s->n)
        return puna_jv_bool(false);
    puna_utf8_decode(self.u.s->data, self.u.s->n, &c);
    if (c != '_' && !puna_junicode_is_alpha(c))
        return puna_jv_bool(false);
    return all_chars(vm, self, puna_junicode_is_identifier, false);
}

static puna_jv is_case(puna_jvm *vm, puna_jv self, const char *test)
{
    puna_jargs none = { 0 };
    return puna_jbuiltin_call(vm, puna_jbuiltin_test(test, 5), self, &none);
}

static puna_jv method_isupper(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)args;
    return is_case(vm, self, "upper");
}

static puna_jv method_islower(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)args;
    return is_case(vm, self, "lower");
}

static puna_jv method_istitle(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    (void)args;
    const puna_jstr *s = self.u.s;
    bool inside = false, any = false;
    puna_jvm_charge(vm, s->n);
    for (size_t i = 0; i < s->n;) {
        int32_t c;
        i += (size_t)puna_utf8_decode(s->data + i, s->n - i, &c);
        bool upper = puna_junicode_is_upper(c) || puna_junicode_is_title(c),
             lower = puna_junicode_is_lower(c);
        if ((upper && inside) || (lower && !inside))
            return puna_jv_bool(false);
        inside = upper || lower;
        any |= upper;
    }
    return puna_jv_bool(any);
}

static puna_jv method_format(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    return puna_jv_format(vm, self, args);
}

static puna_jv method_format_map(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    puna_jv map = args->slot[0];
    if (map.type != PUNA_J_DICT)
        return puna_jvm_fail(vm, "format_map() takes a mapping, got %s", puna_jv_type_name(map));
    size_t n = map.u.dict->n;
    puna_jargs spread = { 0 };
    puna_jstr **names = puna_jvm_alloc(vm, n, sizeof *names);
    spread.keywords = puna_jvm_alloc(vm, n, sizeof *spread.keywords);
    if (!names || !spread.keywords)
        return puna_jv_undefined(vm, NULL);
    for (size_t i = 0; i < n; i++) {
        const puna_jentry *entry = &map.u.dict->entries[i];
        if (entry->key.type != PUNA_J_STR)
            continue;
        names[spread.n_keywords] = entry->key.u.s;
        spread.keywords[spread.n_keywords++] = entry->value;
    }
    spread.names = names;
    return puna_jv_format(vm, self, &spread);
}

const puna_jbuiltin *puna_jmethods_string(const char *name, size_t n)
{
    static const puna_jbuiltin rows[] = {
        { "upper", method_upper, "" },
        { "lower", method_lower, "" },
        { "casefold", method_casefold, "" },
        { "capitalize", method_capitalize, "" },
        { "title", method_title, "" },
        { "swapcase", method_swapcase, "" },
        { "strip", method_strip, "/ chars?" },
        { "lstrip", method_lstrip, "/ chars?" },
        { "rstrip", method_rstrip, "/ chars?" },
        { "removeprefix", method_removeprefix, "/ prefix" },
        { "removesuffix", method_removesuffix, "/ suffix" },
        { "startswith", method_startswith, "/ prefix start? end?" },
        { "endswith", method_endswith, "/ suffix start? end?" },
        { "find", method_find, "/ sub start? end?" },
        { "rfind", method_rfind, "/ sub start? end?" },
        { "index", method_index, "/ sub start? end?" },
        { "rindex", method_rindex, "/ sub start? end?" },
        { "count", method_count, "/ sub start? end?" },
        { "replace", method_replace, "old new count?" },
        { "split", method_split, "sep? maxsplit?" },
        { "rsplit", method_rsplit, "sep? maxsplit?" },
        { "partition", method_partition, "/ sep" },
        { "rpartition", method_rpartition, "/ sep" },
        { "splitlines", method_splitlines, "keepends?" },
        { "join", method_join, "/ iterable" },
        { "ljust", method_ljust, "/ width fillchar?" },
        { "rjust", method_rjust, "/ width fillchar?" },
        { "center", method_center, "/ width fillchar?" },
        { "zfill", method_zfill, "/ width" },
        { "expandtabs", method_expandtabs, "tabsize?" },
        { "isalpha", method_isalpha, "" },
        { "isdigit", method_isdigit, "" },
        { "isdecimal", method_isdecimal, "" },
        { "isnumeric", method_isnumeric, "" },
        { "isalnum", method_isalnum, "" },
        { "isspace", method_isspace, "" },
        { "isprintable", method_isprintable, "" },
        { "isascii", method_isascii, "" },
        { "isidentifier", method_isidentifier, "" },
        { "isupper", method_isupper, "" },
        { "islower", method_islower, "" },
        { "istitle", method_istitle, "" },
        { "format", method_format, "*" },
        { "format_map", method_format_map, "/ mapping" },
    };
    return puna_jbuiltin_find(rows, sizeof rows / sizeof *rows, name, n);
}
