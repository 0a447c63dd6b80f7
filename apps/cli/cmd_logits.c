/* cmd_logits.c - `puna logits`: what the model expects next, as log-probabilities or raw logits. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/progress.h"
#include "cli/table.h"

enum { DEFAULT_TOP = 10 };

typedef struct logits_state {
    puna_cli *cli;
    const puna_model *model;
    const int32_t *tokens;
    size_t n_tokens, n_vocab, top;
    int32_t *ids; /* [top] */
    float *logprobs;
    json_t *positions; /* with --json */
    puna_table table;  /* else, without --raw */
    bool raw, failed;
    puna_progress progress;
} logits_state;

static void add_json(logits_state *s, size_t position, size_t n)
{
    json_t *top = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(top, json_pack("[i, f]", (int)s->ids[i], (double)s->logprobs[i]));
    json_t *entry = json_pack("{s:I, s:i, s:o}", "position", (json_int_t)position, "token", (int)s->tokens[position],
                              "top", top);
    if (json_array_append_new(s->positions, entry) != 0)
        s->failed = true;
}

static void add_rows(logits_state *s, size_t position, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *piece = NULL;
        size_t n_piece = 0;
        if (puna_token_piece(s->model, s->ids[i], &piece, &n_piece, NULL) != PUNA_OK)
            n_piece = 0;
        puna_table_add(&s->table, "%zu", position);
        puna_table_add(&s->table, "%d", (int)s->ids[i]);
        puna_table_add(&s->table, "%.6f", (double)s->logprobs[i]);
        puna_table_add(&s->table, "'%.*s'", (int)(n_piece < 1000 ? n_piece : 1000), piece ? piece : "");
        puna_free(piece);
    }
}

static int take(void *user, size_t position, const float *logits)
{
    logits_state *s = user;
    puna_progress_show(&s->progress, (double)position, (double)s->n_tokens);
    if (s->raw) {
        puna_out_floats(s->cli, logits, s->n_vocab);
    } else {
        size_t n = puna_top_logprobs(logits, s->n_vocab, s->top, s->ids, s->logprobs);
        if (s->cli->json)
            add_json(s, position, n);
        else
            add_rows(s, position, n);
    }
    return s->cli->out_closed || s->cli->out_errno || s->failed || puna_interrupt_seen();
}

static puna_status read_tokens(puna_cli *cli, const puna_model *model, int32_t **tokens, size_t *n, puna_error *err)
{
    const char *ids = cli->flags[PUNA_FLAG_tokens];
    if (ids && (cli->n_operands || puna_cli_has(cli, PUNA_FLAG_file)))
        return puna_fail(err, PUNA_ERR_ARGUMENT, "logits: got both --tokens and a text, expected one");
    if (ids)
        return puna_numbers_parse(ids, strlen(ids), "--tokens", 0, puna_model_n_vocab(model) - 1, tokens, n, err);
    char *text = NULL;
    size_t n_text = 0;
    TRY(puna_input_text(cli, &text, &n_text, err));
    unsigned flags = (puna_cli_has(cli, PUNA_FLAG_no_bos) ? 0 : PUNA_TOKENS_ADD_SPECIAL) |
                     (puna_cli_has(cli, PUNA_FLAG_special) ? PUNA_TOKENS_PARSE_SPECIAL : 0);
    puna_status status = puna_tokenize(model, text, n_text, flags, tokens, n, err);
    free(text);
    return status;
}

static puna_status evaluate(logits_state *s, puna_error *err)
{
    puna_session *session = NULL;
    TRY(puna_session_open(&session, s->model, s->cli->params, err));
    s->progress = puna_progress_make(s->cli, "evaluating");
    puna_status status;
    if (puna_cli_has(s->cli, PUNA_FLAG_all)) {
        status = puna_session_each(session, s->tokens, s->n_tokens, take, s, err);
    } else {
        status = puna_session_sync(session, s->tokens, s->n_tokens, err);
        if (status == PUNA_OK)
            take(s, s->n_tokens - 1, puna_session_logits(session));
    }
    puna_progress_end(&s->progress);
    puna_session_free(session);
    if (s->failed)
        return puna_fail(err, PUNA_ERR_MEMORY, "out of memory: the JSON document");
    return status == PUNA_ERR_INTERRUPTED && s->cli->out_closed ? PUNA_OK : status;
}

static puna_status print(logits_state *s, puna_error *err)
{
    if (s->cli->json) {
        json_t *positions = s->positions;
        s->positions = NULL;
        return puna_out_json(s->cli, json_pack("{s:I, s:o}", "n_vocab", (json_int_t)s->n_vocab, "positions", positions),
                             err);
    }
    return s->raw ? PUNA_OK : puna_table_print(&s->table, s->cli, err);
}

static puna_status logits_of(puna_cli *cli, puna_model *model, puna_error *err)
{
    int64_t top;
    int32_t *tokens = NULL;
    logits_state s = { .cli = cli, .model = model, .n_vocab = (size_t)puna_model_n_vocab(model),
                       .raw = puna_cli_has(cli, PUNA_FLAG_logits_raw) };
    if (s.raw && cli->json)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "logits: got both --raw and --json, expected one");
    TRY(puna_cli_number(cli, PUNA_FLAG_top, DEFAULT_TOP, 1, INT32_MAX, &top, err));
    s.top = (size_t)top < s.n_vocab ? (size_t)top : s.n_vocab;
    TRY(read_tokens(cli, model, &tokens, &s.n_tokens, err));
    s.tokens = tokens;
    s.ids = malloc((s.top + 1) * sizeof *s.ids);
    s.logprobs = malloc((s.top + 1) * sizeof *s.logprobs);
    s.positions = cli->json ? json_array() : NULL;
    if (!cli->json && !s.raw)
        s.table = puna_table_make(">POSITION|>TOKEN|>LOGPROB|PIECE");
    puna_status status = PUNA_OK;
    if (s.n_tokens == 0)
        status = puna_fail(err, PUNA_ERR_ARGUMENT, "logits: got no tokens, expected at least one");
    else if (!s.ids || !s.logprobs)
        status = puna_fail_memory(err, "logits", s.top * 8);
    if (status == PUNA_OK)
        status = evaluate(&s, err);
    if (status == PUNA_OK) {
        status = print(&s, err);
    } else if (status == PUNA_ERR_INTERRUPTED) { /* what was computed is the result; the exit status says the rest */
        puna_status printed = print(&s, err);
        if (printed)
            status = printed;
        else if (err)
            err->message[0] = '\0';
    } else {
        puna_table_free(&s.table);
    }
    json_decref(s.positions);
    free(s.ids);
    free(s.logprobs);
    puna_free(tokens);
    return status;
}

puna_status puna_command_logits(puna_cli *cli, puna_error *err)
{
    puna_model *model = NULL;
    TRY(puna_input_model(cli, NULL, &model, err));
    puna_status status = puna_input_check_logits(model, err);
    if (status == PUNA_OK)
        status = logits_of(cli, model, err);
    puna_model_free(model);
    return status;
}
