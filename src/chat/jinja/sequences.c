/* sequences.c - filters that take or make sequences. map, select and their kin are lazy, as in
 * Jinja2: they do nothing, and fail at nothing, until something steps through them. */
#include <string.h>

#include "chat/jinja/ast.h"
#include "chat/jinja/filters.h"
#include "chat/jinja/methods.h"
#include "chat/jinja/unicode.h"

static puna_jv missing(void)
{
    return puna_jv_of(PUNA_J_MISSING);
}

static bool is_given(puna_jv v)
{
    return v.type != PUNA_J_MISSING && v.type != PUNA_J_NONE;
}

/* ---- attributes by path ----------------------------------------------------------------- */

/* One part of a dotted path: digits are an index. */
static puna_jv part_key(puna_jvm *vm, const char *text, size_t n)
{
    int64_t value = 0;
    bool number = n > 0 && n < 18;
    for (size_t i = 0; i < n && number; i++) {
        number = text[i] >= '0' && text[i] <= '9';
        value = value * 10 + (text[i] - '0');
    }
    return number ? puna_jv_int(value) : puna_jv_borrow(vm, text, n);
}

/* "a.b.0" of an item; a fallback that is given replaces what is undefined on the way. */
static puna_jv lookup(puna_jvm *vm, puna_jv item, puna_jv path, puna_jv fallback)
{
    if (!is_given(path))
        return item;
    if (path.type != PUNA_J_STR) {
        item = puna_jv_item(vm, item, path);
        return item.type == PUNA_J_UNDEFINED && is_given(fallback) ? fallback : item;
    }
    const char *text = path.u.s->data, *end = text + path.u.s->n;
    for (;;) {
        const char *dot = memchr(text, '.', (size_t)(end - text));
        size_t n = (size_t)((dot ? dot : end) - text);
        item = puna_jv_item(vm, item, part_key(vm, text, n));
        if (vm->failed)
            return item;
        if (item.type == PUNA_J_UNDEFINED && is_given(fallback))
            item = fallback;
        if (!dot)
            return item;
        text = dot + 1;
    }
}

static puna_jv fold_case(puna_jvm *vm, puna_jv v, bool case_sensitive)
{
    return v.type == PUNA_J_STR && !case_sensitive ? puna_jstr_lower(vm, v) : v;
}

/* ---- sorting ---------------------------------------------------------------------------- */

/* Stable merge sort of items by keys. With reverse, equal ones keep their order too. */
static void sort_by(puna_jvm *vm, puna_jlist *keys, puna_jlist *items, bool reverse)
{
    size_t n = items->n;
    puna_jv *other_keys = puna_jvm_alloc(vm, n, sizeof *other_keys);
    puna_jv *other_items = puna_jvm_alloc(vm, n, sizeof *other_items);
    for (size_t width = 1; other_items && other_keys && width < n; width *= 2) {
        for (size_t from = 0; from < n && !vm->failed; from += 2 * width) {
            size_t a = from, middle = from + width < n ? from + width : n, b = middle;
            size_t to = from + 2 * width < n ? from + 2 * width : n;
            for (size_t k = from; k < to; k++) {
                bool right = a >= middle;
                if (!right && b < to)
                    right = reverse ? puna_jv_compare(vm, keys->items[a], keys->items[b], "<") == -1
                                    : puna_jv_compare(vm, keys->items[b], keys->items[a], "<") == -1;
                size_t i = right ? b++ : a++;
                other_keys[k] = keys->items[i];
                other_items[k] = items->items[i];
            }
        }
        if (vm->failed)
            return;
        memcpy(keys->items, other_keys, n * sizeof *other_keys);
        memcpy(items->items, other_items, n * sizeof *other_items);
    }
}

