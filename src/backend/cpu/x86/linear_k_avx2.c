/* linear_k_avx2.c - the K types with small integer scales and minima for 32 values: Q4_K, Q5_K.
 *
 * dot: the integer scales multiply the 16-bit sums of products (madd with the scale in the place
 * of ones); the activations' scale is applied per 32, the superblock's own once. Minima meet the
 * activations' sums 8 at a time. */
#include "backend/cpu/x86/tile_avx2.h"

/* The scales (bytes 0-7) and minima (8-15) of a Q4_K or Q5_K superblock. */
INLINE __m128i unpack_k_scales(const uint8_t packed[12])
{
    const uint32_t a = puna_load_u32(packed), b = puna_load_u32(packed + 4), c = puna_load_u32(packed + 8);
    const uint32_t scales_high = (c & 0x0f0f0f0f) | (a >> 2 & 0x30303030);
    const uint32_t minima_high = (c >> 4 & 0x0f0f0f0f) | (b >> 2 & 0x30303030);
    return _mm_set_epi32((int)minima_high, (int)(b & 0x3f3f3f3f), (int)scales_high, (int)(a & 0x3f3f3f3f));
}

/* Sub-block s of 32 with scale number s of eight 16-bit ones repeated in both lanes. */
INLINE __m256 dot_sub_block(__m256i codes, __m256i scales, int s, const int8_t *q)
{
    const __m256i scale = _mm256_shuffle_epi8(scales, _mm256_set1_epi16((short)(0x0100 + 0x0202 * s)));
    const __m256i p = _mm256_maddubs_epi16(codes, load_256(q));
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(p, scale));
}

/* bit s of each byte of high as 16 or 0. */
INLINE __m256i fifth_bit(__m256i high, int s)
{
    const __m256i moved = s < 4 ? _mm256_slli_epi16(high, 4 - s) : _mm256_srli_epi16(high, s - 4);
    return _mm256_and_si256(moved, _mm256_set1_epi8(16));
}

/* One superblock of Q4_K (qh NULL) or Q5_K. */
INLINE __m256 dot_superblock(__m256i scales, const uint8_t *qs, const uint8_t *qh, const int8_t *q,
                             const float *d)
{
    const __m256i high_bits = qh ? load_256(qh) : _mm256_setzero_si256();
    __m256 acc = _mm256_setzero_ps();
    UNROLL
    for (int j = 0; j < 4; j++) {
        const __m256i packed = load_256(qs + 32 * j);
        __m256i low = low_nibbles(packed), high = high_nibbles(packed);
        if (qh) {
            low = _mm256_or_si256(low, fifth_bit(high_bits, 2 * j));
            high = _mm256_or_si256(high, fifth_bit(high_bits, 2 * j + 1));
        }
        const __m256 p0 = dot_sub_block(low, scales, 2 * j, q + 64 * j);
        const __m256 p1 = dot_sub_block(high, scales, 2 * j + 1, q + 64 * j + 32);
        acc = _mm256_fmadd_ps(p0, _mm256_broadcast_ss(d + 2 * j), acc);
        acc = _mm256_fmadd_ps(p1, _mm256_broadcast_ss(d + 2 * j + 1), acc);
    }
    return acc;
}

INLINE float dot_k(const uint8_t *w, puna_act_view a, int32_t n, bool five_bits)
{
    __m256 acc = _mm256_setzero_ps(), minima = _mm256_setzero_ps();
    for (int32_t i = 0; i < n; i++) {
        const puna_block_q4_k *four = (const puna_block_q4_k *)w + i;
        const puna_block_q5_k *five = (const puna_block_q5_k *)w + i;
        const __m128i small = unpack_k_scales(five_bits ? five->scales : four->scales);
        const __m256i wide = _mm256_cvtepu8_epi16(small);
        const __m256i scales = _mm256_permute4x64_epi64(wide, 0x44);
        const __m256 mins = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(small, 8)));
        const __m256 p = dot_superblock(scales, five_bits ? five->qs : four->qs, five_bits ? five->qh : NULL,
                                        a.q + i * PUNA_SUPERBLOCK, a.d + 8 * i);
        const __m256 m = _mm256_mul_ps(mins, _mm256_loadu_ps(a.s + 8 * i));
        acc = _mm256_fmadd_ps(p, _mm256_set1_ps(puna_load_f16(five_bits ? five->d : four->d)), acc);
        minima =
            _mm256_fmadd_ps(m, _mm256_set1_ps(puna_load_f16(five_bits ? five->dmin : four->dmin)), minima);
    }
    return sum_8(_mm256_sub_ps(acc, minima));
}

/* The scales of a superblock of one row of a panel to lane `lane` of its 8 blocks. Q5_K's head is
 * Q4_K's. */
