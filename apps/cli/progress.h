/* progress.h - one line on stderr for what takes longer than a second. Silent off a terminal and with -q. */
#ifndef PUNA_CLI_PROGRESS_H
#define PUNA_CLI_PROGRESS_H

#include "cli/cli.h"

typedef struct puna_progress {
    const char *what;
    bool enabled, shown;
    double started_ms, drawn_ms;
} puna_progress;

puna_progress puna_progress_make(const puna_cli *cli, const char *what);
/* done of total, in any unit. */
void puna_progress_show(puna_progress *progress, double done, double total);
/* Takes the line away. */
void puna_progress_end(puna_progress *progress);

#endif
