/* blocks.h - the block of every encoding as it lies in a GGUF file. All members are bytes, so a
 * block may start anywhere; multi-byte members are little-endian and read with half.h's loads.
 * Names: d is the (16-bit) scale, m the minimum, qs the codes or their low bits, qh their high
 * bits. The value that a block stands for is defined by its dequantise function. */
#ifndef PUNA_QUANT_BLOCKS_H
#define PUNA_QUANT_BLOCKS_H

#include <assert.h>
#include <stdint.h>

#define PUNA_SUPERBLOCK 256 /* values in a block of the K, IQ and TQ families */

/* One integer or float of a plain type. */
typedef struct puna_block_1 { uint8_t v[1]; } puna_block_1;
typedef struct puna_block_2 { uint8_t v[2]; } puna_block_2;
typedef struct puna_block_4 { uint8_t v[4]; } puna_block_4;
typedef struct puna_block_8 { uint8_t v[8]; } puna_block_8;

/* 1 and 2 bits with one scale: bit or pair i counts from the lowest bit of the first byte. */
typedef struct puna_block_q1_0 {
    uint8_t d[2], qs[16]; /* 128 values */
} puna_block_q1_0;
typedef struct puna_block_q2_0 {
    uint8_t d[2], qs[16]; /* 64 values */
} puna_block_q2_0;

/* 32 values. Low nibbles of qs are the first 16; bit i of qh is bit 4 of value i. */
typedef struct puna_block_q4_0 {
    uint8_t d[2], qs[16];
} puna_block_q4_0;
typedef struct puna_block_q4_1 {
    uint8_t d[2], m[2], qs[16];
} puna_block_q4_1;
typedef struct puna_block_q5_0 {
    uint8_t d[2], qh[4], qs[16];
} puna_block_q5_0;
typedef struct puna_block_q5_1 {
    uint8_t d[2], m[2], qh[4], qs[16];
} puna_block_q5_1;
typedef struct puna_block_q8_0 {
    uint8_t d[2];
    int8_t qs[32];
} puna_block_q8_0;
typedef struct puna_block_q8_1 {
    uint8_t d[2], s[2]; /* s = d * sum of qs; until 2023 both were floats, in 40 bytes */
    int8_t qs[32];
} puna_block_q8_1;

/* K types: 256 values in sub-blocks of 16 or 32 with small scales of their own. */
typedef struct puna_block_q2_k {
    uint8_t scales[16]; /* low nibble scale, high nibble minimum, of 16 values */
    uint8_t qs[64];
    uint8_t d[2], dmin[2];
} puna_block_q2_k;
typedef struct puna_block_q3_k {
    uint8_t hmask[32]; /* bit 2 of the codes */
    uint8_t qs[64];
    uint8_t scales[12]; /* 16 of 6 bits, see puna_q3_k_scales */
    uint8_t d[2];
} puna_block_q3_k;
typedef struct puna_block_q4_k {
    uint8_t d[2], dmin[2];
    uint8_t scales[12]; /* 8 scales and 8 minima of 6 bits, see puna_q4_k_scales */
    uint8_t qs[128];
} puna_block_q4_k;
typedef struct puna_block_q5_k {
    uint8_t d[2], dmin[2];
    uint8_t scales[12]; /* as q4_k */
    uint8_t qh[32];
    uint8_t qs[128];
} puna_block_q5_k;
typedef struct puna_block_q6_k {
    uint8_t ql[128], qh[64];
    int8_t scales[16];
    uint8_t d[2];
} puna_block_q6_k;
typedef struct puna_block_q8_k {
    uint8_t d[4]; /* a float */
    int8_t qs[256];
    uint8_t sums[32]; /* int16 sums of 16 codes each */
} puna_block_q8_k;

/* IQ types: codes are indices into the codebooks of iquant_tables.h. */
typedef struct puna_block_iq1_s {
    uint8_t d[2], qs[32], qh[16]; /* qh: u16 per 32: four 3-bit index tops, scale, shift sign */
} puna_block_iq1_s;
typedef struct puna_block_iq1_m {
    uint8_t qs[32], qh[16], scales[8]; /* scales: u16 x 4: four 3-bit scales, 4 bits of d */
} puna_block_iq1_m;
typedef struct puna_block_iq2_xxs {
    uint8_t d[2], qs[64]; /* per 32: four indices, then u32: four 7-bit signs, 4-bit scale */
} puna_block_iq2_xxs;
typedef struct puna_block_iq2_xs {
    uint8_t d[2], qs[64], scales[8]; /* qs: u16 per 8: 9-bit index, 7-bit signs */
} puna_block_iq2_xs;
typedef struct puna_block_iq2_s {
    uint8_t d[2], qs[32], signs[32], qh[8], scales[8];
} puna_block_iq2_s;
typedef struct puna_block_iq3_xxs {
    uint8_t d[2], qs[64], signs[32]; /* signs: u32 per 32: four 7-bit signs, 4-bit scale */
} puna_block_iq3_xxs;
typedef struct puna_block_iq3_s {
    uint8_t d[2], qs[64], qh[8], signs[32], scales[4];
} puna_block_iq3_s;
typedef struct puna_block_iq4_nl {
    uint8_t d[2], qs[16]; /* 32 values, nibbles as q4_0 */
} puna_block_iq4_nl;
typedef struct puna_block_iq4_xs {
    uint8_t d[2], scales_h[2], scales_l[4], qs[128]; /* 6-bit scales of 32 values, less 32 */
} puna_block_iq4_xs;

