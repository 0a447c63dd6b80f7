/* linear_ternary_avx2.c - codes of one or two bits, or base 3, with one scale for a block: Q1_0,
 * Q2_0, TQ1_0, TQ2_0. All become codes 0..3 that stand for one less (Q1_0: 0 and 2); products less
 * the activations are added by pairs, since large terms must not meet in float. */
#include "backend/cpu/x86/blocks_avx2.h"

#define ROWS 2 /* of weights at a time */

/* The codes of one block, 32 a vector. */
typedef void codes_fn(const uint8_t *block, __m256i *codes);

INLINE void codes_q1_0(const uint8_t *block, __m256i *codes)
{
    const puna_block_q1_0 *w = (const puna_block_q1_0 *)block;
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
    const __m256i order =
        _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    UNROLL
    for (int s = 0; s < 4; s++) {
        const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(load_i32(w->qs + 4 * s)), order);
        const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
        codes[s] = _mm256_and_si256(set, _mm256_set1_epi8(2));
    }
}

/* A byte holds four neighbours: it goes to bits 0, 6, 12 and 18 of a lane, whose bytes then have one
 * each in their lowest bits. */
INLINE void codes_q2_0(const uint8_t *block, __m256i *codes)
{
    const puna_block_q2_0 *w = (const puna_block_q2_0 *)block;
    UNROLL
    for (int s = 0; s < 2; s++) {
        __m256i v = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(w->qs + 8 * s)));
        v = _mm256_or_si256(v, _mm256_slli_epi32(v, 12));
        v = _mm256_or_si256(v, _mm256_slli_epi32(v, 6));
        codes[s] = _mm256_and_si256(v, _mm256_set1_epi8(3));
    }
}

INLINE void codes_tq2_0(const uint8_t *block, __m256i *codes)
{
    const puna_block_tq2_0 *w = (const puna_block_tq2_0 *)block;
    UNROLL
    for (int s = 0; s < 8; s++) {
        const __m256i packed = load_256(w->qs + s / 4 * 32);
        codes[s] = _mm256_and_si256(_mm256_srli_epi16(packed, s % 4 * 2), _mm256_set1_epi8(3));
    }
}

/* Three times a byte, modulo 256: the next digit comes to the top. */
INLINE __m256i next_digit(__m256i v)
{
    return _mm256_add_epi8(v, _mm256_add_epi8(v, v));
}

/* The first digit of a fraction of 256: 0, 1 from 86/256 on, 2 from 171/256 on. */
INLINE __m256i first_digit(__m256i v)
{
    const __m256i biased = _mm256_xor_si256(v, _mm256_set1_epi8((char)0x80));
    const __m256i one = _mm256_cmpgt_epi8(biased, _mm256_set1_epi8(85 - 128)),
                  two = _mm256_cmpgt_epi8(biased, _mm256_set1_epi8(170 - 128));
    return _mm256_abs_epi8(_mm256_add_epi8(one, two));
}

/* Five digits of 32 bytes, five of 16 bytes and four of 4 bytes. */
INLINE void codes_tq1_0(const uint8_t *block, __m256i *codes)
{
    const puna_block_tq1_0 *w = (const puna_block_tq1_0 *)block;
    __m256i v = load_256(w->qs);
    UNROLL
    for (int s = 0; s < 5; s++) {
        codes[s] = first_digit(v);
        v = next_digit(v);
    }
    v = _mm256_broadcastsi128_si256(load_128(w->qs + 32));
    v = _mm256_blend_epi32(v, next_digit(v), 0xf0); /* digits 0 and 1 */
    codes[5] = first_digit(v);
    v = next_digit(next_digit(v));
    codes[6] = first_digit(v);
    v = next_digit(next_digit(v));
    __m256i last = _mm256_set1_epi32(load_i32(w->qh));
    last = _mm256_blend_epi32(last, next_digit(last), 0xaa);
    last = _mm256_blend_epi32(last, next_digit(next_digit(last)), 0xcc);
    codes[7] = first_digit(_mm256_blend_epi32(v, last, 0xf0));
}

/* How a format lies in memory; constants after inlining. per: 32s in a block. */
typedef struct ternary {
    size_t bytes, d_at;
    int per;
    codes_fn *read;
} ternary;

