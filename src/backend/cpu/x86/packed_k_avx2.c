/* packed_k_avx2.c - packed superblocks of 256: Q4_K, Q5_K, Q6_K, IQ4_XS. Scales of sub-blocks are turned
 * into floats once for a chunk; Q6_K, whose scales cover 16, multiplies its integer sums with them. */
#include "backend/cpu/table.h"
#include "backend/cpu/x86/packed_avx2.h"

INLINE void store_16_floats(float *to, __m128i bytes, __m256 low, __m256 high)
{
    _mm256_storeu_ps(to, _mm256_mul_ps(low, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes))));
    _mm256_storeu_ps(to + 8, _mm256_mul_ps(high, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)))));
}

/* One superblock of Q4_K or Q5_K; d and dmin: 16 halves each. */
INLINE void scales_k(const uint8_t small[8][PUNA_PANEL_ROWS], const uint8_t top[4][PUNA_PANEL_ROWS],
                     const uint8_t d[PUNA_PANEL_ROWS][2], const uint8_t dmin[PUNA_PANEL_ROWS][2],
                     packed_scales *out)
{
    const __m128i low = _mm_set1_epi8(15), two = _mm_set1_epi8(0x30);
    const __m256 zero = _mm256_setzero_ps();
    const __m256 d0 = halves_to_floats(d[0]), d1 = halves_to_floats(d[8]);
    const __m256 m0 = _mm256_sub_ps(zero, halves_to_floats(dmin[0])), m1 = _mm256_sub_ps(zero, halves_to_floats(dmin[8]));
    UNROLL
    for (int s = 0; s < 8; s++) {
        const __m128i lows = load_128(small[s]), tops = load_128(top[s / 2]);
        const __m128i scale_top = s % 2 ? tops : _mm_slli_epi16(tops, 4);
        const __m128i minimum_top = s % 2 ? _mm_srli_epi16(tops, 2) : _mm_slli_epi16(tops, 2);
        const __m128i scale = _mm_or_si128(_mm_and_si128(lows, low), _mm_and_si128(scale_top, two));
        const __m128i minimum =
            _mm_or_si128(_mm_and_si128(_mm_srli_epi16(lows, 4), low), _mm_and_si128(minimum_top, two));
        store_16_floats(out[s].d, scale, d0, d1);
        store_16_floats(out[s].m, minimum, m0, m1);
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

/* Lane g of half h of sub-block s; odd: s is. bit: 1 << s in every byte. */
INLINE __m256i codes_k(bool five_bits, bool odd, const puna_lanes qs[8], const puna_lanes qh[8], int g, int h,
                       __m256i bit)
{
    const __m256i packed = load_256(qs[g][8 * h]), codes = odd ? high_nibbles(packed) : low_nibbles(packed);
    if (!five_bits)
        return codes;
    const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(load_256(qh[g][8 * h]), bit), bit);
    return _mm256_or_si256(codes, _mm256_and_si256(set, _mm256_set1_epi8(16)));
}

/* A sub-block of Q4_K or Q5_K. */
typedef struct sub_block {
    const puna_lanes *qs, *qh; /* [8] */
    const uint8_t *bytes;      /* the codes unpacked, instead */
    int s;
} sub_block;

/* Part of n_parts: products into wide. */
INLINE void add_part_k(bool odd, bool unpacked, int part, int n_parts, int T, sub_block w, const uint8_t *act,
                       __m256i wide[][2])
{
    const __m256i bit = _mm256_set1_epi8((char)(1 << w.s));
    __m256i sum[PUNA_STRIP_ROWS][2];
    LOAD_AGAIN();
    start_sums(T, act, 0, sum);
    const int first = part * 4, last = first + 8 / n_parts;
    UNROLL
    for (int g = first; g < last; g++) {
        __m256i codes[2];
        UNROLL
        for (int h = 0; h < 2; h++)
            codes[h] =
                unpacked ? load_bytes(w.bytes, g, h) : codes_k(n_parts == 2, odd, w.qs, w.qh, g, h, bit);
        add_products_16(T, act, g, codes, sum);
    }
    widen_sums(T, part == 0, sum, wide);
}

/* Five bits fill 16-bit sums in half a block. odd: s is; unpacked: codes are bytes. */
INLINE void block_k(bool five_bits, bool odd, bool unpacked, int T, sub_block w, const uint8_t *act,
                    const packed_scales *scales, __m256 acc[][2])
{
    __m256i wide[PUNA_STRIP_ROWS][2];
    add_part_k(odd, unpacked, 0, five_bits ? 2 : 1, T, w, act, wide);
    if (five_bits)
        add_part_k(odd, unpacked, 1, 2, T, w, act, wide);
    add_scaled(T, act, scales, true, wide, acc);
}

/* Sub-block s of a unit. */
INLINE sub_block sub_block_of(bool five_bits, const uint8_t *unit, int s)
{
    return (sub_block){ .qs = ((const puna_panel_q4_k *)unit)->qs[s / 2],
                        .qh = five_bits ? ((const puna_panel_q5_k *)unit)->qh : NULL,
                        .s = s };
}

INLINE void micro_k(bool five_bits, int T, const packed_chunk *chunk, const uint8_t *act, float *sums)
{
    __m256 acc[PUNA_STRIP_ROWS][2];
    const size_t bytes = five_bits ? sizeof(puna_panel_q5_k) : sizeof(puna_panel_q4_k);
    load_acc(T, sums, acc);
    if (chunk->n == 1 && chunk->first % 2 == 0)
        block_k(five_bits, false, false, T, sub_block_of(five_bits, chunk->units, chunk->first), act,
                chunk->scales + chunk->first, acc);
    else if (chunk->n == 1)
        block_k(five_bits, true, false, T, sub_block_of(five_bits, chunk->units, chunk->first), act,
                chunk->scales + chunk->first, acc);
    for (int32_t b = 0; b + 1 < chunk->n; b += 2, act += 2 * PUNA_STRIP_BLOCK * T) {
        const uint8_t *unit = chunk->units + (size_t)(b / 8) * bytes;
        const sub_block even = sub_block_of(five_bits, unit, b % 8);
        prefetch_unit(T, even.qs, bytes / 4);
        block_k(five_bits, false, false, T, even, act, chunk->scales + b, acc);
        block_k(five_bits, true, false, T, sub_block_of(five_bits, unit, b % 8 + 1),
                act + PUNA_STRIP_BLOCK * T, chunk->scales + b + 1, acc);
    }
    store_acc(T, sums, acc);
}

INLINE void whole_k(bool five_bits, const packed_chunk *chunk, const uint8_t *act, float *sums)
{
    __m256 acc[PUNA_STRIP_ROWS][2];
    load_acc(PUNA_STRIP_ROWS, sums, acc);
    for (int32_t b = chunk->first; b < chunk->first + chunk->n;
         b++, act += PUNA_STRIP_BLOCK * PUNA_STRIP_ROWS)
        block_k(five_bits, false, true, PUNA_STRIP_ROWS,
                (sub_block){ .bytes = chunk->codes + b * PACKED_BLOCK }, act, chunk->scales + b, acc);
    store_acc(PUNA_STRIP_ROWS, sums, acc);
}

INLINE void unpack_k(bool five_bits, const uint8_t *units, int32_t n, uint8_t *codes)
{
    const size_t bytes = five_bits ? sizeof(puna_panel_q5_k) : sizeof(puna_panel_q4_k);
    for (int32_t b = 0; b < n; b += 2) {
        const uint8_t *unit = units + (size_t)(b / 8) * bytes;
        const puna_lanes *qs = ((const puna_panel_q4_k *)unit)->qs[b % 8 / 2];
        const puna_lanes *qh = five_bits ? ((const puna_panel_q5_k *)unit)->qh : NULL;
        UNROLL
        for (int odd = 0; odd < 2; odd++, codes += PACKED_BLOCK) {
            const __m256i bit = _mm256_set1_epi8((char)(1 << (b % 8 + odd)));
            UNROLL
            for (int g = 0; g < 8; g++) {
                UNROLL
                for (int h = 0; h < 2; h++)
                    _mm256_store_si256((__m256i *)(void *)byte_codes(codes, g, h),
                                       codes_k(five_bits, odd, qs, qh, g, h, bit));
            }
        }
    }
}

/* ---- Q6_K ------------------------------------------------------------------------------- */

/* d alone; the scales of 16 are read by the micro kernel. */
static void scales_Q6_K(const uint8_t *units, int32_t n, packed_scales *out)
{
    const puna_panel_q6_k *unit = (const puna_panel_q6_k *)units;
    for (int32_t b = 0; b < n; b += 8, unit++) {
        const __m256 d0 = halves_to_floats(unit->d[0]), d1 = halves_to_floats(unit->d[8]);
        UNROLL
        for (int s = 0; s < 8; s++) {
            _mm256_storeu_ps(out[b + s].d, d0);
            _mm256_storeu_ps(out[b + s].d + 8, d1);
        }
    }
}

/* Lane g of quarter q (sub-blocks of 32 of one half of the superblock). */
INLINE __m256i codes_6(int q, const puna_lanes ql[16], const puna_lanes qh[8], int g, int h)
{
    const __m256i packed = load_256(ql[8 * (q % 2) + g][8 * h]), top = load_256(qh[g][8 * h]);
    const __m256i moved = q == 0   ? _mm256_slli_epi16(top, 4)
                          : q == 1 ? _mm256_slli_epi16(top, 2)
                          : q == 2 ? top
                                   : _mm256_srli_epi16(top, 2);
    return _mm256_or_si256(q < 2 ? low_nibbles(packed) : high_nibbles(packed),
                           _mm256_and_si256(moved, _mm256_set1_epi8(0x30)));
}

/* Eight scales of 16 values as pairs of 16-bit numbers, one for each half of a lane. */
INLINE __m256i scale_pairs(const int8_t *scales)
{
    const __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)scales));
    return _mm256_or_si256(_mm256_slli_epi32(wide, 16), _mm256_and_si256(wide, _mm256_set1_epi32(0xffff)));
}

