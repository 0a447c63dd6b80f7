/* checked.h - arithmetic on sizes that says when it overflows. Every size that comes from a
 * file or a request goes through here. Each function returns true when *out is the exact
 * result; on false *out must not be used. */
#ifndef PUNA_BASE_CHECKED_H
#define PUNA_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool puna_mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool puna_add_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool puna_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool puna_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* value rounded up to a multiple of align (a power of two). */
static inline bool puna_align_u64(uint64_t value, uint64_t align, uint64_t *out)
{
    if (!puna_add_u64(value, align - 1, out))
        return false;
    *out &= ~(align - 1);
    return true;
}

#endif
