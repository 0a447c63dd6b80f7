/* linear_float_avx2.c - the plain types, floats and integers, with float activations. Rows may have
 * any length: the last values are read through a copy, never past the end.
 *
 * tile: a panel is 16 rows by FLOAT_SLICE inputs as floats, the 16 values of one input together;
 * an activation is broadcast and meets 16 rows in two instructions. */
#include "backend/cpu/x86/avx2.h"

#define FLOAT_SLICE  256
#define FLOAT_TOKENS 6

static_assert((FLOAT_SLICE + 8) * PUNA_TILE_ROWS * sizeof(float) <= PUNA_TILE_SCRATCH, "scratch");

/* 8 values as float from any alignment. */
typedef __m256 read_fn(const uint8_t *at);

INLINE __m256 read_f32(const uint8_t *at)
{
    return _mm256_castsi256_ps(load_256(at));
}

INLINE __m256 read_f16(const uint8_t *at)
{
    return _mm256_cvtph_ps(load_128(at));
}

INLINE __m256 read_bf16(const uint8_t *at)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_128(at)), 16));
}

INLINE __m256 read_f64(const uint8_t *at)
{
    const double *v = (const double *)(const void *)at;
    return _mm256_set_m128(_mm256_cvtpd_ps(_mm256_loadu_pd(v + 4)), _mm256_cvtpd_ps(_mm256_loadu_pd(v)));
}

INLINE __m256 read_i8(const uint8_t *at)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)at)));
}

INLINE __m256 read_i16(const uint8_t *at)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(load_128(at)));
}

INLINE __m256 read_i32(const uint8_t *at)
{
    return _mm256_cvtepi32_ps(load_256(at));
}

INLINE __m256 read_i64(const uint8_t *at)
{
    float v[8];
    UNROLL
    for (int i = 0; i < 8; i++) {
        int64_t value;
        memcpy(&value, at + 8 * i, sizeof value);
        v[i] = (float)value;
    }
    return _mm256_loadu_ps(v);
}

/* The first n < 8 values, then zeros. */
INLINE __m256 read_some(const uint8_t *at, int32_t n, size_t size, read_fn *read)
{
    uint8_t copy[64] = { 0 };
    memcpy(copy, at, (size_t)n * size);
    return read(copy);
}

/* Rows of activations are padded with zeros to 16 floats. */
INLINE float dot_float(const uint8_t *w, const float *x, int32_t n, size_t size, read_fn *read)
{
    __m256 acc[4] = { _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps() };
    int32_t i = 0;
    for (; i + 32 <= n; i += 32, w += 32 * size) {
        UNROLL
        for (int j = 0; j < 4; j++)
            acc[j] =
                _mm256_fmadd_ps(read(w + (size_t)(8 * j) * size), _mm256_loadu_ps(x + i + 8 * j), acc[j]);
    }
    for (; i + 8 <= n; i += 8, w += 8 * size)
        acc[0] = _mm256_fmadd_ps(read(w), _mm256_loadu_ps(x + i), acc[0]);
    if (i < n)
        acc[1] = _mm256_fmadd_ps(read_some(w, n - i, size, read), _mm256_loadu_ps(x + i), acc[1]);
    return sum_8(_mm256_add_ps(_mm256_add_ps(acc[0], acc[1]), _mm256_add_ps(acc[2], acc[3])));
}

/* n inputs from `first` on of 16 rows; the panel is filled to a multiple of 8 inputs. */
INLINE void unpack_float(const puna_linear_call *call, int32_t o, int32_t first, int32_t n, float *panel,
                         size_t size, read_fn *read)
{
    for (int half = 0; half < 2; half++) {
        const uint8_t *row[8];
        for (int i = 0; i < 8; i++) {
            const int32_t at = o + 8 * half + i;
            row[i] = puna_call_row(call, at < call->end ? at : call->end - 1) + (size_t)first * size;
        }
        for (int32_t k = 0; k < n; k += 8) {
            __m256i v[8];
            UNROLL
            for (int i = 0; i < 8; i++) {
                const uint8_t *w = row[i] + (size_t)k * size;
                v[i] = _mm256_castps_si256(n - k >= 8 ? read(w) : read_some(w, n - k, size, read));
            }
            transpose_8x8(v);
            UNROLL
            for (int i = 0; i < 8; i++)
                _mm256_store_ps(panel + (k + i) * PUNA_TILE_ROWS + 8 * half, _mm256_castsi256_ps(v[i]));
        }
    }
}

