/*
 * Native replication: a client's unit on its way to all nodes.
 *
 * Called by client.c three times for each unit: before it is placed (what becomes of it), when it
 * is (connections, values), and when it leaves; and by answers.c with what the main node says. The
 * main node's answer goes to the client as it comes; where the statement is a transaction of its
 * own, or ends one, CommandComplete and ReadyForQuery are held until all nodes have committed.
 *
 * Invariants: at most one unit is in hand; whatever else the client sends waits for its end. A unit
 * that was looked at before is looked at again from the beginning when its session goes on.
 */
#include "session/copies.h"

#include "base/arena.h"
#include "base/num.h"
#include "base/str.h"
#include "config/config.h"
#include "sql/determinism.h"
#include "sql/rewrite.h"
#include "wire/build.h"

#include <stdlib.h>
#include <string.h>

enum { VALUES_MAX_BYTES = 64 * 1024 };

/* ---- life -------------------------------------------------------------------------------------
 */

struct session_copies *
copies_new(struct session *s)
{
    struct session_copies *c = xcalloc(1, sizeof(*c));

    c->host = s->host;
    c->s = s;
    c->key = s->key;
    pool_key_ref(c->key);
    c->main_id = -1;
    c->prepares = s->copies != NULL && s->copies->prepares;
    c->prepared_again = s->copies != NULL ? s->copies->prepared_again : 0;
    list_init(&c->copies);
    return c;
}

void
copies_start(struct session *s)
{
    if (s->host->determinism != NULL)
        s->copies = copies_new(s);
}

/* What is prepared, or about to be, is ended without it. */
void
copies_end(struct session *s)
{
    struct session_copies *c = s->copies;
    bool goes_on = c->phase >= COPIES_PREPARES;

    s->copies = NULL;
    if (c->phase > COPIES_REST && c->phase < COPIES_SETTLES)
        copies_doubt_draws(c);
    if (goes_on)
        copies_orphan(c);
    else
        copies_free(c);
}

bool
copies_owes(const struct session *s)
{
    return s->copies->owes;
}

bool
copies_is_busy(const struct session *s)
{
    return s->copies->phase != COPIES_REST || copies_any_begun(s->copies);
}

/* Its Parse may be what is answered next: with the rest of it. */
static bool
runs_statement(const struct pending *p)
{
    for (uint32_t n = 0; n < p->count; n++) {
        if (p->ring[(p->head + n) & (p->cap - 1)].flags & COPY_STATEMENT)
            return true;
    }
    return false;
}

bool
copies_cancel(struct session *s)
{
    struct session_copies *c = s->copies;

    c->cancelled = c->phase != COPIES_REST;
    pool_wait_no_more(s->host->pool, &c->waiter);
    list_for_each (it, &c->copies) {
        struct server *server = list_entry(it, struct copy, link)->server;
        if (server != NULL && server->state == SERVER_LENT && runs_statement(&server->pending))
            pool_cancel(server, NULL, NULL);
    }
    return c->phase != COPIES_UNDOES && c->phase != COPIES_FINISHES && c->phase != COPIES_DOUBT;
}

/* ---- errors -----------------------------------------------------------------------------------
 */

/* As a server's error would, it ends a transaction block that is open. */
static enum copies_turn
refuse(struct session_copies *c, const struct unit *u, const struct err *err)
{
    struct session *s = c->s;
    struct err words = *err;

    c->tries = 0;
    if (s->tx_status != 'I') {
        copies_undo(c);
        copies_fail_block(c, true);
    } else if (c->main_begun) {
        copies_undo(c);
    } else {
        copies_reset(c);
    }
    client_refuse_unit(s, u, &words);
    copies_step(c);
    return COPIES_ANSWERED;
}

static enum copies_turn
waits(struct session *s)
{
    s->stall = STALL_ANSWERS;
    return COPIES_WAITS;
}

