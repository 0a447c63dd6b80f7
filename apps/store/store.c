/* store.c - reading the store: folder, names, list, find. */
#define _POSIX_C_SOURCE 200809L
#include "store/inside.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/suggest.h"

enum { MAX_MODELS = 100000, MAX_PART = 80 }; /* a guard against a folder that is no store */

puna_status puna_store_join(char *path, puna_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(path, PUNA_STORE_MAX_PATH, format, args);
    va_end(args);
    if (n >= 0 && n < PUNA_STORE_MAX_PATH)
        return PUNA_OK;
    return puna_fail(err, PUNA_ERR_ARGUMENT, "store: path: got %d bytes, expected less than %d", n,
                     PUNA_STORE_MAX_PATH);
}

puna_status puna_store_errno(puna_error *err, const char *verb, const char *path)
{
    puna_status code = errno == ENOENT || errno == ENOTDIR ? PUNA_ERR_NOT_FOUND : PUNA_ERR_FAILED;
    return puna_fail(err, code, "cannot %s: %s: %s", verb, path, strerror(errno));
}

static puna_status find_folder(char *folder, const char *given, puna_error *err)
{
    const char *home = getenv("PUNA_HOME"), *data = getenv("XDG_DATA_HOME"), *user = getenv("HOME");
    if (given)
        return puna_store_join(folder, err, "%s", given);
    if (home && *home)
        return puna_store_join(folder, err, "%s", home);
    if (data && data[0] == '/')
        return puna_store_join(folder, err, "%s/puna", data);
    return puna_store_join(folder, err, "%s/.local/share/puna", user && *user ? user : "");
}

puna_status puna_store_open(puna_store **out, const char *folder, puna_error *err)
{
    puna_store *store = calloc(1, sizeof *store);
    if (!store)
        return puna_fail_memory(err, "store", sizeof *store);
    puna_status status = find_folder(store->folder, folder, err);
    if (status != PUNA_OK) {
        free(store);
        return status;
    }
    *out = store;
    return PUNA_OK;
}

void puna_store_close(puna_store *store)
{
    free(store);
}

const char *puna_store_folder(const puna_store *store)
{
    return store->folder;
}

static bool is_plain(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (!first && (c == '.' || c == '-'));
}

/* One part of a name: letters, digits, "_.-", not beginning with a dot or dash, and not ending
 * like a manifest, which would make folders and manifests collide. */
static bool is_part(const char *text, size_t n)
{
    if (n == 0 || n > MAX_PART || (n > 5 && strncasecmp(text + n - 5, ".json", 5) == 0))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!is_plain(text[i], i == 0))
            return false;
    return true;
}

puna_status puna_store_split(const char *reference, char *name, char *tag, puna_error *err)
{
    const char *colon = strchr(reference, ':'), *slash = strchr(reference, '/');
    size_t n = colon ? (size_t)(colon - reference) : strlen(reference);
    if (slash && slash >= reference + n)
        slash = NULL;
    size_t first = slash ? (size_t)(slash - reference) : n;
    bool good = is_part(reference, first) && (!slash || is_part(slash + 1, n - first - 1)) &&
                (!colon || is_part(colon + 1, strlen(colon + 1)));
    if (!good)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "model name: got '%s', expected name[:tag] or org/repo[:tag] of "
                         "letters, digits and _.-", reference);
    memcpy(name, reference, n);
    name[n] = '\0';
    snprintf(tag, PUNA_STORE_MAX_TAG + 1, "%s", colon ? colon + 1 : "");
    return PUNA_OK;
}

/* ---- list ---- */

typedef struct listing {
    puna_store_model *models;
    size_t n, capacity;
    bool lenient; /* leave broken manifests out */
} listing;

static puna_status list_add(listing *list, const char *path, puna_error *err)
{
    if (list->n == MAX_MODELS)
        return puna_fail(err, PUNA_ERR_FAILED, "store: %s: got more than %d manifests", path, MAX_MODELS);
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        puna_store_model *models = realloc(list->models, capacity * sizeof *models);
        if (!models)
            return puna_fail_memory(err, "the list of models", capacity * sizeof *models);
        list->models = models;
        list->capacity = capacity;
    }
    puna_status status = puna_store_manifest_read(path, &list->models[list->n], err);
    if (status == PUNA_OK)
        list->n++;
    else if (list->lenient || access(path, F_OK) != 0) /* or removed since the folder was read */
        status = PUNA_OK;
    return status;
}

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

