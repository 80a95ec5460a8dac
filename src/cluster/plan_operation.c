/*
 * Failover and switchover: the second half of the decision table in cluster/plan.h.
 *
 * Each phase has its steps (ask_for), which may be asked for again at any time, a deadline, and a
 * function that looks whether it has come to an end. Invariants: PROMOTING is entered only when
 * the fence of this epoch stands; the epoch moves in plan_begin only; an operation ends by
 * plan_commit or plan_unfence.
 */
#include "cluster/plan_internal.h"

/* A command that is ended by force at its deadline tells its end a while later. Until then it may
 * still promote somebody: nothing else is begun. */
static const int64_t end_wait_ns = 5 * NS_PER_S;

/* A step whose end the phase waits for. */
static struct plan_step *
begin_step(struct plan_turn *turn, enum plan_step_kind kind, int node_id, int64_t wait_ns)
{
    struct plan_operation *op = &turn->plan->operation;
    int64_t deadline_ns = turn->event->now_ns + wait_ns;
    struct plan_step *step = plan_do_until(turn, kind, node_id, deadline_ns);

    op->deadline_ns = deadline_ns + end_wait_ns;
    op->serial = step->serial;
    return step;
}

static void
ask_to_promote(struct plan_turn *turn)
{
    struct plan_operation *op = &turn->plan->operation;
    const struct plan_config *config = turn->config;

    begin_step(turn, config->failover_command ? PLAN_DO_FAILOVER_COMMAND : PLAN_DO_PROMOTE_SQL,
               op->candidate_id,
               config->failover_command ? config->command_wait_ns : config->promote_wait_ns)
        ->other_id = op->old_primary_id;
}

/* The steps of the phase, from its beginning. */
static void
ask_for(struct plan_turn *turn)
{
    struct plan_operation *op = &turn->plan->operation;
    const struct plan_config *config = turn->config;
    int64_t now_ns = turn->event->now_ns;

    op->pausing = op->ready = op->waited = false;
    op->serial = 0;
    switch ((enum plan_phase)op->phase) {
    case PLAN_FENCING:
        op->deadline_ns = now_ns + config->fence_wait_ns;
        plan_do(turn, PLAN_DO_FENCE, op->old_primary_id);
        plan_do(turn, PLAN_DO_WAIT_FENCED, op->old_primary_id);
        break;
    case PLAN_FENCE_COMMAND:
        begin_step(turn, PLAN_DO_FENCE_COMMAND, op->old_primary_id, config->command_wait_ns);
        break;
    case PLAN_CHOOSING:
        op->asked_since_ns = now_ns;
        op->deadline_ns = now_ns + config->candidate_wait_ns;
        plan_do(turn, PLAN_DO_ASK_POSITIONS, -1);
        break;
    case PLAN_CATCHING_UP:
        op->asked_since_ns = now_ns;
        op->target_lsn = 0;
        op->deadline_ns = op->give_up_ns;
        plan_do(turn, PLAN_DO_ASK_POSITIONS, -1);
        break;
    case PLAN_PROMOTING:
        ask_to_promote(turn);
        break;
    case PLAN_VERIFYING:
        op->asked_since_ns = now_ns;
        op->deadline_ns = now_ns + config->verify_wait_ns;
        plan_do(turn, PLAN_DO_VERIFY_PRIMARY, op->candidate_id);
        break;
    case PLAN_PHASE_NONE:
        break;
    }
}

static void
enter(struct plan_turn *turn, enum plan_phase phase)
{
    turn->plan->operation.phase = (uint8_t)phase;
    turn->changed = true;
    ask_for(turn);
}

/* What comes before the choice. */
static void
enter_choice(struct plan_turn *turn)
{
    const struct plan_operation *op = &turn->plan->operation;

    if (!op->fenced) {
        enter(turn, PLAN_FENCING);
        return;
    }
    enter(turn, turn->config->fence_command && op->old_primary_id >= 0 ? PLAN_FENCE_COMMAND
                                                                       : PLAN_CHOOSING);
}

