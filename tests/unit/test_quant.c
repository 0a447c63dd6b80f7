/* test_quant.c - every row of formats.def against tests/data/quant/golden.bin, which was made from
 * the `gguf` package and ggml by tools/reference/quant_golden.py; 16-bit floats against their
 * definition. */
#include <stdlib.h>

#include "base/file.h"
#include "harness.h"
#include "quant/format.h"
#include "quant/half.h"

enum { n_random = 256, n_bell = 8192, n_bits = 4096, n_patterns = 11, max_values = n_random * 256 };

/* ---- the numbers that the generator makes too ---------------------------------------------- */

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t word(uint64_t seed, uint64_t k)
{
    return mix(seed + (k + 1) * 0x9e3779b97f4a7c15u);
}

static void fill_random(uint64_t seed, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(word(seed, i / 8) >> i % 8 * 8);
}

static void fill_bell(uint64_t seed, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t w = word(seed, i);
        int sum = 0;
        for (int k = 0; k < 64; k += 16)
            sum += (int16_t)(w >> k & 0xffff);
        out[i] = (float)sum * 0x1p-20f;
    }
}

static void fill_bits(uint64_t seed, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = (uint32_t)(word(seed, i / 2) >> i % 2 * 32);
        out[i] = puna_f32_make((bits & 0x7f800000u) == 0x7f800000u ? bits & 0xbfffffffu : bits);
    }
}

static float pattern_value(int pattern, int i)
{
    switch (pattern) {
    case 0: return 0.0f;
    case 1: return 0.5f;
    case 2: return -0.25f;
    case 3: return i % 2 ? -1.0f : 1.0f;
    case 4: return (float)(i - 16) * 0.25f;
    case 5: return (float)(i % 7 - 3) * 0x1p-100f;
    case 6: return (float)(i * 5 % 13 - 6) * 0x1p-20f;
    case 7: return (float)(i * 7 % 17 - 8) * 1024.0f;
    case 8: return i == 3 ? 100.0f : (float)(i % 5) * 0x1p-6f;
    case 9: return -0.0f;
    default: return i % 2 ? 0.375f : i == 4 ? -3.0f : -0.0f;
    }
}

static uint64_t digest_bytes(const uint8_t *v, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i] * (mix(i) | 1);
    return sum;
}

static uint64_t digest_floats(const float *v, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (isnan(v[i]) ? 0x7fc00000u : puna_f32_bits(v[i])) * (mix(i) | 1);
    return sum;
}

/* ---- the golden file ------------------------------------------------------------------------ */

typedef struct golden {
    const uint8_t *data;
    size_t size, at;
    uint8_t *blocks; /* scratch: n_random blocks */
    float *values, *back; /* scratch: max_values each */
} golden;

static const uint8_t *take(golden *g, size_t n)
{
    if (!CHECK(n <= g->size - g->at))
        exit(1);
    g->at += n;
    return g->data + g->at - n;
}

static uint32_t take_u32(golden *g)
{
    return puna_load_u32(take(g, 4));
}

static uint64_t take_u64(golden *g)
{
    return puna_load_u64(take(g, 8));
}

static void check_dequantise(golden *g, const puna_format_info *format)
{
    const size_t elems = format->block_elems, bytes = format->block_bytes;
    size_t n = take_u32(g);
    const uint8_t *blocks = take(g, n * bytes), *want = take(g, n * elems * 4);
    format->dequantize(blocks, g->values, n * elems);
    for (size_t i = 0; i < n * elems; i++) {
        const float v = puna_load_f32(want + i * 4);
        if (isnan(v) ? !isnan(g->values[i]) : puna_f32_bits(v) != puna_f32_bits(g->values[i])) {
            test_fail(__FILE__, __LINE__, "%s: value %zu: got %.9g, expected %.9g", format->name, i,
                      (double)g->values[i], (double)v);
            break;
        }
    }
    n = take_u32(g);
    blocks = take(g, n * bytes);
    for (size_t i = 0; i < n; i++) {
        /* One byte further, so that no block is aligned. */
        memcpy(g->blocks + 1, blocks + i * bytes, bytes);
        format->dequantize(g->blocks + 1, g->values, elems);
        if (digest_floats(g->values, elems) != take_u64(g))
            test_fail(__FILE__, __LINE__, "%s: extreme block %zu differs", format->name, i);
    }
    fill_random((uint64_t)format->id, g->blocks, n_random * bytes);
    format->dequantize(g->blocks, g->values, n_random * elems);
    if (digest_floats(g->values, n_random * elems) != take_u64(g))
        test_fail(__FILE__, __LINE__, "%s: random blocks differ", format->name);
}

