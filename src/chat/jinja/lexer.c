/* lexer.c - the tokens of a template. The rules follow Jinja2 3.1's documented syntax with
 * trim_blocks and lstrip_blocks on: a newline right after a block or comment tag goes away, and so
 * do blanks between the start of a line and such a tag, unless a + sign forbids it; a - sign takes
 * all whitespace on its side. Refuses: line statements. No recursion. */
#include "chat/jinja/lexer.h"

#include <stdio.h>
#include <string.h>

#include "chat/jinja/unicode.h"

static bool fail(puna_jlexer *lx, size_t at, const char *message)
{
    lx->error = message;
    lx->error_at = (uint32_t)at;
    return false;
}

static bool push(puna_jlexer *lx, puna_jtoken_type type, size_t at, size_t n)
{
    if (lx->n_tokens == lx->capacity) {
        size_t capacity = lx->capacity ? lx->capacity * 2 : 256;
        puna_jtoken *tokens = puna_arena_array(lx->arena, capacity, sizeof *tokens);
        if (!tokens)
            return false;
        if (lx->n_tokens)
            memcpy(tokens, lx->tokens, lx->n_tokens * sizeof *tokens);
        lx->tokens = tokens;
        lx->capacity = capacity;
    }
    lx->tokens[lx->n_tokens++] =
        (puna_jtoken){ .type = (uint8_t)type, .at = (uint32_t)at, .n = (uint32_t)n, .text = lx->source + at };
    return true;
}

static bool at_text(const puna_jlexer *lx, size_t at, const char *text)
{
    size_t n = strlen(text);
    return at + n <= lx->n && memcmp(lx->source + at, text, n) == 0;
}

static size_t skip_space(const puna_jlexer *lx, size_t at)
{
    return at + puna_junicode_leading_space(lx->source + at, lx->n - at);
}

static void consume(puna_jlexer *lx, size_t end)
{
    lx->line_starting = end > 0 && lx->source[end - 1] == '\n';
    lx->at = end;
}

/* The end of a block tag at `at` ("-%}" with what follows, "+%}", "%}" with one newline), or 0. */
static size_t block_end(const puna_jlexer *lx, size_t at, const char *plain)
{
    char signed_end[4] = { '-', plain[0], plain[1], '\0' };
    if (at_text(lx, at, signed_end))
        return skip_space(lx, at + 3);
    signed_end[0] = '+';
    if (at_text(lx, at, signed_end))
        return at + 3;
    if (!at_text(lx, at, plain))
        return 0;
    return at + 2 + (at + 2 < lx->n && lx->source[at + 2] == '\n');
}

/* Pushes the text before a tag, stripped as the tag's sign and lstrip_blocks ask. */
static bool push_data(puna_jlexer *lx, size_t from, size_t to, char sign, bool strips_line)
{
    if (sign == '-') {
        to -= puna_junicode_trailing_space(lx->source + from, to - from);
    } else if (sign != '+' && strips_line) {
        size_t line = to;
        while (line > from && lx->source[line - 1] != '\n')
            line--;
        if ((line > from || lx->line_starting) && skip_space(lx, line) >= to)
            to = line;
    }
    return to == from || push(lx, PUNA_JT_DATA, from, to - from);
}

static char sign_at(const puna_jlexer *lx, size_t at)
{
    return at < lx->n && (lx->source[at] == '-' || lx->source[at] == '+') ? lx->source[at] : '\0';
}

/* "{% raw %}" at `at`: the offset behind it, or 0. */
static size_t raw_begin(const puna_jlexer *lx, size_t at)
{
    at += 2;
    at += sign_at(lx, at) != '\0';
    at = skip_space(lx, at);
    if (!at_text(lx, at, "raw"))
        return 0;
    at = skip_space(lx, at + 3);
    if (at_text(lx, at, "-%}"))
        return skip_space(lx, at + 3);
    return at_text(lx, at, "%}") ? at + 2 : 0;
}

static bool lex_raw(puna_jlexer *lx, size_t tag)
{
    size_t from = lx->at;
    for (size_t i = from; i + 1 < lx->n; i++) {
        if (!at_text(lx, i, "{%"))
            continue;
        char sign = sign_at(lx, i + 2);
        size_t at = skip_space(lx, i + 2 + (sign != '\0'));
        if (!at_text(lx, at, "endraw"))
            continue;
        size_t end = block_end(lx, skip_space(lx, at + 6), "%}");
        if (!end)
            continue;
        if (!push_data(lx, from, i, sign, true))
            return false;
        consume(lx, end);
        return true;
    }
    return fail(lx, tag, "missing end of raw directive");
}

