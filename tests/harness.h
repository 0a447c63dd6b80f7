/* harness.h - a table of test functions, checks that say what they saw, and a last line
 * "N passed, N failed, N skipped". A case fails at its first failed check of each CHECK line
 * but runs on; it is skipped when it calls test_skip before any check. */
#ifndef PUNA_TESTS_HARNESS_H
#define PUNA_TESTS_HARNESS_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct test_case {
    const char *name;
    void (*run)(void);
} test_case;

#define TEST(function) { #function, function }

/* Runs every case (or those whose name contains argv[1]); returns the exit status. */
int test_main(const char *module, const test_case *cases, size_t n_cases, int argc, char **argv);

/* Marks the running case as skipped, with the reason; the case must return after it. */
void test_skip(const char *reason);

/* A failed check: printed with file and line, counted. Returns false. */
bool test_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The path of a file under tests/data (always there). The result lives until the 8th next call. */
const char *test_data(const char *name);

/* The path of a file under the shared data folder beside the project, or NULL when that folder
 * is not there: the case then calls test_skip. */
const char *test_shared(const char *name);

/* The path of a real model fetched by `make models` ("smollm2", "gemma3"), or NULL: only
 * `make check-model`, which sets PUNA_TEST_MODELS, runs them. */
const char *test_model(const char *name);

#define CHECK(condition) \
    ((condition) ? true : test_fail(__FILE__, __LINE__, "%s", #condition))

#define CHECK_INT(got, expected)                                                            \
    do {                                                                                    \
        long long got_ = (long long)(got), want_ = (long long)(expected);                   \
        if (got_ != want_)                                                                  \
            test_fail(__FILE__, __LINE__, "%s: got %lld, expected %lld", #got, got_, want_); \
    } while (0)

#define CHECK_TEXT(got, expected)                                                            \
    do {                                                                                     \
        const char *got_ = (got), *want_ = (expected);                                       \
        if (!got_ || strcmp(got_, want_) != 0)                                               \
            test_fail(__FILE__, __LINE__, "%s: got \"%s\", expected \"%s\"", #got,           \
                      got_ ? got_ : "(null)", want_);                                        \
    } while (0)

#define CHECK_NEAR(got, expected, tolerance)                                                 \
    do {                                                                                     \
        double got_ = (double)(got), want_ = (double)(expected);                             \
        if (!(fabs(got_ - want_) <= (double)(tolerance)))                                    \
            test_fail(__FILE__, __LINE__, "%s: got %.9g, expected %.9g within %g", #got,     \
                      got_, want_, (double)(tolerance));                                     \
    } while (0)

/* A puna_status expression that must succeed; prints err's message when it does not. */
#define CHECK_OK(expr, err)                                                                  \
    ((expr) == PUNA_OK ? true : test_fail(__FILE__, __LINE__, "%s: %s", #expr, (err).message))

#endif
