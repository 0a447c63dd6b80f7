/* worker_experts.c - the experts of a mixture: gate and up, activation, down, weighted sum. Only the experts that a row
 * was sent to are read.
 *
 * One row takes two phases: gate and up of all its experts, then down, whose outputs are divided so that who has a range
 * of them sums all experts' results. Several rows are first put in order of their experts, so that each expert's
 * matrices are read once; what a row gets does not depend on the others, for a row sums its own experts in the order
 * in which they were chosen. */
#include "backend/cpu/worker.h"

#include <assert.h>
#include <string.h>

#include "backend/cpu/pack.h"
#include "ops/run.h"

enum { GROUP, ENCODE, HIDDEN, ENCODE_HIDDEN, DOWN, SUM, PIECES = 16 };

static_assert((int)SUM < (int)PUNA_WORKER_PHASES, "phases");

typedef struct job {
    puna_worker *w;
    int thread;
    const puna_step *step;
    const puna_experts_params *p;
    int32_t n_rows, n_used, n_expert, n_in, n_ff, n_out;
} job;

static job make_job(puna_worker *w, int thread, int32_t number)
{
    const puna_step *step = &w->steps->steps[number];
    const puna_tensor *down = step->experts->more[PUNA_EXPERTS_DOWN];
    return (job){ .w = w,
                  .thread = thread,
                  .step = step,
                  .p = &step->experts->p.experts,
                  .n_rows = puna_worker_n_rows(w, step->per_output),
                  .n_used = step->experts->p.experts.n_used,
                  .n_expert = (int32_t)down->ne[2],
                  .n_in = w->steps->values[step->in].width,
                  .n_ff = (int32_t)down->ne[0],
                  .n_out = step->down.n_out };
}

static const puna_linear *linear_of(const job *j, const puna_step_part *part)
{
    return &j->step->linears[part->linear].linear;
}

static int32_t expert_of(const job *j, int32_t pair)
{
    const float *route = puna_worker_row(j->w, j->step->experts->in[1], (size_t)(pair / j->n_used));
    return (int32_t)route[pair % j->n_used];
}

static float weight_of(const job *j, int32_t pair)
{
    const float *route = puna_worker_row(j->w, j->step->experts->in[1], (size_t)(pair / j->n_used));
    return route[j->n_used + pair % j->n_used];
}

/* n rows for one expert: encoded ones from number `encoded` on of those at act. What becomes of them lies at `place`. */
typedef struct span {
    int32_t expert, place, encoded, n;
    unsigned char *const *act;
} span;

/* ---- encoding --------------------------------------------------------------------------- */

static puna_act act_of(const job *j, const puna_step_part *part, int32_t n)
{
    return puna_linear_act(linear_of(j, part), n, j->w->options.deterministic);
}

/* The encodings that products of n rows read. */
static unsigned kinds_of(const job *j, bool down, int32_t n)
{
    if (down)
        return 1u << act_of(j, &j->step->down, n);
    return 1u << act_of(j, &j->step->up, n) | (j->p->gated ? 1u << act_of(j, &j->step->gate, n) : 0);
}

/* x[n_in] as row r of a span's. */
static void encode(const job *j, unsigned kinds, const float *x, int32_t n_in, const span *s, int32_t r)
{
    for (unsigned kind = 0; kind < PUNA_ACT_KINDS; kind++)
        if (kinds & 1u << kind)
            puna_act_encode_row((puna_act)kind, x, n_in,
                                s->act[kind] + (size_t)s->encoded * puna_act_bytes((puna_act)kind, n_in), r,
                                s->n, j->w->program->allowed);
}

/* The input of a pair's expert. */
static void encode_input(const job *j, int32_t pair, const span *s, int32_t r)
{
    const float *x = puna_worker_row(j->w, j->step->in, (size_t)(pair / j->n_used));
    float *weighted = j->w->threads[j->thread].chain;
    if (j->p->weight_first) {
        j->w->program->vector->scale(weight_of(j, pair), x, weighted, (size_t)j->n_in);
        x = weighted;
    }
    encode(j, kinds_of(j, false, s->n), x, j->n_in, s, r);
}

/* ---- products --------------------------------------------------------------------------- */

