/* gguf_builder.h - makes small GGUF files in memory, for tests: keys and tensors in any order,
 * and a mark for every field of the header so that a test can spoil it. The host is taken to be
 * little-endian. Owns its buffers until gguf_free. */
#ifndef PUNA_TESTS_GGUF_BUILDER_H
#define PUNA_TESTS_GGUF_BUILDER_H

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "gguf/container.h"

enum { GGUF_MAX_MARKS = 512 };

/* Where a field lies in the finished file, and what a message about it has to contain. */
typedef struct gguf_mark {
    size_t at;
    int width;         /* bytes */
    char section;      /* 'h' header, 'm' metadata, 't' tensors: at is relative until finished */
    char field[24];    /* "n_dims" */
    char where[40];    /* "tensor blk.0.x", or "" */
} gguf_mark;

typedef struct gguf_builder {
    puna_buf meta, infos, data, file;
    uint64_t n_meta, n_tensors, alignment;
    uint32_t version;
    gguf_mark marks[GGUF_MAX_MARKS];
    size_t n_marks, header_bytes; /* up to the padding before the tensors' bytes */
} gguf_builder;

static inline void gguf_begin(gguf_builder *b, uint32_t version)
{
    const size_t max = (size_t)1 << 30;
    memset(b, 0, sizeof *b);
    b->meta = b->infos = b->data = b->file = puna_buf_make(max);
    b->version = version;
    b->alignment = 32;
}

static inline void gguf_free(gguf_builder *b)
{
    puna_buf_free(&b->meta);
    puna_buf_free(&b->infos);
    puna_buf_free(&b->data);
    puna_buf_free(&b->file);
}

/* Appends a number, marking it when it has a field name. */
static inline void gguf_put(gguf_builder *b, char section, uint64_t value, int width, const char *where,
                            const char *field)
{
    puna_buf *buf = section == 'h' ? &b->file : section == 'm' ? &b->meta : &b->infos;
    if (field && b->n_marks < GGUF_MAX_MARKS) {
        gguf_mark *mark = &b->marks[b->n_marks++];
        *mark = (gguf_mark){ .at = buf->n, .width = width, .section = section };
        snprintf(mark->field, sizeof mark->field, "%s", field);
        snprintf(mark->where, sizeof mark->where, "%s", where);
    }
    puna_buf_add(buf, &value, (size_t)width);
}

/* A length and bytes; the length's mark names the field as the reader does. */
static inline void gguf_put_text(gguf_builder *b, char section, const char *text, size_t n, const char *where,
                                 const char *field)
{
    gguf_put(b, section, n, 8, where, field);
    puna_buf_add(section == 'm' ? &b->meta : &b->infos, text, n);
}

static inline void gguf_key(gguf_builder *b, const char *key, uint32_t type)
{
    char where[40];
    snprintf(where, sizeof where, "key %.30s", key);
    gguf_put_text(b, 'm', key, strlen(key), "key", "name length");
    gguf_put(b, 'm', type, 4, where, "type");
    b->n_meta++;
}

static inline void gguf_add_scalar(gguf_builder *b, const char *key, puna_meta_type type, const void *value,
                                   size_t size_bytes)
{
    gguf_key(b, key, (uint32_t)type);
    puna_buf_add(&b->meta, value, size_bytes);
}

static inline void gguf_add_u32(gguf_builder *b, const char *key, uint32_t value)
{
    gguf_add_scalar(b, key, PUNA_META_U32, &value, 4);
}

static inline void gguf_add_f32(gguf_builder *b, const char *key, float value)
{
    gguf_add_scalar(b, key, PUNA_META_F32, &value, 4);
}

static inline void gguf_add_text(gguf_builder *b, const char *key, const char *text)
{
    char where[40];
    snprintf(where, sizeof where, "key %.30s", key);
    gguf_key(b, key, PUNA_META_STRING);
    gguf_put_text(b, 'm', text, strlen(text), where, "string length");
}

/* The head of an array; its elements follow through gguf_add_bytes or gguf_put_text. */
static inline void gguf_add_array(gguf_builder *b, const char *key, uint32_t element, uint64_t n)
{
    char where[40];
    snprintf(where, sizeof where, "key %.30s", key);
    gguf_key(b, key, PUNA_META_ARRAY);
    gguf_put(b, 'm', element, 4, where, "element type");
    gguf_put(b, 'm', n, 8, where, "array length");
}

static inline void gguf_add_bytes(gguf_builder *b, const void *bytes, size_t n)
{
    puna_buf_add(&b->meta, bytes, n);
}

static inline void gguf_add_texts(gguf_builder *b, const char *key, const char *const *texts, size_t n)
{
    char where[40];
    snprintf(where, sizeof where, "key %.30s", key);
    gguf_add_array(b, key, PUNA_META_STRING, n);
    for (size_t i = 0; i < n; i++)
        gguf_put_text(b, 'm', texts[i], strlen(texts[i]), where, "string length");
}

/* An entry of the directory alone, at a chosen offset. */
static inline void gguf_add_entry(gguf_builder *b, const char *name, uint32_t type, uint32_t n_dims,
                                  const uint64_t *ne, uint64_t offset)
{
    char where[40];
    snprintf(where, sizeof where, "tensor %.30s", name);
    gguf_put_text(b, 't', name, strlen(name), "tensor", "name length");
    gguf_put(b, 't', n_dims, 4, where, "n_dims");
    for (uint32_t i = 0; i < n_dims; i++)
        gguf_put(b, 't', ne[i], 8, where, "dim");
    gguf_put(b, 't', type, 4, where, "type");
    gguf_put(b, 't', offset, 8, where, "offset");
    b->n_tensors++;
}

/* A tensor after those added so far; bytes == NULL fills with a pattern. */
static inline void gguf_add_tensor(gguf_builder *b, const char *name, uint32_t type, uint32_t n_dims,
                                   const uint64_t *ne, const void *bytes, size_t size_bytes)
{
    while (b->data.n % b->alignment)
        puna_buf_add_byte(&b->data, 0);
    gguf_add_entry(b, name, type, n_dims, ne, b->data.n);
    if (bytes)
        puna_buf_add(&b->data, bytes, size_bytes);
    for (size_t i = 0; !bytes && i < size_bytes; i++)
        puna_buf_add_byte(&b->data, (char)(i * 7 + b->n_tensors));
}

/* The whole file, in b->file; marks become offsets in it. */
static inline void gguf_finish(gguf_builder *b)
{
    puna_buf_add(&b->file, "GGUF", 4);
    gguf_put(b, 'h', b->version, 4, "", "version");
    gguf_put(b, 'h', b->n_tensors, 8, "", "n_tensors");
    gguf_put(b, 'h', b->n_meta, 8, "", "n_kv");
    size_t meta_at = b->file.n, infos_at = meta_at + b->meta.n;
    puna_buf_add(&b->file, b->meta.data ? b->meta.data : "", b->meta.n);
    puna_buf_add(&b->file, b->infos.data ? b->infos.data : "", b->infos.n);
    for (size_t i = 0; i < b->n_marks; i++)
        b->marks[i].at += b->marks[i].section == 'm' ? meta_at : b->marks[i].section == 't' ? infos_at : 0;
    b->header_bytes = b->file.n;
    while (b->n_tensors && b->file.n % b->alignment)
        puna_buf_add_byte(&b->file, 0);
    puna_buf_add(&b->file, b->data.data ? b->data.data : "", b->data.n);
    assert(!b->file.failed && !b->meta.failed && !b->infos.failed && !b->data.failed);
}

#endif
