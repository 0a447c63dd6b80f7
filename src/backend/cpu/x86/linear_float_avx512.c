/* linear_float_avx512.c - F32, F16 and BF16 weights with float activations. Rows may have any
 * length: the last values are read under a mask, never past the end.
 *
 * tile: a panel is 16 rows by FLOAT_SLICE inputs as floats, the 16 values of one input together;
 * an activation is broadcast and meets 16 rows in one instruction.
 *
 * BF16 is widened and not multiplied by vdpbf16ps, which would round the activations to 8 bits. */
#include "backend/cpu/x86/avx512.h"

#define FLOAT_SLICE  256
#define FLOAT_TOKENS 8

static_assert((FLOAT_SLICE + 16) * PUNA_TILE_ROWS * sizeof(float) <= PUNA_TILE_SCRATCH, "scratch");

/* 16 values as float from any alignment, of which those outside the mask are neither read nor kept. */
typedef __m512 read_fn(const uint8_t *at, __mmask16 mask);

INLINE __m512 read_f32(const uint8_t *at, __mmask16 mask)
{
    return _mm512_maskz_loadu_ps(mask, at);
}

INLINE __m512 read_f16(const uint8_t *at, __mmask16 mask)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, at));
}

INLINE __m512 read_bf16(const uint8_t *at, __mmask16 mask)
{
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, at));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

/* Rows of activations are padded with zeros to 16 floats. */
INLINE float dot_float(const uint8_t *w, const float *x, int32_t n, size_t size, read_fn *read)
{
    const __mmask16 all = 0xffff;
    __m512 acc[4] = { _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps() };
    int32_t i = 0;
    for (; i + 64 <= n; i += 64, w += 64 * size) {
        UNROLL
        for (int j = 0; j < 4; j++)
            acc[j] = _mm512_fmadd_ps(read(w + (size_t)(16 * j) * size, all), _mm512_loadu_ps(x + i + 16 * j), acc[j]);
    }
    for (; i < n; i += 16, w += 16 * size)
        acc[0] = _mm512_fmadd_ps(read(w, first_lanes((size_t)(n - i))), _mm512_loadu_ps(x + i), acc[0]);
    return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(acc[0], acc[1]), _mm512_add_ps(acc[2], acc[3])));
}

#define PREFETCH_BYTES 2048

/* All dot products, the weights read once. */
INLINE void dot_all(const puna_linear_call *call, size_t size, read_fn *read)
{
    for (int32_t o = call->begin; o < call->end; o++) {
        const uint8_t *w = puna_call_row(call, o);
        for (size_t i = 0; i < call->row_bytes; i += 64)
            _mm_prefetch((const char *)((uintptr_t)w + PREFETCH_BYTES + i), _MM_HINT_T0);
        for (int32_t r = 0; r < call->n_rows; r++) {
            const float *x = (const float *)(const void *)puna_call_act(call, r);
            call->y[(size_t)r * call->y_stride + (size_t)o] = dot_float(w, x, call->n_in, size, read);
        }
    }
}

/* dword j of register i goes to dword i of register j. */
INLINE void transpose_16x16(__m512 v[16])
{
    __m512 a[16], b[16];
    UNROLL
    for (int i = 0; i < 16; i += 4) { /* 4 by 4 within every 128 bits */
        const __m512 ab0 = _mm512_unpacklo_ps(v[i], v[i + 1]), ab1 = _mm512_unpackhi_ps(v[i], v[i + 1]);
        const __m512 cd0 = _mm512_unpacklo_ps(v[i + 2], v[i + 3]), cd1 = _mm512_unpackhi_ps(v[i + 2], v[i + 3]);
        a[i] = _mm512_shuffle_ps(ab0, cd0, 0x44);
        a[i + 1] = _mm512_shuffle_ps(ab0, cd0, 0xee);
        a[i + 2] = _mm512_shuffle_ps(ab1, cd1, 0x44);
        a[i + 3] = _mm512_shuffle_ps(ab1, cd1, 0xee);
    }
    UNROLL
    for (int i = 0; i < 4; i++) { /* then the 128 bits themselves */
        b[i] = _mm512_shuffle_f32x4(a[i], a[i + 4], 0x88);
        b[i + 4] = _mm512_shuffle_f32x4(a[i], a[i + 4], 0xdd);
        b[i + 8] = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0x88);
        b[i + 12] = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0xdd);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        v[i] = _mm512_shuffle_f32x4(b[i], b[i + 8], 0x88);
        v[i + 4] = _mm512_shuffle_f32x4(b[i + 4], b[i + 12], 0x88);
        v[i + 8] = _mm512_shuffle_f32x4(b[i], b[i + 8], 0xdd);
        v[i + 12] = _mm512_shuffle_f32x4(b[i + 4], b[i + 12], 0xdd);
    }
}

