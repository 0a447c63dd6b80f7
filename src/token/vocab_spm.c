/* vocab_spm.c - SentencePiece models (protocol buffers) and llama2.c's tokenizer.bin.
 * Reads with a bounded cursor. Refuses: truncated fields, model types other than BPE and
 * Unigram. */
#include "base/limits.h"
#include "base/utf8.h"
#include "token/internal.h"

/* What is left of a message. `bad` is sticky. */
typedef struct proto {
    const unsigned char *at, *end;
    bool bad;
} proto;

static uint64_t varint(proto *p)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && p->at < p->end; shift += 7) {
        unsigned char byte = *p->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    p->bad = true;
    return 0;
}

/* One field: its number, and either a value or bytes. */
typedef struct field {
    uint32_t number;
    uint64_t value;
    proto bytes;
} field;

static bool next_field(proto *p, field *f)
{
    if (p->bad || p->at == p->end)
        return false;
    uint64_t key = varint(p);
    *f = (field){ .number = (uint32_t)(key >> 3) };
    size_t size = 0;
    switch (key & 7) {
    case 0:
        f->value = varint(p);
        return !p->bad;
    case 1:
        size = 8;
        break;
    case 2:
        f->value = varint(p);
        if (f->value > (uint64_t)(p->end - p->at))
            p->bad = true;
        else
            size = (size_t)f->value;
        break;
    case 5:
        size = 4;
        break;
    default:
        p->bad = true;
    }
    if (p->bad || size > (size_t)(p->end - p->at)) {
        p->bad = true;
        return false;
    }
    f->bytes = (proto){ p->at, p->at + size, false };
    p->at += size;
    return true;
}

static float float_of(const field *f)
{
    float value = 0;
    if (f->bytes.end - f->bytes.at == 4)
        memcpy(&value, f->bytes.at, 4);
    return value;
}

typedef struct trainer {
    uint64_t type;
    bool byte_fallback, suffix;
    const char *names[4]; /* unk bos eos pad */
} trainer;

static puna_status read_piece(puna_token *token, proto p, uint32_t id, puna_error *err)
{
    *token = (puna_token){ .text = "", .type = PUNA_TOKEN_NORMAL };
    for (field f; next_field(&p, &f);) {
        size_t n = (size_t)(f.bytes.end - f.bytes.at);
        if (f.number == 1 && n <= PUNA_MAX_TOKEN_BYTES && f.bytes.at) {
            token->text = (const char *)f.bytes.at;
            token->n = (uint32_t)n;
        } else if (f.number == 2) {
            token->score = float_of(&f);
        } else if (f.number == 3 && f.value >= PUNA_TOKEN_NORMAL && f.value <= PUNA_TOKEN_BYTE) {
            token->type = (uint8_t)f.value;
        }
    }
    return p.bad ? puna_fail(err, PUNA_ERR_FORMAT, "sentencepiece: piece %u: truncated", (unsigned)id)
                 : PUNA_OK;
}

static void read_trainer(puna_vocab *v, trainer *t, proto p)
{
    for (field f; next_field(&p, &f);) {
        if (f.number == 3)
            t->type = f.value;
        else if (f.number == 24)
            t->suffix = f.value != 0;
        else if (f.number == 35)
            t->byte_fallback = f.value != 0;
        else if (f.number >= 45 && f.number <= 48 && f.bytes.at) {
            const char *name =
                puna_arena_copy(&v->arena, (const char *)f.bytes.at, (size_t)(f.bytes.end - f.bytes.at));
            t->names[f.number - 45] = name ? name : "";
        }
    }
}

static puna_status read_normalizer(puna_vocab *v, puna_step *step, proto p, puna_error *err)
{
    for (field f; next_field(&p, &f);) {
        if (f.number == 2)
            TRY(puna_charsmap_read(&step->map, f.bytes.at, (size_t)(f.bytes.end - f.bytes.at), err));
        else if (f.number == 3)
            v->prefix = f.value ? PUNA_PREFIX_ALWAYS : PUNA_PREFIX_NEVER;
        else if (f.number == 4)
            step->remove_extra = f.value != 0;
        else if (f.number == 5)
            step->escape = f.value != 0;
    }
    return PUNA_OK;
}

static int32_t role_id(const puna_vocab *v, const char *name)
{
    for (uint32_t id = 0; id < v->n; id++)
        if (v->tokens[id].n == strlen(name) && memcmp(v->tokens[id].text, name, v->tokens[id].n) == 0)
            return (int32_t)id;
    return -1;
}

