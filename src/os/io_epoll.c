/*
 * The epoll back end of the I/O engine, for kernels and containers that refuse io_uring.
 *
 * Called by io.c only. Streams are registered once, edge-triggered, and remember whether there
 * is something to read: a receive that comes back short has emptied the socket, so no second one
 * is needed to learn that. Sends are tried at the start of wait; only a stream that blocks asks
 * for writability. Listeners and watches are level-triggered.
 *
 * Receive buffers form a stack, so that the one used next is the one still in the cache. When
 * none is left in the middle of a turn, what is queued is sent (or set aside) at once, which
 * gives all of them back.
 */
#include "base/arena.h"
#include "base/log.h"
#include "io_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS_PER_WAIT = 128, KIND_MASK = 7, PUT_OFF_MAX = 8 };

struct epoll_engine {
    int fd;
    int event_count;
    bool was_full; /* the last wait has left events behind */
    uint32_t buffer_bytes;
    struct io_buffer *free_buffers;
    struct io_buffer *buffers;
    uint8_t *memory;
    struct epoll_event events[EVENTS_PER_WAIT];
};

static struct epoll_engine *
engine_of(const struct io *io)
{
    return io->engine_private;
}

static int
start(struct io *io, const struct io_options *options, struct err *err)
{
    struct epoll_engine *e;
    int fd = epoll_create1(EPOLL_CLOEXEC);

    if (fd < 0)
        return err_set_errno(err, NULL, errno, "could not create epoll descriptor");
    e = xcalloc(1, sizeof(*e));
    e->fd = fd;
    e->buffer_bytes = options->buffer_bytes;
    e->memory = xmalloc((size_t)options->buffer_count * options->buffer_bytes);
    e->buffers = xcalloc(options->buffer_count, sizeof(*e->buffers));
    for (uint32_t n = options->buffer_count; n-- > 0;) {
        struct io_buffer *b = &e->buffers[n];

        b->data = e->memory + (size_t)n * options->buffer_bytes;
        b->next_free = e->free_buffers;
        e->free_buffers = b;
    }
    io->engine_private = e;
    return 0;
}

static void
stop(struct io *io)
{
    struct epoll_engine *e = engine_of(io);

    close(e->fd);
    free(e->buffers);
    free(e->memory);
    free(e);
}

static void
buffer_free(struct io *io, struct io_buffer *b)
{
    struct epoll_engine *e = engine_of(io);

    b->next_free = e->free_buffers;
    e->free_buffers = b;
}

static int
control(struct io *io, int op, int fd, uint32_t events, void *object)
{
    struct epoll_event ev = {.events = events, .data.ptr = object};

    io->stats.system_calls++;
    return epoll_ctl(engine_of(io)->fd, op, fd, &ev);
}

static void *
tagged(void *object, unsigned kind)
{
    return (void *)((uintptr_t)object | kind);
}

/* ---- sending ------------------------------------------------------------------------------- */

static void
send_queued(struct io_stream *s)
{
    struct iovec iov[IO_PIECES_MAX];
    ssize_t sent;

    if (unlikely(s->tls != NULL))
        io_tls_flush(s);
    while (io_stream_may_send(s)) {
        size_t bytes;
        int count = io_out_gather(s, iov, &bytes);

        s->io->stats.system_calls++;
        if (count == 1) {
            sent = send(s->fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        } else {
            struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)count};

            sent = sendmsg(s->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        s->sending = (uint32_t)bytes;
        io_stream_sent(s, sent < 0 ? -errno : sent);
    }
}

/* ---- receiving ----------------------------------------------------------------------------- */

static struct io_buffer *
take_buffer(struct io *io)
{
    struct epoll_engine *e = engine_of(io);
    struct io_buffer *b;

    if (e->free_buffers == NULL) {
        list_for_each_safe (it, tmp, &io->dirty_streams)
            send_queued(list_entry(it, struct io_stream, dirty));
    }
    b = e->free_buffers;
    BUG_UNLESS(b != NULL);
    e->free_buffers = b->next_free;
    b->refs = 1;
    io->stats.buffers_out++;
    return b;
}

/* One receive; when there may be more, the next one is the next turn's, so that a busy stream
 * does not keep the others waiting. */
static void
receive(struct io_stream *s)
{
    struct io *io = s->io;
    struct io_buffer *b;
    ssize_t got;

    if (!s->readable || !io_stream_wants_receive(s))
        return;
    b = take_buffer(io);
    io->stats.system_calls++;
    got = recv(s->fd, b->data, engine_of(io)->buffer_bytes, MSG_DONTWAIT);
    if (got > 0) {
        s->readable = s->hung_up || (size_t)got == engine_of(io)->buffer_bytes;
        io_stream_received(s, b, (size_t)got);
        if (s->readable && io_stream_wants_receive(s))
            io_defer(s, IO_DEFER_READ);
        return;
    }
    io_buffer_unref(io, b);
    s->readable = false;
    if (got == 0)
        io_stream_ended(s, 0);
    else if (errno != EAGAIN && errno != EINTR)
        io_stream_ended(s, errno);
}

static void
resumed(struct io_stream *s)
{
    if (s->readable)
        io_defer(s, IO_DEFER_READ);
}

static void
stream_event(struct io_stream *s, uint32_t events)
{
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        s->hung_up = true;
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        s->readable = true;
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0 && io_stream_wants_writable(s))
        io_stream_writable(s);
    receive(s);
}

/* ---- the start of wait ---------------------------------------------------------------------- */

