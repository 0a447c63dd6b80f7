/* test_store.c - the store: names, manifests, import, removal, defaults. Each case has a folder of
 * its own. */
#define _GNU_SOURCE
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "store/inside.h"
#include "store/store.h"

/* SHA-256 of "GGUF1" and "GGUF2", as sha256sum prints them. */
#define DIGEST_1 "ab8d145c8b0b608ed82043b8cf706f6be61ac835fe40afffa20509e02c5c9ac6"
#define DIGEST_2 "a7c5e603b9241c5a496850e5b8c7d6a94253e24fd429b7ff0787505ae15d3a3f"

static struct {
    char folder[64];
    char path[256];
    puna_store *store;
    puna_error err;
} at;

/* A path inside the case's folder; valid until the next call. */
static const char *in_folder(const char *name)
{
    snprintf(at.path, sizeof at.path, "%s/%s", at.folder, name);
    return at.path;
}

static bool exists(const char *name)
{
    return access(in_folder(name), F_OK) == 0;
}

static void write_text(const char *name, const char *text)
{
    FILE *file = fopen(in_folder(name), "wb");
    if (!CHECK(file != NULL))
        return;
    fputs(text, file);
    fclose(file);
}

static void begin(void)
{
    snprintf(at.folder, sizeof at.folder, "/tmp/puna-store-XXXXXX");
    CHECK(mkdtemp(at.folder) != NULL);
    CHECK_OK(puna_store_open(&at.store, in_folder("store"), &at.err), at.err);
    write_text("one.gguf", "GGUF1");
    write_text("two.gguf", "GGUF2");
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

static void end(void)
{
    puna_store_close(at.store);
    nftw(at.folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static puna_status add(const char *file, const char *name, puna_store_how how, puna_store_model *model)
{
    char path[256];
    puna_store_model ignored;
    snprintf(path, sizeof path, "%s/%s", at.folder, file);
    puna_store_import import = { .file = path, .name = name, .licence = "mit", .how = how };
    return puna_store_add(at.store, &import, model ? model : &ignored, &at.err);
}

static size_t count_models(void)
{
    puna_store_model *models = NULL;
    size_t n = 0;
    CHECK_OK(puna_store_list(at.store, &models, &n, &at.err), at.err);
    free(models);
    return n;
}

static void names_are_checked(void)
{
    static const char *const good[] = { "a", "smollm2:135m-instruct-q4_1", "Org/Repo.v2:Q4_K_M", "_x", "a:1.5b" };
    static const char *const bad[] = { "",     ":x",   "a:",    "a/b/c", "../a",  "a/..", ".a", "-a", "a b", "a:b:c",
                                       "a/:b", "a\nb", "a.json", "a:b.JSON", "/a", "a/",   "a:b/c" };
    char name[PUNA_STORE_MAX_NAME + 1], tag[PUNA_STORE_MAX_TAG + 1];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK_OK(puna_store_split(good[i], name, tag, &at.err), at.err);
    CHECK_TEXT(name, "a");
    CHECK_TEXT(tag, "1.5b");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (puna_store_split(bad[i], name, tag, &at.err) != PUNA_ERR_ARGUMENT)
            test_fail(__FILE__, __LINE__, "accepted '%s'", bad[i]);
    char part[400];
    memset(part, 'a', sizeof part - 1);
    part[sizeof part - 1] = '\0';
    CHECK_INT(puna_store_split(part, name, tag, &at.err), PUNA_ERR_ARGUMENT);
    part[80] = '/';
    part[161] = ':';
    part[242] = '\0';
    CHECK_OK(puna_store_split(part, name, tag, &at.err), at.err);
    CHECK_INT(strlen(name), 161);
    CHECK_INT(strlen(tag), 80);
}

static void import_stores_the_bytes_and_a_manifest(void)
{
    puna_store_model model, found;
    char path[PUNA_STORE_MAX_PATH];
    begin();
    CHECK(!exists("store"));
    CHECK_OK(add("one.gguf", "tiny:f32", PUNA_STORE_COPY, &model), at.err);
    CHECK_TEXT(model.sha256, DIGEST_1);
    CHECK_INT(model.size, 5);
    CHECK(exists("store/blobs/sha256-" DIGEST_1) && exists("store/models/tiny/f32.json") && exists("one.gguf"));
    CHECK_OK(puna_store_find(at.store, "tiny", &found, &at.err), at.err);
    CHECK_TEXT(found.sha256, DIGEST_1);
    CHECK_TEXT(found.licence, "mit");
    CHECK_TEXT(found.format, "gguf");
    CHECK_INT(strlen(found.imported_at), 20);
    CHECK_OK(puna_store_path(at.store, &found, path, &at.err), at.err);
    CHECK(access(path, R_OK) == 0);
    CHECK_OK(add("two.gguf", "tiny:f32", PUNA_STORE_COPY, &model), at.err);
    CHECK_INT(count_models(), 1);
    CHECK_OK(puna_store_find(at.store, "tiny:F32", &found, &at.err), at.err);
    CHECK_TEXT(found.sha256, DIGEST_2);
    CHECK_OK(add("two.gguf", NULL, PUNA_STORE_COPY, &model), at.err);
    CHECK_TEXT(model.name, "two");
    CHECK_TEXT(model.tag, "latest");
    end();
}

static void links_and_moves_keep_or_take_the_file(void)
{
    struct stat original, stored;
    begin();
    CHECK(stat(in_folder("one.gguf"), &original) == 0);
    CHECK_OK(add("one.gguf", "one", PUNA_STORE_LINK, NULL), at.err);
    CHECK(stat(in_folder("store/blobs/sha256-" DIGEST_1), &stored) == 0 && stored.st_ino == original.st_ino);
    CHECK_OK(add("two.gguf", "two", PUNA_STORE_MOVE, NULL), at.err);
    CHECK(!exists("two.gguf") && exists("store/blobs/sha256-" DIGEST_2));
    write_text("again.gguf", "GGUF1");
    CHECK_OK(add("again.gguf", "again", PUNA_STORE_LINK, NULL), at.err);
    CHECK(symlink("one.gguf", in_folder("pointer.gguf")) == 0);
    CHECK_OK(add("pointer.gguf", "pointer", PUNA_STORE_MOVE, NULL), at.err);
    CHECK(!exists("pointer.gguf") && exists("one.gguf"));
    CHECK(lstat(in_folder("store/blobs/sha256-" DIGEST_1), &stored) == 0 && S_ISREG(stored.st_mode));
    CHECK_INT(count_models(), 4);
    end();
}

static int stop(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    CHECK_INT(done, 5);
    CHECK_INT(total, 5);
    return 1;
}

static void failed_imports_leave_nothing(void)
{
    puna_store_model model;
    puna_store_blob *blobs = NULL;
    size_t n = 1;
    char path[256];
    begin();
    write_text("junk.gguf", "junk");
    CHECK_INT(add("junk.gguf", "x", PUNA_STORE_COPY, NULL), PUNA_ERR_FORMAT);
    CHECK_INT(add("nothing.gguf", "x", PUNA_STORE_COPY, NULL), PUNA_ERR_NOT_FOUND);
    CHECK_INT(add("one.gguf", "../x", PUNA_STORE_COPY, NULL), PUNA_ERR_ARGUMENT);
    CHECK_INT(add(".", "x", PUNA_STORE_COPY, NULL), PUNA_ERR_FORMAT);
    snprintf(path, sizeof path, "%s/one.gguf", at.folder);
    puna_store_import import = { .file = path, .name = "x", .sha256 = DIGEST_2 };
    for (int how = PUNA_STORE_COPY; how <= PUNA_STORE_LINK; how++) {
        import.how = (puna_store_how)how;
        CHECK_INT(puna_store_add(at.store, &import, &model, &at.err), PUNA_ERR_FORMAT);
        CHECK(strstr(at.err.message, DIGEST_1) != NULL);
    }
    import.sha256 = NULL;
    import.progress = stop;
    CHECK_INT(puna_store_add(at.store, &import, &model, &at.err), PUNA_ERR_INTERRUPTED);
    CHECK(exists("one.gguf"));
    CHECK_OK(puna_store_blobs(at.store, &blobs, &n, &at.err), at.err);
    CHECK_INT(n, 0);
    CHECK_INT(count_models(), 0);
    free(blobs);
    end();
}

static void a_file_goes_with_its_last_model(void)
{
    puna_store_model removed;
    puna_store_blob *blobs = NULL;
    uint64_t freed;
    size_t n;
    begin();
    CHECK_OK(add("one.gguf", "a", PUNA_STORE_COPY, NULL), at.err);
    CHECK_OK(add("one.gguf", "org/b:q", PUNA_STORE_COPY, NULL), at.err);
    CHECK_OK(puna_store_blobs(at.store, &blobs, &n, &at.err), at.err);
    CHECK(n == 1 && blobs[0].n_models == 2 && blobs[0].size == 5);
    free(blobs);
    CHECK_OK(puna_store_remove(at.store, "org/b", &removed, &freed, &at.err), at.err);
    CHECK_INT(freed, 0);
    CHECK_TEXT(removed.tag, "q");
    CHECK(!exists("store/models/org") && exists("store/blobs/sha256-" DIGEST_1));
    CHECK_OK(puna_store_remove(at.store, "a", &removed, &freed, &at.err), at.err);
    CHECK_INT(freed, 5);
    CHECK(!exists("store/blobs/sha256-" DIGEST_1));
    CHECK_INT(puna_store_remove(at.store, "a", &removed, &freed, &at.err), PUNA_ERR_NOT_FOUND);
    end();
}

static void orphans_are_swept_and_broken_manifests_stop_it(void)
{
    size_t n;
    uint64_t freed;
    begin();
    CHECK_OK(add("one.gguf", "a", PUNA_STORE_COPY, NULL), at.err);
    write_text("store/blobs/import-1.partial", "half");
    mkdir(in_folder("store/models/bad"), 0755);
    write_text("store/models/bad/x.json", "{\"name\":\"../../etc\",\"tag\":\"x\"}");
    puna_store_model model;
    CHECK_OK(puna_store_find(at.store, "a", &model, &at.err), at.err);
    CHECK_INT(puna_store_sweep(at.store, &n, &freed, &at.err), PUNA_ERR_FORMAT);
    CHECK(exists("store/blobs/import-1.partial"));
    CHECK(unlink(in_folder("store/models/bad/x.json")) == 0);
    CHECK_OK(puna_store_sweep(at.store, &n, &freed, &at.err), at.err);
    CHECK_INT(n, 1);
    CHECK_INT(freed, 4);
    CHECK(exists("store/blobs/sha256-" DIGEST_1));
    end();
}

static void hostile_manifests_are_refused(void)
{
    static const char *const bad[] = {
        "", "[]", "{", "null", "{\"name\":1}",
        "{\"name\":\"a\",\"tag\":\"b\",\"sha256\":\"../../../etc/passwd\",\"size\":1}",
        "{\"name\":\"a\",\"tag\":\"b\",\"sha256\":\"" DIGEST_1 "0\",\"size\":1}",
        "{\"name\":\"a\",\"tag\":\"b\",\"sha256\":\"" DIGEST_1 "\",\"size\":-1}",
        "{\"name\":\"a\",\"tag\":\"../b\",\"sha256\":\"" DIGEST_1 "\",\"size\":1}",
        "{\"name\":\"a\",\"tag\":\"\",\"sha256\":\"" DIGEST_1 "\",\"size\":1}",
        "{\"name\":\"a\",\"name\":\"a\",\"tag\":\"b\",\"sha256\":\"" DIGEST_1 "\",\"size\":1}",
    };
    puna_store_model model;
    begin();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_text("m.json", bad[i]);
        if (puna_store_manifest_read(in_folder("m.json"), &model, &at.err) != PUNA_ERR_FORMAT)
            test_fail(__FILE__, __LINE__, "accepted %s", bad[i]);
    }
    write_text("m.json", "{\"name\":\"a\",\"tag\":\"b\",\"sha256\":\"" DIGEST_1 "\",\"size\":1}");
    CHECK_OK(puna_store_manifest_read(in_folder("m.json"), &model, &at.err), at.err);
    end();
}

static void references_find_files_first(void)
{
    char *path = NULL;
    begin();
    CHECK_OK(add("one.gguf", "tiny", PUNA_STORE_COPY, NULL), at.err);
    CHECK_OK(add("two.gguf", "tinier", PUNA_STORE_COPY, NULL), at.err);
    CHECK_OK(puna_store_locate(at.store, "tiny", &path, &at.err), at.err);
    CHECK(path && strstr(path, "blobs/sha256-" DIGEST_1));
    free(path);
    CHECK_OK(puna_store_locate(at.store, "builtin:anything", &path, &at.err), at.err);
    CHECK_TEXT(path, "builtin:anything");
    free(path);
    char file[256];
    snprintf(file, sizeof file, "%s", in_folder("one.gguf"));
    CHECK_OK(puna_store_locate(at.store, file, &path, &at.err), at.err);
    CHECK_TEXT(path, file);
    free(path);
    CHECK_INT(puna_store_locate(at.store, "./nothing", &path, &at.err), PUNA_ERR_NOT_FOUND);
    CHECK_INT(puna_store_locate(at.store, "tyny", &path, &at.err), PUNA_ERR_NOT_FOUND);
    CHECK_TEXT(at.err.hint, "-m tiny");
    CHECK_INT(puna_store_locate(at.store, "org/repo:Q8_0", &path, &at.err), PUNA_ERR_NOT_FOUND);
    CHECK_INT(puna_store_locate(at.store, "", &path, &at.err), PUNA_ERR_ARGUMENT);
    CHECK(unlink(in_folder("store/blobs/sha256-" DIGEST_1)) == 0);
    CHECK_INT(puna_store_locate(at.store, "tiny", &path, &at.err), PUNA_ERR_NOT_FOUND);
    CHECK(strstr(at.err.message, "missing") != NULL);
    end();
}

static void a_folder_stands_for_its_one_model(void)
{
    char *path = NULL, folder[256], expected[300];
    begin();
    snprintf(folder, sizeof folder, "%s", in_folder("split"));
    mkdir(folder, 0755);
    CHECK_OK(puna_store_locate(at.store, folder, &path, &at.err), at.err);
    CHECK_TEXT(path, folder); /* no model: the library looks for a tokenizer */
    free(path);
    write_text("split/best-of-a-00002-of-00002.gguf", "GGUF");
    write_text("split/best-of-a-00001-of-00002.gguf", "GGUF");
    write_text("split/.hidden.gguf", "GGUF");
    snprintf(expected, sizeof expected, "%s/best-of-a-00001-of-00002.gguf", folder);
    CHECK_OK(puna_store_locate(at.store, folder, &path, &at.err), at.err);
    CHECK_TEXT(path, expected);
    free(path);
    write_text("split/one-of-b.gguf", "GGUF");
    CHECK_INT(puna_store_locate(at.store, folder, &path, &at.err), PUNA_ERR_ARGUMENT);
    end();
}

static void several_tags_need_one(void)
{
    puna_store_model model;
    begin();
    CHECK_OK(add("one.gguf", "m:q4", PUNA_STORE_COPY, NULL), at.err);
    CHECK_OK(puna_store_find(at.store, "m", &model, &at.err), at.err);
    CHECK_OK(add("two.gguf", "m:q8", PUNA_STORE_COPY, NULL), at.err);
    CHECK_INT(puna_store_find(at.store, "m", &model, &at.err), PUNA_ERR_NOT_FOUND);
    CHECK_OK(puna_store_find(at.store, "m:Q8", &model, &at.err), at.err);
    CHECK_TEXT(model.sha256, DIGEST_2);
    CHECK_OK(add("one.gguf", "m", PUNA_STORE_COPY, NULL), at.err);
    CHECK_OK(puna_store_find(at.store, "m", &model, &at.err), at.err);
    CHECK_TEXT(model.tag, "latest");
    end();
}

static void the_default_is_variable_then_file_then_constant(void)
{
    char *name = NULL;
    bool chosen = true;
    begin();
    unsetenv("PUNA_MODEL");
    CHECK_OK(puna_store_default(at.store, &name, &chosen, &at.err), at.err);
    CHECK_TEXT(name, PUNA_STORE_DEFAULT_MODEL);
    CHECK(!chosen);
    free(name);
    mkdir(in_folder("store"), 0755);
    write_text("store/default", "mine:q4\n");
    CHECK_OK(puna_store_default(at.store, &name, &chosen, &at.err), at.err);
    CHECK_TEXT(name, "mine:q4");
    CHECK(chosen);
    free(name);
    setenv("PUNA_MODEL", "other", 1);
    CHECK_OK(puna_store_default(at.store, &name, &chosen, &at.err), at.err);
    CHECK_TEXT(name, "other");
    free(name);
    unsetenv("PUNA_MODEL");
    end();
}

static void the_folder_comes_from_the_environment(void)
{
    static const struct {
        const char *puna_home, *xdg, *home, *expected;
    } cases[] = {
        { "/a", "/b", "/c", "/a" },
        { NULL, "/b", "/c", "/b/puna" },
        { "", "relative", "/c", "/c/.local/share/puna" },
        { NULL, NULL, "/c", "/c/.local/share/puna" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        puna_store *store = NULL;
        puna_error err = { 0 };
        const char *const names[] = { "PUNA_HOME", "XDG_DATA_HOME", "HOME" };
        const char *const values[] = { cases[i].puna_home, cases[i].xdg, cases[i].home };
        for (int v = 0; v < 3; v++) {
            if (values[v])
                setenv(names[v], values[v], 1);
            else
                unsetenv(names[v]);
        }
        if (CHECK_OK(puna_store_open(&store, NULL, &err), err))
            CHECK_TEXT(puna_store_folder(store), cases[i].expected);
        puna_store_close(store);
    }
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        TEST(names_are_checked),
        TEST(import_stores_the_bytes_and_a_manifest),
        TEST(links_and_moves_keep_or_take_the_file),
        TEST(failed_imports_leave_nothing),
        TEST(a_file_goes_with_its_last_model),
        TEST(orphans_are_swept_and_broken_manifests_stop_it),
        TEST(hostile_manifests_are_refused),
        TEST(references_find_files_first),
        TEST(a_folder_stands_for_its_one_model),
        TEST(several_tags_need_one),
        TEST(the_default_is_variable_then_file_then_constant),
        TEST(the_folder_comes_from_the_environment),
    };
    return test_main("store", cases, sizeof cases / sizeof *cases, argc, argv);
}
