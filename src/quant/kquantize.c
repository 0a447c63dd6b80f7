/* kquantize.c - writing the K types, IQ4_NL and IQ4_XS with little squared error. Source of the
 * method: our own, in the manner of Lloyd's quantiser (S. P. Lloyd, 1982): (1) each sub-block
 * alone: codes for a row of trial step sizes, each followed by the least squares scale (and
 * minimum) for those codes; (2) all together: round the block scale to its 16 bits, choose every
 * small integer scale (and minimum) by the error it really causes, solve for the block scale
 * again, and repeat while the error falls. Deterministic. Refuses: weights of importance. */
#include <float.h>
#include <math.h>

#include "quant/iquant_tables.h"
#include "quant/reference.h"

enum { max_sub = 16, max_sub_elems = 32, max_rounds = 6 };

/* To the nearest integer, ties to even, for magnitudes below 2^22. */
static inline float nearest(float v)
{
    return (v + 0x1.8p23f) - 0x1.8p23f;
}

static inline float clamp(float v, float low, float high)
{
    v = v < high ? v : high;
    return v > low ? v : low;
}

/* A scale as it will be read back. */
static float rounded_to_f16(float v)
{
    return puna_f16_to_f32(puna_f32_to_f16(clamp(v, -65504.0f, 65504.0f)));
}

/* Loops run over a fixed 16, the size that divides every sub-block: the compiler then uses vectors
 * without having to be told. */
static inline float total16(const float *restrict v)
{
    float a[8], b[4];
    for (int j = 0; j < 8; j++)
        a[j] = v[j] + v[j + 8];
    for (int j = 0; j < 4; j++)
        b[j] = a[j] + a[j + 4];
    return (b[0] + b[1]) + (b[2] + b[3]);
}

static float total(const float *v, int n)
{
    float sum = 0.0f;
    for (int i = 0; i < n; i += 16)
        sum += total16(v + i);
    return sum;
}

/* Codes of n values for x = scale * q - min; returns the squared error. */
static float encode(const float *restrict x, int n, float scale, float min, float low, float high,
                    float *restrict q)
{
    const float inv = scale != 0.0f ? 1.0f / scale : 0.0f;
    float error = 0.0f;
    for (int i = 0; i < n; i += 16) {
        float e[16];
        for (int j = 0; j < 16; j++) {
            q[i + j] = nearest(clamp((x[i + j] + min) * inv, low, high));
            const float r = scale * q[i + j] - min - x[i + j];
            e[j] = r * r;
        }
        error += total16(e);
    }
    return error;
}

typedef struct moments {
    float q, qq, xq;
} moments;

static moments moments_of(const float *restrict x, const float *restrict q, int n)
{
    moments m = { 0.0f, 0.0f, 0.0f };
    for (int i = 0; i < n; i += 16) {
        float qq[16], xq[16];
        for (int j = 0; j < 16; j++) {
            qq[j] = q[i + j] * q[i + j];
            xq[j] = x[i + j] * q[i + j];
        }
        m.q += total16(q + i);
        m.qq += total16(qq);
        m.xq += total16(xq);
    }
    return m;
}

/* ---- scale and minimum: Q2_K, Q4_K, Q5_K ------------------------------------------------- */

typedef struct affine_kind {
    int n_sub, n_elems;        /* sub-blocks, and values in each */
    float top;                 /* largest code */
    float scale_top;           /* largest small scale and minimum */
    float first, step;         /* trial steps: top + first + k * step over the range */
    int n_trials;
} affine_kind;

static const affine_kind q2_k_kind = { 16, 16, 3.0f, 15.0f, -1.2f, 0.3f, 7 };
static const affine_kind q4_k_kind = { 8, 32, 15.0f, 63.0f, -1.6f, 0.4f, 7 };
static const affine_kind q5_k_kind = { 8, 32, 31.0f, 63.0f, -1.2f, 0.4f, 5 };

