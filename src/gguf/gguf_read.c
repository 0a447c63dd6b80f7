/* gguf_read.c - GGUF, little-endian, versions 2 and 3 (they differ only in that 3 also exists
 * in big-endian order). After Georgi Gerganov and others, "GGUF", the format's specification in
 * the ggml repository: docs/gguf.md.
 * Refuses: version 1, big-endian files, nested arrays, duplicate keys, keys or names with NUL,
 * tensors without elements, of unknown encoding, unaligned, overlapping or out of the file.
 * Every count is compared with the bytes left before memory is taken for it: a key takes at
 * least 14 bytes of the file and a tensor 33, so the directory stays below four times the file. */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/limits.h"
#include "gguf/cursor.h"
#include "gguf/directory.h"

enum {
    KEY_MIN_BYTES = 8 + 1 + 4 + 1,            /* length, name, type, value */
    TENSOR_MIN_BYTES = 8 + 1 + 4 + 8 + 4 + 8, /* length, name, n_dims, one dim, type, offset */
    DEFAULT_ALIGNMENT = 32,
    MIN_ALIGNMENT = 8,                        /* the specification: a multiple of 8 */
    BIG_ENDIAN_MARK = 0xffff                  /* a real version fits in 16 bits */
};

/* Bytes of one scalar; 0 for those whose size varies. */
static const unsigned char scalar_bytes[] = {
    [PUNA_META_U8] = 1, [PUNA_META_I8] = 1, [PUNA_META_U16] = 2, [PUNA_META_I16] = 2,
    [PUNA_META_U32] = 4, [PUNA_META_I32] = 4, [PUNA_META_F32] = 4, [PUNA_META_BOOL] = 1,
    [PUNA_META_STRING] = 0, [PUNA_META_ARRAY] = 0, [PUNA_META_U64] = 8, [PUNA_META_I64] = 8,
    [PUNA_META_F64] = 8
};

/* `subject` is what is being read ("key", "tensor", or NULL for the header): its name once that
 * is known, its number before. Only messages use it. */
typedef struct reader {
    puna_cursor in;
    puna_directory *dir;
    const char *file;
    const char *subject;
    const unsigned char *name;
    uint64_t n_name, index;
    puna_error *err;
} reader;

static void about(reader *r, const char *subject, uint64_t index)
{
    r->subject = subject;
    r->index = index;
    r->name = NULL;
}

static puna_status refuse(const reader *r, const char *format, ...) PUNA_PRINTF(2, 3);
static puna_status refuse(const reader *r, const char *format, ...)
{
    char what[200], where[160] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (r->subject && r->name)
        snprintf(where, sizeof where, "%s %.*s: ", r->subject, r->n_name < 128 ? (int)r->n_name : 128,
                 (const char *)r->name);
    else if (r->subject)
        snprintf(where, sizeof where, "%s %" PRIu64 ": ", r->subject, r->index);
    return puna_fail(r->err, PUNA_ERR_FORMAT, "%.120s: %s%s", r->file, where, what);
}

/* The error of a cursor that ran past the end. */
static puna_status refuse_end(const reader *r)
{
    assert(r->in.failed);
    return refuse(r, "%s: got %zu bytes left at offset %zu, expected %" PRIu64, r->in.field,
                  puna_cursor_left(&r->in), r->in.offset, r->in.wanted);
}

/* ---- Header ------------------------------------------------------------------------ */

static puna_status check_version(const reader *r, uint32_t version)
{
    if (version == 2 || version == 3)
        return PUNA_OK;
    if (version == 1) {
        refuse(r, "version: got 1, expected 2 or 3");
        return puna_hint(r->err, PUNA_ERR_FORMAT, "convert the model again with a current tool");
    }
    if (version > BIG_ENDIAN_MARK && (version & 0xffff) == 0)
        return refuse(r, "version: got a big-endian file, expected a little-endian one");
    return refuse(r, "version: got %" PRIu32 ", expected 2 or 3", version);
}

static puna_status check_count(const reader *r, const char *field, uint64_t n, uint64_t fit,
                               uint64_t max)
{
    if (n > fit)
        return refuse(r, "%s: got %" PRIu64 ", expected at most %" PRIu64 " (bytes left)", field, n, fit);
    if (n > max)
        return refuse(r, "%s: got %" PRIu64 ", expected at most %" PRIu64 " (the maximum)", field, n, max);
    return PUNA_OK;
}

