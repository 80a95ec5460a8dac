/*
 * The placeholders of failover_command, failback_command and follow_primary_command.
 *
 *   %d %h %p %D   the node that it is about: number, host, port, data directory
 *   %m %H %r %R   the new main node: the same
 *   %M            the old main node's number
 *   %P %N %S      the old primary: number, host, port
 *   %%            a percent sign
 *
 * Of a node that there is not, the number is -1, and the rest, like every empty value, is two
 * double quotes: to a shell an empty word, so that what comes behind keeps its place. Values are
 * inserted as they are, without quotes of ours: they come from the same file as the command, and
 * its author decides. "%" before any other character, or at the end, stays as it is.
 *
 * Source: Pgpool-II's manual, section "Failover and Failback Settings". Pgpool-II itself drops an
 * unknown placeholder and inserts nothing for an empty value.
 */
#ifndef CLUSTER_PLACEHOLDERS_H
#define CLUSTER_PLACEHOLDERS_H

#include "base/buf.h"
#include "base/err.h"

/* Borrowed. */
struct placeholder_node {
    int node_id; /* -1: there is none, the rest is not looked at */
    uint16_t port;
    const char *host;           /* NULL: "" */
    const char *data_directory; /* NULL: "" */
};

struct placeholders {
    struct placeholder_node node;
    struct placeholder_node new_main;
    struct placeholder_node old_main;
    struct placeholder_node old_primary;
};

/* Adds the command with its values to out. -1, and nothing added, when a value that is asked for
 * holds a control character: it could end the command or forge a line of a log. */
int placeholders_expand(const char *command, const struct placeholders *values, struct buf *out,
                        struct err *err);

#endif
