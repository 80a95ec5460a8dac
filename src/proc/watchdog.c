/*
 * The watchdog process: what the step function (watchdog/watchdog.h) is told, and what it orders.
 *
 * It asks etcd, hears of every probe of the health processes, and stands between the plan of the
 * failover process and the cluster: by the board in shared memory (watchdog/board.h). It judges no
 * node and writes to no server. Killed at any moment, its successor is the same member: it has the
 * lease and the roster's entry of this start of pgpool, learns from the board what the children
 * have acted on, and never leads in the term that the former one led in. What was allowed until
 * some moment ends then by itself.
 */
#include "watchdog.h"

#include "base/arena.h"
#include "base/log.h"
#include "cache/shared.h"
#include "cache/versions.h"
#include "config/config.h"
#include "os/clock.h"
#include "watchdog/nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ALONE_EVERY_MS = 300,  /* between probes of a member that has to prove things itself, */
    ALONE_SOON_MS = 1200,  /* from so long before its lease ends */
    ALONE_FOR_MS = 2000,   /* told for so long, */
    ALONE_AGAIN_MS = 1000, /* and again then */
    IDLE_AGAIN_MS = 20,
    JUDGE_LOOK_MS = 1000,
    JUDGE_SILENT_MS = 8000, /* its disk may be slow */
    GOODBYE_LIMIT_MS = 1500 /* for etcd's answer, when all else is done */
};

/* ---- what it orders -------------------------------------------------------------------------- */

static void
judge(struct watchdog *w, const struct wd_action *action)
{
    w->last_judging = MAX(w->last_judging + 1, (uint64_t)clock_boottime_ns());
    w->taken = 0;
    w->orders =
        (struct wd_orders){.judging = w->last_judging, .begun = action->revision, .leader_id = -1};
    if (action->term != w->told_term)
        log_info("this pgpool leads, term %lld", (long long)action->term);
    w->told_term = action->term;
}

static void
stop_judging(struct watchdog *w)
{
    w->orders = (struct wd_orders){.leader_id = -1};
    log_debug("this pgpool does not judge nodes any more");
}

/* The last commands have deadlines of their own. */
static void
end_when_idle(void *ctx)
{
    struct watchdog *w = ctx;

    if (wd_runner_is_idle(w->runner))
        proc_end(w->proc);
    else
        io_timer_start(w->proc->io, &w->idle, IDLE_AGAIN_MS, end_when_idle, w);
}

static void
carry_out(struct watchdog *w, const struct wd_action *action)
{
    switch ((enum wd_action_kind)action->kind) {
    case WD_DO_ASK:
        wd_asker_ask(w->asker, &w->wd, &w->config, action,
                     buf_cstr(action->proposal != 0 ? &w->proposed : &w->text));
        break;
    case WD_DO_APPLY:
        break; /* the committed state is published in any case */
    case WD_DO_JUDGE:
        judge(w, action);
        break;
    case WD_DO_STOP_JUDGING:
        stop_judging(w);
        break;
    case WD_DO_COMMITTED:
        w->orders.committed = action->proposal;
        break;
    case WD_DO_FENCED:
        w->orders.fenced_epoch = action->epoch;
        break;
    case WD_DO_CUT:
        w->orders.cuts++;
        break;
    case WD_DO_TELL:
        log_info("watchdog: %s", action->text);
        break;
    case WD_DO_END:
        end_when_idle(w);
        break;
    case WD_DO_ESCALATE:
        /* what was written through the leader before may have made no result of ours invalid */
        if (w->proc->cache != NULL && w->proc->config->clear_memqcache_on_escalation)
            versions_raise_all(w->proc->cache->versions);
        wd_runner_do(w->runner, action);
        break;
    default:
        wd_runner_do(w->runner, action);
        break;
    }
}

/* ---- events ---------------------------------------------------------------------------------- */

static void
on_tick(void *ctx)
{
    watchdog_tell(ctx, &(struct wd_event){.kind = WD_TICK});
}

