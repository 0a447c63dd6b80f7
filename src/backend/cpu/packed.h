/* packed.h - the packed copies of a program's weights: which weights get one, the memory for them
 * (huge pages where the system gives them), and making them on all processors. Owns that memory;
 * refuses layouts (pack.h) and kernels. */
#ifndef PUNA_BACKEND_CPU_PACKED_H
#define PUNA_BACKEND_CPU_PACKED_H

#include "backend/cpu/steps.h"
#include "ops/backend.h"

typedef struct puna_packed_weight {
    const puna_tensor *weight;
    uint8_t *panels;
} puna_packed_weight;

typedef struct puna_packed {
    puna_packed_weight *weights; /* sorted by address of the tensor */
    int32_t n_weights;
    void *mapping;
    size_t mapping_bytes;
} puna_packed;

/* Copies every matrix of the plan that puna_linear_packs. With PUNA_REPACK_AUTO nothing is copied
 * that would not fit into the memory that is free. Pages of a file are given back as soon as they are copied. On
 * failure *packed is empty. */
puna_status puna_packed_make(puna_packed *packed, const puna_plan *plan, uint32_t allowed, puna_repack repack,
                             puna_error *err);
void puna_packed_free(puna_packed *packed);

/* Makes the products of a program's steps read the copies. */
void puna_packed_use(const puna_packed *packed, puna_steps *steps);

#endif
