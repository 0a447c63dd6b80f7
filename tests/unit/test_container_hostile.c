/* test_container_hostile.c - model files that are wrong, by the ten thousand: every field of a
 * good GGUF at its extremes, cut off at every byte, overlapping, overflowing, with random bytes
 * changed. None may crash, hang, or take more than four times its size in memory; the structured
 * ones must be refused with a message that names the field. The fuzzer's seeds are replayed.
 * Allocations are counted by standing in for malloc, or by the sanitizers' hooks. */
#define _GNU_SOURCE
#include <dirent.h>
#include <malloc.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/rng.h"
#include "gguf/container.h"
#include "gguf_builder.h"
#include "harness.h"

#include "../../fuzz/fuzz_gguf.c"

/* ---- Counting memory --------------------------------------------------------------- */

static struct {
    size_t now, peak;
    long n_until_failure; /* this many more allocations succeed; negative: all */
} memory = { .n_until_failure = -1 };

static void count_alloc(size_t n)
{
    memory.now += n;
    if (memory.now > memory.peak)
        memory.peak = memory.now;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

/* Visible, so that libc's own allocations (qsort's) and the sanitizers' runtime find them. */
#define SEEN __attribute__((visibility("default")))

#ifdef SANITIZED
SEEN void __sanitizer_malloc_hook(const volatile void *at, size_t n);
SEEN void __sanitizer_free_hook(const volatile void *at);
size_t __sanitizer_get_allocated_size(const volatile void *at);

void __sanitizer_malloc_hook(const volatile void *at, size_t n)
{
    (void)at;
    count_alloc(n);
}

void __sanitizer_free_hook(const volatile void *at)
{
    memory.now -= at ? __sanitizer_get_allocated_size(at) : 0;
}
#else
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t each);
void *__libc_realloc(void *at, size_t n);
void __libc_free(void *at);

static bool fails_now(void)
{
    return memory.n_until_failure >= 0 && memory.n_until_failure-- == 0;
}

SEEN void *malloc(size_t n)
{
    void *at = fails_now() ? NULL : __libc_malloc(n);
    count_alloc(at ? malloc_usable_size(at) : 0);
    return at;
}

SEEN void *calloc(size_t n, size_t each)
{
    void *at = fails_now() ? NULL : __libc_calloc(n, each);
    count_alloc(at ? malloc_usable_size(at) : 0);
    return at;
}

SEEN void *realloc(void *old, size_t n)
{
    memory.now -= old ? malloc_usable_size(old) : 0;
    void *at = __libc_realloc(old, n);
    count_alloc(at ? malloc_usable_size(at) : 0);
    return at;
}

SEEN void free(void *at)
{
    memory.now -= at ? malloc_usable_size(at) : 0;
    __libc_free(at);
}
#endif

/* ---- Trying ------------------------------------------------------------------------ */

/* What an open may take besides four times the file: the container itself and what small
 * allocations are rounded up by. */
enum { MEMORY_ALLOWANCE = 4096 };

static struct {
    unsigned n_tried, n_refused;
    double worst_ms, worst_ratio; /* of memory to size, for files above 64 KiB */
} seen;

/* Opens n bytes (a fresh copy, so that a sanitizer sees a read past the end), reads everything
 * when that succeeds, and checks memory, time and leaks. */
static puna_status try_open(const void *bytes, size_t n, puna_error *err)
{
    unsigned char *copy = malloc(n ? n : 1);
    puna_container *c;
    if (n)
        memcpy(copy, bytes, n);
    memset(err, 0, sizeof *err);
    size_t before = memory.peak = memory.now;
    double start = puna_clock_ms();
    puna_status status = puna_container_open_memory(&c, copy, n, "bad.gguf", err);
    double ms = puna_clock_ms() - start;
    if (memory.peak - before > 4 * n + MEMORY_ALLOWANCE)
        test_fail(__FILE__, __LINE__, "took %zu bytes for a file of %zu (%s)", memory.peak - before, n,
                  err->message);
    double ratio = n >> 16 ? (double)(memory.peak - before) / (double)n : 0;
    seen.worst_ratio = fmax(seen.worst_ratio, ratio);
    seen.worst_ms = fmax(seen.worst_ms, ms);
    seen.n_tried++;
    if (status == PUNA_OK) {
        read_container(c);
        puna_container_close(c);
    } else {
        seen.n_refused++;
        CHECK(c == NULL && err->code == status && err->message[0]);
    }
    CHECK_INT(memory.now, before);
    free(copy);
    return status;
}

