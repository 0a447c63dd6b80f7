/* topology.c - what /proc and /sys say about processors. Everything read is bounded and may be wrong:
 * sandboxes show partial trees, containers the host's. */
#define _GNU_SOURCE
#include "base/topology.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { TEXT_BYTES = 16384, PATH_BYTES = 4400 };

/* A set of processor numbers below PUNA_MAX_PROCESSORS. */
typedef struct set {
    uint64_t bits[PUNA_MAX_PROCESSORS / 64];
} set;

static bool has(const set *s, int32_t i)
{
    return s->bits[i / 64] >> (i % 64) & 1;
}

static void put(set *s, int32_t i)
{
    s->bits[i / 64] |= (uint64_t)1 << (i % 64);
}

static int32_t size(const set *s)
{
    int32_t n = 0;
    for (int32_t i = 0; i < PUNA_MAX_PROCESSORS; i++)
        n += has(s, i);
    return n;
}

static void intersect(set *a, const set *b)
{
    for (int32_t i = 0; i < PUNA_MAX_PROCESSORS / 64; i++)
        a->bits[i] &= b->bits[i];
}

/* ---- reading ---------------------------------------------------------------------------- */

/* The beginning of a small file, terminated; false when there is none. */
static bool read_text(const char *root, const char *name, char *text, size_t capacity)
{
    FILE *file = puna_file_under(root, name);
    if (!file)
        return false;
    size_t n = fread(text, 1, capacity - 1, file);
    fclose(file);
    text[n] = '\0';
    return n > 0;
}

/* A decimal number without a sign, at most INT32_MAX; moves *at behind it. -1: there is none. */
static int32_t read_number(const char **at)
{
    int64_t n = 0;
    if (**at < '0' || **at > '9')
        return -1;
    for (; **at >= '0' && **at <= '9'; (*at)++)
        n = n > INT32_MAX / 10 ? INT32_MAX : n * 10 + (**at - '0');
    return n > INT32_MAX ? INT32_MAX : (int32_t)n;
}

/* A list as the kernel writes them, "0-3,8,10-11". What comes after the first thing that is not one is
 * not read; numbers too large for a set are left out. */
static void read_list(const char *at, set *s)
{
    memset(s, 0, sizeof *s);
    for (;;) {
        int32_t first = read_number(&at), last = first;
        if (first < 0)
            return;
        if (*at == '-') {
            at++;
            last = read_number(&at);
        }
        for (int32_t i = first; i <= last && i < PUNA_MAX_PROCESSORS; i++)
            put(s, i);
        if (*at != ',')
            return;
        at++;
    }
}

static bool read_list_file(const char *root, const char *name, set *s)
{
    char text[TEXT_BYTES];
    memset(s, 0, sizeof *s);
    if (read_text(root, name, text, sizeof text))
        read_list(text, s);
    return size(s) > 0;
}

/* ---- which processors ------------------------------------------------------------------- */

/* From /proc/cpuinfo where there is no /sys: lines "processor : 3". */
static void online_from_cpuinfo(const char *root, set *online)
{
    char line[512];
    FILE *file = puna_file_under(root, "proc/cpuinfo");
    memset(online, 0, sizeof *online);
    while (file && fgets(line, sizeof line, file)) {
        const char *at = strchr(line, ':');
        if (strncmp(line, "processor", 9) != 0 || !at)
            continue;
        at += 1 + strspn(at + 1, " \t");
        int32_t i = read_number(&at);
        if (i >= 0 && i < PUNA_MAX_PROCESSORS)
            put(online, i);
    }
    if (file)
        fclose(file);
}

/* The calling thread's affinity, which the kernel keeps within the control group's cpuset. The list in
 * /proc may name processors that are not there; the system call knows, but only for this machine. */
static bool read_allowed(const char *root, set *allowed)
{
    char text[TEXT_BYTES];
    cpu_set_t mask;
    bool known = false;
    memset(allowed, 0xff, sizeof *allowed);
    if (read_text(root, "proc/thread-self/status", text, sizeof text)) {
        const char *at = strstr(text, "\nCpus_allowed_list:");
        if (at) {
            at += strlen("\nCpus_allowed_list:");
            read_list(at + strspn(at, " \t"), allowed);
            known = true;
        }
    }
    if (*root || sched_getaffinity(0, sizeof mask, &mask) != 0)
        return known;
    for (int32_t i = 0; i < PUNA_MAX_PROCESSORS; i++)
        if (i >= CPU_SETSIZE || !CPU_ISSET((size_t)i, &mask))
            allowed->bits[i / 64] &= ~((uint64_t)1 << (i % 64));
    return true;
}

