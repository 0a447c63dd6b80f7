/* attention.h - softmax(q k^T) v over the paged cache, one key/value head at a time. Owns the
 * online softmax (Milakov and Gimelshein 2018, arXiv 1805.02867; tiles as in Dao et al. 2022,
 * arXiv 2205.14135) and the masks; refuses threads: callers divide heads, queries and key ranges.
 *
 * A job is a tile of queries of one sequence that read the same key/value head: n_rows
 * consecutive positions times the n_group query heads that share it, so that every key and value
 * is loaded once for all of them. Keys are absorbed in whole blocks, in any number of calls;
 * jobs over neighbouring key ranges merge. */
#ifndef PUNA_BACKEND_CPU_ATTENTION_H
#define PUNA_BACKEND_CPU_ATTENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ops/kv.h"

enum {
    PUNA_ATTENTION_STRIP = 6,       /* queries that a kernel takes at once */
    PUNA_ATTENTION_TILE_BLOCKS = 4, /* blocks between two rescalings of the sums */
    PUNA_ATTENTION_TILE = PUNA_ATTENTION_TILE_BLOCKS * PUNA_KV_BLOCK
};

/* Inner loops of one ISA level; m <= PUNA_ATTENTION_STRIP. */
typedef struct puna_attention_kernels {
    /* s[i * s_stride + j] = q_i . k_j for the 32 keys of a block, k[dim][32]. */
    void (*scores)(int32_t m, const float *q, size_t q_stride, const void *k, int32_t dim, bool f16, float *s,
                   size_t s_stride);
    /* s[n] becomes exp(s - highest); *highest and *total go on; returns what older sums are to be
     * multiplied with. n is a multiple of 32. */
    float (*softmax)(float *s, int32_t n, float *highest, float *total);
    /* sums[i][dim] = factor[i] * sums[i][dim] + p_i v over n_keys values in blocks v[.][32][dim]. */
    void (*weigh)(int32_t m, const float *p, size_t p_stride, const float *factor, const void *const *v,
                  int32_t n_keys, int32_t dim, bool f16, float *sums, size_t sums_stride);
} puna_attention_kernels;

extern const puna_attention_kernels puna_attention_scalar;
extern const puna_attention_kernels puna_attention_avx2;
extern const puna_attention_kernels puna_attention_neon;

const puna_attention_kernels *puna_attention_choose(uint32_t allowed);

typedef struct puna_attention_job {
    const puna_attention_kernels *kernels;
    const puna_attention_params *p;
    const puna_kv *kv;
    const int32_t *blocks; /* of the sequence */
    int32_t head_kv;
    int32_t pos, n_rows, n_group;
    float *q;               /* [n_rows * n_group, head_dim], already times p->scale */
    float *sums;            /* [n_rows * n_group, head_dim_v] */
    float *highest, *total; /* [n_rows * n_group] */
    float *scores;          /* [PUNA_ATTENTION_STRIP, PUNA_ATTENTION_TILE] */
    void (*softcap)(float factor, float cap, float *x, size_t n);
} puna_attention_job;

/* The blocks [*begin, *end) that the queries at pos .. pos + n_rows - 1 see some key of. */
void puna_attention_range(int32_t window, int32_t pos, int32_t n_rows, int32_t *begin, int32_t *end);

void puna_attention_begin(puna_attention_job *job);
void puna_attention_absorb(puna_attention_job *job, int32_t begin, int32_t end);

/* job += another one's sums, highest and total, each packed as in the job. */
void puna_attention_merge(puna_attention_job *job, const float *sums, const float *highest,
                          const float *total);

/* y[row * y_stride + group * head_dim_v + d] = sums / total. */
void puna_attention_end(const puna_attention_job *job, float *y, size_t y_stride);

#endif
