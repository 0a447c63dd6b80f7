/* vocab_gguf.c - a vocabulary from tokenizer.ggml.* metadata. Token texts are not copied.
 * Refuses: model types and pre-tokenizers it does not know, arrays of the wrong element type
 * or length, merges without a space. */
#include <stdlib.h>

#include "base/limits.h"
#include "base/suggest.h"
#include "token/internal.h"

#define KEY(name) "tokenizer.ggml." name

static bool read_bool(const puna_container *c, const char *key, bool missing)
{
    bool value;
    return puna_meta_bool(puna_container_meta(c, key), 0, &value) ? value : missing;
}

/* A terminated copy of a text, "" when the key is not there. */
static puna_status read_text(puna_vocab *v, const puna_container *c, const char *key, const char **out,
                             puna_error *err)
{
    const char *text = "";
    size_t n = 0;
    puna_meta_text(puna_container_meta(c, key), &text, &n);
    *out = puna_arena_copy(&v->arena, text, n);
    return *out ? PUNA_OK : puna_fail_memory(err, key, n);
}

/* An array of at least n numbers, or NULL when missing. */
static puna_status number_array(const puna_container *c, const char *key, uint64_t n, bool floats,
                                const puna_meta **out, puna_error *err)
{
    const puna_meta *meta = puna_container_meta(c, key);
    *out = NULL;
    if (!meta)
        return PUNA_OK;
    bool integers = meta->element == PUNA_META_I32 || meta->element == PUNA_META_U32;
    if (meta->type != PUNA_META_ARRAY || !(integers || (floats && meta->element == PUNA_META_F32)))
        return puna_fail(err, PUNA_ERR_FORMAT, "vocabulary: %s: got element type %d, expected %s", key,
                         (int)meta->element, floats ? "32-bit floats" : "32-bit integers");
    if (meta->n < n)
        return puna_fail(err, PUNA_ERR_FORMAT, "vocabulary: %s: got %llu elements, expected %llu", key,
                         (unsigned long long)meta->n, (unsigned long long)n);
    *out = meta;
    return PUNA_OK;
}

static const puna_meta *text_array(const puna_container *c, const char *key)
{
    const puna_meta *meta = puna_container_meta(c, key);
    return meta && meta->type == PUNA_META_ARRAY && meta->element == PUNA_META_STRING ? meta : NULL;
}

static puna_status read_tokens(puna_vocab *v, const puna_container *c, puna_error *err)
{
    const puna_meta *texts = text_array(c, KEY("tokens")), *scores, *types;
    if (!texts)
        return puna_fail(err, PUNA_ERR_FORMAT, "vocabulary: %s: got no array of texts", KEY("tokens"));
    TRY(puna_vocab_reserve(v, texts->n, err));
    TRY(number_array(c, KEY("scores"), texts->n, true, &scores, err));
    TRY(number_array(c, KEY("token_type"), texts->n, false, &types, err));
    puna_meta_cursor at = { 0 };
    const char *text;
    size_t n;
    for (uint32_t id = 0; id < v->n && puna_meta_next_text(texts, &at, &text, &n); id++) {
        puna_token *token = &v->tokens[id];
        if (n > PUNA_MAX_TOKEN_BYTES)
            return puna_fail(err, PUNA_ERR_FORMAT, "vocabulary: token %u: got %zu bytes, expected at most %u",
                             (unsigned)id, n, PUNA_MAX_TOKEN_BYTES);
        double score = 0;
        int64_t type = PUNA_TOKEN_NORMAL;
        if (scores)
            puna_meta_f64(scores, id, &score);
        if (types)
            puna_meta_i64(types, id, &type);
        if (type < PUNA_TOKEN_NORMAL || type > PUNA_TOKEN_BYTE)
            type = PUNA_TOKEN_UNUSED;
        *token = (puna_token){ .text = text, .n = (uint32_t)n, .score = (float)score, .type = (uint8_t)type };
    }
    return PUNA_OK;
}

