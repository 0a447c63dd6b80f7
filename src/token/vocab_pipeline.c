/* vocab_pipeline.c - tokenizer.json around its model: normalizer, pre_tokenizer,
 * post_processor, decoder. Each becomes steps, stages or flags of the vocabulary.
 * Refuses: types and patterns that are not known, by name. */
#include <jansson.h>
#include <stdlib.h>

#include "base/limits.h"
#include "token/internal.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool is_type(const json_t *object, const char *type)
{
    return strcmp(text_of(object, "type"), type) == 0;
}

/* A boolean, with the value it has when it is not there. */
static bool flag(const json_t *object, const char *key, bool missing)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : missing;
}

static const char *keep(puna_vocab *v, const json_t *text, size_t *n)
{
    *n = json_string_length(text);
    const char *copy = json_is_string(text) ? puna_arena_copy(&v->arena, json_string_value(text), *n) : NULL;
    if (!copy)
        *n = 0;
    return copy ? copy : "";
}

static puna_status refuse(const char *what, const json_t *object, puna_error *err)
{
    return puna_fail(err, PUNA_ERR_FORMAT,
                     "tokenizer.json: %s: got type \"%.64s\", which this build does not know", what,
                     text_of(object, "type"));
}

/* ---- Normalizer -------------------------------------------------------------------------- */

static puna_status read_charsmap(puna_vocab *v, const json_t *text, puna_charsmap *map, puna_error *err)
{
    const char *from = json_string_value(text);
    size_t n = json_string_length(text), n_out = 0;
    unsigned char *out = puna_arena_alloc(&v->arena, n / 4 * 3 + 3);
    if (!out)
        return puna_fail_memory(err, "character map", n);
    size_t end = from ? puna_base64(from, n, out, &n_out) : 0;
    if (end != n)
        return puna_fail(err, PUNA_ERR_FORMAT, "tokenizer.json: precompiled_charsmap: byte %zu: not base64",
                         end);
    return puna_charsmap_read(map, out, n_out, err);
}

/* Literal texts, the expression that converters write (runs of two and more spaces), and others. */
static puna_status replace_step(puna_vocab *v, const json_t *object, puna_step *step, puna_error *err)
{
    const json_t *pattern = json_object_get(object, "pattern"), *regex = json_object_get(pattern, "Regex");
    step->kind = PUNA_STEP_REPLACE;
    step->to = keep(v, json_object_get(object, "content"), &step->n_to);
    step->from = keep(v, json_object_get(pattern, "String"), &step->n_from);
    if (!regex)
        return PUNA_OK;
    if (strcmp(text_of(pattern, "Regex"), " {2,}") != 0) {
        step->kind = PUNA_STEP_REPLACE_REGEX;
        return puna_regex_compile(&v->arena, text_of(pattern, "Regex"), &step->regex, err);
    }
    step->from = " ";
    step->n_from = 1;
    step->runs = true;
    return PUNA_OK;
}

static puna_status bert_step(const json_t *object, puna_step *step)
{
    step->kind = PUNA_STEP_BERT;
    step->clean = flag(object, "clean_text", true);
    step->cjk = flag(object, "handle_chinese_chars", true);
    step->lower = flag(object, "lowercase", true);
    step->accents = flag(object, "strip_accents", step->lower);
    return PUNA_OK;
}

static puna_status make_step(puna_vocab *v, const json_t *object, puna_step *step, puna_error *err)
{
    static const struct {
        const char *type;
        puna_step_kind kind;
    } simple[] = { { "NFC", PUNA_STEP_NFC },         { "NFD", PUNA_STEP_NFD },
                   { "NFKC", PUNA_STEP_NFKC },       { "NFKD", PUNA_STEP_NFKD },
                   { "Lowercase", PUNA_STEP_LOWER }, { "StripAccents", PUNA_STEP_STRIP_MARKS },
                   { "Nmt", PUNA_STEP_NMT } };
    *step = (puna_step){ 0 };
    for (size_t i = 0; i < sizeof simple / sizeof *simple; i++)
        if (is_type(object, simple[i].type)) {
            step->kind = simple[i].kind;
            return PUNA_OK;
        }
    if (is_type(object, "Replace"))
        return replace_step(v, object, step, err);
    if (is_type(object, "BertNormalizer"))
        return bert_step(object, step);
    if (is_type(object, "Prepend")) {
        step->kind = PUNA_STEP_PREPEND;
        step->to = keep(v, json_object_get(object, "prepend"), &step->n_to);
    } else if (is_type(object, "Strip")) {
        step->kind = PUNA_STEP_STRIP;
        step->left = flag(object, "strip_left", true);
        step->right = flag(object, "strip_right", true);
    } else if (is_type(object, "Precompiled")) {
        step->kind = PUNA_STEP_CHARSMAP;
        return read_charsmap(v, json_object_get(object, "precompiled_charsmap"), &step->map, err);
    } else {
        return refuse("normalizer", object, err);
    }
    return PUNA_OK;
}

