/* linear_scalar.c - the portable kernels: what every processor runs, and what the vector kernels
 * are checked against. A format is one function that reads 32 values; the integer sums are those
 * of the vector kernels, so results differ from them by float summation only. */
#include <string.h>

#include "backend/cpu/table.h"

/* 32 values of a weight row: value i is d * scale[i / 16] * q[i] + m[i / 16]. */
typedef struct codes {
    int8_t q[32];
    int32_t scale[2];
    float d, m[2];
} codes;

/* Block b of 32 of a row. */
typedef void load_fn(const uint8_t *row, int32_t b, codes *c);

static void low_high_nibbles(const uint8_t qs[16], codes *c)
{
    for (int i = 0; i < 16; i++) {
        c->q[i] = qs[i] & 15;
        c->q[i + 16] = (int8_t)(qs[i] >> 4);
    }
}

static void fifth_bits(const uint8_t qh[4], codes *c)
{
    const uint32_t bits = puna_load_u32(qh);
    for (int i = 0; i < 32; i++)
        c->q[i] = (int8_t)(c->q[i] | (int)(bits >> i & 1) << 4);
}

static void add_to_codes(codes *c, int offset)
{
    for (int i = 0; i < 32; i++)
        c->q[i] = (int8_t)(c->q[i] + offset);
}

static void load_q4_0(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_q4_0 *w = (const puna_block_q4_0 *)row + b;
    low_high_nibbles(w->qs, c);
    add_to_codes(c, -8);
    c->d = puna_load_f16(w->d);
}

static void load_q4_1(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_q4_1 *w = (const puna_block_q4_1 *)row + b;
    low_high_nibbles(w->qs, c);
    c->d = puna_load_f16(w->d);
    c->m[0] = c->m[1] = puna_load_f16(w->m);
}

static void load_q5_0(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_q5_0 *w = (const puna_block_q5_0 *)row + b;
    low_high_nibbles(w->qs, c);
    fifth_bits(w->qh, c);
    add_to_codes(c, -16);
    c->d = puna_load_f16(w->d);
}

static void load_q5_1(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_q5_1 *w = (const puna_block_q5_1 *)row + b;
    low_high_nibbles(w->qs, c);
    fifth_bits(w->qh, c);
    c->d = puna_load_f16(w->d);
    c->m[0] = c->m[1] = puna_load_f16(w->m);
}

static void load_q8_0(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_q8_0 *w = (const puna_block_q8_0 *)row + b;
    memcpy(c->q, w->qs, 32);
    c->d = puna_load_f16(w->d);
}

static void load_q4_k(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_q4_k *w = (const puna_block_q4_k *)row + b / 8;
    uint8_t scales[8], minima[8];
    puna_q4_k_scales(w->scales, scales, minima);
    for (int i = 0; i < 32; i++)
        c->q[i] = w->qs[b % 8 / 2 * 32 + i] >> (b % 2 * 4) & 15;
    c->scale[0] = c->scale[1] = scales[b % 8];
    c->d = puna_load_f16(w->d);
    c->m[0] = c->m[1] = -puna_load_f16(w->dmin) * (float)minima[b % 8];
}

static void load_q5_k(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_q5_k *w = (const puna_block_q5_k *)row + b / 8;
    uint8_t scales[8], minima[8];
    puna_q4_k_scales(w->scales, scales, minima);
    for (int i = 0; i < 32; i++) {
        const int low = w->qs[b % 8 / 2 * 32 + i] >> (b % 2 * 4) & 15;
        c->q[i] = (int8_t)(low | (w->qh[i] >> b % 8 & 1) << 4);
    }
    c->scale[0] = c->scale[1] = scales[b % 8];
    c->d = puna_load_f16(w->d);
    c->m[0] = c->m[1] = -puna_load_f16(w->dmin) * (float)minima[b % 8];
}