/* What it waited for has failed. */
static enum copies_turn
tell_doom(struct session_copies *c, const uint8_t *bytes, const struct unit *u)
{
    struct session *s = c->s;

    if (copies_again_next(c, bytes, u, &c->doom))
        return waits(s);
    if (s->tx_status == 'I') {
        c->doomed = false;
        return refuse(c, u, &c->doom);
    }
    copies_undo(c);
    copies_fail_block(c, false);
    outage_unit(s, bytes, u);
    copies_step(c);
    return COPIES_ANSWERED;
}

/* ---- before it is placed ----------------------------------------------------------------------
 */

/* For the copies: the main node has it, or will. */
static void
note_begin(struct session_copies *c, const uint8_t *bytes, const struct unit *u)
{
    struct session *s = c->s;
    struct wire_view text;
    struct err err;

    if (s->tx.begin != NULL) {
        buf_clear(&c->begin);
        buf_add(&c->begin, s->tx.begin, s->tx.begin_len);
    } else if (u->begins && u->type == 'Q' && s->tx_status == 'I' &&
               wire_parse_query(bytes, (uint32_t)u->bytes, &text, &err) == WIRE_OK) {
        buf_clear(&c->begin);
        buf_add(&c->begin, text.data, text.len);
    }
    if (u->begins) {
        c->snapshot = u->begin.isolation > SQL_ISOLATION_READ_COMMITTED;
        c->set_tx = false;
    }
    c->set_tx |= u->verb == SQL_SET_TX;
}

static bool
is_owed(const struct session *s)
{
    return s->cur != NULL && s->cur->pending.count > 0;
}

/* The client's COMMIT: it goes to the main node when all copies are ready for it. */
static enum copies_turn
begin_commit(struct session_copies *c)
{
    struct session *s = c->s;

    if (s->primary->tx_status == 'E') {
        c->rule.way = COPIES_ROLLBACK;
        return COPIES_GOES_ON;
    }
    c->phase = COPIES_SETTLES;
    s->stall = STALL_ANSWERS;
    copies_step(c);
    if (c->phase != COPIES_PREPARED)
        return COPIES_WAITS;
    s->stall = STALL_NONE;
    return COPIES_GOES_ON;
}

/* The node says so itself: in a block that has failed nothing runs but its end and ROLLBACK TO,
 * and behind an error in a batch nothing up to Sync. */
static bool
is_in_vain(const struct session *s, const struct unit *u)
{
    if (s->cur != NULL && s->cur->pending.skip_till_sync)
        return true;
    return s->tx_status == 'E' && u->executed == 1 && u->verb != SQL_COMMIT &&
           u->verb != SQL_ROLLBACK && (u->verb != SQL_SAVEPOINT || s->tx.on_reader);
}

/* It has waited for a connection in vain, with the main node in the middle of the unit. */
static enum copies_turn
give_up(struct session_copies *c, const struct unit *u)
{
    struct session *s = c->s;
    struct err err;

    if (s->cancelled) {
        err_set(&err, "57014", "canceling statement due to user request");
    } else {
        err_set(&err, "53300", "no server connection became free within query_wait_timeout");
        err_hint(&err, "Raise max_backend_connections or query_wait_timeout.");
    }
    s->waited_out = s->cancelled = false;
    s->outage_ns = 0;
    return refuse(c, u, &err);
}