static puna_status read_merges(puna_vocab *v, const puna_container *c, puna_error *err)
{
    const puna_meta *merges = text_array(c, KEY("merges"));
    if (!merges)
        return puna_fail(err, PUNA_ERR_FORMAT, "vocabulary: %s: got no array of texts", KEY("merges"));
    TRY(puna_merges_reserve(&v->merges, merges->n, err));
    puna_meta_cursor at = { 0 };
    const char *text, *space;
    size_t n;
    while (puna_meta_next_text(merges, &at, &text, &n)) {
        /* A merge's left side is never empty, so a space in front belongs to it. */
        space = n > 1 ? memchr(text + 1, ' ', n - 1) : NULL;
        if (!space)
            return puna_fail(err, PUNA_ERR_FORMAT, "vocabulary: merge %u: got \"%.*s\", expected two texts",
                             (unsigned)v->merges.n, (int)(n < 64 ? n : 64), text);
        size_t left = (size_t)(space - text);
        TRY(puna_merges_add(&v->merges, text, left, n - left - 1, err));
    }
    return puna_merges_finish(&v->merges, err);
}

/* ---- Special ids ------------------------------------------------------------------------- */

typedef struct id_key {
    const char *key;
    puna_vocab_role role;
} id_key;

static const id_key id_keys[] = {
    { KEY("bos_token_id"), PUNA_VOCAB_BOS },
    { KEY("eos_token_id"), PUNA_VOCAB_EOS },
    { KEY("eot_token_id"), PUNA_VOCAB_EOT },
    { KEY("eom_token_id"), PUNA_VOCAB_EOM },
    { KEY("unknown_token_id"), PUNA_VOCAB_UNK },
    { KEY("separator_token_id"), PUNA_VOCAB_SEP },
    { KEY("seperator_token_id"), PUNA_VOCAB_SEP }, /* as files spell it */
    { KEY("padding_token_id"), PUNA_VOCAB_PAD },
    { KEY("cls_token_id"), PUNA_VOCAB_CLS },
    { KEY("mask_token_id"), PUNA_VOCAB_MASK },
    { KEY("prefix_token_id"), PUNA_VOCAB_FIM_PREFIX },
    { KEY("suffix_token_id"), PUNA_VOCAB_FIM_SUFFIX },
    { KEY("middle_token_id"), PUNA_VOCAB_FIM_MIDDLE },
    { KEY("fim_pre_token_id"), PUNA_VOCAB_FIM_PREFIX },
    { KEY("fim_suf_token_id"), PUNA_VOCAB_FIM_SUFFIX },
    { KEY("fim_mid_token_id"), PUNA_VOCAB_FIM_MIDDLE },
    { KEY("fim_pad_token_id"), PUNA_VOCAB_FIM_PAD },
    { KEY("fim_rep_token_id"), PUNA_VOCAB_FIM_REPO },
    { KEY("fim_sep_token_id"), PUNA_VOCAB_FIM_SEP },
};

/* Ids out of range count as missing: files write 2^32 - 1 for none. */
static void read_special(puna_vocab *v, const puna_container *c)
{
    for (size_t i = 0; i < sizeof id_keys / sizeof *id_keys; i++) {
        uint64_t id;
        if (puna_meta_u64(puna_container_meta(c, id_keys[i].key), 0, &id) && id < v->n)
            v->special[id_keys[i].role] = (int32_t)id;
    }
    v->add_bos = read_bool(c, KEY("add_bos_token"), v->add_bos);
    v->add_eos = read_bool(c, KEY("add_eos_token"), v->add_eos);
    v->add_sep = read_bool(c, KEY("add_sep_token"), v->add_sep);
}

/* ---- The model types -------------------------------------------------------------------- */

static puna_step sentencepiece_step(const puna_container *c)
{
    return (puna_step){ .kind = PUNA_STEP_SENTENCEPIECE,
                        .escape = true,
                        .keep_bytes = true,
                        .remove_extra = read_bool(c, KEY("remove_extra_whitespaces"), false) };
}

