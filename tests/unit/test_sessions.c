/* test_sessions.c - several sessions over one model at once, each on its own thread: what one
 * computes does not depend on the others, and idle ones cost nothing. Meant to be run under ThreadSanitizer too. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "harness.h"
#include "puna.h"

enum { N_THREADS = 3 };

typedef struct job {
    const puna_model *model;
    const char *n_threads;
    char text[1024];
    size_t n;
    puna_status status;
} job;

static int collect(void *user, int32_t token, const char *text, size_t n)
{
    job *j = user;
    (void)token;
    if (j->n + n < sizeof j->text) {
        memcpy(j->text + j->n, text, n);
        j->n += n;
    }
    return 0;
}

static puna_status tell(job *j, puna_params *params, puna_session **session, int32_t **tokens)
{
    size_t n;
    puna_status status = puna_params_set(params, "temp", "0", NULL);
    if (!status)
        status = puna_params_set(params, "n_predict", "60", NULL);
    if (!status)
        status = puna_params_set(params, "threads", j->n_threads, NULL);
    if (!status)
        status = puna_session_open(session, j->model, params, NULL);
    if (!status)
        status = puna_tokenize(j->model, "Once upon a time", 16, PUNA_TOKENS_ADD_SPECIAL, tokens, &n, NULL);
    if (!status)
        status = puna_session_sync(*session, *tokens, n, NULL);
    return status ? status : puna_generate(*session, params, collect, j, NULL, NULL);
}

static void *run(void *user)
{
    job *j = user;
    puna_session *session = NULL;
    int32_t *tokens = NULL;
    puna_params *params = puna_params_new();
    j->status = params ? tell(j, params, &session, &tokens) : PUNA_ERR_MEMORY;
    puna_free(tokens);
    puna_session_free(session);
    puna_params_free(params);
    return NULL;
}

static void sessions_do_not_meet(void)
{
    static job jobs[N_THREADS + 1];
    pthread_t threads[N_THREADS];
    puna_error err = { PUNA_OK, "", "" };
    puna_model *model = NULL;
    if (!CHECK_OK(puna_model_open(&model, "builtin:stories260K", NULL, &err), err))
        return;
    for (int i = 0; i <= N_THREADS; i++)
        jobs[i] = (job){ .model = model, .n_threads = i % 2 ? "2" : "1" };
    run(&jobs[N_THREADS]);
    CHECK_INT(jobs[N_THREADS].status, PUNA_OK);
    CHECK(jobs[N_THREADS].n > 100);
    for (int i = 0; i < N_THREADS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, run, &jobs[i]), 0);
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK_INT(jobs[i].status, PUNA_OK);
        CHECK_TEXT(jobs[i].text, jobs[N_THREADS].text);
    }
    puna_model_free(model);
}

/* A session between two turns takes no processor time, with any number of threads. */
static void idle_sessions_take_no_processor_time(void)
{
    static const int32_t tokens[] = { 1, 403, 407, 261 };
    static const char *const counts[] = { "0", "2", "5" };
    puna_error err = { PUNA_OK, "", "" };
    puna_model *model = NULL;
    if (!CHECK_OK(puna_model_open(&model, "builtin:stories260K", NULL, &err), err))
        return;
    puna_session *sessions[3] = { NULL, NULL, NULL };
    for (int i = 0; i < 3; i++) {
        puna_params *params = puna_params_new();
        CHECK_OK(puna_params_set(params, "threads", counts[i], &err), err);
        if (CHECK_OK(puna_session_open(&sessions[i], model, params, &err), err))
            CHECK_OK(puna_session_sync(sessions[i], tokens, 4, &err), err);
        puna_params_free(params);
    }
    nanosleep(&(struct timespec){ .tv_nsec = 50 * 1000 * 1000 }, NULL);
    clock_t before = clock();
    nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
    double ms = (double)(clock() - before) * 1e3 / CLOCKS_PER_SEC;
    if (!(ms < 5))
        test_fail(__FILE__, __LINE__, "got %.1f ms of processor time in an idle second, expected less than 5",
                  ms);
    for (int i = 0; i < 3; i++)
        puna_session_free(sessions[i]);
    puna_model_free(model);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = { TEST(sessions_do_not_meet),
                                       TEST(idle_sessions_take_no_processor_time) };
    return test_main("sessions", cases, sizeof cases / sizeof *cases, argc, argv);
}
