/* test_synthetic.c - made-up models: what a recipe gives, that it is the same every time, that it
 * runs, and what is refused. Which tensor of a mix has which encoding is what llama-quantize gives
 * a model of the same sizes. */
#include <math.h>
#include <stdlib.h>

#include "base/buf.h"
#include "gguf/container.h"
#include "harness.h"
#include "model/synthetic.h"
#include "puna.h"

static puna_status to_buf(void *user, const void *bytes, size_t n, puna_error *err)
{
    puna_buf *buf = user;
    puna_buf_add(buf, bytes, n);
    return buf->failed ? puna_fail_memory(err, "test", n) : PUNA_OK;
}

static bool make(const char *recipe, puna_buf *buf)
{
    puna_error err = { 0 };
    uint64_t size_bytes = 0;
    *buf = puna_buf_make((size_t)1 << 28);
    bool good = CHECK_OK(puna_synthetic_write(recipe, to_buf, buf, &size_bytes, &err), err);
    CHECK_INT(buf->n, size_bytes);
    return good;
}

static void check_formats(const char *recipe, const char *const (*want)[2], size_t n)
{
    puna_buf buf;
    puna_container *c = NULL;
    puna_error err = { 0 };
    if (make(recipe, &buf) && CHECK_OK(puna_container_open_memory(&c, buf.data, buf.n, recipe, &err), err)) {
        for (size_t i = 0; i < n; i++) {
            const puna_tensor *t = puna_container_tensor(c, want[i][0]);
            if (CHECK(t != NULL))
                CHECK_TEXT(t->format->name, want[i][1]);
        }
        puna_container_close(c);
    }
    puna_buf_free(&buf);
}

static void mixes_are_those_of_files_in_the_wild(void)
{
    static const char *const q4_k_m[][2] = {
        { "token_embd.weight", "q4_k" }, { "output.weight", "q6_k" }, { "output_norm.weight", "f32" },
        { "blk.0.attn_v.weight", "q6_k" }, { "blk.0.ffn_down.weight", "q6_k" }, { "blk.0.attn_q.weight", "q4_k" },
        { "blk.1.attn_v.weight", "q4_k" }, { "blk.2.ffn_down.weight", "q4_k" }, { "blk.3.attn_v.weight", "q6_k" },
        { "blk.7.ffn_down.weight", "q6_k" }, { "blk.7.ffn_up.weight", "q4_k" }, { "blk.7.attn_norm.weight", "f32" },
    };
    static const char *const narrow[][2] = { /* rows of 64 and 192 values: no block of 256 fits */
        { "token_embd.weight", "q5_0" }, { "output.weight", "q8_0" }, { "blk.1.attn_v.weight", "q8_0" },
        { "blk.0.attn_k.weight", "q5_0" }, { "blk.1.ffn_down.weight", "q8_0" },
    };
    static const char *const q4_0[][2] = { { "token_embd.weight", "q4_0" }, { "output.weight", "q6_k" },
                                           { "blk.0.ffn_down.weight", "q4_0" } };
    static const char *const q8_0[][2] = { { "token_embd.weight", "q8_0" }, { "output.weight", "q8_0" } };
    check_formats("layers=8,embd=256,ff=256,heads=4,vocab=300:q4_k_m", q4_k_m, sizeof q4_k_m / sizeof *q4_k_m);
    check_formats("layers=2,embd=64,ff=192,heads=4,kv=2,vocab=300:Q4_K_M", narrow, sizeof narrow / sizeof *narrow);
    static const char *const experts[][2] = { { "blk.0.ffn_gate_inp.weight", "f32" },
                                              { "blk.0.ffn_up_exps.weight", "q4_k" },
                                              { "blk.0.ffn_down_exps.weight", "q4_k" },
                                              { "blk.1.ffn_down_exps.weight", "q6_k" } };
    check_formats("moe-tiny:q4_k_m", experts, sizeof experts / sizeof *experts);
    check_formats("llama-tiny,layers=1:q4_0", q4_0, sizeof q4_0 / sizeof *q4_0);
    check_formats("LLAMA-tiny:Q8_0", q8_0, sizeof q8_0 / sizeof *q8_0);
}

