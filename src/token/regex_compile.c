/* regex_compile.c - regular expressions read into a tree, the tree written out as a program. Everything has a maximum:
 * nodes, sets, items, code, nesting. */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "token/regex_program.h"

/* Real patterns have a few dozen of each. */
enum {
    MAX_NODES = 2048,
    MAX_SETS = 512,
    MAX_ITEMS = 4096,
    MAX_CODE = 1 << 13,
    MAX_DEPTH = 24,
    MAX_COUNT = 1000
};

typedef enum node_kind {
    N_EMPTY,
    N_SET,
    N_CAT,
    N_OR,
    N_REPEAT,
    N_LOOK,
    N_BEHIND,
    N_ATOMIC,
    N_ASSERT
} node_kind;

typedef struct node {
    uint8_t kind, op, mode;
    bool negated;
    uint16_t set;
    int32_t left, right; /* nodes */
    uint32_t min, max;
} node;

typedef struct compiler {
    const char *pattern, *at;
    node nodes[MAX_NODES];
    puna_regex_set sets[MAX_SETS];
    puna_regex_item items[MAX_ITEMS];
    puna_regex_code code[MAX_CODE];
    int32_t n_nodes;
    uint32_t n_sets, n_items, n_code;
    int depth;
    bool fold;
    const char *bad; /* what is wrong, at `at`; sticky */
} compiler;

static void fail(compiler *c, const char *what)
{
    if (!c->bad)
        c->bad = what;
}

static int32_t new_node(compiler *c, node n)
{
    if (c->n_nodes == MAX_NODES) {
        fail(c, "too many parts");
        return 0;
    }
    c->nodes[c->n_nodes] = n;
    return c->n_nodes++;
}

static bool eat(compiler *c, const char *text)
{
    size_t n = strlen(text);
    if (strncmp(c->at, text, n) != 0)
        return false;
    c->at += n;
    return true;
}

/* ---- Sets -------------------------------------------------------------------------------- */

static void add_item(compiler *c, puna_regex_item item)
{
    if (c->n_items == MAX_ITEMS)
        fail(c, "too many members of sets");
    else
        c->items[c->n_items++] = item;
}

/* A set of the items since `first`. */
static uint32_t new_set(compiler *c, uint32_t first, bool negated, int32_t also)
{
    if (c->n_sets == MAX_SETS) {
        fail(c, "too many sets");
        return 0;
    }
    c->sets[c->n_sets] = (puna_regex_set){
        .item = first, .n_items = c->n_items - first, .negated = negated, .also = also, .fold = c->fold
    };
    return c->n_sets++;
}

/* \w as Oniguruma has it: what is alphabetic, marks, digits, connectors, and six numbers of Latin-1. */
static void add_word_set(compiler *c)
{
    static const struct {
        int32_t first, last;
    } more[] = { { 0xb2, 0xb3 },       { 0xb9, 0xb9 },       { 0xbc, 0xbe },      { 0x24b6, 0x24e9 },
                 { 0x1f130, 0x1f149 }, { 0x1f150, 0x1f169 }, { 0x1f170, 0x1f189 } };
    add_item(c, (puna_regex_item){ .kind = PUNA_RX_CLASSES,
                                   .mask = PUNA_C_L | PUNA_C_MARK | PUNA_C_DIGIT | PUNA_C_WORD });
    add_item(c, (puna_regex_item){ .kind = PUNA_RX_CATEGORY, .mask = 1u << UTF8PROC_CATEGORY_NL });
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        add_item(c, (puna_regex_item){ .kind = PUNA_RX_RANGE, .first = more[i].first, .last = more[i].last });
    new_set(c, 0, false, -1);
}

static int32_t hex(compiler *c, int least, int most)
{
    int32_t value = 0;
    int digits = 0;
    for (; digits < most; digits++, c->at++) {
        char d = *c->at;
        int digit = d >= '0' && d <= '9'                 ? d - '0'
                    : (d | 32) >= 'a' && (d | 32) <= 'f' ? (d | 32) - 'a' + 10
                                                         : -1;
        if (digit < 0)
            break;
        value = value << 4 | digit;
    }
    if (digits < least || value > 0x10ffff)
        fail(c, "expected a code point in hexadecimal");
    return value;
}

