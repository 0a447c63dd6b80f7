/* cmd_run.c - `puna run`: a prompt in, text out as it comes. Owns streaming, Ctrl-C and timings. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cli/progress.h"
#include "cli/prompt.h"

enum { MAX_REPLY_BYTES = 1 << 30 }; /* of --json, which holds the whole reply */

typedef struct run_state {
    puna_cli *cli;
    puna_model *model;
    puna_session *session;
    puna_progress progress;
    puna_buf text, tokens; /* for --json: what was produced; tokens as int32_t */
    char last;             /* the last byte written, for the final newline on a terminal */
    size_t n_prompt, n_tokens;
    size_t n_read;         /* of the prompt: all of it, unless interrupted */
    double load_ms, prefill_ms;
    puna_result result;
} run_state;

/* A model may say anything, so on a terminal the bytes that could drive it are left out. */
static void write_to_terminal(puna_cli *cli, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t')
            puna_out_write(cli, text + i, 1);
    }
}

static int show(void *user, int32_t token, const char *text, size_t n)
{
    run_state *r = user;
    puna_cli *cli = r->cli;
    if (token >= 0) {
        r->n_tokens++;
        if (cli->json)
            puna_buf_add(&r->tokens, &token, sizeof token);
    }
    if (cli->json)
        puna_buf_add(&r->text, text, n);
    else if (cli->out_terminal)
        write_to_terminal(cli, text, n);
    else
        puna_out_write(cli, text, n);
    if (n)
        r->last = text[n - 1];
    if (!cli->json && n && !puna_out_flush(cli))
        return 1;
    return puna_interrupt_seen();
}

static int prefill_progress(void *user, size_t n_done, size_t n_total)
{
    run_state *r = user;
    puna_progress_show(&r->progress, (double)n_done, (double)n_total);
    return puna_interrupt_seen();
}

static puna_status prefill(run_state *r, const int32_t *tokens, size_t n, puna_error *err)
{
    size_t n_ctx = (size_t)puna_session_n_ctx(r->session);
    if (n == 0)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "run: prompt: got no tokens, expected at least one");
    if (n > n_ctx) {
        puna_fail(err, PUNA_ERR_CONTEXT, "run: prompt: got %zu tokens, expected at most the context's %zu", n, n_ctx);
        return puna_hint(err, PUNA_ERR_CONTEXT, "a shorter prompt, or a larger context: --ctx %zu", n + 256);
    }
    double start = puna_clock_ms();
    r->progress = puna_progress_make(r->cli, "reading the prompt");
    puna_session_set_progress(r->session, prefill_progress, r);
    puna_status status = puna_session_sync(r->session, tokens, n, err);
    puna_session_set_progress(r->session, NULL, NULL);
    puna_progress_end(&r->progress);
    r->prefill_ms = puna_clock_ms() - start;
    puna_session_tokens(r->session, &r->n_read);
    return status;
}

static const char *finish_name(puna_finish finish)
{
    switch (finish) {
    case PUNA_FINISH_STOP:
        return "stop";
    case PUNA_FINISH_LENGTH:
        return "length";
    case PUNA_FINISH_INTERRUPTED:
        return "interrupted";
    }
    return "stop";
}

static puna_status write_json(run_state *r, puna_error *err)
{
    if (r->text.failed || r->tokens.failed)
        return puna_fail(err, PUNA_ERR_MEMORY, "out of memory: the reply");
    json_t *tokens = json_array();
    for (size_t i = 0; i < r->n_tokens; i++) {
        int32_t token;
        memcpy(&token, r->tokens.data + i * sizeof token, sizeof token);
        json_array_append_new(tokens, json_integer(token));
    }
    const char *name = puna_model_name(r->model);
    json_t *document = json_pack("{s:o, s:o, s:s, s:{s:I, s:I}, s:{s:f, s:f, s:f, s:f}, s:{s:o, s:s}}", "text",
                                 puna_cli_json_text(r->text.data ? r->text.data : "", r->text.n), "tokens", tokens,
                                 "finish_reason", finish_name(r->result.finish), "usage", "prompt_tokens",
                                 (json_int_t)r->n_prompt, "completion_tokens", (json_int_t)r->n_tokens, "timings",
                                 "load_ms", r->load_ms, "prefill_ms", r->prefill_ms, "decode_ms", r->result.decode_ms,
                                 "first_token_ms", r->prefill_ms + r->result.first_token_ms, "model", "name",
                                 puna_cli_json_text(name, strlen(name)), "fingerprint",
                                 puna_model_fingerprint(r->model));
    return puna_out_json(r->cli, document, err);
}

