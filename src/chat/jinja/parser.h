/* parser.h - the parser's state, shared by its two halves: statements (parser.c) and expressions
 * (expr.c). Private to chat/jinja. Errors are sticky: the first is kept, the parser then sees EOF. */
#ifndef PUNA_CHAT_JINJA_PARSER_H
#define PUNA_CHAT_JINJA_PARSER_H

#include "chat/jinja/ast.h"

typedef struct puna_jparser {
    puna_template *template;
    const puna_jtoken *tokens;
    size_t at;
    unsigned depth;            /* statements and expressions inside each other */
    unsigned n_for;            /* loops around this place */
    unsigned n_breakable;      /* loops that a break here can leave */
    bool soft;                 /* in a branch: an unknown filter is an error only when it runs */
    const puna_jnode *unknown; /* the first filter or test without a meaning, outside of branches */
    uint8_t uses;              /* which of caller, kwargs, varargs were read */
    unsigned n_callable;       /* macros and call blocks around this place */
    puna_jnotes *notes;
    puna_error *err;
    puna_status status;
} puna_jparser;

/* Records the first error; returns NULL. */
puna_jnode *puna_jparser_fail(puna_jparser *p, uint32_t at, const char *format, ...) PUNA_PRINTF(3, 4);
puna_jnode *puna_jparser_node(puna_jparser *p, puna_jkind kind, uint32_t at);
const puna_jtoken *puna_jparser_peek(const puna_jparser *p);
const puna_jtoken *puna_jparser_next(puna_jparser *p);
bool puna_jparser_is(const puna_jparser *p, puna_jtoken_type type);
bool puna_jparser_is_name(const puna_jparser *p, const char *name);
bool puna_jparser_skip(puna_jparser *p, puna_jtoken_type type);
bool puna_jparser_skip_name(puna_jparser *p, const char *name);
bool puna_jparser_expect(puna_jparser *p, puna_jtoken_type type);
puna_jstr *puna_jparser_expect_name(puna_jparser *p);
bool puna_jparser_enter(puna_jparser *p);
void puna_jparser_leave(puna_jparser *p);

/* Expressions (expr.c). */
puna_jnode *puna_jparser_expression(puna_jparser *p, bool with_condition);
puna_jnode *puna_jparser_tuple(puna_jparser *p, bool with_condition, bool in_parentheses);
puna_jnode *puna_jparser_filters(puna_jparser *p, puna_jnode *operand, bool starts_with_name);
/* An assignment target; with_member allows namespace.attr. */
puna_jnode *puna_jparser_target(puna_jparser *p, bool with_member);

/* What follows does nothing while nobody takes notes. */
void puna_jnotes_add(json_t *set, const puna_jstr *name);
/* A name is read: unless the template has set it before, it comes from outside. */
void puna_jnotes_read(puna_jparser *p, const puna_jstr *name);
/* A name, or the names of a target, are set from here to the forget of an earlier mark. */
void puna_jnotes_set(puna_jparser *p, const puna_jstr *name);
void puna_jnotes_set_target(puna_jparser *p, const puna_jnode *target);
size_t puna_jnotes_mark(const puna_jparser *p);
void puna_jnotes_forget(puna_jparser *p, size_t mark);
void puna_jnotes_problem(puna_jparser *p, uint32_t at, const char *format, ...) PUNA_PRINTF(3, 4);

#endif
