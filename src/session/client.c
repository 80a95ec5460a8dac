/*
 * What a client sends, after login: taken apart into units, each sent on to its server.
 *
 * Called from the stream's received callback with the bytes as they came, or with what was held.
 * Bytes leave from the receive buffer; what must wait is copied into s->in, at most a batch of
 * 64 kB. Invariant: for everything sent to a server its answer is expected (server_expect).
 */
#include "session/internal.h"

#include "base/num.h"
#include "base/str.h"
#include "wire/build.h"

#include <string.h>

/* Bytes that go on unchanged, collected as far as nothing of ours must stand between them. */
struct out {
    struct session *s;
    struct server *server;
    struct io_rx *rx;
    const uint8_t *bytes;
    size_t start;
    size_t end;
};

static void
out_flush(struct out *o)
{
    size_t len = o->end - o->start;

    if (len == 0)
        return;
    if (o->rx != NULL)
        io_send_rx(o->server->stream, o->rx, (size_t)(o->bytes - o->rx->data) + o->start, len);
    else
        io_send_copy(o->server->stream, o->bytes + o->start, len);
    o->start = o->end;
}

static void
count_statement(struct session *s, struct server *server, int kind)
{
    struct node_counters *c = &s->host->counters[server->node_id];

    switch ((enum sql_kind)kind) {
    case SQL_SELECT:
        c->select_cnt++;
        break;
    case SQL_INSERT:
        c->insert_cnt++;
        break;
    case SQL_UPDATE:
        c->update_cnt++;
        break;
    case SQL_DELETE:
        c->delete_cnt++;
        break;
    case SQL_DDL:
    case SQL_CREATE_TABLE_AS:
    case SQL_SELECT_INTO:
    case SQL_TRUNCATE:
    case SQL_GRANT:
    case SQL_COMMENT:
    case SQL_SECURITY_LABEL:
    case SQL_REFRESH:
    case SQL_IMPORT:
        c->ddl_cnt++;
        break;
    default:
        c->other_cnt++;
        break;
    }
}

static void
note_statement(struct session *s, struct server *server, const char *text, size_t len)
{
    const struct session_options *o = session_options(s);
    struct session_slot *slot = s->place.slot;

    if (slot != NULL) {
        str_copy_n(slot->statement, sizeof(slot->statement), text, len);
        slot->statement_cnt++;
    }
    if (unlikely(o->log_statement))
        log_info("statement: %.*s", (int)MIN(len, (size_t)4096), text);
    if (unlikely(o->log_per_node_statement))
        log_info("DB node id: %d backend pid: %u statement: %.*s", server->node_id,
                 server->backend_pid, (int)MIN(len, (size_t)4096), text);
    if (unlikely(o->notice_per_node_statement))
        notice_statement(s, server, text, len);
}

/* EXECUTE and DEALLOCATE may name what the protocol's Parse has made, on another server; PREPARE
 * must find it there. */
static void
provide_named(struct out *o, const struct sql_statement *st)
{
    struct session *s = o->s;
    struct server *server = o->server;
    struct statement *named;

    if (likely(st->kind != SQL_EXECUTE && st->kind != SQL_DEALLOCATE && st->kind != SQL_PREPARE) ||
        st->name.len == 0 || s->batch_forgets || server->tx_status == 'E')
        return;
    named = statements_find(s, (struct wire_view){st->name.data, st->name.len});
    if (named == NULL || named->prepared == NULL || named->real == server)
        return;
    out_flush(o);
    statements_provide_real(s, server, named);
    if (s->batch != NULL)
        return;
    /* should it fail, the statement is not to be ignored with it */
    server_expect(server, PENDING_SYNC, true, 0, NULL);
    server_send(server, "S\0\0\0\4", 5);
}

/* What a text does beside its answer: parameters, pins, statistics. Returns the effects that
 * count when it succeeds. */
