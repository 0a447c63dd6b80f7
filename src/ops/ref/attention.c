/* attention.c - reference: the key/value cache and softmax attention over it (Vaswani et al.
 * 2017), with grouped queries, sliding windows and soft caps. Two passes, sums in double. */
#include <math.h>
#include <string.h>

#include "ops/run.h"
#include "quant/half.h"

static float load(const puna_kv *kv, const void *tile, size_t i)
{
    return kv->format == PUNA_FORMAT_F16 ? puna_f16_to_f32(((const uint16_t *)tile)[i]) : ((const float *)tile)[i];
}

static void store(const puna_kv *kv, void *tile, size_t i, float value)
{
    if (kv->format == PUNA_FORMAT_F16)
        ((uint16_t *)tile)[i] = puna_f32_to_f16(value);
    else
        ((float *)tile)[i] = value;
}

void puna_ref_kv_store(const puna_run *run, const puna_node *node)
{
    const puna_cache_layout *c = &run->plan->caches[node->p.cache];
    size_t dk = (size_t)c->head_dim_k, dv = (size_t)c->head_dim_v;
    const float *k = puna_run_value(run, node->in[0]), *v = puna_run_value(run, node->in[1]);
    for (int32_t s = 0; s < run->batch->n_spans; s++) {
        const puna_span *span = &run->batch->spans[s];
        for (int32_t i = 0; i < span->n; i++) {
            size_t row = (size_t)(span->first + i), slot = (size_t)(span->pos + i) % PUNA_KV_BLOCK;
            int32_t block = span->blocks[(span->pos + i) / PUNA_KV_BLOCK];
            for (int32_t h = 0; h < c->n_head; h++) {
                const float *k_head = k + (row * (size_t)c->n_head + (size_t)h) * dk;
                const float *v_head = v + (row * (size_t)c->n_head + (size_t)h) * dv;
                for (size_t d = 0; d < dk; d++)
                    store(run->kv, puna_kv_k(run->kv, node->p.cache, block, h), d * PUNA_KV_BLOCK + slot, k_head[d]);
                for (size_t d = 0; d < dv; d++)
                    store(run->kv, puna_kv_v(run->kv, node->p.cache, block, h), slot * dv + d, v_head[d]);
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
        sum += (double)q[d] * (double)load(run->kv, tile, (size_t)(d * PUNA_KV_BLOCK + position % PUNA_KV_BLOCK));
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
    for (int32_t j = from; j <= pos; j++)
        highest = fmax(highest, score(run, p, span, head_kv, q, j));
    double *sum = (double *)(void *)run->row;
    for (int32_t d = 0; d < p->head_dim_v; d++)
        sum[d] = 0;
    for (int32_t j = from; j <= pos; j++) {
        double weight = exp(score(run, p, span, head_kv, q, j) - highest);
        const void *tile = puna_kv_v(run->kv, p->cache, span->blocks[j / PUNA_KV_BLOCK], head_kv);
        size_t at = (size_t)(j % PUNA_KV_BLOCK) * (size_t)p->head_dim_v;
        total += weight;
        for (int32_t d = 0; d < p->head_dim_v; d++)
            sum[d] += weight * (double)load(run->kv, tile, at + (size_t)d);
    }
    for (int32_t d = 0; d < p->head_dim_v; d++)
        y[d] = (float)(sum[d] / total);
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
