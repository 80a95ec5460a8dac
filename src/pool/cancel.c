/*
 * Cancel requests: a connection of their own to the server, one packet, wait for its end.
 *
 * Source: PostgreSQL's manual, section "Canceling Requests in Progress". While a request is under
 * way its server connection counts it, so that the pool lends it to nobody: the request could hit
 * the next client's statement.
 */
#include "base/arena.h"
#include "base/log.h"
#include "os/tls.h"
#include "pool/internal.h"
#include "wire/build.h"

#include <stdlib.h>

enum { CANCEL_LIMIT_MS = 10000, CANCEL_AGAIN_MS = 1 };

struct cancel {
    struct server *server;
    struct io_stream *stream;
    struct io_timer timer;
    struct io_timer again; /* the request waits */
    pool_cancel_fn *done;
    void *ctx;
    struct dial_tls tls; /* the request leaves as safely as the connection came about */
};

static void
finish(struct cancel *c)
{
    pool_cancel_fn *done = c->done;
    void *ctx = c->ctx;

    io_timer_stop(&c->timer);
    io_timer_stop(&c->again);
    io_stream_close(c->stream, false);
    c->server->cancels--;
    pool_cancel_ended(c->server);
    free(c);
    if (done != NULL)
        done(ctx);
}

static void
cancel_timed_out(void *ctx)
{
    finish(ctx);
}

/* Is something under way that must come to its end? It is soon over. */
static bool
waits(const struct server *s)
{
    return s->pending.count > 0 && s->pending.ring[s->pending.head].whole;
}

static void
send_request(void *ctx)
{
    struct cancel *c = ctx;
    struct buf b = BUF_EMPTY;

    if (waits(c->server)) {
        io_timer_start(pool_io(c->server->pool), &c->again, CANCEL_AGAIN_MS, send_request, c);
        return;
    }
    build_cancel_request(&b, c->server->backend_pid, c->server->cancel_key,
                         c->server->cancel_key_len);
    io_send_copy(c->stream, b.data, b.len);
    buf_free(&b);
}

static void
cancel_connected(void *ctx, int error)
{
    struct cancel *c = ctx;

    if (error != 0) {
        log_warning("could not send a cancel request to node %d: error %d", c->server->node_id,
                    error);
        finish(c);
        return;
    }
    if (!dial_tls_ask(&c->tls, c->stream, &c->server->address))
        send_request(c);
}

static void
not_secured(struct cancel *c, const struct err *err)
{
    log_warning("could not send a cancel request to node %d: %s", c->server->node_id, err->message);
    finish(c);
}

static void
cancel_secured(void *ctx, const struct err *err)
{
    struct cancel *c = ctx;

    if (err != NULL)
        not_secured(c, err);
    else
        send_request(c);
}

static void
cancel_closed(void *ctx, int error UNUSED)
{
    finish(ctx);
}

/* The server says nothing here, but to SSLRequest. */
static void
cancel_received(void *ctx, struct io_rx *rx)
{
    struct cancel *c = ctx;
    const struct pool_options *o = pool_options(c->server->pool);
    struct err err;

    if (!c->tls.asked)
        return;
    if (dial_tls_answer(&c->tls, rx, c->server->node_id, &err) != DIAL_TLS_SECURE) {
        not_secured(c, &err);
    } else if (o->tls == NULL) {
        err_set(&err, NULL, "TLS has been switched off meanwhile");
        not_secured(c, &err);
    } else {
        io_stream_start_tls(c->stream, o->tls, o->nodes[c->server->node_id].host);
    }
}

void
pool_cancel(struct server *s, pool_cancel_fn *done, void *ctx)
{
    static const struct io_stream_ops ops = {
        .connected = cancel_connected,
        .received = cancel_received,
        .closed = cancel_closed,
        .secured = cancel_secured,
    };
    struct cancel *c;
    struct io_stream *stream;
    struct err err;

    c = xcalloc(1, sizeof(*c));
    stream =
        io_connect(pool_io(s->pool),
                   &(struct io_target){sock_addr(&s->address), s->address.len, CANCEL_LIMIT_MS},
                   &ops, c, &err);
    if (stream == NULL) {
        log_warning("could not send a cancel request to node %d: %s", s->node_id, err.message);
        free(c);
        if (done != NULL)
            done(ctx);
        return;
    }
    c->tls.wanted = io_stream_tls(s->stream) != NULL;
    c->server = s;
    c->stream = stream;
    c->done = done;
    c->ctx = ctx;
    s->cancels++;
    io_timer_start(pool_io(s->pool), &c->timer, CANCEL_LIMIT_MS, cancel_timed_out, c);
}
