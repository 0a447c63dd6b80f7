/* packed_classic_avx2.c - packed weights with one scale for 32 values.
 *
 * Codes of up to 5 bits: products of a lane's four codes are added in two 16-bit sums over the
 * whole block. Offsets are taken from every code by where the sums start, so that what the
 * 16 bits hold in the end is (code - offset) * activation: at most 16 * 16 * 127 in magnitude; what
 * overflows on the way comes back. Codes of 5 bits without an offset fill 16 bits in half a block.
 * 8-bit codes: the sign moves to the activations, and sums are 32 bits. */
#include "backend/cpu/table.h"
#include "backend/cpu/x86/packed_avx2.h"

/* How a format's codes are read; constants after inlining. */
typedef enum code_kind { CODES_4, CODES_5, CODES_E2M1, CODES_BYTES } code_kind;

/* Lane g (0..7) of half h of a unit. fifth: the half's words of fifth bits. */
INLINE __m256i codes_at(code_kind kind, const uint8_t *unit, int g, int h, __m256i fifth)
{
    if (kind == CODES_BYTES)
        return load_bytes(unit, g, h);
    const __m256i packed = load_256(unit + 64 * (g % 4) + 32 * h);
    const __m256i codes = g < 4 ? low_nibbles(packed) : high_nibbles(packed);
    if (kind == CODES_4)
        return codes;
    if (kind == CODES_E2M1) {
        /* Doubled, plus 12. */
        const __m128i table = _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0);
        return _mm256_shuffle_epi8(_mm256_set_m128i(table, table), codes);
    }
    const __m256i moved = g < 4 ? _mm256_slli_epi16(fifth, 4 - g) : _mm256_srli_epi16(fifth, g - 4);
    return _mm256_or_si256(codes, _mm256_and_si256(moved, _mm256_set1_epi8(16)));
}

/* Part of n_parts of a block: products into wide. */
INLINE void add_part(code_kind kind, int offset, int part, int n_parts, int T, const uint8_t *unit,
                     const uint8_t *act, const __m256i fifth[2], __m256i wide[][2])
{
    __m256i sum[PUNA_STRIP_ROWS][2];
    start_sums(T, act, offset, sum);
    const int first = part * 4, last = first + 8 / n_parts;
    UNROLL
    for (int g = first; g < last; g++) {
        if (g == 4 && kind != CODES_BYTES)
            LOAD_AGAIN();
        const __m256i codes[2] = { codes_at(kind, unit, g, 0, fifth[0]),
                                   codes_at(kind, unit, g, 1, fifth[1]) };
        add_products_16(T, act, g, codes, sum);
    }
    widen_sums(T, part == 0, sum, wide);
}

/* A block for T rows of activations. offset: 0, 8, 12 or 16; n_parts: 2 where 16 bits hold the sums of
 * half a block only. */
INLINE void block(code_kind kind, int offset, int n_parts, bool minima, int T, const uint8_t *unit,
                  const uint8_t *act, const packed_scales *scales, __m256 acc[][2])
{
    const bool five = kind == CODES_5;
    const __m256i fifth[2] = { five ? load_256(unit + 256) : _mm256_setzero_si256(),
                               five ? load_256(unit + 288) : _mm256_setzero_si256() };
    __m256i wide[PUNA_STRIP_ROWS][2];
    add_part(kind, offset, 0, n_parts, T, unit, act, fifth, wide);
    if (n_parts == 2)
        add_part(kind, offset, 1, n_parts, T, unit, act, fifth, wide);
    add_scaled(T, act, scales, minima, wide, acc);
}

INLINE void micro(code_kind kind, int offset, int n_parts, bool minima, int T, size_t unit_bytes, const packed_chunk *chunk,
                  const uint8_t *act, float *sums)
{
    __m256 acc[PUNA_STRIP_ROWS][2];
    const uint8_t *unit = kind == CODES_BYTES ? chunk->codes : chunk->units;
    load_acc(T, sums, acc);
    for (int32_t b = 0; b < chunk->n; b++, unit += unit_bytes, act += PUNA_STRIP_BLOCK * T) {
        prefetch_unit(T, unit, unit_bytes);
        block(kind, offset, n_parts, minima, T, unit, act, chunk->scales + b, acc);
    }
    store_acc(T, sums, acc);
}

INLINE void unpack(code_kind kind, size_t unit_bytes, const uint8_t *unit, int32_t n, uint8_t *codes)
{
    for (int32_t b = 0; b < n; b++, unit += unit_bytes, codes += PACKED_BLOCK) {
        UNROLL
        for (int g = 0; g < 8; g++) {
            UNROLL
            for (int h = 0; h < 2; h++) {
                const __m256i fifth = kind == CODES_5 ? load_256(unit + 256 + 32 * h) : _mm256_setzero_si256();
                _mm256_store_si256((__m256i *)(void *)byte_codes(codes, g, h), codes_at(kind, unit, g, h, fifth));
            }
        }
    }
}

/* d in binary16 from byte `d` of a unit on, m behind it. */
INLINE void scales(const uint8_t *unit, int32_t n, packed_scales *out, size_t unit_bytes, size_t d, bool minima)
{
    for (int32_t b = 0; b < n; b++, unit += unit_bytes) {
        UNROLL
        for (int h = 0; h < 2; h++) {
            _mm256_storeu_ps(out[b].d + 8 * h, halves_to_floats(unit + d + 16 * h));
            if (minima)
                _mm256_storeu_ps(out[b].m + 8 * h, halves_to_floats(unit + d + 32 + 16 * h));
        }
    }
}

