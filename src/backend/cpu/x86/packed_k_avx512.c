/* packed_k_avx512.c - packed superblocks of 256: Q4_K, Q5_K, Q6_K, IQ4_XS. Scales of sub-blocks are
 * turned into floats once for a chunk. */
#include <stdalign.h>

#include "backend/cpu/x86/packed_amx.h"
#include "backend/cpu/x86/packed_avx512.h"

INLINE void store_scaled(float *to, __m128i bytes, __m512 scale)
{
    _mm512_store_ps(to, _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))));
}

/* The low four bits of `bytes`, and above them two bits of `tops`, which `up` rotates to bit 4. */
INLINE __m512i six_bits(__m512i bytes, __m512i tops, __m512i up)
{
    const __m512i two = _mm512_and_si512(_mm512_rolv_epi32(tops, up), _mm512_set1_epi8(0x30));
    return with_bits(two, bytes, 15);
}

/* One superblock of Q4_K or Q5_K; d and dmin: 16 halves each; odd: what the scales of odd sub-blocks are
 * multiplied with besides. */
INLINE void scales_k(const uint8_t small[8][PUNA_PANEL_ROWS], const uint8_t top[4][PUNA_PANEL_ROWS],
                     const uint8_t d[PUNA_PANEL_ROWS][2], const uint8_t dmin[PUNA_PANEL_ROWS][2], float odd,
                     packed_scales *out)
{
    const __m512i scale_up = _mm512_setr_epi32(4, 4, 4, 4, 0, 0, 0, 0, 4, 4, 4, 4, 0, 0, 0, 0);
    const __m512i minimum_up = _mm512_setr_epi32(2, 2, 2, 2, 30, 30, 30, 30, 2, 2, 2, 2, 30, 30, 30, 30);
    const __m512 scale_of_all = halves_to_floats(d[0]),
                 scale_of_odd = _mm512_mul_ps(scale_of_all, _mm512_set1_ps(odd));
    const __m512 minimum_of_all = _mm512_sub_ps(_mm512_setzero_ps(), halves_to_floats(dmin[0]));
    const __m512i all_tops = load_512(top);
    uint8_t scales[8][PUNA_PANEL_ROWS], minima[8][PUNA_PANEL_ROWS];
    UNROLL
    for (int half = 0; half < 2; half++) {
        const __m512i bytes = load_512(small[4 * half]);
        const __m512i tops = half ? _mm512_shuffle_i32x4(all_tops, all_tops, 0xfa)
                                  : _mm512_shuffle_i32x4(all_tops, all_tops, 0x50);
        _mm512_storeu_si512(scales[4 * half], six_bits(bytes, tops, scale_up));
        _mm512_storeu_si512(minima[4 * half], six_bits(_mm512_srli_epi16(bytes, 4), tops, minimum_up));
    }
    UNROLL
    for (int s = 0; s < 8; s++) {
        store_scaled(out[s].d, load_128(scales[s]), s % 2 ? scale_of_odd : scale_of_all);
        store_scaled(out[s].m, load_128(minima[s]), minimum_of_all);
    }
}

static void scales_Q4_K(const uint8_t *units, int32_t n, packed_scales *out)
{
    const puna_panel_q4_k *unit = (const puna_panel_q4_k *)units;
    for (int32_t b = 0; b < n; b += 8, unit++)
        scales_k(unit->small, unit->top, unit->d, unit->dmin, 1.0f / 16, out + b);
}

static void scales_Q5_K(const uint8_t *units, int32_t n, packed_scales *out)
{
    const puna_panel_q5_k *unit = (const puna_panel_q5_k *)units;
    for (int32_t b = 0; b < n; b += 8, unit++)
        scales_k(unit->small, unit->top, unit->d, unit->dmin, 1, out + b);
}

/* Lane g of sub-block s of Q4_K or Q5_K; odd: s is. A rotation of whole lanes by 4 - s brings bit s
 * of every byte to bit 4. Four-bit codes of odd sub-blocks stay where they are, 16 times what they are: their
 * scales are a sixteenth (scales_k), and no sum is beyond what a float holds. */
