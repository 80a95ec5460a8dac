/*
 * The status file, pgpool_status: what the failover process must remember when pgpool is stopped or
 * killed. Text, for people to read, with a checksum, so that a torn or edited file is seen.
 *
 *   pgpool_status 1
 *   cluster primary=0 timeline=1 system=7123 epoch=5 synchronous=0
 *   operation failover phase=choosing fenced=1 forced=0 detach=0 told=0 doubtful=0 attempt=1
 *       old=0 candidate=-1 wanted=-1                         (the same line)
 *   node 0 host="db0" port=5432 state=fenced since=1790000000000000 flags=- reason="..."
 *   checksum 0123456789abcdef
 *
 * Numbers are decimal, since is microseconds of the wall clock, texts are quoted with \" \\ and \n.
 * The line of the operation is there while one runs. Facts and moments are not in it.
 *
 * Pure; reading and writing files is the caller's (os/file.h).
 */
#ifndef CLUSTER_STATUS_H
#define CLUSTER_STATUS_H

#include "base/buf.h"
#include "base/err.h"
#include "cluster/plan.h"

enum { STATUS_HOST_BYTES = 256, STATUS_FILE_BYTES = 256 * 1024 };

/* Where a node was when its line was written. */
struct status_node {
    char host[STATUS_HOST_BYTES];
    uint16_t port;
};

struct status {
    struct plan plan;
    struct status_node nodes[CLUSTER_NODES_MAX];
};

/* Adds the whole text to out. A host that is too long was cut by the caller. */
void status_print(const struct status *status, struct buf *out);

/*
 * The text as a state without facts and moments (plan_forget_moments); all of *status is written.
 * -1 with the number of the line in the message when it is no such text, of another version, cut,
 * or changed: then *status knows of no node. Any bytes may come in.
 */
int status_parse(struct status *status, const char *text, size_t len, struct err *err);

/* The same, with the states that nodes had: for a text that is the present. */
int status_parse_present(struct status *status, const char *text, size_t len, struct err *err);

/* Nodes that are elsewhere now are others: they are forgotten, and so is the primary when it is one
 * of them. `now` is what the configuration says, node_count long. */
void status_keep_same_nodes(struct status *status, const struct status_node *now,
                            uint32_t node_count);

#endif