typedef struct float_tile {
    const float *x[FLOAT_TOKENS];
    float *y[FLOAT_TOKENS];
    bool add;
    int32_t rows; /* of weights: 16, or fewer at the end */
} float_tile;

INLINE void micro_float(const float *panel, int32_t n, const float_tile *t, int tokens)
{
    __m256 acc[FLOAT_TOKENS][2];
    UNROLL
    for (int i = 0; i < tokens; i++)
        acc[i][0] = acc[i][1] = _mm256_setzero_ps();
    for (int32_t k = 0; k < n; k++, panel += PUNA_TILE_ROWS) {
        const __m256 w0 = _mm256_load_ps(panel), w1 = _mm256_load_ps(panel + 8);
        UNROLL
        for (int i = 0; i < tokens; i++) {
            const __m256 x = _mm256_broadcast_ss(t->x[i] + k);
            acc[i][0] = _mm256_fmadd_ps(w0, x, acc[i][0]);
            acc[i][1] = _mm256_fmadd_ps(w1, x, acc[i][1]);
        }
    }
    UNROLL
    for (int i = 0; i < tokens; i++) {
        float out[PUNA_TILE_ROWS] = { 0 };
        if (t->add)
            memcpy(out, t->y[i], (size_t)t->rows * sizeof(float));
        _mm256_storeu_ps(out, _mm256_add_ps(_mm256_loadu_ps(out), acc[i][0]));
        _mm256_storeu_ps(out + 8, _mm256_add_ps(_mm256_loadu_ps(out + 8), acc[i][1]));
        memcpy(t->y[i], out, (size_t)t->rows * sizeof(float));
    }
}

/* One instance for each number of rows of activations. */
static void run_micro(const float *panel, int32_t n, const float_tile *t, int tokens)
{
    switch (tokens) {
    case 1:
        micro_float(panel, n, t, 1);
        break;
    case 2:
        micro_float(panel, n, t, 2);
        break;
    case 3:
        micro_float(panel, n, t, 3);
        break;
    case 4:
        micro_float(panel, n, t, 4);
        break;
    case 5:
        micro_float(panel, n, t, 5);
        break;
    default:
        micro_float(panel, n, t, FLOAT_TOKENS);
        break;
    }
}

/* All activations against one panel. */
static void tile_rows(const puna_linear_call *call, const float *panel, int32_t o, int32_t first, int32_t n)
{
    for (int32_t r = 0; r < call->n_rows; r += FLOAT_TOKENS) {
        const int tokens = call->n_rows - r < FLOAT_TOKENS ? call->n_rows - r : FLOAT_TOKENS;
        float_tile t = { .add = first > 0,
                         .rows = call->end - o < PUNA_TILE_ROWS ? call->end - o : PUNA_TILE_ROWS };
        for (int i = 0; i < tokens; i++) {
            t.x[i] = (const float *)(const void *)puna_call_act(call, r + i) + first;
            t.y[i] = call->y + (size_t)(r + i) * call->y_stride + o;
        }
        run_micro(panel, n, &t, tokens);
    }
}

#define KERNELS(format, read, size)                                                                          \
    INLINE float dot_row_##format(const uint8_t *w, const void *act, int32_t n_in)                           \
    {                                                                                                        \
        return dot_float(w, act, n_in, size, read);                                                          \
    }                                                                                                        \
    void puna_dot_##format##_avx2(const puna_linear_call *call)                                              \
    {                                                                                                        \
        dot_all(call, dot_row_##format);                                                                     \
    }                                                                                                        \
    void puna_tile_##format##_avx2(const puna_linear_call *call)                                             \
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
KERNELS(F64, read_f64, 8)
KERNELS(I8, read_i8, 1)
KERNELS(I16, read_i16, 2)
KERNELS(I32, read_i32, 4)
KERNELS(I64, read_i64, 8)