static void
register_stream(struct io_stream *s)
{
    bool writable = io_stream_wants_writable(s);
    bool wanted = s->state == IO_STREAM_OPEN || writable;
    uint32_t events = EPOLLET | EPOLLIN | EPOLLRDHUP | (writable ? EPOLLOUT : 0);

    if (!wanted || (s->registered && s->wants_writable == writable))
        return;
    if (control(s->io, s->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->fd, events,
                tagged(s, IO_KIND_STREAM)) != 0) {
        s->error = errno;
        io_defer(s, IO_DEFER_END);
        return;
    }
    s->registered = true;
    s->wants_writable = writable;
}

static void
update_stream(struct io_stream *s)
{
    send_queued(s);
    if (io_stream_is_done(s)) {
        io_stream_before_close(s);
        s->io->stats.system_calls++;
        close(s->fd);
        io_stream_release(s);
        return;
    }
    list_remove(&s->dirty);
    register_stream(s);
}

/*
 * What a wait has not fetched yet would be lost when the listener is removed, and so might be the
 * only word of a client (io_event.c): a removal waits for the rest, but not for ever.
 */
static bool
must_put_off(struct io_listener *l, bool wanted)
{
    if (wanted || !l->armed || l->closed || !engine_of(l->io)->was_full ||
        l->put_off == PUT_OFF_MAX) {
        l->put_off = 0;
        return false;
    }
    l->put_off++;
    return true;
}

static void
update_listener(struct io_listener *l)
{
    bool wanted = io_listener_wants_accept(l);

    if (must_put_off(l, wanted))
        return;
    list_remove(&l->dirty);
    if (l->closed) {
        io_listener_release(l);
        return;
    }
    if (wanted == l->armed)
        return;
    if (control(l->io, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, l->fd, EPOLLIN | EPOLLEXCLUSIVE,
                tagged(l, IO_KIND_LISTENER)) != 0)
        BUG("could not watch listening socket: errno %d", errno);
    l->armed = wanted;
}

static void
listener_closed(struct io_listener *l)
{
    if (l->armed)
        control(l->io, EPOLL_CTL_DEL, l->fd, 0, l);
    l->armed = false;
}

/* At once, not in the next wait: the caller may close the descriptor after it. */
static void
watch_changed(struct io_watch *w)
{
    unsigned wanted = w->closed ? 0 : w->events;
    uint32_t events = ((wanted & IO_READABLE) != 0 ? EPOLLIN | EPOLLRDHUP : 0) |
                      ((wanted & IO_WRITABLE) != 0 ? EPOLLOUT : 0);
    int op = w->armed == 0 ? EPOLL_CTL_ADD : wanted == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;

    if (wanted == w->armed)
        return;
    if (control(w->io, op, w->fd, events, tagged(w, IO_KIND_WATCH)) != 0 && op != EPOLL_CTL_DEL)
        BUG("could not watch descriptor %d: errno %d", w->fd, errno);
    w->armed = wanted;
}

static int
wait(struct io *io, int64_t timeout_ns, struct err *err)
{
    struct epoll_engine *e = engine_of(io);
    int timeout_ms = timeout_ns < 0 ? -1 : (int)MIN((timeout_ns + 999999) / NS_PER_MS, 3600000);
    int count;

    list_for_each_safe (it, tmp, &io->dirty_streams)
        update_stream(list_entry(it, struct io_stream, dirty));
    list_for_each_safe (it, tmp, &io->dirty_listeners)
        update_listener(list_entry(it, struct io_listener, dirty));
    list_for_each_safe (it, tmp, &io->dirty_watches) {
        struct io_watch *w = list_entry(it, struct io_watch, dirty);

        list_remove(&w->dirty);
        if (w->closed)
            io_watch_release(w);
    }
    if (!list_empty(&io->ready) || !list_empty(&io->dirty_listeners))
        timeout_ms = 0;
    io->stats.system_calls++;
    count = epoll_wait(e->fd, e->events, EVENTS_PER_WAIT, timeout_ms);
    if (count < 0 && errno != EINTR)
        return err_set_errno(err, NULL, errno, "could not wait for events");
    e->event_count = MAX(count, 0);
    e->was_full = count == EVENTS_PER_WAIT;
    return 0;
}

static void
dispatch(struct io *io)
{
    struct epoll_engine *e = engine_of(io);

    for (int n = 0; n < e->event_count; n++) {
        uintptr_t tag = (uintptr_t)e->events[n].data.ptr;
        void *object = (void *)(tag & ~(uintptr_t)KIND_MASK);
        uint32_t events = e->events[n].events;

        if ((tag & KIND_MASK) == IO_KIND_STREAM) {
            stream_event(object, events);
        } else if ((tag & KIND_MASK) == IO_KIND_LISTENER) {
            struct io_listener *l = object;
            int fd;

            if (l->closed)
                continue;
            io->stats.system_calls++;
            fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            io_listener_result(l, fd < 0 ? -errno : fd);
        } else {
            struct io_watch *w = object;
            unsigned happened = w->closed ? 0 : io_events_from_poll(events, w->events);

            if (happened != 0)
                w->fn(w->ctx, w->fd, happened);
        }
    }
    e->event_count = 0;
}

const struct io_backend io_backend_epoll = {
    .engine = IO_ENGINE_EPOLL,
    .start = start,
    .stop = stop,
    .wait = wait,
    .dispatch = dispatch,
    .buffer_free = buffer_free,
    .read = receive,
    .resumed = resumed,
    .watch_changed = watch_changed,
    .listener_closed = listener_closed,
};
