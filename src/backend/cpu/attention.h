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

#include "ops/run.h"

enum {
    PUNA_ATTENTION_STRIP = 8,       /* queries that a kernel takes at once, at most */
    PUNA_ATTENTION_BATCH = 16,      /* the same for many queries, where matrices are multiplied */
    PUNA_ATTENTION_TILE_BLOCKS = 4, /* blocks between two rescalings of the sums */
    PUNA_ATTENTION_TILE = PUNA_ATTENTION_TILE_BLOCKS * PUNA_KV_BLOCK,
    PUNA_ATTENTION_LEAF_BLOCKS = 8, /* blocks summed up before they are merged with others */
    PUNA_ATTENTION_LEVELS = 18      /* of merging, for PUNA_MAX_CTX positions */
};

/* Inner loops of one ISA level; m <= strip. Tiles of keys and values are F32, F16,
 * BF16 (`format` says which) or, for those named q8, Q8_0, as kv_tile.c lays them out. `next` are tiles that are
 * read after these, and may be asked for meanwhile. A query's
 * results do not depend on m: every kernel sums in the same order for each. */
typedef struct puna_attention_kernels {
    int32_t strip; /* queries that the kernels take at once */
    bool fetches;  /* scores and weigh ask for `next`; those of q8 always may */
    /* s[i * s_stride + j] = q_i . k_j for the 32 keys of a tile. */
    void (*scores)(int32_t m, const float *q, size_t q_stride, const void *k, const void *next, int32_t dim,
                   puna_format format, float *s, size_t s_stride);
    /* s[n] becomes exp(s - highest); *highest and *total go on; returns what older sums are to be
     * multiplied with. n is a multiple of 32. */
    float (*softmax)(float *s, int32_t n, float *highest, float *total);
    /* sums[i][dim] = factor[i] * sums[i][dim] + p_i v over n_keys values in tiles. */
    void (*weigh)(int32_t m, const float *p, size_t p_stride, const float *factor, const void *const *v,
                  const void *const *next, int32_t n_keys, int32_t dim, puna_format format, float *sums,
                  size_t sums_stride);
    /* q as 16-bit codes for scores_q8 of the same level, padded with zeros; returns their scale. */
    float (*quantize)(const float *q, int32_t dim, int16_t *codes);
    /* scores and weigh over Q8_0 in integers, exact but for the encoding of queries and weights;
     * strides and sums are padded as tiles are. */
    void (*scores_q8)(int32_t m, const int16_t *q, size_t q_stride, const float *q_scale, const void *k,
                      const void *next, int32_t dim, float *s, size_t s_stride);
    void (*weigh_q8)(int32_t m, const float *p, size_t p_stride, const float *factor, const void *const *v,
                     const void *const *next, int32_t n_keys, int32_t dim, float *sums, size_t sums_stride);
    /* puna_kv_unpack, puna_kv_rotate. */
    void (*unpack)(const void *tile, int32_t dim, bool key, void *q8);
    void (*rotate)(float *x, int32_t dim);
    /* sums = a * sums + b * other. */
    void (*mix)(float *sums, float a, const float *other, float b, size_t n);
} puna_attention_kernels;

/* The same for many queries over F16 or BF16 caches, in bfloat16, where a processor multiplies matrices.
 * Dimensions are multiples of 32, m at most PUNA_ATTENTION_BATCH. */
typedef struct puna_attention_batch {
    /* Around everything below on one thread; enter also when m changes. */
    void (*enter)(int32_t m);
    void (*leave)(void);
    /* n floats to bfloat16. */
    void (*narrow)(const float *x, int32_t n, int16_t *to);
    /* A block in the order that scores and weigh want: BLOCK * dim * 2 bytes. Values behind n_keys become 0. */
    void (*convert_keys)(const void *k, int32_t dim, puna_format format, void *to);
    void (*convert_values)(const void *v, int32_t n_keys, int32_t dim, puna_format format, void *to);
    /* As those above, over n_blocks converted blocks that follow each other; p is 0 behind the last key. */
    void (*scores)(const int16_t *q, size_t q_stride, const void *k, int32_t n_blocks, int32_t dim, float *s,
                   size_t s_stride);
    void (*weigh)(int32_t m, const float *p, size_t p_stride, const float *factor, const void *v,
                  int32_t n_blocks, int32_t dim, float *sums, size_t sums_stride);
} puna_attention_batch;

