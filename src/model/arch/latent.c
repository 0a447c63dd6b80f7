/* latent.c - decoders with latent attention: MiniCPM3, PLM (arXiv 2503.12167), DeepSeek-V2 and V3 (arXiv 2405.04434,
 * 2412.19437), Mistral 4; and those that look at chosen keys only: DeepSeek-V3.2, GLM-5. */
#include <math.h>
#include <stddef.h>

#include "base/limits.h"
#include "model/network.h"

#define TINY { .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 4, .head_dim = 16, .n_ff = 96, .n_vocab = 128 }

#define LATENT                                                                                                    \
    (PUNA_SET(EMBEDDING) | PUNA_SET(OUTPUT_NORM) | PUNA_SET(ATTN_NORM) | PUNA_SET(FFN_NORM) | PUNA_SET(O) |       \
     PUNA_SET(LORA_Q) | PUNA_SET(LORA_KV) | PUNA_SET(KV_B))
#define DEEPSEEK (LATENT | PUNA_SET(LATENT_HEADS) | PUNA_SETS_GATED | PUNA_SETS_EXPERTS | PUNA_SETS_SHARED)

/* ---- all heads' keys and values are made ------------------------------------------------ */

/* Its numbers are MiniCPM's, and stand in no file. */
static void minicpm3_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_latent(k, hp, &(puna_latent_keys){ .expanded = true });
    hp->embedding_scale = 12;
    hp->residual_scale = 1.4f / sqrtf((float)hp->n_layer);
    hp->logit_scale = 256 / (float)hp->n_embd;
}

const puna_arch puna_arch_minicpm3 = {
    .name = "minicpm3",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = LATENT | PUNA_SETS_GATED,
    .may = PUNA_SET(ROPE_LONG_SHORT),
    .never = PUNA_SETS_QKV,
    .adjust = minicpm3_keys,
    .attention = puna_build_latent,
    .tiny = TINY,
};

static void plm_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_latent(k, hp, &(puna_latent_keys){ .no_lora_q = true, .expanded = true });
}

const puna_arch puna_arch_plm = {
    .name = "plm",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_RELU_SQUARED,
    .defaults = { .rms_eps = 1e-5f },
    .needs = LATENT | PUNA_SETS_PLAIN,
    .never = PUNA_SET(OUTPUT),
    .adjust = plm_keys,
    .attention = puna_build_latent,
    .tiny = TINY,
};

/* ---- DeepSeek --------------------------------------------------------------------------- */

static float magnitude_of(float factor, float multiplier)
{
    return factor > 1 ? 0.1f * multiplier * logf(factor) + 1 : 1;
}

/* YaRN makes scores larger by the square of a number that grows with the factor; files have a tenth of its slope. V2
 * was trained without the number that later ones multiply cosines and sines by, unless the slope is 1. */
static void deepseek_yarn(puna_hparams *hp, puna_keys *k, bool reads_multiplier, bool v2)
{
    const float multiplier =
        reads_multiplier ? puna_key_real(k, "rope.scaling.yarn_log_multiplier", 0) / 0.1f : 0;
    puna_rope_params *r = &hp->rope;
    const float factor = r->scale > 0 ? 1 / r->scale : 1, slope = 1 + 0.1f * logf(factor);
    if (r->yarn_ext != 0 && multiplier != 0)
        r->magnitude /= magnitude_of(factor, v2 && multiplier != 1 ? 1 : multiplier);
    hp->rope_window = *r;
    const float turned = r->yarn_ext != 0 ? r->magnitude : r->magnitude * slope;
    const float scale = turned * (1 + 0.1f * multiplier * logf(factor));
    hp->attention_scale = scale * scale / sqrtf((float)hp->latent.head_dim_k);
}

static int32_t vocabulary(puna_keys *k)
{
    const puna_meta *tokens = puna_container_meta(k->container, "tokenizer.ggml.tokens");
    const bool listed = tokens && tokens->type == PUNA_META_ARRAY && tokens->n <= PUNA_MAX_VOCAB;
    return puna_key_int(k, "vocab_size", listed ? (int32_t)tokens->n : 0, 0, PUNA_MAX_VOCAB);
}