/* Mean and deviation of a tensor's values. */
static void check_values(const puna_container *c, const char *name, double mean, double deviation)
{
    const puna_tensor *t = puna_container_tensor(c, name);
    size_t n = t ? (size_t)(t->ne[0] * puna_tensor_rows(t)) : 0;
    float *values = malloc((n + 1) * sizeof *values);
    double sum = 0, squares = 0;
    if (!CHECK(values && n))
        return;
    t->format->dequantize(t->data, values, n);
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    for (size_t i = 0; i < n; i++)
        squares += (values[i] - sum / (double)n) * (values[i] - sum / (double)n);
    CHECK_NEAR(sum / (double)n, mean, 0.02 * deviation + 0.1 * mean);
    CHECK_NEAR(sqrt(squares / (double)n), deviation, 0.05 * deviation);
    free(values);
}

static void weights_have_the_deviation_that_keeps_activations(void)
{
    puna_buf buf;
    puna_container *c = NULL;
    puna_error err = { 0 };
    if (make("llama-tiny,vocab=4096:q8_0", &buf) &&
        CHECK_OK(puna_container_open_memory(&c, buf.data, buf.n, "x", &err), err)) {
        check_values(c, "token_embd.weight", 0, 0.02);
        check_values(c, "blk.0.attn_q.weight", 0, 1 / sqrt(256.0));
        check_values(c, "blk.1.ffn_down.weight", 0, 1 / sqrt(512.0));
        check_values(c, "output.weight", 0, 1 / sqrt(256.0));
        puna_container_close(c);
    }
    puna_buf_free(&buf);
}

static void the_same_recipe_gives_the_same_bytes(void)
{
    puna_buf a, b;
    if (make("llama-tiny:q4_1", &a) && make("llama-tiny:q4_1", &b)) {
        CHECK(a.n == b.n && memcmp(a.data, b.data, a.n) == 0);
        puna_buf_free(&b);
    }
    puna_buf_free(&a);
}

/* Text through the vocabulary and back, then logits: finite, and not all the same. */
static void check_model(const char *recipe)
{
    static const int32_t prompt[] = { 1, 270, 299, 5, 80, 259 };
    static const char text[] = "the cat, \xe2\x82\xac 5";
    puna_buf buf;
    puna_model *model = NULL;
    puna_session *session = NULL;
    puna_params *params = puna_params_new();
    puna_error err = { 0 };
    int32_t *tokens = NULL;
    char *back = NULL;
    size_t n_tokens = 0, n = 0;
    puna_params_set(params, "ctx", "16", NULL);
    if (!make(recipe, &buf) || !CHECK_OK(puna_model_open_memory(&model, buf.data, buf.n, recipe, params, &err), err))
        return;
    CHECK_TEXT(puna_model_name(model), recipe);
    CHECK_INT(puna_token_of_role(model, "bos"), 1);
    CHECK_OK(puna_tokenize(model, text, strlen(text), 0, &tokens, &n_tokens, &err), err);
    CHECK_OK(puna_detokenize(model, tokens, n_tokens, 0, &back, &n, &err), err);
    CHECK_TEXT(back, text);
    if (CHECK_OK(puna_session_open(&session, model, params, &err), err) &&
        CHECK_OK(puna_session_sync(session, prompt, sizeof prompt / sizeof *prompt, &err), err)) {
        const float *logits = puna_session_logits(session);
        double most = 0;
        for (int32_t i = 0; i < puna_model_n_vocab(model); i++)
            most = isfinite(logits[i]) ? fmax(most, fabs(logits[i])) : INFINITY;
        if (!(most > 1 && most < 50))
            test_fail(__FILE__, __LINE__, "%s: largest logit %g, expected 1 to 50", recipe, most);
    }
    puna_free(tokens);
    puna_free(back);
    puna_session_free(session);
    puna_model_free(model);
    puna_params_free(params);
    puna_buf_free(&buf);
}

