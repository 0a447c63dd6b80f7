/* attention.c - the online softmax over tiles of blocks, its masks, the tree of merges, and the
 * portable kernels. */
#include "backend/cpu/attention.h"

#include <math.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "quant/half.h"

/* Lower than any score, yet finite: a query that has seen no key yet keeps finite sums. */
#define LOWEST (-3e38f)

/* Keys [from, to). Both ends go on with the position. */
typedef struct visible_keys {
    int32_t from, to;
} visible_keys;

static visible_keys visible(const puna_attention_job *job, int32_t pos)
{
    visible_keys k;
    puna_visible(job->p, job->span, pos, &k.from, &k.to);
    return k;
}

void puna_attention_range(const puna_attention_params *p, const puna_span *span, int32_t pos, int32_t n_rows,
                          int32_t *begin, int32_t *end)
{
    visible_keys first, last;
    puna_visible(p, span, pos, &first.from, &first.to);
    puna_visible(p, span, pos + n_rows - 1, &last.from, &last.to);
    *begin = first.from / PUNA_KV_BLOCK;
    *end = (last.to - 1) / PUNA_KV_BLOCK + 1;
}

size_t puna_attention_unpacked_bytes(int32_t head_dim, int32_t head_dim_v)
{
    size_t k = 0, v = 0;
    puna_kv_tile_bytes(PUNA_FORMAT_Q8_0, head_dim, true, &k);
    puna_kv_tile_bytes(PUNA_FORMAT_Q8_0, head_dim_v, false, &v);
    const size_t converted = ((size_t)head_dim + (size_t)head_dim_v) * PUNA_KV_BLOCK * sizeof(uint16_t);
    return PUNA_ATTENTION_TILE_BLOCKS * (k + v > converted ? k + v : converted);
}

size_t puna_attention_part_floats(const puna_attention_params *p, size_t n)
{
    return n * (puna_kv_padded(p->head_dim_v) + 2);
}

static int32_t n_queries(const puna_attention_job *job)
{
    return job->n_rows * job->n_group;
}

/* Sums into `part` from here on, which starts empty. */
static void begin_part(puna_attention_job *job, float *part)
{
    size_t n = (size_t)n_queries(job);
    job->sums = part;
    job->highest = part + n * puna_kv_padded(job->p->head_dim_v);
    job->total = job->highest + n;
    memset(part, 0, n * puna_kv_padded(job->p->head_dim_v) * sizeof *part);
    for (size_t i = 0; i < n; i++) {
        job->highest[i] = LOWEST;
        job->total[i] = 0;
    }
}

/* Whether tiles may be converted for all queries of the job: there must be so many that it pays. */
static bool fits_batch(const puna_attention_job *job)
{
    const puna_format format = job->kv->format;
    return n_queries(job) >= PUNA_ATTENTION_BATCH &&
           (format == PUNA_FORMAT_F16 || format == PUNA_FORMAT_BF16) && job->p->head_dim % 32 == 0 &&
           job->p->head_dim_v % 32 == 0;
}

void puna_attention_queries(puna_attention_job *job)
{
    const size_t dim = (size_t)job->p->head_dim, padded = puna_kv_padded(job->p->head_dim);
    if (!fits_batch(job))
        job->batch = NULL;
    if (job->batch)
        job->batch->narrow(job->q, n_queries(job) * job->p->head_dim, job->codes);
    if (!puna_kv_is_rotated(job->kv->format))
        return;
    for (size_t i = 0; i < (size_t)n_queries(job); i++) {
        job->kernels->rotate(job->q + i * dim, job->p->head_dim);
        job->q_scale[i] = job->kernels->quantize(job->q + i * dim, job->p->head_dim, job->codes + i * padded);
    }
}

/* Hides what a query may not see of n keys from position `from` on. */
static void mask(visible_keys seen, float *s, int32_t from, int32_t n)
{
    for (int32_t j = seen.to - from > 0 ? seen.to - from : 0; j < n; j++)
        s[j] = -INFINITY;
    for (int32_t j = 0; j < (seen.from - from < n ? seen.from - from : n); j++)
        s[j] = -INFINITY;
}

/* Lowers the scores of n keys from position `from` on by their distance. */
static void lower(float slope, float *s, int32_t pos, int32_t from, int32_t n)
{
    for (int32_t j = 0; j < n; j++)
        s[j] -= slope * fabsf((float)(pos - from - j));
}

