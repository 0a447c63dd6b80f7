/* elementwise.c - reference: normalisation, activations, sums, columns, row selection. */
#include <math.h>
#include <string.h>

#include "ops/run.h"

/* What a norm divides n values by; *mean is what it takes from them first. RMS: Zhang and Sennrich 2019 (arXiv
 * 1910.07467). Layer: Ba et al. 2016. */
static double divisor(const puna_norm_params *p, const float *x, double *mean)
{
    const int32_t n = p->group;
    double square = 0;
    *mean = 0;
    if (p->kind == PUNA_NORM_LAYER) {
        for (int32_t i = 0; i < n; i++)
            *mean += (double)x[i];
        *mean /= n;
    }
    for (int32_t i = 0; i < n; i++)
        square += ((double)x[i] - *mean) * ((double)x[i] - *mean);
    return p->kind == PUNA_NORM_L2 ? fmax(sqrt(square), (double)p->eps) : sqrt(square / n + (double)p->eps);
}

/* One group of n values. */
static void norm_group(const puna_norm_params *p, const float *x, float *y, const float *weight,
                       const float *bias)
{
    double mean;
    const double scale = 1 / divisor(p, x, &mean);
    for (int32_t i = 0; i < p->group; i++) {
        double v = ((double)x[i] - mean) * scale;
        y[i] = (float)(weight ? v * (double)weight[i] : v) + (bias ? bias[i] : 0);
    }
}

static const float *data(const puna_tensor *t)
{
    return t ? t->data : NULL;
}

static size_t n_values(const puna_tensor *t)
{
    return t ? (size_t)(t->ne[0] * puna_tensor_rows(t)) : 1;
}

static size_t width_of(const puna_run *run, puna_value v)
{
    return (size_t)run->plan->values[v].width;
}

/* Values of all rows. */
static size_t count(const puna_run *run, const puna_node *node)
{
    return width_of(run, node->out) * (size_t)puna_run_n_rows(run, node->out);
}

void puna_ref_norm(const puna_run *run, const puna_node *node)
{
    const puna_norm_params *p = &node->p.norm;
    const size_t n = count(run, node);
    const float *x = puna_run_value(run, node->in[0]), *weight = data(node->weight), *bias = data(node->bias);
    float *y = puna_run_value(run, node->out);
    for (size_t i = 0; i < n; i += (size_t)p->group)
        norm_group(p, x + i, y + i, weight ? weight + i % n_values(node->weight) : NULL,
                   bias ? bias + i % n_values(node->bias) : NULL);
}

/* ---- activations ------------------------------------------------------------------------ */

static double logistic(double v)
{
    return 1 / (1 + exp(-v));
}

/* Huang and Schlag 2024: a square above zero, an exponential below, both meeting with slope beta. */
static double xielu(const float a[4], double v)
{
    const double negative = (double)a[0], positive = (double)a[1], beta = (double)a[2], eps = (double)a[3];
    return v > 0 ? positive * v * v + beta * v : (expm1(fmin(v, eps)) - v) * negative + beta * v;
}

float puna_activate(const puna_act_params *p, float x)
{
    const double v = (double)x;
    switch (p->kind) {
    case PUNA_ACT_SILU:
        return (float)(v * logistic(v));
    case PUNA_ACT_GELU: /* the tanh form, Hendrycks and Gimpel 2016; sqrt(2 / pi) */
        return (float)(0.5 * v * (1 + tanh(0.79788456080286535588 * (v + 0.044715 * v * v * v))));
    case PUNA_ACT_RELU:
        return x > 0 ? x : 0;
    case PUNA_ACT_GELU_ERF:
        return (float)(0.5 * v * (1 + erf(v * 0.70710678118654752440)));
    case PUNA_ACT_GELU_QUICK:
        return (float)(v * logistic(1.702 * v));
    case PUNA_ACT_RELU_SQUARED:
        return x > 0 ? x * x : 0;
    case PUNA_ACT_SIGMOID:
        return (float)logistic(v);
    case PUNA_ACT_TANH:
        return (float)tanh(v);
    case PUNA_ACT_SOFTPLUS:
        return (float)(v > 20 ? v : log1p(exp(v)));
    case PUNA_ACT_IDENTITY:
        return x;
    case PUNA_ACT_EXP:
        return (float)exp(v);
    case PUNA_ACT_XIELU:
        return (float)xielu(p->a, v);
    case PUNA_ACT_SIGNED_ROOT:
        return (float)(copysign(sqrt(fmax(fabs(v), (double)p->a[0])), v) * (v != 0));
    }
    return 0;
}

void puna_ref_act(const puna_run *run, const puna_node *node)
{
    const size_t n = count(run, node);
    const float *x = puna_run_value(run, node->in[0]);
    float *y = puna_run_value(run, node->out);
    for (size_t i = 0; i < n; i++)
        y[i] = puna_activate(&node->p.act, x[i]);
}

