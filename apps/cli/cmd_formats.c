/* cmd_formats.c - `puna formats`: what this build reads, writes and computes. */
#include "cli/cli.h"

#include "cli/table.h"

static puna_status print_list(puna_cli *cli, const char *title, const json_t *list, puna_error *err)
{
    size_t index;
    const json_t *row;
    if (json_is_object(json_array_get(list, 0))) {
        puna_out_printf(cli, "%s:\n", title);
        return puna_table_of_objects(cli, list, err);
    }
    puna_out_printf(cli, "%s:", title);
    json_array_foreach(list, index, row)
        puna_out_printf(cli, "%s %s", index ? "," : "", json_string_value(row) ? json_string_value(row) : "");
    puna_out_text(cli, "\n");
    return PUNA_OK;
}

puna_status puna_command_formats(puna_cli *cli, puna_error *err)
{
    char *text = NULL;
    json_t *formats = NULL;
    const char *key;
    json_t *list;
    puna_status status = PUNA_OK;
    TRY(puna_describe("formats", cli->params, &text, err));
    TRY(puna_cli_json_take(text, &formats, err));
    if (cli->json)
        return puna_out_json(cli, formats, err);
    json_object_foreach(formats, key, list) {
        if (status == PUNA_OK)
            status = print_list(cli, key, list, err);
    }
    json_decref(formats);
    return status;
}