static puna_status read_header(reader *r)
{
    puna_directory *dir = r->dir;
    puna_cursor_bytes(&r->in, 4, "magic");
    uint32_t version = puna_cursor_u32(&r->in, "version");
    if (r->in.failed)
        return refuse_end(r);
    assert(memcmp(r->in.data, "GGUF", 4) == 0);
    TRY(check_version(r, version));
    uint64_t n_tensors = puna_cursor_u64(&r->in, "n_tensors");
    uint64_t n_meta = puna_cursor_u64(&r->in, "n_kv");
    if (r->in.failed)
        return refuse_end(r);
    uint64_t left = puna_cursor_left(&r->in);
    TRY(check_count(r, "n_tensors", n_tensors, left / TENSOR_MIN_BYTES, PUNA_MAX_TENSORS));
    left -= n_tensors * TENSOR_MIN_BYTES;
    TRY(check_count(r, "n_kv", n_meta, left / KEY_MIN_BYTES, PUNA_MAX_METADATA));
    dir->n_meta = (size_t)n_meta;
    dir->n_tensors = (size_t)n_tensors;
    snprintf(dir->kind, sizeof dir->kind, "gguf v%" PRIu32, version);
    return PUNA_OK;
}

/* ---- Metadata ---------------------------------------------------------------------- */

/* A key or a tensor's name: where it lies in the file, and how long it is. */
static puna_status read_name(reader *r)
{
    uint64_t n = puna_cursor_u64(&r->in, "name length");
    if (r->in.failed)
        return refuse_end(r);
    if (n == 0 || n > PUNA_MAX_NAME_BYTES)
        return refuse(r, "name length: got %" PRIu64 ", expected 1 to %u", n, PUNA_MAX_NAME_BYTES);
    const unsigned char *name = puna_cursor_bytes(&r->in, n, "name");
    if (!name)
        return refuse_end(r);
    if (memchr(name, 0, (size_t)n))
        return refuse(r, "name: got a NUL byte in it, expected none");
    r->name = name;
    r->n_name = n;
    return PUNA_OK;
}

static puna_status read_strings(reader *r, const puna_meta *meta)
{
    if (meta->n > puna_cursor_left(&r->in) / 8)
        return refuse(r, "array length: got %" PRIu64 ", expected at most %zu (bytes left)", meta->n,
                      puna_cursor_left(&r->in) / 8);
    for (uint64_t i = 0; i < meta->n; i++) {
        uint64_t n = puna_cursor_u64(&r->in, "string length");
        if (r->in.failed)
            return refuse_end(r);
        if (!puna_cursor_bytes(&r->in, n, "string"))
            return refuse(r, "string length: element %" PRIu64 ": got %" PRIu64 ", expected at most %zu"
                          " (bytes left)", i, n, puna_cursor_left(&r->in));
    }
    return PUNA_OK;
}

static puna_status read_scalars(reader *r, const puna_meta *meta)
{
    size_t each = scalar_bytes[meta->element], fit = puna_cursor_left(&r->in) / each;
    if (meta->type == PUNA_META_ARRAY && meta->n > fit)
        return refuse(r, "array length: got %" PRIu64 ", expected at most %zu (bytes left)", meta->n, fit);
    if (!puna_cursor_bytes(&r->in, meta->n * each, "value"))
        return refuse_end(r);
    if (meta->element != PUNA_META_BOOL)
        return PUNA_OK;
    for (uint64_t i = 0; i < meta->n; i++)
        if (meta->data[i] > 1)
            return refuse(r, "value: element %" PRIu64 ": got %u, expected 0 or 1", i, meta->data[i]);
    return PUNA_OK;
}

static puna_status read_type(reader *r, const char *field, puna_meta_type *type)
{
    uint32_t number = puna_cursor_u32(&r->in, field);
    if (r->in.failed)
        return refuse_end(r);
    if (number > PUNA_META_F64)
        return refuse(r, "%s: got %" PRIu32 ", expected 0 to %d", field, number, PUNA_META_F64);
    *type = (puna_meta_type)number;
    return PUNA_OK;
}

/* Leaves meta->key at the name's bytes in the file, not terminated. */
static puna_status read_pair(reader *r, puna_meta *meta)
{
    TRY(read_name(r));
    meta->key = (const char *)r->name;
    TRY(read_type(r, "type", &meta->type));
    meta->element = meta->type;
    meta->n = 1;
    if (meta->type == PUNA_META_ARRAY) {
        TRY(read_type(r, "element type", &meta->element));
        if (meta->element == PUNA_META_ARRAY)
            return refuse(r, "element type: got 9, an array in an array, expected a scalar or a string");
        meta->n = puna_cursor_u64(&r->in, "array length");
        if (r->in.failed)
            return refuse_end(r);
    }
    meta->data = r->in.data + r->in.offset;
    TRY(meta->element == PUNA_META_STRING ? read_strings(r, meta) : read_scalars(r, meta));
    meta->size_bytes = (size_t)(r->in.data + r->in.offset - meta->data);
    return PUNA_OK;
}