void puna_glu_row(const puna_glu_params *p, const float *gate, size_t n_gate, const float *up, float *y,
                  size_t n)
{
    const puna_act_params act = { .kind = p->activation };
    for (size_t i = 0; i < n; i++) {
        const float g = gate[i / (n / n_gate)], u = up[i];
        if (p->limit > 0) {
            const float early = p->late_limit ? g : fminf(g, p->limit),
                        late = p->late_limit ? p->limit : INFINITY;
            y[i] = fminf(puna_activate(&act, early), late) *
                   (fmaxf(fminf(u, p->limit), -p->limit) + p->up_offset);
        } else
            y[i] = puna_activate(&act, g) * (u + p->up_offset);
    }
}

void puna_ref_glu(const puna_run *run, const puna_node *node)
{
    const size_t width = width_of(run, node->out), n_gate = width_of(run, node->in[0]);
    const float *gate = puna_run_value(run, node->in[0]), *up = puna_run_value(run, node->in[1]);
    float *y = puna_run_value(run, node->out);
    for (size_t r = 0; r < (size_t)puna_run_n_rows(run, node->out); r++)
        puna_glu_row(&node->p.glu, gate + r * n_gate, n_gate, up + r * width, y + r * width, width);
}

/* ---- sums and columns ------------------------------------------------------------------- */

void puna_ref_add(const puna_run *run, const puna_node *node)
{
    const size_t n = count(run, node);
    const float *a = puna_run_value(run, node->in[0]), *b = puna_run_value(run, node->in[1]);
    float *y = puna_run_value(run, node->out);
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] * node->p.add.x + b[i] * node->p.add.y;
}

void puna_affine_row(const puna_node *node, const float *x, float *y, size_t n)
{
    const size_t n_weight = n_values(node->weight), n_bias = n_values(node->bias);
    const float *weight = data(node->weight), *bias = data(node->bias), limit = node->p.affine.limit;
    for (size_t i = 0; i < n; i++) {
        float v = x[i] * node->p.affine.scale;
        v = weight ? v * weight[i % n_weight] : v;
        v = bias ? v + bias[i % n_bias] : v;
        y[i] = limit > 0 ? fmaxf(fminf(v, limit), -limit) : v;
    }
}

void puna_ref_affine(const puna_run *run, const puna_node *node)
{
    puna_affine_row(node, puna_run_value(run, node->in[0]), puna_run_value(run, node->out), count(run, node));
}

void puna_columns_row(const puna_node *node, const float *x, size_t n_in, float *y, size_t n)
{
    const size_t n_group = (size_t)node->p.columns.n_group, to = n / n_group;
    const size_t from = node->p.columns.repeat ? 0 : n_in / n_group;
    for (size_t i = 0; i < n_group; i++)
        memcpy(y + i * to, x + i * from + node->p.columns.from, to * sizeof *y);
}

void puna_ref_columns(const puna_run *run, const puna_node *node)
{
    const size_t n_in = width_of(run, node->in[0]), n = width_of(run, node->out);
    const float *x = puna_run_value(run, node->in[0]);
    float *y = puna_run_value(run, node->out);
    for (size_t r = 0; r < (size_t)puna_run_n_rows(run, node->out); r++)
        puna_columns_row(node, x + r * n_in, n_in, y + r * n, n);
}

void puna_join_row(const puna_node *node, const float *a, size_t n_a, const float *b, float *y, size_t n)
{
    const size_t n_group = (size_t)node->p.columns.n_group, first = n_a / n_group,
                 second = (n - n_a) / n_group;
    for (size_t i = 0; i < n_group; i++, y += first + second) {
        memcpy(y, a + i * first, first * sizeof *y);
        memcpy(y + first, b + i * second, second * sizeof *y);
    }
}

void puna_ref_join(const puna_run *run, const puna_node *node)
{
    const size_t n_a = width_of(run, node->in[0]), n_b = width_of(run, node->in[1]);
    const float *a = puna_run_value(run, node->in[0]), *b = puna_run_value(run, node->in[1]);
    float *y = puna_run_value(run, node->out);
    for (size_t r = 0; r < (size_t)puna_run_n_rows(run, node->out); r++)
        puna_join_row(node, a + r * n_a, n_a, b + r * n_b, y + r * (n_a + n_b), n_a + n_b);
}

