/* table.c - open addressing for texts and merges, a hashed-edge trie for prefixes. */
#include "token/table.h"

#include <stdlib.h>

#include "base/checked.h"
#include "base/limits.h"
#include "token/internal.h"

/* Real vocabularies need a few probes; keys chosen to collide would make loading quadratic. */
enum { MAX_PROBES = 4096, MAX_NODES = 1 << 24 };

static puna_status slots_new(puna_slot **slots, uint64_t *mask, uint64_t n, puna_error *err)
{
    uint64_t capacity = 16;
    while (capacity < n + n / 2)
        capacity *= 2;
    *slots = calloc((size_t)capacity, sizeof(puna_slot));
    if (!*slots)
        return puna_fail_memory(err, "vocabulary index", (size_t)capacity * sizeof(puna_slot));
    *mask = capacity - 1;
    return PUNA_OK;
}

static bool plain(const puna_token *token)
{
    return token->type != PUNA_TOKEN_CONTROL && token->type != PUNA_TOKEN_UNKNOWN;
}

puna_status puna_index_build(puna_index *index, const puna_token *tokens, uint32_t n, puna_error *err)
{
    TRY(slots_new(&index->slots, &index->mask, n, err));
    index->tokens = tokens;
    for (uint32_t id = 0; id < n; id++) {
        const puna_token *token = &tokens[id];
        if (token->flags & PUNA_FLAG_ABSENT)
            continue;
        uint64_t hash = puna_text_hash(token->text, token->n);
        uint32_t tag = (uint32_t)(hash >> 32);
        puna_slot *slot = &index->slots[hash & index->mask];
        int probes = 0;
        for (uint64_t i = hash; slot->value; slot = &index->slots[++i & index->mask]) {
            if (++probes > MAX_PROBES)
                return puna_fail(err, PUNA_ERR_FORMAT,
                                 "vocabulary: token %u: %d collisions, expected distinct hashes",
                                 (unsigned)id, probes);
            if (slot->tag != tag)
                continue;
            const puna_token *other = &tokens[slot->value - 1];
            if (other->n == token->n && memcmp(other->text, token->text, token->n) == 0)
                break;
        }
        /* Of equal texts the first counts, but plain text must not find a control token. */
        if (!slot->value || (!plain(&tokens[slot->value - 1]) && plain(token)))
            *slot = (puna_slot){ tag, id + 1 };
    }
    return PUNA_OK;
}

int32_t puna_index_find(const puna_index *index, const char *text, size_t n, uint64_t hash)
{
    uint32_t tag = (uint32_t)(hash >> 32);
    for (uint64_t i = hash;; i++) {
        const puna_slot *slot = &index->slots[i & index->mask];
        if (!slot->value)
            return -1;
        if (slot->tag != tag)
            continue;
        const puna_token *token = &index->tokens[slot->value - 1];
        if (token->n == n && memcmp(token->text, text, n) == 0)
            return (int32_t)(slot->value - 1);
    }
}

void puna_index_free(puna_index *index)
{
    free(index->slots);
    *index = (puna_index){ 0 };
}

/* ---- Merges ------------------------------------------------------------------------------ */

static uint64_t pair_hash(uint32_t left, uint32_t right)
{
    return puna_mix(((uint64_t)left << 32 | right) * 0xc4ceb9fe1a85ec53u);
}

puna_status puna_merges_reserve(puna_merges *merges, uint64_t n, puna_error *err)
{
    if (n > (uint64_t)PUNA_MAX_VOCAB * 4)
        return puna_fail(err, PUNA_ERR_FORMAT, "merges: got %llu, expected at most %llu",
                         (unsigned long long)n, (unsigned long long)PUNA_MAX_VOCAB * 4);
    TRY(slots_new(&merges->slots, &merges->mask, n, err));
    merges->items = malloc((size_t)(n ? n : 1) * sizeof *merges->items);
    merges->hashes = malloc((size_t)(n ? n : 1) * sizeof *merges->hashes);
    if (!merges->items || !merges->hashes)
        return puna_fail_memory(err, "merges", (size_t)n * sizeof *merges->items);
    merges->capacity = (uint32_t)n;
    return PUNA_OK;
}

static bool same_pair(const puna_merge *merge, const char *left, size_t n_left, const char *right,
                      size_t n_right)
{
    return merge->n_left == n_left && merge->n_right == n_right && memcmp(merge->text, left, n_left) == 0 &&
           memcmp(merge->text + n_left + 1, right, n_right) == 0;
}

puna_status puna_merges_add(puna_merges *merges, const char *text, size_t n_left, size_t n_right,
                            puna_error *err)
{
    if (merges->n == merges->capacity || n_left > PUNA_MAX_TOKEN_BYTES || n_right > PUNA_MAX_TOKEN_BYTES)
        return puna_fail(err, PUNA_ERR_FORMAT, "merges: rank %u: got %zu and %zu bytes", (unsigned)merges->n,
                         n_left, n_right);
    uint32_t left = (uint32_t)puna_text_hash(text, n_left);
    uint32_t right = (uint32_t)puna_text_hash(text + n_left + 1, n_right);
    merges->hashes[merges->n] = pair_hash(left, right);
    merges->items[merges->n++] = (puna_merge){ text, (uint32_t)n_left, (uint32_t)n_right };
    return PUNA_OK;
}

