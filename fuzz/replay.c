/* replay.c - runs a fuzz target without a fuzzer: over the empty input, over every seed, and over
 * cuts and changed bytes of each seed. Makes fuzz targets unit tests of ordinary builds; refuses
 * to search for new inputs, which is libFuzzer's work (make fuzz).
 * usage: fuzz_NAME SEED_FOLDER */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { SEED_BYTES_MAX = 1 << 20, N_CUTS = 64, N_CHANGES = 256, SECONDS_MAX = 2 };

/* A fresh copy of exactly n bytes, so that a sanitizer sees a read past the end. */
static void run(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy)
        return;
    if (n)
        memcpy(copy, data, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Cuts first, then changes of up to 4 bytes, from a fixed random seed; a slow target gets fewer. */
static void run_around(uint8_t *data, size_t n, clock_t until)
{
    uint32_t random = 1;
    for (size_t i = 0; i < N_CUTS && clock() < until; i++)
        run(data, n * i / N_CUTS);
    for (int i = 0; i < N_CHANGES && n && clock() < until; i++) {
        size_t at[4];
        uint8_t was[4];
        int n_bytes = 1 + (int)(next(&random) % 4);
        for (int b = 0; b < n_bytes; b++) {
            at[b] = next(&random) % n;
            was[b] = data[at[b]];
            data[at[b]] = (uint8_t)next(&random);
        }
        run(data, n);
        for (int b = n_bytes - 1; b >= 0; b--)
            data[at[b]] = was[b];
    }
}

static size_t read_seed(const char *folder, const char *name, uint8_t *data)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(data, 1, SEED_BYTES_MAX, f) : 0;
    if (f)
        fclose(f);
    return n;
}

int main(int argc, char **argv)
{
    int n_seeds = 0;
    const char *slash = strrchr(argv[0], '/');
    printf("%s\n", slash ? slash + 1 : argv[0]);
    fflush(stdout);
    run(NULL, 0);
    DIR *folder = argc > 1 ? opendir(argv[1]) : NULL;
    uint8_t *data = malloc(SEED_BYTES_MAX);
    for (struct dirent *e; folder && data && (e = readdir(folder));) {
        if (e->d_name[0] == '.')
            continue;
        size_t n = read_seed(argv[1], e->d_name, data);
        run(data, n);
        run_around(data, n, clock() + (clock_t)SECONDS_MAX * CLOCKS_PER_SEC / 4);
        n_seeds++;
    }
    if (folder)
        closedir(folder);
    free(data);
    printf("%d passed, 0 failed, 0 skipped\n", n_seeds + 1);
    return 0;
}
