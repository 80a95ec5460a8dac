/*
 * What administrators ask for: attach, detach, promote, switchover, recovery.
 *
 * Each command is answered by COMMAND_DONE or COMMAND_REFUSED with its words: at once, or at the
 * end of the operation that it has begun.
 */
#include "cluster/plan_internal.h"

static void
refuse(struct plan_turn *turn, const char *why)
{
    plan_tell(turn, NODE_EVENT_COMMAND_REFUSED, turn->event->node_id, "%s", why);
}

static void
done(struct plan_turn *turn, const char *words)
{
    plan_tell(turn, NODE_EVENT_COMMAND_DONE, turn->event->node_id, "%s", words);
}

static void
attach(struct plan_turn *turn, int node_id)
{
    struct plan_node *node = &turn->plan->nodes[node_id];

    if (node->state == NODE_UP) {
        done(turn, "it is attached already");
        return;
    }
    if (node->job == PLAN_JOB_RECOVERY) {
        refuse(turn, "it is being recovered");
        return;
    }
    if (node->state == NODE_ROGUE && !node->answer.in_recovery) {
        refuse(turn, "it is a second primary: recover it, or choose it with pcp_promote_node");
        return;
    }
    node->attach = true;
    node->attempts = 0;
    if (node->state == NODE_MAINTENANCE)
        plan_set_state(turn, node_id, turn->plan->primary_id < 0 ? NODE_UNKNOWN : NODE_DOWN,
                       "an administrator attaches it");
    turn->changed = true;
    done(turn, "it is used as soon as it streams from the primary");
}

static void
begin_switchover(struct plan_turn *turn, int node_id, bool detach_old)
{
    struct plan *plan = turn->plan;
    struct plan_order order = {.kind = PLAN_SWITCHOVER,
                               .wanted_id = node_id,
                               .detach_old = detach_old,
                               .request = turn->event->request};

    if (plan_is_running(plan)) {
        refuse(turn, "a failover or switchover is running");
        return;
    }
    if (plan->primary_id < 0 || !plan_is_known(plan, plan->primary_id) ||
        plan->nodes[plan->primary_id].state != NODE_UP) {
        refuse(turn, "there is no primary that is up");
        return;
    }
    if (turn->config->nodes[plan->primary_id].always_primary) {
        refuse(turn, "backend_flag says that the primary always is it");
        return;
    }
    plan->operation.asked_since_ns = 0;
    if (order.wanted_id < 0)
        order.wanted_id = plan_elect_known(plan, turn->config);
    if (order.wanted_id < 0 || order.wanted_id == plan->primary_id ||
        plan_standing_of(plan, turn->config, order.wanted_id) != PLAN_CANDIDATE_READY) {
        refuse(turn, "no other node is a standby that could be promoted");
        return;
    }
    plan_begin(turn, &order,
               detach_old ? "an administrator detaches the primary" : "an administrator wants it");
}

static void
detach(struct plan_turn *turn, int node_id)
{
    struct plan *plan = turn->plan;
    struct plan_node *node = &plan->nodes[node_id];

    if (node->state == NODE_MAINTENANCE) {
        done(turn, "it is detached already");
        return;
    }
    if (node_id == plan->primary_id) {
        begin_switchover(turn, -1, true);
        return;
    }
    if (plan_is_running(plan) &&
        (node_id == plan->operation.old_primary_id || node_id == plan->operation.candidate_id)) {
        refuse(turn, "it takes part in the failover or switchover that is running");
        return;
    }
    if (node->job == PLAN_JOB_RECOVERY) {
        refuse(turn, "it is being recovered");
        return;
    }
    node->attach = node->must_follow = node->demote = false;
    node->job = PLAN_JOB_NONE;
    plan_set_state(turn, node_id, NODE_MAINTENANCE, "an administrator has detached it");
    done(turn, "it is detached");
}

