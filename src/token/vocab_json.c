/* vocab_json.c - tokenizer.json: its model and its added tokens.
 * Refuses: JSON nested too deep, ids out of range, models and options it cannot reproduce. */
#include <jansson.h>
#include <stdlib.h>

#include "base/limits.h"
#include "token/internal.h"

/* The JSON library recurses: the depth is bounded before it sees the text. */
static bool depth_ok(const char *text, size_t n)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > PUNA_MAX_JSON_DEPTH)
                return false;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return true;
}

static json_t *parse(const char *text, size_t n, const char *name, puna_error *err)
{
    json_error_t at;
    if (!depth_ok(text, n)) {
        puna_fail(err, PUNA_ERR_FORMAT, "%s: nested deeper than %d", name, PUNA_MAX_JSON_DEPTH);
        return NULL;
    }
    json_t *root = json_loadb(text, n, JSON_ALLOW_NUL, &at);
    if (!root)
        puna_fail(err, PUNA_ERR_FORMAT, "%s: line %d: %s", name, at.line, at.text);
    else if (!json_is_object(root)) {
        puna_fail(err, PUNA_ERR_FORMAT, "%s: got no object", name);
        json_decref(root);
        root = NULL;
    }
    return root;
}

static bool copy_text(puna_vocab *v, puna_token *token, const char *text, size_t n)
{
    const char *copy = puna_arena_copy(&v->arena, text, n);
    token->text = copy ? copy : "";
    token->n = copy ? (uint32_t)n : 0;
    return copy != NULL;
}

/* ---- Ids --------------------------------------------------------------------------------- */

static bool id_of(const json_t *value, uint32_t *id)
{
    json_int_t number = json_integer_value(value);
    *id = (uint32_t)number;
    return json_is_integer(value) && number >= 0 && number < (json_int_t)PUNA_MAX_VOCAB;
}

static puna_status bad_id(const char *where, const char *text, puna_error *err)
{
    return puna_fail(err, PUNA_ERR_FORMAT, "tokenizer.json: %s: \"%.64s\": got no id below %u", where, text,
                     PUNA_MAX_VOCAB);
}

/* One more than the largest id in the model and the added tokens. */
static puna_status count_ids(json_t *vocab, json_t *added, uint64_t *count, puna_error *err)
{
    const char *text;
    json_t *value;
    size_t i;
    uint32_t id;
    *count = json_array_size(vocab);
    json_object_foreach(vocab, text, value)
    {
        if (!id_of(value, &id))
            return bad_id("model.vocab", text, err);
        if (id >= *count)
            *count = (uint64_t)id + 1;
    }
    json_array_foreach(added, i, value)
    {
        if (!id_of(json_object_get(value, "id"), &id))
            return bad_id("added_tokens", json_string_value(json_object_get(value, "content")) ? "id" : "?",
                          err);
        if (id >= *count)
            *count = (uint64_t)id + 1;
    }
    return PUNA_OK;
}

static puna_status read_dictionary(puna_vocab *v, json_t *vocab, puna_error *err)
{
    const char *text;
    size_t n;
    json_t *value;
    json_object_keylen_foreach(vocab, text, n, value)
    {
        uint32_t id;
        if (!id_of(value, &id) || n > PUNA_MAX_TOKEN_BYTES)
            return bad_id("model.vocab", text, err);
        v->tokens[id] = (puna_token){ .type = PUNA_TOKEN_NORMAL };
        if (!copy_text(v, &v->tokens[id], text, n))
            return puna_fail_memory(err, "vocabulary", n);
    }
    return PUNA_OK;
}

/* Unigram: [[text, score], ...] */
static puna_status read_scored(puna_vocab *v, json_t *vocab, puna_error *err)
{
    size_t id;
    json_t *value;
    json_array_foreach(vocab, id, value)
    {
        const json_t *text = json_array_get(value, 0), *score = json_array_get(value, 1);
        if (!json_is_string(text) || !json_is_number(score) ||
            json_string_length(text) > PUNA_MAX_TOKEN_BYTES)
            return puna_fail(err, PUNA_ERR_FORMAT,
                             "tokenizer.json: model.vocab: entry %zu: expected [text, score]", id);
        v->tokens[id] = (puna_token){ .score = (float)json_number_value(score), .type = PUNA_TOKEN_NORMAL };
        v->scores[id] = json_number_value(score);
        if (!copy_text(v, &v->tokens[id], json_string_value(text), json_string_length(text)))
            return puna_fail_memory(err, "vocabulary", json_string_length(text));
    }
    return PUNA_OK;
}

