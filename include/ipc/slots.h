/*
 * What each process shows of itself in shared memory, written by that process alone and read by
 * whoever answers SHOW. Readers may see a row in the middle of a change; nothing is decided by it.
 */
#ifndef IPC_SLOTS_H
#define IPC_SLOTS_H

#include "base/histogram.h"
#include "base/util.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

enum {
    NODES_MAX = 128,   /* as Pgpool-II */
    GROUPS_MAX = 1025, /* what max_backend_connections are counted for: all, and pool_limits */
    SLOT_NAME_BYTES = 64,
    SLOT_STATEMENT_BYTES = 128,
    SLOT_HOST_BYTES = 48,
    SLOT_REASONS = 0 /* why units went where they went */
#define ROUTE_REASON(id, name, words) +1
#include "tables/reasons.def"
#undef ROUTE_REASON
};

/* Counters of one node in one child (include/tables/counters.def names them). */
struct node_counters {
#define NODE_COUNTER(id, family, label) uint64_t id##_cnt;
#include "tables/counters.def"
#undef NODE_COUNTER
};

/* How long things took at one node, in one child. */
struct node_times {
    struct histogram statements; /* from its sending, or the answer to the one in front of it, to
                                  * the end of its answer; by the clock of the loop's turn */
    struct histogram waits;      /* of clients for a server connection to it */
};

enum session_slot_state {
    SESSION_SLOT_FREE,
    SESSION_SLOT_LOGIN,  /* "Connecting" */
    SESSION_SLOT_IDLE,   /* "Idle" */
    SESSION_SLOT_ACTIVE, /* "Execute command" */
    SESSION_SLOT_IN_TX,  /* "Idle in transaction" */
};

enum session_slot_hold {
    SESSION_HOLD_NONE,
    SESSION_HOLD_PAUSE,   /* of its database, or of all */
    SESSION_HOLD_NODE,    /* the drain of a node, or there is no primary that could be meant */
    SESSION_HOLD_PRIMARY, /* there is no primary, or it takes no connections */
};

/* One client. */
struct session_slot {
    _Atomic uint32_t state;    /* enum session_slot_state */
    int32_t load_balance_node; /* -1: none chosen yet */
    uint32_t keeps;          /* what ties it to its connection: rows of tables/keeps.def as bits */
    int64_t connected_at_us; /* wall clock, microseconds since 1970 */
    /* CLOCK_MONOTONIC; 0: it does not wait for a server connection, */
    _Atomic int64_t waiting_since_ns;
    int32_t waits_for_node;  /* to this node */
    _Atomic int32_t on_hold; /* it waits until this is over: enum session_slot_hold */
    char database[SLOT_NAME_BYTES];
    char user[SLOT_NAME_BYTES];
    char application[SLOT_NAME_BYTES];
    char host[SLOT_HOST_BYTES]; /* "[local]" for unix sockets */
    int32_t port;
    uint64_t statement_cnt;
    char statement[SLOT_STATEMENT_BYTES]; /* last one, cut; always ends in NUL */
};

/* One server connection. */
struct server_slot {
    _Atomic uint32_t used; /* 0 free, 1 in use */
    int32_t node_id;
    int32_t session; /* index of the session that holds it, or -1: idle in the pool */
    int32_t backend_pid;
    uint32_t protocol_minor;
    uint32_t pool_counter; /* how many sessions it has served */
    int64_t created_at_us;
    int64_t client_connected_at_us;
    int64_t client_disconnected_at_us; /* 0: a client holds it */
    char database[SLOT_NAME_BYTES];
    char user[SLOT_NAME_BYTES];
};

/* What one child has and wants of what is counted together: group 0 is all connections, the others
 * are of an entry of pool_limits each. */
struct group_slot {
    _Atomic uint32_t connections[NODES_MAX];
    _Atomic uint32_t waiting[NODES_MAX]; /* because the group has as many as it may */
};

/* One child. The arrays lie behind it, child_max_clients long, servers twice as long, groups
 * GROUPS_MAX: touched only as far as they are used. */
struct child_slot {
    _Atomic uint32_t sessions;         /* clients now */
    _Atomic uint32_t admitted;         /* of these, who counts for max_client_connections */
    _Atomic uint32_t accepting;        /* 0 when it is another's turn, or it is full or retiring */
    _Atomic uint32_t busy;             /* it used most of a CPU in the last second */
    _Atomic uint32_t waiters;          /* clients and questions that wait for a server connection */
    _Atomic uint32_t groups;           /* it has used those with lower numbers */
    _Atomic uint32_t awaits_positions; /* ipc/shared.h, shared_want_positions */
    _Atomic uint32_t holds_seen;       /* the epoch of ipc/holds.h that it has acted on */
    _Atomic uint32_t in_the_way;       /* while writes are held: transactions that still are open */
    /* The epoch of the node area's fence (cluster/nodes.h) that it has acted on: it has no
     * connection any more to what was the primary before. 0: it does not say. */
    _Atomic uint64_t fenced_epoch;
    uint64_t accepted_total;
    uint64_t routed[SLOT_REASONS];
    struct node_counters nodes[NODES_MAX];
    struct node_times times[NODES_MAX];
};

enum proc_kind {
    PROC_PARENT,
    PROC_CHILD,
    PROC_LAG,
    PROC_PCP,
    PROC_LOGGER,
    PROC_HEALTH,
    PROC_FAILOVER,
    PROC_WATCHDOG,
    PROC_WAL,
    PROC_HTTP,
    PROC_KINDS
};

/* One process, service or child. */
struct proc_slot {
    _Atomic int32_t pid; /* 0: no process here now */
    uint32_t kind;       /* enum proc_kind */
    int64_t started_at_us;
    _Atomic uint32_t ready; /* its event loop runs */
    /* It takes no more clients and ends with the last session: a child; in the parent's slot, all
     * of this pgpool. */
    _Atomic uint32_t retiring;
};

#endif
