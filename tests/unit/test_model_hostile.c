/* test_model_hostile.c - models whose header is well formed but says impossible things: every
 * hyper-parameter at its extremes and of the wrong type, every tensor missing, misshapen or of an
 * odd encoding. Each is refused by name, or runs. */
#include <stdlib.h>

#include "gguf_builder.h"
#include "harness.h"
#include "puna.h"

enum { EMBD = 32, FF = 64, HEADS = 4, HEADS_KV = 2, VOCAB = 40, LAYERS = 2 };

typedef struct change {
    const char *key;    /* a metadata key that is left out, or has this value */
    int kind;           /* 0 nothing, 1 left out, 2 u32, 3 f32, 4 text, 5 i64, 6 array */
    double value;
    const char *tensor; /* a tensor that is changed so: */
    int how;            /* 0 nothing, 1 left out, 2 ne[0] less, 3 ne[1] less, 4 other encoding, 5 three dimensions */
} change;

static bool changed(gguf_builder *b, const change *c, const char *key)
{
    int64_t integer = (int64_t)c->value;
    uint32_t three[] = { (uint32_t)c->value, 1, 2 };
    if (!c->key || strcmp(key, c->key) != 0 || c->kind == 0)
        return false;
    if (c->kind == 2)
        gguf_add_u32(b, key, (uint32_t)integer);
    else if (c->kind == 3)
        gguf_add_f32(b, key, (float)c->value);
    else if (c->kind == 4)
        gguf_add_text(b, key, "text");
    else if (c->kind == 5)
        gguf_add_scalar(b, key, PUNA_META_I64, &integer, sizeof integer);
    else if (c->kind == 6) {
        gguf_add_array(b, key, PUNA_META_U32, 3);
        gguf_add_bytes(b, three, sizeof three);
    }
    return true;
}

static void add_u32(gguf_builder *b, const change *c, const char *key, uint32_t value)
{
    if (!changed(b, c, key))
        gguf_add_u32(b, key, value);
}

static void add_f32(gguf_builder *b, const change *c, const char *key, float value)
{
    if (!changed(b, c, key))
        gguf_add_f32(b, key, value);
}

static void add_tensor(gguf_builder *b, const change *c, const char *name, uint64_t n0, uint64_t n1)
{
    uint64_t ne[3] = { n0, n1, 1 };
    uint32_t type = PUNA_FORMAT_F32, n_dims = n1 > 1 ? 2 : 1;
    int how = c->tensor && strcmp(name, c->tensor) == 0 ? c->how : 0;
    if (how == 1)
        return;
    if (how == 2)
        ne[0] = 1;
    if (how == 3)
        ne[1] = n1 > 1 ? n1 - 1 : 2;
    if (how == 4)
        type = ne[0] % 32 == 0 ? PUNA_FORMAT_IQ4_NL : PUNA_FORMAT_I16;
    if (how == 5)
        ne[2] = 2;
    const puna_format_info *format = puna_format_get(type);
    uint64_t bytes = ne[0] * ne[1] * ne[2] / format->block_elems * format->block_bytes;
    gguf_add_tensor(b, name, type, how == 5 ? 3 : how == 3 ? 2 : n_dims, ne, NULL, (size_t)bytes);
}

static const char *const layer_tensors[] = { "attn_norm", "attn_q", "attn_k", "attn_v", "attn_output",
                                             "ffn_norm",  "ffn_gate", "ffn_up", "ffn_down" };
static const uint64_t layer_shapes[][2] = { { EMBD, 1 }, { EMBD, EMBD }, { EMBD, EMBD / 2 }, { EMBD, EMBD / 2 }, { EMBD, EMBD },
                                            { EMBD, 1 }, { EMBD, FF }, { EMBD, FF }, { FF, EMBD } };

