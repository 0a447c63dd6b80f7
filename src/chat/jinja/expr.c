/* expr.c - expressions: one function per level of precedence, as in Jinja2's grammar (unlike
 * Python's, a unary minus binds tighter than ** and a filter applies after it). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"
#include "base/utf8.h"
#include "chat/jinja/parser.h"

typedef puna_jnode *(*level)(puna_jparser *p);

static puna_jnode *parse_unary(puna_jparser *p, bool with_filter);
static puna_jnode *parse_primary(puna_jparser *p, bool with_member);
static puna_jnode *parse_postfix(puna_jparser *p, puna_jnode *node);

static puna_jnode *binary(puna_jparser *p, puna_jkind kind, puna_jnode *a, uint8_t op, level right,
                          uint32_t at)
{
    puna_jnode *node = puna_jparser_node(p, kind, at);
    if (!node)
        return NULL;
    node->op = op;
    node->a = a;
    node->b = right(p);
    return node;
}

static puna_jnode *parse_operand(puna_jparser *p)
{
    return parse_unary(p, true);
}

static puna_jnode *parse_pow(puna_jparser *p)
{
    puna_jnode *left = parse_operand(p);
    while (puna_jparser_is(p, PUNA_JT_POW)) {
        uint32_t at = puna_jparser_next(p)->at;
        left = binary(p, PUNA_JN_BINARY, left, PUNA_JT_POW, parse_operand, at);
    }
    return left;
}

static puna_jnode *parse_product(puna_jparser *p)
{
    puna_jnode *left = parse_pow(p);
    for (;;) {
        uint8_t type = puna_jparser_peek(p)->type;
        if (type != PUNA_JT_MUL && type != PUNA_JT_DIV && type != PUNA_JT_FLOORDIV && type != PUNA_JT_MOD)
            return left;
        uint32_t at = puna_jparser_next(p)->at;
        left = binary(p, PUNA_JN_BINARY, left, type, parse_pow, at);
    }
}

static puna_jnode *parse_concat(puna_jparser *p)
{
    puna_jnode *first = parse_product(p);
    if (!puna_jparser_is(p, PUNA_JT_TILDE))
        return first;
    puna_jnode *node = puna_jparser_node(p, PUNA_JN_CONCAT, puna_jparser_peek(p)->at), *last = first;
    if (!node || !first)
        return NULL;
    node->list = first;
    while (last && puna_jparser_skip(p, PUNA_JT_TILDE))
        last = last->next = parse_product(p);
    return node;
}

static puna_jnode *parse_sum(puna_jparser *p)
{
    puna_jnode *left = parse_concat(p);
    while (puna_jparser_is(p, PUNA_JT_ADD) || puna_jparser_is(p, PUNA_JT_SUB)) {
        const puna_jtoken *token = puna_jparser_next(p);
        left = binary(p, PUNA_JN_BINARY, left, token->type, parse_concat, token->at);
    }
    return left;
}

/* The comparison at the current token, taken; 0 when there is none. */
static uint8_t comparison(puna_jparser *p)
{
    uint8_t type = puna_jparser_peek(p)->type;
    if (type >= PUNA_JT_EQ && type <= PUNA_JT_LE) {
        puna_jparser_next(p);
        return type;
    }
    if (puna_jparser_skip_name(p, "in"))
        return PUNA_JN_IN;
    if (!puna_jparser_is_name(p, "not"))
        return 0;
    size_t at = p->at;
    puna_jparser_next(p);
    if (puna_jparser_skip_name(p, "in"))
        return PUNA_JN_NOT_IN;
    p->at = at;
    return 0;
}

static puna_jnode *parse_compare(puna_jparser *p)
{
    puna_jnode *first = parse_sum(p), *node = NULL, **link = NULL;
    for (;;) {
        uint32_t at = puna_jparser_peek(p)->at;
        uint8_t op = comparison(p);
        if (!op)
            return node ? node : first;
        if (!node) {
            node = puna_jparser_node(p, PUNA_JN_COMPARE, at);
            if (!node)
                return NULL;
            node->a = first;
            link = &node->list;
        }
        puna_jnode *operand = puna_jparser_node(p, PUNA_JN_OPERAND, at);
        if (!operand)
            return NULL;
        operand->op = op;
        operand->a = parse_sum(p);
        *link = operand;
        link = &operand->next;
    }
}

