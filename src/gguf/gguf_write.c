/* gguf_write.c - GGUF version 3 (docs/gguf.md of the ggml repository): header, keys, the
 * directory of tensors, then each tensor's bytes at a multiple of the alignment. The keys and the
 * directory are held in memory until puna_gguf_begin; tensors' bytes only pass through. */
#include "gguf/gguf_write.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/checked.h"
#include "base/limits.h"
#include "base/map.h"
#include "quant/half.h"

enum {
    VERSION = 3,
    USUAL_ALIGNMENT = 32,
    MIN_ALIGNMENT = 8,
    MAX_TENSOR_NAME_BYTES = 63,
    MAX_HEADER_BYTES = 1 << 30 /* a vocabulary of PUNA_MAX_VOCAB entries of 200 bytes fits */
};

typedef struct entry {
    uint64_t size_bytes, padding; /* after it, up to the next tensor */
} entry;

struct puna_gguf_writer {
    puna_buf meta, directory;
    uint64_t n_meta, alignment, n_data; /* n_data: bytes of tensors and the padding between them */
    entry *tensors;
    size_t n_tensors, capacity, current;
    uint64_t written; /* of the current tensor */
    puna_map keys, names;
    char **texts;     /* what the maps refer to */
    size_t n_texts, texts_capacity;
    puna_gguf_sink *sink;
    void *user;
    bool begun;
    puna_error error; /* the first mistake */
};

puna_status puna_gguf_writer_open(puna_gguf_writer **out, uint32_t alignment, puna_error *err)
{
    *out = NULL;
    uint32_t align = alignment ? alignment : USUAL_ALIGNMENT;
    if (align < MIN_ALIGNMENT || align > PUNA_MAX_ALIGNMENT || (align & (align - 1)) != 0)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "gguf: alignment: got %" PRIu32
                         ", expected a power of two from %d to %u", align, MIN_ALIGNMENT, PUNA_MAX_ALIGNMENT);
    puna_gguf_writer *w = calloc(1, sizeof *w);
    if (!w)
        return puna_fail_memory(err, "gguf writer", sizeof *w);
    w->alignment = align;
    w->meta = w->directory = puna_buf_make(MAX_HEADER_BYTES);
    *out = w;
    return PUNA_OK;
}

void puna_gguf_writer_close(puna_gguf_writer *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n_texts; i++)
        free(w->texts[i]);
    free(w->texts);
    free(w->tensors);
    puna_map_free(&w->keys);
    puna_map_free(&w->names);
    puna_buf_free(&w->meta);
    puna_buf_free(&w->directory);
    free(w);
}

/* ---- the directory ---------------------------------------------------------------------- */

static bool adding(const puna_gguf_writer *w)
{
    assert(!w->begun);
    return w->error.code == PUNA_OK && !w->begun;
}

static void put_u32(puna_buf *buf, uint32_t value)
{
    uint8_t bytes[4];
    puna_store_u32(bytes, value);
    puna_buf_add(buf, bytes, sizeof bytes);
}

static void put_u64(puna_buf *buf, uint64_t value)
{
    uint8_t bytes[8];
    puna_store_u64(bytes, value);
    puna_buf_add(buf, bytes, sizeof bytes);
}

static void put_text(puna_buf *buf, const char *text, size_t n)
{
    put_u64(buf, n);
    puna_buf_add(buf, text, n);
}

/* A name into a map, refusing a second one; false when it was refused. */
static bool take_name(puna_gguf_writer *w, puna_map *map, const char *what, const char *name, size_t max)
{
    size_t n = strlen(name);
    uint32_t other;
    if (n == 0 || n > max) {
        puna_fail(&w->error, PUNA_ERR_ARGUMENT, "gguf: %s %.64s: got a name of %zu bytes, expected 1 to %zu", what,
                  name, n, max);
        return false;
    }
    if (puna_map_get(map, name, n, &other)) {
        puna_fail(&w->error, PUNA_ERR_ARGUMENT, "gguf: %s %.64s: got it twice, expected once", what, name);
        return false;
    }
    if (w->n_texts == w->texts_capacity) {
        size_t capacity = w->texts_capacity ? w->texts_capacity * 2 : 64;
        char **grown = realloc(w->texts, capacity * sizeof *grown);
        if (grown) {
            w->texts = grown;
            w->texts_capacity = capacity;
        }
    }
    char *copy = w->n_texts < w->texts_capacity ? malloc(n + 1) : NULL;
    if (copy)
        w->texts[w->n_texts++] = memcpy(copy, name, n + 1);
    if (!copy || !puna_map_set(map, copy, n, 0)) {
        puna_fail_memory(&w->error, "gguf names", n + 1);
        return false;
    }
    return true;
}