/* The sort keys of "a,b.c": a list of the attributes' values. */
static puna_jv multi_key(puna_jvm *vm, puna_jv item, puna_jv path, bool case_sensitive)
{
    puna_jv key = puna_jv_list(vm, 1);
    if (path.type != PUNA_J_STR) {
        puna_jv_append(vm, key, fold_case(vm, lookup(vm, item, path, missing()), case_sensitive));
        return key;
    }
    const char *text = path.u.s->data, *end = text + path.u.s->n;
    while (!vm->failed) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        puna_jv one = puna_jv_borrow(vm, text, (size_t)((comma ? comma : end) - text));
        puna_jv_append(vm, key, fold_case(vm, lookup(vm, item, one, missing()), case_sensitive));
        if (!comma)
            break;
        text = comma + 1;
    }
    return key;
}

static puna_jv filter_sort(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    int64_t reverse;
    puna_jv items = puna_jv_to_list(vm, v);
    bool case_sensitive = puna_jv_true(args->slot[1]);
    if (!puna_jfilters_integer(vm, args->slot[0], 0, &reverse))
        return v;
    puna_jv keys = puna_jv_list(vm, vm->failed ? 0 : items.u.list->n);
    for (size_t i = 0; !vm->failed && i < items.u.list->n; i++)
        puna_jv_append(vm, keys, multi_key(vm, items.u.list->items[i], args->slot[2], case_sensitive));
    if (!vm->failed)
        sort_by(vm, keys.u.list, items.u.list, reverse != 0);
    return items;
}

static puna_jv filter_dictsort(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    bool by_value = false;
    if (args->slot[1].type != PUNA_J_MISSING) {
        puna_jv by = puna_jv_to_str(vm, args->slot[1]);
        if (vm->failed)
            return by;
        by_value = by.u.s->n == 5 && memcmp(by.u.s->data, "value", 5) == 0;
        if (!by_value && !(by.u.s->n == 3 && memcmp(by.u.s->data, "key", 3) == 0))
            return puna_jvm_fail(vm, "dictsort sorts by 'key' or 'value'");
    }
    if (v.type != PUNA_J_DICT)
        return puna_jv_refuse_undefined(vm, v)
                   ? v
                   : puna_jvm_fail(vm, "dictsort takes a dict, not %s", puna_jv_type_name(v));
    puna_jv view = { .type = PUNA_J_VIEW, .flag = PUNA_J_ITEMS, .u.dict = v.u.dict };
    puna_jv items = puna_jv_to_list(vm, view), keys = puna_jv_list(vm, v.u.dict->n);
    for (size_t i = 0; !vm->failed && i < v.u.dict->n; i++) {
        const puna_jentry *entry = &v.u.dict->entries[i];
        puna_jv_append(vm, keys,
                       fold_case(vm, by_value ? entry->value : entry->key, puna_jv_true(args->slot[0])));
    }
    if (!vm->failed)
        sort_by(vm, keys.u.list, items.u.list, puna_jv_true(args->slot[2]));
    return items;
}

static puna_jv filter_groupby(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    bool case_sensitive = puna_jv_true(args->slot[2]);
    puna_jv items = puna_jv_to_list(vm, v), groups = puna_jv_list(vm, 4);
    puna_jv keys = puna_jv_list(vm, vm->failed ? 0 : items.u.list->n);
    for (size_t i = 0; !vm->failed && i < items.u.list->n; i++)
        puna_jv_append(
            vm, keys,
            fold_case(vm, lookup(vm, items.u.list->items[i], args->slot[0], args->slot[1]), case_sensitive));
    if (vm->failed)
        return groups;
    sort_by(vm, keys.u.list, items.u.list, false);
    puna_jv members = missing();
    for (size_t i = 0; i < items.u.list->n && !vm->failed; i++) {
        if (i == 0 || !puna_jv_equal(vm, keys.u.list->items[i], keys.u.list->items[i - 1])) {
            members = puna_jv_list(vm, 4);
            puna_jv name = lookup(vm, items.u.list->items[i], args->slot[0], args->slot[1]);
            puna_jv pair = puna_jv_pair(vm, case_sensitive ? keys.u.list->items[i] : name, members);
            pair.flag = 1; /* has .grouper and .list */
            puna_jv_append(vm, groups, pair);
        }
        puna_jv_append(vm, members, items.u.list->items[i]);
    }
    return groups;
}

