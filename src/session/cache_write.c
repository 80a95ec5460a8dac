/*
 * What writes may touch, as the query cache must know it: the tables of a statement are in doubt
 * from before it leaves until the end of its transaction is known (cache/versions.h).
 *
 * Called by client.c, through cache.c, for what goes to a server, and by answers.c for ends of
 * cycles and lost connections. Invariants: whatever goes to a server and is not known to be a read
 * has its tables in doubt, or its database, or all; a doubt is taken back without a raise only when
 * nothing of it can have been committed; one whose end is not heard of becomes an orphan's.
 */
#include "session/cache.h"

#include "config/config.h"

#include <string.h>

enum { UNJUDGED_MAX_BYTES = 16 * 1024 };

enum reach { REACH_NOTHING, REACH_TABLES, REACH_DATABASE, REACH_ALL };

/* ---- what a statement is ---- */

/* What belongs to all databases, or cannot be told from that. */
static enum reach
reach_of_definition(const struct sql_statement *st, const char *text, bool *renews_r)
{
    static const char *const verbs[] = {"create", "alter", "drop"};
    static const char *const everybodys[] = {"role", "user",       "group",        "database",
                                             "",     "tablespace", "subscription", "system"};
    static const char *const owned[] = {"owned"};
    struct sql_text words[2];

    definitions_words(st, text, words);
    if (!definitions_is_word(words[0], verbs, ARRAY_LEN(verbs)) ||
        definitions_is_word(words[1], owned, 1))
        return REACH_ALL;
    if (!definitions_is_word(words[1], everybodys, ARRAY_LEN(everybodys)))
        return REACH_DATABASE;
    *renews_r |= !definitions_is_word(words[0], verbs, 1); /* CREATE changes nothing of what is */
    return REACH_ALL;
}

static bool
calls_reload(const struct sql_statement *st)
{
    static const char name[] = "pg_reload_conf";

    for (uint32_t n = 0; n < st->function_count; n++) {
        struct sql_text f = st->functions[n].name;
        if (f.len == sizeof(name) - 1 && memcmp(f.data, name, f.len) == 0)
            return true;
    }
    return false;
}

static enum reach
reach_of(const struct sql_statement *st, const char *text, bool *renews_r)
{
    if (catalog_changes_nothing(st->kind))
        return REACH_NOTHING;
    switch (st->kind) {
    case SQL_FETCH: /* what it runs was counted when its cursor was made, in this transaction */
        return REACH_NOTHING;
    case SQL_SELECT:
    case SQL_EXPLAIN:
    case SQL_COPY_TO:
    case SQL_DECLARE:
        return calls_reload(st) ? REACH_ALL : REACH_TABLES;
    case SQL_INSERT:
    case SQL_UPDATE:
    case SQL_DELETE:
    case SQL_MERGE:
    case SQL_COPY_FROM:
    case SQL_TRUNCATE:
    case SQL_REFRESH:
        return REACH_TABLES;
    case SQL_DDL:
        return reach_of_definition(st, text, renews_r);
    case SQL_CREATE_TABLE_AS:
    case SQL_SELECT_INTO:
    case SQL_COMMENT:
    case SQL_SECURITY_LABEL:
    case SQL_IMPORT:
    case SQL_EXECUTE:
    case SQL_CALL:
        return REACH_DATABASE;
    default: /* GRANT, PREPARED_TX, LOAD, DO, and what is not understood */
        return REACH_ALL;
    }
}

/* ---- doubts ---- */

static struct cache_writes *
writes_at(struct session *s, struct server *server)
{
    struct cache_writes *w = &s->cache->writes;

    if (doubt_any(&w->doubt) && w->server != server)
        cache_write_lost(s, w->server);
    w->server = server;
    s->batch_flags |= s->batch != NULL ? CYCLE_DOUBT : 0;
    s->cache->doubts = true;
    return w;
}

/* Are others' names the session's, and will they be when the statement runs? */
static bool
knows_names(const struct session *s)
{
    const uint32_t strange = 1u << SESSION_KEEPS_TEMPORARY | 1u << SESSION_KEEPS_SETTING |
                             1u << SESSION_KEEPS_FUNCTION | 1u << SESSION_KEEPS_LIBRARY |
                             1u << SESSION_KEEPS_UNKNOWN;

    return !s->defines && !s->tx_local_path && (s->keeps.kinds & strange) == 0 &&
           !s->cache->opaque && !s->cache->unsettled;
}

