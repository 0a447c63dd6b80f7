/* steps.c - which nodes of a plan share a step, and where the values between steps lie.
 *
 * Values are made once and never change, so that a node may run anywhere between its inputs and
 * its readers: products are moved up beside the first that reads the same input, norms and
 * rotations of heads are moved down into attention. The caches are the only state: a store moves
 * down to the next attention over the same cache, never past it. */
#include "backend/cpu/steps.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/vector.h"
#include "base/checked.h"

typedef struct compiler {
    const puna_plan *plan;
    puna_steps *out;
    uint32_t allowed;
    bool fusion;
    int32_t *step_of;   /* per node; -1: not yet */
    int32_t *n_readers; /* per value */
    bool *absorbed;     /* per node: will run inside an attention step */
} compiler;

static const puna_node *maker(const compiler *c, puna_value v)
{
    return &c->plan->nodes[c->plan->values[v].first];
}

static int32_t index_of(const compiler *c, const puna_node *node)
{
    return (int32_t)(node - c->plan->nodes);
}

static bool per_output(const compiler *c, puna_value v)
{
    return c->plan->values[v].per_output;
}

/* The only reader of a value, or NULL when there are more or none. */
static const puna_node *only_reader(const compiler *c, puna_value v)
{
    return c->n_readers[v] == 1 ? &c->plan->nodes[c->plan->values[v].last] : NULL;
}

static bool pending(const compiler *c, int32_t i)
{
    return c->step_of[i] < 0 && !c->absorbed[i];
}

static int32_t next_pending(const compiler *c, int32_t i)
{
    while (i < c->plan->n_nodes && !pending(c, i))
        i++;
    return i;
}

/* ---- attention -------------------------------------------------------------------------- */

/* A norm whose groups all have the same weight and bias. */
static bool one_weight(const puna_node *node)
{
    const uint64_t group = (uint64_t)node->p.norm.group;
    return (!node->weight || node->weight->ne[0] * puna_tensor_rows(node->weight) == group) &&
           (!node->bias || node->bias->ne[0] * puna_tensor_rows(node->bias) == group);
}

/* What attention.c computes; the scalar reference does the others. */
static bool attention_has(const puna_node *node)
{
    const puna_attention_params *p = &node->p.attention;
    return !p->v_in_k && node->in[1] < 0 && p->mask == PUNA_MASK_CAUSAL && p->alibi == 0 &&
           p->temperature == 0 && !node->weight && !node->bias;
}

/* Walks up from v through norms and rotations of single heads that nobody else reads. */
static void head_ops(const compiler *c, puna_value v, int32_t head_dim, puna_head_ops *ops)
{
    *ops = (puna_head_ops){ .in = v };
    while (c->fusion && ops->n < PUNA_STEP_HEAD_OPS && c->n_readers[ops->in] == 1) {
        const puna_node *node = maker(c, ops->in);
        bool fits = (node->op == PUNA_OP_NORM && node->p.norm.group == head_dim && one_weight(node)) ||
                    (node->op == PUNA_OP_ROPE && node->p.rope.head_dim == head_dim);
        if (!fits || per_output(c, node->out))
            break;
        memmove(&ops->node[1], &ops->node[0], (size_t)ops->n * sizeof ops->node[0]);
        ops->node[0] = node;
        ops->n++;
        ops->in = node->in[0];
    }
}

/* The store that this attention waits for: the nearest before it with the same cache. */
static const puna_node *store_before(const compiler *c, const puna_node *attention)
{
    int32_t cache = attention->p.attention.cache;
    for (int32_t i = index_of(c, attention) - 1; c->fusion && i >= 0; i--) {
        const puna_node *node = &c->plan->nodes[i];
        if (node->op == PUNA_OP_KV_STORE && node->p.cache == cache)
            return node;
        if (node->op == PUNA_OP_ATTENTION && node->p.attention.cache == cache)
            return NULL;
    }
    return NULL;
}

static void attention_step(const compiler *c, const puna_node *attention, puna_step *step)
{
    *step =
        (puna_step){ .kind = PUNA_STEP_ATTENTION, .attention = attention, .residual = -1, .last = attention };
    head_ops(c, attention->in[0], attention->p.attention.head_dim, &step->q);
    const puna_node *store = store_before(c, attention);
    if (!store)
        return;
    step->store = store;
    step->v = store->in[1];
    head_ops(c, store->in[0], c->plan->caches[store->p.cache].head_dim_k, &step->k);
}

