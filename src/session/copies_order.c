/*
 * Snapshot isolation: all nodes' snapshots of a transaction are taken at one moment, and no commit
 * falls into it.
 *
 * Each transaction is REPEATABLE READ. Its first statement that needs a snapshot enters the gate of
 * its database for one (ipc/gate.h): BEGIN and a SELECT of ours go to the main node, to all copies,
 * and to the reader when the statement is a read; when all have answered, the gate is left. So any
 * of them may answer reads until the transaction writes. What needs one node alone (a read outside
 * of a transaction, a transaction that is READ ONLY by word) takes its snapshot there, in the same
 * way. COMMIT of what has written enters for a commit when all copies are prepared, and leaves when
 * the last node has committed. Nothing that may wait for a lock is done inside: deferred
 * constraints are checked in front of it.
 *
 * SERIALIZABLE is the main node's: there the transaction is it, and does all that it reads; the
 * others follow with the same snapshot.
 *
 * Invariants: who is queued at the gate holds nothing that others wait for but its transaction's
 * locks; no statement that needs a snapshot is sent before the transaction has one. Called by
 * client.c, answers.c and the other files of native replication. Source: PostgreSQL's manual,
 * section "Repeatable Read Isolation Level", and "SET TRANSACTION".
 */
#include "session/copies.h"

#include "ipc/gate.h"
#include "wire/build.h"

#include <stdio.h>
#include <string.h>

bool
copies_orders(const struct session *s)
{
    return s->copies != NULL && s->host->gates != NULL;
}

bool
copies_is_beginning(const struct session *s)
{
    return s->copies != NULL && s->copies->phase == COPIES_SNAPS;
}

/* ---- the gate ---------------------------------------------------------------------------------
 */

static void
leave(struct session_copies *c)
{
    if (c->host->gates != NULL)
        gate_leave(c->host->gates, &c->pass);
}

/* Names mean something else from now on, also to those who have a snapshot from before. Whoever has
 * waited for this transaction goes on as soon as the main node has committed, and must not take
 * what the copies know for what the main node does: so it is said in front of that. */
static void
definitions_may_commit(struct session_copies *c)
{
    if (c->s != NULL && c->s->defines)
        catalog_changed(c->host->catalog, pool_key_database(c->key));
}

static void
may_commit(struct session_copies *c)
{
    c->in_use = true;
    definitions_may_commit(c);
}

/* The session goes through all of its unit again; when that does not come to the snapshot, it was
 * let in for nothing. */
static void
granted(void *ctx)
{
    struct session_copies *c = ctx;
    struct session *s = c->s;

    if (c->phase == COPIES_QUEUES) {
        may_commit(c);
        c->phase = COPIES_PREPARED;
        copies_step(c);
        return;
    }
    if (s != NULL && s->state == CLIENT_READY && s->stall == STALL_SERVER)
        client_go_on(s);
    if (!c->dead && !c->in_use)
        leave(c);
}

static bool
enter(struct session_copies *c, enum gate_side side)
{
    if (c->pass.state != GATE_OUTSIDE && c->pass.side != side)
        leave(c); /* it has waited for what nobody wants any more */
    c->pass.granted = granted;
    c->pass.ctx = c;
    c->in_use = gate_enter(c->host->gates, &c->pass, pool_key_database(c->key), side);
    return c->in_use;
}

void
copies_order_leave(struct session_copies *c)
{
    leave(c);
    c->in_use = false;
}

bool
copies_order_commits(struct session_copies *c)
{
    if (c->host->gates == NULL || c->xid[0] == '\0') {
        definitions_may_commit(c);
        return true;
    }
    if (!enter(c, GATE_COMMIT))
        return false;
    may_commit(c);
    return true;
}

void
copies_order_reset(struct session_copies *c)
{
    const struct session *s = c->s;

    copies_order_leave(c);
    if (s != NULL && c->solo != NULL && (c->solo == s->primary || c->solo == s->reader))
        c->solo->watched &= (uint8_t)~SERVER_SHOWS_ENDS;
    c->solo = NULL;
    c->solo_own = c->solo_ends = c->has_snapshot = false;
}

