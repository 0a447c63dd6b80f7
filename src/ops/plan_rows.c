/* plan_rows.c - the recorder of what works on one row alone: activations, sums, columns. */
#include "ops/recorder.h"

puna_value p_act(puna_plan *g, puna_value x, const puna_act_params *p)
{
    if (!puna_plan_usable(g, x))
        return -1;
    puna_node node = { .op = PUNA_OP_ACT, .in = { x }, .p.act = *p };
    return puna_plan_record(g, node, puna_plan_width(g, x), g->values[x].per_output);
}

puna_value p_glu(puna_plan *g, puna_value gate, puna_value up, const puna_glu_params *p)
{
    if (!puna_plan_beside(g, gate, up))
        return -1;
    const int32_t width = puna_plan_width(g, up), n_gate = puna_plan_width(g, gate);
    if (width % n_gate) {
        puna_plan_mistake(g, NULL, "width of a gate", (uint64_t)n_gate, (uint64_t)width);
        return -1;
    }
    puna_node node = { .op = PUNA_OP_GLU, .in = { gate, up }, .p.glu = *p };
    return puna_plan_record(g, node, width, g->values[up].per_output);
}

puna_value p_add(puna_plan *g, puna_value x, puna_value y)
{
    return p_add_scaled(g, x, 1, y, 1);
}

puna_value p_add_scaled(puna_plan *g, puna_value x, float x_factor, puna_value y, float y_factor)
{
    if (!puna_plan_beside(g, x, y))
        return -1;
    if (puna_plan_width(g, x) != puna_plan_width(g, y)) {
        puna_plan_mistake(g, NULL, "width", (uint64_t)puna_plan_width(g, y), (uint64_t)puna_plan_width(g, x));
        return -1;
    }
    puna_node node = { .op = PUNA_OP_ADD, .in = { x, y } };
    node.p.add.x = x_factor;
    node.p.add.y = y_factor;
    return puna_plan_record(g, node, puna_plan_width(g, x), g->values[x].per_output);
}

/* Its values divide the width, or it is none. */
static bool repeats(puna_plan *g, const puna_tensor *w, int32_t width)
{
    const uint64_t n = w ? w->ne[0] * puna_tensor_rows(w) : 1;
    return puna_plan_vector(g, w, n && (uint64_t)width % n == 0 ? n : (uint64_t)width);
}

puna_value p_affine(puna_plan *g, puna_value x, float scale, const puna_tensor *weight,
                    const puna_tensor *bias, float limit)
{
    if (!puna_plan_usable(g, x) || !repeats(g, weight, puna_plan_width(g, x)) ||
        !repeats(g, bias, puna_plan_width(g, x)))
        return -1;
    puna_node node = { .op = PUNA_OP_AFFINE, .in = { x }, .weight = weight, .bias = bias };
    node.p.affine.scale = scale;
    node.p.affine.limit = limit;
    return puna_plan_record(g, node, puna_plan_width(g, x), g->values[x].per_output);
}

puna_value p_columns(puna_plan *g, puna_value x, int32_t n_group, int32_t from, int32_t n)
{
    if (!puna_plan_usable(g, x))
        return -1;
    const int32_t width = puna_plan_width(g, x);
    if (n_group < 1 || width % n_group || from < 0 || n < 1 || from > width / n_group - n) {
        puna_plan_mistake(g, NULL, "columns", (uint64_t)(from + n),
                          (uint64_t)(n_group > 0 ? width / n_group : 0));
        return -1;
    }
    puna_node node = { .op = PUNA_OP_COLUMNS, .in = { x } };
    node.p.columns.n_group = n_group;
    node.p.columns.from = from;
    return puna_plan_record(g, node, n_group * n, g->values[x].per_output);
}

puna_value p_repeat(puna_plan *g, puna_value x, int32_t times)
{
    if (!puna_plan_usable(g, x))
        return -1;
    if (times < 1 || puna_plan_width(g, x) > INT32_MAX / times) {
        puna_plan_mistake(g, NULL, "times of a value", (uint64_t)times, 1);
        return -1;
    }
    puna_node node = { .op = PUNA_OP_COLUMNS, .in = { x } };
    node.p.columns.n_group = times;
    node.p.columns.repeat = true;
    return puna_plan_record(g, node, times * puna_plan_width(g, x), g->values[x].per_output);
}

puna_value p_join(puna_plan *g, puna_value x, puna_value y, int32_t n_group)
{
    if (!puna_plan_beside(g, x, y))
        return -1;
    if (n_group < 1 || puna_plan_width(g, x) % n_group || puna_plan_width(g, y) % n_group) {
        puna_plan_mistake(g, NULL, "groups to join", (uint64_t)puna_plan_width(g, y),
                          (uint64_t)puna_plan_width(g, x));
        return -1;
    }
    puna_node node = { .op = PUNA_OP_JOIN, .in = { x, y } };
    node.p.columns.n_group = n_group;
    return puna_plan_record(g, node, puna_plan_width(g, x) + puna_plan_width(g, y), g->values[x].per_output);
}

puna_value p_balance(puna_plan *g, puna_value x, int32_t n_rounds, float eps)
{
    if (!puna_plan_usable(g, x))
        return -1;
    const int32_t width = puna_plan_width(g, x);
    int32_t n = 1;
    while (n < width / n)
        n++;
    if (n * n != width || n_rounds < 1) {
        puna_plan_mistake(g, NULL, "numbers of a square", (uint64_t)width, (uint64_t)n * (uint64_t)n);
        return -1;
    }
    puna_node node = { .op = PUNA_OP_BALANCE, .in = { x } };
    node.p.balance.n_rounds = n_rounds;
    node.p.balance.eps = eps;
    return puna_plan_record(g, node, width, g->values[x].per_output);
}

puna_value p_divisor(puna_plan *g, puna_value x, puna_norm_kind kind, float eps)
{
    if (!puna_plan_usable(g, x))
        return -1;
    puna_node node = { .op = PUNA_OP_DIVISOR, .in = { x } };
    node.p.norm = (puna_norm_params){ .kind = kind, .eps = eps, .group = puna_plan_width(g, x) };
    return puna_plan_record(g, node, 1, g->values[x].per_output);
}

puna_value p_mix(puna_plan *g, puna_value x, puna_value weights, int32_t n)
{
    if (!puna_plan_beside(g, x, weights))
        return -1;
    const int32_t width = puna_plan_width(g, x), n_weights = puna_plan_width(g, weights);
    if (n < 1 || width % n || n_weights % n || n_weights / n > INT32_MAX / (width / n)) {
        puna_plan_mistake(g, NULL, "weights of a sum", (uint64_t)n_weights, (uint64_t)n);
        return -1;
    }
    puna_node node = { .op = PUNA_OP_MIX, .in = { x, weights } };
    node.p.columns.n_group = n;
    return puna_plan_record(g, node, width / n * (n_weights / n), g->values[x].per_output);
}

puna_value p_mean(puna_plan *g, puna_value x, int32_t n)
{
    if (!puna_plan_usable(g, x))
        return -1;
    const int32_t width = puna_plan_width(g, x);
    if (n < 1 || width % n) {
        puna_plan_mistake(g, NULL, "parts of a mean", (uint64_t)n, (uint64_t)width);
        return -1;
    }
    puna_node node = { .op = PUNA_OP_MIX, .in = { x, -1 } };
    node.p.columns.n_group = n;
    return puna_plan_record(g, node, width / n, g->values[x].per_output);
}