/* Rows [first, first + n) of a span by outputs [begin, end) of a part of its expert, times its scale, plus its bias. */
static void product(const job *j, const puna_step_part *part, const span *s, int32_t first, int32_t n,
                    int32_t begin, int32_t end, float *y, size_t stride)
{
    const puna_vector_kernels *vector = j->w->program->vector;
    const puna_linear *linear = linear_of(j, part);
    const puna_act act = act_of(j, part, s->n);
    const unsigned char *rows =
        s->act[act] + (size_t)(s->encoded + first) * puna_act_bytes(act, linear->n_in);
    const int32_t at = s->expert * part->stride + part->first;
    puna_worker_product(j->w, j->thread, linear, act, rows, n, at + begin, at + end,
                        puna_worker_shifted(y, (size_t)at), stride);
    for (int32_t r = 0; r < n; r++) {
        float *row = y + (size_t)r * stride + (size_t)begin;
        if (part->scale)
            vector->scale(part->scale[s->expert], row, row, (size_t)(end - begin));
        if (part->bias)
            vector->add(row, part->bias + at + begin, row, (size_t)(end - begin));
    }
}

/* gate becomes the activation of gate and up. */
static void activate(const job *j, float *gate, const float *up, size_t n)
{
    const puna_glu_params *p = &j->p->glu;
    const puna_vector_kernels *vector = j->w->program->vector;
    const puna_act_params act = { .kind = p->activation };
    const bool has = puna_vector_has(p->activation);
    if (j->p->gated && has)
        vector->glu(p, gate, up, gate, n);
    else if (j->p->gated)
        puna_glu_row(p, gate, n, up, gate, n);
    else if (has)
        vector->act(p->activation, gate, gate, n);
    else
        for (size_t i = 0; i < n; i++)
            gate[i] = puna_activate(&act, gate[i]);
}

/* Outputs of a span that one call may compute: a multiple of what panels have. */
static int32_t most_outputs(const job *j, const puna_step_part *part, const span *s)
{
    return puna_worker_most_outputs(s->n, act_of(j, part, s->n) == PUNA_ACT_TILE) / PUNA_PANEL_ROWS *
           PUNA_PANEL_ROWS;
}

/* What goes into down, of all rows of a span. */
static void run_hidden(const job *j, const span *s, int32_t begin, int32_t end)
{
    const size_t n_ff = (size_t)j->n_ff, n = (size_t)(end - begin);
    float *tile = j->w->threads[j->thread].tile;
    for (int32_t first = 0; first < s->n; first += PUNA_WORKER_ROWS) {
        const int32_t rows = s->n - first < PUNA_WORKER_ROWS ? s->n - first : PUNA_WORKER_ROWS;
        float *y = j->w->groups.hidden + (size_t)(s->place + first) * n_ff;
        product(j, j->p->gated ? &j->step->gate : &j->step->up, s, first, rows, begin, end, y, n_ff);
        if (j->p->gated)
            product(j, &j->step->up, s, first, rows, begin, end, puna_worker_shifted(tile, (size_t)begin), n);
        for (size_t r = 0; r < (size_t)rows; r++)
            activate(j, y + r * n_ff + begin, tile + r * n, n);
    }
}

static void run_down(const job *j, const span *s, int32_t begin, int32_t end)
{
    const size_t n_out = (size_t)j->n_out;
    for (int32_t first = 0; first < s->n; first += PUNA_WORKER_ROWS) {
        const int32_t rows = s->n - first < PUNA_WORKER_ROWS ? s->n - first : PUNA_WORKER_ROWS;
        product(j, &j->step->down, s, first, rows, begin, end,
                j->w->groups.results + (size_t)(s->place + first) * n_out, n_out);
    }
}

/* Units of `unit` outputs, the last of which may be shorter. */
typedef struct division {
    int32_t unit, n, n_out;
} division;

/* n_rows: that are multiplied at once, or 8 for as small units as pay. */
static division divide(const job *j, const puna_step_part *part, int32_t n_rows)
{
    const int32_t unit = puna_worker_unit(linear_of(j, part), n_rows);
    return (division){ .unit = unit, .n = (part->n_out + unit - 1) / unit, .n_out = part->n_out };
}

typedef void part_fn(const job *j, const span *s, int32_t begin, int32_t end);

