/* arch_file.c - from a TOML file to a descriptor. */
#include "model/arch_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/suggest.h"

enum { MAX_FILE = 1 << 20, MAX_ALIASES = 256, N_NAMES = 160 };

/* A word that a file may use, and what it stands for. */
typedef struct word {
    const char *name;
    puna_sets value;
} word;

#define WORDS(list) list, sizeof list / sizeof *list

static const word pairings[] = { { "adjacent", PUNA_ROPE_NORMAL }, { "halves", PUNA_ROPE_NEOX } };
static const word norms[] = { { "rms", PUNA_NORM_RMS }, { "layer", PUNA_NORM_LAYER } };
static const word activations[] = {
    { "silu", PUNA_ACT_SILU },
    { "gelu", PUNA_ACT_GELU },
    { "relu", PUNA_ACT_RELU },
    { "gelu_erf", PUNA_ACT_GELU_ERF },
    { "gelu_quick", PUNA_ACT_GELU_QUICK },
    { "relu_squared", PUNA_ACT_RELU_SQUARED },
    { "sigmoid", PUNA_ACT_SIGMOID },
    { "tanh", PUNA_ACT_TANH },
};
static const word traits[] = {
    { "embedding_sqrt", PUNA_TRAIT_EMBEDDING_SQRT }, { "parallel", PUNA_TRAIT_PARALLEL },
    { "bare_norms", PUNA_TRAIT_BARE_NORMS },         { "qk_norm_late", PUNA_TRAIT_QK_NORM_LATE },
    { "dense_too", PUNA_TRAIT_DENSE_TOO },
};
static const word sets[] = {
#define X(name) { #name, PUNA_SET(name) },
    PUNA_SETS(X)
#undef X
        { "DENSE", PUNA_SETS_DENSE },
    { "ATTENTION", PUNA_SETS_ATTENTION },
    { "GATED", PUNA_SETS_GATED },
    { "PLAIN", PUNA_SETS_PLAIN },
    { "QK_NORM", PUNA_SETS_QK_NORM },
    { "EXPERTS", PUNA_SETS_EXPERTS },
    { "POST_NORMS", PUNA_SETS_POST_NORMS },
    { "LAYER_NORM_BIAS", PUNA_SETS_LAYER_NORM_BIAS },
    { "FFN_BIAS", PUNA_SETS_FFN_BIAS },
};

typedef struct reader {
    const char *path;
    puna_arena *arena;
    puna_status status; /* the first mistake stays */
    puna_error *err;
} reader;

static void mistake(reader *r, const puna_toml *at, const char *got, const char *expected)
{
    if (!r->status)
        r->status = puna_fail(r->err, PUNA_ERR_FORMAT, "%s: line %d: %s: got %.60s, expected %s", r->path,
                              at->line, at->key ? at->key : "value", got, expected);
}

/* As much of a text as fits, in small letters. */
static const char *in_lower(const char *text, char *to, size_t size)
{
    size_t n = 0;
    for (; text[n] && n + 1 < size; n++)
        to[n] = text[n] >= 'A' && text[n] <= 'Z' ? (char)(text[n] | 32) : text[n];
    to[n] = '\0';
    return to;
}

static bool same(const char *a, const char *b)
{
    char x[64], y[64];
    return strcmp(in_lower(a, x, sizeof x), in_lower(b, y, sizeof y)) == 0;
}

