/* packed_k_avx512.c - packed superblocks of 256: Q4_K, Q5_K, Q6_K, IQ4_XS. Scales of sub-blocks are
 * turned into floats once for a chunk. */
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
INLINE __m512i codes_k(bool five_bits, bool odd, int T, const puna_lanes qs[8], const puna_lanes qh[8],
                       __m512i rotation, int g)
{
    if (!odd)
        fetch_ahead(T, qs[g], 64);
    const __m512i packed = load_512(qs[g]);
    if (!five_bits && odd)
        return _mm512_and_si512(packed, _mm512_set1_epi8((char)0xf0));
    const __m512i codes = odd ? high_nibbles(packed) : low_nibbles(packed);
    return five_bits ? with_bits(codes, _mm512_rolv_epi32(load_512(qh[g]), rotation), 16) : codes;
}

INLINE void micro_k(bool five_bits, int T, const packed_chunk *chunk, const uint8_t *first, float *sums)
{
    __m512 acc[PACKED_TOKENS];
    const size_t bytes = five_bits ? sizeof(puna_panel_q5_k) : sizeof(puna_panel_q4_k);
    act_block act = act_first(T, chunk, first);
    load_acc(T, sums, acc);
    for (int32_t b = 0; b < chunk->n; b += 2) {
        const uint8_t *unit = chunk->units + (size_t)(b / 8) * bytes;
        const puna_lanes *qs = ((const puna_panel_q4_k *)unit)->qs[b % 8 / 2];
        const puna_lanes *qh = five_bits ? ((const puna_panel_q5_k *)unit)->qh : NULL;
        fetch_ahead(T, unit + 2048 + (size_t)(b % 8 / 2) * (bytes / 4 - 512), bytes / 4 - 512);
        UNROLL
        for (int odd = 0; odd < 2; odd++, act = act_next(T, act, 1)) {
            const __m512i rotation = _mm512_set1_epi32((4 - b % 8 - odd) & 31);
            __m512i sum[PACKED_TOKENS];
            READ_AGAIN(qh);
            ADD_PRODUCTS(T, act, NULL, 1, 0, 8, codes_k(five_bits, odd, T, qs, qh, rotation, g), sum);
            add_scaled(T, act, chunk->scales + b + odd, true, sum, acc);
        }
    }
    store_acc(T, sums, acc);
}

