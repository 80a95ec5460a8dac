/*
 * Questions about roles, one after the other over one connection.
 *
 * Called by login.c (ask, leave, forget) and proc/child (life and options). An entry is one
 * question about one role: it waits in the queue, is asked, or is known for a short while.
 * Invariants: only the first entry of the queue is being asked; a waiter is told from the event
 * loop; what a failed question leaves is forgotten at once, so that the next one asks again.
 */
#include "session/role_query.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/map.h"
#include "base/num.h"
#include "base/str.h"
#include "os/ask.h"
#include "os/clock.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    KEPT_MAX = 4096,   /* answers */
    QUIET_MS = 30000,  /* without a question the connection is closed */
    ROLES_MAX = 10000, /* that one role is a member of */
    WHY_BYTES = 160,
};

/* So that names mean what they mean, and times can be read. */
static const char session_options[] = "-c search_path= -c datestyle=ISO,YMD -c timezone=UTC "
                                      "-c statement_timeout=0 -c client_min_messages=error";

static const char membership_sql[] =
    "WITH RECURSIVE mine(oid) AS ("
    "SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = $1 UNION "
    "SELECT m.roleid FROM pg_catalog.pg_auth_members m, mine WHERE m.member = mine.oid) "
    "SELECT r.rolname FROM pg_catalog.pg_roles r, mine WHERE r.oid = mine.oid";

struct role_entry {
    struct list link; /* in the queue, or among those that are kept, oldest first */
    struct list waiters;
    struct role_query *query;
    bool known;
    bool stale;   /* to be forgotten as soon as nobody waits */
    bool telling; /* its waiters, right now */
    struct secret secret;
    bool has_secret;
    char why[WHY_BYTES];
    char **roles;
    uint32_t role_count;
    int64_t fresh_until_ns;
    uint64_t tried[2]; /* nodes that could not answer */
    struct err failure;
    struct io_timer tell; /* the answer is known, and somebody waits for it */
    uint32_t key_len;
    char key[]; /* the kind, and the user's name with its NUL */
};

struct role_query {
    struct io *io;
    struct ask *ask;
    struct role_query_nodes nodes;
    char *user;
    char *password;
    char *database;
    char *sql;
    struct ask_tls tls;
    int64_t keep_ms;
    int64_t limit_ms;
    struct map entries;
    struct list queue;
    struct list kept;
    struct io_timer quiet;
};

static const char *
user_of(const struct role_entry *e)
{
    return e->key + 1;
}

/* ---- entries ---- */

static void
clear_answer(struct role_entry *e)
{
    if (e->has_secret)
        secret_fini(&e->secret);
    e->has_secret = false;
    for (uint32_t n = 0; n < e->role_count; n++)
        free(e->roles[n]);
    free(e->roles);
    e->roles = NULL;
    e->role_count = 0;
    e->why[0] = '\0';
}

static void
drop_entry(struct role_entry *e)
{
    struct role_query *q = e->query;

    map_remove(&q->entries, e->key, e->key_len);
    list_remove(&e->link);
    io_timer_stop(&e->tell);
    clear_answer(e);
    free(e);
}

static void
drop_old(struct role_query *q)
{
    int64_t now_ns = io_now_ns(q->io);

    list_for_each_safe (it, next, &q->kept) {
        struct role_entry *e = list_entry(it, struct role_entry, link);

        if (!list_empty(&e->waiters) || e->telling)
            continue;
        if (e->fresh_until_ns > now_ns && q->entries.count <= KEPT_MAX)
            return;
        drop_entry(e);
    }
}

