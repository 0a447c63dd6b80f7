/* avx2.h - what the AVX2 kernel files share: loads, sums, transposition, scales. Only *_avx2.c
 * includes it. */
#ifndef PUNA_BACKEND_CPU_X86_AVX2_H
#define PUNA_BACKEND_CPU_X86_AVX2_H

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

/* An integer sum that the compiler must have in a register here: left alone, gcc reorders long
 * chains of additions and keeps every product in memory until the end. */
#define KEEP(v) __asm__ volatile("" : "+x"(v))

#define INLINE static inline __attribute__((always_inline))

INLINE __m128i load_128(const void *at)
{
    return _mm_loadu_si128((const __m128i *)at);
}

INLINE __m256i load_256(const void *at)
{
    return _mm256_loadu_si256((const __m256i *)at);
}

/* 16 bytes from each of two places. */
INLINE __m256i load_2x128(const void *low, const void *high)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load_128(low)), load_128(high), 1);
}

INLINE int32_t load_i32(const void *at)
{
    int32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

INLINE float sum_8(__m256 v)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

INLINE __m256i low_nibbles(__m256i v)
{
    return _mm256_and_si256(v, _mm256_set1_epi8(15));
}

INLINE __m256i high_nibbles(__m256i v)
{
    return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15));
}

/* dword j of register i goes to dword i of register j. */
INLINE void transpose_8x8(__m256i v[8])
{
    __m256i a[8], b[8];
    UNROLL
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
        a[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 8; i += 4) {
        b[i] = _mm256_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm256_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm256_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm256_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
        v[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
    }
}

/* One weight row times one row of activations. */
typedef float dot_fn(const uint8_t *w, const void *act, int32_t n_in);

#define PREFETCH_BYTES 2048

/* Lines of weights that will be needed soon: hardware prefetchers stop at the end of a page. */
INLINE void prefetch_row(const uint8_t *w, size_t bytes)
{
    const uintptr_t at = (uintptr_t)w + PREFETCH_BYTES;
    for (size_t i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)(at + i), _MM_HINT_T0);
}

/* All dot products, the weights read once. Inlined into one function for each format. */
INLINE void dot_all(const puna_linear_call *call, dot_fn *dot)
{
    for (int32_t o = call->begin; o < call->end; o++) {
        const uint8_t *w = puna_call_row(call, o);
        prefetch_row(w, call->row_bytes);
        for (int32_t r = 0; r < call->n_rows; r++)
            call->y[(size_t)r * call->y_stride + (size_t)o] = dot(w, puna_call_act(call, r), call->n_in);
    }
}

#endif
