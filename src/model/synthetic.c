/* synthetic.c - a recipe, the tensors it asks for, and their random bytes.
 *
 * Weights have mean 0 and standard deviation 1 / sqrt(inputs), so that activations keep their
 * size from layer to layer and logits are finite. Quantising a billion values would take minutes,
 * so for each encoding and deviation a pool of values is quantised once, exactly, and a tensor's
 * rows are drawn from it block by block: what a kernel sees is what it sees in a real file.
 * Which tensor of a mix gets which encoding follows llama.cpp's llama-quantize. */
#include "model/synthetic.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/checked.h"
#include "base/limits.h"
#include "base/rng.h"
#include "base/suggest.h"

enum {
    POOL_VALUES = 1 << 19,
    SMALL_POOL_VALUES = 1 << 15,   /* for models whose matrices have fewer values than POOL_VALUES */
    DRAW_VALUES = 256,             /* drawn at once where the row's length allows: the longest block */
    PIECE_BYTES = 4 * POOL_VALUES, /* handed to the writer at once */
    N_BYTE_TOKENS = 256,
    FIRST_PIECE = 3 + N_BYTE_TOKENS, /* after <unk>, <s>, </s> and the bytes */
    PIECE_TEXT = 16,
    MAX_WIDTH = 1 << 20,
    MAX_EXPERTS = 1 << 12,
    USUAL_CONTEXT = 32768
};

/* ---- the recipe ------------------------------------------------------------------------- */

typedef struct shape {
    const char *name;
    int32_t n_layer, n_embd, n_ff, n_head, n_head_kv, n_vocab, n_ctx, n_expert, n_used;
} shape;

