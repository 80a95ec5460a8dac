/*
 * What the failover process has decided, as a child acts on it.
 *
 * Called from the event loop, and by the pool when a server connection is born. Invariants: when
 * the slot says that a fence was acted on, this child has no connection to what was the primary
 * before, and gets none: such nodes are dialled for nobody, and what is being dialled is closed.
 * A connection that says it is a primary is given to nobody unless it is the one that we know.
 *
 * With a watchdog, nothing goes to the primary from the moment on that it names (watchdog/board.h):
 * the clock is looked at before anything of a turn is told, and what there is to the primary is
 * closed then, so that no answer of it comes through either.
 */
#include "child.h"

#include "base/log.h"
#include "cluster/nodes.h"
#include "ipc/shared.h"
#include "ipc/wake.h"
#include "os/clock.h"
#include "proc/proc.h"
#include "watchdog/board.h"

enum {
    FINISH_MS = 1000, /* for statements at the old primary of a switchover */
    LOOK_AGAIN_MS = 3,
};

/* Nothing may be had from it, and what there is must go. */
static bool
is_shut(const struct child *c, int node_id)
{
    const struct plan *plan = &c->judged->plan;

    if (node_id == c->shut_primary_id)
        return true;
    if (!c->judged->judging || (uint32_t)node_id >= plan->node_count)
        return false;
    switch (plan->nodes[node_id].state) {
    case NODE_FENCED:
    case NODE_ROGUE:
    case NODE_QUARANTINED:
    case NODE_MAINTENANCE:
        return true;
    default:
        return false;
    }
}

bool
child_node_is_shut(const struct child *c, int node_id)
{
    return node_id >= 0 && is_shut(c, node_id);
}

void
child_note_judged(struct child *c)
{
    c->any_shut = c->shut_primary_id >= 0;
    for (uint32_t n = 0; n < c->judged->plan.node_count; n++)
        c->any_shut |= is_shut(c, (int)n);
}

/* The old primary of a switchover is well: what runs there may end, for a while. */
static bool
may_finish(struct child *c, int node_id)
{
    const struct plan *plan = &c->judged->plan;
    int64_t now_ns = io_now_ns(c->proc->io);

    if (plan->operation.kind != PLAN_SWITCHOVER || plan->operation.phase != PLAN_FENCING ||
        node_id != plan->operation.old_primary_id)
        return false;
    if (c->finishing_epoch != plan->epoch) {
        c->finishing_epoch = plan->epoch;
        c->finish_by_ns = now_ns + FINISH_MS * NS_PER_MS;
    }
    return now_ns < c->finish_by_ns;
}

static uint32_t
count_nodes(const struct child *c)
{
    return MAX(c->judged->plan.node_count, c->view.node_count);
}

/* How many connections are left there, for what may end. */
static uint32_t
close_shut_nodes(struct child *c)
{
    uint32_t left = 0;
    struct err err;

    for (uint32_t n = 0; n < count_nodes(c); n++) {
        if (!is_shut(c, (int)n))
            continue;
        if ((int)n == c->shut_primary_id)
            err_set(
                &err, "57P01",
                "node %u may not be used now: this pgpool has lost the others, and another node "
                "may be the primary",
                n);
        else
            err_set(&err, "57P01", "node %u is not used any more: it is %s", n,
                    node_state_info(c->judged->plan.nodes[n].state)->name);
        pool_turn_away(c->pool, (int)n);
        left += pool_lose_node(c->pool, (int)n, may_finish(c, (int)n), &err);
    }
    return left;
}

static void
act(void *ctx)
{
    struct child *c = ctx;
    uint64_t epoch = c->judged->plan.epoch;

    if (close_shut_nodes(c) > 0) {
        io_timer_start(c->proc->io, &c->finish, LOOK_AGAIN_MS, act, c);
        return;
    }
    io_timer_stop(&c->finish);
    if (atomic_load(&c->slot->fenced_epoch) == epoch)
        return;
    atomic_store(&c->slot->fenced_epoch, epoch);
    wake_send(c->proc->wakes, SLOT_FAILOVER);
}