/* `rows` rows of weights with one row of activations, whose sums by pairs they share. */
INLINE void dot_ternary(const uint8_t *w, size_t row_bytes, puna_act_view a, int32_t n, int rows, ternary t,
                        float *y)
{
    const __m256i one = _mm256_set1_epi8(1), ones = _mm256_set1_epi16(1);
    __m256 acc[ROWS];
    UNROLL
    for (int k = 0; k < rows; k++)
        acc[k] = _mm256_setzero_ps();
    for (int32_t i = 0; i < n; i++, w += t.bytes) {
        const int8_t *q = a.q + i * t.per * PUNA_ACT_BLOCK;
        const float *d = a.d + i * t.per;
        __m256i codes[ROWS][8];
        __m256 sums[ROWS];
        UNROLL
        for (int k = 0; k < rows; k++)
            t.read(w + (size_t)k * row_bytes, codes[k]);
        UNROLL
        for (int s = 0; s < t.per; s++) {
            const __m256i x = load_256(q + s * PUNA_ACT_BLOCK), less = _mm256_maddubs_epi16(one, x);
            const __m256 scale = _mm256_broadcast_ss(d + s);
            UNROLL
            for (int k = 0; k < rows; k++) {
                const __m256i p = _mm256_sub_epi16(_mm256_maddubs_epi16(codes[k][s], x), less);
                const __m256 v = _mm256_cvtepi32_ps(_mm256_madd_epi16(p, ones));
                sums[k] = s == 0 ? _mm256_mul_ps(v, scale) : _mm256_fmadd_ps(v, scale, sums[k]);
            }
        }
        UNROLL
        for (int k = 0; k < rows; k++)
            acc[k] = _mm256_fmadd_ps(
                sums[k], _mm256_set1_ps(puna_load_f16(w + (size_t)k * row_bytes + t.d_at)), acc[k]);
    }
    UNROLL
    for (int k = 0; k < rows; k++)
        y[k] = sum_8(acc[k]);
}

INLINE void dot_ternary_all(const puna_linear_call *call, ternary t)
{
    const int32_t n = call->n_in / (t.per * PUNA_ACT_BLOCK);
    for (int32_t o = call->begin, rows; o < call->end; o += rows) {
        const uint8_t *w = puna_call_row(call, o);
        rows = call->end - o < ROWS ? 1 : ROWS;
        prefetch_row(w, (size_t)rows * call->row_bytes);
        for (int32_t r = 0; r < call->n_rows; r++) {
            const puna_act_view a = puna_act_at(puna_call_act(call, r), call->n_in);
            float *y = call->y + (size_t)r * call->y_stride + (size_t)o;
            if (rows == ROWS)
                dot_ternary(w, call->row_bytes, a, n, ROWS, t, y);
            else
                dot_ternary(w, call->row_bytes, a, n, 1, t, y);
        }
    }
}

/* For the microkernel of Q4_0, which takes 8 from a code. */
INLINE void read_ternary(const uint8_t *block, __m256i codes[8], float scales[8][2], size_t d_at, int per,
                         codes_fn *read)
{
    const float d = puna_load_f16(block + d_at);
    read(block, codes);
    UNROLL
    for (int s = 0; s < per; s++) {
        codes[s] = _mm256_add_epi8(codes[s], _mm256_set1_epi8(7));
        scales[s][0] = scales[s][1] = d;
    }
}

#define KERNELS(format, name, per)                                                                           \
    void puna_dot_##format##_avx2(const puna_linear_call *call)                                              \
    {                                                                                                        \
        dot_ternary_all(call, (ternary){ sizeof(puna_block_##name), offsetof(puna_block_##name, d), per,     \
                                         codes_##name });                                                    \
    }                                                                                                        \
    INLINE void read_##name(const uint8_t *block, __m256i codes[8], float scales[8][2])                      \
    {                                                                                                        \
        read_ternary(block, codes, scales, offsetof(puna_block_##name, d), per, codes_##name);               \
    }                                                                                                        \
    BLOCK_TILE(format, name, per, read_##name, puna_micro_q4_0_avx2)

KERNELS(Q1_0, q1_0, 4)
KERNELS(Q2_0, q2_0, 2)
KERNELS(TQ1_0, tq1_0, 8)
KERNELS(TQ2_0, tq2_0, 8)
