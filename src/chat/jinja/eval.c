/* eval.c - expressions: a walk over the tree, one step each, with a nesting limit. */
#include <string.h>

#include "base/limits.h"
#include "chat/jinja/ast.h"

/* ---- calls ------------------------------------------------------------------------------ */

static size_t count_list(const puna_jnode *list)
{
    size_t n = 0;
    for (; list; list = list->next)
        n++;
    return n;
}

typedef struct growing {
    puna_jv *values;
    puna_jstr **names;
    size_t n, capacity;
} growing;

static void add(puna_jvm *vm, growing *to, puna_jstr *name, puna_jv value)
{
    if (to->n == to->capacity) {
        size_t capacity = to->capacity ? to->capacity * 2 : 4;
        puna_jv *values = puna_jvm_alloc(vm, capacity, sizeof *values);
        puna_jstr **names = puna_jvm_alloc(vm, capacity, sizeof *names);
        if (!values || !names)
            return;
        if (to->n) {
            memcpy(values, to->values, to->n * sizeof *values);
            memcpy(names, to->names, to->n * sizeof *names);
        }
        *to = (growing){ .values = values, .names = names, .n = to->n, .capacity = capacity };
    }
    to->names[to->n] = name;
    to->values[to->n++] = value;
}

static void add_keyword(puna_jvm *vm, growing *to, puna_jstr *name, puna_jv value)
{
    for (size_t i = 0; i < to->n; i++)
        if (to->names[i]->n == name->n && memcmp(to->names[i]->data, name->data, name->n) == 0) {
            puna_jvm_fail(vm, "the keyword argument '%.*s' is given twice", (int)(name->n & 127), name->data);
            return;
        }
    add(vm, to, name, value);
}

static void spread(puna_jvm *vm, growing *positional, puna_jv v)
{
    puna_jiter *iter = puna_jiter_new(vm, v);
    while (iter && !vm->failed) {
        puna_jv item = puna_jiter_next(vm, iter);
        if (item.type == PUNA_J_MISSING)
            break;
        add(vm, positional, NULL, item);
    }
}

static void spread_keywords(puna_jvm *vm, growing *keywords, puna_jv v)
{
    if (v.type != PUNA_J_DICT) {
        puna_jvm_fail(vm, "argument after ** must be a mapping, not %s", puna_jv_type_name(v));
        return;
    }
    for (size_t i = 0; i < v.u.dict->n && !vm->failed; i++) {
        puna_jv key = v.u.dict->entries[i].key;
        if (key.type != PUNA_J_STR)
            puna_jvm_fail(vm, "keywords must be strings");
        else
            add_keyword(vm, keywords, key.u.s, v.u.dict->entries[i].value);
    }
}

bool puna_jvm_arguments(puna_jvm *vm, const puna_jnode *list, puna_jscope *scope, puna_jv caller,
                        puna_jargs *args)
{
    growing positional = { 0 }, keywords = { 0 };
    *args = (puna_jargs){ 0 };
    for (const puna_jnode *arg = list; arg && !vm->failed; arg = arg->next) {
        puna_jv v = puna_jvm_eval(vm, arg->a, scope);
        if (vm->failed)
            break;
        if (arg->op == 1)
            spread(vm, &positional, v);
        else if (arg->op == 2)
            spread_keywords(vm, &keywords, v);
        else if (arg->name)
            add_keyword(vm, &keywords, arg->name, v);
        else
            add(vm, &positional, NULL, v);
    }
    if (caller.type != PUNA_J_MISSING && !vm->failed)
        add_keyword(vm, &keywords, vm->template->caller, caller);
    args->positional = positional.values;
    args->n = positional.n;
    args->keywords = keywords.values;
    args->names = keywords.names;
    args->n_keywords = keywords.n;
    return !vm->failed;
}

static bool word_is(const char *word, size_t n, const puna_jstr *name)
{
    return name->n == n && memcmp(name->data, word, n) == 0;
}

/* Fills args->slot in the order of f->params. */
static bool bind(puna_jvm *vm, const puna_jbuiltin *f, puna_jargs *args)
{
    size_t n_params = 0, n_used = 0;
    bool by_name = f->params[0] != '/';
    for (const char *word = f->params + (by_name ? 0 : 2); *word; n_params++) {
        size_t n = strcspn(word, " ");
        bool optional = word[n - 1] == '?';
        size_t n_name = n - optional;
        puna_jv v = puna_jv_of(PUNA_J_MISSING);
        if (n_params < args->n)
            v = args->positional[n_params];
        for (size_t k = 0; k < args->n_keywords && by_name; k++) {
            if (!word_is(word, n_name, args->names[k]))
                continue;
            if (v.type != PUNA_J_MISSING) {
                puna_jvm_fail(vm, "%s() got two values for '%.*s'", f->name, (int)n_name, word);
                return false;
            }
            v = args->keywords[k];
            n_used++;
        }
        if (v.type == PUNA_J_MISSING && !optional) {
            puna_jvm_fail(vm, "%s() lacks the argument '%.*s'", f->name, (int)n_name, word);
            return false;
        }
        args->slot[n_params] = v;
        word += n + (word[n] == ' ');
    }
    if (args->n > n_params)
        puna_jvm_fail(vm, "%s() takes at most %zu arguments, got %zu", f->name, n_params, args->n);
    else if (n_used < args->n_keywords)
        puna_jvm_fail(vm, "%s() got an unexpected keyword argument", f->name);
    return !vm->failed;
}

