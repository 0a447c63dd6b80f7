/* apertus.c - Apertus (arXiv 2509.14233): no gate, an activation with numbers of its own in each layer (xIELU, arXiv
 * 2411.13010). */
#include <math.h>
#include <stddef.h>

#include "model/network.h"

static float softplus(float v)
{
    return v > 20 ? v : log1pf(expf(v));
}

/* The activation's keys do not begin with the architecture's name. */
static void apertus_keys(puna_hparams *hp, puna_keys *k)
{
    static const char *const names[] = { "alpha_n", "alpha_p", "beta", "eps" };
    puna_keys xielu = *k;
    xielu.arch = "xielu";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        puna_key_need(&xielu, names[i]);
        puna_key_layers_real(&xielu, hp, names[i], offsetof(puna_layer_hparams, act) + i * sizeof(float));
    }
    k->status = xielu.status;
    k->error = xielu.error;
    for (int32_t i = 0; i < hp->n_layer; i++) {
        float *a = hp->layers[i].act;
        a[0] = a[2] + softplus(a[0]);
        a[1] = softplus(a[1]);
    }
}

static puna_value apertus_feed_forward(puna_network *net, puna_value h, puna_value x, puna_value y,
                                       int32_t il)
{
    puna_plan *g = &net->plan;
    const puna_layer *l = &net->layers[il];
    const float *a = net->hp.layers[il].act;
    (void)x;
    (void)y;
    h = p_act(g, p_linear(g, h, l->ffn_up, NULL),
              &(puna_act_params){ .kind = PUNA_ACT_XIELU, .a = { a[0], a[1], a[2], a[3] } });
    return p_linear(g, h, l->ffn_down, NULL);
}

const puna_arch puna_arch_apertus = {
    .name = "apertus",
    .pairing = PUNA_ROPE_NEOX,
    .activation = PUNA_ACT_XIELU,
    .defaults = { .rms_eps = 1e-5f },
    .needs = PUNA_SETS_ATTENTION | PUNA_SET(FFN_NORM) | PUNA_SETS_QK_NORM | PUNA_SETS_PLAIN,
    .may = PUNA_SET(O_BIAS) | PUNA_SET(ROPE_FACTORS) | PUNA_SET(ROPE_LONG_SHORT),
    .adjust = apertus_keys,
    .feed_forward = apertus_feed_forward,
    .tiny = { .n_layer = 2,
              .n_embd = 64,
              .n_head = 4,
              .n_head_kv = 2,
              .head_dim = 16,
              .n_ff = 96,
              .n_vocab = 128 },
};
