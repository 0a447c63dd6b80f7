/* recurrent.c - what decoders with states share beside build.c. */
#include "model/network.h"

puna_value puna_build_filter(puna_network *net, puna_value x, const puna_tensor *w, const puna_tensor *bias)
{
    puna_plan *g = &net->plan;
    return p_act(g, p_conv1d(g, x, w, bias), &(puna_act_params){ .kind = PUNA_ACT_SILU });
}

puna_value puna_build_attention_out(puna_network *net, puna_value h, int32_t il)
{
    const puna_layer *l = &net->layers[il];
    return puna_build_linear(net, puna_build_attention(net, h, il), l->wo, l->so, l->bo);
}

puna_tensor *puna_build_vector(puna_network *net, uint64_t n)
{
    puna_tensor *t = puna_arena_alloc(&net->arena, sizeof *t);
    float *values = puna_arena_array(&net->arena, n, sizeof *values);
    if (!t || !values) {
        if (!net->plan.status)
            net->plan.status = puna_fail_memory(&net->plan.error, "vector", n * sizeof *values);
        return NULL;
    }
    *t = (puna_tensor){ .name = "(computed)",
                        .format = puna_format_get(PUNA_FORMAT_F32),
                        .ne = { n, 1, 1, 1 },
                        .data = values,
                        .size_bytes = n * sizeof *values };
    return t;
}

const puna_tensor *puna_build_repeated(puna_network *net, const puna_tensor *w, int32_t n)
{
    const uint64_t n_w = w->ne[0] * puna_tensor_rows(w);
    puna_tensor *t = puna_build_vector(net, n_w * (uint64_t)n);
    float *to = t ? (float *)(uintptr_t)t->data : NULL;
    for (uint64_t i = 0; to && i < n_w * (uint64_t)n; i++)
        to[i] = ((const float *)w->data)[i / (uint64_t)n];
    return t;
}
