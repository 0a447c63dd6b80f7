/* tile_avx2.c - the integer microkernels and the loops over panels around them. Refuses to know
 * formats: they are unpacked by the linear_*_avx2.c files. */
#include "backend/cpu/x86/tile_avx2.h"

/* Codes of 4 bits, whose products of 8 groups fit in 16 bits, or of 5 (4 groups), with d for 32
 * and m, or value = d * (q - offset). */
INLINE void micro_unsigned(const uint8_t *panel, int32_t n, const tile *t, int tokens, int groups, int offset)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256 acc[TILE_TOKENS][2];
    UNROLL
    for (int i = 0; i < tokens; i++)
        acc[i][0] = acc[i][1] = _mm256_setzero_ps();
    for (int32_t b = 0; b < n; b++, panel += PANEL_STRIDE) {
        const panel_scales *scales = (const panel_scales *)(const void *)(panel + PANEL_CODES);
        __m256i wide[TILE_TOKENS][2];
        UNROLL
        for (int g0 = 0; g0 < 8; g0 += groups) {
            __m256i sum[TILE_TOKENS][2];
            UNROLL
            for (int g = g0; g < g0 + groups; g++) {
                const __m256i w0 = load_256(panel + g * 64), w1 = load_256(panel + g * 64 + 32);
                UNROLL
                for (int i = 0; i < tokens; i++) {
                    const __m256i a = broadcast_codes(t->q[i] + b * 32 + g * 4);
                    const __m256i p0 = _mm256_maddubs_epi16(w0, a), p1 = _mm256_maddubs_epi16(w1, a);
                    sum[i][0] = g == g0 ? p0 : _mm256_add_epi16(sum[i][0], p0);
                    sum[i][1] = g == g0 ? p1 : _mm256_add_epi16(sum[i][1], p1);
                    KEEP(sum[i][0]);
                    KEEP(sum[i][1]);
                }
            }
            UNROLL
            for (int i = 0; i < tokens; i++) {
                const __m256i p0 = _mm256_madd_epi16(sum[i][0], ones),
                              p1 = _mm256_madd_epi16(sum[i][1], ones);
                wide[i][0] = g0 == 0 ? p0 : _mm256_add_epi32(wide[i][0], p0);
                wide[i][1] = g0 == 0 ? p1 : _mm256_add_epi32(wide[i][1], p1);
            }
        }
        UNROLL
        for (int i = 0; i < tokens; i++) {
            const __m256 d = _mm256_broadcast_ss(t->d[i] + b), s = _mm256_broadcast_ss(t->s[i] + b);
            const __m256i less = _mm256_madd_epi16(_mm256_set1_epi32(load_i32(t->sums[i] + 2 * b)),
                                                   _mm256_set1_epi16((short)offset));
            UNROLL
            for (int h = 0; h < 2; h++) {
                const __m256i sum = offset ? _mm256_sub_epi32(wide[i][h], less) : wide[i][h];
                const __m256 scaled = _mm256_mul_ps(d, _mm256_cvtepi32_ps(sum));
                acc[i][h] = _mm256_fmadd_ps(_mm256_load_ps(scales->d + 8 * h), scaled, acc[i][h]);
                if (!offset)
                    acc[i][h] = _mm256_fmadd_ps(_mm256_load_ps(scales->m + 8 * h), s, acc[i][h]);
            }
        }
    }
    store_tile(t, tokens, acc);
}

