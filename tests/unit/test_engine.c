/* test_engine.c - the whole path on stories260K, against llama2.c's own numbers, for every backend
 * and container; and what a session promises: prefill equals steps, rewinding equals a fresh run. */
#include <jansson.h>
#include <stdlib.h>

#include "harness.h"
#include "puna.h"

static json_t *golden(void)
{
    static json_t *json;
    if (!json)
        json = json_load_file(test_data("engine/stories260K.json"), 0, NULL);
    return json;
}

typedef struct opened {
    puna_params *params;
    puna_model *model;
    puna_session *session;
} opened;

static opened open_with(const char *path, const char *const *options)
{
    opened o = { .params = puna_params_new() };
    puna_error err = { 0 };
    for (; options && options[0]; options += 2)
        CHECK_OK(puna_params_set(o.params, options[0], options[1], &err), err);
    if (CHECK_OK(puna_model_open(&o.model, path, o.params, &err), err))
        CHECK_OK(puna_session_open(&o.session, o.model, o.params, &err), err);
    return o;
}

static void close_all(opened *o)
{
    puna_session_free(o->session);
    puna_model_free(o->model);
    puna_params_free(o->params);
}

static int32_t argmax(const float *logits, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

static int32_t token_at(const json_t *list, size_t i)
{
    return (int32_t)json_integer_value(json_array_get(list, i));
}

/* The 64 greedy steps of one prompt: every token, and the five best logits of each. */
static void greedy_case(opened *o, json_t *item, double tolerance, int *n_wrong)
{
    int32_t tokens[512];
    puna_error err = { 0 };
    json_t *prompt = json_object_get(item, "prompt_tokens"), *step;
    size_t n = json_array_size(prompt), i;
    for (i = 0; i < n; i++)
        tokens[i] = token_at(prompt, i);
    json_array_foreach(json_object_get(item, "steps"), i, step)
    {
        size_t n_now = (size_t)json_integer_value(json_object_get(step, "pos")) + 1;
        if (!CHECK_OK(puna_session_sync(o->session, tokens, n_now, &err), err))
            return;
        const float *logits = puna_session_logits(o->session);
        json_t *top = json_object_get(step, "top5"), *pair;
        size_t k;
        json_array_foreach(top, k, pair)
            CHECK_NEAR(logits[token_at(pair, 0)], json_number_value(json_array_get(pair, 1)), tolerance);
        int32_t want = (int32_t)json_integer_value(json_object_get(step, "argmax"));
        *n_wrong += argmax(logits, 512) != want;
        if (n_now >= n)
            tokens[n_now] = want;
    }
}

static void greedy(const char *path, const char *const *options, double tolerance, int allowed_wrong)
{
    opened o = open_with(path, options);
    json_t *item;
    size_t i;
    int n_wrong = 0;
    json_array_foreach(json_object_get(golden(), "greedy"), i, item)
        if (o.session)
            greedy_case(&o, item, tolerance, &n_wrong);
    CHECK_INT(i, 4);
    CHECK(n_wrong <= allowed_wrong);
    close_all(&o);
}

static void full_vector(const char *path, const char *const *options, double tolerance)
{
    opened o = open_with(path, options);
    json_t *full = json_object_get(golden(), "full_logits"), *list = json_object_get(full, "tokens");
    json_t *last = json_object_get(full, "last");
    int32_t tokens[64];
    puna_error err = { 0 };
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++)
        tokens[i] = token_at(list, i);
    if (o.session && CHECK_OK(puna_session_sync(o.session, tokens, n, &err), err))
        for (size_t i = 0; i < 512; i++)
            CHECK_NEAR(puna_session_logits(o.session)[i], json_number_value(json_array_get(last, i)), tolerance);
    close_all(&o);
}

static const char *const with_ref[] = { "backend", "ref", NULL };
static const char *const with_cpu[] = { "threads", "2", NULL };
static const char *const with_cpu_f16[] = { "threads", "2", "kv_type", "f16", NULL };
static const char *const with_cpu_q8[] = { "threads", "2", "kv_type", "q8_0", NULL };
static const char *const with_cpu_q4[] = { "threads", "2", "kv_type", "q4_0", NULL };
static const char *const with_scalar[] = { "threads", "1", "isa", "scalar", NULL };

