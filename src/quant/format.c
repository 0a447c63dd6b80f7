/* format.c - the table of tensor encodings, expanded from formats.def, and lookups in it. */
#include "quant/format.h"

#include <assert.h>

#include "base/checked.h"
#include "quant/reference.h"

#define F(id_, name_, number_, elems_, block_, dequantize_, quantize_)                             \
    static_assert((number_) < PUNA_FORMAT_COUNT_MAX, #id_ ": number");                             \
    static_assert(_Alignof(block_) == 1, #id_ ": a block may start anywhere");
#include "quant/formats.def"
#undef F

static const puna_format_info formats[] = {
#define F(id_, name_, number_, elems_, block_, dequantize_, quantize_)                             \
    { .id = PUNA_FORMAT_##id_, .name = name_, .block_elems = elems_,                               \
      .block_bytes = sizeof(block_), .dequantize = dequantize_, .quantize = quantize_ },
#include "quant/formats.def"
#undef F
};

static const size_t n_formats = sizeof formats / sizeof formats[0];

const puna_format_info *puna_format_get(uint32_t number)
{
    for (size_t i = 0; i < n_formats; i++) {
        if ((uint32_t)formats[i].id == number)
            return &formats[i];
    }
    return NULL;
}

/* ASCII only: a locale must not change what a name means. */
static bool same_name(const char *lower, const char *any)
{
    for (; *lower || *any; lower++, any++) {
        if (*lower != (*any >= 'A' && *any <= 'Z' ? (char)(*any + ('a' - 'A')) : *any))
            return false;
    }
    return true;
}

const puna_format_info *puna_format_find(const char *name)
{
    for (size_t i = 0; i < n_formats; i++) {
        if (same_name(formats[i].name, name))
            return &formats[i];
    }
    return NULL;
}

const puna_format_info *puna_format_list(size_t *n)
{
    *n = n_formats;
    return formats;
}

bool puna_format_size(const puna_format_info *format, uint64_t n_elems, uint64_t n_rows,
                      uint64_t *size_bytes)
{
    uint64_t row;
    return n_elems % format->block_elems == 0 &&
           puna_mul_u64(n_elems / format->block_elems, format->block_bytes, &row) &&
           puna_mul_u64(row, n_rows, size_bytes);
}
