/* fuzz_token.c - the first byte chooses: the rest is a vocabulary file (tokenizer.json,
 * SentencePiece, llama2.c: by content), which is then used on a fixed text; or a text for tiny
 * built-in vocabularies of every family; or ('r') an expression, a zero and a text to look for it in. Whatever comes, ids are in range and decode; what is
 * lossless comes back. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "token/regex.h"
#include "token/vocab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ADDED                                                                                 \
    "\"added_tokens\":[{\"id\":300,\"content\":\"<s>\",\"special\":true,\"rstrip\":true},"    \
    "{\"id\":301,\"content\":\"<u>\",\"special\":false,\"lstrip\":true,\"single_word\":true," \
    "\"normalized\":true}]"
#define BYTES "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"

/* Unigram, WordPiece, BPE with marks for spaces, BPE over bytes (a few of them). */
static const char *const tiny_vocabularies[] = {
    "{" ADDED ",\"normalizer\":{\"type\":\"NFKC\"},\"pre_tokenizer\":{\"type\":\"Metaspace\"},"
    "\"decoder\":{\"type\":\"Metaspace\"},\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\","
    "0],"
    "[\"\xe2\x96\x81\",-2],[\"a\",-3],[\"b\",-3.5],[\"ab\",-4],[\"\xe2\x96\x81"
    "a\",-3.2],[\"\xc3\xa9\",-5]]}}",
    "{" ADDED
    ",\"normalizer\":{\"type\":\"BertNormalizer\"},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
    "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\","
    "\"vocab\":{\"[UNK]\":0,\"a\":1,\"##a\":2,\"##b\":3,\"ab\":4,\"!\":5,\"e\":6}}}",
    "{" ADDED ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":"
              "\"\xe2\x96\x81\"},"
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xe2\x96\x81\"}]},"
    "\"decoder\":{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0},"
    "\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true,\"vocab\":{\"<unk>\":0,\"a\":1,"
    "\"b\":2,"
    "\"ab\":3,\"\xe2\x96\x81\":4,\"\xe2\x96\x81"
    "ab\":5,\"aa\":6,\"aaaa\":7},"
    "\"merges\":[\"a b\",\"\xe2\x96\x81 ab\",[\"a\",\"a\"],\"aa aa\",\"zz b\"]}}",
    "{" ADDED ",\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":"
              "[{\"type\":\"Split\","
    "\"pattern\":{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{"
    "1,3}|"
    " ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},\"behavior\":"
    "\"Isolated\"}," BYTES "]},\"decoder\":" BYTES
    ",\"model\":{\"type\":\"BPE\",\"ignore_merges\":true,\"vocab\":{\"a\":0,\"b\":1,"
    "\"\xc4\xa0\":2,\"\xc4\xa0"
    "a\":3,\"ab\":4,\"\xc4\x8a\":5,\"1\":6,\"'\":7,\"s\":8,\"!\":9},"
    "\"merges\":[\"\xc4\xa0 a\",\"a b\"]}}",
};

/* Encodes, checks the ids, decodes whole and streamed: both must agree. */
static void use(const puna_vocab *v, const char *text, size_t n, unsigned flags)
{
    int32_t *ids = NULL;
    size_t n_ids = 0, n_streamed = 0;
    puna_error err;
    puna_status status = puna_vocab_encode(v, text, n, flags, &ids, &n_ids, &err);
    if (status == PUNA_ERR_FAILED) /* an expression that takes too long */
        return;
    assert(status == PUNA_OK);
    puna_buf whole = puna_buf_make((size_t)1 << 26);
    status = puna_vocab_decode(v, ids, n_ids, flags != 0, &whole, &err);
    assert(status == PUNA_OK || whole.failed);
    size_t capacity = puna_vocab_max_piece(v);
    char *piece = malloc(capacity);
    puna_detokenizer stream = { .at_start = true };
    for (size_t i = 0; i < n_ids && piece && !whole.failed; i++) {
        assert(ids[i] >= 0 && ids[i] < puna_vocab_n(v));
        size_t got = puna_detokenizer_add(&stream, v, ids[i], flags != 0, piece, capacity);
        assert(got <= capacity && n_streamed + got <= whole.n &&
               memcmp(whole.data + n_streamed, piece, got) == 0);
        n_streamed += got;
    }
    if (piece && !whole.failed)
        n_streamed += puna_detokenizer_finish(&stream, piece, capacity);
    assert(!piece || whole.failed || n_streamed == whole.n);
    free(piece);
    free(ids);
    puna_buf_free(&whole);
}

static void look(const puna_vocab *v)
{
    for (int32_t id = -1; id <= puna_vocab_n(v); id++) {
        size_t n = 0;
        const char *text = puna_vocab_text(v, id, &n);
        assert(!text == (id < 0 || id == puna_vocab_n(v)));
        if (text && n)
            assert(puna_vocab_find(v, text, n) >= 0);
        puna_vocab_is_end(v, id);
        puna_vocab_is_special(v, id);
    }
    for (int role = 0; role < PUNA_VOCAB_ROLES; role++)
        assert(puna_vocab_special(v, (puna_vocab_role)role) < puna_vocab_n(v));
}

static void find(const char *data, size_t n)
{
    char *pattern = malloc(n + 1);
    puna_arena arena = { 0 };
    const puna_regex *regex = NULL;
    puna_regex_run run = { 0 };
    puna_error err = { 0 };
    if (!pattern)
        return;
    memcpy(pattern, data, n);
    pattern[n] = '\0';
    size_t text = strlen(pattern) < n ? strlen(pattern) + 1 : n;
    puna_status status = puna_regex_compile(&arena, pattern, &regex, &err);
    assert((status == PUNA_OK) == (regex != NULL) && (regex || err.message[0]));
    puna_regex_allow(&run, n - text);
    for (size_t at = text; regex && at < n && !run.failed; at++) {
        ptrdiff_t end = puna_regex_match(regex, &run, data + text, n - text, at - text);
        assert(end < 0 || ((size_t)end >= at - text && (size_t)end <= n - text));
    }
    puna_regex_run_free(&run);
    puna_arena_free(&arena);
    free(pattern);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] =
        "Hello ab abab's <s>  <u> a<u>b\n\n 12345 \xc3\xa9\xff\xe4\xb8\xad\xe2\x96\x81!";
    puna_error err;
    puna_vocab *v = NULL;
    if (size < 1)
        return 0;
    if (data[0] == 'r') {
        find((const char *)data + 1, size - 1);
    } else if (data[0] >= '0' && data[0] < '8') {
        const char *tiny = tiny_vocabularies[data[0] & 3];
        puna_status status = puna_vocab_open_memory(&v, tiny, strlen(tiny), "tiny", &err);
        assert(status == PUNA_OK);
        use(v, (const char *)data + 1, size - 1, data[0] & 4 ? 3 : 0);
    } else if (puna_vocab_open_memory(&v, data + 1, size - 1, "fuzz", &err) == PUNA_OK) {
        look(v);
        for (unsigned flags = 0; flags < 4; flags++)
            use(v, text, sizeof text - 1, flags);
    } else {
        assert(err.message[0] != '\0');
    }
    puna_vocab_free(v);
    return 0;
}