/* Blocks that others write too must be theirs. */
static void check_exact(golden *g, const puna_format_info *format)
{
    const size_t elems = format->block_elems > 32 ? format->block_elems : 32;
    const size_t bytes = elems / format->block_elems * format->block_bytes;
    for (int pattern = 0; pattern < n_patterns; pattern++) {
        for (size_t i = 0; i < elems; i++)
            g->values[i] = pattern_value(pattern, (int)i);
        const uint8_t *want = take(g, bytes);
        format->quantize(g->values, g->blocks, elems);
        for (size_t i = 0; i < bytes; i++) {
            if (g->blocks[i] != want[i]) {
                test_fail(__FILE__, __LINE__, "%s: pattern %d byte %zu: got %02x, expected %02x",
                          format->name, pattern, i, g->blocks[i], want[i]);
                break;
            }
        }
    }
    fill_bell(3000 + (uint64_t)format->id, g->values, n_bell);
    format->quantize(g->values, g->blocks, n_bell);
    if (digest_bytes(g->blocks, n_bell / format->block_elems * format->block_bytes) != take_u64(g))
        test_fail(__FILE__, __LINE__, "%s: quantised values differ", format->name);
    if (format->block_elems == 1) {
        fill_bits(4000 + (uint64_t)format->id, g->values, n_bits);
        format->quantize(g->values, g->blocks, n_bits);
        if (digest_bytes(g->blocks, n_bits * format->block_bytes) != take_u64(g))
            test_fail(__FILE__, __LINE__, "%s: values of every exponent differ", format->name);
    }
}

/* As much squared error as others leave where the bytes are equal, less where we search. */
static void check_error(golden *g, const puna_format_info *format, bool exact, double theirs)
{
    double error = 0.0;
    fill_bell(3000 + (uint64_t)format->id, g->values, n_bell);
    format->quantize(g->values, g->blocks, n_bell);
    format->dequantize(g->blocks, g->back, n_bell);
    for (int i = 0; i < n_bell; i++) {
        const double e = (double)g->back[i] - (double)g->values[i];
        error += e * e;
    }
    if (!(error <= theirs * (exact ? 1.0 + 1e-12 : 0.99)))
        test_fail(__FILE__, __LINE__, "%s: squared error %.9g, others reach %.9g", format->name,
                  error, theirs);
}

static void skip_quantise(golden *g, uint32_t kind, size_t elems, size_t bytes)
{
    take(g, kind ? 8 : 0);
    if (kind == 1)
        take(g, (elems > 32 ? 1 : 32 / elems) * bytes * n_patterns + (elems == 1 ? 16 : 8));
}

static void check_quantise(golden *g, const puna_format_info *format)
{
    const uint32_t kind = take_u32(g);
    if (!format->quantize) {
        skip_quantise(g, kind, format->block_elems, format->block_bytes);
        return;
    }
    if (!CHECK(kind == 1 || kind == 2))
        return;
    const uint64_t bits = take_u64(g);
    double theirs;
    memcpy(&theirs, &bits, sizeof theirs);
    if (kind == 1)
        check_exact(g, format);
    check_error(g, format, kind == 1, theirs);
}

