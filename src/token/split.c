/* split.c - the scanners behind the pre-tokenizers. Every function looks at text from one
 * position on and returns where the word ends; all of them are linear in what they consume. */
#include "token/split.h"

#include <utf8proc.h>

#include "base/utf8.h"

#define W  (PUNA_C_SPACE)
#define NL (PUNA_C_SPACE | PUNA_C_NEWLINE)
#define BL (PUNA_C_SPACE | PUNA_C_BLANK)
#define P  PUNA_C_PUNCT
#define S  PUNA_C_SYMBOL
#define D  (PUNA_C_NUMBER | PUNA_C_DIGIT)
#define U  PUNA_C_UPPER
#define L  PUNA_C_LOWER
#define C  PUNA_C_CONTROL
#define SL (PUNA_C_PUNCT | PUNA_C_SLASH)
#define UN (PUNA_C_PUNCT | PUNA_C_WORD)
static const uint16_t ascii_class[128] = {
    C,  C, C, C, C, C, C, C, C, W, NL, W, W, NL, C, C,  C, C, C, C, C, C, C, C, C, C, C, C, C, C, C, C,
    BL, P, P, P, S, P, P, P, P, P, P,  S, P, P,  P, SL, D, D, D, D, D, D, D, D, D, D, P, P, S, S, S, P,
    P,  U, U, U, U, U, U, U, U, U, U,  U, U, U,  U, U,  U, U, U, U, U, U, U, U, U, U, U, P, P, P, S, UN,
    S,  L, L, L, L, L, L, L, L, L, L,  L, L, L,  L, L,  L, L, L, L, L, L, L, L, L, L, L, P, S, P, S, C,
};
#undef W
#undef NL
#undef BL
#undef P
#undef S
#undef D
#undef U
#undef L
#undef C
#undef SL
#undef UN

static bool in_ranges(const puna_range *ranges, size_t n, int32_t code)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (code > ranges[middle].last)
            low = middle + 1;
        else if (code < ranges[middle].first)
            high = middle;
        else
            return true;
    }
    return false;
}

static unsigned space_class(int32_t code)
{
    bool space = code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
                 code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
    return space ? PUNA_C_SPACE : 0;
}

static unsigned wide_class(int32_t code)
{
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
        return PUNA_C_UPPER;
    case UTF8PROC_CATEGORY_LL:
        return PUNA_C_LOWER;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return PUNA_C_LETTER;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return PUNA_C_MARK;
    case UTF8PROC_CATEGORY_ND:
        return PUNA_C_NUMBER | PUNA_C_DIGIT;
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return PUNA_C_NUMBER;
    case UTF8PROC_CATEGORY_PC:
        return PUNA_C_PUNCT | PUNA_C_WORD;
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return PUNA_C_PUNCT;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
        return PUNA_C_SYMBOL;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return 0;
    default:
        return PUNA_C_CONTROL;
    }
}

unsigned puna_char_class(int32_t code)
{
    if (code < 0)
        return 0;
    if (code < 128)
        return ascii_class[code];
    return wide_class(code) | space_class(code);
}

unsigned puna_char_at(const char *text, size_t n, int *length, int32_t *code)
{
    unsigned char first = (unsigned char)*text;
    if (first < 128) {
        *length = 1;
        *code = first;
        return ascii_class[first];
    }
    *length = puna_utf8_decode(text, n, code);
    return puna_char_class(*code);
}

/* Text with its length, passed around by the scanners. */
typedef struct scan {
    const char *text;
    size_t n;
    puna_regex_run *run;
    size_t *no_line; /* up to here no newline ends a run of whitespace */
    bool *empty;     /* an expression matched nothing: the text is cut there */
} scan;