void
plan_begin(struct plan_turn *turn, const struct plan_order *order, const char *why)
{
    struct plan *plan = turn->plan;
    bool switchover = order->kind == PLAN_SWITCHOVER;
    int old_id = plan->primary_id;

    plan->operation = (struct plan_operation){
        .kind = (uint8_t)order->kind,
        .forced = order->forced,
        .detach_old = order->detach_old,
        .old_primary_id = old_id,
        .candidate_id = switchover ? order->wanted_id : -1,
        .wanted_id = order->wanted_id,
        .request = order->request,
        .give_up_ns = turn->event->now_ns + turn->config->switchover_wait_ns,
    };
    plan->epoch++;
    plan->primary_id = -1;
    for (uint32_t node_id = 0; node_id < plan->node_count; node_id++) {
        struct plan_node *node = &plan->nodes[node_id];

        node->tried = node->told = false;
        if (node->job != PLAN_JOB_RECOVERY)
            node->job = PLAN_JOB_NONE;
    }
    plan_tell(turn, switchover ? NODE_EVENT_SWITCHOVER_BEGUN : NODE_EVENT_FAILOVER_BEGUN, old_id,
              "%s begins, epoch %llu: %s", switchover ? "a switchover" : "a failover",
              (unsigned long long)plan->epoch, why);
    if (old_id >= 0 && plan->nodes[old_id].state != NODE_ROGUE)
        plan_set_state(turn, old_id, NODE_FENCED, "%s", why);
    enter(turn, PLAN_FENCING);
}

bool
plan_old_is_well(const struct plan *plan)
{
    const struct plan_operation *op = &plan->operation;
    const struct plan_node *old;

    if (op->old_primary_id < 0 || !plan_is_known(plan, op->old_primary_id))
        return false;
    old = &plan->nodes[op->old_primary_id];
    return !old->answer.in_recovery && old->state == NODE_FENCED &&
           (old->answer.timeline == 0 || old->answer.timeline == plan->timeline) &&
           (op->phase != PLAN_CHOOSING || old->asked_ns >= op->asked_since_ns);
}

bool
plan_waits_for_fence(const struct plan *plan, const struct plan_config *config)
{
    const struct plan_operation *op = &plan->operation;
    const struct plan_node *candidate;

    if (!config->shared || op->standing || op->kind == PLAN_IDLE)
        return false;
    if (op->phase < PLAN_PROMOTING)
        return op->phase == PLAN_CHOOSING || op->phase == PLAN_CATCHING_UP;
    candidate = &plan->nodes[op->candidate_id];
    return plan_is_known(plan, op->candidate_id) && !candidate->answer.in_recovery &&
           (candidate->answer.timeline > plan->timeline || op->forced);
}

static void
end_operation(struct plan_turn *turn, int primary_id)
{
    struct plan *plan = turn->plan;

    for (int node_id = 0; node_id < (int)plan->node_count; node_id++) {
        struct plan_node *node = &plan->nodes[node_id];

        node->given_up = (node->given_up || node->told) && node_id != primary_id;
        if (node->told)
            node->stream = PLAN_STREAM_UNKNOWN; /* what was seen before says nothing now */
        node->tried = node->told = false;
    }
    plan->primary_id = primary_id;
    plan->operation =
        (struct plan_operation){.old_primary_id = -1, .candidate_id = -1, .wanted_id = -1};
    turn->changed = true;
}

static void
answer_command(struct plan_turn *turn, uint32_t request, bool done, const char *words)
{
    if (request == 0)
        return;
    plan_tell(turn, done ? NODE_EVENT_COMMAND_DONE : NODE_EVENT_COMMAND_REFUSED, -1, "%s", words);
    turn->steps->list[turn->steps->count - 1].request = request;
}

/* What was wished cannot be; the operation goes on without the wish. */
static void
forget_wish(struct plan_turn *turn, const char *why)
{
    struct plan_operation *op = &turn->plan->operation;

    answer_command(turn, op->request, false, why);
    op->request = 0;
    op->wanted_id = -1;
    op->forced = false;
}

/* No better than what is known of it. */
static enum node_state
state_by_verdict(enum health_verdict verdict)
{
    switch (verdict) {
    case HEALTH_ALIVE:
        return NODE_UP;
    case HEALTH_RECOVERING:
        return NODE_RECOVERING;
    case HEALTH_UNKNOWN:
        return NODE_UNKNOWN;
    default:
        return NODE_SUSPECT;
    }
}

