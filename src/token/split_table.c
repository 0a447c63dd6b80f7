/* split_table.c - the published pre-tokenizer patterns as data: rules, the names that GGUF files
 * give to sequences of rules, and the pattern texts of tokenizer.json. */
#include "token/split.h"

#include <string.h>

#include "token/table.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Script Han as far as text has it: ideographs, radicals, numerals and marks. */
const puna_range puna_han[] = {
    { 0x2e80, 0x2e99 },   { 0x2e9b, 0x2ef3 },   { 0x2f00, 0x2fd5 },   { 0x3005, 0x3005 },
    { 0x3007, 0x3007 },   { 0x3021, 0x3029 },   { 0x3038, 0x303b },   { 0x3400, 0x4dbf },
    { 0x4e00, 0x9fff },   { 0xf900, 0xfa6d },   { 0xfa70, 0xfad9 },   { 0x16fe2, 0x16fe3 },
    { 0x16ff0, 0x16ff1 }, { 0x20000, 0x2a6df }, { 0x2a700, 0x2b739 }, { 0x2b740, 0x2b81d },
    { 0x2b820, 0x2cea1 }, { 0x2ceb0, 0x2ebe0 }, { 0x2f800, 0x2fa1d }, { 0x30000, 0x3134a },
    { 0x31350, 0x323af },
};
const size_t puna_n_han = COUNT(puna_han);

/* Joiners, letter numbers, letters in circles. */
const puna_range puna_word_chars[] = {
    { 0x16ee, 0x16f0 },   { 0x200c, 0x200d },   { 0x2160, 0x2182 },   { 0x2185, 0x2188 },
    { 0x24b6, 0x24e9 },   { 0x3007, 0x3007 },   { 0x3021, 0x3029 },   { 0x3038, 0x303a },
    { 0xa6e6, 0xa6ef },   { 0x10140, 0x10174 }, { 0x10341, 0x10341 }, { 0x1034a, 0x1034a },
    { 0x103d1, 0x103d5 }, { 0x12400, 0x1246e }, { 0x1f130, 0x1f149 }, { 0x1f150, 0x1f169 },
    { 0x1f170, 0x1f189 },
};
const size_t puna_n_word_chars = COUNT(puna_word_chars);