static void build_good(gguf_builder *b)
{
    static const char *const texts[] = { "<s>", "", "hello world" };
    static const float scores[] = { 0, -1, -2 };
    gguf_begin(b, 3);
    gguf_add_text(b, "general.architecture", "llama");
    gguf_add_u32(b, "general.alignment", 32);
    gguf_add_f32(b, "llama.eps", 1e-5f);
    gguf_add_texts(b, "tokens", texts, 3);
    gguf_add_array(b, "scores", PUNA_META_F32, 3);
    gguf_add_bytes(b, scores, sizeof scores);
    gguf_add_scalar(b, "flag", PUNA_META_BOOL, "\1", 1);
    gguf_add_array(b, "flags", PUNA_META_BOOL, 2);
    gguf_add_bytes(b, "\1\0", 2);
    gguf_add_scalar(b, "big", PUNA_META_U64, &(uint64_t){ 1ull << 40 }, 8);
    gguf_add_tensor(b, "a.weight", PUNA_FORMAT_F32, 2, (uint64_t[]){ 4, 3 }, NULL, 48);
    gguf_add_tensor(b, "b.weight", PUNA_FORMAT_Q8_0, 3, (uint64_t[]){ 32, 2, 1 }, NULL, 68);
    gguf_add_tensor(b, "c.weight", PUNA_FORMAT_F16, 4, (uint64_t[]){ 2, 2, 2, 2 }, NULL, 32);
    gguf_add_tensor(b, "d.norm", PUNA_FORMAT_F32, 1, (uint64_t[]){ 5 }, NULL, 20);
    gguf_finish(b);
}

static void the_good_file_opens(void)
{
    static gguf_builder b;
    puna_error err;
    build_good(&b);
    CHECK_OK(try_open(b.file.data, b.file.n, &err), err);
    CHECK(b.n_marks > 50 && b.n_marks < GGUF_MAX_MARKS);
    gguf_free(&b);
}

/* ---- Structured damage ------------------------------------------------------------- */

static void spoil(gguf_builder *b, const gguf_mark *mark, uint64_t value, bool must_refuse)
{
    uint64_t kept = 0;
    puna_error err;
    memcpy(&kept, b->file.data + mark->at, (size_t)mark->width);
    if (mark->width == 4)
        value &= 0xffffffff;
    memcpy(b->file.data + mark->at, &value, (size_t)mark->width);
    puna_status status = try_open(b->file.data, b->file.n, &err);
    bool named = strstr(err.message, mark->field) && strstr(err.message, mark->where);
    if (must_refuse && (status != PUNA_ERR_FORMAT || !named))
        test_fail(__FILE__, __LINE__, "%s %s = %llu: got %d \"%s\"", mark->where, mark->field,
                  (unsigned long long)value, (int)status, err.message);
    memcpy(b->file.data + mark->at, &kept, (size_t)mark->width);
}

static void every_field_at_its_extremes_is_refused_by_name(void)
{
    static const uint64_t huge[] = {
        0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000,
        0xfffffffffffffff0, 0xfffffffffffffffe, 0xffffffffffffffff
    };
    static gguf_builder b;
    build_good(&b);
    for (size_t i = 0; i < b.n_marks; i++) {
        const gguf_mark *mark = &b.marks[i];
        uint64_t kept = 0;
        memcpy(&kept, b.file.data + mark->at, (size_t)mark->width);
        for (size_t k = 0; k < sizeof huge / sizeof huge[0]; k++)
            if (mark->width == 8 || huge[k] <= 0xffffffff)
                spoil(&b, mark, huge[k], true);
        /* Close to what it was, some still make sense: those only have to be safe. */
        for (uint64_t value = 0; value < 64; value++)
            spoil(&b, mark, value, false);
        spoil(&b, mark, kept + 1, false);
        spoil(&b, mark, kept - 1, false);
        spoil(&b, mark, b.file.n - mark->at, false);
        spoil(&b, mark, b.file.n - mark->at + 1, false);
        /* Zero is never a version, a name's length, a number of dimensions or a dimension. */
        if (strstr("version name length n_dims dim", mark->field))
            spoil(&b, mark, 0, true);
    }
    gguf_free(&b);
}

