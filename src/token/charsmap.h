/* charsmap.h - SentencePiece's precompiled character maps: byte strings and what replaces them.
 * Refuses: blobs whose sizes do not agree; an offset that leaves the blob finds nothing. */
#ifndef PUNA_TOKEN_CHARSMAP_H
#define PUNA_TOKEN_CHARSMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* An XOR-compressed double array of little-endian units, then terminated replacements. */
typedef struct puna_charsmap {
    const unsigned char *units; /* not aligned */
    size_t n_units;
    const char *text;
    size_t n_text;
} puna_charsmap;

/* Takes a blob apart; it must outlive the map. An empty blob is an empty map. */
puna_status puna_charsmap_read(puna_charsmap *map, const void *blob, size_t n, puna_error *err);

/* The longest (or shortest) key that text starts with: its length, 0 when none, and its
 * terminated replacement. */
size_t puna_charsmap_find(const puna_charsmap *map, const char *text, size_t n, bool longest,
                          const char **replacement);

#endif