static const shape shapes[] = {
#define S(name, layers, embd, ff, heads, kv, vocab, experts, used) \
    { name, layers, embd, ff, heads, kv, vocab, USUAL_CONTEXT, experts, used },
#include "model/shapes.def"
#undef S
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

/* What general.file_type calls an encoding; `more` is that of the tensors whose error counts most. */
typedef struct mix {
    const char *name; /* NULL: the encoding's */
    puna_format base, more;
    int32_t file_type; /* -1: it has no number */
} mix;

static const mix mixes[] = {
    { "q4_k_m", PUNA_FORMAT_Q4_K, PUNA_FORMAT_Q6_K, 15 },
    { "q5_k_m", PUNA_FORMAT_Q5_K, PUNA_FORMAT_Q6_K, 17 },
    { NULL, PUNA_FORMAT_F32, PUNA_FORMAT_F32, 0 },
    { NULL, PUNA_FORMAT_F16, PUNA_FORMAT_F16, 1 },
    { NULL, PUNA_FORMAT_Q4_0, PUNA_FORMAT_Q4_0, 2 },
    { NULL, PUNA_FORMAT_Q4_1, PUNA_FORMAT_Q4_1, 3 },
    { NULL, PUNA_FORMAT_Q8_0, PUNA_FORMAT_Q8_0, 7 },
    { NULL, PUNA_FORMAT_Q5_0, PUNA_FORMAT_Q5_0, 8 },
    { NULL, PUNA_FORMAT_Q5_1, PUNA_FORMAT_Q5_1, 9 },
    { NULL, PUNA_FORMAT_Q2_K, PUNA_FORMAT_Q2_K, 10 },
    { NULL, PUNA_FORMAT_Q4_K, PUNA_FORMAT_Q4_K, 14 },
    { NULL, PUNA_FORMAT_Q5_K, PUNA_FORMAT_Q5_K, 16 },
    { NULL, PUNA_FORMAT_Q6_K, PUNA_FORMAT_Q6_K, 18 },
    { NULL, PUNA_FORMAT_IQ4_NL, PUNA_FORMAT_IQ4_NL, 25 },
    { NULL, PUNA_FORMAT_IQ4_XS, PUNA_FORMAT_IQ4_XS, 30 },
    { NULL, PUNA_FORMAT_BF16, PUNA_FORMAT_BF16, 32 },
    { NULL, PUNA_FORMAT_TQ1_0, PUNA_FORMAT_TQ1_0, 36 },
    { NULL, PUNA_FORMAT_TQ2_0, PUNA_FORMAT_TQ2_0, 37 },
};
enum { N_MIXES = sizeof mixes / sizeof *mixes };

const char *puna_synthetic_shape(size_t i)
{
    return i < N_SHAPES ? shapes[i].name : NULL;
}

const char *puna_synthetic_mix(size_t i)
{
    return i < N_MIXES ? mixes[i].name : NULL;
}

typedef struct key {
    const char *name;
    size_t offset;
    int32_t least, most; /* at least 0: need not be said */
} key;

static const key keys[] = {
    { "layers", offsetof(shape, n_layer), 1, PUNA_MAX_LAYERS },
    { "embd", offsetof(shape, n_embd), 2, MAX_WIDTH },
    { "ff", offsetof(shape, n_ff), 1, MAX_WIDTH },
    { "heads", offsetof(shape, n_head), 1, 1 << 13 },
    { "kv", offsetof(shape, n_head_kv), 1, 1 << 13 },
    { "vocab", offsetof(shape, n_vocab), FIRST_PIECE + 1, PUNA_MAX_VOCAB },
    { "ctx", offsetof(shape, n_ctx), 1, PUNA_MAX_CONTEXT },
    { "experts", offsetof(shape, n_expert), 0, MAX_EXPERTS },
    { "used", offsetof(shape, n_used), 0, MAX_EXPERTS },
};
enum { N_KEYS = sizeof keys / sizeof *keys, MAX_WORD = 64 };

static int32_t *number_of(shape *s, const key *k)
{
    return (int32_t *)(void *)((char *)s + k->offset);
}

static puna_status read_name(shape *s, const char *word, puna_error *err)
{
    const char *names[N_SHAPES];
    for (size_t i = 0; i < N_SHAPES; i++) {
        names[i] = shapes[i].name;
        if (strcasecmp(word, names[i]) == 0) {
            *s = shapes[i];
            return PUNA_OK;
        }
    }
    const char *near = puna_suggest(word, names, N_SHAPES);
    puna_fail(err, PUNA_ERR_ARGUMENT, "synthetic model: shape: got '%s', expected a name such as %s, or layers=N,embd=N,ff=N,heads=N",
              word, near ? near : "llama-1b");
    return near ? puna_hint(err, PUNA_ERR_ARGUMENT, "did you mean %s?", near) : PUNA_ERR_ARGUMENT;
}

static puna_status read_number(shape *s, const char *word, const char *equals, puna_error *err)
{
    char name[MAX_WORD], *end = NULL;
    const char *names[N_KEYS];
    snprintf(name, sizeof name, "%.*s", (int)(equals - word), word);
    for (size_t i = 0; i < N_KEYS; i++) {
        names[i] = keys[i].name;
        if (strcasecmp(name, names[i]) != 0)
            continue;
        errno = 0;
        long value = strtol(equals + 1, &end, 10);
        if (errno || end == equals + 1 || *end || value < keys[i].least || value > keys[i].most)
            return puna_fail(err, PUNA_ERR_ARGUMENT, "synthetic model: %s: got '%s', expected %d to %d", name,
                             equals + 1, (int)keys[i].least, (int)keys[i].most);
        *number_of(s, &keys[i]) = (int32_t)value;
        return PUNA_OK;
    }
    const char *near = puna_suggest(name, names, N_KEYS);
    puna_fail(
        err, PUNA_ERR_ARGUMENT,
        "synthetic model: got '%s', expected one of layers, embd, ff, heads, kv, vocab, ctx, experts, used",
        name);
    return near ? puna_hint(err, PUNA_ERR_ARGUMENT, "did you mean %s?", near) : PUNA_ERR_ARGUMENT;
}

static puna_status check_shape(shape *s, puna_error *err)
{
    if (s->n_head_kv == 0)
        s->n_head_kv = s->n_head;
    for (size_t i = 0; i < N_KEYS; i++)
        if (*number_of(s, &keys[i]) < keys[i].least)
            return puna_fail(err, PUNA_ERR_ARGUMENT, "synthetic model: %s: got none, expected %s=N or the name of a shape",
                             keys[i].name, keys[i].name);
    if (s->n_embd % s->n_head || s->n_embd / s->n_head % 2)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "synthetic model: embd: got %d, expected an even multiple of heads (%d)",
                         (int)s->n_embd, (int)s->n_head);
    if (s->n_head % s->n_head_kv)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "synthetic model: heads: got %d, expected a multiple of kv (%d)",
                         (int)s->n_head, (int)s->n_head_kv);
    if (s->n_used > s->n_expert || (s->n_expert > 0 && s->n_used == 0))
        return puna_fail(err, PUNA_ERR_ARGUMENT,
                         "synthetic model: used: got %d, expected %d to the number of experts (%d)",
                         (int)s->n_used, s->n_expert > 0, (int)s->n_expert);
    return PUNA_OK;
}

