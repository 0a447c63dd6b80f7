/* args.c - the command line. Owns splitting it into command, options and operands, and every
 * message about wrong usage. An option may stand anywhere, so the words are first split by
 * whether an option takes a value, which does not depend on the command, and only then given
 * to the command. */
#define _POSIX_C_SOURCE 200809L
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/suggest.h"

typedef struct given {
    const char *name; /* without dashes, not terminated */
    size_t n_name;
    bool is_letter;
    const char *value; /* NULL: none given */
} given;

typedef struct words {
    given *options;
    size_t n_options;
    const char **operands;
    size_t n_operands;
} words;

/* '-' and '_' are the same in an option's name. */
static bool same_name(const char *key, const char *name, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!key[i] || (key[i] != name[i] && !((key[i] == '-' || key[i] == '_') &&
                                               (name[i] == '-' || name[i] == '_'))))
            return false;
    return key[n] == '\0';
}

static bool flag_is(const puna_flag *flag, const given *g)
{
    return g->is_letter ? flag->letter == g->name[0] : same_name(flag->key, g->name, g->n_name);
}

/* The row of an option that `commands` (a mask) take, or NULL. */
static const puna_flag *find_flag(const given *g, uint32_t commands)
{
    for (size_t i = 0; i < PUNA_N_FLAGS; i++)
        if ((commands == 0xffffffffu || (puna_flags[i].commands & commands)) && flag_is(&puna_flags[i], g))
            return &puna_flags[i];
    return NULL;
}

static const puna_option *option_of_key(const char *name, size_t n)
{
    for (size_t i = 0; i < PUNA_N_OPTIONS; i++)
        if (same_name(puna_options[i].key, name, n))
            return &puna_options[i];
    return NULL;
}

static bool is_bool(const puna_option *option)
{
    return option && option->type == PUNA_OPTION_BOOL;
}

/* A library option by key, alias, letter, or --no-KEY for a switch; *negated tells the last. */
static const puna_option *find_option(const given *g, bool *negated)
{
    const puna_option *option = g->is_letter ? NULL : option_of_key(g->name, g->n_name);
    *negated = false;
    for (size_t i = 0; !option && i < puna_n_aliases; i++) {
        const char *alias = puna_aliases[i].name;
        if ((strlen(alias) == 1) == g->is_letter && same_name(alias, g->name, g->n_name))
            option = option_of_key(puna_aliases[i].key, strlen(puna_aliases[i].key));
    }
    if (!option && !g->is_letter && g->n_name > 3 && strncmp(g->name, "no-", 3) == 0) {
        option = option_of_key(g->name + 3, g->n_name - 3);
        *negated = is_bool(option);
        if (!*negated)
            option = NULL;
    }
    return option;
}

static bool is_switch_word(const char *word)
{
    return word && (strcmp(word, "on") == 0 || strcmp(word, "off") == 0);
}

/* Reads the option at argv[i]; returns how many further words its value took. */
static int read_option(given *g, char **argv, int i)
{
    const char *word = argv[i];
    const char *equals = NULL;
    bool negated;
    g->is_letter = word[1] != '-';
    g->name = word + (g->is_letter ? 1 : 2);
    if (g->is_letter) {
        g->n_name = 1;
        if (word[2])
            equals = word[2] == '=' ? word + 2 : word + 1;
    } else {
        equals = strchr(g->name, '=');
        g->n_name = equals ? (size_t)(equals - g->name) : strlen(g->name);
    }
    if (equals) {
        g->value = equals + 1;
        return 0;
    }
    const puna_flag *flag = find_flag(g, 0xffffffffu);
    const puna_option *option = flag ? NULL : find_option(g, &negated);
    bool takes = flag ? flag->value[0] != '\0' : option != NULL && !is_bool(option);
    if (option && is_bool(option) && !negated)
        takes = is_switch_word(argv[i + 1]);
    if (!takes || !argv[i + 1])
        return 0;
    g->value = argv[i + 1];
    return 1;
}

static void split(words *w, int argc, char **argv)
{
    bool only_operands = false;
    for (int i = 1; i < argc; i++) {
        if (only_operands || argv[i][0] != '-' || argv[i][1] == '\0') {
            w->operands[w->n_operands++] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            only_operands = true;
        } else {
            given *g = &w->options[w->n_options++];
            i += read_option(g, argv, i);
        }
    }
}

static bool starts_group(const char *name, const char *word)
{
    size_t n = strlen(word);
    return strncmp(name, word, n) == 0 && name[n] == ' ';
}

