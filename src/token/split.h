/* split.h - pre-tokenizers: text cut into words before merging. Each published pattern is one
 * rule (data) for a hand-written linear scanner; what is not in its table is a compiled expression.
 * Refuses: what regex.h refuses. */
#ifndef PUNA_TOKEN_SPLIT_H
#define PUNA_TOKEN_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "token/regex.h"

/* What a code point is, as bits. A byte that is not valid UTF-8 has none. */
enum {
    PUNA_C_UPPER = 1,      /* Lu Lt */
    PUNA_C_LOWER = 2,      /* Ll */
    PUNA_C_LETTER = 4,     /* Lm Lo */
    PUNA_C_MARK = 8,       /* M */
    PUNA_C_NUMBER = 16,    /* N */
    PUNA_C_PUNCT = 32,     /* P */
    PUNA_C_SYMBOL = 64,    /* S */
    PUNA_C_SPACE = 128,    /* White_Space */
    PUNA_C_NEWLINE = 256,  /* CR LF */
    PUNA_C_BLANK = 512,    /* U+0020 */
    PUNA_C_SLASH = 1024,   /* '/' */
    PUNA_C_CONTROL = 2048, /* C */
    PUNA_C_DIGIT = 4096,   /* Nd */
    PUNA_C_WORD = 8192,    /* '_' and other Pc */
    PUNA_C_L = PUNA_C_UPPER | PUNA_C_LOWER | PUNA_C_LETTER
};

unsigned puna_char_class(int32_t code);
bool puna_char_is_word(int32_t code); /* \w as Rust's expressions have it */
bool puna_char_is_han(int32_t code);  /* script Han */

/* The class of the character at text (n > 0) and its length 1..4; negative *code: invalid. */
unsigned puna_char_at(const char *text, size_t n, int *length, int32_t *code);

typedef struct puna_range {
    int32_t first, last;
} puna_range;

extern const puna_range puna_han[];
extern const size_t puna_n_han;
extern const puna_range puna_word_chars[]; /* of \w: neither letters, marks, digits nor connectors */
extern const size_t puna_n_word_chars;

typedef enum puna_split_kind {
    PUNA_SPLIT_WORDS,      /* the alternatives of GPT-2's pattern and its descendants */
    PUNA_SPLIT_RUN,        /* a run of a set, perhaps with one character before it */
    PUNA_SPLIT_DIGITS,     /* digits in threes, counted from the right */
    PUNA_SPLIT_LINES,      /* runs of newlines, runs of others */
    PUNA_SPLIT_TAIL_SPACE, /* whitespace at the end of the text */
    PUNA_SPLIT_REGEX
} puna_split_kind;

typedef enum puna_split_behavior {
    PUNA_ISOLATED, /* a match is a word of its own */
    PUNA_REMOVED,  /* matches are dropped */
    PUNA_WITH_PREVIOUS,
    PUNA_WITH_NEXT,
    PUNA_CONTIGUOUS /* neighbouring matches are one word */
} puna_split_behavior;

enum { PUNA_EXACT = 1, PUNA_ANY_CASE = 2 }; /* contraction: 's 't 're 've 'm 'll 'd */
enum { PUNA_WORD_PLAIN, PUNA_WORD_CASED, PUNA_WORD_SPACED };
enum { PUNA_TRAIL_NONE, PUNA_TRAIL_LINES, PUNA_TRAIL_LINES_SLASH, PUNA_TRAIL_ONE };
enum { PUNA_LINES_NONE, PUNA_LINES_RUN, PUNA_LINES_ONE };

/* WORDS reads the upper half, RUN the lower; names of classes are masks of PUNA_C_*. */
typedef struct puna_split_rule {
    uint8_t kind, behavior;
    bool drop_gaps;             /* what does not match is dropped */
    uint8_t contraction;        /* 0, PUNA_EXACT, PUNA_ANY_CASE, as first alternative */
    uint8_t suffix_contraction; /* the same behind a cased word */
    uint8_t ascii_word;         /* one ASCII punctuation and ASCII letters, before letters */
    uint8_t shape;              /* PUNA_WORD_*: what a word of letters is */
    bool han;                   /* runs of script Han are words, before all else; CASED words have none */
    uint16_t not_prefix;        /* one character outside may precede letters; 0: only ' ' */
    uint16_t letters;
    uint8_t digits_max;           /* 0: as many as there are */
    bool digits_blank;            /* ' ' may precede numbers */
    uint16_t punct_in, punct_not; /* run behind an optional ' ': in the first, or outside the 2nd */
    uint8_t trail, lines;         /* newlines behind punctuation; \s*[\r\n]+ */
    bool tail;                    /* whitespace at the text's end is one word */
    bool space_powers;            /* runs of whitespace are cut into 512, 256, ... 4, 2, 1 */

    uint8_t lead;             /* 0; 1: optional ' '; 2: optional whitespace before the run */
    uint16_t set, set_not;    /* classes in the run; or, when not 0, outside */
    const puna_range *ranges; /* and code points in the run (or outside it, with set_not) */
    uint8_t n_ranges;
    uint8_t min, max; /* characters in the run; max 0: any number */
    bool boundary;    /* DIGITS: only when no letter follows */
    const puna_regex *regex;
} puna_split_rule;

/* Called with each word in order; false stops. */
typedef bool puna_word_fn(void *user, const char *word, size_t n);

/* Cuts n bytes by the stages in turn: each cuts what the one before left. False when stopped, or
 * when an expression needs too many steps or too much memory. */
bool puna_split_text(const puna_split_rule *const *stages, int n_stages, const char *text, size_t n,
                     puna_word_fn *each, void *user);

/* What a name in tokenizer.ggml.pre means. */
typedef struct puna_split_preset {
    const char *name;
    const puna_split_rule *stages[7]; /* ends with NULL */
    const char *patterns[4];          /* expressions that come before them; ends with NULL */
    bool ignore_merges, add_bos, add_sep;
    bool spaces_escaped; /* entries are UTF-8 with marks for spaces */
    bool metaspace;      /* and a mark starts every text and every word */
    bool plain;          /* entries are UTF-8, spaces are dropped */
    bool newlines_whole; /* a run of newlines that is an entry is not taken apart */
} puna_split_preset;

const puna_split_preset *puna_split_named(const char *name, size_t n); /* or NULL */

const char *puna_split_name_at(size_t i); /* the names in order, NULL behind the last */

/* The rule for a regular expression as tokenizer.json writes it; one that the scanners do not know is compiled
 * into the arena. */
puna_status puna_split_pattern(puna_arena *arena, const char *pattern, puna_split_rule *rule,
                               puna_error *err);

/* Whole patterns of one rule each, for split_pattern.c. */
typedef struct puna_split_text_rule {
    const char *pattern;
    const puna_split_rule *rule;
} puna_split_text_rule;
extern const puna_split_text_rule puna_split_texts[]; /* ends with a NULL pattern */

/* Rules that tokenizer.json names by type. */
extern const puna_split_rule puna_split_gpt2, puna_split_digits, puna_split_digits_each,
    puna_split_whitespace, puna_split_punctuation, puna_split_word_chars;

#endif