/* ---- levels -----------------------------------------------------------------------------------
 */

static bool
is_serializable_by_default(const struct session *s)
{
    const struct cluster_view *view = s->host->view;

    return s->serializable || (view->primary_id >= 0 && view->nodes[view->primary_id].serializable);
}

void
copies_order_begins(struct session *s, const struct sql_statement *begin)
{
    s->copies->serial =
        begin->isolation == SQL_ISOLATION_SERIALIZABLE ||
        (begin->isolation == SQL_ISOLATION_DEFAULT && is_serializable_by_default(s));
    s->copies->read_only = begin->access == SQL_ACCESS_READ_ONLY;
}

void
copies_order_sets(struct session *s, const struct sql_statement *st)
{
    if (st->isolation != SQL_ISOLATION_DEFAULT)
        s->copies->serial = st->isolation == SQL_ISOLATION_SERIALIZABLE;
}

static const char *
level_at(const struct session_copies *c, const struct server *server)
{
    return c->serial && server == c->s->primary ? "SERIALIZABLE" : "REPEATABLE READ";
}

/* ---- which statements -------------------------------------------------------------------------
 */

/* PostgreSQL takes no snapshot for it, and the level can still be set behind it. */
static bool
needs_none(const struct unit *u)
{
    if (u->type == 'S' || u->type == 'H')
        return true;
    if (u->executed != 1)
        return false;
    switch (u->verb) {
    case SQL_EMPTY:
    case SQL_COMMIT:
    case SQL_ROLLBACK:
    case SQL_SET:
    case SQL_SET_LOCAL:
    case SQL_SET_SESSION:
    case SQL_SET_TX:
    case SQL_RESET_ALL:
    case SQL_LOCK:
    case SQL_LISTEN:
    case SQL_UNLISTEN:
    case SQL_NOTIFY:
        return true;
    default:
        return false;
    }
}

/* Outside of a block: does it read, and nothing else? */
static bool
is_read(const struct unit *u)
{
    switch (u->verb) {
    case SQL_SELECT:
    case SQL_EXPLAIN:
    case SQL_COPY_TO:
    case SQL_EXECUTE:
        return u->executed > 0;
    default:
        return false;
    }
}

static enum copies_turn
refuse(struct session *s, const struct unit *u, const char *what, const char *hint)
{
    struct err err;

    err_set(&err, "0A000", "%s cannot be run on all nodes (snapshot_isolation)", what);
    err_hint(&err, "%s", hint);
    client_refuse_unit(s, u, &err);
    return COPIES_ANSWERED;
}

/* ---- on one node ------------------------------------------------------------------------------
 */

static enum copies_turn
waits_at_gate(struct session *s)
{
    s->stall = STALL_SERVER;
    return COPIES_WAITS;
}

/* In front of the unit, in the same write. */
static enum copies_turn
take_solo(struct session_copies *c, struct server *server, const struct unit *u)
{
    struct session *s = c->s;
    struct buf sql = BUF_EMPTY;
    bool own = s->tx_status == 'I';

    if (server->pending.count > 0) {
        s->stall = STALL_ANSWERS;
        return COPIES_WAITS;
    }
    if (!enter(c, GATE_SNAPSHOT))
        return waits_at_gate(s);
    if (own)
        buf_add_str(&sql, "BEGIN");
    else
        buf_add(&sql, s->tx.begin, s->tx.begin_len);
    buf_add_str(&sql, "\n; SET TRANSACTION ISOLATION LEVEL ");
    buf_add_str(&sql, level_at(c, server));
    buf_add_str(&sql, own && u->may_write ? "; SELECT 1" : ", READ ONLY; SELECT 1");
    server->watched |= SERVER_SHOWS_ENDS;
    server_run_whole(server, (const char *)sql.data, sql.len, CYCLE_BEGIN | CYCLE_SNAPSHOT);
    buf_free(&sql);
    c->epoch = lookup_scope(s)->epoch;
    c->solo = server;
    c->solo_own = own;
    c->has_snapshot = true;
    if (!own) {
        tx_fini(s);
        s->tx.on_reader = server == s->reader;
    }
    return COPIES_GOES_ON;
}