/* Quarter q of half `upper` of a superblock: 32 values in two halves with a scale each.
 * unpacked: the codes are bytes. */
INLINE void block_6(int q, bool unpacked, int T, const puna_panel_q6_k *unit, int upper, const uint8_t *bytes, const uint8_t *act,
                    const packed_scales *scales, __m256 acc[][2])
{
    __m256i wide[PUNA_STRIP_ROWS][2];
    UNROLL
    for (int part = 0; part < 2; part++) {
        const int8_t *small = unit->scales[8 * upper + 2 * q + part];
        __m256i sum[PUNA_STRIP_ROWS][2];
        LOAD_AGAIN();
        UNROLL
        for (int i = 0; i < T; i++) /* from minus 32 times the sums of this half */
            sum[i][0] = sum[i][1] =
                _mm256_slli_epi16(broadcast_lane(act + puna_strip_pairs(T) + 8 * i + 4 * part), 1);
        const int first = 4 * part, last = first + 4;
        UNROLL
        for (int g = first; g < last; g++) {
            __m256i codes[2];
            UNROLL
            for (int h = 0; h < 2; h++)
                codes[h] = unpacked ? load_bytes(bytes, g, h) : codes_6(q, unit->ql[2 * upper], unit->qh[upper], g, h);
            add_products_16(T, act, g, codes, sum);
        }
        const __m256i scale[2] = { scale_pairs(small), scale_pairs(small + 8) };
        UNROLL
        for (int i = 0; i < T; i++) {
            UNROLL
            for (int h = 0; h < 2; h++) {
                const __m256i p = _mm256_madd_epi16(sum[i][h], scale[h]);
                wide[i][h] = part == 0 ? p : _mm256_add_epi32(wide[i][h], p);
            }
        }
    }
    add_scaled(T, act, scales, false, wide, acc);
}

