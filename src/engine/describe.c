/* describe.c - models and this build as JSON documents, for people and scripts. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "engine/engine.h"

puna_status puna_json_text(json_t *json, char **text, puna_error *err)
{
    *text = json ? json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(json);
    return *text ? PUNA_OK : puna_fail_memory(err, "JSON document", 0);
}

/* Strings from files may be any bytes; JSON takes UTF-8, so bad bytes become U+FFFD. */
static json_t *lenient_text(const char *text, size_t n)
{
    json_t *json = json_stringn(text, n);
    if (json)
        return json;
    puna_buf buf = puna_buf_make(3 * n + 1);
    for (size_t i = 0; i < n;) {
        int32_t code;
        int length = puna_utf8_decode(text + i, n - i, &code);
        if (code < 0)
            puna_buf_add(&buf, "\xef\xbf\xbd", 3);
        else
            puna_buf_add(&buf, text + i, (size_t)length);
        i += (size_t)length;
    }
    json = buf.failed ? NULL : json_stringn(buf.data ? buf.data : "", buf.n);
    puna_buf_free(&buf);
    return json;
}

static json_t *encodings(const puna_container *c)
{
    json_t *list = json_array();
    size_t n_formats;
    const puna_format_info *formats = puna_format_list(&n_formats);
    for (size_t f = 0; f < n_formats; f++) {
        json_int_t n = 0, bytes = 0;
        for (size_t i = 0; i < puna_container_n_tensors(c); i++) {
            const puna_tensor *t = puna_container_tensor_at(c, i);
            n += t->format == &formats[f];
            bytes += t->format == &formats[f] ? (json_int_t)t->size_bytes : 0;
        }
        if (n)
            json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "encoding", formats[f].name, "tensors", n, "bytes", bytes));
    }
    return list;
}

/* Bytes of weights that one decoded token reads: every matrix once, one row of the embedding, of experts those that
 * are used. */
static json_int_t bytes_per_token(const puna_network *net)
{
    json_int_t bytes = 0;
    for (int32_t i = 0; i < net->plan.n_nodes; i++)
        bytes += (json_int_t)puna_node_bytes(&net->plan.nodes[i], 1);
    return bytes;
}

/* Multiply-adds of matrices that every token of a prompt needs; logits are for its last one only. */
static json_int_t multiplies_per_token(const puna_network *net)
{
    json_int_t n = 0;
    for (int32_t i = 0; i < net->plan.n_nodes; i++) {
        const puna_node *node = &net->plan.nodes[i];
        if (node->out >= 0 && !net->plan.values[node->out].per_output)
            n += (json_int_t)puna_node_multiplies(node);
    }
    return n;
}

static json_int_t kv_bytes_per_token(const puna_model *model, puna_format format)
{
    const puna_network *net = &model->net;
    json_int_t bytes = 0;
    for (int32_t i = 0; i < net->plan.n_caches; i++) {
        const puna_cache_layout *c = &net->plan.caches[i];
        size_t k = 0, v = 0;
        puna_kv_tile_bytes(format, c->head_dim_k, true, &k);
        puna_kv_tile_bytes(format, c->v_in_k ? 0 : c->head_dim_v, false, &v);
        bytes += (json_int_t)(k + v) / PUNA_KV_BLOCK * c->n_head;
    }
    return bytes;
}

/* A cache's bytes per token in every encoding that it can have. */
static json_t *kv_types(const puna_model *model)
{
    static const puna_format formats[] = { PUNA_FORMAT_F32, PUNA_FORMAT_F16, PUNA_FORMAT_BF16,
                                           PUNA_FORMAT_Q8_0, PUNA_FORMAT_Q4_0 };
    json_t *json = json_object();
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        json_object_set_new(json, puna_format_get(formats[i])->name,
                            json_integer(kv_bytes_per_token(model, formats[i])));
    return json;
}

/* Of a model that gives vectors, how. */
static json_t *vectors(const puna_network *net)
{
    static const char *const names[] = { "off", "none", "mean", "cls", "last" };
    if (!net->plan.vectors)
        return json_null();
    return json_pack("{s:i, s:s}", "width", (int)net->plan.n_output, "pooling",
                     net->hp.rank ? "rank" : names[net->hp.pooling]);
}

/* What a sequence keeps beside caches; each copy to go back to takes as much. */
static json_int_t state_bytes(const puna_plan *plan)
{
    json_int_t bytes = 0;
    for (int32_t i = 0; i < plan->n_states; i++)
        bytes += (json_int_t)plan->states[i] * (json_int_t)sizeof(float);
    return bytes;
}

static void describe_network(json_t *json, const puna_model *model)
{
    const puna_network *net = &model->net;
    const puna_hparams *hp = &net->hp;
    const puna_layer_hparams *l = &hp->layers[0];
    char fallback[256];
    puna_format kv_type =
        puna_session_kv_format(model, "auto"); /* what a session chooses unless it is told */
    json_int_t kv = kv_bytes_per_token(model, kv_type),
               weights = (json_int_t)puna_container_size_bytes(model->container);
    int32_t n_fallback = model->backend->n_fallback(model->program, fallback, sizeof fallback);
    json_object_update_new(
        json, json_pack("{s:s, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "architecture",
                        net->arch->name, "parameters", (json_int_t)net->n_parameters, "context_length",
                        (int)hp->n_ctx_train, "layers", (int)hp->n_layer, "embedding_length", (int)hp->n_embd,
                        "feed_forward_length", (int)l->n_ff, "heads", (int)l->n_head, "heads_kv",
                        (int)l->n_head_kv, "head_dim", (int)hp->head_dim_k, "window", (int)hp->window,
                        "logits", net->plan.vectors ? 0 : (int)net->plan.n_output));
    json_object_set_new(json, "vectors", vectors(net));
    json_object_set_new(json, "memory",
                        json_pack("{s:I, s:I, s:I, s:I, s:s, s:o}", "weights_bytes", weights, "kv_bytes_per_token",
                                  kv, "kv_bytes", kv * hp->n_ctx_train, "state_bytes", state_bytes(&net->plan), "kv_type",
                                  puna_format_get(kv_type)->name, "kv_types", kv_types(model)));
    json_object_set_new(json, "bytes_per_token", json_integer(bytes_per_token(net)));
    json_object_set_new(json, "multiplies_per_token", json_integer(multiplies_per_token(net)));
    json_object_set_new(json, "backend", json_pack("{s:s, s:i, s:s}", "name", model->backend->name, "fallback_ops",
        (int)n_fallback, "fallback", fallback));
    json_object_set_new(json, "unused_tensors", json_pack("{s:i, s:s?}", "count", (int)net->n_unused, "first", net->unused));
}

