/* attention.c - reference: the key/value cache and softmax attention over it (Vaswani et al.
 * 2017), with grouped queries, sliding windows, soft caps, and values that lie in keys (DeepSeek-V2, arXiv 2405.04434).
 * Two passes, sums in double. */
#include <math.h>
#include <stdlib.h>
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
    const float *k = puna_run_value(run, node->in[0]), *v = c->v_in_k ? NULL : puna_run_value(run, node->in[1]);
    for (int32_t s = 0; s < run->batch->n_spans; s++) {
        const puna_span *span = &run->batch->spans[s];
        for (int32_t i = 0; i < span->n; i++) {
            int32_t slot = (span->pos + i) % PUNA_KV_BLOCK,
                    block = span->blocks[(span->pos + i) / PUNA_KV_BLOCK];
            for (int32_t h = 0; h < c->n_head; h++) {
                size_t head = (size_t)(span->first + i) * (size_t)c->n_head + (size_t)h;
                puna_kv_put_key(format, puna_kv_k(run->kv, cache, block, h), dk, slot,
                                cached(run, k + head * (size_t)dk, dk));
                if (v)
                    puna_kv_put_value(format, puna_kv_v(run->kv, cache, block, h), dv, slot,
                                  cached(run, v + head * (size_t)dv, dv));
            }
        }
    }
}

/* The slope of a head (Press et al. 2022, arXiv 2108.12409): powers of two for as many heads as the largest power
 * of two, those between for the others. */
float puna_alibi_slope(float largest, int32_t head, int32_t n_head)
{
    int32_t power = 1;
    while (power * 2 <= n_head)
        power *= 2;
    const double step = exp2(-(double)largest / power), half = exp2(-(double)largest / (2.0 * power));
    return (float)(head < power ? pow(step, head + 1) : pow(half, 2 * (head - power) + 1));
}

/* Which row of the table the distance from a key at j to the query at pos has (Raffel et al. 2020, arXiv
 * 1910.10683, T5): the near ones one each, those further off up to 128 on a logarithmic scale. */
int32_t puna_relative_bucket(int32_t pos, int32_t j, int32_t n_buckets, bool both_ways)
{
    const int32_t n = both_ways ? n_buckets / 2 : n_buckets, exact = n / 2;
    const int32_t distance = both_ways ? (j > pos ? j - pos : pos - j) : (j < pos ? pos - j : 0);
    const int32_t first = both_ways && j > pos ? n : 0;
    if (distance < exact)
        return first + distance;
    const int32_t far =
        exact + (int32_t)floor(log((double)distance / exact) / log(128.0 / exact) * (n - exact));
    return first + (far < n - 1 ? far : n - 1);
}

void puna_visible(const puna_attention_params *p, const puna_span *span, int32_t pos, int32_t *from,
                  int32_t *to)
{
    *from = 0;
    *to = pos + 1;
    if (p->mask == PUNA_MASK_ALL) {
        *to = span->pos + span->n;
        if (p->window > 0) {
            *from = pos - p->window / 2 > 0 ? pos - p->window / 2 : 0;
            *to = pos + p->window / 2 + 1 < *to ? pos + p->window / 2 + 1 : *to;
        }
    } else if (p->mask == PUNA_MASK_CHUNK && p->window > 0)
        *from = pos / p->window * p->window;
    else if (p->window > 0 && pos >= p->window)
        *from = pos - p->window + 1;
}

float puna_temperature(const puna_attention_params *p, int32_t pos)
{
    if (p->temperature == 0)
        return 1;
    const double runs = floor(((double)pos + (double)p->temperature_offset) / p->temperature_length);
    return (float)(1 + (double)p->temperature * log1p(runs));
}

/* A query head at a position. */
typedef struct query {
    const puna_span *span;
    const float *q;
    int32_t head, pos;
    double scale, slope;
    int32_t from, to, n; /* of all keys it sees [from, to), or of n candidates */
    const float *list;   /* of blocks, NULL: all keys */
} query;

/* Where a key lies. */
typedef struct place {
    int32_t cache, position;
} place;

/* Key number c of those a query may look at; false when it sees none there. */
static bool candidate(const puna_attention_params *p, const query *one, int32_t c, place *at)
{
    const int32_t n_near = p->far ? one->to - one->from : 0;
    *at = (place){ .cache = p->cache, .position = one->from + c };
    if (p->far ? c < n_near : !one->list)
        return true;
    const int32_t number = p->far ? c - n_near : c / p->key_block, within = p->far ? p->key_block - 1 : c % p->key_block;
    const int64_t block = one->list ? (int64_t)one->list[number] : number, j = block * p->key_block + within;
    *at = (place){ .cache = p->far ? p->far_cache : p->cache, .position = (int32_t)j };
    return block >= 0 && j < one->to && (p->far || j >= one->from);
}

