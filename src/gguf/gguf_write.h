/* gguf_write.h - GGUF version 3, written front to back: first everything the directory needs is
 * added (keys, then tensors by name, encoding and shape), then the bytes of the tensors are
 * streamed in that order, so that a file larger than memory can be made. Where bytes go is the
 * caller's function. What is written is what gguf_read.c and everyone else reads: names are
 * unique, tensors aligned, every count within limits.h.
 * Refuses: nested arrays, files in parts, going back. The first mistake is kept and returned by
 * puna_gguf_begin, so that adding has no error handling. */
#ifndef PUNA_GGUF_GGUF_WRITE_H
#define PUNA_GGUF_GGUF_WRITE_H

#include "gguf/container.h"

typedef struct puna_gguf_writer puna_gguf_writer;

/* The next n bytes of the file. */
typedef puna_status puna_gguf_sink(void *user, const void *bytes, size_t n, puna_error *err);

/* alignment of the tensors' bytes: a power of two from 8 on; 0 = the usual 32. */
puna_status puna_gguf_writer_open(puna_gguf_writer **out, uint32_t alignment, puna_error *err);
void puna_gguf_writer_close(puna_gguf_writer *w);

/* ---- the directory ---- */

void puna_gguf_add_u32(puna_gguf_writer *w, const char *key, uint32_t value);
void puna_gguf_add_f32(puna_gguf_writer *w, const char *key, float value);
void puna_gguf_add_bool(puna_gguf_writer *w, const char *key, bool value);
void puna_gguf_add_text(puna_gguf_writer *w, const char *key, const char *text);
void puna_gguf_add_texts(puna_gguf_writer *w, const char *key, const char *const *texts, size_t n);
void puna_gguf_add_f32s(puna_gguf_writer *w, const char *key, const float *values, size_t n);
void puna_gguf_add_i32s(puna_gguf_writer *w, const char *key, const int32_t *values, size_t n);
/* A value of any type as another file holds it; general.alignment, which is the writer's own, is left out. */
void puna_gguf_add_meta(puna_gguf_writer *w, const puna_meta *meta);

/* The next tensor; ne[n_dims], the contiguous dimension first. Names longer than 63 bytes are
 * refused: other readers refuse them. */
void puna_gguf_add_tensor(puna_gguf_writer *w, const char *name, const puna_format_info *format, uint32_t n_dims,
                          const uint64_t *ne);

/* ---- the bytes ---- */

/* Ends the directory and writes it. *size_bytes gets the size that the whole file will have, before
 * the first call of the sink. */
puna_status puna_gguf_begin(puna_gguf_writer *w, puna_gguf_sink *sink, void *user, uint64_t *size_bytes,
                            puna_error *err);
/* The next n bytes of the current tensor, which may not pass its end; after its last byte the next
 * tensor is the current one. */
puna_status puna_gguf_tensor_bytes(puna_gguf_writer *w, const void *bytes, size_t n, puna_error *err);
/* Fails unless every tensor is complete. */
puna_status puna_gguf_end(puna_gguf_writer *w, puna_error *err);

#endif