static void find_processors(puna_topology *t, const char *root)
{
    set online, allowed;
    if (!read_list_file(root, "sys/devices/system/cpu/online", &online))
        online_from_cpuinfo(root, &online);
    bool known = read_allowed(root, &allowed);
    if (size(&online) == 0 && known)
        online = allowed;
    intersect(&allowed, &online);
    for (int32_t i = 0; i < PUNA_MAX_PROCESSORS; i++)
        if (has(&allowed, i))
            t->processors[t->n++] = (puna_processor){ .id = (int16_t)i, .core = (int16_t)i, .speed = 1024 };
    if (t->n == 0)
        t->processors[t->n++] = (puna_processor){ .speed = 1024 };
    t->n_online = size(&online) > 0 ? size(&online) : 1;
}

/* ---- cores ------------------------------------------------------------------------------ */

static void find_siblings(puna_topology *t, const char *root)
{
    static const char *const names[] = { "thread_siblings_list", "core_cpus_list" }; /* old, new */
    set seen = { 0 };
    for (int32_t i = 0; i < t->n; i++) {
        puna_processor *p = &t->processors[i];
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            char name[128];
            set together;
            snprintf(name, sizeof name, "sys/devices/system/cpu/cpu%d/topology/%s", p->id, names[k]);
            if (!read_list_file(root, name, &together) || !has(&together, p->id))
                continue;
            for (p->core = 0; !has(&together, p->core);)
                p->core++;
            break;
        }
        p->sibling = has(&seen, p->core);
        put(&seen, p->core);
        t->n_cores += !p->sibling;
    }
}

/* Speeds from one kind of file, when it is there for every processor; false leaves them as they are. */
static bool read_speeds(puna_topology *t, const char *root, const char *file)
{
    static const int64_t FULL = 1024;
    int32_t values[PUNA_MAX_PROCESSORS], most = 0;
    for (int32_t i = 0; i < t->n; i++) {
        char name[128], text[64];
        const char *at = text;
        snprintf(name, sizeof name, "sys/devices/system/cpu/cpu%d/%s", t->processors[i].id, file);
        if (!read_text(root, name, text, sizeof text) || (values[i] = read_number(&at)) <= 0)
            return false;
        most = values[i] > most ? values[i] : most;
    }
    for (int32_t i = 0; i < t->n; i++) {
        int64_t speed = values[i] * FULL / most;
        t->processors[i].speed = (int16_t)(speed > 1 ? speed : 1);
    }
    return true;
}

/* Slow is what the kernel calls so, where it has a list of each kind (Intel's hybrids), and else what
 * has less than two thirds of the fastest one's speed: the fast cores of one processor differ by less
 * (favoured cores, a cluster of middle ones), the small ones of ARM and AMD by more. */
static void find_slow(puna_topology *t, const char *root)
{
    static const char *const files[] = { "cpu_capacity", "cpufreq/cpuinfo_max_freq",
                                         "acpi_cppc/highest_perf" };
    set fast, slow, slowest;
    bool listed = read_list_file(root, "sys/devices/cpu_core/cpus", &fast);
    listed &= read_list_file(root, "sys/devices/cpu_atom/cpus", &slow);
    read_list_file(root, "sys/devices/cpu_lowpower/cpus", &slowest);
    bool measured = false;
    for (size_t i = 0; i < sizeof files / sizeof *files && !measured; i++)
        measured = read_speeds(t, root, files[i]);
    bool any_fast = false;
    for (int32_t i = 0; i < t->n; i++) {
        puna_processor *p = &t->processors[i];
        p->slow = listed ? has(&slow, p->id) || has(&slowest, p->id) : p->speed * 3 < 1024 * 2;
        if (p->slow && !measured)
            p->speed = 512; /* about what an efficiency core has */
        any_fast |= !p->slow;
    }
    for (int32_t i = 0; i < t->n; i++) {
        t->processors[i].slow &= any_fast;
        t->n_slow += t->processors[i].slow && !t->processors[i].sibling;
    }
}

