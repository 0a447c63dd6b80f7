/* pages.h - huge pages: what the system offers, and how much of a mapping lies on them. Owns reading
 * that from /sys and /proc; refuses to ask for them. */
#ifndef PUNA_BASE_PAGES_H
#define PUNA_BASE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct puna_pages {
    char transparent[16]; /* "always", "madvise", "never"; "" when the system has none */
    uint64_t huge_bytes;  /* of one huge page; 0 when unknown */
} puna_pages;

/* root: the folder under which proc and sys lie, "" for this machine's own. */
void puna_pages_read(puna_pages *pages, const char *root);

/* Bytes of this process's [start, start + n) on huge pages, anonymous or of a file. Where only a part
 * of a mapping is meant, at most that part's size. False when the system does not say. Slow: the
 * kernel walks all page tables. */
bool puna_pages_on_huge(const char *root, const void *start, size_t n, uint64_t *bytes);

#endif
