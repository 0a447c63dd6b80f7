/* packed_classic_avx512.c - packed weights with one scale for 32 values. */
#include "backend/cpu/x86/packed_amx.h"
#include "backend/cpu/x86/packed_avx512.h"

/* How a format's codes are read; constants after inlining. */
typedef enum code_kind { CODES_4, CODES_5, CODES_E2M1, CODES_IQ4, CODES_8 } code_kind;

/* What is taken from every code: Q4_0 8, Q5_0 16; 8-bit codes and tables are made unsigned by it. */
enum { OFFSET_E2M1 = 12, OFFSET_8 = 128 };

/* Lane g (0..7) of a unit, unsigned; line: that of the lane, fifth: the unit's fifth bits. */
INLINE __m512i codes_of(code_kind kind, __m512i line, __m512i fifth, int g)
{
    if (kind == CODES_8)
        return _mm512_xor_si512(line, _mm512_set1_epi8((char)0x80));
    const __m512i codes = g < 4 ? low_nibbles(line) : high_nibbles(line);
    if (kind == CODES_4)
        return codes;
    if (kind == CODES_E2M1)
        return look_up(puna_e2m1_doubled, OFFSET_E2M1, codes);
    if (kind == CODES_IQ4)
        return look_up(puna_iq4_values, OFFSET_8, codes);
    const __m128i count = _mm_cvtsi32_si128(g < 4 ? 4 - g : g - 4);
    return with_bits(codes, g < 4 ? _mm512_sll_epi16(fifth, count) : _mm512_srl_epi16(fifth, count), 16);
}

INLINE __m512i codes_at(code_kind kind, int T, const uint8_t *unit, int g)
{
    const int line = kind == CODES_8 ? g : g % 4;
    if (line == g)
        fetch_ahead(T, unit + 64 * g, 64);
    return codes_of(kind, load_512(unit + 64 * line),
                    kind == CODES_5 ? load_512(unit + 256) : _mm512_setzero_si512(), g);
}

INLINE void micro(code_kind kind, int offset, bool minima, bool whole, int P, int T, size_t unit_bytes,
                  const packed_chunk *chunk, const uint8_t *act, float *sums)
{
    const size_t codes_bytes = kind == CODES_8 ? 512 : 256;
    __m512 acc[PACKED_SUMS];
    packed_starts starts;
    const uint8_t *unit = chunk->units;
    if (offset)
        make_starts(T, chunk, act, offset, false, &starts);
    load_acc(P, T, sums, acc);
    for (int32_t b = 0; b < chunk->n; b++, unit += unit_bytes, act += T * PUNA_STRIP_BLOCK) {
        __m512i sum[PACKED_SUMS];
        UNROLL
        for (int p = 0; p < P; p++)
            if (!whole)
                fetch_ahead(T, unit + (size_t)p * chunk->panel_bytes + codes_bytes, unit_bytes - codes_bytes);
        ADD_PRODUCTS(P, T, act, offset ? starts.at[b] : NULL, 1, 0, 8,
                     whole ? unpacked(chunk, b, (size_t)p, g)
                           : codes_at(kind, T, unit + (size_t)p * chunk->panel_bytes, g),
                     sum);
        add_scaled(P, T, act, chunk->scales + b, minima, sum, acc);
    }
    store_acc(P, T, sums, acc);
}

/* Exponents of MXFP4: 2^(e - 128), as puna_mxfp4_scale. */
INLINE __m512 exponents_to_floats(const uint8_t *at)
{
    const __m512i one = _mm512_set1_epi32(1), e = _mm512_cvtepu8_epi32(load_128(at));
    const __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, one), 23);
    const __m512i subnormal = _mm512_sllv_epi32(_mm512_set1_epi32(0x200000), e);
    return _mm512_castsi512_ps(_mm512_mask_mov_epi32(normal, _mm512_cmple_epu32_mask(e, one), subnormal));
}

/* A block of one row. Codes of high nibbles stay where they are, 16 times what they are, in a sum of their own. */
INLINE __m512i row_products(code_kind kind, int offset, const __m512i lines[8], __m512i fifth,
                            const uint8_t *act)
{
    __m512i sum[2] = { offset ? start_of_row(act, offset, -1) : _mm512_setzero_si512(),
                       _mm512_setzero_si512() };
    __m512i lanes[8];
    broadcast_four(act, 0, lanes);
    broadcast_four(act, 4, lanes + 4);
    UNROLL
    for (int g = 0; g < 8; g++) {
        const __m512i line = lines[kind == CODES_8 ? g : g % 4];
        const __m512i codes = kind == CODES_4 && g >= 4 ? _mm512_and_si512(line, _mm512_set1_epi8((char)0xf0))
                                                        : codes_of(kind, line, fifth, g);
        sum[g / 4] = _mm512_dpbusd_epi32(sum[g / 4], codes, lanes[g]);
    }
    if (kind == CODES_4)
        sum[1] = _mm512_srai_epi32(sum[1], 4);
    return _mm512_add_epi32(sum[0], sum[1]);
}

/* One row: every byte of the weights in order. Then Zen 4 reads ahead as it does for a loop that only reads, at the
 * memory's speed; requests, or scales read before their codes, leave it at half of that to nine tenths. Zen 5 must be
 * asked (near), or it comes to less than half with superblocks. The rest is multiplied while its block is here, and
 * added in the end. */
