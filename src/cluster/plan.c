/*
 * The failover plan: one event, one turn. The contract and the table stand in cluster/plan.h.
 *
 * Invariants: pure; equal states and events give equal states and steps; epoch and serial never go
 * back; a turn ends when nothing changes any more.
 */
#include "cluster/plan_internal.h"

#include <string.h>

enum { ROUNDS_MAX = 16 };

void
plan_init(struct plan *plan)
{
    memset(plan, 0, sizeof(*plan));
    plan->primary_id = -1;
    plan->operation =
        (struct plan_operation){.old_primary_id = -1, .candidate_id = -1, .wanted_id = -1};
}

void
plan_forget_moments(struct plan *plan)
{
    struct plan_operation *op = &plan->operation;

    plan->search_since_ns = 0;
    plan->search_waited = plan->search_told = plan->in_doubt = false;
    op->deadline_ns = op->give_up_ns = op->asked_since_ns = 0;
    op->serial = 0;
    op->standing = false;
    for (uint32_t node_id = 0; node_id < plan->node_count; node_id++) {
        struct plan_node *node = &plan->nodes[node_id];

        node->verdict = HEALTH_UNKNOWN;
        node->stream = PLAN_STREAM_UNKNOWN;
        node->answered = node->alarm = false;
        node->asked_ns = node->job_deadline_ns = node->next_follow_ns = node->failback_ns = 0;
        memset(&node->answer, 0, sizeof(node->answer));
        if (node->state == NODE_UP || node->state == NODE_SUSPECT || node->state == NODE_RECOVERING)
            node->state = NODE_UNKNOWN;
    }
}

/* ---- the list of nodes ----------------------------------------------------------------------- */

static void
forget_node(struct plan_turn *turn, int node_id)
{
    struct plan *plan = turn->plan;
    struct plan_operation *op = &plan->operation;

    memset(&plan->nodes[node_id], 0, sizeof(plan->nodes[node_id]));
    turn->changed = true;
    if (plan->primary_id == node_id)
        plan->primary_id = -1;
    if (op->old_primary_id == node_id)
        op->old_primary_id = -1;
    if (op->wanted_id == node_id) {
        op->wanted_id = -1;
        op->forced = false;
    }
    if (op->kind == PLAN_IDLE || (op->candidate_id != node_id && op->kind != PLAN_SWITCHOVER))
        return;
    /* who takes part is gone: all is open again, behind the fence */
    if (turn->config->shared) {
        plan->epoch++;
        op->fenced = false;
    }
    op->kind = PLAN_FAILOVER;
    op->candidate_id = -1;
    op->phase = op->fenced ? PLAN_CHOOSING : PLAN_FENCING;
    if (turn->config->mode != CLUSTER_MODE_STREAMING)
        plan_resume_by_position(turn);
    else
        plan_operation_resume(turn);
}

static void
load_nodes(struct plan_turn *turn)
{
    struct plan *plan = turn->plan;
    const struct plan_config *config = turn->config;
    uint32_t count = MIN(config->node_count, CLUSTER_NODES_MAX);

    for (uint32_t node_id = 0; node_id < MAX(count, plan->node_count); node_id++) {
        struct plan_node *node = &plan->nodes[node_id];
        bool configured = node_id < count && config->nodes[node_id].configured;

        if (node->state != NODE_UNUSED && !configured)
            forget_node(turn, (int)node_id);
        if (node->state == NODE_UNUSED && configured) {
            if (node_id >= plan->node_count)
                plan->node_count = node_id + 1;
            plan_set_state(turn, (int)node_id, NODE_UNKNOWN, "it is new");
        }
    }
    plan->node_count = count;
}

static void
resume(struct plan_turn *turn)
{
    struct plan *plan = turn->plan;

    load_nodes(turn);
    plan->search_since_ns = 0;
    turn->changed = true;
    for (int node_id = 0; node_id < (int)plan->node_count; node_id++) {
        struct plan_node *node = &plan->nodes[node_id];

        if (node->job == PLAN_JOB_RECOVERY) {
            node->asked_ns = 0;
            node->stream = PLAN_STREAM_NO;
            plan_set_state(turn, node_id, NODE_DOWN, "its recovery was interrupted");
        }
        node->job = PLAN_JOB_NONE;
        node->next_follow_ns = 0;
        if (node->failback_due) {
            node->failback_due = false;
            plan_failback(turn, node_id);
        }
    }
    if (turn->config->mode != CLUSTER_MODE_STREAMING)
        plan_resume_by_position(turn);
    else
        plan_operation_resume(turn);
}

