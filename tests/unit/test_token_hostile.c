/* test_token_hostile.c - vocabularies that lie: every one is refused with a message or handled.
 * Seeds of the fuzzer are replayed, whole, cut short and with single bytes changed. */
#include <dirent.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/rng.h"
#include "harness.h"
#include "token/split.h"

#include "../../fuzz/fuzz_token.c"

static void the_fuzzers_seeds_are_safe(void)
{
    char folder[512], path[1024];
    int n_seeds = 0;
    snprintf(folder, sizeof folder, "%s", test_data("../../fuzz/seeds/token"));
    DIR *dir = opendir(folder);
    if (!CHECK(dir != NULL))
        return;
    puna_rng rng = puna_rng_make(5);
    for (struct dirent *entry; (entry = readdir(dir));) {
        char *bytes = NULL;
        size_t n = 0;
        puna_error err;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (!CHECK_OK(puna_file_read(&bytes, &n, path, 1 << 20, &err), err))
            continue;
        CHECK_INT(LLVMFuzzerTestOneInput((const uint8_t *)bytes, n), 0);
        for (int k = 0; k < 200 && n > 1; k++) {
            size_t at = 1 + (size_t)(puna_rng_next(&rng) % (n - 1));
            char kept = bytes[at];
            bytes[at] = (char)puna_rng_next(&rng);
            CHECK_INT(LLVMFuzzerTestOneInput((const uint8_t *)bytes, k % 2 ? n : at), 0);
            bytes[at] = kept;
        }
        free(bytes);
        n_seeds++;
    }
    closedir(dir);
    CHECK(n_seeds >= 10);
}

/* ---- tokenizer.json ---------------------------------------------------------------------- */

#define MODEL "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]}"

static void refused_json_says_why(void)
{
    static const struct {
        const char *text, *message;
    } all[] = {
        { "{", "line 1" },
        { "{}", "tokens: got 0" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", "model.vocab" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1e9},\"merges\":[]}}", "model.vocab" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":4194304},\"merges\":[]}}", "model.vocab" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a\"]}}", "merges: entry 0" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}", "merges: entry 0" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"dropout\":0.1}}", "dropout" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":[[\"a\",0]],\"merges\":[]}}", "model.vocab" },
        { "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[0,\"a\"]]}}", "entry 0" },
        { "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",1e300]]}}", "score" },
        { "{\"model\":{\"type\":\"Other\",\"vocab\":{\"a\":0}}}", "Other" },
        { "{\"added_tokens\":[{\"content\":\"a\"}]," MODEL "}", "added_tokens" },
        { "{\"normalizer\":{\"type\":\"Other\"}," MODEL "}", "normalizer: got type \"Other\"" },
        { "{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"////\"}," MODEL "}",
          "character map" },
        { "{\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}," MODEL "}", "UnicodeScripts" },
        { "{\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"(a*)*b"
          "\"}}," MODEL "}",
          "(a*)*b\": byte 5: a repeat of what may be empty" },
        { "{\"post_processor\":{\"type\":\"Other\"}," MODEL "}", "post_processor" },
        { "{\"decoder\":{\"type\":\"CTC\"}," MODEL "}", "CTC" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        puna_error err = { 0 };
        puna_vocab *v = NULL;
        CHECK_INT(puna_vocab_open_memory(&v, all[i].text, strlen(all[i].text), "t.json", &err),
                  PUNA_ERR_FORMAT);
        CHECK(v == NULL);
        if (!strstr(err.message, all[i].message))
            test_fail(__FILE__, __LINE__, "%s: got \"%s\"", all[i].text, err.message);
        puna_vocab_free(v);
    }
}

/* Odd but harmless: gaps, equal texts, empty texts, merges of texts that are not there. */
static void odd_json_is_handled(void)
{
    static const char text[] = "{\"added_tokens\":[{\"id\":9,\"content\":\"b\",\"special\":true},{\"id\":7,"
                               "\"content\":\"\",\"special\":true}],"
                               "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"\":2,\"ab\":5},"
                               "\"merges\":[\"a b\",\"x y\",\"a b\",[\"\",\"a\"]]}}";
    puna_error err = { 0 };
    puna_vocab *v = NULL;
    if (!CHECK_OK(puna_vocab_open_memory(&v, text, strlen(text), "t.json", &err), err))
        return;
    int32_t *ids = NULL;
    size_t n = 0;
    CHECK_INT(puna_vocab_n(v), 10);
    CHECK_INT(puna_vocab_find(v, "b", 1), 1); /* plain text finds the plain entry */
    CHECK_INT(puna_vocab_find(v, "zz", 2), -1);
    CHECK_OK(puna_vocab_encode(v, "abzb", 4, 0, &ids, &n, &err), err);
    CHECK(n == 2 && ids[0] == 5 && ids[1] == 1);
    free(ids);
    CHECK_OK(puna_vocab_encode(v, "abzb", 4, PUNA_VOCAB_PARSE_SPECIAL, &ids, &n, &err), err);
    CHECK(n == 3 && ids[0] == 0 && ids[1] == 9 && ids[2] == 9);
    free(ids);
    puna_vocab_free(v);
}