static void every_format_equals_its_golden(void)
{
    golden g = { 0 };
    puna_error err = { 0 };
    bool seen[PUNA_FORMAT_COUNT_MAX] = { false };
    puna_file file;
    if (!CHECK_OK(puna_file_map(&file, test_data("quant/golden.bin"), &err), err))
        return;
    g.data = file.data;
    g.size = file.size_bytes;
    g.blocks = malloc(n_random * 300 + n_bell * 8);
    g.values = malloc(max_values * sizeof *g.values);
    g.back = malloc(max_values * sizeof *g.back);
    if (CHECK(g.blocks && g.values && g.back) && CHECK(memcmp(take(&g, 4), "PQG1", 4) == 0)) {
        for (uint32_t n = take_u32(&g); n > 0; n--) {
            const uint32_t number = take_u32(&g), elems = take_u32(&g), bytes = take_u32(&g);
            const char *name = (const char *)take(&g, 8);
            const puna_format_info *format = puna_format_get(number);
            if (!format) {
                test_fail(__FILE__, __LINE__, "%s: no row of formats.def", name);
                break;
            }
            CHECK_TEXT(format->name, name);
            CHECK_INT(format->block_elems, elems);
            CHECK_INT(format->block_bytes, bytes);
            check_dequantise(&g, format);
            check_quantise(&g, format);
            seen[number] = true;
        }
        CHECK_INT(g.at, g.size);
    }
    size_t n;
    const puna_format_info *all = puna_format_list(&n);
    for (size_t i = 0; i < n; i++) {
        if (!seen[all[i].id])
            test_fail(__FILE__, __LINE__, "%s: no golden data", all[i].name);
    }
    puna_file_unmap(&file);
    free(g.blocks);
    free(g.values);
    free(g.back);
}

/* Tiny values come back tiny, values near the largest f16 come back finite; larger ones may not, but
 * must not be undefined behaviour (the sanitizers' part). */
static void quantisers_survive_extremes(void)
{
    static const float extremes[] = { 1e-45f, -1e-45f, 1e-30f, 6e4f, -6e4f, 1e20f, 3.4e38f, -3.4e38f };
    float values[256], back[256];
    uint8_t blocks[256 * 8];
    size_t n;
    const puna_format_info *all = puna_format_list(&n);
    for (size_t i = 0; i < n; i++) {
        for (int e = 0; all[i].quantize && e < 8; e++) {
            for (int j = 0; j < 256; j++)
                values[j] = j % 3 == e % 3 ? extremes[e] : j % 5 ? 0.0f : -0.5f * extremes[e];
            all[i].quantize(values, blocks, 256);
            all[i].dequantize(blocks, back, 256);
            for (int j = 0; j < 256 && e < 5; j++) {
                if (!(fabsf(back[j]) <= 2.0f * fabsf(extremes[e])) && !(fabsf(back[j]) <= 1e-30f)) {
                    test_fail(__FILE__, __LINE__, "%s: %g beside %g came back as %g", all[i].name,
                              (double)values[j], (double)extremes[e], (double)back[j]);
                    break;
                }
            }
        }
    }
}

/* K types: zeros stay zero, a constant block keeps its sign and size, and a block beyond the range
 * of an f16 scale comes back as the largest there is, not as infinities. */
static void k_types_keep_simple_blocks(void)
{
    static const char *const names[] = { "q2_k", "q3_k", "q4_k", "q5_k", "q6_k" };
    float values[256], back[256];
    uint8_t blocks[256];
    for (int t = 0; t < 5; t++) {
        const puna_format_info *format = puna_format_find(names[t]);
        if (!CHECK(format))
            return;
        for (int sign = -1; sign <= 1; sign++) {
            for (int j = 0; j < 256; j++)
                values[j] = (float)sign * 0.75f;
            format->quantize(values, blocks, 256);
            format->dequantize(blocks, back, 256);
            for (int j = 0; j < 256; j++)
                CHECK_NEAR(back[j], values[j], 0.75 / 1024);
        }
        for (int j = 0; j < 256; j++)
            values[j] = j % 2 ? 1e12f : -1e12f;
        format->quantize(values, blocks, 256);
        format->dequantize(blocks, back, 256);
        for (int j = 0; j < 256; j++)
            CHECK(isfinite(back[j]) && (back[j] > 0) == (j % 2));
    }
}

static void formats_are_found_by_number_and_name(void)
{
    CHECK(puna_format_get(4) == NULL && puna_format_get(255) == NULL);
    CHECK(puna_format_get(UINT32_MAX) == NULL);
    CHECK_TEXT(puna_format_get(PUNA_FORMAT_Q4_K)->name, "q4_k");
    CHECK_INT(puna_format_find("Q4_K")->id, PUNA_FORMAT_Q4_K);
    CHECK_INT(puna_format_find("bF16")->id, 30);
    CHECK(puna_format_find("q4_") == NULL && puna_format_find("q4_k_m") == NULL);
    CHECK(puna_format_find("") == NULL);
    size_t n;
    const puna_format_info *all = puna_format_list(&n);
    for (size_t i = 0; i < n; i++) {
        CHECK(puna_format_get((uint32_t)all[i].id) == &all[i]);
        CHECK(puna_format_find(all[i].name) == &all[i]);
    }
}

