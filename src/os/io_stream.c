/*
 * Streams: opening, connecting, receiving, pausing, closing; everything about them that is the
 * same in both engines. The queue of what they send is io_out.c's.
 *
 * Called by the owners of connections through os/io.h, and by the back ends, which report what
 * the kernel did. A stream goes CONNECTING -> OPEN -> ENDED -> CLOSING and may skip any but the
 * last; x_enter is `enter`. Callbacks run from io_stream_received, io_stream_ended (dispatch) and
 * io_run_deferred only, and never for a CLOSING stream.
 *
 * A send that failed is not reported by itself: what the peer said before it went is still to be
 * read, and the end of that reading tells. Until then what is queued is thrown away.
 */
#include "base/arena.h"
#include "base/log.h"
#include "io_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What only a stream that connects or lingers needs. */
struct io_connect_state {
    struct io_timer deadline;
    struct io_timer retry;
    socklen_t addr_len;
    struct sockaddr_storage addr;
};

static void
enter(struct io_stream *s, enum io_stream_state state)
{
    BUG_UNLESS(state > s->state);
    s->state = (uint8_t)state;
    io_stream_dirty(s);
}

static void
forget_connecting(struct io_stream *s)
{
    if (s->connecting == NULL)
        return;
    io_timer_stop(&s->connecting->deadline);
    io_timer_stop(&s->connecting->retry);
    free(s->connecting);
    s->connecting = NULL;
}

/* ---- opening ------------------------------------------------------------------------------- */

static struct io_stream *
stream_new(struct io *io, int fd, const struct io_stream_ops *ops, void *ctx)
{
    struct io_stream *s = slab_get(&io->stream_slab);

    s->io = io;
    s->ops = ops;
    s->ctx = ctx;
    s->fd = fd;
    list_init(&s->dirty);
    list_init(&s->ready);
    list_init(&s->held);
    list_init(&s->starved);
    list_append(&io->streams, &s->all);
    io->stats.streams++;
    return s;
}

/* Small messages leave at once, dead peers are found out. The first call says whether it is TCP. */
static void
set_tcp_options(struct io *io, int fd)
{
    int one = 1;

    io->stats.system_calls++;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0)
        return;
    io->stats.system_calls++;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
}

struct io_stream *
io_stream_open(struct io *io, int fd, const struct io_stream_ops *ops, void *ctx)
{
    struct io_stream *s = stream_new(io, fd, ops, ctx);

    set_tcp_options(io, fd);
    enter(s, IO_STREAM_OPEN);
    return s;
}

static void
connect_ended(struct io_stream *s, int error)
{
    s->error = error;
    forget_connecting(s);
    io_defer(s, IO_DEFER_CONNECTED);
}

static void try_connect(struct io_stream *s);

static void
connect_retry(void *ctx)
{
    try_connect(ctx);
}

static void
connect_deadline(void *ctx)
{
    connect_ended(ctx, ETIMEDOUT);
}

static void
try_connect(struct io_stream *s)
{
    struct io_connect_state *c = s->connecting;

    s->io->stats.system_calls++;
    if (connect(s->fd, (const struct sockaddr *)&c->addr, c->addr_len) == 0)
        connect_ended(s, 0);
    else if (errno == EINPROGRESS || errno == EINTR)
        io_stream_dirty(s);
    else if (errno == EAGAIN)
        io_timer_start(s->io, &c->retry, IO_CONNECT_RETRY_MS, connect_retry, s);
    else
        connect_ended(s, errno);
}

