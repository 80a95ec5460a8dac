/*
 * What the failover process is; for the files of it alone.
 *
 * failover.c         events in, the plan, publishing
 * failover_steps.c   the steps that the plan asks for
 * failover_jobs.c    those that take time: statements and commands
 * failover_lines.c   connections for them
 * failover_file.c    the status file
 * failover_recovery.c  online recovery
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
    bool handling;
    bool loaded; /* the plan knows the nodes */
};

/* ---- failover.c ---- */

/* One event for the plan, at once: the moments are filled in here. */
void failover_handle(struct failover *f, struct plan_event *event);

/* ---- failover_steps.c ---- */

void failover_do(struct failover *f, const struct plan_step *step);
/* The health process of the node (-1: of each) probes fast for a while, and tells all of it. */
void failover_hurry(struct failover *f, int node_id);
/* An administrator's command has ended; sqlstate: NULL when it was done. */
void failover_answer(struct failover *f, uint32_t request, const char *sqlstate, const char *words);
/* COMMAND_DONE or COMMAND_REFUSED. */
void failover_command_ended(struct failover *f, const struct plan_step *step);
/* Words for the administrator who waits for the command's end. */
void failover_tell_progress(struct failover *f, uint32_t request, const char *words);
/* Have all children acted on the fence that is waited for? */
void failover_watch_fence(struct failover *f);

/* ---- failover_jobs.c ---- */

/* Begins it; a PLAN_STEP_ENDED follows when the step has a serial, never within this call. */
void failover_start_job(struct failover *f, const struct plan_step *step);
void failover_run_event_command(struct failover *f, const struct cluster_event *event);
/* Without a word to anybody. */
void failover_drop_jobs(struct failover *f);

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
};
/* As recovery_start, with what the configuration says. */
struct recovery *failover_rebuild(struct failover *f, const struct failover_rebuilding *what,
                                  const struct recovery_ops *ops, void *ctx);
/* The plan has let it begin. */
void failover_recover(struct failover *f, int node_id, uint32_t request);
/* Is a node that was rebuilt used now? Behind each event. */
void failover_look_at_recoveries(struct failover *f);
void failover_drop_recoveries(struct failover *f);

/* ---- failover_file.c ---- */

/* What is remembered of the last run, as far as the nodes are the same; a faulty file is told in
 * the log and kept aside. */
void failover_load(struct failover *f);
int failover_save(struct failover *f, struct err *err);

#endif
