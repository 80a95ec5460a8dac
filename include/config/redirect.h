/*
 * An entry of a redirect preference list: `name:node(ratio)`.
 *
 * name is an extended regular expression of the whole name; node a number, "primary" or
 * "standby"; ratio, from 0 to 1, the share of sessions that follow it, 1 when it is not given.
 */
#ifndef CONFIG_REDIRECT_H
#define CONFIG_REDIRECT_H

#include "base/err.h"
#include "base/util.h"

enum { REDIRECT_TO_PRIMARY = -1, REDIRECT_TO_STANDBY = -2, REDIRECT_NAME_BYTES = 1024 };

struct redirect {
    char name[REDIRECT_NAME_BYTES];
    int node_id; /* or one of the two above */
    double ratio;
};

/* -1 with a message that does not name the option, and a hint. */
int redirect_parse(const char *entry, struct redirect *r, struct err *err);

#endif
