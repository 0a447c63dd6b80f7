/* packed_run.c - panels by chunks by strips. Refuses to know formats and instruction sets. */
#include "backend/cpu/packed_run.h"

#include <assert.h>

enum { PANELS = 2 };

/* Rows [first, last) of activations, 16 sums of each panel. */
typedef struct packed_sums {
    float (*acc)[PUNA_PANEL_ROWS]; /* [PANELS][PACKED_ROWS] */
    packed_scales *scales;
    uint8_t *codes;
    int32_t first, last;
} packed_sums;

static_assert(PANELS * (PACKED_ROWS * PUNA_PANEL_ROWS * sizeof(float) +
                        PACKED_CHUNK * (sizeof(packed_scales) + PACKED_BLOCK)) <=
                  PUNA_TILE_SCRATCH,
              "scratch");

/* One chunk of n_panels; act: the strip of rows r from it on. */
static void strip(const packed_kernel *k, const packed_chunk *chunks, int32_t n_panels, bool many,
                  int32_t rows, const uint8_t *act, float (*acc)[PUNA_PANEL_ROWS])
{
    const bool whole = rows == PUNA_STRIP_ROWS;
    if (whole && n_panels == PANELS) {
        k->two_panels(chunks, act, acc[0]);
        return;
    }
    for (int32_t p = 0; p < n_panels; p++)
        (whole && many ? k->whole : k->micro[rows - 1])(&chunks[p], act, acc[p * PACKED_ROWS]);
}

static void panels(const puna_linear_call *call, const packed_kernel *k, const uint8_t *units,
                   int32_t n_panels, const packed_sums *s)
{
    const int32_t n_blocks = call->n_in / PUNA_ACT_BLOCK;
    const bool many = k->unpack && s->last - s->first >= PACKED_MANY;
    const bool alone = k->in_order && s->last - s->first == 1;
    const int32_t chunk = alone ? n_blocks : PACKED_CHUNK;
    for (int32_t b = 0; b < n_blocks; b += chunk) {
        packed_chunk chunks[PANELS];
        for (int32_t p = 0; p < n_panels; p++) {
            chunks[p] = (packed_chunk){ .scales = s->scales + (size_t)p * PACKED_CHUNK,
                                        .codes = s->codes + (size_t)p * PACKED_CHUNK * PACKED_BLOCK,
                                        .n = n_blocks - b < chunk ? n_blocks - b : chunk,
                                        .panel_bytes = PUNA_PANEL_ROWS * call->row_bytes };
            chunks[p].units =
                units + (size_t)p * chunks[p].panel_bytes + (size_t)(b / k->unit_blocks) * k->unit_bytes;
            if (!alone)
                k->scales(chunks[p].units, chunks[p].n, s->scales + (size_t)p * PACKED_CHUNK);
            if (many)
                k->unpack(chunks[p].units, chunks[p].n, s->codes + (size_t)p * PACKED_CHUNK * PACKED_BLOCK);
        }
        for (int32_t r = s->first; r < s->last; r += PUNA_STRIP_ROWS) {
            const int32_t rows = s->last - r < PUNA_STRIP_ROWS ? s->last - r : PUNA_STRIP_ROWS;
            const uint8_t *act = puna_call_act(call, r) + (size_t)b * (size_t)rows * PUNA_STRIP_BLOCK;
            strip(k, chunks, n_panels, many, rows, act, s->acc + (r - s->first));
        }
    }
}

/* The sums of panels from output o on go to y. */
static void store(const puna_linear_call *call, const packed_sums *s, int32_t o, int32_t n_panels)
{
    for (int32_t p = 0; p < n_panels; p++, o += PUNA_PANEL_ROWS) {
        const size_t n = call->end - o < PUNA_PANEL_ROWS ? (size_t)(call->end - o) : PUNA_PANEL_ROWS;
        for (int32_t r = s->first; r < s->last; r++)
            memcpy(call->y + (size_t)r * call->y_stride + (size_t)o, s->acc[p * PACKED_ROWS + r - s->first],
                   n * sizeof(float));
    }
}

void puna_packed_run(const puna_linear_call *call, const packed_kernel *k)
{
    packed_sums s = { .acc = (float (*)[PUNA_PANEL_ROWS])(void *)call->scratch };
    s.scales = (packed_scales *)(void *)(s.acc + PANELS * PACKED_ROWS);
    s.codes = (uint8_t *)(s.scales + PANELS * PACKED_CHUNK);
    for (s.first = 0; s.first < call->n_rows; s.first = s.last) {
        s.last = call->n_rows - s.first < PACKED_ROWS ? call->n_rows : s.first + PACKED_ROWS;
        const bool two = k->two_panels && s.last - s.first >= (k->unpack ? PACKED_MANY : PUNA_STRIP_ROWS);
        for (int32_t o = call->begin, n; o < call->end; o += n * PUNA_PANEL_ROWS) {
            n = two && call->end - o > PUNA_PANEL_ROWS ? PANELS : 1;
            for (int32_t p = 0; p < n; p++)
                memset(s.acc + p * PACKED_ROWS, 0, (size_t)(s.last - s.first) * sizeof *s.acc);
            panels(call, k, puna_call_row(call, o), n, &s);
            store(call, &s, o, n);
        }
    }
}
