/*
 * The failover process: the only judge of nodes' states.
 *
 * Facts of the health processes, of lag and of the children, commands of administrators and the
 * ends of its own steps go into the plan (cluster/plan.h), one by one; what comes out is published
 * in the node area, and only then the steps are carried out. It never waits but in its event loop,
 * except for the status file.
 *
 * Killed at any moment, its successor goes on from the node area, or, when pgpool itself has ended,
 * from the status file: the plan then asks again for all that is still to be done. Invariants: only
 * this process writes the node area; steps are begun in the plan's order; without health checks
 * it judges nothing, and says so.
 */
#include "failover.h"

#include "auth/passwd.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "config/config.h"
#include "config/limits.h"
#include "os/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FENCE_WAIT_S = 2,
    FOLLOW_WAIT_S = 20,
    RETRY_WAIT_S = 1,
    FLUSH_WAIT_S = 1, /* the WAL writer needs three times wal_writer_delay, 0.6 s */
    NO_LIMIT_S = 365 * 24 * 3600,
};

/* ---- the plan ---------------------------------------------------------------------------------
 */

/* A node that we alone do not reach is left by our children, and stays in the cluster. */
static void
leave_quarantined(const struct failover *f, struct plan *plan)
{
    for (uint32_t n = 0; n < plan->node_count; n++) {
        struct plan_node *node = &plan->nodes[n];

        if (!cluster_set_has(&f->watch.quarantined, (int)n) || (int32_t)n == plan->primary_id ||
            (node->state != NODE_UP && node->state != NODE_SUSPECT))
            continue;
        node->state = NODE_DOWN;
        str_copy(node->reason, sizeof(node->reason), "this pgpool alone does not reach it");
    }
}

void
failover_publish(struct failover *f)
{
    struct area *area = shared_nodes(f->proc->shared);
    struct cluster_nodes *nodes = area_write_anew(area);

    f->now.main_id = f->copies ? failover_copies_main(f) : -1;
    memcpy(nodes, &f->now, sizeof(f->now));
    if (f->shared)
        leave_quarantined(f, &nodes->plan);
    area_publish(area);
}

void
failover_show(struct failover *f)
{
    const struct plan *plan = &f->now.plan;
    int primary_id = f->copies ? failover_copies_main(f) : plan->primary_id;

    if (plan->operation.kind != PLAN_IDLE)
        proc_title(f->proc, "%s: %s", plan_operation_name(plan->operation.kind),
                   plan_phase_name(plan->operation.phase));
    else if (primary_id >= 0)
        proc_title(f->proc,
                   f->config.mode == CLUSTER_MODE_STREAMING ? "node %d is the primary, timeline %u"
                                                            : "node %d is the main node",
                   primary_id, plan->timeline);
    else
        proc_title(f->proc, f->now.judging ? "looking for the primary" : "not judging");
}

static void
on_tick(void *ctx)
{
    struct plan_event event = {.kind = PLAN_TICK, .node_id = -1};

    failover_handle(ctx, &event);
}

