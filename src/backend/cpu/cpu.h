/* cpu.h - what this processor can do, as kernel rows need it. Owns detection (once, cached) and
 * the ISA levels; refuses to know kernels. */
#ifndef PUNA_BACKEND_CPU_CPU_H
#define PUNA_BACKEND_CPU_CPU_H

#include <stdint.h>

/* Levels, not single bits: a level is what real processors have together. */
enum {
    PUNA_CPU_AVX2 = 1 << 0,        /* AVX2 FMA F16C BMI2: the floor on x86-64 */
    PUNA_CPU_AVX512_VNNI = 1 << 1, /* AVX-512 F BW VL DQ VNNI, and the system saves zmm */
    PUNA_CPU_AVX512_BF16 = 1 << 2,
    PUNA_CPU_NEON = 1 << 3, /* aarch64 with dotprod */
    PUNA_CPU_I8MM = 1 << 4,
    PUNA_CPU_AMX =
        1 << 5, /* tiles of bfloat16 and int8, AVX-512 BF16, and the system has let this process use them */
    /* AVX-512 VNNI, and the hardware reads ahead of products that take bytes in order as fast as of a loop that only
     * reads. So do AMD's processors (Zen 4 measured), Intel's do not (Emerald Rapids measured). */
    PUNA_CPU_FOLLOWS = 1 << 6,
    /* The same of one that must be asked for what is 8 KiB ahead (Zen 5 measured). */
    PUNA_CPU_NEAR = 1 << 7
};

/* What the processor and the operating system offer. */
uint32_t puna_cpu_have(void);

/* The mask of a level's name ("scalar", "avx2", "avx512", "amx", "neon", ...) including everything below
 * it, for PUNA_ISA; UINT32_MAX for NULL or "", 0 matches nothing and *known gets false for an
 * unknown name. */
uint32_t puna_cpu_level(const char *name, int *known);

/* "avx2 avx512_vnni", for people. */
const char *puna_cpu_describe(uint32_t mask, char *text, int capacity);

#endif