/* Sub-block b of a chunk. */
INLINE void sub_block_6(int q, int T, const packed_chunk *chunk, int32_t b, const uint8_t *act,
                        __m256 acc[][2])
{
    const puna_panel_q6_k *unit = (const puna_panel_q6_k *)chunk->units + b / 8;
    prefetch_unit(T, (const uint8_t *)unit + sizeof *unit / 8 * (size_t)(b % 8), sizeof *unit / 8);
    block_6(q, false, T, unit, b % 8 / 4, NULL, act, chunk->scales + b, acc);
}

INLINE void one_block_6(int T, const packed_chunk *chunk, const uint8_t *act, __m256 acc[][2])
{
    const int32_t b = chunk->first;
    if (b % 4 == 0)
        sub_block_6(0, T, chunk, b, act, acc);
    else if (b % 4 == 1)
        sub_block_6(1, T, chunk, b, act, acc);
    else if (b % 4 == 2)
        sub_block_6(2, T, chunk, b, act, acc);
    else
        sub_block_6(3, T, chunk, b, act, acc);
}

INLINE void micro_6(int T, const packed_chunk *chunk, const uint8_t *act, float *sums)
{
    __m256 acc[PUNA_STRIP_ROWS][2];
    load_acc(T, sums, acc);
    if (chunk->n == 1)
        one_block_6(T, chunk, act, acc);
    for (int32_t b = 0; b + 3 < chunk->n; b += 4) {
        UNROLL
        for (int q = 0; q < 4; q++, act += PUNA_STRIP_BLOCK * T)
            sub_block_6(q, T, chunk, b + q, act, acc);
    }
    store_acc(T, sums, acc);
}

