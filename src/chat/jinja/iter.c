/* iter.c - stepping through lists, strings, dicts, views, ranges and generators. */
#include <string.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "chat/jinja/vm.h"

/* Python's sandbox has the same bound. */
enum { MAX_RANGE = 100000 };

static puna_jv end(void)
{
    return puna_jv_of(PUNA_J_MISSING);
}

static puna_jv next_none(puna_jvm *vm, puna_jiter *iter)
{
    (void)vm;
    (void)iter;
    return end();
}

static puna_jv next_list(puna_jvm *vm, puna_jiter *iter)
{
    (void)vm;
    const puna_jlist *list = iter->over.u.list;
    return iter->at < list->n ? list->items[iter->at++] : end();
}

static puna_jv next_char(puna_jvm *vm, puna_jiter *iter)
{
    const puna_jstr *s = iter->over.u.s;
    int32_t c;
    if (iter->at >= s->n)
        return end();
    size_t from = iter->at;
    iter->at += (size_t)puna_utf8_decode(s->data + from, s->n - from, &c);
    return puna_jv_borrow(vm, s->data + from, iter->at - from); /* plain, also from a safe string */
}

static puna_jv next_entry(puna_jvm *vm, puna_jiter *iter)
{
    const puna_jdict *dict = iter->over.u.dict;
    if (iter->at >= dict->n)
        return end();
    const puna_jentry *entry = &dict->entries[iter->at++];
    if (iter->over.type == PUNA_J_VIEW && iter->over.flag == PUNA_J_ITEMS)
        return puna_jv_pair(vm, entry->key, entry->value);
    return iter->over.type == PUNA_J_VIEW && iter->over.flag == PUNA_J_VALUES ? entry->value : entry->key;
}

static puna_jv next_number(puna_jvm *vm, puna_jiter *iter)
{
    (void)vm;
    const puna_jrange *range = iter->over.u.range;
    return iter->at < range->n ? puna_jv_int(puna_jrange_at(range, iter->at++)) : end();
}

puna_jiter *puna_jiter_make(puna_jvm *vm, puna_jnext next, puna_jv over, const char *name)
{
    puna_jiter *iter = puna_jvm_alloc(vm, 1, sizeof *iter);
    if (!iter)
        return NULL;
    iter->next = next;
    iter->over = over;
    iter->name = name;
    return iter;
}

puna_jiter *puna_jiter_new(puna_jvm *vm, puna_jv over)
{
    puna_jnext next = NULL;
    if (over.type == PUNA_J_ITER)
        return over.u.iter;
    if (over.type == PUNA_J_UNDEFINED)
        next = next_none;
    else if (over.type == PUNA_J_LIST || over.type == PUNA_J_TUPLE)
        next = next_list;
    else if (over.type == PUNA_J_STR)
        next = next_char;
    else if (over.type == PUNA_J_DICT || over.type == PUNA_J_VIEW)
        next = next_entry;
    else if (over.type == PUNA_J_RANGE)
        next = next_number;
    if (!next) {
        puna_jvm_fail(vm, "'%s' object is not iterable", puna_jv_type_name(over));
        return NULL;
    }
    return puna_jiter_make(vm, next, over, "iterator");
}

puna_jv puna_jiter_next(puna_jvm *vm, puna_jiter *iter)
{
    if (iter->done || !puna_jvm_step(vm) || !puna_jvm_enter(vm))
        return end();
    puna_jv v = iter->next(vm, iter);
    puna_jvm_leave(vm);
    if (v.type == PUNA_J_MISSING || vm->failed) {
        iter->done = true;
        return end();
    }
    return v;
}

puna_jv puna_jv_iterator(puna_jiter *iter)
{
    return (puna_jv){ .type = iter ? PUNA_J_ITER : PUNA_J_UNDEFINED, .u.iter = iter };
}

bool puna_jv_is_iterable(puna_jv v)
{
    switch (v.type) {
    case PUNA_J_UNDEFINED:
    case PUNA_J_STR:
    case PUNA_J_LIST:
    case PUNA_J_TUPLE:
    case PUNA_J_DICT:
    case PUNA_J_RANGE:
    case PUNA_J_VIEW:
    case PUNA_J_ITER:
        return true;
    default:
        return false;
    }
}

puna_jv puna_jv_to_list(puna_jvm *vm, puna_jv over)
{
    int64_t n = puna_jv_length(over);
    puna_jiter *iter = puna_jiter_new(vm, over);
    puna_jv list = puna_jv_list(vm, n > 0 ? (size_t)n : 0);
    while (iter && !vm->failed) {
        puna_jv v = puna_jiter_next(vm, iter);
        if (v.type == PUNA_J_MISSING)
            break;
        puna_jv_append(vm, list, v);
    }
    return list;
}

int64_t puna_jrange_at(const puna_jrange *range, size_t i)
{
    return (int64_t)((uint64_t)range->start + (uint64_t)i * (uint64_t)range->step);
}

puna_jv puna_jrange_new(puna_jvm *vm, int64_t start, int64_t stop, int64_t step)
{
    if (!step)
        return puna_jvm_fail(vm, "range() arg 3 must not be zero");
    uint64_t n = 0;
    if (step > 0 && start < stop)
        n = ((uint64_t)stop - (uint64_t)start - 1) / (uint64_t)step + 1;
    else if (step < 0 && start > stop)
        n = ((uint64_t)start - (uint64_t)stop - 1) / (0 - (uint64_t)step) + 1;
    if (n > MAX_RANGE)
        return puna_jvm_fail(vm, "range of %llu items: at most %d are allowed", (unsigned long long)n,
                             MAX_RANGE);
    puna_jrange *range = puna_jvm_alloc(vm, 1, sizeof *range);
    if (!range)
        return puna_jv_undefined(vm, NULL);
    *range = (puna_jrange){ .start = start, .stop = stop, .step = step, .n = (size_t)n };
    return (puna_jv){ .type = PUNA_J_RANGE, .u.range = range };
}