/* Calls `each` for an object or for the members of a Sequence, which may hold others (as deep as the JSON, which is
 * bounded). */
typedef puna_status each_fn(puna_vocab *v, const json_t *object, puna_error *err);

static puna_status each_of(puna_vocab *v, const json_t *object, const char *members, each_fn *each,
                           puna_error *err)
{
    if (!json_is_object(object))
        return PUNA_OK;
    if (!is_type(object, "Sequence"))
        return each(v, object, err);
    size_t i;
    json_t *member;
    json_array_foreach(json_object_get(object, members), i, member)
        TRY(each_of(v, member, members, each, err));
    return PUNA_OK;
}

static puna_status add_step(puna_vocab *v, const json_t *object, puna_error *err)
{
    if (v->n_steps == PUNA_MAX_STEPS)
        return puna_fail(err, PUNA_ERR_FORMAT, "tokenizer.json: normalizer: more than %d steps",
                         PUNA_MAX_STEPS);
    TRY(make_step(v, object, &v->steps[v->n_steps], err));
    v->n_steps++;
    return PUNA_OK;
}

/* ---- Pre-tokenizer ----------------------------------------------------------------------- */

static puna_status add_rule(puna_vocab *v, const puna_split_rule *rule, puna_error *err)
{
    const puna_split_rule **stages = v->byte_level ? v->late_stages : v->stages;
    int *n = v->byte_level ? &v->n_late_stages : &v->n_stages;
    if (*n == PUNA_MAX_STAGES)
        return puna_fail(err, PUNA_ERR_FORMAT, "tokenizer.json: pre_tokenizer: more than %d stages",
                         PUNA_MAX_STAGES);
    if (v->metaspace)
        return puna_fail(err, PUNA_ERR_FORMAT, "tokenizer.json: pre_tokenizer: nothing may follow Metaspace");
    puna_split_rule *copy = puna_arena_alloc(&v->arena, sizeof *copy);
    if (!copy)
        return puna_fail_memory(err, "pre-tokenizer", sizeof *copy);
    *copy = *rule;
    stages[(*n)++] = copy;
    return PUNA_OK;
}

static bool behavior_of(const json_t *object, puna_split_rule *rule)
{
    static const char *const names[] = { "Isolated", "Removed", "MergedWithPrevious", "MergedWithNext",
                                         "Contiguous" };
    const char *name = text_of(object, "behavior");
    for (unsigned i = 0; i < 5; i++)
        if (strcmp(name, names[i]) == 0) {
            rule->behavior = (uint8_t)i;
            return true;
        }
    return false;
}

/* A literal as a rule: one character is a set, more are an expression without special characters. */
static puna_status literal_rule(puna_vocab *v, const char *text, puna_split_rule *rule, puna_error *err)
{
    int32_t code;
    int length;
    if (!*text)
        return puna_fail(err, PUNA_ERR_FORMAT, "tokenizer.json: pre_tokenizer: got an empty pattern");
    puna_char_at(text, strlen(text), &length, &code);
    if (code >= 0 && text[length] == '\0') {
        puna_range *range = puna_arena_alloc(&v->arena, sizeof *range);
        if (!range)
            return puna_fail_memory(err, "pre-tokenizer", sizeof *range);
        *range = (puna_range){ code, code };
        *rule = (puna_split_rule){ .kind = PUNA_SPLIT_RUN, .ranges = range, .n_ranges = 1, .max = 1 };
        return PUNA_OK;
    }
    char *pattern = puna_arena_alloc(&v->arena, strlen(text) * 2 + 1), *out = pattern;
    if (!pattern)
        return puna_fail_memory(err, "pre-tokenizer", strlen(text));
    for (; *text; text++) {
        if ((unsigned char)*text < 128 && puna_char_class(*text) & (PUNA_C_PUNCT | PUNA_C_SYMBOL))
            *out++ = '\\';
        *out++ = *text;
    }
    *rule = (puna_split_rule){ .kind = PUNA_SPLIT_REGEX };
    return puna_regex_compile(&v->arena, pattern, &rule->regex, err);
}

