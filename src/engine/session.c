/* session.c - puna_session: one token timeline. Owns which tokens are evaluated and which blocks hold
 * them; refuses to bring it up to a list (sync.c), and sampling (generate.c). */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "engine/engine.h"

/* The weight of the first product. */
static puna_format weight_format(const puna_plan *plan)
{
    for (int32_t i = 0; i < plan->n_nodes; i++)
        if (plan->nodes[i].op == PUNA_OP_LINEAR)
            return plan->nodes[i].weight->format->id;
    return PUNA_FORMAT_F16;
}

/* A cache coarser than the weights would be the largest error of a float32 model. */
puna_format puna_session_kv_format(const puna_model *model, const char *wanted)
{
    const puna_format_info *named = puna_format_find(wanted);
    if (named)
        return named->id;
    bool exact = model->backend == &puna_backend_ref || weight_format(&model->net.plan) == PUNA_FORMAT_F32;
    return exact ? PUNA_FORMAT_F32 : PUNA_FORMAT_F16;
}

/* ---- opening ---------------------------------------------------------------------------- */

static void free_session(puna_session *s)
{
    free(s->tokens);
    free(s->blocks);
    free(s->logits);
    free(s);
}

/* A session in the scheduler's list. */
static puna_status join(puna_session **out, puna_scheduler *c, puna_error *err)
{
    size_t n_vocab = (size_t)c->model->net.hp.n_vocab, n_ctx = (size_t)c->n_ctx;
    puna_session *s = calloc(1, sizeof *s);
    if (s) {
        s->tokens = calloc(n_ctx, sizeof *s->tokens);
        s->blocks = calloc((size_t)puna_blocks_of(c->n_ctx), sizeof *s->blocks);
        s->logits = calloc(n_vocab, sizeof *s->logits);
    }
    if (!s || !s->tokens || !s->blocks || !s->logits) {
        if (s)
            free_session(s);
        return puna_fail_memory(err, "session", n_ctx * sizeof *s->tokens + n_vocab * sizeof *s->logits);
    }
    s->model = c->model;
    s->scheduler = c;
    puna_status status = puna_session_take_slot(s, err);
    if (status) {
        free_session(s);
        return status;
    }
    s->next = c->sessions;
    c->sessions = s;
    *out = s;
    return PUNA_OK;
}

puna_status puna_session_open(puna_session **out, const puna_model *model, const puna_params *params,
                              puna_error *err)
{
    *out = NULL;
    puna_scheduler *c = NULL;
    puna_params *defaults = params ? NULL : puna_params_new();
    if (!params && !defaults)
        return puna_fail_memory(err, "parameters", sizeof *defaults);
    puna_status status = puna_scheduler_open(&c, model, params ? params : defaults, err);
    puna_params_free(defaults);
    TRY(status);
    status = join(out, c, err);
    if (status)
        puna_scheduler_close(c);
    return status;
}

puna_status puna_session_open_beside(puna_session **out, puna_session *first, puna_error *err)
{
    *out = NULL;
    return join(out, first->scheduler, err);
}

void puna_session_free(puna_session *s)
{
    if (!s)
        return;
    puna_scheduler *c = s->scheduler;
    puna_session **link = &c->sessions;
    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    puna_session_truncate(s, 0);
    puna_session_drop_slots(s);
    free_session(s);
    if (!c->sessions)
        puna_scheduler_close(c);
}

/* ---- what it holds ---------------------------------------------------------------------- */

