/* attention_strip.h - from functions for a constant number of queries to scores and weigh of
 * puna_attention_kernels. Only files of kernels include it, after they define STRIP, 6 or 8: how many queries
 * they take at once. */
#ifndef PUNA_BACKEND_CPU_ATTENTION_STRIP_H
#define PUNA_BACKEND_CPU_ATTENTION_STRIP_H

#include "backend/cpu/attention.h"

#define ONE_M(label, M, CALL, with) \
    label:                          \
    CALL(M, with);                  \
    break;

#if STRIP == 8
#define MORE_THAN_5(CALL, with)    \
    ONE_M(case 6, 6, CALL, with)   \
    ONE_M(case 7, 7, CALL, with)   \
    ONE_M(default, 8, CALL, with)
#else
#define MORE_THAN_5(CALL, with) ONE_M(default, 6, CALL, with)
#endif

/* CALL(m, with), with m a constant. */
#define EACH_M(m, CALL, with)        \
    switch (m) {                     \
        ONE_M(case 1, 1, CALL, with) \
        ONE_M(case 2, 2, CALL, with) \
        ONE_M(case 3, 3, CALL, with) \
        ONE_M(case 4, 4, CALL, with) \
        ONE_M(case 5, 5, CALL, with) \
        MORE_THAN_5(CALL, with)      \
    }

#define EACH_M_AND_FORMAT(m, format, CALL)      \
    if ((format) == PUNA_FORMAT_F32) {          \
        EACH_M(m, CALL, PUNA_FORMAT_F32)        \
    } else if ((format) == PUNA_FORMAT_F16) {   \
        EACH_M(m, CALL, PUNA_FORMAT_F16)        \
    } else {                                    \
        EACH_M(m, CALL, PUNA_FORMAT_BF16)       \
    }

/* What scores reads and writes. */
typedef struct float_scores {
    const float *q;
    size_t q_stride;
    const void *k, *next;
    size_t dim;
    float *s;
    size_t s_stride;
} float_scores;

/* What weigh reads and writes. */
typedef struct float_sums {
    const float *p, *factor;
    size_t p_stride;
    const void *const *v, *const *next;
    size_t n_keys, dim;
    float *sums;
    size_t sums_stride;
} float_sums;

#define CALL_SCORES(M, format) scores_strip(M, &c, format)
#define CALL_WEIGH(M, format)  weigh_strip(M, &c, format)

/* From scores_strip(M, const float_scores *, format) and weigh_strip(M, const float_sums *, format), whose M and format are
 * constants after inlining. */
#define FLOAT_KERNELS                                                                                        \
    static void scores(int32_t m, const float *q, size_t q_stride, const void *k, const void *next,          \
                       int32_t dim, puna_format format, float *s, size_t s_stride)                           \
    {                                                                                                        \
        const float_scores c = { q, q_stride, k, next, (size_t)dim, s, s_stride };                                \
        EACH_M_AND_FORMAT(m, format, CALL_SCORES)                                                            \
    }                                                                                                        \
                                                                                                             \
    static void weigh(int32_t m, const float *p, size_t p_stride, const float *factor, const void *const *v, \
                      const void *const *next, int32_t n_keys, int32_t dim, puna_format format, float *sums, \
                      size_t sums_stride)                                                                    \
    {                                                                                                        \
        const float_sums c = { p, factor, p_stride, v, next, (size_t)n_keys, (size_t)dim, sums, sums_stride }; \
        EACH_M_AND_FORMAT(m, format, CALL_WEIGH)                                                             \
    }

#endif
