/*
 * Units: the pieces in which a client's input is sent on, and what each may do.
 *
 * A unit is a simple Query, a FunctionCall, a COPY message, or a batch of the extended protocol up
 * to Sync or Flush. A batch is looked at as a whole before any of it leaves: a write anywhere in
 * it sends all of it to the primary. Called by client.c only; changes nothing.
 */
#include "session/internal.h"

#include "base/num.h"
#include "route/route.h"

#include <string.h>

static bool
is_batch_type(uint8_t type)
{
    return type == 'P' || type == 'B' || type == 'D' || type == 'E' || type == 'C';
}

/* The first reason counts. */
static void
demand_primary(struct unit *u, enum route_reason reason)
{
    if (!u->to_primary)
        u->reason = (uint8_t)reason;
    u->to_primary = true;
}

static void
in_doubt(struct unit *u, enum route_reason reason)
{
    if (reason != ROUTE_SEVERAL)
        u->flags |= CYCLE_COMMITS;
    demand_primary(u, reason);
    u->may_write = u->draws = true;
    u->tx_read = false;
}

/* A comment in front of the statement that is no hint. */
static bool
begins_with_comment(const char *text, const struct sql_statement *st)
{
    return st->hint == SQL_HINT_NONE && !st->no_load_balance &&
           (memchr(text, '/', st->start) != NULL || memchr(text, '-', st->start) != NULL);
}

uint8_t
unit_wish(const struct session *s, const char *text, size_t len, const struct sql_facts *f)
{
    const struct session_options *o = session_options(s);
    const struct sql_statement *st = &f->statements[0];

    if (st->hint == SQL_HINT_PRIMARY || st->no_load_balance)
        return ROUTE_HINT_PRIMARY;
    if (route_rules_pattern(o->rules, text, len))
        return ROUTE_PATTERN;
    if (unlikely(!o->allow_comments) && f->count == 1 && begins_with_comment(text, st))
        return ROUTE_COMMENT;
    if (unlikely(!o->ignore_blanks) && len > 0 && memchr(" \t\n\r\f\v", text[0], 6) != NULL)
        return ROUTE_BLANK;
    return 0;
}

static void
take_wish(struct unit *u, uint8_t reason)
{
    if (unlikely(reason != 0))
        demand_primary(u, (enum route_reason)reason);
}

/* What a comment in the text asks for; all statements of a text have the same. */
static void
take_hint(struct unit *u, enum sql_hint hint, uint32_t node_id)
{
    if (hint != SQL_HINT_STANDBY && hint != SQL_HINT_NODE)
        return;
    u->hint = (uint8_t)hint;
    u->hint_node = node_id;
}

static void
take_away(struct unit *u, const struct cluster_set *away)
{
    for (size_t n = 0; n < ARRAY_LEN(u->away.bits); n++)
        u->away.bits[n] |= away->bits[n];
}

static void
take_facts(struct session *s, struct unit *u, const struct sql_facts *f, struct wire_view text)
{
    struct verdict v = lookup_verdict(s, f);

    u->may_write |= v.may_write;
    u->draws |= sequences_drawn(f, &v);
    u->touches_session |= v.touches_session;
    u->defines |= v.defines;
    definitions_note(u, f, text, v.defines);
    u->asks |= v.unknown;
    take_away(u, &v.away);
    take_hint(u, f->statements[0].hint, f->statements[0].hint_node);
    if (unlikely(local_takes(f)))
        u->local = true;
    else
        u->foreign = true;
    if (!f->understood || f->count > 1)
        in_doubt(u, f->understood ? ROUTE_SEVERAL : ROUTE_NOT_UNDERSTOOD);
    for (uint32_t n = 0; n < f->count; n++) {
        const struct sql_statement *st = &f->statements[n];
        bool plain = v.plain;
        if (st->kind == SQL_BEGIN && u->executed == 0 && f->count == 1) {
            bool unknown = false;
            u->has_begin = true;
            if (st->isolation == SQL_ISOLATION_REPEATABLE_READ &&
                st->access == SQL_ACCESS_READ_ONLY && s->tx_status == 'I')
                lookup_is_alike(s, &unknown);
            u->asks |= unknown;
            continue;
        }
        if (!plain)
            demand_primary(u, v.reason);
        u->tx_read &= plain && st->kind == SQL_SELECT;
    }
}

