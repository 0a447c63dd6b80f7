/* linear_classic_avx2.c - the formats with one scale for 32 values: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0.
 *
 * dot: blocks are taken in fours. Their scales and minima, interleaved as they lie in the file,
 * become one vector [d0 m0 d1 m1 | d2 m2 d3 m3] and are multiplied with the activations' [d s ...];
 * then blocks 0 and 2 share a vector of codes, one in each 128-bit lane, and so do 1 and 3, so that
 * a scale reaches its block by a permutation inside lanes and 64 products cost one conversion. */
#include "backend/cpu/x86/tile_avx2.h"

/* How a nibble format lies in its block; all are constants after inlining. */
typedef struct layout {
    size_t bytes, qh, qs; /* qh 0: no fifth bits */
    int offset;           /* 0: the block has its own minimum; else value = d * (q - offset) */
} layout;

static const layout q4_0 = { sizeof(puna_block_q4_0), 0, offsetof(puna_block_q4_0, qs), 8 };
static const layout q4_1 = { sizeof(puna_block_q4_1), 0, offsetof(puna_block_q4_1, qs), 0 };
static const layout q5_0 = { sizeof(puna_block_q5_0), offsetof(puna_block_q5_0, qh),
                             offsetof(puna_block_q5_0, qs), 16 };
static const layout q5_1 = { sizeof(puna_block_q5_1), offsetof(puna_block_q5_1, qh),
                             offsetof(puna_block_q5_1, qs), 0 };

/* Bits of two words as bytes 16 or 0: half 0 gives bits 0-15 of each word in its lane, half 1 bits
 * 16-31. words: one in all four dwords of each lane. */
INLINE __m256i fifth_bits(__m256i words, int half)
{
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
    const long long pair = half ? 0x0202020202020202 : 0, next = pair + 0x0101010101010101;
    const __m256i bytes = _mm256_shuffle_epi8(words, _mm256_set_epi64x(next, pair, next, pair));
    const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
    return _mm256_and_si256(set, _mm256_set1_epi8(16));
}

INLINE __m256i words_of(const uint8_t *low, const uint8_t *high)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_set1_epi32(load_i32(low))),
                                   _mm_set1_epi32(load_i32(high)), 1);
}

/* Products of codes less the offset with activations, added by pairs. The offset is taken from each
 * pair and not from the whole: large terms must not meet in float. */
INLINE __m256i multiply(__m256i codes, __m256i q, layout l)
{
    const __m256i p = _mm256_maddubs_epi16(codes, q);
    if (!l.offset)
        return p;
    return _mm256_sub_epi16(p, _mm256_maddubs_epi16(_mm256_set1_epi8((char)l.offset), q));
}

/* Two blocks of weights, one in each lane, with the block of activations `q` (and the block two
 * on): eight sums of four products each. */
INLINE __m256 dot_two_blocks(const uint8_t *w, const int8_t *q, layout l)
{
    const uint8_t *w2 = w + 2 * l.bytes;
    const int8_t *q2 = q + 2 * PUNA_ACT_BLOCK;
    const __m256i codes = load_2x128(w + l.qs, w2 + l.qs);
    __m256i low = low_nibbles(codes), high = high_nibbles(codes);
    if (l.qh) {
        const __m256i words = words_of(w + l.qh, w2 + l.qh);
        low = _mm256_or_si256(low, fifth_bits(words, 0));
        high = _mm256_or_si256(high, fifth_bits(words, 1));
    }
    const __m256i p =
        _mm256_add_epi16(multiply(low, load_2x128(q, q2), l), multiply(high, load_2x128(q + 16, q2 + 16), l));
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(p, _mm256_set1_epi16(1)));
}

/* The values of one block as codes 0..31. */
INLINE __m256i codes_of_block(const uint8_t *w, layout l)
{
    const __m128i packed = load_128(w + l.qs);
    const __m128i high = _mm_and_si128(_mm_srli_epi16(packed, 4), _mm_set1_epi8(15));
    __m256i codes =
        _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_and_si128(packed, _mm_set1_epi8(15))), high, 1);
    if (l.qh) {
        const __m256i words = _mm256_set1_epi32(load_i32(w + l.qh));
        const __m256i low_half = fifth_bits(words, 0), high_half = fifth_bits(words, 1);
        codes = _mm256_or_si256(codes, _mm256_blend_epi32(low_half, high_half, 0xf0));
    }
    return codes;
}

/* The last blocks of a row one by one. *rest gets what does not need a vector. */
INLINE __m256 dot_rest(const uint8_t *w, puna_act_view a, int32_t b, int32_t n, layout l, float *rest)
{
    __m256 acc = _mm256_setzero_ps();
    for (; b < n; b++, w += l.bytes) {
        const __m256i p = multiply(codes_of_block(w, l), load_256(a.q + b * PUNA_ACT_BLOCK), l);
        const __m256 sums = _mm256_cvtepi32_ps(_mm256_madd_epi16(p, _mm256_set1_epi16(1)));
        acc = _mm256_fmadd_ps(sums, _mm256_set1_ps(puna_load_f16(w) * a.d[b]), acc);
        if (!l.offset)
            *rest += puna_load_f16(w + 2) * a.s[b];
    }
    return acc;
}