void
copies_behind(struct session *s, const struct unit *u)
{
    struct session_copies *c = s->copies;

    copies_main_doubt(s->cur, u);
    if (c->rule.way == COPIES_ALL && unlikely(s->keeps.kinds != 0))
        copies_ran(c);
    if (u->chains && c->rule.chains)
        copies_chain_ask(c);
    if (!c->solo_own || c->solo_ends || !u->ends)
        return;
    c->solo_ends = true;
    server_run(c->solo, "COMMIT", 6, CYCLE_OWN_END);
}

/* The error of our COMMIT, behind answers that the client has: as PostgreSQL tells it. */
static void
tell_end_failed(struct session_copies *c, const uint8_t *msg, size_t len)
{
    struct buf b = BUF_EMPTY;
    struct err err;

    if (c->s->retry.due || server_is_fatal(msg, len))
        return;
    server_error_from_message(msg, len, &err);
    build_error(&b, "ERROR", &err);
    session_send(c->s, &b);
    buf_free(&b);
    c->failed = true;
}

bool
copies_order_ends(struct session *s, const struct server *server, uint8_t type, const uint8_t *msg,
                  size_t len)
{
    struct session_copies *c = s->copies;
    const struct pending_entry *head = &server->pending.ring[server->pending.head];

    if (!c->solo_own || server != c->solo || server->pending.count == 0)
        return false;
    if (type == 'E' && c->owes && head->flags & CYCLE_OWN_END)
        tell_end_failed(c, msg, len);
    return type == 'Z' && !head->skip;
}

/* The transaction round one read has ended: the client may have its ReadyForQuery. */
static void
end_solo(struct session_copies *c, struct server *server, const struct pending_entry *e,
         bool failed)
{
    struct session *s = c->s;
    struct pending_entry entry = c->owes ? c->entry : *e;
    bool owes = c->owes;
    bool tells = owes && !s->retry.due;
    bool undone = failed || server->tx_status != 'I';
    struct buf b = BUF_EMPTY;

    if (server->tx_status == 'E')
        server_run_whole(server, "ROLLBACK", 8, 0); /* a cancel request has come too late */
    failed = owes ? c->failed : failed;
    c->owes = c->failed = false;
    copies_order_reset(c);
    if (tells) {
        build_ready(&b, 'I');
        session_send(s, &b);
    }
    buf_free(&b);
    settings_tx_ended(s, server, !failed && !undone); /* what a batch of its like has set */
    answers_cycle_end(s, server, &entry, failed);
}

bool
copies_order_cycle_end(struct session *s, struct server *server, const struct pending_entry *e,
                       bool failed)
{
    struct session_copies *c = s->copies;

    if (c->solo == NULL || server != c->solo)
        return false;
    if (e->skip && e->flags & CYCLE_SNAPSHOT)
        copies_order_leave(c);
    if (!c->solo_own)
        return false;
    if (!e->skip) {
        c->owes = true;
        c->failed = failed;
        c->entry = definitions_kept(server, e, failed);
        return true;
    }
    if (!(e->flags & CYCLE_OWN_END))
        return false;
    end_solo(c, server, e, failed);
    return true;
}

/* ---- on all nodes -----------------------------------------------------------------------------
 */

/* begun: the transaction is open there. */
static void
run_snapshot(struct session_copies *c, struct server *server, bool begun)
{
    struct session *s = c->s;
    struct buf sql = BUF_EMPTY;

    if (!begun && s->tx_status == 'I')
        buf_add_str(&sql, "BEGIN\n; ");
    else if (!begun) {
        buf_add(&sql, c->begin.data, c->begin.len);
        buf_add_str(&sql, "\n; ");
    }
    buf_add_str(&sql, "SET TRANSACTION ISOLATION LEVEL ");
    buf_add_str(&sql, level_at(c, server));
    buf_add_str(&sql, "; SELECT 1");
    server_run_whole(server, (const char *)sql.data, sql.len, CYCLE_BEGIN);
    buf_free(&sql);
}