static void whole_Q6_K(const packed_chunk *chunk, const uint8_t *act, float *sums)
{
    __m256 acc[PUNA_STRIP_ROWS][2];
    load_acc(PUNA_STRIP_ROWS, sums, acc);
    for (int32_t b = chunk->first; b < chunk->first + chunk->n;
         b++, act += PUNA_STRIP_BLOCK * PUNA_STRIP_ROWS)
        block_6(b % 4, true, PUNA_STRIP_ROWS, (const puna_panel_q6_k *)chunk->units + b / 8, b % 8 / 4,
                chunk->codes + b * PACKED_BLOCK, act, chunk->scales + b, acc);
    store_acc(PUNA_STRIP_ROWS, sums, acc);
}

static void unpack_Q6_K(const uint8_t *units, int32_t n, uint8_t *codes)
{
    for (int32_t b = 0; b < n; b += 4) {
        const puna_panel_q6_k *unit = (const puna_panel_q6_k *)units + b / 8;
        const int upper = b % 8 / 4;
        UNROLL
        for (int q = 0; q < 4; q++, codes += PACKED_BLOCK) {
            UNROLL
            for (int g = 0; g < 8; g++) {
                UNROLL
                for (int h = 0; h < 2; h++)
                    _mm256_store_si256((__m256i *)(void *)byte_codes(codes, g, h),
                                       codes_6(q, unit->ql[2 * upper], unit->qh[upper], g, h));
            }
        }
    }
}

/* ---- IQ4_XS ----------------------------------------------------------------------------- */

static void scales_IQ4_XS(const uint8_t *units, int32_t n, packed_scales *out)
{
    const puna_panel_iq4_xs *unit = (const puna_panel_iq4_xs *)units;
    for (int32_t b = 0; b < n; b += 8, unit++) {
        const __m256 d0 = halves_to_floats(unit->d[0]), d1 = halves_to_floats(unit->d[8]);
        UNROLL
        for (int s = 0; s < 8; s++) {
            const __m128i lows = load_128(unit->scales[s / 2]), tops = load_128(unit->top[s / 4]);
            const __m128i low = _mm_and_si128(s % 2 ? _mm_srli_epi16(lows, 4) : lows, _mm_set1_epi8(15));
            const __m128i moved = s % 4 == 0   ? _mm_slli_epi16(tops, 4)
                                  : s % 4 == 1 ? _mm_slli_epi16(tops, 2)
                                  : s % 4 == 2 ? tops
                                               : _mm_srli_epi16(tops, 2);
            const __m128i scale = _mm_or_si128(low, _mm_and_si128(moved, _mm_set1_epi8(0x30)));
            store_16_floats(out[b + s].d, _mm_sub_epi8(scale, _mm_set1_epi8(32)), d0, d1);
        }
    }
}