/* What becomes of a transaction block. */
static void
take_block(struct unit *u, const struct sql_statement *st)
{
    switch (st->kind) {
    case SQL_BEGIN:
        u->flags = (uint16_t)((u->flags | CYCLE_OPENS) & ~CYCLE_ENDS);
        break;
    case SQL_COMMIT:
    case SQL_PREPARED_TX:
        u->flags |= CYCLE_COMMITS;
        /* fall through */
    case SQL_ROLLBACK:
        u->flags &= (uint16_t)~CYCLE_OPENS;
        u->flags |= st->chain ? CYCLE_OPENS : CYCLE_ENDS;
        break;
    default:
        break;
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
        demand_primary(u, ROUTE_KIND);
    }
    take_block(u, st);
    u->chains |= st->chain;
    u->discards_all |=
        st->kind == SQL_DISCARD && st->name.len == 3 && memcmp(st->name.data, "all", 3) == 0;
    u->verb = (uint8_t)st->kind;
    u->executed++;
}

/* The catalog is asked about what PGPOOL EXPLAIN is to explain. */
static void
ask_explained(struct session *s, struct unit *u, const char *text, size_t len)
{
    const struct sql_facts *f;
    struct sql_text inner;

    if (!command_explains(s, (struct sql_text){text, (uint32_t)len}, &inner))
        return;
    f = session_facts(s, inner.data, inner.len);
    u->asks |= lookup_verdict(s, f).unknown || cache_asks(s, f);
}

static void
scan_text(struct session *s, const char *text, size_t len, struct unit *u)
{
    u->facts = session_facts(s, text, len);
    take_facts(s, u, u->facts, (struct wire_view){text, (uint32_t)len});
    take_wish(u, unit_wish(s, text, len, u->facts));
    sequences_scan(s, u, u->facts);
    if (u->facts->count == 1)
        take_execution(u, &u->facts->statements[0]);
    for (uint32_t n = 0; u->facts->count > 1 && n < u->facts->count; n++)
        take_block(u, &u->facts->statements[n]);
    if (u->has_begin)
        demand_primary(u, ROUTE_TRANSACTION_KIND);
    if (unlikely(s->copies != NULL)) {
        u->asks |= copies_text_asks(s, u->facts);
        u->facts = session_facts(s, text, len);
    }
    if (unlikely(u->local)) {
        ask_explained(s, u, text, len);
        u->facts = session_facts(s, text, len);
    }
}

void
unit_of_text(struct session *s, const char *text, size_t len, struct unit *u)
{
    memset(u, 0, sizeof(*u));
    u->type = 'Q';
    u->tx_read = u->ends = true;
    scan_text(s, text, len, u);
}

static void
scan_query(struct session *s, const uint8_t *msg, uint32_t len, struct unit *u)
{
    struct wire_view text;
    struct err err;

    if (wire_parse_query(msg, len, &text, &err) == WIRE_OK)
        scan_text(s, text.data, text.len, u);
    else
        in_doubt(u, ROUTE_NOT_UNDERSTOOD);
}

