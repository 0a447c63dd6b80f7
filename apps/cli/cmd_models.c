/* cmd_models.c - `puna models ...`: the store, for people and scripts. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/progress.h"
#include "cli/table.h"
#include "store/store.h"

static json_t *model_json(const puna_store *store, const puna_store_model *model)
{
    char path[PUNA_STORE_MAX_PATH];
    if (puna_store_path(store, model, path, NULL) != PUNA_OK)
        return NULL;
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s}", "name", model->name, "tag", model->tag, "format",
                     model->format, "size", (json_int_t)model->size, "sha256", model->sha256, "licence", model->licence,
                     "source", model->source, "imported_at", model->imported_at, "path", path);
}

static puna_status no_operands(const puna_cli *cli, puna_error *err)
{
    if (cli->n_operands == 0)
        return PUNA_OK;
    return puna_fail(err, PUNA_ERR_ARGUMENT, "%s: got '%s', expected no arguments", puna_commands[cli->command].name,
                     cli->operands[0]);
}

static puna_status one_operand(const puna_cli *cli, const char *what, puna_error *err)
{
    if (cli->n_operands == 1)
        return PUNA_OK;
    return puna_fail(err, PUNA_ERR_ARGUMENT, "%s: got %zu arguments, expected one %s",
                     puna_commands[cli->command].name, cli->n_operands, what);
}

/* ---- ls ---- */

static puna_status list_json(puna_cli *cli, const puna_store *store, const puna_store_model *models, size_t n,
                             puna_error *err)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, model_json(store, &models[i]));
    return puna_out_json(cli, json_pack("{s:s, s:o}", "store", puna_store_folder(store), "models", list), err);
}

static puna_status list_table(puna_cli *cli, const puna_store_model *models, size_t n, puna_error *err)
{
    char size[16];
    puna_table table = puna_table_make("~NAME|>SIZE|FORMAT|LICENCE|IMPORTED");
    for (size_t i = 0; i < n; i++) {
        puna_table_add(&table, "%s:%s", models[i].name, models[i].tag);
        puna_table_add(&table, "%s", puna_size_text(size, (double)models[i].size));
        puna_table_add(&table, "%s", models[i].format);
        puna_table_add(&table, "%s", models[i].licence[0] ? models[i].licence : "-");
        puna_table_add(&table, "%.10s", models[i].imported_at);
    }
    return puna_table_print(&table, cli, err);
}

puna_status puna_command_models_ls(puna_cli *cli, puna_error *err)
{
    puna_store *store = NULL;
    puna_store_model *models = NULL;
    size_t n = 0;
    TRY(no_operands(cli, err));
    TRY(puna_store_open(&store, NULL, err));
    puna_status status = puna_store_list(store, &models, &n, err);
    if (status == PUNA_OK && cli->json)
        status = list_json(cli, store, models, n, err);
    else if (status == PUNA_OK)
        status = list_table(cli, models, n, err);
    if (status == PUNA_OK && n == 0)
        puna_note(cli, "the store is empty: %s; `puna models import FILE` adds to it", puna_store_folder(store));
    free(models);
    puna_store_close(store);
    return status;
}

/* ---- show, path ---- */

static puna_status show_model(puna_cli *cli, const puna_store *store, puna_error *err)
{
    puna_store_model model;
    TRY(puna_store_find(store, cli->operands[0], &model, err));
    json_t *json = model_json(store, &model);
    if (cli->json || !json)
        return puna_out_json(cli, json, err);
    puna_status status = puna_table_of_values(cli, json, err);
    json_decref(json);
    return status;
}

puna_status puna_command_models_show(puna_cli *cli, puna_error *err)
{
    puna_store *store = NULL;
    TRY(one_operand(cli, "name", err));
    TRY(puna_store_open(&store, NULL, err));
    puna_status status = show_model(cli, store, err);
    puna_store_close(store);
    return status;
}

puna_status puna_command_models_path(puna_cli *cli, puna_error *err)
{
    puna_store *store = NULL;
    char *path = NULL;
    TRY(one_operand(cli, "name", err));
    TRY(puna_store_open(&store, NULL, err));
    puna_status status = puna_store_locate(store, cli->operands[0], &path, err);
    if (status == PUNA_OK && cli->json)
        status = puna_out_json(cli, json_pack("{s:o}", "path", puna_cli_json_text(path, strlen(path))), err);
    else if (status == PUNA_OK)
        puna_out_printf(cli, "%s\n", path);
    free(path);
    puna_store_close(store);
    return status;
}

