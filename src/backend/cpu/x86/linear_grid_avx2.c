/* linear_grid_avx2.c - codebooks: indices of points of 8 values (IQ1, IQ2) or 4 (IQ3), with signs
 * and small odd scales beside them.
 *
 * A superblock is first made ready with whole vectors: indices as 16-bit words, signs as one byte
 * for 8 values, scales as words [of the first 16 of each 32 | of the last 16]. Look-ups are loads
 * that broadcast, merged by blends, which is faster than gathering on all processors that have
 * AVX2 only. Scales multiply the 16-bit sums of products (madd with the scale in the place of
 * ones). */
#include "backend/cpu/table.h"
#include "backend/cpu/x86/blocks_avx2.h"

typedef struct grid_parts {
    uint16_t index[64]; /* IQ2_XXS and IQ3_XXS use the bytes of the file */
    uint8_t signs[32];  /* bit j of byte g: value 8 g + j is negative; IQ1: 0xff or 1, the shift */
    __m256i scale;
    float d; /* for magnitudes that are integers */
} grid_parts;

/* 32 values: |value| and bytes with the sign of each. */
typedef struct signed_codes {
    __m256i magnitude, sign;
} signed_codes;

typedef void parts_fn(const uint8_t *superblock, grid_parts *p);
typedef signed_codes look_up_fn(const uint8_t *superblock, const grid_parts *p, int s);

/* ---- look-ups --------------------------------------------------------------------------- */

INLINE __m256i four_points(const uint64_t *grid, uint32_t i0, uint32_t i1, uint32_t i2, uint32_t i3)
{
    const __m256i low = _mm256_blend_epi32(_mm256_set1_epi64x((long long)grid[i0]),
                                           _mm256_set1_epi64x((long long)grid[i1]), 0x0c);
    const __m256i high = _mm256_blend_epi32(_mm256_set1_epi64x((long long)grid[i2]),
                                            _mm256_set1_epi64x((long long)grid[i3]), 0xc0);
    return _mm256_blend_epi32(low, high, 0xf0);
}

INLINE __m256i two_short_points(const uint32_t *grid, uint32_t i0, uint32_t i1)
{
    return _mm256_blend_epi32(_mm256_set1_epi32((int)grid[i0]), _mm256_set1_epi32((int)grid[i1]), 0xaa);
}

#define EIGHT_POINTS(grid, index)                                                                            \
    _mm256_blend_epi32(                                                                                      \
        _mm256_blend_epi32(two_short_points(grid, (index)[0], (index)[1]),                                   \
                           two_short_points(grid, (index)[2], (index)[3]), 0xcc),                            \
        _mm256_blend_epi32(two_short_points(grid, (index)[4], (index)[5]),                                   \
                           two_short_points(grid, (index)[6], (index)[7]), 0xcc),                            \
        0xf0)

/* Four bytes, each to the 8 bytes of its values. */
INLINE __m256i spread(const uint8_t *bytes)
{
    return _mm256_shuffle_epi8(
        _mm256_set1_epi32(load_i32(bytes)),
        _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303));
}

/* -1 or 1 for each of 32 sign bits. */
INLINE __m256i spread_signs(const uint8_t *signs)
{
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
    const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread(signs), bit), bit);
    return _mm256_or_si256(set, _mm256_set1_epi8(1));
}

INLINE void store_256(void *at, __m256i v)
{
    _mm256_storeu_si256((__m256i *)at, v);
}

/* 16 bytes, each in the low byte of a word. */
INLINE __m256i widen(const uint8_t *bytes)
{
    return _mm256_cvtepu8_epi16(load_128(bytes));
}

/* ---- signs and scales ------------------------------------------------------------------- */

/* The eighth sign of each byte of seven makes their number even. */
INLINE __m256i with_eighth_signs(__m256i sevens)
{
    const char odd = (char)0x80;
    const __m256i parity = _mm256_setr_epi8(0, odd, odd, 0, odd, 0, 0, odd, odd, 0, 0, odd, 0, odd, odd, 0, 0, odd,
                                            odd, 0, odd, 0, 0, odd, odd, 0, 0, odd, 0, odd, odd, 0);
    const __m256i low = _mm256_shuffle_epi8(parity, low_nibbles(sevens)),
                  high = _mm256_shuffle_epi8(parity, high_nibbles(sevens));
    return _mm256_or_si256(sevens, _mm256_xor_si256(low, high));
}

