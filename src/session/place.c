/*
 * Where a unit goes: to which node, for which reason, and over which connection.
 *
 * Called by client.c for each unit, and by explain.c. Deciding changes nothing but the node that
 * the session's reads go to; placing ends what must end first and links the session to the node.
 */
#include "session/internal.h"

#include "os/clock.h"
#include "wire/proto.h"

#include <string.h>

enum {
    BEHIND_US = 1000 * 1000,
    POSITIONS_MS = 50, /* for a standby that hangs nobody waits longer */
};

/* Have all that are in use said where they stand, or had the time to? */
static bool
positions_are_known(const struct session *s)
{
    return clock_monotonic_ns() - s->look_ns > POSITIONS_MS * NS_PER_MS ||
           cluster_has_heard(s->host->view, s->look_ns);
}

/* What other pgpools have written is noted nowhere here. All of it lies in front of where the
 * primary stands when it is asked from now on. Without a primary that says so a session that is to
 * see its own reads what there is: this pgpool may be cut off, and the standbys are at hand. */
static int64_t
others_not_before_ns(struct session *s)
{
    enum session_consistency wants = session_options(s)->consistency;

    if (likely(!s->host->is_one_of_several) || s->state != CLIENT_READY ||
        wants == SESSION_SEES_WHATEVER)
        return 0;
    if (s->look_ns == 0)
        s->look_ns = clock_monotonic_ns();
    if (unlikely(s->host->view->primary_id < 0) && wants == SESSION_SEES_ITS_OWN &&
        positions_are_known(s))
        return 0;
    return s->look_ns;
}

static int64_t
own_not_before_ns(const struct session *s)
{
    switch (session_options(s)->consistency) {
    case SESSION_SEES_ALL:
        return MAX(s->last_write_ns, s->host->last_write(s->host->ctx));
    case SESSION_SEES_WHATEVER:
        return 0;
    default:
        return s->last_write_ns;
    }
}

/* From when on a standby must know everything. */
int64_t
place_not_before_ns(struct session *s)
{
    return MAX(own_not_before_ns(s), others_not_before_ns(s));
}

/* No standby was fresh enough: may one prove to be, when all have been asked? */
static bool
waits_for_positions(struct session *s)
{
    if (s->look_ns == 0 || positions_are_known(s))
        return false;
    hold_for_positions(s, POSITIONS_MS);
    return true;
}

bool
place_waits_to_ask(struct session *s)
{
    enum route_reason reason;

    return unlikely(s->host->is_one_of_several) && s->host->view->primary_id < 0 &&
           place_reader(s, NULL, &reason) < 0 && waits_for_positions(s);
}

static bool
may_read(struct session *s, const struct cluster_pick *pick)
{
    const struct cluster_view *view = s->host->view;

    if (s->reader_node < 0)
        return false;
    return cluster_may_read(view, s->reader_node, pick) ||
           (s->host->refresh(s->host->ctx) && s->reader_node >= 0 &&
            cluster_may_read(view, s->reader_node, pick));
}

static void
choose_reader(struct session *s, const struct cluster_pick *pick)
{
    const struct cluster_view *view = s->host->view;

    if (s->wish.kind == ROUTE_WISH_NODE && cluster_may_read(view, s->wish.node_id, pick))
        s->reader_node = (int16_t)s->wish.node_id;
    else
        s->reader_node = (int16_t)cluster_pick_reader(view, s->host->cursor, pick);
    if (s->place.slot != NULL)
        s->place.slot->load_balance_node = s->reader_node;
}

/* One that hangs behind is left for another; a moment's lag is not worth a new connection. */
static bool
hangs_behind(const struct session *s)
{
    const struct cluster_node *node = &s->host->view->nodes[s->reader_node];

    return session_options(s)->prefer_other_standby || node->delay_us > BEHIND_US;
}