static struct effect *
text_effects(struct out *o, const struct sql_facts *f, const char *text, size_t len,
             uint8_t touches_session)
{
    struct session *s = o->s;
    struct server *server = o->server;

    for (uint32_t n = 0; n < f->count; n++) {
        const struct sql_statement *st = &f->statements[n];
        provide_named(o, st);
        count_statement(s, server, st->kind);
        if (st->kind == SQL_SET_LOCAL && lookup_is_path(st->name))
            s->tx_local_path = true;
        if (unlikely(st->kind == SQL_SET_LOCAL || st->setting_count > 0))
            server->reads_otherwise |= settings_of_literals(st);
        if (st->kind == SQL_BEGIN)
            tx_begun(s, server, st, (struct sql_text){text, (uint32_t)len});
        keeps_statement(s, server, st, text,
                        f->count == 1 || st->may_touch_session ? touches_session : 0);
        if (unlikely(keeps_renews(st, text))) {
            s->host->close_database(s->host->ctx, NULL);
            s->renews = true;
        }
    }
    if (touches_session || !f->understood || f->count > 1 || f->statements[0].function_count > 0)
        keeps_text(s, f, text, touches_session);
    note_statement(s, server, text, len);
    return settings_effects(s, f, text);
}

static struct effect *
join(struct effect *a, struct effect *b)
{
    struct effect **end = &a;

    while (*end != NULL)
        end = &(*end)->next;
    *end = b;
    return a;
}

/* The client's message from `skip` on follows what is sent here in its place. */
static void
replace_head(struct out *o, const struct buf *head, size_t at, size_t skip)
{
    o->end = at;
    out_flush(o);
    server_send(o->server, head->data, head->len);
    o->start = o->end = at + skip;
}

/* A Bind that names the statement as the client calls it becomes one that names it as we do. */
static void
rename_bind(struct out *o, size_t at, const struct wire_bind *b, const struct statement *st)
{
    uint32_t total = num_get_u32(o->bytes + at + 1);
    struct wire_view name = statements_wire_name(st);
    struct buf *head = &o->s->host->scratch;

    buf_clear(head);
    buf_add_u8(head, 'B');
    buf_add_u32(head, total - b->statement.len + name.len);
    buf_add(head, b->portal.data, b->portal.len);
    buf_add_u8(head, 0);
    buf_add(head, name.data, name.len);
    buf_add_u8(head, 0);
    replace_head(o, head, at, WIRE_HEADER_BYTES + b->portal.len + 1 + b->statement.len + 1);
}

static bool
is_renamed(const struct statement *st)
{
    return st->name_len > 0 && st->prepared != NULL && !st->own_name;
}

static struct effect *
on_bind(struct out *o, size_t at, uint32_t len)
{
    struct session *s = o->s;
    struct effect *effects;
    struct statement *st;
    struct wire_bind b;
    struct err err;

    if (wire_parse_bind(o->bytes + at, len, &b, &err) != WIRE_OK) {
        if (s->cache != NULL)
            cache_bound(s, o->server, NULL);
        return NULL;
    }
    st = statements_find(s, b.statement);
    timed_bind(s, st, o->bytes + at, len);
    if (s->cache != NULL)
        cache_bound(s, o->server, st);
    if (st == NULL)
        return NULL;
    out_flush(o);
    statements_provide(s, o->server, st);
    if (is_renamed(st))
        rename_bind(o, at, &b, st);
    if (st->prepared == NULL) {
        keeps_bound(s, st);
        return NULL;
    }
    if (likely(st->plain)) {
        count_statement(s, o->server, st->kind);
        note_statement(s, o->server, st->prepared->query, st->prepared->query_len);
        return NULL;
    }
    effects = text_effects(o, session_facts(s, st->prepared->query, st->prepared->query_len),
                           st->prepared->query, st->prepared->query_len, st->touches_session);
    s->batch_forgets |= st->kind == SQL_DEALLOCATE || st->kind == SQL_DISCARD;
    return effects;
}

static void
on_describe(struct out *o, size_t at, uint32_t len)
{
    struct statement *st;
    struct wire_view name;
    struct wire_target t;
    struct buf head = BUF_EMPTY;
    struct err err;

    if (wire_parse_target(o->bytes + at, len, &t, &err) != WIRE_OK || t.kind != 'S')
        return;
    st = statements_find(o->s, t.name);
    if (st == NULL)
        return;
    out_flush(o);
    statements_provide(o->s, o->server, st);
    if (!is_renamed(st))
        return;
    name = statements_wire_name(st);
    buf_add_u8(&head, 'D');
    buf_add_u32(&head, 4 + 1 + name.len + 1);
    buf_add_u8(&head, 'S');
    buf_add(&head, name.data, name.len);
    buf_add_u8(&head, 0);
    replace_head(o, &head, at, len);
    buf_free(&head);
}