static enum copies_turn
look(struct session *s, const uint8_t *bytes, const struct unit *u)
{
    struct session_copies *c = s->copies;
    struct copies_rule rule;
    enum copies_turn turn;
    struct err err;

    if (c->data != DATA_NONE && c->phase == COPIES_RUNS)
        return copies_data_other(s, u);
    if (c->phase == COPIES_ASKED || c->phase == COPIES_LEARNED) {
        if (s->cancelled || s->waited_out)
            return give_up(c, u);
        return c->doomed ? tell_doom(c, bytes, u) : COPIES_GOES_ON;
    }
    if (c->phase == COPIES_PREPARED)
        return c->doomed ? tell_doom(c, bytes, u) : COPIES_GOES_ON;
    if (c->phase != COPIES_REST)
        return waits(s);
    c->rule = (struct copies_rule){.way = COPIES_AS_ALWAYS};
    c->by_key = c->patient = false;
    c->questions = 0;
    c->untold = false;
    if (is_in_vain(s, u)) /* unless what is under way ends that state */
        return is_owed(s) && !s->cur->pending.skip_till_sync ? waits(s) : COPIES_GOES_ON;
    rule = copies_rule(s, bytes, u, &err);
    if (rule.in_vain && is_owed(s)) /* what is under way may end that state */
        return waits(s);
    if (c->own_tx && rule.way == COPIES_AS_ALWAYS) /* it has been begun for it */
        rule.way = COPIES_ALL;
    turn = copies_hold(c, u, rule.way);
    if (turn != COPIES_GOES_ON)
        return turn;
    if (rule.way == COPIES_AS_ALWAYS && !c->doomed) {
        note_begin(c, bytes, u);
        return COPIES_GOES_ON;
    }
    if (is_owed(s))
        return waits(s);
    if (s->batch != NULL) { /* it was flushed: ours begins behind its end */
        place_end_batch(s, s->batch);
        return COPIES_WAITS;
    }
    if (c->doomed)
        return tell_doom(c, bytes, u);
    if (rule.way == COPIES_REFUSED)
        return refuse(c, u, &err);
    note_begin(c, bytes, u);
    c->rule = rule;
    if (rule.way == COPIES_COMMIT)
        return begin_commit(c);
    return rule.way == COPIES_DISCARD && !copies_are_quiet(c) ? waits(s) : COPIES_GOES_ON;
}

enum copies_turn
copies_look(struct session *s, const uint8_t *bytes, struct unit *u)
{
    struct session_copies *c = s->copies;
    enum copies_turn turn = COPIES_GOES_ON;

    c->ties &= copies_tie(s);
    if (c->cut != NULL || (c->cuts && c->phase == COPIES_REST && is_owed(s)) ||
        (unlikely(copies_is_bereft(s)) && !copies_are_quiet(c)) ||
        (unlikely(c->ties) && c->phase == COPIES_REST && s->tx_status == 'I' &&
         copies_settle_first(c)))
        return waits(s);
    if (copies_orders(s)) {
        if (c->phase == COPIES_REST) /* BEGIN may be answered there */
            turn = copies_hold(c, u, COPIES_AS_ALWAYS);
        if (turn == COPIES_GOES_ON)
            turn = copies_order_look(s, bytes, u);
    }
    if (turn == COPIES_GOES_ON)
        turn = look(s, bytes, u);
    if (turn == COPIES_GOES_ON && c->rule.way == COPIES_ALL && s->tx_status == 'I' &&
        !u->to_primary) { /* SET may run where the session reads, else */
        u->to_primary = true;
        u->reason = ROUTE_PINNED;
    }
    return turn;
}

/* ---- when it is placed ------------------------------------------------------------------------
 */

/* The transaction at the main node, also that of one statement. */
static void
open_at_main(struct session_copies *c, struct server *server, const struct unit *u)
{
    struct session *s = c->s;

    c->main_id = server->node_id;
    copies_watch_deadlocks(c);
    server->watched |= SERVER_SHOWS_ENDS;
    if (s->tx_status != 'I') {
        tx_open(s, server, u);
        return;
    }
    if (c->begins && u->type != 'Q')
        return; /* the batch does it */
    c->own_tx = true;
    if (!c->main_begun)
        server_run_whole(server, "BEGIN", 5, CYCLE_BEGIN);
    c->main_begun = true;
}

static enum copies_turn
refuse_values(struct session_copies *c, const struct unit *u)
{
    struct err err;

    err_set(&err, "0A000", "values could not be put into the statement");
    return refuse(c, u, &err);
}

