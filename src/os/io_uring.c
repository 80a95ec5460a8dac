/*
 * The io_uring back end of the I/O engine: one system call per turn of the loop.
 *
 * Called by io.c only. In wait, everything that callbacks left dirty becomes requests, and one
 * io_uring_enter submits them and waits for the next completion.
 *
 * - Sends carry MSG_DONTWAIT, so that the kernel ends them while it takes them in, and ask for no
 *   completion when all went well: when the call returns, a send without a completion has left
 *   whole, and the wait is never satisfied by our own sends. MSG_WAITALL makes a short send a
 *   failed one, which does complete.
 * - Receives are multishot and take their buffers from one ring. After a stream was paused it
 *   receives once at a time until a receive comes back short: up to 32 buffers arrive before a
 *   multishot receive can be stopped.
 * - All completions are copied out of the ring before the first callback runs, so that the sends'
 *   results are settled first and no buffer is held across a wait.
 * - A closing stream's requests are cancelled; its descriptor is closed, and its memory released,
 *   when the last one has completed. user_data is the object's address and what was asked for.
 * - Requests are made in wait only, where no callback runs.
 */
#include "base/arena.h"
#include "base/log.h"
#include "io_private.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    SUBMIT_ENTRIES = 256,
    COMPLETE_ENTRIES = 2048,
    BUFFER_GROUP = 0,
    ENTER_TRIES = 1000,
    /* Buffers lie this much further apart than they are long: the first lines of all of them,
     * the only ones that short messages touch, would else share one set of the cache. */
    BUFFER_SKEW = 192,
    TAG_MASK = 15,
};

/* Of Linux 6.15, unknown to older headers: who waits for clients does not wait for a disk. */
#ifndef IORING_FEAT_NO_IOWAIT
#define IORING_FEAT_NO_IOWAIT (1U << 17)
#define IORING_ENTER_NO_IOWAIT (1U << 7)
#endif

/* What a completion is of; in the low bits of user_data. */
enum tag { TAG_NONE, TAG_RECEIVE, TAG_SEND, TAG_POLL, TAG_ACCEPT, TAG_WATCH };

struct event {
    uint64_t user_data;
    int32_t result;
    uint32_t flags;
};

struct message {
    struct msghdr header;
    struct iovec iov[IO_PIECES_MAX];
};

struct uring {
    struct io_uring ring;
    bool registered_ring;
    bool no_iowait;     /* the kernel can be told that waiting here is idleness */
    bool must_not_wait; /* something is to be done as soon as this turn's sends are settled */
    int failure;        /* -errno of the ring itself */
    struct io_uring_buf_ring *buffer_ring;
    struct io_buffer *buffers;
    uint8_t *memory;
    uint32_t buffer_count;
    uint32_t buffer_bytes;
    struct event *events; /* noted by wait for dispatch */
    uint32_t event_count;
    uint32_t event_cap;
    struct list sent;    /* streams with a send in this wait, by their dirty link */
    struct list starved; /* streams that found no receive buffer */
    struct message *messages;
    uint32_t message_count; /* in use since the last submission */
};

static struct uring *
uring_of(const struct io *io)
{
    return io->engine_private;
}

/* ---- start and stop ------------------------------------------------------------------------- */

static void
provide(struct uring *u, struct io_buffer *b)
{
    io_uring_buf_ring_add(u->buffer_ring, b->data, u->buffer_bytes, b->id,
                          io_uring_buf_ring_mask(u->buffer_count), 0);
    io_uring_buf_ring_advance(u->buffer_ring, 1);
}

static void
buffer_free(struct io *io, struct io_buffer *b)
{
    provide(uring_of(io), b);
}

static size_t
buffer_ring_bytes(const struct uring *u)
{
    return u->buffer_count * sizeof(struct io_uring_buf);
}