INLINE __m512i codes_k(bool five_bits, bool odd, int T, const uint8_t *unit, int32_t s, int g)
{
    const uint8_t *line = ((const puna_panel_q4_k *)unit)->qs[s / 2][g][0];
    if (!odd)
        fetch_ahead(T, line, 64);
    const __m512i packed = load_512(line);
    if (!five_bits && odd)
        return _mm512_and_si512(packed, _mm512_set1_epi8((char)0xf0));
    const __m512i codes = odd ? high_nibbles(packed) : low_nibbles(packed);
    if (!five_bits)
        return codes;
    const __m512i fifth = load_512(((const puna_panel_q5_k *)unit)->qh[g]);
    return with_bits(codes, _mm512_rolv_epi32(fifth, _mm512_set1_epi32((4 - s) & 31)), 16);
}

INLINE void block_k(bool five_bits, bool whole, bool odd, int P, int T, const packed_chunk *chunk,
                    const uint8_t *unit, int32_t b, const uint8_t *act, __m512 *acc)
{
    __m512i sum[PACKED_SUMS];
    READ_AGAIN(unit);
    ADD_PRODUCTS(P, T, act, NULL, 1, 0, 8,
                 whole ? unpacked(chunk, b, (size_t)p, g)
                       : codes_k(five_bits, odd, T, unit + (size_t)p * chunk->panel_bytes, b % 8, g),
                 sum);
    add_scaled(P, T, act, chunk->scales + b, true, sum, acc);
}

INLINE void micro_k(bool five_bits, bool whole, int P, int T, const packed_chunk *chunk, const uint8_t *act,
                    float *sums)
{
    __m512 acc[PACKED_SUMS];
    const size_t bytes = five_bits ? sizeof(puna_panel_q5_k) : sizeof(puna_panel_q4_k);
    load_acc(P, T, sums, acc);
    if (chunk->n == 1 && chunk->first % 2 == 0)
        block_k(five_bits, whole, false, P, T, chunk, chunk->units, chunk->first, act, acc);
    else if (chunk->n == 1)
        block_k(five_bits, whole, true, P, T, chunk, chunk->units, chunk->first, act, acc);
    for (int32_t b = 0; b + 1 < chunk->n; b += 2, act += 2 * T * PUNA_STRIP_BLOCK) {
        const uint8_t *unit = chunk->units + (size_t)(b / 8) * bytes;
        UNROLL
        for (int p = 0; p < P; p++)
            if (!whole)
                fetch_ahead(
                    T, unit + (size_t)p * chunk->panel_bytes + 2048 + (size_t)(b % 8 / 2) * (bytes / 4 - 512),
                    bytes / 4 - 512);
        block_k(five_bits, whole, false, P, T, chunk, unit, b, act, acc);
        block_k(five_bits, whole, true, P, T, chunk, unit, b + 1, act + T * PUNA_STRIP_BLOCK, acc);
    }
    store_acc(P, T, sums, acc);
}

/* sum += four lines * four lanes of one row. */
INLINE __m512i add_lines(__m512i sum, const __m512i lines[4], __m512i mask, const uint8_t *act, int first)
{
    __m512i lanes[4];
    broadcast_four(act, first, lanes);
    UNROLL
    for (int g = 0; g < 4; g++)
        sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(lines[g], mask), lanes[g]);
    return sum;
}

INLINE void load_lines(bool near, const puna_lanes *from, __m512i lines[4])
{
    UNROLL
    for (int g = 0; g < 4; g++) {
        fetch_near(near, from[g]);
        lines[g] = load_512(from[g]);
    }
}

/* The products of one row with the low four bits of a superblock of Q4_K or Q5_K; of odd sub-blocks 16 times what
 * they are. Here and below loops over a superblock are not unrolled: where the hardware reads ahead for each instruction
 * that loads, it must see few of them, each walking on. */
