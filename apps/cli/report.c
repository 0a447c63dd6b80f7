/* report.c - everything the program says. Owns stdout, stderr and the exit code. */
#define _POSIX_C_SOURCE 200809L
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"

int puna_exit_code(puna_status status)
{
    switch (status) {
    case PUNA_ERR_CONTEXT:
        return 5;
    case PUNA_ERR_INTERRUPTED:
        return 130;
    case PUNA_OK:
    case PUNA_ERR_FAILED:
    case PUNA_ERR_ARGUMENT:
    case PUNA_ERR_NOT_FOUND:
    case PUNA_ERR_FORMAT:
    case PUNA_ERR_MEMORY:
        return (int)status;
    }
    return 1;
}

static bool out_failed(puna_cli *cli)
{
    if (errno == EPIPE)
        cli->out_closed = true;
    else if (!cli->out_errno)
        cli->out_errno = errno ? errno : EIO;
    return false;
}

bool puna_out_write(puna_cli *cli, const void *bytes, size_t n)
{
    if (cli->out_closed || cli->out_errno)
        return false;
    errno = 0;
    return fwrite(bytes, 1, n, stdout) == n || out_failed(cli);
}

bool puna_out_text(puna_cli *cli, const char *text)
{
    return puna_out_write(cli, text, strlen(text));
}

void puna_out_printf(puna_cli *cli, const char *format, ...)
{
    if (cli->out_closed || cli->out_errno)
        return;
    va_list args;
    va_start(args, format);
    errno = 0;
    if (vprintf(format, args) < 0)
        out_failed(cli);
    va_end(args);
}

bool puna_out_flush(puna_cli *cli)
{
    if (cli->out_closed || cli->out_errno)
        return false;
    errno = 0;
    return fflush(stdout) == 0 || out_failed(cli);
}

puna_status puna_out_json(puna_cli *cli, json_t *document, puna_error *err)
{
    char *text = document ? json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(document);
    if (!text)
        return puna_fail(err, PUNA_ERR_MEMORY, "out of memory: the JSON document");
    puna_out_text(cli, text);
    puna_out_text(cli, "\n");
    cli->document_written = true;
    free(text);
    return PUNA_OK;
}

void puna_note(const puna_cli *cli, const char *format, ...)
{
    if (cli->quiet)
        return;
    va_list args;
    va_start(args, format);
    fputs("puna: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

void puna_report_error(puna_cli *cli, const puna_error *err)
{
    const char *on = cli->err_color ? "\033[1;31m" : "", *off = cli->err_color ? "\033[0m" : "";
    fflush(stdout);
    fprintf(stderr, "%spuna:%s %s\n", on, off, err->message);
    if (err->hint[0])
        fprintf(stderr, "try: %s\n", err->hint);
    if (!cli->json || cli->document_written)
        return;
    json_t *error = json_pack("{s:i, s:o, s:o}", "code", puna_exit_code(err->code), "message",
                              puna_cli_json_text(err->message, strlen(err->message)), "hint",
                              puna_cli_json_text(err->hint, strlen(err->hint)));
    json_object_update(error, cli->error_details);
    puna_error ignored;
    puna_out_json(cli, json_pack("{s:o}", "error", error), &ignored);
}

json_t *puna_cli_json_text(const char *text, size_t n)
{
    json_t *whole = json_stringn(text, n);
    if (whole)
        return whole;
    puna_buf clean = puna_buf_make(n <= SIZE_MAX / 4 ? n * 3 + 1 : SIZE_MAX / 2);
    for (size_t i = 0; i < n;) {
        int32_t code;
        int length = puna_utf8_decode(text + i, n - i, &code);
        if (code < 0)
            puna_buf_add_text(&clean, "\xef\xbf\xbd");
        else
            puna_buf_add(&clean, text + i, (size_t)length);
        i += (size_t)length;
    }
    json_t *string = clean.failed ? NULL : json_stringn(clean.data ? clean.data : "", clean.n);
    puna_buf_free(&clean);
    return string;
}

puna_status puna_cli_json_take(char *text, json_t **document, puna_error *err)
{
    json_error_t where;
    *document = json_loads(text, 0, &where);
    puna_free(text);
    if (*document)
        return PUNA_OK;
    return puna_fail(err, PUNA_ERR_FAILED, "library: description: line %d: %s", where.line, where.text);
}
