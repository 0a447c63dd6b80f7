/* test_container.c - model files that are right: real GGUFs against what the gguf Python package
 * sees in them, every metadata type, llama2.c's three versions against the same model in GGUF,
 * split models, and how near misses are explained. Files that are wrong are in
 * test_container_hostile.c. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <unistd.h>

#include "gguf/container.h"
#include "gguf/cursor.h"
#include "gguf_builder.h"
#include "harness.h"

static void cursor_stops_at_the_end_and_remembers_why(void)
{
    const unsigned char bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14 };
    puna_cursor in = puna_cursor_make(bytes, sizeof bytes);
    CHECK_INT(puna_cursor_u8(&in, "a"), 1);
    CHECK_INT(puna_cursor_u32(&in, "b"), 0x05040302);
    CHECK(puna_cursor_u64(&in, "c") == 0x0d0c0b0a09080706u);
    CHECK_INT(puna_cursor_left(&in), 1);
    CHECK_INT(puna_cursor_u32(&in, "d"), 0);
    CHECK(in.failed && in.offset == 13 && in.wanted == 4);
    CHECK_TEXT(in.field, "d");
    CHECK_INT(puna_cursor_u8(&in, "e"), 0);
    CHECK_TEXT(in.field, "d");
    in = puna_cursor_make(bytes, sizeof bytes);
    CHECK(puna_cursor_bytes(&in, sizeof bytes, "all") == bytes);
    CHECK(puna_cursor_bytes(&in, 0, "none") == bytes + sizeof bytes);
    CHECK(puna_cursor_bytes(&in, UINT64_MAX, "more") == NULL);
}

/* ---- Real files -------------------------------------------------------------------- */

/* Counted with the gguf Python package: tools/reference/gguf_compare.py --count. */
static const struct {
    const char *path;
    int n_meta, n_tensors, n_tokens, token_bytes, type_sum;
} real_files[] = {
    { "models/stories260K/stories260K-F16.gguf", 21, 48, 512, 2305, 1797 },
    { "models/stories260K/stories260K.gguf", 19, 48, 512, 2305, 1797 },
    { "tokenizers/vocab/ggml-vocab-bert-bge.gguf", 20, 0, 30522, 260415, 30532 },
    { "tokenizers/vocab/ggml-vocab-deepseek-llm.gguf", 23, 0, 102400, 934635, 109598 },
    { "tokenizers/vocab/ggml-vocab-falcon.gguf", 18, 0, 65024, 462041, 65048 },
    { "tokenizers/vocab/ggml-vocab-gpt-2.gguf", 16, 0, 50257, 356735, 50259 },
    { "tokenizers/vocab/ggml-vocab-llama-bpe.gguf", 20, 0, 128256, 1073445, 128768 },
    { "tokenizers/vocab/ggml-vocab-llama-spm.gguf", 22, 0, 32000, 210919, 33285 },
    { "tokenizers/vocab/ggml-vocab-mpt.gguf", 17, 0, 50432, 358831, 50970 },
    { "tokenizers/vocab/ggml-vocab-phi-3.gguf", 26, 0, 32064, 211596, 33426 },
    { "tokenizers/vocab/ggml-vocab-qwen2.gguf", 20, 0, 151936, 1372708, 152812 },
    { "tokenizers/vocab/ggml-vocab-starcoder.gguf", 19, 0, 49152, 344855, 49228 },
};

static void check_real_file(size_t i, const char *path)
{
    puna_error err = { 0 };
    puna_container *c;
    if (!CHECK_OK(puna_container_open(&c, path, &err), err))
        return;
    CHECK_TEXT(puna_container_kind(c), "gguf v3");
    CHECK_INT(puna_container_n_meta(c), real_files[i].n_meta);
    CHECK_INT(puna_container_n_tensors(c), real_files[i].n_tensors);
    const puna_meta *tokens = puna_container_meta(c, "tokenizer.ggml.tokens");
    const puna_meta *types = puna_container_meta(c, "tokenizer.ggml.token_type");
    size_t n, total = 0, count = 0;
    int64_t value, sum = 0;
    const char *text;
    for (puna_meta_cursor at = { 0 }; puna_meta_next_text(tokens, &at, &text, &n); count++)
        total += n;
    for (uint64_t k = 0; puna_meta_i64(types, k, &value); k++)
        sum += value;
    CHECK_INT(count, real_files[i].n_tokens);
    CHECK_INT(total, real_files[i].token_bytes);
    CHECK_INT(sum, real_files[i].type_sum);
    puna_container_close(c);
}