static void
schedule(struct failover *f)
{
    int64_t next_ns = plan_next_ns(&f->now.plan, &f->config);
    int64_t now_ns = io_now_ns(f->proc->io);

    io_timer_stop(&f->tick);
    if (next_ns == INT64_MAX)
        return;
    /* rounded up: a tick that is early would only come again */
    io_timer_start(f->proc->io, &f->tick,
                   next_ns <= now_ns ? 0 : (next_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS, on_tick,
                   f);
}

void
failover_act(struct failover *f)
{
    f->handling = true;
    failover_publish(f);
    for (uint32_t n = 0; n < f->steps->count; n++)
        failover_do(f, &f->steps->list[n]);
    f->handling = false;
    failover_look_at_recoveries(f);
    failover_show(f);
    schedule(f);
}

void
failover_handle(struct failover *f, struct plan_event *event)
{
    if (!f->now.judging || f->copies || (f->shared && !failover_watch_allows(f, event)))
        return;
    BUG_UNLESS(!f->handling);
    f->steps->count = 0;
    event->now_ns = clock_monotonic_ns();
    event->at_us = clock_wall_us();
    plan_handle(&f->now.plan, &f->config, event, f->steps);
    if (f->shared && failover_watch_proposes(f))
        io_timer_stop(&f->tick);
    else
        failover_act(f);
}

/* ---- configuration ----------------------------------------------------------------------------
 */

/* A node that was drained is being worked on: nobody takes its place meanwhile. */
static void
make_config(struct failover *f)
{
    const struct config *cfg = f->proc->config;
    struct plan_config *c = &f->config;

    struct cluster_members members;

    memset(c, 0, sizeof(*c));
    cluster_members_from_config(&members, cfg);
    c->mode = members.mode;
    f->holds_epoch = holds_epoch(shared_holds(f->proc->shared));
    c->node_count = MIN(cfg->backend_count, (uint32_t)CLUSTER_NODES_MAX);
    for (uint32_t n = 0; n < c->node_count; n++) {
        const struct config_backend *backend = &cfg->backends[n];

        c->nodes[n] = (struct plan_node_config){
            .configured = backend->configured,
            .allow_failover = (backend->flag & CONFIG_BACKEND_DISALLOW_TO_FAILOVER) == 0 &&
                              !holds_drained(shared_holds(f->proc->shared), (int)n, NULL),
            .always_primary = (backend->flag & CONFIG_BACKEND_ALWAYS_PRIMARY) != 0,
            .priority = backend->priority,
        };
    }
    c->shared = f->shared;
    c->fence_command = cfg->fence_command[0] != '\0';
    c->failover_command = cfg->failover_command[0] != '\0';
    c->failback_command = cfg->failback_command[0] != '\0';
    c->auto_failback = cfg->auto_failback;
    c->auto_failback_interval_ns = cfg->auto_failback_interval_ms * NS_PER_MS;
    c->candidate_wait_ns = cfg->candidate_wait_ms * NS_PER_MS;
    c->fence_wait_ns = FENCE_WAIT_S * NS_PER_S;
    c->command_wait_ns = cfg->command_timeout_ms * NS_PER_MS;
    c->promote_wait_ns = c->verify_wait_ns = cfg->promotion_timeout_ms * NS_PER_MS;
    c->follow_wait_ns = MAX(FOLLOW_WAIT_S * NS_PER_S,
                            cfg->follow_primary_command[0] != '\0' ? c->command_wait_ns : 0);
    c->rejoin_wait_ns = MAX(c->follow_wait_ns, 2 * cfg->recovery_timeout_ms * NS_PER_MS);
    c->switchover_wait_ns = cfg->switchover_timeout_ms * NS_PER_MS;
    c->flush_wait_ns = FLUSH_WAIT_S * NS_PER_S;
    c->retry_wait_ns = RETRY_WAIT_S * NS_PER_S;
    c->search_wait_ns = cfg->search_primary_node_timeout_ms > 0
                            ? cfg->search_primary_node_timeout_ms * NS_PER_MS
                            : NO_LIMIT_S * NS_PER_S;
}

/* Without health checks there is no evidence. */
static bool
has_failover(const struct config *cfg)
{
    return cfg->health_check_period_ms > 0;
}

/* kind: PLAN_RESUMED at first, then PLAN_NODES_LOADED. */
static void
configure(struct failover *f, enum plan_event_kind kind)
{
    struct plan_event event = {.kind = kind, .node_id = -1};

    proc_read_passwords(f->proc->config, f->proc->files->pool_key, &f->passwords);
    make_config(f);
    if (f->copies && kind == PLAN_NODES_LOADED)
        failover_copies_configure(f);
    f->now.config_generation = f->proc->config_generation;
    f->now.judging = has_failover(f->proc->config) && (!f->shared || f->now.judging);
    if (f->shared && f->watch.judging == 0) {
        if (f->now.judging)
            failover_publish(f);
        failover_watch(f);
    } else if (f->now.judging && !f->copies) {
        failover_handle(f, &event);
    } else {
        failover_publish(f);
        failover_show(f);
        wake_send_all(f->proc->wakes, f->proc->slot);
    }
}

static void
on_config(void *ctx, const struct config *before UNUSED)
{
    configure(ctx, PLAN_NODES_LOADED);
}

/* ---- facts and commands -----------------------------------------------------------------------
 */

static void
hear_health(struct failover *f, const struct inbox_msg *msg)
{
    struct plan_event event = {.kind = PLAN_HEALTH, .node_id = msg->fact.node_id};
    struct health_fact fact;

    memcpy(&fact, msg->fact.bytes, sizeof(fact));
    fact.reason[sizeof(fact.reason) - 1] = '\0';
    event.health = &fact;
    if (f->copies)
        failover_copies_fact(f, event.node_id, &fact);
    else if (f->shared)
        failover_watch_fact(f, event.node_id, &fact);
    else
        failover_handle(f, &event);
}

static void
tell_asker(struct failover *f, const struct failover_request *r)
{
    struct inbox_msg msg = {.kind = INBOX_NODE_COMMAND_DONE};
    bool done = r->sqlstate[0] == '\0';

    msg.command_done.token = r->token;
    msg.command_done.done = done ? NODE_COMMAND_OK : NODE_COMMAND_REFUSED;
    str_copy(msg.command_done.sqlstate, sizeof(msg.command_done.sqlstate),
             done ? "00000" : r->sqlstate);
    str_copy(msg.command_done.words, sizeof(msg.command_done.words), r->words);
    proc_send(f->proc, r->from, &msg);
}

static void
answer(struct failover *f, struct failover_request *r, const char *sqlstate, const char *words)
{
    r->answered = true;
    str_copy(r->sqlstate, sizeof(r->sqlstate), sqlstate != NULL ? sqlstate : "");
    str_copy(r->words, sizeof(r->words), words);
    tell_asker(f, r);
}

static struct failover_request *
waiting_request(struct failover *f, uint32_t request)
{
    for (size_t n = 0; request != 0 && n < ARRAY_LEN(f->requests); n++) {
        if (f->requests[n].request == request && !f->requests[n].answered)
            return &f->requests[n];
    }
    return NULL;
}

void
failover_answer(struct failover *f, uint32_t request, const char *sqlstate, const char *words)
{
    struct failover_request *r = waiting_request(f, request);

    if (r != NULL)
        answer(f, r, sqlstate, words);
}

void
failover_tell_progress(struct failover *f, uint32_t request, const char *words)
{
    struct inbox_msg msg = {.kind = INBOX_NODE_COMMAND_DONE};
    struct failover_request *r = waiting_request(f, request);

    if (r == NULL)
        return;
    msg.command_done.token = r->token;
    msg.command_done.done = NODE_COMMAND_PROGRESS;
    str_copy(msg.command_done.sqlstate, sizeof(msg.command_done.sqlstate), "00000");
    str_copy(msg.command_done.words, sizeof(msg.command_done.words), words);
    proc_send(f->proc, r->from, &msg);
}

/* The plan's word on a command. To be allowed to begin is not yet the end of a recovery. */
void
failover_command_ended(struct failover *f, const struct plan_step *step)
{
    struct failover_request *r = waiting_request(f, step->request);
    bool done = step->event == NODE_EVENT_COMMAND_DONE;

    if (r != NULL && r->recovers && done)
        failover_recover(f, step->node_id, step->request);
    else
        failover_answer(f, step->request, done ? NULL : "55000", step->text);
}

void
failover_refuse_all(struct failover *f, const char *words)
{
    for (size_t n = 0; n < ARRAY_LEN(f->requests); n++)
        if (f->requests[n].request != 0 && !f->requests[n].answered)
            answer(f, &f->requests[n], "55000", words);
}

static struct failover_request *
find_request(struct failover *f, const struct inbox_msg *msg)
{
    for (size_t n = 0; n < ARRAY_LEN(f->requests); n++) {
        struct failover_request *r = &f->requests[n];

        if (r->request != 0 && r->from == msg->from && r->token == msg->command.token)
            return r;
    }
    return NULL;
}

/* In the place of none, or of the one that was answered longest ago; NULL: too many wait. */
static struct failover_request *
new_request(struct failover *f, const struct inbox_msg *msg)
{
    struct failover_request *oldest = NULL;

    for (size_t n = 0; n < ARRAY_LEN(f->requests); n++) {
        struct failover_request *r = &f->requests[n];

        if ((r->request == 0 || r->answered) && (oldest == NULL || r->request < oldest->request))
            oldest = r;
    }
    if (oldest == NULL)
        return NULL;
    f->last_request = f->last_request == UINT32_MAX ? 1 : f->last_request + 1;
    *oldest = (struct failover_request){
        .request = f->last_request, .from = msg->from, .token = msg->command.token};
    return oldest;
}

/* Whoever leads judges nodes. */
static void
refuse_as_member(struct failover *f, struct failover_request *r)
{
    char words[PLAN_TEXT_BYTES];
    int32_t leader_id = f->watch.orders.leader_id;
    const struct config *cfg = f->proc->config;

    if (leader_id >= 0 && leader_id != cfg->pgpool_node_id)
        snprintf(words, sizeof(words), "pgpool %d leads, not this one: ask that one", leader_id);
    else
        str_copy(words, sizeof(words), "no pgpool leads now: ask again");
    answer(f, r, "55000", words);
}

static void
hear_command(struct failover *f, const struct inbox_msg *msg)
{
    static const enum plan_event_kind kinds[] = {[NODE_COMMAND_ATTACH] = PLAN_ATTACH,
                                                 [NODE_COMMAND_DETACH] = PLAN_DETACH,
                                                 [NODE_COMMAND_PROMOTE] = PLAN_PROMOTE,
                                                 [NODE_COMMAND_SWITCHOVER] = PLAN_SWITCHOVER_TO,
                                                 [NODE_COMMAND_RECOVER] = PLAN_RECOVERY_BEGUN};
    struct plan_event event = {.node_id = msg->command.node_id};
    struct failover_request *r = find_request(f, msg);

    if (r != NULL) {
        if (r->answered)
            tell_asker(f, r);
        return;
    }
    if (f->shared && failover_watch_is_busy(f))
        return; /* it is asked again */
    r = new_request(f, msg);
    if (r == NULL)
        return; /* it is asked again */
    if (f->shared && f->watch.judging == 0) {
        refuse_as_member(f, r);
    } else if (f->copies) {
        failover_copies_command(f, r->request, msg->command.verb, msg->command.node_id);
    } else if (!f->now.judging) {
        answer(f, r, "55000", "nodes are not judged without health checks");
    } else if (msg->command.verb == 0 || msg->command.verb >= ARRAY_LEN(kinds)) {
        answer(f, r, "0A000", "this command is not known here");
    } else {
        event.kind = kinds[msg->command.verb];
        event.request = r->request;
        r->recovers = event.kind == PLAN_RECOVERY_BEGUN;
        failover_handle(f, &event);
    }
}

static void
on_inbox(void *ctx, const struct inbox_msg *msg)
{
    struct failover *f = ctx;

    if (msg->kind == INBOX_HEALTH_FACT)
        hear_health(f, msg);
    else if (msg->kind == INBOX_NODE_COMMAND)
        hear_command(f, msg);
    else if (msg->kind == INBOX_HOLD_DONE)
        failover_hold_answered(f, msg);
    else if (msg->kind == INBOX_COPY_LOST && f->copies)
        failover_copies_detach(f, msg->node.node_id, msg->node.words, true);
    else if (msg->kind == INBOX_SEQUENCES)
        failover_sequences_doubt(f, msg->node.words);
}

/* What the primary says of its standbys: also when it says the same again, since the plan may have
 * forgotten it meanwhile. */
void
failover_look_at_freshness(struct failover *f, bool anew)
{
    const struct area *area = shared_freshness(f->proc->shared);
    struct plan_lag lag = {.primary_id = -1};
    struct plan_event event = {.kind = PLAN_LAG, .node_id = -1, .lag = &lag};

    if (area_epoch(area) == f->seen_epoch && !anew)
        return;
    f->seen_epoch = area_read(area, &f->seen);
    lag.primary_id = f->seen.followers_of;
    lag.synchronous = f->seen.synchronous != 0;
    for (uint32_t n = 0; n < MIN(f->seen.node_count, (uint32_t)CLUSTER_NODES_MAX); n++) {
        const char *sync = f->seen.nodes[n].replication_sync_state;

        lag.stream[n] = f->seen.nodes[n].stream;
        lag.sync[n] = strcmp(sync, "sync") == 0 || strcmp(sync, "quorum") == 0;
    }
    if (lag.primary_id >= 0)
        failover_handle(f, &event);
}

static void
on_wake(void *ctx)
{
    struct failover *f = ctx;

    if (holds_epoch(shared_holds(f->proc->shared)) != f->holds_epoch) {
        configure(f, PLAN_NODES_LOADED);
        if (f->copies)
            failover_copies_look(f);
    }
    if (f->shared)
        failover_watch(f);
    failover_look_at_freshness(f, false);
    failover_watch_fence(f);
}

/* Another generation of processes judges from now on: nobody of this one believes the last word.
 * But where positions decide, the servers cannot tell; a fence of the others ends our children. */
static void
on_stop(void *ctx, enum proc_stop mode UNUSED)
{
    struct failover *f = ctx;

    /* with a watchdog what was committed stays, as long as that lets children write */
    if (!f->shared && f->config.mode == CLUSTER_MODE_STREAMING) {
        f->now.judging = false;
        failover_publish(f);
        wake_send_all(f->proc->wakes, f->proc->slot);
    }
    proc_end(f->proc);
}

/* ---- life -------------------------------------------------------------------------------------
 */

/* What the predecessor has heard and not made known is lost: all are asked again. */
static void
resume(struct failover *f)
{
    enum failover_file file = FAILOVER_FILE_TAKEN;

    if (area_read(shared_nodes(f->proc->shared), &f->now) == 0) {
        plan_init(&f->now.plan);
        file = f->proc->forgets_status ? FAILOVER_FILE_NONE : failover_load(f);
    }
    if (f->copies)
        failover_copies_resume(f, file);
    configure(f, PLAN_RESUMED);
    failover_hurry(f, -1);
    failover_look_at_freshness(f, false);
}

void
failover_main(struct proc *p)
{
    static const struct proc_ops ops = {on_config, on_inbox, on_wake, on_stop};
    struct failover *f = xcalloc(1, sizeof(*f));
    struct err err;

    f->proc = p;
    f->steps = xcalloc(1, sizeof(*f->steps));
    list_init(&f->jobs);
    list_init(&f->recoveries);
    if (dns_new(p->io, &f->dns, &err) != 0) {
        log_fatal("%s", err.message);
        exit(1);
    }
    failover_watch_init(f);
    f->copies = config_has_copies(p->config);
    resume(f);
    if (f->copies) {
        failover_settle_begin(f);
        failover_sequences_begin(f);
        failover_hold_writes(f, false); /* which a predecessor may have left */
    }
    proc_run(p, &ops, f);
    failover_settle_end(f);
    failover_sequences_end(f);
    failover_back_end(f);
    io_timer_stop(&f->hold.again);
    failover_drop_recoveries(f);
    failover_watch_fini(f);
    failover_drop_jobs(f, false);
    failover_drop_lines(f);
    io_timer_stop(&f->tick);
    io_timer_stop(&f->again);
    io_timer_stop(&f->fence);
    dns_free(f->dns);
    passwd_free(f->passwords);
    free(f->steps);
    free(f);
}
