/*
 * The I/O engine: streams, listeners, timers, signals and watched descriptors of one process.
 *
 * It is a completion interface: "here are bytes that arrived", "what you queued has left". Two
 * engines serve it, io_uring and epoll, and nobody above can tell which. One thread, one engine,
 * one system call per turn of the loop where the kernel allows it. Nothing here blocks but
 * io_run, which waits for the next thing to happen.
 *
 * Rules that hold for every callback:
 * - callbacks run only from io_run; none runs inside a call that you make;
 * - after io_stream_close, io_unwatch, io_timer_stop or io_listener_close returned, no callback
 *   of that object runs any more; the call is allowed in any callback, also the object's own;
 * - a descriptor is closed only when the last operation on it has completed, so that a reused
 *   number never receives a stranger's completion.
 *
 * Receive buffers belong to the engine and are shared by all streams: an idle stream holds none.
 * Bytes queued by io_send_rx leave from the buffer that they came in. A buffer that could not be
 * sent at once is copied aside at the end of the turn, so that slow receivers never starve the
 * others of receive buffers.
 */
#ifndef OS_IO_H
#define OS_IO_H

#include "base/err.h"
#include "base/util.h"

#include <stdbool.h>
#include <sys/socket.h>

struct io;
struct io_stream;
struct io_listener;
struct io_watch;

enum io_engine { IO_ENGINE_AUTO, IO_ENGINE_IO_URING, IO_ENGINE_EPOLL };

/* A stream is full when this much waits to be sent; it calls drained when at most a quarter is
 * left. */
enum { IO_HIGH_WATER = 64 * 1024, IO_LOW_WATER = 16 * 1024 };

/* What io_hold holds at most, and for how long. */
enum { IO_HOLD_BYTES = 4096, IO_HOLD_MS = 50 };

struct io_options {
    enum io_engine engine; /* auto: io_uring, or epoll where the kernel refuses it */
    uint32_t buffer_bytes; /* of one receive buffer; 0 for 16384 */
    uint32_t buffer_count; /* receive buffers shared by all streams, power of two; 0 for 64 */
};

/* Call after fork: an engine never outlives into another process. options may be NULL. */
int io_new(const struct io_options *options, struct io **io_r, struct err *err);
void io_free(struct io *io);
enum io_engine io_engine(const struct io *io);
const char *io_engine_name(enum io_engine engine);

/* Runs until io_stop; returns 0, or -1 when the engine itself failed. */
int io_run(struct io *io, struct err *err);
void io_stop(struct io *io);

/* fn is called at the beginning of each turn, before anything that has happened is told. One such
 * function; NULL: none. */
void io_on_turn(struct io *io, void (*fn)(void *ctx), void *ctx);

/* CLOCK_MONOTONIC, read once a turn. */
int64_t io_now_ns(const struct io *io);

/* Counted since io_new: for tests and measurements. */
struct io_stats {
    uint64_t turns;
    uint64_t system_calls;
    uint64_t receives;
    uint64_t sends;
    uint64_t copied_bytes; /* set aside because a receiver was slow */
    uint32_t streams;      /* open now, closing ones included */
    uint32_t buffers_out;  /* receive buffers not yet given back */
};
void io_get_stats(const struct io *io, struct io_stats *stats_r);

/* ---- streams ------------------------------------------------------------------------------- */

/* Bytes that arrived. Valid during the callback; io_send_rx keeps a part of them longer. */
struct io_rx {
    const uint8_t *data;
    size_t len;
    void *engine_private;
};

struct io_stream_ops {
    /* Ends an io_connect: error is 0 or an errno (ETIMEDOUT when the deadline passed). After an
     * error the stream is dead: call io_stream_close. */
    void (*connected)(void *ctx, int error);
    void (*received)(void *ctx, struct io_rx *rx);
    /* Was full, is not any more. */
    void (*drained)(void *ctx);
    /* The peer closed (error 0) or the connection failed (an errno). Called once, after the last
     * received. What is still queued may or may not leave. Call io_stream_close. */
    void (*closed)(void *ctx, int error);
    /* Ends io_stream_start_tls: err is NULL, or says why there is no TLS. After an error, which may
     * be that the connection was closed meanwhile, the stream is dead: call io_stream_close, with
     * flush, so that the peer hears the reason. */
    void (*secured)(void *ctx, const struct err *err);
};

/* Takes over a connected, nonblocking socket and starts to receive. Never fails. */
struct io_stream *io_stream_open(struct io *io, int fd, const struct io_stream_ops *ops, void *ctx);

/* Where to connect to. */
struct io_target {
    const struct sockaddr *addr;
    socklen_t addr_len;
    int timeout_ms; /* 0: the kernel's */
};

/* Starts a TCP or unix connection; ops->connected tells how it ended. Returns NULL and sets err
 * only when no socket could be made. */
struct io_stream *io_connect(struct io *io, const struct io_target *target,
                             const struct io_stream_ops *ops, void *ctx, struct err *err);

/* The stream goes on with other callbacks (a connection changes its owner). */
void io_stream_set_ops(struct io_stream *s, const struct io_stream_ops *ops, void *ctx);

