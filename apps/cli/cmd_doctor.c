/* cmd_doctor.c - `puna doctor`: the machine, what puna chose on it and why, and whether it computes
 * right: the model inside the program must continue as llama2.c's own program does. */
#include "cli/cli.h"

#include <stdio.h>

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

/* Why that many threads and that instruction set, in words. */
static void add_reasons(const puna_cli *cli, json_t *machine, char *threads, size_t n_threads, char *isa,
                        size_t n_isa)
{
    const char *forced = puna_params_get(cli->params, "isa");
    int given = (int)puna_cli_setting(cli, PUNA_KEY_threads);
    int offered = (int)json_integer_value(json_object_get(machine, "threads"));
    int online = (int)json_integer_value(json_object_get(machine, "processors"));
    if (given > 0)
        snprintf(threads, n_threads, "%d: asked for with --threads or PUNA_THREADS", given);
    else
        snprintf(threads, n_threads, "%d: the processors this process may use, of %d in the machine", offered, online);
    snprintf(isa, n_isa, "%s", forced && *forced ? "as asked for with --isa or PUNA_ISA"
                                                 : "the best instruction set that this processor and this build share");
}

static puna_status print(puna_cli *cli, json_t *machine, const json_t *limits, const char *problem, puna_error *err)
{
    char threads[96], isa[96], memory[16];
    puna_store *store = NULL;
    add_reasons(cli, machine, threads, sizeof threads, isa, sizeof isa);
    TRY(puna_store_open(&store, NULL, err));
    double gb = json_number_value(json_object_get(limits, "read_gb_per_s"));
    double gmac = json_number_value(json_object_get(limits, "int8_gmac_per_s"));
    puna_status status = PUNA_OK;
    if (cli->json) {
        json_t *document = json_pack("{s:s, s:O, s:O, s:{s:s, s:s}, s:s, s:{s:b, s:s}}", "version", puna_version(),
                                     "machine", machine, "limits", limits, "chosen", "threads", threads, "isa", isa,
                                     "store", puna_store_folder(store), "self_test", "passed", !*problem, "problem",
                                     problem);
        status = puna_out_json(cli, document, err);
    } else {
        puna_table table = puna_table_make("DOCTOR|~");
        const char *rows[][2] = {
            { "puna", puna_version() },
            { "processor", json_string_value(json_object_get(machine, "cpu")) },
            { "computes with", json_string_value(json_object_get(machine, "isa")) },
            { "because", isa },
            { "threads", threads },
            { "memory", puna_size_text(memory, json_number_value(json_object_get(machine, "memory_bytes"))) },
            { "store", puna_store_folder(store) },
            { "self-test", *problem ? problem : "passed" },
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            puna_table_add(&table, "%s", rows[i][0]);
            puna_table_add(&table, "%s", rows[i][1] ? rows[i][1] : "unknown");
        }
        puna_table_add(&table, "memory reads");
        puna_table_add(&table, "%.1f GB/s measured", gb);
        puna_table_add(&table, "int8");
        const char *way = json_string_value(json_object_get(limits, "int8_way"));
        puna_table_add(&table, "%.0f G multiply-adds/s measured (%s)", gmac, way ? way : "unknown");
        status = puna_table_print(&table, cli, err);
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
