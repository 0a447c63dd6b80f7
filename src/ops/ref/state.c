/* state.c - reference: operations with a state. A batch is walked span by span, the rows of each in order, from the
 * state that the sequence's slot holds to the one that it holds afterwards. */
#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "ops/run.h"

static const float *data(const puna_tensor *t)
{
    return t ? t->data : NULL;
}

static size_t width_of(const puna_run *run, puna_value v)
{
    return (size_t)run->plan->values[v].width;
}

/* A row of a value, or NULL where there is none. */
static const float *row_of(const puna_run *run, puna_value v, int32_t row)
{
    return v < 0 ? NULL : puna_run_value(run, v) + (size_t)row * width_of(run, v);
}

/* ---- filters ---------------------------------------------------------------------------- */

/* Row i of the span; those before it are the n_before rows of the state. */
static const float *earlier(const float *x, const float *state, size_t n_before, size_t width, int64_t i)
{
    return i >= 0 ? x + (size_t)i * width : state + (size_t)((int64_t)n_before + i) * width;
}

/* The state becomes the last rows, oldest first. */
static void keep_last(const float *x, size_t n, float *state, size_t n_before, size_t width)
{
    for (size_t i = 0; i < n_before; i++)
        memmove(state + i * width, earlier(x, state, n_before, width, (int64_t)(n + i) - (int64_t)n_before),
                width * sizeof *state);
}

void puna_ref_conv1d(const puna_run *run, const puna_node *node)
{
    const puna_conv_params *p = &node->p.conv;
    const puna_act_params act = { .kind = p->activation };
    const size_t width = width_of(run, node->out), n_taps = (size_t)p->n_taps;
    const float *weight = data(node->weight), *bias = data(node->bias);
    for (int32_t s = 0; s < run->batch->n_spans; s++) {
        const puna_span *span = &run->batch->spans[s];
        float *state = puna_kv_state(run->kv, p->state, span->slot);
        const float *x = row_of(run, node->in[0], span->first);
        float *y = puna_run_value(run, node->out) + (size_t)span->first * width;
        for (int32_t r = 0; r < span->n; r++)
            for (size_t c = 0; c < width; c++) {
                double sum = bias ? (double)bias[c] : 0;
                for (size_t j = 0; j < n_taps; j++)
                    sum += (double)earlier(x, state, n_taps - 1, width,
                                           (int64_t)r + (int64_t)j + 1 - (int64_t)n_taps)[c] *
                           (double)weight[c * n_taps + j];
                y[(size_t)r * width + c] = puna_activate(&act, (float)sum);
            }
        keep_last(x, (size_t)span->n, state, n_taps - 1, width);
    }
}

void puna_ref_shift(const puna_run *run, const puna_node *node)
{
    const size_t width = width_of(run, node->out);
    for (int32_t s = 0; s < run->batch->n_spans; s++) {
        const puna_span *span = &run->batch->spans[s];
        float *state = puna_kv_state(run->kv, node->p.state, span->slot);
        const float *x = row_of(run, node->in[0], span->first);
        float *y = puna_run_value(run, node->out) + (size_t)span->first * width;
        memcpy(y, state, width * sizeof *y);
        memcpy(y + width, x, ((size_t)span->n - 1) * width * sizeof *y);
        memcpy(state, x + ((size_t)span->n - 1) * width, width * sizeof *state);
    }
}

/* ---- tokens before ----------------------------------------------------------------------- */

/* before: the tokens before this one and 1, the newest last; 0 where there is none. */
static void ngram_row(const puna_ngram_params *p, const puna_tensor *table, int32_t token,
                      const float *before, float *y)
{
    int64_t seen[PUNA_NGRAM_TOKENS] = { token };
    bool ended = false;
    for (int32_t i = 1; i < p->n_gram; i++) {
        const float held = before[p->n_gram - 1 - i];
        const int64_t earlier = held >= 1 && held <= PUNA_MAX_VOCAB ? (int64_t)held - 1 : p->end;
        ended = ended || earlier == p->end;
        seen[i] = ended ? p->end : earlier;
    }
    uint64_t hash = (uint64_t)seen[0] * p->factors[0];
    for (int32_t n = 2, h = 0; n <= p->n_gram; n++) {
        hash ^= (uint64_t)seen[n - 1] * p->factors[n - 1];
        for (int32_t i = 0; i < p->n_each; i++, h++, y += table->ne[0])
            table->format->dequantize(puna_tensor_row(table, hash % p->count[h] + p->first[h]), y,
                                      table->ne[0]);
    }
}

void puna_ref_ngram(const puna_run *run, const puna_node *node)
{
    const puna_ngram_params *p = &node->p.ngram;
    const size_t width = width_of(run, node->out), n_before = (size_t)p->n_gram - 1;
    for (int32_t s = 0; s < run->batch->n_spans; s++) {
        const puna_span *span = &run->batch->spans[s];
        float *before = puna_kv_state(run->kv, p->state, span->slot);
        for (int32_t r = span->first; r < span->first + span->n; r++) {
            const int32_t token = run->batch->tokens[r];
            ngram_row(p, node->weight, token, before, puna_run_value(run, node->out) + (size_t)r * width);
            memmove(before, before + 1, (n_before - 1) * sizeof *before);
            before[n_before - 1] = (float)(token + 1);
        }
    }
}

/* ---- state spaces ----------------------------------------------------------------------- */

/* One channel of a head: state[n_state]; a has one value or n_state. */
static float ssm_channel(const puna_ssm_params *p, double step, const float *a, bool each, const float *b,
                         const float *c, float x, float *state)
{
    double sum = 0;
    for (int32_t n = 0; n < p->n_state; n++) {
        state[n] =
            (float)((double)state[n] * exp(step * (double)a[each ? n : 0]) + (double)b[n] * (double)x * step);
        sum += (double)state[n] * (double)c[n];
    }
    return (float)sum;
}

