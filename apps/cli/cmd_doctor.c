/* cmd_doctor.c - `puna doctor`: the machine, what puna chose on it and why, and whether it computes
 * right: the model inside the program must continue as llama2.c's own program does. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "cli/table.h"
#include "store/store.h"

/* Greedy continuation of token 1 by stories260K, as printed by llama2.c's run.c in float32. */
static const int32_t expected[] = { 403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426, 338 };
enum { N_EXPECTED = sizeof expected / sizeof *expected };

typedef struct continuation {
    int32_t tokens[N_EXPECTED];
    size_t n;
} continuation;

static int collect(void *user, int32_t token, const char *text, size_t n)
{
    continuation *c = user;
    (void)text;
    (void)n;
    if (token >= 0 && c->n < N_EXPECTED)
        c->tokens[c->n++] = token;
    return 0;
}

static puna_status continue_story(const puna_params *params, continuation *c, puna_error *err)
{
    static const int32_t begin[] = { 1 };
    puna_model *model = NULL;
    puna_session *session = NULL;
    puna_status status = puna_model_open(&model, "builtin:stories260K", params, err);
    if (status == PUNA_OK)
        status = puna_session_open(&session, model, params, err);
    if (status == PUNA_OK)
        status = puna_session_sync(session, begin, 1, err);
    if (status == PUNA_OK)
        status = puna_generate(session, params, collect, c, NULL, err);
    puna_session_free(session);
    puna_model_free(model);
    return status;
}

/* PUNA_OK when the machine computes right; else err says where it went wrong. */
static puna_status self_test(puna_cli *cli, puna_error *err)
{
    continuation c = { .n = 0 };
    char n[8];
    snprintf(n, sizeof n, "%d", (int)N_EXPECTED);
    TRY(puna_params_set(cli->params, "temp", "0", err));
    TRY(puna_params_set(cli->params, "n_predict", n, err));
    TRY(puna_params_set(cli->params, "ctx", "64", err));
    TRY(continue_story(cli->params, &c, err));
    for (size_t i = 0; i < N_EXPECTED; i++)
        if (i >= c.n || c.tokens[i] != expected[i])
            return puna_fail(err, PUNA_ERR_FAILED, "self-test: token %zu: got %d, expected %d", i,
                             i < c.n ? (int)c.tokens[i] : -1, (int)expected[i]);
    return PUNA_OK;
}

static puna_status describe(const puna_cli *cli, const char *topic, json_t **out, puna_error *err)
{
    char *text = NULL;
    TRY(puna_describe(topic, cli->params, &text, err));
    return puna_cli_json_take(text, out, err);
}

static int integer(const json_t *object, const char *key)
{
    return (int)json_integer_value(json_object_get(object, key));
}

/* "8 of 16 in the machine, on 6 cores (2 slow), 2 memory nodes, a quota of 2.5". */
static void describe_processors(const json_t *machine, char *text, size_t capacity)
{
    const json_t *t = json_object_get(machine, "topology"), *quota = json_object_get(t, "quota");
    char slow[32] = "", limit[48] = "", nodes[32] = "";
    int cores = integer(t, "cores"), n_slow = integer(t, "slow_cores"), n_nodes = integer(t, "memory_nodes");
    if (n_slow)
        snprintf(slow, sizeof slow, ", %d of them slow", n_slow);
    if (n_nodes > 1)
        snprintf(nodes, sizeof nodes, ", %d memory nodes", n_nodes);
    if (quota)
        snprintf(limit, sizeof limit, ", a quota of %.1f", json_number_value(quota));
    snprintf(text, capacity, "%d usable of %d, %d core%s%s%s%s", integer(t, "usable"), integer(t, "online"),
             cores, cores == 1 ? "" : "s", slow, nodes, limit);
}

/* What the system offers, and what the memory that was read for measuring got of it. */
static void describe_pages(const json_t *machine, const json_t *limits, char *text, size_t capacity)
{
    const json_t *pages = json_object_get(machine, "huge_pages");
    const char *setting = json_string_value(json_object_get(pages, "transparent"));
    double got = json_number_value(json_object_get(limits, "read_huge_bytes"));
    double of = json_number_value(json_object_get(limits, "read_bytes"));
    snprintf(text, capacity, "%s; got for %.0f %% of the memory measured (Linux %s)",
             !setting || !*setting             ? "not offered"
             : strcmp(setting, "always") == 0  ? "always"
             : strcmp(setting, "madvise") == 0 ? "on request (madvise)"
                                               : "turned off",
             of > 0 ? 100 * got / of : 0, json_string_value(json_object_get(machine, "kernel")));
}

