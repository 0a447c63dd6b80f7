/* cmd_tokenize.c - `puna tokenize` and `puna detokenize`. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"

enum { MAX_LINE_BYTES = 1 << 20 };

/* One piece on one line: bytes that would break it, and those that are no text, as escapes. */
static void add_escaped(puna_buf *line, const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        int32_t code;
        int length = puna_utf8_decode(text + i, n - i, &code);
        if (code == '\n')
            puna_buf_add_text(line, "\\n");
        else if (code == '\r')
            puna_buf_add_text(line, "\\r");
        else if (code == '\t')
            puna_buf_add_text(line, "\\t");
        else if (code == '\\')
            puna_buf_add_text(line, "\\\\");
        else if (code < 0x20 || code == 0x7f)
            puna_buf_printf(line, "\\x%02X", (unsigned)(unsigned char)text[i]);
        else
            puna_buf_add(line, text + i, (size_t)length);
        i += (size_t)length;
    }
}

static puna_status print_pieces(puna_cli *cli, const puna_model *model, const int32_t *tokens, size_t n,
                                puna_error *err)
{
    for (size_t i = 0; i < n && !cli->out_closed; i++) {
        char *piece = NULL;
        size_t n_piece = 0;
        TRY(puna_token_piece(model, tokens[i], &piece, &n_piece, err));
        puna_buf line = puna_buf_make(MAX_LINE_BYTES);
        puna_buf_printf(&line, "%d\t", (int)tokens[i]);
        add_escaped(&line, piece, n_piece);
        puna_buf_add_byte(&line, '\n');
        if (!line.failed)
            puna_out_write(cli, line.data, line.n);
        puna_buf_free(&line);
        puna_free(piece);
    }
    return PUNA_OK;
}

static puna_status print_json(puna_cli *cli, const puna_model *model, const int32_t *tokens, size_t n,
                              puna_error *err)
{
    json_t *ids = json_array(), *pieces = json_array();
    puna_status status = PUNA_OK;
    for (size_t i = 0; i < n && status == PUNA_OK; i++) {
        char *piece = NULL;
        size_t n_piece = 0;
        status = puna_token_piece(model, tokens[i], &piece, &n_piece, err);
        json_array_append_new(ids, json_integer(tokens[i]));
        if (status == PUNA_OK)
            json_array_append_new(pieces, puna_cli_json_text(piece, n_piece));
        puna_free(piece);
    }
    json_t *document = json_pack("{s:o, s:o}", "tokens", ids, "pieces", pieces);
    if (status == PUNA_OK)
        return puna_out_json(cli, document, err);
    json_decref(document);
    return status;
}

static void print_ids(puna_cli *cli, const int32_t *tokens, size_t n)
{
    for (size_t i = 0; i < n && !cli->out_closed; i++)
        puna_out_printf(cli, "%s%d", i ? " " : "", (int)tokens[i]);
    puna_out_text(cli, "\n");
}

puna_status puna_command_tokenize(puna_cli *cli, puna_error *err)
{
    puna_model *model = NULL;
    char *text = NULL;
    int32_t *tokens = NULL;
    size_t n_text = 0, n = 0;
    unsigned flags = (puna_cli_has(cli, PUNA_FLAG_no_bos) ? 0 : PUNA_TOKENS_ADD_SPECIAL) |
                     (puna_cli_has(cli, PUNA_FLAG_special) ? PUNA_TOKENS_PARSE_SPECIAL : 0);
    TRY(puna_input_model(cli, NULL, &model, err));
    puna_status status = puna_input_text(cli, &text, &n_text, err);
    if (status == PUNA_OK)
        status = puna_tokenize(model, text, n_text, flags, &tokens, &n, err);
    if (status == PUNA_OK && cli->json)
        status = print_json(cli, model, tokens, n, err);
    else if (status == PUNA_OK && puna_cli_has(cli, PUNA_FLAG_pieces))
        status = print_pieces(cli, model, tokens, n, err);
    else if (status == PUNA_OK)
        print_ids(cli, tokens, n);
    puna_free(tokens);
    free(text);
    puna_model_free(model);
    return status;
}

puna_status puna_command_detokenize(puna_cli *cli, puna_error *err)
{
    puna_model *model = NULL;
    char *ids = NULL, *text = NULL;
    int32_t *tokens = NULL;
    size_t n_ids = 0, n = 0, n_text = 0;
    TRY(puna_input_model(cli, NULL, &model, err));
    puna_status status = puna_input_text(cli, &ids, &n_ids, err);
    if (status == PUNA_OK)
        status = puna_numbers_parse(ids, n_ids, "token id", 0, INT32_MAX, &tokens, &n, err);
    if (status == PUNA_OK)
        status = puna_detokenize(model, tokens, n, puna_cli_has(cli, PUNA_FLAG_special), &text, &n_text, err);
    if (status == PUNA_OK && cli->json)
        status = puna_out_json(cli, json_pack("{s:o}", "text", puna_cli_json_text(text, n_text)), err);
    else if (status == PUNA_OK)
        puna_out_write(cli, text, n_text);
    puna_free(text);
    free(tokens);
    free(ids);
    puna_model_free(model);
    return status;
}