static puna_status read_shape(shape *s, const char *text, size_t n, puna_error *err)
{
    char word[MAX_WORD];
    *s = (shape){ .n_vocab = 32000, .n_ctx = USUAL_CONTEXT };
    for (size_t at = 0; at <= n;) {
        const char *comma = memchr(text + at, ',', n - at);
        size_t length = comma ? (size_t)(comma - text) - at : n - at;
        if (length >= sizeof word)
            return puna_fail(err, PUNA_ERR_ARGUMENT, "synthetic model: shape: got a word of %zu bytes, expected at most %zu",
                             length, sizeof word - 1);
        memcpy(word, text + at, length);
        word[length] = '\0';
        const char *equals = strchr(word, '=');
        if (!equals && at > 0)
            return puna_fail(err, PUNA_ERR_ARGUMENT, "synthetic model: got '%s', expected KEY=N", word);
        TRY(equals ? read_number(s, word, equals, err) : read_name(s, word, err));
        at += length + 1;
    }
    return check_shape(s, err);
}

static puna_status refuse_format(const char *name, puna_error *err)
{
    const char *names[64];
    size_t n = 0, n_formats;
    const puna_format_info *list = puna_format_list(&n_formats);
    for (size_t i = 0; puna_synthetic_mix(i); i++)
        names[n++] = puna_synthetic_mix(i);
    for (size_t i = 0; i < n_formats && n < sizeof names / sizeof *names; i++)
        if (list[i].quantize)
            names[n++] = list[i].name;
    const char *near = puna_suggest(name, names, n);
    puna_fail(err, PUNA_ERR_ARGUMENT, "synthetic model: format: got '%.32s', expected an encoding that puna writes", name);
    return near ? puna_hint(err, PUNA_ERR_ARGUMENT, "did you mean %s?", near)
                : puna_hint(err, PUNA_ERR_ARGUMENT, "puna formats");
}

static puna_status read_mix(mix *m, const char *name, puna_error *err)
{
    const puna_format_info *format = puna_format_find(name);
    for (size_t i = 0; i < N_MIXES; i++)
        if (mixes[i].name ? strcasecmp(mixes[i].name, name) == 0 : format && format->id == mixes[i].base) {
            *m = mixes[i];
            return PUNA_OK;
        }
    if (!format || !format->quantize)
        return refuse_format(name, err);
    *m = (mix){ .base = format->id, .more = format->id, .file_type = -1 };
    return PUNA_OK;
}

static puna_status read_recipe(shape *s, mix *m, const char *recipe, puna_error *err)
{
    const char *colon = strrchr(recipe, ':');
    if (!colon)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "synthetic model: got '%.64s', expected SHAPE:FORMAT, as llama-1b:q4_k_m", recipe);
    TRY(read_shape(s, recipe, (size_t)(colon - recipe), err));
    return read_mix(m, colon + 1, err);
}

/* ---- encodings of the tensors ----------------------------------------------------------- */

