/* limits.h - the machine's peaks, measured: what benchmarks compare with. */
#ifndef PUNA_BACKEND_CPU_LIMITS_H
#define PUNA_BACKEND_CPU_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "ops/backend.h"

enum { PUNA_LIMIT_THREADS = 256 };

/* Reads n bytes (a multiple of 256, 64-byte aligned) once; returns something that depends on them. */
typedef uint64_t puna_read_fn(const void *bytes, size_t n);
puna_read_fn puna_limit_read__scalar, puna_limit_read__avx2, puna_limit_read__avx512,
    puna_limit_read__avx512_order, puna_limit_read__neon;

/* Performs n_rounds rounds of int8 multiply-adds; returns how many each round is. With AVX2 alone there
 * are two ways: every pair of products widened to 32 bits at once, or summed in 16 bits first, which
 * only short codes allow; which is faster depends on the processor. */
typedef uint64_t puna_int8_fn(uint64_t n_rounds, int32_t *sink);
puna_int8_fn puna_limit_int8__scalar, puna_limit_int8__avx2, puna_limit_int8_sums__avx2,
    puna_limit_int8__avx512, puna_limit_int8__amx, puna_limit_int8__neon, puna_limit_int8__i8mm;

/* A buffer of 512 MiB on huge pages and the threads that read it (0 = all that the process may use). To be closed. */
typedef struct puna_reader puna_reader;
puna_status puna_reader_open(puna_reader **reader, uint32_t allowed, int n_threads, puna_error *err);
double puna_reader_gb_per_s(puna_reader *reader); /* of one pass */
void puna_reader_close(puna_reader *reader);

/* Read bandwidth over 512 MiB on huge pages and the int8 rate, on n_threads (0 = all that the
 * process may use); about a second. The best of several passes: a limit is what the machine can do
 * when nobody disturbs. */
puna_status puna_limits_measure(puna_backend_limits *limits, uint32_t allowed, int n_threads, puna_error *err);

#endif
