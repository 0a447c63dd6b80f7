/* tiny_arch.h - the smallest models of every architecture, made up in memory from its descriptor: numbers for all
 * keys that any of them reads, and random weights that depend on names and shapes alone. */
#ifndef PUNA_TESTS_TINY_ARCH_H
#define PUNA_TESTS_TINY_ARCH_H

#include "gguf_builder.h"
#include "model/network.h"

enum { TINY_VOCAB = 48, TINY_CONTEXT = 256 };

/* A GGUF file in b->file; experts: with four of them, two used by a token. False when the descriptor's keys
 * contradict each other. */
bool tiny_arch_build(gguf_builder *b, const puna_arch *arch, bool experts);

/* Whether the architecture can be without experts, or with. */
bool tiny_arch_has(const puna_arch *arch, bool experts);

#endif
