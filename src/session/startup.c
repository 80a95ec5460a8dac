/*
 * From a client's first byte to its first ReadyForQuery.
 *
 * Who may come in is login.c's; here are the packets in front of that, and the server behind it.
 * GSSENCRequest is answered with N, and so is SSLRequest unless TLS is offered (secure.c). A login
 * is checked with the server once a minute per user, database and parameters; in between, what the
 * server said then is repeated, but to nobody whose password a server has to check. When no server
 * can be reached the client comes in all the same: SHOW pool_nodes must work.
 */
#include "session/login_state.h"

#include "auth/credentials.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "config/config.h"
#include "os/random.h"
#include "os/sock.h"
#include "wire/build.h"
#include "wire/handshake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
refuse_encryption(struct session *s, const struct wire_startup *p, struct err *err)
{
    struct buf b = BUF_EMPTY;
    int rc = wire_refuse_encryption(p, s->in.len, &s->asked, &b, err);

    if (rc == 0)
        session_send(s, &b);
    buf_free(&b);
    return rc;
}

static bool
is_protocol_option(struct wire_view name)
{
    return name.len >= 5 && memcmp(name.data, "_pq_.", 5) == 0;
}

static bool
view_is(struct wire_view v, const char *text)
{
    return v.len == strlen(text) && memcmp(v.data, text, v.len) == 0;
}

static void
negotiate(struct session *s, const struct wire_startup *p)
{
    struct buf b = BUF_EMPTY;

    s->protocol = wire_negotiate(p, &b);
    if (b.len > 0)
        session_send(s, &b);
    buf_free(&b);
}

static void
collect_parameters(const struct wire_startup *p, struct buf *b)
{
    struct wire_view name;
    struct wire_view value;
    uint32_t at = 0;

    while (wire_startup_next(p, &at, &name, &value)) {
        if (is_protocol_option(name) || view_is(name, "user") || view_is(name, "database") ||
            view_is(name, "replication"))
            continue;
        buf_add(b, name.data, name.len);
        buf_add_u8(b, 0);
        buf_add(b, value.data, value.len);
        buf_add_u8(b, 0);
    }
}

