/* lexer.h - template source to tokens, with Jinja2's whitespace control under trim_blocks and
 * lstrip_blocks. Private to chat/jinja. */
#ifndef PUNA_CHAT_JINJA_LEXER_H
#define PUNA_CHAT_JINJA_LEXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

typedef enum puna_jtoken_type {
    PUNA_JT_EOF,
    PUNA_JT_DATA,
    PUNA_JT_PRINT_BEGIN,
    PUNA_JT_PRINT_END,
    PUNA_JT_BLOCK_BEGIN,
    PUNA_JT_BLOCK_END,
    PUNA_JT_NAME,
    PUNA_JT_STRING, /* text includes the quotes */
    PUNA_JT_INTEGER,
    PUNA_JT_FLOAT,
    PUNA_JT_ADD,
    PUNA_JT_SUB,
    PUNA_JT_MUL,
    PUNA_JT_DIV,
    PUNA_JT_FLOORDIV,
    PUNA_JT_MOD,
    PUNA_JT_POW,
    PUNA_JT_TILDE,
    PUNA_JT_LBRACKET,
    PUNA_JT_RBRACKET,
    PUNA_JT_LPAREN,
    PUNA_JT_RPAREN,
    PUNA_JT_LBRACE,
    PUNA_JT_RBRACE,
    PUNA_JT_EQ,
    PUNA_JT_NE,
    PUNA_JT_GT,
    PUNA_JT_GE,
    PUNA_JT_LT,
    PUNA_JT_LE,
    PUNA_JT_ASSIGN,
    PUNA_JT_DOT,
    PUNA_JT_COLON,
    PUNA_JT_PIPE,
    PUNA_JT_COMMA,
    PUNA_JT_SEMICOLON
} puna_jtoken_type;

typedef struct puna_jtoken {
    uint8_t type;
    uint32_t at; /* offset of the token in the source */
    uint32_t n;
    const char *text; /* points into the source */
} puna_jtoken;

typedef struct puna_jlexer {
    const char *source;
    size_t n, at;
    puna_arena *arena; /* for the tokens; may be freed after parsing */
    puna_jtoken *tokens;
    size_t n_tokens, capacity;
    bool line_starting; /* what was matched last ended in a newline */
    unsigned n_open;
    char open[256];    /* closing brackets awaited */
    const char *error; /* set with error_at when lexing fails */
    char error_text[96];
    uint32_t error_at;
} puna_jlexer;

/* Fills lexer->tokens, ending in EOF. False: lexer->error says why, or is NULL when memory is out. */
bool puna_jlexer_run(puna_jlexer *lexer, const char *source, size_t n, puna_arena *arena);

#endif
