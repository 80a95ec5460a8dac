/*
 * A session's life: its memory, its client's stream, its links to servers, its end.
 *
 * Called by proc/child (new, cancel, terminate, sweep) and by the other files of this room.
 * Invariants: at most two links; a session that is closed has none and gets no callback; its
 * memory goes when the running callback has returned.
 */
#include "session/login_state.h"

#include "base/arena.h"
#include "base/str.h"
#include "config/config.h"
#include "os/clock.h"
#include "os/random.h"
#include "wire/build.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

enum {
    HOLD_MS = 100, /* how long a batch without Sync waits for more of it */
    SMALL_BYTES = 256,
    SMALL_PER_PAGE = 32,
    SESSIONS_PER_PAGE = 32,
};

_Static_assert(sizeof(struct session) <= 832, "an idle client is small");

void
session_enter(struct session *s, enum client_state state)
{
    s->state = (uint8_t)state;
}

void
session_show_state(struct session *s, enum session_slot_state state)
{
    if (s->place.slot != NULL)
        atomic_store_explicit(&s->place.slot->state, state, memory_order_relaxed);
}

void
session_send(struct session *s, const struct buf *b)
{
    io_send_copy(s->client, b->data, b->len);
}

/* ---- the client's stream ---- */

/* PostgreSQL answers some things before it sees a Sync, such as COPY and errors: a client may wait
 * for that. */
static void
held_too_long(void *ctx)
{
    struct session *s = ctx;

    if (s->state != CLIENT_READY || s->stall != STALL_NONE || s->in.len == 0)
        return;
    s->held_long = true;
    client_go_on(s);
    s->held_long = false;
}

static void
client_received(void *ctx, struct io_rx *rx)
{
    struct session *s = ctx;
    const struct log_context *before = log_set_context(&s->log);
    size_t used;

    if (s->state == CLIENT_READY)
        s->active_ns = io_now_ns(s->host->io);
    if (s->state == CLIENT_REFUSED) {
        /* what it says counts no more */
    } else if (s->state != CLIENT_READY) {
        buf_add(&s->in, rx->data, rx->len);
        if (s->in.len >= HOLD_MAX_BYTES)
            io_pause(s->client);
        if (s->state == CLIENT_STARTUP)
            startup_received(s);
        else if (s->state == CLIENT_LOGIN)
            login_received(s->login);
    } else if (s->in.len > 0 || s->stall != STALL_NONE) {
        buf_add(&s->in, rx->data, rx->len);
        if (s->stall == STALL_NONE && unit_is_due(s))
            client_go_on(s);
    } else {
        used = client_pump(s, rx, rx->data, rx->len);
        if (s->state == CLIENT_READY && used < rx->len)
            buf_add(&s->in, rx->data + used, rx->len - used);
        s->held_at = 0;
    }
    if (s->state == CLIENT_READY && s->stall != STALL_NONE &&
        (s->in.len >= HOLD_MAX_BYTES || s->stall == STALL_FULL))
        io_pause(s->client);
    if (unlikely(s->state == CLIENT_READY && s->stall == STALL_NONE && s->in.len > 0))
        io_timer_start(s->host->io, &s->timer, HOLD_MS, held_too_long, s);
    log_set_context(before);
}

static void
client_drained(void *ctx)
{
    struct session *s = ctx;

    if (s->primary != NULL && s->primary->state == SERVER_LENT)
        server_resume(s->primary);
    if (s->reader != NULL && s->reader->state == SERVER_LENT)
        server_resume(s->reader);
    if (s->stall == STALL_FULL)
        client_go_on(s);
}

static void
client_closed(void *ctx, int error UNUSED)
{
    session_end(ctx, "the client closed the connection");
}

static const struct io_stream_ops client_ops = {
    .received = client_received,
    .drained = client_drained,
    .closed = client_closed,
    .secured = secure_done,
};

/* ---- life ---- */