/* Sinkhorn and Knopp 1967: number (row, column) of the square is x[column * n + row], and y[row * n + column]. */
void puna_balance_row(const puna_node *node, const float *x, float *y, size_t n_values_of_row)
{
    const double eps = (double)node->p.balance.eps;
    const size_t n = (size_t)lround(sqrt((double)n_values_of_row));
    for (size_t c = 0; c < n; c++) {
        double highest = -INFINITY, sum = 0;
        for (size_t r = 0; r < n; r++)
            highest = fmax(highest, (double)x[c * n + r]);
        for (size_t r = 0; r < n; r++)
            sum += exp((double)x[c * n + r] - highest);
        for (size_t r = 0; r < n; r++)
            y[r * n + c] = (float)(exp((double)x[c * n + r] - highest) / sum + eps);
    }
    for (int32_t turn = 1; turn < 2 * node->p.balance.n_rounds; turn++) {
        const size_t inner = turn % 2 ? 1 : n, outer = turn % 2 ? n : 1; /* of y: rows first */
        for (size_t i = 0; i < n; i++) {
            double sum = eps;
            for (size_t k = 0; k < n; k++)
                sum += (double)y[i * outer + k * inner];
            for (size_t k = 0; k < n; k++)
                y[i * outer + k * inner] = (float)((double)y[i * outer + k * inner] / sum);
        }
    }
}

void puna_ref_balance(const puna_run *run, const puna_node *node)
{
    const size_t n = width_of(run, node->out);
    const float *x = puna_run_value(run, node->in[0]);
    float *y = puna_run_value(run, node->out);
    for (size_t r = 0; r < (size_t)puna_run_n_rows(run, node->out); r++)
        puna_balance_row(node, x + r * n, y + r * n, n);
}

/* ---- weighted by values of the row ------------------------------------------------------- */

float puna_divisor(const puna_norm_params *p, const float *x)
{
    double mean;
    return (float)divisor(p, x, &mean);
}

void puna_ref_divisor(const puna_run *run, const puna_node *node)
{
    const size_t width = width_of(run, node->in[0]);
    const float *x = puna_run_value(run, node->in[0]);
    float *y = puna_run_value(run, node->out);
    for (size_t r = 0; r < (size_t)puna_run_n_rows(run, node->out); r++)
        y[r] = puna_divisor(&node->p.norm, x + r * width);
}

void puna_mix_row(const puna_node *node, const float *x, size_t n_in, const float *weights, float *y,
                  size_t n)
{
    const size_t n_part = (size_t)node->p.columns.n_group, width = n_in / n_part;
    for (size_t at = 0; at < n; at += width, weights += weights ? n_part : 0)
        for (size_t i = 0; i < width; i++) {
            float sum = 0;
            for (size_t part = 0; part < n_part; part++)
                sum += weights ? weights[part] * x[part * width + i] : x[part * width + i];
            y[at + i] = weights ? sum : sum / (float)n_part;
        }
}

void puna_ref_mix(const puna_run *run, const puna_node *node)
{
    const bool weighted = node->in[1] >= 0;
    const size_t n_in = width_of(run, node->in[0]), n_weights = weighted ? width_of(run, node->in[1]) : 0,
                 n = width_of(run, node->out);
    const float *x = puna_run_value(run, node->in[0]),
                *weights = weighted ? puna_run_value(run, node->in[1]) : NULL;
    float *y = puna_run_value(run, node->out);
    for (size_t r = 0; r < (size_t)puna_run_n_rows(run, node->out); r++)
        puna_mix_row(node, x + r * n_in, n_in, weighted ? weights + r * n_weights : NULL, y + r * n, n);
}

/* ---- rows ------------------------------------------------------------------------------- */

void puna_pooled_row(puna_pool_kind kind, const puna_batch *batch, const float *x, int32_t row, float *y,
                     size_t n)
{
    const puna_span *span = batch->spans;
    while (row >= span->first + span->n)
        span++;
    const size_t n_rows = kind == PUNA_POOL_FIRST ? 1 : (size_t)span->n;
    x += (size_t)span->first * n;
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t r = 0; r < n_rows; r++)
            sum += (double)x[r * n + i];
        y[i] = (float)(sum / (double)n_rows);
    }
}

void puna_ref_pool(const puna_run *run, const puna_node *node)
{
    const size_t width = width_of(run, node->out);
    float *y = puna_run_value(run, node->out);
    for (int32_t r = 0; r < run->batch->n_outputs; r++)
        puna_pooled_row(node->p.pool, run->batch, puna_run_value(run, node->in[0]),
                        run->batch->output_rows[r], y + (size_t)r * width, width);
}

void puna_ref_output(const puna_run *run, const puna_node *node)
{
    const size_t width = width_of(run, node->in[0]);
    const float *x = puna_run_value(run, node->in[0]);
    for (int32_t r = 0; r < run->batch->n_outputs; r++)
        memcpy(run->batch->logits[r], x + (size_t)r * width, width * sizeof *x);
}

void puna_ref_select_rows(const puna_run *run, const puna_node *node)
{
    const size_t width = width_of(run, node->out);
    const float *x = puna_run_value(run, node->in[0]);
    float *y = puna_run_value(run, node->out);
    for (int32_t r = 0; r < run->batch->n_outputs; r++)
        memcpy(y + (size_t)r * width, x + (size_t)run->batch->output_rows[r] * width, width * sizeof *y);
}
