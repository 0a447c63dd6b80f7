/* progress.c - the progress line. */
#include "cli/progress.h"

#include <stdio.h>

#include "base/clock.h"

enum { BAR = 30 };

puna_progress puna_progress_make(const puna_cli *cli, const char *what)
{
    return (puna_progress){ .what = what, .enabled = cli->err_terminal && !cli->quiet,
                            .started_ms = puna_clock_ms() };
}

void puna_progress_show(puna_progress *progress, double done, double total)
{
    double now = puna_clock_ms();
    if (!progress->enabled || total <= 0 || now - progress->started_ms < 1000 || now - progress->drawn_ms < 100)
        return;
    double share = done < total ? done / total : 1;
    double left = share > 0 ? (now - progress->started_ms) / share * (1 - share) / 1000 : 0;
    char bar[BAR + 1];
    for (int i = 0; i < BAR; i++)
        bar[i] = i < (int)(share * BAR) ? '#' : '.';
    bar[BAR] = '\0';
    fprintf(stderr, "\r\033[K%s [%s] %3.0f %%, %.0f s left", progress->what, bar, share * 100, left);
    fflush(stderr);
    progress->shown = true;
    progress->drawn_ms = now;
}

void puna_progress_end(puna_progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
}
