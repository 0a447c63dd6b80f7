/* regex.c - runs compiled expressions: a stack of places to go back to, no recursion but for the parts that look
 * ahead and atomic groups, whose nesting the compiler bounds. */
#include "token/regex.h"

#include <stdlib.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "token/regex_program.h"

/* Where to go on when what was tried last does not match. A run of characters gives them back one by one. */
typedef struct puna_regex_state {
    uint32_t pc;
    uint32_t set; /* lazy runs take one more of it; else UINT32_MAX */
    size_t at;
    size_t min;  /* a greedy run goes back to here */
    size_t more; /* how many a lazy run may still take */
} state;

void puna_regex_allow(puna_regex_run *run, size_t n)
{
    run->allowed = run->steps + ((uint64_t)n + 200) * 500;
}

void puna_regex_run_free(puna_regex_run *run)
{
    free(run->stack);
    *run = (puna_regex_run){ 0 };
}

static bool item_has(const puna_regex_set *sets, const puna_regex_item *items, const puna_regex_item *item,
                     int32_t code)
{
    switch ((puna_regex_item_kind)item->kind) {
    case PUNA_RX_RANGE:
        return code >= item->first && code <= item->last;
    case PUNA_RX_CLASSES:
        return code >= 0 && puna_char_class(code) & item->mask;
    case PUNA_RX_CATEGORY:
        return code >= 0 && item->mask >> utf8proc_category(code) & 1;
    case PUNA_RX_HAN:
        return code >= 0 && puna_char_is_han(code);
    case PUNA_RX_SUBSET:
        return puna_regex_set_has(sets, items, (size_t)item->first, code);
    }
    return false;
}

static bool any_item(const puna_regex_set *sets, const puna_regex_item *items, const puna_regex_set *set,
                     int32_t code)
{
    for (uint32_t i = 0; i < set->n_items; i++) {
        const puna_regex_item *item = &items[set->item + i];
        if (item_has(sets, items, item, code) != item->negated)
            return true;
    }
    return false;
}

bool puna_regex_set_has(const puna_regex_set *sets, const puna_regex_item *items, size_t number, int32_t code)
{
    const puna_regex_set *set = &sets[number];
    bool has = any_item(sets, items, set, code);
    if (!has && set->fold && code >= 0) {
        has = any_item(sets, items, set, utf8proc_tolower(code)) ||
              any_item(sets, items, set, utf8proc_toupper(code));
        /* The long s and the Kelvin sign are the two that fold into ASCII from outside. */
        if (!has && (code == 0x17f || code == 0x212a))
            has = any_item(sets, items, set, code == 0x17f ? 's' : 'k');
    }
    if (has && set->also >= 0)
        has = puna_regex_set_has(sets, items, (size_t)set->also, code);
    return has != set->negated;
}

static inline bool has(const puna_regex *regex, size_t set, const char *text, size_t n, size_t at,
                       int *length)
{
    unsigned char first = (unsigned char)text[at];
    if (first < 128) {
        *length = 1;
        return regex->sets[set].ascii[first];
    }
    int32_t code;
    *length = puna_utf8_decode(text + at, n - at, &code);
    return puna_regex_set_has(regex->sets, regex->items, set, code);
}

/* Where the character before `at` (> 0) starts: the one that decoding forward ends there. */
static size_t before(const char *text, size_t at)
{
    for (size_t back = 2; back <= 4 && back <= at; back++) {
        int32_t code;
        if (puna_utf8_decode(text + at - back, back, &code) == (int)back && code >= 0)
            return at - back;
    }
    return at - 1;
}

static bool push(puna_regex_run *run, state s)
{
    if (run->n == run->capacity) {
        size_t capacity = run->capacity ? run->capacity * 2 : 64;
        state *stack =
            capacity < SIZE_MAX / sizeof *stack ? realloc(run->stack, capacity * sizeof *stack) : NULL;
        if (!stack) {
            run->failed = true;
            return false;
        }
        run->stack = stack;
        run->capacity = capacity;
    }
    run->stack[run->n++] = s;
    return true;
}

