/*
 * What the common half of the I/O engine (io.c, io_stream.c, io_out.c, io_event.c, io_timer.c)
 * and its two back ends (io_uring.c, io_epoll.c) share. Nobody else includes it.
 *
 * The division: the common half owns the objects, their queues, timers and all callbacks' rules;
 * a back end moves bytes and tells readiness. A turn of io_run is
 *
 *     wait      sends what was queued, waits, and notes what happened; no callback runs
 *     dispatch  hands out what wait noted; callbacks run
 *     timers, then deferred callbacks (io_defer)
 *
 * Invariants:
 * - callbacks only mark objects dirty; descriptors are handed to the kernel in wait alone, so a
 *   request can never meet a number that was closed and reused in between;
 * - when wait has sent, no piece of any queue points into a receive buffer any more: it has left
 *   or was copied aside. Receive buffers are out only between dispatch and the next wait;
 * - memory of a closed object is released in the next wait at the earliest, when no event noted by
 * wait and no request in the kernel can name it.
 */
#ifndef OS_IO_PRIVATE_H
#define OS_IO_PRIVATE_H

#include "base/list.h"
#include "base/slab.h"
#include "os/io.h"

#include <sys/uio.h>

enum {
    IO_PIECES_MAX = 32,       /* of a queue in one system call */
    IO_LINGER_MS = 5000,      /* for closing with flush */
    IO_ACCEPT_RETRY_MS = 100, /* after EMFILE and its like */
    IO_CONNECT_RETRY_MS = 10, /* a unix socket's full backlog */
    IO_RECORD_BYTES = 16384,  /* of plaintext, the most that a TLS record takes */
    IO_KIND_STREAM = 1,
    IO_KIND_LISTENER,
    IO_KIND_WATCH,
};

/* A receive buffer. While out it has refs: the running callback and the pieces inside it. Those of
 * TLS hold plaintext and are not the engine's. */
struct io_buffer {
    uint8_t *data;
    struct io_buffer *next_free; /* epoll, TLS */
    uint32_t refs;
    uint16_t id;
    bool plain; /* of TLS */
};

/* A part of a stream's queue: a part of a receive buffer (buffer set), or a chunk of its own
 * (cap > 0) in which the bytes from data on are still to be sent. */
struct io_piece {
    struct io_piece *next;
    const uint8_t *data;
    size_t len;
    struct io_buffer *buffer;
    size_t cap;
    uint8_t bytes[];
};

struct io_queue {
    struct io_piece *first;
    struct io_piece *last;
    size_t bytes;
};

enum io_stream_state {
    IO_STREAM_CONNECTING,
    IO_STREAM_OPEN,
    IO_STREAM_ENDED,   /* closed was called, or connected with an error */
    IO_STREAM_CLOSING, /* the caller is gone */
};

/* Callbacks that are due but not from a kernel event. */
enum {
    IO_DEFER_CONNECTED = 1,
    IO_DEFER_DRAINED = 2,
    IO_DEFER_READ = 4,
    IO_DEFER_END = 8,
    IO_DEFER_HELLO = 16, /* TLS: what came before it began */
};

enum io_receive_state { IO_RECEIVE_OFF, IO_RECEIVE_ONCE, IO_RECEIVE_MULTI };

struct io_connect_state;
struct io_tls;

struct io_stream {
    struct io *io;
    const struct io_stream_ops *ops;
    void *ctx;
    struct list all;
    struct list dirty;                   /* to be looked at by the next wait */
    struct list ready;                   /* has deferred callbacks */
    struct list held;                    /* with is_held */
    struct io_queue out;                 /* as it goes to the kernel */
    struct io_tls *tls;                  /* NULL: plain */
    struct io_connect_state *connecting; /* also the deadline of a closing stream */
    int fd;
    int error;           /* for the deferred connected or closed */
    uint32_t sending;    /* bytes handed to the kernel in this wait */
    int32_t send_result; /* of them */
    uint8_t state;
    uint8_t deferred;
    bool paused : 1;
    bool full : 1;
    bool blocked : 1;     /* a send came back short: waits for the socket to be writable */
    bool send_failed : 1; /* the receive side will tell */
    bool discards : 1;    /* takes no more bytes to send */
    bool flushes : 1;     /* closes after its last bytes left */
    bool is_held : 1;     /* what is queued waits for more */