static puna_status insert_rank(puna_merges *merges, uint32_t rank, puna_error *err)
{
    const puna_merge *merge = &merges->items[rank];
    uint64_t hash = merges->hashes[rank];
    uint32_t tag = (uint32_t)(hash >> 32);
    puna_slot *slot = &merges->slots[hash & merges->mask];
    int probes = 0;
    for (uint64_t i = hash; slot->value; slot = &merges->slots[++i & merges->mask]) {
        if (++probes > MAX_PROBES)
            return puna_fail(err, PUNA_ERR_FORMAT, "merges: rank %u: %d collisions, expected distinct hashes",
                             (unsigned)rank, probes);
        if (slot->tag == tag && same_pair(&merges->items[slot->value - 1], merge->text, merge->n_left,
                                          merge->text + merge->n_left + 1, merge->n_right))
            return PUNA_OK;
    }
    *slot = (puna_slot){ tag, rank + 1 };
    return PUNA_OK;
}

/* The slots of a large vocabulary do not fit the cache: each is asked for some ranks ahead. */
puna_status puna_merges_finish(puna_merges *merges, puna_error *err)
{
    enum { AHEAD = 16 };
    for (uint32_t rank = 0; rank < merges->n; rank++) {
        if (rank + AHEAD < merges->n)
            __builtin_prefetch(&merges->slots[merges->hashes[rank + AHEAD] & merges->mask], 1);
        TRY(insert_rank(merges, rank, err));
    }
    free(merges->hashes);
    merges->hashes = NULL;
    return PUNA_OK;
}

uint32_t puna_merges_find(const puna_merges *merges, const char *left, size_t n_left, uint32_t hash_left,
                          const char *right, size_t n_right, uint32_t hash_right)
{
    uint64_t hash = pair_hash(hash_left, hash_right);
    uint32_t tag = (uint32_t)(hash >> 32);
    for (uint64_t i = hash;; i++) {
        const puna_slot *slot = &merges->slots[i & merges->mask];
        if (!slot->value)
            return UINT32_MAX;
        if (slot->tag == tag && same_pair(&merges->items[slot->value - 1], left, n_left, right, n_right))
            return slot->value - 1;
    }
}

void puna_merges_free(puna_merges *merges)
{
    free(merges->slots);
    free(merges->items);
    free(merges->hashes);
    *merges = (puna_merges){ 0 };
}

/* ---- Trie -------------------------------------------------------------------------------- */

static uint64_t edge_hash(uint32_t from_byte)
{
    return (from_byte * 0x9e3779b97f4a7c15u) >> 32;
}

static puna_trie_edge *edge_find(puna_trie_edge *edges, uint32_t capacity, uint32_t from_byte)
{
    uint64_t mask = capacity - 1;
    for (uint64_t i = edge_hash(from_byte);; i++) {
        puna_trie_edge *edge = &edges[i & mask];
        if (!edge->to || edge->from_byte == from_byte)
            return edge;
    }
}

static bool edges_grow(puna_trie *trie)
{
    uint32_t capacity = trie->capacity ? trie->capacity * 2 : 64;
    puna_trie_edge *edges = calloc(capacity, sizeof *edges);
    if (!edges)
        return false;
    for (uint32_t i = 0; i < trie->capacity; i++)
        if (trie->edges[i].to)
            *edge_find(edges, capacity, trie->edges[i].from_byte) = trie->edges[i];
    free(trie->edges);
    trie->edges = edges;
    trie->capacity = capacity;
    return true;
}

/* A fresh node without value; 0 when memory is out. */
static uint32_t node_new(puna_trie *trie)
{
    if (trie->n_nodes == trie->nodes_capacity) {
        uint32_t capacity = trie->nodes_capacity ? trie->nodes_capacity * 2 : 64;
        int32_t *values = realloc(trie->values, capacity * sizeof *values);
        if (!values)
            return 0;
        trie->values = values;
        trie->nodes_capacity = capacity;
    }
    trie->values[trie->n_nodes] = -1;
    return trie->n_nodes++;
}

puna_status puna_trie_add(puna_trie *trie, const char *text, size_t n, int32_t value, puna_error *err)
{
    if (!trie->n_nodes) {
        node_new(trie);
        if (!trie->n_nodes)
            return puna_fail_memory(err, "trie", 256);
    }
    uint32_t node = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)text[i];
        uint32_t next = puna_trie_next(trie, node, byte);
        if (!next) {
            if (trie->n_nodes >= MAX_NODES)
                return puna_fail(err, PUNA_ERR_FORMAT, "trie: more than %d nodes", MAX_NODES);
            if (trie->n_edges >= trie->capacity / 2 && !edges_grow(trie))
                return puna_fail_memory(err, "trie", trie->capacity * sizeof(puna_trie_edge));
            next = node_new(trie);
            if (!next)
                return puna_fail_memory(err, "trie", trie->n_nodes * sizeof(int32_t));
            if (node == 0)
                trie->first[byte] = next;
            else
                *edge_find(trie->edges, trie->capacity, node << 8 | byte) =
                    (puna_trie_edge){ node << 8 | byte, next };
            trie->n_edges++;
        }
        node = next;
    }
    if (node && trie->values[node] < 0)
        trie->values[node] = value;
    return PUNA_OK;
}

uint32_t puna_trie_next(const puna_trie *trie, uint32_t node, unsigned char byte)
{
    if (node == 0)
        return trie->first[byte];
    return trie->capacity ? edge_find(trie->edges, trie->capacity, node << 8 | byte)->to : 0;
}

size_t puna_trie_longest(const puna_trie *trie, const char *text, size_t n, int32_t *value)
{
    uint32_t node = 0;
    size_t longest = 0;
    for (size_t i = 0; i < n; i++) {
        node = puna_trie_next(trie, node, (unsigned char)text[i]);
        if (!node)
            break;
        if (trie->values[node] >= 0) {
            longest = i + 1;
            *value = trie->values[node];
        }
    }
    return longest;
}

void puna_trie_free(puna_trie *trie)
{
    free(trie->edges);
    free(trie->values);
    *trie = (puna_trie){ 0 };
}
