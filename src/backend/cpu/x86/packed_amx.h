/* packed_amx.h - what packed_*_avx512.c gives packed_amx.c of a format: its codes as bytes and its
 * scales. */
#ifndef PUNA_BACKEND_CPU_X86_PACKED_AMX_H
#define PUNA_BACKEND_CPU_X86_PACKED_AMX_H

#include "backend/cpu/packed_run.h"

/* What m of packed_scales is: nothing, added to every value, or d of the second half of a block. */
typedef enum puna_amx_kind { PUNA_AMX_PLAIN, PUNA_AMX_MINIMA, PUNA_AMX_HALVES } puna_amx_kind;

typedef struct puna_amx_source {
    scales_fn *scales;
    unpack_fn *unpack; /* codes 0..255; value = d * (code - offset) + m */
    puna_amx_kind kind;
    float offset;
    int32_t unit_blocks;
    size_t unit_bytes;
} puna_amx_source;

extern const puna_amx_source puna_amx_source_Q4_0, puna_amx_source_Q4_1, puna_amx_source_Q5_0, puna_amx_source_Q5_1,
    puna_amx_source_Q8_0, puna_amx_source_Q4_K, puna_amx_source_Q5_K, puna_amx_source_Q6_K, puna_amx_source_IQ4_NL,
    puna_amx_source_IQ4_XS, puna_amx_source_MXFP4;

/* The source of a format from scales_<format> and unpack_<format>. */
#define AMX_SOURCE(format, layout, blocks, kind, offset)                                                     \
    const puna_amx_source puna_amx_source_##format = { scales_##format, unpack_##format, kind, offset,       \
                                                       blocks, sizeof(puna_panel_##layout) };

#endif