/* n inputs from `first` on of 16 rows; the panel is filled to a multiple of 16 inputs. */
INLINE void unpack_float(const puna_linear_call *call, int32_t o, int32_t first, int32_t n, float *panel,
                         size_t size, read_fn *read)
{
    const uint8_t *row[PUNA_TILE_ROWS];
    for (int32_t i = 0; i < PUNA_TILE_ROWS; i++)
        row[i] = puna_call_row(call, o + i < call->end ? o + i : call->end - 1) + (size_t)first * size;
    for (int32_t k = 0; k < n; k += 16) {
        __m512 v[16];
        UNROLL
        for (int i = 0; i < 16; i++)
            v[i] = read(row[i] + (size_t)k * size, first_lanes((size_t)(n - k)));
        transpose_16x16(v);
        UNROLL
        for (int i = 0; i < 16; i++)
            _mm512_store_ps(panel + (k + i) * PUNA_TILE_ROWS, v[i]);
    }
}

typedef struct float_tile {
    const float *x[FLOAT_TOKENS];
    float *y[FLOAT_TOKENS];
    bool add;
    __mmask16 rows; /* of weights: 16, or fewer at the end */
} float_tile;

INLINE void micro_float(const float *panel, int32_t n, const float_tile *t, int tokens)
{
    __m512 acc[FLOAT_TOKENS];
    UNROLL
    for (int i = 0; i < tokens; i++)
        acc[i] = _mm512_setzero_ps();
    for (int32_t k = 0; k < n; k++, panel += PUNA_TILE_ROWS) {
        const __m512 w = _mm512_load_ps(panel);
        UNROLL
        for (int i = 0; i < tokens; i++)
            acc[i] = _mm512_fmadd_ps(w, _mm512_set1_ps(t->x[i][k]), acc[i]);
    }
    UNROLL
    for (int i = 0; i < tokens; i++) {
        if (t->add)
            acc[i] = _mm512_add_ps(acc[i], _mm512_maskz_loadu_ps(t->rows, t->y[i]));
        _mm512_mask_storeu_ps(t->y[i], t->rows, acc[i]);
    }
}

/* One instance for each number of rows of activations. */
static void run_micro(const float *panel, int32_t n, const float_tile *t, int tokens)
{
    switch (tokens) {
#define TOKENS(n_tokens)                                                                                     \
    case n_tokens:                                                                                           \
        micro_float(panel, n, t, n_tokens);                                                                  \
        break;
        TOKENS(1)
        TOKENS(2)
        TOKENS(3)
        TOKENS(4)
        TOKENS(5)
        TOKENS(6)
        TOKENS(7)
        TOKENS(FLOAT_TOKENS)
#undef TOKENS
    }
}

/* All activations against one panel. */
static void tile_rows(const puna_linear_call *call, const float *panel, int32_t o, int32_t first, int32_t n)
{
    for (int32_t r = 0; r < call->n_rows; r += FLOAT_TOKENS) {
        const int tokens = call->n_rows - r < FLOAT_TOKENS ? call->n_rows - r : FLOAT_TOKENS;
        float_tile t = { .add = first > 0, .rows = first_lanes((size_t)(call->end - o)) };
        for (int i = 0; i < tokens; i++) {
            t.x[i] = (const float *)(const void *)puna_call_act(call, r + i) + first;
            t.y[i] = call->y + (size_t)(r + i) * call->y_stride + o;
        }
        run_micro(panel, n, &t, tokens);
    }
}

#define KERNELS(format, read, size)                                                                          \
    void puna_dot_##format##_avx512(const puna_linear_call *call)                                            \
    {                                                                                                        \
        dot_all(call, size, read);                                                                           \
    }                                                                                                        \
    void puna_tile_##format##_avx512(const puna_linear_call *call)                                           \
    {                                                                                                        \
        float *panel = (float *)(void *)call->scratch;                                                       \
        for (int32_t o = call->begin; o < call->end; o += PUNA_TILE_ROWS) {                                  \
            for (int32_t k = 0; k < call->n_in; k += FLOAT_SLICE) {                                          \
                const int32_t n = call->n_in - k < FLOAT_SLICE ? call->n_in - k : FLOAT_SLICE;               \
                unpack_float(call, o, k, n, panel, size, read);                                              \
                tile_rows(call, panel, o, k, n);                                                             \
            }                                                                                                \
        }                                                                                                    \
    }

KERNELS(F32, read_f32, 4)
KERNELS(F16, read_f16, 2)
KERNELS(BF16, read_bf16, 2)
