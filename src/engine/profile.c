/* profile.c - a session as JSON documents: what its cache costs, and where its time went. */
#include <string.h>

#include "engine/engine.h"

/* Caches that read alike, together: what one more position adds to a token's work. */
static json_t *describe_cache(puna_session *s)
{
    const puna_plan *plan = &s->model->net.plan;
    json_t *list = json_array();
    for (int32_t i = 0; i < plan->n_nodes; i++) {
        const puna_node *node = &plan->nodes[i];
        if (node->op != PUNA_OP_ATTENTION)
            continue;
        const puna_attention_params *a = &node->p.attention;
        json_t *row = NULL, *other;
        size_t index;
        json_array_foreach(list, index, other) {
            if (json_integer_value(json_object_get(other, "window")) == a->window)
                row = other;
        }
        if (!row) {
            row = json_pack("{s:i, s:i, s:i, s:i}", "window", (int)a->window, "layers", 0, "bytes_per_position", 0,
                            "multiplies_per_position", 0);
            json_array_append_new(list, row);
        }
        json_int_t more[] = { 1, (json_int_t)puna_kv_position_bytes(&s->scheduler->blocks.kv, a->cache),
                              (json_int_t)a->n_head * (a->head_dim + a->head_dim_v) };
        static const char *const names[] = { "layers", "bytes_per_position", "multiplies_per_position" };
        for (int k = 0; k < 3; k++)
            json_object_set_new(row, names[k], json_integer(json_integer_value(json_object_get(row, names[k])) + more[k]));
    }
    return json_pack("{s:s, s:o}", "encoding", puna_format_get(s->scheduler->blocks.kv.format)->name, "caches", list);
}

static json_t *describe_step(const puna_profile *p, int32_t step)
{
    json_t *ops = json_array(), *weights = json_array();
    json_int_t bytes = 0, multiplies = 0;
    int layer = -1;
    for (int32_t i = 0; i < p->plan->n_nodes; i++) {
        const puna_node *node = &p->plan->nodes[i];
        if (p->step_of[i] != step)
            continue;
        layer = node->layer;
        bytes += (json_int_t)p->bytes[i];
        multiplies += (json_int_t)p->multiplies[i];
        json_array_append_new(ops, json_string(puna_op_name(node->op)));
        if (node->op == PUNA_OP_LINEAR || node->op == PUNA_OP_LOGITS || node->op == PUNA_OP_EMBED)
            json_array_append_new(weights, json_pack("{s:s, s:s, s:I}", "name", node->weight->name, "encoding",
                                                     node->weight->format->name, "bytes", (json_int_t)p->bytes[i]));
    }
    return json_pack("{s:i, s:o, s:o, s:f, s:I, s:I}", "layer", layer, "ops", ops, "weights", weights, "ms",
                     (double)p->step_ns[step] / 1e6, "bytes", bytes, "multiplies", multiplies);
}

static json_t *describe_profile(puna_session *s)
{
    puna_profile *p = &s->scheduler->profile;
    json_t *steps = json_array();
    for (int32_t i = 0; i < p->n_steps; i++)
        json_array_append_new(steps, describe_step(p, i));
    json_t *json = json_pack("{s:I, s:I, s:o}", "runs", (json_int_t)p->n_runs, "tokens", (json_int_t)p->n_rows, "steps", steps);
    puna_profile_reset(p);
    return json;
}

puna_status puna_session_describe(puna_session *s, const char *topic, char **json, puna_error *err)
{
    *json = NULL;
    if (strcmp(topic, "cache") == 0)
        return puna_json_text(describe_cache(s), json, err);
    if (strcmp(topic, "profile") != 0)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "topic: got %.32s, expected cache or profile", topic);
    if (!s->scheduler->profile.plan)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "profile: got a session without, expected one opened with profile=on");
    return puna_json_text(describe_profile(s), json, err);
}