/* For the gate, unless it is held, and for values. */
static enum copies_turn
ask_main(struct session_copies *c, struct server *server, const uint8_t *bytes,
         const struct unit *u, const struct sql_determined *d)
{
    enum copies_gate gate = copies_gate_of(c, d);
    struct session *s = c->s;

    open_at_main(c, server, u);
    s->cur = server;
    c->phase = COPIES_ASKS;
    c->asks = 0;
    c->draws = true;
    buf_clear(&c->values);
    c->gate_first = gate > c->gate && copies_draws(c, bytes, u, d);
    if (gate > c->gate) {
        copies_gate_ask(c, gate, CYCLE_VALUES);
        c->asks++;
    }
    if (c->gate_first)
        return waits(s);
    if (d->place_count > 0)
        copies_ask_unit(c, bytes, u, d);
    if (c->asks == 0) /* it would wait for good */
        return refuse_values(c, u);
    return waits(s);
}

/* The unit with the values in it takes its place. */
static enum copies_turn
take_values(struct session_copies *c, const uint8_t **bytes, const struct unit *u,
            const struct sql_determined *d)
{
    c->unit = *u;
    if (!copies_take_unit(c, *bytes, u, d))
        return refuse_values(c, u);
    c->unit.bytes = c->text.len;
    *bytes = c->text.data;
    return COPIES_GOES_ON;
}

/* What the catalog says of its names. */
static bool
ask_catalog(struct session_copies *c, struct server *server, const uint8_t *bytes,
            const struct unit *u)
{
    struct buf sql = BUF_EMPTY;
    bool opens = c->rule.way == COPIES_ALL && !(c->begins && u->type != 'Q'), asks;

    c->main_id = server->node_id;
    asks = copies_asks(c, bytes, u, opens || c->s->tx_status != 'I', &sql);
    if (asks) {
        if (opens)
            open_at_main(c, server, u);
        server->watched |= SERVER_SHOWS_ENDS;
        c->s->cur = server;
        c->phase = COPIES_ASKS;
        server_ask(server, (const char *)sql.data, sql.len, CYCLE_VALUES);
    }
    buf_free(&sql);
    return asks;
}

/* Its transaction begins within the batch: the gate cannot be passed in front of it. */
static enum copies_turn
refuse_begun(struct session_copies *c, const struct unit *u)
{
    struct err err;

    err_set(&err, "0A000",
            "a statement that does not find its rows by a key cannot be run in the batch that "
            "begins its transaction (native_replication)");
    err_hint(&err, "Send Sync behind BEGIN.");
    return refuse(c, u, &err);
}

static enum copies_turn
place_on_all(struct session_copies *c, struct server *server, const uint8_t **bytes,
             const struct unit *u)
{
    struct session *s = c->s;
    struct sql_determined d = {.equality = SQL_EQUAL};
    struct err err;
    int rc;

    if (copies_order_is_stale(c, &err))
        return copies_again_next(c, *bytes, u, &err) ? waits(s) : refuse(c, u, &err);
    if (unlikely(s->keeps.kinds != 0) && copies_settle_first(c))
        return waits(s);
    if (c->rule.judged && ask_catalog(c, server, *bytes, u)) /* definitions may have come since */
        return waits(s);
    if (c->rule.judged && copies_judge(s, *bytes, u, &d, &err) != 0)
        return refuse(c, u, &err);
    if (d.place_count > 0 && c->rule.way == COPIES_ALONE) {
        err_set(&err, "0A000",
                "a statement that runs outside of transactions must not depend on "
                "when and where it runs (native_replication)");
        return refuse(c, u, &err);
    }
    c->patient = d.by_key && c->rule.judged && !c->rule.executes && !c->rule.locks &&
                 c->rule.way == COPIES_ALL;
    c->by_key = c->patient && u->type == 'Q' && !c->rule.several;
    rc = copies_link(c, &err);
    if (rc != 0)
        return rc > 0 ? COPIES_WAITS : refuse(c, u, &err);
    if (!copies_keep_up(c))
        return waits(s);
    if (c->phase == COPIES_ASKED)
        return d.place_count > 0 ? take_values(c, bytes, u, &d) : COPIES_GOES_ON;
    if (c->begins && u->type != 'Q')
        return copies_gate_of(c, &d) == GATE_ALONE ? refuse_begun(c, u) : COPIES_GOES_ON;
    if (d.place_count > 0 || copies_gate_of(c, &d) > c->gate)
        return ask_main(c, server, *bytes, u, &d);
    return COPIES_GOES_ON;
}

