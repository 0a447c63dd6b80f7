/* limits_avx512.c - the peak int8 rate with AVX-512 VNNI: vpdpbusd on twelve independent sums. */
#include <immintrin.h>

#include "backend/cpu/limits.h"

uint64_t puna_limit_int8__avx512(uint64_t n_rounds, int32_t *sink)
{
    enum { CHAINS = 12 };
    __m512i sums[CHAINS], x = _mm512_set1_epi8(3), y = _mm512_set1_epi8(2);
    for (int i = 0; i < CHAINS; i++)
        sums[i] = _mm512_setzero_si512();
    for (uint64_t r = 0; r < n_rounds; r++) {
        for (int i = 0; i < CHAINS; i++)
            sums[i] = _mm512_dpbusd_epi32(sums[i], x, y);
        __asm__ volatile("" : "+v"(x)); /* keeps rounds from being multiplied out */
    }
    for (int i = 1; i < CHAINS; i++)
        sums[0] = _mm512_add_epi32(sums[0], sums[i]);
    *sink = _mm512_reduce_add_epi32(sums[0]);
    return CHAINS * 64;
}
