/* directory.h - what a reader finds in one model file: the shape that container.c, gguf_read.c
 * and llama2c_read.c share; nobody else includes it. A directory owns its arrays and its
 * terminated copies of names; keys' values and tensors' bytes stay in the file unless a reader
 * had to decode them. */
#ifndef PUNA_GGUF_DIRECTORY_H
#define PUNA_GGUF_DIRECTORY_H

#include "base/file.h"
#include "gguf/container.h"

typedef struct puna_directory {
    char kind[16];
    puna_meta *meta;
    const puna_meta **by_key; /* the n_meta keys, sorted */
    size_t n_meta;
    puna_tensor *tensors;     /* in the file's order */
    size_t n_tensors;
    char *meta_bytes;         /* keys, and values that do not stand in the file */
    char *name_text;          /* tensor names */
    float *decoded;           /* tensors that do not stand in the file as they are, or NULL */
} puna_directory;

/* Reads a file known to start with "GGUF". `name` is for messages. On failure the directory
 * still has to be freed. */
puna_status puna_gguf_read(puna_directory *dir, const puna_file *file, const char *name, puna_error *err);

/* Whether the file starts like one of llama2.c's: with its magic, or (version 0 has none) with
 * seven numbers that make sense as a model's sizes. */
bool puna_llama2c_starts(const puna_file *file);

/* Reads a file of which puna_llama2c_starts is true; like puna_gguf_read. */
puna_status puna_llama2c_read(puna_directory *dir, const puna_file *file, const char *name, puna_error *err);

/* Sorts dir->meta into dir->by_key and refuses duplicates. */
puna_status puna_directory_index(puna_directory *dir, const char *name, puna_error *err);

/* The value of a key, or NULL. */
const puna_meta *puna_directory_meta(const puna_directory *dir, const char *key);

void puna_directory_free(puna_directory *dir);

#endif
