/* parser.c - statements: recursive descent with a depth limit, after the grammar in Jinja2's
 * documentation. Also owns the parser's token helpers and the place of errors. */
#include "chat/jinja/parser.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "chat/jinja/unicode.h"

/* Each costs a walk over the source for its place. */
enum { MAX_PROBLEMS = 100 };
enum { EXCERPT_BEFORE = 48, EXCERPT_AFTER = 48, EXCERPT_BYTES = EXCERPT_BEFORE + EXCERPT_AFTER + 8 };

void puna_template_place(const puna_template *template, uint32_t at, unsigned *line, unsigned *column)
{
    *line = *column = 1;
    for (size_t i = 0; i < at && i < template->n_source; i++) {
        unsigned char c = (unsigned char)template->source[i];
        if (c == '\n') {
            ++*line;
            *column = 1;
        } else if ((c & 0xc0) != 0x80) {
            ++*column;
        }
    }
}

/* The line that offset `at` is in, without the blanks around it; of a long one what is near. */
static void excerpt(const puna_template *template, uint32_t at, char out[EXCERPT_BYTES])
{
    const char *source = template->source;
    size_t n = template->n_source, from = at < n ? at : n, to = from;
    while (from > 0 && source[from - 1] != '\n')
        from--;
    while (to < n && source[to] != '\n')
        to++;
    from += puna_junicode_leading_space(source + from, to - from);
    to -= puna_junicode_trailing_space(source + from, to - from);
    bool cut_before = from < to && at > from + EXCERPT_BEFORE, cut_after = to > at + EXCERPT_AFTER;
    if (cut_before)
        for (from = at - EXCERPT_BEFORE; from < at && ((unsigned char)source[from] & 0xc0) == 0x80;)
            from++;
    if (cut_after)
        for (to = (size_t)at + EXCERPT_AFTER; to > at && ((unsigned char)source[to] & 0xc0) == 0x80;)
            to--;
    snprintf(out, EXCERPT_BYTES, "%s%.*s%s", cut_before ? "..." : "", (int)(to - from), source + from,
             cut_after ? "..." : "");
    for (char *c = out; *c; c++)
        *c = *c == '\t' ? ' ' : *c;
}

puna_status puna_template_fail(const puna_template *template, uint32_t at, puna_status status,
                               const char *message, puna_error *err)
{
    unsigned line, column;
    char text[EXCERPT_BYTES];
    puna_template_place(template, at, &line, &column);
    excerpt(template, at, text);
    return puna_fail(err, status,
                     text[0] ? "template: line %u, column %u: %s, in `%s`"
                             : "template: line %u, column %u: %s",
                     line, column, message, text);
}

void puna_jnotes_problem(puna_jparser *p, uint32_t at, const char *format, ...)
{
    char message[256], text[EXCERPT_BYTES];
    unsigned line, column;
    va_list args;
    if (!p->notes || json_array_size(p->notes->problems) >= MAX_PROBLEMS)
        return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    puna_template_place(p->template, at, &line, &column);
    excerpt(p->template, at, text);
    json_array_append_new(p->notes->problems, json_pack("{s:i, s:i, s:s, s:s}", "line", (int)line, "column",
                                                        (int)column, "message", message, "source", text));
}

puna_jnode *puna_jparser_fail(puna_jparser *p, uint32_t at, const char *format, ...)
{
    char message[256];
    va_list args;
    if (p->status != PUNA_OK)
        return NULL;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    p->status = puna_template_fail(p->template, at, PUNA_ERR_FORMAT, message, p->err);
    puna_jnotes_problem(p, at, "%s", message);
    return NULL;
}

puna_jnode *puna_jparser_node(puna_jparser *p, puna_jkind kind, uint32_t at)
{
    puna_jnode *node = p->status == PUNA_OK ? puna_arena_alloc(&p->template->arena, sizeof *node) : NULL;
    if (!node) {
        if (p->status == PUNA_OK)
            p->status = puna_fail_memory(p->err, "template", sizeof *node);
        return NULL;
    }
    node->kind = (uint8_t)kind;
    node->at = at;
    return node;
}

const puna_jtoken *puna_jparser_peek(const puna_jparser *p)
{
    static const puna_jtoken end = { .type = PUNA_JT_EOF, .text = "" };
    return p->status == PUNA_OK ? &p->tokens[p->at] : &end;
}

