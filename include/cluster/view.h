/*
 * The cluster as one process sees it now: which nodes there are, who is primary, who may be read
 * from, and how fresh each standby is. A plain value: routing decides from it and nothing else.
 */
#ifndef CLUSTER_VIEW_H
#define CLUSTER_VIEW_H

#include "base/util.h"

#include <stdbool.h>

enum node_role { NODE_ROLE_UNKNOWN, NODE_ROLE_PRIMARY, NODE_ROLE_STANDBY };

/* As the lag process measured it. Lives in the freshness area (include/tables/areas.def). */
struct node_freshness {
    uint8_t configured;     /* 0: no such node */
    uint8_t reachable;      /* it answered the last question */
    uint8_t role;           /* enum node_role, by pg_is_in_recovery() */
    uint8_t asked;          /* at least one attempt has ended */
    uint8_t read_committed; /* the default isolation level, for every role and database */
    uint8_t serializable;   /* the default isolation level of some role or database */
    uint8_t stream;         /* enum plan_stream (cluster/plan.h), as the primary sees it */
    int32_t server_version; /* e.g. 150018; 0 unknown */
    uint32_t timeline;
    uint64_t system_identifier;
    uint64_t replay_lsn;    /* standby: replayed; primary: insert position */
    int64_t fresh_as_of_ns; /* CLOCK_MONOTONIC; everything committed before is replayed; 0 unknown;
                             * INT64_MAX for the primary */
    int64_t heard_ns;       /* CLOCK_MONOTONIC; it was asked after that for what it said last */
    uint64_t delay_bytes;   /* behind the primary */
    int64_t delay_us;
    int64_t changed_at_us;           /* wall clock: last change of reachable or role */
    char replication_state[16];      /* from pg_stat_replication: "streaming", "" unknown */
    char replication_sync_state[16]; /* "async", "sync", "quorum", "potential", "" */
    char last_error[128];            /* why it is not reachable */
};

enum { CLUSTER_NODES_MAX = 128 };

/* Payload of the freshness area. */
struct cluster_freshness {
    int32_t primary_id;   /* -1: none known, or more than one */
    int32_t followers_of; /* the primary that has told of its standbys; -1: none yet */
    uint8_t synchronous;  /* ... and has synchronous_standby_names */
    uint32_t node_count;
    uint64_t config_generation; /* of the node list that it was measured with */
    struct node_freshness nodes[CLUSTER_NODES_MAX];
};

/* One node for routing. */
struct cluster_node {
    enum node_role role;
    bool usable;         /* answered the last time anybody asked */
    bool drained;        /* nothing new is to be placed there */
    bool read_committed; /* what BEGIN means there without a level, whoever asks */
    bool serializable;   /* ... somebody's transactions, also of one statement, are that */
    bool copy;           /* CLUSTER_MODE_NATIVE: it must get every write, usable or not */
    uint64_t system_identifier;
    double weight; /* backend_weight as configured; 0 gets no balanced reads */
    int64_t fresh_as_of_ns;
    int64_t heard_ns; /* as in struct node_freshness */
    uint64_t delay_bytes;
    int64_t delay_us;
};

struct cluster_view {
    int primary_id; /* -1: none known */
    uint32_t node_count;
    uint8_t server_version; /* the lowest major version of the usable nodes; 0: not known */
    bool has_readers;       /* a node beside the primary that may get reads */
    struct cluster_node nodes[CLUSTER_NODES_MAX];
};

/* What the configuration says of the nodes; the caller fills it from the option table. */
struct cluster_member {
    bool configured;     /* backend_hostname<n> is there */
    bool always_primary; /* backend_flag<n> has ALWAYS_PRIMARY */
    bool drained;        /* by pgpool drain */
    double weight;       /* backend_weight<n> */
};

enum cluster_mode {
    CLUSTER_MODE_STREAMING, /* one primary, streaming standbys */
    CLUSTER_MODE_LOGICAL,   /* one node is written to, by the configuration; its subscribers may be
                             * read from */
    CLUSTER_MODE_RAW,       /* the lowest usable node gets everything */
    CLUSTER_MODE_NATIVE,    /* every server runs every write: all are alike */
};

struct cluster_members {
    enum cluster_mode mode;
    bool needs_judge; /* raw with health checks: without the failover process nobody knows which
                       * node has what was written last */
    uint32_t node_count;
    uint64_t config_generation;
    struct cluster_member nodes[CLUSTER_NODES_MAX];
};

struct config;
struct cluster_nodes;