static void
promote(struct plan_turn *turn, int node_id)
{
    struct plan *plan = turn->plan;
    struct plan_operation *op = &plan->operation;
    struct plan_order order = {.kind = PLAN_FAILOVER,
                               .wanted_id = node_id,
                               .forced = true,
                               .request = turn->event->request};

    if (node_id == plan->primary_id) {
        done(turn, "it is the primary already");
        return;
    }
    if (!plan_is_known(plan, node_id) || plan->nodes[node_id].state == NODE_MAINTENANCE ||
        plan->nodes[node_id].job == PLAN_JOB_RECOVERY) {
        refuse(turn, "it does not answer, is detached, or is of another system");
        return;
    }
    if (!plan_is_running(plan)) {
        plan_begin(turn, &order, "an administrator wants another primary");
        return;
    }
    if (op->kind != PLAN_FAILOVER || op->phase >= PLAN_PROMOTING || op->request != 0) {
        refuse(turn, "another node is being promoted");
        return;
    }
    op->wanted_id = node_id;
    op->forced = true;
    op->request = turn->event->request;
    turn->changed = true;
}

static void
begin_recovery(struct plan_turn *turn, int node_id)
{
    struct plan *plan = turn->plan;
    struct plan_node *node = &plan->nodes[node_id];

    if (plan_is_running(plan) || plan->primary_id < 0) {
        refuse(turn, "there is no primary now");
        return;
    }
    if (node_id == plan->primary_id) {
        refuse(turn, "it is the primary");
        return;
    }
    if (node->job == PLAN_JOB_RECOVERY) {
        refuse(turn, "it is being recovered already");
        return;
    }
    node->job = PLAN_JOB_RECOVERY;
    node->demote = node->must_follow = false;
    plan_set_state(turn, node_id, NODE_REJOINING, "it is being recovered");
    plan_do(turn, PLAN_DO_QUARANTINE, node_id);
    turn->changed = true;
    done(turn, "its recovery has begun");
}

static void
end_recovery(struct plan_turn *turn, int node_id)
{
    struct plan_node *node = &turn->plan->nodes[node_id];
    const struct plan_event *event = turn->event;

    if (node->job != PLAN_JOB_RECOVERY)
        return;
    node->job = PLAN_JOB_NONE;
    node->proven = false;
    node->asked_ns = 0; /* it is another one now */
    node->answer.timeline = 0;
    node->stream = PLAN_STREAM_NO;
    node->attempts = 0;
    turn->changed = true;
    if (event->result != PLAN_DONE) {
        plan_set_state(turn, node_id, NODE_DOWN, "its recovery failed%s%s",
                       event->text != NULL ? ": " : "", event->text != NULL ? event->text : "");
        return;
    }
    node->given_up = false;
    /* it was built to follow who was the primary then */
    node->must_follow = node->attach = true;
    node->next_follow_ns = event->now_ns + turn->config->follow_wait_ns;
}

void
plan_command(struct plan_turn *turn)
{
    const struct plan_event *event = turn->event;
    int node_id = event->node_id;

    if (!plan_is_node(turn->plan, turn->config, node_id) &&
        !(event->kind == PLAN_SWITCHOVER_TO && node_id == -1)) {
        if (event->kind != PLAN_RECOVERY_ENDED)
            refuse(turn, "there is no such node");
        return;
    }
    switch (event->kind) {
    case PLAN_ATTACH:
        attach(turn, node_id);
        break;
    case PLAN_DETACH:
        detach(turn, node_id);
        break;
    case PLAN_PROMOTE:
        promote(turn, node_id);
        break;
    case PLAN_SWITCHOVER_TO:
        begin_switchover(turn, node_id, false);
        break;
    case PLAN_RECOVERY_BEGUN:
        begin_recovery(turn, node_id);
        break;
    case PLAN_RECOVERY_ENDED:
        end_recovery(turn, node_id);
        break;
    default:
        break;
    }
}
