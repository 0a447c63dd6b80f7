/* packed_amx.c - packed weights against many rows of activations, in tile registers: products of
 * bfloat16 pairs (TDPBF16PS). Owns the making of tiles from codes and the loops around them; formats
 * come as puna_amx_source from packed_*_avx512.c.
 *
 * Four tiles of sums (32 rows of activations x 32 outputs, or what is left of either) stay in
 * registers while a chunk of blocks passes: a block of 32 inputs is the depth of one product. The chunk's codes of two panels are
 * made bfloat16 once and stay in the first-level cache while all rows of activations pass by. Between chunks sums
 * lie in scratch, tile by tile: rows of y are too far apart for the cache. */
#include "backend/cpu/x86/packed_amx.h"
#include "backend/cpu/x86/amx.h"
#include "backend/cpu/x86/avx512.h"

enum {
    AMX_CHUNK = 16,    /* blocks */
    AMX_ROWS = 512,    /* of activations, whose chunk stays in the second-level cache */
    AMX_OUTPUTS = 256, /* whose sums do, too */
    TILE_DEPTH_BYTES = 64
};

/* Scales, codes and tiles of a chunk, the last of two panels; sums of two strips and two panels at a time. */
typedef struct amx_scratch {
    packed_scales scales[AMX_CHUNK];
    uint8_t codes[AMX_CHUNK][PACKED_BLOCK];
    uint8_t tiles[2][AMX_CHUNK][AMX_TILE_BYTES];
    uint8_t sums[AMX_OUTPUTS / 32][AMX_ROWS / 32][4][AMX_TILE_BYTES];
} amx_scratch;

static_assert(sizeof(amx_scratch) <= PUNA_BATCH_SCRATCH, "scratch");

/* ---- codes to tiles --------------------------------------------------------------------- */

/* A code c becomes the float 1 + c / 256 by putting its bits into a mantissa, so that one
 * multiplication and addition make it d * (c - offset) + m = slope * (1 + c / 256) + start. */
typedef struct amx_line {
    __m512 slope, start;
} amx_line;

/* The one NaN to whose bits half a unit can be added. */
INLINE __m512 plain_nan(__m512 v)
{
    const __m512 nan = _mm512_castsi512_ps(_mm512_set1_epi32(0x7fc00000));
    return _mm512_mask_mov_ps(v, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), nan);
}

INLINE amx_line line_of(__m512 d, __m512 m, float offset)
{
    const __m512 slope = _mm512_mul_ps(d, _mm512_set1_ps(256));
    return (amx_line){ plain_nan(slope), plain_nan(_mm512_fnmadd_ps(d, _mm512_set1_ps(256 + offset), m)) };
}

/* The byte of every lane that is at bits 15 to 22. */
INLINE __m512i value_bits(__m512i moved, const amx_line *line)
{
    const __m512i mantissa = _mm512_set1_epi32(0x7f8000), one = _mm512_set1_epi32(0x3f800000);
    const __m512 v = _mm512_castsi512_ps(_mm512_ternarylogic_epi32(moved, mantissa, one, 0xea));
    return _mm512_add_epi32(_mm512_castps_si512(_mm512_fmadd_ps(v, line->slope, line->start)),
                            _mm512_set1_epi32(0x8000));
}

/* Floats that half a unit was added to, as pairs of bfloat16. */
INLINE __m512i pairs_of(__m512i even, __m512i odd)
{
    return _mm512_mask_mov_epi16(_mm512_srli_epi32(even, 16), 0xaaaaaaaa, odd);
}

/* Lanes [begin, end) of a block: each is two rows of a tile. */
INLINE void make_rows(const uint8_t *codes, int begin, int end, const amx_line *line, uint8_t *tile)
{
    UNROLL
    for (int g = begin; g < end; g++) {
        const __m512i lanes = load_512(codes + 64 * g);
        _mm512_storeu_si512(tile + 128 * g, pairs_of(value_bits(_mm512_slli_epi32(lanes, 15), line),
                                                     value_bits(_mm512_slli_epi32(lanes, 7), line)));
        _mm512_storeu_si512(tile + 128 * g + 64, pairs_of(value_bits(_mm512_srli_epi32(lanes, 1), line),
                                                          value_bits(_mm512_srli_epi32(lanes, 9), line)));
    }
}

/* Tiles of the n blocks of a chunk of one panel; asks for what lies `ahead` bytes further. */
static void make_tiles(const puna_amx_source *source, const uint8_t *units, size_t ahead, int32_t n,
                       amx_scratch *s, uint8_t tiles[][AMX_TILE_BYTES])
{
    const size_t block_bytes = source->unit_bytes / (size_t)source->unit_blocks;
    source->scales(units, n, s->scales);
    source->unpack(units, n, s->codes[0]);
    for (int32_t b = 0; b < n; b++, units += block_bytes) {
        for (size_t i = 0; i < block_bytes; i += 64)
            _mm_prefetch((const char *)units + ahead + i, _MM_HINT_T0);
        const __m512 d = _mm512_load_ps(s->scales[b].d), m = _mm512_load_ps(s->scales[b].m);
        const __m512 none = _mm512_setzero_ps();
        const amx_line first = line_of(d, source->kind == PUNA_AMX_MINIMA ? m : none, source->offset);
        const amx_line second = source->kind == PUNA_AMX_HALVES ? line_of(m, none, source->offset) : first;
        make_rows(s->codes[b], 0, 4, &first, tiles[b]);
        make_rows(s->codes[b], 4, 8, &second, tiles[b]);
    }
}

