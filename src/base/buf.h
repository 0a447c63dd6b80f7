/* buf.h - a growing byte buffer with a maximum given at the start. Errors are sticky: after a
 * failed append every later one does nothing, so that callers check once, at the end. */
#ifndef PUNA_BASE_BUF_H
#define PUNA_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef struct puna_buf {
    char *data;       /* always terminated once anything was appended; NULL before */
    size_t n;         /* bytes held, without the terminator */
    size_t capacity;
    size_t max;       /* n never exceeds this */
    bool failed;      /* too big, or out of memory */
} puna_buf;

static inline puna_buf puna_buf_make(size_t max)
{
    return (puna_buf){ .max = max };
}

void puna_buf_add(puna_buf *buf, const void *bytes, size_t n);
void puna_buf_add_text(puna_buf *buf, const char *text);
void puna_buf_add_byte(puna_buf *buf, char byte);
void puna_buf_printf(puna_buf *buf, const char *format, ...) PUNA_PRINTF(2, 3);

/* Hands the terminated memory to the caller (free it with free) and empties the buffer;
 * NULL when it had failed. */
char *puna_buf_take(puna_buf *buf);
void puna_buf_free(puna_buf *buf);

#endif
