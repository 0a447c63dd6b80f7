/* linear.c - reference: embedding, matrix product, logits. A weight row is dequantised once and
 * dotted with every input row, summed in double. */
#include <math.h>
#include <string.h>

#include "ops/run.h"

int32_t puna_embed_row(const puna_embed_params *p, const puna_tensor *table, const puna_batch *batch,
                       int32_t row)
{
    const int64_t last = (int64_t)table->ne[1] - 1;
    int64_t at = p->offset;
    if (p->source == PUNA_EMBED_TOKEN)
        at = batch->tokens[row];
    else if (p->source == PUNA_EMBED_POSITION)
        at += batch->positions[row];
    else if (p->source == PUNA_EMBED_CYCLE)
        at = batch->positions[row] % (last + 1);
    return (int32_t)(at > last ? last : at);
}

void puna_ref_embed(const puna_run *run, const puna_node *node)
{
    const puna_tensor *table = node->weight;
    size_t width = table->ne[0];
    float *out = puna_run_value(run, node->out);
    for (int32_t t = 0; t < run->batch->n_tokens; t++) {
        float *y = out + (size_t)t * width;
        const int32_t row = puna_embed_row(&node->p.embed, table, run->batch, t);
        table->format->dequantize(puna_tensor_row(table, (uint64_t)row), y, width);
        for (size_t i = 0; i < width; i++)
            y[i] *= node->p.embed.scale;
    }
}

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* y[n_rows, n_out] = x[n_rows, n_in] W^T */
static void product(const puna_run *run, const puna_tensor *w, const float *x, float *y, int32_t n_rows)
{
    size_t n_in = w->ne[0], n_out = w->ne[1];
    for (size_t o = 0; o < n_out; o++) {
        w->format->dequantize(puna_tensor_row(w, o), run->row, n_in);
        for (size_t r = 0; r < (size_t)n_rows; r++)
            y[r * n_out + o] = (float)dot(run->row, x + r * n_in, n_in);
    }
}

void puna_ref_linear(const puna_run *run, const puna_node *node)
{
    int32_t n_rows = puna_run_n_rows(run, node->out);
    size_t n_out = node->weight->ne[1];
    float *y = puna_run_value(run, node->out);
    product(run, node->weight, puna_run_value(run, node->in[0]), y, n_rows);
    if (!node->bias)
        return;
    const float *bias = node->bias->data;
    for (size_t r = 0; r < (size_t)n_rows; r++)
        for (size_t o = 0; o < n_out; o++)
            y[r * n_out + o] += bias[o];
}

void puna_ref_linear_heads(const puna_run *run, const puna_node *node)
{
    const puna_tensor *w = node->weight;
    const size_t n_in = w->ne[0], n_out = w->ne[1], n_head = w->ne[2];
    const float *x = puna_run_value(run, node->in[0]);
    float *y = puna_run_value(run, node->out);
    for (size_t o = 0; o < n_out * n_head; o++) {
        w->format->dequantize(puna_tensor_row(w, o), run->row, n_in);
        for (size_t r = 0; r < (size_t)puna_run_n_rows(run, node->out); r++)
            y[r * n_out * n_head + o] = (float)dot(run->row, x + (r * n_head + o / n_out) * n_in, n_in);
    }
}

void puna_ref_logits(const puna_run *run, const puna_node *node)
{
    float cap = node->p.logits.softcap;
    size_t n_in = node->weight->ne[0], n_out = node->weight->ne[1];
    for (int32_t r = 0; r < run->batch->n_outputs; r++) {
        float *y = run->batch->logits[r];
        product(run, node->weight, puna_run_value(run, node->in[0]) + (size_t)r * n_in, y, 1);
        for (size_t i = 0; i < n_out; i++) {
            y[i] = (y[i] + (node->bias ? ((const float *)node->bias->data)[i] : 0)) * node->p.logits.scale;
            if (cap > 0)
                y[i] = cap * tanhf(y[i] / cap);
        }
    }
}
