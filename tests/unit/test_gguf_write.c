/* test_gguf_write.c - files that are written: the bytes that the gguf Python package writes for
 * the same keys and tensors (tools/reference/gguf_write_golden.py), what the reader finds in
 * them, and what the writer refuses. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/file.h"
#include "gguf/gguf_write.h"
#include "harness.h"
#include "quant/half.h"

static puna_status to_buf(void *user, const void *bytes, size_t n, puna_error *err)
{
    puna_buf *buf = user;
    puna_buf_add(buf, bytes, n);
    return buf->failed ? puna_fail_memory(err, "test", n) : PUNA_OK;
}

static void add_everything(puna_gguf_writer *w)
{
    const uint64_t one[] = { 3 }, two[] = { 32, 3 }, three[] = { 2, 3, 5 };
    puna_gguf_add_u32(w, "test.u32", 0xfffffffeu);
    puna_gguf_add_f32(w, "test.f32", -1.5f);
    puna_gguf_add_bool(w, "test.yes", true);
    puna_gguf_add_bool(w, "test.no", false);
    puna_gguf_add_text(w, "test.text", "caf\xc3\xa9");
    puna_gguf_add_texts(w, "test.texts", (const char *[]){ "", "a", "\xe2\x96\x81" "b", "<0x0A>" }, 4);
    puna_gguf_add_f32s(w, "test.f32s", (float[]){ 0.0f, -0.5f, 3.0e38f }, 3);
    puna_gguf_add_i32s(w, "test.i32s", (int32_t[]){ -1, 0, 2147483647 }, 3);
    puna_gguf_add_tensor(w, "one", puna_format_get(PUNA_FORMAT_F32), 1, one);
    puna_gguf_add_tensor(w, "two.weight", puna_format_get(PUNA_FORMAT_Q8_0), 2, two);
    puna_gguf_add_tensor(w, "three", puna_format_get(PUNA_FORMAT_F16), 3, three);
}

/* The tensors' bytes, in pieces of `piece` bytes that never end where a tensor does but by luck. */
static puna_status stream(puna_gguf_writer *w, size_t piece, puna_error *err)
{
    float values[96];
    unsigned char one[12], two[3 * 34], three[60];
    const unsigned char *all[] = { one, two, three };
    const size_t sizes[] = { sizeof one, sizeof two, sizeof three };
    for (int i = 0; i < 96; i++)
        values[i] = (float)i - 47.5f;
    puna_format_get(PUNA_FORMAT_F32)->quantize(values, one, 3);
    puna_format_get(PUNA_FORMAT_Q8_0)->quantize(values, two, 96);
    puna_format_get(PUNA_FORMAT_F16)->quantize(values, three, 30);
    for (int t = 0; t < 3; t++)
        for (size_t at = 0; at < sizes[t]; at += piece)
            TRY(puna_gguf_tensor_bytes(w, all[t] + at, sizes[t] - at < piece ? sizes[t] - at : piece, err));
    return PUNA_OK;
}

static void write_file(puna_buf *buf, uint32_t alignment, size_t piece)
{
    puna_gguf_writer *w = NULL;
    puna_error err = { 0 };
    uint64_t size_bytes = 0;
    *buf = puna_buf_make(1 << 20);
    if (!CHECK_OK(puna_gguf_writer_open(&w, alignment, &err), err))
        return;
    puna_gguf_add_text(w, "general.architecture", "llama");
    add_everything(w);
    CHECK_OK(puna_gguf_begin(w, to_buf, buf, &size_bytes, &err), err);
    CHECK_OK(stream(w, piece, &err), err);
    CHECK_OK(puna_gguf_end(w, &err), err);
    CHECK_INT(buf->n, size_bytes);
    puna_gguf_writer_close(w);
}