    /* io_uring */
    struct list starved; /* found no receive buffer */
    uint8_t receive;     /* enum io_receive_state, as the kernel has it */
    uint8_t requests;    /* of this stream that will still complete */
    bool receive_cancelled : 1;
    bool poll_armed : 1;
    bool poll_cancelled : 1;
    bool receive_once : 1; /* was paused: bounded receives until one comes back short */

    /* epoll */
    bool registered : 1;
    bool wants_writable : 1; /* as registered */
    bool readable : 1;
    bool hung_up : 1; /* readable until the end of file */
};

_Static_assert(sizeof(struct io_stream) <= 200, "an idle stream is small");

struct io_listener {
    struct io *io;
    io_accepted_fn *accepted;
    void *ctx;
    struct list all;
    struct list dirty;
    struct io_timer retry;
    int fd;
    bool paused;
    bool closed;
    bool armed; /* request out, or registered */
    bool cancelled;
    uint8_t put_off; /* epoll: for so many turns its removal has waited */
};

struct io_watch {
    struct io *io;
    io_watch_fn *fn;
    void *ctx;
    struct list all;
    struct list dirty;
    int fd;
    unsigned events;
    unsigned armed; /* the events that the kernel looks for; 0: none */
    bool closed;
    bool cancelled;
};

struct io_backend {
    enum io_engine engine;
    int (*start)(struct io *io, const struct io_options *options, struct err *err);
    void (*stop)(struct io *io);
    /* timeout_ns below 0: for ever. */
    int (*wait)(struct io *io, int64_t timeout_ns, struct err *err);
    void (*dispatch)(struct io *io);
    /* A receive buffer is free again. */
    void (*buffer_free)(struct io *io, struct io_buffer *buffer);
    /* IO_DEFER_READ; epoll only. */
    void (*read)(struct io_stream *s);
    void (*resumed)(struct io_stream *s);
    /* Wanted events changed, or closed is set: after it the caller may close the descriptor. */
    void (*watch_changed)(struct io_watch *w);
    void (*listener_closed)(struct io_listener *l);
};

extern const struct io_backend io_backend_uring;
extern const struct io_backend io_backend_epoll;

struct io {
    const struct io_backend *backend;
    void *engine_private;
    int64_t now_ns;
    void (*turn)(void *ctx);
    void *turn_ctx;
    struct io_timer **timers;
    uint32_t timer_count;
    uint32_t timer_cap;
    bool running;
    bool stopped;
    struct slab stream_slab;
    struct slab piece_slab;
    struct io_piece *chunk_cache;
    uint32_t chunk_cached;
    struct io_buffer *plain_cache; /* buffers for plaintext that are free */
    uint32_t plain_cached;
    uint8_t *record; /* IO_RECORD_BYTES, where pieces are put together; NULL: not needed yet */
    struct list streams;
    struct list listeners;
    struct list watches;
    struct list dirty_streams;
    struct list dirty_listeners;
    struct list dirty_watches;
    struct list ready;
    struct list held_streams;
    struct io_timer held_timer;
    int signal_fd;
    struct io_watch *signal_watch;
    io_signal_fn *signal_fn;
    void *signal_ctx;
    struct io_stats stats;
};

/* ---- io_timer.c ---- */
void io_timers_fire(struct io *io);
/* -1 when none runs. */
int64_t io_timers_wait_ns(const struct io *io);