static enum copies_turn
place(struct session *s, struct server *server, const uint8_t **bytes, const struct unit *u)
{
    struct session_copies *c = s->copies;
    struct err err;

    if (copies_orders(s)) {
        enum copies_turn turn = copies_order_place(s, server, u);
        if (turn != COPIES_GOES_ON)
            return turn;
    }
    if (c->rule.way == COPIES_DISCARD)
        copies_unlink_all(c);
    if (c->rule.way != COPIES_ALL && c->rule.way != COPIES_ALONE)
        return COPIES_GOES_ON;
    if (server != s->primary) {
        err_set(&err, "25006",
                "a transaction that reads on a node of its own takes no other "
                "statements than reads");
        return refuse(c, u, &err);
    }
    if (s->tx_status != 'I' && c->begin.len == 0) {
        err_set(&err, "0A000",
                "a transaction that was begun in a batch with other statements "
                "cannot be run on all nodes (native_replication)");
        err_hint(&err, "Send BEGIN by itself.");
        return refuse(c, u, &err);
    }
    return place_on_all(c, server, bytes, u);
}

enum copies_turn
copies_place(struct session *s, struct server *server, const uint8_t **bytes, const struct unit *u)
{
    const uint8_t *sent = *bytes;
    enum copies_turn turn = place(s, server, bytes, u);

    if (turn == COPIES_GOES_ON)
        copies_again_keep(s->copies, sent, u);
    return turn;
}

struct unit *
copies_unit(struct session *s)
{
    return &s->copies->unit;
}

void
copies_in_front(struct session *s, struct server *server, const uint8_t *bytes,
                const struct unit *u)
{
    struct session_copies *c = s->copies;

    copies_main_begin(c, server);
    if (c->rule.way == COPIES_AS_ALWAYS || c->rule.way == COPIES_DISCARD)
        return;
    server->watched |= SERVER_SHOWS_ENDS;
    c->main_id = server->node_id;
    c->outcome = (struct copies_outcome){.any = c->rule.reads};
    c->query = u->type == 'Q' || u->type == 'F';
    c->phase = c->rule.way == COPIES_COMMIT ? COPIES_COMMITS : COPIES_RUNS;
    c->holds = c->rule.way == COPIES_COMMIT || c->rule.way == COPIES_ALONE;
    if (c->rule.way == COPIES_ALL) {
        open_at_main(c, server, u);
        c->holds = c->own_tx;
        c->draws |= c->rule.writes;
        c->unprepared |=
            c->rule.unprepared || (s->keeps.kinds & 1u << SESSION_KEEPS_TEMPORARY) != 0;
        if (!c->rule.writes && !c->rule.reads)
            copies_gate_doubt(c);
    }
    if (c->rule.way != COPIES_COMMIT && c->rule.way != COPIES_ROLLBACK && c->query &&
        bytes != c->text.data) {
        buf_clear(&c->text);
        if (c->rule.executes)
            copies_execute_keep(c, bytes, u);
        else
            buf_add(&c->text, bytes, u->bytes);
    }
    c->told = 0;
    c->data = c->rule.data ? DATA_ASKED : DATA_NONE;
    if (bytes == c->text.data && (!c->query || c->rule.executes))
        copies_send_parses(c, server);
    else if (!c->query)
        copies_batch_keep(s, bytes, u);
}

/* ---- what the main node says ------------------------------------------------------------------
 */