/* ---- import ---- */

static int import_progress(void *user, uint64_t done, uint64_t total)
{
    puna_progress_show(user, (double)done, (double)total);
    return puna_interrupt_seen();
}

/* What a model file says of itself; a file that is no model is refused before anything is copied. */
static puna_status read_licence(puna_cli *cli, const char *file, char *licence, size_t size, puna_error *err)
{
    puna_model *model = NULL;
    char *text = NULL;
    json_t *metadata = NULL;
    TRY(puna_model_open(&model, file, cli->params, err));
    puna_status status = puna_model_describe(model, "metadata", &text, err);
    if (status == PUNA_OK)
        status = puna_cli_json_take(text, &metadata, err);
    json_int_t n_parts = json_integer_value(json_object_get(metadata, "split.count"));
    if (status == PUNA_OK && n_parts > 1) {
        puna_fail(err, PUNA_ERR_FORMAT, "import: %s: got one of %d files of a split model, expected a single file", file,
                  (int)n_parts);
        status = puna_hint(err, PUNA_ERR_FORMAT, "use it by its path: puna run -m %s", file);
    }
    const char *found = json_string_value(json_object_get(metadata, "general.license"));
    snprintf(licence, size, "%.*s", 100, found ? found : "");
    json_decref(metadata);
    puna_model_free(model);
    return status;
}

static puna_status import_into(puna_cli *cli, puna_store *store, puna_error *err)
{
    char licence[128], size[16];
    puna_store_model model;
    puna_progress progress = puna_progress_make(cli, "importing");
    puna_store_import import = { .file = cli->operands[0], .name = cli->flags[PUNA_FLAG_name],
                                 .sha256 = cli->flags[PUNA_FLAG_sha256], .licence = licence,
                                 .progress = import_progress, .user = &progress };
    if (puna_cli_has(cli, PUNA_FLAG_move))
        import.how = PUNA_STORE_MOVE;
    else if (puna_cli_has(cli, PUNA_FLAG_link))
        import.how = PUNA_STORE_LINK;
    TRY(read_licence(cli, import.file, licence, sizeof licence, err));
    puna_status status = puna_store_add(store, &import, &model, err);
    puna_progress_end(&progress);
    TRY(status);
    if (cli->json)
        return puna_out_json(cli, model_json(store, &model), err);
    puna_out_printf(cli, "%s:%s  %s  sha256 %s\n", model.name, model.tag, puna_size_text(size, (double)model.size),
                    model.sha256);
    return PUNA_OK;
}

puna_status puna_command_models_import(puna_cli *cli, puna_error *err)
{
    puna_store *store = NULL;
    const char *digest = cli->flags[PUNA_FLAG_sha256];
    TRY(one_operand(cli, "file", err));
    if (digest && (strlen(digest) != PUNA_STORE_HEX || strspn(digest, "0123456789abcdefABCDEF") != PUNA_STORE_HEX))
        return puna_fail(err, PUNA_ERR_ARGUMENT, "option --sha256: got '%s', expected %d hex digits", digest,
                         (int)PUNA_STORE_HEX);
    if (puna_cli_has(cli, PUNA_FLAG_move) && puna_cli_has(cli, PUNA_FLAG_link))
        return puna_fail(err, PUNA_ERR_ARGUMENT, "models import: got both --move and --link, expected one");
    TRY(puna_store_open(&store, NULL, err));
    puna_status status = import_into(cli, store, err);
    puna_store_close(store);
    return status;
}

/* ---- rm ---- */