void
plan_unfence(struct plan_turn *turn, enum node_event event, const char *why)
{
    struct plan *plan = turn->plan;
    int old_id = plan->operation.old_primary_id;
    uint32_t request = plan->operation.request;

    plan_tell(turn, event, old_id, "node %d remains the primary: %s", old_id, why);
    end_operation(turn, old_id);
    for (int node_id = 0; turn->config->shared && node_id < (int)plan->node_count; node_id++) {
        plan->nodes[node_id].must_follow = node_id != old_id;
        plan->nodes[node_id].stream = PLAN_STREAM_UNKNOWN;
    }
    plan_set_state(turn, old_id, state_by_verdict(plan->nodes[old_id].verdict),
                   "it remains the primary");
    answer_command(turn, request, false, why);
}

void
plan_commit(struct plan_turn *turn, int node_id)
{
    struct plan *plan = turn->plan;
    struct plan_operation op = plan->operation;
    struct plan_node *primary = &plan->nodes[node_id];

    end_operation(turn, node_id);
    plan->system_identifier = primary->answer.system_identifier;
    plan->timeline = primary->answer.timeline;
    plan->search_since_ns = 0;
    plan->search_told = plan->in_doubt = false;
    for (int other_id = 0; other_id < (int)plan->node_count; other_id++) {
        struct plan_node *other = &plan->nodes[other_id];

        other->stream = PLAN_STREAM_UNKNOWN;
        other->proven = other_id == node_id;
        other->must_follow = op.kind != PLAN_IDLE && other_id != node_id;
        other->attempts = 0;
        other->next_follow_ns = 0;
        if (other->job == PLAN_JOB_FOLLOW || other->job == PLAN_JOB_STREAM)
            other->job = PLAN_JOB_NONE; /* that was about another primary */
    }
    primary->attach = primary->demote = primary->given_up = false;
    plan_set_state(turn, node_id, NODE_UP, "it is the primary, on timeline %u", plan->timeline);
    plan_tell(turn, op.kind == PLAN_IDLE ? NODE_EVENT_PRIMARY_FOUND : NODE_EVENT_PROMOTED, node_id,
              "node %d is the primary, on timeline %u, epoch %llu", node_id, plan->timeline,
              (unsigned long long)plan->epoch);
    if (op.old_primary_id >= 0 && op.old_primary_id != node_id)
        plan->nodes[op.old_primary_id].given_up = true;
    if (op.detach_old && op.old_primary_id >= 0)
        plan_set_state(turn, op.old_primary_id, NODE_MAINTENANCE,
                       "an administrator has detached it");
    else if (op.kind == PLAN_SWITCHOVER && op.old_primary_id >= 0)
        plan->nodes[op.old_primary_id].demote = plan->nodes[op.old_primary_id].attach = true;
    answer_command(turn, op.request, true, "the new primary is published");
}

/* ---- the phases ------------------------------------------------------------------------------ */

static void
become_failover(struct plan_turn *turn, const char *why)
{
    struct plan_operation *op = &turn->plan->operation;

    plan_tell(turn, NODE_EVENT_FAILOVER_BEGUN, op->old_primary_id,
              "the switchover goes on as a failover: %s", why);
    forget_wish(turn, "the old primary is lost, and a failover goes on");
    op->kind = PLAN_FAILOVER;
    op->candidate_id = -1;
    if (turn->config->shared)
        op->attempt = 0; /* fence_command was not run */
    enter_choice(turn);
}

/* An epoch has one candidate. */
static void
begin_epoch(struct plan_turn *turn)
{
    if (!turn->config->shared)
        return;
    turn->plan->epoch++;
    turn->plan->operation.fenced = turn->plan->operation.standing = false;
}

static void
give_candidate_up(struct plan_turn *turn, const char *why)
{
    struct plan *plan = turn->plan;
    struct plan_operation *op = &plan->operation;

    plan->nodes[op->candidate_id].tried = true;
    plan_tell(turn, NODE_EVENT_STEP_FAILED, op->candidate_id,
              "node %d was not promoted (attempt %u): %s", op->candidate_id, op->attempt, why);
    op->candidate_id = -1;
    begin_epoch(turn);
    if (op->kind == PLAN_FAILOVER) {
        forget_wish(turn, "its promotion failed");
        if (plan->timeline == 0)
            end_operation(turn, -1);
        else
            enter(turn, op->fenced ? PLAN_CHOOSING : PLAN_FENCING);
    } else if (plan_old_is_well(plan))
        plan_unfence(turn, NODE_EVENT_SWITCHOVER_GIVEN_UP, "the promotion failed");
    else
        become_failover(turn, "the old primary is not well, either");
}

/* When fence_command has stopped a dead primary, nobody who is missing is waited for. It is run
 * again when the fence stands. */