const puna_jtoken *puna_jparser_next(puna_jparser *p)
{
    const puna_jtoken *token = puna_jparser_peek(p);
    if (token->type != PUNA_JT_EOF)
        p->at++;
    return token;
}

bool puna_jparser_is(const puna_jparser *p, puna_jtoken_type type)
{
    return puna_jparser_peek(p)->type == type;
}

static bool token_is_name(const puna_jtoken *token, const char *name)
{
    return token->type == PUNA_JT_NAME && token->n == strlen(name) &&
           memcmp(token->text, name, token->n) == 0;
}

bool puna_jparser_is_name(const puna_jparser *p, const char *name)
{
    return token_is_name(puna_jparser_peek(p), name);
}

bool puna_jparser_skip(puna_jparser *p, puna_jtoken_type type)
{
    bool is = puna_jparser_is(p, type);
    if (is && type != PUNA_JT_EOF)
        p->at++;
    return is;
}

bool puna_jparser_skip_name(puna_jparser *p, const char *name)
{
    bool is = puna_jparser_is_name(p, name);
    if (is)
        p->at++;
    return is;
}

static const char *describe(puna_jtoken_type type)
{
    static const char *const names[] = {
        "end of template",
        "template text",
        "begin of print statement",
        "end of print statement",
        "begin of statement block",
        "end of statement block",
        "name",
        "string",
        "integer",
        "float",
        "'+'",
        "'-'",
        "'*'",
        "'/'",
        "'//'",
        "'%'",
        "'**'",
        "'~'",
        "'['",
        "']'",
        "'('",
        "')'",
        "'{'",
        "'}'",
        "'=='",
        "'!='",
        "'>'",
        "'>='",
        "'<'",
        "'<='",
        "'='",
        "'.'",
        "':'",
        "'|'",
        "','",
        "';'",
    };
    return names[type];
}

bool puna_jparser_expect(puna_jparser *p, puna_jtoken_type type)
{
    const puna_jtoken *token = puna_jparser_peek(p);
    if (puna_jparser_skip(p, type))
        return true;
    if (token->type == PUNA_JT_NAME)
        puna_jparser_fail(p, token->at, "expected %s, got name '%.*s'", describe(type),
                          token->n < 64 ? (int)token->n : 64, token->text);
    else
        puna_jparser_fail(p, token->at, "expected %s, got %s", describe(type), describe(token->type));
    return false;
}

puna_jstr *puna_template_intern(puna_template *template, const char *name, size_t n)
{
    uint32_t i;
    if (puna_map_get(&template->names, name, n, &i))
        return template->interned[i];
    if (template->n_interned == template->interned_capacity) {
        size_t capacity = template->interned_capacity ? template->interned_capacity * 2 : 64;
        puna_jstr **all = puna_arena_array(&template->arena, capacity, sizeof *all);
        if (!all)
            return NULL;
        if (template->n_interned)
            memcpy(all, template->interned, template->n_interned * sizeof *all);
        template->interned = all;
        template->interned_capacity = capacity;
    }
    puna_jstr *s = puna_arena_alloc(&template->arena, sizeof *s);
    char *copy = puna_arena_copy(&template->arena, name, n);
    if (!s || !copy || !puna_map_set(&template->names, copy, n, (uint32_t) template->n_interned))
        return NULL;
    size_t n_chars = 0;
    for (size_t k = 0; k < n; k++)
        n_chars += ((unsigned char)name[k] & 0xc0) != 0x80;
    *s = (puna_jstr){ .data = copy, .n = n, .n_chars = n_chars };
    s->hash = puna_hash(copy, n) | 1; /* filled now: a compiled template is only read */
    return template->interned[template->n_interned++] = s;
}

puna_jstr *puna_jparser_expect_name(puna_jparser *p)
{
    const puna_jtoken *token = puna_jparser_peek(p);
    if (!puna_jparser_expect(p, PUNA_JT_NAME))
        return NULL;
    puna_jstr *name = puna_template_intern(p->template, token->text, token->n);
    if (!name)
        p->status = puna_fail_memory(p->err, "template", token->n);
    return name;
}

