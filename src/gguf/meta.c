/* meta.c - the values of metadata keys, converted only where nothing is lost. The bytes were
 * bounds-checked when the container was opened, so nothing here can run past them. */
#include "gguf/container.h"

#include <string.h>

#include "gguf/cursor.h"

/* An integer of up to 64 bits with its sign apart, so that u64 and i64 share one decoder. */
typedef struct whole {
    bool negative;
    uint64_t bits; /* two's complement when negative */
} whole;

static whole from_signed(int64_t value)
{
    return (whole){ .negative = value < 0, .bits = (uint64_t)value };
}

static bool read_whole(const puna_meta *meta, uint64_t i, whole *value)
{
    if (!meta || i >= meta->n)
        return false;
    const unsigned char *at = meta->data;
    switch (meta->element) {
    case PUNA_META_U8:
    case PUNA_META_BOOL:
        *value = (whole){ .bits = at[i] };
        return true;
    case PUNA_META_I8:
        *value = from_signed((int8_t)at[i]);
        return true;
    case PUNA_META_U16:
        *value = (whole){ .bits = puna_load_u16(at + 2 * i) };
        return true;
    case PUNA_META_I16:
        *value = from_signed((int16_t)puna_load_u16(at + 2 * i));
        return true;
    case PUNA_META_U32:
        *value = (whole){ .bits = puna_load_u32(at + 4 * i) };
        return true;
    case PUNA_META_I32:
        *value = from_signed((int32_t)puna_load_u32(at + 4 * i));
        return true;
    case PUNA_META_U64:
        *value = (whole){ .bits = puna_load_u64(at + 8 * i) };
        return true;
    case PUNA_META_I64:
        *value = from_signed((int64_t)puna_load_u64(at + 8 * i));
        return true;
    default:
        return false;
    }
}

bool puna_meta_u64(const puna_meta *meta, uint64_t i, uint64_t *value)
{
    whole number;
    if (!read_whole(meta, i, &number) || number.negative)
        return false;
    *value = number.bits;
    return true;
}

bool puna_meta_i64(const puna_meta *meta, uint64_t i, int64_t *value)
{
    whole number;
    if (!read_whole(meta, i, &number) || (!number.negative && number.bits > INT64_MAX))
        return false;
    *value = (int64_t)number.bits;
    return true;
}

bool puna_meta_f64(const puna_meta *meta, uint64_t i, double *value)
{
    if (!meta || i >= meta->n)
        return false;
    if (meta->element == PUNA_META_F32) {
        uint32_t bits = puna_load_u32(meta->data + 4 * i);
        float narrow;
        memcpy(&narrow, &bits, sizeof narrow);
        *value = (double)narrow;
        return true;
    }
    if (meta->element == PUNA_META_F64) {
        uint64_t bits = puna_load_u64(meta->data + 8 * i);
        memcpy(value, &bits, sizeof *value);
        return true;
    }
    whole number;
    if (meta->element == PUNA_META_BOOL || !read_whole(meta, i, &number))
        return false;
    uint64_t size = number.negative ? 0 - number.bits : number.bits;
    /* 53 bits of mantissa: the rest must be zeros at the low end. */
    uint64_t odd = size ? size >> __builtin_ctzll(size) : 0;
    if (odd >> 53)
        return false;
    *value = number.negative ? -(double)size : (double)size;
    return true;
}

bool puna_meta_bool(const puna_meta *meta, uint64_t i, bool *value)
{
    if (!meta || i >= meta->n || meta->element != PUNA_META_BOOL)
        return false;
    *value = meta->data[i] != 0;
    return true;
}

bool puna_meta_text(const puna_meta *meta, const char **text, size_t *n)
{
    if (!meta || meta->type != PUNA_META_STRING)
        return false;
    *text = (const char *)meta->data + 8;
    *n = meta->size_bytes - 8;
    return true;
}

bool puna_meta_next_text(const puna_meta *meta, puna_meta_cursor *at, const char **text, size_t *n)
{
    if (!meta || meta->type != PUNA_META_ARRAY || meta->element != PUNA_META_STRING || at->i >= meta->n)
        return false;
    *n = (size_t)puna_load_u64(meta->data + at->offset);
    *text = (const char *)meta->data + at->offset + 8;
    at->offset += 8 + *n;
    at->i++;
    return true;
}
