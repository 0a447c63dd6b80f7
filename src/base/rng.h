/* rng.h - a small reproducible generator: splitmix64 for seeding, xoshiro256++ for the stream
 * (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021).
 * The same seed gives the same stream on every machine. Refuses: cryptography. */
#ifndef PUNA_BASE_RNG_H
#define PUNA_BASE_RNG_H

#include <stdint.h>

typedef struct puna_rng {
    uint64_t s[4];
} puna_rng;

static inline puna_rng puna_rng_make(uint64_t seed)
{
    puna_rng rng;
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        rng.s[i] = z ^ (z >> 31);
    }
    return rng;
}

static inline uint64_t puna_rng_rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static inline uint64_t puna_rng_next(puna_rng *rng)
{
    uint64_t *s = rng->s, result = puna_rng_rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = puna_rng_rotate(s[3], 45);
    return result;
}

/* Uniform in [0, 1) with 53 bits. */
static inline double puna_rng_uniform(puna_rng *rng)
{
    return (double)(puna_rng_next(rng) >> 11) * 0x1p-53;
}

#endif