static void ssm_row(const puna_run *run, const puna_node *node, int32_t row, float *state)
{
    const puna_ssm_params *p = &node->p.ssm;
    const size_t width = width_of(run, node->out), n_state = (size_t)p->n_state,
                 n = width / (size_t)p->n_head;
    const float *x = row_of(run, node->in[0], row), *dt = row_of(run, node->in[1], row),
                *bc = row_of(run, node->in[2], row);
    const float *a = data(node->weight), *bias = data(node->bias), *d = data(node->more[0]);
    const bool each =
        n_state > 1 && node->weight->ne[0] * puna_tensor_rows(node->weight) == (uint64_t)p->n_head * n_state;
    const puna_act_params softplus = { .kind = PUNA_ACT_SOFTPLUS };
    float *y = puna_run_value(run, node->out) + (size_t)row * width;
    for (size_t h = 0; h < (size_t)p->n_head; h++) {
        const double step = (double)puna_activate(&softplus, dt[h] + (bias ? bias[h] : 0));
        const float *b = bc + h / (size_t)(p->n_head / p->n_group) * n_state,
                    *c = b + (size_t)p->n_group * n_state;
        for (size_t i = h * n; i < (h + 1) * n; i++)
            y[i] = ssm_channel(p, step, a + (each ? h * n_state : h), each, b, c, x[i], state + i * n_state) +
                   (d ? d[h] * x[i] : 0);
    }
}

void puna_ref_ssm_scan(const puna_run *run, const puna_node *node)
{
    for (int32_t s = 0; s < run->batch->n_spans; s++) {
        const puna_span *span = &run->batch->spans[s];
        for (int32_t r = 0; r < span->n; r++)
            ssm_row(run, node, span->first + r, puna_kv_state(run->kv, node->p.ssm.state, span->slot));
    }
}

/* ---- memories --------------------------------------------------------------------------- */

/* What one head reads of a row. */
typedef struct memory_head {
    const float *q, *k, *a, *b, *u, *decay; /* [n_key]; decay: as factors */
    float beta;
    size_t n_key;
} memory_head;

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* A row m[n_key] of the matrix, for value v: written, and read with the query. */
static double memory_value(puna_memory_rule rule, const memory_head *h, float v, float *m)
{
    double bonus = 0, write = (double)v, along = 0;
    if (rule == PUNA_MEMORY_BONUS)
        for (size_t i = 0; i < h->n_key; i++)
            bonus += (double)h->q[i] * ((double)m[i] + (double)h->u[i] * (double)h->k[i] * (double)v);
    if (rule == PUNA_MEMORY_RANK1)
        along = dot(m, h->a, h->n_key);
    for (size_t i = 0; i < h->n_key; i++)
        m[i] *= h->decay[i];
    if (rule == PUNA_MEMORY_DELTA)
        write = ((double)v - dot(m, h->k, h->n_key)) * (double)h->beta;
    for (size_t i = 0; i < h->n_key; i++)
        m[i] = (float)((double)m[i] + write * (double)h->k[i] + (h->b ? along * (double)h->b[i] : 0));
    return rule == PUNA_MEMORY_BONUS ? bonus : dot(m, h->q, h->n_key);
}

static void memory_row(const puna_run *run, const puna_node *node, int32_t row, float *state)
{
    const puna_memory_params *p = &node->p.memory;
    const size_t n_head = (size_t)p->n_head, n_head_k = (size_t)p->n_head_k,
                 n_key = width_of(run, node->in[0]) / n_head_k;
    const size_t width = width_of(run, node->out), n_value = width / n_head;
    const bool rank1 = p->rule == PUNA_MEMORY_RANK1;
    const float *in[PUNA_NODE_INPUTS], *w = data(node->weight);
    for (int i = 0; i < PUNA_NODE_INPUTS; i++)
        in[i] = row_of(run, node->in[i], row);
    const bool each = in[3] && n_key > 1 && width_of(run, node->in[3]) == n_head * n_key;
    float *y = puna_run_value(run, node->out) + (size_t)row * width, *factors = run->row;
    for (size_t h = 0; h < n_head; h++) {
        const size_t at = (p->tiled ? h % n_head_k : h / (n_head / n_head_k)) * n_key;
        for (size_t i = 0; i < n_key; i++)
            factors[i] = (float)exp((double)(each ? in[3][h * n_key + i] : in[3] ? in[3][h] : w[h]));
        const memory_head head = {
            .q = in[0] + at,
            .k = in[1] + at,
            .a = rank1 ? in[4] + at : NULL,
            .b = rank1 ? in[5] + at : NULL,
            .u = p->rule == PUNA_MEMORY_BONUS ? w + at : NULL,
            .decay = factors,
            .beta = p->rule == PUNA_MEMORY_DELTA ? in[4][h] : 0,
            .n_key = n_key,
        };
        for (size_t j = h * n_value; j < (h + 1) * n_value; j++)
            y[j] = (float)(memory_value(p->rule, &head, in[2][j], state + j * n_key) * (double)p->scale);
    }
}

void puna_ref_memory_scan(const puna_run *run, const puna_node *node)
{
    for (int32_t s = 0; s < run->batch->n_spans; s++) {
        const puna_span *span = &run->batch->spans[s];
        for (int32_t r = 0; r < span->n; r++)
            memory_row(run, node, span->first + r, puna_kv_state(run->kv, node->p.memory.state, span->slot));
    }
}
