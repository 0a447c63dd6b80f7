/* half.h - IEEE binary16 and bfloat16 to and from float, and little-endian loads and stores of
 * any alignment. Exact for subnormals and infinities; a NaN stays a (quiet) NaN; narrowing rounds
 * to nearest, ties to even. Inline: every module that reads scales or caches in 16 bits uses it. */
#ifndef PUNA_QUANT_HALF_H
#define PUNA_QUANT_HALF_H

#include <stdint.h>
#include <string.h>

#ifdef __F16C__
#include <immintrin.h>
#endif

static inline uint32_t puna_f32_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float puna_f32_make(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float puna_f16_to_f32(uint16_t half)
{
#ifdef __F16C__
    return _cvtsh_ss(half);
#else
    /* All cases are computed and one is chosen by masks, so that loops over this vectorise. */
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16, bits = (uint32_t)(half & 0x7fffu) << 13;
    /* A subnormal m * 2^-24: put m below a leading one of 2^-14 and take the one away. No float
     * here is subnormal, so flush-to-zero modes do not matter. */
    const uint32_t small = puna_f32_bits(puna_f32_make(bits | (127u - 14) << 23) - 0x1p-14f);
    const uint32_t other = bits + ((127u - 15) << 23) + (bits >= 0x0f800000u ? 112u << 23 : 0);
    const uint32_t quiet = bits > 0x0f800000u ? 0x400000u : 0;
    const uint32_t is_small = 0u - (uint32_t)(bits < 0x00800000u);
    const uint32_t magnitude = (small & is_small) | ((other | quiet) & ~is_small);
    return puna_f32_make(sign | magnitude);
#endif
}

static inline uint16_t puna_f32_to_f16(float value)
{
#ifdef __F16C__
    return (uint16_t)_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT);
#else
    uint32_t bits = puna_f32_bits(value);
    const uint32_t sign = bits >> 16 & 0x8000u;
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (bits >> 13 & 0x3ffu));
    if (bits >= 0x477ff000u) /* 65520, the middle between 65504 and the next power of two */
        return (uint16_t)(sign | 0x7c00u);
    if (bits < 0x38800000u) /* below 2^-14: adding 1/2 leaves the rounded multiple of 2^-24 */
        return (uint16_t)(sign | (puna_f32_bits(puna_f32_make(bits) + 0.5f) - 0x3f000000u));
    bits += 0xfffu + (bits >> 13 & 1u);
    return (uint16_t)(sign | (bits - 0x38000000u) >> 13);
#endif
}

static inline float puna_bf16_to_f32(uint16_t half)
{
    return puna_f32_make((uint32_t)half << 16);
}

static inline uint16_t puna_f32_to_bf16(float value)
{
    const uint32_t bits = puna_f32_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define PUNA_LITTLE16(v) __builtin_bswap16(v)
#define PUNA_LITTLE32(v) __builtin_bswap32(v)
#define PUNA_LITTLE64(v) __builtin_bswap64(v)
#else
#define PUNA_LITTLE16(v) (v)
#define PUNA_LITTLE32(v) (v)
#define PUNA_LITTLE64(v) (v)
#endif

static inline uint16_t puna_load_u16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return PUNA_LITTLE16(value);
}

static inline uint32_t puna_load_u32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return PUNA_LITTLE32(value);
}

static inline uint64_t puna_load_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return PUNA_LITTLE64(value);
}

static inline void puna_store_u16(uint8_t *at, uint16_t value)
{
    value = PUNA_LITTLE16(value);
    memcpy(at, &value, sizeof value);
}

static inline void puna_store_u32(uint8_t *at, uint32_t value)
{
    value = PUNA_LITTLE32(value);
    memcpy(at, &value, sizeof value);
}

static inline void puna_store_u64(uint8_t *at, uint64_t value)
{
    value = PUNA_LITTLE64(value);
    memcpy(at, &value, sizeof value);
}

static inline float puna_load_f16(const uint8_t *at)
{
    return puna_f16_to_f32(puna_load_u16(at));
}

static inline void puna_store_f16(uint8_t *at, float value)
{
    puna_store_u16(at, puna_f32_to_f16(value));
}

static inline float puna_load_f32(const uint8_t *at)
{
    return puna_f32_make(puna_load_u32(at));
}

static inline void puna_store_f32(uint8_t *at, float value)
{
    puna_store_u32(at, puna_f32_bits(value));
}

#endif