/* Eight words of four times seven signs and a scale of 4 bits. */
INLINE void parts_of_words(__m256i words, grid_parts *p)
{
    const __m256i mask = _mm256_set1_epi32(0x7f);
    __m256i signs = _mm256_and_si256(words, mask);
    UNROLL
    for (int g = 1; g < 4; g++)
        signs = _mm256_or_si256(
            signs, _mm256_and_si256(_mm256_slli_epi32(words, g), _mm256_slli_epi32(mask, 8 * g)));
    store_256(p->signs, with_eighth_signs(signs));
    const __m256i scale = _mm256_srli_epi32(words, 28);
    const __m256i odd = _mm256_add_epi32(_mm256_add_epi32(scale, scale), _mm256_set1_epi32(1));
    p->scale = _mm256_permute4x64_epi64(_mm256_packus_epi32(odd, odd), 0x88);
}

/* Twice 8 nibbles plus one, as words of the two lanes. */
INLINE __m256i odd_scales(__m128i first, __m128i last)
{
    const __m256i scale =
        _mm256_and_si256(_mm256_set_m128i(_mm_cvtepu8_epi16(last), _mm_cvtepu8_epi16(first)),
                         _mm256_set1_epi16(15));
    return _mm256_add_epi16(_mm256_add_epi16(scale, scale), _mm256_set1_epi16(1));
}

/* Eight bytes: the scale of the first 16 below that of the last. */
INLINE __m256i nibble_scales(const uint8_t *bytes)
{
    const __m128i packed = _mm_loadl_epi64((const __m128i *)(const void *)bytes);
    return odd_scales(packed, _mm_srli_epi16(packed, 4));
}

/* The scales of the 32 values s for 16-bit sums. */
INLINE __m256i scales_at(__m256i scale, int s)
{
    return _mm256_shuffle_epi8(scale, _mm256_set1_epi16((short)(2 * s | (2 * s + 1) << 8)));
}

/* ---- formats ---------------------------------------------------------------------------- */

INLINE void parts_iq2_xxs(const uint8_t *superblock, grid_parts *p)
{
    const puna_block_iq2_xxs *w = (const puna_block_iq2_xxs *)superblock;
    const __m256 v0 = _mm256_castsi256_ps(load_256(w->qs)), v1 = _mm256_castsi256_ps(load_256(w->qs + 32));
    const __m256i odd = _mm256_castps_si256(_mm256_shuffle_ps(v0, v1, 0xdd));
    parts_of_words(_mm256_permute4x64_epi64(odd, 0xd8), p);
    p->d = puna_load_f16(w->d) * 0.125f;
}

INLINE signed_codes look_up_iq2_xxs(const uint8_t *superblock, const grid_parts *p, int s)
{
    const uint8_t *i = ((const puna_block_iq2_xxs *)superblock)->qs + 8 * s;
    return (signed_codes){ four_points(puna_iq2_xxs_grid, i[0], i[1], i[2], i[3]),
                           spread_signs(p->signs + 4 * s) };
}

INLINE void parts_iq2_xs(const uint8_t *superblock, grid_parts *p)
{
    const puna_block_iq2_xs *w = (const puna_block_iq2_xs *)superblock;
    const __m256i v0 = load_256(w->qs), v1 = load_256(w->qs + 32), mask = _mm256_set1_epi16(511);
    store_256(p->index, _mm256_and_si256(v0, mask));
    store_256(p->index + 16, _mm256_and_si256(v1, mask));
    const __m256i sevens = _mm256_packus_epi16(_mm256_srli_epi16(v0, 9), _mm256_srli_epi16(v1, 9));
    store_256(p->signs, with_eighth_signs(_mm256_permute4x64_epi64(sevens, 0xd8)));
    p->scale = nibble_scales(w->scales);
    p->d = puna_load_f16(w->d) * 0.125f;
}