static void
help_fence(struct plan_turn *turn)
{
    const struct plan_operation *op = &turn->plan->operation;

    if (!turn->config->shared || !turn->config->fence_command || op->kind != PLAN_FAILOVER ||
        op->old_primary_id < 0 || turn->plan->nodes[op->old_primary_id].verdict != HEALTH_DEAD)
        return;
    plan_do(turn, PLAN_DO_FENCE_COMMAND, op->old_primary_id)->deadline_ns =
        turn->event->now_ns + turn->config->command_wait_ns;
}

static void
fence(struct plan_turn *turn)
{
    struct plan_operation *op = &turn->plan->operation;

    if (op->fenced) {
        if (op->kind == PLAN_SWITCHOVER)
            enter(turn, PLAN_CATCHING_UP);
        else if (op->attempt > 0) /* somebody was given up */
            enter(turn, PLAN_CHOOSING);
        else
            enter_choice(turn);
    } else if (turn->event->now_ns >= op->deadline_ns) {
        op->deadline_ns = turn->event->now_ns + turn->config->fence_wait_ns;
        plan_do(turn, PLAN_DO_END_UNFENCED, op->old_primary_id);
        help_fence(turn);
    }
}

static void
run_fence_command(struct plan_turn *turn)
{
    struct plan_operation *op = &turn->plan->operation;

    if (turn->event->now_ns < op->deadline_ns)
        return;
    if (op->pausing) {
        ask_for(turn);
        return;
    }
    plan_tell(turn, NODE_EVENT_STEP_FAILED, op->old_primary_id,
              "fence_command has not ended in time; without it nothing is promoted");
    op->serial = 0;
    op->pausing = true;
    op->deadline_ns = turn->event->now_ns + turn->config->retry_wait_ns;
}

static void
promote(struct plan_turn *turn, int node_id)
{
    struct plan_operation *op = &turn->plan->operation;

    if (!op->fenced || plan_waits_for_fence(turn->plan, turn->config) ||
        plan_is_barred(turn->config, node_id))
        return;
    op->candidate_id = node_id;
    turn->plan->nodes[node_id].told = true;
    op->attempt++;
    op->doubtful = false;
    plan_tell(turn, NODE_EVENT_CANDIDATE, node_id, "node %d is to be promoted (attempt %u)",
              node_id, op->attempt);
    enter(turn, PLAN_PROMOTING);
}

/* Nobody may be promoted. Begins anew, also with those that failed. */
static void
despair(struct plan_turn *turn, bool doubt, int barred_id)
{
    struct plan *plan = turn->plan;
    struct plan_operation *op = &plan->operation;

    if (!op->told && doubt)
        plan_tell(turn, NODE_EVENT_PRIMARY_IN_DOUBT, -1,
                  "several nodes have been promoted by somebody, and timelines do not decide; stop "
                  "all but one, or choose one with pcp_promote_node");
    else if (!op->told && barred_id >= 0)
        plan_tell(
            turn, NODE_EVENT_NO_CANDIDATE, barred_id,
            "node %d is to be promoted, and a pgpool that is missing may count on it; waiting",
            barred_id);
    else if (!op->told)
        plan_tell(turn, NODE_EVENT_NO_CANDIDATE, -1,
                  "no node can be promoted: none answers as a standby on timeline %u; waiting",
                  plan->timeline);
    for (uint32_t node_id = 0; node_id < plan->node_count; node_id++)
        plan->nodes[node_id].tried = false;
    ask_for(turn);
    op->told = true;
    op->deadline_ns = turn->event->now_ns + turn->config->retry_wait_ns;
}

/* Nobody is to learn of a loss from what is missing. */
static void
tell_of_loss(struct plan_turn *turn, const struct plan_choice *choice)
{
    const struct plan *plan = turn->plan;
    uint64_t received_lsn = plan->nodes[choice->node_id].answer.received_lsn;

    if (choice->loses)
        plan_tell(turn, NODE_EVENT_LOSS_POSSIBLE, choice->node_id,
                  "no synchronous standby answers: node %d may not have all that was acknowledged",
                  choice->node_id);
    for (int node_id = 0; node_id < (int)plan->node_count; node_id++) {
        const struct plan_node *node = &plan->nodes[node_id];

        if (node->tried && node_id != choice->node_id && node->answer.received_lsn > received_lsn)
            plan_tell(turn, NODE_EVENT_LOSS_POSSIBLE, choice->node_id,
                      "node %d has received more than node %d, and could not be promoted", node_id,
                      choice->node_id);
    }
}