static void real_files_show_what_the_gguf_package_shows(void)
{
    for (size_t i = 0; i < sizeof real_files / sizeof real_files[0]; i++) {
        const char *path = test_shared(real_files[i].path);
        if (!path) {
            test_skip(real_files[i].path);
            return;
        }
        check_real_file(i, path);
    }
}

static void a_real_model_has_its_shapes_and_bytes(void)
{
    const char *path = test_shared("models/stories260K/stories260K.gguf");
    puna_error err = { 0 };
    puna_container *c;
    if (!path) {
        test_skip("stories260K.gguf");
        return;
    }
    if (!CHECK_OK(puna_container_open(&c, path, &err), err))
        return;
    const char *text;
    size_t n;
    uint64_t count;
    double real;
    CHECK(puna_meta_text(puna_container_meta(c, "general.architecture"), &text, &n) && n == 5 &&
          memcmp(text, "llama", 5) == 0);
    CHECK(puna_meta_u64(puna_container_meta(c, "llama.block_count"), 0, &count) && count == 5);
    CHECK(puna_meta_f64(puna_container_meta(c, "llama.attention.layer_norm_rms_epsilon"), 0, &real));
    CHECK_NEAR(real, 1e-5, 1e-12);
    CHECK(puna_container_meta(c, "llama.block_coun") == NULL);
    const puna_tensor *t = puna_container_tensor(c, "blk.3.ffn_down.weight");
    const puna_tensor *first = puna_container_tensor(c, "token_embd.weight");
    if (!CHECK(t && first))
        return;
    CHECK(t->n_dims == 2 && t->ne[0] == 172 && t->ne[1] == 64 && t->ne[2] == 1 && t->ne[3] == 1);
    CHECK_INT(t->format->id, PUNA_FORMAT_F32);
    CHECK_INT(t->size_bytes, 172 * 64 * 4);
    /* 915296 and 14176: the offsets that the gguf package prints. */
    CHECK_INT((const char *)t->data - (const char *)first->data, 915296 - 14176);
    CHECK(puna_container_tensor_at(c, 0) == first);
    CHECK_INT(puna_container_size_bytes(c), 1185376);
    CHECK(puna_container_tensor(c, "blk.5.ffn_down.weight") == NULL);
    puna_container_close(c);
}

/* ---- Metadata ---------------------------------------------------------------------- */

typedef struct typed {
    const char *key;
    puna_meta_type type;
    size_t width;
    uint64_t bits[3]; /* three elements, and the first alone as a scalar */
} typed;

static const typed typed_values[] = {
    { "u8", PUNA_META_U8, 1, { 200, 0, 255 } },
    { "i8", PUNA_META_I8, 1, { 0x80, 0x7f, 0xff } },
    { "u16", PUNA_META_U16, 2, { 0xffff, 1, 2 } },
    { "i16", PUNA_META_I16, 2, { 0x8000, 0x7fff, 0xffff } },
    { "u32", PUNA_META_U32, 4, { 0xffffffff, 1, 2 } },
    { "i32", PUNA_META_I32, 4, { 0x80000000, 0x7fffffff, 0xffffffff } },
    { "f32", PUNA_META_F32, 4, { 0x3fc00000, 0xbf000000, 0x7f800000 } },
    { "bool", PUNA_META_BOOL, 1, { 1, 0, 1 } },
    { "u64", PUNA_META_U64, 8, { UINT64_MAX, 1, 1ull << 53 } },
    { "i64", PUNA_META_I64, 8, { 1ull << 63, INT64_MAX, UINT64_MAX } },
    { "f64", PUNA_META_F64, 8, { 0x3ff8000000000000, 0xbfe0000000000000, 0x7ff0000000000000 } },
};

static const struct {
    const char *key;
    bool as_u64[3], as_i64[3], as_f64[3], as_bool;
    int64_t i64[3];
    double f64[3];
} typed_results[] = {
    { "u8", { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 }, 0, { 200, 0, 255 }, { 200, 0, 255 } },
    { "i8", { 0, 1, 0 }, { 1, 1, 1 }, { 1, 1, 1 }, 0, { -128, 127, -1 }, { -128, 127, -1 } },
    { "u16", { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 }, 0, { 65535, 1, 2 }, { 65535, 1, 2 } },
    { "i16", { 0, 1, 0 }, { 1, 1, 1 }, { 1, 1, 1 }, 0, { -32768, 32767, -1 }, { -32768, 32767, -1 } },
    { "u32", { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 }, 0, { 4294967295, 1, 2 }, { 4294967295, 1, 2 } },
    { "i32", { 0, 1, 0 }, { 1, 1, 1 }, { 1, 1, 1 }, 0, { INT32_MIN, INT32_MAX, -1 },
      { INT32_MIN, INT32_MAX, -1 } },
    { "f32", { 0, 0, 0 }, { 0, 0, 0 }, { 1, 1, 1 }, 0, { 0 }, { 1.5, -0.5, INFINITY } },
    { "bool", { 1, 1, 1 }, { 1, 1, 1 }, { 0, 0, 0 }, 1, { 1, 0, 1 }, { 0 } },
    { "u64", { 1, 1, 1 }, { 0, 1, 1 }, { 0, 1, 1 }, 0, { 0, 1, 1ll << 53 }, { 0, 1, 9007199254740992.0 } },
    { "i64", { 0, 1, 0 }, { 1, 1, 1 }, { 1, 0, 1 }, 0, { INT64_MIN, INT64_MAX, -1 },
      { -9223372036854775808.0, 0, -1 } },
    { "f64", { 0, 0, 0 }, { 0, 0, 0 }, { 1, 1, 1 }, 0, { 0 }, { 1.5, -0.5, INFINITY } },
};

