/* packed_k_neon.c - packed superblocks of 256, with sdot. Scales of sub-blocks are turned into
 * floats once for a chunk. */
#include "backend/cpu/arm/packed_k.h"

/* to = d * bytes, for 16 rows. */
INLINE void store_16_floats(float *to, int8x16_t bytes, const float32x4_t d[4])
{
    const int16x8_t half[2] = { vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes) };
    UNROLL
    for (int w = 0; w < 4; w++) {
        const int32x4_t wide = w % 2 ? vmovl_high_s16(half[w / 2]) : vmovl_s16(vget_low_s16(half[w / 2]));
        vst1q_f32(to + 4 * w, vmulq_f32(d[w], vcvtq_f32_s32(wide)));
    }
}

INLINE void load_16_halves(const uint8_t halves[PUNA_PANEL_ROWS][2], float32x4_t d[4])
{
    UNROLL
    for (int w = 0; w < 4; w++)
        d[w] = halves_to_floats(halves[4 * w]);
}

/* low with bits 4 and 5 from bytes << shift. */
INLINE int8x16_t with_top(uint8x16_t low, const uint8_t *bytes, int shift)
{
    const uint8x16_t top = vshlq_u8(vld1q_u8(bytes), vdupq_n_s8((int8_t)shift));
    return vreinterpretq_s8_u8(vbslq_u8(vdupq_n_u8(0x30), top, low));
}

/* One superblock of Q4_K or Q5_K. */
INLINE void scales_k(const uint8_t small[8][PUNA_PANEL_ROWS], const uint8_t top[4][PUNA_PANEL_ROWS],
                     const uint8_t d[PUNA_PANEL_ROWS][2], const uint8_t dmin[PUNA_PANEL_ROWS][2],
                     packed_scales *out)
{
    float32x4_t scale[4], minimum[4];
    load_16_halves(d, scale);
    load_16_halves(dmin, minimum);
    UNROLL
    for (int w = 0; w < 4; w++)
        minimum[w] = vnegq_f32(minimum[w]);
    UNROLL
    for (int s = 0; s < 8; s++) {
        const uint8x16_t lows = vld1q_u8(small[s]);
        store_16_floats(out[s].d, with_top(nibbles(false, lows), top[s / 2], s % 2 ? 0 : 4), scale);
        store_16_floats(out[s].m, with_top(nibbles(true, lows), top[s / 2], s % 2 ? -2 : 2), minimum);
    }
}

static void scales_Q4_K(const uint8_t *units, int32_t n, packed_scales *out)
{
    const puna_panel_q4_k *unit = (const puna_panel_q4_k *)units;
    for (int32_t b = 0; b < n; b += 8, unit++)
        scales_k(unit->small, unit->top, unit->d, unit->dmin, out + b);
}

static void scales_Q5_K(const uint8_t *units, int32_t n, packed_scales *out)
{
    const puna_panel_q5_k *unit = (const puna_panel_q5_k *)units;
    for (int32_t b = 0; b < n; b += 8, unit++)
        scales_k(unit->small, unit->top, unit->d, unit->dmin, out + b);
}

/* d: of the first 16 values of each 32, m: of the others. */
static void scales_Q6_K(const uint8_t *units, int32_t n, packed_scales *out)
{
    const puna_panel_q6_k *unit = (const puna_panel_q6_k *)units;
    for (int32_t b = 0; b < n; b += 8, unit++) {
        float32x4_t d[4];
        load_16_halves(unit->d, d);
        for (int s = 0; s < 8; s++) {
            store_16_floats(out[b + s].d, vld1q_s8(unit->scales[2 * s]), d);
            store_16_floats(out[b + s].m, vld1q_s8(unit->scales[2 * s + 1]), d);
        }
    }
}

static void scales_IQ4_XS(const uint8_t *units, int32_t n, packed_scales *out)
{
    const puna_panel_iq4_xs *unit = (const puna_panel_iq4_xs *)units;
    for (int32_t b = 0; b < n; b += 8, unit++) {
        float32x4_t d[4];
        load_16_halves(unit->d, d);
        UNROLL
        for (int s = 0; s < 8; s++) {
            const uint8x16_t low = nibbles(s % 2, vld1q_u8(unit->scales[s / 2]));
            const int8x16_t scale = with_top(low, unit->top[s / 4], 4 - s % 4 * 2);
            store_16_floats(out[b + s].d, vsubq_s8(scale, vdupq_n_s8(32)), d);
        }
    }
}

#define MICRO(format, T, micro, kind)                                                            \
    static void micro_##format##_##T(const packed_chunk *chunk, const uint8_t *act, size_t next, \
                                     float *sums)                                                \
    {                                                                                            \
        micro(DOT, kind, T, chunk, (strips){ act, next }, sums);                                 \
    }
#define KERNEL(format, micro, kind, layout) \
    MICRO(format, 1, micro, kind)           \
    MICRO(format, 2, micro, kind)           \
    MICRO(format, 3, micro, kind)           \
    MICRO(format, 4, micro, kind)           \
    PACKED_ROW(format, 8, puna_panel_##layout)

K_FORMATS(KERNEL)
