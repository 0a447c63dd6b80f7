/* encode.c - text to ids: special tokens are cut out, what lies between is normalized, cut into
 * words, and each word given to the model. */
#include <stdlib.h>

#include "base/checked.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "token/internal.h"

void puna_ids_add(puna_ids *ids, int32_t id)
{
    if (ids->n == ids->capacity) {
        size_t capacity = ids->capacity ? ids->capacity * 2 : 64, bytes;
        int32_t *data = puna_mul_size(capacity, sizeof *data, &bytes) ? realloc(ids->data, bytes) : NULL;
        if (!data) {
            ids->failed = true;
            return;
        }
        ids->data = data;
        ids->capacity = capacity;
    }
    ids->data[ids->n++] = id;
}

bool puna_encoder_room(puna_encoder *e, void *memory, size_t *capacity, size_t n, size_t size_bytes)
{
    if (n <= *capacity)
        return true;
    size_t grown = *capacity < 64 ? 64 : *capacity + *capacity / 2, bytes;
    if (grown < n)
        grown = n;
    void *old;
    memcpy(&old, memory, sizeof old); /* a pointer to some pointer type */
    void *data = puna_mul_size(grown, size_bytes, &bytes) ? realloc(old, bytes) : NULL;
    if (!data) {
        e->failed = true;
        return false;
    }
    memcpy(memory, &data, sizeof data);
    *capacity = grown;
    return true;
}

void puna_unknown_add(puna_encoder *e, const char *text, size_t n)
{
    const puna_vocab *v = e->vocab;
    int32_t unknown = v->drop_unknown ? -1 : v->special[PUNA_VOCAB_UNK];
    bool bytes = v->byte_fallback;
    for (size_t i = 0; bytes && i < n; i++)
        bytes = v->byte_ids[(unsigned char)text[i]] >= 0;
    if (bytes) {
        for (size_t i = 0; i < n; i++)
            puna_ids_add(&e->ids, v->byte_ids[(unsigned char)text[i]]);
    } else if (unknown >= 0) {
        if (!v->fuse_unknown || e->unknown_end != e->ids.n || !e->ids.n)
            puna_ids_add(&e->ids, unknown);
        e->unknown_end = e->ids.n;
    }
}

/* ---- Words ------------------------------------------------------------------------------- */

/* The bytes of a word in GPT-2's alphabet, in e->word; returns its length, 0 on failure. */
static size_t word_to_alphabet(puna_encoder *e, const char *word, size_t n)
{
    const puna_vocab *v = e->vocab;
    size_t suffix = v->word_suffix ? strlen(v->word_suffix) : 0;
    if (!puna_encoder_room(e, &e->word, &e->word_capacity, n * 2 + suffix + 1, 1))
        return 0;
    char *out = e->word;
    if (!v->byte_level) {
        memcpy(out, word, n);
        out += n;
    } else {
        for (size_t i = 0; i < n; i++)
            out += puna_utf8_encode(puna_byte_to_code((unsigned char)word[i]), out);
    }
    if (suffix)
        memcpy(out, v->word_suffix, suffix);
    return (size_t)(out - e->word) + suffix;
}

/* A word in the alphabet of the entries. */
static void alphabet_word(puna_encoder *e, const char *word, size_t n)
{
    switch (e->vocab->model) {
    case PUNA_MODEL_BPE:
    case PUNA_MODEL_SPM:
        puna_merge_word(e, word, n);
        break;
    case PUNA_MODEL_UNIGRAM:
        puna_unigram_word(e, word, n);
        break;
    case PUNA_MODEL_WORDPIECE:
        puna_wordpiece_word(e, word, n);
        break;
    case PUNA_MODEL_GREEDY:
        puna_greedy_word(e, word, n);
        break;
    case PUNA_MODEL_PLAMO2:
        puna_plamo2_word(e, word, n);
        break;
    }
}

static bool each_late(void *user, const char *word, size_t n)
{
    puna_encoder *e = user;
    alphabet_word(e, word, n);
    return !e->failed && !e->ids.failed;
}

