/* test_jinja.c - the template engine against texts made by jinja2 and by others: published cases,
 * real templates, hostile ones. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <stdlib.h>

#include "../../fuzz/fuzz_jinja.c"
#include "base/file.h"
#include "chat/chat.h"
#include "harness.h"

enum { NOW = 1752148800 }; /* 2025-07-10T12:00:00Z */

static json_t *load(const char *path)
{
    json_error_t err;
    json_t *json = json_load_file(path, JSON_ALLOW_NUL, &err);
    if (!json)
        test_fail(__FILE__, __LINE__, "%s: %s", path, err.text);
    return json;
}

typedef struct rendered {
    puna_status status;
    char *text;
    size_t n;
    puna_error err;
} rendered;

static rendered render(const char *source, size_t n_source, const json_t *context)
{
    rendered r = { 0 };
    puna_template *template = NULL;
    r.status = puna_template_compile(&template, source, n_source, &r.err);
    if (r.status == PUNA_OK)
        r.status = puna_template_render(template, context, NOW, &r.text, &r.n, &r.err);
    puna_template_free(template);
    return r;
}

/* expected NULL: an error. */
static bool check_case(const char *name, const json_t *template, const json_t *context,
                       const json_t *expected)
{
    rendered r = render(json_string_value(template), json_string_length(template), context);
    bool ok;
    if (!expected)
        ok = r.status != PUNA_OK ||
             test_fail(__FILE__, __LINE__, "%s: got \"%s\", expected an error", name, r.text);
    else if (r.status != PUNA_OK)
        ok = test_fail(__FILE__, __LINE__, "%s: %s", name, r.err.message);
    else
        ok = (r.n == json_string_length(expected) && memcmp(r.text, json_string_value(expected), r.n) == 0) ||
             test_fail(__FILE__, __LINE__, "%s: got \"%s\", expected \"%s\"", name, r.text,
                       json_string_value(expected));
    free(r.text);
    return ok;
}

/* Cases of a file; where javascript_only.json has a row, jinja2's answer counts. */
static void check_published(const char *file, const char *list, const char *template, const char *data,
                            const char *expected, size_t n_expected)
{
    json_t *cases = load(test_data(file)), *differing = load(test_data("chat/javascript_only.json")), *item;
    const json_t *rows = json_object_get(differing, list);
    size_t i, n_rows = 0;
    CHECK_INT(json_array_size(cases), n_expected);
    json_array_foreach(cases, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        const json_t *row = json_object_get(rows, name), *want = json_object_get(item, expected);
        if (row) {
            CHECK(json_is_string(json_object_get(row, "reason")));
            want = json_object_get(row, "expected");
            n_rows++;
        }
        check_case(name, json_object_get(item, template), json_object_get(item, data), want);
    }
    CHECK_INT(n_rows, json_object_size(rows));
    json_decref(cases);
    json_decref(differing);
}

static void published_cases(void)
{
    check_published("chat/jinja_unit.json", "jinja_unit", "template", "context", "expected", 161);
}

static void published_templates(void)
{
    check_published("chat/golden_e2e.json", "golden_e2e", "chat_template", "data", "target", 27);
}

/* Every statement, operator, filter, test, method and function, against jinja2. */
static void own_cases(void)
{
    json_t *file = load(test_data("chat/jinja_cases.json")), *expected;
    const json_t *context = json_object_get(file, "context");
    const char *template;
    size_t n = 0;
    json_object_foreach(json_object_get(file, "cases"), template, expected)
    {
        json_t *source = json_string(template);
        check_case(template, source, context, json_is_null(expected) ? NULL : expected);
        json_decref(source);
        n++;
    }
    CHECK(n > 1300);
    json_decref(file);
}

static uint64_t fnv(const char *text, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
    return h;
}

