/* synthetic.h - the made-up model of --synthetic: in memory, or saved to a file and opened there. */
#ifndef PUNA_CLI_SYNTHETIC_H
#define PUNA_CLI_SYNTHETIC_H

#include "cli/cli.h"

/* The model of --synthetic RECIPE [--save FILE], or that of -m. *memory is a made-up model's bytes, or
 * NULL when a file holds them; free it after the model. */
puna_status puna_synthetic_or_input(puna_cli *cli, puna_model **model, void **memory, puna_error *err);

#endif
