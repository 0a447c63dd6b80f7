/* attention_avx512.h - what attention_avx512.c takes from attention_q8_avx512.c, and what both unroll with. */
#ifndef PUNA_BACKEND_CPU_ATTENTION_AVX512_H
#define PUNA_BACKEND_CPU_ATTENTION_AVX512_H

#define STRIP 8
#include "backend/cpu/attention_strip.h"

float puna_attention_quantize__avx512(const float *q, int32_t dim, int16_t *codes);
void puna_attention_scores_q8__avx512(int32_t m, const int16_t *q, size_t q_stride, const float *q_scale,
                                      const void *k, const void *next, int32_t dim, float *s, size_t s_stride);
void puna_attention_weigh_q8__avx512(int32_t m, const float *p, size_t p_stride, const float *factor,
                                     const void *const *v, const void *const *next, int32_t n_keys, int32_t dim,
                                     float *sums, size_t sums_stride);
void puna_attention_unpack__avx2(const void *tile, int32_t dim, bool key, void *q8);
void puna_attention_rotate__avx2(float *x, int32_t dim);

#endif