static bool holds(const puna_regex *regex, const puna_regex_code *c, const char *text, size_t n, size_t at)
{
    int length;
    switch ((puna_regex_op)c->op) {
    case PUNA_RX_TEXT_START:
        return at == 0;
    case PUNA_RX_TEXT_END:
        return at == n;
    case PUNA_RX_TEXT_END_LINE:
        return at == n || (at + 1 == n && text[at] == '\n');
    case PUNA_RX_LINE_START:
        return at == 0 || (text[at - 1] == '\n' && at < n);
    case PUNA_RX_LINE_END:
        return at == n || text[at] == '\n';
    case PUNA_RX_BEHIND:
        return (at > 0 && has(regex, c->set, text, n, before(text, at), &length)) != c->negated;
    default:
        return ((at > 0 && has(regex, PUNA_RX_WORD_SET, text, n, before(text, at), &length)) !=
                (at < n && has(regex, PUNA_RX_WORD_SET, text, n, at, &length))) != c->negated;
    }
}

/* Takes a run of a set: false when there are too few; *at is behind it. */
static bool take_run(const puna_regex *regex, puna_regex_run *run, const puna_regex_code *c, uint32_t pc,
                     const char *text, size_t n, size_t *at)
{
    uint32_t most = c->mode == PUNA_RX_LAZY ? c->min : c->max, count = 0;
    size_t end = *at, min_end = *at;
    int length;
    for (; count < most && end < n && has(regex, c->set, text, n, end, &length); count++) {
        end += (size_t)length;
        if (count + 1 == c->min)
            min_end = end;
    }
    run->steps += count;
    if (count < c->min)
        return false;
    *at = end;
    if (c->mode == PUNA_RX_GREEDY && end > min_end)
        return push(run, (state){ pc + 1, UINT32_MAX, end, min_end, 0 });
    if (c->mode == PUNA_RX_LAZY && c->max > c->min)
        return push(run, (state){ pc + 1, c->set, end, end, c->max - c->min });
    return true;
}

/* Takes the last place to go back to; false when none is left above `base`. */
static bool go_back(const puna_regex *regex, puna_regex_run *run, size_t base, const char *text, size_t n,
                    uint32_t *pc, size_t *at)
{
    while (run->n > base) {
        state *s = &run->stack[run->n - 1];
        *pc = s->pc;
        if (s->set != UINT32_MAX) {
            int length;
            if (!s->more || s->at >= n || !has(regex, s->set, text, n, s->at, &length)) {
                run->n--;
                continue;
            }
            *at = s->at += (size_t)length;
            s->more--;
            return true;
        }
        if (s->at > s->min) {
            size_t back = before(text, s->at);
            *at = s->at =
                back > s->min ? back : s->min; /* a run that begins inside a character stays there */
            if (s->at == s->min)
                run->n--;
            return true;
        }
        *at = s->at;
        run->n--;
        return true;
    }
    return false;
}

static ptrdiff_t match(const puna_regex *regex, puna_regex_run *run, uint32_t pc, const char *text, size_t n,
                       size_t at)
{
    size_t base = run->n;
    int length;
    ptrdiff_t end;
    while (!run->failed) {
        const puna_regex_code *c = &regex->code[pc];
        bool on = true;
        if (++run->steps > run->allowed) {
            run->failed = true;
            break;
        }
        switch ((puna_regex_op)c->op) {
        case PUNA_RX_DONE:
            run->n = base;
            return (ptrdiff_t)at;
        case PUNA_RX_SET:
            on = at < n && has(regex, c->set, text, n, at, &length);
            at += on ? (size_t)length : 0;
            pc++;
            break;
        case PUNA_RX_RUN:
            on = take_run(regex, run, c, pc, text, n, &at);
            pc++;
            break;
        case PUNA_RX_SPLIT:
            on = push(run, (state){ c->other, UINT32_MAX, at, at, 0 });
            pc = c->to;
            break;
        case PUNA_RX_JUMP:
            pc = c->to;
            break;
        case PUNA_RX_LOOK:
            on = (match(regex, run, pc + 1, text, n, at) >= 0) != c->negated;
            pc = c->to;
            break;
        case PUNA_RX_ATOMIC:
            end = match(regex, run, pc + 1, text, n, at);
            on = end >= 0;
            at = on ? (size_t)end : at;
            pc = c->to;
            break;
        default:
            on = holds(regex, c, text, n, at);
            pc++;
        }
        if (!on && !go_back(regex, run, base, text, n, &pc, &at))
            break;
    }
    run->n = base;
    return PUNA_REGEX_NONE;
}

ptrdiff_t puna_regex_match(const puna_regex *regex, puna_regex_run *run, const char *text, size_t n,
                           size_t at)
{
    if (at >= n || !regex->first[(unsigned char)text[at]])
        return PUNA_REGEX_NONE;
    return match(regex, run, 0, text, n, at);
}