static int
start_buffers(struct uring *u, const struct io_options *options)
{
    struct io_uring_buf_reg reg = {.bgid = BUFFER_GROUP};
    size_t stride = options->buffer_bytes + BUFFER_SKEW;
    void *ring;
    int result;

    u->buffer_count = options->buffer_count;
    u->buffer_bytes = options->buffer_bytes;
    ring = mmap(NULL, buffer_ring_bytes(u), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0);
    if (ring == MAP_FAILED)
        return -errno;
    reg.ring_addr = (uintptr_t)ring;
    reg.ring_entries = u->buffer_count;
    result = io_uring_register_buf_ring(&u->ring, &reg, 0);
    if (result != 0) {
        munmap(ring, buffer_ring_bytes(u));
        return result;
    }
    u->buffer_ring = ring;
    u->memory = xmalloc(stride * u->buffer_count);
    u->buffers = xcalloc(u->buffer_count, sizeof(*u->buffers));
    for (uint32_t n = 0; n < u->buffer_count; n++) {
        u->buffers[n].data = u->memory + n * stride;
        u->buffers[n].id = (uint16_t)n;
        provide(u, &u->buffers[n]);
    }
    return 0;
}

static int
start(struct io *io, const struct io_options *options, struct err *err)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE,
        .cq_entries = COMPLETE_ENTRIES,
    };
    struct uring *u = xcalloc(1, sizeof(*u));
    int result = io_uring_queue_init_params(SUBMIT_ENTRIES, &u->ring, &params);

    if (result == 0) {
        result = start_buffers(u, options);
        if (result != 0)
            io_uring_queue_exit(&u->ring);
    }
    if (result != 0) {
        free(u);
        return err_set_errno(err, NULL, -result, "could not set up io_uring");
    }
    u->registered_ring = io_uring_register_ring_fd(&u->ring) == 1;
    u->no_iowait = (params.features & IORING_FEAT_NO_IOWAIT) != 0;
    u->messages = xmalloc(SUBMIT_ENTRIES * sizeof(*u->messages));
    list_init(&u->sent);
    list_init(&u->starved);
    io->engine_private = u;
    return 0;
}

static void
stop(struct io *io)
{
    struct uring *u = uring_of(io);

    for (uint32_t n = 0; n < u->event_count; n++) {
        if ((u->events[n].user_data & TAG_MASK) == TAG_ACCEPT && u->events[n].result >= 0)
            close(u->events[n].result);
    }
    io_uring_queue_exit(&u->ring);
    munmap(u->buffer_ring, buffer_ring_bytes(u));
    free(u->memory);
    free(u->buffers);
    free(u->events);
    free(u->messages);
    free(u);
}

/* ---- entering the kernel -------------------------------------------------------------------- */

static void
note(struct io *io, const struct io_uring_cqe *cqe)
{
    struct uring *u = uring_of(io);
    unsigned tag = cqe->user_data & TAG_MASK;

    if ((cqe->flags & IORING_CQE_F_BUFFER) != 0)
        io->stats.buffers_out++;
    if (tag == TAG_SEND) {
        struct io_stream *s = (void *)(uintptr_t)(cqe->user_data - TAG_SEND);

        s->send_result = cqe->res;
        return;
    }
    if (tag == TAG_NONE)
        return;
    if (u->event_count == u->event_cap) {
        u->event_cap = u->event_cap == 0 ? 64 : u->event_cap * 2;
        u->events = xrealloc(u->events, u->event_cap * sizeof(*u->events));
    }
    u->events[u->event_count++] = (struct event){cqe->user_data, cqe->res, cqe->flags};
}

static void
note_all(struct io *io)
{
    struct uring *u = uring_of(io);
    struct io_uring_cqe *cqe;
    unsigned count = 0;
    unsigned head;

    io_uring_for_each_cqe(&u->ring, head, cqe)
    {
        note(io, cqe);
        count++;
    }
    io_uring_cq_advance(&u->ring, count);
}

/* Hands over all requests made so far, waits for wait_count completions, and notes what there is.
 * A failure is kept in u->failure. */
