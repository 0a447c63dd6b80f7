/* test_t5.c - a model that reads a text before it writes one: a tiny T5 against what llama.cpp computed for it
 * (tools/reference/tiny_encoders.py --small, t5-tied; embed_vectors.c), and its sessions. */
#include <stdlib.h>

#include "harness.h"
#include "puna.h"

enum { N_READ = 6, N = 10, VOCAB = 36, SHOWN = 12 };

static const int32_t tokens[N] = { 2, 5, 6, 32, 7, 3, 0, 9, 11, 8 };

/* After the first and the last token that are written: those of llama.cpp times 1 / sqrt(16), which it leaves out where
 * one matrix is for tokens and logits. */
static const float expected[2][SHOWN] = {
    { -0.343079f, -0.10525f, 0.797485f, 0.293054f, -0.264666f, 0.0308398f, -0.372818f, 0.53639f, 0.274952f, -0.734629f, -0.275561f, 0.289806f },
    { -0.973685f, -0.845844f, 0.573513f, 0.00897832f, -0.0439077f, 0.00976923f, -0.356495f, 0.393896f, 0.474217f, -0.195835f, -0.50901f, -0.143929f },
};

typedef struct opened {
    puna_model *model;
    puna_session *session;
} opened;

static bool open_t5(opened *o, const char *backend)
{
    puna_error err = { 0 };
    puna_params *params = puna_params_new();
    *o = (opened){ 0 };
    puna_params_set(params, "backend", backend, &err);
    puna_params_set(params, "ctx_total", "96", &err);
    bool done = CHECK_OK(puna_model_open(&o->model, test_data("model/t5.gguf"), params, &err), err) &&
                CHECK_OK(puna_session_open(&o->session, o->model, params, &err), err);
    puna_params_free(params);
    return done;
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

static void logits_are_those_of_llama_cpp(void)
{
    static const char *const backends[] = { "ref", "cpu" };
    puna_error err = { 0 };
    for (int b = 0; b < 2; b++) {
        opened o;
        if (!open_t5(&o, backends[b]))
            return;
        CHECK_OK(puna_session_sync(o.session, tokens, N, &err), err);
        compare("all at once", puna_session_logits(o.session), expected[1], SHOWN, 1e-4);
        CHECK_OK(puna_session_sync(o.session, tokens, N_READ + 1, &err), err);
        compare("the first", puna_session_logits(o.session), expected[0], SHOWN, 1e-4);
        for (size_t n = N_READ + 2; n <= N; n++)
            CHECK_OK(puna_session_sync(o.session, tokens, n, &err), err);
        compare("one by one", puna_session_logits(o.session), expected[1], SHOWN, 1e-4);
        close_both(&o);
    }
}

/* The longer text is read anew, and what was written of the other is forgotten. */
static void another_text_is_read_anew(void)
{
    static const int32_t longer[N + 1] = { 2, 5, 6, 32, 7, 7, 3, 0, 9, 11, 8 };
    puna_error err = { 0 };
    opened a, b;
    if (!open_t5(&a, "cpu") || !open_t5(&b, "cpu"))
        return;
    CHECK_OK(puna_session_sync(a.session, tokens, N, &err), err);
    CHECK_OK(puna_session_sync(a.session, longer, N + 1, &err), err);
    CHECK_OK(puna_session_sync(b.session, longer, N + 1, &err), err);
    compare("longer", puna_session_logits(a.session), puna_session_logits(b.session), VOCAB, 1e-6);
    CHECK_OK(puna_session_sync(a.session, tokens, N, &err), err);
    compare("back", puna_session_logits(a.session), expected[1], SHOWN, 1e-4);
    close_both(&a);
    close_both(&b);
}

typedef struct seen {
    size_t first, n;
    float last[VOCAB];
} seen;

static int note(void *user, size_t position, const float *logits)
{
    seen *s = user;
    if (s->n++ == 0)
        s->first = position;
    memcpy(s->last, logits, sizeof s->last);
    return 0;
}

static void each_token_that_is_written_has_logits(void)
{
    puna_error err = { 0 };
    seen s = { 0 };
    opened o;
    if (!open_t5(&o, "cpu"))
        return;
    CHECK_OK(puna_session_each(o.session, tokens, N, note, &s, &err), err);
    CHECK_INT(s.first, N_READ);
    CHECK_INT(s.n, N - N_READ);
    compare("each", s.last, expected[1], SHOWN, 1e-4);
    close_both(&o);
}

/* One session writes while another's text is read. */
static void sessions_read_and_write_beside_each_other(void)
{
    static const int32_t other[5] = { 9, 9, 3, 0, 4 };
    const int32_t *lists[2] = { tokens, other };
    const size_t lengths[2] = { N, 5 };
    puna_error err = { 0 };
    puna_session *sessions[2] = { 0 };
    float alone[VOCAB];
    opened o;
    if (!open_t5(&o, "cpu") || !CHECK_OK(puna_session_open_beside(&sessions[1], o.session, &err), err))
        return;
    sessions[0] = o.session;
    CHECK_OK(puna_session_sync(sessions[1], other, 5, &err), err);
    memcpy(alone, puna_session_logits(sessions[1]), sizeof alone);
    CHECK_OK(puna_session_sync(sessions[1], tokens + 1, N - 1, &err), err);
    CHECK_OK(puna_session_sync(sessions[0], tokens, N - 2, &err), err);
    CHECK_OK(puna_sessions_sync(sessions, lists, lengths, 2, &err), err);
    compare("writing", puna_session_logits(sessions[0]), expected[1], SHOWN, 1e-4);
    compare("reading", puna_session_logits(sessions[1]), alone, VOCAB, 1e-5);
    puna_session_free(sessions[1]);
    close_both(&o);
}

static void it_is_saved_and_goes_on(void)
{
    puna_error err = { 0 };
    void *data = NULL;
    size_t n = 0, n_tokens = 0;
    int32_t *ids = NULL;
    puna_result result;
    puna_params *params = puna_params_new();
    opened o;
    if (!open_t5(&o, "cpu"))
        return;
    CHECK_OK(puna_session_sync(o.session, tokens, N - 1, &err), err);
    CHECK_OK(puna_session_save(o.session, &data, &n, &err), err);
    CHECK_OK(puna_session_sync(o.session, tokens + 2, N - 2, &err), err);
    CHECK_OK(puna_session_load(o.session, data, n, &err), err);
    CHECK_OK(puna_session_sync(o.session, tokens, N, &err), err);
    compare("loaded", puna_session_logits(o.session), expected[1], SHOWN, 1e-4);
    puna_params_set(params, "n_predict", "5", &err);
    puna_params_set(params, "ignore_eos", "on", &err);
    CHECK_OK(puna_generate(o.session, params, NULL, NULL, &result, &err), err);
    CHECK_INT(result.n_tokens, 5);
    CHECK_OK(puna_tokenize(o.model, "a b", 3, PUNA_TOKENS_ADD_SPECIAL, &ids, &n_tokens, &err), err);
    CHECK(n_tokens == 5 && ids[4] == 0);
    puna_free(ids);
    puna_free(data);
    puna_params_free(params);
    close_both(&o);
}

static void lists_without_both_are_refused(void)
{
    puna_error err = { 0 };
    opened o;
    if (!open_t5(&o, "cpu"))
        return;
    CHECK_INT(puna_session_sync(o.session, tokens, N_READ, &err), PUNA_ERR_ARGUMENT);
    CHECK(strstr(err.message, "no token 0"));
    CHECK_INT(puna_session_sync(o.session, tokens + N_READ, 2, &err), PUNA_ERR_ARGUMENT);
    CHECK_OK(puna_session_sync(o.session, tokens, N, &err), err);
    close_both(&o);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = { TEST(logits_are_those_of_llama_cpp), TEST(another_text_is_read_anew),
                                       TEST(each_token_that_is_written_has_logits), TEST(sessions_read_and_write_beside_each_other),
                                       TEST(it_is_saved_and_goes_on), TEST(lists_without_both_are_refused) };
    return test_main("t5", cases, sizeof cases / sizeof *cases, argc, argv);
}