static const char alignment_key[] = "general.alignment";

/* A key and its type; its value follows in w->meta. */
static bool put_key(puna_gguf_writer *w, const char *key, puna_meta_type type)
{
    if (!adding(w) || !take_name(w, &w->keys, "key", key, PUNA_MAX_NAME_BYTES))
        return false;
    if (w->n_meta == PUNA_MAX_METADATA) {
        puna_fail(&w->error, PUNA_ERR_ARGUMENT, "gguf: keys: got more than %u, the maximum", PUNA_MAX_METADATA);
        return false;
    }
    w->n_meta++;
    put_text(&w->meta, key, strlen(key));
    put_u32(&w->meta, (uint32_t)type);
    return true;
}

static bool put_array(puna_gguf_writer *w, const char *key, puna_meta_type element, uint64_t n)
{
    if (!put_key(w, key, PUNA_META_ARRAY))
        return false;
    put_u32(&w->meta, (uint32_t)element);
    put_u64(&w->meta, n);
    return true;
}

void puna_gguf_add_u32(puna_gguf_writer *w, const char *key, uint32_t value)
{
    if (key != alignment_key && strcmp(key, alignment_key) == 0 && w->error.code == PUNA_OK)
        puna_fail(&w->error, PUNA_ERR_ARGUMENT, "gguf: key %s: is the writer's own", key);
    if (put_key(w, key, PUNA_META_U32))
        put_u32(&w->meta, value);
}

void puna_gguf_add_f32(puna_gguf_writer *w, const char *key, float value)
{
    if (put_key(w, key, PUNA_META_F32))
        put_u32(&w->meta, puna_f32_bits(value));
}

void puna_gguf_add_bool(puna_gguf_writer *w, const char *key, bool value)
{
    if (put_key(w, key, PUNA_META_BOOL))
        puna_buf_add_byte(&w->meta, value ? 1 : 0);
}

void puna_gguf_add_text(puna_gguf_writer *w, const char *key, const char *text)
{
    if (put_key(w, key, PUNA_META_STRING))
        put_text(&w->meta, text, strlen(text));
}

void puna_gguf_add_texts(puna_gguf_writer *w, const char *key, const char *const *texts, size_t n)
{
    if (!put_array(w, key, PUNA_META_STRING, n))
        return;
    for (size_t i = 0; i < n; i++)
        put_text(&w->meta, texts[i], strlen(texts[i]));
}

void puna_gguf_add_f32s(puna_gguf_writer *w, const char *key, const float *values, size_t n)
{
    if (!put_array(w, key, PUNA_META_F32, n))
        return;
    for (size_t i = 0; i < n; i++)
        put_u32(&w->meta, puna_f32_bits(values[i]));
}

void puna_gguf_add_i32s(puna_gguf_writer *w, const char *key, const int32_t *values, size_t n)
{
    if (!put_array(w, key, PUNA_META_I32, n))
        return;
    for (size_t i = 0; i < n; i++)
        put_u32(&w->meta, (uint32_t)values[i]);
}

void puna_gguf_add_meta(puna_gguf_writer *w, const puna_meta *meta)
{
    if (strcmp(meta->key, alignment_key) == 0)
        return;
    bool added = meta->type == PUNA_META_ARRAY ? put_array(w, meta->key, meta->element, meta->n)
                                               : put_key(w, meta->key, meta->type);
    if (added)
        puna_buf_add(&w->meta, meta->data, meta->size_bytes);
}

/* The bytes of a tensor, its padding, and where it starts. */
static bool size_tensor(puna_gguf_writer *w, const char *name, const puna_format_info *format, uint32_t n_dims,
                        const uint64_t *ne, entry *e)
{
    uint64_t n_rows = 1, n_values, padded, end;
    bool fits = n_dims >= 1 && n_dims <= PUNA_MAX_DIMS;
    for (uint32_t i = 0; fits && i < n_dims; i++)
        fits = ne[i] >= 1 && (i == 0 || puna_mul_u64(n_rows, ne[i], &n_rows));
    /* Readers count values and bytes in signed 64 bits. */
    fits = fits && puna_mul_u64(n_rows, ne[0], &n_values) && n_values <= INT64_MAX &&
           puna_format_size(format, ne[0], n_rows, &e->size_bytes) && puna_align_u64(e->size_bytes, w->alignment, &padded) &&
           puna_add_u64(w->n_data, padded, &end) && end <= INT64_MAX;
    if (!fits) {
        puna_fail(&w->error, PUNA_ERR_ARGUMENT, "gguf: tensor %.64s: got %" PRIu32 " dimensions, the first %" PRIu64
                  ", expected 1 to %u that make whole blocks of %" PRIu32 " and a size below 2^63", name, n_dims,
                  n_dims ? ne[0] : 0, PUNA_MAX_DIMS, format->block_elems);
        return false;
    }
    e->padding = padded - e->size_bytes;
    return true;
}