static puna_status add_split(puna_vocab *v, const json_t *object, puna_error *err)
{
    const json_t *pattern = json_object_get(object, "pattern");
    const char *regex = text_of(pattern, "Regex"), *literal = text_of(pattern, "String");
    puna_split_rule rule;
    if (*regex)
        TRY(puna_split_pattern(&v->arena, regex, &rule, err));
    else
        TRY(literal_rule(v, literal, &rule, err));
    if (!behavior_of(object, &rule))
        return puna_fail(err, PUNA_ERR_FORMAT,
                         "tokenizer.json: pre_tokenizer: behavior \"%.64s\" is not known",
                         text_of(object, "behavior"));
    if (flag(object, "invert", false)) {
        if (rule.behavior == PUNA_WITH_PREVIOUS || rule.behavior == PUNA_WITH_NEXT)
            return puna_fail(err, PUNA_ERR_FORMAT, "tokenizer.json: pre_tokenizer: behavior %s: got invert",
                             text_of(object, "behavior"));
        /* "Everything but the matches, removed": the matches are the words. */
        if (rule.behavior == PUNA_REMOVED) {
            rule.behavior = PUNA_ISOLATED;
            rule.drop_gaps = true;
        }
    }
    return add_rule(v, &rule, err);
}

static puna_prefix_scheme scheme_of(const json_t *object)
{
    const char *scheme = text_of(object, "prepend_scheme");
    if (strcmp(scheme, "first") == 0)
        return PUNA_PREFIX_FIRST;
    if (strcmp(scheme, "never") == 0 || !flag(object, "add_prefix_space", true))
        return PUNA_PREFIX_NEVER;
    return PUNA_PREFIX_ALWAYS;
}

static puna_status add_byte_level(puna_vocab *v, const json_t *object, puna_error *err)
{
    if (v->byte_level)
        return puna_fail(err, PUNA_ERR_FORMAT, "tokenizer.json: pre_tokenizer: ByteLevel: got it twice");
    if (flag(object, "use_regex", true))
        TRY(add_rule(v, &puna_split_gpt2, err));
    if (flag(object, "add_prefix_space", true)) {
        if (v->n_stages > 1)
            return puna_fail(err, PUNA_ERR_FORMAT,
                             "tokenizer.json: pre_tokenizer: ByteLevel: add_prefix_space after other stages");
        v->prefix_space = true;
        v->prefix = PUNA_PREFIX_ALWAYS;
    }
    v->byte_level = true;
    return PUNA_OK;
}

static puna_status add_stage(puna_vocab *v, const json_t *object, puna_error *err)
{
    puna_split_rule rule;
    if (is_type(object, "Split"))
        return add_split(v, object, err);
    if (is_type(object, "ByteLevel"))
        return add_byte_level(v, object, err);
    if (is_type(object, "Metaspace")) {
        v->metaspace = v->spaces_escaped = true;
        v->metaspace_split = flag(object, "split", true);
        v->metaspace_prefix = scheme_of(object);
        return PUNA_OK;
    }
    if (is_type(object, "WhitespaceSplit"))
        return add_rule(v, &puna_split_whitespace, err);
    if (is_type(object, "BertPreTokenizer") || is_type(object, "Whitespace")) {
        TRY(add_rule(v, &puna_split_whitespace, err));
        return add_rule(v, is_type(object, "Whitespace") ? &puna_split_word_chars : &puna_split_punctuation,
                        err);
    }
    if (is_type(object, "Digits"))
        return add_rule(
            v, flag(object, "individual_digits", false) ? &puna_split_digits_each : &puna_split_digits, err);
    if (is_type(object, "Punctuation")) {
        rule = puna_split_punctuation;
        behavior_of(object, &rule);
        return add_rule(v, &rule, err);
    }
    if (is_type(object, "CharDelimiterSplit")) {
        TRY(literal_rule(v, text_of(object, "delimiter"), &rule, err));
        rule.behavior = PUNA_REMOVED;
        return add_rule(v, &rule, err);
    }
    return refuse("pre_tokenizer", object, err);
}

