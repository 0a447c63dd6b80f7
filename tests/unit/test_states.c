/* test_states.c - models with states: however a list of tokens comes to be held (at once, token by token, by going back
 * and on, beside other sessions, from saved bytes), the logits after it are the same. The models are made up here: one
 * for each kind of operation with a state, most with attention beside it. */
#define _DEFAULT_SOURCE
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "engine/engine.h"
#include "gguf/gguf_write.h"
#include "harness.h"

enum { VOCAB = 48, LONGEST = 90, MAX_LAYERS = 3 };

/* ---- making models ---------------------------------------------------------------------- */

typedef struct number {
    const char *key; /* without "<arch>." */
    float value;
    bool real;
} number;

typedef struct weight {
    int layers; /* bits of the layers that have it; 0: of the model */
    const char *name;
    uint64_t ne[3];
    float mean, spread;
} weight;

typedef struct recipe {
    const char *arch;
    int32_t n_layer;
    int32_t kv_heads[MAX_LAYERS];
    number numbers[20];
    weight weights[48];
} recipe;

#define ENDS { 0, "token_embd.weight", { 16, VOCAB }, 0, 1 }, { 0, "output.weight", { 16, VOCAB }, 0, 0.5f }
#define NORM(bits, name) { bits, name, { 16 }, 1, 0.3f }
#define ATTENTION(bits)                                                                               \
    { bits, "attn_q.weight", { 16, 16 }, 0, 0.4f }, { bits, "attn_k.weight", { 16, 8 }, 0, 0.4f },    \
    { bits, "attn_v.weight", { 16, 8 }, 0, 0.4f }, { bits, "attn_output.weight", { 16, 16 }, 0, 0.4f }
#define GATED(bits)                                                                                   \
    { bits, "ffn_gate.weight", { 16, 24 }, 0, 0.4f }, { bits, "ffn_up.weight", { 16, 24 }, 0, 0.4f }, \
    { bits, "ffn_down.weight", { 24, 16 }, 0, 0.4f }

static const recipe mamba2_and_attention = {
    .arch = "granitehybrid", .n_layer = 3, .kv_heads = { 0, 1, 0 },
    .numbers = { { "ssm.conv_kernel", 4, false }, { "ssm.inner_size", 32, false }, { "ssm.state_size", 5, false },
                 { "ssm.time_step_rank", 4, false }, { "ssm.group_count", 2, false } },
    .weights = { ENDS, NORM(0, "output_norm.weight"), NORM(7, "attn_norm.weight"), NORM(7, "ffn_norm.weight"), ATTENTION(2),
                 GATED(7), { 5, "ssm_in.weight", { 16, 88 }, 0, 0.4f }, { 5, "ssm_conv1d.weight", { 4, 52 }, 0, 0.5f },
                 { 5, "ssm_conv1d.bias", { 52 }, 0, 0.2f }, { 5, "ssm_dt.bias", { 4 }, 0, 0.5f }, { 5, "ssm_a", { 1, 4 }, -0.6f, 0.5f },
                 { 5, "ssm_d", { 1, 4 }, 0.5f, 0.5f }, { 5, "ssm_norm.weight", { 16, 2 }, 1, 0.3f },
                 { 5, "ssm_out.weight", { 32, 16 }, 0, 0.4f } },
};

static const recipe mamba_alone = {
    .arch = "mamba", .n_layer = 2, .kv_heads = { 0, 0 },
    .numbers = { { "ssm.conv_kernel", 3, false }, { "ssm.inner_size", 32, false }, { "ssm.state_size", 4, false },
                 { "ssm.time_step_rank", 2, false } },
    .weights = { ENDS, NORM(0, "output_norm.weight"), NORM(3, "attn_norm.weight"), { 3, "ssm_in.weight", { 16, 64 }, 0, 0.4f },
                 { 3, "ssm_conv1d.weight", { 3, 32 }, 0, 0.5f }, { 3, "ssm_conv1d.bias", { 32 }, 0, 0.2f },
                 { 3, "ssm_x.weight", { 32, 10 }, 0, 0.4f }, { 3, "ssm_dt.weight", { 2, 32 }, 0, 0.4f },
                 { 3, "ssm_dt.bias", { 32 }, 0, 0.5f }, { 3, "ssm_a", { 4, 32 }, -0.6f, 0.5f }, { 3, "ssm_d", { 32 }, 0.5f, 0.5f },
                 { 3, "ssm_out.weight", { 32, 16 }, 0, 0.4f } },
};

