/* limits_amx.c - the peak rate of int8 multiply-adds in tile registers. */
#include <immintrin.h>

#include "backend/cpu/limits.h"

/* Palette 1: eight registers of 16 rows of 64 bytes. */
static const struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t n_rows[16];
} config = { 1, 0, { 0 }, { 64, 64, 64, 64, 64, 64, 64, 64 }, { 16, 16, 16, 16, 16, 16, 16, 16 } };

uint64_t puna_limit_int8__amx(uint64_t n_rounds, int32_t *sink)
{
    int32_t sums[16][16];
    const uint64_t n_products = n_rounds / 64;
    _tile_loadconfig(&config);
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
