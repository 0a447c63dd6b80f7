/* pack.c - from the file's rows to panels. Portable: vectors are the compiler's own, four lanes
 * wide, which every processor with kernels for panels has. Refuses to know instruction sets. */
#include "backend/cpu/pack.h"

#include <string.h>

#include "backend/cpu/kernel.h"
#include "quant/blocks.h"
#include "quant/half.h"

/* The blocks of one unit: where block u of each row begins. Missing rows read zeros. */
typedef struct unit {
    const uint8_t *row[PUNA_PANEL_ROWS];
} unit;

typedef uint32_t lanes4 __attribute__((vector_size(16)));

static inline lanes4 load4(const uint8_t *at)
{
    lanes4 v;
    memcpy(&v, at, sizeof v);
    return v;
}

/* Takes four lanes of two vectors; gcc and clang call it differently. */
#ifdef __clang__
#define LANES(a, b, i0, i1, i2, i3) __builtin_shufflevector(a, b, i0, i1, i2, i3)
#else
#define LANES(a, b, i0, i1, i2, i3) __builtin_shuffle(a, b, (lanes4){ i0, i1, i2, i3 })
#endif

/* Four lanes of four rows: lane l goes to to[64 * l]. */
static inline void transpose4(const uint8_t *const row[4], size_t at, uint8_t *to)
{
    const lanes4 a = load4(row[0] + at), b = load4(row[1] + at), c = load4(row[2] + at), d = load4(row[3] + at);
    const lanes4 ab0 = LANES(a, b, 0, 4, 1, 5), ab1 = LANES(a, b, 2, 6, 3, 7);
    const lanes4 cd0 = LANES(c, d, 0, 4, 1, 5), cd1 = LANES(c, d, 2, 6, 3, 7);
    const lanes4 out[4] = { LANES(ab0, cd0, 0, 1, 4, 5), LANES(ab0, cd0, 2, 3, 6, 7),
                            LANES(ab1, cd1, 0, 1, 4, 5), LANES(ab1, cd1, 2, 3, 6, 7) };
    for (size_t l = 0; l < 4; l++)
        memcpy(to + sizeof(puna_lanes) * l, &out[l], sizeof out[l]);
}

/* n lanes (a multiple of 4) from byte `at` of every block on. */
static inline void put_lanes(const unit *u, size_t at, size_t n, puna_lanes *to)
{
    for (size_t l = 0; l < n; l += 4)
        for (size_t r = 0; r < PUNA_PANEL_ROWS; r += 4)
            transpose4(u->row + r, at + 4 * l, &to[l][r][0]);
}

static inline void put_halves(const unit *u, size_t at, uint8_t to[][2])
{
    for (size_t r = 0; r < PUNA_PANEL_ROWS; r++)
        memcpy(to[r], u->row[r] + at, 2);
}

static inline void put_bytes(const unit *u, size_t at, uint8_t *to)
{
    for (size_t r = 0; r < PUNA_PANEL_ROWS; r++)
        to[r] = u->row[r][at];
}

/* Swaps the bits of mask with those `by` places above them. */
static inline uint32_t swap_bits(uint32_t bits, uint32_t mask, int by)
{
    const uint32_t differ = (bits >> by ^ bits) & mask;
    return bits ^ differ ^ differ << by;
}

/* Bit 4g + k of a word to bit g of byte k: the number of a bit is turned by two places, which is four
 * exchanges of two of its digits. */
static inline uint32_t spread_bits(uint32_t bits)
{
    bits = swap_bits(bits, 0x0000cccc, 14);
    bits = swap_bits(bits, 0x00aa00aa, 7);
    bits = swap_bits(bits, 0x0c0c0c0c, 2);
    bits = swap_bits(bits, 0x22222222, 1);
    return bits;
}

static void put_fifth_bits(const unit *u, size_t at, puna_lanes to)
{
    for (size_t r = 0; r < PUNA_PANEL_ROWS; r++)
        puna_store_u32(to[r], spread_bits(puna_load_u32(u->row[r] + at)));
}