static const recipe delta_and_attention = {
    .arch = "qwen35", .n_layer = 2, .kv_heads = { 1, 1 },
    .numbers = { { "ssm.conv_kernel", 4, false }, { "ssm.inner_size", 32, false }, { "ssm.state_size", 8, false },
                 { "ssm.time_step_rank", 4, false }, { "ssm.group_count", 2, false }, { "full_attention_interval", 2, false },
                 { "rope.dimension_sections", 4, false } },
    .weights = { ENDS, NORM(0, "output_norm.weight"), NORM(3, "attn_norm.weight"), NORM(3, "post_attention_norm.weight"), GATED(3),
                 { 2, "attn_q.weight", { 16, 32 }, 0, 0.4f }, { 2, "attn_k.weight", { 16, 8 }, 0, 0.4f },
                 { 2, "attn_v.weight", { 16, 8 }, 0, 0.4f }, { 2, "attn_output.weight", { 16, 16 }, 0, 0.4f },
                 { 2, "attn_q_norm.weight", { 8 }, 1, 0.3f }, { 2, "attn_k_norm.weight", { 8 }, 1, 0.3f },
                 { 1, "attn_qkv.weight", { 16, 64 }, 0, 0.4f }, { 1, "attn_gate.weight", { 16, 32 }, 0, 0.4f },
                 { 1, "ssm_conv1d.weight", { 4, 64 }, 0, 0.5f }, { 1, "ssm_dt.bias", { 4 }, 0, 0.5f }, { 1, "ssm_a", { 4 }, -0.3f, 0.3f },
                 { 1, "ssm_beta.weight", { 16, 4 }, 0, 0.4f }, { 1, "ssm_alpha.weight", { 16, 4 }, 0, 0.4f },
                 { 1, "ssm_norm.weight", { 8 }, 1, 0.3f }, { 1, "ssm_out.weight", { 32, 16 }, 0, 0.4f } },
};

static const recipe filter_and_attention = {
    .arch = "lfm2", .n_layer = 2, .kv_heads = { 0, 1 },
    .numbers = { { "shortconv.l_cache", 3, false }, { "attention.sliding_window", 7, false } },
    .weights = { ENDS, NORM(0, "token_embd_norm.weight"), NORM(3, "attn_norm.weight"), NORM(3, "ffn_norm.weight"), GATED(3), ATTENTION(2),
                 { 2, "attn_q_norm.weight", { 8 }, 1, 0.3f }, { 2, "attn_k_norm.weight", { 8 }, 1, 0.3f },
                 { 1, "shortconv.in_proj.weight", { 16, 48 }, 0, 0.5f }, { 1, "shortconv.conv.weight", { 3, 16 }, 0, 0.6f },
                 { 1, "shortconv.out_proj.weight", { 16, 16 }, 0, 0.5f } },
};

static puna_status to_buf(void *user, const void *bytes, size_t n, puna_error *err)
{
    puna_buf *buf = user;
    puna_buf_add(buf, bytes, n);
    return buf->failed ? puna_fail_memory(err, "test", n) : PUNA_OK;
}

/* As few pieces as there are tokens; no text is read here. */
static void add_vocab(puna_gguf_writer *w)
{
    static char texts[VOCAB][8];
    const char *pieces[VOCAB];
    float scores[VOCAB];
    int32_t types[VOCAB];
    for (int32_t i = 0; i < VOCAB; i++) {
        snprintf(texts[i], sizeof texts[i], i == 0 ? "<unk>" : "t%d", (int)i);
        pieces[i] = texts[i];
        scores[i] = (float)-i;
        types[i] = i == 0 ? 2 : 1;
    }
    puna_gguf_add_text(w, "tokenizer.ggml.model", "llama");
    puna_gguf_add_texts(w, "tokenizer.ggml.tokens", pieces, VOCAB);
    puna_gguf_add_f32s(w, "tokenizer.ggml.scores", scores, VOCAB);
    puna_gguf_add_i32s(w, "tokenizer.ggml.token_type", types, VOCAB);
}