bool puna_jparser_enter(puna_jparser *p)
{
    if (p->depth >= PUNA_MAX_TEMPLATE_DEPTH) {
        puna_jparser_fail(p, puna_jparser_peek(p)->at, "nested deeper than %d levels",
                          PUNA_MAX_TEMPLATE_DEPTH);
        return false;
    }
    p->depth++;
    return p->status == PUNA_OK;
}

void puna_jparser_leave(puna_jparser *p)
{
    p->depth--;
}

static puna_jnode *parse_body(puna_jparser *p, const char *const *ends, const char *opened, uint32_t at);

/* The statements up to one of `ends` (up to 3 names); leaves that name as the current token. */
static puna_jnode *parse_block(puna_jparser *p, const char *opened, uint32_t at, const char *end1,
                               const char *end2, const char *end3)
{
    const char *ends[] = { end1, end2, end3, NULL };
    puna_jparser_skip(p, PUNA_JT_COLON);
    if (!puna_jparser_expect(p, PUNA_JT_BLOCK_END))
        return NULL;
    return parse_body(p, ends, opened, at);
}

/* A body that closes with its one end tag. */
static puna_jnode *parse_closed(puna_jparser *p, const char *opened, uint32_t at, const char *end)
{
    puna_jnode *body = parse_block(p, opened, at, end, NULL, NULL);
    puna_jparser_next(p);
    return body;
}

static puna_jnode *parse_if(puna_jparser *p)
{
    puna_jnode *first = NULL, **link = &first;
    bool was_soft = p->soft;
    p->soft = true;
    while (p->status == PUNA_OK) {
        const puna_jtoken *tag = puna_jparser_next(p);
        puna_jnode *node = puna_jparser_node(p, PUNA_JN_IF, tag->at);
        if (!node)
            break;
        node->flag = first != NULL; /* an elif: runs without another level of nesting */
        *link = node;
        link = &node->other;
        node->a = puna_jparser_tuple(p, false, false);
        node->body = parse_block(p, "if", tag->at, "elif", "else", "endif");
        if (puna_jparser_is_name(p, "elif"))
            continue;
        if (puna_jparser_skip_name(p, "else"))
            node->other = parse_closed(p, "if", tag->at, "endif");
        else
            puna_jparser_skip_name(p, "endif");
        break;
    }
    p->soft = was_soft;
    return first;
}

static puna_jnode *parse_for(puna_jparser *p)
{
    uint32_t at = puna_jparser_next(p)->at;
    puna_jnode *node = puna_jparser_node(p, PUNA_JN_FOR, at);
    bool was_soft = p->soft;
    if (!node)
        return NULL;
    size_t mark = puna_jnotes_mark(p);
    p->n_for++;
    p->n_breakable++;
    node->a = puna_jparser_target(p, false);
    if (!puna_jparser_skip_name(p, "in"))
        return puna_jparser_fail(p, puna_jparser_peek(p)->at, "expected 'in' in the for statement");
    node->b = puna_jparser_tuple(p, false, false);
    puna_jnotes_set_target(p, node->a);
    if (puna_jparser_skip_name(p, "if"))
        node->c = puna_jparser_expression(p, true);
    node->flag = puna_jparser_skip_name(p, "recursive");
    p->soft = false;
    node->body = parse_block(p, "for", at, "endfor", "else", NULL);
    puna_jnotes_forget(p, mark);
    p->n_breakable--;
    if (puna_jparser_skip_name(p, "else"))
        node->other = parse_closed(p, "for", at, "endfor");
    else
        puna_jparser_skip_name(p, "endfor");
    p->n_for--;
    p->soft = was_soft;
    return node;
}

static puna_jnode *parse_set(puna_jparser *p)
{
    uint32_t at = puna_jparser_next(p)->at;
    puna_jnode *target = puna_jparser_target(p, true);
    bool is_block = !puna_jparser_skip(p, PUNA_JT_ASSIGN);
    puna_jnode *node = puna_jparser_node(p, is_block ? PUNA_JN_SET_BLOCK : PUNA_JN_SET, at);
    if (!node)
        return NULL;
    node->a = target;
    if (!is_block) {
        node->b = puna_jparser_tuple(p, true, false);
        puna_jnotes_set_target(p, target);
        return node;
    }
    bool was_soft = p->soft;
    p->soft = false;
    node->b = puna_jparser_filters(p, NULL, false);
    size_t mark = puna_jnotes_mark(p);
    node->body = parse_closed(p, "set", at, "endset");
    puna_jnotes_forget(p, mark);
    puna_jnotes_set_target(p, target);
    p->soft = was_soft;
    return node;
}