/* Each waiter hears of it once; whoever is told may leave, ask again, or end another's wait. */
static void
tell_waiters(void *ctx)
{
    struct role_entry *e = ctx;
    struct role_answer answer = {
        .failure = e->known ? NULL : &e->failure,
        .secret = e->has_secret ? &e->secret : NULL,
        .why = e->why[0] != '\0' ? e->why : NULL,
        .roles = (const char *const *)e->roles,
        .role_count = e->role_count,
    };
    struct list waiters;

    list_init(&waiters);
    while (!list_empty(&e->waiters)) {
        struct list *it = e->waiters.next;
        list_remove(it);
        list_append(&waiters, it);
    }
    e->telling = true;
    while (!list_empty(&waiters)) {
        struct role_waiter *w = list_first(&waiters, struct role_waiter, link);
        list_remove(&w->link);
        w->done(w->ctx, &answer);
    }
    e->telling = false;
    if ((!e->known || e->stale) && list_empty(&e->waiters))
        drop_entry(e);
}

/* ---- answers ---- */

/* "2026-01-31 12:00:00.5+00", "infinity", "-infinity" or "... BC", as PostgreSQL prints them with
 * the settings above. -1: nothing of that kind. */
static int
read_time(const char *text, int64_t *seconds_r)
{
    struct tm tm = {0};
    const char *rest;

    if (strcmp(text, "infinity") == 0) {
        *seconds_r = INT64_MAX;
        return 0;
    }
    if (strcmp(text, "-infinity") == 0 || strstr(text, " BC") != NULL) {
        *seconds_r = INT64_MIN;
        return 0;
    }
    rest = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);
    if (rest == NULL || (strcmp(rest, "+00") != 0 && rest[0] != '.'))
        return -1;
    *seconds_r = (int64_t)timegm(&tm);
    return 0;
}

/* -1 with err: the query is not what it should be. */
static int
take_secret(struct role_entry *e, const struct ask_rows *rows, struct err *err)
{
    uint32_t count = ask_row_count(rows);
    int64_t until;

    if (ask_column_count(rows) < 2)
        return err_set(err, "42P10", "auth_query gives fewer than two columns");
    if (count > 1)
        return err_set(err, "21000", "auth_query gives %u rows for one user", count);
    if (count == 0) {
        str_copy(e->why, sizeof(e->why), "there is no such role");
        return 0;
    }
    if (ask_is_null(rows, 0, 1)) {
        str_copy(e->why, sizeof(e->why), "the role has no password assigned");
        return 0;
    }
    if (ask_column_count(rows) > 2 && !ask_is_null(rows, 0, 2)) {
        if (read_time(ask_value(rows, 0, 2), &until) != 0)
            return err_set(err, "22007", "the third column of auth_query is no time");
        if (until <= clock_wall_us() / 1000000) {
            str_copy(e->why, sizeof(e->why), "the role's password has expired");
            return 0;
        }
    }
    if (secret_parse_role(ask_value(rows, 0, 1), strlen(ask_value(rows, 0, 1)), &e->secret, err) !=
        0) {
        str_copy(e->why, sizeof(e->why), err->message);
        return 0;
    }
    e->has_secret = true;
    return 0;
}

static int
take_roles(struct role_entry *e, const struct ask_rows *rows, struct err *err)
{
    uint32_t count = ask_row_count(rows);

    if (count > ROLES_MAX)
        return err_set(err, "54000", "the role is a member of %u roles", count);
    e->roles = xcalloc((size_t)count + 1, sizeof(char *));
    for (uint32_t n = 0; n < count; n++)
        e->roles[e->role_count++] = xstrdup(ask_value(rows, n, 0));
    return 0;
}

static void ask_next(struct role_query *q);

static struct role_entry *
first_of(struct role_query *q)
{
    return list_first(&q->queue, struct role_entry, link);
}

/* The first of the queue has its answer, or none. */
static void
settle(struct role_query *q, bool known)
{
    struct role_entry *e = first_of(q);

    e->known = known;
    e->fresh_until_ns = io_now_ns(q->io) + q->keep_ms * NS_PER_MS;
    list_remove(&e->link);
    list_append(&q->kept, &e->link);
    if (list_empty(&e->waiters) && (!known || e->stale))
        drop_entry(e);
    else
        io_timer_start(q->io, &e->tell, 0, tell_waiters, e);
    ask_next(q);
}

