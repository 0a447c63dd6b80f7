/* pages.c - /sys/kernel/mm/transparent_hugepage and /proc/self/smaps. */
#include "base/pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static bool read_line(const char *root, const char *name, char *line, int capacity)
{
    FILE *file = puna_file_under(root, name);
    bool ok = file && fgets(line, capacity, file) != NULL;
    if (file)
        fclose(file);
    return ok;
}

/* The word in brackets of "always [madvise] never". */
void puna_pages_read(puna_pages *pages, const char *root)
{
    char line[128];
    *pages = (puna_pages){ .huge_bytes = 0 };
    if (read_line(root, "sys/kernel/mm/transparent_hugepage/enabled", line, sizeof line)) {
        const char *from = strchr(line, '['), *to = from ? strchr(from, ']') : NULL;
        if (to && to - from - 1 < (int)sizeof pages->transparent)
            memcpy(pages->transparent, from + 1, (size_t)(to - from - 1));
    }
    if (read_line(root, "sys/kernel/mm/transparent_hugepage/hpage_pmd_size", line, sizeof line))
        pages->huge_bytes = strtoull(line, NULL, 10);
}

/* A mapping's own line of smaps, "7f00-7f80 rw-p ...". */
static bool mapping_line(const char *line, uint64_t *begin, uint64_t *end)
{
    char *at;
    *begin = strtoull(line, &at, 16);
    if (at == line || *at != '-')
        return false;
    const char *second = at + 1;
    *end = strtoull(second, &at, 16);
    return at != second && *at == ' ' && *end > *begin;
}

/* The kB of a line about huge pages, in bytes; 0 for other lines. */
static uint64_t huge_line(const char *line)
{
    static const char *const names[] = { "AnonHugePages:", "ShmemPmdMapped:", "FilePmdMapped:",
                                         "Shared_Hugetlb:", "Private_Hugetlb:" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(line, names[i], strlen(names[i])) == 0) {
            uint64_t kb = strtoull(line + strlen(names[i]), NULL, 10);
            return kb < UINT64_MAX / 1024 ? kb * 1024 : 0;
        }
    return 0;
}

bool puna_pages_on_huge(const char *root, const void *start, size_t n, uint64_t *bytes)
{
    char line[4400];
    uint64_t first = (uintptr_t)start, last = first + n, begin, end, overlap = 0;
    FILE *file = puna_file_under(root, "proc/self/smaps");
    *bytes = 0;
    if (!file)
        return false;
    while (fgets(line, sizeof line, file)) {
        if (mapping_line(line, &begin, &end)) {
            begin = begin > first ? begin : first;
            end = end < last ? end : last;
            overlap = end > begin ? end - begin : 0;
            continue;
        }
        uint64_t huge = overlap ? huge_line(line) : 0;
        *bytes += huge < overlap ? huge : overlap;
    }
    fclose(file);
    return true;
}