static void
enter(struct io *io, unsigned wait_count, int64_t timeout_ns)
{
    struct uring *u = uring_of(io);
    struct io_uring_sq *sq = &u->ring.sq;
    struct __kernel_timespec ts = {timeout_ns / NS_PER_S, timeout_ns % NS_PER_S};
    struct io_uring_getevents_arg arg = {
        .sigmask_sz = _NSIG / 8,
        .ts = timeout_ns > 0 && wait_count > 0 ? (uintptr_t)&ts : 0,
    };
    unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG |
                     (u->registered_ring ? IORING_ENTER_REGISTERED_RING : 0) |
                     (u->no_iowait ? IORING_ENTER_NO_IOWAIT : 0);
    bool again = true;

    __atomic_store_n(sq->ktail, sq->sqe_tail, __ATOMIC_RELEASE);
    sq->sqe_head = sq->sqe_tail;
    for (int tries = 0; again && tries < ENTER_TRIES; tries++) {
        unsigned left = sq->sqe_tail - __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE);
        int result;

        io->stats.system_calls++;
        result = io_uring_enter2((unsigned)u->ring.enter_ring_fd, left, wait_count, flags,
                                 (sigset_t *)(void *)&arg, sizeof(arg));
        if (result < 0 && result != -EAGAIN && result != -EBUSY && result != -EINTR &&
            result != -ETIME)
            u->failure = result;
        note_all(io);
        /* Not all taken in: the kernel was short of memory, or of room for completions, which
         * was just made. */
        again =
            (result < 0 ? left > 0 : (unsigned)result < left) || io_uring_cq_has_overflow(&u->ring);
        wait_count = 0;
    }
    if (again && u->failure == 0)
        u->failure = -EBUSY;
    u->message_count = 0;
}

static struct io_uring_sqe *
request(struct io *io)
{
    struct uring *u = uring_of(io);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

    if (unlikely(sqe == NULL)) {
        enter(io, 0, 0);
        sqe = io_uring_get_sqe(&u->ring);
        BUG_UNLESS(sqe != NULL);
    }
    return sqe;
}

static void
identify(struct io_uring_sqe *sqe, const void *object, enum tag tag)
{
    sqe->user_data = (uintptr_t)object | tag;
}

