/* numbers.c - text to numbers. */
#include "chat/jinja/numbers.h"

#include <stdlib.h>
#include <string.h>

#include "chat/jinja/unicode.h"

enum { MAX_DIGITS = 400 };

/* Copies the trimmed text as ASCII: digits of any script become 0-9, underscores between digits
 * go. Returns the length, 0 when it cannot be a number. */
static size_t plain(const char *text, size_t n, char out[MAX_DIGITS])
{
    size_t from = puna_junicode_leading_space(text, n), k = 0;
    n -= puna_junicode_trailing_space(text + from, n - from);
    for (size_t i = from; i < n;) {
        int32_t c;
        i += (size_t)puna_utf8_decode(text + i, n - i, &c);
        int digit = puna_junicode_decimal(c);
        if (digit >= 0)
            c = '0' + digit;
        if (c <= 0 || c >= 128 || k == MAX_DIGITS - 1)
            return 0;
        if (c == '_') {
            bool between = k > 0 && i < n && text[i] != '_' && out[k - 1] != '+' && out[k - 1] != '-';
            if (!between)
                return 0;
            continue;
        }
        out[k++] = (char)c;
    }
    out[k] = '\0';
    return k;
}

bool puna_jnumbers_integer(const char *text, size_t n, int base, int64_t *out)
{
    char digits[MAX_DIGITS];
    if (!plain(text, n, digits) || base == 1 || base < 0 || base > 36)
        return false;
    const char *p = digits;
    bool negative = *p == '-';
    p += *p == '-' || *p == '+';
    char low = p[0] == '0' && p[1] ? (char)(p[1] | 32) : '\0';
    int prefixed = low == 'x' ? 16 : low == 'o' ? 8 : low == 'b' ? 2 : 0;
    if (prefixed && (base == 0 || base == prefixed)) {
        base = prefixed;
        p += 2;
    } else if (base == 0) {
        base = 10;
        if (p[0] == '0' && strspn(p, "0") != strlen(p))
            return false;
    }
    int64_t value = 0;
    if (!*p)
        return false;
    for (; *p; p++) {
        char letter = (char)(*p | 32);
        int digit = *p >= '0' && *p <= '9'           ? *p - '0'
                    : letter >= 'a' && letter <= 'z' ? letter - 'a' + 10
                                                     : 99;
        if (digit >= base || __builtin_mul_overflow(value, (int64_t)base, &value) ||
            __builtin_sub_overflow(value, (int64_t)digit, &value)) /* downwards: INT64_MIN has no opposite */
            return false;
    }
    return negative ? (*out = value, true) : !__builtin_sub_overflow((int64_t)0, value, out);
}

bool puna_jnumbers_float(const char *text, size_t n, double *out)
{
    static const char *const words[] = { "inf", "infinity", "nan" };
    char digits[MAX_DIGITS], *end;
    size_t length = plain(text, n, digits);
    if (!length)
        return false;
    const char *p = digits + (digits[0] == '-' || digits[0] == '+');
    bool known = false;
    for (size_t i = 0; i < 3; i++) {
        size_t k = 0;
        while (words[i][k] && (char)(p[k] | 32) == words[i][k])
            k++;
        known |= !words[i][k] && !p[k];
    }
    if (!known && strspn(p, "0123456789.eE+-") != strlen(p)) /* strtod also takes hexadecimal */
        return false;
    *out = strtod(digits, &end);
    return !*end && end != digits;
}
