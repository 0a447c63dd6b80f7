/* newfile.h - a file that appears whole or not at all: written beside its place, then renamed.
 * Refuses to replace anything but a regular file. */
#ifndef PUNA_CLI_NEWFILE_H
#define PUNA_CLI_NEWFILE_H

#include <stdio.h>

#include "base/status.h"

enum { PUNA_NEW_FILE_MAX_PATH = 4096 };

typedef struct puna_new_file {
    FILE *stream;
    const char *path; /* the caller's */
    char part[PUNA_NEW_FILE_MAX_PATH];
} puna_new_file;

/* what: the option that named it, for messages. */
puna_status puna_new_file_open(puna_new_file *file, const char *what, const char *path, puna_error *err);
/* Puts the file in its place when status is PUNA_OK and everything could be written, else removes what
 * there is of it. Returns status, or the failure. */
puna_status puna_new_file_close(puna_new_file *file, puna_status status, puna_error *err);
/* The failure of the last write. */
puna_status puna_new_file_fail(const puna_new_file *file, puna_error *err);

#endif
