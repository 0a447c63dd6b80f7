/* linear_k16_avx2.c - the K types with small integer scales for 16 values: Q2_K, Q3_K, Q6_K.
 *
 * dot: a vector of 32 codes holds two sub-blocks, one in each lane; their scales multiply the
 * 16-bit sums of products (madd with the scale in the place of ones); the activations' scale is
 * applied per 32, the superblock's own once. */
#include "backend/cpu/x86/tile_avx2.h"

/* A superblock's parts that are not codes. offset: codes stand for q - offset. */
typedef struct scales_16 {
    int8_t scale[16], min[16];
    float d, dmin;
    int offset;
} scales_16;

/* How a format is read; constants after inlining. codes: those of sub-blocks 4 j to 4 j + 3 of 32. */
typedef void codes_fn(const uint8_t *superblock, int j, __m256i codes[4]);
typedef scales_16 scales_fn(const uint8_t *superblock);

INLINE void codes_q6_k(const uint8_t *superblock, int j, __m256i codes[4])
{
    const puna_block_q6_k *w = (const puna_block_q6_k *)superblock;
    const __m256i mask = _mm256_set1_epi8(0x30);
    const __m256i low0 = load_256(w->ql + 64 * j), low1 = load_256(w->ql + 64 * j + 32);
    const __m256i high = load_256(w->qh + 32 * j);
    codes[0] = _mm256_or_si256(low_nibbles(low0), _mm256_and_si256(_mm256_slli_epi16(high, 4), mask));
    codes[1] = _mm256_or_si256(low_nibbles(low1), _mm256_and_si256(_mm256_slli_epi16(high, 2), mask));
    codes[2] = _mm256_or_si256(high_nibbles(low0), _mm256_and_si256(high, mask));
    codes[3] = _mm256_or_si256(high_nibbles(low1), _mm256_and_si256(_mm256_srli_epi16(high, 2), mask));
}

INLINE void two_bits(const uint8_t *qs, __m256i codes[4])
{
    const __m256i packed = load_256(qs), mask = _mm256_set1_epi8(3);
    UNROLL
    for (int k = 0; k < 4; k++)
        codes[k] = _mm256_and_si256(_mm256_srli_epi16(packed, 2 * k), mask);
}

INLINE void codes_q2_k(const uint8_t *superblock, int j, __m256i codes[4])
{
    two_bits(((const puna_block_q2_k *)superblock)->qs + 32 * j, codes);
}

INLINE void codes_q3_k(const uint8_t *superblock, int j, __m256i codes[4])
{
    const puna_block_q3_k *w = (const puna_block_q3_k *)superblock;
    const __m256i high = load_256(w->hmask), four = _mm256_set1_epi8(4);
    two_bits(w->qs + 32 * j, codes);
    UNROLL
    for (int k = 0; k < 4; k++) {
        const __m256i bit = _mm256_set1_epi8((char)(1 << (4 * j + k)));
        const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(high, bit), bit);
        codes[k] = _mm256_or_si256(codes[k], _mm256_and_si256(set, four));
    }
}

INLINE scales_16 scales_q6_k(const uint8_t *superblock)
{
    const puna_block_q6_k *w = (const puna_block_q6_k *)superblock;
    scales_16 s = { .d = puna_load_f16(w->d), .offset = 32 };
    memcpy(s.scale, w->scales, sizeof s.scale);
    return s;
}

INLINE scales_16 scales_q3_k(const uint8_t *superblock)
{
    const puna_block_q3_k *w = (const puna_block_q3_k *)superblock;
    scales_16 s = { .d = puna_load_f16(w->d), .offset = 4 };
    const uint32_t low = puna_load_u32(w->scales), next = puna_load_u32(w->scales + 4);
    const uint32_t high = puna_load_u32(w->scales + 8), nibbles = 0x0f0f0f0f, pairs = 0x30303030;
    const __m128i all = _mm_set_epi32(
        (int)((next >> 4 & nibbles) | (high >> 2 & pairs)), (int)((low >> 4 & nibbles) | (high & pairs)),
        (int)((next & nibbles) | (high << 2 & pairs)), (int)((low & nibbles) | (high << 4 & pairs)));
    _mm_storeu_si128((__m128i *)(void *)s.scale, _mm_sub_epi8(all, _mm_set1_epi8(32)));
    return s;
}

INLINE scales_16 scales_q2_k(const uint8_t *superblock)
{
    const puna_block_q2_k *w = (const puna_block_q2_k *)superblock;
    scales_16 s = { .d = puna_load_f16(w->d), .dmin = puna_load_f16(w->dmin) };
    const __m128i packed = load_128(w->scales), mask = _mm_set1_epi8(15);
    _mm_storeu_si128((__m128i *)(void *)s.scale, _mm_and_si128(packed, mask));
    _mm_storeu_si128((__m128i *)(void *)s.min, _mm_and_si128(_mm_srli_epi16(packed, 4), mask));
    return s;
}

/* Products of codes less the offset, added by pairs: large terms must not meet in float. */
INLINE __m256i multiply(__m256i codes, __m256i q, int offset)
{
    const __m256i p = _mm256_maddubs_epi16(codes, q);
    return offset ? _mm256_sub_epi16(p, _mm256_maddubs_epi16(_mm256_set1_epi8((char)offset), q)) : p;
}