/* Units [from, to) of a span. */
static void run_span(const job *j, const span *s, const puna_step_part *part, const division *d, int32_t from,
                     int32_t to, part_fn *run)
{
    const int32_t most = most_outputs(j, part, s);
    const int32_t stop = d->n_out - (to - 1) * d->unit > d->unit ? to * d->unit : d->n_out;
    for (int32_t begin = from * d->unit, end; begin < stop; begin = end) {
        end = stop - begin < most ? stop : begin + most;
        run(j, s, begin, end);
    }
}

/* ---- one row ---------------------------------------------------------------------------- */

/* All experts read the same encoded row, unless each has another weight before it. */
static void hidden_of_row(const job *j, puna_worker_phase *phase)
{
    const division d = divide(j, &j->step->up, 1);
    int32_t begin, end, taken = 0, encoded = -1;
    for (; puna_worker_take(j->w, phase, d.n * j->n_used, d.n * j->n_used, &begin, &end);
         taken += end - begin)
        for (int32_t u = begin, stop; u < end; u = stop) {
            const int32_t k = u / d.n;
            const span s = {
                .expert = expert_of(j, k), .place = k, .n = 1, .act = j->w->threads[j->thread].act
            };
            stop = (k + 1) * d.n < end ? (k + 1) * d.n : end;
            if (encoded < 0 || (j->p->weight_first && encoded != k))
                encode_input(j, k, &s, 0);
            encoded = k;
            run_span(j, &s, &j->step->up, &d, u - k * d.n, stop - k * d.n, run_hidden);
        }
    puna_worker_finish(j->w, phase, d.n * j->n_used, taken);
}

/* y[n] of a row or of a part of it becomes, or is added to, the k-th expert's result. */
static void add_result(const job *j, int32_t pair, const float *result, float *y, size_t n)
{
    if (pair % j->n_used == 0)
        memset(y, 0, n * sizeof *y);
    j->w->program->vector->accumulate(j->p->weight_first ? 1 : weight_of(j, pair), result, y, n);
}

/* Outputs [begin, end) of all experts. */
static void sum_of_row(const job *j, int32_t begin, int32_t end)
{
    const size_t n = (size_t)(end - begin);
    float *tile = j->w->threads[j->thread].tile, *y = puna_worker_row(j->w, j->step->experts->out, 0) + begin;
    for (int32_t k = 0; k < j->n_used; k++) {
        const span s = {
            .expert = expert_of(j, k), .encoded = k, .n = 1, .act = j->w->threads[j->thread].act
        };
        product(j, &j->step->down, &s, 0, 1, begin, end, puna_worker_shifted(tile, (size_t)begin), n);
        add_result(j, k, tile, y, n);
    }
}

static void down_of_row(const job *j, puna_worker_phase *phase)
{
    enum { SMALL = 8 }; /* units as of many rows: each is read of every expert */
    const division d = divide(j, &j->step->down, SMALL);
    const int32_t most = PUNA_WORKER_TILE / d.unit;
    int32_t begin, end, taken = 0;
    for (; puna_worker_take(j->w, phase, d.n, most, &begin, &end); taken += end - begin) {
        for (int32_t k = 0; taken == 0 && k < j->n_used; k++) {
            const span s = { .encoded = k, .n = 1, .act = j->w->threads[j->thread].act };
            encode(j, kinds_of(j, true, 1), j->w->groups.hidden + (size_t)k * (size_t)j->n_ff, j->n_ff, &s,
                   0);
        }
        sum_of_row(j, begin * d.unit, end < d.n ? end * d.unit : j->n_out);
    }
    puna_worker_finish(j->w, phase, d.n, taken);
}

/* ---- several rows ----------------------------------------------------------------------- */

/* Puts the pairs in order of their experts: counts, then places. */
static void group(const job *j)
{
    puna_worker_groups *g = &j->w->groups;
    const int32_t n_pairs = j->n_rows * j->n_used;
    int32_t place = 0;
    memset(g->starts, 0, ((size_t)j->n_expert + 1) * sizeof *g->starts);
    for (int32_t i = 0; i < n_pairs; i++)
        g->starts[expert_of(j, i)]++;
    g->n_active = 0;
    for (int32_t e = 0; e < j->n_expert; e++) {
        const int32_t n = g->starts[e];
        if (n > 0)
            g->active[g->n_active++] = e;
        g->starts[e] = place;
        place += n;
    }
    for (int32_t i = 0; i < n_pairs; i++) {
        const int32_t at = g->starts[expert_of(j, i)]++;
        g->pairs[at] = i;
        g->places[i] = at;
    }
    /* each start is now the next one's */
    memmove(g->starts + 1, g->starts, (size_t)j->n_expert * sizeof *g->starts);
    g->starts[0] = 0;
}

