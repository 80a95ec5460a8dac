/*
 * From an address to a server connection that is ready: resolve, connect, log in, ask what it is.
 *
 * Called by pool/pool. Owns struct server_login, which lives only meanwhile. A deadline covers
 * the whole way. Nothing that the server says before it is ready reaches a client, but for its
 * refusal.
 */
#include "auth/credentials.h"
#include "auth/login.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "os/dns.h"
#include "os/tls.h"
#include "pool/internal.h"
#include "wire/build.h"
#include "wire/proto.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOGIN_MESSAGE_MAX = 1024 * 1024,
    STARTUP_PAIRS_MAX = 256,
    AUTH_HEADER = WIRE_HEADER_BYTES + 4, /* of an Authentication message */
};

struct server_login {
    struct dns_query *query;
    struct io_timer timer;
    struct login auth;
    struct credentials *credentials; /* NULL: none */
    bool own;                        /* these alone, not those of the key */
    struct dns_answer addresses;
    uint32_t address_at;
    struct dial_tls tls;
    struct buf welcome; /* ParameterStatus messages for the client */
    bool auth_started;
    bool asked;
    struct pool_identity who;
    bool failed_early; /* before the caller of dial_start had it: told from the event loop */
    struct err early;
};

static const struct pool_node *
node_of(const struct server *s)
{
    return &pool_options(s->pool)->nodes[s->node_id];
}

void
dial_stop(struct server *s)
{
    struct server_login *l = s->login;

    s->login = NULL;
    if (l->query != NULL)
        dns_cancel(l->query);
    io_timer_stop(&l->timer);
    if (l->auth_started)
        login_fini(&l->auth);
    credentials_unref(l->credentials);
    buf_free(&l->welcome);
    free(l);
    pool_login_over(s);
}

static void
fail(struct server *s, const struct err *err)
{
    pool_dial_failed(s, err, NULL, 0);
}

static void
timed_out(void *ctx)
{
    struct server *s = ctx;
    struct err err;

    if (s->login->failed_early) {
        err = s->login->early;
        fail(s, &err);
        return;
    }
    err_set(&err, "08001", "could not log in to node %d \"%s:%u\" in time", s->node_id,
            node_of(s)->host, node_of(s)->port);
    fail(s, &err);
}

static int try_next_address(struct server *s, struct err *err);

static const struct sock_address *
current_address(const struct server *s)
{
    return &s->login->addresses.list[s->login->address_at];
}

/* The other way, as to TLS. */
static int
connect_again(struct server *s, struct err *err)
{
    struct server_login *l = s->login;

    io_stream_close(s->stream, false);
    s->stream = NULL;
    buf_clear(&s->in);
    buf_clear(&l->welcome);
    if (l->auth_started)
        login_fini(&l->auth);
    l->auth_started = false;
    return try_next_address(s, err);
}

static const char read_only_parameter[] = "default_transaction_read_only";

static uint32_t
collect_pairs(const struct server *s, const char **pairs)
{
    size_t len;
    const char *p = pool_key_parameters(s->key, &len);
    const char *end = p + len;
    uint32_t n = 0;

    pairs[n++] = "user";
    pairs[n++] = pool_key_user(s->key);
    pairs[n++] = "database";
    pairs[n++] = pool_key_database(s->key);
    while (p < end && n + 3 < STARTUP_PAIRS_MAX) {
        pairs[n++] = p;
        p += strlen(p) + 1;
    }
    if (s->login->who.reads_only) { /* the last one counts */
        pairs[n++] = read_only_parameter;
        pairs[n++] = "on";
    }
    return n / 2;
}

static void
send_startup(struct server *s)
{
    const char *pairs[STARTUP_PAIRS_MAX];
    uint32_t count = collect_pairs(s, pairs);
    struct buf b = BUF_EMPTY;

    build_startup(&b, WIRE_PROTOCOL(3, 0), pairs, count);
    server_send(s, b.data, b.len);
    buf_free(&b);
}

static bool
is_near(const struct sock_address *a)
{
    const struct sockaddr *sa = sock_addr(a);

    if (sa->sa_family == AF_UNIX)
        return true;
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)sa;
        return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
    }
    return false;
}

static void
begin_login(struct server *s)
{
    struct server_login *l = s->login;
    const struct tls_facts *tls = io_stream_tls(s->stream);
    struct login_channel channel = {
        .is_safe = tls != NULL || is_near(&l->addresses.list[l->address_at]),
        .is_tls = tls != NULL,
        .binding = tls != NULL ? tls->binding : NULL,
        .binding_len = tls != NULL ? tls->binding_len : 0,
    };

    if (!l->own && l->credentials == NULL)
        l->credentials = pool_key_credentials(s->key);
    login_init(&l->auth, pool_key_user(s->key), l->credentials, &channel);
    l->auth_started = true;
}