INLINE float dot_k16(const uint8_t *w, puna_act_view a, int32_t n, size_t bytes, codes_fn *read,
                     scales_fn *scales)
{
    __m256 acc = _mm256_setzero_ps();
    for (int32_t i = 0; i < n; i++, w += bytes) {
        const int8_t *q = a.q + i * PUNA_SUPERBLOCK;
        const float *d = a.d + 8 * i;
        const scales_16 small = scales(w);
        const __m128i scale_bytes = load_128(small.scale);
        __m256 p = _mm256_setzero_ps();
        UNROLL
        for (int j = 0; j < 2; j++) {
            __m256i codes[4];
            read(w, j, codes);
            UNROLL
            for (int k = 0; k < 4; k++) {
                const int s = 4 * j + k;
                /* Scale 2 s in the low lane, 2 s + 1 in the high one. */
                const __m128i order =
                    _mm_set_epi64x(0x0101010101010101 * (2 * s + 1), 0x0101010101010101 * (2 * s));
                const __m256i scale = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(scale_bytes, order));
                const __m256i m = multiply(codes[k], load_256(q + 32 * s), small.offset);
                p = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_madd_epi16(m, scale)),
                                    _mm256_broadcast_ss(d + s), p);
            }
        }
        acc = _mm256_fmadd_ps(p, _mm256_set1_ps(small.d), acc);
        if (small.offset == 0) {
            /* Minima times sums, added by pairs: one number for each block of activations. */
            const __m256i m =
                _mm256_madd_epi16(_mm256_cvtepi8_epi16(load_128(small.min)), load_256(a.sums + 16 * i));
            const __m256 minima = _mm256_mul_ps(_mm256_cvtepi32_ps(m), _mm256_loadu_ps(d));
            acc = _mm256_fnmadd_ps(minima, _mm256_set1_ps(small.dmin), acc);
        }
    }
    return sum_8(acc);
}

/* One row's scales to its lane of the superblock's 8 blocks of a panel. */
INLINE void unpack_scales(scales_16 small, int lane, uint8_t *panel)
{
    for (int s = 0; s < 8; s++) {
        panel_scales *scales = panel_scales_at(panel + s * PANEL_STRIDE);
        scales->d[lane] = small.d;
        scales->m[lane] = -small.dmin;
        for (int i = 0; i < 2; i++) {
            const int scale = small.scale[2 * s + i];
            scales->sub[i][lane][0] = scales->sub[i][lane][1] = (int16_t)scale;
            scales->offset[lane][i] = (int16_t)(small.offset ? -small.offset * scale : small.min[2 * s + i]);
        }
    }
}

INLINE void unpack_k16(const panel_source *source, int32_t first, int32_t n, uint8_t *panel, size_t bytes,
                       codes_fn *read, scales_fn *scales)
{
    for (int32_t b = 0; b < n; b += 8, panel += 8 * PANEL_STRIDE) {
        const size_t at = (size_t)(first + b) / 8 * bytes;
        for (int half = 0; half < 2; half++) {
            UNROLL
            for (int j = 0; j < 2; j++) {
                __m256i codes[8][4];
                for (int i = 0; i < 8; i++)
                    read(source->row[8 * half + i] + at, j, codes[i]);
                for (int k = 0; k < 4; k++) {
                    __m256i v[8];
                    UNROLL
                    for (int i = 0; i < 8; i++)
                        v[i] = codes[i][k];
                    transpose_8x8(v);
                    store_codes(panel + (4 * j + k) * PANEL_STRIDE, half, 0, v, 8);
                }
            }
        }
        for (int i = 0; i < PUNA_TILE_ROWS; i++)
            unpack_scales(scales(source->row[i] + at), i, panel);
    }
}

#define KERNELS(format, name, micro)                                                                         \
    INLINE float dot_row_##name(const uint8_t *w, const void *act, int32_t n_in)                             \
    {                                                                                                        \
        return dot_k16(w, puna_act_at(act, n_in), n_in / PUNA_SUPERBLOCK, sizeof(puna_block_##name),         \
                       codes_##name, scales_##name);                                                         \
    }                                                                                                        \
    void puna_dot_##format##_avx2(const puna_linear_call *call)                                              \
    {                                                                                                        \
        dot_all(call, dot_row_##name);                                                                       \
    }                                                                                                        \
    static void unpack_##name(const panel_source *source, int32_t first, int32_t n, uint8_t *panel)          \
    {                                                                                                        \
        unpack_k16(source, first, n, panel, sizeof(puna_block_##name), codes_##name, scales_##name);         \
    }                                                                                                        \
    void puna_tile_##format##_avx2(const puna_linear_call *call)                                             \
    {                                                                                                        \
        puna_tile_all_avx2(call, unpack_##name, micro);                                                      \
    }

KERNELS(Q2_K, q2_k, puna_micro_2_bits_avx2)
KERNELS(Q3_K, q3_k, puna_micro_6_bits_avx2)
KERNELS(Q6_K, q6_k, puna_micro_6_bits_avx2)
