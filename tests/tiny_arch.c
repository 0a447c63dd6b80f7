/* tiny_arch.c - keys, shapes and weights of the models that test_archs.c runs. */
#include "tiny_arch.h"

#include <math.h>
#include <stdlib.h>

enum { EMBD = 48, FF = 64, HEADS = 4, HEADS_KV = 2, LAYERS = 2, MAX_VALUES = 1 << 20 };

typedef struct key {
    const char *suffix;
    double value;
    bool real;
} key;

/* What every file says; architectures read what they know. */
static const key keys[] = {
    { "block_count", LAYERS, false },
    { "context_length", TINY_CONTEXT, false },
    { "embedding_length", EMBD, false },
    { "feed_forward_length", FF, false },
    { "attention.head_count", HEADS, false },
    { "attention.head_count_kv", HEADS_KV, false },
    { "vocab_size", TINY_VOCAB, false },
    { "attention.layer_norm_rms_epsilon", 1e-5, true },
    { "attention.layer_norm_epsilon", 1e-5, true },
    { "attention.sliding_window", 8, false },
    { "attention.clamp_kqv", 1, true },
    { "attention.max_alibi_bias", 8, true },
    { "logit_scale", 0.5, true },
    { "residual_scale", 0.75, true },
    { "embedding_scale", 1.5, true },
    { "attn_logit_softcapping", 20, true },
    { "final_logit_softcapping", 10, true },
    { "leading_dense_block_count", 1, false },
};

static const key expert_keys[] = {
    { "expert_count", 4, false },
    { "expert_used_count", 2, false },
    { "expert_feed_forward_length", 32, false },
    { "expert_shared_feed_forward_length", 32, false },
    { "expert_shared_count", 1, false },
    { "expert_gating_func", 2, false },
    { "expert_weights_scale", 1.25, true },
    { "interleave_moe_layer_step", 1, false },
};

/* Where an architecture needs another number. */
static const struct {
    const char *arch;
    key key;
} others[] = {
    { "baichuan", { "attention.head_count_kv", HEADS, false } },
    { "mpt", { "attention.head_count_kv", HEADS, false } },
    { "olmoe", { "attention.head_count_kv", HEADS, false } },
    { "qwen", { "attention.head_count_kv", HEADS, false } },
    { "dots1", { "attention.head_count_kv", HEADS, false } },
    { "cogvlm", { "attention.head_count_kv", HEADS, false } },
    { "llama4", { "block_count", 4, false } },
};

static void add_keys(gguf_builder *b, const char *arch, const key *list, size_t n)
{
    char name[128];
    for (size_t i = 0; i < n; i++) {
        key k = list[i];
        for (size_t o = 0; o < sizeof others / sizeof *others; o++)
            if (strcmp(others[o].arch, arch) == 0 && strcmp(others[o].key.suffix, k.suffix) == 0)
                k = others[o].key;
        snprintf(name, sizeof name, "%s.%s", arch, k.suffix);
        if (k.real)
            gguf_add_f32(b, name, (float)k.value);
        else
            gguf_add_u32(b, name, (uint32_t)k.value);
    }
}

static bool listed(const char *arch, const char *const *list)
{
    while (*list && strcmp(*list, arch) != 0)
        list++;
    return *list != NULL;
}

/* Whose files have no output matrix, or q, k and v in one tensor only; and who reads factors for long contexts always. */
static const char *const tied[] = { "gemma", "gemma2", "command-r", "cohere2", "openelm", NULL };
static const char *const fused[] = { "bailingmoe2", "bloom",   "cogvlm",    "dbrx", "falcon",
                                     "gpt2",        "gptneox", "jais",      "mpt",  "openelm",
                                     "plamo3",      "qwen",    "starcoder", NULL };
static const char *const unbiased[] = { "bailingmoe2", "dbrx", "falcon", NULL };
/* Who wants flags of layers with a window, not a period. */
static const char *const flags[] = {
    "cohere2moe", "granite_swa", "maple", "mimo2", "spark2_5", "step35", NULL
};
/* Which exist with experts only, though their first layers may have none. */
static const char *const mixtures[] = { "afmoe",        "arctic",     "bailingmoe", "bailingmoe2",
                                        "cohere2moe",   "deepseek",   "dots1",      "exaone-moe",
                                        "glm4moe",      "hy_v3",      "laguna",     "llama4",
                                        "mimo2",        "olmoe",      "phimoe",     "qwen2moe",
                                        "qwen3moe",     "qwen3vlmoe", "step35",     "ernie4_5-moe",
                                        "smallthinker", "grok",       NULL };
