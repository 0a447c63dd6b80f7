/* generate.c - the token loop: draw, show, evaluate. Allocates before the loop, never in it. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "engine/engine.h"

static uint64_t fresh_seed(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000007u ^ (uint64_t)now.tv_nsec ^ (uint64_t)puna_clock_ns() << 20;
}

static puna_sampling sampling_of(const puna_params *p)
{
    int64_t seed = puna_params_int(p, PUNA_KEY_seed);
    return (puna_sampling){
        .temperature = puna_params_float(p, PUNA_KEY_temp),
        .top_k = (int32_t)puna_params_int(p, PUNA_KEY_top_k),
        .top_p = puna_params_float(p, PUNA_KEY_top_p),
        .min_p = puna_params_float(p, PUNA_KEY_min_p),
        .repeat_penalty = puna_params_float(p, PUNA_KEY_repeat_penalty),
        .frequency_penalty = puna_params_float(p, PUNA_KEY_frequency_penalty),
        .presence_penalty = puna_params_float(p, PUNA_KEY_presence_penalty),
        .repeat_last_n = (int32_t)puna_params_int(p, PUNA_KEY_repeat_last_n),
        .seed = seed < 0 ? fresh_seed() : (uint64_t)seed,
    };
}

static int32_t draw(puna_session *s, const puna_sampling *p)
{
    return puna_sampler_draw(&s->scheduler->sampler, p, s->tokens, (size_t)s->n_tokens, s->logits);
}

/* An error names what is asked for. */
static puna_status need_logits(const puna_session *s, const char *what, puna_error *err)
{
    if (puna_session_logits(s))
        return PUNA_OK;
    if (s->model->net.plan.vectors)
        return puna_fail(err, PUNA_ERR_ARGUMENT,
                         "%s: model %s: got one that gives vectors, expected one that gives logits", what,
                         s->model->name);
    return puna_fail(err, PUNA_ERR_ARGUMENT, "%s: the session holds no logits, expected a sync before", what);
}

puna_status puna_session_sample(puna_session *session, const puna_params *params, int32_t *token, puna_error *err)
{
    TRY(need_logits(session, "sample", err));
    puna_params *defaults = params ? NULL : puna_params_new();
    if (!params && !defaults)
        return puna_fail_memory(err, "parameters", sizeof *defaults);
    puna_sampling sampling = sampling_of(params ? params : defaults);
    puna_params_free(defaults);
    *token = draw(session, &sampling);
    return PUNA_OK;
}

/* What the loop carries from token to token. */
typedef struct generation {
    puna_session *session;
    puna_sampling sampling;
    puna_detokenizer detokenizer;
    puna_text_fn *each;
    void *user;
    puna_result *result;
    int64_t n_predict;
    bool ignore_end;
    char *text; /* of one token */
    size_t capacity;
} generation;

static int show(generation *g, int32_t token)
{
    size_t n = token >= 0 ? puna_detokenizer_add(&g->detokenizer, g->session->model->vocab, token, false, g->text, g->capacity)
                          : puna_detokenizer_finish(&g->detokenizer, g->text, g->capacity);
    if (!g->each || (token < 0 && n == 0))
        return 0;
    return g->each(g->user, token, g->text, n);
}

static puna_status loop(generation *g, puna_error *err)
{
    puna_session *s = g->session;
    puna_result *r = g->result;
    double start = puna_clock_ms();
    while (g->n_predict < 0 || r->n_tokens < g->n_predict) {
        int32_t token = draw(s, &g->sampling);
        double now = puna_clock_ms();
        if (r->n_tokens++ == 0)
            r->first_token_ms = now - start;
        r->decode_ms = now - start - r->first_token_ms;
        if (!g->ignore_end && puna_vocab_is_end(s->model->vocab, token)) {
            r->finish = PUNA_FINISH_STOP;
            return PUNA_OK;
        }
        if (show(g, token)) {
            r->finish = PUNA_FINISH_INTERRUPTED;
            return PUNA_OK;
        }
        if (s->n_tokens >= s->scheduler->n_ctx || r->n_tokens == g->n_predict)
            break;
        TRY(puna_session_extend(s, token, err));
    }
    r->finish = PUNA_FINISH_LENGTH;
    return PUNA_OK;
}

