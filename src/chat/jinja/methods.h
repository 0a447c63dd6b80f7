/* methods.h - string operations shared by methods (methods.c) and filters. Private to chat/jinja. */
#ifndef PUNA_CHAT_JINJA_METHODS_H
#define PUNA_CHAT_JINJA_METHODS_H

#include "chat/jinja/vm.h"

const puna_jbuiltin *puna_jmethods_string(const char *name, size_t n);

puna_jv puna_jstr_upper(puna_jvm *vm, puna_jv v);
puna_jv puna_jstr_lower(puna_jvm *vm, puna_jv v);
puna_jv puna_jstr_capitalize(puna_jvm *vm, puna_jv v);
/* chars: the characters to strip, MISSING or None for whitespace. */
puna_jv puna_jstr_strip(puna_jvm *vm, puna_jv v, puna_jv chars, bool left, bool right);
puna_jv puna_jstr_replace(puna_jvm *vm, puna_jv v, puna_jv from, puna_jv to, int64_t count);
puna_jv puna_jstr_pad(puna_jvm *vm, puna_jv v, int64_t width, puna_jv fill, char side); /* l, r, c */
puna_jv puna_jstr_lines(puna_jvm *vm, puna_jv v, bool keep_ends);
puna_jv puna_jstr_join(puna_jvm *vm, puna_jv separator, puna_jv items, bool strict);

#endif
