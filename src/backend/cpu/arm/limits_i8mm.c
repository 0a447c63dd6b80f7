/* limits_i8mm.c - the peak rate of int8 with smmla. */
#include <arm_neon.h>

#include "backend/cpu/limits.h"

uint64_t puna_limit_int8__i8mm(uint64_t n_rounds, int32_t *sink)
{
    enum { CHAINS = 16 }; /* four units with a latency of three or four */
    int32x4_t sums[CHAINS];
    const int8x16_t x = vdupq_n_s8(3), y = vdupq_n_s8(2);
    for (int i = 0; i < CHAINS; i++)
        sums[i] = vdupq_n_s32(i); /* all different, so that none is computed for another */
    for (uint64_t r = 0; r < n_rounds; r++)
        for (int i = 0; i < CHAINS; i++)
            sums[i] = vmmlaq_s32(sums[i], x, y);
    for (int i = 1; i < CHAINS; i++)
        sums[0] = vaddq_s32(sums[0], sums[i]);
    *sink = vgetq_lane_s32(sums[0], 0);
    return CHAINS * 32;
}