static puna_jnode *parse_not(puna_jparser *p)
{
    if (!puna_jparser_is_name(p, "not"))
        return parse_compare(p);
    puna_jnode *node = puna_jparser_node(p, PUNA_JN_NOT, puna_jparser_next(p)->at);
    if (!node || !puna_jparser_enter(p))
        return NULL;
    node->a = parse_not(p);
    puna_jparser_leave(p);
    return node;
}

static puna_jnode *parse_and(puna_jparser *p)
{
    puna_jnode *left = parse_not(p);
    while (puna_jparser_is_name(p, "and")) {
        uint32_t at = puna_jparser_next(p)->at;
        left = binary(p, PUNA_JN_AND, left, 0, parse_not, at);
    }
    return left;
}

static puna_jnode *parse_or(puna_jparser *p)
{
    puna_jnode *left = parse_and(p);
    while (puna_jparser_is_name(p, "or")) {
        uint32_t at = puna_jparser_next(p)->at;
        left = binary(p, PUNA_JN_OR, left, 0, parse_and, at);
    }
    return left;
}

/* Whether a conditional expression starts here is known only after its first operand: an unknown
 * filter in that operand is forgiven then. */
static puna_jnode *parse_condition(puna_jparser *p)
{
    const puna_jnode *unknown = p->unknown;
    puna_jnode *value = parse_or(p);
    bool was_soft = p->soft;
    while (puna_jparser_is_name(p, "if")) {
        puna_jnode *node = puna_jparser_node(p, PUNA_JN_COND, puna_jparser_next(p)->at);
        if (!node)
            return NULL;
        p->soft = true;
        p->unknown = unknown;
        node->b = value;
        node->a = parse_or(p);
        if (puna_jparser_skip_name(p, "else"))
            node->c = puna_jparser_expression(p, true);
        value = node;
    }
    p->soft = was_soft;
    return value;
}

puna_jnode *puna_jparser_expression(puna_jparser *p, bool with_condition)
{
    if (!puna_jparser_enter(p))
        return NULL;
    puna_jnode *node = with_condition ? parse_condition(p) : parse_or(p);
    puna_jparser_leave(p);
    return node;
}

static puna_jnode *parse_unary(puna_jparser *p, bool with_filter)
{
    puna_jnode *node;
    if (puna_jparser_is(p, PUNA_JT_SUB) || puna_jparser_is(p, PUNA_JT_ADD)) {
        const puna_jtoken *sign = puna_jparser_next(p);
        node = puna_jparser_node(p, sign->type == PUNA_JT_SUB ? PUNA_JN_NEG : PUNA_JN_POS, sign->at);
        if (!node || !puna_jparser_enter(p))
            return NULL;
        node->a = parse_unary(p, false);
        puna_jparser_leave(p);
    } else {
        node = parse_primary(p, false);
    }
    node = parse_postfix(p, node);
    return with_filter ? puna_jparser_filters(p, node, false) : node;
}

/* ---- literals --------------------------------------------------------------------------- */

static puna_jnode *constant(puna_jparser *p, uint32_t at, puna_jv value)
{
    puna_jnode *node = puna_jparser_node(p, PUNA_JN_CONST, at);
    if (node)
        node->value = value;
    return node;
}

static int hex_value(const char *text, size_t n, int32_t *code)
{
    *code = 0;
    for (size_t i = 0; i < n; i++) {
        char c = text[i], low = (char)(c | 32);
        int digit = c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
        if (digit < 0 || *code > 0x10ffff)
            return -1;
        *code = *code * 16 + digit;
    }
    return 0;
}

/* One escape at text[0] (behind the backslash), as Python reads it; returns the bytes taken, 0
 * when it is malformed, and adds what it means. */