static void mark(int32_t *step_of, bool *absorbed, const puna_plan *plan, const puna_node *node, int32_t step)
{
    absorbed[node - plan->nodes] = true;
    step_of[node - plan->nodes] = step;
}

/* Marks the nodes that run inside an attention step; step -1 only reserves them. */
static void mark_attention(compiler *c, const puna_step *step, int32_t number)
{
    for (int32_t i = 0; i < step->q.n; i++)
        mark(c->step_of, c->absorbed, c->plan, step->q.node[i], number);
    for (int32_t i = 0; step->store && i < step->k.n; i++)
        mark(c->step_of, c->absorbed, c->plan, step->k.node[i], number);
    if (step->store)
        mark(c->step_of, c->absorbed, c->plan, step->store, number);
}

static void reserve_attention(compiler *c)
{
    for (int32_t i = 0; i < c->plan->n_nodes; i++) {
        puna_step step;
        if (c->plan->nodes[i].op != PUNA_OP_ATTENTION || !attention_has(&c->plan->nodes[i]))
            continue;
        attention_step(c, &c->plan->nodes[i], &step);
        mark_attention(c, &step, -1);
    }
}

/* ---- chains ----------------------------------------------------------------------------- */

static bool is_row_op(const puna_node *node)
{
    switch (node->op) {
    case PUNA_OP_EMBED:
    case PUNA_OP_NORM:
    case PUNA_OP_ACT:
    case PUNA_OP_GLU:
    case PUNA_OP_ADD:
    case PUNA_OP_AFFINE:
    case PUNA_OP_COLUMNS:
    case PUNA_OP_DIVISOR:
    case PUNA_OP_MIX:
    case PUNA_OP_JOIN:
    case PUNA_OP_BALANCE:
    case PUNA_OP_MOE_ROUTE:
    case PUNA_OP_SELECT_ROWS:
        return true;
    default:
        return false;
    }
}

/* A chain that selects rows runs on the selected ones only, so that nothing before the selection
 * may be read from outside. */
static bool may_select(const compiler *c, const puna_step *step)
{
    for (int32_t i = 0; i < step->n_chain; i++) {
        puna_value v = step->chain[i].node->out;
        int32_t inside = 0;
        for (int32_t j = i + 1; j < step->n_chain; j++)
            inside += (step->chain[j].node->in[0] == v) + (step->chain[j].node->in[1] == v);
        if (!per_output(c, v) && inside + (i == step->n_chain - 1) != c->n_readers[v])
            return false;
    }
    return true;
}

static void append_chain(compiler *c, puna_step *step, const puna_node *node)
{
    puna_chain_op *op = &step->chain[step->n_chain];
    *op = (puna_chain_op){ .node = node, .from = { -1, -1 } };
    for (int32_t i = 0; i < step->n_chain; i++)
        for (int k = 0; k < 2; k++)
            if (node->in[k] >= 0 && step->chain[i].node->out == node->in[k])
                op->from[k] = (int8_t)i;
    step->n_chain++;
    step->per_output = per_output(c, node->out);
    step->last = node;
    c->step_of[index_of(c, node)] = c->out->n_steps;
}

/* Collects row-wise nodes from i on; returns the node after them. */
static int32_t collect_chain(compiler *c, int32_t i, puna_step *step)
{
    append_chain(c, step, &c->plan->nodes[i]);
    i = next_pending(c, i);
    while (c->fusion && step->chain[0].node->op != PUNA_OP_ROPE && i < c->plan->n_nodes &&
           step->n_chain < PUNA_STEP_CHAIN) {
        const puna_node *node = &c->plan->nodes[i];
        if (!is_row_op(node))
            break;
        bool changes = per_output(c, node->out) != step->per_output;
        if (changes &&
            (node->op != PUNA_OP_SELECT_ROWS || node->in[0] != step->last->out || !may_select(c, step)))
            break;
        append_chain(c, step, node);
        i = next_pending(c, i);
    }
    return i;
}

