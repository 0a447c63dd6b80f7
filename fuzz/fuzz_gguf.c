/* fuzz_gguf.c - any bytes as a model file: opening must refuse or succeed, and when it succeeds
 * every value and every tensor's byte must be readable. By content this reaches llama2.c too. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "gguf/container.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads everything that a container shows; the sum keeps the reads from being dropped. */
static uint64_t read_meta(const puna_meta *meta)
{
    uint64_t sum = strlen(meta->key), value;
    int64_t whole;
    double real;
    bool flag;
    const char *text;
    size_t n;
    for (uint64_t i = 0; i < meta->n; i++) {
        sum += puna_meta_u64(meta, i, &value) ? value : 1;
        sum += puna_meta_i64(meta, i, &whole) ? (uint64_t)whole : 2;
        sum += puna_meta_f64(meta, i, &real) && real > 0 ? 1 : 3;
        sum += puna_meta_bool(meta, i, &flag) && flag ? 1 : 4;
    }
    assert(!puna_meta_u64(meta, meta->n, &value));
    if (puna_meta_text(meta, &text, &n))
        for (size_t i = 0; i < n; i++)
            sum += (unsigned char)text[i];
    puna_meta_cursor at = { 0 };
    uint64_t n_texts = 0;
    for (; puna_meta_next_text(meta, &at, &text, &n); n_texts++)
        for (size_t i = 0; i < n; i++)
            sum += (unsigned char)text[i];
    assert(meta->element != PUNA_META_STRING || meta->type != PUNA_META_ARRAY || n_texts == meta->n);
    return sum;
}

static uint64_t read_container(const puna_container *container)
{
    uint64_t sum = strlen(puna_container_kind(container)) + puna_container_size_bytes(container);
    for (size_t i = 0; i < puna_container_n_meta(container); i++) {
        const puna_meta *meta = puna_container_meta_at(container, i);
        assert(puna_container_meta(container, meta->key) == meta);
        sum += read_meta(meta);
    }
    for (size_t i = 0; i < puna_container_n_tensors(container); i++) {
        const puna_tensor *tensor = puna_container_tensor_at(container, i);
        assert(puna_container_tensor(container, tensor->name) == tensor);
        assert(tensor->size_bytes == puna_tensor_rows(tensor) * puna_tensor_row_bytes(tensor));
        const unsigned char *bytes = tensor->data;
        for (uint64_t k = 0; k < tensor->size_bytes; k++)
            sum += bytes[k];
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    puna_container *container;
    puna_error err = { 0 };
    if (puna_container_open_memory(&container, data, size, "input.gguf", &err) != PUNA_OK) {
        assert(!container && err.message[0]);
        return 0;
    }
    volatile uint64_t sum = read_container(container);
    (void)sum;
    puna_container_close(container);
    return 0;
}