/* The keys and values of up to TILE_BLOCKS blocks from block `begin` on, ready for the kernels, and
 * where those of the tile after it lie in the cache (or, behind the end, these again). */
typedef struct tiles {
    const void *k[PUNA_ATTENTION_TILE_BLOCKS], *v[PUNA_ATTENTION_TILE_BLOCKS];
    const void *next_k[PUNA_ATTENTION_TILE_BLOCKS], *next_v[PUNA_ATTENTION_TILE_BLOCKS];
    int32_t begin, end;
} tiles;

static const void *key_tile(const puna_attention_job *job, int32_t block)
{
    return puna_kv_k(job->kv, job->p->cache, job->blocks[block], job->head_kv);
}

static const void *value_tile(const puna_attention_job *job, int32_t block)
{
    return puna_kv_v(job->kv, job->p->cache, job->blocks[block], job->head_kv);
}

static tiles take_tiles(const puna_attention_job *job, int32_t begin, int32_t end, int32_t stop)
{
    tiles t = { .begin = begin, .end = end };
    for (int32_t i = 0; i < end - begin; i++) {
        const int32_t next = begin + i + PUNA_ATTENTION_TILE_BLOCKS < stop
                                 ? begin + i + PUNA_ATTENTION_TILE_BLOCKS
                                 : begin + i;
        t.k[i] = key_tile(job, begin + i);
        t.v[i] = value_tile(job, begin + i);
        t.next_k[i] = key_tile(job, next);
        t.next_v[i] = value_tile(job, next);
    }
    return t;
}

/* Of n blocks. */
static size_t converted_bytes(int32_t dim, int32_t n)
{
    return (size_t)n * PUNA_KV_BLOCK * (size_t)dim * sizeof(uint16_t);
}

static void unpack_tiles(const puna_attention_job *job, tiles *t)
{
    const puna_attention_params *p = job->p;
    unsigned char *to = job->unpacked;
    size_t k_bytes = 0, v_bytes = 0;
    puna_kv_tile_bytes(PUNA_FORMAT_Q8_0, p->head_dim, true, &k_bytes);
    puna_kv_tile_bytes(PUNA_FORMAT_Q8_0, p->head_dim_v, false, &v_bytes);
    for (int32_t i = 0; i < t->end - t->begin; i++) {
        job->kernels->unpack(t->k[i], p->head_dim, true, to);
        t->k[i] = to;
        to += k_bytes;
        job->kernels->unpack(t->v[i], p->head_dim_v, false, to);
        t->v[i] = to;
        to += v_bytes;
    }
}

/* Tiles of a job in a batch, in the order that it wants: keys of all blocks, then values. */
static void convert_tiles(const puna_attention_job *job, tiles *t)
{
    const puna_attention_params *p = job->p;
    const int32_t n_keys = visible(job, job->pos + job->n_rows - 1).to - t->begin * PUNA_KV_BLOCK;
    unsigned char *keys = job->unpacked,
                  *values = keys + converted_bytes(p->head_dim, PUNA_ATTENTION_TILE_BLOCKS);
    for (int32_t i = 0; i < t->end - t->begin; i++) {
        const int32_t left = n_keys - i * PUNA_KV_BLOCK;
        job->batch->convert_keys(t->k[i], p->head_dim, job->kv->format,
                                 keys + converted_bytes(p->head_dim, i));
        job->batch->convert_values(t->v[i], left < PUNA_KV_BLOCK ? left : PUNA_KV_BLOCK, p->head_dim_v,
                                   job->kv->format, values + converted_bytes(p->head_dim_v, i));
    }
}

/* Asks for a tile of the next ones: what is computed meanwhile takes longer than it needs to come
 * from memory. */
static void fetch(const void *tile, size_t bytes)
{
    for (size_t line = 0; line < bytes; line += 64)
        __builtin_prefetch((const char *)tile + line);
}

static void fetch_next(const puna_attention_job *job, const tiles *t, int32_t i)
{
    const puna_kv_cache *cache = &job->kv->caches[job->p->cache];
    fetch(t->next_k[i], cache->k_block_bytes / (size_t)cache->layout.n_head);
    fetch(t->next_v[i], cache->v_block_bytes / (size_t)cache->layout.n_head);
}

/* Whether the kernels ask for the next tiles. */
static bool own_fetch(const puna_attention_job *job)
{
    const puna_format format = job->kv->format;
    return format == PUNA_FORMAT_Q8_0 || (job->kernels->fetches && format != PUNA_FORMAT_Q4_0);
}

