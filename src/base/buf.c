/* buf.c - the growing byte buffer. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(puna_buf *buf, size_t more)
{
    if (buf->failed)
        return false;
    if (more > buf->max - buf->n) {
        buf->failed = true;
        return false;
    }
    size_t need = buf->n + more + 1;
    if (need <= buf->capacity)
        return true;
    size_t capacity = buf->capacity ? buf->capacity : 64;
    while (capacity < need)
        capacity += capacity / 2 + 1;
    char *data = realloc(buf->data, capacity);
    if (!data) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

void puna_buf_add(puna_buf *buf, const void *bytes, size_t n)
{
    if (!reserve(buf, n))
        return;
    if (n)
        memcpy(buf->data + buf->n, bytes, n);
    buf->n += n;
    buf->data[buf->n] = '\0';
}

void puna_buf_add_text(puna_buf *buf, const char *text)
{
    puna_buf_add(buf, text, strlen(text));
}

void puna_buf_add_byte(puna_buf *buf, char byte)
{
    puna_buf_add(buf, &byte, 1);
}

void puna_buf_printf(puna_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || !reserve(buf, (size_t)n)) {
        buf->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(buf->data + buf->n, (size_t)n + 1, format, args);
    va_end(args);
    buf->n += (size_t)n;
}

char *puna_buf_take(puna_buf *buf)
{
    if (!buf->failed && !buf->data)
        puna_buf_add(buf, "", 0);
    char *data = buf->failed ? NULL : buf->data;
    if (buf->failed)
        free(buf->data);
    *buf = puna_buf_make(buf->max);
    return data;
}

void puna_buf_free(puna_buf *buf)
{
    free(buf->data);
    *buf = puna_buf_make(buf->max);
}