static void add_numbers(puna_gguf_writer *w, const recipe *r)
{
    static const number shared[] = {
        { "context_length", 128, false }, { "embedding_length", 16, false }, { "feed_forward_length", 24, false },
        { "attention.head_count", 2, false }, { "attention.layer_norm_rms_epsilon", 1e-5f, true },
        { "attention.layer_norm_epsilon", 1e-5f, true },
    };
    char key[96];
    puna_gguf_add_text(w, "general.architecture", r->arch);
    for (size_t i = 0; i < sizeof shared / sizeof *shared + 20; i++) {
        const number *n = i < sizeof shared / sizeof *shared ? &shared[i] : &r->numbers[i - sizeof shared / sizeof *shared];
        if (!n->key)
            break;
        snprintf(key, sizeof key, "%s.%s", r->arch, n->key);
        if (strcmp(n->key, "rope.dimension_sections") == 0)
            puna_gguf_add_i32s(w, key, (int32_t[]){ 2, 1, 1, 0 }, 4);
        else if (n->real)
            puna_gguf_add_f32(w, key, n->value);
        else
            puna_gguf_add_u32(w, key, (uint32_t)n->value);
    }
    snprintf(key, sizeof key, "%s.block_count", r->arch);
    puna_gguf_add_u32(w, key, (uint32_t)r->n_layer);
    snprintf(key, sizeof key, "%s.attention.head_count_kv", r->arch);
    puna_gguf_add_i32s(w, key, r->kv_heads, (size_t)r->n_layer);
}

/* Calls each for every tensor: its layer (-1: the model's) and its weight. */
static void add_tensors(puna_gguf_writer *w, const recipe *r)
{
    char name[96];
    for (const weight *t = r->weights; t->name; t++)
        for (int32_t il = 0; il < (t->layers ? r->n_layer : 1); il++) {
            uint32_t n_dims = 1;
            while (n_dims < 3 && t->ne[n_dims])
                n_dims++;
            if (t->layers && !(t->layers >> il & 1))
                continue;
            snprintf(name, sizeof name, t->layers ? "blk.%d.%s" : "%.0d%s", t->layers ? (int)il : 0, t->name);
            puna_gguf_add_tensor(w, name, puna_format_get(PUNA_FORMAT_F32), n_dims, t->ne);
        }
}

static puna_status add_values(puna_gguf_writer *w, const recipe *r, puna_error *err)
{
    uint32_t seed = 7;
    for (const weight *t = r->weights; t->name; t++)
        for (int32_t il = 0; il < (t->layers ? r->n_layer : 1); il++) {
            const uint64_t n = t->ne[0] * (t->ne[1] ? t->ne[1] : 1) * (t->ne[2] ? t->ne[2] : 1);
            for (uint64_t i = 0; (!t->layers || t->layers >> il & 1) && i < n; i++) {
                seed = seed * 1664525u + 1013904223u;
                const float value = t->mean + t->spread * ((float)(seed >> 8) / 8388608.0f - 1);
                TRY(puna_gguf_tensor_bytes(w, &value, sizeof value, err));
            }
        }
    return PUNA_OK;
}

/* The recipe's file; false when it could not be made. */
static bool write_model(const recipe *r, char path[32])
{
    puna_gguf_writer *w = NULL;
    puna_error err = { 0 };
    uint64_t size_bytes;
    puna_buf buf = puna_buf_make(1 << 22);
    snprintf(path, 32, "/tmp/puna-states-XXXXXX");
    const int fd = mkstemp(path);
    if (!CHECK(fd >= 0) || !CHECK_OK(puna_gguf_writer_open(&w, 0, &err), err))
        return false;
    add_numbers(w, r);
    add_vocab(w);
    add_tensors(w, r);
    bool good = CHECK_OK(puna_gguf_begin(w, to_buf, &buf, &size_bytes, &err), err) && CHECK_OK(add_values(w, r, &err), err) &&
                CHECK_OK(puna_gguf_end(w, &err), err) && CHECK(write(fd, buf.data, buf.n) == (ssize_t)buf.n);
    puna_gguf_writer_close(w);
    puna_buf_free(&buf);
    close(fd);
    return good;
}