static bool lex_comment(puna_jlexer *lx, size_t tag)
{
    size_t from = lx->at;
    for (size_t i = from; i + 1 < lx->n; i++) {
        if (!at_text(lx, i, "#}"))
            continue;
        size_t end = block_end(lx, i > from && sign_at(lx, i - 1) ? i - 1 : i, "#}");
        consume(lx, end);
        return true;
    }
    return fail(lx, tag, "missing end of comment tag");
}

static bool is_name_start(int32_t c)
{
    return c == '_' || (c < 128 ? (c | 32) >= 'a' && (c | 32) <= 'z' : puna_junicode_is_identifier(c));
}

static size_t name_length(const puna_jlexer *lx, size_t at)
{
    size_t start = at;
    while (at < lx->n) {
        int32_t c;
        int n = puna_utf8_decode(lx->source + at, lx->n - at, &c);
        if (!is_name_start(c) && !(c >= '0' && c <= '9' && at > start))
            break;
        at += (size_t)n;
    }
    return at - start;
}

/* Digits with single underscores between them. */
static size_t digits(const puna_jlexer *lx, size_t at, const char *allowed)
{
    size_t start = at;
    while (at < lx->n && lx->source[at] && strchr(allowed, lx->source[at])) {
        at++;
        if (at + 1 < lx->n && lx->source[at] == '_' && lx->source[at + 1] &&
            strchr(allowed, lx->source[at + 1]))
            at++;
    }
    return at - start;
}

static const char DECIMAL[] = "0123456789";

static size_t float_length(const puna_jlexer *lx, size_t at)
{
    if (at > 0 && lx->source[at - 1] == '.')
        return 0;
    size_t whole = digits(lx, at, DECIMAL), end = at + whole, fraction = 0;
    if (!whole)
        return 0;
    if (end < lx->n && lx->source[end] == '.') {
        fraction = digits(lx, end + 1, DECIMAL);
        if (fraction)
            end += 1 + fraction;
    }
    if (end < lx->n && (lx->source[end] | 32) == 'e') {
        size_t sign = end + 1 < lx->n && (lx->source[end + 1] == '+' || lx->source[end + 1] == '-');
        size_t exponent = digits(lx, end + 1 + sign, DECIMAL);
        if (exponent)
            return end + 1 + sign + exponent - at;
    }
    return fraction ? end - at : 0;
}

static size_t integer_length(const puna_jlexer *lx, size_t at)
{
    static const char *const sets[] = { "01", "01234567", "0123456789abcdefABCDEF" };
    char first = lx->source[at];
    if (first == '0' && at + 1 < lx->n) {
        const char *which = "box", *found = strchr(which, lx->source[at + 1] | 32);
        if (found && *found) {
            size_t from = at + 2 + (at + 2 < lx->n && lx->source[at + 2] == '_');
            size_t n = digits(lx, from, sets[found - which]);
            if (n)
                return from + n - at;
        }
    }
    return first == '0' ? digits(lx, at, "0") : digits(lx, at, DECIMAL);
}

static bool lex_string(puna_jlexer *lx)
{
    char quote = lx->source[lx->at];
    for (size_t i = lx->at + 1; i < lx->n; i++) {
        if (lx->source[i] == '\\') {
            i++;
        } else if (lx->source[i] == quote) {
            size_t from = lx->at;
            lx->at = i + 1;
            return push(lx, PUNA_JT_STRING, from, i + 1 - from);
        }
    }
    return fail(lx, lx->at, "unexpected quote: the string does not end");
}

/* Keeps the brackets balanced: inside them "}}" and "%}" do not end the tag. */
static bool balance(puna_jlexer *lx, char c)
{
    const char *opening = "{([", *closing = "})]", *which = strchr(opening, c);
    if (which && *which) {
        if (lx->n_open == sizeof lx->open)
            return fail(lx, lx->at, "brackets nested too deeply");
        lx->open[lx->n_open++] = closing[which - opening];
        return true;
    }
    if (!strchr(closing, c))
        return true;
    if (!lx->n_open)
        snprintf(lx->error_text, sizeof lx->error_text, "unexpected '%c'", c);
    else if (lx->open[lx->n_open - 1] != c)
        snprintf(lx->error_text, sizeof lx->error_text, "unexpected '%c', expected '%c'", c,
                 lx->open[lx->n_open - 1]);
    else {
        lx->n_open--;
        return true;
    }
    return fail(lx, lx->at, lx->error_text);
}

