/*
 * The I/O engine itself: choosing the back end, the loop, the end.
 *
 * One per process, made after fork by whoever runs the process's loop. See io_private.h for a
 * turn of the loop and its invariants; streams, queues, listeners and timers have files of their
 * own.
 */
#include "base/arena.h"
#include "base/log.h"
#include "io_private.h"
#include "os/clock.h"

#include <stdlib.h>
#include <unistd.h>

enum { STREAMS_PER_PAGE = 32, PIECES_PER_PAGE = 128, BUFFER_BYTES = 16384, BUFFER_COUNT = 64 };

static int
start_backend(struct io *io, const struct io_options *options, struct err *err)
{
    if (options->engine != IO_ENGINE_EPOLL) {
        io->backend = &io_backend_uring;
        if (io->backend->start(io, options, err) == 0)
            return 0;
        if (options->engine == IO_ENGINE_IO_URING)
            return -1;
    }
    io->backend = &io_backend_epoll;
    return io->backend->start(io, options, err);
}

int
io_new(const struct io_options *options, struct io **io_r, struct err *err)
{
    struct io_options o = {.engine = IO_ENGINE_AUTO};
    struct io *io;

    if (options != NULL)
        o = *options;
    if (o.buffer_bytes == 0)
        o.buffer_bytes = BUFFER_BYTES;
    if (o.buffer_count == 0)
        o.buffer_count = BUFFER_COUNT;
    BUG_UNLESS((o.buffer_count & (o.buffer_count - 1)) == 0 && o.buffer_count <= 32768);

    io = xcalloc(1, sizeof(*io));
    io->signal_fd = -1;
    list_init(&io->streams);
    list_init(&io->listeners);
    list_init(&io->watches);
    list_init(&io->dirty_streams);
    list_init(&io->dirty_listeners);
    list_init(&io->dirty_watches);
    list_init(&io->ready);
    list_init(&io->held_streams);
    slab_init(&io->stream_slab, sizeof(struct io_stream), STREAMS_PER_PAGE);
    slab_init(&io->piece_slab, sizeof(struct io_piece), PIECES_PER_PAGE);
    io->now_ns = clock_monotonic_ns();
    if (start_backend(io, &o, err) != 0) {
        free(io);
        return -1;
    }
    *io_r = io;
    return 0;
}

/* The kernel never sees the objects' memory, only their receive buffers, and fills those in calls
 * of ours alone: so the objects go first. No byte that is queued leaves any more. */
void
io_free(struct io *io)
{
    if (io == NULL)
        return;
    list_for_each_safe (it, tmp, &io->streams) {
        struct io_stream *s = list_entry(it, struct io_stream, all);

        close(s->fd);
        io_stream_release(s);
    }
    list_for_each_safe (it, tmp, &io->listeners)
        io_listener_release(list_entry(it, struct io_listener, all));
    list_for_each_safe (it, tmp, &io->watches)
        io_watch_release(list_entry(it, struct io_watch, all));
    io->backend->stop(io);
    for (uint32_t n = 0; n < io->timer_count; n++)
        io->timers[n]->heap_at = 0;
    free(io->timers);
    io_out_fini(io);
    io_tls_fini(io);
    slab_fini(&io->stream_slab);
    slab_fini(&io->piece_slab);
    if (io->signal_fd >= 0)
        close(io->signal_fd);
    free(io);
}

enum io_engine
io_engine(const struct io *io)
{
    return io->backend->engine;
}

const char *
io_engine_name(enum io_engine engine)
{
    switch (engine) {
    case IO_ENGINE_IO_URING:
        return "io_uring";
    case IO_ENGINE_EPOLL:
        return "epoll";
    case IO_ENGINE_AUTO:
        break;
    }
    return "auto";
}

int
io_run(struct io *io, struct err *err)
{
    int result = 0;

    BUG_UNLESS(!io->running);
    io->running = true;
    io->now_ns = clock_monotonic_ns();
    if (io->turn != NULL)
        io->turn(io->turn_ctx);
    io->backend->dispatch(io);
    while (!io->stopped && result == 0) {
        int64_t timeout_ns = list_empty(&io->ready) ? io_timers_wait_ns(io) : 0;

        result = io->backend->wait(io, timeout_ns, err);
        if (result != 0)
            break;
        io->now_ns = clock_monotonic_ns();
        io->stats.turns++;
        if (io->turn != NULL)
            io->turn(io->turn_ctx);
        io->backend->dispatch(io);
        io_timers_fire(io);
        io_run_deferred(io);
    }
    /* What was queued in the last turn leaves now; what happened meanwhile is kept for the next
     * io_run, which starts with it. */
    if (result == 0)
        result = io->backend->wait(io, 0, err);
    io->stopped = false;
    io->running = false;
    return result;
}

void
io_stop(struct io *io)
{
    io->stopped = true;
}

void
io_on_turn(struct io *io, void (*fn)(void *ctx), void *ctx)
{
    io->turn = fn;
    io->turn_ctx = ctx;
}

int64_t
io_now_ns(const struct io *io)
{
    return io->now_ns;
}

void
io_get_stats(const struct io *io, struct io_stats *stats_r)
{
    *stats_r = io->stats;
}