static void a_file_cut_off_anywhere_is_refused(void)
{
    static gguf_builder b;
    puna_error err;
    build_good(&b);
    for (size_t n = 0; n < b.file.n; n++)
        CHECK_INT(try_open(b.file.data, n, &err), PUNA_ERR_FORMAT);
    gguf_free(&b);
}

static void wrong_types_are_refused_or_read_safely(void)
{
    static gguf_builder b;
    for (uint32_t type = 0; type < 260; type++) {
        build_good(&b);
        for (size_t i = 0; i < b.n_marks; i++) {
            if (!strstr(b.marks[i].field, "type"))
                continue;
            bool metadata = b.marks[i].section == 'm';
            spoil(&b, &b.marks[i], type, metadata ? type > PUNA_META_F64 : !puna_format_get(type));
        }
        gguf_free(&b);
    }
}

/* ---- Chosen damage ----------------------------------------------------------------- */

typedef void build_fn(gguf_builder *b);

static void expect(build_fn *build, const char *message)
{
    static gguf_builder b;
    puna_error err;
    gguf_begin(&b, 3);
    build(&b);
    gguf_finish(&b);
    CHECK_INT(try_open(b.file.data, b.file.n, &err), PUNA_ERR_FORMAT);
    CHECK_TEXT(err.message, message);
    gguf_free(&b);
}

static void fill(gguf_builder *b, size_t n)
{
    while (b->data.n < n)
        puna_buf_add_byte(&b->data, 0);
}

static void entry(gguf_builder *b, const char *name, uint32_t type, uint64_t ne0, uint64_t ne1,
                  uint64_t offset)
{
    gguf_add_entry(b, name, type, 2, (uint64_t[]){ ne0, ne1 }, offset);
    fill(b, 256);
}

static void build_nested(gguf_builder *b)
{
    gguf_add_array(b, "nested", PUNA_META_ARRAY, 1);
    gguf_add_text(b, "other", "text");
}

static void build_twice(gguf_builder *b)
{
    gguf_add_u32(b, "k", 1);
    gguf_add_u32(b, "l", 1);
    gguf_add_f32(b, "k", 1);
}

static void build_nul_key(gguf_builder *b)
{
    gguf_put_text(b, 'm', "a\0b", 3, "", NULL);
    gguf_put(b, 'm', PUNA_META_BOOL, 4, "", NULL);
    gguf_add_bytes(b, "\1", 1);
    b->n_meta++;
}

static void build_nul_tensor(gguf_builder *b)
{
    gguf_put_text(b, 't', "a\0b", 3, "", NULL);
    gguf_put(b, 't', 1, 4, "", NULL);
    gguf_put(b, 't', 4, 8, "", NULL);
    gguf_put(b, 't', 0, 4, "", NULL);
    gguf_put(b, 't', 0, 8, "", NULL);
    b->n_tensors++;
    fill(b, 16);
}

static void build_bool(gguf_builder *b)
{
    gguf_add_array(b, "flags", PUNA_META_BOOL, 3);
    gguf_add_bytes(b, "\1\0\2", 3);
}

static void build_same_name(gguf_builder *b)
{
    entry(b, "x", PUNA_FORMAT_F32, 4, 1, 0);
    entry(b, "y", PUNA_FORMAT_F32, 4, 1, 32);
    entry(b, "x", PUNA_FORMAT_F32, 4, 1, 64);
}

static void build_overlap(gguf_builder *b)
{
    entry(b, "late", PUNA_FORMAT_F32, 4, 1, 64);
    entry(b, "early", PUNA_FORMAT_F32, 4, 5, 0);
}

