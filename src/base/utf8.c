/* utf8.c - strict UTF-8 decoding and encoding. */
#include "base/utf8.h"

#include <stdbool.h>

/* Length that the first byte announces, 0 when it can start nothing. */
static int announced(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2)
        return 0;
    if (first < 0xe0)
        return 2;
    if (first < 0xf0)
        return 3;
    return first < 0xf5 ? 4 : 0;
}

/* The second byte's range depends on the first: it excludes overlong forms and surrogates. */
static bool second_ok(unsigned char first, unsigned char second)
{
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    return second >= low && second <= high;
}

/* How many of the first `length` bytes are there and fit; == length when valid. */
static int fitting(const unsigned char *p, size_t n, int length)
{
    int i = 1;
    for (; i < length && (size_t)i < n; i++)
        if (i == 1 ? !second_ok(p[0], p[1]) : (p[i] & 0xc0) != 0x80)
            return -1;
    return i;
}

int puna_utf8_decode(const char *text, size_t n, int32_t *code)
{
    const unsigned char *p = (const unsigned char *)text;
    int length = announced(p[0]);
    if (length == 0 || fitting(p, n, length) != length) {
        *code = -1 - (int32_t)p[0];
        return 1;
    }
    int32_t c = length == 1 ? p[0] : p[0] & (0x7f >> length);
    for (int i = 1; i < length; i++)
        c = c << 6 | (p[i] & 0x3f);
    *code = c;
    return length;
}

int puna_utf8_encode(int32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    int length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (int i = length - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)((0xf00 >> length & 0xff) | code);
    return length;
}

size_t puna_utf8_complete(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        const unsigned char *at = p + n - back;
        if ((*at & 0xc0) == 0x80)
            continue;
        int length = announced(*at);
        if (length > (int)back && fitting(at, back, length) == (int)back)
            return n - back;
        break;
    }
    return n;
}