static void check_golden(const puna_template *template, const json_t *contexts, const char *name,
                         const char *conversation, const char *want)
{
    char *text = NULL, got[64] = "error";
    size_t n = 0;
    puna_error err = { 0 };
    const json_t *context = json_object_get(contexts, conversation);
    if (!context) {
        test_fail(__FILE__, __LINE__, "no conversation %s", conversation);
        return;
    }
    if (puna_template_render(template, context, NOW, &text, &n, &err) == PUNA_OK)
        snprintf(got, sizeof got, "%zu %016llx", n, (unsigned long long)fnv(text, n));
    if (strcmp(got, want) != 0)
        test_fail(__FILE__, __LINE__, "%s, %s: got %s, expected %s; %s", name, conversation, got, want,
                  err.message);
    free(text);
}

static puna_template *compile_shared(const char *name)
{
    char path[256], *source = NULL;
    size_t n = 0;
    puna_template *template = NULL;
    puna_error err = { 0 };
    snprintf(path, sizeof path, "chat_templates/templates/%s.jinja", name);
    const char *found = test_shared(path);
    if (!found || !CHECK_OK(puna_file_read(&source, &n, found, 1 << 20, &err), err))
        return NULL;
    puna_template_compile(&template, source, n, &err);
    free(source);
    return template;
}

static void real_templates(void)
{
    if (!test_shared("chat_templates/templates/Qwen3-Coder.jinja")) {
        test_skip("the real templates are not here");
        return;
    }
    char line[512], name[128], last[128] = "", conversation[64], want[64];
    json_t *contexts = load(test_data("chat/conversations.json"));
    FILE *file = fopen(test_data("chat/templates.golden"), "r");
    puna_template *template = NULL;
    int n_cases = 0, n_templates = 0;
    while (file && fgets(line, sizeof line, file)) {
        if (line[0] == '#' || sscanf(line, "%127s %63s %63[^\n]", name, conversation, want) != 3)
            continue;
        if (strcmp(name, last) != 0) {
            puna_template_free(template);
            template = compile_shared(name);
            if (!template)
                test_fail(__FILE__, __LINE__, "%s does not compile", name);
            snprintf(last, sizeof last, "%s", name);
            n_templates++;
        }
        if (template)
            check_golden(template, contexts, name, conversation, want);
        n_cases++;
    }
    CHECK_INT(n_templates, 59);
    CHECK(n_cases >= 59 * 30);
    if (file)
        fclose(file);
    puna_template_free(template);
    json_decref(contexts);
}

/* ---- hostile ---------------------------------------------------------------------------- */

static void check_fails(const char *source, const char *message)
{
    json_t *context = json_pack("{s:[s,s], s:{s:i}}", "items", "a", "b", "obj", "x", 1);
    rendered r = render(source, strlen(source), context);
    if (r.status == PUNA_OK)
        test_fail(__FILE__, __LINE__, "%s: got \"%s\", expected an error", source, r.text);
    else if (!strstr(r.err.message, message))
        test_fail(__FILE__, __LINE__, "%s: got \"%s\", expected \"%s\"", source, r.err.message, message);
    free(r.text);
    json_decref(context);
}

static void errors_have_a_place(void)
{
    check_fails("a\n  {{ x.y }}", "line 2, column 7: 'x' is undefined");
    check_fails("{% if x %}\n", "line 1, column 4: unexpected end of template: 'if' is not closed");
    check_fails("ä{{ 1 + }}", "line 1, column 9:");
    check_fails("{{ 'a' + 1 }}", "line 1, column 8: unsupported operand types for +: 'str' and 'int'");
    check_fails("\n\n{{ raise_exception('no\nsystem') }}", "line 3, column 19: no?system");
    check_fails("{{ x|nope }}", "no filter named 'nope'");
    check_fails("{{ obj|pprint }}",
                "no filter named 'pprint': this one of Jinja2's is left out of chat templates");
    check_fails("{% if obj %}{{ obj|random }}{% endif %}", "no filter named 'random': this one");
    check_fails("{% include 'x' %}", "'include' is not allowed");
    check_fails("{% break %}", "'break' outside a loop");
    check_fails("{{ 99999999999999999999 }}", "beyond 64 bits");
    check_fails("{{ 9223372036854775807 + 1 }}", "beyond 64 bits");
    check_fails("\xff", "expected UTF-8");
    check_fails("a\n \t{{ x.y }}\tb\nc", "'x' is undefined, in `{{ x.y }} b`");
    check_fails("{% if x %}", "'if' is not closed, in `{% if x %}`");
    check_fails("{{ 1 + \n }}", "line 2, column 2: unexpected '}}' in an expression, in `}}`");
    check_fails("{{ '0123456789äöüß0123456789äöüß0123456789äöüß0123456789äöüß' ~ x.y ~ "
                "'0123456789äöüß0123456789äöüß0123456789äöüß0123456789äöüß' }}",
                "in `...öüß0123456789äöüß0123456789äöüß' ~ x.y ~ '0123456789äöüß0123456789äöüß012345...`");
}