#define BIT(name) (1u << UTF8PROC_CATEGORY_##name)
#define BITS_L    (BIT(LU) | BIT(LL) | BIT(LT) | BIT(LM) | BIT(LO))
#define BITS_M    (BIT(MN) | BIT(MC) | BIT(ME))
#define BITS_N    (BIT(ND) | BIT(NL) | BIT(NO))
#define BITS_P    (BIT(PC) | BIT(PD) | BIT(PS) | BIT(PE) | BIT(PI) | BIT(PF) | BIT(PO))
#define BITS_S    (BIT(SM) | BIT(SC) | BIT(SK) | BIT(SO))
#define BITS_Z    (BIT(ZS) | BIT(ZL) | BIT(ZP))
#define BITS_C    (BIT(CC) | BIT(CF) | BIT(CS) | BIT(CO) | BIT(CN))

static const struct {
    const char *name;
    uint32_t bits;
} categories[] = {
    { "L", BITS_L },      { "Lu", BIT(LU) },    { "Ll", BIT(LL) },    { "Lt", BIT(LT) },
    { "Lm", BIT(LM) },    { "Lo", BIT(LO) },    { "M", BITS_M },      { "Mn", BIT(MN) },
    { "Mc", BIT(MC) },    { "Me", BIT(ME) },    { "N", BITS_N },      { "Nd", BIT(ND) },
    { "Nl", BIT(NL) },    { "No", BIT(NO) },    { "P", BITS_P },      { "Pc", BIT(PC) },
    { "Pd", BIT(PD) },    { "Ps", BIT(PS) },    { "Pe", BIT(PE) },    { "Pi", BIT(PI) },
    { "Pf", BIT(PF) },    { "Po", BIT(PO) },    { "S", BITS_S },      { "Sm", BIT(SM) },
    { "Sc", BIT(SC) },    { "Sk", BIT(SK) },    { "So", BIT(SO) },    { "Z", BITS_Z },
    { "Zs", BIT(ZS) },    { "Zl", BIT(ZL) },    { "Zp", BIT(ZP) },    { "C", BITS_C },
    { "Cc", BIT(CC) },    { "Cf", BIT(CF) },    { "Cs", BIT(CS) },    { "Co", BIT(CO) },
    { "Cn", BIT(CN) },    { "Letter", BITS_L }, { "Number", BITS_N }, { "Punctuation", BITS_P },
    { "Symbol", BITS_S },
};

/* Behind \p or \P: {Name}, {^Name} or one letter. */
static void property(compiler *c, bool negated)
{
    char name[32] = { 0 };
    size_t n = 0;
    if (eat(c, "{")) {
        negated ^= eat(c, "^");
        for (; *c->at && *c->at != '}' && n + 1 < sizeof name; n++)
            name[n] = *c->at++;
        if (!eat(c, "}"))
            fail(c, "a property does not end");
    } else if (*c->at) {
        name[0] = *c->at++;
    }
    if (strcmp(name, "Han") == 0 || strcmp(name, "Script=Han") == 0) {
        add_item(c, (puna_regex_item){ .kind = PUNA_RX_HAN, .negated = negated });
        return;
    }
    for (size_t i = 0; i < sizeof categories / sizeof *categories; i++)
        if (strcmp(categories[i].name, name) == 0) {
            add_item(c, (puna_regex_item){
                            .kind = PUNA_RX_CATEGORY, .negated = negated, .mask = categories[i].bits });
            return;
        }
    fail(c, "a property that is not known");
}