struct session *
session_new(struct session_host *host, int fd, const struct session_place *place)
{
    struct session *s = slab_get(&host->sessions);
    struct err err;

    s->host = host;
    s->options = &host->options;
    s->place = *place;
    s->tx_status = 'I';
    s->plain_strings = true;
    s->reader_node = -1;
    s->pool_mode = s->cache_mode = -1;
    s->active_ns = io_now_ns(host->io);
    s->last_write_ns = host->last_write(host->ctx);
    if (random_bytes(s->cancel_key, sizeof(s->cancel_key), &err) != 0)
        BUG("%s", err.message);
    settings_init(s);
    session_enter(s, CLIENT_STARTUP);
    s->client = io_stream_open(host->io, fd, &client_ops, s);
    s->login = login_new(s);
    if (place->slot != NULL) {
        place->slot->load_balance_node = -1;
        place->slot->keeps = 0;
        place->slot->connected_at_us = clock_wall_us();
        place->slot->statement[0] = '\0';
        session_show_state(s, SESSION_SLOT_LOGIN);
    }
    login_hosts_sweep(&host->login);
    return s;
}

static void
session_reap(void *ctx)
{
    struct session *s = ctx;

    buf_free(&s->in);
    cache_fini(s);
    statements_fini(s);
    tx_fini(s);
    retry_drop(s);
    settings_fini(s);
    options_fini(s);
    local_fini(s);
    timed_fini(s);
    buf_free(&s->notices);
    free(s->names);
    OPENSSL_cleanse(s->cancel_key, sizeof(s->cancel_key));
    s->host->ended(s->host->ctx, s);
    slab_put(&s->host->sessions, s);
}

void
session_unlink(struct session *s, struct server *server)
{
    if (s->cache != NULL)
        cache_link_gone(s, server);
    statements_link_gone(s, server);
    if (s->cur == server)
        s->cur = NULL;
    if (s->batch == server)
        s->batch = NULL;
    if (s->replaying == server)
        s->replaying = NULL;
    if (s->primary == server)
        s->primary = NULL;
    else if (s->reader == server)
        s->reader = NULL;
}

void
session_drop_link(struct session *s, struct server *server)
{
    session_unlink(s, server);
    if (server->state == SERVER_LENT)
        pool_return(server);
    else
        server_close(server, "its session does not wait for it");
}

void
session_end(struct session *s, const char *why)
{
    if (s->state == CLIENT_CLOSED)
        return;
    if (session_options(s)->log_disconnections && s->key != NULL && s->login == NULL)
        log_info("disconnection: user=%s database=%s: %s", pool_key_user(s->key),
                 pool_key_database(s->key), why);
    session_enter(s, CLIENT_CLOSED);
    lookup_leave(s);
    if (s->on_hold)
        hold_leave(s);
    keeps_fini(s);
    pool_wait_no_more(s->host->pool, &s->waiter);
    if (s->login != NULL && s->in.len > 0)
        OPENSSL_cleanse(s->in.data, s->in.len); /* it may be half a password */
    login_free(s->login);
    s->login = NULL;
    if (s->copies != NULL)
        copies_end(s);
    definitions_session_ends(s);
    if (s->primary != NULL)
        session_drop_link(s, s->primary);
    if (s->reader != NULL)
        session_drop_link(s, s->reader);
    if (s->admitted)
        s->host->dismiss(s->host->ctx);
    s->admitted = false;
    io_stream_close(s->client, true);
    s->client = NULL;
    if (s->key != NULL)
        pool_key_put(s->key);
    s->key = NULL;
    io_timer_start(s->host->io, &s->timer, 0, session_reap, s);
}

void
session_fatal(struct session *s, const struct err *err)
{
    struct buf b = BUF_EMPTY;
    const struct log_context *before;

    if (s->state == CLIENT_CLOSED)
        return;
    before = log_set_context(&s->log);
    log_error_parts(LOG_LEVEL_FATAL, err);
    log_set_context(before);
    /* inside of another message it would be read as that one's content */
    if (s->cur == NULL || !server_is_mid_message(s->cur)) {
        build_error(&b, "FATAL", err);
        session_send(s, &b);
        buf_free(&b);
    }
    session_end(s, err->message);
}

bool
session_came_to(const struct session *s, struct sock_address *addr_r)
{
    return s->client != NULL && sock_local_address(io_stream_fd(s->client), addr_r);
}

void
session_terminate(struct session *s, const struct err *err)
{
    session_fatal(s, err);
}

