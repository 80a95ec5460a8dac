/*
 * Gates: shared memory that says how many of each member are inside and how many wait.
 *
 * Truth is what each member has in its own words, one for each gate and side: so many inside, so
 * many waiting. Who decides adds them up; there are few members. A gate has a lock that is held for
 * a few loads and stores and the wakes of those that are let in; a dead holder's is taken over.
 * Whoever was let in is counted as inside from that moment on, by whoever let it in; the member
 * learns of it by counting: of those in its queue as many wait as its word says, the last ones.
 *
 * Invariants: nobody is inside on one side while anybody is on the other. A word changes from
 * waiting to inside by one store, so that a death at any moment leaves words that are true.
 */
#include "ipc/gate.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/log.h"
#include "os/shm.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { GATES = 64, UNSETTLED = 1 };

/* So many inside above, so many waiting below. */
typedef _Atomic uint32_t word;

struct gate {
    pthread_mutex_t mutex;
    _Atomic uint32_t side; /* that was let in last */
    _Atomic uint64_t owed; /* that is not settled: since when; 0: nothing */
};

struct gates_area {
    _Atomic uint64_t owed; /* how often something was left half done */
    struct gate gates[GATES];
    word words[]; /* by gate, member and side */
};

struct gates {
    struct gates_area *area;
    size_t bytes;
    uint32_t members;
    struct wakes *wakes;
    uint32_t first_slot;
};

struct gate_member {
    struct gates *g;
    uint32_t member;
    struct list queues[GATES][GATE_SIDES];
    uint32_t queued[GATES][GATE_SIDES];
    uint32_t waiting; /* in all of them */
};

/* ---- the area ---- */

void
gates_free(struct gates *g)
{
    if (g == NULL)
        return;
    shm_free(g->area, g->bytes);
    free(g);
}

static word *
word_of(const struct gates *g, uint32_t gate, uint32_t member, uint32_t side)
{
    return &g->area->words[((size_t)gate * g->members + member) * GATE_SIDES + side];
}

static uint32_t
inside(uint32_t value)
{
    return value >> 16;
}

static uint32_t
waiting(uint32_t value)
{
    return value & UINT16_MAX;
}

/* Of all members. */
static uint32_t
sum(const struct gates *g, uint32_t gate, uint32_t side, uint32_t (*part)(uint32_t value))
{
    uint32_t count = 0;

    for (uint32_t n = 0; n < g->members; n++)
        count += part(atomic_load(word_of(g, gate, n, side)));
    return count;
}

static bool
is_taken(const struct gates *g, uint32_t gate, uint32_t side)
{
    return sum(g, gate, side, inside) > 0 ||
           (side == GATE_COMMIT && atomic_load(&g->area->gates[gate].owed) != 0);
}

/* ---- the lock ---- */

/* Whoever died with it has left words that are true. */
static void
lock(struct gates *g, uint32_t gate)
{
    pthread_mutex_t *mutex = &g->area->gates[gate].mutex;
    int rc = pthread_mutex_lock(mutex);

    if (rc == EOWNERDEAD)
        rc = pthread_mutex_consistent(mutex);
    BUG_UNLESS(rc == 0);
}

static void
unlock(struct gates *g, uint32_t gate)
{
    pthread_mutex_unlock(&g->area->gates[gate].mutex);
}

static int
make_locks(struct gates_area *area)
{
    pthread_mutexattr_t attr;
    int rc = pthread_mutexattr_init(&attr);

    if (rc != 0)
        return rc;
    rc = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    if (rc == 0)
        rc = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    for (uint32_t n = 0; rc == 0 && n < GATES; n++)
        rc = pthread_mutex_init(&area->gates[n].mutex, &attr);
    pthread_mutexattr_destroy(&attr);
    return rc;
}

int
gates_new(uint32_t members, struct wakes *wakes, uint32_t first_slot, struct gates **g_r,
          struct err *err)
{
    struct gates *g = xcalloc(1, sizeof(*g));
    void *map;
    int rc;

