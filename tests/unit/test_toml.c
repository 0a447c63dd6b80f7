/* test_toml.c - TOML documents: what is read from good ones, and where bad ones are refused. The whole
 * toml-test suite is run by hand (tools/reference/toml_tagged.c). */
#include "base/toml.h"
#include "harness.h"

static puna_arena arena;

static const puna_toml *read(const char *text)
{
    puna_toml *root = NULL;
    puna_error err = { 0 };
    return CHECK_OK(puna_toml_read(&root, &arena, "test", text, strlen(text), &err), err) ? root : NULL;
}

/* The member at a path of names separated by '/'; numbers count elements of arrays. */
static const puna_toml *at(const puna_toml *v, const char *path)
{
    char name[64];
    while (v && *path) {
        size_t n = strcspn(path, "/");
        snprintf(name, sizeof name, "%.*s", (int)n, path);
        if (v->kind == PUNA_TOML_ARRAY) {
            int index = name[0] - '0';
            for (v = v->first; v && index > 0; index--)
                v = v->next;
        } else
            v = puna_toml_get(v, name);
        path += n + (path[n] == '/');
    }
    return v;
}

static void values(void)
{
    const puna_toml *root = read("a = 1_000\nb = 0xdead_BEEF\nc = -2.5e3\nd = true\n"
                                 "e = 'C:\\new'\nf = \"tab\\there \\u00e9\"\n"
                                 "g = [1, 'two', [3.0],]\nh = { x = 1, y.z = 2 }\n"
                                 "i = 1979-05-27 07:32:00Z\nj = 07:32:00.5\nk = +inf\n"
                                 "l = \"\"\"\nline \\\n   one\n\"two\"\"\"\"\n");
    if (!CHECK(root))
        return;
    CHECK_INT(at(root, "a")->integer, 1000);
    CHECK_INT(at(root, "b")->integer, 0xdeadbeefLL);
    CHECK_NEAR(at(root, "c")->real, -2500, 0);
    CHECK(at(root, "d")->kind == PUNA_TOML_FLAG && at(root, "d")->flag);
    CHECK_TEXT(at(root, "e")->text, "C:\\new");
    CHECK_TEXT(at(root, "f")->text, "tab\there \xc3\xa9");
    CHECK_TEXT(at(root, "g/1")->text, "two");
    CHECK_NEAR(at(root, "g/2/0")->real, 3, 0);
    CHECK_INT(at(root, "h/y/z")->integer, 2);
    CHECK(at(root, "i")->kind == PUNA_TOML_DATETIME);
    CHECK_TEXT(at(root, "i")->text, "1979-05-27T07:32:00Z");
    CHECK(at(root, "j")->kind == PUNA_TOML_LOCAL_TIME);
    CHECK(isinf(at(root, "k")->real));
    CHECK_TEXT(at(root, "l")->text, "line one\n\"two\"");
    puna_arena_free(&arena);
}

static void tables(void)
{
    const puna_toml *root = read("top = 1\n[a.b]\nc.d = 2 # comment\n[a]\ne = 3\n[[list]]\nx = "
                                 "1\n[[list]]\nx = 2\n[list.in]\ny = 4\n");
    if (!CHECK(root))
        return;
    CHECK_INT(at(root, "top")->integer, 1);
    CHECK_INT(at(root, "a/b/c/d")->integer, 2);
    CHECK_INT(at(root, "a/e")->integer, 3);
    CHECK_INT(at(root, "list/1/x")->integer, 2);
    CHECK_INT(at(root, "list/1/in/y")->integer, 4);
    CHECK_INT(at(root, "list/0/x")->line, 7);
    puna_arena_free(&arena);
}

static void mistakes(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "a = 1\na = 2", "test: line 2: got a key a second time" },
        { "[a]\n[a]", "test: line 2: got a table a second time" },
        { "a = 01", "test: line 1: expected a value" },
        { "a = 1979-02-30", "test: line 1: expected a value" },
        { "a = 9223372036854775808", "test: line 1: expected a value" },
        { "\n\na = \"x", "test: line 3: got the end, expected a closing quote" },
        { "a = \"\\q\"", "test: line 1: got a backslash before what it does not go with" },
        { "a = {x = 1}\na.y = 2", "test: line 2: got a key inside of what is no table, or is complete" },
        { "a = [1]\n[[a]]", "test: line 2: got an array of tables that is already something else" },
        { "a = 1 b = 2", "test: line 1: got more, expected the end of the line" },
        { "= 1", "test: line 1: expected a key" },
        { "a = \xff", "test: line 1: got bytes that are not UTF-8" },
        { "a 1", "test: line 1: expected '=' after a key" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        puna_toml *root = NULL;
        puna_error err = { 0 };
        CHECK_INT(puna_toml_read(&root, &arena, "test", cases[i].text, strlen(cases[i].text), &err),
                  PUNA_ERR_FORMAT);
        if (strncmp(err.message, cases[i].message, strlen(cases[i].message)) != 0)
            test_fail(__FILE__, __LINE__, "%s: got \"%s\"", cases[i].text, err.message);
        puna_arena_free(&arena);
    }
}

static void depth_is_limited(void)
{
    static char text[2048];
    puna_toml *root = NULL;
    puna_error err = { 0 };
    memset(text, '[', sizeof text - 1);
    memcpy(text, "a = ", 4);
    CHECK_INT(puna_toml_read(&root, &arena, "test", text, sizeof text - 1, &err), PUNA_ERR_FORMAT);
    puna_arena_free(&arena);
}

int main(int argc, char **argv)
{
    static const test_case cases[] = { TEST(values), TEST(tables), TEST(mistakes), TEST(depth_is_limited) };
    return test_main("toml", cases, sizeof cases / sizeof *cases, argc, argv);
}