/* Every encoding that can be written makes a model that runs. */
static void every_encoding_runs(void)
{
    size_t n;
    const puna_format_info *list = puna_format_list(&n);
    for (size_t i = 0; i < n; i++) {
        char recipe[64];
        snprintf(recipe, sizeof recipe, "llama-tiny,layers=1,vocab=300:%s", list[i].name);
        if (list[i].quantize)
            check_model(recipe);
    }
    check_model("llama-tiny:q5_k_m");
    check_model("moe-tiny:q4_k_m");
    check_model("llama-tiny,experts=3,used=3:q8_0");
}

static void recipes_that_are_wrong_are_explained(void)
{
    static const struct {
        const char *recipe, *message, *hint;
    } cases[] = {
        { "llama-1b", "got 'llama-1b', expected SHAPE:FORMAT, as llama-1b:q4_k_m", "" },
        { "lama-1b:q4_0",
          "shape: got 'lama-1b', expected a name such as llama-1b, or layers=N,embd=N,ff=N,heads=N",
          "did you mean llama-1b?" },
        { ":q4_0", "shape: got '', expected a name such as llama-1b, or layers=N,embd=N,ff=N,heads=N", "" },
        { "llama-1b:q4_k_n", "format: got 'q4_k_n', expected an encoding that puna writes",
          "did you mean q4_k_m?" },
        { "llama-1b:iq2_xxs", "format: got 'iq2_xxs', expected an encoding that puna writes",
          "did you mean iq4_xs?" },
        { "llama-1b:", "format: got '', expected an encoding that puna writes", "puna formats" },
        { "layers=2,embd=64:q4_0", "ff: got none, expected ff=N or the name of a shape", "" },
        { "llama-1b,laers=2:q4_0",
          "got 'laers', expected one of layers, embd, ff, heads, kv, vocab, ctx, experts, used",
          "did you mean layers?" },
        { "llama-1b,layers=0:q4_0", "layers: got '0', expected 1 to 4096", "" },
        { "llama-1b,layers=2x:q4_0", "layers: got '2x', expected 1 to 4096", "" },
        { "llama-1b,layers=99999999999999999999:q4_0",
          "layers: got '99999999999999999999', expected 1 to 4096", "" },
        { "llama-1b,vocab=259:q4_0", "vocab: got '259', expected 260 to 4194304", "" },
        { "llama-1b,heads=7:q4_0", "embd: got 2048, expected an even multiple of heads (7)", "" },
        { "llama-1b,heads=16,kv=3:q4_0", "heads: got 16, expected a multiple of kv (3)", "" },
        { "llama-1b,experts=4:q4_0", "used: got 0, expected 1 to the number of experts (4)", "" },
        { "moe-tiny,used=9:q4_0", "used: got 9, expected 1 to the number of experts (8)", "" },
        { "llama-1b,used=1:q4_0", "used: got 1, expected 0 to the number of experts (0)", "" },
        { "layers=2,llama-1b:q4_0", "got 'llama-1b', expected KEY=N", "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        puna_buf buf = puna_buf_make(1 << 16);
        puna_error err = { 0 };
        uint64_t size_bytes;
        char message[300];
        snprintf(message, sizeof message, "synthetic model: %s", cases[i].message);
        CHECK_INT(puna_synthetic_write(cases[i].recipe, to_buf, &buf, &size_bytes, &err), PUNA_ERR_ARGUMENT);
        CHECK_TEXT(err.message, message);
        CHECK_TEXT(err.hint, cases[i].hint);
        CHECK_INT(buf.n, 0);
    }
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(mixes_are_those_of_files_in_the_wild),
        TEST(weights_have_the_deviation_that_keeps_activations),
        TEST(the_same_recipe_gives_the_same_bytes),
        TEST(every_encoding_runs),
        TEST(recipes_that_are_wrong_are_explained),
    };
    return test_main("synthetic", cases, sizeof cases / sizeof cases[0], argc, argv);
}