static puna_status remove_all(puna_cli *cli, puna_store *store, json_t *removed, uint64_t *freed, puna_error *err)
{
    char name[PUNA_STORE_MAX_NAME + PUNA_STORE_MAX_TAG + 2];
    for (size_t i = 0; i < cli->n_operands; i++) {
        puna_store_model model;
        uint64_t bytes;
        puna_status status = puna_store_remove(store, cli->operands[i], &model, &bytes, err);
        if (status == PUNA_ERR_NOT_FOUND && err && strncmp(err->hint, "-m ", 3) == 0) {
            char near[sizeof name];
            snprintf(near, sizeof near, "%s", err->hint + 3);
            puna_hint(err, status, "puna models rm %s", near);
        }
        TRY(status);
        *freed += bytes;
        snprintf(name, sizeof name, "%s:%s", model.name, model.tag);
        json_array_append_new(removed, json_string(name));
        if (!cli->json)
            puna_out_printf(cli, "removed %s\n", name);
    }
    if (puna_cli_has(cli, PUNA_FLAG_orphans)) {
        size_t n;
        uint64_t bytes;
        TRY(puna_store_sweep(store, &n, &bytes, err));
        *freed += bytes;
        if (!cli->json)
            puna_out_printf(cli, "removed %zu orphans\n", n);
    }
    return PUNA_OK;
}

puna_status puna_command_models_rm(puna_cli *cli, puna_error *err)
{
    puna_store *store = NULL;
    uint64_t freed = 0;
    char size[16];
    if (cli->n_operands == 0 && !puna_cli_has(cli, PUNA_FLAG_orphans))
        return one_operand(cli, "name, or --orphans", err);
    TRY(puna_store_open(&store, NULL, err));
    json_t *removed = json_array();
    puna_status status = remove_all(cli, store, removed, &freed, err);
    if (status == PUNA_OK && cli->json)
        status = puna_out_json(cli, json_pack("{s:O, s:I}", "removed", removed, "freed_bytes", (json_int_t)freed), err);
    else if (status == PUNA_OK)
        puna_out_printf(cli, "freed %s\n", puna_size_text(size, (double)freed));
    json_decref(removed);
    puna_store_close(store);
    return status;
}

/* ---- du ---- */

static puna_status usage_json(puna_cli *cli, const puna_store *store, const puna_store_blob *blobs, size_t n,
                              uint64_t total, uint64_t orphans, puna_error *err)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:s}", "file", blobs[i].file, "size",
                                              (json_int_t)blobs[i].size, "models", (json_int_t)blobs[i].n_models,
                                              "first_model", blobs[i].first_model));
    return puna_out_json(cli, json_pack("{s:s, s:o, s:I, s:I}", "store", puna_store_folder(store), "files", list,
                                        "total_bytes", (json_int_t)total, "orphan_bytes", (json_int_t)orphans), err);
}

static puna_status usage_table(puna_cli *cli, const puna_store_blob *blobs, size_t n, uint64_t total,
                               uint64_t orphans, puna_error *err)
{
    char size[16], wasted[16];
    puna_table table = puna_table_make(">SIZE|FILE|~MODELS");
    for (size_t i = 0; i < n; i++) {
        puna_table_add(&table, "%s", puna_size_text(size, (double)blobs[i].size));
        puna_table_add(&table, "%.19s", blobs[i].file);
        if (blobs[i].n_models == 0)
            puna_table_add(&table, "(orphan)");
        else if (blobs[i].n_models == 1)
            puna_table_add(&table, "%s", blobs[i].first_model);
        else
            puna_table_add(&table, "%s and %zu more", blobs[i].first_model, blobs[i].n_models - 1);
    }
    TRY(puna_table_print(&table, cli, err));
    puna_out_printf(cli, "total %s, orphans %s\n", puna_size_text(size, (double)total),
                    puna_size_text(wasted, (double)orphans));
    return PUNA_OK;
}

puna_status puna_command_models_du(puna_cli *cli, puna_error *err)
{
    puna_store *store = NULL;
    puna_store_blob *blobs = NULL;
    size_t n = 0;
    uint64_t total = 0, orphans = 0;
    TRY(no_operands(cli, err));
    TRY(puna_store_open(&store, NULL, err));
    puna_status status = puna_store_blobs(store, &blobs, &n, err);
    for (size_t i = 0; i < n; i++) {
        total += blobs[i].size;
        orphans += blobs[i].n_models ? 0 : blobs[i].size;
    }
    if (status == PUNA_OK && cli->json)
        status = usage_json(cli, store, blobs, n, total, orphans, err);
    else if (status == PUNA_OK)
        status = usage_table(cli, blobs, n, total, orphans, err);
    if (status == PUNA_OK && orphans)
        puna_note(cli, "`puna models rm --orphans` frees what no model refers to");
    free(blobs);
    puna_store_close(store);
    return status;
}