static puna_status set_spm(puna_vocab *v, const puna_container *c, puna_error *err)
{
    v->model = PUNA_MODEL_SPM;
    v->special[PUNA_VOCAB_BOS] = 1;
    v->special[PUNA_VOCAB_EOS] = 2;
    v->special[PUNA_VOCAB_UNK] = 0;
    v->add_bos = v->byte_fallback = v->spaces_escaped = v->fuse_unknown = true;
    v->prefix = read_bool(c, KEY("add_space_prefix"), true) ? PUNA_PREFIX_ALWAYS : PUNA_PREFIX_NEVER;
    v->strip_start = v->prefix != PUNA_PREFIX_NEVER;
    v->steps[v->n_steps++] = sentencepiece_step(c);
    return read_tokens(v, c, err);
}

static puna_status set_unigram(puna_vocab *v, const puna_container *c, puna_error *err)
{
    v->model = PUNA_MODEL_UNIGRAM;
    v->special[PUNA_VOCAB_EOS] = 1;
    v->special[PUNA_VOCAB_UNK] = 2;
    v->special[PUNA_VOCAB_PAD] = 0;
    v->add_eos = v->spaces_escaped = v->fuse_unknown = v->user_in_model = true;
    v->prefix = read_bool(c, KEY("add_space_prefix"), true) ? PUNA_PREFIX_ALWAYS : PUNA_PREFIX_NEVER;
    v->strip_start = v->prefix != PUNA_PREFIX_NEVER;
    puna_step step = sentencepiece_step(c);
    step.keep_bytes = false;
    step.user = &v->user_trie;
    step.suffix = read_bool(c, KEY("treat_whitespace_as_suffix"), false);
    const puna_meta *map = puna_container_meta(c, KEY("precompiled_charsmap"));
    if (map) {
        if (map->type != PUNA_META_ARRAY || (map->element != PUNA_META_U8 && map->element != PUNA_META_I8))
            return puna_fail(err, PUNA_ERR_FORMAT, "vocabulary: %s: got element type %d, expected bytes",
                             KEY("precompiled_charsmap"), (int)map->element);
        TRY(puna_charsmap_read(&step.map, map->data, map->size_bytes, err));
    }
    v->steps[v->n_steps++] = step;
    return read_tokens(v, c, err);
}

static puna_status set_wordpiece(puna_vocab *v, const puna_container *c, puna_error *err)
{
    v->model = PUNA_MODEL_WORDPIECE;
    v->max_word_chars = 100; /* as BERT's own tokenizer; the metadata does not say */
    v->special[PUNA_VOCAB_BOS] = 101;
    v->special[PUNA_VOCAB_UNK] = 100;
    v->special[PUNA_VOCAB_SEP] = 102;
    v->special[PUNA_VOCAB_PAD] = 0;
    v->special[PUNA_VOCAB_MASK] = 103;
    v->add_bos = v->add_sep = v->spaces_escaped = v->word_start_marked = v->strip_start = true;
    bool lower = read_bool(c, KEY("normalizer.lowercase"), true);
    v->steps[v->n_steps++] = (puna_step){
        .kind = PUNA_STEP_BERT,
        .clean = true,
        .cjk = true,
        .lower = lower,
        .accents = read_bool(c, KEY("normalizer.strip_accents"), lower),
    };
    v->stages[v->n_stages++] = &puna_split_whitespace;
    v->stages[v->n_stages++] = &puna_split_punctuation;
    TRY(read_tokens(v, c, err));
    if (puna_container_meta(c, KEY("cls_token_id")) && !puna_container_meta(c, KEY("bos_token_id"))) {
        uint64_t id;
        if (puna_meta_u64(puna_container_meta(c, KEY("cls_token_id")), 0, &id) && id < v->n)
            v->special[PUNA_VOCAB_BOS] = (int32_t)id;
    }
    return PUNA_OK;
}

