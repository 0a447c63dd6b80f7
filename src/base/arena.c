/* arena.c - bump allocation in blocks of growing size, freed together. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

enum { FIRST_BLOCK_BYTES = 4096, MAX_BLOCK_BYTES = 1 << 20 };

struct puna_arena_block {
    puna_arena_block *next;
    size_t used, capacity;
    alignas(max_align_t) unsigned char data[];
};

static puna_arena_block *grow(puna_arena *arena, size_t need)
{
    size_t capacity = arena->blocks ? arena->blocks->capacity * 2 : FIRST_BLOCK_BYTES;
    if (capacity > MAX_BLOCK_BYTES)
        capacity = MAX_BLOCK_BYTES;
    if (capacity < need)
        capacity = need;
    size_t total;
    if (!puna_add_size(capacity, sizeof(puna_arena_block), &total))
        return NULL;
    puna_arena_block *block = calloc(1, total);
    if (!block)
        return NULL;
    block->capacity = capacity;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->size_bytes += total;
    return block;
}

void *puna_arena_alloc(puna_arena *arena, size_t size_bytes)
{
    size_t need;
    const size_t align = alignof(max_align_t);
    if (!puna_add_size(size_bytes ? size_bytes : 1, align - 1, &need))
        return NULL;
    need &= ~(align - 1);
    puna_arena_block *block = arena->blocks;
    if (!block || block->capacity - block->used < need)
        block = grow(arena, need);
    if (!block)
        return NULL;
    void *at = block->data + block->used;
    block->used += need;
    return at;
}

void *puna_arena_array(puna_arena *arena, size_t n, size_t size_bytes)
{
    size_t total;
    return puna_mul_size(n, size_bytes, &total) ? puna_arena_alloc(arena, total) : NULL;
}

char *puna_arena_copy(puna_arena *arena, const char *text, size_t n)
{
    size_t total;
    char *copy = puna_add_size(n, 1, &total) ? puna_arena_alloc(arena, total) : NULL;
    if (copy && n)
        memcpy(copy, text, n);
    return copy;
}

void puna_arena_free(puna_arena *arena)
{
    while (arena->blocks) {
        puna_arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    arena->size_bytes = 0;
}
