/* loops.c - models that run the same layers several times, each time with keys and values of their own: Nanbeige;
 * the hierarchical reasoning model (arXiv 2506.21734) for text, whose low stack refines a state that its high stack
 * reads. */
#include <string.h>

#include "base/limits.h"
#include "model/network.h"

#define TINY { .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_vocab = 128 }

static void nanbeige_keys(puna_hparams *hp, puna_keys *k)
{
    hp->n_loops = puna_key_int(k, "num_loops", 1, 1, (int32_t)PUNA_MAX_LAYERS / hp->n_layer);
    hp->loops_bare = puna_key_flag(k, "skip_loop_final_norm", false);
}

static void nanbeige_build(puna_network *net)
{
    const puna_hparams *hp = &net->hp;
    p_layer(&net->plan, -1);
    puna_value x = puna_build_embed(net);
    for (int32_t i = 0; i < hp->n_loops; i++) {
        const bool last = i == hp->n_loops - 1;
        for (int32_t il = 0; il < hp->n_layer; il++)
            x = puna_build_layer(net, x, il, last && il == hp->n_layer - 1);
        if (!last && !hp->loops_bare)
            x = puna_build_norm(net, x, net->output_norm, NULL);
    }
    puna_build_output(net, x);
}

const puna_arch puna_arch_nanbeige = {
    .name = "nanbeige",
    .pairing = PUNA_ROPE_NORMAL,
    .activation = PUNA_ACT_SILU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_DENSE,
    .may = PUNA_SET(FFN_SCALE) | PUNA_SET(ROPE_FACTORS),
    .adjust = nanbeige_keys,
    .build = nanbeige_build,
    .tiny = TINY,
};

/* The file counts every run of a layer; its weights are those of the first 2 n_stage. */
static void hrm_keys(puna_hparams *hp, puna_keys *k)
{
    static const char *const names[] = { "hrm.layers_per_stack", "hrm.h_cycles", "hrm.l_cycles" };
    int32_t *const fields[] = { &hp->n_stage, &hp->n_high, &hp->n_low };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        puna_key_need(k, names[i]);
        *fields[i] = puna_key_int(k, names[i], 1, 1, PUNA_MAX_LAYERS);
    }
    hp->embedding_scale = puna_key_real(k, "embedding_scale", 0);
    const int64_t n = (int64_t)hp->n_stage * hp->n_high * (hp->n_low + 1);
    if (n != hp->n_layer && !k->status)
        k->status = puna_fail(&k->error, PUNA_ERR_FORMAT, "metadata %s.block_count: got %d, expected %lld", k->arch,
                              (int)hp->n_layer, (long long)n);
}

/* Gives the run of a layer the weights of layer `of`; scales stay its own. */
static void borrow(puna_layer *l, const puna_layer *of)
{
    puna_layer whole = *of;
    whole.sq = l->sq;
    whole.sk = l->sk;
    whole.sv = l->sv;
    whole.so = l->so;
    *l = whole;
}

/* The layers from `of` on, run as those from *run on. */
static puna_value stack(puna_network *net, const puna_layer *of, puna_value x, int32_t *run)
{
    for (int32_t i = 0; i < net->hp.n_stage; i++, ++*run) {
        if ((!of[i].attn_gate || !of[i].ffn_gate) && !net->plan.status)
            net->plan.status = puna_fail(&net->plan.error, PUNA_ERR_FORMAT,
                                         "attn_gate.weight and ffn_gate.weight of %d layers: got fewer, expected all",
                                         2 * (int)net->hp.n_stage);
        borrow(&net->layers[*run], &of[i]);
        x = puna_build_layer(net, x, *run, *run == net->hp.n_layer - 1);
    }
    return puna_build_norm(net, x, NULL, NULL);
}

static void hrm_build(puna_network *net)
{
    puna_plan *g = &net->plan;
    const puna_hparams *hp = &net->hp;
    const size_t n = 2 * (size_t)hp->n_stage;
    puna_layer *own = puna_arena_array(&net->arena, n, sizeof *own);
    if (!own) {
        g->status = puna_fail_memory(&g->error, "layers", n * sizeof *own);
        return;
    }
    memcpy(own, net->layers, n * sizeof *own); /* there are as many: a high and a low run, each of n_stage */
    p_layer(g, -1);
    puna_value high = puna_build_embed(net);
    puna_value low = p_embed(g, net->low_init, &(puna_embed_params){ .source = PUNA_EMBED_FIRST, .scale = 1 });
    for (int32_t h = 0, run = 0; h < hp->n_high; h++) {
        for (int32_t i = 0; i < hp->n_low; i++)
            low = stack(net, own, p_add(g, high, low), &run);
        high = stack(net, own + hp->n_stage, p_add(g, high, low), &run);
    }
    p_layer(g, -1);
    p_logits(g, high, net->output, NULL, 1, 0);
}

/* Weights of layers are only in the first; the recorder misses what those lack. */
const puna_arch puna_arch_hrm_text = {
    .name = "hrm_text",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_SILU,
    .attn_gate = PUNA_ACT_SIGMOID,
    .traits = PUNA_TRAIT_BARE_NORMS,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SET(EMBEDDING) | PUNA_SET(LOW_INIT),
    .may = PUNA_SET(QKV) | PUNA_SET(ATTN_GATE) | PUNA_SET(O) | PUNA_SETS_GATED,
    .adjust = hrm_keys,
    .build = hrm_build,
    .tiny = TINY,
};
