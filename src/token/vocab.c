/* vocab.c - what a vocabulary holds: building its tables, the well-known tokens, accessors. */
#include "token/vocab.h"

#include <math.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "token/internal.h"

puna_vocab *puna_vocab_new(void)
{
    puna_vocab *v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    for (int i = 0; i < PUNA_VOCAB_ROLES; i++)
        v->special[i] = -1;
    for (int i = 0; i < 256; i++)
        v->byte_ids[i] = -1;
    v->model_name = v->pre_name = "";
    return v;
}

void puna_vocab_free(puna_vocab *v)
{
    if (!v)
        return;
    puna_index_free(&v->index);
    puna_merges_free(&v->merges);
    puna_trie_free(&v->special_trie);
    puna_trie_free(&v->plain_trie);
    puna_trie_free(&v->late_trie);
    puna_trie_free(&v->late_special_trie);
    puna_trie_free(&v->user_trie);
    puna_trie_free(&v->pieces);
    free(v->tokens);
    puna_arena_free(&v->arena);
    puna_container_close(v->container);
    puna_file_unmap(&v->file);
    free(v);
}

puna_status puna_vocab_reserve(puna_vocab *v, uint64_t n, puna_error *err)
{
    if (n == 0 || n > PUNA_MAX_VOCAB)
        return puna_fail(err, PUNA_ERR_FORMAT, "vocabulary: tokens: got %llu, expected 1 to %u",
                         (unsigned long long)n, PUNA_MAX_VOCAB);
    v->tokens = malloc((size_t)n * sizeof *v->tokens);
    if (!v->tokens)
        return puna_fail_memory(err, "vocabulary", (size_t)n * sizeof *v->tokens);
    for (uint64_t i = 0; i < n; i++)
        v->tokens[i] = (puna_token){ .text = "", .type = PUNA_TOKEN_UNUSED, .flags = PUNA_FLAG_ABSENT };
    v->n = (uint32_t)n;
    return PUNA_OK;
}

/* ---- GPT-2's byte alphabet --------------------------------------------------------------- */

/* Printable Latin-1 stands for itself; the other 68 bytes are U+0100 and on, in order. */
static bool prints(unsigned byte)
{
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
}

int32_t puna_byte_to_code(unsigned byte)
{
    if (prints(byte))
        return (int32_t)byte;
    if (byte <= 0x20)
        return (int32_t)(0x100 + byte);
    return byte == 0xad ? 0x143 : (int32_t)(0x121 + byte - 0x7f);
}