INLINE void unpack_k(bool five_bits, size_t bytes, const uint8_t *unit, int32_t n, uint8_t *codes)
{
    for (int32_t b = 0; b < n; b++, codes += PACKED_BLOCK) {
        const puna_panel_q4_k *at = (const puna_panel_q4_k *)(unit + (size_t)(b / 8) * bytes);
        const puna_lanes *qh = five_bits ? ((const puna_panel_q5_k *)at)->qh : NULL;
        const __m512i rotation = _mm512_set1_epi32((4 - b % 8) & 31);
        UNROLL
        for (int g = 0; g < 8; g++)
            _mm512_storeu_si512(codes + 64 * g,
                                codes_k(five_bits, b % 2, 0, at->qs[b % 8 / 2], qh, rotation, g));
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
INLINE __m512i codes_6(int q, int T, const puna_lanes ql[16], const puna_lanes qh[8], int g)
{
    if (q < 3)
        fetch_ahead(T, q < 2 ? ql[8 * q + g] : qh[g], 64);
    const __m512i packed = load_512(ql[8 * (q % 2) + g]), top = load_512(qh[g]);
    const __m512i moved = q == 0   ? _mm512_slli_epi16(top, 4)
                          : q == 1 ? _mm512_slli_epi16(top, 2)
                          : q == 2 ? top
                                   : _mm512_srli_epi16(top, 2);
    return with_bits(q < 2 ? low_nibbles(packed) : high_nibbles(packed), moved, 0x30);
}

/* acc += (d * sums of the first half + m * sums of the second) * activations' d */
INLINE void block_6(int q, int T, const puna_lanes ql[16], const puna_lanes qh[8], act_block act,
                    const packed_scales *scales, const int32_t *starts, __m512 *acc)
{
    const __m512 d = _mm512_load_ps(scales->d), m = _mm512_load_ps(scales->m);
    __m512 scaled[PACKED_TOKENS];
    __m512i sum[PACKED_TOKENS];
    READ_AGAIN(ql);
    READ_AGAIN(qh);
    ADD_PRODUCTS(T, act, starts, 2, 0, 4, codes_6(q, T, ql, qh, g), sum);
    UNROLL
    for (int i = 0; i < T; i++)
        scaled[i] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(sum[i]));
    ADD_PRODUCTS(T, act, starts + 1, 2, 4, 8, codes_6(q, T, ql, qh, g), sum);
    UNROLL
    for (int i = 0; i < T; i++) {
        scaled[i] = _mm512_fmadd_ps(m, _mm512_cvtepi32_ps(sum[i]), scaled[i]);
        acc[i] = _mm512_fmadd_ps(scaled[i], broadcast_float(act_d(T, act, i)), acc[i]);
    }
}

INLINE void micro_6(int T, const packed_chunk *chunk, const uint8_t *first, float *sums)
{
    __m512 acc[PACKED_TOKENS];
    packed_starts starts;
    act_block act = act_first(T, chunk, first);
    make_starts(T, chunk, first, 32, true, &starts);
    load_acc(T, sums, acc);
    for (int32_t b = 0; b < chunk->n; b += 4) {
        const puna_panel_q6_k *unit = (const puna_panel_q6_k *)chunk->units + b / 8;
        const int upper = b % 8 / 4;
        fetch_ahead(T, unit->scales[8 * upper], 192);
        UNROLL
        for (int q = 0; q < 4; q++, act = act_next(T, act, 1))
            block_6(q, T, unit->ql[2 * upper], unit->qh[upper], act, chunk->scales + b + q, starts.at[b + q], acc);
    }
    store_acc(T, sums, acc);
}

static void unpack_Q6_K(const uint8_t *units, int32_t n, uint8_t *codes)
{
    for (int32_t b = 0; b < n; b += 4) {
        const puna_panel_q6_k *unit = (const puna_panel_q6_k *)units + b / 8;
        const int upper = b % 8 / 4;
        UNROLL
        for (int q = 0; q < 4; q++) {
            UNROLL
            for (int g = 0; g < 8; g++, codes += 64)
                _mm512_storeu_si512(codes, codes_6(q, 0, unit->ql[2 * upper], unit->qh[upper], g));
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

/* Steps are made unsigned by 128. */
INLINE __m512i codes_iq4(int T, const puna_lanes qs[4], int g)
{
    if (g < 4)
        fetch_ahead(T, qs[g], 64);
    const __m512i packed = load_512(qs[g % 4]);
    return look_up(puna_iq4_values, 128, g < 4 ? low_nibbles(packed) : high_nibbles(packed));
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

INLINE void micro_iq4_xs(int T, const packed_chunk *chunk, const uint8_t *first, float *sums)
{
    __m512 acc[PACKED_TOKENS];
    packed_starts starts;
    act_block act = act_first(T, chunk, first);
    make_starts(T, chunk, first, 128, false, &starts);
    load_acc(T, sums, acc);
    for (int32_t b = 0; b < chunk->n; b++, act = act_next(T, act, 1)) {
        const puna_panel_iq4_xs *unit = (const puna_panel_iq4_xs *)chunk->units + b / 8;
        const puna_lanes *qs = unit->qs[b % 8];
        __m512i sum[PACKED_TOKENS];
        if (b % 8 == 0)
            fetch_ahead(T, unit->scales, 128);
        ADD_PRODUCTS(T, act, starts.at[b], 1, 0, 8, codes_iq4(T, qs, g), sum);
        add_scaled(T, act, chunk->scales + b, false, sum, acc);
    }
    store_acc(T, sums, acc);
}

/* ---- rows of kernels.def ---------------------------------------------------------------- */

PACKED(Q4_K, q4_k, 8, micro_k(false, T, chunk, act, sums))
PACKED(Q5_K, q5_k, 8, micro_k(true, T, chunk, act, sums))
PACKED(Q6_K, q6_k, 8, micro_6(T, chunk, act, sums))
PACKED(IQ4_XS, iq4_xs, 8, micro_iq4_xs(T, chunk, act, sums))
AMX_SOURCE(Q4_K, q4_k, 8, PUNA_AMX_MINIMA, 0)
AMX_SOURCE(Q5_K, q5_k, 8, PUNA_AMX_MINIMA, 0)
AMX_SOURCE(Q6_K, q6_k, 8, PUNA_AMX_HALVES, 32)
AMX_SOURCE(IQ4_XS, iq4_xs, 8, PUNA_AMX_PLAIN, 128)
