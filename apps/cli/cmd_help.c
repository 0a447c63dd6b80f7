/* cmd_help.c - `puna help`, --help: expanded from the tables of commands and options. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "base/suggest.h"

enum { LEFT = 28 }; /* columns of the left side */

static void line(puna_cli *cli, const char *left, const char *right)
{
    if (strlen(left) < LEFT)
        puna_out_printf(cli, "  %-*s %s\n", LEFT, left, right);
    else
        puna_out_printf(cli, "  %s\n  %-*s %s\n", left, LEFT, "", right);
}

static void heading(puna_cli *cli, const char *text)
{
    puna_out_printf(cli, "\n%s%s%s\n", cli->out_color ? "\033[1m" : "", text, cli->out_color ? "\033[0m" : "");
}

static void flag_line(puna_cli *cli, const puna_flag *flag)
{
    char left[96];
    int n = flag->letter ? snprintf(left, sizeof left, "-%c, ", flag->letter) : snprintf(left, sizeof left, "    ");
    snprintf(left + n, sizeof left - (size_t)n, "--%s%s%s", flag->key, flag->value[0] ? " " : "", flag->value);
    line(cli, left, flag->help);
}

/* The letter of a library option, unless the command uses it for one of its own. */
static char letter_of(const puna_option *option, puna_command_id command)
{
    for (size_t i = 0; i < puna_n_aliases; i++) {
        const puna_alias *alias = &puna_aliases[i];
        if (alias->name[1] || strcmp(alias->key, option->key) != 0)
            continue;
        for (size_t j = 0; command < PUNA_N_COMMANDS && j < PUNA_N_FLAGS; j++)
            if (puna_flags[j].letter == alias->name[0] && (puna_flags[j].commands & (1u << command)))
                return 0;
        return alias->name[0];
    }
    return 0;
}

static void option_line(puna_cli *cli, const puna_option *option, puna_command_id command)
{
    static const char *const values[] = { " N", " X", "", " TEXT" };
    char left[96], right[320], key[64];
    size_t n_key = strlen(option->key) < sizeof key ? strlen(option->key) : sizeof key - 1;
    for (size_t i = 0; i < n_key; i++)
        key[i] = option->key[i] == '_' ? '-' : option->key[i];
    key[n_key] = '\0';
    char letter = letter_of(option, command);
    int n = letter ? snprintf(left, sizeof left, "-%c, ", letter) : snprintf(left, sizeof left, "    ");
    snprintf(left + n, sizeof left - (size_t)n, "--%s%s", key, values[option->type]);
    snprintf(right, sizeof right, "%s%s%s%s", option->help, option->preset[0] ? " (" : "", option->preset,
             option->preset[0] ? ")" : "");
    line(cli, left, right);
}

static void print_command(puna_cli *cli, puna_command_id id)
{
    const puna_command *command = &puna_commands[id];
    puna_out_printf(cli, "puna %s - %s\n\nusage: puna %s [options]%s%s\n", command->name, command->summary,
                    command->name, command->arguments[0] ? " " : "", command->arguments);
    heading(cli, "options");
    for (size_t i = 0; i < PUNA_N_FLAGS; i++)
        if (puna_flags[i].commands & (1u << id))
            flag_line(cli, &puna_flags[i]);
    if (!(puna_flags[PUNA_FLAG_model].commands & (1u << id)))
        return;
    heading(cli, "model and computing");
    for (size_t i = 0; i < PUNA_N_OPTIONS; i++)
        if (puna_option_fits(&puna_options[i], id))
            option_line(cli, &puna_options[i], id);
}

static void print_group(puna_cli *cli, const char *group)
{
    size_t n = strlen(group);
    for (size_t i = 0; i < PUNA_N_COMMANDS; i++) {
        char left[96];
        if (strncmp(puna_commands[i].name, group, n) != 0 || puna_commands[i].name[n] != ' ')
            continue;
        snprintf(left, sizeof left, "puna %s %s", puna_commands[i].name, puna_commands[i].arguments);
        line(cli, left, puna_commands[i].summary);
    }
}

static void print_all(puna_cli *cli)
{
    puna_out_printf(cli, "puna %s - runs language models on this machine\n\nusage: puna COMMAND [options] "
                         "[arguments]\n", puna_version());
    heading(cli, "commands");
    for (size_t i = 0; i < PUNA_N_COMMANDS; i++)
        line(cli, puna_commands[i].name, puna_commands[i].summary);
    heading(cli, "everywhere");
    for (size_t i = 0; i < PUNA_N_FLAGS; i++)
        if (puna_flags[i].commands == 0xffffffffu || i == PUNA_FLAG_version || i == PUNA_FLAG_model)
            flag_line(cli, &puna_flags[i]);
    puna_out_text(cli, "\nputs results on standard output and everything else on standard error.\n"
                       "exit: 0 done, 1 failed, 2 usage, 3 not found, 4 bad model file, 5 memory or context, "
                       "130 interrupted\n\n"
                       "  puna run \"Why is the sky blue?\"\n"
                       "  puna help run\n"
                       "  puna help options\n");
}

static void print_options(puna_cli *cli)
{
    static const char *const scopes[] = { "model", "session", "request", "debugging" };
    puna_out_text(cli, "Every option of the library: --key VALUE, or the variable PUNA_<KEY>.\n"
                       "'-' and '_' are the same; a switch is --key, --no-key or --key=on|off.\n");
    for (int scope = PUNA_SCOPE_MODEL; scope <= PUNA_SCOPE_DEBUG; scope++) {
        heading(cli, scopes[scope]);
        for (size_t i = 0; i < PUNA_N_OPTIONS; i++)
            if ((int)puna_options[i].scope == scope)
                option_line(cli, &puna_options[i], PUNA_N_COMMANDS);
    }
}

void puna_help_print(puna_cli *cli, puna_command_id command)
{
    if (command == PUNA_N_COMMANDS)
        print_all(cli);
    else if (command == PUNA_COMMAND_help && cli->n_operands)
        print_group(cli, cli->operands[0]);
    else
        print_command(cli, command);
}

puna_status puna_command_help(puna_cli *cli, puna_error *err)
{
    char name[128];
    const char *names[PUNA_N_COMMANDS];
    if (cli->n_operands == 0) {
        print_all(cli);
        return PUNA_OK;
    }
    const char *first = cli->operands[0], *second = cli->n_operands > 1 ? cli->operands[1] : NULL;
    snprintf(name, sizeof name, "%s%s%s", first, second ? " " : "", second ? second : "");
    bool group = false;
    for (size_t i = 0; i < PUNA_N_COMMANDS; i++) {
        names[i] = puna_commands[i].name;
        if (strcmp(names[i], name) == 0) {
            print_command(cli, (puna_command_id)i);
            return PUNA_OK;
        }
        group = group || (strncmp(names[i], name, strlen(name)) == 0 && names[i][strlen(name)] == ' ');
    }
    if (strcmp(name, "options") == 0) {
        print_options(cli);
        return PUNA_OK;
    }
    if (group) {
        print_group(cli, name);
        return PUNA_OK;
    }
    const char *near = puna_suggest(name, names, PUNA_N_COMMANDS);
    puna_fail(err, PUNA_ERR_ARGUMENT, "help: got '%s', expected a command or options", name);
    return puna_hint(err, PUNA_ERR_ARGUMENT, "puna help%s%s", near ? " " : "", near ? near : "");
}