static void builtin_matches_llama2c(void)
{
    greedy("builtin:stories260K", with_ref, 1e-3, 0);
    greedy("builtin:stories260K", with_cpu, 1e-3, 0);
    greedy("builtin:stories260K", with_cpu_f16, 5e-2, 0);
    greedy("builtin:stories260K", with_scalar, 1e-3, 0);
    full_vector("builtin:stories260K", with_ref, 1e-3);
    full_vector("builtin:stories260K", with_cpu, 1e-3);
    full_vector("builtin:stories260K", with_scalar, 1e-3);
}

/* Files, and how far their own encoding lies from float32. */
static void containers_match_llama2c(void)
{
    static const struct {
        const char *file;
        double tolerance;
        int allowed_wrong;
    } files[] = {
        { "models/stories260K/stories260K.gguf", 1e-3, 0 },
        { "models/stories260K/stories260K-F16.gguf", 5e-2, 0 },
        { "models/stories260K/stories260K.bin", 1e-3, 0 },
        { "models/stories260K/stories260K_clebert_v1.bin", 1e-3, 0 },
        { "models/stories260K/stories260K_q80_v2.bin", 0.5, 8 },
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = test_shared(files[i].file);
        if (!path) {
            test_skip("needs the shared data");
            return;
        }
        greedy(path, with_ref, files[i].tolerance, files[i].allowed_wrong);
        greedy(path, with_cpu, files[i].tolerance, files[i].allowed_wrong);
    }
}

typedef struct scoring {
    const int32_t *tokens;
    size_t n;
    double nll;
    int n_scored;
} scoring;

static int score(void *user, size_t position, const float *logits)
{
    scoring *s = user;
    if (position + 1 < s->n) {
        s->nll -= (double)puna_logprob(logits, 512, s->tokens[position + 1]);
        s->n_scored++;
    }
    return 0;
}

static double perplexity(const char *const *options)
{
    opened o = open_with("builtin:stories260K", options);
    puna_error err = { 0 };
    char *text = NULL;
    int32_t *tokens = NULL;
    size_t n_tokens = 0;
    scoring total = { 0 };
    FILE *file = fopen(test_data("engine/tinystories_sample.txt"), "rb");
    text = calloc(1, 1 << 16);
    size_t n = file ? fread(text, 1, 1 << 16, file) : 0;
    if (file)
        fclose(file);
    CHECK_OK(puna_tokenize(o.model, text, n, PUNA_TOKENS_ADD_SPECIAL, &tokens, &n_tokens, &err), err);
    CHECK_INT(n_tokens, 1883);
    for (size_t at = 0; at + 256 <= n_tokens; at += 256) {
        tokens[at] = 1;
        total.tokens = tokens + at;
        total.n = 256;
        CHECK_OK(puna_session_each(o.session, tokens + at, 256, score, &total, &err), err);
    }
    CHECK_INT(total.n_scored, 1785);
    puna_free(tokens);
    free(text);
    close_all(&o);
    return exp(total.nll / total.n_scored);
}

static void perplexity_matches_llama2c(void)
{
    CHECK_NEAR(perplexity(with_ref), 6.3315, 0.0005);
    CHECK_NEAR(perplexity(with_cpu), 6.3315, 0.0005);
    CHECK_NEAR(perplexity(with_cpu_f16), 6.3315, 0.005);
    CHECK_NEAR(perplexity(with_cpu_q8), 6.3315,
               0.01); /* coarser caches: heads of 8 leave little to average over */
    CHECK_NEAR(perplexity(with_cpu_q4), 6.3315, 0.13);
}

static double furthest(const float *a, const float *b, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        const double apart = fabs((double)a[i] - (double)b[i]); /* fmax stops gcc 12 for 64-bit ARM */
        most = apart > most ? apart : most;
    }
    return most;
}

