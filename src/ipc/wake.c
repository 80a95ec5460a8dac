/*
 * Wakes: one event (os/channel.h) per process slot, shared by all processes.
 */
#include "ipc/wake.h"

#include "base/arena.h"
#include "base/log.h"
#include "os/channel.h"

#include <stdlib.h>

struct wakes {
    uint32_t slot_count;
    int fds[];
};

int
wakes_new(uint32_t slot_count, struct wakes **w_r, struct err *err)
{
    struct wakes *w = xcalloc(1, sizeof(*w) + slot_count * sizeof(w->fds[0]));

    for (uint32_t slot = 0; slot < slot_count; slot++) {
        if (event_new(&w->fds[slot], err) != 0) {
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
        fd_close(&w->fds[slot]);
    free(w);
}

void
wake_send(struct wakes *w, uint32_t slot)
{
    BUG_UNLESS(slot < w->slot_count);
    event_raise(w->fds[slot]);
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
    event_clear(w->fds[slot]);
}