static size_t unescape(puna_buf *out, const char *text, size_t n)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    char c = n ? text[0] : '\0';
    const char *simple = c ? strchr(from, c) : NULL;
    int32_t code = 0;
    size_t taken;
    if (c == '\n')
        return 1;
    if (simple) {
        puna_buf_add_byte(out, to[simple - from]);
        return 1;
    }
    if (c == 'x' || c == 'u' || c == 'U') {
        size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        if (n < 1 + digits || hex_value(text + 1, digits, &code) != 0)
            return 0;
        taken = 1 + digits;
    } else if (c >= '0' && c <= '7') {
        for (taken = 0; taken < 3 && taken < n && text[taken] >= '0' && text[taken] <= '7'; taken++)
            code = code * 8 + (text[taken] - '0');
    } else {
        puna_buf_add_byte(out, '\\'); /* an unknown escape stays as it is written */
        return c == 'N' ? 0 : SIZE_MAX;
    }
    char bytes[4];
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    puna_buf_add(out, bytes, (size_t)puna_utf8_encode(code, bytes));
    return taken;
}

/* Adjacent strings are one. */
static puna_jnode *parse_string(puna_jparser *p)
{
    uint32_t at = puna_jparser_peek(p)->at;
    puna_buf buf = puna_buf_make(p->template->n_source);
    while (puna_jparser_is(p, PUNA_JT_STRING)) {
        const puna_jtoken *token = puna_jparser_next(p);
        const char *text = token->text + 1;
        for (size_t i = 0, n = token->n - 2; i < n; i++) {
            if (text[i] != '\\') {
                puna_buf_add_byte(&buf, text[i]);
                continue;
            }
            size_t taken = unescape(&buf, text + i + 1, n - i - 1);
            if (!taken) {
                puna_jparser_fail(p, token->at, "malformed escape in a string");
                break;
            }
            i += taken == SIZE_MAX ? 0 : taken;
        }
    }
    puna_jnode *node = constant(p, at, puna_jv_of(PUNA_J_STR));
    puna_jstr *s = node ? puna_arena_alloc(&p->template->arena, sizeof *s) : NULL;
    char *copy = s ? puna_arena_copy(&p->template->arena, buf.data, buf.n) : NULL;
    if (node && (!copy || buf.failed))
        p->status = puna_fail_memory(p->err, "template", buf.n);
    if (copy) {
        *s = (puna_jstr){ .data = copy, .n = buf.n };
        for (size_t i = 0; i < buf.n; i++)
            s->n_chars += ((unsigned char)copy[i] & 0xc0) != 0x80;
        s->hash = puna_hash(copy, buf.n) | 1;
        node->value.u.s = s;
    }
    puna_buf_free(&buf);
    return node;
}

static puna_jnode *parse_number(puna_jparser *p)
{
    const puna_jtoken *token = puna_jparser_next(p);
    char text[64];
    size_t n = 0;
    for (size_t i = 0; i < token->n && n < sizeof text - 1; i++)
        if (token->text[i] != '_')
            text[n++] = token->text[i];
    text[n] = '\0';
    if (n == sizeof text - 1)
        return puna_jparser_fail(p, token->at, "number too long");
    if (token->type == PUNA_JT_FLOAT)
        return constant(p, token->at, puna_jv_float(strtod(text, NULL)));
    char low = (char)(text[1] | 32);
    int base = text[0] != '0' || n < 2 ? 10 : low == 'x' ? 16 : low == 'o' ? 8 : low == 'b' ? 2 : 10;
    errno = 0;
    long long value = strtoll(base == 10 ? text : text + 2, NULL, base);
    if (errno)
        return puna_jparser_fail(p, token->at, "integer beyond 64 bits");
    return constant(p, token->at, puna_jv_int(value));
}

static bool is_one_of(const puna_jtoken *token, const char *a, const char *b)
{
    return (token->n == strlen(a) && memcmp(token->text, a, token->n) == 0) ||
           (token->n == strlen(b) && memcmp(token->text, b, token->n) == 0);
}

static void note_name(puna_jparser *p, const puna_jstr *name)
{
    if (name == p->template->caller)
        p->uses |= PUNA_J_USES_CALLER;
    if (name == p->template->kwargs)
        p->uses |= PUNA_J_USES_KWARGS;
    if (name == p->template->varargs)
        p->uses |= PUNA_J_USES_VARARGS;
    if (name != p->template->caller && name != p->template->kwargs && name != p->template->varargs &&
        name != p->template->loop)
        puna_jnotes_read(p, name);
}

