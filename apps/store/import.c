/* import.c - a file becomes a blob and a manifest. The digest is taken while copying, of the
 * bytes that were written; for a move or a link, of the file itself before it is renamed. */
#define _DEFAULT_SOURCE
#include "store/inside.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

enum { CHUNK = 1 << 20 };

typedef struct transfer {
    int from, to; /* to < 0: only take the digest */
    uint64_t total;
    const puna_store_import *import;
    const char *source, *target; /* for messages */
} transfer;

static bool write_all(int fd, const unsigned char *bytes, size_t n)
{
    while (n) {
        ssize_t put = write(fd, bytes, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        bytes += put;
        n -= (size_t)put;
    }
    return true;
}

static puna_status pump(const transfer *t, EVP_MD_CTX *digest, unsigned char *chunk, uint64_t *done,
                        puna_error *err)
{
    for (;;) {
        ssize_t got = read(t->from, chunk, CHUNK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return puna_store_errno(err, "read", t->source);
        if (got == 0)
            return PUNA_OK;
        if (EVP_DigestUpdate(digest, chunk, (size_t)got) != 1)
            return puna_fail(err, PUNA_ERR_FAILED, "import: %s: SHA-256 failed", t->source);
        if (t->to >= 0 && !write_all(t->to, chunk, (size_t)got))
            return puna_store_errno(err, "write", t->target);
        *done += (uint64_t)got;
        if (t->import->progress && t->import->progress(t->import->user, *done, t->total))
            return puna_fail(err, PUNA_ERR_INTERRUPTED, "import: %s: interrupted", t->source);
    }
}

static puna_status digest_of(const transfer *t, char *hex, uint64_t *n, puna_error *err)
{
    unsigned char raw[EVP_MAX_MD_SIZE], *chunk = malloc(CHUNK);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    puna_status status = PUNA_OK;
    *n = 0;
    if (!chunk || !digest || EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1)
        status = puna_fail_memory(err, "SHA-256", CHUNK);
    if (status == PUNA_OK)
        status = pump(t, digest, chunk, n, err);
    if (status == PUNA_OK && EVP_DigestFinal_ex(digest, raw, NULL) != 1)
        status = puna_fail(err, PUNA_ERR_FAILED, "import: %s: SHA-256 failed", t->source);
    for (size_t i = 0; status == PUNA_OK && i < PUNA_STORE_HEX / 2; i++)
        snprintf(hex + 2 * i, 3, "%02x", raw[i]);
    EVP_MD_CTX_free(digest);
    free(chunk);
    return status;
}

static puna_status check_kind(int fd, const char *file, puna_error *err)
{
    char magic[4] = { 0 };
    if (pread(fd, magic, sizeof magic, 0) == 4 && memcmp(magic, "GGUF", 4) == 0)
        return PUNA_OK;
    puna_fail(err, PUNA_ERR_FORMAT, "import: %s: got a file that is not GGUF, expected one", file);
    return puna_hint(err, PUNA_ERR_FORMAT, "use it by its path: puna show -m %s", file);
}

static puna_status check_digest(const puna_store_import *import, const char *got, puna_error *err)
{
    if (import->sha256 && strcasecmp(import->sha256, got) != 0)
        return puna_fail(err, PUNA_ERR_FORMAT, "import: %s: got sha256 %s, expected %s", import->file, got,
                         import->sha256);
    return PUNA_OK;
}

/* A name out of the file's: its stem in lower case, other bytes as '-'. */
static void name_of_file(const char *file, char *name, size_t size)
{
    const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file;
    const char *dot = strrchr(base, '.');
    size_t n = dot && dot > base ? (size_t)(dot - base) : strlen(base);
    if (n >= size)
        n = size - 1;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)base[i];
        name[i] = isalnum(c) && c < 0x80 ? (char)tolower(c) : c == '_' || (i && (c == '.' || c == '-')) ? (char)c : '-';
    }
    name[n] = '\0';
    if (name[0] == '-')
        name[0] = '_';
}

static puna_status describe(const puna_store_import *import, puna_store_model *model, puna_error *err)
{
    char stem[81], *full = realpath(import->file, NULL);
    time_t now = time(NULL);
    struct tm utc;
    *model = (puna_store_model){ .format = "gguf" };
    name_of_file(import->file, stem, sizeof stem);
    snprintf(model->source, sizeof model->source, "%s", full ? full : import->file);
    snprintf(model->licence, sizeof model->licence, "%s", import->licence ? import->licence : "");
    free(full);
    gmtime_r(&now, &utc);
    strftime(model->imported_at, sizeof model->imported_at, "%Y-%m-%dT%H:%M:%SZ", &utc);
    TRY(puna_store_split(import->name ? import->name : stem, model->name, model->tag, err));
    if (!model->tag[0])
        snprintf(model->tag, sizeof model->tag, "latest");
    return PUNA_OK;
}