/* ---- a model and what is right ----------------------------------------------------------- */

typedef struct bench {
    puna_params *params;
    puna_model *model;
    int32_t tokens[LONGEST];
    float right[LONGEST + 1][VOCAB]; /* logits after n tokens, each from the reference, at once */
    double tolerance;
} bench;

static int keep_row(void *user, size_t i, const float *logits)
{
    bench *b = user;
    memcpy(b->right[i + 1], logits, sizeof b->right[0]);
    return 0;
}

static bool open_model(bench *b, const char *path, const char *const *options)
{
    puna_error err = { 0 };
    b->params = puna_params_new();
    for (size_t i = 0; options[i]; i += 2)
        CHECK_OK(puna_params_set(b->params, options[i], options[i + 1], &err), err);
    return CHECK_OK(puna_model_open(&b->model, path, b->params, &err), err);
}

static void close_model(bench *b)
{
    puna_model_free(b->model);
    puna_params_free(b->params);
    b->model = NULL;
    b->params = NULL;
}

/* What the reference says after every number of tokens. */
static bool find_right(bench *b, const char *path)
{
    static const char *const on_ref[] = { "backend", "ref", "ctx", "100", NULL };
    puna_session *s = NULL;
    puna_error err = { 0 };
    uint32_t seed = 99;
    for (int i = 0; i < LONGEST; i++) {
        seed = seed * 1664525u + 1013904223u;
        b->tokens[i] = (int32_t)((seed >> 16) % VOCAB);
    }
    bool good = open_model(b, path, on_ref) && CHECK_OK(puna_session_open(&s, b->model, b->params, &err), err) &&
                CHECK_OK(puna_session_each(s, b->tokens, LONGEST, keep_row, b, &err), err);
    puna_session_free(s);
    close_model(b);
    return good;
}

/* The session holds the first n tokens of the list, and the logits after them. */
static void check(const bench *b, const puna_session *s, int32_t n, const char *how)
{
    const float *got = puna_session_logits(s);
    size_t n_held;
    double most = 0;
    puna_session_tokens(s, &n_held);
    CHECK_INT(n_held, n);
    for (int v = 0; got && v < VOCAB; v++)
        most = fmax(most, fabs((double)got[v] - (double)b->right[n][v]));
    if (!got || !(most <= b->tolerance))
        test_fail(__FILE__, __LINE__, "%s: logits after %d tokens: got %g away, expected at most %g", how, (int)n, got ? most : NAN,
                  b->tolerance);
}

static void hold(const bench *b, puna_session *s, int32_t n, const char *how)
{
    puna_error err = { 0 };
    if (CHECK_OK(puna_session_sync(s, b->tokens, (size_t)n, &err), err))
        check(b, s, n, how);
}

static puna_session *open_session(const bench *b)
{
    puna_session *s = NULL;
    puna_error err = { 0 };
    CHECK_OK(puna_session_open(&s, b->model, b->params, &err), err);
    return s;
}

/* ---- ways to hold a list ------------------------------------------------------------------ */

/* Token by token, in uneven pieces, and back to places with and without a copy of the states, more than are kept. */
static void back_and_on(const bench *b)
{
    static const int32_t ends[] = { 1, 2, 3, 5, 8, 40, 13, 14, 41, 7, 90, 60, 59, 61, 1, 4, 90, 89, 33, 32, 31, 64, 5, 6, 90 };
    puna_session *s = open_session(b);
    for (int32_t n = 1; s && n <= 20; n++)
        hold(b, s, n, "token by token");
    for (size_t i = 0; s && i < sizeof ends / sizeof *ends; i++)
        hold(b, s, ends[i], "back and on");
    puna_session_free(s);
}

