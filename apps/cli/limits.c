/* limits.c - the machine's limits, and the share of them that a speed is. */
#include "cli/limits.h"

#include <stdio.h>

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

puna_status puna_limits_again(puna_limits *l, const puna_cli *cli, puna_error *err)
{
    char *text = NULL;
    json_t *measured = NULL;
    TRY(puna_describe("limits", cli->params, &text, err));
    TRY(puna_cli_json_take(text, &measured, err));
    if (number(measured, "read_gb_per_s") > l->read_gb_per_s)
        l->read_gb_per_s = number(measured, "read_gb_per_s");
    if (number(measured, "int8_gmac_per_s") > l->int8_gmac_per_s) {
        const char *way = json_string_value(json_object_get(measured, "int8_way"));
        l->int8_gmac_per_s = number(measured, "int8_gmac_per_s");
        snprintf(l->int8_way, sizeof l->int8_way, "%s", way ? way : "");
    }
    l->n_threads = (int)number(measured, "threads");
    json_decref(measured);
    return PUNA_OK;
}

puna_status puna_limits_read(puna_limits *l, const puna_cli *cli, puna_session *session, const puna_model *model,
                             puna_error *err)
{
    char *text = NULL;
    json_t *summary = NULL;
    *l = (puna_limits){ 0 };
    TRY(puna_describe("machine", cli->params, &text, err));
    TRY(puna_cli_json_take(text, &l->machine, err));
    TRY(puna_session_describe(session, "cache", &text, err));
    TRY(puna_cli_json_take(text, &l->caches, err));
    TRY(puna_model_describe(model, "summary", &text, err));
    TRY(puna_cli_json_take(text, &summary, err));
    l->bytes_per_token = number(summary, "bytes_per_token");
    l->multiplies_per_token = number(summary, "multiplies_per_token");
    json_decref(summary);
    return puna_limits_again(l, cli, err);
}

void puna_limits_free(puna_limits *l)
{
    json_decref(l->machine);
    json_decref(l->caches);
    *l = (puna_limits){ 0 };
}

double puna_limits_seconds(const puna_limits *l, double bytes, double multiplies)
{
    double reading = l->read_gb_per_s > 0 ? bytes / (l->read_gb_per_s * 1e9) : 0;
    double multiplying = l->int8_gmac_per_s > 0 ? multiplies / (l->int8_gmac_per_s * 1e9) : 0;
    return reading > multiplying ? reading : multiplying;
}

/* Weights are read once a run of `rows` tokens, the cache up to its end once a run and layer; each
 * token multiplies with every matrix, and in attention with every position before it. */
double puna_limits_share(const puna_limits *l, int32_t n, int32_t rows, int32_t depth, double seconds)
{
    double bytes = 0, multiplies = n * l->multiplies_per_token;
    const json_t *caches = json_object_get(l->caches, "caches"), *cache;
    size_t index;
    for (int32_t done = 0; done < n; done += rows) {
        int32_t now = n - done < rows ? n - done : rows;
        bytes += l->bytes_per_token;
        json_array_foreach(caches, index, cache) {
            double window = number(cache, "window"), before = depth + done;
            double held = window > 0 && before > window ? window : before;
            bytes += (held + now) * number(cache, "bytes_per_position");
            multiplies += now * (held + now / 2.0) * number(cache, "multiplies_per_position");
        }
    }
    return seconds > 0 ? puna_limits_seconds(l, bytes, multiplies) / seconds : 0;
}

json_t *puna_limits_json(const puna_limits *l)
{
    return json_pack("{s:O, s:O, s:i, s:f, s:f, s:s}", "cpu", json_object_get(l->machine, "cpu"), "isa",
                     json_object_get(l->machine, "isa"), "threads", l->n_threads, "read_gb_per_s", l->read_gb_per_s,
                     "int8_gmac_per_s", l->int8_gmac_per_s, "int8_way", l->int8_way);
}

void puna_limits_print(const puna_limits *l, puna_cli *cli)
{
    puna_out_printf(cli, "%s, %s, %d threads, reads %.1f GB/s, %.0f G int8 multiply-adds/s (%s)\n\n",
                    json_string_value(json_object_get(l->machine, "cpu")),
                    json_string_value(json_object_get(l->machine, "isa")), l->n_threads, l->read_gb_per_s,
                    l->int8_gmac_per_s, l->int8_way);
}