    g->members = members;
    g->wakes = wakes;
    g->first_slot = first_slot;
    g->bytes = sizeof(struct gates_area) + (size_t)GATES * members * GATE_SIDES * sizeof(word);
    if (shm_new(g->bytes, &map, err) != 0) {
        free(g);
        return -1;
    }
    g->area = map;
    rc = make_locks(g->area);
    if (rc != 0) {
        gates_free(g);
        return err_set_errno(err, "XX000", rc, "could not make locks that processes share");
    }
    atomic_store(&g->area->owed, UNSETTLED);
    for (uint32_t n = 0; n < GATES; n++)
        atomic_store(&g->area->gates[n].owed, UNSETTLED);
    *g_r = g;
    return 0;
}

/* ---- who is let in ---- */

static void
let_in(struct gates *g, uint32_t gate, uint32_t side)
{
    atomic_store(&g->area->gates[gate].side, side);
    for (uint32_t n = 0; n < g->members; n++) {
        word *w = word_of(g, gate, n, side);
        uint32_t value = atomic_load(w);
        if (waiting(value) == 0)
            continue;
        atomic_store(w, (inside(value) + waiting(value)) << 16);
        wake_send(g->wakes, g->first_slot + n);
    }
}

/* Somebody has left. With the lock. */
static void
judge(struct gates *g, uint32_t gate)
{
    bool taken[GATE_SIDES] = {is_taken(g, gate, GATE_SNAPSHOT), is_taken(g, gate, GATE_COMMIT)};
    bool waits[GATE_SIDES] = {sum(g, gate, GATE_SNAPSHOT, waiting) > 0,
                              sum(g, gate, GATE_COMMIT, waiting) > 0};
    uint32_t next =
        atomic_load(&g->area->gates[gate].side) == GATE_SNAPSHOT ? GATE_COMMIT : GATE_SNAPSHOT;

    if (taken[GATE_SNAPSHOT] || taken[GATE_COMMIT])
        next = taken[GATE_COMMIT] ? GATE_COMMIT : GATE_SNAPSHOT;
    else if (!waits[next])
        next = !next;
    if (waits[next] && !taken[!next] && (!taken[next] || !waits[!next]))
        let_in(g, gate, next);
}

/* ---- the parent and the failover process ---- */

/* Commits that were let in may be half done. */
static void
bury_at(struct gates *g, uint32_t gate, uint32_t member)
{
    struct gate *at = &g->area->gates[gate];

    lock(g, gate);
    if (inside(atomic_load(word_of(g, gate, member, GATE_COMMIT))) > 0)
        atomic_store(&at->owed, atomic_fetch_add(&g->area->owed, 1) + 1);
    for (uint32_t side = 0; side < GATE_SIDES; side++)
        atomic_store(word_of(g, gate, member, side), 0);
    judge(g, gate);
    unlock(g, gate);
}

void
gates_bury(struct gates *g, uint32_t member)
{
    BUG_UNLESS(member < g->members);
    for (uint32_t gate = 0; gate < GATES; gate++)
        bury_at(g, gate, member);
}

uint64_t
gates_owe(const struct gates *g)
{
    for (uint32_t gate = 0; gate < GATES; gate++) {
        if (atomic_load(&g->area->gates[gate].owed) != 0)
            return atomic_load(&g->area->owed);
    }
    return 0;
}

void
gates_settled(struct gates *g, uint64_t owed)
{
    for (uint32_t gate = 0; gate < GATES; gate++) {
        struct gate *at = &g->area->gates[gate];
        uint64_t since = atomic_load(&at->owed);
        if (since == 0 || since > owed)
            continue;
        lock(g, gate);
        since = atomic_load(&at->owed);
        if (since != 0 && since <= owed)
            atomic_store(&at->owed, 0);
        judge(g, gate);
        unlock(g, gate);
    }
}

/* ---- a member ---- */

