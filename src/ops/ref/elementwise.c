/* elementwise.c - reference: normalisation, gated activation, sum, row selection. */
#include <math.h>
#include <string.h>

#include "ops/run.h"

/* One group of n values. RMS: Zhang and Sennrich 2019 (arXiv 1910.07467). Layer: Ba et al. 2016. */
static void norm_group(const puna_norm_params *p, const float *x, float *y, const float *weight,
                       const float *bias)
{
    int32_t n = p->group;
    double mean = 0, square = 0;
    if (p->kind == PUNA_NORM_LAYER) {
        for (int32_t i = 0; i < n; i++)
            mean += (double)x[i];
        mean /= n;
    }
    for (int32_t i = 0; i < n; i++)
        square += ((double)x[i] - mean) * ((double)x[i] - mean);
    double scale = 1 / sqrt(square / n + (double)p->eps);
    for (int32_t i = 0; i < n; i++) {
        double v = ((double)x[i] - mean) * scale;
        y[i] = (float)(weight ? v * (double)weight[i] : v) + (bias ? bias[i] : 0);
    }
}

void puna_ref_norm(const puna_run *run, const puna_node *node)
{
    const puna_norm_params *p = &node->p.norm;
    size_t n = (size_t)run->plan->values[node->out].width * (size_t)puna_run_n_rows(run, node->out);
    const float *x = puna_run_value(run, node->in[0]);
    float *y = puna_run_value(run, node->out);
    for (size_t i = 0; i < n; i += (size_t)p->group)
        norm_group(p, x + i, y + i, node->weight ? node->weight->data : NULL,
                   node->bias ? node->bias->data : NULL);
}

static float activate(puna_activation kind, float x)
{
    double v = (double)x;
    switch (kind) {
    case PUNA_ACT_SILU:
        return (float)(v / (1 + exp(-v)));
    case PUNA_ACT_GELU: /* the tanh form, Hendrycks and Gimpel 2016; sqrt(2 / pi) */
        return (float)(0.5 * v * (1 + tanh(0.79788456080286535588 * (v + 0.044715 * v * v * v))));
    case PUNA_ACT_RELU:
        return x > 0 ? x : 0;
    }
    return 0;
}

void puna_ref_glu(const puna_run *run, const puna_node *node)
{
    size_t n = (size_t)run->plan->values[node->out].width * (size_t)puna_run_n_rows(run, node->out);
    const float *gate = puna_run_value(run, node->in[0]), *up = puna_run_value(run, node->in[1]);
    float *y = puna_run_value(run, node->out);
    for (size_t i = 0; i < n; i++)
        y[i] = activate(node->p.activation, gate[i]) * up[i];
}

void puna_ref_add(const puna_run *run, const puna_node *node)
{
    size_t n = (size_t)run->plan->values[node->out].width * (size_t)puna_run_n_rows(run, node->out);
    const float *a = puna_run_value(run, node->in[0]), *b = puna_run_value(run, node->in[1]);
    float *y = puna_run_value(run, node->out);
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

void puna_ref_select_rows(const puna_run *run, const puna_node *node)
{
    size_t width = (size_t)run->plan->values[node->out].width;
    const float *x = puna_run_value(run, node->in[0]);
    float *y = puna_run_value(run, node->out);
    for (int32_t r = 0; r < run->batch->n_outputs; r++)
        memcpy(y + (size_t)r * width, x + (size_t)run->batch->output_rows[r] * width, width * sizeof *y);
}
