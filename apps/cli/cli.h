/* cli.h - what every command gets and answers with. Owns the list of commands, the values of
 * their options, and the way results, notes and errors leave the program. */
#ifndef PUNA_CLI_CLI_H
#define PUNA_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/options.h"
#include "base/status.h"

typedef enum puna_command_id {
#define C(id, name, arguments, summary) PUNA_COMMAND_##id,
#include "cli/commands.def"
#undef C
    PUNA_N_COMMANDS
} puna_command_id;

typedef enum puna_flag_id {
#define F(id, key, letter, value, commands, help) PUNA_FLAG_##id,
#include "cli/flags.def"
#undef F
    PUNA_N_FLAGS
} puna_flag_id;

typedef struct puna_cli puna_cli;

/* A handler prints its result and returns a status; err tells the rest. A failure with an empty
 * message has been reported already. */
typedef puna_status puna_command_fn(puna_cli *cli, puna_error *err);

typedef struct puna_command {
    const char *name, *arguments, *summary;
    puna_command_fn *run;
} puna_command;

typedef struct puna_flag {
    const char *key;
    char letter;       /* 0: none */
    const char *value; /* what follows, or "" */
    uint32_t commands; /* bit 1 << id of each command that takes it */
    const char *help;
} puna_flag;

/* A letter or another spelling of a library option. */
typedef struct puna_alias {
    const char *name; /* one letter, or a long name with dashes */
    const char *key;
} puna_alias;

extern const puna_command puna_commands[PUNA_N_COMMANDS];
extern const puna_flag puna_flags[PUNA_N_FLAGS];
extern const puna_alias puna_aliases[];
extern const size_t puna_n_aliases;

/* Whether a library option means something to a command. */
bool puna_option_fits(const puna_option *option, puna_command_id command);

struct puna_cli {
    puna_command_id command;
    const char *flags[PUNA_N_FLAGS]; /* the value given, "" for a bare one, NULL when absent */
    const char **operands;           /* arguments that are not options, without the command */
    size_t n_operands;
    puna_params *params;
    bool json, quiet, verbose;
    bool out_terminal, err_terminal; /* is stdout, stderr a terminal */
    bool out_color, err_color;
    int width;                       /* columns of the terminal; 0 when stdout is none */
    bool document_written;           /* stdout has its one JSON document */
    json_t *error_details;           /* more members of the JSON error, or NULL */
    bool out_closed;                 /* the reader of stdout went away: end quietly */
    int out_errno;                   /* any other failure to write, 0 when none */
};

static inline bool puna_cli_has(const puna_cli *cli, puna_flag_id flag)
{
    return cli->flags[flag] != NULL;
}

/* The whole number an option was given, or `absent`. PUNA_ERR_ARGUMENT outside least..most. */
puna_status puna_cli_number(const puna_cli *cli, puna_flag_id flag, int64_t absent, int64_t least,
                            int64_t most, int64_t *out, puna_error *err);

/* The value of a library option that is a whole number (PUNA_KEY_...), as given or by default. */
int64_t puna_cli_setting(const puna_cli *cli, int key);

/* ---- arguments (args.c) ---- */

/* Fills cli from the command line. PUNA_ERR_ARGUMENT with a hint; then cli->json and
 * cli->quiet still say what was asked. cli->operands is fresh memory. */
puna_status puna_args_parse(puna_cli *cli, int argc, char **argv, puna_error *err);

/* Numbers separated by spaces or commas, in fresh memory; *n of them. Values least..most. */
puna_status puna_numbers_parse(const char *text, size_t n_text, const char *what, int32_t least, int32_t most,
                               int32_t **numbers, size_t *n, puna_error *err);

/* ---- results, notes, errors (report.c) ---- */

int puna_exit_code(puna_status status);

/* Bytes to stdout. False when nobody reads any more (out_closed) or writing failed (out_errno). */
bool puna_out_write(puna_cli *cli, const void *bytes, size_t n);
bool puna_out_text(puna_cli *cli, const char *text);
void puna_out_printf(puna_cli *cli, const char *format, ...) PUNA_PRINTF(2, 3);
/* Sends what is buffered; false as above. */
bool puna_out_flush(puna_cli *cli);

/* The JSON document of the command; takes the reference. A NULL document is out of memory. */
puna_status puna_out_json(puna_cli *cli, json_t *document, puna_error *err);

/* One line on stderr, unless -q. */
void puna_note(const puna_cli *cli, const char *format, ...) PUNA_PRINTF(2, 3);

/* `puna: message`, `try: hint`, and the JSON error with --json unless stdout has a document. */
void puna_report_error(puna_cli *cli, const puna_error *err);

/* Text as a JSON string; bytes that are not UTF-8 become U+FFFD. */
json_t *puna_cli_json_text(const char *text, size_t n);

/* A JSON document that the library handed out; frees the text. */
puna_status puna_cli_json_take(char *text, json_t **document, puna_error *err);

/* ---- input (input.c) ---- */

/* The text a command works on, in fresh memory: -f FILE, or the arguments joined by spaces, or
 * standard input. PUNA_ERR_ARGUMENT when there is none and stdin is a terminal. */
puna_status puna_input_text(const puna_cli *cli, char **text, size_t *n, puna_error *err);

/* Opens the model that -m (or `reference`, when not NULL) names. */
puna_status puna_input_model(puna_cli *cli, const char *reference, puna_model **model, puna_error *err);

/* ---- interruption (interrupt.c) ---- */

/* From now on the first Ctrl-C is only noted, the second one kills; SIGPIPE is ignored. */
void puna_interrupt_watch(void);
bool puna_interrupt_seen(void);

/* ---- handlers ---- */
#define C(id, name, arguments, summary) puna_command_fn puna_command_##id;
#include "cli/commands.def"
#undef C

/* The help of one command, or of all (PUNA_N_COMMANDS), on stdout. */
void puna_help_print(puna_cli *cli, puna_command_id command);

#endif