/* The code points that two DeepSeek models call letters (cased letters of an early Unicode). */
static const puna_range deepseek_letters[] = {
    { 0x41, 0x5a },       { 0x61, 0x7a },       { 0xb5, 0xb5 },       { 0xc0, 0xd6 },
    { 0xd8, 0xf6 },       { 0xf8, 0x1ba },      { 0x1bc, 0x1bf },     { 0x1c4, 0x293 },
    { 0x295, 0x2af },     { 0x370, 0x373 },     { 0x376, 0x376 },     { 0x377, 0x377 },
    { 0x37b, 0x37d },     { 0x37f, 0x37f },     { 0x386, 0x386 },     { 0x388, 0x38a },
    { 0x38c, 0x38c },     { 0x38e, 0x3a1 },     { 0x3a3, 0x3f5 },     { 0x3f7, 0x481 },
    { 0x48a, 0x52f },     { 0x531, 0x556 },     { 0x10a0, 0x10c5 },   { 0x13a0, 0x13f5 },
    { 0x13f8, 0x13fd },   { 0x1c90, 0x1cba },   { 0x1cbd, 0x1cbf },   { 0x1d00, 0x1d2b },
    { 0x1d6b, 0x1d77 },   { 0x1d79, 0x1d9a },   { 0x1e00, 0x1f15 },   { 0x1f18, 0x1f1d },
    { 0x1f20, 0x1f45 },   { 0x1f48, 0x1f4d },   { 0x1f50, 0x1f57 },   { 0x1f59, 0x1f59 },
    { 0x1f5b, 0x1f5b },   { 0x1f5d, 0x1f5d },   { 0x1f5f, 0x1f7d },   { 0x1f80, 0x1fb4 },
    { 0x1fb6, 0x1fbc },   { 0x1fbe, 0x1fbe },   { 0x1fc2, 0x1fc4 },   { 0x1fc6, 0x1fcc },
    { 0x1fd0, 0x1fd3 },   { 0x1fd6, 0x1fdb },   { 0x1fe0, 0x1fec },   { 0x1ff2, 0x1ff4 },
    { 0x1ff6, 0x1ffc },   { 0x2102, 0x2102 },   { 0x2107, 0x2107 },   { 0x210a, 0x2113 },
    { 0x2115, 0x2115 },   { 0x2119, 0x211d },   { 0x2124, 0x2124 },   { 0x2126, 0x2126 },
    { 0x2128, 0x2128 },   { 0x212a, 0x212d },   { 0x212f, 0x2134 },   { 0x2139, 0x2139 },
    { 0x213c, 0x213f },   { 0x2145, 0x2149 },   { 0x214e, 0x214e },   { 0x2183, 0x2183 },
    { 0x2184, 0x2184 },   { 0x2c00, 0x2c7b },   { 0x2c7e, 0x2ce4 },   { 0x2ceb, 0x2cee },
    { 0x2cf2, 0x2cf2 },   { 0x2cf3, 0x2cf3 },   { 0xa640, 0xa66d },   { 0xa680, 0xa69b },
    { 0xa722, 0xa76f },   { 0xa771, 0xa787 },   { 0xa78b, 0xa78e },   { 0xab70, 0xabbf },
    { 0xfb00, 0xfb06 },   { 0xfb13, 0xfb17 },   { 0xff21, 0xff3a },   { 0xff41, 0xff5a },
    { 0x10400, 0x1044f }, { 0x104b0, 0x104d3 }, { 0x104d8, 0x104fb }, { 0x10c80, 0x10cb2 },
    { 0x10cc0, 0x10cf2 }, { 0x118a0, 0x118df }, { 0x1e900, 0x1e943 },
};
static const puna_range deepseek_punctuation[] = {
    { 0x21, 0x2f },     { 0x3a, 0x7e },     { 0x2018, 0x201f },
    { 0x3000, 0x3002 }, { 0xff01, 0xff0f }, { 0xff1a, 0xff5e },
};
static const puna_range deepseek_cjk[] = { { 0x800, 0x9fa5 }, { 0xac00, 0xd7ff } };
static const puna_range kana_and_cjk[] = { { 0x3040, 0x309f }, { 0x30a0, 0x30ff }, { 0x4e00, 0x9fa5 } };
static const puna_range hangul[] = { { 0x3131, 0x318e }, { 0xac00, 0xd7a3 } };
static const puna_range bopomofo[] = { { 0x3105, 0x312f } };
static const puna_range wide_punctuation[] = {
    { 0x2014, 0x2014 }, { 0x2018, 0x2019 }, { 0x201c, 0x201d }, { 0x2026, 0x2026 }, { 0x3001, 0x303f },
    { 0xfe30, 0xfe4f }, { 0xff01, 0xff01 }, { 0xff0c, 0xff0c }, { 0xff1a, 0xff1b },
};
static const puna_range asian[] = {
    { 0xe40, 0xe7f },   { 0xe80, 0xeff },   { 0x1000, 0x109f }, { 0x1100, 0x11ff }, { 0x1780, 0x17ff },
    { 0x2f00, 0x2fdf }, { 0x3040, 0x309f }, { 0x30a0, 0x30ff }, { 0x3400, 0x4dbf }, { 0x4e00, 0x9fff },
    { 0xa9e0, 0xa9ff }, { 0xaa60, 0xaa7f }, { 0xac00, 0xd7af }, { 0xf900, 0xfaff }, { 0xff65, 0xff9f },
};
static const puna_range math_signs[] = {
    { '$', '$' }, { '+', '+' }, { '<', '>' }, { '^', '^' }, { '|', '|' }, { '~', '~' },
};
static const puna_range math_signs_tick[] = {
    { '$', '$' }, { '+', '+' }, { '<', '>' }, { '^', '^' }, { '`', '`' }, { '|', '|' }, { '~', '~' },
};
static const puna_range ascii_digit[] = { { '0', '9' } };
static const puna_range newline[] = { { '\n', '\n' }, { '\r', '\r' } };
static const puna_range not_bloom[] = {
    { '!', '!' },     { '(', ')' },       { ',', ',' },       { '.', '.' },
    { '?', '?' },     { '|', '|' },       { 0x60c, 0x60c },   { 0x6d4, 0x6d4 },
    { 0x964, 0x964 }, { 0x2026, 0x2026 }, { 0x3001, 0x3002 }, { 0xff0c, 0xff0c },
};
static const puna_range ascii_symbols[] = {
    { '!', '/' },
    { ':', '@' },
    { '[', '`' },
    { '{', '~' },
};

