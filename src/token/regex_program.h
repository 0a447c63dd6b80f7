/* regex_program.h - what regex_compile.c makes and regex.c runs. Not for others. */
#ifndef PUNA_TOKEN_REGEX_PROGRAM_H
#define PUNA_TOKEN_REGEX_PROGRAM_H

#include "token/regex.h"
#include "token/split.h"

typedef enum puna_regex_op {
    PUNA_RX_DONE,   /* the program, or a part of it that LOOK, BEHIND or ATOMIC runs, has matched */
    PUNA_RX_SET,    /* one character of `set` */
    PUNA_RX_RUN,    /* min to max of them; mode */
    PUNA_RX_SPLIT,  /* on at `to`, else (later) at `other` */
    PUNA_RX_JUMP,   /* on at `to` */
    PUNA_RX_LOOK,   /* what follows matches (or not: `negated`) from here; on at `to` */
    PUNA_RX_BEHIND, /* the character before is in `set` (or not) */
    PUNA_RX_ATOMIC, /* what follows matches, in its first way only; on at `to` behind it */
    PUNA_RX_TEXT_START,
    PUNA_RX_TEXT_END,
    PUNA_RX_TEXT_END_LINE, /* or before a last newline */
    PUNA_RX_LINE_START,
    PUNA_RX_LINE_END,
    PUNA_RX_WORD_EDGE
} puna_regex_op;

typedef enum puna_regex_mode { PUNA_RX_GREEDY, PUNA_RX_LAZY, PUNA_RX_POSSESSIVE } puna_regex_mode;

typedef struct puna_regex_code {
    uint8_t op, mode;
    bool negated;
    uint16_t set;
    uint32_t min, max; /* max UINT32_MAX: any number */
    uint32_t to, other;
} puna_regex_code;

typedef enum puna_regex_item_kind {
    PUNA_RX_RANGE,    /* first to last */
    PUNA_RX_CLASSES,  /* PUNA_C_* in mask */
    PUNA_RX_CATEGORY, /* general categories, bits in mask */
    PUNA_RX_HAN,
    PUNA_RX_SUBSET /* the set `first` */
} puna_regex_item_kind;

typedef struct puna_regex_item {
    uint8_t kind;
    bool negated;
    int32_t first, last;
    uint32_t mask;
} puna_regex_item;

/* Items are or-ed; then the set `also` must hold too (-1: none); then it is negated. */
typedef struct puna_regex_set {
    uint32_t item, n_items;
    int32_t also;
    bool negated, fold;
    bool ascii[128];
} puna_regex_set;

enum { PUNA_RX_WORD_SET = 0 }; /* \w is the first of every expression's sets */

struct puna_regex {
    const puna_regex_code *code;
    const puna_regex_set *sets;
    const puna_regex_item *items;
    bool first[256]; /* bytes that a match may begin with */
};

/* Whether a character (negative: a byte that is not UTF-8) is in the set, its `ascii` not yet made. */
bool puna_regex_set_has(const puna_regex_set *sets, const puna_regex_item *items, size_t set, int32_t code);

#endif
