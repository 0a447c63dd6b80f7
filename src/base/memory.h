/* memory.h - how much memory this process could still take. Owns the asking; refuses allocation. */
#ifndef PUNA_BASE_MEMORY_H
#define PUNA_BASE_MEMORY_H

#include <stddef.h>

/* Bytes that can be taken without pushing anything out: what the system calls available, and what
 * the process's control group (version 2 or 1) leaves of its limit. SIZE_MAX when it cannot be known. */
size_t puna_memory_available(void);

#endif