/* Copies into a temporary file beside the blobs and renames it to its digest. */
static puna_status place_copy(const puna_store *store, const transfer *given, puna_store_model *model,
                              puna_error *err)
{
    char temporary[PUNA_STORE_MAX_PATH], path[PUNA_STORE_MAX_PATH];
    transfer t = *given;
    TRY(puna_store_join(temporary, err, "%s/blobs/import-%ld.partial", store->folder, (long)getpid()));
    t.to = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (t.to < 0)
        return puna_store_errno(err, "write", temporary);
    t.target = temporary;
    puna_status status = digest_of(&t, model->sha256, &model->size, err);
    if (status == PUNA_OK)
        status = check_digest(t.import, model->sha256, err);
    if (status == PUNA_OK && fsync(t.to) != 0)
        status = puna_store_errno(err, "write", temporary);
    if (close(t.to) != 0 && status == PUNA_OK)
        status = puna_store_errno(err, "write", temporary);
    if (status == PUNA_OK)
        status = puna_store_path(store, model, path, err);
    if (status == PUNA_OK && rename(temporary, path) != 0)
        status = puna_store_errno(err, "write", path);
    if (status != PUNA_OK)
        unlink(temporary);
    return status;
}

/* Takes the digest first, then renames or links the file itself. A file that is elsewhere (another
 * file system) or may not be linked is copied. */
static puna_status place_itself(const puna_store *store, const transfer *t, puna_store_model *model,
                                puna_error *err)
{
    char path[PUNA_STORE_MAX_PATH];
    const char *file = t->import->file;
    TRY(digest_of(t, model->sha256, &model->size, err));
    TRY(check_digest(t->import, model->sha256, err));
    TRY(puna_store_path(store, model, path, err));
    struct stat info;
    bool is_link = lstat(file, &info) == 0 && S_ISLNK(info.st_mode); /* to be moved is what it points to: a copy */
    if (t->import->how == PUNA_STORE_MOVE && !is_link && rename(file, path) == 0)
        return PUNA_OK;
    if (t->import->how == PUNA_STORE_LINK &&
        (linkat(AT_FDCWD, file, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 || errno == EEXIST))
        return PUNA_OK;
    if (lseek(t->from, 0, SEEK_SET) != 0)
        return puna_store_errno(err, "read", file);
    TRY(place_copy(store, t, model, err));
    if (t->import->how == PUNA_STORE_MOVE && unlink(file) != 0)
        return puna_store_errno(err, "remove", file);
    return PUNA_OK;
}

static puna_status add_open_file(puna_store *store, const transfer *t, puna_store_model *model, puna_error *err)
{
    int lock;
    char path[PUNA_STORE_MAX_PATH];
    TRY(check_kind(t->from, t->import->file, err));
    TRY(puna_store_lock(store, &lock, err));
    puna_status status = t->import->how == PUNA_STORE_COPY ? place_copy(store, t, model, err)
                                                           : place_itself(store, t, model, err);
    if (status == PUNA_OK)
        status = puna_store_path(store, model, path, err);
    if (status == PUNA_OK)
        status = puna_store_sync_folder(path, err);
    if (status == PUNA_OK)
        status = puna_store_manifest_write(store, model, err);
    close(lock);
    return status;
}

puna_status puna_store_add(puna_store *store, const puna_store_import *import, puna_store_model *model,
                           puna_error *err)
{
    struct stat info;
    TRY(describe(import, model, err));
    int fd = open(import->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return puna_store_errno(err, "open", import->file);
    puna_status status = PUNA_OK;
    if (fstat(fd, &info) != 0)
        status = puna_store_errno(err, "read", import->file);
    else if (!S_ISREG(info.st_mode))
        status = puna_fail(err, PUNA_ERR_FORMAT, "import: %s: got a folder or device, expected a file", import->file);
    if (status == PUNA_OK) {
        transfer t = { .from = fd, .to = -1, .total = (uint64_t)info.st_size, .import = import,
                       .source = import->file };
        status = add_open_file(store, &t, model, err);
    }
    close(fd);
    return status;
}