INLINE signed_codes look_up_iq2_xs(const uint8_t *superblock, const grid_parts *p, int s)
{
    const uint16_t *i = p->index + 4 * s;
    (void)superblock;
    return (signed_codes){ four_points(puna_iq2_xs_grid, i[0], i[1], i[2], i[3]), spread_signs(p->signs + 4 * s) };
}

/* Indices whose high bits are fields of bytes: each byte goes to the words of its fields, times the
 * power of two that brings a field above the low byte. */
INLINE void store_indices(uint16_t *index, const uint8_t *low, __m256i high, __m256i power, int mask)
{
    const __m256i above = _mm256_and_si256(_mm256_mullo_epi16(high, power), _mm256_set1_epi16((short)mask));
    store_256(index, _mm256_or_si256(widen(low), above));
}

INLINE void parts_iq2_s(const uint8_t *superblock, grid_parts *p)
{
    const puna_block_iq2_s *w = (const puna_block_iq2_s *)superblock;
    /* Two bits of four in each byte, byte g / 4 to word g. */
    const __m256i power = _mm256_set1_epi64x(0x0004001000400100);
    const __m256i order = _mm256_setr_epi64x((long long)0x8000800080008000, (long long)0x8001800180018001,
                                             (long long)0x8002800280028002, (long long)0x8003800380038003);
    UNROLL
    for (int k = 0; k < 2; k++) {
        const __m256i high = _mm256_shuffle_epi8(_mm256_set1_epi32(load_i32(w->qh + 4 * k)), order);
        store_indices(p->index + 16 * k, w->qs + 16 * k, high, power, 0x300);
    }
    store_256(p->signs, load_256(w->signs));
    p->scale = nibble_scales(w->scales);
    p->d = puna_load_f16(w->d) * 0.125f;
}

INLINE signed_codes look_up_iq2_s(const uint8_t *superblock, const grid_parts *p, int s)
{
    const uint16_t *i = p->index + 4 * s;
    (void)superblock;
    return (signed_codes){ four_points(puna_iq2_s_grid, i[0], i[1], i[2], i[3]), spread_signs(p->signs + 4 * s) };
}

INLINE void parts_iq3_xxs(const uint8_t *superblock, grid_parts *p)
{
    const puna_block_iq3_xxs *w = (const puna_block_iq3_xxs *)superblock;
    parts_of_words(load_256(w->signs), p);
    p->d = puna_load_f16(w->d) * 0.25f;
}

INLINE signed_codes look_up_iq3_xxs(const uint8_t *superblock, const grid_parts *p, int s)
{
    const uint8_t *i = ((const puna_block_iq3_xxs *)superblock)->qs + 8 * s;
    return (signed_codes){ EIGHT_POINTS(puna_iq3_xxs_grid, i), spread_signs(p->signs + 4 * s) };
}

INLINE void parts_iq3_s(const uint8_t *superblock, grid_parts *p)
{
    const puna_block_iq3_s *w = (const puna_block_iq3_s *)superblock;
    /* One bit of eight in each byte. */
    const __m256i power = _mm256_broadcastsi128_si256(_mm_setr_epi16(256, 128, 64, 32, 16, 8, 4, 2));
    UNROLL
    for (int k = 0; k < 4; k++) {
        const __m256i high = _mm256_set_m128i(_mm_set1_epi16(w->qh[2 * k + 1]), _mm_set1_epi16(w->qh[2 * k]));
        store_indices(p->index + 16 * k, w->qs + 16 * k, high, power, 0x100);
    }
    const __m128i packed = _mm_cvtsi32_si128(load_i32(w->scales));
    const __m128i both = _mm_unpacklo_epi8(packed, _mm_srli_epi16(packed, 4));
    p->scale = odd_scales(both, both);
    p->d = puna_load_f16(w->d);
}

INLINE signed_codes look_up_iq3_s(const uint8_t *superblock, const grid_parts *p, int s)
{
    const uint16_t *i = p->index + 8 * s;
    return (signed_codes){ EIGHT_POINTS(puna_iq3_s_grid, i),
                           spread_signs(((const puna_block_iq3_s *)superblock)->signs + 4 * s) };
}