int io_stream_fd(const struct io_stream *s);

/* ---- TLS: os/tls.h tells of contexts ---- */

struct tls_context;
struct tls_facts;

/* From here on the stream is TLS: what was queued before leaves as it is, what is sent from now on
 * leaves encrypted once ops->secured was called; received hands out plaintext. Who connects says
 * hello; host_name is then whom the certificate has to name (TLS_VERIFY_FULL), and is told to the
 * server when it is a name; else NULL. Takes a reference of the context, copies the name. */
void io_stream_start_tls(struct io_stream *s, struct tls_context *context, const char *host_name);

/* The same for a client who began with TLS at once: these bytes are the beginning of its hello.
 * It must agree on the protocol "postgresql" (ALPN). */
void io_stream_start_direct_tls(struct io_stream *s, struct tls_context *context, const void *hello,
                                size_t len);

/* NULL: plain, or not secured yet. Lives as long as the stream. */
const struct tls_facts *io_stream_tls(const struct io_stream *s);

/* Sends are queued and leave at the end of the turn, all of a stream in one call. */
void io_send_copy(struct io_stream *s, const void *bytes, size_t len);

/* rx must be the one of the running received callback; the part must lie inside it. */
void io_send_rx(struct io_stream *s, struct io_rx *rx, size_t offset, size_t len);

/* What is queued is not urgent: it leaves with what is sent next, or at io_release, or when the
 * stream is closed with flush, in IO_HOLD_MS at the latest; at once when it is IO_HOLD_BYTES or
 * more. To be called anew behind each send that is not urgent either. */
void io_hold(struct io_stream *s);
void io_release(struct io_stream *s);

size_t io_unsent_bytes(const struct io_stream *s);
static inline bool
io_is_full(const struct io_stream *s)
{
    return io_unsent_bytes(s) >= IO_HIGH_WATER;
}

/* Stops and goes on receiving. What was already on its way may still arrive after a pause: at
 * most a few buffers; the caller keeps it. Pausing twice is pausing once. Cheap to call. */
void io_pause(struct io_stream *s);
void io_resume(struct io_stream *s);
bool io_is_paused(const struct io_stream *s);

/* Closes. With flush, what is queued may still leave (at most 5 s, then it is dropped); without,
 * it is dropped. The stream is gone for the caller at once. */
void io_stream_close(struct io_stream *s, bool flush);

/* ---- listeners ----------------------------------------------------------------------------- */

/* The new descriptor is nonblocking and close-on-exec and the callee's. error: 0, or the errno of
 * a failed accept (EMFILE, ...; fd is then -1, and the listener tries again after 100 ms). */
typedef void io_accepted_fn(void *ctx, int fd, int error);

/* The listening socket stays the caller's: it may be shared with other processes. */
struct io_listener *io_listen(struct io *io, int fd, io_accepted_fn *accepted, void *ctx);

/* A client who was on his way may still arrive after a pause, and is the callee's as any other:
 * nobody else would hear of him. */
void io_listener_pause(struct io_listener *l);
void io_listener_resume(struct io_listener *l);
void io_listener_close(struct io_listener *l);

/* After a pause: no accept is under way any more that could still bring a client. It takes a turn
 * or two of the loop. Who closes a listener before may lose a client that the kernel has already
 * handed over. */
bool io_listener_is_quiet(const struct io_listener *l);

/* ---- watched descriptors: eventfd, pipes, inboxes, other libraries' sockets -------------------
 */

enum { IO_READABLE = 1, IO_WRITABLE = 2 };

/* Level-triggered: called again while the condition holds. events: IO_READABLE | IO_WRITABLE; a
 * hang-up or an error counts as both of those that were asked for. */
typedef void io_watch_fn(void *ctx, int fd, unsigned events);

/* The descriptor stays the caller's, and must stay open until io_unwatch. */
struct io_watch *io_watch(struct io *io, int fd, unsigned events, io_watch_fn *fn, void *ctx);
void io_watch_change(struct io_watch *w, unsigned events);
void io_unwatch(struct io_watch *w);

/* ---- timers -------------------------------------------------------------------------------- */

typedef void io_timer_fn(void *ctx);

/* Caller's memory; all zeroes is a stopped timer. Fires once per start. */
struct io_timer {
    struct io *io;
    io_timer_fn *fn;
    void *ctx;
    int64_t due_ns;
    uint32_t heap_at; /* place in the heap plus one; 0 when stopped */
};

/* Starts or restarts. */
void io_timer_start(struct io *io, struct io_timer *t, int64_t delay_ms, io_timer_fn *fn,
                    void *ctx);
void io_timer_stop(struct io_timer *t);
static inline bool
io_timer_running(const struct io_timer *t)
{
    return t->heap_at != 0;
}

/* ---- signals ------------------------------------------------------------------------------- */

typedef void io_signal_fn(void *ctx, int signo);

/* Blocks these signals in the process and delivers them through the loop. signals ends with 0.
 * Call once. */
int io_signals(struct io *io, const int *signals, io_signal_fn *fn, void *ctx, struct err *err);

#endif