/* ---- products --------------------------------------------------------------------------- */

static void append_linear(compiler *c, puna_step *step, const puna_node *node)
{
    step->linears[step->n_linears++] = (puna_step_linear){
        .linear = puna_linear_choose(node->weight, c->allowed),
        .bias = node->bias ? node->bias->data : NULL,
        .out = node->out,
    };
    step->last = node;
    c->step_of[index_of(c, node)] = c->out->n_steps;
}

/* The gated activation whose two inputs are this product and another of the same input. */
static const puna_node *glu_of(const compiler *c, const puna_node *node)
{
    const puna_node *glu = only_reader(c, node->out);
    if (!c->fusion || !glu || glu->op != PUNA_OP_GLU || !puna_vector_has(glu->p.glu.activation) ||
        glu->p.glu.limit > 0 || glu->p.glu.up_offset != 0)
        return NULL;
    const puna_node *gate = maker(c, glu->in[0]), *up = maker(c, glu->in[1]);
    bool fits = gate->op == PUNA_OP_LINEAR && up->op == PUNA_OP_LINEAR && gate->in[0] == up->in[0] &&
                gate->weight->ne[1] == up->weight->ne[1] && only_reader(c, gate->out) == glu &&
                only_reader(c, up->out) == glu;
    return fits ? glu : NULL;
}

/* Adds the sum that follows the only product, when the other summand was made in an earlier step. */
static void fuse_residual(compiler *c, puna_step *step)
{
    puna_step_linear *l = &step->linears[0];
    const puna_node *add = only_reader(c, l->out);
    if (!c->fusion || !add || add->op != PUNA_OP_ADD || add->p.add.x != 1 || add->p.add.y != 1)
        return;
    puna_value other = add->in[0] == l->out ? add->in[1] : add->in[0];
    int32_t made = c->step_of[c->plan->values[other].first];
    if (made < 0 || made == c->out->n_steps)
        return;
    step->residual = other;
    l->out = add->out;
    c->step_of[index_of(c, add)] = c->out->n_steps;
}

/* The products of node's input; a gate and its up are always a step of their own. */
static void collect_linears(compiler *c, int32_t i, puna_step *step)
{
    const puna_node *node = &c->plan->nodes[i], *glu = glu_of(c, node);
    step->kind = PUNA_STEP_LINEAR;
    step->in = node->in[0];
    step->per_output = per_output(c, node->in[0]);
    if (glu) {
        append_linear(c, step, maker(c, glu->in[0]));
        append_linear(c, step, maker(c, glu->in[1]));
        step->glu = glu;
        step->glu_out = glu->out;
        c->step_of[index_of(c, glu)] = c->out->n_steps;
        return;
    }
    append_linear(c, step, node);
    for (int32_t j = i + 1; c->fusion && j <= c->plan->values[step->in].last; j++) {
        const puna_node *other = &c->plan->nodes[j];
        if (other->op == PUNA_OP_LINEAR && other->in[0] == step->in && pending(c, j) && !glu_of(c, other) &&
            step->n_linears < PUNA_STEP_LINEARS)
            append_linear(c, step, other);
    }
    if (step->n_linears == 1)
        fuse_residual(c, step);
}

static void logits_step(compiler *c, int32_t i, puna_step *step)
{
    const puna_node *node = &c->plan->nodes[i];
    append_linear(c, step, node);
    step->kind = PUNA_STEP_LINEAR;
    step->in = node->in[0];
    step->per_output = per_output(c, node->in[0]);
    step->logits = node;
}

/* ---- the list --------------------------------------------------------------------------- */

/* Whether the chain makes what `node` reads, for as many rows as the chain has. */
static bool chain_feeds(const compiler *c, puna_step *step, const puna_node *node)
{
    for (int32_t i = 0; c->fusion && step->chain[0].node->op != PUNA_OP_ROPE && i < step->n_chain; i++)
        if (step->chain[i].node->out == node->in[0] && per_output(c, node->in[0]) == step->per_output) {
            step->chain_in = i;
            return true;
        }
    return false;
}

