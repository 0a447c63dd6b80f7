/* packed_neon.c - the loops around the kernels of packed weights. Refuses to know formats. */
#include "backend/cpu/arm/packed_neon.h"

/* Rows [first, last) of activations, 16 sums each. */
typedef struct packed_sums {
    float (*acc)[PUNA_PANEL_ROWS];
    packed_scales *scales;
    puna_rests *rests;
    int32_t first, last;
} packed_sums;

static_assert(PACKED_ROWS * PUNA_PANEL_ROWS * sizeof(float) + PACKED_CHUNK * sizeof(packed_scales) +
                      PACKED_ROWS / PUNA_STRIP_ROWS * sizeof(puna_rests) <=
                  PUNA_TILE_SCRATCH,
              "scratch");

static void panel(const puna_linear_call *call, const packed_kernel *k, const uint8_t *units,
                  const packed_sums *s)
{
    const int32_t n_blocks = call->n_in / PUNA_ACT_BLOCK;
    for (int32_t b = 0; b < n_blocks; b += PACKED_CHUNK) {
        const packed_chunk chunk = { .units = units + (size_t)(b / k->unit_blocks) * k->unit_bytes,
                                     .scales = s->scales,
                                     .n = n_blocks - b < PACKED_CHUNK ? n_blocks - b : PACKED_CHUNK };
        k->scales(chunk.units, chunk.n, s->scales);
        for (int32_t r = s->first, n; r < s->last; r += n) {
            const bool two = k->two_strips && s->last - r >= 2 * PUNA_STRIP_ROWS;
            n = s->last - r < PUNA_STRIP_ROWS ? s->last - r : PUNA_STRIP_ROWS;
            const uint8_t *act = puna_call_act(call, r) + (size_t)b * (size_t)n * PUNA_STRIP_BLOCK;
            (two ? k->two_strips : k->micro[n - 1])(&chunk, act, PUNA_STRIP_ROWS * call->act_bytes,
                                                    s->acc[r - s->first]);
            n = two ? 2 * n : n;
        }
    }
}

/* The rests of all rows, behind their blocks. Most have the same widest block, for which scales are made once. */
static void rests(const packed_kernel *k, const uint8_t *units, const packed_sums *s)
{
    packed_chunk chunk = { .scales = s->scales, .n = 1 };
    for (int32_t r = s->first; r < s->last; r += PUNA_STRIP_ROWS) {
        const puna_rests *of = &s->rests[(r - s->first) / PUNA_STRIP_ROWS];
        const int32_t n = s->last - r < PUNA_STRIP_ROWS ? s->last - r : PUNA_STRIP_ROWS;
        for (int i = 0; i < of->n; i++) {
            const int32_t b = of->rest[i].block;
            const uint8_t *unit = units + (size_t)(b / k->unit_blocks) * k->unit_bytes;
            if (unit != chunk.units)
                k->scales(unit, k->unit_blocks, s->scales);
            chunk.units = unit;
            chunk.first = b % k->unit_blocks;
            k->micro[n - 1](&chunk, of->rest[i].act, 0, s->acc[r - s->first]);
        }
    }
}

void puna_packed_run_neon(const puna_linear_call *call, const packed_kernel *k)
{
    packed_sums s = { .acc = (float(*)[PUNA_PANEL_ROWS])(void *)call->scratch };
    s.scales = (packed_scales *)(void *)(s.acc + PACKED_ROWS);
    s.rests = (puna_rests *)(void *)(s.scales + PACKED_CHUNK);
    for (s.first = 0; s.first < call->n_rows; s.first = s.last) {
        s.last = call->n_rows - s.first < PACKED_ROWS ? call->n_rows : s.first + PACKED_ROWS;
        const size_t n_rows = (size_t)(s.last - s.first);
        puna_call_rests(call, s.first, s.last, s.rests);
        for (int32_t o = call->begin; o < call->end; o += PUNA_PANEL_ROWS) {
            const size_t n = call->end - o < PUNA_PANEL_ROWS ? (size_t)(call->end - o) : PUNA_PANEL_ROWS;
            memset(s.acc, 0, n_rows * sizeof *s.acc);
            panel(call, k, puna_call_row(call, o), &s);
            rests(k, puna_call_row(call, o), &s);
            for (size_t r = 0; r < n_rows; r++)
                memcpy(call->y + ((size_t)s.first + r) * call->y_stride + (size_t)o, s.acc[r],
                       n * sizeof(float));
        }
    }
}
