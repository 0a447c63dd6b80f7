/* map.h - byte string -> uint32, open addressing, for vocabularies and name tables.
 * Keys are not copied: they must outlive the map. Refuses: deletion. */
#ifndef PUNA_BASE_MAP_H
#define PUNA_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct puna_map_slot {
    const char *key; /* NULL: free */
    uint32_t n, hash, value;
} puna_map_slot;

/* Zero-initialised is a valid empty map. */
typedef struct puna_map {
    puna_map_slot *slots;
    size_t n, capacity; /* capacity is a power of two, or 0 */
} puna_map;

/* Room for n keys without growing; false when memory is out. */
bool puna_map_reserve(puna_map *map, size_t n);

/* Adds or replaces; false when memory is out. */
bool puna_map_set(puna_map *map, const char *key, size_t n, uint32_t value);

/* False when the key is not there; then *value is untouched. */
bool puna_map_get(const puna_map *map, const char *key, size_t n, uint32_t *value);

void puna_map_free(puna_map *map);

/* A fast hash of n bytes (FNV-1a folded); not for adversarial tables of unbounded size. */
uint32_t puna_hash(const void *bytes, size_t n);

#endif