/* The classes of \s \d \w and their opposites; false when the letter is none. */
static bool class_escape(compiler *c, char letter)
{
    uint32_t mask = 0;
    switch (letter | 32) {
    case 's':
        mask = PUNA_C_SPACE;
        break;
    case 'd':
        mask = PUNA_C_DIGIT;
        break;
    case 'w':
        add_item(c, (puna_regex_item){
                        .kind = PUNA_RX_SUBSET, .negated = letter < 'a', .first = PUNA_RX_WORD_SET });
        return true;
    default:
        return false;
    }
    add_item(c, (puna_regex_item){ .kind = PUNA_RX_CLASSES, .negated = letter < 'a', .mask = mask });
    return true;
}

/* Behind a backslash: the code point it stands for. */
static int32_t escaped_code(compiler *c)
{
    char letter = *c->at;
    int32_t code;
    static const char from[] = "ntrfvae", to[] = "\n\t\r\f\v\a\x1b";
    const char *known = letter ? strchr(from, letter) : NULL;
    if (known) {
        c->at++;
        return to[known - from];
    }
    if (letter == 'x') {
        c->at++;
        if (!eat(c, "{"))
            return hex(c, 1, 2);
        code = hex(c, 1, 8);
        if (!eat(c, "}"))
            fail(c, "expected }");
        return code;
    }
    if (letter == 'u') {
        c->at++;
        return hex(c, 4, 4);
    }
    if (!letter) {
        fail(c, "nothing behind a backslash");
        return 0;
    }
    if ((letter >= '0' && letter <= '9') || ((letter | 32) >= 'a' && (letter | 32) <= 'z'))
        fail(c, "an escape that is not known");
    c->at += puna_utf8_decode(c->at, strlen(c->at), &code);
    return code;
}

static int32_t plain_code(compiler *c)
{
    int32_t code;
    if (!*c->at) {
        fail(c, "it ends too early");
        return 0;
    }
    c->at += puna_utf8_decode(c->at, strlen(c->at), &code);
    if (code < 0)
        fail(c, "not UTF-8");
    return code;
}

static uint32_t bracket(compiler *c);

/* One member of a bracket. Nested brackets become sets of their own before their item is added: their items come first,
 * so `pending` keeps what this bracket has until it is closed. */
typedef struct pending {
    puna_regex_item items[256];
    uint32_t n;
} pending;

static void keep(compiler *c, pending *p, uint32_t first)
{
    for (uint32_t i = first; i < c->n_items; i++) {
        if (p->n == 256) {
            fail(c, "too many members of a set");
            break;
        }
        p->items[p->n++] = c->items[i];
    }
    c->n_items = first;
}

static void member(compiler *c, pending *p)
{
    uint32_t first = c->n_items;
    int32_t low;
    if (*c->at == '[' && c->at[1] != ':') {
        uint32_t set = bracket(c);
        first = c->n_items;
        add_item(c, (puna_regex_item){ .kind = PUNA_RX_SUBSET, .first = (int32_t)set });
        keep(c, p, first);
        return;
    }
    if (*c->at == '\\') {
        c->at++;
        if ((*c->at | 32) == 'p') {
            bool negated = *c->at++ == 'P';
            property(c, negated);
            keep(c, p, first);
            return;
        }
        if (*c->at && class_escape(c, *c->at)) {
            c->at++;
            keep(c, p, first);
            return;
        }
        low = escaped_code(c);
    } else {
        if (*c->at == '[')
            fail(c, "a POSIX class, which is not known");
        low = plain_code(c);
    }
    int32_t high = low;
    if (*c->at == '-' && c->at[1] && c->at[1] != ']' && c->at[1] != '[') {
        c->at++;
        high = eat(c, "\\") ? escaped_code(c) : plain_code(c);
        if (high < low)
            fail(c, "a range that runs backwards");
    }
    add_item(c, (puna_regex_item){ .kind = PUNA_RX_RANGE, .first = low, .last = high });
    keep(c, p, first);
}

