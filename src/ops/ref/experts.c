/* experts.c - reference: mixtures of experts (Shazeer et al. 2017, arXiv 1701.06538): the choice of
 * experts for each row, and the weighted sum of what they make of it. */
#include <math.h>

#include "ops/run.h"

/* What a gate makes of a score, for choosing; softmax over all is done by the caller. */
static double gate(puna_gating gating, double score)
{
    switch (gating) {
    case PUNA_GATING_SIGMOID:
        return 1 / (1 + exp(-score));
    case PUNA_GATING_SQRT_SOFTPLUS:
        return sqrt(score > 20 ? score : log1p(exp(score)));
    case PUNA_GATING_SOFTMAX:
    case PUNA_GATING_SOFTMAX_USED:
        break;
    }
    return score;
}

static void softmax(float *x, size_t n)
{
    double highest = -INFINITY, total = 0;
    for (size_t i = 0; i < n; i++)
        highest = fmax(highest, (double)x[i]);
    for (size_t i = 0; i < n; i++)
        total += exp((double)x[i] - highest);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(exp((double)x[i] - highest) / total);
}

/* Of equal ones the first; -1 when all are out (NaN). */
static int32_t best(const float *x, int32_t n)
{
    int32_t at = -1;
    for (int32_t i = 0; i < n; i++)
        if (!isnan(x[i]) && (at < 0 || x[i] > x[at]))
            at = i;
    return at;
}

/* A group is worth the sum of its two best experts (DeepSeek-V3, arXiv 2412.19437); those of all
 * but the best groups are out. */
static void limit_groups(const puna_route_params *p, float *choice, int32_t n)
{
    const int32_t size = n / p->n_group;
    for (int32_t left = p->n_group; left > p->n_group_used; left--) {
        int32_t worst = -1;
        float least = 0;
        for (int32_t g = 0; g < p->n_group; g++) {
            float *of = choice + g * size;
            if (best(of, size) < 0)
                continue;
            float first = -INFINITY, second = size > 1 ? -INFINITY : 0;
            for (int32_t i = 0; i < size; i++) {
                const bool more = of[i] > first;
                second = more ? first : of[i] > second ? of[i] : second;
                first = more ? of[i] : first;
            }
            /* of equal ones the last is out, as the first is taken */
            if (worst < 0 || first + second <= least) {
                worst = g;
                least = first + second;
            }
        }
        for (int32_t i = 0; worst >= 0 && i < size; i++)
            choice[worst * size + i] = NAN;
    }
}

void puna_route_row(const puna_route_params *p, const float *scores, const float *bias, const int32_t *given, int32_t n, float *probs,
                    float *choice, float *route)
{
    for (int32_t i = 0; i < n; i++)
        probs[i] = (float)gate(p->gating, (double)scores[i]);
    if (p->gating == PUNA_GATING_SOFTMAX)
        softmax(probs, (size_t)n);
    for (int32_t i = 0; i < n; i++)
        choice[i] = (p->by_score ? scores[i] : probs[i]) + (bias ? bias[i] : 0);
    if (p->n_group > 1)
        limit_groups(p, choice, n);
    float *weights = route + p->n_used;
    double total = 0;
    for (int32_t k = 0; k < p->n_used; k++) {
        const int32_t i = given ? given[k] : best(choice, n);
        const int32_t shared = p->chunk > 1 ? i / p->chunk : i;
        /* scores that are no numbers: any expert, with a weight that is none */
        route[k] = (float)(i < 0 ? 0 : shared);
        weights[k] = i < 0 ? NAN : probs[shared];
        if (i >= 0)
            choice[i] = NAN;
        total += (double)weights[k];
    }
    if (p->gating == PUNA_GATING_SOFTMAX_USED)
        softmax(weights, (size_t)p->n_used);
    if (p->normalise) /* the least sum that half precision can hold, as models were trained with */
        for (int32_t k = 0; k < p->n_used; k++)
            weights[k] = (float)((double)weights[k] / fmax(total, 6.103515625e-5));
    for (int32_t k = 0; k < p->n_used; k++)
        weights[k] *= p->scale;
}