/* What one server does not take (28P01), or does not fit what it asks for (28000), is of no use to
 * the next one either. */
static void
note_refusal(struct server *s, const char *sqlstate, const struct err *err)
{
    if (s->unproved || strcmp(err->sqlstate, sqlstate) == 0)
        pool_key_refused(s->key, s->node_id, s->login->credentials);
}

/* Which of several primaries it is; and a server older than 14 does not tell by itself whether it
 * is a standby. The name of a WAL file begins with its timeline in hexadecimal digits. */
static void
ask_identity(struct server *s)
{
    static const char sql[] =
        "SELECT pg_catalog.pg_is_in_recovery(),"
        " CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN"
        " pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) END,"
        " (SELECT system_identifier FROM pg_catalog.pg_control_system())";

    s->state = SERVER_CHECKING;
    s->login->asked = true;
    server_run(s, sql, sizeof(sql) - 1, 0);
}

static void
read_identity(struct server *s, const uint8_t *msg, size_t len)
{
    struct pool_identity *who = &s->login->who;
    struct wire_view recovery = wire_column(msg, (uint32_t)len, 0);
    struct wire_view wal_file = wire_column(msg, (uint32_t)len, 1);
    struct wire_view system = wire_column(msg, (uint32_t)len, 2);
    char text[24];

    if (recovery.len != 1)
        return;
    s->is_standby = recovery.data[0] == 't';
    str_copy_n(text, sizeof(text), wal_file.len > 0 ? wal_file.data : "", MIN(wal_file.len, 8U));
    who->timeline = (uint32_t)strtoul(text, NULL, 16);
    str_copy_n(text, sizeof(text), system.len > 0 ? system.data : "", system.len);
    who->system_identifier = strtoull(text, NULL, 10);
    who->asked = true;
}

static void
logged_in(struct server *s)
{
    const struct pool_callbacks *calls = pool_callbacks(s->pool);
    struct err err;

    s->login->who.is_standby = s->is_standby;
    if (calls->accepts != NULL &&
        calls->accepts(calls->ctx, s->node_id, &s->login->who, &err) != 0) {
        fail(s, &err);
        return;
    }
    s->is_standby |= s->login->who.reads_only; /* nothing is written there in both cases */
    pending_fini(&s->pending, NULL, NULL);
    pool_key_set_welcome(s->key, &s->login->welcome);
    dial_stop(s);
    buf_free(&s->in);
    server_attach_stream(s);
    pool_dialled(s);
}

static void
ready_for_query(struct server *s, const uint8_t *msg)
{
    const struct pool_callbacks *calls = pool_callbacks(s->pool);

    s->tx_status = (char)msg[WIRE_HEADER_BYTES];
    if (!s->login->asked &&
        (s->version < 140000 || (!s->is_standby && calls->asks_identity != NULL &&
                                 calls->asks_identity(calls->ctx, s->node_id))))
        ask_identity(s);
    else
        logged_in(s);
}

/* "15.18 (Debian ...)" is 150018; "9.6.24" is 90624. */
static uint32_t
parse_version(const struct wire_view *v)
{
    uint32_t parts[2] = {0, 0};
    uint32_t at = 0;
    uint32_t n = 0;

    for (; at < v->len && n < 2; at++) {
        char c = v->data[at];
        if (c >= '0' && c <= '9' && parts[n] < 100000)
            parts[n] = parts[n] * 10 + (uint32_t)(c - '0');
        else if (c == '.')
            n++;
        else
            break;
    }
    return parts[0] * 10000 + parts[1];
}

static void
parameter_status(struct server *s, const uint8_t *msg, size_t len)
{
    struct wire_view name;
    struct wire_view value;

    if (wire_parse_parameter(msg, (uint32_t)len, &name, &value) != WIRE_OK)
        return;
    if (name.len == 14 && memcmp(name.data, "in_hot_standby", 14) == 0) {
        s->is_standby = value.len == 2;
        build_parameter_status(&s->login->welcome, "in_hot_standby", "off");
        return;
    }
    if (s->login->who.reads_only && name.len == sizeof(read_only_parameter) - 1 &&
        memcmp(name.data, read_only_parameter, name.len) == 0) {
        build_parameter_status(&s->login->welcome, read_only_parameter, "off");
        return;
    }
    if (name.len == 14 && memcmp(name.data, "server_version", 14) == 0)
        s->version = parse_version(&value);
    buf_add(&s->login->welcome, msg, len);
}