/* Points of -1, 0, 1 in eighths, shifted by one. */
INLINE signed_codes shifted(__m256i points, __m256i shift)
{
    const __m256i eighths = _mm256_and_si256(_mm256_slli_epi16(points, 3), _mm256_set1_epi8((char)0xf8));
    const __m256i codes = _mm256_add_epi8(eighths, shift);
    return (signed_codes){ _mm256_abs_epi8(codes), codes };
}

INLINE void parts_iq1_s(const uint8_t *superblock, grid_parts *p)
{
    const puna_block_iq1_s *w = (const puna_block_iq1_s *)superblock;
    /* A word has four fields of 3 bits: the first two lie in its low byte, the third over both, the
     * fourth in its high byte. */
    const __m256i power = _mm256_set1_epi64x(0x0080000400200100);
    const __m256i order = _mm256_setr_epi64x((long long)0x8001010080008000, (long long)0x8003030280028002,
                                             (long long)0x8005050480048004, (long long)0x8007070680068006);
    UNROLL
    for (int k = 0; k < 2; k++) {
        uint64_t words;
        memcpy(&words, w->qh + 8 * k, sizeof words);
        const __m256i high = _mm256_shuffle_epi8(_mm256_set1_epi64x((long long)words), order);
        store_indices(p->index + 16 * k, w->qs + 16 * k, high, power, 0x700);
    }
    const __m128i words = load_128(w->qh);
    const __m128i twice = _mm_and_si128(_mm_srli_epi16(words, 11), _mm_set1_epi16(14));
    p->scale = _mm256_broadcastsi128_si256(_mm_or_si128(twice, _mm_set1_epi16(1)));
    const __m128i down = _mm_or_si128(_mm_srai_epi16(words, 15), _mm_set1_epi8(1));
    store_256(p->signs, _mm256_set_m128i(_mm_unpackhi_epi16(down, down), _mm_unpacklo_epi16(down, down)));
    p->d = puna_load_f16(w->d) * 0.125f;
}

INLINE void parts_iq1_m(const uint8_t *superblock, grid_parts *p)
{
    const puna_block_iq1_m *w = (const puna_block_iq1_m *)superblock;
    /* Two nibbles in each byte: 3 bits of an index and the shift's sign. */
    const __m256i power = _mm256_set1_epi32(0x00100100), sign = _mm256_set1_epi16(0x800);
    const __m256i order = _mm256_setr_epi8(0, -128, 0, -128, 1, -128, 1, -128, 2, -128, 2, -128, 3, -128, 3, -128,
                                           4, -128, 4, -128, 5, -128, 5, -128, 6, -128, 6, -128, 7, -128, 7, -128);
    __m256i down[2];
    UNROLL
    for (int k = 0; k < 2; k++) {
        uint64_t bytes;
        memcpy(&bytes, w->qh + 8 * k, sizeof bytes);
        const __m256i high = _mm256_shuffle_epi8(_mm256_set1_epi64x((long long)bytes), order);
        store_indices(p->index + 16 * k, w->qs + 16 * k, high, power, 0x700);
        down[k] = _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_mullo_epi16(high, power), sign), sign);
    }
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(down[0], down[1]), 0xd8);
    store_256(p->signs, _mm256_or_si256(bytes, _mm256_set1_epi8(1)));
    /* Words hold four scales of 3 bits, two for each 32: a power of two brings them to the top. */
    const __m256i words = _mm256_shuffle_epi8(
        _mm256_broadcastq_epi64(_mm_loadl_epi64((const __m128i *)(const void *)w->scales)),
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7)));
    const __m256i to_top =
        _mm256_set_m128i(_mm_set1_epi32(0x00100400), _mm_set1_epi32(0x00802000));
    const __m256i twice =
        _mm256_slli_epi16(_mm256_srli_epi16(_mm256_mullo_epi16(words, to_top), 13), 1);
    p->scale = _mm256_or_si256(twice, _mm256_set1_epi16(1));
    p->d = puna_iq1_m_d(w) * 0.125f;
}

INLINE signed_codes look_up_iq1(const uint8_t *superblock, const grid_parts *p, int s)
{
    const uint16_t *i = p->index + 4 * s;
    (void)superblock;
    return shifted(four_points(puna_iq1_grid, i[0], i[1], i[2], i[3]), spread(p->signs + 4 * s));
}

/* ---- kernels ---------------------------------------------------------------------------- */