static void sizes_are_exact_or_refused(void)
{
    const puna_format_info *q4_k = puna_format_get(PUNA_FORMAT_Q4_K);
    uint64_t size;
    CHECK(puna_format_size(q4_k, 4096, 3, &size));
    CHECK_INT(size, 16 * 144 * 3);
    CHECK(puna_format_size(q4_k, 0, 3, &size) && size == 0);
    CHECK(!puna_format_size(q4_k, 4097, 1, &size));
    CHECK(!puna_format_size(q4_k, 255, 1, &size));
    const uint64_t most = UINT64_MAX / 144;
    CHECK(puna_format_size(q4_k, 256, most, &size) && size == most * 144);
    CHECK(!puna_format_size(q4_k, 256, most + 1, &size));
    CHECK(!puna_format_size(puna_format_get(PUNA_FORMAT_F32), UINT64_MAX, 1, &size));
    CHECK(!puna_format_size(puna_format_get(PUNA_FORMAT_I8), UINT64_MAX, 2, &size));
    CHECK(puna_format_size(puna_format_get(PUNA_FORMAT_I8), UINT64_MAX, 1, &size));
}

/* Widening by the definition; narrowing at every value, and around the middle of every two. */
static void halves_round_to_nearest_even(void)
{
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float got = puna_f16_to_f32((uint16_t)h);
        const int e = (int)(h >> 10 & 31), m = (int)(h & 0x3ff);
        if (e == 31) {
            CHECK(m ? isnan(got) : isinf(got) && (got < 0) == (h >> 15));
            CHECK(m ? isnan(puna_f16_to_f32(puna_f32_to_f16(got))) : puna_f32_to_f16(got) == h);
            continue;
        }
        const float want = ldexpf((float)(e ? m + 1024 : m), (e ? e : 1) - 25);
        CHECK(puna_f32_bits(got) == (puna_f32_bits(want) | (h >> 15 << 31)));
        CHECK(puna_f32_to_f16(got) == h);
        const float next = e == 30 && m == 1023 ? 65536.0f : puna_f16_to_f32((uint16_t)((h & 0x7fff) + 1));
        const float middle = (want + next) / 2, sign = h >> 15 ? -1.0f : 1.0f;
        CHECK(puna_f32_to_f16(sign * middle) == h + (h & 1));
        CHECK(puna_f32_to_f16(sign * nextafterf(middle, 0.0f)) == h);
        CHECK(puna_f32_to_f16(sign * nextafterf(middle, 1e9f)) == h + 1);
    }
    CHECK_INT(puna_f32_to_f16(1e-45f), 0);
    CHECK_INT(puna_f32_to_f16(-3.4e38f), 0xfc00);
}

static void bfloats_round_to_nearest_even(void)
{
    CHECK_INT(puna_f32_to_bf16(1.0f), 0x3f80);
    CHECK_INT(puna_f32_to_bf16(puna_f32_make(0x3f808000u)), 0x3f80);
    CHECK_INT(puna_f32_to_bf16(puna_f32_make(0x3f808001u)), 0x3f81);
    CHECK_INT(puna_f32_to_bf16(puna_f32_make(0x3f818000u)), 0x3f82);
    CHECK_INT(puna_f32_to_bf16(puna_f32_make(0x7f7fffffu)), 0x7f80);
    CHECK_INT(puna_f32_to_bf16(puna_f32_make(0x7f800001u)), 0x7fc0);
    CHECK_INT(puna_f32_to_bf16(puna_f32_make(1u)), 0);
    for (uint32_t h = 0; h < 0x10000; h++) {
        if ((h & 0x7fff) <= 0x7f80)
            CHECK_INT(puna_f32_to_bf16(puna_bf16_to_f32((uint16_t)h)), h);
    }
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(every_format_equals_its_golden),
        TEST(quantisers_survive_extremes),
        TEST(k_types_keep_simple_blocks),
        TEST(formats_are_found_by_number_and_name),
        TEST(sizes_are_exact_or_refused),
        TEST(halves_round_to_nearest_even),
        TEST(bfloats_round_to_nearest_even),
    };
    return test_main("quant", cases, sizeof cases / sizeof cases[0], argc, argv);
}
