/* cmd_completion.c - `puna completion bash|zsh|fish`: scripts expanded from the tables. Each holds
 * the words of every command, so that completing starts nothing. */
#include "cli/cli.h"

#include <string.h>

#include "base/suggest.h"

/* The first words of commands, each once. */
static bool is_first_of_group(size_t i)
{
    const char *name = puna_commands[i].name;
    size_t n = strcspn(name, " ");
    return i == 0 || strncmp(puna_commands[i - 1].name, name, n) != 0 || strcspn(puna_commands[i - 1].name, " ") != n;
}

static void first_words(puna_cli *cli)
{
    for (size_t i = 0; i < PUNA_N_COMMANDS; i++)
        if (is_first_of_group(i))
            puna_out_printf(cli, "%s%.*s", i ? " " : "", (int)strcspn(puna_commands[i].name, " "),
                            puna_commands[i].name);
}

/* A library key as it is typed. */
static void option_word(puna_cli *cli, const puna_option *option)
{
    for (const char *at = option->key; *at; at++)
        puna_out_write(cli, *at == '_' ? "-" : at, 1);
}

static void option_words(puna_cli *cli, size_t command)
{
    for (size_t i = 0; i < PUNA_N_FLAGS; i++)
        if (puna_flags[i].commands & (1u << command))
            puna_out_printf(cli, " --%s", puna_flags[i].key);
    for (size_t i = 0; i < PUNA_N_OPTIONS; i++) {
        if (!puna_option_fits(&puna_options[i], (puna_command_id)command))
            continue;
        puna_out_text(cli, " --");
        option_word(cli, &puna_options[i]);
    }
}

/* `"name") words="..." ;;` for each command; a group offers its second words. */
static void shell_cases(puna_cli *cli)
{
    for (size_t i = 0; i < PUNA_N_COMMANDS; i++) {
        const char *name = puna_commands[i].name, *space = strchr(name, ' ');
        if (space && is_first_of_group(i)) {
            size_t n = (size_t)(space - name);
            puna_out_printf(cli, "        \"%.*s\") words=\"", (int)n, name);
            for (size_t j = i; j < PUNA_N_COMMANDS && strncmp(puna_commands[j].name, name, n + 1) == 0; j++)
                puna_out_printf(cli, "%s%s", j > i ? " " : "", puna_commands[j].name + n + 1);
            puna_out_text(cli, "\" ;;\n");
        }
        puna_out_printf(cli, "        \"%s\") words=\"", name);
        option_words(cli, i);
        puna_out_text(cli, "\" ;;\n");
    }
}

/* One function for bash and zsh: the words in $line before the cursor choose the list. */
static void shell_function(puna_cli *cli, const char *name)
{
    puna_out_printf(cli, "%s() {\n    local command=\"\" words=\"\" word\n    for word in \"$@\"; do\n"
                         "        case $word in -*) continue ;; esac\n"
                         "        case $command in\n"
                         "        \"\") command=$word ;;\n"
                         "        models|template) command=\"$command $word\" ;;\n"
                         "        esac\n    done\n    case $command in\n        \"\") words=\"", name);
    first_words(cli);
    puna_out_text(cli, "\" ;;\n");
    shell_cases(cli);
    puna_out_text(cli, "    esac\n    printf '%s' \"$words\"\n}\n");
}

static void bash_script(puna_cli *cli)
{
    shell_function(cli, "_puna_words");
    puna_out_text(cli, "_puna() {\n"
                       "    local now=${COMP_WORDS[COMP_CWORD]}\n"
                       "    local words=$(_puna_words \"${COMP_WORDS[@]:1:COMP_CWORD-1}\")\n"
                       "    COMPREPLY=($(compgen -W \"$words\" -- \"$now\"))\n"
                       "}\n"
                       "complete -o default -F _puna puna\n");
}

static void zsh_script(puna_cli *cli)
{
    puna_out_text(cli, "#compdef puna\n");
    shell_function(cli, "_puna_words");
    puna_out_text(cli, "_puna() {\n"
                       "    local -a list\n"
                       "    list=(${=\"$(_puna_words \"${(@)words[2,CURRENT-1]}\")\"})\n"
                       "    compadd -- $list\n"
                       "    _files\n"
                       "}\n"
                       "compdef _puna puna\n");
}

/* Text between single quotes for fish. */
static void fish_quoted(puna_cli *cli, const char *text)
{
    puna_out_text(cli, "'");
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            puna_out_text(cli, "\\");
        puna_out_write(cli, text, 1);
    }
    puna_out_text(cli, "'");
}

static void fish_option(puna_cli *cli, size_t command, const char *key, char letter, bool takes, const char *help)
{
    const char *name = puna_commands[command].name;
    const char *space = strchr(name, ' ');
    puna_out_printf(cli, "complete -c puna -n '__fish_seen_subcommand_from %s' -l ", space ? space + 1 : name);
    for (const char *at = key; *at; at++)
        puna_out_write(cli, *at == '_' ? "-" : at, 1);
    if (letter)
        puna_out_printf(cli, " -s %c", letter);
    puna_out_printf(cli, "%s -d ", takes ? " -r" : "");
    fish_quoted(cli, help);
    puna_out_text(cli, "\n");
}

static void fish_command(puna_cli *cli, size_t i)
{
    const puna_command *command = &puna_commands[i];
    const char *space = strchr(command->name, ' ');
    int n = (int)strcspn(command->name, " ");
    if (is_first_of_group(i))
        puna_out_printf(cli, "complete -c puna -n __fish_use_subcommand -f -a %.*s\n", n, command->name);
    if (space)
        puna_out_printf(cli, "complete -c puna -n '__fish_seen_subcommand_from %.*s' -f -a %s -d ", n, command->name,
                        space + 1);
    if (space) {
        fish_quoted(cli, command->summary);
        puna_out_text(cli, "\n");
    }
    for (size_t j = 0; j < PUNA_N_FLAGS; j++)
        if (puna_flags[j].commands & (1u << i))
            fish_option(cli, i, puna_flags[j].key, puna_flags[j].letter, puna_flags[j].value[0] != '\0',
                        puna_flags[j].help);
    for (size_t j = 0; j < PUNA_N_OPTIONS; j++)
        if (puna_option_fits(&puna_options[j], (puna_command_id)i))
            fish_option(cli, i, puna_options[j].key, 0, puna_options[j].type != PUNA_OPTION_BOOL,
                        puna_options[j].help);
}

puna_status puna_command_completion(puna_cli *cli, puna_error *err)
{
    static const char *const shells[] = { "bash", "zsh", "fish" };
    const char *shell = cli->n_operands == 1 ? cli->operands[0] : NULL;
    if (shell && strcmp(shell, "bash") == 0) {
        bash_script(cli);
    } else if (shell && strcmp(shell, "zsh") == 0) {
        zsh_script(cli);
    } else if (shell && strcmp(shell, "fish") == 0) {
        for (size_t i = 0; i < PUNA_N_COMMANDS; i++)
            fish_command(cli, i);
    } else {
        const char *near = shell ? puna_suggest(shell, shells, 3) : NULL;
        puna_fail(err, PUNA_ERR_ARGUMENT, "completion: got '%s', expected bash, zsh or fish", shell ? shell : "");
        return puna_hint(err, PUNA_ERR_ARGUMENT, "puna completion %s", near ? near : "bash");
    }
    return PUNA_OK;
}