INLINE void row(code_kind kind, int offset, bool minima, bool near, size_t unit_bytes,
                const packed_chunk *chunk, const uint8_t *act, float *sums)
{
    const size_t codes_bytes = (kind == CODES_8 ? 8 : kind == CODES_5 ? 5 : 4) * sizeof(puna_lanes);
    const uint8_t *unit = chunk->units;
    __m512 acc = _mm512_load_ps(sums), rest_d = _mm512_setzero_ps(), rest_m = rest_d;
    __m512i rest = _mm512_setzero_si512();
    for (int32_t b = 0; b < chunk->n; b++, unit += unit_bytes, act += PUNA_STRIP_BLOCK) {
        __m512i lines[8];
        UNROLL
        for (int g = 0; g < 8; g++)
            if (g < 4 || kind == CODES_8) {
                fetch_near(near, unit + 64 * g);
                lines[g] = load_512(unit + 64 * g);
            }
        fetch_near(near, unit + codes_bytes);
        const __m512i fifth = kind == CODES_5 ? load_512(unit + 256) : _mm512_setzero_si512();
        const __m512i sum = row_products(kind, offset, lines, fifth, act);
        const __m512 d = kind == CODES_E2M1 ? exponents_to_floats(unit + codes_bytes)
                                            : halves_to_floats(unit + codes_bytes);
        const __m512 m = minima ? halves_to_floats(unit + codes_bytes + 32) : _mm512_setzero_ps();
        acc = add_scaled_row(act, d, minima ? &m : NULL, sum, acc);
        if (b == chunk->widest) {
            rest = row_products(kind, offset, lines, fifth, chunk->rest);
            rest_d = d;
            rest_m = m;
        }
    }
    if (chunk->widest >= 0)
        acc = add_scaled_row(chunk->rest, rest_d, minima ? &rest_m : NULL, rest, acc);
    _mm512_store_ps(sums, acc);
}

INLINE void unpack(code_kind kind, size_t unit_bytes, const uint8_t *unit, int32_t n, uint8_t *codes)
{
    for (int32_t b = 0; b < n; b++, unit += unit_bytes, codes += PACKED_BLOCK) {
        UNROLL
        for (int g = 0; g < 8; g++)
            _mm512_storeu_si512(codes + 64 * g, codes_at(kind, 0, unit, g));
    }
}

/* d in binary16 from byte `d` of a unit on, m behind it. */
INLINE void scales(const uint8_t *unit, int32_t n, packed_scales *out, size_t unit_bytes, size_t d, bool minima)
{
    for (int32_t b = 0; b < n; b++, unit += unit_bytes) {
        _mm512_store_ps(out[b].d, halves_to_floats(unit + d));
        if (minima)
            _mm512_store_ps(out[b].m, halves_to_floats(unit + d + 32));
    }
}

static void scales_MXFP4(const uint8_t *units, int32_t n, packed_scales *out)
{
    const puna_panel_mxfp4 *unit = (const puna_panel_mxfp4 *)units;
    for (int32_t b = 0; b < n; b++, unit++)
        _mm512_store_ps(out[b].d, exponents_to_floats(unit->e));
}

#define SCALES(format, layout, minima)                                                                       \
    static void scales_##format(const uint8_t *units, int32_t n, packed_scales *out)                         \
    {                                                                                                        \
        scales(units, n, out, sizeof(puna_panel_##layout), offsetof(puna_panel_##layout, d), minima);        \
    }

#define UNPACK(format, layout, kind, offset, minima)                             \
    static void unpack_##format(const uint8_t *units, int32_t n, uint8_t *codes) \
    {                                                                            \
        unpack(kind, sizeof(puna_panel_##layout), units, n, codes);              \
    }                                                                            \
    AMX_SOURCE(format, layout, 1, minima ? PUNA_AMX_MINIMA : PUNA_AMX_PLAIN, offset)

#define CLASSIC(format, layout, kind, offset, minima)                                               \
    UNPACK(format, layout, kind, offset, minima)                                                    \
    PACKED(format, layout, 1,                                                                       \
           micro(kind, offset, minima, false, P, T, sizeof(puna_panel_##layout), chunk, act, sums), \
           row(kind, offset, minima, NEAR, sizeof(puna_panel_##layout), chunk, act, sums))

#define CLASSIC_DEAR(format, layout, kind, offset, minima)                                               \
    UNPACK(format, layout, kind, offset, minima)                                                         \
    PACKED_DEAR(format, layout, 1,                                                                       \
                micro(kind, offset, minima, false, P, T, sizeof(puna_panel_##layout), chunk, act, sums), \
                micro(kind, offset, minima, true, P, T, sizeof(puna_panel_##layout), chunk, act, sums),  \
                row(kind, offset, minima, NEAR, sizeof(puna_panel_##layout), chunk, act, sums))

SCALES(Q4_0, q4_0, false)
SCALES(Q4_1, q4_1, true)
SCALES(Q5_0, q5_0, false)
SCALES(Q5_1, q5_1, true)
SCALES(Q8_0, q8_0, false)
SCALES(IQ4_NL, q4_0, false)
CLASSIC(Q4_0, q4_0, CODES_4, 8, false)
CLASSIC(Q4_1, q4_1, CODES_4, 0, true)
CLASSIC_DEAR(Q5_0, q5_0, CODES_5, 16, false)
CLASSIC_DEAR(Q5_1, q5_1, CODES_5, 0, true)
CLASSIC(Q8_0, q8_0, CODES_8, OFFSET_8, false)
CLASSIC(IQ4_NL, q4_0, CODES_IQ4, OFFSET_8, false)
CLASSIC(MXFP4, mxfp4, CODES_E2M1, OFFSET_E2M1, false)