static int
authentication(struct server *s, const uint8_t *msg, size_t len, struct err *err)
{
    struct buf out = BUF_EMPTY;
    int rc;

    if (!s->login->auth_started)
        begin_login(s);
    if (len >= AUTH_HEADER && num_get_u32(msg + WIRE_HEADER_BYTES) != 0) {
        s->asked_proof = true;
        s->unproved = s->login->credentials == NULL;
    }
    rc = login_step(&s->login->auth, msg, (uint32_t)len, &out, err);
    if (rc != 0)
        note_refusal(s, "28000", err);
    s->authenticated = rc == 0 && login_done(&s->login->auth);
    if (rc == 0 && out.len > 0)
        server_send(s, out.data, out.len);
    if (out.len > 0)
        OPENSSL_cleanse(out.data, out.len);
    buf_free(&out);
    return rc;
}

static int
backend_key(struct server *s, const uint8_t *msg, size_t len, struct err *err)
{
    struct wire_view key;

    if (wire_parse_key(msg, (uint32_t)len, &s->backend_pid, &key) != WIRE_OK ||
        key.len > sizeof(s->cancel_key))
        return err_set(err, "08P01", "node %d sent a malformed cancel key", s->node_id);
    memcpy(s->cancel_key, key.data, key.len);
    s->cancel_key_len = key.len;
    return 0;
}

/* Returns -1 with err when the login has failed; 1 when the server is not s->login's any more. */
static int
login_message(struct server *s, uint8_t type, const uint8_t *msg, size_t len, struct err *err)
{
    switch (type) {
    case 'R':
        return authentication(s, msg, len, err);
    case 'S':
        parameter_status(s, msg, len);
        return 0;
    case 'K':
        return backend_key(s, msg, len, err);
    case 'E':
        server_error_from_message(msg, len, err);
        if (!s->authenticated && dial_tls_change(&s->login->tls, current_address(s), err->sqlstate))
            return connect_again(s, err) == 0 ? 1 : -1;
        s->fatal_seen = true;
        note_refusal(s, "28P01", err);
        pool_dial_failed(s, err, msg, len);
        return 1;
    case 'D':
        read_identity(s, msg, len);
        return 0;
    case 'Z':
        if (!s->login->auth_started || !login_done(&s->login->auth))
            return err_set(err, "08P01", "node %d is ready before the login was complete",
                           s->node_id);
        ready_for_query(s, msg);
        return s->login == NULL ? 1 : 0;
    case 'N': /* what it says to everybody who logs in like this */
        buf_add(&s->login->welcome, msg, len);
        return 0;
    case 'T':
    case 'C':
    case 'v': /* it speaks 3.0 only: so do we to servers */
        return 0;
    default:
        return err_set(err, "08P01", "node %d sent a message of type \"%c\" during login",
                       s->node_id, type);
    }
}

static void
tls_answered(struct server *s, const struct io_rx *rx)
{
    struct tls_context *context = pool_options(s->pool)->tls;
    struct err err;

    switch (dial_tls_answer(&s->login->tls, rx, s->node_id, &err)) {
    case DIAL_TLS_SECURE:
        if (likely(context != NULL)) {
            io_stream_start_tls(s->stream, context, node_of(s)->host);
            break;
        }
        /* a reload has switched it off since it was asked for */
        dial_tls_init(&s->login->tls, s);
        if (connect_again(s, &err) != 0)
            fail(s, &err);
        break;
    case DIAL_TLS_PLAIN:
        send_startup(s);
        break;
    case DIAL_TLS_BAD:
        fail(s, &err);
        break;
    }
}

static void
dial_secured(void *ctx, const struct err *failure)
{
    struct server *s = ctx;
    struct err err;

    if (failure == NULL) {
        send_startup(s);
        return;
    }
    err = *failure;
    if (dial_tls_change(&s->login->tls, current_address(s), NULL)) {
        if (connect_again(s, &err) != 0)
            fail(s, &err);
        return;
    }
    err_prefix(&err, "TLS with node %d \"%s:%u\": ", s->node_id, node_of(s)->host,
               node_of(s)->port);
    fail(s, &err);
}

