/* file.h - whole files as read-only memory. Owns mapping and unmapping; refuses writing.
 * A mapped file that another process truncates raises SIGBUS like everywhere else; the store
 * replaces files by rename for that reason. */
#ifndef PUNA_BASE_FILE_H
#define PUNA_BASE_FILE_H

#include <stdio.h>

#include "base/status.h"

typedef struct puna_file {
    const unsigned char *data; /* NULL when size_bytes is 0 */
    size_t size_bytes;
    void *mapping;             /* what to unmap; NULL for memory owned elsewhere */
} puna_file;

/* Maps a regular file read-only. PUNA_ERR_NOT_FOUND when there is none; PUNA_ERR_FORMAT for
 * a folder or a device. */
puna_status puna_file_map(puna_file *file, const char *path, puna_error *err);
void puna_file_unmap(puna_file *file);

/* The bytes of a mapped file that are not needed soon: their memory is given back, and they come
 * again when they are read. Only for memory that puna_file_map mapped. */
void puna_file_release(const void *data, size_t size_bytes);

/* Reads a stream (a path, or "-" for standard input) of at most max bytes into fresh memory,
 * terminated; *n gets its length. Free with free(). */
puna_status puna_file_read(char **text, size_t *n, const char *path, size_t max, puna_error *err);

/* Opens root/name for reading, for trees like /proc that tests make up; NULL when that fails. */
FILE *puna_file_under(const char *root, const char *name);

#endif
