/*
 * plan.h against a simulated cluster: random faults, commands, delays and crashes of the failover
 * process between any two steps, and invariants that are checked after each event.
 *
 * Servers have true histories (branches that fork at a position), so that the simulation knows what
 * the plan can only conclude. Each episode ends with all faults over and a person who does what the
 * events say; then the cluster must be whole within a bounded number of events. PLAN_RANDOM_SEED
 * and PLAN_RANDOM_EPISODES in the environment repeat or prolong it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/num.h"
#include "cluster/plan.h"
#include "cluster/status.h"
#include "field.h"

#include <stdlib.h>
#include <string.h>

enum {
    PENDING_MAX = 64,
    EVENTS = 500,        /* of an episode with faults */
    QUIET_EVENTS = 6000, /* at most, until all is whole */
    SYSTEM = 7000,
};

struct pending {
    struct plan_step step;
    int64_t due_ns;
};

static struct {
    struct plan plan;
    struct plan_config config;
    struct plan_steps steps;
    struct pending pending[PENDING_MAX];
    int pending_count;
    int64_t now_ns;
    uint64_t acked_epoch;     /* by all children */
    uint64_t seen_epoch;      /* the greatest */
    uint64_t began_epoch;     /* of the operation; with others it may have several */
    uint64_t published_epoch; /* with a primary, and which */
    int published_id;
    int committed_branch;
    uint32_t committed_timeline;
    uint64_t switchover_lsn; /* written when the fence stood; 0: no switchover */
    unsigned synchronous; /* a bit for each node that is; 0: synchronous_standby_names is empty */
    bool recovering[NODES_MAX];
    int episode;
    int event;
    bool resuming;
    bool told;                          /* PLAN_RANDOM_TELL: print what is told */
    int told_id[EVENTS + QUIET_EVENTS]; /* with others: the candidate of each epoch */
    long promotions;
    long shared;
    long switchovers;
    long crashes;
    long cancelled;
    long helped;
    int quiet_most;
} sim;

static void
check(bool holds, const char *what)
{
    if (holds)
        return;
    print_error("episode %d, event %d: %s\n", sim.episode, sim.event, what);
    for (int id = 0; id < field->nodes; id++) {
        const struct plan_node *node = &sim.plan.nodes[id];
        const struct server *server = &field->servers[id];

        print_error(
            "node %d %s (%s, stream %d, job %d, follow %d) knows %s timeline %u; is %s%s%s, "
            "branch %d, timeline %u, lsn %lu, upstream %d\n",
            id, node_state_info(node->state)->name, health_verdict_name(node->verdict),
            node->stream, node->job, node->must_follow,
            node->answer.in_recovery ? "standby" : "primary", node->answer.timeline,
            server->running ? "running" : "dead", server->frozen ? ", frozen" : "",
            server->in_recovery ? ", standby" : ", primary", server->branch,
            field->branches[server->branch].timeline, server->lsn, server->upstream);
    }
    print_error("primary %d timeline %u, %s %s, candidate %d\n", sim.plan.primary_id,
                sim.plan.timeline, plan_operation_name(sim.plan.operation.kind),
                plan_phase_name(sim.plan.operation.phase), sim.plan.operation.candidate_id);
    fail();
}

/* ---- servers --------------------------------------------------------------------------------- */

/* Clients write where they may, on connections that were checked at their birth. */
static void
write_something(void)
{
    int id = sim.plan.primary_id;

    if (!plan_may_write(&sim.plan, id) || !is_reachable(id) || field->servers[id].in_recovery ||
        field->branches[field->servers[id].branch].timeline != sim.plan.timeline)
        return;
    check(field->servers[id].branch == sim.committed_branch, "a write to another history");
    field->servers[id].lsn += 1 + dice(10);
}

/* ---- what the plan is told ------------------------------------------------------------------- */

static void handle(struct plan_event event);

