/*
 * What we answer ourselves: SHOW pool_..., by the simple and the extended protocol, and
 * ReadyForQuery where no server is needed for it.
 *
 * Called by client.c, only when no server owes the client anything. A batch with one of our views
 * in it is answered here as a whole; a statement of PostgreSQL in the same batch is refused.
 */
#include "session/internal.h"

#include "base/str.h"
#include "wire/build.h"

#include <string.h>

void
local_ready(struct session *s)
{
    struct buf b = BUF_EMPTY;

    build_ready(&b, s->tx_status);
    session_send(s, &b);
    buf_free(&b);
}

/* The view that a text asks for; false when the text is none of ours. */
static bool
view_of(struct session *s, const char *text, size_t len, struct sql_text *view_r)
{
    const struct sql_facts *f = session_facts(s, text, len);

    if (f->count != 1 || f->statements[0].kind != SQL_POOL_SHOW)
        return false;
    view_r->len = (uint32_t)MIN((size_t)f->statements[0].name.len, sizeof(s->local_view_bytes));
    memcpy(s->local_view_bytes, f->statements[0].name.data, view_r->len);
    view_r->data = s->local_view_bytes;
    return true;
}

static int
show(struct session *s, bool describe, bool rows, struct buf *b, struct err *err)
{
    struct session_question q = {s->local_view, describe, rows};

    return s->host->show(s->host->ctx, s, &q, b, err);
}

static void
mixed(struct err *err)
{
    err_set(err, "0A000", "a batch with SHOW pool_... may not hold other statements");
    err_hint(err, "Send Sync between them.");
}

static int
local_parse(struct session *s, const uint8_t *msg, uint32_t len, struct buf *b, struct err *err)
{
    struct wire_parse p;

    if (wire_parse_parse(msg, len, &p, err) != WIRE_OK)
        return -1;
    if (!view_of(s, p.query.data, p.query.len, &s->local_view)) {
        mixed(err);
        return -1;
    }
    if (p.name.len > 0 && statements_find(s, p.name) != NULL)
        return err_set(err, "42P05", "prepared statement \"%.*s\" already exists", (int)p.name.len,
                       p.name.data);
    statements_remember(s, &p);
    build_simple(b, '1');
    return 0;
}

static int
use_statement(struct session *s, struct wire_view name, struct err *err)
{
    const struct statement *st = statements_find(s, name);

    if (st == NULL && name.len == 0)
        return err_set(err, "26000", "unnamed prepared statement does not exist");
    if (st == NULL)
        return err_set(err, "26000", "prepared statement \"%.*s\" does not exist", (int)name.len,
                       name.data);
    if (!view_of(s, st->query, st->query_len, &s->local_view)) {
        mixed(err);
        return -1;
    }
    return 0;
}

static int
local_target(struct session *s, const uint8_t *msg, uint32_t len, struct buf *b, struct err *err)
{
    struct wire_target t;

    if (wire_parse_target(msg, len, &t, err) != WIRE_OK)
        return -1;
    if (msg[0] == 'C') {
        if (t.kind == 'S')
            statements_forget(s, (struct sql_text){t.name.data, t.name.len});
        build_simple(b, '3');
        return 0;
    }
    if (t.kind == 'S') {
        static const uint8_t no_parameters[] = {'t', 0, 0, 0, 6, 0, 0};
        if (use_statement(s, t.name, err) != 0)
            return -1;
        buf_add(b, no_parameters, sizeof(no_parameters));
    } else if (!s->local_portal) {
        return err_set(err, "34000", "portal \"%.*s\" does not exist", (int)t.name.len,
                       t.name.data);
    }
    return show(s, true, false, b, err);
}

static int
local_message(struct session *s, const uint8_t *msg, uint32_t len, struct buf *b, struct err *err)
{
    struct wire_bind bind;

    switch (msg[0]) {
    case 'P':
        return local_parse(s, msg, len, b, err);
    case 'B':
        if (wire_parse_bind(msg, len, &bind, err) != WIRE_OK ||
            use_statement(s, bind.statement, err) != 0)
            return -1;
        s->local_portal = true;
        build_simple(b, '2');
        return 0;
    case 'D':
    case 'C':
        return local_target(s, msg, len, b, err);
    case 'E':
        if (!s->local_portal)
            return err_set(err, "34000", "portal does not exist");
        return show(s, false, true, b, err);
    default:
        return 0;
    }
}

static void
local_query(struct session *s, const uint8_t *msg, uint32_t len)
{
    struct buf b = BUF_EMPTY;
    struct wire_view text;
    struct err err;

    if (wire_parse_query(msg, len, &text, &err) != WIRE_OK ||
        !view_of(s, text.data, text.len, &s->local_view) || show(s, true, true, &b, &err) != 0) {
        buf_clear(&b);
        build_error(&b, "ERROR", &err);
    }
    build_ready(&b, s->tx_status);
    session_send(s, &b);
    buf_free(&b);
}

void
local_unit(struct session *s, const uint8_t *bytes, const struct unit *u)
{
    struct buf b = BUF_EMPTY;
    struct wire_header h;
    struct err err;
    size_t at = 0;

    if (u->type == 'Q') {
        local_query(s, bytes, (uint32_t)u->bytes);
        return;
    }
    while (at < u->bytes && wire_client_header(bytes + at, u->bytes - at, &h, &err) == WIRE_OK) {
        size_t mark = b.len;
        if (!s->skip_till_sync && local_message(s, bytes + at, h.total_bytes, &b, &err) != 0) {
            b.len = mark;
            build_error(&b, "ERROR", &err);
            s->skip_till_sync = true;
        }
        at += h.total_bytes;
    }
    if (u->ends) {
        s->skip_till_sync = s->local_portal = false;
        build_ready(&b, s->tx_status);
    }
    if (b.len > 0)
        session_send(s, &b);
    buf_free(&b);
}