/* Of a message that may not be there as a whole. */
static bool
name_of_parse(const uint8_t *msg, uint32_t len, struct wire_view *name_r)
{
    const uint8_t *nul = memchr(msg + WIRE_HEADER_BYTES, 0, len - WIRE_HEADER_BYTES);

    if (nul == NULL)
        return false;
    name_r->data = (const char *)msg + WIRE_HEADER_BYTES;
    name_r->len = (uint32_t)(nul - msg - WIRE_HEADER_BYTES);
    return true;
}

/* Expects the answer, or makes it here; the client's message is then not passed on. */
static void
expect_way(struct out *o, enum statements_way way, const struct pending_entry *e, size_t at,
           uint32_t len)
{
    if (way == STATEMENTS_KNOWN) {
        static const struct buf nothing = BUF_EMPTY;
        replace_head(o, &nothing, at, len);
        server_expect_fake(o->server, (enum pending_kind)e->kind, e->tag);
        return;
    }
    server_expect(o->server, (enum pending_kind)e->kind, false, 0, e->tag);
}

static void
on_parse(struct out *o, size_t at, uint32_t len)
{
    struct pending_entry e = {.kind = PENDING_PARSE};
    enum statements_way way = STATEMENTS_AS_IS;
    const uint8_t *msg = o->bytes + at;
    struct buf head = BUF_EMPTY;
    struct wire_parse p;
    struct err err;

    if (wire_parse_parse(msg, len, &p, &err) == WIRE_OK) {
        out_flush(o);
        way = statements_parse(o->s, o->server, &p, &e);
    } else if (name_of_parse(msg, len, &p.name)) {
        out_flush(o);
        way = statements_parse_unseen(o->s, o->server, p.name);
    }
    if (way == STATEMENTS_RENAMED) {
        p.name = statements_wire_name(e.tag);
        build_parse(&head, &p);
        replace_head(o, &head, at, len);
        buf_free(&head);
    }
    expect_way(o, way, &e, at, len);
}

static void
on_close(struct out *o, size_t at, uint32_t len)
{
    struct pending_entry e = {.kind = PENDING_CLOSE};
    enum statements_way way = STATEMENTS_AS_IS;
    struct wire_target t;
    struct err err;

    if (wire_parse_target(o->bytes + at, len, &t, &err) == WIRE_OK && t.kind == 'S')
        way = statements_close(o->s, o->server, t.name, &e);
    expect_way(o, way, &e, at, len);
}

/* As far as anybody can tell: what such statements do is then not followed. */
static void
never_ran(struct out *o, struct effect *effects)
{
    if (effects == NULL)
        return;
    settings_settled(o->s, o->server, effects, false);
    session_keep(o->s, SESSION_KEEPS_SETTING);
}

static void
batch_ended(struct session *s)
{
    s->batch = NULL;
    s->batch_forgets = false;
    s->batch_flags = 0;
    if (unlikely(s->local_portal != NULL))
        local_fini(s);
}

static uint16_t
flags_of(const struct session *s, const struct unit *u)
{
    return (uint16_t)((u->flags & ~(CYCLE_LASTS | CYCLE_RAN)) | definitions_flags(s, u) |
                      (u->may_write ? CYCLE_WRITE : 0));
}

static void
send_batch(struct out *o, const struct unit *u)
{
    struct session *s = o->s;
    struct effect *effects = NULL;
    struct effect *bound = NULL; /* of the last Bind, which may or may not be executed */
    struct wire_header h;
    struct err err;
    bool ended = false;
    bool forgets;
    size_t at = 0;

    s->batch_flags |= flags_of(s, u);
    while (at < u->bytes && wire_client_header(o->bytes + at, u->bytes - at, &h, &err) == WIRE_OK) {
        uint32_t len = (uint32_t)MIN((size_t)h.total_bytes, u->bytes - at);
        s->batch = o->server;
        switch (h.type) {
        case 'P':
            on_parse(o, at, len);
            break;
        case 'B':
            never_ran(o, bound);
            forgets = s->batch_forgets;
            bound = on_bind(o, at, len);
            if (unlikely(forgets))
                bound = join(settings_behind(), bound);
            server_expect(o->server, PENDING_BIND, false, 0, NULL);
            break;
        case 'D':
            on_describe(o, at, len);
            server_expect(o->server, PENDING_DESCRIBE, false, 0, NULL);
            break;
        case 'E':
            server_expect_noted(o->server, PENDING_EXECUTE, 0, NULL,
                                s->timed != NULL ? timed_execute(s) : 0);
            effects = join(effects, bound);
            bound = NULL;
            break;
        case 'C':
            on_close(o, at, len);
            break;
        case 'S':
            server_expect(o->server, PENDING_SYNC, false, s->batch_flags, effects);
            effects = NULL;
            ended = true;
            batch_ended(s);
            break;
        default: /* Flush */
            break;
        }
        at += len;
        o->end = at;
    }
    out_flush(o);
    if (unlikely(ended && s->unreal))
        statements_close_real(s, o->server);
    if (u->flushes)
        server_flush_fakes(o->server);
    /* without a Sync nobody will say whether they took effect */
    never_ran(o, join(copies_cut_sent(s, effects), bound));
}

