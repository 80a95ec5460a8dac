/*
 * The watchdog: a pure function from (state, event) to (new state, actions), for one member.
 *
 * The watchdog process is the only caller. It asks etcd, runs commands and talks with the failover
 * process as the actions say, tells each end as an event, and publishes after each event what the
 * wd_... questions below answer. Rules and their reasons: doc/decisions/0023. Times are
 * CLOCK_BOOTTIME in nanoseconds; an event's now_ns is read when it is handled, never before.
 *
 * THE JUDGE is the failover process. It works on the plan only between WD_DO_JUDGE and
 * WD_DO_STOP_JUDGING: begins from the committed state of that revision (PLAN_RESUMED; without a
 * state, from its own), proposes what each turn has made of it (WD_PROPOSED), and does that turn's
 * steps only after WD_DO_COMMITTED of that proposal. WD_DO_FENCED is its PLAN_FENCED. Before a step
 * that changes a server it looks whether now is still before wd_leads_until_ns. Deaths of nodes
 * reach its plan as wd_verdict says. It chooses only whom wd_may_promote allows, and each candidate
 * has an epoch of its own.
 *
 * Who does not judge takes the state of WD_DO_APPLY as it is. Either way WD_FENCED_HERE tells when
 * all children have acted on an epoch, and no child forwards anything to the primary when now is
 * not before wd_writes_until_ns.
 */
#ifndef WATCHDOG_WATCHDOG_H
#define WATCHDOG_WATCHDOG_H

#include "cluster/health.h"
#include "watchdog/picture.h"

#include <stdbool.h>

struct wd_config {
    uint32_t id;
    int32_t priority;
    uint64_t incarnation;
    uint64_t nodes_hash;
    uint32_t node_count;
    struct cluster_set nodes; /* that are configured */
    bool consensus;           /* failover_require_consensus */
    bool address;             /* delegate_ip is set */
    bool address_left;        /* for wd_init: it is up, from an earlier process's life */
    bool keep_address;        /* wd_on_etcd_loss = keep */
    int64_t lost_member_ns;   /* wd_lost_node_removal_timeout; 0: never */
    /* of wd_lease_ttl: wd_config_times */
    int64_t ttl_ns;
    int64_t margin_ns;
    int64_t renew_ns;
    int64_t fetch_ns;
    int64_t stagger_ns;
    /* fixed */
    int64_t retry_ns;
    int64_t alone_ns;    /* how old a proof may be */
    int64_t excuse_ns;   /* how long nodes that are not in are left out of it */
    int64_t apply_ns;    /* for the children to act on a fence */
    int64_t handover_ns; /* alone without the primary, before leadership is laid down */
    int64_t pause_ns;    /* then others go first this long */
};

void wd_config_times(struct wd_config *config, int64_t ttl_ns);

/* ---- events --------------------------------------------------------------------------------- */

/* What is asked of etcd; one of a kind at a time. */
enum wd_request {
    WD_GRANT,     /* a lease of ttl_ns */
    WD_KEEPALIVE, /* lease. WD_NO: there is no such lease any more */
    WD_JOIN,     /* in one transaction, when member/<id> has key_revision (0: is absent): it becomes
                  * wd->self under the lease, and roster/<id> our incarnation */
    WD_UPDATE,   /* member/<id> becomes wd->self, when it has key_revision */
    WD_FETCH,    /* the picture, linearizable */
    WD_CAMPAIGN, /* leader becomes us under the lease, when it is absent */
    WD_COMMIT,   /* state becomes wd->proposal and the payload, when it has revision (0: is absent)
                  * and leader has the term as its create revision */
    WD_RESIGN,   /* leader is deleted, when it has the term */
    WD_FORGET,   /* roster/<other_id> is deleted, when it has other_incarnation, member/<other_id>
                  * is absent, and leader has the term */
    WD_LEAVE,    /* member/<id> and roster/<id> are deleted, when that has our incarnation */
    WD_REQUESTS
};

enum wd_answer {
    WD_OK,
    WD_NO,     /* etcd said no: a comparison failed, the lease is gone */
    WD_UNSURE, /* no answer in time, or an error: it may have been done, or be done later */
};

