/* vocab.h - vocabularies: text to token ids and back. Reads GGUF metadata, Hugging Face
 * tokenizer.json, SentencePiece models, lists of ranks (tiktoken, tekken.json) and llama2.c's tokenizer.bin.
 * Refuses: chat templates (chat/), model types that it cannot reproduce exactly (named in the
 * message). A vocabulary is immutable after opening: any number of threads may share it. */
#ifndef PUNA_TOKEN_VOCAB_H
#define PUNA_TOKEN_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "gguf/container.h"

typedef struct puna_vocab puna_vocab;

/* What a special token is for. */
typedef enum puna_vocab_role {
    PUNA_VOCAB_BOS = 0,
    PUNA_VOCAB_EOS = 1,
    PUNA_VOCAB_EOT = 2, /* end of a turn */
    PUNA_VOCAB_EOM = 3, /* end of a message that continues (tool call) */
    PUNA_VOCAB_UNK = 4,
    PUNA_VOCAB_SEP = 5,
    PUNA_VOCAB_PAD = 6,
    PUNA_VOCAB_CLS = 7,
    PUNA_VOCAB_MASK = 8,
    PUNA_VOCAB_FIM_PREFIX = 9,
    PUNA_VOCAB_FIM_SUFFIX = 10,
    PUNA_VOCAB_FIM_MIDDLE = 11,
    PUNA_VOCAB_FIM_PAD = 12,
    PUNA_VOCAB_FIM_REPO = 13,
    PUNA_VOCAB_FIM_SEP = 14,
    PUNA_VOCAB_ROLES = 15
} puna_vocab_role;

/* Flags of puna_vocab_encode. */
enum {
    PUNA_VOCAB_ADD_SPECIAL = 1,  /* put BOS, EOS, SEP around the text as the metadata says */
    PUNA_VOCAB_PARSE_SPECIAL = 2 /* special tokens in the text are read as such */
};

/* Builds the vocabulary from tokenizer.ggml.* metadata. Token texts point INTO the container,
 * which must stay open until puna_vocab_free. PUNA_ERR_NOT_FOUND when the container has no
 * tokenizer. *out is NULL on failure. */
puna_status puna_vocab_from_container(puna_vocab **out, const puna_container *container, puna_error *err);

/* Opens a file (any GGUF with a vocabulary, tokenizer.json, a SentencePiece model, llama2.c's
 * tokenizer.bin, ranks; found by content) or a folder that holds tokenizer.json, tokenizer.model,
 * spiece.model, tekken.json, tiktoken.model, qwen.tiktoken or tokenizer.bin (in this order). Keeps the file open until freed. */
puna_status puna_vocab_open(puna_vocab **out, const char *path, puna_error *err);

/* The same over memory, copied as far as it is needed: tokenizer.json, SentencePiece model or
 * llama2.c file (not GGUF). `name` is used in messages. */
puna_status puna_vocab_open_memory(puna_vocab **out, const void *data, size_t size_bytes, const char *name,
                                   puna_error *err);

void puna_vocab_free(puna_vocab *vocab); /* NULL is allowed */

/* ---- What it holds ----------------------------------------------------------------------- */

/* Number of ids: valid ones are 0 .. n - 1. Some may have no text (gaps in tokenizer.json). */
int32_t puna_vocab_n(const puna_vocab *vocab);

/* "gpt2", "llama", "bert", "t5", "rwkv", "plamo2": the names GGUF uses, for every source. */
const char *puna_vocab_model(const puna_vocab *vocab);

/* The pre-tokenizer's name, "" when there is none or the source has no names. */
const char *puna_vocab_pre(const puna_vocab *vocab);

/* The id with that role, -1 when none. */
int32_t puna_vocab_special(const puna_vocab *vocab, puna_vocab_role role);

/* What ADD_SPECIAL puts before and after a text. */
bool puna_vocab_adds_bos(const puna_vocab *vocab);
bool puna_vocab_adds_eos(const puna_vocab *vocab);

/* Ends generation: EOS, EOT, EOM and the well-known end tokens. False for ids out of range. */
bool puna_vocab_is_end(const puna_vocab *vocab, int32_t id);

/* Control and unknown tokens: left out of text unless asked for. False out of range. */
bool puna_vocab_is_special(const puna_vocab *vocab, int32_t id);

/* The raw vocabulary entry (not terminated), NULL when id is out of range. */
const char *puna_vocab_text(const puna_vocab *vocab, int32_t id, size_t *n);

/* The id of an exact raw entry, or -1. */
int32_t puna_vocab_find(const puna_vocab *vocab, const char *text, size_t n);

/* ---- Text to ids and back ---------------------------------------------------------------- */

/* *ids (free with free; NULL when *n_ids is 0) for the n bytes of text, any bytes. Invalid
 * UTF-8 keeps its bytes where the vocabulary has a token for every byte; else each bad byte
 * becomes U+FFFD. Without PARSE_SPECIAL no control token comes out of text, whatever it says.
 * User-defined tokens are always read. PUNA_ERR_ARGUMENT for texts above 1 GiB, PUNA_ERR_FAILED when an expression of
 * the vocabulary takes too many steps. */
puna_status puna_vocab_encode(const puna_vocab *vocab, const char *text, size_t n, unsigned flags,
                              int32_t **ids, size_t *n_ids, puna_error *err);

/* Appends the bytes of n ids to out. special: special tokens are shown as their text, else
 * left out. The space that encoding put before the text is taken off again.
 * PUNA_ERR_ARGUMENT for an id out of range, PUNA_ERR_MEMORY when out is full. */
puna_status puna_vocab_decode(const puna_vocab *vocab, const int32_t *ids, size_t n, bool special,
                              puna_buf *out, puna_error *err);

/* Appends the bytes of one token as they stand inside a text (no space taken off). */
puna_status puna_vocab_piece(const puna_vocab *vocab, int32_t id, bool special, puna_buf *out,
                             puna_error *err);

/* The longest result of puna_detokenizer_add for this vocabulary: allocate once. */
size_t puna_vocab_max_piece(const puna_vocab *vocab);

/* Streaming: zeroed, it continues a text (generation after a prompt). With at_start set it
 * takes the first space off as puna_vocab_decode does. */
typedef struct puna_detokenizer {
    bool at_start;
    uint8_t n_held; /* a truncated UTF-8 sequence that waits for its next bytes */
    char held[4];
} puna_detokenizer;

/* Writes the bytes that id completed, never a part of a UTF-8 sequence that may still be
 * completed; returns how many. capacity must be at least puna_vocab_max_piece(vocab), else, or
 * when id is out of range, nothing is written. No allocation. */
size_t puna_detokenizer_add(puna_detokenizer *detokenizer, const puna_vocab *vocab, int32_t id, bool special,
                            char *out, size_t capacity);

/* Writes what is still held (at most 3 bytes, not valid UTF-8) and starts anew. */
size_t puna_detokenizer_finish(puna_detokenizer *detokenizer, char *out, size_t capacity);

#endif
