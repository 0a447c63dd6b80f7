/* linear_float_neon.c - F32, F16 and BF16 weights with float activations. Rows may have any
 * length: the last values are read through a copy, never past the end.
 *
 * tile: a panel is 16 rows by FLOAT_SLICE inputs as floats, the 16 values of one input together;
 * four activations are loaded at once and each meets 16 rows in four instructions. */
#include "backend/cpu/arm/neon.h"

#define FLOAT_SLICE  256
#define FLOAT_TOKENS 4

static_assert(FLOAT_SLICE * PUNA_TILE_ROWS * sizeof(float) <= PUNA_TILE_SCRATCH, "scratch");

/* 4 values as float from any alignment. */
typedef float32x4_t read_fn(const uint8_t *at);

INLINE float32x4_t read_f32(const uint8_t *at)
{
    return load_floats(at);
}

INLINE float32x4_t read_f16(const uint8_t *at)
{
    return halves_to_floats(at);
}

INLINE float32x4_t read_bf16(const uint8_t *at)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(at)), 16));
}

/* The first n < 4 values, then zeros. */
INLINE float32x4_t read_some(const uint8_t *at, int32_t n, size_t size, read_fn *read)
{
    uint8_t copy[16] = { 0 };
    memcpy(copy, at, (size_t)n * size);
    return read(copy);
}

/* Rows of activations are padded with zeros to 16 floats. */
INLINE float dot_float(const uint8_t *w, const float *x, int32_t n, size_t size, read_fn *read)
{
    float32x4_t acc[4] = { vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0) };
    int32_t i = 0;
    for (; i + 16 <= n; i += 16, w += 16 * size) {
        UNROLL
        for (int j = 0; j < 4; j++)
            acc[j] = vfmaq_f32(acc[j], read(w + (size_t)(4 * j) * size), vld1q_f32(x + i + 4 * j));
    }
    for (; i + 4 <= n; i += 4, w += 4 * size)
        acc[0] = vfmaq_f32(acc[0], read(w), vld1q_f32(x + i));
    if (i < n)
        acc[1] = vfmaq_f32(acc[1], read_some(w, n - i, size, read), vld1q_f32(x + i));
    return vaddvq_f32(vaddq_f32(vaddq_f32(acc[0], acc[1]), vaddq_f32(acc[2], acc[3])));
}

INLINE void dot_rows(const puna_linear_call *call, size_t size, read_fn *read)
{
    for (int32_t o = call->begin; o < call->end; o++) {
        for (int32_t r = 0; r < call->n_rows; r++) {
            const float *x = (const float *)(const void *)puna_call_act(call, r);
            call->y[(size_t)r * call->y_stride + (size_t)o] =
                dot_float(puna_call_row(call, o), x, call->n_in, size, read);
        }
    }
}

/* n inputs from `first` on of 16 rows; the panel is filled to a multiple of 4 inputs. */
INLINE void unpack_float(const puna_linear_call *call, int32_t o, int32_t first, int32_t n, float *panel,
                         size_t size, read_fn *read)
{
    for (int32_t four = 0; four < PUNA_TILE_ROWS; four += 4) {
        const uint8_t *row[4];
        for (int i = 0; i < 4; i++) {
            const int32_t at = o + four + i;
            row[i] = puna_call_row(call, at < call->end ? at : call->end - 1) + (size_t)first * size;
        }
        for (int32_t k = 0; k < n; k += 4) {
            float32x4_t v[4];
            UNROLL
            for (int i = 0; i < 4; i++) {
                const uint8_t *w = row[i] + (size_t)k * size;
                v[i] = n - k >= 4 ? read(w) : read_some(w, n - k, size, read);
            }
            /* Value j of vector i to value i of vector j. */
            const float32x4_t a = vzip1q_f32(v[0], v[2]), b = vzip2q_f32(v[0], v[2]),
                              c = vzip1q_f32(v[1], v[3]), d = vzip2q_f32(v[1], v[3]);
            float *to = panel + k * PUNA_TILE_ROWS + four;
            vst1q_f32(to, vzip1q_f32(a, c));
            vst1q_f32(to + PUNA_TILE_ROWS, vzip2q_f32(a, c));
            vst1q_f32(to + 2 * PUNA_TILE_ROWS, vzip1q_f32(b, d));
            vst1q_f32(to + 3 * PUNA_TILE_ROWS, vzip2q_f32(b, d));
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
    float32x4_t acc[FLOAT_TOKENS][4];
    UNROLL
    for (int i = 0; i < tokens; i++)
        acc[i][0] = acc[i][1] = acc[i][2] = acc[i][3] = vdupq_n_f32(0);
    for (int32_t k = 0; k < n; k += 4) {
        float32x4_t x[FLOAT_TOKENS];
        UNROLL
        for (int i = 0; i < tokens; i++)
            x[i] = vld1q_f32(t->x[i] + k);
        UNROLL
        for (int j = 0; j < 4; j++, panel += PUNA_TILE_ROWS) {
            UNROLL
            for (int w = 0; w < 4; w++) {
                const float32x4_t v = vld1q_f32(panel + 4 * w);
                UNROLL
                for (int i = 0; i < tokens; i++)
                    acc[i][w] = fma_lane(acc[i][w], v, x[i], j);
            }
        }
    }
    UNROLL
    for (int i = 0; i < tokens; i++) {
        float out[PUNA_TILE_ROWS] = { 0 };
        if (t->add)
            memcpy(out, t->y[i], (size_t)t->rows * sizeof(float));
        UNROLL
        for (int w = 0; w < 4; w++)
            vst1q_f32(out + 4 * w, vaddq_f32(vld1q_f32(out + 4 * w), acc[i][w]));
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

#define KERNELS(format, read, size)                                                            \
    void puna_dot_##format##_neon(const puna_linear_call *call)                                \
    {                                                                                          \
        dot_rows(call, size, read);                                                            \
    }                                                                                          \
    void puna_tile_##format##_neon(const puna_linear_call *call)                               \
    {                                                                                          \
        float *panel = (float *)(void *)call->scratch;                                         \
        for (int32_t o = call->begin; o < call->end; o += PUNA_TILE_ROWS) {                    \
            for (int32_t k = 0; k < call->n_in; k += FLOAT_SLICE) {                            \
                const int32_t n = call->n_in - k < FLOAT_SLICE ? call->n_in - k : FLOAT_SLICE; \
                unpack_float(call, o, k, n, panel, size, read);                                \
                tile_rows(call, panel, o, k, n);                                               \
            }                                                                                  \
        }                                                                                      \
    }

KERNELS(F32, read_f32, 4)
KERNELS(F16, read_f16, 2)
KERNELS(BF16, read_bf16, 2)
