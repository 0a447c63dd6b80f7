/* sample.c - the samplers of samplers.def. */
#include "sample/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

puna_status puna_sampler_open(puna_sampler *s, int32_t n_vocab, puna_error *err)
{
    size_t n = (size_t)n_vocab;
    *s = (puna_sampler){ .n_vocab = n_vocab };
    s->candidates = calloc(n + 1, sizeof *s->candidates);
    s->counts = calloc(n + 1, sizeof *s->counts);
    if (s->candidates && s->counts)
        return PUNA_OK;
    puna_sampler_close(s);
    return puna_fail_memory(err, "sampler", n * (sizeof *s->candidates + sizeof *s->counts));
}

void puna_sampler_close(puna_sampler *s)
{
    free(s->candidates);
    free(s->counts);
    *s = (puna_sampler){ 0 };
}

static bool penalises(const puna_sampling *p)
{
    return p->repeat_penalty != 1 || p->frequency_penalty != 0 || p->presence_penalty != 0;
}

/* Repetition: Keskar et al. 2019 (arXiv 1909.05858): a positive logit is divided, a negative one
 * multiplied. Frequency and presence: subtracted, per occurrence and once. */
void puna_sample_penalties(puna_sampler *s)
{
    const puna_sampling *p = &s->p;
    if (!penalises(p))
        return;
    for (int32_t i = 0; i < s->n; i++) {
        puna_candidate *c = &s->candidates[i];
        int32_t count = s->counts[c->token];
        if (!count)
            continue;
        c->logit = c->logit > 0 ? c->logit / p->repeat_penalty : c->logit * p->repeat_penalty;
        c->logit -= (float)count * p->frequency_penalty + p->presence_penalty;
        s->sorted = false;
    }
}

/* a before b: the higher logit, of equals the lower id. */
static bool before(puna_candidate a, puna_candidate b)
{
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

static int compare(const void *a, const void *b)
{
    puna_candidate x = *(const puna_candidate *)a, y = *(const puna_candidate *)b;
    return before(x, y) ? -1 : before(y, x);
}

/* Lets heap[0] (the least of a heap whose root is the least) sink to its place. */
static void sink(puna_candidate *heap, int32_t n)
{
    for (int32_t i = 0, child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(heap[child], heap[child + 1]))
            child++;
        if (before(heap[child], heap[i]))
            return;
        puna_candidate swap = heap[i];
        heap[i] = heap[child];
        heap[child] = swap;
    }
}

/* The first k candidates as a heap whose root is the worst of them. */
static void make_heap(puna_candidate *c, int32_t k)
{
    qsort(c, (size_t)k, sizeof *c, compare);
    for (int32_t i = 0; i < k / 2; i++) { /* reversed order is a valid heap */
        puna_candidate swap = c[i];
        c[i] = c[k - 1 - i];
        c[k - 1 - i] = swap;
    }
}

/* The k best of all move to the front: a heap of the k best so far is compared with every other candidate. */
static void keep_best(puna_sampler *s, int32_t k)
{
    puna_candidate *c = s->candidates;
    make_heap(c, k);
    for (int32_t i = k; i < s->n; i++)
        if (before(c[i], c[0])) {
            c[0] = c[i];
            sink(c, k);
        }
    s->n = k;
    qsort(c, (size_t)k, sizeof *c, compare);
    s->sorted = true;
}

static void sort(puna_sampler *s)
{
    if (!s->sorted)
        qsort(s->candidates, (size_t)s->n, sizeof *s->candidates, compare);
    s->sorted = true;
}

void puna_sample_top_k(puna_sampler *s)
{
    if (s->p.temperature <= 0)
        keep_best(s, 1);
    else if (s->p.top_k > 0 && s->p.top_k < s->n)
        keep_best(s, s->p.top_k);
}

static double total_of(const puna_sampler *s, float highest)
{
    double total = 0;
    for (int32_t i = 0; i < s->n; i++)
        total += exp((double)(s->candidates[i].logit - highest));
    return total;
}

/* Holtzman et al. 2019 (arXiv 1904.09751): the smallest set of most probable tokens whose
 * probabilities reach p. */
void puna_sample_top_p(puna_sampler *s)
{
    if (s->p.top_p >= 1 || s->n <= 1)
        return;
    sort(s);
    float highest = s->candidates[0].logit;
    double want = (double)s->p.top_p * total_of(s, highest), sum = 0;
    int32_t n = 0;
    while (n < s->n && (n == 0 || sum < want))
        sum += exp((double)(s->candidates[n++].logit - highest));
    s->n = n;
}

/* Nguyen et al. 2024 (arXiv 2407.01082): a floor relative to the most probable token. */
void puna_sample_min_p(puna_sampler *s)
{
    if (s->p.min_p <= 0 || s->n <= 1)
        return;
    float highest = -INFINITY, floor_logit;
    for (int32_t i = 0; i < s->n; i++)
        highest = fmaxf(highest, s->candidates[i].logit);
    floor_logit = highest + logf(s->p.min_p);
    int32_t n = 0;
    for (int32_t i = 0; i < s->n; i++)
        if (s->candidates[i].logit >= floor_logit)
            s->candidates[n++] = s->candidates[i];
    s->n = n > 0 ? n : 1;
}

