/* linear.c - y = W x: the choice between kernels for one weight and its calls. Owns the last
 * resort for formats without kernels: a panel of rows at a time is dequantised and multiplied as
 * F32. Refuses threads. */
#include "backend/cpu/linear.h"

#include <assert.h>

#include "backend/cpu/kernel.h"
#include "backend/cpu/pack.h"

/* From this many rows on unpacking panels pays: two read the weights once in dot kernels too. */
#define TILE_MIN_ROWS 3

/* From this many rows on making bfloat16 of packed weights pays. */
#define BATCH_MIN_ROWS 32

enum { DOT, TILE, PACKED, BATCH };

static size_t align_64(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

puna_linear puna_linear_choose(const puna_tensor *weight, uint32_t allowed)
{
    const uint32_t format = weight->format->id;
    assert(weight->ne[0] <= INT32_MAX && puna_tensor_rows(weight) <= INT32_MAX);
    puna_linear linear = { .weight = weight,
                           .act = puna_kernel_is_float(format) ? PUNA_ACT_F32 : PUNA_ACT_Q8,
                           .n_in = (int32_t)weight->ne[0],
                           .n_out = (int32_t)puna_tensor_rows(weight),
                           .chunk = PUNA_TILE_ROWS };
    const puna_kernel *dot = puna_kernel_select(PUNA_KERNEL_dot, format, allowed);
    const puna_kernel *tile = puna_kernel_select(PUNA_KERNEL_tile, format, allowed);
    if (!dot) {
        linear.reference = true;
        linear.act = PUNA_ACT_F32;
        dot = puna_kernel_select(PUNA_KERNEL_dot, PUNA_FORMAT_F32, allowed);
        tile = puna_kernel_select(PUNA_KERNEL_tile, PUNA_FORMAT_F32, allowed);
    }
    linear.kernel[DOT] = dot;
    linear.kernel[TILE] = tile;
    linear.kernel[PACKED] = puna_kernel_select(PUNA_KERNEL_packed, format, allowed);
    linear.kernel[BATCH] = puna_kernel_select(PUNA_KERNEL_batch, format, allowed);
    linear.uniform = !tile; /* the two kinds sum in different orders */
    return linear;
}

bool puna_linear_packs(const puna_tensor *weight, uint32_t allowed)
{
    return puna_pack_of(weight->format->id) && puna_kernel_select(PUNA_KERNEL_packed, weight->format->id, allowed);
}

void puna_linear_use(puna_linear *linear, const void *packed)
{
    assert(linear->kernel[PACKED]);
    linear->packed = packed;
    linear->act = PUNA_ACT_STRIP;
    linear->uniform = true;
}

puna_act puna_linear_act(const puna_linear *linear, int32_t n_rows, bool uniform)
{
    return linear->packed && linear->kernel[BATCH] && n_rows >= BATCH_MIN_ROWS && !uniform ? PUNA_ACT_TILE
                                                                                           : linear->act;
}

size_t puna_linear_scratch_bytes(const puna_linear *linear, int32_t n_rows)
{
    size_t bytes = 63;
    if (linear->packed || (linear->kernel[TILE] && n_rows >= TILE_MIN_ROWS))
        bytes += PUNA_TILE_SCRATCH;
    if (puna_linear_act(linear, n_rows, false) == PUNA_ACT_TILE)
        bytes += PUNA_BATCH_SCRATCH - PUNA_TILE_SCRATCH;
    if (linear->reference)
        bytes += align_64((size_t)linear->n_in * sizeof(float)) * PUNA_TILE_ROWS;
    return bytes;
}

/* Rows in the file's format to F32, a panel at a time. */
static void run_reference(const puna_linear *linear, puna_linear_call call, puna_linear_fn *run)
{
    const int32_t begin = call.begin, end = call.end;
    const size_t source_bytes = call.row_bytes;
    const uint8_t *source = call.weight;
    float *rows = (float *)(void *)call.scratch, *y = call.y;
    call.row_bytes = align_64((size_t)call.n_in * sizeof(float));
    call.scratch += call.row_bytes * PUNA_TILE_ROWS;
    call.weight = (const uint8_t *)rows;
    for (int32_t o = begin; o < end; o += PUNA_TILE_ROWS) {
        const int32_t n = end - o < PUNA_TILE_ROWS ? end - o : PUNA_TILE_ROWS;
        for (int32_t i = 0; i < n; i++) {
            float *row = rows + (size_t)i * (call.row_bytes / sizeof(float));
            linear->weight->format->dequantize(source + (size_t)(o + i) * source_bytes, row,
                                               (size_t)call.n_in);
        }
        call.begin = 0;
        call.end = n;
        call.y = y + o;
        run(&call);
    }
}

void puna_linear_run(const puna_linear *linear, puna_act act, const void *rows, int32_t n_rows, float *y,
                     size_t y_stride, int32_t begin, int32_t end, void *scratch)
{
    assert(begin >= 0 && end <= linear->n_out && (uintptr_t)rows % 64 == 0);
    const bool tiled = !linear->packed && linear->kernel[TILE] && n_rows >= TILE_MIN_ROWS;
    const int of_panels = act == PUNA_ACT_TILE ? BATCH : PACKED;
    const puna_kernel *kernel = linear->kernel[linear->packed ? of_panels : tiled ? TILE : DOT];
    const uintptr_t misaligned = (uintptr_t)scratch % 64;
    puna_linear_call call = { .weight = linear->packed ? linear->packed : linear->weight->data,
                              .row_bytes = puna_tensor_row_bytes(linear->weight),
                              .n_in = linear->n_in,
                              .act = rows,
                              .act_bytes = puna_act_bytes(act, linear->n_in),
                              .n_rows = n_rows,
                              .y = y,
                              .y_stride = y_stride,
                              .begin = begin,
                              .end = end };
    if (linear->reference || tiled || linear->packed)
        call.scratch = (uint8_t *)scratch + (misaligned ? 64 - misaligned : 0);
    if (begin >= end || n_rows <= 0)
        return;
    if (linear->reference)
        run_reference(linear, call, kernel->run);
    else
        kernel->run(&call);
}
