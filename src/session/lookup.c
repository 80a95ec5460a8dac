/*
 * Questions to a server's catalog on behalf of sessions, and what the answers say about a text.
 *
 * A unit whose reads depend on names that nobody has asked about yet waits for one question, run on
 * a server connection of its own out of the pool, with the session's login and search path: the
 * session's own connections, transaction and parameters are not touched. Sessions of one login ask
 * one after the other. A question that fails leaves the unit what it is without an answer: for the
 * primary, and perhaps a write.
 *
 * Called by unit.c and statements.c (verdicts) and client.c (ask). Invariants: a session waits in
 * at most one lookup; a lookup has a connection, or is freed.
 */
#include "session/internal.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/num.h"
#include "catalog/knowledge.h"
#include "catalog/tables.h"
#include "config/config.h"
#include "route/route.h"
#include "wire/build.h"

#include <stdlib.h>
#include <string.h>

enum {
    LOOKUP_LIMIT_MS = 5000,
    LOOKUPS_MAX = 3, /* for one unit, when DDL overtakes each */
    LOOKUP_MAX_BYTES = 8 * 1024 * 1024,
    FAILED_PAUSE_MS = 1000,
};

struct lookup {
    struct list link;    /* in the host's list */
    struct list waiters; /* sessions */
    struct session_host *host;
    struct pool_key *key;
    struct server *server;
    struct pool_waiter waiter;
    struct catalog_question question;
    struct catalog_scope scope; /* as of before it was asked */
    struct buf path;            /* the settings that the search path follows from */
    struct buf answer;
    struct io_timer limit;
};

/* ---- scope ---- */

static bool
is_named(struct sql_text name, const char *wanted)
{
    return name.len == strlen(wanted) && memcmp(name.data, wanted, name.len) == 0;
}

/* "$user" in a path is who the session is. */
static void
add_paths(const struct list *settings, struct buf *path)
{
    list_for_each (it, settings) {
        const struct setting *x = list_entry(it, struct setting, link);
        struct sql_text name = {x->bytes, x->name_len};
        if (is_named(name, "search_path") || is_named(name, "client_encoding") ||
            is_named(name, "role") || is_named(name, "session_authorization")) {
            buf_add(path, x->bytes + x->name_len, x->text_len);
            buf_add_str(path, "\n;");
        }
    }
}

/* Who logs in: the user, and the parameters of the login but for its name. */
static void
add_who(const struct pool_key *key, struct buf *who)
{
    size_t len;
    const char *pair = pool_key_parameters(key, &len);
    const char *end = pair + len;

    buf_add_cstr(who, pool_key_user(key));
    while (pair < end) {
        const char *value = pair + strlen(pair) + 1;
        const char *next = value + strlen(value) + 1;
        if (strcmp(pair, "application_name") != 0)
            buf_add(who, pair, (size_t)(next - pair));
        pair = next;
    }
}

/* Whose names the session's are. who and path are the caller's to free. */
static struct catalog_login
login_of(const struct session *s, struct buf *who, struct buf *path)
{
    add_paths(&s->settings.applied, path);
    add_paths(&s->settings.pending, path);
    add_who(s->key, who);
    return (struct catalog_login){pool_key_database(s->key), who->data, who->len,
                                  path->len > 0 ? (const char *)path->data : "", path->len};
}

static void
find_scope(struct session *s)
{
    struct buf who = BUF_EMPTY;
    struct buf path = BUF_EMPTY;
    struct catalog_login login = login_of(s, &who, &path);

    s->scope = catalog_scope(s->host->catalog, &login);
    s->scope_seq = s->settings.seq;
    s->literals = settings_literals(s);
    s->path_hash = path.len > 0 ? hash_bytes(path.data, path.len) : 0;
    s->path_hash += (s->literals + settings_reading(s)) << 20;
    buf_free(&who);
    buf_free(&path);
}

static void
refresh_scope(struct session *s)
{
    if (unlikely(s->scope.tag == 0 || s->scope_seq != s->settings.seq ||
                 s->scope.epoch != memo_epoch(s->host->memo, s->scope.group)))
        find_scope(s);
}

uint64_t
lookup_meaning(struct session *s)
{
    refresh_scope(s);
    return s->path_hash + s->scope.epoch;
}

