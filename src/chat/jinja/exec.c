/* exec.c - statements, scopes and macros. A for loop, a macro, a block set and the like each have
 * their own scope: what is set inside is gone outside. An if has none. */
#include <string.h>

#include "base/limits.h"
#include "chat/jinja/ast.h"
#include "chat/jinja/loop.h"

enum { FLOW_NONE, FLOW_BREAK, FLOW_CONTINUE };

puna_jscope *puna_jscope_new(puna_jvm *vm, puna_jscope *parent)
{
    puna_jscope *scope = puna_jvm_alloc(vm, 1, sizeof *scope);
    if (scope)
        scope->parent = parent;
    return scope;
}

void puna_jscope_set(puna_jvm *vm, puna_jscope *scope, const puna_jstr *name, puna_jv value)
{
    if (vm->failed || !scope)
        return;
    for (size_t i = 0; i < scope->n; i++)
        if (scope->bindings[i].name == name) {
            scope->bindings[i].value = value;
            return;
        }
    if (scope->n == scope->capacity) {
        size_t capacity = scope->capacity ? scope->capacity * 2 : 4;
        struct puna_jbinding *bindings = puna_jvm_alloc(vm, capacity, sizeof *bindings);
        if (!bindings)
            return;
        if (scope->n)
            memcpy(bindings, scope->bindings, scope->n * sizeof *bindings);
        scope->bindings = bindings;
        scope->capacity = capacity;
    }
    scope->bindings[scope->n].name = name;
    scope->bindings[scope->n++].value = value;
}

puna_jv puna_jscope_get(puna_jvm *vm, const puna_jscope *scope, puna_jstr *name)
{
    for (; scope; scope = scope->parent)
        for (size_t i = 0; i < scope->n; i++)
            if (scope->bindings[i].name == name) {
                if (scope->bindings[i].value.type != PUNA_J_MISSING)
                    return scope->bindings[i].value;
                return (puna_jv){ .type = PUNA_J_UNDEFINED, .flag = PUNA_J_NO_NAME, .u.s = name };
            }
    puna_jv key = { .type = PUNA_J_STR, .u.s = name };
    puna_jv v = puna_jv_get(vm, (puna_jv){ .type = PUNA_J_DICT, .u.dict = vm->context }, key);
    if (v.type != PUNA_J_MISSING)
        return v;
    const puna_jbuiltin *function = puna_jbuiltin_function(name->data, name->n);
    if (function)
        return (puna_jv){ .type = PUNA_J_FUNCTION, .u.function = function };
    return (puna_jv){ .type = PUNA_J_UNDEFINED, .flag = PUNA_J_NO_NAME, .u.s = name };
}

/* ---- assignment ------------------------------------------------------------------------- */

static void assign_member(puna_jvm *vm, const puna_jnode *target, puna_jv value, puna_jscope *scope)
{
    puna_jv object = puna_jscope_get(vm, scope, target->name);
    const puna_jstr *attr = target->value.u.s;
    vm->at = target->at;
    if (object.type != PUNA_J_NAMESPACE)
        puna_jvm_fail(vm, "cannot assign an attribute of '%.*s': it is no namespace",
                      (int)(target->name->n & 127), target->name->data);
    else if (attr->data[0] == '_')
        puna_jvm_fail(vm, "a namespace takes no names that start with an underscore");
    else
        puna_jv_set(vm, object, target->value, value);
}

static void assign_tuple(puna_jvm *vm, const puna_jnode *target, puna_jv value, puna_jscope *scope)
{
    size_t n = 0;
    puna_jiter *iter = puna_jiter_new(vm, value);
    puna_jv items = puna_jv_list(vm, target->n);
    while (iter && !vm->failed && n <= target->n) {
        puna_jv item = puna_jiter_next(vm, iter);
        if (item.type == PUNA_J_MISSING)
            break;
        puna_jv_append(vm, items, item);
        n++;
    }
    vm->at = target->at;
    if (!vm->failed && n != target->n)
        puna_jvm_fail(vm,
                      n < target->n ? "not enough values to unpack: expected %u, got %zu"
                                    : "too many values to unpack: expected %u, got at least %zu",
                      (unsigned)target->n, n);
    const puna_jnode *item = target->list;
    for (size_t i = 0; item && !vm->failed; i++, item = item->next)
        puna_jvm_assign(vm, item, items.u.list->items[i], scope);
}

