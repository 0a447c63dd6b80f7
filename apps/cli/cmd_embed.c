/* cmd_embed.c - `puna embed`: texts to vectors. Owns the texts, lengths of 1, and how vectors are shown. */
#include "cli/cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "cli/progress.h"
#include "cli/table.h"

enum {
    SHOWN = 4,              /* numbers of a vector in a table */
    MAX_TOGETHER = 16,      /* texts that are read at once */
    MAX_TOKENS = 1 << 15    /* that those may have, all of them */
};

typedef struct text {
    const char *bytes;
    size_t n;
    int32_t *tokens; /* while its group is read */
    size_t n_tokens;
} text;

typedef struct embedding_state {
    puna_cli *cli;
    const puna_model *model;
    puna_session *sessions[MAX_TOGETHER]; /* beside each other */
    size_t n_sessions, width;
    bool normalise, each, raw; /* each: a vector of every token */
    const text *now;           /* whose vectors come */
    float *vector;
    json_t *rows;     /* with --json: of the text */
    json_t *texts;    /* with --json: of all */
    puna_table table; /* else, without --raw */
} embedding_state;

/* ---- texts ------------------------------------------------------------------------------ */

/* A text per line; a newline at the end begins no further one. */
static text *split_lines(const char *bytes, size_t n, size_t *n_texts)
{
    size_t most = 1;
    for (size_t i = 0; i < n; i++)
        most += bytes[i] == '\n';
    text *texts = calloc(most, sizeof *texts);
    *n_texts = 0;
    for (size_t at = 0; texts && at < n;) {
        const char *end = memchr(bytes + at, '\n', n - at);
        const size_t length = end ? (size_t)(end - bytes) - at : n - at;
        texts[(*n_texts)++] =
            (text){ .bytes = bytes + at, .n = length > 0 && bytes[at + length - 1] == '\r' ? length - 1 : length };
        at += length + 1;
    }
    return texts;
}

/* Arguments are a text each; without any, the lines of -f FILE or of standard input. *memory is what they lie in. */
static puna_status read_texts(puna_cli *cli, char **memory, text **texts, size_t *n, puna_error *err)
{
    const char *ids = cli->flags[PUNA_FLAG_tokens];
    if (ids && (cli->n_operands || puna_cli_has(cli, PUNA_FLAG_file)))
        return puna_fail(err, PUNA_ERR_ARGUMENT, "embed: got both --tokens and a text, expected one");
    if (ids) {
        *texts = calloc(1, sizeof **texts);
        *n = 1;
        if (*texts)
            **texts = (text){ .bytes = ids, .n = strlen(ids) };
    } else if (cli->n_operands && !puna_cli_has(cli, PUNA_FLAG_file)) {
        *texts = calloc(cli->n_operands, sizeof **texts);
        for (*n = 0; *texts && *n < cli->n_operands; ++*n)
            (*texts)[*n] = (text){ .bytes = cli->operands[*n], .n = strlen(cli->operands[*n]) };
    } else {
        size_t n_bytes = 0;
        TRY(puna_input_text(cli, memory, &n_bytes, err));
        *texts = split_lines(*memory, n_bytes, n);
    }
    if (!*texts)
        return puna_fail_memory(err, "texts", sizeof **texts);
    return *n ? PUNA_OK : puna_fail(err, PUNA_ERR_ARGUMENT, "embed: got no text, expected at least one");
}

/* ---- vectors ---------------------------------------------------------------------------- */

static void add_row(embedding_state *s, const float *v)
{
    char shown[160];
    size_t at = 0;
    for (size_t i = 0; i < s->width && i < SHOWN; i++)
        at += (size_t)snprintf(shown + at, sizeof shown - at, "%s%.6f", i ? "  " : "", (double)v[i]);
    puna_table_add(&s->table, "%s%s", shown, s->width > SHOWN ? "  ..." : "");
    puna_table_add(&s->table, "%.*s", (int)(s->now->n < 1000 ? s->now->n : 1000), s->now->bytes);
}

static void add_json(embedding_state *s, const float *v)
{
    json_t *numbers = json_array();
    for (size_t i = 0; i < s->width; i++)
        json_array_append_new(numbers, json_real(isfinite(v[i]) ? (double)v[i] : 0));
    json_array_append_new(s->rows, numbers);
}

static int take(void *user, size_t position, const float *from)
{
    embedding_state *s = user;
    double square = 0;
    (void)position;
    for (size_t i = 0; i < s->width; i++)
        square += (double)from[i] * (double)from[i];
    const double factor = s->normalise && square > 0 ? 1 / sqrt(square) : 1;
    for (size_t i = 0; i < s->width; i++)
        s->vector[i] = (float)((double)from[i] * factor);
    if (s->raw)
        puna_out_floats(s->cli, s->vector, s->width);
    else if (s->cli->json)
        add_json(s, s->vector);
    else
        add_row(s, s->vector);
    return s->cli->out_closed || s->cli->out_errno || puna_interrupt_seen();
}

