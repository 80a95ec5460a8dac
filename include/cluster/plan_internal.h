/*
 * What the files of the plan share (src/cluster/plan*.c); nobody else includes it.
 *
 * One event is one turn: facts are recorded, nodes judged, the operation moved on, the primary
 * watched, jobs begun, until nothing changes any more.
 */
#ifndef CLUSTER_PLAN_INTERNAL_H
#define CLUSTER_PLAN_INTERNAL_H

#include "cluster/plan.h"

struct plan_turn {
    struct plan *plan;
    const struct plan_config *config;
    const struct plan_event *event;
    struct plan_steps *steps;
    bool changed; /* worth publishing and writing down */
};

/* ---- plan_turn.c: steps, events, states ---- */

struct plan_step *plan_do(struct plan_turn *turn, enum plan_step_kind kind, int node_id);
/* As plan_do, for a step whose end is told and that must have ended by the deadline. */
struct plan_step *plan_do_until(struct plan_turn *turn, enum plan_step_kind kind, int node_id,
                                int64_t deadline_ns);
void plan_tell(struct plan_turn *turn, enum node_event event, int node_id, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* Nothing happens when it has that state already. */
void plan_set_state(struct plan_turn *turn, int node_id, enum node_state state, const char *fmt,
                    ...) PRINTF_LIKE(4, 5);
bool plan_is_node(const struct plan *plan, const struct plan_config *config, int node_id);
static inline bool
plan_is_running(const struct plan *plan)
{
    return plan->operation.kind != PLAN_IDLE;
}

/* ---- plan_node.c: what facts make of a node ---- */

void plan_note_health(struct plan_turn *turn, int node_id, const struct health_fact *fact);
void plan_note_lag(struct plan_turn *turn, const struct plan_lag *lag);
void plan_judge(struct plan_turn *turn, int node_id);
/* When a node that streams may come back; INT64_MAX: it does not wait for that. */
int64_t plan_comeback_ns(const struct plan *plan, const struct plan_config *config, int node_id);
/* Is it alive, has it told what it is, and is it of our system? */
bool plan_is_known(const struct plan *plan, int node_id);
/* A node that somebody else has promoted while the primary was gone, or one that we told to and
 * gave up in this operation; -1: none. *doubt_r: there are several, and nothing decides. */
int plan_adoptable(const struct plan *plan, bool *doubt_r);

/* ---- plan_follow.c: making nodes follow, and failback commands ---- */

void plan_follow(struct plan_turn *turn);
bool plan_follow_is_due(const struct plan *plan, int node_id);
void plan_follow_ended(struct plan_turn *turn, int node_id);
void plan_failback(struct plan_turn *turn, int node_id);

/* ---- plan_elect.c: who is to be promoted ---- */

enum plan_standing { PLAN_CANDIDATE_NO, PLAN_CANDIDATE_SILENT, PLAN_CANDIDATE_READY };

struct plan_choice {
    int node_id;   /* -1: none */
    int barred_id; /* a better one may not be promoted yet; -1: none */
    bool wait;     /* a better one may answer yet */
    bool loses;    /* no synchronous one answers */
};

/* Shared with others, and a member that is missing might still write. */
static inline bool
plan_is_barred(const struct plan_config *config, int node_id)
{
    return config->shared && !cluster_set_has(&config->may_promote, node_id);
}

enum plan_standing plan_standing_of(const struct plan *plan, const struct plan_config *config,
                                    int node_id);
struct plan_choice plan_elect(const struct plan *plan, const struct plan_config *config);
/* The best one by what is known already; for a switchover. -1: none. */
int plan_elect_known(const struct plan *plan, const struct plan_config *config);

/* ---- plan_operation.c: failover and switchover ---- */

struct plan_order {
    enum plan_operation_kind kind;
    int wanted_id;
    bool forced;
    bool detach_old;
    uint32_t request;
};

void plan_begin(struct plan_turn *turn, const struct plan_order *order, const char *why);
void plan_operate(struct plan_turn *turn);
void plan_operation_resume(struct plan_turn *turn);
bool plan_old_is_well(const struct plan *plan);
/* Shared with others, and nothing goes on before PLAN_FENCED, whatever time it is. */
bool plan_waits_for_fence(const struct plan *plan, const struct plan_config *config);
/* The end of an operation that has not promoted. */
void plan_unfence(struct plan_turn *turn, enum node_event event, const char *why);
/* The end of one that has; also for a primary that was found. */
void plan_commit(struct plan_turn *turn, int node_id);

/* ---- plan_primary.c: watching and searching it ---- */

void plan_watch_primary(struct plan_turn *turn);

/* ---- plan_position.c: raw and logical replication, instead of all of that ---- */

void plan_settle_by_position(struct plan_turn *turn);
void plan_resume_by_position(struct plan_turn *turn);
void plan_command_by_position(struct plan_turn *turn);

/* ---- plan_command.c ---- */

void plan_command(struct plan_turn *turn);

#endif
