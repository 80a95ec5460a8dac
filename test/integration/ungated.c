/*
 * A pgpool without the order of snapshots and commits: everybody passes every gate at once. With it
 * test_snapshot_mix.py proves that it would see what the gates prevent. Linked in front of the
 * library, it stands in the place of src/ipc/gate.c.
 */
#include "ipc/gate.h"

#include "base/arena.h"

#include <stdlib.h>

struct gates {
    uint32_t members;
};

struct gate_member {
    uint32_t member;
};

int
gates_new(uint32_t members, struct wakes *wakes UNUSED, uint32_t first_slot UNUSED,
          struct gates **g_r, struct err *err UNUSED)
{
    *g_r = xcalloc(1, sizeof(**g_r));
    (*g_r)->members = members;
    return 0;
}

void
gates_free(struct gates *g)
{
    free(g);
}

void
gates_bury(struct gates *g UNUSED, uint32_t member UNUSED)
{
}

uint64_t
gates_owe(const struct gates *g UNUSED)
{
    return 0;
}

void
gates_settled(struct gates *g UNUSED, uint64_t owed UNUSED)
{
}

struct gate_member *
gate_join(struct gates *g UNUSED, uint32_t member)
{
    struct gate_member *m = xcalloc(1, sizeof(*m));

    m->member = member;
    return m;
}

void
gate_part(struct gate_member *m)
{
    free(m);
}

bool
gate_enter(struct gate_member *m UNUSED, struct gate_pass *pass, const char *database UNUSED,
           enum gate_side side)
{
    pass->side = (uint8_t)side;
    pass->state = GATE_INSIDE;
    return true;
}

void
gate_leave(struct gate_member *m UNUSED, struct gate_pass *pass)
{
    pass->state = GATE_OUTSIDE;
}

void
gate_look(struct gate_member *m UNUSED)
{
}
