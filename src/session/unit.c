/*
 * Units: the pieces in which a client's input is sent on, and where each may go.
 *
 * A unit is a simple Query, a FunctionCall, a COPY message, or a batch of the extended protocol up
 * to Sync or Flush. A batch is looked at as a whole before any of it leaves: a write anywhere in
 * it sends all of it to the primary. Called by client.c only; changes nothing.
 */
#include "session/internal.h"

#include "base/num.h"
#include "route/route.h"

#include <string.h>

enum { BEHIND_US = 1000 * 1000 };

static bool
is_batch_type(uint8_t type)
{
    return type == 'P' || type == 'B' || type == 'D' || type == 'E' || type == 'C';
}

static void
in_doubt(struct unit *u)
{
    u->may_write = u->to_primary = true;
    u->tx_read = false;
}

/* What a comment in the text asks for; all statements of a text have the same. */
static void
take_hint(struct unit *u, enum sql_hint hint, uint32_t node_id)
{
    if (hint == SQL_HINT_PRIMARY)
        u->to_primary = true;
    if (hint != SQL_HINT_STANDBY && hint != SQL_HINT_NODE)
        return;
    u->hint = (uint8_t)hint;
    u->hint_node = node_id;
}

static void
take_facts(struct unit *u, const struct sql_facts *f)
{
    u->may_write |= f->may_write || !f->understood;
    u->touches_session |= f->may_touch_session;
    u->to_primary |= f->statements[0].no_load_balance;
    take_hint(u, f->statements[0].hint, f->statements[0].hint_node);
    if (unlikely(local_takes(f)))
        u->local = true;
    else
        u->foreign = true;
    if (!f->understood || f->count > 1)
        in_doubt(u);
    for (uint32_t n = 0; n < f->count; n++) {
        const struct sql_statement *st = &f->statements[n];
        bool plain = route_is_plain_read(st);
        if (st->kind == SQL_BEGIN && u->executed == 0 && f->count == 1) {
            u->has_begin = true;
            continue;
        }
        u->to_primary |= !plain;
        u->tx_read &= plain && st->kind == SQL_SELECT;
    }
}

/* A statement is to be executed, as far as its kind matters for transactions. */
static void
take_execution(struct unit *u, const struct sql_statement *st)
{
    if (st->kind == SQL_BEGIN && u->executed == 0) {
        u->begins = true;
        u->begin = *st;
    } else if (st->kind == SQL_BEGIN) {
        u->to_primary = true;
    }
    u->chains |= st->chain;
    u->verb = (uint8_t)st->kind;
    u->executed++;
}

static void
scan_query(struct session *s, const uint8_t *msg, uint32_t len, struct unit *u)
{
    struct wire_view text;
    struct err err;
    enum wire_result r = wire_parse_query(msg, len, &text, &err);

    if (r != WIRE_OK) {
        in_doubt(u);
        return;
    }
    u->facts = session_facts(s, text.data, text.len);
    take_facts(u, u->facts);
    u->to_primary |= route_rules_pattern(s->host->options.rules, text.data, text.len);
    if (u->facts->count == 1)
        take_execution(u, &u->facts->statements[0]);
    u->to_primary |= u->has_begin;
}

static void
scan_parse(struct session *s, const uint8_t *msg, uint32_t len, struct unit *u)
{
    struct wire_parse p;
    struct statement *old;
    struct err err;

    if (wire_parse_parse(msg, len, &p, &err) != WIRE_OK) {
        in_doubt(u);
        return;
    }
    u->parses = true;
    u->last_parse = (uint32_t)u->bytes;
    take_facts(u, session_facts(s, p.query.data, p.query.len));
    u->to_primary |= route_rules_pattern(s->host->options.rules, p.query.data, p.query.len);
    /* the primary must say that the name is taken */
    old = p.name.len > 0 ? statements_find(s, p.name) : NULL;
    if (old != NULL && old->by_sql)
        u->to_primary = true;
    u->waits |= old != NULL && statements_in_doubt(old);
    if (!statements_have_room(s, &p))
        in_doubt(u);
}

