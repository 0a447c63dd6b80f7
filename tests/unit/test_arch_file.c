/* test_arch_file.c - an architecture described by a file gives what the built-in one gives, under any names of
 * tensors; mistakes in the file are named. */
#define _DEFAULT_SOURCE /* mkstemp */
#include <stdlib.h>
#include <unistd.h>

#include "gguf_builder.h"
#include "harness.h"
#include "puna.h"

enum { EMBD = 32, FF = 64, HEADS = 4, VOCAB = 40, LAYERS = 2 };

typedef struct name {
    const char *usual, *own; /* of a layer */
    uint64_t n0, n1;
} name;

static const name names[] = {
    { "attn_norm.weight", "ln_1.gain", EMBD, 1 },          { "attn_q.weight", "attention.query", EMBD, EMBD },
    { "attn_k.weight", "attention.key", EMBD, EMBD },      { "attn_v.weight", "attention.value", EMBD, EMBD },
    { "attn_output.weight", "attention.out", EMBD, EMBD }, { "ffn_norm.weight", "ln_2.gain", EMBD, 1 },
    { "ffn_gate.weight", "mlp.gate", EMBD, FF },           { "ffn_up.weight", "mlp.up", EMBD, FF },
    { "ffn_down.weight", "mlp.down", FF, EMBD },
};

static void add_tensor(gguf_builder *b, const char *text, uint64_t n0, uint64_t n1)
{
    static float values[EMBD * FF];
    const uint64_t ne[3] = { n0, n1, 1 };
    for (size_t i = 0; i < n0 * n1; i++) /* the same for the same shape */
        values[i] = n1 > 1 ? (float)((i * 7919 + n0 * 31) % 201) / 400 - 0.25f : 1 + (float)(i % 5) / 16;
    gguf_add_tensor(b, text, PUNA_FORMAT_F32, n1 > 1 ? 2 : 1, ne, values, (size_t)(n0 * n1) * sizeof *values);
}

static void build(gguf_builder *b, const char *arch, bool own)
{
    static char texts[VOCAB][16];
    const char *tokens[VOCAB];
    char key[128];
    static const struct {
        const char *key;
        uint32_t value;
    } keys[] = { { "block_count", LAYERS },
                 { "embedding_length", EMBD },
                 { "feed_forward_length", FF },
                 { "context_length", 64 },
                 { "attention.head_count", HEADS } };
    for (int i = 0; i < VOCAB; i++) {
        snprintf(texts[i], sizeof texts[i], "t%d", i);
        tokens[i] = texts[i];
    }
    gguf_begin(b, 3);
    gguf_add_text(b, "general.architecture", arch);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(key, sizeof key, "%s.%s", arch, keys[i].key);
        gguf_add_u32(b, key, keys[i].value);
    }
    gguf_add_text(b, "tokenizer.ggml.model", "llama");
    gguf_add_texts(b, "tokenizer.ggml.tokens", tokens, VOCAB);
    gguf_add_array(b, "tokenizer.ggml.scores", PUNA_META_F32, VOCAB);
    gguf_add_bytes(b, (const float[VOCAB]){ 0 }, sizeof(float[VOCAB]));
    add_tensor(b, own ? "wte" : "token_embd.weight", EMBD, VOCAB);
    add_tensor(b, own ? "ln_f.gain" : "output_norm.weight", EMBD, 1);
    for (int l = 0; l < LAYERS; l++)
        for (size_t t = 0; t < sizeof names / sizeof *names; t++) {
            snprintf(key, sizeof key, own ? "h.%d.%s" : "blk.%d.%s", l, own ? names[t].own : names[t].usual);
            add_tensor(b, key, names[t].n0, names[t].n1);
        }
    gguf_finish(b);
}

/* Logits after three tokens; arch_file NULL: none. */
static puna_status run(const char *arch, bool own, const char *arch_file, float logits[VOCAB],
                       puna_error *err)
{
    static gguf_builder b;
    static const int32_t tokens[] = { 1, 5, 39 };
    puna_model *model = NULL;
    puna_session *session = NULL;
    puna_params *params = puna_params_new();
    puna_status status = arch_file ? puna_params_set(params, "arch_file", arch_file, err) : PUNA_OK;
    build(&b, arch, own);
    if (!status)
        status = puna_model_open_memory(&model, b.file.data, b.file.n, "own.gguf", params, err);
    if (!status)
        status = puna_session_open(&session, model, params, err);
    if (!status)
        status = puna_session_sync(session, tokens, 3, err);
    if (!status)
        memcpy(logits, puna_session_logits(session), VOCAB * sizeof *logits);
    puna_session_free(session);
    puna_model_free(model);
    puna_params_free(params);
    gguf_free(&b);
    return status;
}