/* Native replication: it is sent otherwise. */
static NOINLINE bool
query_is_known(struct out *o, const struct unit *u, const struct pending_entry *e)
{
    if (!copies_main_takes(o->s, o->server, o->bytes, u, e))
        return false;
    o->start = u->bytes;
    return true;
}

static void
send_unit(struct session *s, struct out *o, const struct unit *u)
{
    struct wire_view text;
    struct err err;
    uint16_t flags = s->batch_flags | flags_of(s, u);
    struct pending_entry e = {.flags = flags};

    switch (u->type) {
    case 'Q':
        if (u->facts != NULL &&
            wire_parse_query(o->bytes, (uint32_t)u->bytes, &text, &err) == WIRE_OK) {
            e.note = timed_query(s, u->facts, text.data, text.len);
            e.tag = text_effects(o, u->facts, text.data, text.len, u->touches_session);
        } else if (u->pass_left > 0)
            session_keep(s, SESSION_KEEPS_UNKNOWN);
        if (unlikely(s->copies != NULL) && query_is_known(o, u, &e))
            break;
        statements_unnamed_gone(s);
        server_expect_noted(o->server, PENDING_QUERY, flags, e.tag, e.note);
        break;
    case 'F':
        keeps_called(s, u->bytes >= WIRE_HEADER_BYTES + 4
                            ? num_get_u32(o->bytes + WIRE_HEADER_BYTES)
                            : UINT32_MAX);
        server_expect(o->server, PENDING_CALL, false, flags, NULL);
        break;
    default:
        send_batch(o, u);
        break;
    }
    if (u->type == 'Q' || u->type == 'F')
        batch_ended(s); /* it has committed what stood in front of it, or all waits for a Sync */
    o->end = u->bytes;
    out_flush(o);
    s->pass_left = u->pass_left;
    s->pass_drop = false;
    if (unlikely(u->pass_left > 0) && (u->type == 'Q' || u->type == 'P'))
        definitions_pass_begins(s, o->bytes, u->bytes);
}

/* Sync or Flush that stand alone, with no server owing anything. */
static bool
answer_alone(struct session *s, const struct unit *u)
{
    struct server *cur = s->cur;

    if (u->type != 'S' && u->type != 'H')
        return false;
    if (s->batch != NULL || (cur != NULL && (cur->pending.count > 0 || cur->tx_status != 'I' ||
                                             cur->pending.skip_till_sync)))
        return false;
    if (u->type == 'S')
        local_ready(s);
    return true;
}

void
client_refuse(struct session *s, const struct err *err)
{
    struct buf b = BUF_EMPTY;

    build_error(&b, "ERROR", err);
    session_send(s, &b);
    buf_free(&b);
}

/* A unit that no server can take: an error, and silence up to Sync where the protocol says so. */
void
client_refuse_unit(struct session *s, const struct unit *u, const struct err *err)
{
    client_refuse(s, err);
    if (u->ends)
        local_ready(s);
    else
        s->skip_till_sync = true;
    s->pass_left = u->pass_left;
    s->pass_drop = true;
}

/* In the middle of something on a server all goes there, for that to answer it. */
static bool
in_the_middle(const struct session *s)
{
    return s->batch != NULL ||
           (s->cur != NULL && (s->cur->pending.skip_till_sync || s->cur->pending.copy_in));
}

/* Must it wait until all is answered, so that names are known? Not for an open batch: that may
 * answer only to its Sync. */
static bool
waits_for_answers(const struct session *s, const struct unit *u)
{
    const struct server *cur = s->cur;

    if (cur == NULL)
        return false;
    if (cur->pending.count == 0) /* a late cancel request would hit it, or a BEGIN of ours */
        return unlikely(cur->cancels > 0) && s->batch == NULL && !cur->pending.skip_till_sync;
    /* what runs again stands in front of all that follows */
    return s->retry.due || unlikely(s->name_effects > 0) || (u->waits && s->batch == NULL) ||
           u->local ||
           (u->has_begin && u->executed == 1 && s->batch == NULL && s->tx_status == 'I');
}

