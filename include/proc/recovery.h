/*
 * Online recovery: makes a node a standby of the primary, from whatever it is now, while the
 * others work; in the event loop of the failover process, which alone decides whether and when.
 *
 * Ways, the first that is configured:
 * 1. first_stage: that script in the primary's data directory is run on the primary, over SQL, as
 *    Pgpool-II does, and pgpool_remote_start after it.
 * 2. command: a shell at the node's host (recovery_command, say "ssh postgres@%h sh -s"), to whose
 *    standard input the script of cluster/rebuild.h is sent; or a program that does all by itself
 *    and does not read that.
 * 3. A node on this host: the same script, run as the owner of its data directory.
 * The script uses pg_rewind when it can serve, else takes a base backup beside the old directory,
 * which stays until the node streams. When a rewound node does not stream in time, it is copied
 * after all. A node is done when it is a standby of the primary's system that receives WAL on the
 * primary's timeline.
 *
 * For native replication (independent) it is always a base backup, as two servers that were both
 * promoted, or copied from one another by hand, have histories that look alike and are not. When
 * the node streams, or, with scripts, when the first of them is done, `ready` is called: the caller
 * sees to it that nothing writes at the primary, and recovery_promote goes on: with the scripts
 * that are left, until the node has all of the primary's WAL, and is a server of its own. A server
 * that scripts have made, and that is no standby, is taken as it is.
 *
 * The user must be a superuser of the primary, with replication. Source: PostgreSQL's manual,
 * pg_basebackup, pg_rewind, chapter "High Availability, Load Balancing, and Replication";
 * Pgpool-II's manual, section "Online Recovery", for the scripts and their arguments.
 */
#ifndef PROC_RECOVERY_H
#define PROC_RECOVERY_H

#include "base/err.h"
#include "cluster/plan.h"
#include "os/ask.h"
#include "os/dns.h"
#include "os/io.h"

struct recovery;

enum { RECOVERY_WORDS_MAX = PLAN_REASON_BYTES + 512 };

struct recovery_node {
    int node_id;
    const char *host; /* as in backend_hostname; "": the unix socket in /tmp */
    uint16_t port;
    const char *data_directory;
    const char *application_name;
};

/* Copied. Strings are "" when not set, never NULL. */
struct recovery_options {
    struct recovery_node node;
    struct recovery_node primary;
    const char *user;
    const char *password;
    const char *database;
    const char *first_stage;   /* recovery_1st_stage_command */
    const char *second_stage;  /* run after it; with `independent` only, else "" */
    const char *command;       /* recovery_command, with its placeholders */
    const char *bin_directory; /* recovery_bin_directory */
    struct ask_tls tls;
    int64_t timeout_ms; /* recovery_timeout: for the node to start and to stream */
    bool rejoin;        /* follow the primary again: scripts are not for that */
    bool independent;   /* it is promoted at last */
};

struct recovery_ops {
    /* A step, or a line of output; valid during the call. */
    void (*progress)(void *ctx, const char *words);
    /* With `independent`, once: recovery_promote is waited for. Else it may be NULL. */
    void (*ready)(void *ctx);
    /* Once. words: "" or what went wrong. Only recovery_stop is left to do, here or later. */
    void (*ended)(void *ctx, enum plan_result result, const char *words);
};

/* No callback inside this call. ops is borrowed; io and dns must outlive it. Never fails: what is
 * wrong is told by ended. */
struct recovery *recovery_start(struct io *io, struct dns *dns,
                                const struct recovery_options *options,
                                const struct recovery_ops *ops, void *ctx);

/* From now on, until ended is called, nothing writes at the primary. Behind `ready`, or in it. */
void recovery_promote(struct recovery *r);

/* Ends what is being done, with SIGKILL; no callback runs any more. A script on the primary goes
 * on, and until its end no other one is begun for the node. What was left half way, the next
 * recovery finds and goes on from. Allowed in its own callbacks; NULL is allowed. */
void recovery_stop(struct recovery *r);

#endif
