/* clock.h - monotonic time. */
#ifndef PUNA_BASE_CLOCK_H
#define PUNA_BASE_CLOCK_H

#include <stdint.h>

/* Nanoseconds since some fixed point; never goes back. */
int64_t puna_clock_ns(void);

static inline double puna_clock_ms(void)
{
    return (double)puna_clock_ns() * 1e-6;
}

#endif
