/* limits_avx2.c - peak rates with AVX2: 32-byte loads; for int8 maddubs + madd + add, or maddubs
 * summed in 16 bits with one madd for every eight. */
#include <immintrin.h>

#include "backend/cpu/limits.h"

uint64_t puna_limit_read__avx2(const void *bytes, size_t n)
{
    const __m256i *p = bytes;
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (size_t i = 0; i < n / sizeof *p; i += 4) {
        a = _mm256_xor_si256(a, _mm256_load_si256(p + i));
        b = _mm256_xor_si256(b, _mm256_load_si256(p + i + 1));
        c = _mm256_xor_si256(c, _mm256_load_si256(p + i + 2));
        d = _mm256_xor_si256(d, _mm256_load_si256(p + i + 3));
    }
    a = _mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d));
    return (uint64_t)_mm256_extract_epi64(a, 0) ^ (uint64_t)_mm256_extract_epi64(a, 3);
}

uint64_t puna_limit_int8__avx2(uint64_t n_rounds, int32_t *sink)
{
    enum { CHAINS = 6 };
    __m256i sums[CHAINS], ones = _mm256_set1_epi16(1), x = _mm256_set1_epi8(3), y = _mm256_set1_epi8(2);
    for (int i = 0; i < CHAINS; i++)
        sums[i] = _mm256_setzero_si256();
    for (uint64_t r = 0; r < n_rounds; r++)
        for (int i = 0; i < CHAINS; i++) {
            __m256i products = _mm256_maddubs_epi16(x, y);
            __asm__ volatile("" : "+x"(products)); /* keeps equal products from being computed once */
            sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(products, ones));
        }
    for (int i = 1; i < CHAINS; i++)
        sums[0] = _mm256_add_epi32(sums[0], sums[i]);
    *sink = _mm256_extract_epi32(sums[0], 0);
    return CHAINS * 32;
}

uint64_t puna_limit_int8_sums__avx2(uint64_t n_rounds, int32_t *sink)
{
    enum { CHAINS = 4, DEEP = 8 };
    __m256i sums[CHAINS], ones = _mm256_set1_epi16(1), x = _mm256_set1_epi8(3), y = _mm256_set1_epi8(2);
    for (int i = 0; i < CHAINS; i++)
        sums[i] = _mm256_setzero_si256();
    for (uint64_t r = 0; r < n_rounds / DEEP; r++) {
        __m256i shorts[CHAINS];
        for (int i = 0; i < CHAINS; i++)
            shorts[i] = _mm256_setzero_si256();
        for (int j = 0; j < DEEP; j++)
            for (int i = 0; i < CHAINS; i++) {
                __m256i products = _mm256_maddubs_epi16(x, y);
                __asm__ volatile("" : "+x"(products));
                shorts[i] = _mm256_add_epi16(shorts[i], products);
            }
        for (int i = 0; i < CHAINS; i++)
            sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(shorts[i], ones));
    }
    for (int i = 1; i < CHAINS; i++)
        sums[0] = _mm256_add_epi32(sums[0], sums[i]);
    *sink = _mm256_extract_epi32(sums[0], 0);
    return CHAINS * 32; /* n_rounds is a multiple of DEEP */
}