/* Of the text, or as they were given. */
static puna_status tokens_of(const embedding_state *s, int32_t **tokens, size_t *n, puna_error *err)
{
    const char *ids = s->cli->flags[PUNA_FLAG_tokens];
    if (ids)
        return puna_numbers_parse(ids, strlen(ids), "--tokens", 0, puna_model_n_vocab(s->model) - 1, tokens,
                                  n, err);
    const unsigned flags =
        PUNA_TOKENS_ADD_SPECIAL | (puna_cli_has(s->cli, PUNA_FLAG_special) ? PUNA_TOKENS_PARSE_SPECIAL : 0);
    return puna_tokenize(s->model, s->now->bytes, s->now->n, flags, tokens, n, err);
}

/* The vectors of the text of now. Its session may have read it already, beside others. */
static puna_status embed(embedding_state *s, puna_session *session, puna_error *err)
{
    const int32_t *tokens = s->now->tokens;
    const size_t n = s->now->n_tokens;
    puna_status status =
        n ? PUNA_OK : puna_fail(err, PUNA_ERR_ARGUMENT, "got no tokens, expected at least one");
    s->rows = s->cli->json ? json_array() : NULL;
    if (status == PUNA_OK && s->each)
        status = puna_session_each(session, tokens, n, take, s, err);
    else if (status == PUNA_OK && (status = puna_session_sync(session, tokens, n, err)) == PUNA_OK &&
             take(s, n - 1, puna_session_embedding(session)))
        status = puna_fail(err, PUNA_ERR_INTERRUPTED, "interrupted");
    if (!s->rows)
        return status;
    json_t *rows = s->each ? s->rows : json_incref(json_array_get(s->rows, 0));
    json_t *entry =
        rows ? json_pack("{s:I, s:o}", "tokens", (json_int_t)n, s->each ? "embeddings" : "embedding", rows)
             : NULL;
    if (!s->each)
        json_decref(s->rows);
    json_array_append_new(s->texts, entry);
    return status;
}

/* Reads a group's texts at once. Where that fails, the one at fault will say so. */
static void read_together(embedding_state *s, const text *group, size_t n)
{
    const int32_t *lists[MAX_TOGETHER];
    size_t lengths[MAX_TOGETHER];
    for (size_t i = 0; i < n; i++) {
        lists[i] = group[i].tokens;
        lengths[i] = group[i].n_tokens;
    }
    if (!s->each && n > 1)
        puna_sessions_sync(s->sessions, lists, lengths, n, NULL);
}

/* The tokens of a group of texts, of which *now is where something went wrong. */
static puna_status tokenize(embedding_state *s, text *group, size_t n, size_t *now, puna_error *err)
{
    for (*now = 0; *now < n; ++*now) {
        s->now = &group[*now];
        TRY(tokens_of(s, &group[*now].tokens, &group[*now].n_tokens, err));
    }
    *now = 0;
    return PUNA_OK;
}

static puna_status embed_group(embedding_state *s, text *group, size_t n, size_t *now, puna_error *err)
{
    puna_status status = tokenize(s, group, n, now, err);
    if (status == PUNA_OK)
        read_together(s, group, n);
    for (; *now < n && status == PUNA_OK; *now += status == PUNA_OK) {
        s->now = &group[*now];
        status = embed(s, s->sessions[*now], err);
    }
    for (size_t i = 0; i < n; i++)
        puna_free(group[i].tokens);
    return status;
}

static puna_status embed_all(embedding_state *s, text *texts, size_t n, puna_error *err)
{
    puna_progress progress = puna_progress_make(s->cli, "embedding");
    puna_status status = PUNA_OK;
    for (size_t i = 0, now = 0; i < n && status == PUNA_OK; i += now) {
        status = embed_group(s, texts + i, n - i < s->n_sessions ? n - i : s->n_sessions, &now, err);
        if (status != PUNA_OK && status != PUNA_ERR_INTERRUPTED && n > 1) {
            char message[sizeof err->message];
            memcpy(message, err->message, sizeof message);
            snprintf(err->message, sizeof err->message, "text %zu: %.400s", i + now + 1, message);
        }
        puna_progress_show(&progress, (double)(i + now), (double)n);
    }
    puna_progress_end(&progress);
    return status == PUNA_ERR_INTERRUPTED && s->cli->out_closed ? PUNA_OK : status;
}

/* ---- the command ------------------------------------------------------------------------ */