/* Codes -128..127 with d for 32: the weight's sign moves to the activation. */
INLINE void micro_signed(const uint8_t *panel, int32_t n, const tile *t, int tokens)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256 acc[TILE_TOKENS][2];
    UNROLL
    for (int i = 0; i < tokens; i++)
        acc[i][0] = acc[i][1] = _mm256_setzero_ps();
    for (int32_t b = 0; b < n; b++, panel += PANEL_STRIDE) {
        const panel_scales *scales = (const panel_scales *)(const void *)(panel + PANEL_CODES);
        __m256i wide[TILE_TOKENS][2];
        UNROLL
        for (int g = 0; g < 8; g++) {
            UNROLL
            for (int h = 0; h < 2; h++) {
                const __m256i w = load_256(panel + g * 64 + h * 32), magnitude = _mm256_abs_epi8(w);
                UNROLL
                for (int i = 0; i < tokens; i++) {
                    const __m256i a = _mm256_sign_epi8(broadcast_codes(t->q[i] + b * 32 + g * 4), w);
                    const __m256i p = _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude, a), ones);
                    wide[i][h] = g == 0 ? p : _mm256_add_epi32(wide[i][h], p);
                    KEEP(wide[i][h]);
                }
            }
        }
        UNROLL
        for (int i = 0; i < tokens; i++) {
            const __m256 d = _mm256_broadcast_ss(t->d[i] + b);
            UNROLL
            for (int h = 0; h < 2; h++) {
                const __m256 scaled = _mm256_mul_ps(d, _mm256_cvtepi32_ps(wide[i][h]));
                acc[i][h] = _mm256_fmadd_ps(_mm256_load_ps(scales->d + 8 * h), scaled, acc[i][h]);
            }
        }
    }
    store_tile(t, tokens, acc);
}

/* Sums of 16 activations times the offsets of their sub-blocks, for 8 rows. */
INLINE __m256i offset_sums(const panel_scales *scales, int half, const int16_t *sums)
{
    return _mm256_madd_epi16(load_256(scales->offset[8 * half]), _mm256_set1_epi32(load_i32(sums)));
}

/* Codes 0..63 with a small integer scale for 16 and d for all: the scales multiply where other
 * kernels multiply with ones. Offsets are multiples of d, or of a scale of their own in m. */
INLINE void micro_sub_blocks(const uint8_t *panel, int32_t n, const tile *t, int tokens, bool minima)
{
    __m256 acc[TILE_TOKENS][2];
    UNROLL
    for (int i = 0; i < tokens; i++)
        acc[i][0] = acc[i][1] = _mm256_setzero_ps();
    for (int32_t b = 0; b < n; b++, panel += PANEL_STRIDE) {
        const panel_scales *scales = (const panel_scales *)(const void *)(panel + PANEL_CODES);
        __m256i wide[TILE_TOKENS][2];
        UNROLL
        for (int i = 0; i < tokens; i++) {
            UNROLL
            for (int h = 0; h < 2; h++)
                wide[i][h] = minima ? _mm256_setzero_si256() : offset_sums(scales, h, t->sums[i] + 2 * b);
        }
        UNROLL
        for (int g = 0; g < 8; g += 2) {
            UNROLL
            for (int h = 0; h < 2; h++) {
                const __m256i w0 = load_256(panel + g * 64 + h * 32),
                              w1 = load_256(panel + g * 64 + 64 + h * 32);
                const __m256i scale = load_256(scales->sub[g / 4][8 * h]);
                UNROLL
                for (int i = 0; i < tokens; i++) {
                    const int8_t *q = t->q[i] + b * 32 + g * 4;
                    const __m256i p = _mm256_add_epi16(_mm256_maddubs_epi16(w0, broadcast_codes(q)),
                                                       _mm256_maddubs_epi16(w1, broadcast_codes(q + 4)));
                    wide[i][h] = _mm256_add_epi32(wide[i][h], _mm256_madd_epi16(p, scale));
                    KEEP(wide[i][h]);
                }
            }
        }
        UNROLL
        for (int i = 0; i < tokens; i++) {
            const __m256 d = _mm256_broadcast_ss(t->d[i] + b);
            UNROLL
            for (int h = 0; h < 2; h++) {
                const __m256 scaled = _mm256_mul_ps(d, _mm256_cvtepi32_ps(wide[i][h]));
                acc[i][h] = _mm256_fmadd_ps(_mm256_load_ps(scales->d + 8 * h), scaled, acc[i][h]);
                if (minima) {
                    const __m256i sums = offset_sums(scales, h, t->sums[i] + 2 * b);
                    const __m256 s = _mm256_mul_ps(d, _mm256_cvtepi32_ps(sums));
                    acc[i][h] = _mm256_fmadd_ps(_mm256_load_ps(scales->m + 8 * h), s, acc[i][h]);
                }
            }
        }
    }
    store_tile(t, tokens, acc);
}