INLINE void add_nibbles(bool near, const uint8_t *unit, const uint8_t *act, __m512i sum[8])
{
    for (int pair = 0; pair < 4; pair++, act += 2 * PUNA_STRIP_BLOCK) {
        const puna_lanes *qs = ((const puna_panel_q4_k *)unit)->qs[pair];
        __m512i even = _mm512_setzero_si512(), odd = even, lines[4];
        UNROLL
        for (int first = 0; first < 8; first += 4) {
            load_lines(near, qs + first, lines);
            even = add_lines(even, lines, _mm512_set1_epi8(15), act, first);
            odd = add_lines(odd, lines, _mm512_set1_epi8((char)0xf0), act + PUNA_STRIP_BLOCK, first);
        }
        sum[2 * pair] = even;
        sum[2 * pair + 1] = odd;
    }
}

/* The same of the fifth bits, of all sub-blocks as large as they are. */
INLINE void add_fifth_bits(bool near, const puna_panel_q5_k *unit, const uint8_t *act, __m512i sum[8])
{
    for (int first = 0; first < 8; first += 4) {
        __m512i lines[4];
        load_lines(near, unit->qh + first, lines);
        UNROLL
        for (int s = 0; s < 8; s++) {
            __m512i fifth = add_lines(_mm512_setzero_si512(), lines, _mm512_set1_epi8((char)(1 << s)),
                                      act + s * PUNA_STRIP_BLOCK, first);
            __m512i low = sum[s];
            if (s % 2 && first == 0)
                low = _mm512_srai_epi32(low, 4);
            fifth = s <= 4 ? _mm512_slli_epi32(fifth, (unsigned)(4 - s))
                           : _mm512_srai_epi32(fifth, (unsigned)(s - 4));
            sum[s] = _mm512_add_epi32(low, fifth);
        }
    }
}

/* The products of the rest with sub-block s. Four-bit codes as in codes_k. */
INLINE __m512i rest_products_k(bool five_bits, const uint8_t *unit, int32_t s, const uint8_t *rest)
{
    const puna_lanes *qs = ((const puna_panel_q4_k *)unit)->qs[s / 2];
    const __m128i nibble = _mm_cvtsi32_si128(s % 2 * 4), to_bit_4 = _mm_cvtsi32_si128((4 - s) & 31);
    const __m512i mask = _mm512_set1_epi8(s % 2 ? (char)0xf0 : 15);
    __m512i sum = _mm512_setzero_si512();
    UNROLL
    for (int g = 0; g < 8; g++) {
        __m512i codes = _mm512_and_si512(load_512(qs[g]), mask);
        if (five_bits) {
            const __m512i fifth = load_512(((const puna_panel_q5_k *)unit)->qh[g]);
            codes = with_bits(_mm512_srl_epi16(codes, nibble),
                              _mm512_rolv_epi32(fifth, _mm512_broadcastd_epi32(to_bit_4)), 16);
        }
        sum = _mm512_dpbusd_epi32(sum, codes, act_codes(1, rest, 0, g));
    }
    return sum;
}

/* One row: a superblock's bytes in order (packed_classic_avx512.c says why). Sums wait for the
 * scales, which are behind the codes; what codes are made of is multiplied apart, as it comes. */
INLINE void row_k(bool five_bits, bool near, const packed_chunk *chunk, const uint8_t *act, float *sums)
{
    const size_t bytes = five_bits ? sizeof(puna_panel_q5_k) : sizeof(puna_panel_q4_k);
    const uint8_t *unit = chunk->units;
    __m512 acc = _mm512_load_ps(sums);
    packed_scales of_rest = { 0 };
    for (int32_t b = 0; b < chunk->n; b += 8, unit += bytes) {
        __m512i sum[8];
        alignas(64) packed_scales scales[8];
        add_nibbles(near, unit, act, sum);
        if (five_bits)
            add_fifth_bits(near, (const puna_panel_q5_k *)unit, act, sum);
        UNROLL
        for (size_t i = 0; i < 4; i++)
            fetch_near(near, unit + bytes - 256 + 64 * i);
        (five_bits ? scales_Q5_K : scales_Q4_K)(unit, 8, scales);
        UNROLL
        for (int s = 0; s < 8; s++, act += PUNA_STRIP_BLOCK) {
            const __m512 m = _mm512_load_ps(scales[s].m);
            acc = add_scaled_row(act, _mm512_load_ps(scales[s].d), &m, sum[s], acc);
        }
        if (b == (chunk->widest & ~7))
            of_rest = scales[chunk->widest % 8];
    }
    _mm512_store_ps(sums, acc);
    if (chunk->widest < 0)
        return;
    unit = chunk->units + (size_t)(chunk->widest / 8) * bytes;
    const __m512i rest = rest_products_k(five_bits, unit, chunk->widest % 8, chunk->rest);
    const __m512 m = _mm512_loadu_ps(of_rest.m);
    _mm512_store_ps(sums, add_scaled_row(chunk->rest, _mm512_loadu_ps(of_rest.d), &m, rest, acc));
}