/* Class at `at` (0 at the end) and where the next character starts. */
static inline unsigned class_at(const scan *s, size_t at, size_t *next)
{
    if (at >= s->n) {
        *next = at;
        return 0;
    }
    unsigned char first = (unsigned char)s->text[at];
    if (first < 128) {
        *next = at + 1;
        return ascii_class[first];
    }
    int32_t code;
    int length;
    unsigned class = puna_char_at(s->text + at, s->n - at, &length, &code);
    *next = at + (size_t)length;
    return class;
}

/* The end of the run of characters in `mask` from `at`, at most max (0: any number) of them. */
static size_t run_of(const scan *s, size_t at, unsigned mask, unsigned max)
{
    size_t next;
    for (unsigned i = 0; at < s->n && (!max || i < max); i++, at = next)
        if (!(class_at(s, at, &next) & mask))
            break;
    return at;
}

/* 's 't 're 've 'm 'll 'd: the end, or `at` when there is none. */
static size_t contraction_at(const scan *s, size_t at, int mode)
{
    if (at + 1 >= s->n || s->text[at] != '\'')
        return at;
    int fold = mode == PUNA_ANY_CASE ? 0x20 : 0;
    const unsigned char *p = (const unsigned char *)s->text + at + 1;
    size_t left = s->n - at - 1;
    int a = p[0] | (p[0] < 0x80 ? fold : 0), b = left > 1 && p[1] < 0x80 ? p[1] | fold : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return at + 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
        return at + 3;
    /* U+017F folds to s: part of (?i:'s). */
    if (mode == PUNA_ANY_CASE && left > 1 && p[0] == 0xc5 && p[1] == 0xbf)
        return at + 3;
    return at;
}

static bool han_at(const scan *s, size_t at)
{
    int32_t code;
    return at < s->n && (unsigned char)s->text[at] >= 0xe2 &&
           (puna_utf8_decode(s->text + at, s->n - at, &code), puna_char_is_han(code));
}

static size_t han_run(const scan *s, size_t at)
{
    size_t next;
    for (; han_at(s, at); at = next)
        class_at(s, at, &next);
    return at;
}

/* (upper* lower+ | upper+ lower*) from `at`, where marks and uncased letters are both. */
static size_t cased_run(const scan *s, size_t at, bool need_lower, bool no_han)
{
    const unsigned upper = PUNA_C_UPPER | PUNA_C_LETTER | PUNA_C_MARK;
    const unsigned lower = PUNA_C_LOWER | PUNA_C_LETTER | PUNA_C_MARK;
    size_t end = at, last_lower = at, next;
    for (; end < s->n; end = next) {
        unsigned class = class_at(s, end, &next);
        if (!(class & upper) || (no_han && han_at(s, end)))
            break;
        if (class & lower)
            last_lower = next;
    }
    size_t lower_end = end;
    for (; lower_end < s->n; lower_end = next)
        if (!(class_at(s, lower_end, &next) & lower) || (no_han && han_at(s, lower_end)))
            break;
    if (!need_lower)
        return end > at ? lower_end : at;
    /* Without a lower-case letter behind the run, the run gives back to its last uncased one. */
    return lower_end > end ? lower_end : last_lower;
}

/* The end of a word of letters that starts exactly at `at`, or `at`. */
static size_t letters_at(const puna_split_rule *rule, const scan *s, size_t at, bool need_lower)
{
    if (rule->shape == PUNA_WORD_PLAIN)
        return run_of(s, at, rule->letters, 0);
    if (rule->shape == PUNA_WORD_CASED)
        return cased_run(s, at, need_lower, rule->han);
    /* SPACED: letters with their marks, and single blanks between such. */
    size_t end = at, start = at, next;
    while (class_at(s, start, &next) & PUNA_C_L) {
        end = run_of(s, next, PUNA_C_MARK, 0);
        start = end < s->n && s->text[end] == ' ' ? end + 1 : end;
    }
    return end;
}