static void model_word(puna_encoder *e, const char *word, size_t n)
{
    const puna_vocab *v = e->vocab;
    if (v->byte_level || v->word_suffix) {
        n = word_to_alphabet(e, word, n);
        word = e->word;
    }
    if (n == 0)
        return;
    if (!v->n_late_stages)
        alphabet_word(e, word, n);
    else if (!puna_split_text(v->late_stages, v->n_late_stages, word, n, each_late, e) && !e->failed &&
             !e->ids.failed)
        e->failed = e->stuck = true;
}

/* The same through the cache: most words of a text were there before. */
static void cached_word(puna_encoder *e, const char *word, size_t n)
{
    if (!e->cache || n > PUNA_CACHED_BYTES || n == 0) {
        model_word(e, word, n);
        return;
    }
    uint64_t hash = puna_text_hash(word, n);
    puna_word_slot *slot = &e->cache[hash & e->cache_mask];
    if (slot->hash == hash && slot->n == n && memcmp(slot->word, word, n) == 0) {
        for (uint32_t i = 0; i < slot->n_ids; i++)
            puna_ids_add(&e->ids, e->ids.data[slot->at + i]);
        return;
    }
    size_t at = e->ids.n;
    size_t unknown = e->unknown_end;
    model_word(e, word, n);
    if (e->unknown_end != unknown) /* may be fused with its neighbour: not the same everywhere */
        return;
    *slot = (puna_word_slot){ .hash = hash, .at = at, .n = (uint32_t)n, .n_ids = (uint32_t)(e->ids.n - at) };
    memcpy(slot->word, word, n);
}

/* Cuts before each space mark that follows something else: no entry reaches across. */
static void cut_word(puna_encoder *e, const char *word, size_t n)
{
    size_t start = 0;
    for (size_t at = 1; at + 3 <= n; at++) {
        if (word[at] != PUNA_SPACE_MARK[0] || memcmp(word + at, PUNA_SPACE_MARK, 3) != 0)
            continue;
        bool after_mark = at - start >= 3 && memcmp(word + at - 3, PUNA_SPACE_MARK, 3) == 0;
        if (!after_mark && !e->vocab->joins[(unsigned char)word[at - 1]]) {
            cached_word(e, word + start, at - start);
            start = at;
        }
        at += 2;
    }
    cached_word(e, word + start, n - start);
}

static bool each_word(void *user, const char *word, size_t n)
{
    puna_encoder *e = user;
    if (e->vocab->cut_at_spaces)
        cut_word(e, word, n);
    else
        cached_word(e, word, n);
    return !e->failed && !e->ids.failed;
}

static const char *find_mark(const char *text, size_t n)
{
    for (size_t i = 0; i + 3 <= n; i++)
        if (text[i] == PUNA_SPACE_MARK[0] && memcmp(text + i, PUNA_SPACE_MARK, 3) == 0)
            return text + i;
    return text + n;
}

/* Metaspace: spaces become marks, a mark is put before the word, the word is cut before marks. */
static bool each_metaspace(void *user, const char *word, size_t n)
{
    puna_encoder *e = user;
    const puna_vocab *v = e->vocab;
    if (v->newlines_whole && *word == '\n') /* the stage before leaves newlines alone */
        return each_word(e, word, n);
    puna_step replace = {
        .kind = PUNA_STEP_REPLACE, .from = " ", .n_from = 1, .to = PUNA_SPACE_MARK, .n_to = 3
    };
    puna_buf buf = puna_buf_make(PUNA_MAX_TEXT_BYTES), marked = puna_buf_make(PUNA_MAX_TEXT_BYTES);
    bool first = e->ids.n == e->begin, prefix = v->metaspace_prefix == PUNA_PREFIX_ALWAYS ||
                                                (v->metaspace_prefix == PUNA_PREFIX_FIRST && first);
    if (puna_normalize(&replace, 1, false, word, n, &buf, NULL) != PUNA_OK)
        e->failed = true;
    if (prefix && !(buf.n >= 3 && memcmp(buf.data, PUNA_SPACE_MARK, 3) == 0))
        puna_buf_add_text(&marked, PUNA_SPACE_MARK);
    puna_buf_add(&marked, buf.data, buf.n);
    puna_buf_free(&buf);
    if (marked.failed)
        e->failed = true;
    for (const char *at = marked.data, *end = at + marked.n; !e->failed && at < end;) {
        const char *next = v->metaspace_split ? find_mark(at + 1, (size_t)(end - at) - 1) : end;
        each_word(e, at, (size_t)(next - at));
        at = next;
    }
    puna_buf_free(&marked);
    return !e->failed && !e->ids.failed;
}

