/*
 * TLS with a client: what it asks for, and the handshake.
 *
 * Called by startup.c, and by the stream when the handshake has ended. While it lasts nothing else
 * reaches the session; authentication_timeout covers it. Invariant: no byte that came before the
 * handshake is taken for one that came through it.
 * Source: PostgreSQL's manual, section "SSL Session Encryption".
 */
#include "os/tls.h"

#include "base/log.h"
#include "os/sock.h"
#include "session/internal.h"

/* As PostgreSQL: not over unix sockets, where nobody listens. */
static bool
is_local(const struct session *s)
{
    struct sock_address peer;

    return sock_peer_address(io_stream_fd(s->client), &peer) &&
           sock_addr(&peer)->sa_family == AF_UNIX;
}

bool
secure_is_offered(const struct session *s)
{
    return s->host->tls != NULL && io_stream_tls(s->client) == NULL && !is_local(s);
}

int
secure_accept(struct session *s, const struct wire_startup *p, struct err *err)
{
    static const char yes = 'S';

    if (wire_accept_encryption(p, s->in.len, &s->asked, err) != 0)
        return -1;
    buf_free(&s->in);
    io_send_copy(s->client, &yes, 1);
    io_stream_start_tls(s->client, s->host->tls, NULL);
    return 0;
}

bool
secure_begin_at_once(struct session *s)
{
    if (!secure_is_offered(s) || s->asked.ssl || s->asked.gss)
        return false;
    s->asked.ssl = true;
    io_stream_start_direct_tls(s->client, s->host->tls, s->in.data, s->in.len);
    buf_free(&s->in);
    return true;
}

void
secure_done(void *ctx, const struct err *err)
{
    struct session *s = ctx;
    const struct tls_facts *tls = io_stream_tls(s->client);
    const struct log_context *before = log_set_context(&s->log);

    if (err != NULL) {
        log_info("could not accept TLS connection: %s", err->message);
        session_end(s, err->message);
    } else {
        log_debug("TLS: %s, %s%s", tls->version, tls->cipher, tls->resumed ? ", resumed" : "");
    }
    log_set_context(before);
}
