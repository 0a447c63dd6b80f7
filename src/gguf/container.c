/* container.c - opens model files: finds the format by content, the other parts of a split
 * model by name, and owns every part until close. The formats themselves are read in
 * gguf_read.c and llama2c_read.c.
 * Refuses: unknown formats (naming the well-known ones), split models with a part missing or
 * of another model, and tensor names that occur twice. */
#include "gguf/container.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/limits.h"
#include "gguf/directory.h"

typedef struct part {
    puna_file file;
    puna_directory dir;
} part;

struct puna_container {
    part *parts;
    size_t n_parts, n_tensors;
    const puna_tensor **by_name; /* all parts' tensors, sorted */
};

/* ---- Directories ------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
    const puna_meta *x = *(const puna_meta *const *)a, *y = *(const puna_meta *const *)b;
    return strcmp(x->key, y->key);
}

puna_status puna_directory_index(puna_directory *dir, const char *name, puna_error *err)
{
    size_t n = dir->n_meta;
    dir->by_key = calloc(n ? n : 1, sizeof *dir->by_key);
    if (!dir->by_key)
        return puna_fail_memory(err, "keys", n * sizeof *dir->by_key);
    for (size_t i = 0; i < n; i++)
        dir->by_key[i] = &dir->meta[i];
    qsort(dir->by_key, n, sizeof *dir->by_key, compare_keys);
    for (size_t i = 1; i < n; i++)
        if (strcmp(dir->by_key[i - 1]->key, dir->by_key[i]->key) == 0)
            return puna_fail(err, PUNA_ERR_FORMAT, "%.120s: key %.120s: got it twice, expected once", name,
                             dir->by_key[i]->key);
    return PUNA_OK;
}

const puna_meta *puna_directory_meta(const puna_directory *dir, const char *key)
{
    size_t low = 0, high = dir->by_key ? dir->n_meta : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(key, dir->by_key[middle]->key);
        if (order == 0)
            return dir->by_key[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

void puna_directory_free(puna_directory *dir)
{
    free(dir->meta);
    free(dir->by_key);
    free(dir->tensors);
    free(dir->meta_bytes);
    free(dir->name_text);
    free(dir->decoded);
    *dir = (puna_directory){ 0 };
}

/* ---- Formats ----------------------------------------------------------------------- */

/* Files that people often have in place of a model. */
static const struct other {
    const char *magic, *what, *hint;
} others[] = {
    { "PK\3\4", "a zip archive (PyTorch?)", "convert it to GGUF first" },
    { "tjgg", "a ggjt file, older than GGUF", "convert the original model to GGUF" },
    { "lmgg", "a ggml file, older than GGUF", "convert the original model to GGUF" },
    { "fmgg", "a ggmf file, older than GGUF", "convert the original model to GGUF" },
    { "version https://git-lfs", "a Git LFS pointer", "fetch the real file: git lfs pull" },
    { "<!DOCTYPE", "an HTML page", "download the file itself, not its page" },
    { "<html", "an HTML page", "download the file itself, not its page" },
};

static bool starts_with(const puna_file *file, const char *magic)
{
    size_t n = strlen(magic);
    return file->size_bytes >= n && memcmp(file->data, magic, n) == 0;
}

static puna_status refuse_unknown(const puna_file *file, const char *name, puna_error *err)
{
    char first[32] = "nothing";
    size_t n_text = 0;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (!starts_with(file, others[i].magic))
            continue;
        puna_fail(err, PUNA_ERR_FORMAT, "%.120s: magic: got %s, expected GGUF or llama2.c", name,
                  others[i].what);
        return puna_hint(err, PUNA_ERR_FORMAT, "%s", others[i].hint);
    }
    for (size_t i = 0; i < 4 && i < file->size_bytes; i++)
        n_text += (size_t)snprintf(first + n_text, sizeof first - n_text, i ? " %02x" : "%02x",
                                   file->data[i]);
    return puna_fail(err, PUNA_ERR_FORMAT, "%.120s: magic: got %s, expected GGUF or llama2.c", name, first);
}

/* The last component of a path: what messages call the file. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static puna_status read_part(part *p, const char *path, puna_error *err)
{
    const char *name = base_name(path);
    if (starts_with(&p->file, "GGUF"))
        return puna_gguf_read(&p->dir, &p->file, name, err);
    if (puna_llama2c_starts(&p->file))
        return puna_llama2c_read(&p->dir, &p->file, name, err);
    return refuse_unknown(&p->file, name, err);
}

static puna_status open_part(part *p, const char *path, puna_error *err)
{
    TRY(puna_file_map(&p->file, path, err));
    return read_part(p, path, err);
}

/* ---- Split models ------------------------------------------------------------------ */

enum { SPLIT_SUFFIX_BYTES = sizeof "-00001-of-00001.gguf" - 1 };

