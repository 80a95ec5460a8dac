/*
 * Timers of the I/O engine: a binary heap of pointers to the callers' struct io_timer.
 *
 * Called by everybody who wants a deadline, and by io_run once a turn. A timer knows its place in
 * the heap, so that starting again and stopping cost log n. Timers that are due in the same turn
 * fire in the order of their due times. A timer that starts again at once inside its callback
 * fires in the next turn, never in the same one without end.
 */
#include "base/arena.h"
#include "io_private.h"
#include "os/clock.h"

static void
put_at(struct io *io, uint32_t at, struct io_timer *t)
{
    io->timers[at] = t;
    t->heap_at = at + 1;
}

static void
move_up(struct io *io, uint32_t at, struct io_timer *t)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;

        if (io->timers[parent]->due_ns <= t->due_ns)
            break;
        put_at(io, at, io->timers[parent]);
        at = parent;
    }
    put_at(io, at, t);
}

static void
move_down(struct io *io, uint32_t at, struct io_timer *t)
{
    for (;;) {
        uint32_t child = at * 2 + 1;

        if (child >= io->timer_count)
            break;
        if (child + 1 < io->timer_count &&
            io->timers[child + 1]->due_ns < io->timers[child]->due_ns)
            child++;
        if (t->due_ns <= io->timers[child]->due_ns)
            break;
        put_at(io, at, io->timers[child]);
        at = child;
    }
    put_at(io, at, t);
}

void
io_timer_start(struct io *io, struct io_timer *t, int64_t delay_ms, io_timer_fn *fn, void *ctx)
{
    int64_t now_ns = io->running ? io->now_ns : clock_monotonic_ns();

    io_timer_stop(t);
    if (io->timer_count == io->timer_cap) {
        io->timer_cap = io->timer_cap == 0 ? 16 : io->timer_cap * 2;
        io->timers = xrealloc(io->timers, io->timer_cap * sizeof(*io->timers));
    }
    t->io = io;
    t->fn = fn;
    t->ctx = ctx;
    t->due_ns = now_ns + MAX(delay_ms, 0) * NS_PER_MS;
    move_up(io, io->timer_count++, t);
}

void
io_timer_stop(struct io_timer *t)
{
    struct io *io = t->io;
    struct io_timer *last;
    uint32_t at;

    if (t->heap_at == 0)
        return;
    at = t->heap_at - 1;
    t->heap_at = 0;
    last = io->timers[--io->timer_count];
    if (last == t)
        return;
    if (at > 0 && last->due_ns < io->timers[(at - 1) / 2]->due_ns)
        move_up(io, at, last);
    else
        move_down(io, at, last);
}

int64_t
io_timers_wait_ns(const struct io *io)
{
    if (io->timer_count == 0)
        return -1;
    return MAX(io->timers[0]->due_ns - io->now_ns, 0);
}

void
io_timers_fire(struct io *io)
{
    for (uint32_t left = io->timer_count; left > 0 && io->timer_count > 0; left--) {
        struct io_timer *t = io->timers[0];

        if (t->due_ns > io->now_ns)
            return;
        io_timer_stop(t);
        t->fn(t->ctx);
    }
}