static puna_jv extreme(puna_jvm *vm, puna_jv v, puna_jargs *args, int wanted)
{
    puna_jiter *iter = puna_jiter_new(vm, v);
    puna_jv best = missing(), best_key = missing();
    while (iter && !vm->failed) {
        puna_jv item = puna_jiter_next(vm, iter);
        if (item.type == PUNA_J_MISSING)
            break;
        puna_jv key = fold_case(vm, lookup(vm, item, args->slot[1], missing()), puna_jv_true(args->slot[0]));
        if (vm->failed)
            break;
        if (best.type == PUNA_J_MISSING ||
            puna_jv_compare(vm, key, best_key, wanted < 0 ? "<" : ">") == wanted) {
            best = item;
            best_key = key;
        }
    }
    return best.type == PUNA_J_MISSING ? puna_jv_undefined(vm, "no aggregated item: the sequence was empty")
                                       : best;
}

static puna_jv filter_min(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    return extreme(vm, v, args, -1);
}

static puna_jv filter_max(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    return extreme(vm, v, args, 1);
}

/* ---- lazy filters ----------------------------------------------------------------------- */

static puna_jv lazy(puna_jvm *vm, puna_jnext next, puna_jv v, const puna_jargs *args, const char *name)
{
    puna_jiter *iter = puna_jiter_make(vm, next, v, name);
    puna_jargs *kept = iter ? puna_jvm_alloc(vm, 1, sizeof *kept) : NULL;
    if (!kept)
        return puna_jv_undefined(vm, NULL);
    *kept = *args;
    iter->args = kept;
    return puna_jv_iterator(iter);
}

/* The first step: an empty operand ends it before anything can be wrong with the arguments. */
static bool start(puna_jvm *vm, puna_jiter *iter)
{
    if (!puna_jv_true(iter->over))
        return false;
    iter->inner = puna_jiter_new(vm, iter->over);
    return iter->inner != NULL;
}

/* Takes the first positional argument off. */
static puna_jv shift(puna_jargs *args)
{
    args->n--;
    return *args->positional++;
}

static puna_jv keyword(const puna_jargs *args, const char *name)
{
    for (size_t i = 0; i < args->n_keywords; i++)
        if (args->names[i]->n == strlen(name) && memcmp(args->names[i]->data, name, args->names[i]->n) == 0)
            return args->keywords[i];
    return missing();
}

static bool start_map(puna_jvm *vm, puna_jiter *iter)
{
    if (!start(vm, iter))
        return false;
    puna_jargs *args = iter->args;
    puna_jv attribute = keyword(args, "attribute");
    if (!args->n && attribute.type != PUNA_J_MISSING) {
        iter->by_attribute = true;
        iter->attribute = attribute;
        iter->fallback = keyword(args, "default");
        if (args->n_keywords != 1u + (iter->fallback.type != PUNA_J_MISSING))
            puna_jvm_fail(vm, "map: unexpected keyword argument");
        return !vm->failed;
    }
    if (!args->n) {
        puna_jvm_fail(vm, "map requires a filter argument");
        return false;
    }
    puna_jv name = shift(args);
    if (name.type == PUNA_J_STR)
        iter->builtin = puna_jbuiltin_filter(name.u.s->data, name.u.s->n);
    if (!iter->builtin)
        puna_jvm_fail(vm, "map: no such filter");
    return !vm->failed;
}

static puna_jv next_map(puna_jvm *vm, puna_jiter *iter)
{
    if (!iter->inner && !start_map(vm, iter))
        return missing();
    puna_jv item = puna_jiter_next(vm, iter->inner);
    if (item.type == PUNA_J_MISSING)
        return item;
    if (iter->by_attribute)
        return lookup(vm, item, iter->attribute, iter->fallback);
    puna_jargs args = *iter->args;
    return puna_jbuiltin_call(vm, iter->builtin, item, &args);
}

static puna_jv filter_map(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    return lazy(vm, next_map, v, args, "sync_do_map");
}