static void write_stats(const run_state *r)
{
    const puna_result *result = &r->result;
    double prefill_s = r->prefill_ms / 1000, decode_s = result->decode_ms / 1000;
    fprintf(stderr, "prompt %zu tokens, %.1f tok/s; ", r->n_prompt,
            prefill_s > 0 ? (double)r->n_read / prefill_s : 0);
    fprintf(stderr, "reply %zu tokens, %.1f tok/s; ", r->n_tokens,
            decode_s > 0 && result->n_tokens > 1 ? (result->n_tokens - 1) / decode_s : 0);
    fprintf(stderr, "first token after %.0f ms; load %.0f ms; %s\n", r->prefill_ms + result->first_token_ms,
            r->load_ms, finish_name(result->finish));
}

/* What ends a run, whether it was interrupted or not: newline, statistics, document. */
static puna_status conclude(run_state *r, puna_error *err)
{
    puna_cli *cli = r->cli;
    bool interrupted = r->result.finish == PUNA_FINISH_INTERRUPTED;
    if (!cli->json && (cli->out_terminal || interrupted) && r->last != '\n')
        puna_out_text(cli, "\n");
    puna_out_flush(cli);
    if (puna_cli_has(cli, PUNA_FLAG_stats) && !cli->out_closed)
        write_stats(r);
    if (cli->json)
        TRY(write_json(r, err));
    return interrupted ? PUNA_ERR_INTERRUPTED : PUNA_OK;
}

static puna_status generate(run_state *r, puna_error *err)
{
    int32_t *tokens = NULL;
    char *text = NULL;
    size_t n_text = 0;
    TRY(puna_input_text(r->cli, &text, &n_text, err));
    puna_status status = puna_prompt_tokens(r->cli, r->model, text, n_text, &tokens, &r->n_prompt, err);
    free(text);
    if (status == PUNA_OK)
        status = puna_session_open(&r->session, r->model, r->cli->params, err);
    if (status == PUNA_OK)
        status = prefill(r, tokens, r->n_prompt, err);
    puna_free(tokens);
    if (status == PUNA_ERR_INTERRUPTED) {
        r->result.finish = PUNA_FINISH_INTERRUPTED;
        return conclude(r, err);
    }
    if (status != PUNA_OK)
        return status;
    puna_error failure = { 0 };
    status = puna_generate(r->session, r->cli->params, show, r, &r->result, &failure);
    puna_status ended = conclude(r, err);
    if (status != PUNA_OK && err)
        *err = failure;
    return status == PUNA_OK ? ended : status;
}

puna_status puna_command_run(puna_cli *cli, puna_error *err)
{
    run_state r = { .cli = cli, .last = '\n', .text = puna_buf_make(MAX_REPLY_BYTES),
                    .tokens = puna_buf_make(MAX_REPLY_BYTES) };
    double start = puna_clock_ms();
    TRY(puna_input_model(cli, NULL, &r.model, err));
    r.load_ms = puna_clock_ms() - start;
    puna_status status = puna_input_check_logits(r.model, err);
    if (status == PUNA_OK)
        status = generate(&r, err);
    if (status == PUNA_ERR_INTERRUPTED && err)
        err->message[0] = '\0';
    puna_session_free(r.session);
    puna_model_free(r.model);
    puna_buf_free(&r.text);
    puna_buf_free(&r.tokens);
    return status;
}