static void deepseek_experts(puna_hparams *hp, puna_keys *k, puna_gating gating)
{
    puna_key_experts(k, hp, &(puna_expert_keys){ .gating = gating, .gating_key = true, .norm_key = true, .scaled = true,
                                                 .own_ff = true, .leading = true, .n_shared = 1 });
}

/* Small models of the family make queries in one step, whatever their files say; and one that has no word on gating
 * has sigmoids. */
static void deepseek_keys(puna_hparams *hp, puna_keys *k, bool v2)
{
    const int32_t n = hp->n_layer, n_vocab = vocabulary(k);
    const bool lite = n == 26 || n == 27 || (n == 48 && n_vocab == 128256);
    puna_key_latent(k, hp, &(puna_latent_keys){ .no_lora_q = lite, .expanded = true, .absorbed = true });
    deepseek_experts(hp, k, (n == 47 || n == 48) && n_vocab == 154880 ? PUNA_GATING_SIGMOID : PUNA_GATING_SOFTMAX);
    deepseek_yarn(hp, k, true, v2);
    hp->temperature = puna_key_real(k, "attention.temperature_scale", 0);
    const int32_t least = hp->temperature != 0;
    hp->temperature_length = puna_key_int(k, "attention.temperature_length", 0, least, INT32_MAX);
    if (hp->temperature != 0)
        puna_key_need(k, "attention.temperature_length");
}

static void deepseek2_keys(puna_hparams *hp, puna_keys *k)
{
    deepseek_keys(hp, k, true);
}

static void mistral4_keys(puna_hparams *hp, puna_keys *k)
{
    deepseek_keys(hp, k, false);
}

const puna_arch puna_arch_deepseek2 = {
    .name = "deepseek2",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = DEEPSEEK,
    .may = PUNA_SET(CHOICE_BIAS) | PUNA_SET(EXPERT_GATE_UP),
    .adjust = deepseek2_keys,
    .attention = puna_build_latent,
    .tiny = TINY,
};

const puna_arch puna_arch_mistral4 = {
    .name = "mistral4",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = DEEPSEEK,
    .may = PUNA_SET(CHOICE_BIAS) | PUNA_SET(EXPERT_GATE_UP),
    .adjust = mistral4_keys,
    .attention = puna_build_latent,
    .tiny = TINY,
};

/* The text part of DeepSeek-OCR has V2's experts and ordinary attention; its positions are not scaled. */
static void deepseek2_ocr_keys(puna_hparams *hp, puna_keys *k)
{
    deepseek_experts(hp, k, PUNA_GATING_SOFTMAX);
    hp->n_rot = hp->head_dim_k;
    if (hp->rope.scale != 1 || hp->rope.yarn_ext != 0)
        puna_key_mistake(k, "rope.scaling.factor", (int32_t)(1 / hp->rope.scale), "none");
    if (hp->rope_base != 10000)
        puna_key_mistake(k, "rope.freq_base", (int32_t)hp->rope_base, "10000");
    for (int32_t i = 0; i < hp->n_layer; i++)
        if (hp->layers[i].n_head_kv != hp->layers[i].n_head)
            puna_key_mistake(k, "attention.head_count_kv", hp->layers[i].n_head_kv, "attention.head_count");
}

const puna_arch puna_arch_deepseek2_ocr = {
    .name = "deepseek2-ocr",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_EXPERTS | PUNA_SETS_SHARED,
    .may = PUNA_SET(CHOICE_BIAS) | PUNA_SET(EXPERT_GATE_UP),
    .adjust = deepseek2_ocr_keys,
    .tiny = TINY,
};

/* ---- chosen keys ------------------------------------------------------------------------ */

#define SPARSE (DEEPSEEK | PUNA_SET(INDEXER) | PUNA_SET(INDEX_QUERY))
#define SPARSE_MAY (PUNA_SET(CHOICE_BIAS) | PUNA_SET(FFN_SCALE) | PUNA_SET(EXPERT_SCALE) | PUNA_SET(SHARED_SCALE))