/* Exponents: 2^(e - 128), as puna_mxfp4_scale. */
static void scales_MXFP4(const uint8_t *units, int32_t n, packed_scales *out)
{
    const puna_panel_mxfp4 *unit = (const puna_panel_mxfp4 *)units;
    for (int32_t b = 0; b < n; b++, unit++)
        for (int r = 0; r < PUNA_PANEL_ROWS; r++)
            out[b].d[r] = puna_mxfp4_scale(unit->e[r]);
}

#define MICRO(format, T, kind, offset, n_parts, minima, layout)                                              \
    static void micro_##format##_##T(const packed_chunk *chunk, const uint8_t *act, float *sums)             \
    {                                                                                                        \
        micro(kind, offset, n_parts, minima, T, sizeof(puna_panel_##layout), chunk, act, sums);              \
    }

#define SCALES(format, layout, minima)                                                                       \
    static void scales_##format(const uint8_t *units, int32_t n, packed_scales *out)                         \
    {                                                                                                        \
        scales(units, n, out, sizeof(puna_panel_##layout), offsetof(puna_panel_##layout, d), minima); \
    }

#define SMALL(format, kind, offset, n_parts, minima, layout)                                                 \
    MICRO(format, 1, kind, offset, n_parts, minima, layout)                                                  \
    MICRO(format, 2, kind, offset, n_parts, minima, layout)                                                  \
    MICRO(format, 3, kind, offset, n_parts, minima, layout)                                                  \
    MICRO(format, 4, kind, offset, n_parts, minima, layout)

/* For codes that take more than two operations to read. */
#define WHOLE(format, kind, offset, n_parts, minima, layout)                                                 \
    static void unpack_##format(const uint8_t *units, int32_t n, uint8_t *codes)                             \
    {                                                                                                        \
        unpack(kind, sizeof(puna_panel_##layout), units, n, codes);                                          \
    }                                                                                                        \
    static void whole_##format(const packed_chunk *chunk, const uint8_t *act, float *sums)                   \
    {                                                                                                        \
        micro(CODES_BYTES, offset, n_parts, minima, PUNA_STRIP_ROWS, PACKED_BLOCK, chunk, act, sums);        \
    }

SCALES(Q4_0, q4_0, false)
SCALES(Q4_1, q4_1, true)
SCALES(Q5_0, q5_0, false)
SCALES(Q5_1, q5_1, true)
SMALL(Q4_0, CODES_4, 8, 1, false, q4_0)
SMALL(Q4_1, CODES_4, 0, 1, true, q4_1)
SMALL(Q5_0, CODES_5, 16, 1, false, q5_0)
SMALL(Q5_1, CODES_5, 0, 2, true, q5_1)
SMALL(MXFP4, CODES_E2M1, 12, 1, false, mxfp4)
WHOLE(Q5_0, CODES_5, 16, 1, false, q5_0)
WHOLE(Q5_1, CODES_5, 0, 2, true, q5_1)
WHOLE(MXFP4, CODES_E2M1, 12, 1, false, mxfp4)
PACKED_KERNEL(Q4_0, avx2, 1, puna_panel_q4_0, NULL, NULL, NULL, NULL)
PACKED_KERNEL(Q4_1, avx2, 1, puna_panel_q4_1, NULL, NULL, NULL, NULL)
PACKED_KERNEL(Q5_0, avx2, 1, puna_panel_q5_0, unpack_Q5_0, whole_Q5_0, NULL, NULL)
PACKED_KERNEL(Q5_1, avx2, 1, puna_panel_q5_1, unpack_Q5_1, whole_Q5_1, NULL, NULL)
PACKED_KERNEL(MXFP4, avx2, 1, puna_panel_mxfp4, unpack_MXFP4, whole_MXFP4, NULL, NULL)

/* ---- 8 bits ----------------------------------------------------------------------------- */

INLINE void micro_signed(bool table, int T, const uint8_t *unit, size_t unit_bytes, const packed_chunk *chunk, const uint8_t *act,
                         float *sums)
{
    __m256 acc[PUNA_STRIP_ROWS][2];
    load_acc(T, sums, acc);
    for (int32_t b = 0; b < chunk->n; b++, unit += unit_bytes, act += PUNA_STRIP_BLOCK * T) {
        prefetch_unit(T, unit, unit_bytes);
        packed_signed_block(table, T, unit, act, chunk->scales + b, acc);
    }
    store_acc(T, sums, acc);
}

#define MICRO_SIGNED(format, T, table, layout)                                                               \
    static void micro_##format##_##T(const packed_chunk *chunk, const uint8_t *act, float *sums)             \
    {                                                                                                        \
        micro_signed(table, T, chunk->units, sizeof(puna_panel_##layout), chunk, act, sums);                 \
    }

#define SIGNED(format, table, layout)                                                                        \
    SCALES(format, layout, false)                                                                            \
    MICRO_SIGNED(format, 1, table, layout)                                                                   \
    MICRO_SIGNED(format, 2, table, layout)                                                                   \
    MICRO_SIGNED(format, 3, table, layout)                                                                   \
    MICRO_SIGNED(format, 4, table, layout)

static void unpack_IQ4_NL(const uint8_t *units, int32_t n, uint8_t *codes)
{
    packed_unpack_signed(true, units, sizeof(puna_panel_q4_0), n, codes);
}

static void whole_IQ4_NL(const packed_chunk *chunk, const uint8_t *act, float *sums)
{
    micro_signed(false, PUNA_STRIP_ROWS, chunk->codes, PACKED_BLOCK, chunk, act, sums);
}

SIGNED(Q8_0, false, q8_0)
SIGNED(IQ4_NL, true, q4_0)
PACKED_KERNEL(Q8_0, avx2, 1, puna_panel_q8_0, NULL, NULL, NULL, NULL)
PACKED_KERNEL(IQ4_NL, avx2, 1, puna_panel_q4_0, unpack_IQ4_NL, whole_IQ4_NL, NULL, NULL)