/* Lists that part: what another list left in the states is gone. */
static void another_list(const bench *b)
{
    puna_session *s = open_session(b);
    int32_t other[LONGEST];
    puna_error err = { 0 };
    for (int32_t same = 0; s && same < 50; same += 7) {
        memcpy(other, b->tokens, sizeof other);
        for (int32_t i = same; i < LONGEST; i++)
            other[i] = (other[i] + 1) % VOCAB;
        hold(b, s, 55, "after another list");
        CHECK_OK(puna_session_sync(s, other, 70, &err), err);
        hold(b, s, same + 3, "after another list");
    }
    puna_session_free(s);
}

/* Two and more in the same batches, at different places, one going back while another goes on. */
static void beside(const bench *b)
{
    static const size_t steps[][3] = { { 40, 3, 1 }, { 41, 90, 2 }, { 20, 31, 64 }, { 1, 32, 65 }, { 2, 33, 0 }, { 50, 33, 12 } };
    puna_session *s[3] = { open_session(b), NULL, NULL };
    const int32_t *lists[3] = { b->tokens, b->tokens, b->tokens };
    puna_error err = { 0 };
    for (int i = 1; i < 3 && s[0]; i++)
        CHECK_OK(puna_session_open_beside(&s[i], s[0], &err), err);
    for (size_t i = 0; s[1] && s[2] && i < sizeof steps / sizeof *steps; i++) {
        CHECK_OK(puna_sessions_sync(s, lists, steps[i], 3, &err), err);
        for (int j = 0; j < 3; j++)
            if (steps[i][j])
                check(b, s[j], (int32_t)steps[i][j], "beside others");
    }
    for (int i = 2; i >= 0; i--)
        puna_session_free(s[i]);
}

/* From saved bytes, in a session that held something else; and what is damaged leaves an empty session that works. */
static void saved(const bench *b)
{
    puna_session *s = open_session(b), *to = open_session(b);
    void *data = NULL;
    size_t n = 0;
    puna_error err = { 0 };
    if (s && to) {
        hold(b, s, 37, "before saving");
        hold(b, to, 11, "before loading");
        CHECK_OK(puna_session_save(s, &data, &n, &err), err);
        if (CHECK_OK(puna_session_load(to, data, n, &err), err)) {
            check(b, to, 37, "loaded");
            hold(b, to, 38, "loaded");
            hold(b, to, 60, "loaded");
            hold(b, to, 37, "loaded and back");
            hold(b, to, 20, "loaded and back");
        }
        CHECK(puna_session_load(to, data, n - 1, &err) != PUNA_OK);
        hold(b, to, 9, "after a load that failed");
    }
    puna_free(data);
    puna_session_free(s);
    puna_session_free(to);
}

static void every_way(const recipe *r)
{
    static const char *const on_ref[] = { "backend", "ref", "ctx", "100", "ctx_total", "400", NULL };
    static const char *const on_cpu[] = { "threads", "2", "ctx", "100", "ctx_total", "400", NULL };
    static const char *const small[] = { "threads", "2", "batch", "6", "ctx", "100", "ctx_total", "400", NULL };
    static const char *const plain[] = { "threads", "1", "fusion", "off", "batch", "17", "ctx", "100", "ctx_total", "400", NULL };
    static const char *const *const ways[] = { on_ref, on_cpu, small, plain };
    static bench b;
    char path[32];
    if (write_model(r, path) && find_right(&b, path))
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            b.tolerance = i == 0 ? 0 : 1e-4;
            if (open_model(&b, path, ways[i])) {
                CHECK(b.model->net.plan.n_states > 0);
                back_and_on(&b);
                another_list(&b);
                beside(&b);
                saved(&b);
            }
            close_model(&b);
        }
    unlink(path);
}

static void mamba(void)
{
    every_way(&mamba_alone);
}

static void mamba2(void)
{
    every_way(&mamba2_and_attention);
}

static void delta_net(void)
{
    every_way(&delta_and_attention);
}

static void short_filter(void)
{
    every_way(&filter_and_attention);
}

static const test_case cases[] = { TEST(mamba), TEST(mamba2), TEST(delta_net), TEST(short_filter) };

int main(int argc, char **argv)
{
    return test_main("states", cases, sizeof cases / sizeof *cases, argc, argv);
}