static puna_status set_model(puna_vocab *v, const trainer *t, puna_step step, puna_error *err)
{
    if (t->type != 1 && t->type != 2)
        return puna_fail(err, PUNA_ERR_FORMAT,
                         "sentencepiece: model type: got %u, expected 1 (unigram) or 2 (bpe)",
                         (unsigned)t->type);
    bool unigram = t->type == 1;
    v->model = unigram ? PUNA_MODEL_UNIGRAM : PUNA_MODEL_SPM;
    v->model_name = unigram ? "t5" : "llama";
    v->byte_fallback = t->byte_fallback;
    v->fuse_unknown = v->spaces_escaped = v->user_in_model = v->score_float = true;
    v->strip_start = v->prefix != PUNA_PREFIX_NEVER;
    step.suffix = t->suffix;
    step.user = &v->user_trie;
    step.keep_bytes = t->byte_fallback;
    v->steps[v->n_steps++] = step;
    static const puna_vocab_role roles[4] = { PUNA_VOCAB_UNK, PUNA_VOCAB_BOS, PUNA_VOCAB_EOS,
                                              PUNA_VOCAB_PAD };
    for (int i = 0; i < 4; i++)
        v->special[roles[i]] = role_id(v, t->names[i]);
    v->add_bos = v->special[PUNA_VOCAB_BOS] >= 0;
    v->add_eos = !v->add_bos;
    return PUNA_OK;
}

puna_status puna_vocab_read_sentencepiece(puna_vocab *v, const unsigned char *data, size_t n,
                                          const char *name, puna_error *err)
{
    trainer t = { .type = 1, .names = { "<unk>", "<s>", "</s>", "<pad>" } };
    puna_step step = { .kind = PUNA_STEP_SENTENCEPIECE, .remove_extra = true, .escape = true };
    v->prefix = PUNA_PREFIX_ALWAYS;
    uint64_t count = 0;
    proto p = { data, data + n, false };
    for (field f; next_field(&p, &f);)
        count += f.number == 1;
    if (p.bad || count == 0)
        return puna_fail(err, PUNA_ERR_FORMAT, "%s: byte %zu: not a SentencePiece model", name,
                         (size_t)(p.at - data));
    TRY(puna_vocab_reserve(v, count, err));
    p = (proto){ data, data + n, false };
    uint32_t id = 0;
    for (field f; next_field(&p, &f);) {
        if (f.number == 1) {
            TRY(read_piece(&v->tokens[id], f.bytes, id, err));
            id++;
        } else if (f.number == 2) {
            read_trainer(v, &t, f.bytes);
        } else if (f.number == 3) {
            TRY(read_normalizer(v, &step, f.bytes, err));
        }
    }
    TRY(set_model(v, &t, step, err));
    return puna_vocab_finish(v, err);
}

/* ---- llama2.c ---------------------------------------------------------------------------- */

static uint32_t u32_at(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The file has no types and writes BOS and EOS between newlines; its spaces are plain. */
static void llama2c_token(puna_token *token, uint32_t id)
{
    static const char *const names[] = { "<unk>", "<s>", "</s>" };
    token->type = id == 0 ? PUNA_TOKEN_UNKNOWN : id < 3 ? PUNA_TOKEN_CONTROL : PUNA_TOKEN_NORMAL;
    if (id < 3) {
        token->text = names[id];
        token->n = (uint32_t)strlen(names[id]);
    } else if (id < 259 && puna_byte_token(token->text, token->n) == (int)id - 3) {
        token->type = PUNA_TOKEN_BYTE;
    }
}

puna_status puna_vocab_read_llama2c(puna_vocab *v, const unsigned char *data, size_t n, const char *name,
                                    puna_error *err)
{
    uint64_t count = 0;
    size_t at = 4;
    for (; n >= 8 && at <= n - 8; count++) {
        uint32_t length = u32_at(data + at + 4);
        if (length > PUNA_MAX_TOKEN_BYTES || length > n - at - 8)
            break;
        at += 8 + length;
    }
    if (at != n || count < 259)
        return puna_fail(err, PUNA_ERR_FORMAT, "%s: byte %zu: not a llama2.c tokenizer", name, at);
    TRY(puna_vocab_reserve(v, count, err));
    at = 4;
    for (uint32_t id = 0; id < v->n; id++) {
        uint32_t bits = u32_at(data + at), length = u32_at(data + at + 4);
        puna_token *token = &v->tokens[id];
        *token = (puna_token){ .text = (const char *)data + at + 8, .n = length };
        memcpy(&token->score, &bits, sizeof bits);
        llama2c_token(token, id);
        at += 8 + length;
    }
    v->model = PUNA_MODEL_SPM;
    v->model_name = "llama";
    v->special[PUNA_VOCAB_UNK] = 0;
    v->special[PUNA_VOCAB_BOS] = 1;
    v->special[PUNA_VOCAB_EOS] = 2;
    v->add_bos = v->byte_fallback = v->fuse_unknown = v->strip_start = true;
    v->prefix = PUNA_PREFIX_ALWAYS;
    v->steps[v->n_steps++] = (puna_step){ .kind = PUNA_STEP_SENTENCEPIECE, .keep_bytes = true };
    return puna_vocab_finish(v, err);
}
