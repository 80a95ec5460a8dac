/*
 * Prepared statements of the protocol: what the client named, and which connection knows it.
 *
 * Called by client.c while it forwards Parse, Bind, Describe and Close, and by answers.c when
 * these were answered. A statement parsed on one connection is parsed on the other, in the same
 * write, when it is first needed there. A name is given up only when the server said so.
 */
#include "session/internal.h"

#include "base/arena.h"
#include "route/route.h"
#include "wire/build.h"

#include <stdlib.h>
#include <string.h>

static size_t
bytes_of(size_t query_len, size_t type_count, size_t name_len)
{
    return sizeof(struct statement) + query_len + type_count * 4 + name_len + 1;
}

static void
unref(struct statement *st)
{
    if (--st->refs == 0)
        free(st);
}

/* What it may do, by all that is known now. */
static bool
judge(struct session *s, struct statement *st, const struct sql_facts *f)
{
    struct verdict v = lookup_verdict(s, f);

    st->may_write = v.may_write;
    st->touches_session = v.touches_session;
    st->defines = v.defines;
    st->plain = f->understood && f->count == 1 && !v.touches_session && !v.defines &&
                !f->statements[0].system_catalog &&
                (st->kind == SQL_SELECT || st->kind == SQL_INSERT || st->kind == SQL_UPDATE ||
                 st->kind == SQL_DELETE);
    st->to_primary = st->wants_primary != 0 || v.may_write || !v.plain;
    st->reason = v.plain ? st->wants_primary : (uint8_t)v.reason;
    st->tx_read = f->count == 1 && st->kind == SQL_SELECT && v.plain;
    st->by_catalog = v.by_catalog;
    st->scope = v.judged ? s->scope.tag : 0;
    st->epoch = s->scope.epoch;
    return !v.unknown;
}

bool
statements_judge(struct session *s, struct statement *st)
{
    if (likely(!st->by_catalog || s->pinned || st->by_sql ||
               (st->scope == s->scope.tag && st->scope != 0 && st->epoch == s->scope.epoch &&
                s->scope_seq == s->settings.seq &&
                st->epoch == memo_epoch(s->host->memo, s->scope.group))))
        return true;
    return judge(s, st, session_facts(s, st->query, st->query_len));
}

static struct statement *
statement_new(struct session *s, const struct wire_parse *p, const struct sql_facts *f)
{
    size_t types_len = (size_t)p->type_count * 4;
    struct statement *st = xmalloc(sizeof(*st) + p->query.len + types_len + p->name.len + 1);

    memset(st, 0, sizeof(*st));
    st->refs = 1;
    st->query_len = p->query.len;
    st->type_count = p->type_count;
    st->name_len = (uint16_t)p->name.len;
    memcpy(st->query, p->query.data, p->query.len);
    st->types = (uint8_t *)st->query + p->query.len;
    if (types_len > 0)
        memcpy(st->types, p->types, types_len);
    st->name = (char *)st->types + types_len;
    memcpy(st->name, p->name.data, p->name.len);
    st->kind = (uint8_t)f->statements[0].kind;
    st->hint = (uint8_t)f->statements[0].hint;
    st->hint_node = f->statements[0].hint_node;
    st->wants_primary = unit_wish(s, p->query.data, p->query.len, f);
    st->local = local_takes(f);
    judge(s, st, f);
    return st;
}

struct statement *
statements_find(struct session *s, struct wire_view name)
{
    return map_get(&s->statements, name.data, name.len);
}

/* Closes it on the connection that the client's Close does not go to. */
static void
close_elsewhere(struct session *s, struct server *server, struct statement *st)
{
    struct server *other = server == s->primary ? s->reader : s->primary;
    struct buf b = BUF_EMPTY;

    if (other == NULL || !(st->on & session_link_bit(s, other)) || st->name_len == 0 ||
        other->state != SERVER_LENT)
        return;
    build_close(&b, 'S', st->name, st->name_len);
    build_sync(&b);
    server_send(other, b.data, b.len);
    buf_free(&b);
    server_expect(other, PENDING_CLOSE, true, 0, NULL);
    server_expect(other, PENDING_SYNC, true, 0, NULL);
}

static void
put(struct session *s, struct statement *st)
{
    struct statement *before = map_put(&s->statements, st->name, st->name_len, st);

    st->named = true;
    st->refs++;
    s->statement_bytes += bytes_of(st->query_len, st->type_count, st->name_len);
    if (before != NULL) {
        if (s->batch != NULL)
            close_elsewhere(s, s->batch, before);
        before->named = false;
        s->statement_bytes -= bytes_of(before->query_len, before->type_count, before->name_len);
        unref(before);
    }
}

/* Out of the map, whose reference goes too. */
static void
forget(struct session *s, struct statement *st)
{
    if (!st->named)
        return;
    map_remove(&s->statements, st->name, st->name_len);
    s->statement_bytes -= bytes_of(st->query_len, st->type_count, st->name_len);
    st->named = false;
    st->refs--;
}

bool
statements_have_room(const struct session *s, const struct wire_parse *p)
{
    return s->statements.count < STATEMENTS_MAX && p->name.len <= UINT16_MAX &&
           p->query.len <= HOLD_MAX_BYTES &&
           s->statement_bytes + bytes_of(p->query.len, p->type_count, p->name.len) <=
               STATEMENTS_MAX_BYTES;
}