/* At '['. The set's items are in one piece because nested brackets are finished first. */
static uint32_t bracket(compiler *c)
{
    pending *p = calloc(1, sizeof *p);
    if (!p || ++c->depth > MAX_DEPTH) {
        fail(c, "nested too deep");
        free(p);
        return 0;
    }
    eat(c, "[");
    bool negated = eat(c, "^");
    int32_t also = -1;
    do {
        if (!*c->at) {
            fail(c, "a set does not end");
        } else if (eat(c, "&&")) {
            /* The rest of the bracket is another set that must hold too: read as if in brackets of its own. */
            pending *rest = calloc(1, sizeof *rest);
            while (rest && !c->bad && *c->at && *c->at != ']')
                member(c, rest);
            uint32_t first = c->n_items;
            for (uint32_t i = 0; rest && i < rest->n; i++)
                add_item(c, rest->items[i]);
            also = rest ? (int32_t)new_set(c, first, false, -1) : -1;
            if (!rest)
                fail(c, "out of memory");
            free(rest);
        } else {
            member(c, p);
        }
    } while (!c->bad && *c->at != ']');
    eat(c, "]");
    uint32_t first = c->n_items;
    for (uint32_t i = 0; i < p->n; i++)
        add_item(c, p->items[i]);
    free(p);
    c->depth--;
    return new_set(c, first, negated, also);
}

/* ---- The tree ---------------------------------------------------------------------------- */

static int32_t alternatives(compiler *c);

static int32_t set_node(compiler *c, uint32_t first, bool negated)
{
    return new_node(c, (node){ .kind = N_SET, .set = (uint16_t)new_set(c, first, negated, -1) });
}

static int32_t group(compiler *c)
{
    bool fold = c->fold;
    node n = { .kind = N_EMPTY };
    if (eat(c, "?:") || eat(c, "?i:")) {
        c->fold |= c->at[-2] == 'i';
    } else if (eat(c, "?-i:")) {
        c->fold = false;
    } else if (eat(c, "?i)")) { /* to the end of the group around it */
        c->fold = true;
        return new_node(c, n);
    } else if (eat(c, "?=") || eat(c, "?!")) {
        n = (node){ .kind = N_LOOK, .negated = c->at[-1] == '!' };
    } else if (eat(c, "?<=") || eat(c, "?<!")) {
        n = (node){ .kind = N_BEHIND, .negated = c->at[-1] == '!' };
    } else if (eat(c, "?>")) {
        n.kind = N_ATOMIC;
    } else if (*c->at == '?' || *c->at == '*') {
        fail(c, "a group that is not known");
    }
    int32_t inner = alternatives(c);
    if (!eat(c, ")"))
        fail(c, "a group does not end");
    c->fold = fold;
    if (n.kind == N_EMPTY)
        return inner;
    if (n.kind == N_BEHIND) {
        if (c->nodes[inner].kind != N_SET)
            fail(c, "look-behind of more than one character");
        n.set = c->nodes[inner].set;
    }
    n.left = inner;
    return new_node(c, n);
}

static int32_t assertion(compiler *c, puna_regex_op op, bool negated)
{
    return new_node(c, (node){ .kind = N_ASSERT, .op = (uint8_t)op, .negated = negated });
}

static int32_t escape(compiler *c)
{
    uint32_t first = c->n_items;
    char letter = *c->at;
    if ((letter | 32) == 'p' || (letter && class_escape(c, letter))) {
        c->at++;
        if ((letter | 32) == 'p')
            property(c, letter == 'P');
        return set_node(c, first, false);
    }
    if (letter == 'b' || letter == 'B' || letter == 'A' || letter == 'z' || letter == 'Z') {
        c->at++;
        return (letter | 32) == 'b' ? assertion(c, PUNA_RX_WORD_EDGE, letter == 'B')
               : letter == 'A'      ? assertion(c, PUNA_RX_TEXT_START, false)
               : letter == 'z'      ? assertion(c, PUNA_RX_TEXT_END, false)
                                    : assertion(c, PUNA_RX_TEXT_END_LINE, false);
    }
    int32_t code = escaped_code(c);
    add_item(c, (puna_regex_item){ .kind = PUNA_RX_RANGE, .first = code, .last = code });
    return set_node(c, first, false);
}

