/* unicode.h - the character classes and case mappings of Python's str, over utf8proc. Private to
 * chat/jinja. Refuses: locale- and language-dependent rules, as Python does. */
#ifndef PUNA_CHAT_JINJA_UNICODE_H
#define PUNA_CHAT_JINJA_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/utf8.h"

bool puna_junicode_is_space(int32_t c);
bool puna_junicode_is_identifier(int32_t c); /* may stand in a name, digits not in front */
bool puna_junicode_is_alpha(int32_t c);
bool puna_junicode_is_decimal(int32_t c);
bool puna_junicode_is_digit(int32_t c);
bool puna_junicode_is_numeric(int32_t c);
bool puna_junicode_is_printable(int32_t c);
bool puna_junicode_is_upper(int32_t c);
bool puna_junicode_is_lower(int32_t c);
bool puna_junicode_is_title(int32_t c);
bool puna_junicode_is_line_end(int32_t c); /* what str.splitlines splits at */
int puna_junicode_decimal(int32_t c);      /* the digit's value, -1: none */

/* Bytes of whitespace at the start or the end of n bytes of UTF-8. */
size_t puna_junicode_leading_space(const char *text, size_t n);
size_t puna_junicode_trailing_space(const char *text, size_t n);

/* The code point that ends at text + n (n > 0), and its bytes. */
int puna_junicode_before(const char *text, size_t n, int32_t *c);

/* Appends the full mapping of one code point (one to three code points). */
typedef enum puna_junicode_case {
    PUNA_JU_UPPER,
    PUNA_JU_LOWER,
    PUNA_JU_TITLE,
    PUNA_JU_FOLD
} puna_junicode_case;
void puna_junicode_map(puna_buf *out, int32_t c, puna_junicode_case to);

/* Lower-cases the code point c at text + at. */
void puna_junicode_lower_at(puna_buf *out, const char *text, size_t n, size_t at, int32_t c);

/* Lower-cases n bytes; a capital sigma at the end of a word becomes a final sigma. */
void puna_junicode_lower(puna_buf *out, const char *text, size_t n);

#endif