/* Superblocks that are made ready before their look-ups: what waits for a long chain of vectors
 * would fill the processor's queues. */
#define AHEAD 8

INLINE float dot_grid(const uint8_t *w, puna_act_view a, int32_t n, size_t bytes, parts_fn *prepare,
                      look_up_fn *look_up)
{
    grid_parts parts[AHEAD];
    float scales[AHEAD][8];
    __m256 even = _mm256_setzero_ps(), odd = even;
    for (int32_t first = 0; first < n; first += AHEAD, w += AHEAD * bytes) {
        const int32_t m = n - first < AHEAD ? n - first : AHEAD;
        for (int32_t i = 0; i < m; i++) {
            prepare(w + (size_t)i * bytes, &parts[i]);
            _mm256_storeu_ps(scales[i],
                             _mm256_mul_ps(_mm256_set1_ps(parts[i].d), _mm256_loadu_ps(a.d + 8 * (first + i))));
        }
        for (int32_t i = 0; i < m; i++) {
            const int8_t *q = a.q + (first + i) * PUNA_SUPERBLOCK;
            UNROLL
            for (int s = 0; s < 8; s++) {
                const signed_codes codes = look_up(w + (size_t)i * bytes, &parts[i], s);
                const __m256i x = _mm256_sign_epi8(load_256(q + 32 * s), codes.sign);
                const __m256i p = _mm256_madd_epi16(_mm256_maddubs_epi16(codes.magnitude, x),
                                                    scales_at(parts[i].scale, s));
                const __m256 d = _mm256_broadcast_ss(scales[i] + s);
                if (s % 2)
                    odd = _mm256_fmadd_ps(_mm256_cvtepi32_ps(p), d, odd);
                else
                    even = _mm256_fmadd_ps(_mm256_cvtepi32_ps(p), d, even);
            }
        }
    }
    return sum_8(_mm256_add_ps(even, odd));
}

/* offset: what the microkernel takes from a code. */
INLINE void read_grid(const uint8_t *superblock, __m256i codes[8], float scales[8][2], int offset,
                      parts_fn *prepare, look_up_fn *look_up)
{
    grid_parts parts;
    int16_t small[16];
    prepare(superblock, &parts);
    store_256(small, parts.scale);
    UNROLL
    for (int s = 0; s < 8; s++) {
        const signed_codes c = look_up(superblock, &parts, s);
        codes[s] = _mm256_add_epi8(_mm256_sign_epi8(c.magnitude, c.sign), _mm256_set1_epi8((char)offset));
        scales[s][0] = parts.d * (float)small[s];
        scales[s][1] = parts.d * (float)small[s + 8];
    }
}

#define KERNELS(format, name, look_up, offset, micro)                                                        \
    INLINE float dot_blocks_##name(const uint8_t *w, puna_act_view a, int32_t n)                             \
    {                                                                                                        \
        return dot_grid(w, a, n, sizeof(puna_block_##name), parts_##name, look_up);                          \
    }                                                                                                        \
    INLINE void read_##name(const uint8_t *block, __m256i codes[8], float scales[8][2])                      \
    {                                                                                                        \
        read_grid(block, codes, scales, offset, parts_##name, look_up);                                      \
    }                                                                                                        \
    BLOCK_KERNELS(format, name, 8, dot_blocks_##name, read_##name, micro)

KERNELS(IQ1_S, iq1_s, look_up_iq1, 16, puna_micro_q5_0_avx2)
KERNELS(IQ1_M, iq1_m, look_up_iq1, 16, puna_micro_5_bits_halves_avx2)
KERNELS(IQ2_XXS, iq2_xxs, look_up_iq2_xxs, 0, puna_micro_8_bits_avx2)
KERNELS(IQ2_XS, iq2_xs, look_up_iq2_xs, 0, puna_micro_8_bits_halves_avx2)
KERNELS(IQ2_S, iq2_s, look_up_iq2_s, 0, puna_micro_8_bits_halves_avx2)
KERNELS(IQ3_XXS, iq3_xxs, look_up_iq3_xxs, 0, puna_micro_8_bits_avx2)
KERNELS(IQ3_S, iq3_s, look_up_iq3_s, 16, puna_micro_q5_0_avx2)