typedef struct affine_block {
    float d, dmin;
    float scale[max_sub], min[max_sub]; /* wanted, then the small integers */
    float error;
} affine_block;

/* Least squares scale > 0 and min >= 0 for given codes; false when there is none. */
static bool solve_affine(const moments *m, float sum_x, float n, float *scale, float *min)
{
    const float det = n * m->qq - m->q * m->q;
    if (!(det > 0.0f))
        return false;
    *scale = (n * m->xq - sum_x * m->q) / det;
    *min = (*scale * m->q - sum_x) / n;
    if (*min < 0.0f) {
        *min = 0.0f;
        *scale = m->xq / m->qq;
    }
    return *scale > 0.0f;
}

static void fit_affine(const float *x, const affine_kind *kind, float *scale, float *min)
{
    const int n = kind->n_elems;
    float low = 0.0f, high = x[0], q[max_sub_elems];
    for (int j = 0; j < n; j++) {
        low = x[j] < low ? x[j] : low;
        high = x[j] > high ? x[j] : high;
    }
    *scale = 0.0f;
    *min = -low;
    if (!(high - low > 0.0f))
        return;
    *scale = (high - low) / kind->top;
    const float sum_x = total(x, n);
    float best = encode(x, n, *scale, *min, 0.0f, kind->top, q);
    for (int k = 0; k < kind->n_trials; k++) {
        float s = (high - low) / (kind->top + kind->first + kind->step * (float)k), m = -low;
        float before = FLT_MAX, error = encode(x, n, s, m, 0.0f, kind->top, q);
        for (int round = 0; round < 2 && error < before; round++) {
            const moments sums = moments_of(x, q, n);
            if (!solve_affine(&sums, sum_x, (float)n, &s, &m))
                break;
            before = error;
            error = encode(x, n, s, m, 0.0f, kind->top, q);
            if (error < best) {
                best = error;
                *scale = s;
                *min = m;
            }
        }
    }
}

/* The small scale and minimum near the wanted ones that cause the least error; q gets the codes. */
static float choose_affine(const float *x, const affine_kind *kind, float d, float dmin, float *scale,
                           float *min, float *q)
{
    const int n = kind->n_elems;
    const float want_s = d > 0.0f ? nearest(clamp(*scale / d, 0.0f, kind->scale_top)) : 0.0f;
    const float want_m = dmin > 0.0f ? nearest(clamp(*min / dmin, 0.0f, kind->scale_top)) : 0.0f;
    float best = encode(x, n, d * want_s, dmin * want_m, 0.0f, kind->top, q);
    *scale = want_s;
    *min = want_m;
    for (int k = 0; k < 9; k++) {
        const float s = want_s + (float)(k / 3 - 1), m = want_m + (float)(k % 3 - 1);
        if (k == 4 || s < 0.0f || m < 0.0f || s > kind->scale_top || m > kind->scale_top)
            continue;
        const float error = encode(x, n, d * s, dmin * m, 0.0f, kind->top, q);
        if (error < best) {
            best = error;
            *scale = s;
            *min = m;
        }
    }
    return encode(x, n, d * *scale, dmin * *min, 0.0f, kind->top, q);
}

/* One round of (2) from d and dmin: fills out with the integers chosen and their error, and d,
 * dmin, scale, min with what to try next. */