/* ---- Post-processor ---------------------------------------------------------------------- */

enum { MAX_TEMPLATE = 16 }; /* real ones have one or two */

static void add_template(puna_vocab *v, bool after, int64_t id)
{
    uint32_t *n = after ? &v->n_after : &v->n_before;
    if (id >= 0 && id < v->n && *n < MAX_TEMPLATE)
        (after ? v->template_after : v->template_before)[(*n)++] = (int32_t)id;
}

static puna_status add_processor(puna_vocab *v, const json_t *object, puna_error *err)
{
    if (is_type(object, "BertProcessing") || is_type(object, "RobertaProcessing")) {
        add_template(v, false, json_integer_value(json_array_get(json_object_get(object, "cls"), 1)));
        add_template(v, true, json_integer_value(json_array_get(json_object_get(object, "sep"), 1)));
        return PUNA_OK;
    }
    if (is_type(object, "ByteLevel"))
        return PUNA_OK;
    if (!is_type(object, "TemplateProcessing"))
        return refuse("post_processor", object, err);
    const json_t *tokens = json_object_get(object, "special_tokens");
    bool after = false;
    size_t i, k;
    json_t *piece, *id;
    json_array_foreach(json_object_get(object, "single"), i, piece)
    {
        const json_t *special = json_object_get(piece, "SpecialToken");
        after |= json_object_get(piece, "Sequence") != NULL;
        json_array_foreach(json_object_get(json_object_get(tokens, text_of(special, "id")), "ids"), k, id)
            add_template(v, after, json_integer_value(id));
    }
    return PUNA_OK;
}

/* ---- Decoder ----------------------------------------------------------------------------- */

static puna_status add_decoder(puna_vocab *v, const json_t *object, puna_error *err)
{
    if (is_type(object, "Metaspace")) {
        v->spaces_escaped = true;
        v->strip_start |= scheme_of(object) != PUNA_PREFIX_NEVER;
    } else if (is_type(object, "Replace")) {
        const char *from = text_of(json_object_get(object, "pattern"), "String");
        if (strcmp(from, PUNA_SPACE_MARK) != 0 || strcmp(text_of(object, "content"), " ") != 0)
            return puna_fail(err, PUNA_ERR_FORMAT, "tokenizer.json: decoder: Replace \"%.64s\" is not known",
                             from);
        v->spaces_escaped = true;
    } else if (is_type(object, "Strip")) {
        v->strip_start |= json_integer_value(json_object_get(object, "start")) > 0;
    } else if (!is_type(object, "ByteLevel") && !is_type(object, "ByteFallback") &&
               !is_type(object, "Fuse") && !is_type(object, "WordPiece") && !is_type(object, "BPEDecoder")) {
        return refuse("decoder", object, err);
    }
    return PUNA_OK;
}

/* ---- All --------------------------------------------------------------------------------- */

/* Without a configuration, BOS and EOS are what the post-processor puts around a text. */
static void guess_roles(puna_vocab *v)
{
    if (v->n_before > 0)
        v->special[v->model == PUNA_MODEL_WORDPIECE ? PUNA_VOCAB_CLS : PUNA_VOCAB_BOS] =
            v->template_before[0];
    if (v->n_after > 0)
        v->special[v->model == PUNA_MODEL_WORDPIECE ? PUNA_VOCAB_SEP : PUNA_VOCAB_EOS] =
            v->template_after[v->n_after - 1];
}

puna_status puna_vocab_read_pipeline(puna_vocab *v, const void *root, puna_error *err)
{
    v->has_template = true;
    v->template_before = puna_arena_array(&v->arena, MAX_TEMPLATE, sizeof *v->template_before);
    v->template_after = puna_arena_array(&v->arena, MAX_TEMPLATE, sizeof *v->template_after);
    if (!v->template_before || !v->template_after)
        return puna_fail_memory(err, "post-processor", MAX_TEMPLATE * sizeof *v->template_before);
    TRY(each_of(v, json_object_get(root, "normalizer"), "normalizers", add_step, err));
    TRY(each_of(v, json_object_get(root, "pre_tokenizer"), "pretokenizers", add_stage, err));
    TRY(each_of(v, json_object_get(root, "post_processor"), "processors", add_processor, err));
    TRY(each_of(v, json_object_get(root, "decoder"), "decoders", add_decoder, err));
    guess_roles(v);
    return PUNA_OK;
}
