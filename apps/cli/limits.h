/* limits.h - what the machine can do at most, and what a model asks of it: the shares that bench and
 * profile print. A limit is the larger of two times: reading the bytes, multiplying the products. */
#ifndef PUNA_CLI_LIMITS_H
#define PUNA_CLI_LIMITS_H

#include "cli/cli.h"

typedef struct puna_limits {
    double read_gb_per_s, int8_gmac_per_s;
    json_t *machine;  /* as puna_describe says; NULL: not read */
    json_t *caches;   /* as puna_session_describe says */
    char int8_way[64]; /* which instructions the rate counts */
    int n_threads;
    double bytes_per_token, multiplies_per_token;
} puna_limits;

/* Measures the machine (about a second) and asks the model and the session what a token costs. */
puna_status puna_limits_read(puna_limits *limits, const puna_cli *cli, puna_session *session, const puna_model *model,
                             puna_error *err);
/* Measures the machine once more and keeps the better: others may have disturbed the first time. */
puna_status puna_limits_again(puna_limits *limits, const puna_cli *cli, puna_error *err);
void puna_limits_free(puna_limits *limits);

/* Seconds that the machine needs at least for bytes and multiply-adds. */
double puna_limits_seconds(const puna_limits *limits, double bytes, double multiplies);
/* The share of the limit of n tokens after `depth` others, `rows` at once at most, that took `seconds`. */
double puna_limits_share(const puna_limits *limits, int32_t n, int32_t rows, int32_t depth, double seconds);

/* The machine as the documents of bench and profile have it; NULL when memory is out. */
json_t *puna_limits_json(const puna_limits *limits);
/* The same as a line for people, and an empty line. */
void puna_limits_print(const puna_limits *limits, puna_cli *cli);

#endif
