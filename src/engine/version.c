/* version.c - versions, and memory handed to callers. */
#include <stdlib.h>

#include "puna.h"

#ifndef PUNA_VERSION
#error "PUNA_VERSION: given by the Makefile"
#endif

const char *puna_version(void)
{
    return PUNA_VERSION;
}

int puna_api_version(void)
{
    return 3;
}

void puna_free(void *memory)
{
    free(memory);
}
