/* test_base.c - the ground everything stands on: errors, arena, buffer, map, UTF-8, suggestions. */
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/map.h"
#include "base/rng.h"
#include "base/status.h"
#include "base/suggest.h"
#include "base/utf8.h"
#include "harness.h"

static void errors_are_one_clean_line(void)
{
    puna_error err = { 0 };
    CHECK_INT(puna_fail(&err, PUNA_ERR_FORMAT, "tensor %s: bad", "a\nb\x1b[31m"), PUNA_ERR_FORMAT);
    CHECK_TEXT(err.message, "tensor a?b?[31m: bad");
    CHECK_INT(puna_fail(NULL, PUNA_ERR_MEMORY, "x"), PUNA_ERR_MEMORY);
}

static void arena_aligns_and_survives_growth(void)
{
    puna_arena arena = { 0 };
    unsigned char *kept = puna_arena_alloc(&arena, 3);
    memcpy(kept, "abc", 3);
    for (size_t n = 1; n < 100000; n = n * 3 + 1) {
        unsigned char *at = puna_arena_alloc(&arena, n);
        CHECK(at && (uintptr_t)at % 16 == 0 && at[0] == 0 && at[n - 1] == 0);
    }
    CHECK(memcmp(kept, "abc", 3) == 0);
    CHECK(puna_arena_array(&arena, SIZE_MAX / 2, 4) == NULL);
    CHECK(puna_arena_alloc(&arena, SIZE_MAX) == NULL);
    puna_arena_free(&arena);
    CHECK_INT(arena.size_bytes, 0);
}

static void buf_stops_at_its_maximum(void)
{
    puna_buf buf = puna_buf_make(10);
    puna_buf_printf(&buf, "%d-%s", 42, "xyz");
    CHECK_TEXT(buf.data, "42-xyz");
    puna_buf_add_text(&buf, "12345");
    CHECK(buf.failed);
    CHECK(puna_buf_take(&buf) == NULL);
    puna_buf empty = puna_buf_make(1);
    char *text = puna_buf_take(&empty);
    CHECK_TEXT(text, "");
    free(text);
}

static void map_finds_what_was_set(void)
{
    static char keys[5000][8];
    puna_map map = { 0 };
    uint32_t value = 7;
    CHECK(!puna_map_get(&map, "x", 1, &value));
    for (uint32_t i = 0; i < 5000; i++) {
        int n = snprintf(keys[i], sizeof keys[i], "k%u", (unsigned)i);
        CHECK(puna_map_set(&map, keys[i], (size_t)n, i));
    }
    for (uint32_t i = 0; i < 5000; i++)
        CHECK(puna_map_get(&map, keys[i], strlen(keys[i]), &value) && value == i);
    CHECK(!puna_map_get(&map, "k5000", 5, &value));
    CHECK(puna_map_set(&map, "k17", 3, 99) && map.n == 5000);
    CHECK(puna_map_get(&map, "k17", 3, &value) && value == 99);
    puna_map_free(&map);
}

static void utf8_round_trips_every_scalar(void)
{
    for (int32_t code = 0; code <= 0x10ffff; code++) {
        char bytes[4];
        int32_t back;
        if (code >= 0xd800 && code <= 0xdfff)
            continue;
        int n = puna_utf8_encode(code, bytes);
        if (puna_utf8_decode(bytes, (size_t)n, &back) != n || back != code) {
            test_fail(__FILE__, __LINE__, "U+%04X came back as %d", (unsigned)code, (int)back);
            break;
        }
        for (int cut = 1; cut < n; cut++)
            if (puna_utf8_complete(bytes, (size_t)cut) != 0)
                test_fail(__FILE__, __LINE__, "U+%04X cut at %d is not complete", (unsigned)code, cut);
    }
}

static void utf8_refuses_bad_bytes(void)
{
    static const char *const bad[] = { "\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80",
                                       "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80", "\xff" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int32_t code;
        CHECK_INT(puna_utf8_decode(bad[i], strlen(bad[i]), &code), 1);
        CHECK_INT(code, -1 - (int)(unsigned char)bad[i][0]);
        CHECK_INT(puna_utf8_complete(bad[i], strlen(bad[i])), strlen(bad[i]));
    }
}

static void suggestions_are_near(void)
{
    static const char *const names[] = { "temperature", "threads", "top-k", "top-p" };
    CHECK_TEXT(puna_suggest("temprature", names, 4), "temperature");
    CHECK_TEXT(puna_suggest("thraeds", names, 4), "threads");
    CHECK(puna_suggest("zzzzzz", names, 4) == NULL);
}

static void random_stream_is_fixed(void)
{
    puna_rng a = puna_rng_make(42), b = puna_rng_make(42);
    CHECK(puna_rng_next(&a) == 0xd0764d4f4476689fu);
    double sum = 0;
    puna_rng_next(&b);
    for (int i = 0; i < 10000; i++)
        sum += puna_rng_uniform(&b);
    CHECK_NEAR(sum / 10000, 0.5, 0.02);
}

static void missing_files_are_not_found(void)
{
    puna_file file;
    puna_error err = { 0 };
    CHECK_INT(puna_file_map(&file, test_data("no such file"), &err), PUNA_ERR_NOT_FOUND);
    CHECK(strstr(err.message, "no such file") != NULL);
    CHECK_INT(puna_file_map(&file, test_data("."), &err), PUNA_ERR_FORMAT);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(errors_are_one_clean_line),   TEST(arena_aligns_and_survives_growth),
        TEST(buf_stops_at_its_maximum),    TEST(map_finds_what_was_set),
        TEST(utf8_round_trips_every_scalar), TEST(utf8_refuses_bad_bytes),
        TEST(suggestions_are_near),        TEST(random_stream_is_fixed),
        TEST(missing_files_are_not_found),
    };
    return test_main("base", cases, sizeof cases / sizeof *cases, argc, argv);
}
