/* scheduler.c - batches over several sessions. Allocates when opened only. */
#include "engine/scheduler.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "engine/engine.h"

static puna_status allocate(puna_scheduler *c, puna_error *err)
{
    size_t n = (size_t)c->n_batch;
    c->tokens = calloc(n, sizeof *c->tokens);
    c->positions = calloc(n, sizeof *c->positions);
    c->output_rows = calloc(n, sizeof *c->output_rows);
    c->logits = calloc(n, sizeof *c->logits);
    c->spans = calloc(n, sizeof *c->spans);
    c->members = calloc(n, sizeof *c->members);
    if (!c->tokens || !c->positions || !c->output_rows || !c->logits || !c->spans || !c->members)
        return puna_fail_memory(err, "batch", n * (sizeof *c->spans + sizeof *c->logits));
    c->batch = (puna_batch){ .tokens = c->tokens, .positions = c->positions, .output_rows = c->output_rows,
                             .spans = c->spans, .logits = c->logits };
    return PUNA_OK;
}

static puna_status open_parts(puna_scheduler *c, const puna_params *params, puna_error *err)
{
    const puna_model *model = c->model;
    int64_t n_ctx = puna_params_int(params, PUNA_KEY_ctx), n_total = puna_params_int(params, PUNA_KEY_ctx_total);
    c->n_ctx = n_ctx > 0 ? (int32_t)n_ctx : model->net.hp.n_ctx_train;
    const int32_t most = model->net.plan.n_ctx_most;
    if (most > 0 && c->n_ctx > most) {
        puna_fail(err, PUNA_ERR_ARGUMENT, "option ctx: got %d, expected at most %d", (int)c->n_ctx, (int)most);
        return puna_hint(err, PUNA_ERR_ARGUMENT, "open the model with the context that its sessions will have");
    }
    n_total = n_total > c->n_ctx ? n_total : c->n_ctx;
    c->n_batch = (int32_t)puna_params_int(params, PUNA_KEY_batch);
    if (c->n_batch > n_total)
        c->n_batch = (int32_t)n_total;
    TRY(allocate(c, err));
    TRY(puna_sampler_open(&c->sampler, model->net.hp.n_vocab, err));
    puna_format format = puna_session_kv_format(model, params->texts[PUNA_KEY_kv_type]);
    TRY(puna_blocks_open(&c->blocks, &model->net.plan, puna_blocks_of((int32_t)n_total), PUNA_MAX_SLOTS,
                         format, err));
    bool profile = puna_params_int(params, PUNA_KEY_profile) != 0;
    if (profile)
        TRY(puna_profile_open(&c->profile, &model->net.plan, err));
    puna_backend_options options = {
        .n_threads = (int32_t)puna_params_int(params, PUNA_KEY_threads),
        .n_threads_prefill = (int32_t)puna_params_int(params, PUNA_KEY_threads_batch),
        .pin = strcmp(params->texts[PUNA_KEY_affinity], "on") == 0,
        .deterministic = puna_params_int(params, PUNA_KEY_deterministic) != 0,
        .max_tokens = c->n_batch,
        .max_outputs = c->n_batch,
        .fusion = puna_params_int(params, PUNA_KEY_fusion) != 0,
        .profile = profile ? &c->profile : NULL,
    };
    return model->backend->worker_open(&c->worker, model->program, &options, err);
}

puna_status puna_scheduler_open(puna_scheduler **out, const puna_model *model, const puna_params *params,
                                puna_error *err)
{
    *out = NULL;
    if (!model->has_weights)
        return puna_fail(err, PUNA_ERR_FORMAT, "model %s: got a vocabulary only, expected weights", model->name);
    puna_scheduler *c = calloc(1, sizeof *c);
    if (!c)
        return puna_fail_memory(err, "session", sizeof *c);
    c->model = model;
    puna_status status = open_parts(c, params, err);
    if (status)
        puna_scheduler_close(c);
    else
        *out = c;
    return status;
}

void puna_scheduler_close(puna_scheduler *c)
{
    if (c->worker)
        c->model->backend->worker_close(c->worker);
    puna_profile_close(&c->profile);
    puna_blocks_close(&c->blocks);
    puna_sampler_close(&c->sampler);
    free(c->tokens);
    free(c->positions);
    free(c->output_rows);
    free(c->logits);
    free(c->spans);
    free(c->members);
    free(c);
}

void puna_scheduler_add(puna_scheduler *c, puna_session *s, const int32_t *tokens, int32_t n, int32_t n_outputs,
                        float *logits)
{
    puna_batch *b = &c->batch;
    size_t n_vocab = (size_t)c->model->net.hp.n_vocab;
    assert(n > 0 && n <= puna_scheduler_room(c) && puna_blocks_of(s->n_tokens + n) <= s->n_blocks);
    c->members[b->n_spans] = s;
    c->spans[b->n_spans++] =
        (puna_span){ .first = b->n_tokens, .n = n, .pos = s->n_tokens, .blocks = s->blocks, .slot = s->slot };
    memcpy(c->tokens + b->n_tokens, tokens, (size_t)n * sizeof *tokens);
    for (int32_t i = 0; i < n; i++)
        c->positions[b->n_tokens + i] = s->n_tokens + i;
    b->n_tokens += n;
    for (int32_t i = 0; i < n_outputs; i++) {
        c->logits[b->n_outputs] = logits + (size_t)i * n_vocab;
        c->output_rows[b->n_outputs++] = b->n_tokens - n_outputs + i;
    }
}

puna_status puna_scheduler_run(puna_scheduler *c, puna_error *err)
{
    puna_batch *b = &c->batch;
    for (int32_t i = 0; i < b->n_spans; i++)
        c->members[i]->n_logits = 0;
    puna_status status = c->model->backend->run(c->worker, b, &c->blocks.kv, err);
    for (int32_t i = 0; i < b->n_spans && !status; i++) {
        puna_session *s = c->members[i];
        memcpy(s->tokens + s->n_tokens, c->tokens + c->spans[i].first, (size_t)c->spans[i].n * sizeof *s->tokens);
        s->n_tokens += c->spans[i].n;
    }
    b->n_tokens = b->n_spans = b->n_outputs = 0;
    return status;
}
