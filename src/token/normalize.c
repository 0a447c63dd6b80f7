/* normalize.c - the steps of a normalizer, each from one buffer into another. */
#include "token/normalize.h"

#include <stdlib.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "token/internal.h"

static void add_code(puna_buf *out, int32_t code)
{
    char bytes[4];
    puna_buf_add(out, bytes, (size_t)puna_utf8_encode(code, bytes));
}

/* ---- Unicode forms ----------------------------------------------------------------------- */

/* Valid UTF-8 without a byte above the limit is its own normal form. */
static bool all_below(const char *text, size_t n, unsigned char limit)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] >= limit)
            return false;
    return true;
}

static size_t valid_run(const char *text, size_t n)
{
    size_t at = 0;
    int32_t code;
    while (at < n) {
        int length = puna_utf8_decode(text + at, n - at, &code);
        if (code < 0)
            break;
        at += (size_t)length;
    }
    return at;
}

static void unicode_form(puna_step_kind kind, const char *text, size_t n, puna_buf *out)
{
    /* Below U+0300 (bytes cc 80) NFC changes nothing; the other forms change Latin-1. */
    if (all_below(text, n, kind == PUNA_STEP_NFC ? 0xcc : 0x80)) {
        puna_buf_add(out, text, n);
        return;
    }
    int options = UTF8PROC_STABLE;
    options |= kind == PUNA_STEP_NFC || kind == PUNA_STEP_NFKC ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
    options |= kind == PUNA_STEP_NFKC || kind == PUNA_STEP_NFKD ? UTF8PROC_COMPAT : 0;
    while (n > 0 && !out->failed) {
        size_t run = valid_run(text, n);
        utf8proc_uint8_t *mapped = NULL;
        utf8proc_ssize_t length = 0;
        if (run > 0)
            length = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)run, &mapped,
                                  (utf8proc_option_t)options);
        if (length < 0)
            out->failed = true;
        else if (run > 0)
            puna_buf_add(out, mapped, (size_t)length);
        free(mapped);
        if (run < n)
            puna_buf_add_byte(out, text[run++]);
        text += run;
        n -= run;
    }
}

/* ---- Character by character -------------------------------------------------------------- */

static void add_lower(puna_buf *out, int32_t code)
{
    if (code == 0x130) { /* the only letter whose lower case is two code points */
        puna_buf_add_text(out, "i\xcc\x87");
        return;
    }
    add_code(out, utf8proc_tolower(code));
}