/* ---- GGUF -------------------------------------------------------------------------------- */

/* A little writer: enough of GGUF v3 for metadata. */
static void put(puna_buf *b, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        puna_buf_add_byte(b, (char)(value >> (8 * i)));
}

static void put_text(puna_buf *b, const char *text)
{
    put(b, strlen(text), 8);
    puna_buf_add_text(b, text);
}

static void put_string(puna_buf *b, const char *key, const char *value)
{
    put_text(b, key);
    put(b, PUNA_META_STRING, 4);
    put_text(b, value);
}

static void put_array(puna_buf *b, const char *key, puna_meta_type type, uint64_t n)
{
    put_text(b, key);
    put(b, PUNA_META_ARRAY, 4);
    put(b, type, 4);
    put(b, n, 8);
}

/* What a case of refused_metadata_says_why writes into the file. */
typedef struct metadata {
    const char *model, *pre;
    int n_tokens, n_types, n_merges;
    puna_meta_type type_of_types;
    uint32_t score_bits;
    const char *merge, *message;
} metadata;

static void write_metadata(puna_buf *b, const metadata *m)
{
    puna_buf_add_text(b, "GGUF");
    put(b, 3, 4);
    put(b, 0, 8);
    put(b, 7, 8);
    put_string(b, "general.architecture", "llama");
    put_string(b, "tokenizer.ggml.model", m->model);
    put_string(b, "tokenizer.ggml.pre", m->pre);
    put_array(b, "tokenizer.ggml.tokens", PUNA_META_STRING, (uint64_t)m->n_tokens);
    for (int i = 0; i < m->n_tokens; i++)
        put_text(b, i % 2 ? "a" : "b");
    put_array(b, "tokenizer.ggml.token_type", m->type_of_types, (uint64_t)m->n_types);
    for (int i = 0; i < m->n_types; i++)
        put(b, 1, m->type_of_types == PUNA_META_I8 ? 1 : 4);
    put_array(b, "tokenizer.ggml.scores", PUNA_META_F32, (uint64_t)m->n_tokens);
    for (int i = 0; i < m->n_tokens; i++)
        put(b, m->score_bits, 4);
    put_array(b, "tokenizer.ggml.merges", PUNA_META_STRING, (uint64_t)m->n_merges);
    for (int i = 0; i < m->n_merges; i++)
        put_text(b, m->merge);
}

