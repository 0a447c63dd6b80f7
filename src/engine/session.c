/* session.c - puna_session: one token timeline. Owns which positions are evaluated and where they
 * lie in the cache; refuses sampling (generate.c). */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "engine/engine.h"

static puna_status allocate(puna_session *s, int32_t n_blocks, puna_error *err)
{
    size_t n_vocab = (size_t)s->model->net.hp.n_vocab;
    s->tokens = calloc((size_t)s->n_ctx, sizeof *s->tokens);
    s->blocks = calloc((size_t)n_blocks, sizeof *s->blocks);
    s->positions = calloc((size_t)s->n_batch, sizeof *s->positions);
    s->output_rows = calloc((size_t)s->n_batch, sizeof *s->output_rows);
    s->logits = calloc(n_vocab, sizeof *s->logits);
    if (!s->tokens || !s->blocks || !s->positions || !s->output_rows || !s->logits)
        return puna_fail_memory(err, "session", (size_t)s->n_ctx * sizeof *s->tokens + n_vocab * sizeof *s->logits);
    for (int32_t i = 0; i < n_blocks; i++)
        s->blocks[i] = i;
    return PUNA_OK;
}

/* A cache coarser than the weights would be the largest error of a float32 model. */
puna_format puna_session_kv_format(const puna_model *model, const char *wanted)
{
    const puna_format_info *named = puna_format_find(wanted);
    if (named)
        return named->id;
    bool exact = model->backend == &puna_backend_ref || model->net.layers[0].wk->format->id == PUNA_FORMAT_F32;
    return exact ? PUNA_FORMAT_F32 : PUNA_FORMAT_F16;
}

static puna_status open_session(puna_session *s, const puna_params *params, puna_error *err)
{
    const puna_model *model = s->model;
    if (!model->has_weights)
        return puna_fail(err, PUNA_ERR_FORMAT, "model %s: got a vocabulary only, expected weights", model->name);
    int64_t n_ctx = puna_params_int(params, PUNA_KEY_ctx);
    s->n_ctx = n_ctx > 0 ? (int32_t)n_ctx : model->net.hp.n_ctx_train;
    s->n_batch = (int32_t)puna_params_int(params, PUNA_KEY_batch);
    if (s->n_batch > s->n_ctx)
        s->n_batch = s->n_ctx;
    int32_t n_blocks = (s->n_ctx + PUNA_KV_BLOCK - 1) / PUNA_KV_BLOCK;
    puna_format format = puna_session_kv_format(model, params->texts[PUNA_KEY_kv_type]);
    TRY(allocate(s, n_blocks, err));
    TRY(puna_kv_open(&s->kv, &model->net.plan, n_blocks, format, err));
    puna_backend_options options = {
        .n_threads = (int32_t)puna_params_int(params, PUNA_KEY_threads),
        .max_tokens = s->n_batch,
        .max_outputs = s->n_batch,
        .fusion = puna_params_int(params, PUNA_KEY_fusion) != 0,
    };
    return model->backend->worker_open(&s->worker, model->program, &options, err);
}

puna_status puna_session_open(puna_session **out, const puna_model *model, const puna_params *params,
                              puna_error *err)
{
    *out = NULL;
    puna_session *s = calloc(1, sizeof *s);
    puna_params *defaults = params ? NULL : puna_params_new();
    if (!s || (!params && !defaults)) {
        free(s);
        return puna_fail_memory(err, "session", sizeof *s);
    }
    s->model = model;
    puna_status status = open_session(s, params ? params : defaults, err);
    puna_params_free(defaults);
    if (status)
        puna_session_free(s);
    else
        *out = s;
    return status;
}

void puna_session_free(puna_session *s)
{
    if (!s)
        return;
    if (s->worker)
        s->model->backend->worker_close(s->worker);
    if (s->kv.caches)
        puna_kv_close(&s->kv);
    free(s->tokens);
    free(s->blocks);
    free(s->positions);
    free(s->output_rows);
    free(s->logits);
    free(s);
}

int32_t puna_session_n_ctx(const puna_session *s)
{
    return s->n_ctx;
}

void puna_session_set_progress(puna_session *s, puna_progress_fn *fn, void *user)
{
    s->progress = fn;
    s->progress_user = user;
}

const int32_t *puna_session_tokens(const puna_session *s, size_t *n_tokens)
{
    *n_tokens = (size_t)s->n_tokens;
    return s->tokens;
}

const float *puna_session_logits(const puna_session *s)
{
    return s->n_tokens > 0 && s->n_logits == s->n_tokens ? s->logits : NULL;
}

/* Evaluates tokens[n_tokens .. n_tokens + n) of the timeline as one batch; the last n_outputs of
 * them get logits. */
