/*
 * The store: answers by key, in shared memory, for all children. Made by the parent before it
 * forks; of fixed size: the whole mapping is at most memqcache_total_size.
 *
 * Nothing here blocks, and nothing here is needed: an entry may vanish at any moment, a put may be
 * dropped. What is found is whole, has the right key, is not older than memqcache_expire and was
 * valid by the versions at the moment of the call (cache/versions.h).
 *
 * A reader takes no lock and writes nothing but its own counters and a mark on the entry. A writer
 * tries for its partition's lock and gives up after some microseconds: that process may have been
 * stopped. One that was killed with the lock costs the entries of that partition.
 */
#ifndef CACHE_STORE_H
#define CACHE_STORE_H

#include "base/buf.h"
#include "base/err.h"
#include "cache/key.h"
#include "cache/versions.h"

#include <stdbool.h>

struct store;

struct store_limits {
    size_t total_bytes;   /* memqcache_total_size */
    uint32_t entries_max; /* memqcache_max_num_cache, over all partitions */
    uint32_t entry_bytes; /* memqcache_maxcache: the largest answer */
    uint32_t expire_s;    /* memqcache_expire, from as_of on; 0: never */
    uint32_t owners;      /* processes that read and write, numbered from 0 */
};

/* The versions must live as long. Fails when total_bytes has no room for an answer of
 * entry_bytes. */
int store_new(const struct store_limits *limits, const struct versions *versions,
              struct store **st_r, struct err *err);
void store_free(struct store *st);

/* In a process after the fork: its number, below owners, of which it is the only one alive. Its
 * predecessors' counts go on. Without that it is 0. */
void store_join(struct store *st, uint32_t owner);

/* What goes with an answer. */
struct store_facts {
    int64_t as_of_ns; /* cache/versions.h says which moment */
    uint32_t note;    /* the caller's */
    struct read_set reads;
};

/* Appends the answer to `out`, which is unchanged when there is none. now_ns: CLOCK_MONOTONIC, any
 * moment since the question came. At most entry_bytes are copied. */
bool store_get(struct store *st, const struct cache_key *key, int64_t now_ns, struct buf *out,
               struct store_facts *facts_r);

/* Keeps an answer, in place of an older one under the same key. False: it is not kept (too long,
 * not valid any more, an equally fresh one is there, or the partition is busy). */
bool store_put(struct store *st, const struct cache_key *key, const struct store_facts *facts,
               const void *bytes, size_t len);

/* Would an answer of this size be kept? For whoever collects one. */
bool store_fits(const struct store *st, size_t len);

enum store_deleted {
    STORE_DELETED,
    STORE_NOT_THERE,
    STORE_BUSY, /* try again later */
};
enum store_deleted store_delete(struct store *st, const struct cache_key *key);

/* Everything is dropped by versions_raise_all: no entry is found any more from that moment on. */

/* Sums over processes and partitions. Taken without locks: not of one moment. */
struct store_numbers {
    uint64_t hits;
    uint64_t misses;    /* no entry, or one that could not be used: */
    uint64_t invalid;   /* of these, written since, or being written */
    uint64_t expired;   /* of these, too old */
    uint64_t disturbed; /* of these, the partition was changed again and again meanwhile */
    uint64_t puts;
    uint64_t busy;      /* puts dropped because of the partition's lock */
    uint64_t evictions; /* entries that made room */
    uint64_t resets;    /* partitions emptied because a process died in them */
    uint64_t partitions;
    uint64_t entries;
    uint64_t entries_max;
    uint64_t bytes_used;  /* by answers and what goes with them */
    uint64_t bytes_lost;  /* in blocks that are not full, of these */
    uint64_t bytes_max;   /* for answers and what goes with them */
    uint64_t bytes_total; /* the whole mapping */
};
void store_numbers(const struct store *st, struct store_numbers *n_r);

#endif