/* Letters with the optional character before them, first with it, then without. */
static size_t prefixed_letters(const puna_split_rule *rule, const scan *s, size_t at, bool need_lower)
{
    size_t next;
    unsigned class = class_at(s, at, &next);
    bool prefix = rule->not_prefix ? !(class & rule->not_prefix) : (class & PUNA_C_BLANK) != 0;
    if (prefix && next < s->n) {
        size_t end = letters_at(rule, s, next, need_lower);
        if (end > next)
            return end;
    }
    return letters_at(rule, s, at, need_lower);
}

static size_t word_at(const puna_split_rule *rule, const scan *s, size_t at)
{
    if (rule->shape != PUNA_WORD_CASED)
        return prefixed_letters(rule, s, at, false);
    size_t end = prefixed_letters(rule, s, at, true);
    if (end == at)
        end = prefixed_letters(rule, s, at, false);
    if (end > at && rule->suffix_contraction)
        end = contraction_at(s, end, rule->suffix_contraction);
    return end;
}

/* One ASCII punctuation character followed by ASCII letters. */
static size_t ascii_word_at(const scan *s, size_t at)
{
    unsigned char first = (unsigned char)s->text[at];
    if (first >= 128 || !(ascii_class[first] & (PUNA_C_PUNCT | PUNA_C_SYMBOL)))
        return at;
    size_t end = at + 1;
    while (end < s->n && (unsigned char)s->text[end] < 128 &&
           (ascii_class[(unsigned char)s->text[end]] & PUNA_C_L))
        end++;
    return end > at + 1 ? end : at;
}

static size_t punct_at(const puna_split_rule *rule, const scan *s, size_t at)
{
    size_t start = s->text[at] == ' ' ? at + 1 : at, end = start, next;
    for (; end < s->n; end = next) {
        unsigned class = class_at(s, end, &next);
        if (rule->punct_in ? !(class & rule->punct_in) : (class & rule->punct_not) != 0)
            break;
    }
    if (end == start)
        return at;
    unsigned more = PUNA_C_NEWLINE | (rule->trail >= PUNA_TRAIL_LINES_SLASH ? PUNA_C_SLASH : 0);
    if (rule->trail == PUNA_TRAIL_NONE)
        return end;
    return run_of(s, end, more, rule->trail == PUNA_TRAIL_ONE ? 1 : 0);
}

/* The largest power of two of whitespace characters, but for the last one before a word. */
static size_t power_at(const scan *s, size_t at)
{
    size_t ends[514] = { at }, next;
    unsigned count = 0;
    while (count < 513 && class_at(s, ends[count], &next) & PUNA_C_SPACE)
        ends[++count] = next;
    if (ends[count] < s->n)
        count--;
    for (unsigned power = 512; power > 1; power /= 2)
        if (count >= power)
            return ends[power];
    return ends[1];
}

/* Whitespace: up to its last newline if newlines are words, else all but the last character,
 * which goes with the word behind it. */
static size_t space_at(const puna_split_rule *rule, const scan *s, size_t at)
{
    if (rule->lines == PUNA_LINES_ONE && (s->text[at] == '\r' || s->text[at] == '\n'))
        return at + 1;
    size_t end = at, last = at, after_line = 0, next;
    if (rule->space_powers && at < *s->no_line)
        return power_at(s, at);
    for (; end < s->n; end = next) {
        unsigned class = class_at(s, end, &next);
        if (!(class & PUNA_C_SPACE))
            break;
        if (class & PUNA_C_NEWLINE)
            after_line = next;
        last = end;
    }
    if (rule->tail && end == s->n)
        return end;
    if (rule->lines == PUNA_LINES_RUN && after_line)
        return after_line;
    if (rule->space_powers) {
        *s->no_line = end;
        return power_at(s, at);
    }
    return end == s->n || last == at ? end : last;
}

