/* utf8.h - strict UTF-8 (RFC 3629): no surrogates, no overlong forms, nothing above U+10FFFF.
 * Refuses: normalisation and case (token/ has those, over utf8proc). */
#ifndef PUNA_BASE_UTF8_H
#define PUNA_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Reads one code point of the n bytes at text. Returns its length 1..4 and sets *code; when
 * the bytes are not valid there, returns 1 and sets *code to -1 - first_byte (negative). n > 0. */
int puna_utf8_decode(const char *text, size_t n, int32_t *code);

/* Writes 1..4 bytes (no terminator); code must be a valid scalar value. */
int puna_utf8_encode(int32_t code, char out[4]);

/* How many of the n bytes form a prefix of complete sequences. Bytes that can never become
 * valid count as complete: only a truncated but possible tail (at most 3 bytes) is held back. */
size_t puna_utf8_complete(const char *text, size_t n);

#endif
