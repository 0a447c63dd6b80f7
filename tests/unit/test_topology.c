/* test_topology.c - made-up machines: what is read of them and how many threads they get; huge pages. A machine
 * is a file of tests/data/topology, a line for each file of its /proc and /sys: "path = content". */
#define _XOPEN_SOURCE 700
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/pages.h"
#include "base/threads.h"
#include "harness.h"

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

/* Creates the folders above a path. */
static void make_folders(char *path)
{
    for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(path, 0700);
        *at = '/';
    }
}

/* Writes text, in which \n and \t stand for themselves. */
static bool write_file(char *path, const char *text)
{
    make_folders(path);
    FILE *file = fopen(path, "w");
    if (!CHECK(file != NULL))
        return false;
    for (; *text && *text != '\n'; text++) {
        if (*text == '\\' && text[1])
            fputc(*++text == 'n' ? '\n' : '\t', file);
        else
            fputc(*text, file);
    }
    return CHECK(fclose(file) == 0);
}

static bool unpack(const char *machine, char *root)
{
    char name[64];
    static char line[8192], path[9000];
    snprintf(name, sizeof name, "topology/%s.txt", machine);
    FILE *file = fopen(test_data(name), "r");
    bool ok = CHECK(file != NULL) && CHECK(mkdtemp(root) != NULL);
    while (ok && fgets(line, sizeof line, file)) {
        char *equals = strstr(line, " = ");
        if (line[0] == '#' || !equals)
            continue;
        *equals = '\0';
        snprintf(path, sizeof path, "%s/%s", root, line);
        ok = write_file(path, equals + 3);
    }
    if (file)
        fclose(file);
    return ok;
}

static void discard(const char *root)
{
    nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static bool read_machine(const char *machine, puna_topology *t)
{
    char root[] = "/tmp/puna-topology-XXXXXX";
    bool ok = unpack(machine, root);
    if (ok)
        puna_topology_read(t, root);
    discard(root);
    return ok;
}

static const struct {
    const char *machine;
    int32_t n, n_online, n_cores, n_slow, n_nodes, quota_millis, prefill, decode, n_busy;
    const char *why_decode;
} machines[] = {
    { "vm2", 2, 2, 2, 0, 1, 0, 2, 2, 2, "the processors that this process may use, of 2 in the machine" },
    { "desktop8smt", 16, 16, 8, 0, 1, 0, 8, 8, 16, "one per core: memory is the limit" },
    { "hybrid6p8e", 20, 20, 14, 8, 1, 0, 14, 6, 20,
      "the fast cores: memory is the limit, and slow ones hold the others up" },
    { "server2node", 32, 32, 16, 0, 2, 0, 16, 16, 32, "one per core: memory is the limit" },
    { "quota1", 8, 8, 8, 0, 1, 2500, 3, 3, 3, "the control group's quota of 2.5 processors, of 8 usable" },
    { "quota2", 8, 8, 8, 0, 1, 2500, 3, 3, 3, "the control group's quota of 2.5 processors, of 8 usable" },
    { "cpuset_odd", 8, 16, 8, 0, 1, 0, 8, 8, 8,
      "the processors that this process may use, of 16 in the machine" },
    { "arm_little", 8, 8, 8, 4, 1, 0, 4, 4, 8,
      "the fast cores: memory is the limit, and slow ones hold the others up" },
    { "arm_two_big", 8, 8, 8, 6, 1, 0, 8, 4, 8,
      "2 fast cores and 2 slow ones: too few fast ones for the memory" },
    { "vm_one_core", 2, 2, 1, 0, 1, 0, 2, 2, 2, "all 2 processors of 1 core" },
    { "only_slow", 4, 16, 4, 0, 1, 0, 4, 4, 4,
      "the processors that this process may use, of 16 in the machine" },
};

static void made_up_machines_are_read(void)
{
    static puna_topology t;
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        puna_threads threads;
        if (!read_machine(machines[i].machine, &t))
            continue;
        puna_threads_choose(&threads, &t, 0, 0);
        const int32_t got[] = { t.n,           t.n_online,     t.n_cores,       t.n_slow,
                                t.n_nodes,     t.quota_millis, threads.prefill, threads.decode,
                                threads.n_busy };
        if (memcmp(got, &machines[i].n, sizeof got) != 0)
            test_fail(__FILE__, __LINE__, "%s: got %d %d %d %d %d %d, threads %d %d %d", machines[i].machine,
                      got[0], got[1], got[2], got[3], got[4], got[5], got[6], got[7], got[8]);
        CHECK_TEXT(threads.why_decode, machines[i].why_decode);
    }
}

