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
    { "minicpm3", { "attention.head_count_kv", HEADS, false } },
    { "plm", { "attention.head_count_kv", HEADS, false } },
    { "deepseek2-ocr", { "attention.head_count_kv", HEADS, false } },
    { "deepseek4", { "attention.head_count_kv", 1, false } },
    { "deepseek2", { "attention.head_count_kv", 1, false } },
    { "mistral4", { "attention.head_count_kv", 1, false } },
    { "deepseek32", { "attention.head_count_kv", 1, false } },
    { "glm-dsa", { "attention.head_count_kv", 1, false } },
    { "dots3note", { "attention.head_count_kv", 1, false } },
    { "hy_v4", { "attention.head_count_kv", 1, false } },
    { "deepseek4", { "expert_gating_func", 4, false } },
};

/* Latent attention, in both layouts. */
static const char *const absorbed[] = { "deepseek2", "mistral4", "deepseek32", "glm-dsa",
                                        "dots3note", "hy_v4",    NULL };
static const char *const expanded[] = { "minicpm3", "plm", NULL };
static const char *const selecting[] = { "deepseek32", "glm-dsa", "dots3note", "hy_v4", "deepseek4", NULL };

static const key absorbed_keys[] = {
    { "attention.key_length", 32, false },
    { "attention.value_length", 24, false },
    { "attention.key_length_mla", 20, false },
    { "attention.value_length_mla", 16, false },
    { "attention.kv_lora_rank", 24, false },
    { "attention.q_lora_rank", 40, false },
    { "rope.dimension_count", 8, false },
    { "attention.key_length_mla_swa", 18, false },
    { "attention.value_length_mla_swa", 14, false },
    { "attention.kv_lora_rank_swa", 20, false },
    { "attention.key_length_swa", 28, false },
    { "attention.value_length_swa", 20, false },
    { "rope.freq_base_swa", 5000, true },
};

static const key expanded_keys[] = {
    { "attention.key_length", 20, false },   { "attention.value_length", 16, false },
    { "attention.kv_lora_rank", 24, false }, { "attention.q_lora_rank", 40, false },
    { "rope.dimension_count", 8, false },
};

/* Fewer keys than there are tokens, so that some are not looked at. */
static const key selecting_keys[] = {
    { "attention.indexer.head_count", 16, false },
    { "attention.indexer.key_length", 128, false },
    { "attention.indexer.top_k", 5, false },
};

static const key hyper_keys[] = {
    { "hyper_connection.count", 4, false },
    { "hyper_connection.epsilon", 1e-3, true },
    { "hyper_connection.magnitude", 1.5, true },
    { "hyper_connection.sinkhorn_iterations", 3, false },
};

/* As many blocks of four, of the six that there are. */
static const key block_keys[] = {
    { "attention.indexer.head_count", HEADS_KV, false },
    { "attention.indexer.key_length", 16, false },
    { "attention.indexer.top_k", 3, false },
    { "attention.indexer.block_size", 4, false },
    { "attention.indexer.local_blocks", 1, false },
};

