/*
 * The plan where positions decide and nobody is promoted: raw and logical replication. The rules
 * stand in cluster/plan.h under BY POSITION.
 *
 * Called by plan.c in the place of judging, operating and watching as streaming has them, and by
 * plan_command.c. It shares the state with these: an operation is FENCING, FENCE_COMMAND and
 * CHOOSING as there, and PROMOTING is failover_command of raw, which changes nothing for the
 * choice. Invariants: no step promotes, verifies or makes follow; another main node is published
 * only when the fence of its epoch stands; in logical replication the main node follows from the
 * configuration alone.
 */
#include "cluster/plan_internal.h"

/* A command that is ended by force at its deadline tells its end a while later. */
static const int64_t end_wait_ns = 5 * NS_PER_S;

static bool
is_logical(const struct plan_turn *turn)
{
    return turn->config->mode == CLUSTER_MODE_LOGICAL;
}

static bool
is_alive(const struct plan *plan, int node_id)
{
    return plan->nodes[node_id].verdict == HEALTH_ALIVE;
}

static bool
is_up(const struct plan *plan, int node_id)
{
    return is_alive(plan, node_id) && plan->nodes[node_id].state == NODE_UP;
}

/* ---- who is to be the main node ---------------------------------------------------------------
 */

/* By the configuration: the one that always is it, else the lowest number. */
static int
configured_main(const struct plan_turn *turn)
{
    int lowest = -1;

    for (int node_id = (int)turn->plan->node_count - 1; node_id >= 0; node_id--) {
        if (!plan_is_node(turn->plan, turn->config, node_id))
            continue;
        if (turn->config->nodes[node_id].always_primary)
            return node_id;
        lowest = node_id;
    }
    return lowest;
}

/* The lowest number that is up, but for one; -1: none. */
static int
lowest_up(const struct plan *plan, int but_id)
{
    for (int node_id = 0; node_id < (int)plan->node_count; node_id++) {
        if (node_id != but_id && is_up(plan, node_id))
            return node_id;
    }
    return -1;
}

/* ---- a node's state ---------------------------------------------------------------------------
 */

static bool
was_fine(const struct plan_node *node)
{
    return node->state == NODE_UP || node->state == NODE_SUSPECT ||
           node->state == NODE_RECOVERING || node->state == NODE_UNKNOWN;
}

/* May it come back without being attached? Who was the main node of raw, or took no part meanwhile,
 * lacks what was written to its successor. A subscriber catches up by itself. */
static bool
comes_back(const struct plan_turn *turn, int node_id)
{
    const struct plan_node *node = &turn->plan->nodes[node_id];

    return was_fine(node) || node->attach || node_id == turn->plan->primary_id ||
           node->state == NODE_QUARANTINED || (is_logical(turn) && turn->config->auto_failback);
}

static void
judge_alive(struct plan_turn *turn, int node_id)
{
    struct plan_node *node = &turn->plan->nodes[node_id];
    bool was_away = !was_fine(node);

    if (node_id == turn->plan->operation.old_primary_id ||
        (is_logical(turn) && node_id == turn->plan->operation.candidate_id) ||
        !comes_back(turn, node_id))
        return;
    if (is_logical(turn) && node->asked_ns != 0 && node->answer.in_recovery) {
        plan_set_state(turn, node_id, NODE_QUARANTINED,
                       "it is a standby, and logical replication needs servers that can be "
                       "written to");
        return;
    }
    if (was_away && node_id != turn->plan->primary_id)
        plan_failback(turn, node_id);
    node->attach = false;
    plan_set_state(turn, node_id, NODE_UP, "it answers");
}

static void
judge(struct plan_turn *turn, int node_id)
{
    struct plan_node *node = &turn->plan->nodes[node_id];

    node->job = PLAN_JOB_NONE;
    node->must_follow = node->demote = node->given_up = node->told = node->tried = false;
    if (node->state == NODE_UNUSED || node->state == NODE_MAINTENANCE)
        return;
    if (node->state == NODE_ROGUE || node->state == NODE_REJOINING ||
        (node->state == NODE_QUARANTINED && !is_logical(turn)))
        plan_set_state(turn, node_id, NODE_DOWN, "another clustering mode has left it so");
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
        if (node_id != turn->plan->primary_id && node->state != NODE_FENCED)
            plan_set_state(turn, node_id, NODE_DOWN, "it does not answer");
        break;
    case HEALTH_UNKNOWN:
        break;
    }
}