static puna_jnode *parse_name(puna_jparser *p, bool with_member)
{
    const puna_jtoken *token = puna_jparser_peek(p);
    if (is_one_of(token, "true", "True") || is_one_of(token, "false", "False"))
        return constant(p, puna_jparser_next(p)->at, puna_jv_bool((token->text[0] | 32) == 't'));
    if (is_one_of(token, "none", "None"))
        return constant(p, puna_jparser_next(p)->at, puna_jv_of(PUNA_J_NONE));
    puna_jstr *name = puna_jparser_expect_name(p);
    bool is_member = with_member && puna_jparser_skip(p, PUNA_JT_DOT);
    puna_jnode *node = puna_jparser_node(p, is_member ? PUNA_JN_MEMBER : PUNA_JN_NAME, token->at);
    if (!node || !name)
        return NULL;
    node->name = name;
    if (is_member) {
        puna_jstr *attr = puna_jparser_expect_name(p);
        if (!attr)
            return NULL;
        node->value = (puna_jv){ .type = PUNA_J_STR, .u.s = attr };
    }
    return node;
}

/* The items of [...] or {...}, up to the closing token; a trailing comma is fine. */
static puna_jnode *parse_items(puna_jparser *p, puna_jkind kind, puna_jtoken_type end)
{
    puna_jnode *node = puna_jparser_node(p, kind, puna_jparser_next(p)->at), **link;
    if (!node)
        return NULL;
    link = &node->list;
    while (p->status == PUNA_OK && !puna_jparser_is(p, end)) {
        if (node->n && (!puna_jparser_expect(p, PUNA_JT_COMMA) || puna_jparser_is(p, end)))
            break;
        puna_jnode *item = puna_jparser_expression(p, true);
        if (kind == PUNA_JN_DICT) {
            puna_jnode *pair = puna_jparser_node(p, PUNA_JN_PAIR, puna_jparser_peek(p)->at);
            if (!pair || !puna_jparser_expect(p, PUNA_JT_COLON))
                return NULL;
            pair->a = item;
            pair->b = puna_jparser_expression(p, true);
            item = pair;
        }
        if (!item)
            return NULL;
        *link = item;
        link = &item->next;
        node->n++;
    }
    puna_jparser_expect(p, end);
    return node;
}

static puna_jnode *parse_primary(puna_jparser *p, bool with_member)
{
    const puna_jtoken *token = puna_jparser_peek(p);
    puna_jnode *node;
    switch (token->type) {
    case PUNA_JT_NAME:
        node = parse_name(p, with_member);
        if (node && node->kind == PUNA_JN_NAME && !with_member)
            note_name(p, node->name);
        return node;
    case PUNA_JT_STRING:
        return parse_string(p);
    case PUNA_JT_INTEGER:
    case PUNA_JT_FLOAT:
        return parse_number(p);
    case PUNA_JT_LPAREN:
        puna_jparser_next(p);
        node = puna_jparser_tuple(p, true, true);
        puna_jparser_expect(p, PUNA_JT_RPAREN);
        return node;
    case PUNA_JT_LBRACKET:
        return parse_items(p, PUNA_JN_LIST, PUNA_JT_RBRACKET);
    case PUNA_JT_LBRACE:
        return parse_items(p, PUNA_JN_DICT, PUNA_JT_RBRACE);
    case PUNA_JT_EOF:
        return puna_jparser_fail(p, token->at, "unexpected end of template in an expression");
    default:
        return puna_jparser_fail(p, token->at, "unexpected '%.*s' in an expression",
                                 token->n < 32 ? (int)token->n : 32, token->text);
    }
}

/* Also parses targets, whose elements are primaries: target says so. */
static puna_jnode *parse_sequence(puna_jparser *p, bool with_condition, bool in_parentheses, bool is_target,
                                  bool with_member)
{
    puna_jnode *first = NULL, **link = &first;
    uint32_t at = puna_jparser_peek(p)->at;
    bool is_tuple = false;
    uint32_t n = 0;
    while (p->status == PUNA_OK) {
        if (n && !puna_jparser_expect(p, PUNA_JT_COMMA))
            return NULL;
        if (puna_jparser_is(p, PUNA_JT_PRINT_END) || puna_jparser_is(p, PUNA_JT_BLOCK_END) ||
            puna_jparser_is(p, PUNA_JT_RPAREN))
            break;
        puna_jnode *item = is_target && puna_jparser_is(p, PUNA_JT_NAME) ? parse_name(p, with_member)
                           : is_target                                   ? parse_primary(p, false)
                                       : puna_jparser_expression(p, with_condition);
        if (!item)
            return NULL;
        *link = item;
        link = &item->next;
        n++;
        if (!puna_jparser_is(p, PUNA_JT_COMMA))
            break;
        is_tuple = true;
    }
    if (!is_tuple && first)
        return first;
    if (!is_tuple && !in_parentheses)
        return puna_jparser_fail(p, at, "expected an expression");
    puna_jnode *node = puna_jparser_node(p, PUNA_JN_TUPLE, at);
    if (node) {
        node->list = first;
        node->n = n;
    }
    return node;
}

