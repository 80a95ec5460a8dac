/*
 * What all processes share of the query cache, made by the parent before it forks: versions, store,
 * the secret of the keys, why the cache is off at the moment, and whom the orphans' doubts wait
 * for.
 *
 * Nobody has one when the cache is not enabled: the pointer to it is NULL then.
 *
 * Owners, the processes that may doubt and count, are numbered from the process table: children by
 * their child_no, then lag and wal. The parent gives a dead one's doubts to the orphans before its
 * number is used again (cache_shared_bury).
 */
#ifndef CACHE_SHARED_H
#define CACHE_SHARED_H

#include "cache/key.h"
#include "cache/stats.h"
#include "cache/store.h"
#include "cache/streams.h"
#include "cache/versions.h"

#include <stdatomic.h>

/* Why nothing is given from the cache, or kept; 0: nothing is in the way. Writes are noted all the
 * same. */
enum cache_closed {
    CACHE_CLOSED_GENERATION = 1, /* another generation of processes has sessions, whose writes are
                                  * not seen here; or ours has been replaced */
    CACHE_CLOSED_STREAM = 2,     /* nobody sets it: each database has a lease (cache/streams.h) */
    CACHE_CLOSED_START = 4,      /* statements of a pgpool before this one may still run at the */
    CACHE_CLOSED_LEFT = 8,       /* primary; or of another generation, which has just ended. Taken
                                  * back by the lag process (proc/orphans.h) */
};

/* A server process that runs, or may run, what nobody here will hear the end of. */
struct cache_orphan {
    int node_id;
    uint32_t pid;
};

struct cache_shared_map; /* in shared memory */

struct cache_shared {
    struct versions *versions;
    struct store *store; /* NULL: answers are kept elsewhere (memqcache_method) */
    struct cache_stats *stats;
    struct cache_streams *streams; /* NULL: writes that bypass this pgpool are not seen */
    struct cache_secret secret;
    struct cache_shared_map *map;
    uint32_t child_slots;
    bool by_stream; /* others' writes are heard of, partition by partition: what was read by the
                     * roots of partitioned tables alone may not be kept */
};

/* The number of a database in cache/versions.h: of its name, not its oid, since who writes must be
 * able to say it before anybody has asked the catalog. The same in all processes. */
uint32_t cache_database(const char *name);

struct cache_shared_options {
    struct store_limits limits; /* but for `owners` */
    uint32_t child_slots;
    bool without_store;
    bool with_streams; /* cache_invalidation = wal */
};

/* By the parent, before any fork. */
int cache_shared_new(const struct cache_shared_options *o, struct cache_shared **cs_r,
                     struct err *err);
void cache_shared_free(struct cache_shared *cs); /* NULL: nothing */

/* ---- owners ---- */

static inline uint32_t
cache_owner_of_child(uint32_t child_no)
{
    return child_no;
}
static inline uint32_t
cache_owner_of_lag(const struct cache_shared *cs)
{
    return cs->child_slots;
}
static inline uint32_t
cache_owner_of_wal(const struct cache_shared *cs)
{
    return cs->child_slots + 1;
}

/* In a process after the fork, once: its doubts, which it frees by doubts_free. */
struct doubts *cache_shared_join(struct cache_shared *cs, uint32_t owner);

/* The parent's, when the process with this number is dead and whom it has left at servers was noted
 * (cache_orphan_add): its doubts are the orphans'. */
void cache_shared_bury(struct cache_shared *cs, uint32_t owner);

/* ---- the switch ---- */

/* The word itself, for who asks it for each statement; enum cache_closed as bits. */
const _Atomic uint32_t *cache_closed_word(const struct cache_shared *cs);
static inline bool
cache_is_open(const struct cache_shared *cs)
{
    return atomic_load_explicit(cache_closed_word(cs), memory_order_acquire) == 0;
}
/* Whoever opens it has seen to it that nothing that was missed is taken for valid: by
 * versions_raise_all before. */
void cache_close(struct cache_shared *cs, uint32_t why); /* enum cache_closed */
void cache_open(struct cache_shared *cs, uint32_t why);

/* Before anything is sent to it: this is the primary now (-1: none is known), on this timeline.
 * Where it was another one before, everything is raised: what was acknowledged may be gone. */
void cache_note_primary(struct cache_shared *cs, int node_id, uint32_t timeline);

/* What new connections are given has changed, of a role or a database (ALTER ROLE ... SET): what
 * older ones answer does not count any more. CLOCK_MONOTONIC; 0: never. */
void cache_note_renewal(struct cache_shared *cs);
int64_t cache_renewed_ns(const struct cache_shared *cs);

/* ---- orphans ---- */

enum { CACHE_ORPHANS_MAX = 2048 };

/* The server process may go on with what it was sent: before doubt_abandon, or before
 * cache_shared_bury. Any process. */
void cache_orphan_add(struct cache_shared *cs, struct cache_orphan o);

/* They did not fit at some time: any server process that is older than this call may be one. Taken
 * back by who settles. */
bool cache_orphans_overflowed(const struct cache_shared *cs);
void cache_orphans_forget_overflow(struct cache_shared *cs);

/* Those that there are: *at_io is 0 at first, and behind a call the place of the one that it has
 * told, plus 1. False: no more. */
bool cache_orphans_next(const struct cache_shared *cs, uint32_t *at_io, struct cache_orphan *o_r);
/* It has ended; `at` is the place. */
void cache_orphan_remove(struct cache_shared *cs, uint32_t at);

#endif
