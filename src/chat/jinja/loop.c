/* loop.c - for loops. The filter of `for x in xs if test` runs as items are asked for, between the
 * rounds, as in Jinja2. */
#include <string.h>

#include "chat/jinja/loop.h"

/* The next item that passes the loop's filter; MISSING at the end. */
static puna_jv fetch(puna_jvm *vm, puna_jloop *loop)
{
    const puna_jnode *test = loop->node->c;
    for (;;) {
        puna_jv item = puna_jiter_next(vm, loop->items);
        if (item.type == PUNA_J_MISSING || !test)
            return item;
        puna_jscope *scope = puna_jscope_new(vm, loop->scope);
        puna_jvm_assign(vm, loop->node->a, item, scope);
        bool passes = !vm->failed && puna_jv_true(puna_jvm_eval(vm, test, scope));
        if (vm->failed)
            return puna_jv_of(PUNA_J_MISSING);
        if (passes)
            return item;
    }
}

puna_jloop *puna_jloop_new(puna_jvm *vm, const puna_jnode *node, puna_jscope *scope, puna_jv over,
                           int64_t depth0)
{
    puna_jiter *items = puna_jiter_new(vm, over);
    puna_jloop *loop = items ? puna_jvm_alloc(vm, 1, sizeof *loop) : NULL;
    if (!loop)
        return NULL;
    loop->node = node;
    loop->scope = scope;
    loop->items = items;
    loop->index0 = -1;
    loop->length = node->c ? -1 : puna_jv_length(over);
    loop->depth0 = depth0;
    return loop;
}

static puna_jv peek(puna_jvm *vm, puna_jloop *loop)
{
    if (!loop->peeked) {
        loop->after = fetch(vm, loop);
        loop->peeked = true;
    }
    return loop->after;
}

bool puna_jloop_advance(puna_jvm *vm, puna_jloop *loop)
{
    puna_jv item = peek(vm, loop);
    loop->peeked = false;
    if (item.type == PUNA_J_MISSING || vm->failed)
        return false;
    loop->index0++;
    loop->before = loop->current;
    loop->current = item;
    return true;
}

/* Without a known length the rest is read now and stepped through later. */
static int64_t length(puna_jvm *vm, puna_jloop *loop)
{
    if (loop->length >= 0)
        return loop->length;
    puna_jv rest = puna_jv_list(vm, 0);
    int64_t n = loop->index0 + 1;
    bool peeked = loop->peeked && loop->after.type != PUNA_J_MISSING;
    while (!vm->failed) {
        puna_jv item = fetch(vm, loop);
        if (item.type == PUNA_J_MISSING)
            break;
        puna_jv_append(vm, rest, item);
    }
    if (vm->failed)
        return 0;
    n += (int64_t)rest.u.list->n + peeked;
    puna_jiter *items = puna_jiter_new(vm, rest);
    if (items)
        loop->items = items;
    loop->length = n;
    return n;
}

static puna_jv cycle(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    if (!args->n)
        return puna_jvm_fail(vm, "loop.cycle() needs items");
    return args->positional[(size_t)self.u.loop->index0 % args->n];
}

static puna_jv changed(puna_jvm *vm, puna_jv self, puna_jargs *args)
{
    puna_jloop *loop = self.u.loop;
    puna_jv now = puna_jv_tuple(vm, args->n);
    for (size_t i = 0; i < args->n; i++)
        puna_jv_append(vm, now, args->positional[i]);
    if (vm->failed)
        return now;
    puna_jv last = { .type = PUNA_J_TUPLE, .u.list = loop->changed };
    if (loop->changed && puna_jv_equal(vm, last, now))
        return puna_jv_bool(false);
    loop->changed = now.u.list;
    return puna_jv_bool(true);
}

static puna_jv method(puna_jvm *vm, puna_jv self, const puna_jbuiltin *builtin)
{
    puna_jmethod *bound = puna_jvm_alloc(vm, 1, sizeof *bound);
    if (!bound)
        return puna_jv_undefined(vm, NULL);
    *bound = (puna_jmethod){ .self = self, .builtin = builtin };
    return (puna_jv){ .type = PUNA_J_METHOD, .u.method = bound };
}

puna_jv puna_jloop_attribute(puna_jvm *vm, puna_jv v, puna_jv name)
{
    static const puna_jbuiltin methods[] = { { "cycle", cycle, "*" }, { "changed", changed, "*" } };
    static const char *const names[] = { "index",     "index0", "first",  "last",     "length",  "revindex",
                                         "revindex0", "depth",  "depth0", "previtem", "nextitem" };
    puna_jloop *loop = v.u.loop;
    if (name.type != PUNA_J_STR)
        return puna_jv_of(PUNA_J_MISSING);
    const puna_jbuiltin *builtin = puna_jbuiltin_find(methods, 2, name.u.s->data, name.u.s->n);
    if (builtin)
        return method(vm, v, builtin);
    size_t i = 0;
    while (i < sizeof names / sizeof *names &&
           (strlen(names[i]) != name.u.s->n || memcmp(names[i], name.u.s->data, name.u.s->n) != 0))
        i++;
    puna_jv item;
    switch (i) {
    case 0:
        return puna_jv_int(loop->index0 + 1);
    case 1:
        return puna_jv_int(loop->index0);
    case 2:
        return puna_jv_bool(loop->index0 == 0);
    case 3:
        return puna_jv_bool(peek(vm, loop).type == PUNA_J_MISSING);
    case 4:
        return puna_jv_int(length(vm, loop));
    case 5:
        return puna_jv_int(length(vm, loop) - loop->index0);
    case 6:
        return puna_jv_int(length(vm, loop) - loop->index0 - 1);
    case 7:
        return puna_jv_int(loop->depth0 + 1);
    case 8:
        return puna_jv_int(loop->depth0);
    case 9:
        return loop->index0 ? loop->before : puna_jv_undefined(vm, "there is no previous item");
    case 10:
        item = peek(vm, loop);
        return item.type == PUNA_J_MISSING ? puna_jv_undefined(vm, "there is no next item") : item;
    default:
        return puna_jv_of(PUNA_J_MISSING);
    }
}