int32_t puna_session_n_ctx(const puna_session *s)
{
    return s->scheduler->n_ctx;
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

void puna_session_truncate(puna_session *s, int32_t n)
{
    puna_session_restore(s, n);
    s->n_tokens = n;
    if (s->n_logits != n)
        s->n_logits = 0;
    puna_session_trim(s);
}

void puna_session_trim(puna_session *s)
{
    while (s->n_blocks > puna_blocks_of(s->n_tokens)) {
        int32_t block = s->blocks[--s->n_blocks];
        if (block >= 0)
            puna_blocks_drop(&s->scheduler->blocks, block);
    }
}

puna_status puna_session_reserve(puna_session *s, int32_t donated, int32_t n, puna_error *err)
{
    puna_blocks *b = &s->scheduler->blocks;
    int32_t end = puna_blocks_of(n), own = donated / PUNA_KV_BLOCK, last = s->n_tokens / PUNA_KV_BLOCK;
    /* The last block of a session that was truncated may hold what another still reads. */
    bool copies = n > s->n_tokens && s->n_tokens % PUNA_KV_BLOCK && b->holders[s->blocks[last]] > 1;
    int32_t first = s->n_blocks > own ? s->n_blocks : own, wanted = (end > first ? end - first : 0) + copies;
    if (wanted > b->n_free) {
        puna_fail(err, PUNA_ERR_MEMORY, "cache: got %d tokens more, expected at most %d beside the other sessions'",
                  (int)(n - s->n_tokens), (int)(b->n_free * PUNA_KV_BLOCK));
        return puna_hint(err, PUNA_ERR_MEMORY, "free or truncate another session, or open the first with a larger ctx_total");
    }
    if (copies) {
        int32_t old = s->blocks[last];
        s->blocks[last] = puna_blocks_copy(b, old);
        puna_blocks_drop(b, old);
    }
    while (s->n_blocks < end) {
        int32_t i = s->n_blocks++;
        s->blocks[i] = i < own ? -1 : puna_blocks_take(b);
    }
    return PUNA_OK;
}

/* A model in which every token sees all others takes a text whole. */
static puna_status check_whole(const puna_session *s, size_t n_tokens, puna_error *err)
{
    const int32_t most = s->scheduler->n_batch;
    if (!s->model->net.plan.whole || n_tokens <= (size_t)most)
        return PUNA_OK;
    puna_fail(err, PUNA_ERR_CONTEXT,
              "batch: got %zu tokens, expected at most %d: this model reads them all at once", n_tokens,
              (int)most);
    return puna_hint(err, PUNA_ERR_CONTEXT, "a larger batch (--batch N), or a shorter text");
}

puna_status puna_session_check(const puna_session *s, const int32_t *tokens, size_t n_tokens, puna_error *err)
{
    int32_t n_ctx = s->scheduler->n_ctx;
    TRY(check_whole(s, n_tokens, err));
    if (n_tokens > (size_t)n_ctx) {
        puna_fail(err, PUNA_ERR_CONTEXT, "context: got %zu tokens, expected at most %d", n_tokens, (int)n_ctx);
        return puna_hint(err, PUNA_ERR_CONTEXT, "a larger context (--ctx N), or a shorter prompt");
    }
    for (size_t i = 0; i < n_tokens; i++)
        if (tokens[i] < 0 || tokens[i] >= s->model->net.hp.n_vocab)
            return puna_fail(err, PUNA_ERR_ARGUMENT, "token %zu: got %d, expected 0..%d", i, (int)tokens[i],
                             (int)s->model->net.hp.n_vocab - 1);
    return PUNA_OK;
}

/* ---- evaluating ------------------------------------------------------------------------- */

puna_status puna_session_extend(puna_session *s, int32_t token, puna_error *err)
{
    if (s->model->net.plan.whole)
        return puna_fail(
            err, PUNA_ERR_ARGUMENT,
            "model %s: got a text to go on with, expected a whole one: in it every token sees those after it",
            s->model->name);
    TRY(puna_session_reserve(s, 0, s->n_tokens + 1, err));
    puna_scheduler_add(s->scheduler, s, &token, 1, 1, s->logits);
    puna_status status = puna_scheduler_run(s->scheduler, err);
    puna_session_trim(s);
    s->n_logits = status ? 0 : s->n_tokens;
    return status;
}

/* Rows of logits that fit into about 64 MiB. */
static int32_t rows_at_once(const puna_session *s)
{
    int32_t rows = (16 << 20) / s->model->net.hp.n_vocab, most = s->scheduler->n_batch;
    rows = rows < most && !s->model->net.plan.whole ? rows : most;
    return rows < 1 ? 1 : rows;
}

/* The whole list in batches of as many rows as `logits` has. */
static puna_status walk(puna_session *s, const int32_t *tokens, int32_t n, float *logits, puna_logits_fn *each,
                        void *user, puna_error *err)
{
    size_t n_vocab = (size_t)s->model->net.hp.n_vocab;
    int32_t rows = rows_at_once(s);
    while (s->n_tokens < n) {
        int32_t first = s->n_tokens, size = n - first < rows ? n - first : rows;
        puna_scheduler_add(s->scheduler, s, tokens + first, size, size, logits);
        TRY(puna_scheduler_run(s->scheduler, err));
        for (int32_t i = 0; i < size; i++)
            if (each(user, (size_t)(first + i), logits + (size_t)i * n_vocab))
                return puna_fail(err, PUNA_ERR_INTERRUPTED, "interrupted after %d of %d tokens", (int)first + i + 1, (int)n);
        if (s->n_tokens == n) {
            memcpy(s->logits, logits + (size_t)(size - 1) * n_vocab, n_vocab * sizeof *logits);
            s->n_logits = n;
        }
    }
    return PUNA_OK;
}

puna_status puna_session_each(puna_session *s, const int32_t *tokens, size_t n_tokens, puna_logits_fn *each,
                              void *user, puna_error *err)
{
    TRY(puna_session_check(s, tokens, n_tokens, err));
    size_t n_floats = (size_t)rows_at_once(s) * (size_t)s->model->net.hp.n_vocab;
    float *logits = calloc(n_floats, sizeof *logits);
    if (!logits)
        return puna_fail_memory(err, "logits", n_floats * sizeof *logits);
    puna_session_truncate(s, 0);
    puna_status status = puna_session_reserve(s, 0, (int32_t)n_tokens, err);
    if (!status)
        status = walk(s, tokens, (int32_t)n_tokens, logits, each, user, err);
    puna_session_trim(s);
    free(logits);
    return status;
}
