/* linear_bytes_avx2.c - whole bytes that are rarely weights: Q8_1 and Q8_K, which engines use for
 * activations. Their sums of codes are not read: they follow from the codes. */
#include "backend/cpu/x86/blocks_avx2.h"

/* Eight sums of four products; the sign moves to the activations. */
INLINE __m256 products(const int8_t *codes, const int8_t *q)
{
    const __m256i w = load_256(codes);
    const __m256i p = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(load_256(q), w));
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(p, _mm256_set1_epi16(1)));
}

INLINE float dot_q8_1(const uint8_t *row, puna_act_view a, int32_t n)
{
    const puna_block_q8_1 *w = (const puna_block_q8_1 *)row;
    __m256 even = _mm256_setzero_ps(), odd = even;
    int32_t b = 0;
    for (; b + 2 <= n; b += 2, w += 2) {
        const int8_t *q = a.q + b * PUNA_ACT_BLOCK;
        even = _mm256_fmadd_ps(products(w[0].qs, q), _mm256_set1_ps(puna_load_f16(w[0].d) * a.d[b]), even);
        odd = _mm256_fmadd_ps(products(w[1].qs, q + PUNA_ACT_BLOCK),
                              _mm256_set1_ps(puna_load_f16(w[1].d) * a.d[b + 1]), odd);
    }
    if (b < n)
        even = _mm256_fmadd_ps(products(w->qs, a.q + b * PUNA_ACT_BLOCK),
                               _mm256_set1_ps(puna_load_f16(w->d) * a.d[b]), even);
    return sum_8(_mm256_add_ps(even, odd));
}

INLINE void read_q8_1(const uint8_t *block, __m256i codes[8], float scales[8][2])
{
    const puna_block_q8_1 *w = (const puna_block_q8_1 *)block;
    codes[0] = load_256(w->qs);
    scales[0][0] = scales[0][1] = puna_load_f16(w->d);
}

INLINE float dot_q8_k(const uint8_t *row, puna_act_view a, int32_t n)
{
    const puna_block_q8_k *w = (const puna_block_q8_k *)row;
    __m256 acc = _mm256_setzero_ps();
    for (int32_t i = 0; i < n; i++, w++) {
        const int8_t *q = a.q + i * PUNA_SUPERBLOCK;
        const float *d = a.d + 8 * i;
        __m256 even = _mm256_setzero_ps(), odd = even;
        UNROLL
        for (int s = 0; s < 8; s += 2) {
            even = _mm256_fmadd_ps(products(w->qs + 32 * s, q + 32 * s), _mm256_broadcast_ss(d + s), even);
            odd = _mm256_fmadd_ps(products(w->qs + 32 * s + 32, q + 32 * s + 32),
                                  _mm256_broadcast_ss(d + s + 1), odd);
        }
        acc = _mm256_fmadd_ps(_mm256_add_ps(even, odd), _mm256_set1_ps(puna_load_f32(w->d)), acc);
    }
    return sum_8(acc);
}

INLINE void read_q8_k(const uint8_t *block, __m256i codes[8], float scales[8][2])
{
    const puna_block_q8_k *w = (const puna_block_q8_k *)block;
    UNROLL
    for (int s = 0; s < 8; s++) {
        codes[s] = load_256(w->qs + 32 * s);
        scales[s][0] = scales[s][1] = puna_load_f32(w->d);
    }
}

BLOCK_KERNELS(Q8_1, q8_1, 1, dot_q8_1, read_q8_1, puna_micro_8_bits_avx2)
BLOCK_KERNELS(Q8_K, q8_k, 8, dot_q8_k, read_q8_k, puna_micro_8_bits_avx2)