struct gate_member *
gate_join(struct gates *g, uint32_t member)
{
    struct gate_member *m = xcalloc(1, sizeof(*m));

    BUG_UNLESS(member < g->members);
    m->g = g;
    m->member = member;
    for (uint32_t gate = 0; gate < GATES; gate++) {
        for (uint32_t side = 0; side < GATE_SIDES; side++)
            list_init(&m->queues[gate][side]);
    }
    return m;
}

void
gate_part(struct gate_member *m)
{
    free(m);
}

static void
join_queue(struct gate_member *m, struct gate_pass *pass)
{
    pass->state = GATE_QUEUED;
    list_append(&m->queues[pass->gate][pass->side], &pass->link);
    m->queued[pass->gate][pass->side]++;
    m->waiting++;
}

static void
leave_queue(struct gate_member *m, struct gate_pass *pass)
{
    list_remove(&pass->link);
    m->queued[pass->gate][pass->side]--;
    m->waiting--;
}

static word *
own_word(const struct gate_member *m, const struct gate_pass *pass)
{
    return word_of(m->g, pass->gate, m->member, pass->side);
}

bool
gate_enter(struct gate_member *m, struct gate_pass *pass, const char *database, enum gate_side side)
{
    bool may;

    if (pass->state != GATE_OUTSIDE)
        return pass->state == GATE_INSIDE;
    pass->gate = (uint32_t)(hash_bytes(database, strlen(database)) % GATES);
    pass->side = (uint8_t)side;
    lock(m->g, pass->gate);
    may = !is_taken(m->g, pass->gate, !side) && sum(m->g, pass->gate, !side, waiting) == 0;
    BUG_UNLESS(waiting(atomic_load(own_word(m, pass))) < GATE_MOST &&
               inside(atomic_load(own_word(m, pass))) < GATE_MOST);
    atomic_fetch_add(own_word(m, pass), may ? 1u << 16 : 1u);
    if (may)
        atomic_store(&m->g->area->gates[pass->gate].side, side);
    unlock(m->g, pass->gate);
    if (may)
        pass->state = GATE_INSIDE;
    else
        join_queue(m, pass);
    return may;
}

/* Is it among those that were let in, and has not been told? */
static bool
was_let_in(const struct gate_member *m, const struct gate_pass *pass)
{
    uint32_t behind = m->queued[pass->gate][pass->side] - waiting(atomic_load(own_word(m, pass)));

    list_for_each (it, &m->queues[pass->gate][pass->side]) {
        if (behind-- == 0)
            return false;
        if (it == &pass->link)
            return true;
    }
    return false;
}

void
gate_leave(struct gate_member *m, struct gate_pass *pass)
{
    bool in = pass->state == GATE_INSIDE;

    if (pass->state == GATE_OUTSIDE)
        return;
    lock(m->g, pass->gate);
    in = in || was_let_in(m, pass);
    atomic_fetch_sub(own_word(m, pass), in ? 1u << 16 : 1u);
    judge(m->g, pass->gate);
    unlock(m->g, pass->gate);
    if (pass->state == GATE_QUEUED)
        leave_queue(m, pass);
    pass->state = GATE_OUTSIDE;
}

/* The first of this queue, when it was let in. */
static struct gate_pass *
next_let_in(struct gate_member *m, uint32_t gate, uint32_t side)
{
    const word *w = word_of(m->g, gate, m->member, side);

    if (m->queued[gate][side] <= waiting(atomic_load(w)))
        return NULL;
    return list_first(&m->queues[gate][side], struct gate_pass, link);
}

void
gate_look(struct gate_member *m)
{
    struct gate_pass *pass;

    for (uint32_t gate = 0; gate < GATES && m->waiting > 0; gate++) {
        for (uint32_t side = 0; side < GATE_SIDES; side++) {
            while ((pass = next_let_in(m, gate, side)) != NULL) {
                leave_queue(m, pass);
                pass->state = GATE_INSIDE;
                pass->granted(pass->ctx);
            }
        }
    }
}
