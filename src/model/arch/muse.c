/* muse.c - Muse Glimmer: normalised embeddings, a gate on what the heads saw, norms before and after each branch;
 * only layers with a window rotate. */
#include "model/network.h"

static void muse_keys(puna_hparams *hp, puna_keys *k)
{
    puna_key_need(k, "attention.sliding_window");
    puna_key_need(k, "logit_scale");
    puna_key_window(k, hp, 0, 4, false);
    hp->rope_base_window = puna_key_real(k, "rope.freq_base_swa", hp->rope_base);
    hp->rope_window.scale = 1;
    hp->logit_scale = puna_key_real(k, "logit_scale", 0);
    hp->logit_softcap = puna_key_real(k, "final_logit_softcapping", 30);
    hp->post_norm_eps = 1e-8f;
    for (int32_t i = 0; i < hp->n_layer; i++)
        hp->layers[i].no_rope = hp->layers[i].window == 0;
}

static void muse_build(puna_network *net)
{
    p_layer(&net->plan, -1);
    puna_value x = p_norm(&net->plan, puna_build_embed(net), NULL, NULL, net->hp.norm_kind, net->hp.norm_eps);
    for (int32_t il = 0; il < net->hp.n_layer; il++)
        x = puna_build_layer(net, x, il, il == net->hp.n_layer - 1);
    puna_build_output(net, x);
}

const puna_arch puna_arch_muse_glimmer = {
    .name = "muse-glimmer",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .attn_gate = PUNA_ACT_SIGMOID,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE | PUNA_SETS_QK_NORM | PUNA_SETS_POST_NORMS | PUNA_SET(ATTN_GATE),
    .adjust = muse_keys,
    .build = muse_build,
    .tiny = { .n_layer = 4,
              .n_embd = 64,
              .n_head = 4,
              .n_head_kv = 2,
              .head_dim = 16,
              .n_ff = 96,
              .n_vocab = 128,
              .window = 8 },
};
