/* ast.h - the tree of a compiled template, and the compiled template itself. Private to
 * chat/jinja. Lists are linked through `next`. */
#ifndef PUNA_CHAT_JINJA_AST_H
#define PUNA_CHAT_JINJA_AST_H

#include "base/map.h"
#include "chat/jinja/lexer.h"
#include "chat/jinja/vm.h"

typedef enum puna_jkind {
    /* statements */
    PUNA_JN_TEXT,         /* value */
    PUNA_JN_PRINT,        /* a */
    PUNA_JN_IF,           /* a: test, body, other: statements, or one IF with flag set for an elif */
    PUNA_JN_FOR,          /* a: target, b: iterable, c: filter or NULL, body, other, flag: recursive */
    PUNA_JN_SET,          /* a: target, b: value */
    PUNA_JN_SET_BLOCK,    /* a: target, b: filters or NULL, body */
    PUNA_JN_MACRO,        /* name, list: PARAM, body, op: which of caller, kwargs, varargs it uses */
    PUNA_JN_CALL_BLOCK,   /* a: the call, list: PARAM, body, op as MACRO */
    PUNA_JN_FILTER_BLOCK, /* a: filters, body */
    PUNA_JN_WITH,         /* list: PAIR of target and value, body */
    PUNA_JN_SCOPE,        /* body: a generation block, or a named block; flag: sees its surroundings */
    PUNA_JN_BREAK,
    PUNA_JN_CONTINUE,
    /* expressions */
    PUNA_JN_CONST,   /* value */
    PUNA_JN_NAME,    /* name */
    PUNA_JN_MEMBER,  /* name, attr: an assignment target namespace.attr */
    PUNA_JN_LIST,    /* list */
    PUNA_JN_TUPLE,   /* list */
    PUNA_JN_DICT,    /* list: PAIR */
    PUNA_JN_PAIR,    /* a, b */
    PUNA_JN_NOT,     /* a */
    PUNA_JN_NEG,     /* a */
    PUNA_JN_POS,     /* a */
    PUNA_JN_AND,     /* a, b */
    PUNA_JN_OR,      /* a, b */
    PUNA_JN_BINARY,  /* op: the operator's token, a, b */
    PUNA_JN_CONCAT,  /* list */
    PUNA_JN_COMPARE, /* a, list: OPERAND */
    PUNA_JN_OPERAND, /* op: the operator's token or PUNA_JN_IN, PUNA_JN_NOT_IN; a */
    PUNA_JN_COND,    /* a: test, b: then, c: else or NULL */
    PUNA_JN_CALL,    /* a: callee, list: ARG */
    PUNA_JN_ARG,     /* a, name of a keyword argument or NULL, op: 0, 1 for *a, 2 for **a */
    PUNA_JN_PARAM,   /* name, a: default or NULL */
    PUNA_JN_FILTER,  /* a: operand, NULL for the input of a block; name, list: ARG, builtin */
    PUNA_JN_TEST,    /* a: operand, name, list: ARG, builtin */
    PUNA_JN_GETATTR, /* a, value: the name */
    PUNA_JN_GETITEM, /* a, b: key or SLICE */
    PUNA_JN_SLICE    /* a, b, c: each may be NULL */
} puna_jkind;

enum { PUNA_JN_IN = 200, PUNA_JN_NOT_IN = 201 };
enum { PUNA_J_USES_CALLER = 1, PUNA_J_USES_KWARGS = 2, PUNA_J_USES_VARARGS = 4 };

struct puna_jnode {
    uint8_t kind, op;
    bool flag;
    uint32_t at; /* source offset */
    uint32_t n;  /* length of list */
    puna_jstr *name;
    const puna_jbuiltin *builtin;
    puna_jv value;
    puna_jnode *a, *b, *c;
    puna_jnode *list, *body, *other;
    puna_jnode *next;
};

struct puna_template {
    puna_arena arena;
    char *source; /* newlines normalised: offsets in nodes point here */
    size_t n_source;
    puna_map names; /* interned identifiers */
    puna_jstr **interned;
    size_t n_interned, interned_capacity;
    puna_jstr *loop, *caller, *kwargs, *varargs;
    puna_jnode *body;
};

/* What the parser noticed, for puna_template_check; NULL when nobody asks. */
typedef struct puna_jnotes {
    /* sets: objects with these keys; a variable is false when only macros read it */
    json_t *variables, *filters, *tests, *functions, *methods;
    json_t *assigned;      /* the names the template sets itself, anywhere */
    json_t *known, *order; /* those set before the place that is parsed, and in which order */
    json_t *problems; /* an array of what puna_template_check returns */
} puna_jnotes;

/* The interned name; NULL when memory is out. */
puna_jstr *puna_template_intern(puna_template *template, const char *name, size_t n);

/* Parses template->source into template->body. */
puna_status puna_template_parse(puna_template *template, puna_jnotes *notes, puna_error *err);

/* Fails with "template: line L, column C: message, in `the line`". */
puna_status puna_template_fail(const puna_template *template, uint32_t at, puna_status status,
                               const char *message, puna_error *err);
void puna_template_place(const puna_template *template, uint32_t at, unsigned *line, unsigned *column);

/* Runs the statements of a body in a scope (exec.c). */
void puna_jvm_exec(puna_jvm *vm, const puna_jnode *body, puna_jscope *scope);
puna_jv puna_jvm_eval(puna_jvm *vm, const puna_jnode *node, puna_jscope *scope);
puna_jscope *puna_jscope_new(puna_jvm *vm, puna_jscope *parent);
void puna_jscope_set(puna_jvm *vm, puna_jscope *scope, const puna_jstr *name, puna_jv value);
puna_jv puna_jscope_get(puna_jvm *vm, const puna_jscope *scope, puna_jstr *name);

/* Binds one target (a name, a tuple of targets, namespace.attr) (exec.c). */
void puna_jvm_assign(puna_jvm *vm, const puna_jnode *target, puna_jv value, puna_jscope *scope);

/* Evaluates call arguments into args (arena memory); `caller` is added as a keyword unless MISSING. */
bool puna_jvm_arguments(puna_jvm *vm, const puna_jnode *list, puna_jscope *scope, puna_jv caller,
                        puna_jargs *args);

#endif