/* Its server is there. */
static void
send_placed(struct session *s, struct out *o, struct unit *u)
{
    retry_keep(s, o->server, o->bytes, u);
    keeps_before(s, o->server);
    s->to_primary_once = s->lookup_failed = false;
    s->lookups = 0;
    s->outage_ns = 0;
    s->defines |= u->defines ? DEFINITIONS_UNDER_WAY : 0;
    tx_open(s, o->server, u);
    if (unlikely(s->copies != NULL))
        copies_in_front(s, o->server, o->bytes, u);
    if (u->draws || u->recalls)
        sequences_send(s, u, o->server);
    s->cur = o->server;
    session_show_state(s, SESSION_SLOT_ACTIVE);
    if (unlikely(s->host->cache != NULL))
        cache_sending(s, o->server, o->bytes, u);
    if (o->server->pending.forwards == 0 && s->timed != NULL)
        s->timed->step_ns = io_now_ns(s->host->io);
    if (o->server->pending.forwards == 0 && s->batch != o->server)
        s->sent_ns = io_now_ns(s->host->io);
    send_unit(s, o, u);
    if (unlikely(s->copies != NULL))
        copies_behind(s, u);
    if (unlikely(s->host->cache != NULL))
        cache_sent(s);
    if (unlikely(s->host->question.count > 0))
        lookup_learn(s);
}

/* While its database is paused, the catalog cannot be asked either. */
static bool
waits_to_ask(struct session *s, const struct unit *u)
{
    if (!u->local && s->tx_status == 'I' &&
        ((hold_may_stop(s, SESSION_ANY_NODE) && hold_stops(s, SESSION_ANY_NODE)) ||
         place_waits_to_ask(s)))
        s->stall = STALL_SERVER;
    return s->stall == STALL_SERVER;
}

/* Does it wait for what the catalog says of it? */
static bool
waits_for_catalog(struct session *s, const struct unit *u)
{
    if (in_the_middle(s) || s->cancelled)
        return false;
    if (waits_to_ask(s, u))
        return true;
    if (lookup_ask(s)) {
        s->stall = STALL_LOOKUP;
        return true;
    }
    s->lookup_failed = true;
    return false;
}

/* We have refused what stands in front of it. */
static void
skip_unit(struct session *s, const struct unit *u)
{
    if (u->ends && u->type != 'Q' && u->type != 'F') {
        s->skip_till_sync = false;
        local_ready(s);
    }
    s->pass_left = u->pass_left;
    s->pass_drop = true;
}

/* Native replication: what comes of it, or of the beginning of it. */
static NOINLINE enum copies_turn
look_for_all(struct session *s, const uint8_t *bytes, struct unit *u)
{
    return copies_cuts(s, bytes, u) ? COPIES_ANSWERED : copies_look(s, bytes, u);
}

/* Native replication: it may be another text that goes there. */
static NOINLINE enum copies_turn
place_on_all(struct out *o, const struct unit *u)
{
    const uint8_t *before = o->bytes;
    enum copies_turn turn = copies_place(o->s, o->server, &o->bytes, u);

    if (o->bytes != before)
        o->rx = NULL;
    return turn;
}

/* Returns false when the unit must wait. */
static bool
handle_unit(struct session *s, struct io_rx *rx, const uint8_t *bytes, struct unit *u)
{
    struct out o = {.s = s, .rx = rx, .bytes = bytes};
    enum route_reason reason;
    struct err err;
    int rc;

    if (s->skip_till_sync) {
        skip_unit(s, u);
        return true;
    }
    if (unlikely(s->tx.lost != TX_LOST_NOT)) {
        outage_unit(s, bytes, u);
        return true;
    }
    if (answer_alone(s, u))
        return true;
    u->local &= !in_the_middle(s);
    if (waits_for_answers(s, u)) {
        s->stall = STALL_ANSWERS;
        return false;
    }
    if (unlikely(s->host->cache != NULL)) {
        if (cache_answers(s, bytes, u))
            return true;
        if (unlikely(s->stall == STALL_CACHE))
            return false;
    }
    if (unlikely(u->asks) && waits_for_catalog(s, u))
        return false;
    if (unlikely(s->again_if_read) && !retry_may(s, u))
        return s->stall == STALL_NONE;
    if (u->type == 'd' || u->type == 'c' || u->type == 'f') {
        struct piece piece = {rx, bytes};
        return pass_copy(s, &piece, u);
    }
    if (u->local) {
        local_unit(s, bytes, u);
        return true;
    }
    if (unlikely(s->copies != NULL)) {
        enum copies_turn turn = look_for_all(s, bytes, u);
        if (turn != COPIES_GOES_ON)
            return turn == COPIES_ANSWERED;
    }
    if (tx_answers(s, bytes, u))
        return true;
    if (unlikely(s->waited_out || s->cancelled)) {
        hold_give_up(s, u);
        return true;
    }
    rc = place_unit(s, u, &o.server, &reason, &err);
    if (rc > 0)
        return false;
    if (rc < 0) {
        s->outage_ns = 0;
        client_refuse_unit(s, u, &err);
        return true;
    }
    if (keeps_waits_there(s, o.server))
        return false;
    if (unlikely(s->copies != NULL)) {
        enum copies_turn turn = place_on_all(&o, u);
        if (turn != COPIES_GOES_ON)
            return turn == COPIES_ANSWERED;
        if (o.bytes != bytes)
            u = copies_unit(s);
    }
    s->host->routed[reason]++;
    s->reason = (uint8_t)reason;
    send_placed(s, &o, u);
    return true;
}

