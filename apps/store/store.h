/* store.h - the models of this user: manifests that name files by their SHA-256.
 *
 *   $PUNA_HOME, else $XDG_DATA_HOME/puna, else ~/.local/share/puna
 *     blobs/sha256-<hex>          the files
 *     models/<name>/<tag>.json    one manifest a model; name may be org/repo
 *     default                     the name of the default model, optional
 *
 * Files appear whole or not at all (temporary file, fsync, rename); writers hold a lock, readers
 * need none. Refuses: downloading, models of several files. Any number of processes at once. */
#ifndef PUNA_STORE_STORE_H
#define PUNA_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* What `make run` imports, and what is used when nothing else is named. */
#define PUNA_STORE_DEFAULT_MODEL "smollm2:135m-instruct-q4_1"

enum {
    PUNA_STORE_MAX_NAME = 200, /* org/repo; each part at most 80 */
    PUNA_STORE_MAX_TAG = 80,
    PUNA_STORE_MAX_PATH = 4096,
    PUNA_STORE_HEX = 64
};

typedef struct puna_store puna_store;

/* A manifest. */
typedef struct puna_store_model {
    char name[PUNA_STORE_MAX_NAME + 1];
    char tag[PUNA_STORE_MAX_TAG + 1];
    char sha256[PUNA_STORE_HEX + 1];
    char format[32];       /* "gguf" */
    char source[1024];     /* where it came from */
    char licence[128];     /* as the file says, or "" */
    char imported_at[32];  /* 2026-01-31T12:00:00Z */
    uint64_t size;         /* bytes */
} puna_store_model;

/* A file of blobs/. */
typedef struct puna_store_blob {
    char file[256];          /* its name in blobs/ */
    uint64_t size;
    size_t n_models;         /* manifests that refer to it; 0: an orphan */
    char first_model[PUNA_STORE_MAX_NAME + PUNA_STORE_MAX_TAG + 2];
} puna_store_blob;

/* folder NULL: the user's. Nothing is created before the first write. */
puna_status puna_store_open(puna_store **out, const char *folder, puna_error *err);
void puna_store_close(puna_store *store);
const char *puna_store_folder(const puna_store *store);

/* Every model, by name then tag, in fresh memory (free). PUNA_ERR_FORMAT at a broken manifest; finding
 * a model passes over broken ones of others. */
puna_status puna_store_list(const puna_store *store, puna_store_model **models, size_t *n, puna_error *err);
/* The model called name[:tag]. Without a tag: "latest", else the only one. A tag is compared without
 * case. PUNA_ERR_NOT_FOUND with the nearest name as the hint. */
puna_status puna_store_find(const puna_store *store, const char *name, puna_store_model *model, puna_error *err);
/* The path of a model's file; path has PUNA_STORE_MAX_PATH bytes. */
puna_status puna_store_path(const puna_store *store, const puna_store_model *model, char *path, puna_error *err);

/* What -m accepts, to something puna_model_open takes, in fresh memory: builtin:NAME, a file or a
 * folder that exists, else a name of the store. */
puna_status puna_store_locate(const puna_store *store, const char *reference, char **path, puna_error *err);
/* The default model's name in fresh memory: $PUNA_MODEL, the file `default`, or the constant;
 * *chosen tells that the user named it. */
puna_status puna_store_default(const puna_store *store, char **name, bool *chosen, puna_error *err);

typedef enum puna_store_how { PUNA_STORE_COPY = 0, PUNA_STORE_MOVE = 1, PUNA_STORE_LINK = 2 } puna_store_how;

/* Bytes done of all; non-zero stops with PUNA_ERR_INTERRUPTED. */
typedef int puna_store_progress_fn(void *user, uint64_t done, uint64_t total);

typedef struct puna_store_import {
    const char *file;
    const char *name;     /* name[:tag]; NULL: from the file's name */
    const char *sha256;   /* expected digest in hex, or NULL */
    const char *licence;  /* or NULL */
    puna_store_how how;   /* a link that is not possible becomes a copy */
    puna_store_progress_fn *progress; /* may be NULL */
    void *user;
} puna_store_import;

/* Adds a GGUF file, replacing a model of that name. The digest is taken of the bytes stored. On
 * failure nothing has changed. */
puna_status puna_store_add(puna_store *store, const puna_store_import *import, puna_store_model *model,
                           puna_error *err);

/* Removes one model; its file too when no other refers to it: *freed bytes. */
puna_status puna_store_remove(puna_store *store, const char *name, puna_store_model *removed, uint64_t *freed,
                              puna_error *err);
/* Removes the files that no manifest refers to, and unfinished ones: *n of them, *freed bytes. */
puna_status puna_store_sweep(puna_store *store, size_t *n, uint64_t *freed, puna_error *err);

/* Every file of blobs/, largest first, in fresh memory (free). */
puna_status puna_store_blobs(const puna_store *store, puna_store_blob **blobs, size_t *n, puna_error *err);

#endif
