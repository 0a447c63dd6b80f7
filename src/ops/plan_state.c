/* plan_state.c - the recorder of operations with a state: what a sequence keeps beside caches. Every one has a state of
 * its own, and refuses rows that were selected: it must see all of them. */
#include "ops/recorder.h"

/* One row per token. */
static bool all_rows(puna_plan *g, puna_value x)
{
    if (!puna_plan_usable(g, x))
        return false;
    if (g->values[x].per_output)
        g->status = puna_fail(&g->error, PUNA_ERR_FAILED,
                              "plan: layer %d: an operation with a state lacks rows", (int)g->layer);
    return !g->status;
}

static bool wide(puna_plan *g, puna_value x, const char *what, int64_t width)
{
    if (!all_rows(g, x))
        return false;
    if (puna_plan_width(g, x) != width)
        puna_plan_mistake(g, NULL, what, (uint64_t)puna_plan_width(g, x), (uint64_t)width);
    return !g->status;
}

/* -1 and a mistake when it is too large to count. */
static int32_t state_of(puna_plan *g, const puna_tensor *w, int64_t rows, int64_t columns)
{
    if (rows < 1 || columns < 1 || rows > INT32_MAX / columns) {
        puna_plan_mistake(g, w, "values of a state", (uint64_t)(rows * columns), INT32_MAX);
        return -1;
    }
    return p_state(g, (int32_t)(rows * columns));
}

puna_value p_conv1d(puna_plan *g, puna_value x, const puna_tensor *w, const puna_tensor *bias,
                    puna_activation activation)
{
    if (!all_rows(g, x))
        return -1;
    const int32_t width = puna_plan_width(g, x);
    const uint64_t n_taps = w ? w->ne[0] : 0;
    if (n_taps < 2 || n_taps > 1 << 10) {
        puna_plan_mistake(g, w, "dim[0]", n_taps, 4);
        return -1;
    }
    if (!puna_plan_vector(g, w, n_taps * (uint64_t)width) || !puna_plan_vector(g, bias, (uint64_t)width))
        return -1;
    puna_node node = { .op = PUNA_OP_CONV1D, .in = { x }, .weight = w, .bias = bias };
    node.p.conv =
        (puna_conv_params){ activation, (int32_t)n_taps, state_of(g, w, (int64_t)n_taps - 1, width) };
    return puna_plan_record(g, node, width, false);
}

puna_value p_ngram(puna_plan *g, const puna_tensor *table, const puna_ngram_params *p)
{
    int32_t n_rows;
    if (!puna_plan_matrix(g, table, 0, 1, &n_rows))
        return -1;
    const int64_t n = p->n_gram < 2 || p->n_gram > PUNA_NGRAM_TOKENS || p->n_each < 1
                          ? 0
                          : ((int64_t)p->n_gram - 1) * p->n_each;
    if (n < 1 || n > PUNA_NGRAM_ROWS || n > INT32_MAX / (int64_t)table->ne[0]) {
        puna_plan_mistake(g, table, "rows of a token", (uint64_t)n, PUNA_NGRAM_ROWS);
        return -1;
    }
    for (int64_t i = 0; i < n; i++)
        if (p->count[i] < 1 || (uint64_t)p->first[i] + p->count[i] > (uint64_t)n_rows) {
            puna_plan_mistake(g, table, "rows", (uint64_t)n_rows, (uint64_t)p->first[i] + p->count[i]);
            return -1;
        }
    puna_node node = { .op = PUNA_OP_NGRAM, .weight = table, .p.ngram = *p };
    node.p.ngram.state = p_state(g, p->n_gram - 1);
    return puna_plan_record(g, node, (int32_t)n * (int32_t)table->ne[0], false);
}

puna_value p_shift(puna_plan *g, puna_value x)
{
    if (!all_rows(g, x))
        return -1;
    puna_node node = { .op = PUNA_OP_SHIFT, .in = { x }, .p.state = p_state(g, puna_plan_width(g, x)) };
    return puna_plan_record(g, node, puna_plan_width(g, x), false);
}