static void
cancel(struct io *io, const void *object, enum tag tag)
{
    struct io_uring_sqe *sqe = request(io);

    io_uring_prep_cancel64(sqe, (uintptr_t)object | tag, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    identify(sqe, NULL, TAG_NONE);
}

/* ---- streams: before the system call -------------------------------------------------------- */

static void
request_receive(struct io_stream *s)
{
    struct io_uring_sqe *sqe = request(s->io);
    bool once = s->receive_once;

    if (once)
        io_uring_prep_recv(sqe, s->fd, NULL, 0, 0);
    else
        io_uring_prep_recv_multishot(sqe, s->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    identify(sqe, s, TAG_RECEIVE);
    s->receive = once ? IO_RECEIVE_ONCE : IO_RECEIVE_MULTI;
    s->receive_cancelled = false;
    s->requests++;
}

static void
update_receive(struct io_stream *s)
{
    if (io_stream_wants_receive(s)) {
        if (s->receive == IO_RECEIVE_OFF && !list_linked(&s->starved))
            request_receive(s);
        return;
    }
    if (s->receive == IO_RECEIVE_OFF || s->receive_cancelled)
        return;
    /* What was asked for once may arrive: it is little. */
    if (s->receive == IO_RECEIVE_ONCE && s->state != IO_STREAM_CLOSING)
        return;
    cancel(s->io, s, TAG_RECEIVE);
    s->receive_cancelled = true;
    s->receive_once = true;
}

static void
update_poll(struct io_stream *s)
{
    bool wanted = io_stream_wants_writable(s) && !io_stream_is_done(s);

    if (wanted && !s->poll_armed) {
        struct io_uring_sqe *sqe = request(s->io);

        io_uring_prep_poll_add(sqe, s->fd, POLLOUT);
        identify(sqe, s, TAG_POLL);
        s->poll_armed = true;
        s->poll_cancelled = false;
        s->requests++;
    } else if (!wanted && s->poll_armed && !s->poll_cancelled) {
        cancel(s->io, s, TAG_POLL);
        s->poll_cancelled = true;
    }
}

static void
request_send(struct io_stream *s)
{
    struct uring *u = uring_of(s->io);
    struct io_uring_sqe *sqe = request(s->io);
    struct message *m = &u->messages[u->message_count];
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL;
    size_t bytes;
    int count = io_out_gather(s, m->iov, &bytes);

    if (count == 1) {
        io_uring_prep_send(sqe, s->fd, m->iov[0].iov_base, m->iov[0].iov_len, flags);
    } else {
        m->header = (struct msghdr){.msg_iov = m->iov, .msg_iovlen = (size_t)count};
        io_uring_prep_sendmsg(sqe, s->fd, &m->header, (unsigned)flags);
        u->message_count++;
    }
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    identify(sqe, s, TAG_SEND);
    s->sending = (uint32_t)bytes;
    s->send_result = (int32_t)bytes;
    list_append(&u->sent, &s->dirty);
    if (bytes < s->out.bytes || s->full || s->state == IO_STREAM_CLOSING)
        u->must_not_wait = true;
}

static void
finish(struct io_stream *s)
{
    struct io_uring_sqe *sqe;

    if (s->requests > 0)
        return;
    io_stream_before_close(s);
    sqe = request(s->io);
    io_uring_prep_close(sqe, s->fd);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    identify(sqe, NULL, TAG_NONE);
    io_stream_release(s);
}

static void
update_stream(struct io_stream *s)
{
    if (unlikely(s->tls != NULL))
        io_tls_flush(s);
    list_remove(&s->dirty);
    update_receive(s);
    update_poll(s);
    if (io_stream_is_done(s))
        finish(s);
    else if (io_stream_may_send(s))
        request_send(s);
}

/* Those that found no buffer go on one by one, in the order in which they starved, as far as
 * there are buffers; for the rest this turn's sends give some back. */
static void
feed_starved(struct io *io)
{
    struct uring *u = uring_of(io);
    uint32_t left = u->buffer_count - io->stats.buffers_out;

    while (left > 0 && !list_empty(&u->starved)) {
        struct io_stream *s = list_first(&u->starved, struct io_stream, starved);

        list_remove(&s->starved);
        if (s->receive == IO_RECEIVE_OFF && io_stream_wants_receive(s)) {
            request_receive(s);
            left--;
        }
    }
    if (!list_empty(&u->starved) || io->stats.buffers_out > u->buffer_count / 2)
        u->must_not_wait = true;
}

/* ---- the turn ------------------------------------------------------------------------------- */

static void
update_listener(struct io_listener *l)
{
    bool wanted = io_listener_wants_accept(l);

    list_remove(&l->dirty);
    if (wanted && !l->armed) {
        struct io_uring_sqe *sqe = request(l->io);

        io_uring_prep_accept(sqe, l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        identify(sqe, l, TAG_ACCEPT);
        l->armed = true;
        l->cancelled = false;
    } else if (!wanted && l->armed && !l->cancelled) {
        cancel(l->io, l, TAG_ACCEPT);
        l->cancelled = true;
    } else if (l->closed && !l->armed) {
        io_listener_release(l);
    }
}

static void
update_watch(struct io_watch *w)
{
    unsigned wanted = w->closed ? 0 : w->events;

    list_remove(&w->dirty);
    if (w->armed == 0 && wanted != 0) {
        struct io_uring_sqe *sqe = request(w->io);

        io_uring_prep_poll_add(sqe, w->fd,
                               ((wanted & IO_READABLE) != 0 ? POLLIN | POLLRDHUP : 0) |
                                   ((wanted & IO_WRITABLE) != 0 ? POLLOUT : 0));
        identify(sqe, w, TAG_WATCH);
        w->armed = wanted;
        w->cancelled = false;
    } else if (w->armed != 0 && w->armed != wanted && !w->cancelled) {
        cancel(w->io, w, TAG_WATCH);
        w->cancelled = true;
    } else if (w->closed && w->armed == 0) {
        io_watch_release(w);
    }
}

static int
wait(struct io *io, int64_t timeout_ns, struct err *err)
{
    struct uring *u = uring_of(io);

    u->must_not_wait = u->event_count > 0 || timeout_ns == 0;
    list_for_each_safe (it, tmp, &io->dirty_streams)
        update_stream(list_entry(it, struct io_stream, dirty));
    feed_starved(io);
    list_for_each_safe (it, tmp, &io->dirty_listeners)
        update_listener(list_entry(it, struct io_listener, dirty));
    list_for_each_safe (it, tmp, &io->dirty_watches)
        update_watch(list_entry(it, struct io_watch, dirty));

    enter(io, u->must_not_wait ? 0 : 1, timeout_ns);
    while (!list_empty(&u->sent)) {
        struct io_stream *s = list_first(&u->sent, struct io_stream, dirty);

        list_remove(&s->dirty);
        io_stream_sent(s, s->send_result);
    }
    if (u->failure != 0)
        return err_set_errno(err, NULL, -u->failure, "could not enter io_uring");
    return 0;
}

/* ---- handing out ----------------------------------------------------------------------------- */

static void
receive_ended(struct io_stream *s, int result)
{
    struct uring *u = uring_of(s->io);

    s->receive = IO_RECEIVE_OFF;
    s->requests--;
    io_stream_dirty(s);
    if (result > 0) {
        if (s->receive_once && !s->paused && (uint32_t)result < u->buffer_bytes)
            s->receive_once = false;
    } else if (result == -ENOBUFS) {
        s->receive_once = true;
        list_append(&u->starved, &s->starved);
    } else if (result != -ECANCELED && result != -EAGAIN && result != -EINTR) {
        io_stream_ended(s, -result);
    }
}

static void
receive_event(struct io_stream *s, const struct event *e)
{
    struct uring *u = uring_of(s->io);

    if ((e->flags & IORING_CQE_F_BUFFER) != 0) {
        struct io_buffer *b = &u->buffers[e->flags >> IORING_CQE_BUFFER_SHIFT];

        b->refs = 1;
        if (e->result > 0)
            io_stream_received(s, b, (size_t)e->result);
        else
            io_buffer_unref(s->io, b);
    }
    if ((e->flags & IORING_CQE_F_MORE) == 0)
        receive_ended(s, e->result);
}

/* It is dirty, and that will do, also for a descriptor that is closed at once: the request holds
 * the file, not the number, and is cancelled by its name in the next wait. */
static void
watch_changed(struct io_watch *w)
{
    (void)w;
}

static void
watch_event(struct io_watch *w, int result)
{
    unsigned happened = 0;

    if (!w->closed && result > 0)
        happened = io_events_from_poll((unsigned)result, w->events);
    else if (!w->closed && result < 0 && result != -ECANCELED)
        BUG("could not watch descriptor %d: errno %d", w->fd, -result);
    w->armed = 0;
    io_watch_dirty(w);
    if (happened != 0)
        w->fn(w->ctx, w->fd, happened);
}

static void
dispatch(struct io *io)
{
    struct uring *u = uring_of(io);

    for (uint32_t n = 0; n < u->event_count; n++) {
        const struct event e = u->events[n];
        void *object = (void *)(uintptr_t)(e.user_data & ~(uint64_t)TAG_MASK);
        struct io_stream *s = object;

        switch (e.user_data & TAG_MASK) {
        case TAG_RECEIVE:
            receive_event(s, &e);
            break;
        case TAG_POLL:
            s->poll_armed = false;
            s->requests--;
            io_stream_dirty(s);
            if (e.result != -ECANCELED)
                io_stream_writable(s);
            break;
        case TAG_ACCEPT:
            ((struct io_listener *)object)->armed = false;
            io_listener_result(object, e.result);
            break;
        default:
            watch_event(object, e.result);
            break;
        }
    }
    u->event_count = 0;
}

static void
resumed(struct io_stream *s)
{
    (void)s; /* it is dirty: the next wait looks at it */
}

static void
listener_closed(struct io_listener *l)
{
    (void)l;
}

const struct io_backend io_backend_uring = {
    .engine = IO_ENGINE_IO_URING,
    .start = start,
    .stop = stop,
    .wait = wait,
    .dispatch = dispatch,
    .buffer_free = buffer_free,
    .read = resumed,
    .resumed = resumed,
    .watch_changed = watch_changed,
    .listener_closed = listener_closed,
};