struct io_stream *
io_connect(struct io *io, const struct io_target *target, const struct io_stream_ops *ops,
           void *ctx, struct err *err)
{
    sa_family_t family = target->addr->sa_family;
    struct io_stream *s;
    int fd;

    if (target->addr_len > sizeof(struct sockaddr_storage)) {
        err_set(err, NULL, "could not connect: address is too long");
        return NULL;
    }
    io->stats.system_calls++;
    fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        err_set_errno(err, "08001", errno, "could not create socket");
        return NULL;
    }
    if (family != AF_UNIX)
        set_tcp_options(io, fd);
    s = stream_new(io, fd, ops, ctx);
    s->connecting = xcalloc(1, sizeof(*s->connecting));
    s->connecting->addr_len = target->addr_len;
    memcpy(&s->connecting->addr, target->addr, target->addr_len);
    if (target->timeout_ms > 0)
        io_timer_start(io, &s->connecting->deadline, target->timeout_ms, connect_deadline, s);
    try_connect(s);
    return s;
}

bool
io_stream_wants_writable(const struct io_stream *s)
{
    if (s->state == IO_STREAM_CONNECTING)
        return s->connecting != NULL && !io_timer_running(&s->connecting->retry);
    return s->blocked;
}

void
io_stream_writable(struct io_stream *s)
{
    if (s->state == IO_STREAM_CONNECTING) {
        int error = 0;
        socklen_t len = sizeof(error);

        if (!io_stream_wants_writable(s))
            return;
        s->io->stats.system_calls++;
        if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
            error = errno;
        connect_ended(s, error);
        return;
    }
    s->blocked = false;
    io_stream_dirty(s);
}

/* ---- callbacks ----------------------------------------------------------------------------- */

void
io_defer(struct io_stream *s, unsigned what)
{
    s->deferred |= (uint8_t)what;
    if (!list_linked(&s->ready))
        list_append(&s->io->ready, &s->ready);
}

static void
run_connected(struct io_stream *s)
{
    int error = s->error;

    if (error == 0) {
        enter(s, IO_STREAM_OPEN);
    } else {
        enter(s, IO_STREAM_ENDED);
        s->discards = true;
        io_out_drop(s);
    }
    s->ops->connected(s->ctx, error);
}

static void
run_deferred(struct io_stream *s)
{
    unsigned what = s->deferred;

    s->deferred = 0;
    if ((what & IO_DEFER_CONNECTED) != 0)
        run_connected(s);
    if ((what & IO_DEFER_DRAINED) != 0 && s->state != IO_STREAM_CLOSING && s->ops->drained != NULL)
        s->ops->drained(s->ctx);
    if ((what & IO_DEFER_HELLO) != 0 && s->state == IO_STREAM_OPEN)
        io_tls_hello(s);
    if ((what & IO_DEFER_READ) != 0 && s->state != IO_STREAM_CLOSING)
        s->io->backend->read(s);
    if ((what & IO_DEFER_END) != 0)
        io_stream_ended(s, s->error);
}

void
io_run_deferred(struct io *io)
{
    struct list batch;

    if (list_empty(&io->ready))
        return;
    batch = io->ready;
    batch.next->prev = &batch;
    batch.prev->next = &batch;
    list_init(&io->ready);
    while (!list_empty(&batch)) {
        struct io_stream *s = list_first(&batch, struct io_stream, ready);

        list_remove(&s->ready);
        run_deferred(s);
    }
}

void
io_stream_received(struct io_stream *s, struct io_buffer *b, size_t len)
{
    struct io_rx rx = {.data = b->data, .len = len, .engine_private = b};

    s->io->stats.receives++;
    if (unlikely(s->tls != NULL))
        io_tls_received(s, b->data, len);
    else if (s->state == IO_STREAM_OPEN)
        s->ops->received(s->ctx, &rx);
    io_buffer_unref(s->io, b);
}

void
io_stream_ended(struct io_stream *s, int error)
{
    if (s->state == IO_STREAM_CONNECTING)
        connect_ended(s, error);
    if (s->state != IO_STREAM_OPEN)
        return;
    enter(s, IO_STREAM_ENDED);
    if (s->tls == NULL || !io_tls_ended(s, error))
        s->ops->closed(s->ctx, error);
}

