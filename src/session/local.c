/*
 * What we answer ourselves: SHOW pool_... and PGPOOL ..., by the simple and the extended protocol,
 * and ReadyForQuery where no server is needed for it.
 *
 * Called by client.c, only when no server owes the client anything. A batch with one of these in it
 * is answered here as a whole; a statement of PostgreSQL in the same batch or text is refused.
 */
#include "session/internal.h"

#include "base/arena.h"
#include "base/str.h"
#include "wire/build.h"

#include <stdlib.h>
#include <string.h>

void
local_ready(struct session *s)
{
    struct buf b = BUF_EMPTY;

    local_fini(s);
    build_ready(&b, s->tx_status);
    session_send(s, &b);
    buf_free(&b);
}

void
local_fini(struct session *s)
{
    free(s->local_portal);
    s->local_portal = NULL;
}

static bool
is_ours(const struct sql_statement *st)
{
    return st->kind == SQL_POOL_SHOW || st->kind == SQL_POOL;
}

bool
local_takes(const struct sql_facts *f)
{
    for (uint32_t n = 0; n < f->count; n++) {
        if (is_ours(&f->statements[n]))
            return true;
    }
    return false;
}

static void
mixed(struct err *err)
{
    err_set(err, "0A000", "SHOW pool_... and PGPOOL ... may not stand with other statements");
    err_hint(err, "Send each as a query of its own; in a pipeline, send Sync between them.");
}

/* The statement that a text consists of. NULL with err when it is none of ours, or not alone. */
static const struct sql_statement *
find_ours(struct session *s, struct wire_view text, struct err *err)
{
    const struct sql_facts *f = session_facts(s, text.data, text.len);

    if (f->count == 1 && is_ours(&f->statements[0]))
        return &f->statements[0];
    mixed(err);
    return NULL;
}

static struct sql_text
text_of(const struct sql_statement *st, struct wire_view text)
{
    return (struct sql_text){text.data + st->start, st->end - st->start};
}

/* Appends that part of the answer to the text. */
static int
answer(struct session *s, struct wire_view text, enum session_part part, struct buf *b,
       struct err *err)
{
    const struct sql_statement *st = find_ours(s, text, err);
    struct session_question q = {.part = part};

    if (st == NULL)
        return -1;
    if (st->kind == SQL_POOL)
        return command_answer(s, text_of(st, text), part, b, err);
    q.name = st->name;
    return s->host->show(s->host->ctx, s, &q, b, err);
}

static int
local_parse(struct session *s, const uint8_t *msg, uint32_t len, struct buf *b, struct err *err)
{
    const struct sql_statement *st;
    struct wire_parse p;

    if (wire_parse_parse(msg, len, &p, err) != WIRE_OK)
        return -1;
    st = find_ours(s, p.query, err);
    if (st == NULL || (st->kind == SQL_POOL && command_check(s, text_of(st, p.query), err) != 0))
        return -1;
    if (p.name.len > 0 && statements_find(s, p.name) != NULL)
        return err_set(err, "42P05", "prepared statement \"%.*s\" already exists", (int)p.name.len,
                       p.name.data);
    statements_remember(s, &p);
    build_simple(b, '1');
    return 0;
}

static const struct statement *
use_statement(struct session *s, struct wire_view name, struct err *err)
{
    const struct statement *st = statements_find(s, name);

    if (st == NULL && name.len == 0)
        err_set(err, "26000", "unnamed prepared statement does not exist");
    else if (st == NULL)
        err_set(err, "26000", "prepared statement \"%.*s\" does not exist", (int)name.len,
                name.data);
    if (st == NULL || find_ours(s, statements_text(st), err) == NULL)
        return NULL;
    return st;
}

static int
local_bind(struct session *s, const uint8_t *msg, uint32_t len, struct buf *b, struct err *err)
{
    const struct statement *st;
    struct local_portal *portal;
    struct wire_bind bind;

    if (wire_parse_bind(msg, len, &bind, err) != WIRE_OK)
        return -1;
    st = use_statement(s, bind.statement, err);
    if (st == NULL || wire_check_bind(msg, len, &bind, err) != 0)
        return -1;
    portal = xmalloc(sizeof(*portal) + bind.portal.len + st->prepared->query_len);
    portal->name_len = bind.portal.len;
    portal->text_len = st->prepared->query_len;
    memcpy(portal->bytes, bind.portal.data, bind.portal.len);
    memcpy(portal->bytes + bind.portal.len, st->prepared->query, st->prepared->query_len);
    local_fini(s);
    s->local_portal = portal;
    build_simple(b, '2');
    return 0;
}

/* That part of what the portal answers. */
static int
use_portal(struct session *s, struct wire_view name, enum session_part part, struct buf *b,
           struct err *err)
{
    const struct local_portal *portal = s->local_portal;

    if (portal == NULL || portal->name_len != name.len ||
        memcmp(portal->bytes, name.data, name.len) != 0)
        return err_set(err, "34000", "portal \"%.*s\" does not exist", (int)name.len, name.data);
    return answer(s, (struct wire_view){portal->bytes + portal->name_len, portal->text_len}, part,
                  b, err);
}

static int
local_close(struct session *s, const struct wire_target *t, struct buf *b)
{
    if (t->kind == 'S' && t->name.len > 0) /* none would mean all of them */
        statements_forget(s, (struct sql_text){t->name.data, t->name.len});
    build_simple(b, '3');
    return 0;
}

static int
local_target(struct session *s, const uint8_t *msg, uint32_t len, struct buf *b, struct err *err)
{
    static const uint8_t no_parameters[] = {'t', 0, 0, 0, 6, 0, 0};
    const struct statement *st;
    struct wire_target t;

    if (wire_parse_target(msg, len, &t, err) != WIRE_OK)
        return -1;
    if (msg[0] == 'C')
        return local_close(s, &t, b);
    if (t.kind != 'S')
        return use_portal(s, t.name, SESSION_DESCRIPTION, b, err);
    st = use_statement(s, t.name, err);
    if (st == NULL)
        return -1;
    buf_add(b, no_parameters, sizeof(no_parameters));
    return answer(s, statements_text(st), SESSION_DESCRIPTION, b, err);
}

static int
local_execute(struct session *s, const uint8_t *msg, uint32_t len, struct buf *b, struct err *err)
{
    struct wire_execute e;

    if (wire_parse_execute(msg, len, &e, err) != WIRE_OK)
        return -1;
    return use_portal(s, e.portal, SESSION_ROWS, b, err);
}

static int
local_message(struct session *s, const uint8_t *msg, uint32_t len, struct buf *b, struct err *err)
{
    switch (msg[0]) {
    case 'P':
        return local_parse(s, msg, len, b, err);
    case 'B':
        return local_bind(s, msg, len, b, err);
    case 'D':
    case 'C':
        return local_target(s, msg, len, b, err);
    case 'E':
        return local_execute(s, msg, len, b, err);
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
        answer(s, text, SESSION_WHOLE, &b, &err) != 0) {
        buf_clear(&b);
        build_error(&b, "ERROR", &err);
    }
    local_fini(s);
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
    if (u->foreign) { /* nothing of it takes effect */
        mixed(&err);
        build_error(&b, "ERROR", &err);
        s->skip_till_sync = true;
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
        s->skip_till_sync = false;
        local_fini(s);
        build_ready(&b, s->tx_status);
    }
    if (b.len > 0)
        session_send(s, &b);
    buf_free(&b);
}
