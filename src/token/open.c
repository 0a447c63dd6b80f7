/* open.c - which kind of vocabulary a file or folder is, by content. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "token/internal.h"

puna_status puna_vocab_open(puna_vocab **out, const char *path, puna_error *err)
{
    *out = NULL;
    puna_container *container = NULL;
    TRY(puna_container_open(&container, path, err));
    puna_status status = puna_vocab_from_container(out, container, err);
    if (status != PUNA_OK)
        puna_container_close(container);
    else
        (*out)->container = container;
    return status;
}