#define RANGES(array) .ranges = array, .n_ranges = COUNT(array)
#define RUN(...)                            \
    {                                       \
        .kind = PUNA_SPLIT_RUN, __VA_ARGS__ \
    }
#define NUMBERS(count) RUN(.set = PUNA_C_NUMBER, .max = count)

/* The alternatives shared by the descendants of GPT-4's pattern. */
#define NOT_WORD (PUNA_C_SPACE | PUNA_C_L | PUNA_C_NUMBER)
#define MODERN                                                            \
    .kind = PUNA_SPLIT_WORDS, .letters = PUNA_C_L, .punct_not = NOT_WORD, \
    .not_prefix = PUNA_C_NEWLINE | PUNA_C_L | PUNA_C_NUMBER, .lines = PUNA_LINES_RUN
#define CASED MODERN, .shape = PUNA_WORD_CASED, .trail = PUNA_TRAIL_LINES_SLASH
#define DEEPSEEK                                                                     \
    .kind = PUNA_SPLIT_WORDS, .ascii_word = true, .letters = PUNA_C_L | PUNA_C_MARK, \
    .not_prefix = PUNA_C_NEWLINE | PUNA_C_L | PUNA_C_PUNCT | PUNA_C_SYMBOL,          \
    .punct_in = PUNA_C_PUNCT | PUNA_C_SYMBOL

typedef puna_split_rule rule;

const rule puna_split_gpt2 = { .kind = PUNA_SPLIT_WORDS,
                               .contraction = PUNA_EXACT,
                               .letters = PUNA_C_L,
                               .digits_blank = true,
                               .punct_not = NOT_WORD };
const rule puna_split_whitespace = RUN(.set = PUNA_C_SPACE, .behavior = PUNA_REMOVED);
const rule puna_split_punctuation = RUN(.set = PUNA_C_PUNCT, RANGES(ascii_symbols), .max = 1);
const rule puna_split_word_chars =
    RUN(.set = PUNA_C_L | PUNA_C_MARK | PUNA_C_DIGIT | PUNA_C_WORD, RANGES(puna_word_chars));
const rule puna_split_digits = NUMBERS(0);
const rule puna_split_digits_each = NUMBERS(1);

static const rule llama3 = { MODERN, .contraction = PUNA_ANY_CASE, .digits_max = 3,
                             .trail = PUNA_TRAIL_LINES };
static const rule cl100k = { MODERN, .contraction = PUNA_ANY_CASE, .digits_max = 3, .trail = PUNA_TRAIL_LINES,
                             .tail = true };
static const rule jais2 = { MODERN, .contraction = PUNA_ANY_CASE, .digits_max = 3, .trail = PUNA_TRAIL_LINES,
                            .space_powers = true };
static const rule qwen2 = { MODERN, .contraction = PUNA_ANY_CASE, .digits_max = 1,
                            .trail = PUNA_TRAIL_LINES };
static const rule cl100k_any = { MODERN, .contraction = PUNA_ANY_CASE, .trail = PUNA_TRAIL_LINES };
static const rule ufakzeka = { MODERN, .digits_max = 1, .trail = PUNA_TRAIL_LINES };
static const rule seed_coder = { MODERN, .contraction = PUNA_ANY_CASE, .digits_max = 1 };
static const rule qwen35 = { .kind = PUNA_SPLIT_WORDS,
                             .contraction = PUNA_ANY_CASE,
                             .letters = PUNA_C_L | PUNA_C_MARK,
                             .punct_not = NOT_WORD | PUNA_C_MARK,
                             .not_prefix = PUNA_C_NEWLINE | PUNA_C_L | PUNA_C_NUMBER,
                             .digits_max = 1,
                             .trail = PUNA_TRAIL_LINES,
                             .lines = PUNA_LINES_RUN };