/* In the modes in which nobody looks into what functions leave. */
static void
may_leave(struct session *s)
{
    if (session_pool_mode(s) != CONFIG_POOL_MODE_AUTO)
        s->cache->opaque = true;
}

/* Nobody knows yet. */
static void
may_turn_out_to_leave(struct session *s, struct wire_view text)
{
    struct buf *texts = &s->cache->unjudged;

    if (session_pool_mode(s) == CONFIG_POOL_MODE_AUTO || s->cache->opaque)
        return;
    if (!knows_names(s) || texts->len + text.len + 1 > UNJUDGED_MAX_BYTES ||
        memchr(text.data, 0, text.len) != NULL) {
        s->cache->opaque = true;
        return;
    }
    for (size_t at = 0; at < texts->len; at += strlen((const char *)texts->data + at) + 1) {
        const char *other = (const char *)texts->data + at;
        if (strlen(other) == text.len && memcmp(other, text.data, text.len) == 0)
            return;
    }
    s->cache->unjudged_seq = s->settings.seq;
    buf_add(texts, text.data, text.len);
    buf_add_u8(texts, 0);
}

/* Does it call what may change parameters, and with them what names mean? */
static bool
may_leave_settings(struct session *s, const struct sql_statement *st)
{
    uint32_t flags;

    return !catalog_judge(s->host->catalog, lookup_scope(s), st, &flags, NULL) ||
           flags & CATALOG_KEEPS;
}

/* Is nothing left by it? What is not known yet is asked for. */
static bool
is_judged(struct session *s, const char *text, size_t len)
{
    const struct catalog_scope *scope = lookup_scope(s);
    const struct sql_facts *f = session_facts(s, text, len);
    struct catalog_tables r;

    for (uint32_t n = 0; n < f->count; n++) {
        if (catalog_writes(s->host->catalog, scope, &f->statements[n], &r) ==
            CATALOG_TABLES_UNKNOWN) {
            catalog_question_add(&s->host->question, s->host->catalog, scope, &f->statements[n]);
            return false;
        }
        if (r.everything || may_leave_settings(s, &f->statements[n]))
            may_leave(s);
    }
    return true;
}

void
cache_write_judge(struct session *s)
{
    struct buf *texts = &s->cache->unjudged;
    size_t kept = 0;
    size_t next;

    if (!knows_names(s) || s->cache->unjudged_seq != s->settings.seq)
        may_leave(s);
    for (size_t at = 0; at < texts->len && !s->cache->opaque; at = next) {
        size_t len = strlen((const char *)texts->data + at);
        next = at + len + 1;
        if (is_judged(s, (const char *)texts->data + at, len))
            continue;
        memmove(texts->data + kept, texts->data + at, len + 1);
        kept += len + 1;
    }
    texts->len = s->cache->opaque ? 0 : kept;
    if (texts->len == 0)
        buf_free(texts);
}

void
cache_write_anything(struct session *s, struct server *server)
{
    struct cache_writes *w = writes_at(s, server);

    s->cache->unsettled = true;
    w->defines = w->everywhere = w->committed = true;
    doubt_begin_all(s->host->doubts, &w->doubt);
    may_leave(s);
}

/* Does it call what may change the catalog? Roles are part of that, and are those of all databases.
 */
static bool
may_define(struct session *s, const struct sql_statement *st)
{
    bool temporary = (s->keeps.kinds & 1u << SESSION_KEEPS_TEMPORARY) != 0;
    uint32_t flags;

    return !catalog_judge(s->host->catalog, lookup_scope(s), st, &flags, NULL) ||
           flags & CATALOG_DEFINES || (flags & CATALOG_MISSING && !temporary);
}

/* What it runs was named by a PREPARE, or is one of the protocol's. */
static bool
execute_may_define(struct session *s, const struct sql_statement *st)
{
    const struct statement *named =
        statements_find(s, (struct wire_view){st->name.data, st->name.len});

    return s->cache->prepares_defines || (named != NULL && named->prepared != NULL);
}

