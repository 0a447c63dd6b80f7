/* reference.c - what -m may say, and which model is meant when it says nothing. */
#define _POSIX_C_SOURCE 200809L
#include "store/inside.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

static puna_status copy_text(char **out, const char *text, puna_error *err)
{
    *out = strdup(text);
    return *out ? PUNA_OK : puna_fail_memory(err, "the model's path", strlen(text) + 1);
}

/* Whether a reference that does not exist was surely meant as a path. */
static bool looks_like_path(const char *text)
{
    static const char *const ends[] = { ".gguf", ".bin", ".json", ".model", ".safetensors", ".xz" };
    size_t n = strlen(text);
    if (text[0] == '/' || text[0] == '.' || text[0] == '~' || (n && text[n - 1] == '/'))
        return true;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (n > strlen(ends[i]) && strcmp(text + n - strlen(ends[i]), ends[i]) == 0)
            return true;
    return false;
}

/* Whether a file of a folder is a model by itself; of a split one only its first file is. */
static bool is_model_file(const char *name)
{
    size_t n = strlen(name);
    if (n <= 5 || name[0] == '.' || strcmp(name + n - 5, ".gguf") != 0)
        return false;
    const char *part = n >= 20 ? name + n - 20 : ""; /* "-00002-of-00003.gguf" */
    bool is_part = part[0] == '-' && strspn(part + 1, "0123456789") == 5 && strncmp(part + 6, "-of-", 4) == 0;
    return !is_part || strncmp(part, "-00001", 6) == 0;
}

/* The model of a folder that holds exactly one; a folder with none is left to the library, which
 * finds a tokenizer there or says what it expected. */
static puna_status locate_in_folder(const char *folder, char **path, puna_error *err)
{
    char file[PUNA_STORE_MAX_PATH];
    size_t n_models = 0, n = strlen(folder);
    DIR *dir = opendir(folder);
    if (!dir)
        return puna_store_errno(err, "read", folder);
    puna_status status = PUNA_OK;
    const struct dirent *entry;
    while (status == PUNA_OK && (entry = readdir(dir)))
        if (is_model_file(entry->d_name) && n_models++ == 0)
            status = puna_store_join(file, err, "%s%s%s", folder, folder[n - 1] == '/' ? "" : "/", entry->d_name);
    closedir(dir);
    if (status == PUNA_OK && n_models > 1)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "model: %s: got a folder of %zu models, expected one; name its file",
                         folder, n_models);
    return status == PUNA_OK ? copy_text(path, n_models ? file : folder, err) : status;
}

puna_status puna_store_locate(const puna_store *store, const char *reference, char **path, puna_error *err)
{
    struct stat info;
    puna_store_model model;
    char file[PUNA_STORE_MAX_PATH];
    if (!*reference)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "model: got an empty name, expected a file, a folder, builtin:NAME "
                         "or a model of the store");
    if (strncmp(reference, "builtin:", 8) == 0)
        return copy_text(path, reference, err);
    if (stat(reference, &info) == 0)
        return S_ISDIR(info.st_mode) ? locate_in_folder(reference, path, err) : copy_text(path, reference, err);
    if (errno != ENOENT && errno != ENOTDIR)
        return puna_store_errno(err, "open", reference);
    if (looks_like_path(reference))
        return puna_fail(err, PUNA_ERR_NOT_FOUND, "model: %s: no such file or folder", reference);
    TRY(puna_store_find(store, reference, &model, err));
    TRY(puna_store_path(store, &model, file, err));
    if (stat(file, &info) != 0) {
        puna_fail(err, PUNA_ERR_NOT_FOUND, "store: %s:%s: its file is missing: %s", model.name, model.tag, file);
        return puna_hint(err, PUNA_ERR_NOT_FOUND, "puna models import FILE --name %s:%s", model.name, model.tag);
    }
    return copy_text(path, file, err);
}

puna_status puna_store_default(const puna_store *store, char **name, bool *chosen, puna_error *err)
{
    const char *variable = getenv("PUNA_MODEL");
    char path[PUNA_STORE_MAX_PATH], *text = NULL;
    size_t n = 0;
    *chosen = true;
    if (variable && *variable)
        return copy_text(name, variable, err);
    TRY(puna_store_join(path, err, "%s/default", store->folder));
    puna_status status = puna_file_read(&text, &n, path, PUNA_STORE_MAX_PATH, err);
    if (status == PUNA_OK) {
        text[strcspn(text, "\r\n")] = '\0';
        *name = text;
        return PUNA_OK;
    }
    *chosen = false;
    return status == PUNA_ERR_NOT_FOUND ? copy_text(name, PUNA_STORE_DEFAULT_MODEL, err) : status;
}