/* The main node's connection, when the unit was placed on the reader. NULL: *turn_r. */
static struct server *
link_main(struct session_copies *c, const struct unit *u, enum copies_turn *turn_r)
{
    struct session *s = c->s;
    int node_id = s->host->view->primary_id;
    struct server *main;
    struct err err;
    bool waits = true;

    *turn_r = COPIES_WAITS;
    s->stall = STALL_SERVER;
    if (hold_may_stop(s, node_id) && hold_stops(s, node_id))
        return NULL;
    main = node_id >= 0 ? session_link(s, node_id, &waits, &err) : NULL;
    if (main != NULL && main == s->primary && main->state == SERVER_LENT) {
        s->stall = STALL_ANSWERS;
        if (settings_replay(s, main) || main->pending.count > 0)
            return NULL;
        s->stall = STALL_NONE;
        return main;
    }
    if ((main != NULL || waits) && node_id >= 0)
        return NULL;
    if (node_id < 0)
        place_no_server(s, &err);
    else if (hold_suspects(s, node_id, &err))
        return NULL;
    s->stall = STALL_NONE;
    s->outage_ns = 0;
    client_refuse_unit(s, u, &err);
    *turn_r = COPIES_ANSWERED;
    return NULL;
}

static enum copies_turn
take_on_all(struct session_copies *c, struct server *server, const struct unit *u)
{
    struct session *s = c->s;
    enum copies_turn turn;
    struct server *main;
    struct err err;
    int rc;

    if (s->tx_status != 'I' && c->begin.len == 0)
        return refuse(s, u, "a transaction whose BEGIN is not known", "Send BEGIN by itself.");
    main = link_main(c, u, &turn);
    if (main == NULL)
        return turn;
    rc = copies_link(c, &err);
    if (rc < 0) {
        client_refuse_unit(s, u, &err);
        return COPIES_ANSWERED;
    }
    if (rc > 0)
        return COPIES_WAITS;
    if (server->pending.count > 0 || !copies_are_quiet(c)) {
        s->stall = STALL_ANSWERS;
        return COPIES_WAITS;
    }
    if (!enter(c, GATE_SNAPSHOT))
        return waits_at_gate(s);
    c->phase = COPIES_SNAPS;
    c->main_id = main->node_id;
    c->epoch = lookup_scope(s)->epoch;
    main->watched |= SERVER_SHOWS_ENDS;
    run_snapshot(c, main, main->tx_status != 'I');
    if (server != main)
        run_snapshot(c, server, server->tx_status != 'I'); /* open: by AND CHAIN */
    list_for_each (it, &c->copies) {
        struct copy *copy = list_entry(it, struct copy, link);
        if (copy->server == NULL)
            continue;
        run_snapshot(c, copy->server, copy->begun);
        copy->begun = true;
        copy->heard = c->ran;
    }
    c->own_tx = s->tx_status == 'I';
    c->main_begun = true;
    s->cur = server;
    s->stall = STALL_ANSWERS;
    return COPIES_WAITS;
}

void
copies_order_step(struct session_copies *c)
{
    struct session *s = c->s;

    if (s == NULL || s->primary == NULL || s->primary->pending.count > 0 || !copies_are_quiet(c) ||
        (s->cur != NULL && s->cur->pending.count > 0))
        return;
    copies_order_leave(c);
    c->has_snapshot = true;
    c->phase = COPIES_REST;
    if (!c->own_tx) {
        tx_fini(s);
        s->tx.on_reader = s->cur != NULL && s->cur == s->reader;
        c->main_begun = false;
    }
    if (c->doomed)
        copies_step(c);
    if (s->stall == STALL_ANSWERS)
        client_go_on(s);
}

