/* tile_halves_avx2.c - the microkernels for weights with a scale for 16 that is no small integer
 * (NVFP4), or whose codes are too large for the sums of tile_avx2.c's (IQ2). */
#include "backend/cpu/x86/tile_avx2.h"

/* Sums of four products of the four groups from g0 on, in 8 lanes twice. Codes of 5 bits less the
 * offset, or signed ones (offset 0), whose sign moves to the activations. */
INLINE void sums_of_16(const uint8_t *panel, const tile *t, int32_t b, int g0, int tokens, int offset,
                       __m256i wide[TILE_TOKENS][2])
{
    const __m256i ones = _mm256_set1_epi16(1);
    UNROLL
    for (int g = g0; g < g0 + 4; g++) {
        UNROLL
        for (int h = 0; h < 2; h++) {
            const __m256i w = load_256(panel + g * 64 + h * 32), magnitude = _mm256_abs_epi8(w);
            UNROLL
            for (int i = 0; i < tokens; i++) {
                const __m256i a = broadcast_codes(t->q[i] + b * 32 + g * 4);
                __m256i p;
                if (offset) {
                    p = _mm256_maddubs_epi16(w, a);
                    wide[i][h] = g == g0 ? p : _mm256_add_epi16(wide[i][h], p);
                } else {
                    p = _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(a, w)), ones);
                    wide[i][h] = g == g0 ? p : _mm256_add_epi32(wide[i][h], p);
                }
                KEEP(wide[i][h]);
            }
        }
    }
    if (!offset)
        return;
    UNROLL
    for (int i = 0; i < tokens; i++) {
        const __m256i less = _mm256_set1_epi32(t->sums[i][2 * b + g0 / 4] * offset);
        UNROLL
        for (int h = 0; h < 2; h++)
            wide[i][h] = _mm256_sub_epi32(_mm256_madd_epi16(wide[i][h], ones), less);
    }
}

INLINE void micro_halves(const uint8_t *panel, int32_t n, const tile *t, int tokens, int offset)
{
    __m256 acc[TILE_TOKENS][2];
    UNROLL
    for (int i = 0; i < tokens; i++)
        acc[i][0] = acc[i][1] = _mm256_setzero_ps();
    for (int32_t b = 0; b < n; b++, panel += PANEL_STRIDE) {
        const panel_scales *scales = (const panel_scales *)(const void *)(panel + PANEL_CODES);
        UNROLL
        for (int part = 0; part < 2; part++) {
            const float *scale = part ? scales->m : scales->d;
            __m256i wide[TILE_TOKENS][2];
            sums_of_16(panel, t, b, 4 * part, tokens, offset, wide);
            UNROLL
            for (int i = 0; i < tokens; i++) {
                const __m256 d = _mm256_broadcast_ss(t->d[i] + b);
                UNROLL
                for (int h = 0; h < 2; h++) {
                    const __m256 scaled = _mm256_mul_ps(d, _mm256_cvtepi32_ps(wide[i][h]));
                    acc[i][h] = _mm256_fmadd_ps(_mm256_load_ps(scale + 8 * h), scaled, acc[i][h]);
                }
            }
        }
    }
    store_tile(t, tokens, acc);
}

#define FIVE_BITS(tokens)  micro_halves(panel, n, t, tokens, 16)
#define EIGHT_BITS(tokens) micro_halves(panel, n, t, tokens, 0)

MICRO(5_bits_halves, FIVE_BITS)
MICRO(8_bits_halves, EIGHT_BITS)
