/* interrupt.c - Ctrl-C as a flag. Owns the program's only global variable, because a signal
 * handler cannot be given anything. */
#define _POSIX_C_SOURCE 200809L
#include "cli/cli.h"

#include <signal.h>

static volatile sig_atomic_t seen;

static void note(int signal_number)
{
    (void)signal_number;
    seen = 1;
}

void puna_interrupt_watch(void)
{
    struct sigaction once = { .sa_handler = note, .sa_flags = (int)SA_RESETHAND };
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigemptyset(&once.sa_mask);
    sigemptyset(&ignore.sa_mask);
    sigaction(SIGINT, &once, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

bool puna_interrupt_seen(void)
{
    return seen != 0;
}