static const char *const long_factors[] = { "phi3", "phimoe", NULL };

static void add_flag(gguf_builder *b, const char *arch, const char *suffix, bool flag)
{
    char name[128];
    const uint8_t byte = flag;
    snprintf(name, sizeof name, "%s.%s", arch, suffix);
    gguf_add_scalar(b, name, PUNA_META_BOOL, &byte, 1);
}

static void add_list(gguf_builder *b, const char *arch, const char *suffix, const uint32_t *values, size_t n)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", arch, suffix);
    gguf_add_array(b, name, PUNA_META_U32, n);
    gguf_add_bytes(b, values, n * sizeof *values);
}

static void add_metadata(gguf_builder *b, const puna_arch *arch, bool experts)
{
    static char texts[TINY_VOCAB][16];
    const char *tokens[TINY_VOCAB];
    for (int i = 0; i < TINY_VOCAB; i++) {
        snprintf(texts[i], sizeof texts[i], "tok_%d", i);
        tokens[i] = texts[i];
    }
    gguf_begin(b, 3);
    gguf_add_text(b, "general.architecture", arch->name);
    add_keys(b, arch->name, keys, sizeof keys / sizeof *keys);
    add_flag(b, arch->name, "use_parallel_residual", true);
    add_flag(b, arch->name, "expert_weights_norm", true);
    add_list(b, arch->name, "rope.dimension_sections", (const uint32_t[]){ 2, 2, 2, 0 }, 4);
    if (!listed(arch->name, flags))
        add_keys(b, arch->name, &(key){ "attention.sliding_window_pattern", 2, false }, 1);
    else
        add_list(b, arch->name, "attention.sliding_window_pattern", (const uint32_t[LAYERS]){ 0, 1 }, LAYERS);
    if (experts)
        add_keys(b, arch->name, expert_keys, sizeof expert_keys / sizeof *expert_keys);
    gguf_add_text(b, "tokenizer.ggml.model", "test");
    gguf_add_texts(b, "tokenizer.ggml.tokens", tokens, TINY_VOCAB);
    gguf_add_array(b, "tokenizer.ggml.scores", PUNA_META_F32, TINY_VOCAB);
    gguf_add_bytes(b, (const float[TINY_VOCAB]){ 0 }, sizeof(float[TINY_VOCAB]));
}

/* ---- weights ---------------------------------------------------------------------------- */

/* splitmix64 */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t seed_of(const char *name)
{
    uint64_t h = 1469598103934665603u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 1099511628211u;
    return h;
}

typedef struct filling {
    gguf_builder *b;
    const puna_arch *arch;
    const puna_hparams *hp;
} filling;

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* What a file of this architecture does not have, though it may elsewhere. */
static bool left_out(const char *arch, const char *name)
{
    static const char *const parts[] = { ".attn_q.weight", ".attn_k.weight", ".attn_v.weight",
                                         ".attn_q.bias",   ".attn_k.bias",   ".attn_v.bias",
                                         ".attn_q.scale",  ".attn_k.scale",  ".attn_v.scale" };
    if (strcmp(name, "output.weight") == 0)
        return listed(arch, tied);
    if (strncmp(name, "rope_factors", 12) == 0)
        return !listed(arch, long_factors);
    if (strncmp(name, "rope_freqs", 10) == 0)
        return listed(arch, long_factors);
    if (strstr(name, "ffn_gate_up_exps"))
        return true;
    if (strcmp(arch, "command-r") == 0 && strstr(name, "_norm.weight") && strstr(name, ".attn_") &&
        !ends_with(name, ".attn_norm.weight"))
        return true; /* only where there are 64 layers */
    if (strstr(name, ".attn_qkv."))
        return !listed(arch, fused) || (listed(arch, unbiased) && ends_with(name, ".bias"));
    for (size_t i = 0; listed(arch, fused) && i < sizeof parts / sizeof *parts; i++)
        if (ends_with(name, parts[i]))
            return true;
    return false;
}

static bool over_all_heads(const char *arch)
{
    return strcmp(arch, "olmo2") == 0 || strcmp(arch, "olmoe") == 0 || strcmp(arch, "mpt") == 0 ||
           strcmp(arch, "minimax-m2") == 0;
}