puna_jv puna_jbuiltin_call(puna_jvm *vm, const puna_jbuiltin *f, puna_jv self, puna_jargs *args)
{
    if (!puna_jvm_step(vm))
        return puna_jv_undefined(vm, NULL);
    if (strcmp(f->params, "*") != 0 && !bind(vm, f, args))
        return puna_jv_undefined(vm, NULL);
    return f->call(vm, self, args);
}

puna_jv puna_jv_call(puna_jvm *vm, puna_jv callee, puna_jargs *args)
{
    switch (callee.type) {
    case PUNA_J_FUNCTION:
        return puna_jbuiltin_call(vm, callee.u.function, puna_jv_of(PUNA_J_MISSING), args);
    case PUNA_J_METHOD:
        return puna_jbuiltin_call(vm, callee.u.method->builtin, callee.u.method->self, args);
    case PUNA_J_MACRO:
        return puna_jmacro_call(vm, callee.u.macro, args);
    case PUNA_J_LOOP:
        return puna_jloop_call(vm, callee.u.loop, args);
    case PUNA_J_JOINER:
        return callee.u.cycler->at++ ? callee.u.cycler->items->items[0] : puna_jv_literal(vm, "");
    default:
        if (puna_jv_refuse_undefined(vm, callee))
            return callee;
        return puna_jvm_fail(vm, "'%s' object is not callable", puna_jv_type_name(callee));
    }
}

/* ---- operators -------------------------------------------------------------------------- */

static bool compare(puna_jvm *vm, uint8_t op, puna_jv a, puna_jv b)
{
    int order;
    switch (op) {
    case PUNA_JT_EQ:
        return puna_jv_equal(vm, a, b);
    case PUNA_JT_NE:
        return !puna_jv_equal(vm, a, b);
    case PUNA_JN_IN:
        return puna_jv_contains(vm, b, a);
    case PUNA_JN_NOT_IN:
        return !puna_jv_contains(vm, b, a);
    case PUNA_JT_LT:
        return puna_jv_compare(vm, a, b, "<") == -1;
    case PUNA_JT_GT:
        return puna_jv_compare(vm, a, b, ">") == 1;
    case PUNA_JT_LE:
        order = puna_jv_compare(vm, a, b, "<=");
        return order == -1 || order == 0;
    default:
        order = puna_jv_compare(vm, a, b, ">=");
        return order == 1 || order == 0;
    }
}

static puna_jv eval_compare(puna_jvm *vm, const puna_jnode *node, puna_jscope *scope)
{
    puna_jv left = puna_jvm_eval(vm, node->a, scope);
    bool holds = true;
    for (const puna_jnode *operand = node->list; operand && holds && !vm->failed; operand = operand->next) {
        puna_jv right = puna_jvm_eval(vm, operand->a, scope);
        vm->at = operand->at;
        holds = !vm->failed && compare(vm, operand->op, left, right);
        left = right;
    }
    return puna_jv_bool(holds);
}

static puna_jv eval_concat(puna_jvm *vm, const puna_jnode *node, puna_jscope *scope)
{
    puna_buf buf = puna_jv_buf(vm);
    for (const puna_jnode *item = node->list; item && !vm->failed; item = item->next)
        puna_jv_write_str(vm, &buf, puna_jvm_eval(vm, item, scope));
    vm->at = node->at;
    return puna_jv_take(vm, &buf);
}

static puna_jv eval_items(puna_jvm *vm, const puna_jnode *node, puna_jscope *scope)
{
    puna_jv list = node->kind == PUNA_JN_LIST ? puna_jv_list(vm, node->n) : puna_jv_tuple(vm, node->n);
    for (const puna_jnode *item = node->list; item && !vm->failed; item = item->next)
        puna_jv_append(vm, list, puna_jvm_eval(vm, item, scope));
    return list;
}

static puna_jv eval_dict(puna_jvm *vm, const puna_jnode *node, puna_jscope *scope)
{
    puna_jv dict = puna_jv_dict(vm);
    for (const puna_jnode *pair = node->list; pair && !vm->failed; pair = pair->next) {
        puna_jv key = puna_jvm_eval(vm, pair->a, scope);
        puna_jv value = puna_jvm_eval(vm, pair->b, scope);
        vm->at = pair->at;
        puna_jv_set(vm, dict, key, value);
    }
    return dict;
}

static puna_jv eval_call(puna_jvm *vm, const puna_jnode *node, puna_jscope *scope)
{
    puna_jargs args;
    puna_jv callee = puna_jvm_eval(vm, node->a, scope);
    if (vm->failed || !puna_jvm_arguments(vm, node->list, scope, puna_jv_of(PUNA_J_MISSING), &args))
        return puna_jv_undefined(vm, NULL);
    vm->at = node->at;
    return puna_jv_call(vm, callee, &args);
}