void puna_gguf_add_tensor(puna_gguf_writer *w, const char *name, const puna_format_info *format, uint32_t n_dims,
                          const uint64_t *ne)
{
    entry e;
    if (!adding(w) || !take_name(w, &w->names, "tensor", name, MAX_TENSOR_NAME_BYTES) ||
        !size_tensor(w, name, format, n_dims, ne, &e))
        return;
    if (w->n_tensors == PUNA_MAX_TENSORS) {
        puna_fail(&w->error, PUNA_ERR_ARGUMENT, "gguf: tensors: got more than %u, the maximum", PUNA_MAX_TENSORS);
        return;
    }
    if (w->n_tensors == w->capacity) {
        size_t capacity = w->capacity ? w->capacity * 2 : 64;
        entry *grown = realloc(w->tensors, capacity * sizeof *grown);
        if (!grown) {
            puna_fail_memory(&w->error, "gguf directory", capacity * sizeof *grown);
            return;
        }
        w->tensors = grown;
        w->capacity = capacity;
    }
    w->tensors[w->n_tensors++] = e;
    put_text(&w->directory, name, strlen(name));
    put_u32(&w->directory, n_dims);
    for (uint32_t i = 0; i < n_dims; i++)
        put_u64(&w->directory, ne[i]);
    put_u32(&w->directory, (uint32_t)format->id);
    put_u64(&w->directory, w->n_data);
    w->n_data += e.size_bytes + e.padding;
}

/* ---- the bytes -------------------------------------------------------------------------- */

static puna_status pad(puna_gguf_writer *w, uint64_t n, puna_error *err)
{
    static const unsigned char zeros[4096];
    while (n > 0) {
        size_t part = n < sizeof zeros ? (size_t)n : sizeof zeros;
        TRY(w->sink(w->user, zeros, part, err));
        n -= part;
    }
    return PUNA_OK;
}

puna_status puna_gguf_begin(puna_gguf_writer *w, puna_gguf_sink *sink, void *user, uint64_t *size_bytes,
                            puna_error *err)
{
    assert(!w->begun);
    if (w->alignment != USUAL_ALIGNMENT)
        puna_gguf_add_u32(w, alignment_key, (uint32_t)w->alignment);
    if (w->error.code == PUNA_OK && (w->meta.failed || w->directory.failed))
        puna_fail_memory(&w->error, "gguf header", w->meta.n + w->directory.n);
    if (w->error.code != PUNA_OK) {
        if (err)
            *err = w->error;
        return w->error.code;
    }
    puna_buf header = puna_buf_make(64);
    puna_buf_add(&header, "GGUF", 4);
    put_u32(&header, VERSION);
    put_u64(&header, w->n_tensors);
    put_u64(&header, w->n_meta);
    if (header.failed)
        return puna_fail_memory(err, "gguf header", 64);
    uint64_t used = header.n + w->meta.n + w->directory.n, padding = -used & (w->alignment - 1);
    if (w->n_tensors == 0)
        padding = 0;
    *size_bytes = used + padding + w->n_data;
    w->sink = sink;
    w->user = user;
    w->begun = true;
    puna_status status = sink(user, header.data, header.n, err);
    puna_buf_free(&header);
    TRY(status);
    if (w->meta.n)
        TRY(sink(user, w->meta.data, w->meta.n, err));
    if (w->directory.n)
        TRY(sink(user, w->directory.data, w->directory.n, err));
    return pad(w, padding, err);
}

puna_status puna_gguf_tensor_bytes(puna_gguf_writer *w, const void *bytes, size_t n, puna_error *err)
{
    assert(w->begun);
    if (n == 0)
        return PUNA_OK;
    uint64_t left = w->current < w->n_tensors ? w->tensors[w->current].size_bytes - w->written : 0;
    if (n > left)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "gguf: tensor %zu: got %zu bytes, expected at most %" PRIu64,
                         w->current, n, left);
    TRY(w->sink(w->user, bytes, n, err));
    w->written += n;
    if (n < left)
        return PUNA_OK;
    w->written = 0;
    return pad(w, w->tensors[w->current++].padding, err);
}

puna_status puna_gguf_end(puna_gguf_writer *w, puna_error *err)
{
    assert(w->begun);
    if (w->current == w->n_tensors)
        return PUNA_OK;
    return puna_fail(err, PUNA_ERR_ARGUMENT, "gguf: tensor %zu: got %" PRIu64 " bytes, expected %" PRIu64, w->current,
                     w->written, w->tensors[w->current].size_bytes);
}
