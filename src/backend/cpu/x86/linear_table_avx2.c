/* linear_table_avx2.c - formats whose nibbles index 16 signed values: IQ4_NL, IQ4_XS, MXFP4. A
 * vector byte shuffle looks 32 of them up; from there on they are 8-bit weights with one scale
 * for 32. */
#include "backend/cpu/table.h"
#include "backend/cpu/x86/tile_avx2.h"

/* The 16 nibble bytes and the scale of block b of 32 of a row. */
typedef const uint8_t *block_fn(const uint8_t *row, int32_t b, float *d);

INLINE const uint8_t *block_iq4_nl(const uint8_t *row, int32_t b, float *d)
{
    const puna_block_iq4_nl *w = (const puna_block_iq4_nl *)row + b;
    *d = puna_load_f16(w->d);
    return w->qs;
}

INLINE const uint8_t *block_iq4_xs(const uint8_t *row, int32_t b, float *d)
{
    const puna_block_iq4_xs *w = (const puna_block_iq4_xs *)row + b / 8;
    *d = puna_load_f16(w->d) * (float)puna_iq4_xs_scale(w, b % 8);
    return w->qs + b % 8 * 16;
}

INLINE const uint8_t *block_mxfp4(const uint8_t *row, int32_t b, float *d)
{
    const puna_block_mxfp4 *w = (const puna_block_mxfp4 *)row + b;
    *d = puna_mxfp4_scale(w->e);
    return w->qs;
}

INLINE __m256i look_up(const uint8_t *qs, __m256i table)
{
    const __m128i packed = load_128(qs), mask = _mm_set1_epi8(15);
    const __m128i high = _mm_and_si128(_mm_srli_epi16(packed, 4), mask);
    return _mm256_shuffle_epi8(table, _mm256_set_m128i(high, _mm_and_si128(packed, mask)));
}

INLINE float dot_table(const uint8_t *row, puna_act_view a, int32_t n, const int8_t *values, block_fn *block)
{
    const __m256i table = _mm256_broadcastsi128_si256(load_128(values));
    __m256 acc[2] = { _mm256_setzero_ps(), _mm256_setzero_ps() };
    for (int32_t b = 0; b < n; b++) {
        float d;
        const __m256i codes = look_up(block(row, b, &d), table);
        const __m256i q = _mm256_sign_epi8(load_256(a.q + b * PUNA_ACT_BLOCK), codes);
        const __m256i p = _mm256_maddubs_epi16(_mm256_abs_epi8(codes), q);
        const __m256 sums = _mm256_cvtepi32_ps(_mm256_madd_epi16(p, _mm256_set1_epi16(1)));
        acc[b & 1] = _mm256_fmadd_ps(sums, _mm256_set1_ps(d * a.d[b]), acc[b & 1]);
    }
    return sum_8(_mm256_add_ps(acc[0], acc[1]));
}

INLINE void unpack_table(const panel_source *source, int32_t first, int32_t n, uint8_t *panel,
                         const int8_t *values, block_fn *block)
{
    const __m256i table = _mm256_broadcastsi128_si256(load_128(values));
    for (int32_t b = 0; b < n; b++, panel += PANEL_STRIDE) {
        panel_scales *scales = panel_scales_at(panel);
        UNROLL
        for (int half = 0; half < 2; half++) {
            __m256i v[8];
            UNROLL
            for (int i = 0; i < 8; i++)
                v[i] = look_up(block(source->row[8 * half + i], first + b, &scales->d[8 * half + i]), table);
            transpose_8x8(v);
            store_codes(panel, half, 0, v, 8);
        }
    }
}

#define KERNELS(format, name, values)                                                                        \
    INLINE float dot_row_##name(const uint8_t *w, const void *act, int32_t n_in)                             \
    {                                                                                                        \
        return dot_table(w, puna_act_at(act, n_in), n_in / PUNA_ACT_BLOCK, values, block_##name);            \
    }                                                                                                        \
    void puna_dot_##format##_avx2(const puna_linear_call *call)                                              \
    {                                                                                                        \
        dot_all(call, dot_row_##name);                                                                       \
    }                                                                                                        \
    static void unpack_##name(const panel_source *source, int32_t first, int32_t n, uint8_t *panel)          \
    {                                                                                                        \
        unpack_table(source, first, n, panel, values, block_##name);                                         \
    }                                                                                                        \
    void puna_tile_##format##_avx2(const puna_linear_call *call)                                             \
    {                                                                                                        \
        puna_tile_all_avx2(call, unpack_##name, puna_micro_8_bits_avx2);                                     \
    }

KERNELS(IQ4_NL, iq4_nl, puna_iq4_values)
KERNELS(IQ4_XS, iq4_xs, puna_iq4_values)
KERNELS(MXFP4, mxfp4, puna_e2m1_doubled)