/* Scores of queries [first, first + m) and the keys of block number i of the tiles. */
static void score(const puna_attention_job *job, int32_t first, int32_t m, const tiles *t, int32_t i)
{
    const int32_t dim = job->p->head_dim;
    const size_t at = (size_t)first, padded = puna_kv_padded(dim);
    const void *next = first == 0 && own_fetch(job) ? t->next_k[i] : t->k[i];
    float *s = job->scores + i * PUNA_KV_BLOCK;
    if (first == 0 && !own_fetch(job))
        fetch_next(job, t, i);
    if (puna_kv_is_rotated(job->kv->format))
        job->kernels->scores_q8(m, job->codes + at * padded, padded, job->q_scale + at, t->k[i], next, dim, s,
                                PUNA_ATTENTION_TILE);
    else
        job->kernels->scores(m, job->q + at * (size_t)dim, (size_t)dim, t->k[i], next, dim, job->kv->format,
                             s, PUNA_ATTENTION_TILE);
}

static void score_tiles(const puna_attention_job *job, int32_t first, int32_t m, const tiles *t,
                        int32_t n_blocks)
{
    const int32_t dim = job->p->head_dim;
    if (job->batch) {
        job->batch->scores(job->codes + first * dim, (size_t)dim, job->unpacked, n_blocks, dim, job->scores,
                           PUNA_ATTENTION_TILE);
        return;
    }
    for (int32_t i = 0; i < n_blocks; i++)
        score(job, first, m, t, i);
}

static void weigh_tiles(const puna_attention_job *job, int32_t first, int32_t m, const tiles *t,
                        const float *factor, int32_t n_keys)
{
    const puna_attention_params *p = job->p;
    const size_t stride = puna_kv_padded(p->head_dim_v);
    if (job->batch) {
        const unsigned char *v = job->unpacked + converted_bytes(p->head_dim, PUNA_ATTENTION_TILE_BLOCKS);
        job->batch->weigh(m, job->scores, PUNA_ATTENTION_TILE, factor, v,
                          (n_keys + PUNA_KV_BLOCK - 1) / PUNA_KV_BLOCK, p->head_dim_v,
                          job->sums + (size_t)first * stride, stride);
        return;
    }
    const void *const *next = first == 0 && own_fetch(job) ? t->next_v : t->v;
    float *sums = job->sums + (size_t)first * stride;
    if (puna_kv_is_rotated(job->kv->format))
        job->kernels->weigh_q8(m, job->scores, PUNA_ATTENTION_TILE, factor, t->v, next, n_keys, p->head_dim_v,
                               sums, stride);
    else
        job->kernels->weigh(m, job->scores, PUNA_ATTENTION_TILE, factor, t->v, next, n_keys, p->head_dim_v,
                            job->kv->format, sums, stride);
}

/* Part i of m of the first half of the next values. The softmax of a query reads nothing from memory, which
 * would otherwise rest then and be asked for more than it can give afterwards. */
static void fetch_values(const puna_attention_job *job, const tiles *t, int32_t i, int32_t m)
{
    const puna_kv_cache *cache = &job->kv->caches[job->p->cache];
    const size_t half = cache->v_block_bytes / (size_t)cache->layout.n_head / 2;
    const size_t part = (size_t)i, parts = (size_t)m;
    for (int32_t b = 0; b < t->end - t->begin; b++)
        for (size_t at = half * part / parts / 64 * 64; at < half * (part + 1) / parts; at += 64)
            __builtin_prefetch((const char *)t->next_v[b] + at, 0, 2);
}

/* What the scores of query `at` over n keys from position `from` on are beside products. */
static void adjust(const puna_attention_job *job, int32_t at, float *s, int32_t from, int32_t n, bool edge)
{
    const puna_attention_params *p = job->p;
    const int32_t pos = job->pos + at / job->n_group;
    if (p->softcap > 0)
        job->softcap(1, p->softcap, s, (size_t)n);
    if (job->slopes)
        lower(job->slopes[at % job->n_group], s, pos, from, n);
    if (edge)
        mask(visible(job, pos), s, from, n);
}