static void check_typed(const puna_container *c, size_t i, const char *key, uint64_t n)
{
    const puna_meta *meta = puna_container_meta(c, key);
    if (!CHECK(meta && meta->n == n && meta->element == typed_values[i].type))
        return;
    CHECK_INT(meta->size_bytes, n * typed_values[i].width);
    for (uint64_t k = 0; k < n; k++) {
        uint64_t u;
        int64_t s;
        double d;
        bool b;
        CHECK_INT(puna_meta_u64(meta, k, &u), typed_results[i].as_u64[k]);
        CHECK_INT(puna_meta_i64(meta, k, &s), typed_results[i].as_i64[k]);
        CHECK_INT(puna_meta_f64(meta, k, &d), typed_results[i].as_f64[k]);
        CHECK_INT(puna_meta_bool(meta, k, &b), typed_results[i].as_bool);
        if (typed_results[i].as_u64[k])
            CHECK(u == typed_values[i].bits[k]);
        if (typed_results[i].as_i64[k])
            CHECK_INT(s, typed_results[i].i64[k]);
        if (typed_results[i].as_f64[k])
            CHECK(d == typed_results[i].f64[k]);
        if (typed_results[i].as_bool)
            CHECK_INT(b, typed_results[i].i64[k]);
    }
    uint64_t past;
    CHECK(!puna_meta_u64(meta, n, &past) && !puna_meta_u64(meta, UINT64_MAX, &past));
}

static void build_typed(gguf_builder *b)
{
    const char *const texts[] = { "", "one", "caf\xc3\xa9 \xff" };
    char key[16];
    for (size_t i = 0; i < sizeof typed_values / sizeof typed_values[0]; i++) {
        const typed *t = &typed_values[i];
        gguf_add_scalar(b, t->key, t->type, &t->bits[0], t->width);
        snprintf(key, sizeof key, "%s[]", t->key);
        gguf_add_array(b, key, (uint32_t)t->type, 3);
        for (int k = 0; k < 3; k++)
            gguf_add_bytes(b, &t->bits[k], t->width);
    }
    gguf_add_text(b, "text", "hello");
    gguf_add_texts(b, "texts", texts, 3);
    gguf_add_texts(b, "no texts", texts, 0);
    gguf_add_array(b, "no numbers", PUNA_META_F64, 0);
    gguf_add_text(b, "\xff\xfe key of any bytes", "");
}

static void check_texts(const puna_container *c)
{
    const char *text;
    size_t n;
    uint64_t number;
    CHECK(puna_meta_text(puna_container_meta(c, "text"), &text, &n) && n == 5 && !memcmp(text, "hello", 5));
    CHECK(!puna_meta_u64(puna_container_meta(c, "text"), 0, &number));
    CHECK(puna_meta_text(puna_container_meta(c, "\xff\xfe key of any bytes"), &text, &n) && n == 0);
    puna_meta_cursor at = { 0 };
    const puna_meta *texts = puna_container_meta(c, "texts");
    CHECK(!puna_meta_text(texts, &text, &n));
    CHECK(puna_meta_next_text(texts, &at, &text, &n) && n == 0);
    CHECK(puna_meta_next_text(texts, &at, &text, &n) && n == 3 && !memcmp(text, "one", 3));
    CHECK(puna_meta_next_text(texts, &at, &text, &n) && n == 7 && !memcmp(text, "caf\xc3\xa9 \xff", 7));
    CHECK(!puna_meta_next_text(texts, &at, &text, &n));
    at = (puna_meta_cursor){ 0 };
    CHECK(!puna_meta_next_text(puna_container_meta(c, "no texts"), &at, &text, &n));
    CHECK(!puna_meta_next_text(puna_container_meta(c, "text"), &at, &text, &n));
    CHECK(!puna_meta_next_text(puna_container_meta(c, "u8[]"), &at, &text, &n));
    double real;
    bool flag;
    CHECK(!puna_meta_next_text(NULL, &at, &text, &n) && !puna_meta_text(NULL, &text, &n));
    CHECK(!puna_meta_u64(NULL, 0, &number) && !puna_meta_f64(NULL, 0, &real));
    CHECK(!puna_meta_bool(NULL, 0, &flag));
    CHECK(!puna_meta_u64(puna_container_meta(c, "no numbers"), 0, &number));
}

