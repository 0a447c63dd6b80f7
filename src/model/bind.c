/* bind.c - tensor names to fields, with their shapes checked against the hyper-parameters. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "model/network.h"

#define GLOBAL(field, name, d0, d1, required) \
    { name ".weight", offsetof(puna_network, field), { PUNA_DIM_##d0, PUNA_DIM_##d1 }, required }

static const puna_binding globals[] = {
    GLOBAL(embedding, "token_embd", EMBD, VOCAB, true),
    GLOBAL(output_norm, "output_norm", EMBD, ONE, true),
    GLOBAL(output, "output", EMBD, VOCAB, false), /* absent: the embedding, tied */
    GLOBAL(rope_factors, "rope_freqs", ROT, ONE, false),
    { NULL, 0, { PUNA_DIM_ONE, PUNA_DIM_ONE }, false },
};

static uint64_t dimension(const puna_hparams *hp, const puna_layer_hparams *l, puna_dim dim)
{
    switch (dim) {
    case PUNA_DIM_ONE:
        return 1;
    case PUNA_DIM_EMBD:
        return (uint64_t)hp->n_embd;
    case PUNA_DIM_VOCAB:
        return (uint64_t)hp->n_vocab;
    case PUNA_DIM_Q:
        return (uint64_t)l->n_head * (uint64_t)hp->head_dim_k;
    case PUNA_DIM_K:
        return (uint64_t)l->n_head_kv * (uint64_t)hp->head_dim_k;
    case PUNA_DIM_V:
        return (uint64_t)l->n_head_kv * (uint64_t)hp->head_dim_v;
    case PUNA_DIM_O:
        return (uint64_t)l->n_head * (uint64_t)hp->head_dim_v;
    case PUNA_DIM_HEAD:
        return (uint64_t)hp->head_dim_k;
    case PUNA_DIM_FF:
        return (uint64_t)l->n_ff;
    case PUNA_DIM_ROT:
        return (uint64_t)hp->n_rot / 2;
    }
    return 0;
}

/* Vectors are read by every backend as float32: the few that are stored otherwise are converted
 * once, here. */
static puna_status vector_as_f32(puna_network *net, const puna_tensor **t, puna_error *err)
{
    const puna_tensor *from = *t;
    if (from->format->id == PUNA_FORMAT_F32)
        return PUNA_OK;
    puna_tensor *copy = puna_arena_alloc(&net->arena, sizeof *copy);
    float *values = puna_arena_array(&net->arena, from->ne[0], sizeof *values);
    if (!copy || !values)
        return puna_fail_memory(err, from->name, from->ne[0] * sizeof *values);
    from->format->dequantize(from->data, values, from->ne[0]);
    *copy = *from;
    copy->format = puna_format_get(PUNA_FORMAT_F32);
    copy->data = values;
    copy->size_bytes = from->ne[0] * sizeof *values;
    *t = copy;
    return PUNA_OK;
}

static puna_status bind_one(puna_network *net, const puna_container *c, const puna_binding *b, const char *name,
                            const puna_layer_hparams *lh, const puna_tensor **field, puna_error *err)
{
    const puna_tensor *t = puna_container_tensor(c, name);
    if (!t && b->required)
        return puna_fail(err, PUNA_ERR_FORMAT, "tensor %s: got none, expected one", name);
    if (!t)
        return PUNA_OK;
    for (int d = 0; d < 4; d++) {
        uint64_t want = d < 2 ? dimension(&net->hp, lh, b->dims[d]) : 1;
        if (t->ne[d] != want)
            return puna_fail(err, PUNA_ERR_FORMAT, "tensor %s: dim[%d]: got %llu, expected %llu", name, d,
                             (unsigned long long)t->ne[d], (unsigned long long)want);
    }
    net->n_unused--;
    *field = t;
    return b->dims[1] == PUNA_DIM_ONE ? vector_as_f32(net, field, err) : PUNA_OK;
}

static puna_status bind_table(puna_network *net, const puna_container *c, const puna_binding *table, void *base,
                              int32_t layer, puna_error *err)
{
    char name[PUNA_MAX_NAME_BYTES];
    for (const puna_binding *b = table; b->name; b++) {
        if (layer >= 0)
            snprintf(name, sizeof name, "blk.%d.%s", (int)layer, b->name);
        else
            snprintf(name, sizeof name, "%s", b->name);
        const puna_tensor **field = (const puna_tensor **)(void *)((char *)base + b->offset);
        TRY(bind_one(net, c, b, name, &net->hp.layers[layer < 0 ? 0 : layer], field, err));
    }
    return PUNA_OK;
}

static bool named_in(const puna_binding *table, const char *name)
{
    for (const puna_binding *b = table; b->name; b++)
        if (strcmp(b->name, name) == 0)
            return true;
    return false;
}

/* The first tensor that no table names, for people to see. */
static const char *first_unused(const puna_network *net, const puna_container *c)
{
    for (size_t i = 0; i < puna_container_n_tensors(c); i++) {
        const char *name = puna_container_tensor_at(c, i)->name;
        int layer, at = 0;
        bool in_layer = sscanf(name, "blk.%d.%n", &layer, &at) == 1 && at > 0;
        bool known = in_layer ? layer >= 0 && layer < net->hp.n_layer && named_in(net->arch->layer, name + at)
                              : named_in(globals, name);
        if (!known)
            return name;
    }
    return NULL;
}

puna_status puna_network_bind(puna_network *net, const puna_container *container, puna_error *err)
{
    const puna_tensor *embedding = puna_container_tensor(container, "token_embd.weight");
    if (!embedding)
        return puna_fail(err, PUNA_ERR_FORMAT, "tensor token_embd.weight: got none, expected one");
    if (embedding->ne[1] > PUNA_MAX_VOCAB)
        return puna_fail(err, PUNA_ERR_FORMAT, "tensor token_embd.weight: dim[1]: got %llu, expected at most %u",
                         (unsigned long long)embedding->ne[1], PUNA_MAX_VOCAB);
    net->hp.n_vocab = (int32_t)embedding->ne[1];
    net->n_unused = (uint32_t)puna_container_n_tensors(container);
    net->layers = puna_arena_array(&net->arena, (size_t)net->hp.n_layer, sizeof *net->layers);
    if (!net->layers)
        return puna_fail_memory(err, "layers", (size_t)net->hp.n_layer * sizeof *net->layers);
    TRY(bind_table(net, container, globals, net, -1, err));
    for (int32_t i = 0; i < net->hp.n_layer; i++)
        TRY(bind_table(net, container, net->arch->layer, &net->layers[i], i, err));
    if (!net->output)
        net->output = net->embedding;
    net->unused = net->n_unused ? first_unused(net, container) : NULL;
    return PUNA_OK;
}
