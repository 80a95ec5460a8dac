/*
 * What the failover process is; for the files of it alone.
 *
 * failover.c         events in, the plan, publishing
 * failover_steps.c   the steps that the plan asks for
 * failover_jobs.c    those that take time: statements and commands
 * failover_lines.c   connections for them
 * failover_file.c    the status file
 * failover_recovery.c  online recovery
 * failover_watch.c   with a watchdog: whose plan it is, and what was committed of it
 * failover_cut.c     ends the streaming of standbys
 * failover_copies.c  native replication: who is detached
 * failover_settle.c  native replication: transactions that are left prepared
 * failover_sequences.c  native replication: sequences that differ
 * failover_back.c    native replication: nodes that are detached come back
 */
#ifndef PROC_FAILOVER_H
#define PROC_FAILOVER_H

#include "base/list.h"
#include "cluster/nodes.h"
#include "cluster/plan.h"
#include "cluster/view.h"
#include "os/dns.h"
#include "proc/proc.h"
#include "proc/recovery.h"
#include "watchdog/board.h"

struct ask;
struct ask_ops;
struct passwd;

enum { REQUESTS_MAX = 32 };

/* An administrator's command. One that was answered is remembered for a while: whoever has not
 * heard the answer asks again, and it is not done twice. */
struct failover_request {
    uint32_t request; /* 0: free */
    uint32_t from;    /* slot and token of who asked */
    uint32_t token;
    bool recovers; /* answered when the recovery has ended */
    bool answered;
    char sqlstate[6]; /* "": it was done */
    char words[PLAN_TEXT_BYTES];
};

/* An event that has to wait until a proposal is committed. */
struct failover_late {
    struct list link;
    struct plan_event event;
    char text[PLAN_TEXT_BYTES];
};

/* With a watchdog: the plan is worked on while `judging`, and each new state of it is proposed. */
struct failover_watch {
    struct wd_live *live;
    struct wd_pulse *pulse;
    struct io_timer beat;
    struct wd_orders orders;
    uint64_t orders_epoch;
    uint64_t committed_epoch;
    int64_t revision;     /* of the committed state; 0: none */
    struct buf committed; /* its text */
    uint64_t judging;     /* 0: we do not */
    uint32_t proposal;    /* under way, its steps are held back; 0: none */
    uint32_t last_proposal;
    struct buf proposed; /* its text */
    struct wd_word word; /* as it was published */
    bool resume;         /* the lead was in doubt: begin anew as soon as it is not */
    bool lag_due;
    bool nodes_due;
    bool heard[CLUSTER_NODES_MAX];
    bool due[CLUSTER_NODES_MAX];
    struct health_fact facts[CLUSTER_NODES_MAX]; /* the last ones of our own */
    struct cluster_set dead;                     /* by the word of enough members, as acted on */
    struct cluster_set quarantined;
    struct list late; /* struct failover_late */
    struct io_timer again;
    struct io_timer unfenced;
    int64_t begun_ns;
    struct list cuts; /* one of each node, while they run */
    uint64_t cutting; /* the number of the order that they are for */
};

/* What the parent is asked for, until it has answered. */
struct failover_hold {
    bool wanted; /* that writes are held */
    uint32_t token;
    struct io_timer again;
};

struct failover {
    struct proc *proc;
    struct dns *dns;
    struct passwd *passwords;
    struct plan_config config;
    struct cluster_nodes now;
    struct cluster_freshness seen; /* what lag has published */
    uint64_t seen_epoch;
    struct io_timer tick;
    struct io_timer fence;
    struct io_timer again;                /* the status file could not be written */
    struct list jobs;                     /* struct failover_job */
    struct ask *lines[CLUSTER_NODES_MAX]; /* kept for jobs, by node_id; NULL: none */
    struct io_timer lines_close;
    struct list recoveries;
    struct plan_steps *steps;
    struct failover_request requests[REQUESTS_MAX];
    uint32_t last_request;
    uint32_t holds_epoch;  /* that was acted on */
    uint64_t fence_wanted; /* this epoch is waited for; 0: none */
    bool unsaved;          /* the status file could not be written, and that was said */
    bool handling;
    bool loaded;                 /* the plan knows the nodes */
    bool shared;                 /* use_watchdog */
    bool copies;                 /* native replication: failover_copies.c, and no plan */
    struct settler *settler;     /* with it: failover_settle.c */
    struct sequencer *sequencer; /* the same, failover_sequences.c */
    struct failover_back *back;  /* the same, failover_back.c; NULL: no node comes back now */
    struct failover_hold hold;   /* the same */
    bool called_dead[CLUSTER_NODES_MAX]; /* the same, by its health process */
    struct failover_watch watch;
};

