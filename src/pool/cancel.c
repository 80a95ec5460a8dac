/*
 * Cancel requests: a connection of their own to the server, one packet, wait for its end.
 *
 * Source: PostgreSQL's manual, section "Canceling Requests in Progress". While a request is under
 * way its server connection counts it, so that the pool lends it to nobody: the request could hit
 * the next client's statement.
 */
#include "base/arena.h"
#include "base/log.h"
#include "pool/pool.h"
#include "wire/build.h"

#include <stdlib.h>

enum { CANCEL_LIMIT_MS = 10000 };

struct cancel {
    struct server *server;
    struct io_stream *stream;
    struct io_timer timer;
    pool_cancel_fn *done;
    void *ctx;
};

static void
finish(struct cancel *c)
{
    pool_cancel_fn *done = c->done;
    void *ctx = c->ctx;

    io_timer_stop(&c->timer);
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

static void
cancel_connected(void *ctx, int error)
{
    struct cancel *c = ctx;
    struct buf b = BUF_EMPTY;

    if (error != 0) {
        log_warning("could not send a cancel request to node %d: error %d", c->server->node_id,
                    error);
        finish(c);
        return;
    }
    build_cancel_request(&b, c->server->backend_pid, c->server->cancel_key,
                         c->server->cancel_key_len);
    io_send_copy(c->stream, b.data, b.len);
    buf_free(&b);
}

static void
cancel_closed(void *ctx, int error UNUSED)
{
    finish(ctx);
}

static void
cancel_received(void *ctx UNUSED, struct io_rx *rx UNUSED)
{
    /* the server says nothing here */
}

void
pool_cancel(struct server *s, pool_cancel_fn *done, void *ctx)
{
    static const struct io_stream_ops ops = {
        .connected = cancel_connected,
        .received = cancel_received,
        .closed = cancel_closed,
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
    c->server = s;
    c->stream = stream;
    c->done = done;
    c->ctx = ctx;
    s->cancels++;
    io_timer_start(pool_io(s->pool), &c->timer, CANCEL_LIMIT_MS, cancel_timed_out, c);
}
