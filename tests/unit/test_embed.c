/* test_embed.c - models that give vectors: a tiny BERT against what llama.cpp computed for it (tools/reference/
 * tiny_encoders.py, embed_vectors.c), decoders that are pooled, and what is refused. */
#include <stdlib.h>

#include "harness.h"
#include "puna.h"

enum { N = 8, WIDTH = 16, N_CTX = 24, STORIES = 64 };

static const int32_t tokens[N] = { 2, 5, 6, 32, 7, 3, 9, 9 };

static const struct {
    const char *pooling;
    int32_t width;
    float vector[WIDTH];
} expected[] = {
    { "auto", WIDTH, { -1.097782f, 1.284634f, -0.9758605f, 0.3553074f, -0.4341196f, 1.548622f, -0.407392f, -1.227143f,
                       -1.036531f, 0.6950554f, -1.124598f, 0.9825237f, -0.05524763f, 1.758439f, 0.8383119f, -0.6181108f } },
    { "mean", WIDTH, { -1.097782f, 1.284634f, -0.9758605f, 0.3553074f, -0.4341196f, 1.548622f, -0.407392f, -1.227143f,
                       -1.036531f, 0.6950554f, -1.124598f, 0.9825237f, -0.05524763f, 1.758439f, 0.8383119f, -0.6181108f } },
    { "cls", WIDTH, { -1.131451f, 1.58199f, -0.9069864f, 0.1883564f, -0.3862019f, 1.46004f, -0.3066607f, -1.19049f,
                      -1.235461f, 0.6753017f, -1.507245f, 0.8047296f, 0.4222209f, 1.536516f, 0.8671188f, -0.4131562f } },
    { "last", WIDTH, { -1.023002f, 1.223027f, -0.9788945f, 0.3691299f, -0.4093229f, 1.548876f, -0.3653107f, -1.311189f,
                       -0.9895028f, 0.8370414f, -1.364876f, 1.032319f, -0.04430744f, 1.784981f, 0.8044447f, -0.6596962f } },
    { "rank", 1, { -2.120402f } },
};

/* A model and a session of it; path NULL: the tiny BERT. */
typedef struct opened {
    puna_model *model;
    puna_session *session;
} opened;

static puna_status open_as(opened *o, const char *path, const char *pooling, const char *backend, puna_error *err)
{
    puna_params *params = puna_params_new();
    *o = (opened){ 0 };
    puna_params_set(params, "pooling", pooling, err);
    puna_params_set(params, "backend", backend, err);
    puna_params_set(params, "ctx_total", "96", err);
    puna_params_set(params, "ctx", path ? "32" : "0", err);
    puna_status status = puna_model_open(&o->model, path ? path : test_data("model/bert.gguf"), params, err);
    if (!status)
        status = puna_session_open(&o->session, o->model, params, err);
    puna_params_free(params);
    return status;
}

static void close_both(opened *o)
{
    puna_session_free(o->session);
    puna_model_free(o->model);
}

static void compare(const char *what, const float *got, const float *want, int n, double tolerance)
{
    for (int i = 0; got && i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= tolerance)) {
            test_fail(__FILE__, __LINE__, "%s: %d: got %.7g, expected %.7g within %g", what, i, (double)got[i], (double)want[i],
                      tolerance);
            return;
        }
    CHECK(got != NULL);
}

/* The oracle rounds GELU to half precision. */
static void vectors_are_those_of_llama_cpp(void)
{
    puna_error err = { 0 };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        opened ref, cpu;
        if (!CHECK_OK(open_as(&ref, NULL, expected[i].pooling, "ref", &err), err) ||
            !CHECK_OK(open_as(&cpu, NULL, expected[i].pooling, "cpu", &err), err))
            return;
        CHECK_INT(puna_model_n_embedding(ref.model), expected[i].width);
        CHECK_OK(puna_session_sync(ref.session, tokens, N, &err), err);
        CHECK_OK(puna_session_sync(cpu.session, tokens, N, &err), err);
        const float *want = puna_session_embedding(ref.session);
        compare(expected[i].pooling, want, expected[i].vector, expected[i].width, 3e-3);
        compare("cpu", puna_session_embedding(cpu.session), want, expected[i].width, 1e-5);
        CHECK(puna_session_logits(ref.session) == NULL);
        close_both(&ref);
        close_both(&cpu);
    }
}