static double score(const puna_run *run, const puna_node *node, const query *one, place at)
{
    const puna_attention_params *p = &node->p.attention;
    const int32_t head_kv = one->head / (p->n_head / p->n_head_kv), j = at.position, slot = j % PUNA_KV_BLOCK;
    const void *tile = puna_kv_k(run->kv, at.cache, one->span->blocks[j / PUNA_KV_BLOCK], head_kv);
    double sum = 0;
    for (int32_t d = 0; d < p->head_dim; d++)
        sum += (double)one->q[d] * (double)puna_kv_key(run->kv->format, tile, p->head_dim, slot, d);
    sum *= one->scale;
    if (p->softcap > 0)
        sum = (double)p->softcap * tanh(sum / (double)p->softcap);
    if (node->bias) {
        const int32_t bucket = puna_relative_bucket(one->pos, j, p->n_buckets, p->mask == PUNA_MASK_ALL);
        sum += (double)((const float *)node->bias->data)[bucket * p->n_head + one->head];
    }
    return sum - one->slope * abs(one->pos - j);
}

/* sum[d] += weight times the value. */
static void add_value(const puna_run *run, const puna_attention_params *p, const query *one, place at, double weight,
                      double *sum)
{
    const int32_t head_kv = one->head / (p->n_head / p->n_head_kv), slot = at.position % PUNA_KV_BLOCK,
                  block = one->span->blocks[at.position / PUNA_KV_BLOCK];
    const puna_format format = run->kv->format;
    const void *tile =
        p->v_in_k ? puna_kv_k(run->kv, at.cache, block, head_kv) : puna_kv_v(run->kv, at.cache, block, head_kv);
    for (int32_t d = 0; p->v_in_k && d < p->head_dim; d++)
        sum[d] += weight * (double)puna_kv_key(format, tile, p->head_dim, slot, d);
    for (int32_t d = 0; !p->v_in_k && d < p->head_dim_v; d++)
        sum[d] += weight * (double)puna_kv_value(format, tile, p->head_dim_v, slot, d);
}

/* Into y[head_dim_v]. Of keys that hold values all is summed: what is rotated must be whole to be rotated back. */
static void attend(const puna_run *run, const puna_node *node, query one, float *y)
{
    const puna_attention_params *p = &node->p.attention;
    const int32_t dim = p->v_in_k ? p->head_dim : p->head_dim_v;
    one.q = cached(run, one.q, p->head_dim);
    const double sink = node->weight ? (double)((const float *)node->weight->data)[one.head] : -INFINITY;
    double highest = sink, total;
    place at;
    for (int32_t c = 0; c < one.n; c++)
        if (candidate(p, &one, c, &at))
            highest = fmax(highest, score(run, node, &one, at));
    total = exp(sink - highest);
    double *sum = (double *)(void *)(run->row + (p->head_dim + 1) / 2 * 2);
    for (int32_t d = 0; d < dim; d++)
        sum[d] = 0;
    for (int32_t c = 0; c < one.n; c++) {
        if (!candidate(p, &one, c, &at))
            continue;
        const double weight = exp(score(run, node, &one, at) - highest);
        total += weight;
        add_value(run, p, &one, at, weight, sum);
    }
    float *whole = p->v_in_k ? run->row : y;
    for (int32_t d = 0; d < dim; d++)
        whole[d] = (float)(sum[d] / total);
    if (puna_kv_is_rotated(run->kv->format))
        puna_kv_rotate(whole, dim);
    if (p->v_in_k)
        memcpy(y, whole, (size_t)p->head_dim_v * sizeof *y);
}

/* Which keys head h of a row looks at. */
static void look(const puna_run *run, const puna_node *node, size_t row, query *one)
{
    const puna_attention_params *p = &node->p.attention;
    puna_visible(p, one->span, one->pos, &one->from, &one->to);
    one->n = one->to - one->from;
    if (node->in[1] < 0) {
        one->n += p->far ? (one->pos + 1) / p->key_block : 0;
        return;
    }
    const int32_t width = run->plan->values[node->in[1]].width, n_top = width / p->n_lists;
    const int32_t list = one->head / (p->n_head / p->n_lists);
    one->list = puna_run_value(run, node->in[1]) + row * (size_t)width + (size_t)list * (size_t)n_top;
    one->n = p->far ? one->n + n_top : n_top * p->key_block;
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
                const size_t at = (size_t)(span->first + i) * (size_t)p->n_head + (size_t)h;
                query one = { .span = span, .q = q + at * (size_t)p->head_dim, .head = h, .pos = span->pos + i,
                                    .scale = (double)p->scale * (double)puna_temperature(p, span->pos + i),
                                    .slope = p->alibi > 0 ? (double)puna_alibi_slope(p->alibi, h, p->n_head) : 0 };
                look(run, node, (size_t)(span->first + i), &one);
                attend(run, node, one, y + at * (size_t)p->head_dim_v);
            }
    }
}