/* One of the split.* keys; `missing` when it is not there. */
static puna_status split_number(const puna_directory *dir, const char *name, const char *key,
                                uint64_t missing, uint64_t *value, puna_error *err)
{
    const puna_meta *meta = puna_directory_meta(dir, key);
    *value = missing;
    if (!meta || (meta->type != PUNA_META_ARRAY && puna_meta_u64(meta, 0, value)))
        return PUNA_OK;
    return puna_fail(err, PUNA_ERR_FORMAT, "%.120s: key %s: got another type or a negative number, "
                     "expected a count", name, key);
}

/* The path of part i (from 0) of n beside `path`, whose own suffix is replaced. Free it. */
static char *split_path(const char *path, uint64_t i, uint64_t n)
{
    size_t keep = strlen(path) - SPLIT_SUFFIX_BYTES, size = keep + 64;
    char *made = malloc(size);
    if (made)
        snprintf(made, size, "%.*s-%05" PRIu64 "-of-%05" PRIu64 ".gguf", (int)keep, path, i + 1, n);
    return made;
}

/* A part beside the one that was asked for, which has to say that it is part i of n. */
static puna_status open_sibling(part *p, const char *path, uint64_t i, uint64_t n, puna_error *err)
{
    const char *name = base_name(path);
    uint64_t no, count;
    puna_status status = open_part(p, path, err);
    if (status == PUNA_ERR_NOT_FOUND)
        return puna_fail(err, status, "%.200s: split: got no such file, expected part %" PRIu64 " of %" PRIu64
                         " of the model", name, i + 1, n);
    TRY(status);
    TRY(split_number(&p->dir, name, "split.no", 0, &no, err));
    TRY(split_number(&p->dir, name, "split.count", 0, &count, err));
    if (no != i || count != n)
        return puna_fail(err, PUNA_ERR_FORMAT, "%.120s: split.no: got part %" PRIu64 " of %" PRIu64
                         ", expected part %" PRIu64 " of %" PRIu64, name, no + 1, count, i + 1, n);
    return PUNA_OK;
}

static puna_status check_split_total(const puna_container *c, const char *name, puna_error *err)
{
    uint64_t expected, got = 0;
    for (size_t i = 0; i < c->n_parts; i++)
        got += c->parts[i].dir.n_tensors;
    TRY(split_number(&c->parts[0].dir, name, "split.tensors.count", got, &expected, err));
    if (got != expected)
        return puna_fail(err, PUNA_ERR_FORMAT, "%.120s: split.tensors.count: got %" PRIu64
                         " tensors in all parts, expected %" PRIu64, name, got, expected);
    return PUNA_OK;
}

/* Opens the other parts when the first one opened is part of a split model. */
static puna_status open_siblings(puna_container *c, const char *path, bool in_memory, puna_error *err)
{
    const char *name = base_name(path);
    uint64_t no, n;
    TRY(split_number(&c->parts[0].dir, name, "split.no", 0, &no, err));
    TRY(split_number(&c->parts[0].dir, name, "split.count", 1, &n, err));
    if (n <= 1)
        return PUNA_OK;
    if (n > PUNA_MAX_SPLIT_FILES || no >= n)
        return puna_fail(err, PUNA_ERR_FORMAT, "%.120s: split.count: got part %" PRIu64 " of %" PRIu64
                         ", expected at most %u parts", name, no + 1, n, PUNA_MAX_SPLIT_FILES);
    if (in_memory)
        return puna_fail(err, PUNA_ERR_FORMAT, "%.120s: split.count: got one of %" PRIu64
                         " parts in memory, expected a whole model", name, n);
    char suffix[64];
    int n_suffix = snprintf(suffix, sizeof suffix, "-%05" PRIu64 "-of-%05" PRIu64 ".gguf", no + 1, n);
    if (n_suffix != SPLIT_SUFFIX_BYTES || strlen(name) < SPLIT_SUFFIX_BYTES ||
        strcmp(name + strlen(name) - SPLIT_SUFFIX_BYTES, suffix) != 0)
        return puna_fail(err, PUNA_ERR_FORMAT, "%.120s: split.no: got part %" PRIu64 " of %" PRIu64
                         ", expected a name that ends in %s", name, no + 1, n, suffix);
    part *parts = calloc((size_t)n, sizeof *parts);
    if (!parts)
        return puna_fail_memory(err, "split parts", (size_t)n * sizeof *parts);
    parts[no] = c->parts[0];
    free(c->parts);
    c->parts = parts;
    c->n_parts = (size_t)n;
    for (uint64_t i = 0; i < n; i++) {
        if (i == no)
            continue;
        char *sibling = split_path(path, i, n);
        if (!sibling)
            return puna_fail_memory(err, "path of a split part", strlen(path));
        puna_status status = open_sibling(&parts[i], sibling, i, n, err);
        free(sibling);
        TRY(status);
    }
    return check_split_total(c, name, err);
}