void puna_jvm_assign(puna_jvm *vm, const puna_jnode *target, puna_jv value, puna_jscope *scope)
{
    if (vm->failed)
        return;
    if (target->kind == PUNA_JN_NAME) {
        puna_jscope_set(vm, scope, target->name, value);
    } else if (target->kind == PUNA_JN_MEMBER) {
        assign_member(vm, target, value, scope);
    } else if (puna_jvm_enter(vm)) {
        assign_tuple(vm, target, value, scope);
        puna_jvm_leave(vm);
    }
}

/* ---- capturing -------------------------------------------------------------------------- */

/* Runs a body and returns its text instead of printing it. */
static puna_jv capture(puna_jvm *vm, const puna_jnode *body, puna_jscope *scope)
{
    puna_buf buf = puna_jv_buf(vm), *outer = vm->out;
    vm->out = &buf;
    puna_jvm_exec(vm, body, scope);
    vm->out = outer;
    return puna_jv_take(vm, &buf);
}

/* The text of a body through a filter chain (whose innermost operand is that text). */
static puna_jv capture_filtered(puna_jvm *vm, const puna_jnode *body, const puna_jnode *filters,
                                puna_jscope *scope)
{
    puna_jv text = capture(vm, body, scope);
    if (!filters || vm->failed || vm->flow)
        return text;
    puna_jv outer = vm->filter_input;
    vm->filter_input = text;
    text = puna_jvm_eval(vm, filters, scope);
    vm->filter_input = outer;
    return text;
}

static void print(puna_jvm *vm, puna_jv v)
{
    if (vm->failed)
        return;
    puna_jv_write_str(vm, vm->out, v);
    if (vm->out->failed)
        puna_jvm_fail(vm, "the text is longer than %zu bytes", vm->limits.output_bytes);
}

/* ---- loops ------------------------------------------------------------------------------ */

static void run_loop(puna_jvm *vm, puna_jloop *loop)
{
    const puna_jnode *node = loop->node;
    puna_jscope *scope = puna_jscope_new(vm, loop->scope);
    puna_jv self = { .type = PUNA_J_LOOP, .u.loop = loop };
    bool completed = false; /* as in Jinja2, else also runs when every round was cut short */
    while (scope && !vm->failed && puna_jloop_advance(vm, loop)) {
        scope->n = 0;
        puna_jscope_set(vm, scope, vm->template->loop, self);
        vm->at = node->at;
        puna_jvm_assign(vm, node->a, loop->current, scope);
        puna_jvm_exec(vm, node->body, scope);
        uint8_t flow = vm->flow;
        vm->flow = FLOW_NONE;
        completed |= flow == FLOW_NONE;
        if (flow == FLOW_BREAK)
            break;
    }
    if (scope)
        scope->n = 0;
    if (!completed && node->other && !vm->failed)
        puna_jvm_exec(vm, node->other, puna_jscope_new(vm, loop->scope));
}

static void exec_for(puna_jvm *vm, const puna_jnode *node, puna_jscope *scope)
{
    puna_jv over = puna_jvm_eval(vm, node->b, scope);
    vm->at = node->b->at;
    puna_jloop *loop = vm->failed ? NULL : puna_jloop_new(vm, node, scope, over, 0);
    if (loop)
        run_loop(vm, loop);
}

puna_jv puna_jloop_call(puna_jvm *vm, puna_jloop *loop, puna_jargs *args)
{
    if (!loop->node->flag)
        return puna_jvm_fail(vm, "the loop must be marked 'recursive' to be called");
    if (args->n != 1 || args->n_keywords)
        return puna_jvm_fail(vm, "loop() takes one argument");
    if (vm->calls >= vm->limits.depth)
        return puna_jvm_fail(vm, "calls nested deeper than %u levels", vm->limits.depth);
    if (!puna_jvm_enter(vm))
        return puna_jv_undefined(vm, NULL);
    puna_buf buf = puna_jv_buf(vm), *outer = vm->out;
    vm->calls++;
    vm->out = &buf;
    puna_jloop *inner = puna_jloop_new(vm, loop->node, loop->scope, args->positional[0], loop->depth0 + 1);
    if (inner)
        run_loop(vm, inner);
    vm->out = outer;
    vm->calls--;
    puna_jvm_leave(vm);
    return puna_jv_take(vm, &buf);
}

/* ---- macros ----------------------------------------------------------------------------- */

