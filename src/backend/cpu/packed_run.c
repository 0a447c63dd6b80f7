/* packed_run.c - panels by chunks by strips. Refuses to know formats and instruction sets. */
#include "backend/cpu/packed_run.h"

#include <assert.h>

enum { PANELS = 2 };

/* Rows [first, last) of activations, 16 sums of each panel. */
typedef struct packed_sums {
    float (*acc)[PUNA_PANEL_ROWS]; /* [PANELS][PACKED_ROWS] */
    packed_scales *scales;
    uint8_t *codes;
    puna_rests *rests;
    int32_t first, last;
} packed_sums;

static_assert(PANELS * (PACKED_ROWS * PUNA_PANEL_ROWS * sizeof(float) +
                        PACKED_CHUNK * (sizeof(packed_scales) + PACKED_BLOCK)) +
                      PACKED_ROWS / PUNA_STRIP_ROWS * sizeof(puna_rests) <=
                  PUNA_TILE_SCRATCH,
              "scratch");

/* One chunk of n_panels; act: the strip of `rows` from block `first` on. */
static void strip(const packed_kernel *k, const packed_chunk *chunks, int32_t n_panels, bool many,
                  int32_t rows, const uint8_t *act, float (*acc)[PUNA_PANEL_ROWS])
{
    const bool whole = rows == PUNA_STRIP_ROWS;
    if (whole && n_panels == PANELS && (many || !k->unpack)) {
        k->two_panels(chunks, act, acc[0]);
        return;
    }
    for (int32_t p = 0; p < n_panels; p++)
        (whole && many ? k->whole : k->micro[rows - 1])(&chunks[p], act, acc[p * PACKED_ROWS]);
}

/* As few chunks as can be, as long as each other: a short one would pay for sums that are loaded and stored. Shorter
 * ones where codes are unpacked, which takes room, and where few rows wait for the memory while scales are made. */
static int32_t chunk_blocks(const packed_kernel *k, int32_t n_blocks, bool short_ones)
{
    const int32_t most = short_ones ? PACKED_CHUNK_SHORT : PACKED_CHUNK, n = (n_blocks + most - 1) / most,
                  blocks = (n_blocks + n - 1) / n;
    return (blocks + k->unit_blocks - 1) / k->unit_blocks * k->unit_blocks;
}

static void panels(const puna_linear_call *call, const packed_kernel *k, const uint8_t *units,
                   int32_t n_panels, const packed_sums *s)
{
    const int32_t n_blocks = call->n_in / PUNA_ACT_BLOCK;
    const bool many = k->unpack && s->last - s->first >= PACKED_MANY;
    const int32_t chunk = chunk_blocks(k, n_blocks, many || s->last - s->first < PUNA_STRIP_ROWS);
    for (int32_t b = 0; b < n_blocks; b += chunk) {
        packed_chunk chunks[PANELS];
        for (int32_t p = 0; p < n_panels; p++) {
            chunks[p] = (packed_chunk){ .scales = s->scales + (size_t)p * PACKED_CHUNK,
                                        .codes = s->codes + (size_t)p * PACKED_CHUNK * PACKED_BLOCK,
                                        .n = n_blocks - b < chunk ? n_blocks - b : chunk,
                                        .panel_bytes = PUNA_PANEL_ROWS * call->row_bytes };
            chunks[p].units =
                units + (size_t)p * chunks[p].panel_bytes + (size_t)(b / k->unit_blocks) * k->unit_bytes;
            k->scales(chunks[p].units, chunks[p].n, s->scales + (size_t)p * PACKED_CHUNK);
            if (many)
                k->unpack(chunks[p].units, chunks[p].n, s->codes + (size_t)p * PACKED_CHUNK * PACKED_BLOCK);
        }
        for (int32_t r = s->first; r < s->last; r += PUNA_STRIP_ROWS) {
            const int32_t rows = s->last - r < PUNA_STRIP_ROWS ? s->last - r : PUNA_STRIP_ROWS;
            const uint8_t *act = puna_call_act(call, r);
            strip(k, chunks, n_panels, many, rows, act + (size_t)b * (size_t)rows * PUNA_STRIP_BLOCK,
                  s->acc + (r - s->first));
        }
    }
}