static void encode_words(puna_encoder *e, const char *text, size_t n)
{
    const puna_vocab *v = e->vocab;
    puna_word_fn *each = v->metaspace ? each_metaspace : each_word;
    if (!puna_split_text(v->stages, v->n_stages, text, n, each, e) && !e->failed && !e->ids.failed)
        e->failed = e->stuck = true;
}

/* ---- Special tokens ---------------------------------------------------------------------- */

static bool word_char(const char *text, size_t n, size_t at, bool before)
{
    int32_t code;
    if (before) {
        if (at == 0)
            return false;
        for (size_t back = 1; back <= 4 && back <= at; back++)
            if (puna_utf8_decode(text + at - back, back, &code) == (int)back && code >= 0)
                return puna_char_is_word(code);
        return false;
    }
    return at < n && (puna_utf8_decode(text + at, n - at, &code), puna_char_is_word(code));
}

static size_t space_before(const char *text, size_t from, size_t at)
{
    while (at > from) {
        size_t back = 1;
        int32_t code = -1;
        for (; back <= 4 && back <= at - from; back++)
            if (puna_utf8_decode(text + at - back, back, &code) == (int)back && code >= 0)
                break;
        if (code < 0 || !(puna_char_class(code) & PUNA_C_SPACE))
            break;
        at -= back;
    }
    return at;
}

static size_t space_after(const char *text, size_t n, size_t at)
{
    int32_t code;
    int length;
    while (at < n && puna_char_at(text + at, n - at, &length, &code) & PUNA_C_SPACE)
        at += (size_t)length;
    return at;
}

typedef void fragment_fn(puna_encoder *e, const char *text, size_t n, bool after_special);

/* Finds the entries of a trie in text, leftmost first and of those the longest; what lies
 * between goes to `fragment`. */
static void cut_special(puna_encoder *e, const puna_trie *trie, const char *text, size_t n, bool first,
                        fragment_fn *fragment)
{
    const puna_vocab *v = e->vocab;
    size_t start = 0;
    for (size_t at = 0; trie->n_nodes && at < n && !e->failed && !e->ids.failed;) {
        int32_t id = -1;
        size_t length =
            trie->first[(unsigned char)text[at]] ? puna_trie_longest(trie, text + at, n - at, &id) : 0;
        if (!length) {
            at++;
            continue;
        }
        unsigned flags = v->tokens[id].flags;
        if (flags & PUNA_FLAG_SINGLE_WORD &&
            (word_char(text, n, at, true) || word_char(text, n, at + length, false))) {
            at += length;
            continue;
        }
        size_t end = flags & PUNA_FLAG_LSTRIP ? space_before(text, start, at) : at;
        if (end > start)
            fragment(e, text + start, end - start, first);
        puna_ids_add(&e->ids, id);
        first = true;
        at += length;
        start = at = flags & PUNA_FLAG_RSTRIP ? space_after(text, n, at) : at;
    }
    if (n > start && !e->failed)
        fragment(e, text + start, n - start, first);
}

/* What lies between tokens, normalized. ByteLevel may put a space before each. */
static void plain_fragment(puna_encoder *e, const char *text, size_t n, bool first)
{
    (void)first;
    if (!e->vocab->prefix_space || *text == ' ') {
        encode_words(e, text, n);
        return;
    }
    puna_buf buf = puna_buf_make((size_t)PUNA_MAX_TEXT_BYTES * 4);
    puna_buf_add_byte(&buf, ' ');
    puna_buf_add(&buf, text, n);
    if (buf.failed)
        e->failed = true;
    else
        encode_words(e, buf.data, buf.n);
    puna_buf_free(&buf);
}