static void
on_answered(void *ctx, const struct ask_rows *rows)
{
    struct role_query *q = ctx;
    struct role_entry *e = first_of(q);
    int rc;

    rc = e->key[0] == ROLE_ASK_SECRET ? take_secret(e, rows, &e->failure)
                                      : take_roles(e, rows, &e->failure);
    if (rc != 0)
        log_warning("%s", e->failure.message);
    settle(q, rc == 0);
}

/* ---- questions ---- */

static bool
was_tried(const struct role_entry *e, int node_id)
{
    return (e->tried[node_id / 64] >> (node_id % 64) & 1) != 0;
}

static int
node_for(const struct role_query *q, const struct role_entry *e)
{
    const struct cluster_view *view = q->nodes.view;

    if (view->primary_id >= 0 && !was_tried(e, view->primary_id))
        return view->primary_id;
    for (uint32_t n = 0; n < view->node_count; n++) {
        if (view->nodes[n].usable && !view->nodes[n].drained && !was_tried(e, (int)n))
            return (int)n;
    }
    return -1;
}

static void
be_quiet(void *ctx)
{
    struct role_query *q = ctx;

    if (!ask_is_busy(q->ask))
        ask_close(q->ask);
}

/* Nobody can be asked about the first of the queue: its waiters hear of the last failure. */
static void
give_up(struct role_query *q)
{
    struct role_entry *e = first_of(q);

    if (e->tried[0] == 0 && e->tried[1] == 0)
        err_set(&e->failure, "57P03", "there is no server that could be asked");
    log_warning("could not ask the servers about user \"%s\": %s", user_of(e), e->failure.message);
    settle(q, false);
}

static void
ask_next(struct role_query *q)
{
    struct ask_target target = {.user = q->user,
                                .password = q->password,
                                .database = q->database,
                                .application_name = "pgpool auth_query",
                                .options = session_options,
                                .tls = q->tls};
    struct role_entry *e;
    int node_id;

    if (ask_is_busy(q->ask))
        return;
    if (list_empty(&q->queue)) {
        io_timer_start(q->io, &q->quiet, QUIET_MS, be_quiet, q);
        return;
    }
    e = first_of(q);
    node_id = node_for(q, e);
    if (node_id < 0 || q->nodes.nodes[node_id].host == NULL) {
        give_up(q);
        return;
    }
    io_timer_stop(&q->quiet);
    e->tried[node_id / 64] |= UINT64_C(1) << (node_id % 64);
    target.host = q->nodes.nodes[node_id].host;
    target.port = q->nodes.nodes[node_id].port;
    ask_set_target(q->ask, &target);
    ask_about(q->ask, e->key[0] == ROLE_ASK_SECRET ? q->sql : membership_sql, user_of(e),
              q->limit_ms);
}

/* What the server has against the question it would have again, and so would the others. */
static bool
is_last_word(const struct role_query *q, const struct err *err)
{
    return ask_failure(q->ask) == ASK_SERVER && strncmp(err->sqlstate, "57", 2) != 0 &&
           strncmp(err->sqlstate, "53", 2) != 0;
}

static void
on_failed(void *ctx, const struct err *err, bool asked)
{
    struct role_query *q = ctx;

    if (!asked)
        return;
    first_of(q)->failure = *err;
    if (is_last_word(q, err))
        give_up(q);
    else
        ask_next(q);
}

/* ---- for the owner ---- */

struct role_query *
role_query_new(struct io *io, struct dns *dns, const struct role_query_nodes *nodes)
{
    static const struct ask_ops ops = {.answered = on_answered, .failed = on_failed};
    struct role_query *q = xcalloc(1, sizeof(*q));

    q->io = io;
    q->nodes = *nodes;
    q->ask = ask_new(io, dns, &ops, q);
    list_init(&q->queue);
    list_init(&q->kept);
    return q;
}