bool puna_char_is_cjk(int32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
           (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) ||
           (c >= 0x2b920 && c <= 0x2ceaf) || (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

static bool control(int32_t code)
{
    utf8proc_category_t category = utf8proc_category(code);
    return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
           category == UTF8PROC_CATEGORY_CO || category == UTF8PROC_CATEGORY_CS;
}

/* BERT's first pass: controls go, whitespace becomes spaces, ideographs stand alone. */
static void bert_char(const puna_step *step, int32_t code, puna_buf *out)
{
    bool newline = code == '\t' || code == '\n' || code == '\r';
    if (step->clean && (code == 0 || code == 0xfffd || (control(code) && !newline)))
        return;
    if (step->clean && puna_char_class(code) & PUNA_C_SPACE)
        puna_buf_add_byte(out, ' ');
    else if (step->cjk && puna_char_is_cjk(code)) {
        puna_buf_add_byte(out, ' ');
        add_code(out, code);
        puna_buf_add_byte(out, ' ');
    } else {
        add_code(out, code);
    }
}

/* As SentencePiece's nmt rules. */
static void nmt_char(int32_t c, const char *text, size_t length, puna_buf *out)
{
    bool gone =
        (c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f;
    bool space = c == 9 || c == 0xa || c == 0xc || c == 0xd || c == 0x1680 || (c >= 0x200b && c <= 0x200f) ||
                 c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xfeff || c == 0xfffd;
    if (!gone)
        puna_buf_add(out, space ? " " : text, space ? 1 : length);
}

static bool stripped(puna_step_kind kind, int32_t code)
{
    utf8proc_category_t category = utf8proc_category(code);
    return category == UTF8PROC_CATEGORY_MN ||
           (kind == PUNA_STEP_STRIP_MARKS &&
            (category == UTF8PROC_CATEGORY_MC || category == UTF8PROC_CATEGORY_ME));
}

static void map_chars(const puna_step *step, puna_step_kind kind, const char *text, size_t n, puna_buf *out)
{
    int32_t code;
    for (size_t at = 0; at < n && !out->failed;) {
        int length = puna_utf8_decode(text + at, n - at, &code);
        if (code < 0)
            puna_buf_add(out, kind == PUNA_STEP_BERT ? "" : text + at, kind == PUNA_STEP_BERT ? 0 : 1);
        else if (kind == PUNA_STEP_BERT)
            bert_char(step, code, out);
        else if (kind == PUNA_STEP_LOWER)
            add_lower(out, code);
        else if (kind == PUNA_STEP_NMT)
            nmt_char(code, text + at, (size_t)length, out);
        else if (!stripped(kind, code))
            puna_buf_add(out, text + at, (size_t)length);
        at += (size_t)length;
    }
}

static void bert(const puna_step *step, const char *text, size_t n, puna_buf *out)
{
    puna_buf a = puna_buf_make(out->max), b = puna_buf_make(out->max);
    map_chars(step, PUNA_STEP_BERT, text, n, &a);
    if (step->accents) {
        unicode_form(PUNA_STEP_NFD, a.data, a.n, &b);
        a.n = 0;
        map_chars(step, PUNA_STEP_STRIP_NONSPACING, b.data, b.n, &a);
    }
    if (step->lower)
        map_chars(step, PUNA_STEP_LOWER, a.data, a.n, out);
    else
        puna_buf_add(out, a.data, a.n);
    out->failed |= a.failed || b.failed;
    puna_buf_free(&a);
    puna_buf_free(&b);
}

/* ---- Texts ------------------------------------------------------------------------------- */

static void replace(const puna_step *step, const char *text, size_t n, puna_buf *out)
{
    size_t start = 0, at = 0;
    while (step->n_from > 0 && at + step->n_from <= n && !out->failed) {
        if (text[at] != step->from[0] || memcmp(text + at, step->from, step->n_from) != 0) {
            at++;
            continue;
        }
        size_t end = at + step->n_from;
        while (step->runs && end + step->n_from <= n && memcmp(text + end, step->from, step->n_from) == 0)
            end += step->n_from;
        if (!step->runs || end > at + step->n_from) {
            puna_buf_add(out, text + start, at - start);
            puna_buf_add(out, step->to, step->n_to);
            start = end;
        }
        at = end;
    }
    puna_buf_add(out, text + start, n - start);
}

/* Empty matches replace nothing. */
static void replace_regex(const puna_step *step, const char *text, size_t n, puna_buf *out)
{
    puna_regex_run run = { 0 };
    puna_regex_allow(&run, n);
    size_t start = 0;
    for (size_t at = 0; at < n && !out->failed && !run.failed;) {
        ptrdiff_t end = puna_regex_match(step->regex, &run, text, n, at);
        int32_t code;
        if (end <= (ptrdiff_t)at) {
            at += (size_t)puna_utf8_decode(text + at, n - at, &code);
            continue;
        }
        puna_buf_add(out, text + start, at - start);
        puna_buf_add(out, step->to, step->n_to);
        start = at = (size_t)end;
    }
    puna_buf_add(out, text + start, n - start);
    out->failed |= run.failed;
    puna_regex_run_free(&run);
}

static void strip(const puna_step *step, const char *text, size_t n, puna_buf *out)
{
    size_t start = 0, end = 0;
    bool inside = false;
    for (size_t at = 0; at < n;) {
        int32_t code;
        int length;
        bool space = puna_char_at(text + at, n - at, &length, &code) & PUNA_C_SPACE;
        if (!space && !inside) {
            start = at;
            inside = true;
        }
        at += (size_t)length;
        if (!space)
            end = at;
    }
    start = step->left ? (inside ? start : n) : 0;
    end = step->right ? (inside ? end : start) : n;
    puna_buf_add(out, text + start, end - start);
}

/* ---- Character maps ---------------------------------------------------------------------- */

static bool map_part(const puna_step *step, const char *text, size_t n, puna_buf *out)
{
    const char *replacement;
    if (!puna_charsmap_find(&step->map, text, n, false, &replacement))
        return false;
    puna_buf_add_text(out, replacement);
    return true;
}

static size_t grapheme(const char *text, size_t n)
{
    int32_t code, next, state = 0;
    size_t at = (size_t)puna_utf8_decode(text, n, &code);
    while (code >= 0 && at < n) {
        int length = puna_utf8_decode(text + at, n - at, &next);
        if (next < 0 || utf8proc_grapheme_break_stateful(code, next, &state))
            break;
        at += (size_t)length;
        code = next;
    }
    return at;
}

/* tokenizer.json's Precompiled: a short grapheme is replaced as a whole, whatever part of its
 * beginning the map knows; else each character by itself. */
static void charsmap_graphemes(const puna_step *step, const char *text, size_t n, puna_buf *out)
{
    for (size_t at = 0, end; at < n && !out->failed; at = end) {
        end = at + grapheme(text + at, n - at);
        if (end - at < 6 && map_part(step, text + at, end - at, out))
            continue;
        for (size_t i = at; i < end;) {
            int32_t code;
            size_t length = (size_t)puna_utf8_decode(text + i, end - i, &code);
            if (!map_part(step, text + i, length, out))
                puna_buf_add(out, text + i, length);
            i += length;
        }
    }
}

/* One chunk of SentencePiece's normalization: what the next bytes become; returns how many. */
static size_t chunk(const puna_step *step, const char *text, size_t n, const char **to, size_t *n_to)
{
    int32_t code;
    size_t length = step->user ? puna_trie_longest(step->user, text, n, &code) : 0;
    *to = text;
    *n_to = length;
    if (length)
        return length;
    length = puna_charsmap_find(&step->map, text, n, true, to);
    if (length) {
        *n_to = strlen(*to);
        return length;
    }
    *to = text;
    *n_to = length = (size_t)puna_utf8_decode(text, n, &code);
    if (code < 0 && !step->keep_bytes) {
        *to = "\xef\xbf\xbd";
        *n_to = 3;
    }
    return length;
}

/* SentencePiece: runs of spaces become one and go at both ends (remove_extra), a space is put
 * before or, as suffix, behind the text, spaces are written as U+2581 (escape). */
static void sentencepiece(const puna_step *step, bool prefix, const char *text, size_t n, puna_buf *out)
{
    const char *to, *space = step->escape ? PUNA_SPACE_MARK : " ";
    size_t n_to, at = 0;
    while (step->remove_extra && at < n) {
        size_t length = chunk(step, text + at, n - at, &to, &n_to);
        if (n_to != 1 || *to != ' ')
            break;
        at += length;
    }
    if (at >= n)
        return;
    if (prefix && !step->suffix)
        puna_buf_add_text(out, space);
    bool after_space = step->remove_extra;
    while (at < n && !out->failed) {
        at += chunk(step, text + at, n - at, &to, &n_to);
        for (; after_space && n_to > 0 && *to == ' '; n_to--)
            to++;
        if (n_to == 0)
            continue;
        for (size_t i = 0; i < n_to; i++)
            if (to[i] == ' ')
                puna_buf_add_text(out, space);
            else
                puna_buf_add_byte(out, to[i]);
        after_space = step->remove_extra && to[n_to - 1] == ' ';
    }
    size_t n_space = strlen(space);
    while (step->remove_extra && out->n >= n_space &&
           memcmp(out->data + out->n - n_space, space, n_space) == 0)
        out->n -= n_space;
    if (prefix && step->suffix)
        puna_buf_add_text(out, space);
}

/* ---- All of them ------------------------------------------------------------------------- */

static void run_step(const puna_step *step, bool prefix, const char *text, size_t n, puna_buf *out)
{
    size_t bom;
    switch (step->kind) {
    case PUNA_STEP_NFC:
    case PUNA_STEP_NFD:
    case PUNA_STEP_NFKC:
    case PUNA_STEP_NFKD:
        unicode_form(step->kind, text, n, out);
        break;
    case PUNA_STEP_LOWER:
    case PUNA_STEP_STRIP_MARKS:
    case PUNA_STEP_STRIP_NONSPACING:
    case PUNA_STEP_NMT:
        map_chars(step, step->kind, text, n, out);
        break;
    case PUNA_STEP_REPLACE:
        replace(step, text, n, out);
        break;
    case PUNA_STEP_REPLACE_REGEX:
        replace_regex(step, text, n, out);
        break;
    case PUNA_STEP_PREPEND:
        if (n > 0)
            puna_buf_add(out, step->to, step->n_to);
        puna_buf_add(out, text, n);
        break;
    case PUNA_STEP_STRIP:
        strip(step, text, n, out);
        break;
    case PUNA_STEP_BERT:
        bert(step, text, n, out);
        break;
    case PUNA_STEP_BOM:
        bom = n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
        puna_buf_add(out, text + bom, n - bom);
        break;
    case PUNA_STEP_CHARSMAP:
        charsmap_graphemes(step, text, n, out);
        break;
    case PUNA_STEP_SENTENCEPIECE:
        sentencepiece(step, prefix, text, n, out);
        break;
    }
}

puna_status puna_normalize(const puna_step *steps, int n_steps, bool prefix, const char *text, size_t n,
                           puna_buf *out, puna_error *err)
{
    puna_buf from = puna_buf_make(out->max);
    out->n = 0;
    if (n_steps == 0)
        puna_buf_add(out, text, n);
    for (int i = 0; i < n_steps && !out->failed; i++) {
        if (i > 0) {
            puna_buf swap = from;
            from = *out;
            *out = swap;
            out->n = 0;
            text = from.data ? from.data : "";
            n = from.n;
        }
        run_step(&steps[i], prefix, text, n, out);
    }
    puna_buf_free(&from);
    return out->failed ? puna_fail_memory(err, "normalize", out->max) : PUNA_OK;
}