static void load_q6_k(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_q6_k *w = (const puna_block_q6_k *)row + b / 8;
    const uint8_t *ql = w->ql + b % 8 / 4 * 64 + b % 2 * 32;
    const uint8_t *qh = w->qh + b % 8 / 4 * 32;
    for (int i = 0; i < 32; i++) {
        const int low = ql[i] >> (b % 4 / 2 * 4) & 15;
        c->q[i] = (int8_t)((low | (qh[i] >> (b % 4 * 2) & 3) << 4) - 32);
    }
    c->scale[0] = w->scales[b % 8 * 2];
    c->scale[1] = w->scales[b % 8 * 2 + 1];
    c->d = puna_load_f16(w->d);
}

static void load_q2_k(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_q2_k *w = (const puna_block_q2_k *)row + b / 8;
    const uint8_t *qs = w->qs + b % 8 / 4 * 32, *scales = w->scales + b % 8 * 2;
    const float dmin = puna_load_f16(w->dmin);
    for (int i = 0; i < 32; i++)
        c->q[i] = qs[i] >> (b % 4 * 2) & 3;
    for (int i = 0; i < 2; i++) {
        c->scale[i] = scales[i] & 15;
        c->m[i] = -dmin * (float)(scales[i] >> 4);
    }
    c->d = puna_load_f16(w->d);
}

static void load_q3_k(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_q3_k *w = (const puna_block_q3_k *)row + b / 8;
    const uint8_t *qs = w->qs + b % 8 / 4 * 32;
    int8_t scales[16];
    puna_q3_k_scales(w->scales, scales);
    for (int i = 0; i < 32; i++)
        c->q[i] = (int8_t)((qs[i] >> (b % 4 * 2) & 3) + ((w->hmask[i] >> b % 8 & 1) << 2) - 4);
    c->scale[0] = scales[b % 8 * 2];
    c->scale[1] = scales[b % 8 * 2 + 1];
    c->d = puna_load_f16(w->d);
}

static void look_up(const uint8_t qs[16], const int8_t table[16], codes *c)
{
    for (int i = 0; i < 16; i++) {
        c->q[i] = table[qs[i] & 15];
        c->q[i + 16] = table[qs[i] >> 4];
    }
}

static void load_iq4_nl(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_iq4_nl *w = (const puna_block_iq4_nl *)row + b;
    look_up(w->qs, puna_iq4_values, c);
    c->d = puna_load_f16(w->d);
}

static void load_iq4_xs(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_iq4_xs *w = (const puna_block_iq4_xs *)row + b / 8;
    look_up(w->qs + b % 8 * 16, puna_iq4_values, c);
    c->d = puna_load_f16(w->d);
    c->scale[0] = c->scale[1] = puna_iq4_xs_scale(w, b % 8);
}

static void load_mxfp4(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_mxfp4 *w = (const puna_block_mxfp4 *)row + b;
    look_up(w->qs, puna_e2m1_doubled, c);
    c->d = puna_mxfp4_scale(w->e);
}

static void load_q1_0(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_q1_0 *w = (const puna_block_q1_0 *)row + b / 4;
    const uint32_t bits = puna_load_u32(w->qs + b % 4 * 4);
    for (int i = 0; i < 32; i++)
        c->q[i] = bits >> i & 1 ? 1 : -1;
    c->d = puna_load_f16(w->d);
}

static void load_q2_0(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_q2_0 *w = (const puna_block_q2_0 *)row + b / 2;
    const uint8_t *qs = w->qs + b % 2 * 8;
    for (int i = 0; i < 32; i++)
        c->q[i] = (int8_t)((qs[i / 4] >> (i % 4 * 2) & 3) - 1);
    c->d = puna_load_f16(w->d);
}

static void load_tq1_0(const uint8_t *row, int32_t b, codes *c)
{
    static const uint8_t powers[5] = { 1, 3, 9, 27, 81 };
    const puna_block_tq1_0 *w = (const puna_block_tq1_0 *)row + b / 8;
    for (int i = 0; i < 32; i++) {
        const int at = b % 8 * 32 + i;
        uint8_t digits;
        if (at < 160)
            digits = (uint8_t)(w->qs[at % 32] * powers[at / 32]);
        else if (at < 240)
            digits = (uint8_t)(w->qs[32 + at % 16] * powers[(at - 160) / 16]);
        else
            digits = (uint8_t)(w->qh[at % 4] * powers[(at - 240) / 4]);
        c->q[i] = (int8_t)((digits * 3 >> 8) - 1);
    }
    c->d = puna_load_f16(w->d);
}