static void
probe(int id)
{
    struct server *server = &field->servers[id];
    struct health_fact fact = {.began_ns = sim.now_ns, .reason = "x"};

    if (is_reachable(id)) {
        server->misses = 0;
        fact.verdict = HEALTH_ALIVE;
        if (field->quiet || dice(10) != 0) {
            fact.answered = true;
            fact.answer = (struct health_answer){
                .in_recovery = server->in_recovery,
                .timeline = field->branches[server->branch].timeline,
                .system_identifier = SYSTEM,
                .received_lsn = server->lsn,
                .flushed_lsn = server->in_recovery ? 0 : server->lsn,
            };
        } else if (dice(2) == 0) {
            fact.misconfigured = true;
        } else {
            fact.verdict = HEALTH_RECOVERING;
        }
    } else {
        server->misses++;
        fact.verdict = server->misses > (server->running ? 3 : 1) ? HEALTH_DEAD : HEALTH_SUSPECT;
    }
    handle((struct plan_event){.kind = PLAN_HEALTH, .node_id = id, .health = &fact});
}

static void
measure_lag(void)
{
    struct plan_lag lag = {.primary_id = sim.plan.primary_id, .synchronous = sim.synchronous != 0};

    if (lag.primary_id < 0 || !is_reachable(lag.primary_id))
        return;
    for (int id = 0; id < field->nodes; id++) {
        lag.stream[id] = streams(id, lag.primary_id) ? PLAN_STREAM_YES : PLAN_STREAM_NO;
        lag.sync[id] = (sim.synchronous >> id & 1) != 0;
    }
    handle((struct plan_event){.kind = PLAN_LAG, .lag = &lag});
}

static void
acknowledge(void)
{
    if (sim.acked_epoch == sim.plan.epoch)
        return;
    sim.acked_epoch = sim.plan.epoch;
    if (sim.plan.operation.kind == PLAN_SWITCHOVER)
        sim.switchover_lsn = field->servers[sim.plan.operation.old_primary_id].lsn;
}

/* In which epoch the plan has told it to, as far as the plan can know: once it was seen to stream
 * again, a promotion that comes late cannot be told from one that somebody else has made (0), and
 * one that it was told again is of this epoch. */
static uint64_t
epoch_of_promotion(int id, uint64_t told_epoch)
{
    if (sim.plan.nodes[id].told)
        return sim.plan.epoch;
    return sim.plan.nodes[id].given_up ? told_epoch : 0;
}

static enum plan_result
carry_out(const struct plan_step *step)
{
    struct server *server = &field->servers[step->node_id];
    uint32_t luck = field->quiet ? 99 : dice(100);

    switch (step->kind) {
    case PLAN_DO_FENCE_COMMAND:
        if (luck < 30)
            return PLAN_FAILED;
        server->running = false;
        return PLAN_DONE;
    case PLAN_DO_PROMOTE_SQL:
    case PLAN_DO_FAILOVER_COMMAND:
        if (!is_reachable(step->node_id) || luck < 10)
            return PLAN_FAILED;
        if (luck < 20) {
            server->promotes_late = true;
            server->told_epoch = step->epoch;
            return PLAN_TIMED_OUT;
        }
        promote_server(step->node_id, epoch_of_promotion(step->node_id, step->epoch));
        return luck < 30 ? PLAN_FAILED : PLAN_DONE;
    case PLAN_DO_FOLLOW:
        if (!is_reachable(step->node_id) || luck < 20)
            return PLAN_FAILED;
        server->upstream = step->other_id;
        if (step->was_primary)
            server->in_recovery = true;
        return luck < 25 ? PLAN_TIMED_OUT : PLAN_DONE;
    default:
        return luck < 20 ? PLAN_FAILED : PLAN_DONE;
    }
}