/* The one that an administrator wants: -1 none, or not yet. True when that was acted on. */
static bool
choose_wanted(struct plan_turn *turn)
{
    struct plan *plan = turn->plan;
    const struct plan_operation *op = &plan->operation;
    const struct plan_node *node;

    if (op->wanted_id < 0 || !op->forced || !plan_is_known(plan, op->wanted_id))
        return false;
    node = &plan->nodes[op->wanted_id];
    if (node->asked_ns < op->asked_since_ns ||
        (node->answer.in_recovery && plan_is_barred(turn->config, op->wanted_id)))
        return false;
    if (node->answer.in_recovery)
        promote(turn, op->wanted_id);
    else
        plan_commit(turn, op->wanted_id);
    return true;
}

static void
choose(struct plan_turn *turn)
{
    struct plan *plan = turn->plan;
    struct plan_operation *op = &plan->operation;
    struct plan_choice choice;
    bool doubt;
    int adopted = plan_adoptable(plan, &doubt);

    if (plan_waits_for_fence(plan, turn->config))
        return;
    if (choose_wanted(turn))
        return;
    if (adopted >= 0 && !op->forced) {
        plan_commit(turn, adopted);
        return;
    }
    choice = plan_elect(plan, turn->config);
    if (choice.node_id >= 0 && !op->ready)
        op->deadline_ns = turn->event->now_ns + turn->config->candidate_wait_ns;
    op->ready = choice.node_id >= 0;
    if (turn->event->now_ns >= op->deadline_ns) {
        if (op->forced) {
            forget_wish(turn, "it does not answer as it would have to");
            if (op->old_primary_id < 0) { /* nothing was lost that calls for another one */
                end_operation(turn, -1);
                return;
            }
            ask_for(turn);
            return;
        }
        if (!op->ready || doubt) {
            despair(turn, doubt, choice.barred_id);
            return;
        }
        op->waited = true;
    }
    if (!op->ready || op->forced || doubt || (choice.wait && !op->waited))
        return;
    tell_of_loss(turn, &choice);
    promote(turn, choice.node_id);
}

/* Where the last record ends. When that is the end of a page, the insert position is behind the
 * header of the next one, which nobody receives before there is another record (PostgreSQL's
 * manual, chapter 30.6: pages of 8 kB, segments of at least 1 MB). */
static uint64_t
last_record(const struct health_answer *primary)
{
    enum { PAGE = 8192, HEADER = 24, SEGMENT = 1024 * 1024, SEGMENT_HEADER = 40 };
    uint64_t flushed = primary->flushed_lsn;
    uint64_t unflushed = primary->received_lsn - flushed;

    if ((flushed % PAGE == 0 && unflushed == HEADER) ||
        (flushed % SEGMENT == 0 && unflushed == SEGMENT_HEADER))
        return flushed;
    return primary->received_lsn;
}

static void
catch_up(struct plan_turn *turn)
{
    struct plan *plan = turn->plan;
    struct plan_operation *op = &plan->operation;
    const struct plan_node *old = &plan->nodes[op->old_primary_id];
    const struct plan_node *candidate = &plan->nodes[op->candidate_id];
    bool asked = plan_is_known(plan, op->old_primary_id) && old->asked_ns >= op->asked_since_ns;

    if (old->verdict == HEALTH_DEAD || (asked && old->answer.in_recovery)) {
        become_failover(turn, "the old primary has died");
        return;
    }
    if (asked && op->target_lsn == 0)
        op->target_lsn = last_record(&old->answer);
    else if (asked && old->answer.flushed_lsn != 0 &&
             old->asked_ns >= op->asked_since_ns + turn->config->flush_wait_ns)
        op->target_lsn = MIN(op->target_lsn, old->answer.flushed_lsn);
    switch (plan_standing_of(plan, turn->config, op->candidate_id)) {
    case PLAN_CANDIDATE_NO:
        plan_unfence(turn, NODE_EVENT_SWITCHOVER_GIVEN_UP, "the new one cannot be promoted");
        break;
    case PLAN_CANDIDATE_SILENT:
        break;
    case PLAN_CANDIDATE_READY:
        if (op->target_lsn != 0 && candidate->answer.received_lsn >= op->target_lsn)
            promote(turn, op->candidate_id);
        break;
    }
}

