/* write.c - changing the store: lock, import, remove, sweep, and what the disk holds. */
#define _DEFAULT_SOURCE
#include "store/inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

puna_status puna_store_make_folders(const char *path, puna_error *err)
{
    char folder[PUNA_STORE_MAX_PATH];
    TRY(puna_store_join(folder, err, "%s", path));
    for (char *at = folder + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (mkdir(folder, 0755) != 0 && errno != EEXIST)
            return puna_store_errno(err, "create", folder);
        *at = '/';
    }
    return PUNA_OK;
}

puna_status puna_store_lock(const puna_store *store, int *lock, puna_error *err)
{
    char path[PUNA_STORE_MAX_PATH];
    TRY(puna_store_join(path, err, "%s/blobs/.", store->folder));
    TRY(puna_store_make_folders(path, err));
    TRY(puna_store_join(path, err, "%s/.lock", store->folder));
    *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (*lock < 0)
        return puna_store_errno(err, "open", path);
    while (flock(*lock, LOCK_EX) != 0) {
        if (errno == EINTR)
            continue;
        close(*lock);
        return puna_store_errno(err, "lock", path);
    }
    return PUNA_OK;
}

puna_status puna_store_sync_folder(const char *path, puna_error *err)
{
    char folder[PUNA_STORE_MAX_PATH];
    TRY(puna_store_join(folder, err, "%s", path));
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return puna_store_errno(err, "open", folder);
    bool good = fsync(fd) == 0 || errno == EINVAL; /* EINVAL: a file system that has no such thing */
    close(fd);
    return good ? PUNA_OK : puna_store_errno(err, "write", folder);
}

/* ---- what the disk holds ---- */

static int by_size(const void *a, const void *b)
{
    const puna_store_blob *x = a, *y = b;
    if (x->size != y->size)
        return x->size < y->size ? 1 : -1;
    return strcmp(x->file, y->file);
}

static puna_status read_blobs(DIR *dir, puna_store_blob **blobs, size_t *n, puna_error *err)
{
    size_t capacity = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        struct stat info;
        if (entry->d_name[0] == '.' || fstatat(dirfd(dir), entry->d_name, &info, 0) != 0 || !S_ISREG(info.st_mode))
            continue;
        if (*n == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            puna_store_blob *grown = realloc(*blobs, capacity * sizeof *grown);
            if (!grown)
                return puna_fail_memory(err, "the list of files", capacity * sizeof *grown);
            *blobs = grown;
        }
        puna_store_blob *blob = &(*blobs)[(*n)++];
        *blob = (puna_store_blob){ .size = (uint64_t)info.st_size };
        snprintf(blob->file, sizeof blob->file, "%s", entry->d_name);
    }
    return PUNA_OK;
}

static void count_models(puna_store_blob *blobs, size_t n_blobs, const puna_store_model *models, size_t n_models)
{
    for (size_t i = 0; i < n_blobs; i++) {
        for (size_t j = 0; j < n_models; j++) {
            if (strncmp(blobs[i].file, "sha256-", 7) != 0 || strcmp(blobs[i].file + 7, models[j].sha256) != 0)
                continue;
            if (blobs[i].n_models++ == 0)
                snprintf(blobs[i].first_model, sizeof blobs[i].first_model, "%s:%s", models[j].name, models[j].tag);
        }
    }
}

puna_status puna_store_blobs(const puna_store *store, puna_store_blob **blobs, size_t *n, puna_error *err)
{
    char folder[PUNA_STORE_MAX_PATH];
    puna_store_model *models = NULL;
    size_t n_models = 0;
    *blobs = NULL;
    *n = 0;
    TRY(puna_store_join(folder, err, "%s/blobs", store->folder));
    TRY(puna_store_list(store, &models, &n_models, err));
    DIR *dir = opendir(folder);
    puna_status status = PUNA_OK;
    if (dir)
        status = read_blobs(dir, blobs, n, err);
    else if (errno != ENOENT)
        status = puna_store_errno(err, "read", folder);
    if (dir)
        closedir(dir);
    if (status == PUNA_OK) {
        count_models(*blobs, *n, models, n_models);
        if (*n)
            qsort(*blobs, *n, sizeof **blobs, by_size);
    } else {
        free(*blobs);
        *blobs = NULL;
    }
    free(models);
    return status;
}

/* ---- removing ---- */

/* Removes the files of blobs/ that nothing refers to; of all, or only the one called `only`. */
static puna_status sweep(puna_store *store, const char *only, size_t *n_removed, uint64_t *freed, puna_error *err)
{
    puna_store_blob *blobs;
    size_t n;
    TRY(puna_store_blobs(store, &blobs, &n, err));
    puna_status status = PUNA_OK;
    for (size_t i = 0; i < n && status == PUNA_OK; i++) {
        char path[PUNA_STORE_MAX_PATH];
        if (blobs[i].n_models || (only && strcmp(blobs[i].file, only) != 0))
            continue;
        status = puna_store_join(path, err, "%s/blobs/%s", store->folder, blobs[i].file);
        if (status == PUNA_OK && unlink(path) != 0)
            status = puna_store_errno(err, "remove", path);
        if (status == PUNA_OK) {
            *freed += blobs[i].size;
            ++*n_removed;
        }
    }
    free(blobs);
    return status;
}

static puna_status remove_locked(puna_store *store, const char *name, puna_store_model *model, uint64_t *freed,
                                 puna_error *err)
{
    char path[PUNA_STORE_MAX_PATH], blob[PUNA_STORE_HEX + 8];
    size_t n = 0;
    TRY(puna_store_find(store, name, model, err));
    TRY(puna_store_join(path, err, "%s/models/%s/%s.json", store->folder, model->name, model->tag));
    if (unlink(path) != 0)
        return puna_store_errno(err, "remove", path);
    /* Folders that became empty go too; one that is not empty stays, which is no failure. */
    for (int i = 0; i < (strchr(model->name, '/') ? 2 : 1); i++) {
        *strrchr(path, '/') = '\0';
        if (rmdir(path) != 0)
            break;
    }
    snprintf(blob, sizeof blob, "sha256-%s", model->sha256);
    return sweep(store, blob, &n, freed, err);
}

puna_status puna_store_remove(puna_store *store, const char *name, puna_store_model *removed, uint64_t *freed,
                              puna_error *err)
{
    int lock;
    *freed = 0;
    TRY(puna_store_find(store, name, removed, err)); /* nothing is created for a model that is not there */
    TRY(puna_store_lock(store, &lock, err));
    puna_status status = remove_locked(store, name, removed, freed, err);
    close(lock);
    return status;
}

puna_status puna_store_sweep(puna_store *store, size_t *n, uint64_t *freed, puna_error *err)
{
    int lock;
    *n = 0;
    *freed = 0;
    TRY(puna_store_lock(store, &lock, err));
    puna_status status = sweep(store, NULL, n, freed, err);
    close(lock);
    return status;
}
