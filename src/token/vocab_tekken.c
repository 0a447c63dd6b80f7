/* vocab_tekken.c - Mistral's tekken.json: ranks as in vocab_ranks.c, with the expression that cuts text and the special
 * tokens, whose ids come first.
 * Refuses: ranks twice or out of range, token bytes that are not base64. */
#include <jansson.h>
#include <stdio.h>

#include "base/limits.h"
#include "token/internal.h"

/* What files before version 7 mean without saying so. */
static const char *const old_special[] = {
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
};

enum { OLD_SPECIAL = sizeof old_special / sizeof *old_special };

static puna_status set_token(puna_vocab *v, uint32_t id, const char *text, size_t n, puna_token_type type,
                             puna_error *err)
{
    const char *copy = puna_arena_copy(&v->arena, text, n);
    if (!copy)
        return puna_fail_memory(err, "vocabulary", n);
    v->tokens[id] = (puna_token){ .text = copy, .n = (uint32_t)n, .type = (uint8_t)type };
    return PUNA_OK;
}

static puna_status read_special(puna_vocab *v, const json_t *tokens, uint32_t n_special, puna_error *err)
{
    for (uint32_t id = 0; id < n_special; id++) {
        char filler[32];
        int n = snprintf(filler, sizeof filler, "<SPECIAL_%u>", (unsigned)id);
        const char *text = !tokens && id < OLD_SPECIAL ? old_special[id] : filler;
        TRY(set_token(v, id, text, text == filler ? (size_t)n : strlen(text), PUNA_TOKEN_CONTROL, err));
    }
    size_t i;
    json_t *token;
    json_array_foreach(tokens, i, token)
    {
        const json_t *text = json_object_get(token, "token_str"), *rank = json_object_get(token, "rank");
        json_int_t id = json_is_integer(rank) ? json_integer_value(rank) : -1;
        if (!json_is_string(text) || id < 0 || id >= (json_int_t)n_special ||
            json_string_length(text) > PUNA_MAX_TOKEN_BYTES)
            return puna_fail(err, PUNA_ERR_FORMAT,
                             "tekken.json: special_tokens: entry %zu: expected token_str and a rank below %u",
                             i, (unsigned)n_special);
        TRY(set_token(v, (uint32_t)id, json_string_value(text), json_string_length(text), PUNA_TOKEN_CONTROL,
                      err));
    }
    return PUNA_OK;
}

static puna_status read_ranks(puna_vocab *v, const json_t *vocab, uint32_t n_special, puna_error *err)
{
    size_t i;
    json_t *entry;
    json_array_foreach(vocab, i, entry)
    {
        const json_t *text = json_object_get(entry, "token_bytes"), *rank = json_object_get(entry, "rank");
        json_int_t id = json_is_integer(rank) ? json_integer_value(rank) : -1;
        size_t n = json_string_length(text), n_bytes = 0;
        if (id >= (json_int_t)(v->n - n_special))
            continue; /* the file has more than the vocabulary */
        unsigned char *bytes =
            json_is_string(text) && id >= 0 ? puna_arena_alloc(&v->arena, n / 4 * 3 + 3) : NULL;
        if (!bytes || puna_base64(json_string_value(text), n, bytes, &n_bytes) != n || n_bytes == 0 ||
            n_bytes > PUNA_MAX_TOKEN_BYTES)
            return puna_fail(err, PUNA_ERR_FORMAT,
                             "tekken.json: vocab: entry %zu: expected a rank and token_bytes in base64", i);
        puna_token *token = &v->tokens[n_special + (uint32_t)id];
        if (!(token->flags & PUNA_FLAG_ABSENT))
            return puna_fail(err, PUNA_ERR_FORMAT, "tekken.json: vocab: entry %zu: rank %d: got it twice", i,
                             (int)id);
        *token =
            (puna_token){ .text = (const char *)bytes, .n = (uint32_t)n_bytes, .type = PUNA_TOKEN_NORMAL };
    }
    return PUNA_OK;
}

puna_status puna_vocab_read_tekken(puna_vocab *v, const void *root, puna_error *err)
{
    const json_t *config = json_object_get(root, "config");
    json_int_t n = json_integer_value(json_object_get(config, "default_vocab_size"));
    json_int_t n_special = json_integer_value(json_object_get(config, "default_num_special_tokens"));
    const char *pattern = json_string_value(json_object_get(config, "pattern"));
    if (!pattern || n <= 0 || n > (json_int_t)PUNA_MAX_VOCAB || n_special < 3 || n_special >= n)
        return puna_fail(
            err, PUNA_ERR_FORMAT,
            "tekken.json: config: expected pattern, default_vocab_size and default_num_special_tokens");
    TRY(puna_vocab_reserve(v, (uint64_t)n, err));
    const json_t *special = json_object_get(root, "special_tokens");
    TRY(read_special(v, json_is_array(special) ? special : NULL, (uint32_t)n_special, err));
    TRY(read_ranks(v, json_object_get(root, "vocab"), (uint32_t)n_special, err));
    puna_split_rule *rule = puna_arena_alloc(&v->arena, sizeof *rule);
    if (!rule)
        return puna_fail_memory(err, "pre-tokenizer", sizeof *rule);
    TRY(puna_split_pattern(&v->arena, pattern, rule, err));
    v->stages[v->n_stages++] = rule;
    v->model = PUNA_MODEL_BPE;
    v->model_name = "gpt2";
    v->pre_name = "tekken";
    v->by_rank = v->ignore_merges = v->drop_unknown = v->add_bos = true;
    v->special[PUNA_VOCAB_UNK] = 0;
    v->special[PUNA_VOCAB_BOS] = 1;
    v->special[PUNA_VOCAB_EOS] = 2;
    return PUNA_OK;
}
