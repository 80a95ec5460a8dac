/*
 * Whose turn it is to accept, from the numbers that all children show: every child finds the same
 * one, and nobody has to be asked.
 *
 * Children fill up in blocks, the lowest number first, since a few clients cost less together (one
 * turn of the loop serves several) than apart. A child that uses most of its CPU is passed over as
 * long as others do not; when all do, clients are shared evenly (decision 0007). Called by
 * children. Writes nothing.
 */
#include "turn.h"

#include "base/util.h"

enum { BLOCK = 8 }; /* clients that a child takes before the next one does */

/* What one child knows of another; false when there is nobody who could take a client. */
static bool
look_at(struct shared *sh, const struct turn_self *self, uint32_t child_no, uint32_t *sessions_r,
        bool *busy_r)
{
    const struct proc_slot *p = shared_proc_of_child(sh, child_no);
    const struct child_slot *slot = shared_child(sh, child_no);

    *busy_r = atomic_load_explicit(&slot->busy, memory_order_relaxed) != 0;
    if (child_no == self->child_no) {
        *sessions_r = self->sessions;
        return self->takes;
    }
    *sessions_r = atomic_load_explicit(&slot->sessions, memory_order_relaxed);
    return atomic_load(&p->pid) != 0 && !atomic_load(&p->retiring) &&
           *sessions_r < self->max_sessions;
}

uint32_t
turn_whose(struct shared *sh, const struct turn_self *self)
{
    uint32_t count = shared_layout(sh)->child_slots;
    uint32_t least = UINT32_MAX;
    uint32_t least_idle = UINT32_MAX;
    uint32_t sessions;
    uint32_t limit;
    bool busy;

    for (uint32_t n = 0; n < count; n++) {
        if (!look_at(sh, self, n, &sessions, &busy))
            continue;
        least = MIN(least, sessions);
        if (!busy)
            least_idle = MIN(least_idle, sessions);
    }
    if (least == UINT32_MAX)
        return UINT32_MAX;
    limit = least_idle != UINT32_MAX ? (least_idle / BLOCK + 1) * BLOCK : least + 1;
    for (uint32_t n = 0; n < count; n++) {
        if (look_at(sh, self, n, &sessions, &busy) && sessions < limit &&
            (!busy || least_idle == UINT32_MAX))
            return n;
    }
    return UINT32_MAX;
}
