/* internal.h - what the files of token/ share: the vocabulary's layout, its lookup tables, the
 * encoder's scratch memory. Not for other folders. */
#ifndef PUNA_TOKEN_INTERNAL_H
#define PUNA_TOKEN_INTERNAL_H

#include "base/arena.h"
#include "base/file.h"
#include "token/normalize.h"
#include "token/split.h"
#include "token/table.h"
#include "token/vocab.h"

/* How words become tokens. */
typedef enum puna_token_model {
    PUNA_MODEL_BPE,       /* ranked merges; byte-level when `byte_level` */
    PUNA_MODEL_SPM,       /* merges by the score of what they make */
    PUNA_MODEL_UNIGRAM,   /* best path of log-probabilities */
    PUNA_MODEL_WORDPIECE, /* longest match first within a word */
    PUNA_MODEL_GREEDY,    /* longest match first, over bytes */
    PUNA_MODEL_PLAMO2     /* least cost in whole numbers, from the end */
} puna_token_model;

/* Numbered as GGUF numbers them. */
typedef enum puna_token_type {
    PUNA_TOKEN_NORMAL = 1,
    PUNA_TOKEN_UNKNOWN = 2,
    PUNA_TOKEN_CONTROL = 3,
    PUNA_TOKEN_USER = 4,
    PUNA_TOKEN_UNUSED = 5,
    PUNA_TOKEN_BYTE = 6
} puna_token_type;

enum {
    PUNA_FLAG_LSTRIP = 1,      /* takes the whitespace before it */
    PUNA_FLAG_RSTRIP = 2,      /* and after it */
    PUNA_FLAG_SINGLE_WORD = 4, /* only between non-word characters */
    PUNA_FLAG_NORMALIZED = 8,  /* looked for in the normalized text */
    PUNA_FLAG_END = 16,
    PUNA_FLAG_ABSENT = 32, /* an id without an entry */
    PUNA_FLAG_ADDED = 64,  /* the model does not know it: only cut out of a text */
    PUNA_FLAG_INNER = 128  /* only the model knows it: never cut out of a text */
};

typedef struct puna_token {
    const char *text;
    uint32_t n;
    float score;
    uint8_t type, flags;
} puna_token;

enum { PUNA_MAX_STEPS = 8, PUNA_MAX_STAGES = 8 };

/* Where a space is put before the text ("dummy prefix"). */
typedef enum puna_prefix_scheme {
    PUNA_PREFIX_NEVER,
    PUNA_PREFIX_FIRST, /* before the text */
    PUNA_PREFIX_ALWAYS /* before the text and after every special token */
} puna_prefix_scheme;

struct puna_vocab {
    puna_arena arena;
    puna_token *tokens;
    uint32_t n;
    puna_token_model model;
    const char *model_name, *pre_name;
    int32_t special[PUNA_VOCAB_ROLES];
    bool add_bos, add_eos, add_sep;
    int32_t *template_before, *template_after; /* tokenizer.json's own post-processor */
    uint32_t n_before, n_after;
    bool has_template;

    puna_index index;            /* text -> id */
    puna_merges merges;          /* BPE */
    puna_trie special_trie;      /* cut out of a text: control and user-defined tokens */
    puna_trie plain_trie;        /* the same without control tokens */
    puna_trie late_trie;         /* looked for after normalization */
    puna_trie late_special_trie; /* these and control tokens */
    puna_trie user_trie;         /* user_in_model: found while encoding */
    puna_trie pieces;            /* Unigram: everything that text may become */

    puna_step steps[PUNA_MAX_STEPS];
    int n_steps;
    const puna_split_rule *stages[PUNA_MAX_STAGES];
    int n_stages;
    const puna_split_rule *late_stages[PUNA_MAX_STAGES]; /* behind ByteLevel: over its alphabet */
    int n_late_stages;

    bool byte_level;    /* entries are in GPT-2's byte alphabet */
    bool by_rank;       /* BPE over bytes: an entry's id is the rank of what merges into it */
    bool prefix_space;  /* ByteLevel's add_prefix_space */
    bool ignore_merges; /* a word that is an entry is not taken apart */
    bool newlines_whole; /* so is a run of newlines that is one */
    bool fuse_unknown;  /* runs of unknown become one */
    bool drop_unknown;  /* text without an entry leaves no token, as byte-level BPE has it */
    bool byte_fallback;
    bool user_in_model;   /* SentencePiece: user-defined tokens are found while encoding */
    bool score_float;     /* Unigram sums in float as SentencePiece does */
    bool metaspace;       /* spaces become marks after cutting, */
    bool metaspace_split; /* then each mark starts a word */
    puna_prefix_scheme metaspace_prefix;
    bool cut_at_spaces;  /* words may be cut before space marks, except behind these bytes: */
    bool joins[256];     /* some entry has a space mark behind this byte */
    bool spaces_escaped; /* U+2581 in entries stands for a space */
    puna_prefix_scheme prefix;
    const char *continuing; /* WordPiece: marks what is inside a word, or NULL: */
    bool word_start_marked; /* U+2581 marks word starts, as GGUF's bert does */
    bool whole_words;       /* WordLevel: a word is an entry or unknown */
    uint32_t max_word_chars;
    const char *word_suffix; /* BPE end_of_word_suffix or NULL */

