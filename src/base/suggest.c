/* suggest.c - edit distance with transpositions over short names. */
#define _POSIX_C_SOURCE 200809L
#include "base/suggest.h"

#include <string.h>

enum { MAX_WORD = 64 };

static int least(int a, int b, int c)
{
    int m = a < b ? a : b;
    return m < c ? m : c;
}

static int distance(const char *a, const char *b)
{
    int la = (int)strnlen(a, MAX_WORD), lb = (int)strnlen(b, MAX_WORD);
    int row[3][MAX_WORD + 1];
    for (int j = 0; j <= lb; j++)
        row[0][j] = j;
    for (int i = 1; i <= la; i++) {
        int *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= lb; j++) {
            int differs = a[i - 1] != b[j - 1];
            now[j] = least(last[j] + 1, now[j - 1] + 1, last[j - 1] + differs);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1, now[j]);
        }
    }
    return row[la % 3][lb];
}

const char *puna_suggest(const char *word, const char *const *names, size_t n_names)
{
    const char *best = NULL;
    int best_distance = 0;
    for (size_t i = 0; i < n_names; i++) {
        size_t longer = strnlen(word, MAX_WORD), other = strnlen(names[i], MAX_WORD);
        if (other > longer)
            longer = other;
        int d = distance(word, names[i]);
        if (d <= (int)(longer + 2) / 3 && (!best || d < best_distance)) {
            best = names[i];
            best_distance = d;
        }
    }
    return best;
}