static puna_jv eval_filter(puna_jvm *vm, const puna_jnode *node, puna_jscope *scope)
{
    bool is_filter = node->kind == PUNA_JN_FILTER;
    puna_jargs args;
    puna_jv input = node->a ? puna_jvm_eval(vm, node->a, scope) : vm->filter_input;
    if (vm->failed)
        return input;
    vm->at = node->at;
    if (!node->builtin)
        return puna_jvm_fail(vm, "no %s named '%.*s'", is_filter ? "filter" : "test",
                             (int)(node->name->n & 127), node->name->data);
    if (count_list(node->list) == 0)
        args = (puna_jargs){ 0 };
    else if (!puna_jvm_arguments(vm, node->list, scope, puna_jv_of(PUNA_J_MISSING), &args))
        return input;
    vm->at = node->at;
    puna_jv result = puna_jbuiltin_call(vm, node->builtin, input, &args);
    return is_filter ? result : puna_jv_bool(puna_jv_true(result));
}

static puna_jv eval_subscript(puna_jvm *vm, const puna_jnode *node, puna_jscope *scope)
{
    puna_jv object = puna_jvm_eval(vm, node->a, scope);
    if (vm->failed)
        return object;
    if (node->b->kind == PUNA_JN_SLICE) {
        const puna_jnode *parts[] = { node->b->a, node->b->b, node->b->c };
        puna_jv bound[3];
        for (int i = 0; i < 3; i++)
            bound[i] = parts[i] ? puna_jvm_eval(vm, parts[i], scope) : puna_jv_of(PUNA_J_NONE);
        vm->at = node->at;
        return vm->failed ? object : puna_jv_slice(vm, object, bound);
    }
    puna_jv key = puna_jvm_eval(vm, node->b, scope);
    vm->at = node->at;
    return vm->failed ? object : puna_jv_item(vm, object, key);
}

static puna_jv eval_condition(puna_jvm *vm, const puna_jnode *node, puna_jscope *scope)
{
    if (puna_jv_true(puna_jvm_eval(vm, node->a, scope)))
        return puna_jvm_eval(vm, node->b, scope);
    if (node->c)
        return puna_jvm_eval(vm, node->c, scope);
    return puna_jv_undefined(vm, "the inline if-expression was false and has no else");
}

static puna_jv eval_node(puna_jvm *vm, const puna_jnode *node, puna_jscope *scope)
{
    puna_jv a, b;
    switch (node->kind) {
    case PUNA_JN_CONST:
        return node->value;
    case PUNA_JN_NAME:
        return puna_jscope_get(vm, scope, node->name);
    case PUNA_JN_LIST:
    case PUNA_JN_TUPLE:
        return eval_items(vm, node, scope);
    case PUNA_JN_DICT:
        return eval_dict(vm, node, scope);
    case PUNA_JN_NOT:
        return puna_jv_bool(!puna_jv_true(puna_jvm_eval(vm, node->a, scope)));
    case PUNA_JN_NEG:
    case PUNA_JN_POS:
        a = puna_jvm_eval(vm, node->a, scope);
        return puna_jv_negate(vm, a, node->kind == PUNA_JN_NEG);
    case PUNA_JN_AND:
    case PUNA_JN_OR:
        a = puna_jvm_eval(vm, node->a, scope);
        return puna_jv_true(a) == (node->kind == PUNA_JN_OR) ? a : puna_jvm_eval(vm, node->b, scope);
    case PUNA_JN_BINARY:
        a = puna_jvm_eval(vm, node->a, scope);
        b = puna_jvm_eval(vm, node->b, scope);
        vm->at = node->at;
        return vm->failed ? a : puna_jv_binary(vm, node->op, a, b);
    case PUNA_JN_CONCAT:
        return eval_concat(vm, node, scope);
    case PUNA_JN_COMPARE:
        return eval_compare(vm, node, scope);
    case PUNA_JN_COND:
        return eval_condition(vm, node, scope);
    case PUNA_JN_CALL:
        return eval_call(vm, node, scope);
    case PUNA_JN_FILTER:
    case PUNA_JN_TEST:
        return eval_filter(vm, node, scope);
    case PUNA_JN_GETATTR:
        a = puna_jvm_eval(vm, node->a, scope);
        vm->at = node->at;
        return vm->failed ? a : puna_jv_attribute(vm, a, node->value);
    case PUNA_JN_GETITEM:
        return eval_subscript(vm, node, scope);
    default:
        return puna_jvm_fail(vm, "this is not an expression");
    }
}

puna_jv puna_jvm_eval(puna_jvm *vm, const puna_jnode *node, puna_jscope *scope)
{
    vm->at = node->at;
    if (!puna_jvm_step(vm) || !puna_jvm_enter(vm))
        return puna_jv_undefined(vm, NULL);
    puna_jv v = eval_node(vm, node, scope);
    puna_jvm_leave(vm);
    return v;
}