/* In the options of a command line "-" stands for "_". */
static char
folded(char c)
{
    if (c == '-')
        return '_';
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool
holds_word(struct wire_view v, const char *word)
{
    uint32_t len = (uint32_t)strlen(word);

    for (uint32_t at = 0; at + len <= v.len; at++) {
        uint32_t n = 0;
        while (n < len && folded(v.data[at + n]) == word[n])
            n++;
        if (n == len)
            return true;
    }
    return false;
}

/* No statement of a serializable transaction runs on a standby. */
static bool
asks_for_isolation(const struct wire_startup *p)
{
    static const char parameter[] = "default_transaction_isolation";
    struct wire_view name;
    struct wire_view value;
    uint32_t at = 0;

    while (wire_startup_next(p, &at, &name, &value)) {
        if (holds_word(name, parameter) ||
            (view_is(name, "options") && holds_word(value, parameter)))
            return true;
    }
    return false;
}

static void
keep_names(struct session *s, const struct wire_startup *p)
{
    struct wire_view db = p->database.len > 0 ? p->database : p->user;
    struct wire_view app = p->application_name;
    char host[SLOT_HOST_BYTES];
    char remote[SLOT_HOST_BYTES + 16];
    size_t size = (size_t)p->user.len + db.len + app.len + sizeof(remote) + 3;
    int32_t port = 0;
    struct session_slot *slot = s->place.slot;
    char *at = xmalloc(size);

    s->names = at;
    s->log.user = at;
    str_copy_n(at, p->user.len + 1, p->user.data, p->user.len);
    s->log.database = at += p->user.len + 1;
    str_copy_n(at, db.len + 1, db.data, db.len);
    s->log.application = at += db.len + 1;
    str_copy_n(at, app.len + 1, app.len > 0 ? app.data : "", app.len);
    sock_peer(io_stream_fd(s->client), host, sizeof(host), &port);
    if (port > 0)
        snprintf(remote, sizeof(remote), "%s:%d", host, (int)port);
    else
        str_copy(remote, sizeof(remote), host);
    s->log.remote = at += app.len + 1;
    str_copy(at, sizeof(remote), remote);
    if (slot == NULL)
        return;
    str_copy(slot->user, sizeof(slot->user), s->log.user);
    str_copy(slot->database, sizeof(slot->database), s->log.database);
    str_copy(slot->application, sizeof(slot->application), s->log.application);
    str_copy(slot->host, sizeof(slot->host), host);
    slot->port = port;
}

/* ---- the welcome ---- */

/* What the server said of itself counts for how we read the client's texts. */
static void
note_parameters(struct session *s, const struct buf *messages)
{
    struct wire_header h;
    struct wire_view name;
    struct wire_view value;
    struct err err;

    for (size_t at = 0; at < messages->len; at += h.total_bytes) {
        if (wire_server_header(messages->data + at, messages->len - at, &h, &err) != WIRE_OK)
            return;
        if (h.type == 'S' &&
            wire_parse_parameter(messages->data + at, h.total_bytes, &name, &value) == WIRE_OK)
            session_note_parameter(s, name, value);
    }
}

static void
log_welcome(const struct session *s)
{
    char how[256];

    login_describe(s->login, how, sizeof(how));
    log_info("connection authorized: user=%s database=%s application_name=%s %s", s->log.user,
             s->log.database, s->log.application, how);
}

static void
welcome(struct session *s, const struct buf *parameters)
{
    struct buf b = BUF_EMPTY;

    note_parameters(s, parameters);

    build_auth_ok(&b);
    buf_add(&b, parameters->data, parameters->len);
    build_backend_key(&b, s->place.pid, s->cancel_key,
                      s->protocol >= WIRE_PROTOCOL(3, 2) ? CANCEL_KEY_BYTES : 4);
    build_ready(&b, 'I');
    session_send(s, &b);
    buf_free(&b);
    if (session_options(s)->log_connections)
        log_welcome(s);
    login_free(s->login);
    s->login = NULL;
    session_enter(s, CLIENT_READY);
    copies_start(s);
    s->active_ns = io_now_ns(s->host->io);
    session_show_state(s, SESSION_SLOT_IDLE);
    client_go_on(s);
}

/* Nobody can be asked: what a server says to everybody, so that drivers accept us. */
static void
welcome_alone(struct session *s)
{
    static const char *const usual[][2] = {
        {"application_name", ""},
        {"client_encoding", "UTF8"},
        {"DateStyle", "ISO, MDY"},
        {"default_transaction_read_only", "off"},
        {"in_hot_standby", "off"},
        {"integer_datetimes", "on"},
        {"IntervalStyle", "postgres"},
        {"is_superuser", "off"},
        {"server_encoding", "UTF8"},
        {"server_version", "15.0"},
        {"standard_conforming_strings", "on"},
        {"TimeZone", "Etc/UTC"},
    };
    struct buf b = BUF_EMPTY;

    for (size_t n = 0; n < ARRAY_LEN(usual); n++)
        build_parameter_status(&b, usual[n][0], usual[n][1]);
    build_parameter_status(&b, "session_authorization", s->log.user);
    welcome(s, &b);
    buf_free(&b);
}

static bool
was_tried(const struct session *s, int node_id)
{
    return (s->login->tried[node_id / 64] >> (node_id % 64) & 1) != 0;
}

/* The first one is where the session will read: its connection is at hand then. */
static int
next_node_to_ask(struct session *s)
{
    const struct cluster_view *view = s->host->view;
    enum route_reason reason;
    int reader_id = place_reader(s, NULL, &reason);

    if (reader_id >= 0 && !was_tried(s, reader_id))
        return reader_id;
    if (view->primary_id >= 0 && !was_tried(s, view->primary_id))
        return view->primary_id;
    for (uint32_t n = 0; n < view->node_count; n++) {
        if (view->nodes[n].usable && !view->nodes[n].drained && !was_tried(s, (int)n))
            return (int)n;
    }
    return -1;
}

/* Nobody has said that the password is right. */
static void
nobody_to_check(struct session *s)
{
    struct err err;

    err_set(&err, "57P03", "there is no server that could check the password of user \"%.64s\"",
            s->log.user);
    session_fatal(s, &err);
}

static void
wait_for_place(struct session *s, int node_id)
{
    s->waiter = (struct pool_waiter){.key = s->key,
                                     .ops = &session_server_ops,
                                     .owner = s,
                                     .slot = s->place.slot,
                                     .proof = s->login->proof,
                                     .node_id = (int16_t)node_id};
    pool_wait(s->host->pool, &s->waiter);
}

void
startup_ask_a_server(struct session *s)
{
    struct session_login *l = s->login;
    int node_id = next_node_to_ask(s);
    struct pool_check check = {.key = s->key,
                               .node_id = node_id,
                               .ops = &session_server_ops,
                               .owner = s,
                               .proof = l->proof};
    struct err err;

    if (hold_may_stop(s, node_id) && hold_stops(s, node_id))
        return;
    if (node_id < 0) {
        if (l->way == LOGIN_BY_SERVER)
            nobody_to_check(s);
        else
            welcome_alone(s);
        return;
    }
    l->tried[node_id / 64] |= UINT64_C(1) << (node_id % 64);
    l->server = pool_dial(&check, &err);
    if (l->server == NULL && strcmp(err.sqlstate, "53300") == 0)
        wait_for_place(s, node_id);
    else if (l->server == NULL)
        startup_server_failed(s, NULL, &err, NULL, 0);
    else if (l->server->state == SERVER_LENT)
        startup_server_ready(s, l->server);
}

void
startup_enter(struct session *s)
{
    const struct buf *known = pool_key_welcome(s->key);

    if (known != NULL)
        welcome(s, known);
    else
        startup_ask_a_server(s);
}

void
startup_go_on(struct session *s)
{
    startup_ask_a_server(s);
}

bool
startup_is_dialling(const struct session *s, const struct server *server)
{
    return s->login != NULL && s->login->server == server;
}

void
startup_server_taken(struct session *s, struct server *server)
{
    struct session_login *l = s->login;
    struct err err;

    if (server == NULL) {
        err_set(&err, "53300", "no server connection became free within query_wait_timeout");
        session_fatal(s, &err);
    } else if (server->state == SERVER_LENT) {
        startup_server_ready(s, server);
    } else {
        l->server = server;
    }
}

void
startup_server_ready(struct session *s, struct server *server)
{
    struct session_login *l = s->login;
    const struct buf *parameters = pool_key_welcome(s->key);
    bool asked_proof = server->asked_proof;
    struct err err;

    l->server = NULL;
    if (l->way == LOGIN_BY_SERVER)
        pool_return_instead(server);
    else
        pool_return(server);
    if (l->way == LOGIN_BY_SERVER && !asked_proof) {
        login_failure(l, &err);
        login_refuse(l, &err,
                     "no secret is known here, and a server has let it in without a look "
                     "at its password");
        return;
    }
    if (l->way == LOGIN_BY_SERVER)
        pool_key_set_credentials(s->key, l->proof);
    if (parameters != NULL)
        welcome(s, parameters);
    else
        startup_ask_a_server(s);
}

/* What the server itself says to the client. */
static void
pass_refusal(struct session *s, bool authenticated, const uint8_t *fatal, size_t fatal_len)
{
    struct buf b = BUF_EMPTY;

    if (authenticated) {
        build_auth_ok(&b);
        session_send(s, &b);
        buf_free(&b);
    }
    io_send_copy(s->client, fatal, fatal_len);
}

void
startup_server_failed(struct session *s, const struct server *server, const struct err *err,
                      const uint8_t *fatal, size_t fatal_len)
{
    struct session_login *l = s->login;
    int primary_id = s->host->view->primary_id;

    l->server = NULL;
    if (l->way == LOGIN_OPEN && server != NULL && server->unproved) {
        login_needs_text(l);
        return;
    }
    /* a standby may not have heard yet of the role or the database */
    if (pool_blames_node(err) || (primary_id >= 0 && !was_tried(s, primary_id))) {
        startup_ask_a_server(s);
    } else if (fatal == NULL) {
        session_fatal(s, err);
    } else if (strncmp(err->sqlstate, "28", 2) == 0 && !server->authenticated) {
        login_refuse_with(l, err, fatal, fatal_len);
    } else {
        pass_refusal(s, server != NULL && server->authenticated, fatal, fatal_len);
        session_end(s, err->message);
    }
}

/* ---- packets ---- */

static void
make_wish(struct session *s)
{
    const struct route_client client = {s->log.user, s->log.database, s->log.application};
    uint32_t draw;
    struct err err;

    if (random_bytes(&draw, sizeof(draw), &err) != 0)
        BUG("%s", err.message);
    s->wish = route_rules_wish(session_options(s)->rules, &client, draw / 4294967296.0);
}

static const struct config_limit *
limit_of(const struct session *s)
{
    const struct config_limits *limits = &session_options(s)->config->limits;

    return config_limit_find(limits, s->log.database, s->log.user);
}

static void
take_pool_mode(struct session *s)
{
    const struct config_limit *entry = limit_of(s);

    s->pool_mode = entry != NULL ? (int8_t)entry->pool_mode : -1;
}

void
startup_take_limits(struct session *s)
{
    const struct config_limit *entry = limit_of(s);

    s->cache_mode = entry != NULL ? entry->cache : -1;
}

void
startup_take_logging(struct session *s)
{
    const struct config_limit *entry = limit_of(s);

    if (entry != NULL && entry->log_min_duration_ms != CONFIG_LIMIT_NO_LOGGING)
        options_preset_logging(s, entry->log_min_duration_ms);
}

static void
begin(struct session *s, const struct wire_startup *p)
{
    struct err err;

    if (p->replication) {
        err_set(&err, "0A000", "replication connections are not supported through pgpool");
        err_hint(&err, "Connect to the PostgreSQL server directly for replication.");
        session_fatal(s, &err);
        return;
    }
    keep_names(s, p);
    s->admitted = s->host->admit(s->host->ctx);
    if (!s->admitted) {
        err_set(&err, "53300", "sorry, too many clients already");
        session_fatal(s, &err);
        return;
    }
    s->pinned = s->always_pinned = asks_for_isolation(p);
    negotiate(s, p);
    make_wish(s);
    take_pool_mode(s);
    startup_take_limits(s);
    startup_take_logging(s);
    collect_parameters(p, &s->login->parameters);
    buf_drop(&s->in, p->total_bytes);
    session_enter(s, CLIENT_LOGIN);
    login_begin(s->login);
}

static void
begin_cancel(struct session *s, const struct wire_startup *p)
{
    struct session_cancel_request request = {.pid = p->cancel_pid,
                                             .of_member = p->cancel_of_member};

    request.key_len = MIN(p->cancel_key.len, (uint32_t)sizeof(request.key));
    memcpy(request.key, p->cancel_key.data, request.key_len);
    session_enter(s, CLIENT_CANCELLING);
    s->host->cancel(s->host->ctx, s, &request);
}

void
startup_received(struct session *s)
{
    struct wire_startup p;
    struct err err;

    while (s->state == CLIENT_STARTUP && s->in.len > 0) {
        int rc = 0;
        enum wire_result r = wire_startup_parse(s->in.data, s->in.len, &p, &err);
        if (r == WIRE_MORE)
            return;
        if (r == WIRE_BAD) {
            session_fatal(s, &err);
            return;
        }
        switch (p.kind) {
        case WIRE_TLS_HELLO:
            if (!secure_begin_at_once(s))
                session_end(s, "the client began with TLS at once, which is not offered");
            return;
        case WIRE_SSL:
            if (secure_is_offered(s)) {
                if (secure_accept(s, &p, &err) != 0)
                    session_fatal(s, &err);
                return;
            }
            /* fall through */
        case WIRE_GSSENC:
            rc = refuse_encryption(s, &p, &err);
            break;
        case WIRE_CANCEL:
            begin_cancel(s, &p);
            return;
        case WIRE_STARTUP:
            begin(s, &p);
            return;
        }
        if (rc != 0) {
            session_fatal(s, &err);
            return;
        }
        buf_drop(&s->in, p.total_bytes);
    }
}