static puna_jv make_macro(puna_jvm *vm, const puna_jnode *node, puna_jscope *scope)
{
    puna_jmacro *macro = puna_jvm_alloc(vm, 1, sizeof *macro);
    if (!macro)
        return puna_jv_undefined(vm, NULL);
    *macro = (puna_jmacro){ .node = node, .scope = scope, .name = node->name };
    return (puna_jv){ .type = PUNA_J_MACRO, .u.macro = macro };
}

/* Takes a keyword argument out of args->keywords (which is the caller's own copy). */
static puna_jv take_keyword(puna_jargs *args, const puna_jstr *name)
{
    for (size_t i = 0; i < args->n_keywords; i++) {
        if (args->keywords[i].type == PUNA_J_MISSING || args->names[i]->n != name->n ||
            memcmp(args->names[i]->data, name->data, name->n) != 0)
            continue;
        puna_jv v = args->keywords[i];
        args->keywords[i] = puna_jv_of(PUNA_J_MISSING);
        return v;
    }
    return puna_jv_of(PUNA_J_MISSING);
}

static puna_jv missing_parameter(puna_jvm *vm, const puna_jstr *name)
{
    puna_buf buf = puna_jv_buf(vm);
    puna_buf_printf(&buf, "parameter '%.*s' was not provided", (int)(name->n & 127), name->data);
    puna_jv text = puna_jv_take(vm, &buf);
    puna_jv v = { .type = PUNA_J_UNDEFINED, .flag = PUNA_J_NO_HINT };
    if (text.type == PUNA_J_STR)
        v.u.s = text.u.s;
    return v;
}

/* What is left after the named parameters goes to caller, kwargs and varargs if the body reads
 * them; otherwise it is an error. */
static void bind_rest(puna_jvm *vm, const puna_jmacro *macro, puna_jargs *args, size_t n_params,
                      bool explicit_caller, puna_jscope *scope)
{
    const puna_template *t = vm->template;
    uint8_t uses = macro->node->op;
    if ((uses & PUNA_J_USES_CALLER) && !explicit_caller) {
        puna_jv caller = take_keyword(args, t->caller);
        if (caller.type == PUNA_J_MISSING)
            caller = puna_jv_undefined(vm, "no caller defined");
        puna_jscope_set(vm, scope, t->caller, caller);
    }
    puna_jv kwargs = puna_jv_dict(vm), varargs = puna_jv_tuple(vm, 0);
    for (size_t i = 0; i < args->n_keywords && !vm->failed; i++) {
        if (args->keywords[i].type == PUNA_J_MISSING)
            continue;
        if (!(uses & PUNA_J_USES_KWARGS)) {
            puna_jvm_fail(vm, "the macro takes no keyword argument '%.*s'", (int)(args->names[i]->n & 127),
                          args->names[i]->data);
            return;
        }
        puna_jv_set(vm, kwargs, (puna_jv){ .type = PUNA_J_STR, .u.s = args->names[i] }, args->keywords[i]);
    }
    if (args->n > n_params && !(uses & PUNA_J_USES_VARARGS)) {
        puna_jvm_fail(vm, "the macro takes at most %zu arguments, got %zu", n_params, args->n);
        return;
    }
    for (size_t i = n_params; i < args->n; i++)
        puna_jv_append(vm, varargs, args->positional[i]);
    if (uses & PUNA_J_USES_KWARGS)
        puna_jscope_set(vm, scope, t->kwargs, kwargs);
    if (uses & PUNA_J_USES_VARARGS)
        puna_jscope_set(vm, scope, t->varargs, varargs);
}

static bool is_given(const puna_jscope *scope, const puna_jstr *name)
{
    for (size_t i = 0; i < scope->n; i++)
        if (scope->bindings[i].name == name)
            return scope->bindings[i].value.type != PUNA_J_MISSING;
    return false;
}

static void bind_macro(puna_jvm *vm, const puna_jmacro *macro, puna_jargs *args, puna_jscope *scope)
{
    size_t n_params = 0;
    bool explicit_caller = false;
    for (const puna_jnode *param = macro->node->list; param; param = param->next) {
        puna_jv v = n_params < args->n ? args->positional[n_params] : take_keyword(args, param->name);
        n_params++;
        explicit_caller |= param->name == vm->template->caller;
        puna_jscope_set(vm, scope, param->name, v);
    }
    bind_rest(vm, macro, args, n_params, explicit_caller, scope);
    for (const puna_jnode *param = macro->node->list; param && !vm->failed; param = param->next) {
        if (is_given(scope, param->name))
            continue;
        puna_jscope_set(vm, scope, param->name,
                        param->a ? puna_jvm_eval(vm, param->a, scope) : missing_parameter(vm, param->name));
    }
}

