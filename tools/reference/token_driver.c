/* token_driver.c - lets token_compare.py ask libpuna: texts on stdin, ids and decoded bytes on
 * stdout, each with a little-endian 32-bit length before it. usage: token_driver VOCAB FLAGS */
#include <stdio.h>
#include <stdlib.h>

#include "token/vocab.h"

static int put(const void *data, size_t n, size_t size)
{
    uint32_t count = (uint32_t)n;
    return fwrite(&count, 4, 1, stdout) == 1 && fwrite(data, size, n, stdout) == n;
}

int main(int argc, char **argv)
{
    puna_error err = { 0 };
    puna_vocab *v = NULL;
    if (argc != 3 || puna_vocab_open(&v, argv[1], &err)) {
        fprintf(stderr, "%s\n", argc == 3 ? err.message : "usage: token_driver VOCAB FLAGS");
        return 1;
    }
    unsigned flags = (unsigned)atoi(argv[2]);
    int ok = 1;
    for (uint32_t n; ok && fread(&n, 4, 1, stdin) == 1;) {
        char *text = malloc((size_t)n + 1);
        int32_t *ids = NULL;
        size_t n_ids = 0;
        puna_buf bytes = puna_buf_make(1u << 30);
        ok = text && fread(text, 1, n, stdin) == n &&
             !puna_vocab_encode(v, text, n, flags, &ids, &n_ids, &err) &&
             !puna_vocab_decode(v, ids, n_ids, (flags & PUNA_VOCAB_PARSE_SPECIAL) != 0, &bytes, &err) &&
             put(ids ? ids : (void *)"", n_ids, 4) && put(bytes.data ? bytes.data : "", bytes.n, 1);
        puna_buf_free(&bytes);
        free(ids);
        free(text);
    }
    if (!ok)
        fprintf(stderr, "%s\n", err.message);
    puna_vocab_free(v);
    return ok ? 0 : 1;
}