static puna_jnode *parse_parameters(puna_jparser *p)
{
    puna_jnode *first = NULL, **link = &first;
    bool has_default = false;
    if (!puna_jparser_expect(p, PUNA_JT_LPAREN))
        return NULL;
    while (p->status == PUNA_OK && !puna_jparser_is(p, PUNA_JT_RPAREN)) {
        if (first && !puna_jparser_expect(p, PUNA_JT_COMMA))
            return NULL;
        puna_jnode *param = puna_jparser_node(p, PUNA_JN_PARAM, puna_jparser_peek(p)->at);
        if (!param)
            return NULL;
        param->name = puna_jparser_expect_name(p);
        if (puna_jparser_skip(p, PUNA_JT_ASSIGN)) {
            p->n_callable++; /* a default is read when it is called */
            param->a = puna_jparser_expression(p, true);
            p->n_callable--;
            has_default = true;
        } else if (has_default) {
            return puna_jparser_fail(p, param->at, "non-default argument follows default argument");
        }
        puna_jnotes_set(p, param->name);
        *link = param;
        link = &param->next;
    }
    puna_jparser_expect(p, PUNA_JT_RPAREN);
    return first;
}

/* The body of something that is called: a macro, a call block. */
static void parse_callable(puna_jparser *p, puna_jnode *node, const char *opened, const char *end)
{
    uint8_t outer_uses = p->uses;
    unsigned outer_breakable = p->n_breakable;
    bool was_soft = p->soft;
    size_t mark = puna_jnotes_mark(p);
    p->uses = 0;
    p->n_breakable = 0;
    p->soft = false;
    p->n_callable++;
    node->body = parse_closed(p, opened, node->at, end);
    node->op = p->uses;
    p->n_callable--;
    puna_jnotes_forget(p, mark);
    p->uses |= outer_uses;
    p->n_breakable = outer_breakable;
    p->soft = was_soft;
}

static puna_jnode *parse_macro(puna_jparser *p)
{
    puna_jnode *node = puna_jparser_node(p, PUNA_JN_MACRO, puna_jparser_next(p)->at);
    if (!node)
        return NULL;
    node->name = puna_jparser_expect_name(p);
    puna_jnotes_set(p, node->name);
    size_t mark = puna_jnotes_mark(p);
    node->list = parse_parameters(p);
    parse_callable(p, node, "macro", "endmacro");
    puna_jnotes_forget(p, mark);
    for (const puna_jnode *param = node->list; param; param = param->next)
        if (param->name == p->template->caller && !param->a && (node->op & PUNA_J_USES_CALLER))
            return puna_jparser_fail(p, node->at,
                                     "the special 'caller' argument must be omitted or have a default");
    return node;
}

static puna_jnode *parse_call_block(puna_jparser *p)
{
    puna_jnode *node = puna_jparser_node(p, PUNA_JN_CALL_BLOCK, puna_jparser_next(p)->at);
    if (!node)
        return NULL;
    size_t mark = puna_jnotes_mark(p);
    if (puna_jparser_is(p, PUNA_JT_LPAREN))
        node->list = parse_parameters(p);
    node->a = puna_jparser_expression(p, true);
    if (node->a && node->a->kind != PUNA_JN_CALL)
        return puna_jparser_fail(p, node->at, "expected a call");
    parse_callable(p, node, "call", "endcall");
    puna_jnotes_forget(p, mark);
    return node;
}

static puna_jnode *parse_filter_block(puna_jparser *p)
{
    puna_jnode *node = puna_jparser_node(p, PUNA_JN_FILTER_BLOCK, puna_jparser_next(p)->at);
    if (!node)
        return NULL;
    bool was_soft = p->soft;
    p->soft = false;
    node->a = puna_jparser_filters(p, NULL, true);
    node->body = parse_closed(p, "filter", node->at, "endfilter");
    p->soft = was_soft;
    return node;
}

