/* open.c - which kind of vocabulary a file or folder is, found by content. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "token/internal.h"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* JSON starts with '{', a SentencePiece model with its first piece (field 1, length-delimited),
 * llama2.c's file with the longest token's length. */
static puna_status read_any(puna_vocab *v, const unsigned char *data, size_t n, const char *name,
                            puna_error *err)
{
    size_t at = 0;
    while (at < n && (data[at] == ' ' || data[at] == '\n' || data[at] == '\r' || data[at] == '\t'))
        at++;
    if (at < n && data[at] == '{')
        return puna_vocab_read_json(v, (const char *)data, n, name, err);
    if (n > 8 && data[0] == 0x0a && !(data[1] == 0 && data[2] == 0 && data[3] == 0))
        return puna_vocab_read_sentencepiece(v, data, n, name, err);
    if (n > 8 && data[2] == 0 && data[3] == 0)
        return puna_vocab_read_llama2c(v, data, n, name, err);
    if (puna_vocab_are_ranks((const char *)data, n))
        return puna_vocab_read_ranks(v, (const char *)data, n, name, err);
    return puna_fail(
        err, PUNA_ERR_FORMAT,
        "%s: not a GGUF file, tokenizer.json, SentencePiece model, list of ranks or llama2.c tokenizer",
        name);
}

puna_status puna_vocab_open_memory(puna_vocab **out, const void *data, size_t size_bytes, const char *name,
                                   puna_error *err)
{
    *out = NULL;
    puna_vocab *v = puna_vocab_new();
    if (!v)
        return puna_fail_memory(err, "vocabulary", sizeof *v);
    const char *copy = puna_arena_copy(&v->arena, data, size_bytes);
    puna_status status = copy ? read_any(v, (const unsigned char *)copy, size_bytes, name, err)
                              : puna_fail_memory(err, "vocabulary", size_bytes);
    if (status == PUNA_OK)
        *out = v;
    else
        puna_vocab_free(v);
    return status;
}

/* tokenizer_config.json beside a tokenizer.json says which tokens are BOS and EOS. */
static void read_beside(puna_vocab *v, const char *path)
{
    char beside[4096];
    int folder = (int)(base_name(path) - path);
    int n = snprintf(beside, sizeof beside, "%.*stokenizer_config.json", folder, path);
    char *text = NULL;
    size_t n_text = 0;
    if (n <= 0 || (size_t)n >= sizeof beside)
        return;
    if (puna_file_read(&text, &n_text, beside, PUNA_MAX_TEMPLATE_BYTES * 16, NULL) == PUNA_OK)
        puna_vocab_read_config(v, text, n_text);
    free(text);
}

static puna_status open_container(puna_vocab **out, const char *path, puna_error *err)
{
    puna_container *container = NULL;
    TRY(puna_container_open(&container, path, err));
    puna_status status = puna_vocab_from_container(out, container, err);
    if (status != PUNA_OK)
        puna_container_close(container);
    else
        (*out)->container = container;
    return status;
}

static puna_status open_file(puna_vocab **out, const char *path, puna_error *err)
{
    puna_file file = { 0 };
    TRY(puna_file_map(&file, path, err));
    if (file.size_bytes >= 4 && memcmp(file.data, "GGUF", 4) == 0) {
        puna_file_unmap(&file);
        return open_container(out, path, err);
    }
    puna_vocab *v = puna_vocab_new();
    if (!v) {
        puna_file_unmap(&file);
        return puna_fail_memory(err, "vocabulary", sizeof *v);
    }
    v->file = file;
    puna_status status = read_any(v, file.data, file.size_bytes, base_name(path), err);
    if (status != PUNA_OK) {
        puna_vocab_free(v);
        return status;
    }
    if (v->has_template)
        read_beside(v, path);
    *out = v;
    return PUNA_OK;
}

puna_status puna_vocab_open(puna_vocab **out, const char *path, puna_error *err)
{
    static const char *const names[] = { "tokenizer.json", "tokenizer.model", "spiece.model",
                                         "tokenizer.bin" };
    struct stat info;
    *out = NULL;
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return open_file(out, path, err);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char file[4096];
        int n = snprintf(file, sizeof file, "%s/%s", path, names[i]);
        if (n > 0 && (size_t)n < sizeof file && stat(file, &info) == 0)
            return open_file(out, file, err);
    }
    return puna_fail(
        err, PUNA_ERR_NOT_FOUND,
        "vocabulary: %s: expected tokenizer.json, tokenizer.model, spiece.model or tokenizer.bin", path);
}