enum wd_event_kind {
    WD_TICK,
    WD_CHANGED,       /* a hint: something in etcd has changed */
    WD_ANSWERED,      /* request, serial, answer; see below */
    WD_FACT,          /* fact: one of our own health process's */
    WD_PROPOSED,      /* state, proposal: not 0 */
    WD_FENCED_HERE,   /* epoch: all our children have acted on it */
    WD_CUT,           /* set: these standbys receive nothing any more, and will not by themselves */
    WD_OLD_STOPPED,   /* epoch: fence_command has stopped the old primary */
    WD_SURROUNDINGS,  /* done: we are not cut off from clients, as far as we can tell */
    WD_ADDRESS_ENDED, /* done: the command of WD_DO_ADDRESS_UP or _DOWN went well */
    WD_STOP,          /* pgpool is being stopped: hand over */
    WD_CLOSED,        /* after WD_STOP: no child has a connection to a server any more */
};

/* What a probe of ours found. */
struct wd_fact {
    int32_t node_id;
    int64_t began_ns;
    bool alive; /* HEALTH_ALIVE */
    bool dead;  /* HEALTH_DEAD */
    bool answered;
    bool in_recovery;
    bool streams; /* it says itself that it receives */
    uint32_t timeline;
    uint64_t system_identifier;
};

struct wd_event {
    enum wd_event_kind kind;
    int64_t now_ns;
    enum wd_request request;
    enum wd_answer answer;
    uint32_t serial;
    uint32_t proposal;
    uint64_t epoch;
    uint64_t lease;   /* of GRANT */
    int64_t ttl_ns;   /* of GRANT and KEEPALIVE: as etcd says */
    int64_t revision; /* of JOIN, UPDATE and COMMIT: of etcd, with it done */
    bool done;
    struct cluster_set set;
    const struct wd_fact *fact;       /* borrowed */
    const struct wd_state *state;     /* borrowed */
    const struct wd_picture *picture; /* of FETCH; borrowed */
};

/* ---- actions -------------------------------------------------------------------------------- */

enum wd_action_kind {
    WD_DO_ASK,          /* request, serial, and what that needs; its end is told */
    WD_DO_APPLY,        /* revision: publish this state to our children */
    WD_DO_JUDGE,        /* revision, term */
    WD_DO_STOP_JUDGING, /* what was not committed is forgotten; WD_DO_APPLY or _JUDGE may follow */
    WD_DO_COMMITTED,    /* proposal, revision: do its steps */
    WD_DO_FENCED,       /* epoch */
    WD_DO_CUT,          /* end the streaming of all standbys that may be chosen; WD_CUT tells */
    WD_DO_ADDRESS_UP,   /* until_ns: bring it up with that lifetime; its end is told */
    WD_DO_ADDRESS_KEEP, /* until_ns: the lifetime is longer */
    WD_DO_ADDRESS_DOWN, /* its end is told */
    WD_DO_ESCALATE,     /* wd_escalation_command */
    WD_DO_DE_ESCALATE,
    WD_DO_TELL, /* text */
    WD_DO_END,  /* the keys are gone; the process may end */
};

struct wd_action {
    uint8_t kind;    /* enum wd_action_kind */
    uint8_t request; /* enum wd_request */
    uint32_t serial;
    uint32_t proposal; /* whose payload; 0: the one that is committed */
    uint32_t other_id;
    uint64_t other_incarnation;
    uint64_t epoch;
    uint64_t lease;
    int64_t term;
    int64_t revision; /* of COMMIT: the state's that is replaced; of JOIN, UPDATE: the key's */
    int64_t until_ns; /* INT64_MAX: no end */
    const char *text; /* static */
};

enum { WD_ACTIONS_MAX = 32 };

struct wd_actions {
    uint32_t count;
    struct wd_action list[WD_ACTIONS_MAX];
};

/* ---- the state ------------------------------------------------------------------------------ */

enum wd_address { WD_ADDRESS_DOWN, WD_ADDRESS_COMING, WD_ADDRESS_UP, WD_ADDRESS_GOING };

struct wd_pending {
    uint32_t serial; /* 0: nothing is asked */
    int64_t sent_ns;
};

