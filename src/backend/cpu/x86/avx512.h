/* avx512.h - what the AVX-512 kernel files share: loads, broadcasts, masks. Only *_avx512.c
 * includes it. AVX-512 here is F BW VL DQ VNNI: what PUNA_CPU_AVX512_VNNI promises. */
#ifndef PUNA_BACKEND_CPU_X86_AVX512_H
#define PUNA_BACKEND_CPU_X86_AVX512_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "backend/cpu/kernel.h"
#include "quant/blocks.h"
#include "quant/half.h"

/* A loop over compile-time constants that must disappear. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

#define INLINE static inline __attribute__((always_inline))

INLINE __m128i load_128(const void *at)
{
    return _mm_loadu_si128((const __m128i *)at);
}

INLINE __m256i load_256(const void *at)
{
    return _mm256_loadu_si256((const __m256i *)at);
}

INLINE __m512i load_512(const void *at)
{
    return _mm512_loadu_si512(at);
}

/* A dword in all lanes: an operand in memory of the instruction that uses it. */
INLINE __m512i broadcast_lane(const uint8_t *at)
{
    int32_t value;
    memcpy(&value, at, sizeof value);
    return _mm512_set1_epi32(value);
}

INLINE __m512 broadcast_float(const uint8_t *at)
{
    float value;
    memcpy(&value, at, sizeof value);
    return _mm512_set1_ps(value);
}

INLINE __m512 halves_to_floats(const uint8_t *at)
{
    return _mm512_cvtph_ps(load_256(at));
}

/* The first n lanes, for any n. */
INLINE __mmask16 first_lanes(size_t n)
{
    return (__mmask16)(n >= 16 ? 0xffffu : (1u << n) - 1);
}

#endif