/* ---- failover.c ---- */

/* One event for the plan, at once: the moments are filled in here. */
void failover_handle(struct failover *f, struct plan_event *event);
/* The second half of that: the state is published, and its steps are done. */
void failover_act(struct failover *f);
/* For all processes. */
void failover_publish(struct failover *f);
void failover_show(struct failover *f);
/* What the primary says of its standbys; unless anew, only if it has said something since. */
void failover_look_at_freshness(struct failover *f, bool anew);
/* Nobody is going to answer those who wait. */
void failover_refuse_all(struct failover *f, const char *words);

/* ---- failover_steps.c ---- */

void failover_do(struct failover *f, const struct plan_step *step);
/* For the log, SHOW pool_events and event_command. node_id: -1 is none. */
void failover_note(struct failover *f, enum node_event what, int node_id, const char *text);
/* The health process of the node (-1: of each) probes fast for a while, and tells all of it. */
void failover_hurry(struct failover *f, int node_id);
/* An administrator's command has ended; sqlstate: NULL when it was done. */
void failover_answer(struct failover *f, uint32_t request, const char *sqlstate, const char *words);
/* COMMAND_DONE or COMMAND_REFUSED. */
void failover_command_ended(struct failover *f, const struct plan_step *step);
/* Words for the administrator who waits for the command's end. */
void failover_tell_progress(struct failover *f, uint32_t request, const char *words);
/* The status file is written by and by. */
void failover_save_soon(struct failover *f);
/* Have all children acted on the fence that is waited for? */
void failover_watch_fence(struct failover *f);
void failover_wait_fenced(struct failover *f, uint64_t epoch);
void failover_end_unfenced(struct failover *f, uint64_t epoch);

/* ---- failover_jobs.c ---- */

/* Begins it; a PLAN_STEP_ENDED follows when the step has a serial, never within this call. */
void failover_start_job(struct failover *f, const struct plan_step *step);
void failover_run_event_command(struct failover *f, const struct cluster_event *event);
/* failover_command or failback_command of a mode without a plan, if there is one: nobody waits for
 * it. node_ids: the node that it is about, the new main node, the old one. */
void failover_run_copies_command(struct failover *f, enum plan_step_kind kind,
                                 const int32_t node_ids[3]);
/* Without a word to anybody. acts_only: those that say something to people go on. */
void failover_drop_jobs(struct failover *f, bool acts_only);
/* The statement that lets a standby with this primary_conninfo stream from there. */
void failover_aim_standby(const char *conninfo, const char *host, uint16_t port, struct buf *sql);
/* For a node that is about to be told something else. */
void failover_drop_following(struct failover *f, int node_id);

/* ---- failover_lines.c ---- */

/* A connection to the node, for one job; it goes back by failover_line_done, never by ask_free. */
struct ask *failover_line(struct failover *f, int node_id, const struct ask_ops *ops, void *ctx);
/* ask: NULL is allowed. */
void failover_line_done(struct failover *f, int node_id, struct ask *ask);
/* An operation has begun: connections are made to those who may be promoted or have to follow. */
void failover_open_lines(struct failover *f);
void failover_drop_lines(struct failover *f);

/* ---- failover_recovery.c ---- */

struct failover_rebuilding {
    int node_id;
    int primary_id;
    bool rejoin;
    bool independent; /* native replication */
};
/* As recovery_start, with what the configuration says. */
struct recovery *failover_rebuild(struct failover *f, const struct failover_rebuilding *what,
                                  const struct recovery_ops *ops, void *ctx);
/* The plan has let it begin. */
void failover_recover(struct failover *f, int node_id, uint32_t request);
/* Is a node that was rebuilt used now? Behind each event. */
void failover_look_at_recoveries(struct failover *f);
void failover_drop_recoveries(struct failover *f);

/* ---- failover_watch.c ---- */