static void every_metadata_type_is_read_and_converted_without_loss(void)
{
    for (uint32_t version = 2; version <= 3; version++) {
        static gguf_builder b;
        puna_error err = { 0 };
        puna_container *c;
        gguf_begin(&b, version);
        build_typed(&b);
        gguf_finish(&b);
        if (CHECK_OK(puna_container_open_memory(&c, b.file.data, b.file.n, "typed.gguf", &err), err)) {
            CHECK_TEXT(puna_container_kind(c), version == 2 ? "gguf v2" : "gguf v3");
            char key[16];
            for (size_t i = 0; i < sizeof typed_values / sizeof typed_values[0]; i++) {
                check_typed(c, i, typed_values[i].key, 1);
                snprintf(key, sizeof key, "%s[]", typed_values[i].key);
                check_typed(c, i, key, 3);
            }
            check_texts(c);
            CHECK_INT(puna_container_n_tensors(c), 0);
            CHECK(puna_container_tensor(c, "x") == NULL);
            puna_container_close(c);
        }
        gguf_free(&b);
    }
}

static void f64_takes_only_integers_that_it_can_hold(void)
{
    static gguf_builder b;
    static const uint64_t values[] = { (1ull << 53) + 1, (1ull << 53) + 2, 3ull << 62, UINT64_MAX - 1023 };
    static const bool exact[] = { false, true, true, false };
    puna_container *c;
    double real;
    gguf_begin(&b, 3);
    gguf_add_array(&b, "v", PUNA_META_U64, 4);
    gguf_add_bytes(&b, values, sizeof values);
    gguf_finish(&b);
    CHECK_INT(puna_container_open_memory(&c, b.file.data, b.file.n, "f64.gguf", NULL), PUNA_OK);
    for (uint64_t i = 0; i < 4; i++)
        CHECK_INT(puna_meta_f64(puna_container_meta(c, "v"), i, &real), exact[i]);
    puna_container_close(c);
    gguf_free(&b);
}

static void tensors_of_every_shape_lie_where_they_should(void)
{
    static gguf_builder b;
    puna_error err = { 0 };
    puna_container *c;
    gguf_begin(&b, 3);
    b.alignment = 64;
    gguf_add_u32(&b, "general.alignment", 64);
    gguf_add_tensor(&b, "one", PUNA_FORMAT_F32, 1, (uint64_t[]){ 3 }, "abcdefghijkl", 12);
    gguf_add_tensor(&b, "four", PUNA_FORMAT_F16, 4, (uint64_t[]){ 2, 3, 1, 2 }, NULL, 24);
    gguf_add_tensor(&b, "blocks", PUNA_FORMAT_Q8_0, 2, (uint64_t[]){ 64, 2 }, NULL, 4 * 34);
    gguf_finish(&b);
    if (CHECK_OK(puna_container_open_memory(&c, b.file.data, b.file.n, "shapes.gguf", &err), err)) {
        const puna_tensor *one = puna_container_tensor(c, "one"), *four = puna_container_tensor(c, "four");
        const puna_tensor *blocks = puna_container_tensor(c, "blocks");
        CHECK(((uintptr_t)one->data - (uintptr_t)b.file.data) % 64 == 0);
        CHECK(memcmp(one->data, "abcdefghijkl", 12) == 0);
        CHECK(four->n_dims == 4 && four->ne[3] == 2 && four->size_bytes == 24);
        CHECK_INT((const char *)four->data - (const char *)one->data, 64);
        CHECK(blocks->n_dims == 2 && blocks->size_bytes == 136 && blocks->ne[2] == 1);
        CHECK((const char *)blocks->data + 136 == b.file.data + b.file.n);
        CHECK_TEXT(puna_container_tensor_at(c, 2)->name, "blocks");
        puna_container_close(c);
    }
    gguf_free(&b);
}

/* ---- llama2.c ---------------------------------------------------------------------- */

