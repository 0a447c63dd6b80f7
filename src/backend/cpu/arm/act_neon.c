/* act_neon.c - the encoder of activations: the same bytes as act.c's, 32 values at a time, row by
 * row or into strips. */
#include <float.h>
#include <math.h>

#include "backend/cpu/arm/neon.h"

/* The largest magnitude of 32 values, compared as integers, by which a NaN is the largest. */
INLINE float largest_magnitude(const float32x4_t v[8])
{
    const uint32x4_t mask = vdupq_n_u32(0x7fffffffu);
    uint32x4_t max = vandq_u32(vreinterpretq_u32_f32(v[0]), mask);
    UNROLL
    for (int i = 1; i < 8; i++)
        max = vmaxq_u32(max, vandq_u32(vreinterpretq_u32_f32(v[i]), mask));
    return vget_lane_f32(vreinterpret_f32_u32(vdup_n_u32(vmaxvq_u32(max))), 0);
}

/* To nearest, ties to even, as lrintf does; nothing is beyond 127. */
INLINE int8x16_t codes_16(const float32x4_t v[4], float inverse)
{
    int16x4_t c[4];
    UNROLL
    for (int i = 0; i < 4; i++)
        c[i] = vmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(v[i], inverse)));
    return vcombine_s8(vmovn_s16(vcombine_s16(c[0], c[1])), vmovn_s16(vcombine_s16(c[2], c[3])));
}

/* Codes of 32 values; returns their scale, 0 or NaN with codes 0. */
INLINE float encode_block(const float *x, int8x16_t codes[2])
{
    float32x4_t v[8];
    UNROLL
    for (int i = 0; i < 8; i++)
        v[i] = vld1q_f32(x + 4 * i);
    const float max = largest_magnitude(v);
    if (!(max >= 0x1p-120f && max <= FLT_MAX)) {
        codes[0] = codes[1] = vdupq_n_s8(0);
        return max < 1.0f ? 0.0f : NAN;
    }
    codes[0] = codes_16(v, 127.0f / max);
    codes[1] = codes_16(v + 4, 127.0f / max);
    return max / 127.0f;
}

void puna_encode_q8_neon(const float *x, int32_t n_in, void *row)
{
    const size_t array = puna_act_array_bytes(n_in);
    int8_t *q = row;
    uint8_t *arrays = (uint8_t *)row + n_in;
    float *d = (float *)(void *)arrays, *s = (float *)(void *)(arrays + array);
    int16_t *sums = (int16_t *)(void *)(arrays + 2 * array);
    memset(arrays, 0, puna_act_bytes(PUNA_ACT_Q8, n_in) - (size_t)n_in);
    for (int32_t b = 0; b < n_in / PUNA_ACT_BLOCK; b++, x += PUNA_ACT_BLOCK, q += PUNA_ACT_BLOCK) {
        int8x16_t codes[2];
        d[b] = encode_block(x, codes);
        vst1q_s8(q, codes[0]);
        vst1q_s8(q + 16, codes[1]);
        sums[2 * b] = vaddlvq_s8(codes[0]);
        sums[2 * b + 1] = vaddlvq_s8(codes[1]);
        s[b] = d[b] * (float)(sums[2 * b] + sums[2 * b + 1]);
    }
}

/* Sums of the codes 4i, 4i + 1 and of 4i + 2, 4i + 3 of 16. */
INLINE int32x2_t pair_sums(int8x16_t codes)
{
    const int16x8_t pairs = vpaddlq_s8(codes);
    const int32x4_t sums = vpaddq_s32(vmovl_s16(vget_low_s16(vuzp1q_s16(pairs, pairs))),
                                      vmovl_s16(vget_low_s16(vuzp2q_s16(pairs, pairs))));
    return vpadd_s32(vget_low_s32(sums), vget_high_s32(sums));
}

void puna_encode_strip_neon(const float *x, int32_t n_in, void *strip, int slot, int n_slots)
{
    uint8_t *block = strip;
    for (int32_t b = 0; b < n_in / PUNA_ACT_BLOCK; b++, x += PUNA_ACT_BLOCK) {
        int8x16_t codes[2];
        int8_t q[PUNA_ACT_BLOCK];
        int32_t pairs[4];
        const float d = encode_block(x, codes);
        vst1q_s8(q, codes[0]);
        vst1q_s8(q + 16, codes[1]);
        vst1q_s32(pairs, vcombine_s32(pair_sums(codes[0]), pair_sums(codes[1])));
        puna_strip_put(block, slot, n_slots, q, d, pairs);
        block += (size_t)n_slots * PUNA_STRIP_BLOCK;
    }
}