    int32_t byte_ids[256]; /* the token of a byte, or -1 */
    double *scores;        /* Unigram from tokenizer.json: with all their digits; or NULL */
    double min_score;
    float max_score;
    size_t max_piece;
    uint32_t max_token_bytes;
    bool strip_start; /* decoding takes the first space off */
    puna_container *container;
    puna_file file;
};

/* A growing list of ids. */
typedef struct puna_ids {
    int32_t *data;
    size_t n, capacity;
    bool failed;
} puna_ids;

void puna_ids_add(puna_ids *ids, int32_t id);

typedef struct puna_symbol {
    uint32_t start, n; /* bytes of the word; n == 0: merged away */
    int32_t prev, next;
    uint32_t hash;
    bool frozen;
} puna_symbol;

typedef struct puna_pair {
    uint64_t key; /* rank << 32 | left symbol: the lowest is merged first */
    uint32_t right, n;
} puna_pair;

/* A word whose ids are already in the output. */
enum { PUNA_CACHED_BYTES = 32 };
typedef struct puna_word_slot {
    uint64_t hash;
    size_t at; /* where its ids lie */
    uint32_t n, n_ids;
    char word[PUNA_CACHED_BYTES];
} puna_word_slot;

/* One call's state; scratch grows and is reused from word to word. */
typedef struct puna_encoder {
    const puna_vocab *vocab;
    puna_ids ids;
    bool failed; /* memory is out, or */
    bool stuck;  /* a pattern takes too long */
    bool parse_special;
    size_t begin;       /* ids.n where the text begins */
    size_t unknown_end; /* ids.n after the last unknown token */
    char *word;         /* the word in the vocabulary's alphabet */
    size_t word_capacity;
    puna_symbol *symbols;
    size_t symbols_capacity;
    puna_pair *heap;
    size_t n_heap, heap_capacity;
    puna_word_slot *cache; /* NULL for short texts */
    uint64_t cache_mask;
    void *lattice;
    size_t lattice_capacity;
} puna_encoder;

/* Room for n elements of size_bytes at *memory; false (and failed set) when memory is out. */
bool puna_encoder_room(puna_encoder *encoder, void *memory, size_t *capacity, size_t n, size_t size_bytes);

/* ---- Models: append the ids of one word ---------------------------------------------------- */
void puna_merge_word(puna_encoder *encoder, const char *word, size_t n);
void puna_unigram_word(puna_encoder *encoder, const char *word, size_t n);
void puna_wordpiece_word(puna_encoder *encoder, const char *word, size_t n);
void puna_greedy_word(puna_encoder *encoder, const char *word, size_t n);
void puna_plamo2_word(puna_encoder *encoder, const char *word, size_t n);

/* The ids of text that has no entry: byte tokens, else the unknown token, else nothing. */
void puna_unknown_add(puna_encoder *encoder, const char *text, size_t n);

/* ---- Building ------------------------------------------------------------------------------ */
puna_vocab *puna_vocab_new(void);

/* Makes room for n tokens, all absent. */
puna_status puna_vocab_reserve(puna_vocab *vocab, uint64_t n, puna_error *err);

/* After tokens, special ids and options are set: builds every table, finds the well-known
 * tokens by their text, checks ids. */
puna_status puna_vocab_finish(puna_vocab *vocab, puna_error *err);

puna_status puna_vocab_read_json(puna_vocab *vocab, const char *text, size_t n, const char *name,
                                 puna_error *err);
puna_status puna_vocab_read_sentencepiece(puna_vocab *vocab, const unsigned char *data, size_t n,
                                          const char *name, puna_error *err);
bool puna_vocab_are_ranks(const char *text, size_t n);
puna_status puna_vocab_read_ranks(puna_vocab *vocab, const char *text, size_t n, const char *name,
                                  puna_error *err);
puna_status puna_vocab_read_llama2c(puna_vocab *vocab, const unsigned char *data, size_t n, const char *name,
                                    puna_error *err);

/* tokenizer.json's normalizer, pre_tokenizer, post_processor and decoder; root is a json_t. */
puna_status puna_vocab_read_pipeline(puna_vocab *vocab, const void *root, puna_error *err);

/* Roles from tokenizer_config.json's text; what it does not say stays. */
void puna_vocab_read_config(puna_vocab *vocab, const char *text, size_t n);

/* The value 0..255 of "<0xAB>", or -1. */
int puna_byte_token(const char *text, size_t n);

/* Decodes base64 up to '=' or the end into out (3/4 of n bytes). Returns n, or where another character is. */
size_t puna_base64(const char *text, size_t n, unsigned char *out, size_t *n_out);

/* The value of two hexadecimal digits, or -1. */
int puna_hex_byte(const char *text);

/* GPT-2's alphabet: the code point that stands for a byte, and back (-1 when none). */
int32_t puna_byte_to_code(unsigned byte);
int puna_code_to_byte(int32_t code);

#define PUNA_SPACE_MARK "\xe2\x96\x81" /* U+2581 */

#endif