/* Largest |decoded - exact| over half a step of its group of 8, which is max|exact| / 127 / 2. */
static double group_error(const float *got, const float *exact, uint64_t n)
{
    double worst = 0;
    for (uint64_t i = 0; i < n; i += 8) {
        double largest = 0, error = 0;
        for (uint64_t k = i; k < i + 8; k++) {
            const double size = fabs((double)exact[k]), apart = fabs((double)got[k] - (double)exact[k]);
            largest = size > largest ? size : largest; /* fmax stops gcc 12 for 64-bit ARM */
            error = apart > error ? apart : error;
        }
        worst = fmax(worst, largest > 0 ? error / (largest / 254) : error);
    }
    return worst;
}

static void compare_with_gguf(const puna_container *c, const puna_container *gguf, bool exact)
{
    for (size_t i = 0; i < puna_container_n_tensors(c); i++) {
        const puna_tensor *t = puna_container_tensor_at(c, i), *u = puna_container_tensor(gguf, t->name);
        if (!u) {
            test_fail(__FILE__, __LINE__, "%s is not in the GGUF", t->name);
            continue;
        }
        CHECK(t->n_dims == u->n_dims && t->ne[0] == u->ne[0] && t->ne[1] == u->ne[1] && t->ne[3] == 1);
        CHECK(t->format == u->format && t->size_bytes == u->size_bytes);
        if (exact || t->n_dims == 1)
            CHECK(memcmp(t->data, u->data, t->size_bytes) == 0);
        else
            CHECK(group_error(t->data, u->data, t->size_bytes / 4) <= 1.0001);
    }
}

static void compare_metadata(const puna_container *c, const puna_container *gguf)
{
    static const char *const keys[] = {
        "general.architecture", "llama.embedding_length", "llama.feed_forward_length", "llama.block_count",
        "llama.attention.head_count", "llama.attention.head_count_kv", "llama.rope.dimension_count",
        "llama.attention.layer_norm_rms_epsilon"
    };
    uint64_t value;
    double real;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const puna_meta *a = puna_container_meta(c, keys[i]), *b = puna_container_meta(gguf, keys[i]);
        CHECK(a && b && a->type == b->type && a->n == b->n && a->size_bytes == b->size_bytes &&
              memcmp(a->data, b->data, a->size_bytes) == 0);
    }
    CHECK(puna_meta_u64(puna_container_meta(c, "llama.context_length"), 0, &value) && value == 512);
    CHECK(puna_meta_u64(puna_container_meta(c, "llama.vocab_size"), 0, &value) && value == 512);
    CHECK(puna_meta_f64(puna_container_meta(c, "llama.rope.freq_base"), 0, &real) && real == 10000);
}

static void llama2c_files_equal_the_same_model_in_gguf(void)
{
    static const struct {
        const char *path, *kind, *name;
    } files[] = {
        { "models/stories260K/stories260K.bin", "llama2.c v0", "stories260K" },
        { "models/stories260K/stories260K_clebert_v1.bin", "llama2.c v1", "stories260K_clebert_v1" },
        { "models/stories260K/stories260K_q80_v2.bin", "llama2.c v2", "stories260K_q80_v2" },
    };
    const char *path = test_shared("models/stories260K/stories260K.gguf");
    puna_error err = { 0 };
    puna_container *gguf, *c;
    if (!path) {
        test_skip("stories260K.gguf");
        return;
    }
    if (!CHECK_OK(puna_container_open(&gguf, path, &err), err))
        return;
    for (size_t i = 0; i < 3; i++) {
        const char *text;
        size_t n;
        if (!CHECK_OK(puna_container_open(&c, test_shared(files[i].path), &err), err))
            continue;
        CHECK_TEXT(puna_container_kind(c), files[i].kind);
        CHECK_INT(puna_container_n_tensors(c), 47); /* the GGUF has the shared classifier twice */
        CHECK(puna_meta_text(puna_container_meta(c, "general.name"), &text, &n) &&
              n == strlen(files[i].name) && memcmp(text, files[i].name, n) == 0);
        compare_metadata(c, gguf);
        compare_with_gguf(c, gguf, i < 2);
        puna_container_close(c);
    }
    puna_container_close(gguf);
}