static void exceptions_are_the_callers_fault(void)
{
    json_t *context = json_object();
    rendered r = render("{{ raise_exception('no') }}", 27, context);
    CHECK_INT(r.status, PUNA_ERR_ARGUMENT);
    r = render("{{ 1 // 0 }}", 12, context);
    CHECK_INT(r.status, PUNA_ERR_FORMAT);
    json_decref(context);
}

static void sandbox_shows_nothing(void)
{
    static const char *const harmless[] = {
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ obj.__init__ }}",
        "{{ items.append }}",
        "{{ ''|attr('__class__') }}",
        "{{ obj|attr('x') }}",
        "{{ self }}",
        "{{ config }}",
        "{{ request }}",
        "{{ items.pop }}",
        "{{ obj['__class__'] }}",
    };
    static const char *const refused[] = {
        "{{ ''.__class__.__mro__ }}",
        "{{ items.append('c') }}",
        "{{ obj.pop('x') }}",
        "{{ obj.update({}) }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ lipsum.__globals__ }}",
        "{{ get_flashed_messages() }}",
        "{{ '{0.__class__.__mro__}'.format(1) }}",
        "{{ ().__class__.__base__.__subclasses__() }}",
        "{% import 'os' as os %}",
        "{% from 'x' import y %}",
        "{% extends 'x' %}",
        "{{ obj.x.y.z }}",
        "{% set obj.x = 2 %}",
        "{% do items.append(1) %}",
        "{{ namespace(_x=1) }}",
        "{{ range.__init__.x }}",
    };
    json_t *context = json_pack("{s:[s], s:{s:i}}", "items", "a", "obj", "x", 1);
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
        rendered r = render(harmless[i], strlen(harmless[i]), context);
        if (r.status != PUNA_OK || r.n)
            test_fail(__FILE__, __LINE__, "%s: got \"%s\"", harmless[i], r.text ? r.text : r.err.message);
        free(r.text);
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        rendered r = render(refused[i], strlen(refused[i]), context);
        if (r.status == PUNA_OK)
            test_fail(__FILE__, __LINE__, "%s: got \"%s\"", refused[i], r.text);
        free(r.text);
    }
    json_decref(context);
}

/* Fails within limits that no chat needs to reach. */
static void check_bounded(const char *source, const char *message)
{
    const puna_template_limits limits = {
        .steps = 300000, .output_bytes = 1 << 20, .memory_bytes = 1 << 23, .depth = 100, .time_ms = 10000
    };
    puna_template *template = NULL;
    puna_error err = { 0 };
    char *text = NULL;
    json_t *context = json_object();
    CHECK_OK(puna_template_compile(&template, source, strlen(source), &err), err);
    if (puna_template_render_within(template, context, NOW, &limits, &text, NULL, &err) == PUNA_OK)
        test_fail(__FILE__, __LINE__, "%s: rendered", source);
    else if (!strstr(err.message, message))
        test_fail(__FILE__, __LINE__, "%s: got \"%s\", expected \"%s\"", source, err.message, message);
    free(text);
    puna_template_free(template);
    json_decref(context);
}

