/* main.c - the program: arguments, one command, an exit code. */
#define _DEFAULT_SOURCE
#include "cli/cli.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* A closed standard stream would be the number of the next file opened, and text would go there. */
static void fill_streams(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) < 0)
            return;
}

static void look_at_terminal(puna_cli *cli)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM"), *columns = getenv("COLUMNS");
    bool plain = (no_color && *no_color) || (term && strcmp(term, "dumb") == 0);
    struct winsize size = { 0 };
    cli->out_terminal = isatty(STDOUT_FILENO) == 1;
    cli->err_terminal = isatty(STDERR_FILENO) == 1;
    cli->out_color = cli->out_terminal && !plain;
    cli->err_color = cli->err_terminal && !plain;
    if (!cli->out_terminal)
        return;
    long given = columns ? strtol(columns, NULL, 10) : 0;
    if (given > 0 && given < 10000)
        cli->width = (int)given;
    else
        cli->width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

static puna_status run(puna_cli *cli, int argc, char **argv, puna_error *err)
{
    cli->params = puna_params_new();
    if (!cli->params)
        return puna_fail_memory(err, "options", 0);
    TRY(puna_args_parse(cli, argc, argv, err));
    if (puna_cli_has(cli, PUNA_FLAG_no_color))
        cli->out_color = cli->err_color = false;
    if (puna_cli_has(cli, PUNA_FLAG_version)) {
        puna_out_printf(cli, "puna %s\n", puna_version());
        return PUNA_OK;
    }
    if (puna_cli_has(cli, PUNA_FLAG_help) || cli->command == PUNA_N_COMMANDS) {
        puna_help_print(cli, cli->command);
        return PUNA_OK;
    }
    return puna_commands[cli->command].run(cli, err);
}

int main(int argc, char **argv)
{
    puna_cli cli = { .command = PUNA_N_COMMANDS };
    puna_error err = { 0 };
    fill_streams();
    puna_interrupt_watch();
    look_at_terminal(&cli);
    puna_status status = run(&cli, argc, argv, &err);
    if (status != PUNA_OK && err.message[0] && !cli.out_closed)
        puna_report_error(&cli, &err);
    puna_out_flush(&cli);
    if (cli.out_errno) {
        fprintf(stderr, "puna: cannot write: standard output: %s\n", strerror(cli.out_errno));
        status = PUNA_ERR_FAILED;
    } else if (cli.out_closed) {
        status = PUNA_OK;
    }
    json_decref(cli.error_details);
    puna_params_free(cli.params);
    free(cli.operands);
    return puna_exit_code(status);
}
