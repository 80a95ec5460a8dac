/*
 * Wakes: one eventfd per process slot, shared by all processes. Sending adds one to the counter,
 * draining takes it all; the counter's value means nothing.
 */
#include "ipc/wake.h"

#include "base/arena.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct wakes {
    uint32_t slot_count;
    int fds[];
};

int
wakes_new(uint32_t slot_count, struct wakes **w_r, struct err *err)
{
    struct wakes *w = xcalloc(1, sizeof(*w) + slot_count * sizeof(w->fds[0]));

    for (uint32_t slot = 0; slot < slot_count; slot++) {
        w->fds[slot] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (w->fds[slot] < 0) {
            err_set_errno(err, "53000", errno, "could not make the eventfd of process slot %u",
                          slot);
            wakes_free(w);
            return -1;
        }
        w->slot_count = slot + 1;
    }
    *w_r = w;
    return 0;
}

void
wakes_free(struct wakes *w)
{
    if (w == NULL)
        return;
    for (uint32_t slot = 0; slot < w->slot_count; slot++)
        close(w->fds[slot]);
    free(w);
}

void
wake_send(struct wakes *w, uint32_t slot)
{
    uint64_t one = 1;
    ssize_t n;

    BUG_UNLESS(slot < w->slot_count);
    /* EAGAIN: the counter is at its end, which also is "awake". */
    do {
        n = write(w->fds[slot], &one, sizeof(one));
    } while (n < 0 && errno == EINTR);
}

void
wake_send_all(struct wakes *w, uint32_t our_slot)
{
    for (uint32_t slot = 0; slot < w->slot_count; slot++) {
        if (slot != our_slot)
            wake_send(w, slot);
    }
}

int
wake_fd(const struct wakes *w, uint32_t slot)
{
    return w->fds[slot];
}

void
wake_drain(struct wakes *w, uint32_t slot)
{
    uint64_t count;
    ssize_t n;

    do {
        n = read(w->fds[slot], &count, sizeof(count));
    } while (n < 0 && errno == EINTR);
}