/* The end of the word that the alternatives of a WORDS rule find at `at`. */
static size_t words_end(const puna_split_rule *rule, const scan *s, size_t at)
{
    size_t end, next;
    unsigned class = class_at(s, at, &next);
    if (rule->han && (end = han_run(s, at)) > at)
        return end;
    if (rule->contraction && class & PUNA_C_PUNCT) {
        end = contraction_at(s, at, rule->contraction);
        if (end > at)
            return end;
    }
    if (rule->ascii_word) {
        end = ascii_word_at(s, at);
        if (end > at)
            return end;
    }
    end = word_at(rule, s, at);
    if (end > at)
        return end;
    size_t number = rule->digits_blank && class & PUNA_C_BLANK ? next : at;
    end = run_of(s, number, PUNA_C_NUMBER, rule->digits_max);
    if (end > number)
        return end;
    end = punct_at(rule, s, at);
    if (end > at)
        return end;
    return space_at(rule, s, at);
}

bool puna_char_is_word(int32_t code)
{
    return puna_char_class(code) & (PUNA_C_L | PUNA_C_MARK | PUNA_C_DIGIT | PUNA_C_WORD) ||
           (code >= 128 && in_ranges(puna_word_chars, puna_n_word_chars, code));
}

bool puna_char_is_han(int32_t code)
{
    return in_ranges(puna_han, puna_n_han, code);
}

static bool in_set(const puna_split_rule *rule, unsigned class, int32_t code)
{
    bool listed = rule->n_ranges && code >= 0 && in_ranges(rule->ranges, rule->n_ranges, code);
    if (rule->set_not)
        return !(class & rule->set_not) && !listed;
    return (class & rule->set) || listed;
}

static size_t run_end(const puna_split_rule *rule, const scan *s, size_t at)
{
    size_t start = at, next;
    unsigned lead = class_at(s, at, &next);
    if (rule->lead && lead & (rule->lead == 1 ? PUNA_C_BLANK : PUNA_C_SPACE))
        start = next;
    for (int attempt = 0; attempt < 2; attempt++, start = at) {
        size_t end = start;
        unsigned i = 0;
        for (; end < s->n && (!rule->max || i < rule->max); i++) {
            int32_t code;
            int length;
            unsigned class = puna_char_at(s->text + end, s->n - end, &length, &code);
            if (!in_set(rule, class, code))
                break;
            end += (size_t)length;
        }
        if (i > 0 && i >= rule->min)
            return end;
        if (start == at)
            break;
    }
    return at;
}

static unsigned digit_mask(const puna_split_rule *rule)
{
    return rule->boundary ? PUNA_C_DIGIT : PUNA_C_NUMBER;
}

/* A whole run of digits; cut_digits takes it apart. */
static size_t digits_end(const puna_split_rule *rule, const scan *s, size_t at)
{
    size_t end = run_of(s, at, digit_mask(rule), 0), next;
    const unsigned word = PUNA_C_L | PUNA_C_MARK | PUNA_C_NUMBER | PUNA_C_WORD;
    return rule->boundary && class_at(s, end, &next) & word ? at : end;
}

static size_t lines_end(const scan *s, size_t at)
{
    bool newline = s->text[at] == '\n';
    while (at < s->n && (s->text[at] == '\n') == newline)
        at++;
    return at;
}

/* The end of the match at `at`; `at` itself when there is none. */
static size_t match_end(const puna_split_rule *rule, const scan *s, size_t at)
{
    size_t end;
    ptrdiff_t found;
    switch ((puna_split_kind)rule->kind) {
    case PUNA_SPLIT_WORDS:
        return words_end(rule, s, at);
    case PUNA_SPLIT_RUN:
        return run_end(rule, s, at);
    case PUNA_SPLIT_DIGITS:
        return digits_end(rule, s, at);
    case PUNA_SPLIT_LINES:
        return lines_end(s, at);
    case PUNA_SPLIT_TAIL_SPACE:
        end = run_of(s, at, PUNA_C_SPACE, 0);
        return end == s->n ? end : at;
    case PUNA_SPLIT_REGEX:
        found = puna_regex_match(rule->regex, s->run, s->text, s->n, at);
        *s->empty = found == (ptrdiff_t)at;
        return found < 0 ? at : (size_t)found;
    }
    return at;
}