/* ---- its change -------------------------------------------------------------------------------
 */

static void
end_operation(struct plan_turn *turn)
{
    turn->plan->operation =
        (struct plan_operation){.old_primary_id = -1, .candidate_id = -1, .wanted_id = -1};
    turn->changed = true;
}

static void
answer_command(struct plan_turn *turn, uint32_t request)
{
    if (request == 0)
        return;
    plan_tell(turn, NODE_EVENT_COMMAND_DONE, -1, "the new main node is published");
    turn->steps->list[turn->steps->count - 1].request = request;
}

/* Nodes in front of it are no spare ones any more: they would take its place by their number alone,
 * without what is written from now on. */
static void
pass_over(struct plan_turn *turn, int main_id)
{
    struct plan *plan = turn->plan;

    for (int node_id = 0; !is_logical(turn) && node_id < main_id; node_id++) {
        if (was_fine(&plan->nodes[node_id]))
            plan_set_state(turn, node_id, NODE_DOWN, "node %d was made the main node without it",
                           main_id);
    }
}

static void
commit(struct plan_turn *turn, int node_id)
{
    struct plan *plan = turn->plan;
    struct plan_operation op = plan->operation;
    int old_id = op.old_primary_id;

    end_operation(turn);
    plan->primary_id = node_id;
    plan->search_since_ns = 0;
    plan->search_told = false;
    if (op.kind == PLAN_IDLE)
        plan->epoch++;
    if (old_id >= 0 && old_id != node_id && op.detach_old)
        plan_set_state(turn, old_id, NODE_MAINTENANCE, "an administrator has detached it");
    else if (old_id >= 0 && old_id != node_id && op.kind == PLAN_FAILOVER && !is_logical(turn))
        plan_set_state(turn, old_id, NODE_DOWN, "node %d is the main node in its place", node_id);
    else if (old_id >= 0)
        plan_set_state(turn, old_id, is_alive(plan, old_id) ? NODE_UP : NODE_UNKNOWN,
                       "node %d is the main node", node_id);
    pass_over(turn, node_id);
    plan_tell(turn, op.kind == PLAN_IDLE ? NODE_EVENT_PRIMARY_FOUND : NODE_EVENT_PROMOTED, node_id,
              "node %d is the main node, epoch %llu", node_id, (unsigned long long)plan->epoch);
    answer_command(turn, op.request);
}

static void
begin_fencing(struct plan_turn *turn)
{
    struct plan_operation *op = &turn->plan->operation;

    op->phase = PLAN_FENCING;
    op->fenced = false;
    op->give_up_ns = INT64_MAX;
    op->deadline_ns = turn->event->now_ns + turn->config->fence_wait_ns;
    turn->changed = true;
    plan_do(turn, PLAN_DO_FENCE, op->old_primary_id);
    plan_do(turn, PLAN_DO_WAIT_FENCED, op->old_primary_id);
}

/* order->wanted_id: who is to come, by what is known now. */
static void
begin(struct plan_turn *turn, const struct plan_order *order, const char *why)
{
    struct plan *plan = turn->plan;
    bool lost = order->kind == PLAN_FAILOVER;
    int old_id = plan->primary_id;

    plan->operation = (struct plan_operation){.kind = (uint8_t)order->kind,
                                              .detach_old = order->detach_old,
                                              .old_primary_id = old_id,
                                              .candidate_id = lost ? -1 : order->wanted_id,
                                              .wanted_id = -1,
                                              .request = order->request};
    plan->epoch++;
    plan->primary_id = -1;
    plan_tell(turn, lost ? NODE_EVENT_FAILOVER_BEGUN : NODE_EVENT_SWITCHOVER_BEGUN, old_id,
              "%s begins, epoch %llu: %s", lost ? "a failover" : "a switchover",
              (unsigned long long)plan->epoch, why);
    plan_set_state(turn, old_id, NODE_FENCED, "%s", why);
    /* what was made to read from a subscriber is not for writing */
    if (is_logical(turn))
        plan_set_state(turn, order->wanted_id, NODE_FENCED, "it is to be the main node");
    begin_fencing(turn);
}

