/* synthetic.c - where the bytes of a made-up model go. */
#define _DEFAULT_SOURCE
#include "cli/synthetic.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/newfile.h"
#include "cli/progress.h"

enum { PAGE_BYTES = 4096 };

/* Bytes go to the file when there is one, else to memory. */
typedef struct target {
    puna_new_file *file;
    unsigned char *memory;
    uint64_t done;
    puna_progress progress;
    puna_status status; /* why receiving stopped; OK: interrupted */
    puna_error *err;
} target;

/* Room for the whole model; less than what the machine has, or the system would end the program later. */
static bool take_memory(target *t, uint64_t size_bytes)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t most = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_MAX;
    if (size_bytes < most / 10 * 9)
        t->memory = aligned_alloc(PAGE_BYTES, ((size_t)size_bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES);
    if (t->memory)
        return true;
    t->status = puna_fail_memory(t->err, "synthetic model", (size_t)size_bytes);
    puna_hint(t->err, t->status, "--save FILE keeps it on disk");
    return false;
}

static int receive(void *user, const void *bytes, size_t n, uint64_t size_bytes)
{
    target *t = user;
    if (t->file) {
        if (fwrite(bytes, 1, n, t->file->stream) != n) {
            t->status = puna_new_file_fail(t->file, t->err);
            return 1;
        }
    } else {
        if (!t->memory && !take_memory(t, size_bytes))
            return 1;
        memcpy(t->memory + t->done, bytes, n);
    }
    t->done += n;
    puna_progress_show(&t->progress, (double)t->done, (double)size_bytes);
    return puna_interrupt_seen();
}

static puna_status synthesize(target *t, const char *recipe)
{
    puna_error why = { 0 };
    puna_status status = puna_synthesize(recipe, receive, t, &why);
    puna_progress_end(&t->progress);
    if (t->status != PUNA_OK)
        return t->status;
    if (status != PUNA_OK && t->err)
        *t->err = why;
    return status;
}

static puna_status save(target *t, const char *recipe, const char *path, puna_error *err)
{
    puna_new_file file;
    TRY(puna_new_file_open(&file, "--save", path, err));
    t->file = &file;
    return puna_new_file_close(&file, synthesize(t, recipe), err);
}

static puna_status open_synthetic(puna_cli *cli, puna_model **model, void **memory, puna_error *err)
{
    const char *recipe = cli->flags[PUNA_FLAG_synthetic], *path = cli->flags[PUNA_FLAG_save];
    target t = { .progress = puna_progress_make(cli, "making the model"), .err = err };
    *memory = NULL;
    if (path) {
        TRY(save(&t, recipe, path, err));
        puna_note(cli, "saved %s: %.1f MB", path, (double)t.done / 1e6);
        return puna_model_open(model, path, cli->params, err);
    }
    puna_status status = synthesize(&t, recipe);
    if (status == PUNA_OK)
        status = puna_model_open_memory(model, t.memory, (size_t)t.done, recipe, cli->params, err);
    if (status == PUNA_OK)
        *memory = t.memory;
    else
        free(t.memory);
    return status;
}

puna_status puna_synthetic_or_input(puna_cli *cli, puna_model **model, void **memory, puna_error *err)
{
    const char *command = puna_commands[cli->command].name;
    *memory = NULL;
    if (puna_cli_has(cli, PUNA_FLAG_synthetic) && puna_cli_has(cli, PUNA_FLAG_model))
        return puna_fail(err, PUNA_ERR_ARGUMENT, "%s: got both -m and --synthetic, expected one model", command);
    if (puna_cli_has(cli, PUNA_FLAG_synthetic))
        return open_synthetic(cli, model, memory, err);
    if (puna_cli_has(cli, PUNA_FLAG_save))
        return puna_fail(err, PUNA_ERR_ARGUMENT, "%s: --save: got no --synthetic, expected a model to make up", command);
    TRY(puna_input_model(cli, NULL, model, err));
    puna_status status = puna_input_check_logits(*model, err);
    if (status == PUNA_OK)
        return PUNA_OK;
    puna_model_free(*model);
    *model = NULL;
    return status;
}
