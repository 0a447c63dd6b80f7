/* cursor.h - the one bounded cursor that every reader of model files uses. Owns nothing: it
 * walks bytes that the caller keeps. Values are little-endian and returned by copy, so that
 * nothing depends on the alignment of the bytes or on the byte order of the machine.
 * Errors are sticky: after the first read that does not fit, every later one returns zero (or
 * NULL) and the cursor remembers where, what and how much, so that callers may check once. */
#ifndef PUNA_GGUF_CURSOR_H
#define PUNA_GGUF_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct puna_cursor {
    const unsigned char *data;
    size_t size_bytes, offset; /* offset <= size_bytes, always */
    bool failed;
    const char *field;         /* of the read that failed */
    uint64_t wanted;           /* bytes that it asked for; offset stays where it was */
} puna_cursor;

static inline puna_cursor puna_cursor_make(const unsigned char *data, size_t size_bytes)
{
    return (puna_cursor){ .data = data, .size_bytes = size_bytes };
}

static inline size_t puna_cursor_left(const puna_cursor *cursor)
{
    return cursor->size_bytes - cursor->offset;
}

/* The next n bytes, in place; NULL when they are not there. `field` (a literal) says in
 * messages what was being read. */
const unsigned char *puna_cursor_bytes(puna_cursor *cursor, uint64_t n, const char *field);

uint8_t puna_cursor_u8(puna_cursor *cursor, const char *field);
uint32_t puna_cursor_u32(puna_cursor *cursor, const char *field);
uint64_t puna_cursor_u64(puna_cursor *cursor, const char *field);

/* Little-endian values at an address of any alignment whose bounds were checked before. */
static inline uint16_t puna_load_u16(const unsigned char *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t puna_load_u32(const unsigned char *at)
{
    return (uint32_t)puna_load_u16(at) | (uint32_t)puna_load_u16(at + 2) << 16;
}

static inline uint64_t puna_load_u64(const unsigned char *at)
{
    return (uint64_t)puna_load_u32(at) | (uint64_t)puna_load_u32(at + 4) << 32;
}

#endif