static void load_tq2_0(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_tq2_0 *w = (const puna_block_tq2_0 *)row + b / 8;
    for (int i = 0; i < 32; i++)
        c->q[i] = (int8_t)((w->qs[b % 8 / 4 * 32 + i] >> (b % 4 * 2) & 3) - 1);
    c->d = puna_load_f16(w->d);
}

static void load_q8_1(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_q8_1 *w = (const puna_block_q8_1 *)row + b;
    memcpy(c->q, w->qs, 32);
    c->d = puna_load_f16(w->d);
}

static void load_q8_k(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_q8_k *w = (const puna_block_q8_k *)row + b / 8;
    memcpy(c->q, w->qs + b % 8 * 32, 32);
    c->d = puna_load_f32(w->d);
}

static void load_nvfp4(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_nvfp4 *w = (const puna_block_nvfp4 *)row + b / 2;
    for (int i = 0; i < 2; i++) {
        const int s = b % 2 * 2 + i;
        for (int j = 0; j < 8; j++) {
            c->q[16 * i + j] = puna_e2m1_doubled[w->qs[8 * s + j] & 15];
            c->q[16 * i + 8 + j] = puna_e2m1_doubled[w->qs[8 * s + j] >> 4];
        }
        c->scale[i] = puna_nvfp4_scale(w->d[s]);
    }
    c->d = 0x1p-10f;
}

/* One point of a codebook: n (4 or 8) magnitudes, and a sign for each. */
static void signed_point(uint64_t point, uint32_t signs, int n, int8_t *q)
{
    for (int j = 0; j < n; j++) {
        const int magnitude = (int)(point >> 8 * j & 255);
        q[j] = (int8_t)(signs >> j & 1 ? -magnitude : magnitude);
    }
}

static void load_iq2_xxs(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_iq2_xxs *w = (const puna_block_iq2_xxs *)row + b / 8;
    const uint8_t *at = w->qs + b % 8 * 8;
    const uint32_t packed = puna_load_u32(at + 4);
    for (int g = 0; g < 4; g++)
        signed_point(puna_iq2_xxs_grid[at[g]], puna_iq_signs(packed >> 7 * g & 127), 8, c->q + 8 * g);
    c->scale[0] = c->scale[1] = (int32_t)(2 * (packed >> 28) + 1);
    c->d = puna_load_f16(w->d) * 0.125f;
}

/* The two scales of a block of 32 lie in one byte. */
static void nibble_scales(uint8_t scales, codes *c)
{
    c->scale[0] = 2 * (scales & 15) + 1;
    c->scale[1] = 2 * (scales >> 4) + 1;
}

static void load_iq2_xs(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_iq2_xs *w = (const puna_block_iq2_xs *)row + b / 8;
    for (int g = 0; g < 4; g++) {
        const uint16_t code = puna_load_u16(w->qs + b % 8 * 8 + 2 * g);
        signed_point(puna_iq2_xs_grid[code & 511], puna_iq_signs(code >> 9), 8, c->q + 8 * g);
    }
    nibble_scales(w->scales[b % 8], c);
    c->d = puna_load_f16(w->d) * 0.125f;
}

static void load_iq2_s(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_iq2_s *w = (const puna_block_iq2_s *)row + b / 8;
    for (int g = 0; g < 4; g++) {
        const int at = b % 8 * 4 + g, high = w->qh[b % 8] >> 2 * g & 3;
        signed_point(puna_iq2_s_grid[w->qs[at] | high << 8], w->signs[at], 8, c->q + 8 * g);
    }
    nibble_scales(w->scales[b % 8], c);
    c->d = puna_load_f16(w->d) * 0.125f;
}

static void load_iq3_xxs(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_iq3_xxs *w = (const puna_block_iq3_xxs *)row + b / 8;
    const uint32_t packed = puna_load_u32(w->signs + b % 8 * 4);
    for (int g = 0; g < 8; g++) {
        const uint32_t signs = puna_iq_signs(packed >> 7 * (g / 2) & 127);
        signed_point(puna_iq3_xxs_grid[w->qs[b % 8 * 8 + g]], signs >> (g % 2 * 4), 4, c->q + 4 * g);
    }
    c->scale[0] = c->scale[1] = (int32_t)(2 * (packed >> 28) + 1);
    c->d = puna_load_f16(w->d) * 0.25f;
}