static void
end_pending(int at)
{
    struct plan_step step = sim.pending[at].step;
    enum plan_result result;

    sim.pending[at] = sim.pending[--sim.pending_count];
    if (step.kind == PLAN_DO_WAIT_FENCED) {
        if (step.epoch != sim.plan.epoch)
            return;
        acknowledge();
        handle((struct plan_event){.kind = PLAN_FENCED, .epoch = step.epoch});
        return;
    }
    result = carry_out(&step);
    if (!field->quiet && dice(20) == 0)
        return; /* its end is lost */
    handle((struct plan_event){.kind = PLAN_STEP_ENDED,
                               .node_id = step.node_id,
                               .serial = step.serial,
                               .result = result,
                               .text = "sorry"});
}

/* ---- invariants ------------------------------------------------------------------------------ */

static bool
is_barred(int id)
{
    return sim.config.shared && !cluster_set_has(&sim.config.may_promote, id);
}

/* Others count on that: an epoch has one candidate. */
static void
check_epoch(void)
{
    const struct plan_operation *op = &sim.plan.operation;
    int *told_id = &sim.told_id[sim.plan.epoch];

    if (!sim.config.shared || op->phase < PLAN_PROMOTING)
        return;
    check(*told_id < 0 || *told_id == op->candidate_id, "two candidates of one epoch");
    check(*told_id >= 0 || (op->standing && !is_barred(op->candidate_id)),
          "a candidate that may not be promoted yet");
    sim.shared += *told_id < 0;
    *told_id = op->candidate_id;
}

static void
check_candidate(const struct plan_step *step)
{
    const struct plan *plan = &sim.plan;
    const struct plan_node *chosen = &plan->nodes[step->node_id];

    check(plan->operation.fenced && sim.acked_epoch == plan->epoch, "promotion before the fence");
    check(plan->primary_id < 0, "promotion beside a primary");
    check(!sim.config.fence_command || plan->operation.kind == PLAN_SWITCHOVER ||
              plan->operation.old_primary_id < 0 || !is_reachable(plan->operation.old_primary_id) ||
              plan->operation.attempt > 0,
          "promotion without fence_command");
    sim.promotions++;
    if (plan->operation.forced)
        return;
    check(chosen->answer.timeline == plan->timeline || !chosen->answer.in_recovery,
          "a standby of another timeline is promoted");
    check(!chosen->proven || !field->servers[step->node_id].in_recovery ||
              field->servers[step->node_id].branch == sim.committed_branch,
          "a standby of another history is promoted");
    if (plan->operation.kind == PLAN_SWITCHOVER || sim.resuming) /* chosen before */
        return;
    for (int id = 0; id < field->nodes; id++) {
        const struct plan_node *other = &plan->nodes[id];

        if (other->verdict != HEALTH_ALIVE || !other->answer.in_recovery || other->tried ||
            other->asked_ns == 0 || other->asked_ns < plan->operation.asked_since_ns ||
            other->answer.timeline != plan->timeline || other->state != NODE_UP ||
            (is_barred(id) && !plan->synchronous))
            continue;
        check(!is_barred(id) || other->answer.received_lsn <= chosen->answer.received_lsn,
              "one that is not to be left out has more WAL");
        if (is_barred(id))
            continue;
        check(chosen->proven || !other->proven, "one of proven history answers, too");
        if (chosen->proven != other->proven)
            continue;
        check(chosen->synchronous || !other->synchronous ||
                  other->answer.received_lsn < chosen->answer.received_lsn,
              "a synchronous one has as much");
        check(other->answer.received_lsn <= chosen->answer.received_lsn,
              "another one that answers has more WAL");
    }
}

static bool
claims_to_be_primary(int id)
{
    const struct plan_node *node = &sim.plan.nodes[id];

    return node->verdict == HEALTH_ALIVE && node->asked_ns != 0 && !node->answer.in_recovery;
}

/* Another one was committed. Whom we told to promote, and gave up, is no more to be taken when the
 * operation is over: others have written elsewhere since. */
static void
check_new_primary(bool forced)
{
    int branch = field->servers[sim.plan.primary_id].branch;
    uint64_t epoch = field->branches[branch].epoch;

    check(sim.plan.timeline == field->branches[branch].timeline ||
              !is_reachable(sim.plan.primary_id),
          "a primary of another timeline than committed");
    check(forced || branch == sim.committed_branch || epoch == 0 || epoch == sim.plan.epoch ||
              (sim.config.shared && epoch >= sim.began_epoch),
          "a promotion that was given up is adopted");
    sim.committed_branch = branch;
    sim.committed_timeline = sim.plan.timeline;
}

