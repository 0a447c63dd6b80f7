/* test_cli.c - the tables of the command line and the reading of arguments. What the program
 * prints is tested from outside, in tests/cli. */
#include <stdlib.h>

#include "cli/cli.h"
#include "harness.h"

static void rows_with_one_key_agree(void)
{
    for (size_t i = 0; i < PUNA_N_FLAGS; i++) {
        const puna_flag *a = &puna_flags[i];
        CHECK(a->commands != 0 || i == PUNA_FLAG_version);
        for (size_t j = 0; j < i; j++) {
            const puna_flag *b = &puna_flags[j];
            bool same_key = strcmp(a->key, b->key) == 0, same_letter = a->letter && a->letter == b->letter;
            if ((same_key || same_letter) && (a->value[0] != '\0') != (b->value[0] != '\0'))
                test_fail(__FILE__, __LINE__, "--%s and --%s disagree on taking a value", a->key, b->key);
            if ((same_key || same_letter) && (a->commands & b->commands))
                test_fail(__FILE__, __LINE__, "--%s and --%s meet in one command", a->key, b->key);
        }
    }
}

static void program_options_are_not_library_options(void)
{
    for (size_t i = 0; i < PUNA_N_FLAGS; i++)
        if (puna_option_find(puna_flags[i].key) >= 0)
            test_fail(__FILE__, __LINE__, "--%s is in both tables", puna_flags[i].key);
    for (size_t i = 0; i < puna_n_aliases; i++) {
        if (puna_option_find(puna_aliases[i].key) < 0)
            test_fail(__FILE__, __LINE__, "alias %s of no option", puna_aliases[i].name);
        CHECK(puna_option_find(puna_aliases[i].name) < 0);
        /* A letter that a program option uses too must take a value there as well: words are split first. */
        for (size_t j = 0; j < PUNA_N_FLAGS; j++)
            if (!puna_aliases[i].name[1] && puna_flags[j].letter == puna_aliases[i].name[0])
                CHECK(puna_flags[j].value[0] != '\0');
    }
}

typedef struct line {
    puna_cli cli;
    puna_error err;
    puna_status status;
} line;

