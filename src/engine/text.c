/* text.c - puna.h's functions on text: tokens and chat prompts. Thin: token/ and chat/ do the work. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "chat/chat.h"
#include "engine/engine.h"

_Static_assert((int)PUNA_TOKENS_ADD_SPECIAL == (int)PUNA_VOCAB_ADD_SPECIAL, "flags are passed through");
_Static_assert((int)PUNA_TOKENS_PARSE_SPECIAL == (int)PUNA_VOCAB_PARSE_SPECIAL, "flags are passed through");

puna_status puna_tokenize(const puna_model *model, const char *text, size_t n, unsigned flags, int32_t **tokens,
                          size_t *n_tokens, puna_error *err)
{
    return puna_vocab_encode(model->vocab, text, n, flags, tokens, n_tokens, err);
}

/* Hands a buffer out as fresh memory, or turns its failure into a status. */
static puna_status take(puna_buf *buf, puna_status status, char **text, size_t *n, puna_error *err)
{
    *n = buf->n;
    if (!status && (*text = puna_buf_take(buf)) == NULL)
        status = puna_fail_memory(err, "text", *n);
    puna_buf_free(buf);
    return status;
}

puna_status puna_detokenize(const puna_model *model, const int32_t *tokens, size_t n_tokens, int special,
                            char **text, size_t *n, puna_error *err)
{
    puna_buf buf = puna_buf_make(PUNA_MAX_TEXT_BYTES);
    *text = NULL;
    return take(&buf, puna_vocab_decode(model->vocab, tokens, n_tokens, special != 0, &buf, err), text, n, err);
}

puna_status puna_token_piece(const puna_model *model, int32_t token, char **text, size_t *n, puna_error *err)
{
    puna_buf buf = puna_buf_make(PUNA_MAX_TEXT_BYTES);
    *text = NULL;
    return take(&buf, puna_vocab_piece(model->vocab, token, true, &buf, err), text, n, err);
}

int32_t puna_token_of_role(const puna_model *model, const char *role)
{
    static const char *const roles[] = { "bos", "eos", "eot", "eom", "unk", "sep", "pad", "cls", "mask" };
    static const puna_vocab_role ids[] = { PUNA_VOCAB_BOS, PUNA_VOCAB_EOS, PUNA_VOCAB_EOT, PUNA_VOCAB_EOM, PUNA_VOCAB_UNK,
                                           PUNA_VOCAB_SEP, PUNA_VOCAB_PAD, PUNA_VOCAB_CLS, PUNA_VOCAB_MASK };
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strcmp(role, roles[i]) == 0)
            return puna_vocab_special(model->vocab, ids[i]);
    return -1;
}

int puna_token_is_end(const puna_model *model, int32_t token)
{
    return puna_vocab_is_end(model->vocab, token);
}

/* The text of a role's token, terminated, in the arena; "" when there is none. */
static const char *token_text(const puna_model *model, puna_vocab_role role, puna_arena *arena)
{
    size_t n = 0;
    int32_t id = puna_vocab_special(model->vocab, role);
    const char *text = id >= 0 ? puna_vocab_text(model->vocab, id, &n) : NULL;
    return puna_arena_copy(arena, text ? text : "", text ? n : 0);
}

puna_status puna_chat_prompt(const puna_model *model, const puna_message *messages, size_t n_messages,
                             int add_generation_prompt, char **text, size_t *n, puna_error *err)
{
    *text = NULL;
    if (!model->chat_template)
        return puna_fail(err, PUNA_ERR_NOT_FOUND, "chat template of %s: got none, expected one", model->name);
    if (!model->compiled) {
        if (err)
            *err = model->template_error;
        return model->template_error.code;
    }
    puna_arena arena = { 0 };
    const char *bos = token_text(model, PUNA_VOCAB_BOS, &arena), *eos = token_text(model, PUNA_VOCAB_EOS, &arena);
    puna_status status = puna_chat_render(model->compiled, messages, n_messages, add_generation_prompt != 0, bos, eos,
                                          -1, text, n, err);
    puna_arena_free(&arena);
    return status;
}

puna_status puna_template_run(const char *source, const char *context_json, int64_t now, char **text, size_t *n,
                              puna_error *err)
{
    json_error_t where;
    puna_template *compiled = NULL;
    *text = NULL;
    json_t *context = json_loads(context_json, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
    if (!context)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "context: line %d: %s: expected a JSON object", where.line, where.text);
    if (!json_is_object(context)) {
        json_decref(context);
        return puna_fail(err, PUNA_ERR_ARGUMENT, "context: got another JSON value, expected an object");
    }
    puna_status status = puna_template_compile(&compiled, source, strlen(source), err);
    if (!status)
        status = puna_template_render(compiled, context, now, text, n, err);
    puna_template_free(compiled);
    json_decref(context);
    return status;
}

puna_status puna_template_inspect(const char *source, char **json, puna_error *err)
{
    *json = NULL;
    return puna_json_text(puna_template_check(source, strlen(source)), json, err);
}