static int32_t atom(compiler *c)
{
    uint32_t first = c->n_items;
    int32_t code;
    switch (*c->at) {
    case '(':
        c->at++;
        return group(c);
    case '[':
        first = bracket(c);
        return new_node(c, (node){ .kind = N_SET, .set = (uint16_t)first });
    case '\\':
        c->at++;
        return escape(c);
    case '.':
        c->at++;
        add_item(c, (puna_regex_item){ .kind = PUNA_RX_RANGE, .first = '\n', .last = '\n' });
        return set_node(c, first, true);
    case '^':
        c->at++;
        return assertion(c, PUNA_RX_LINE_START, false);
    case '$':
        c->at++;
        return assertion(c, PUNA_RX_LINE_END, false);
    case '*':
    case '+':
    case '?':
        fail(c, "nothing to repeat");
        return 0;
    default:
        code = plain_code(c);
        add_item(c, (puna_regex_item){ .kind = PUNA_RX_RANGE, .first = code, .last = code });
        return set_node(c, first, false);
    }
}

static bool nullable(const compiler *c, int32_t at)
{
    const node *n = &c->nodes[at];
    switch ((node_kind)n->kind) {
    case N_SET:
        return false;
    case N_CAT:
        return nullable(c, n->left) && nullable(c, n->right);
    case N_OR:
        return nullable(c, n->left) || nullable(c, n->right);
    case N_REPEAT:
        return n->min == 0 || nullable(c, n->left);
    case N_ATOMIC:
        return nullable(c, n->left);
    default:
        return true;
    }
}

/* {n}, {n,}, {,m}, {n,m}; false when the brace is an ordinary character. */
static bool counts(compiler *c, uint32_t *min, uint32_t *max)
{
    const char *at = c->at + 1;
    char *end;
    bool low = *at >= '0' && *at <= '9';
    *min = low ? (uint32_t)strtoul(at, &end, 10) : 0;
    at = low ? end : at;
    *max = *min;
    if (*at == ',') {
        at++;
        bool high = *at >= '0' && *at <= '9';
        if (!low && !high)
            return false;
        *max = high ? (uint32_t)strtoul(at, &end, 10) : UINT32_MAX;
        at = high ? end : at;
    } else if (!low) {
        return false;
    }
    if (*at != '}')
        return false;
    if (*min > MAX_COUNT || (*max != UINT32_MAX && (*max > MAX_COUNT || *max < *min)))
        fail(c, "a count that is too large or runs backwards");
    c->at = at + 1;
    return true;
}

static int32_t repeated(compiler *c)
{
    int32_t inner = atom(c);
    for (;;) {
        node n = { .kind = N_REPEAT, .left = inner, .max = UINT32_MAX };
        bool braces = *c->at == '{';
        if (eat(c, "+"))
            n.min = 1;
        else if (eat(c, "?"))
            n.max = 1;
        else if (!eat(c, "*") && !(braces && counts(c, &n.min, &n.max)))
            return inner;
        /* Behind braces a + repeats the group again: Oniguruma's way in Ruby's syntax. */
        if (!braces && eat(c, "+"))
            n.mode = PUNA_RX_POSSESSIVE;
        else if (eat(c, "?"))
            n.mode = PUNA_RX_LAZY;
        if (!c->bad && n.max > 1 && nullable(c, inner))
            fail(c, "a repeat of what may be empty");
        inner = new_node(c, n);
        if (c->bad)
            return inner;
    }
}

static int32_t sequence(compiler *c)
{
    int32_t left = -1;
    while (!c->bad && *c->at && *c->at != '|' && *c->at != ')') {
        int32_t right = repeated(c);
        left = left < 0 ? right : new_node(c, (node){ .kind = N_CAT, .left = left, .right = right });
    }
    return left < 0 ? new_node(c, (node){ .kind = N_EMPTY }) : left;
}

