/*
 * Prepared statements of the protocol: what the client named, and what it stands for.
 *
 * A name belongs to the session; what it stands for is shared by content (pool/prepared.h), and a
 * server connection knows that under a name of ours. It is parsed there, in the same write, when it
 * is first needed; where it is known already, Parse and Close are answered here. The unnamed
 * statement is passed on as it is.
 *
 * Called by client.c while it forwards Parse, Bind, Describe and Close, and by answers.c when
 * these were answered. A name is given up only when the server, or we in its place, said so.
 */
#include "session/internal.h"

#include "base/arena.h"
#include "wire/build.h"

#include <stdlib.h>
#include <string.h>

static size_t
bytes_of(const struct statement *st)
{
    size_t text = st->prepared != NULL ? st->prepared->key_len : 0;

    text += st->by_sql != NULL ? copies_prepared_bytes(st->by_sql) : 0;
    return sizeof(struct statement) + st->name_len + 1 + text;
}

static void
unref(struct session *s, struct statement *st)
{
    if (--st->refs > 0)
        return;
    if (st->prepared != NULL)
        prepared_put(st->prepared);
    copies_prepared_free(st->by_sql);
    slab_put_bytes(&s->host->small, st, sizeof(*st) + st->name_len + 1);
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
    st->plain = st->plain && catalog_pins(s->host->catalog, f) == 0;
    st->draws = sequences_drawn(f, &v);
    st->to_primary = st->wants_primary != 0 || v.may_write || !v.plain;
    st->reason = v.plain ? st->wants_primary : (uint8_t)v.reason;
    st->tx_read = f->count == 1 && st->kind == SQL_SELECT && v.plain;
    st->by_catalog = v.by_catalog || v.watches;
    st->watched = v.watches;
    st->scope = v.judged || (v.watched && !v.by_catalog) ? s->scope.tag : 0;
    st->epoch = s->scope.epoch;
    st->away = v.away;
    st->carried_epoch = s->host->carried_epoch;
    return !v.unknown;
}

bool
statements_judge(struct session *s, struct statement *st)
{
    if (likely(!st->by_catalog || (s->pinned && !st->watched) || st->prepared == NULL ||
               (st->scope == s->scope.tag && st->scope != 0 && st->epoch == s->scope.epoch &&
                s->scope_seq == s->settings.seq && st->carried_epoch == s->host->carried_epoch &&
                st->epoch == memo_epoch(s->host->memo, s->scope.group))))
        return true;
    return judge(s, st, session_facts(s, st->prepared->query, st->prepared->query_len));
}

static struct statement *
statement_new(struct session *s, struct wire_view name, struct prepared *prepared)
{
    struct statement *st = slab_get_bytes(&s->host->small, sizeof(*st) + name.len + 1);

    memset(st, 0, sizeof(*st));
    st->refs = 1;
    st->prepared = prepared;
    st->name_len = (uint16_t)name.len;
    if (name.len > 0)
        memcpy(st->name, name.data, name.len);
    st->name[name.len] = '\0';
    return st;
}

