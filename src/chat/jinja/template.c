/* template.c - the life of a compiled template: compile, render, check, free. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "chat/jinja/parser.h"

/* Copies the source with every newline as \n and without one at the very end. */
static bool normalise(puna_template *template, const char *source, size_t n)
{
    char *copy = puna_arena_alloc(&template->arena, n + 1);
    size_t k = 0;
    if (!copy)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (source[i] == '\r' && i + 1 < n && source[i + 1] == '\n')
            continue;
        copy[k++] = source[i] == '\r' ? '\n' : source[i];
    }
    if (k && copy[k - 1] == '\n')
        copy[--k] = '\0';
    template->source = copy;
    template->n_source = k;
    return true;
}

static puna_status check_source(const char *source, size_t n, puna_error *err)
{
    if (n > PUNA_MAX_TEMPLATE_BYTES)
        return puna_fail(err, PUNA_ERR_FORMAT, "template: got %zu bytes, expected at most %u", n,
                         PUNA_MAX_TEMPLATE_BYTES);
    for (size_t i = 0; i < n;) {
        int32_t c;
        int step = puna_utf8_decode(source + i, n - i, &c);
        if (c < 0)
            return puna_fail(err, PUNA_ERR_FORMAT, "template: byte %zu: got 0x%02x, expected UTF-8", i,
                             (unsigned)(-1 - c));
        i += (size_t)step;
    }
    return PUNA_OK;
}

static puna_status compile(puna_template **out, const char *source, size_t n, puna_jnotes *notes,
                           puna_error *err)
{
    *out = NULL;
    TRY(check_source(source, n, err));
    puna_template *template = calloc(1, sizeof *template);
    if (!template || !normalise(template, source, n) ||
        !(template->loop = puna_template_intern(template, "loop", 4)) ||
        !(template->caller = puna_template_intern(template, "caller", 6)) ||
        !(template->kwargs = puna_template_intern(template, "kwargs", 6)) ||
        !(template->varargs = puna_template_intern(template, "varargs", 7))) {
        puna_template_free(template);
        return puna_fail_memory(err, "template", n);
    }
    puna_status status = puna_template_parse(template, notes, err);
    if (status != PUNA_OK) {
        puna_template_free(template);
        return status;
    }
    *out = template;
    return PUNA_OK;
}

puna_status puna_template_compile(puna_template **out, const char *source, size_t n, puna_error *err)
{
    return compile(out, source, n, NULL, err);
}

void puna_template_free(puna_template *template)
{
    if (!template)
        return;
    puna_map_free(&template->names);
    puna_arena_free(&template->arena);
    free(template);
}

puna_template_limits puna_template_limits_default(void)
{
    return (puna_template_limits){
        .steps = PUNA_MAX_TEMPLATE_STEPS,
        .output_bytes = PUNA_MAX_TEMPLATE_OUTPUT,
        .memory_bytes = PUNA_MAX_TEMPLATE_MEMORY,
        .depth = PUNA_MAX_TEMPLATE_DEPTH,
        .time_ms = PUNA_MAX_TEMPLATE_MS,
    };
}

static void run(puna_jvm *vm, const json_t *context)
{
    puna_jv variables = puna_jv_from_json(vm, context);
    puna_jscope *root = puna_jscope_new(vm, NULL);
    if (vm->failed)
        return;
    vm->context = variables.u.dict;
    vm->root = root;
    puna_jvm_exec(vm, vm->template->body, root);
}

puna_status puna_template_render_within(const puna_template *template, const json_t *context, int64_t now,
                                        const puna_template_limits *limits, char **out, size_t *n,
                                        puna_error *err)
{
    *out = NULL;
    if (!json_is_object(context))
        return puna_fail(err, PUNA_ERR_ARGUMENT, "template context: expected a JSON object");
    puna_buf buf = puna_buf_make(limits->output_bytes);
    puna_jvm vm = {
        .template = template,
        .out = &buf,
        .err = err,
        .status = PUNA_OK,
        .limits = *limits,
        .steps_left = limits->steps,
        .deadline_ns = puna_clock_ns() + (int64_t)limits->time_ms * 1000000,
        .now = now < 0 ? (int64_t)time(NULL) : now,
    };
    run(&vm, context);
    puna_arena_free(&vm.arena);
    size_t n_text = buf.n;
    char *text = vm.failed ? NULL : puna_buf_take(&buf);
    puna_buf_free(&buf);
    if (vm.failed)
        return vm.status;
    if (!text)
        return puna_fail_memory(err, "rendered template", n_text);
    *out = text;
    if (n)
        *n = n_text;
    return PUNA_OK;
}

puna_status puna_template_render(const puna_template *template, const json_t *context, int64_t now,
                                 char **out, size_t *n, puna_error *err)
{
    puna_template_limits limits = puna_template_limits_default();
    return puna_template_render_within(template, context, now, &limits, out, n, err);
}

/* ---- check ------------------------------------------------------------------------------ */

/* The names of a set, without those that are false in it and that the template sets itself: a macro
 * reads them when it is called, which may be later. */
static json_t *names_of(const json_t *set, const json_t *assigned)
{
    json_t *names = json_array(), *value;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)set, name, value)
    {
        if (json_is_true(value) || !json_object_get(assigned, name))
            json_array_append_new(names, json_string(name));
    }
    return names;
}

json_t *puna_template_check(const char *source, size_t n)
{
    puna_error err = { 0 };
    puna_template *template = NULL;
    json_t *problems = json_array();
    puna_jnotes notes = { .variables = json_object(),
                          .filters = json_object(),
                          .tests = json_object(),
                          .functions = json_object(),
                          .methods = json_object(),
                          .assigned = json_object(),
                          .known = json_object(),
                          .order = json_array(),
                          .problems = problems };
    puna_status status = compile(&template, source, n, &notes, &err);
    if (status != PUNA_OK && json_array_size(problems) == 0)
        json_array_append_new(problems, json_pack("{s:i, s:i, s:s, s:s}", "line", 0, "column", 0, "message",
                                                  err.message, "source", ""));
    puna_template_free(template);
    json_t *found =
        json_pack("{s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "compiles", status == PUNA_OK, "variables",
                  names_of(notes.variables, notes.assigned), "filters", names_of(notes.filters, NULL),
                  "tests", names_of(notes.tests, NULL), "functions", names_of(notes.functions, NULL),
                  "methods", names_of(notes.methods, NULL), "problems", problems);
    json_t *sets[] = { notes.variables, notes.filters,  notes.tests, notes.functions,
                       notes.methods,   notes.assigned, notes.known, notes.order };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        json_decref(sets[i]);
    return found;
}