/* An encoding whose blocks divide a row of n_in values, near in size to the one wanted. */
static const puna_format_info *fitting(puna_format wanted, int32_t n_in)
{
    const puna_format_info *format = puna_format_get(wanted);
    if ((uint32_t)n_in % format->block_elems == 0)
        return format;
    puna_format other = PUNA_FORMAT_F16;
    switch (wanted) {
    case PUNA_FORMAT_Q2_K:
    case PUNA_FORMAT_Q3_K:
    case PUNA_FORMAT_IQ4_XS:
        other = PUNA_FORMAT_IQ4_NL;
        break;
    case PUNA_FORMAT_TQ1_0:
    case PUNA_FORMAT_TQ2_0:
        other = PUNA_FORMAT_Q4_0;
        break;
    case PUNA_FORMAT_Q4_K:
        other = PUNA_FORMAT_Q5_0;
        break;
    case PUNA_FORMAT_Q5_K:
        other = PUNA_FORMAT_Q5_1;
        break;
    case PUNA_FORMAT_Q6_K:
        other = PUNA_FORMAT_Q8_0;
        break;
    default:
        break;
    }
    format = puna_format_get(other);
    return (uint32_t)n_in % format->block_elems == 0 ? format : puna_format_get(PUNA_FORMAT_F16);
}

/* The first and last eighth of the layers, and every third between them. */
static bool wants_more_bits(int32_t layer, int32_t n_layer)
{
    return layer < n_layer / 8 || layer >= 7 * n_layer / 8 || (layer - n_layer / 8) % 3 == 2;
}

static puna_format output_format(const mix *m)
{
    bool fine = m->base == PUNA_FORMAT_F32 || m->base == PUNA_FORMAT_F16 || m->base == PUNA_FORMAT_BF16 ||
                m->base == PUNA_FORMAT_F64 || m->base == PUNA_FORMAT_Q8_0;
    return fine ? m->base : PUNA_FORMAT_Q6_K;
}

/* ---- writing ---------------------------------------------------------------------------- */

/* A tensor to make: a matrix, or (n_out 0) the weights of a norm. */
typedef struct weight {
    const puna_format_info *format;
    int32_t n_in;
    int64_t n_out; /* of all experts */
    float deviation;
} weight;

typedef struct maker {
    shape s;
    mix m;
    puna_gguf_writer *w;
    weight *weights;
    size_t n_weights;
    const puna_format_info *pool_format; /* of what the pool holds */
    float pool_deviation;
    size_t n_pool; /* values in it */
    unsigned char *pool, *piece;
    float *values;
    puna_rng rng;
} maker;

/* Close to normal, by the sum of eight uniform numbers: exact, so the same on every machine. */
static float normal(puna_rng *rng)
{
    uint64_t a = puna_rng_next(rng), b = puna_rng_next(rng);
    int32_t sum = 0;
    for (int i = 0; i < 64; i += 16)
        sum += (int32_t)(a >> i & 0xffff) + (int32_t)(b >> i & 0xffff);
    return (float)(sum - 8 * 0x8000 + 4) * (1.0f / 53509.8f); /* 65536 * sqrt(8 / 12) */
}

static void add_matrix(maker *k, const char *name, const puna_format_info *format, int32_t n_in, int32_t n_out,
                       float deviation)
{
    uint64_t ne[2] = { (uint64_t)n_in, (uint64_t)n_out };
    puna_gguf_add_tensor(k->w, name, format, 2, ne);
    k->weights[k->n_weights++] = (weight){ .format = format, .n_in = n_in, .n_out = n_out, .deviation = deviation };
}

static void add_norm(maker *k, const char *name)
{
    uint64_t ne[1] = { (uint64_t)k->s.n_embd };
    const puna_format_info *format = puna_format_get(PUNA_FORMAT_F32);
    puna_gguf_add_tensor(k->w, name, format, 1, ne);
    k->weights[k->n_weights++] = (weight){ .format = format, .n_in = k->s.n_embd };
}

static void layer_name(char name[64], int32_t layer, const char *suffix)
{
    snprintf(name, 64, "blk.%d.%s.weight", (int)layer, suffix);
}