/* dim 4, hidden_dim 6, 2 layers, 2 heads, 1 kv head, vocabulary 3, seq_len 5. */
static size_t make_llama2c(unsigned char *out, int version, bool shared)
{
    int32_t sizes[7] = { 4, 6, 2, 2, 1, version == 0 && !shared ? -3 : 3, 5 };
    int32_t head[2] = { 0x616b3432, version }, group = 2;
    size_t norms = 2 * 4 * 2 + 4, others = 12 + 2 * (16 + 8 + 8 + 16 + 24 * 3) + (shared ? 0 : 12);
    size_t n = version ? 256 : 28;
    memset(out, 0, 256);
    memcpy(out + (version ? 8 : 0), sizes, sizeof sizes);
    if (version) {
        memcpy(out, head, sizeof head);
        out[36] = shared;
        memcpy(out + 37, &group, sizeof group);
    }
    size_t n_floats = norms + others + (version ? 0 : 5 * 2);
    size_t size = version == 2 ? norms * 4 + others + others / 2 * 4 : n_floats * 4;
    for (size_t i = 0; i < size; i++)
        out[n + i] = (unsigned char)(i % 4 == 3 ? 0x3d : i * 3);
    return n + size;
}

static void llama2c_with_a_classifier_of_its_own_has_an_output_tensor(void)
{
    static unsigned char bytes[4096];
    for (int version = 0; version <= 2; version++)
        for (int shared = 0; shared <= 1; shared++) {
            puna_error err = { 0 };
            puna_container *c;
            size_t n = make_llama2c(bytes, version, shared);
            if (!CHECK_OK(puna_container_open_memory(&c, bytes, n, "small.bin", &err), err))
                continue;
            const puna_tensor *output = puna_container_tensor(c, "output.weight");
            CHECK_INT(puna_container_n_tensors(c), shared ? 20 : 21);
            CHECK_INT(output != NULL, !shared);
            if (output && version < 2)
                CHECK((const unsigned char *)output->data + 3 * 4 * 4 == bytes + n);
            if (output && version == 2) {
                /* 12 values of one byte, then 6 scales. */
                float scale, value = ((const float *)output->data)[11];
                memcpy(&scale, bytes + n - 4, 4);
                CHECK(value == (float)(signed char)bytes[n - 24 - 1] * scale);
            }
            puna_container_close(c);
        }
}

static void llama2c_headers_that_lie_are_refused(void)
{
    static const struct {
        int version, field, value; /* field of the seven; 7: the byte after them */
        const char *expected;
    } cases[] = {
        { 1, 0, 0, "small.bin: dim: got 0, expected 1 to 2147483647" },
        { 1, 0, -1, "small.bin: dim: got -1, expected 1 to 2147483647" },
        { 1, 0, 6, "small.bin: n_heads: got 2 for dim 6, expected heads of a whole, even size" },
        { 1, 0, 2147483644, "small.bin: file size: got " },
        { 0, 0, 8, "small.bin: file size: got 1156 bytes, expected 3052 (llama2.c v0, dim 8, 2 layers, "
          "vocabulary 3)" },
        { 2, 1, 2147483647, "small.bin: file size: got " },
        { 2, 2, 5000, "small.bin: n_layers: got 5000, expected 1 to 4096" },
        { 2, 2, 3, "small.bin: file size: got 1092 bytes, expected 1484 (llama2.c v2, dim 4, 3 layers, "
          "vocabulary 3)" },
        { 2, 3, 0, "small.bin: n_heads: got 0, expected 1 to 4" },
        { 2, 4, 3, "small.bin: n_kv_heads: got 3, expected 1 to 2" },
        { 1, 7, 2, "small.bin: shared_classifier: got 2, expected 0 or 1" },
        { 1, 5, -3, "small.bin: vocab_size: got -3, expected 1 to 4194304" },
        { 1, 6, 0, "small.bin: seq_len: got 0, expected 1 to 16777216" },
        { 0, 6, 6, "small.bin: file size: got " },
        { 0, 3, 3, "small.bin: magic: got 04 00 00 00, expected GGUF or llama2.c" },
    };
    static unsigned char bytes[4096];
    puna_error err = { 0 };
    puna_container *c;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = make_llama2c(bytes, cases[i].version, true);
        int32_t value = cases[i].value;
        memcpy(bytes + (cases[i].version ? 8 : 0) + 4 * cases[i].field, &value, 4);
        CHECK_INT(puna_container_open_memory(&c, bytes, n, "small.bin", &err), PUNA_ERR_FORMAT);
        if (strncmp(err.message, cases[i].expected, strlen(cases[i].expected)) != 0)
            test_fail(__FILE__, __LINE__, "got \"%s\", expected \"%s\"", err.message, cases[i].expected);
    }
    size_t n = make_llama2c(bytes, 2, true);
    bytes[37] = 3;
    CHECK_INT(puna_container_open_memory(&c, bytes, n, "small.bin", &err), PUNA_ERR_FORMAT);
    CHECK_TEXT(err.message, "small.bin: group_size: got 3, expected a divisor of 16 (values of attn_q)");
    bytes[37] = 0;
    CHECK_INT(puna_container_open_memory(&c, bytes, n, "small.bin", &err), PUNA_ERR_FORMAT);
    CHECK_TEXT(err.message, "small.bin: group_size: got 0, expected 1 to 4");
    bytes[8] = 12, bytes[20] = 3, bytes[24] = 2;
    CHECK_INT(puna_container_open_memory(&c, bytes, n, "small.bin", &err), PUNA_ERR_FORMAT);
    CHECK_TEXT(err.message, "small.bin: n_kv_heads: got 2, expected a divisor of n_heads = 3");
    CHECK_INT(puna_container_open_memory(&c, bytes, 255, "small.bin", &err), PUNA_ERR_FORMAT);
    CHECK_TEXT(err.message, "small.bin: header: got a file of 255 bytes, expected at least 256");
    CHECK_INT(puna_container_open_memory(&c, bytes, 14, "small.bin", &err), PUNA_ERR_FORMAT);
    CHECK_TEXT(err.message, "small.bin: hidden_dim: got a file of 14 bytes, expected at least 256");
    bytes[4] = 3;
    CHECK_INT(puna_container_open_memory(&c, bytes, n, "small.bin", &err), PUNA_ERR_FORMAT);
    CHECK_TEXT(err.message, "small.bin: version: got 3, expected 1 or 2");
}