static void add_row(puna_table *table, const char *name, const char *value)
{
    puna_table_add(table, "%s", name);
    puna_table_add(table, "%s", value ? value : "unknown");
}

static const char *reason_for_isa(const puna_cli *cli)
{
    const char *forced = puna_params_get(cli->params, "isa");
    return forced && *forced ? "as asked for with --isa or PUNA_ISA"
                             : "the best instruction set that this processor and this build share";
}

static void add_threads(puna_table *table, const json_t *machine, const char *kind)
{
    const json_t *chosen = json_object_get(machine, "threads_chosen");
    char name[32], why[32];
    snprintf(name, sizeof name, "%s threads", kind);
    snprintf(why, sizeof why, "%s_because", kind);
    puna_table_add(table, "%s", name);
    puna_table_add(table, "%d: %s", integer(chosen, kind), json_string_value(json_object_get(chosen, why)));
}

static puna_status print_table(puna_cli *cli, const json_t *machine, const json_t *limits,
                               const char *problem, const char *store, puna_error *err)
{
    char memory[16], processors[160], pages[160];
    puna_table table = puna_table_make("DOCTOR|~");
    describe_processors(machine, processors, sizeof processors);
    describe_pages(machine, limits, pages, sizeof pages);
    add_row(&table, "puna", puna_version());
    add_row(&table, "processor", json_string_value(json_object_get(machine, "cpu")));
    add_row(&table, "processors", processors);
    add_row(&table, "computes with", json_string_value(json_object_get(machine, "isa")));
    add_row(&table, "because", reason_for_isa(cli));
    add_threads(&table, machine, "prefill");
    add_threads(&table, machine, "decode");
    add_row(&table, "memory",
            puna_size_text(memory, json_number_value(json_object_get(machine, "memory_bytes"))));
    add_row(&table, "huge pages", pages);
    add_row(&table, "store", store);
    add_row(&table, "self-test", *problem ? problem : "passed");
    puna_table_add(&table, "memory reads");
    puna_table_add(&table, "%.1f GB/s measured", json_number_value(json_object_get(limits, "read_gb_per_s")));
    puna_table_add(&table, "int8");
    const char *way = json_string_value(json_object_get(limits, "int8_way"));
    puna_table_add(&table, "%.0f G multiply-adds/s measured (%s)",
                   json_number_value(json_object_get(limits, "int8_gmac_per_s")), way ? way : "unknown");
    return puna_table_print(&table, cli, err);
}

static puna_status print(puna_cli *cli, json_t *machine, json_t *limits, const char *problem, puna_error *err)
{
    puna_store *store = NULL;
    TRY(puna_store_open(&store, NULL, err));
    puna_status status = PUNA_OK;
    if (cli->json) {
        json_t *document =
            json_pack("{s:s, s:O, s:O, s:{s:O, s:s}, s:s, s:{s:b, s:s}}", "version", puna_version(),
                      "machine", machine, "limits", limits, "chosen", "threads",
                      json_object_get(machine, "threads_chosen"), "isa", reason_for_isa(cli), "store",
                      puna_store_folder(store), "self_test", "passed", !*problem, "problem", problem);
        status = puna_out_json(cli, document, err);
    } else {
        status = print_table(cli, machine, limits, problem, puna_store_folder(store), err);
    }
    puna_store_close(store);
    return status;
}

puna_status puna_command_doctor(puna_cli *cli, puna_error *err)
{
    json_t *machine = NULL, *limits = NULL;
    puna_error problem = { 0 };
    TRY(describe(cli, "machine", &machine, err));
    puna_status status = describe(cli, "limits", &limits, err);
    if (status == PUNA_OK) {
        puna_status tested = self_test(cli, &problem);
        status = print(cli, machine, limits, problem.message, err);
        if (status == PUNA_OK && tested != PUNA_OK)
            status = puna_fail(err, PUNA_ERR_FAILED, "doctor: %s", problem.message);
    }
    json_decref(machine);
    json_decref(limits);
    return status;
}
