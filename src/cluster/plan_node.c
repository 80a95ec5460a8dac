/*
 * What facts make of a node: the first half of the decision table in cluster/plan.h.
 *
 * Judging is done for every node in every turn and changes nothing when nothing is new. Invariant:
 * nobody becomes the primary here.
 */
#include "cluster/plan_internal.h"

#include "base/str.h"

#include <inttypes.h>

void
plan_note_health(struct plan_turn *turn, int node_id, const struct health_fact *fact)
{
    struct plan_node *node = &turn->plan->nodes[node_id];
    uint32_t timeline = node->answer.timeline;

    node->verdict = fact->verdict;
    node->answered = fact->answered;
    if (fact->verdict == HEALTH_DEAD || fact->verdict == HEALTH_RECOVERING)
        node->asked_ns = 0; /* it may be another one when it is back */
    if (fact->answered) {
        node->answer = fact->answer;
        node->asked_ns = fact->began_ns;
        if (node->answer.timeline == 0)
            node->answer.timeline = timeline;
    }
    if (fact->misconfigured && !node->alarm)
        plan_tell(turn, NODE_EVENT_ALARM, node_id,
                  "node %d cannot be asked, which says nothing of its health: %s", node_id,
                  fact->reason);
    if (!fact->misconfigured && node->alarm)
        plan_tell(turn, NODE_EVENT_ALARM_OVER, node_id, "node %d can be asked again", node_id);
    node->alarm = fact->misconfigured;
}

void
plan_note_lag(struct plan_turn *turn, const struct plan_lag *lag)
{
    struct plan *plan = turn->plan;

    if (plan->primary_id < 0 || lag->primary_id != plan->primary_id)
        return;
    plan->synchronous = lag->synchronous;
    for (uint32_t node_id = 0; node_id < plan->node_count; node_id++) {
        struct plan_node *node = &plan->nodes[node_id];

        if (lag->stream[node_id] == PLAN_STREAM_NO && node->stream != PLAN_STREAM_NO)
            node->apart_since_ns = turn->event->now_ns;
        node->stream = lag->stream[node_id];
        node->synchronous = lag->sync[node_id];
    }
}

bool
plan_is_known(const struct plan *plan, int node_id)
{
    const struct plan_node *node = &plan->nodes[node_id];

    return node->verdict == HEALTH_ALIVE && node->asked_ns != 0 &&
           (plan->system_identifier == 0 ||
            node->answer.system_identifier == plan->system_identifier);
}

/* ---- primaries that somebody else has made --------------------------------------------------- */

/* Has the committed primary stopped being one, as far as we know? */
static bool
primary_is_gone(const struct plan *plan)
{
    const struct plan_node *primary;

    if (plan_is_running(plan))
        return !plan_old_is_well(plan);
    if (plan->primary_id < 0)
        return false;
    primary = &plan->nodes[plan->primary_id];
    return primary->verdict == HEALTH_DEAD || primary->state == NODE_ROGUE ||
           (plan_is_known(plan, plan->primary_id) && primary->answer.in_recovery);
}

static bool
is_later_primary(const struct plan *plan, int node_id)
{
    const struct plan_node *node = &plan->nodes[node_id];

    if (node_id == plan->primary_id || node->state == NODE_UNUSED ||
        !plan_is_known(plan, node_id) || node->answer.in_recovery || node->demote ||
        node->job == PLAN_JOB_RECOVERY || node->answer.timeline <= plan->timeline)
        return false;
    if (node->state == NODE_ROGUE || node->state == NODE_FENCED || node->state == NODE_MAINTENANCE)
        return false;
    return node->told || !node->given_up;
}

int
plan_adoptable(const struct plan *plan, bool *doubt_r)
{
    int best = -1;

    *doubt_r = false;
    if (plan->timeline == 0 || !primary_is_gone(plan))
        return -1;
    for (int node_id = 0; node_id < (int)plan->node_count; node_id++) {
        const struct plan_node *node = &plan->nodes[node_id];
        const struct plan_node *other = best < 0 ? NULL : &plan->nodes[best];

        if (!is_later_primary(plan, node_id))
            continue;
        if (other == NULL || node->answer.timeline > other->answer.timeline) {
            best = node_id;
            *doubt_r = false;
        } else if (node->answer.timeline == other->answer.timeline) {
            /* told by us both, in this epoch: nobody was let at either, and more is better */
            if (!node->told || !other->told)
                *doubt_r = true;
            else if (node->answer.received_lsn > other->answer.received_lsn)
                best = node_id;
        }
    }
    return *doubt_r ? -1 : best;
}

