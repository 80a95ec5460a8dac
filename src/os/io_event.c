/*
 * Listeners, watched descriptors and signals: what is the same in both engines.
 *
 * Called by the processes through os/io.h, and by the back ends with what happened. A closed
 * listener or watch stays in memory until the back end releases it in its next wait.
 *
 * Listeners accept one connection per turn: the listening sockets are shared between children,
 * and one that took a whole burst for itself would keep it for the life of those sessions.
 * The kernel wakes one of those who wait for a client, and nobody else hears of him: therefore
 * who is woken takes him, also when he has just been told to pause.
 */
#include "base/arena.h"
#include "base/log.h"
#include "io_private.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* ---- listeners ----------------------------------------------------------------------------- */

static void
listener_dirty(struct io_listener *l)
{
    if (!list_linked(&l->dirty))
        list_append(&l->io->dirty_listeners, &l->dirty);
}

struct io_listener *
io_listen(struct io *io, int fd, io_accepted_fn *accepted, void *ctx)
{
    struct io_listener *l = xcalloc(1, sizeof(*l));

    l->io = io;
    l->fd = fd;
    l->accepted = accepted;
    l->ctx = ctx;
    list_init(&l->dirty);
    list_append(&io->listeners, &l->all);
    listener_dirty(l);
    return l;
}

static void
listener_retry(void *ctx)
{
    listener_dirty(ctx);
}

/* A request that was cancelled may have been the one that the kernel woke. */
static int
look_once_more(const struct io_listener *l)
{
    int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    l->io->stats.system_calls++;
    return fd < 0 ? -errno : fd;
}

void
io_listener_result(struct io_listener *l, int result)
{
    listener_dirty(l);
    if (!l->closed && (result == -ECANCELED || result == -EINTR))
        result = look_once_more(l);
    if (result >= 0) {
        if (l->closed)
            close(result);
        else
            l->accepted(l->ctx, result, 0);
        return;
    }
    /* Nobody there (any more), or the connection died in the backlog: not worth a word. */
    if (l->closed || result == -EAGAIN || result == -EINTR || result == -ECANCELED ||
        result == -ECONNABORTED || result == -EPROTO)
        return;
    /* It was shut down, by whoever shares it with us: nobody will come. */
    if (result == -EINVAL) {
        l->paused = true;
        return;
    }
    io_timer_start(l->io, &l->retry, IO_ACCEPT_RETRY_MS, listener_retry, l);
    l->accepted(l->ctx, -1, -result);
}

bool
io_listener_wants_accept(const struct io_listener *l)
{
    return !l->closed && !l->paused && !io_timer_running(&l->retry);
}

void
io_listener_pause(struct io_listener *l)
{
    l->paused = true;
    listener_dirty(l);
}

void
io_listener_resume(struct io_listener *l)
{
    l->paused = false;
    listener_dirty(l);
}

void
io_listener_close(struct io_listener *l)
{
    l->closed = true;
    io_timer_stop(&l->retry);
    listener_dirty(l);
    l->io->backend->listener_closed(l);
}

bool
io_listener_is_quiet(const struct io_listener *l)
{
    return l->paused && !l->armed;
}

void
io_listener_release(struct io_listener *l)
{
    io_timer_stop(&l->retry);
    list_remove(&l->dirty);
    list_remove(&l->all);
    free(l);
}

/* ---- watches ------------------------------------------------------------------------------- */

static void
watch_changed(struct io_watch *w)
{
    io_watch_dirty(w);
    w->io->backend->watch_changed(w);
}

struct io_watch *
io_watch(struct io *io, int fd, unsigned events, io_watch_fn *fn, void *ctx)
{
    struct io_watch *w = xcalloc(1, sizeof(*w));

    w->io = io;
    w->fd = fd;
    w->events = events;
    w->fn = fn;
    w->ctx = ctx;
    list_init(&w->dirty);
    list_append(&io->watches, &w->all);
    watch_changed(w);
    return w;
}

void
io_watch_change(struct io_watch *w, unsigned events)
{
    if (w->events == events)
        return;
    w->events = events;
    watch_changed(w);
}

void
io_unwatch(struct io_watch *w)
{
    w->closed = true;
    watch_changed(w);
}

void
io_watch_release(struct io_watch *w)
{
    list_remove(&w->dirty);
    list_remove(&w->all);
    free(w);
}

/* POLLIN and its like have the same values as EPOLLIN and its like. */
unsigned
io_events_from_poll(unsigned poll_events, unsigned wanted)
{
    unsigned events = 0;

    if ((poll_events & (POLLERR | POLLHUP)) != 0)
        return wanted;
    if ((poll_events & (POLLIN | POLLRDHUP)) != 0)
        events |= IO_READABLE;
    if ((poll_events & POLLOUT) != 0)
        events |= IO_WRITABLE;
    return events & wanted;
}

/* ---- signals ------------------------------------------------------------------------------- */

static void
signal_readable(void *ctx, int fd, unsigned events)
{
    struct io *io = ctx;
    struct signalfd_siginfo info;

    (void)events;
    io->stats.system_calls++;
    if (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        io->signal_fn(io->signal_ctx, (int)info.ssi_signo);
}

int
io_signals(struct io *io, const int *signals, io_signal_fn *fn, void *ctx, struct err *err)
{
    sigset_t set;

    BUG_UNLESS(io->signal_fd < 0);
    sigemptyset(&set);
    for (const int *signo = signals; *signo != 0; signo++)
        sigaddset(&set, *signo);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return err_set_errno(err, NULL, errno, "could not block signals");
    io->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (io->signal_fd < 0)
        return err_set_errno(err, NULL, errno, "could not create signal descriptor");
    io->signal_fn = fn;
    io->signal_ctx = ctx;
    io->signal_watch = io_watch(io, io->signal_fd, IO_READABLE, signal_readable, io);
    return 0;
}