void puna_sample_temperature(puna_sampler *s)
{
    for (int32_t i = 0; i < s->n && s->p.temperature > 0; i++)
        s->candidates[i].logit /= s->p.temperature;
}

void puna_sample_draw(puna_sampler *s)
{
    float highest = -INFINITY;
    for (int32_t i = 0; i < s->n; i++)
        highest = fmaxf(highest, s->candidates[i].logit);
    int32_t chosen = 0;
    if (s->n > 1 && isfinite(highest)) {
        double left = puna_rng_uniform(&s->rng) * total_of(s, highest);
        while (chosen < s->n - 1) {
            left -= exp((double)(s->candidates[chosen].logit - highest));
            if (left < 0)
                break;
            chosen++;
        }
    }
    s->candidates[0] = s->candidates[chosen];
    s->n = 1;
}

/* Vocabularies are large and nothing else can run while one draws, so that the usual draws read the
 * logits once, LANES at a time. Comparisons with a NaN are false: it is never the highest. */
enum { LANES = 16 };

static float highest_of(const float *logits)
{
    float best[LANES], highest = -INFINITY;
    for (int k = 0; k < LANES; k++)
        best[k] = logits[k] > -INFINITY ? logits[k] : -INFINITY;
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++)
            best[k] = best[k + half] > best[k] ? best[k + half] : best[k];
    return best[0] > highest ? best[0] : highest;
}

/* What the chain comes to without penalties at temperature 0. */
static int32_t most_probable(const float *logits, int32_t n)
{
    float best[LANES], highest;
    int32_t i = 0;
    for (int k = 0; k < LANES; k++)
        best[k] = -INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            best[k] = logits[i + k] > best[k] ? logits[i + k] : best[k];
    highest = highest_of(best);
    for (; i < n; i++)
        highest = logits[i] > highest ? logits[i] : highest;
    for (i = 0; i < n; i++)
        if (logits[i] == highest)
            return i;
    return 0;
}

/* The k best of all logits become the candidates, in order. */
static void gather_best(puna_sampler *s, const float *logits, int32_t k)
{
    puna_candidate *c = s->candidates;
    int32_t i = 0;
    for (; i < s->n_vocab && s->n < k; i++)
        if (!isnan(logits[i]))
            c[s->n++] = (puna_candidate){ i, logits[i] };
    make_heap(c, s->n);
    while (i < s->n_vocab) {
        if (s->n_vocab - i >= LANES && !(highest_of(logits + i) > c[0].logit)) {
            i += LANES;
            continue;
        }
        for (int32_t end = s->n_vocab - i >= LANES ? i + LANES : s->n_vocab; i < end; i++)
            if (logits[i] > c[0].logit) { /* of equals the earlier one stays */
                c[0] = (puna_candidate){ i, logits[i] };
                sink(c, s->n);
            }
    }
    qsort(c, (size_t)s->n, sizeof *c, compare);
    s->sorted = true;
}

static void gather_all(puna_sampler *s, const float *logits)
{
    for (int32_t i = 0; i < s->n_vocab; i++)
        if (!isnan(logits[i]))
            s->candidates[s->n++] = (puna_candidate){ i, logits[i] };
}

static void run_chain(puna_sampler *s, const float *logits)
{
    static void (*const chain[])(puna_sampler *) = {
#define S(ID, name) puna_sample_##name,
#include "sample/samplers.def"
#undef S
    };
    s->n = 0;
    s->sorted = false;
    if (s->p.top_k > 0 && s->p.top_k < s->n_vocab && !penalises(&s->p))
        gather_best(s, logits, s->p.top_k); /* what top_k would leave */
    else
        gather_all(s, logits);
    if (s->n == 0)
        s->candidates[s->n++] = (puna_candidate){ 0, 0 };
    for (size_t i = 0; i < sizeof chain / sizeof *chain; i++)
        chain[i](s);
}

int32_t puna_sampler_draw(puna_sampler *s, const puna_sampling *p, const int32_t *tokens, size_t n_tokens,
                          const float *logits)
{
    if (p->temperature <= 0 && !penalises(p))
        return most_probable(logits, s->n_vocab);
    size_t n = p->repeat_last_n > 0 && penalises(p) ? (size_t)p->repeat_last_n : 0;
    n = n < n_tokens ? n : n_tokens;
    const int32_t *recent = n ? tokens + (n_tokens - n) : NULL;
    puna_rng seeded = puna_rng_make(p->seed);
    s->p = *p;
    s->rng = puna_rng_make(puna_rng_next(&seeded) ^ n_tokens);
    for (size_t i = 0; i < n; i++)
        s->counts[recent[i]]++;
    run_chain(s, logits);
    for (size_t i = 0; i < n; i++)
        s->counts[recent[i]] = 0;
    return s->candidates[0].token;
}