static bool flag(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static puna_status read_added(puna_vocab *v, json_t *added, puna_error *err)
{
    size_t i;
    json_t *value;
    json_array_foreach(added, i, value)
    {
        const json_t *text = json_object_get(value, "content");
        uint32_t id;
        if (!json_is_string(text) || json_string_length(text) > PUNA_MAX_TOKEN_BYTES ||
            !id_of(json_object_get(value, "id"), &id))
            return puna_fail(err, PUNA_ERR_FORMAT,
                             "tokenizer.json: added_tokens: entry %zu: expected id and content", i);
        puna_token *token = &v->tokens[id];
        bool added_only = token->flags & PUNA_FLAG_ABSENT;
        if (!copy_text(v, token, json_string_value(text), json_string_length(text)))
            return puna_fail_memory(err, "vocabulary", json_string_length(text));
        token->type = flag(value, "special") ? PUNA_TOKEN_CONTROL : PUNA_TOKEN_USER;
        token->flags =
            (uint8_t)((added_only ? PUNA_FLAG_ADDED : 0) | (flag(value, "lstrip") ? PUNA_FLAG_LSTRIP : 0) |
                      (flag(value, "rstrip") ? PUNA_FLAG_RSTRIP : 0) |
                      (flag(value, "single_word") ? PUNA_FLAG_SINGLE_WORD : 0) |
                      (flag(value, "normalized") ? PUNA_FLAG_NORMALIZED : 0));
    }
    return PUNA_OK;
}

/* ---- Merges ------------------------------------------------------------------------------ */

static puna_status add_pair(puna_vocab *v, const char *left, size_t n_left, const char *right, size_t n_right,
                            puna_error *err)
{
    if (n_left > PUNA_MAX_TOKEN_BYTES || n_right > PUNA_MAX_TOKEN_BYTES)
        return puna_fail(err, PUNA_ERR_FORMAT, "tokenizer.json: merges: got a text of %zu bytes",
                         n_left > n_right ? n_left : n_right);
    char *text = puna_arena_alloc(&v->arena, n_left + n_right + 2);
    if (!text)
        return puna_fail_memory(err, "merges", n_left + n_right + 2);
    memcpy(text, left, n_left);
    text[n_left] = ' ';
    memcpy(text + n_left + 1, right, n_right);
    return puna_merges_add(&v->merges, text, n_left, n_right, err);
}

/* "left right" or ["left", "right"]. */
static puna_status read_merges(puna_vocab *v, json_t *merges, puna_error *err)
{
    size_t i;
    json_t *value;
    TRY(puna_merges_reserve(&v->merges, json_array_size(merges), err));
    json_array_foreach(merges, i, value)
    {
        const json_t *left = json_array_get(value, 0), *right = json_array_get(value, 1);
        if (json_is_string(left) && json_is_string(right)) {
            TRY(add_pair(v, json_string_value(left), json_string_length(left), json_string_value(right),
                         json_string_length(right), err));
            continue;
        }
        const char *text = json_string_value(value);
        const char *space = text && *text ? memchr(text + 1, ' ', json_string_length(value) - 1) : NULL;
        if (!space)
            return puna_fail(err, PUNA_ERR_FORMAT, "tokenizer.json: merges: entry %zu: expected two texts",
                             i);
        size_t n_left = (size_t)(space - text);
        TRY(add_pair(v, text, n_left, space + 1, json_string_length(value) - n_left - 1, err));
    }
    return puna_merges_finish(&v->merges, err);
}

/* ---- Models ------------------------------------------------------------------------------ */

static const char *text_or_null(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && *text ? text : NULL;
}

static const char *keep(puna_vocab *v, const char *text)
{
    return text ? puna_arena_copy(&v->arena, text, strlen(text)) : NULL;
}

static const char *type_of_model(json_t *model)
{
    const char *type = text_or_null(model, "type");
    if (type)
        return type;
    return json_object_get(model, "merges")   ? "BPE"
           : json_object_get(model, "unk_id") ? "Unigram"
                                              : "WordPiece";
}

static puna_status set_bpe(puna_vocab *v, json_t *model, puna_error *err)
{
    v->model = PUNA_MODEL_BPE;
    v->model_name = "gpt2";
    if (text_or_null(model, "continuing_subword_prefix"))
        return puna_fail(err, PUNA_ERR_FORMAT,
                         "tokenizer.json: model.continuing_subword_prefix: got \"%s\", expected none",
                         text_or_null(model, "continuing_subword_prefix"));
    if (json_number_value(json_object_get(model, "dropout")) > 0)
        return puna_fail(err, PUNA_ERR_FORMAT, "tokenizer.json: model.dropout: got %g, expected none",
                         json_number_value(json_object_get(model, "dropout")));
    v->word_suffix = keep(v, text_or_null(model, "end_of_word_suffix"));
    v->ignore_merges = flag(model, "ignore_merges");
    v->fuse_unknown = flag(model, "fuse_unk");
    v->byte_fallback = flag(model, "byte_fallback");
    return read_merges(v, json_object_get(model, "merges"), err);
}

static puna_status set_model(puna_vocab *v, json_t *model, puna_error *err)
{
    const char *type = type_of_model(model);
    if (strcmp(type, "BPE") == 0)
        return set_bpe(v, model, err);
    if (strcmp(type, "Unigram") == 0) {
        v->model = PUNA_MODEL_UNIGRAM;
        v->model_name = "t5";
        v->fuse_unknown = true;
        v->byte_fallback = flag(model, "byte_fallback");
        return PUNA_OK;
    }
    if (strcmp(type, "WordPiece") == 0) {
        v->model = PUNA_MODEL_WORDPIECE;
        v->model_name = "bert";
        v->continuing = keep(v, text_or_null(model, "continuing_subword_prefix"));
        json_int_t max = json_integer_value(json_object_get(model, "max_input_chars_per_word"));
        v->max_word_chars = max > 0 && max < INT32_MAX ? (uint32_t)max : 100;
        v->strip_start = true;
        return PUNA_OK;
    }
    if (strcmp(type, "WordLevel") == 0) {
        v->model = PUNA_MODEL_WORDPIECE;
        v->model_name = "bert";
        v->whole_words = v->strip_start = true;
        return PUNA_OK;
    }
    return puna_fail(err, PUNA_ERR_FORMAT,
                     "tokenizer.json: model.type: got \"%s\", expected BPE, Unigram, WordPiece or WordLevel",
                     type);
}

/* The unknown token of the model; plain text must not find it. */
static void set_unknown(puna_vocab *v, json_t *model)
{
    const char *name = text_or_null(model, "unk_token");
    uint32_t id = UINT32_MAX;
    if (!id_of(json_object_get(model, "unk_id"), &id))
        id = UINT32_MAX;
    for (uint32_t i = 0; name && id == UINT32_MAX && i < v->n; i++)
        if (v->tokens[i].n == strlen(name) && memcmp(v->tokens[i].text, name, v->tokens[i].n) == 0)
            id = i;
    v->drop_unknown = id >= v->n;
    if (v->drop_unknown)
        return;
    v->special[PUNA_VOCAB_UNK] = (int32_t)id;
    if (v->tokens[id].type == PUNA_TOKEN_NORMAL) {
        v->tokens[id].type = PUNA_TOKEN_UNKNOWN;
        v->tokens[id].flags |= PUNA_FLAG_INNER;
    }
}

static puna_status read_root(puna_vocab *v, json_t *root, puna_error *err)
{
    json_t *model = json_object_get(root, "model"), *vocab = json_object_get(model, "vocab");
    json_t *added = json_object_get(root, "added_tokens");
    uint64_t count;
    TRY(count_ids(vocab, added, &count, err));
    TRY(puna_vocab_reserve(v, count, err));
    TRY(set_model(v, model, err));
    if ((v->model == PUNA_MODEL_UNIGRAM) != json_is_array(vocab))
        return puna_fail(err, PUNA_ERR_FORMAT, "tokenizer.json: model.vocab: not what %s has", v->model_name);
    if (json_is_array(vocab)) {
        v->scores = puna_arena_array(&v->arena, v->n, sizeof *v->scores);
        if (!v->scores)
            return puna_fail_memory(err, "vocabulary", v->n * sizeof *v->scores);
        TRY(read_scored(v, vocab, err));
    } else {
        TRY(read_dictionary(v, vocab, err));
    }
    for (uint32_t id = 0; v->byte_fallback && id < v->n; id++)
        if (puna_byte_token(v->tokens[id].text, v->tokens[id].n) >= 0)
            v->tokens[id].type = PUNA_TOKEN_BYTE;
    TRY(read_added(v, added, err));
    set_unknown(v, model);
    return puna_vocab_read_pipeline(v, root, err);
}

puna_status puna_vocab_read_json(puna_vocab *v, const char *text, size_t n, const char *name, puna_error *err)
{
    json_t *root = parse(text, n, name, err);
    if (!root)
        return PUNA_ERR_FORMAT;
    puna_status status = read_root(v, root, err);
    json_decref(root);
    return status == PUNA_OK ? puna_vocab_finish(v, err) : status;
}

/* ---- tokenizer_config.json --------------------------------------------------------------- */

void puna_vocab_read_config(puna_vocab *v, const char *text, size_t n)
{
    static const struct {
        const char *key;
        puna_vocab_role role;
    } keys[] = { { "bos_token", PUNA_VOCAB_BOS },  { "eos_token", PUNA_VOCAB_EOS },
                 { "unk_token", PUNA_VOCAB_UNK },  { "sep_token", PUNA_VOCAB_SEP },
                 { "pad_token", PUNA_VOCAB_PAD },  { "cls_token", PUNA_VOCAB_CLS },
                 { "mask_token", PUNA_VOCAB_MASK } };
    json_t *root = parse(text, n, "tokenizer_config.json", NULL);
    for (size_t i = 0; root && i < sizeof keys / sizeof *keys; i++) {
        const json_t *value = json_object_get(root, keys[i].key);
        if (json_is_object(value))
            value = json_object_get(value, "content");
        int32_t id = json_is_string(value)
                         ? puna_vocab_find(v, json_string_value(value), json_string_length(value))
                         : -1;
        if (id < 0)
            continue;
        v->special[keys[i].role] = id;
        if (keys[i].role == PUNA_VOCAB_EOS)
            v->tokens[id].flags |= PUNA_FLAG_END;
    }
    json_decref(root);
}