static puna_jnode *parse_with(puna_jparser *p)
{
    puna_jnode *node = puna_jparser_node(p, PUNA_JN_WITH, puna_jparser_next(p)->at), **link;
    if (!node)
        return NULL;
    size_t mark = puna_jnotes_mark(p);
    link = &node->list;
    while (p->status == PUNA_OK && !puna_jparser_is(p, PUNA_JT_BLOCK_END)) {
        if (node->list && !puna_jparser_expect(p, PUNA_JT_COMMA))
            return NULL;
        puna_jnode *pair = puna_jparser_node(p, PUNA_JN_PAIR, puna_jparser_peek(p)->at);
        if (!pair)
            return NULL;
        pair->a = puna_jparser_target(p, false);
        puna_jparser_expect(p, PUNA_JT_ASSIGN);
        pair->b = puna_jparser_expression(p, true);
        puna_jnotes_set_target(p, pair->a);
        *link = pair;
        link = &pair->next;
    }
    bool was_soft = p->soft;
    p->soft = false;
    node->body = parse_closed(p, "with", node->at, "endwith");
    puna_jnotes_forget(p, mark);
    p->soft = was_soft;
    return node;
}

/* Only `autoescape false`, which changes nothing here. */
static puna_jnode *parse_autoescape(puna_jparser *p)
{
    puna_jnode *node = puna_jparser_node(p, PUNA_JN_SCOPE, puna_jparser_next(p)->at);
    if (!node)
        return NULL;
    if (!puna_jparser_skip_name(p, "false") && !puna_jparser_skip_name(p, "False"))
        return puna_jparser_fail(p, node->at, "'autoescape' can only be false in a chat template");
    node->flag = true;
    node->body = parse_closed(p, "autoescape", node->at, "endautoescape");
    return node;
}

/* A generation block (its text is what the assistant said; here it is only a scope), or a named
 * block, which without a parent template shows its body where it stands. */
static puna_jnode *parse_scope(puna_jparser *p, bool is_generation)
{
    puna_jnode *node = puna_jparser_node(p, PUNA_JN_SCOPE, puna_jparser_next(p)->at);
    if (!node)
        return NULL;
    node->flag = is_generation;
    if (!is_generation) {
        node->name = puna_jparser_expect_name(p);
        node->flag = puna_jparser_skip_name(p, "scoped");
        puna_jparser_skip_name(p, "required");
    }
    parse_callable(p, node, is_generation ? "generation" : "block",
                   is_generation ? "endgeneration" : "endblock");
    if (!is_generation && node->name && puna_jparser_is(p, PUNA_JT_NAME) &&
        !puna_jparser_skip_name(p, node->name->data))
        return puna_jparser_fail(p, puna_jparser_peek(p)->at, "endblock names another block");
    return node;
}

static puna_jnode *parse_print(puna_jparser *p)
{
    puna_jnode *first = NULL, **link = &first;
    puna_jparser_next(p);
    while (p->status == PUNA_OK && !puna_jparser_is(p, PUNA_JT_BLOCK_END)) {
        if (first && !puna_jparser_expect(p, PUNA_JT_COMMA))
            return NULL;
        puna_jnode *node = puna_jparser_node(p, PUNA_JN_PRINT, puna_jparser_peek(p)->at);
        if (!node)
            return NULL;
        node->a = puna_jparser_expression(p, true);
        *link = node;
        link = &node->next;
    }
    return first;
}

static puna_jnode *parse_jump(puna_jparser *p, puna_jkind kind)
{
    const puna_jtoken *token = puna_jparser_next(p);
    if (!p->n_breakable)
        return puna_jparser_fail(p, token->at, "'%.*s' outside a loop", (int)token->n, token->text);
    return puna_jparser_node(p, kind, token->at);
}