static void
begin_command(struct plan_turn *turn, enum plan_step_kind kind, int node_id)
{
    struct plan_operation *op = &turn->plan->operation;
    int64_t deadline_ns = turn->event->now_ns + turn->config->command_wait_ns;
    struct plan_step *step = plan_do_until(turn, kind, node_id, deadline_ns);

    step->other_id = kind == PLAN_DO_FAILOVER_COMMAND ? op->old_primary_id : -1;
    op->serial = step->serial;
    op->pausing = false;
    op->deadline_ns = deadline_ns + end_wait_ns;
    turn->changed = true;
}

/* The old one is taken again only when there is no other, and nobody was told of another. */
static int
choice(const struct plan_turn *turn)
{
    const struct plan *plan = turn->plan;
    const struct plan_operation *op = &plan->operation;
    int node_id;

    if (is_logical(turn))
        return configured_main(turn);
    node_id = lowest_up(plan, op->old_primary_id);
    if (node_id < 0 && op->old_primary_id >= 0 && !op->detach_old &&
        is_alive(plan, op->old_primary_id))
        node_id = op->old_primary_id;
    return node_id;
}

static void
choose(struct plan_turn *turn)
{
    struct plan_operation *op = &turn->plan->operation;
    int node_id = choice(turn);

    if (op->kind == PLAN_SWITCHOVER && node_id < 0)
        op->kind = PLAN_FAILOVER;
    if (op->kind == PLAN_FAILOVER && op->phase != PLAN_CHOOSING) {
        op->phase = PLAN_CHOOSING;
        turn->changed = true;
    }
    op->deadline_ns = INT64_MAX; /* facts come by themselves */
    if (node_id < 0) {
        if (!op->told)
            plan_tell(turn, NODE_EVENT_NO_CANDIDATE, -1, "no node is up; waiting for one");
        op->told = true;
        return;
    }
    if (op->kind == PLAN_SWITCHOVER || is_logical(turn) || !turn->config->failover_command ||
        node_id == op->old_primary_id) {
        commit(turn, node_id);
        return;
    }
    op->candidate_id = node_id;
    op->phase = PLAN_PROMOTING;
    begin_command(turn, PLAN_DO_FAILOVER_COMMAND, node_id);
}

static void
fenced(struct plan_turn *turn)
{
    struct plan_operation *op = &turn->plan->operation;

    if (op->fenced && turn->config->fence_command && op->kind == PLAN_FAILOVER &&
        op->old_primary_id >= 0) {
        op->phase = PLAN_FENCE_COMMAND;
        begin_command(turn, PLAN_DO_FENCE_COMMAND, op->old_primary_id);
    } else if (op->fenced) {
        choose(turn);
    } else if (turn->event->now_ns >= op->deadline_ns) {
        op->deadline_ns = turn->event->now_ns + turn->config->fence_wait_ns;
        plan_do(turn, PLAN_DO_END_UNFENCED, op->old_primary_id);
    }
}

static void
tell_failed(struct plan_turn *turn, const char *what, const char *text)
{
    plan_tell(turn, NODE_EVENT_STEP_FAILED, turn->plan->operation.old_primary_id, "%s %s%s%s", what,
              turn->event->result == PLAN_FAILED ? "failed" : "did not end in time",
              text != NULL ? ": " : "", text != NULL ? text : "");
}

/* fence_command must succeed, and is repeated. failover_command only tells: whatever it says, the
 * choice stands, unless the chosen one has gone meanwhile. */
static void
command_ended(struct plan_turn *turn)
{
    struct plan_operation *op = &turn->plan->operation;
    bool failed = turn->event->kind != PLAN_STEP_ENDED || turn->event->result != PLAN_DONE;
    const char *text = turn->event->kind == PLAN_STEP_ENDED ? turn->event->text : NULL;

    op->serial = 0;
    if (failed)
        tell_failed(turn, op->phase == PLAN_FENCE_COMMAND ? "fence_command" : "failover_command",
                    text);
    if (op->phase == PLAN_FENCE_COMMAND && failed) {
        op->pausing = true;
        op->deadline_ns = turn->event->now_ns + turn->config->retry_wait_ns;
    } else if (op->phase == PLAN_PROMOTING && is_up(turn->plan, op->candidate_id)) {
        commit(turn, op->candidate_id);
    } else {
        op->candidate_id = -1;
        choose(turn);
    }
}