/* Parses up to 12 words, the program's name first. */
static void parse(line *l, const char *const *words)
{
    char *argv[16] = { NULL };
    int argc = 0;
    for (; words[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    *l = (line){ .cli = { .command = PUNA_N_COMMANDS } };
    l->cli.params = puna_params_new();
    l->status = puna_args_parse(&l->cli, argc, argv, &l->err);
}

static void done(line *l)
{
    puna_params_free(l->cli.params);
    free(l->cli.operands);
}

#define PARSE(l, ...) parse(l, (const char *const[]){ "puna", __VA_ARGS__, NULL })

static void options_stand_anywhere(void)
{
    line l;
    PARSE(&l, "--top-k=7", "-m", "x", "run", "one", "--temp", "0.5", "-n", "3", "two", "--", "--raw", "-");
    CHECK_OK(l.status, l.err);
    CHECK_INT(l.cli.command, PUNA_COMMAND_run);
    CHECK_INT(l.cli.n_operands, 4);
    CHECK_TEXT(l.cli.operands[0], "one");
    CHECK_TEXT(l.cli.operands[2], "--raw");
    CHECK_TEXT(l.cli.flags[PUNA_FLAG_model], "x");
    CHECK(!puna_cli_has(&l.cli, PUNA_FLAG_raw));
    CHECK_INT(puna_cli_setting(&l.cli, PUNA_KEY_top_k), 7);
    CHECK_INT(puna_cli_setting(&l.cli, PUNA_KEY_n_predict), 3);
    CHECK_TEXT(puna_params_get(l.cli.params, "temp"), "0.5");
    done(&l);
}

static void commands_own_their_options(void)
{
    line l;
    PARSE(&l, "bench", "-n", "1,2", "-t", "3");
    CHECK_OK(l.status, l.err);
    CHECK_TEXT(l.cli.flags[PUNA_FLAG_decode], "1,2");
    CHECK_INT(puna_cli_setting(&l.cli, PUNA_KEY_n_predict), -1);
    CHECK_INT(puna_cli_setting(&l.cli, PUNA_KEY_threads), 3);
    done(&l);
    PARSE(&l, "logits", "--raw");
    CHECK(l.status == PUNA_OK && puna_cli_has(&l.cli, PUNA_FLAG_logits_raw) && !puna_cli_has(&l.cli, PUNA_FLAG_raw));
    done(&l);
    PARSE(&l, "-q", "models", "--json", "ls");
    CHECK(l.status == PUNA_OK && l.cli.command == PUNA_COMMAND_models_ls && l.cli.json && l.cli.quiet);
    done(&l);
}

static void switches_take_no_word_but_on_and_off(void)
{
    line l;
    PARSE(&l, "run", "--ignore-eos", "hello");
    CHECK(l.status == PUNA_OK && l.cli.n_operands == 1);
    CHECK_INT(puna_cli_setting(&l.cli, PUNA_KEY_ignore_eos), 1);
    done(&l);
    PARSE(&l, "run", "--fusion", "off", "hello");
    CHECK(l.status == PUNA_OK && l.cli.n_operands == 1);
    CHECK_INT(puna_cli_setting(&l.cli, PUNA_KEY_fusion), 0);
    done(&l);
    PARSE(&l, "run", "--no-fusion", "off");
    CHECK(l.status == PUNA_OK && l.cli.n_operands == 1);
    CHECK_INT(puna_cli_setting(&l.cli, PUNA_KEY_fusion), 0);
    done(&l);
}

static void wrong_usage_says_what_to_try(void)
{
    static const struct {
        const char *words[5];
        const char *hint;
    } cases[] = {
        { { "puna", "rum" }, "puna run" },
        { { "puna", "models", "du2" }, "puna models du" },
        { { "puna" }, "puna help" },
        { { "puna", "run", "--ssytem", "x" }, "--system" },
        { { "puna", "run", "--repeat-penaltyy", "x" }, "--repeat-penalty" },
        { { "puna", "show", "--zzzzzzzzzz" }, "puna help show" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        line l;
        parse(&l, cases[i].words);
        CHECK_INT(l.status, PUNA_ERR_ARGUMENT);
        CHECK_TEXT(l.err.hint, cases[i].hint);
        done(&l);
    }
}

static void numbers_are_read_exactly(void)
{
    static const char *const bad[] = { "x", "1x", "-", "1,-", "2147483648", "99999999999999999999", "1.5", "0x1", "-6" };
    int32_t *list = NULL;
    size_t n = 9;
    puna_error err = { 0 };
    CHECK_OK(puna_numbers_parse(" 1, 2\n3,,2147483647 -5", 22, "ids", -5, INT32_MAX, &list, &n, &err), err);
    CHECK_INT(n, 5);
    CHECK(list[0] == 1 && list[2] == 3 && list[3] == 2147483647 && list[4] == -5);
    free(list);
    CHECK_OK(puna_numbers_parse("", 0, "ids", 0, 1, &list, &n, &err), err);
    CHECK_INT(n, 0);
    free(list);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (puna_numbers_parse(bad[i], strlen(bad[i]), "ids", -5, INT32_MAX, &list, &n, &err) != PUNA_ERR_ARGUMENT)
            test_fail(__FILE__, __LINE__, "accepted '%s'", bad[i]);
}

static void statuses_map_to_exit_codes(void)
{
    static const int codes[] = { 0, 1, 2, 3, 4, 5, 5, 130 };
    for (int status = PUNA_OK; status <= PUNA_ERR_INTERRUPTED; status++)
        CHECK_INT(puna_exit_code((puna_status)status), codes[status]);
}

static void bytes_become_json_text(void)
{
    json_t *text = puna_cli_json_text("a\xff\xc3\xa9\xe2\x82", 6);
    CHECK_TEXT(json_string_value(text), "a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd");
    json_decref(text);
    text = puna_cli_json_text("a\0b", 3);
    CHECK_INT(json_string_length(text), 3);
    json_decref(text);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(rows_with_one_key_agree),
        TEST(program_options_are_not_library_options),
        TEST(options_stand_anywhere),
        TEST(commands_own_their_options),
        TEST(switches_take_no_word_but_on_and_off),
        TEST(wrong_usage_says_what_to_try),
        TEST(numbers_are_read_exactly),
        TEST(statuses_map_to_exit_codes),
        TEST(bytes_become_json_text),
    };
    return test_main("cli", cases, sizeof cases / sizeof *cases, argc, argv);
}
