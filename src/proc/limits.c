/*
 * A child's share of the connections to each node.
 *
 * Called by the child's pool before it dials, after it has closed, and while clients wait. What is
 * counted together is a group: 0 are all connections, the others those of an entry of pool_limits.
 * Invariants: over all children no group has ever more than its max_backend_connections to a node,
 * but for what was there before a reload; a child that is killed leaves none counted
 * (shared_clear_child).
 */
#include "proc/limits.h"

#include "base/log.h"
#include "config/config.h"
#include "ipc/inbox.h"
#include "ipc/shared.h"
#include "os/clock.h"
#include "proc/proc.h"

#include <string.h>

enum { TELL_EVERY_S = 60 };

_Static_assert((int)GROUPS_MAX == (int)CONFIG_GROUPS_MAX, "a group for every entry");

void
limits_configure(struct limits *l)
{
    const struct config *cfg = l->proc->config;

    memset(l->most, 0, sizeof(l->most));
    l->most[0] = (uint32_t)cfg->max_backend_connections;
    for (uint32_t n = 0; n < cfg->limits.count; n++) {
        if (cfg->limits.list[n].group > 0)
            l->most[cfg->limits.list[n].group] = cfg->limits.list[n].max_connections;
    }
}

static struct shared_place
shared_place(struct pool_place place)
{
    return (struct shared_place){place.group, place.node_id};
}

static uint32_t
connections_of(struct proc *p, uint32_t child_no, struct pool_place place)
{
    return atomic_load_explicit(
        &shared_group(p->shared, child_no, place.group)->connections[place.node_id],
        memory_order_relaxed);
}

static bool
waits(struct proc *p, uint32_t child_no, struct pool_place place)
{
    return atomic_load_explicit(
               &shared_group(p->shared, child_no, place.group)->waiting[place.node_id],
               memory_order_relaxed) > 0;
}

/* Has the child ever used the group? Its memory is looked at only then. */
static bool
knows(struct proc *p, uint32_t child_no, struct pool_place place)
{
    return atomic_load_explicit(&shared_child(p->shared, child_no)->groups, memory_order_relaxed) >
           place.group;
}

/* What each may have when all that have or want any have the same; others_wait_r: some want. */
static uint32_t
share(struct limits *l, struct pool_place place, bool *others_wait_r)
{
    struct proc *p = l->proc;
    uint32_t slots = shared_layout(p->shared)->child_slots;
    uint32_t children = 1;

    *others_wait_r = false;
    for (uint32_t n = 0; n < slots; n++) {
        if (n == p->child_no || !knows(p, n, place))
            continue;
        *others_wait_r |= waits(p, n, place);
        children += waits(p, n, place) || connections_of(p, n, place) > 0;
    }
    return MAX(l->most[place.group] / children, 1U);
}

static bool
take_of(struct limits *l, struct pool_place place)
{
    struct proc *p = l->proc;
    uint32_t limit = l->most[place.group];
    bool others_wait;

    if (limit > 0 && connections_of(p, p->child_no, place) >= share(l, place, &others_wait) &&
        others_wait)
        return false; /* a place that has become free is for one of them */
    return shared_take_connection(p->shared, p->child_no, shared_place(place), limit);
}

static uint32_t
group(void *ctx, const char *user, const char *database)
{
    struct limits *l = ctx;
    const struct config_limit *entry = config_limit_find(&l->proc->config->limits, database, user);

    return entry != NULL ? entry->group : 0;
}

static bool
take(void *ctx, struct pool_place place, uint32_t *full_r)
{
    struct limits *l = ctx;

    *full_r = place.group;
    if (place.group != 0 && !take_of(l, place))
        return false;
    *full_r = 0;
    if (take_of(l, (struct pool_place){0, place.node_id}))
        return true;
    if (place.group != 0)
        shared_give_connection(l->proc->shared, l->proc->child_no, shared_place(place));
    return false;
}

static void
give(void *ctx, struct pool_place place)
{
    struct proc *p = ((struct limits *)ctx)->proc;

    shared_give_connection(p->shared, p->child_no, (struct shared_place){0, place.node_id});
    if (place.group != 0)
        shared_give_connection(p->shared, p->child_no, shared_place(place));
}