static void load_iq3_s(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_iq3_s *w = (const puna_block_iq3_s *)row + b / 8;
    for (int g = 0; g < 8; g++) {
        const int high = w->qh[b % 8] >> g & 1;
        const uint32_t signs = w->signs[b % 8 * 4 + g / 2];
        signed_point(puna_iq3_s_grid[w->qs[b % 8 * 8 + g] | high << 8], signs >> (g % 2 * 4), 4, c->q + 4 * g);
    }
    c->scale[0] = c->scale[1] = 2 * (w->scales[b % 8 / 2] >> (b % 2 * 4) & 15) + 1;
    c->d = puna_load_f16(w->d);
}

/* Eight values of -1, 0, 1, shifted by an eighth, in eighths. */
static void shifted_point(uint64_t point, bool down, int8_t *q)
{
    for (int j = 0; j < 8; j++)
        q[j] = (int8_t)(8 * (int8_t)(point >> 8 * j & 255) + (down ? -1 : 1));
}

static void load_iq1_s(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_iq1_s *w = (const puna_block_iq1_s *)row + b / 8;
    const uint16_t qh = puna_load_u16(w->qh + b % 8 * 2);
    for (int g = 0; g < 4; g++) {
        const int high = qh >> 3 * g & 7;
        shifted_point(puna_iq1_grid[w->qs[b % 8 * 4 + g] | high << 8], qh >> 15, c->q + 8 * g);
    }
    c->scale[0] = c->scale[1] = 2 * (qh >> 12 & 7) + 1;
    c->d = puna_load_f16(w->d) * 0.125f;
}

static void load_iq1_m(const uint8_t *row, int32_t b, codes *c)
{
    const puna_block_iq1_m *w = (const puna_block_iq1_m *)row + b / 8;
    const uint16_t scales = puna_load_u16(w->scales + b % 8 / 2 * 2);
    for (int g = 0; g < 4; g++) {
        const int at = b % 8 * 4 + g, qh = w->qh[at / 2] >> (at % 2 * 4);
        shifted_point(puna_iq1_grid[w->qs[at] | (qh & 7) << 8], qh & 8, c->q + 8 * g);
    }
    for (int i = 0; i < 2; i++)
        c->scale[i] = 2 * (scales >> 3 * (b % 2 * 2 + i) & 7) + 1;
    c->d = puna_iq1_m_d(w) * 0.125f;
}

static int32_t dot_16(const int8_t *a, const int8_t *b)
{
    int32_t sum = 0;
    for (int i = 0; i < 16; i++)
        sum += a[i] * b[i];
    return sum;
}

static void dot_blocks(const puna_linear_call *call, load_fn *load)
{
    for (int32_t o = call->begin; o < call->end; o++) {
        for (int32_t r = 0; r < call->n_rows; r++)
            call->y[(size_t)r * call->y_stride + (size_t)o] = 0.0f;
        for (int32_t b = 0; b < call->n_in / PUNA_ACT_BLOCK; b++) {
            codes c = { .scale = { 1, 1 } };
            load(puna_call_row(call, o), b, &c);
            for (int32_t r = 0; r < call->n_rows; r++) {
                const puna_act_view a = puna_act_at(puna_call_act(call, r), call->n_in);
                const int8_t *q = a.q + b * PUNA_ACT_BLOCK;
                const int64_t sum = (int64_t)c.scale[0] * dot_16(c.q, q) + (int64_t)c.scale[1] * dot_16(c.q + 16, q + 16);
                const float minima = c.m[0] * (float)a.sums[2 * b] + c.m[1] * (float)a.sums[2 * b + 1];
                call->y[(size_t)r * call->y_stride + (size_t)o] += a.d[b] * (c.d * (float)sum + minima);
            }
        }
    }
}