static void
verify(struct plan_turn *turn)
{
    struct plan *plan = turn->plan;
    struct plan_operation *op = &plan->operation;
    const struct plan_node *candidate = &plan->nodes[op->candidate_id];
    bool known = plan_is_known(plan, op->candidate_id);

    if (known && !candidate->answer.in_recovery &&
        (candidate->answer.timeline > plan->timeline || op->forced)) {
        if (!plan_waits_for_fence(plan, turn->config))
            plan_commit(turn, op->candidate_id);
    } else if (candidate->verdict == HEALTH_DEAD)
        give_candidate_up(turn, "it has died");
    else if (op->phase == PLAN_VERIFYING && op->doubtful && known &&
             candidate->asked_ns >= op->asked_since_ns && candidate->answer.in_recovery)
        give_candidate_up(turn, "it is still a standby");
    else if (turn->event->now_ns >= op->deadline_ns && op->phase == PLAN_VERIFYING)
        give_candidate_up(turn, "it does not say in time that it is a primary");
    else if (turn->event->now_ns >= op->deadline_ns) {
        op->doubtful = true;
        enter(turn, PLAN_VERIFYING);
    }
}

static void
step_ended(struct plan_turn *turn)
{
    struct plan_operation *op = &turn->plan->operation;
    const struct plan_event *event = turn->event;
    bool done = event->result == PLAN_DONE;

    op->serial = 0;
    if (!done)
        plan_tell(turn, NODE_EVENT_STEP_FAILED, event->node_id, "%s of node %d %s%s%s",
                  op->phase == PLAN_PROMOTING ? "the promotion" : "fence_command", event->node_id,
                  event->result == PLAN_TIMED_OUT ? "did not end in time" : "failed",
                  event->text != NULL ? ": " : "", event->text != NULL ? event->text : "");
    if (op->phase == PLAN_PROMOTING) {
        op->doubtful = !done;
        enter(turn, PLAN_VERIFYING);
    } else if (done) {
        enter(turn, PLAN_CHOOSING);
    } else {
        op->pausing = true;
        op->deadline_ns = event->now_ns + turn->config->retry_wait_ns;
    }
}

void
plan_operate(struct plan_turn *turn)
{
    struct plan *plan = turn->plan;
    struct plan_operation *op = &plan->operation;
    const struct plan_event *event = turn->event;
    bool may_end = op->phase < PLAN_PROMOTING && (op->phase != PLAN_FENCE_COMMAND || op->pausing);

    if (!plan_is_running(plan))
        return;
    if (event->kind == PLAN_STEP_ENDED && op->serial != 0 && event->serial == op->serial) {
        step_ended(turn);
        return;
    }
    if (op->kind == PLAN_FAILOVER && !op->forced && may_end && plan_old_is_well(plan)) {
        plan_unfence(turn, NODE_EVENT_FAILOVER_CANCELLED,
                     "it answers again, and nobody was promoted");
        return;
    }
    if (op->kind == PLAN_SWITCHOVER && may_end && event->now_ns >= op->give_up_ns) {
        plan_unfence(turn, NODE_EVENT_SWITCHOVER_GIVEN_UP, "it took too long");
        return;
    }
    if (op->phase == PLAN_FENCING)
        fence(turn);
    else if (op->phase == PLAN_FENCE_COMMAND)
        run_fence_command(turn);
    else if (op->phase == PLAN_CHOOSING)
        choose(turn);
    else if (op->phase == PLAN_CATCHING_UP)
        catch_up(turn);
    else
        verify(turn);
}

void
plan_operation_resume(struct plan_turn *turn)
{
    struct plan_operation *op = &turn->plan->operation;

    if (!plan_is_running(turn->plan))
        return;
    if (turn->config->shared) {
        op->standing = false;
        /* that it was run is not known to the watchdog here */
        if (op->phase == PLAN_CHOOSING && op->attempt == 0)
            op->phase = turn->config->fence_command && op->old_primary_id >= 0 ? PLAN_FENCE_COMMAND
                                                                               : PLAN_CHOOSING;
    }
    if (op->give_up_ns == 0)
        op->give_up_ns = turn->event->now_ns + turn->config->switchover_wait_ns;
    plan_tell(turn, NODE_EVENT_RESUMED, op->candidate_id, "%s goes on with: %s",
              plan_operation_name(op->kind), plan_phase_name(op->phase));
    ask_for(turn);
}
