/*
 * What the failover process tells all others: the node area and the events. Written by it alone;
 * a new one of its kind goes on from there.
 */
#ifndef CLUSTER_NODES_H
#define CLUSTER_NODES_H

#include "cluster/plan.h"

/* Payload of the node area. */
struct cluster_nodes {
    /* False: nobody judges (another generation of processes does, or the clustering mode has no
     * failover): everybody goes by what the lag process measures. */
    bool judging;
    uint64_t config_generation;
    int32_t main_id; /* native replication: the main node, as long as it is a copy */
    struct plan plan;
};

enum { CLUSTER_EVENTS_MAX = 256 };

struct cluster_event {
    int64_t at_us;   /* wall clock */
    int32_t node_id; /* -1: none */
    uint8_t event;   /* enum node_event */
    char text[PLAN_TEXT_BYTES];
};

/* Payload of the area of events: event n of all lies at n modulo the size. */
struct cluster_events {
    uint64_t total;
    struct cluster_event list[CLUSTER_EVENTS_MAX];
};

#endif
