/* limits_neon.c - peak rates with NEON: 16-byte loads, and sdot for int8. */
#include <arm_neon.h>

#include "backend/cpu/limits.h"

uint64_t puna_limit_read__neon(const void *bytes, size_t n)
{
    const uint64_t *p = bytes;
    uint64x2_t a = vdupq_n_u64(0), b = a, c = a, d = a;
    for (size_t i = 0; i < n / sizeof *p; i += 8) {
        a = veorq_u64(a, vld1q_u64(p + i));
        b = veorq_u64(b, vld1q_u64(p + i + 2));
        c = veorq_u64(c, vld1q_u64(p + i + 4));
        d = veorq_u64(d, vld1q_u64(p + i + 6));
    }
    a = veorq_u64(veorq_u64(a, b), veorq_u64(c, d));
    return vgetq_lane_u64(a, 0) ^ vgetq_lane_u64(a, 1);
}

uint64_t puna_limit_int8__neon(uint64_t n_rounds, int32_t *sink)
{
    enum { CHAINS = 16 }; /* four units with a latency of three or four */
    int32x4_t sums[CHAINS];
    const int8x16_t x = vdupq_n_s8(3), y = vdupq_n_s8(2);
    for (int i = 0; i < CHAINS; i++)
        sums[i] = vdupq_n_s32(i); /* all different, so that none is computed for another */
    for (uint64_t r = 0; r < n_rounds; r++)
        for (int i = 0; i < CHAINS; i++)
            sums[i] = vdotq_s32(sums[i], x, y);
    for (int i = 1; i < CHAINS; i++)
        sums[0] = vaddq_s32(sums[0], sums[i]);
    *sink = vgetq_lane_s32(sums[0], 0);
    return CHAINS * 16;
}
