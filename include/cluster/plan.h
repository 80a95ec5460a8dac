/*
 * The failover plan: a pure function from (state, event) to (new state, steps).
 *
 * The failover process is the only caller. For each event it calls plan_handle, publishes the new
 * state in the node area, and only then carries out the steps, in their order. A step may be
 * carried out twice and must be safe then; after a crash PLAN_RESUMED asks again for all that is
 * still to be done. Times are CLOCK_MONOTONIC in nanoseconds; at_us is the wall clock, to be shown.
 *
 * THE DECISION TABLE
 *
 * Only evidence moves states: facts of the health processes, facts of lag, commands of an
 * administrator, ends of steps. Silence of ourselves (no fact, an alarm) moves none.
 *
 * A node that is alive:
 * - a primary, and the committed one (node, system, timeline): UP.
 * - ... on a later timeline than committed, nobody else promoted: UP, and the timeline is
 *   committed: it was promoted again by a person.
 * - ... on another system or an earlier timeline: ROGUE, and the primary is lost.
 * - a primary, not the committed one: ROGUE. Except when the committed primary is gone or a
 *   standby, one node claims a strictly later timeline of the same system, and we did not give it
 *   up before: somebody else has promoted it, and it is adopted, through a fence. Who was ROGUE or
 *   a replaced primary (given_up) is adopted by a command only, until it has streamed again: others
 *   have written elsewhere since. While the committed primary may live such a claim is QUARANTINED,
 *   and ROGUE at its next answer.
 * - a standby of another system, or of a later timeline: QUARANTINED.
 * - a standby of an earlier timeline: made to follow, UP as it was: freshness guards reads.
 * - a standby of the committed timeline: UP when it was UP, SUSPECT, RECOVERING or UNKNOWN. DOWN,
 *   FENCED, QUARANTINED, ROGUE: UP when it streams and auto_failback is on (not more often than
 *   auto_failback_interval), or it was attached or recovered; REJOINING before.
 * - ... that is UP and does not stream for follow_wait: made to follow; QUARANTINED when that does
 *   not help.
 * - in MAINTENANCE: stays until attached.
 * SUSPECT and RECOVERING verdicts turn UP into that, nothing else.
 *
 * A node that is dead: a standby is DOWN, nothing is promoted. ROGUE and FENCED are remembered. The
 * primary is failed over, unless it or the whole of it is DISALLOW_TO_FAILOVER or ALWAYS_PRIMARY:
 * then it is DOWN, remains the committed one, and is UP again as soon as it answers.
 *
 * A failover:
 * - FENCING: epoch + 1, no primary; every child says that it has closed what it had to the old one.
 *   Children that do not are ended (END_UNFENCED): a dead child writes nothing. Without all of them
 *   nothing is promoted.
 * - FENCE_COMMAND: when set; repeated until it succeeds. Before positions are asked, since the old
 *   primary may send WAL until it is stopped.
 * - CHOOSING: positions are asked anew. Candidate is who answers, is a standby of the same system
 *   and exactly of the committed timeline, not in maintenance or recovery. (WAL positions of
 *   different timelines cannot be compared. A standby of an older one lacks what was acknowledged
 * on the committed one, and, promoted, would take a timeline number that is in use. Who was seen
 * not to stream, and never seen streaming since the primary was committed, may be on another
 * history whose timeline has the same number: out, too; who was never seen comes behind who was.)
 *   Most received WAL, then synchronous standing, backend_priority, lower number. If
 *   synchronous_standby_names was set, and nobody answers who was sync or quorum, such a one is
 *   waited for up to candidate_wait: what was acknowledged may be with it alone. So is a possible
 *   candidate that neither answers nor is dead: it may have more WAL. If the old primary answers,
 *   as before, it is UP again: nobody was promoted, its data is whole, and the failover is
 *   cancelled.
 * - PROMOTING: failover_command or pg_promote(), bounded. However it ends:
 * - VERIFYING: the candidate says itself that it is a primary of a later timeline. A promotion that
 *   failed for the caller may have happened. If it has not by the deadline, or the candidate has
 *   died, back to CHOOSING without it, in the same epoch; when all have been tried, all again. A
 *   candidate that was given up and turns up as a primary is ROGUE.
 * - then it is published; the others follow; the old one is FENCED until it shows what it is.
 *
 * A switchover is the same with the old primary alive: after the fence the old one's position is
 * asked, and CATCHING_UP lasts until the candidate has received that. What is not flushed is not
 * sent, and WAL that belongs to no commit (of a page that was pruned) may stay in memory for long.
 * So after flush_wait, in which the WAL writer brings asynchronous commits to disk, what is flushed
 * then is enough. If that, or anything before the promotion, is not done in switchover_wait, the
 * old primary is published again. If the promotion fails and the old primary is well, too; the
 * candidate counts as given up. If the old primary dies, it becomes a failover, in the same epoch.
 * fence_command is not run: it would stop the server that is to follow.
 *
 * With several pgpools (config.shared) the plan of whoever leads is that of all. PLAN_FENCED then
 * says that the children of all have acted, or cannot write any more, and is waited for anew by
 * each one that goes on (standing); nobody is chosen, told or published before. An epoch has one
 * candidate: who gives it up goes on in a new epoch, without another fence. Only who is in
 * may_promote is chosen; where another one has more, that one is waited for: up to candidate_wait,
 * or, with synchronous_standby_names, until it may be. The streaming of standbys may have been
 * ended before a promotion, so they are made to follow also when the old primary remains.
 *
 * At start, without a committed primary: once each node has been heard of or candidate_wait is
 * over, the only one that claims; of several the one on the strictly latest timeline, all being of
 * one system; none that is behind a timeline seen at a standby. Otherwise none, and an event says
 * why.
 *
 * BY POSITION (raw, logical replication): nobody is promoted, verified or made to follow; systems
 * and timelines do not count; what streaming calls the primary is the main node.
 * - A node that answers is UP. One that was DOWN only when it was attached, or was not replaced as
 *   the main node; a subscriber of logical replication with auto_failback, too.
 * - raw: the main node is the lowest number that is UP. When it is dead the next one takes its
 *   place: FENCING, FENCE_COMMAND when set, failover_command when set (it only tells), and then
 * that one is published. Nodes in front of it that were not there are DOWN from then on: they lack
 * what was written meanwhile. A lower number that is attached takes over, through a fence. The last
 * one remains the main node.
 * - logical replication: the main node is the one that is ALWAYS_PRIMARY, else the lowest number
 *   that is configured. When it is dead or detached, nobody may write. Another one comes by the
 *   configuration alone, through a fence. A server in recovery is QUARANTINED.
 * - attach and detach; promote, switchover and recovery are refused.
 */