#define SCALAR(format, load)                                                                                 \
    void puna_dot_##format##_scalar(const puna_linear_call *call)                                            \
    {                                                                                                        \
        dot_blocks(call, load);                                                                              \
    }

SCALAR(Q4_0, load_q4_0)
SCALAR(Q4_1, load_q4_1)
SCALAR(Q5_0, load_q5_0)
SCALAR(Q5_1, load_q5_1)
SCALAR(Q8_0, load_q8_0)
SCALAR(Q4_K, load_q4_k)
SCALAR(Q5_K, load_q5_k)
SCALAR(Q6_K, load_q6_k)
SCALAR(Q2_K, load_q2_k)
SCALAR(Q3_K, load_q3_k)
SCALAR(IQ4_NL, load_iq4_nl)
SCALAR(IQ4_XS, load_iq4_xs)
SCALAR(MXFP4, load_mxfp4)
SCALAR(Q1_0, load_q1_0)
SCALAR(Q2_0, load_q2_0)
SCALAR(Q8_1, load_q8_1)
SCALAR(Q8_K, load_q8_k)
SCALAR(IQ1_S, load_iq1_s)
SCALAR(IQ1_M, load_iq1_m)
SCALAR(IQ2_XXS, load_iq2_xxs)
SCALAR(IQ2_XS, load_iq2_xs)
SCALAR(IQ2_S, load_iq2_s)
SCALAR(IQ3_XXS, load_iq3_xxs)
SCALAR(IQ3_S, load_iq3_s)
SCALAR(TQ1_0, load_tq1_0)
SCALAR(TQ2_0, load_tq2_0)
SCALAR(NVFP4, load_nvfp4)

/* Eight sums, which compilers keep in vectors. */
static float dot_f32(const uint8_t *row, const float *x, int32_t n)
{
    float sums[8] = { 0 }, total = 0.0f;
    int32_t i = 0;
    for (; i + 8 <= n; i += 8) {
        float w[8];
        memcpy(w, row + (size_t)i * sizeof(float), sizeof w);
        for (int j = 0; j < 8; j++)
            sums[j] += w[j] * x[i + j];
    }
    for (; i < n; i++) {
        float w;
        memcpy(&w, row + (size_t)i * sizeof(float), sizeof w);
        total += w * x[i];
    }
    for (int j = 0; j < 8; j++)
        total += sums[j];
    return total;
}

void puna_dot_F32_scalar(const puna_linear_call *call)
{
    for (int32_t o = call->begin; o < call->end; o++) {
        for (int32_t r = 0; r < call->n_rows; r++) {
            const float *x = (const float *)(const void *)puna_call_act(call, r);
            call->y[(size_t)r * call->y_stride + (size_t)o] = dot_f32(puna_call_row(call, o), x, call->n_in);
        }
    }
}

/* The other plain types, a slice at a time as floats. */
static void dot_plain(const puna_linear_call *call, puna_format format)
{
    enum { SLICE = 256 };
    const puna_format_info *info = puna_format_get(format);
    float w[SLICE];
    for (int32_t o = call->begin; o < call->end; o++) {
        const uint8_t *row = puna_call_row(call, o);
        for (int32_t r = 0; r < call->n_rows; r++)
            call->y[(size_t)r * call->y_stride + (size_t)o] = 0.0f;
        for (int32_t i = 0; i < call->n_in; i += SLICE) {
            const int32_t n = call->n_in - i < SLICE ? call->n_in - i : SLICE;
            info->dequantize(row + (size_t)i * info->block_bytes, w, (size_t)n);
            for (int32_t r = 0; r < call->n_rows; r++) {
                const float *x = (const float *)(const void *)puna_call_act(call, r) + i;
                call->y[(size_t)r * call->y_stride + (size_t)o] += dot_f32((const uint8_t *)w, x, n);
            }
        }
    }
}

#define PLAIN(format)                                                                                        \
    void puna_dot_##format##_scalar(const puna_linear_call *call)                                            \
    {                                                                                                        \
        dot_plain(call, PUNA_FORMAT_##format);                                                               \
    }

PLAIN(F16)
PLAIN(BF16)
PLAIN(F64)
PLAIN(I8)
PLAIN(I16)
PLAIN(I32)
PLAIN(I64)
