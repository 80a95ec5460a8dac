/*
 * A child's share of the connections to each node.
 *
 * Called by the child's pool before it dials, after it has closed, and while clients wait.
 * Invariants: over all children there are never more than max_backend_connections to a node; a
 * child that is killed leaves none counted (shared_clear_child).
 */
#include "proc/limits.h"

#include "base/log.h"
#include "config/config.h"
#include "ipc/inbox.h"
#include "ipc/shared.h"
#include "os/clock.h"
#include "proc/proc.h"

enum { TELL_EVERY_S = 60 };

static uint32_t
connections_of(const struct child_slot *child, int node_id)
{
    return atomic_load_explicit(&child->connections[node_id], memory_order_relaxed);
}

static bool
waits(const struct child_slot *child, int node_id)
{
    return atomic_load_explicit(&child->waiting[node_id], memory_order_relaxed) > 0;
}

/* What each may have when all that have or want any have the same; others_wait_r: some want. */
static uint32_t
share(struct proc *p, int node_id, bool *others_wait_r)
{
    uint32_t limit = (uint32_t)p->config->max_backend_connections;
    uint32_t slots = shared_layout(p->shared)->child_slots;
    uint32_t children = 1;

    *others_wait_r = false;
    for (uint32_t n = 0; n < slots; n++) {
        const struct child_slot *child = shared_child(p->shared, n);
        if (n == p->child_no)
            continue;
        *others_wait_r |= waits(child, node_id);
        children += waits(child, node_id) || connections_of(child, node_id) > 0;
    }
    return MAX(limit / children, 1U);
}

static bool
take(void *ctx, int node_id)
{
    struct proc *p = ((struct limits *)ctx)->proc;
    uint32_t limit = (uint32_t)p->config->max_backend_connections;
    bool others_wait;

    if (limit > 0 &&
        connections_of(shared_child(p->shared, p->child_no), node_id) >=
            share(p, node_id, &others_wait) &&
        others_wait)
        return false; /* a place that has become free is for one of them */
    return shared_take_connection(p->shared, p->child_no, node_id, limit);
}

static void
give(void *ctx, int node_id)
{
    struct proc *p = ((struct limits *)ctx)->proc;

    shared_give_connection(p->shared, p->child_no, node_id);
}

static void
waiting(void *ctx, int node_id, int change)
{
    struct proc *p = ((struct limits *)ctx)->proc;
    struct child_slot *child = shared_child(p->shared, p->child_no);

    /* nobody else writes it */
    atomic_store_explicit(&child->waiting[node_id],
                          atomic_load(&child->waiting[node_id]) + (uint32_t)change,
                          memory_order_relaxed);
}

static void
ask(struct proc *p, uint32_t child_no, int node_id)
{
    struct inbox_msg msg = {.kind = INBOX_SPARE};

    msg.node.node_id = node_id;
    proc_send(p, slot_of_child(child_no), &msg);
}

/* Asks the child that has most, and another one in turn, as only itself knows what it needs. */
static void
spare(void *ctx, int node_id)
{
    struct limits *l = ctx;
    struct proc *p = l->proc;
    uint32_t slots = shared_layout(p->shared)->child_slots;
    uint32_t most = p->child_no;
    uint32_t most_connections = 0;

    for (uint32_t n = 0; n < slots; n++) {
        uint32_t connections = connections_of(shared_child(p->shared, n), node_id);
        if (n == p->child_no || connections <= most_connections)
            continue;
        most = n;
        most_connections = connections;
    }
    if (most_connections == 0)
        return;
    ask(p, most, node_id);
    l->turn = (l->turn + 1) % slots;
    if (l->turn != most && l->turn != p->child_no &&
        connections_of(shared_child(p->shared, l->turn), node_id) > 0)
        ask(p, l->turn, node_id);
}

struct pool_places
limits_places(struct limits *l)
{
    return (struct pool_places){
        .ctx = l, .take = take, .give = give, .waiting = waiting, .spare = spare};
}

bool
limits_owes(struct limits *l, uint32_t from_slot, int node_id)
{
    struct proc *p = l->proc;
    uint32_t own = connections_of(shared_child(p->shared, p->child_no), node_id);
    uint32_t slots = shared_layout(p->shared)->child_slots;
    bool others_wait;
    uint32_t mine;

    if (p->config->max_backend_connections == 0)
        return false;
    mine = share(p, node_id, &others_wait);
    for (uint32_t n = 0; n < slots; n++) {
        uint32_t theirs = connections_of(shared_child(p->shared, n), node_id);
        if (slot_of_child(n) == from_slot)
            return theirs == 0 || (theirs < mine && own > mine);
    }
    return false;
}

void
limits_tell(struct limits *l, uint32_t waiting_count)
{
    int64_t now_ns = clock_monotonic_ns();

    if (waiting_count == 0 || (l->told_ns != 0 && now_ns - l->told_ns < TELL_EVERY_S * NS_PER_S))
        return;
    l->told_ns = now_ns;
    log_warning("%u clients wait for a server connection: there are as many as "
                "max_backend_connections (%lld) lets there be",
                waiting_count, (long long)l->proc->config->max_backend_connections);
}