#ifndef CLUSTER_PLAN_H
#define CLUSTER_PLAN_H

#include "cluster/health.h"
#include "cluster/states.h"
#include "cluster/view.h"

enum { PLAN_REASON_BYTES = 160, PLAN_TEXT_BYTES = 320, PLAN_STEPS_MAX = 6 * CLUSTER_NODES_MAX };

/* ---- what the configuration says ------------------------------------------------------------ */

struct plan_node_config {
    bool configured;
    bool allow_failover; /* not DISALLOW_TO_FAILOVER */
    bool always_primary;
    int32_t priority; /* backend_priority */
};

/* All waits are bounds and must be above 0. */
struct plan_config {
    enum cluster_mode mode; /* another one than streaming: BY POSITION */
    uint32_t node_count;
    struct plan_node_config nodes[CLUSTER_NODES_MAX];
    bool fence_command;
    bool failover_command;
    bool failback_command;
    bool auto_failback;
    bool shared;                    /* with other pgpools (watchdog/watchdog.h) */
    struct cluster_set may_promote; /* with shared: who may be promoted now */
    int64_t auto_failback_interval_ns;
    int64_t candidate_wait_ns;
    int64_t fence_wait_ns;      /* for the children, before END_UNFENCED */
    int64_t command_wait_ns;    /* for a command of the user */
    int64_t promote_wait_ns;    /* for PROMOTE_SQL */
    int64_t verify_wait_ns;     /* for the new primary to say so */
    int64_t follow_wait_ns;     /* for FOLLOW to be done, and again for streaming */
    int64_t rejoin_wait_ns;     /* for FOLLOW of an old primary; at least follow_wait_ns counts */
    int64_t switchover_wait_ns; /* from its begin to the promotion */
    int64_t flush_wait_ns;      /* for the WAL writer of an old primary that is well */
    int64_t retry_wait_ns;      /* between rounds of what must succeed */
    int64_t search_wait_ns;     /* search_primary_node_timeout: when its event comes */
};

