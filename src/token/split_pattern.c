/* split_pattern.c - regular expressions of tokenizer.json recognised by their parts: the
 * published patterns are built from a few dozen alternatives in one order, and each of them
 * sets some fields of a rule. Any other text is compiled. */
#include <string.h>

#include "token/split.h"

/* Groups in the order that the scanner tries them. */
enum { HAN, CONTRACTION, ASCII_WORD, LETTERS, NUMBERS, PUNCTUATION, TAIL, LINES, BEFORE_WORD, SPACE, GROUPS };

typedef struct part {
    int group;
    const char *text;
    puna_split_rule sets; /* the fields of this group */
} part;

#define NOT_LETTER         .not_prefix = PUNA_C_NEWLINE | PUNA_C_L | PUNA_C_NUMBER
#define NOT_WORD           (PUNA_C_SPACE | PUNA_C_L | PUNA_C_NUMBER)
#define NO_MARKS           "[^\\s\\p{L}\\p{N}]"
#define UPPER              "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER              "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define PREFIX             "[^\\r\\n\\p{L}\\p{N}]?"
#define SHORT              "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define CASED_LETTERS(end) PREFIX UPPER "*" LOWER "+" end "|" PREFIX UPPER "+" LOWER "*" end

#define NO_HAN       "&&[^\\p{Han}]]"
#define UPPER_NO_HAN "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}" NO_HAN
#define LOWER_NO_HAN "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}" NO_HAN

static const part parts[] = {
    { HAN, "[\\p{Han}]+", { .han = true } },
    { CONTRACTION, "'s|'t|'re|'ve|'m|'ll|'d", { .contraction = PUNA_EXACT } },
    { CONTRACTION, "'(?:[sdmt]|ll|ve|re)", { .contraction = PUNA_EXACT } },
    { CONTRACTION, SHORT, { .contraction = PUNA_ANY_CASE } },
    { CONTRACTION, "'(?i:[sdmt]|ll|ve|re)", { .contraction = PUNA_ANY_CASE } },
    { CONTRACTION,
      "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])",
      { .contraction = PUNA_ANY_CASE } },
    { ASCII_WORD, "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+", { .ascii_word = true } },
    { LETTERS, " ?\\p{L}+", { .letters = PUNA_C_L } },
    { LETTERS, PREFIX "\\p{L}+", { .letters = PUNA_C_L, NOT_LETTER } },
    { LETTERS, PREFIX "+\\p{L}+", { .letters = PUNA_C_L, NOT_LETTER } },
    { LETTERS, PREFIX "+\\p{L}++", { .letters = PUNA_C_L, NOT_LETTER } },
    { LETTERS, PREFIX "[\\p{L}\\p{M}]+", { .letters = PUNA_C_L | PUNA_C_MARK, NOT_LETTER } },
    { LETTERS,
      "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+",
      { .letters = PUNA_C_L | PUNA_C_MARK,
        .not_prefix = PUNA_C_NEWLINE | PUNA_C_L | PUNA_C_PUNCT | PUNA_C_SYMBOL } },
    { LETTERS, CASED_LETTERS(""), { .shape = PUNA_WORD_CASED, .letters = PUNA_C_L, NOT_LETTER } },
    { LETTERS,
      CASED_LETTERS(SHORT "?"),
      { .shape = PUNA_WORD_CASED, .letters = PUNA_C_L, NOT_LETTER, .suffix_contraction = PUNA_ANY_CASE } },
    { LETTERS,
      PREFIX UPPER_NO_HAN "*" LOWER_NO_HAN "+" SHORT "?|" PREFIX UPPER_NO_HAN "+" LOWER_NO_HAN "*" SHORT "?",
      { .shape = PUNA_WORD_CASED, .letters = PUNA_C_L, NOT_LETTER, .suffix_contraction = PUNA_ANY_CASE } },
    { LETTERS,
      PREFIX "(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+",
      { .shape = PUNA_WORD_SPACED, .letters = PUNA_C_L, NOT_LETTER } },
    { NUMBERS, " ?\\p{N}+", { .digits_blank = true } },
    { NUMBERS, "\\p{N}+", { .digits_max = 0 } },
    { NUMBERS, "\\p{N}", { .digits_max = 1 } },
    { NUMBERS, "\\p{N}{1}", { .digits_max = 1 } },
    { NUMBERS, "\\p{N}{1,3}", { .digits_max = 3 } },
    { NUMBERS, "\\p{N}{1,3}+", { .digits_max = 0 } }, /* for Oniguruma the + repeats the group */
    { PUNCTUATION, " ?" NO_MARKS "+", { .punct_not = NOT_WORD } },
    { PUNCTUATION, " ?[^\\s\\p{L}\\p{N}\\r\\n]+", { .punct_not = NOT_WORD } },
    { PUNCTUATION, " ?" NO_MARKS "+[\\r\\n]*", { .punct_not = NOT_WORD, .trail = PUNA_TRAIL_LINES } },
    { PUNCTUATION, " ?" NO_MARKS "++[\\r\\n]*", { .punct_not = NOT_WORD, .trail = PUNA_TRAIL_LINES } },
    { PUNCTUATION, " ?" NO_MARKS "++[\\r\\n]*+", { .punct_not = NOT_WORD, .trail = PUNA_TRAIL_LINES } },
    { PUNCTUATION, " ?" NO_MARKS "+[\\r\\n/]*", { .punct_not = NOT_WORD, .trail = PUNA_TRAIL_LINES_SLASH } },
    { PUNCTUATION, " ?" NO_MARKS "+[\\r\\n/]?", { .punct_not = NOT_WORD, .trail = PUNA_TRAIL_ONE } },
    { PUNCTUATION,
      " ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*",
      { .punct_not = NOT_WORD | PUNA_C_MARK, .trail = PUNA_TRAIL_LINES } },
    { PUNCTUATION,
      " ?[\\p{P}\\p{S}]+[\\r\\n]*",
      { .punct_in = PUNA_C_PUNCT | PUNA_C_SYMBOL, .trail = PUNA_TRAIL_LINES } },
    { TAIL, "\\s++$", { .tail = true } },
    { LINES, "\\s*[\\r\\n]+", { .lines = PUNA_LINES_RUN } },
    { LINES, "\\s*[\\r\\n]", { .lines = PUNA_LINES_RUN } },
    { BEFORE_WORD, "\\s+(?!\\S)", { 0 } },
    { SPACE, "\\s+", { 0 } },
    { SPACE, "\\s", { 0 } },
};

