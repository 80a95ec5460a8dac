/*
 * The store's inside: how a partition looks, for src/cache/store.c (what callers see), partition.c
 * (its changes, under its lock), and the tests that break it.
 *
 * A partition is a head, an index, a mark per block, and the blocks. Everything may be in any state
 * for a reader; for who has the lock it is as the comments say.
 */
#ifndef CACHE_STORE_INTERNAL_H
#define CACHE_STORE_INTERNAL_H

#include "cache/store.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    BLOCK_BYTES = 64,
    RUN_FREE = 0,
    RUN_ENTRY = 1,
};

/* At the beginning of each run of blocks; an entry's read set and answer follow it. */
struct run {
    uint32_t blocks;
    uint32_t kind;
    struct cache_key key;
    int64_t as_of_ns;
    uint32_t len; /* of the answer */
    uint32_t note;
    uint32_t reads; /* slots in the read set */
};
_Static_assert(sizeof(struct run) <= BLOCK_BYTES, "a free run may have one block");

enum { RUN_HEAD_BYTES = offsetof(struct run, reads) + sizeof(uint32_t) };

struct partition {
    /* Odd while the index and what it points at do not fit together. Grows with each such change:
     * what a reader took while it stayed the same and even was whole. */
    _Atomic uint64_t change;
    _Alignas(64) pthread_mutex_t lock;
    uint32_t hand; /* the clock's: a run begins here, or it is the end of the blocks */
    _Atomic uint32_t entries;
    _Atomic uint64_t blocks_used;
    _Atomic uint64_t bytes_used;
    _Atomic uint64_t evictions;
    _Atomic uint64_t resets;
};

/* Written by its owner alone. */
struct store_counters {
    _Alignas(64) _Atomic uint64_t hits;
    _Atomic uint64_t misses;
    _Atomic uint64_t invalid;
    _Atomic uint64_t expired;
    _Atomic uint64_t disturbed;
    _Atomic uint64_t puts;
    _Atomic uint64_t busy;
};

/* Private to each process, written before the fork and by store_join only. */
struct store {
    const struct versions *versions;
    struct store_limits limits;
    int64_t expire_ns;
    void *map;
    size_t map_bytes;
    uint8_t *first; /* partition */
    uint32_t partitions;
    size_t partition_bytes; /* each */
    size_t index_at;
    size_t marks_at;
    size_t blocks_at;
    uint32_t index_slots;
    uint32_t blocks;
    uint32_t entries_max; /* per partition */
    uint32_t owner;
    struct store_counters *counters; /* one per owner */
};

/* In a loop that waits for another CPU. */
static inline void
cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* A place in the index: the key's tag above, the block's number + 1 below; 0: free. */
static inline uint32_t
tag_of(const struct cache_key *key)
{
    return (uint32_t)key->a;
}
static inline uint32_t
home_of(const struct store *st, uint32_t tag)
{
    return (uint32_t)((uint64_t)tag * st->index_slots >> 32);
}
static inline uint32_t
next_of(const struct store *st, uint32_t place)
{
    return place + 1 == st->index_slots ? 0 : place + 1;
}
static inline _Atomic uint64_t *
index_of(const struct store *st, struct partition *p)
{
    return (_Atomic uint64_t *)(void *)((uint8_t *)p + st->index_at);
}
static inline _Atomic uint8_t *
mark_of(const struct store *st, struct partition *p, uint32_t block)
{
    return (_Atomic uint8_t *)((uint8_t *)p + st->marks_at) + block;
}
static inline struct run *
run_at(const struct store *st, struct partition *p, uint32_t block)
{
    return (struct run *)(void *)((uint8_t *)p + st->blocks_at + (size_t)block * BLOCK_BYTES);
}
static inline struct partition *
partition_at(const struct store *st, uint32_t n)
{
    return (struct partition *)(void *)(st->first + n * st->partition_bytes);
}
static inline struct partition *
partition_of(const struct store *st, const struct cache_key *key)
{
    return partition_at(st, (uint32_t)((key->b >> 32) * st->partitions >> 32));
}

static inline size_t
entry_size(uint32_t reads, size_t len)
{
    return RUN_HEAD_BYTES + reads * sizeof(uint32_t) + len;
}

int partition_init(const struct store *st, struct partition *p, struct err *err);

/* False: another has it, and will have it for longer than can be waited for. A partition whose
 * owner died is emptied first. */
bool partition_lock(const struct store *st, struct partition *p);
void partition_unlock(struct partition *p);

/* With the lock. An entry that is there is dropped by the delete; put replaces it. What does not
 * fit together empties the partition. */
bool partition_has_fresher(const struct store *st, struct partition *p, const struct cache_key *key,
                           int64_t as_of_ns);
bool partition_delete(const struct store *st, struct partition *p, const struct cache_key *key);

struct new_entry {
    const struct cache_key *key;
    const struct store_facts *facts;
    const void *bytes;
    size_t len;
};
void partition_put(const struct store *st, struct partition *p, const struct new_entry *entry);

#endif