static bool per_head(const char *arch)
{
    return strcmp(arch, "stablelm") == 0;
}

/* Sizes that only the architecture's use of a tensor fixes. */
static void choose_sizes(const filling *f, const char *name, uint64_t ne[3])
{
    const puna_layer_hparams *l = &f->hp->layers[0];
    const uint64_t dim = (uint64_t)f->hp->head_dim_k;
    const bool of_query = strstr(name, "attn_q_norm") != NULL, of_key = strstr(name, "attn_k_norm") != NULL;
    const uint64_t heads = (uint64_t)(of_key ? l->n_head_kv : l->n_head);
    if (of_query || of_key) {
        ne[0] = over_all_heads(f->arch->name) ? dim * heads : dim;
        ne[1] = per_head(f->arch->name) ? heads : 1;
        if (strcmp(f->arch->name, "talkie") == 0) { /* a gain for each head */
            ne[0] = 1;
            ne[1] = heads;
        }
    } else if (strncmp(name, "altup_", 6) == 0)
        ne[2] = 3;
    else if (strncmp(name, "rope_", 5) == 0)
        ne[0] = (uint64_t)f->hp->n_rot / 2;
    else if (strcmp(name, "position_embd.weight") == 0)
        ne[1] = TINY_CONTEXT;
    if (strstr(name, "attn_gate.weight") && strcmp(f->arch->name, "spark2_5") == 0)
        ne[1] = heads;
    for (int d = 0; d < 3; d++)
        ne[d] = ne[d] ? ne[d] : dim * heads;
}

/* Matrices keep the size of what they multiply; what scales is near 1, what is added near 0. */
static void add_tensor(void *user, const char *name, const uint64_t shape[3])
{
    static float values[MAX_VALUES];
    filling *f = user;
    uint64_t ne[3] = { shape[0], shape[1], shape[2] }, state = seed_of(name);
    if (left_out(f->arch->name, name))
        return;
    choose_sizes(f, name, ne);
    const size_t n = (size_t)(ne[0] * ne[1] * ne[2]);
    const bool one = ends_with(name, "norm.weight") || ends_with(name, ".scale") ||
                     ends_with(name, "scales") || strncmp(name, "rope_", 5) == 0 ||
                     ends_with(name, "norm_2.weight") || ends_with(name, "norm_exps.weight");
    const double size = one ? 0.2 : ne[1] > 1 && !ends_with(name, ".bias") ? 1.7 / sqrt((double)ne[0]) : 0.3;
    assert(n <= MAX_VALUES);
    for (size_t i = 0; i < n; i++)
        values[i] = (float)((one ? 1 : 0) + size * ((double)(next(&state) >> 11) / 4503599627370496.0 - 1));
    gguf_add_tensor(f->b, name, PUNA_FORMAT_F32,
                    ne[2] > 1   ? 3
                    : ne[1] > 1 ? 2
                                : 1,
                    ne, values, n * sizeof *values);
}

bool tiny_arch_has(const puna_arch *arch, bool experts)
{
    const bool mixture = arch->needs & (PUNA_SET(ROUTER) | PUNA_SET(EXPERT_DOWN));
    return experts ? mixture
                   : (arch->needs & (PUNA_SET(UP) | PUNA_SET(GATE_UP))) != 0 && !listed(arch->name, mixtures);
}

bool tiny_arch_build(gguf_builder *b, const puna_arch *arch, bool experts)
{
    puna_container *container = NULL;
    puna_arena arena = { 0 };
    puna_hparams hp = arch->defaults;
    puna_keys k = { .arch = arch->name };
    add_metadata(b, arch, experts);
    gguf_finish(b);
    bool good = puna_container_open_memory(&container, b->file.data, b->file.n, "numbers", NULL) == PUNA_OK;
    k.container = container;
    hp.n_vocab = TINY_VOCAB;
    if (good) {
        puna_hparams_read(&hp, &k, &arena);
        if (!k.status && arch->adjust)
            arch->adjust(&hp, &k);
        good = !k.status;
    }
    gguf_free(b);
    add_metadata(b, arch, experts);
    if (good)
        puna_arch_shapes(arch, &hp, add_tensor, &(filling){ .b = b, .arch = arch, .hp = &hp });
    gguf_finish(b);
    puna_container_close(container);
    puna_arena_free(&arena);
    return good;
}
