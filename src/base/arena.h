/* arena.h - memory with one lifetime: many small allocations, one free.
 * Refuses: freeing one object, and growing one in place. Not thread-safe. */
#ifndef PUNA_BASE_ARENA_H
#define PUNA_BASE_ARENA_H

#include <stddef.h>

typedef struct puna_arena_block puna_arena_block;

/* Zero-initialised is a valid empty arena. */
typedef struct puna_arena {
    puna_arena_block *blocks; /* newest first */
    size_t size_bytes;        /* memory taken from the system */
} puna_arena;

/* size_bytes zeroed bytes aligned for any type, or NULL when memory is out. */
void *puna_arena_alloc(puna_arena *arena, size_t size_bytes);

/* n zeroed elements of size_bytes each; NULL on overflow too. */
void *puna_arena_array(puna_arena *arena, size_t n, size_t size_bytes);

/* A terminated copy of n bytes. */
char *puna_arena_copy(puna_arena *arena, const char *text, size_t n);

/* Frees everything; the arena is empty and usable again. */
void puna_arena_free(puna_arena *arena);

#endif