const struct catalog_scope *
lookup_scope(struct session *s)
{
    refresh_scope(s);
    return &s->scope;
}

/* ---- verdicts ---- */

/* Could the statement run anywhere but on the primary? */
static bool
may_leave_primary(const struct session *s)
{
    const struct session_options *o = session_options(s);

    return o->load_balance && s->host->view->has_readers && s->wish.kind != ROUTE_WISH_PRIMARY &&
           (s->tx_status == 'I' || s->tx.deferred || s->tx.on_reader);
}

static bool
flags_of(struct session *s, const struct sql_facts *f, uint32_t *flags_r)
{
    struct sql_memo *memo = f->memo;

    refresh_scope(s);
    if (likely(s->scope.tag != 0 && memo->scope == s->scope.tag && memo->epoch == s->scope.epoch &&
               memo->verdict & CATALOG_JUDGED)) {
        *flags_r = memo->verdict;
        return true;
    }
    if (!catalog_judge(s->host->catalog, &s->scope, &f->statements[0], flags_r, NULL))
        return false;
    memo->scope = s->scope.tag;
    memo->epoch = s->scope.epoch;
    memo->verdict = *flags_r | CATALOG_JUDGED;
    return true;
}

static enum route_reason
reason_of(uint32_t flags)
{
    static const struct {
        uint32_t flag;
        enum route_reason reason;
    } reasons[] = {
        {CATALOG_MISSING, ROUTE_MISSING},     {CATALOG_WRITES, ROUTE_FUNCTION},
        {CATALOG_KEEPS, ROUTE_KEEPS},         {CATALOG_UNLOGGED, ROUTE_UNLOGGED},
        {CATALOG_TEMPORARY, ROUTE_TEMPORARY}, {CATALOG_SYSTEM, ROUTE_SYSTEM},
        {CATALOG_FOREIGN, ROUTE_FOREIGN},     {CATALOG_SEQUENCE, ROUTE_SEQUENCE},
        {CATALOG_LOCAL, ROUTE_NOT_CARRIED},
    };

    for (size_t n = 0; n < ARRAY_LEN(reasons); n++) {
        if (flags & reasons[n].flag)
            return reasons[n].reason;
    }
    return flags != 0 ? ROUTE_DIFFERS : ROUTE_BALANCED;
}

static void
take_flags(struct session *s, const struct sql_statement *st, uint32_t flags, struct verdict *v)
{
    bool missing = flags & CATALOG_MISSING;

    flags &= session_options(s)->catalog_mask & ~(uint32_t)CATALOG_JUDGED;
    v->flags = flags;
    v->may_write = flags & CATALOG_WRITES || (missing && st->unknown_calls);
    v->touches_session =
        flags & CATALOG_KEEPS || (missing && st->unknown_calls) ? TOUCHES_SURELY : 0;
    if (missing && st->unknown_calls)
        named_uncertain(s);
    v->defines = flags & CATALOG_DEFINES || (missing && st->unknown_calls);
    v->plain = flags == 0;
    v->reason = reason_of(flags);
}

static bool
may_ask(const struct session *s)
{
    return !s->lookup_failed &&
           (s->again_if_read ||
            io_now_ns(s->host->io) - s->host->lookup_failed_ns > FAILED_PAUSE_MS * NS_PER_MS);
}

bool
lookup_watches(const struct sql_statement *st)
{
    switch (st->kind) {
    case SQL_SELECT:
    case SQL_INSERT:
    case SQL_UPDATE:
    case SQL_DELETE:
    case SQL_MERGE:
    case SQL_COPY_FROM:
    case SQL_COPY_TO:
    case SQL_SELECT_INTO:
    case SQL_CREATE_TABLE_AS:
    case SQL_DECLARE:
    case SQL_TRUNCATE:
    case SQL_CALL:
    case SQL_PREPARE: /* EXECUTE does not say what it calls */
        return true;
    case SQL_EXPLAIN:
        return st->analyze;
    default:
        return false;
    }
}

bool
lookup_is_path(struct sql_text name)
{
    return is_named(name, "search_path") || is_named(name, "role") ||
           is_named(name, "session_authorization");
}

/* Is what others see by a name what the session sees? */
static bool
names_hold(const struct session *s)
{
    return !s->defines && !s->tx_local_path;
}

