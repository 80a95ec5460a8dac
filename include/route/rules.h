/*
 * What the configuration says about where reads go, made ready for use: compiled once for each
 * generation, then only read.
 */
#ifndef ROUTE_RULES_H
#define ROUTE_RULES_H

#include "base/err.h"
#include "base/util.h"

#include <stdbool.h>

struct config;
struct route_rules;

/* -1 with err (22023 or 2201B) when a list holds an entry that cannot be understood. Free with
 * route_rules_free (NULL is allowed). Blocks on nothing. */
int route_rules_new(const struct config *cfg, struct route_rules **rules_r, struct err *err);
void route_rules_free(struct route_rules *rules);

/* Does the statement's text match primary_routing_query_pattern_list? Patterns are extended regular
 * expressions, in either case of letters, and may match anywhere in the text. */
bool route_rules_pattern(const struct route_rules *rules, const char *text, size_t len);

/* Where the reads of a session shall go, by the redirect preference lists: the list by application
 * wins over the one by database, that over the one by user; in a list the first entry that matches
 * the whole name counts. */
enum route_wish_kind {
    ROUTE_WISH_NONE,
    ROUTE_WISH_PRIMARY,
    ROUTE_WISH_STANDBY, /* any, by weight */
    ROUTE_WISH_NODE,
};
struct route_wish {
    enum route_wish_kind kind;
    int node_id; /* of ROUTE_WISH_NODE */
};

struct route_client {
    const char *user;
    const char *database;
    const char *application; /* "" when it gave none */
};

/* draw: a number from 0 to below 1, which decides by the entry's ratio whether its wish counts for
 * this session. */
struct route_wish route_rules_wish(const struct route_rules *rules,
                                   const struct route_client *client, double draw);

#endif
