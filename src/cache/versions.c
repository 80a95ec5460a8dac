/*
 * The map of versions and doubts (cache/versions.h has the protocol and why it is right).
 *
 * A slot is a version and as many words of bits as there are owners; all of one table's lies in
 * one cache line as long as there are no more than 62 owners. The order that the proof needs:
 * doubt_end raises before it takes the bit back (release), versions_valid looks at the bits before
 * the version (acquire).
 *
 * How many transactions of one process doubt the same slot is counted in the process's own memory:
 * the bit is set from the first to the last of them. So all that is shared is bits that are set or
 * not, and a process may die at any instruction.
 *
 * Orphans: bit 0 or 1, by the turn's parity. Who adds one sets the bit of the turn that it saw and,
 * when the turn has changed meanwhile, that of the new one as well, and gives its own bit back
 * last: at no moment is the slot without a bit that is settled later than what it waits for.
 */
#include "cache/versions.h"

#include "base/arena.h"
#include "base/log.h"
#include "os/clock.h"
#include "os/shm.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    SLOTS = 65536, /* a power of two: 1 MB for up to 62 owners */
    SLOT_OF_ALL = 0,
    BITS_OF_ORPHANS = 2,
    WORD_BITS = 64,
};

struct map_head {
    _Atomic uint32_t turn;
    _Atomic uint32_t orphans[BITS_OF_ORPHANS]; /* not zero: there may be some of that parity */
};

/* The process's view: written before the fork only. */
struct versions {
    void *map;
    size_t map_bytes;
    struct map_head *head;
    _Atomic uint64_t *slots;
    uint32_t owners;
    uint32_t words; /* of bits, per slot */
};

struct doubts {
    struct versions *v;
    uint32_t owner;
    uint32_t counts[SLOTS]; /* transactions of this process */
};

enum { HEAD_BYTES = 64 };
_Static_assert(sizeof(struct map_head) <= HEAD_BYTES, "the slots begin at a cache line");

int
versions_new(uint32_t owners, struct versions **v_r, struct err *err)
{
    struct versions *v = xcalloc(1, sizeof(*v));

    v->owners = owners;
    v->words = (owners + BITS_OF_ORPHANS + WORD_BITS - 1) / WORD_BITS;
    v->map_bytes = HEAD_BYTES + (size_t)SLOTS * (1 + v->words) * sizeof(uint64_t);
    if (shm_new(v->map_bytes, &v->map, err) != 0) {
        free(v);
        return -1;
    }
    v->head = v->map;
    v->slots = (_Atomic uint64_t *)(void *)((uint8_t *)v->map + HEAD_BYTES);
    *v_r = v;
    return 0;
}

void
versions_free(struct versions *v)
{
    if (v == NULL)
        return;
    shm_free(v->map, v->map_bytes);
    free(v);
}

/* ---- slots ---- */

static inline _Atomic uint64_t *
version_of(const struct versions *v, uint32_t slot)
{
    return v->slots + (size_t)(slot & (SLOTS - 1)) * (1 + v->words);
}

static inline _Atomic uint64_t *
doubts_of(const struct versions *v, uint32_t slot, uint32_t word)
{
    return version_of(v, slot) + 1 + word;
}

/* Table 0 is "everything of the database". */
static uint32_t
slot_of(uint32_t database, uint32_t table)
{
    uint64_t x = ((uint64_t)database << 32 | table) * 0x9e3779b97f4a7c15ULL;
    uint32_t slot = (uint32_t)((x ^ x >> 29) * 0xbf58476d1ce4e5b9ULL >> 40) & (SLOTS - 1);

    return slot == SLOT_OF_ALL ? 1 : slot;
}

/* To now, and never to what it was. */
static void
raise(struct versions *v, uint32_t slot)
{
    _Atomic uint64_t *version = version_of(v, slot);
    uint64_t now = (uint64_t)clock_monotonic_ns();
    uint64_t old = atomic_load_explicit(version, memory_order_relaxed);

    while (!atomic_compare_exchange_weak(version, &old, MAX(now, old + 1))) {
    }
}

static void
set_bit(struct versions *v, uint32_t slot, uint32_t bit)
{
    atomic_fetch_or(doubts_of(v, slot, bit / WORD_BITS), 1ULL << bit % WORD_BITS);
}

static void
clear_bit(struct versions *v, uint32_t slot, uint32_t bit)
{
    atomic_fetch_and(doubts_of(v, slot, bit / WORD_BITS), ~(1ULL << bit % WORD_BITS));
}

static bool
has_bit(const struct versions *v, uint32_t slot, uint32_t bit)
{
    return (atomic_load(doubts_of(v, slot, bit / WORD_BITS)) >> bit % WORD_BITS & 1) != 0;
}

/* ---- reads ---- */

void
read_set_init(struct read_set *rs, const struct versions *v, uint32_t database)
{
    rs->n = 0;
    read_set_add(rs, v, database, 0);
}

bool
read_set_add(struct read_set *rs, const struct versions *v UNUSED, uint32_t database,
             uint32_t table)
{
    uint32_t slot = slot_of(database, table);

    for (uint32_t n = 0; n < rs->n; n++) {
        if (rs->slots[n] == slot)
            return true;
    }
    if (rs->n == READ_SET_MAX)
        return false;
    rs->slots[rs->n++] = slot;
    return true;
}

