/* test_token.c - vocabularies: the published vectors of ten GGUF vocabularies, ids that other
 * implementations gave (tests/data/token), tiny hand-made vocabularies of every family, hostile
 * input, streaming. */
#include <stdlib.h>

#include "base/file.h"
#include "harness.h"
#include "token/vocab.h"

/* ---- Helpers ----------------------------------------------------------------------------- */

/* "1 2 3" of the ids of a text; lives until the next call. */
static const char *ids_of(const puna_vocab *v, const char *text, size_t n, unsigned flags)
{
    static char line[1 << 16];
    int32_t *ids = NULL;
    size_t n_ids = 0, at = 0;
    puna_error err = { 0 };
    line[0] = '\0';
    CHECK_OK(puna_vocab_encode(v, text, n, flags, &ids, &n_ids, &err), err);
    for (size_t i = 0; i < n_ids && at + 16 < sizeof line; i++)
        at += (size_t)snprintf(line + at, sizeof line - at, i ? " %d" : "%d", (int)ids[i]);
    free(ids);
    return line;
}


/* decode(encode(text)) == text, as a whole and streamed. */
static bool round_trip(const puna_vocab *v, const char *text, size_t n, unsigned flags)
{
    int32_t *ids = NULL;
    size_t n_ids = 0;
    puna_error err = { 0 };
    bool special = (flags & PUNA_VOCAB_PARSE_SPECIAL) != 0;
    puna_buf whole = puna_buf_make(1 << 20), parts = puna_buf_make(1 << 20);
    CHECK_OK(puna_vocab_encode(v, text, n, flags, &ids, &n_ids, &err), err);
    CHECK_OK(puna_vocab_decode(v, ids, n_ids, special, &whole, &err), err);
    size_t capacity = puna_vocab_max_piece(v);
    char *piece = malloc(capacity);
    puna_detokenizer stream = { .at_start = true };
    for (size_t i = 0; i < n_ids; i++)
        puna_buf_add(&parts, piece, puna_detokenizer_add(&stream, v, ids[i], special, piece, capacity));
    puna_buf_add(&parts, piece, puna_detokenizer_finish(&stream, piece, capacity));
    bool same = whole.n == n && (n == 0 || memcmp(whole.data, text, n) == 0) && parts.n == n &&
                (n == 0 || memcmp(parts.data, text, n) == 0);
    free(piece);
    free(ids);
    puna_buf_free(&whole);
    puna_buf_free(&parts);
    return same;
}

/* ---- Published vectors ------------------------------------------------------------------- */

static const char separator[] = "\n__ggml_vocab_test__\n";

/* Texts between separators, ids line by line; returns how many were compared. */
static int compare_vectors(const puna_vocab *v, const char *name, const char *texts, const char *lines,
                           bool lossless)
{
    int count = 0;
    for (bool last = false; !last; count++) {
        const char *end = strstr(texts, separator);
        last = !end;
        size_t n = last ? strlen(texts) : (size_t)(end - texts);
        const char *line_end = strchr(lines, '\n');
        size_t n_line = line_end ? (size_t)(line_end - lines) : strlen(lines);
        while (n_line && *lines == ' ')
            lines++, n_line--;
        const char *got = ids_of(v, texts, n, 0);
        if (strlen(got) != n_line || memcmp(got, lines, n_line) != 0)
            test_fail(__FILE__, __LINE__, "%s: text %d: got %s, expected %.*s", name, count, got, (int)n_line, lines);
        if (lossless && !round_trip(v, texts, n, 0))
            test_fail(__FILE__, __LINE__, "%s: text %d does not come back", name, count);
        texts += last ? 0 : n + strlen(separator);
        lines += n_line + (line_end ? 1 : 0);
    }
    return count;
}

static void published_vectors(void)
{
    static const char *const names[] = { "llama-spm", "gpt-2", "bert-bge", "phi-3", "falcon",
                                         "deepseek-llm", "starcoder", "mpt", "llama-bpe", "qwen2" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[3][128];
        const char *const ends[] = { "", ".inp", ".out" };
        char *texts = NULL, *lines = NULL;
        size_t n;
        puna_error err = { 0 };
        puna_vocab *v = NULL;
        for (int k = 0; k < 3; k++)
            snprintf(path[k], sizeof path[k], "tokenizers/vocab/ggml-vocab-%s.gguf%s", names[i], ends[k]);
        if (!test_shared(path[0])) {
            test_skip("no shared data");
            return;
        }
        if (CHECK_OK(puna_vocab_open(&v, test_shared(path[0]), &err), err) &&
            CHECK_OK(puna_file_read(&texts, &n, test_shared(path[1]), 1 << 20, &err), err) &&
            CHECK_OK(puna_file_read(&lines, &n, test_shared(path[2]), 1 << 20, &err), err))
            CHECK_INT(compare_vectors(v, names[i], texts, lines, strcmp(names[i], "bert-bge") != 0), 47);
        free(texts);
        free(lines);
        puna_vocab_free(v);
    }
}

static const test_case cases[] = {
    TEST(published_vectors),
};

int main(int argc, char **argv)
{
    return test_main("token", cases, sizeof cases / sizeof *cases, argc, argv);
}