static void
dial_received(void *ctx, struct io_rx *rx)
{
    struct server *s = ctx;
    struct wire_header h;
    struct err err;
    size_t at = 0;
    int rc = 0;

    if (s->login->tls.asked) {
        tls_answered(s, rx);
        return;
    }
    buf_add(&s->in, rx->data, rx->len);
    for (;;) {
        enum wire_result r = wire_server_header(s->in.data + at, s->in.len - at, &h, &err);
        if (r == WIRE_BAD || (r == WIRE_OK && h.total_bytes > LOGIN_MESSAGE_MAX)) {
            if (r != WIRE_BAD)
                err_set(&err, "08P01", "node %d sent too long a message during login", s->node_id);
            rc = -1;
            break;
        }
        if (r == WIRE_MORE || h.total_bytes > s->in.len - at)
            break;
        rc = login_message(s, h.type, s->in.data + at, h.total_bytes, &err);
        if (rc != 0)
            break;
        at += h.total_bytes;
    }
    if (rc < 0)
        fail(s, &err);
    else if (rc == 0)
        buf_drop(&s->in, at);
}

static void
dial_connected(void *ctx, int error)
{
    struct server *s = ctx;
    struct err err;

    if (error != 0) {
        err_set_errno(&err, "08001", error, "could not connect to node %d \"%s:%u\"", s->node_id,
                      node_of(s)->host, node_of(s)->port);
        io_stream_close(s->stream, false);
        s->stream = NULL;
        s->login->address_at++;
        dial_tls_init(&s->login->tls, s);
        if (try_next_address(s, &err) != 0)
            fail(s, &err);
        return;
    }
    s->address = s->login->addresses.list[s->login->address_at];
    s->state = SERVER_LOGIN;
    if (!dial_tls_ask(&s->login->tls, s->stream, &s->address))
        send_startup(s);
}

static void
dial_closed(void *ctx, int error)
{
    struct server *s = ctx;
    struct err err;

    if (error != 0)
        err_set_errno(&err, "08001", error, "connection to node %d \"%s:%u\" failed during login",
                      s->node_id, node_of(s)->host, node_of(s)->port);
    else
        err_set(&err, "08001", "node %d \"%s:%u\" closed the connection during login", s->node_id,
                node_of(s)->host, node_of(s)->port);
    fail(s, &err);
}

/* -1: no address is left; err then says what was wrong with the last one. */
static int
try_next_address(struct server *s, struct err *err)
{
    static const struct io_stream_ops ops = {
        .connected = dial_connected,
        .received = dial_received,
        .closed = dial_closed,
        .secured = dial_secured,
    };
    struct server_login *l = s->login;

    for (; l->address_at < l->addresses.count; l->address_at++) {
        const struct sock_address *a = &l->addresses.list[l->address_at];
        struct io_target target = {sock_addr(a), a->len, pool_options(s->pool)->connect_timeout_ms};
        s->state = SERVER_CONNECTING;
        s->stream = io_connect(pool_io(s->pool), &target, &ops, s, err);
        if (s->stream != NULL)
            return 0;
    }
    return -1;
}

static void
resolved(void *ctx, const struct dns_answer *answer, const struct err *err)
{
    struct server *s = ctx;
    struct err last;

    s->login->query = NULL;
    if (answer == NULL) {
        fail(s, err);
        return;
    }
    s->login->addresses = *answer;
    err_set(&last, "08001", "node %d has no address", s->node_id);
    if (try_next_address(s, &last) != 0)
        fail(s, &last);
}

void
dial_start(struct server *s, struct credentials *proof)
{
    const struct pool_callbacks *calls = pool_callbacks(s->pool);
    const struct pool_node *node = node_of(s);
    struct server_login *l = xcalloc(1, sizeof(*l));
    int64_t limit_ms = pool_options(s->pool)->login_timeout_ms;

    s->login = l;
    l->who.reads_only = calls->reads_only != NULL && calls->reads_only(calls->ctx, s->node_id);
    l->own = proof != NULL;
    l->credentials = proof != NULL ? credentials_ref(proof) : NULL;
    dial_tls_init(&l->tls, s);
    s->state = SERVER_RESOLVING;
    if (!dns_known(pool_dns(s->pool), node->host, node->port, &l->addresses)) {
        l->query = dns_lookup(pool_dns(s->pool), node->host, node->port, resolved, s);
    } else if (try_next_address(s, &l->early) != 0) {
        l->failed_early = true;
        limit_ms = 0;
    }
    if (limit_ms > 0 || l->failed_early)
        io_timer_start(pool_io(s->pool), &l->timer, limit_ms, timed_out, s);
}