static bool
is_unchanged(const struct versions *v, uint32_t slot, int64_t as_of_ns)
{
    for (uint32_t word = 0; word < v->words; word++) {
        if (atomic_load_explicit(doubts_of(v, slot, word), memory_order_acquire) != 0)
            return false;
    }
    return (int64_t)atomic_load_explicit(version_of(v, slot), memory_order_acquire) < as_of_ns;
}

bool
versions_valid(const struct versions *v, const struct read_set *rs, int64_t as_of_ns)
{
    uint32_t count = MIN(rs->n, (uint32_t)READ_SET_MAX);

    if (!is_unchanged(v, SLOT_OF_ALL, as_of_ns))
        return false;
    for (uint32_t n = 0; n < count; n++) {
        if (!is_unchanged(v, rs->slots[n], as_of_ns))
            return false;
    }
    return true;
}

/* ---- writes ---- */

struct doubts *
doubts_new(struct versions *v, uint32_t owner)
{
    struct doubts *ds = xcalloc(1, sizeof(*ds));

    BUG_UNLESS(owner < v->owners);
    ds->v = v;
    ds->owner = owner;
    return ds;
}

void
doubts_free(struct doubts *ds)
{
    free(ds);
}

static uint32_t
bit_of(const struct doubts *ds)
{
    return BITS_OF_ORPHANS + ds->owner;
}

void
doubt_init(struct doubt *d, uint32_t database)
{
    *d = (struct doubt){.database = database};
}

static bool
doubts_slot(const struct doubt *d, uint32_t slot)
{
    for (uint32_t n = 0; n < d->n; n++) {
        if (d->slots[n] == slot)
            return true;
    }
    return false;
}

static void
begin(struct doubts *ds, struct doubt *d, uint32_t slot)
{
    if (doubts_slot(d, slot))
        return;
    if (d->n == d->cap) {
        d->cap = d->cap == 0 ? 4 : 2 * d->cap;
        d->slots = xrealloc(d->slots, d->cap * sizeof(*d->slots));
    }
    d->slots[d->n++] = slot;
    if (ds->counts[slot]++ == 0)
        set_bit(ds->v, slot, bit_of(ds));
}

void
doubt_begin(struct doubts *ds, struct doubt *d, uint32_t table)
{
    begin(ds, d, slot_of(d->database, d->n < DOUBT_MAX ? table : 0));
}

void
doubt_begin_database(struct doubts *ds, struct doubt *d)
{
    begin(ds, d, slot_of(d->database, 0));
}

void
doubt_begin_all(struct doubts *ds, struct doubt *d)
{
    begin(ds, d, SLOT_OF_ALL);
}

static void
take_back(struct doubts *ds, struct doubt *d)
{
    for (uint32_t n = 0; n < d->n; n++) {
        BUG_UNLESS(ds->counts[d->slots[n]] > 0);
        if (--ds->counts[d->slots[n]] == 0)
            clear_bit(ds->v, d->slots[n], bit_of(ds));
    }
    free(d->slots);
    doubt_init(d, d->database);
}

void
doubt_end(struct doubts *ds, struct doubt *d, bool committed)
{
    for (uint32_t n = 0; committed && n < d->n; n++)
        raise(ds->v, d->slots[n]);
    take_back(ds, d);
}

void
versions_raise(struct versions *v, uint32_t database, uint32_t table)
{
    raise(v, slot_of(database, table));
}

void
versions_raise_database(struct versions *v, uint32_t database)
{
    raise(v, slot_of(database, 0));
}

void
versions_raise_all(struct versions *v)
{
    raise(v, SLOT_OF_ALL);
}

/* ---- orphans ---- */

static void
orphan_in_turn(struct versions *v, uint32_t slot, uint32_t turn)
{
    /* Whoever settles empties the word first and takes the bits back after that. */
    set_bit(v, slot, turn % BITS_OF_ORPHANS);
    atomic_store(&v->head->orphans[turn % BITS_OF_ORPHANS], 1);
}

static void
orphan_slot(struct versions *v, uint32_t slot)
{
    uint32_t turn = atomic_load(&v->head->turn);
    uint32_t then;

    orphan_in_turn(v, slot, turn);
    while ((then = atomic_load(&v->head->turn)) != turn) {
        turn = then;
        orphan_in_turn(v, slot, turn);
    }
}

void
doubt_abandon(struct doubts *ds, struct doubt *d)
{
    for (uint32_t n = 0; n < d->n; n++)
        orphan_slot(ds->v, d->slots[n]);
    take_back(ds, d);
}

void
versions_orphan(struct versions *v, uint32_t owner)
{
    uint32_t bit = BITS_OF_ORPHANS + owner;

    BUG_UNLESS(owner < v->owners);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        if (!has_bit(v, slot, bit))
            continue;
        orphan_slot(v, slot);
        clear_bit(v, slot, bit);
    }
}

bool
versions_has_orphans(const struct versions *v)
{
    return atomic_load(&v->head->orphans[0]) != 0 || atomic_load(&v->head->orphans[1]) != 0;
}

void
versions_orphans_turn(struct versions *v)
{
    atomic_fetch_add(&v->head->turn, 1);
}

void
versions_orphans_settle(struct versions *v)
{
    uint32_t bit = (atomic_load(&v->head->turn) + 1) % BITS_OF_ORPHANS; /* those of the last turn */

    atomic_store(&v->head->orphans[bit], 0);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        if (!has_bit(v, slot, bit))
            continue;
        raise(v, slot);
        clear_bit(v, slot, bit);
    }
}
