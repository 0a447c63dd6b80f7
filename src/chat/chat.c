/* chat.c - the context of a plain conversation. */
#include "chat/chat.h"

static json_t *messages_json(const puna_message *messages, size_t n, puna_error *err)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++) {
        json_t *message = json_pack("{s:s, s:s}", "role", messages[i].role, "content", messages[i].content);
        if (!message || json_array_append_new(list, message) != 0) {
            puna_fail(err, PUNA_ERR_ARGUMENT, "chat message %zu: got bytes that are not UTF-8, expected UTF-8 text", i);
            json_decref(list);
            return NULL;
        }
    }
    if (!list)
        puna_fail_memory(err, "messages", n);
    return list;
}

puna_status puna_chat_render(const puna_template *template, const puna_message *messages, size_t n,
                             bool add_generation_prompt, const char *bos, const char *eos, int64_t now,
                             char **out, size_t *n_out, puna_error *err)
{
    puna_error local = { 0 };
    *out = NULL;
    json_t *list = messages_json(messages, n, &local);
    if (!list) {
        if (err)
            *err = local;
        return local.code;
    }
    /* No tools and no documents are none, not undefined: templates are written for callers who always name them. */
    json_t *context = json_pack("{s:o, s:n, s:n, s:b, s:s, s:s}", "messages", list, "tools", "documents",
                                "add_generation_prompt", (int)add_generation_prompt, "bos_token",
                                bos ? bos : "", "eos_token", eos ? eos : "");
    if (!context)
        return puna_fail(err, PUNA_ERR_ARGUMENT, "chat: the special tokens' text is not UTF-8");
    puna_status status = puna_template_render(template, context, now, out, n_out, err);
    json_decref(context);
    return status;
}