INLINE void unpack_k(bool five_bits, size_t bytes, const uint8_t *unit, int32_t n, uint8_t *codes)
{
    for (int32_t b = 0; b < n; b++, codes += PACKED_BLOCK) {
        UNROLL
        for (int g = 0; g < 8; g++)
            _mm512_storeu_si512(codes + 64 * g,
                                codes_k(five_bits, b % 2, 0, unit + (size_t)(b / 8) * bytes, b % 8, g));
    }
}

static void unpack_Q4_K(const uint8_t *units, int32_t n, uint8_t *codes)
{
    unpack_k(false, sizeof(puna_panel_q4_k), units, n, codes);
}

static void unpack_Q5_K(const uint8_t *units, int32_t n, uint8_t *codes)
{
    unpack_k(true, sizeof(puna_panel_q5_k), units, n, codes);
}

/* ---- Q6_K ------------------------------------------------------------------------------- */

/* Both halves of a sub-block of 32 have a scale: the first's goes to d, the other's to m. */
static void scales_Q6_K(const uint8_t *units, int32_t n, packed_scales *out)
{
    const puna_panel_q6_k *unit = (const puna_panel_q6_k *)units;
    for (int32_t b = 0; b < n; b += 8, unit++) {
        const __m512 d = halves_to_floats(unit->d[0]);
        UNROLL
        for (int s = 0; s < 8; s++) {
            store_scaled(out[b + s].d, load_128(unit->scales[2 * s]), d);
            store_scaled(out[b + s].m, load_128(unit->scales[2 * s + 1]), d);
        }
    }
}

/* Lane g of quarter q (sub-blocks of 32 of one half of the superblock), 0..63. */
INLINE __m512i codes_6(int q, int T, const uint8_t *unit, int upper, int g)
{
    const puna_lanes *ql = ((const puna_panel_q6_k *)unit)->ql[2 * upper];
    const puna_lanes *qh = ((const puna_panel_q6_k *)unit)->qh[upper];
    if (q < 3)
        fetch_ahead(T, q < 2 ? ql[8 * q + g] : qh[g], 64);
    const __m512i packed = load_512(ql[8 * (q % 2) + g]), top = load_512(qh[g]);
    const __m512i moved = q == 0   ? _mm512_slli_epi16(top, 4)
                          : q == 1 ? _mm512_slli_epi16(top, 2)
                          : q == 2 ? top
                                   : _mm512_srli_epi16(top, 2);
    return with_bits(q < 2 ? low_nibbles(packed) : high_nibbles(packed), moved, 0x30);
}

