/* limits_avx512.c - peak rates with AVX-512: 64-byte loads, and vpdpbusd for int8. */
#include <immintrin.h>
#include <stdbool.h>

#include "backend/cpu/limits.h"

/* ask: lines are asked for twice, as the kernels of packed weights do (packed_avx512.h). */
static inline __attribute__((always_inline)) uint64_t read_all(bool ask, const char *p, size_t n)
{
    __m512i sums[4] = { _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                        _mm512_setzero_si512() };
    for (size_t i = 0; i < n; i += 256) {
        for (size_t k = 0; k < 4; k++) {
            if (ask) {
                _mm_prefetch(p + i + 64 * k + 16384, _MM_HINT_T1);
                _mm_prefetch(p + i + 64 * k + 8192, _MM_HINT_T0);
            }
            sums[k] = _mm512_xor_si512(sums[k], _mm512_load_si512(p + i + 64 * k));
        }
    }
    sums[0] = _mm512_xor_si512(_mm512_xor_si512(sums[0], sums[1]), _mm512_xor_si512(sums[2], sums[3]));
    return (uint64_t)_mm512_reduce_add_epi64(sums[0]);
}

/* A tenth faster than loads alone on an Intel processor. */
uint64_t puna_limit_read__avx512(const void *bytes, size_t n)
{
    return read_all(true, bytes, n);
}

/* Where the hardware follows (PUNA_CPU_FOLLOWS) loads alone are as fast or faster. */
uint64_t puna_limit_read__avx512_order(const void *bytes, size_t n)
{
    return read_all(false, bytes, n);
}

/* More chains than two units need with a latency of five; they begin differently, or one would do for all. */
uint64_t puna_limit_int8__avx512(uint64_t n_rounds, int32_t *sink)
{
    enum { CHAINS = 12 };
    const __m512i x = _mm512_set1_epi8(3), y = _mm512_set1_epi8(2);
    __m512i sums[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        sums[i] = _mm512_set1_epi32(i);
    for (uint64_t r = 0; r < n_rounds; r++) {
        for (int i = 0; i < CHAINS; i++)
            sums[i] = _mm512_dpbusd_epi32(sums[i], x, y);
    }
    for (int i = 1; i < CHAINS; i++)
        sums[0] = _mm512_add_epi32(sums[0], sums[i]);
    *sink = _mm512_reduce_add_epi32(sums[0]);
    return CHAINS * 64;
}