/* 100 tokens that the model itself wrote, so that they are not all alike. */
static size_t story(opened *o, int32_t *tokens, size_t n)
{
    puna_error err = { 0 };
    tokens[0] = 1;
    for (size_t i = 1; i < n; i++) {
        CHECK_OK(puna_session_sync(o->session, tokens, i, &err), err);
        tokens[i] = argmax(puna_session_logits(o->session), 512);
    }
    return n;
}

static void prefill_equals_steps(void)
{
    static const char *const variants[][5] = {
        { "backend", "ref", NULL }, { "threads", "1", NULL }, { "threads", "2", NULL }, { "batch", "7", NULL }, { "fusion", "off", NULL }
    };
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        opened o = open_with("builtin:stories260K", variants[v]);
        puna_error err = { 0 };
        int32_t tokens[100];
        float stepped[512];
        story(&o, tokens, 100);
        CHECK_OK(puna_session_sync(o.session, tokens, 100, &err), err);
        memcpy(stepped, puna_session_logits(o.session), sizeof stepped);
        CHECK_OK(puna_session_sync(o.session, NULL, 0, &err), err);
        CHECK(puna_session_logits(o.session) == NULL);
        CHECK_OK(puna_session_sync(o.session, tokens, 100, &err), err);
        CHECK_NEAR(furthest(stepped, puna_session_logits(o.session), 512), 0, 1e-3);
        close_all(&o);
    }
}

/* Whatever a session went through, sync must end where a fresh one does. */
static void sync_equals_a_fresh_run(void)
{
    opened o = open_with("builtin:stories260K", with_cpu), fresh = open_with("builtin:stories260K", with_cpu);
    puna_error err = { 0 };
    int32_t tokens[100], other[100];
    story(&fresh, tokens, 100);
    memcpy(other, tokens, sizeof other);
    for (int i = 40; i < 100; i++)
        other[i] = (tokens[i] * 7 + i) % 512;
    static const struct {
        int which, n;
    } path[] = { { 0, 100 }, { 1, 100 }, { 0, 60 }, { 0, 60 }, { 0, 59 }, { 1, 41 }, { 0, 1 }, { 1, 77 }, { 0, 100 } };
    for (size_t i = 0; i < sizeof path / sizeof *path; i++) {
        const int32_t *t = path[i].which ? other : tokens;
        CHECK_OK(puna_session_sync(o.session, t, (size_t)path[i].n, &err), err);
        CHECK_OK(puna_session_sync(fresh.session, NULL, 0, &err), err);
        CHECK_OK(puna_session_sync(fresh.session, t, (size_t)path[i].n, &err), err);
        CHECK_NEAR(furthest(puna_session_logits(o.session), puna_session_logits(fresh.session), 512), 0, 1e-3);
        size_t n;
        CHECK(memcmp(puna_session_tokens(o.session, &n), t, (size_t)path[i].n * sizeof *t) == 0);
        CHECK_INT(n, path[i].n);
    }
    close_all(&o);
    close_all(&fresh);
}

static void save_and_go_on(const char *const *options)
{
    opened a = open_with("builtin:stories260K", options), b = open_with("builtin:stories260K", options);
    puna_error err = { 0 };
    int32_t tokens[100];
    void *data = NULL;
    size_t size = 0;
    story(&a, tokens, 100);
    CHECK_OK(puna_session_sync(a.session, tokens, 70, &err), err);
    CHECK_OK(puna_session_save(a.session, &data, &size, &err), err);
    CHECK_OK(puna_session_load(b.session, data, size, &err), err);
    CHECK(memcmp(puna_session_logits(a.session), puna_session_logits(b.session), 512 * sizeof(float)) == 0);
    CHECK_OK(puna_session_sync(a.session, tokens, 100, &err), err);
    CHECK_OK(puna_session_sync(b.session, tokens, 100, &err), err);
    CHECK(memcmp(puna_session_logits(a.session), puna_session_logits(b.session), 512 * sizeof(float)) == 0);
    for (size_t cut = 0; cut < size; cut += cut < 200 ? 1 : 9973) /* truncated at every place that matters */
        CHECK(puna_session_load(b.session, data, cut, &err) == PUNA_ERR_FORMAT);
    for (size_t i = 0; i < 48; i++) { /* any byte of the header wrong: refused, or the same state */
        ((unsigned char *)data)[i] ^= 0x41;
        puna_session_load(b.session, data, size, &err);
        ((unsigned char *)data)[i] ^= 0x41;
    }
    puna_free(data);
    close_all(&a);
    close_all(&b);
}

