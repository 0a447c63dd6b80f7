/* file.c - mapping and reading files. */
#define _DEFAULT_SOURCE
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static puna_status fail_errno(puna_error *err, const char *verb, const char *path)
{
    puna_status code = errno == ENOENT || errno == ENOTDIR ? PUNA_ERR_NOT_FOUND : PUNA_ERR_FAILED;
    return puna_fail(err, code, "cannot %s: %s: %s", verb, path, strerror(errno));
}

static puna_status map_open(puna_file *file, int fd, const char *path, puna_error *err)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return fail_errno(err, "read", path);
    if (!S_ISREG(info.st_mode))
        return puna_fail(err, PUNA_ERR_FORMAT, "not a regular file: %s", path);
    file->size_bytes = (size_t)info.st_size;
    if (file->size_bytes == 0)
        return PUNA_OK;
    void *at = mmap(NULL, file->size_bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return fail_errno(err, "map", path);
    file->data = at;
    file->mapping = at;
    return PUNA_OK;
}

puna_status puna_file_map(puna_file *file, const char *path, puna_error *err)
{
    *file = (puna_file){ 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "open", path);
    puna_status status = map_open(file, fd, path, err);
    close(fd);
    return status;
}

void puna_file_unmap(puna_file *file)
{
    if (file->mapping)
        munmap(file->mapping, file->size_bytes);
    *file = (puna_file){ 0 };
}

void puna_file_release(const void *data, size_t size_bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = ((uintptr_t)data + page - 1) / page * page;
    const uintptr_t end = ((uintptr_t)data + size_bytes) / page * page;
    if (end > begin)
        madvise((void *)begin, end - begin, MADV_DONTNEED);
}

static puna_status read_all(char **text, size_t *n_out, FILE *stream, const char *path,
                            size_t max, puna_error *err)
{
    size_t capacity = 1 << 16, n = 0;
    char *data = malloc(capacity);
    while (data) {
        n += fread(data + n, 1, capacity - 1 - n, stream);
        if (n < capacity - 1)
            break;
        if (n > max) {
            free(data);
            return puna_fail(err, PUNA_ERR_ARGUMENT, "%s: got more than %zu bytes, the maximum",
                             path, max);
        }
        capacity *= 2;
        char *grown = realloc(data, capacity);
        if (!grown)
            free(data);
        data = grown;
    }
    if (!data)
        return puna_fail_memory(err, path, capacity);
    if (ferror(stream)) {
        free(data);
        return fail_errno(err, "read", path);
    }
    if (n > max) {
        free(data);
        return puna_fail(err, PUNA_ERR_ARGUMENT, "%s: got %zu bytes, at most %zu", path, n, max);
    }
    data[n] = '\0';
    *text = data;
    *n_out = n;
    return PUNA_OK;
}

puna_status puna_file_read(char **text, size_t *n, const char *path, size_t max, puna_error *err)
{
    int from_stdin = strcmp(path, "-") == 0;
    FILE *stream = from_stdin ? stdin : fopen(path, "rb");
    if (!stream)
        return fail_errno(err, "open", path);
    *n = 0;
    puna_status status = read_all(text, n, stream, path, max, err);
    if (!from_stdin)
        fclose(stream);
    return status;
}

FILE *puna_file_under(const char *root, const char *name)
{
    char path[4500];
    int n = snprintf(path, sizeof path, "%s/%s", root, name);
    return n > 0 && n < (int)sizeof path ? fopen(path, "re") : NULL;
}