INLINE void micro_iq4_xs(int T, const packed_chunk *chunk, const uint8_t *act, float *sums)
{
    __m256 acc[PUNA_STRIP_ROWS][2];
    load_acc(T, sums, acc);
    for (int32_t b = chunk->first; b < chunk->first + chunk->n; b++, act += PUNA_STRIP_BLOCK * T) {
        const puna_panel_iq4_xs *unit = (const puna_panel_iq4_xs *)chunk->units + b / 8;
        prefetch_unit(T, unit->qs[b % 8], sizeof *unit / 8);
        packed_signed_block(true, T, unit->qs[b % 8][0][0], act, chunk->scales + b, acc);
    }
    store_acc(T, sums, acc);
}

static void whole_IQ4_XS(const packed_chunk *chunk, const uint8_t *act, float *sums)
{
    __m256 acc[PUNA_STRIP_ROWS][2];
    load_acc(PUNA_STRIP_ROWS, sums, acc);
    for (int32_t b = chunk->first; b < chunk->first + chunk->n;
         b++, act += PUNA_STRIP_BLOCK * PUNA_STRIP_ROWS)
        packed_signed_block(false, PUNA_STRIP_ROWS, chunk->codes + b * PACKED_BLOCK, act, chunk->scales + b, acc);
    store_acc(PUNA_STRIP_ROWS, sums, acc);
}

static void unpack_IQ4_XS(const uint8_t *units, int32_t n, uint8_t *codes)
{
    const puna_panel_iq4_xs *unit = (const puna_panel_iq4_xs *)units;
    for (int32_t b = 0; b < n; b += 8, unit++, codes += 8 * PACKED_BLOCK)
        packed_unpack_signed(true, unit->qs[0][0][0], sizeof unit->qs[0], 8, codes);
}

static void whole_Q4_K(const packed_chunk *chunk, const uint8_t *act, float *sums)
{
    whole_k(false, chunk, act, sums);
}

static void whole_Q5_K(const packed_chunk *chunk, const uint8_t *act, float *sums)
{
    whole_k(true, chunk, act, sums);
}

static void unpack_Q4_K(const uint8_t *units, int32_t n, uint8_t *codes)
{
    unpack_k(false, units, n, codes);
}

static void unpack_Q5_K(const uint8_t *units, int32_t n, uint8_t *codes)
{
    unpack_k(true, units, n, codes);
}

/* ---- rows of kernels.def ---------------------------------------------------------------- */

#define MICRO(format, T, call)                                                                               \
    static void micro_##format##_##T(const packed_chunk *chunk, const uint8_t *act, float *sums)             \
    {                                                                                                        \
        call;                                                                                                \
    }

#define PACKED(format, layout, micro, ...)                   \
    MICRO(format, 1, micro(__VA_ARGS__ 1, chunk, act, sums)) \
    MICRO(format, 2, micro(__VA_ARGS__ 2, chunk, act, sums)) \
    MICRO(format, 3, micro(__VA_ARGS__ 3, chunk, act, sums)) \
    MICRO(format, 4, micro(__VA_ARGS__ 4, chunk, act, sums)) \
    PACKED_KERNEL(format, avx2, 8, puna_panel_##layout, unpack_##format, whole_##format, NULL, NULL)

#define COMMA ,
PACKED(Q4_K, q4_k, micro_k, false COMMA)
PACKED(Q5_K, q5_k, micro_k, true COMMA)
PACKED(Q6_K, q6_k, micro_6, )
PACKED(IQ4_XS, iq4_xs, micro_iq4_xs, )
