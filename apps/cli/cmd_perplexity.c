/* cmd_perplexity.c - `puna perplexity`: exp of the mean negative log-probability of a text.
 * Windows do not overlap; each begins with the begin token (if the model has one) in place of
 * its first token, and every later token is scored. A rest shorter than a window is left out. */
#include "cli/cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/progress.h"
#include "cli/table.h"

enum { DEFAULT_WINDOW = 512 };

typedef struct scoring {
    puna_progress progress;
    const int32_t *window;
    size_t n_window, n_vocab, n_scored, n_done, n_total;
    double nll; /* summed over the scored tokens */
} scoring;

static int score(void *user, size_t position, const float *logits)
{
    scoring *s = user;
    puna_progress_show(&s->progress, (double)(s->n_done + position), (double)s->n_total);
    if (position + 1 < s->n_window) {
        s->nll -= (double)puna_logprob(logits, s->n_vocab, s->window[position + 1]);
        s->n_scored++;
    }
    return puna_interrupt_seen();
}

static puna_status choose_window(const puna_cli *cli, const puna_model *model, size_t n_tokens, int64_t *window,
                                 puna_error *err)
{
    int64_t absent = DEFAULT_WINDOW, trained = puna_model_n_ctx_train(model);
    if (trained > 1 && trained < absent)
        absent = trained;
    TRY(puna_cli_number(cli, PUNA_FLAG_window, absent, 2, INT32_MAX, window, err));
    if (n_tokens < 2)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "perplexity: text: got %zu tokens, expected at least 2", n_tokens);
    if ((size_t)*window > n_tokens) {
        puna_note(cli, "the text has %zu tokens: one window of that many", n_tokens);
        *window = (int64_t)n_tokens;
    }
    return PUNA_OK;
}

/* The context needs to hold one window, unless the user says otherwise. */
static puna_status fit_context(puna_cli *cli, int64_t window, puna_error *err)
{
    char text[24];
    if (puna_cli_setting(cli, PUNA_KEY_ctx) != 0)
        return PUNA_OK;
    snprintf(text, sizeof text, "%lld", (long long)window);
    return puna_params_set(cli->params, "ctx", text, err);
}

static puna_status score_windows(puna_cli *cli, const puna_model *model, int32_t *tokens, size_t n, int64_t window,
                                 scoring *s, puna_error *err)
{
    puna_session *session = NULL;
    int32_t bos = puna_token_of_role(model, "bos");
    size_t n_windows = n / (size_t)window;
    TRY(puna_session_open(&session, model, cli->params, err));
    s->n_window = (size_t)window;
    s->n_total = n_windows * s->n_window;
    s->progress = puna_progress_make(cli, "perplexity");
    puna_status status = PUNA_OK;
    for (size_t i = 0; i < n_windows && status == PUNA_OK; i++) {
        int32_t *at = tokens + i * s->n_window;
        if (bos >= 0)
            at[0] = bos;
        s->window = at;
        s->n_done = i * s->n_window;
        status = puna_session_each(session, at, s->n_window, score, s, err);
        if (cli->verbose && status == PUNA_OK) {
            puna_progress_end(&s->progress);
            puna_note(cli, "window %zu of %zu: perplexity so far %.4f", i + 1, n_windows,
                      exp(s->nll / (double)s->n_scored));
        }
    }
    puna_progress_end(&s->progress);
    puna_session_free(session);
    return status;
}

static puna_status print(puna_cli *cli, const scoring *s, size_t n_tokens, puna_error *err)
{
    double mean = s->nll / (double)s->n_scored;
    if (cli->json)
        return puna_out_json(cli, json_pack("{s:f, s:f, s:I, s:I, s:I}", "perplexity", exp(mean), "mean_nll", mean,
                                            "scored_tokens", (json_int_t)s->n_scored, "tokens", (json_int_t)n_tokens,
                                            "window", (json_int_t)s->n_window), err);
    puna_table table = puna_table_make(">PERPLEXITY|>MEAN NLL|>SCORED|>TOKENS|>WINDOW");
    puna_table_add(&table, "%.6f", exp(mean));
    puna_table_add(&table, "%.6f", mean);
    puna_table_add(&table, "%zu", s->n_scored);
    puna_table_add(&table, "%zu", n_tokens);
    puna_table_add(&table, "%zu", s->n_window);
    return puna_table_print(&table, cli, err);
}

static puna_status perplexity_of(puna_cli *cli, const puna_model *model, puna_error *err)
{
    char *text = NULL;
    int32_t *tokens = NULL;
    size_t n_text = 0, n = 0;
    int64_t window = 0;
    scoring s = { .n_vocab = (size_t)puna_model_n_vocab(model) };
    unsigned flags = PUNA_TOKENS_ADD_SPECIAL |
                     (puna_cli_has(cli, PUNA_FLAG_special) ? PUNA_TOKENS_PARSE_SPECIAL : 0);
    TRY(puna_input_text(cli, &text, &n_text, err));
    puna_status status = puna_tokenize(model, text, n_text, flags, &tokens, &n, err);
    free(text);
    if (status == PUNA_OK)
        status = choose_window(cli, model, n, &window, err);
    if (status == PUNA_OK)
        status = fit_context(cli, window, err);
    if (status == PUNA_OK)
        status = score_windows(cli, model, tokens, n, window, &s, err);
    if (status == PUNA_OK)
        status = print(cli, &s, n, err);
    puna_free(tokens);
    return status;
}

puna_status puna_command_perplexity(puna_cli *cli, puna_error *err)
{
    puna_model *model = NULL;
    TRY(puna_input_model(cli, NULL, &model, err));
    puna_status status = puna_input_check_logits(model, err);
    if (status == PUNA_OK)
        status = perplexity_of(cli, model, err);
    puna_model_free(model);
    return status;
}