static void build_same_place(gguf_builder *b)
{
    entry(b, "x", PUNA_FORMAT_F32, 4, 1, 32);
    entry(b, "y", PUNA_FORMAT_F32, 4, 1, 32);
}

static void build_unaligned(gguf_builder *b)
{
    entry(b, "x", PUNA_FORMAT_F32, 4, 1, 8);
}

static void build_outside(gguf_builder *b)
{
    entry(b, "x", PUNA_FORMAT_F32, 4, 3, 224);
}

static void build_far(gguf_builder *b)
{
    entry(b, "x", PUNA_FORMAT_F32, 4, 1, 0xffffffffffffffe0);
}

static void build_zero_dim(gguf_builder *b)
{
    entry(b, "blk.1.ffn_up.weight", PUNA_FORMAT_F32, 4, 0, 0);
}

static void build_block(gguf_builder *b)
{
    entry(b, "x", PUNA_FORMAT_Q8_0, 33, 1, 0);
}

static void build_unknown(gguf_builder *b)
{
    entry(b, "x", 200, 32, 1, 0);
}

/* Wraps to 0 elements. */
static void build_wrap_elements(gguf_builder *b)
{
    entry(b, "x", PUNA_FORMAT_F32, 1ull << 32, 1ull << 32, 0);
}

/* Fits in elements, wraps to 0 bytes. */
static void build_wrap_bytes(gguf_builder *b)
{
    entry(b, "x", PUNA_FORMAT_F32, 1ull << 62, 1, 0);
}

static void build_wrap_rows(gguf_builder *b)
{
    gguf_add_entry(b, "x", PUNA_FORMAT_F32, 4, (uint64_t[]){ 1, 1ull << 22, 1ull << 21, 1ull << 21 }, 0);
    fill(b, 256);
}

static void build_five_dims(gguf_builder *b)
{
    gguf_add_entry(b, "x", PUNA_FORMAT_F32, 5, (uint64_t[]){ 1, 1, 1, 1, 1 }, 0);
    fill(b, 256);
}

static void build_no_data(gguf_builder *b)
{
    gguf_add_entry(b, "x", PUNA_FORMAT_F32, 1, (uint64_t[]){ 1 }, 0);
}

static void chosen_lies_are_explained(void)
{
    expect(build_nested, "bad.gguf: key nested: element type: got 9, an array in an array, expected a scalar "
           "or a string");
    expect(build_twice, "bad.gguf: key k: got it twice, expected once");
    expect(build_nul_key, "bad.gguf: key 0: name: got a NUL byte in it, expected none");
    expect(build_nul_tensor, "bad.gguf: tensor 0: name: got a NUL byte in it, expected none");
    expect(build_bool, "bad.gguf: key flags: value: element 2: got 2, expected 0 or 1");
    expect(build_same_name, "bad.gguf: tensor x: got it twice, expected once");
    expect(build_overlap, "bad.gguf: tensor late: offset: got bytes of tensor early");
    expect(build_same_place, "bad.gguf: tensor y: offset: got bytes of tensor x");
    expect(build_unaligned, "bad.gguf: tensor x: offset: got 8, expected a multiple of 32");
    expect(build_outside, "bad.gguf: tensor x: offset: got 224 with 48 bytes, expected to end by 256");
    expect(build_far, "bad.gguf: tensor x: offset: got 18446744073709551584 with 16 bytes, expected to end "
           "by 256");
    expect(build_zero_dim, "bad.gguf: tensor blk.1.ffn_up.weight: dim[1]: got 0, expected at least 1");
    expect(build_block, "bad.gguf: tensor x: dim[0]: got 33, expected a multiple of 32 (q8_0)");
    expect(build_unknown, "bad.gguf: tensor x: type: got 200, expected the number of a known encoding");
    expect(build_wrap_elements, "bad.gguf: tensor x: dim: got 4294967296 x 4294967296 x 1 x 1 of f32, "
           "expected at most 352 bytes (the file)");
    expect(build_wrap_bytes, "bad.gguf: tensor x: dim: got 4611686018427387904 x 1 x 1 x 1 of f32, "
           "expected at most 352 bytes (the file)");
    expect(build_wrap_rows, "bad.gguf: tensor x: dim: got 1 x 4194304 x 2097152 x 2097152 of f32, "
           "expected at most 352 bytes (the file)");
    expect(build_five_dims, "bad.gguf: tensor x: n_dims: got 5, expected 1 to 4");
    expect(build_no_data, "bad.gguf: tensor x: offset: got 0 with 4 bytes, expected to end by 0");
}

