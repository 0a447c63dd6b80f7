/* sample.h - from logits to the next token. Owns the chain of samplers.def and its memory. A draw is a
 * function of its arguments alone (options, tokens before, logits): one sampler serves any number of
 * sequences in turn. Refuses models and text. One thread. */
#ifndef PUNA_SAMPLE_SAMPLE_H
#define PUNA_SAMPLE_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/rng.h"
#include "base/status.h"

typedef struct puna_sampling {
    float temperature;       /* 0 = greedy: the most probable, the lowest id of equals */
    int32_t top_k;           /* 0 = all */
    float top_p, min_p;      /* 1 and 0 = off */
    float repeat_penalty, frequency_penalty, presence_penalty; /* 1, 0, 0 = off */
    int32_t repeat_last_n;
    uint64_t seed;
} puna_sampling;

typedef struct puna_candidate {
    int32_t token;
    float logit;
} puna_candidate;

typedef struct puna_sampler {
    puna_sampling p; /* of the draw, like what follows */
    puna_rng rng;
    int32_t n_vocab;
    puna_candidate *candidates; /* [n_vocab]; the first n are in play */
    int32_t n;
    bool sorted;     /* candidates are in order, most probable first */
    int32_t *counts; /* [n_vocab]: how often each is among the last repeat_last_n tokens; 0 between draws */
} puna_sampler;

/* Allocates everything that sampling needs; puna_sampler_close frees it. */
puna_status puna_sampler_open(puna_sampler *s, int32_t n_vocab, puna_error *err);
void puna_sampler_close(puna_sampler *s);

/* Draws from logits[n_vocab] what follows n_tokens tokens; the random number is the n_tokens-th of the
 * seed. NaN logits are never drawn unless all are. */
int32_t puna_sampler_draw(puna_sampler *s, const puna_sampling *p, const int32_t *tokens, size_t n_tokens,
                          const float *logits);

#define S(ID, name) void puna_sample_##name(puna_sampler *s);
#include "sample/samplers.def"
#undef S

#endif