static void
check_state(bool forced)
{
    const struct plan *plan = &sim.plan;

    check(plan->epoch >= sim.seen_epoch, "the epoch goes back");
    sim.seen_epoch = plan->epoch;
    for (int id = 0; id < field->nodes; id++) {
        bool out = plan->nodes[id].state != NODE_UP && plan->nodes[id].state != NODE_SUSPECT;

        check(!out || (!plan_may_write(plan, id) && !plan_may_read(plan, id)), "traffic to it");
        check(!plan_may_write(plan, id) || id == plan->primary_id, "writes beside the primary");
        check(plan->primary_id < 0 || id == plan->primary_id || !claims_to_be_primary(id) ||
                  !plan_may_read(plan, id),
              "reads from a second primary");
    }
    if (plan->primary_id < 0)
        return;
    check(plan->operation.kind == PLAN_IDLE, "a primary during an operation");
    check(plan->epoch != sim.published_epoch || plan->primary_id == sim.published_id,
          "two primaries in one epoch");
    if (plan->primary_id != sim.published_id || plan->timeline != sim.committed_timeline)
        check_new_primary(forced);
    sim.published_epoch = plan->epoch;
    sim.published_id = plan->primary_id;
}

/* A switchover that ended as one has lost nothing that was written before the fence. */
static void
check_switchover(const struct plan_operation *before)
{
    const struct branch *branch;

    for (uint32_t n = 0; n < sim.steps.count; n++)
        if (sim.steps.list[n].kind == PLAN_DO_EVENT &&
            sim.steps.list[n].event == NODE_EVENT_FAILOVER_BEGUN)
            sim.switchover_lsn = 0; /* it has become a failover */
    if (before->kind != PLAN_SWITCHOVER || sim.plan.operation.kind == PLAN_SWITCHOVER)
        return;
    if (sim.plan.primary_id >= 0 && sim.plan.primary_id != before->old_primary_id &&
        sim.switchover_lsn != 0) {
        branch = &field->branches[field->servers[sim.plan.primary_id].branch];
        check(branch->fork_lsn >= sim.switchover_lsn, "a switchover has lost writes");
        sim.switchovers++;
    }
    sim.switchover_lsn = 0;
}

/* ---- the failover process -------------------------------------------------------------------- */

/* pgpool as a whole was killed: only the file is left, and the clock may be another one. */
static void
restart_from_file(void)
{
    static struct status status;
    struct buf text = BUF_EMPTY;
    struct err err;

    status.plan = sim.plan;
    memset(status.nodes, 0, sizeof(status.nodes));
    status_print(&status, &text);
    check(status_parse(&status, (const char *)text.data, text.len, &err) == 0, "the status file");
    sim.plan = status.plan;
    buf_free(&text);
}

static void
crash(void)
{
    sim.crashes++;
    while (sim.pending_count > 0) { /* what was begun may go on without him */
        struct plan_step step = sim.pending[--sim.pending_count].step;

        if (step.kind != PLAN_DO_WAIT_FENCED && dice(2) == 0)
            carry_out(&step);
    }
    memset(sim.recovering, 0, sizeof(sim.recovering));
    if (dice(4) == 0)
        restart_from_file();
    handle((struct plan_event){.kind = PLAN_RESUMED});
}