static void only_sensible_alignments_are_taken(void)
{
    static const uint32_t bad[] = { 0, 1, 3, 4, 24, PUNA_MAX_ALIGNMENT + 1, PUNA_MAX_ALIGNMENT * 2, 1u << 31,
                                    UINT32_MAX };
    static gguf_builder b;
    puna_error err;
    char message[128];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        gguf_begin(&b, 3);
        gguf_add_u32(&b, "general.alignment", bad[i]);
        gguf_finish(&b);
        CHECK_INT(try_open(b.file.data, b.file.n, &err), PUNA_ERR_FORMAT);
        snprintf(message, sizeof message, "bad.gguf: key general.alignment: value: got %u, expected "
                 "a power of two from 8 to 1048576", (unsigned)bad[i]);
        CHECK_TEXT(err.message, message);
        gguf_free(&b);
    }
    gguf_begin(&b, 3);
    gguf_add_scalar(&b, "general.alignment", PUNA_META_U64, &(uint64_t){ 32 }, 8);
    gguf_finish(&b);
    CHECK_INT(try_open(b.file.data, b.file.n, &err), PUNA_ERR_FORMAT);
    CHECK_TEXT(err.message, "bad.gguf: key general.alignment: type: got 10, expected 4 (u32)");
    gguf_free(&b);
    for (uint32_t alignment = 8; alignment <= PUNA_MAX_ALIGNMENT; alignment *= 2) {
        gguf_begin(&b, 3);
        b.alignment = alignment;
        gguf_add_u32(&b, "general.alignment", alignment);
        gguf_add_tensor(&b, "x", PUNA_FORMAT_F32, 1, (uint64_t[]){ 1 }, NULL, 4);
        gguf_finish(&b);
        CHECK_OK(try_open(b.file.data, b.file.n, &err), err);
        gguf_free(&b);
    }
}

static void one_part_of_a_split_in_memory_is_refused(void)
{
    static gguf_builder b;
    puna_error err;
    gguf_begin(&b, 3);
    gguf_add_scalar(&b, "split.count", PUNA_META_U16, "\3\0", 2);
    gguf_add_scalar(&b, "split.no", PUNA_META_U16, "\1\0", 2);
    gguf_finish(&b);
    CHECK_INT(try_open(b.file.data, b.file.n, &err), PUNA_ERR_FORMAT);
    CHECK_TEXT(err.message, "bad.gguf: split.count: got one of 3 parts in memory, expected a whole model");
    gguf_free(&b);
    gguf_begin(&b, 3);
    gguf_add_text(&b, "split.count", "3");
    gguf_finish(&b);
    CHECK_INT(try_open(b.file.data, b.file.n, &err), PUNA_ERR_FORMAT);
    CHECK_TEXT(err.message,
               "bad.gguf: key split.count: got another type or a negative number, expected a count");
    gguf_free(&b);
}

/* ---- Random damage ----------------------------------------------------------------- */

static void random_changes_are_refused_or_read_safely(void)
{
    static gguf_builder b;
    puna_rng rng = puna_rng_make(20240607);
    puna_error err;
    build_good(&b);
    char *spoiled = malloc(b.file.n);
    for (int round = 0; round < 12000; round++) {
        memcpy(spoiled, b.file.data, b.file.n);
        uint64_t n_changes = 1 + puna_rng_next(&rng) % 3;
        for (uint64_t i = 0; i < n_changes; i++) {
            size_t at = (size_t)(puna_rng_next(&rng) % b.header_bytes);
            spoiled[at] ^= (char)(round % 2 ? puna_rng_next(&rng) : 1u << (round / 2 % 8));
        }
        try_open(spoiled, b.file.n, &err);
    }
    free(spoiled);
    gguf_free(&b);
}