puna_value p_ssm_scan(puna_plan *g, puna_value x, puna_value dt, puna_value bc, const puna_tensor *a,
                      const puna_tensor *bias, const puna_tensor *d, const puna_ssm_params *p)
{
    if (!all_rows(g, x))
        return -1;
    const int32_t width = puna_plan_width(g, x);
    if (p->n_head < 1 || width % p->n_head || p->n_group < 1 || p->n_head % p->n_group || p->n_state < 1) {
        puna_plan_mistake(g, a, "heads of a state space", (uint64_t)p->n_head, (uint64_t)width);
        return -1;
    }
    const uint64_t n_head = (uint64_t)p->n_head, n_a = a ? a->ne[0] * puna_tensor_rows(a) : 0;
    if (!wide(g, dt, "steps of a state space", p->n_head) ||
        !wide(g, bc, "b and c of a state space", 2 * (int64_t)p->n_group * p->n_state) ||
        !puna_plan_vector(g, bias, n_head) || !puna_plan_vector(g, d, n_head))
        return -1;
    if (!a || !puna_plan_vector(g, a, n_a == n_head ? n_head : n_head * (uint64_t)p->n_state)) {
        puna_plan_mistake(g, a, "values", 0, n_head);
        return -1;
    }
    puna_node node = {
        .op = PUNA_OP_SSM_SCAN, .in = { x, dt, bc }, .weight = a, .bias = bias, .more = { d }, .p.ssm = *p
    };
    node.p.ssm.state = state_of(g, a, p->n_state, width);
    return puna_plan_record(g, node, width, false);
}

/* The values and the tensor that the rule reads, n_key values of a key. */
static bool memory_operands(puna_plan *g, const puna_memory_inputs *in, const puna_tensor *w,
                            const puna_memory_params *p, int32_t n_key)
{
    const int64_t keys = (int64_t)p->n_head_k * n_key;
    const bool one = in->decay >= 0 && in->decay < g->n_values && puna_plan_width(g, in->decay) == p->n_head;
    if (in->decay >= 0 &&
        !wide(g, in->decay, "decay of a memory", one ? p->n_head : (int64_t)p->n_head * n_key))
        return false;
    const bool bonus = p->rule == PUNA_MEMORY_BONUS;
    if (p->rule == PUNA_MEMORY_DELTA && !wide(g, in->a, "beta of a memory", p->n_head))
        return false;
    if (p->rule == PUNA_MEMORY_RANK1 &&
        (!wide(g, in->a, "a of a memory", keys) || !wide(g, in->b, "b of a memory", keys)))
        return false;
    if ((bonus || in->decay < 0) && (!w || (bonus && in->decay < 0))) {
        puna_plan_mistake(g, w, "decay of a memory", 0, (uint64_t)p->n_head);
        return false;
    }
    return puna_plan_vector(g, w, bonus ? (uint64_t)keys : (uint64_t)p->n_head);
}

puna_value p_memory_scan(puna_plan *g, const puna_memory_inputs *in, const puna_tensor *w,
                         const puna_memory_params *p)
{
    if (!all_rows(g, in->q) || !all_rows(g, in->v))
        return -1;
    const int32_t width = puna_plan_width(g, in->v), keys = puna_plan_width(g, in->q);
    if (p->n_head < 1 || p->n_head_k < 1 || p->n_head % p->n_head_k || width % p->n_head ||
        keys % p->n_head_k) {
        puna_plan_mistake(g, w, "heads of a memory", (uint64_t)p->n_head, (uint64_t)width);
        return -1;
    }
    if (!wide(g, in->k, "keys of a memory", keys) || !memory_operands(g, in, w, p, keys / p->n_head_k))
        return -1;
    puna_node node = { .op = PUNA_OP_MEMORY_SCAN,
                       .in = { in->q, in->k, in->v, in->decay, -1, -1 },
                       .weight = w,
                       .p.memory = *p };
    if (p->rule == PUNA_MEMORY_DELTA || p->rule == PUNA_MEMORY_RANK1)
        node.in[4] = in->a;
    if (p->rule == PUNA_MEMORY_RANK1)
        node.in[5] = in->b;
    node.p.memory.state = state_of(g, w, width, keys / p->n_head_k);
    return puna_plan_record(g, node, width, false);
}
