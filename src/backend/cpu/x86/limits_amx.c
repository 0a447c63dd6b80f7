/* limits_amx.c - the peak rate of int8 multiply-adds in tile registers. */
#include "backend/cpu/limits.h"
#include "backend/cpu/x86/amx.h"

uint64_t puna_limit_int8__amx(uint64_t n_rounds, int32_t *sink)
{
    int32_t sums[16][16];
    const amx_config config = { .palette = 1,
                                .row_bytes = { 64, 64, 64, 64, 64, 64 },
                                .n_rows = { 16, 16, 16, 16, 16, 16 } };
    const uint64_t n_products = n_rounds / 64;
    amx_configure(&config);
    _tile_zero(4);
    _tile_zero(5);
    for (uint64_t r = 0; r < n_products; r++) {
        _tile_dpbusd(0, 4, 5);
        _tile_dpbusd(1, 4, 5);
        _tile_dpbusd(2, 4, 5);
        _tile_dpbusd(3, 4, 5);
    }
    _tile_stored(0, sums, 64);
    _tile_release();
    *sink = sums[0][0];
    return n_products * 4 * 16 * 16 * 64 / n_rounds;
}