/* The chunks of block b alone; those of a unit keep their scales. */
static void one_block(const puna_linear_call *call, const packed_kernel *k, const uint8_t *units,
                      int32_t n_panels, const packed_sums *s, int32_t b, packed_chunk chunks[PANELS])
{
    for (int32_t p = 0; p < n_panels; p++) {
        packed_scales *scales = s->scales + (size_t)p * PACKED_CHUNK;
        const size_t panel_bytes = PUNA_PANEL_ROWS * call->row_bytes;
        const uint8_t *unit = units + (size_t)p * panel_bytes + (size_t)(b / k->unit_blocks) * k->unit_bytes;
        if (chunks[p].units != unit)
            k->scales(unit, k->unit_blocks, scales);
        chunks[p] = (packed_chunk){
            .units = unit, .scales = scales, .first = b % k->unit_blocks, .n = 1, .panel_bytes = panel_bytes
        };
    }
}

/* The rests of all rows, behind their blocks. Most have the same widest block, for which scales are made once. */
static void rests(const puna_linear_call *call, const packed_kernel *k, const uint8_t *units,
                  int32_t n_panels, const packed_sums *s)
{
    packed_chunk chunks[PANELS] = { { .n = 1 } };
    int32_t now = -1;
    for (int32_t r = s->first; r < s->last; r += PUNA_STRIP_ROWS) {
        const puna_rests *of = &s->rests[(r - s->first) / PUNA_STRIP_ROWS];
        const int32_t rows = s->last - r < PUNA_STRIP_ROWS ? s->last - r : PUNA_STRIP_ROWS;
        for (int i = 0; i < of->n; i++) {
            if (of->rest[i].block != now)
                one_block(call, k, units, n_panels, s, of->rest[i].block, chunks);
            now = of->rest[i].block;
            strip(k, chunks, n_panels, false, rows, of->rest[i].act, s->acc + (r - s->first));
        }
    }
}

/* One row by one panel at once. */
static void row(const puna_linear_call *call, const packed_kernel *k, const uint8_t *units,
                const packed_sums *s)
{
    const puna_rests *of = s->rests;
    const packed_chunk chunk = { .units = units,
                                 .n = call->n_in / PUNA_ACT_BLOCK,
                                 .widest = of->n ? of->rest[0].block : -1,
                                 .rest = of->n ? of->rest[0].act : NULL };
    k->row(&chunk, puna_call_act(call, s->first), s->acc[0]);
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
    s.rests = (puna_rests *)(void *)(s.codes + (size_t)PANELS * PACKED_CHUNK * PACKED_BLOCK);
    for (s.first = 0; s.first < call->n_rows; s.first = s.last) {
        s.last = call->n_rows - s.first < PACKED_ROWS ? call->n_rows : s.first + PACKED_ROWS;
        const bool two = k->two_panels && s.last - s.first >= (k->unpack ? PACKED_MANY : PUNA_STRIP_ROWS);
        puna_call_rests(call, s.first, s.last, s.rests);
        for (int32_t o = call->begin, n; o < call->end; o += n * PUNA_PANEL_ROWS) {
            const uint8_t *units = puna_call_row(call, o);
            n = two && call->end - o > PUNA_PANEL_ROWS ? PANELS : 1;
            for (int32_t p = 0; p < n; p++)
                memset(s.acc + p * PACKED_ROWS, 0, (size_t)(s.last - s.first) * sizeof *s.acc);
            if (k->row && s.last - s.first == 1) {
                row(call, k, units, &s);
            } else {
                panels(call, k, units, n, &s);
                rests(call, k, units, n, &s);
            }
            store(call, &s, o, n);
        }
    }
}
