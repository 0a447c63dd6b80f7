/* params.c - puna_params: options.def's rows with values. */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

static puna_status set(puna_params *params, int key, const char *value, puna_error *err)
{
    puna_option_value parsed = { 0 };
    TRY(puna_option_parse(&puna_options[key], value, &parsed, err));
    char *text = strdup(value);
    if (!text)
        return puna_fail_memory(err, "option", strlen(value) + 1);
    free(params->texts[key]);
    params->texts[key] = text;
    params->values[key] = parsed;
    return PUNA_OK;
}

/* PUNA_<KEY>; a value that does not fit is ignored here and reported by nobody, so that a stray
 * variable cannot break a program that never heard of it. */
static void from_environment(puna_params *params, int key)
{
    char name[64];
    int n = snprintf(name, sizeof name, "PUNA_%s", puna_options[key].key);
    for (int i = 0; i < n; i++)
        name[i] = (char)toupper((unsigned char)name[i]);
    const char *value = getenv(name);
    if (value)
        set(params, key, value, NULL);
}

puna_params *puna_params_new(void)
{
    puna_params *params = calloc(1, sizeof *params);
    for (int key = 0; params && key < PUNA_N_OPTIONS; key++) {
        const puna_option *o = &puna_options[key];
        if (*o->preset || o->type == PUNA_OPTION_TEXT) {
            params->texts[key] = strdup(o->preset);
            if (!params->texts[key]) {
                puna_params_free(params);
                return NULL;
            }
            puna_option_parse(o, o->preset, &params->values[key], NULL);
        }
        from_environment(params, key);
    }
    return params;
}

void puna_params_free(puna_params *params)
{
    if (!params)
        return;
    for (int key = 0; key < PUNA_N_OPTIONS; key++)
        free(params->texts[key]);
    free(params);
}

puna_status puna_params_set(puna_params *params, const char *key, const char *value, puna_error *err)
{
    int found = puna_option_find(key);
    return found < 0 ? puna_option_unknown(key, err) : set(params, found, value, err);
}

const char *puna_params_get(const puna_params *params, const char *key)
{
    int found = puna_option_find(key);
    return found < 0 ? NULL : params->texts[found];
}
