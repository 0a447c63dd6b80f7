/* gguf_dump.c - one line for each key and each tensor of a model file, with a checksum of its
 * values, for gguf_compare.py to set beside what the gguf Python package reads. Built by that
 * script, not by make. Values are summed as 64-bit numbers, doubles, or length and bytes, so that
 * the readers' conversions take part in the comparison. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gguf/container.h"

/* CRC-32 as zlib has it (reflected 0x04c11db7). */
static uint32_t crc(uint32_t sum, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    static uint32_t table[256];
    for (uint32_t i = 0; !table[255] && i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++)
            value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
        table[i] = value;
    }
    sum = ~sum;
    for (size_t i = 0; i < n; i++)
        sum = sum >> 8 ^ table[(sum ^ p[i]) & 0xff];
    return ~sum;
}

static uint32_t crc_text(uint32_t sum, const char *text, size_t n)
{
    uint64_t length = n;
    return crc(crc(sum, &length, sizeof length), text, n);
}

static uint32_t crc_values(const puna_meta *meta)
{
    uint32_t sum = 0;
    const char *text;
    size_t n;
    uint64_t u;
    int64_t i;
    double d;
    if (puna_meta_text(meta, &text, &n))
        return crc_text(sum, text, n);
    for (puna_meta_cursor at = { 0 }; puna_meta_next_text(meta, &at, &text, &n);)
        sum = crc_text(sum, text, n);
    for (uint64_t k = 0; meta->element != PUNA_META_STRING && k < meta->n; k++) {
        if (puna_meta_u64(meta, k, &u))
            sum = crc(sum, &u, sizeof u);
        else if (puna_meta_i64(meta, k, &i))
            sum = crc(sum, &i, sizeof i);
        else if (puna_meta_f64(meta, k, &d))
            sum = crc(sum, &d, sizeof d);
        else
            printf("key %s: element %" PRIu64 " has no value\n", meta->key, k);
    }
    return sum;
}

int main(int argc, char **argv)
{
    puna_error err = { 0 };
    puna_container *c;
    if (argc != 2 || puna_container_open(&c, argv[1], &err) != PUNA_OK) {
        fprintf(stderr, "%s\n", argc == 2 ? err.message : "usage: gguf_dump MODEL");
        return 1;
    }
    for (size_t i = 0; i < puna_container_n_meta(c); i++) {
        const puna_meta *meta = puna_container_meta_at(c, i);
        printf("key\t%s\t%d\t%d\t%" PRIu64 "\t%08" PRIx32 "\n", meta->key, (int)meta->type,
               (int)meta->element, meta->n, crc_values(meta));
    }
    for (size_t i = 0; i < puna_container_n_tensors(c); i++) {
        const puna_tensor *t = puna_container_tensor_at(c, i);
        printf("tensor\t%s\t%d\t", t->name, (int)t->format->id);
        for (uint32_t k = 0; k < t->n_dims; k++)
            printf("%s%" PRIu64, k ? "x" : "", t->ne[k]);
        printf("\t%" PRIu64 "\t%08" PRIx32 "\n", t->size_bytes, crc(0, t->data, (size_t)t->size_bytes));
    }
    puna_container_close(c);
    return 0;
}