/* A terminated copy at *pool of a name in the file, whose length stands just before it. */
static const char *keep_name(char **pool, const char *name)
{
    size_t n = (size_t)puna_load_u64((const unsigned char *)name - 8);
    char *copy = *pool;
    memcpy(copy, name, n);
    copy[n] = '\0';
    *pool += n + 1;
    return copy;
}

static puna_status read_metadata(reader *r)
{
    puna_directory *dir = r->dir;
    if (dir->n_meta == 0)
        return PUNA_OK;
    dir->meta = calloc(dir->n_meta, sizeof *dir->meta);
    if (!dir->meta)
        return puna_fail_memory(r->err, "metadata", dir->n_meta * sizeof *dir->meta);
    size_t n_text = 0;
    for (size_t i = 0; i < dir->n_meta; i++) {
        about(r, "key", i);
        TRY(read_pair(r, &dir->meta[i]));
        n_text += (size_t)r->n_name + 1;
    }
    char *pool = dir->meta_bytes = malloc(n_text);
    if (!pool)
        return puna_fail_memory(r->err, "keys", n_text);
    for (size_t i = 0; i < dir->n_meta; i++)
        dir->meta[i].key = keep_name(&pool, dir->meta[i].key);
    about(r, NULL, 0);
    return puna_directory_index(dir, r->file, r->err);
}

static puna_status find_alignment(reader *r, uint64_t *alignment)
{
    const puna_meta *meta = puna_directory_meta(r->dir, "general.alignment");
    *alignment = DEFAULT_ALIGNMENT;
    if (!meta)
        return PUNA_OK;
    if (meta->type != PUNA_META_U32)
        return refuse(r, "key general.alignment: type: got %d, expected %d (u32)", meta->type,
                      PUNA_META_U32);
    uint32_t value = puna_load_u32(meta->data);
    if (value < MIN_ALIGNMENT || value > PUNA_MAX_ALIGNMENT || (value & (value - 1)) != 0)
        return refuse(r, "key general.alignment: value: got %" PRIu32
                      ", expected a power of two from %d to %u", value, MIN_ALIGNMENT, PUNA_MAX_ALIGNMENT);
    *alignment = value;
    return PUNA_OK;
}

/* ---- Tensors ----------------------------------------------------------------------- */

static puna_status read_shape(reader *r, puna_tensor *t)
{
    t->n_dims = puna_cursor_u32(&r->in, "n_dims");
    if (r->in.failed)
        return refuse_end(r);
    if (t->n_dims == 0 || t->n_dims > PUNA_MAX_DIMS)
        return refuse(r, "n_dims: got %" PRIu32 ", expected 1 to %u", t->n_dims, PUNA_MAX_DIMS);
    for (uint32_t i = 0; i < PUNA_MAX_DIMS; i++) {
        t->ne[i] = i < t->n_dims ? puna_cursor_u64(&r->in, "dim") : 1;
        if (r->in.failed)
            return refuse_end(r);
        if (t->ne[i] == 0)
            return refuse(r, "dim[%" PRIu32 "]: got 0, expected at least 1", i);
    }
    return PUNA_OK;
}

/* A product that overflows is refused like one that is larger than the file: it is. */
static puna_status size_tensor(const reader *r, puna_tensor *t)
{
    uint64_t n_rows, n_values, file_bytes = r->in.size_bytes;
    if (t->ne[0] % t->format->block_elems != 0)
        return refuse(r, "dim[0]: got %" PRIu64 ", expected a multiple of %" PRIu32 " (%s)", t->ne[0],
                      t->format->block_elems, t->format->name);
    if (!puna_mul_u64(t->ne[1], t->ne[2], &n_rows) || !puna_mul_u64(n_rows, t->ne[3], &n_rows) ||
        !puna_mul_u64(n_rows, t->ne[0], &n_values) ||
        !puna_format_size(t->format, t->ne[0], n_rows, &t->size_bytes) || t->size_bytes > file_bytes)
        return refuse(r, "dim: got %" PRIu64 " x %" PRIu64 " x %" PRIu64 " x %" PRIu64
                      " of %s, expected at most %" PRIu64 " bytes (the file)", t->ne[0], t->ne[1], t->ne[2],
                      t->ne[3], t->format->name, file_bytes);
    return PUNA_OK;
}