static void
check_full(struct session *s)
{
    if (s->state != CLIENT_READY || s->stall != STALL_NONE)
        return;
    /* what we answer ourselves waits for the client as what servers answer does */
    if (io_is_full(s->client) || (s->copies != NULL && copies_data_is_full(s)) ||
        (s->cur != NULL && s->cur->state == SERVER_LENT &&
         (io_is_full(s->cur->stream) || pending_is_full(&s->cur->pending))))
        s->stall = STALL_FULL;
}

/* What cannot be understood, or goodbye, counts when all in front of it was answered. Returns
 * false when that is not yet so. */
static bool
comes_to_its_end(struct session *s)
{
    /* a COPY would be waited for in vain */
    if (s->cur == NULL || s->cur->pending.forwards == 0 || s->cur->pending.copy_in)
        return true;
    if (s->batch == s->cur) {
        /* nobody will ask for the answers any more */
        server_send(s->cur, "H\0\0\0\4", 5);
        s->batch = NULL;
    }
    s->stall = STALL_ANSWERS;
    return false;
}

size_t
client_pump(struct session *s, struct io_rx *rx, const uint8_t *bytes, size_t len)
{
    struct err err;
    struct unit u;
    size_t at = 0;

    s->pumping = true;
    while (at < len && s->state == CLIENT_READY && s->stall == STALL_NONE) {
        enum wire_result r;
        if (s->pass_left > 0) {
            struct piece piece = {rx, bytes + at};
            at += pass_on(s, &piece, len - at);
            check_full(s);
            continue;
        }
        if (unlikely(s->copies != NULL) && copies_owes(s)) {
            s->stall = STALL_ANSWERS;
            break;
        }
        r = unit_scan(s, bytes + at, len - at, &u, &err);
        if (r == WIRE_MORE)
            break;
        if (r == WIRE_BAD) {
            if (comes_to_its_end(s))
                session_fatal(s, &err);
            break;
        }
        if (unlikely(session_options(s)->log_client_messages))
            log_info("message type \"%c\" from the client, %zu bytes", u.type, u.bytes);
        if (u.type == 'X') {
            if (comes_to_its_end(s))
                session_end(s, "the client said goodbye");
            break;
        }
        if (!handle_unit(s, rx, bytes + at, &u))
            break;
        at += u.bytes;
        check_full(s);
    }
    s->pumping = false;
    return at;
}

void
client_go_on(struct session *s)
{
    const struct log_context *before;
    size_t used;

    if (s->pumping || s->state != CLIENT_READY)
        return;
    s->stall = STALL_NONE;
    if (unlikely(s->on_hold))
        hold_leave(s);
    if (unlikely(s->copies != NULL) && copies_data_is_full(s)) {
        s->stall = STALL_FULL;
        return;
    }
    if (s->in.len > 0) {
        before = log_set_context(&s->log);
        used = client_pump(s, NULL, s->in.data, s->in.len);
        log_set_context(before);
        if (s->state != CLIENT_READY)
            return;
        buf_drop(&s->in, used);
        if (used > 0)
            s->held_at = 0;
    }
    if (s->in.len == 0)
        buf_free(&s->in); /* also what the startup packet lay in */
    if (s->stall == STALL_NONE)
        io_resume(s->client);
}