static bool start_select(puna_jvm *vm, puna_jiter *iter)
{
    if (!start(vm, iter))
        return false;
    puna_jargs *args = iter->args;
    if (iter->by_attribute) {
        if (!args->n) {
            puna_jvm_fail(vm, "missing parameter for attribute name");
            return false;
        }
        iter->attribute = shift(args);
    }
    if (!args->n)
        return true;
    puna_jv name = shift(args);
    if (name.type == PUNA_J_STR)
        iter->builtin = puna_jbuiltin_test(name.u.s->data, name.u.s->n);
    if (!iter->builtin)
        puna_jvm_fail(vm, "select: no such test");
    return !vm->failed;
}

static puna_jv next_select(puna_jvm *vm, puna_jiter *iter)
{
    if (!iter->inner && !start_select(vm, iter))
        return missing();
    while (!vm->failed) {
        puna_jv item = puna_jiter_next(vm, iter->inner);
        if (item.type == PUNA_J_MISSING)
            break;
        puna_jv what = iter->by_attribute ? lookup(vm, item, iter->attribute, missing()) : item;
        puna_jargs args = *iter->args;
        if (vm->failed)
            break;
        bool passes = puna_jv_true(iter->builtin ? puna_jbuiltin_call(vm, iter->builtin, what, &args) : what);
        if (passes != iter->negated && !vm->failed)
            return item;
    }
    return missing();
}

static puna_jv make_select(puna_jvm *vm, puna_jv v, const puna_jargs *args, bool by_attribute, bool negated)
{
    puna_jv made = lazy(vm, next_select, v, args, "select_or_reject");
    if (made.type == PUNA_J_ITER) {
        made.u.iter->by_attribute = by_attribute;
        made.u.iter->negated = negated;
    }
    return made;
}

static puna_jv filter_select(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    return make_select(vm, v, args, false, false);
}

static puna_jv filter_reject(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    return make_select(vm, v, args, false, true);
}

static puna_jv filter_selectattr(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    return make_select(vm, v, args, true, false);
}

static puna_jv filter_rejectattr(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    return make_select(vm, v, args, true, true);
}

static puna_jv next_unique(puna_jvm *vm, puna_jiter *iter)
{
    if (!iter->inner) {
        iter->inner = puna_jiter_new(vm, iter->over);
        iter->seen = puna_jv_dict(vm);
    }
    while (iter->inner && !vm->failed) {
        puna_jv item = puna_jiter_next(vm, iter->inner);
        if (item.type == PUNA_J_MISSING)
            break;
        puna_jv key = fold_case(vm, lookup(vm, item, iter->args->slot[1], missing()),
                                puna_jv_true(iter->args->slot[0]));
        size_t before = vm->failed ? 0 : iter->seen.u.dict->n;
        puna_jv_set(vm, iter->seen, key, puna_jv_of(PUNA_J_NONE));
        if (!vm->failed && iter->seen.u.dict->n > before)
            return item;
    }
    return missing();
}

static puna_jv filter_unique(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    return lazy(vm, next_unique, v, args, "sync_do_unique");
}

static puna_jv next_items(puna_jvm *vm, puna_jiter *iter)
{
    if (!iter->inner) {
        if (iter->over.type == PUNA_J_UNDEFINED)
            return missing();
        if (iter->over.type != PUNA_J_DICT) {
            puna_jvm_fail(vm, "items: can only get item pairs from a mapping, not %s",
                          puna_jv_type_name(iter->over));
            return missing();
        }
        puna_jv view = { .type = PUNA_J_VIEW, .flag = PUNA_J_ITEMS, .u.dict = iter->over.u.dict };
        iter->inner = puna_jiter_new(vm, view);
    }
    return iter->inner ? puna_jiter_next(vm, iter->inner) : missing();
}

static puna_jv filter_items(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    return lazy(vm, next_items, v, args, "do_items");
}

