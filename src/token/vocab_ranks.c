/* vocab_ranks.c - lists of ranks as the tiktoken library reads them: a line per token, its bytes in base64 and its rank,
 * which is its id and says how early it is merged. The file says nothing else: how text is cut, and the special tokens
 * behind the last rank, follow from the number of ranks.
 * Refuses: lines of another form, ranks twice, numbers of ranks that no known vocabulary has. */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "token/internal.h"

/* ---- Base64 ------------------------------------------------------------------------------ */

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

size_t puna_base64(const char *text, size_t n, unsigned char *out, size_t *n_out)
{
    uint32_t bits = 0;
    size_t at = 0;
    *n_out = 0;
    for (size_t filled = 0; at < n && text[at] != '='; at++) {
        int value = sextet(text[at]);
        if (value < 0)
            return at;
        bits = bits << 6 | (uint32_t)value;
        filled += 6;
        if (filled >= 8) {
            filled -= 8;
            out[(*n_out)++] = (unsigned char)(bits >> filled);
        }
    }
    return n;
}

/* ---- Known vocabularies ------------------------------------------------------------------ */

enum { MAX_SPECIAL = 16 };

typedef struct known {
    uint32_t n; /* one more than the largest rank */
    const char *pre;
    struct {
        uint32_t id;
        const char *text;
    } special[MAX_SPECIAL];
    int32_t bos, eos;
    uint32_t n_reserved; /* llama 3: "<|reserved_special_token_2|>" and on, behind the special tokens */
} known;

static const known all_known[] = {
    { 50256, "gpt-2", { { 50256, "<|endoftext|>" } }, -1, 50256, 0 },
    { 50281, "gpt-2", { { 50256, "<|endoftext|>" } }, -1, 50256, 0 },
    { 100256,
      "cl100k_base",
      { { 100257, "<|endoftext|>" },
        { 100258, "<|fim_prefix|>" },
        { 100259, "<|fim_middle|>" },
        { 100260, "<|fim_suffix|>" },
        { 100276, "<|endofprompt|>" } },
      -1,
      100257,
      0 },
    { 128000,
      "llama3",
      { { 128000, "<|begin_of_text|>" },
        { 128001, "<|end_of_text|>" },
        { 128002, "<|reserved_special_token_0|>" },
        { 128003, "<|reserved_special_token_1|>" },
        { 128004, "<|finetune_right_pad_id|>" },
        { 128005, "<|step_id|>" },
        { 128006, "<|start_header_id|>" },
        { 128007, "<|end_header_id|>" },
        { 128008, "<|eom_id|>" },
        { 128009, "<|eot_id|>" },
        { 128010, "<|python_tag|>" },
        { 128011, "<|image|>" } },
      128000,
      128001,
      244 },
    { 151329, "glm4", { { 0 } }, -1, -1, 0 },
    { 151643,
      "qwen2",
      { { 151643, "<|endoftext|>" }, { 151644, "<|im_start|>" }, { 151645, "<|im_end|>" } },
      -1,
      151643,
      0 },
    { 163584, "kimi-k2", { { 0 } }, -1, -1, 0 },
    { 199998, "gpt-4o", { { 199999, "<|endoftext|>" }, { 200018, "<|endofprompt|>" } }, -1, 199999, 0 },
    { 200000,
      "llama4",
      { { 200000, "<|begin_of_text|>" },
        { 200001, "<|end_of_text|>" },
        { 200002, "<|fim_prefix|>" },
        { 200003, "<|fim_middle|>" },
        { 200004, "<|fim_suffix|>" },
        { 200005, "<|header_start|>" },
        { 200006, "<|header_end|>" },
        { 200007, "<|eom|>" },
        { 200008, "<|eot|>" },
        { 200009, "<|step|>" },
        { 200016, "<|python_start|>" },
        { 200017, "<|python_end|>" },
        { 200018, "<|finetune_right_pad|>" } },
      200000,
      200001,
      0 },
};

static const known *find_known(uint32_t n)
{
    for (size_t i = 0; i < sizeof all_known / sizeof *all_known; i++)
        if (all_known[i].n == n)
            return &all_known[i];
    return NULL;
}

/* ---- Lines ------------------------------------------------------------------------------- */

typedef struct line {
    const char *text; /* base64 */
    size_t n;
    uint32_t rank;
} line;