static void llama2c_with_random_headers_is_refused_or_read_safely(void)
{
    puna_rng rng = puna_rng_make(7);
    unsigned char bytes[2048];
    puna_error err;
    for (int round = 0; round < 4000; round++) {
        int version = round % 3;
        uint32_t head[2] = { 0x616b3432, (uint32_t)version };
        memset(bytes, 1, sizeof bytes);
        if (version)
            memcpy(bytes, head, sizeof head);
        for (size_t i = 0; i < 8; i++) {
            uint64_t pick = puna_rng_next(&rng);
            uint32_t value = pick % 16 == 0 ? (uint32_t)(pick >> 32) : 1u << (pick >> 32) % 4;
            if (i == 7 && version == 2)
                memcpy(bytes + 37, &value, 4);
            else if (i < 7)
                memcpy(bytes + (version ? 8 : 0) + 4 * i, &value, 4);
        }
        try_open(bytes, 256 + (size_t)(puna_rng_next(&rng) % 449) * 4, &err);
    }
}

/* ---- Size -------------------------------------------------------------------------- */

static void many_small_keys_stay_quick_and_small(void)
{
    enum { N = 1 << 16 };
    static gguf_builder b;
    puna_error err;
    gguf_begin(&b, 3);
    b.n_marks = GGUF_MAX_MARKS; /* no marks */
    for (uint32_t i = 0; i < N; i++) {
        uint32_t id = i * 2654435761u % N;
        char key[3] = { (char)(1 + id % 64), (char)(1 + id / 64 % 64), (char)(1 + id / 4096) };
        gguf_put_text(&b, 'm', key, 3, "", NULL);
        gguf_put(&b, 'm', PUNA_META_U8, 4, "", NULL);
        gguf_put(&b, 'm', 0, 1, "", NULL);
        b.n_meta++;
    }
    gguf_finish(&b);
    CHECK_OK(try_open(b.file.data, b.file.n, &err), err);
    gguf_free(&b);
}

static void many_small_tensors_stay_quick_and_small(void)
{
    enum { N = 1 << 17 };
    static gguf_builder b;
    puna_error err;
    gguf_begin(&b, 3);
    b.n_marks = GGUF_MAX_MARKS;
    b.alignment = 8;
    gguf_add_u32(&b, "general.alignment", 8);
    for (uint32_t i = 0; i < N; i++) {
        char name[4] = { (char)(1 + i % 64), (char)(1 + i / 64 % 64), (char)(1 + i / 4096), 0 };
        gguf_add_entry(&b, name, PUNA_FORMAT_F32, 1, (uint64_t[]){ 2 }, (uint64_t)(i ^ 0x155) * 8);
    }
    fill(&b, (size_t)N * 8);
    gguf_finish(&b);
    CHECK_OK(try_open(b.file.data, b.file.n, &err), err);
    gguf_free(&b);
}

static void the_whole_file_as_empty_strings_stays_quick(void)
{
    enum { N = 1 << 20 };
    static gguf_builder b;
    puna_error err;
    gguf_begin(&b, 3);
    gguf_add_array(&b, "empty", PUNA_META_STRING, N);
    for (int i = 0; i < N; i++)
        gguf_put(&b, 'm', 0, 8, "", NULL);
    gguf_finish(&b);
    CHECK_OK(try_open(b.file.data, b.file.n, &err), err);
    gguf_free(&b);
}

/* Under valgrind malloc is valgrind's and nothing is counted here. */
static bool counted(void)
{
    size_t before = memory.now;
    void *volatile probe = malloc(100);
    bool yes = memory.now != before;
    free(probe);
    return yes;
}

/* ---- Out of memory ----------------------------------------------------------------- */

#ifndef SANITIZED
/* Lets 0, 1, 2, ... allocations succeed until the open does. Sorting may go on without memory,
 * so a failed allocation need not be a failed open. */