void
io_stream_sent(struct io_stream *s, ssize_t result)
{
    s->io->stats.sends++;
    if (result < 0 && result != -EAGAIN && result != -EINTR) {
        s->send_failed = s->discards = true;
        io_out_drop(s);
    } else {
        io_queue_take(s->io, &s->out, (size_t)MAX(result, 0));
        if (result < (ssize_t)s->sending) {
            s->blocked = true;
            io_queue_set_aside(s->io, &s->out);
        }
    }
    if (s->out.bytes > 0 || s->state == IO_STREAM_CLOSING)
        io_stream_dirty(s);
    if (s->full && io_unsent_bytes(s) <= IO_LOW_WATER) {
        s->full = false;
        if (s->state != IO_STREAM_CLOSING)
            io_defer(s, IO_DEFER_DRAINED);
    }
}

/* ---- the owner's calls --------------------------------------------------------------------- */

void
io_stream_set_ops(struct io_stream *s, const struct io_stream_ops *ops, void *ctx)
{
    s->ops = ops;
    s->ctx = ctx;
}

int
io_stream_fd(const struct io_stream *s)
{
    return s->fd;
}

void
io_pause(struct io_stream *s)
{
    if (s->paused)
        return;
    s->paused = true;
    io_stream_dirty(s);
}

void
io_resume(struct io_stream *s)
{
    if (!s->paused)
        return;
    s->paused = false;
    io_stream_dirty(s);
    if (s->state == IO_STREAM_OPEN)
        s->io->backend->resumed(s);
}

bool
io_is_paused(const struct io_stream *s)
{
    return s->paused;
}

/* ---- closing ------------------------------------------------------------------------------- */

static void
linger_deadline(void *ctx)
{
    struct io_stream *s = ctx;

    io_out_drop(s);
    io_stream_dirty(s);
}

/* A socket that is closed with unread bytes resets the connection, and the peer may lose what we
 * sent last (an error message, say). So what has arrived is thrown away first. */
static void
discard_unread(struct io_stream *s)
{
    for (int tries = 0; tries < 16; tries++) {
        uint8_t scratch[4096];

        s->io->stats.system_calls++;
        if (recv(s->fd, scratch, sizeof(scratch), MSG_DONTWAIT) < (ssize_t)sizeof(scratch))
            return;
    }
}

void
io_stream_close(struct io_stream *s, bool flush)
{
    bool was_open = s->state == IO_STREAM_OPEN;

    BUG_UNLESS(s->state != IO_STREAM_CLOSING);
    if (s->state == IO_STREAM_CONNECTING)
        flush = false;
    list_remove(&s->ready);
    s->deferred = 0;
    forget_connecting(s);
    io_release(s);
    if (s->tls != NULL)
        io_tls_close(s, flush);
    enter(s, IO_STREAM_CLOSING);
    s->ops = NULL;
    s->ctx = NULL;
    s->discards = true;
    if (!flush)
        io_out_drop(s);
    s->flushes = flush && was_open;
    if (s->out.bytes > 0) {
        s->connecting = xcalloc(1, sizeof(*s->connecting));
        io_timer_start(s->io, &s->connecting->deadline, IO_LINGER_MS, linger_deadline, s);
    }
}

bool
io_stream_is_done(const struct io_stream *s)
{
    return s->state == IO_STREAM_CLOSING && s->out.bytes == 0;
}

void
io_stream_before_close(struct io_stream *s)
{
    if (s->flushes && !s->send_failed)
        discard_unread(s);
}

void
io_stream_release(struct io_stream *s)
{
    struct io *io = s->io;

    if (s->tls != NULL)
        io_tls_close(s, false);
    io_out_drop(s);
    forget_connecting(s);
    list_remove(&s->dirty);
    list_remove(&s->ready);
    list_remove(&s->held);
    list_remove(&s->starved);
    list_remove(&s->all);
    io->stats.streams--;
    slab_put(&io->stream_slab, s);
}
