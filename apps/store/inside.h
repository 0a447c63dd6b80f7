/* inside.h - what the files of apps/store share. */
#ifndef PUNA_STORE_INSIDE_H
#define PUNA_STORE_INSIDE_H

#include "store/store.h"

struct puna_store {
    char folder[PUNA_STORE_MAX_PATH];
};

/* folder/format..., PUNA_ERR_ARGUMENT when longer than PUNA_STORE_MAX_PATH. */
puna_status puna_store_join(char *path, puna_error *err, const char *format, ...) PUNA_PRINTF(3, 4);
/* The message of errno for a path; ENOENT is PUNA_ERR_NOT_FOUND. */
puna_status puna_store_errno(puna_error *err, const char *verb, const char *path);

/* name[:tag] into its checked parts; an absent tag is "". */
puna_status puna_store_split(const char *reference, char *name, char *tag, puna_error *err);

/* ---- manifests (manifest.c) ---- */
puna_status puna_store_manifest_read(const char *path, puna_store_model *model, puna_error *err);
puna_status puna_store_manifest_write(const puna_store *store, const puna_store_model *model, puna_error *err);

/* ---- writing (write.c) ---- */
/* Folders of a path, as far as they are missing; the last part is taken as a file. */
puna_status puna_store_make_folders(const char *path, puna_error *err);
/* The exclusive lock of the store, creating the store: a descriptor to close. */
puna_status puna_store_lock(const puna_store *store, int *lock, puna_error *err);
/* fsync a file's folder, so that a rename survives a power cut. */
puna_status puna_store_sync_folder(const char *path, puna_error *err);

#endif