/* Queries [first, first + m) of the job over tiles. */
static void absorb_strip(puna_attention_job *job, int32_t first, int32_t m, const tiles *t)
{
    const visible_keys low = visible(job, job->pos + first / job->n_group),
                       high = visible(job, job->pos + (first + m - 1) / job->n_group);
    const int32_t begin = t->begin, from = begin * PUNA_KV_BLOCK, last = (high.to - 1) / PUNA_KV_BLOCK + 1;
    const int32_t end = t->end < last ? t->end : last;
    if (end <= begin || end * PUNA_KV_BLOCK <= low.from)
        return;
    float factor[PUNA_ATTENTION_BATCH];
    score_tiles(job, first, m, t, end - begin);
    int32_t n = (end - begin) * PUNA_KV_BLOCK;
    int32_t n_keys = high.to - from < n ? high.to - from : n;
    const bool edge = low.to < from + n || high.from > from;
    for (int32_t i = 0; i < m; i++) {
        float *s = job->scores + i * PUNA_ATTENTION_TILE;
        adjust(job, first + i, s, from, n, edge);
        if (first == 0 && job->kernels->fetches && own_fetch(job))
            fetch_values(job, t, i, m);
        factor[i] = job->kernels->softmax(s, n, &job->highest[first + i], &job->total[first + i]);
    }
    weigh_tiles(job, first, m, t, factor, n_keys);
}

/* Blocks [begin, end) of one leaf, before those up to stop_all; tiles are aligned too. */
static void absorb_leaf(puna_attention_job *job, int32_t begin, int32_t end, int32_t stop_all)
{
    int32_t n = n_queries(job);
    const int32_t most = job->batch ? PUNA_ATTENTION_BATCH : job->kernels->strip;
    int32_t n_strips = (n + most - 1) / most;
    int32_t strip = (n + n_strips - 1) / n_strips;
    for (int32_t b = begin, stop; b < end; b = stop) {
        stop = (b / PUNA_ATTENTION_TILE_BLOCKS + 1) * PUNA_ATTENTION_TILE_BLOCKS;
        stop = stop < end ? stop : end;
        tiles t = take_tiles(job, b, stop, stop_all);
        if (job->kv->format == PUNA_FORMAT_Q4_0)
            unpack_tiles(job, &t);
        if (job->batch)
            convert_tiles(job, &t);
        for (int32_t i = 0; i < n; i += strip) {
            const int32_t m = n - i < strip ? n - i : strip;
            if (job->batch && (m < strip || i == 0))
                job->batch->enter(m);
            absorb_strip(job, i, m, &t);
        }
    }
}

/* part += other. Merging what has seen no key changes nothing. */
static void merge(const puna_attention_job *job, float *part, const float *other)
{
    size_t n = (size_t)n_queries(job), dim = puna_kv_padded(job->p->head_dim_v);
    float *highest = part + n * dim, *total = highest + n;
    const float *highest_2 = other + n * dim, *total_2 = highest_2 + n;
    for (size_t i = 0; i < n; i++) {
        float top = highest[i] > highest_2[i] ? highest[i] : highest_2[i];
        float a = highest[i] == top ? 1 : expf(highest[i] - top);
        float b = highest_2[i] == top ? 1 : expf(highest_2[i] - top);
        highest[i] = top;
        total[i] = total[i] * a + total_2[i] * b;
        job->kernels->mix(part + i * dim, a, other + i * dim, b, dim);
    }
}

void puna_attention_absorb(puna_attention_job *job, int32_t begin, int32_t end, float *part)
{
    const size_t size = puna_attention_part_floats(job->p, (size_t)n_queries(job));
    const int32_t first = begin / PUNA_ATTENTION_LEAF_BLOCKS, last = (end - 1) / PUNA_ATTENTION_LEAF_BLOCKS;
    float *top = first == last ? part : job->stack;
    for (int32_t leaf = first; leaf <= last; leaf++, top += size) {
        int32_t from = leaf * PUNA_ATTENTION_LEAF_BLOCKS, to = from + PUNA_ATTENTION_LEAF_BLOCKS;
        begin_part(job, top);
        absorb_leaf(job, from > begin ? from : begin, to < end ? to : end, end);
        /* The node that ends here is a right one, and its left one is not empty. */
        for (int32_t node = leaf, level = 0; node % 2 && node << level > first;
             node /= 2, level++, top -= size)
            merge(job, top - size, top);
    }
    if (job->batch)
        job->batch->leave();
    if (first == last)
        return;
    for (top -= size; top > job->stack; top -= size)
        merge(job, top - size, top);
    memcpy(part, job->stack, size * sizeof *part);
}

