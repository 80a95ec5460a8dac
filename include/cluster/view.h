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
    uint8_t configured; /* 0: no such node */
    uint8_t reachable;  /* it answered the last question */
    uint8_t role;       /* enum node_role, by pg_is_in_recovery() */
    uint8_t asked;      /* at least one attempt has ended */
    int32_t server_version; /* e.g. 150018; 0 unknown */
    uint32_t timeline;
    uint64_t system_identifier;
    uint64_t replay_lsn;      /* standby: replayed; primary: insert position */
    int64_t fresh_as_of_ns;   /* CLOCK_MONOTONIC; everything committed before is replayed; 0 unknown;
                               * INT64_MAX for the primary */
    uint64_t delay_bytes;     /* behind the primary */
    int64_t delay_us;
    int64_t changed_at_us;    /* wall clock: last change of reachable or role */
    char replication_state[16];      /* from pg_stat_replication: "streaming", "" unknown */
    char replication_sync_state[16]; /* "async", "sync", "quorum", "potential", "" */
    char last_error[128];            /* why it is not reachable */
};

enum { CLUSTER_NODES_MAX = 128 };

/* Payload of the freshness area. */
struct cluster_freshness {
    int32_t primary_id; /* -1: none known, or more than one */
    uint32_t node_count;
    uint64_t config_generation; /* of the node list that it was measured with */
    struct node_freshness nodes[CLUSTER_NODES_MAX];
};

/* One node for routing. */
struct cluster_node {
    enum node_role role;
    bool usable;    /* answered the last time anybody asked */
    double weight;  /* backend_weight as configured; 0 gets no balanced reads */
    int64_t fresh_as_of_ns;
    uint64_t delay_bytes;
    int64_t delay_us;
};

struct cluster_view {
    int primary_id; /* -1: none known */
    uint32_t node_count;
    struct cluster_node nodes[CLUSTER_NODES_MAX];
};

#endif
