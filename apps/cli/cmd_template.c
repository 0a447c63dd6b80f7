/* cmd_template.c - `puna template render` and `puna template check`. */
#define _DEFAULT_SOURCE
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/limits.h"

enum { MAX_DATA_BYTES = 256 << 20 };

/* The template's source: a file, or that of the model -m names. In fresh memory. */
static puna_status read_source(puna_cli *cli, char **source, puna_error *err)
{
    const char *command = puna_commands[cli->command].name;
    bool of_model = puna_cli_has(cli, PUNA_FLAG_model);
    size_t n = 0;
    if (cli->n_operands + of_model != 1)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "%s: got %zu templates, expected one: FILE.jinja or -m MODEL", command,
                         cli->n_operands + of_model);
    if (!of_model) {
        TRY(puna_file_read(source, &n, cli->operands[0], PUNA_MAX_TEMPLATE_BYTES, err));
        if (strlen(*source) == n)
            return PUNA_OK;
        free(*source);
        *source = NULL;
        return puna_fail(err, PUNA_ERR_FORMAT, "%s: %s: got a NUL byte, expected text", command, cli->operands[0]);
    }
    puna_model *model = NULL;
    TRY(puna_params_set(cli->params, "vocab_only", "on", err));
    TRY(puna_input_model(cli, NULL, &model, err));
    const char *text = puna_model_chat_template(model);
    puna_status status = PUNA_OK;
    if (!text)
        status = puna_fail(err, PUNA_ERR_NOT_FOUND, "%s: the model has no chat template", command);
    else if (!(*source = strdup(text)))
        status = puna_fail_memory(err, "template", strlen(text));
    puna_model_free(model);
    return status;
}

static const char *source_name(const puna_cli *cli)
{
    const char *model = cli->flags[PUNA_FLAG_model];
    return model ? model : cli->operands[0];
}

/* Line `number` of a text, without its end. */
static json_t *line_of(const char *text, unsigned number)
{
    for (; number > 1 && *text; text++)
        number -= *text == '\n' || (*text == '\r' && text[1] != '\n');
    return puna_cli_json_text(text, strcspn(text, "\r\n"));
}

/* Says which file an error with a place in a template is about, in its text and as JSON. */
static void add_place(puna_cli *cli, const char *source, puna_error *err)
{
    static const char prefix[] = "template: ";
    unsigned line, column;
    puna_error plain = *err;
    if (strncmp(plain.message, prefix, sizeof prefix - 1) != 0)
        return;
    puna_fail(err, plain.code, "%s%s: %s", prefix, source_name(cli), plain.message + sizeof prefix - 1);
    memcpy(err->hint, plain.hint, sizeof err->hint);
    if (sscanf(plain.message, "template: line %u, column %u: ", &line, &column) == 2)
        cli->error_details = json_pack("{s:o, s:i, s:i, s:o}", "file",
                                       puna_cli_json_text(source_name(cli), strlen(source_name(cli))), "line",
                                       (int)line, "column", (int)column, "source", line_of(source, line));
}

/* "2025-07-10T12:00:00Z" to seconds since 1970; -1 (the clock's) when none is given. */
static puna_status read_now(const puna_cli *cli, int64_t *now, puna_error *err)
{
    const char *text = cli->flags[PUNA_FLAG_now];
    struct tm utc = { 0 };
    int n = 0;
    *now = -1;
    if (!text)
        return PUNA_OK;
    int fields = sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ%n", &utc.tm_year, &utc.tm_mon, &utc.tm_mday, &utc.tm_hour,
                        &utc.tm_min, &utc.tm_sec, &n);
    bool good = fields == 6 && n > 0 && text[n] == '\0' && utc.tm_year >= 1970 && utc.tm_mon >= 1 &&
                utc.tm_mon <= 12 && utc.tm_mday >= 1 && utc.tm_mday <= 31 && utc.tm_hour >= 0 && utc.tm_hour < 24 &&
                utc.tm_min >= 0 && utc.tm_min < 60 && utc.tm_sec >= 0 && utc.tm_sec <= 60;
    if (!good)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "option --now: got '%s', expected a time like 2025-07-10T12:00:00Z",
                         text);
    utc.tm_year -= 1900;
    utc.tm_mon -= 1;
    *now = (int64_t)timegm(&utc);
    return PUNA_OK;
}

puna_status puna_command_template_render(puna_cli *cli, puna_error *err)
{
    const char *file = cli->flags[PUNA_FLAG_data];
    char *source = NULL, *data = NULL, *text = NULL;
    size_t n_data = 0, n = 0;
    int64_t now;
    if (!file)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "template render: got no --data, expected --data FILE.json");
    TRY(read_now(cli, &now, err));
    TRY(puna_file_read(&data, &n_data, file, MAX_DATA_BYTES, err));
    puna_status status = read_source(cli, &source, err);
    if (status == PUNA_OK) {
        status = puna_template_run(source, data, now, &text, &n, err);
        if (status != PUNA_OK)
            add_place(cli, source, err);
    }
    if (status == PUNA_OK && cli->json)
        status = puna_out_json(cli, json_pack("{s:o}", "text", puna_cli_json_text(text, n)), err);
    else if (status == PUNA_OK)
        puna_out_write(cli, text, n);
    puna_free(text);
    free(source);
    free(data);
    return status;
}

/* What is used, a line for each kind, then the problems as compilers print them. */
static void print_report(puna_cli *cli, const json_t *report)
{
    static const char *const kinds[] = { "variables", "filters", "tests", "functions", "methods" };
    const json_t *problems = json_object_get(report, "problems"), *item;
    size_t i;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        const json_t *names = json_object_get(report, kinds[k]);
        puna_out_printf(cli, "%-10s", kinds[k]);
        json_array_foreach((json_t *)(uintptr_t)names, i, item)
            puna_out_printf(cli, "%s %s", i ? "," : "", json_string_value(item));
        puna_out_text(cli, "\n");
    }
    json_array_foreach((json_t *)(uintptr_t)problems, i, item)
    {
        const char *line = json_string_value(json_object_get(item, "source"));
        puna_out_printf(cli, "%s:%d:%d: %s\n", source_name(cli),
                        (int)json_integer_value(json_object_get(item, "line")),
                        (int)json_integer_value(json_object_get(item, "column")),
                        json_string_value(json_object_get(item, "message")));
        if (line && *line)
            puna_out_printf(cli, "    %s\n", line);
    }
}

puna_status puna_command_template_check(puna_cli *cli, puna_error *err)
{
    char *source = NULL, *text = NULL;
    json_t *report = NULL;
    TRY(read_source(cli, &source, err));
    puna_status status = puna_template_inspect(source, &text, err);
    if (status == PUNA_OK)
        status = puna_cli_json_take(text, &report, err);
    if (status == PUNA_OK && cli->json)
        status = puna_out_json(cli, json_incref(report), err);
    else if (status == PUNA_OK)
        print_report(cli, report);
    if (status == PUNA_OK && !json_is_true(json_object_get(report, "compiles")))
        status = puna_fail(err, PUNA_ERR_FORMAT, "template check: %s: got a template that does not compile",
                           source_name(cli));
    json_decref(report);
    free(source);
    return status;
}