static void refused_metadata_says_why(void)
{
    static const metadata all[] = {
        { "gpt2", "gpt-2", 4, 4, 1, PUNA_META_I32, 0, "a b", NULL },
        { "llama", "", 4, 4, 1, PUNA_META_I32, 0, "a b", NULL },
        { "bert", "", 4, 4, 1, PUNA_META_I32, 0, "a b", NULL },
        { "t5", "", 4, 4, 1, PUNA_META_I32, 0, "a b", NULL },
        { "gpt2", "gpt-3", 4, 4, 1, PUNA_META_I32, 0, "a b", "tokenizer.ggml.pre: got \"gpt-3\"" },
        { "rwkv", "", 4, 4, 1, PUNA_META_I32, 0, "a b", NULL },
        { "plamo2", "", 4, 4, 1, PUNA_META_I32, 0, "a b", NULL },
        { "whitespace", "whitespace", 4, 4, 1, PUNA_META_I32, 0, "a b", NULL },
        { "hybriddna", "", 4, 4, 1, PUNA_META_I32, 0, "a b", "got \"hybriddna\"" },
        { "llama", "", 0, 4, 1, PUNA_META_I32, 0, "a b", "tokens: got 0" },
        { "llama", "", 4, 3, 1, PUNA_META_I32, 0, "a b", "token_type: got 3 elements" },
        { "llama", "", 4, 4, 1, PUNA_META_I8, 0, "a b", "token_type: got element type 1" },
        { "llama", "", 4, 4, 1, PUNA_META_I32, 0x7fc00000, "a b", "score" },
        { "llama", "", 4, 4, 1, PUNA_META_I32, 0xff800000, "a b", "score" },
        { "gpt2", "gpt-2", 4, 4, 1, PUNA_META_I32, 0, "ab", "merge 0: got \"ab\"" },
        { "gpt2", "gpt-2", 4, 4, 1, PUNA_META_I32, 0, "", "merge 0" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        puna_buf b = puna_buf_make(1 << 16);
        puna_error err = { 0 };
        puna_container *container = NULL;
        puna_vocab *v = NULL;
        write_metadata(&b, &all[i]);
        if (!CHECK_OK(puna_container_open_memory(&container, b.data, b.n, "t.gguf", &err), err))
            continue;
        puna_status status = puna_vocab_from_container(&v, container, &err);
        CHECK_INT(status, all[i].message ? PUNA_ERR_FORMAT : PUNA_OK);
        if (all[i].message && !strstr(err.message, all[i].message))
            test_fail(__FILE__, __LINE__, "case %zu: got \"%s\"", i, err.message);
        if (v)
            use(v, "ab <s> x\xff", 9, 3);
        puna_vocab_free(v);
        puna_container_close(container);
        puna_buf_free(&b);
    }
}

/* ---- Pre-tokenizers ---------------------------------------------------------------------- */

typedef struct joined {
    char text[256];
    size_t n;
} joined;

static bool join(void *user, const char *word, size_t n)
{
    joined *j = user;
    if (j->n + n + 1 >= sizeof j->text)
        return false;
    memcpy(j->text + j->n, word, n);
    j->n += n;
    j->text[j->n++] = '|';
    j->text[j->n] = '\0';
    return true;
}

/* Expected words follow from each model's published expression. */
static void names_cut_as_published(void)
{
    static const struct {
        const char *name, *text, *words;
    } all[] = {
        { "gpt-2", "He's  12345 a\tb ", "He|'s| | 12345| a|\t|b| |" },
        { "llama-bpe", "HE'S 12345  a\n\n b", "HE|'S| |123|45| | a|\n\n| b|" },
        { "qwen2", "a12 !!\n x", "a|1|2| !!\n| x|" },
        { "deepseek-v3", "(abc 1234", "(abc| |123|4|" },
        { "gpt-4o", "ABCdef HelloWorld's", "ABCdef| Hello|World's|" },
        { "tekken", "HelloWorld's 12", "Hello|World|'s| |1|2|" },
        { "superbpe", "x 1234567", "x |1|234|567|" },
        { "tiny_aya", "1234567 12345a", "1|234|567| |123|45|a|" },
        { "exaone-moe", "ab cd 1", "ab cd| |1|" },
        { "falcon", "a 12345-b", "a| |123|45|-|b|" },
        { "bloom", "Hello, you all!", "Hello|,| you| all|!|" },
        { "gemma4", "a b\n\nc", "a b|\n\n|c|" },
        { "deepseek-llm", "ab  \n", "ab|  |\n|" },
        { "jais-2", "a       b", "a|    |  | b|" },
        { "kimi-k2",
          "ab  \xe4\xb8\xad\xe4\xb8\xad"
          "c",
          "ab| | |\xe4\xb8\xad\xe4\xb8\xad|c|" },
        { "cl100k_base", "a\n  b\n  ", "a|\n| | b|\n  |" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const puna_split_preset *preset = puna_split_named(all[i].name, strlen(all[i].name));
        joined j = { .n = 0 };
        int n_stages = 0;
        if (!CHECK(preset != NULL))
            continue;
        while (preset->stages[n_stages])
            n_stages++;
        CHECK(puna_split_text(preset->stages, n_stages, all[i].text, strlen(all[i].text), join, &j));
        if (strcmp(j.text, all[i].words) != 0)
            test_fail(__FILE__, __LINE__, "%s: got %s, expected %s", all[i].name, j.text, all[i].words);
    }
    CHECK(puna_split_named("gpt", 3) == NULL);
    for (size_t i = 0; puna_split_name_at(i); i++)
        CHECK(puna_split_named(puna_split_name_at(i), strlen(puna_split_name_at(i))) != NULL);
}

static const test_case cases[] = {
    TEST(the_fuzzers_seeds_are_safe), TEST(refused_json_says_why),  TEST(odd_json_is_handled),
    TEST(refused_metadata_says_why),  TEST(names_cut_as_published),
};

int main(int argc, char **argv)
{
    return test_main("token_hostile", cases, sizeof cases / sizeof *cases, argc, argv);
}