/* ---- one turn -------------------------------------------------------------------------------- */

static void
take_event(struct plan_turn *turn)
{
    struct plan *plan = turn->plan;
    const struct plan_event *event = turn->event;
    bool is_node = plan_is_node(plan, turn->config, event->node_id);

    switch (event->kind) {
    case PLAN_TICK:
        break;
    case PLAN_RESUMED:
        resume(turn);
        break;
    case PLAN_NODES_LOADED:
        load_nodes(turn);
        break;
    case PLAN_HEALTH:
        if (is_node)
            plan_note_health(turn, event->node_id, event->health);
        break;
    case PLAN_LAG:
        if (turn->config->mode == CLUSTER_MODE_STREAMING)
            plan_note_lag(turn, event->lag);
        break;
    case PLAN_FENCED:
        if (plan_is_running(plan) && event->epoch == plan->epoch)
            plan->operation.fenced = plan->operation.standing = true;
        break;
    case PLAN_STEP_ENDED:
        if (is_node && event->serial != 0)
            plan_follow_ended(turn, event->node_id);
        break;
    default:
        if (turn->config->mode != CLUSTER_MODE_STREAMING)
            plan_command_by_position(turn);
        else
            plan_command(turn);
        break;
    }
}

static void
settle(struct plan_turn *turn)
{
    struct plan *plan = turn->plan;

    if (turn->config->mode != CLUSTER_MODE_STREAMING) {
        plan_settle_by_position(turn);
        return;
    }
    for (int round = 0; round < ROUNDS_MAX; round++) {
        struct plan_operation before = plan->operation;
        int32_t primary_id = plan->primary_id;

        for (int node_id = 0; node_id < (int)plan->node_count; node_id++)
            plan_judge(turn, node_id);
        plan_operate(turn);
        plan_watch_primary(turn);
        if (primary_id == plan->primary_id && before.kind == plan->operation.kind &&
            before.phase == plan->operation.phase && before.forced == plan->operation.forced)
            break;
    }
    plan_follow(turn);
}

/* Children hear first, the file is written next, and only then anything else is begun. */
static void
publish(struct plan_turn *turn, uint32_t first)
{
    static const enum plan_step_kind kinds[] = {PLAN_DO_PUBLISH, PLAN_DO_WRITE_STATUS};
    struct plan_steps *steps = turn->steps;
    uint32_t at = first;

    for (uint32_t n = first; n < steps->count; n++)
        if (steps->list[n].kind == PLAN_DO_FENCE)
            at = n + 1;
    for (uint32_t n = 0; n < ARRAY_LEN(kinds); n++, at++) {
        struct plan_step *step = plan_do(turn, kinds[n], -1);
        struct plan_step copy = *step;

        memmove(&steps->list[at + 1], &steps->list[at],
                (steps->count - 1 - at) * sizeof(steps->list[0]));
        steps->list[at] = copy;
    }
}

void
plan_handle(struct plan *plan, const struct plan_config *config, const struct plan_event *event,
            struct plan_steps *steps)
{
    struct plan_turn turn = {.plan = plan, .config = config, .event = event, .steps = steps};
    uint32_t first = steps->count;

    take_event(&turn);
    settle(&turn);
    if (turn.changed)
        publish(&turn, first);
}

/* ---- what others want to know ---------------------------------------------------------------- */

static int64_t
next_of_node(const struct plan *plan, const struct plan_config *config, int node_id)
{
    const struct plan_node *node = &plan->nodes[node_id];

    if (node->job == PLAN_JOB_FOLLOW || node->job == PLAN_JOB_STREAM)
        return plan_is_running(plan) ? INT64_MAX : node->job_deadline_ns;
    if (plan_follow_is_due(plan, node_id))
        return node->next_follow_ns;
    return plan_comeback_ns(plan, config, node_id);
}