INLINE float dot_nibbles(const uint8_t *w, puna_act_view a, int32_t n, layout l)
{
    __m256 acc = _mm256_setzero_ps(), minima = _mm256_setzero_ps();
    int32_t b = 0;
    for (; b + 4 <= n; b += 4, w += 4 * l.bytes) {
        const __m128i heads = _mm_set_epi32(load_i32(w + 3 * l.bytes), load_i32(w + 2 * l.bytes),
                                            load_i32(w + l.bytes), load_i32(w));
        const __m128 d = _mm_loadu_ps(a.d + b), s = l.offset ? d : _mm_loadu_ps(a.s + b);
        const __m256 ds = _mm256_set_m128(_mm_unpackhi_ps(d, s), _mm_unpacklo_ps(d, s));
        const __m256 scales = _mm256_mul_ps(_mm256_cvtph_ps(heads), ds);
        const int8_t *q = a.q + b * PUNA_ACT_BLOCK;
        const __m256 p02 = dot_two_blocks(w, q, l), p13 = dot_two_blocks(w + l.bytes, q + PUNA_ACT_BLOCK, l);
        acc = _mm256_fmadd_ps(p02, _mm256_permute_ps(scales, 0x00), acc);
        acc = _mm256_fmadd_ps(p13, _mm256_permute_ps(scales, 0xaa), acc);
        if (!l.offset)
            minima = _mm256_add_ps(minima, scales);
    }
    /* The products of d and d in the even places have done their work. */
    acc = _mm256_add_ps(acc, _mm256_blend_ps(_mm256_setzero_ps(), minima, 0xaa));
    float rest = 0.0f;
    acc = _mm256_add_ps(acc, dot_rest(w, a, b, n, l, &rest));
    return sum_8(acc) + rest;
}

/* Eight sums of four products of one block. The sign moves to the activations, since maddubs wants
 * its first operand unsigned. */
INLINE __m256 dot_q8_block(const puna_block_q8_0 *w, const int8_t *q)
{
    const __m256i codes = load_256(w->qs);
    const __m256i p = _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(load_256(q), codes));
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(p, _mm256_set1_epi16(1)));
}

/* Four blocks at a time: their scales are one vector, and each has its own accumulator, so that no
 * block waits for the one before. */
INLINE float dot_q8_0(const uint8_t *row, puna_act_view a, int32_t n)
{
    const puna_block_q8_0 *w = (const puna_block_q8_0 *)row;
    __m256 acc0 = _mm256_setzero_ps(), acc1 = acc0, acc2 = acc0, acc3 = acc0;
    int32_t b = 0;
    for (; b + 4 <= n; b += 4, w += 4) {
        const __m128i heads = _mm_set_epi16(0, 0, 0, 0, (short)puna_load_u16(w[3].d), (short)puna_load_u16(w[2].d),
                                            (short)puna_load_u16(w[1].d), (short)puna_load_u16(w[0].d));
        const __m128 scales = _mm_mul_ps(_mm_cvtph_ps(heads), _mm_loadu_ps(a.d + b));
        const __m256 s = _mm256_set_m128(scales, scales);
        const int8_t *q = a.q + b * PUNA_ACT_BLOCK;
        acc0 = _mm256_fmadd_ps(dot_q8_block(w, q), _mm256_permute_ps(s, 0x00), acc0);
        acc1 = _mm256_fmadd_ps(dot_q8_block(w + 1, q + PUNA_ACT_BLOCK), _mm256_permute_ps(s, 0x55), acc1);
        acc2 = _mm256_fmadd_ps(dot_q8_block(w + 2, q + 2 * PUNA_ACT_BLOCK), _mm256_permute_ps(s, 0xaa), acc2);
        acc3 = _mm256_fmadd_ps(dot_q8_block(w + 3, q + 3 * PUNA_ACT_BLOCK), _mm256_permute_ps(s, 0xff), acc3);
    }
    for (; b < n; b++, w++) {
        const __m256 d = _mm256_set1_ps(puna_load_f16(w->d) * a.d[b]);
        acc0 = _mm256_fmadd_ps(dot_q8_block(w, a.q + b * PUNA_ACT_BLOCK), d, acc0);
    }
    return sum_8(_mm256_add_ps(_mm256_add_ps(acc0, acc1), _mm256_add_ps(acc2, acc3)));
}

/* Blocks `first` and the next of 8 rows, transposed while still packed. */
INLINE void unpack_two_blocks(const uint8_t *const row[8], size_t at, size_t at2, layout l, int half,
                              uint8_t *panel)
{
    __m256i v[8], out[8];
    UNROLL
    for (int i = 0; i < 8; i++)
        v[i] = load_2x128(row[i] + at + l.qs, row[i] + at2 + l.qs);
    transpose_8x8(v);
    UNROLL
    for (int k = 0; k < 2; k++) {
        UNROLL
        for (int i = 0; i < 4; i++) {
            out[i] = low_nibbles(v[4 * k + i]);
            out[4 + i] = high_nibbles(v[4 * k + i]);
        }
        store_codes(panel + k * PANEL_STRIDE, half, 0, out, 8);
    }
}