static void round_affine(const float *x, const affine_kind *kind, affine_block *wanted, affine_block *out)
{
    const int n = kind->n_elems;
    float a = 0.0f, b = 0.0f, c = 0.0f, sx = 0.0f, mx = 0.0f, q[max_sub_elems];
    out->d = rounded_to_f16(wanted->d);
    out->dmin = rounded_to_f16(wanted->dmin);
    out->error = 0.0f;
    for (int i = 0; i < kind->n_sub; i++, x += n) {
        float s = wanted->scale[i], m = wanted->min[i];
        out->error += choose_affine(x, kind, out->d, out->dmin, &s, &m, q);
        out->scale[i] = s;
        out->min[i] = m;
        const moments sums = moments_of(x, q, n);
        const float sum_x = total(x, n);
        a += s * s * sums.qq;
        b += s * m * sums.q;
        c += m * m * (float)n;
        sx += s * sums.xq;
        mx += m * sum_x;
        if (!solve_affine(&sums, sum_x, (float)n, &wanted->scale[i], &wanted->min[i])) {
            wanted->scale[i] = out->d * s;
            wanted->min[i] = out->dmin * m;
        }
    }
    const float det = a * c - b * b;
    const float d = (sx * c - mx * b) / det, dmin = (sx * b - mx * a) / det;
    if (det > 0.0f && d > 0.0f && dmin >= 0.0f) {
        wanted->d = d;
        wanted->dmin = dmin;
    } else if (a > 0.0f && sx > 0.0f) {
        wanted->d = (sx + out->dmin * b) / a;
    }
}

/* The best block of 256 values; codes gets their codes. */
static affine_block fit_affine_block(const float *x, const affine_kind *kind, uint8_t codes[256])
{
    const int n = kind->n_elems;
    affine_block wanted, best = { .error = FLT_MAX };
    float top_scale = 0.0f, top_min = 0.0f, q[max_sub_elems];
    for (int i = 0; i < kind->n_sub; i++) {
        fit_affine(x + i * n, kind, &wanted.scale[i], &wanted.min[i]);
        top_scale = wanted.scale[i] > top_scale ? wanted.scale[i] : top_scale;
        top_min = wanted.min[i] > top_min ? wanted.min[i] : top_min;
    }
    wanted.d = top_scale / kind->scale_top;
    wanted.dmin = top_min / kind->scale_top;
    for (int round = 0; round < max_rounds; round++) {
        affine_block tried;
        round_affine(x, kind, &wanted, &tried);
        if (round > 0 && !(tried.error < best.error))
            break;
        best = tried;
    }
    for (int i = 0; i < kind->n_sub; i++) {
        encode(x + i * n, n, best.d * best.scale[i], best.dmin * best.min[i], 0.0f, kind->top, q);
        for (int j = 0; j < n; j++)
            codes[i * n + j] = (uint8_t)puna_code_clamp(q[j], 0, (int)kind->top);
    }
    return best;
}

/* As puna_q4_k_scales reads them. */
static void pack_q4_k_scales(const affine_block *fit, uint8_t packed[12])
{
    for (int j = 0; j < 4; j++) {
        const int s0 = (int)fit->scale[j], m0 = (int)fit->min[j];
        const int s1 = (int)fit->scale[j + 4], m1 = (int)fit->min[j + 4];
        packed[j] = (uint8_t)(s0 | (s1 >> 4) << 6);
        packed[j + 4] = (uint8_t)(m0 | (m1 >> 4) << 6);
        packed[j + 8] = (uint8_t)((s1 & 15) | (m1 & 15) << 4);
    }
}

/* Byte 32 * h + j holds the low two bits of codes 128 * h + 32 * k + j at bits 2 * k. */
static void pack_pairs(const uint8_t codes[256], uint8_t qs[64])
{
    for (int j = 0; j < 64; j++) {
        const uint8_t *c = codes + j / 32 * 128 + j % 32;
        qs[j] = (uint8_t)((c[0] & 3) | (c[32] & 3) << 2 | (c[64] & 3) << 4 | (c[96] & 3) << 6);
    }
}

/* Byte 32 * h + j holds the low nibbles of codes 64 * h + j and 64 * h + 32 + j. */
static void pack_nibbles(const uint8_t codes[256], uint8_t qs[128])
{
    for (int j = 0; j < 128; j++) {
        const uint8_t *c = codes + j / 32 * 64 + j % 32;
        qs[j] = (uint8_t)((c[0] & 15) | (c[32] & 15) << 4);
    }
}