static void
operate(struct plan_turn *turn)
{
    struct plan_operation *op = &turn->plan->operation;
    const struct plan_event *event = turn->event;

    if (op->phase == PLAN_FENCING) {
        fenced(turn);
    } else if (op->phase == PLAN_CHOOSING) {
        choose(turn);
    } else if (event->kind == PLAN_STEP_ENDED && op->serial != 0 && event->serial == op->serial) {
        command_ended(turn);
    } else if (event->now_ns >= op->deadline_ns && op->pausing) {
        begin_command(turn, PLAN_DO_FENCE_COMMAND, op->old_primary_id);
    } else if (event->now_ns >= op->deadline_ns) {
        command_ended(turn);
    }
}

/* ---- watching ---------------------------------------------------------------------------------
 */

static void
refuse_failover(struct plan_turn *turn, const char *why)
{
    struct plan *plan = turn->plan;

    if (plan->nodes[plan->primary_id].state == NODE_DOWN)
        return;
    plan_set_state(turn, plan->primary_id, NODE_DOWN, "it does not answer");
    plan_tell(turn, NODE_EVENT_FAILOVER_REFUSED, plan->primary_id,
              "node %d is the main node and does not answer; %s", plan->primary_id, why);
}

static void
watch_logical(struct plan_turn *turn)
{
    struct plan *plan = turn->plan;
    struct plan_order order = {
        .kind = PLAN_SWITCHOVER,
        .wanted_id = configured_main(turn),
        .detach_old = plan->nodes[plan->primary_id].state == NODE_MAINTENANCE,
    };

    if (order.wanted_id >= 0 && order.wanted_id != plan->primary_id)
        begin(turn, &order, "the configuration names another main node");
    else if (plan->nodes[plan->primary_id].verdict == HEALTH_DEAD &&
             plan->nodes[plan->primary_id].state != NODE_MAINTENANCE)
        refuse_failover(turn, "a subscriber is never made the main node by itself");
}

static void
watch_raw(struct plan_turn *turn)
{
    struct plan *plan = turn->plan;
    int main_id = plan->primary_id;
    struct plan_order order = {.kind = PLAN_FAILOVER, .wanted_id = lowest_up(plan, main_id)};

    if (plan->nodes[main_id].verdict == HEALTH_DEAD) {
        if (!turn->config->nodes[main_id].allow_failover)
            refuse_failover(turn, "its backend_flag allows no failover");
        else if (order.wanted_id >= 0)
            begin(turn, &order, "it does not answer");
        else
            refuse_failover(turn, "no other node is up");
    } else if (order.wanted_id >= 0 && order.wanted_id < main_id) {
        order.kind = PLAN_SWITCHOVER;
        begin(turn, &order, "a node with a lower number has been attached");
    }
}

static bool
all_heard(const struct plan *plan)
{
    for (uint32_t node_id = 0; node_id < plan->node_count; node_id++) {
        const struct plan_node *node = &plan->nodes[node_id];

        if (was_fine(node) && (node->verdict == HEALTH_UNKNOWN || node->verdict == HEALTH_SUSPECT))
            return false;
    }
    return true;
}

/* Without a main node, at start. */
static void
search(struct plan_turn *turn)
{
    struct plan *plan = turn->plan;
    int node_id = is_logical(turn) ? configured_main(turn) : lowest_up(plan, -1);
    int64_t age_ns;

    if (plan->search_since_ns == 0) {
        plan->search_since_ns = MAX(turn->event->now_ns, 1);
        plan->search_waited = plan->search_told = false;
        plan_do(turn, PLAN_DO_SEARCH_PRIMARY, -1);
    }
    age_ns = turn->event->now_ns - plan->search_since_ns;
    plan->search_waited |= age_ns >= turn->config->candidate_wait_ns;
    if (node_id >= 0 && (is_logical(turn) || plan->search_waited || all_heard(plan))) {
        commit(turn, node_id);
        return;
    }
    if (age_ns >= turn->config->search_wait_ns && !plan->search_told) {
        plan->search_told = true;
        plan_tell(turn, NODE_EVENT_PRIMARY_MISSING, -1, "no node is up; still looking");
    }
}

