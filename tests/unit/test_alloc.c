/* test_alloc.c - memory: the token loop allocates nothing, and when any single allocation of
 * loading or generating fails, the call says so and everything can still be freed. Replaces malloc, so it is
 * skipped under sanitizers, which replace it too. */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/status.h"
#include "harness.h"
#include "puna.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAVE_GUARD 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAVE_GUARD 0
#endif
#endif
#ifndef HAVE_GUARD
#define HAVE_GUARD 1
#endif

static atomic_long n_allocations;  /* since the guard was armed */
static atomic_long fail_at;        /* the allocation that fails, counted from 1; 0 = none */

#if HAVE_GUARD
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *at, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *at);

static bool refused(void)
{
    long n = atomic_fetch_add(&n_allocations, 1) + 1;
    return n == atomic_load(&fail_at);
}

void *malloc(size_t n)
{
    return refused() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return refused() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *at, size_t n)
{
    return refused() ? NULL : __libc_realloc(at, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    return refused() ? NULL : __libc_memalign(align, n);
}

void free(void *at)
{
    __libc_free(at);
}
#endif

static long n_when_first, n_when_last;

static int watch(void *user, int32_t token, const char *text, size_t n)
{
    (void)user, (void)token, (void)text, (void)n;
    n_when_last = atomic_load(&n_allocations);
    if (n_when_first < 0)
        n_when_first = n_when_last;
    return 0;
}

static puna_status whole_run(const char *backend, int *n_tokens)
{
    puna_error err = { 0 };
    puna_model *model = NULL;
    puna_session *session = NULL;
    puna_result result = { 0 };
    int32_t *tokens = NULL;
    size_t n = 0;
    puna_params *params = puna_params_new();
    puna_status status = params ? PUNA_OK : PUNA_ERR_MEMORY;
    if (!status)
        status = puna_params_set(params, "backend", backend, &err);
    if (!status)
        status = puna_params_set(params, "n_predict", "100", &err);
    if (!status)
        status = puna_params_set(params, "repeat_penalty", "1.1", &err);
    if (!status)
        status = puna_model_open(&model, "builtin:stories260K", params, &err);
    if (!status)
        status = puna_session_open(&session, model, params, &err);
    if (!status)
        status = puna_tokenize(model, "Once", 4, PUNA_TOKENS_ADD_SPECIAL, &tokens, &n, &err);
    if (!status)
        status = puna_session_sync(session, tokens, n, &err);
    if (!status)
        status = puna_generate(session, params, watch, NULL, &result, &err);
    *n_tokens = result.n_tokens;
    puna_free(tokens);
    puna_session_free(session);
    puna_model_free(model);
    puna_params_free(params);
    return status;
}

enum { STREAMS = 3, STREAM_TOKENS = 100 };

/* Streams side by side, with a prompt each that begins like the first's, one of them cut short midway. */
static puna_status step_streams(puna_session *const *sessions, int32_t lists[][STREAM_TOKENS], const puna_params *params)
{
    const int32_t *tokens[STREAMS];
    size_t n[STREAMS];
    for (size_t i = 0; i < STREAMS; i++) {
        n[i] = 40 + i;
        tokens[i] = lists[i];
        for (size_t k = 0; k < n[i]; k++)
            lists[i][k] = (int32_t)(k < 35 ? 10 + k : 60 + i * k);
    }
    for (int step = 0; step < 50; step++) {
        TRY(puna_sessions_sync(sessions, tokens, n, STREAMS, NULL));
        watch(NULL, 0, NULL, 0);
        for (size_t i = 0; i < STREAMS; i++)
            TRY(puna_session_sample(sessions[i], params, &lists[i][n[i]++], NULL));
        if (step == 25)
            n[1] = 20;
    }
    return PUNA_OK;
}

static puna_status whole_group(const char *backend)
{
    static int32_t lists[STREAMS][STREAM_TOKENS];
    puna_model *model = NULL;
    puna_session *sessions[STREAMS] = { NULL };
    puna_params *params = puna_params_new();
    puna_status status = params ? PUNA_OK : PUNA_ERR_MEMORY;
    if (!status)
        status = puna_params_set(params, "backend", backend, NULL);
    if (!status)
        status = puna_params_set(params, "repeat_penalty", "1.1", NULL);
    if (!status)
        status = puna_model_open(&model, "builtin:stories260K", params, NULL);
    if (!status)
        status = puna_session_open(&sessions[0], model, params, NULL);
    for (size_t i = 1; i < STREAMS && !status; i++)
        status = puna_session_open_beside(&sessions[i], sessions[0], NULL);
    if (!status)
        status = step_streams(sessions, lists, params);
    for (size_t i = 0; i < STREAMS; i++)
        puna_session_free(sessions[i]);
    puna_model_free(model);
    puna_params_free(params);
    return status;
}

static void no_allocation_in_the_token_loop(void)
{
    static const char *const backends[] = { "cpu", "ref" };
    if (!HAVE_GUARD) {
        test_skip("malloc belongs to the sanitizer");
        return;
    }
    for (int i = 0; i < 2; i++) {
        int n_tokens = 0;
        n_when_first = -1;
        CHECK_INT(whole_run(backends[i], &n_tokens), PUNA_OK);
        CHECK_INT(n_tokens, 100);
        CHECK(n_when_first > 0);
        CHECK_INT(n_when_last - n_when_first, 0);
        n_when_first = -1;
        CHECK_INT(whole_group(backends[i]), PUNA_OK);
        CHECK(n_when_first > 0);
        CHECK_INT(n_when_last - n_when_first, 0);
    }
}

static puna_status one_session(void)
{
    int n_tokens;
    return whole_run("cpu", &n_tokens);
}

static puna_status group_of_sessions(void)
{
    return whole_group("cpu");
}

static void fail_each_allocation(puna_status (*run)(void))
{
    int n_failed = 0;
    for (long n = 1;; n++) {
        atomic_store(&n_allocations, 0);
        atomic_store(&fail_at, n);
        puna_status status = run();
        bool reached = atomic_load(&n_allocations) >= n;
        atomic_store(&fail_at, 0);
        if (!reached)
            break;
        if (status && status != PUNA_ERR_MEMORY)
            test_fail(__FILE__, __LINE__, "allocation %ld: got status %d, expected %d", n, (int)status, PUNA_ERR_MEMORY);
        n_failed += status == PUNA_ERR_MEMORY;
    }
    CHECK(n_failed > 20);
}

static void any_allocation_may_fail(void)
{
    if (!HAVE_GUARD) {
        test_skip("malloc belongs to the sanitizer");
        return;
    }
    fail_each_allocation(one_session);
    fail_each_allocation(group_of_sessions);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = { TEST(no_allocation_in_the_token_loop), TEST(any_allocation_may_fail) };
    return test_main("alloc", cases, sizeof cases / sizeof *cases, argc, argv);
}