static void add_layer_tensor(maker *k, int32_t layer, const char *suffix, puna_format wanted, int32_t n_in, int32_t n_out)
{
    char name[64];
    layer_name(name, layer, suffix);
    if (n_out)
        add_matrix(k, name, fitting(wanted, n_in), n_in, n_out, 1.0f / sqrtf((float)n_in));
    else
        add_norm(k, name);
}

static void add_experts(maker *k, int32_t layer, const char *suffix, puna_format wanted, int32_t n_in,
                        int32_t n_out)
{
    char name[64];
    const uint64_t ne[3] = { (uint64_t)n_in, (uint64_t)n_out, (uint64_t)k->s.n_expert };
    const puna_format_info *format = fitting(wanted, n_in);
    layer_name(name, layer, suffix);
    puna_gguf_add_tensor(k->w, name, format, 3, ne);
    k->weights[k->n_weights++] = (weight){ .format = format,
                                           .n_in = n_in,
                                           .n_out = (int64_t)n_out * k->s.n_expert,
                                           .deviation = 1.0f / sqrtf((float)n_in) };
}

static void add_feed_forward(maker *k, int32_t layer, puna_format more)
{
    const shape *s = &k->s;
    const puna_format base = k->m.base;
    if (s->n_expert == 0) {
        add_layer_tensor(k, layer, "ffn_gate", base, s->n_embd, s->n_ff);
        add_layer_tensor(k, layer, "ffn_up", base, s->n_embd, s->n_ff);
        add_layer_tensor(k, layer, "ffn_down", more, s->n_ff, s->n_embd);
        return;
    }
    add_layer_tensor(k, layer, "ffn_gate_inp", PUNA_FORMAT_F32, s->n_embd, s->n_expert);
    add_experts(k, layer, "ffn_gate_exps", base, s->n_embd, s->n_ff);
    add_experts(k, layer, "ffn_up_exps", base, s->n_embd, s->n_ff);
    add_experts(k, layer, "ffn_down_exps", more, s->n_ff, s->n_embd);
}

static void add_tensors(maker *k)
{
    const shape *s = &k->s;
    puna_format base = k->m.base;
    int32_t n_kv = s->n_embd / s->n_head * s->n_head_kv;
    add_matrix(k, "token_embd.weight", fitting(base, s->n_embd), s->n_embd, s->n_vocab, 0.02f);
    for (int32_t i = 0; i < s->n_layer; i++) {
        puna_format more = wants_more_bits(i, s->n_layer) ? k->m.more : base;
        add_layer_tensor(k, i, "attn_norm", PUNA_FORMAT_F32, s->n_embd, 0);
        add_layer_tensor(k, i, "attn_q", base, s->n_embd, s->n_embd);
        add_layer_tensor(k, i, "attn_k", base, s->n_embd, n_kv);
        add_layer_tensor(k, i, "attn_v", more, s->n_embd, n_kv);
        add_layer_tensor(k, i, "attn_output", base, s->n_embd, s->n_embd);
        add_layer_tensor(k, i, "ffn_norm", PUNA_FORMAT_F32, s->n_embd, 0);
        add_feed_forward(k, i, more);
    }
    add_norm(k, "output_norm.weight");
    add_matrix(k, "output.weight", fitting(output_format(&k->m), s->n_embd), s->n_embd, s->n_vocab,
               1.0f / sqrtf((float)s->n_embd));
}

