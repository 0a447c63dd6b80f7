/* harness.c - runs a table of cases and counts. */
#define _POSIX_C_SOURCE 200809L
#include "harness.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef TEST_ROOT
#error "TEST_ROOT: the project's folder, given by the Makefile"
#endif

static struct {
    const char *name;
    int n_failures;
    bool skipped;
} now;

bool test_fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    now.n_failures++;
    if (now.n_failures > 10)
        return false;
    printf("  FAIL %s\n    %s:%d: ", now.name, file, line);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    return false;
}

void test_skip(const char *reason)
{
    printf("  SKIP %s: %s\n", now.name, reason);
    now.skipped = true;
}

static const char *path_of(const char *folder, const char *name)
{
    static char paths[8][1024];
    static int turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

const char *test_data(const char *name)
{
    return path_of(TEST_ROOT "/tests/data", name);
}

const char *test_shared(const char *name)
{
    const char *path = path_of(TEST_ROOT "/../shared/data", name);
    return access(path, R_OK) == 0 ? path : NULL;
}

const char *test_model(const char *name)
{
    char file[128];
    const char *folder = getenv("PUNA_TEST_MODELS");
    if (!folder)
        return NULL;
    snprintf(file, sizeof file, "%s.gguf", name);
    const char *path = path_of(folder, file);
    return access(path, R_OK) == 0 ? path : NULL;
}

int test_main(const char *module, const test_case *cases, size_t n_cases, int argc, char **argv)
{
    int n_passed = 0, n_failed = 0, n_skipped = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%s\n", module);
    for (size_t i = 0; i < n_cases; i++) {
        if (argc > 1 && !strstr(cases[i].name, argv[1]))
            continue;
        now.name = cases[i].name;
        now.n_failures = 0;
        now.skipped = false;
        cases[i].run();
        if (now.n_failures)
            n_failed++;
        else if (now.skipped)
            n_skipped++;
        else
            n_passed++;
    }
    printf("%d passed, %d failed, %d skipped\n", n_passed, n_failed, n_skipped);
    return n_failed ? 1 : 0;
}
