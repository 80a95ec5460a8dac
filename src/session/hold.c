/*
 * Sessions that wait because their database is paused, or because the node that they need is
 * drained.
 *
 * Called by place.c, client.c and startup.c before a session asks for a connection, and by
 * proc/child when something has changed. Who has a connection goes on with it. Who waits holds
 * none, is in no line, and is placed anew when it goes on: the nodes may have changed their roles
 * meanwhile. It waits as long as it takes: neither query_wait_timeout nor authentication_timeout
 * counts. Invariant: who is on hold is in the host's list, and stalled or logging in.
 */
#include "session/internal.h"

#include <string.h>

static bool
is_linked(const struct session *s, int node_id)
{
    return s->primary != NULL || (s->reader != NULL && s->reader->node_id == node_id);
}

/* Nothing of the session's is on it, so that it can be had again elsewhere. */
static void
drop_idle(struct session *s, struct server *server)
{
    if (server != NULL && server->state == SERVER_LENT && server_is_idle(server) &&
        s->batch != server && s->replaying != server && (s->cur != server || s->pass_left == 0))
        session_drop_link(s, server);
}

static enum session_slot_hold
ask(const struct session *s, int node_id)
{
    return s->host->on_hold(s->host->ctx, s->log.database, node_id);
}

static void
join(struct session *s, enum session_slot_hold why)
{
    pool_wait_no_more(s->host->pool, &s->waiter);
    list_append(&s->host->held, &s->lookup_link);
    s->on_hold = true;
    if (s->place.slot != NULL)
        atomic_store_explicit(&s->place.slot->on_hold, why, memory_order_relaxed);
}

bool
hold_stops(struct session *s, int node_id)
{
    enum session_slot_hold why;

    if (is_linked(s, node_id))
        return false;
    why = ask(s, node_id);
    if (why == SESSION_HOLD_NONE)
        return false;
    drop_idle(s, s->reader);
    join(s, why);
    return true;
}

void
hold_leave(struct session *s)
{
    list_remove(&s->lookup_link);
    s->on_hold = false;
    if (s->place.slot != NULL)
        atomic_store_explicit(&s->place.slot->on_hold, SESSION_HOLD_NONE, memory_order_relaxed);
}

void
session_hosts_held_go_on(struct session_host *host)
{
    struct list waiters;

    list_init(&waiters);
    while (!list_empty(&host->held)) {
        struct session *s = list_first(&host->held, struct session, lookup_link);
        list_remove(&s->lookup_link);
        list_append(&waiters, &s->lookup_link);
    }
    /* one may end another, which leaves the list then */
    while (!list_empty(&waiters)) {
        struct session *s = list_first(&waiters, struct session, lookup_link);
        hold_leave(s);
        if (s->state == CLIENT_LOGIN)
            startup_go_on(s);
        else
            client_go_on(s);
    }
}

void
session_holds_changed(struct session *s)
{
    struct server *reader = s->reader;

    if (s->state == CLIENT_LOGIN && s->waiter.line != NULL &&
        ask(s, s->waiter.node_id) != SESSION_HOLD_NONE) {
        pool_wait_no_more(s->host->pool, &s->waiter);
        memset(s->tried, 0, sizeof(s->tried));
        startup_go_on(s);
    }
    if (s->state != CLIENT_READY)
        return;
    if (reader != NULL && s->tx_status == 'I' && ask(s, reader->node_id) != SESSION_HOLD_NONE)
        drop_idle(s, reader);
    session_release(s);
    /* what it waits for is not to be had: it waits elsewhere */
    if (s->waiter.line != NULL && s->stall == STALL_SERVER &&
        ask(s, s->waiter.node_id) != SESSION_HOLD_NONE)
        client_go_on(s);
}