static void open_with_ever_more_memory(const void *bytes, size_t n, long n_expected)
{
    long n_allocations = 0, n_failed = 0;
    for (bool done = false; !done && n_allocations < 100; n_allocations++) {
        puna_error err = { 0 };
        puna_container *c;
        size_t before = memory.now;
        memory.n_until_failure = n_allocations;
        puna_status status = puna_container_open_memory(&c, bytes, n, "bad.gguf", &err);
        done = memory.n_until_failure > 0;
        memory.n_until_failure = -1;
        n_failed += status != PUNA_OK;
        CHECK(status == PUNA_OK || status == PUNA_ERR_MEMORY);
        CHECK((status == PUNA_OK) == (c != NULL));
        if (status == PUNA_ERR_MEMORY)
            CHECK(strncmp(err.message, "out of memory: ", 15) == 0);
        puna_container_close(c);
        CHECK_INT(memory.now, before);
    }
    CHECK_INT(n_failed, n_expected);
}

static void running_out_of_memory_is_reported_and_leaks_nothing(void)
{
    if (!counted()) {
        test_skip("malloc is not ours to fail here");
        return;
    }
    static gguf_builder b;
    build_good(&b);
    /* Container, part, keys, their index and text, tensors, their text, order and index. */
    open_with_ever_more_memory(b.file.data, b.file.n, 9);
    gguf_free(&b);
    char *bytes;
    size_t n;
    puna_error err = { 0 };
    if (!CHECK_OK(puna_file_read(&bytes, &n, test_data("../../fuzz/seeds/gguf/llama2c_v2"), 4096, &err), err))
        return;
    open_with_ever_more_memory(bytes, n, 9);
    free(bytes);
}
#endif

/* ---- The fuzzer's seeds ------------------------------------------------------------ */

static void the_fuzzers_seeds_are_safe(void)
{
    char folder[1024];
    int n_seeds = 0;
    snprintf(folder, sizeof folder, "%s", test_data("../../fuzz/seeds/gguf"));
    DIR *dir = opendir(folder);
    if (!CHECK(dir != NULL))
        return;
    for (struct dirent *found; (found = readdir(dir)) != NULL;) {
        char path[2048], *bytes;
        size_t n;
        if (found->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, found->d_name);
        if (!CHECK(puna_file_read(&bytes, &n, path, 1 << 20, NULL) == PUNA_OK))
            continue;
        CHECK_INT(LLVMFuzzerTestOneInput((const uint8_t *)bytes, n), 0);
        free(bytes);
        n_seeds++;
    }
    closedir(dir);
    CHECK(n_seeds >= 8);
}

static void enough_was_tried_and_nothing_took_long(void)
{
    printf("  %u files tried, %u refused, the slowest in %.0f ms, memory up to %.2f times the file\n",
           seen.n_tried, seen.n_refused, seen.worst_ms, seen.worst_ratio);
    CHECK(seen.n_tried >= 10000 && seen.n_refused >= 10000);
    CHECK(seen.worst_ms < 2000);
    CHECK(!counted() || seen.worst_ratio > 1); /* memory was really counted */
    CHECK(seen.worst_ratio <= 4);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(the_good_file_opens),
        TEST(every_field_at_its_extremes_is_refused_by_name),
        TEST(a_file_cut_off_anywhere_is_refused),
        TEST(wrong_types_are_refused_or_read_safely),
        TEST(chosen_lies_are_explained),
        TEST(only_sensible_alignments_are_taken),
        TEST(one_part_of_a_split_in_memory_is_refused),
        TEST(random_changes_are_refused_or_read_safely),
        TEST(llama2c_with_random_headers_is_refused_or_read_safely),
        TEST(many_small_keys_stay_quick_and_small),
        TEST(many_small_tensors_stay_quick_and_small),
        TEST(the_whole_file_as_empty_strings_stays_quick),
#ifndef SANITIZED
        TEST(running_out_of_memory_is_reported_and_leaks_nothing),
#endif
        TEST(the_fuzzers_seeds_are_safe),
        TEST(enough_was_tried_and_nothing_took_long),
    };
    return test_main("container, hostile", cases, sizeof cases / sizeof cases[0], argc, argv);
}