static void deepseek32_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_latent(k, hp, &(puna_latent_keys){ .absorbed = true });
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].indexer = PUNA_INDEXER_OWN;
    puna_key_indexer(k, hp, PUNA_ROPE_NEOX, 1e-6f);
    deepseek_experts(hp, k, (puna_gating)0);
    deepseek_yarn(hp, k, true, false);
}

const puna_arch puna_arch_deepseek32 = {
    .name = "deepseek32",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = SPARSE,
    .may = SPARSE_MAY,
    .never = PUNA_SETS_QKV,
    .adjust = deepseek32_keys,
    .attention = puna_build_latent,
    .tiny = TINY,
};

/* Layers with a number of 1 have an indexer, the others use the one before them. */
static void indexer_types(puna_hparams *hp, puna_keys *k)
{
    puna_key_layers_int(k, hp, "attention.indexer.types", offsetof(puna_layer_hparams, indexer), 0, 1);
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].indexer = hp->layers[i].indexer ? PUNA_INDEXER_OWN : PUNA_INDEXER_SHARED;
}

/* Without types: all layers, or, in the models for long contexts, the first two and then every fourth up to the 74th. */
static void glm_dsa_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_latent(k, hp, &(puna_latent_keys){ .absorbed = true });
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].indexer = hp->n_ctx_train < 1048576 || i == 0 || i == 1 || (i % 4 == 2 && i <= 74);
    indexer_types(hp, k);
    puna_key_indexer(k, hp, PUNA_ROPE_NORMAL, 0);
    deepseek_experts(hp, k, PUNA_GATING_SIGMOID);
    deepseek_yarn(hp, k, false, false);
}

const puna_arch puna_arch_glm_dsa = {
    .name = "glm-dsa",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = SPARSE,
    .may = SPARSE_MAY,
    .never = PUNA_SETS_QKV,
    .adjust = glm_dsa_keys,
    .attention = puna_build_latent,
    .tiny = TINY,
};

/* Layers with a window see all of it and have heads of another size; a gate for each head. */
static void dots3note_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "attention.sliding_window");
    puna_key_need(k, "attention.sliding_window_pattern");
    puna_key_window(k, hp, 0, 1, false);
    puna_key_need(k, "rope.freq_base_swa");
    hp->rope_base_window = puna_key_real(k, "rope.freq_base_swa", hp->rope_base);
    hp->n_rot_window = hp->n_rot;
    puna_key_latent(k, hp, &(puna_latent_keys){ .absorbed = true, .window = true });
    puna_key_need(k, "attention.indexer.types");
    puna_key_layers_int(k, hp, "attention.indexer.types", offsetof(puna_layer_hparams, indexer), 0, 1);
    for (int32_t i = 0; i < hp->n_layer; i++)
        if ((hp->layers[i].indexer == PUNA_INDEXER_OWN) == (hp->layers[i].window > 0) && !k->status)
            k->status = puna_fail(&k->error, PUNA_ERR_FORMAT,
                                  "metadata %s.attention.indexer.types: layer %d: got %d, expected one where no window is",
                                  k->arch, (int)i, (int)hp->layers[i].indexer);
    puna_key_indexer(k, hp, PUNA_ROPE_NEOX, 1e-6f);
    deepseek_experts(hp, k, (puna_gating)0);
}

const puna_arch puna_arch_dots3note = {
    .name = "dots3note",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = SPARSE | PUNA_SET(K_NORM) | PUNA_SET(ATTN_GATE) | PUNA_SET(CHOICE_BIAS),
    .may = SPARSE_MAY,
    .never = PUNA_SETS_QKV,
    .adjust = dots3note_keys,
    .attention = puna_build_latent,
    .tiny = TINY,
};

/* ---- several residual streams ----------------------------------------------------------- */