void
statements_parse_unseen(struct session *s, struct server *server, struct wire_view name)
{
    struct statement *old = statements_find(s, name);

    if (old == NULL)
        return;
    if (name.len > 0 && !s->batch_forgets) {
        statements_provide(s, server, old);
        return;
    }
    old->refs++;
    forget(s, old);
    unref(old);
}

void
statements_parse(struct session *s, struct server *server, const struct wire_parse *p,
                 struct pending_entry *e_r)
{
    struct statement *old = statements_find(s, p->name);
    struct statement *st;

    /* the name is taken: the server must say so, and must know it for that */
    if (old != NULL && p->name.len > 0 && !s->batch_forgets) {
        statements_provide(s, server, old);
        return;
    }
    if (!statements_have_room(s, p)) {
        statements_parse_unseen(s, server, p->name);
        s->pinned = s->keeps_primary = true;
        return;
    }
    st = statement_new(s, p, session_facts(s, p->query.data, p->query.len));
    st->on = session_link_bit(s, server);
    put(s, st);
    e_r->tag = st; /* takes the reference of statement_new */
}

bool
statements_in_doubt(const struct statement *st)
{
    return st->refs > 1; /* an owed answer has one, too */
}

void
statements_add_by_sql(struct session *s, struct server *server, struct sql_text name)
{
    struct wire_parse p = {.name = {name.data, name.len}, .query = {"", 0}};
    struct statement *st;

    if (!statements_have_room(s, &p))
        return;
    st = statement_new(s, &p, session_facts(s, "", 0));
    st->by_sql = st->to_primary = st->may_write = st->touches_session = true;
    st->reason = ROUTE_PINNED;
    st->plain = false;
    st->on = session_link_bit(s, server);
    put(s, st);
    unref(st);
}

void
statements_remember(struct session *s, const struct wire_parse *p)
{
    struct statement *st;

    if (!statements_have_room(s, p))
        return;
    st = statement_new(s, p, session_facts(s, p->query.data, p->query.len));
    put(s, st);
    unref(st);
}

void
statements_provide(struct session *s, struct server *server, struct statement *st)
{
    struct wire_parse p = {
        {st->name, st->name_len}, {st->query, st->query_len}, st->type_count, st->types};
    uint8_t bit = session_link_bit(s, server);
    struct buf b = BUF_EMPTY;

    if (likely(st->on & bit) || st->by_sql)
        return;
    build_parse(&b, &p);
    server_send(server, b.data, b.len);
    buf_free(&b);
    st->on |= bit;
    st->refs++;
    server_expect(server, PENDING_PARSE, true, 0, st);
}

void
statements_close(struct session *s, struct server *server, struct wire_view name,
                 struct pending_entry *e_r)
{
    struct statement *st = statements_find(s, name);

    if (st == NULL)
        return;
    close_elsewhere(s, server, st);
    st->on &= session_link_bit(s, server);
    st->refs++;
    e_r->tag = st;
    forget(s, st);
}

void
statements_settled(struct session *s, struct server *server, const struct pending_entry *e,
                   bool done)
{
    struct statement *st = e->tag;

    if (e->kind == PENDING_PARSE && !done) {
        st->on &= (uint8_t)~session_link_bit(s, server);
        if (!e->skip)
            forget(s, st);
    } else if (e->kind == PENDING_CLOSE && !done && !st->named && s->state == CLIENT_READY) {
        struct wire_view name = {st->name, st->name_len};
        /* the server never came to close it */
        if (statements_find(s, name) == NULL)
            put(s, st);
    }
    unref(st);
}

static void
drop_statement(void *ctx UNUSED, void *value)
{
    struct statement *st = value;

    st->named = false;
    unref(st);
}

void
statements_forget(struct session *s, struct sql_text name)
{
    struct statement *st;

    if (name.len == 0) {
        static const char sql[] = "DEALLOCATE ALL";
        struct server *other = s->cur == s->primary ? s->reader : s->primary;
        if (other != NULL && other->state == SERVER_LENT && s->statements.count > 0)
            server_run(other, sql, sizeof(sql) - 1, 0);
        map_clear(&s->statements, drop_statement, NULL);
        s->statement_bytes = 0;
        return;
    }
    st = map_get(&s->statements, name.data, name.len);
    if (st == NULL)
        return;
    if (s->cur != NULL)
        close_elsewhere(s, s->cur, st);
    st->refs++;
    forget(s, st);
    unref(st);
}

static bool
clear_bit(void *ctx, const void *key UNUSED, size_t key_len UNUSED, void *value)
{
    struct statement *st = value;

    st->on &= (uint8_t) ~*(uint8_t *)ctx;
    return true;
}

void
statements_link_gone(struct session *s, uint8_t bit)
{
    map_visit(&s->statements, clear_bit, &bit);
}

void
statements_unnamed_gone(struct session *s, const struct server *server)
{
    struct statement *st = statements_find(s, (struct wire_view){"", 0});

    if (st != NULL)
        st->on &= (uint8_t)~session_link_bit(s, server);
}

void
statements_fini(struct session *s)
{
    map_clear(&s->statements, drop_statement, NULL);
}