/* Do names stand for something else in one of several statements than before the first? */
static bool
moves(const struct sql_facts *f)
{
    for (uint32_t n = 0; f->count > 1 && n < f->count; n++) {
        const struct sql_statement *st = &f->statements[n];
        if (st->changes_catalog || lookup_is_path(st->name))
            return true;
        for (uint32_t i = 0; i < st->setting_count; i++) {
            if (st->settings[i].name.data == NULL || lookup_is_path(st->settings[i].name))
                return true;
        }
    }
    return false;
}

/* Of names that nobody has asked about yet, or that mean something else in this transaction, all
 * is assumed; they are asked about when the statement has been sent. */
static void
watch_one(struct session *s, const struct sql_facts *f, const struct sql_statement *st,
          struct verdict *v)
{
    bool certain = names_hold(s) && !moves(f);
    bool temporary = (s->keeps.kinds & 1u << SESSION_KEEPS_TEMPORARY) != 0;
    uint32_t flags = 0;
    bool known;

    v->watches = true;
    refresh_scope(s);
    known =
        certain && (f->count == 1 ? flags_of(s, f, &flags)
                                  : catalog_judge(s->host->catalog, &s->scope, st, &flags, NULL));
    v->watched &= known;
    if (unlikely(f->count > 1 && flags & CATALOG_OPAQUE))
        f->memo->verdict |= CATALOG_OPAQUE; /* which no single statement's verdict tells then */
    v->flags |= flags & ~(uint32_t)CATALOG_JUDGED;
    v->defines |= (flags & CATALOG_DEFINES) != 0;
    if (known) {
        if (flags & CATALOG_KEEPS || (flags & CATALOG_MISSING && !temporary))
            v->touches_session |= TOUCHES_SURELY;
        if (unlikely(flags & CATALOG_MISSING))
            named_uncertain(s);
        return;
    }
    v->touches_session |= TOUCHES_UNASKED;
    if (unlikely(moves(f)))
        named_uncertain(s);
    else
        named_unjudged(s, st);
    if (certain && may_ask(s))
        catalog_question_add(&s->host->question, s->host->catalog, &s->scope, st);
}

/* Nothing but PostgreSQL's own functions, by whose names all is known. */
static bool
has_only_own(const struct sql_statement *st)
{
    if (st->table_count > 0 || st->operator_count > 0 || st->type_count > 0)
        return false;
    for (uint32_t n = 0; n < st->function_count; n++) {
        if (st->functions[n].function_class == SQL_FUNCTION_UNKNOWN)
            return false;
    }
    return true;
}

/* What stays at the primary, for whatever reason: does it leave anything there? */
static void
watch(struct session *s, const struct sql_facts *f, struct verdict *v)
{
    if (session_pool_mode(s) != CONFIG_POOL_MODE_AUTO || !f->understood)
        return;
    v->watched = true;
    if (f->count == 1 && f->statements[0].unknown_calls)
        v->touches_session = 0; /* the catalog knows them */
    for (uint32_t n = 0; n < f->count; n++) {
        const struct sql_statement *st = &f->statements[n];
        if (lookup_watches(st) && !has_only_own(st))
            watch_one(s, f, st, v);
        else
            v->watched = false;
    }
}

/* Is what it reads asked about, though it may be that it stays at the primary? */
static bool
reads_matter(const struct session *s, const struct sql_statement *st)
{
    return st->unknown_calls || may_leave_primary(s) || s->host->cache != NULL || s->again_if_read;
}

static bool
knows_writes(const struct session *s, const struct sql_statement *st)
{
    struct catalog_tables tables;
    uint32_t flags;

    return catalog_writes(s->host->catalog, &s->scope, st, &tables) != CATALOG_TABLES_UNKNOWN &&
           ((st->kind != SQL_PREPARE && st->kind != SQL_CALL) ||
            catalog_judge(s->host->catalog, &s->scope, st, &flags, NULL));
}

/* With a query cache, writes whose tables nobody knows would make all that is kept invalid, and the
 * catalog forgotten: they wait until that is known, once. */
static void
ask_for_tables(struct session *s, const struct sql_facts *f, struct verdict *v)
{
    if (!f->understood || moves(f) || !names_hold(s) || !may_ask(s))
        return;
    refresh_scope(s);
    for (uint32_t n = 0; n < f->count; n++) {
        if (knows_writes(s, &f->statements[n]))
            continue;
        v->unknown = true;
        catalog_question_add(&s->host->question, s->host->catalog, &s->scope, &f->statements[n]);
    }
}

