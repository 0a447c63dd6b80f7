/* memory.c - reads /proc/meminfo and the memory limits of control groups. */
#define _DEFAULT_SOURCE
#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first number of a file; SIZE_MAX when there is none ("max") or no file. */
static size_t read_number(const char *path)
{
    FILE *file = fopen(path, "re");
    char line[64] = "";
    if (!file)
        return SIZE_MAX;
    char *end, *text = fgets(line, sizeof line, file);
    fclose(file);
    unsigned long long value = text ? strtoull(line, &end, 10) : 0;
    return !text || end == line || value >= SIZE_MAX ? SIZE_MAX : (size_t)value;
}

static size_t system_available(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    char line[128];
    size_t available = SIZE_MAX;
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, "MemAvailable:", 13) == 0) {
            unsigned long long kib = strtoull(line + 13, NULL, 10);
            available = kib < SIZE_MAX / 1024 ? (size_t)kib * 1024 : SIZE_MAX;
            break;
        }
    }
    if (file)
        fclose(file);
    return available;
}

/* Page caches count as used in a group though they give way, so that this errs on the careful side. */
static size_t group_available(const char *limit_path, const char *used_path)
{
    const size_t limit = read_number(limit_path), used = read_number(used_path);
    if (limit == SIZE_MAX || used == SIZE_MAX)
        return SIZE_MAX;
    return limit > used ? limit - used : 0;
}

size_t puna_memory_available(void)
{
    const size_t all[] = {
        system_available(),
        group_available("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        group_available("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    };
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        least = all[i] < least ? all[i] : least;
    return least;
}