static void work_is_bounded(void)
{
    check_fails("{{ 'a' * 1000000000 }}", "repeating makes a text of more than");
    check_fails("{{ [1] * 1000000000 }}", "repeating makes a list of more than");
    check_fails("{{ range(1000000000) }}", "at most 100000");
    check_fails("{{ '%0999999999d' % 1 }}", "beyond");
    check_fails("{{ '{:999999999}'.format(1) }}", "invalid format specifier");
    check_fails("{{ 'x'.center(9999999999) }}", "longer than");
    check_fails("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested deeper");
    check_fails("{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
                "nested deeper");
    check_fails("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "nested deeper");
    check_fails("{% set ns = namespace(x=1) %}{% set ns.x = ns %}{{ ns }}", "nested deeper");
    check_fails("{% set ns = namespace(x=[1]) %}{% for i in range(5000) %}{% set ns.x = [ns.x] %}{% endfor %}"
                "{{ ns.x == [ns.x] }}{{ ns.x }}",
                "nested deeper");
    check_bounded("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
                  "steps");
    check_bounded(
        "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}"
        "{% endfor %}",
        "longer than");
    check_bounded(
        "{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}"
        "{{ ns.x }}",
        "");
    check_bounded(
        "{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}"
        "{{ ns.x == [ns.x, 1] }}{{ ns.x|tojson }}",
        "");
    check_bounded("{% for i in range(100000) %}{{ 'a' * 10000 }}{% endfor %}", "");
    check_bounded("{% set l = ['a' * 1000] * 100000 %}{{ l|join }}", "");
    check_bounded("{{ range(100000)|map('string')|map('center', 100000)|join }}", "");
    check_bounded("{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}", "longer than");
    check_bounded("{% set s = 'a' * 100000 %}{% for i in range(100000) %}{% if s.find('b') > 0 %}{% endif "
                  "%}{% endfor %}",
                  "steps");
    check_bounded("{% set s = 'ab' * 100000 %}{{ s.strip(s) }}", "steps");
    check_bounded("{% set ns = namespace(d={}) %}{% for i in range(100000) %}{% set ns.d = dict(ns.d, **{'k' "
                  "~ i: i}) %}"
                  "{% endfor %}",
                  "");
}

/* Texts that grow bit by bit, also several beside each other, are not copied for every bit. */
static void growing_is_cheap(void)
{
    static const char *const sources[] = {
        "{% set ns = namespace(a='', b='') %}{% for i in range(20000) %}{% set ns.a = ns.a + ('<' + i|string "
        "+ '>') %}"
        "{% set ns.b = ns.b ~ '[' ~ i ~ (']' ~ i) %}{% endfor %}{{ ns.a|length }} {{ ns.b|length }}",
        "{% set ns = namespace(a='x', b='') %}{% for i in range(3) %}{% set ns.b = ns.a + 'y' %}{% set ns.a "
        "= ns.a + 'z' %}"
        "{% endfor %}{{ ns.a ~ ns.b }}",
    };
    static const char *const texts[] = { "128890 217780", "xzzzxzzy" };
    const puna_template_limits limits = {
        .steps = 3000000, .output_bytes = 1 << 20, .memory_bytes = 1 << 25, .depth = 100, .time_ms = 10000
    };
    json_t *context = json_object();
    for (int i = 0; i < 2; i++) {
        puna_template *template = NULL;
        puna_error err = { 0 };
        char *text = NULL;
        CHECK_OK(puna_template_compile(&template, sources[i], strlen(sources[i]), &err), err);
        CHECK_OK(puna_template_render_within(template, context, NOW, &limits, &text, NULL, &err), err);
        CHECK_TEXT(text, texts[i]);
        free(text);
        puna_template_free(template);
    }
    json_decref(context);
}

static void time_is_bounded(void)
{
    static const char source[] =
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";
    puna_template_limits limits = puna_template_limits_default();
    puna_template *template = NULL;
    puna_error err = { 0 };
    char *text = NULL;
    json_t *context = json_object();
    limits.time_ms = 1;
    CHECK_OK(puna_template_compile(&template, source, sizeof source - 1, &err), err);
    CHECK_INT(puna_template_render_within(template, context, NOW, &limits, &text, NULL, &err),
              PUNA_ERR_FORMAT);
    CHECK(strstr(err.message, "took longer than 1 ms") != NULL);
    puna_template_free(template);
    json_decref(context);
}

/* Stopping at any step leaves nothing broken and nothing leaked: sanitizer builds watch. */
static void every_step_may_be_the_last(void)
{
    enum { STRIDE = 37, MOST = 3000 };
    int n_stopped = 0;
    json_t *file = load(test_data("chat/jinja_cases.json")), *expected;
    const json_t *context = json_object_get(file, "context");
    const char *source;
    json_object_foreach(json_object_get(file, "cases"), source, expected)
    {
        puna_template_limits limits = puna_template_limits_default();
        puna_template *template = NULL;
        puna_error err = { 0 };
        if (puna_template_compile(&template, source, strlen(source), &err) != PUNA_OK)
            continue;
        for (limits.steps = strlen(source) % STRIDE; limits.steps < MOST; limits.steps += STRIDE) {
            char *text = NULL;
            puna_status status =
                puna_template_render_within(template, context, NOW, &limits, &text, NULL, &err);
            free(text);
            n_stopped += status != PUNA_OK;
            if (status == PUNA_OK || !strstr(err.message, "steps"))
                break;
        }
        puna_template_free(template);
    }
    CHECK(n_stopped > 10000);
    json_decref(file);
}

static void check_deep(const char *open, const char *middle, const char *close)
{
    enum { DEPTH = 20000 };
    size_t n_open = strlen(open), n_close = strlen(close), n = 0;
    char *source = malloc(DEPTH * (n_open + n_close) + strlen(middle) + 16);
    if (!source)
        return;
    for (int i = 0; i < DEPTH; i++, n += n_open)
        memcpy(source + n, open, n_open);
    memcpy(source + n, middle, strlen(middle));
    n += strlen(middle);
    for (int i = 0; i < DEPTH; i++, n += n_close)
        memcpy(source + n, close, n_close);
    json_t *context = json_object();
    rendered r = render(source, n, context);
    if (r.status == PUNA_OK)
        test_fail(__FILE__, __LINE__, "%s...: expected an error", open);
    free(r.text);
    free(source);
    json_decref(context);
}

static void nesting_is_bounded(void)
{
    check_deep("{{ (", "1", ") }}");
    check_deep("{% if 1 %}", "x", "{% endif %}");
    check_deep("{% for x in [1] %}", "x", "{% endfor %}");
    char *source = malloc(200100);
    static const char *const repeated[] = { "(",  "[",  "{1:",          "not ", "-",      "a.",   "x|trim|",
                                            "1+", "x[", "a if b else ", "1 < ", "1 and ", "2 ** " };
    for (size_t i = 0; source && i < sizeof repeated / sizeof *repeated; i++) {
        size_t n = 3, step = strlen(repeated[i]);
        memcpy(source, "{{ ", 3);
        while (n < 200000 - step) {
            memcpy(source + n, repeated[i], step);
            n += step;
        }
        memcpy(source + n, "1 }}", 4);
        json_t *context = json_object();
        rendered r = render(source, n + 4, context);
        if (r.status == PUNA_OK && strcmp(repeated[i], "1 < ") != 0) /* a comparison chain is no nesting */
            test_fail(__FILE__, __LINE__, "%s...: expected an error", repeated[i]);
        free(r.text);
        json_decref(context);
    }
    free(source);
}

static void seeds_are_harmless(void)
{
    char name[512];
    int n = 0;
    DIR *folder = opendir(test_data("../../fuzz/seeds/jinja"));
    const struct dirent *entry;
    while (folder && (entry = readdir(folder)) != NULL) {
        char *text = NULL;
        size_t size = 0;
        puna_error err = { 0 };
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "../../fuzz/seeds/jinja/%s", entry->d_name);
        if (CHECK_OK(puna_file_read(&text, &size, test_data(name), 1 << 20, &err), err))
            CHECK_INT(LLVMFuzzerTestOneInput((const uint8_t *)text, size), 0);
        free(text);
        n++;
    }
    if (folder)
        closedir(folder);
    CHECK(n >= 100);
}

