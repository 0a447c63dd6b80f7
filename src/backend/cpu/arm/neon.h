/* neon.h - what the NEON kernel files share: lanes chosen by constants, sums, loads of any
 * alignment. Only *_neon.c and *_i8mm.c include it. */
#ifndef PUNA_BACKEND_CPU_ARM_NEON_H
#define PUNA_BACKEND_CPU_ARM_NEON_H

#include <arm_neon.h>
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "backend/cpu/kernel.h"

/* A loop over compile-time constants that must disappear. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

#define INLINE static inline __attribute__((always_inline))

/* Instructions that name a lane want a literal: one of four, chosen when loops are unrolled. */
#define BY_LANE(lane, call) \
    switch (lane) {         \
    case 0:                 \
        return call(0);     \
    case 1:                 \
        return call(1);     \
    case 2:                 \
        return call(2);     \
    default:                \
        return call(3);     \
    }

/* sum + the four products of each lane of w with lane `lane` of a. */
INLINE int32x4_t dot_lane(int32x4_t sum, int8x16_t w, int8x16_t a, int lane){
#define CALL(i) vdotq_laneq_s32(sum, w, a, i)
    BY_LANE(lane, CALL)
#undef CALL
}

INLINE float32x4_t mul_lane(float32x4_t v, float32x4_t a, int lane){
#define CALL(i) vmulq_laneq_f32(v, a, i)
    BY_LANE(lane, CALL)
#undef CALL
}

INLINE float32x4_t fma_lane(float32x4_t sum, float32x4_t v, float32x4_t a, int lane){
#define CALL(i) vfmaq_laneq_f32(sum, v, a, i)
    BY_LANE(lane, CALL)
#undef CALL
}

INLINE int32x4_t dup_lane(int32x4_t v, int lane){
#define CALL(i) vdupq_laneq_s32(v, i)
    BY_LANE(lane, CALL)
#undef CALL
}

/* The lower two lanes twice, or the upper two. */
INLINE int32x4_t dup_pair(int32x4_t v, int pair)
{
    const int64x2_t wide = vreinterpretq_s64_s32(v);
    return vreinterpretq_s32_s64(pair ? vdupq_laneq_s64(wide, 1) : vdupq_laneq_s64(wide, 0));
}

/* sum + rows of w times rows of a, 2 by 8 codes each: w0 a0, w0 a1, w1 a0, w1 a1. Files without the
 * instruction never get here. */
INLINE int32x4_t mul_pairs(int32x4_t sum, int8x16_t w, int8x16_t a)
{
#ifdef __ARM_FEATURE_MATMUL_INT8
    return vmmlaq_s32(sum, w, a);
#else
    (void)w;
    (void)a;
    return sum;
#endif
}

INLINE int8x16_t load_codes(const uint8_t *at)
{
    return vreinterpretq_s8_u8(vld1q_u8(at));
}

INLINE int32x4_t load_ints(const uint8_t *at)
{
    return vreinterpretq_s32_u8(vld1q_u8(at));
}

INLINE float32x4_t load_floats(const uint8_t *at)
{
    return vreinterpretq_f32_u8(vld1q_u8(at));
}

/* Four binary16. */
INLINE float32x4_t halves_to_floats(const uint8_t *at)
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(at)));
}

#endif
