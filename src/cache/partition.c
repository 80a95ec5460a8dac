/*
 * A partition of the store: what happens to it under its lock (cache/store_internal.h).
 *
 * The blocks are one sequence of runs, entries and free ones, from the first block to the last. A
 * clock's hand goes round: where room is needed, the entries in its way are evicted, but those that
 * were used since it last came by lose their mark and stay. New entries take the room behind the
 * hand, in steps of a block; what is free elsewhere waits until the hand is there. No free lists.
 *
 * Readers go on meanwhile. Invariants for them: while `change` is even, all that the index points
 * at is a whole entry; and blocks that the index no longer points at are written only after
 * `change` has grown. So evicting and deleting makes it odd; filling the room that was made and
 * putting it into the index, which is one store, does not.
 *
 * A process may be killed anywhere here. Who finds the lock of a dead one empties the partition and
 * trusts nothing in it. Numbers that lead out of the partition are not followed either way.
 * Sections under the lock are bounded: PASSES_MAX entries spared, as many evicted as the new one
 * has blocks, one answer copied.
 */
#include "cache/store_internal.h"

#include <errno.h>
#include <string.h>

enum {
    PASSES_MAX = 64,
    ROUNDS_MAX = PASSES_MAX + 2, /* the last one finds nothing to spare */
    LOCK_TRIES = 200,
};

static const uint32_t NOWHERE = UINT32_MAX;

/* ---- for readers ---- */