static void build(gguf_builder *b, const change *c)
{
    const char *tokens[VOCAB];
    static char texts[VOCAB][16];
    char name[64];
    for (int i = 0; i < VOCAB; i++) {
        snprintf(texts[i], sizeof texts[i], "t%d", i);
        tokens[i] = texts[i];
    }
    gguf_begin(b, 3);
    gguf_add_text(b, "general.architecture", "llama");
    add_u32(b, c, "llama.block_count", LAYERS);
    add_u32(b, c, "llama.embedding_length", EMBD);
    add_u32(b, c, "llama.feed_forward_length", FF);
    add_u32(b, c, "llama.context_length", 64);
    add_u32(b, c, "llama.attention.head_count", HEADS);
    add_u32(b, c, "llama.attention.head_count_kv", HEADS_KV);
    add_u32(b, c, "llama.rope.dimension_count", EMBD / HEADS);
    add_u32(b, c, "llama.attention.key_length", EMBD / HEADS);
    add_u32(b, c, "llama.attention.sliding_window", 0);
    add_u32(b, c, "llama.expert_count", 0);
    add_u32(b, c, "llama.pooling_type", 0);
    add_u32(b, c, "llama.attention.causal", 1);
    add_f32(b, c, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    add_f32(b, c, "llama.rope.freq_base", 10000);
    add_f32(b, c, "llama.rope.scaling.factor", 1);
    gguf_add_text(b, "tokenizer.ggml.model", "llama");
    gguf_add_texts(b, "tokenizer.ggml.tokens", tokens, VOCAB);
    gguf_add_array(b, "tokenizer.ggml.scores", PUNA_META_F32, VOCAB);
    gguf_add_bytes(b, (const float[VOCAB]){ 0 }, sizeof(float[VOCAB]));
    add_u32(b, c, "tokenizer.ggml.bos_token_id", 1);
    add_u32(b, c, "tokenizer.ggml.eos_token_id", 2);
    add_tensor(b, c, "token_embd.weight", EMBD, VOCAB);
    add_tensor(b, c, "output_norm.weight", EMBD, 1);
    for (int l = 0; l < LAYERS; l++)
        for (size_t t = 0; t < sizeof layer_tensors / sizeof *layer_tensors; t++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", l, layer_tensors[t]);
            add_tensor(b, c, name, layer_shapes[t][0], layer_shapes[t][1]);
        }
    gguf_finish(b);
}

/* Opens and, when that succeeds, evaluates: nothing may crash, whatever the numbers are. */
static puna_status try_model(const change *c, puna_error *err)
{
    static gguf_builder b;
    static const int32_t tokens[] = { 1, 5, 39 };
    puna_model *model = NULL;
    puna_session *session = NULL;
    puna_params *params = puna_params_new();
    char *json = NULL;
    puna_params_set(params, "threads", "1", NULL);
    puna_params_set(params, "ctx", "32", NULL);
    build(&b, c);
    puna_status status = puna_model_open_memory(&model, b.file.data, b.file.n, "bad.gguf", params, err);
    if (!status && CHECK_OK(puna_model_describe(model, "summary", &json, err), *err))
        puna_free(json);
    if (!status)
        status = puna_session_open(&session, model, params, err);
    if (!status)
        status = puna_session_sync(session, tokens, 3, err);
    puna_session_free(session);
    puna_model_free(model);
    puna_params_free(params);
    gguf_free(&b);
    return status;
}

static void the_unchanged_model_runs(void)
{
    puna_error err = { 0 };
    CHECK_OK(try_model(&(change){ 0 }, &err), err);
}

static const char *const keys[] = {
    "llama.block_count", "llama.embedding_length", "llama.feed_forward_length", "llama.context_length",
    "llama.attention.head_count", "llama.attention.head_count_kv", "llama.rope.dimension_count",
    "llama.attention.key_length", "llama.attention.sliding_window", "llama.expert_count",
    "llama.pooling_type", "llama.attention.causal",
    "llama.attention.layer_norm_rms_epsilon", "llama.rope.freq_base", "llama.rope.scaling.factor",
    "tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id",
};

static void every_number_at_its_extremes(void)
{
    static const double values[] = { 0, 1, 2, 3, 5, 7, 31, 33, 4096, 8192, 65535, 2147483647.0, 2147483648.0, 4294967295.0 };
    static const double reals[] = { 0, -1, 1e-40, 1e38, INFINITY, NAN };
    int n_tried = 0, n_refused = 0;
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        change c = { .key = keys[k] };
        for (c.kind = 1; c.kind <= 6; c.kind++) {
            const double *list = c.kind == 3 ? reals : values;
            size_t n = c.kind == 1 || c.kind == 4 ? 1 : c.kind == 3 ? 6 : 14;
            for (size_t i = 0; i < n; i++, n_tried++) {
                puna_error err = { 0 };
                c.value = c.kind == 5 ? -list[i] : list[i];
                puna_status status = try_model(&c, &err);
                n_refused += status != PUNA_OK;
                if (status && (!*err.message || (status != PUNA_ERR_FORMAT && status != PUNA_ERR_CONTEXT)))
                    test_fail(__FILE__, __LINE__, "%s kind %d value %g: status %d, \"%s\"", c.key, c.kind, c.value,
                              (int)status, err.message);
            }
        }
    }
    printf("  %d models tried, %d refused\n", n_tried, n_refused);
    CHECK(n_refused > n_tried / 3);
}

static void every_tensor_missing_or_misshapen(void)
{
    char name[64];
    for (size_t t = 0; t < 2 + sizeof layer_tensors / sizeof *layer_tensors; t++) {
        if (t < 2)
            snprintf(name, sizeof name, "%s", t ? "output_norm.weight" : "token_embd.weight");
        else
            snprintf(name, sizeof name, "blk.1.%s.weight", layer_tensors[t - 2]);
        for (int how = 1; how <= 5; how++) {
            puna_error err = { 0 };
            puna_status status = try_model(&(change){ .tensor = name, .how = how }, &err);
            if (how == 4) /* another encoding of the right shape is no mistake */
                continue;
            if (t == 0 && how == 3) { /* a smaller vocabulary is a model, but has no token 39 */
                CHECK_INT(status, PUNA_ERR_ARGUMENT);
                continue;
            }
            CHECK_INT(status, PUNA_ERR_FORMAT);
            if (!strstr(err.message, name))
                test_fail(__FILE__, __LINE__, "%s, change %d: the message names no tensor: %s", name, how, err.message);
        }
    }
}

int main(int argc, char **argv)
{
    static const test_case cases[] = { TEST(the_unchanged_model_runs), TEST(every_number_at_its_extremes),
                                       TEST(every_tensor_missing_or_misshapen) };
    return test_main("model, hostile", cases, sizeof cases / sizeof *cases, argc, argv);
}
