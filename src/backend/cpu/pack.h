/* pack.h - weights interleaved for the processor: the same bytes as in the file, in another order.
 * Owns the layouts and how they are made from the file's; refuses memory and threads.
 *
 * A panel is 16 rows of a matrix. Its units are those of the encoding (blocks of 32 or superblocks
 * of 256 values), one after the other; a unit holds what the 16 blocks hold. Codes lie as lanes
 * of four bytes, [lane][row][4]: 16 rows are one vector of 64 bytes or two of 32, a row keeps its
 * lane, and no sum crosses lanes. Scales lie as [..][row]. A panel has 16 * row_bytes bytes, so
 * nothing grows. Rows beyond the matrix's last are zeros. */
#ifndef PUNA_BACKEND_CPU_PACK_H
#define PUNA_BACKEND_CPU_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "quant/tensor.h"

enum { PUNA_PANEL_ROWS = 16 };

typedef uint8_t puna_lanes[PUNA_PANEL_ROWS][4];

/* Lane j of qs: low nibbles are values 4j .. 4j + 3, high nibbles those 16 further on. */
typedef struct puna_panel_q4_0 {
    puna_lanes qs[4];
    uint8_t d[PUNA_PANEL_ROWS][2];
} puna_panel_q4_0;
typedef struct puna_panel_q4_1 {
    puna_lanes qs[4];
    uint8_t d[PUNA_PANEL_ROWS][2], m[PUNA_PANEL_ROWS][2];
} puna_panel_q4_1;
/* Bit g of byte k of qh is the fifth bit of value 4g + k. */
typedef struct puna_panel_q5_0 {
    puna_lanes qs[4], qh;
    uint8_t d[PUNA_PANEL_ROWS][2];
} puna_panel_q5_0;
typedef struct puna_panel_q5_1 {
    puna_lanes qs[4], qh;
    uint8_t d[PUNA_PANEL_ROWS][2], m[PUNA_PANEL_ROWS][2];
} puna_panel_q5_1;
typedef struct puna_panel_q8_0 {
    puna_lanes qs[8];
    uint8_t d[PUNA_PANEL_ROWS][2];
} puna_panel_q8_0;
typedef struct puna_panel_mxfp4 {
    puna_lanes qs[4]; /* as q4_0 */
    uint8_t e[PUNA_PANEL_ROWS];
} puna_panel_mxfp4;
/* Superblocks: lanes and nibbles are those of the file's bytes in order. small[s] holds the low
 * four bits of scale s, and above them those of minimum s; top[s / 2] from bit 4 * (s % 2) on the high
 * two bits of the scale, then those of the minimum. */
typedef struct puna_panel_q4_k {
    puna_lanes qs[4][8];
    uint8_t small[8][PUNA_PANEL_ROWS], top[4][PUNA_PANEL_ROWS];
    uint8_t d[PUNA_PANEL_ROWS][2], dmin[PUNA_PANEL_ROWS][2];
} puna_panel_q4_k;
typedef struct puna_panel_q5_k {
    puna_lanes qs[4][8], qh[8]; /* bit s of qh: the fifth bit in sub-block s */
    uint8_t small[8][PUNA_PANEL_ROWS], top[4][PUNA_PANEL_ROWS];
    uint8_t d[PUNA_PANEL_ROWS][2], dmin[PUNA_PANEL_ROWS][2];
} puna_panel_q5_k;
typedef struct puna_panel_q6_k {
    puna_lanes ql[4][8], qh[2][8];
    int8_t scales[16][PUNA_PANEL_ROWS];
    uint8_t d[PUNA_PANEL_ROWS][2];
} puna_panel_q6_k;
typedef struct puna_panel_iq4_xs {
    puna_lanes qs[8][4]; /* each as q4_0 */
    uint8_t scales[4][PUNA_PANEL_ROWS]; /* byte i: low nibbles of scales 2i and 2i + 1 */
    uint8_t top[2][PUNA_PANEL_ROWS];    /* byte i: the high two bits of scales 4i .. 4i + 3 */
    uint8_t d[PUNA_PANEL_ROWS][2];
} puna_panel_iq4_xs;

/* Makes one panel: 16 rows, row_bytes apart, of n_units blocks each. n_rows < 16: the others are
 * zeros. panel: n_units units. */
typedef void puna_pack_fn(const uint8_t *rows, size_t row_bytes, int32_t n_rows, int32_t n_units, uint8_t *panel);

/* How a format is packed; NULL: it has no packed layout. */
puna_pack_fn *puna_pack_of(uint32_t format);

static inline size_t puna_packed_bytes(const puna_tensor *t)
{
    return (size_t)((puna_tensor_rows(t) + PUNA_PANEL_ROWS - 1) / PUNA_PANEL_ROWS * PUNA_PANEL_ROWS *
                    puna_tensor_row_bytes(t));
}

#endif