/* ---- judging --------------------------------------------------------------------------------- */

static bool
was_fine(const struct plan_node *node)
{
    return node->state == NODE_UP || node->state == NODE_SUSPECT ||
           node->state == NODE_RECOVERING || node->state == NODE_UNKNOWN;
}

static void
set_rogue(struct plan_turn *turn, int node_id)
{
    struct plan *plan = turn->plan;
    struct plan_node *node = &plan->nodes[node_id];

    node->given_up = true;
    if (plan->system_identifier != 0 && node->answer.system_identifier != plan->system_identifier)
        plan_set_state(turn, node_id, NODE_ROGUE,
                       "it says that it is a primary, of another system (%" PRIu64 ")",
                       node->answer.system_identifier);
    else if (plan->primary_id >= 0 && plan->primary_id != node_id)
        plan_set_state(turn, node_id, NODE_ROGUE,
                       "it says that it is the primary, on timeline %u, but node %d is, on %u",
                       node->answer.timeline, plan->primary_id, plan->timeline);
    else
        plan_set_state(turn, node_id, NODE_ROGUE,
                       "it says that it is the primary, on timeline %u, but the last one was %u",
                       node->answer.timeline, plan->timeline);
}

/* The committed primary says that it is one. */
static void
judge_primary(struct plan_turn *turn, int node_id)
{
    struct plan *plan = turn->plan;
    const struct plan_node *node = &plan->nodes[node_id];

    if (node->answer.timeline != 0 && node->answer.timeline < plan->timeline) {
        set_rogue(turn, node_id);
        return;
    }
    if (node->answer.timeline > plan->timeline) {
        plan_tell(turn, NODE_EVENT_PROMOTED, node_id,
                  "node %d has gone from timeline %u to %u, and nobody else is the primary",
                  node_id, plan->timeline, node->answer.timeline);
        plan->timeline = node->answer.timeline;
        for (uint32_t other_id = 0; other_id < plan->node_count; other_id++)
            plan->nodes[other_id].proven = (int)other_id == node_id;
        turn->changed = true;
    }
    plan_set_state(turn, node_id, NODE_UP, "it answers as the primary");
}

/* Another one says so. While an operation runs, those who take part in it are the operation's. */
static void
judge_claim(struct plan_turn *turn, int node_id)
{
    struct plan *plan = turn->plan;
    struct plan_node *node = &plan->nodes[node_id];
    const struct plan_operation *op = &plan->operation;
    const struct plan_node *primary = plan->primary_id < 0 ? NULL : &plan->nodes[plan->primary_id];

    if (node->demote || node->state == NODE_ROGUE)
        return;
    if (plan_is_running(plan)) {
        if (node_id == op->old_primary_id || node_id == op->candidate_id || node->told ||
            (op->forced && node_id == op->wanted_id))
            return;
    } else if (primary == NULL) {
        return; /* the search decides */
    }
    if (!is_later_primary(plan, node_id)) {
        set_rogue(turn, node_id);
        return;
    }
    /* promoted by somebody: instead of the primary, or beside it? */
    if (primary != NULL && plan_is_known(plan, plan->primary_id) && !primary->answer.in_recovery &&
        primary->asked_ns > node->asked_ns)
        set_rogue(turn, node_id);
    else
        plan_set_state(turn, node_id, NODE_QUARANTINED, "somebody has promoted it, to timeline %u",
                       node->answer.timeline);
}

int64_t
plan_comeback_ns(const struct plan *plan, const struct plan_config *config, int node_id)
{
    const struct plan_node *node = &plan->nodes[node_id];

    if (node->state != NODE_REJOINING || node->job == PLAN_JOB_RECOVERY || plan->primary_id < 0 ||
        !plan_is_known(plan, node_id) || !node->answer.in_recovery ||
        node->answer.timeline < plan->timeline || node->stream != PLAN_STREAM_YES || node->attach ||
        !config->auto_failback || node->failback_ns == 0)
        return INT64_MAX;
    return node->failback_ns + config->auto_failback_interval_ns;
}

/* It is well, and has to come back by and by. */
static void
judge_comeback(struct plan_turn *turn, int node_id)
{
    const struct plan_config *config = turn->config;
    struct plan_node *node = &turn->plan->nodes[node_id];
    bool streams =
        node->stream == PLAN_STREAM_YES || (node->attach && node->stream == PLAN_STREAM_UNKNOWN);

    if (!node->attach && !config->auto_failback)
        return;
    if (turn->plan->primary_id < 0 || !streams ||
        (!node->attach && node->failback_ns != 0 &&
         turn->event->now_ns < node->failback_ns + config->auto_failback_interval_ns)) {
        if (node->state != NODE_QUARANTINED)
            plan_set_state(turn, node_id, NODE_REJOINING, "it answers as a standby again");
        return;
    }
    if (!node->attach)
        node->failback_ns = turn->event->now_ns;
    node->attach = false;
    plan_set_state(turn, node_id, NODE_UP, "it streams from node %d", turn->plan->primary_id);
    plan_failback(turn, node_id);
}