/* `first`: the text begins here, or a special token came just before. */
static void text_fragment(puna_encoder *e, const char *text, size_t n, bool first)
{
    const puna_vocab *v = e->vocab;
    bool prefix =
        v->prefix == PUNA_PREFIX_ALWAYS ? first : v->prefix == PUNA_PREFIX_FIRST && e->ids.n == e->begin;
    if (!v->n_steps) {
        plain_fragment(e, text, n, first);
        return;
    }
    puna_buf buf = puna_buf_make((size_t)PUNA_MAX_TEXT_BYTES * 4);
    if (puna_normalize(v->steps, v->n_steps, prefix, text, n, &buf, NULL) != PUNA_OK) {
        e->failed = true;
    }
    if (!e->failed && buf.n)
        cut_special(e, e->parse_special ? &v->late_special_trie : &v->late_trie, buf.data, buf.n, first,
                    plain_fragment);
    puna_buf_free(&buf);
}

/* ---- The call ---------------------------------------------------------------------------- */

static void add_before(puna_encoder *e)
{
    const puna_vocab *v = e->vocab;
    for (uint32_t i = 0; v->has_template && i < v->n_before; i++)
        puna_ids_add(&e->ids, v->template_before[i]);
    if (!v->has_template && v->add_bos && v->special[PUNA_VOCAB_BOS] >= 0)
        puna_ids_add(&e->ids, v->special[PUNA_VOCAB_BOS]);
}

static void add_after(puna_encoder *e)
{
    const puna_vocab *v = e->vocab;
    for (uint32_t i = 0; v->has_template && i < v->n_after; i++)
        puna_ids_add(&e->ids, v->template_after[i]);
    if (v->has_template)
        return;
    if (v->add_eos && v->special[PUNA_VOCAB_EOS] >= 0)
        puna_ids_add(&e->ids, v->special[PUNA_VOCAB_EOS]);
    else if (v->add_sep && v->model == PUNA_MODEL_WORDPIECE && v->special[PUNA_VOCAB_SEP] >= 0)
        puna_ids_add(&e->ids, v->special[PUNA_VOCAB_SEP]);
}

/* Short texts repeat too few words to pay for the cache; long ones repeat some thousand. */
enum { CACHE_FROM_BYTES = 2048, SMALL_CACHE = 1 << 9, LARGE_CACHE = 1 << 14, LARGE_FROM_BYTES = 1 << 16 };

/* Without the cache everything works, slower. */
static void open_cache(puna_encoder *e, size_t n)
{
    size_t slots = n >= LARGE_FROM_BYTES ? LARGE_CACHE : SMALL_CACHE;
    if (n >= CACHE_FROM_BYTES)
        e->cache = calloc(slots, sizeof *e->cache);
    e->cache_mask = slots - 1;
}

puna_status puna_vocab_encode(const puna_vocab *v, const char *text, size_t n, unsigned flags, int32_t **ids,
                              size_t *n_ids, puna_error *err)
{
    *ids = NULL;
    *n_ids = 0;
    if (n > PUNA_MAX_TEXT_BYTES)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "tokenize: text: got %zu bytes, expected at most %u", n,
                         PUNA_MAX_TEXT_BYTES);
    bool parse = (flags & PUNA_VOCAB_PARSE_SPECIAL) != 0;
    puna_encoder e = { .vocab = v, .parse_special = parse, .unknown_end = SIZE_MAX };
    open_cache(&e, n);
    if (flags & PUNA_VOCAB_ADD_SPECIAL)
        add_before(&e);
    e.begin = e.ids.n;
    cut_special(&e, parse ? &v->special_trie : &v->plain_trie, text, n, true, text_fragment);
    if (flags & PUNA_VOCAB_ADD_SPECIAL)
        add_after(&e);
    free(e.word);
    free(e.symbols);
    free(e.heap);
    free(e.cache);
    free(e.lattice);
    if (e.failed || e.ids.failed) {
        free(e.ids.data);
        if (e.stuck)
            return puna_fail(err, PUNA_ERR_FAILED,
                             "tokenize: the vocabulary's pattern takes too long on this text of "
                             "%zu bytes",
                             n);
        return puna_fail_memory(err, "tokenize", n);
    }
    *ids = e.ids.data;
    *n_ids = e.ids.n;
    return PUNA_OK;
}
