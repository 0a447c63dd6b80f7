/* model.c - puna_model: container, vocabulary, network and program opened together. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/map.h"
#include "engine/engine.h"

extern const unsigned char puna_builtin_stories260k[], puna_builtin_stories260k_end[];

static const puna_backend *const backends[] = { &puna_backend_cpu, &puna_backend_ref };

static const puna_backend *find_backend(const char *name)
{
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++)
        if (strcmp(backends[i]->name, name) == 0)
            return backends[i];
    return NULL;
}

/* The bytes of "builtin:NAME", or NULL. */
static const void *find_builtin(const char *name, size_t *size_bytes)
{
    if (strcmp(name, "stories260K") != 0)
        return NULL;
    *size_bytes = (size_t)(puna_builtin_stories260k_end - puna_builtin_stories260k);
    return puna_builtin_stories260k;
}

static uint64_t mix(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

/* Of names, shapes, encodings and a sample of every tensor's bytes: reading all of a large file
 * would cost more than opening it. */
static void fingerprint(puna_model *model)
{
    uint64_t h = 0xcbf29ce484222325u;
    const puna_container *c = model->container;
    for (size_t i = 0; c && i < puna_container_n_tensors(c); i++) {
        const puna_tensor *t = puna_container_tensor_at(c, i);
        size_t n = t->size_bytes < 64 ? (size_t)t->size_bytes : 64;
        h = mix(h, t->name, strlen(t->name));
        h = mix(h, t->ne, sizeof t->ne);
        h = mix(h, &t->format->id, sizeof t->format->id);
        for (uint64_t part = 0; n && part < 3; part++)
            h = mix(h, (const unsigned char *)t->data + (t->size_bytes - n) / 2 * part, n);
    }
    for (int32_t i = 0, n = puna_vocab_n(model->vocab); i < n; i += 1 + n / 256) {
        size_t length;
        const char *text = puna_vocab_text(model->vocab, i, &length);
        h = mix(h, text, length);
    }
    snprintf(model->fingerprint, sizeof model->fingerprint, "%016llx", (unsigned long long)h);
}

static void name_model(puna_model *model, const char *path)
{
    const char *text;
    size_t n = 0, n_path = strlen(path), from;
    while (n_path > 1 && path[n_path - 1] == '/') /* of a folder */
        n_path--;
    for (from = n_path; from > 0 && path[from - 1] != '/';)
        from--;
    if (model->container && puna_meta_text(puna_container_meta(model->container, "general.name"), &text, &n) && n)
        snprintf(model->name, sizeof model->name, "%.*s", n < 127 ? (int)n : 127, text);
    else
        snprintf(model->name, sizeof model->name, "%.*s", n_path - from < 127 ? (int)(n_path - from) : 127, path + from);
    for (char *at = model->name; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
}

/* A template that does not compile is no reason to refuse the model: asking for it says why. */
static puna_status read_template(puna_model *model, puna_error *err)
{
    const char *text;
    size_t n;
    if (!model->container || !puna_meta_text(puna_container_meta(model->container, "tokenizer.chat_template"), &text, &n) || !n)
        return PUNA_OK;
    model->chat_template = strndup(text, n);
    if (!model->chat_template)
        return puna_fail_memory(err, "chat template", n);
    if (puna_template_compile(&model->compiled, model->chat_template, strlen(model->chat_template), &model->template_error))
        model->compiled = NULL;
    return PUNA_OK;
}

/* A llama2.c file has no vocabulary in it: the option names one, or it lies beside the model. */
static puna_status vocab_beside(puna_model *model, const char *path, const puna_params *params, puna_error *err)
{
    const char *given = params->texts[PUNA_KEY_tokenizer];
    if (*given)
        return puna_vocab_open(&model->vocab, given, err);
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    int64_t n_vocab = 0;
    puna_meta_i64(puna_container_meta(model->container, "llama.vocab_size"), 0, &n_vocab);
    char beside[2][4096];
    snprintf(beside[0], sizeof beside[0], "%.*stok%lld.bin", folder, path, (long long)n_vocab);
    snprintf(beside[1], sizeof beside[1], "%.*stokenizer.bin", folder, path);
    for (int i = 0; i < 2; i++)
        if (puna_vocab_open(&model->vocab, beside[i], NULL) == PUNA_OK)
            return PUNA_OK;
    puna_fail(err, PUNA_ERR_NOT_FOUND, "tokenizer of %s: got none, expected %s or %s", path, beside[0], beside[1]);
    return puna_hint(err, PUNA_ERR_NOT_FOUND, "--tokenizer FILE");
}

static puna_status open_vocab(puna_model *model, const char *path, const puna_params *params, puna_error *err)
{
    if (!model->container)
        return puna_vocab_open(&model->vocab, path, err);
    if (puna_container_meta(model->container, "tokenizer.ggml.model"))
        return puna_vocab_from_container(&model->vocab, model->container, err);
    return vocab_beside(model, path, params, err);
}

/* No container and PUNA_OK for a folder. */
static puna_status open_container(puna_model *model, const char *path, puna_error *err)
{
    size_t size_bytes;
    if (strncmp(path, "builtin:", 8) == 0) {
        const void *data = find_builtin(path + 8, &size_bytes);
        if (!data)
            return puna_fail(err, PUNA_ERR_NOT_FOUND, "no such builtin model: %s: expected builtin:stories260K", path);
        return puna_container_open_memory(&model->container, data, size_bytes, path, err);
    }
    struct stat info;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return PUNA_OK; /* a folder with a tokenizer: read by the vocabulary */
    return puna_container_open(&model->container, path, err);
}

static bool is_gguf(const char *path)
{
    char magic[4] = { 0 };
    FILE *file = fopen(path, "rb");
    size_t n = file ? fread(magic, 1, sizeof magic, file) : 0;
    if (file)
        fclose(file);
    return n == sizeof magic && memcmp(magic, "GGUF", 4) == 0;
}

/* Anything that is no model may still be a tokenizer; if it is neither, what the model reader
 * said stands. */
static puna_status open_files(puna_model *model, const char *path, const puna_params *params, puna_error *err)
{
    puna_status status = open_container(model, path, err);
    if (status == PUNA_ERR_FORMAT && !is_gguf(path)) {
        puna_error second = { 0 };
        puna_status other = puna_vocab_open(&model->vocab, path, &second);
        size_t n = strlen(path);
        if (other && err && n > 5 && (strcmp(path + n - 5, ".json") == 0 || strcmp(path + n - 6, ".model") == 0))
            *err = second;
        return other ? status : PUNA_OK;
    }
    return status ? status : open_vocab(model, path, params, err);
}

static puna_status open_weights(puna_model *model, const puna_params *params, puna_error *err)
{
    model->backend = find_backend(params->texts[PUNA_KEY_backend]);
    if (!model->backend)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "backend: got %s, expected cpu or ref", params->texts[PUNA_KEY_backend]);
    TRY(puna_network_open(&model->net, model->container, params->texts[PUNA_KEY_arch_file],
                          (int32_t)puna_params_int(params, PUNA_KEY_ctx), err));
    model->has_weights = true;
    const char *repack = params->texts[PUNA_KEY_repack];
    puna_program_options options = { .isa = params->texts[PUNA_KEY_isa],
                                     .repack = strcmp(repack, "on") == 0    ? PUNA_REPACK_ON
                                               : strcmp(repack, "off") == 0 ? PUNA_REPACK_OFF
                                                                            : PUNA_REPACK_AUTO };
    return model->backend->program_open(&model->program, &model->net.plan, &options, err);
}

/* Where a model comes from: data when it is not NULL, else the file at path. */
typedef struct source {
    const char *path; /* or a name for messages */
    const void *data;
    size_t size_bytes;
} source;

static puna_status open_model(puna_model *model, const source *from, const puna_params *params, puna_error *err)
{
    if (from->data) {
        TRY(puna_container_open_memory(&model->container, from->data, from->size_bytes, from->path, err));
        TRY(open_vocab(model, from->path, params, err));
    } else {
        TRY(open_files(model, from->path, params, err));
    }
    name_model(model, from->path);
    TRY(read_template(model, err));
    /* Before weights are copied, which gives back what reading here and there has mapped. */
    fingerprint(model);
    if (model->container && puna_container_n_tensors(model->container) && !puna_params_int(params, PUNA_KEY_vocab_only))
        TRY(open_weights(model, params, err));
    return PUNA_OK;
}

static puna_status open_source(puna_model **out, const source *from, const puna_params *params, puna_error *err)
{
    *out = NULL;
    puna_model *model = calloc(1, sizeof *model);
    puna_params *defaults = params ? NULL : puna_params_new();
    if (!model || (!params && !defaults)) {
        free(model);
        return puna_fail_memory(err, "model", sizeof *model);
    }
    puna_status status = open_model(model, from, params ? params : defaults, err);
    puna_params_free(defaults);
    if (status)
        puna_model_free(model);
    else
        *out = model;
    return status;
}

puna_status puna_model_open(puna_model **out, const char *path, const puna_params *params, puna_error *err)
{
    return open_source(out, &(source){ .path = path }, params, err);
}

puna_status puna_model_open_memory(puna_model **out, const void *data, size_t size_bytes, const char *name,
                                   const puna_params *params, puna_error *err)
{
    return open_source(out, &(source){ .path = name, .data = data ? data : "", .size_bytes = data ? size_bytes : 0 },
                       params, err);
}

void puna_model_free(puna_model *model)
{
    if (!model)
        return;
    if (model->program)
        model->backend->program_close(model->program);
    if (model->has_weights)
        puna_network_close(&model->net);
    puna_template_free(model->compiled);
    free(model->chat_template);
    puna_vocab_free(model->vocab);
    puna_container_close(model->container);
    free(model);
}

const char *puna_model_name(const puna_model *model)
{
    return model->name;
}

const char *puna_model_fingerprint(const puna_model *model)
{
    return model->fingerprint;
}

int32_t puna_model_n_vocab(const puna_model *model)
{
    return model->has_weights ? model->net.hp.n_vocab : puna_vocab_n(model->vocab);
}

int32_t puna_model_n_ctx_train(const puna_model *model)
{
    return model->has_weights ? model->net.hp.n_ctx_train : 0;
}

int puna_model_has_weights(const puna_model *model)
{
    return model->has_weights;
}

const char *puna_model_chat_template(const puna_model *model)
{
    return model->chat_template;
}