/* Sub-block b, quarter q of a half: acc += (d * sums of the first half + m * sums of the second) * activations' d */
INLINE void block_6(bool whole, int q, int P, int T, const packed_chunk *chunk, int32_t b, const uint8_t *act,
                    const int32_t *starts, __m512 *acc)
{
    const uint8_t *unit = chunk->units + (size_t)(b / 8) * sizeof(puna_panel_q6_k);
    const packed_scales *scales = chunk->scales + b;
    const int upper = b % 8 / 4;
    __m512 scaled[PACKED_SUMS];
    __m512i sum[PACKED_SUMS];
    READ_AGAIN(unit);
    ADD_PRODUCTS(P, T, act, starts, 2, 0, 4,
                 whole ? unpacked(chunk, b, (size_t)p, g)
                       : codes_6(q, T, unit + (size_t)p * chunk->panel_bytes, upper, g),
                 sum);
    UNROLL
    for (int i = 0; i < P * T; i++)
        scaled[i] = _mm512_mul_ps(_mm512_load_ps(scales[i / T * PACKED_CHUNK].d), _mm512_cvtepi32_ps(sum[i]));
    ADD_PRODUCTS(P, T, act, starts + 1, 2, 4, 8,
                 whole ? unpacked(chunk, b, (size_t)p, g)
                       : codes_6(q, T, unit + (size_t)p * chunk->panel_bytes, upper, g),
                 sum);
    UNROLL
    for (int i = 0; i < P * T; i++) {
        const __m512 m = _mm512_load_ps(scales[i / T * PACKED_CHUNK].m);
        scaled[i] = _mm512_fmadd_ps(m, _mm512_cvtepi32_ps(sum[i]), scaled[i]);
        acc[i] = _mm512_fmadd_ps(scaled[i], broadcast_float(act_d(T, act, i % T)), acc[i]);
    }
}

INLINE void one_block_6(bool whole, int P, int T, const packed_chunk *chunk, const uint8_t *act,
                        const packed_starts *starts, __m512 *acc)
{
    const int32_t b = chunk->first;
    if (b % 4 == 0)
        block_6(whole, 0, P, T, chunk, b, act, starts->at[b], acc);
    else if (b % 4 == 1)
        block_6(whole, 1, P, T, chunk, b, act, starts->at[b], acc);
    else if (b % 4 == 2)
        block_6(whole, 2, P, T, chunk, b, act, starts->at[b], acc);
    else
        block_6(whole, 3, P, T, chunk, b, act, starts->at[b], acc);
}

INLINE void micro_6(bool whole, int P, int T, const packed_chunk *chunk, const uint8_t *act, float *sums)
{
    __m512 acc[PACKED_SUMS];
    packed_starts starts;
    make_starts(T, chunk, act, 32, true, &starts);
    load_acc(P, T, sums, acc);
    if (chunk->n == 1)
        one_block_6(whole, P, T, chunk, act, &starts, acc);
    for (int32_t b = 0; b + 3 < chunk->n; b += 4) {
        const uint8_t *unit = chunk->units + (size_t)(b / 8) * sizeof(puna_panel_q6_k);
        UNROLL
        for (int p = 0; p < P; p++)
            if (!whole)
                fetch_ahead(T,
                            unit + (size_t)p * chunk->panel_bytes + offsetof(puna_panel_q6_k, scales) +
                                128 * (b % 8 / 4),
                            192);
        UNROLL
        for (int q = 0; q < 4; q++, act += T * PUNA_STRIP_BLOCK)
            block_6(whole, q, P, T, chunk, b + q, act, starts.at[b + q], acc);
    }
    store_acc(P, T, sums, acc);
}

/* The products of one row with the low four bits of a superblock: sum[sub-block][half]. Of sub-blocks that are high
 * nibbles 16 times what they are. */
INLINE void add_low_bits(bool near, const puna_panel_q6_k *unit, const uint8_t *act, __m512i sum[8][2])
{
    for (int i = 0; i < 4; i++) {
        const int low = i / 2 * 4 + i % 2;
        UNROLL
        for (int half = 0; half < 2; half++) {
            const __m512i zero = _mm512_setzero_si512();
            const uint8_t *at = act + low * PUNA_STRIP_BLOCK;
            __m512i lines[4];
            load_lines(near, unit->ql[i] + 4 * half, lines);
            sum[low][half] = add_lines(zero, lines, _mm512_set1_epi8(15), at, 4 * half);
            sum[low + 2][half] =
                add_lines(zero, lines, _mm512_set1_epi8((char)0xf0), at + 2 * PUNA_STRIP_BLOCK, 4 * half);
        }
    }
}