/* ---- Split models ------------------------------------------------------------------ */

typedef struct split_plan {
    int no, count, total; /* what part i writes into itself */
    const char *tensor;
} split_plan;

static void write_part(const char *folder, const char *name, const split_plan *plan)
{
    static gguf_builder b;
    char path[512];
    uint16_t no = (uint16_t)plan->no, count = (uint16_t)plan->count;
    int32_t total = plan->total;
    gguf_begin(&b, 3);
    if (plan->no == 0)
        gguf_add_text(&b, "general.architecture", "llama");
    gguf_add_scalar(&b, "split.no", PUNA_META_U16, &no, 2);
    gguf_add_scalar(&b, "split.count", PUNA_META_U16, &count, 2);
    gguf_add_scalar(&b, "split.tensors.count", PUNA_META_I32, &total, 4);
    if (plan->tensor)
        gguf_add_tensor(&b, plan->tensor, PUNA_FORMAT_F32, 1, (uint64_t[]){ 8 }, NULL, 32);
    gguf_finish(&b);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (CHECK(file != NULL)) {
        CHECK_INT(fwrite(b.file.data, 1, b.file.n, file), b.file.n);
        fclose(file);
    }
    gguf_free(&b);
}

static const char *const split_names[] = {
    "m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"
};

static void write_split(const char *folder, const split_plan plan[3])
{
    for (int i = 0; i < 3; i++)
        write_part(folder, split_names[i], &plan[i]);
}

static puna_status open_in(puna_container **c, const char *folder, const char *name, puna_error *err)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return puna_container_open(c, path, err);
}

