/* synthetic.h - made-up models for measuring: the sizes of a real one, random weights, a small
 * vocabulary of its own, as a GGUF file that every reader takes. A recipe is SHAPE:FORMAT, where
 *   SHAPE   a row of shapes.def, or KEY=N,... (layers embd ff heads kv vocab ctx experts used), or both:
 *           the numbers then override the row: "llama-1b,layers=4"
 *   FORMAT  an encoding that can be written, or a mix as files in the wild have it: "q4_k_m"
 * The same recipe gives the same bytes on every machine. Refuses: making sense of text. */
#ifndef PUNA_MODEL_SYNTHETIC_H
#define PUNA_MODEL_SYNTHETIC_H

#include "gguf/gguf_write.h"

/* Writes the file; *size_bytes gets its size before the sink's first call. */
puna_status puna_synthetic_write(const char *recipe, puna_gguf_sink *sink, void *user, uint64_t *size_bytes,
                                 puna_error *err);

/* The name of shape i, NULL past the end; and of mix i (those that are no encoding's). */
const char *puna_synthetic_shape(size_t i);
const char *puna_synthetic_mix(size_t i);

#endif