enum copies_turn
copies_order_place(struct session *s, struct server *server, const struct unit *u)
{
    struct session_copies *c = s->copies;
    bool block = s->tx_status != 'I';

    if (c->has_snapshot || c->rule.way == COPIES_COMMIT || c->rule.way == COPIES_ROLLBACK ||
        c->rule.way == COPIES_ALONE || c->rule.way == COPIES_DISCARD || s->tx_status == 'E')
        return COPIES_GOES_ON;
    if (block && needs_none(u))
        return COPIES_GOES_ON;
    if (!block)
        c->serial = is_serializable_by_default(s);
    if (block && s->tx.deferred && c->read_only && c->rule.way == COPIES_AS_ALWAYS)
        return take_solo(c, server, u);
    if (!block && c->rule.way == COPIES_AS_ALWAYS)
        return is_read(u) ? take_solo(c, server, u) : COPIES_GOES_ON;
    return take_on_all(c, server, u);
}

bool
copies_order_is_stale(const struct session_copies *c, struct err *err)
{
    if (c->host->gates == NULL || !c->has_snapshot || !c->rule.judged ||
        c->epoch == lookup_scope(c->s)->epoch)
        return false;
    err_set(err, "40001", "could not serialize access due to a definition that has changed");
    err_hint(err, "Run the transaction again.");
    return true;
}

/* ---- before it is placed ----------------------------------------------------------------------
 */

static enum copies_turn
waits_for_answers(struct session *s)
{
    s->stall = STALL_ANSWERS;
    return COPIES_WAITS;
}

static bool
ends_block(const struct unit *u)
{
    return u->executed == 1 && (u->verb == SQL_COMMIT || u->verb == SQL_ROLLBACK);
}

/* Reads of the transaction were answered by the reader: what comes now is the main node's, which
 * has the same snapshot. */
static enum copies_turn
leave_reader(struct session_copies *c, const struct unit *u)
{
    struct session *s = c->s;

    if (s->cur->tx_status == 'E' && u->chains)
        return refuse(s, u, "ROLLBACK AND CHAIN behind a read that has failed on its own node",
                      "Send ROLLBACK, and begin another transaction.");
    if (s->cur->tx_status == 'E') { /* it tells the client so, up to the end of the block */
        if (ends_block(u) && copies_any_begun(c)) {
            copies_undo(c);
            copies_step_later(c);
        }
        return COPIES_GOES_ON;
    }
    if (u->tx_read || s->cur->pending.skip_till_sync || s->cur->pending.copy_in || u->type == 'S' ||
        u->type == 'H')
        return COPIES_GOES_ON;
    if (s->batch == s->reader) {
        place_end_batch(s, s->reader);
        return COPIES_WAITS;
    }
    if (s->reader->pending.count > 0)
        return waits_for_answers(s);
    server_run(s->reader, "COMMIT", 6, 0);
    s->tx.on_reader = false;
    s->cur = s->primary;
    return COPIES_GOES_ON;
}

/* BEGIN in front of other statements of a batch: it is a unit of its own, which nobody has sent. */
static enum copies_turn
split(struct session *s, const uint8_t *bytes, struct unit *u)
{
    size_t len;

    if (s->cur != NULL && s->cur->pending.count > 0)
        return waits_for_answers(s);
    len = u->type != 'Q' ? tx_begins_alone(s, bytes, u) : 0;
    if (len == 0)
        return refuse(s, u, "BEGIN among other statements", "Send BEGIN by itself.");
    u->bytes = len;
    u->pass_left = 0;
    return COPIES_ANSWERED;
}

/* No BEGIN goes to a server as the client has sent it. */
static enum copies_turn
look_at_begin(struct session *s, const uint8_t *bytes, struct unit *u)
{
    if (s->batch != NULL) {
        place_end_batch(s, s->batch);
        return COPIES_WAITS;
    }
    if (u->begins && s->tx_status == 'I' && (u->executed != 1 || !u->ends))
        return split(s, bytes, u);
    if (u->executed != 1)
        return refuse(s, u, "BEGIN among other statements", "Send BEGIN by itself.");
    return COPIES_GOES_ON;
}

