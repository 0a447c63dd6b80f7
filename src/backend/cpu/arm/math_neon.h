/* math_neon.h - exp and tanh of four floats, and loads and stores of fewer than four. Inline, for
 * *_neon.c files only.
 *
 * exp: x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor series to r^7, whose remainder
 * r^8 / 8! is below 6e-9; ln 2 in two parts (Cody and Waite 1980) so that n ln 2 is exact. */
#ifndef PUNA_BACKEND_CPU_MATH_NEON_H
#define PUNA_BACKEND_CPU_MATH_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* n values at most, zeros behind them; nothing past them is touched. */
static inline float32x4_t puna_neon_load(const float *x, size_t n)
{
    float some[4] = { 0 };
    if (n >= 4)
        return vld1q_f32(x);
    memcpy(some, x, n * sizeof *x);
    return vld1q_f32(some);
}

static inline void puna_neon_store(float *y, size_t n, float32x4_t v)
{
    float some[4];
    if (n >= 4) {
        vst1q_f32(y, v);
        return;
    }
    vst1q_f32(some, v);
    memcpy(y, some, n * sizeof *y);
}

/* e^r - 1 for the reduced argument, and 2^n. x must be in [-87.3, 88.3] or NaN. */
static inline float32x4_t puna_neon_reduced_expm1(float32x4_t x, float32x4_t *power)
{
    const float32x4_t n = vrndnq_f32(vmulq_n_f32(x, 1.44269504f));
    float32x4_t r = vfmsq_f32(x, n, vdupq_n_f32(0.693359375f));
    r = vfmsq_f32(r, n, vdupq_n_f32(-2.12194440e-4f));
    float32x4_t p = vdupq_n_f32(1.0f / 5040);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 720), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 120), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 24), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 6), p, r);
    p = vfmaq_f32(vdupq_n_f32(0.5f), p, r);
    p = vfmaq_f32(r, vmulq_f32(p, r), r);
    const int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
    *power = vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23));
    return p;
}

/* min and max are NaN when an operand is. */
static inline float32x4_t puna_neon_exp(float32x4_t x)
{
    const float32x4_t low = vdupq_n_f32(-87.3f), high = vdupq_n_f32(88.3f);
    float32x4_t power;
    const float32x4_t p = puna_neon_reduced_expm1(vminq_f32(high, vmaxq_f32(low, x)), &power);
    const float32x4_t y = vfmaq_f32(power, p, power);
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(y), vcltq_f32(x, low)));
}

/* tanh x = E / (E + 2) with E = e^2x - 1, which keeps its relative accuracy near zero. */
static inline float32x4_t puna_neon_tanh(float32x4_t x)
{
    const float32x4_t limit = vdupq_n_f32(10);
    float32x4_t power, x2 = vminq_f32(limit, vmaxq_f32(vnegq_f32(limit), x));
    x2 = vaddq_f32(x2, x2);
    const float32x4_t p = puna_neon_reduced_expm1(x2, &power);
    const float32x4_t e = vfmaq_f32(vsubq_f32(power, vdupq_n_f32(1)), p, power);
    return vdivq_f32(e, vaddq_f32(e, vdupq_n_f32(2)));
}

#endif