/* ---- products --------------------------------------------------------------------------- */

/* What the tile registers are configured for. */
typedef struct amx_shape {
    int32_t n_rows[2], n_outputs[2]; /* of two strips, of two panels; 0: there is none */
} amx_shape;

/* Registers: 0-3 sums of strip i and panel j in 2i + j, 4-5 strips, 6-7 panels. */
static void configure(const amx_shape *shape)
{
    amx_config config = { .palette = 1 };
    for (int i = 0; i < 2; i++) {
        const int32_t rows = shape->n_rows[i] ? shape->n_rows[i] : 1;
        const int32_t outputs = shape->n_outputs[i] ? shape->n_outputs[i] : 1;
        for (int j = 0; j < 2; j++) {
            config.n_rows[2 * i + j] = (uint8_t)rows;
            config.row_bytes[2 * j + i] = (uint16_t)(4 * outputs);
        }
        config.n_rows[4 + i] = (uint8_t)rows;
        config.row_bytes[4 + i] = TILE_DEPTH_BYTES;
        config.n_rows[6 + i] = PUNA_TILE_SLOTS;
        config.row_bytes[6 + i] = (uint16_t)(4 * outputs);
    }
    amx_configure(&config);
}

/* A chunk of two strips of activations and the tiles of two panels. */
typedef struct amx_operands {
    const uint8_t *strip[2], *tiles[2];
    size_t strip_bytes[2]; /* of a block */
    int32_t n;
    bool first; /* sums begin */
    uint8_t (*sums)[AMX_TILE_BYTES];
    uint8_t *to; /* where sums go, next row, strip and panel so many bytes further */
    size_t to_bytes, to_strip, to_panel;
    bool fetch; /* the lines there of the next two strips */
} amx_operands;

INLINE void begin_sums(bool two_strips, bool two_panels, const amx_operands *o)
{
    if (o->first) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        return;
    }
    _tile_loadd(0, o->sums[0], 64);
    if (two_panels)
        _tile_loadd(1, o->sums[1], 64);
    if (two_strips)
        _tile_loadd(2, o->sums[2], 64);
    if (two_strips && two_panels)
        _tile_loadd(3, o->sums[3], 64);
}

/* Those of the last chunk go to y at once: other products run while its lines come. */
INLINE void end_sums(bool two_strips, bool two_panels, const amx_operands *o)
{
    _tile_stored(0, o->to, o->to_bytes);
    if (two_panels)
        _tile_stored(1, o->to + o->to_panel, o->to_bytes);
    if (two_strips)
        _tile_stored(2, o->to + o->to_strip, o->to_bytes);
    if (two_strips && two_panels)
        _tile_stored(3, o->to + o->to_strip + o->to_panel, o->to_bytes);
}

INLINE void multiply(bool two_strips, bool two_panels, const amx_operands *o)
{
    begin_sums(two_strips, two_panels, o);
    for (size_t b = 0; b < (size_t)o->n; b++) {
        if (o->fetch)
            for (size_t i = 4 * b; i < 4 * b + 4; i++)
                __builtin_prefetch(o->to + o->to_strip * 2 + i / 2 * o->to_bytes + i % 2 * o->to_panel, 1);
        _tile_loadd(6, o->tiles[0] + b * AMX_TILE_BYTES, 64);
        _tile_stream_loadd(4, o->strip[0] + b * o->strip_bytes[0], 64);
        if (two_panels)
            _tile_loadd(7, o->tiles[1] + b * AMX_TILE_BYTES, 64);
        _tile_dpbf16ps(0, 4, 6);
        if (two_strips)
            _tile_stream_loadd(5, o->strip[1] + b * o->strip_bytes[1], 64);
        if (two_panels)
            _tile_dpbf16ps(1, 4, 7);
        if (two_strips)
            _tile_dpbf16ps(2, 5, 6);
        if (two_strips && two_panels)
            _tile_dpbf16ps(3, 5, 7);
    }
    end_sums(two_strips, two_panels, o);
}

/* A part of a call whose sums stay in the second-level cache: rows [row, row + n_rows), outputs [begin, end). */
typedef struct amx_part {
    const puna_linear_call *call;
    amx_scratch *scratch;
    int32_t row, n_rows, begin, end;
    amx_shape shape; /* that the registers have */
} amx_part;

static int32_t at_most_16(int32_t n)
{
    return n < 0 ? 0 : n < 16 ? n : 16;
}

