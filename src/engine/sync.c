/* sync.c - making sessions hold lists of tokens: what they have of them is kept, what another session
 * has is shared, the rest is evaluated, all sessions' rows in the same batches.
 *
 * Sessions share whole blocks only, and at least one token is always evaluated, for its logits. A
 * session whose list begins like that of one before it in the same call waits for that one. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "engine/engine.h"

static int32_t common_prefix(const int32_t *a, int32_t n_a, const int32_t *b, int32_t n_b)
{
    int32_t n = 0;
    while (n < n_a && n < n_b && a[n] == b[n])
        n++;
    return n;
}

static int32_t whole_blocks(int32_t n)
{
    return n - n % PUNA_KV_BLOCK;
}

/* ---- sharing ---------------------------------------------------------------------------- */

/* Takes the first n tokens, whole blocks, from a session that holds them. */
static void adopt(puna_session *s, const puna_session *from, int32_t n)
{
    puna_blocks *b = &s->scheduler->blocks;
    for (int32_t i = s->n_tokens / PUNA_KV_BLOCK; i < n / PUNA_KV_BLOCK; i++) {
        puna_blocks_hold(b, from->blocks[i]);
        s->blocks[i] = from->blocks[i];
    }
    if (s->n_blocks < n / PUNA_KV_BLOCK)
        s->n_blocks = n / PUNA_KV_BLOCK;
    memcpy(s->tokens + s->n_tokens, from->tokens + s->n_tokens, (size_t)(n - s->n_tokens) * sizeof *s->tokens);
    s->n_tokens = n;
}

/* Whoever holds more of the list than the session itself, or will, gives it: finds who has most. */
static void share(puna_session *s, puna_session *const *sessions, size_t index)
{
    puna_request *r = &s->request;
    int32_t most = whole_blocks(r->n - 1), have = s->n_tokens, n;
    const puna_session *holder = NULL;
    const puna_plan *plan = &s->model->net.plan;
    if (most <= have || plan->n_states > 0 || plan->whole) /* blocks are not all that such a sequence keeps */
        return;
    for (const puna_session *other = s->scheduler->sessions; other; other = other->next)
        if (other != s && (n = whole_blocks(common_prefix(other->tokens, other->n_tokens, r->tokens, most))) > have) {
            have = n;
            holder = other;
        }
    for (size_t i = 0; i < index; i++) {
        const puna_request *earlier = &sessions[i]->request;
        if ((n = whole_blocks(common_prefix(earlier->tokens, earlier->n, r->tokens, most))) > have) {
            have = n;
            r->donor = sessions[i];
            r->n_donated = n;
        }
    }
    if (!holder && !r->donor)
        return;
    puna_session_truncate(s, whole_blocks(s->n_tokens));
    if (!r->donor)
        adopt(s, holder, have);
}

/* ---- a call ----------------------------------------------------------------------------- */

/* Says which of several sessions an error is about. */
static puna_status name_session(puna_status status, size_t index, size_t n, puna_error *err)
{
    char message[sizeof err->message];
    if (!err || n == 1)
        return status;
    memcpy(message, err->message, sizeof message);
    snprintf(err->message, sizeof err->message, "session %zu: %.400s", index, message);
    return status;
}

/* Checks one session of a call and notes what it is to hold. */
static puna_status note(puna_session *const *sessions, size_t index, const int32_t *tokens, size_t n_tokens,
                        puna_error *err)
{
    puna_session *s = sessions[index];
    if (s->scheduler != sessions[0]->scheduler)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "got a session of its own, expected one opened beside the first");
    if (s->request.active)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "got a session twice, expected each once");
    TRY(puna_session_check(s, tokens, n_tokens, err));
    s->request = (puna_request){ .active = true, .tokens = tokens, .n = (int32_t)n_tokens };
    return PUNA_OK;
}

