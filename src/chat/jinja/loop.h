/* loop.h - a running for loop: lazy stepping with one item of look-ahead, and the attributes of
 * the special variable `loop`. Private to chat/jinja. */
#ifndef PUNA_CHAT_JINJA_LOOP_H
#define PUNA_CHAT_JINJA_LOOP_H

#include "chat/jinja/ast.h"

/* NULL after failing: `over` is not iterable. */
puna_jloop *puna_jloop_new(puna_jvm *vm, const puna_jnode *node, puna_jscope *scope, puna_jv over,
                           int64_t depth0);

/* Moves to the next item; false at the end or after failing. */
bool puna_jloop_advance(puna_jvm *vm, puna_jloop *loop);

#endif
