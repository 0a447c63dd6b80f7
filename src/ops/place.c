/* place.c - where values lie in the scratch memory: first fit over the values that are alive.
 * The plan is linear, so a value lives from the node that makes it to the last that reads it. */
#include "ops/plan.h"

#include <string.h>

/* Rows of values are aligned to 16 floats, one cache line. */
static size_t padded(int32_t width)
{
    return ((size_t)width + 15) & ~(size_t)15;
}

static bool in_place(const puna_plan *g, const puna_node *node)
{
    static const bool allowed[] = {
#define OP(ID, name, n_inputs, in_place) in_place,
#include "ops/ops.def"
#undef OP
    };
    if (!allowed[node->op] || node->in[0] < 0)
        return false;
    const puna_value_info *x = &g->values[node->in[0]];
    return x->last == (int32_t)(node - g->nodes) && node->in[0] != node->in[1] &&
           x->width == g->values[node->out].width;
}

/* The lowest offset where `v` meets no value that is alive during its life. */
static size_t first_fit(const puna_plan *g, int32_t v)
{
    const puna_value_info *want = &g->values[v];
    size_t at = 0, need = padded(want->width);
    for (bool moved = true; moved;) {
        moved = false;
        for (int32_t i = 0; i < v; i++) {
            const puna_value_info *other = &g->values[i];
            bool alive = other->first <= want->last && want->first <= other->last;
            if (alive && at < other->offset + padded(other->width) && other->offset < at + need) {
                at = other->offset + padded(other->width);
                moved = true;
            }
        }
    }
    return at;
}

puna_status puna_plan_place(puna_plan *g, bool share, puna_error *err)
{
    if (g->status) {
        if (err)
            *err = g->error;
        return g->status;
    }
    g->row_floats = 0;
    for (int32_t v = 0; v < g->n_values; v++) {
        puna_value_info *value = &g->values[v];
        const puna_node *maker = &g->nodes[value->first];
        if (!share)
            value->offset = g->row_floats;
        else if (in_place(g, maker))
            value->offset = g->values[maker->in[0]].offset;
        else
            value->offset = first_fit(g, v);
        size_t end = value->offset + padded(value->width);
        if (end > g->row_floats)
            g->row_floats = end;
    }
    return PUNA_OK;
}