static int32_t alternatives(compiler *c)
{
    if (++c->depth > MAX_DEPTH) {
        fail(c, "nested too deep");
        return 0;
    }
    int32_t left = sequence(c);
    while (!c->bad && eat(c, "|")) {
        int32_t right = sequence(c);
        left = new_node(c, (node){ .kind = N_OR, .left = left, .right = right });
    }
    c->depth--;
    return left;
}

/* ---- The program ------------------------------------------------------------------------- */

static uint32_t emit(compiler *c, puna_regex_code code)
{
    if (c->n_code == MAX_CODE) {
        fail(c, "too large");
        return 0;
    }
    c->code[c->n_code] = code;
    return c->n_code++;
}

static void write_node(compiler *c, int32_t at);

/* Branches to the next instruction first when greedy, to the place behind first when lazy. */
static uint32_t emit_split(compiler *c, bool lazy)
{
    uint32_t at = emit(c, (puna_regex_code){ .op = PUNA_RX_SPLIT });
    c->code[at].to = c->code[at].other = at + 1;
    c->code[at].mode = lazy;
    return at;
}

static void set_behind(compiler *c, uint32_t split, uint32_t to)
{
    if (c->code[split].mode)
        c->code[split].to = to;
    else
        c->code[split].other = to;
}

static void write_copies(compiler *c, const node *n)
{
    bool lazy = n->mode == PUNA_RX_LAZY;
    for (uint32_t i = 0; i < n->min && !c->bad; i++)
        write_node(c, n->left);
    if (n->max == UINT32_MAX) {
        uint32_t split = emit_split(c, lazy);
        write_node(c, n->left);
        emit(c, (puna_regex_code){ .op = PUNA_RX_JUMP, .to = split });
        set_behind(c, split, c->n_code);
        return;
    }
    uint32_t optional = n->max - n->min;
    uint32_t *splits = calloc(optional ? optional : 1, sizeof *splits);
    if (!splits)
        fail(c, "out of memory");
    for (uint32_t i = 0; i < optional && !c->bad; i++) {
        splits[i] = emit_split(c, lazy);
        write_node(c, n->left);
    }
    for (uint32_t i = 0; i < optional && !c->bad; i++)
        set_behind(c, splits[i], c->n_code);
    free(splits);
}

static void write_repeat(compiler *c, const node *n)
{
    if (c->nodes[n->left].kind == N_SET) {
        emit(c, (puna_regex_code){ .op = PUNA_RX_RUN,
                                   .mode = n->mode,
                                   .set = c->nodes[n->left].set,
                                   .min = n->min,
                                   .max = n->max });
        return;
    }
    if (n->mode != PUNA_RX_POSSESSIVE) {
        write_copies(c, n);
        return;
    }
    uint32_t atomic = emit(c, (puna_regex_code){ .op = PUNA_RX_ATOMIC });
    write_copies(c, n);
    emit(c, (puna_regex_code){ .op = PUNA_RX_DONE });
    c->code[atomic].to = c->n_code;
}

static void write_or(compiler *c, const node *n)
{
    uint32_t split = emit_split(c, false);
    write_node(c, n->left);
    uint32_t jump = emit(c, (puna_regex_code){ .op = PUNA_RX_JUMP });
    c->code[split].other = c->n_code;
    write_node(c, n->right);
    c->code[jump].to = c->n_code;
}

/* As deep as the tree; sequences and alternatives lean left, so that loops go down that side. */
static void write_node(compiler *c, int32_t at)
{
    const node *n = &c->nodes[at];
    uint32_t from;
    if (c->bad)
        return;
    switch ((node_kind)n->kind) {
    case N_EMPTY:
        break;
    case N_SET:
        emit(c, (puna_regex_code){ .op = PUNA_RX_SET, .set = n->set });
        break;
    case N_CAT:
        write_node(c, n->left);
        write_node(c, n->right);
        break;
    case N_OR:
        write_or(c, n);
        break;
    case N_REPEAT:
        write_repeat(c, n);
        break;
    case N_LOOK:
    case N_ATOMIC:
        from = emit(c, (puna_regex_code){ .op = n->kind == N_LOOK ? PUNA_RX_LOOK : PUNA_RX_ATOMIC,
                                          .negated = n->negated });
        write_node(c, n->left);
        emit(c, (puna_regex_code){ .op = PUNA_RX_DONE });
        c->code[from].to = c->n_code;
        break;
    case N_BEHIND:
        emit(c, (puna_regex_code){ .op = PUNA_RX_BEHIND, .set = n->set, .negated = n->negated });
        break;
    case N_ASSERT:
        emit(c, (puna_regex_code){ .op = n->op, .negated = n->negated });
        break;
    }
}

