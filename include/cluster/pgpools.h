/*
 * What the watchdog of this pgpool knows of all pgpools of the cluster, for whoever shows it.
 *
 * Payload of the area of the watchdog: written by its process alone (wd_shown_fill in
 * watchdog/shown.h), read by views. Plain values. Moments are CLOCK_BOOTTIME in nanoseconds, 0
 * where there was none.
 */
#ifndef CLUSTER_PGPOOLS_H
#define CLUSTER_PGPOOLS_H

#include "cluster/view.h"

enum { CLUSTER_PGPOOLS_MAX = 16, PGPOOL_DIFFERENCE_BYTES = 256, PGPOOL_ENDPOINT_BYTES = 128 };

enum pgpool_state {
    PGPOOL_JOINING, /* this one, until it has a lease */
    PGPOOL_LEADER,
    PGPOOL_STANDBY,
    PGPOOL_LOST,     /* it may still have connections, and has no lease */
    PGPOOL_LEAVING,  /* it is being stopped */
    PGPOOL_ISOLATED, /* a standby that reaches no trusted server, or has no interface that is up */
};

enum pgpool_address {
    PGPOOL_ADDRESS_DOWN,
    PGPOOL_ADDRESS_COMING,
    PGPOOL_ADDRESS_UP,
    PGPOOL_ADDRESS_GOING
};

struct cluster_pgpool {
    uint32_t id;   /* the N of hostname<N> */
    uint8_t state; /* enum pgpool_state */
    int32_t priority;
    uint64_t incarnation;
    int64_t applied;          /* revision of the state that it acts on */
    uint64_t fenced_epoch;    /* in which its children have acted on a fence last */
    struct cluster_set alive; /* nodes that it sees so */
    struct cluster_set dead;
    char difference[PGPOOL_DIFFERENCE_BYTES]; /* where its node list is another than ours; "" */
};

struct cluster_pgpools {
    bool enabled;      /* false: there is no watchdog, and nothing else here counts */
    uint32_t own_id;   /* in the list, also before it has joined */
    int32_t leader_id; /* -1: nobody leads, as far as we know */
    int64_t term;      /* of the leader; 0: none */
    bool leads;        /* this one, by its lease, when this was written */
    int64_t lease_until_ns;
    int64_t reached_ns;     /* when the question was asked that etcd answered last */
    int64_t state_revision; /* of what is committed */
    uint64_t epoch;
    int64_t writes_until_ns; /* clients may write before that moment */
    uint8_t address;         /* enum pgpool_address */
    bool escalated;
    char endpoint[PGPOOL_ENDPOINT_BYTES]; /* of etcd, that is asked */
    uint32_t count;
    struct cluster_pgpool list[CLUSTER_PGPOOLS_MAX]; /* in the order of their numbers */
};

#endif