#define AT(block, member) offsetof(puna_block_##block, member)

static void unit_q4_0(const unit *u, void *to)
{
    puna_panel_q4_0 *p = to;
    put_lanes(u, AT(q4_0, qs), 4, p->qs);
    put_halves(u, AT(q4_0, d), p->d);
}

static void unit_q4_1(const unit *u, void *to)
{
    puna_panel_q4_1 *p = to;
    put_lanes(u, AT(q4_1, qs), 4, p->qs);
    put_halves(u, AT(q4_1, d), p->d);
    put_halves(u, AT(q4_1, m), p->m);
}

static void unit_q5_0(const unit *u, void *to)
{
    puna_panel_q5_0 *p = to;
    put_lanes(u, AT(q5_0, qs), 4, p->qs);
    put_fifth_bits(u, AT(q5_0, qh), p->qh);
    put_halves(u, AT(q5_0, d), p->d);
}

static void unit_q5_1(const unit *u, void *to)
{
    puna_panel_q5_1 *p = to;
    put_lanes(u, AT(q5_1, qs), 4, p->qs);
    put_fifth_bits(u, AT(q5_1, qh), p->qh);
    put_halves(u, AT(q5_1, d), p->d);
    put_halves(u, AT(q5_1, m), p->m);
}

static void unit_q8_0(const unit *u, void *to)
{
    puna_panel_q8_0 *p = to;
    put_lanes(u, AT(q8_0, qs), 8, p->qs);
    put_halves(u, AT(q8_0, d), p->d);
}

static void unit_mxfp4(const unit *u, void *to)
{
    puna_panel_mxfp4 *p = to;
    put_lanes(u, AT(mxfp4, qs), 4, p->qs);
    put_bytes(u, AT(mxfp4, e), p->e);
}

/* Scales and minima of Q4_K and Q5_K; `at`: their 12 bytes, three words. Four of a word's bytes are taken
 * apart at once: the first two words hold six bits of the first four scales and minima, and above
 * them the high bits of the others, whose low bits are the third. */
static void put_k_scales(const unit *u, size_t at, uint8_t small[8][PUNA_PANEL_ROWS],
                         uint8_t top[4][PUNA_PANEL_ROWS])
{
    for (size_t r = 0; r < PUNA_PANEL_ROWS; r++) {
        const uint32_t a = puna_load_u32(u->row[r] + at), b = puna_load_u32(u->row[r] + at + 4),
                       c = puna_load_u32(u->row[r] + at + 8);
        const uint32_t first = (a & 0x0f0f0f0f) | (b & 0x0f0f0f0f) << 4;
        const uint32_t first_top = (a >> 4 & 0x03030303) | (b >> 4 & 0x03030303) << 2;
        const uint32_t last_top = (a >> 6 & 0x03030303) | (b >> 6 & 0x03030303) << 2;
        for (unsigned s = 0; s < 4; s++) {
            small[s][r] = (uint8_t)(first >> 8 * s);
            small[s + 4][r] = (uint8_t)(c >> 8 * s);
        }
        for (unsigned s = 0; s < 2; s++) {
            top[s][r] = (uint8_t)((first_top >> 16 * s & 15) | (first_top >> (16 * s + 8) & 15) << 4);
            top[s + 2][r] = (uint8_t)((last_top >> 16 * s & 15) | (last_top >> (16 * s + 8) & 15) << 4);
        }
    }
}

static void unit_q4_k(const unit *u, void *to)
{
    puna_panel_q4_k *p = to;
    put_lanes(u, AT(q4_k, qs), 32, p->qs[0]);
    put_k_scales(u, AT(q4_k, scales), p->small, p->top);
    put_halves(u, AT(q4_k, d), p->d);
    put_halves(u, AT(q4_k, dmin), p->dmin);
}