/* models/ holds names, or organisations that hold names: two levels of folders, then manifests. */
static puna_status list_folder(listing *list, const char *folder, int depth, puna_error *err)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return errno == ENOENT ? PUNA_OK : puna_store_errno(err, "read", folder);
    puna_status status = PUNA_OK;
    const struct dirent *entry;
    while (status == PUNA_OK && (entry = readdir(dir))) {
        char path[PUNA_STORE_MAX_PATH];
        struct stat info;
        if (entry->d_name[0] == '.')
            continue;
        status = puna_store_join(path, err, "%s/%s", folder, entry->d_name);
        if (status != PUNA_OK || stat(path, &info) != 0)
            continue;
        if (S_ISDIR(info.st_mode) && depth < 2)
            status = list_folder(list, path, depth + 1, err);
        else if (S_ISREG(info.st_mode) && depth > 0 && ends_in(entry->d_name, ".json"))
            status = list_add(list, path, err);
    }
    closedir(dir);
    return status;
}

static int by_name(const void *a, const void *b)
{
    const puna_store_model *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : strcmp(x->tag, y->tag);
}

static puna_status list_models(const puna_store *store, bool lenient, puna_store_model **models, size_t *n,
                               puna_error *err)
{
    listing list = { .lenient = lenient };
    char folder[PUNA_STORE_MAX_PATH];
    TRY(puna_store_join(folder, err, "%s/models", store->folder));
    puna_status status = list_folder(&list, folder, 0, err);
    if (status != PUNA_OK) {
        free(list.models);
        return status;
    }
    if (list.n)
        qsort(list.models, list.n, sizeof *list.models, by_name);
    *models = list.models;
    *n = list.n;
    return PUNA_OK;
}

puna_status puna_store_list(const puna_store *store, puna_store_model **models, size_t *n, puna_error *err)
{
    return list_models(store, false, models, n, err);
}

/* ---- find ---- */

static puna_status not_found(const char *reference, const puna_store_model *models, size_t n, puna_error *err)
{
    const char **names = n ? calloc(2 * n, sizeof *names) : NULL;
    char(*whole)[PUNA_STORE_MAX_NAME + PUNA_STORE_MAX_TAG + 2] = n ? calloc(n, sizeof *whole) : NULL;
    const char *near = NULL;
    if (names && whole) {
        for (size_t i = 0; i < n; i++) {
            snprintf(whole[i], sizeof *whole, "%s:%s", models[i].name, models[i].tag);
            names[2 * i] = whole[i];
            names[2 * i + 1] = models[i].name;
        }
        near = puna_suggest(reference, names, 2 * n);
    }
    puna_fail(err, PUNA_ERR_NOT_FOUND, "model: got '%s', expected a file, a folder, builtin:NAME or a model of the "
              "store", reference);
    if (near)
        puna_hint(err, PUNA_ERR_NOT_FOUND, "-m %s", near);
    else
        puna_hint(err, PUNA_ERR_NOT_FOUND, "puna models ls, or add it: puna models import FILE --name %s", reference);
    free(names);
    free(whole);
    return PUNA_ERR_NOT_FOUND;
}

/* The model meant among those of the name: the tag, "latest" when none was given, or the only one. */
static const puna_store_model *choose(const puna_store_model *models, size_t n, const char *name, const char *tag,
                                      size_t *n_of_name)
{
    const puna_store_model *only = NULL;
    *n_of_name = 0;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(models[i].name, name) != 0)
            continue;
        if (strcasecmp(models[i].tag, tag[0] ? tag : "latest") == 0)
            return &models[i];
        only = &models[i];
        ++*n_of_name;
    }
    return *n_of_name == 1 && !tag[0] ? only : NULL;
}

puna_status puna_store_find(const puna_store *store, const char *reference, puna_store_model *model,
                            puna_error *err)
{
    char name[PUNA_STORE_MAX_NAME + 1], tag[PUNA_STORE_MAX_TAG + 1];
    puna_store_model *models = NULL;
    size_t n = 0, n_of_name = 0;
    puna_status status = puna_store_split(reference, name, tag, NULL);
    TRY(list_models(store, true, &models, &n, err));
    const puna_store_model *found = status == PUNA_OK ? choose(models, n, name, tag, &n_of_name) : NULL;
    status = PUNA_OK;
    if (found) {
        *model = *found;
    } else if (n_of_name > 1 && !tag[0]) {
        status = puna_fail(err, PUNA_ERR_NOT_FOUND, "model: got '%s' without a tag, expected one of its %zu",
                           reference, n_of_name);
        puna_hint(err, status, "puna models ls");
    } else {
        status = not_found(reference, models, n, err);
    }
    free(models);
    return status;
}

puna_status puna_store_path(const puna_store *store, const puna_store_model *model, char *path, puna_error *err)
{
    return puna_store_join(path, err, "%s/blobs/sha256-%s", store->folder, model->sha256);
}
