/* packed_micro.h - how the kernels of packed weights multiply: how products are added, and how sums
 * become results. Only packed_*_neon.c and packed_*_i8mm.c include it.
 *
 * A vector holds 4 rows by the 4 codes of a lane. sdot multiplies it with one lane of activations
 * for each of its rows: 16 products, added to 4 sums of 32 bits. smmla does so for 2 rows by 8
 * codes and 2 rows of activations, 32 products: two lanes are zipped to make its operands. Counted in
 * instructions, two strips of 4 rows at once pay that back, and fewer do not.
 *
 * Codes are signed or 0..63; what is to be taken from every code is where the sums start. Sums of a
 * block are exact, and a row of activations gets them added in the order of its blocks with the
 * same roundings, whatever is computed beside it and whichever instruction made them. */
#ifndef PUNA_BACKEND_CPU_ARM_PACKED_MICRO_H
#define PUNA_BACKEND_CPU_ARM_PACKED_MICRO_H

#include "backend/cpu/arm/packed_codes.h"
#include "backend/cpu/arm/packed_neon.h"

/* DOT, one strip: sum[i][w] holds activation i and the rows 4w .. 4w + 3. PAIRS, two strips of 4 rows: sum[i][w]
 * holds the activations of pair i / 2 and two of these rows, the first two where i is even: r0 a0,
 * r0 a1, r1 a0, r1 a1. */
typedef enum product { DOT, PAIRS } product;

/* The activations of a block. */
typedef struct strips {
    const uint8_t *act;
    size_t next; /* PAIRS: bytes from the first strip to the second */
} strips;

/* ---- products --------------------------------------------------------------------------- */

/* [sums of rows in one vector][groups of four rows]. */
typedef int32x4_t int_sums[2 * PUNA_STRIP_ROWS][4];
typedef float32x4_t float_sums[2 * PUNA_STRIP_ROWS][4];

INLINE int strips_of(product how)
{
    return how == PAIRS ? 2 : 1;
}

/* Groups of four rows whose sums fit into registers for T activations. */
INLINE int groups_of(int T)
{
    return T > 2 ? 2 : 4;
}

/* factor times minus the sums of the activations' codes, of both halves of a block. */
INLINE int32x4_t starts(int T, const uint8_t *act, int factor)
{
    const uint8_t *sums = act + puna_strip_sums(T); /* 16 bytes from any row's on are in the strip */
    const int32x4_t first = load_ints(sums), last = T > 2 ? load_ints(sums + 16) : first;
    return vmulq_n_s32(vpaddq_s32(first, last), factor);
}

INLINE void start_sums(product how, int T, int32x4_t start, int32x4_t sum[][4])
{
    UNROLL
    for (int i = 0; i < T; i++) {
        UNROLL
        for (int w = 0; w < groups_of(T); w++)
            sum[i][w] = how == DOT ? dup_lane(start, i) : dup_pair(start, i / 2);
    }
}

/* Sums of a block begin at -offset times the sums of the activations' codes. */
INLINE void start_block(product how, int T, strips a, int offset, int_sums sum)
{
    const int32x4_t zero = vdupq_n_s32(0);
    UNROLL
    for (int i = 0; i < strips_of(how); i++)
        start_sums(how, T, offset ? starts(T, a.act + (i ? a.next : 0), offset) : zero, sum + i * T);
}

/* Lane g of the activations. */
INLINE void add_dot(int T, const uint8_t *act, int g, int w, int8x16_t codes, int32x4_t sum[][4])
{
    UNROLL
    for (int i = 0; i < T; i++) {
        const int at = g * T + i;
        sum[i][w] = dot_lane(sum[i][w], codes, load_codes(act + 16 * (at / 4)), at % 4);
    }
}

/* Lanes g and g + 1 of two of four activations. */
INLINE int8x16_t act_pair(const uint8_t *act, int g, int pair)
{
    const int32x4_t a = load_ints(act + 16 * g), b = load_ints(act + 16 * g + 16);
    return vreinterpretq_s8_s32(pair ? vzip2q_s32(a, b) : vzip1q_s32(a, b));
}

/* Lanes g and g + 1 of two of four rows. Nibbles of one byte that both belong to them are zipped
 * together, before they are separated. */
INLINE int8x16_t code_pair(code_kind kind, const code_place *p, int g, size_t at, bool last)
{
    if (kind <= SPLIT_E2M1)
        return codes_at(kind, last ? ROWS_LAST : ROWS_FIRST, p, g, at);
    const int32x4_t a = vreinterpretq_s32_s8(codes_at(kind, ROWS_4, p, g, at)),
                    b = vreinterpretq_s32_s8(codes_at(kind, ROWS_4, p, g + 1, at));
    return vreinterpretq_s8_s32(last ? vzip2q_s32(a, b) : vzip1q_s32(a, b));
}