/* What is there stays, also where it is more than there may be. */
static void
move(void *ctx, struct pool_place from, uint32_t to)
{
    struct proc *p = ((struct limits *)ctx)->proc;

    if (to != 0)
        shared_take_connection(p->shared, p->child_no, (struct shared_place){to, from.node_id}, 0);
    if (from.group != 0)
        shared_give_connection(p->shared, p->child_no, shared_place(from));
}

static void
waiting(void *ctx, struct pool_place place, int change)
{
    struct proc *p = ((struct limits *)ctx)->proc;

    shared_note_waiting(p->shared, p->child_no, shared_place(place), change);
}

static void
ask(struct proc *p, uint32_t child_no, struct pool_place place)
{
    struct inbox_msg msg = {.kind = INBOX_SPARE};

    msg.node.node_id = place.node_id;
    msg.node.group = place.group;
    proc_send(p, shared_slot_of_child(p->shared, child_no), &msg);
}

static bool
has_any(struct proc *p, uint32_t child_no, struct pool_place place)
{
    return knows(p, child_no, place) && connections_of(p, child_no, place) > 0;
}

/* Asks the child that has most, and another one in turn, as only itself knows what it needs. */
static void
spare(void *ctx, struct pool_place place)
{
    struct limits *l = ctx;
    struct proc *p = l->proc;
    uint32_t slots = shared_layout(p->shared)->child_slots;
    uint32_t most = p->child_no;
    uint32_t most_connections = 0;

    for (uint32_t n = 0; n < slots; n++) {
        uint32_t connections = knows(p, n, place) ? connections_of(p, n, place) : 0;
        if (n == p->child_no || connections <= most_connections)
            continue;
        most = n;
        most_connections = connections;
    }
    if (most_connections == 0)
        return;
    ask(p, most, place);
    l->turn = (l->turn + 1) % slots;
    if (l->turn != most && l->turn != p->child_no && has_any(p, l->turn, place))
        ask(p, l->turn, place);
}

struct pool_places
limits_places(struct limits *l)
{
    return (struct pool_places){.ctx = l,
                                .group = group,
                                .take = take,
                                .give = give,
                                .move = move,
                                .waiting = waiting,
                                .spare = spare};
}

bool
limits_owes(struct limits *l, uint32_t from_slot, struct pool_place place)
{
    struct proc *p = l->proc;
    uint32_t from = from_slot - shared_first_child(p->shared);
    uint32_t own = connections_of(p, p->child_no, place);
    bool others_wait;
    uint32_t theirs;
    uint32_t mine;

    if (l->most[place.group] == 0 || from >= shared_layout(p->shared)->child_slots)
        return false;
    mine = share(l, place, &others_wait);
    theirs = connections_of(p, from, place);
    return theirs == 0 || (theirs < mine && own > mine);
}

/* "user \"app\" of database \"shop\"", and what they wait for. */
static void
tell(const struct limits *l, const struct pool_crowd *crowd)
{
    const struct config *cfg = l->proc->config;
    const struct config_limit *entry =
        crowd->full.group != 0 ? config_limit_find(&cfg->limits, crowd->database, crowd->user)
                               : NULL;

    if (crowd->full.group == POOL_GROUP_PACED) {
        log_warning("clients wait for a server connection: %u, the longest for %lld ms; node %d "
                    "takes logins slowly",
                    crowd->all, (long long)(crowd->longest_ns / NS_PER_MS), crowd->full.node_id);
        return;
    }
    log_warning("clients wait for a server connection: %u, the longest for %lld ms; most of them, "
                "%u, as user "
                "\"%s\" for database \"%s\" at node %d, which has %u of at most %u connections "
                "(max_backend_connections%s)",
                crowd->all, (long long)(crowd->longest_ns / NS_PER_MS), crowd->waiting, crowd->user,
                crowd->database, crowd->full.node_id,
                shared_connections(l->proc->shared, shared_place(crowd->full)),
                l->most[crowd->full.group], entry != NULL ? " in pool_limits" : "");
}

void
limits_tell(struct limits *l, struct pool *pool)
{
    int64_t now_ns = clock_monotonic_ns();
    struct pool_crowd crowd;

    if (pool_waiting(pool) == 0 ||
        (l->told_ns != 0 && now_ns - l->told_ns < TELL_EVERY_S * NS_PER_S))
        return;
    l->told_ns = now_ns;
    pool_crowd(pool, &crowd);
    tell(l, &crowd);
}