static void
take_steps(uint32_t count)
{
    for (uint32_t n = 0; n < count; n++) {
        const struct plan_step *step = &sim.steps.list[n];
        bool waits = step->serial != 0 || step->kind == PLAN_DO_WAIT_FENCED;

        if (step->kind == PLAN_DO_END_UNFENCED)
            acknowledge();
        if (step->kind == PLAN_DO_PROMOTE_SQL || step->kind == PLAN_DO_FAILOVER_COMMAND)
            check_candidate(step);
        if (step->kind == PLAN_DO_EVENT && step->event == NODE_EVENT_FAILOVER_CANCELLED)
            sim.cancelled++;
        if (!waits || sim.pending_count == PENDING_MAX)
            continue;
        sim.pending[sim.pending_count].step = *step;
        sim.pending[sim.pending_count++].due_ns = sim.now_ns + dice(1500) * NS_PER_MS;
    }
}

static void
handle(struct plan_event event)
{
    struct plan_operation before = sim.plan.operation;
    bool crashes = !field->quiet && event.kind != PLAN_RESUMED && dice(100) == 0;

    sim.event++;
    event.now_ns = sim.now_ns;
    event.at_us = sim.now_ns / 1000;
    sim.steps.count = 0;
    if (crashes && dice(2) == 0) { /* before the new state was published */
        crash();
        return;
    }
    sim.resuming = event.kind == PLAN_RESUMED;
    plan_handle(&sim.plan, &sim.config, &event, &sim.steps);
    if (before.kind == PLAN_IDLE && sim.plan.operation.kind != PLAN_IDLE)
        sim.began_epoch = sim.plan.epoch;
    for (uint32_t n = 0; sim.told && n < sim.steps.count; n++)
        if (sim.steps.list[n].kind == PLAN_DO_EVENT)
            print_message("%d: %s\n", sim.event, sim.steps.list[n].text);
    check_state(before.forced || event.kind == PLAN_PROMOTE);
    check_epoch();
    check_switchover(&before);
    if (event.kind == PLAN_TICK)
        check(plan_next_ns(&sim.plan, &sim.config) > sim.now_ns, "a tick changes nothing");
    take_steps(crashes ? dice(sim.steps.count + 1) : sim.steps.count);
    if (crashes)
        crash();
}

/* Who may be promoted as far as pgpools that are missing are concerned. */
static void
change_bars(void)
{
    if (!sim.config.shared || dice(20) != 0)
        return;
    sim.config.may_promote.bits[0] = field->quiet ? UINT64_MAX : dice(16);
    handle((struct plan_event){.kind = PLAN_TICK});
}

static void
go_on(void)
{
    sim.now_ns += (1 + dice(150)) * NS_PER_MS;
    replicate();
    write_something();
    change_bars();
    for (int at = 0; at < sim.pending_count; at++)
        if (sim.pending[at].due_ns <= sim.now_ns) {
            end_pending(at);
            break;
        }
    if (plan_next_ns(&sim.plan, &sim.config) <= sim.now_ns)
        handle((struct plan_event){.kind = PLAN_TICK});
    if (sim.acked_epoch == sim.plan.epoch &&
        (sim.plan.operation.phase == PLAN_FENCING ||
         (sim.config.shared && !sim.plan.operation.standing && dice(3) == 0)))
        handle((struct plan_event){.kind = PLAN_FENCED, .epoch = sim.plan.epoch});
    if (dice(3) == 0)
        measure_lag();
    else
        probe((int)dice((uint32_t)field->nodes));
}

/* ---- faults ---------------------------------------------------------------------------------- */

static void
end_recovery(int id)
{
    int primary_id = sim.plan.primary_id;
    struct server *server = &field->servers[id];
    bool done = primary_id >= 0 && is_reachable(primary_id) &&
                !field->servers[primary_id].in_recovery && (field->quiet || dice(4) != 0);

    sim.recovering[id] = false;
    if (done)
        *server = (struct server){.running = true,
                                  .in_recovery = true,
                                  .upstream = primary_id,
                                  .branch = field->servers[primary_id].branch,
                                  .lsn = field->servers[primary_id].lsn};
    handle((struct plan_event){
        .kind = PLAN_RECOVERY_ENDED, .node_id = id, .result = done ? PLAN_DONE : PLAN_FAILED});
}