static const key deepseek4_keys[] = {
    { "attention.key_length", 64, false },
    { "attention.value_length", 64, false },
    { "attention.q_lora_rank", 40, false },
    { "rope.dimension_count", 8, false },
    { "attention.output_group_count", 2, false },
    { "attention.output_lora_rank", 12, false },
    { "attention.compress_rope_freq_base", 40000, true },
    { "hash_layer_count", 1, false },
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
static const char *const flags[] = { "cohere2moe", "dots3note", "granite_swa", "maple",
                                     "mimo2",      "spark2_5",  "step35",      NULL };
/* Which exist with experts only, though their first layers may have none. */
static const char *const mixtures[] = {
    "afmoe",      "arctic",     "bailingmoe",    "bailingmoe2", "cohere2moe", "deepseek",     "dots1",
    "exaone-moe", "glm4moe",    "hy_v3",         "laguna",      "llama4",     "mimo2",        "olmoe",
    "phimoe",     "qwen2moe",   "qwen3moe",      "qwen3vlmoe",  "step35",     "ernie4_5-moe", "smallthinker",
    "grok",       "deepseek2",  "deepseek2-ocr", "mistral4",    "deepseek32", "glm-dsa",      "dots3note",
    "hy_v4",      "minimax-m3", "deepseek4",     NULL
};
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

/* Of attention to something else than every token's key and value of every head. */
static void add_latent(gguf_builder *b, const char *arch)
{
    const bool deepseek4 = strcmp(arch, "deepseek4") == 0, hy_v4 = strcmp(arch, "hy_v4") == 0;
    if (listed(arch, absorbed))
        add_keys(b, arch, absorbed_keys, sizeof absorbed_keys / sizeof *absorbed_keys);
    if (listed(arch, expanded))
        add_keys(b, arch, expanded_keys, sizeof expanded_keys / sizeof *expanded_keys);
    if (listed(arch, selecting))
        add_keys(b, arch, selecting_keys, sizeof selecting_keys / sizeof *selecting_keys);
    if (listed(arch, selecting) && !deepseek4 && strcmp(arch, "deepseek32") != 0)
        add_list(b, arch, "attention.indexer.types", (const uint32_t[LAYERS]){ 1, 0 }, LAYERS);
    if (deepseek4 || hy_v4)
        add_keys(b, arch, hyper_keys, sizeof hyper_keys / sizeof *hyper_keys);
    if (deepseek4 || hy_v4)
        add_keys(b, arch, &(key){ "swiglu_clamp_exp", 0.5, true }, 1);
    if (strcmp(arch, "minimax-m3") == 0)
        add_keys(b, arch, block_keys, sizeof block_keys / sizeof *block_keys);
    if (!deepseek4)
        return;
    add_keys(b, arch, deepseek4_keys, sizeof deepseek4_keys / sizeof *deepseek4_keys);
    add_list(b, arch, "attention.compress_ratios", (const uint32_t[LAYERS]){ 128, 4 }, LAYERS);
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
    add_latent(b, arch->name);
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
    const bool latent = listed(arch, absorbed) || listed(arch, expanded) || strcmp(arch, "deepseek4") == 0;
    if (latent && !strstr(name, ".indexer.") &&
        (strstr(name, ".attn_q.") || strstr(name, ".attn_k.") || strstr(name, ".attn_v.")))
        return strcmp(arch, "plm") != 0 || !ends_with(name, ".attn_q.weight");
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
    return strcmp(arch, "stablelm") == 0 || strcmp(arch, "chameleon") == 0;
}

/* Sizes that only the architecture's use of a tensor fixes. */
static void choose_sizes(const filling *f, const char *name, uint64_t ne[3])
{
    const puna_layer_hparams *l = &f->hp->layers[0];
    const uint64_t dim = (uint64_t)f->hp->head_dim_k;
    const bool of_query = strstr(name, "attn_q_norm") != NULL, of_key = strstr(name, "attn_k_norm") != NULL;
    const uint64_t heads = (uint64_t)(of_key ? l->n_head_kv : l->n_head);
    if (strcmp(f->arch->name, "dots3note") == 0 && of_key)
        ne[0] = (uint64_t)f->hp->n_rot, ne[1] = 1;
    else if (strcmp(f->arch->name, "hy_v4") == 0 && strstr(name, "attn_gate"))
        ne[1] = (uint64_t)(l->n_head * f->hp->latent.head_dim_v);
    else if (strcmp(f->arch->name, "dots3note") == 0 && strstr(name, "attn_gate"))
        ne[1] = (uint64_t)l->n_head;
    else if (strstr(name, "attn_output_a"))
        ne[0] = dim * heads / (uint64_t)f->hp->n_out_group,
        ne[1] = (uint64_t)(f->hp->n_lora_o * f->hp->n_out_group), ne[2] = 1;
    else if (strstr(name, "tid2eid"))
        ne[0] = (uint64_t)f->hp->route.n_used;
    else if (of_query || of_key) {
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

/* Numbers of experts. */
static void add_table(const filling *f, const char *name, const uint64_t ne[3])
{
    int32_t numbers[2 * TINY_VOCAB];
    const size_t n = (size_t)(ne[0] * ne[1]);
    assert(n <= sizeof numbers / sizeof *numbers && f->hp->n_expert > 1);
    for (size_t i = 0; i < n; i++)
        numbers[i] = (int32_t)((i * 7 / 5 + i % 2) % (size_t)f->hp->n_expert);
    gguf_add_tensor(f->b, name, PUNA_FORMAT_I32, 2, ne, numbers, n * sizeof *numbers);
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
    if (strstr(name, "tid2eid")) {
        add_table(f, name, ne);
        return;
    }
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