static puna_status unknown_command(const char *got, const char *group, puna_error *err)
{
    const char *names[PUNA_N_COMMANDS];
    size_t n = 0, skip = group ? strlen(group) + 1 : 0;
    for (size_t i = 0; i < PUNA_N_COMMANDS; i++)
        if (!group || starts_group(puna_commands[i].name, group))
            names[n++] = puna_commands[i].name + skip;
    const char *near = got ? puna_suggest(got, names, n) : NULL;
    if (got)
        puna_fail(err, PUNA_ERR_ARGUMENT, "%s%scommand: got '%s', expected one that 'puna help%s%s' lists",
                  group ? group : "", group ? ": " : "", got, group ? " " : "", group ? group : "");
    else
        puna_fail(err, PUNA_ERR_ARGUMENT, "%s%scommand: got none, expected one that 'puna help%s%s' lists",
                  group ? group : "", group ? ": " : "", group ? " " : "", group ? group : "");
    return puna_hint(err, PUNA_ERR_ARGUMENT, "puna %s%s%s", group ? group : "", group ? " " : "",
                     near ? near : group ? names[0] : "help");
}

/* Finds the command that the first one or two operands name, and drops them. */
static puna_status find_command(puna_cli *cli, puna_error *err)
{
    const char *first = cli->n_operands ? cli->operands[0] : NULL;
    const char *second = cli->n_operands > 1 ? cli->operands[1] : NULL;
    const char *group = NULL;
    for (int i = 0; first && i < PUNA_N_COMMANDS; i++) {
        const char *name = puna_commands[i].name;
        bool of_group = starts_group(name, first);
        size_t n_words = of_group ? 2 : 1;
        if (of_group)
            group = first;
        if (of_group ? second && strcmp(name + strlen(first) + 1, second) == 0 : strcmp(name, first) == 0) {
            cli->command = (puna_command_id)i;
            cli->n_operands -= n_words;
            memmove(cli->operands, cli->operands + n_words, cli->n_operands * sizeof *cli->operands);
            return PUNA_OK;
        }
    }
    if (group && puna_cli_has(cli, PUNA_FLAG_help)) {
        cli->command = PUNA_COMMAND_help;
        cli->n_operands = 1;
        return PUNA_OK;
    }
    return unknown_command(group ? second : first, group, err);
}

static puna_status unknown_option(const given *g, puna_command_id command, puna_error *err)
{
    const char *names[PUNA_N_FLAGS + 128];
    size_t n = 0;
    char word[64];
    const char *of = puna_commands[command].name;
    for (size_t i = 0; i < PUNA_N_FLAGS; i++)
        if (puna_flags[i].commands & (1u << command))
            names[n++] = puna_flags[i].key;
    for (size_t i = 0; i < PUNA_N_OPTIONS && n < sizeof names / sizeof *names; i++)
        if (puna_option_fits(&puna_options[i], command))
            names[n++] = puna_options[i].key;
    size_t n_word = g->n_name < sizeof word ? g->n_name : sizeof word - 1;
    for (size_t i = 0; i < n_word; i++)
        word[i] = g->name[i] == '-' ? '_' : g->name[i];
    word[n_word] = '\0';
    const char *near = g->is_letter ? NULL : puna_suggest(word, names, n);
    puna_fail(err, PUNA_ERR_ARGUMENT, "%s: option: got %s%.*s, expected one that 'puna help %s' lists", of,
              g->is_letter ? "-" : "--", (int)n_word, g->name, of);
    if (!near)
        return puna_hint(err, PUNA_ERR_ARGUMENT, "puna help %s", of);
    n_word = strlen(near) < sizeof word ? strlen(near) : sizeof word - 1;
    for (size_t i = 0; i < n_word; i++)
        word[i] = near[i] == '_' ? '-' : near[i];
    word[n_word] = '\0';
    return puna_hint(err, PUNA_ERR_ARGUMENT, "--%s", word);
}

static puna_status no_value(const given *g, const char *expected, puna_error *err)
{
    return puna_fail(err, PUNA_ERR_ARGUMENT, "option %s%.*s: got no value, expected %s",
                     g->is_letter ? "-" : "--", (int)g->n_name, g->name, expected);
}

static puna_status take_flag(puna_cli *cli, const puna_flag *flag, const given *g, puna_error *err)
{
    if (flag->value[0] && !g->value)
        return no_value(g, flag->value, err);
    if (!flag->value[0] && g->value)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "option --%s: got '%s', expected no value", flag->key,
                         g->value);
    cli->flags[flag - puna_flags] = g->value ? g->value : "";
    return PUNA_OK;
}

