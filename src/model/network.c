/* network.c - from a container to a recorded plan. */
#include "model/network.h"

#include <string.h>

#include "model/arch_file.h"

#define A(symbol) extern const puna_arch puna_arch_##symbol;
#include "model/arch.def"
#undef A

static const puna_arch *const archs[] = {
#define A(symbol) &puna_arch_##symbol,
#include "model/arch.def"
#undef A
};

enum { N_ARCHS = sizeof archs / sizeof *archs };

const puna_arch *puna_arch_at(size_t i)
{
    return i < N_ARCHS ? archs[i] : NULL;
}

const puna_arch *puna_arch_find(const char *name, size_t n)
{
    for (size_t i = 0; i < N_ARCHS; i++)
        if (strlen(archs[i]->name) == n && memcmp(archs[i]->name, name, n) == 0)
            return archs[i];
    return NULL;
}

static puna_status find_arch(puna_network *net, const puna_container *c, const char *arch_file,
                             const puna_toml **numbers, puna_error *err)
{
    const char *name;
    size_t n;
    *numbers = NULL;
    if (arch_file && *arch_file)
        return puna_arch_file_read(&net->arch, numbers, arch_file, &net->arena, err);
    if (!puna_meta_text(puna_container_meta(c, "general.architecture"), &name, &n))
        return puna_fail(err, PUNA_ERR_FORMAT, "metadata general.architecture: got none, expected a string");
    net->arch = puna_arch_find(name, n);
    if (net->arch)
        return PUNA_OK;
    puna_fail(err, PUNA_ERR_FORMAT, "metadata general.architecture: got %.*s, which this build cannot run",
              n < 64 ? (int)n : 64, name);
    return puna_hint(err, PUNA_ERR_FORMAT,
                     "puna formats lists those it can; --arch-file FILE describes another");
}

static puna_status open_network(puna_network *net, const puna_container *c, const puna_toml *numbers,
                                int32_t n_ctx, puna_error *err)
{
    const puna_arch *arch = net->arch;
    puna_keys keys = { .container = c, .arch = arch->name, .numbers = numbers, .n_ctx = n_ctx };
    net->hp = arch->defaults;
    net->hp.pairing = arch->pairing;
    puna_hparams_read(&net->hp, &keys, &net->arena);
    if (!keys.status && arch->adjust)
        arch->adjust(&net->hp, &keys);
    if (keys.status && err)
        *err = keys.error;
    TRY(keys.status);
    net->hp.norm_eps = net->hp.norm_kind == PUNA_NORM_RMS ? net->hp.rms_eps : net->hp.layer_eps;
    TRY(puna_network_bind(net, c, err));
    for (size_t i = 0; i < puna_container_n_tensors(c); i++) {
        const puna_tensor *t = puna_container_tensor_at(c, i);
        net->n_parameters += t->ne[0] * puna_tensor_rows(t);
    }
    net->selected = -1;
    net->plan.n_ctx_most = net->hp.indexer.n_idle;
    if (arch->build)
        arch->build(net);
    else
        puna_build_decoder(net);
    return puna_plan_place(&net->plan, true, err);
}

puna_status puna_network_open_as(puna_network *net, const puna_container *container, const puna_arch *arch,
                                 const puna_toml *numbers, int32_t n_ctx, puna_error *err)
{
    *net = (puna_network){ .arch = arch };
    puna_status status = open_network(net, container, numbers, n_ctx, err);
    if (status)
        puna_network_close(net);
    return status;
}

puna_status puna_network_open(puna_network *net, const puna_container *container, const char *arch_file,
                              int32_t n_ctx, puna_error *err)
{
    const puna_toml *numbers = NULL;
    *net = (puna_network){ 0 };
    puna_status status = find_arch(net, container, arch_file, &numbers, err);
    if (!status)
        status = open_network(net, container, numbers, n_ctx, err);
    if (status)
        puna_network_close(net);
    return status;
}

void puna_network_close(puna_network *net)
{
    puna_plan_free(&net->plan);
    puna_arena_free(&net->arena);
    *net = (puna_network){ 0 };
}