static const rule exaone_moe = { MODERN, .contraction = PUNA_ANY_CASE, .shape = PUNA_WORD_SPACED,
                                 .digits_max = 1, .trail = PUNA_TRAIL_ONE };
static const rule tekken = { CASED, .digits_max = 1 };
static const rule gpt4o = { CASED, .digits_max = 3, .suffix_contraction = PUNA_ANY_CASE };
static const rule youtu = { CASED, .digits_max = 1, .suffix_contraction = PUNA_ANY_CASE };
static const rule kimi = { MODERN,
                           .han = true,
                           .shape = PUNA_WORD_CASED,
                           .digits_max = 3,
                           .trail = PUNA_TRAIL_LINES,
                           .suffix_contraction = PUNA_ANY_CASE };
static const rule deepseek3 = { DEEPSEEK, .trail = PUNA_TRAIL_LINES, .lines = PUNA_LINES_RUN };
static const rule spark = { DEEPSEEK, .lines = PUNA_LINES_ONE };

static const rule numbers3 = NUMBERS(3);
static const rule ascii_digits3 = RUN(RANGES(ascii_digit), .min = 3, .max = 3);
static const rule ascii_digit_each = RUN(RANGES(ascii_digit), .max = 1);
static const rule space_run = RUN(.set = PUNA_C_SPACE);
static const rule not_space_run = RUN(.set_not = PUNA_C_SPACE);
static const rule newline_each = RUN(RANGES(newline), .max = 1);
static const rule letters_run = RUN(.lead = 2, .set = PUNA_C_L);
static const rule punct_run = RUN(.lead = 2, .set = PUNA_C_PUNCT);
static const rule deepseek_words = RUN(.lead = 2, RANGES(deepseek_letters));
static const rule deepseek_punct = RUN(.lead = 2, RANGES(deepseek_punctuation));
static const rule deepseek_cjk_run = RUN(RANGES(deepseek_cjk));
static const rule cjk_run = RUN(RANGES(kana_and_cjk));
static const rule hangul_run = RUN(RANGES(hangul));
static const rule bopomofo_run = RUN(RANGES(bopomofo));
static const rule wide_punct_run = RUN(RANGES(wide_punctuation));
static const rule asian_run = RUN(RANGES(asian));
static const rule falcon_punct = RUN(.set = PUNA_C_PUNCT, RANGES(math_signs_tick));
static const rule default_punct = RUN(.set = PUNA_C_PUNCT, RANGES(math_signs));
static const rule bloom_words = RUN(.lead = 1, .set_not = PUNA_C_SPACE, RANGES(not_bloom));
static const rule tail_space = { .kind = PUNA_SPLIT_TAIL_SPACE };
static const rule lines = { .kind = PUNA_SPLIT_LINES };
static const rule threes = { .kind = PUNA_SPLIT_DIGITS };
static const rule threes_bounded = { .kind = PUNA_SPLIT_DIGITS, .boundary = true };

/* ---- Patterns in tokenizer.json ---------------------------------------------------------- */

const puna_split_text_rule puna_split_texts[] = {
    { "\\p{N}", &puna_split_digits_each },
    { "\\p{N}{1}", &puna_split_digits_each },
    { "\\p{N}+", &puna_split_digits },
    { "\\p{N}{1,3}", &numbers3 },
    { "[0-9]", &ascii_digit_each },
    { "[0-9][0-9][0-9]", &ascii_digits3 },
    { "[\\r\\n]", &newline_each },
    { "[\r\n]", &newline_each },
    { "\\s?\\p{L}+", &letters_run },
    { "\\s?\\p{P}+", &punct_run },
    { "\\s+$", &tail_space },
    { "[\xe4\xb8\x80-\xe9\xbe\xa5\xe0\xa0\x80-\xe4\xb8\x80\xea\xb0\x80-\xed\x9f\xbf]+", &deepseek_cjk_run },
    { "[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+", &cjk_run },
    { "\\d{1,3}(?=(?:\\d{3})*\\b)", &threes_bounded },
    { " ?[^(\\s|.,!?\xe2\x80\xa6\xe3\x80\x82\xef\xbc\x8c\xe3\x80\x81\xe0\xa5\xa4\xdb\x94\xd8\x8c)]+",
      &bloom_words },
    { "\\s+", &space_run },
    { "\\S+", &not_space_run },
    { NULL, NULL },
};

