/* unicode.c - Python's view of code points: categories and simple mappings come from utf8proc,
 * the mappings to several code points from Unicode's SpecialCasing.txt (unconditional rows). */
#include "chat/jinja/unicode.h"

#include <utf8proc.h>

static utf8proc_category_t category(int32_t c)
{
    return c < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(c);
}

bool puna_junicode_is_space(int32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
           c == 0x3000;
}

bool puna_junicode_is_line_end(int32_t c)
{
    return (c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

bool puna_junicode_is_alpha(int32_t c)
{
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool puna_junicode_is_decimal(int32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_ND;
}

int puna_junicode_decimal(int32_t c)
{
    if (!puna_junicode_is_decimal(c))
        return -1;
    if (c >= 0x1d7ce && c <= 0x1d7ff) /* five alphabets of digits without a gap */
        return (c - 0x1d7ce) % 10;
    int value = 0; /* elsewhere a script's digits are ten neighbours that start with its zero */
    while (value < 9 && puna_junicode_is_decimal(c - value - 1))
        value++;
    return value;
}

/* Superscripts, subscripts, circled and similar forms that str.isdigit takes. */
bool puna_junicode_is_digit(int32_t c)
{
    static const struct {
        int32_t first, last;
    } forms[] = {
        { 0xb2, 0xb3 },       { 0xb9, 0xb9 },       { 0x1369, 0x1371 },   { 0x19da, 0x19da },
        { 0x2070, 0x2070 },   { 0x2074, 0x2079 },   { 0x2080, 0x2089 },   { 0x2460, 0x2468 },
        { 0x2474, 0x247c },   { 0x2488, 0x2490 },   { 0x24ea, 0x24ea },   { 0x24f5, 0x24fd },
        { 0x24ff, 0x24ff },   { 0x2776, 0x277e },   { 0x2780, 0x2788 },   { 0x278a, 0x2792 },
        { 0x10a40, 0x10a43 }, { 0x10e60, 0x10e68 }, { 0x11052, 0x1105a }, { 0x1f100, 0x1f10a },
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (c >= forms[i].first && c <= forms[i].last)
            return true;
    return puna_junicode_is_decimal(c);
}

bool puna_junicode_is_numeric(int32_t c)
{
    /* Han characters that are numbers: Unicode's Unihan_NumericValues.txt. */
    static const int32_t ideographs[] = {
        0x3405,  0x3483,  0x382a,  0x3b4d,  0x4e00,  0x4e03,  0x4e07,  0x4e09,  0x4e5d,  0x4e8c,  0x4e94,
        0x4e96,  0x4ebf,  0x4ec0,  0x4edf,  0x4ee8,  0x4f0d,  0x4f70,  0x5104,  0x5146,  0x5169,  0x516b,
        0x516d,  0x5341,  0x5343,  0x5344,  0x5345,  0x534c,  0x53c1,  0x53c2,  0x53c3,  0x53c4,  0x56db,
        0x58f1,  0x58f9,  0x5e7a,  0x5efe,  0x5eff,  0x5f0c,  0x5f0d,  0x5f0e,  0x5f10,  0x62fe,  0x634c,
        0x67d2,  0x6f06,  0x7396,  0x767e,  0x8086,  0x842c,  0x8cae,  0x8cb3,  0x8d30,  0x9621,  0x9646,
        0x964c,  0x9678,  0x96f6,  0xf96b,  0xf973,  0xf978,  0xf9b2,  0xf9d1,  0xf9d3,  0xf9fd,  0x20001,
        0x20064, 0x200e2, 0x20121, 0x2092a, 0x20983, 0x2098c, 0x2099c, 0x20aea, 0x20afd, 0x20b19, 0x22390,
        0x22998, 0x23b1b, 0x2626d, 0x2f890
    };
    for (size_t i = 0; i < sizeof ideographs / sizeof *ideographs; i++)
        if (c == ideographs[i])
            return true;
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}

bool puna_junicode_is_identifier(int32_t c)
{
    utf8proc_category_t k = category(c);
    return c == '_' || puna_junicode_is_alpha(c) || k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL ||
           k == UTF8PROC_CATEGORY_PC || k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_MC || c == 0xb7 ||
           c == 0x387 || (c >= 0x1369 && c <= 0x1371) || c == 0x19da;
}

bool puna_junicode_is_printable(int32_t c)
{
    utf8proc_category_t k = category(c);
    return c == ' ' || !(k == UTF8PROC_CATEGORY_CN || k >= UTF8PROC_CATEGORY_ZS);
}

bool puna_junicode_is_upper(int32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_LU || (c >= 0x2160 && c <= 0x216f) ||
           (c >= 0x24b6 && c <= 0x24cf) || (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
           (c >= 0x1f170 && c <= 0x1f189);
}

bool puna_junicode_is_lower(int32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_LL || c == 0xaa || c == 0xba || (c >= 0x2b0 && c <= 0x2b8) ||
           (c >= 0x2c0 && c <= 0x2c1) || (c >= 0x2e0 && c <= 0x2e4) || c == 0x345 || c == 0x37a ||
           (c >= 0x1d2c && c <= 0x1d6a) || c == 0x1d78 || (c >= 0x1d9b && c <= 0x1dbf) || c == 0x2071 ||
           c == 0x207f || (c >= 0x2090 && c <= 0x209c) || (c >= 0x2170 && c <= 0x217f) ||
           (c >= 0x24d0 && c <= 0x24e9) || (c >= 0x2c7c && c <= 0x2c7d) || (c >= 0xa69c && c <= 0xa69d) ||
           c == 0xa770 || (c >= 0xa7f8 && c <= 0xa7f9) || (c >= 0xab5c && c <= 0xab5f) ||
           (c >= 0x10780 && c <= 0x107ba && puna_junicode_is_alpha(c) && c != 0x10781 && c != 0x10782);
}

bool puna_junicode_is_title(int32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_LT;
}

size_t puna_junicode_leading_space(const char *text, size_t n)
{
    size_t at = 0;
    while (at < n) {
        int32_t c;
        int step = puna_utf8_decode(text + at, n - at, &c);
        if (!puna_junicode_is_space(c))
            break;
        at += (size_t)step;
    }
    return at;
}

int puna_junicode_before(const char *text, size_t n, int32_t *c)
{
    int step = 1;
    while (step < 4 && (size_t)step < n && ((unsigned char)text[n - (size_t)step] & 0xc0) == 0x80)
        step++;
    puna_utf8_decode(text + n - (size_t)step, (size_t)step, c);
    return step;
}

size_t puna_junicode_trailing_space(const char *text, size_t n)
{
    size_t left = n;
    while (left) {
        int32_t c;
        int step = puna_junicode_before(text, left, &c);
        if (!puna_junicode_is_space(c))
            break;
        left -= (size_t)step;
    }
    return n - left;
}

/* Code points whose upper or title form is more than one. The Greek block U+1F80..U+1FAF is
 * regular and computed. */
static const struct {
    int32_t from, upper[3], title[3];
} SPECIAL[] = {
    { 0x00df, { 0x53, 0x53, 0 }, { 0x53, 0x73, 0 } },
    { 0x0149, { 0x2bc, 0x4e, 0 }, { 0x2bc, 0x4e, 0 } },
    { 0x01f0, { 0x4a, 0x30c, 0 }, { 0x4a, 0x30c, 0 } },
    { 0x0390, { 0x399, 0x308, 0x301 }, { 0x399, 0x308, 0x301 } },
    { 0x03b0, { 0x3a5, 0x308, 0x301 }, { 0x3a5, 0x308, 0x301 } },
    { 0x0587, { 0x535, 0x552, 0 }, { 0x535, 0x582, 0 } },
    { 0x1e96, { 0x48, 0x331, 0 }, { 0x48, 0x331, 0 } },
    { 0x1e97, { 0x54, 0x308, 0 }, { 0x54, 0x308, 0 } },
    { 0x1e98, { 0x57, 0x30a, 0 }, { 0x57, 0x30a, 0 } },
    { 0x1e99, { 0x59, 0x30a, 0 }, { 0x59, 0x30a, 0 } },
    { 0x1e9a, { 0x41, 0x2be, 0 }, { 0x41, 0x2be, 0 } },
    { 0x1f50, { 0x3a5, 0x313, 0 }, { 0x3a5, 0x313, 0 } },
    { 0x1f52, { 0x3a5, 0x313, 0x300 }, { 0x3a5, 0x313, 0x300 } },
    { 0x1f54, { 0x3a5, 0x313, 0x301 }, { 0x3a5, 0x313, 0x301 } },
    { 0x1f56, { 0x3a5, 0x313, 0x342 }, { 0x3a5, 0x313, 0x342 } },
    { 0x1fb2, { 0x1fba, 0x399, 0 }, { 0x1fba, 0x345, 0 } },
    { 0x1fb3, { 0x391, 0x399, 0 }, { 0x1fbc, 0, 0 } },
    { 0x1fb4, { 0x386, 0x399, 0 }, { 0x386, 0x345, 0 } },
    { 0x1fb6, { 0x391, 0x342, 0 }, { 0x391, 0x342, 0 } },
    { 0x1fb7, { 0x391, 0x342, 0x399 }, { 0x391, 0x342, 0x345 } },
    { 0x1fbc, { 0x391, 0x399, 0 }, { 0x1fbc, 0, 0 } },
    { 0x1fc2, { 0x1fca, 0x399, 0 }, { 0x1fca, 0x345, 0 } },
    { 0x1fc3, { 0x397, 0x399, 0 }, { 0x1fcc, 0, 0 } },
    { 0x1fc4, { 0x389, 0x399, 0 }, { 0x389, 0x345, 0 } },
    { 0x1fc6, { 0x397, 0x342, 0 }, { 0x397, 0x342, 0 } },
    { 0x1fc7, { 0x397, 0x342, 0x399 }, { 0x397, 0x342, 0x345 } },
    { 0x1fcc, { 0x397, 0x399, 0 }, { 0x1fcc, 0, 0 } },
    { 0x1fd2, { 0x399, 0x308, 0x300 }, { 0x399, 0x308, 0x300 } },
    { 0x1fd3, { 0x399, 0x308, 0x301 }, { 0x399, 0x308, 0x301 } },
    { 0x1fd6, { 0x399, 0x342, 0 }, { 0x399, 0x342, 0 } },
    { 0x1fd7, { 0x399, 0x308, 0x342 }, { 0x399, 0x308, 0x342 } },
    { 0x1fe2, { 0x3a5, 0x308, 0x300 }, { 0x3a5, 0x308, 0x300 } },
    { 0x1fe3, { 0x3a5, 0x308, 0x301 }, { 0x3a5, 0x308, 0x301 } },
    { 0x1fe4, { 0x3a1, 0x313, 0 }, { 0x3a1, 0x313, 0 } },
    { 0x1fe6, { 0x3a5, 0x342, 0 }, { 0x3a5, 0x342, 0 } },
    { 0x1fe7, { 0x3a5, 0x308, 0x342 }, { 0x3a5, 0x308, 0x342 } },
    { 0x1ff2, { 0x1ffa, 0x399, 0 }, { 0x1ffa, 0x345, 0 } },
    { 0x1ff3, { 0x3a9, 0x399, 0 }, { 0x1ffc, 0, 0 } },
    { 0x1ff4, { 0x38f, 0x399, 0 }, { 0x38f, 0x345, 0 } },
    { 0x1ff6, { 0x3a9, 0x342, 0 }, { 0x3a9, 0x342, 0 } },
    { 0x1ff7, { 0x3a9, 0x342, 0x399 }, { 0x3a9, 0x342, 0x345 } },
    { 0x1ffc, { 0x3a9, 0x399, 0 }, { 0x1ffc, 0, 0 } },
    { 0xfb00, { 0x46, 0x46, 0 }, { 0x46, 0x66, 0 } },
    { 0xfb01, { 0x46, 0x49, 0 }, { 0x46, 0x69, 0 } },
    { 0xfb02, { 0x46, 0x4c, 0 }, { 0x46, 0x6c, 0 } },
    { 0xfb03, { 0x46, 0x46, 0x49 }, { 0x46, 0x66, 0x69 } },
    { 0xfb04, { 0x46, 0x46, 0x4c }, { 0x46, 0x66, 0x6c } },
    { 0xfb05, { 0x53, 0x54, 0 }, { 0x53, 0x74, 0 } },
    { 0xfb06, { 0x53, 0x54, 0 }, { 0x53, 0x74, 0 } },
    { 0xfb13, { 0x544, 0x546, 0 }, { 0x544, 0x576, 0 } },
    { 0xfb14, { 0x544, 0x535, 0 }, { 0x544, 0x565, 0 } },
    { 0xfb15, { 0x544, 0x53b, 0 }, { 0x544, 0x56b, 0 } },
    { 0xfb16, { 0x54e, 0x546, 0 }, { 0x54e, 0x576, 0 } },
    { 0xfb17, { 0x544, 0x53d, 0 }, { 0x544, 0x56d, 0 } },
};

static void add(puna_buf *out, int32_t c)
{
    char bytes[4];
    puna_buf_add(out, bytes, (size_t)puna_utf8_encode(c, bytes));
}

static bool map_special(puna_buf *out, int32_t c, bool title)
{
    if (c >= 0x1f80 && c <= 0x1faf) {
        int32_t row = (c - 0x1f80) / 16;
        if (title) {
            add(out, c | 8);
        } else {
            static const int32_t bases[] = { 0x1f08, 0x1f28, 0x1f68 };
            add(out, bases[row] + (c & 7));
            add(out, 0x399);
        }
        return true;
    }
    if (c == 0x1fbc || c == 0x1fcc || c == 0x1ffc) { /* already title forms */
        if (title) {
            add(out, c);
            return true;
        }
    }
    for (size_t i = 0; i < sizeof SPECIAL / sizeof *SPECIAL; i++) {
        if (SPECIAL[i].from != c)
            continue;
        const int32_t *to = title ? SPECIAL[i].title : SPECIAL[i].upper;
        for (int k = 0; k < 3 && to[k]; k++)
            add(out, to[k]);
        return true;
    }
    return false;
}

void puna_junicode_map(puna_buf *out, int32_t c, puna_junicode_case to)
{
    if (c < 0) { /* a byte that is not UTF-8 stays */
        puna_buf_add_byte(out, (char)(unsigned char)(-1 - c));
    } else if (to == PUNA_JU_FOLD) {
        utf8proc_int32_t folded[8];
        int boundary = 0;
        utf8proc_ssize_t n = utf8proc_decompose_char(c, folded, 8, UTF8PROC_CASEFOLD, &boundary);
        for (utf8proc_ssize_t i = 0; i < n && i < 8; i++)
            add(out, folded[i]);
    } else if (to == PUNA_JU_LOWER) {
        add(out, c == 0x130 ? 'i' : utf8proc_tolower(c));
        if (c == 0x130)
            add(out, 0x307);
    } else if (c < 0xdf || !map_special(out, c, to == PUNA_JU_TITLE)) {
        add(out, to == PUNA_JU_TITLE ? utf8proc_totitle(c) : utf8proc_toupper(c));
    }
}

static bool is_case_ignorable(int32_t c)
{
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_ME || k == UTF8PROC_CATEGORY_CF ||
           k == UTF8PROC_CATEGORY_LM || k == UTF8PROC_CATEGORY_SK || c == '\'' || c == '.' || c == ':' ||
           c == 0xb7 || c == 0x2019 || c == 0x2024 || c == 0x2027;
}

static bool is_cased(int32_t c)
{
    return puna_junicode_is_lower(c) || puna_junicode_is_upper(c) || puna_junicode_is_title(c);
}

/* The capital sigma at `at` is final: a cased letter before it and none after, marks aside. */
static bool is_final_sigma(const char *text, size_t n, size_t at)
{
    int32_t c = 0;
    size_t i = at;
    bool before = false;
    while (i > 0 && !before) {
        i -= (size_t)puna_junicode_before(text, i, &c);
        if (!is_case_ignorable(c)) {
            before = is_cased(c);
            break;
        }
    }
    if (!before)
        return false;
    for (i = at + 2; i < n;) {
        i += (size_t)puna_utf8_decode(text + i, n - i, &c);
        if (!is_case_ignorable(c))
            return !is_cased(c);
    }
    return true;
}

void puna_junicode_lower_at(puna_buf *out, const char *text, size_t n, size_t at, int32_t c)
{
    if (c == 0x3a3 && is_final_sigma(text, n, at))
        add(out, 0x3c2);
    else
        puna_junicode_map(out, c, PUNA_JU_LOWER);
}

void puna_junicode_lower(puna_buf *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        int32_t c;
        int step = puna_utf8_decode(text + i, n - i, &c);
        puna_junicode_lower_at(out, text, n, i, c);
        i += (size_t)step;
    }
}