static puna_sets one_of(reader *r, const puna_toml *at, const word *words, size_t n)
{
    const char *names[N_NAMES];
    if (at->kind != PUNA_TOML_TEXT) {
        mistake(r, at, "no string", words[0].name);
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        if (same(words[i].name, at->text))
            return words[i].value;
    char lower[N_NAMES][32], wanted[64];
    n = n < N_NAMES ? n : N_NAMES;
    for (size_t i = 0; i < n; i++)
        names[i] = in_lower(words[i].name, lower[i], sizeof lower[i]);
    const char *near = puna_suggest(in_lower(at->text, wanted, sizeof wanted), names, n);
    mistake(r, at, at->text, near ? near : names[0]);
    return 0;
}

/* The sum of a list of words. */
static puna_sets all_of(reader *r, const puna_toml *list, const word *words, size_t n)
{
    puna_sets sum = 0;
    if (list->kind != PUNA_TOML_ARRAY)
        mistake(r, list, "no list", "a list of strings");
    for (const puna_toml *m = list->first; m && !r->status; m = m->next)
        sum |= one_of(r, m, words, n);
    return sum;
}

/* [tensors]: the name here = "the file's name", where {} is the number of the layer. */
static const puna_alias *aliases(reader *r, const puna_toml *table)
{
    size_t n = 0;
    puna_alias *list = puna_arena_array(r->arena, MAX_ALIASES + 1, sizeof *list);
    if (!list)
        r->status = puna_fail_memory(r->err, r->path, MAX_ALIASES * sizeof *list);
    for (const puna_toml *m = table->first; m && !r->status; m = m->next) {
        if (m->kind != PUNA_TOML_TEXT || n == MAX_ALIASES)
            mistake(r, m, "no string", "the tensor's name in the file");
        else if (!puna_tensor_is_known(m->key))
            mistake(r, m, "a name that is no tensor's here", "one such as attn_q.weight");
        else
            list[n++] = (puna_alias){ .name = m->text, .of = m->key };
    }
    return list;
}

/* What decoders may have beyond the keys that all have; see docs/arch-file.md. */
static void keys_of_files(puna_hparams *hp, puna_keys *k)
{
    hp->embedding_scale = puna_key_real(k, "embedding_scale", 0);
    hp->residual_scale = puna_key_real(k, "residual_scale", 0);
    hp->logit_scale = puna_key_real(k, "logit_scale", 0);
    hp->logit_softcap = puna_key_real(k, "final_logit_softcapping", 0);
    hp->attention_scale = puna_key_real(k, "attention.scale", 0);
    hp->attention_softcap = puna_key_real(k, "attn_logit_softcapping", 0);
    hp->clamp_qkv = puna_key_real(k, "attention.clamp_kqv", 0);
    hp->alibi = puna_key_real(k, "attention.max_alibi_bias", 0);
    hp->parallel = puna_key_flag(k, "use_parallel_residual", false);
    if (puna_key_has(k, "attention.sliding_window"))
        puna_key_window(k, hp, 0, 0, false);
    hp->rope_base_window = puna_key_real(k, "rope.freq_base_swa", hp->rope_base);
    /* every nth layer does not rotate; 1: none does */
    const int32_t unrotated = puna_key_int(k, "rope.skip_every", 0, 0, PUNA_MAX_LAYERS);
    for (int32_t i = 0; i < hp->n_layer && unrotated > 0; i++)
        hp->layers[i].no_rope = (i + 1) % unrotated == 0;
    puna_key_experts(k, hp,
                     &(puna_expert_keys){ .gating = PUNA_GATING_SOFTMAX,
                                          .normalise = true,
                                          .norm_key = true,
                                          .gating_key = true,
                                          .scaled = true,
                                          .own_ff = true,
                                          .leading = true,
                                          .n_shared = 0 });
}

static void read_key(reader *r, puna_arch *arch, const puna_toml **numbers, const puna_toml *m)
{
    if (strcmp(m->key, "architecture") == 0 && m->kind == PUNA_TOML_TEXT && m->n_text > 0)
        arch->name = m->text;
    else if (strcmp(m->key, "pairing") == 0)
        arch->pairing = (puna_rope_pairing)one_of(r, m, WORDS(pairings));
    else if (strcmp(m->key, "norm") == 0)
        arch->defaults.norm_kind = (puna_norm_kind)one_of(r, m, WORDS(norms));
    else if (strcmp(m->key, "activation") == 0)
        arch->activation = (puna_activation)one_of(r, m, WORDS(activations));
    else if (strcmp(m->key, "attn_gate") == 0)
        arch->attn_gate = (puna_activation)one_of(r, m, WORDS(activations));
    else if (strcmp(m->key, "traits") == 0)
        arch->traits = (uint32_t)all_of(r, m, WORDS(traits));
    else if (strcmp(m->key, "needs") == 0)
        arch->needs = all_of(r, m, WORDS(sets));
    else if (strcmp(m->key, "may") == 0)
        arch->may = all_of(r, m, WORDS(sets));
    else if (strcmp(m->key, "tensors") == 0 && m->kind == PUNA_TOML_TABLE)
        arch->aliases = aliases(r, m);
    else if (strcmp(m->key, "metadata") == 0 && m->kind == PUNA_TOML_TABLE)
        *numbers = m;
    else
        mistake(
            r, m, "a key that is not known, or of another kind",
            "architecture, pairing, norm, activation, attn_gate, traits, needs, may, tensors or metadata");
}

puna_status puna_arch_file_parse(const puna_arch **out, const puna_toml **numbers, const char *name,
                                 const char *text, size_t n, puna_arena *arena, puna_error *err)
{
    reader r = { .path = name, .arena = arena, .err = err };
    puna_arch *arch = puna_arena_alloc(arena, sizeof *arch);
    puna_toml *root = NULL;
    *numbers = NULL;
    if (!arch)
        return puna_fail_memory(err, name, sizeof *arch);
    *arch = (puna_arch){ .activation = PUNA_ACT_SILU,
                         .attn_gate = PUNA_ACT_SIGMOID,
                         .adjust = keys_of_files,
                         .needs = PUNA_SETS_DENSE,
                         .defaults = { .rms_eps = 1e-5f, .layer_eps = 1e-5f } };
    TRY(puna_toml_read(&root, arena, name, text, n, err));
    for (const puna_toml *m = root->first; m && !r.status; m = m->next)
        read_key(&r, arch, numbers, m);
    if (!r.status && !arch->name)
        r.status = puna_fail(err, PUNA_ERR_FORMAT, "%s: architecture: got none, expected a name", name);
    *out = arch;
    return r.status;
}

puna_status puna_arch_file_read(const puna_arch **out, const puna_toml **numbers, const char *path,
                                puna_arena *arena, puna_error *err)
{
    char *text = NULL;
    size_t n = 0;
    TRY(puna_file_read(&text, &n, path, MAX_FILE, err));
    puna_status status = puna_arch_file_parse(out, numbers, path, text, n, arena, err);
    free(text);
    return status;
}