/* A standby refuses each statement of a session whose transactions are serializable by default,
 * and who they are cannot be seen from here. */
static bool
may_be_serializable(const struct session *s)
{
    const struct cluster_view *view = s->host->view;

    return view->primary_id >= 0 && view->nodes[view->primary_id].serializable;
}

/* Why no standby will do, with some to choose from. */
static enum route_reason
why_no_standby(const struct session *s, const struct cluster_pick *pick)
{
    const struct cluster_view *view = s->host->view;
    struct cluster_pick fresh = {.not_before_ns = pick->not_before_ns, .exclude = s->refused};

    if (s->reader_node < 0 || s->reader_node == view->primary_id)
        return ROUTE_NO_STANDBY;
    return cluster_may_read(view, s->reader_node, &fresh) ? ROUTE_LATE : ROUTE_NOT_FRESH;
}

static void
forget_refusals(struct session *s)
{
    if (s->refused_ns == 0 || io_now_ns(s->host->io) - s->refused_ns <= REFUSED_S * NS_PER_S)
        return;
    memset(&s->refused, 0, sizeof(s->refused));
    s->refused_ns = 0;
}

/* What rules out every standby; 0: nothing does. */
static enum route_reason
why_never(const struct session *s)
{
    if (!session_options(s)->load_balance)
        return ROUTE_OFF;
    if (s->wish.kind == ROUTE_WISH_PRIMARY)
        return ROUTE_REDIRECTED_PRIMARY;
    return may_be_serializable(s) ? ROUTE_SERIALIZABLE : ROUTE_BALANCED;
}

/* Nodes that are out, for the session, and for what the unit (NULL: whatever it is) reads. */
static void
exclude_nodes(struct session *s, const struct unit *u, struct cluster_pick *pick,
              struct cluster_pick *any)
{
    pick->exclude = any->exclude = s->refused;
    if (likely(s->host->carried == NULL))
        return;
    carried_exclude(s, NULL, &any->exclude);
    carried_exclude(s, u, &pick->exclude);
}

int
place_reader(struct session *s, const struct unit *u, enum route_reason *reason_r)
{
    const struct cluster_view *view = s->host->view;
    const struct session_options *o = session_options(s);
    struct cluster_pick pick = {.not_before_ns = place_not_before_ns(s),
                                .max_delay_bytes = o->max_delay_bytes,
                                .max_delay_us = o->max_delay_us,
                                .standbys_only = s->wish.kind == ROUTE_WISH_STANDBY};
    struct cluster_pick any = {.standbys_only = pick.standbys_only};

    forget_refusals(s);
    exclude_nodes(s, u, &pick, &any);
    *reason_r = why_never(s);
    if (*reason_r != ROUTE_BALANCED)
        return view->primary_id;
    *reason_r = s->wish.kind == ROUTE_WISH_NONE ? ROUTE_BALANCED : ROUTE_REDIRECTED;
    if (o->statement_level_balance)
        choose_reader(s, &pick);
    else if (s->reader_node < 0 || !cluster_may_read(view, s->reader_node, &any))
        choose_reader(s, &any);
    if (may_read(s, &pick))
        return s->reader_node;
    if (s->reader_node >= 0 && !o->statement_level_balance &&
        (hangs_behind(s) || cluster_set_has(&pick.exclude, s->reader_node))) {
        int before = s->reader_node;
        choose_reader(s, &pick);
        if (may_read(s, &pick))
            return s->reader_node;
        s->reader_node = (int16_t)before;
    }
    *reason_r = carried_anywhere(s, u) ? why_no_standby(s, &pick) : ROUTE_NOT_CARRIED;
    return view->primary_id;
}