/* In a batch, the tag that comes now may be of a statement that the copies do not get. */
static bool
is_for_all(const struct session_copies *c)
{
    return c->query || c->rule.way == COPIES_COMMIT || c->phase == COPIES_COMMITS ||
           (c->told < c->for_all.len && c->for_all.data[c->told]);
}

/* Of what it was asked by us, also behind a batch that has ended. */
static void
hear_ours(struct session_copies *c, const struct pending_entry *asked, uint8_t type,
          const uint8_t *msg, size_t len)
{
    if (type == 'V' && asked->flags & CYCLE_XID)
        copies_gate_hear(c, msg, len);
    if (type != 'E' || c->doomed)
        return;
    server_error_from_message(msg, len, &c->doom);
    if (asked->kind != PENDING_QUERY && asked->kind != PENDING_CALL)
        copies_taught_failed(c, c->s->primary, &c->doom);
    if (asked->flags & (CYCLE_XID | CYCLE_GATE))
        copies_gate_failed(c);
}

bool
copies_ends(struct session *s, struct server *server, uint8_t type, const uint8_t *msg, size_t len)
{
    const struct pending_entry *head = &server->pending.ring[server->pending.head];
    struct session_copies *c = s->copies;
    bool replaced;

    if (c != NULL &&
        (copies_cut_ends(c, server, type) || copies_order_ends(s, server, type, msg, len)))
        return true;
    if (c == NULL || server != s->primary || server->pending.count == 0)
        return false;
    if (type == 'E' && server_is_fatal(msg, len))
        return false; /* it answers nothing: the loss of the connection does */
    if (type == 'E' && copies_main_fails(c, server, msg, len, &replaced))
        return replaced;
    if (head->skip && head->flags & (CYCLE_TAUGHT | CYCLE_VALUES | CYCLE_XID | CYCLE_GATE))
        hear_ours(c, head, type, msg, len);
    if (c->phase == COPIES_REST)
        return false;
    if (type == 'E' && (!head->skip || head->flags & CYCLE_OWN_END))
        copies_again_note(c, msg, len);
    if (type == 'E' && head->flags & CYCLE_OWN_END && c->owes && c->phase == COPIES_COMMITS) {
        buf_clear(&c->held); /* the statement has not succeeded after all */
        buf_add(&c->held, msg, len);
    }
    if (type == 'C' && head->flags & CYCLE_OWN_END)
        c->outcome = (struct copies_outcome){.hash = 0};
    if (type == 'C' && (!head->skip || head->flags & CYCLE_OWN_END) && is_for_all(c))
        copies_note_tag(&c->outcome, msg, len);
    if (type == 'V' && !head->skip)
        copies_note_result(&c->outcome, msg, len);
    c->told += (type == 'C' || type == 'I') && !head->skip;
    if (type == 'E' || head->skip || !c->holds)
        return false;
    if (copies_again_holds(c))
        return type == 'Z';
    if (type != 'Z' && (!c->query || c->rule.several))
        return false;
    if (type != 'Z')
        buf_add(&c->held, msg, len);
    return true;
}

bool
copies_row(struct session *s, struct server *server, const uint8_t *msg, size_t len)
{
    const struct pending_entry *head = &server->pending.ring[server->pending.head];
    struct session_copies *c = s->copies;
    struct wire_view v = wire_column(msg, (uint32_t)len, 0);
    uint32_t size = v.data != NULL ? v.len : UINT32_MAX;

    if (server != s->primary || !(head->flags & (CYCLE_XID | CYCLE_VALUES)))
        return false;
    if (c->learns) {
        copies_hear(c, msg, len);
        return true;
    }
    if (head->flags & CYCLE_XID) {
        str_copy_n(c->xid, sizeof(c->xid), v.data != NULL ? v.data : "",
                   v.data != NULL ? v.len : 0);
        return true;
    }
    if (c->values.len + len > VALUES_MAX_BYTES)
        return true; /* there are not as many as are wanted then */
    buf_add(&c->values, &size, sizeof(size));
    if (v.data != NULL)
        buf_add(&c->values, v.data, v.len);
    return true;
}

