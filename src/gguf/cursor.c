/* cursor.c - bounded reading. The only place that compares an offset with the end. */
#include "gguf/cursor.h"

const unsigned char *puna_cursor_bytes(puna_cursor *cursor, uint64_t n, const char *field)
{
    if (cursor->failed)
        return NULL;
    if (n > puna_cursor_left(cursor)) {
        cursor->failed = true;
        cursor->field = field;
        cursor->wanted = n;
        return NULL;
    }
    const unsigned char *at = cursor->data + cursor->offset;
    cursor->offset += (size_t)n;
    return at;
}

uint8_t puna_cursor_u8(puna_cursor *cursor, const char *field)
{
    const unsigned char *at = puna_cursor_bytes(cursor, 1, field);
    return at ? *at : 0;
}

uint32_t puna_cursor_u32(puna_cursor *cursor, const char *field)
{
    const unsigned char *at = puna_cursor_bytes(cursor, 4, field);
    return at ? puna_load_u32(at) : 0;
}

uint64_t puna_cursor_u64(puna_cursor *cursor, const char *field)
{
    const unsigned char *at = puna_cursor_bytes(cursor, 8, field);
    return at ? puna_load_u64(at) : 0;
}
