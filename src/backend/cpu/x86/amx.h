/* amx.h - what the files that use tile registers share: their configuration. Only *_amx.c includes it. */
#ifndef PUNA_BACKEND_CPU_X86_AMX_H
#define PUNA_BACKEND_CPU_X86_AMX_H

#include <immintrin.h>
#include <stdint.h>

enum { AMX_TILE_BYTES = 1024 };

/* Palette 1: eight registers of at most 16 rows of 64 bytes. */
typedef struct amx_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t n_rows[16];
} amx_config;

static inline void amx_configure(const amx_config *config)
{
    /* Some compilers do not know that the instruction reads all of it. */
    __asm__ volatile("" : : "r"(config) : "memory");
    _tile_loadconfig(config);
}

#endif
