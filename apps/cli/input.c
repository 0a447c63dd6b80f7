/* input.c - where a command's text and model come from. */
#define _POSIX_C_SOURCE 200809L
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/limits.h"
#include "store/store.h"

static puna_status join(const puna_cli *cli, char **text, size_t *n, puna_error *err)
{
    puna_buf joined = puna_buf_make(PUNA_MAX_TEXT_BYTES);
    for (size_t i = 0; i < cli->n_operands; i++) {
        if (i)
            puna_buf_add_byte(&joined, ' ');
        puna_buf_add_text(&joined, cli->operands[i]);
    }
    *n = joined.n;
    *text = puna_buf_take(&joined);
    return *text ? PUNA_OK : puna_fail(err, PUNA_ERR_MEMORY, "out of memory: the text");
}

puna_status puna_input_text(const puna_cli *cli, char **text, size_t *n, puna_error *err)
{
    const char *file = cli->flags[PUNA_FLAG_file];
    const char *command = puna_commands[cli->command].name;
    if (file && cli->n_operands)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "%s: got both -f %s and '%s', expected one text", command,
                         file, cli->operands[0]);
    if (cli->n_operands)
        return join(cli, text, n, err);
    if (!file && isatty(STDIN_FILENO)) {
        puna_fail(err, PUNA_ERR_ARGUMENT, "%s: text: got none, expected arguments, -f FILE or standard input",
                  command);
        return puna_hint(err, PUNA_ERR_ARGUMENT, "puna help %s", command);
    }
    return puna_file_read(text, n, file ? file : "-", PUNA_MAX_TEXT_BYTES, err);
}

/* The default model when nothing names one: the store's, else the one inside the program. */
static puna_status default_model(puna_cli *cli, puna_store *store, char **path, puna_error *err)
{
    char *name = NULL;
    bool chosen = false;
    TRY(puna_store_default(store, &name, &chosen, err));
    puna_status status = puna_store_locate(store, name, path, err);
    if (status == PUNA_ERR_NOT_FOUND && !chosen) {
        puna_note(cli, "no default model in the store (%s): using builtin:stories260K, which only tells tiny "
                  "stories; `make models` fetches it, -m names another", name);
        *path = strdup("builtin:stories260K");
        status = *path ? PUNA_OK : puna_fail_memory(err, "the model's name", 32);
    }
    free(name);
    return status;
}

/* Operations without a fast kernel make a model slow for no visible reason: -v says which. */
static void note_fallback(const puna_cli *cli, const puna_model *model)
{
    char *text = NULL;
    json_t *summary = NULL;
    if (puna_model_describe(model, "summary", &text, NULL) || puna_cli_json_take(text, &summary, NULL))
        return;
    const char *slow = json_string_value(json_object_get(json_object_get(summary, "backend"), "fallback"));
    if (slow && *slow)
        puna_note(cli, "slow operations, through the reference: %s", slow);
    json_decref(summary);
}

puna_status puna_input_model(puna_cli *cli, const char *reference, puna_model **model, puna_error *err)
{
    puna_store *store = NULL;
    char *path = NULL;
    if (!reference)
        reference = cli->flags[PUNA_FLAG_model];
    TRY(puna_store_open(&store, NULL, err));
    puna_status status = reference ? puna_store_locate(store, reference, &path, err)
                                   : default_model(cli, store, &path, err);
    puna_store_close(store);
    if (status == PUNA_OK && cli->verbose)
        puna_note(cli, "model: %s", path);
    if (status == PUNA_OK)
        status = puna_model_open(model, path, cli->params, err);
    if (status == PUNA_OK && cli->verbose)
        note_fallback(cli, *model);
    free(path);
    return status;
}

puna_status puna_input_check_logits(const puna_model *model, puna_error *err)
{
    if (puna_model_n_embedding(model) == 0)
        return PUNA_OK;
    puna_fail(err, PUNA_ERR_ARGUMENT, "model %s: gives vectors, expected one that gives logits",
              puna_model_name(model));
    return puna_hint(err, PUNA_ERR_ARGUMENT,
                     "puna embed, or --pooling off if it was made from a model with logits");
}