/* The main node of logical replication, whoever answers: the one that is ALWAYS_PRIMARY, else the
 * lowest number; -1: no node is configured. */
int cluster_configured_main(const struct cluster_members *members);

/* The members as a configuration has them. */
void cluster_members_from_config(struct cluster_members *members, const struct config *config);

/*
 * Judges what was measured. Pure; writes all of *view.
 *
 * A node is usable when it is configured, answered the last time, and its role is known and not
 * in doubt. Before the first measurement nothing is usable; a node that a reload has just added,
 * or one that the measuring process does not know yet, is not usable until it was asked.
 *
 * The primary of a streaming cluster is the only usable node that says it is one. When several
 * say so, or when any node of the same system identifier was seen on a later timeline (also one
 * that is gone now), the one on the strictly latest timeline counts. Where that does not decide
 * there is no primary: two servers that both take writes are two histories, and picking the wrong
 * one loses what was acknowledged on the other. ALWAYS_PRIMARY overrides all of this: that node is
 * the primary whenever it answers. A node that claims to be primary and is not the chosen one, and
 * a standby of another system than the primary's, are not usable.
 *
 * While a failover process judges (nodes->judging, cluster/nodes.h; nodes may be NULL), its word
 * counts instead: the primary is its primary, and a standby is usable when it may be read by the
 * plan and answered the lag process, too.
 *
 * With CLUSTER_MODE_NATIVE a configured node is a copy when the failover process says so (in the
 * node area, whether it judges or not) and until it has detached it (NODE_MAINTENANCE): a node that
 * has missed a write is never used again because it answers again, and while nobody has said which
 * nodes are copies there is none. The main node, here the primary, is the one that it
 * names, else the copy with the lowest number; while that does not answer there is none. A copy
 * that answers may be read, and is always fresh: what was answered to a client is everywhere.
 *
 * In raw the primary is the lowest node that answers, in logical replication the one that is
 * ALWAYS_PRIMARY or the lowest that is configured, as long as it answers and is no standby; while a
 * failover process judges, its primary in both.
 *
 * Sessions' own check at the birth of a server connection stands beside this, not behind it.
 */
void cluster_view_build(struct cluster_view *view, const struct cluster_freshness *freshness,
                        const struct cluster_members *members, const struct cluster_nodes *nodes);

/* Why there is no primary, in words, for the log and for clients; "" when there is one. Written
 * by the same rules as cluster_view_build. Returns text_r. */
const char *cluster_view_no_primary(const struct cluster_view *view,
                                    const struct cluster_freshness *freshness, char *text_r,
                                    size_t text_bytes);

/* A set of node numbers. */
struct cluster_set {
    uint64_t bits[CLUSTER_NODES_MAX / 64];
};
static inline void
cluster_set_add(struct cluster_set *set, int node_id)
{
    set->bits[node_id / 64] |= UINT64_C(1) << (node_id % 64);
}
static inline bool
cluster_set_has(const struct cluster_set *set, int node_id)
{
    return (set->bits[node_id / 64] >> (node_id % 64) & 1) != 0;
}

/* Where the round of picks stands. The caller's; all zeroes is a new one. */
struct cluster_cursor {
    double current[CLUSTER_NODES_MAX];
};

/* Which nodes a read may go to, beside being usable and having a weight. All zeroes: any. */
struct cluster_pick {
    int64_t not_before_ns;    /* everything committed before this moment must be there */
    uint64_t max_delay_bytes; /* 0: no limit (delay_threshold) */
    int64_t max_delay_us;     /* 0: no limit (delay_threshold_by_time) */
    bool standbys_only;
    struct cluster_set exclude;
};

/* Has every usable node said where it stands, asked after this moment (CLOCK_MONOTONIC)? */
bool cluster_has_heard(const struct cluster_view *view, int64_t since_ns);

/* True when the node is not drained and may serve a read under these conditions, whatever its
 * weight. */
bool cluster_may_read(const struct cluster_view *view, int node_id,
                      const struct cluster_pick *pick);

/*
 * The next node for a read: smooth weighted round-robin over the nodes that qualify, so that
 * every run of picks is spread as the weights say and equal cursors give equal picks. The primary
 * is always fresh and never late. Returns -1 when no node with a weight above zero qualifies; the
 * caller then takes the primary or waits.
 */
int cluster_pick_reader(const struct cluster_view *view, struct cluster_cursor *cursor,
                        const struct cluster_pick *pick);

const char *cluster_role_name(enum node_role role); /* "unknown", "primary", "standby" */

#endif
