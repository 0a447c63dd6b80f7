/* cmd_profile.c - `puna profile`: where the time of a prefill and of decoding goes: by kind of step, by
 * layer, with the bytes that have to be read, the multiply-adds, and the share of the machine's limit.
 * A step is what the backend runs as one: with fusion several operations (--no-fusion tells them apart). */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/limits.h"
#include "cli/profile_svg.h"
#include "cli/synthetic.h"
#include "cli/table.h"

enum { MAX_LENGTH = 1 << 20, MAX_LABEL = 1024 };

typedef struct profiling {
    puna_cli *cli;
    puna_model *model;
    void *memory; /* of a made-up model */
    puna_session *session;
    puna_limits limit;
    int32_t *tokens;
    int64_t prefill, decode, depth;
    json_t *phases;
} profiling;

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* "attn_q" of "blk.3.attn_q.weight". */
static void add_weight(puna_buf *label, const char *name)
{
    const char *dot = strncmp(name, "blk.", 4) == 0 ? strchr(name + 4, '.') : NULL;
    if (dot)
        name = dot + 1;
    const char *end = strstr(name, ".weight");
    if (label->n)
        puna_buf_add_byte(label, '+');
    puna_buf_add(label, name, end ? (size_t)(end - name) : strlen(name));
}

/* What a step is called: attention, the matrices it multiplies with, or its operations. */
static json_t *label_of(const json_t *step)
{
    puna_buf label = puna_buf_make(MAX_LABEL);
    size_t i;
    const json_t *op, *weight, *ops = json_object_get(step, "ops");
    json_array_foreach(ops, i, op) {
        if (strcmp(json_string_value(op), "attention") == 0)
            return json_string("attention");
    }
    json_array_foreach(json_object_get(step, "weights"), i, weight)
        add_weight(&label, json_string_value(json_object_get(weight, "name")));
    for (i = 0; label.n == 0 && i < json_array_size(ops); i++) {
        if (i)
            puna_buf_add_byte(&label, '+');
        puna_buf_add_text(&label, json_string_value(json_array_get(ops, i)));
    }
    json_t *text = label.failed ? NULL : json_string(label.data ? label.data : "");
    puna_buf_free(&label);
    return text;
}

/* Rates and the share of the limit, of anything with ms, bytes and multiplies over all runs. */
static void add_rates(const profiling *p, json_t *row)
{
    double s = number(row, "ms") / 1e3, bytes = number(row, "bytes"), multiplies = number(row, "multiplies");
    json_object_set_new(row, "gb_per_s", json_real(s > 0 ? bytes / s / 1e9 : 0));
    json_object_set_new(row, "gmac_per_s", json_real(s > 0 ? multiplies / s / 1e9 : 0));
    json_object_set_new(row, "limit_share", json_real(s > 0 ? puna_limits_seconds(&p->limit, bytes, multiplies) / s : 0));
}

static void add_to(json_t *sum, const json_t *step)
{
    json_object_set_new(sum, "steps", json_integer((json_int_t)number(sum, "steps") + 1));
    json_object_set_new(sum, "ms", json_real(number(sum, "ms") + number(step, "ms")));
    json_object_set_new(sum, "bytes", json_integer((json_int_t)(number(sum, "bytes") + number(step, "bytes"))));
    json_object_set_new(sum, "multiplies", json_integer((json_int_t)(number(sum, "multiplies") + number(step, "multiplies"))));
}

/* Steps added up by the value of a key, in order of first appearance. */
static json_t *sums_by(const profiling *p, const json_t *steps, const char *key)
{
    json_t *sums = json_array(), *sum;
    const json_t *step;
    size_t i, j;
    json_array_foreach(steps, i, step) {
        json_t *found = NULL;
        json_array_foreach(sums, j, sum) {
            if (json_equal(json_object_get(sum, key), json_object_get(step, key)))
                found = sum;
        }
        if (!found) {
            found = json_pack("{s:O}", key, json_object_get(step, key));
            if (strcmp(key, "label") == 0)
                json_object_set(found, "ops", json_object_get(step, "ops"));
            json_array_append_new(sums, found);
        }
        add_to(found, step);
    }
    json_array_foreach(sums, j, sum)
        add_rates(p, sum);
    return sums;
}