void failover_watch_init(struct failover *f);
void failover_watch_fini(struct failover *f);
/* What the watchdog says now; from the event loop. */
void failover_watch(struct failover *f);
/* A fact of one of our own health processes. */
void failover_watch_fact(struct failover *f, int node_id, const struct health_fact *fact);
/* May the event be handled now? False: it is kept for later, or of no use. */
bool failover_watch_allows(struct failover *f, const struct plan_event *event);
/* Behind a turn. True: the state is new and proposed, its steps have to wait. */
bool failover_watch_proposes(struct failover *f);
/* Is something under way that has to end before a command can be taken? */
bool failover_watch_is_busy(const struct failover *f);
/* May we act at servers, by the clock? Without a watchdog: always. False: all is begun anew when we
 * may again. */
bool failover_leads(struct failover *f);
/* All children have acted on the epoch. */
void failover_watch_fenced(struct failover *f, uint64_t epoch);
/* fence_command has stopped the old primary, in that epoch. */
void failover_watch_stopped(struct failover *f, uint64_t epoch);
/* word has changed. */
void failover_tell_watchdog(struct failover *f);

/* ---- failover_cut.c ---- */

/* The standbys that might be promoted receive nothing any more; word.cut says which. */
void failover_cut(struct failover *f);
void failover_drop_cuts(struct failover *f);

/* ---- failover_file.c ---- */

enum failover_file {
    FAILOVER_FILE_NONE, /* there is none, or it is not to be read: nodes are met for the first time
                         */
    FAILOVER_FILE_TAKEN,
    FAILOVER_FILE_FAULTY, /* it is there, and what it says is not known */
};

/* What is remembered of the last run, as far as the nodes are the same; a faulty file is told in
 * the log and kept aside. */
enum failover_file failover_load(struct failover *f);
int failover_save(struct failover *f, struct err *err);
/* The state of the plan as such a text. */
void failover_print(const struct failover *f, struct buf *out);
/* The present state is what the text says. -1: it is no such text, and nothing has changed. */
int failover_take(struct failover *f, const struct buf *text, struct err *err);

/* ---- failover_copies.c ---- */

/* In native replication a node is a copy of the others until it is detached, and the status file
 * remembers that. */
void failover_copies_resume(struct failover *f, enum failover_file file);
/* Another configuration: nodes that are new are no copies. */
void failover_copies_configure(struct failover *f);
/* Attach and detach by order; verb: enum node_command. Answers the request. */
void failover_copies_command(struct failover *f, uint32_t request, uint8_t verb, int node_id);
/* What a health process says: who is dead is detached. */
void failover_copies_fact(struct failover *f, int node_id, const struct health_fact *fact);
/* A node may be undrained: those that were dead are looked at again, and detached when they are. */
void failover_copies_look(struct failover *f);
/* Has the node all that the others have? */
bool failover_copies_has(const struct failover *f, int node_id);
/* The node with which others are compared, and which decides; -1: there is none. */
int failover_copies_main(const struct failover *f);
/* The node has all that the others have. False: that could not be written, and is not so. */
bool failover_copies_attach(struct failover *f, int node_id, const char *why);
/* Nobody uses the node any more when it is published. missed: whatever backend_flag says, unless it
 * is the last one. */
void failover_copies_detach(struct failover *f, int node_id, const char *why, bool missed);

/* ---- failover_settle.c ---- */

/* Ends what is left prepared on the nodes, as long as the process runs. */
void failover_settle_begin(struct failover *f);
/* Looks at once, not when it would. */
void failover_settle_soon(struct failover *f);
void failover_settle_end(struct failover *f);

/* ---- failover_sequences.c ---- */

/* Brings sequences to the same number on all nodes where they may differ, as long as the process
 * runs. */
void failover_sequences_begin(struct failover *f);
void failover_sequences_end(struct failover *f);
/* They may, in this database; NULL: in any. */
void failover_sequences_doubt(struct failover *f, const char *database);

/* ---- failover_back.c ---- */

/* The node is made equal to the main node (rebuild), or compared as it is, and then used; answers
 * the request at the end. It is no copy, and there is a main node. */
void failover_back_begin(struct failover *f, int node_id, uint32_t request, bool rebuild);
/* Without a word to anybody, and without letting writes go. */
void failover_back_end(struct failover *f);
/* No transaction begins at our children, or may again. */
void failover_hold_writes(struct failover *f, bool wanted);
void failover_hold_answered(struct failover *f, const struct inbox_msg *msg); /* by the parent */

#endif
