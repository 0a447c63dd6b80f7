/* iquant_tables.h - codebooks of the IQ encodings: the byte at bits 8 * j of an entry is the value
 * of element j (signed in iq1, where it is -1, 0 or 1; magnitudes elsewhere). */
#ifndef PUNA_QUANT_IQUANT_TABLES_H
#define PUNA_QUANT_IQUANT_TABLES_H

#include <stdint.h>

extern const uint64_t puna_iq1_grid[2048]; /* iq1_s, iq1_m */
extern const uint64_t puna_iq2_xxs_grid[256];
extern const uint64_t puna_iq2_xs_grid[512];
extern const uint64_t puna_iq2_s_grid[1024];
extern const uint32_t puna_iq3_xxs_grid[256];
extern const uint32_t puna_iq3_s_grid[512];
extern const int8_t puna_iq4_values[16]; /* iq4_nl, iq4_xs */

/* The eight signs of seven stored bits (bit j set: value j is negative): the eighth makes their
 * number even. */
static inline uint8_t puna_iq_signs(uint32_t index)
{
    uint32_t parity = index ^ index >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    return (uint8_t)((index & 127) | (parity & 1) << 7);
}

#endif
