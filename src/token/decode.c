/* decode.c - ids to bytes, for whole lists and one by one in a stream. */
#include <stdlib.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "token/internal.h"

/* Entries in GPT-2's alphabet: a code point per byte; others stand for themselves. */
static size_t alphabet_bytes(const puna_token *token, char *out)
{
    size_t n = 0;
    for (size_t at = 0; at < token->n;) {
        int32_t code;
        size_t length = (size_t)puna_utf8_decode(token->text + at, token->n - at, &code);
        int byte = puna_code_to_byte(code);
        if (byte >= 0) {
            out[n++] = (char)byte;
        } else {
            memcpy(out + n, token->text + at, length);
            n += length;
        }
        at += length;
    }
    return n;
}

static size_t unescaped(const char *text, size_t length, char *out)
{
    size_t n = 0;
    for (size_t at = 0; at < length;) {
        if (length - at >= 3 && memcmp(text + at, PUNA_SPACE_MARK, 3) == 0) {
            out[n++] = ' ';
            at += 3;
        } else {
            out[n++] = text[at++];
        }
    }
    return n;
}

/* WordPiece: a word start gets a space, what continues a word loses its mark. */
static size_t wordpiece_bytes(const puna_vocab *v, const puna_token *token, char *out)
{
    size_t mark = v->continuing ? strlen(v->continuing) : 0;
    if (mark && token->n > mark && memcmp(token->text, v->continuing, mark) == 0) {
        memcpy(out, token->text + mark, token->n - mark);
        return token->n - mark;
    }
    if (v->word_start_marked)
        return unescaped(token->text, token->n, out);
    *out = ' ';
    memcpy(out + 1, token->text, token->n);
    return token->n + 1;
}

static size_t suffix_bytes(const puna_vocab *v, const puna_token *token, char *out)
{
    size_t n = token->n, suffix = strlen(v->word_suffix);
    if (n < suffix || memcmp(token->text + n - suffix, v->word_suffix, suffix) != 0) {
        memcpy(out, token->text, n);
        return n;
    }
    memcpy(out, token->text, n - suffix);
    out[n - suffix] = ' ';
    return n - suffix + 1;
}

/* The bytes of a token inside a text; at most v->max_piece of them. */
static size_t token_bytes(const puna_vocab *v, const puna_token *token, bool special, char *out)
{
    int byte;
    switch ((puna_token_type)token->type) {
    case PUNA_TOKEN_CONTROL:
    case PUNA_TOKEN_UNKNOWN:
        if (!special)
            return 0;
        memcpy(out, token->text, token->n);
        return token->n;
    case PUNA_TOKEN_USER:
        if (v->user_in_model)
            return unescaped(token->text, token->n, out);
        memcpy(out, token->text, token->n);
        return token->n;
    case PUNA_TOKEN_BYTE:
        byte = puna_byte_token(token->text, token->n);
        if (byte >= 0) {
            *out = (char)byte;
            return 1;
        }
        break;
    case PUNA_TOKEN_NORMAL:
    case PUNA_TOKEN_UNUSED:
        break;
    }
    if (v->model == PUNA_MODEL_WORDPIECE)
        return wordpiece_bytes(v, token, out);
    if (v->byte_level)
        return alphabet_bytes(token, out);
    if (v->spaces_escaped)
        return unescaped(token->text, token->n, out);
    if (v->word_suffix)
        return suffix_bytes(v, token, out);
    memcpy(out, token->text, token->n);
    return token->n;
}

/* token_bytes with the space taken off that encoding had put before the text. */
static size_t stream_bytes(const puna_vocab *v, int32_t id, bool special, bool *at_start, char *out)
{
    const puna_token *token = &v->tokens[id];
    size_t n = token_bytes(v, token, special, out);
    bool cut_out = token->type == PUNA_TOKEN_CONTROL || token->type == PUNA_TOKEN_UNKNOWN ||
                   (token->type == PUNA_TOKEN_USER && !v->user_in_model);
    if (cut_out) {
        if (v->prefix == PUNA_PREFIX_ALWAYS)
            *at_start = true;
        else if (n > 0)
            *at_start = false;
        return n;
    }
    if (*at_start && v->strip_start && n > 0 && out[0] == ' ')
        memmove(out, out + 1, --n);
    *at_start = false;
    return n;
}

static puna_status bad_id(const puna_vocab *v, int32_t id, puna_error *err)
{
    return puna_fail(err, PUNA_ERR_ARGUMENT, "detokenize: id: got %d, expected 0 to %u", (int)id,
                     (unsigned)(v->n - 1));
}

static puna_status append(const puna_vocab *v, const int32_t *ids, size_t n, bool special, bool at_start,
                          puna_buf *out, puna_error *err)
{
    char *piece = malloc(v->max_piece);
    if (!piece)
        return puna_fail_memory(err, "detokenize", v->max_piece);
    puna_status status = PUNA_OK;
    for (size_t i = 0; i < n && status == PUNA_OK; i++) {
        if (ids[i] < 0 || (uint32_t)ids[i] >= v->n)
            status = bad_id(v, ids[i], err);
        else
            puna_buf_add(out, piece, stream_bytes(v, ids[i], special, &at_start, piece));
    }
    free(piece);
    if (status == PUNA_OK && out->failed)
        return puna_fail_memory(err, "detokenize", out->max);
    return status;
}

puna_status puna_vocab_decode(const puna_vocab *v, const int32_t *ids, size_t n, bool special, puna_buf *out,
                              puna_error *err)
{
    return append(v, ids, n, special, true, out, err);
}

puna_status puna_vocab_piece(const puna_vocab *v, int32_t id, bool special, puna_buf *out, puna_error *err)
{
    return append(v, &id, 1, special, false, out, err);
}

/* Room for what is held, one piece, and the bytes that suffixes and marks add to it. */
size_t puna_vocab_max_piece(const puna_vocab *v)
{
    return v->max_piece + 4;
}

size_t puna_detokenizer_add(puna_detokenizer *d, const puna_vocab *v, int32_t id, bool special, char *out,
                            size_t capacity)
{
    if (id < 0 || (uint32_t)id >= v->n || capacity < puna_vocab_max_piece(v))
        return 0;
    size_t held = d->n_held;
    memcpy(out, d->held, held);
    size_t n = held + stream_bytes(v, id, special, &d->at_start, out + held);
    size_t complete = puna_utf8_complete(out, n);
    d->n_held = (uint8_t)(n - complete);
    memcpy(d->held, out + complete, n - complete);
    return complete;
}

size_t puna_detokenizer_finish(puna_detokenizer *d, char *out, size_t capacity)
{
    size_t n = d->n_held < capacity ? d->n_held : capacity;
    memcpy(out, d->held, n);
    *d = (puna_detokenizer){ 0 };
    return n;
}