static void processors_come_in_the_order_threads_take_them(void)
{
    static puna_topology t;
    int32_t ids[PUNA_MAX_PROCESSORS];
    if (read_machine("hybrid6p8e", &t)) {
        const int32_t want[] = { 0, 2, 4, 6, 8, 10, 12, 13, 14, 15, 16, 17, 18, 19, 1, 3, 5, 7, 9, 11 };
        puna_topology_order(&t, ids);
        CHECK(memcmp(ids, want, sizeof want) == 0);
        CHECK_INT(t.processors[19].speed, 1024 * 39 / 52);
    }
    if (read_machine("cpuset_odd", &t)) {
        puna_topology_order(&t, ids);
        for (int32_t i = 0; i < 8; i++)
            CHECK_INT(ids[i], 2 * i + 1);
        CHECK_INT(t.processors[2].core, 4);
    }
    if (read_machine("server2node", &t))
        CHECK(t.processors[7].node == 0 && t.processors[8].node == 1 && t.processors[16].node == 0);
}

static void nonsense_is_survived(void)
{
    static puna_topology t;
    puna_threads threads;
    if (!read_machine("hostile", &t))
        return;
    CHECK(t.n >= 1 && t.n <= PUNA_MAX_PROCESSORS && t.n_cores >= 1 && t.n_nodes == 1 && t.quota_millis == 0);
    puna_threads_choose(&threads, &t, 0, 0);
    CHECK(threads.prefill >= 1 && threads.prefill <= PUNA_MAX_THREADS && threads.decode >= 1);
    puna_topology_read(&t, "/nowhere-at-all");
    CHECK(t.n == 1 && t.n_online == 1 && t.n_cores == 1);
    puna_threads_choose(&threads, &t, 0, 0);
    CHECK(threads.prefill == 1 && threads.decode == 1);
}

static void what_is_asked_for_wins(void)
{
    static puna_topology t;
    puna_threads threads;
    if (!read_machine("quota2", &t))
        return;
    puna_threads_choose(&threads, &t, 6, 0);
    CHECK(threads.prefill == 6 && threads.decode == 6 && threads.n_busy == 3);
    CHECK_TEXT(threads.why_prefill, "asked for with --threads or PUNA_THREADS");
    puna_threads_choose(&threads, &t, 0, 5);
    CHECK(threads.prefill == 5 && threads.decode == 3);
    puna_threads_choose(&threads, &t, 1, 2);
    CHECK(threads.prefill == 2 && threads.decode == 1);
}

static void this_machine_is_read(void)
{
    static puna_topology t;
    puna_topology_read(&t, "");
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    CHECK(t.n >= 1 && (online > PUNA_MAX_PROCESSORS || t.n <= online) && t.n_cores <= t.n);
}

static void huge_pages_are_counted(void)
{
    char root[] = "/tmp/puna-topology-XXXXXX";
    puna_pages pages;
    uint64_t bytes;
    if (!unpack("pages", root))
        return;
    puna_pages_read(&pages, root);
    CHECK_TEXT(pages.transparent, "madvise");
    CHECK_INT(pages.huge_bytes, 2 << 20);
    const struct {
        uintptr_t start;
        size_t n;
        uint64_t want;
    } cases[] = { { 0x10000000, 0x10000000, 128 << 20 },
                  { 0x1ff00000, 0x80000, 0x80000 }, /* a part of it */
                  { 0x20000000, 0x400000, 2 << 20 },
                  { 0x1fe00000, 0x600000, 4 << 20 },
                  { 0x30000000, 0x1000, 0 },
                  { 0x10000000, 0, 0 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(puna_pages_on_huge(root, (void *)cases[i].start, cases[i].n, &bytes));
        CHECK_INT(bytes, cases[i].want);
    }
    discard(root);
    puna_pages_read(&pages, "/nowhere-at-all");
    CHECK(pages.transparent[0] == '\0' && !puna_pages_on_huge("/nowhere-at-all", root, 1, &bytes) &&
          bytes == 0);
    CHECK(puna_pages_on_huge("", root, sizeof root, &bytes) && bytes <= sizeof root);
}

int main(int argc, char **argv)
{
    const test_case cases[] = {
        TEST(made_up_machines_are_read), TEST(processors_come_in_the_order_threads_take_them),
        TEST(nonsense_is_survived),      TEST(what_is_asked_for_wins),
        TEST(this_machine_is_read),      TEST(huge_pages_are_counted),
    };
    return test_main("topology", cases, sizeof cases / sizeof *cases, argc, argv);
}