int64_t
plan_next_ns(const struct plan *plan, const struct plan_config *config)
{
    const struct plan_operation *op = &plan->operation;
    int64_t next_ns = INT64_MAX;

    if (plan_is_running(plan)) {
        next_ns = plan_waits_for_fence(plan, config) ? INT64_MAX : op->deadline_ns;
        if (op->kind == PLAN_SWITCHOVER && op->phase < PLAN_PROMOTING)
            next_ns = MIN(next_ns, op->give_up_ns);
    } else if (plan->primary_id < 0 && plan->search_since_ns != 0) {
        if (!plan->search_waited)
            next_ns = plan->search_since_ns + config->candidate_wait_ns;
        else if (!plan->search_told)
            next_ns = plan->search_since_ns + config->search_wait_ns;
    }
    for (int node_id = 0; node_id < (int)plan->node_count; node_id++)
        next_ns = MIN(next_ns, next_of_node(plan, config, node_id));
    return next_ns;
}

bool
plan_may_write(const struct plan *plan, int node_id)
{
    return node_id >= 0 && (uint32_t)node_id < plan->node_count && node_id == plan->primary_id &&
           node_state_info(plan->nodes[node_id].state)->writes;
}

bool
plan_may_read(const struct plan *plan, int node_id)
{
    return node_id >= 0 && (uint32_t)node_id < plan->node_count &&
           node_state_info(plan->nodes[node_id].state)->reads;
}

/* ---- names ----------------------------------------------------------------------------------- */

static const char *const phases[] = {
    [PLAN_PHASE_NONE] = "",
    [PLAN_FENCING] = "fencing",
    [PLAN_FENCE_COMMAND] = "fence_command",
    [PLAN_CHOOSING] = "choosing",
    [PLAN_CATCHING_UP] = "catching_up",
    [PLAN_PROMOTING] = "promoting",
    [PLAN_VERIFYING] = "verifying",
};
static const char *const operations[] = {
    [PLAN_IDLE] = "none",
    [PLAN_FAILOVER] = "failover",
    [PLAN_SWITCHOVER] = "switchover",
};
static const char *const step_names[PLAN_DO_KINDS] = {
    [PLAN_DO_FENCE] = "fence",
    [PLAN_DO_WAIT_FENCED] = "wait fenced",
    [PLAN_DO_END_UNFENCED] = "end unfenced",
    [PLAN_DO_ASK_POSITIONS] = "ask positions",
    [PLAN_DO_FENCE_COMMAND] = "fence_command",
    [PLAN_DO_FAILOVER_COMMAND] = "failover_command",
    [PLAN_DO_PROMOTE_SQL] = "promote",
    [PLAN_DO_VERIFY_PRIMARY] = "verify primary",
    [PLAN_DO_FOLLOW] = "follow",
    [PLAN_DO_PUBLISH] = "publish",
    [PLAN_DO_FAILBACK_COMMAND] = "failback_command",
    [PLAN_DO_WRITE_STATUS] = "write status",
    [PLAN_DO_EVENT] = "event",
    [PLAN_DO_STOP_ROGUE] = "stop rogue",
    [PLAN_DO_QUARANTINE] = "quarantine",
    [PLAN_DO_SEARCH_PRIMARY] = "search primary",
};
static const char *const events[NODE_EVENTS] = {
#define NODE_EVENT(id, name) [NODE_EVENT_##id] = name,
#include "tables/node_events.def"
#undef NODE_EVENT
};

static const char *
name_of(const char *const *names, size_t count, unsigned at)
{
    return at < count ? names[at] : "";
}

static int
find_name(const char *const *names, size_t count, const char *name)
{
    for (size_t at = 0; at < count; at++)
        if (strcmp(names[at], name) == 0)
            return (int)at;
    return -1;
}

const char *
plan_phase_name(enum plan_phase phase)
{
    return name_of(phases, ARRAY_LEN(phases), phase);
}

int
plan_phase_parse(const char *name)
{
    return find_name(phases, ARRAY_LEN(phases), name);
}

const char *
plan_operation_name(enum plan_operation_kind kind)
{
    return name_of(operations, ARRAY_LEN(operations), kind);
}

int
plan_operation_parse(const char *name)
{
    return find_name(operations, ARRAY_LEN(operations), name);
}

const char *
plan_step_name(enum plan_step_kind kind)
{
    return name_of(step_names, ARRAY_LEN(step_names), kind);
}

const char *
node_event_name(enum node_event event)
{
    return name_of(events, ARRAY_LEN(events), event);
}
