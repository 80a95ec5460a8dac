/*
 * From a client's first byte to its first ReadyForQuery.
 *
 * Called by admin.c while a client is in ADMIN_STARTUP. Encryption is answered with N, a cancel
 * request with silence (nothing here runs long enough), a login by may_enter and then with what a
 * server says to everybody, so that psql and drivers feel at home without any server.
 */
#include "admin/internal.h"

#include "config.h"

#include "config/config.h"
#include "os/random.h"
#include "os/sock.h"
#include "wire/build.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { KEY_BYTES_3_0 = 4 };

static bool
is_loopback(const struct sock_address *peer)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&peer->storage;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&peer->storage;

    if (peer->storage.ss_family == AF_INET)
        return ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
        return in6->sin6_addr.s6_addr[12] == IN_LOOPBACKNET;
    return peer->storage.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

/* Who may administrate: without passwords, who is on this machine. */
static int
may_enter(int fd, struct err *err)
{
    struct sock_address peer;
    char text[SOCK_TEXT_BYTES];

    if (!sock_peer_address(fd, &peer))
        return err_set(err, "08006", "could not see where the administration client comes from");
    if (peer.storage.ss_family == AF_UNIX || is_loopback(&peer))
        return 0;
    sock_address_text(&peer, text, sizeof(text));
    err_set(err, "28000", "administration from \"%s\" is not allowed", text);
    err_hint(err, "Connect on pgpool's own machine: over its unix socket or a loopback address.");
    return -1;
}

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
    snprintf(c->who, sizeof(c->who), "user=%.*s host=%s", (int)MIN(p->user.len, 63u), p->user.data,
             host);
    if (c->admin->input->config->log_connections)
        log_info("administration connection authorized: %s", c->who);
}

static int
check_login(struct admin_client *c, const struct wire_startup *p, struct err *err)
{
    if (p->replication) {
        err_set(err, "0A000", "replication connections are not supported through pgpool");
        err_hint(err, "Connect to the PostgreSQL server directly for replication.");
        return -1;
    }
    if (may_enter(io_stream_fd(c->stream), err) != 0)
        return -1;
    if (c->admin->ready < ADMIN_CLIENTS_MAX)
        return 0;
    return err_set(err, "53300", "sorry, too many administration clients already");
}

static void
begin(struct admin_client *c, const struct wire_startup *p)
{
    struct buf b = BUF_EMPTY;
    uint32_t protocol;
    struct err err;

    if (check_login(c, p, &err) != 0) {
        admin_fatal(c, &err);
        return;
    }
    protocol = wire_negotiate(p, &b);
    build_auth_ok(&b);
    add_parameters(&b, p);
    add_key(c, protocol, &b);
    build_ready(&b, 'I');
    admin_send(c, &b);
    buf_free(&b);
    remember_who(c, p);
    admin_enter(c, ADMIN_READY);
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
        admin_end(c, "the client began with TLS at once, which is not offered yet");
        break;
    case WIRE_SSL:
    case WIRE_GSSENC:
        refuse_encryption(c, p);
        break;
    case WIRE_CANCEL:
        hold_cancel(c->admin, p->cancel_pid, p->cancel_key);
        admin_end(c, "the cancel request was taken");
        break;
    case WIRE_STARTUP:
        begin(c, p);
        break;
    }
}

void
admin_startup(struct admin_client *c)
{
    struct wire_startup p;
    struct err err;

    while (c->state == ADMIN_STARTUP && c->in.len > 0) {
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
        if (c->state != ADMIN_CLOSED)
            buf_drop(&c->in, p.total_bytes);
    }
}