static void group_rows(const job *j, puna_worker_phase *phase)
{
    int32_t begin, end, taken = 0;
    for (; puna_worker_take(j->w, phase, 1, 1, &begin, &end); taken++)
        group(j);
    puna_worker_finish(j->w, phase, 1, taken);
}

static span span_of(const job *j, int32_t expert)
{
    const int32_t *starts = j->w->groups.starts;
    return (span){ .expert = expert,
                   .place = starts[expert],
                   .encoded = starts[expert],
                   .n = starts[expert + 1] - starts[expert],
                   .act = j->w->act };
}

/* The inputs of all pairs, or what goes into down, in order of places. */
static void encode_pairs(const job *j, puna_worker_phase *phase, bool down)
{
    const puna_worker_groups *g = &j->w->groups;
    const int32_t n_pairs = j->n_rows * j->n_used;
    int32_t begin, end, taken = 0;
    for (; puna_worker_take(j->w, phase, n_pairs, 16, &begin, &end); taken += end - begin)
        for (int32_t i = begin; i < end; i++) {
            const span s = span_of(j, expert_of(j, g->pairs[i]));
            if (down)
                encode(j, kinds_of(j, true, s.n), g->hidden + (size_t)i * (size_t)j->n_ff, j->n_ff, &s,
                       i - s.place);
            else
                encode_input(j, g->pairs[i], &s, i - s.place);
        }
    puna_worker_finish(j->w, phase, n_pairs, taken);
}

/* Experts have unlike numbers of rows: pieces are small from the beginning. How many experts have any is known only
 * to who holds a piece, so that units are counted for as many as there may be. */
static void run_groups(const job *j, puna_worker_phase *phase, const puna_step_part *part, part_fn *run)
{
    const puna_worker_groups *g = &j->w->groups;
    const division d = divide(j, part, j->n_rows);
    const int32_t n_pairs = j->n_rows * j->n_used, n = d.n * (n_pairs < j->n_expert ? n_pairs : j->n_expert);
    const int32_t most = n / (j->w->n_threads * PIECES) + 1;
    int32_t begin, end, taken = 0;
    for (; puna_worker_take(j->w, phase, n, most, &begin, &end); taken += end - begin)
        for (int32_t u = begin, stop; u < end && u / d.n < g->n_active; u = stop) {
            const int32_t i = u / d.n;
            const span s = span_of(j, g->active[i]);
            stop = (i + 1) * d.n < end ? (i + 1) * d.n : end;
            run_span(j, &s, part, &d, u - i * d.n, stop - i * d.n, run);
        }
    puna_worker_finish(j->w, phase, n, taken);
}

static void sum_rows(const job *j, puna_worker_phase *phase)
{
    const puna_worker_groups *g = &j->w->groups;
    int32_t begin, end, taken = 0;
    for (; puna_worker_take(j->w, phase, j->n_rows, 16, &begin, &end); taken += end - begin)
        for (int32_t i = begin * j->n_used; i < end * j->n_used; i++)
            add_result(j, i, g->results + (size_t)g->places[i] * (size_t)j->n_out,
                       puna_worker_row(j->w, j->step->experts->out, (size_t)(i / j->n_used)),
                       (size_t)j->n_out);
    puna_worker_finish(j->w, phase, j->n_rows, taken);
}

void puna_worker_experts(puna_worker *w, int thread, int32_t number)
{
    const job j = make_job(w, thread, number);
    puna_worker_phase *phases = puna_worker_phases(w, number);
    if (j.n_rows == 0)
        return;
    if (j.n_rows == 1) {
        hidden_of_row(&j, &phases[HIDDEN]);
        down_of_row(&j, &phases[DOWN]);
        return;
    }
    group_rows(&j, &phases[GROUP]);
    encode_pairs(&j, &phases[ENCODE], false);
    run_groups(&j, &phases[HIDDEN], &j.step->up, run_hidden);
    encode_pairs(&j, &phases[ENCODE_HIDDEN], true);
    run_groups(&j, &phases[DOWN], &j.step->down, run_down);
    sum_rows(&j, &phases[SUM]);
}