static const char *written(const char *text)
{
    static char path[] = "/tmp/puna-arch-XXXXXX";
    memcpy(path + sizeof path - 7, "XXXXXX", 6);
    int fd = mkstemp(path);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (CHECK(file)) {
        fputs(text, file);
        fclose(file);
    }
    return path;
}

static void describes_a_llama(void)
{
    float want[VOCAB], got[VOCAB];
    puna_error err = { 0 };
    const char *path = written("architecture = 'own'\npairing = 'adjacent'\n");
    if (CHECK_OK(run("llama", false, NULL, want, &err), err) &&
        CHECK_OK(run("own", false, path, got, &err), err))
        CHECK(memcmp(want, got, sizeof want) == 0);
    remove(path);
}

static void names_are_its_own(void)
{
    float want[VOCAB], got[VOCAB];
    char text[2048];
    puna_error err = { 0 };
    int n = snprintf(
        text, sizeof text,
        "architecture = 'own'\n[tensors]\n'token_embd.weight' = 'wte'\n'output_norm.weight' = 'ln_f.gain'\n");
    for (size_t t = 0; t < sizeof names / sizeof *names; t++)
        n += snprintf(text + n, sizeof text - (size_t)n, "'%s' = 'h.{}.%s'\n", names[t].usual, names[t].own);
    const char *path = written(text);
    if (CHECK_OK(run("llama", false, NULL, want, &err), err) &&
        CHECK_OK(run("own", true, path, got, &err), err))
        CHECK(memcmp(want, got, sizeof want) == 0);
    remove(path);
}

static void numbers_come_before_metadata(void)
{
    float plain[VOCAB], got[VOCAB];
    puna_error err = { 0 };
    const char *path = written("architecture = 'own'\n[metadata]\nlogit_scale = 2\n");
    if (CHECK_OK(run("llama", false, NULL, plain, &err), err) &&
        CHECK_OK(run("own", false, path, got, &err), err))
        for (int i = 0; i < VOCAB; i++)
            CHECK_NEAR(got[i], 2 * plain[i], 1e-5);
    remove(path);
}

static void mistakes_are_named(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "pairing = 'halves'", "architecture: got none" },
        { "architecture = 'own'\npairing = 'halfs'", "line 2: pairing: got halfs, expected halves" },
        { "architecture = 'own'\nneeds = ['attn_norn']", "got attn_norn, expected attn_norm" },
        { "architecture = 'own'\nneds = []", "line 2: neds: got a key that is not known" },
        { "architecture = 'own'\n[tensors]\n'attn_p.weight' = 'x'",
          "attn_p.weight: got a name that is no tensor's here" },
        { "architecture = 'own'\n[tensors]\n'attn_q.weight' = 'layer.{}.q'",
          "tensor layer.0.q: got none, expected one" },
        { "architecture = 'own'\n[metadata]\n'attention.head_count' = 5",
          "tensor blk.0.attn_q.weight: dim[1]: got 32, expected 30" },
        { "architecture = 'other'", "metadata other.block_count: got none" },
    };
    float logits[VOCAB];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        puna_error err = { 0 };
        const char *path = written(cases[i].text);
        CHECK_INT(run("own", false, path, logits, &err), PUNA_ERR_FORMAT);
        if (!strstr(err.message, cases[i].message))
            test_fail(__FILE__, __LINE__, "%s: got \"%s\"", cases[i].message, err.message);
        remove(path);
    }
}

int main(int argc, char **argv)
{
    static const test_case cases[] = { TEST(describes_a_llama), TEST(names_are_its_own),
                                       TEST(numbers_come_before_metadata), TEST(mistakes_are_named) };
    return test_main("arch file", cases, sizeof cases / sizeof *cases, argc, argv);
}