void puna_attention_merge_nodes(puna_attention_job *job, float *parts, size_t stride, int32_t first,
                                int32_t n)
{
    for (int32_t width = 1; width < first + n; width *= 2)
        for (int32_t i = first / (2 * width) * (2 * width); i + width < first + n; i += 2 * width)
            if (i + width > first) /* the left node is not empty, and lies where its first one lay */
                merge(job, parts + (size_t)((i > first ? i : first) - first) * stride,
                      parts + (size_t)(i + width - first) * stride);
}

void puna_attention_end(const puna_attention_job *job, const float *part, float *y, size_t y_stride)
{
    size_t dim = (size_t)job->p->head_dim_v, group = (size_t)job->n_group, n = (size_t)n_queries(job);
    size_t padded = puna_kv_padded(job->p->head_dim_v);
    const float *highest = part + n * padded, *total = highest + n;
    for (size_t i = 0; i < n; i++) {
        float *out = y + i / group * y_stride + i % group * dim;
        const float *sums = part + i * padded;
        const float sink = job->sinks ? expf(job->sinks[i % group] - highest[i]) : 0;
        float inverse = 1 / (total[i] + sink);
        for (size_t d = 0; d < dim; d++)
            out[d] = sums[d] * inverse;
        if (puna_kv_is_rotated(job->kv->format))
            job->kernels->rotate(out, job->p->head_dim_v);
    }
}

/* ---- portable kernels ------------------------------------------------------------------- */

static inline float load(const void *values, size_t i, puna_format format)
{
    if (format == PUNA_FORMAT_F32)
        return ((const float *)values)[i];
    const uint16_t half = ((const uint16_t *)values)[i];
    return format == PUNA_FORMAT_F16 ? puna_f16_to_f32(half) : puna_bf16_to_f32(half);
}

