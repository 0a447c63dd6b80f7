/* packed_i8mm.c - packed weights with smmla: two strips of four rows of activations at once. Fewer
 * rows go through the kernels with sdot, whose results are the same to the last bit. */
#include "backend/cpu/arm/packed_classic.h"
#include "backend/cpu/arm/packed_k.h"

#define ROW(format)                                                \
    void puna_packed_##format##_i8mm(const puna_linear_call *call) \
    {                                                              \
        packed_kernel kernel = puna_packed_kernel_##format;        \
        kernel.two_strips = micro_##format;                        \
        puna_packed_run_neon(call, &kernel);                       \
    }

#define CLASSIC_ROW(format, kind, offset, minima, layout)                                               \
    static void micro_##format(const packed_chunk *chunk, const uint8_t *act, size_t next, float *sums) \
    {                                                                                                   \
        micro_classic(PAIRS, kind, offset, minima, PUNA_STRIP_ROWS, sizeof(puna_panel_##layout), chunk, \
                      (strips){ act, next }, sums);                                                     \
    }                                                                                                   \
    ROW(format)
CLASSIC_FORMATS(CLASSIC_ROW)

#define SUPER_ROW(format, micro, kind, layout)                                                          \
    static void micro_##format(const packed_chunk *chunk, const uint8_t *act, size_t next, float *sums) \
    {                                                                                                   \
        micro(PAIRS, kind, PUNA_STRIP_ROWS, chunk, (strips){ act, next }, sums);                        \
    }                                                                                                   \
    ROW(format)
K_FORMATS(SUPER_ROW)
