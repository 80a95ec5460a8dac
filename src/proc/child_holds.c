/*
 * What is paused and drained, as a child acts on it.
 *
 * Called by its sessions and its pool, who ask, and from the event loop when the parent has changed
 * something. What is asked is answered by shared memory as it is at that moment; when the child has
 * gone through all that it has, it says so in its slot. From then on every server connection that
 * it still has to what is on hold can be seen, and there come no more.
 */
#include "child.h"

#include "ipc/shared.h"
#include "os/clock.h"
#include "proc/proc.h"

/* Behind the end of a pause or a drain there may be no primary until lag has asked again. */
enum { NO_PRIMARY_GRACE_S = 15, IN_THE_WAY_MS = 20 };

static enum session_slot_hold
without_primary(const struct child *c, const struct holds *h)
{
    if (holds_any_drained(h))
        return SESSION_HOLD_NODE; /* it may well be that one */
    return c->holds_ended_ns != 0 &&
                   io_now_ns(c->proc->io) - c->holds_ended_ns < NO_PRIMARY_GRACE_S * NS_PER_S
               ? SESSION_HOLD_NODE
           : c->last_primary_id >= 0 ? SESSION_HOLD_PRIMARY
                                     : SESSION_HOLD_NONE;
}

static enum session_slot_hold
on_hold(void *ctx, const char *database, int node_id)
{
    const struct child *c = ctx;
    const struct holds *h = shared_holds(c->proc->shared);

    if (c->stopping && c->in_a_hurry)
        return SESSION_HOLD_NONE;
    if (holds_paused(h, database))
        return SESSION_HOLD_PAUSE;
    if (node_id == -1)
        return without_primary(c, h);
    return holds_drained(h, node_id, NULL) ? SESSION_HOLD_NODE : SESSION_HOLD_NONE;
}

bool
child_is_on_hold(void *ctx, const char *database, int node_id)
{
    const struct child *c = ctx;
    const struct holds *h = shared_holds(c->proc->shared);

    return holds_paused(h, database) || holds_drained(h, node_id, NULL) ||
           (unlikely(c->any_shut) && child_node_is_shut(c, node_id));
}

void
child_fill_holds(struct child *c, struct session_host *host)
{
    host->holding = holds_word(shared_holds(c->proc->shared));
    host->on_hold = on_hold;
}

/* Until nobody is in the way of whoever holds writes. */
static void
count_in_the_way(void *ctx)
{
    struct child *c = ctx;
    uint32_t count = session_host_is_busy(&c->host);
    bool in_vain = false;

    if (c->host.writes == SESSION_WRITES_STOPPED)
        return;
    for (uint32_t n = 0; n < c->max_sessions; n++) {
        if (c->sessions[n] == NULL || !session_is_in_the_way(c->sessions[n]))
            continue;
        count++;
        in_vain |= session_waits_in_the_way(c->sessions[n]);
        session_limit_in_the_way(c->sessions[n]);
    }
    if (count == 0)
        c->host.writes = SESSION_WRITES_STOPPED;
    else
        io_timer_start(c->proc->io, &c->in_the_way, IN_THE_WAY_MS, count_in_the_way, c);
    atomic_store(&c->slot->in_the_way, count);
    if (in_vain)
        session_hosts_held_go_on(&c->host);
}

/* The nodes that there are at the end of it were made known before. */
static void
act_on_writes(struct child *c)
{
    if (c->host.determinism == NULL)
        return;
    if (holds_writes(shared_holds(c->proc->shared), NULL)) {
        if (c->host.writes == SESSION_WRITES_GO)
            c->host.writes = SESSION_WRITES_HELD;
        count_in_the_way(c);
    } else if (c->host.writes != SESSION_WRITES_GO) {
        io_timer_stop(&c->in_the_way);
        child_look_at_nodes(c);
        c->host.writes = SESSION_WRITES_GO;
    }
}

static void
act(struct child *c)
{
    act_on_writes(c);
    child_rebuild_view(c);
    for (uint32_t n = 0; n < c->max_sessions && c->session_count > 0; n++) {
        if (c->sessions[n] != NULL)
            session_holds_changed(c->sessions[n]);
    }
    pool_holds_changed(c->pool);
}

void
child_look_at_holds(struct child *c)
{
    uint32_t epoch = holds_epoch(shared_holds(c->proc->shared));

    if (epoch != c->holds_epoch) {
        c->holds_ended_ns = io_now_ns(c->proc->io);
        act(c);
        c->holds_epoch = epoch;
    }
    atomic_store(&c->slot->holds_seen, epoch);
    session_hosts_held_go_on(&c->host);
}