static puna_jnode *parse_statement(puna_jparser *p, const char *opened)
{
    static const char *const refused[] = { "include", "import", "from", "extends" };
    const puna_jtoken *token = puna_jparser_peek(p);
    if (token->type != PUNA_JT_NAME)
        return puna_jparser_fail(p, token->at, "tag name expected");
    if (token_is_name(token, "if"))
        return parse_if(p);
    if (token_is_name(token, "for"))
        return parse_for(p);
    if (token_is_name(token, "set"))
        return parse_set(p);
    if (token_is_name(token, "macro"))
        return parse_macro(p);
    if (token_is_name(token, "call"))
        return parse_call_block(p);
    if (token_is_name(token, "filter"))
        return parse_filter_block(p);
    if (token_is_name(token, "with"))
        return parse_with(p);
    if (token_is_name(token, "generation") || token_is_name(token, "block"))
        return parse_scope(p, token_is_name(token, "generation"));
    if (token_is_name(token, "autoescape"))
        return parse_autoescape(p);
    if (token_is_name(token, "print"))
        return parse_print(p);
    if (token_is_name(token, "break"))
        return parse_jump(p, PUNA_JN_BREAK);
    if (token_is_name(token, "continue"))
        return parse_jump(p, PUNA_JN_CONTINUE);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (token_is_name(token, refused[i]))
            return puna_jparser_fail(p, token->at, "'%s' is not allowed in a chat template", refused[i]);
    int n = token->n < 64 ? (int)token->n : 64;
    if (opened)
        return puna_jparser_fail(p, token->at, "unknown tag '%.*s'; the innermost open block is '%s'", n,
                                 token->text, opened);
    return puna_jparser_fail(p, token->at, "unknown tag '%.*s'", n, token->text);
}

static bool is_end(const puna_jparser *p, const char *const *ends)
{
    for (; ends && *ends; ends++)
        if (puna_jparser_is_name(p, *ends))
            return true;
    return false;
}

static puna_jnode *text_node(puna_jparser *p, const puna_jtoken *token)
{
    puna_jnode *node = puna_jparser_node(p, PUNA_JN_TEXT, token->at);
    puna_jstr *s = node ? puna_arena_alloc(&p->template->arena, sizeof *s) : NULL;
    if (!s)
        return NULL;
    *s = (puna_jstr){ .data = token->text, .n = token->n, .n_chars = SIZE_MAX };
    node->value = (puna_jv){ .type = PUNA_J_STR, .u.s = s };
    return node;
}

static puna_jnode *parse_body(puna_jparser *p, const char *const *ends, const char *opened, uint32_t at)
{
    puna_jnode *first = NULL, **link = &first;
    if (!puna_jparser_enter(p))
        return NULL;
    while (p->status == PUNA_OK && !puna_jparser_is(p, PUNA_JT_EOF)) {
        const puna_jtoken *token = puna_jparser_next(p);
        puna_jnode *node = NULL;
        if (token->type == PUNA_JT_DATA) {
            node = text_node(p, token);
        } else if (token->type == PUNA_JT_PRINT_BEGIN) {
            node = puna_jparser_node(p, PUNA_JN_PRINT, token->at);
            puna_jnode *value = puna_jparser_tuple(p, true, false);
            if (node)
                node->a = value;
            puna_jparser_expect(p, PUNA_JT_PRINT_END);
        } else {
            if (is_end(p, ends)) {
                puna_jparser_leave(p);
                return first;
            }
            node = parse_statement(p, opened);
            puna_jparser_expect(p, PUNA_JT_BLOCK_END);
        }
        *link = node;
        while (*link)
            link = &(*link)->next;
    }
    if (ends && p->status == PUNA_OK)
        puna_jparser_fail(p, at, "unexpected end of template: '%s' is not closed", opened);
    puna_jparser_leave(p);
    return first;
}

puna_status puna_template_parse(puna_template *template, puna_jnotes *notes, puna_error *err)
{
    puna_arena scratch = { 0 };
    puna_jlexer lexer;
    puna_jparser p = { .template = template, .notes = notes, .err = err };
    if (!puna_jlexer_run(&lexer, template->source, template->n_source, &scratch)) {
        if (lexer.error)
            puna_jparser_fail(&p, lexer.error_at, "%s", lexer.error);
        else
            p.status = puna_fail_memory(err, "template", template->n_source);
    } else {
        p.tokens = lexer.tokens;
        template->body = parse_body(&p, NULL, NULL, 0);
    }
    puna_arena_free(&scratch);
    const puna_jnode *unknown = p.unknown;
    if (unknown) {
        p.notes = NULL; /* already noted */
        puna_jparser_fail(&p, unknown->at, "no %s named '%.*s'",
                          unknown->kind == PUNA_JN_FILTER ? "filter" : "test",
                          unknown->name->n < 64 ? (int)unknown->name->n : 64, unknown->name->data);
    }
    return p.status;
}