static void
doubt_everything(struct session *s, struct server *server, bool defines)
{
    struct cache_writes *w = writes_at(s, server);

    w->committed = true; /* functions can do that, over connections of their own */
    w->defines |= defines;
    w->everywhere |= defines;
    if (defines)
        doubt_begin_all(s->host->doubts, &w->doubt);
    else
        doubt_begin_database(s->host->doubts, &w->doubt);
}

static void
doubt_tables(struct session *s, struct server *server, const struct sql_statement *st,
             struct wire_view text)
{
    struct catalog_tables r;
    const struct catalog_scope *scope = lookup_scope(s);
    enum catalog_answer answer;
    struct cache_writes *w;

    answer = catalog_writes(s->host->catalog, scope, st, &r);
    if (answer == CATALOG_TABLES_UNKNOWN && knows_names(s))
        catalog_question_add(&s->host->question, s->host->catalog, scope, st);
    if (answer != CATALOG_TABLES_KNOWN)
        may_turn_out_to_leave(s, text);
    else if (r.everything)
        may_leave(s);
    if (answer == CATALOG_TABLES_KNOWN && !r.everything && knows_names(s)) {
        w = r.n > 0 ? writes_at(s, server) : NULL;
        for (uint32_t n = 0; n < r.n; n++)
            doubt_begin(s->host->doubts, &w->doubt, r.oids[n]);
    } else {
        bool defines = may_define(s, st);
        doubt_everything(s, server, defines);
        s->cache->lasts |= defines;
        s->batch_flags |= defines && s->batch != NULL ? CYCLE_LASTS : 0;
    }
    if (answer == CATALOG_TABLES_UNKNOWN || !may_leave_settings(s, st))
        return;
    s->cache->unsettled = true; /* for what is sent behind it */
    may_leave(s);
}

/* Does it change what names mean, for what is sent behind it before its answer is here? */
static bool
moves_names(const struct session *s, const struct sql_statement *st)
{
    switch (st->kind) {
    case SQL_SET:
    case SQL_SET_LOCAL:
    case SQL_SET_SESSION:
    case SQL_RESET_ALL:
    case SQL_DISCARD:
        return true;
    case SQL_COMMIT:
    case SQL_ROLLBACK:
    case SQL_SAVEPOINT:
        return !list_empty(&s->settings.pending);
    default:
        return st->may_touch_session && !st->unknown_calls;
    }
}

static void
write_statement(struct session *s, struct server *server, const struct sql_statement *st,
                struct wire_view text)
{
    enum reach reach = reach_of(st, text.data, &s->cache->writes.renews);
    bool follows = session_options(s)->cache_follows_writes;

    s->cache->unsettled |= moves_names(s, st);
    if (unlikely(st->kind == SQL_PREPARE))
        s->cache->prepares_defines |= may_define(s, st);
    if (reach == REACH_NOTHING || (reach == REACH_TABLES && !follows))
        return;
    if (reach == REACH_TABLES) {
        doubt_tables(s, server, st, text);
        return;
    }
    doubt_everything(s, server,
                     reach == REACH_ALL || (st->kind == SQL_CALL && may_define(s, st)) ||
                         (st->kind == SQL_EXECUTE && execute_may_define(s, st)));
    if (st->kind != SQL_DDL && st->kind != SQL_GRANT)
        may_leave(s);
}

/* Does a statement of several change what names mean in those behind it? */
static bool
moves_within(const struct session *s, const struct sql_facts *f)
{
    for (uint32_t n = 0; f->count > 1 && n < f->count; n++) {
        if (moves_names(s, &f->statements[n]) || f->statements[n].changes_catalog)
            return true;
    }
    return false;
}

void
cache_write_text(struct session *s, struct server *server, const struct sql_facts *f,
                 struct wire_view text)
{
    if (!f->understood) {
        cache_write_anything(s, server);
        return;
    }
    s->cache->unsettled |= moves_within(s, f);
    for (uint32_t n = 0; n < f->count; n++)
        write_statement(s, server, &f->statements[n], text);
}

void
cache_write_query(struct session *s, struct server *server, const uint8_t *bytes,
                  const struct unit *u)
{
    struct wire_view text;
    struct err err;

    if (u->facts == NULL || wire_parse_query(bytes, (uint32_t)u->bytes, &text, &err) != WIRE_OK)
        cache_write_anything(s, server);
    else
        cache_write_text(s, server, u->facts, text);
}