static void
scan_parse(struct session *s, const uint8_t *msg, uint32_t len, struct unit *u)
{
    const struct sql_facts *f;
    struct wire_parse p;
    struct statement *old;
    struct err err;

    if (wire_parse_parse(msg, len, &p, &err) != WIRE_OK) {
        in_doubt(u, ROUTE_NOT_UNDERSTOOD);
        return;
    }
    u->parses = true;
    u->last_parse = (uint32_t)u->bytes;
    f = session_facts(s, p.query.data, p.query.len);
    take_facts(s, u, f, p.query);
    take_wish(u, unit_wish(s, p.query.data, p.query.len, f));
    if (unlikely(u->local))
        ask_explained(s, u, p.query.data, p.query.len);
    /* the primary must say that the name is taken */
    old = p.name.len > 0 ? statements_find(s, p.name) : NULL;
    if (old != NULL && old->prepared == NULL)
        demand_primary(u, ROUTE_PINNED);
    u->waits |= old != NULL && statements_in_doubt(old);
    if (!statements_have_room(s, &p))
        in_doubt(u, ROUTE_BATCH);
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

/* defines: it may change the catalog, and that has not been noted yet. */
static void
take_text(struct session *s, struct wire_view text, struct unit *u, bool defines)
{
    const struct sql_facts *f = session_facts(s, text.data, text.len);

    definitions_note(u, f, text, defines);
    sequences_scan(s, u, f);
    if (f->count == 1)
        take_execution(u, &f->statements[0]);
    else
        u->executed += f->count;
    if (unlikely(s->copies != NULL))
        u->asks |= copies_text_asks(s, f);
}

/* Only those that steer transactions are looked at again. */
static void
take_known(struct session *s, const struct statement *st, struct unit *u)
{
    if (likely(st->plain)) {
        u->verb = st->kind;
        u->executed++;
        u->drew |= st->draws;
    } else {
        take_text(s, statements_text(st), u, st->defines);
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
    struct statement *st = statements_find(s, name);
    struct wire_parse p;

    if (just_parsed(bytes, u, name, &p) ||
        (st == NULL && u->parses && parsed_in(bytes, u->bytes, name, &p))) {
        /* its facts count already */
        if (binds)
            take_text(s, p.query, u, false);
        return;
    }
    if (st == NULL) {
        in_doubt(u, ROUTE_NOT_UNDERSTOOD); /* nobody here knows it */
        return;
    }
    if (st->prepared == NULL) {
        in_doubt(u, ROUTE_PINNED);
        u->executed++;
        u->asks |= st->by_sql != NULL && copies_execute_asks(s, st);
        return;
    }
    u->asks |= !statements_judge(s, st);
    if (binds)
        take_known(s, st, u);
    u->defines |= st->defines;
    u->may_write |= st->may_write;
    u->draws |= st->draws;
    take_away(u, &st->away);
    u->touches_session |= st->touches_session;
    u->local |= st->local;
    u->foreign |= !st->local;
    take_hint(u, (enum sql_hint)st->hint, st->hint_node);
    if (st->to_primary && st->kind != SQL_BEGIN)
        demand_primary(u, (enum route_reason)st->reason);
    u->has_begin |= st->kind == SQL_BEGIN;
    u->tx_read &= st->tx_read || st->kind == SQL_BEGIN;
}

/* What PREPARE has made is on the primary alone. */
static void
take_close(struct session *s, struct wire_view name, struct unit *u)
{
    const struct statement *st = statements_find(s, name);

    if (st != NULL && st->prepared == NULL)
        demand_primary(u, ROUTE_PINNED);
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
        definitions_note_plan(s, u);
        scan_parse(s, msg, len, u);
        break;
    case 'B':
        definitions_note_plan(s, u);
        u->binds = true;
        if (wire_parse_bind(msg, len, &bind, &err) != WIRE_OK) {
            in_doubt(u, ROUTE_NOT_UNDERSTOOD);
            break;
        }
        take_statement(s, bytes, bind.statement, u);
        definitions_note_run(s, u);
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
            in_doubt(u, ROUTE_NOT_UNDERSTOOD);
        else if (target.kind == 'S' && msg[0] == 'D') {
            definitions_note_plan(s, u);
            take_statement(s, bytes, target.name, u);
        } else if (target.kind == 'S')
            take_close(s, target.name, u);
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
            return s->in.len >= hold_max_bytes(s);
        if (r == WIRE_BAD || !is_batch_type(h.type))
            return true;
        if (h.total_bytes > left)
            return s->in.len >= hold_max_bytes(s) || h.total_bytes >= hold_max_bytes(s);
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
            if (!goes_on && len < hold_max_bytes(s) &&
                (r == WIRE_MORE || h.total_bytes < hold_max_bytes(s)))
                return WIRE_MORE;
            in_doubt(u, ROUTE_BATCH);
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
    if (unlikely(s->host->question.count > 0))
        catalog_question_clear(&s->host->question);
    if (r != WIRE_OK)
        return r;
    u->type = h.type;
    if (is_batch_type(h.type))
        return scan_batch(s, bytes, len, u, err);
    u->ends = h.type == 'Q' || h.type == 'F' || h.type == 'S';
    u->flushes = h.type == 'H';
    u->bytes = MIN((size_t)h.total_bytes, len);
    if (h.total_bytes > len) {
        if (h.type != 'd' && h.total_bytes <= hold_max_bytes(s))
            return WIRE_MORE;
        u->pass_left = h.total_bytes - (uint32_t)len;
        in_doubt(u, ROUTE_BATCH);
        return WIRE_OK;
    }
    if (h.type == 'F')
        in_doubt(u, ROUTE_KIND);
    else if (h.type == 'Q')
        scan_query(s, bytes, h.total_bytes, u);
    return WIRE_OK;
}