/* The same of the high two bits; what add_low_bits left 16 times too large is put right. */
INLINE void add_high_bits(bool near, const puna_panel_q6_k *unit, const uint8_t *act, __m512i sum[8][2])
{
    for (int upper = 0; upper < 2; upper++) {
        UNROLL
        for (int half = 0; half < 2; half++) {
            __m512i lines[4];
            load_lines(near, unit->qh[upper] + 4 * half, lines);
            UNROLL
            for (int q = 0; q < 4; q++) {
                __m512i *to = &sum[4 * upper + q][half];
                __m512i high = add_lines(_mm512_setzero_si512(), lines, _mm512_set1_epi8((char)(3 << 2 * q)),
                                         act + (4 * upper + q) * PUNA_STRIP_BLOCK, 4 * half);
                high = q == 3 ? _mm512_srai_epi32(high, 2) : _mm512_slli_epi32(high, (unsigned)(4 - 2 * q));
                *to = _mm512_add_epi32(q < 2 ? *to : _mm512_srai_epi32(*to, 4), high);
            }
        }
    }
}

/* Both halves of a sub-block: acc + (d * sums of the first + m * sums of the second) * activations' d */
INLINE __m512 add_halves(const uint8_t *act, __m512 d, __m512 m, const __m512i sum[2], __m512 acc)
{
    __m512 scaled = _mm512_mul_ps(d, _mm512_cvtepi32_ps(sum[0]));
    scaled = _mm512_fmadd_ps(m, _mm512_cvtepi32_ps(sum[1]), scaled);
    return _mm512_fmadd_ps(scaled, broadcast_float(act_d(1, act, 0)), acc);
}

/* The products of the rest with both halves of sub-block s. */
INLINE void rest_products_6(const puna_panel_q6_k *unit, int32_t s, const uint8_t *rest, __m512i sum[2])
{
    const puna_lanes *ql = unit->ql[s / 4 * 2 + s % 2], *qh = unit->qh[s / 4];
    const __m128i nibble = _mm_cvtsi32_si128(s % 4 / 2 * 4), top = _mm_cvtsi32_si128(s % 4 * 2);
    UNROLL
    for (int h = 0; h < 2; h++) {
        sum[h] = start_of_row(rest, 32, h);
        UNROLL
        for (int g = 4 * h; g < 4 * h + 4; g++) {
            const __m512i low =
                _mm512_and_si512(_mm512_srl_epi16(load_512(ql[g]), nibble), _mm512_set1_epi8(15));
            const __m512i high = _mm512_slli_epi16(
                _mm512_and_si512(_mm512_srl_epi16(load_512(qh[g]), top), _mm512_set1_epi8(3)), 4);
            sum[h] = _mm512_dpbusd_epi32(sum[h], _mm512_or_si512(low, high), act_codes(1, rest, 0, g));
        }
    }
}

/* One row, as row_k: low bits, which come first, and high bits are multiplied apart. */
INLINE void row_6(bool near, const packed_chunk *chunk, const uint8_t *act, float *sums)
{
    const puna_panel_q6_k *unit = (const puna_panel_q6_k *)chunk->units;
    __m512 acc = _mm512_load_ps(sums);
    __m512i rest[2];
    packed_scales of_rest = { 0 };
    for (int32_t b = 0; b < chunk->n; b += 8, unit++) {
        __m512i sum[8][2];
        alignas(64) packed_scales scales[8];
        add_low_bits(near, unit, act, sum);
        add_high_bits(near, unit, act, sum);
        UNROLL
        for (size_t i = 0; i < 5; i++)
            fetch_near(near, (const uint8_t *)unit + offsetof(puna_panel_q6_k, scales) + 64 * i);
        scales_Q6_K((const uint8_t *)unit, 8, scales);
        UNROLL
        for (int s = 0; s < 8; s++, act += PUNA_STRIP_BLOCK) {
            UNROLL
            for (int h = 0; h < 2; h++)
                sum[s][h] = _mm512_add_epi32(sum[s][h], start_of_row(act, 32, h));
            acc = add_halves(act, _mm512_load_ps(scales[s].d), _mm512_load_ps(scales[s].m), sum[s], acc);
        }
        if (b == (chunk->widest & ~7))
            of_rest = scales[chunk->widest % 8];
    }
    _mm512_store_ps(sums, acc);
    if (chunk->widest < 0)
        return;
    unit = (const puna_panel_q6_k *)chunk->units + chunk->widest / 8;
    rest_products_6(unit, chunk->widest % 8, chunk->rest, rest);
    _mm512_store_ps(
        sums, add_halves(chunk->rest, _mm512_loadu_ps(of_rest.d), _mm512_loadu_ps(of_rest.m), rest, acc));
}

