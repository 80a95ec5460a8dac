/*
 * TLS towards a server: whether a new connection begins with it, the answer to SSLRequest, and the
 * second try the other way that "allow" and "prefer" promise.
 *
 * Called by dial.c and cancel.c. Invariants: nothing but SSLRequest has been sent when the
 * handshake begins, and nothing but one letter has come; what the server says in the clear before
 * that is believed in nothing but that letter. A connection is tried the other way at most once.
 * Sources: PostgreSQL's manual, sections "SSL Session Encryption" (protocol) and "SSL Support"
 * (libpq).
 */
#include "os/tls.h"

#include "pool/internal.h"
#include "wire/build.h"

#include <string.h>

static bool
is_local(const struct sock_address *a)
{
    return sock_addr(a)->sa_family == AF_UNIX;
}

void
dial_tls_init(struct dial_tls *t, const struct server *s)
{
    const struct pool_options *o = pool_options(s->pool);

    *t = (struct dial_tls){0};
    if (o->tls == NULL)
        return;
    t->wanted = o->tls_mode != POOL_TLS_ALLOW;
    t->may_change = o->tls_mode != POOL_TLS_REQUIRE;
}

bool
dial_tls_ask(struct dial_tls *t, struct io_stream *stream, const struct sock_address *to)
{
    struct buf b = BUF_EMPTY;

    if (!t->wanted || is_local(to))
        return false;
    build_ssl_request(&b);
    io_send_copy(stream, b.data, b.len);
    buf_free(&b);
    t->asked = true;
    return true;
}

enum dial_tls_answer
dial_tls_answer(struct dial_tls *t, const struct io_rx *rx, int node_id, struct err *err)
{
    if (rx->len == 0)
        return DIAL_TLS_PLAIN;
    t->asked = false;
    if (rx->len > 1) {
        err_set(err, "08P01", "node %d sent unencrypted data after its answer to SSLRequest",
                node_id);
        err_detail(err, "Somebody between pgpool and the server may have put it there.");
        return DIAL_TLS_BAD;
    }
    switch (rx->data[0]) {
    case 'S':
        return DIAL_TLS_SECURE;
    case 'N':
        if (t->may_change) {
            t->wanted = t->may_change = false;
            return DIAL_TLS_PLAIN;
        }
        err_set(err, "08001", "node %d does not offer TLS, and \"backend_sslmode\" requires it",
                node_id);
        return DIAL_TLS_BAD;
    case 'E':
        err_set(err, "08P01", "node %d answered SSLRequest with an error", node_id);
        return DIAL_TLS_BAD;
    default:
        err_set(err, "08P01", "node %d answered SSLRequest with byte 0x%02x", node_id, rx->data[0]);
        return DIAL_TLS_BAD;
    }
}

/* Only where the server says that it does not take such a connection; what else it may refuse it
 * would refuse again. */
bool
dial_tls_change(struct dial_tls *t, const struct sock_address *to, const char *sqlstate)
{
    bool refused = sqlstate == NULL || strcmp(sqlstate, "28000") == 0;

    if (!t->may_change || !refused || is_local(to))
        return false;
    t->wanted = !t->wanted;
    t->may_change = false;
    return true;
}