/* Where a comment wants the read to go, if that is as fresh as it must be; else the primary. */
static int
hinted_node(struct session *s, const struct unit *u, enum route_reason *reason_r)
{
    const struct cluster_view *view = s->host->view;
    struct cluster_pick pick = {.not_before_ns = place_not_before_ns(s),
                                .standbys_only = u->hint == SQL_HINT_STANDBY,
                                .exclude = s->refused};
    int node_id = u->hint == SQL_HINT_NODE ? (int)u->hint_node : s->reader_node;

    *reason_r = ROUTE_HINTED;
    s->host->refresh(s->host->ctx);
    carried_exclude(s, u, &pick.exclude);
    if (u->hint == SQL_HINT_NODE && u->hint_node >= CLUSTER_NODES_MAX)
        node_id = -1;
    else if (cluster_may_read(view, node_id, &pick))
        return node_id;
    else
        node_id =
            u->hint == SQL_HINT_STANDBY ? cluster_pick_reader(view, s->host->cursor, &pick) : -1;
    if (node_id >= 0)
        return node_id;
    *reason_r = ROUTE_NOT_FRESH;
    return view->primary_id;
}

bool
place_is_after_write(const struct session *s, bool in_tx)
{
    /* each of its statements would have to ask, and could not leave the standby any more */
    if (unlikely(s->host->is_one_of_several) && in_tx &&
        session_options(s)->consistency == SESSION_SEES_ALL)
        return true;
    switch (session_options(s)->after_write) {
    case SESSION_AFTER_WRITE_ALWAYS:
        return s->has_written;
    case SESSION_AFTER_WRITE_TRANSACTIONS:
        return s->tx_has_written && in_tx;
    default:
        return false;
    }
}

/* What keeps the unit at the primary, but for the standbys themselves; 0: nothing does. */
static enum route_reason
why_primary(struct session *s, const struct unit *u)
{
    if (unlikely(s->to_primary_once))
        return ROUTE_RETRIED;
    if (s->pinned && (!u->may_write || u->reason == ROUTE_NOT_ASKED))
        return ROUTE_PINNED;
    if (u->to_primary)
        return (enum route_reason)u->reason;
    if (u->may_write)
        return ROUTE_WRITES;
    if (u->partial || (u->flushes && u->binds))
        return ROUTE_BATCH;
    if ((u->has_begin && !tx_batch_may_read(s, u)) || (s->tx.deferred && !u->tx_read))
        return ROUTE_TRANSACTION_KIND;
    if (unlikely(place_is_after_write(s, u->has_begin || s->tx_status != 'I')))
        return ROUTE_AFTER_WRITE;
    return ROUTE_BALANCED;
}

/* Where a unit goes that no transaction, batch or owed answer holds. */
static int
choose_node(struct session *s, const struct unit *u, enum route_reason *reason_r)
{
    *reason_r = why_primary(s, u);
    if (*reason_r != ROUTE_BALANCED)
        return s->host->view->primary_id;
    return u->hint != SQL_HINT_NONE ? hinted_node(s, u, reason_r) : place_reader(s, u, reason_r);
}

static bool
busy(const struct server *server)
{
    return server != NULL && (server->pending.count > 0 || server->pending.skip_till_sync);
}

/* A batch that only prepared, or only read, and was flushed: ended by a Sync of ours, goes on
 * elsewhere. */
void
place_end_batch(struct session *s, struct server *server)
{
    server_expect(server, PENDING_SYNC, true, 0, NULL);
    server_send(server, "S\0\0\0\4", 5);
    s->batch = NULL;
    s->batch_forgets = false;
    s->batch_flags = 0;
    s->stall = STALL_ANSWERS;
}

/* The transaction on the reader goes on at the primary; the unit waits for the reader's answers. */
static int
leave_reader(struct session *s)
{
    s->stall = STALL_ANSWERS;
    if (s->batch == s->reader)
        place_end_batch(s, s->reader);
    else if (s->reader->pending.count == 0)
        tx_leave_reader(s);
    return 1;
}

static bool
leaves_reader(struct session *s, const struct unit *u)
{
    return s->tx.on_reader && s->cur == s->reader && !tx_stays_on_reader(s, u);
}

