/* cmd_show.c - `puna show`: what a model file holds. */
#include "cli/cli.h"

#include <stdio.h>

#include "cli/table.h"

/* A topic of puna_model_describe, parsed. */
static puna_status describe(const puna_model *model, const char *topic, json_t **out, puna_error *err)
{
    char *text = NULL;
    TRY(puna_model_describe(model, topic, &text, err));
    return puna_cli_json_take(text, out, err);
}

static void add_size(puna_table *table, const char *name, const json_t *bytes, const char *more)
{
    char text[16];
    puna_table_add(table, "%s", name);
    puna_table_add(table, "%s%s", puna_size_text(text, json_number_value(bytes)), more);
}

static void add_text(puna_table *table, const char *name, const json_t *value)
{
    if (!value || json_is_null(value))
        return;
    puna_table_add(table, "%s", name);
    if (json_is_string(value))
        puna_table_add(table, "%s", json_string_value(value));
    else
        puna_table_add(table, "%lld", (long long)json_integer_value(value));
}

static void add_encodings(puna_table *table, const json_t *list)
{
    char size[16];
    size_t index;
    const json_t *row;
    json_array_foreach(list, index, row) {
        puna_table_add(table, "%s", index ? "" : "encodings");
        puna_table_add(table, "%s: %lld tensors, %s", json_string_value(json_object_get(row, "encoding")),
                       (long long)json_integer_value(json_object_get(row, "tensors")),
                       puna_size_text(size, json_number_value(json_object_get(row, "bytes"))));
    }
}

static void add_network(puna_table *table, const json_t *s)
{
    const json_t *memory = json_object_get(s, "memory");
    const json_t *types = json_object_get(memory, "kv_types");
    char kv[16], q8[16], q4[16], more[128];
    puna_table_add(table, "parameters");
    puna_table_add(table, "%.1f M", json_number_value(json_object_get(s, "parameters")) / 1e6);
    add_text(table, "context", json_object_get(s, "context_length"));
    const json_t *vectors = json_object_get(s, "vectors");
    if (json_is_object(vectors)) {
        puna_table_add(table, "gives vectors");
        puna_table_add(table, "of %lld, pooling %s", (long long)json_integer_value(json_object_get(vectors, "width")),
                       json_string_value(json_object_get(vectors, "pooling")));
    }
    puna_table_add(table, "layers");
    puna_table_add(table, "%lld of width %lld, feed-forward %lld",
                   (long long)json_integer_value(json_object_get(s, "layers")),
                   (long long)json_integer_value(json_object_get(s, "embedding_length")),
                   (long long)json_integer_value(json_object_get(s, "feed_forward_length")));
    puna_table_add(table, "heads");
    puna_table_add(table, "%lld of %lld, %lld for keys and values",
                   (long long)json_integer_value(json_object_get(s, "heads")),
                   (long long)json_integer_value(json_object_get(s, "head_dim")),
                   (long long)json_integer_value(json_object_get(s, "heads_kv")));
    add_size(table, "memory: weights", json_object_get(memory, "weights_bytes"), "");
    puna_size_text(kv, json_number_value(json_object_get(memory, "kv_bytes_per_token")));
    puna_size_text(q8, json_number_value(json_object_get(types, "q8_0")));
    puna_size_text(q4, json_number_value(json_object_get(types, "q4_0")));
    snprintf(more, sizeof more, " for the whole context, %s a token in %s (q8_0 %s, q4_0 %s)", kv,
             json_string_value(json_object_get(memory, "kv_type")), q8, q4);
    add_size(table, "memory: cache", json_object_get(memory, "kv_bytes"), more);
    if (json_integer_value(json_object_get(memory, "state_bytes")) > 0)
        add_size(table, "memory: states", json_object_get(memory, "state_bytes"), " a sequence, and each copy to go back to");
    add_size(table, "read per token", json_object_get(s, "bytes_per_token"), "");
}

static puna_status print_summary(puna_cli *cli, const json_t *s, puna_error *err)
{
    puna_table table = puna_table_make("MODEL|~");
    const json_t *tokenizer = json_object_get(s, "tokenizer"), *chat = json_object_get(s, "chat_template");
    const json_t *backend = json_object_get(s, "backend");
    add_text(&table, "name", json_object_get(s, "name"));
    add_text(&table, "architecture", json_object_get(s, "architecture"));
    add_text(&table, "kind", json_object_get(s, "kind"));
    add_text(&table, "fingerprint", json_object_get(s, "fingerprint"));
    if (json_object_get(s, "file_bytes"))
        add_size(&table, "size", json_object_get(s, "file_bytes"), "");
    if (json_object_get(s, "parameters"))
        add_network(&table, s);
    add_encodings(&table, json_object_get(s, "encodings"));
    puna_table_add(&table, "tokenizer");
    const char *kind = json_string_value(json_object_get(tokenizer, "model"));
    const char *pre = json_string_value(json_object_get(tokenizer, "pre"));
    puna_table_add(&table, "%s%s%s, %lld tokens", kind ? kind : "", pre && *pre ? " " : "", pre ? pre : "",
                   (long long)json_integer_value(json_object_get(tokenizer, "tokens")));
    const char *problem = json_string_value(json_object_get(chat, "problem"));
    puna_table_add(&table, "chat template");
    puna_table_add(&table, "%s", !json_is_object(chat) ? "none" : problem && *problem ? problem : "yes");
    if (json_integer_value(json_object_get(backend, "fallback_ops")) > 0) {
        puna_table_add(&table, "slow operations");
        puna_table_add(&table, "%s", json_string_value(json_object_get(backend, "fallback")));
    }
    return puna_table_print(&table, cli, err);
}

static puna_status print_model(puna_cli *cli, const puna_model *model, puna_error *err)
{
    bool tensors = puna_cli_has(cli, PUNA_FLAG_tensors), metadata = puna_cli_has(cli, PUNA_FLAG_metadata);
    json_t *summary = NULL, *more = NULL;
    puna_status status = PUNA_OK;
    TRY(describe(model, "summary", &summary, err));
    if (!cli->json && !tensors && !metadata)
        status = print_summary(cli, summary, err);
    static const char *const topics[] = { "metadata", "tensors" };
    for (int i = 0; i < 2 && status == PUNA_OK; i++) {
        if (!(i ? tensors : metadata))
            continue;
        status = describe(model, topics[i], &more, err);
        if (status == PUNA_OK && cli->json)
            json_object_set_new(summary, topics[i], more);
        else if (status == PUNA_OK)
            status = i ? puna_table_of_objects(cli, more, err) : puna_table_of_values(cli, more, err);
        if (!cli->json)
            json_decref(more);
    }
    if (status == PUNA_OK && cli->json)
        return puna_out_json(cli, summary, err);
    json_decref(summary);
    return status;
}

puna_status puna_command_show(puna_cli *cli, puna_error *err)
{
    puna_model *model = NULL;
    const char *reference = cli->n_operands ? cli->operands[0] : NULL;
    if (cli->n_operands > 1 || (reference && puna_cli_has(cli, PUNA_FLAG_model)))
        return puna_fail(err, PUNA_ERR_ARGUMENT, "show: got '%s' too, expected one model",
                         cli->operands[cli->n_operands - 1]);
    TRY(puna_input_model(cli, reference, &model, err));
    puna_status status = print_model(cli, model, err);
    puna_model_free(model);
    return status;
}