static void
schedule(struct watchdog *w)
{
    int64_t next_ns = wd_next_ns(&w->wd, &w->config);
    int64_t now_ns = clock_boottime_ns();

    io_timer_stop(&w->tick);
    if (next_ns == INT64_MAX)
        return;
    io_timer_start(w->proc->io, &w->tick,
                   next_ns <= now_ns ? 0 : (next_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS, on_tick,
                   w);
}

/* Which text is that of the state that is applied now? */
static void
note_text(struct watchdog *w, const struct wd_event *event, uint32_t committing)
{
    bool own = event->kind == WD_ANSWERED && event->request == WD_COMMIT && event->answer == WD_OK;
    const struct buf *from = NULL;

    if (w->wd.applied == w->text_revision)
        return;
    if (own && committing != 0)
        from = &w->proposed;
    else if (!own && w->seen_revision == w->wd.applied)
        from = &w->seen;
    else if (!own)
        return; /* never: nobody acts on what is not there */
    if (from != NULL) {
        w->text.len = 0;
        buf_add(&w->text, from->data, from->len);
    }
    w->text_revision = w->wd.applied;
}

/* Without a lease what we may do hangs on what we see ourselves: often enough. */
static void
hurry_when_alone(struct watchdog *w)
{
    uint32_t slots = shared_layout(w->proc->shared)->health_slots;
    struct inbox_msg msg = {.kind = INBOX_HEALTH_HURRY};
    int64_t now_ns = clock_monotonic_ns();

    if (w->wd.applied == 0 || w->wd.lapsed_ns == 0 ||
        w->wd.lease_until_ns - w->wd.now_ns > ALONE_SOON_MS * NS_PER_MS ||
        now_ns - w->hurried_ns < ALONE_AGAIN_MS * NS_PER_MS)
        return;
    w->hurried_ns = now_ns;
    msg.hurry.every_ns = ALONE_EVERY_MS * NS_PER_MS;
    msg.hurry.until_ns = now_ns + ALONE_FOR_MS * NS_PER_MS;
    for (uint32_t n = 0; n < MIN(w->config.node_count, slots); n++)
        if (cluster_set_has(&w->config.nodes, (int)n))
            proc_send(w->proc, slot_of_health((int)n), &msg);
}

static void
show(struct watchdog *w)
{
    const struct wd_leader *leader = &w->wd.seen.leader;

    if (wd_leads_until_ns(&w->wd) > w->wd.now_ns)
        proc_title(w->proc, "leads, term %lld", (long long)w->wd.term);
    else if (w->wd.lease_until_ns <= w->wd.now_ns)
        proc_title(w->proc, "alone, without a lease");
    else if (leader->term != 0)
        proc_title(w->proc, "member, pgpool %u leads", leader->id);
    else
        proc_title(w->proc, "member, nobody leads");
}

void
watchdog_tell(struct watchdog *w, struct wd_event *event)
{
    struct wd_actions actions = {0};
    uint32_t committing = w->wd.committing;

    event->now_ns = clock_boottime_ns();
    wd_handle(&w->wd, &w->config, event, &actions);
    note_text(w, event, committing);
    for (uint32_t n = 0; n < actions.count; n++)
        carry_out(w, &actions.list[n]);
    watchdog_publish(w);
    hurry_when_alone(w);
    show(w);
    schedule(w);
}

static void
answered(void *ctx, const struct wd_event *event, const char *payload, const struct err *err)
{
    struct watchdog *w = ctx;
    struct wd_event copy = *event;

    if (err != NULL && !w->trouble)
        log_warning("etcd \"%s\" did not do what was asked: %s", etcd_client_endpoint(w->client),
                    err->message);
    else if (err == NULL && w->trouble && event->request == WD_FETCH)
        log_info("etcd \"%s\" answers again", etcd_client_endpoint(w->client));
    if (err != NULL || event->request == WD_FETCH)
        w->trouble = err != NULL;
    if (payload != NULL && event->picture != NULL &&
        event->picture->revision >= w->wd.seen.revision) {
        w->seen.len = 0;
        buf_add_str(&w->seen, payload);
        w->seen_revision = event->picture->state_revision;
    }
    watchdog_tell(w, &copy);
}

static void
changed(void *ctx)
{
    watchdog_tell(ctx, &(struct wd_event){.kind = WD_CHANGED});
}

static void
tell_address(void *ctx)
{
    struct watchdog *w = ctx;

    watchdog_tell(w, &(struct wd_event){.kind = WD_ADDRESS_ENDED, .done = w->address_done});
}

/* It may be said while an order is carried out. */
static void
address_ended(void *ctx, bool done)
{
    struct watchdog *w = ctx;

    w->address_done = done;
    io_timer_start(w->proc->io, &w->address, 0, tell_address, w);
}

/* Who cannot serve as a leader is not to lead. */
static void
look_whether_fit(struct watchdog *w)
{
    bool fit = w->are_there && w->judge_runs;

    if (fit == w->fit)
        return;
    w->fit = fit;
    watchdog_tell(w, &(struct wd_event){.kind = WD_SURROUNDINGS, .done = fit});
}

static void
surroundings_changed(void *ctx, bool are_there)
{
    struct watchdog *w = ctx;

    w->are_there = are_there;
    look_whether_fit(w);
}

static void
look_at_judge(void *ctx)
{
    struct watchdog *w = ctx;
    int64_t silent_ns = clock_boottime_ns() - atomic_load(&w->pulse->beat_ns);
    bool runs = silent_ns < JUDGE_SILENT_MS * NS_PER_MS;

    if (w->judge_runs && !runs)
        log_warning("the failover process does not run: this pgpool does not lead");
    w->judge_runs = runs;
    io_timer_start(w->proc->io, &w->judge_timer, JUDGE_LOOK_MS, look_at_judge, w);
    look_whether_fit(w);
}

static void
hear_fact(struct watchdog *w, const struct inbox_msg *msg)
{
    struct wd_fact fact;

    memcpy(&fact, msg->fact.bytes, sizeof(fact));
    if (fact.node_id == msg->fact.node_id)
        watchdog_tell(w, &(struct wd_event){.kind = WD_FACT, .fact = &fact});
}

static void
on_inbox(void *ctx, const struct inbox_msg *msg)
{
    if (msg->kind == INBOX_WD_FACT)
        hear_fact(ctx, msg);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Nobody of ours has a connection to a server any more. */
static void
look_whether_closed(struct watchdog *w)
{
    uint32_t count = shared_layout(w->proc->shared)->child_slots;

    if (!w->stopping || w->closed || shared_elders(w->proc->shared) > 0)
        return;
    for (uint32_t n = 0; n < count; n++)
        if (atomic_load(&shared_proc_of_child(w->proc->shared, n)->pid) != 0)
            return;
    w->closed = true;
    watchdog_tell(w, &(struct wd_event){.kind = WD_CLOSED});
}

static void
give_up(void *ctx)
{
    struct watchdog *w = ctx;

    log_info("etcd was not told in time that this pgpool is stopped: it is missed until its next "
             "start");
    proc_end(w->proc);
}

static void
on_stop(void *ctx, enum proc_stop mode)
{
    struct watchdog *w = ctx;

    if (!w->stopping) {
        w->stopping = true;
        watchdog_tell(w, &(struct wd_event){.kind = WD_STOP});
    }
    if (mode > PROC_STOP_SMART && !io_timer_running(&w->end))
        io_timer_start(w->proc->io, &w->end, GOODBYE_LIMIT_MS, give_up, w);
    look_whether_closed(w);
}

static void
on_wake(void *ctx)
{
    struct watchdog *w = ctx;

    watchdog_hear_judge(w);
    look_whether_closed(w);
}

/* ---- configuration --------------------------------------------------------------------------- */

static void
configure(struct watchdog *w)
{
    const struct config *cfg = w->proc->config;
    struct wd_config *c = &w->config;
    struct buf nodes = BUF_EMPTY;

    memset(c, 0, sizeof(*c));
    wd_config_times(c, cfg->wd_lease_ttl_ms * NS_PER_MS);
    c->id = (uint32_t)cfg->pgpool_node_id;
    c->priority = cfg->wd_priority;
    c->incarnation = shared_instance_id(w->proc->shared);
    wd_nodes_print(cfg, &nodes);
    c->nodes_hash = wd_nodes_hash(buf_cstr(&nodes));
    c->node_count = MIN(cfg->backend_count, (uint32_t)CLUSTER_NODES_MAX);
    for (uint32_t n = 0; n < c->node_count; n++)
        if (cfg->backends[n].configured)
            cluster_set_add(&c->nodes, (int)n);
    c->consensus = cfg->failover_require_consensus;
    c->address = cfg->delegate_ip[0] != '\0';
    c->keep_address = cfg->wd_on_etcd_loss == CONFIG_ETCD_LOSS_KEEP;
    c->lost_member_ns = cfg->wd_lost_node_removal_timeout_ms * NS_PER_MS;
    if (w->asker != NULL)
        wd_asker_set_nodes(w->asker, buf_cstr(&nodes));
    buf_free(&nodes);
}

static void
on_config(void *ctx, const struct config *before UNUSED)
{
    struct watchdog *w = ctx;

    configure(w);
    wd_runner_reload(w->runner, w->proc->config);
    wd_surroundings_reload(w->surroundings, w->proc->config);
    watchdog_tell(w, &(struct wd_event){.kind = WD_TICK});
}

static int
open_client(struct watchdog *w, struct err *err)
{
    static const struct wd_asker_ops ops = {answered, changed};
    static const struct wd_runner_ops runner_ops = {address_ended};
    static const struct wd_surroundings_ops surroundings_ops = {surroundings_changed};
    const struct config *cfg = w->proc->config;
    struct etcd_target target = {.hosts = cfg->wd_etcd_hosts,
                                 .ca_cert = cfg->wd_etcd_ssl_ca_cert,
                                 .cert = cfg->wd_etcd_ssl_cert,
                                 .key = cfg->wd_etcd_ssl_key,
                                 .user = cfg->wd_etcd_user,
                                 .password = cfg->wd_etcd_password};

    if (dns_new(w->proc->io, &w->dns, err) != 0 ||
        etcd_client_new(w->proc->io, w->dns, &target, &w->client, err) != 0)
        return -1;
    w->asker = wd_asker_new(w->client, cfg->wd_etcd_prefix, &ops, w);
    configure(w); /* the asker tells the list of nodes */
    w->runner = wd_runner_new(w->proc->io, cfg, &runner_ops, w);
    w->surroundings = wd_surroundings_new(w->proc->io, cfg, &surroundings_ops, w);
    return 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

void
watchdog_main(struct proc *p)
{
    static const struct proc_ops ops = {on_config, on_inbox, on_wake, on_stop};
    struct watchdog *w = xcalloc(1, sizeof(*w));
    struct err err;

    w->proc = p;
    configure(w);
    w->config.address_left = wd_runner_address_is_left(p->config);
    wd_init(&w->wd, &w->config);
    w->wd.now_ns = clock_boottime_ns();
    w->pulse = shared_wd_pulse(p->shared);
    w->are_there = w->judge_runs = w->fit = true;
    watchdog_inherit(w);
    if (open_client(w, &err) != 0) {
        log_fatal("%s", err.message);
        exit(1);
    }
    watchdog_tell(w, &(struct wd_event){.kind = WD_TICK});
    watchdog_hear_judge(w);
    io_timer_start(p->io, &w->judge_timer, JUDGE_SILENT_MS, look_at_judge, w);
    proc_run(p, &ops, w);
    io_timer_stop(&w->tick);
    io_timer_stop(&w->end);
    io_timer_stop(&w->address);
    io_timer_stop(&w->idle);
    io_timer_stop(&w->judge_timer);
    wd_surroundings_free(w->surroundings);
    wd_runner_free(w->runner);
    wd_asker_free(w->asker);
    etcd_client_free(w->client);
    dns_free(w->dns);
    buf_free(&w->seen);
    buf_free(&w->text);
    buf_free(&w->proposed);
    free(w);
}