/* A transaction, COPY, or a batch that failed. */
static bool
is_held(const struct server *cur)
{
    return cur != NULL &&
           (cur->tx_status != 'I' || cur->pending.skip_till_sync || cur->pending.copy_in);
}

int
place_decide(struct session *s, const struct unit *u, enum route_reason *reason_r)
{
    *reason_r = ROUTE_TRANSACTION;
    if (leaves_reader(s, u)) {
        *reason_r = why_primary(s, u);
        if (*reason_r == ROUTE_BALANCED)
            *reason_r = ROUTE_TRANSACTION_KIND;
        return s->host->view->primary_id;
    }
    if (is_held(s->cur))
        return s->cur->node_id;
    return choose_node(s, u, reason_r);
}

/* Native replication: the failover process does not know of any node that it has everything. */
static bool
has_no_copy(const struct session *s)
{
    const struct cluster_view *view = s->host->view;

    for (uint32_t n = 0; n < view->node_count; n++) {
        if (view->nodes[n].copy)
            return false;
    }
    return s->copies != NULL;
}

int
place_no_server(const struct session *s, struct err *err)
{
    err_set(err, "57P03", "no PostgreSQL server is available for this statement");
    if (has_no_copy(s)) {
        err_detail(err, "No node is known to have all that was written.");
        err_hint(err, "Compare the nodes. If they are equal, start pgpool with -D; else attach the "
                      "one that is right.");
        return -1;
    }
    if (s->outage_ns != 0)
        err_detail(err, "It has waited for a primary as long as failover_wait says.");
    return -1;
}

int
place_unit(struct session *s, const struct unit *u, struct server **server_r,
           enum route_reason *reason_r, struct err *err)
{
    struct server *cur = s->cur;
    bool waits;
    int node_id;

    *reason_r = ROUTE_TRANSACTION;
    if (leaves_reader(s, u))
        return leave_reader(s);
    if (is_held(cur)) {
        *server_r = cur;
        return 0;
    }
    if (cur != NULL && (cur->pending.count > 0 || s->batch == cur)) {
        /* an open batch may go on, and answers may follow one another, where they are */
        if (cur == s->primary ||
            (why_primary(s, u) == ROUTE_BALANCED && carried_at(s, u, cur->node_id)) ||
            tx_stays_on_reader(s, u)) {
            *server_r = cur;
            return 0;
        }
        if (cur->pending.count > 0) {
            s->stall = STALL_ANSWERS;
            return 1;
        }
        place_end_batch(s, cur);
        return 1;
    }
    node_id = choose_node(s, u, reason_r);
    if (unlikely(s->look_ns != 0)) {
        if ((*reason_r == ROUTE_NOT_FRESH || node_id < 0) && waits_for_positions(s)) {
            s->stall = STALL_SERVER;
            return 1;
        }
        if (session_options(s)->consistency == SESSION_SEES_ALL)
            s->look_ns = 0;
    }
    if (hold_may_stop(s, node_id) && hold_stops(s, node_id)) {
        s->stall = STALL_SERVER;
        return 1;
    }
    if (node_id < 0)
        return place_no_server(s, err);
    *server_r = session_link(s, node_id, &waits, err);
    if (*server_r == NULL && !waits) {
        s->stall = hold_suspects(s, node_id, err) ? STALL_SERVER : STALL_NONE;
        return s->stall == STALL_SERVER ? 1 : -1;
    }
    if (!waits && (*server_r)->node_id != node_id)
        *reason_r = ROUTE_NONE_FREE;
    if (waits || (*server_r)->state != SERVER_LENT) {
        s->stall = STALL_SERVER;
        return 1;
    }
    if (busy(*server_r) && *server_r != cur && (*server_r)->pending.forwards > 0)
        BUG("two connections owe answers to one client");
    return 0;
}
