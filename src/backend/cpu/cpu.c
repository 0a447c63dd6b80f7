/* cpu.c - asks the processor once what it can do. Owns the only global state of the library: a
 * cached mask that every thread would compute alike. Refuses to know kernels. */
#define _DEFAULT_SOURCE /* syscall */
#include "backend/cpu/cpu.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <strings.h>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define VALID (1u << 31)

#define AVX512 (PUNA_CPU_AVX512_VNNI | PUNA_CPU_FOLLOWS | PUNA_CPU_NEAR)

/* Levels in ascending order: the mask of each and everything below it. */
static const struct level {
    const char *name;
    uint32_t mask;
} levels[] = {
    { "scalar", 0 },
    { "avx2", PUNA_CPU_AVX2 },
    { "avx512", PUNA_CPU_AVX2 | AVX512 },
    { "avx512_bf16", PUNA_CPU_AVX2 | AVX512 | PUNA_CPU_AVX512_BF16 },
    { "amx", PUNA_CPU_AVX2 | AVX512 | PUNA_CPU_AVX512_BF16 | PUNA_CPU_AMX },
    { "neon", PUNA_CPU_NEON },
    { "i8mm", PUNA_CPU_NEON | PUNA_CPU_I8MM },
};

static const struct bit {
    uint32_t mask;
    const char *name;
} bits[] = {
    { PUNA_CPU_AVX2, "avx2" },
    { PUNA_CPU_AVX512_VNNI, "avx512_vnni" },
    { PUNA_CPU_AVX512_BF16, "avx512_bf16" },
    { PUNA_CPU_AMX, "amx" },
    { PUNA_CPU_NEON, "neon" },
    { PUNA_CPU_I8MM, "i8mm" },
};

#if defined(__x86_64__)
/* Leaf 7, edx: bit 24 is AMX-TILE, 22 AMX-BF16, 25 AMX-INT8. Linux saves the 8 KiB of tile registers only for
 * processes that ask: feature 18 of the kernel's x86 XSTATE interface. */
static bool may_use_tiles(void)
{
    unsigned a = 7, b, c = 0, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
#ifdef __linux__
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return (d >> 22 & 13) == 13 && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
    return false;
#endif
}

/* How one row of products reads, by who made the processor: AMD's family 0x19 is Zen 4, later ones are asked. The family
 * is the sum of two fields of eax of cpuid leaf 1. */
static uint32_t read_ahead(void)
{
    unsigned a = 1, b, c = 0, d;
    if (!__builtin_cpu_is("amd"))
        return 0;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return PUNA_CPU_FOLLOWS | ((a >> 8 & 15) + (a >> 20 & 255) > 0x19 ? (uint32_t)PUNA_CPU_NEAR : 0);
}

/* The compiler's runtime reads cpuid and, for vector registers, what xgetbv says the system saves. */
static uint32_t detect(void)
{
    uint32_t have = 0;
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2"))
        return 0;
    /* Older compilers cannot be asked for F16C: every processor with AVX2 and FMA has it, but a
     * hypervisor could hide it. Bit 29 of ecx of cpuid leaf 1. */
    unsigned a = 1, b, c = 0, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (!(c >> 29 & 1))
        return 0;
    have |= PUNA_CPU_AVX2;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512vnni"))
        return have;
    have |= PUNA_CPU_AVX512_VNNI | read_ahead();
    /* Leaf 7, sub-leaf 1, eax bit 5. */
    a = 7, c = 1;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (!(a >> 5 & 1))
        return have;
    return have | PUNA_CPU_AVX512_BF16 | (may_use_tiles() ? (uint32_t)PUNA_CPU_AMX : 0);
}
#elif defined(__aarch64__) && defined(__linux__)
/* Bits of the kernel's ABI: AT_HWCAP 20 is ASIMDDP, AT_HWCAP2 13 is I8MM. */
static uint32_t detect(void)
{
    if (!(getauxval(AT_HWCAP) >> 20 & 1))
        return 0;
    return PUNA_CPU_NEON | (getauxval(AT_HWCAP2) >> 13 & 1 ? (uint32_t)PUNA_CPU_I8MM : 0);
}
#else
static uint32_t detect(void)
{
    return 0;
}
#endif

uint32_t puna_cpu_have(void)
{
    static _Atomic uint32_t cached;
    uint32_t have = atomic_load_explicit(&cached, memory_order_relaxed);
    if (!(have & VALID)) {
        have = detect() | VALID;
        atomic_store_explicit(&cached, have, memory_order_relaxed);
    }
    return have & ~VALID;
}

uint32_t puna_cpu_level(const char *name, int *known)
{
    *known = 1;
    if (!name || !*name)
        return UINT32_MAX;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        if (strcasecmp(levels[i].name, name) == 0)
            return levels[i].mask;
    }
    *known = 0;
    return 0;
}

const char *puna_cpu_describe(uint32_t mask, char *text, int capacity)
{
    int at = 0;
    if (capacity > 0)
        snprintf(text, (size_t)capacity, "scalar");
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        if ((mask & bits[i].mask) && at < capacity)
            at += snprintf(text + at, (size_t)(capacity - at), "%s%s", at ? " " : "", bits[i].name);
    }
    return text;
}
