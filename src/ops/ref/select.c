/* select.c - reference: which keys are worth looking at (DeepSeek-V3.2's lightning indexer; MiniMax's blocks): one pass
 * over a cache of small keys that keeps the best in a heap, so that memory does not grow with the context. And blocks of
 * rows as one key each (DeepSeek-V4). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/run.h"

/* The n best so far, the worst of them first: of equal ones the later is worse. */
typedef struct heap {
    float *score, *block;
    int32_t n, capacity;
} heap;

static bool worse(const heap *h, int32_t a, int32_t b)
{
    return h->score[a] < h->score[b] || (h->score[a] == h->score[b] && h->block[a] > h->block[b]);
}

static void swap(heap *h, int32_t a, int32_t b)
{
    const float score = h->score[a], block = h->block[a];
    h->score[a] = h->score[b];
    h->block[a] = h->block[b];
    h->score[b] = score;
    h->block[b] = block;
}

static void sink(heap *h, int32_t i)
{
    for (;;) {
        int32_t least = i;
        for (int32_t child = 2 * i + 1; child <= 2 * i + 2 && child < h->n; child++)
            least = worse(h, child, least) ? child : least;
        if (least == i)
            return;
        swap(h, i, least);
        i = least;
    }
}

static void offer(heap *h, float score, int32_t block)
{
    if (isnan(score))
        score = -INFINITY;
    if (h->n < h->capacity) {
        h->score[h->n] = score;
        h->block[h->n] = (float)block;
        for (int32_t i = h->n++; i > 0 && worse(h, i, (i - 1) / 2); i = (i - 1) / 2)
            swap(h, i, (i - 1) / 2);
    } else if (score > h->score[0]) {
        h->score[0] = score;
        h->block[0] = (float)block;
        sink(h, 0);
    }
}

/* A row of queries at a position; q as the cache keeps vectors. */
typedef struct searcher {
    const puna_span *span;
    const float *q, *weights;
    int32_t pos;
} searcher;

static float key_score(const puna_run *run, const puna_select_params *p, const searcher *s, int32_t first,
                       int32_t n, int32_t j)
{
    const void *tile = puna_kv_k(run->kv, p->cache, s->span->blocks[j / PUNA_KV_BLOCK], 0);
    float *key = run->row;
    double total = 0;
    for (int32_t d = 0; d < p->head_dim; d++)
        key[d] = puna_kv_key(run->kv->format, tile, p->head_dim, j % PUNA_KV_BLOCK, d);
    if (puna_kv_is_rotated(run->kv->format))
        puna_kv_rotate(key, p->head_dim);
    for (int32_t h = first; h < first + n; h++) {
        const float *q = s->q + (size_t)h * (size_t)p->head_dim;
        double dot = 0;
        for (int32_t d = 0; d < p->head_dim; d++)
            dot += (double)q[d] * (double)key[d];
        const double high = fmax(dot, 0), bare = p->rectified ? high : dot;
        total += s->weights ? high * (double)s->weights[h] * (double)p->scale : bare;
    }
    return (float)total;
}

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* One list into out[n_top], which a tail makes one longer. */
static void search(const puna_run *run, const puna_select_params *p, const searcher *s, int32_t list,
                   float *out)
{
    const int32_t n = p->n_head / p->n_lists,
                  own = p->ended ? (s->pos + 1) / p->key_block - 1 : s->pos / p->key_block;
    heap h = { .score = run->row + p->head_dim, .capacity = p->n_top };
    h.block = h.score + p->n_top;
    for (int32_t block = 0; block <= own; block++) {
        const int32_t from = block * p->key_block + (p->ended ? p->key_block - 1 : 0);
        float best = block > own - p->n_local ? INFINITY : -INFINITY;
        for (int32_t j = from; best < INFINITY && j - from < (p->ended ? 1 : p->key_block) && j <= s->pos;
             j++)
            best = fmaxf(best, key_score(run, p, s, list * n, n, j));
        offer(&h, best, block);
    }
    for (int32_t i = 0; i < p->n_top; i++)
        out[i] = i < h.n ? h.block[i] : -1;
    qsort(out, (size_t)h.n, sizeof *out, ascending);
    if (p->tail) {
        out[p->n_top] = -1;
        if ((s->pos + 1) % p->key_block)
            out[h.n] = (float)(own + 1);
    }
}