struct wd_node {
    struct wd_fact fact;
    int64_t cut_ns; /* it has been receiving nothing since; 0: not known */
};

struct wd_missing {
    struct wd_roster_entry who;
    int64_t gone_ns;       /* when we saw that */
    uint64_t fenced_epoch; /* what it had said before */
};

struct wd {
    int64_t now_ns; /* of the last event */
    uint32_t serial;
    struct wd_pending pending[WD_REQUESTS];
    struct wd_picture seen;
    int64_t seen_sent_ns;  /* when it was asked for */
    int64_t next_fetch_ns; /* and the next one will be */
    bool hurry;            /* as soon as the one that is under way has ended */
    /* membership */
    uint64_t lease;         /* 0: none */
    int64_t lease_until_ns; /* by our clock, margin taken off */
    int64_t next_keepalive_ns;
    int64_t next_join_ns;
    bool joined;
    bool foreign;            /* our number is another pgpool's, and that was told */
    int64_t joined_revision; /* our key is no older than that */
    int64_t key_revision;
    int64_t lapsed_ns; /* when the last lease ended that we wrote by */
    struct wd_member self;
    struct wd_member told; /* what our key says */
    struct wd_member telling;
    bool isolated; /* WD_SURROUNDINGS said so */
    /* leadership */
    int64_t term; /* 0: we do not lead */
    bool judging;
    int64_t vacant_since_ns;
    struct wd_leader before; /* who led the last time that anybody did */
    int64_t pause_until_ns;
    int64_t blind_since_ns; /* we alone do not reach the primary; 0: not so */
    bool resigning;
    int64_t resigned_term; /* may end at any moment: never led in again */
    bool differs;          /* our node list, from the state's, and that was told */
    /* the committed state */
    int64_t applied; /* its revision; 0: none */
    struct wd_state state;
    int64_t apply_by_ns; /* children have to act on the fence; 0: they have */
    uint32_t proposed;   /* by the judge; 0: nothing */
    uint32_t committing; /* the proposal that is under way; 0: our own change */
    struct wd_state wanted;
    struct wd_state proposal; /* what WD_COMMIT writes */
    /* the fence */
    int64_t fence_revision; /* of the state with which it came */
    bool fenced;            /* it stands */
    uint64_t fenced_told;   /* in this epoch */
    bool old_stopped;
    bool wait_told;
    int64_t next_cut_ns;
    uint32_t missing_count;
    struct wd_missing missing[WD_MEMBERS_MAX];
    struct wd_node nodes[CLUSTER_NODES_MAX];
    /* the address */
    uint8_t address; /* enum wd_address */
    int64_t address_until_ns;
    int64_t next_address_ns;
    bool escalated;
    /* the end */
    bool stopping;
    bool closed;
    bool left;
};

void wd_init(struct wd *wd, const struct wd_config *config);

/* One event. Actions are added to *actions (cleared by the caller) in the order in which they have
 * to be done. Cannot fail. */
void wd_handle(struct wd *wd, const struct wd_config *config, const struct wd_event *event,
               struct wd_actions *actions);

/* When WD_TICK is due; INT64_MAX: never. */
int64_t wd_next_ns(const struct wd *wd, const struct wd_config *config);

/* ---- questions; a moment that has passed means no ------------------------------------------- */

/* Acts of the leader are allowed before that moment. */
int64_t wd_leads_until_ns(const struct wd *wd);

/* Clients' statements may go to the committed primary before that moment. */
int64_t wd_writes_until_ns(const struct wd *wd, const struct wd_config *config);

/* What the plan of the judge is to hear of a node, whose own verdict is given: dead only when
 * enough members say so. */
enum health_verdict wd_verdict(const struct wd *wd, const struct wd_config *config, int node_id,
                               enum health_verdict own);

/* We alone do not reach a node that is in: our children leave it, the cluster keeps it. */
bool wd_is_quarantined_here(const struct wd *wd, int node_id);

/* May the node be told to promote, as far as members that are missing are concerned? */
bool wd_may_promote(const struct wd *wd, const struct wd_config *config, int node_id,
                    int64_t now_ns);

#endif