/* ---- Names in tokenizer.ggml.pre --------------------------------------------------------- */

static const puna_split_preset presets[] = {
    { .name = "default", .stages = { &default_punct, &puna_split_gpt2, &puna_split_digits, &ascii_digits3 } },
#define PLAIN(text)                                  \
    {                                                \
        .name = text, .stages = { &puna_split_gpt2 } \
    }
    PLAIN("gpt-2"),
    PLAIN("phi-2"),
    PLAIN("jina-es"),
    PLAIN("jina-de"),
    PLAIN("gigachat"),
    PLAIN("jina-v2-es"),
    PLAIN("jina-v2-de"),
    PLAIN("a.x-4.0"),
    PLAIN("mellum"),
    PLAIN("modern-bert"),
    PLAIN("mpt"),
    PLAIN("olmo"),
    PLAIN("jais"),
    PLAIN("trillion"),
    PLAIN("granite-docling"),
    PLAIN("exaone4"),
#undef PLAIN
    { .name = "jina-v1-en", .stages = { &puna_split_gpt2 }, .add_sep = true },
    { .name = "jina-v2-code", .stages = { &puna_split_gpt2 }, .add_sep = true },
    { .name = "roberta-bpe", .stages = { &puna_split_gpt2 }, .add_sep = true },
#define DIGITWISE(text)                                                       \
    {                                                                         \
        .name = text, .stages = { &puna_split_digits_each, &puna_split_gpt2 } \
    }
    DIGITWISE("starcoder"),
    DIGITWISE("refact"),
    DIGITWISE("command-r"),
    DIGITWISE("smollm"),
    DIGITWISE("codeshell"),
    DIGITWISE("exaone"),
    DIGITWISE("minerva-7b"),
    DIGITWISE("mellum2"),
#undef DIGITWISE
#define LLAMA3(text)                                                                \
    {                                                                               \
        .name = text, .stages = { &llama3 }, .ignore_merges = true, .add_bos = true \
    }
    LLAMA3("llama3"),
    LLAMA3("llama-v3"),
    LLAMA3("llama-bpe"),
    LLAMA3("falcon3"),
    LLAMA3("falcon-h1"),
    LLAMA3("pixtral"),
    LLAMA3("midm-2.0"),
    LLAMA3("lfm2"),
    LLAMA3("jina-v5-nano"),
#undef LLAMA3
#define SIMPLE(text, rule_)                \
    {                                      \
        .name = text, .stages = { &rule_ } \
    }
    SIMPLE("dbrx", llama3),
    SIMPLE("smaug-bpe", llama3),
    SIMPLE("jais-2", jais2),
    SIMPLE("cl100k_base", cl100k), /* GGUF has no such name; lists of ranks have the pattern */
    SIMPLE("chatglm-bpe", llama3),
    SIMPLE("qwen2", qwen2),
    SIMPLE("deepseek-r1-qwen", qwen2),
    SIMPLE("kormo", qwen2),
    SIMPLE("f2llmv2", qwen2),
    SIMPLE("stablelm2", qwen2),
    SIMPLE("hunyuan", qwen2),
    SIMPLE("solar-open", qwen2),
    SIMPLE("megrez", qwen2),
    SIMPLE("grok-2", qwen2),
    SIMPLE("bailingmoe", qwen2),
    SIMPLE("bailingmoe2", qwen2),
    SIMPLE("llada-moe", qwen2),
    SIMPLE("qwen35", qwen35),
    SIMPLE("seed-coder", seed_coder),
    SIMPLE("ufakzeka", ufakzeka),
    SIMPLE("exaone-moe", exaone_moe),
    SIMPLE("superbpe", threes),
    SIMPLE("gpt-4o", gpt4o),
    SIMPLE("llama4", gpt4o),
    SIMPLE("kanana2", gpt4o),
    SIMPLE("talkie", gpt4o),
    SIMPLE("minimax-m2", gpt4o),
    SIMPLE("poro-chat", bloom_words),
    SIMPLE("bloom", bloom_words),
    SIMPLE("gpt3-finnish", bloom_words),
#undef SIMPLE
    { .name = "glm4", .stages = { &llama3 }, .ignore_merges = true },
    { .name = "glm5", .stages = { &llama3 }, .ignore_merges = true },
    { .name = "viking", .stages = { &bloom_words, &puna_split_digits_each } },
    { .name = "granite-embed-multi-97m", .stages = { &gpt4o }, .ignore_merges = true },
    { .name = "tekken", .stages = { &tekken }, .ignore_merges = true, .add_bos = true },
    { .name = "tiny_aya", .stages = { &threes_bounded, &gpt4o } },
    { .name = "cohere2moe", .stages = { &threes_bounded, &gpt4o } },
    { .name = "kimi-k2", .stages = { &kimi } },
    { .name = "laguna", .stages = { &lines, &qwen2 } },
    { .name = "minicpm5", .stages = { &numbers3, &cl100k_any }, .ignore_merges = true },
    { .name = "falcon", .stages = { &falcon_punct, &puna_split_gpt2, &ascii_digits3 } },
    { .name = "deepseek-llm",
      .stages = { &newline_each, &deepseek_words, &deepseek_punct, &tail_space, &deepseek_cjk_run,
                  &puna_split_digits } },
    { .name = "deepseek-coder",
      .stages = { &newline_each, &letters_run, &punct_run, &deepseek_cjk_run, &puna_split_digits_each } },
#define DEEPSEEK3(text)                                             \
    {                                                               \
        .name = text, .stages = { &numbers3, &cjk_run, &deepseek3 } \
    }
    DEEPSEEK3("deepseek-v3"),
    DEEPSEEK3("hunyuan-dense"),
    DEEPSEEK3("joyai-llm"),
    DEEPSEEK3("hy_v4"),
#undef DEEPSEEK3
    { .name = "spark2_5", .stages = { &numbers3, &cjk_run, &spark, &puna_split_digits_each } },
    { .name = "youtu",
      .stages = { &hangul_run, &wide_punct_run, &bopomofo_run, &cjk_run, &youtu },
      .ignore_merges = true },
    { .name = "afmoe", .stages = { &threes, &asian_run, &deepseek3 } },
#define GEMMA4(text)                                                                                        \
    {                                                                                                       \
        .name = text, .stages = { &lines }, .add_bos = true, .spaces_escaped = true, .newlines_whole = true \
    }
    GEMMA4("gemma4"),
    GEMMA4("granite-embed-multi-311m"),
#undef GEMMA4
    { .name = "mmbert",
      .stages = { &lines },
      .spaces_escaped = true,
      .metaspace = true,
      .newlines_whole = true },
    { .name = "whitespace", .stages = { &puna_split_whitespace }, .plain = true },
    { .name = "chameleon",
      .patterns = { "<sentinel:[0-9]+>", "IMGIMG[A-I]{1,4}Z", "[\\t\\n]|    |  " },
      .stages = { &puna_split_digits_each, &puna_split_punctuation, &puna_split_gpt2 },
      .add_bos = true },
    { .name = "sarvam-moe", .stages = { &lines }, .spaces_escaped = true },
};

const puna_split_preset *puna_split_named(const char *name, size_t n)
{
    for (size_t i = 0; i < COUNT(presets); i++)
        if (strlen(presets[i].name) == n && memcmp(presets[i].name, name, n) == 0)
            return &presets[i];
    return NULL;
}

const char *puna_split_name_at(size_t i)
{
    return i < COUNT(presets) ? presets[i].name : NULL;
}