/* What was parsed: all that is known of its text, too. */
static struct statement *
statement_of(struct session *s, const struct wire_parse *p)
{
    const struct sql_facts *f = session_facts(s, p->query.data, p->query.len);
    struct prepared_text text = {p->query.data, p->query.len, p->types, p->type_count,
                                 lookup_meaning(s)};
    struct statement *st = statement_new(s, p->name, prepared_get(s->host->pool, &text));

    st->meaning = text.scope;
    st->literals = s->literals;
    st->keeps_answer = cache_keeps(f);
    st->identity = f->identity;
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

static void
put(struct session *s, struct statement *st)
{
    struct statement *before = map_put(&s->statements, st->name, st->name_len, st);

    st->named = true;
    st->refs++;
    s->statement_bytes += bytes_of(st);
    if (before != NULL) {
        before->named = false;
        s->statement_bytes -= bytes_of(before);
        unref(s, before);
    }
}

/* Out of the map, whose reference goes too. */
static void
forget(struct session *s, struct statement *st)
{
    if (!st->named)
        return;
    map_remove(&s->statements, st->name, st->name_len);
    s->statement_bytes -= bytes_of(st);
    st->named = false;
    st->refs--;
}

bool
statements_have_room(const struct session *s, const struct wire_parse *p)
{
    return s->statements.count < STATEMENTS_MAX && p->name.len <= UINT16_MAX &&
           p->query.len <= hold_max_bytes(s) &&
           s->statement_bytes + sizeof(struct statement) + p->name.len + p->query.len +
                   (size_t)p->type_count * 4 <=
               STATEMENTS_MAX_BYTES;
}

bool
statements_has_unnamed(struct session *s, const struct wire_parse *p)
{
    const struct statement *st = p->name.len == 0 ? statements_find(s, p->name) : NULL;

    return st != NULL && st->prepared != NULL && st->meaning == lookup_meaning(s) &&
           st->prepared->query_len == p->query.len && st->prepared->type_count == p->type_count &&
           memcmp(st->prepared->query, p->query.data, p->query.len) == 0 &&
           memcmp(st->prepared->types, p->types, (size_t)p->type_count * 4) == 0;
}

/* ---- on a server ---- */

static void
send_parse(struct server *server, struct wire_view name, const struct prepared *prepared)
{
    struct wire_parse p = {
        name, {prepared->query, prepared->query_len}, prepared->type_count, prepared->types};
    struct buf b = BUF_EMPTY;

    build_parse(&b, &p);
    server_send(server, b.data, b.len);
    buf_free(&b);
}

static void
send_close(struct server *server, const char *name, size_t len)
{
    struct buf b = BUF_EMPTY;

    build_close(&b, 'S', name, len);
    server_send(server, b.data, b.len);
    buf_free(&b);
}

/* The server is about to know it under our name; one that it has not needed for long makes room. */
static void
learn(struct session *s, struct server *server, struct prepared *prepared)
{
    uint32_t limit = session_options(s)->max_prepared;
    struct prepared *victim = server_learns(server, prepared, limit);

    if (victim == NULL)
        return;
    send_close(server, victim->name, victim->name_len);
    server_expect(server, PENDING_CLOSE, true, CYCLE_EVICT, victim);
}

void
statements_teach(struct session *s, struct server *server, struct prepared *prepared)
{
    if (server_knows(server, prepared))
        return;
    learn(s, server, prepared);
    send_parse(server, (struct wire_view){prepared->name, prepared->name_len}, prepared);
    prepared_ref(prepared);
    server_expect(server, PENDING_PARSE, true, CYCLE_TAUGHT, prepared);
}

void
statements_taught(struct server *server, const struct pending_entry *e, bool done)
{
    if (e->flags & CYCLE_EVICT && !done)
        server_learns(server, e->tag, 0);
    else if (!(e->flags & CYCLE_EVICT) && !done)
        server_forgets(server, e->tag);
    prepared_put(e->tag);
}

/* The server knows it under the client's own name, too. */
static void
provide_real(struct session *s, struct server *server, struct statement *st)
{
    if (st->real == server || st->prepared == NULL)
        return;
    send_parse(server, (struct wire_view){st->name, st->name_len}, st->prepared);
    server_expect(server, PENDING_PARSE, true, 0, NULL);
    st->real = server;
    s->has_real = true;
}

void
statements_provide_real(struct session *s, struct server *server, struct statement *st)
{
    provide_real(s, server, st);
    keeps_lent_name(s);
}

/* It may be read otherwise there than whoever shares it would have it: nobody else is to. */
static void
doubt_reading(struct server *server, const struct statement *st)
{
    const struct prepared *p = st->prepared;

    server->spoilt |= settings_text_has_literals((struct sql_text){p->query, p->query_len});
}

void
statements_provide(struct session *s, struct server *server, struct statement *st)
{
    static const struct wire_view unnamed = {"", 0};
    bool known;

    if (st->prepared == NULL || st->own_name)
        return;
    known =
        st->name_len == 0 ? server->unnamed == st->prepared : server_knows(server, st->prepared);
    if (likely(known))
        return;
    lookup_scope(s);
    if (unlikely(st->literals != s->literals))
        doubt_reading(server, st);
    if (st->name_len == 0) {
        send_parse(server, unnamed, st->prepared);
        server_set_unnamed(server, st->prepared);
    } else {
        learn(s, server, st->prepared);
        send_parse(server, (struct wire_view){st->prepared->name, st->prepared->name_len},
                   st->prepared);
    }
    st->refs++;
    server_expect(server, PENDING_PARSE, true, 0, st);
}

struct wire_view
statements_text(const struct statement *st)
{
    if (st->prepared == NULL)
        return (struct wire_view){"", 0};
    return (struct wire_view){st->prepared->query, st->prepared->query_len};
}

struct wire_view
statements_wire_name(const struct statement *st)
{
    if (st->prepared == NULL || st->name_len == 0 || st->own_name)
        return (struct wire_view){st->name, st->name_len};
    return (struct wire_view){st->prepared->name, st->prepared->name_len};
}

/* ---- Parse and Close ---- */

enum statements_way
statements_parse_unseen(struct session *s, struct server *server, struct wire_view name)
{
    struct statement *old = statements_find(s, name);

    if (old == NULL)
        return STATEMENTS_AS_IS;
    if (name.len > 0 && !s->batch_forgets) {
        /* the name is taken: the server must say so, and must know it for that */
        provide_real(s, server, old);
        s->unreal = true;
        return STATEMENTS_AS_IS;
    }
    old->refs++;
    forget(s, old);
    unref(s, old);
    return STATEMENTS_AS_IS;
}

enum statements_way
statements_parse(struct session *s, struct server *server, const struct wire_parse *p,
                 struct pending_entry *e_r)
{
    struct statement *old = statements_find(s, p->name);
    struct statement *st;

    if (old != NULL && p->name.len > 0 && !s->batch_forgets)
        return statements_parse_unseen(s, server, p->name);
    if (!statements_have_room(s, p)) {
        session_keep(s, SESSION_KEEPS_STATEMENTS);
        return statements_parse_unseen(s, server, p->name);
    }
    st = statement_of(s, p);
    put(s, st);
    if (unlikely(server->reads_otherwise) &&
        (server->tx_status != 'I' || s->keeps.kinds & 1u << SESSION_KEEPS_SETTING))
        doubt_reading(server, st);
    e_r->tag = st; /* takes the reference of statement_of */
    if (p->name.len == 0) {
        server_set_unnamed(server, st->prepared);
        return STATEMENTS_AS_IS;
    }
    if (server_knows(server, st->prepared))
        return STATEMENTS_KNOWN;
    learn(s, server, st->prepared);
    return STATEMENTS_RENAMED;
}

bool
statements_in_doubt(const struct statement *st)
{
    return st->refs > 1; /* an owed answer has one, too */
}

void
statements_add_by_sql(struct session *s, struct sql_text name, struct sql_text text)
{
    struct wire_parse p = {.name = {name.data, name.len}, .query = {text.data, text.len}};
    struct statement *st;

    if (!statements_have_room(s, &p))
        return;
    st = statement_new(s, p.name, NULL);
    st->to_primary = st->may_write = st->draws = true;
    st->touches_session = TOUCHES_SURELY;
    st->reason = ROUTE_PINNED;
    if (s->copies != NULL)
        st->by_sql = copies_prepared_new(s, text);
    put(s, st);
    unref(s, st);
}

void
statements_remember(struct session *s, const struct wire_parse *p)
{
    struct statement *st;

    if (!statements_have_room(s, p))
        return;
    st = statement_of(s, p);
    put(s, st);
    unref(s, st);
}

enum statements_way
statements_close(struct session *s, struct server *server, struct wire_view name,
                 struct pending_entry *e_r)
{
    struct statement *st = statements_find(s, name);
    bool known_by_name;

    if (st == NULL)
        return STATEMENTS_AS_IS;
    known_by_name = st->prepared == NULL || st->name_len == 0 || st->real == server || st->own_name;
    st->real = NULL;
    st->refs++;
    e_r->tag = st;
    forget(s, st);
    return known_by_name ? STATEMENTS_AS_IS : STATEMENTS_KNOWN;
}

static void
parse_failed(struct session *s, struct server *server, const struct pending_entry *e)
{
    struct statement *st = e->tag;

    if (st->name_len == 0)
        server_set_unnamed(server, NULL);
    else if (!e->fake && st->prepared != NULL)
        server_forgets(server, st->prepared);
    if (!e->skip)
        forget(s, st);
}

void
statements_settled(struct session *s, struct server *server, const struct pending_entry *e,
                   bool done)
{
    struct statement *st = e->tag;

    if (e->flags & (CYCLE_EVICT | CYCLE_TAUGHT)) {
        statements_taught(server, e, done);
        return;
    }
    if (e->kind == PENDING_PARSE && !done) {
        parse_failed(s, server, e);
    } else if (e->kind == PENDING_CLOSE && !done && !st->named && s->state == CLIENT_READY) {
        struct wire_view name = {st->name, st->name_len};
        /* the server never came to close it */
        if (statements_find(s, name) == NULL)
            put(s, st);
    }
    unref(s, st);
}

/* ---- all of them ---- */

static void
drop_statement(void *ctx, void *value)
{
    struct session *s = ctx;
    struct statement *st = value;

    st->named = false;
    unref(s, st);
}

void
statements_forget(struct session *s, struct sql_text name)
{
    struct statement *st;

    if (name.len == 0) {
        if (s->cur != NULL) {
            server_forgets_all(s->cur);
            s->cur->forgetful = false;
        }
        map_clear(&s->statements, drop_statement, s);
        s->statement_bytes = 0;
        return;
    }
    st = map_get(&s->statements, name.data, name.len);
    if (st == NULL)
        return;
    st->refs++;
    forget(s, st);
    unref(s, st);
}

void
statements_unnamed_gone(struct session *s)
{
    struct statement *st = statements_find(s, (struct wire_view){"", 0});

    if (st == NULL)
        return;
    st->refs++;
    forget(s, st);
    unref(s, st);
}

static bool
doubt_one(void *ctx UNUSED, const void *key UNUSED, size_t key_len UNUSED, void *value)
{
    struct statement *st = value;

    st->own_name = st->name_len > 0;
    return true;
}

bool
statements_doubt(struct session *s, struct sql_text name)
{
    struct statement *st;

    if (name.len == 0) {
        map_visit(&s->statements, doubt_one, NULL);
        return s->statements.count > 0;
    }
    st = map_get(&s->statements, name.data, name.len);
    if (st != NULL)
        st->own_name = true;
    return st != NULL;
}

struct real_names {
    struct server *server;
    bool close;
    bool closed; /* any */
    bool others; /* some are known to another one */
};

static bool
end_real(void *ctx, const void *key UNUSED, size_t key_len UNUSED, void *value)
{
    struct real_names *r = ctx;
    struct statement *st = value;

    if (st->real != r->server || (r->close && st->own_name)) {
        r->others |= st->real != NULL;
        return true;
    }
    st->real = NULL;
    if (r->close) {
        send_close(r->server, st->name, st->name_len);
        server_expect(r->server, PENDING_CLOSE, true, 0, NULL);
        r->closed = true;
    }
    return true;
}

void
statements_link_gone(struct session *s, struct server *server)
{
    struct real_names r = {.server = server};

    if (likely(!s->has_real))
        return;
    map_visit(&s->statements, end_real, &r);
    s->has_real = r.others;
}

void
statements_close_real(struct session *s, struct server *server)
{
    struct real_names r = {.server = server, .close = true};

    s->unreal = false;
    map_visit(&s->statements, end_real, &r);
    if (!r.closed)
        return;
    server_expect(server, PENDING_SYNC, true, 0, NULL);
    server_send(server, "S\0\0\0\4", 5);
}

void
statements_fini(struct session *s)
{
    map_clear(&s->statements, drop_statement, s);
}
