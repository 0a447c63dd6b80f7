/* worker_linear.c - chains of row-wise nodes, encoding of activations, and products.
 *
 * A batch of one row is encoded by every thread for itself: less work than another phase. Larger
 * ones are encoded once, rows divided, in a phase before the products. */
#include "backend/cpu/worker.h"

#include <string.h>

#include "ops/run.h"

bool puna_worker_take(const puna_worker *w, puna_worker_phase *phase, int32_t n, int32_t most, int32_t *begin,
                      int32_t *end)
{
    uint64_t seen = atomic_load_explicit(&phase->next, memory_order_relaxed);
    for (;;) {
        int32_t at = seen >> 32 == w->epoch ? (int32_t)(seen & UINT32_MAX) : 0;
        if (at >= n)
            return false;
        int32_t count = (n - at) / w->n_threads;
        count = count > most ? most : count < 1 ? 1 : count;
        uint64_t now = (uint64_t)w->epoch << 32 | (uint32_t)(at + count);
        if (atomic_compare_exchange_weak_explicit(&phase->next, &seen, now, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            *begin = at;
            *end = at + count;
            return true;
        }
    }
}

void puna_worker_finish(puna_worker *w, puna_worker_phase *phase, int32_t n, int32_t taken)
{
    const uint64_t all = (uint64_t)w->epoch << 32 | (uint32_t)n;
    if (w->n_threads == 1 || n == 0)
        return;
    uint64_t seen = atomic_load_explicit(&phase->done, memory_order_relaxed), now = 0;
    while (taken > 0) {
        now = (seen >> 32 == w->epoch ? seen : (uint64_t)w->epoch << 32) + (uint32_t)taken;
        if (atomic_compare_exchange_weak(&phase->done, &seen, now))
            break;
    }
    if (now == all)
        puna_pool_wake(w->pool);
    else
        puna_pool_wait(w->pool, &phase->done, all);
}

/* ---- chains ----------------------------------------------------------------------------- */

static void embed(const puna_worker *w, const puna_node *node, size_t row, float *y)
{
    const puna_tensor *table = node->weight;
    const int32_t at = puna_embed_row(&node->p.embed, table, w->batch, (int32_t)row);
    table->format->dequantize(puna_tensor_row(table, (uint64_t)at), y, table->ne[0]);
    w->program->vector->scale(node->p.embed.scale, y, y, table->ne[0]);
}

static void rotate(const puna_worker *w, const puna_node *node, size_t row, const float *x, float *y)
{
    const puna_rope_params *p = &node->p.rope;
    const float *cosines = w->angles[puna_steps_rope(w->steps, node)] + row * (size_t)p->n_rot;
    memcpy(y, x, (size_t)p->n_head * (size_t)p->head_dim * sizeof *y);
    for (int32_t h = 0; h < p->n_head; h++)
        w->program->vector->rope(p->pairing, p->n_rot, cosines, cosines + p->n_rot / 2, y + h * p->head_dim);
}

/* The part of a norm's weight or bias that belongs to the group at `at`: all have the same, or each its own. */
static const float *for_group(const puna_tensor *t, size_t at)
{
    return t ? (const float *)t->data + at % (t->ne[0] * puna_tensor_rows(t)) : NULL;
}

static void normalise(const puna_worker *w, const puna_node *node, const float *x, float *y, size_t width)
{
    const puna_norm_params *p = &node->p.norm;
    for (size_t i = 0; i < width; i += (size_t)p->group)
        w->program->vector->norm(p, for_group(node->weight, i), for_group(node->bias, i), x + i, y + i,
                                 (size_t)p->group);
}

static void gate(const puna_worker *w, const puna_node *node, const float *a, const float *b, float *y,
                 size_t width)
{
    const puna_glu_params *p = &node->p.glu;
    const size_t n_gate = (size_t)w->steps->values[node->in[0]].width;
    if (puna_vector_has(p->activation) && p->limit == 0 && p->up_offset == 0 && n_gate == width)
        w->program->vector->glu(p->activation, a, b, y, width);
    else
        puna_glu_row(p, a, n_gate, b, y, width);
}

static void sum(const puna_worker *w, const puna_node *node, const float *a, const float *b, float *y,
                size_t width)
{
    const float x_factor = node->p.add.x, y_factor = node->p.add.y;
    if (x_factor == 1 && y_factor == 1) {
        w->program->vector->add(a, b, y, width);
        return;
    }
    for (size_t i = 0; i < width; i++)
        y[i] = a[i] * x_factor + b[i] * y_factor;
}

static void route(const puna_worker *w, int thread, const puna_node *node, size_t row, const float *scores, float *y)
{
    const int32_t n = w->steps->values[node->in[0]].width;
    float *scratch = w->threads[thread].tile;
    const int32_t *given =
        node->weight ? puna_tensor_row(node->weight, (uint64_t)w->batch->tokens[row]) : NULL;
    puna_route_row(&node->p.route, scores, for_group(node->bias, 0), given, n, scratch, scratch + n, y);
}

static void row_op(const puna_worker *w, int thread, const puna_node *node, size_t row, const float *a,
                   const float *b, float *y)
{
    const size_t width = (size_t)w->steps->values[node->out].width;
    const size_t n_in = node->in[0] < 0 ? 0 : (size_t)w->steps->values[node->in[0]].width;
    switch (node->op) {
    case PUNA_OP_EMBED:
        embed(w, node, row, y);
        break;
    case PUNA_OP_NORM:
        normalise(w, node, a, y, width);
        break;
    case PUNA_OP_ROPE:
        rotate(w, node, row, a, y);
        break;
    case PUNA_OP_ACT:
        for (size_t i = 0; i < width; i++)
            y[i] = puna_activate(&node->p.act, a[i]);
        break;
    case PUNA_OP_GLU:
        gate(w, node, a, b, y, width);
        break;
    case PUNA_OP_ADD:
        sum(w, node, a, b, y, width);
        break;
    case PUNA_OP_AFFINE:
        puna_affine_row(node, a, y, width);
        break;
    case PUNA_OP_COLUMNS:
        puna_columns_row(node, a, n_in, y, width);
        break;
    case PUNA_OP_DIVISOR:
        *y = puna_divisor(&node->p.norm, a);
        break;
    case PUNA_OP_JOIN:
        puna_join_row(node, a, n_in, b, y, width);
        break;
    case PUNA_OP_BALANCE:
        puna_balance_row(node, a, y, width);
        break;
    case PUNA_OP_MIX:
        puna_mix_row(node, a, n_in, b, y, width);
        break;
    case PUNA_OP_MOE_ROUTE:
        route(w, thread, node, row, a, y);
        break;
    default:
        memcpy(y, a, width * sizeof *y);
    }
}

/* Runs the chain for one row of the step and returns where the result that products read is. `shares`: kept
 * results go to the values all threads see; otherwise another thread writes those. */
static const float *run_chain(puna_worker *w, int thread, const puna_step *step, size_t row, bool shares)
{
    float *results[PUNA_STEP_CHAIN];
    size_t token = step->per_output ? (size_t)w->batch->output_rows[row] : row;
    for (int32_t i = 0; i < step->n_chain; i++) {
        const puna_chain_op *op = &step->chain[i];
        const puna_node *node = op->node;
        const float *in[2] = { NULL, NULL };
        for (int k = 0; k < 2; k++) {
            if (op->from[k] >= 0)
                in[k] = results[op->from[k]];
            else if (node->in[k] >= 0)
                in[k] =
                    puna_worker_row(w, node->in[k], w->steps->values[node->in[k]].per_output ? row : token);
        }
        size_t at = w->steps->values[node->out].per_output ? row : token;
        results[i] = op->kept && shares ? puna_worker_row(w, node->out, at)
                                        : w->threads[thread].chain + (size_t)i * (size_t)w->max_width;
        row_op(w, thread, node, token, in[0], in[1], results[i]);
    }
    return results[step->chain_in];
}

void puna_worker_rows(puna_worker *w, int thread, int32_t number)
{
    const puna_step *step = &w->steps->steps[number];
    puna_worker_phase *phase = &w->phases[2 * number];
    int32_t begin, end, taken = 0, n_rows = puna_worker_n_rows(w, step->per_output);
    for (; puna_worker_take(w, phase, n_rows, 16, &begin, &end); taken += end - begin)
        for (int32_t r = begin; r < end; r++)
            run_chain(w, thread, step, (size_t)r, true);
    puna_worker_finish(w, phase, n_rows, taken);
}

/* One thread runs what is computed by the scalar reference. */
void puna_worker_reference(puna_worker *w, int thread, int32_t number)
{
    const puna_step *step = &w->steps->steps[number];
    puna_worker_phase *phase = &w->phases[2 * number];
    int32_t begin, end, taken = 0;
    (void)thread;
    for (; puna_worker_take(w, phase, 1, 1, &begin, &end); taken++) {
        const puna_run run = { .plan = &w->reference_plan,
                               .batch = w->batch,
                               .kv = w->kv,
                               .scratch = w->values,
                               .max_rows = w->options.max_tokens,
                               .row = w->reference_row };
        puna_ref_functions[step->last->op](&run, step->last);
    }
    puna_worker_finish(w, phase, 1, taken);
}

/* ---- encoding --------------------------------------------------------------------------- */

typedef struct encoded {
    int32_t n_rows;
    const void *rows[PUNA_ACT_KINDS];
} encoded;

static puna_act act_of(const puna_worker *w, const puna_linear *linear, int32_t n_rows)
{
    return puna_linear_act(linear, n_rows, w->options.deterministic);
}

static unsigned wanted(const puna_worker *w, const puna_step *step, int32_t n_rows)
{
    unsigned kinds = 0;
    for (int32_t i = 0; i < step->n_linears; i++)
        kinds |= 1u << act_of(w, &step->linears[i].linear, n_rows);
    return kinds;
}

/* Row `row` of n_rows; to: the memory of all of them. */
static void encode_row(puna_worker *w, int thread, const puna_step *step, size_t row, int32_t n_rows,
                       bool shares, unsigned char *const to[PUNA_ACT_KINDS])
{
    int32_t n_in = step->linears[0].linear.n_in;
    unsigned kinds = wanted(w, step, n_rows);
    const float *x =
        step->n_chain ? run_chain(w, thread, step, row, shares) : puna_worker_row(w, step->in, row);
    for (unsigned kind = 0; kind < PUNA_ACT_KINDS; kind++)
        if (kinds & 1u << kind)
            puna_act_encode_row((puna_act)kind, x, n_in, to[kind], (int32_t)row, n_rows, w->program->allowed);
}

/* Values that lie as encoded rows would are read in place. */
static bool in_place(const puna_worker *w, const puna_step *step, int32_t n_rows)
{
    int32_t n_in = step->linears[0].linear.n_in;
    return step->n_chain == 0 && wanted(w, step, n_rows) == 1u << PUNA_ACT_F32 &&
           puna_act_bytes(PUNA_ACT_F32, n_in) == (size_t)n_in * sizeof(float);
}

/* The first phase of a step of several rows. */
static void encode_rows(puna_worker *w, int thread, int32_t number, int32_t n_rows)
{
    const puna_step *step = &w->steps->steps[number];
    puna_worker_phase *phase = &w->phases[2 * number];
    int32_t begin, end, taken = 0;
    for (; puna_worker_take(w, phase, n_rows, 16, &begin, &end); taken += end - begin)
        for (int32_t r = begin; r < end; r++)
            encode_row(w, thread, step, (size_t)r, n_rows, true, w->act);
    puna_worker_finish(w, phase, n_rows, taken);
}

/* The encoded rows for a thread that has taken its first piece, `first` when it is the first of
 * all: that thread also writes what the chain keeps of a single row. */
static encoded encoded_rows(puna_worker *w, int thread, const puna_step *step, int32_t n_rows, bool first)
{
    const puna_worker_thread *own = &w->threads[thread];
    encoded x = { .n_rows = n_rows };
    if (in_place(w, step, n_rows)) {
        x.rows[PUNA_ACT_F32] = puna_worker_row(w, step->in, 0);
        return x;
    }
    if (n_rows == 1)
        encode_row(w, thread, step, 0, 1, first, own->act);
    for (int kind = 0; kind < PUNA_ACT_KINDS; kind++)
        x.rows[kind] = n_rows == 1 ? own->act[kind] : w->act[kind];
    return x;
}

/* ---- products --------------------------------------------------------------------------- */

/* Outputs in a unit of work: enough weight bytes that taking it costs nothing beside. */
static int32_t unit_of(const puna_linear *l, int32_t n_rows)
{
    uint64_t chunk = l->chunk > 0 ? (uint64_t)l->chunk : 1, bytes = puna_tensor_row_bytes(l->weight) * chunk;
    uint64_t n = n_rows < 8 ? (8192 + bytes - 1) / (bytes ? bytes : 1) : (16 + chunk - 1) / chunk;
    uint64_t most = 4096 / chunk > 0 ? 4096 / chunk : 1;
    return (int32_t)((n < 1 ? 1 : n > most ? most : n) * chunk);
}

/* Rows [first, first + n) of outputs [begin, end) of a product. */
static void product(puna_worker *w, int thread, const puna_step_linear *l, const encoded *x, int32_t first,
                    int32_t n, int32_t begin, int32_t end, float *y, size_t stride)
{
    const puna_linear *linear = &l->linear;
    const puna_act act = act_of(w, linear, x->n_rows);
    const size_t row_bytes = puna_act_bytes(act, linear->n_in);
    const unsigned char *rows = x->rows[act];
    rows += (size_t)first * row_bytes;
    /* Whatever kernels sum in for many rows, for one it is one order. */
    int32_t at_once = w->options.deterministic && !linear->uniform ? 1 : n;
    for (int32_t r = 0; r < n; r += at_once)
        puna_linear_run(linear, act, rows + (size_t)r * row_bytes, at_once, y + (size_t)r * stride, stride,
                        begin, end, w->threads[thread].linear);
    if (l->bias)
        for (int32_t r = 0; r < n; r++) {
            float *at = y + (size_t)r * stride + begin;
            w->program->vector->add(at, l->bias + begin, at, (size_t)(end - begin));
        }
}

static void run_piece(puna_worker *w, int thread, const puna_step *step, const encoded *x, int32_t n_rows,
                      const puna_step_linear *l, int32_t begin, int32_t end)
{
    const puna_vector_kernels *vector = w->program->vector;
    size_t stride = (size_t)l->linear.n_out, n = (size_t)(end - begin);
    for (int32_t first = 0; first < n_rows; first += PUNA_WORKER_ROWS) {
        int32_t rows = n_rows - first < PUNA_WORKER_ROWS ? n_rows - first : PUNA_WORKER_ROWS;
        float *y = puna_worker_row(w, l->out, (size_t)first);
        product(w, thread, l, x, first, rows, begin, end, y, stride);
        for (int32_t r = 0; r < rows && step->residual >= 0; r++) {
            float *at = y + (size_t)r * stride + begin;
            vector->add(puna_worker_row(w, step->residual, (size_t)(first + r)) + begin, at, at, n);
        }
    }
}

/* Where a product whose first output is `begin` must think its rows start, to fill a tile. */
static float *shifted(float *tile, int32_t begin)
{
    return (float *)((uintptr_t)tile - (uintptr_t)begin * sizeof *tile);
}

/* Rows of logits lie wherever the batch wants each: several pass through the thread's tile. */
static void run_logits(puna_worker *w, int thread, const puna_step *step, const encoded *x, int32_t n_rows,
                       int32_t begin, int32_t end)
{
    const float scale = step->logits->p.logits.scale, cap = step->logits->p.logits.softcap;
    size_t n = (size_t)(end - begin);
    for (int32_t first = 0; first < n_rows; first += PUNA_WORKER_ROWS) {
        int32_t rows = n_rows - first < PUNA_WORKER_ROWS ? n_rows - first : PUNA_WORKER_ROWS;
        float *tile = rows == 1 ? w->batch->logits[first] + begin : w->threads[thread].tile;
        product(w, thread, &step->linears[0], x, first, rows, begin, end, shifted(tile, begin), n);
        for (size_t r = 0; r < (size_t)rows; r++) {
            float *at = tile + r * n;
            if (scale != 1 || cap > 0)
                w->program->vector->softcap(scale, cap, at, n);
            if (rows > 1)
                memcpy(w->batch->logits[(size_t)first + r] + begin, at, n * sizeof *at);
        }
    }
}

/* Gate goes to where the result will be, up beside it into the thread's tile. */
static void run_gated(puna_worker *w, int thread, const puna_step *step, const encoded *x, int32_t n_rows,
                      int32_t begin, int32_t end)
{
    size_t stride = (size_t)step->linears[0].linear.n_out, n = (size_t)(end - begin);
    float *tile = w->threads[thread].tile;
    for (int32_t first = 0; first < n_rows; first += PUNA_WORKER_ROWS) {
        int32_t rows = n_rows - first < PUNA_WORKER_ROWS ? n_rows - first : PUNA_WORKER_ROWS;
        float *y = puna_worker_row(w, step->glu_out, (size_t)first);
        product(w, thread, &step->linears[0], x, first, rows, begin, end, y, stride);
        product(w, thread, &step->linears[1], x, first, rows, begin, end, shifted(tile, begin), n);
        for (size_t r = 0; r < (size_t)rows; r++) {
            float *at = y + r * stride + begin;
            w->program->vector->glu(step->glu->p.glu.activation, at, tile + r * n, at, n);
        }
    }
}

/* The most outputs of one piece, so that a piece of all rows stays in the second-level cache. Where matrices are
 * multiplied by the processor that is large, and reading activations is what takes time: once for more outputs. */
static int32_t most_outputs(int32_t n_rows, bool batch)
{
    const int32_t floats = batch ? PUNA_WORKER_TILE : PUNA_WORKER_TILE / 4;
    return floats / (n_rows < 8 ? 8 : n_rows < PUNA_WORKER_ROWS ? n_rows : PUNA_WORKER_ROWS);
}

/* How the outputs of a step's products are cut into units; a gated pair counts once. */
typedef struct division {
    int32_t n, most;                     /* products; units of a piece, at most */
    int32_t unit[PUNA_STEP_LINEARS];     /* outputs of a unit */
    int32_t base[PUNA_STEP_LINEARS + 1]; /* units before each product */
} division;

static division divide(const puna_worker *w, const puna_step *step, int32_t n_rows)
{
    division d = { .n = step->glu ? 1 : step->n_linears };
    bool batch = act_of(w, &step->linears[0].linear, n_rows) == PUNA_ACT_TILE;
    int32_t most = most_outputs(n_rows, batch);
    for (int32_t i = 0; i < d.n; i++) {
        const puna_linear *l = &step->linears[i].linear;
        int32_t unit = unit_of(l, n_rows) * (batch ? 2 : 1);
        d.unit[i] = unit < most ? unit : most;
        d.base[i + 1] = d.base[i] + (l->n_out + d.unit[i] - 1) / d.unit[i];
    }
    d.most = most / d.unit[0];
    return d;
}

/* Units [begin, end), which may belong to several products. */
static void run_units(puna_worker *w, int thread, const puna_step *step, const encoded *x, const division *d,
                      int32_t n_rows, int32_t begin, int32_t end)
{
    for (int32_t i = 0; i < d->n; i++) {
        const puna_step_linear *l = &step->linears[i];
        int32_t from = begin > d->base[i] ? begin - d->base[i] : 0;
        int32_t to = (end < d->base[i + 1] ? end : d->base[i + 1]) - d->base[i];
        if (from >= to)
            continue;
        int32_t last =
            l->linear.n_out - (to - 1) * d->unit[i] > d->unit[i] ? to * d->unit[i] : l->linear.n_out;
        if (step->glu)
            run_gated(w, thread, step, x, n_rows, from * d->unit[i], last);
        else if (step->logits)
            run_logits(w, thread, step, x, n_rows, from * d->unit[i], last);
        else
            run_piece(w, thread, step, x, n_rows, l, from * d->unit[i], last);
    }
}

void puna_worker_linear(puna_worker *w, int thread, int32_t number)
{
    const puna_step *step = &w->steps->steps[number];
    puna_worker_phase *phase = &w->phases[2 * number + 1];
    int32_t begin, end, taken = 0, n_rows = puna_worker_n_rows(w, step->per_output);
    if (n_rows == 0)
        return;
    if (n_rows > 1 && !in_place(w, step, n_rows))
        encode_rows(w, thread, number, n_rows);
    const division d = divide(w, step, n_rows);
    encoded x;
    for (; puna_worker_take(w, phase, d.base[d.n], d.most, &begin, &end); taken += end - begin) {
        if (taken == 0)
            x = encoded_rows(w, thread, step, n_rows, begin == 0);
        run_units(w, thread, step, &x, &d, n_rows, begin, end);
    }
    puna_worker_finish(w, phase, d.base[d.n], taken);
}