/* ---- the rest of the interface ---------------------------------------------------------- */

static bool lists(const json_t *found, const char *list, const char *name)
{
    const json_t *names = json_object_get(found, list);
    for (size_t i = 0; i < json_array_size(names); i++)
        if (strcmp(json_string_value(json_array_get(names, i)), name) == 0)
            return true;
    return false;
}

static void check_tells_what_is_used(void)
{
    static const char source[] =
        "{% set a = 1 %}{% for m in messages %}{{ m.content|trim|nope if m is string else a }}\n"
        "{{ x.append(range(3)) }}{% endfor %}{{ strftime_now('%Y') }}";
    json_t *found = puna_template_check(source, sizeof source - 1);
    CHECK(lists(found, "variables", "messages") && lists(found, "variables", "x"));
    CHECK(!lists(found, "variables", "a") && !lists(found, "variables", "m"));
    CHECK(lists(found, "filters", "trim") && lists(found, "tests", "string"));
    CHECK(lists(found, "functions", "range") && lists(found, "functions", "strftime_now"));
    CHECK(lists(found, "methods", "append"));
    const json_t *problems = json_object_get(found, "problems");
    CHECK_INT(json_array_size(problems), 2);
    CHECK(json_is_true(json_object_get(found, "compiles")));
    CHECK_INT(json_integer_value(json_object_get(json_array_get(problems, 0), "column")), 57);
    CHECK_INT(json_integer_value(json_object_get(json_array_get(problems, 1), "line")), 2);
    json_decref(found);
    static const char order[] =
        "{% set a = a %}{% macro m(p, b=later) %}{{ p ~ q }}{% endmacro %}{{ p }}{% set q, later = 1, 2 %}"
        "{% for x in y %}{% set z = x %}{% endfor %}{{ z }}{% set w %}{{ w }}{% endset %}{{ w }}"
        "{% with v = u %}{{ v }}{% endwith %}{{ v ~ m() }}";
    found = puna_template_check(order, sizeof order - 1);
    char *text = json_dumps(json_object_get(found, "variables"), JSON_COMPACT);
    CHECK_TEXT(text, "[\"a\",\"p\",\"y\",\"z\",\"w\",\"u\",\"v\"]");
    free(text);
    json_decref(found);
    found = puna_template_check("{% if %}", 8);
    CHECK_INT(json_array_size(json_object_get(found, "problems")), 1);
    CHECK(json_is_false(json_object_get(found, "compiles")));
    json_decref(found);
}