/* ---- the state ------------------------------------------------------------------------------ */

/* Does a standby stream from the committed primary, directly or through another standby? UNKNOWN:
 * nobody can tell, or it is not meant to stream (it restores from an archive). */
enum plan_stream { PLAN_STREAM_UNKNOWN, PLAN_STREAM_NO, PLAN_STREAM_YES };

/* What is being done to a node beside operations. */
enum plan_job {
    PLAN_JOB_NONE,
    PLAN_JOB_FOLLOW,   /* FOLLOW has been asked for */
    PLAN_JOB_STREAM,   /* it is done; streaming is waited for */
    PLAN_JOB_RECOVERY, /* pcp_recovery_node is at work */
};

struct plan_node {
    uint8_t state;     /* enum node_state */
    uint8_t job;       /* enum plan_job */
    bool must_follow;  /* until it streams from the committed primary */
    bool demote;       /* it is the old primary of a switchover, still writable */
    bool given_up;     /* told to promote and not published, or a primary that was replaced, or a
                        * second one: never adopted before it has streamed again */
    bool attach;       /* back as soon as it streams, whatever auto_failback says */
    bool failback_due; /* RUN_FAILBACK_COMMAND has not ended */
    bool synchronous;  /* sync or quorum when the last primary was last asked */
    bool proven;       /* has streamed from the committed primary, or was it: its history is that */
    bool tried;        /* in this round of choosing */
    bool told;         /* to promote, in this operation */
    bool alarm;
    uint32_t attempts; /* of following */
    int64_t since_us;  /* wall clock: in this state */
    int64_t job_deadline_ns;
    int64_t next_follow_ns;
    int64_t failback_ns; /* the last time that it came back by itself; 0: never */
    uint32_t job_serial; /* of the steps whose ends are waited for */
    uint32_t failback_serial;
    /* facts; not in the status file */
    uint8_t verdict;        /* enum health_verdict */
    uint8_t stream;         /* enum plan_stream */
    bool answered;          /* the last fact had an answer */
    int64_t apart_since_ns; /* stream is NO since then */
    int64_t asked_ns;       /* begin of the probe that answer is of; 0: there is none */
    struct health_answer answer;
    char reason[PLAN_REASON_BYTES];
};

enum plan_operation_kind { PLAN_IDLE, PLAN_FAILOVER, PLAN_SWITCHOVER };

enum plan_phase {
    PLAN_PHASE_NONE,
    PLAN_FENCING,
    PLAN_FENCE_COMMAND,
    PLAN_CHOOSING,
    PLAN_CATCHING_UP,
    PLAN_PROMOTING,
    PLAN_VERIFYING,
};