/* ---- Bytes that a match may begin with ---------------------------------------------------- */

/* Marks what the program may take first from `pc` on; bytes above ASCII all count. */
static void mark_first(const compiler *c, uint32_t pc, bool *first, bool *seen)
{
    while (!seen[pc]) {
        seen[pc] = true;
        const puna_regex_code *code = &c->code[pc];
        if (code->op == PUNA_RX_SET || code->op == PUNA_RX_RUN) {
            for (int i = 0; i < 128; i++)
                first[i] |= c->sets[code->set].ascii[i];
            if (code->op == PUNA_RX_SET || code->min > 0)
                return;
            pc++;
        } else if (code->op == PUNA_RX_SPLIT) {
            mark_first(c, code->to, first, seen);
            pc = code->other;
        } else if (code->op == PUNA_RX_JUMP) {
            pc = code->to;
        } else if (code->op == PUNA_RX_DONE || code->op == PUNA_RX_ATOMIC) {
            memset(first, true, 128);
            return;
        } else {
            pc = code->op == PUNA_RX_LOOK ? code->to : pc + 1;
        }
    }
}

static puna_status finish(compiler *c, puna_arena *arena, const puna_regex **out, puna_error *err)
{
    puna_regex *regex = puna_arena_alloc(arena, sizeof *regex);
    puna_regex_set *sets = puna_arena_array(arena, c->n_sets + 1, sizeof *sets);
    puna_regex_item *items = puna_arena_array(arena, c->n_items + 1, sizeof *items);
    puna_regex_code *code = puna_arena_array(arena, c->n_code, sizeof *code);
    bool *seen = calloc(c->n_code, sizeof *seen);
    if (!regex || !sets || !items || !code || !seen) {
        free(seen);
        return puna_fail_memory(err, "pattern", c->n_code * sizeof *code);
    }
    for (uint32_t i = 0; i < c->n_sets; i++)
        for (int32_t b = 0; b < 128; b++)
            c->sets[i].ascii[b] = puna_regex_set_has(c->sets, c->items, i, b);
    mark_first(c, 0, regex->first, seen);
    memset(regex->first + 128, true, 128);
    free(seen);
    memcpy(sets, c->sets, c->n_sets * sizeof *sets);
    memcpy(items, c->items, c->n_items * sizeof *items);
    memcpy(code, c->code, c->n_code * sizeof *code);
    regex->sets = sets;
    regex->items = items;
    regex->code = code;
    *out = regex;
    return PUNA_OK;
}

puna_status puna_regex_compile(puna_arena *arena, const char *pattern, const puna_regex **out,
                               puna_error *err)
{
    compiler *c = calloc(1, sizeof *c);
    *out = NULL;
    if (!c)
        return puna_fail_memory(err, "pattern", sizeof *c);
    c->pattern = c->at = pattern;
    add_word_set(c);
    int32_t root = alternatives(c);
    if (!c->bad && *c->at)
        fail(c, "a closing parenthesis without an opening one");
    write_node(c, root);
    emit(c, (puna_regex_code){ .op = PUNA_RX_DONE });
    puna_status status = c->bad ? puna_fail(err, PUNA_ERR_FORMAT, "pattern \"%.200s\": byte %zu: %s", pattern,
                                            (size_t)(c->at - pattern), c->bad)
                                : finish(c, arena, out, err);
    free(c);
    return status;
}
