/* filters.h - the two tables of filters: on text and numbers (filters.c), on sequences
 * (sequences.c). Private to chat/jinja. */
#ifndef PUNA_CHAT_JINJA_FILTERS_H
#define PUNA_CHAT_JINJA_FILTERS_H

#include "chat/jinja/vm.h"

const puna_jbuiltin *puna_jfilters_sequence(const char *name, size_t n);

/* An optional integer argument; fails when it is something else. */
bool puna_jfilters_integer(puna_jvm *vm, puna_jv v, int64_t fallback, int64_t *out);

#endif