void puna_ref_select_keys(const puna_run *run, const puna_node *node)
{
    const puna_select_params *p = &node->p.select;
    const size_t n_q = (size_t)p->n_head * (size_t)p->head_dim, n_list = (size_t)p->n_top + (p->tail ? 1 : 0),
                 n_out = (size_t)p->n_lists * n_list;
    const float *q = puna_run_value(run, node->in[0]);
    const float *weights = node->in[1] < 0 ? NULL : puna_run_value(run, node->in[1]);
    float *out = puna_run_value(run, node->out);
    for (int32_t k = 0; k < run->batch->n_spans; k++) {
        const puna_span *span = &run->batch->spans[k];
        for (int32_t i = 0; i < span->n; i++) {
            const size_t row = (size_t)(span->first + i);
            const searcher s = { .span = span,
                                 .q = q + row * n_q,
                                 .pos = span->pos + i,
                                 .weights = weights ? weights + row * (size_t)p->n_head : NULL };
            for (int32_t list = 0; list < p->n_lists; list++)
                search(run, p, &s, list, out + row * n_out + (size_t)list * n_list);
        }
    }
}

/* ---- blocks as one key ------------------------------------------------------------------ */

/* The row at a position, as it was stored. */
static float *cached_row(const puna_run *run, const puna_span *span, int32_t cache, int32_t position)
{
    const int32_t dim = run->plan->caches[cache].head_dim_k;
    const void *tile = puna_kv_k(run->kv, cache, span->blocks[position / PUNA_KV_BLOCK], 0);
    for (int32_t d = 0; d < dim; d++)
        run->row[d] = puna_kv_key(run->kv->format, tile, dim, position % PUNA_KV_BLOCK, d);
    if (puna_kv_is_rotated(run->kv->format))
        puna_kv_rotate(run->row, dim);
    return run->row;
}

/* The block that ends at a position: a softmax that is corrected whenever a higher score comes. */
static void compress(const puna_run *run, const puna_compress_params *p, const puna_span *span, int32_t last,
                     float *y)
{
    const int32_t n = p->n_out, width = run->plan->caches[p->cache].head_dim_k, first = last + 1 - p->block;
    double *highest = (double *)(void *)(run->row + (width + 1) / 2 * 2), *total = highest + n,
           *sum = total + n;
    for (int32_t c = 0; c < n; c++) {
        highest[c] = -INFINITY;
        total[c] = sum[c] = 0;
    }
    for (int32_t j = p->overlaps && first > 0 ? first - p->block : first; j <= last; j++) {
        const float *values = cached_row(run, span, p->cache, j) + (p->overlaps && j >= first ? n : 0);
        const float *scores = values + width / 2;
        for (int32_t c = 0; c < n; c++) {
            const double s = (double)scores[c], top = fmax(highest[c], s);
            const double keep = highest[c] == top ? 1 : exp(highest[c] - top), weight = exp(s - top);
            total[c] = total[c] * keep + weight;
            sum[c] = sum[c] * keep + weight * (double)values[c];
            highest[c] = top;
        }
    }
    for (int32_t c = 0; c < n; c++)
        y[c] = (float)(sum[c] / total[c]);
}

void puna_ref_compress(const puna_run *run, const puna_node *node)
{
    const puna_compress_params *p = &node->p.compress;
    float *out = puna_run_value(run, node->out);
    for (int32_t k = 0; k < run->batch->n_spans; k++) {
        const puna_span *span = &run->batch->spans[k];
        for (int32_t i = 0; i < span->n; i++) {
            float *y = out + (size_t)(span->first + i) * (size_t)p->n_out;
            if ((span->pos + i + 1) % p->block == 0)
                compress(run, p, span, span->pos + i, y);
            else
                memset(y, 0, (size_t)p->n_out * sizeof *y);
        }
    }
}
