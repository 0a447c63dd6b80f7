/* test_token.c - vocabularies: the published vectors of ten GGUF vocabularies, ids that other
 * implementations gave (tests/data/token), tiny hand-made vocabularies of every family, hostile
 * input, streaming. */
#include <stdlib.h>

#include "base/file.h"
#include "base/rng.h"
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
            test_fail(__FILE__, __LINE__, "%s: text %d: got %s, expected %.*s", name, count, got, (int)n_line,
                      lines);
        if (lossless && !round_trip(v, texts, n, 0))
            test_fail(__FILE__, __LINE__, "%s: text %d does not come back", name, count);
        texts += last ? 0 : n + strlen(separator);
        lines += n_line + (line_end ? 1 : 0);
    }
    return count;
}

static void published_vectors(void)
{
    static const char *const names[] = { "llama-spm",    "gpt-2",     "bert-bge", "phi-3",     "falcon",
                                         "deepseek-llm", "starcoder", "mpt",      "llama-bpe", "qwen2" };
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

/* ---- Ids that the reference packages gave ------------------------------------------------ */

static int unhex(const char *hex, size_t n, char *out)
{
    for (size_t i = 0; i + 1 < n; i += 2) {
        unsigned byte;
        if (sscanf(hex + i, "%2x", &byte) != 1)
            return -1;
        out[i / 2] = (char)byte;
    }
    return (int)(n / 2);
}

/* One line per text: its bytes in hex, a tab, the ids. */
static void compare_golden(const char *vocab, const char *golden, unsigned flags, bool lossless)
{
    puna_error err = { 0 };
    puna_vocab *v = NULL;
    char *lines = NULL, name[64];
    size_t n;
    int count = 0;
    snprintf(name, sizeof name, "token/%s.golden", golden);
    if (!CHECK_OK(puna_vocab_open(&v, vocab, &err), err) ||
        !CHECK_OK(puna_file_read(&lines, &n, test_data(name), 1 << 20, &err), err)) {
        puna_vocab_free(v);
        return;
    }
    for (char *line = lines, *end; (end = strchr(line, '\n')); line = end + 1, count++) {
        char text[4096], *tab = strchr(line, '\t');
        *end = '\0';
        int length = unhex(line, (size_t)(tab - line), text);
        const char *got = ids_of(v, text, (size_t)length, flags);
        if (strcmp(got, tab + 1) != 0)
            test_fail(__FILE__, __LINE__, "%s: text %d: got %s, expected %s", golden, count, got, tab + 1);
        if (lossless && !round_trip(v, text, (size_t)length, flags))
            test_fail(__FILE__, __LINE__, "%s: text %d does not come back", golden, count);
    }
    CHECK_INT(count, 80);
    free(lines);
    puna_vocab_free(v);
}

static void tiny_vocabularies_agree_with_the_packages(void)
{
    static const struct {
        const char *file;
        unsigned flags;
        bool lossless;
    } all[] = {
        { "tiny-gpt2.json", PUNA_VOCAB_PARSE_SPECIAL, true },
        { "tiny-llama3.json", PUNA_VOCAB_PARSE_SPECIAL, true },
        { "tiny-gpt4o.json", PUNA_VOCAB_PARSE_SPECIAL, false }, /* NFC */
        { "tiny-llama.json", PUNA_VOCAB_PARSE_SPECIAL, false },
        { "tiny-bert.json", PUNA_VOCAB_PARSE_SPECIAL, false },
        { "tiny-unigram.json", PUNA_VOCAB_PARSE_SPECIAL, false },
        { "tiny-spm.model", 0, false }, /* U+2581 in the text becomes a space */
        { "tiny-ugm.model", 0, false },
        { "tiny-falcon.json", PUNA_VOCAB_PARSE_SPECIAL, true },
        { "tiny-regex.json", PUNA_VOCAB_PARSE_SPECIAL, false },
        { "tiny-words.json", PUNA_VOCAB_PARSE_SPECIAL, false },
        { "tiny-added.json", PUNA_VOCAB_PARSE_SPECIAL, false },
        { "tiny-jais-2.gguf", 0, true },
        { "tiny-chameleon.gguf", 0, true },
        { "tiny-mmbert.gguf", 0, false },
        { "tiny-whitespace.gguf", 0, false },
        { "tiny-rwkv.gguf", PUNA_VOCAB_PARSE_SPECIAL, true },
        { "tiny-plamo2.gguf", PUNA_VOCAB_PARSE_SPECIAL, false }, /* a byte order mark goes */
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char path[512], name[64];
        snprintf(path, sizeof path, "token/%s", all[i].file);
        snprintf(name, sizeof name, "%.*s", (int)(strchr(all[i].file, '.') - all[i].file), all[i].file);
        snprintf(path, sizeof path, "%s", test_data(path));
        compare_golden(path, name, all[i].flags, all[i].lossless);
    }
}

static void real_vocabularies_agree_with_the_packages(void)
{
    static const struct {
        const char *file, *golden;
        unsigned flags;
    } all[] = {
        { "tokenizers/t5-small/tokenizer.json", "t5-json", PUNA_VOCAB_PARSE_SPECIAL },
        { "tokenizers/t5-small/spiece.model", "t5-spiece", 0 },
        { "tokenizers/mistral/tokenizer.model.v1", "mistral-v1", 0 },
        { "tokenizers/mistral/mistral_instruct_tokenizer_240323.model.v3", "mistral-v3", 0 },
        { "models/stories260K/tok512.model", "tok512", 0 },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const char *path = test_shared(all[i].file);
        if (!path) {
            test_skip("no shared data");
            return;
        }
        compare_golden(path, all[i].golden, all[i].flags, false);
    }
}

/* The prompts of the golden run of stories260K, in every form that its vocabulary has. */
static void stories_have_their_prompt_tokens(void)
{
    static const char *const files[] = { "stories260K.gguf", "stories260K-F16.gguf", "tok512.bin",
                                         "tok512.model" };
    for (size_t i = 0; i < 4; i++) {
        char path[64];
        puna_error err = { 0 };
        puna_vocab *v = NULL;
        snprintf(path, sizeof path, "models/stories260K/%s", files[i]);
        if (!test_shared(path)) {
            test_skip("no shared data");
            return;
        }
        if (!CHECK_OK(puna_vocab_open(&v, test_shared(path), &err), err))
            continue;
        CHECK_INT(puna_vocab_n(v), 512);
        CHECK_TEXT(puna_vocab_model(v), "llama");
        CHECK_INT(puna_vocab_special(v, PUNA_VOCAB_BOS), 1);
        CHECK_INT(puna_vocab_special(v, PUNA_VOCAB_PAD), -1);
        CHECK(puna_vocab_is_end(v, 2) && !puna_vocab_is_end(v, 1) && puna_vocab_is_special(v, 1));
        CHECK(puna_vocab_adds_bos(v) && !puna_vocab_adds_eos(v));
        CHECK_TEXT(ids_of(v, "", 0, PUNA_VOCAB_ADD_SPECIAL), "1");
        CHECK_TEXT(ids_of(v, "Once upon a time", 16, PUNA_VOCAB_ADD_SPECIAL), "1 403 407 261 378");
        CHECK_TEXT(ids_of(v, "One day, Timmy and Lily went to the park.", 41, PUNA_VOCAB_ADD_SPECIAL),
                   "1 385 328 432 405 269 317 263 377 267 265 282 295 433 426");
        CHECK_TEXT(ids_of(v, "The cat sat on the mat. \"Hello!\" she said.", 42, PUNA_VOCAB_ADD_SPECIAL),
                   "1 291 280 294 262 294 353 265 284 294 426 313 440 411 306 414 443 436 358 336 426");
        CHECK_TEXT(ids_of(v, "<s>", 3, PUNA_VOCAB_PARSE_SPECIAL), "1");
        CHECK(strcmp(ids_of(v, "<s>", 3, 0), "1") != 0);
        puna_vocab_free(v);
    }
}

/* ---- Behaviour on tiny vocabularies ------------------------------------------------------ */

static puna_vocab *tiny(const char *name)
{
    char path[64];
    puna_error err = { 0 };
    puna_vocab *v = NULL;
    snprintf(path, sizeof path, "token/%s", name);
    CHECK_OK(puna_vocab_open(&v, test_data(path), &err), err);
    return v;
}

static void any_bytes_come_back(void)
{
    static const char *const names[] = { "tiny-gpt2.json", "tiny-llama3.json", "tiny-llama.json",
                                         "tiny-spm.model" };
    puna_rng rng = puna_rng_make(11);
    for (size_t i = 0; i < 4; i++) {
        puna_vocab *v = tiny(names[i]);
        for (int k = 0; v && k < 500; k++) {
            char text[64];
            size_t n = (size_t)(puna_rng_next(&rng) % sizeof text);
            for (size_t at = 0; at < n; at++)
                text[at] = (char)(puna_rng_next(&rng) >> (k % 3 ? 40 : 57));
            if (!round_trip(v, text, n, 0))
                test_fail(__FILE__, __LINE__, "%s: bytes %d do not come back", names[i], k);
        }
        puna_vocab_free(v);
    }
}

/* Long runs are where a scanner or a merge turns quadratic: this takes minutes when one does. */
static void long_runs_take_linear_time(void)
{
    static const char *const names[] = { "tiny-gpt2.json", "tiny-gpt4o.json",   "tiny-llama.json",
                                         "tiny-bert.json", "tiny-unigram.json", "tiny-spm.model" };
    static const char *const units[] = { " ", "\n",           "1",        "a",   "A",
                                         "'", "\xe2\x96\x81", "\xcc\x81", " \n", "\xd8\xa7\x41" };
    size_t n = 100000;
    char *text = malloc(n);
    for (size_t i = 0; i < 6 && text; i++) {
        puna_vocab *v = tiny(names[i]);
        for (size_t u = 0; v && u < sizeof units / sizeof *units; u++) {
            size_t length = strlen(units[u]), n_ids;
            int32_t *ids;
            puna_error err = { 0 };
            for (size_t at = 0; at < n; at++)
                text[at] = units[u][at % length];
            CHECK_OK(puna_vocab_encode(v, text, n, 0, &ids, &n_ids, &err), err);
            free(ids);
        }
        puna_vocab_free(v);
    }
    free(text);
}

/* Two bytes of a character in two tokens: nothing is shown before both are there. */
static void streams_hold_back_part_characters(void)
{
    puna_vocab *v = tiny("tiny-llama.json");
    if (!v)
        return;
    char out[64];
    size_t capacity = puna_vocab_max_piece(v);
    int32_t first = puna_vocab_find(v, "<0xC3>", 6), second = puna_vocab_find(v, "<0xA9>", 6);
    puna_detokenizer stream = { 0 };
    if (!CHECK(capacity <= sizeof out && first >= 0 && second >= 0)) {
        puna_vocab_free(v);
        return;
    }
    CHECK_INT(puna_detokenizer_add(&stream, v, first, false, out, capacity), 0);
    CHECK_INT(puna_detokenizer_add(&stream, v, second, false, out, capacity), 2);
    CHECK(memcmp(out, "\xc3\xa9", 2) == 0);
    CHECK_INT(puna_detokenizer_add(&stream, v, first, false, out, capacity), 0);
    CHECK_INT(puna_detokenizer_add(&stream, v, first, false, out, capacity),
              1); /* the first can no longer be completed */
    CHECK_INT(puna_detokenizer_finish(&stream, out, capacity), 1);
    CHECK_INT(puna_detokenizer_finish(&stream, out, capacity), 0);
    CHECK_INT(puna_detokenizer_add(&stream, v, -1, false, out, capacity), 0);
    CHECK_INT(puna_detokenizer_add(&stream, v, second, false, out, capacity - 1), 0);
    puna_vocab_free(v);
}

static void special_tokens_are_asked_for(void)
{
    puna_vocab *v = tiny("tiny-gpt2.json");
    if (!v)
        return;
    puna_error err = { 0 };
    puna_buf out = puna_buf_make(64);
    int32_t ids[] = { 0, 1 };
    CHECK_INT(puna_vocab_special(v, PUNA_VOCAB_BOS), 0);
    CHECK_INT(puna_vocab_special(v, PUNA_VOCAB_EOS), 1);
    CHECK_TEXT(ids_of(v, "", 0, PUNA_VOCAB_ADD_SPECIAL), "0 1");
    CHECK_TEXT(ids_of(v, "<s></s>", 7, PUNA_VOCAB_PARSE_SPECIAL), "0 1");
    CHECK(strstr(ids_of(v, "<s></s>", 7, 0), "0 1") != ids_of(v, "<s></s>", 7, 0));
    CHECK_OK(puna_vocab_decode(v, ids, 2, false, &out, &err), err);
    CHECK_INT(out.n, 0);
    CHECK_OK(puna_vocab_decode(v, ids, 2, true, &out, &err), err);
    CHECK_TEXT(out.data, "<s></s>");
    ids[0] = puna_vocab_n(v);
    CHECK_INT(puna_vocab_decode(v, ids, 2, true, &out, &err), PUNA_ERR_ARGUMENT);
    CHECK(strstr(err.message, "detokenize: id: got"));
    CHECK(!puna_vocab_is_end(v, -1) && !puna_vocab_is_special(v, puna_vocab_n(v)) && puna_vocab_is_end(v, 1));
    size_t n;
    CHECK(puna_vocab_text(v, -1, &n) == NULL);
    puna_buf_free(&out);
    puna_vocab_free(v);
}

/* A folder is opened through the file in it; a missing one says what it looked for. */
static void folders_and_missing_files(void)
{
    puna_error err = { 0 };
    puna_vocab *v = NULL;
    CHECK_INT(puna_vocab_open(&v, test_data("token"), &err), PUNA_ERR_NOT_FOUND);
    CHECK(strstr(err.message, "tokenizer.json"));
    CHECK_INT(puna_vocab_open(&v, test_data("token/absent"), &err), PUNA_ERR_NOT_FOUND);
    const char *folder = test_shared("models/stories260K-hf");
    if (folder && CHECK_OK(puna_vocab_open(&v, folder, &err), err))
        CHECK_INT(puna_vocab_n(v), 512);
    puna_vocab_free(v);
}

static const test_case cases[] = {
    TEST(published_vectors),
    TEST(tiny_vocabularies_agree_with_the_packages),
    TEST(real_vocabularies_agree_with_the_packages),
    TEST(stories_have_their_prompt_tokens),
    TEST(any_bytes_come_back),
    TEST(long_runs_take_linear_time),
    TEST(streams_hold_back_part_characters),
    TEST(special_tokens_are_asked_for),
    TEST(folders_and_missing_files),
};

int main(int argc, char **argv)
{
    return test_main("token", cases, sizeof cases / sizeof *cases, argc, argv);
}