static void saved_sessions_go_on(void)
{
    save_and_go_on(with_cpu);
    save_and_go_on(with_cpu_q8);
    save_and_go_on(with_cpu_q4);
}

/* What was saved in one encoding is not read in another. */
static void saved_sessions_keep_their_encoding(void)
{
    opened a = open_with("builtin:stories260K", with_cpu_q8),
           b = open_with("builtin:stories260K", with_cpu_q4);
    puna_error err = { 0 };
    int32_t tokens[40];
    void *data = NULL;
    size_t size = 0;
    story(&a, tokens, 40);
    CHECK_OK(puna_session_sync(a.session, tokens, 40, &err), err);
    CHECK_OK(puna_session_save(a.session, &data, &size, &err), err);
    CHECK(puna_session_load(b.session, data, size, &err) == PUNA_ERR_FORMAT &&
          strstr(err.message, "kv_type"));
    puna_free(data);
    close_all(&a);
    close_all(&b);
}

typedef struct written {
    char text[4096];
    size_t n;
    int stop_after, n_calls;
} written;

static int collect(void *user, int32_t token, const char *text, size_t n)
{
    written *w = user;
    (void)token;
    if (w->n + n < sizeof w->text)
        memcpy(w->text + w->n, text, n);
    w->n += n;
    w->text[w->n] = '\0';
    return ++w->n_calls == w->stop_after;
}

static void generate(const char *const *options, const char *prompt, written *w, puna_result *result)
{
    opened o = open_with("builtin:stories260K", options);
    puna_error err = { 0 };
    int32_t *tokens;
    size_t n;
    CHECK_OK(puna_tokenize(o.model, prompt, strlen(prompt), PUNA_TOKENS_ADD_SPECIAL, &tokens, &n, &err), err);
    CHECK_OK(puna_session_sync(o.session, tokens, n, &err), err);
    CHECK_OK(puna_generate(o.session, o.params, collect, w, result, &err), err);
    puna_free(tokens);
    close_all(&o);
}

/* From the model's own page: what llama2.c writes at temperature 0. */
static const char known[] = ", there was a little girl named Lily. She loved to play outside in the park. One day, she "
                            "saw a big, red ball. She wanted to play with it, but it was too high.\nLily's mom said";

static void greedy_text_is_known(void)
{
    static const char *const options[][9] = {
        { "temp", "0", "n_predict", "40", "threads", "1", NULL },
        { "temp", "0", "n_predict", "40", "threads", "2", NULL },
        { "temp", "0", "n_predict", "40", "backend", "ref", NULL },
        { "temp", "1", "top_k", "1", "n_predict", "40", "seed", "5", NULL },
    };
    for (size_t i = 0; i < 4; i++) {
        written w = { 0 };
        puna_result result;
        generate(options[i], "Once upon a time", &w, &result);
        CHECK(w.n > 90 && strncmp(known, w.text, w.n) == 0);
        CHECK_INT(result.finish, PUNA_FINISH_LENGTH);
        CHECK_INT(result.n_tokens, 40);
    }
}

static void generation_stops_and_repeats(void)
{
    static const char *const options[] = { "seed", "11", "n_predict", "50", "threads", "2", NULL };
    static const char *const small[] = { "temp", "0", "ctx", "20", NULL };
    written a = { 0 }, b = { 0 }, c = { .stop_after = 3 }, d = { 0 };
    puna_result result;
    generate(options, "Tim", &a, &result);
    generate(options, "Tim", &b, &result);
    CHECK_TEXT(a.text, b.text);
    generate(options, "Tim", &c, &result);
    CHECK_INT(result.finish, PUNA_FINISH_INTERRUPTED);
    CHECK_INT(result.n_tokens, 3);
    CHECK(c.n > 0 && strncmp(a.text, c.text, c.n) == 0);
    generate(small, "Once upon a time", &d, &result);
    CHECK_INT(result.finish, PUNA_FINISH_LENGTH);
}

