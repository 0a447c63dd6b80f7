/* status.c - writes error messages. Owns nothing else; never prints. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

static void clean(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

puna_status puna_fail(puna_error *err, puna_status code, const char *format, ...)
{
    if (!err)
        return code;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    clean(err->message);
    err->hint[0] = '\0';
    err->code = code;
    return code;
}

puna_status puna_hint(puna_error *err, puna_status code, const char *format, ...)
{
    if (!err)
        return code;
    va_list args;
    va_start(args, format);
    vsnprintf(err->hint, sizeof err->hint, format, args);
    va_end(args);
    clean(err->hint);
    return code;
}

puna_status puna_fail_memory(puna_error *err, const char *what, size_t size_bytes)
{
    return puna_fail(err, PUNA_ERR_MEMORY, "out of memory: %s: %zu bytes", what, size_bytes);
}