/* n blocks from `block` on of all rows of activations by the tiles of one or two panels from output `at` on. */
static void pass_rows(amx_part *p, int32_t block, int32_t n, int32_t at)
{
    amx_shape now = { .n_outputs = { at_most_16(p->end - at), at_most_16(p->end - at - PUNA_PANEL_ROWS) } };
    amx_operands o = { .n = n, .first = block == 0, .tiles = { p->scratch->tiles[0][0], p->scratch->tiles[1][0] } };
    const bool last = block + n == p->call->n_in / PUNA_ACT_BLOCK;
    o.to_bytes = last ? p->call->y_stride * sizeof(float) : 64;
    o.to_panel = last ? 64 : AMX_TILE_BYTES;
    o.to_strip = last ? PUNA_TILE_SLOTS * o.to_bytes : 2 * AMX_TILE_BYTES;
    o.sums = p->scratch->sums[(at - p->begin) / (2 * PUNA_PANEL_ROWS)][0];
    for (int32_t r = 0; r < p->n_rows; r += 2 * PUNA_TILE_SLOTS, o.sums += 4) {
        for (int i = 0; i < 2; i++) {
            const int32_t first = r + i * PUNA_TILE_SLOTS;
            now.n_rows[i] = at_most_16(p->n_rows - first);
            o.strip_bytes[i] = (size_t)now.n_rows[i] * TILE_DEPTH_BYTES;
            o.strip[i] = puna_call_act(p->call, p->row + first) + (size_t)block * o.strip_bytes[i];
        }
        o.fetch = last && r + 4 * PUNA_TILE_SLOTS <= p->n_rows && now.n_outputs[1];
        o.to = last ? (uint8_t *)(p->call->y + (size_t)(p->row + r) * p->call->y_stride + at) : o.sums[0];
        if (memcmp(&now, &p->shape, sizeof now) != 0)
            configure(&now);
        p->shape = now;
        if (now.n_rows[1] && now.n_outputs[1])
            multiply(true, true, &o);
        else if (now.n_outputs[1])
            multiply(false, true, &o);
        else if (now.n_rows[1])
            multiply(true, false, &o);
        else
            multiply(false, false, &o);
    }
}

static void run_part(amx_part *p, const puna_amx_source *source)
{
    const int32_t n_blocks = p->call->n_in / PUNA_ACT_BLOCK;
    const size_t panel_bytes = PUNA_PANEL_ROWS * p->call->row_bytes;
    for (int32_t b = 0; b < n_blocks; b += AMX_CHUNK) {
        const int32_t n = n_blocks - b < AMX_CHUNK ? n_blocks - b : AMX_CHUNK;
        const size_t at = (size_t)(b / source->unit_blocks) * source->unit_bytes;
        for (int32_t o = p->begin; o < p->end; o += 2 * PUNA_PANEL_ROWS) {
            for (int32_t i = 0; i < 2 && o + i * PUNA_PANEL_ROWS < p->end; i++)
                make_tiles(source, puna_call_row(p->call, o + i * PUNA_PANEL_ROWS) + at, 2 * panel_bytes, n, p->scratch,
                           p->scratch->tiles[i]);
            pass_rows(p, b, n, o);
        }
    }
}

static void run(const puna_linear_call *call, const puna_amx_source *source)
{
    amx_part p = { .call = call, .scratch = (amx_scratch *)(void *)call->scratch };
    for (; p.row < call->n_rows; p.row += AMX_ROWS) {
        p.n_rows = call->n_rows - p.row < AMX_ROWS ? call->n_rows - p.row : AMX_ROWS;
        for (p.begin = call->begin; p.begin < call->end; p.begin = p.end) {
            p.end = call->end - p.begin < AMX_OUTPUTS ? call->end : p.begin + AMX_OUTPUTS;
            run_part(&p, source);
        }
    }
    _tile_release();
}

/* ---- activations ------------------------------------------------------------------------ */

void puna_encode_tile_amx(const float *x, int32_t n_in, void *tile, int slot, int n_slots)
{
    uint8_t *to = (uint8_t *)tile + (size_t)slot * TILE_DEPTH_BYTES;
    for (int32_t i = 0; i < n_in; i += PUNA_ACT_BLOCK, to += (size_t)n_slots * TILE_DEPTH_BYTES) {
        const __m512bh v = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + i + 16), _mm512_loadu_ps(x + i));
        memcpy(to, &v, sizeof v);
    }
}

/* ---- rows of kernels.def ---------------------------------------------------------------- */

#define BATCH(format)                                                                                        \
    void puna_batch_##format##_amx(const puna_linear_call *call)                                             \
    {                                                                                                        \
        run(call, &puna_amx_source_##format);                                                       \
    }

BATCH(Q4_0)
BATCH(Q4_1)
BATCH(Q5_0)
BATCH(Q5_1)
BATCH(Q8_0)
BATCH(Q4_K)
BATCH(Q5_K)
BATCH(Q6_K)
BATCH(IQ4_NL)
BATCH(IQ4_XS)
BATCH(MXFP4)