struct plan_operation {
    uint8_t kind;  /* enum plan_operation_kind */
    uint8_t phase; /* enum plan_phase */
    bool fenced;   /* all children have said so, for plan.epoch */
    bool standing; /* ... to this process; not in the status file */
    bool ready;    /* somebody may be promoted; since then others are waited for */
    bool waited;   /* candidate_wait is over */
    bool told;     /* its event of no candidate was said */
    bool pausing;  /* the deadline is that of the next try */
    bool doubtful; /* the promotion was not reported as done */
    bool forced;   /* an administrator named the candidate: timeline and order do not count */
    bool detach_old;
    int32_t old_primary_id; /* -1: there was none */
    int32_t candidate_id;   /* -1: none chosen */
    int32_t wanted_id;      /* by an administrator; -1: none */
    uint32_t attempt;       /* number of promotions that were told */
    uint32_t request;       /* of the command; 0: none */
    uint32_t serial;        /* of the step whose end is waited for */
    int64_t deadline_ns;    /* of the phase */
    int64_t give_up_ns;     /* of a switchover that has not promoted */
    int64_t asked_since_ns; /* answers of earlier probes do not count */
    uint64_t target_lsn;    /* of a switchover: to be received; 0: not known */
};

/* All of it may be written to a file and read back at any time. */
struct plan {
    uint64_t epoch;             /* never goes back; one more for each fence */
    uint64_t system_identifier; /* 0: not known */
    uint32_t timeline;          /* committed; 0: not known */
    int32_t primary_id;         /* -1: none */
    uint32_t node_count;
    uint32_t serial;         /* of the last step whose end is told */
    bool synchronous;        /* synchronous_standby_names was set */
    bool search_waited;      /* everybody had the time to answer */
    bool search_told;        /* search_wait is over, and its event was said */
    bool in_doubt;           /* several claim to be the primary, and that was said */
    int64_t search_since_ns; /* 0: not searching */
    struct plan_operation operation;
    struct plan_node nodes[CLUSTER_NODES_MAX];
};

/* ---- events --------------------------------------------------------------------------------- */

enum plan_event_kind {
    PLAN_TICK,           /* plan_next_ns has come */
    PLAN_RESUMED,        /* first event of a failover process, also after a restart */
    PLAN_NODES_LOADED,   /* the configuration may be another one */
    PLAN_HEALTH,         /* node_id, health */
    PLAN_LAG,            /* lag: what the primary sees of its standbys */
    PLAN_FENCED,         /* epoch: every child has acknowledged it */
    PLAN_STEP_ENDED,     /* node_id, serial, result, text: what went wrong */
    PLAN_ATTACH,         /* node_id, request */
    PLAN_DETACH,         /* node_id, request */
    PLAN_PROMOTE,        /* node_id, request: a failover to it, although the primary may be well */
    PLAN_SWITCHOVER_TO,  /* node_id or -1 for the best one, request */
    PLAN_RECOVERY_BEGUN, /* node_id, request */
    PLAN_RECOVERY_ENDED, /* node_id, result, text */
};

enum plan_result { PLAN_DONE, PLAN_FAILED, PLAN_TIMED_OUT };

struct plan_lag {
    int32_t primary_id;                /* that was asked */
    bool synchronous;                  /* synchronous_standby_names is set there */
    uint8_t stream[CLUSTER_NODES_MAX]; /* enum plan_stream */
    bool sync[CLUSTER_NODES_MAX];      /* sync_state is sync or quorum */
};

struct plan_event {
    enum plan_event_kind kind;
    int64_t now_ns;
    int64_t at_us;
    int32_t node_id;
    uint32_t serial;
    uint32_t request; /* comes back with COMMAND_DONE or COMMAND_REFUSED */
    uint64_t epoch;
    enum plan_result result;
    const char *text;                 /* NULL or borrowed */
    const struct health_fact *health; /* borrowed */
    const struct plan_lag *lag;       /* borrowed */
};

/* ---- steps ---------------------------------------------------------------------------------- */