/* The client does not wait for its unit any more. */
static void
give_up(struct session_copies *c)
{
    if (c->phase != COPIES_REST)
        return;
    copies_order_leave(c);
    if (!c->own_tx)
        return;
    copies_undo(c);
    copies_step_later(c);
}

enum copies_turn
copies_order_look(struct session *s, const uint8_t *bytes, struct unit *u)
{
    struct session_copies *c = s->copies;

    if (s->cancelled || s->waited_out)
        give_up(c);
    if (c->phase != COPIES_REST)
        return COPIES_GOES_ON;
    if (c->solo_own && c->solo_ends)
        return waits_for_answers(s);
    if (u->begins || (!u->chains && u->flags & CYCLE_OPENS)) {
        enum copies_turn turn = look_at_begin(s, bytes, u);
        if (turn != COPIES_GOES_ON)
            return turn;
    }
    if (u->chains && (u->executed != 1 || (!u->ends && !c->cuts)))
        return refuse(s, u, "AND CHAIN among other statements", "Send it by itself.");
    if (u->chains && c->solo != NULL && !c->solo_own) /* the next one is one of all nodes */
        copies_order_reset(c);
    if (c->serial && s->tx_status != 'I') {
        u->to_primary = true;
        u->reason = ROUTE_SERIALIZABLE;
    }
    if (s->tx.on_reader && c->solo == NULL && c->has_snapshot && s->cur == s->reader &&
        s->cur != NULL)
        return leave_reader(c, u);
    return COPIES_GOES_ON;
}

/* ---- ends -------------------------------------------------------------------------------------
 */

static bool
is_open(const struct server *server)
{
    return server != NULL && (server->tx_status != 'I' || server->pending.count > 0);
}

void
copies_order_cycle_ended(struct session *s)
{
    struct session_copies *c = s->copies;

    if (c->solo_own && !c->solo_ends && s->batch != c->solo && c->solo->pending.count == 0 &&
        c->solo->tx_status != 'I') {
        c->solo_ends = true; /* a batch that was flushed, and ended by us */
        server_run(c->solo, "COMMIT", 6, CYCLE_OWN_END);
        return;
    }
    if (c->has_snapshot && !c->solo_own && !c->own_tx && c->phase == COPIES_REST &&
        s->tx_status == 'I' && !copies_any_begun(c) && !is_open(s->primary) && !is_open(s->reader))
        copies_order_reset(c);
}

/* The client has all answers but the last: what has only read has read right, and what was set
 * holds; but SERIALIZABLE needs the COMMIT. What is to run again has no answer yet. */
static void
lose_solo(struct session_copies *c)
{
    struct session *s = c->s;
    struct buf b = BUF_EMPTY;
    struct err err;

    if (c->owes && s->state == CLIENT_READY && !s->retry.due) {
        if (c->serial && c->solo == s->primary && !c->failed) {
            copies_say_lost(&err, c->solo->node_id);
            build_error(&b, "ERROR", &err);
            c->failed = true;
        }
        build_ready(&b, 'I');
        session_send(s, &b);
        buf_free(&b);
    }
    settings_tx_ended(s, NULL, c->owes && !c->failed && !s->retry.due);
}

void
copies_order_lost(struct session *s, const struct server *server)
{
    struct session_copies *c = s->copies;

    if (server == c->solo) {
        if (c->solo_own)
            lose_solo(c);
        c->owes = c->failed = false;
        copies_order_reset(c);
    } else if (server == s->reader && (s->tx.on_reader || c->phase == COPIES_SNAPS) &&
               server == s->cur && copies_any_begun(c)) {
        copies_undo(c);
        copies_step_later(c);
    }
}

/* The block was begun there, too, though nothing was asked of it yet. */
void
copies_order_main_lost(struct session *s, const struct server *server)
{
    struct session_copies *c = s->copies;

    if (!s->tx.on_reader || !c->has_snapshot || c->solo != NULL || s->cur != s->reader)
        return;
    copies_say_lost(&c->doom, server->node_id);
    copies_fail_block(c, false);
}