struct verdict
lookup_verdict(struct session *s, const struct sql_facts *f)
{
    const struct sql_statement *st = &f->statements[0];
    struct verdict v = {.may_write = f->may_write || !f->understood || f->count > 1,
                        .touches_session = f->may_touch_session ? TOUCHES_SURELY : 0,
                        .plain = f->understood,
                        .reason = ROUTE_NOT_UNDERSTOOD};
    bool pinned = s->pinned && !s->again_if_read;
    uint32_t flags;

    for (uint32_t n = 0; n < f->count; n++) {
        const struct sql_statement *one = &f->statements[n];
        if (v.plain && !route_is_plain_read(one)) {
            v.plain = false;
            v.reason = route_why_not(one);
        }
        v.defines |= one->changes_catalog && !(one->temporary && one->kind != SQL_OTHER);
    }
    if (f->count != 1 || !f->understood || !route_may_be_plain_read(st) || st->kind == SQL_EMPTY ||
        st->kind == SQL_SET || st->kind == SQL_POOL_SHOW) {
        watch(s, f, &v);
        if (unlikely(s->host->cache != NULL))
            ask_for_tables(s, f, &v);
        return v;
    }
    v.by_catalog = true;
    v.judged = !pinned && names_hold(s) && reads_matter(s, st) && flags_of(s, f, &flags);
    if (v.judged) {
        take_flags(s, st, flags, &v);
        carried_note(s, st, &v.away);
        return v;
    }
    v.plain = false;
    v.reason = ROUTE_NOT_ASKED;
    if (pinned || !names_hold(s) || !reads_matter(s, st)) {
        watch(s, f, &v); /* it stays at the primary whatever the answer is */
        if (unlikely(s->host->cache != NULL))
            ask_for_tables(s, f, &v);
        return v;
    }
    v.unknown = may_ask(s);
    if (v.unknown)
        catalog_question_add(&s->host->question, s->host->catalog, &s->scope, st);
    else
        named_unjudged(s, st);
    return v;
}

bool
lookup_is_alike(struct session *s, bool *unknown_r)
{
    static const struct sql_statement no_names = {.kind = SQL_EMPTY};
    uint32_t flags;

    *unknown_r = false;
    refresh_scope(s);
    if (s->host->carried != NULL)
        return false; /* subscribers have what they have */
    if (catalog_database(s->host->catalog, &s->scope, &flags))
        return !(flags & CATALOG_MIXED);
    *unknown_r = may_ask(s);
    if (*unknown_r)
        catalog_question_add(&s->host->question, s->host->catalog, &s->scope, &no_names);
    return false;
}

/* ---- asking ---- */

static struct lookup *
find_lookup(struct session_host *host, const struct pool_key *key)
{
    list_for_each (it, &host->lookups) {
        struct lookup *l = list_entry(it, struct lookup, link);
        if (l->key == key)
            return l;
    }
    return NULL;
}

/* A session waits for the answer, and with the question for a connection as long as that does. */
static void
join(struct lookup *l, struct session *s)
{
    list_append(&l->waiters, &s->lookup_link);
    s->lookup = l;
    pool_show_waiting(s->place.slot, &l->waiter);
}

static void
leave(struct session *s)
{
    list_remove(&s->lookup_link);
    s->lookup = NULL;
    pool_show_waiting(s->place.slot, NULL);
}

/* Lets all go on who waited, and is gone. */
static void
end_lookup(struct lookup *l, bool failed)
{
    struct list waiters;

    list_init(&waiters);
    io_timer_stop(&l->limit);
    pool_wait_no_more(l->host->pool, &l->waiter);
    list_remove(&l->link);
    while (!list_empty(&l->waiters)) {
        struct session *s = list_first(&l->waiters, struct session, lookup_link);
        leave(s);
        s->lookup_failed = failed;
        list_append(&waiters, &s->lookup_link);
    }
    pool_key_put(l->key);
    catalog_question_free(&l->question);
    buf_free(&l->path);
    buf_free(&l->answer);
    free(l);
    /* one may end another */
    while (!list_empty(&waiters)) {
        struct session *s = list_first(&waiters, struct session, lookup_link);
        list_remove(&s->lookup_link);
        if (s->stall == STALL_LOOKUP)
            client_go_on(s);
    }
}

