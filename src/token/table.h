/* table.h - the three lookup tables of a vocabulary: text -> id, pair of texts -> merge rank,
 * and a trie over bytes. Texts are not copied and must outlive the tables.
 * Refuses: deletion; tables whose keys were chosen to collide (a probe limit). */
#ifndef PUNA_TOKEN_TABLE_H
#define PUNA_TOKEN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/status.h"

static inline uint64_t puna_mix(uint64_t a)
{
    a ^= a >> 32;
    a *= 0x9e3779b97f4a7c15u;
    return a ^ (a >> 29);
}

/* A fast hash of short byte strings, 8 bytes at a step. */
static inline uint64_t puna_text_hash(const char *text, size_t n)
{
    uint64_t h = n * 0xff51afd7ed558ccdu, w;
    for (; n > 8; text += 8, n -= 8) {
        memcpy(&w, text, 8);
        h = puna_mix(h ^ w);
    }
    if (n >= 4) {
        uint32_t low, high;
        memcpy(&low, text, 4);
        memcpy(&high, text + n - 4, 4);
        w = (uint64_t)high << 32 | low;
    } else if (n > 0) {
        const unsigned char *p = (const unsigned char *)text;
        w = (uint64_t)p[0] << 16 | (uint64_t)p[n / 2] << 8 | p[n - 1];
    } else {
        w = 0;
    }
    return puna_mix(puna_mix(h ^ w));
}

typedef struct puna_slot {
    uint32_t tag, value; /* value is 1 + the number; 0: free */
} puna_slot;

struct puna_token;

typedef struct puna_index {
    puna_slot *slots;
    uint64_t mask;
    const struct puna_token *tokens;
} puna_index;

puna_status puna_index_build(puna_index *index, const struct puna_token *tokens, uint32_t n, puna_error *err);
/* The id of the text with that hash, or -1. */
int32_t puna_index_find(const puna_index *index, const char *text, size_t n, uint64_t hash);
void puna_index_free(puna_index *index);

/* A merge is "left right" in one piece of text, as GGUF writes it. */
typedef struct puna_merge {
    const char *text; /* left, one byte, right */
    uint32_t n_left, n_right;
} puna_merge;

typedef struct puna_merges {
    puna_slot *slots;
    uint64_t mask;
    puna_merge *items; /* by rank */
    uint64_t *hashes;  /* by rank, until finished */
    uint32_t n, capacity;
} puna_merges;

puna_status puna_merges_reserve(puna_merges *merges, uint64_t n, puna_error *err);
/* Adds the next rank. */
puna_status puna_merges_add(puna_merges *merges, const char *text, size_t n_left, size_t n_right,
                            puna_error *err);
/* After the last one: builds the table. Of equal pairs the first counts. */
puna_status puna_merges_finish(puna_merges *merges, puna_error *err);
/* The rank of merging left with right, or UINT32_MAX. The hashes are puna_text_hash's. */
uint32_t puna_merges_find(const puna_merges *merges, const char *left, size_t n_left, uint32_t hash_left,
                          const char *right, size_t n_right, uint32_t hash_right);
void puna_merges_free(puna_merges *merges);

typedef struct puna_trie_edge {
    uint32_t from_byte, to; /* node << 8 | byte; to is 0 when free (no edge leads to the root) */
} puna_trie_edge;

/* Zeroed: empty. At most 2^24 nodes. */
typedef struct puna_trie {
    puna_trie_edge *edges;
    uint32_t n_edges, capacity; /* capacity: a power of two, or 0 */
    int32_t *values;            /* per node, -1 when no entry ends there */
    uint32_t n_nodes, nodes_capacity;
    uint32_t first[256]; /* the root's edges */
} puna_trie;

puna_status puna_trie_add(puna_trie *trie, const char *text, size_t n, int32_t value, puna_error *err);
/* The node after `byte`, 0 when there is none. The root is node 0. */
uint32_t puna_trie_next(const puna_trie *trie, uint32_t node, unsigned char byte);
/* The longest entry that text starts with: its length (0 when none) and value. */
size_t puna_trie_longest(const puna_trie *trie, const char *text, size_t n, int32_t *value);
void puna_trie_free(puna_trie *trie);

#endif