/* Bit s of byte j is the given bit of code 32 * s + j. */
static void pack_bits(const uint8_t codes[256], int bit, uint8_t packed[32])
{
    for (int j = 0; j < 32; j++) {
        int byte = 0;
        for (int s = 0; s < 8; s++)
            byte |= (codes[s * 32 + j] >> bit & 1) << s;
        packed[j] = (uint8_t)byte;
    }
}

void puna_q2_k_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_q2_k *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++, values += 256) {
        uint8_t codes[256];
        const affine_block fit = fit_affine_block(values, &q2_k_kind, codes);
        for (int s = 0; s < 16; s++)
            b->scales[s] = (uint8_t)((int)fit.scale[s] | (int)fit.min[s] << 4);
        pack_pairs(codes, b->qs);
        puna_store_f16(b->d, fit.d);
        puna_store_f16(b->dmin, fit.dmin);
    }
}

void puna_q4_k_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_q4_k *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++, values += 256) {
        uint8_t codes[256];
        const affine_block fit = fit_affine_block(values, &q4_k_kind, codes);
        pack_q4_k_scales(&fit, b->scales);
        pack_nibbles(codes, b->qs);
        puna_store_f16(b->d, fit.d);
        puna_store_f16(b->dmin, fit.dmin);
    }
}

void puna_q5_k_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_q5_k *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++, values += 256) {
        uint8_t codes[256];
        const affine_block fit = fit_affine_block(values, &q5_k_kind, codes);
        pack_q4_k_scales(&fit, b->scales);
        pack_bits(codes, 4, b->qh);
        pack_nibbles(codes, b->qs);
        puna_store_f16(b->d, fit.d);
        puna_store_f16(b->dmin, fit.dmin);
    }
}

/* ---- signed scale: Q3_K, Q6_K, IQ4_NL, IQ4_XS --------------------------------------------- */

typedef struct signed_kind {
    int n_sub, n_elems;          /* sub-blocks, and values in each */
    bool uneven;                 /* levels are puna_iq4_values, not all integers */
    float low, high;             /* levels */
    float scale_low, scale_high; /* small scales */
    float step;                  /* trial steps: (low or high + k * step) over the extreme value */
    int n_trials;                /* k from -n_trials to n_trials */
} signed_kind;

static const signed_kind q3_k_kind = { 16, 16, false, -4.0f, 3.0f, -32.0f, 31.0f, 0.1f, 9 };
static const signed_kind q6_k_kind = { 16, 16, false, -32.0f, 31.0f, -128.0f, 127.0f, 0.2f, 6 };
static const signed_kind iq4_nl_kind = { 1, 32, true, -127.0f, 113.0f, 1.0f, 1.0f, 4.0f, 9 };
static const signed_kind iq4_xs_kind = { 8, 32, true, -127.0f, 113.0f, -32.0f, 31.0f, 4.0f, 9 };

typedef struct signed_block {
    float d;
    float scale[max_sub]; /* wanted, then the small integers */
    float error;
} signed_block;

/* The nearest level of every value: the lowest one and every step whose middle lies below. */
static float encode_uneven(const float *restrict x, int n, float scale, float *restrict q)
{
    const float inv = scale != 0.0f ? 1.0f / scale : 0.0f;
    float error = 0.0f;
    for (int i = 0; i < n; i += 16) {
        float e[16];
        for (int j = 0; j < 16; j++)
            q[i + j] = (float)puna_iq4_values[0];
        for (int k = 1; k < 16; k++) {
            const float step = (float)(puna_iq4_values[k] - puna_iq4_values[k - 1]);
            const float middle = (float)(puna_iq4_values[k] + puna_iq4_values[k - 1]) * 0.5f;
            for (int j = 0; j < 16; j++)
                q[i + j] += x[i + j] * inv > middle ? step : 0.0f;
        }
        for (int j = 0; j < 16; j++) {
            const float r = scale * q[i + j] - x[i + j];
            e[j] = r * r;
        }
        error += total16(e);
    }
    return error;
}

