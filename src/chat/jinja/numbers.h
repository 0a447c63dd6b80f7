/* numbers.h - text to numbers as Python's int() and float() read it. Private to chat/jinja. */
#ifndef PUNA_CHAT_JINJA_NUMBERS_H
#define PUNA_CHAT_JINJA_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Surrounding whitespace, a sign, single underscores between digits, and the prefix of the base
 * are fine. base is 0 or 2 to 36; false when the text is no such number or beyond 64 bits. */
bool puna_jnumbers_integer(const char *text, size_t n, int base, int64_t *out);
bool puna_jnumbers_float(const char *text, size_t n, double *out);

#endif