static bool lex_operator(puna_jlexer *lx)
{
    static const struct {
        char text[3];
        uint8_t type;
    } operators[] = {
        { "//", PUNA_JT_FLOORDIV }, { "**", PUNA_JT_POW },      { "==", PUNA_JT_EQ },
        { "!=", PUNA_JT_NE },       { ">=", PUNA_JT_GE },       { "<=", PUNA_JT_LE },
        { "+", PUNA_JT_ADD },       { "-", PUNA_JT_SUB },       { "/", PUNA_JT_DIV },
        { "*", PUNA_JT_MUL },       { "%", PUNA_JT_MOD },       { "~", PUNA_JT_TILDE },
        { "[", PUNA_JT_LBRACKET },  { "]", PUNA_JT_RBRACKET },  { "(", PUNA_JT_LPAREN },
        { ")", PUNA_JT_RPAREN },    { "{", PUNA_JT_LBRACE },    { "}", PUNA_JT_RBRACE },
        { ">", PUNA_JT_GT },        { "<", PUNA_JT_LT },        { "=", PUNA_JT_ASSIGN },
        { ".", PUNA_JT_DOT },       { ":", PUNA_JT_COLON },     { "|", PUNA_JT_PIPE },
        { ",", PUNA_JT_COMMA },     { ";", PUNA_JT_SEMICOLON },
    };
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (!at_text(lx, lx->at, operators[i].text))
            continue;
        if (!operators[i].text[1] && !balance(lx, operators[i].text[0]))
            return false;
        size_t n = strlen(operators[i].text);
        lx->at += n;
        return push(lx, operators[i].type, lx->at - n, n);
    }
    unsigned char c = (unsigned char)lx->source[lx->at];
    snprintf(lx->error_text, sizeof lx->error_text,
             c >= 32 && c < 127 ? "unexpected character '%c'" : "unexpected character 0x%02x", c);
    return fail(lx, lx->at, lx->error_text);
}

static bool push_consume(puna_jlexer *lx, puna_jtoken_type type, size_t n)
{
    size_t at = lx->at;
    lx->at += n;
    return push(lx, type, at, n);
}

/* The inside of a print or block tag, up to and including its end. */
static bool lex_tag(puna_jlexer *lx, bool is_block)
{
    lx->n_open = 0;
    while (lx->at < lx->n) {
        if (!lx->n_open) {
            size_t end = is_block                     ? block_end(lx, lx->at, "%}")
                         : at_text(lx, lx->at, "-}}") ? skip_space(lx, lx->at + 3)
                         : at_text(lx, lx->at, "}}")  ? lx->at + 2
                                                      : 0;
            if (end) {
                bool pushed = push(lx, is_block ? PUNA_JT_BLOCK_END : PUNA_JT_PRINT_END, lx->at, 2);
                consume(lx, end);
                return pushed;
            }
        }
        size_t space = skip_space(lx, lx->at), n;
        bool ok;
        if (space > lx->at) {
            lx->at = space;
            continue;
        }
        char c = lx->source[lx->at];
        if (c >= '0' && c <= '9') {
            n = float_length(lx, lx->at);
            ok = n ? push_consume(lx, PUNA_JT_FLOAT, n)
                   : push_consume(lx, PUNA_JT_INTEGER, integer_length(lx, lx->at));
        } else if ((n = name_length(lx, lx->at)) > 0) {
            ok = push_consume(lx, PUNA_JT_NAME, n);
        } else {
            ok = c == '"' || c == '\'' ? lex_string(lx) : lex_operator(lx);
        }
        if (!ok)
            return false;
    }
    return true; /* the parser meets EOF and says what it waited for */
}

/* Text up to the next tag, and the tag. */
static bool lex_root(puna_jlexer *lx)
{
    size_t from = lx->at, i = from;
    while (i + 1 < lx->n && !(lx->source[i] == '{' && strchr("%{#", lx->source[i + 1]) && lx->source[i + 1]))
        i++;
    if (i + 1 >= lx->n) {
        lx->at = lx->n;
        return push(lx, PUNA_JT_DATA, from, lx->n - from);
    }
    char kind = lx->source[i + 1], sign = sign_at(lx, i + 2);
    size_t raw = kind == '%' ? raw_begin(lx, i) : 0;
    if (!push_data(lx, from, i, sign, kind != '{'))
        return false;
    consume(lx, raw ? raw : i + 2 + (sign != '\0'));
    if (raw)
        return lex_raw(lx, i);
    if (kind == '#')
        return lex_comment(lx, i);
    return push(lx, kind == '%' ? PUNA_JT_BLOCK_BEGIN : PUNA_JT_PRINT_BEGIN, i, 2) &&
           lex_tag(lx, kind == '%');
}

bool puna_jlexer_run(puna_jlexer *lexer, const char *source, size_t n, puna_arena *arena)
{
    *lexer = (puna_jlexer){ .source = source, .n = n, .arena = arena, .line_starting = true };
    while (lexer->at < lexer->n)
        if (!lex_root(lexer))
            return false;
    return push(lexer, PUNA_JT_EOF, lexer->n, 0);
}
