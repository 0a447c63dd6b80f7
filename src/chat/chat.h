/* chat.h - messages to the text a model was trained on, through its chat template.
 * Refuses: guessing a format for a model that brings no template. */
#ifndef PUNA_CHAT_CHAT_H
#define PUNA_CHAT_CHAT_H

#include <stdbool.h>

#include "chat/jinja/jinja.h"
#include "puna.h"

/* Renders n messages. bos and eos are the texts of the model's special tokens, "" or NULL when it
 * has none; now as in puna_template_render. *out is malloc'ed and terminated, *n_out (may be NULL)
 * its length. Errors as puna_template_render; PUNA_ERR_ARGUMENT for text that is not UTF-8. */
puna_status puna_chat_render(const puna_template *template, const puna_message *messages, size_t n,
                             bool add_generation_prompt, const char *bos, const char *eos, int64_t now,
                             char **out, size_t *n_out, puna_error *err);

#endif