void
plan_settle_by_position(struct plan_turn *turn)
{
    struct plan *plan = turn->plan;
    int32_t before;
    uint8_t phase;

    plan->timeline = 0;
    plan->system_identifier = 0;
    do {
        before = plan->primary_id;
        phase = plan->operation.phase;
        for (int node_id = 0; node_id < (int)plan->node_count; node_id++)
            judge(turn, node_id);
        if (plan_is_running(plan))
            operate(turn);
        else if (plan->primary_id < 0)
            search(turn);
        else if (is_logical(turn))
            watch_logical(turn);
        else
            watch_raw(turn);
    } while (before != plan->primary_id || (phase != plan->operation.phase && phase == 0));
}

void
plan_resume_by_position(struct plan_turn *turn)
{
    struct plan_operation *op = &turn->plan->operation;

    if (!plan_is_running(turn->plan))
        return;
    op->serial = 0;
    op->told = op->forced = false;
    op->candidate_id = op->kind == PLAN_SWITCHOVER ? op->candidate_id : -1;
    op->wanted_id = -1;
    if (op->old_primary_id >= 0 || op->kind == PLAN_FAILOVER) {
        plan_tell(turn, NODE_EVENT_RESUMED, op->old_primary_id, "%s goes on with: fencing",
                  plan_operation_name(op->kind));
        begin_fencing(turn);
    } else {
        end_operation(turn);
    }
}

/* ---- commands ---------------------------------------------------------------------------------
 */

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
    node->attach = true;
    if (node->state == NODE_MAINTENANCE)
        plan_set_state(turn, node_id, NODE_DOWN, "an administrator attaches it");
    turn->changed = true;
    done(turn, "it is used as soon as it answers");
}

static void
detach(struct plan_turn *turn, int node_id)
{
    struct plan *plan = turn->plan;
    struct plan_order order = {.kind = is_alive(plan, node_id) ? PLAN_SWITCHOVER : PLAN_FAILOVER,
                               .wanted_id = lowest_up(plan, node_id),
                               .detach_old = true,
                               .request = turn->event->request};

    if (plan->nodes[node_id].state == NODE_MAINTENANCE) {
        done(turn, "it is detached already");
    } else if (plan_is_running(plan) && (node_id == plan->operation.old_primary_id ||
                                         node_id == plan->operation.candidate_id)) {
        refuse(turn, "it takes part in the failover or switchover that is running");
    } else if (node_id != plan->primary_id || is_logical(turn)) {
        plan->nodes[node_id].attach = false;
        plan_set_state(turn, node_id, NODE_MAINTENANCE, "an administrator has detached it");
        done(turn, node_id == plan->primary_id
                       ? "it is detached; nothing is written until it is attached, or another node "
                         "is ALWAYS_PRIMARY"
                       : "it is detached");
    } else if (order.wanted_id < 0) {
        refuse(turn, "it is the main node, and no other node is up");
    } else {
        begin(turn, &order, "an administrator detaches the main node");
    }
}

void
plan_command_by_position(struct plan_turn *turn)
{
    const struct plan_event *event = turn->event;

    if (event->kind == PLAN_RECOVERY_ENDED)
        return;
    if (event->kind != PLAN_ATTACH && event->kind != PLAN_DETACH) {
        refuse(turn, is_logical(turn)
                         ? "in logical replication no node is promoted or recovered: "
                           "backend_flag says which one is the main node"
                         : "in raw mode no node is promoted or recovered: attach and detach nodes");
        return;
    }
    if (!plan_is_node(turn->plan, turn->config, event->node_id))
        refuse(turn, "there is no such node");
    else if (event->kind == PLAN_ATTACH)
        attach(turn, event->node_id);
    else
        detach(turn, event->node_id);
}
