/* tile_avx2.h - panels and their integer microkernels.
 *
 * A panel is 16 weight rows by a slice of up to PANEL_BLOCKS blocks of 32. A block holds 512
 * bytes of codes, four consecutive ones of a row in a 32-bit lane, eight rows in a vector:
 * [group of 4 codes 0..7][row 0..15][4], and then its scales as the microkernel wants them. So a
 * lane is a weight row: four activations are broadcast and meet 8 rows in one instruction, no sum
 * crosses lanes, and scales are applied to 8 rows at once.
 *
 * Sums of products stay in 16 bits as long as the codes' range allows. */
#ifndef PUNA_BACKEND_CPU_X86_TILE_AVX2_H
#define PUNA_BACKEND_CPU_X86_TILE_AVX2_H

#include "backend/cpu/x86/avx2.h"

#define PANEL_BLOCKS 48 /* 1536 inputs: a whole row of small models */
#define PANEL_CODES  512
#define PANEL_STRIDE 832 /* codes, then panel_scales */
#define TILE_TOKENS  4
#define ACT_ROWS     128 /* activations that should stay in the second-level cache */

static_assert((PANEL_BLOCKS + 1) * PANEL_STRIDE + ACT_ROWS * PUNA_TILE_ROWS * 4 <= PUNA_TILE_SCRATCH,
              "scratch");

/* After the codes of a block of a panel. */
typedef struct panel_scales {
    float d[PUNA_TILE_ROWS];
    float m[PUNA_TILE_ROWS]; /* 4 and 5 bits: value = d * q + m; halves: the scale of the last 16 */
    /* Scales for 16, each twice: value = d * sub * q + what the pairs in `offset` and the sums of
     * the activations give: d * offset, or dmin * offset. */
    int16_t sub[2][PUNA_TILE_ROWS][2];
    int16_t offset[PUNA_TILE_ROWS][2];
} panel_scales;

static_assert(PANEL_CODES + sizeof(panel_scales) == PANEL_STRIDE, "panel");

/* The rows of a panel; rows beyond the end repeat the last. */
typedef struct panel_source {
    const uint8_t *row[PUNA_TILE_ROWS];
} panel_source;

/* Unpacks n blocks from block `first` on of all rows. May write one block more. */
typedef void unpack_fn(const panel_source *source, int32_t first, int32_t n, uint8_t *panel);

/* The activations of one tile from a slice's first block on, and where the results go. */
typedef struct tile {
    const int8_t *q[TILE_TOKENS];
    const float *d[TILE_TOKENS], *s[TILE_TOKENS];
    const int16_t *sums[TILE_TOKENS];
    float *y[TILE_TOKENS];
    bool add; /* to y, after the first slice */
} tile;

/* A microkernel: n blocks of a panel with 1 to TILE_TOKENS rows of activations. */
typedef void tile_fn(const uint8_t *panel, int32_t n, const tile *t, int tokens);

tile_fn puna_micro_4_bits_avx2, puna_micro_5_bits_avx2, puna_micro_q4_0_avx2, puna_micro_q5_0_avx2;
tile_fn puna_micro_2_bits_avx2, puna_micro_6_bits_avx2, puna_micro_8_bits_avx2;
tile_fn puna_micro_5_bits_halves_avx2, puna_micro_8_bits_halves_avx2;

/* The whole product: unpack says how the format becomes panels, run multiplies them. */
void puna_tile_all_avx2(const puna_linear_call *call, unpack_fn *unpack, tile_fn *run);

/* Groups g of 8 rows of a panel's block from the codes of 8 rows. */
INLINE void store_codes(uint8_t *block, int half, int first, const __m256i *v, int n)
{
    UNROLL
    for (int i = 0; i < n; i++)
        _mm256_store_si256((__m256i *)(void *)(block + (first + i) * 64 + half * 32), v[i]);
}

INLINE panel_scales *panel_scales_at(uint8_t *block)
{
    return (panel_scales *)(void *)(block + PANEL_CODES);
}

INLINE __m256i broadcast_codes(const int8_t *q)
{
    return _mm256_set1_epi32(load_i32(q));
}

INLINE void store_tile(const tile *t, int tokens, __m256 acc[TILE_TOKENS][2])
{
    UNROLL
    for (int i = 0; i < tokens; i++) {
        UNROLL
        for (int h = 0; h < 2; h++) {
            __m256 v = acc[i][h];
            if (t->add)
                v = _mm256_add_ps(v, _mm256_loadu_ps(t->y[i] + 8 * h));
            _mm256_storeu_ps(t->y[i] + 8 * h, v);
        }
    }
}

/* One instance for each number of rows, so that accumulators are registers. */
#define MICRO(name, call)                                                                                    \
    void puna_micro_##name##_avx2(const uint8_t *panel, int32_t n, const tile *t, int tokens)                \
    {                                                                                                        \
        switch (tokens) {                                                                                    \
        case 1:                                                                                              \
            call(1);                                                                                         \
            break;                                                                                           \
        case 2:                                                                                              \
            call(2);                                                                                         \
            break;                                                                                           \
        case 3:                                                                                              \
            call(3);                                                                                         \
            break;                                                                                           \
        default:                                                                                             \
            call(TILE_TOKENS);                                                                               \
            break;                                                                                           \
        }                                                                                                    \
    }

#endif
