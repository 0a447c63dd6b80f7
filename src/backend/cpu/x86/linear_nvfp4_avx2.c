/* linear_nvfp4_avx2.c - NVFP4: nibbles that index 16 signed values, with an 8-bit float scale for
 * 16. Scales become binary16 by a shift, since both exponents are biased: times 2^7. */
#include "backend/cpu/table.h"
#include "backend/cpu/x86/blocks_avx2.h"

/* The four scales of a block, of doubled values. 0x7f, the NaN, is 0; the sign is ignored. */
INLINE __m128 scales_of(const puna_block_nvfp4 *w)
{
    const __m128i bytes = _mm_cvtsi32_si128(load_i32(w->d));
    const __m128i nan = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
    const __m128i magnitude = _mm_and_si128(_mm_andnot_si128(nan, bytes), _mm_set1_epi8(0x7f));
    const __m128i halves = _mm_slli_epi16(_mm_cvtepu8_epi16(magnitude), 7);
    return _mm_mul_ps(_mm_cvtph_ps(halves), _mm_set1_ps(128.0f));
}

/* Values 32 s to 32 s + 31, doubled: 16 in each lane, of 8 bytes' low and then high nibbles. */
INLINE __m256i values_of(const puna_block_nvfp4 *w, int s)
{
    const __m256i table = _mm256_broadcastsi128_si256(load_128(puna_e2m1_doubled));
    const __m256i twice = _mm256_permute4x64_epi64(_mm256_castsi128_si256(load_128(w->qs + 16 * s)), 0x50);
    const __m256i nibbles = low_nibbles(_mm256_srlv_epi64(twice, _mm256_setr_epi64x(0, 4, 0, 4)));
    return _mm256_shuffle_epi8(table, nibbles);
}

INLINE float dot_nvfp4(const uint8_t *row, puna_act_view a, int32_t n)
{
    const puna_block_nvfp4 *w = (const puna_block_nvfp4 *)row;
    __m256 acc[2] = { _mm256_setzero_ps(), _mm256_setzero_ps() };
    for (int32_t i = 0; i < n; i++, w++) {
        const __m128 d = _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(const void *)(a.d + 2 * i)));
        const __m256 scales = _mm256_castps128_ps256(_mm_mul_ps(scales_of(w), _mm_unpacklo_ps(d, d)));
        UNROLL
        for (int s = 0; s < 2; s++) {
            const __m256i values = values_of(w, s);
            const __m256i q = _mm256_sign_epi8(load_256(a.q + (2 * i + s) * PUNA_ACT_BLOCK), values);
            const __m256i p = _mm256_maddubs_epi16(_mm256_abs_epi8(values), q);
            const __m256 sums = _mm256_cvtepi32_ps(_mm256_madd_epi16(p, _mm256_set1_epi16(1)));
            const __m256i lanes = _mm256_setr_epi32(2 * s, 2 * s, 2 * s, 2 * s, 2 * s + 1, 2 * s + 1, 2 * s + 1,
                                                    2 * s + 1);
            acc[s] = _mm256_fmadd_ps(sums, _mm256_permutevar8x32_ps(scales, lanes), acc[s]);
        }
    }
    return sum_8(_mm256_add_ps(acc[0], acc[1]));
}

INLINE void read_nvfp4(const uint8_t *block, __m256i codes[8], float scales[8][2])
{
    const puna_block_nvfp4 *w = (const puna_block_nvfp4 *)block;
    _mm_storeu_ps(scales[0], scales_of(w));
    UNROLL
    for (int s = 0; s < 2; s++)
        codes[s] = _mm256_add_epi8(values_of(w, s), _mm256_set1_epi8(16));
}

BLOCK_KERNELS(NVFP4, nvfp4, 2, dot_nvfp4, read_nvfp4, puna_micro_5_bits_halves_avx2)
