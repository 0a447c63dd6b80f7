/* prompt.c - raw prompts and chat prompts. Owns the rule that text from outside is text: where it
 * spells a special token, it is encoded apart from the template around it. */
#define _GNU_SOURCE
#include "cli/prompt.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PARTS = 5 }; /* template, system, template, user, template */

static bool begins_with_bos(const puna_model *model, const char *text, size_t n)
{
    int32_t bos = puna_token_of_role(model, "bos");
    char *piece = NULL;
    size_t n_piece = 0;
    if (bos < 0 || puna_token_piece(model, bos, &piece, &n_piece, NULL) != PUNA_OK)
        return false;
    bool begins = n_piece > 0 && n >= n_piece && memcmp(text, piece, n_piece) == 0;
    puna_free(piece);
    return begins;
}

/* Whether reading special tokens in a text makes a difference: it spells one. */
static puna_status spells_special(const puna_model *model, const char *text, bool *spells, puna_error *err)
{
    int32_t *plain = NULL, *special = NULL;
    size_t n_plain = 0, n_special = 0, n = strlen(text);
    puna_status status = puna_tokenize(model, text, n, 0, &plain, &n_plain, err);
    if (status == PUNA_OK)
        status = puna_tokenize(model, text, n, PUNA_TOKENS_PARSE_SPECIAL, &special, &n_special, err);
    *spells = status == PUNA_OK &&
              (n_plain != n_special || (n_plain && memcmp(plain, special, n_plain * sizeof *plain) != 0));
    puna_free(plain);
    puna_free(special);
    return status;
}

typedef struct part {
    const char *text;
    size_t n;
    unsigned flags;
} part;

/* Cuts the rendered text where `content` stands in it; templates often trim, so without the white
 * space around it. Returns where the search goes on, or NULL when it is not there. */
static const char *cut(part *parts, size_t *n_parts, const char *at, const char *end, const char *content)
{
    static const char white[] = " \t\r\n";
    content += strspn(content, white);
    size_t n = strlen(content);
    while (n && strchr(white, content[n - 1]))
        n--;
    if (n == 0)
        return at;
    const char *found = memmem(at, (size_t)(end - at), content, n);
    if (!found)
        return NULL;
    parts[(*n_parts)++] = (part){ at, (size_t)(found - at), PUNA_TOKENS_PARSE_SPECIAL };
    parts[(*n_parts)++] = (part){ found, n, 0 };
    return found + n;
}

static puna_status join_parts(const puna_model *model, const part *parts, size_t n_parts, int32_t **tokens,
                              size_t *n_tokens, puna_error *err)
{
    int32_t *all = NULL;
    size_t n = 0;
    puna_status status = PUNA_OK;
    for (size_t i = 0; i < n_parts && status == PUNA_OK; i++) {
        int32_t *some = NULL;
        size_t n_some = 0;
        status = puna_tokenize(model, parts[i].text, parts[i].n, parts[i].flags, &some, &n_some, err);
        int32_t *grown = status == PUNA_OK ? realloc(all, (n + n_some + 1) * sizeof *all) : NULL;
        if (status == PUNA_OK && !grown)
            status = puna_fail_memory(err, "the prompt's tokens", (n + n_some) * sizeof *all);
        if (grown) {
            all = grown;
            memcpy(all + n, some, n_some * sizeof *some);
            n += n_some;
        }
        puna_free(some);
    }
    if (status != PUNA_OK) {
        free(all);
        return status;
    }
    *tokens = all;
    *n_tokens = n;
    return PUNA_OK;
}

static puna_status encode_chat(const puna_model *model, const char *text, size_t n, const puna_message *messages,
                               size_t n_messages, bool special, int32_t **tokens, size_t *n_tokens, puna_error *err)
{
    unsigned first = begins_with_bos(model, text, n) ? 0 : PUNA_TOKENS_ADD_SPECIAL;
    bool apart = false;
    for (size_t i = 0; i < n_messages && !special && !apart; i++)
        TRY(spells_special(model, messages[i].content, &apart, err));
    if (!apart)
        return puna_tokenize(model, text, n, PUNA_TOKENS_PARSE_SPECIAL | first, tokens, n_tokens, err);
    part parts[MAX_PARTS];
    size_t n_parts = 0;
    const char *at = text, *end = text + n;
    for (size_t i = 0; i < n_messages && at; i++)
        at = cut(parts, &n_parts, at, end, messages[i].content);
    if (!at) {
        puna_fail(err, PUNA_ERR_ARGUMENT, "run: prompt: got the text of a special token, which the chat template "
                  "rewrites, expected plain text");
        return puna_hint(err, PUNA_ERR_ARGUMENT, "--special, if it is meant as a token");
    }
    parts[n_parts++] = (part){ at, (size_t)(end - at), PUNA_TOKENS_PARSE_SPECIAL };
    parts[0].flags |= first;
    return join_parts(model, parts, n_parts, tokens, n_tokens, err);
}

static puna_status chat(const puna_cli *cli, const puna_model *model, const char *text, size_t n, int32_t **tokens,
                        size_t *n_tokens, puna_error *err)
{
    puna_message messages[2];
    size_t n_messages = 0, n_rendered = 0;
    char *rendered = NULL;
    if (memchr(text, '\0', n))
        return puna_fail(err, PUNA_ERR_ARGUMENT, "run: prompt: got a NUL byte, expected text (--raw takes any bytes)");
    if (puna_cli_has(cli, PUNA_FLAG_system))
        messages[n_messages++] = (puna_message){ "system", cli->flags[PUNA_FLAG_system] };
    messages[n_messages++] = (puna_message){ "user", text };
    TRY(puna_chat_prompt(model, messages, n_messages, 1, &rendered, &n_rendered, err));
    puna_status status = encode_chat(model, rendered, n_rendered, messages, n_messages,
                                     puna_cli_has(cli, PUNA_FLAG_special), tokens, n_tokens, err);
    puna_free(rendered);
    return status;
}

puna_status puna_prompt_tokens(const puna_cli *cli, const puna_model *model, const char *text, size_t n,
                               int32_t **tokens, size_t *n_tokens, puna_error *err)
{
    bool raw = puna_cli_has(cli, PUNA_FLAG_raw), has_template = puna_model_chat_template(model) != NULL;
    if (!raw && has_template)
        return chat(cli, model, text, n, tokens, n_tokens, err);
    if (puna_cli_has(cli, PUNA_FLAG_system))
        return puna_fail(err, PUNA_ERR_ARGUMENT, "run: --system: got %s, expected a chat template",
                         raw ? "--raw" : "a model without one");
    if (!raw)
        puna_note(cli, "the model has no chat template: the prompt is completed as it is (as with --raw)");
    unsigned special = puna_cli_has(cli, PUNA_FLAG_special) ? PUNA_TOKENS_PARSE_SPECIAL : 0;
    return puna_tokenize(model, text, n, PUNA_TOKENS_ADD_SPECIAL | special, tokens, n_tokens, err);
}
