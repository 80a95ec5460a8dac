/*
 * What the watchdog process is; for the files of it alone.
 *
 * watchdog.c         its loop: events for the step function, and what that orders
 * watchdog_board.c   what others read of it, and what it reads of the failover process
 */
#ifndef PROC_WATCHDOG_H
#define PROC_WATCHDOG_H

#include "base/buf.h"
#include "os/dns.h"
#include "os/etcd_client.h"
#include "proc/proc.h"
#include "watchdog/asker.h"
#include "watchdog/board.h"
#include "watchdog/runner.h"
#include "watchdog/shown.h"
#include "watchdog/surroundings.h"

struct watchdog {
    struct proc *proc;
    struct dns *dns;
    struct etcd_client *client;
    struct wd_asker *asker;
    struct wd_runner *runner;
    struct wd_surroundings *surroundings;
    struct io_timer address; /* its command has ended: how, */
    bool address_done;       /* and that is told from the loop */
    struct io_timer judge_timer;
    struct io_timer idle; /* commands are waited for before the end */
    struct wd wd;
    struct wd_config config;
    struct io_timer tick;
    struct io_timer end; /* of a stop that etcd does not answer to */
    bool are_there;      /* the surroundings, */
    bool judge_runs;     /* and our failover process */
    bool fit;            /* that was told */
    bool stopping;
    bool closed;        /* that was told */
    bool trouble;       /* etcd has not answered, and that was said */
    int64_t told_term;  /* the last that the log has */
    int64_t hurried_ns; /* when the health processes were told to hurry */
    /* what stands in etcd, as text */
    struct buf seen; /* in the last picture, */
    int64_t seen_revision;
    struct buf text; /* what is applied, */
    int64_t text_revision;
    struct buf proposed; /* and the proposal that is under way */
    /* the board */
    struct wd_live *live;
    const struct wd_pulse *pulse;
    struct wd_orders orders; /* as they are to be */
    struct wd_orders given;  /* and as they were published */
    int64_t given_revision;
    uint64_t last_judging;
    uint32_t taken; /* the last proposal of this judging */
    struct wd_word heard;
    uint64_t word_epoch;
    uint64_t proposal_epoch;
    struct cluster_pgpools shown; /* as published, */
    struct cluster_pgpools next;  /* and as it is */
    int64_t shown_ns;
    int64_t inherited_ns; /* until when the former process has let clients write */
};

/* ---- watchdog.c ---- */

/* One event, at once: the moment is filled in here. */
void watchdog_tell(struct watchdog *w, struct wd_event *event);

/* ---- watchdog_board.c ---- */

/* What a former process of this kind has left behind. */
void watchdog_inherit(struct watchdog *w);
/* Behind each event: whatever is new, and wakes those who read it. */
void watchdog_publish(struct watchdog *w);
/* What the failover process has written since. */
void watchdog_hear_judge(struct watchdog *w);

#endif
