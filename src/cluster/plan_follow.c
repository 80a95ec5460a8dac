/*
 * What is done to nodes beside operations: making them follow the primary, and failback_command.
 *
 * A node that must follow is told to, waited for until it streams, and told again, at first soon,
 * then rarely. The old primary of a switchover comes last: what it writes while it is stopped must
 * not reach a standby that is still with it, which could follow nobody else then. Invariant: nobody
 * is told to follow while it is open who the primary is.
 */
#include "cluster/plan_internal.h"

enum { FOLLOW_ATTEMPTS = 3, RARELY = 10 };

/* Somebody who has not been turned away from the old primary yet. */
static bool
is_still_to_leave(const struct plan *plan, int node_id)
{
    const struct plan_node *node = &plan->nodes[node_id];

    return node->must_follow && !node->demote && node->attempts == 0 &&
           node->job != PLAN_JOB_STREAM && plan_is_known(plan, node_id) &&
           node->answer.in_recovery && node->state != NODE_MAINTENANCE &&
           node->state != NODE_UNUSED;
}

bool
plan_follow_is_due(const struct plan *plan, int node_id)
{
    const struct plan_node *node = &plan->nodes[node_id];
    const struct plan_node *primary;

    if (plan_is_running(plan) || plan->primary_id < 0 || node_id == plan->primary_id)
        return false;
    primary = &plan->nodes[plan->primary_id];
    if (primary->state != NODE_UP && primary->state != NODE_SUSPECT)
        return false;
    for (int other_id = 0; node->demote && other_id < (int)plan->node_count; other_id++)
        if (other_id != node_id && is_still_to_leave(plan, other_id))
            return false;
    return node->must_follow && node->job == PLAN_JOB_NONE && plan_is_known(plan, node_id) &&
           node->state != NODE_UNUSED && node->state != NODE_MAINTENANCE &&
           node->answer.in_recovery != node->demote && node->answer.timeline <= plan->timeline;
}

static void
failed(struct plan_turn *turn, int node_id, const char *why)
{
    struct plan_node *node = &turn->plan->nodes[node_id];
    const struct plan_config *config = turn->config;
    bool out;

    node->job = PLAN_JOB_NONE;
    if (node->verdict != HEALTH_ALIVE) /* it has died, which is no fault of the command */
        return;
    out = ++node->attempts >= FOLLOW_ATTEMPTS;
    node->next_follow_ns = turn->event->now_ns + config->retry_wait_ns * (out ? RARELY : 1);
    if (node->attempts <= FOLLOW_ATTEMPTS)
        plan_tell(turn, NODE_EVENT_STEP_FAILED, node_id,
                  "node %d does not follow node %d (attempt %u): %s", node_id,
                  turn->plan->primary_id, node->attempts, why);
    if (!out)
        return;
    if (node->demote)
        node->demote = false; /* judged anew: a second primary */
    else
        plan_set_state(turn, node_id, NODE_QUARANTINED, "it does not follow node %d: %s",
                       turn->plan->primary_id, why);
}

static void
ask_to_follow(struct plan_turn *turn, int node_id)
{
    struct plan_node *node = &turn->plan->nodes[node_id];
    struct plan_step *step;

    node->job = PLAN_JOB_FOLLOW;
    node->job_deadline_ns = turn->event->now_ns + turn->config->follow_wait_ns;
    if (node->demote)
        node->job_deadline_ns =
            turn->event->now_ns + MAX(turn->config->follow_wait_ns, turn->config->rejoin_wait_ns);
    step = plan_do_until(turn, PLAN_DO_FOLLOW, node_id, node->job_deadline_ns);
    step->other_id = turn->plan->primary_id;
    step->was_primary = node->demote;
    node->job_serial = step->serial;
    turn->changed = true;
}

static void
follow_one(struct plan_turn *turn, int node_id)
{
    struct plan *plan = turn->plan;
    struct plan_node *node = &plan->nodes[node_id];
    bool working = node->job == PLAN_JOB_FOLLOW || node->job == PLAN_JOB_STREAM;
    bool alive = plan_is_known(plan, node_id);

    if (alive && node->must_follow && node->answer.in_recovery && node->stream == PLAN_STREAM_YES &&
        node->answer.timeline == plan->timeline) {
        plan_tell(turn, NODE_EVENT_FOLLOWING, node_id, "node %d streams from node %d", node_id,
                  plan->primary_id);
        node->must_follow = false;
        node->attempts = 0;
        if (working)
            node->job = PLAN_JOB_NONE;
        turn->changed = true;
    } else if (working && turn->event->now_ns >= node->job_deadline_ns) {
        failed(turn, node_id,
               node->job == PLAN_JOB_FOLLOW ? "it took too long" : "it does not begin to stream");
    } else if (turn->event->now_ns >= node->next_follow_ns && plan_follow_is_due(plan, node_id)) {
        ask_to_follow(turn, node_id);
    }
}

void
plan_follow(struct plan_turn *turn)
{
    struct plan *plan = turn->plan;

    if (plan_is_running(plan) || plan->primary_id < 0)
        return;
    for (int node_id = 0; node_id < (int)plan->node_count; node_id++)
        if (plan_is_node(plan, turn->config, node_id) && node_id != plan->primary_id)
            follow_one(turn, node_id);
}

void
plan_follow_ended(struct plan_turn *turn, int node_id)
{
    struct plan_node *node = &turn->plan->nodes[node_id];
    const struct plan_event *event = turn->event;

    if (node->failback_due && event->serial == node->failback_serial) {
        node->failback_due = false;
        if (event->result != PLAN_DONE)
            plan_tell(turn, NODE_EVENT_STEP_FAILED, node_id,
                      "failback_command of node %d failed%s%s", node_id,
                      event->text != NULL ? ": " : "", event->text != NULL ? event->text : "");
        return;
    }
    if (node->job != PLAN_JOB_FOLLOW || event->serial != node->job_serial)
        return;
    if (event->result != PLAN_DONE) {
        failed(turn, node_id, event->text != NULL ? event->text : "the command failed");
        return;
    }
    node->job = PLAN_JOB_STREAM;
    node->job_deadline_ns = event->now_ns + turn->config->follow_wait_ns;
    if (node->demote) /* what it is now, its next answer says; it may be away for a moment */
        node->asked_ns = 0;
}

void
plan_failback(struct plan_turn *turn, int node_id)
{
    struct plan_node *node = &turn->plan->nodes[node_id];

    if (!turn->config->failback_command)
        return;
    node->failback_due = true;
    node->failback_serial = plan_do_until(turn, PLAN_DO_FAILBACK_COMMAND, node_id,
                                          turn->event->now_ns + turn->config->command_wait_ns)
                                ->serial;
}