enum node_event {
#define NODE_EVENT(id, name) NODE_EVENT_##id,
#include "tables/node_events.def"
#undef NODE_EVENT
    NODE_EVENTS
};

enum plan_step_kind {
    PLAN_DO_FENCE,         /* epoch: publish it, wake the children: no primary */
    PLAN_DO_WAIT_FENCED,   /* epoch: watch the acknowledgements; PLAN_FENCED when all are there */
    PLAN_DO_END_UNFENCED,  /* epoch: end the children that have not acknowledged it; watch on */
    PLAN_DO_ASK_POSITIONS, /* hurry the health processes of all nodes; facts come by themselves */
    PLAN_DO_FENCE_COMMAND, /* node_id: the old primary. Its end is told; without a serial: unless it
                            * is running */
    PLAN_DO_FAILOVER_COMMAND, /* node_id: to be promoted, other_id: the old one. Its end is told */
    PLAN_DO_PROMOTE_SQL,      /* node_id. Its end is told; a node that is a primary already: done */
    PLAN_DO_VERIFY_PRIMARY,   /* hurry the health process of node_id */
    PLAN_DO_FOLLOW,  /* node_id, other_id: the primary; by follow_primary_command or SQL; with
                      * was_primary the node runs as a primary and is to become a standby. Its end
                      * is told */
    PLAN_DO_PUBLISH, /* wake the children: states or the primary are new */
    PLAN_DO_FAILBACK_COMMAND, /* node_id. Its end is told */
    PLAN_DO_WRITE_STATUS,     /* durably, before any later step is begun */
    PLAN_DO_EVENT,            /* event, node_id, request, text */
    PLAN_DO_STOP_ROGUE,       /* node_id: by fence_command, when that is set; at most an event comes
                               * of it */
    PLAN_DO_QUARANTINE,       /* node_id: the children end all connections to it */
    PLAN_DO_SEARCH_PRIMARY,   /* hurry the health processes of all nodes */
    PLAN_DO_KINDS
};

struct plan_step {
    uint8_t kind;  /* enum plan_step_kind */
    uint8_t event; /* enum node_event */
    bool was_primary;
    int32_t node_id;
    int32_t other_id;
    uint32_t serial; /* comes back with PLAN_STEP_ENDED; 0: its end is not told */
    uint32_t request;
    uint64_t epoch;
    int64_t deadline_ns; /* by then it is to be ended, by force; 0: none */
    char text[PLAN_TEXT_BYTES];
};

struct plan_steps {
    uint32_t count;
    struct plan_step list[PLAN_STEPS_MAX];
};

/* ---- calls ---------------------------------------------------------------------------------- */

/* A state that knows of no node: PLAN_NODES_LOADED fills it. */
void plan_init(struct plan *plan);

/*
 * One event. *plan is changed in place, the steps are added to *steps (cleared by the caller).
 * Facts and commands about nodes that are not configured are ignored (commands: refused). Cannot
 * fail.
 */
void plan_handle(struct plan *plan, const struct plan_config *config,
                 const struct plan_event *event, struct plan_steps *steps);

/* When PLAN_TICK is due; INT64_MAX: never. */
int64_t plan_next_ns(const struct plan *plan, const struct plan_config *config);

/* What the state allows. Both are false for everything that is not configured. */
bool plan_may_write(const struct plan *plan, int node_id);
bool plan_may_read(const struct plan *plan, int node_id);

/* Forgets what a new boot of the machine makes meaningless (facts and moments). For a state that
 * came from the status file; PLAN_RESUMED follows. */
void plan_forget_moments(struct plan *plan);

const char *plan_phase_name(enum plan_phase phase); /* "" for none */
int plan_phase_parse(const char *name);             /* -1: no such phase */
const char *plan_operation_name(enum plan_operation_kind kind);
int plan_operation_parse(const char *name);
const char *plan_step_name(enum plan_step_kind kind);
const char *node_event_name(enum node_event event);

#endif