/* ---- Opening ----------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    const puna_tensor *x = *(const puna_tensor *const *)a, *y = *(const puna_tensor *const *)b;
    return strcmp(x->name, y->name);
}

/* Not decoded into memory of the directory's own. */
static bool lies_in(const puna_file *file, const puna_tensor *t)
{
    const uintptr_t at = (uintptr_t)t->data, begin = (uintptr_t)file->data;
    return at >= begin && at < begin + file->size_bytes;
}

static puna_status index_tensors(puna_container *c, const char *name, puna_error *err)
{
    for (size_t i = 0; i < c->n_parts; i++)
        c->n_tensors += c->parts[i].dir.n_tensors;
    c->by_name = calloc(c->n_tensors ? c->n_tensors : 1, sizeof *c->by_name);
    if (!c->by_name)
        return puna_fail_memory(err, "tensors", c->n_tensors * sizeof *c->by_name);
    size_t n = 0;
    for (size_t i = 0; i < c->n_parts; i++)
        for (size_t k = 0; k < c->parts[i].dir.n_tensors; k++) {
            puna_tensor *t = &c->parts[i].dir.tensors[k];
            t->mapped = c->parts[i].file.mapping != NULL && lies_in(&c->parts[i].file, t);
            c->by_name[n++] = t;
        }
    qsort(c->by_name, n, sizeof *c->by_name, compare_names);
    for (size_t i = 1; i < n; i++)
        if (strcmp(c->by_name[i - 1]->name, c->by_name[i]->name) == 0)
            return puna_fail(err, PUNA_ERR_FORMAT, "%.120s: tensor %.120s: got it twice, expected once", name,
                             c->by_name[i]->name);
    return PUNA_OK;
}

static puna_status open_all(puna_container *c, const char *path, const puna_file *memory, puna_error *err)
{
    c->parts = calloc(1, sizeof *c->parts);
    if (!c->parts)
        return puna_fail_memory(err, "container", sizeof *c->parts);
    c->n_parts = 1;
    if (memory) {
        c->parts[0].file = *memory;
        TRY(read_part(&c->parts[0], path, err));
    } else {
        TRY(open_part(&c->parts[0], path, err));
    }
    TRY(open_siblings(c, path, memory != NULL, err));
    return index_tensors(c, base_name(path), err);
}

static puna_status open_container(puna_container **out, const char *path, const puna_file *memory,
                                  puna_error *err)
{
    *out = NULL;
    puna_container *c = calloc(1, sizeof *c);
    if (!c)
        return puna_fail_memory(err, "container", sizeof *c);
    puna_status status = open_all(c, path, memory, err);
    if (status != PUNA_OK) {
        puna_container_close(c);
        return status;
    }
    *out = c;
    return PUNA_OK;
}

puna_status puna_container_open(puna_container **out, const char *path, puna_error *err)
{
    return open_container(out, path, NULL, err);
}

puna_status puna_container_open_memory(puna_container **out, const void *data, size_t size_bytes,
                                       const char *name, puna_error *err)
{
    puna_file memory = { .data = size_bytes ? data : NULL, .size_bytes = size_bytes };
    return open_container(out, name, &memory, err);
}

void puna_container_close(puna_container *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n_parts; i++) {
        puna_directory_free(&c->parts[i].dir);
        puna_file_unmap(&c->parts[i].file);
    }
    free(c->parts);
    free(c->by_name);
    free(c);
}

/* ---- Looking ----------------------------------------------------------------------- */

const char *puna_container_kind(const puna_container *c)
{
    return c->parts[0].dir.kind;
}

uint64_t puna_container_size_bytes(const puna_container *c)
{
    uint64_t size = 0;
    for (size_t i = 0; i < c->n_parts; i++)
        size += c->parts[i].file.size_bytes;
    return size;
}

size_t puna_container_n_meta(const puna_container *c)
{
    return c->parts[0].dir.n_meta;
}

const puna_meta *puna_container_meta_at(const puna_container *c, size_t i)
{
    assert(i < puna_container_n_meta(c));
    return &c->parts[0].dir.meta[i];
}

const puna_meta *puna_container_meta(const puna_container *c, const char *key)
{
    return puna_directory_meta(&c->parts[0].dir, key);
}

size_t puna_container_n_tensors(const puna_container *c)
{
    return c->n_tensors;
}

const puna_tensor *puna_container_tensor_at(const puna_container *c, size_t i)
{
    assert(i < c->n_tensors);
    const part *p = c->parts;
    while (i >= p->dir.n_tensors)
        i -= (p++)->dir.n_tensors;
    return &p->dir.tensors[i];
}

const puna_tensor *puna_container_tensor(const puna_container *c, const char *name)
{
    size_t low = 0, high = c->n_tensors;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, c->by_name[middle]->name);
        if (order == 0)
            return c->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