static json_t *describe_summary(const puna_model *model)
{
    const puna_vocab *v = model->vocab;
    const puna_container *c = model->container;
    json_t *json = json_pack("{s:o, s:s, s:s}", "name", lenient_text(model->name, strlen(model->name)), "fingerprint",
                             model->fingerprint, "kind", c ? puna_container_kind(c) : "tokenizer");
    if (c)
        json_object_set_new(json, "file_bytes", json_integer((json_int_t)puna_container_size_bytes(c)));
    if (model->has_weights)
        describe_network(json, model);
    if (c)
        json_object_set_new(json, "encodings", encodings(c));
    json_object_set_new(json, "tokenizer", json_pack("{s:s, s:s, s:i, s:i, s:i, s:b, s:b}", "model",
        puna_vocab_model(v), "pre", puna_vocab_pre(v), "tokens", (int)puna_vocab_n(v), "bos",
        (int)puna_vocab_special(v, PUNA_VOCAB_BOS), "eos", (int)puna_vocab_special(v, PUNA_VOCAB_EOS), "add_bos",
        puna_vocab_adds_bos(v), "add_eos", puna_vocab_adds_eos(v)));
    json_object_set_new(json, "chat_template", model->chat_template ? json_pack("{s:b, s:s}", "compiles",
        model->compiled != NULL, "problem", model->template_error.message) : json_null());
    return json;
}

static json_t *element(const puna_meta *meta, uint64_t i)
{
    bool flag;
    int64_t integer;
    uint64_t natural;
    double real;
    if (puna_meta_bool(meta, i, &flag))
        return json_boolean(flag);
    if (meta->element != PUNA_META_F32 && meta->element != PUNA_META_F64) {
        if (puna_meta_i64(meta, i, &integer))
            return json_integer(integer);
        if (puna_meta_u64(meta, i, &natural)) /* above int64: as the real number it is nearest to */
            return json_real((double)natural);
    }
    json_t *number = puna_meta_f64(meta, i, &real) ? json_real(real) : NULL;
    return number ? number : json_null(); /* JSON has no infinities */
}

enum { MAX_SHOWN = 8 }; /* elements of an array that are shown; its length always is */

static json_t *value_of(const puna_meta *meta)
{
    const char *text;
    size_t n;
    if (puna_meta_text(meta, &text, &n))
        return lenient_text(text, n);
    if (meta->type != PUNA_META_ARRAY)
        return element(meta, 0);
    json_t *list = json_array();
    puna_meta_cursor at = { 0 };
    for (uint64_t i = 0; i < meta->n && i < MAX_SHOWN; i++) {
        if (meta->element != PUNA_META_STRING)
            json_array_append_new(list, element(meta, i));
        else if (puna_meta_next_text(meta, &at, &text, &n))
            json_array_append_new(list, lenient_text(text, n));
    }
    return json_pack("{s:I, s:o}", "length", (json_int_t)meta->n, "first", list);
}

static json_t *describe_metadata(const puna_model *model)
{
    json_t *json = json_object();
    const puna_container *c = model->container;
    for (size_t i = 0; c && i < puna_container_n_meta(c); i++) {
        const puna_meta *meta = puna_container_meta_at(c, i);
        json_t *key = lenient_text(meta->key, strlen(meta->key));
        json_object_set_new(json, json_string_value(key), value_of(meta));
        json_decref(key);
    }
    return json;
}

static json_t *describe_tensors(const puna_model *model)
{
    json_t *list = json_array();
    const puna_container *c = model->container;
    for (size_t i = 0; c && i < puna_container_n_tensors(c); i++) {
        const puna_tensor *t = puna_container_tensor_at(c, i);
        json_t *shape = json_array();
        for (uint32_t d = 0; d < t->n_dims; d++)
            json_array_append_new(shape, json_integer((json_int_t)t->ne[d]));
        json_array_append_new(list, json_pack("{s:o, s:s, s:o, s:I}", "name", lenient_text(t->name, strlen(t->name)),
                                              "encoding", t->format->name, "shape", shape, "bytes", (json_int_t)t->size_bytes));
    }
    return list;
}

puna_status puna_model_describe(const puna_model *model, const char *topic, char **json, puna_error *err)
{
    static const struct {
        const char *topic;
        json_t *(*make)(const puna_model *model);
    } topics[] = { { "summary", describe_summary }, { "metadata", describe_metadata }, { "tensors", describe_tensors } };
    *json = NULL;
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++)
        if (strcmp(topic, topics[i].topic) == 0)
            return puna_json_text(topics[i].make(model), json, err);
    return puna_fail(err, PUNA_ERR_ARGUMENT, "topic: got %.32s, expected summary, metadata or tensors", topic);
}