static void scores(int32_t m, const float *q, size_t q_stride, const void *k, const void *next, int32_t dim,
                   puna_format format, float *s, size_t s_stride)
{
    (void)next;
    for (int32_t i = 0; i < m; i++)
        memset(s + (size_t)i * s_stride, 0, PUNA_KV_BLOCK * sizeof *s);
    for (size_t d = 0; d < (size_t)dim; d++)
        for (size_t j = 0; j < PUNA_KV_BLOCK; j++) {
            float key = load(k, d * PUNA_KV_BLOCK + j, format);
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
                  const void *const *next, int32_t n_keys, int32_t dim, puna_format format, float *sums,
                  size_t sums_stride)
{
    (void)next;
    size_t n = (size_t)dim;
    for (size_t i = 0; i < (size_t)m; i++)
        for (size_t d = 0; d < n; d++)
            sums[i * sums_stride + d] *= factor[i];
    for (size_t j = 0; j < (size_t)n_keys; j++)
        for (size_t d = 0; d < n; d++) {
            float value = load(v[j / PUNA_KV_BLOCK], j % PUNA_KV_BLOCK * n + d, format);
            for (size_t i = 0; i < (size_t)m; i++)
                sums[i * sums_stride + d] += p[i * p_stride + j] * value;
        }
}

/* ---- and in integers -------------------------------------------------------------------- */

static float quantize(const float *q, int32_t dim, int16_t *codes)
{
    const float limit = (float)INT16_MAX;
    float most = 0, bad = 0;
    for (int32_t d = 0; d < dim; d++) {
        most = fabsf(q[d]) > most ? fabsf(q[d]) : most;
        bad += q[d] * 0;
    }
    const float inverse = most > 0 && bad == 0 ? limit / most : 0;
    for (size_t d = 0; d < puna_kv_padded(dim); d++)
        codes[d] = d < (size_t)dim ? (int16_t)rintf(q[d] * inverse) : 0;
    return most / limit + bad;
}

/* Chunk c of a tile of Q8_0. */
typedef struct chunk {
    const int8_t *codes;
    const uint16_t *scales; /* [PUNA_KV_BLOCK] */
    size_t first, padded;   /* its dimensions */
} chunk;

static chunk chunk_at(const void *tile, int32_t dim, bool key, size_t first)
{
    const size_t left = puna_kv_padded(dim) - first, n = left < PUNA_KV_CHUNK ? left : PUNA_KV_CHUNK;
    const size_t skipped = first / PUNA_KV_CHUNK * puna_kv_chunk_bytes(PUNA_FORMAT_Q8_0, PUNA_KV_CHUNK, key);
    const int8_t *codes = (const int8_t *)tile + skipped;
    return (chunk){ codes, (const uint16_t *)(const void *)(codes + n * PUNA_KV_BLOCK), first, n };
}

static void scores_q8(int32_t m, const int16_t *q, size_t q_stride, const float *q_scale, const void *k,
                      const void *next, int32_t dim, float *s, size_t s_stride)
{
    (void)next;
    for (size_t first = 0; first < (size_t)dim; first += PUNA_KV_CHUNK) {
        const chunk c = chunk_at(k, dim, true, first);
        for (size_t i = 0; i < (size_t)m; i++)
            for (size_t j = 0; j < PUNA_KV_BLOCK; j++) {
                int32_t sum = 0;
                for (size_t d = 0; d < c.padded; d++)
                    sum += q[i * q_stride + first + d] * c.codes[(d / 4 * PUNA_KV_BLOCK + j) * 4 + d % 4];
                const float score = (float)sum * (q_scale[i] * puna_bf16_to_f32(c.scales[j]));
                s[i * s_stride + j] = first ? s[i * s_stride + j] + score : score;
            }
    }
}

/* Weights times the scales of a chunk's values, as 16-bit codes; returns their scale. */
static float encode_weights(const float *p, const void *const *v, int32_t n_keys, int32_t dim, size_t first,
                            int16_t *codes)
{
    float w[PUNA_ATTENTION_TILE] = { 0 }, most = 0, bad = 0;
    for (int32_t j = 0; j < n_keys; j++) {
        const chunk c = chunk_at(v[j / PUNA_KV_BLOCK], dim, false, first);
        w[j] = p[j] * puna_bf16_to_f32(c.scales[j % PUNA_KV_BLOCK]);
        most = w[j] > most ? w[j] : most;
        bad += w[j] * 0;
    }
    const float inverse = most > 0 && bad == 0 ? (float)INT16_MAX / most : 0;
    for (int32_t j = 0; j < n_keys; j++)
        codes[j] = (int16_t)rintf(w[j] * inverse);
    return most / (float)INT16_MAX + bad;
}

static void weigh_q8(int32_t m, const float *p, size_t p_stride, const float *factor, const void *const *v,
                     const void *const *next, int32_t n_keys, int32_t dim, float *sums, size_t sums_stride)
{
    (void)next;
    int16_t codes[PUNA_ATTENTION_TILE];
    for (size_t first = 0; first < (size_t)dim; first += PUNA_KV_CHUNK)
        for (size_t i = 0; i < (size_t)m; i++) {
            const float scale = encode_weights(p + i * p_stride, v, n_keys, dim, first, codes);
            const size_t padded = chunk_at(v[0], dim, false, first).padded;
            float *out = sums + i * sums_stride + first;
            for (size_t d = 0; d < padded; d++) {
                int32_t sum = 0;
                for (size_t j = 0; j < (size_t)n_keys; j++) {
                    const chunk c = chunk_at(v[j / PUNA_KV_BLOCK], dim, false, first);
                    sum += codes[j] * c.codes[(j % PUNA_KV_BLOCK / 4 * padded + d) * 4 + j % 4];
                }
                out[d] = factor[i] * out[d] + scale * (float)sum;
            }
        }
}

static void mix(float *sums, float a, const float *other, float b, size_t n)
{
    for (size_t d = 0; d < n; d++)
        sums[d] = a * sums[d] + b * other[d];
}

const puna_attention_kernels puna_attention_scalar = { .strip = PUNA_ATTENTION_STRIP,
                                                       .scores = scores,
                                                       .softmax = softmax,
                                                       .weigh = weigh,
                                                       .quantize = quantize,
                                                       .scores_q8 = scores_q8,
                                                       .weigh_q8 = weigh_q8,
                                                       .unpack = puna_kv_unpack,
                                                       .rotate = puna_kv_rotate,
                                                       .mix = mix };

const puna_attention_batch *puna_attention_choose_batch(uint32_t allowed)
{
#if defined(__x86_64__)
    if (allowed & PUNA_CPU_AMX)
        return &puna_attention_amx;
#endif
    (void)allowed;
    return NULL;
}

const puna_attention_kernels *puna_attention_choose(uint32_t allowed)
{
#if defined(__x86_64__)
    if (allowed & PUNA_CPU_AVX512_VNNI)
        return &puna_attention_avx512;
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