puna_jnode *puna_jparser_tuple(puna_jparser *p, bool with_condition, bool in_parentheses)
{
    if (!puna_jparser_enter(p))
        return NULL;
    puna_jnode *node = parse_sequence(p, with_condition, in_parentheses, false, false);
    puna_jparser_leave(p);
    return node;
}

static bool check_target(puna_jparser *p, const puna_jnode *target)
{
    if (!target)
        return false;
    if (target->kind == PUNA_JN_TUPLE) {
        if (!puna_jparser_enter(p))
            return false;
        bool ok = true;
        for (const puna_jnode *item = target->list; item && ok; item = item->next)
            ok = check_target(p, item);
        puna_jparser_leave(p);
        return ok;
    }
    if (target->kind == PUNA_JN_MEMBER)
        return true;
    if (target->kind != PUNA_JN_NAME) {
        puna_jparser_fail(p, target->at, "cannot assign to this expression");
        return false;
    }
    if (target->name == p->template->loop && p->n_for) {
        puna_jparser_fail(p, target->at, "cannot assign to the special variable 'loop' in a loop");
        return false;
    }
    return true;
}

puna_jnode *puna_jparser_target(puna_jparser *p, bool with_member)
{
    puna_jnode *target = parse_sequence(p, true, false, true, with_member);
    return check_target(p, target) ? target : NULL;
}

/* ---- postfix ---------------------------------------------------------------------------- */

static puna_jnode *parse_arguments(puna_jparser *p)
{
    puna_jnode *first = NULL, **link = &first;
    uint8_t seen = 0; /* 1: keyword, 2: *args, 4: **kwargs */
    uint32_t at = puna_jparser_next(p)->at;
    while (p->status == PUNA_OK && !puna_jparser_is(p, PUNA_JT_RPAREN)) {
        if (first && (!puna_jparser_expect(p, PUNA_JT_COMMA) || puna_jparser_is(p, PUNA_JT_RPAREN)))
            break;
        puna_jnode *arg = puna_jparser_node(p, PUNA_JN_ARG, puna_jparser_peek(p)->at);
        if (!arg)
            return NULL;
        uint8_t refused = 0;
        if (puna_jparser_skip(p, PUNA_JT_MUL)) {
            refused = seen & 6;
            seen |= 2;
            arg->op = 1;
        } else if (puna_jparser_skip(p, PUNA_JT_POW)) {
            refused = seen & 4;
            seen |= 4;
            arg->op = 2;
        } else if (puna_jparser_is(p, PUNA_JT_NAME) && p->tokens[p->at + 1].type == PUNA_JT_ASSIGN) {
            refused = seen & 4;
            seen |= 1;
            arg->name = puna_jparser_expect_name(p);
            puna_jparser_next(p);
        } else {
            refused = seen;
        }
        if (refused)
            return puna_jparser_fail(p, at, "invalid order of arguments in a call");
        arg->a = puna_jparser_expression(p, true);
        *link = arg;
        link = &arg->next;
    }
    puna_jparser_expect(p, PUNA_JT_RPAREN);
    return first;
}

static puna_jnode *parse_call(puna_jparser *p, puna_jnode *callee)
{
    puna_jnode *node = puna_jparser_node(p, PUNA_JN_CALL, puna_jparser_peek(p)->at);
    if (!node)
        return NULL;
    node->a = callee;
    node->list = parse_arguments(p);
    if (p->notes && callee && callee->kind == PUNA_JN_GETATTR) {
        const puna_jstr *name = callee->value.u.s;
        puna_jnotes_add(p->notes->methods, name);
        if (puna_jbuiltin_is_mutator(puna_jv_of(PUNA_J_LIST), name->data, name->n) ||
            puna_jbuiltin_is_mutator(puna_jv_of(PUNA_J_DICT), name->data, name->n))
            puna_jnotes_problem(p, callee->at,
                                "'%.*s' would change a list or dict, which the sandbox refuses",
                                name->n < 64 ? (int)name->n : 64, name->data);
    }
    return node;
}