static void the_bytes_are_those_of_the_gguf_package(void)
{
    static const struct {
        const char *path;
        uint32_t alignment;
    } cases[] = { { "gguf/written-32.gguf", 0 }, { "gguf/written-64.gguf", 64 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t piece = 1; piece < 200; piece += 33) {
            puna_buf buf;
            puna_file file;
            puna_error err = { 0 };
            write_file(&buf, cases[i].alignment, piece);
            if (CHECK_OK(puna_file_map(&file, test_data(cases[i].path), &err), err)) {
                CHECK_INT(buf.n, file.size_bytes);
                CHECK(buf.n == file.size_bytes && memcmp(buf.data, file.data, buf.n) == 0);
            }
            puna_file_unmap(&file);
            puna_buf_free(&buf);
        }
}

/* Every key and tensor of a file, written again as they are. */
static void copy(const puna_container *c, puna_buf *buf)
{
    puna_gguf_writer *w = NULL;
    puna_error err = { 0 };
    uint64_t size_bytes;
    *buf = puna_buf_make(1 << 24);
    if (!CHECK_OK(puna_gguf_writer_open(&w, 0, &err), err))
        return;
    for (size_t i = 0; i < puna_container_n_meta(c); i++)
        puna_gguf_add_meta(w, puna_container_meta_at(c, i));
    for (size_t i = 0; i < puna_container_n_tensors(c); i++) {
        const puna_tensor *t = puna_container_tensor_at(c, i);
        puna_gguf_add_tensor(w, t->name, t->format, t->n_dims, t->ne);
    }
    CHECK_OK(puna_gguf_begin(w, to_buf, buf, &size_bytes, &err), err);
    for (size_t i = 0; i < puna_container_n_tensors(c); i++) {
        const puna_tensor *t = puna_container_tensor_at(c, i);
        CHECK_OK(puna_gguf_tensor_bytes(w, t->data, (size_t)t->size_bytes, &err), err);
    }
    CHECK_OK(puna_gguf_end(w, &err), err);
    puna_gguf_writer_close(w);
}

static void a_real_file_copied_is_the_same_to_the_reader(void)
{
    static const char *const paths[] = { "model/llama.gguf", "model/gemma3.gguf", "model/llama-yarn.gguf" };
    for (size_t f = 0; f < sizeof paths / sizeof *paths; f++) {
        puna_container *c = NULL, *d = NULL;
        puna_error err = { 0 };
        puna_buf buf;
        if (!CHECK_OK(puna_container_open(&c, test_data(paths[f]), &err), err))
            return;
        copy(c, &buf);
        if (CHECK_OK(puna_container_open_memory(&d, buf.data, buf.n, "copy", &err), err)) {
            CHECK_INT(puna_container_n_meta(d), puna_container_n_meta(c));
            CHECK_INT(puna_container_n_tensors(d), puna_container_n_tensors(c));
            for (size_t i = 0; i < puna_container_n_meta(c); i++) {
                const puna_meta *a = puna_container_meta_at(c, i), *b = puna_container_meta(d, a->key);
                CHECK(b && a->type == b->type && a->element == b->element && a->n == b->n &&
                      a->size_bytes == b->size_bytes && memcmp(a->data, b->data, a->size_bytes) == 0);
            }
            for (size_t i = 0; i < puna_container_n_tensors(c); i++) {
                const puna_tensor *a = puna_container_tensor_at(c, i), *b = puna_container_tensor(d, a->name);
                CHECK(b && a->format == b->format && a->n_dims == b->n_dims && memcmp(a->ne, b->ne, sizeof a->ne) == 0 &&
                      a->size_bytes == b->size_bytes && memcmp(a->data, b->data, (size_t)a->size_bytes) == 0);
            }
        }
        puna_container_close(d);
        puna_buf_free(&buf);
        puna_container_close(c);
    }
}

typedef void mistake_fn(puna_gguf_writer *w);

static void same_key(puna_gguf_writer *w)
{
    puna_gguf_add_u32(w, "a.b", 1);
    puna_gguf_add_text(w, "a.b", "x");
}

static void same_tensor(puna_gguf_writer *w)
{
    const uint64_t ne[] = { 32 };
    puna_gguf_add_tensor(w, "t", puna_format_get(PUNA_FORMAT_Q8_0), 1, ne);
    puna_gguf_add_tensor(w, "t", puna_format_get(PUNA_FORMAT_Q8_0), 1, ne);
}

static void broken_block(puna_gguf_writer *w)
{
    puna_gguf_add_tensor(w, "t", puna_format_get(PUNA_FORMAT_Q8_0), 1, (uint64_t[]){ 33 });
    puna_gguf_add_u32(w, "a.b", 1); /* later ones change nothing */
    puna_gguf_add_u32(w, "a.b", 1);
}

static void too_large(puna_gguf_writer *w)
{
    puna_gguf_add_tensor(w, "t", puna_format_get(PUNA_FORMAT_F32), 3, (uint64_t[]){ 1u << 31, 1u << 31, 1u << 31 });
}

static void no_dimension(puna_gguf_writer *w)
{
    puna_gguf_add_tensor(w, "t", puna_format_get(PUNA_FORMAT_F32), 0, (uint64_t[]){ 1 });
}

static void long_name(puna_gguf_writer *w)
{
    char name[65];
    memset(name, 'n', 64);
    name[64] = '\0';
    puna_gguf_add_tensor(w, name, puna_format_get(PUNA_FORMAT_F32), 1, (uint64_t[]){ 1 });
}

static void own_alignment(puna_gguf_writer *w)
{
    puna_gguf_add_u32(w, "general.alignment", 64);
}

static void no_key(puna_gguf_writer *w)
{
    puna_gguf_add_bool(w, "", true);
}

static void the_first_mistake_is_kept(void)
{
    static const struct {
        mistake_fn *make;
        const char *message;
    } cases[] = {
        { same_key, "gguf: key a.b: got it twice, expected once" },
        { same_tensor, "gguf: tensor t: got it twice, expected once" },
        { broken_block, "gguf: tensor t: got 1 dimensions, the first 33, expected 1 to 4 that make whole blocks of 32"
                        " and a size below 2^63" },
        { too_large, "gguf: tensor t: got 3 dimensions, the first 2147483648, expected 1 to 4 that make whole blocks"
                     " of 1 and a size below 2^63" },
        { no_dimension, "gguf: tensor t: got 0 dimensions, the first 0, expected 1 to 4 that make whole blocks of 1"
                        " and a size below 2^63" },
        { long_name, "gguf: tensor nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn: got a name of 64"
                     " bytes, expected 1 to 63" },
        { own_alignment, "gguf: key general.alignment: is the writer's own" },
        { no_key, "gguf: key : got a name of 0 bytes, expected 1 to 1024" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        puna_gguf_writer *w = NULL;
        puna_buf buf = puna_buf_make(1 << 10);
        puna_error err = { 0 };
        uint64_t size_bytes;
        if (!CHECK_OK(puna_gguf_writer_open(&w, 0, &err), err))
            return;
        cases[i].make(w);
        CHECK_INT(puna_gguf_begin(w, to_buf, &buf, &size_bytes, &err), PUNA_ERR_ARGUMENT);
        CHECK_TEXT(err.message, cases[i].message);
        CHECK_INT(buf.n, 0);
        puna_gguf_writer_close(w);
    }
}

static void bytes_must_fit_the_directory(void)
{
    puna_gguf_writer *w = NULL;
    puna_buf buf = puna_buf_make(1 << 12), small = puna_buf_make(8);
    puna_error err = { 0 };
    uint64_t size_bytes;
    unsigned char bytes[16] = { 0 };
    CHECK_INT(puna_gguf_writer_open(&w, 24, &err), PUNA_ERR_ARGUMENT);
    CHECK_INT(puna_gguf_writer_open(&w, 4, &err), PUNA_ERR_ARGUMENT);
    if (!CHECK_OK(puna_gguf_writer_open(&w, 0, &err), err))
        return;
    puna_gguf_add_tensor(w, "t", puna_format_get(PUNA_FORMAT_F32), 1, (uint64_t[]){ 3 });
    CHECK_OK(puna_gguf_begin(w, to_buf, &buf, &size_bytes, &err), err);
    CHECK_INT(puna_gguf_end(w, &err), PUNA_ERR_ARGUMENT);
    CHECK_INT(puna_gguf_tensor_bytes(w, bytes, 13, &err), PUNA_ERR_ARGUMENT);
    CHECK_TEXT(err.message, "gguf: tensor 0: got 13 bytes, expected at most 12");
    CHECK_OK(puna_gguf_tensor_bytes(w, bytes, 12, &err), err);
    CHECK_OK(puna_gguf_tensor_bytes(w, bytes, 0, &err), err);
    CHECK_INT(puna_gguf_tensor_bytes(w, bytes, 1, &err), PUNA_ERR_ARGUMENT);
    CHECK_OK(puna_gguf_end(w, &err), err);
    CHECK_INT(buf.n, size_bytes);
    puna_gguf_writer_close(w);
    puna_buf_free(&buf);
    if (!CHECK_OK(puna_gguf_writer_open(&w, 0, &err), err))
        return;
    CHECK_INT(puna_gguf_begin(w, to_buf, &small, &size_bytes, &err), PUNA_ERR_MEMORY); /* the sink's failure */
    puna_gguf_writer_close(w);
    puna_buf_free(&small);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(the_bytes_are_those_of_the_gguf_package),
        TEST(a_real_file_copied_is_the_same_to_the_reader),
        TEST(the_first_mistake_is_kept),
        TEST(bytes_must_fit_the_directory),
    };
    return test_main("gguf_write", cases, sizeof cases / sizeof cases[0], argc, argv);
}
