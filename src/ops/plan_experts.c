/* plan_experts.c - the recorder of mixtures of experts. */
#include "ops/recorder.h"

puna_value p_moe_route(puna_plan *g, puna_value scores, const puna_tensor *bias, const puna_route_params *p)
{
    if (!puna_plan_usable(g, scores) || !puna_plan_vector(g, bias, (uint64_t)puna_plan_width(g, scores)))
        return -1;
    const int32_t n = puna_plan_width(g, scores);
    const bool groups = p->n_group > 1;
    const int32_t chunk = p->chunk > 1 ? p->chunk : 1;
    if (p->n_used < 1 || n % chunk || p->n_used > n / chunk ||
        (groups && (n % p->n_group || p->n_group_used < 1 || p->n_group_used > p->n_group ||
                    p->n_used > n / p->n_group * p->n_group_used))) {
        puna_plan_mistake(g, NULL, "experts of a token", (uint64_t)p->n_used, (uint64_t)n);
        return -1;
    }
    puna_node node = { .op = PUNA_OP_MOE_ROUTE, .in = { scores }, .bias = bias, .p.route = *p };
    return puna_plan_record(g, node, 2 * p->n_used, g->values[scores].per_output);
}

puna_value p_moe_route_tokens(puna_plan *g, puna_value scores, const puna_tensor *table, const puna_route_params *p)
{
    int32_t n_tokens;
    if (!puna_plan_usable(g, scores) || !puna_plan_matrix(g, table, (uint64_t)p->n_used, 1, &n_tokens))
        return -1;
    const int32_t n = puna_plan_width(g, scores);
    if (table->format->id != PUNA_FORMAT_I32) {
        puna_plan_mistake(g, table, "encoding", (uint64_t)table->format->id, PUNA_FORMAT_I32);
        return -1;
    }
    const int32_t *expert = table->data;
    for (uint64_t i = 0; i < (uint64_t)n_tokens * (uint64_t)p->n_used; i++)
        if (expert[i] < 0 || expert[i] >= n) {
            puna_plan_mistake(g, table, "number of an expert", (uint64_t)expert[i], (uint64_t)n);
            return -1;
        }
    puna_node node = { .op = PUNA_OP_MOE_ROUTE, .in = { scores }, .weight = table, .p.route = *p };
    return puna_plan_record(g, node, 2 * p->n_used, g->values[scores].per_output);
}

/* {n_in, n_out, n_expert} */
static bool expert_matrix(puna_plan *g, const puna_tensor *w, int32_t n_in, uint64_t n_expert, int32_t *n_out)
{
    return puna_plan_matrix(g, w, (uint64_t)n_in, n_expert, n_out);
}

puna_value p_moe_ffn(puna_plan *g, puna_value x, puna_value route, const puna_experts *e,
                     const puna_experts_params *p)
{
    if (!puna_plan_beside(g, x, route))
        return -1;
    const uint64_t n_expert = e->down ? e->down->ne[2] : 0;
    int32_t n_gate = 0, n_up = 0, n_out = 0;
    if (p->gated && !expert_matrix(g, e->gate, puna_plan_width(g, x), n_expert, &n_gate))
        return -1;
    if (!p->fused && !expert_matrix(g, e->up, puna_plan_width(g, x), n_expert, &n_up))
        return -1;
    const int32_t n_ff = p->fused ? n_gate / 2 : n_up;
    if (!expert_matrix(g, e->down, n_ff, n_expert, &n_out) ||
        !puna_plan_vector(g, e->gate_bias, (uint64_t)n_gate * n_expert) ||
        !puna_plan_vector(g, e->up_bias, (uint64_t)n_up * n_expert) ||
        !puna_plan_vector(g, e->down_bias, (uint64_t)n_out * n_expert) ||
        !puna_plan_vector(g, e->gate_scale, n_expert) || !puna_plan_vector(g, e->up_scale, n_expert) ||
        !puna_plan_vector(g, e->down_scale, n_expert))
        return -1;
    if ((p->gated && n_gate != (p->fused ? 2 * n_ff : n_ff)) || puna_plan_width(g, route) != 2 * p->n_used) {
        puna_plan_mistake(g, e->gate, "dim[1]", (uint64_t)n_gate, (uint64_t)n_ff);
        return -1;
    }
    puna_node node = { .op = PUNA_OP_MOE_FFN, .in = { x, route }, .weight = e->gate, .p.experts = *p };
    node.more[PUNA_EXPERTS_UP] = e->up;
    node.more[PUNA_EXPERTS_DOWN] = e->down;
    node.more[PUNA_EXPERTS_GATE_BIAS] = e->gate_bias;
    node.more[PUNA_EXPERTS_UP_BIAS] = e->up_bias;
    node.more[PUNA_EXPERTS_DOWN_BIAS] = e->down_bias;
    node.more[PUNA_EXPERTS_GATE_SCALE] = e->gate_scale;
    node.more[PUNA_EXPERTS_UP_SCALE] = e->up_scale;
    node.more[PUNA_EXPERTS_DOWN_SCALE] = e->down_scale;
    return puna_plan_record(g, node, n_out, g->values[x].per_output);
}
