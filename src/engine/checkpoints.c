/* checkpoints.c - copies of a session's states at some of its positions. Keys and values are taken back by
 * forgetting positions; a state has read all of them, so that going back needs a copy of what it was. Owns where
 * copies are made and which are given up; refuses to decide what a session should hold (sync.c).
 *
 * Copies are made at the end of what a sync was asked for, which is where the next one most often parts, and on the way
 * there after every PUNA_CHECKPOINT_TOKENS. When there are too many, the one goes whose neighbours are nearest. */
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

int32_t puna_session_restorable(const puna_session *s, int32_t n)
{
    const puna_plan *plan = &s->model->net.plan;
    if (plan->whole)
        return n == s->n_tokens && n == s->request.n ? n : 0;
    if (plan->n_states == 0 || n == s->n_tokens)
        return n;
    for (int32_t i = s->n_checkpoints - 1; i >= 0; i--)
        if (s->checkpoints[i].n_tokens <= n)
            return s->checkpoints[i].n_tokens;
    return 0;
}

static const puna_checkpoint *at(const puna_session *s, int32_t n)
{
    for (int32_t i = 0; i < s->n_checkpoints; i++)
        if (s->checkpoints[i].n_tokens == n)
            return &s->checkpoints[i];
    return NULL;
}

bool puna_session_has_logits(const puna_session *s, int32_t n)
{
    const puna_checkpoint *c = at(s, n);
    return s->n_logits == n || (c && c->logits);
}

static void forget(puna_session *s, int32_t i)
{
    puna_blocks_drop_slot(&s->scheduler->blocks, s->checkpoints[i].slot);
    free(s->checkpoints[i].logits);
    s->n_checkpoints--;
    memmove(&s->checkpoints[i], &s->checkpoints[i + 1],
            (size_t)(s->n_checkpoints - i) * sizeof *s->checkpoints);
}

/* The one that is missed least. */
static int32_t closest(const puna_session *s)
{
    int32_t best = 0, least = INT32_MAX;
    for (int32_t i = 0; i < s->n_checkpoints; i++) {
        const int32_t before = i > 0 ? s->checkpoints[i - 1].n_tokens : 0;
        const int32_t after = i + 1 < s->n_checkpoints ? s->checkpoints[i + 1].n_tokens : s->n_tokens;
        if (after - before < least) {
            least = after - before;
            best = i;
        }
    }
    return best;
}

void puna_session_checkpoint(puna_session *s)
{
    puna_blocks *b = &s->scheduler->blocks;
    const size_t n_vocab = (size_t)s->model->net.hp.n_vocab;
    if (s->slot < 0 || s->n_tokens == 0)
        return;
    if (at(s, s->n_tokens))
        forget(s, (int32_t)(at(s, s->n_tokens) - s->checkpoints));
    if (s->n_checkpoints == PUNA_CHECKPOINTS)
        forget(s, closest(s));
    puna_checkpoint c = { .n_tokens = s->n_tokens, .slot = puna_blocks_take_slot(b) };
    if (c.slot < 0)
        return; /* as without: going back will take longer */
    puna_kv_state_copy(&b->kv, c.slot, s->slot);
    c.logits = s->n_logits == s->n_tokens ? malloc(n_vocab * sizeof *c.logits) : NULL;
    if (c.logits)
        memcpy(c.logits, s->logits, n_vocab * sizeof *c.logits);
    s->checkpoints[s->n_checkpoints++] = c;
}

void puna_session_restore(puna_session *s, int32_t n)
{
    const puna_checkpoint *c = at(s, n);
    if (s->slot < 0)
        return;
    if (n < s->n_tokens && c) {
        puna_kv_state_copy(&s->scheduler->blocks.kv, s->slot, c->slot);
        if (c->logits && s->n_logits != n) {
            memcpy(s->logits, c->logits, (size_t)s->model->net.hp.n_vocab * sizeof *c->logits);
            s->n_logits = n;
        }
    }
    if (n == 0)
        puna_kv_state_clear(&s->scheduler->blocks.kv, s->slot);
    while (s->n_checkpoints > 0 && s->checkpoints[s->n_checkpoints - 1].n_tokens > n)
        forget(s, s->n_checkpoints - 1);
}

puna_status puna_session_take_slot(puna_session *s, puna_error *err)
{
    puna_blocks *b = &s->scheduler->blocks;
    s->slot = -1;
    if (s->model->net.plan.n_states == 0)
        return PUNA_OK;
    s->slot = puna_blocks_take_slot(b);
    if (s->slot < 0)
        return puna_fail(err, PUNA_ERR_MEMORY,
                         "session: got more than %d beside each other, expected fewer: their states and "
                         "copies fill memory",
                         (int)b->kv.n_slots);
    puna_kv_state_clear(&b->kv, s->slot);
    return PUNA_OK;
}

void puna_session_drop_slots(puna_session *s)
{
    while (s->n_checkpoints > 0)
        forget(s, s->n_checkpoints - 1);
    if (s->slot >= 0)
        puna_blocks_drop_slot(&s->scheduler->blocks, s->slot);
}