static void unpack_Q6_K(const uint8_t *units, int32_t n, uint8_t *codes)
{
    for (int32_t b = 0; b < n; b += 4) {
        const uint8_t *unit = units + (size_t)(b / 8) * sizeof(puna_panel_q6_k);
        const int upper = b % 8 / 4;
        UNROLL
        for (int q = 0; q < 4; q++) {
            UNROLL
            for (int g = 0; g < 8; g++, codes += 64)
                _mm512_storeu_si512(codes, codes_6(q, 0, unit, upper, g));
        }
    }
}

/* ---- IQ4_XS ----------------------------------------------------------------------------- */

static void scales_IQ4_XS(const uint8_t *units, int32_t n, packed_scales *out)
{
    const puna_panel_iq4_xs *unit = (const puna_panel_iq4_xs *)units;
    for (int32_t b = 0; b < n; b += 8, unit++) {
        const __m512 d = halves_to_floats(unit->d[0]);
        UNROLL
        for (int s = 0; s < 8; s++) {
            const __m128i lows = load_128(unit->scales[s / 2]), tops = load_128(unit->top[s / 4]);
            const __m128i low = _mm_and_si128(s % 2 ? _mm_srli_epi16(lows, 4) : lows, _mm_set1_epi8(15));
            const __m128i moved = s % 4 == 0   ? _mm_slli_epi16(tops, 4)
                                  : s % 4 == 1 ? _mm_slli_epi16(tops, 2)
                                  : s % 4 == 2 ? tops
                                               : _mm_srli_epi16(tops, 2);
            const __m128i scale = _mm_or_si128(low, _mm_and_si128(moved, _mm_set1_epi8(0x30)));
            store_scaled(out[b + s].d, _mm_sub_epi8(scale, _mm_set1_epi8(32)), d);
        }
    }
}

/* Lane g from its line; steps are made unsigned by 128. */
INLINE __m512i codes_of_iq4(__m512i line, int g)
{
    return look_up(puna_iq4_values, 128, g < 4 ? low_nibbles(line) : high_nibbles(line));
}

INLINE __m512i codes_iq4(int T, const puna_lanes qs[4], int g)
{
    if (g < 4)
        fetch_ahead(T, qs[g], 64);
    return codes_of_iq4(load_512(qs[g % 4]), g);
}

static void unpack_IQ4_XS(const uint8_t *units, int32_t n, uint8_t *codes)
{
    const puna_panel_iq4_xs *unit = (const puna_panel_iq4_xs *)units;
    for (int32_t b = 0; b < n; b++) {
        UNROLL
        for (int g = 0; g < 8; g++, codes += 64)
            _mm512_storeu_si512(codes, codes_iq4(0, unit[b / 8].qs[b % 8], g));
    }
}

INLINE void micro_iq4_xs(int P, int T, const packed_chunk *chunk, const uint8_t *act, float *sums)
{
    __m512 acc[PACKED_SUMS];
    packed_starts starts;
    make_starts(T, chunk, act, 128, false, &starts);
    load_acc(P, T, sums, acc);
    for (int32_t b = chunk->first; b < chunk->first + chunk->n; b++, act += T * PUNA_STRIP_BLOCK) {
        const uint8_t *unit = chunk->units + (size_t)(b / 8) * sizeof(puna_panel_iq4_xs);
        __m512i sum[PACKED_SUMS];
        UNROLL
        for (int p = 0; p < P; p++)
            if (b % 8 == 0)
                fetch_ahead(T, unit + (size_t)p * chunk->panel_bytes + offsetof(puna_panel_iq4_xs, scales),
                            128);
        ADD_PRODUCTS(
            P, T, act, starts.at[b], 1, 0, 8,
            codes_iq4(T, ((const puna_panel_iq4_xs *)(unit + (size_t)p * chunk->panel_bytes))->qs[b % 8], g),
            sum);
        add_scaled(P, T, act, chunk->scales + b, false, sum, acc);
    }
    store_acc(P, T, sums, acc);
}