static void
judge_standby(struct plan_turn *turn, int node_id)
{
    struct plan *plan = turn->plan;
    struct plan_node *node = &plan->nodes[node_id];
    bool behind = node->answer.timeline != 0 && node->answer.timeline < plan->timeline;

    node->demote = false;
    if (!behind && node->stream == PLAN_STREAM_YES && !plan_is_running(plan))
        node->given_up = false;
    if (plan_is_running(plan) &&
        (node_id == plan->operation.old_primary_id || plan->operation.phase >= PLAN_PROMOTING))
        return;
    if (plan->timeline != 0 && node->answer.timeline > plan->timeline) {
        plan_set_state(turn, node_id, NODE_QUARANTINED,
                       "it follows timeline %u, which is not the committed %u",
                       node->answer.timeline, plan->timeline);
        return;
    }
    if (behind && plan->primary_id >= 0 && !node->must_follow) {
        node->must_follow = true; /* unless it comes after by itself */
        node->next_follow_ns = turn->event->now_ns + turn->config->retry_wait_ns;
    }
    if (!behind && node->stream == PLAN_STREAM_YES)
        node->proven = true;
    if (!behind && !node->must_follow && node->state == NODE_UP && plan->primary_id >= 0 &&
        node->stream == PLAN_STREAM_NO &&
        turn->event->now_ns - node->apart_since_ns >= turn->config->follow_wait_ns) {
        node->must_follow = true;
        node->next_follow_ns = turn->event->now_ns;
    }
    if (was_fine(node))
        plan_set_state(turn, node_id, NODE_UP, "it answers as a standby");
    else if (!behind)
        judge_comeback(turn, node_id);
    else if (node->state != NODE_QUARANTINED && (node->attach || turn->config->auto_failback))
        plan_set_state(turn, node_id, NODE_REJOINING, "it answers on timeline %u, behind %u",
                       node->answer.timeline, plan->timeline);
}

static void
judge_alive(struct plan_turn *turn, int node_id)
{
    struct plan *plan = turn->plan;
    struct plan_node *node = &plan->nodes[node_id];
    bool committed = node_id == plan->primary_id;

    if (node->asked_ns == 0) {
        if (node->state == NODE_SUSPECT || node->state == NODE_RECOVERING)
            plan_set_state(turn, node_id, NODE_UP, "it is alive");
        return;
    }
    if (committed && turn->config->nodes[node_id].always_primary) {
        plan_set_state(turn, node_id, NODE_UP, "it answers, and is always the primary");
        return;
    }
    if (!plan_is_known(plan, node_id)) {
        if (!node->answer.in_recovery)
            set_rogue(turn, node_id);
        else if (!committed)
            plan_set_state(turn, node_id, NODE_QUARANTINED,
                           "it is a standby of another system (%" PRIu64 ")",
                           node->answer.system_identifier);
        return;
    }
    if (node->answer.in_recovery) {
        if (!committed)
            judge_standby(turn, node_id);
    } else if (committed) {
        judge_primary(turn, node_id);
    } else {
        judge_claim(turn, node_id);
    }
}

void
plan_judge(struct plan_turn *turn, int node_id)
{
    struct plan_node *node = &turn->plan->nodes[node_id];

    if (node->state == NODE_UNUSED || node->state == NODE_MAINTENANCE ||
        node->job == PLAN_JOB_RECOVERY)
        return;
    switch ((enum health_verdict)node->verdict) {
    case HEALTH_ALIVE:
        judge_alive(turn, node_id);
        break;
    case HEALTH_SUSPECT:
        if (node->state == NODE_UP)
            plan_set_state(turn, node_id, NODE_SUSPECT, "it did not answer a probe");
        break;
    case HEALTH_RECOVERING:
        if (was_fine(node))
            plan_set_state(turn, node_id, NODE_RECOVERING, "it is starting up or shutting down");
        break;
    case HEALTH_DEAD:
        if (node->state != NODE_ROGUE && node->state != NODE_FENCED &&
            node_id != turn->plan->primary_id)
            plan_set_state(turn, node_id, NODE_DOWN, "it does not answer");
        break;
    case HEALTH_UNKNOWN:
        break;
    }
}