/* What the session noted since the last time, as a phase of the document. */
static puna_status take_phase(profiling *p, const char *test, int64_t n, puna_error *err)
{
    char *text = NULL;
    json_t *profile = NULL, *step, *total = json_object();
    size_t i;
    puna_status status = puna_session_describe(p->session, "profile", &text, err);
    if (status == PUNA_OK)
        status = puna_cli_json_take(text, &profile, err);
    if (status != PUNA_OK || !test) {
        json_decref(profile);
        json_decref(total);
        return status;
    }
    json_t *steps = json_object_get(profile, "steps");
    json_array_foreach(steps, i, step) {
        json_object_set_new(step, "label", label_of(step));
        add_to(total, step);
        add_rates(p, step);
    }
    add_rates(p, total);
    json_t *phase = json_pack("{s:s, s:I, s:I, s:O, s:o, s:o, s:o, s:O}", "test", test, "tokens", (json_int_t)n, "depth",
                              (json_int_t)p->depth, "runs", json_object_get(profile, "runs"), "total", total, "kinds",
                              sums_by(p, steps, "label"), "layers", sums_by(p, steps, "layer"), "steps", steps);
    json_decref(profile);
    if (!phase || json_array_append_new(p->phases, phase) != 0)
        return puna_fail(err, PUNA_ERR_MEMORY, "out of memory: profile");
    return PUNA_OK;
}

static puna_status sync_to(profiling *p, size_t n, puna_error *err)
{
    TRY(puna_session_sync(p->session, p->tokens, n, err));
    return puna_interrupt_seen() ? puna_fail(err, PUNA_ERR_INTERRUPTED, "profile: interrupted") : PUNA_OK;
}

/* Everything once to warm up, then the same with its time noted. */
static puna_status measure(profiling *p, puna_error *err)
{
    size_t depth = (size_t)p->depth;
    for (int warm = 1; warm >= 0; warm--) {
        TRY(sync_to(p, depth, err));
        TRY(take_phase(p, NULL, 0, err));
        if (p->prefill) {
            TRY(sync_to(p, depth + (size_t)p->prefill, err));
            TRY(take_phase(p, warm ? NULL : "prefill", p->prefill, err));
        }
        TRY(sync_to(p, depth, err));
        TRY(take_phase(p, NULL, 0, err));
        for (size_t i = 1; i <= (size_t)p->decode; i++)
            TRY(sync_to(p, depth + i, err));
        if (p->decode)
            TRY(take_phase(p, warm ? NULL : "decode", p->decode, err));
    }
    return PUNA_OK;
}

static puna_status prepare(profiling *p, puna_error *err)
{
    char text[24];
    uint32_t state = 1, n_vocab = (uint32_t)puna_model_n_vocab(p->model);
    size_t n = (size_t)(p->depth + (p->prefill > p->decode ? p->prefill : p->decode));
    p->tokens = malloc((n + 1) * sizeof *p->tokens);
    p->phases = json_array();
    if (!p->tokens || !p->phases)
        return puna_fail_memory(err, "tokens", n * sizeof *p->tokens);
    for (size_t i = 0; i < n && n_vocab; i++) {
        state = state * 1664525u + 1013904223u;
        p->tokens[i] = (int32_t)((state >> 8) % n_vocab);
    }
    snprintf(text, sizeof text, "%zu", n ? n : 1);
    if (puna_cli_setting(p->cli, PUNA_KEY_ctx) == 0)
        TRY(puna_params_set(p->cli->params, "ctx", text, err));
    TRY(puna_params_set(p->cli->params, "profile", "on", err));
    return puna_session_open(&p->session, p->model, p->cli->params, err);
}

static void add_cells(puna_table *table, const json_t *row, double all_ms, double runs)
{
    puna_table_add(table, "%.3f", number(row, "ms") / runs);
    puna_table_add(table, "%.1f %%", all_ms > 0 ? 100 * number(row, "ms") / all_ms : 0);
    puna_table_add(table, "%.2f", number(row, "bytes") / runs / 1e6);
    puna_table_add(table, "%.1f", number(row, "gb_per_s"));
    puna_table_add(table, "%.1f", number(row, "gmac_per_s"));
    puna_table_add(table, "%.1f %%", 100 * number(row, "limit_share"));
}

