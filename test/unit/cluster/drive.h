/*
 * A small stage for tests of the failover plan: one plan, a clock, and facts in short words.
 *
 * Each call is one event; the steps of the last event stand in `stage.steps`, and all steps that an
 * end is told of are remembered until they are ended.
 */
#ifndef TEST_CLUSTER_DRIVE_H
#define TEST_CLUSTER_DRIVE_H

#include "cluster/plan.h"

enum { SYSTEM = 7000 };

struct stage {
    struct plan plan;
    struct plan_config config;
    struct plan_steps steps;
    struct plan_lag lag;
    int64_t now_ns;
    uint32_t serials[PLAN_DO_KINDS][CLUSTER_NODES_MAX]; /* the last of each step and node */
};

extern struct stage *const stage;

/* An empty plan of that many nodes, everything allowed, no command set. Times in ms: candidate_wait
 * 2000, fence 500, command 10000, promote 3000, verify 3000, follow 4000, switchover 5000, retry
 * 1000, search 60000, auto_failback_interval 10000. */
void stage_empty(uint32_t nodes);

/* The same with node 0 as the primary on timeline 1 and standbys that stream, all up. */
int stage_set(void **state);

void stage_event(const struct plan_event *event); /* now_ns is filled in */
void stage_pass(int64_t ms);                      /* the clock moves, and then a tick */
void stage_primary(int node_id, uint32_t timeline, uint64_t lsn);
void stage_unflushed(int node_id, uint32_t timeline, uint64_t inserted, uint64_t flushed);
void stage_standby(int node_id, uint32_t timeline, uint64_t lsn);
void stage_verdict(int node_id, enum health_verdict verdict); /* without an answer */
void stage_foreign(int node_id, bool in_recovery);            /* of another system */
void stage_streams(int node_id, enum plan_stream stream);     /* seen by the present primary */
void stage_sync(bool set, int sync_id);                       /* synchronous_standby_names */
void stage_fenced(void);
void stage_end(enum plan_step_kind kind, int node_id, enum plan_result result);
void stage_command(enum plan_event_kind kind, int node_id);
void stage_resume(void); /* the failover process was killed, and begins again */

/* Of the last event: is the step there, for that node (-1: whichever)? */
const struct plan_step *stage_step(enum plan_step_kind kind, int node_id);
const struct plan_step *stage_told(enum node_event event);

enum node_state stage_state(int node_id);

/* Fence, command and choice are done, and the node was told to promote. */
void stage_failover_to(int node_id);

#endif