static void add_numbers(maker *k, const char *recipe)
{
    const shape *s = &k->s;
    puna_gguf_writer *w = k->w;
    puna_gguf_add_text(w, "general.architecture", "llama");
    puna_gguf_add_text(w, "general.name", recipe);
    if (k->m.file_type >= 0)
        puna_gguf_add_u32(w, "general.file_type", (uint32_t)k->m.file_type);
    puna_gguf_add_u32(w, "general.quantization_version", 2);
    puna_gguf_add_u32(w, "llama.context_length", (uint32_t)s->n_ctx);
    puna_gguf_add_u32(w, "llama.embedding_length", (uint32_t)s->n_embd);
    puna_gguf_add_u32(w, "llama.block_count", (uint32_t)s->n_layer);
    puna_gguf_add_u32(w, "llama.feed_forward_length", (uint32_t)s->n_ff);
    puna_gguf_add_u32(w, "llama.attention.head_count", (uint32_t)s->n_head);
    puna_gguf_add_u32(w, "llama.attention.head_count_kv", (uint32_t)s->n_head_kv);
    if (s->n_expert > 0) {
        puna_gguf_add_u32(w, "llama.expert_count", (uint32_t)s->n_expert);
        puna_gguf_add_u32(w, "llama.expert_used_count", (uint32_t)s->n_used);
    }
    puna_gguf_add_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    puna_gguf_add_u32(w, "llama.rope.dimension_count", (uint32_t)(s->n_embd / s->n_head));
    puna_gguf_add_f32(w, "llama.rope.freq_base", 10000.0f);
    puna_gguf_add_u32(w, "llama.vocab_size", (uint32_t)s->n_vocab);
}

/* The text of piece j: the space, then every word over a-z by length, with and without a space. */
static void piece_text(int32_t j, char text[PIECE_TEXT])
{
    static const char space[] = "\xe2\x96\x81";
    char letters[PIECE_TEXT];
    size_t n = 0;
    for (int32_t word = j ? (j - 1) / 2 + 1 : 0; word > 0; word = (word - 1) / 26)
        letters[n++] = (char)('a' + (word - 1) % 26);
    char *at = text;
    if (j % 2 == 0) {
        memcpy(at, space, 3);
        at += 3;
    }
    while (n > 0)
        *at++ = letters[--n];
    *at = '\0';
}

/* A SentencePiece vocabulary: three special tokens, the bytes, then pieces of falling score. */
static void fill_vocab(int32_t n_vocab, char (*texts)[PIECE_TEXT], const char **pieces, float *scores, int32_t *types)
{
    enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, BYTE = 6 };
    static const char *const special[] = { "<unk>", "<s>", "</s>" };
    for (int32_t i = 0; i < n_vocab; i++) {
        pieces[i] = texts[i];
        scores[i] = i < FIRST_PIECE ? 0.0f : (float)(FIRST_PIECE - i);
        types[i] = i == 0 ? UNKNOWN : i < 3 ? CONTROL : i < FIRST_PIECE ? BYTE : NORMAL;
        if (i < 3)
            snprintf(texts[i], PIECE_TEXT, "%s", special[i]);
        else if (i < FIRST_PIECE)
            snprintf(texts[i], PIECE_TEXT, "<0x%02X>", (unsigned)(i - 3));
        else
            piece_text(i - FIRST_PIECE, texts[i]);
    }
}

static puna_status add_vocab(maker *k, puna_error *err)
{
    size_t n = (size_t)k->s.n_vocab;
    char(*texts)[PIECE_TEXT] = malloc(n * sizeof *texts);
    const char **pieces = malloc(n * sizeof *pieces);
    float *scores = malloc(n * sizeof *scores);
    int32_t *types = malloc(n * sizeof *types);
    bool good = texts && pieces && scores && types;
    if (good) {
        fill_vocab(k->s.n_vocab, texts, pieces, scores, types);
        puna_gguf_add_text(k->w, "tokenizer.ggml.model", "llama");
        puna_gguf_add_texts(k->w, "tokenizer.ggml.tokens", pieces, n);
        puna_gguf_add_f32s(k->w, "tokenizer.ggml.scores", scores, n);
        puna_gguf_add_i32s(k->w, "tokenizer.ggml.token_type", types, n);
        puna_gguf_add_u32(k->w, "tokenizer.ggml.unknown_token_id", 0);
        puna_gguf_add_u32(k->w, "tokenizer.ggml.bos_token_id", 1);
        puna_gguf_add_u32(k->w, "tokenizer.ggml.eos_token_id", 2);
        puna_gguf_add_bool(k->w, "tokenizer.ggml.add_bos_token", true);
        puna_gguf_add_bool(k->w, "tokenizer.ggml.add_eos_token", false);
    }
    free(texts);
    free(pieces);
    free(scores);
    free(types);
    return good ? PUNA_OK : puna_fail_memory(err, "vocabulary", n * PIECE_TEXT);
}

