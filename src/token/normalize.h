/* normalize.h - what happens to a text before it is cut into words: Unicode forms, case,
 * SentencePiece's whitespace rules and precompiled character maps.
 * Refuses: results above the buffer's maximum. Bytes that are not UTF-8 pass unchanged unless a
 * step says otherwise. */
#ifndef PUNA_TOKEN_NORMALIZE_H
#define PUNA_TOKEN_NORMALIZE_H

#include "base/buf.h"
#include "token/charsmap.h"
#include "token/regex.h"
#include "token/table.h"

typedef enum puna_step_kind {
    PUNA_STEP_NFC,
    PUNA_STEP_NFD,
    PUNA_STEP_NFKC,
    PUNA_STEP_NFKD,
    PUNA_STEP_LOWER,
    PUNA_STEP_STRIP_MARKS,      /* marks go */
    PUNA_STEP_STRIP_NONSPACING, /* nonspacing marks go */
    PUNA_STEP_NMT,              /* controls go, odd spaces become spaces */
    PUNA_STEP_REPLACE,          /* from -> to, everywhere */
    PUNA_STEP_REPLACE_REGEX,    /* what `regex` matches -> to */
    PUNA_STEP_PREPEND,          /* `to` before a text that is not empty */
    PUNA_STEP_STRIP,            /* whitespace at the start and end */
    PUNA_STEP_BERT,
    PUNA_STEP_BOM,          /* a byte order mark at the start goes */
    PUNA_STEP_CHARSMAP,     /* by grapheme, as tokenizer.json's Precompiled */
    PUNA_STEP_SENTENCEPIECE /* character map, spaces, prefix, as SentencePiece itself */
} puna_step_kind;

typedef struct puna_step {
    puna_step_kind kind;
    const char *from, *to;
    size_t n_from, n_to;
    bool runs;                                     /* REPLACE: two and more of `from` at once */
    bool left, right;                              /* STRIP */
    bool clean, cjk, accents, lower;               /* BERT */
    bool remove_extra, escape, suffix, keep_bytes; /* SENTENCEPIECE */
    const puna_regex *regex;
    puna_charsmap map;
    const puna_trie *user; /* SENTENCEPIECE: kept as they are; or NULL */
} puna_step;

/* Runs the steps over n bytes; the result replaces what `out` holds. prefix: SENTENCEPIECE puts
 * a space before the text. PUNA_ERR_MEMORY when out's maximum is reached. */
puna_status puna_normalize(const puna_step *steps, int n_steps, bool prefix, const char *text, size_t n,
                           puna_buf *out, puna_error *err);

bool puna_char_is_cjk(int32_t code);

#endif
