/*
 * Gates that order snapshots and commits across processes: at one gate many snapshots at a time or
 * many commits at a time, never both (decision 0026, section 3).
 *
 * The side that waits goes next, with all that wait, so that commits go in groups and nobody
 * starves. Nobody blocks here: who may not pass at once stands in a queue of its own process, and
 * is told by a wake of that. A gate is shared by all databases whose names have the same hash.
 *
 * Each process of children is a member. What a dead member had here the parent takes out, but for
 * commits: half of one may be done, so the gate stays closed for snapshots until somebody has
 * looked that nothing is left of it. So it is at first.
 */
#ifndef IPC_GATE_H
#define IPC_GATE_H

#include "base/err.h"
#include "base/list.h"
#include "base/util.h"
#include "ipc/wake.h"

#include <stdbool.h>

/* The advisory lock of ours in each database of native replication, taken by all that write
 * (session/copies_gate.c): "pgpo" and "ol:g", so nobody has it by accident. */
#define GATE_LOCK_NUMBERS "1885827183, 1869363815"

enum gate_side { GATE_SNAPSHOT, GATE_COMMIT, GATE_SIDES };
enum gate_state { GATE_OUTSIDE, GATE_QUEUED, GATE_INSIDE };

struct gates;
struct gate_member;

/* Somebody who passes a gate; zero at first. */
struct gate_pass {
    struct list link;
    uint32_t gate;
    uint8_t side;               /* enum gate_side */
    uint8_t state;              /* enum gate_state */
    void (*granted)(void *ctx); /* it was queued, and is inside: from gate_look */
    void *ctx;
};

/* Before any fork. members: numbers from 0 on; the slot of member 0 among the wakes. Closed for
 * snapshots. */
int gates_new(uint32_t members, struct wakes *wakes, uint32_t first_slot, struct gates **g_r,
              struct err *err);
void gates_free(struct gates *g); /* NULL is allowed */

/* The parent: the member's process is dead, and no other has its number yet. */
void gates_bury(struct gates *g, uint32_t member);

/* How much is there that nobody has looked at? A number that grows; 0: all was. */
uint64_t gates_owe(const struct gates *g);
/* Of all that was there when gates_owe() said this number, nothing is half done any more. */
void gates_settled(struct gates *g, uint64_t owed);

/* So many sessions of one member may be at one side of a gate, waiting or inside. */
enum { GATE_MOST = UINT16_MAX };

/* A process's own; for its whole life. */
struct gate_member *gate_join(struct gates *g, uint32_t member);
void gate_part(struct gate_member *m); /* NULL is allowed; nothing of its is there any more */

/* May it pass the gate of this database on that side? True: it is inside, until gate_leave. False:
 * it is queued, and pass->granted will be called. One that is queued already stays so. */
bool gate_enter(struct gate_member *m, struct gate_pass *pass, const char *database,
                enum gate_side side);
/* From inside, or out of the queue; outside it does nothing. */
void gate_leave(struct gate_member *m, struct gate_pass *pass);
/* This process was woken: calls `granted` of those that may pass now, which may enter and leave. */
void gate_look(struct gate_member *m);

#endif
