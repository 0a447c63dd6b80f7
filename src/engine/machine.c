/* machine.c - what this build and this machine offer, as JSON. */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/pages.h"
#include "base/threads.h"
#include "engine/engine.h"
#include "model/synthetic.h"

static json_t *formats(const puna_params *params)
{
    (void)params;
    static const char *const containers[] = { "gguf v2", "gguf v3", "gguf split", "llama2.c v0", "llama2.c v1", "llama2.c v2",
                                              "tokenizer.json", "tokenizer.model", "tokenizer.bin" };
    json_t *archs = json_array(), *files = json_array(), *encodings = json_array();
    json_t *shapes = json_array(), *mixes = json_array(); /* of made-up models */
    size_t n;
    const puna_format_info *list = puna_format_list(&n);
    for (size_t i = 0; puna_arch_at(i); i++)
        json_array_append_new(archs, json_string(puna_arch_at(i)->name));
    for (size_t i = 0; i < sizeof containers / sizeof *containers; i++)
        json_array_append_new(files, json_string(containers[i]));
    for (size_t i = 0; i < n; i++)
        json_array_append_new(encodings, json_pack("{s:s, s:i, s:i, s:i, s:b, s:b, s:b}", "name", list[i].name, "number",
            (int)list[i].id, "block_elements", (int)list[i].block_elems, "block_bytes", (int)list[i].block_bytes,
            "reads", 1, "writes", list[i].quantize != NULL, "kernel", puna_backend_cpu.has_kernel(list[i].id)));
    for (size_t i = 0; puna_synthetic_shape(i); i++)
        json_array_append_new(shapes, json_string(puna_synthetic_shape(i)));
    for (size_t i = 0; puna_synthetic_mix(i); i++)
        json_array_append_new(mixes, json_string(puna_synthetic_mix(i)));
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "architectures", archs, "containers", files, "encodings", encodings,
                     "synthetic_shapes", shapes, "synthetic_mixes", mixes);
}

static json_t *options(const puna_params *params)
{
    (void)params;
    static const char *const types[] = { "int", "float", "bool", "text" };
    static const char *const scopes[] = { "model", "session", "request", "debug" };
    json_t *list = json_array();
    for (int i = 0; i < PUNA_N_OPTIONS; i++) {
        const puna_option *o = &puna_options[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "key", o->key, "type", types[o->type],
            "default", o->preset, "least", o->least, "most", o->most, "scope", scopes[o->scope], "help", o->help));
    }
    return list;
}

static void processor_name(char *text, size_t capacity)
{
    char line[256];
    snprintf(text, capacity, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon) {
            snprintf(text, capacity, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
            break;
        }
    }
    if (file)
        fclose(file);
}

static json_t *topology(const puna_topology *t)
{
    json_t *o = json_pack("{s:i, s:i, s:i, s:i, s:i, s:i}", "online", (int)t->n_online, "usable", (int)t->n,
                          "cores", (int)t->n_cores, "slow_cores", (int)t->n_slow, "memory_nodes",
                          (int)t->n_nodes, "siblings", (int)(t->n - t->n_cores));
    if (t->quota_millis > 0)
        json_object_set_new(o, "quota", json_real(t->quota_millis / 1000.0));
    return o;
}

static json_t *threads(const puna_params *params, const puna_topology *t, int *most)
{
    puna_threads n;
    puna_threads_choose(&n, t, (int32_t)puna_params_int(params, PUNA_KEY_threads),
                        (int32_t)puna_params_int(params, PUNA_KEY_threads_batch));
    *most = n.prefill > n.decode ? n.prefill : n.decode;
    return json_pack("{s:i, s:s, s:i, s:s}", "prefill", (int)n.prefill, "prefill_because", n.why_prefill,
                     "decode", (int)n.decode, "decode_because", n.why_decode);
}

static json_t *machine(const puna_params *params)
{
    char cpu[128], isa[128];
    puna_topology t;
    puna_pages pages;
    struct utsname system = { .release = "unknown" };
    int most;
    processor_name(cpu, sizeof cpu);
    puna_backend_cpu.describe(params->texts[PUNA_KEY_isa], isa, sizeof isa);
    puna_topology_read(&t, "");
    puna_pages_read(&pages, "");
    uname(&system);
    json_t *chosen = threads(params, &t, &most);
    long n_pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return json_pack("{s:s, s:s, s:i, s:i, s:o, s:o, s:I, s:{s:s, s:I}, s:s}", "cpu", cpu, "isa", isa,
                     "threads", most, "processors", (int)t.n_online, "topology", topology(&t),
                     "threads_chosen", chosen, "memory_bytes", (json_int_t)n_pages * page, "huge_pages",
                     "transparent", pages.transparent, "bytes", (json_int_t)pages.huge_bytes, "kernel",
                     system.release);
}

static json_t *limits(const puna_params *params)
{
    puna_backend_limits measured = { 0 };
    int n_threads = (int)puna_params_int(params, PUNA_KEY_threads);
    if (puna_backend_cpu.measure(params->texts[PUNA_KEY_isa], n_threads, &measured, NULL) != PUNA_OK)
        return NULL;
    return json_pack("{s:f, s:f, s:s, s:i, s:I, s:I}", "read_gb_per_s", measured.read_gb_per_s,
                     "int8_gmac_per_s", measured.int8_gmac_per_s, "int8_way", measured.int8_way, "threads",
                     (int)measured.n_threads, "read_bytes", (json_int_t)measured.read_bytes,
                     "read_huge_bytes", (json_int_t)measured.read_huge_bytes);
}

puna_status puna_describe(const char *topic, const puna_params *params, char **json, puna_error *err)
{
    static const struct {
        const char *topic;
        json_t *(*make)(const puna_params *params);
    } topics[] = { { "formats", formats }, { "options", options }, { "machine", machine }, { "limits", limits } };
    *json = NULL;
    puna_params *defaults = params ? NULL : puna_params_new();
    if (!params && !defaults)
        return puna_fail_memory(err, "options", sizeof *defaults);
    puna_status status = puna_fail(err, PUNA_ERR_ARGUMENT, "topic: got %.32s, expected formats, options, machine or limits", topic);
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++)
        if (strcmp(topic, topics[i].topic) == 0)
            status = puna_json_text(topics[i].make(params ? params : defaults), json, err);
    puna_params_free(defaults);
    return status;
}
