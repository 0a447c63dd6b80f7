/* profile_svg.h - a profile as a picture: time from left to right, what it is made of from top to
 * bottom. */
#ifndef PUNA_CLI_PROFILE_SVG_H
#define PUNA_CLI_PROFILE_SVG_H

#include "cli/cli.h"

/* Writes `document`, as `puna profile --json` prints it, to a file. */
puna_status puna_profile_svg(const json_t *document, const char *path, puna_error *err);

#endif