static void
change_begin(struct partition *p)
{
    uint64_t change = atomic_load_explicit(&p->change, memory_order_relaxed);

    if ((change & 1) != 0)
        return;
    atomic_store_explicit(&p->change, change + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

static void
change_end(struct partition *p)
{
    uint64_t change = atomic_load_explicit(&p->change, memory_order_relaxed);

    if ((change & 1) == 0)
        return;
    atomic_store_explicit(&p->change, change + 1, memory_order_release);
}

/* ---- the lock ---- */

static void
mark_free(const struct store *st, struct partition *p, uint32_t block, uint32_t blocks)
{
    struct run *run = run_at(st, p, block);

    run->kind = RUN_FREE;
    run->blocks = blocks;
}

static void
empty(const struct store *st, struct partition *p)
{
    _Atomic uint64_t *index = index_of(st, p);

    change_begin(p);
    for (uint32_t n = 0; n < st->index_slots; n++)
        atomic_store_explicit(&index[n], 0, memory_order_relaxed);
    mark_free(st, p, 0, st->blocks);
    p->hand = 0;
    atomic_store(&p->entries, 0);
    atomic_store(&p->blocks_used, 0);
    atomic_store(&p->bytes_used, 0);
    change_end(p);
}

static void
reset(const struct store *st, struct partition *p)
{
    empty(st, p);
    atomic_fetch_add(&p->resets, 1);
}

int
partition_init(const struct store *st, struct partition *p, struct err *err)
{
    pthread_mutexattr_t attr;
    int rc;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    rc = pthread_mutex_init(&p->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    if (rc != 0)
        return err_set_errno(err, "53000", rc, "could not make a lock for the query cache");
    mark_free(st, p, 0, st->blocks);
    return 0;
}

static int
try_lock(struct partition *p)
{
    int rc = EBUSY;

    for (int n = 0; rc == EBUSY && n < LOCK_TRIES; n++) {
        rc = pthread_mutex_trylock(&p->lock);
        if (rc == EBUSY)
            cpu_pause();
    }
    return rc;
}

bool
partition_lock(const struct store *st, struct partition *p)
{
    int rc = try_lock(p);

    if (rc != 0 && rc != EOWNERDEAD)
        return false;
    /* Blocks that others have taken out of the index are written from here on: after their change
     * to `change`, for every reader. */
    atomic_thread_fence(memory_order_release);
    if (rc == EOWNERDEAD) {
        reset(st, p);
        pthread_mutex_consistent(&p->lock);
    }
    return true;
}

void
partition_unlock(struct partition *p)
{
    change_end(p);
    pthread_mutex_unlock(&p->lock);
}

/* ---- the index ---- */

static uint32_t
distance(const struct store *st, uint32_t from, uint32_t to)
{
    return to >= from ? to - from : to + st->index_slots - from;
}

/* The place of the entry with this key, or that begins at this block; NOWHERE. */
static uint32_t
find(const struct store *st, struct partition *p, const struct cache_key *key, uint32_t block)
{
    _Atomic uint64_t *index = index_of(st, p);
    uint32_t tag = tag_of(key);
    uint32_t place = home_of(st, tag);

    for (uint32_t n = 0; n < st->index_slots; n++, place = next_of(st, place)) {
        uint64_t word = atomic_load_explicit(&index[place], memory_order_relaxed);
        uint32_t at = (uint32_t)word - 1;

        if (word == 0)
            return NOWHERE;
        if (word >> 32 != tag || at >= st->blocks)
            continue;
        if (block == NOWHERE ? memcmp(&run_at(st, p, at)->key, key, sizeof(*key)) == 0
                             : block == at)
            return place;
    }
    return NOWHERE;
}

/* Moves what would not be found any more into the hole. */
static void
remove_place(const struct store *st, struct partition *p, uint32_t hole)
{
    _Atomic uint64_t *index = index_of(st, p);
    uint32_t at = next_of(st, hole);

    for (uint32_t n = 1; n < st->index_slots; n++, at = next_of(st, at)) {
        uint64_t word = atomic_load_explicit(&index[at], memory_order_relaxed);
        uint32_t home = home_of(st, (uint32_t)(word >> 32));

        if (word == 0)
            break;
        if (distance(st, home, at) < distance(st, hole, at))
            continue;
        atomic_store_explicit(&index[hole], word, memory_order_relaxed);
        hole = at;
    }
    atomic_store_explicit(&index[hole], 0, memory_order_relaxed);
}

/* False: the index is full, which is nonsense. */
static bool
insert(const struct store *st, struct partition *p, const struct cache_key *key, uint32_t block)
{
    _Atomic uint64_t *index = index_of(st, p);
    uint32_t place = home_of(st, tag_of(key));

    for (uint32_t n = 0; n < st->index_slots; n++, place = next_of(st, place)) {
        if (atomic_load_explicit(&index[place], memory_order_relaxed) != 0)
            continue;
        atomic_store_explicit(&index[place], (uint64_t)tag_of(key) << 32 | (block + 1),
                              memory_order_release);
        return true;
    }
    return false;
}

/* ---- room ---- */

/* What was free or has been evicted, up to where the hand is now. */
struct gap {
    uint32_t start;
    uint32_t blocks;
    uint32_t passed; /* entries that were spared */
    uint32_t rounds;
};

/* Takes the entry at this place of the index away; its blocks are free. False: nonsense. */
static bool
drop(const struct store *st, struct partition *p, uint32_t place)
{
    uint64_t word = atomic_load_explicit(&index_of(st, p)[place], memory_order_relaxed);
    struct run *run = run_at(st, p, (uint32_t)word - 1);

    change_begin(p);
    remove_place(st, p, place);
    if (run->kind != RUN_ENTRY)
        return false;
    run->kind = RUN_FREE;
    atomic_fetch_sub(&p->entries, 1);
    atomic_fetch_sub(&p->blocks_used, run->blocks);
    atomic_fetch_sub(&p->bytes_used, entry_size(run->reads, run->len));
    return true;
}

static void
close_gap(const struct store *st, struct partition *p, const struct gap *gap)
{
    if (gap->blocks > 0)
        mark_free(st, p, gap->start, gap->blocks);
}

/* The hand goes over one run. False: nonsense. */
static bool
step(const struct store *st, struct partition *p, struct gap *gap)
{
    uint32_t at = gap->start + gap->blocks;
    struct run *run;
    uint32_t place;

    if (at == st->blocks) {
        close_gap(st, p, gap);
        gap->start = gap->blocks = at = 0;
        if (++gap->rounds > ROUNDS_MAX)
            return false;
    }
    run = run_at(st, p, at);
    if (run->blocks == 0 || run->blocks > st->blocks - at)
        return false;
    if (run->kind == RUN_ENTRY) {
        _Atomic uint8_t *mark = mark_of(st, p, at);

        if (gap->passed < PASSES_MAX && atomic_load_explicit(mark, memory_order_relaxed) != 0) {
            atomic_store_explicit(mark, 0, memory_order_relaxed);
            close_gap(st, p, gap);
            gap->passed++;
            gap->start = at + run->blocks;
            gap->blocks = 0;
            return true;
        }
        place = find(st, p, &run->key, at);
        if (place == NOWHERE || !drop(st, p, place))
            return false;
        atomic_fetch_add(&p->evictions, 1);
    }
    gap->blocks += run->blocks;
    return true;
}

/* The first of so many free blocks that belong to no run, with room for one more entry in the
 * index; NOWHERE: nonsense. */
static uint32_t
make_room(const struct store *st, struct partition *p, uint32_t blocks)
{
    struct gap gap = {.start = p->hand};

    if (gap.start > st->blocks || blocks > st->blocks)
        return NOWHERE;
    while (gap.blocks < blocks || atomic_load(&p->entries) >= st->entries_max) {
        if (!step(st, p, &gap))
            return NOWHERE;
    }
    if (gap.blocks > blocks)
        mark_free(st, p, gap.start + blocks, gap.blocks - blocks);
    p->hand = gap.start + blocks;
    return gap.start;
}

/* ---- entries ---- */

bool
partition_has_fresher(const struct store *st, struct partition *p, const struct cache_key *key,
                      int64_t as_of_ns)
{
    uint32_t place = find(st, p, key, NOWHERE);
    uint64_t word;

    if (place == NOWHERE)
        return false;
    word = atomic_load_explicit(&index_of(st, p)[place], memory_order_relaxed);
    return run_at(st, p, (uint32_t)word - 1)->as_of_ns >= as_of_ns;
}

bool
partition_delete(const struct store *st, struct partition *p, const struct cache_key *key)
{
    uint32_t place = find(st, p, key, NOWHERE);

    if (place == NOWHERE)
        return false;
    if (!drop(st, p, place))
        reset(st, p);
    return true;
}

void
partition_put(const struct store *st, struct partition *p, const struct new_entry *entry)
{
    const struct read_set *reads = &entry->facts->reads;
    size_t size = entry_size(reads->n, entry->len);
    uint32_t blocks = (uint32_t)((size + BLOCK_BYTES - 1) / BLOCK_BYTES);
    uint32_t at;
    struct run *run;

    partition_delete(st, p, entry->key);
    at = make_room(st, p, blocks);
    if (at == NOWHERE) {
        reset(st, p);
        at = make_room(st, p, blocks);
    }
    change_end(p);

    run = run_at(st, p, at);
    *run = (struct run){.blocks = blocks,
                        .kind = RUN_ENTRY,
                        .key = *entry->key,
                        .as_of_ns = entry->facts->as_of_ns,
                        .len = (uint32_t)entry->len,
                        .note = entry->facts->note,
                        .reads = reads->n};
    memcpy((uint8_t *)run + RUN_HEAD_BYTES, reads->slots, reads->n * sizeof(uint32_t));
    memcpy((uint8_t *)run + entry_size(reads->n, 0), entry->bytes, entry->len);
    atomic_store_explicit(mark_of(st, p, at), 0, memory_order_relaxed);
    if (!insert(st, p, entry->key, at)) {
        reset(st, p);
        return;
    }
    atomic_fetch_add(&p->entries, 1);
    atomic_fetch_add(&p->blocks_used, blocks);
    atomic_fetch_add(&p->bytes_used, size);
}