/* Each text has its own rows: sharing a batch, or coming after another, changes nothing. */
static void texts_do_not_mix(void)
{
    static const char *const poolings[] = { "mean", "cls", "last" };
    const int32_t *lists[3] = { tokens, tokens + 1, tokens };
    const size_t lengths[3] = { N, 3, N - 2 };
    puna_error err = { 0 };
    for (size_t p = 0; p < 3; p++) {
        opened o;
        puna_session *sessions[3] = { 0 };
        float alone[3][WIDTH];
        if (!CHECK_OK(open_as(&o, NULL, poolings[p], "cpu", &err), err))
            return;
        sessions[0] = o.session;
        for (int i = 1; i < 3; i++)
            CHECK_OK(puna_session_open_beside(&sessions[i], o.session, &err), err);
        for (int i = 0; i < 3; i++) {
            CHECK_OK(puna_session_sync(o.session, lists[i], lengths[i], &err), err);
            memcpy(alone[i], puna_session_embedding(o.session), sizeof alone[i]);
        }
        CHECK_OK(puna_sessions_sync(sessions, lists, lengths, 3, &err), err);
        for (int i = 0; i < 3; i++)
            compare(poolings[p], puna_session_embedding(sessions[i]), alone[i], WIDTH, 1e-5);
        for (int i = 1; i < 3; i++)
            puna_session_free(sessions[i]);
        close_both(&o);
    }
}

typedef struct rows {
    float values[N][STORIES];
    size_t n, width;
} rows;

static int keep(void *user, size_t position, const float *vector)
{
    rows *r = user;
    memcpy(r->values[position], vector, r->width * sizeof *vector);
    r->n++;
    return 0;
}

/* With `none` every token has its vector; the others are made of those. */
static void pooling_is_of_the_tokens_vectors(const char *path, int width, const char *backend)
{
    static const char *const poolings[] = { "mean", "cls", "last" };
    static const int32_t ids[N] = { 1, 30, 31, 7, 12, 9, 22, 3 };
    puna_error err = { 0 };
    rows r = { .width = (size_t)width };
    opened o;
    float wanted[3][STORIES] = { 0 };
    if (!CHECK_OK(open_as(&o, path, "none", backend, &err), err))
        return;
    CHECK_INT(puna_model_n_embedding(o.model), width);
    CHECK_OK(puna_session_each(o.session, ids, N, keep, &r, &err), err);
    close_both(&o);
    CHECK_INT(r.n, N);
    for (int i = 0; i < width; i++) {
        for (int row = 0; row < N; row++)
            wanted[0][i] += r.values[row][i] / N;
        wanted[1][i] = r.values[0][i];
        wanted[2][i] = r.values[N - 1][i];
    }
    for (int p = 0; p < 3; p++) {
        if (!CHECK_OK(open_as(&o, path, poolings[p], backend, &err), err))
            return;
        CHECK_OK(puna_session_sync(o.session, ids, N, &err), err);
        compare(poolings[p], puna_session_embedding(o.session), wanted[p], width, 1e-4);
        close_both(&o);
    }
}

static void encoders_are_pooled(void)
{
    pooling_is_of_the_tokens_vectors(NULL, WIDTH, "ref");
    pooling_is_of_the_tokens_vectors(NULL, WIDTH, "cpu");
}

static void decoders_are_pooled(void)
{
    pooling_is_of_the_tokens_vectors("builtin:stories260K", STORIES, "ref");
    pooling_is_of_the_tokens_vectors("builtin:stories260K", STORIES, "cpu");
}