/* Keeps what the session has of its list, and makes room for the rest. */
static puna_status prepare(puna_session *const *sessions, size_t index, puna_error *err)
{
    puna_session *s = sessions[index];
    puna_request *r = &s->request;
    int32_t keep = puna_session_restorable(s, common_prefix(s->tokens, s->n_tokens, r->tokens, r->n));
    if (keep == r->n && keep > 0 && !puna_session_has_logits(s, keep))
        keep = puna_session_restorable(
            s, keep - 1); /* the logits after the last token are gone: evaluate it again */
    puna_session_truncate(s, keep);
    share(s, sessions, index);
    r->from = s->n_tokens;
    return puna_session_reserve(s, r->n_donated, r->n, err);
}

/* Adds to the batch what fits of a session's missing tokens. */
static void add_rows(puna_session *s)
{
    puna_scheduler *c = s->scheduler;
    puna_request *r = &s->request;
    if (r->donor && r->donor->n_tokens >= r->n_donated) {
        adopt(s, r->donor, r->n_donated);
        r->donor = NULL;
    }
    int32_t left = r->n - s->n_tokens, room = puna_scheduler_room(c), n = left < room ? left : room;
    if (s->model->net.plan.whole && n < left)
        n = 0; /* not in parts: in a batch of its own */
    if (n > 0 && !r->donor)
        puna_scheduler_add(c, s, r->tokens + s->n_tokens, n, n == left, s->logits);
}

/* Tells a session how far it is after a batch. */
static puna_status report(const puna_session *s, puna_error *err)
{
    const puna_request *r = &s->request;
    if (s->progress && s->n_tokens < r->n && s->n_tokens > r->from &&
        s->progress(s->progress_user, (size_t)(s->n_tokens - r->from), (size_t)(r->n - r->from)))
        return puna_fail(err, PUNA_ERR_INTERRUPTED, "interrupted after %d of %d tokens", (int)s->n_tokens, (int)r->n);
    return PUNA_OK;
}

/* After a batch: the logits of whoever is done, and copies of states. */
static void note_progress(puna_session *s)
{
    const bool done = s->n_tokens == s->request.n;
    const int32_t last = s->n_checkpoints ? s->checkpoints[s->n_checkpoints - 1].n_tokens : 0;
    if (done)
        s->n_logits = s->n_tokens;
    if ((done && s->n_tokens > last) || s->n_tokens - last >= PUNA_CHECKPOINT_TOKENS)
        puna_session_checkpoint(s);
}

/* Batches until nothing is missing. */
static puna_status evaluate(puna_session *const *sessions, size_t n, puna_error *err)
{
    puna_scheduler *c = sessions[0]->scheduler;
    for (;;) {
        for (size_t i = 0; i < n; i++)
            add_rows(sessions[i]);
        if (c->batch.n_tokens == 0)
            return PUNA_OK;
        TRY(puna_scheduler_run(c, err));
        for (size_t i = 0; i < n; i++)
            note_progress(sessions[i]);
        for (size_t i = 0; i < n; i++) {
            puna_status status = report(sessions[i], err);
            if (status)
                return name_session(status, i, n, err);
        }
    }
}

puna_status puna_sessions_sync(puna_session *const *sessions, const int32_t *const *tokens, const size_t *n_tokens,
                               size_t n_sessions, puna_error *err)
{
    puna_status status = PUNA_OK;
    size_t n_noted = 0;
    for (; n_noted < n_sessions && !status; n_noted += !status) {
        status = note(sessions, n_noted, tokens[n_noted], n_tokens[n_noted], err);
        if (status)
            name_session(status, n_noted, n_sessions, err);
    }
    for (size_t i = 0; i < n_sessions && !status; i++) {
        status = prepare(sessions, i, err);
        if (status)
            name_session(status, i, n_sessions, err);
    }
    if (n_sessions > 0 && !status)
        status = evaluate(sessions, n_sessions, err);
    for (size_t i = 0; i < n_noted; i++) {
        sessions[i]->request = (puna_request){ 0 };
        puna_session_trim(sessions[i]);
    }
    return status;
}

puna_status puna_session_sync(puna_session *s, const int32_t *tokens, size_t n_tokens, puna_error *err)
{
    return puna_sessions_sync(&s, &tokens, &n_tokens, 1, err);
}