/* hopeless: the next question would fare no better for a while. */
static void
fail_lookup(struct lookup *l, const char *why, bool hopeless)
{
    if (hopeless)
        l->host->lookup_failed_ns = io_now_ns(l->host->io);
    log_debug("could not ask the catalog of database \"%s\": %s", pool_key_database(l->key), why);
    if (l->server != NULL)
        server_close(l->server, "its question to the catalog has failed");
    l->server = NULL;
    end_lookup(l, true);
}

static void
out_of_time(void *ctx)
{
    fail_lookup(ctx, "the server does not answer", true);
}

static bool
take_answer(struct lookup *l)
{
    const uint8_t *bytes = l->answer.data;
    size_t len = l->answer.len;
    struct wire_header h;
    struct err err;

    for (size_t at = 0; at < len; at += h.total_bytes) {
        if (wire_server_header(bytes + at, len - at, &h, &err) != WIRE_OK ||
            h.total_bytes > len - at)
            return false;
        if (h.type == 'D' &&
            !catalog_question_row(&l->question, l->host->catalog, bytes + at + WIRE_HEADER_BYTES,
                                  h.total_bytes - WIRE_HEADER_BYTES))
            return false;
    }
    return true;
}

static void
send_question(struct lookup *l)
{
    struct buf sql = BUF_EMPTY;
    struct buf b = BUF_EMPTY;

    catalog_question_sql(&l->question, (const char *)l->path.data, l->path.len, &sql);
    build_query(&b, (const char *)sql.data, sql.len);
    server_expect(l->server, PENDING_QUERY, false, 0, NULL);
    server_send(l->server, b.data, b.len);
    buf_free(&sql);
    buf_free(&b);
}

static void
on_ready(void *ctx, struct server *server UNUSED)
{
    send_question(ctx);
}

static void
on_failed(void *ctx, struct server *server UNUSED, const struct err *err,
          const uint8_t *fatal UNUSED, size_t fatal_len UNUSED)
{
    struct lookup *l = ctx;

    l->server = NULL;
    fail_lookup(l, err->message, true);
}

static void
on_forward(void *ctx, struct server *server UNUSED, struct io_rx *rx UNUSED, const uint8_t *bytes,
           size_t len)
{
    struct lookup *l = ctx;

    if (l->answer.len + len <= LOOKUP_MAX_BYTES)
        buf_add(&l->answer, bytes, len);
}

static void
on_cycle_end(void *ctx, struct server *server, const struct pending_entry *e UNUSED, bool failed)
{
    struct lookup *l = ctx;
    struct buf who = BUF_EMPTY;
    struct catalog_login login;

    if (failed || !server_is_idle(server) || !take_answer(l)) {
        fail_lookup(l, "the server refused the question", false);
        return;
    }
    add_who(l->key, &who);
    login = (struct catalog_login){pool_key_database(l->key), who.data, who.len,
                                   l->path.len > 0 ? (const char *)l->path.data : "", l->path.len};
    catalog_question_done(&l->question, l->host->catalog, &login, &l->scope);
    buf_free(&who);
    /* what ran has been rolled back */
    server->clean = true;
    pool_return(server);
    l->server = NULL;
    end_lookup(l, false);
}

static void
on_lost(void *ctx, struct server *server UNUSED, const struct err *err,
        const struct pending_owed *owed UNUSED)
{
    struct lookup *l = ctx;

    l->server = NULL;
    fail_lookup(l, err->message, true);
}

static void
on_taken(void *ctx, struct server *server)
{
    struct lookup *l = ctx;

    if (server == NULL) {
        fail_lookup(l, "no server connection became free", true);
        return;
    }
    l->server = server;
    list_for_each (it, &l->waiters)
        pool_show_waiting(list_entry(it, struct session, lookup_link)->place.slot, NULL);
    if (server->state == SERVER_LENT)
        send_question(l);
}

static void
on_turned_away(void *ctx, bool gone)
{
    struct lookup *l = ctx;

    if (gone)
        fail_lookup(l, "its node is not used any more", false);
    else
        pool_wait(l->host->pool, &l->waiter);
}