/* Of a decoder's last token a longer text is gone on with; where all is read at once it is read again. */
static void texts_grow(void)
{
    static const char *const poolings[] = { "last", "mean" };
    static const int32_t ids[N] = { 1, 30, 31, 7, 12, 9, 22, 3 };
    puna_error err = { 0 };
    for (int p = 0; p < 2; p++) {
        opened a, b;
        if (!CHECK_OK(open_as(&a, "builtin:stories260K", poolings[p], "cpu", &err), err) ||
            !CHECK_OK(open_as(&b, "builtin:stories260K", poolings[p], "cpu", &err), err))
            return;
        CHECK_OK(puna_session_sync(a.session, ids, 5, &err), err);
        CHECK_OK(puna_session_sync(a.session, ids, N, &err), err);
        CHECK_OK(puna_session_sync(b.session, ids, N, &err), err);
        compare(poolings[p], puna_session_embedding(a.session), puna_session_embedding(b.session), STORIES, 1e-4);
        CHECK_OK(puna_session_sync(a.session, ids, 3, &err), err);
        CHECK_OK(puna_session_sync(b.session, ids, 3, &err), err);
        compare(poolings[p], puna_session_embedding(a.session), puna_session_embedding(b.session), STORIES, 1e-4);
        close_both(&a);
        close_both(&b);
    }
}

static void what_cannot_be_is_refused(void)
{
    puna_error err = { 0 };
    opened o;
    int32_t many[N_CTX + 1] = { 0 }, token;
    puna_result result;
    if (!CHECK_OK(open_as(&o, NULL, "auto", "cpu", &err), err))
        return;
    CHECK_OK(puna_session_sync(o.session, many, N_CTX, &err), err);
    CHECK_INT(puna_session_sync(o.session, many, N_CTX + 1, &err), PUNA_ERR_CONTEXT);
    CHECK_INT(puna_session_sample(o.session, NULL, &token, &err), PUNA_ERR_ARGUMENT);
    CHECK(strstr(err.message, "vectors"));
    CHECK_INT(puna_generate(o.session, NULL, NULL, NULL, &result, &err), PUNA_ERR_ARGUMENT);
    many[0] = 36;
    CHECK_INT(puna_session_sync(o.session, many, 2, &err), PUNA_ERR_ARGUMENT);
    close_both(&o);
    CHECK_INT(open_as(&o, NULL, "off", "cpu", &err), PUNA_ERR_ARGUMENT);
    CHECK(strstr(err.message, "bert"));
    close_both(&o);
    CHECK_INT(open_as(&o, "builtin:stories260K", "rank", "cpu", &err), PUNA_ERR_FORMAT);
    CHECK(strstr(err.message, "classifier"));
    close_both(&o);
    if (CHECK_OK(open_as(&o, "builtin:stories260K", "auto", "cpu", &err), err))
        CHECK_INT(puna_model_n_embedding(o.model), 0);
    CHECK(puna_session_embedding(o.session) == NULL);
    close_both(&o);
}

static void a_saved_session_has_its_vector(void)
{
    puna_error err = { 0 };
    opened o;
    void *data = NULL;
    size_t n = 0;
    float vector[WIDTH];
    if (!CHECK_OK(open_as(&o, NULL, "mean", "cpu", &err), err))
        return;
    CHECK_OK(puna_session_sync(o.session, tokens, N, &err), err);
    memcpy(vector, puna_session_embedding(o.session), sizeof vector);
    CHECK_OK(puna_session_save(o.session, &data, &n, &err), err);
    CHECK_OK(puna_session_sync(o.session, tokens + 1, 2, &err), err);
    CHECK_OK(puna_session_load(o.session, data, n, &err), err);
    compare("loaded", puna_session_embedding(o.session), vector, WIDTH, 0);
    puna_free(data);
    close_both(&o);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = { TEST(vectors_are_those_of_llama_cpp), TEST(texts_do_not_mix), TEST(encoders_are_pooled),
                                       TEST(decoders_are_pooled), TEST(texts_grow), TEST(what_cannot_be_is_refused),
                                       TEST(a_saved_session_has_its_vector) };
    return test_main("embed", cases, sizeof cases / sizeof *cases, argc, argv);
}