/* Hunyuan: streams that are not mixed; experts' gates and what they gate are clamped. */
static void hy_v4_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_latent(k, hp, &(puna_latent_keys){ .absorbed = true });
    if (puna_key_int(k, "attention.indexer.top_k", 0, 0, INT32_MAX) > 0) {
        for (int32_t i = 0; i < hp->n_layer; i++)
            hp->layers[i].indexer = 0;
        indexer_types(hp, k);
        puna_key_indexer(k, hp, PUNA_ROPE_NORMAL, hp->rms_eps);
        hp->indexer.rotates_last = true;
    }
    deepseek_experts(hp, k, (puna_gating)0);
    puna_key_layers_real(k, hp, "swiglu_clamp_exp", offsetof(puna_layer_hparams, expert_limit));
    hp->early_limit = true;
    puna_key_hyper(k, hp);
    puna_key_need(k, "hyper_connection.magnitude");
    hp->hyper.magnitude = puna_key_real(k, "hyper_connection.magnitude", 1);
}

const puna_arch puna_arch_hy_v4 = {
    .name = "hy_v4",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-6f },
    .needs = SPARSE | PUNA_SET(OUTPUT) | PUNA_SET(SINKS) | PUNA_SET(ATTN_GATE) | PUNA_SET(HYPER) | PUNA_SET(HYPER_HEAD),
    .may = PUNA_SET(CHOICE_BIAS),
    .never = PUNA_SETS_QKV | PUNA_SET(O_SCALE),
    .adjust = hy_v4_keys,
    .attention = puna_build_latent,
    .build = puna_build_hyper,
    .tiny = TINY,
};

/* ---- blocks of chosen keys -------------------------------------------------------------- */

/* MiniMax: an indexer's head for each head of keys; blocks of positions are chosen, the nearest always. Gates and what
 * they gate are clamped to 7, as gpt-oss has them. */
static void minimax_m3_keys(puna_hparams *hp, puna_keys *k)
{
    enum { LIMIT = 7 };
    deepseek_experts(hp, k, (puna_gating)0);
    for (int32_t i = 0; i < hp->n_layer; i++) {
        puna_layer_hparams *l = &hp->layers[i];
        l->indexer = l->experts ? PUNA_INDEXER_OWN : PUNA_INDEXER_NONE;
        l->expert_limit = l->ff_limit = LIMIT;
    }
    hp->early_limit = hp->ff_early_limit = true;
    hp->expert_up_offset = hp->ff_up_offset = 1;
    puna_key_need(k, "attention.indexer.block_size");
    puna_key_need(k, "attention.indexer.local_blocks");
    hp->indexer.key_block = puna_key_int(k, "attention.indexer.block_size", 1, 1, 1 << 20);
    hp->indexer.n_local = puna_key_int(k, "attention.indexer.local_blocks", 0, 0, 1 << 20);
    hp->indexer.n_lists = hp->layers[0].n_head_kv;
    puna_key_indexer(k, hp, PUNA_ROPE_NEOX, 0);
    for (int32_t i = 0; i < hp->n_layer; i++)
        if (hp->indexer.n_head != hp->layers[i].n_head_kv && !k->status)
            k->status = puna_fail(&k->error, PUNA_ERR_FORMAT, "metadata %s.attention.indexer.head_count: got %d, expected %d",
                                  k->arch, (int)hp->indexer.n_head, (int)hp->layers[i].n_head_kv);
}

static puna_value minimax_m3_attention(puna_network *net, puna_value h, int32_t il)
{
    net->selected = puna_build_select(net, h, h, il);
    return puna_build_attention(net, h, il);
}

const puna_arch puna_arch_minimax_m3 = {
    .name = "minimax-m3",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_GELU_QUICK,
    .defaults = { .rms_eps = 1e-6f },
    .needs = PUNA_SETS_ATTENTION | PUNA_SET(OUTPUT) | PUNA_SET(FFN_NORM) | PUNA_SETS_QK_NORM | PUNA_SETS_GATED |
             PUNA_SETS_EXPERTS | PUNA_SETS_SHARED | PUNA_SET(CHOICE_BIAS) | PUNA_SET(INDEXER_DIRECT),
    .adjust = minimax_m3_keys,
    .attention = minimax_m3_attention,
    .tiny = TINY,
};