puna_status puna_generate(puna_session *session, const puna_params *params, puna_text_fn *each, void *user,
                          puna_result *result, puna_error *err)
{
    puna_result ignored;
    generation g = { .session = session, .each = each, .user = user, .result = result ? result : &ignored };
    *g.result = (puna_result){ .finish = PUNA_FINISH_LENGTH };
    TRY(need_logits(session, "generate", err));
    puna_params *defaults = params ? NULL : puna_params_new();
    if (!params && !defaults)
        return puna_fail_memory(err, "parameters", sizeof *defaults);
    const puna_params *p = params ? params : defaults;
    g.sampling = sampling_of(p);
    g.n_predict = puna_params_int(p, PUNA_KEY_n_predict);
    g.ignore_end = puna_params_int(p, PUNA_KEY_ignore_eos) != 0;
    puna_params_free(defaults);
    g.capacity = puna_vocab_max_piece(session->model->vocab) + 8;
    g.text = malloc(g.capacity);
    if (!g.text)
        return puna_fail_memory(err, "text", g.capacity);
    puna_status status = loop(&g, err);
    show(&g, -1);
    free(g.text);
    return status;
}

static double log_total(const float *logits, size_t n, double *highest)
{
    double most = -INFINITY, total = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, (double)logits[i]);
    for (size_t i = 0; i < n; i++)
        total += exp((double)logits[i] - most);
    *highest = most;
    return log(total);
}

float puna_logprob(const float *logits, size_t n, int32_t token)
{
    double highest, total = log_total(logits, n, &highest);
    return token < 0 || (size_t)token >= n ? -INFINITY : (float)((double)logits[token] - highest - total);
}

/* Whether token a with logit x comes before b with y: the higher, of equals the lower id. */
static bool ahead(float x, int32_t a, float y, int32_t b)
{
    return x != y ? x > y : a < b;
}

/* Lets the root of a heap whose root is the last in order sink to its place. */
static void sink(int32_t *tokens, float *values, size_t n)
{
    for (size_t i = 0, child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && ahead(values[child], tokens[child], values[child + 1], tokens[child + 1]))
            child++;
        if (ahead(values[child], tokens[child], values[i], tokens[i]))
            return;
        float value = values[i];
        int32_t token = tokens[i];
        values[i] = values[child];
        tokens[i] = tokens[child];
        values[child] = value;
        tokens[child] = token;
    }
}

size_t puna_top_logprobs(const float *logits, size_t n, size_t k, int32_t *tokens, float *logprobs)
{
    double highest, total = log_total(logits, n, &highest);
    if (k > n)
        k = n;
    if (k == 0)
        return 0;
    for (size_t i = 0; i < k; i++) { /* no candidate yet: behind every real one */
        tokens[i] = INT32_MAX;
        logprobs[i] = -INFINITY;
    }
    for (size_t i = 0; i < n; i++)
        if (ahead(logits[i], (int32_t)i, logprobs[0], tokens[0])) {
            tokens[0] = (int32_t)i;
            logprobs[0] = logits[i];
            sink(tokens, logprobs, k);
        }
    for (size_t left = k; left > 1; left--) { /* the last in order moves to the end */
        float value = logprobs[0];
        int32_t token = tokens[0];
        logprobs[0] = logprobs[left - 1];
        tokens[0] = tokens[left - 1];
        logprobs[left - 1] = value;
        tokens[left - 1] = token;
        sink(tokens, logprobs, left - 1);
    }
    for (size_t i = 0; i < k; i++)
        logprobs[i] = (float)((double)logprobs[i] - highest - total);
    return k;
}
