/* test_group.c - sessions beside each other: whatever they go through together, each ends where it
 * would have ended alone; a full cache, failures and interruptions lose nothing. */
#include <pthread.h>
#include <stdlib.h>

#include "engine/engine.h"
#include "harness.h"

enum { VOCAB = 512, MOST = 8, LONGEST = 200 };

static const char *const on_ref[] = { "backend", "ref", "ctx", "200", "ctx_total", "2000", NULL };
static const char *const on_cpu[] = { "threads", "2", "ctx", "200", "ctx_total", "2000", NULL };
static const char *const on_cpu_small[] = { "threads", "2", "batch", "16", "ctx", "200", "ctx_total", "2000", NULL };
static const char *const on_cpu_plain[] = { "threads", "1", "fusion", "off", "ctx", "200", "ctx_total", "2000", NULL };

/* Sessions beside each other, their lists, and one more session alone that says what is right. */
typedef struct group {
    puna_params *params;
    puna_model *model;
    puna_session *sessions[MOST], *alone;
    int32_t tokens[MOST][LONGEST];
    size_t n_tokens[MOST], n;
    double tolerance;
} group;

static bool open_group(group *g, const char *const *options, size_t n)
{
    puna_error err = { 0 };
    *g = (group){ .params = puna_params_new(), .n = n, .tolerance = strcmp(options[1], "ref") == 0 ? 0 : 1e-3 };
    for (size_t i = 0; options[i]; i += 2)
        CHECK_OK(puna_params_set(g->params, options[i], options[i + 1], &err), err);
    if (!CHECK_OK(puna_model_open(&g->model, "builtin:stories260K", g->params, &err), err) ||
        !CHECK_OK(puna_session_open(&g->alone, g->model, g->params, &err), err) ||
        !CHECK_OK(puna_session_open(&g->sessions[0], g->model, g->params, &err), err))
        return false;
    for (size_t i = 1; i < n; i++)
        if (!CHECK_OK(puna_session_open_beside(&g->sessions[i], g->sessions[0], &err), err))
            return false;
    return true;
}

static void close_group(group *g)
{
    for (size_t i = 0; i < g->n; i++)
        puna_session_free(g->sessions[i]);
    puna_session_free(g->alone);
    puna_model_free(g->model);
    puna_params_free(g->params);
}

/* Tokens [from, n) of list i, different for each seed. */
static void fill(group *g, size_t i, size_t from, size_t n, unsigned seed)
{
    for (size_t at = from; at < n; at++) {
        seed = seed * 1664525u + 1013904223u;
        g->tokens[i][at] = (int32_t)(3 + (seed >> 16) % 500);
    }
    g->n_tokens[i] = n;
}

static puna_status sync_some(group *g, size_t first, size_t n, puna_error *err)
{
    const int32_t *lists[MOST];
    for (size_t i = 0; i < MOST; i++)
        lists[i] = g->tokens[i];
    return puna_sessions_sync(g->sessions + first, lists + first, g->n_tokens + first, n, err);
}

static void sync_all(group *g)
{
    puna_error err = { 0 };
    CHECK_OK(sync_some(g, 0, g->n, &err), err);
}

/* Free blocks and blocks with a holder are all there are; each session holds as many as it needs. */
static void check_blocks(const group *g)
{
    const puna_scheduler *c = g->sessions[0]->scheduler;
    int32_t holders[256] = { 0 }, n_free = 0;
    for (const puna_session *s = c->sessions; s; s = s->next) {
        CHECK_INT(s->n_blocks, puna_blocks_of(s->n_tokens));
        for (int32_t i = 0; i < s->n_blocks; i++)
            holders[s->blocks[i]]++;
    }
    for (int32_t i = 0; i < c->blocks.kv.n_blocks; i++) {
        CHECK_INT(c->blocks.holders[i], holders[i]);
        n_free += holders[i] == 0;
    }
    CHECK_INT(c->blocks.n_free, n_free);
}

static int32_t blocks_used(const group *g)
{
    return g->sessions[0]->scheduler->blocks.kv.n_blocks - g->sessions[0]->scheduler->blocks.n_free;
}