static puna_jv next_batch(puna_jvm *vm, puna_jiter *iter)
{
    if (!iter->inner && (!puna_jfilters_integer(vm, iter->args->slot[0], 0, &iter->size) ||
                         (iter->inner = puna_jiter_new(vm, iter->over)) == NULL))
        return missing();
    puna_jv row = puna_jv_list(vm, 4), fill = iter->args->slot[1];
    if (iter->size == 0 && iter->at++ == 0) { /* as Jinja2: an empty row, then one with all */
        iter->fallback = puna_jiter_next(vm, iter->inner);
        return iter->fallback.type == PUNA_J_MISSING ? missing() : row;
    }
    if (iter->fallback.type != PUNA_J_MISSING)
        puna_jv_append(vm, row, iter->fallback);
    iter->fallback = missing();
    while (!vm->failed && (iter->size < 1 || (int64_t)row.u.list->n < iter->size)) {
        puna_jv item = puna_jiter_next(vm, iter->inner);
        if (item.type == PUNA_J_MISSING)
            break;
        puna_jv_append(vm, row, item);
    }
    if (vm->failed || !row.u.list->n)
        return missing();
    while (is_given(fill) && (int64_t)row.u.list->n < iter->size && !vm->failed)
        puna_jv_append(vm, row, fill);
    return row;
}

static puna_jv filter_batch(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    return lazy(vm, next_batch, v, args, "sync_do_batch");
}

static puna_jv next_slice(puna_jvm *vm, puna_jiter *iter)
{
    puna_jargs *args = iter->args;
    if (!iter->inner) {
        puna_jv all = puna_jv_to_list(vm, iter->over);
        if (!puna_jfilters_integer(vm, args->slot[0], 0, &iter->size) || vm->failed)
            return missing();
        if (!iter->size)
            puna_jvm_fail(vm, "slice: division by zero");
        iter->over = all;
        iter->inner = puna_jiter_new(vm, all);
    }
    if (vm->failed || (int64_t)iter->at >= iter->size)
        return missing();
    size_t n = iter->over.u.list->n, slices = (size_t)iter->size, i = iter->at++;
    size_t base = n / slices, extra = n % slices;
    size_t from = i * base + (i < extra ? i : extra), to = from + base + (i < extra);
    puna_jv row = puna_jv_list(vm, to - from + 1);
    for (size_t k = from; k < to; k++)
        puna_jv_append(vm, row, iter->over.u.list->items[k]);
    if (is_given(args->slot[1]) && i >= extra)
        puna_jv_append(vm, row, args->slot[1]);
    return row;
}

static puna_jv filter_slice(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    return lazy(vm, next_slice, v, args, "sync_do_slice");
}

/* ---- the rest --------------------------------------------------------------------------- */

static puna_jv filter_list(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    return puna_jv_to_list(vm, v);
}

static puna_jv filter_length(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    int64_t n = v.type == PUNA_J_LOOP ? puna_jloop_attribute(vm, v, puna_jv_literal(vm, "length")).u.i
                                      : puna_jv_length(v);
    return n < 0 ? puna_jvm_fail(vm, "object of type '%s' has no len()", puna_jv_type_name(v))
                 : puna_jv_int(n);
}

static puna_jv filter_first(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    puna_jiter *iter = puna_jiter_new(vm, v);
    puna_jv item = iter ? puna_jiter_next(vm, iter) : missing();
    return item.type == PUNA_J_MISSING ? puna_jv_undefined(vm, "no first item: the sequence was empty")
                                       : item;
}

static bool is_reversible(puna_jv v)
{
    return puna_jv_is_iterable(v) && v.type != PUNA_J_ITER;
}

static puna_jv filter_last(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    if (!is_reversible(v))
        return puna_jvm_fail(vm, "'%s' object is not reversible", puna_jv_type_name(v));
    puna_jv list = puna_jv_to_list(vm, v);
    if (vm->failed)
        return list;
    size_t n = list.u.list->n;
    return n ? list.u.list->items[n - 1] : puna_jv_undefined(vm, "no last item: the sequence was empty");
}