/* ---- parameters that change how a text is read ---- */

static bool
is_odd_encoding(struct wire_view v)
{
    static const char *const odd[] = {"SJIS",    "BIG5",  "GBK",           "UHC",
                                      "GB18030", "JOHAB", "SHIFT_JIS_2004"};

    for (size_t n = 0; n < ARRAY_LEN(odd); n++) {
        if (v.len == strlen(odd[n]) && str_equal_nocase_n(v.data, odd[n], v.len))
            return true;
    }
    return false;
}

void
session_note_parameter(struct session *s, struct wire_view name, struct wire_view value)
{
    if (name.len == 27 && memcmp(name.data, "standard_conforming_strings", 27) == 0)
        s->plain_strings = value.len == 2;
    else if (name.len == 15 && memcmp(name.data, "client_encoding", 15) == 0)
        s->odd_encoding = is_odd_encoding(value);
}

const struct sql_facts *
session_facts(struct session *s, const char *text, size_t len)
{
    static const struct sql_statement unread = {
        .kind = SQL_OTHER, .may_write = true, .may_touch_session = true};
    static struct sql_memo none; /* of what is not understood, nobody writes it */
    static const struct sql_facts unknown = {1, false, true, true, &unread, &none, 0, {"", 0}};
    struct sql_options options = {.standard_conforming_strings = s->plain_strings,
                                  .server_version = s->host->view->server_version};

    if (unlikely(s->odd_encoding))
        return &unknown;
    return sql_facts(s->host->sql, text, len, &options);
}

/* ---- links ---- */

/* Nothing of the session's is on it, or under way. */
static bool
may_release(const struct session *s, const struct server *server)
{
    if (server == NULL || server->state != SERVER_LENT || !server_is_idle(server))
        return false;
    if (s->batch == server || s->replaying == server || (s->cur == server && s->pass_left > 0))
        return false;
    return session_pool_mode(s) != CONFIG_POOL_MODE_AUTO || server != s->primary ||
           !session_keeps_primary(s);
}

static void
release(struct session *s, struct server **link)
{
    struct server *server = *link;

    if (s->cache != NULL)
        cache_link_gone(s, server);
    statements_link_gone(s, server);
    if (s->cur == server)
        s->cur = NULL;
    *link = NULL;
    pool_release(server);
}

void
session_release(struct session *s)
{
    if (session_pool_mode(s) == CONFIG_POOL_MODE_SESSION || s->state != CLIENT_READY ||
        s->tx_status != 'I')
        return;
    if (unlikely(s->copies != NULL) && copies_is_busy(s))
        return;
    if (may_release(s, s->primary))
        release(s, &s->primary);
    if (unlikely(s->copies != NULL) && s->primary == NULL && !copies_is_bereft(s))
        copies_release(s);
    if (may_release(s, s->reader))
        release(s, &s->reader);
}

/* Is the connection to another node than wanted, and may it go? */
static bool
replace(struct session *s, struct server **link, int node_id, struct err *err)
{
    if (*link == NULL || (*link)->node_id == node_id)
        return true;
    if (link == &s->primary && session_keeps_primary(s)) {
        err_set(err, "57P01", "the primary is node %d now, and this session had state on node %d",
                node_id, (*link)->node_id);
        return false;
    }
    session_drop_link(s, *link);
    return true;
}

/* An idle connection to the primary that was opened when its node was a standby says so still. */
static struct server *
checkout(struct session *s, int node_id, bool *waits_r, struct err *err)
{
    bool primary = node_id == s->host->view->primary_id;
    struct server *server;

    pool_wait_no_more(s->host->pool, &s->waiter);
    s->waiter.key = s->key;
    s->waiter.ops = &session_server_ops;
    s->waiter.owner = s;
    s->waiter.slot = s->place.slot;
    s->waiter.proof = NULL;
    s->waiter.node_id = (int16_t)node_id;
    for (;;) {
        server = pool_checkout(&s->waiter, err, waits_r);
        if (server == NULL || !primary || server->state != SERVER_LENT || !server->is_standby)
            return server;
        server_close(server, "it is from before its node was the primary");
    }
}

/* Who has a connection waits for no other one, as two of them might wait for each other: reads go
 * where the session is, and one that it only reads from is given back. */
