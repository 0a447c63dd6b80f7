/* attention.c - reference: the key/value cache and softmax attention over it (Vaswani et al.
 * 2017), with grouped queries, sliding windows and soft caps. Two passes, sums in double. */
#include <math.h>
#include <string.h>

#include "ops/run.h"

/* A head as the cache keeps it; the copy lies in the run's row. */
static const float *cached(const puna_run *run, const float *head, int32_t dim)
{
    if (!puna_kv_is_rotated(run->kv->format))
        return head;
    memcpy(run->row, head, (size_t)dim * sizeof *head);
    puna_kv_rotate(run->row, dim);
    return run->row;
}

void puna_ref_kv_store(const puna_run *run, const puna_node *node)
{
    const puna_cache_layout *c = &run->plan->caches[node->p.cache];
    const puna_format format = run->kv->format;
    const int32_t cache = node->p.cache, dk = c->head_dim_k, dv = c->head_dim_v;
    const float *k = puna_run_value(run, node->in[0]), *v = puna_run_value(run, node->in[1]);
    for (int32_t s = 0; s < run->batch->n_spans; s++) {
        const puna_span *span = &run->batch->spans[s];
        for (int32_t i = 0; i < span->n; i++) {
            int32_t slot = (span->pos + i) % PUNA_KV_BLOCK,
                    block = span->blocks[(span->pos + i) / PUNA_KV_BLOCK];
            for (int32_t h = 0; h < c->n_head; h++) {
                size_t head = (size_t)(span->first + i) * (size_t)c->n_head + (size_t)h;
                puna_kv_put_key(format, puna_kv_k(run->kv, cache, block, h), dk, slot,
                                cached(run, k + head * (size_t)dk, dk));
                puna_kv_put_value(format, puna_kv_v(run->kv, cache, block, h), dv, slot,
                                  cached(run, v + head * (size_t)dv, dv));
            }
        }
    }
}

static double score(const puna_run *run, const puna_attention_params *p, const puna_span *span, int32_t head_kv,
                    const float *q, int32_t position)
{
    const void *tile = puna_kv_k(run->kv, p->cache, span->blocks[position / PUNA_KV_BLOCK], head_kv);
    double sum = 0;
    for (int32_t d = 0; d < p->head_dim; d++)
        sum += (double)q[d] *
               (double)puna_kv_key(run->kv->format, tile, p->head_dim, position % PUNA_KV_BLOCK, d);
    sum *= (double)p->scale;
    return p->softcap > 0 ? (double)p->softcap * tanh(sum / (double)p->softcap) : sum;
}

/* One query head at position pos: y[head_dim_v]. */
static void attend(const puna_run *run, const puna_attention_params *p, const puna_span *span, int32_t head,
                   int32_t pos, const float *q, float *y)
{
    int32_t head_kv = head / (p->n_head / p->n_head_kv);
    int32_t from = p->window > 0 && pos >= p->window ? pos - p->window + 1 : 0;
    double highest = -INFINITY, total = 0;
    q = cached(run, q, p->head_dim);
    for (int32_t j = from; j <= pos; j++)
        highest = fmax(highest, score(run, p, span, head_kv, q, j));
    double *sum = (double *)(void *)(run->row + (p->head_dim + 1) / 2 * 2);
    for (int32_t d = 0; d < p->head_dim_v; d++)
        sum[d] = 0;
    for (int32_t j = from; j <= pos; j++) {
        double weight = exp(score(run, p, span, head_kv, q, j) - highest);
        const void *tile = puna_kv_v(run->kv, p->cache, span->blocks[j / PUNA_KV_BLOCK], head_kv);
        total += weight;
        for (int32_t d = 0; d < p->head_dim_v; d++)
            sum[d] +=
                weight * (double)puna_kv_value(run->kv->format, tile, p->head_dim_v, j % PUNA_KV_BLOCK, d);
    }
    for (int32_t d = 0; d < p->head_dim_v; d++)
        y[d] = (float)(sum[d] / total);
    if (puna_kv_is_rotated(run->kv->format))
        puna_kv_rotate(y, p->head_dim_v);
}

void puna_ref_attention(const puna_run *run, const puna_node *node)
{
    const puna_attention_params *p = &node->p.attention;
    const float *q = puna_run_value(run, node->in[0]);
    float *y = puna_run_value(run, node->out);
    for (int32_t s = 0; s < run->batch->n_spans; s++) {
        const puna_span *span = &run->batch->spans[s];
        for (int32_t i = 0; i < span->n; i++)
            for (int32_t h = 0; h < p->n_head; h++) {
                size_t at = (size_t)(span->first + i) * (size_t)p->n_head + (size_t)h;
                attend(run, p, span, h, span->pos + i, q + at * (size_t)p->head_dim, y + at * (size_t)p->head_dim_v);
            }
    }
}
