/* bind.c - tensor names to fields, with their shapes checked against the hyper-parameters. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "model/network.h"

/* A row of tensors.def. */
typedef struct binding {
    puna_set_number set;
    bool vector;
    size_t offset;
    const char *name;
    puna_dim dims[3];
} binding;

enum { V = true, M = false };

static const binding globals[] = {
#define GLOBAL(set, kind, field, name, d0, d1, d2) \
    { PUNA_SET_NUMBER_##set,                       \
      kind,                                        \
      offsetof(puna_network, field),               \
      name,                                        \
      { PUNA_DIM_##d0, PUNA_DIM_##d1, PUNA_DIM_##d2 } },
#define LAYER(set, kind, field, name, d0, d1, d2)
#include "model/tensors.def"
#undef GLOBAL
#undef LAYER
};

static const binding layers[] = {
#define GLOBAL(set, kind, field, name, d0, d1, d2)
#define LAYER(set, kind, field, name, d0, d1, d2) \
    { PUNA_SET_NUMBER_##set,                      \
      kind,                                       \
      offsetof(puna_layer, field),                \
      name,                                       \
      { PUNA_DIM_##d0, PUNA_DIM_##d1, PUNA_DIM_##d2 } },
#include "model/tensors.def"
#undef GLOBAL
#undef LAYER
};

static const struct {
    const binding *rows;
    size_t n;
} tables[] = { { globals, sizeof globals / sizeof *globals }, { layers, sizeof layers / sizeof *layers } };

/* Of a head's keys and values, whether they are made of one vector or not. */
static const puna_latent *latent_of(const puna_hparams *hp, const puna_layer_hparams *l)
{
    return l->window > 0 ? &hp->latent_window : &hp->latent;
}

static uint64_t head_k(const puna_hparams *hp, const puna_layer_hparams *l)
{
    const puna_latent *m = latent_of(hp, l);
    return (uint64_t)(m->n_lora ? m->head_dim_k : puna_head_dim_k(hp, l));
}

static uint64_t head_v(const puna_hparams *hp, const puna_layer_hparams *l)
{
    const puna_latent *m = latent_of(hp, l);
    return (uint64_t)(m->n_lora ? m->head_dim_v : puna_head_dim_v(hp, l));
}

/* Of latent and of sparse attention, and of hyper-connections. */
static uint64_t latent_dimension(const puna_hparams *hp, const puna_layer_hparams *l, puna_dim dim)
{
    const puna_latent *m = latent_of(hp, l);
    const uint64_t n_head = (uint64_t)l->n_head;
    switch (dim) {
    case PUNA_DIM_LORA_Q:
        return (uint64_t)hp->n_lora_q;
    case PUNA_DIM_LORA_KV:
        return (uint64_t)m->n_lora;
    case PUNA_DIM_KV_A:
        return (uint64_t)m->n_lora + (uint64_t)(l->window > 0 ? hp->n_rot_window : hp->n_rot);
    case PUNA_DIM_KV_B:
        return n_head * ((uint64_t)m->n_nope + head_v(hp, l));
    case PUNA_DIM_NOPE:
        return (uint64_t)m->n_nope;
    case PUNA_DIM_HEAD_V:
        return head_v(hp, l);
    case PUNA_DIM_INDEX_HEADS:
        return (uint64_t)hp->indexer.n_head;
    case PUNA_DIM_INDEX:
        return (uint64_t)hp->indexer.head_dim;
    case PUNA_DIM_INDEX_Q:
        return (uint64_t)hp->indexer.n_head * (uint64_t)hp->indexer.head_dim;
    case PUNA_DIM_STREAMS:
        return (uint64_t)hp->hyper.n * (uint64_t)hp->n_embd;
    case PUNA_DIM_STREAM:
        return (uint64_t)hp->hyper.n;
    case PUNA_DIM_HYPER:
        return (uint64_t)hp->hyper.n * (uint64_t)(hp->hyper.n_balance > 0 ? 2 + hp->hyper.n : 2);
    case PUNA_DIM_HYPER_SCALES:
        return hp->hyper.n_balance > 0 ? 3 : 2;
    case PUNA_DIM_HYPER_LOW:
        return (uint64_t)hp->hyper.n_low;
    case PUNA_DIM_NGRAM_TAPS:
        return hp->ngrams ? (uint64_t)hp->ngrams->n_taps : 0;
    case PUNA_DIM_LORA_O:
        return (uint64_t)hp->n_out_group * (uint64_t)hp->n_lora_o;
    case PUNA_DIM_COMPRESS:
        return (uint64_t)l->compress;
    case PUNA_DIM_COMPRESS_K:
        return l->indexer == PUNA_INDEXER_OWN ? 2 * head_k(hp, l) : head_k(hp, l);
    case PUNA_DIM_COMPRESS_INDEX:
        return 2 * (uint64_t)hp->indexer.head_dim;
    default:
        return 0;
    }
}

static uint64_t dimension(const puna_hparams *hp, const puna_layer_hparams *l, puna_dim dim)
{
    const uint64_t n_head = (uint64_t)l->n_head, n_head_kv = (uint64_t)l->n_head_kv;
    const uint64_t q = n_head * head_k(hp, l), k = n_head_kv * head_k(hp, l), v = n_head_kv * head_v(hp, l);
    switch (dim) {
    case PUNA_DIM_ONE:
        return 1;
    case PUNA_DIM_ANY:
        return 0;
    case PUNA_DIM_EMBD:
        return (uint64_t)hp->n_embd;
    case PUNA_DIM_VOCAB:
        return (uint64_t)hp->n_vocab;
    case PUNA_DIM_Q2:
        return 2 * q;
    case PUNA_DIM_Q:
        return q;
    case PUNA_DIM_K:
        return k;
    case PUNA_DIM_V:
        return v;
    case PUNA_DIM_QKV:
        return q + k + v;
    case PUNA_DIM_O:
        return n_head * head_v(hp, l);
    case PUNA_DIM_HEADS:
        return n_head;
    case PUNA_DIM_FF:
        return (uint64_t)l->n_ff;
    case PUNA_DIM_FF2:
        return 2 * (uint64_t)l->n_ff;
    case PUNA_DIM_EXPERTS:
        return (uint64_t)hp->n_expert;
    case PUNA_DIM_FF_EXPERT:
        return (uint64_t)hp->n_ff_expert;
    case PUNA_DIM_FF_EXPERT2:
        return 2 * (uint64_t)hp->n_ff_expert;
    case PUNA_DIM_FF_SHARED:
        return (uint64_t)hp->n_ff_shared;
    case PUNA_DIM_FF_SHARED2:
        return 2 * (uint64_t)hp->n_ff_shared;
    case PUNA_DIM_STATE_IN:
        return (uint64_t)hp->state.n_in;
    case PUNA_DIM_STATE_X:
        return (uint64_t)hp->state.n_x;
    case PUNA_DIM_STATE_INNER:
        return (uint64_t)hp->state.n_inner;
    case PUNA_DIM_STATE_CHANNELS:
        return (uint64_t)hp->state.n_channels;
    case PUNA_DIM_STATE_HEADS:
        return (uint64_t)hp->state.n_rank;
    case PUNA_DIM_INPUT:
        return (uint64_t)hp->n_layer_input;
    case PUNA_DIM_INPUTS:
        return (uint64_t)hp->n_layer_input * (uint64_t)hp->n_layer;
    case PUNA_DIM_CHUNKS:
        return (uint64_t)hp->n_chunk;
    case PUNA_DIM_FF_CHUNK:
        return (uint64_t)hp->n_ff_chunk;
    default:
        return latent_dimension(hp, l, dim);
    }
}

/* ---- one tensor ------------------------------------------------------------------------- */

/* Vectors are read by every backend as float32: the few that are stored otherwise are converted
 * once, here. */
static puna_status vector_as_f32(puna_network *net, const puna_tensor **t, puna_error *err)
{
    const puna_tensor *from = *t;
    if (from->format->id == PUNA_FORMAT_F32)
        return PUNA_OK;
    const uint64_t n = from->ne[0] * puna_tensor_rows(from);
    puna_tensor *copy = puna_arena_alloc(&net->arena, sizeof *copy);
    float *values = puna_arena_array(&net->arena, n, sizeof *values);
    if (!copy || !values)
        return puna_fail_memory(err, from->name, n * sizeof *values);
    from->format->dequantize(from->data, values, n);
    *copy = *from;
    copy->format = puna_format_get(PUNA_FORMAT_F32);
    copy->data = values;
    copy->size_bytes = n * sizeof *values;
    copy->mapped = false;
    *t = copy;
    return PUNA_OK;
}

static puna_status check_shape(const puna_network *net, const puna_tensor *t, const binding *b,
                               const puna_layer_hparams *lh, puna_error *err)
{
    for (int d = 0; d < 4; d++) {
        const puna_dim dim = d < 3 ? b->dims[d] : b->dims[2] == PUNA_DIM_ANY ? PUNA_DIM_ANY : PUNA_DIM_ONE;
        const uint64_t want = dimension(&net->hp, lh, dim);
        if (dim != PUNA_DIM_ANY && t->ne[d] != want)
            return puna_fail(err, PUNA_ERR_FORMAT, "tensor %s: dim[%d]: got %llu, expected %llu", t->name, d,
                             (unsigned long long)t->ne[d], (unsigned long long)want);
    }
    if (t->ne[0] == 0 || puna_tensor_rows(t) == 0)
        return puna_fail(err, PUNA_ERR_FORMAT, "tensor %s: got no values", t->name);
    return PUNA_OK;
}

/* What the architecture's files call it first. */
static const char *file_name(const puna_arch *arch, const char *name)
{
    for (const puna_alias *a = arch->aliases; a && a->name; a++)
        if (strcmp(a->of, name) == 0)
            return a->name;
    return name;
}

static const char *layer_blocks(const puna_arch *arch)
{
    return arch->blocks ? arch->blocks : "blk";
}

/* With the number of its layer: in front, or where a name of the architecture's own has {}. */
static void full_name(const char *blocks, const char *own, int32_t layer, char full[PUNA_MAX_NAME_BYTES])
{
    const char *mark = strstr(own, "{}");
    if (layer >= 0 && mark)
        snprintf(full, PUNA_MAX_NAME_BYTES, "%.*s%d%s", (int)(mark - own), own, (int)layer, mark + 2);
    else if (layer >= 0)
        snprintf(full, PUNA_MAX_NAME_BYTES, "%s.%d.%s", blocks, (int)layer, own);
    else
        snprintf(full, PUNA_MAX_NAME_BYTES, "%s", own);
}

bool puna_tensor_is_known(const char *name)
{
    for (size_t t = 0; t < 2; t++)
        for (size_t i = 0; i < tables[t].n; i++)
            if (strcmp(tables[t].rows[i].name, name) == 0)
                return true;
    return false;
}

static const puna_tensor *tensor_of(const puna_container *c, const char *blocks, int32_t layer, const char *own)
{
    char full[PUNA_MAX_NAME_BYTES];
    full_name(blocks, own, layer, full);
    return puna_container_tensor(c, full);
}

/* A layer of one kind, or (layer -1) what the model has but once. */
typedef struct place {
    const char *blocks;
    void *base;
    int32_t layer;
    puna_sets none; /* what it has no use for */
} place;

/* By the first of its names that the file has. */
static const puna_tensor *find_tensor(const puna_arch *arch, const puna_container *c, const place *p,
                                      const char *name)
{
    bool renamed = false;
    for (const puna_alias *a = arch->aliases; a && a->name; a++) {
        if (strcmp(a->of, name) != 0)
            continue;
        renamed = true;
        const puna_tensor *t = tensor_of(c, p->blocks, p->layer, a->name);
        if (t)
            return t;
    }
    return renamed ? NULL : tensor_of(c, p->blocks, p->layer, name);
}

static puna_status bind_one(puna_network *net, const puna_container *c, const binding *b, const place *p,
                            puna_error *err)
{
    const puna_layer_hparams *lh = &net->hp.layers[p->layer < 0 ? 0 : p->layer];
    const puna_tensor **field = (const puna_tensor **)(void *)((char *)p->base + b->offset);
    const puna_tensor *t = find_tensor(net->arch, c, p, b->name);
    if (!t)
        return PUNA_OK;
    TRY(check_shape(net, t, b, lh, err));
    net->n_unused--;
    *field = t;
    return b->vector ? vector_as_f32(net, field, err) : PUNA_OK;
}

/* ---- fused tensors ---------------------------------------------------------------------- */

/* Rows [from, from + n) of every matrix, or values of a vector, as a tensor of their own. */
static const puna_tensor *rows_of(puna_network *net, const puna_tensor *t, uint64_t from, uint64_t n,
                                  puna_error *err)
{
    puna_tensor *part = t ? puna_arena_alloc(&net->arena, sizeof *part) : NULL;
    if (!part) {
        if (t)
            puna_fail_memory(err, t->name, sizeof *part);
        return NULL;
    }
    *part = *t;
    if (t->ne[1] == 1) {
        part->ne[0] = n;
        part->data = (const float *)t->data + from;
        part->size_bytes = n * sizeof(float);
        return part;
    }
    part->ne[1] = n;
    part->data = puna_tensor_row(t, from);
    part->size_bytes = n * puna_tensor_row_bytes(t);
    return part;
}

/* q, k and v lie one after another, as do a gate and what it gates. */
static puna_status split_fused(puna_network *net, puna_layer *l, const puna_layer_hparams *lh,
                               puna_error *err)
{
    const uint64_t q = dimension(&net->hp, lh, PUNA_DIM_Q), k = dimension(&net->hp, lh, PUNA_DIM_K),
                   v = dimension(&net->hp, lh, PUNA_DIM_V), ff = (uint64_t)lh->n_ff,
                   shared = (uint64_t)net->hp.n_ff_shared;
    const struct {
        const puna_tensor *whole, **part;
        uint64_t from, n;
    } parts[] = {
        { l->wqkv, &l->wq, 0, q },
        { l->wqkv, &l->wk, q, k },
        { l->wqkv, &l->wv, q + k, v },
        { l->bqkv, &l->bq, 0, q },
        { l->bqkv, &l->bk, q, k },
        { l->bqkv, &l->bv, q + k, v },
        { l->ffn_gate_up, &l->ffn_gate, 0, ff },
        { l->ffn_gate_up, &l->ffn_up, ff, ff },
        { l->ffn_gate_up_bias, &l->ffn_gate_bias, 0, ff },
        { l->ffn_gate_up_bias, &l->ffn_up_bias, ff, ff },
        { l->shared_gate_up, &l->shared_gate, 0, shared },
        { l->shared_gate_up, &l->shared_up, shared, shared },
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!parts[i].whole)
            continue;
        *parts[i].part = rows_of(net, parts[i].whole, parts[i].from, parts[i].n, err);
        if (!*parts[i].part)
            return PUNA_ERR_MEMORY;
    }
    if (l->sqkv)
        l->sq = l->sk = l->sv = l->sqkv;
    return PUNA_OK;
}

/* ---- tables ----------------------------------------------------------------------------- */

#define ATTENTION_SETS                                                                                   \
    (PUNA_SETS_QKV | PUNA_SET(Q_GATED) | PUNA_SET(Q_GATED_BIAS) | PUNA_SETS_QK_NORM | PUNA_SET(O) |      \
     PUNA_SET(O_BIAS) | PUNA_SET(O_SCALE) | PUNA_SET(ATTN_GATE) | PUNA_SET(LORA_Q) | PUNA_SET(LORA_KV) | \
     PUNA_SET(KV_B) | PUNA_SET(LATENT_HEADS))
#define FEED_FORWARD_SETS (PUNA_SETS_GATED | PUNA_SET(GATE_UP))
#define EXPERT_SETS                                                                                  \
    (PUNA_SETS_EXPERTS | PUNA_SETS_SHARED | PUNA_SET(SHARED_GATE_UP) | PUNA_SET(SHARED_WEIGHT) |     \
     PUNA_SET(CHOICE_BIAS) | PUNA_SET(EXPERT_BIAS) | PUNA_SET(ROUTER_BIAS) | PUNA_SET(EXPERT_NORM) | \
     PUNA_SET(BESIDE_EXPERTS) | PUNA_SET(CHUNK) | PUNA_SET(SHARED_UP) | PUNA_SET(EXPERT_LATENT) |     \
     PUNA_SET(EXPERT_PLAIN))

#define INDEXER_SETS                                                                                     \
    (PUNA_SET(INDEXER) | PUNA_SET(INDEXER_DIRECT) | PUNA_SET(INDEX_QUERY) | PUNA_SET(INDEX_COMPRESSOR) | \
     PUNA_SET(INDEX_POOL))

/* What the architecture's layer of this kind has no use for. */
static puna_sets without(const puna_arch *arch, const puna_hparams *hp, const puna_layer_hparams *l)
{
    puna_sets none =
        l->experts ? 0
                   : EXPERT_SETS | PUNA_SET(EXPERT_GATE_UP) | PUNA_SET(EXPERT_SCALE) | PUNA_SET(SHARED_SCALE);
    if (l->experts && !(arch->traits & PUNA_TRAIT_DENSE_TOO))
        none |= FEED_FORWARD_SETS | PUNA_SETS_FFN_BIAS | PUNA_SET(FFN_SCALE);
    if (hp->n_ff_shared == 0)
        none |= PUNA_SETS_SHARED | PUNA_SET(SHARED_UP) | PUNA_SET(SHARED_GATE_UP) | PUNA_SET(SHARED_WEIGHT);
    if (!l->attends)
        none |= ATTENTION_SETS;
    if (!l->recurrent)
        none |= PUNA_SETS_RECURRENT;
    none |= hp->n_lora_q > 0 ? 0 : PUNA_SET(LORA_Q);
    none |= hp->absorbed ? PUNA_SET(KV_B) : PUNA_SET(LATENT_HEADS);
    none |= l->indexer == PUNA_INDEXER_OWN ? 0 : INDEXER_SETS;
    none |= l->compress > 0 ? 0 : PUNA_SET(COMPRESSOR);
    none |= hp->ngrams && l - hp->layers == hp->ngrams->layer ? 0 : PUNA_SET(NGRAM);
    none |= l - hp->layers < hp->n_expert_table ? PUNA_SET(CHOICE_BIAS) : PUNA_SET(EXPERT_TABLE);
    if (!(arch->traits & PUNA_TRAIT_PARTS))
        return none;
    if (l->n_head == 0)
        none |= ATTENTION_SETS;
    if (l->n_head_kv == 0)
        none |= PUNA_SETS_QKV;
    if (!l->recurrent && (!l->attends || l->n_head == 0))
        none |= PUNA_SET(ATTN_NORM) | PUNA_SET(ATTN_NORM_BIAS);
    if (l->n_ff == 0 && !l->experts)
        none |= FEED_FORWARD_SETS | PUNA_SETS_FFN_BIAS | PUNA_SET(FFN_SCALE) | PUNA_SET(FFN_NORM);
    return none;
}

/* And the model itself. */
static place whole(const puna_hparams *hp, puna_network *net)
{
    return (place){ .base = net, .layer = -1, .none = hp->ngrams ? 0 : PUNA_SET(NGRAM) };
}

/* The sets whose tensors are there in a fused form. */
static puna_sets fused_sets(const puna_layer *l)
{
    return (l->wqkv ? PUNA_SET(QKV) : 0) | (l->ffn_gate_up ? PUNA_SET(GATE) | PUNA_SET(UP) : 0) |
           (l->expert_gate_up ? PUNA_SET(EXPERT_GATE) | PUNA_SET(EXPERT_UP) : 0) |
           (l->shared_gate_up ? PUNA_SET(SHARED) : 0) |
           (l->ssm.in && !l->delta.qkv ? PUNA_SET(DELTA_QKV) : 0) | (l->rwkv.lerp ? PUNA_SET(WKV_LERPS) : 0);
}

/* Where files may have a gate of its own or one in front of what it gates: the other name of the two for this tensor. */
static bool is_other_form(const puna_network *net, const puna_container *c, const binding *b,
                          puna_sets wanted, const place *p)
{
    const bool fused = b->set == PUNA_SET_NUMBER_GATE_UP || b->set == PUNA_SET_NUMBER_GATE_UP_BIAS;
    const bool alone = b->set == PUNA_SET_NUMBER_UP || b->set == PUNA_SET_NUMBER_UP_BIAS;
    if (!(fused || alone) || !(wanted & PUNA_SET(UP)) || !(wanted & PUNA_SET(GATE_UP)))
        return false;
    const puna_tensor *t = find_tensor(net->arch, c, p, "ffn_up.weight");
    return fused != (t && t->ne[1] == dimension(&net->hp, &net->hp.layers[p->layer], PUNA_DIM_FF2));
}

static puna_sets wanted_of(const puna_arch *arch, puna_sets none)
{
    return (arch->needs | arch->may | (PUNA_SETS_ALWAYS & ~arch->never)) & ~none;
}

static puna_status bind_table(puna_network *net, const puna_container *c, const place *p, puna_error *err)
{
    const puna_arch *arch = net->arch;
    const bool layer = p->layer >= 0;
    const puna_sets wanted = wanted_of(arch, p->none);
    for (size_t i = 0; i < tables[layer].n; i++) {
        const binding *b = &tables[layer].rows[i];
        if ((wanted >> b->set & 1) && !is_other_form(net, c, b, wanted, p))
            TRY(bind_one(net, c, b, p, err));
    }
    puna_sets needed = arch->needs & ~p->none;
    if (layer)
        needed &= ~fused_sets(p->base);
    for (size_t i = 0; i < tables[layer].n; i++) {
        const binding *b = &tables[layer].rows[i];
        const puna_tensor *const *field =
            (const puna_tensor *const *)(const void *)((const char *)p->base + b->offset);
        if ((needed >> b->set & 1) && !*field) {
            char name[PUNA_MAX_NAME_BYTES];
            full_name(p->blocks, file_name(arch, b->name), p->layer, name);
            return puna_fail(err, PUNA_ERR_FORMAT, "tensor %s: got none, expected one", name);
        }
    }
    return PUNA_OK;
}

/* Whether the architecture's files may call a tensor so. */
static bool goes_by(const puna_arch *arch, const char *of, const char *name)
{
    for (const puna_alias *a = arch->aliases; a && a->name; a++)
        if (strcmp(a->of, of) == 0 && strcmp(a->name, name) == 0)
            return true;
    return strcmp(file_name(arch, of), name) == 0;
}

static bool named_in(const puna_network *net, bool layer, const char *name)
{
    const puna_sets wanted = net->arch->needs | net->arch->may | (PUNA_SETS_ALWAYS & ~net->arch->never);
    for (size_t i = 0; i < tables[layer].n; i++)
        if ((wanted >> tables[layer].rows[i].set & 1) && goes_by(net->arch, tables[layer].rows[i].name, name))
            return true;
    return false;
}

/* The part of a name after "blk.N." of n layers, or NULL. */
static const char *in_layer(const char *name, const char *blocks, int32_t n)
{
    const size_t length = blocks ? strlen(blocks) : 0;
    int layer, at = 0;
    if (!length || strncmp(name, blocks, length) != 0 ||
        sscanf(name + length, ".%d.%n", &layer, &at) != 1 || at == 0)
        return NULL;
    return layer >= 0 && layer < n ? name + length + at : NULL;
}

/* The first tensor that no table names, for people to see. */
static const char *first_unused(const puna_network *net, const puna_container *c)
{
    for (size_t i = 0; i < puna_container_n_tensors(c); i++) {
        const char *name = puna_container_tensor_at(c, i)->name;
        if (net->arch->aliases && strstr(net->arch->aliases[0].name ? net->arch->aliases[0].name : "", "{}"))
            return NULL; /* names of its own pattern: only their number is known */
        const char *rest = in_layer(name, layer_blocks(net->arch), net->hp.n_layer);
        if (!rest)
            rest = in_layer(name, net->arch->encoder_blocks, net->hp.n_encoder);
        const bool known = rest ? named_in(net, true, rest) : named_in(net, false, name);
        if (!known)
            return name;
    }
    return NULL;
}

/* Those that stand in place of others are among them. */
static void shapes_of(const puna_arch *arch, const puna_hparams *hp, const place *p, puna_shape_fn *each,
                      void *user)
{
    const puna_layer_hparams *l = &hp->layers[p->layer < 0 ? 0 : p->layer];
    const puna_sets wanted = wanted_of(arch, p->none);
    char name[PUNA_MAX_NAME_BYTES];
    for (size_t i = 0; i < tables[p->layer >= 0].n; i++) {
        const binding *b = &tables[p->layer >= 0].rows[i];
        uint64_t ne[3];
        if (!(wanted >> b->set & 1))
            continue;
        for (int d = 0; d < 3; d++)
            ne[d] = dimension(hp, l, b->dims[d]);
        full_name(p->blocks, file_name(arch, b->name), p->layer, name);
        each(user, name, ne);
    }
}

void puna_arch_shapes(const puna_arch *arch, const puna_hparams *hp, puna_shape_fn *each, void *user)
{
    const place model = whole(hp, NULL);
    shapes_of(arch, hp, &model, each, user);
    for (int32_t i = 0; i < hp->n_layer; i++)
        shapes_of(arch, hp, &(place){ layer_blocks(arch), NULL, i, without(arch, hp, &hp->layers[i]) }, each,
                  user);
    for (int32_t i = 0; i < hp->n_encoder; i++)
        shapes_of(arch, hp,
                  &(place){ arch->encoder_blocks, NULL, i,
                            PUNA_SET(CROSS) | without(arch, hp, &hp->layers[i]) },
                  each, user);
}

bool puna_key_tensor(const puna_keys *k, int32_t layer, const char *name)
{
    return tensor_of(k->container, "blk", layer, name) != NULL;
}

static puna_status bind_layers(puna_network *net, const puna_container *c, const char *blocks, int32_t n,
                               puna_sets none, puna_layer **bound, puna_error *err)
{
    *bound = puna_arena_array(&net->arena, (size_t)n, sizeof **bound);
    if (!*bound)
        return puna_fail_memory(err, "layers", (size_t)n * sizeof **bound);
    for (int32_t i = 0; i < n; i++) {
        const puna_layer_hparams *lh = &net->hp.layers[i];
        const place p = { blocks, &(*bound)[i], i, none | without(net->arch, &net->hp, lh) };
        TRY(bind_table(net, c, &p, err));
        TRY(split_fused(net, &(*bound)[i], lh, err));
    }
    return PUNA_OK;
}

puna_status puna_network_bind(puna_network *net, const puna_container *container, puna_error *err)
{
    const char *name = file_name(net->arch, "token_embd.weight");
    const puna_tensor *embedding = puna_container_tensor(container, name);
    if (!embedding)
        return puna_fail(err, PUNA_ERR_FORMAT, "tensor %s: got none, expected one", name);
    if (embedding->ne[1] > PUNA_MAX_VOCAB)
        return puna_fail(err, PUNA_ERR_FORMAT, "tensor %s: dim[1]: got %llu, expected at most %u", name,
                         (unsigned long long)embedding->ne[1], PUNA_MAX_VOCAB);
    net->hp.n_vocab = (int32_t)embedding->ne[1];
    net->n_unused = (uint32_t)puna_container_n_tensors(container);
    const place model = whole(&net->hp, net);
    TRY(bind_table(net, container, &model, err));
    TRY(bind_layers(net, container, layer_blocks(net->arch), net->hp.n_layer, 0, &net->layers, err));
    if (net->hp.n_encoder > 0)
        TRY(bind_layers(net, container, net->arch->encoder_blocks, net->hp.n_encoder, PUNA_SET(CROSS),
                        &net->encoder_layers, err));
    if (!net->output)
        net->output = net->embedding;
    net->unused = net->n_unused ? first_unused(net, container) : NULL;
    return PUNA_OK;
}