static puna_jv filter_reverse(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    (void)args;
    if (v.type == PUNA_J_STR) {
        puna_jv bound[3] = { puna_jv_of(PUNA_J_NONE), puna_jv_of(PUNA_J_NONE), puna_jv_int(-1) };
        return puna_jv_slice(vm, v, bound);
    }
    puna_jv list = puna_jv_to_list(vm, v);
    for (size_t i = 0; !vm->failed && i < list.u.list->n / 2; i++) {
        size_t other = list.u.list->n - 1 - i;
        puna_jv item = list.u.list->items[i];
        list.u.list->items[i] = list.u.list->items[other];
        list.u.list->items[other] = item;
    }
    if (vm->failed || !is_reversible(v))
        return list;
    puna_jiter *iter = puna_jiter_new(vm, list); /* Python gives an iterator, which has no length */
    return iter ? puna_jv_iterator(iter) : list;
}

static puna_jv filter_join(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    if (is_given(args->slot[1])) {
        puna_jv all = puna_jv_to_list(vm, v);
        for (size_t i = 0; !vm->failed && i < all.u.list->n; i++)
            all.u.list->items[i] = lookup(vm, all.u.list->items[i], args->slot[1], missing());
        v = all;
    }
    puna_jv separator =
        args->slot[0].type == PUNA_J_MISSING ? puna_jv_literal(vm, "") : puna_jv_to_str(vm, args->slot[0]);
    return vm->failed ? v : puna_jstr_join(vm, separator, v, false);
}

static puna_jv filter_sum(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    puna_jv total = args->slot[1].type == PUNA_J_MISSING ? puna_jv_int(0) : args->slot[1];
    puna_jiter *iter = puna_jiter_new(vm, v);
    if (total.type == PUNA_J_STR)
        return puna_jvm_fail(vm, "sum: cannot sum strings");
    while (iter && !vm->failed) {
        puna_jv item = puna_jiter_next(vm, iter);
        if (item.type == PUNA_J_MISSING)
            break;
        total = puna_jv_binary(vm, PUNA_JT_ADD, total, lookup(vm, item, args->slot[0], missing()));
    }
    return total;
}

static puna_jv filter_attr(puna_jvm *vm, puna_jv v, puna_jargs *args)
{
    puna_jv name = args->slot[0];
    if (name.type != PUNA_J_STR)
        return puna_jvm_fail(vm, "attr: the name must be str, not %s", puna_jv_type_name(name));
    if (v.type == PUNA_J_DICT && !puna_jbuiltin_method(v, name.u.s->data, name.u.s->n))
        return (
            puna_jv){ .type = PUNA_J_UNDEFINED, .flag = PUNA_J_NO_ATTRIBUTE, .of = v.type, .u.s = name.u.s };
    return puna_jv_attribute(vm, v, name);
}

const puna_jbuiltin *puna_jfilters_sequence(const char *name, size_t n)
{
    static const puna_jbuiltin rows[] = {
        { "attr", filter_attr, "name" },
        { "batch", filter_batch, "linecount fill_with?" },
        { "count", filter_length, "" },
        { "dictsort", filter_dictsort, "case_sensitive? by? reverse?" },
        { "first", filter_first, "" },
        { "groupby", filter_groupby, "attribute default? case_sensitive?" },
        { "items", filter_items, "" },
        { "join", filter_join, "d? attribute?" },
        { "last", filter_last, "" },
        { "length", filter_length, "" },
        { "list", filter_list, "" },
        { "map", filter_map, "*" },
        { "max", filter_max, "case_sensitive? attribute?" },
        { "min", filter_min, "case_sensitive? attribute?" },
        { "reject", filter_reject, "*" },
        { "rejectattr", filter_rejectattr, "*" },
        { "reverse", filter_reverse, "" },
        { "select", filter_select, "*" },
        { "selectattr", filter_selectattr, "*" },
        { "slice", filter_slice, "slices fill_with?" },
        { "sort", filter_sort, "reverse? case_sensitive? attribute?" },
        { "sum", filter_sum, "attribute? start?" },
        { "unique", filter_unique, "case_sensitive? attribute?" },
    };
    return puna_jbuiltin_find(rows, sizeof rows / sizeof *rows, name, n);
}
