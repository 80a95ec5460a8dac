/*
 * From a client's first byte to its first ReadyForQuery.
 *
 * Called by admin.c while a client is in ADMIN_STARTUP. A cancel
 * request with silence, a login by enter.c and then with what a server says to everybody, so that
 * psql and drivers feel at home without any server.
 */
#include "admin/internal.h"

#include "config.h"

#include "config/config.h"
#include "os/random.h"
#include "os/sock.h"
#include "wire/build.h"

#include <stdio.h>
#include <string.h>

enum { KEY_BYTES_3_0 = 4 };

/* ---- the welcome ---- */

static void
add_parameters(struct buf *b, const struct wire_startup *p)
{
    static const char *const usual[][2] = {
        {"client_encoding", "UTF8"},
        {"DateStyle", "ISO, MDY"},
        {"default_transaction_read_only", "off"},
        {"in_hot_standby", "off"},
        {"integer_datetimes", "on"},
        {"IntervalStyle", "postgres"},
        {"is_superuser", "off"},
        {"server_encoding", "UTF8"},
        {"server_version", "15.0 (" PACKAGE_NAME " " PACKAGE_VERSION ")"},
        {"standard_conforming_strings", "on"},
        {"TimeZone", "Etc/UTC"},
    };

    for (size_t n = 0; n < ARRAY_LEN(usual); n++)
        build_parameter_status(b, usual[n][0], usual[n][1]);
    /* both end with NUL in the packet */
    build_parameter_status(b, "application_name",
                           p->application_name.len > 0 ? p->application_name.data : "");
    build_parameter_status(b, "session_authorization", p->user.data);
}

static void
add_key(struct admin_client *c, uint32_t protocol, struct buf *b)
{
    struct err err;

    if (random_bytes(c->key, sizeof(c->key), &err) != 0)
        log_warning("%s", err.message);
    build_backend_key(b, c->number, c->key,
                      protocol >= WIRE_PROTOCOL(3, 2) ? ADMIN_KEY_BYTES : KEY_BYTES_3_0);
}

static void
remember_who(struct admin_client *c, const struct wire_startup *p)
{
    char host[SOCK_TEXT_BYTES];
    int port;

    sock_peer(io_stream_fd(c->stream), host, sizeof(host), &port);
    snprintf(c->who, sizeof(c->who), "user=%.*s host=%s role=%s", (int)MIN(p->user.len, 63u),
             p->user.data, host, pcp_role_name(c->role));
    if (c->admin->input->config->log_connections)
        log_info("administration connection authorized: %s", c->who);
}

/* The client has passed. */
static void
welcome(struct admin_client *c)
{
    struct buf b = BUF_EMPTY;
    struct wire_startup p;
    struct err err;

    /* it was understood before */
    if (wire_startup_parse(c->packet.data, c->packet.len, &p, &err) != WIRE_OK) {
        admin_fatal(c, &err);
        return;
    }
    if (c->admin->ready >= ADMIN_CLIENTS_MAX) {
        err_set(&err, "53300", "sorry, too many administration clients already");
        admin_fatal(c, &err);
        return;
    }
    build_auth_ok(&b);
    add_parameters(&b, &p);
    add_key(c, p.protocol, &b);
    build_ready(&b, 'I');
    admin_send(c, &b);
    buf_free(&b);
    remember_who(c, &p);
    buf_free(&c->packet);
    admin_enter(c, ADMIN_READY);
}

static int
check_login(const struct wire_startup *p, struct err *err)
{
    if (p->replication) {
        err_set(err, "0A000", "replication connections are not supported through pgpool");
        err_hint(err, "Connect to the PostgreSQL server directly for replication.");
        return -1;
    }
    return 0;
}

static void
begin(struct admin_client *c, const struct wire_startup *p)
{
    struct buf b = BUF_EMPTY;
    struct err err;

    buf_add(&c->packet, c->in.data, p->total_bytes);
    if (check_login(p, &err) != 0) {
        admin_fatal(c, &err);
        return;
    }
    wire_negotiate(p, &b);
    admin_send(c, &b);
    buf_free(&b);
    if (enter_begin(c, p, &err) != 0)
        admin_fatal(c, &err);
    else if (c->login == NULL)
        welcome(c);
}

/* ---- packets ---- */

static void
refuse_encryption(struct admin_client *c, const struct wire_startup *p)
{
    struct buf b = BUF_EMPTY;
    struct err err;

    if (wire_refuse_encryption(p, c->in.len, &c->asked, &b, &err) == 0)
        admin_send(c, &b);
    else
        admin_fatal(c, &err);
    buf_free(&b);
}

static void
take_packet(struct admin_client *c, const struct wire_startup *p)
{
    switch (p->kind) {
    case WIRE_TLS_HELLO:
        admin_tls_begin(c);
        break;
    case WIRE_SSL:
        if (admin_tls_is_offered(c)) {
            admin_tls_accept(c, p);
            break;
        }
        /* fall through */
    case WIRE_GSSENC:
        refuse_encryption(c, p);
        break;
    case WIRE_CANCEL:
        admin_cancel(c->admin, p->cancel_pid, p->cancel_key);
        admin_end(c, "the cancel request was taken");
        break;
    case WIRE_STARTUP:
        begin(c, p);
        break;
    }
}

/* What the client answers to our question. */
static void
go_on(struct admin_client *c)
{
    struct err err;
    bool more;

    if (enter_step(c, &more, &err) != 0)
        admin_fatal(c, &err);
    else if (!more)
        welcome(c);
}

void
admin_startup(struct admin_client *c)
{
    struct wire_startup p;
    struct err err;

    while (c->state == ADMIN_STARTUP && c->login == NULL && c->in.len > 0) {
        switch (wire_startup_parse(c->in.data, c->in.len, &p, &err)) {
        case WIRE_MORE:
            return;
        case WIRE_BAD:
            admin_fatal(c, &err);
            return;
        case WIRE_OK:
            take_packet(c, &p);
            break;
        }
        if (c->state != ADMIN_CLOSED && c->in.len > 0)
            buf_drop(&c->in, p.total_bytes);
    }
    if (c->state == ADMIN_STARTUP && c->login != NULL)
        go_on(c);
}