/* What the stages have in common while one text is cut. */
typedef struct cutter {
    const puna_split_rule *const *stages;
    int n_stages;
    puna_word_fn *each;
    void *user;
    puna_regex_run *run;
} cutter;

static bool cut(const cutter *c, int stage, const char *text, size_t n);

static bool pass(const cutter *c, int stage, const char *text, size_t from, size_t to)
{
    return from == to || cut(c, stage + 1, text + from, to - from);
}

/* Digits in threes, counted from the right: the first group has what is left over. */
static bool cut_digits(const cutter *c, int stage, const char *text, size_t from, size_t to)
{
    const scan s = { text, to, NULL, NULL, NULL };
    size_t count = 0, next;
    for (size_t at = from; at < to; at = next, count++)
        class_at(&s, at, &next);
    for (unsigned size = count % 3 ? (unsigned)(count % 3) : 3; from < to; size = 3) {
        size_t end = run_of(&s, from, digit_mask(c->stages[stage]), size);
        if (!pass(c, stage, text, from, end))
            return false;
        from = end;
    }
    return true;
}

/* Where to look again after no match at `at`: past a run that fails as a whole, so that the
 * search stays linear. */
static size_t after_miss(const puna_split_rule *rule, const scan *s, size_t at)
{
    size_t next, run = at;
    class_at(s, at, &next);
    if (rule->kind == PUNA_SPLIT_TAIL_SPACE)
        run = run_of(s, at, PUNA_C_SPACE, 0);
    else if (rule->kind == PUNA_SPLIT_DIGITS)
        run = run_of(s, at, digit_mask(rule), 0);
    return run > next ? run : next;
}

/* Matches and the gaps between them become pieces as the rule's behavior says. */
static bool cut_by_rule(const cutter *c, int stage, const char *text, size_t n)
{
    const puna_split_rule *rule = c->stages[stage];
    size_t start = 0, at = 0, no_line = 0;
    bool empty = false;
    const scan s = { text, n, c->run, &no_line, &empty };
    while (at < n) {
        size_t end = match_end(rule, &s, at);
        if (c->run->failed)
            return false;
        if (end == at) {
            if (empty && !rule->drop_gaps && !pass(c, stage, text, start, at))
                return false;
            start = empty ? at : start;
            empty = false;
            at = after_miss(rule, &s, at);
            continue;
        }
        size_t piece = at;
        if (rule->behavior == PUNA_CONTIGUOUS)
            for (size_t more; end < n && (more = match_end(rule, &s, end)) > end;)
                end = more;
        if (rule->behavior == PUNA_WITH_PREVIOUS)
            piece = start;
        else if (!rule->drop_gaps && !pass(c, stage, text, start, at))
            return false;
        at = end;
        start = rule->behavior == PUNA_WITH_NEXT ? piece : end;
        if (rule->behavior == PUNA_REMOVED || rule->behavior == PUNA_WITH_NEXT)
            continue;
        if (rule->kind == PUNA_SPLIT_DIGITS ? !cut_digits(c, stage, text, piece, end)
                                            : !pass(c, stage, text, piece, end))
            return false;
    }
    return rule->drop_gaps || pass(c, stage, text, start, n);
}

/* At most PUNA_MAX_STAGES deep. */
static bool cut(const cutter *c, int stage, const char *text, size_t n)
{
    return stage == c->n_stages ? c->each(c->user, text, n) : cut_by_rule(c, stage, text, n);
}

bool puna_split_text(const puna_split_rule *const *stages, int n_stages, const char *text, size_t n,
                     puna_word_fn *each, void *user)
{
    puna_regex_run run = { 0 };
    const cutter c = { stages, n_stages, each, user, &run };
    puna_regex_allow(&run, n);
    bool done = n == 0 || cut(&c, 0, text, n);
    puna_regex_run_free(&run);
    return done;
}