void puna_ref_moe_route(const puna_run *run, const puna_node *node)
{
    const puna_route_params *p = &node->p.route;
    const int32_t n = run->plan->values[node->in[0]].width;
    const float *scores = puna_run_value(run, node->in[0]);
    float *route = puna_run_value(run, node->out);
    const bool per_output = run->plan->values[node->out].per_output;
    for (size_t r = 0; r < (size_t)puna_run_n_rows(run, node->out); r++) {
        const int32_t token = run->batch->tokens[per_output ? (size_t)run->batch->output_rows[r] : r];
        puna_route_row(p, scores + r * (size_t)n, node->bias ? node->bias->data : NULL,
                       node->weight ? puna_tensor_row(node->weight, (uint64_t)token) : NULL, n, run->row, run->row + n,
                       route + r * 2 * (size_t)p->n_used);
    }
}

/* One of an expert's three products: its weight, bias and scale are those of all experts. */
typedef struct part {
    const puna_tensor *weight, *bias, *scale;
} part;

static float value_of(const puna_tensor *t, size_t i, float absent)
{
    return t ? ((const float *)t->data)[i] : absent;
}

/* y[o] = scale W_e x + bias for rows [from, from + n) of the expert's matrix; row is scratch. */
static void product(part p, size_t expert, size_t from, size_t n, const float *x, float *row, float *y)
{
    const puna_tensor *w = p.weight;
    const size_t first = expert * (size_t)w->ne[1] + from;
    for (size_t o = 0; o < n; o++) {
        double sum = 0;
        w->format->dequantize(puna_tensor_row(w, first + o), row, w->ne[0]);
        for (size_t i = 0; i < w->ne[0]; i++)
            sum += (double)row[i] * (double)x[i];
        y[o] = (float)sum * value_of(p.scale, expert, 1) + value_of(p.bias, first + o, 0);
    }
}

/* What one expert makes of x, into y; a, b: n_ff floats each. */
static void expert(const puna_run *run, const puna_node *node, size_t e, const float *x, float *a, float *b,
                   float *y)
{
    const puna_experts_params *p = &node->p.experts;
    const puna_tensor *const *more = node->more;
    const part gate = { node->weight, more[PUNA_EXPERTS_GATE_BIAS], more[PUNA_EXPERTS_GATE_SCALE] };
    const part up = { more[PUNA_EXPERTS_UP], more[PUNA_EXPERTS_UP_BIAS], more[PUNA_EXPERTS_UP_SCALE] };
    const part down = { more[PUNA_EXPERTS_DOWN], more[PUNA_EXPERTS_DOWN_BIAS],
                        more[PUNA_EXPERTS_DOWN_SCALE] };
    const size_t n_ff = down.weight->ne[0];
    if (p->gated)
        product(gate, e, 0, n_ff, x, run->row, a);
    if (p->fused)
        product(gate, e, n_ff, n_ff, x, run->row, b);
    else
        product(up, e, 0, n_ff, x, run->row, b);
    if (p->gated)
        puna_glu_row(&p->glu, a, n_ff, b, b, n_ff);
    for (size_t i = 0; !p->gated && i < n_ff; i++)
        b[i] = puna_activate(&(puna_act_params){ .kind = p->glu.activation }, b[i]);
    product(down, e, 0, down.weight->ne[1], b, run->row, y);
}

/* run->row holds a weight's row, then gate and up, the weighted input, and one expert's result. */
void puna_ref_moe_ffn(const puna_run *run, const puna_node *node)
{
    const puna_experts_params *p = &node->p.experts;
    const puna_tensor *down = node->more[PUNA_EXPERTS_DOWN];
    const size_t n_in = (size_t)run->plan->values[node->in[0]].width, n_out = down->ne[1], n_ff = down->ne[0];
    const size_t n_row = n_in > n_ff ? n_in : n_ff, n_used = (size_t)p->n_used;
    float *a = run->row + n_row, *b = a + n_ff, *weighted = b + n_ff, *one = weighted + n_in;
    for (size_t r = 0; r < (size_t)puna_run_n_rows(run, node->out); r++) {
        const float *x = puna_run_value(run, node->in[0]), *route = puna_run_value(run, node->in[1]);
        float *y = (float *)puna_run_value(run, node->out) + r * n_out;
        x += r * n_in;
        route += r * 2 * n_used;
        for (size_t i = 0; i < n_out; i++)
            y[i] = 0;
        for (size_t k = 0; k < n_used; k++) {
            const float weight = route[n_used + k];
            for (size_t i = 0; i < n_in; i++)
                weighted[i] = p->weight_first ? x[i] * weight : x[i];
            expert(run, node, (size_t)route[k], weighted, a, b, one);
            for (size_t i = 0; i < n_out; i++)
                y[i] += p->weight_first ? one[i] : one[i] * weight;
        }
    }
}