static puna_status unknown_pre(const char *name, puna_error *err)
{
    const char *names[128];
    size_t n = 0;
    while (n < 128 && (names[n] = puna_split_name_at(n)))
        n++;
    puna_fail(err, PUNA_ERR_FORMAT, "vocabulary: %s: got \"%s\", which this build does not know", KEY("pre"),
              name);
    const char *near = puna_suggest(name, names, n);
    return near ? puna_hint(err, PUNA_ERR_FORMAT, "did you mean %s?", near) : PUNA_ERR_FORMAT;
}

static puna_status set_stages(puna_vocab *v, const puna_split_preset *preset, puna_error *err)
{
    for (int i = 0; preset->patterns[i]; i++) {
        puna_split_rule *rule = puna_arena_alloc(&v->arena, sizeof *rule);
        if (!rule)
            return puna_fail_memory(err, "pre-tokenizer", sizeof *rule);
        TRY(puna_split_pattern(&v->arena, preset->patterns[i], rule, err));
        v->stages[v->n_stages++] = rule;
    }
    for (int i = 0; preset->stages[i]; i++)
        v->stages[v->n_stages++] = preset->stages[i];
    return PUNA_OK;
}

/* A token's bytes as Python writes them: \n \r \t \xAB, and a backslash before what else follows it. */
static puna_status unescape(puna_vocab *v, puna_token *token, puna_error *err)
{
    char *out = memchr(token->text, '\\', token->n) ? puna_arena_alloc(&v->arena, token->n) : NULL;
    uint32_t n = 0;
    if (!memchr(token->text, '\\', token->n))
        return PUNA_OK;
    if (!out)
        return puna_fail_memory(err, "vocabulary", token->n);
    for (uint32_t i = 0; i < token->n; i++) {
        char c = token->text[i];
        if (c == '\\' && i + 1 < token->n) {
            c = token->text[++i];
            int byte = c == 'x' && token->n - i > 2 ? puna_hex_byte(token->text + i + 1) : -1;
            i += byte >= 0 ? 2 : 0;
            c = byte >= 0 ? (char)byte : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
        }
        out[n++] = c;
    }
    token->text = out;
    token->n = n;
    return PUNA_OK;
}

/* RWKV: the longest entry, again and again; entries are bytes. */
static puna_status set_greedy(puna_vocab *v, const puna_container *c, puna_error *err)
{
    v->model = PUNA_MODEL_GREEDY;
    TRY(read_tokens(v, c, err));
    for (uint32_t id = 0; id < v->n; id++)
        if (v->tokens[id].type == PUNA_TOKEN_NORMAL)
            TRY(unescape(v, &v->tokens[id], err));
    return PUNA_OK;
}

/* PLaMo-2: Unigram with costs in whole ten-thousandths, found from the text's end. */
static puna_status set_plamo2(puna_vocab *v, const puna_container *c, puna_error *err)
{
    v->model = PUNA_MODEL_PLAMO2;
    v->special[PUNA_VOCAB_UNK] = 0;
    v->special[PUNA_VOCAB_BOS] = 1;
    v->special[PUNA_VOCAB_EOS] = 2;
    v->special[PUNA_VOCAB_PAD] = 3;
    v->byte_fallback = true;
    v->steps[v->n_steps++] = (puna_step){ .kind = PUNA_STEP_BOM };
    return read_tokens(v, c, err);
}

static puna_status set_bpe(puna_vocab *v, const puna_container *c, puna_error *err)
{
    const char *name = strcmp(v->model_name, "gemma4") == 0 ? "gemma4" : v->pre_name;
    const puna_split_preset *preset =
        puna_split_named(*name ? name : "default", strlen(*name ? name : "default"));
    if (!preset)
        return unknown_pre(name, err);
    v->model = PUNA_MODEL_BPE;
    v->drop_unknown = true;
    TRY(set_stages(v, preset, err));
    v->ignore_merges = preset->ignore_merges;
    v->newlines_whole = preset->newlines_whole;
    v->add_bos = preset->add_bos;
    v->add_sep = preset->add_sep;
    v->spaces_escaped = preset->spaces_escaped;
    v->byte_fallback = preset->spaces_escaped || preset->plain;
    v->byte_level = !v->byte_fallback;
    v->metaspace = v->metaspace_split = v->strip_start = preset->metaspace;
    v->metaspace_prefix = PUNA_PREFIX_ALWAYS;
    if (preset->spaces_escaped && !preset->metaspace)
        v->steps[v->n_steps++] = (puna_step){
            .kind = PUNA_STEP_REPLACE, .from = " ", .n_from = 1, .to = PUNA_SPACE_MARK, .n_to = 3
        };
    if (preset->plain && read_bool(c, KEY("normalizer.lowercase"), false))
        v->steps[v->n_steps++] = (puna_step){ .kind = PUNA_STEP_LOWER };
    TRY(read_tokens(v, c, err));
    return read_merges(v, c, err);
}

