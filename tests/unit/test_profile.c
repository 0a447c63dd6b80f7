/* test_profile.c - sessions that note their time: the logits are the same bit for bit, what is counted
 * is what the model's sizes say, and asking starts over. */
#include <stdlib.h>

#include <jansson.h>

#include "harness.h"
#include "puna.h"

static const int32_t tokens[] = { 1, 300, 21, 7, 412, 99, 5, 6 };
enum { N = sizeof tokens / sizeof *tokens };

static puna_session *open_session(const puna_model *model, const char *profile, const char *fusion)
{
    puna_session *session = NULL;
    puna_params *params = puna_params_new();
    puna_error err = { 0 };
    puna_params_set(params, "ctx", "64", &err);
    puna_params_set(params, "threads", "2", &err);
    puna_params_set(params, "profile", profile, &err);
    puna_params_set(params, "fusion", fusion, &err);
    CHECK_OK(puna_session_open(&session, model, params, &err), err);
    puna_params_free(params);
    return session;
}

static puna_model *open_model(const char *backend)
{
    puna_model *model = NULL;
    puna_params *params = puna_params_new();
    puna_error err = { 0 };
    puna_params_set(params, "backend", backend, &err);
    CHECK_OK(puna_model_open(&model, test_data("model/llama.gguf"), params, &err), err);
    puna_params_free(params);
    return model;
}

static json_t *ask(puna_session *session, const char *topic)
{
    char *text = NULL;
    puna_error err = { 0 };
    if (!CHECK_OK(puna_session_describe(session, topic, &text, &err), err))
        return NULL;
    json_t *document = json_loads(text, 0, NULL);
    CHECK(document != NULL);
    puna_free(text);
    return document;
}

static json_int_t whole(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* The sum of a number over the steps. */
static double sum(const json_t *profile, const char *key)
{
    double all = 0;
    size_t i;
    const json_t *step;
    json_array_foreach(json_object_get(profile, "steps"), i, step)
        all += json_number_value(json_object_get(step, key));
    return all;
}

static size_t n_ops(const json_t *profile)
{
    size_t n = 0, i;
    const json_t *step;
    json_array_foreach(json_object_get(profile, "steps"), i, step)
        n += json_array_size(json_object_get(step, "ops"));
    return n;
}

static void noting_time_changes_no_logits(void)
{
    puna_model *model = open_model("cpu");
    puna_error err = { 0 };
    size_t n_logits = (size_t)puna_model_n_vocab(model);
    for (int fused = 0; fused < 2; fused++) {
        puna_session *plain = open_session(model, "off", fused ? "on" : "off");
        puna_session *timed = open_session(model, "on", fused ? "on" : "off");
        int32_t ids[N];
        for (int i = 0; i < N; i++)
            ids[i] = tokens[i] % puna_model_n_vocab(model);
        for (size_t n = 1; n <= N; n += 3) {
            CHECK_OK(puna_session_sync(plain, ids, n, &err), err);
            CHECK_OK(puna_session_sync(timed, ids, n, &err), err);
            const float *a = puna_session_logits(plain), *b = puna_session_logits(timed);
            CHECK(a && b && memcmp(a, b, n_logits * sizeof *a) == 0);
        }
        puna_session_free(plain);
        puna_session_free(timed);
    }
    puna_model_free(model);
}

/* One token after four: fused or not, on either backend, the same bytes and products are counted. */
static void what_is_counted_does_not_depend_on_who_computes(void)
{
    static const char *const backends[] = { "cpu", "ref" };
    double bytes = 0, multiplies = 0;
    size_t ops = 0;
    for (int b = 0; b < 2; b++)
        for (int fused = 0; fused < 2; fused++) {
            puna_model *model = open_model(backends[b]);
            puna_session *session = open_session(model, "on", fused ? "on" : "off");
            puna_error err = { 0 };
            const int32_t ids[] = { 1, 2, 3, 4, 5 };
            CHECK_OK(puna_session_sync(session, ids, 4, &err), err);
            json_decref(ask(session, "profile"));
            CHECK_OK(puna_session_sync(session, ids, 5, &err), err);
            json_t *profile = ask(session, "profile");
            CHECK_INT(whole(profile, "runs"), 1);
            CHECK_INT(whole(profile, "tokens"), 1);
            CHECK(sum(profile, "ms") > 0);
            if (b == 0 && fused == 0) {
                bytes = sum(profile, "bytes");
                multiplies = sum(profile, "multiplies");
                ops = n_ops(profile);
                CHECK(bytes > 0 && multiplies > 0);
            }
            CHECK_NEAR(sum(profile, "multiplies"), multiplies, 0);
            CHECK_INT(n_ops(profile), ops);
            if (b == 0)
                CHECK_NEAR(sum(profile, "bytes"), bytes, 0); /* ref keeps its cache in float32 */
            json_decref(profile);
            profile = ask(session, "profile"); /* nothing since */
            CHECK_INT(whole(profile, "runs"), 0);
            CHECK_NEAR(sum(profile, "ms") + sum(profile, "bytes"), 0, 0);
            json_decref(profile);
            puna_session_free(session);
            puna_model_free(model);
        }
}

static void a_cache_says_what_a_position_costs(void)
{
    puna_model *model = open_model("cpu");
    puna_session *session = open_session(model, "off", "on");
    puna_error err = { 0 };
    char *text = NULL;
    json_t *cache = ask(session, "cache"), *rows = json_object_get(cache, "caches"), *row = json_array_get(rows, 0);
    CHECK_INT(json_array_size(rows), 1);
    CHECK_INT(whole(row, "window"), 0);
    CHECK(whole(row, "layers") > 0 && whole(row, "bytes_per_position") > 0 && whole(row, "multiplies_per_position") > 0);
    json_decref(cache);
    CHECK_INT(puna_session_describe(session, "profile", &text, &err), PUNA_ERR_ARGUMENT);
    CHECK_TEXT(err.message, "profile: got a session without, expected one opened with profile=on");
    CHECK_INT(puna_session_describe(session, "no such", &text, &err), PUNA_ERR_ARGUMENT);
    CHECK_TEXT(err.message, "topic: got no such, expected cache or profile");
    CHECK(text == NULL);
    puna_session_free(session);
    puna_model_free(model);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(noting_time_changes_no_logits),
        TEST(what_is_counted_does_not_depend_on_who_computes),
        TEST(a_cache_says_what_a_position_costs),
    };
    return test_main("profile", cases, sizeof cases / sizeof cases[0], argc, argv);
}
