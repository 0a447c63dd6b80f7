/* scheduler.h - what sessions opened beside each other share: a worker with its threads, a cache in
 * blocks, and the batch that is being put together. Owns which rows of which session are evaluated at
 * once; refuses to decide what a session should hold (sync.c). One thread at a time. */
#ifndef PUNA_ENGINE_SCHEDULER_H
#define PUNA_ENGINE_SCHEDULER_H

#include "engine/blocks.h"
#include "ops/backend.h"
#include "puna.h"
#include "sample/sample.h"

typedef struct puna_scheduler {
    const puna_model *model;
    puna_worker *worker;
    puna_worker *encoder;   /* NULL: the model has none */
    puna_profile profile;   /* of its runs; plan is NULL unless the option is on */
    puna_blocks blocks;
    puna_sampler sampler;
    puna_session *sessions; /* all of them, a list; the last to leave frees this */
    int32_t n_ctx, n_batch;
    bool encoding;          /* the batch is for the encoder */
    puna_batch batch;       /* points to what follows; empty between runs */
    int32_t *tokens, *positions, *output_rows; /* [n_batch], like the three below */
    float **logits;
    puna_span *spans;
    puna_session **members; /* of the spans */
} puna_scheduler;

puna_status puna_scheduler_open(puna_scheduler **out, const puna_model *model, const puna_params *params,
                                puna_error *err);
void puna_scheduler_close(puna_scheduler *c);

/* Rows that the batch still has room for. */
static inline int32_t puna_scheduler_room(const puna_scheduler *c)
{
    return c->n_batch - c->batch.n_tokens;
}

/* Adds the n tokens after a session's last to the batch, at most once a batch: of those for an encoder all, and to a batch of
 * such only. The last n_outputs of
 * them get logits, rows of plan.n_output from `logits` on. The session has blocks for them, held by nobody else. */
void puna_scheduler_add(puna_scheduler *c, puna_session *s, const int32_t *tokens, int32_t n, int32_t n_outputs,
                        float *logits);
/* Evaluates the batch, which is empty afterwards. When it succeeds, its sessions hold its tokens. */
puna_status puna_scheduler_run(puna_scheduler *c, puna_error *err);

#endif
