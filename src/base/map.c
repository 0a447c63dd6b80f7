/* map.c - the hash map from byte strings to numbers. */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

uint32_t puna_hash(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return (uint32_t)(h ^ (h >> 32));
}

static puna_map_slot *find(const puna_map *map, const char *key, size_t n, uint32_t hash)
{
    size_t mask = map->capacity - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        puna_map_slot *slot = &map->slots[i];
        if (!slot->key || (slot->hash == hash && slot->n == n && memcmp(slot->key, key, n) == 0))
            return slot;
    }
}

bool puna_map_reserve(puna_map *map, size_t n)
{
    size_t capacity = map->capacity ? map->capacity : 16;
    while (capacity / 4 * 3 < n) {
        if (capacity > SIZE_MAX / 2 / sizeof(puna_map_slot))
            return false;
        capacity *= 2;
    }
    if (capacity == map->capacity)
        return true;
    puna_map grown = { .slots = calloc(capacity, sizeof(puna_map_slot)), .capacity = capacity };
    if (!grown.slots)
        return false;
    for (size_t i = 0; i < map->capacity; i++) {
        const puna_map_slot *slot = &map->slots[i];
        if (slot->key)
            *find(&grown, slot->key, slot->n, slot->hash) = *slot;
    }
    grown.n = map->n;
    free(map->slots);
    *map = grown;
    return true;
}

bool puna_map_set(puna_map *map, const char *key, size_t n, uint32_t value)
{
    if (n > UINT32_MAX || !puna_map_reserve(map, map->n + 1))
        return false;
    uint32_t hash = puna_hash(key, n);
    puna_map_slot *slot = find(map, key, n, hash);
    if (!slot->key)
        map->n++;
    *slot = (puna_map_slot){ .key = key, .n = (uint32_t)n, .hash = hash, .value = value };
    return true;
}

bool puna_map_get(const puna_map *map, const char *key, size_t n, uint32_t *value)
{
    if (!map->capacity || n > UINT32_MAX)
        return false;
    const puna_map_slot *slot = find(map, key, n, puna_hash(key, n));
    if (!slot->key)
        return false;
    *value = slot->value;
    return true;
}

void puna_map_free(puna_map *map)
{
    free(map->slots);
    *map = (puna_map){ 0 };
}