int puna_code_to_byte(int32_t code)
{
    if (code >= 0 && code < 0x100)
        return prints((unsigned)code) ? code : -1;
    if (code < 0x100 || code > 0x143)
        return -1;
    return code <= 0x120 ? code - 0x100 : code == 0x143 ? 0xad : code - 0x121 + 0x7f;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

int puna_hex_byte(const char *text)
{
    int high = hex_digit(text[0]), low = hex_digit(text[1]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

int puna_byte_token(const char *text, size_t n)
{
    return n != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>' ? -1 : puna_hex_byte(text + 3);
}

/* ---- Well-known tokens, found by their text ---------------------------------------------- */

typedef struct known_token {
    const char *text;
    int role; /* -1: ends generation, without a role */
} known_token;

/* In order of preference within a role. All of EOT, EOM and -1 end generation. */
static const known_token known_tokens[] = {
    { "<|eot_id|>", PUNA_VOCAB_EOT },
    { "<|im_end|>", PUNA_VOCAB_EOT },
    { "<|end|>", PUNA_VOCAB_EOT },
    { "<end_of_turn>", PUNA_VOCAB_EOT },
    { "<|endoftext|>", PUNA_VOCAB_EOT },
    { "<|end_of_text|>", PUNA_VOCAB_EOT },
    { "<EOT>", PUNA_VOCAB_EOT },
    { "_<EOT>", PUNA_VOCAB_EOT },
    { "[EOT]", PUNA_VOCAB_EOT },
    { "<\xef\xbd\x9c"
      "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>",
      PUNA_VOCAB_EOT },
    { "<end_of_utterance>", PUNA_VOCAB_EOT },
    { "<|eom_id|>", PUNA_VOCAB_EOM },
    { "<|return|>", -1 },
    { "<|call|>", -1 },
    { "<|flush|>", -1 },
    { "<|calls|>", -1 },
    { "</s>", -1 },
    { "[EOS]", -1 },
    { "<eos>", -1 },
    { "<turn|>", -1 },
    { "<|tool_response>", -1 },
    { "[e~[", -1 },
    { "<|fim_prefix|>", PUNA_VOCAB_FIM_PREFIX },
    { "<fim-prefix>", PUNA_VOCAB_FIM_PREFIX },
    { "<fim_prefix>", PUNA_VOCAB_FIM_PREFIX },
    { "<\xef\xbd\x9c"
      "fim\xe2\x96\x81"
      "begin\xef\xbd\x9c>",
      PUNA_VOCAB_FIM_PREFIX },
    { "<PRE>", PUNA_VOCAB_FIM_PREFIX },
    { PUNA_SPACE_MARK "<PRE>", PUNA_VOCAB_FIM_PREFIX },
    { "<|code_prefix|>", PUNA_VOCAB_FIM_PREFIX },
    { "<|fim_suffix|>", PUNA_VOCAB_FIM_SUFFIX },
    { "<fim-suffix>", PUNA_VOCAB_FIM_SUFFIX },
    { "<fim_suffix>", PUNA_VOCAB_FIM_SUFFIX },
    { "<\xef\xbd\x9c"
      "fim\xe2\x96\x81hole\xef\xbd\x9c>",
      PUNA_VOCAB_FIM_SUFFIX },
    { "<SUF>", PUNA_VOCAB_FIM_SUFFIX },
    { PUNA_SPACE_MARK "<SUF>", PUNA_VOCAB_FIM_SUFFIX },
    { "<|code_suffix|>", PUNA_VOCAB_FIM_SUFFIX },
    { "<|fim_middle|>", PUNA_VOCAB_FIM_MIDDLE },
    { "<fim-middle>", PUNA_VOCAB_FIM_MIDDLE },
    { "<fim_middle>", PUNA_VOCAB_FIM_MIDDLE },
    { "<\xef\xbd\x9c"
      "fim\xe2\x96\x81"
      "end\xef\xbd\x9c>",
      PUNA_VOCAB_FIM_MIDDLE },
    { "<MID>", PUNA_VOCAB_FIM_MIDDLE },
    { PUNA_SPACE_MARK "<MID>", PUNA_VOCAB_FIM_MIDDLE },
    { "<|code_middle|>", PUNA_VOCAB_FIM_MIDDLE },
    { "<|fim_pad|>", PUNA_VOCAB_FIM_PAD },
    { "<fim-pad>", PUNA_VOCAB_FIM_PAD },
    { "<fim_pad>", PUNA_VOCAB_FIM_PAD },
    { "<|fim_repo|>", PUNA_VOCAB_FIM_REPO },
    { "<|repo_name|>", PUNA_VOCAB_FIM_REPO },
    { "<fim-repo>", PUNA_VOCAB_FIM_REPO },
    { "<reponame>", PUNA_VOCAB_FIM_REPO },
    { "<|file_sep|>", PUNA_VOCAB_FIM_SEP },
};

static int32_t find_text(const puna_vocab *v, const char *text)
{
    size_t n = strlen(text);
    return puna_index_find(&v->index, text, n, puna_text_hash(text, n));
}

static bool role_ends(int role)
{
    return role == -1 || role == PUNA_VOCAB_EOS || role == PUNA_VOCAB_EOT || role == PUNA_VOCAB_EOM ||
           role == PUNA_VOCAB_FIM_PAD || role == PUNA_VOCAB_FIM_REPO || role == PUNA_VOCAB_FIM_SEP;
}

/* Short names like "</s>" are ordinary entries in some vocabularies (Qwen): they count only when
 * the file says that they are special. */
static bool unmistakable(const char *text)
{
    return strchr(text, '|') || strstr(text, "end_of") || strstr(text, "\xef\xbd\x9c");
}

static void find_known(puna_vocab *v)
{
    for (size_t i = 0; i < sizeof known_tokens / sizeof *known_tokens; i++) {
        const known_token *known = &known_tokens[i];
        int32_t id = find_text(v, known->text);
        if (id < 0)
            continue;
        puna_token *token = &v->tokens[id];
        if (token->type == PUNA_TOKEN_NORMAL && !unmistakable(known->text))
            continue;
        if (known->role >= 0 && v->special[known->role] < 0)
            v->special[known->role] = id;
        token->type = PUNA_TOKEN_CONTROL;
        if (known->role == -1 || known->role == PUNA_VOCAB_EOT || known->role == PUNA_VOCAB_EOM)
            token->flags |= PUNA_FLAG_END;
    }
    for (int role = 0; role < PUNA_VOCAB_ROLES; role++)
        if (role_ends(role) && v->special[role] >= 0)
            v->tokens[v->special[role]].flags |= PUNA_FLAG_END;
    /* Formats in which a well-known end is only the end of a part. */
    bool parts = find_text(v, "<|call|>") >= 0 || find_text(v, "<|calls|>") >= 0;
    parts = parts && (find_text(v, "<|return|>") >= 0 || find_text(v, "<|flush|>") >= 0);
    int32_t end = find_text(v, "<|end|>"), old_eos = find_text(v, "</s>");
    if (parts && end >= 0 && end != v->special[PUNA_VOCAB_EOS])
        v->tokens[end].flags &= (uint8_t)~PUNA_FLAG_END;
    if (old_eos >= 0 && old_eos != v->special[PUNA_VOCAB_EOS] && find_text(v, "<|tool_response>") >= 0)
        v->tokens[old_eos].flags &= (uint8_t)~PUNA_FLAG_END;
}

/* ---- Finishing --------------------------------------------------------------------------- */

static puna_status check_tokens(puna_vocab *v, puna_error *err)
{
    v->min_score = INFINITY;
    v->max_score = -INFINITY;
    for (uint32_t id = 0; id < v->n; id++) {
        const puna_token *token = &v->tokens[id];
        if (token->n > PUNA_MAX_TOKEN_BYTES)
            return puna_fail(err, PUNA_ERR_FORMAT, "vocabulary: token %u: got %u bytes, expected at most %u",
                             (unsigned)id, (unsigned)token->n, PUNA_MAX_TOKEN_BYTES);
        if (!isfinite(token->score))
            return puna_fail(err, PUNA_ERR_FORMAT, "vocabulary: token %u: got score %g, expected a number",
                             (unsigned)id, (double)token->score);
        if (token->n > v->max_token_bytes)
            v->max_token_bytes = token->n;
        double score = v->scores ? v->scores[id] : (double)token->score;
        if ((token->type == PUNA_TOKEN_NORMAL || v->scores) && score < v->min_score)
            v->min_score = score;
        if (token->type == PUNA_TOKEN_NORMAL && token->score > v->max_score)
            v->max_score = token->score;
        int byte =
            token->type == PUNA_TOKEN_BYTE || v->byte_fallback ? puna_byte_token(token->text, token->n) : -1;
        if (byte >= 0 && v->byte_ids[byte] < 0)
            v->byte_ids[byte] = (int32_t)id;
    }
    if (!isfinite(v->min_score))
        v->min_score = 0;
    if (!isfinite(v->max_score))
        v->max_score = 0;
    v->max_piece = (size_t)v->max_token_bytes + 8;
    for (int role = 0; role < PUNA_VOCAB_ROLES; role++)
        if (v->special[role] >= (int32_t)v->n)
            v->special[role] = -1;
    return PUNA_OK;
}

/* A token looked for in normalized text is looked for in its own normalized form. */
static puna_status add_late(puna_vocab *v, const puna_token *token, int32_t id, puna_error *err)
{
    puna_buf buf = puna_buf_make(PUNA_MAX_TOKEN_BYTES * 4);
    puna_status status = puna_normalize(v->steps, v->n_steps, false, token->text, token->n, &buf, err);
    if (status == PUNA_OK && buf.n)
        status = puna_trie_add(&v->late_special_trie, buf.data, buf.n, id, err);
    if (status == PUNA_OK && buf.n && token->type == PUNA_TOKEN_USER)
        status = puna_trie_add(&v->late_trie, buf.data, buf.n, id, err);
    puna_buf_free(&buf);
    return status;
}

static puna_status build_special_tries(puna_vocab *v, puna_error *err)
{
    for (uint32_t id = 0; id < v->n; id++) {
        const puna_token *token = &v->tokens[id];
        bool user = token->type == PUNA_TOKEN_USER;
        bool control = token->type == PUNA_TOKEN_CONTROL || token->type == PUNA_TOKEN_UNKNOWN;
        if (!token->n || (token->flags & (PUNA_FLAG_ABSENT | PUNA_FLAG_INNER)) || (!user && !control))
            continue;
        if (user && v->user_in_model) {
            TRY(puna_trie_add(&v->user_trie, token->text, token->n, (int32_t)id, err));
            continue;
        }
        if (token->flags & PUNA_FLAG_NORMALIZED && v->n_steps) {
            TRY(add_late(v, token, (int32_t)id, err));
            continue;
        }
        TRY(puna_trie_add(&v->special_trie, token->text, token->n, (int32_t)id, err));
        if (user)
            TRY(puna_trie_add(&v->plain_trie, token->text, token->n, (int32_t)id, err));
    }
    return PUNA_OK;
}

/* Notes the bytes behind which an entry that text can become holds a space mark. */
static void find_joins(puna_vocab *v)
{
    for (uint32_t id = 0; id < v->n; id++) {
        const puna_token *token = &v->tokens[id];
        bool inner = token->type == PUNA_TOKEN_NORMAL || token->type == PUNA_TOKEN_UNUSED ||
                     (token->type == PUNA_TOKEN_USER && v->user_in_model);
        for (uint32_t at = 1; inner && at + 3 <= token->n; at++)
            if (memcmp(token->text + at, PUNA_SPACE_MARK, 3) == 0 &&
                (at < 3 || memcmp(token->text + at - 3, PUNA_SPACE_MARK, 3) != 0))
                v->joins[(unsigned char)token->text[at - 1]] = true;
    }
}

/* What the models over a trie may use of a text. */
static puna_status build_pieces(puna_vocab *v, puna_error *err)
{
    for (uint32_t id = 0; id < v->n; id++) {
        const puna_token *token = &v->tokens[id];
        if (token->n && (token->type == PUNA_TOKEN_NORMAL || token->type == PUNA_TOKEN_USER) &&
            !(token->flags & (PUNA_FLAG_ABSENT | PUNA_FLAG_ADDED)))
            TRY(puna_trie_add(&v->pieces, token->text, token->n, (int32_t)id, err));
    }
    return PUNA_OK;
}

puna_status puna_vocab_finish(puna_vocab *v, puna_error *err)
{
    TRY(check_tokens(v, err));
    TRY(puna_index_build(&v->index, v->tokens, v->n, err));
    find_known(v);
    bool trie = v->model == PUNA_MODEL_UNIGRAM || v->model == PUNA_MODEL_WORDPIECE ||
                v->model == PUNA_MODEL_GREEDY || v->model == PUNA_MODEL_PLAMO2;
    if (trie)
        TRY(build_pieces(v, err));
    TRY(build_special_tries(v, err));
    bool merges = v->model == PUNA_MODEL_SPM || v->model == PUNA_MODEL_BPE;
    v->cut_at_spaces = merges && v->spaces_escaped && !v->ignore_merges;
    if (v->cut_at_spaces)
        find_joins(v);
    return PUNA_OK;
}

/* ---- Accessors --------------------------------------------------------------------------- */

static bool in_range(const puna_vocab *v, int32_t id)
{
    return id >= 0 && (uint32_t)id < v->n;
}

int32_t puna_vocab_n(const puna_vocab *v)
{
    return (int32_t)v->n;
}

const char *puna_vocab_model(const puna_vocab *v)
{
    return v->model_name;
}

const char *puna_vocab_pre(const puna_vocab *v)
{
    return v->pre_name;
}

int32_t puna_vocab_special(const puna_vocab *v, puna_vocab_role role)
{
    return (unsigned)role < PUNA_VOCAB_ROLES ? v->special[role] : -1;
}

bool puna_vocab_adds_bos(const puna_vocab *v)
{
    if (v->has_template)
        return v->n_before > 0 && v->template_before[0] == v->special[PUNA_VOCAB_BOS];
    return v->add_bos && v->special[PUNA_VOCAB_BOS] >= 0;
}

bool puna_vocab_adds_eos(const puna_vocab *v)
{
    if (v->has_template)
        return v->n_after > 0 && v->template_after[v->n_after - 1] == v->special[PUNA_VOCAB_EOS];
    return v->add_eos && v->special[PUNA_VOCAB_EOS] >= 0;
}

bool puna_vocab_is_end(const puna_vocab *v, int32_t id)
{
    return in_range(v, id) && (v->tokens[id].flags & PUNA_FLAG_END);
}

bool puna_vocab_is_special(const puna_vocab *v, int32_t id)
{
    return in_range(v, id) &&
           (v->tokens[id].type == PUNA_TOKEN_CONTROL || v->tokens[id].type == PUNA_TOKEN_UNKNOWN);
}

const char *puna_vocab_text(const puna_vocab *v, int32_t id, size_t *n)
{
    if (!in_range(v, id))
        return NULL;
    *n = v->tokens[id].n;
    return v->tokens[id].text;
}

int32_t puna_vocab_find(const puna_vocab *v, const char *text, size_t n)
{
    return puna_index_find(&v->index, text, n, puna_text_hash(text, n));
}