static struct server *
instead_of_waiting(struct session *s, bool primary, bool *waits_r)
{
    session_release(s);
    if (primary && s->reader != NULL)
        session_drop_link(s, s->reader);
    if (primary || s->primary == NULL || s->primary->state != SERVER_LENT)
        return NULL;
    pool_wait_no_more(s->host->pool, &s->waiter);
    *waits_r = false;
    return s->primary;
}

/* Native replication: the connection to the main node is one that the session has, or none. */
static struct server *
inherit(struct session *s, int node_id, bool *waits_r, struct err *err)
{
    struct server *server = NULL;

    switch (copies_take_over(s, node_id, &server)) {
    case COPIES_HEIR:
        return server;
    case COPIES_LOOK_THERE:
        return checkout(s, node_id, waits_r, err);
    default:
        err_set(err, "57P01", "the connections to the main node and to node %d were lost", node_id);
        outage_refuse(s, err);
        session_fatal(s, err);
        *waits_r = true; /* for nothing any more */
        return NULL;
    }
}

struct server *
session_link(struct session *s, int node_id, bool *waits_r, struct err *err)
{
    bool primary = node_id == s->host->view->primary_id;
    struct server **link = primary ? &s->primary : &s->reader;

    *waits_r = false;
    if (!primary && s->primary != NULL && s->primary->node_id == node_id) {
        /* what was the primary is a standby now */
        if (session_keeps_primary(s)) {
            err_set(err, "57P01", "node %d is not the primary any more", node_id);
            return NULL;
        }
        session_drop_link(s, s->primary);
    }
    if (!replace(s, link, node_id, err))
        return NULL;
    if (*link == NULL) {
        if (primary && s->ticket != 0)
            pool_prefer(s->key, node_id, s->ticket);
        if (primary && unlikely(s->copies != NULL) && copies_is_bereft(s))
            *link = inherit(s, node_id, waits_r, err);
        else
            *link = checkout(s, node_id, waits_r, err);
        if (unlikely(s->state != CLIENT_READY))
            return NULL;
        if (*waits_r && pool_waits_for_pace(&s->waiter))
            return NULL;
        if (*waits_r)
            return instead_of_waiting(s, primary, waits_r);
        if (*link != NULL)
            options_watch(s, *link);
        if (*link != NULL && (*link)->slot != NULL)
            (*link)->slot->session = (int32_t)s->place.index;
    }
    return *link;
}

/* Native replication: another node is the main one, and the session is no worse off there. */
static bool
leaves_copies(struct session *s, const struct server *old)
{
    if (s->copies == NULL || !outage_may_leave(s))
        return false;
    if (outage_bereaves(s, false))
        copies_bereave(s, old->node_id);
    keeps_lost(s);
    return true;
}

void
session_follow_primary(struct session *s)
{
    int primary_id = s->host->view->primary_id;
    struct server *old = s->primary;
    struct err err;

    if (s->state != CLIENT_READY || old == NULL || primary_id < 0 || old->node_id == primary_id)
        return;
    if (old->tx_status == 'I' && old->pending.forwards == 0 && s->batch != old &&
        (s->cur != old || s->pass_left == 0)) {
        if (session_keeps_primary(s) && !leaves_copies(s, old)) {
            err_set(&err, "57P01", "the primary is node %d now", primary_id);
            outage_refuse(s, &err);
            session_fatal(s, &err);
            return;
        }
        session_drop_link(s, old);
        if (s->stall != STALL_NONE)
            client_go_on(s);
        return;
    }
    err_set(&err, "57P01", "node %d is not the primary any more", old->node_id);
    server_lose(old, &err);
}

/* ---- cancel, limits, questions ---- */

/* What is still being dialled is for the statement that was cancelled, unless the next one has
 * begun to wait for it: when it failed at last, it would end the session. */
static void
drop_awaited_links(struct session *s)
{
    if (s->state != CLIENT_READY || s->stall == STALL_SERVER)
        return;
    if (s->primary != NULL && s->primary->state != SERVER_LENT)
        session_drop_link(s, s->primary);
    if (s->reader != NULL && s->reader->state != SERVER_LENT)
        session_drop_link(s, s->reader);
}