void
child_look_at_nodes(struct child *c)
{
    child_look_at_freshness(c);
    if (c->judged_epoch == c->nodes_acted)
        return;
    c->nodes_acted = c->judged_epoch;
    act(c);
}

void
child_sweep_nodes(struct child *c)
{
    if (!c->any_shut)
        return;
    for (uint32_t n = 0; n < count_nodes(c); n++) {
        if (is_shut(c, (int)n))
            pool_turn_away(c->pool, (int)n);
    }
}

/* ---- the clock ---- */

void
child_shut_primary(struct child *c)
{
    c->shut_primary_id = -1;
    if (!c->may_write && c->view.primary_id >= 0) {
        c->shut_primary_id = c->view.primary_id;
        if (c->last_primary_id < 0)
            c->last_primary_id = c->view.primary_id; /* it is worth waiting for */
        c->view.nodes[c->view.primary_id].usable = false;
        c->view.primary_id = -1;
    }
    child_note_judged(c);
}

static void
on_turn(void *ctx)
{
    struct child *c = ctx;
    bool may_write = clock_boottime_ns() < atomic_load(&c->live->writes_until_ns);

    if (likely(may_write == c->may_write))
        return;
    c->may_write = may_write;
    log_debug(may_write ? "clients may write" : "clients may not write any more");
    child_rebuild_view(c);
    act(c);
    if (may_write)
        session_hosts_held_go_on(&c->host);
}

void
child_watch_clock(struct child *c)
{
    c->may_write = !c->proc->config->use_watchdog;
    if (c->may_write)
        return;
    c->live = shared_wd_live(c->proc->shared);
    c->may_write = clock_boottime_ns() < atomic_load(&c->live->writes_until_ns);
    io_on_turn(c->proc->io, on_turn, c);
}

/* ---- at the birth of a connection ---- */

bool
child_asks_identity(void *ctx, int node_id)
{
    const struct child *c = ctx;

    return c->judged->judging && node_id == c->judged->plan.primary_id &&
           c->proc->config->backend_clustering_mode == CONFIG_MODE_STREAMING_REPLICATION;
}

/* In logical replication a standby has no place; where positions decide, nothing else counts. */
static int
accepts_by_position(const struct child *c, int node_id, const struct pool_identity *who,
                    struct err *err)
{
    if (who->is_standby &&
        c->proc->config->backend_clustering_mode == CONFIG_MODE_LOGICAL_REPLICATION)
        return err_set(err, "08001", "node %d is a standby", node_id);
    return 0;
}

bool
child_reads_only(void *ctx, int node_id)
{
    const struct child *c = ctx;
    struct cluster_members members;

    if (c->carried == NULL)
        return false;
    if (c->judged->judging && c->judged->plan.primary_id >= 0)
        return node_id != c->judged->plan.primary_id;
    cluster_members_from_config(&members, c->proc->config);
    return node_id != cluster_configured_main(&members);
}

int
child_accepts(void *ctx, int node_id, const struct pool_identity *who, struct err *err)
{
    const struct child *c = ctx;
    const struct plan *plan = &c->judged->plan;

    if (who->reads_only != child_reads_only(ctx, node_id))
        return err_set(err, "08001", "node %d has become another one than it was dialled as",
                       node_id);
    if (!c->judged->judging)
        return 0;
    if (is_shut(c, node_id))
        return err_set(err, "08001", "node %d is not used any more", node_id);
    if (c->proc->config->backend_clustering_mode != CONFIG_MODE_STREAMING_REPLICATION)
        return accepts_by_position(c, node_id, who, err);
    if (who->is_standby)
        return node_id == plan->primary_id
                   ? err_set(err, "08001", "node %d is a standby now, not the primary", node_id)
                   : 0;
    if (node_id != plan->primary_id)
        return err_set(err, "08001", "node %d says that it is a primary, and is not", node_id);
    if (who->asked && plan->system_identifier != 0 &&
        who->system_identifier != plan->system_identifier)
        return err_set(err, "08001", "node %d is the primary of another database system", node_id);
    if (who->asked && plan->timeline != 0 && who->timeline != plan->timeline)
        return err_set(err, "08001", "node %d is a primary on timeline %u instead of %u", node_id,
                       who->timeline, plan->timeline);
    return 0;
}