/* ---- io_out.c: queues ---- */
void io_queue_drop(struct io *io, struct io_queue *q);
/* Copies what lies in receive buffers to memory of the queue's own. */
void io_queue_set_aside(struct io *io, struct io_queue *q);
void io_queue_take(struct io *io, struct io_queue *q, size_t bytes);
/* Behind all else, as it is. */
void io_queue_add(struct io *io, struct io_queue *q, const uint8_t *bytes, size_t len);
/* Fills at most IO_PIECES_MAX vectors; returns how many, and their bytes. */
int io_out_gather(const struct io_stream *s, struct iovec *iov, size_t *bytes_r);
void io_out_fini(struct io *io);
/* What the stream is to send, in whichever form, is dropped. */
void io_out_drop(struct io_stream *s);

/* ---- io_tls.c ---- */
/* Ciphertext that has arrived. */
void io_tls_received(struct io_stream *s, const uint8_t *bytes, size_t len);
/* IO_DEFER_HELLO. */
void io_tls_hello(struct io_stream *s);
/* Encrypts what the callbacks of this turn have left. */
void io_tls_flush(struct io_stream *s);
struct io_queue *io_tls_queue(const struct io_stream *s); /* of plaintext */
/* The connection has ended: true when it did in the handshake, which has been told. */
bool io_tls_ended(struct io_stream *s, int error);
/* Says goodbye (flush) and forgets everything but what is queued to the kernel. */
void io_tls_close(struct io_stream *s, bool flush);
void io_plain_free(struct io *io, struct io_buffer *b);
void io_tls_fini(struct io *io);

static inline void
io_buffer_unref(struct io *io, struct io_buffer *b)
{
    if (--b->refs == 0) {
        if (unlikely(b->plain)) {
            io_plain_free(io, b);
            return;
        }
        io->stats.buffers_out--;
        io->backend->buffer_free(io, b);
    }
}

/* ---- io_stream.c: what back ends report ---- */
void io_stream_received(struct io_stream *s, struct io_buffer *b, size_t len);
/* End of file (error 0) or failure of the receiving side. */
void io_stream_ended(struct io_stream *s, int error);
/* The kernel took `result` of s->sending bytes, or -errno. */
void io_stream_sent(struct io_stream *s, ssize_t result);
/* Has the socket to become writable before the stream gets on? io_stream_writable: it did. */
bool io_stream_wants_writable(const struct io_stream *s);
void io_stream_writable(struct io_stream *s);
/* Closing, and nothing left to send: once no request is out, call before_close, close the
 * descriptor, release. */
bool io_stream_is_done(const struct io_stream *s);
void io_stream_before_close(struct io_stream *s);
void io_stream_release(struct io_stream *s);
void io_defer(struct io_stream *s, unsigned what);
void io_run_deferred(struct io *io);

static inline void
io_stream_dirty(struct io_stream *s)
{
    if (!list_linked(&s->dirty))
        list_append(&s->io->dirty_streams, &s->dirty);
}

static inline bool
io_stream_wants_receive(const struct io_stream *s)
{
    return s->state == IO_STREAM_OPEN && !s->paused;
}

/* Keeps a queue out of the receive buffers and says whether it may be sent now. */
static inline bool
io_stream_may_send(struct io_stream *s)
{
    if (s->out.bytes == 0)
        return false;
    if (s->blocked || s->is_held || s->state == IO_STREAM_CONNECTING) {
        io_queue_set_aside(s->io, &s->out);
        return false;
    }
    return true;
}

static inline void
io_watch_dirty(struct io_watch *w)
{
    if (!list_linked(&w->dirty))
        list_append(&w->io->dirty_watches, &w->dirty);
}

/* ---- io_event.c: listeners, watches, signals ---- */
/* fd of a new connection, or -errno. */
void io_listener_result(struct io_listener *l, int result);
bool io_listener_wants_accept(const struct io_listener *l);
void io_listener_release(struct io_listener *l);
void io_watch_release(struct io_watch *w);
unsigned io_events_from_poll(unsigned poll_events, unsigned wanted);

#endif