/* Is the name given by a Parse among these messages? */
static bool
parsed_in(const uint8_t *bytes, size_t len, struct wire_view name, struct wire_parse *p_r)
{
    struct wire_header h;
    struct err err;

    for (size_t at = 0; at < len; at += h.total_bytes) {
        if (wire_client_header(bytes + at, len - at, &h, &err) != WIRE_OK)
            return false;
        if (h.type == 'P' && wire_parse_parse(bytes + at, h.total_bytes, p_r, &err) == WIRE_OK &&
            p_r->name.len == name.len &&
            (name.len == 0 || memcmp(p_r->name.data, name.data, name.len) == 0))
            return true;
    }
    return false;
}

static void
take_text(struct session *s, const char *text, size_t len, struct unit *u)
{
    const struct sql_facts *f = session_facts(s, text, len);

    if (f->count == 1)
        take_execution(u, &f->statements[0]);
    else
        u->executed += f->count;
}

/* Only those that steer transactions are looked at again. */
static void
take_known(struct session *s, const struct statement *st, struct unit *u)
{
    if (likely(st->plain)) {
        u->verb = st->kind;
        u->executed++;
    } else {
        take_text(s, st->query, st->query_len, u);
    }
}

/* The name was given by the Parse in front, as most are. */
static bool
just_parsed(const uint8_t *bytes, const struct unit *u, struct wire_view name,
            struct wire_parse *p_r)
{
    const uint8_t *msg = bytes + u->last_parse;
    struct err err;

    return u->parses && wire_parse_parse(msg, num_get_u32(msg + 1) + 1, p_r, &err) == WIRE_OK &&
           p_r->name.len == name.len &&
           (name.len == 0 || memcmp(p_r->name.data, name.data, name.len) == 0);
}

/* The batch as far as it was scanned stands at bytes. */
static void
take_statement(struct session *s, const uint8_t *bytes, struct wire_view name, struct unit *u)
{
    bool binds = bytes[u->bytes] == 'B';
    const struct statement *st = statements_find(s, name);
    struct wire_parse p;

    if (just_parsed(bytes, u, name, &p) ||
        (st == NULL && u->parses && parsed_in(bytes, u->bytes, name, &p))) {
        /* its facts count already */
        if (binds)
            take_text(s, p.query.data, p.query.len, u);
        return;
    }
    if (st == NULL) {
        in_doubt(u); /* nobody here knows it */
        return;
    }
    if (binds)
        take_known(s, st, u);
    u->may_write |= st->may_write;
    u->touches_session |= st->touches_session;
    u->local |= st->local;
    u->foreign |= !st->local;
    take_hint(u, (enum sql_hint)st->hint, st->hint_node);
    u->to_primary |= st->to_primary && st->kind != SQL_BEGIN;
    u->has_begin |= st->kind == SQL_BEGIN;
    u->tx_read &= st->tx_read || st->kind == SQL_BEGIN;
}

/* A message whose body makes no sense goes to the primary, which will say so. */
static void
scan_batch_message(struct session *s, const uint8_t *bytes, uint32_t len, struct unit *u)
{
    const uint8_t *msg = bytes + u->bytes;
    struct wire_bind bind;
    struct wire_target target;
    struct wire_execute execute;
    struct err err;

    switch (msg[0]) {
    case 'P':
        scan_parse(s, msg, len, u);
        break;
    case 'B':
        u->binds = true;
        if (wire_parse_bind(msg, len, &bind, &err) != WIRE_OK) {
            in_doubt(u);
            break;
        }
        take_statement(s, bytes, bind.statement, u);
        u->tx_read &= bind.portal.len == 0;
        break;
    case 'E':
        u->local |= s->local_portal != NULL && !u->binds;
        u->tx_read &=
            wire_parse_execute(msg, len, &execute, &err) == WIRE_OK && execute.max_rows == 0;
        break;
    case 'D':
    case 'C':
        if (wire_parse_target(msg, len, &target, &err) != WIRE_OK)
            in_doubt(u);
        else if (target.kind == 'S' && msg[0] == 'D')
            take_statement(s, bytes, target.name, u);
        else if (target.kind == 'P' && msg[0] == 'D')
            u->local |= s->local_portal != NULL && !u->binds;
        break;
    default:
        break;
    }
}

bool
unit_is_due(struct session *s)
{
    struct wire_header h;
    struct err err;

    for (;;) {
        size_t left = s->in.len - s->held_at;
        enum wire_result r = wire_client_header(s->in.data + s->held_at, left, &h, &err);
        if (r == WIRE_MORE)
            return s->in.len >= HOLD_MAX_BYTES;
        if (r == WIRE_BAD || !is_batch_type(h.type))
            return true;
        if (h.total_bytes > left)
            return s->in.len >= HOLD_MAX_BYTES || h.total_bytes >= HOLD_MAX_BYTES;
        s->held_at += h.total_bytes;
    }
}