static puna_status print_rows(profiling *p, const json_t *phase, const char *key, const char *heads, puna_error *err)
{
    puna_table table = puna_table_make(heads);
    const json_t *total = json_object_get(phase, "total"), *rows = json_object_get(phase, key), *row;
    double all = number(total, "ms"), runs = number(phase, "runs");
    size_t i;
    json_array_foreach(rows, i, row) {
        const char *label = json_string_value(json_object_get(row, "label"));
        int layer = (int)number(row, "layer");
        if (label)
            puna_table_add(&table, "%s", label);
        else if (layer < 0)
            puna_table_add(&table, "outside");
        else
            puna_table_add(&table, "%d", layer);
        puna_table_add(&table, "%d", (int)number(row, "steps"));
        add_cells(&table, row, all, runs);
    }
    puna_table_add(&table, "all");
    puna_table_add(&table, "%d", (int)number(total, "steps"));
    add_cells(&table, total, all, runs);
    return puna_table_print(&table, p->cli, err);
}

static puna_status print(profiling *p, const json_t *document, puna_error *err)
{
    const json_t *phase;
    size_t i;
    puna_out_printf(p->cli, "%s (%s)\n", puna_model_name(p->model), puna_model_fingerprint(p->model));
    puna_limits_print(&p->limit, p->cli);
    json_array_foreach(json_object_get(document, "phases"), i, phase) {
        double runs = number(phase, "runs"), ms = number(json_object_get(phase, "total"), "ms");
        puna_out_printf(p->cli, "%s%s of %d after %d: %.0f run%s, %.3f ms each, %.1f tokens/s\n\n", i ? "\n\n" : "",
                        json_string_value(json_object_get(phase, "test")), (int)number(phase, "tokens"),
                        (int)number(phase, "depth"), runs, runs > 1 ? "s" : "", ms / runs,
                        ms > 0 ? number(phase, "tokens") * 1e3 / ms : 0);
        TRY(print_rows(p, phase, "kinds", "STEP|>COUNT|>MS|>SHARE|>MB|>GB/S|>GMAC/S|>OF LIMIT", err));
        puna_out_text(p->cli, "\n");
        TRY(print_rows(p, phase, "layers", "LAYER|>STEPS|>MS|>SHARE|>MB|>GB/S|>GMAC/S|>OF LIMIT", err));
    }
    return PUNA_OK;
}

static puna_status report(profiling *p, puna_error *err)
{
    const char *name = puna_model_name(p->model), *svg = p->cli->flags[PUNA_FLAG_svg];
    json_t *document = json_pack("{s:o, s:s, s:s, s:o, s:O}", "model", puna_cli_json_text(name, strlen(name)), "fingerprint",
                                 puna_model_fingerprint(p->model), "version", puna_version(), "machine",
                                 puna_limits_json(&p->limit), "phases", p->phases);
    puna_status status = document ? PUNA_OK : puna_fail(err, PUNA_ERR_MEMORY, "out of memory: profile");
    if (status == PUNA_OK && svg) {
        status = puna_profile_svg(document, svg, err);
        if (status == PUNA_OK)
            puna_note(p->cli, "wrote %s", svg);
    }
    if (status == PUNA_OK && p->cli->json)
        return puna_out_json(p->cli, document, err);
    if (status == PUNA_OK)
        status = print(p, document, err);
    json_decref(document);
    return status;
}

puna_status puna_command_profile(puna_cli *cli, puna_error *err)
{
    profiling p = { .cli = cli };
    TRY(puna_cli_number(cli, PUNA_FLAG_profile_prefill, 512, 0, MAX_LENGTH, &p.prefill, err));
    TRY(puna_cli_number(cli, PUNA_FLAG_profile_decode, 32, 0, MAX_LENGTH, &p.decode, err));
    TRY(puna_cli_number(cli, PUNA_FLAG_profile_depth, 0, 0, MAX_LENGTH, &p.depth, err));
    TRY(puna_synthetic_or_input(cli, &p.model, &p.memory, err));
    puna_status status = prepare(&p, err);
    if (status == PUNA_OK)
        status = puna_limits_read(&p.limit, cli, p.session, p.model, err);
    if (status == PUNA_OK)
        status = measure(&p, err);
    if (status == PUNA_OK)
        status = report(&p, err);
    puna_limits_free(&p.limit);
    json_decref(p.phases);
    free(p.tokens);
    puna_session_free(p.session);
    puna_model_free(p.model);
    free(p.memory);
    return status;
}
