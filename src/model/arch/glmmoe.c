/* glmmoe.c - GLM-4.5 (arXiv 2508.06471): experts behind sigmoid gates, chosen with a bias (arXiv 2412.19437), after
 * some dense layers; the first part of each head rotates. */
#include "model/network.h"

#define TINY                                                                                                \
    {                                                                                                       \
        .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 \
    }

/* Pairs are shared out among time, height, width and a fourth; of text the first three are the position, the fourth
 * is always 0, which no file asks for. */
static void check_sections(const puna_hparams *hp, puna_keys *k)
{
    static const char key[] = "glm4moe.rope.dimension_sections";
    const puna_meta *meta = puna_container_meta(k->container, key);
    double pairs[4] = { 0 };
    for (size_t i = 0; meta && i < 4; i++)
        if (!puna_meta_f64(meta, i, &pairs[i]))
            return;
    if (pairs[0] > 0 && pairs[1] > 0 && pairs[3] > 0 && pairs[0] + pairs[1] + pairs[2] < hp->n_rot / 2 &&
        !k->status)
        k->status = puna_fail(&k->error, PUNA_ERR_FORMAT,
                              "metadata %s: got %.9g in the fourth section, expected 0", key, pairs[3]);
}

static void glm4moe_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_experts(k, hp,
                     &(puna_expert_keys){ .gating_key = true,
                                          .gating = PUNA_GATING_SIGMOID,
                                          .scaled = true,
                                          .norm_key = true,
                                          .own_ff = true,
                                          .leading = true,
                                          .n_shared = 0 });
    check_sections(hp, k);
}

static const puna_alias aliases[] = { { "post_attention_norm.weight", "ffn_norm.weight" }, { NULL, NULL } };

const puna_arch puna_arch_glm4moe = {
    .name = "glm4moe",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_EXPERTS | PUNA_SET(CHOICE_BIAS) | PUNA_SETS_SHARED,
    .may = PUNA_SETS_QK_NORM,
    .aliases = aliases,
    .adjust = glm4moe_keys,
    .tiny = TINY,
};