void
cache_bound(struct session *s, struct server *server, const struct statement *st)
{
    if (s->cache->reads || (st != NULL && st->tx_read && !st->may_write && !st->touches_session))
        return;
    if (st == NULL || st->prepared == NULL)
        cache_write_anything(s, server);
    else
        cache_write_text(s, server, session_facts(s, st->prepared->query, st->prepared->query_len),
                         statements_text(st));
}

/* ---- the end ---- */

/* Is something under way that may write? */
static bool
goes_on(const struct session *s, const struct server *server)
{
    const struct pending *p = &server->pending;

    if (s->batch == server && s->batch_flags & CYCLE_DOUBT)
        return true;
    for (uint32_t n = 0; n < p->count; n++) {
        if (p->ring[(p->head + n) & (p->cap - 1)].flags & CYCLE_DOUBT)
            return true;
    }
    return p->sync_in_doubt; /* who knows what it still runs */
}

/* Is nothing of it committed, for sure? The status is that from before the cycle. */
static bool
is_undone(const struct session *s, uint16_t flags, bool failed)
{
    if (!(flags & CYCLE_ALONE))
        return false;
    switch (s->tx_status) {
    case 'I': /* a statement of its own has failed */
        return failed && !(flags & (CYCLE_COMMITS | CYCLE_ENDS | CYCLE_OPENS));
    case 'T':
        return !failed && flags & CYCLE_ENDS && !(flags & CYCLE_COMMITS);
    default: /* a block that has failed */
        return !failed && (flags & CYCLE_ENDS) != 0;
    }
}

/* What was rolled back with the cycle that has ended has changed nothing, unless something from in
 * front of it has. */
static void
note_definitions(const struct session *s, const struct server *server,
                 const struct pending_entry *e, bool failed)
{
    struct cache_writes *w = &s->cache->writes;

    if (likely(!w->defines) || w->defined)
        return;
    if (!definitions_are_undone(server, e, failed))
        w->defined = true;
    else if (!goes_on(s, server))
        w->defines = w->everywhere = false;
}

/* The catalog is forgotten before the versions are raised: what was judged by the old one is older
 * than these. */
static void
settle(struct session *s, struct cache_writes *w)
{
    if (w->defines && s->key != NULL)
        catalog_changed(s->host->catalog, w->everywhere ? NULL : pool_key_database(s->key));
    if (w->renews)
        cache_note_renewal(s->host->cache);
    w->server = NULL;
    w->committed = w->defines = w->defined = w->everywhere = w->renews = false;
}

void
cache_write_end(struct session *s, struct server *server, const struct pending_entry *e,
                bool failed)
{
    struct cache_writes *w = &s->cache->writes;
    bool undone;

    if (likely(!doubt_any(&w->doubt)) || w->server != server)
        return;
    undone = is_undone(s, e->flags, failed);
    note_definitions(s, server, e, failed);
    if (server->tx_status != 'I') {
        w->committed |= (e->flags & CYCLE_COMMITS) != 0; /* AND CHAIN, or a block behind another */
        return;
    }
    if (goes_on(s, server)) {
        w->committed = true;
        return;
    }
    undone &= !w->committed;
    settle(s, w);
    if (!undone)
        cache_tally_written(s->host->tally, &w->doubt);
    doubt_end(s->host->doubts, &w->doubt, !undone);
}

/* A block in which nothing runs, and whose COMMIT nobody will send any more. */
static bool
is_abandoned_block(const struct session *s, const struct server *server)
{
    const struct pending *p = &server->pending;

    return server->state == SERVER_LENT && server->tx_status != 'I' && p->count == 0 &&
           !p->skip_till_sync && !p->sync_in_doubt && s->batch != server && s->pass_left == 0;
}

void
cache_write_lost(struct session *s, struct server *server)
{
    struct cache_writes *w = &s->cache->writes;
    struct cache_orphan o = {server->node_id, server->backend_pid};
    bool committed = w->committed;

    if (!doubt_any(&w->doubt) || w->server != server)
        return;
    settle(s, w);
    if (is_abandoned_block(s, server)) {
        doubt_end(s->host->doubts, &w->doubt, committed);
        return;
    }
    server->unwanted = true; /* or it might live on in the pool, and be waited for */
    cache_orphan_add(s->host->cache, o);
    doubt_abandon(s->host->doubts, &w->doubt);
}