static void
begin_recovery(int id)
{
    handle((struct plan_event){.kind = PLAN_RECOVERY_BEGUN, .node_id = id, .request = 1});
    sim.recovering[id] = sim.plan.nodes[id].job == PLAN_JOB_RECOVERY;
}

static void
command_something(int id)
{
    static const enum plan_event_kind kinds[] = {PLAN_ATTACH, PLAN_DETACH, PLAN_PROMOTE,
                                                 PLAN_SWITCHOVER_TO};

    if (dice(5) == 0)
        begin_recovery(id);
    else
        handle((struct plan_event){
            .kind = kinds[dice(ARRAY_LEN(kinds))], .node_id = id, .request = 1});
}

static void
break_something(void)
{
    int id = sim.plan.primary_id >= 0 && dice(4) == 0 ? sim.plan.primary_id
                                                      : (int)dice((uint32_t)field->nodes);
    struct server *server = &field->servers[id];

    switch (dice(13)) {
    case 0:
    case 1:
    case 12:
        server->running = server->promotes_late = false;
        break;
    case 2:
    case 3:
    case 4:
        server->running = true;
        break;
    case 5:
        server->frozen = true;
        break;
    case 6:
    case 7:
        server->frozen = false;
        break;
    case 8:
        server->paused = !server->paused;
        break;
    case 9:
        if (server->promotes_late || dice(8) == 0)
            promote_server(id,
                           server->promotes_late ? epoch_of_promotion(id, server->told_epoch) : 0);
        break;
    case 10:
        if (sim.recovering[id])
            end_recovery(id);
        break;
    default:
        command_something(id);
        break;
    }
}

/* ---- the end of an episode ------------------------------------------------------------------- */

static bool
is_whole(void)
{
    int primary_id = sim.plan.primary_id;

    if (primary_id < 0 || field->servers[primary_id].in_recovery ||
        sim.plan.operation.kind != PLAN_IDLE)
        return false;
    for (int id = 0; id < field->nodes; id++)
        if (sim.plan.nodes[id].state != NODE_UP || sim.plan.nodes[id].must_follow ||
            (id != primary_id && !streams(id, primary_id)))
            return false;
    return true;
}

/* Do the events say that a person has to choose the primary? */
static bool
wants_a_choice(void)
{
    const struct plan *plan = &sim.plan;

    if (plan->primary_id < 0)
        return plan->in_doubt || plan->search_told || plan->operation.told;
    return plan->nodes[plan->primary_id].state == NODE_ROGUE ||
           plan->nodes[plan->primary_id].state == NODE_DOWN;
}

/* A person, who does what the events say, now and then, and nothing else. */
static void
help(void)
{
    int id = (int)dice((uint32_t)field->nodes);
    const struct plan_node *node = &sim.plan.nodes[id];

    field->servers[id].running = true;
    if (sim.recovering[id])
        end_recovery(id);
    else if (node->state == NODE_MAINTENANCE)
        handle((struct plan_event){.kind = PLAN_ATTACH, .node_id = id, .request = 1});
    else if (wants_a_choice())
        handle((struct plan_event){.kind = PLAN_PROMOTE, .node_id = id, .request = 1});
    else if (node->state == NODE_ROGUE || node->state == NODE_QUARANTINED ||
             node->state == NODE_FENCED ||
             ((node->state == NODE_DOWN || node->state == NODE_REJOINING) &&
              !streams(id, sim.plan.primary_id) && dice(4) == 0))
        begin_recovery(id);
    else if (node->state == NODE_DOWN)
        handle((struct plan_event){.kind = PLAN_ATTACH, .node_id = id, .request = 1});
    else
        return;
    sim.helped++;
}

static void
become_whole(void)
{
    int began = sim.event;

    field->quiet = true;
    for (int id = 0; id < field->nodes; id++) {
        field->servers[id].running = true;
        field->servers[id].frozen = field->servers[id].paused = false;
        field->servers[id].promotes_late = false;
    }
    while (!is_whole()) {
        check(sim.event - began < QUIET_EVENTS, "not whole again");
        go_on();
        if (dice(60) == 0)
            help();
    }
    sim.quiet_most = MAX(sim.quiet_most, sim.event - began);
}