extern const puna_attention_batch puna_attention_amx;

/* How many queries over a cache are computed, or NULL: one by one as few are. */
const puna_attention_batch *puna_attention_choose_batch(uint32_t allowed);

extern const puna_attention_kernels puna_attention_scalar;
extern const puna_attention_kernels puna_attention_avx2;
extern const puna_attention_kernels puna_attention_avx512;
extern const puna_attention_kernels puna_attention_neon;

const puna_attention_kernels *puna_attention_choose(uint32_t allowed);

typedef struct puna_attention_job {
    const puna_attention_kernels *kernels;
    const puna_attention_batch *batch; /* or NULL: see puna_attention_queries */
    const puna_attention_params *p;
    const puna_kv *kv;
    const int32_t *blocks; /* of the sequence */
    int32_t head_kv;
    const puna_span *span; /* of the sequence: where its keys end */
    const float *sinks;    /* [n_group], or NULL */
    const float *slopes;   /* [n_group] of ALiBi, or NULL */
    int32_t pos, n_rows, n_group;
    float *q;               /* [n_rows * n_group, head_dim], already times p->scale and the temperature */
    int16_t *codes;         /* [n_rows * n_group, padded head_dim], for quantised caches and batches */
    float *q_scale;         /* [n_rows * n_group], of the codes */
    float *sums;            /* [n_rows * n_group, padded head_dim_v] */
    float *highest, *total; /* [n_rows * n_group] */
    float *scores;          /* [PUNA_ATTENTION_BATCH, PUNA_ATTENTION_TILE] */
    unsigned char *unpacked; /* puna_attention_unpacked_bytes, for Q4_0 and batches */
    float *stack;            /* [PUNA_ATTENTION_LEVELS, puna_attention_part_floats] */
    void (*softcap)(float factor, float cap, float *x, size_t n);
} puna_attention_job;

/* Scratch for the tiles that a job unpacks at a time. */
size_t puna_attention_unpacked_bytes(int32_t head_dim, int32_t head_dim_v);

/* Sums, highest and total of n queries. */
size_t puna_attention_part_floats(const puna_attention_params *p, size_t n);

/* The blocks [*begin, *end) that the queries of a span at pos .. pos + n_rows - 1 see some key of. */
void puna_attention_range(const puna_attention_params *p, const puna_span *span, int32_t pos, int32_t n_rows,
                          int32_t *begin, int32_t *end);

/* The queries, once they are in job->q: rotated and encoded as the cache wants them. Before anything else
 * is asked of the job, whose batch becomes NULL where it cannot be or does not pay. */
void puna_attention_queries(puna_attention_job *job);

/* Sums, highest and total over the blocks [begin, end), which `part` then holds: the same bits
 * whatever else the job's other rows see, and for [begin, end) cut at any aligned node and merged
 * by puna_attention_merge_nodes.
 *
 * Leaves of LEAF_BLOCKS blocks, aligned, are summed one by one and merged as a binary tree over
 * their numbers, so that the order of additions depends on positions alone. */
void puna_attention_absorb(puna_attention_job *job, int32_t begin, int32_t end, float *part);

/* Merges the parts of the aligned nodes [first, first + n) of one level in the same tree, into
 * the first. Parts lie `stride` floats apart. */
void puna_attention_merge_nodes(puna_attention_job *job, float *parts, size_t stride, int32_t first,
                                int32_t n);

/* y[row * y_stride + group * head_dim_v + d] = sums / total, of which sinks have their part, rotated back. */
void puna_attention_end(const puna_attention_job *job, const float *part, float *y, size_t y_stride);

#endif
