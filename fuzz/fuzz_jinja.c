/* fuzz_jinja.c - any bytes as a chat template: compile, check, render within small limits.
 * A libFuzzer target; the unit test replays fuzz/seeds/jinja through it. */
#include <stdlib.h>

#include "chat/jinja/jinja.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char CONTEXT[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"S\"}, {\"role\": \"user\", \"content\": \" "
    "\\u00e4 \\ud83c\\udf0d \"},"
    "{\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"id\": \"1\", \"function\": {\"name\": "
    "\"f\","
    "\"arguments\": {\"a\": [1, 2.5, true, null, {}], \"b\": \"x'y\\\"\"}}}]}, {\"role\": \"tool\", "
    "\"content\": \"9\"}],"
    "\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", \"description\": \"d\", "
    "\"parameters\":"
    "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"array\"}}, \"required\": [\"a\"]}}}],"
    "\"add_generation_prompt\": true, \"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"n\": 42, \"f\": "
    "-0.5, \"e\": {},"
    "\"s\": \"Hello, World\", \"l\": [3, 1, 2], \"d\": {\"b\": 2, \"a\": 1}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const puna_template_limits limits = {
        .steps = 200000, .output_bytes = 1 << 16, .memory_bytes = 1 << 22, .depth = 50, .time_ms = 10000
    };
    puna_template *template = NULL;
    puna_error err = { 0 };
    char *text = NULL;
    size_t n = 0;
    json_t *context = json_loads(CONTEXT, 0, NULL);
    json_decref(puna_template_check((const char *)data, size));
    if (context && puna_template_compile(&template, (const char *)data, size, &err) == PUNA_OK)
        puna_template_render_within(template, context, 1752148800, &limits, &text, &n, &err);
    free(text);
    puna_template_free(template);
    json_decref(context);
    return 0;
}