/* ---- the bytes -------------------------------------------------------------------------- */

static void fill_pool(maker *k, const weight *p)
{
    if (k->pool_format == p->format && k->pool_deviation == p->deviation)
        return;
    for (size_t i = 0; i < k->n_pool; i++)
        k->values[i] = normal(&k->rng) * p->deviation;
    p->format->quantize(k->values, k->pool, k->n_pool);
    k->pool_format = p->format;
    k->pool_deviation = p->deviation;
}

/* The largest power of two, at most DRAW_VALUES, that divides a row. */
static size_t values_at_once(int32_t n_in)
{
    size_t n = DRAW_VALUES;
    while ((size_t)n_in % n)
        n /= 2;
    return n;
}

static puna_status write_matrix(maker *k, const weight *p, puna_error *err)
{
    fill_pool(k, p);
    size_t each = values_at_once(p->n_in), n_pool = k->n_pool / each;
    size_t bytes = each / p->format->block_elems * p->format->block_bytes, room = PIECE_BYTES / bytes;
    uint64_t left = (uint64_t)p->n_in / each * (uint64_t)p->n_out;
    while (left > 0) {
        size_t n = left < room ? (size_t)left : room;
        for (size_t i = 0; i < n; i++)
            memcpy(k->piece + i * bytes, k->pool + (puna_rng_next(&k->rng) >> 32) % n_pool * bytes, bytes);
        TRY(puna_gguf_tensor_bytes(k->w, k->piece, n * bytes, err));
        left -= n;
    }
    return PUNA_OK;
}

static puna_status write_norm(maker *k, const weight *p, puna_error *err)
{
    for (int32_t done = 0; done < p->n_in;) {
        int32_t n = p->n_in - done < POOL_VALUES ? p->n_in - done : POOL_VALUES;
        for (int32_t i = 0; i < n; i++)
            k->values[i] = 1.0f + 0.1f * normal(&k->rng);
        p->format->quantize(k->values, k->piece, (size_t)n);
        TRY(puna_gguf_tensor_bytes(k->w, k->piece, (size_t)n * sizeof(float), err));
        done += n;
    }
    return PUNA_OK;
}

static puna_status make(maker *k, const char *recipe, puna_gguf_sink *sink, void *user, uint64_t *size_bytes,
                        puna_error *err)
{
    add_numbers(k, recipe);
    TRY(add_vocab(k, err));
    add_tensors(k);
    TRY(puna_gguf_begin(k->w, sink, user, size_bytes, err));
    for (size_t i = 0; i < k->n_weights; i++)
        TRY(k->weights[i].n_out ? write_matrix(k, &k->weights[i], err) : write_norm(k, &k->weights[i], err));
    return puna_gguf_end(k->w, err);
}

puna_status puna_synthetic_write(const char *recipe, puna_gguf_sink *sink, void *user, uint64_t *size_bytes,
                                 puna_error *err)
{
    maker k = { .rng = puna_rng_make(1) };
    TRY(read_recipe(&k.s, &k.m, recipe, err));
    TRY(puna_gguf_writer_open(&k.w, 0, err));
    k.n_pool = (int64_t)k.s.n_embd * k.s.n_ff < POOL_VALUES ? SMALL_POOL_VALUES : POOL_VALUES;
    k.weights = calloc((size_t)k.s.n_layer * 10 + 3, sizeof *k.weights);
    k.pool = malloc(POOL_VALUES * sizeof(double)); /* no encoding needs more a value */
    k.values = malloc(POOL_VALUES * sizeof *k.values);
    k.piece = malloc(PIECE_BYTES);
    puna_status status = k.weights && k.pool && k.values && k.piece
                             ? make(&k, recipe, sink, user, size_bytes, err)
                             : puna_fail_memory(err, "synthetic model", POOL_VALUES * sizeof(double));
    puna_gguf_writer_close(k.w);
    free(k.weights);
    free(k.pool);
    free(k.values);
    free(k.piece);
    return status;
}