/* The step that starts at node i, which is pending. */
static void compile_step(compiler *c, int32_t i)
{
    int32_t number = c->out->n_steps;
    puna_step *step = &c->out->steps[number];
    const puna_node *node = &c->plan->nodes[i];
    *step = (puna_step){ .residual = -1, .in = -1, .glu_out = -1, .last = node };
    if (is_row_op(node) || node->op == PUNA_OP_ROPE) {
        int32_t next = collect_chain(c, i, step);
        const puna_node *after = next < c->plan->n_nodes ? &c->plan->nodes[next] : NULL;
        if (after && chain_feeds(c, step, after) && after->op == PUNA_OP_LINEAR)
            collect_linears(c, next, step);
        else if (after && chain_feeds(c, step, after) && after->op == PUNA_OP_LOGITS)
            logits_step(c, next, step);
    } else if (node->op == PUNA_OP_LINEAR) {
        collect_linears(c, i, step);
    } else if (node->op == PUNA_OP_LOGITS) {
        logits_step(c, i, step);
    } else if (node->op == PUNA_OP_KV_STORE && node->in[1] >= 0) {
        step->kind = PUNA_STEP_STORE;
        step->store = node;
        step->k = (puna_head_ops){ .in = node->in[0] };
        step->v = node->in[1];
        c->step_of[i] = number;
    } else if (node->op == PUNA_OP_ATTENTION && attention_has(node)) {
        attention_step(c, node, step);
        mark_attention(c, step, number);
        c->step_of[i] = number;
    } else {
        step->kind = PUNA_STEP_REFERENCE;
        c->step_of[i] = number;
    }
    c->out->n_steps++;
}

static bool add_ropes(compiler *c)
{
    puna_steps *out = c->out;
    for (int32_t i = 0; i < c->plan->n_nodes; i++) {
        const puna_node *node = &c->plan->nodes[i];
        if (node->op != PUNA_OP_ROPE || puna_steps_rope(out, node) >= 0)
            continue;
        puna_rope_table *more = realloc(out->ropes, ((size_t)out->n_ropes + 1) * sizeof *more);
        if (!more)
            return false;
        out->ropes = more;
        more[out->n_ropes++] =
            (puna_rope_table){ .params = node->p.rope, .factors = node->weight ? node->weight->data : NULL };
    }
    return true;
}

/* Everything that decides an angle; how many heads use it does not. */
int32_t puna_steps_rope(const puna_steps *steps, const puna_node *node)
{
    const puna_rope_params *a = &node->p.rope;
    for (int32_t i = 0; i < steps->n_ropes; i++) {
        const puna_rope_params *b = &steps->ropes[i].params;
        const float *factors = node->weight ? node->weight->data : NULL;
        if (a->n_rot == b->n_rot && a->base == b->base && a->scale == b->scale &&
            a->yarn_ext == b->yarn_ext && a->yarn_beta_fast == b->yarn_beta_fast &&
            a->yarn_beta_slow == b->yarn_beta_slow && a->magnitude == b->magnitude &&
            a->n_ctx_orig == b->n_ctx_orig && a->position_block == b->position_block && a->back == b->back &&
            a->still_period == b->still_period && a->still_from == b->still_from && factors == steps->ropes[i].factors)
            return i;
    }
    return -1;
}

/* ---- placement -------------------------------------------------------------------------- */

typedef struct placed {
    int32_t first, last; /* steps */
    size_t at, size;     /* floats per row */
    puna_value value;
} placed;

static int by_first(const void *a, const void *b)
{
    const placed *x = a, *y = b;
    return x->first != y->first ? (x->first > y->first) - (x->first < y->first)
                                : (x->value > y->value) - (x->value < y->value);
}

/* The lowest place beside the n live ones. */
static size_t first_fit(const placed *live, int32_t n, size_t size)
{
    size_t at = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int32_t i = 0; i < n; i++)
            if (at < live[i].at + live[i].size && live[i].at < at + size) {
                at = live[i].at + live[i].size;
                moved = true;
            }
    }
    return at;
}

/* Gives places to values that outlive the step that makes them; all[] is overwritten with the
 * live ones as it is read. A value never shares a place with one that is read in the same step. */