/* "mean", or NULL. */
static puna_status read_pooling(const puna_model *model, json_t **summary, const char **pooling,
                                puna_error *err)
{
    char *json = NULL;
    TRY(puna_model_describe(model, "summary", &json, err));
    TRY(puna_cli_json_take(json, summary, err));
    *pooling = json_string_value(json_object_get(json_object_get(*summary, "vectors"), "pooling"));
    if (*pooling)
        return PUNA_OK;
    puna_fail(err, PUNA_ERR_ARGUMENT, "embed: model %s: gives logits, expected one that gives vectors",
              puna_model_name(model));
    return puna_hint(err, PUNA_ERR_ARGUMENT,
                     "--pooling last, or --pooling mean: the state that the logits would come from");
}

static puna_status normalises(const puna_cli *cli, const char *pooling, bool *normalise, puna_error *err)
{
    const char *wish = cli->flags[PUNA_FLAG_normalize];
    *normalise = wish ? strcmp(wish, "on") == 0 : strcmp(pooling, "rank") != 0;
    if (wish && !*normalise && strcmp(wish, "off") != 0)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "--normalize: got %.32s, expected on or off", wish);
    return PUNA_OK;
}

static puna_status print(embedding_state *s, const char *pooling, puna_error *err)
{
    const char *name = puna_model_name(s->model);
    if (!s->cli->json)
        return s->raw ? PUNA_OK : puna_table_print(&s->table, s->cli, err);
    return puna_out_json(s->cli,
                         json_pack("{s:o, s:I, s:s, s:b, s:O}", "model",
                                   puna_cli_json_text(name, strlen(name)), "n_embedding",
                                   (json_int_t)s->width, "pooling", pooling, "normalized", (int)s->normalise,
                                   "texts", s->texts),
                         err);
}

/* As many as texts are read at once, with room for all of them. */
static puna_status open_sessions(embedding_state *s, size_t n_texts, puna_error *err)
{
    char total[24];
    int64_t n_ctx = puna_cli_setting(s->cli, PUNA_KEY_ctx);
    n_ctx = n_ctx > 0 ? n_ctx : puna_model_n_ctx_train(s->model);
    size_t n = n_ctx > 0 && n_ctx < MAX_TOKENS ? (size_t)(MAX_TOKENS / n_ctx) : 1;
    n = n < MAX_TOGETHER ? n : MAX_TOGETHER;
    n = s->each ? 1 : n < n_texts ? n : n_texts;
    snprintf(total, sizeof total, "%lld", (long long)n_ctx * (long long)n);
    if (n > 1)
        TRY(puna_params_set(s->cli->params, "ctx_total", total, err));
    TRY(puna_session_open(&s->sessions[0], s->model, s->cli->params, err));
    for (s->n_sessions = 1; s->n_sessions < n; s->n_sessions++)
        TRY(puna_session_open_beside(&s->sessions[s->n_sessions], s->sessions[0], err));
    return PUNA_OK;
}

static puna_status embeddings_of(embedding_state *s, text *texts, size_t n, const char *pooling,
                                 puna_error *err)
{
    s->each = strcmp(pooling, "none") == 0;
    s->width = (size_t)puna_model_n_embedding(s->model);
    s->vector = malloc(s->width * sizeof *s->vector);
    s->texts = s->cli->json ? json_array() : NULL;
    if (!s->vector || (s->cli->json && !s->texts))
        return puna_fail_memory(err, "vector", s->width * sizeof *s->vector);
    TRY(normalises(s->cli, pooling, &s->normalise, err));
    TRY(open_sessions(s, n, err));
    if (!s->cli->json && !s->raw)
        s->table = puna_table_make("VECTOR|~TEXT");
    puna_status status = embed_all(s, texts, n, err);
    if (status == PUNA_OK)
        return print(s, pooling, err);
    puna_table_free(&s->table);
    return status;
}

puna_status puna_command_embed(puna_cli *cli, puna_error *err)
{
    puna_model *model = NULL;
    json_t *summary = NULL;
    const char *pooling = NULL;
    char *memory = NULL;
    text *texts = NULL;
    size_t n = 0;
    embedding_state s = { .cli = cli, .raw = puna_cli_has(cli, PUNA_FLAG_embed_raw) };
    if (s.raw && cli->json)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "embed: got both --raw and --json, expected one");
    TRY(puna_input_model(cli, NULL, &model, err));
    s.model = model;
    puna_status status = read_pooling(model, &summary, &pooling, err);
    if (status == PUNA_OK)
        status = read_texts(cli, &memory, &texts, &n, err);
    if (status == PUNA_OK)
        status = embeddings_of(&s, texts, n, pooling, err);
    for (size_t i = 0; i < s.n_sessions; i++)
        puna_session_free(s.sessions[i]);
    json_decref(s.texts);
    json_decref(summary);
    free(s.vector);
    free(texts);
    free(memory);
    puna_model_free(model);
    return status;
}
