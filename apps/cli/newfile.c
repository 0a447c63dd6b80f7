/* newfile.c - writing a file under another name first. */
#define _DEFAULT_SOURCE
#include "cli/newfile.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

puna_status puna_new_file_fail(const puna_new_file *file, puna_error *err)
{
    return puna_fail(err, PUNA_ERR_FAILED, "cannot write: %s: %s", file->path, strerror(errno));
}

puna_status puna_new_file_open(puna_new_file *file, const char *what, const char *path, puna_error *err)
{
    struct stat info;
    *file = (puna_new_file){ .path = path };
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return puna_fail(err, PUNA_ERR_ARGUMENT, "%s: got %s, which is no regular file", what, path);
    int n = snprintf(file->part, sizeof file->part, "%s.part", path);
    if (n < 0 || (size_t)n >= sizeof file->part)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "%s: got a path of %zu bytes, expected at most %zu", what, strlen(path),
                         sizeof file->part - 6);
    file->stream = fopen(file->part, "wb");
    return file->stream ? PUNA_OK : puna_new_file_fail(file, err);
}

puna_status puna_new_file_close(puna_new_file *file, puna_status status, puna_error *err)
{
    bool written = !ferror(file->stream);
    written = fclose(file->stream) == 0 && written;
    if (status == PUNA_OK && (!written || rename(file->part, file->path) != 0))
        status = puna_new_file_fail(file, err);
    if (status != PUNA_OK)
        unlink(file->part);
    return status;
}