static void unit_q5_k(const unit *u, void *to)
{
    puna_panel_q5_k *p = to;
    put_lanes(u, AT(q5_k, qs), 32, p->qs[0]);
    put_lanes(u, AT(q5_k, qh), 8, p->qh);
    put_k_scales(u, AT(q5_k, scales), p->small, p->top);
    put_halves(u, AT(q5_k, d), p->d);
    put_halves(u, AT(q5_k, dmin), p->dmin);
}

static void unit_q6_k(const unit *u, void *to)
{
    puna_panel_q6_k *p = to;
    put_lanes(u, AT(q6_k, ql), 32, p->ql[0]);
    put_lanes(u, AT(q6_k, qh), 16, p->qh[0]);
    for (size_t r = 0; r < PUNA_PANEL_ROWS; r++)
        for (size_t s = 0; s < 16; s++)
            p->scales[s][r] = (int8_t)u->row[r][AT(q6_k, scales) + s];
    put_halves(u, AT(q6_k, d), p->d);
}

static void unit_iq4_xs(const unit *u, void *to)
{
    puna_panel_iq4_xs *p = to;
    put_lanes(u, AT(iq4_xs, qs), 32, p->qs[0]);
    for (size_t i = 0; i < 4; i++)
        put_bytes(u, AT(iq4_xs, scales_l) + i, p->scales[i]);
    for (size_t i = 0; i < 2; i++)
        put_bytes(u, AT(iq4_xs, scales_h) + i, p->top[i]);
    put_halves(u, AT(iq4_xs, d), p->d);
}

static const uint8_t zeros[256];

/* Units of n bytes of a format whose blocks have block_bytes. */
static inline void pack(const uint8_t *rows, size_t row_bytes, int32_t n_rows, int32_t n_units, uint8_t *panel,
                        size_t block_bytes, void (*put)(const unit *u, void *to))
{
    for (size_t b = 0; b < (size_t)n_units; b++) {
        unit u;
        for (size_t r = 0; r < PUNA_PANEL_ROWS; r++)
            u.row[r] = r < (size_t)n_rows ? rows + r * row_bytes + b * block_bytes : zeros;
        put(&u, panel + b * PUNA_PANEL_ROWS * block_bytes);
    }
}

/* P(FORMAT, block, layout): the format's block and the layout of its panels. */
#define FORMATS(P)                                                                                           \
    P(Q4_0, q4_0, q4_0)                                                                                      \
    P(Q4_1, q4_1, q4_1)                                                                                      \
    P(Q5_0, q5_0, q5_0)                                                                                      \
    P(Q5_1, q5_1, q5_1)                                                                                      \
    P(Q8_0, q8_0, q8_0)                                                                                      \
    P(IQ4_NL, iq4_nl, q4_0)                                                                                  \
    P(MXFP4, mxfp4, mxfp4)                                                                                   \
    P(Q4_K, q4_k, q4_k)                                                                                      \
    P(Q5_K, q5_k, q5_k)                                                                                      \
    P(Q6_K, q6_k, q6_k)                                                                                      \
    P(IQ4_XS, iq4_xs, iq4_xs)

#define P(ID, block, layout)                                                                                 \
    static_assert(sizeof(puna_panel_##layout) == PUNA_PANEL_ROWS * sizeof(puna_block_##block), #ID);         \
    static_assert(sizeof(puna_block_##block) <= sizeof zeros, #ID);                                          \
    static void pack_##ID(const uint8_t *rows, size_t row_bytes, int32_t n_rows, int32_t n_units,            \
                          uint8_t *panel)                                                                    \
    {                                                                                                        \
        pack(rows, row_bytes, n_rows, n_units, panel, sizeof(puna_block_##block), unit_##layout);            \
    }
FORMATS(P)
#undef P

puna_pack_fn *puna_pack_of(uint32_t format)
{
    switch (format) {
#define P(ID, block, layout)                                                                                 \
    case PUNA_FORMAT_##ID:                                                                                   \
        return pack_##ID;
        FORMATS(P)
#undef P
    default:
        return NULL;
    }
}