static void
begin_episode(void)
{
    field->nodes = 3 + (int)dice(2);
    sim.config = (struct plan_config){
        .node_count = (uint32_t)field->nodes,
        .auto_failback = dice(4) != 0,
        .shared = sim.episode % 2 != 0,
        .may_promote = {{UINT64_MAX}},
        .fence_command = dice(4) == 0,
        .failover_command = dice(4) == 0,
        .failback_command = dice(2) == 0,
        .auto_failback_interval_ns = 3 * NS_PER_S,
        .candidate_wait_ns = 2 * NS_PER_S,
        .fence_wait_ns = NS_PER_S / 2,
        .command_wait_ns = 5 * NS_PER_S,
        .promote_wait_ns = 3 * NS_PER_S,
        .verify_wait_ns = 2 * NS_PER_S,
        .follow_wait_ns = 4 * NS_PER_S,
        .switchover_wait_ns = 5 * NS_PER_S,
        .flush_wait_ns = NS_PER_S,
        .retry_wait_ns = NS_PER_S,
        .search_wait_ns = 60 * NS_PER_S,
    };
    memset(sim.recovering, 0, sizeof(sim.recovering));
    memset(sim.told_id, -1, sizeof(sim.told_id));
    field->branches[0] = (struct branch){.parent = -1, .timeline = 1};
    field->branch_count = 1;
    for (int id = 0; id < field->nodes; id++) {
        sim.config.nodes[id] = (struct plan_node_config){
            .configured = true, .allow_failover = dice(10) != 0, .priority = (int)dice(3)};
        field->servers[id] = (struct server){
            .running = true, .in_recovery = id != 0, .upstream = id == 0 ? -1 : 0, .lsn = 1000};
    }
    sim.pending_count = sim.event = 0;
    sim.acked_epoch = sim.seen_epoch = sim.published_epoch = sim.switchover_lsn = 0;
    sim.published_id = sim.committed_branch = -1;
    sim.committed_timeline = 0;
    sim.now_ns = 1000 * NS_PER_S;
    field->quiet = false;
    sim.synchronous = dice(2) == 0 ? 0 : dice(16);
    plan_init(&sim.plan);
    handle((struct plan_event){.kind = PLAN_RESUMED});
}

static uint32_t
from_environment(const char *name, uint32_t otherwise)
{
    const char *text = getenv(name);
    uint32_t value;

    return text != NULL && num_parse_u32(text, &value) ? value : otherwise;
}

static void
cluster_survives_random_faults(void **state)
{
    uint32_t episodes = from_environment("PLAN_RANDOM_EPISODES", 200);
    uint64_t seed = from_environment("PLAN_RANDOM_SEED", 20251);
    long events = 0;

    (void)state;
    sim.told = from_environment("PLAN_RANDOM_TELL", 0) != 0;
    for (sim.episode = 0; sim.episode < (int)episodes; sim.episode++) {
        field->seed = (seed + (uint64_t)sim.episode) * UINT64_C(0x9E3779B97F4A7C15) | 1;
        begin_episode();
        while (sim.event < EVENTS) {
            if (dice(8) == 0)
                break_something();
            go_on();
        }
        become_whole();
        events += sim.event;
    }
    print_message("%ld events, %ld promotions, %ld switchovers, %ld cancelled, %ld crashes; whole "
                  "after at most %d events, with help %ld times\n",
                  events, sim.promotions, sim.switchovers, sim.cancelled, sim.crashes,
                  sim.quiet_most, sim.helped);
    assert_true(events > 100000 || episodes < 200);
    assert_true(sim.promotions > 100 || episodes < 200);
    assert_true(sim.shared > 50 || episodes < 200);
    assert_true(sim.switchovers > 3 || episodes < 200);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cluster_survives_random_faults),
    };

    return cmocka_run_group_tests_name("plan_random", tests, NULL, NULL);
}
