/*
 * What all processes share of the query cache (cache/shared.h).
 *
 * The map is a word for the switch and a table of words, one per orphan: node and process id in
 * one, so that each is there as a whole or not at all, whoever dies when.
 */
#include "cache/shared.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/log.h"
#include "os/clock.h"
#include "os/random.h"
#include "os/shm.h"

#include <stdlib.h>
#include <string.h>

struct cache_shared_map {
    _Atomic uint32_t closed;
    _Atomic uint32_t overflow;
    _Atomic int64_t renewed_ns;
    _Atomic uint64_t primary;                    /* whom anybody has noted last, and its timeline */
    _Atomic uint64_t orphans[CACHE_ORPHANS_MAX]; /* 0: free */
};

enum { OTHER_OWNERS = 2 }; /* lag and wal */

int
cache_shared_new(const struct cache_shared_options *o, struct cache_shared **cs_r, struct err *err)
{
    struct cache_shared *cs = xcalloc(1, sizeof(*cs));
    struct store_limits limits = o->limits;
    void *map = NULL;

    cs->child_slots = o->child_slots;
    cs->by_stream = o->with_streams;
    limits.owners = o->child_slots + OTHER_OWNERS;
    if (random_bytes(&cs->secret, sizeof(cs->secret), err) != 0 ||
        shm_new(sizeof(*cs->map), &map, err) != 0) {
        free(cs);
        return -1;
    }
    cs->map = map;
    if (versions_new(limits.owners, &cs->versions, err) != 0 ||
        cache_stats_new(cs->versions, &cs->stats, err) != 0 ||
        (!o->without_store && store_new(&limits, cs->versions, &cs->store, err) != 0) ||
        (o->with_streams && cache_streams_new(&cs->streams, err) != 0)) {
        cache_shared_free(cs);
        return -1;
    }
    *cs_r = cs;
    return 0;
}

void
cache_shared_free(struct cache_shared *cs)
{
    if (cs == NULL)
        return;
    if (cs->store != NULL)
        store_free(cs->store);
    cache_stats_free(cs->stats);
    cache_streams_free(cs->streams);
    versions_free(cs->versions);
    shm_free(cs->map, sizeof(*cs->map));
    free(cs);
}

uint32_t
cache_database(const char *name)
{
    return (uint32_t)hash_bytes(name, strlen(name));
}

struct doubts *
cache_shared_join(struct cache_shared *cs, uint32_t owner)
{
    if (cs->store != NULL)
        store_join(cs->store, owner);
    return doubts_new(cs->versions, owner);
}

void
cache_shared_bury(struct cache_shared *cs, uint32_t owner)
{
    versions_orphan(cs->versions, owner);
}

/* ---- the switch ---- */

const _Atomic uint32_t *
cache_closed_word(const struct cache_shared *cs)
{
    return &cs->map->closed;
}

void
cache_close(struct cache_shared *cs, uint32_t why)
{
    atomic_fetch_or(&cs->map->closed, why);
}

void
cache_open(struct cache_shared *cs, uint32_t why)
{
    atomic_fetch_and(&cs->map->closed, ~why);
}

void
cache_note_primary(struct cache_shared *cs, int node_id, uint32_t timeline)
{
    uint64_t word = (uint64_t)(uint32_t)(node_id + 1) << 32 | timeline;

    if (likely(atomic_load(&cs->map->primary) == word))
        return;
    /* in this order: whoever finds the word has nothing to raise any more */
    versions_raise_all(cs->versions);
    atomic_store(&cs->map->primary, word);
}

void
cache_note_renewal(struct cache_shared *cs)
{
    int64_t now_ns = clock_monotonic_ns();
    int64_t old_ns = atomic_load(&cs->map->renewed_ns);

    while (old_ns < now_ns &&
           !atomic_compare_exchange_weak(&cs->map->renewed_ns, &old_ns, now_ns)) {
    }
}

int64_t
cache_renewed_ns(const struct cache_shared *cs)
{
    return atomic_load_explicit(&cs->map->renewed_ns, memory_order_acquire);
}

/* ---- orphans ---- */

/* Never 0: node ids are counted from 1 here. */
static uint64_t
word_of(struct cache_orphan o)
{
    return (uint64_t)(uint32_t)(o.node_id + 1) << 32 | o.pid;
}

void
cache_orphan_add(struct cache_shared *cs, struct cache_orphan o)
{
    uint64_t word = word_of(o);

    for (uint32_t n = 0; n < CACHE_ORPHANS_MAX; n++) {
        uint64_t there = atomic_load(&cs->map->orphans[n]);
        /* One that is there already may be about to be removed: it has a place of its own. */
        if (there == 0 && atomic_compare_exchange_strong(&cs->map->orphans[n], &there, word))
            return;
    }
    atomic_store(&cs->map->overflow, 1);
}

bool
cache_orphans_overflowed(const struct cache_shared *cs)
{
    return atomic_load(&cs->map->overflow) != 0;
}

void
cache_orphans_forget_overflow(struct cache_shared *cs)
{
    atomic_store(&cs->map->overflow, 0);
}

bool
cache_orphans_next(const struct cache_shared *cs, uint32_t *at_io, struct cache_orphan *o_r)
{
    for (uint32_t n = *at_io; n < CACHE_ORPHANS_MAX; n++) {
        uint64_t word = atomic_load(&cs->map->orphans[n]);
        if (word == 0)
            continue;
        *o_r = (struct cache_orphan){(int)(word >> 32) - 1, (uint32_t)word};
        *at_io = n + 1;
        return true;
    }
    return false;
}

void
cache_orphan_remove(struct cache_shared *cs, uint32_t at)
{
    BUG_UNLESS(at < CACHE_ORPHANS_MAX);
    atomic_store(&cs->map->orphans[at], 0);
}