bool
session_cancel(struct session *s, const void *key, size_t key_len, pool_cancel_fn *done, void *ctx)
{
    size_t want = s->protocol >= WIRE_PROTOCOL(3, 2) ? CANCEL_KEY_BYTES : 4;
    bool runs = true;

    if (s->state != CLIENT_READY || key_len != want || CRYPTO_memcmp(key, s->cancel_key, want) != 0)
        return false;
    if (s->stall == STALL_LOOKUP)
        lookup_leave(s);
    if (s->copies != NULL)
        runs = copies_cancel(s);
    pool_wait_no_more(s->host->pool, &s->waiter);
    if (s->stall == STALL_SERVER || s->stall == STALL_LOOKUP || s->stall == STALL_CACHE ||
        (s->stall == STALL_ANSWERS && (s->replaying != NULL || copies_is_beginning(s)))) {
        s->cancelled = true;
        client_go_on(s);
        drop_awaited_links(s);
    } else if (s->cur != NULL && s->cur->state == SERVER_LENT && s->cur->pending.count > 0 &&
               runs) {
        pool_cancel(s->cur, done, ctx);
        return true;
    }
    done(ctx);
    return true;
}

bool
session_host_is_busy(const struct session_host *host)
{
    return !list_empty(&host->orphans);
}

bool
session_is_cancelling(const struct session *s)
{
    return s->state == CLIENT_CANCELLING;
}

void
session_cancel_done(struct session *s)
{
    session_end(s, "the cancel request was passed on");
}

static bool
is_served(const struct session *s)
{
    return (s->cur != NULL && s->cur->pending.count > 0) || s->stall == STALL_SERVER ||
           s->stall == STALL_ANSWERS || s->stall == STALL_LOOKUP || s->stall == STALL_CACHE;
}

void
session_limit_in_the_way(struct session *s)
{
    int64_t limit_ms = session_options(s)->held_idle_limit_ms;
    int64_t idle_ms = (io_now_ns(s->host->io) - s->active_ns) / NS_PER_MS;
    struct err err;

    if (limit_ms == 0 || idle_ms < limit_ms || s->state != CLIENT_READY || is_served(s))
        return;
    err_set(&err, "57P05", "terminating connection due to client_idle_limit_in_recovery");
    session_fatal(s, &err);
}

void
session_sweep(struct session *s)
{
    const struct session_options *o = session_options(s);
    int64_t idle_ms = (io_now_ns(s->host->io) - s->active_ns) / NS_PER_MS;
    struct err err;

    if (s->state != CLIENT_READY) {
        if (s->on_hold)
            s->active_ns = io_now_ns(s->host->io);
        if (s->on_hold || o->login_limit_ms == 0 || idle_ms < o->login_limit_ms)
            return;
        if (s->state != CLIENT_LOGIN) {
            session_end(s, "authentication_timeout is over");
            return;
        }
        err_set(&err, "57014", "canceling authentication due to timeout");
        session_fatal(s, &err);
    } else if (s->on_hold && s->outage_ns != 0) {
        client_go_on(s); /* it may have waited long enough */
    } else if (o->idle_limit_ms > 0 && idle_ms >= o->idle_limit_ms && !is_served(s)) {
        err_set(&err, "57P05", "terminating connection due to client_idle_limit");
        session_fatal(s, &err);
    }
}

void
session_host_init(struct session_host *host)
{
    list_init(&host->lookups);
    list_init(&host->held);
    list_init(&host->orphans);
    list_init(&host->login.begun);
    host->suspect_node = -1;
    slab_init(&host->small, SMALL_BYTES, SMALL_PER_PAGE);
    slab_init(&host->sessions, sizeof(struct session), SESSIONS_PER_PAGE);
}

void
session_host_fini(struct session_host *host)
{
    lookup_end_all(host);
    copies_host_fini(host);
    io_timer_stop(&host->suspect);
    io_timer_stop(&host->positions);
    buf_free(&host->scratch);
    slab_fini(&host->small);
    slab_fini(&host->sessions);
}

const struct session_place *
session_place(const struct session *s)
{
    return &s->place;
}

int
session_load_balance_node(const struct session *s)
{
    return s->reader_node;
}