INLINE void add_pairs(const uint8_t *act, int g, int w, const int8x16_t codes[2], int32x4_t sum[][4])
{
    UNROLL
    for (int i = 0; i < 4; i++)
        sum[i][w] = mul_pairs(sum[i][w], codes[i % 2], act_pair(act, g, i / 2));
}

/* Products of the lanes [first, first + n) of a block. */
INLINE void add_products(product how, code_kind kind, int T, const code_place *p, strips a, int first, int n,
                         int_sums sum)
{
    const int step = how == DOT ? 1 : 2;
    UNROLL
    for (int k = 0; k < n / step; k++) {
        /* Both nibbles of a byte one after the other. */
        const int g = kind <= SPLIT_E2M1 ? k % 2 * 4 + k / 2 * step : first + k * step;
        UNROLL
        for (int w = 0; w < groups_of(T); w++) {
            const size_t at = 16 * (size_t)w;
            if (how == DOT) {
                add_dot(T, a.act, g, w, codes_at(kind, ROWS_4, p, g, at), sum);
            } else {
                const int8x16_t codes[2] = { code_pair(kind, p, g, at, false),
                                             code_pair(kind, p, g, at, true) };
                add_pairs(a.act, g, w, codes, sum);
                add_pairs(a.act + a.next, g, w, codes, sum + PUNA_STRIP_ROWS);
            }
        }
    }
}

/* ---- results ---------------------------------------------------------------------------- */

/* v times a number of each activation that is in sum[i]; of: 16 bytes, which are in the strip for fewer
 * than 4 rows too. */
INLINE float32x4_t mul_act(product how, float32x4_t v, float32x4_t of, int i)
{
    if (how == DOT)
        return mul_lane(v, of, i);
    return vmulq_f32(v, vreinterpretq_f32_s32(dup_pair(vreinterpretq_s32_f32(of), i / 2)));
}

INLINE float32x4_t fma_act(product how, float32x4_t sum, float32x4_t v, float32x4_t of, int i)
{
    if (how == DOT)
        return fma_lane(sum, v, of, i);
    return vfmaq_f32(sum, v, vreinterpretq_f32_s32(dup_pair(vreinterpretq_s32_f32(of), i / 2)));
}

/* A number of each of four rows beside the sums of sum[i]. */
INLINE float32x4_t beside_rows(product how, const float *of, int i)
{
    const float32x4_t v = vld1q_f32(of);
    return how == DOT ? v : i % 2 ? vzip2q_f32(v, v) : vzip1q_f32(v, v);
}

/* acc += d * (activations' d * sums) + m * activations' s; scales and minima of the first row. */
INLINE void add_scaled(product how, int T, strips a, const float *scales, const float *minima, int_sums sum,
                       float_sums acc)
{
    UNROLL
    for (int i = 0; i < T * strips_of(how); i++) {
        const uint8_t *act = a.act + (i < T ? 0 : a.next);
        const float32x4_t d = load_floats(act + puna_strip_d(T)), s = load_floats(act + puna_strip_s(T));
        UNROLL
        for (int w = 0; w < groups_of(T); w++) {
            const float32x4_t scaled = mul_act(how, vcvtq_f32_s32(sum[i][w]), d, i % T);
            acc[i][w] = vfmaq_f32(acc[i][w], beside_rows(how, scales + 4 * w, i), scaled);
            if (minima)
                acc[i][w] = fma_act(how, acc[i][w], beside_rows(how, minima + 4 * w, i), s, i % T);
        }
    }
}

/* Sums of 16 rows for each activation, of which the first groups_of(T) groups are taken. */
INLINE void load_acc(product how, int T, const float *from, float_sums acc)
{
    UNROLL
    for (int i = 0; i < T * strips_of(how); i++) {
        UNROLL
        for (int w = 0; w < groups_of(T); w++) {
            const float *at = from + PUNA_PANEL_ROWS * (how == DOT ? i : i / 2 * 2) + 4 * w;
            const float32x4_t v = vld1q_f32(at), next = how == DOT ? v : vld1q_f32(at + PUNA_PANEL_ROWS);
            acc[i][w] = how == DOT ? v : i % 2 ? vzip2q_f32(v, next) : vzip1q_f32(v, next);
        }
    }
}

INLINE void store_acc(product how, int T, float *to, float_sums acc)
{
    UNROLL
    for (int i = 0; i < T * strips_of(how); i++) {
        UNROLL
        for (int w = 0; w < groups_of(T); w++) {
            const float32x4_t a = acc[i / 2 * 2][w], b = acc[how == DOT ? i : i / 2 * 2 + 1][w];
            const float32x4_t v = how == DOT ? b : i % 2 ? vuzp2q_f32(a, b) : vuzp1q_f32(a, b);
            vst1q_f32(to + PUNA_PANEL_ROWS * i + 4 * w, v);
        }
    }
}

#endif
