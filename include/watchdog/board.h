/*
 * What the watchdog process, the failover process and the children tell each other, in shared
 * memory: levels, not messages, so that nothing is lost with a process that is killed or a queue
 * that is full. Whoever begins anew reads what stands there.
 *
 * Each part has one writing process, which wakes the other side. Moments are CLOCK_BOOTTIME in
 * nanoseconds: a process that is killed leaves one behind, and it passes.
 */
#ifndef WATCHDOG_BOARD_H
#define WATCHDOG_BOARD_H

#include "watchdog/watchdog.h"

#include <stdatomic.h>

enum { WD_TEXT_BYTES = 256 * 1024, WD_SET_WORDS = CLUSTER_NODES_MAX / 64 };

/* Written by the watchdog process with each event, read with single loads: by children once a turn,
 * by the failover process before each act. All zeroes at first: nothing is allowed. */
struct wd_live {
    _Alignas(64) _Atomic int64_t writes_until_ns; /* wd_writes_until_ns */
    _Atomic int64_t leads_until_ns;               /* wd_leads_until_ns */
    _Atomic uint64_t may_promote[WD_SET_WORDS];   /* wd_may_promote */
    _Atomic uint64_t dead[WD_SET_WORDS];          /* so many members say so */
    _Atomic uint64_t quarantined[WD_SET_WORDS];   /* wd_is_quarantined_here */
};

/* Written by the failover process alone, now and then: its loop runs. Zero at first. */
struct wd_pulse {
    _Alignas(64) _Atomic int64_t beat_ns;
};

/* Payload of the area of orders; watchdog to failover. */
struct wd_orders {
    uint64_t judging; /* 0: do not judge; a new number, which is greater, with each WD_DO_JUDGE */
    int64_t begun;    /* the revision of that WD_DO_JUDGE; 0: there is no state yet */
    uint64_t fenced_epoch; /* WD_DO_FENCED since then; 0: not yet */
    uint64_t cuts;         /* how many WD_DO_CUT since then */
    uint32_t committed;    /* the last WD_DO_COMMITTED since then; 0: none */
    int32_t leader_id;     /* who leads, for people; -1: nobody, or not known */
};

/* Payload of the area of the committed state; watchdog to failover. Published before the orders
 * that speak of it. */
struct wd_committed {
    int64_t revision; /* 0: none */
    uint32_t len;
    char text[WD_TEXT_BYTES]; /* a status file's; ends in NUL */
};

/* Payload of the failover process's word to the watchdog. */
struct wd_word {
    uint64_t judging;       /* the one that cut and proposals are of */
    uint64_t fenced_epoch;  /* all our children have acted on that */
    uint64_t cuts;          /* the last cut that was ended, */
    struct cluster_set cut; /* and who receives nothing since */
    uint64_t stopped_epoch; /* in which fence_command has stopped the old primary */
};

/* Payload of the area of proposals; failover to watchdog. One at a time: the next one follows when
 * that was committed, or the judging has ended. */
struct wd_proposal {
    uint64_t judging;
    uint32_t proposal; /* not 0 */
    uint32_t len;
    struct wd_state state;
    char text[WD_TEXT_BYTES]; /* ends in NUL */
};

static inline bool
wd_board_has(const _Atomic uint64_t *set, int node_id)
{
    return (atomic_load(&set[node_id / 64]) >> (node_id % 64) & 1) != 0;
}

#endif
