/* attention.c - the online softmax over tiles of blocks, its masks, and the portable kernels. */
#include "backend/cpu/attention.h"

#include <math.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "quant/half.h"

/* Lower than any score, yet finite: a query that has seen no key yet keeps finite sums. */
#define LOWEST (-3e38f)

void puna_attention_range(int32_t window, int32_t pos, int32_t n_rows, int32_t *begin, int32_t *end)
{
    *begin = window > 0 && pos >= window ? (pos - window + 1) / PUNA_KV_BLOCK : 0;
    *end = (pos + n_rows - 1) / PUNA_KV_BLOCK + 1;
}

void puna_attention_begin(puna_attention_job *job)
{
    size_t n = (size_t)job->n_rows * (size_t)job->n_group;
    memset(job->sums, 0, n * (size_t)job->p->head_dim_v * sizeof *job->sums);
    for (size_t i = 0; i < n; i++) {
        job->highest[i] = LOWEST;
        job->total[i] = 0;
    }
}

/* Hides what the query at `pos` may not see of n keys from position `from` on. */
static void mask(const puna_attention_params *p, float *s, int32_t pos, int32_t from, int32_t n)
{
    int32_t end = pos - from + 1;
    for (int32_t j = end < 0 ? 0 : end; j < n; j++)
        s[j] = -INFINITY;
    if (p->window <= 0 || pos - from < p->window)
        return;
    int32_t begin = pos - p->window + 1 - from;
    for (int32_t j = 0; j < (begin < n ? begin : n); j++)
        s[j] = -INFINITY;
}

/* Queries [first, first + m) of the job over up to TILE_BLOCKS blocks. */
static void absorb_strip(puna_attention_job *job, int32_t first, int32_t m, int32_t begin, int32_t end)
{
    const puna_attention_params *p = job->p;
    const bool f16 = job->kv->format == PUNA_FORMAT_F16;
    const int32_t low = job->pos + first / job->n_group, high = job->pos + (first + m - 1) / job->n_group;
    const int32_t from = begin * PUNA_KV_BLOCK;
    if (p->window > 0 && end * PUNA_KV_BLOCK <= low - p->window + 1)
        return;
    if (end > high / PUNA_KV_BLOCK + 1)
        end = high / PUNA_KV_BLOCK + 1;
    if (end <= begin)
        return;
    const float *q = job->q + (size_t)first * (size_t)p->head_dim;
    const void *v[PUNA_ATTENTION_TILE_BLOCKS];
    float factor[PUNA_ATTENTION_STRIP];
    for (int32_t b = begin; b < end; b++) {
        const void *k = puna_kv_k(job->kv, p->cache, job->blocks[b], job->head_kv);
        v[b - begin] = puna_kv_v(job->kv, p->cache, job->blocks[b], job->head_kv);
        job->kernels->scores(m, q, (size_t)p->head_dim, k, p->head_dim, f16,
                             job->scores + (b - begin) * PUNA_KV_BLOCK, PUNA_ATTENTION_TILE);
    }
    int32_t n = (end - begin) * PUNA_KV_BLOCK;
    int32_t n_keys = high + 1 - from < n ? high + 1 - from : n;
    bool edge = low < from + n - 1 || (p->window > 0 && high - from >= p->window);
    for (int32_t i = 0; i < m; i++) {
        float *s = job->scores + i * PUNA_ATTENTION_TILE;
        if (p->softcap > 0)
            job->softcap(1, p->softcap, s, (size_t)n);
        if (edge)
            mask(p, s, job->pos + (first + i) / job->n_group, from, n);
        factor[i] = job->kernels->softmax(s, n, &job->highest[first + i], &job->total[first + i]);
    }
    job->kernels->weigh(m, job->scores, PUNA_ATTENTION_TILE, factor, v, n_keys, p->head_dim_v, f16,
                        job->sums + (size_t)first * (size_t)p->head_dim_v, (size_t)p->head_dim_v);
}

