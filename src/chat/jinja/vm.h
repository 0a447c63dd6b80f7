/* vm.h - the machine that renders one template once: its limits, its first error, the scopes of its
 * variables, and calls. Private to chat/jinja. Errors are sticky: after the first, functions return
 * quickly with a harmless value, and loops ask vm->failed. */
#ifndef PUNA_CHAT_JINJA_VM_H
#define PUNA_CHAT_JINJA_VM_H

#include "base/arena.h"
#include "chat/jinja/value.h"

struct puna_jscope {
    struct puna_jscope *parent;
    struct puna_jbinding {
        const puna_jstr *name; /* interned: compared by address */
        puna_jv value;
    } * bindings;
    size_t n, capacity;
};

struct puna_jvm {
    const puna_template *template;
    puna_arena arena;
    puna_buf *out; /* where output goes: the result, or what a macro or block set collects */
    puna_jscope *root;
    puna_jdict *context;
    puna_jv filter_input; /* the operand of the filter chain of a filter or set block */
    puna_error *err;
    puna_status status;
    bool failed;
    uint8_t flow; /* break or continue on its way to the loop */
    uint32_t at;  /* source offset of what is being evaluated */
    uint64_t steps_left;
    int64_t deadline_ns; /* of puna_clock_ns */
    unsigned nesting, calls;
    puna_template_limits limits;
    int64_t now;
    char *tail; /* end of the text that can grow in place, and how much room follows */
    size_t tail_room;
};

/* ---- machine (vm.c) ---- */
/* Records the first error with its place; returns undefined. */
puna_jv puna_jvm_fail(puna_jvm *vm, const char *format, ...) PUNA_PRINTF(2, 3);
void puna_jvm_fail_status(puna_jvm *vm, puna_status status, const char *message);
void *puna_jvm_alloc(puna_jvm *vm, size_t n, size_t size_bytes);
bool puna_jvm_charge(puna_jvm *vm, size_t bytes); /* steps for touching that much text */
bool puna_jvm_step(puna_jvm *vm);
bool puna_jvm_enter(puna_jvm *vm); /* one level deeper; pair with leave when true */
void puna_jvm_leave(puna_jvm *vm);

/* ---- calls ---- */
puna_jv puna_jv_call(puna_jvm *vm, puna_jv callee, puna_jargs *args); /* eval.c */
puna_jv puna_jbuiltin_call(puna_jvm *vm, const puna_jbuiltin *f, puna_jv self, puna_jargs *args);
puna_jv puna_jmacro_call(puna_jvm *vm, puna_jmacro *macro, puna_jargs *args); /* exec.c */
puna_jv puna_jloop_call(puna_jvm *vm, puna_jloop *loop, puna_jargs *args);    /* exec.c */
puna_jv puna_jloop_attribute(puna_jvm *vm, puna_jv loop, puna_jv name);       /* loop.c */

/* The tables; NULL when there is no such name. */
const puna_jbuiltin *puna_jbuiltin_filter(const char *name, size_t n);
const puna_jbuiltin *puna_jbuiltin_test(const char *name, size_t n);
const puna_jbuiltin *puna_jbuiltin_function(const char *name, size_t n);
const puna_jbuiltin *puna_jbuiltin_method(puna_jv self, const char *name, size_t n);
/* Whether Python's sandbox hides this method because it changes its object. */
bool puna_jbuiltin_is_mutator(puna_jv self, const char *name, size_t n);
const puna_jbuiltin *puna_jbuiltin_find(const puna_jbuiltin *rows, size_t n_rows, const char *name, size_t n);

#endif