puna_jv puna_jmacro_call(puna_jvm *vm, puna_jmacro *macro, puna_jargs *args)
{
    if (vm->calls >= vm->limits.depth)
        return puna_jvm_fail(vm, "calls nested deeper than %u levels", vm->limits.depth);
    puna_jscope *scope = puna_jscope_new(vm, macro->scope);
    if (!scope)
        return puna_jv_undefined(vm, NULL);
    vm->calls++;
    bind_macro(vm, macro, args, scope);
    puna_jv text = capture(vm, macro->node->body, scope);
    vm->calls--;
    return text;
}

static void exec_call_block(puna_jvm *vm, const puna_jnode *node, puna_jscope *scope)
{
    puna_jargs args;
    puna_jv caller = make_macro(vm, node, scope);
    puna_jv callee = puna_jvm_eval(vm, node->a->a, scope);
    if (vm->failed || !puna_jvm_arguments(vm, node->a->list, scope, caller, &args))
        return;
    vm->at = node->at;
    print(vm, puna_jv_call(vm, callee, &args));
}

/* ---- statements ------------------------------------------------------------------------- */

static void exec_with(puna_jvm *vm, const puna_jnode *node, puna_jscope *scope)
{
    puna_jscope *inner = puna_jscope_new(vm, scope);
    for (const puna_jnode *pair = node->list; pair && !vm->failed; pair = pair->next)
        puna_jvm_assign(vm, pair->a, puna_jvm_eval(vm, pair->b, scope), inner);
    puna_jvm_exec(vm, node->body, inner);
}

static void exec_if(puna_jvm *vm, const puna_jnode *node, puna_jscope *scope)
{
    for (;;) {
        bool holds = puna_jv_true(puna_jvm_eval(vm, node->a, scope));
        if (vm->failed)
            return;
        if (holds) {
            puna_jvm_exec(vm, node->body, scope);
            return;
        }
        if (!node->other || node->other->kind != PUNA_JN_IF || node->other->next || !node->other->flag) {
            puna_jvm_exec(vm, node->other, scope);
            return;
        }
        node = node->other;
    }
}

static void exec_one(puna_jvm *vm, const puna_jnode *node, puna_jscope *scope)
{
    puna_jv v;
    switch (node->kind) {
    case PUNA_JN_TEXT:
        print(vm, node->value);
        break;
    case PUNA_JN_PRINT:
        print(vm, puna_jvm_eval(vm, node->a, scope));
        break;
    case PUNA_JN_IF:
        exec_if(vm, node, scope);
        break;
    case PUNA_JN_FOR:
        exec_for(vm, node, scope);
        break;
    case PUNA_JN_SET:
        v = puna_jvm_eval(vm, node->b, scope);
        vm->at = node->at;
        puna_jvm_assign(vm, node->a, v, scope);
        break;
    case PUNA_JN_SET_BLOCK:
        v = capture_filtered(vm, node->body, node->b, puna_jscope_new(vm, scope));
        if (!vm->flow)
            puna_jvm_assign(vm, node->a, v, scope);
        break;
    case PUNA_JN_MACRO:
        puna_jscope_set(vm, scope, node->name, make_macro(vm, node, scope));
        break;
    case PUNA_JN_CALL_BLOCK:
        exec_call_block(vm, node, scope);
        break;
    case PUNA_JN_FILTER_BLOCK:
        v = capture_filtered(vm, node->body, node->a, puna_jscope_new(vm, scope));
        if (!vm->flow)
            print(vm, v);
        break;
    case PUNA_JN_WITH:
        exec_with(vm, node, scope);
        break;
    case PUNA_JN_SCOPE:
        puna_jvm_exec(vm, node->body, puna_jscope_new(vm, node->flag ? scope : vm->root));
        break;
    default:
        vm->flow = node->kind == PUNA_JN_BREAK ? FLOW_BREAK : FLOW_CONTINUE;
    }
}

void puna_jvm_exec(puna_jvm *vm, const puna_jnode *body, puna_jscope *scope)
{
    if (!body || !puna_jvm_enter(vm))
        return;
    for (const puna_jnode *node = body; node && !vm->failed && !vm->flow; node = node->next) {
        vm->at = node->at;
        if (puna_jvm_step(vm))
            exec_one(vm, node, scope);
    }
    puna_jvm_leave(vm);
}