/* From a message of the extended protocol to Sync or Flush, or as far as it may be held. */
static enum wire_result
scan_batch(struct session *s, const uint8_t *bytes, size_t len, struct unit *u, struct err *err)
{
    struct wire_header h;

    for (;;) {
        enum wire_result r = wire_client_header(bytes + u->bytes, len - u->bytes, &h, err);
        if (r == WIRE_BAD && u->bytes == 0)
            return r;
        if (r == WIRE_BAD) {
            u->partial = true; /* what stands in front of it counts first */
            return WIRE_OK;
        }
        if (r == WIRE_MORE || h.total_bytes > len - u->bytes) {
            bool goes_on = s->held_long && u->bytes > 0;
            if (!goes_on && len < HOLD_MAX_BYTES &&
                (r == WIRE_MORE || h.total_bytes < HOLD_MAX_BYTES))
                return WIRE_MORE;
            in_doubt(u);
            u->partial = true;
            if (u->bytes > 0)
                return WIRE_OK;
            u->type = h.type;
            u->bytes = len;
            u->pass_left = h.total_bytes - (uint32_t)len;
            return WIRE_OK;
        }
        if (h.type == 'S' || h.type == 'H') {
            u->ends = h.type == 'S';
            u->flushes = h.type == 'H';
            u->bytes += h.total_bytes;
            return WIRE_OK;
        }
        if (!is_batch_type(h.type)) {
            u->partial = true;
            return WIRE_OK;
        }
        scan_batch_message(s, bytes, h.total_bytes, u);
        u->bytes += h.total_bytes;
    }
}

enum wire_result
unit_scan(struct session *s, const uint8_t *bytes, size_t len, struct unit *u, struct err *err)
{
    struct wire_header h;
    enum wire_result r = wire_client_header(bytes, len, &h, err);

    memset(u, 0, sizeof(*u));
    u->tx_read = true;
    if (r != WIRE_OK)
        return r;
    u->type = h.type;
    if (is_batch_type(h.type))
        return scan_batch(s, bytes, len, u, err);
    u->ends = h.type == 'Q' || h.type == 'F' || h.type == 'S';
    u->flushes = h.type == 'H';
    u->bytes = MIN((size_t)h.total_bytes, len);
    if (h.total_bytes > len) {
        if (h.type != 'd' && h.total_bytes <= HOLD_MAX_BYTES)
            return WIRE_MORE;
        u->pass_left = h.total_bytes - (uint32_t)len;
        in_doubt(u);
        return WIRE_OK;
    }
    if (h.type == 'F')
        in_doubt(u);
    else if (h.type == 'Q')
        scan_query(s, bytes, h.total_bytes, u);
    return WIRE_OK;
}

/* From when on a standby must know everything. */
static int64_t
not_before_ns(struct session *s)
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

    return s->host->options.prefer_other_standby || node->delay_us > BEHIND_US;
}

/* A standby refuses each statement of a session whose transactions are serializable by default,
 * and who they are cannot be seen from here. */
static bool
may_be_serializable(const struct session *s)
{
    const struct cluster_view *view = s->host->view;

    return view->primary_id >= 0 && view->nodes[view->primary_id].serializable;
}

int
unit_reader_node(struct session *s)
{
    const struct cluster_view *view = s->host->view;
    const struct session_options *o = &s->host->options;
    struct cluster_pick pick = {.not_before_ns = not_before_ns(s),
                                .max_delay_bytes = o->max_delay_bytes,
                                .max_delay_us = o->max_delay_us,
                                .standbys_only = s->wish.kind == ROUTE_WISH_STANDBY,
                                .exclude = s->refused};
    struct cluster_pick any = {.standbys_only = pick.standbys_only, .exclude = s->refused};

    if (s->refused_ns != 0 && io_now_ns(s->host->io) - s->refused_ns > REFUSED_S * NS_PER_S) {
        memset(&s->refused, 0, sizeof(s->refused));
        s->refused_ns = 0;
    }
    pick.exclude = any.exclude = s->refused;
    if (!o->load_balance || s->wish.kind == ROUTE_WISH_PRIMARY || may_be_serializable(s))
        return view->primary_id;
    if (o->statement_level_balance)
        choose_reader(s, &pick);
    else if (s->reader_node < 0 || !cluster_may_read(view, s->reader_node, &any))
        choose_reader(s, &any);
    if (may_read(s, &pick))
        return s->reader_node;
    if (s->reader_node >= 0 && !o->statement_level_balance && hangs_behind(s)) {
        int before = s->reader_node;
        choose_reader(s, &pick);
        if (may_read(s, &pick))
            return s->reader_node;
        s->reader_node = (int16_t)before;
    }
    return view->primary_id;
}

