/* arch_file.h - an architecture that is described by a file (docs/arch-file.md) and not by a row of arch.def: for
 * decoders that build.c can record. Owns the meaning of the file's keys; refuses anything that it does not know. */
#ifndef PUNA_MODEL_ARCH_FILE_H
#define PUNA_MODEL_ARCH_FILE_H

#include "base/toml.h"
#include "model/network.h"

/* From text; name is for messages. */
puna_status puna_arch_file_parse(const puna_arch **arch, const puna_toml **numbers, const char *name,
                                 const char *text, size_t n, puna_arena *arena, puna_error *err);

/* Reads the file at path. *arch and *numbers, what the file says in place of metadata (or NULL), lie in the arena. */
puna_status puna_arch_file_read(const puna_arch **arch, const puna_toml **numbers, const char *path,
                                puna_arena *arena, puna_error *err);

#endif
