/* jinja.h - chat templates: Jinja2 as Hugging Face `transformers` configures it (trim_blocks,
 * lstrip_blocks, loop controls, generation blocks, tojson, raise_exception, strftime_now).
 * A template sees its context and nothing else: there is no file, no import, no environment, no
 * way to change a value of the context. Text, memory, steps and nesting are bounded.
 * Refuses: include, import, from, extends, autoescape other than false, `self`, the filters pprint,
 * random, striptags, urlize and wordwrap, lipsum, \N{...} in strings, integers beyond 64 bits. */
#ifndef PUNA_CHAT_JINJA_JINJA_H
#define PUNA_CHAT_JINJA_JINJA_H

#include <jansson.h>

#include "base/status.h"

/* A compiled template: immutable, may be rendered by many threads at once. */
typedef struct puna_template puna_template;

/* What one rendering may use; see base/limits.h for the defaults. */
typedef struct puna_template_limits {
    uint64_t steps;      /* evaluation steps; moving 16 bytes is one step too */
    size_t output_bytes; /* longest text made, also inside the template */
    size_t memory_bytes; /* taken for values, all freed when rendering ends */
    unsigned depth;      /* macro calls inside each other */
    unsigned time_ms;    /* by the clock, however slow the machine */
} puna_template_limits;

/* Compiles n bytes of UTF-8 source, which may be freed afterwards. PUNA_ERR_FORMAT with line and
 * column, and the line itself, when the source is not a template this engine renders. Free with puna_template_free. */
puna_status puna_template_compile(puna_template **out, const char *source, size_t n, puna_error *err);
void puna_template_free(puna_template *template);

/* Renders with the variables of `context`, a JSON object that must not change meanwhile. `now` is
 * in seconds since 1970 for strftime_now (UTC), or -1 for the real clock. *out is malloc'ed and
 * terminated, *n its length without the terminator (n may be NULL). PUNA_ERR_ARGUMENT when the
 * template itself refuses the conversation (raise_exception), PUNA_ERR_FORMAT for any other error
 * in it or a limit reached. */
puna_status puna_template_render(const puna_template *template, const json_t *context, int64_t now,
                                 char **out, size_t *n, puna_error *err);

/* The same within the caller's limits. */
puna_status puna_template_render_within(const puna_template *template, const json_t *context, int64_t now,
                                        const puna_template_limits *limits, char **out, size_t *n,
                                        puna_error *err);
puna_template_limits puna_template_limits_default(void);

/* What a template uses and what is wrong with it, without running it: a new JSON object
 * {"compiles": true, "variables": [...], "filters": [...], "tests": [...], "functions": [...], "methods": [...],
 *  "problems": [{"line", "column", "message", "source"}]}, each list in order of first use; source
 * is the line, or what is near the column when it is long. A template that compiles may still have
 * problems: they fail when they are reached. NULL when memory is out. */
json_t *puna_template_check(const char *source, size_t n);

#endif