/* Leaves t->name at the name's bytes and t->data at the encoded offset, both in the file: where
 * the tensors' bytes start is known only after the last entry. */
static puna_status read_entry(reader *r, puna_tensor *t)
{
    TRY(read_name(r));
    t->name = (const char *)r->name;
    TRY(read_shape(r, t));
    uint32_t number = puna_cursor_u32(&r->in, "type");
    t->data = puna_cursor_bytes(&r->in, 8, "offset");
    if (r->in.failed)
        return refuse_end(r);
    t->format = puna_format_get(number);
    if (!t->format)
        return refuse(r, "type: got %" PRIu32 ", expected the number of a known encoding", number);
    return size_tensor(r, t);
}

/* Turns the encoded offset into the address of the bytes. */
static puna_status place_tensor(const reader *r, puna_tensor *t, uint64_t base, uint64_t alignment)
{
    uint64_t offset = puna_load_u64(t->data), room = r->in.size_bytes - base;
    if (offset % alignment != 0)
        return refuse(r, "offset: got %" PRIu64 ", expected a multiple of %" PRIu64, offset, alignment);
    if (offset > room || t->size_bytes > room - offset)
        return refuse(r, "offset: got %" PRIu64 " with %" PRIu64 " bytes, expected to end by %" PRIu64,
                      offset, t->size_bytes, room);
    t->data = r->in.data + base + offset;
    return PUNA_OK;
}

static int compare_places(const void *a, const void *b)
{
    const puna_tensor *x = *(const puna_tensor *const *)a, *y = *(const puna_tensor *const *)b;
    uintptr_t at = (uintptr_t)x->data, other = (uintptr_t)y->data;
    return (at > other) - (at < other);
}

static puna_status check_overlap(reader *r)
{
    size_t n = r->dir->n_tensors;
    const puna_tensor **sorted = malloc(n * sizeof *sorted);
    if (!sorted)
        return puna_fail_memory(r->err, "tensor order", n * sizeof *sorted);
    for (size_t i = 0; i < n; i++)
        sorted[i] = &r->dir->tensors[i];
    qsort(sorted, n, sizeof *sorted, compare_places);
    puna_status status = PUNA_OK;
    for (size_t i = 1; i < n && status == PUNA_OK; i++) {
        uint64_t gap = (uintptr_t)sorted[i]->data - (uintptr_t)sorted[i - 1]->data;
        if (gap < sorted[i - 1]->size_bytes)
            status = refuse(r, "tensor %.120s: offset: got bytes of tensor %.60s", sorted[i]->name,
                            sorted[i - 1]->name);
    }
    free(sorted);
    return status;
}

static puna_status read_tensors(reader *r, uint64_t alignment)
{
    puna_directory *dir = r->dir;
    if (dir->n_tensors == 0)
        return PUNA_OK;
    dir->tensors = calloc(dir->n_tensors, sizeof *dir->tensors);
    if (!dir->tensors)
        return puna_fail_memory(r->err, "tensors", dir->n_tensors * sizeof *dir->tensors);
    size_t n_text = 0;
    for (size_t i = 0; i < dir->n_tensors; i++) {
        about(r, "tensor", i);
        TRY(read_entry(r, &dir->tensors[i]));
        n_text += (size_t)r->n_name + 1;
    }
    char *pool = dir->name_text = malloc(n_text);
    if (!pool)
        return puna_fail_memory(r->err, "tensor names", n_text);
    uint64_t base;
    about(r, NULL, 0);
    if (!puna_align_u64(r->in.offset, alignment, &base) || base > r->in.size_bytes)
        return refuse(r, "tensor data: got a file of %zu bytes, expected it to start at %" PRIu64,
                      r->in.size_bytes, base);
    for (size_t i = 0; i < dir->n_tensors; i++) {
        puna_tensor *t = &dir->tensors[i];
        t->name = keep_name(&pool, t->name);
        about(r, "tensor", i);
        r->name = (const unsigned char *)t->name;
        r->n_name = strlen(t->name);
        TRY(place_tensor(r, t, base, alignment));
    }
    about(r, NULL, 0);
    return check_overlap(r);
}

puna_status puna_gguf_read(puna_directory *dir, const puna_file *file, const char *name, puna_error *err)
{
    reader r = {
        .in = puna_cursor_make(file->data, file->size_bytes), .dir = dir, .file = name, .err = err
    };
    uint64_t alignment;
    TRY(read_header(&r));
    TRY(read_metadata(&r));
    TRY(find_alignment(&r, &alignment));
    return read_tensors(&r, alignment);
}