static const struct server_ops lookup_ops = {
    .taken = on_taken,
    .turned_away = on_turned_away,
    .ready = on_ready,
    .failed = on_failed,
    .forward = on_forward,
    .cycle_end = on_cycle_end,
    .lost = on_lost,
};

static int
node_to_ask(struct session *s)
{
    int primary_id = s->host->view->primary_id;
    enum route_reason reason;

    if (primary_id >= 0 && !s->host->view->nodes[primary_id].drained &&
        (!session_options(s)->ask_reader || catalog_asks_tables(s->host->catalog)))
        return primary_id; /* of tables a standby may know less */
    if (s->host->carried != NULL)
        return primary_id; /* numbers are the main node's */
    return place_reader(s, NULL, &reason);
}

/* Who has a connection does not wait for another one: it may be his that is waited for. */
static bool
holds_connection(const struct session *s)
{
    return s->primary != NULL || s->reader != NULL;
}

/* waits_for_it: for the answer. */
static bool
start_lookup(struct session *s, bool waits_for_it)
{
    struct session_host *host = s->host;
    struct lookup *l = xcalloc(1, sizeof(*l));
    struct buf who = BUF_EMPTY;
    struct err err;
    bool waits;

    list_init(&l->waiters);
    l->host = host;
    l->key = s->key;
    pool_key_ref(l->key);
    l->scope = s->scope;
    login_of(s, &who, &l->path);
    buf_free(&who);
    l->question = host->question;
    host->question = (struct catalog_question){.count = 0};
    list_append(&host->lookups, &l->link);
    l->waiter = (struct pool_waiter){.key = l->key,
                                     .ops = &lookup_ops,
                                     .owner = l,
                                     .node_id = (int16_t)node_to_ask(s),
                                     .urgent = true};
    l->server = pool_checkout(&l->waiter, &err, &waits);
    if (waits && waits_for_it && holds_connection(s)) {
        fail_lookup(l, "no connection is free", false);
        return false;
    }
    if (l->server == NULL && !waits) {
        fail_lookup(l, err.message, true);
        return false;
    }
    io_timer_start(host->io, &l->limit, LOOKUP_LIMIT_MS, out_of_time, l);
    if (l->server != NULL && l->server->state == SERVER_LENT)
        send_question(l);
    if (waits_for_it)
        join(l, s);
    return true;
}

void
lookup_learn(struct session *s)
{
    if (s->key != NULL && find_lookup(s->host, s->key) == NULL && may_ask(s))
        start_lookup(s, false);
}

bool
lookup_ask(struct session *s)
{
    struct lookup *l = find_lookup(s->host, s->key);

    if (l == NULL)
        return s->lookups++ < LOOKUPS_MAX && start_lookup(s, true);
    if (l->server == NULL && holds_connection(s))
        return false;
    join(l, s);
    return true;
}

bool
lookup_is_under_way(const struct session *s)
{
    const struct lookup *l = find_lookup(s->host, s->key);

    return l != NULL && l->server != NULL;
}

void
lookup_text(struct session *s, const struct catalog_question *q, struct buf *sql)
{
    struct buf who = BUF_EMPTY;
    struct buf path = BUF_EMPTY;

    login_of(s, &who, &path);
    catalog_question_sql(q, (const char *)path.data, path.len, sql);
    buf_free(&who);
    buf_free(&path);
}

void
lookup_heard(struct session *s, struct catalog_question *q, struct catalog_scope *scope)
{
    struct buf who = BUF_EMPTY;
    struct buf path = BUF_EMPTY;
    struct catalog_login login = login_of(s, &who, &path);

    catalog_question_done(q, s->host->catalog, &login, scope);
    buf_free(&who);
    buf_free(&path);
}

void
lookup_learned(struct session *s, struct knowledge_question *q, struct catalog_scope *scope)
{
    struct buf who = BUF_EMPTY;
    struct buf path = BUF_EMPTY;
    struct catalog_login login = login_of(s, &who, &path);

    knowledge_question_done(q, s->host->knowledge, s->host->catalog, &login, scope);
    buf_free(&who);
    buf_free(&path);
}

void
lookup_leave(struct session *s)
{
    if (s->lookup != NULL)
        leave(s);
}

void
lookup_end_all(struct session_host *host)
{
    while (!list_empty(&host->lookups))
        fail_lookup(list_first(&host->lookups, struct lookup, link), "pgpool stops", true);
    catalog_question_free(&host->question);
}
