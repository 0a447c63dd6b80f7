/* packed_codes.h - codes of packed weights from the bytes of their panels, for every encoding. Only
 * packed_*_neon.c and packed_*_i8mm.c include it. */
#ifndef PUNA_BACKEND_CPU_ARM_PACKED_CODES_H
#define PUNA_BACKEND_CPU_ARM_PACKED_CODES_H

#include "backend/cpu/arm/neon.h"
#include "backend/cpu/pack.h"
#include "backend/cpu/table.h"

enum { LANE_BYTES = sizeof(puna_lanes) };

/* Where the codes of a block lie. SPLIT: lanes 0-3 in low nibbles, 4-7 in high ones. */
typedef enum code_kind {
    SPLIT_4,
    SPLIT_5,
    SPLIT_IQ4,
    SPLIT_E2M1,
    WHOLE_8,
    NIBBLE_4,
    NIBBLE_5,
    NIBBLE_6
} code_kind;

typedef struct code_place {
    const uint8_t *low; /* lane 0 */
    const uint8_t *top; /* fifth and sixth bits */
    bool high;          /* NIBBLE: which */
    int shift;          /* NIBBLE_5 and _6: what brings the top bits to bit 4; a constant for _6 */
} code_place;

/* Whose bytes a vector holds: 4 rows by one lane, or (SPLIT) 2 rows by that lane and the next. */
typedef enum code_shape { ROWS_4, ROWS_FIRST, ROWS_LAST } code_shape;

INLINE uint8x16_t code_bytes(code_shape shape, const uint8_t *lane, size_t next)
{
    const uint32x4_t a = vreinterpretq_u32_u8(vld1q_u8(lane));
    if (shape == ROWS_4)
        return vreinterpretq_u8_u32(a);
    const uint32x4_t b = vreinterpretq_u32_u8(vld1q_u8(lane + next));
    return vreinterpretq_u8_u32(shape == ROWS_FIRST ? vzip1q_u32(a, b) : vzip2q_u32(a, b));
}

INLINE uint8x16_t nibbles(bool high, uint8x16_t bytes)
{
    return high ? vshrq_n_u8(bytes, 4) : vandq_u8(bytes, vdupq_n_u8(15));
}

/* bytes << by, or >> -by, by constants: a vector for each would not fit into registers. */
INLINE uint8x16_t shift_bytes(uint8x16_t bytes, int by)
{
    switch (by) {
    case 4:
        return vshlq_n_u8(bytes, 4);
    case 3:
        return vshlq_n_u8(bytes, 3);
    case 2:
        return vshlq_n_u8(bytes, 2);
    case 1:
        return vshlq_n_u8(bytes, 1);
    case -1:
        return vshrq_n_u8(bytes, 1);
    case -2:
        return vshrq_n_u8(bytes, 2);
    case -3:
        return vshrq_n_u8(bytes, 3);
    default:
        return bytes;
    }
}

/* The fifth bit of lane g, and of the next one, from its bit of a byte to bit 4. */
INLINE uint8x16_t split_fifth(code_shape shape, uint8x16_t bytes, int g)
{
    if (shape == ROWS_4)
        return shift_bytes(bytes, 4 - g);
    const int8x8_t first = vdup_n_s8((int8_t)(4 - g)), second = vdup_n_s8((int8_t)(3 - g));
    const int8x8_t both =
        vreinterpret_s8_s32(vzip1_s32(vreinterpret_s32_s8(first), vreinterpret_s32_s8(second)));
    return vshlq_u8(bytes, vcombine_s8(both, both));
}

/* Codes of lane g of four rows from byte `at` of the lanes on. */
INLINE int8x16_t codes_at(code_kind kind, code_shape shape, const code_place *p, int g, size_t at)
{
    const bool split = kind <= SPLIT_E2M1;
    const size_t lane = LANE_BYTES * (size_t)(split ? g % 4 : g);
    const uint8x16_t bytes = code_bytes(shape, p->low + lane + at, LANE_BYTES);
    if (kind == WHOLE_8)
        return vreinterpretq_s8_u8(bytes);
    uint8x16_t codes = nibbles(split ? g >= 4 : p->high, bytes);
    if (kind == SPLIT_IQ4 || kind == SPLIT_E2M1)
        return vqtbl1q_s8(vld1q_s8(kind == SPLIT_IQ4 ? puna_iq4_values : puna_e2m1_doubled), codes);
    if (kind == SPLIT_5) {
        const uint8x16_t top = code_bytes(shape, p->top + at, 0);
        codes = vbslq_u8(vdupq_n_u8(0x10), split_fifth(shape, top, g), codes);
    } else if (kind == NIBBLE_5) {
        const uint8x16_t top = vld1q_u8(p->top + lane + at);
        codes = vbslq_u8(vdupq_n_u8(0x10), vshlq_u8(top, vdupq_n_s8((int8_t)p->shift)), codes);
    } else if (kind == NIBBLE_6) {
        const uint8x16_t top = vld1q_u8(p->top + lane + at);
        codes = vbslq_u8(vdupq_n_u8(0x30), shift_bytes(top, p->shift), codes);
    }
    return vreinterpretq_s8_u8(codes);
}

#endif