static puna_status take(puna_cli *cli, const given *g, puna_error *err)
{
    const puna_flag *flag = find_flag(g, 1u << cli->command);
    if (flag)
        return take_flag(cli, flag, g, err);
    bool negated;
    const puna_option *option = find_option(g, &negated);
    if (!option || !puna_option_fits(option, cli->command))
        return unknown_option(g, cli->command, err);
    if (negated && g->value)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "option --no-%s: got '%s', expected no value", option->key,
                         g->value);
    if (!g->value && !is_bool(option))
        return no_value(g, option->type == PUNA_OPTION_TEXT ? "a text" : "a number", err);
    return puna_params_set(cli->params, option->key, negated ? "off" : g->value ? g->value : "on", err);
}

/* Options that matter before the command is known: how errors look, help, version. */
static void take_early(puna_cli *cli, const words *w)
{
    static const puna_flag_id early[] = { PUNA_FLAG_help, PUNA_FLAG_version, PUNA_FLAG_json, PUNA_FLAG_quiet,
                                          PUNA_FLAG_verbose, PUNA_FLAG_no_color };
    for (size_t i = 0; i < w->n_options; i++)
        for (size_t j = 0; j < sizeof early / sizeof *early; j++)
            if (flag_is(&puna_flags[early[j]], &w->options[i]) && !w->options[i].value)
                cli->flags[early[j]] = "";
    cli->json = puna_cli_has(cli, PUNA_FLAG_json);
    cli->quiet = puna_cli_has(cli, PUNA_FLAG_quiet);
    cli->verbose = puna_cli_has(cli, PUNA_FLAG_verbose) && !cli->quiet;
}

puna_status puna_args_parse(puna_cli *cli, int argc, char **argv, puna_error *err)
{
    size_t n = (size_t)argc + 1;
    words w = { .options = calloc(n, sizeof *w.options), .operands = calloc(n, sizeof *w.operands) };
    cli->operands = w.operands;
    if (!w.options || !w.operands) {
        free(w.options);
        return puna_fail_memory(err, "arguments", n * sizeof *w.options);
    }
    split(&w, argc, argv);
    cli->n_operands = w.n_operands;
    take_early(cli, &w);
    puna_status status = PUNA_OK;
    bool asks = puna_cli_has(cli, PUNA_FLAG_version) || puna_cli_has(cli, PUNA_FLAG_help);
    if (w.n_operands || !asks)
        status = find_command(cli, err);
    for (size_t i = 0; !asks && status == PUNA_OK && i < w.n_options; i++)
        status = take(cli, &w.options[i], err);
    free(w.options);
    return status;
}

puna_status puna_cli_number(const puna_cli *cli, puna_flag_id flag, int64_t absent, int64_t least,
                            int64_t most, int64_t *out, puna_error *err)
{
    const char *text = cli->flags[flag];
    *out = absent;
    if (!text)
        return PUNA_OK;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || value < least || value > most)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "option --%s: got '%s', expected a whole number from %lld to %lld",
                         puna_flags[flag].key, text, (long long)least, (long long)most);
    *out = value;
    return PUNA_OK;
}

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

puna_status puna_numbers_parse(const char *text, size_t n_text, const char *what, int32_t least, int32_t most,
                               int32_t **numbers, size_t *n, puna_error *err)
{
    size_t capacity = n_text / 2 + 1, count = 0;
    int32_t *list = malloc(capacity * sizeof *list);
    if (!list)
        return puna_fail_memory(err, what, capacity * sizeof *list);
    for (size_t i = 0; i < n_text;) {
        if (is_separator(text[i])) {
            i++;
            continue;
        }
        size_t from = i;
        int64_t value = 0;
        bool negative = text[i] == '-', good = true;
        for (i += negative; i < n_text && !is_separator(text[i]); i++) {
            good = good && text[i] >= '0' && text[i] <= '9' && value <= INT32_MAX;
            value = good ? value * 10 + (text[i] - '0') : value;
        }
        value = negative ? -value : value;
        if (!good || i == from + negative || value < least || value > most) {
            free(list);
            return puna_fail(err, PUNA_ERR_ARGUMENT, "%s: got '%.*s', expected a whole number from %d to %d", what,
                             (int)(i - from < 40 ? i - from : 40), text + from, (int)least, (int)most);
        }
        list[count++] = (int32_t)value;
    }
    *numbers = list;
    *n = count;
    return PUNA_OK;
}