#define FOUR_BITS(tokens)  micro_unsigned(panel, n, t, tokens, 8, 0)
#define FIVE_BITS(tokens)  micro_unsigned(panel, n, t, tokens, 4, 0)
#define Q4_0(tokens)       micro_unsigned(panel, n, t, tokens, 8, 8)
#define Q5_0(tokens)       micro_unsigned(panel, n, t, tokens, 4, 16)
#define SIX_BITS(tokens)   micro_sub_blocks(panel, n, t, tokens, false)
#define TWO_BITS(tokens)   micro_sub_blocks(panel, n, t, tokens, true)
#define EIGHT_BITS(tokens) micro_signed(panel, n, t, tokens)

MICRO(4_bits, FOUR_BITS)
MICRO(5_bits, FIVE_BITS)
MICRO(q4_0, Q4_0)
MICRO(q5_0, Q5_0)
MICRO(2_bits, TWO_BITS)
MICRO(6_bits, SIX_BITS)
MICRO(8_bits, EIGHT_BITS)

static panel_source panel_source_at(const puna_linear_call *call, int32_t o)
{
    panel_source source;
    for (int i = 0; i < PUNA_TILE_ROWS; i++)
        source.row[i] = puna_call_row(call, o + i < call->end ? o + i : call->end - 1);
    return source;
}

/* All activations of [first, last) against one panel. out is y, or a buffer for a partial panel. */
static void tile_rows(const puna_linear_call *call, const uint8_t *panel, int32_t b0, int32_t n,
                      int32_t first, int32_t last, float *out, size_t out_stride, tile_fn *run)
{
    for (int32_t r = first; r < last; r += TILE_TOKENS) {
        tile t = { .add = b0 > 0 };
        const int tokens = last - r < TILE_TOKENS ? last - r : TILE_TOKENS;
        for (int i = 0; i < tokens; i++) {
            const puna_act_view a = puna_act_at(puna_call_act(call, r + i), call->n_in);
            t.q[i] = a.q + b0 * PUNA_ACT_BLOCK;
            t.d[i] = a.d + b0;
            t.s[i] = a.s + b0;
            t.sums[i] = a.sums + 2 * b0;
            t.y[i] = out + (size_t)(r - first + i) * out_stride;
        }
        run(panel, n, &t, tokens);
    }
}

void puna_tile_all_avx2(const puna_linear_call *call, unpack_fn *unpack, tile_fn *run)
{
    uint8_t *panel = call->scratch;
    float *partial = (float *)(void *)(panel + (PANEL_BLOCKS + 1) * PANEL_STRIDE);
    const int32_t blocks = call->n_in / PUNA_ACT_BLOCK;
    for (int32_t r = 0; r < call->n_rows; r += ACT_ROWS) {
        const int32_t last = call->n_rows - r < ACT_ROWS ? call->n_rows : r + ACT_ROWS;
        for (int32_t o = call->begin; o < call->end; o += PUNA_TILE_ROWS) {
            const panel_source source = panel_source_at(call, o);
            const bool whole = call->end - o >= PUNA_TILE_ROWS;
            float *y = call->y + (size_t)r * call->y_stride + (size_t)o;
            for (int32_t b = 0; b < blocks; b += PANEL_BLOCKS) {
                const int32_t n = blocks - b < PANEL_BLOCKS ? blocks - b : PANEL_BLOCKS;
                unpack(&source, b, n, panel);
                tile_rows(call, panel, b, n, r, last, whole ? y : partial,
                          whole ? call->y_stride : PUNA_TILE_ROWS, run);
            }
            for (int32_t i = r; !whole && i < last; i++)
                memcpy(y + (size_t)(i - r) * call->y_stride, partial + (i - r) * PUNA_TILE_ROWS,
                       (size_t)(call->end - o) * sizeof(float));
        }
    }
}