static void place(puna_steps *out, placed *all, int32_t n)
{
    int32_t n_live = 0;
    qsort(all, (size_t)n, sizeof *all, by_first);
    for (int32_t i = 0; i < n; i++) {
        placed now = all[i];
        int32_t kept = 0;
        for (int32_t j = 0; j < n_live; j++)
            if (all[j].last >= now.first)
                all[kept++] = all[j];
        n_live = kept;
        now.at = first_fit(all, n_live, now.size);
        all[n_live++] = now;
        out->values[now.value].offset = now.at;
        if (now.at + now.size > out->row_floats)
            out->row_floats = now.at + now.size;
    }
}

/* Lifetimes in steps, then which chain values are kept, then places. */
static bool place_values(compiler *c)
{
    const puna_plan *plan = c->plan;
    placed *all = calloc((size_t)plan->n_values + 1, sizeof *all);
    bool *outlives = calloc((size_t)plan->n_values + 1, sizeof *outlives);
    if (!all || !outlives) {
        free(all);
        free(outlives);
        return false;
    }
    for (puna_value v = 0; v < plan->n_values; v++) {
        int32_t made = c->step_of[plan->values[v].first];
        size_t size = ((size_t)plan->values[v].width + 15) & ~(size_t)15;
        all[v] = (placed){ .first = made, .last = made, .size = size, .value = v };
        outlives[v] = !c->fusion || c->n_readers[v] == 0;
    }
    for (int32_t i = 0; i < plan->n_nodes; i++)
        for (int k = 0; k < PUNA_NODE_INPUTS; k++) {
            puna_value v = plan->nodes[i].in[k];
            if (v < 0)
                continue;
            if (c->step_of[i] > all[v].last)
                all[v].last = c->step_of[i];
            outlives[v] |= c->step_of[i] != all[v].first;
        }
    for (int32_t s = 0; s < c->out->n_steps; s++)
        for (int32_t i = 0; i < c->out->steps[s].n_chain; i++)
            c->out->steps[s].chain[i].kept = outlives[c->out->steps[s].chain[i].node->out];
    int32_t n = 0;
    for (puna_value v = 0; v < plan->n_values; v++)
        if (outlives[v])
            all[n++] = all[v];
    place(c->out, all, n);
    free(all);
    free(outlives);
    return true;
}

static bool compile(compiler *c)
{
    const puna_plan *plan = c->plan;
    size_t n_nodes = (size_t)plan->n_nodes, n_values = (size_t)plan->n_values;
    c->step_of = calloc(n_nodes + 1, sizeof *c->step_of);
    c->absorbed = calloc(n_nodes + 1, sizeof *c->absorbed);
    c->n_readers = calloc(n_values + 1, sizeof *c->n_readers);
    c->out->steps = calloc(n_nodes + 1, sizeof *c->out->steps);
    c->out->values = calloc(n_values + 1, sizeof *c->out->values);
    if (!c->step_of || !c->absorbed || !c->n_readers || !c->out->steps || !c->out->values || !add_ropes(c))
        return false;
    memcpy(c->out->values, plan->values, n_values * sizeof *c->out->values);
    for (int32_t i = 0; i < plan->n_nodes; i++) {
        c->step_of[i] = -1;
        for (int k = 0; k < PUNA_NODE_INPUTS; k++)
            if (plan->nodes[i].in[k] >= 0)
                c->n_readers[plan->nodes[i].in[k]]++;
    }
    reserve_attention(c);
    for (int32_t i = next_pending(c, 0); i < plan->n_nodes; i = next_pending(c, i))
        compile_step(c, i);
    return place_values(c);
}

puna_status puna_steps_compile(puna_steps *out, const puna_plan *plan, uint32_t allowed, bool fusion,
                               puna_error *err)
{
    *out = (puna_steps){ 0 };
    compiler c = { .plan = plan, .out = out, .allowed = allowed, .fusion = fusion };
    bool done = compile(&c);
    out->step_of = c.step_of;
    free(c.absorbed);
    free(c.n_readers);
    if (done)
        return PUNA_OK;
    puna_steps_free(out);
    return puna_fail_memory(err, "steps", (size_t)plan->n_nodes * sizeof(puna_step));
}

void puna_steps_free(puna_steps *steps)
{
    free(steps->steps);
    free(steps->step_of);
    free(steps->values);
    free(steps->ropes);
    *steps = (puna_steps){ 0 };
}
