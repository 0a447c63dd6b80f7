/* manifest.c - one model's JSON file: read with checks, written whole. */
#define _POSIX_C_SOURCE 200809L
#include "store/inside.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

static bool take_text(const json_t *object, const char *key, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));
    size_t n = text ? strlen(text) : 0;
    if (n >= size)
        return false;
    memcpy(out, text ? text : "", n);
    out[n] = '\0';
    return true;
}

static bool is_digest(const char *text)
{
    return strlen(text) == PUNA_STORE_HEX && strspn(text, "0123456789abcdef") == PUNA_STORE_HEX;
}

puna_status puna_store_manifest_read(const char *path, puna_store_model *model, puna_error *err)
{
    json_error_t where;
    char reference[PUNA_STORE_MAX_NAME + PUNA_STORE_MAX_TAG + 2];
    char name[PUNA_STORE_MAX_NAME + 1], tag[PUNA_STORE_MAX_TAG + 1];
    *model = (puna_store_model){ 0 };
    json_t *object = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
    if (!object)
        return puna_fail(err, PUNA_ERR_FORMAT, "manifest: %s: line %d: %s", path, where.line, where.text);
    json_int_t size = json_integer_value(json_object_get(object, "size"));
    bool good = take_text(object, "name", model->name, sizeof model->name) &&
                take_text(object, "tag", model->tag, sizeof model->tag) &&
                take_text(object, "sha256", model->sha256, sizeof model->sha256) &&
                take_text(object, "format", model->format, sizeof model->format) &&
                take_text(object, "source", model->source, sizeof model->source) &&
                take_text(object, "licence", model->licence, sizeof model->licence) &&
                take_text(object, "imported_at", model->imported_at, sizeof model->imported_at) &&
                is_digest(model->sha256) && size >= 0;
    json_decref(object);
    model->size = (uint64_t)size;
    snprintf(reference, sizeof reference, "%s:%s", model->name, model->tag);
    if (!good || puna_store_split(reference, name, tag, NULL) != PUNA_OK || !tag[0])
        return puna_fail(err, PUNA_ERR_FORMAT, "manifest: %s: expected name, tag, sha256 and size of a model", path);
    return PUNA_OK;
}

static json_t *manifest_json(const puna_store_model *model)
{
    char blob[PUNA_STORE_HEX + 8];
    snprintf(blob, sizeof blob, "sha256-%s", model->sha256);
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s}", "name", model->name, "tag", model->tag, "blob",
                     blob, "sha256", model->sha256, "size", (json_int_t)model->size, "format", model->format,
                     "source", model->source, "licence", model->licence, "imported_at", model->imported_at);
}

static puna_status write_file(const char *path, json_t *object, puna_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return puna_store_errno(err, "write", path);
    bool good = json_dumpfd(object, fd, JSON_INDENT(2)) == 0 && write(fd, "\n", 1) == 1 && fsync(fd) == 0;
    good = close(fd) == 0 && good;
    return good ? PUNA_OK : puna_store_errno(err, "write", path);
}

puna_status puna_store_manifest_write(const puna_store *store, const puna_store_model *model, puna_error *err)
{
    char path[PUNA_STORE_MAX_PATH], temporary[PUNA_STORE_MAX_PATH];
    TRY(puna_store_join(path, err, "%s/models/%s/%s.json", store->folder, model->name, model->tag));
    TRY(puna_store_join(temporary, err, "%s/models/%s/.%s.json", store->folder, model->name, model->tag));
    TRY(puna_store_make_folders(path, err));
    json_t *object = manifest_json(model);
    if (!object)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "manifest: %s: got a source or licence that is not UTF-8, or no "
                         "memory", path);
    puna_status status = write_file(temporary, object, err);
    json_decref(object);
    if (status == PUNA_OK && rename(temporary, path) != 0)
        status = puna_store_errno(err, "write", path);
    if (status != PUNA_OK) {
        unlink(temporary);
        return status;
    }
    return puna_store_sync_folder(path, err);
}