/* A sub-block of one row. */
INLINE __m512i row_products_iq4(bool near, const puna_lanes qs[4], const uint8_t *act)
{
    __m512i sum = start_of_row(act, 128, -1), lanes[8], lines[4];
    broadcast_four(act, 0, lanes);
    broadcast_four(act, 4, lanes + 4);
    load_lines(near, qs, lines);
    UNROLL
    for (int g = 0; g < 8; g++)
        sum = _mm512_dpbusd_epi32(sum, codes_of_iq4(lines[g % 4], g), lanes[g]);
    return sum;
}

/* One row, as row_k. */
INLINE void row_iq4_xs(bool near, const packed_chunk *chunk, const uint8_t *act, float *sums)
{
    const puna_panel_iq4_xs *unit = (const puna_panel_iq4_xs *)chunk->units;
    __m512 acc = _mm512_load_ps(sums);
    packed_scales of_rest = { 0 };
    for (int32_t b = 0; b < chunk->n; b += 8, unit++) {
        __m512i sum[8];
        alignas(64) packed_scales scales[8];
        for (int s = 0; s < 8; s++)
            sum[s] = row_products_iq4(near, unit->qs[s], act + s * PUNA_STRIP_BLOCK);
        fetch_near(near, unit->scales);
        fetch_near(near, unit->top);
        scales_IQ4_XS((const uint8_t *)unit, 8, scales);
        UNROLL
        for (int s = 0; s < 8; s++, act += PUNA_STRIP_BLOCK)
            acc = add_scaled_row(act, _mm512_load_ps(scales[s].d), NULL, sum[s], acc);
        if (b == (chunk->widest & ~7))
            of_rest = scales[chunk->widest % 8];
    }
    _mm512_store_ps(sums, acc);
    if (chunk->widest < 0)
        return;
    unit = (const puna_panel_iq4_xs *)chunk->units + chunk->widest / 8;
    const __m512i rest = row_products_iq4(false, unit->qs[chunk->widest % 8], chunk->rest);
    _mm512_store_ps(sums, add_scaled_row(chunk->rest, _mm512_loadu_ps(of_rest.d), NULL, rest, acc));
}

/* ---- rows of kernels.def ---------------------------------------------------------------- */

PACKED(Q4_K, q4_k, 8, micro_k(false, false, P, T, chunk, act, sums), row_k(false, NEAR, chunk, act, sums))
PACKED_DEAR(Q5_K, q5_k, 8, micro_k(true, false, P, T, chunk, act, sums),
            micro_k(true, true, P, T, chunk, act, sums), row_k(true, NEAR, chunk, act, sums))
PACKED_DEAR(Q6_K, q6_k, 8, micro_6(false, P, T, chunk, act, sums), micro_6(true, P, T, chunk, act, sums),
            row_6(NEAR, chunk, act, sums))
PACKED(IQ4_XS, iq4_xs, 8, micro_iq4_xs(P, T, chunk, act, sums), row_iq4_xs(NEAR, chunk, act, sums))
AMX_SOURCE(Q4_K, q4_k, 8, PUNA_AMX_MINIMA, 0)
AMX_SOURCE(Q5_K, q5_k, 8, PUNA_AMX_MINIMA, 0)
AMX_SOURCE(Q6_K, q6_k, 8, PUNA_AMX_HALVES, 32)
AMX_SOURCE(IQ4_XS, iq4_xs, 8, PUNA_AMX_PLAIN, 128)
