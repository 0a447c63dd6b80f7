/* packed_classic_neon.c - packed weights with one scale for 32 values, with sdot. */
#include "backend/cpu/arm/packed_classic.h"

/* d in binary16 from byte `d` of a unit on, m behind it. */
INLINE void scales(const uint8_t *unit, int32_t n, packed_scales *out, size_t unit_bytes, size_t d,
                   bool minima)
{
    for (int32_t b = 0; b < n; b++, unit += unit_bytes) {
        UNROLL
        for (size_t r = 0; r < PUNA_PANEL_ROWS; r += 4) {
            vst1q_f32(out[b].d + r, halves_to_floats(unit + d + 2 * r));
            if (minima)
                vst1q_f32(out[b].m + r, halves_to_floats(unit + d + 2 * PUNA_PANEL_ROWS + 2 * r));
        }
    }
}

#define SCALES(format, layout, minima)                                                                \
    static void scales_##format(const uint8_t *units, int32_t n, packed_scales *out)                  \
    {                                                                                                 \
        scales(units, n, out, sizeof(puna_panel_##layout), offsetof(puna_panel_##layout, d), minima); \
    }
SCALES(Q4_0, q4_0, false)
SCALES(Q4_1, q4_1, true)
SCALES(Q5_0, q5_0, false)
SCALES(Q5_1, q5_1, true)
SCALES(Q8_0, q8_0, false)
SCALES(IQ4_NL, q4_0, false)

/* Exponents: 2^(e - 128), as puna_mxfp4_scale. */
static void scales_MXFP4(const uint8_t *units, int32_t n, packed_scales *out)
{
    const puna_panel_mxfp4 *unit = (const puna_panel_mxfp4 *)units;
    for (int32_t b = 0; b < n; b++, unit++)
        for (int r = 0; r < PUNA_PANEL_ROWS; r++)
            out[b].d[r] = puna_mxfp4_scale(unit->e[r]);
}

#define MICRO(format, T, kind, offset, minima, layout)                                           \
    static void micro_##format##_##T(const packed_chunk *chunk, const uint8_t *act, size_t next, \
                                     float *sums)                                                \
    {                                                                                            \
        micro_classic(DOT, kind, offset, minima, T, sizeof(puna_panel_##layout), chunk,          \
                      (strips){ act, next }, sums);                                              \
    }
#define KERNEL(format, ...)       \
    MICRO(format, 1, __VA_ARGS__) \
    MICRO(format, 2, __VA_ARGS__) \
    MICRO(format, 3, __VA_ARGS__) \
    MICRO(format, 4, __VA_ARGS__) \
    PACKED_KERNEL(format, __VA_ARGS__)
#define PACKED_KERNEL(format, kind, offset, minima, layout) PACKED_ROW(format, 1, puna_panel_##layout)

CLASSIC_FORMATS(KERNEL)