/* Phi-3's special tokens take the whitespace behind them, which only its name tells. */
static puna_status set_phi3(puna_vocab *v, const puna_container *c, puna_error *err)
{
    const char *name;
    TRY(read_text(v, c, "general.name", &name, err));
    static const char *const plain[] = { "<unk>", "<s>", "<|endoftext|>" };
    bool phi3 = false;
    for (; *name && !phi3; name++)
        phi3 = (name[0] | 32) == 'p' && (name[1] | 32) == 'h' && (name[2] | 32) == 'i' &&
               (name[3] == '3' || (name[3] == '-' && name[4] == '3'));
    for (uint32_t id = 0; phi3 && id < v->n; id++) {
        puna_token *token = &v->tokens[id];
        bool special = token->type == PUNA_TOKEN_CONTROL || token->type == PUNA_TOKEN_USER ||
                       token->type == PUNA_TOKEN_UNKNOWN;
        for (size_t i = 0; i < 3; i++)
            if (strlen(plain[i]) == token->n && memcmp(plain[i], token->text, token->n) == 0)
                special = false;
        if (special)
            token->flags |= PUNA_FLAG_RSTRIP;
    }
    return PUNA_OK;
}

static puna_status read_container(puna_vocab *v, const puna_container *c, puna_error *err)
{
    TRY(read_text(v, c, KEY("model"), &v->model_name, err));
    TRY(read_text(v, c, KEY("pre"), &v->pre_name, err));
    const char *model = v->model_name;
    if (!*model || strcmp(model, "none") == 0 || strcmp(model, "no_vocab") == 0)
        return puna_fail(err, PUNA_ERR_NOT_FOUND, "vocabulary: %s: the file has no tokenizer", KEY("model"));
    if (strcmp(model, "gpt2") == 0 || strcmp(model, "gemma4") == 0 || strcmp(model, "whitespace") == 0)
        TRY(set_bpe(v, c, err));
    else if (strcmp(model, "llama") == 0 ||
             strcmp(model, "test") == 0) /* the second: names without meaning */
        TRY(set_spm(v, c, err));
    else if (strcmp(model, "bert") == 0)
        TRY(set_wordpiece(v, c, err));
    else if (strcmp(model, "t5") == 0)
        TRY(set_unigram(v, c, err));
    else if (strcmp(model, "rwkv") == 0)
        TRY(set_greedy(v, c, err));
    else if (strcmp(model, "plamo2") == 0)
        TRY(set_plamo2(v, c, err));
    else
        return puna_fail(
            err, PUNA_ERR_FORMAT,
            "vocabulary: %s: got \"%s\", expected gpt2, llama, bert, t5, rwkv, plamo2, gemma4 or "
            "whitespace",
            KEY("model"), model);
    read_special(v, c);
    TRY(set_phi3(v, c, err));
    return puna_vocab_finish(v, err);
}

puna_status puna_vocab_from_container(puna_vocab **out, const puna_container *c, puna_error *err)
{
    *out = NULL;
    puna_vocab *v = puna_vocab_new();
    if (!v)
        return puna_fail_memory(err, "vocabulary", sizeof *v);
    puna_status status = read_container(v, c, err);
    if (status != PUNA_OK)
        puna_vocab_free(v);
    else
        *out = v;
    return status;
}