/* What the copies do with what the main node has done. */
static void
follow(struct session_copies *c, bool failed)
{
    if (c->data > DATA_ASKED) {
        copies_data_end(c, failed);
        return;
    }
    c->data = DATA_NONE;
    if (failed)
        return;
    c->outcomes[c->ran % COPIES_LAG_MAX] = c->outcome;
    if (c->query && c->text.len > 0 && c->text.data[0] == 'F')
        copies_call_follow(c);
    copies_send(c);
}

/* Of a statement for all nodes. True: the client does not hear of it yet. */
static bool
end_statement(struct session_copies *c, const struct pending_entry *e, bool failed)
{
    if (!c->holds) {
        c->phase = COPIES_REST;
        follow(c, failed);
        if (!failed && c->begins && !c->query && c->rule.writes)
            copies_gate_late(c);
        return false;
    }
    c->owes = true;
    c->entry = definitions_kept(c->s->primary, e, failed);
    c->failed = failed;
    follow(c, failed);
    if (!failed) {
        c->phase = COPIES_SETTLES;
    } else if (c->rule.way == COPIES_ALONE) {
        c->phase = COPIES_UNDOES;
    } else {
        copies_undo(c);
    }
    copies_step(c);
    return true;
}

static bool
end_ours(struct session_copies *c, const struct pending_entry *e, bool failed)
{
    if (c->learns && e->flags & CYCLE_VALUES) {
        copies_learn(c, failed);
        c->phase = COPIES_LEARNED;
        c->doomed |= failed;
        return false;
    }
    if (e->flags & CYCLE_VALUES && c->phase == COPIES_ASKS) {
        c->doomed |= failed;
        if (--c->asks == 0)
            c->phase = c->gate_first ? COPIES_LEARNED : COPIES_ASKED;
        return false;
    }
    if (e->flags & CYCLE_VALUES && c->rule.chains)
        c->asks = 0;
    if (e->flags & (CYCLE_XID | CYCLE_GATE) && failed)
        c->doomed = true;
    if (!(e->flags & CYCLE_OWN_END))
        return false;
    copies_undo_again(c, failed);
    if (c->phase == COPIES_COMMITS) {
        c->failed = failed || strcmp(c->outcome.tag, "COMMIT") != 0;
        copies_committed(c, !c->failed);
        return true;
    }
    if (c->undoing > 0)
        c->undoing--;
    copies_step(c);
    return true;
}

bool
copies_cycle_end(struct session *s, struct server *server, const struct pending_entry *e,
                 bool failed)
{
    struct session_copies *c = s->copies;

    if (server == c->cut && !e->skip && (c->phase != COPIES_COMMITS || server != s->primary))
        copies_cut_over(c, failed);
    if (copies_order_cycle_end(s, server, e, failed))
        return true;
    if (server != s->primary)
        return false;
    if (e->skip)
        return end_ours(c, e, failed);
    c->main_runs = false;
    if (c->phase == COPIES_COMMITS) {
        c->owes = true;
        c->entry = *e;
        c->entry.tag = NULL;
        c->failed = failed;
        copies_committed(c, !failed && strcmp(c->outcome.tag, "COMMIT") == 0);
        return true;
    }
    if (c->phase == COPIES_REST && server->tx_status == 'I')
        copies_forget_block(c);
    if (c->phase != COPIES_RUNS)
        return false;
    if (copies_data_breaks(c, e, failed))
        return true;
    if (c->rule.way != COPIES_ROLLBACK)
        return end_statement(c, e, failed);
    copies_follow_back(c);
    return false;
}

void
copies_cycle_ended(struct session *s)
{
    struct session_copies *c = s->copies;

    if (c == NULL || s->state != CLIENT_READY)
        return;
    copies_step(c);
    if (copies_orders(s))
        copies_order_cycle_ended(s);
}