/* Levels of a sub-block for x = scale * q; returns the squared error. */
static float encode_signed(const float *x, const signed_kind *kind, float scale, float *q)
{
    return kind->uneven ? encode_uneven(x, kind->n_elems, scale, q)
                        : encode(x, kind->n_elems, scale, 0.0f, kind->low, kind->high, q);
}

static float fit_signed(const float *x, const signed_kind *kind)
{
    float extreme = 0.0f, q[max_sub_elems], best_gain = 0.0f, best_scale = 0.0f;
    for (int j = 0; j < kind->n_elems; j++)
        extreme = fabsf(x[j]) > fabsf(extreme) ? x[j] : extreme;
    if (extreme == 0.0f)
        return 0.0f;
    for (int side = 0; side < 2; side++) {
        for (int k = -kind->n_trials; k <= kind->n_trials; k++) {
            const float end = (side ? kind->high : kind->low) + kind->step * (float)k;
            encode_signed(x, kind, extreme / end, q);
            const moments sums = moments_of(x, q, kind->n_elems);
            const float scale = sums.xq / sums.qq, gain = scale * sums.xq; /* of squared error */
            if (gain > best_gain) {
                best_gain = gain;
                best_scale = scale;
            }
        }
    }
    return best_scale;
}

/* One round of (2), as round_affine. */
static void round_signed(const float *x, const signed_kind *kind, signed_block *wanted, signed_block *out)
{
    float num = 0.0f, den = 0.0f, q[max_sub_elems];
    out->d = rounded_to_f16(wanted->d);
    out->error = 0.0f;
    for (int i = 0; i < kind->n_sub; i++, x += kind->n_elems) {
        const float ideal = out->d != 0.0f ? wanted->scale[i] / out->d : 0.0f;
        const float middle = nearest(clamp(ideal, kind->scale_low, kind->scale_high));
        float best = FLT_MAX, scale = middle;
        for (int k = -1; k <= 1; k++) {
            const float s = middle + (float)k;
            if (s < kind->scale_low || s > kind->scale_high)
                continue;
            const float error = encode_signed(x, kind, out->d * s, q);
            if (error < best) {
                best = error;
                scale = s;
            }
        }
        out->scale[i] = scale;
        out->error += encode_signed(x, kind, out->d * scale, q);
        const moments sums = moments_of(x, q, kind->n_elems);
        num += scale * sums.xq;
        den += scale * scale * sums.qq;
        wanted->scale[i] = sums.qq > 0.0f ? sums.xq / sums.qq : 0.0f;
    }
    if (den > 0.0f)
        wanted->d = num / den;
}

static uint8_t code_of_level(const signed_kind *kind, float q)
{
    if (!kind->uneven)
        return (uint8_t)puna_code_clamp(q - kind->low, 0, (int)(kind->high - kind->low));
    uint8_t code = 0;
    while (code < 15 && (float)puna_iq4_values[code] < q)
        code++;
    return code;
}

/* The best block; codes gets those of its n_sub * n_elems values. */
static signed_block fit_signed_block(const float *x, const signed_kind *kind, uint8_t *codes)
{
    signed_block wanted, best = { .error = FLT_MAX };
    const int n = kind->n_elems;
    float extreme = 0.0f, q[max_sub_elems];
    for (int i = 0; i < kind->n_sub; i++) {
        wanted.scale[i] = fit_signed(x + i * n, kind);
        extreme = fabsf(wanted.scale[i]) > fabsf(extreme) ? wanted.scale[i] : extreme;
    }
    wanted.d = extreme / kind->scale_low;
    for (int round = 0; round < max_rounds; round++) {
        signed_block tried;
        round_signed(x, kind, &wanted, &tried);
        if (round > 0 && !(tried.error < best.error))
            break;
        best = tried;
    }
    for (int i = 0; i < kind->n_sub; i++) {
        encode_signed(x + i * n, kind, best.d * best.scale[i], q);
        for (int j = 0; j < n; j++)
            codes[i * n + j] = code_of_level(kind, q[j]);
    }
    return best;
}