static puna_status run_batch(puna_session *s, const int32_t *tokens, int32_t n, int32_t n_outputs, float *logits,
                             puna_error *err)
{
    int32_t pos = s->n_tokens;
    puna_span span = { .first = 0, .n = n, .pos = pos, .blocks = s->blocks };
    for (int32_t i = 0; i < n; i++)
        s->positions[i] = pos + i;
    for (int32_t i = 0; i < n_outputs; i++)
        s->output_rows[i] = n - n_outputs + i;
    puna_batch batch = { .n_tokens = n, .tokens = tokens, .positions = s->positions, .n_spans = 1, .spans = &span,
                         .n_outputs = n_outputs, .output_rows = s->output_rows, .logits = logits };
    TRY(s->model->backend->run(s->worker, &batch, &s->kv, err));
    memmove(s->tokens + pos, tokens, (size_t)n * sizeof *tokens);
    s->n_tokens = pos + n;
    return PUNA_OK;
}

puna_status puna_session_extend(puna_session *s, int32_t token, puna_error *err)
{
    s->n_logits = 0;
    TRY(run_batch(s, &token, 1, 1, s->logits, err));
    s->n_logits = s->n_tokens;
    return PUNA_OK;
}

/* Everything that a caller may get wrong about tokens. */
static puna_status check(const puna_session *s, const int32_t *tokens, size_t n_tokens, puna_error *err)
{
    if (n_tokens > (size_t)s->n_ctx) {
        puna_fail(err, PUNA_ERR_CONTEXT, "context: got %zu tokens, expected at most %d", n_tokens, (int)s->n_ctx);
        return puna_hint(err, PUNA_ERR_CONTEXT, "a larger context (--ctx N), or a shorter prompt");
    }
    for (size_t i = 0; i < n_tokens; i++)
        if (tokens[i] < 0 || tokens[i] >= s->model->net.hp.n_vocab)
            return puna_fail(err, PUNA_ERR_ARGUMENT, "token %zu: got %d, expected 0..%d", i, (int)tokens[i],
                             (int)s->model->net.hp.n_vocab - 1);
    return PUNA_OK;
}

static int32_t common_prefix(const puna_session *s, const int32_t *tokens, size_t n_tokens)
{
    int32_t n = 0;
    while (n < s->n_tokens && (size_t)n < n_tokens && s->tokens[n] == tokens[n])
        n++;
    return n;
}

static void truncate_to(puna_session *s, int32_t n)
{
    s->n_tokens = n;
    if (s->n_logits != n)
        s->n_logits = 0;
}

puna_status puna_session_sync(puna_session *s, const int32_t *tokens, size_t n_tokens, puna_error *err)
{
    TRY(check(s, tokens, n_tokens, err));
    int32_t n = (int32_t)n_tokens, keep = common_prefix(s, tokens, n_tokens);
    if (keep == n && n > 0 && s->n_logits != n)
        keep = n - 1; /* the logits after the last token are gone: evaluate it again */
    truncate_to(s, keep);
    while (s->n_tokens < n) {
        int32_t left = n - s->n_tokens, size = left < s->n_batch ? left : s->n_batch;
        bool last = size == left;
        s->n_logits = 0;
        TRY(run_batch(s, tokens + s->n_tokens, size, last, s->logits, err));
        if (last)
            s->n_logits = n;
        else if (s->progress && s->progress(s->progress_user, (size_t)(s->n_tokens - keep), (size_t)(n - keep)))
            return puna_fail(err, PUNA_ERR_INTERRUPTED, "interrupted after %d of %d tokens", (int)s->n_tokens, (int)n);
    }
    return PUNA_OK;
}

/* Rows of logits that fit into about 64 MiB. */
static int32_t rows_at_once(const puna_session *s)
{
    int32_t rows = (16 << 20) / s->model->net.hp.n_vocab;
    if (rows > s->n_batch)
        rows = s->n_batch;
    return rows < 1 ? 1 : rows;
}

puna_status puna_session_each(puna_session *s, const int32_t *tokens, size_t n_tokens, puna_logits_fn *each,
                              void *user, puna_error *err)
{
    TRY(check(s, tokens, n_tokens, err));
    size_t n_vocab = (size_t)s->model->net.hp.n_vocab;
    int32_t n = (int32_t)n_tokens, rows = rows_at_once(s);
    float *logits = calloc((size_t)rows * n_vocab, sizeof *logits);
    if (!logits)
        return puna_fail_memory(err, "logits", (size_t)rows * n_vocab * sizeof *logits);
    puna_status status = PUNA_OK;
    truncate_to(s, 0);
    s->n_logits = 0;
    while (!status && s->n_tokens < n) {
        int32_t first = s->n_tokens, size = n - first < rows ? n - first : rows;
        status = run_batch(s, tokens + first, size, size, logits, err);
        for (int32_t i = 0; !status && i < size; i++)
            if (each(user, (size_t)(first + i), logits + (size_t)i * n_vocab))
                status = puna_fail(err, PUNA_ERR_INTERRUPTED, "interrupted after %d of %d tokens", (int)first + i + 1, (int)n);
        if (!status && s->n_tokens == n) {
            memcpy(s->logits, logits + (size_t)(size - 1) * n_vocab, n_vocab * sizeof *logits);
            s->n_logits = n;
        }
    }
    free(logits);
    return status;
}