/* Session i holds its list and the logits that it would have alone. */
static void check_session(group *g, size_t i)
{
    puna_error err = { 0 };
    size_t n;
    const int32_t *held = puna_session_tokens(g->sessions[i], &n);
    CHECK_INT(n, g->n_tokens[i]);
    CHECK(memcmp(held, g->tokens[i], n * sizeof *held) == 0);
    CHECK_OK(puna_session_sync(g->alone, NULL, 0, &err), err);
    CHECK_OK(puna_session_sync(g->alone, g->tokens[i], g->n_tokens[i], &err), err);
    const float *got = puna_session_logits(g->sessions[i]), *want = puna_session_logits(g->alone);
    if (n == 0) {
        CHECK(!got);
        return;
    }
    double most = 0;
    for (int v = 0; got && v < VOCAB; v++)
        most = fmax(most, fabs((double)got[v] - (double)want[v]));
    if (!got || !(most <= g->tolerance))
        test_fail(__FILE__, __LINE__, "session %zu of %zu tokens: logits: got %g away, expected at most %g", i, n, got ? most : NAN, g->tolerance);
}

static void check_all(group *g)
{
    for (size_t i = 0; i < g->n; i++)
        check_session(g, i);
    check_blocks(g);
}

static int32_t argmax(const float *logits)
{
    int32_t best = 0;
    for (int32_t i = 1; i < VOCAB; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

/* Prompts of all lengths, then greedy steps, some sessions ending before others, one rewritten. */
static void mixed_lengths(const char *const *options)
{
    static const size_t lengths[] = { 1, 7, 0, 33, 70, 100 };
    group g;
    if (open_group(&g, options, 6)) {
        for (size_t i = 0; i < g.n; i++)
            fill(&g, i, 0, lengths[i], (unsigned)i + 1);
        sync_all(&g);
        check_all(&g);
        fill(&g, 2, 0, 64, 77); /* one more comes while the others go on */
        for (int step = 0; step < 6; step++) {
            for (size_t i = 0; i < g.n; i++)
                if ((i != 2 || step > 0) && (i != 1 || step < 3))
                    g.tokens[i][g.n_tokens[i]++] = argmax(puna_session_logits(g.sessions[i]));
            sync_all(&g);
            if (step == 0 || step == 5)
                check_all(&g);
        }
        fill(&g, 4, 40, 90, 5); /* another continuation from the middle of a block */
        g.n_tokens[5] = 64;     /* shorter */
        sync_all(&g);
        check_all(&g);
        sync_all(&g); /* nothing to do */
        check_all(&g);
    }
    close_group(&g);
}

static void together_equals_alone(void)
{
    mixed_lengths(on_ref);
    mixed_lengths(on_cpu);
    mixed_lengths(on_cpu_small);
    mixed_lengths(on_cpu_plain);
}

/* Lists that begin alike are held and evaluated once, whoever comes first. */
static void common_beginnings_are_shared(void)
{
    static const char *const *const variants[] = { on_ref, on_cpu, on_cpu_small };
    for (size_t v = 0; v < 3; v++) {
        group g;
        if (open_group(&g, variants[v], 4)) {
            for (size_t i = 0; i < 3; i++) {
                fill(&g, i, 0, 75, 1);
                fill(&g, i, 75, 90 + i, (unsigned)i + 2);
            }
            fill(&g, 3, 0, 20, 9);
            sync_all(&g); /* 2 blocks in common and 1 each; 1 */
            CHECK_INT(blocks_used(&g), 2 + 3 + 1);
            check_all(&g);
            memcpy(g.tokens[3], g.tokens[0], 75 * sizeof(int32_t));
            fill(&g, 3, 75, 80, 20); /* one that has other tokens joins */
            sync_all(&g);
            CHECK_INT(blocks_used(&g), 2 + 4);
            check_all(&g);
            fill(&g, 1, 40, 100, 30); /* within a shared block: the others keep theirs */
            fill(&g, 0, 91, 110, 31);
            sync_all(&g);
            CHECK_INT(blocks_used(&g), 2 + 2 + 3 + 1 + 1); /* in common; own of each */
            check_all(&g);
            g.n_tokens[2] = 64; /* its logits are gone: the last token is evaluated again, in a copy */
            sync_all(&g);
            check_all(&g);
            for (size_t i = 0; i < g.n; i++)
                fill(&g, i, g.n_tokens[i], g.n_tokens[i] + 3, (unsigned)i + 40);
            sync_all(&g);
            check_all(&g);
            for (size_t i = 0; i < g.n; i++)
                g.n_tokens[i] = 0;
            sync_all(&g);
            CHECK_INT(blocks_used(&g), 0);
            check_all(&g);
        }
        close_group(&g);
    }
}

/* Random lists over a small alphabet of pieces, so that they share, part, and shrink in every way. */
static void anything_equals_alone(void)
{
    group g;
    unsigned seed = 12;
    if (open_group(&g, on_cpu_small, 5))
        for (int step = 0; step < 60; step++) {
            for (size_t i = 0; i < g.n; i++) {
                seed = seed * 1664525u + 1013904223u;
                size_t n = (seed >> 8) % 180, cut = (seed >> 20) % 3 * 45;
                if ((seed >> 28) % 3 == 0) { /* goes on */
                    if (g.n_tokens[i] < 190)
                        fill(&g, i, g.n_tokens[i], g.n_tokens[i] + 1, seed);
                    continue;
                }
                fill(&g, i, 0, cut < n ? cut : n, 1);
                fill(&g, i, g.n_tokens[i], n, 1 + (seed >> 25) % 3);
            }
            sync_all(&g);
            check_blocks(&g);
            if (step % 6 == 0)
                check_all(&g);
        }
    close_group(&g);
}

static void a_full_cache_loses_nothing(void)
{
    static const char *const options[] = { "threads", "1", "ctx", "64", "ctx_total", "128", "temp", "0", NULL };
    group g;
    puna_error err = { 0 };
    if (!open_group(&g, options, 4))
        return;
    fill(&g, 0, 0, 60, 1);
    fill(&g, 1, 0, 32, 2);
    fill(&g, 2, 0, 10, 3);
    CHECK_OK(sync_some(&g, 0, 3, &err), err);
    CHECK_INT(g.sessions[0]->scheduler->blocks.n_free, 0);
    fill(&g, 3, 0, 5, 4);
    g.tokens[0][g.n_tokens[0]++] = 7;
    CHECK_INT(sync_some(&g, 0, 4, &err), PUNA_ERR_MEMORY);
    CHECK_TEXT(err.message, "session 3: cache: got 5 tokens more, expected at most 0 beside the other sessions'");
    g.n_tokens[0]--;
    g.n_tokens[3] = 0;
    check_all(&g); /* logits too */
    puna_result result;
    CHECK_INT(puna_generate(g.sessions[1], g.params, NULL, NULL, &result, &err), PUNA_ERR_MEMORY);
    CHECK_INT(result.n_tokens, 1); /* drawn, with no room to go on */
    check_all(&g);
    fill(&g, 3, 0, 5, 4);
    g.n_tokens[2] = 0;
    sync_all(&g); /* what one gives back another takes, in one call */
    check_all(&g);
    fill(&g, 2, 0, 6, 5);
    g.n_tokens[3] = 0; /* but not when it comes later in the list */
    CHECK_INT(sync_some(&g, 0, 4, &err), PUNA_ERR_MEMORY);
    puna_session_free(g.sessions[0]);
    g.sessions[0] = NULL;
    CHECK_OK(sync_some(&g, 1, 3, &err), err);
    check_session(&g, 1);
    check_session(&g, 2);
    close_group(&g);
}

static void any_may_be_freed_first(void)
{
    for (size_t skip = 0; skip < 4; skip++) {
        group g;
        puna_error err = { 0 };
        if (!open_group(&g, on_cpu, 4))
            return;
        for (size_t i = 0; i < 4; i++) {
            fill(&g, i, 0, 70, 1);
            fill(&g, i, 70, 80, (unsigned)i);
        }
        sync_all(&g);
        puna_session_free(g.sessions[skip]); /* the others still read the blocks that they shared */
        g.sessions[skip] = g.sessions[3];
        if (skip < 3) {
            memcpy(g.tokens[skip], g.tokens[3], sizeof g.tokens[3]);
            CHECK_OK(puna_session_open_beside(&g.sessions[3], g.sessions[skip], &err), err);
            fill(&g, 3, 0, 90, 8);
        } else {
            g.n = 3;
        }
        for (size_t i = 0; i < g.n; i++)
            fill(&g, i, g.n_tokens[i], g.n_tokens[i] + 5, 9);
        sync_all(&g);
        check_all(&g);
        close_group(&g);
    }
}

static void mistakes_change_nothing(void)
{
    group g;
    puna_error err = { 0 };
    if (!open_group(&g, on_cpu, 3))
        return;
    for (size_t i = 0; i < g.n; i++)
        fill(&g, i, 0, 40 + i, (unsigned)i);
    sync_all(&g);
    const int32_t *lists[3] = { g.tokens[0], g.tokens[1], g.tokens[2] };
    puna_session *twice[] = { g.sessions[0], g.sessions[1], g.sessions[0] }, *strange[] = { g.sessions[0], g.alone };
    size_t longer[] = { 41, 42, 201 }, n[] = { 39, 41, 43 };
    CHECK_INT(puna_sessions_sync(g.sessions, lists, longer, 3, &err), PUNA_ERR_CONTEXT);
    CHECK_TEXT(err.message, "session 2: context: got 201 tokens, expected at most 200");
    CHECK_INT(puna_sessions_sync(twice, lists, n, 3, &err), PUNA_ERR_ARGUMENT);
    CHECK_TEXT(err.message, "session 2: got a session twice, expected each once");
    CHECK_INT(puna_sessions_sync(strange, lists, n, 2, &err), PUNA_ERR_ARGUMENT);
    CHECK_TEXT(err.message, "session 1: got a session of its own, expected one opened beside the first");
    g.tokens[2][42] = VOCAB;
    CHECK_INT(puna_sessions_sync(g.sessions, lists, n, 3, &err), PUNA_ERR_ARGUMENT);
    CHECK_INT(puna_sessions_sync(g.sessions, lists, n, 3, NULL), PUNA_ERR_ARGUMENT);
    CHECK_INT(puna_sessions_sync(NULL, NULL, NULL, 0, &err), PUNA_OK);
    check_all(&g);
    close_group(&g);
}

static int n_runs, fail_at;

static puna_status failing_run(puna_worker *worker, const puna_batch *batch, puna_kv *kv, puna_error *err)
{
    puna_status status = puna_backend_ref.run(worker, batch, kv, err);
    return ++n_runs == fail_at ? puna_fail(err, PUNA_ERR_FAILED, "broken") : status;
}

/* Every session holds some beginning of its list, and going on ends where it should. */
static void check_beginnings(group *g)
{
    check_blocks(g);
    for (size_t i = 0; i < g->n; i++) {
        size_t n;
        const int32_t *held = puna_session_tokens(g->sessions[i], &n);
        CHECK(n <= g->n_tokens[i] && memcmp(held, g->tokens[i], n * sizeof *held) == 0);
    }
    sync_all(g);
    check_all(g);
}

static void failed_batches_leave_beginnings(void)
{
    static const char *const options[] = { "backend", "ref", "batch", "16", "ctx", "200", "ctx_total", "800", NULL };
    puna_backend failing = puna_backend_ref;
    failing.run = failing_run;
    for (int at = 1; at <= 8; at++) {
        group g;
        puna_error err = { 0 };
        if (!open_group(&g, options, 4))
            return;
        for (size_t i = 0; i < g.n; i++) {
            fill(&g, i, 0, i * 33, 1);
            fill(&g, i, i * 33, i * 33 + 8, (unsigned)i);
        }
        n_runs = 0;
        fail_at = at;
        g.model->backend = &failing;
        CHECK_INT(sync_some(&g, 0, g.n, &err), PUNA_ERR_FAILED);
        g.model->backend = &puna_backend_ref;
        check_beginnings(&g);
        close_group(&g);
    }
}

static int stop_third(void *user, size_t n_done, size_t n_total)
{
    CHECK(n_done > 0 && n_done < n_total);
    return ++*(int *)user == 3;
}

static void interruptions_leave_beginnings(void)
{
    group g;
    puna_error err = { 0 };
    int n_calls = 0;
    if (!open_group(&g, on_cpu_small, 4))
        return;
    for (size_t i = 0; i < g.n; i++)
        fill(&g, i, 0, 30 + i * 40, (unsigned)i);
    puna_session_set_progress(g.sessions[2], stop_third, &n_calls);
    CHECK_INT(sync_some(&g, 0, g.n, &err), PUNA_ERR_INTERRUPTED);
    CHECK(strncmp(err.message, "session 2: interrupted after ", 29) == 0);
    puna_session_set_progress(g.sessions[2], NULL, NULL);
    check_beginnings(&g);
    close_group(&g);
}

typedef struct drawn {
    int32_t tokens[64];
    int n;
} drawn;

static int note_token(void *user, int32_t token, const char *text, size_t n)
{
    drawn *d = user;
    (void)text, (void)n;
    if (token >= 0 && d->n < 64)
        d->tokens[d->n++] = token;
    return 0;
}

/* Streams sampled side by side are what puna_generate makes of each, with every sampler in play. */
static void samples_equal_generate(void)
{
    static const char *const options[] = { "backend", "ref", "ctx", "200", "ctx_total", "800", "seed", "11", "n_predict", "40",
                                           "ignore_eos", "on", "repeat_penalty", "1.3", "top_p", "0.9", NULL };
    group g;
    puna_error err = { 0 };
    drawn want[3] = { 0 };
    if (!open_group(&g, options, 3))
        return;
    int32_t token;
    CHECK_INT(puna_session_sample(g.sessions[0], g.params, &token, &err), PUNA_ERR_ARGUMENT);
    for (size_t i = 0; i < g.n; i++) {
        fill(&g, i, 0, 4 + i * 10, (unsigned)i);
        CHECK_OK(puna_session_sync(g.alone, NULL, 0, &err), err);
        CHECK_OK(puna_session_sync(g.alone, g.tokens[i], g.n_tokens[i], &err), err);
        CHECK_OK(puna_generate(g.alone, g.params, note_token, &want[i], NULL, &err), err);
        CHECK_INT(want[i].n, 40);
    }
    for (int step = 0; step < 40; step++) {
        sync_all(&g);
        for (size_t i = 0; i < g.n; i++) {
            CHECK_OK(puna_session_sample(g.sessions[i], g.params, &token, &err), err);
            CHECK_INT(token, want[i].tokens[step]);
            g.tokens[i][g.n_tokens[i]++] = token;
        }
    }
    CHECK_OK(puna_session_sample(g.sessions[0], NULL, &token, &err), err);
    CHECK(token >= 0 && token < VOCAB);
    close_group(&g);
}

static void saved_sessions_move_between_groups(void)
{
    group g;
    puna_error err = { 0 };
    void *data = NULL;
    size_t size = 0;
    if (!open_group(&g, on_ref, 3))
        return;
    for (size_t i = 0; i < g.n; i++)
        fill(&g, i, 0, 20, (unsigned)i);
    sync_all(&g);
    for (size_t i = 0; i < g.n; i++) /* blocks that lie between those of others */
        fill(&g, i, 20, 100, (unsigned)i);
    sync_all(&g);
    CHECK_OK(puna_session_save(g.sessions[1], &data, &size, &err), err);
    CHECK_OK(puna_session_load(g.sessions[2], data, size, &err), err);
    memcpy(g.tokens[2], g.tokens[1], sizeof g.tokens[1]);
    check_all(&g);
    for (size_t i = 0; i < g.n; i++)
        fill(&g, i, 100, 101, (unsigned)i);
    sync_all(&g);
    check_all(&g);
    puna_free(data);
    close_group(&g);
}

static void *whole_group(void *user)
{
    group *g = user;
    for (int step = 0; step < 20; step++) {
        for (size_t i = 0; i < g->n; i++)
            fill(g, i, g->n_tokens[i], g->n_tokens[i] + (step == 0 ? 40 : 1), (unsigned)(step + 1) * 7 + (unsigned)i);
        sync_all(g);
    }
    return NULL;
}

static void groups_do_not_meet(void)
{
    static group groups[2];
    pthread_t threads[2];
    puna_error err = { 0 };
    if (!open_group(&groups[0], on_cpu, 4))
        return;
    groups[1] = groups[0]; /* the same model */
    CHECK_OK(puna_session_open(&groups[1].sessions[0], groups[1].model, groups[1].params, &err), err);
    for (size_t i = 1; i < 4; i++)
        CHECK_OK(puna_session_open_beside(&groups[1].sessions[i], groups[1].sessions[0], &err), err);
    for (int i = 0; i < 2; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, whole_group, &groups[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    check_all(&groups[0]);
    check_all(&groups[1]);
    for (size_t i = 0; i < 4; i++)
        puna_session_free(groups[1].sessions[i]);
    close_group(&groups[0]);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(together_equals_alone),
        TEST(common_beginnings_are_shared),
        TEST(anything_equals_alone),
        TEST(a_full_cache_loses_nothing),
        TEST(any_may_be_freed_first),
        TEST(mistakes_change_nothing),
        TEST(failed_batches_leave_beginnings),
        TEST(interruptions_leave_beginnings),
        TEST(samples_equal_generate),
        TEST(saved_sessions_move_between_groups),
        TEST(groups_do_not_meet),
    };
    return test_main("group", cases, sizeof cases / sizeof *cases, argc, argv);
}