void puna_q3_k_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_q3_k *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++, values += 256) {
        uint8_t codes[256];
        const signed_block fit = fit_signed_block(values, &q3_k_kind, codes);
        memset(b->scales, 0, sizeof b->scales);
        for (int s = 0; s < 16; s++) { /* as puna_q3_k_scales reads them */
            const int scale = (int)fit.scale[s] + 32;
            b->scales[s % 8] |= (uint8_t)((scale & 15) << (s / 8 * 4));
            b->scales[8 + s % 4] |= (uint8_t)((scale >> 4) << (s / 4 * 2));
        }
        pack_bits(codes, 2, b->hmask);
        pack_pairs(codes, b->qs);
        puna_store_f16(b->d, fit.d);
    }
}

void puna_q6_k_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_q6_k *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++, values += 256) {
        uint8_t codes[256];
        const signed_block fit = fit_signed_block(values, &q6_k_kind, codes);
        for (int s = 0; s < 16; s++)
            b->scales[s] = (int8_t)fit.scale[s];
        for (int j = 0; j < 128; j++) {
            const uint8_t *c = codes + j / 64 * 128 + j % 64;
            b->ql[j] = (uint8_t)((c[0] & 15) | (c[64] & 15) << 4);
        }
        for (int j = 0; j < 64; j++) {
            const uint8_t *c = codes + j / 32 * 128 + j % 32;
            b->qh[j] = (uint8_t)(c[0] >> 4 | c[32] >> 4 << 2 | c[64] >> 4 << 4 | c[96] >> 4 << 6);
        }
        puna_store_f16(b->d, fit.d);
    }
}

/* Low nibbles are the first 16 of 32 codes. */
static void pack_halves(const uint8_t codes[32], uint8_t qs[16])
{
    for (int j = 0; j < 16; j++)
        qs[j] = (uint8_t)(codes[j] | codes[j + 16] << 4);
}

void puna_iq4_nl_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_iq4_nl *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b++, values += 32) {
        uint8_t codes[32];
        puna_store_f16(b->d, fit_signed_block(values, &iq4_nl_kind, codes).d);
        pack_halves(codes, b->qs);
    }
}

void puna_iq4_xs_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_iq4_xs *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++, values += 256) {
        uint8_t codes[256];
        const signed_block fit = fit_signed_block(values, &iq4_xs_kind, codes);
        int high = 0;
        memset(b->scales_l, 0, sizeof b->scales_l);
        for (int s = 0; s < 8; s++) {
            const int scale = (int)fit.scale[s] + 32;
            b->scales_l[s / 2] |= (uint8_t)((scale & 15) << (s % 2 * 4));
            high |= scale >> 4 << 2 * s;
            pack_halves(codes + s * 32, b->qs + s * 16);
        }
        puna_store_f16(b->d, fit.d);
        puna_store_u16(b->scales_h, (uint16_t)high);
    }
}

/* ---- Q8_K: for activations, one float scale ------------------------------------------------ */

/* The value of largest magnitude becomes -127; bit for bit what ggml writes. */
void puna_q8_k_quantize(const float *restrict values, void *restrict blocks, size_t n)
{
    puna_block_q8_k *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b++, values += 256) {
        float extreme = 0.0f;
        for (int j = 0; j < 256; j++)
            extreme = fabsf(values[j]) > fabsf(extreme) ? values[j] : extreme;
        memset(b, 0, sizeof *b);
        if (extreme == 0.0f)
            continue;
        const float inv = -127.0f / extreme;
        for (int s = 0; s < 16; s++) {
            int sum = 0;
            for (int j = s * 16; j < s * 16 + 16; j++) {
                const float q = nearest(clamp(inv * values[j], -128.0f, 127.0f));
                b->qs[j] = (int8_t)q;
                sum += b->qs[j];
            }
            puna_store_u16(b->sums + s * 2, (uint16_t)(int16_t)sum);
        }
        puna_store_f32(b->d, 1.0f / inv);
    }
}