void puna_attention_absorb(puna_attention_job *job, int32_t begin, int32_t end)
{
    int32_t n = job->n_rows * job->n_group;
    int32_t n_strips = (n + PUNA_ATTENTION_STRIP - 1) / PUNA_ATTENTION_STRIP;
    int32_t strip = (n + n_strips - 1) / n_strips;
    for (int32_t b = begin; b < end; b += PUNA_ATTENTION_TILE_BLOCKS) {
        int32_t stop = b + PUNA_ATTENTION_TILE_BLOCKS < end ? b + PUNA_ATTENTION_TILE_BLOCKS : end;
        for (int32_t i = 0; i < n; i += strip)
            absorb_strip(job, i, n - i < strip ? n - i : strip, b, stop);
    }
}

void puna_attention_merge(puna_attention_job *job, const float *sums, const float *highest,
                          const float *total)
{
    size_t n = (size_t)job->n_rows * (size_t)job->n_group, dim = (size_t)job->p->head_dim_v;
    for (size_t i = 0; i < n; i++) {
        float top = job->highest[i] > highest[i] ? job->highest[i] : highest[i];
        float a = expf(job->highest[i] - top), b = expf(highest[i] - top);
        job->highest[i] = top;
        job->total[i] = job->total[i] * a + total[i] * b;
        for (size_t d = 0; d < dim; d++)
            job->sums[i * dim + d] = job->sums[i * dim + d] * a + sums[i * dim + d] * b;
    }
}

void puna_attention_end(const puna_attention_job *job, float *y, size_t y_stride)
{
    size_t dim = (size_t)job->p->head_dim_v, group = (size_t)job->n_group;
    for (size_t i = 0; i < (size_t)job->n_rows * group; i++) {
        float *out = y + i / group * y_stride + i % group * dim;
        const float *sums = job->sums + i * dim;
        float inverse = 1 / job->total[i];
        for (size_t d = 0; d < dim; d++)
            out[d] = sums[d] * inverse;
    }
}

/* ---- portable kernels ------------------------------------------------------------------- */

static inline float load(const void *values, size_t i, bool f16)
{
    return f16 ? puna_f16_to_f32(((const uint16_t *)values)[i]) : ((const float *)values)[i];
}

static void scores(int32_t m, const float *q, size_t q_stride, const void *k, int32_t dim, bool f16, float *s,
                   size_t s_stride)
{
    for (int32_t i = 0; i < m; i++)
        memset(s + (size_t)i * s_stride, 0, PUNA_KV_BLOCK * sizeof *s);
    for (size_t d = 0; d < (size_t)dim; d++)
        for (size_t j = 0; j < PUNA_KV_BLOCK; j++) {
            float key = load(k, d * PUNA_KV_BLOCK + j, f16);
            for (size_t i = 0; i < (size_t)m; i++)
                s[i * s_stride + j] += q[i * q_stride + d] * key;
        }
}

static float softmax(float *s, int32_t n, float *highest, float *total)
{
    float top = *highest, sum = 0;
    for (int32_t j = 0; j < n; j++)
        if (s[j] > top)
            top = s[j];
    for (int32_t j = 0; j < n; j++) {
        s[j] = expf(s[j] - top);
        sum += s[j];
    }
    float factor = expf(*highest - top);
    *highest = top;
    *total = *total * factor + sum;
    return factor;
}

static void weigh(int32_t m, const float *p, size_t p_stride, const float *factor, const void *const *v,
                  int32_t n_keys, int32_t dim, bool f16, float *sums, size_t sums_stride)
{
    size_t n = (size_t)dim;
    for (size_t i = 0; i < (size_t)m; i++)
        for (size_t d = 0; d < n; d++)
            sums[i * sums_stride + d] *= factor[i];
    for (size_t j = 0; j < (size_t)n_keys; j++)
        for (size_t d = 0; d < n; d++) {
            float value = load(v[j / PUNA_KV_BLOCK], j % PUNA_KV_BLOCK * n + d, f16);
            for (size_t i = 0; i < (size_t)m; i++)
                sums[i * sums_stride + d] += p[i * p_stride + j] * value;
        }
}

const puna_attention_kernels puna_attention_scalar = { .scores = scores, .softmax = softmax, .weigh = weigh };

const puna_attention_kernels *puna_attention_choose(uint32_t allowed)
{
#if defined(__x86_64__)
    if (allowed & PUNA_CPU_AVX2)
        return &puna_attention_avx2;
#elif defined(__aarch64__)
    if (allowed & PUNA_CPU_NEON)
        return &puna_attention_neon;
#else
    (void)allowed;
#endif
    return &puna_attention_scalar;
}