static void find_nodes(puna_topology *t, const char *root)
{
    set online;
    read_list_file(root, "sys/devices/system/node/online", &online);
    for (int16_t node = 0; node < PUNA_MAX_PROCESSORS; node++) {
        char name[64];
        set members;
        bool used = false;
        snprintf(name, sizeof name, "sys/devices/system/node/node%d/cpulist", node);
        if (!has(&online, node) || !read_list_file(root, name, &members))
            continue;
        for (int32_t i = 0; i < t->n; i++)
            if (has(&members, t->processors[i].id)) {
                t->processors[i].node = node;
                used = true;
            }
        t->n_nodes += used;
    }
    if (t->n_nodes == 0)
        t->n_nodes = 1;
}

/* ---- quota ------------------------------------------------------------------------------ */

/* In thousandths of a processor; 0 = no limit. */
static int32_t millis(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    double n = (double)quota * 1000 / (double)period;
    return n < 1 ? 1 : n < 1000.0 * PUNA_MAX_PROCESSORS ? (int32_t)n : 0;
}

/* Version 2: "<quota or max> <period>" in one file. */
static int32_t quota_v2(const char *root, const char *folder)
{
    char name[PATH_BYTES], text[64], *end;
    int n = snprintf(name, sizeof name, "%s/cpu.max", folder);
    if (n < 0 || n >= (int)sizeof name || !read_text(root, name, text, sizeof text))
        return 0;
    long long quota = strtoll(text, &end, 10);
    return end == text ? 0 : millis(quota, strtoll(end, NULL, 10));
}

/* Version 1: two files; -1 is no limit. */
static int32_t quota_v1(const char *root, const char *folder)
{
    char name[PATH_BYTES], text[2][64];
    static const char *const files[] = { "cpu.cfs_quota_us", "cpu.cfs_period_us" };
    for (int i = 0; i < 2; i++) {
        int n = snprintf(name, sizeof name, "%s/%s", folder, files[i]);
        if (n < 0 || n >= (int)sizeof name || !read_text(root, name, text[i], sizeof text[i]))
            return 0;
    }
    return millis(strtoll(text[0], NULL, 10), strtoll(text[1], NULL, 10));
}

static int32_t smaller_limit(int32_t a, int32_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The smallest quota of a group and the groups above it, walking up its path below `mount`. */
static int32_t quota_of_path(const char *root, const char *mount, const char *group,
                             int32_t (*quota)(const char *root, const char *folder))
{
    char folder[PATH_BYTES - 64];
    int n = snprintf(folder, sizeof folder, "%s%s", mount, group);
    if (n < 0 || n >= (int)sizeof folder)
        return quota(root, mount);
    int32_t limit = 0;
    for (size_t length = (size_t)n; length >= strlen(mount);) {
        folder[length] = '\0';
        limit = smaller_limit(limit, quota(root, folder));
        while (length > 0 && folder[length - 1] != '/')
            length--;
        if (length == 0)
            break;
        length--;
    }
    return limit;
}

/* Lines of /proc/self/cgroup are "<number>:<controllers>:<path>"; 0:: is version 2. */
static void find_quota(puna_topology *t, const char *root)
{
    char line[4096];
    FILE *file = puna_file_under(root, "proc/self/cgroup");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        controllers++;
        if (controllers[0] == '\0')
            t->quota_millis =
                smaller_limit(t->quota_millis, quota_of_path(root, "sys/fs/cgroup", group, quota_v2));
        else if (strcmp(controllers, "cpu") == 0 || strcmp(controllers, "cpu,cpuacct") == 0 ||
                 strcmp(controllers, "cpuacct,cpu") == 0)
            t->quota_millis =
                smaller_limit(t->quota_millis, quota_of_path(root, "sys/fs/cgroup/cpu", group, quota_v1));
    }
    if (file)
        fclose(file);
}

void puna_topology_read(puna_topology *t, const char *root)
{
    memset(t, 0, sizeof *t);
    find_processors(t, root);
    find_siblings(t, root);
    find_slow(t, root);
    find_nodes(t, root);
    find_quota(t, root);
}

void puna_topology_order(const puna_topology *t, int32_t *ids)
{
    int32_t n = 0;
    for (int pass = 0; pass < 3; pass++)
        for (int32_t i = 0; i < t->n; i++) {
            const puna_processor *p = &t->processors[i];
            if (pass == (p->sibling ? 2 : p->slow ? 1 : 0))
                ids[n++] = p->id;
        }
}