INLINE void unpack_five_bits(const uint8_t *const row[8], size_t at, layout l, int half, uint8_t *panel)
{
    __m256i v[8];
    UNROLL
    for (int i = 0; i < 8; i++)
        v[i] = codes_of_block(row[i] + at, l);
    transpose_8x8(v);
    store_codes(panel, half, 0, v, 8);
}

/* d and m of a block of 8 rows. */
INLINE void unpack_scales(const uint8_t *const row[8], size_t at, layout l, float *d, float *m)
{
    const __m256i heads = _mm256_set_epi32(
        load_i32(row[7] + at), load_i32(row[6] + at), load_i32(row[5] + at), load_i32(row[4] + at),
        load_i32(row[3] + at), load_i32(row[2] + at), load_i32(row[1] + at), load_i32(row[0] + at));
    const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5,
                                           8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    const __m256i split = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(heads, order), 0xd8);
    const __m256 scale = _mm256_cvtph_ps(_mm256_castsi256_si128(split));
    _mm256_store_ps(d, scale);
    if (!l.offset)
        _mm256_store_ps(m, _mm256_cvtph_ps(_mm256_extracti128_si256(split, 1)));
}

INLINE void unpack_nibbles(const panel_source *source, int32_t first, int32_t n, uint8_t *panel, layout l)
{
    for (int half = 0; half < 2; half++) {
        const uint8_t *const *row = source->row + 8 * half;
        uint8_t *block = panel;
        for (int32_t b = 0; b < n; b++, block += PANEL_STRIDE) {
            const size_t at = (size_t)(first + b) * l.bytes;
            panel_scales *scales = panel_scales_at(block);
            if (l.qh)
                unpack_five_bits(row, at, l, half, block);
            else if (b % 2 == 0)
                unpack_two_blocks(row, at, b + 1 < n ? at + l.bytes : at, l, half, block);
            unpack_scales(row, at, l, scales->d + 8 * half, scales->m + 8 * half);
        }
    }
}

static void unpack_q8_0(const panel_source *source, int32_t first, int32_t n, uint8_t *panel)
{
    for (int half = 0; half < 2; half++) {
        const uint8_t *const *row = source->row + 8 * half;
        uint8_t *block = panel;
        for (int32_t b = 0; b < n; b++, block += PANEL_STRIDE) {
            const size_t at = (size_t)(first + b) * sizeof(puna_block_q8_0);
            panel_scales *scales = panel_scales_at(block);
            __m256i v[8];
            UNROLL
            for (int i = 0; i < 8; i++) {
                v[i] = load_256(row[i] + at + offsetof(puna_block_q8_0, qs));
                scales->d[8 * half + i] = puna_load_f16(row[i] + at);
            }
            transpose_8x8(v);
            store_codes(block, half, 0, v, 8);
        }
    }
}

#define DOT(format, name, expression)                                                                        \
    INLINE float dot_row_##name(const uint8_t *w, const void *act, int32_t n_in)                             \
    {                                                                                                        \
        const puna_act_view a = puna_act_at(act, n_in);                                                      \
        const int32_t n = n_in / PUNA_ACT_BLOCK;                                                             \
        return expression;                                                                                   \
    }                                                                                                        \
    void puna_dot_##format##_avx2(const puna_linear_call *call)                                              \
    {                                                                                                        \
        dot_all(call, dot_row_##name);                                                                       \
    }

DOT(Q4_0, q4_0, dot_nibbles(w, a, n, q4_0))
DOT(Q4_1, q4_1, dot_nibbles(w, a, n, q4_1))
DOT(Q5_0, q5_0, dot_nibbles(w, a, n, q5_0))
DOT(Q5_1, q5_1, dot_nibbles(w, a, n, q5_1))
DOT(Q8_0, q8_0, dot_q8_0(w, a, n))

#define TILE(format, layout, run)                                                                            \
    static void unpack_##layout(const panel_source *source, int32_t first, int32_t n, uint8_t *panel)        \
    {                                                                                                        \
        unpack_nibbles(source, first, n, panel, layout);                                                     \
    }                                                                                                        \
    void puna_tile_##format##_avx2(const puna_linear_call *call)                                             \
    {                                                                                                        \
        puna_tile_all_avx2(call, unpack_##layout, run);                                                      \
    }

TILE(Q4_0, q4_0, puna_micro_q4_0_avx2)
TILE(Q4_1, q4_1, puna_micro_4_bits_avx2)
TILE(Q5_0, q5_0, puna_micro_q5_0_avx2)
TILE(Q5_1, q5_1, puna_micro_5_bits_avx2)

void puna_tile_Q8_0_avx2(const puna_linear_call *call)
{
    puna_tile_all_avx2(call, unpack_q8_0, puna_micro_8_bits_avx2);
}
