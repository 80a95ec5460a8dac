/*
 * Sessions that wait because their database is paused, or because the node that they need is
 * drained.
 *
 * Called by place.c, client.c and startup.c before a session asks for a connection, and by
 * proc/child when something has changed. Who has a connection goes on with it. Who waits holds
 * none, is in no line, and is placed anew when it goes on: the nodes may have changed their roles
 * meanwhile. It waits as long as it takes: neither query_wait_timeout nor authentication_timeout
 * counts. For a primary while there is none, or while it takes no connections, it waits as long as
 * failover_wait says. Invariant: who is on hold is in the host's list, and stalled or logging in.
 */
#include "session/login_state.h"

#include <string.h>

enum { SUSPECT_MS = 100, TRY_MS = 3000 };

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

/* One session at a time tries a node that has just failed. */
static bool
is_suspect(struct session_host *host, int node_id)
{
    int64_t now_ns = io_now_ns(host->io);

    if (node_id < 0 || node_id != host->suspect_node)
        return false;
    if (now_ns < host->suspect_until_ns)
        return true;
    host->suspect_until_ns = now_ns + TRY_MS * NS_PER_MS;
    return false;
}

/* Has it time left to wait for a primary? */
static bool
may_wait(struct session *s)
{
    int64_t now_ns = io_now_ns(s->host->io);

    if (s->host->options.failover_wait_ms == 0)
        return false;
    if (s->outage_ns == 0)
        s->outage_ns = now_ns;
    return now_ns - s->outage_ns < s->host->options.failover_wait_ms * NS_PER_MS;
}

bool
hold_stops(struct session *s, int node_id)
{
    enum session_slot_hold why;

    /* -1: its connection is one to a primary that was, and that it has not heard of yet */
    if (node_id != -1 && is_linked(s, node_id))
        return false;
    why = ask(s, node_id);
    /* whoever logs in may do so at any node, or at none */
    if (why == SESSION_HOLD_NONE && s->state == CLIENT_READY && is_suspect(s->host, node_id))
        why = SESSION_HOLD_PRIMARY;
    if (why == SESSION_HOLD_NONE ||
        (why == SESSION_HOLD_PRIMARY && (s->state != CLIENT_READY || !may_wait(s))))
        return false;
    drop_idle(s, s->reader);
    join(s, why);
    return true;
}

bool
hold_for_copy(struct session *s)
{
    if (!may_wait(s))
        return false;
    join(s, SESSION_HOLD_PRIMARY);
    return true;
}

void
hold_writes(struct session *s)
{
    s->stall = STALL_SERVER;
    join(s, SESSION_HOLD_PAUSE);
}

static void
try_again(void *ctx)
{
    session_hosts_held_go_on(ctx);
}

bool
hold_suspects(struct session *s, int node_id, const struct err *err)
{
    struct session_host *host = s->host;

    if (node_id != host->view->primary_id || !pool_blames_node(err) || !may_wait(s))
        return false;
    if (host->suspect_node != node_id)
        log_info("statements wait for node %d: %s", node_id, err->message);
    host->suspect_node = node_id;
    host->suspect_until_ns = io_now_ns(host->io) + SUSPECT_MS * NS_PER_MS;
    io_timer_start(host->io, &host->suspect, SUSPECT_MS, try_again, host);
    join(s, SESSION_HOLD_PRIMARY);
    return true;
}

static void
positions_late(void *ctx)
{
    session_hosts_positions_known(ctx);
}

void
hold_for_positions(struct session *s, int64_t limit_ms)
{
    struct session_host *host = s->host;

    drop_idle(s, s->reader);
    join(s, SESSION_HOLD_NONE); /* for what can be seen of it, it works */
    host->want_positions(host->ctx, s->look_ns);
    /* what was told before that was not told to us */
    if (host->refresh(host->ctx) && cluster_has_heard(host->view, s->look_ns))
        limit_ms = 0;
    if (!host->awaits_positions || limit_ms == 0)
        io_timer_start(host->io, &host->positions, limit_ms, positions_late, host);
    host->awaits_positions = true;
}

void
session_hosts_positions_known(struct session_host *host)
{
    if (likely(!host->awaits_positions))
        return;
    io_timer_stop(&host->positions);
    host->awaits_positions = false;
    session_hosts_held_go_on(host);
}

void
hold_trusts(struct session *s, int node_id)
{
    struct session_host *host = s->host;

    if (likely(node_id != host->suspect_node) || node_id < 0)
        return;
    host->suspect_node = -1;
    io_timer_start(host->io, &host->suspect, 0, try_again, host);
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
        memset(s->login->tried, 0, sizeof(s->login->tried));
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

/* It waited in vain, or for too long for its client. */
void
hold_give_up(struct session *s, const struct unit *u)
{
    struct err err;

    if (s->cancelled) {
        err_set(&err, "57014", "canceling statement due to user request");
    } else if (s->outage_ns != 0) {
        place_no_server(s, &err);
    } else {
        err_set(&err, "53300", "no server connection became free within query_wait_timeout");
        err_hint(&err, "Raise max_backend_connections or query_wait_timeout, or end transactions "
                       "sooner.");
    }
    s->waited_out = s->cancelled = false;
    s->outage_ns = 0;
    client_refuse_unit(s, u, &err);
}