/* The longest part that the pattern continues with, at a '|' or the end; NULL when none. */
static const part *part_at(const char *pattern)
{
    const part *best = NULL;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t n = strlen(parts[i].text);
        if (strncmp(pattern, parts[i].text, n) == 0 && (pattern[n] == '|' || pattern[n] == '\0') &&
            (!best || n > strlen(best->text)))
            best = &parts[i];
    }
    return best;
}

static void apply(puna_split_rule *rule, const part *p)
{
    const puna_split_rule *from = &p->sets;
    switch (p->group) {
    case HAN:
        rule->han = true;
        break;
    case CONTRACTION:
        rule->contraction = from->contraction;
        break;
    case ASCII_WORD:
        rule->ascii_word = true;
        break;
    case LETTERS:
        rule->letters = from->letters;
        rule->not_prefix = from->not_prefix;
        rule->shape = from->shape;
        rule->suffix_contraction = from->suffix_contraction;
        break;
    case NUMBERS:
        rule->digits_max = from->digits_max;
        rule->digits_blank = from->digits_blank;
        break;
    case PUNCTUATION:
        rule->punct_in = from->punct_in;
        rule->punct_not = from->punct_not;
        rule->trail = from->trail;
        break;
    case TAIL:
        rule->tail = true;
        break;
    case LINES:
        rule->lines = from->lines;
        break;
    default:
        break;
    }
}

/* tokenizer.json may hold real newlines where a pattern's author wrote \r and \n. */
static bool spelled_out(const char *pattern, char *out, size_t capacity)
{
    size_t n = 0;
    for (; *pattern; pattern++) {
        if (n + 3 > capacity)
            return false;
        if (*pattern == '\r' || *pattern == '\n') {
            out[n++] = '\\';
            out[n++] = *pattern == '\r' ? 'r' : 'n';
        } else {
            out[n++] = *pattern;
        }
    }
    out[n] = '\0';
    return true;
}

static bool from_parts(const char *pattern, puna_split_rule *rule)
{
    *rule = (puna_split_rule){ .kind = PUNA_SPLIT_WORDS };
    unsigned seen = 0;
    int last = -1;
    for (;;) {
        const part *p = part_at(pattern);
        if (!p || p->group <= last)
            return false;
        apply(rule, p);
        seen |= 1u << p->group;
        last = p->group;
        pattern += strlen(p->text);
        if (*pattern == '\0')
            break;
        pattern++;
    }
    /* The scanner always tries these; without them the pattern means something else. Numbers
     * may be missing only where an earlier stage has cut them out. */
    unsigned need = 1u << LETTERS | 1u << PUNCTUATION | 1u << BEFORE_WORD;
    bool numbers = seen & 1u << NUMBERS || rule->punct_in;
    return (seen & need) == need && numbers;
}

static bool known_pattern(const char *pattern, puna_split_rule *rule)
{
    char text[2048];
    for (const puna_split_text_rule *at = puna_split_texts; at->pattern; at++)
        if (strcmp(at->pattern, pattern) == 0) {
            *rule = *at->rule;
            return true;
        }
    return spelled_out(pattern, text, sizeof text) && from_parts(text, rule);
}

puna_status puna_split_pattern(puna_arena *arena, const char *pattern, puna_split_rule *rule, puna_error *err)
{
    if (known_pattern(pattern, rule))
        return PUNA_OK;
    *rule = (puna_split_rule){ .kind = PUNA_SPLIT_REGEX };
    return puna_regex_compile(arena, pattern, &rule->regex, err);
}
