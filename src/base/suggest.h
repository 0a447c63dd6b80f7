/* suggest.h - "did you mean": the nearest of a list of names. */
#ifndef PUNA_BASE_SUGGEST_H
#define PUNA_BASE_SUGGEST_H

#include <stddef.h>

/* The name nearest to `word` (optimal string alignment distance), or NULL when none is near
 * enough to be worth saying (distance above a third of the longer length, rounded up). */
const char *puna_suggest(const char *word, const char *const *names, size_t n_names);

#endif
