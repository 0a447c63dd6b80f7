/* commands.c - the tables of commands, options and spellings. Owns which command takes what. */
#include "cli/cli.h"

const puna_command puna_commands[PUNA_N_COMMANDS] = {
#define C(id, name, arguments, summary) { name, arguments, summary, puna_command_##id },
#include "cli/commands.def"
#undef C
};

#define ON(id) (1u << PUNA_COMMAND_##id)
#define EVERY 0xffffffffu
#define OPENS                                                                                        \
    (ON(run) | ON(tokenize) | ON(detokenize) | ON(logits) | ON(embed) | ON(perplexity) | ON(bench) | \
     ON(profile) | ON(show) | ON(template_render) | ON(template_check))

_Static_assert(PUNA_N_COMMANDS <= 32, "puna_flag.commands has a bit for each command");

const puna_flag puna_flags[PUNA_N_FLAGS] = {
#define F(id, key, letter, value, commands, help) { key, letter, value, commands, help },
#include "cli/flags.def"
#undef F
};

const puna_alias puna_aliases[] = {
    { "n", "n_predict" },       { "t", "threads" },           { "c", "ctx" },
    { "temperature", "temp" },  { "ctx-size", "ctx" },        { "predict", "n_predict" },
    { "batch-size", "batch" },  { "frequency", "frequency_penalty" },
    { "presence", "presence_penalty" },
};
const size_t puna_n_aliases = sizeof puna_aliases / sizeof *puna_aliases;

bool puna_option_fits(const puna_option *option, puna_command_id command)
{
    if (option->scope != PUNA_SCOPE_REQUEST || option == &puna_options[PUNA_KEY_seed])
        return true;
    return command == PUNA_COMMAND_run;
}
