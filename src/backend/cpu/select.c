/* select.c - the table of kernels.def and the choice from it. Owns nothing else. */
#include "backend/cpu/kernel.h"

static const puna_kernel kernels[] = {
#define K(op, format, isa, needs, max_err) \
    { PUNA_KERNEL_##op, PUNA_FORMAT_##format, #isa, needs, max_err, puna_##op##_##format##_##isa },
#define E(isa, needs)
#include "backend/cpu/kernels.def"
#undef K
#undef E
};

static const puna_encoder encoders[] = {
#define K(op, format, isa, needs, max_err)
#define E(isa, needs) { #isa, needs, puna_encode_q8_##isa, puna_encode_strip_##isa },
#include "backend/cpu/kernels.def"
#undef K
#undef E
};

const puna_kernel *puna_kernel_list(size_t *n)
{
    *n = sizeof kernels / sizeof *kernels;
    return kernels;
}

const puna_encoder *puna_encoder_list(size_t *n)
{
    *n = sizeof encoders / sizeof *encoders;
    return encoders;
}

const puna_kernel *puna_kernel_select(puna_kernel_op op, uint32_t format, uint32_t allowed)
{
    const puna_kernel *best = NULL;
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        const puna_kernel *k = &kernels[i];
        if (k->op == op && k->format == format && (k->needs & allowed) == k->needs)
            best = k;
    }
    return best;
}

bool puna_kernel_is_float(uint32_t format)
{
    const puna_format_info *info = puna_format_get(format);
    return info && info->block_elems == 1;
}

puna_act puna_kernel_act(const puna_kernel *kernel)
{
    if (kernel->op == PUNA_KERNEL_packed)
        return PUNA_ACT_STRIP;
    if (kernel->op == PUNA_KERNEL_batch)
        return PUNA_ACT_TILE;
    return puna_kernel_is_float(kernel->format) ? PUNA_ACT_F32 : PUNA_ACT_Q8;
}

const char *puna_kernel_op_name(puna_kernel_op op)
{
    static const char *const names[PUNA_KERNEL_OPS] = { "dot", "tile", "packed", "batch" };
    return names[op];
}
