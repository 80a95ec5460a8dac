/*
 * What a child is; for the files of it alone.
 *
 * child.c        clients come and go
 * child_cancel.c cancel requests
 * child_host.c   what its sessions and its pool ask of it
 * child_holds.c  what is paused and drained
 * child_login.c  who may come in
 * child_nodes.c  what the failover process has decided
 */
#ifndef PROC_CHILD_H
#define PROC_CHILD_H

#include "cluster/view.h"
#include "config/config.h"
#include "ipc/inbox.h"
#include "os/sock.h"
#include "pool/pool.h"
#include "proc/hba.h"
#include "proc/limits.h"
#include "proc/tls.h"
#include "session/session.h"

enum { CHILD_NETS_MAX = 128 };

struct child {
    struct proc *proc;
    struct child_slot *slot;
    struct session_host host;
    struct cluster_view view;
    struct cluster_carried *carried; /* NULL: the mode is not logical replication */
    uint64_t carried_seen;           /* epoch of its area */
    struct cluster_freshness *freshness;
    uint64_t freshness_epoch;
    struct cluster_nodes *judged;
    uint64_t judged_epoch;
    bool any_shut;              /* by judged: asked for each statement */
    const struct wd_live *live; /* NULL: there is no watchdog */
    bool may_write;             /* to the primary, by the watchdog and the clock */
    int shut_primary_id;        /* who is the primary and may not be had for that; else -1 */
    uint64_t nodes_acted;       /* the judged_epoch that was acted on */
    uint64_t finishing_epoch;   /* of the switchover in which statements may finish */
    int64_t finish_by_ns;
    struct io_timer finish;
    struct cluster_cursor cursor;
    struct dns *dns;
    struct pool *pool;
    struct limits limits;
    struct passwd *passwords;
    struct proc_hba hba;
    struct hba_net nets[CHILD_NETS_MAX]; /* this host's */
    struct hba_nets net_list;
    int64_t nets_ns; /* when they were looked at */
    struct route_rules *rules;
    struct tls_sides tls;
    struct pool_node nodes[CONFIG_NODES_MAX];
    struct io_listener *listeners[SOCK_LISTEN_MAX];
    uint32_t listener_count;
    struct session **sessions; /* by index */
    uint32_t *free_indexes;
    uint32_t free_count;
    uint32_t session_count;
    uint32_t max_sessions;
    uint32_t free_server_hint;
    uint64_t served;
    int64_t idle_since_ns;
    int64_t cpu_ns; /* used when it was cpu_seen_ns */
    int64_t cpu_seen_ns;
    bool accepting;
    bool retiring;
    bool stopping;
    bool in_a_hurry;           /* stopping, and no session is waited for */
    bool doors_closed;         /* nobody can come in any more */
    int held[SOCK_LISTEN_MAX]; /* clients whom we have accepted and who wait for a place */
    uint32_t held_count;
    uint32_t holds_epoch;    /* that was acted on, */
    int64_t holds_ended_ns;  /* and when there was a change last; 0: never */
    int64_t woke_lag_for_ns; /* the last write for which it was woken here */
    struct list cancels;     /* requests that are not answered yet */
    uint64_t last_cancel;    /* what the newest is called */
    struct io_timer closing;
    struct io_timer sweep;
    struct io_timer recheck;
    struct io_timer follow;
    struct io_timer in_the_way; /* while writes are held: who is */
    int last_primary_id;        /* the last that was known, -1: none yet */
    int64_t primary_lost_ns;    /* 0: something was written since */
    int cached_primary_id;      /* whose answers the query cache has, */
    uint32_t cached_timeline;
};

/* child.c: takes what lag has found out since. */
void child_look_at_freshness(struct child *c);

/* child.c: the cluster is to be looked at anew. */
void child_rebuild_view(struct child *c);

/* child_holds.c: acts on what is paused and drained now. From the event loop. */
void child_look_at_holds(struct child *c);
void child_fill_holds(struct child *c, struct session_host *host);
bool child_is_on_hold(void *ctx, const char *database, int node_id);

/* child_login.c: who may come in, and what is asked for that. */
void child_fill_login(struct child *c, struct session_host *host);
void child_configure_login(struct child *c);
void child_sweep_login(struct child *c);
/* True when something is left on threads: the process must end by _exit. */
bool child_drop_login(struct child *c);

/* child_address.c: once a second, ends sessions that came over a virtual address that has gone. */
void child_sweep_address(struct child *c);

/* child_nodes.c: acts on what the failover process has decided. From the event loop. */
void child_look_at_nodes(struct child *c);
/* Once a second: nobody waits for a node that is not used. */
void child_sweep_nodes(struct child *c);
/* Behind each change of c->judged. */
void child_note_judged(struct child *c);
/* With a watchdog, at the beginning of each turn: may clients still write? */
void child_watch_clock(struct child *c);
/* Behind cluster_view_build: there is no primary while they may not. */
void child_shut_primary(struct child *c);
/* Nothing may be had from it: it is fenced, or not what it should be. */
bool child_node_is_shut(const struct child *c, int node_id);
/* For struct pool_callbacks. */
bool child_reads_only(void *ctx, int node_id);
bool child_asks_identity(void *ctx, int node_id);
int child_accepts(void *ctx, int node_id, const struct pool_identity *who, struct err *err);

/* child_host.c: what sessions and the pool may call. */
void child_fill_host(struct child *c, struct session_host *host);
struct pool_callbacks child_pool_callbacks(struct child *c);

/* child_cancel.c: cancel requests, for struct session_host; */
void child_cancel_asked(void *ctx, struct session *s, const struct session_cancel_request *request);
/* another child passes one on, and the answer comes back. */
void child_cancel_for(struct child *c, const struct inbox_msg *msg);
void child_cancel_answered(struct child *c, const struct inbox_msg *msg);
/* Who waits for one is not answered any more. */
void child_cancel_drop(struct child *c);

#endif