static puna_jnode *parse_subscribed(puna_jparser *p)
{
    uint32_t at = puna_jparser_peek(p)->at;
    puna_jnode *bound[3] = { 0 };
    if (!puna_jparser_is(p, PUNA_JT_COLON))
        bound[0] = puna_jparser_expression(p, true);
    if (!puna_jparser_skip(p, PUNA_JT_COLON))
        return bound[0];
    for (int i = 1; i < 3; i++) {
        if (!puna_jparser_is(p, PUNA_JT_COLON) && !puna_jparser_is(p, PUNA_JT_RBRACKET) &&
            !puna_jparser_is(p, PUNA_JT_COMMA))
            bound[i] = puna_jparser_expression(p, true);
        if (i == 1 && !puna_jparser_skip(p, PUNA_JT_COLON))
            break;
    }
    puna_jnode *node = puna_jparser_node(p, PUNA_JN_SLICE, at);
    if (!node)
        return NULL;
    node->a = bound[0];
    node->b = bound[1];
    node->c = bound[2];
    return node;
}

static puna_jnode *parse_index(puna_jparser *p, puna_jnode *object)
{
    uint32_t at = puna_jparser_next(p)->at;
    puna_jnode *first = NULL, **link = &first;
    uint32_t n = 0;
    while (p->status == PUNA_OK && !puna_jparser_is(p, PUNA_JT_RBRACKET)) {
        if (n && !puna_jparser_expect(p, PUNA_JT_COMMA))
            return NULL;
        puna_jnode *key = parse_subscribed(p);
        if (!key)
            return NULL;
        *link = key;
        link = &key->next;
        n++;
    }
    puna_jparser_expect(p, PUNA_JT_RBRACKET);
    puna_jnode *node = puna_jparser_node(p, PUNA_JN_GETITEM, at);
    if (!node)
        return NULL;
    node->a = object;
    node->b = first;
    if (n != 1) {
        node->b = puna_jparser_node(p, PUNA_JN_TUPLE, at);
        if (!node->b)
            return NULL;
        node->b->list = first;
        node->b->n = n;
    }
    return node;
}

static puna_jnode *parse_dot(puna_jparser *p, puna_jnode *object)
{
    uint32_t at = puna_jparser_next(p)->at;
    const puna_jtoken *token = puna_jparser_peek(p);
    if (token->type == PUNA_JT_INTEGER) {
        puna_jnode *node = puna_jparser_node(p, PUNA_JN_GETITEM, at);
        if (!node)
            return NULL;
        node->a = object;
        node->b = parse_number(p);
        return node;
    }
    if (token->type != PUNA_JT_NAME)
        return puna_jparser_fail(p, token->at, "expected a name or a number after '.'");
    puna_jnode *node = puna_jparser_node(p, PUNA_JN_GETATTR, at);
    puna_jstr *name = puna_jparser_expect_name(p);
    if (!node || !name)
        return NULL;
    node->a = object;
    node->value = (puna_jv){ .type = PUNA_J_STR, .u.s = name };
    return node;
}

static puna_jnode *parse_postfix(puna_jparser *p, puna_jnode *node)
{
    for (;;) {
        switch (puna_jparser_peek(p)->type) {
        case PUNA_JT_DOT:
            node = parse_dot(p, node);
            break;
        case PUNA_JT_LBRACKET:
            node = parse_index(p, node);
            break;
        case PUNA_JT_LPAREN:
            node = parse_call(p, node);
            break;
        default:
            return node;
        }
    }
}

/* ---- filters and tests ------------------------------------------------------------------ */

