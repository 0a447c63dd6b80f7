/* prompt.h - from what the user wrote to the tokens a model is given. */
#ifndef PUNA_CLI_PROMPT_H
#define PUNA_CLI_PROMPT_H

#include "cli/cli.h"

/* The prompt's tokens in memory of the library (puna_free): as a user message when the model has a
 * chat template, else (or with --raw) as it is. Special tokens in the user's text are plain
 * text unless --special. */
puna_status puna_prompt_tokens(const puna_cli *cli, const puna_model *model, const char *text, size_t n,
                               int32_t **tokens, size_t *n_tokens, puna_error *err);

#endif