static void remove_in(const char *folder, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

static void check_split_opens(const char *folder)
{
    puna_error err = { 0 };
    puna_container *c;
    for (int i = 0; i < 3; i++) {
        if (!CHECK_OK(open_in(&c, folder, split_names[i], &err), err))
            continue;
        CHECK_INT(puna_container_n_tensors(c), 3);
        CHECK(puna_container_meta(c, "general.architecture") != NULL);
        CHECK_TEXT(puna_container_tensor_at(c, 0)->name, "a");
        CHECK_TEXT(puna_container_tensor_at(c, 2)->name, "b");
        CHECK(puna_container_tensor(c, "c") == puna_container_tensor_at(c, 1));
        CHECK(memcmp(puna_container_tensor(c, "b")->data, "\1\10\17", 3) == 0);
        CHECK(puna_container_size_bytes(c) > 3 * 100);
        puna_container_close(c);
    }
}

static void check_split_refused(const char *folder, const split_plan plan[3], puna_status code,
                                const char *expected)
{
    puna_error err = { 0 };
    puna_container *c;
    write_split(folder, plan);
    CHECK_INT(open_in(&c, folder, split_names[0], &err), code);
    CHECK_TEXT(err.message, expected);
}

static void split_models_open_from_any_part(void)
{
    char folder[] = "/tmp/puna-split-XXXXXX";
    puna_error err = { 0 };
    puna_container *c;
    if (!CHECK(mkdtemp(folder) != NULL))
        return;
    write_split(folder, (split_plan[]){ { 0, 3, 3, "a" }, { 1, 3, 3, "c" }, { 2, 3, 3, "b" } });
    check_split_opens(folder);
    remove_in(folder, split_names[1]);
    CHECK_INT(open_in(&c, folder, split_names[2], &err), PUNA_ERR_NOT_FOUND);
    CHECK_TEXT(err.message, "m-00002-of-00003.gguf: split: got no such file, expected part 2 of 3 of the "
               "model");
    check_split_refused(folder, (split_plan[]){ { 0, 3, 4, "a" }, { 1, 3, 3, "c" }, { 2, 3, 3, "b" } },
                        PUNA_ERR_FORMAT,
                        "m-00001-of-00003.gguf: split.tensors.count: got 3 tensors in all parts, expected 4");
    check_split_refused(folder, (split_plan[]){ { 0, 3, 3, "a" }, { 1, 3, 3, "c" }, { 2, 3, 3, "a" } },
                        PUNA_ERR_FORMAT, "m-00001-of-00003.gguf: tensor a: got it twice, expected once");
    check_split_refused(folder, (split_plan[]){ { 0, 3, 3, "a" }, { 2, 3, 3, "c" }, { 2, 3, 3, "b" } },
                        PUNA_ERR_FORMAT,
                        "m-00002-of-00003.gguf: split.no: got part 3 of 3, expected part 2 of 3");
    check_split_refused(folder, (split_plan[]){ { 1, 3, 3, "a" }, { 1, 3, 3, "c" }, { 2, 3, 3, "b" } },
                        PUNA_ERR_FORMAT, "m-00001-of-00003.gguf: split.no: got part 2 of 3, "
                        "expected a name that ends in -00002-of-00003.gguf");
    check_split_refused(folder, (split_plan[]){ { 0, 5000, 3, "a" }, { 1, 3, 3, "c" }, { 2, 3, 3, "b" } },
                        PUNA_ERR_FORMAT, "m-00001-of-00003.gguf: split.count: got part 1 of 5000, "
                        "expected at most 1024 parts");
    write_split(folder, (split_plan[]){ { 0, 3, 2, NULL }, { 1, 3, 2, "c" }, { 2, 3, 2, "b" } });
    if (CHECK_OK(open_in(&c, folder, split_names[0], &err), err)) {
        CHECK_TEXT(puna_container_tensor_at(c, 0)->name, "c");
        puna_container_close(c);
    }
    for (int i = 0; i < 3; i++)
        remove_in(folder, split_names[i]);
    rmdir(folder);
}

/* ---- Not a model ------------------------------------------------------------------- */

static void files_that_are_no_model_are_named(void)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *message, *hint;
    } cases[] = {
        { "", 0, "x: magic: got nothing, expected GGUF or llama2.c", "" },
        { "ab", 2, "x: magic: got 61 62, expected GGUF or llama2.c", "" },
        { "PK\3\4....", 8, "x: magic: got a zip archive (PyTorch?), expected GGUF or llama2.c",
          "convert it to GGUF first" },
        { "version https://git-lfs.github.com/spec/v1\n", 43,
          "x: magic: got a Git LFS pointer, expected GGUF or llama2.c", "fetch the real file: git lfs pull" },
        { "GGUF\1\0\0\0", 8, "x: version: got 1, expected 2 or 3",
          "convert the model again with a current tool" },
        { "GGUF\0\0\0\3", 8, "x: version: got a big-endian file, expected a little-endian one", "" },
        { "GGUF\3\0", 6, "x: version: got 2 bytes left at offset 4, expected 4", "" },
    };
    puna_container *c;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        puna_error err = { 0 };
        CHECK_INT(puna_container_open_memory(&c, cases[i].bytes, cases[i].n, "x", &err), PUNA_ERR_FORMAT);
        CHECK(c == NULL);
        CHECK_TEXT(err.message, cases[i].message);
        CHECK_TEXT(err.hint, cases[i].hint);
    }
    puna_error err = { 0 };
    CHECK_INT(puna_container_open(&c, "/nonexistent/x.gguf", &err), PUNA_ERR_NOT_FOUND);
    CHECK_INT(puna_container_open(&c, "/tmp", &err), PUNA_ERR_FORMAT);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(cursor_stops_at_the_end_and_remembers_why),
        TEST(real_files_show_what_the_gguf_package_shows),
        TEST(a_real_model_has_its_shapes_and_bytes),
        TEST(every_metadata_type_is_read_and_converted_without_loss),
        TEST(f64_takes_only_integers_that_it_can_hold),
        TEST(tensors_of_every_shape_lie_where_they_should),
        TEST(llama2c_files_equal_the_same_model_in_gguf),
        TEST(llama2c_with_a_classifier_of_its_own_has_an_output_tensor),
        TEST(llama2c_headers_that_lie_are_refused),
        TEST(split_models_open_from_any_part),
        TEST(files_that_are_no_model_are_named),
    };
    return test_main("container", cases, sizeof cases / sizeof cases[0], argc, argv);
}