static void chat_renders_messages(void)
{
    static const char source[] =
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m['content'] }}{{ eos_token }}"
        "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
        "{% if tools is not none or documents is not none %}[tools]{% endif %}";
    const puna_message messages[] = { { "system", "Be kind." }, { "user", "Hi \xc3\xa4" } };
    puna_template *template = NULL;
    puna_error err = { 0 };
    char *text = NULL;
    size_t n = 0;
    CHECK_OK(puna_template_compile(&template, source, sizeof source - 1, &err), err);
    CHECK_OK(puna_chat_render(template, messages, 2, true, "<s>", NULL, NOW, &text, &n, &err), err);
    CHECK_TEXT(text, "<s>[system]Be kind.[user]Hi \xc3\xa4[assistant]");
    CHECK_INT(n, strlen(text));
    free(text);
    const puna_message bad = { "user", "\xff" };
    CHECK_INT(puna_chat_render(template, &bad, 1, true, NULL, NULL, NOW, &text, &n, &err), PUNA_ERR_ARGUMENT);
    puna_template_free(template);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(published_cases),
        TEST(published_templates),
        TEST(own_cases),
        TEST(seeds_are_harmless),
        TEST(real_templates),
        TEST(errors_have_a_place),
        TEST(exceptions_are_the_callers_fault),
        TEST(sandbox_shows_nothing),
        TEST(work_is_bounded),
        TEST(time_is_bounded),
        TEST(growing_is_cheap),
        TEST(nesting_is_bounded),
        TEST(every_step_may_be_the_last),
        TEST(check_tells_what_is_used),
        TEST(chat_renders_messages),
    };
    return test_main("jinja", cases, sizeof cases / sizeof *cases, argc, argv);
}