/* The name of a filter or test, with dots; interned. */
static puna_jstr *parse_dotted(puna_jparser *p)
{
    puna_jstr *name = puna_jparser_expect_name(p);
    while (name && puna_jparser_skip(p, PUNA_JT_DOT)) {
        const puna_jstr *more = puna_jparser_expect_name(p);
        puna_buf buf = puna_buf_make(1024);
        puna_buf_add(&buf, name->data, name->n);
        puna_buf_add_byte(&buf, '.');
        if (more)
            puna_buf_add(&buf, more->data, more->n);
        name = more && !buf.failed ? puna_template_intern(p->template, buf.data, buf.n) : NULL;
        if (buf.failed)
            puna_jparser_fail(p, puna_jparser_peek(p)->at, "name too long");
        puna_buf_free(&buf);
    }
    return name;
}

/* Unknown names are refused at once, or when they run if they stand in a branch (so that a
 * template can ask whether a filter exists before using it). */
static void resolve(puna_jparser *p, puna_jnode *node, bool is_filter)
{
    const char *what = is_filter ? "filter" : "test";
    node->builtin = is_filter ? puna_jbuiltin_filter(node->name->data, node->name->n)
                              : puna_jbuiltin_test(node->name->data, node->name->n);
    if (p->notes)
        puna_jnotes_add(is_filter ? p->notes->filters : p->notes->tests, node->name);
    if (node->builtin)
        return;
    int n = node->name->n < 64 ? (int)node->name->n : 64;
    puna_jnotes_problem(p, node->at, "no %s named '%.*s'", what, n, node->name->data);
    if (!p->soft && !p->unknown)
        p->unknown = node;
}

static puna_jnode *parse_filter(puna_jparser *p, puna_jnode *operand)
{
    puna_jnode *node = puna_jparser_node(p, PUNA_JN_FILTER, puna_jparser_peek(p)->at);
    puna_jstr *name = parse_dotted(p);
    if (!node || !name)
        return NULL;
    node->name = name;
    node->a = operand;
    if (puna_jparser_is(p, PUNA_JT_LPAREN))
        node->list = parse_arguments(p);
    resolve(p, node, true);
    return node;
}

static bool starts_test_argument(const puna_jparser *p)
{
    switch (puna_jparser_peek(p)->type) {
    case PUNA_JT_NAME:
        return !puna_jparser_is_name(p, "else") && !puna_jparser_is_name(p, "or") &&
               !puna_jparser_is_name(p, "and");
    case PUNA_JT_STRING:
    case PUNA_JT_INTEGER:
    case PUNA_JT_FLOAT:
    case PUNA_JT_LBRACKET:
    case PUNA_JT_LBRACE:
        return true;
    default:
        return false;
    }
}

static puna_jnode *parse_test(puna_jparser *p, puna_jnode *operand)
{
    puna_jnode *node = puna_jparser_node(p, PUNA_JN_TEST, puna_jparser_next(p)->at);
    bool negated = puna_jparser_skip_name(p, "not");
    puna_jstr *name = parse_dotted(p);
    if (!node || !name)
        return NULL;
    node->name = name;
    node->a = operand;
    if (puna_jparser_is(p, PUNA_JT_LPAREN)) {
        node->list = parse_arguments(p);
    } else if (starts_test_argument(p)) {
        if (puna_jparser_is_name(p, "is"))
            return puna_jparser_fail(p, puna_jparser_peek(p)->at, "tests cannot be chained with 'is'");
        puna_jnode *arg = puna_jparser_node(p, PUNA_JN_ARG, puna_jparser_peek(p)->at);
        if (!arg)
            return NULL;
        arg->a = parse_postfix(p, parse_primary(p, false));
        node->list = arg;
    }
    resolve(p, node, false);
    if (!negated)
        return node;
    puna_jnode *not_node = puna_jparser_node(p, PUNA_JN_NOT, node->at);
    if (not_node)
        not_node->a = node;
    return not_node;
}

puna_jnode *puna_jparser_filters(puna_jparser *p, puna_jnode *operand, bool starts_with_name)
{
    puna_jnode *node = operand;
    bool is_block = operand == NULL;
    if (starts_with_name)
        node = parse_filter(p, NULL);
    while (p->status == PUNA_OK) {
        if (puna_jparser_skip(p, PUNA_JT_PIPE))
            node = parse_filter(p, node);
        else if (!is_block && puna_jparser_is_name(p, "is"))
            node = parse_test(p, node);
        else if (!is_block && puna_jparser_is(p, PUNA_JT_LPAREN))
            node = parse_call(p, node);
        else
            break;
    }
    return node;
}