/* Where a comment wants the read to go, if that is as fresh as it must be; else the primary. */
static int
hinted_node(struct session *s, const struct unit *u)
{
    const struct cluster_view *view = s->host->view;
    struct cluster_pick pick = {.not_before_ns = not_before_ns(s),
                                .standbys_only = u->hint == SQL_HINT_STANDBY,
                                .exclude = s->refused};
    int node_id = u->hint == SQL_HINT_NODE ? (int)u->hint_node : s->reader_node;

    s->host->refresh(s->host->ctx);
    if (u->hint == SQL_HINT_NODE && u->hint_node >= CLUSTER_NODES_MAX)
        return view->primary_id;
    if (cluster_may_read(view, node_id, &pick))
        return node_id;
    if (u->hint == SQL_HINT_STANDBY)
        node_id = cluster_pick_reader(view, s->host->cursor, &pick);
    else
        node_id = -1;
    return node_id >= 0 ? node_id : view->primary_id;
}

static bool
busy(const struct server *server)
{
    return server != NULL && (server->pending.count > 0 || server->pending.skip_till_sync);
}

/* A batch that only prepared, or only read, and was flushed: ended by a Sync of ours, goes on
 * elsewhere. */
static void
end_batch(struct session *s, struct server *server)
{
    server_expect(server, PENDING_SYNC, true, 0, NULL);
    server_send(server, "S\0\0\0\4", 5);
    s->batch = NULL;
    s->batch_forgets = s->batch_writes = false;
    s->stall = STALL_ANSWERS;
}

/* The transaction on the reader goes on at the primary; the unit waits for the reader's answers. */
static int
leave_reader(struct session *s)
{
    s->stall = STALL_ANSWERS;
    if (s->batch == s->reader)
        end_batch(s, s->reader);
    else if (s->reader->pending.count == 0)
        tx_leave_reader(s);
    return 1;
}

/*
 * Where the unit goes. 0: *server_r is the connection, ready. 1: wait (s->stall says for what).
 * -1 with err: there is none to be had.
 */
int
unit_place(struct session *s, const struct unit *u, struct server **server_r, struct err *err)
{
    struct server *cur = s->cur;
    bool primary_only = s->pinned || s->to_primary_once || u->to_primary || u->may_write ||
                        u->partial || (u->flushes && u->binds) ||
                        (u->has_begin && !tx_batch_may_read(s, u)) ||
                        (s->tx.deferred && !u->tx_read);
    int node_id;

    if (s->tx.on_reader && cur == s->reader && !tx_stays_on_reader(s, u))
        return leave_reader(s);

    /* a transaction, an open batch that may go on, or a batch that failed, stays */
    if (cur != NULL &&
        (cur->tx_status != 'I' || cur->pending.skip_till_sync || cur->pending.copy_in)) {
        *server_r = cur;
        return 0;
    }
    if (cur != NULL && (cur->pending.count > 0 || s->batch == cur)) {
        if (cur == s->primary || !primary_only || tx_stays_on_reader(s, u)) {
            *server_r = cur;
            return 0;
        }
        if (cur->pending.count > 0) {
            s->stall = STALL_ANSWERS;
            return 1;
        }
        end_batch(s, cur);
        return 1;
    }
    if (primary_only)
        node_id = s->host->view->primary_id;
    else
        node_id = u->hint != SQL_HINT_NONE ? hinted_node(s, u) : unit_reader_node(s);
    if (node_id < 0)
        return err_set(err, "57P03", "no PostgreSQL server is available for this statement");
    *server_r = session_link(s, node_id, err);
    if (*server_r == NULL)
        return -1;
    if ((*server_r)->state != SERVER_LENT) {
        s->stall = STALL_SERVER;
        return 1;
    }
    if (busy(*server_r) && *server_r != cur && (*server_r)->pending.forwards > 0)
        BUG("two connections owe answers to one client");
    return 0;
}