/* Ternary: 256 values of -1, 0, 1 times d; base 3 in 8 bits, or 2 bits. */
typedef struct puna_block_tq1_0 {
    uint8_t qs[48], qh[4], d[2];
} puna_block_tq1_0;
typedef struct puna_block_tq2_0 {
    uint8_t qs[64], d[2];
} puna_block_tq2_0;

/* 4-bit floats (E2M1). */
typedef struct puna_block_mxfp4 {
    uint8_t e, qs[16]; /* 32 values; e: power of two, E8M0 */
} puna_block_mxfp4;
typedef struct puna_block_nvfp4 {
    uint8_t d[4], qs[32]; /* 64 values; d: unsigned E4M3, one for 16 values */
} puna_block_nvfp4;

static_assert(sizeof(puna_block_q1_0) == 18, "q1_0");
static_assert(sizeof(puna_block_q2_0) == 18, "q2_0");
static_assert(sizeof(puna_block_q4_0) == 18, "q4_0");
static_assert(sizeof(puna_block_q4_1) == 20, "q4_1");
static_assert(sizeof(puna_block_q5_0) == 22, "q5_0");
static_assert(sizeof(puna_block_q5_1) == 24, "q5_1");
static_assert(sizeof(puna_block_q8_0) == 34, "q8_0");
static_assert(sizeof(puna_block_q8_1) == 36, "q8_1");
static_assert(sizeof(puna_block_q2_k) == 84, "q2_k");
static_assert(sizeof(puna_block_q3_k) == 110, "q3_k");
static_assert(sizeof(puna_block_q4_k) == 144, "q4_k");
static_assert(sizeof(puna_block_q5_k) == 176, "q5_k");
static_assert(sizeof(puna_block_q6_k) == 210, "q6_k");
static_assert(sizeof(puna_block_q8_k) == 292, "q8_k");
static_assert(sizeof(puna_block_iq1_s) == 50, "iq1_s");
static_assert(sizeof(puna_block_iq1_m) == 56, "iq1_m");
static_assert(sizeof(puna_block_iq2_xxs) == 66, "iq2_xxs");
static_assert(sizeof(puna_block_iq2_xs) == 74, "iq2_xs");
static_assert(sizeof(puna_block_iq2_s) == 82, "iq2_s");
static_assert(sizeof(puna_block_iq3_xxs) == 98, "iq3_xxs");
static_assert(sizeof(puna_block_iq3_s) == 110, "iq3_s");
static_assert(sizeof(puna_block_iq4_nl) == 18, "iq4_nl");
static_assert(sizeof(puna_block_iq4_xs) == 136, "iq4_xs");
static_assert(sizeof(puna_block_tq1_0) == 54, "tq1_0");
static_assert(sizeof(puna_block_tq2_0) == 66, "tq2_0");
static_assert(sizeof(puna_block_mxfp4) == 17, "mxfp4");
static_assert(sizeof(puna_block_nvfp4) == 36, "nvfp4");

/* The 16 scales of a q3_k block, -32..31. Low nibbles: byte j holds scales j and j + 8; the top
 * two bits of scale j lie in byte 8 + j % 4 at bit 2 * (j / 4). */
static inline void puna_q3_k_scales(const uint8_t packed[12], int8_t scales[16])
{
    for (int j = 0; j < 16; j++) {
        const int low = packed[j % 8] >> (j / 8 * 4) & 15;
        const int high = packed[8 + j % 4] >> (j / 4 * 2) & 3;
        scales[j] = (int8_t)((low | high << 4) - 32);
    }
}

/* The 8 scales and 8 minima (0..63) of a q4_k or q5_k block. The first four of each fill the low
 * six bits of bytes 0-3 and 4-7; the others have their low nibbles in bytes 8-11 and their top
 * two bits above the first four. */
static inline void puna_q4_k_scales(const uint8_t packed[12], uint8_t scales[8], uint8_t minima[8])
{
    for (int j = 0; j < 4; j++) {
        scales[j] = packed[j] & 63;
        minima[j] = packed[j + 4] & 63;
        scales[j + 4] = (uint8_t)((packed[j + 8] & 15) | (packed[j] >> 6) << 4);
        minima[j + 4] = (uint8_t)(packed[j + 8] >> 4 | (packed[j + 4] >> 6) << 4);
    }
}

#endif
