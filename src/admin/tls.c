/*
 * TLS with an administration client, as a child does it with its own (session/secure.c): the
 * client asks for it, or begins with it at once.
 *
 * Called by startup.c, and by the stream when the handshake has ended. Invariant: no byte that
 * came before the handshake is taken for one that came through it.
 * Source: PostgreSQL's manual, section "SSL Session Encryption".
 */
#include "os/tls.h"
#include "admin/internal.h"
#include "base/log.h"

bool
admin_tls_is_offered(const struct admin_client *c)
{
    struct sock_address peer;

    return c->admin->tls != NULL && io_stream_tls(c->stream) == NULL &&
           sock_peer_address(io_stream_fd(c->stream), &peer) &&
           sock_addr(&peer)->sa_family != AF_UNIX;
}

void
admin_tls_accept(struct admin_client *c, const struct wire_startup *p)
{
    static const char yes = 'S';
    struct err err;

    if (wire_accept_encryption(p, c->in.len, &c->asked, &err) != 0) {
        admin_fatal(c, &err);
        return;
    }
    buf_free(&c->in);
    io_send_copy(c->stream, &yes, 1);
    io_stream_start_tls(c->stream, c->admin->tls, NULL);
}

void
admin_tls_begin(struct admin_client *c)
{
    if (!admin_tls_is_offered(c) || c->asked.ssl || c->asked.gss) {
        admin_end(c, "the client began with TLS at once, which is not offered");
        return;
    }
    c->asked.ssl = true;
    io_stream_start_direct_tls(c->stream, c->admin->tls, c->in.data, c->in.len);
    buf_free(&c->in);
}

void
admin_tls_done(void *ctx, const struct err *err)
{
    struct admin_client *c = ctx;

    if (err == NULL)
        return;
    log_info("could not accept TLS connection of an administration client: %s", err->message);
    admin_end(c, err->message);
}