static void
forget_options(struct role_query *q)
{
    if (q->password != NULL)
        OPENSSL_cleanse(q->password, strlen(q->password));
    free(q->user);
    free(q->password);
    free(q->database);
    free(q->sql);
}

static void
drop_all(struct list *entries)
{
    list_for_each_safe (it, next, entries)
        drop_entry(list_entry(it, struct role_entry, link));
}

void
role_query_free(struct role_query *q)
{
    if (q == NULL)
        return;
    io_timer_stop(&q->quiet);
    ask_free(q->ask);
    drop_all(&q->queue);
    drop_all(&q->kept);
    map_fini(&q->entries);
    forget_options(q);
    free(q);
}

void
role_query_configure(struct role_query *q, const struct role_query_options *o)
{
    struct role_query before = *q;

    q->user = xstrdup(o->user);
    q->password = o->password != NULL ? xstrdup(o->password) : NULL;
    q->database = xstrdup(o->database);
    q->sql = xstrdup(o->sql);
    q->tls = o->tls;
    q->keep_ms = o->keep_ms;
    q->limit_ms = o->limit_ms;
    /* what is being asked is asked again, by the new options */
    ask_close(q->ask);
    list_for_each_safe (it, next, &q->kept) {
        struct role_entry *e = list_entry(it, struct role_entry, link);

        e->fresh_until_ns = 0;
        if (list_empty(&e->waiters))
            drop_entry(e);
    }
    forget_options(&before);
    if (!list_empty(&q->queue)) {
        memset(first_of(q)->tried, 0, sizeof(first_of(q)->tried));
        ask_next(q);
    }
}

bool
role_query_is_on(const struct role_query *q)
{
    return q != NULL && q->user != NULL && q->user[0] != '\0';
}

static struct role_entry *
new_entry(struct role_query *q, const char *key, uint32_t key_len)
{
    struct role_entry *e = xcalloc(1, sizeof(*e) + key_len);

    e->query = q;
    e->key_len = key_len;
    memcpy(e->key, key, key_len);
    list_init(&e->waiters);
    list_append(&q->queue, &e->link);
    map_put(&q->entries, e->key, key_len, e);
    return e;
}

static uint32_t
make_key(enum role_ask what, const char *user, struct buf *key)
{
    buf_add_u8(key, (uint8_t)what);
    buf_add_cstr(key, user);
    return (uint32_t)key->len;
}

void
role_query_ask(struct role_query *q, enum role_ask what, const char *user, struct role_waiter *w)
{
    struct buf key = BUF_EMPTY;
    uint32_t key_len = make_key(what, user, &key);
    struct role_entry *e;

    drop_old(q);
    e = map_get(&q->entries, key.data, key_len);
    if (e != NULL && e->known && !e->telling && list_empty(&e->waiters) &&
        e->fresh_until_ns <= io_now_ns(q->io)) {
        drop_entry(e);
        e = NULL;
    }
    if (e == NULL)
        e = new_entry(q, (const char *)key.data, key_len);
    buf_free(&key);
    list_append(&e->waiters, &w->link);
    if (e->known)
        io_timer_start(q->io, &e->tell, 0, tell_waiters, e);
    else if (e == first_of(q))
        ask_next(q);
}

void
role_query_leave(struct role_waiter *w)
{
    if (list_linked(&w->link))
        list_remove(&w->link);
}

void
role_query_forget(struct role_query *q, const char *user)
{
    struct buf key = BUF_EMPTY;
    uint32_t key_len = make_key(ROLE_ASK_SECRET, user, &key);
    struct role_entry *e = map_get(&q->entries, key.data, key_len);

    buf_free(&key);
    if (e == NULL)
        return;
    e->stale = true;
    e->fresh_until_ns = 0;
    if (e->known && !e->telling && list_empty(&e->waiters))
        drop_entry(e);
}