static void mistakes_are_errors(void)
{
    static const char *const small[] = { "ctx", "16", NULL };
    opened o = open_with("builtin:stories260K", small);
    puna_error err = { 0 };
    puna_model *none = NULL;
    int32_t tokens[17] = { 1 }, bad[] = { 1, 512 }, negative[] = { -1 };
    CHECK_INT(puna_session_sync(o.session, tokens, 17, &err), PUNA_ERR_CONTEXT);
    CHECK_TEXT(err.message, "context: got 17 tokens, expected at most 16");
    CHECK_INT(puna_session_sync(o.session, bad, 2, &err), PUNA_ERR_ARGUMENT);
    CHECK_INT(puna_session_sync(o.session, negative, 1, &err), PUNA_ERR_ARGUMENT);
    CHECK_INT(puna_generate(o.session, NULL, NULL, NULL, NULL, &err), PUNA_ERR_ARGUMENT);
    CHECK_INT(puna_model_open(&none, "builtin:nothing", NULL, &err), PUNA_ERR_NOT_FOUND);
    CHECK_INT(puna_model_open(&none, test_data("no such file"), NULL, &err), PUNA_ERR_NOT_FOUND);
    CHECK_INT(puna_model_open(&none, test_data("engine/README.md"), NULL, &err), PUNA_ERR_FORMAT);
    CHECK(none == NULL);
    CHECK_INT(puna_params_set(o.params, "top_q", "1", &err), PUNA_ERR_ARGUMENT);
    CHECK(strstr(err.hint, "top_") != NULL);
    CHECK_INT(puna_params_set(o.params, "top-k", "-1", &err), PUNA_ERR_ARGUMENT);
    CHECK_INT(puna_params_set(o.params, "temp", "nan", &err), PUNA_ERR_ARGUMENT);
    CHECK_INT(puna_params_set(o.params, "backend", "gpu", &err), PUNA_ERR_ARGUMENT);
    CHECK_OK(puna_params_set(o.params, "top-k", "7", &err), err);
    CHECK_TEXT(puna_params_get(o.params, "top_k"), "7");
    close_all(&o);
}

static void top_logprobs_are_sorted(void)
{
    float logits[1000], logprobs[1000];
    int32_t tokens[1000];
    double total = 0;
    for (int i = 0; i < 1000; i++)
        logits[i] = (float)((i * 7919) % 1000) / 100;
    for (size_t k = 1; k <= 1000; k = k * 3 + 1) {
        CHECK_INT(puna_top_logprobs(logits, 1000, k, tokens, logprobs), k);
        for (size_t i = 1; i < k; i++)
            CHECK(logprobs[i - 1] > logprobs[i] || (logprobs[i - 1] == logprobs[i] && tokens[i - 1] < tokens[i]));
        CHECK_NEAR(logprobs[0], puna_logprob(logits, 1000, tokens[0]), 1e-6);
    }
    CHECK_INT(puna_top_logprobs(logits, 1000, 1000, tokens, logprobs), 1000);
    for (int i = 0; i < 1000; i++)
        total += exp((double)logprobs[i]);
    CHECK_NEAR(total, 1, 1e-5);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(builtin_matches_llama2c),
        TEST(containers_match_llama2c),
        TEST(perplexity_matches_llama2c),
        TEST(prefill_equals_steps),
        TEST(sync_equals_a_fresh_run),
        TEST(saved_sessions_go_on),
        TEST(saved_sessions_keep_their_encoding),
        TEST(greedy_text_is_known),
        TEST(generation_stops_and_repeats),
        TEST(mistakes_are_errors),
        TEST(top_logprobs_are_sorted),
    };
    int status = test_main("engine", cases, sizeof cases / sizeof *cases, argc, argv);
    json_decref(golden());
    return status;
}