INLINE void unpack_row_scales(const uint8_t *superblock, int lane, uint8_t *panel)
{
    const puna_block_q4_k *w = (const puna_block_q4_k *)superblock;
    const __m128i small = unpack_k_scales(w->scales);
    const __m256 d = _mm256_set1_ps(puna_load_f16(w->d)), m = _mm256_set1_ps(-puna_load_f16(w->dmin));
    float scales[8], minima[8];
    _mm256_storeu_ps(scales, _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(small))));
    _mm256_storeu_ps(minima,
                     _mm256_mul_ps(m, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(small, 8)))));
    UNROLL
    for (int s = 0; s < 8; s++) {
        panel_scales_at(panel + s * PANEL_STRIDE)->d[lane] = scales[s];
        panel_scales_at(panel + s * PANEL_STRIDE)->m[lane] = minima[s];
    }
}

static void unpack_q4_k(const panel_source *source, int32_t first, int32_t n, uint8_t *panel)
{
    for (int32_t b = 0; b < n; b += 8, panel += 8 * PANEL_STRIDE) {
        const size_t at = (size_t)(first + b) / 8 * sizeof(puna_block_q4_k);
        for (int half = 0; half < 2; half++) {
            const uint8_t *const *row = source->row + 8 * half;
            for (int j = 0; j < 4; j++) {
                __m256i v[8], out[8];
                UNROLL
                for (int i = 0; i < 8; i++)
                    v[i] = load_256(row[i] + at + offsetof(puna_block_q4_k, qs) + (size_t)(32 * j));
                transpose_8x8(v);
                UNROLL
                for (int i = 0; i < 8; i++)
                    out[i] = low_nibbles(v[i]);
                store_codes(panel + 2 * j * PANEL_STRIDE, half, 0, out, 8);
                UNROLL
                for (int i = 0; i < 8; i++)
                    out[i] = high_nibbles(v[i]);
                store_codes(panel + (2 * j + 1) * PANEL_STRIDE, half, 0, out, 8);
            }
        }
        for (int i = 0; i < PUNA_TILE_ROWS; i++)
            unpack_row_scales(source->row[i] + at, i, panel);
    }
}

static void unpack_q5_k(const panel_source *source, int32_t first, int32_t n, uint8_t *panel)
{
    for (int32_t b = 0; b < n; b += 8, panel += 8 * PANEL_STRIDE) {
        const size_t at = (size_t)(first + b) / 8 * sizeof(puna_block_q5_k);
        for (int half = 0; half < 2; half++) {
            const uint8_t *const *row = source->row + 8 * half;
            __m256i bits[8];
            UNROLL
            for (int i = 0; i < 8; i++)
                bits[i] = load_256(row[i] + at + offsetof(puna_block_q5_k, qh));
            transpose_8x8(bits);
            UNROLL
            for (int j = 0; j < 4; j++) {
                __m256i v[8], out[8];
                UNROLL
                for (int i = 0; i < 8; i++)
                    v[i] = load_256(row[i] + at + offsetof(puna_block_q5_k, qs) + (size_t)(32 * j));
                transpose_8x8(v);
                UNROLL
                for (int i = 0; i < 8; i++)
                    out[i] = _mm256_or_si256(low_nibbles(v[i]), fifth_bit(bits[i], 2 * j));
                store_codes(panel + 2 * j * PANEL_STRIDE, half, 0, out, 8);
                UNROLL
                for (int i = 0; i < 8; i++)
                    out[i] = _mm256_or_si256(high_nibbles(v[i]), fifth_bit(bits[i], 2 * j + 1));
                store_codes(panel + (2 * j + 1) * PANEL_STRIDE, half, 0, out, 8);
            }
        }
        for (int i = 0; i < PUNA_TILE_ROWS; i++)
            unpack_row_scales(source->row[i] + at, i, panel);
    }
}

#define KERNELS(format, name, five_bits, micro)                                                              \
    INLINE float dot_row_##name(const uint8_t *w, const void *act, int32_t n_in)                             \
    {                                                                                                        \
        return dot_k(w, puna_act_at(act, n_in), n_in / PUNA_SUPERBLOCK, five_bits);                          \
    }                                                                                                        \
    void puna_dot_##format##_avx2(const puna_linear_call *call)                                              \
    {                                                                                                        \
        dot_all(call, dot_row_##name);                                                                       \
    }                                                                                                        \
    void puna_tile_##format##_avx2(const puna_linear_call *call)                                             \
    {                                                                                                        \
        puna_tile_all_avx2(call, unpack_##name, micro);                                                      \
    }

KERNELS(Q4_K, q4_k, false, puna_micro_4_bits_avx2)
KERNELS(Q5_K, q5_k, true, puna_micro_5_bits_avx2)