/* Reads the line at *at; false at the end or when it has another form. */
static bool next_line(const char **at, const char *end, line *l)
{
    const char *p = *at;
    *l = (line){ .text = p };
    while (p < end && (sextet(*p) >= 0 || *p == '='))
        p++;
    l->n = (size_t)(p - l->text);
    if (l->n == 0 || p == end || *p++ != ' ' || p == end || *p < '0' || *p > '9')
        return false;
    for (; p < end && *p >= '0' && *p <= '9' && l->rank < PUNA_MAX_VOCAB; p++)
        l->rank = l->rank * 10 + (uint32_t)(*p - '0');
    if (p < end && *p == '\r')
        p++;
    if (p < end && *p++ != '\n')
        return false;
    *at = p;
    return l->rank < PUNA_MAX_VOCAB;
}

bool puna_vocab_are_ranks(const char *text, size_t n)
{
    line l;
    return next_line(&text, text + n, &l);
}

static puna_status read_ranks(puna_vocab *v, const char *text, const char *end, const char *name,
                              puna_error *err)
{
    line l;
    for (const char *at = text; next_line(&at, end, &l);) {
        puna_token *token = &v->tokens[l.rank];
        size_t n;
        unsigned char *bytes = puna_arena_alloc(&v->arena, l.n);
        if (!bytes)
            return puna_fail_memory(err, "vocabulary", l.n);
        puna_base64(l.text, l.n, bytes, &n);
        if (!(token->flags & PUNA_FLAG_ABSENT) || n == 0 || n > PUNA_MAX_TOKEN_BYTES)
            return puna_fail(err, PUNA_ERR_FORMAT, "%s: byte %zu: rank %u: twice, or a token of %zu bytes",
                             name, (size_t)(at - text), (unsigned)l.rank, n);
        *token = (puna_token){ .text = (const char *)bytes, .n = (uint32_t)n, .type = PUNA_TOKEN_NORMAL };
    }
    return PUNA_OK;
}

static puna_status add_special(puna_vocab *v, const known *k, puna_error *err)
{
    uint32_t last = k->n - 1;
    for (int i = 0; i < MAX_SPECIAL && k->special[i].text; i++) {
        last = k->special[i].id;
        v->tokens[last] = (puna_token){ .text = k->special[i].text,
                                        .n = (uint32_t)strlen(k->special[i].text),
                                        .type = PUNA_TOKEN_CONTROL };
    }
    for (uint32_t i = 0; i < k->n_reserved; i++) {
        char text[48];
        int n = snprintf(text, sizeof text, "<|reserved_special_token_%u|>", (unsigned)i + 2);
        const char *copy = puna_arena_copy(&v->arena, text, (size_t)n);
        if (!copy)
            return puna_fail_memory(err, "vocabulary", (size_t)n);
        v->tokens[last + 1 + i] = (puna_token){ .text = copy, .n = (uint32_t)n, .type = PUNA_TOKEN_CONTROL };
    }
    v->special[PUNA_VOCAB_BOS] = k->bos;
    v->special[PUNA_VOCAB_EOS] = k->eos;
    v->add_bos = k->bos >= 0;
    return PUNA_OK;
}

puna_status puna_vocab_read_ranks(puna_vocab *v, const char *text, size_t n, const char *name,
                                  puna_error *err)
{
    const char *at = text, *end = text + n;
    uint32_t count = 0, most;
    line l;
    while (next_line(&at, end, &l))
        count = l.rank >= count ? l.rank + 1 : count;
    if (at != end)
        return puna_fail(err, PUNA_ERR_FORMAT, "%s: byte %zu: expected base64, a space, a rank", name,
                         (size_t)(at - text));
    const known *k = find_known(count);
    if (!k)
        return puna_fail(err, PUNA_ERR_FORMAT,
                         "%s: got %u ranks, which no vocabulary known here has: use its tokenizer.json", name,
                         (unsigned)count);
    most = count;
    for (int i = 0; i < MAX_SPECIAL && k->special[i].text; i++)
        most = k->special[i].id >= most ? k->special[i].id + 1 : most;
    TRY(puna_vocab_reserve(v, most + k->n_reserved, err));
    TRY(read_ranks(v, text, end, name, err));
    TRY(add_special(v, k, err));
    const puna_split_preset *preset = puna_split_named(k->pre, strlen(k->pre));
    for (; preset && preset->stages[v->n_stages]; v->n_stages++)
        v->stages[v->n_stages] = preset->stages[v->n_stages];
    v->model = PUNA_MODEL_BPE;
    v->model_name = "gpt2";
    v->pre_name = k->pre;
    v->by_rank = v->ignore_merges = v->drop_unknown = true;
    return puna_vocab_finish(v, err);
}
